#include "math/trust_region.h"

#include <math.h>
#include <string.h>

#include "math/optimize.h"

typedef struct trust {
    const tw_quadratic *quadratic;
    double *step, *residual, *direction, *product, *conditioned; /* residual = -(g + H step) */
} trust;

static double shaped_dot(const double *diagonal, const double *a, const double *b, size_t n)
{
    double sum = 0.0;
    for (size_t j = 0; j < n; j++)
        sum += diagonal[j] * a[j] * b[j];
    return sum;
}

/* conditioned = M^-1 residual; returns residual' M^-1 residual. */
static double trust_condition(trust *self)
{
    const tw_quadratic *quadratic = self->quadratic;
    for (size_t j = 0; j < quadratic->n; j++)
        self->conditioned[j] = self->residual[j] / quadratic->diagonal[j];
    return tw_dot_double(self->residual, self->conditioned, quadratic->n);
}

/* The t >= 0 with |step + t direction|_M = radius. */
static double trust_to_border(const trust *self, double radius)
{
    const tw_quadratic *quadratic = self->quadratic;
    double a = shaped_dot(quadratic->diagonal, self->direction, self->direction, quadratic->n);
    double b = shaped_dot(quadratic->diagonal, self->step, self->direction, quadratic->n);
    double c = radius * radius - shaped_dot(quadratic->diagonal, self->step, self->step, quadratic->n);
    double root = sqrt(b * b + a * (c > 0.0 ? c : 0.0));
    return b > 0.0 ? (c > 0.0 ? c : 0.0) / (b + root) : (root - b) / a;
}

static void trust_move(trust *self, double t)
{
    for (size_t j = 0; j < self->quadratic->n; j++) {
        self->step[j] += t * self->direction[j];
        self->residual[j] -= t * self->product[j];
    }
}

/* Conjugate gradients. True: stopped at the border. */
static bool trust_iterate(trust *self, double radius, double part, uint32_t *products)
{
    const tw_quadratic *quadratic = self->quadratic;
    size_t n = quadratic->n;
    double square = trust_condition(self), wanted = part * part * square;
    memcpy(self->direction, self->conditioned, n * sizeof *self->direction);
    while (square > wanted && *products < n + 50) {
        quadratic->product(quadratic->context, self->direction, self->product);
        ++*products;
        double curvature = tw_dot_double(self->direction, self->product, n), t = square / curvature;
        double border = trust_to_border(self, radius);
        if (!(curvature > 0.0) || !(t < border)) {
            trust_move(self, border);
            return true;
        }
        trust_move(self, t);
        double next = trust_condition(self), ratio = next / square;
        for (size_t j = 0; j < n; j++)
            self->direction[j] = self->conditioned[j] + ratio * self->direction[j];
        square = next;
    }
    return false;
}

tw_trust_step tw_trust_solve(const tw_quadratic *quadratic, double radius, double part, double *step, double *work)
{
    size_t n = quadratic->n;
    trust self = {quadratic, step, work, work + n, work + 2 * n, work + 3 * n};
    tw_trust_step out = {0};
    for (size_t j = 0; j < n; j++) {
        step[j] = 0.0;
        self.residual[j] = -quadratic->gradient[j];
    }
    out.is_at_border = trust_iterate(&self, radius, part, &out.products);
    out.length = sqrt(shaped_dot(quadratic->diagonal, step, step, n));
    /* g's + s'Hs / 2 = (g's - s'r) / 2, because H s = -g - r. */
    out.decrease = 0.5 * (tw_dot_double(step, self.residual, n) - tw_dot_double(quadratic->gradient, step, n));
    return out;
}
