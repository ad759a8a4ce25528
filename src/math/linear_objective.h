/* linear_objective.h: what the linear batch solvers minimize, over x = (w [n_columns], b if there is a bias):
 *
 *   F(w, b) = sum_i c_i loss(s_i, y_i) + (l2 / 2) |w|^2,   s_i = sum_e value_e w[column_e] + b
 *
 * c_i the weight of event i; a sum over events, not a mean; the bias is not penalized. Losses: logistic, squared,
 * poisson. gradient  sum_i c_i loss'(s_i, y_i) (x_i, 1) + l2 (w, 0) Hessian   sum_i c_i loss''(s_i) (x_i, 1) (x_i, 1)^T
 * + l2 diag(1 ... 1, 0) All sums in double and in the order of the events. One thread per object. */
#ifndef TW_MATH_LINEAR_OBJECTIVE_H
#define TW_MATH_LINEAR_OBJECTIVE_H

#include <stddef.h>

#include "math/kernels.h"
#include "thalweg/solver.h"

typedef struct tw_linear_objective {
    const tw_matrix *matrix;
    const tw_kernels *kernels;
    tw_loss loss;
    bool has_bias;
    double l2;
    size_t n;          /* n_columns, and 1 if there is a bias */
    double *score;     /* [n_events] s of the last evaluate */
    double *curvature; /* [n_events] c_i loss''(s_i) of the last bend */
} tw_linear_objective;

/* Borrows the problem's matrix. UNSUPPORTED: a loss without second derivative (hinge, quantile), or none; INVALID: a
 * label that the loss does not take (logistic: 0 to 1, poisson: 0 or more), with the event's number; NO_MEMORY. */
TW_MUST_USE tw_status tw_linear_objective_init(
    tw_linear_objective *self, const tw_fit_problem *problem, double l2, const char *solver, tw_error *error);
void tw_linear_objective_fini(tw_linear_objective *self);

/* F(x), and its gradient [n]. `context` is a tw_linear_objective: fits tw_function.evaluate. */
double tw_linear_objective_evaluate(void *context, const double *x, double *gradient);

/* Takes the curvature at the x of the last evaluate for the two functions below. */
void tw_linear_objective_bend(tw_linear_objective *self);

/* The Hessian's diagonal [n]; 1 where it is 0 (a column of zeros without l2). */
void tw_linear_objective_diagonal(const tw_linear_objective *self, double *diagonal);

/* product = H direction, both [n]. */
void tw_linear_objective_product(const tw_linear_objective *self, const double *direction, double *product);

/* The scale of the search [n], the Hessian's diagonal at x = 0, and |gradient at 0| in it (optimize.h): what stop rules
 * are held against. `gradient` [n] is scratch. */
double tw_linear_objective_reference(tw_linear_objective *self, double *scale, double *gradient);

/* The start of a search, x [n] from the solution if it has one, else 0; and the result back into it. */
void tw_linear_objective_start(const tw_linear_objective *self, const tw_fit_solution *solution, double *x);
void tw_linear_objective_finish(const tw_linear_objective *self, const double *x, tw_fit_solution *solution);

#endif
