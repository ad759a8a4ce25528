/* optimize.h: minimizers of functions of many real variables, in double, on one thread, without chance: the same calls
 * give the same bits.
 *
 *   tw_lbfgs  limited-memory BFGS (Nocedal and Wright, Numerical Optimization, 2nd ed., algorithms 7.4 and 7.5), with a
 *             line search for the strong Wolfe conditions; for smooth functions
 *   tw_owlqn  OWL-QN (Andrew and Gao, ICML 2007) for f(x) + l1 (|x_0| + ... + |x_(n_l1 - 1)|), f smooth: the step is
 * that of L-BFGS from the pseudo-gradient, cut to the signs of it; points are projected to their orthant
 *
 * Both start from the diagonal matrix D = diag(scale) as first guess of the Hessian, so they do not depend on the units
 * of the variables if D does.
 *
 * Stop rule. With |g|_D = sqrt(sum g_j^2 / D_j), g the gradient (OWL-QN: the pseudo-gradient, the steepest of the
 * function with its l1 term): measure = |g(x)|_D / |g(0)|_D <= tolerance. It is held against the point 0, so that a
 * start near the minimum does not have to do better than one from afar. */
#ifndef TW_MATH_OPTIMIZE_H
#define TW_MATH_OPTIMIZE_H

#include <stddef.h>

#include "thalweg/status.h"

typedef struct tw_function {
    size_t n;
    void *context;
    double (*evaluate)(void *context, const double *x, double *gradient); /* f, and its gradient [n] */

    /* Called before each step; true ends the search. NULL: none. The objective includes the l1 term. */
    bool (*progress)(void *context, uint32_t iteration, double objective, double measure);
    void *progress_context;
} tw_function;

typedef struct tw_optimize_options {
    uint32_t memory;         /* pairs of steps and gradient changes that are kept, >= 1 */
    uint32_t max_iterations; /* steps; 0: the start is only measured */
    double tolerance;
    const double *scale; /* [n] all > 0; NULL: ones */
    double l1;           /* tw_owlqn: >= 0 */
    size_t n_l1;         /* how many variables, from the first, l1 acts on */
} tw_optimize_options;

typedef struct tw_optimize_result {
    double objective, measure; /* at x; the objective includes the l1 term */
    uint32_t iterations;
    bool is_converged; /* measure <= tolerance; false: max_iterations, `progress`, or no step is better in double */
} tw_optimize_result;

/* x [n] holds the start and then the result. NO_MEMORY; NUMERIC when f or its gradient is not finite at the start. */
TW_MUST_USE tw_status tw_lbfgs(const tw_function *function,
    const tw_optimize_options *options,
    double *x,
    tw_optimize_result *result,
    tw_error *error);
TW_MUST_USE tw_status tw_owlqn(const tw_function *function,
    const tw_optimize_options *options,
    double *x,
    tw_optimize_result *result,
    tw_error *error);

/* sum a[i] b[i]; four sums side by side, in a fixed order. */
double tw_dot_double(const double *a, const double *b, size_t n);

/* sqrt(sum g_i^2 / scale_i); scale NULL: ones. */
double tw_scaled_norm(const double *g, const double *scale, size_t n);

#endif
