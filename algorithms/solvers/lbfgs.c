/* lbfgs: a linear model with L2 penalty by limited-memory BFGS.
 * Nocedal and Wright, Numerical Optimization, 2nd ed., algorithms 7.4 and 7.5; strong Wolfe line search.
 *
 * Minimizes   F(w, b) = sum_i c_i loss(s_i, y_i) + (l2 / 2) |w|^2,   s_i = w x_i + b
 *             a sum over events, c_i their weight; the bias b is not penalized. Losses: logistic, squared, poisson.
 *             liblinear -s 0 -c C is l2 = 1 / C (it penalizes its bias); LogisticRegression(C) of scikit-learn too
 *
 * Stops       when |gradient|_D <= tolerance |gradient at w = 0, b = 0|_D, where |g|_D = sqrt(sum g_j^2 / D_j) and D is
 *             the Hessian's diagonal at 0: the rule does not depend on the units of features or of the loss
 *
 * Options     l2, tolerance, max_iterations, memory: pairs kept of steps and gradient changes
 *
 * Memory      (2 memory + 8) n_columns + 2 n_events doubles beside the matrix; one thread; same input, same bits */
#include "math/linear_fit.h"
#include "thalweg/learner.h"

static const tw_option lbfgs_options[] = {
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
    {.name = "max_iterations", .type = TW_OPTION_INT, .fallback = "1000", .min = 0, .max = 1e6, .help = "most steps"},
    {.name = "memory",
        .type = TW_OPTION_INT,
        .fallback = "10",
        .min = 1,
        .max = 100,
        .help = "pairs of steps and gradient changes kept; 3 to 20 in Nocedal and Wright, section 7.2"},
    {0}};

static tw_status lbfgs_solve(
    const tw_option_values *options, const tw_fit_problem *problem, tw_fit_solution *solution, tw_error *error)
{
    const tw_linear_fit fit = {.solver = "lbfgs",
        .minimize = tw_lbfgs,
        .l2 = tw_option_real(options, "l2"),
        .options = {.memory = (uint32_t)tw_option_int(options, "memory"),
            .max_iterations = (uint32_t)tw_option_int(options, "max_iterations"),
            .tolerance = tw_option_real(options, "tolerance")}};
    return tw_linear_fit_solve(&fit, problem, solution, error);
}

const tw_solver_ops tw_solver_lbfgs = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_solver_ops),
    .name = "lbfgs",
    .summary = "linear model with L2 penalty by L-BFGS (logistic, squared, poisson loss)",
    .kind = TW_SOLVER_LINEAR,
    .options = lbfgs_options,
    .solve = lbfgs_solve,
};
