#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "support/learner_fixture.h"
#include "support/points.h"
#include "thalweg/learner.h"
#include "thalweg/solver.h"

extern const tw_solver_ops tw_solver_lloyd;

enum { WIDTH = 3, K = 5, N = 400 };

/* A run of the solver over rows [n x width], weights NULL: 1 each. */
typedef struct lloyd_run {
    points data;
    float *weight;
    tw_matrix matrix;
    tw_fit_problem problem;
    tw_fit_solution solution;
    tw_error error;
} lloyd_run;

static void run_open(lloyd_run *self, points data, const float *weight, uint32_t k)
{
    *self = (lloyd_run){.data = data};
    self->weight = calloc(data.n, sizeof(float));
    self->solution.centre = calloc((size_t)k * data.width, sizeof(double));
    self->solution.centre_weight = calloc(k, sizeof(double));
    assert_true(self->weight && self->solution.centre && self->solution.centre_weight);
    for (uint32_t i = 0; i < data.n; i++)
        self->weight[i] = weight ? weight[i] : 1.0f;
    self->matrix = (tw_matrix){.n_events = data.n, .weight = self->weight, .dense = data.x, .dense_width = data.width};
    self->problem = (tw_fit_problem){.matrix = &self->matrix, .n_centres = k, .seed = 1};
}

static tw_status run_solve(lloyd_run *self, const char *text)
{
    tw_option_values *options = NULL;
    char copy[256], *kept = NULL;
    assert_int_equal(tw_option_values_create(tw_solver_lloyd.options, &options, &self->error), TW_STATUS_OK);
    (void)snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, " ", &kept); word != NULL; word = strtok_r(NULL, " ", &kept)) {
        char *value = strchr(word, '=');
        assert_non_null(value);
        *value = '\0';
        assert_int_equal(tw_option_set(options, word, value + 1, &self->error), TW_STATUS_OK);
    }
    tw_status status = tw_solver_lloyd.solve(options, &self->problem, &self->solution, &self->error);
    tw_option_values_destroy(&options);
    return status;
}

/* The first k distinct rows. */
static void start_with_first_rows(lloyd_run *self)
{
    uint32_t width = self->data.width, live = 0;
    self->solution.has_start = true;
    for (uint32_t i = 0; live < self->problem.n_centres; i++) {
        bool is_new = true;
        for (uint32_t j = 0; j < live && is_new; j++) {
            bool is_same = true;
            for (uint32_t d = 0; d < width; d++)
                is_same = is_same &&
                          (double)self->data.x[(size_t)i * width + d] == self->solution.centre[(size_t)j * width + d];
            is_new = !is_same;
        }
        for (uint32_t d = 0; d < width && is_new; d++)
            self->solution.centre[(size_t)live * width + d] = (double)self->data.x[(size_t)i * width + d];
        live += is_new;
    }
}

static void run_close(lloyd_run *self)
{
    free(self->weight);
    free(self->solution.centre);
    free(self->solution.centre_weight);
    points_free(&self->data);
}

/* K groups of unequal size around corners, `offset` away from 0. */
static points make_points(double spread, double offset)
{
    points out = {N, WIDTH, calloc((size_t)N * WIDTH, sizeof(float))};
    uint64_t state = 3;
    assert_non_null(out.x);
    for (uint32_t i = 0; i < N; i++) {
        uint64_t group = test_random(&state) % K * (test_random(&state) % 2);
        for (uint64_t d = 0; d < WIDTH; d++) {
            double place = group == d ? 10 : group == 4 ? 6 : 0;
            out.x[i * WIDTH + d] = (float)(offset + place + spread * test_uniform(&state));
        }
    }
    return out;
}

/* Lloyd's algorithm as it is written in books: every distance by differences, in double. */
static double reference_lloyd(const lloyd_run *run, double *centre, int *steps)
{
    enum { WIDE = K * WIDTH };
    uint32_t cell[N], n = run->data.n;
    double objective = 0.0;
    memset(cell, 0xff, sizeof cell);
    for (*steps = 0;; ++*steps) {
        double sum[WIDE] = {0}, weight[K] = {0};
        bool is_changed = false;
        objective = 0.0;
        for (uint32_t i = 0; i < n; i++) {
            double least = INFINITY, c = (double)run->weight[i];
            uint32_t best = 0;
            for (uint32_t j = 0; j < K; j++) {
                double distance = 0.0;
                for (uint32_t d = 0; d < WIDTH; d++)
                    distance += pow((double)run->data.x[i * WIDTH + d] - centre[j * WIDTH + d], 2);
                best = distance < least ? j : best;
                least = distance < least ? distance : least;
            }
            is_changed = is_changed || cell[i] != best;
            cell[i] = best;
            objective += c * least;
            weight[best] += c;
            for (uint32_t d = 0; d < WIDTH; d++)
                sum[best * WIDTH + d] += c * (double)run->data.x[i * WIDTH + d];
        }
        if (!is_changed)
            return objective;
        for (uint32_t at = 0; at < WIDE; at++)
            centre[at] = weight[at / WIDTH] > 0.0 ? sum[at] / weight[at / WIDTH] : centre[at];
    }
}

static void assert_equals_reference(double spread, double offset)
{
    lloyd_run run;
    float weight[N];
    double want[K * WIDTH];
    int steps = 0;
    for (int i = 0; i < N; i++)
        weight[i] = (float)(1 + i % 3);
    run_open(&run, make_points(spread, offset), weight, K);
    start_with_first_rows(&run);
    memcpy(want, run.solution.centre, sizeof want);
    double objective = reference_lloyd(&run, want, &steps);
    assert_int_equal(run_solve(&run, "tolerance=0"), TW_STATUS_OK);
    assert_true(run.solution.is_converged && run.solution.measure == 0.0);
    assert_int_equal(run.solution.iterations, steps + 1);
    assert_true(fabs(run.solution.objective - objective) <= 1e-12 * objective);
    for (int at = 0; at < K * WIDTH; at++)
        assert_true(fabs(run.solution.centre[at] - want[at]) <= 1e-11 * (1 + fabs(want[at])));
    run_close(&run);
}

static void every_step_is_that_of_a_slow_reference(void **state)
{
    (void)state;
    assert_equals_reference(2.0, 0.0);
    assert_equals_reference(9.0, 0.0);
}

static void rows_far_from_zero_lose_no_digits(void **state)
{
    (void)state;
    assert_equals_reference(4.0, 65536.0);
}

static void an_event_of_weight_two_is_the_event_twice(void **state)
{
    (void)state;
    lloyd_run once, twice;
    points data = make_points(5.0, 0.0), doubled = {2 * N, WIDTH, calloc((size_t)2 * N * WIDTH, sizeof(float))};
    float weight[N], ones[2 * N];
    uint32_t n = 0;
    for (uint32_t i = 0; i < N; i++) {
        weight[i] = (float)(1 + i % 2);
        for (uint32_t copy = 0; copy <= i % 2; copy++, n++)
            memcpy(doubled.x + (size_t)n * WIDTH, data.x + (size_t)i * WIDTH, WIDTH * sizeof(float));
    }
    doubled.n = n;
    for (uint32_t i = 0; i < n; i++)
        ones[i] = 1.0f;
    run_open(&once, data, weight, K);
    run_open(&twice, doubled, ones, K);
    start_with_first_rows(&once);
    start_with_first_rows(&twice);
    assert_int_equal(run_solve(&once, ""), TW_STATUS_OK);
    assert_int_equal(run_solve(&twice, ""), TW_STATUS_OK);
    assert_true(fabs(once.solution.objective - twice.solution.objective) <= 1e-12 * once.solution.objective);
    for (int j = 0; j < K; j++)
        assert_true(once.solution.centre_weight[j] == twice.solution.centre_weight[j]);
    run_close(&once);
    run_close(&twice);
}

static void an_empty_centre_starts_again_at_the_farthest_event(void **state)
{
    (void)state;
    lloyd_run run;
    run_open(&run, make_points(1.0, 0.0), NULL, K);
    start_with_first_rows(&run);
    for (int d = 0; d < WIDTH; d++)
        run.solution.centre[d] = 1e6;
    assert_int_equal(run_solve(&run, ""), TW_STATUS_OK);
    for (int j = 0; j < K; j++)
        assert_true(run.solution.centre_weight[j] > 0.0);
    run_close(&run);
}

typedef struct watch {
    double last;
    uint32_t n, stop_at;
} watch;

static bool watch_progress(void *context, uint32_t iteration, double objective, double measure)
{
    watch *self = context;
    assert_int_equal(iteration, ++self->n);
    assert_true(objective <= self->last * (1 + 1e-12) && measure >= 0.0);
    self->last = objective;
    return iteration == self->stop_at;
}

static void the_sum_of_squares_never_rises_and_a_caller_can_stop(void **state)
{
    (void)state;
    lloyd_run run;
    watch watch = {.last = INFINITY};
    run_open(&run, make_points(9.0, 0.0), NULL, K);
    run.problem.progress = watch_progress;
    run.problem.context = &watch;
    assert_int_equal(run_solve(&run, "tolerance=0"), TW_STATUS_OK);
    assert_int_equal(watch.n, run.solution.iterations);
    assert_true(watch.n > 3);
    watch = (struct watch){.last = INFINITY, .stop_at = 2};
    assert_int_equal(run_solve(&run, "tolerance=0"), TW_STATUS_OK);
    assert_int_equal(run.solution.iterations, 2);
    assert_false(run.solution.is_converged);
    run_close(&run);
}

static void seeds_find_separated_groups_and_more_starts_are_no_worse(void **state)
{
    (void)state;
    lloyd_run run;
    run_open(&run, make_points(1.0, 0.0), NULL, K);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run.problem.seed = seed;
        assert_int_equal(run_solve(&run, ""), TW_STATUS_OK);
        assert_true(run.solution.objective < N * WIDTH / 8.0);
    }
    assert_int_equal(run_solve(&run, "init=sample"), TW_STATUS_OK);
    assert_true(run.solution.objective < N * WIDTH / 8.0);
    assert_int_equal(run_solve(&run, "init=random"), TW_STATUS_OK);
    double one = run.solution.objective;
    assert_int_equal(run_solve(&run, "init=random n_init=10"), TW_STATUS_OK);
    assert_true(run.solution.objective <= one);
    run_close(&run);
}

static void equal_events_leave_centres_without_weight(void **state)
{
    (void)state;
    lloyd_run run;
    points data = {6, 1, calloc(6, sizeof(float))};
    data.x[5] = 4.0f;
    run_open(&run, data, NULL, 3);
    static const char *const inits[] = {"init=kmeans++", "init=random", "init=sample"};
    for (int i = 0; i < 3; i++) {
        double total = 0.0;
        assert_int_equal(run_solve(&run, inits[i]), TW_STATUS_OK);
        assert_true(run.solution.objective == 0.0);
        for (int j = 0; j < 3; j++)
            total += run.solution.centre_weight[j];
        assert_true(total == 6.0);
    }
    run_close(&run);
}

static void what_cannot_be_solved_is_refused_by_name(void **state)
{
    (void)state;
    lloyd_run run;
    run_open(&run, make_points(1.0, 0.0), NULL, K);
    run.problem.n_centres = N + 1;
    assert_int_equal(run_solve(&run, ""), TW_STATUS_INVALID);
    assert_non_null(strstr(run.error.message, "401 centres for 400 events"));
    run.problem.n_centres = K;
    assert_int_equal(run_solve(&run, "init=given"), TW_STATUS_INVALID);
    run.matrix.dense = NULL;
    assert_int_equal(run_solve(&run, ""), TW_STATUS_UNSUPPORTED);
    run_close(&run);
}

static void every_failing_allocation_is_an_error(void **state)
{
    (void)state;
    lloyd_run run;
    tw_status status = TW_STATUS_NO_MEMORY;
    uint64_t point = 1;
    run_open(&run, make_points(1.0, 0.0), NULL, K);
    for (; status != TW_STATUS_OK; point++) {
        tw_fault_arm(TW_FAULT_ALLOC, point + 3, 12, false); /* the options take three */
        status = run_solve(&run, "init=sample");
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_true(status == TW_STATUS_OK || status == TW_STATUS_NO_MEMORY);
    }
    assert_true(point > 3);
    run_close(&run);
}

/* scikit-learn 1.9.1, KMeans(k, init = the first k distinct rows, n_init = 1, algorithm "lloyd", tol = 0,
 * max_iter = 1000) on the rows as floats: inertia, iterations, sum of squares of the centres' numbers, sum over j of j
 * times the sum of centre j's numbers (j from 1). */
typedef struct published {
    const char *set;
    uint32_t k;
    double inertia;
    uint32_t iterations;
    double squares, ordered;
} published;

static void results_are_those_of_scikit_learn(void **state)
{
    (void)state;
    static const published sets[] = {
        {"s1", 15, 2.543100492e+13, 23, 9.38247453929e+12, 119835499.56},
        {"s2", 15, 2.99090125782e+13, 87, 1.09424665101e+13, 129524744.85},
        {"mnist_t10k", 10, 25322079191.4, 105, 32856936.93, 1480944.05969},
        {"birch_rg1", 100, 257897.808398, 203, 81129.1757767, 144444.973224},
    };
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        lloyd_run run;
        points data;
        if (!points_load(TW_SOURCE_DIR "/../shared/data", sets[s].set, &data)) {
            print_message("SKIPPED: %s is not beside the source tree\n", sets[s].set);
            continue;
        }
        run_open(&run, data, NULL, sets[s].k);
        start_with_first_rows(&run);
        assert_int_equal(run_solve(&run, "tolerance=0 max_iterations=1000"), TW_STATUS_OK);
        double squares = 0.0, ordered = 0.0;
        for (uint32_t at = 0; at < sets[s].k * data.width; at++) {
            squares += run.solution.centre[at] * run.solution.centre[at];
            ordered += (at / data.width + 1) * run.solution.centre[at];
        }
        print_message("%s: %.12g after %u iterations, peer %.12g after %u\n", sets[s].set, run.solution.objective,
            run.solution.iterations, sets[s].inertia, sets[s].iterations);
        assert_true(fabs(run.solution.objective / sets[s].inertia - 1) <= 1e-6);
        assert_true(fabs(squares / sets[s].squares - 1) <= 1e-6);
        assert_true(fabs(ordered / sets[s].ordered - 1) <= 1e-6);
        run_close(&run);
    }
}

/* Every one of 100 clusters is found, where k-means++ alone misses some. */
static void a_fit_to_a_sample_finds_what_seeds_alone_miss(void **state)
{
    (void)state;
    lloyd_run run;
    points data;
    if (!points_load(TW_SOURCE_DIR "/../shared/data", "birch_rg1", &data)) {
        print_message("SKIPPED: birch_rg1 is not beside the source tree\n");
        skip();
    }
    run_open(&run, data, NULL, 100);
    assert_int_equal(run_solve(&run, "init=kmeans++"), TW_STATUS_OK);
    double seeds = run.solution.objective;
    assert_int_equal(run_solve(&run, "init=sample"), TW_STATUS_OK);
    print_message("birch_rg1: k-means++ %.6g, sample %.6g\n", seeds, run.solution.objective);
    assert_true(run.solution.objective < 176000);
    run_close(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_is_that_of_a_slow_reference),
        cmocka_unit_test(rows_far_from_zero_lose_no_digits),
        cmocka_unit_test(an_event_of_weight_two_is_the_event_twice),
        cmocka_unit_test(an_empty_centre_starts_again_at_the_farthest_event),
        cmocka_unit_test(the_sum_of_squares_never_rises_and_a_caller_can_stop),
        cmocka_unit_test(seeds_find_separated_groups_and_more_starts_are_no_worse),
        cmocka_unit_test(equal_events_leave_centres_without_weight),
        cmocka_unit_test(what_cannot_be_solved_is_refused_by_name),
        cmocka_unit_test(every_failing_allocation_is_an_error),
        cmocka_unit_test(results_are_those_of_scikit_learn),
        cmocka_unit_test(a_fit_to_a_sample_finds_what_seeds_alone_miss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
