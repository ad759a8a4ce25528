/* newton: a linear model with L2 penalty by Newton's method: few steps, each with second derivatives.
 *
 * Minimizes   F(w, b) = sum_i c_i loss(s_i, y_i) + (l2 / 2) |w|^2,   s_i = w x_i + b
 *             as lbfgs does: a sum over events; the bias is not penalized. Losses: logistic, squared, poisson.
 *             liblinear -s 0 -c C is l2 = 1 / C; scikit-learn LogisticRegression(C) is l2 = 1 / C
 * Method      Up to dense_columns features: damped Newton. The Hessian is formed and factored by Cholesky with its
 *             diagonal scaled to 1; where that fails (columns that depend on each other and l2 = 0) a multiple of the
 *             diagonal is added, 1e-12 and then tenfold until it goes. Line search for the strong Wolfe conditions.
 *             Above: trust-region Newton (Lin, Weng and Keerthi, JMLR 9, 2008). The step is that of conjugate gradients
 *             with the Hessian's diagonal as preconditioner, to a residual of min(0.1, sqrt(measure)). It is taken if F
 *             falls by more than 1e-4 of what the model says. The radius becomes a quarter of the step below a ratio of
 *             0.25, and four times itself above 0.75 if the step ended at the border (Nocedal and Wright, alg. 4.1).
 *
 * Stops       when |gradient|_D <= tolerance |gradient at w = 0, b = 0|_D; D as in lbfgs
 *
 * Limits      dense: n^2 doubles, OpenBLAS and LAPACKE; sparse: 8 n + 2 n_events doubles, no library; one thread */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/try.h"
#include "math/blas.h"
#include "math/gram.h"
#include "math/line_search.h"
#include "math/linear_objective.h"
#include "math/optimize.h"
#include "math/trust_region.h"
#include "thalweg/learner.h"

/* No damping, then 1e-12 ... 10, with which every Hessian is positive definite in double. */
enum { NEWTON_DAMPINGS = 15 };

static const double NEWTON_LEAST_RATIO = 1e-4, NEWTON_NOISE = 1e-13;

static const tw_option newton_options[] = {
    {.name = "l2",
        .type = TW_OPTION_REAL,
        .fallback = "1",
        .min = 0,
        .max = 1e12,
        .help =
            "penalty (l2 / 2) |w|^2 beside the sum of losses; 1 / C of liblinear and scikit-learn, whose default is 1"},
    {.name = "tolerance",
        .type = TW_OPTION_REAL,
        .fallback = "1e-6",
        .min = 0,
        .max = 1,
        .help = "stop when the scaled gradient has this part of its size at zero weights"},
    {.name = "max_iterations", .type = TW_OPTION_INT, .fallback = "200", .min = 0, .max = 1e6, .help = "most steps"},
    {.name = "dense_columns",
        .type = TW_OPTION_INT,
        .fallback = "2000",
        .min = 0,
        .max = 20000,
        .help = "up to so many features the whole Hessian is formed; above, only its products with vectors"},
    {0}};

typedef struct newton {
    const tw_fit_problem *problem;
    tw_linear_objective objective;
    tw_blas blas;
    size_t n;
    double value, tolerance, reference, radius;
    uint32_t max_iterations;
    bool is_dense;
    double *memory;
    double *x, *gradient, *trial, *trial_gradient, *direction, *scale, *diagonal, *work; /* [n]; work [4 n] */
    double *hessian;                                                                     /* [n x n], dense */
} newton;

/* Takes the trial point; the scores of the objective are the trial's. */
static void newton_take(newton *self, double value)
{
    double *kept = self->gradient;
    memcpy(self->x, self->trial, self->n * sizeof *self->x);
    self->gradient = self->trial_gradient;
    self->trial_gradient = kept;
    self->value = value;
    tw_linear_objective_bend(&self->objective);
}

static double newton_measure(const newton *self, const double *gradient)
{
    double norm = tw_scaled_norm(gradient, self->scale, self->n);
    return self->reference > 0.0 ? norm / self->reference : norm;
}

static double newton_along(void *context, double step, double *slope)
{
    newton *self = context;
    for (size_t j = 0; j < self->n; j++)
        self->trial[j] = self->x[j] + step * self->direction[j];
    double value = tw_linear_objective_evaluate(&self->objective, self->trial, self->trial_gradient);
    *slope = tw_dot_double(self->trial_gradient, self->direction, self->n);
    return value;
}

/* The lower triangle and the diagonal of S H S + damping I, from the upper triangle. */
static void newton_damp(newton *self, double damping)
{
    size_t n = self->n;
    for (size_t j = 0; j < n; j++) {
        for (size_t i = j + 1; i < n; i++)
            self->hessian[j * n + i] = self->hessian[i * n + j];
        self->hessian[j * n + j] = 1.0 + damping;
    }
}

/* Forms S H S, S = diag(H)^-1/2 (1 for a column of zeros), in the upper triangle: a factor takes the lower one and the
 * diagonal. */
static tw_status newton_form(newton *self, tw_error *error)
{
    const tw_gram_problem rows = {
        .matrix = self->objective.matrix, .factor = self->objective.curvature, .has_one = self->objective.has_bias};
    size_t n = self->n;
    double *h = self->hessian, *root = self->diagonal;
    TRY(tw_gram(&rows, &self->blas, h, NULL, error));
    for (size_t j = 0; j < n; j++) {
        h[j * n + j] += j < self->objective.matrix->n_columns ? self->objective.l2 : 0.0;
        root[j] = h[j * n + j] > 0.0 ? 1.0 / sqrt(h[j * n + j]) : 1.0;
    }
    for (size_t j = 0; j < n; j++) {
        for (size_t i = j + 1; i < n; i++)
            h[i * n + j] = h[j * n + i] * root[i] * root[j];
    }
    return TW_STATUS_OK;
}

/* direction = -(H + damping)^-1 gradient. */
static tw_status newton_direction(newton *self, tw_error *error)
{
    lapack_int size = (lapack_int)self->n, result = 1;
    TRY(newton_form(self, error));
    double damping = 0.0;
    for (int attempt = 0; attempt < NEWTON_DAMPINGS && result > 0; attempt++) {
        newton_damp(self, damping);
        result = self->blas.dpotrf(LAPACK_COL_MAJOR, 'L', size, self->hessian, size);
        damping = damping > 0.0 ? 10.0 * damping : 1e-12;
    }
    for (size_t j = 0; j < self->n; j++)
        self->direction[j] = -self->diagonal[j] * self->gradient[j];
    if (result == 0)
        result = self->blas.dpotrs(LAPACK_COL_MAJOR, 'L', size, 1, self->hessian, size, self->direction, size);
    if (result != 0)
        return tw_blas_error(result, "newton: Cholesky factorization of the Hessian", error);
    for (size_t j = 0; j < self->n; j++)
        self->direction[j] *= self->diagonal[j];
    return TW_STATUS_OK;
}

/* *is_better false: no step is better in double. */
static tw_status newton_dense_step(newton *self, bool *is_better, tw_error *error)
{
    const tw_line line = {self, newton_along};
    double step = 1.0, reached = 0.0;
    TRY(newton_direction(self, error));
    double slope = tw_dot_double(self->gradient, self->direction, self->n);
    *is_better = slope < 0.0 && tw_line_search(&line, self->value, slope, &step, &reached);
    if (*is_better)
        newton_take(self, reached);
    return TW_STATUS_OK;
}

static void newton_product(void *context, const double *direction, double *product)
{
    const newton *self = context;
    tw_linear_objective_product(&self->objective, direction, product);
}

/* One attempt; smaller regions follow until a step is taken. *is_better as above. */
static void newton_sparse_step(newton *self, bool *is_better)
{
    const tw_quadratic model = {self->n, self->gradient, self->diagonal, self, newton_product};
    double measure = newton_measure(self, self->gradient), part = sqrt(measure) < 0.1 ? sqrt(measure) : 0.1, slope;
    tw_linear_objective_diagonal(&self->objective, self->diagonal);
    if (self->radius <= 0.0)
        self->radius = tw_scaled_norm(self->gradient, self->diagonal, self->n);
    for (*is_better = false; !*is_better && self->radius > 0.0;) {
        tw_trust_step step = tw_trust_solve(&model, self->radius, part, self->direction, self->work);
        double value = newton_along(self, 1.0, &slope), ratio = (self->value - value) / step.decrease;
        bool is_noise = fabs(value - self->value) <= NEWTON_NOISE * fabs(self->value);
        *is_better = is_noise ? newton_measure(self, self->trial_gradient) < measure : ratio > NEWTON_LEAST_RATIO;
        if (is_noise && !*is_better)
            return;
        if (!(ratio >= 0.25) && !is_noise)
            self->radius = 0.25 * step.length;
        else if (ratio > 0.75 && step.is_at_border)
            self->radius *= 4.0;
        if (*is_better)
            newton_take(self, value);
    }
}

static tw_status newton_run(newton *self, tw_fit_solution *solution, tw_error *error)
{
    const tw_fit_problem *problem = self->problem;
    bool is_better = true;
    for (solution->iterations = 0; is_better; solution->iterations += is_better) {
        solution->objective = self->value;
        solution->measure = newton_measure(self, self->gradient);
        solution->is_converged = solution->measure <= self->tolerance;
        if (solution->is_converged || solution->iterations == self->max_iterations)
            break;
        if (problem->progress != NULL &&
            problem->progress(problem->context, solution->iterations, solution->objective, solution->measure))
            break;
        if (self->is_dense)
            TRY(newton_dense_step(self, &is_better, error));
        else
            newton_sparse_step(self, &is_better);
    }
    tw_linear_objective_finish(&self->objective, self->x, solution);
    return TW_STATUS_OK;
}

static tw_status newton_alloc(newton *self, tw_error *error)
{
    size_t n = self->n, size = (11 * n + (self->is_dense ? n * n : 0) + 1) * sizeof(double);
    self->memory = tw_alloc(size);
    if (self->memory == NULL)
        return tw_no_memory(error, size);
    self->x = self->memory;
    self->gradient = self->memory + n;
    self->trial = self->memory + 2 * n;
    self->trial_gradient = self->memory + 3 * n;
    self->direction = self->memory + 4 * n;
    self->scale = self->memory + 5 * n;
    self->diagonal = self->memory + 6 * n;
    self->work = self->memory + 7 * n;
    self->hessian = self->memory + 11 * n;
    return TW_STATUS_OK;
}

static tw_status newton_start(newton *self, const tw_fit_solution *solution, tw_error *error)
{
    TRY(newton_alloc(self, error));
    self->reference = tw_linear_objective_reference(&self->objective, self->scale, self->gradient);
    tw_linear_objective_start(&self->objective, solution, self->trial);
    double value = tw_linear_objective_evaluate(&self->objective, self->trial, self->trial_gradient);
    newton_take(self, value);
    if (!isfinite(value) || !isfinite(tw_scaled_norm(self->gradient, self->scale, self->n)))
        return tw_error_set(
            error, TW_STATUS_NUMERIC, "newton: the objective is %g at the start; scale values and labels", value);
    return TW_STATUS_OK;
}

static tw_status newton_solve(
    const tw_option_values *options, const tw_fit_problem *problem, tw_fit_solution *solution, tw_error *error)
{
    newton self = {.problem = problem,
        .tolerance = tw_option_real(options, "tolerance"),
        .max_iterations = (uint32_t)tw_option_int(options, "max_iterations"),
        .is_dense = (int64_t)problem->matrix->n_columns <= tw_option_int(options, "dense_columns")};
    if (self.is_dense)
        TRY(tw_blas_open(&self.blas, error));
    tw_status status =
        tw_linear_objective_init(&self.objective, problem, tw_option_real(options, "l2"), "newton", error);
    self.n = self.objective.n;
    if (status == TW_STATUS_OK)
        status = newton_start(&self, solution, error);
    if (status == TW_STATUS_OK)
        status = newton_run(&self, solution, error);
    tw_free(self.memory);
    tw_linear_objective_fini(&self.objective);
    return status;
}

const tw_solver_ops tw_solver_newton = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_solver_ops),
    .name = "newton",
    .summary = "linear model with L2 penalty by Newton's method (logistic, squared, poisson loss)",
    .kind = TW_SOLVER_LINEAR,
    .options = newton_options,
    .solve = newton_solve,
};
