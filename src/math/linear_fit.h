/* linear_fit.h: a linear model by one of the minimizers of optimize.h: the body of the solvers lbfgs and owlqn.
 * No state of its own: any thread. */
#ifndef TW_MATH_LINEAR_FIT_H
#define TW_MATH_LINEAR_FIT_H

#include "math/optimize.h"
#include "thalweg/solver.h"

typedef tw_status (*tw_minimizer)(const tw_function *function,
    const tw_optimize_options *options,
    double *x,
    tw_optimize_result *result,
    tw_error *error);

typedef struct tw_linear_fit {
    const char *solver; /* for messages */
    tw_minimizer minimize;
    double l2;
    tw_optimize_options options; /* `scale` and `n_l1` are set by the call */
} tw_linear_fit;

/* Minimizes tw_linear_objective, plus options.l1 |w|_1 where the minimizer has it. Scale: the Hessian's diagonal at 0.
 * Errors as tw_linear_objective_init and the minimizer. */
TW_MUST_USE tw_status tw_linear_fit_solve(
    const tw_linear_fit *fit, const tw_fit_problem *problem, tw_fit_solution *solution, tw_error *error);

#endif
