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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_meet_the_conditions_of_the_minimum),
        cmocka_unit_test(separate_columns_are_soft_thresholded),
        cmocka_unit_test(a_large_l1_leaves_only_the_bias),
        cmocka_unit_test(without_l1_it_equals_lbfgs),
        cmocka_unit_test(a_start_at_the_minimum_needs_no_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
