/* pairs.h: the memory of L-BFGS: the last steps s and gradient changes y, and the product of the inverse Hessian that
 * they stand for with a vector. One thread per object. */
#ifndef TW_MATH_PAIRS_H
#define TW_MATH_PAIRS_H

#include <stdbool.h>
#include <stddef.h>

#include "thalweg/status.h"

typedef struct tw_pairs {
    size_t n;
    uint32_t capacity, count, newest;
    double *s, *y;         /* [capacity x n] */
    double *inverse, *mix; /* [capacity] 1 / (s'y), and scratch */
    double gamma;          /* size of the first guess: s'y / (y' D^-1 y) of the newest pair */
    const double *scale;   /* [n] D, or NULL: ones */
} tw_pairs;

/* NO_MEMORY leaves nothing behind. `scale` is borrowed. */
TW_MUST_USE tw_status tw_pairs_init(tw_pairs *self, size_t n, uint32_t capacity, const double *scale, tw_error *error);
void tw_pairs_fini(tw_pairs *self);
void tw_pairs_clear(tw_pairs *self);

/* Adds s = x - x_before and y = g - g_before, in place of the oldest pair when full. A pair without positive curvature,
 * which would spoil the matrix, is left out. */
void tw_pairs_add(tw_pairs *self, const double *x, const double *x_before, const double *g, const double *g_before);

/* direction = -H g (two-loop recursion: Nocedal and Wright, algorithm 7.4); H = D^-1 without pairs. With is_fixed [n],
 * NULL for none, the matrix is that of the other variables alone, from the pairs cut to them, and direction is 0 where
 * a variable is fixed. */
void tw_pairs_direction(tw_pairs *self, const double *g, const bool *is_fixed, double *direction);

#endif
