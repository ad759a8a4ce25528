/* ridge: linear regression (l2 = 0) and ridge regression, solved directly. Squared loss only.
 *
 * Minimizes   F(w, b) = sum_i c_i (w x_i + b - y_i)^2 / 2 + (l2 / 2) |w|^2; the bias b is not penalized.
 *             scikit-learn Ridge(alpha) is l2 = alpha (it minimizes 2 F); LinearRegression is l2 = 0
 * Method      m, mean of x, and mean of y under the weights c; then b = mean(y) - w m, and w solves
 *               (A + l2 I) w = r,  A = sum c (x - m)(x - m)^T,  r = sum c (x - m) y
 *             By Cholesky, with columns scaled to a unit diagonal and one step of refinement, where the estimate of the
 *             reciprocal condition number, divided by the digits that A lost, is at least 1e-8. Else by QR of the rows
 *             sqrt(c) (x - m) over sqrt(l2) I, some hundred at a time, which does not square the condition number.
 *             If columns depend on each other (reciprocal condition of the scaled triangle below 16 n epsilon), the w
 *             of least |w| among the minima, by the singular values of the triangle above epsilon max(n_events, n)
 *             times the largest. Golub and Van Loan, Matrix Computations, 4th ed., 5.3 and 5.5.
 *
 * Measure     |gradient|_D / |gradient at 0|_D as in lbfgs; converged if it is at most 1e-6; iterations is 1
 *
 * Limits      max_columns; n^2 doubles (Cholesky) or 3 n^2 (QR); needs OpenBLAS and LAPACKE; one thread */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/try.h"
#include "math/blas.h"
#include "math/gram.h"
#include "math/linear_objective.h"
#include "math/optimize.h"
#include "thalweg/learner.h"

enum { RIDGE_ROWS = 256 };

static const double RIDGE_WELL_CONDITIONED = 1e-8, RIDGE_CONVERGED = 1e-6;

static const tw_option ridge_options[] = {
    {.name = "l2",
        .type = TW_OPTION_REAL,
        .fallback = "1",
        .min = 0,
        .max = 1e12,
        .help = "penalty (l2 / 2) |w|^2; 0: linear regression; alpha of scikit-learn's Ridge, whose default is 1"},
    {.name = "max_columns",
        .type = TW_OPTION_INT,
        .fallback = "5000",
        .min = 1,
        .max = 20000,
        .help = "most features; memory and time grow with its square and cube"},
    {0}};

typedef struct ridge {
    tw_blas blas;
    tw_linear_objective objective;
    const tw_matrix *matrix;
    double l2, total, mean_y;
    size_t n;                                   /* columns */
    double *mean, *pull, *scale, *x, *gradient; /* [n + 1] each; pull is r */
    double *a;                                  /* [n x n] */
    double *panel;                              /* [(n + RIDGE_ROWS) x (n + 1)] column-major */
} ridge;

static void ridge_means(ridge *self)
{
    const tw_matrix *matrix = self->matrix;
    bool has_bias = self->objective.has_bias;
    for (uint64_t i = 0; i < matrix->n_events; i++) {
        double weight = (double)matrix->weight[i];
        self->total += weight;
        self->mean_y += weight * (double)matrix->label[i];
        for (uint64_t e = matrix->row_start[i]; e < matrix->row_start[i + 1]; e++)
            self->mean[matrix->column[e]] += weight * (double)matrix->value[e];
    }
    self->mean_y = has_bias ? self->mean_y / self->total : 0.0;
    for (size_t j = 0; j < self->n; j++)
        self->mean[j] = has_bias ? self->mean[j] / self->total : 0.0;
    /* The sum of c (y - mean) is 0, so x - m may stand as x. */
    for (uint64_t i = 0; i < matrix->n_events; i++) {
        double rest = (double)matrix->weight[i] * ((double)matrix->label[i] - self->mean_y);
        for (uint64_t e = matrix->row_start[i]; e < matrix->row_start[i + 1]; e++)
            self->pull[matrix->column[e]] += rest * (double)matrix->value[e];
    }
}

static tw_gram_problem ridge_rows(const ridge *self)
{
    return (tw_gram_problem){.matrix = self->matrix, .mean = self->objective.has_bias ? self->mean : NULL};
}

/* x = (w, b) with the best b for w. */
static void ridge_set_bias(ridge *self)
{
    if (self->objective.has_bias)
        self->x[self->n] = self->mean_y - tw_dot_double(self->mean, self->x, self->n);
}

/* Forms S (A + l2 I) S with a unit diagonal and factors it. *is_done: it is well enough conditioned. */
static tw_status ridge_factor(ridge *self, bool *is_done, tw_error *error)
{
    const tw_gram_problem rows = ridge_rows(self);
    size_t n = self->n;
    lapack_int size = (lapack_int)n;
    double lost = 1.0, reciprocal = 0.0;
    *is_done = false;
    TRY(tw_gram(&rows, &self->blas, self->a, &lost, error));
    for (size_t j = 0; j < n; j++) {
        double square = self->a[j * n + j] += self->l2;
        if (!(square > 0.0))
            return TW_STATUS_OK;
        self->scale[j] = 1.0 / sqrt(square);
    }
    for (size_t j = 0; j < n; j++) {
        for (size_t i = j; i < n; i++)
            self->a[j * n + i] *= self->scale[i] * self->scale[j];
    }
    double norm = self->blas.dlansy(LAPACK_COL_MAJOR, '1', 'L', size, self->a, size);
    lapack_int result = self->blas.dpotrf(LAPACK_COL_MAJOR, 'L', size, self->a, size);
    if (result > 0)
        return TW_STATUS_OK;
    if (result == 0)
        result = self->blas.dpocon(LAPACK_COL_MAJOR, 'L', size, self->a, size, norm, &reciprocal);
    if (result != 0)
        return tw_blas_error(result, "ridge: Cholesky factorization", error);
    *is_done = reciprocal >= RIDGE_WELL_CONDITIONED * lost;
    return TW_STATUS_OK;
}

/* w += (A + l2 I)^-1 right, by the factor. `right` is spoiled. */
static tw_status ridge_add_solution(ridge *self, double *right, tw_error *error)
{
    lapack_int size = (lapack_int)self->n;
    for (size_t j = 0; j < self->n; j++)
        right[j] *= self->scale[j];
    lapack_int result = self->blas.dpotrs(LAPACK_COL_MAJOR, 'L', size, 1, self->a, size, right, size);
    if (result != 0)
        return tw_blas_error(result, "ridge: Cholesky solve", error);
    for (size_t j = 0; j < self->n; j++)
        self->x[j] += self->scale[j] * right[j];
    ridge_set_bias(self);
    return TW_STATUS_OK;
}

/* The refinement: the gradient at w, with the bias at its best, is what is missing of r. */
static tw_status ridge_refine(ridge *self, tw_error *error)
{
    (void)tw_linear_objective_evaluate(&self->objective, self->x, self->gradient);
    double bias_gradient = self->objective.has_bias ? self->gradient[self->n] : 0.0;
    for (size_t j = 0; j < self->n; j++)
        self->gradient[j] = self->mean[j] * bias_gradient - self->gradient[j];
    return ridge_add_solution(self, self->gradient, error);
}

/* Row i of (sqrt(c) (x - m), sqrt(c) (y - mean)), or zeros behind the last, into a row of the panel. */
static void ridge_fill(const ridge *self, const tw_gram_problem *rows, uint64_t i, double *row)
{
    size_t n = self->n, height = n + RIDGE_ROWS;
    if (i < self->matrix->n_events) {
        double root = tw_gram_row(rows, i, row, height);
        row[n * height] = root * ((double)self->matrix->label[i] - self->mean_y);
        return;
    }
    for (size_t j = 0; j <= n; j++)
        row[j * height] = 0.0;
}

/* The triangle R [n x n] and Q'y in the last column of the panel, from l2 and then the rows a block at a time. */
static tw_status ridge_triangle(ridge *self, tw_error *error)
{
    const tw_gram_problem rows = ridge_rows(self);
    size_t n = self->n, height = n + RIDGE_ROWS;
    double *tau = tw_alloc((n + 1) * sizeof *tau);
    lapack_int result = 0;
    if (tau == NULL)
        return tw_no_memory(error, (n + 1) * sizeof *tau);
    memset(self->panel, 0, height * (n + 1) * sizeof *self->panel);
    for (size_t j = 0; j < n; j++)
        self->panel[j * height + j] = sqrt(self->l2);
    for (uint64_t from = 0; result == 0 && from < self->matrix->n_events; from += RIDGE_ROWS) {
        for (uint64_t k = 0; k < RIDGE_ROWS; k++)
            ridge_fill(self, &rows, from + k, self->panel + n + k);
        result = self->blas.dgeqrf(
            LAPACK_COL_MAJOR, (lapack_int)height, (lapack_int)n + 1, self->panel, (lapack_int)height, tau);
        /* Below the triangle lie the reflectors. */
        for (size_t j = 0; j < n; j++)
            memset(self->panel + j * height + j + 1, 0, (n - j - 1) * sizeof *self->panel);
    }
    tw_free(tau);
    return result == 0 ? TW_STATUS_OK : tw_blas_error(result, "ridge: QR factorization", error);
}

/* The reciprocal condition of R with its columns scaled to length 1; 0 if a column is 0. Uses `a`. */
static double ridge_condition(ridge *self)
{
    size_t n = self->n, height = n + RIDGE_ROWS;
    double reciprocal = 0.0;
    for (size_t j = 0; j < n; j++) {
        double *column = self->panel + j * height, length = sqrt(tw_dot_double(column, column, j + 1));
        if (!(length > 0.0))
            return 0.0;
        for (size_t i = 0; i < n; i++)
            self->a[j * n + i] = i <= j ? column[i] / length : 0.0;
    }
    if (self->blas.dtrcon(LAPACK_COL_MAJOR, '1', 'U', 'N', (lapack_int)n, self->a, (lapack_int)n, &reciprocal) != 0)
        return 0.0;
    return reciprocal;
}

/* w of R w = Q'y; of least length where R is not of full rank. */
static tw_status ridge_solve_triangle(ridge *self, tw_error *error)
{
    size_t n = self->n, height = n + RIDGE_ROWS;
    lapack_int size = (lapack_int)n, result, rank = 0;
    double *right = self->panel + n * height;
    if (ridge_condition(self) > 16.0 * (double)n * DBL_EPSILON) {
        result =
            self->blas.dtrtrs(LAPACK_COL_MAJOR, 'U', 'N', 'N', size, 1, self->panel, (lapack_int)height, right, size);
    } else {
        double rows = (double)self->matrix->n_events, least = DBL_EPSILON * (rows > (double)n ? rows : (double)n);
        for (size_t j = 0; j < n; j++)
            memcpy(self->a + j * n, self->panel + j * height, n * sizeof *self->a);
        result =
            self->blas.dgelsd(LAPACK_COL_MAJOR, size, size, 1, self->a, size, right, size, self->scale, least, &rank);
    }
    if (result != 0)
        return tw_blas_error(result, "ridge: solving the triangle", error);
    memcpy(self->x, right, n * sizeof *self->x);
    ridge_set_bias(self);
    return TW_STATUS_OK;
}

static tw_status ridge_by_qr(ridge *self, tw_error *error)
{
    size_t size = (self->n + RIDGE_ROWS) * (self->n + 1) * sizeof(double);
    self->panel = tw_alloc(size);
    if (self->panel == NULL)
        return tw_no_memory(error, size);
    TRY(ridge_triangle(self, error));
    return ridge_solve_triangle(self, error);
}

static tw_status ridge_run(ridge *self, tw_error *error)
{
    bool is_done = false;
    ridge_means(self);
    ridge_set_bias(self);
    if (self->n == 0)
        return TW_STATUS_OK;
    TRY(ridge_factor(self, &is_done, error));
    if (!is_done)
        return ridge_by_qr(self, error);
    TRY(ridge_add_solution(self, self->pull, error));
    return ridge_refine(self, error);
}

static tw_status ridge_finish(ridge *self, tw_fit_solution *solution, tw_error *error)
{
    double reference = tw_linear_objective_reference(&self->objective, self->scale, self->gradient);
    solution->objective = tw_linear_objective_evaluate(&self->objective, self->x, self->gradient);
    double norm = tw_scaled_norm(self->gradient, self->scale, self->objective.n);
    if (!isfinite(solution->objective) || !isfinite(norm))
        return tw_error_set(error, TW_STATUS_NUMERIC,
            "ridge: the objective is %g at the result; scale values and labels", solution->objective);
    solution->measure = reference > 0.0 ? norm / reference : norm;
    solution->is_converged = solution->measure <= RIDGE_CONVERGED;
    solution->iterations = 1;
    tw_linear_objective_finish(&self->objective, self->x, solution);
    return TW_STATUS_OK;
}

static tw_status ridge_alloc(ridge *self, tw_error *error)
{
    size_t width = self->n + 1, size = (5 * width + self->n * self->n) * sizeof(double);
    self->mean = tw_alloc_zero(size);
    if (self->mean == NULL)
        return tw_no_memory(error, size);
    self->pull = self->mean + width;
    self->scale = self->mean + 2 * width;
    self->x = self->mean + 3 * width;
    self->gradient = self->mean + 4 * width;
    self->a = self->mean + 5 * width;
    return TW_STATUS_OK;
}

static tw_status ridge_check(const tw_option_values *options, const tw_fit_problem *problem, tw_error *error)
{
    int64_t limit = tw_option_int(options, "max_columns");
    if (problem->loss.kind != TW_LOSS_SQUARED)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED, "solver ridge needs a model with squared loss");
    if ((int64_t)problem->matrix->n_columns > limit)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED,
            "solver ridge: %u features, the limit max_columns is %lld; raise it or use lbfgs or newton",
            problem->matrix->n_columns, (long long)limit);
    return TW_STATUS_OK;
}

static tw_status ridge_solve(
    const tw_option_values *options, const tw_fit_problem *problem, tw_fit_solution *solution, tw_error *error)
{
    ridge self = {.matrix = problem->matrix, .l2 = tw_option_real(options, "l2"), .n = problem->matrix->n_columns};
    TRY(ridge_check(options, problem, error));
    TRY(tw_blas_open(&self.blas, error));
    tw_status status = tw_linear_objective_init(&self.objective, problem, self.l2, "ridge", error);
    if (status == TW_STATUS_OK)
        status = ridge_alloc(&self, error);
    if (status == TW_STATUS_OK)
        status = ridge_run(&self, error);
    if (status == TW_STATUS_OK)
        status = ridge_finish(&self, solution, error);
    tw_free(self.panel);
    tw_free(self.mean);
    tw_linear_objective_fini(&self.objective);
    return status;
}

const tw_solver_ops tw_solver_ridge = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_solver_ops),
    .name = "ridge",
    .summary = "linear and ridge regression by Cholesky, or by QR when ill-conditioned",
    .kind = TW_SOLVER_LINEAR,
    .options = ridge_options,
    .solve = ridge_solve,
};
