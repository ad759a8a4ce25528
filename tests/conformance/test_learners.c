/* One loop over every registered learner, without and with a scaler, on both kinds of table: what must hold for all of
 * them. A learner that is added to algorithms/learners.def is tested here without a line of test code. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fault.h"
#include "support/conformance.h"

enum {
    LOG_EVENTS = 1500,
    LOG_BAD = 40,
    PROBE_EVENTS = 100,
    A9A_LINES = 4000,
    MIN_PAIRS = 150,
};

typedef struct tally {
    unsigned n_ran, n_failed, n_skipped;
    uint64_t n_alloc_points, n_file_points;
} tally;

static tally total;

/* Options with which the stream moves something; a learner that is not named here runs with its defaults. Its first
 * line runs in all forms; further ones, for options that change rows or blocks, in one form without failing calls. */
static const char *const option_lines[][2] = {
    {"ftrl", "alpha=0.1 l1=0.1"},
    {"ftrl", "alpha=0.1 l1=0.1 half_life=300"},
    {"ftrl", "loss=squared half_life_time=30m"},
    {"logistic", ""},
    {"logistic", "l1=0.0001 l2=0.001 half_life=300"},
    {"logistic", "loss=squared half_life_time=30m"},
    {"linear", "optimizer=adagrad l1=1e-3 l2=1e-3"},
    {"linear", "optimizer=adagrad half_life=300 schedule=inverse_sqrt"},
    {"linear", "optimizer=sgd loss=squared rate=1e-8 l1=1e-3"},
    {"linear", "optimizer=momentum loss=hinge l2=1e-3"},
    {"linear", "optimizer=adam schedule=inverse half_life_time=30m"},
    {"kmeans", "k=4 init_events=50 decay=0.999"},
    {"kmeans", "k=4 init_events=50 input=sparse half_life=700"},
};
enum { N_OPTION_LINES = sizeof option_lines / sizeof *option_lines };

/* --- shards and batches ------------------------------------------------------------------------------------------- */

static outcome shards_equal_local(const subject *self)
{
    static const uint32_t counts[] = {1, 2, 5};
    outcome result = RAN;
    for (size_t i = 0; i < 3; i++) {
        char folder[PIPELINE_PATH_SIZE], what[32];
        pipeline_setup setup = setup_in(self, "shards", folder);
        setup.n_shards = counts[i];
        (void)snprintf(what, sizeof what, "%u shards", counts[i]);
        result = worst(result, run_and_compare(self, &setup, TRACE_ALL, what));
    }
    return result;
}

static outcome batch_size_changes_nothing(const subject *self)
{
    static const uint32_t sizes[] = {1, 7, 4096};
    outcome result = RAN;
    for (size_t i = 0; i < 6; i++) {
        char folder[PIPELINE_PATH_SIZE], what[64];
        pipeline_setup setup = setup_in(self, "batches", folder);
        setup.batch_events = sizes[i % 3];
        setup.n_shards = i < 3 ? 0 : 2;
        (void)snprintf(what, sizeof what, "batches of %u, %u shards", sizes[i % 3], setup.n_shards);
        result = worst(result, run_and_compare(self, &setup, TRACE_ALL, what));
    }
    return result;
}

/* --- resume ------------------------------------------------------------------------------------------------------- */

/* Ends a run at an event: as a user does it, or as a crash does, after which no write succeeds any more. */
typedef struct stopper {
    uint64_t at;
    bool is_crash;
    atomic_bool stop;
} stopper;

static void stop_at(void *context, tw_engine_event event, const tw_report *report, const tw_error *error)
{
    stopper *self = context;
    (void)error;
    if (event != TW_ENGINE_PROGRESS || report->events < self->at || atomic_load(&self->stop))
        return;
    atomic_store(&self->stop, true);
    if (self->is_crash)
        tw_fault_arm(TW_FAULT_FILE, 1, EIO, true);
}

/* One part of a run, ended at `at`; true: the run came to its end by itself. */
static bool run_part(const pipeline_setup *setup, uint64_t at, bool is_crash, pipeline_trace *trace)
{
    stopper stopper = {.at = at, .is_crash = is_crash};
    pipeline_setup part = *setup;
    pipeline self;
    tw_error error = {0};
    part.listener = stop_at;
    part.context = &stopper;
    part.stop = &stopper.stop;
    part.progress_every = 1;
    tw_status status = pipeline_open(&self, &part, &error);
    if (status < 0)
        print_error("%s: resume: %s\n", setup->learner, error.message);
    assert_int_equal(status, TW_STATUS_OK);
    status = tw_engine_run(self.engine, &error);
    bool is_stopped = atomic_load(&stopper.stop);
    tw_fault_disarm(TW_FAULT_FILE);
    if (!is_stopped) {
        if (status < 0)
            print_error("%s: resumed run: %s\n", setup->learner, error.message);
        assert_int_equal(status, TW_STATUS_OK);
        pipeline_collect(&self, trace);
    }
    pipeline_close(&self);
    return !is_stopped;
}

static outcome resume_with(const subject *self, uint32_t n_shards, unsigned n_stops, bool is_crash)
{
    char folder[PIPELINE_PATH_SIZE], what[64];
    uint64_t random = n_stops * 131 + n_shards + is_crash;
    pipeline_setup setup = setup_in(self, "resume", folder);
    setup.n_shards = n_shards;
    setup.has_checkpoints = setup.is_resuming = true;
    setup.checkpoint_every = is_crash ? 100 : 0;
    setup.batch_events = 16;
    for (unsigned i = 0; i < n_stops; i++) {
        pipeline_trace unused;
        uint64_t at = LOG_EVENTS * i / n_stops + 1 + next_random(&random) % (LOG_EVENTS / n_stops);
        if (run_part(&setup, at, is_crash, &unused))
            pipeline_trace_free(&unused);
        setup.batch_events = 1 + (uint32_t)(next_random(&random) % 40);
    }
    pipeline_trace trace;
    assert_true(run_part(&setup, UINT64_MAX, false, &trace));
    (void)snprintf(what, sizeof what, "%u %s, %u shards", n_stops, is_crash ? "crashes" : "stops", n_shards);
    outcome result = compare(self, &trace, TRACE_ALL, what);
    pipeline_trace_free(&trace);
    return result;
}

static outcome resume_equals_no_stop(const subject *self)
{
    static const unsigned stops[] = {1, 3, 10};
    outcome result = RAN;
    for (size_t i = 0; i < 3; i++) {
        result = worst(result, resume_with(self, 0, stops[i], false));
        result = worst(result, resume_with(self, 2, stops[i], false));
    }
    return result;
}

static outcome resume_after_a_crash_equals_no_crash(const subject *self)
{
    static const unsigned crashes[] = {1, 3, 10};
    outcome result = RAN;
    for (size_t i = 0; i < 3; i++) {
        result = worst(result, resume_with(self, 0, crashes[i], true));
        result = worst(result, resume_with(self, 2, crashes[i], true));
    }
    return result;
}

/* --- save, load, predict ------------------------------------------------------------------------------------------ */

static double *predict_probe(const subject *self, pipeline *run, size_t *n)
{
    return pipeline_predict(run, self->probe, self->probe_size, PROBE_EVENTS, n);
}

static outcome a_loaded_model_predicts_the_same(const subject *self)
{
    char folder[PIPELINE_PATH_SIZE];
    outcome result = RAN;
    for (uint32_t n_shards = 0; n_shards <= 2; n_shards += 2) {
        pipeline_setup setup = setup_in(self, "saved", folder);
        pipeline first, second;
        tw_error error = {0};
        setup.has_checkpoints = true;
        setup.n_shards = n_shards;
        assert_int_equal(pipeline_open(&first, &setup, &error), TW_STATUS_OK);
        assert_int_equal(tw_engine_run(first.engine, &error), TW_STATUS_OK);
        setup.is_resuming = true;
        setup.n_shards = 2 - n_shards; /* rows of shards load into a local table and the other way round */
        assert_int_equal(pipeline_open(&second, &setup, &error), TW_STATUS_OK);
        size_t n = 0, m = 0;
        double *a = predict_probe(self, &first, &n), *b = predict_probe(self, &second, &m);
        assert_true(n >= PROBE_EVENTS);
        if (n != m || memcmp(a, b, n * sizeof *a) != 0) {
            print_error("%s: predictions of the saved and the loaded model differ\n", self->name);
            result = FAILED;
        }
        free(a);
        free(b);
        pipeline_close(&second);
        pipeline_close(&first);
    }
    return result;
}

static outcome saving_changes_no_later_prediction(const subject *self)
{
    char folder[PIPELINE_PATH_SIZE];
    pipeline_setup setup = setup_in(self, "saving", folder);
    setup.has_checkpoints = true;
    setup.checkpoint_every = 64;
    setup.batch_events = 32;
    return run_and_compare(self, &setup, TRACE_ALL, "with a checkpoint every 64 events");
}

typedef struct predictor {
    const subject *subject;
    pipeline *run;
    tw_builder *rows;
    double *out;
    atomic_bool is_over;
    unsigned n_calls, n_failed;
} predictor;

static void *predict_beside(void *argument)
{
    predictor *self = argument;
    while (!atomic_load(&self->is_over) || self->n_calls < 3) {
        tw_error error = {0};
        tw_model_stamp stamp;
        self->n_failed += tw_model_predict(self->run->model, self->rows, self->out, &stamp, &error) != TW_STATUS_OK;
        self->n_calls++;
    }
    return NULL;
}

static outcome predictions_beside_learning_change_nothing(const subject *self)
{
    outcome result = RAN;
    for (uint32_t n_shards = 0; n_shards <= 2; n_shards += 2) {
        char folder[PIPELINE_PATH_SIZE];
        pipeline_setup setup = setup_in(self, "predict", folder);
        setup.n_shards = n_shards;
        pipeline run;
        tw_error error = {0};
        pthread_t thread;
        pipeline_trace trace;
        assert_int_equal(pipeline_open(&run, &setup, &error), TW_STATUS_OK);
        predictor predictor = {.subject = self, .run = &run};
        /* Scaling changes the builder's values again and again: rows of the probe, not answers, are compared here. */
        predictor.rows = pipeline_rows(&run, self->probe, self->probe_size, PROBE_EVENTS);
        predictor.out =
            calloc((size_t)predictor.rows->n_events * tw_model_traits(run.model)->n_outputs, sizeof(double));
        assert_int_equal(pthread_create(&thread, NULL, predict_beside, &predictor), 0);
        tw_status status = tw_engine_run(run.engine, &error);
        atomic_store(&predictor.is_over, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(status, TW_STATUS_OK);
        assert_int_equal(predictor.n_failed, 0);
        pipeline_collect(&run, &trace);
        result = worst(result, compare(self, &trace, TRACE_ALL, "with predictions beside learning"));
        pipeline_trace_free(&trace);
        tw_builder_destroy(&predictor.rows);
        free(predictor.out);
        pipeline_close(&run);
    }
    return result;
}

/* --- bounded and followed ----------------------------------------------------------------------------------------- */

typedef struct appender {
    const char *path, *bytes;
    size_t size;
    uint64_t seed;
} appender;

/* Pieces of any size, so most of them end inside a line. */
static void *append_pieces(void *argument)
{
    const appender *self = argument;
    uint64_t random = self->seed;
    for (size_t at = 0; at < self->size;) {
        size_t n = 1 + next_random(&random) % (self->size / 12);
        n = n < self->size - at ? n : self->size - at;
        FILE *file = fopen(self->path, "ab");
        if (file == NULL)
            return argument;
        (void)fwrite(self->bytes + at, 1, n, file);
        (void)fclose(file);
        at += n;
        tw_clock_sleep_us(1500);
    }
    return NULL;
}

static outcome a_log_followed_in_pieces_equals_the_whole(const subject *self)
{
    char folder[PIPELINE_PATH_SIZE], path[PIPELINE_PATH_SIZE + 16];
    size_t size = 0;
    char *bytes = read_whole(self->log, &size);
    pipeline_setup setup = setup_in(self, "followed", folder);
    (void)snprintf(path, sizeof path, "%s/log", folder);
    appender appender = {path, bytes, size, self->setup.is_scaled};
    pthread_t thread;
    void *failure = NULL;
    setup.path[0] = path;
    setup.is_followed[0] = true;
    setup.until_events = self->baseline.report.events;
    assert_int_equal(pthread_create(&thread, NULL, append_pieces, &appender), 0);
    outcome result = run_and_compare(self, &setup, TRACE_ROWS | TRACE_PREDICTIONS | TRACE_DEAD, "followed in pieces");
    assert_int_equal(pthread_join(thread, &failure), 0);
    assert_null(failure);
    free(bytes);
    return result;
}

static outcome history_then_live_equals_one_log(const subject *self)
{
    char folder[PIPELINE_PATH_SIZE], history[PIPELINE_PATH_SIZE + 16], live[PIPELINE_PATH_SIZE + 16];
    size_t size = 0;
    char *bytes = read_whole(self->log, &size);
    size_t middle = size / 3;
    while (bytes[middle - 1] != '\n')
        middle++;
    outcome result = RAN;
    for (int is_live = 0; is_live < 2; is_live++) {
        pipeline_setup setup = setup_in(self, "history", folder);
        (void)snprintf(history, sizeof history, "%s/history", folder);
        (void)snprintf(live, sizeof live, "%s/live", folder);
        write_bytes(history, "wb", bytes, middle);
        write_bytes(live, "wb", bytes + middle, size - middle);
        setup.path[0] = history;
        setup.path[1] = live;
        setup.n_paths = 2;
        setup.is_followed[1] = is_live;
        setup.until_events = is_live ? self->baseline.report.events : 0;
        result =
            worst(result, run_and_compare(self, &setup, TRACE_ROWS | TRACE_PREDICTIONS | TRACE_DEAD | TRACE_METRICS,
                              is_live ? "history, then a followed file" : "history, then a second file"));
    }
    free(bytes);
    return result;
}

/* --- single batches ----------------------------------------------------------------------------------------------- */

static outcome learn_text(const subject *self, pipeline *run, const char *text, float label, float weight)
{
    tw_error error = {0};
    tw_builder *rows = pipeline_rows(run, text, strlen(text), 16);
    static uint64_t position;
    for (uint32_t i = 0; i < rows->n_events; i++) {
        rows->label[i] = label;
        rows->weight[i] = weight;
    }
    rows->from = position;
    rows->to = position += 1000;
    float scores[16 * 16];
    assert_true(tw_model_traits(run->model)->n_outputs <= 16);
    tw_status status = tw_model_learn(run->model, rows, false, scores, &error);
    tw_builder_destroy(&rows);
    if (status == TW_STATUS_OK)
        return RAN;
    print_error("%s: %s\n", self->name, error.message);
    return FAILED;
}

/* Rows without an event's learning: none of them may change. Scaler blocks do: they learn from every event. */
static outcome events_without_label_or_weight_change_no_row(const subject *self)
{
    static const char text[] =
        "{\"time\":1600000000,\"user\":\"u1\",\"item\":\"i4\",\"x0\":1.5,\"x2\":-1,\"x3\":7,\"label\":1}\n"
        "{\"user\":\"u2\",\"x0\":0.5,\"x2\":3,\"label\":0}\n";
    char folder[PIPELINE_PATH_SIZE];
    pipeline_setup setup = setup_in(self, "nothing", folder);
    pipeline run;
    tw_error error = {0};
    assert_int_equal(pipeline_open(&run, &setup, &error), TW_STATUS_OK);
    tw_task task = tw_model_traits(run.model)->task;
    bool needs_label = task == TW_TASK_BINARY || task == TW_TASK_REGRESSION;
    outcome result = learn_text(self, &run, text, 1, 1);
    pipeline_trace before, after;
    if (self->setup.is_scaled || !needs_label) {
        result = worst(result, learn_text(self, &run, text, (float)NAN, 0));
        result = worst(result, learn_text(self, &run, "", 1, 1));
        pipeline_close(&run);
        return result;
    }
    /* rows of these keys are there already: what is compared are their contents */
    pipeline_collect(&run, &before);
    result = worst(result, learn_text(self, &run, text, (float)NAN, 1));
    result = worst(result, learn_text(self, &run, text, 1, 0));
    result = worst(result, learn_text(self, &run, "", 1, 1));
    pipeline_collect(&run, &after);
    if (pipeline_trace_difference(&before, &after, TRACE_ROWS) != NULL) {
        print_error("%s: events without label or weight changed the model\n", self->name);
        result = FAILED;
    }
    pipeline_trace_free(&before);
    pipeline_trace_free(&after);
    pipeline_close(&run);
    return result;
}

static outcome an_event_without_features_is_scored(const subject *self)
{
    char folder[PIPELINE_PATH_SIZE];
    pipeline_setup setup = setup_in(self, "empty", folder);
    pipeline run;
    tw_error error = {0};
    assert_int_equal(pipeline_open(&run, &setup, &error), TW_STATUS_OK);
    outcome result = learn_text(self, &run, "{\"time\":1,\"label\":1}\n{\"label\":0}\n", 1, 1);
    size_t n = 0;
    double *prediction = pipeline_predict(&run, "{\"label\":1}\n", 12, 4, &n);
    result = n == 0 ? FAILED : result;
    free(prediction);
    pipeline_close(&run);
    return result;
}

/* --- failing calls ------------------------------------------------------------------------------------------------ */

/* The tables and the scaler are in this run by turns: one form of each learner is enough for each kind of call. */
static outcome every_allocation_fails_in_turn(const subject *self)
{
    if (self->is_further || self->setup.is_scaled == self->setup.is_hashed)
        return NOT_NEEDED;
    return every_call_fails_in_turn(self, TW_FAULT_ALLOC, &total.n_alloc_points);
}

static outcome every_file_call_fails_in_turn(const subject *self)
{
    if (self->is_further || self->setup.is_scaled != self->setup.is_hashed)
        return NOT_NEEDED;
    return every_call_fails_in_turn(self, TW_FAULT_FILE, &total.n_file_points);
}

/* --- real data ---------------------------------------------------------------------------------------------------- */

static outcome a9a_is_the_same_on_shards_and_in_other_batches(const subject *self)
{
    static const char path[] = TW_SOURCE_DIR "/../shared/data/a9a/a9a.train.libsvm.gz";
    char folder[PIPELINE_PATH_SIZE];
    if (self->setup.is_scaled || strstr(self->setup.learner_options, "half_life_time") != NULL)
        return NOT_NEEDED;
    if (access(path, R_OK) != 0)
        return SKIPPED;
    pipeline_setup setup = setup_in(self, "a9a", folder);
    setup.is_automatic = true;
    setup.format = "libsvm";
    setup.path[0] = path;
    setup.until_events = A9A_LINES;
    pipeline probe;
    tw_error error = {0};
    if (pipeline_open(&probe, &setup, &error) < 0)
        return NOT_NEEDED; /* it wants declared columns */
    pipeline_close(&probe);
    subject real = *self;
    pipeline_run(&setup, &real.baseline);
    assert_int_equal(real.baseline.report.events, A9A_LINES);
    setup.n_shards = 2;
    setup.batch_events = 100;
    outcome result = run_and_compare(&real, &setup, TRACE_ALL, "a9a on 2 shards in batches of 100");
    pipeline_trace_free(&real.baseline);
    return result;
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

typedef struct check {
    const char *name, *skipped_because;
    outcome (*run)(const subject *self);
} check;

static const check checks[] = {
    {"1, 2 and 5 shards = local", "", shards_equal_local},
    {"batch sizes 1, 7, 256, 4096", "", batch_size_changes_nothing},
    {"1, 3, 10 stops = no stop", "", resume_equals_no_stop},
    {"1, 3, 10 crashes = no crash", "", resume_after_a_crash_equals_no_crash},
    {"save and load", "", a_loaded_model_predicts_the_same},
    {"saving changes nothing", "", saving_changes_no_later_prediction},
    {"predictions beside learning", "", predictions_beside_learning_change_nothing},
    {"followed in pieces = bounded", "", a_log_followed_in_pieces_equals_the_whole},
    {"history, then live = one log", "", history_then_live_equals_one_log},
    {"no label, no weight", "", events_without_label_or_weight_change_no_row},
    {"no features", "", an_event_without_features_is_scored},
    {"merge order", "", merging_does_not_depend_on_the_order},
    {"failing allocations", "runs with one of scaler and hashed table, and the learner's first options",
        every_allocation_fails_in_turn},
    {"failing file calls", "runs with both or none of scaler and hashed table, and the learner's first options",
        every_file_call_fails_in_turn},
    {"a9a", "needs ../shared/data/a9a beside the repository, columns without declaration, no scaler, no event times",
        a9a_is_the_same_on_shards_and_in_other_batches},
};

static void run_checks(const subject *self)
{
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        int64_t start_us = tw_clock_monotonic_us();
        outcome result = checks[i].run(self);
        double seconds = (double)(tw_clock_monotonic_us() - start_us) / 1e6;
        total.n_ran += result == RAN || result == FAILED;
        total.n_failed += result == FAILED;
        total.n_skipped += result == SKIPPED || result == NOT_NEEDED;
        if (result == SKIPPED || result == NOT_NEEDED)
            printf("%s: %s, %s: %s\n", result == SKIPPED ? "SKIPPED" : "not needed", self->name, checks[i].name,
                checks[i].skipped_because);
        else if (seconds > 0.2 || result == FAILED)
            printf("%s, %s: %s, %.1f s\n", self->name, checks[i].name, result == FAILED ? "FAILED" : "ran", seconds);
    }
}

static void run_subject(
    const tw_learner_ops *learner, const char *options, bool is_further, bool is_scaled, bool is_hashed)
{
    subject self = {.learner = learner, .is_further = is_further};
    char folder[PIPELINE_PATH_SIZE];
    size_t size = 0;
    (void)snprintf(self.name, sizeof self.name, "%s%s%s, %s, %s", learner->name, is_further ? " " : "",
        is_further ? options : "", is_scaled ? "scaled" : "as is", is_hashed ? "hashed" : "exact");
    make_folder(self.folder);
    (void)snprintf(self.log, sizeof self.log, "%s/log", self.folder);
    char *log = make_log(42, LOG_EVENTS, LOG_BAD, &size);
    write_bytes(self.log, "wb", log, size);
    free(log);
    self.probe = make_log(43, PROBE_EVENTS, 0, &self.probe_size);
    self.setup = (pipeline_setup){
        .learner = learner->name,
        .learner_options = options,
        .is_scaled = is_scaled,
        .is_hashed = is_hashed,
        .path = {self.log},
        .n_paths = 1,
    };
    pipeline_setup setup = setup_in(&self, "baseline", folder);
    pipeline_run(&setup, &self.baseline);
    assert_int_equal(self.baseline.report.events, LOG_EVENTS);
    assert_true(self.baseline.report.bad_events > 10);
    assert_true(self.baseline.n_records > 0 && self.baseline.dead_size > 100);
    run_checks(&self);
    pipeline_trace_free(&self.baseline);
    free(self.probe);
    remove_folder(self.folder);
}

static void run_learner(const tw_learner_ops *learner)
{
    unsigned n_lines = 0;
    for (size_t i = 0; i < N_OPTION_LINES; i++) {
        if (strcmp(option_lines[i][0], learner->name) != 0)
            continue;
        int n_forms = n_lines == 0 ? 4 : 1;
        for (int form = 0; form < n_forms; form++)
            run_subject(learner, option_lines[i][1], n_lines > 0, form & 1, form & 2);
        n_lines++;
    }
    for (int form = 0; n_lines == 0 && form < 4; form++)
        run_subject(learner, "", false, form & 1, form & 2);
}

static void every_learner_passes_every_check(void **state)
{
    (void)state;
    const tw_registry *registry = pipeline_registry();
    const char *only = getenv("TW_CONFORMANCE_LEARNER");
    for (size_t i = 0; i < registry->n_learners; i++) {
        if (only != NULL && strcmp(only, registry->learner[i]->name) != 0)
            continue;
        run_learner(registry->learner[i]);
    }
    printf("pairs of a learner's form and a check: %u ran, %u failed, %u skipped; failure points reached: %llu "
           "allocations, %llu file calls\n",
        total.n_ran, total.n_failed, total.n_skipped, (unsigned long long)total.n_alloc_points,
        (unsigned long long)total.n_file_points);
    assert_int_equal(total.n_failed, 0);
    if (only == NULL)
        assert_true(total.n_ran >= MIN_PAIRS);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_learner_passes_every_check)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
