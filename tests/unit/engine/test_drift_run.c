/* Drift detection in whole runs of the program's own learners: the model and the counts do not depend on batches,
 * shards and stops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "support/pipeline_fixture.h"

enum { N_EVENTS = 1500 };

typedef struct fixture {
    char folder[PIPELINE_PATH_SIZE], log[PIPELINE_PATH_SIZE + 16];
} fixture;

static const struct {
    const char *name, *options;
} learners[] = {
    {"ftrl", "half_life=400"},
    {"logistic", "half_life=400"},
    {"kmeans", "k=3 half_life=400"},
};
enum { N_LEARNERS = sizeof learners / sizeof learners[0] };

static int set_up(void **state)
{
    fixture *self = calloc(1, sizeof *self);
    make_folder(self->folder);
    (void)snprintf(self->log, sizeof self->log, "%s/log", self->folder);
    write_log(self->log, 21, N_EVENTS, 20);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    fixture *self = *state;
    remove_folder(self->folder);
    free(self);
    return 0;
}

/* So easily moved that it speaks many times on any stream. */
static pipeline_setup setup_of(
    fixture *self, size_t learner, tw_drift_detector detector, char folder[PIPELINE_PATH_SIZE])
{
    make_subfolder(self->folder, "run", folder);
    bool is_adwin = detector == TW_DRIFT_ADWIN;
    return (pipeline_setup){.learner = learners[learner].name,
        .learner_options = learners[learner].options,
        .path = {self->log},
        .n_paths = 1,
        .folder = folder,
        .drift = {.detector = detector,
            .delta = is_adwin ? 0.9999 : 0.001,
            .threshold = 1,
            .alpha = 0.9999,
            .min_events = 10,
            .is_forgetting = true,
            .half_lives = 2}};
}

static void expect_same(const pipeline_trace *a, const pipeline_trace *b, const char *learner, const char *what)
{
    const char *difference = pipeline_trace_difference(a, b, TRACE_ROWS | TRACE_PREDICTIONS);
    if (difference != NULL)
        print_error("%s: %s: %s differ\n", learner, what, difference);
    assert_null(difference);
    assert_memory_equal(&a->report.drift, &b->report.drift, sizeof a->report.drift);
}

static void stop_and_resume(pipeline_setup setup, pipeline_trace *out)
{
    setup.has_checkpoints = true;
    setup.batch_events = 64;
    for (uint64_t until = 200; until < N_EVENTS; until += 330) {
        setup.until_events = until;
        pipeline_run(&setup, NULL);
        setup.is_resuming = true;
    }
    setup.until_events = 0;
    pipeline_run(&setup, out);
}

static void the_model_that_forgets_after_drifts_is_the_same_by_batches_shards_and_stops(void **state)
{
    fixture *self = *state;
    for (size_t i = 0; i < N_LEARNERS; i++) {
        static const uint32_t sizes[] = {1, 7, 256};
        char folder[PIPELINE_PATH_SIZE];
        pipeline_trace whole, other;
        pipeline_setup setup = setup_of(self, i, TW_DRIFT_PAGE_HINKLEY, folder);
        pipeline_run(&setup, &whole);
        assert_true(whole.report.drift.drifts > 3);
        for (size_t k = 0; k < 3; k++) {
            setup = setup_of(self, i, TW_DRIFT_PAGE_HINKLEY, folder);
            setup.batch_events = sizes[k];
            pipeline_run(&setup, &other);
            expect_same(&whole, &other, learners[i].name, "another batch size");
            pipeline_trace_free(&other);
        }
        setup = setup_of(self, i, TW_DRIFT_PAGE_HINKLEY, folder);
        setup.n_shards = 3;
        pipeline_run(&setup, &other);
        expect_same(&whole, &other, learners[i].name, "three shards");
        pipeline_trace_free(&other);
        stop_and_resume(setup_of(self, i, TW_DRIFT_PAGE_HINKLEY, folder), &other);
        expect_same(&whole, &other, learners[i].name, "stops");
        printf("%s: %llu drifts\n", learners[i].name, (unsigned long long)whole.report.drift.drifts);
        pipeline_trace_free(&other);
        pipeline_trace_free(&whole);
    }
}

static void forgetting_moves_the_model_and_reporting_does_not(void **state)
{
    fixture *self = *state;
    for (size_t i = 0; i < N_LEARNERS; i++) {
        char folder[PIPELINE_PATH_SIZE];
        pipeline_trace without, reported, forgotten;
        pipeline_setup setup = setup_of(self, i, TW_DRIFT_PAGE_HINKLEY, folder);
        pipeline_run(&setup, &forgotten);
        setup.drift.is_forgetting = false;
        make_subfolder(self->folder, "run", folder);
        pipeline_run(&setup, &reported);
        setup.drift = (tw_drift_options){0};
        make_subfolder(self->folder, "run", folder);
        pipeline_run(&setup, &without);
        assert_null(pipeline_trace_difference(&without, &reported, TRACE_ROWS | TRACE_PREDICTIONS));
        assert_non_null(pipeline_trace_difference(&without, &forgotten, TRACE_ROWS));
        assert_true(reported.report.is_drift_watched && !without.report.is_drift_watched);
        pipeline_trace_free(&without);
        pipeline_trace_free(&reported);
        pipeline_trace_free(&forgotten);
    }
}

/* Kills shards at random events. */
typedef struct killer {
    pipeline *run;
    uint64_t random;
    unsigned n_kills;
} killer;

static void kill_some(void *context, tw_engine_event event, const tw_report *report, const tw_error *error)
{
    killer *self = context;
    tw_error failure = {0};
    (void)error;
    self->random = tw_mix64(self->random + 1);
    if (event != TW_ENGINE_PROGRESS || report->events >= N_EVENTS - 100 || self->random % 100 >= 10)
        return;
    if (self->random % 2 == 0)
        assert_int_equal(tw_loopback_save(self->run->loopback, (uint32_t)(self->random >> 20) % 2, &failure), 0);
    else if (++self->n_kills)
        assert_int_equal(tw_loopback_kill(self->run->loopback, (uint32_t)(self->random >> 20) % 2, &failure), 0);
}

/* A killed shard's events are learned again from its last copy, and counted and watched once. */
static void events_that_a_lost_shard_learns_again_are_watched_once(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    unsigned n_kills = 0;
    uint64_t n_rewinds = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        pipeline run;
        tw_report report;
        tw_error error = {0};
        pipeline_setup setup = setup_of(self, 0, TW_DRIFT_PAGE_HINKLEY, folder);
        killer killer = {.run = &run, .random = seed};
        setup.n_shards = 2;
        setup.batch_events = 20;
        setup.listener = kill_some;
        setup.context = &killer;
        setup.progress_every = 1;
        assert_int_equal(pipeline_open(&run, &setup, &error), TW_STATUS_OK);
        assert_int_equal(tw_engine_run(run.engine, &error), TW_STATUS_OK);
        tw_engine_report(run.engine, false, &report);
        pipeline_close(&run);
        assert_int_equal(report.figures.events, N_EVENTS);
        assert_true(report.drift.drifts > 3 && report.drift.last_event <= N_EVENTS);
        n_kills += killer.n_kills;
        n_rewinds += report.rewinds;
    }
    printf("%u kills, %llu rewinds\n", n_kills, (unsigned long long)n_rewinds);
    assert_true(n_kills >= 8 && n_rewinds > 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_model_that_forgets_after_drifts_is_the_same_by_batches_shards_and_stops),
        CASE(forgetting_moves_the_model_and_reporting_does_not),
        CASE(events_that_a_lost_shard_learns_again_are_watched_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
