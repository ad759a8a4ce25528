#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/loss_reference.h"

extern const tw_learner_ops tw_learner_ftrl;

enum { N_ROWS = 64 };

/* Algorithm 1 of McMahan et al. 2013, dense, in double, as it is written there. Coordinate N_ROWS is the bias. */
typedef struct reference {
    double alpha, beta, l1, l2, z[N_ROWS + 1], n[N_ROWS + 1];
    bool is_squared;
} reference;

static double reference_weight(const reference *self, int i)
{
    double l1 = i == N_ROWS ? 0.0 : self->l1, l2 = i == N_ROWS ? 0.0 : self->l2;
    if (fabs(self->z[i]) <= l1) {
        return 0.0;
    }
    double sign = self->z[i] < 0.0 ? -1.0 : 1.0;
    return -(self->z[i] - sign * l1) / ((self->beta + sqrt(self->n[i])) / self->alpha + l2);
}

static double reference_learn(reference *self, const double *x, double label, double weight)
{
    double w[N_ROWS + 1], score = 0.0;
    for (int i = 0; i <= N_ROWS; i++) {
        w[i] = reference_weight(self, i);
        score += w[i] * x[i];
    }
    double prediction = self->is_squared ? score : 1.0 / (1.0 + exp(-score));
    for (int i = 0; i <= N_ROWS; i++) {
        double g = weight * (prediction - label) * x[i];
        double sigma = (sqrt(self->n[i] + g * g) - sqrt(self->n[i])) / self->alpha;
        self->z[i] += g - sigma * w[i];
        self->n[i] += g * g;
    }
    return score;
}

/* Events with distinct keys; labels follow a hidden linear model. */
static event_list make_events(uint32_t n_events, bool is_real, bool is_weighted)
{
    event_list events = {0};
    uint64_t state = 5;
    for (uint32_t i = 0; i < n_events; i++) {
        double margin = 0.0;
        float weight = is_weighted ? (float)(1 + test_random(&state) % 3) : 1.0f;
        event_list_begin(&events, 0.0f, weight);
        for (uint32_t index = 0; index < N_ROWS; index++) {
            if (test_uniform(&state) < 0.3) {
                float value = (float)(2 * test_uniform(&state) - 0.7);
                margin += (double)value * ((double)(index % 9) / 4 - 1);
                event_list_add(&events, index, value);
            }
        }
        events.label[i] = is_real ? (float)(margin + 0.1) : test_uniform(&state) < 1 / (1 + exp(-margin));
    }
    return events;
}

static void assert_follows_reference(const char *options, reference *want, bool is_weighted)
{
    learner_fixture learner;
    event_list events = make_events(400, want->is_squared, is_weighted);
    float *scores = calloc(events.n_events, sizeof *scores);
    learner_fixture_open(&learner, &tw_learner_ftrl, options, 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, events.n_events, 32, scores, NULL), TW_STATUS_OK);
    double worst = 0.0;
    for (uint32_t i = 0; i < events.n_events; i++) {
        double x[N_ROWS + 1] = {0};
        x[N_ROWS] = 1.0;
        for (uint32_t e = events.row_start[i]; e < events.row_start[i + 1]; e++) {
            x[events.index[e]] = (double)events.value[e];
        }
        double score = reference_learn(want, x, (double)events.label[i], (double)events.weight[i]);
        assert_true(fabs(score - (double)scores[i]) <= 2e-5 * (1 + fabs(score)));
    }
    for (int i = 0; i < N_ROWS; i++) {
        double got = learner.ops->weight(learner.self, learner_fixture_row(&learner, (uint32_t)i));
        double expected = reference_weight(want, i), error = fabs(got - expected) / (fabs(expected) + 1e-2);
        worst = error > worst ? error : worst;
    }
    print_message("largest relative error of a weight %.2g\n", worst);
    assert_true(worst <= 1e-5);
    learner_fixture_close(&learner);
    event_list_free(&events);
    free(scores);
}

static void logistic_loss_follows_algorithm_one(void **state)
{
    (void)state;
    reference want = {.alpha = 0.1, .beta = 1};
    assert_follows_reference("alpha=0.1 beta=1 l1=0 l2=0", &want, false);
}

static void l1_and_l2_follow_algorithm_one(void **state)
{
    (void)state;
    reference want = {.alpha = 0.3, .beta = 0.5, .l1 = 1.5, .l2 = 0.7};
    assert_follows_reference("alpha=0.3 beta=0.5 l1=1.5 l2=0.7", &want, false);
}

static void squared_loss_follows_algorithm_one(void **state)
{
    (void)state;
    reference want = {.alpha = 0.2, .beta = 1, .is_squared = true};
    assert_follows_reference("alpha=0.2 beta=1 loss=squared", &want, false);
}

static void importance_weights_multiply_the_gradient(void **state)
{
    (void)state;
    reference want = {.alpha = 0.1, .beta = 1, .l1 = 0.1};
    assert_follows_reference("alpha=0.1 beta=1 l1=0.1", &want, true);
}

/* One row set by hand: z and n, then its weight. */
static double weight_of(learner_fixture *learner, float z, float n)
{
    float row[2] = {z, n};
    return learner->ops->weight(learner->self, row);
}

static void weights_with_l1_match_values_by_hand(void **state)
{
    (void)state;
    learner_fixture learner;
    learner_fixture_open(&learner, &tw_learner_ftrl, "alpha=0.5 beta=1 l1=1 l2=0.5", 0, 1);
    assert_true(weight_of(&learner, 1.0f, 4.0f) == 0.0);
    assert_true(weight_of(&learner, -1.0f, 4.0f) == 0.0);
    /* (1 + 2) / 0.5 + 0.5 = 6.5 */
    assert_true(fabs(weight_of(&learner, 3.0f, 4.0f) + 2.0 / 6.5) < 1e-7);
    assert_true(fabs(weight_of(&learner, -3.0f, 4.0f) - 2.0 / 6.5) < 1e-7);
    learner_fixture_close(&learner);
}

static double loss_at(learner_fixture *learner, const event_list *event, bool is_squared)
{
    float score;
    learner_fixture_predict(learner, event, &score);
    double y = (double)event->label[0], s = (double)score;
    return is_squared ? 0.5 * (s - y) * (s - y) : log(1 + exp(s)) - y * s;
}

/* From z = n = 0 a step leaves z = g. The loss is compared at weights +-h put into row 0 through z. */
static void assert_gradient_is_the_slope(const char *options, bool is_squared)
{
    learner_fixture learner;
    event_list event = {0};
    float score;
    event_list_begin(&event, 1.0f, 1.0f);
    event_list_add(&event, 0, 0.8f);
    event_list_add(&event, 1, -1.3f);
    learner_fixture_open(&learner, &tw_learner_ftrl, options, 0, 2);
    float *rows = learner_fixture_row(&learner, 0);
    rows[2] = -4.0f;
    const float h = 0.125f;
    rows[0] = -h; /* alpha = beta = 1: w = -z */
    double up = loss_at(&learner, &event, is_squared);
    rows[0] = h;
    double down = loss_at(&learner, &event, is_squared);
    rows[0] = 0.0f;
    assert_int_equal(learner_fixture_learn(&learner, &event, 0, 1, 1, &score, NULL), TW_STATUS_OK);
    assert_true(fabs((double)rows[0] - (up - down) / (2 * (double)h)) < 2e-3);
    assert_true(fabs((double)rows[1] - (double)rows[0] * (double)rows[0]) < 1e-6);
    learner_fixture_close(&learner);
    event_list_free(&event);
}

static void gradients_are_the_slope_of_the_loss(void **state)
{
    (void)state;
    assert_gradient_is_the_slope("alpha=1 beta=1 bias=false", false);
    assert_gradient_is_the_slope("alpha=1 beta=1 bias=false loss=squared", true);
}

static void bias_is_not_shrunk_unless_asked(void **state)
{
    (void)state;
    event_list event = {0};
    const char *options[] = {"l1=10", "l1=10 bias_shrink=true"};
    for (int i = 0; i < 2; i++) {
        learner_fixture learner;
        float scores[3];
        learner_fixture_open(&learner, &tw_learner_ftrl, options[i], 0, 1);
        event_list_free(&event);
        for (int j = 0; j < 3; j++) {
            event_list_begin(&event, 1.0f, 1.0f);
        }
        assert_int_equal(learner_fixture_learn(&learner, &event, 0, 3, 3, scores, NULL), TW_STATUS_OK);
        assert_true(i == 0 ? scores[2] > 0.01f : scores[2] == 0.0f);
        learner_fixture_close(&learner);
    }
    event_list_free(&event);
}

static void a_key_twice_in_an_event_is_updated_in_entry_order(void **state)
{
    (void)state;
    learner_fixture learner;
    event_list event = {0};
    float score, *row;
    learner_fixture_open(&learner, &tw_learner_ftrl, "alpha=0.5 beta=1 bias=false", 0, 1);
    row = learner_fixture_row(&learner, 0);
    row[0] = -2.0f;
    row[1] = 1.0f;
    const double x[2] = {1.5, -0.5};
    event_list_begin(&event, 0.0f, 1.0f);
    event_list_add(&event, 0, (float)x[0]);
    event_list_add(&event, 0, (float)x[1]);
    assert_int_equal(learner_fixture_learn(&learner, &event, 0, 1, 1, &score, NULL), TW_STATUS_OK);
    double z = -2.0, n = 1.0, margin = 0.5 * (x[0] + x[1]), error = 1 / (1 + exp(-margin));
    assert_true(fabs((double)score - margin) < 1e-6);
    for (int i = 0; i < 2; i++) {
        double w = -z / ((1 + sqrt(n)) / 0.5), g = error * x[i];
        z += g - (sqrt(n + g * g) - sqrt(n)) / 0.5 * w;
        n += g * g;
    }
    assert_true(fabs((double)row[0] - z) < 1e-6 && fabs((double)row[1] - n) < 1e-6);
    learner_fixture_close(&learner);
    event_list_free(&event);
}

/* Events of 0 to 2,000 entries, keys repeated within and across chunks. */
static event_list make_long_events(uint32_t n_events)
{
    event_list events = {0};
    uint64_t state = 3;
    for (uint32_t i = 0; i < n_events; i++) {
        event_list_begin(&events, (float)(test_random(&state) % 2), 1.0f);
        uint64_t n_entries = i % 10 == 0 ? test_random(&state) % 2000 : test_random(&state) % 40;
        for (uint64_t e = 0; e < n_entries; e++) {
            event_list_add(&events, (uint32_t)(test_random(&state) % N_ROWS), (float)(test_uniform(&state) - 0.5));
        }
    }
    return events;
}

static void batch_size_changes_no_bit(void **state)
{
    (void)state;
    const uint32_t sizes[] = {1, 7, 64, 300};
    event_list events = make_long_events(300);
    float *first = calloc(events.n_events, sizeof *first), *scores = calloc(events.n_events, sizeof *scores);
    learner_fixture want, got;
    learner_fixture_open(&want, &tw_learner_ftrl, "l1=0.2", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&want, &events, 0, 300, 16, first, NULL), TW_STATUS_OK);
    for (size_t i = 0; i < 4; i++) {
        learner_fixture_open(&got, &tw_learner_ftrl, "l1=0.2", 0, N_ROWS);
        assert_int_equal(learner_fixture_learn(&got, &events, 0, 300, sizes[i], scores, NULL), TW_STATUS_OK);
        assert_true(learner_fixture_equals(&want, &got));
        assert_memory_equal(first, scores, events.n_events * sizeof *scores);
        learner_fixture_close(&got);
    }
    learner_fixture_close(&want);
    event_list_free(&events);
    free(first);
    free(scores);
}

static void events_without_label_or_weight_are_scored_and_not_learned(void **state)
{
    (void)state;
    learner_fixture learner, before;
    event_list events = make_events(50, false, false);
    float scores[50], again[50];
    learner_fixture_open(&learner, &tw_learner_ftrl, "", 0, N_ROWS);
    learner_fixture_open(&before, &tw_learner_ftrl, "", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 50, 50, scores, NULL), TW_STATUS_OK);
    assert_int_equal(learner_fixture_learn(&before, &events, 0, 50, 50, scores, NULL), TW_STATUS_OK);
    for (uint32_t i = 0; i < 50; i++) {
        events.label[i] = i % 2 ? NAN : 1.0f;
        events.weight[i] = i % 2 ? 1.0f : 0.0f;
    }
    learner_fixture_predict(&learner, &events, again);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 50, 50, scores, NULL), TW_STATUS_OK);
    assert_memory_equal(scores, again, sizeof scores);
    assert_true(learner_fixture_equals(&learner, &before));
    learner_fixture_close(&learner);
    learner_fixture_close(&before);
    event_list_free(&events);
}

static void extreme_values_end_in_an_error_and_leave_finite_rows(void **state)
{
    (void)state;
    const float values[] = {1e-38f, 1e10f, 1e18f, 1e30f, FLT_MAX, -FLT_MAX};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        learner_fixture learner;
        event_list events = {0};
        float scores[64];
        tw_error error;
        learner_fixture_open(&learner, &tw_learner_ftrl, "", 0, 2);
        for (int i = 0; i < 64; i++) {
            event_list_begin(&events, (float)(i % 2), 1.0f);
            event_list_add(&events, 0, i % 3 ? values[v] : 1.0f);
            event_list_add(&events, 1, 1.0f);
        }
        tw_status status = learner_fixture_learn(&learner, &events, 0, 64, 64, scores, &error);
        assert_true(status == TW_STATUS_OK || status == TW_STATUS_NUMERIC);
        assert_true(fabsf(values[v]) < 1e20f || status == TW_STATUS_NUMERIC);
        for (int i = 0; i < 4; i++) {
            assert_true(isfinite(((float *)learner_fixture_row(&learner, 0))[i]));
        }
        learner_fixture_close(&learner);
        event_list_free(&events);
    }
}

static void rows_are_as_before_the_event_that_fails(void **state)
{
    (void)state;
    learner_fixture learner, before;
    event_list events = make_events(20, false, false);
    float scores[21];
    tw_error error;
    event_list_begin(&events, 1.0f, 1.0f);
    event_list_add(&events, 0, 1.0f);
    event_list_add(&events, 1, 1e30f);
    learner_fixture_open(&learner, &tw_learner_ftrl, "", 0, N_ROWS);
    learner_fixture_open(&before, &tw_learner_ftrl, "", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 21, 21, scores, &error), TW_STATUS_NUMERIC);
    assert_non_null(strstr(error.message, "event 20"));
    assert_int_equal(learner_fixture_learn(&before, &events, 0, 20, 20, scores, &error), TW_STATUS_OK);
    assert_true(learner_fixture_equals(&learner, &before));
    learner_fixture_close(&learner);
    learner_fixture_close(&before);
    event_list_free(&events);
}

static void contributions_and_bias_add_up_to_the_score(void **state)
{
    (void)state;
    learner_fixture learner;
    event_list events = make_events(60, false, false);
    float scores[60], *part = calloc(events.n_entries, sizeof *part);
    learner_fixture_open(&learner, &tw_learner_ftrl, "bias=false", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 60, 60, scores, NULL), TW_STATUS_OK);
    learner_fixture_predict(&learner, &events, scores);
    learner_fixture_explain(&learner, &events, part);
    for (uint32_t i = 0; i < 60; i++) {
        double sum = 0.0;
        for (uint32_t e = events.row_start[i]; e < events.row_start[i + 1]; e++) {
            sum += (double)part[e];
        }
        assert_true(fabs(sum - (double)scores[i]) < 1e-5);
    }
    learner_fixture_close(&learner);
    event_list_free(&events);
    free(part);
}

static void flight_grows_with_the_root_of_the_events(void **state)
{
    (void)state;
    learner_fixture learner;
    learner_fixture_open(&learner, &tw_learner_ftrl, "alpha=0.1", 0, 1);
    assert_true(fabs(learner.ops->flight(learner.self, 1000000) - 500.0) < 1e-9);
    learner_fixture_close(&learner);
}

static void one_pass_over_a9a_reaches_the_published_loss(void **state)
{
    (void)state;
    event_list train = {0}, test = {0};
    if (!load_libsvm(TW_SOURCE_DIR "/../shared/data/a9a/a9a.train.libsvm.gz", &train) ||
        !load_libsvm(TW_SOURCE_DIR "/../shared/data/a9a/a9a.test.libsvm.gz", &test)) {
        print_message("SKIPPED: ../shared/data/a9a is not beside the repository\n");
        skip();
    }
    learner_fixture learner;
    float *scores = calloc(train.n_events, sizeof *scores);
    learner_fixture_open(&learner, &tw_learner_ftrl, "alpha=0.1 beta=1 l1=0 l2=0", 0, 128);
    assert_int_equal(learner_fixture_learn(&learner, &train, 0, train.n_events, 256, scores, NULL), TW_STATUS_OK);
    double progressive = mean_logistic_loss(&train, scores);
    learner_fixture_predict(&learner, &test, scores);
    double tested = mean_logistic_loss(&test, scores);
    print_message("a9a: progressive %.5f, test %.5f\n", progressive, tested);
    assert_true(progressive <= 0.335);
    assert_true(tested <= 0.325);
    learner_fixture_close(&learner);
    event_list_free(&train);
    event_list_free(&test);
    free(scores);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logistic_loss_follows_algorithm_one),
        cmocka_unit_test(l1_and_l2_follow_algorithm_one),
        cmocka_unit_test(squared_loss_follows_algorithm_one),
        cmocka_unit_test(importance_weights_multiply_the_gradient),
        cmocka_unit_test(weights_with_l1_match_values_by_hand),
        cmocka_unit_test(gradients_are_the_slope_of_the_loss),
        cmocka_unit_test(bias_is_not_shrunk_unless_asked),
        cmocka_unit_test(a_key_twice_in_an_event_is_updated_in_entry_order),
        cmocka_unit_test(batch_size_changes_no_bit),
        cmocka_unit_test(events_without_label_or_weight_are_scored_and_not_learned),
        cmocka_unit_test(extreme_values_end_in_an_error_and_leave_finite_rows),
        cmocka_unit_test(rows_are_as_before_the_event_that_fails),
        cmocka_unit_test(contributions_and_bias_add_up_to_the_score),
        cmocka_unit_test(flight_grows_with_the_root_of_the_events),
        cmocka_unit_test(one_pass_over_a9a_reaches_the_published_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
