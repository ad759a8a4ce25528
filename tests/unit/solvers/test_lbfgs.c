#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "support/matrix_fixture.h"

extern const tw_solver_ops tw_solver_lbfgs;

static const tw_loss_kind losses[] = {TW_LOSS_LOGISTIC, TW_LOSS_SQUARED, TW_LOSS_POISSON};
enum { N_LOSSES = 3, N_COLUMNS = 7 };

static void weights_equal_the_slow_newton(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * N_LOSSES; i++) {
        matrix_fixture data = {0};
        double want[N_COLUMNS + 1];
        matrix_random(&data, losses[i / 2], 300, N_COLUMNS, 4);
        const tw_fit_problem problem = {
            .matrix = matrix_view(&data), .loss = {.kind = losses[i / 2]}, .has_bias = i % 2 == 1};
        solver_run run;
        matrix_newton(&problem, 0.7, want);
        solver_run_open(&run, &tw_solver_lbfgs, "l2=0.7 tolerance=1e-12", &problem);
        assert_int_equal(run.status, TW_STATUS_OK);
        for (int j = 0; j < N_COLUMNS; j++)
            assert_near(run.weight[j], want[j], 1e-10);
        assert_near(run.solution.bias, problem.has_bias ? want[N_COLUMNS] : 0.0, 1e-10);
        double bias = problem.has_bias ? want[N_COLUMNS] : 0.0;
        assert_near(run.solution.objective, matrix_objective(&problem, 0.7, 0.0, want, bias, NULL), 1e-13);
        solver_run_close(&run);
        matrix_free(&data);
    }
}

static void an_event_of_weight_2_counts_twice(void **state)
{
    matrix_fixture heavy = {0}, twice = {0};
    solver_run a, b;
    (void)state;
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < 3; k++) {
            matrix_fixture *to = k == 0 ? &heavy : &twice;
            matrix_begin(to, i % 3 == 0 ? 1.0f : 0.0f, k == 0 ? 2.0f : 1.0f);
            matrix_add(to, (uint32_t)i % 4, 1.0f + (float)i);
        }
    }
    tw_fit_problem problem = {.matrix = matrix_view(&heavy), .loss = {.kind = TW_LOSS_LOGISTIC}, .has_bias = true};
    solver_run_open(&a, &tw_solver_lbfgs, "tolerance=1e-10", &problem);
    problem.matrix = matrix_view(&twice);
    solver_run_open(&b, &tw_solver_lbfgs, "tolerance=1e-10", &problem);
    for (int j = 0; j < 4; j++)
        assert_near(a.weight[j], b.weight[j], 1e-8);
    assert_near(a.solution.objective, b.solution.objective, 1e-12);
    solver_run_close(&a);
    solver_run_close(&b);
    matrix_free(&heavy);
    matrix_free(&twice);
}

static void a_start_at_the_minimum_needs_no_step(void **state)
{
    matrix_fixture data = {0};
    solver_run run;
    (void)state;
    matrix_random(&data, TW_LOSS_LOGISTIC, 300, N_COLUMNS, 4);
    const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_LOGISTIC}, .has_bias = true};
    solver_run_open(&run, &tw_solver_lbfgs, "tolerance=1e-9", &problem);
    assert_true(run.solution.iterations > 2 && run.solution.is_converged);
    double weight = run.weight[3];
    solver_run_again(&run, &tw_solver_lbfgs, "tolerance=1e-9", &problem);
    assert_int_equal(run.solution.iterations, 0);
    assert_true(run.solution.is_converged && run.weight[3] == weight);
    solver_run_close(&run);
    matrix_free(&data);
}

static void units_of_a_feature_do_not_change_the_path(void **state)
{
    matrix_fixture plain = {0}, scaled = {0};
    solver_run a, b;
    (void)state;
    matrix_random(&plain, TW_LOSS_LOGISTIC, 300, N_COLUMNS, 4);
    matrix_random(&scaled, TW_LOSS_LOGISTIC, 300, N_COLUMNS, 4);
    for (uint64_t e = 0; e < scaled.n_entries; e++)
        scaled.value[e] *= scaled.column[e] == 2 ? 4096.0f : 1.0f;
    tw_fit_problem problem = {.matrix = matrix_view(&plain), .loss = {.kind = TW_LOSS_LOGISTIC}, .has_bias = true};
    solver_run_open(&a, &tw_solver_lbfgs, "l2=0 tolerance=1e-8", &problem);
    problem.matrix = matrix_view(&scaled);
    solver_run_open(&b, &tw_solver_lbfgs, "l2=0 tolerance=1e-8", &problem);
    assert_int_equal(a.solution.iterations, b.solution.iterations);
    assert_near(b.weight[2] * 4096.0, a.weight[2], 1e-12);
    solver_run_close(&a);
    solver_run_close(&b);
    matrix_free(&plain);
    matrix_free(&scaled);
}

static void losses_without_curvature_are_refused_by_name(void **state)
{
    static const tw_loss_kind kinds[] = {TW_LOSS_HINGE, TW_LOSS_QUANTILE, TW_LOSS_NONE};
    static const char *const names[] = {"hinge", "quantile", "no loss"};
    matrix_fixture data = {0};
    (void)state;
    matrix_random(&data, TW_LOSS_LOGISTIC, 10, 3, 2);
    for (int i = 0; i < 3; i++) {
        const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = kinds[i], .quantile = 0.5}};
        solver_run run;
        solver_run_open(&run, &tw_solver_lbfgs, "", &problem);
        assert_int_equal(run.status, TW_STATUS_UNSUPPORTED);
        assert_non_null(strstr(run.error.message, names[i]));
        assert_non_null(strstr(run.error.message, "lbfgs"));
        solver_run_close(&run);
    }
    matrix_free(&data);
}

static void labels_that_the_loss_does_not_take_are_named(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        matrix_fixture data = {0};
        solver_run run;
        matrix_random(&data, TW_LOSS_LOGISTIC, 10, 3, 2);
        data.label[6] = i == 0 ? 2.0f : i == 1 ? -1.0f : NAN;
        const tw_fit_problem problem = {
            .matrix = matrix_view(&data), .loss = {.kind = i == 1 ? TW_LOSS_POISSON : TW_LOSS_LOGISTIC}};
        solver_run_open(&run, &tw_solver_lbfgs, "", &problem);
        assert_int_equal(run.status, TW_STATUS_INVALID);
        assert_non_null(strstr(run.error.message, "event 7"));
        solver_run_close(&run);
        matrix_free(&data);
    }
}

static void no_events_are_refused_and_no_columns_fit_the_bias(void **state)
{
    matrix_fixture data = {0};
    solver_run run;
    (void)state;
    tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_LOGISTIC}, .has_bias = true};
    solver_run_open(&run, &tw_solver_lbfgs, "", &problem);
    assert_int_equal(run.status, TW_STATUS_INVALID);
    solver_run_close(&run);
    for (int i = 0; i < 4; i++)
        matrix_begin(&data, i == 0 ? 1.0f : 0.0f, 1.0f);
    problem.matrix = matrix_view(&data);
    solver_run_open(&run, &tw_solver_lbfgs, "tolerance=1e-12", &problem);
    assert_int_equal(run.status, TW_STATUS_OK);
    assert_near(run.solution.bias, -log(3.0), 1e-12);
    solver_run_close(&run);
    problem.has_bias = false;
    solver_run_open(&run, &tw_solver_lbfgs, "", &problem);
    assert_true(run.status == TW_STATUS_OK && run.solution.is_converged);
    solver_run_close(&run);
    matrix_free(&data);
}

static bool stop_at_3(void *context, uint32_t iteration, double objective, double measure)
{
    double *last = context;
    assert_true(objective <= *last && measure > 0.0);
    *last = objective;
    return iteration == 3;
}

static void progress_sees_the_objective_fall_and_may_end_the_search(void **state)
{
    matrix_fixture data = {0};
    solver_run run;
    double last = INFINITY;
    (void)state;
    matrix_random(&data, TW_LOSS_POISSON, 300, N_COLUMNS, 4);
    const tw_fit_problem problem = {.matrix = matrix_view(&data),
        .loss = {.kind = TW_LOSS_POISSON},
        .has_bias = true,
        .progress = stop_at_3,
        .context = &last};
    solver_run_open(&run, &tw_solver_lbfgs, "tolerance=0", &problem);
    assert_int_equal(run.status, TW_STATUS_OK);
    assert_int_equal(run.solution.iterations, 3);
    assert_true(!run.solution.is_converged && run.solution.objective == last);
    solver_run_close(&run);
    matrix_free(&data);
}

static void every_failing_allocation_is_an_error(void **state)
{
    matrix_fixture data = {0};
    uint64_t points = 0;
    (void)state;
    matrix_random(&data, TW_LOSS_LOGISTIC, 30, N_COLUMNS, 4);
    const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_LOGISTIC}};
    for (tw_status status = TW_STATUS_NO_MEMORY; status != TW_STATUS_OK; points++) {
        solver_run run;
        solver_run_starved(&run, &tw_solver_lbfgs, "", &problem, points + 1);
        status = run.status;
        assert_true(status == TW_STATUS_OK || status == TW_STATUS_NO_MEMORY);
        solver_run_close(&run);
    }
    assert_int_equal(points, 4 + 1); /* scores, x and scale, points of the search, pairs; then none fails */
    matrix_free(&data);
}

static void a9a_reaches_the_optimum_of_the_peers(void **state)
{
    matrix_fixture train = {0}, test = {0};
    (void)state;
    if (!matrix_load_libsvm(&train, "a9a/a9a.train.libsvm.gz") || !matrix_load_libsvm(&test, "a9a/a9a.test.libsvm.gz"))
        skip();
    assert_int_equal(train.n_events, 32561);
    for (int has_bias = 0; has_bias < 2; has_bias++) {
        solver_run run;
        double optimum = has_bias ? A9A_BIAS_OPTIMUM : A9A_OPTIMUM;
        const tw_fit_problem problem = {
            .matrix = matrix_view(&train), .loss = {.kind = TW_LOSS_LOGISTIC}, .has_bias = has_bias == 1};
        solver_run_open(&run, &tw_solver_lbfgs, "l2=1", &problem);
        double objective = matrix_objective(&problem, 1.0, 0.0, run.weight, run.solution.bias, NULL);
        double auc = matrix_auc(matrix_view(&test), &run.solution);
        print_message("a9a bias=%d: %u iterations, objective %.9f (%.2g above the optimum, relative), test AUC %.6f\n",
            has_bias, run.solution.iterations, objective, objective / optimum - 1.0, auc);
        assert_true(run.solution.is_converged);
        assert_near(run.solution.objective, objective, 1e-13);
        assert_true(fabs(objective / optimum - 1.0) < 1e-6);
        assert_true(auc >= 0.902);
        solver_run_again(&run, &tw_solver_lbfgs, "l2=1 tolerance=1e-10", &problem);
        assert_true(fabs(run.solution.objective / optimum - 1.0) < 1e-12);
        solver_run_close(&run);
    }
    matrix_free(&train);
    matrix_free(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_equal_the_slow_newton),
        cmocka_unit_test(an_event_of_weight_2_counts_twice),
        cmocka_unit_test(a_start_at_the_minimum_needs_no_step),
        cmocka_unit_test(units_of_a_feature_do_not_change_the_path),
        cmocka_unit_test(losses_without_curvature_are_refused_by_name),
        cmocka_unit_test(labels_that_the_loss_does_not_take_are_named),
        cmocka_unit_test(no_events_are_refused_and_no_columns_fit_the_bias),
        cmocka_unit_test(progress_sees_the_objective_fall_and_may_end_the_search),
        cmocka_unit_test(every_failing_allocation_is_an_error),
        cmocka_unit_test(a9a_reaches_the_optimum_of_the_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
