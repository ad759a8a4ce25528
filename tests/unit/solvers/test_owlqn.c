#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/matrix_fixture.h"

extern const tw_solver_ops tw_solver_owlqn, tw_solver_lbfgs;

static const tw_loss_kind losses[] = {TW_LOSS_LOGISTIC, TW_LOSS_SQUARED, TW_LOSS_POISSON};
enum { N_LOSSES = 3, N_COLUMNS = 12 };

/* At the minimum: g_j = -l1 sign(w_j) where w_j is not 0, |g_j| <= l1 where it is, and 0 for the bias. Returns how many
 * weights are 0. */
static int assert_optimal(const tw_fit_problem *problem, const solver_run *run, double l1, double l2, double tolerance)
{
    double gradient[256];
    uint32_t n = problem->matrix->n_columns;
    int zeros = 0;
    assert_true(n < 256);
    (void)matrix_objective(problem, l2, 0.0, run->weight, run->solution.bias, gradient);
    for (uint32_t j = 0; j < n; j++) {
        double w = run->weight[j], excess = w == 0.0 ? fabs(gradient[j]) - l1 : fabs(gradient[j] + copysign(l1, w));
        zeros += w == 0.0;
        if (!(excess <= tolerance))
            fail_msg("column %u: weight %g, gradient %g, l1 %g", j, w, gradient[j], l1);
    }
    assert_true(!problem->has_bias || fabs(gradient[n]) <= tolerance);
    return zeros;
}

static void results_meet_the_conditions_of_the_minimum(void **state)
{
    (void)state;
    for (int i = 0; i < 4 * N_LOSSES; i++) {
        matrix_fixture data = {0};
        solver_run run;
        double l2 = i % 4 >= 2 ? 3.0 : 0.0;
        matrix_random(&data, losses[i / 4], 400, N_COLUMNS, 4);
        const tw_fit_problem problem = {
            .matrix = matrix_view(&data), .loss = {.kind = losses[i / 4]}, .has_bias = i % 2 == 1};
        solver_run_open(
            &run, &tw_solver_owlqn, l2 > 0.0 ? "l1=20 l2=3 tolerance=1e-10" : "l1=20 tolerance=1e-10", &problem);
        assert_int_equal(run.status, TW_STATUS_OK);
        assert_true(run.solution.is_converged);
        int zeros = assert_optimal(&problem, &run, 20.0, l2, 1e-6);
        assert_true(zeros > 0 && zeros < N_COLUMNS);
        double objective = matrix_objective(&problem, l2, 20.0, run.weight, run.solution.bias, NULL);
        assert_true(fabs(run.solution.objective / objective - 1.0) < 1e-13);
        solver_run_close(&run);
        matrix_free(&data);
    }
}

/* min c (w x - y)^2 / 2 + l1 |w| per column: w = sign(y x) max(0, c |x y| - l1) / (c x^2). */
static void separate_columns_are_soft_thresholded(void **state)
{
    matrix_fixture data = {0};
    solver_run run;
    (void)state;
    for (uint32_t j = 0; j < N_COLUMNS; j++) {
        matrix_begin(&data, (float)j - 6.0f, 2.0f);
        matrix_add(&data, j, 0.5f);
    }
    const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_SQUARED}};
    solver_run_open(&run, &tw_solver_owlqn, "l1=2.5 tolerance=1e-12", &problem);
    for (uint32_t j = 0; j < N_COLUMNS; j++) {
        double pull = (double)j - 6.0, want = copysign(fmax(0.0, fabs(pull) - 2.5), pull) / 0.5;
        assert_true(fabs(run.weight[j] - want) < 1e-9);
        assert_true(want != 0.0 || run.weight[j] == 0.0);
    }
    solver_run_close(&run);
    matrix_free(&data);
}

static void a_large_l1_leaves_only_the_bias(void **state)
{
    matrix_fixture data = {0};
    solver_run run;
    double sum = 0.0, weight = 0.0;
    (void)state;
    matrix_random(&data, TW_LOSS_SQUARED, 200, N_COLUMNS, 4);
    const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_SQUARED}, .has_bias = true};
    solver_run_open(&run, &tw_solver_owlqn, "l1=1e6 tolerance=1e-12", &problem);
    for (uint32_t i = 0; i < 200; i++) {
        sum += (double)data.weight[i] * (double)data.label[i];
        weight += (double)data.weight[i];
    }
    for (uint32_t j = 0; j < N_COLUMNS; j++)
        assert_true(run.weight[j] == 0.0);
    assert_true(fabs(run.solution.bias - sum / weight) < 1e-10);
    solver_run_close(&run);
    matrix_free(&data);
}

static void without_l1_it_equals_lbfgs(void **state)
{
    matrix_fixture data = {0};
    solver_run a, b;
    (void)state;
    matrix_random(&data, TW_LOSS_LOGISTIC, 300, N_COLUMNS, 4);
    const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_LOGISTIC}, .has_bias = true};
    solver_run_open(&a, &tw_solver_owlqn, "l1=0 l2=1 tolerance=1e-11", &problem);
    solver_run_open(&b, &tw_solver_lbfgs, "l2=1 tolerance=1e-11", &problem);
    for (uint32_t j = 0; j < N_COLUMNS; j++)
        assert_true(fabs(a.weight[j] - b.weight[j]) < 1e-9);
    solver_run_close(&a);
    solver_run_close(&b);
    matrix_free(&data);
}

static void a_start_at_the_minimum_needs_no_step(void **state)
{
    matrix_fixture data = {0};
    solver_run run;
    (void)state;
    matrix_random(&data, TW_LOSS_LOGISTIC, 300, N_COLUMNS, 4);
    const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_LOGISTIC}, .has_bias = true};
    solver_run_open(&run, &tw_solver_owlqn, "l1=10 tolerance=1e-8", &problem);
    assert_true(run.solution.is_converged && run.solution.iterations > 2);
    solver_run_again(&run, &tw_solver_owlqn, "l1=10 tolerance=1e-8", &problem);
    assert_true(run.solution.is_converged && run.solution.iterations == 0);
    solver_run_close(&run);
    matrix_free(&data);
}

/* liblinear 2.50, "train -s 6 -c 1 -e 1e-9 -B -1" and "-c 0.1": objective |w|_1 + C sum loss, divided by C, and the
 * columns whose weight is 0. */
typedef struct peer_run {
    const char *options, *tight_options;
    double l1, objective;
    int undetermined, n_zeros;
    unsigned char zero[128];
} peer_run;

static const peer_run peers[] = {
    {"l1=1", "l1=1 tolerance=1e-10", 1.0, 10558.723370626638, 3, 26,
        {12, 14, 23, 25, 28, 32, 36, 56, 59, 65, 72, 74, 76, 96, 100, 103, 107, 108, 110, 112, 113, 115, 116, 119, 121,
            122}},
    {"l1=10", "l1=10 tolerance=1e-10", 10.0, 10826.166706337144, 0, 71,
        {2, 9, 11, 12, 14, 15, 16, 19, 20, 23, 24, 25, 28, 29, 30, 32, 33, 36, 43, 44, 45, 54, 57, 59, 62, 63, 67, 68,
            69, 72, 74, 76, 79, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 98, 99, 100, 101, 103, 104, 105,
            106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122}},
};

/* How many of the columns that are 0 at every minimum, those with |gradient| < l1 (gradients are equal at all minima),
 * are not 0 in both; and how many of all differ. */
static void compare_zeros(
    const tw_fit_problem *problem, const peer_run *peer, solver_run *run, int *determined, int *all)
{
    double gradient[256];
    bool is_zero[256] = {false}, is_peer_zero[256] = {false};
    uint32_t n = problem->matrix->n_columns;
    *determined = *all = 0;
    for (int i = 0; i < peer->n_zeros; i++)
        is_peer_zero[peer->zero[i]] = true;
    for (uint32_t j = 0; j < n; j++)
        is_zero[j] = run->weight[j] == 0.0;
    solver_run_again(run, &tw_solver_owlqn, peer->tight_options, problem);
    assert_true(fabs(run->solution.objective / peer->objective - 1.0) < 1e-12);
    (void)matrix_objective(problem, 0.0, 0.0, run->weight, 0.0, gradient);
    for (uint32_t j = 0; j < n; j++) {
        bool is_inside = fabs(gradient[j]) < peer->l1 * (1.0 - 1e-4);
        *determined += is_inside && !(is_peer_zero[j] && is_zero[j]);
        *all += is_peer_zero[j] != is_zero[j];
    }
}

/* The minimum at l1 = 1 is not one point: columns of a9a depend on each other, and seven directions change neither
 * scores nor |w|_1. There liblinear's own zeros change with -e and the seed by up to 3 columns. */
static void a9a_has_the_objective_and_the_zeros_of_liblinear(void **state)
{
    matrix_fixture train = {0}, test = {0};
    (void)state;
    if (!matrix_load_libsvm(&train, "a9a/a9a.train.libsvm.gz") || !matrix_load_libsvm(&test, "a9a/a9a.test.libsvm.gz"))
        skip();
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
        solver_run run;
        int determined, differing;
        const tw_fit_problem problem = {.matrix = matrix_view(&train), .loss = {.kind = TW_LOSS_LOGISTIC}};
        solver_run_open(&run, &tw_solver_owlqn, peers[i].options, &problem);
        double objective = matrix_objective(&problem, 0.0, peers[i].l1, run.weight, 0.0, NULL);
        double excess = objective / peers[i].objective - 1.0, auc = matrix_auc(matrix_view(&test), &run.solution);
        uint32_t iterations = run.solution.iterations;
        assert_true(run.solution.is_converged);
        compare_zeros(&problem, &peers[i], &run, &determined, &differing);
        print_message("a9a %s: %u iterations, objective %.9f (%.2g above liblinear's, relative), test AUC %.6f; "
                      "of %u zeros %d differ, of those that the minimum determines %d\n",
            peers[i].options, iterations, objective, excess, auc, train.n_columns, differing, determined);
        assert_true(fabs(excess) < 1e-6);
        assert_int_equal(determined, 0);
        assert_true(differing <= peers[i].undetermined);
        assert_true(auc >= 0.902);
        solver_run_close(&run);
    }
    matrix_free(&train);
    matrix_free(&test);
}

/* scikit-learn 1.9.1, Lasso(alpha=0.5, tol=1e-12): its objective times the number of events; l1 = alpha n. */
static void bike_sharing_has_the_lasso_of_the_peer(void **state)
{
    matrix_fixture data = {0};
    solver_run run;
    int zeros = 0;
    (void)state;
    if (!matrix_load_csv(&data, "bike_sharing/hour.csv.gz", 2, 13, 16))
        skip();
    const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_SQUARED}, .has_bias = true};
    solver_run_open(&run, &tw_solver_owlqn, "l1=8689.5", &problem);
    assert_true(run.solution.is_converged);
    assert_true(fabs(run.solution.objective / 180299058.55285433 - 1.0) < 1e-9);
    for (int j = 0; j < 12; j++)
        zeros += run.weight[j] == 0.0;
    assert_int_equal(zeros, 1);
    solver_run_close(&run);
    matrix_free(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_meet_the_conditions_of_the_minimum),
        cmocka_unit_test(separate_columns_are_soft_thresholded),
        cmocka_unit_test(a_large_l1_leaves_only_the_bias),
        cmocka_unit_test(without_l1_it_equals_lbfgs),
        cmocka_unit_test(a_start_at_the_minimum_needs_no_step),
        cmocka_unit_test(a9a_has_the_objective_and_the_zeros_of_liblinear),
        cmocka_unit_test(bike_sharing_has_the_lasso_of_the_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
