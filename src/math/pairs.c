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

static void add_multiple(double *to, double factor, const double *from, size_t n)
{
    for (size_t j = 0; j < n; j++)
        to[j] += factor * from[j];
}

void tw_pairs_direction(tw_pairs *self, const double *g, double *direction)
{
    size_t n = self->n;
    for (size_t j = 0; j < n; j++)
        direction[j] = -g[j];
    for (uint32_t i = 0; i < self->count; i++) {
        uint32_t at = (self->newest + self->capacity - i) % self->capacity;
        self->mix[at] = self->inverse[at] * tw_dot_double(self->s + at * n, direction, n);
        add_multiple(direction, -self->mix[at], self->y + at * n, n);
    }
    for (size_t j = 0; j < n; j++)
        direction[j] *= self->scale == NULL ? self->gamma : self->gamma / self->scale[j];
    for (uint32_t i = self->count; i-- > 0;) {
        uint32_t at = (self->newest + self->capacity - i) % self->capacity;
        double rest = self->mix[at] - self->inverse[at] * tw_dot_double(self->y + at * n, direction, n);
        add_multiple(direction, rest, self->s + at * n, n);
    }
}
