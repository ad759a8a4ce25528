#include "engine/fit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "math/loss.h"

tw_status tw_fit_check(const tw_model *model, const tw_solver_ops *solver, tw_error *error)
{
    const tw_learner_ops *learner = tw_model_learner(model);
    tw_task task = tw_model_traits(model)->task;
    tw_status status = TW_STATUS_OK;
    if (task == TW_TASK_COUNTING)
        status = tw_error_set(error, TW_STATUS_CONFIG,
            "train.mode: batch: learner %s counts, it has nothing to fit; use mode online", learner->name);
    else if (solver != NULL && (solver->kind == TW_SOLVER_CLUSTERING) != (task == TW_TASK_CLUSTERING))
        status = tw_error_set(error, TW_STATUS_CONFIG, "train.solver: %s fits %s, but learner %s is %s", solver->name,
            solver->kind == TW_SOLVER_CLUSTERING ? "centres" : "linear models", learner->name,
            task == TW_TASK_CLUSTERING ? "a clustering" : "a linear model");
    else if (solver != NULL && learner->warm_start == NULL)
        status = tw_error_set(error, TW_STATUS_CONFIG,
            "train.solver: learner %s cannot take over the weights of %s (it has no warm start); train.solver: online "
            "fits it by its own passes",
            learner->name, solver->name);
    if (status < 0)
        tw_error_code(error, "E130");
    return status;
}

void tw_fit_fini(tw_fit *self)
{
    tw_free(self->solution.weight);
    tw_free(self->solution.centre);
    tw_free(self->solution.centre_weight);
    tw_free(self->curvature);
    tw_row_image_fini(&self->rows);
    *self = (tw_fit){0};
}

static tw_status make_array(double **out, uint64_t n, tw_error *error)
{
    *out = tw_alloc_zero((n + 1) * sizeof **out);
    return *out != NULL ? TW_STATUS_OK : tw_no_memory(error, (n + 1) * sizeof **out);
}

static tw_status make_solution(
    tw_fit *self, const tw_matrix *matrix, const tw_solver_ops *solver, uint32_t n_centres, tw_error *error)
{
    tw_fit_solution *solution = &self->solution;
    if (solver->kind == TW_SOLVER_LINEAR) {
        tw_status status = make_array(&solution->weight, matrix->n_columns, error);
        return status == TW_STATUS_OK ? make_array(&self->curvature, matrix->n_columns, error) : status;
    }
    tw_status status = make_array(&solution->centre, (uint64_t)n_centres * matrix->dense_width, error);
    return status == TW_STATUS_OK ? make_array(&solution->centre_weight, n_centres, error) : status;
}

/* Share of the curvature that is handed over. A batch solver's weights lie further out than an online learner's, which
 * takes ever smaller steps towards them: with all of the curvature it would also leave them more slowly than it would
 * its own. Half of it makes steps larger by sqrt 2: on a9a the first 1,000 events lose 0.4 % against the batch model
 * (1: 0.2
 * %), and flipped labels are followed faster than by a model that was online from the start (1: 2 to 3 % slower). */
static const double curvature_share = 0.5;

/* tw_weights.curvature at the solution, entry by entry: an online learner would see them one by one, too. */
static void sum_curvature(tw_fit *self, const tw_matrix *m, tw_loss loss, bool has_bias)
{
    const double *w = self->solution.weight;
    for (uint64_t i = 0; i < m->n_events; i++) {
        double score = has_bias ? self->solution.bias : 0.0;
        for (uint64_t e = m->row_start[i]; e < m->row_start[i + 1]; e++)
            score += w[m->column[e]] * (double)m->value[e];
        double slope = tw_loss_slope(loss, score, (double)m->label[i]);
        double part = curvature_share * (double)m->weight[i] * slope * slope;
        for (uint64_t e = m->row_start[i]; e < m->row_start[i + 1]; e++)
            self->curvature[m->column[e]] += part * (double)m->value[e] * (double)m->value[e];
        self->fitted.bias_curvature += part;
    }
}

static tw_status fit_by_solver(tw_fit *self,
    const tw_learner_traits *traits,
    const tw_matrix *matrix,
    const tw_fit_options *options,
    const tw_fit_problem *problem,
    tw_error *error)
{
    const tw_solver_ops *solver = options->solver;
    tw_fit_solution *solution = &self->solution;
    tw_status status = make_solution(self, matrix, solver, options->n_centres, error);
    if (status == TW_STATUS_OK)
        status = solver->solve(options->solver_options, problem, solution, error);
    if (status < 0)
        return status;
    self->figures.iterations = solution->iterations;
    self->figures.objective = solution->objective;
    self->figures.measure = solution->measure;
    self->figures.is_converged = solution->is_converged;
    if (solver->kind == TW_SOLVER_LINEAR)
        sum_curvature(self, matrix, traits->loss, traits->has_bias);
    self->fitted.solution = solution;
    self->fitted.curvature = self->curvature;
    self->fitted.n_centres = options->n_centres;
    return TW_STATUS_OK;
}

static tw_status fit_by_passes(
    tw_fit *self, const tw_model *model, const tw_dataset *dataset, const tw_pass_options *passes, tw_error *error)
{
    tw_pass_result result;
    tw_status status = tw_passes_run(model, dataset, passes, &self->rows, &result, error);
    if (status != TW_STATUS_OK)
        return status;
    self->figures.iterations = result.passes;
    self->figures.objective = result.objective;
    self->figures.measure = result.measure;
    self->figures.is_converged = result.is_stopped_early;
    self->fitted.rows = &self->rows;
    return TW_STATUS_OK;
}

tw_status tw_fit_run(tw_fit *self,
    const tw_model *model,
    const tw_dataset *dataset,
    const tw_fit_options *options,
    tw_fit_progress progress,
    void *context,
    tw_error *error)
{
    const tw_learner_traits *traits = tw_model_traits(model);
    const tw_fit_problem problem = {
        .matrix = &dataset->matrix,
        .loss = traits->loss,
        .has_bias = traits->has_bias,
        .n_centres = options->n_centres,
        .seed = options->seed,
        .progress = progress,
        .context = context,
    };
    int64_t started_us = tw_clock_monotonic_us();
    tw_status status = tw_fit_check(model, options->solver, error);
    if (status == TW_STATUS_OK && options->solver != NULL) {
        status = fit_by_solver(self, traits, &dataset->matrix, options, &problem, error);
    } else if (status == TW_STATUS_OK) {
        tw_pass_options passes = options->passes;
        passes.progress = progress;
        passes.context = context;
        status = fit_by_passes(self, model, dataset, &passes, error);
    }
    (void)snprintf(self->figures.solver, sizeof self->figures.solver, "%s", options->name);
    self->figures.events = dataset->matrix.n_events;
    self->figures.seconds = (double)(tw_clock_monotonic_us() - started_us) / 1e6;
    return status;
}
