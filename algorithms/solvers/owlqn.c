/* owlqn: a linear model with L1 penalty, whose weights are exactly 0 where the data does not speak against it.
 * OWL-QN: Andrew and Gao, "Scalable training of L1-regularized log-linear models", ICML 2007.
 *
 * Minimizes   F(w, b) = sum_i c_i loss(s_i, y_i) + l1 |w|_1 + (l2 / 2) |w|^2,   s_i = w x_i + b
 *             a sum over events, c_i their weight; the bias b is not penalized. Losses: logistic, squared, poisson.
 *             liblinear -s 6 -c C is l1 = 1 / C, l2 = 0 (it penalizes its bias); scikit-learn
 *             LogisticRegression(penalty="l1", C) is l1 = 1 / C; Lasso(alpha) of n events is l1 = n alpha
 * Stops       when |pseudo-gradient|_D <= tolerance |pseudo-gradient at w = 0, b = 0|_D; D as in lbfgs
 * Options     l1, l2, tolerance, max_iterations, memory
 * Memory      (2 memory + 10) n_columns + 2 n_events doubles beside the matrix; one thread; same input, same bits */
#include "math/linear_fit.h"
#include "thalweg/learner.h"

static const tw_option owlqn_options[] = {
    {.name = "l1",
        .type = TW_OPTION_REAL,
        .fallback = "1",
        .min = 0,
        .max = 1e12,
        .help = "penalty l1 |w|_1 beside the sum of losses; 1 / C of liblinear and scikit-learn, whose default is 1"},
    {.name = "l2", .type = TW_OPTION_REAL, .fallback = "0", .min = 0, .max = 1e12, .help = "penalty (l2 / 2) |w|^2"},
    {.name = "tolerance",
        .type = TW_OPTION_REAL,
        .fallback = "1e-6",
        .min = 0,
        .max = 1,
        .help = "stop when the scaled pseudo-gradient has this part of its size at zero weights"},
    {.name = "max_iterations", .type = TW_OPTION_INT, .fallback = "1000", .min = 0, .max = 1e6, .help = "most steps"},
    {.name = "memory",
        .type = TW_OPTION_INT,
        .fallback = "10",
        .min = 1,
        .max = 100,
        .help = "pairs of steps and gradient changes kept; Andrew and Gao use 10"},
    {0}};

static tw_status owlqn_solve(
    const tw_option_values *options, const tw_fit_problem *problem, tw_fit_solution *solution, tw_error *error)
{
    const tw_linear_fit fit = {.solver = "owlqn",
        .minimize = tw_owlqn,
        .l2 = tw_option_real(options, "l2"),
        .options = {.memory = (uint32_t)tw_option_int(options, "memory"),
            .max_iterations = (uint32_t)tw_option_int(options, "max_iterations"),
            .tolerance = tw_option_real(options, "tolerance"),
            .l1 = tw_option_real(options, "l1")}};
    return tw_linear_fit_solve(&fit, problem, solution, error);
}

const tw_solver_ops tw_solver_owlqn = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_solver_ops),
    .name = "owlqn",
    .summary = "linear model with L1 and L2 penalty by OWL-QN (logistic, squared, poisson loss)",
    .kind = TW_SOLVER_LINEAR,
    .options = owlqn_options,
    .solve = owlqn_solve,
};
