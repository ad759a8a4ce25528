/* matrix_fixture.h: matrices for batch solvers, from calls, chance or files, and one run of a solver over them. */
#ifndef TEST_MATRIX_FIXTURE_H
#define TEST_MATRIX_FIXTURE_H

#include <stddef.h>

#include "thalweg/solver.h"

typedef struct matrix_fixture {
    tw_matrix matrix; /* of the arrays below, after matrix_view */
    uint64_t n_events, n_entries;
    uint32_t n_columns;
    size_t events_capacity, starts_capacity, labels_capacity, columns_capacity, values_capacity;
    uint64_t *row_start;
    uint32_t *column;
    float *value, *label, *weight;
} matrix_fixture;

void matrix_begin(matrix_fixture *self, float label, float weight);
void matrix_add(matrix_fixture *self, uint32_t column, float value);
const tw_matrix *matrix_view(matrix_fixture *self);
void matrix_free(matrix_fixture *self);

/* Events with about `entries` columns each, some of them twice in an event; labels that the loss takes, with noise;
 * weights 1 to 3. */
void matrix_random(matrix_fixture *self, tw_loss_kind loss, uint32_t n_events, uint32_t n_columns, uint32_t entries);

/* The gzip'd LibSVM file shared/data/`name` beside the source tree, label -1 as 0. Prints SKIPPED and is false if it is
 * not there. */
bool matrix_load_libsvm(matrix_fixture *self, const char *name);

/* The gzip'd CSV file shared/data/`name`: numbers of the columns first ... last, then the label's column; a header
 * line. */
bool matrix_load_csv(matrix_fixture *self, const char *name, unsigned first, unsigned last, unsigned label);

typedef struct solver_run {
    tw_fit_solution solution;
    double *weight; /* [n_columns] of the solution */
    tw_status status;
    tw_error error;
} solver_run;

/* options: "l2=1 tolerance=1e-9". Fails the test for options that the solver does not have. */
void solver_run_open(solver_run *self, const tw_solver_ops *ops, const char *options, const tw_fit_problem *problem);
/* As solver_run_open, with the `nth` allocation inside the solver failing. */
void solver_run_starved(
    solver_run *self, const tw_solver_ops *ops, const char *options, const tw_fit_problem *problem, uint64_t nth);
void solver_run_close(solver_run *self);

/* As above from the weights and bias that `self` holds; status, error and solution are replaced. */
void solver_run_again(solver_run *self, const tw_solver_ops *ops, const char *options, const tw_fit_problem *problem);

/* |got - want| <= tolerance (1 + |want|). */
void assert_near(double got, double want, double tolerance);

/* Area under the ROC curve of the scores w x + b. */
double matrix_auc(const tw_matrix *matrix, const tw_fit_solution *solution);

/* sum_i c_i loss + (l2 / 2) |w|^2 + l1 |w|_1 in long double with the C library's functions; its gradient without the l1
 * term at `gradient` [n_columns + 1] (NULL allowed), the bias last. */
double matrix_objective(
    const tw_fit_problem *problem, double l2, double l1, const double *w, double b, double *gradient);

/* The slow reference: Newton's method in long double with elimination, to its end; few columns. x [n_columns + 1]. */
void matrix_newton(const tw_fit_problem *problem, double l2, double *x);

/* The minimum over a9a's training part of logistic loss with l2 = 1, without and with a bias. Without: liblinear 2.50
 * ("train -s 0 -c 1 -e 1e-9 -B -1") 10529.562584638106, scikit-learn 1.9.1 (LogisticRegression(C=1,
 * fit_intercept=False, solver="newton-cholesky", tol=1e-12)) 10529.562584637899. With: scikit-learn. */
#define A9A_OPTIMUM      10529.562584637899
#define A9A_BIAS_OPTIMUM 10528.572430543307

#endif
