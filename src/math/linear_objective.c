#include "math/linear_objective.h"

#include <string.h>

#include "base/alloc.h"
#include "math/function.h"
#include "math/loss.h"
#include "math/optimize.h"

/* Events whose entries stay in the first cache between the score and the gradient. */
enum { OBJECTIVE_BLOCK = 128 };

static const char *const loss_names[] = {
    [TW_LOSS_NONE] = "no",
    [TW_LOSS_LOGISTIC] = "logistic",
    [TW_LOSS_SQUARED] = "squared",
    [TW_LOSS_HINGE] = "hinge",
    [TW_LOSS_POISSON] = "poisson",
    [TW_LOSS_QUANTILE] = "quantile",
};

static tw_status check_labels(const tw_fit_problem *problem, tw_error *error)
{
    const tw_matrix *matrix = problem->matrix;
    if (problem->loss.kind == TW_LOSS_SQUARED)
        return TW_STATUS_OK;
    bool is_logistic = problem->loss.kind == TW_LOSS_LOGISTIC;
    for (uint64_t i = 0; i < matrix->n_events; i++) {
        float label = matrix->label[i];
        if (!(label >= 0.0f && (!is_logistic || label <= 1.0f)))
            return tw_error_set(error, TW_STATUS_INVALID, "the label of event %llu is %g; %s loss takes %s",
                (unsigned long long)i + 1, (double)label, loss_names[problem->loss.kind],
                is_logistic ? "0 to 1" : "0 or more");
    }
    return TW_STATUS_OK;
}

tw_status tw_linear_objective_init(
    tw_linear_objective *self, const tw_fit_problem *problem, double l2, const char *solver, tw_error *error)
{
    const tw_matrix *matrix = problem->matrix;
    size_t size = (size_t)matrix->n_events * 2 * sizeof(double) + 1;
    *self = (tw_linear_objective){.matrix = matrix, .loss = problem->loss, .has_bias = problem->has_bias, .l2 = l2};
    self->kernels = tw_kernels_best();
    self->n = (size_t)matrix->n_columns + (problem->has_bias ? 1 : 0);
    tw_loss_kind kind = problem->loss.kind;
    if (matrix->n_events == 0)
        return tw_error_set(error, TW_STATUS_INVALID, "solver %s: there is no event with a label", solver);
    if (kind != TW_LOSS_LOGISTIC && kind != TW_LOSS_SQUARED && kind != TW_LOSS_POISSON)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED,
            "solver %s needs a smooth loss: logistic, squared or poisson; the model has %s loss", solver,
            kind <= TW_LOSS_QUANTILE ? loss_names[kind] : "an unknown");
    tw_status status = check_labels(problem, error);
    if (status != TW_STATUS_OK)
        return status;
    self->score = tw_alloc_zero(size);
    if (self->score == NULL)
        return tw_no_memory(error, size);
    self->curvature = self->score + matrix->n_events;
    return TW_STATUS_OK;
}

void tw_linear_objective_fini(tw_linear_objective *self)
{
    tw_free(self->score);
    self->score = NULL;
}

/* Logistic losses and slopes of events [from, to). The function of the margin m is log(1 + e^-m), the loss of label 1
 * at m = s and of label 0 at m = -s, without cancellation; a label y between them costs (1 - y) s more than label 1. */
static void block_logistic(const tw_linear_objective *self, uint64_t from, uint64_t to, double *loss, double *slope)
{
    const float *label = self->matrix->label;
    double margin[OBJECTIVE_BLOCK];
    for (uint64_t i = from; i < to; i++)
        margin[i - from] = label[i] == 0.0f ? -self->score[i] : self->score[i];
    self->kernels->logistic_double(margin, slope, loss, to - from);
    for (uint64_t i = from; i < to; i++) {
        double y = (double)label[i], *at = &slope[i - from];
        *at = y == 0.0 ? 1.0 - *at : *at - y;
        loss[i - from] += y == 0.0 ? 0.0 : (1.0 - y) * self->score[i];
    }
}

/* Weighted slopes of the losses of events [from, to) at slope[0 ...]; returns the sum of their weighted losses. */
static double block_losses(const tw_linear_objective *self, uint64_t from, uint64_t to, double *slope)
{
    const tw_matrix *matrix = self->matrix;
    double loss[OBJECTIVE_BLOCK], sum = 0.0;
    if (self->loss.kind == TW_LOSS_LOGISTIC)
        block_logistic(self, from, to, loss, slope);
    for (uint64_t i = from; i < to && self->loss.kind != TW_LOSS_LOGISTIC; i++) {
        loss[i - from] = tw_loss_value(self->loss, self->score[i], (double)matrix->label[i]);
        slope[i - from] = tw_loss_slope(self->loss, self->score[i], (double)matrix->label[i]);
    }
    for (uint64_t i = from; i < to; i++) {
        sum += (double)matrix->weight[i] * loss[i - from];
        slope[i - from] *= (double)matrix->weight[i];
    }
    return sum;
}

static double row_score(const tw_matrix *matrix, uint64_t i, const double *x, double bias)
{
    double sum = bias;
    for (uint64_t e = matrix->row_start[i]; e < matrix->row_start[i + 1]; e++)
        sum += (double)matrix->value[e] * x[matrix->column[e]];
    return sum;
}

static void row_scatter(const tw_matrix *matrix, uint64_t i, double factor, double *to)
{
    for (uint64_t e = matrix->row_start[i]; e < matrix->row_start[i + 1]; e++)
        to[matrix->column[e]] += factor * (double)matrix->value[e];
}

static double add_penalty(const tw_linear_objective *self, const double *x, double *gradient)
{
    double sum = 0.0;
    for (size_t j = 0; j < self->matrix->n_columns; j++) {
        sum += x[j] * x[j];
        gradient[j] += self->l2 * x[j];
    }
    return 0.5 * self->l2 * sum;
}

double tw_linear_objective_evaluate(void *context, const double *x, double *gradient)
{
    tw_linear_objective *self = context;
    const tw_matrix *matrix = self->matrix;
    double bias = self->has_bias ? x[self->n - 1] : 0.0, total = 0.0, bias_slope = 0.0, slope[OBJECTIVE_BLOCK];
    memset(gradient, 0, self->n * sizeof *gradient);
    for (uint64_t from = 0; from < matrix->n_events; from += OBJECTIVE_BLOCK) {
        uint64_t to = matrix->n_events - from < OBJECTIVE_BLOCK ? matrix->n_events : from + OBJECTIVE_BLOCK;
        double slopes = 0.0;
        for (uint64_t i = from; i < to; i++)
            self->score[i] = row_score(matrix, i, x, bias);
        total += block_losses(self, from, to, slope);
        for (uint64_t i = from; i < to; i++) {
            slopes += slope[i - from];
            row_scatter(matrix, i, slope[i - from], gradient);
        }
        bias_slope += slopes;
    }
    if (self->has_bias)
        gradient[self->n - 1] = bias_slope;
    return total + add_penalty(self, x, gradient);
}

void tw_linear_objective_bend(tw_linear_objective *self)
{
    for (uint64_t i = 0; i < self->matrix->n_events; i++)
        self->curvature[i] = (double)self->matrix->weight[i] * tw_loss_curvature(self->loss, self->score[i]);
}

void tw_linear_objective_diagonal(const tw_linear_objective *self, double *diagonal)
{
    const tw_matrix *matrix = self->matrix;
    double sum = 0.0;
    memset(diagonal, 0, self->n * sizeof *diagonal);
    for (uint64_t i = 0; i < matrix->n_events; i++) {
        sum += self->curvature[i];
        for (uint64_t e = matrix->row_start[i]; e < matrix->row_start[i + 1]; e++)
            diagonal[matrix->column[e]] += self->curvature[i] * (double)matrix->value[e] * (double)matrix->value[e];
    }
    if (self->has_bias)
        diagonal[self->n - 1] = sum;
    for (size_t j = 0; j < self->n; j++) {
        diagonal[j] += j < matrix->n_columns ? self->l2 : 0.0;
        if (!(diagonal[j] > 0.0))
            diagonal[j] = 1.0;
    }
}

void tw_linear_objective_product(const tw_linear_objective *self, const double *direction, double *product)
{
    const tw_matrix *matrix = self->matrix;
    double bias = self->has_bias ? direction[self->n - 1] : 0.0, sum = 0.0;
    for (size_t j = 0; j < matrix->n_columns; j++)
        product[j] = self->l2 * direction[j];
    for (uint64_t i = 0; i < matrix->n_events; i++) {
        double factor = self->curvature[i] * row_score(matrix, i, direction, bias);
        sum += factor;
        row_scatter(matrix, i, factor, product);
    }
    if (self->has_bias)
        product[self->n - 1] = sum;
}

double tw_linear_objective_reference(tw_linear_objective *self, double *scale, double *gradient)
{
    memset(scale, 0, self->n * sizeof *scale);
    (void)tw_linear_objective_evaluate(self, scale, gradient);
    tw_linear_objective_bend(self);
    tw_linear_objective_diagonal(self, scale);
    return tw_scaled_norm(gradient, scale, self->n);
}

void tw_linear_objective_start(const tw_linear_objective *self, const tw_fit_solution *solution, double *x)
{
    for (size_t j = 0; j < self->matrix->n_columns; j++)
        x[j] = solution->has_start ? solution->weight[j] : 0.0;
    if (self->has_bias)
        x[self->n - 1] = solution->has_start ? solution->bias : 0.0;
}

void tw_linear_objective_finish(const tw_linear_objective *self, const double *x, tw_fit_solution *solution)
{
    for (size_t j = 0; j < self->matrix->n_columns; j++)
        solution->weight[j] = x[j];
    solution->bias = self->has_bias ? x[self->n - 1] : 0.0;
}
