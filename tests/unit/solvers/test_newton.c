#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "support/matrix_fixture.h"

extern const tw_solver_ops tw_solver_newton;

static const tw_loss_kind losses[] = {TW_LOSS_LOGISTIC, TW_LOSS_SQUARED, TW_LOSS_POISSON};
enum { N_LOSSES = 3, N_COLUMNS = 7 };

/* Both methods: the whole Hessian, and its products. */
static const char *const methods[] = {"dense_columns=2000", "dense_columns=0"};
enum { N_METHODS = 2 };

static void run_method(solver_run *run, int method, const char *options, const tw_fit_problem *problem)
{
    char all[128];
    (void)snprintf(all, sizeof all, "%s %s", options, methods[method]);
    solver_run_open(run, &tw_solver_newton, all, problem);
    if (run->status == TW_STATUS_NOT_FOUND) {
        print_message("SKIPPED: %s\n", run->error.message);
        skip();
    }
}

static void weights_equal_the_slow_newton(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * N_LOSSES * N_METHODS; i++) {
        matrix_fixture data = {0};
        double want[N_COLUMNS + 1];
        int method = i % 2;
        matrix_random(&data, losses[i / 4], 300, N_COLUMNS, 4);
        const tw_fit_problem problem = {
            .matrix = matrix_view(&data), .loss = {.kind = losses[i / 4]}, .has_bias = i / 2 % 2 == 1};
        solver_run run;
        matrix_newton(&problem, 0.7, want);
        run_method(&run, method, "l2=0.7 tolerance=1e-12", &problem);
        assert_int_equal(run.status, TW_STATUS_OK);
        assert_true(run.solution.is_converged && run.solution.iterations < 20);
        for (int j = 0; j < N_COLUMNS; j++)
            assert_near(run.weight[j], want[j], 1e-10);
        assert_near(run.solution.bias, problem.has_bias ? want[N_COLUMNS] : 0.0, 1e-10);
        solver_run_close(&run);
        matrix_free(&data);
    }
}

/* A start from which full steps of Newton's method lead away. */
static void a_far_start_comes_back(void **state)
{
    matrix_fixture data = {0};
    double want[N_COLUMNS + 1];
    (void)state;
    matrix_random(&data, TW_LOSS_LOGISTIC, 300, N_COLUMNS, 4);
    const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_LOGISTIC}, .has_bias = true};
    matrix_newton(&problem, 0.01, want);
    for (int method = 0; method < N_METHODS; method++) {
        solver_run run;
        run_method(&run, method, "max_iterations=0", &problem);
        for (int j = 0; j < N_COLUMNS; j++)
            run.weight[j] = j % 2 == 0 ? 30.0 : -30.0;
        solver_run_again(&run, &tw_solver_newton,
            method == 0 ? "l2=0.01 tolerance=1e-10" : "l2=0.01 tolerance=1e-10 dense_columns=0", &problem);
        assert_true(run.status == TW_STATUS_OK && run.solution.is_converged);
        for (int j = 0; j < N_COLUMNS; j++)
            assert_near(run.weight[j], want[j], 1e-7);
        solver_run_close(&run);
    }
    matrix_free(&data);
}

/* Columns 0 and 1 are one, column 2 is 0, and nothing is penalized: there is no single minimum. */
static void dependent_columns_without_penalty_reach_the_least_value(void **state)
{
    matrix_fixture data = {0};
    (void)state;
    for (int i = 0; i < 200; i++) {
        matrix_begin(&data, i % 3 == 0 ? 1.0f : 0.0f, 1.0f);
        matrix_add(&data, 0, (float)(i % 5));
        matrix_add(&data, 1, (float)(i % 5));
        matrix_add(&data, 2, 0.0f);
    }
    const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_LOGISTIC}, .has_bias = true};
    for (int method = 0; method < N_METHODS; method++) {
        solver_run run;
        double gradient[4];
        run_method(&run, method, "l2=0 tolerance=1e-10", &problem);
        assert_true(run.status == TW_STATUS_OK && run.solution.is_converged);
        (void)matrix_objective(&problem, 0.0, 0.0, run.weight, run.solution.bias, gradient);
        for (int j = 0; j < 4; j++)
            assert_true(fabs(gradient[j]) < 1e-7);
        assert_true(run.weight[2] == 0.0);
        solver_run_close(&run);
    }
    matrix_free(&data);
}

static void a_start_at_the_minimum_needs_no_step(void **state)
{
    matrix_fixture data = {0};
    (void)state;
    matrix_random(&data, TW_LOSS_POISSON, 300, N_COLUMNS, 4);
    const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_POISSON}, .has_bias = true};
    for (int method = 0; method < N_METHODS; method++) {
        solver_run run;
        run_method(&run, method, "tolerance=1e-8", &problem);
        assert_true(run.solution.is_converged && run.solution.iterations > 2);
        solver_run_again(&run, &tw_solver_newton, "tolerance=1e-8", &problem);
        assert_true(run.solution.is_converged && run.solution.iterations == 0);
        solver_run_close(&run);
    }
    matrix_free(&data);
}

static void errors_are_named(void **state)
{
    matrix_fixture data = {0};
    solver_run run;
    (void)state;
    matrix_random(&data, TW_LOSS_LOGISTIC, 10, 3, 2);
    tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_HINGE}};
    solver_run_open(&run, &tw_solver_newton, "dense_columns=0", &problem);
    assert_int_equal(run.status, TW_STATUS_UNSUPPORTED);
    assert_non_null(strstr(run.error.message, "hinge"));
    solver_run_close(&run);
    problem.loss.kind = TW_LOSS_LOGISTIC;
    tw_fault_arm(TW_FAULT_FILE, 1, ENOENT, true);
    solver_run_open(&run, &tw_solver_newton, "dense_columns=0", &problem);
    assert_int_equal(run.status, TW_STATUS_OK);
    solver_run_close(&run);
    solver_run_open(&run, &tw_solver_newton, "", &problem);
    tw_fault_disarm(TW_FAULT_FILE);
    assert_int_equal(run.status, TW_STATUS_NOT_FOUND);
    assert_non_null(strstr(run.error.message, "libopenblas"));
    solver_run_close(&run);
    matrix_free(&data);
}

static void every_failing_allocation_is_an_error(void **state)
{
    matrix_fixture data = {0};
    (void)state;
    matrix_random(&data, TW_LOSS_LOGISTIC, 30, N_COLUMNS, 4);
    const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_LOGISTIC}};
    for (int method = 0; method < N_METHODS; method++) {
        uint64_t points = 0;
        for (tw_status status = TW_STATUS_NO_MEMORY; status != TW_STATUS_OK; points++) {
            solver_run run;
            solver_run_starved(&run, &tw_solver_newton, methods[method], &problem, points + 1);
            status = run.status;
            assert_true(status == TW_STATUS_OK || status == TW_STATUS_NO_MEMORY);
            solver_run_close(&run);
        }
        assert_true(points >= (method == 0 ? 4 : 3)); /* scores, arrays, dense rows of each step; then none */
    }
    matrix_free(&data);
}

static void a9a_reaches_the_optimum_of_the_peers(void **state)
{
    matrix_fixture train = {0}, test = {0};
    (void)state;
    if (!matrix_load_libsvm(&train, "a9a/a9a.train.libsvm.gz") || !matrix_load_libsvm(&test, "a9a/a9a.test.libsvm.gz"))
        skip();
    for (int i = 0; i < 2 * N_METHODS; i++) {
        solver_run run;
        bool has_bias = i / 2 == 1;
        double optimum = has_bias ? A9A_BIAS_OPTIMUM : A9A_OPTIMUM;
        const tw_fit_problem problem = {
            .matrix = matrix_view(&train), .loss = {.kind = TW_LOSS_LOGISTIC}, .has_bias = has_bias};
        run_method(&run, i % 2, "l2=1", &problem);
        double excess = matrix_objective(&problem, 1.0, 0.0, run.weight, run.solution.bias, NULL) / optimum - 1.0;
        double auc = matrix_auc(matrix_view(&test), &run.solution);
        print_message(
            "a9a bias=%d %s: %u iterations, objective %.9f (%.2g above the optimum, relative), test AUC %.6f\n",
            has_bias, methods[i % 2], run.solution.iterations, run.solution.objective, excess, auc);
        assert_true(run.solution.is_converged && run.solution.iterations < 20);
        assert_true(fabs(excess) < 1e-9);
        assert_true(auc >= 0.902);
        solver_run_close(&run);
    }
    matrix_free(&train);
    matrix_free(&test);
}

/* scikit-learn 1.9.1, PoissonRegressor(alpha=0.5, solver="newton-cholesky", tol=1e-10): its objective times the number
 * of events; l2 = alpha n. */
static void bike_sharing_by_poisson_loss_has_the_optimum_of_the_peer(void **state)
{
    matrix_fixture data = {0};
    (void)state;
    if (!matrix_load_csv(&data, "bike_sharing/hour.csv.gz", 2, 13, 16))
        skip();
    const tw_fit_problem problem = {.matrix = matrix_view(&data), .loss = {.kind = TW_LOSS_POISSON}, .has_bias = true};
    for (int method = 0; method < N_METHODS; method++) {
        solver_run run;
        run_method(&run, method, "l2=8689.5", &problem);
        assert_true(run.solution.is_converged);
        assert_true(fabs(run.solution.objective / -14566102.169613427 - 1.0) < 1e-10);
        solver_run_close(&run);
    }
    matrix_free(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_equal_the_slow_newton),
        cmocka_unit_test(a_far_start_comes_back),
        cmocka_unit_test(dependent_columns_without_penalty_reach_the_least_value),
        cmocka_unit_test(a_start_at_the_minimum_needs_no_step),
        cmocka_unit_test(errors_are_named),
        cmocka_unit_test(every_failing_allocation_is_an_error),
        cmocka_unit_test(a9a_reaches_the_optimum_of_the_peers),
        cmocka_unit_test(bike_sharing_by_poisson_loss_has_the_optimum_of_the_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
