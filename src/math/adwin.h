/* adwin.h: ADWIN, a window over a stream of numbers that is as long as its mean has not changed (Bifet and Gavalda,
 * "Learning from time-changing data with adaptive windowing", SDM 2007), in the form and with the figures of MOA.
 *
 * The window is kept as buckets of 1, 2, 4, ... values, at most 5 of a size. Every 32 values, with more than 10 in the
 * window, each border between buckets is tried as a cut into n0 older and n1 newer values with means u0 and u1:
 *     m = 1 / (n0 - 5 + 1) + 1 / (n1 - 5 + 1)        n0, n1 >= 5
 *     d = log(2 log(n) / delta)
 *     e = sqrt(2 m v d) + 2/3 d m R                  v the variance of the window, R the range of its values
 * While some cut has |u0 - u1| > e, the oldest bucket is dropped. The theorem needs values of a known range R; MOA
 * takes R = 1. Here R is the difference of the largest and the smallest value in the window, so that losses of any
 * scale can be watched; for values 0 and 1 it is the same.
 *
 * Plain values without pointers: copied by assignment. Same bits on every machine. One thread at a time. */
#ifndef TW_MATH_ADWIN_H
#define TW_MATH_ADWIN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    TW_ADWIN_PER_LEVEL = 5, /* buckets of one size */
    TW_ADWIN_LEVELS = 41,   /* sizes 2^0 .. 2^40; what would be larger is dropped */
    TW_ADWIN_CLOCK = 32,    /* values between tests */
    TW_ADWIN_MIN_WINDOW = 10,
    TW_ADWIN_MIN_PART = 5,
};

/* 2^level values. */
typedef struct tw_adwin_bucket {
    double total, scatter; /* sum; sum of squared differences from the mean */
    double low, high;      /* smallest and largest value */
} tw_adwin_bucket;

typedef struct tw_adwin {
    double delta;    /* chance of a cut where nothing changed, in (0, 1) */
    uint64_t n_seen; /* values added since the start */
    uint64_t n;      /* in the window */
    double total, scatter;
    uint32_t n_levels; /* in use */
    uint32_t n_buckets[TW_ADWIN_LEVELS];
    tw_adwin_bucket bucket[TW_ADWIN_LEVELS][TW_ADWIN_PER_LEVEL + 1]; /* oldest first */
} tw_adwin;

void tw_adwin_init(tw_adwin *self, double delta);

/* Adds a finite value. True when the mean of the window has changed, so that its old part was dropped. */
bool tw_adwin_add(tw_adwin *self, double value);

/* Of the values in the window; 0 when there is none. */
static inline double tw_adwin_mean(const tw_adwin *self)
{
    return self->n > 0 ? self->total / (double)self->n : 0.0;
}

/* Whether the members fit together; for a state that was read from a file. */
bool tw_adwin_is_valid(const tw_adwin *self);

#endif
