#include "math/linear_fit.h"

#include <math.h>

#include "base/alloc.h"
#include "math/linear_objective.h"

static tw_status finish(const tw_linear_objective *objective,
    const double *x,
    const tw_optimize_result *result,
    tw_fit_solution *solution,
    tw_error *error)
{
    for (size_t j = 0; j < objective->n; j++) {
        if (!isfinite(x[j]))
            return tw_error_set(error, TW_STATUS_NUMERIC, "weight %zu is not finite", j);
    }
    tw_linear_objective_finish(objective, x, solution);
    solution->objective = result->objective;
    solution->measure = result->measure;
    solution->iterations = result->iterations;
    solution->is_converged = result->is_converged;
    return TW_STATUS_OK;
}

static tw_status run(const tw_linear_fit *fit,
    const tw_fit_problem *problem,
    tw_linear_objective *objective,
    double *memory,
    tw_fit_solution *solution,
    tw_error *error)
{
    double *x = memory, *scale = memory + objective->n;
    tw_optimize_result result = {0};
    tw_optimize_options options = fit->options;
    const tw_function function = {.n = objective->n,
        .context = objective,
        .evaluate = tw_linear_objective_evaluate,
        .progress = problem->progress,
        .progress_context = problem->context};
    (void)tw_linear_objective_reference(objective, scale, x);
    tw_linear_objective_start(objective, solution, x);
    options.scale = scale;
    options.n_l1 = problem->matrix->n_columns;
    tw_status status = fit->minimize(&function, &options, x, &result, error);
    return status == TW_STATUS_OK ? finish(objective, x, &result, solution, error) : status;
}

tw_status tw_linear_fit_solve(
    const tw_linear_fit *fit, const tw_fit_problem *problem, tw_fit_solution *solution, tw_error *error)
{
    tw_linear_objective objective;
    tw_status status = tw_linear_objective_init(&objective, problem, fit->l2, fit->solver, error);
    size_t size = 2 * objective.n * sizeof(double) + 1;
    double *memory = status == TW_STATUS_OK ? tw_alloc(size) : NULL;
    if (status == TW_STATUS_OK)
        status = memory == NULL ? tw_no_memory(error, size) : run(fit, problem, &objective, memory, solution, error);
    tw_free(memory);
    tw_linear_objective_fini(&objective);
    return status;
}
