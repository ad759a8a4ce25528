/* The drift monitor around a learner: where it acts, what it counts, and that batches and stops do not move that. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "engine/drift.h"
#include "support/learner_fixture.h"

enum { N_EVENTS = 3000, N_KEYS = 4, MAX_ENTRIES = N_EVENTS * 3 };

/* A mean by key that forgets: row {sum, count, clock}, block {clock}. A row catches up with the clock when touched. */
typedef struct mean_row {
    double sum, count, clock;
} mean_row;

static size_t mean_size(const tw_option_values *options)
{
    (void)options;
    return 64;
}

static void mean_touch(mean_row *row, double clock)
{
    double kept = exp2(row->clock - clock);
    row->sum *= kept;
    row->count *= kept;
    row->clock = clock;
}

static tw_status mean_learn(void *self, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error)
{
    (void)self;
    (void)error;
    const double *clock = rows->block[0];
    assert_int_equal(batch->row_start[0], 0);
    assert_int_equal(batch->row_start[batch->n_events], batch->n_entries);
    for (uint32_t i = 0; i < batch->n_events; i++) {
        double score = 0;
        for (uint32_t k = batch->row_start[i]; k < batch->row_start[i + 1]; k++) {
            mean_row *row = rows->row[k];
            mean_touch(row, *clock);
            score += row->sum / (row->count + 1) * (double)batch->value[k];
            if (batch->weight[i] > 0 && !isnan(batch->label[i])) {
                row->sum += (double)batch->label[i] - 0.5;
                row->count += 1;
            }
        }
        scores[i] = (float)score;
    }
    return TW_STATUS_OK;
}

static bool mean_hasten(void *self, const tw_rows *rows, double half_lives)
{
    (void)self;
    double *clock = rows->block[0];
    *clock += half_lives;
    return true;
}

static bool mean_cannot(void *self, const tw_rows *rows, double half_lives)
{
    (void)self;
    (void)rows;
    (void)half_lives;
    return false;
}

static const tw_learner_ops mean_ops = {
    .name = "mean", .state_size = mean_size, .learn = mean_learn, .hasten = mean_hasten};

typedef struct stream {
    uint32_t row_start[N_EVENTS + 1];
    uint64_t key[MAX_ENTRIES];
    float value[MAX_ENTRIES], label[N_EVENTS], weight[N_EVENTS], dense[N_EVENTS];
    uint16_t field[MAX_ENTRIES];
    int64_t time_us[N_EVENTS];
    uint32_t index[MAX_ENTRIES];
} stream;

typedef struct fixture {
    stream events;
    tw_learner_traits traits;
    mean_row row[N_KEYS];
    double clock;
    float scores[N_EVENTS];
} fixture;

/* Labels follow the keys and turn round at event 1500; some events have no label, some no weight, some no entries. */
static int set_up(void **state)
{
    fixture *self = calloc(1, sizeof *self);
    stream *s = &self->events;
    uint64_t random = 9;
    uint32_t n = 0;
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        uint32_t key = (uint32_t)(test_uniform(&random) * N_KEYS), n_keys = (uint32_t)(test_uniform(&random) * 3.5);
        bool is_one = (test_uniform(&random) < 0.9) == (key % 2 == 0);
        s->label[i] = is_one == (i < 1500) ? 1 : 0;
        if (test_uniform(&random) < 0.1)
            s->label[i] = NAN;
        s->weight[i] = test_uniform(&random) < 0.05 ? 0 : 1;
        for (uint32_t k = 0; k < n_keys && k < 3; k++) {
            s->index[n] = key;
            s->key[n] = key + 1;
            s->value[n++] = 4;
        }
        s->row_start[i + 1] = n;
    }
    self->traits = (tw_learner_traits){
        .task = TW_TASK_BINARY, .n_outputs = 1, .loss = {.kind = TW_LOSS_LOGISTIC}, .link = TW_LINK_LOGISTIC};
    tw_block *block = tw_schema_add_block(&self->traits.schema, "clock", 1, NULL);
    assert_int_equal(tw_record_add(&block->record, "clock", TW_FIELD_F64, 1, TW_MERGE_ADD, NULL), TW_STATUS_OK);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static tw_drift_options forgetting(tw_drift_detector detector)
{
    return (tw_drift_options){.detector = detector,
        .delta = detector == TW_DRIFT_ADWIN ? 0.002 : 0.005,
        .threshold = 20,
        .alpha = 0.9999,
        .min_events = 30,
        .is_forgetting = true,
        .half_lives = 3};
}

static tw_drift *make(fixture *self, const tw_drift_options *options)
{
    tw_drift *drift = NULL;
    tw_error error = {0};
    tw_status status = tw_drift_create(options, &mean_ops, self, &self->traits, &drift, &error);
    if (status < 0)
        print_error("%s\n", error.message);
    assert_int_equal(status, TW_STATUS_OK);
    return drift;
}

/* Learns events [from, to) in batches of `size`. */
static void learn(fixture *self, tw_drift *drift, uint32_t from, uint32_t to, uint32_t size)
{
    static void *row[MAX_ENTRIES];
    static uint32_t row_start[N_EVENTS + 1];
    void *block[1] = {&self->clock};
    const stream *s = &self->events;
    for (uint32_t start = from; start < to; start += size) {
        uint32_t n = to - start < size ? to - start : size, base = s->row_start[start];
        uint64_t n_before = 0;
        for (uint32_t i = 0; i < start; i++)
            n_before += s->weight[i] > 0 && !isnan(s->label[i]);
        for (uint32_t i = 0; i <= n; i++)
            row_start[i] = s->row_start[start + i] - base;
        for (uint32_t k = 0; k < row_start[n]; k++)
            row[k] = &self->row[s->index[base + k]];
        tw_batch batch = {.n_events = n,
            .n_entries = row_start[n],
            .row_start = row_start,
            .key = s->key + base,
            .value = s->value + base,
            .field = s->field + base,
            .label = s->label + start,
            .weight = s->weight + start,
            .time_us = s->time_us + start,
            .dense = s->dense + start,
            .dense_width = 1};
        tw_rows rows = {.row = row, .block = block};
        tw_drift_begin(drift, n_before);
        assert_int_equal(tw_drift_learn(drift, &batch, &rows, self->scores + start, NULL), TW_STATUS_OK);
    }
}

static void forget_all(fixture *self)
{
    memset(self->row, 0, sizeof self->row);
    self->clock = 0;
}

static void the_model_with_forgetting_does_not_depend_on_the_batch_size(void **state)
{
    fixture *self = *state;
    static const uint32_t sizes[] = {1, 7, 32, 256, N_EVENTS};
    for (int detector = TW_DRIFT_ADWIN; detector <= TW_DRIFT_PAGE_HINKLEY; detector++) {
        tw_drift_options options = forgetting((tw_drift_detector)detector);
        mean_row first_row[N_KEYS];
        float first_scores[N_EVENTS];
        tw_drift_counts first_counts, counts;
        for (int k = 0; k < 5; k++) {
            tw_drift *drift = make(self, &options);
            forget_all(self);
            learn(self, drift, 0, N_EVENTS, sizes[k]);
            tw_drift_counts_now(drift, &counts);
            tw_drift_destroy(&drift);
            if (k == 0) {
                memcpy(first_row, self->row, sizeof first_row);
                memcpy(first_scores, self->scores, sizeof first_scores);
                first_counts = counts;
                assert_true(counts.drifts >= 1);
                assert_true(self->clock == 3.0 * (double)counts.drifts);
                continue;
            }
            assert_memory_equal(first_row, self->row, sizeof first_row);
            assert_memory_equal(first_scores, self->scores, sizeof first_scores);
            assert_memory_equal(&first_counts, &counts, sizeof counts);
        }
        printf("detector %d: drift of event 1500 found at learned event %llu, mean loss %.3f -> %.3f\n", detector,
            (unsigned long long)first_counts.last_event, first_counts.before, first_counts.after);
    }
}

static void forgetting_after_a_drift_lowers_the_loss_that_follows(void **state)
{
    fixture *self = *state;
    double loss[2] = {0, 0};
    for (int k = 0; k < 2; k++) {
        tw_drift_options options = forgetting(TW_DRIFT_ADWIN);
        options.is_forgetting = k == 1;
        tw_drift *drift = make(self, &options);
        forget_all(self);
        learn(self, drift, 0, N_EVENTS, 100);
        tw_drift_destroy(&drift);
        for (uint32_t i = 1500; i < N_EVENTS; i++) {
            double y = (double)self->events.label[i], s = (double)self->scores[i];
            if (self->events.weight[i] > 0 && !isnan(y))
                loss[k] += log1p(exp(-s)) + (1 - y) * s;
        }
    }
    printf("loss after the turn: %.1f without, %.1f with forgetting\n", loss[0], loss[1]);
    assert_true(loss[1] < 0.8 * loss[0]);
}

static void a_monitor_restored_in_the_middle_goes_on_as_if_it_had_not_stopped(void **state)
{
    fixture *self = *state;
    tw_drift_options options = forgetting(TW_DRIFT_PAGE_HINKLEY);
    tw_drift *whole = make(self, &options);
    learn(self, whole, 0, N_EVENTS, 64);
    fixture *other = calloc(1, sizeof *other);
    for (uint32_t stop = 1400; stop < 1700; stop += 13) {
        tw_drift *before = make(self, &options), *after = make(self, &options);
        void *bytes = NULL, *expected = NULL;
        size_t size = 0, expected_size = 0;
        memcpy(other, self, sizeof *other);
        forget_all(other);
        learn(other, before, 0, stop, 29);
        assert_int_equal(tw_drift_save(before, &bytes, &size, NULL), TW_STATUS_OK);
        assert_int_equal(tw_drift_load(after, bytes, size, NULL), TW_STATUS_OK);
        tw_free(bytes);
        learn(other, after, stop, N_EVENTS, 29);
        assert_memory_equal(other->row, self->row, sizeof self->row);
        assert_int_equal(tw_drift_save(whole, &expected, &expected_size, NULL), TW_STATUS_OK);
        assert_int_equal(tw_drift_save(after, &bytes, &size, NULL), TW_STATUS_OK);
        assert_int_equal(size, expected_size);
        assert_memory_equal(bytes, expected, size);
        tw_free(bytes);
        tw_free(expected);
        tw_drift_destroy(&before);
        tw_drift_destroy(&after);
    }
    free(other);
    tw_drift_destroy(&whole);
}

static void a_batch_that_was_not_learned_after_all_leaves_no_trace(void **state)
{
    fixture *self = *state;
    tw_drift_options options = forgetting(TW_DRIFT_ADWIN);
    tw_drift *drift = make(self, &options);
    void *before = NULL, *after = NULL;
    size_t size = 0;
    learn(self, drift, 0, 1500, 500);
    assert_int_equal(tw_drift_save(drift, &before, &size, NULL), TW_STATUS_OK);
    learn(self, drift, 1500, 2500, 1000);
    tw_drift_undo(drift);
    assert_int_equal(tw_drift_save(drift, &after, &size, NULL), TW_STATUS_OK);
    assert_memory_equal(before, after, size);
    tw_free(before);
    tw_free(after);
    tw_drift_destroy(&drift);
}

static void other_figures_start_the_detector_over_and_keep_the_counts(void **state)
{
    fixture *self = *state;
    tw_drift_options options = forgetting(TW_DRIFT_ADWIN), others = options;
    others.delta = 0.01;
    tw_drift *one = make(self, &options), *two = make(self, &others);
    tw_drift_counts counts, taken;
    void *bytes = NULL;
    size_t size = 0;
    learn(self, one, 0, N_EVENTS, 256);
    tw_drift_counts_now(one, &counts);
    assert_int_equal(tw_drift_save(one, &bytes, &size, NULL), TW_STATUS_OK);
    assert_int_equal(tw_drift_load(two, bytes, size, NULL), TW_STATUS_OK);
    tw_drift_counts_now(two, &taken);
    assert_true(counts.drifts > 0);
    assert_memory_equal(&counts, &taken, sizeof counts);
    tw_free(bytes);
    tw_drift_destroy(&one);
    tw_drift_destroy(&two);
}

static void damaged_bytes_are_refused(void **state)
{
    fixture *self = *state;
    tw_drift_options options = forgetting(TW_DRIFT_ADWIN);
    tw_drift *drift = make(self, &options);
    tw_error error = {0};
    void *bytes = NULL;
    size_t size = 0;
    assert_int_equal(tw_drift_save(drift, &bytes, &size, NULL), TW_STATUS_OK);
    assert_int_equal(tw_drift_load(drift, bytes, size - 1, &error), TW_STATUS_CORRUPT);
    assert_int_equal(tw_drift_load(drift, "", 0, &error), TW_STATUS_CORRUPT);
    memset((char *)bytes + 8 + 6 * 8, 0xff, 64);
    assert_int_equal(tw_drift_load(drift, bytes, size, &error), TW_STATUS_CORRUPT);
    tw_free(bytes);
    tw_drift_destroy(&drift);
}

static void what_a_learner_cannot_do_is_refused_with_its_name(void **state)
{
    fixture *self = *state;
    tw_drift_options options = forgetting(TW_DRIFT_ADWIN);
    tw_learner_ops ops = mean_ops;
    tw_drift *drift = NULL;
    tw_error error = {0};
    ops.hasten = NULL;
    assert_int_equal(tw_drift_create(&options, &ops, self, &self->traits, &drift, &error), TW_STATUS_CONFIG);
    assert_non_null(strstr(error.message, "mean has no half-life"));
    ops.hasten = mean_cannot;
    assert_int_equal(tw_drift_create(&options, &ops, self, &self->traits, &drift, &error), TW_STATUS_CONFIG);
    assert_non_null(strstr(error.message, "mean forgets nothing"));
    options.is_forgetting = false;
    self->traits.loss.kind = TW_LOSS_NONE;
    assert_int_equal(tw_drift_create(&options, &ops, self, &self->traits, &drift, &error), TW_STATUS_CONFIG);
    assert_non_null(strstr(error.message, "no loss"));
    self->traits.task = TW_TASK_REGRESSION;
    self->traits.loss.kind = TW_LOSS_SQUARED;
    options.signal = TW_DRIFT_ERROR;
    assert_int_equal(tw_drift_create(&options, &ops, self, &self->traits, &drift, &error), TW_STATUS_CONFIG);
    assert_non_null(strstr(error.message, "labels 0 and 1"));
    assert_null(drift);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_model_with_forgetting_does_not_depend_on_the_batch_size),
        CASE(forgetting_after_a_drift_lowers_the_loss_that_follows),
        CASE(a_monitor_restored_in_the_middle_goes_on_as_if_it_had_not_stopped),
        CASE(a_batch_that_was_not_learned_after_all_leaves_no_trace),
        CASE(other_figures_start_the_detector_over_and_keep_the_counts),
        CASE(damaged_bytes_are_refused),
        CASE(what_a_learner_cannot_do_is_refused_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
