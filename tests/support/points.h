/* points.h: the real sets of points that clustering is measured on, as rows of floats in a shuffled order. No test
 * library: the benchmarks use it too. */
#ifndef TEST_POINTS_H
#define TEST_POINTS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct points {
    uint32_t n, width;
    float *x; /* [n x width] */
} points;

/* The points of "birch_rg1", "s1", "s2", "mnist_t10k" (pixels 0 .. 255) or "interchanging_rbf" (x, y, class) under
 * `folder`, in file order. False when it is not there. Ends the program when memory is short. */
bool points_load(const char *folder, const char *set, points *out);

/* A permutation drawn from `seed`. */
void points_shuffle(points *self, uint64_t seed);

/* Sum of squared distances to the nearest of `k` centres [k x width], in double. */
double points_inertia(const points *self, const double *centre, uint32_t k);

void points_free(points *self);

#endif
