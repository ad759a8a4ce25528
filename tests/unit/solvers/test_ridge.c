#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "math/blas.h"
#include "support/learner_fixture.h"
#include "support/matrix_fixture.h"

extern const tw_solver_ops tw_solver_ridge;

enum { N_COLUMNS = 9, N_PEER_COLUMNS = 12 };

static void assert_relative(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * fabs(want)))
        fail_msg("got %.15g, wanted %.15g", got, want);
}

static tw_fit_problem squared(matrix_fixture *data, bool has_bias)
{
    return (tw_fit_problem){.matrix = matrix_view(data), .loss = {.kind = TW_LOSS_SQUARED}, .has_bias = has_bias};
}

/* A line of every test but the last: nothing can be solved without the libraries. */
static void skip_without_blas(void)
{
    tw_blas blas;
    tw_error error = {0};
    if (tw_blas_open(&blas, &error) != TW_STATUS_OK) {
        print_message("SKIPPED: %s\n", error.message);
        skip();
    }
}

static void weights_equal_the_slow_elimination(void **state)
{
    static const char *const options[] = {"l2=0", "l2=0.7"};
    (void)state;
    skip_without_blas();
    for (int i = 0; i < 4; i++) {
        for (uint32_t entries = 1; entries < 9; entries += 3) { /* with 1 the sparse sums, else the dense blocks */
            matrix_fixture data = {0};
            double want[2 * N_COLUMNS + 1];
            uint32_t n = entries == 1 ? 2 * N_COLUMNS : N_COLUMNS;
            solver_run run;
            matrix_random(&data, TW_LOSS_SQUARED, 600, n, entries);
            const tw_fit_problem problem = squared(&data, i % 2 == 1);
            matrix_newton(&problem, i / 2 * 0.7, want);
            solver_run_open(&run, &tw_solver_ridge, options[i / 2], &problem);
            assert_int_equal(run.status, TW_STATUS_OK);
            for (uint32_t j = 0; j < n; j++)
                assert_relative(run.weight[j], want[j], 1e-11);
            if (problem.has_bias)
                assert_relative(run.solution.bias, want[n], 1e-11);
            assert_true(run.solution.is_converged && run.solution.measure < 1e-12);
            solver_run_close(&run);
            matrix_free(&data);
        }
    }
}

/* Two columns that differ by 2^-18 in every third event: the normal equations would keep two digits. */
static void an_ill_conditioned_matrix_is_solved_by_qr(void **state)
{
    matrix_fixture data = {0};
    solver_run run;
    (void)state;
    skip_without_blas();
    for (int i = 0; i < 1000; i++) {
        float x = (float)(i % 32), d = i % 3 == 1 ? 1.0f / 262144.0f : 0.0f;
        matrix_begin(&data, 2.0f * x + d, 1.0f);
        matrix_add(&data, 0, x);
        matrix_add(&data, 1, x + d);
    }
    for (int has_bias = 0; has_bias < 2; has_bias++) {
        const tw_fit_problem problem = squared(&data, has_bias == 1);
        solver_run_open(&run, &tw_solver_ridge, "l2=0", &problem);
        assert_int_equal(run.status, TW_STATUS_OK);
        assert_relative(run.weight[0], 1.0, 1e-8);
        assert_relative(run.weight[1], 1.0, 1e-8);
        solver_run_close(&run);
    }
    matrix_free(&data);
}

/* Column 1 is column 0 again and column 2 is 0: the least |w| shares the weight and leaves 0. */
static void of_many_minima_the_shortest_is_taken(void **state)
{
    matrix_fixture data = {0};
    solver_run run;
    (void)state;
    skip_without_blas();
    for (int i = 0; i < 700; i++) {
        float x = (float)(i % 5), z = (float)(i % 3);
        matrix_begin(&data, 6.0f * x - z + 2.0f, 1.0f + (float)(i % 2));
        matrix_add(&data, 0, x);
        matrix_add(&data, 1, x);
        matrix_add(&data, 2, 0.0f);
        matrix_add(&data, 3, z);
    }
    const tw_fit_problem problem = squared(&data, true);
    solver_run_open(&run, &tw_solver_ridge, "l2=0", &problem);
    assert_int_equal(run.status, TW_STATUS_OK);
    assert_relative(run.weight[0], 3.0, 1e-9);
    assert_relative(run.weight[1], 3.0, 1e-9);
    assert_true(fabs(run.weight[2]) < 1e-9);
    assert_relative(run.weight[3], -1.0, 1e-9);
    assert_relative(run.solution.bias, 2.0, 1e-9);
    solver_run_close(&run);
    matrix_free(&data);
}

/* 3 events, 5 columns: w = X' (X X' + l2 I)^-1 y. */
static void fewer_events_than_columns_are_fitted(void **state)
{
    matrix_fixture data = {0};
    solver_run run;
    (void)state;
    skip_without_blas();
    for (uint32_t i = 0; i < 3; i++) {
        matrix_begin(&data, (float)i + 1.0f, 1.0f);
        matrix_add(&data, i, 2.0f);
        matrix_add(&data, 4, 0.0f);
    }
    const tw_fit_problem problem = squared(&data, false);
    solver_run_open(&run, &tw_solver_ridge, "l2=4", &problem);
    for (int i = 0; i < 3; i++)
        assert_relative(run.weight[i], 2.0 * (i + 1.0) / 8.0, 1e-12);
    solver_run_close(&run);
    solver_run_open(&run, &tw_solver_ridge, "l2=0", &problem);
    for (int i = 0; i < 3; i++)
        assert_relative(run.weight[i], (i + 1.0) / 2.0, 1e-12);
    assert_true(fabs(run.weight[4]) < 1e-12);
    solver_run_close(&run);
    matrix_free(&data);
}

static void without_columns_the_bias_is_the_mean(void **state)
{
    matrix_fixture data = {0};
    solver_run run;
    (void)state;
    skip_without_blas();
    matrix_begin(&data, 1.0f, 1.0f);
    matrix_begin(&data, 5.0f, 3.0f);
    const tw_fit_problem problem = squared(&data, true);
    solver_run_open(&run, &tw_solver_ridge, "", &problem);
    assert_int_equal(run.status, TW_STATUS_OK);
    assert_relative(run.solution.bias, 4.0, 1e-15);
    solver_run_close(&run);
    matrix_free(&data);
}

static void other_losses_and_too_many_columns_are_refused_by_name(void **state)
{
    matrix_fixture data = {0};
    solver_run run;
    (void)state;
    matrix_random(&data, TW_LOSS_LOGISTIC, 20, N_COLUMNS, 2);
    tw_fit_problem problem = squared(&data, true);
    solver_run_open(&run, &tw_solver_ridge, "max_columns=8", &problem);
    assert_int_equal(run.status, TW_STATUS_UNSUPPORTED);
    assert_non_null(strstr(run.error.message, "9 features, the limit max_columns is 8"));
    solver_run_close(&run);
    problem.loss.kind = TW_LOSS_LOGISTIC;
    solver_run_open(&run, &tw_solver_ridge, "", &problem);
    assert_int_equal(run.status, TW_STATUS_UNSUPPORTED);
    assert_non_null(strstr(run.error.message, "squared"));
    solver_run_close(&run);
    matrix_free(&data);
}

static void a_missing_library_and_failing_allocations_are_errors(void **state)
{
    matrix_fixture data = {0};
    uint64_t points = 0;
    solver_run run;
    (void)state;
    skip_without_blas();
    matrix_random(&data, TW_LOSS_SQUARED, 20, N_COLUMNS, 3);
    data.value[0] = 0.0f;
    const tw_fit_problem problem = squared(&data, true);
    tw_fault_arm(TW_FAULT_FILE, 1, ENOENT, false);
    solver_run_open(&run, &tw_solver_ridge, "", &problem);
    tw_fault_disarm(TW_FAULT_FILE);
    assert_int_equal(run.status, TW_STATUS_NOT_FOUND);
    assert_non_null(strstr(run.error.message, "libopenblas"));
    solver_run_close(&run);
    matrix_begin(&data, 1.0f, 1.0f);
    matrix_add(&data, N_COLUMNS, 0.0f); /* a column of zeros: QR */
    tw_fit_problem singular = squared(&data, true);
    for (tw_status status = TW_STATUS_NO_MEMORY; status != TW_STATUS_OK; points++) {
        solver_run_starved(&run, &tw_solver_ridge, "l2=0", &singular, points + 1);
        status = run.status;
        assert_true(status == TW_STATUS_OK || status == TW_STATUS_NO_MEMORY);
        solver_run_close(&run);
    }
    assert_int_equal(points, 6); /* scores, arrays, dense rows, panel, tau; then none fails */
    matrix_free(&data);
}

/* scikit-learn 1.9.1 (numpy 2.4.6, scipy 1.17.1) on the same values as float: LinearRegression(), and
 * Ridge(alpha=1, solver="cholesky"), Ridge(alpha=100, solver="svd"). bike_sharing hour.csv, season ... windspeed
 * against cnt; fried, attr_0 ... attr_9 against target. */
typedef struct peer_fit {
    const char *name, *options;
    unsigned first, last, label;
    double bias, weight[N_PEER_COLUMNS];
} peer_fit;

#define BIKES "bike_sharing/hour.csv.gz"
#define FRIED "fried/fried.csv.gz"

static const peer_fit peers[] = {
    {BIKES, "l2=0", 2, 13, 16, -25.757296409875067,
        {19.8993374450301, 81.0871555740499, -0.00864823368648483, 7.67059662824136, -21.8792156480169,
            1.87835418690591, 3.93922528216002, -3.43209748967398, 78.1496966519486, 233.157178994489,
            -198.184680563288, 41.5652200981197}},
    {BIKES, "l2=1", 2, 13, 16, -25.34734869374057,
        {19.9189461376878, 81.0801756970248, -0.0140640165305771, 7.67608105890773, -21.8899366724381, 1.87323073634208,
            3.94050492559833, -3.51287682375618, 89.0098991164472, 220.631518725353, -197.657497952244,
            40.9228942723317}},
    {BIKES, "l2=100", 2, 13, 16, -28.926372735012563,
        {21.2381198457157, 80.5635814786746, -0.390146403708514, 8.02719997095943, -18.293731931087, 1.9797941993253,
            4.67051765169025, -8.36609357768219, 142.058825754655, 133.244210604337, -163.874550019587,
            35.4557232193882}},
    {FRIED, "l2=0", 0, 9, 10, 0.43452909356729563,
        {6.59610947604413, 6.6414991002349, -0.182994098974082, 9.99457151764187, 4.92421268719131, 0.0186019610816807,
            0.00270655612618287, -0.0270262276021701, 0.0284026530842977, -0.0674268406215168}},
    {FRIED, "l2=1", 0, 9, 10, 0.43846815662106486,
        {6.59419114498254, 6.63959222880451, -0.182883688757046, 9.99168230957503, 4.92284150698836, 0.0186303221410839,
            0.00272719745360351, -0.0269938732983348, 0.0284132088384884, -0.0674160484134504}},
};

static void real_sets_have_the_weights_of_the_peer(void **state)
{
    (void)state;
    skip_without_blas();
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
        matrix_fixture data = {0};
        solver_run run;
        double worst = 0.0;
        if (!matrix_load_csv(&data, peers[i].name, peers[i].first, peers[i].last, peers[i].label))
            skip();
        const tw_fit_problem problem = squared(&data, true);
        solver_run_open(&run, &tw_solver_ridge, peers[i].options, &problem);
        assert_int_equal(run.status, TW_STATUS_OK);
        for (unsigned j = 0; j <= peers[i].last - peers[i].first; j++)
            worst = fmax(worst, fabs(run.weight[j] / peers[i].weight[j] - 1.0));
        worst = fmax(worst, fabs(run.solution.bias / peers[i].bias - 1.0));
        print_message("%s %s: %llu events, largest relative difference of a weight %.2g\n", peers[i].name,
            peers[i].options, (unsigned long long)data.n_events, worst);
        assert_true(worst < 1e-6);
        solver_run_close(&run);
        matrix_free(&data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_equal_the_slow_elimination),
        cmocka_unit_test(an_ill_conditioned_matrix_is_solved_by_qr),
        cmocka_unit_test(of_many_minima_the_shortest_is_taken),
        cmocka_unit_test(fewer_events_than_columns_are_fitted),
        cmocka_unit_test(without_columns_the_bias_is_the_mean),
        cmocka_unit_test(other_losses_and_too_many_columns_are_refused_by_name),
        cmocka_unit_test(a_missing_library_and_failing_allocations_are_errors),
        cmocka_unit_test(real_sets_have_the_weights_of_the_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
