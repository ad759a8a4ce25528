#include "math/optimize.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "math/line_search.h"
#include "math/pairs.h"

enum { OWLQN_CUTS = 60 };

/* Of `x` the caller's array; `steep` is the gradient, or the pseudo-gradient where there is an l1 term. */
typedef struct search {
    const tw_function *function;
    const tw_optimize_options *options;
    tw_pairs pairs;
    double *memory;
    double *x, *gradient, *steep, *direction, *trial, *trial_gradient, *trial_steep;
    bool *is_fixed; /* [n], tw_owlqn only */
    double value, trial_value, l1;
    size_t n, n_l1;
} search;

double tw_dot_double(const double *a, const double *b, size_t n)
{
    double sum[4] = {0.0, 0.0, 0.0, 0.0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (size_t k = 0; k < 4; k++)
            sum[k] += a[i + k] * b[i + k];
    }
    for (; i < n; i++)
        sum[0] += a[i] * b[i];
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

double tw_scaled_norm(const double *g, const double *scale, size_t n)
{
    double sum = 0.0;
    if (scale == NULL)
        return sqrt(tw_dot_double(g, g, n));
    for (size_t i = 0; i < n; i++)
        sum += g[i] * g[i] / scale[i];
    return sqrt(sum);
}

/* The steepest slope among those that the corner of |x_j| at 0 leaves open; 0 if it can be 0 (Andrew and Gao, eq. 4).
 */
static void pseudo_gradient(const search *self, const double *x, const double *gradient, double *steep)
{
    memcpy(steep, gradient, self->n * sizeof *steep);
    for (size_t j = 0; j < self->n_l1; j++) {
        double g = gradient[j];
        if (x[j] != 0.0)
            steep[j] = x[j] > 0.0 ? g + self->l1 : g - self->l1;
        else
            steep[j] = g + self->l1 < 0.0 ? g + self->l1 : g - self->l1 > 0.0 ? g - self->l1 : 0.0;
    }
}

/* Value and gradients of the whole function at `trial`. */
static void evaluate_trial(search *self)
{
    double sum = 0.0;
    self->trial_value = self->function->evaluate(self->function->context, self->trial, self->trial_gradient);
    for (size_t j = 0; j < self->n_l1; j++)
        sum += fabs(self->trial[j]);
    self->trial_value += self->l1 * sum;
    if (self->trial_steep != self->trial_gradient)
        pseudo_gradient(self, self->trial, self->trial_gradient, self->trial_steep);
}

static void swap(double **a, double **b)
{
    double *kept = *a;
    *a = *b;
    *b = kept;
}

static void take_trial(search *self)
{
    bool is_smooth = self->steep == self->gradient;
    memcpy(self->x, self->trial, self->n * sizeof *self->x);
    self->value = self->trial_value;
    swap(&self->gradient, &self->trial_gradient);
    swap(&self->steep, &self->trial_steep);
    if (is_smooth) {
        self->steep = self->gradient;
        self->trial_steep = self->trial_gradient;
    }
}

static tw_status search_init(
    search *self, const tw_function *function, const tw_optimize_options *options, bool is_smooth, tw_error *error)
{
    size_t n = function->n, size = (is_smooth ? 4 : 6) * n * sizeof(double) + (is_smooth ? 0 : n * sizeof(bool)) + 1;
    *self = (search){.function = function, .options = options, .n = n};
    self->memory = tw_alloc(size);
    if (self->memory == NULL)
        return tw_no_memory(error, size);
    self->gradient = self->memory;
    self->direction = self->memory + n;
    self->trial = self->memory + 2 * n;
    self->trial_gradient = self->memory + 3 * n;
    self->steep = is_smooth ? self->gradient : self->memory + 4 * n;
    self->trial_steep = is_smooth ? self->trial_gradient : self->memory + 5 * n;
    self->is_fixed = (bool *)(void *)(self->memory + (is_smooth ? 4 : 6) * n);
    self->l1 = is_smooth ? 0.0 : options->l1;
    self->n_l1 = is_smooth || options->l1 == 0.0 ? 0 : options->n_l1;
    return tw_pairs_init(&self->pairs, n, options->memory, options->scale, error);
}

static void search_fini(search *self)
{
    tw_pairs_fini(&self->pairs);
    tw_free(self->memory);
}

static double steep_norm(const search *self)
{
    return tw_scaled_norm(self->steep, self->options->scale, self->n);
}

/* Evaluates 0 and the start. *reference is the norm at 0. */
static tw_status search_start(search *self, double *reference, tw_error *error)
{
    bool is_zero = true;
    for (size_t j = 0; j < self->n; j++)
        is_zero = is_zero && self->x[j] == 0.0;
    memcpy(self->direction, self->x, self->n * sizeof *self->x);
    memset(self->trial, 0, self->n * sizeof *self->trial);
    evaluate_trial(self);
    take_trial(self);
    *reference = steep_norm(self);
    if (!is_zero) {
        memcpy(self->trial, self->direction, self->n * sizeof *self->trial);
        evaluate_trial(self);
        take_trial(self);
    }
    if (!isfinite(self->value) || !isfinite(steep_norm(self)) || !isfinite(*reference))
        return tw_error_set(error, TW_STATUS_NUMERIC,
            "the objective is %g at the start and its gradient's size %g; scale values and labels", self->value,
            steep_norm(self));
    return TW_STATUS_OK;
}

static double along_direction(void *context, double step, double *slope)
{
    search *self = context;
    for (size_t j = 0; j < self->n; j++)
        self->trial[j] = self->x[j] + step * self->direction[j];
    evaluate_trial(self);
    *slope = tw_dot_double(self->trial_gradient, self->direction, self->n);
    return self->trial_value;
}

static bool lbfgs_step(search *self)
{
    double step = 1.0, reached, slope;
    const tw_line line = {self, along_direction};
    tw_pairs_direction(&self->pairs, self->gradient, NULL, self->direction);
    slope = tw_dot_double(self->gradient, self->direction, self->n);
    return slope < 0.0 && tw_line_search(&line, self->value, slope, &step, &reached);
}

/* The step in the orthant of x, or at a 0 of x in that of the pseudo-gradient: what would leave it becomes 0. */
static void project_trial(search *self, double step)
{
    for (size_t j = 0; j < self->n; j++) {
        double x = self->x[j], to = x + step * self->direction[j], side = x != 0.0 ? x : -self->steep[j];
        bool leaves = side > 0.0 ? to < 0.0 : side < 0.0 ? to > 0.0 : to != 0.0;
        self->trial[j] = j < self->n_l1 && leaves ? 0.0 : to;
    }
}

/* The direction of L-BFGS among the variables that can move: those not at 0, and those that leave 0 downhill. */
static double owlqn_direction(search *self)
{
    for (size_t j = 0; j < self->n; j++)
        self->is_fixed[j] = j < self->n_l1 && self->x[j] == 0.0 && self->steep[j] == 0.0;
    tw_pairs_direction(&self->pairs, self->steep, self->is_fixed, self->direction);
    for (size_t j = 0; j < self->n_l1; j++) {
        if (self->x[j] == 0.0 && self->direction[j] * self->steep[j] >= 0.0)
            self->direction[j] = 0.0;
    }
    return tw_dot_double(self->steep, self->direction, self->n);
}

static bool owlqn_step(search *self)
{
    double step = 1.0;
    if (!(owlqn_direction(self) < 0.0))
        return false;
    for (int cut = 0; cut < OWLQN_CUTS; cut++) {
        double slope = 0.0, reached_slope = 0.0;
        project_trial(self, step);
        evaluate_trial(self);
        for (size_t j = 0; j < self->n; j++) {
            slope += self->steep[j] * (self->trial[j] - self->x[j]);
            reached_slope += self->trial_steep[j] * (self->trial[j] - self->x[j]);
        }
        if (slope < 0.0 && tw_line_decreases(self->value, slope, 1.0, self->trial_value, reached_slope))
            return true;
        step *= 0.5;
    }
    return false;
}

/* One step, without memory if the memory misleads. False: no step is better in double. */
static bool advance(search *self, bool (*step)(search *self))
{
    if (!step(self)) {
        if (self->pairs.count == 0)
            return false;
        tw_pairs_clear(&self->pairs);
        if (!step(self))
            return false;
    }
    tw_pairs_add(&self->pairs, self->trial, self->x, self->trial_gradient, self->gradient);
    take_trial(self);
    return true;
}

static void search_run(search *self, double reference, bool (*step)(search *self), tw_optimize_result *result)
{
    const tw_function *function = self->function;
    for (result->iterations = 0;; result->iterations++) {
        result->objective = self->value;
        result->measure = reference > 0.0 ? steep_norm(self) / reference : steep_norm(self);
        result->is_converged = result->measure <= self->options->tolerance;
        if (result->is_converged || result->iterations == self->options->max_iterations)
            return;
        if (function->progress != NULL &&
            function->progress(function->progress_context, result->iterations, result->objective, result->measure))
            return;
        if (!advance(self, step))
            return;
    }
}

static tw_status minimize(
    search *self, double *x, bool (*step)(search *self), tw_optimize_result *result, tw_error *error)
{
    double reference = 0.0;
    self->x = x;
    tw_status status = search_start(self, &reference, error);
    if (status == TW_STATUS_OK)
        search_run(self, reference, step, result);
    return status;
}

tw_status tw_lbfgs(const tw_function *function,
    const tw_optimize_options *options,
    double *x,
    tw_optimize_result *result,
    tw_error *error)
{
    search self;
    tw_status status = search_init(&self, function, options, true, error);
    if (status == TW_STATUS_OK)
        status = minimize(&self, x, lbfgs_step, result, error);
    search_fini(&self);
    return status;
}

tw_status tw_owlqn(const tw_function *function,
    const tw_optimize_options *options,
    double *x,
    tw_optimize_result *result,
    tw_error *error)
{
    search self;
    tw_status status = search_init(&self, function, options, false, error);
    if (status == TW_STATUS_OK)
        status = minimize(&self, x, owlqn_step, result, error);
    search_fini(&self);
    return status;
}
