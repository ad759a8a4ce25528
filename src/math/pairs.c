#include "math/pairs.h"

#include <float.h>
#include <string.h>

#include "base/alloc.h"
#include "math/optimize.h"

tw_status tw_pairs_init(tw_pairs *self, size_t n, uint32_t capacity, const double *scale, tw_error *error)
{
    size_t size = (2 * (size_t)capacity * n + 2 * (size_t)capacity) * sizeof(double);
    *self = (tw_pairs){.n = n, .capacity = capacity, .scale = scale, .gamma = 1.0};
    self->s = tw_alloc(size);
    if (self->s == NULL)
        return tw_no_memory(error, size);
    self->y = self->s + (size_t)capacity * n;
    self->inverse = self->y + (size_t)capacity * n;
    self->mix = self->inverse + capacity;
    return TW_STATUS_OK;
}

void tw_pairs_fini(tw_pairs *self)
{
    tw_free(self->s);
    self->s = NULL;
}

void tw_pairs_clear(tw_pairs *self)
{
    self->count = 0;
    self->gamma = 1.0;
}

void tw_pairs_add(tw_pairs *self, const double *x, const double *x_before, const double *g, const double *g_before)
{
    uint32_t at = self->count == 0 ? 0 : (self->newest + 1) % self->capacity;
    double *s = self->s + (size_t)at * self->n, *y = self->y + (size_t)at * self->n;
    for (size_t j = 0; j < self->n; j++) {
        s[j] = x[j] - x_before[j];
        y[j] = g[j] - g_before[j];
    }
    double curvature = tw_dot_double(s, y, self->n), norm = tw_scaled_norm(y, self->scale, self->n);
    double square = norm * norm, ratio = curvature / square;
    if (!(curvature > DBL_MIN) || !(ratio > DBL_EPSILON)) {
        /* The slot that was written held the oldest pair. */
        self->count -= self->count == self->capacity;
        return;
    }
    self->inverse[at] = 1.0 / curvature;
    self->gamma = ratio;
    self->newest = at;
    self->count += self->count < self->capacity;
}

/* sum a_j b_j over the variables that are not fixed, and sum b_j^2 / D_j if asked for. */
static double free_dot(const tw_pairs *self, const double *a, const double *b, const bool *is_fixed)
{
    double sum = 0.0;
    if (is_fixed == NULL)
        return tw_dot_double(a, b, self->n);
    for (size_t j = 0; j < self->n; j++)
        sum += is_fixed[j] ? 0.0 : a[j] * b[j];
    return sum;
}

static double free_square(const tw_pairs *self, const double *y, const bool *is_fixed)
{
    double sum = 0.0;
    for (size_t j = 0; j < self->n; j++)
        sum += is_fixed != NULL && is_fixed[j] ? 0.0 : y[j] * y[j] / (self->scale == NULL ? 1.0 : self->scale[j]);
    return sum;
}

static void add_multiple(double *to, double factor, const double *from, size_t n)
{
    for (size_t j = 0; j < n; j++)
        to[j] += factor * from[j];
}

/* Sets inverse[] to 1 / (s'y) over the free variables, 0 for a pair to be passed over; the newest good one gives gamma.
 */
static double weigh_pairs(tw_pairs *self, const bool *is_fixed)
{
    double gamma = 1.0;
    for (uint32_t i = self->count; i-- > 0;) {
        uint32_t at = (self->newest + self->capacity - i) % self->capacity;
        const double *s = self->s + at * self->n, *y = self->y + at * self->n;
        double curvature = free_dot(self, s, y, is_fixed), ratio = curvature / free_square(self, y, is_fixed);
        bool is_good = curvature > DBL_MIN && ratio > DBL_EPSILON;
        self->inverse[at] = is_good ? 1.0 / curvature : 0.0;
        gamma = is_good ? ratio : gamma;
    }
    return gamma;
}

void tw_pairs_direction(tw_pairs *self, const double *g, const bool *is_fixed, double *direction)
{
    size_t n = self->n;
    double gamma = is_fixed == NULL ? self->gamma : weigh_pairs(self, is_fixed);
    for (size_t j = 0; j < n; j++)
        direction[j] = is_fixed != NULL && is_fixed[j] ? 0.0 : -g[j];
    for (uint32_t i = 0; i < self->count; i++) {
        uint32_t at = (self->newest + self->capacity - i) % self->capacity;
        self->mix[at] = self->inverse[at] * free_dot(self, self->s + at * n, direction, is_fixed);
        add_multiple(direction, -self->mix[at], self->y + at * n, n);
    }
    for (size_t j = 0; j < n; j++)
        direction[j] *= self->scale == NULL ? gamma : gamma / self->scale[j];
    for (uint32_t i = self->count; i-- > 0;) {
        uint32_t at = (self->newest + self->capacity - i) % self->capacity;
        double rest = self->mix[at] - self->inverse[at] * free_dot(self, self->y + at * n, direction, is_fixed);
        add_multiple(direction, rest, self->s + at * n, n);
    }
    for (size_t j = 0; is_fixed != NULL && j < n; j++)
        direction[j] = is_fixed[j] ? 0.0 : direction[j];
}
