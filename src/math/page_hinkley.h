/* page_hinkley.h: the Page-Hinkley test for a rise of the mean (Page, "Continuous inspection schemes", Biometrika
 * 1954): mean_t = mean of x_1 .. x_t s_t = alpha s_(t-1) + x_t - mean_t - delta rise when s_t - min(s_1 .. s_t) >
 * threshold, from min_events values on Defaults of MOA: delta 0.005, threshold 50, alpha 0.9999, min_events 30. Values,
 * delta and threshold have one unit. Plain values: copied by assignment. Same bits on every machine. One thread at a
 * time. */
#ifndef TW_MATH_PAGE_HINKLEY_H
#define TW_MATH_PAGE_HINKLEY_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct tw_page_hinkley {
    double delta, threshold, alpha;
    uint64_t min_events;
    uint64_t n;
    double mean, sum, low; /* low: the smallest sum so far, at most 0 */
} tw_page_hinkley;

/* Adds a finite value. True when the mean has risen. */
static inline bool tw_page_hinkley_add(tw_page_hinkley *self, double value)
{
    self->n++;
    self->mean += (value - self->mean) / (double)self->n;
    self->sum = self->alpha * self->sum + (value - self->mean - self->delta);
    if (self->sum < self->low)
        self->low = self->sum;
    return self->n >= self->min_events && self->sum - self->low > self->threshold;
}

/* Forgets all values, keeps the parameters. */
static inline void tw_page_hinkley_reset(tw_page_hinkley *self)
{
    self->n = 0;
    self->mean = self->sum = self->low = 0;
}

static inline bool tw_page_hinkley_is_valid(const tw_page_hinkley *self)
{
    return isfinite(self->mean) && isfinite(self->sum) && isfinite(self->low) && self->low <= self->sum;
}

#endif
