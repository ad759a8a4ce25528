/* The loop on real pipelines: shards that die, malformed records, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "support/pipeline_fixture.h"

enum { N_EVENTS = 1200, N_SCHEDULES = 40 };

typedef struct fixture {
    char folder[PIPELINE_PATH_SIZE], log[PIPELINE_PATH_SIZE + 16];
} fixture;

static int set_up(void **state)
{
    fixture *self = calloc(1, sizeof *self);
    make_folder(self->folder);
    (void)snprintf(self->log, sizeof self->log, "%s/log", self->folder);
    write_log(self->log, 11, N_EVENTS, 30);
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

static pipeline_setup setup_of(fixture *self, const char *learner, char folder[PIPELINE_PATH_SIZE])
{
    make_subfolder(self->folder, "run", folder);
    return (pipeline_setup){.learner = learner, .path = {self->log}, .n_paths = 1, .folder = folder};
}

/* Kills shards at random events, with copies of them taken at others. */
typedef struct killer {
    pipeline *run;
    uint64_t random;
    unsigned n_kills;
    uint32_t n_shards;
} killer;

static uint64_t next_random(uint64_t *state)
{
    return *state = tw_mix64(*state + 0x9e3779b97f4a7c15ull);
}

static void kill_or_save(void *context, tw_engine_event event, const tw_report *report, const tw_error *error)
{
    killer *self = context;
    tw_error failure = {0};
    (void)error;
    if (event != TW_ENGINE_PROGRESS || report->events >= N_EVENTS - 60)
        return;
    uint64_t draw = next_random(&self->random) % 100;
    uint32_t shard = (uint32_t)(next_random(&self->random) % self->n_shards);
    if (draw < 15)
        assert_int_equal(tw_loopback_save(self->run->loopback, shard, &failure), TW_STATUS_OK);
    else if (draw < 23 && ++self->n_kills)
        assert_int_equal(tw_loopback_kill(self->run->loopback, shard, &failure), TW_STATUS_OK);
}

static void dead_shards_lose_and_double_no_event(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    unsigned n_kills = 0, n_rewinds = 0;
    pipeline_trace whole;
    pipeline_setup setup = setup_of(self, "counter", folder);
    pipeline_run(&setup, &whole);
    for (uint64_t seed = 1; seed <= N_SCHEDULES; seed++) {
        pipeline run;
        pipeline_trace trace;
        tw_error error = {0};
        setup = setup_of(self, "counter", folder);
        setup.n_shards = 1 + (uint32_t)(seed % 4);
        setup.batch_events = 1 + (uint32_t)(seed * 7 % 60);
        killer killer = {.run = &run, .random = seed, .n_shards = setup.n_shards};
        setup.listener = kill_or_save;
        setup.context = &killer;
        setup.progress_every = 1;
        assert_int_equal(pipeline_open(&run, &setup, &error), TW_STATUS_OK);
        tw_status status = tw_engine_run(run.engine, &error);
        if (status < 0)
            print_error("schedule %llu: %s\n", (unsigned long long)seed, error.message);
        assert_int_equal(status, TW_STATUS_OK);
        pipeline_collect(&run, &trace);
        const char *difference =
            pipeline_trace_difference(&whole, &trace, TRACE_ROWS | TRACE_DEAD | TRACE_MARKS | TRACE_METRICS);
        if (difference != NULL)
            print_error("schedule %llu: %s differ\n", (unsigned long long)seed, difference);
        assert_null(difference);
        assert_int_equal(trace.report.events, N_EVENTS);
        n_kills += killer.n_kills;
        n_rewinds += (unsigned)trace.report.rewinds;
        pipeline_trace_free(&trace);
        pipeline_close(&run);
    }
    printf("%u kills, %u rewinds in %d schedules: 0 events lost, 0 doubled\n", n_kills, n_rewinds, N_SCHEDULES);
    assert_true(n_kills >= N_SCHEDULES && n_rewinds > 0);
    pipeline_trace_free(&whole);
}

static tw_status run_to_error(const pipeline_setup *setup, tw_report *report, tw_error *error)
{
    pipeline run;
    assert_int_equal(pipeline_open(&run, setup, error), TW_STATUS_OK);
    tw_status status = tw_engine_run(run.engine, error);
    tw_engine_report(run.engine, false, report);
    pipeline_close(&run);
    return status;
}

/* The line of the first malformed record in the log. */
static uint64_t first_bad_line(const fixture *self)
{
    size_t size = 0;
    char *log = read_whole(self->log, &size);
    uint64_t line = 1;
    const char *at = log;
    while (strncmp(at, "{\"id\"", 5) == 0 || *at == '\n') {
        at = strchr(at, '\n') + 1;
        line++;
    }
    free(log);
    return line;
}

static void the_first_malformed_record_ends_a_run_that_stops_at_it(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    tw_error error = {0};
    tw_report report;
    pipeline_setup setup = setup_of(self, "ftrl", folder);
    setup.is_stopping_at_bad = true;
    assert_int_equal(run_to_error(&setup, &report, &error), TW_STATUS_DATA);
    assert_int_equal(error.line, first_bad_line(self));
    assert_string_equal(error.file, self->log);
}

static void too_many_malformed_records_end_the_run(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    tw_error error = {0};
    tw_report report;
    pipeline_setup setup = setup_of(self, "ftrl", folder);
    setup.bad_limit = 0.001;
    assert_int_equal(run_to_error(&setup, &report, &error), TW_STATUS_DATA);
    assert_non_null(strstr(error.message, "limit"));
    setup = setup_of(self, "ftrl", folder);
    setup.bad_limit = 0.1;
    assert_int_equal(run_to_error(&setup, &report, &error), TW_STATUS_OK);
}

static void a_run_ends_after_the_number_of_events_asked_for(void **state)
{
    static const uint32_t sizes[] = {1, 7, 256};
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    for (size_t i = 0; i < 3; i++) {
        tw_error error = {0};
        tw_report report;
        pipeline_setup setup = setup_of(self, "ftrl", folder);
        setup.batch_events = sizes[i];
        setup.until_events = 501;
        assert_int_equal(run_to_error(&setup, &report, &error), TW_STATUS_OK);
        assert_int_equal(report.events, 501);
    }
}

static void a_rate_slows_the_run_down(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    tw_error error = {0};
    tw_report report;
    pipeline_setup setup = setup_of(self, "ftrl", folder);
    setup.rate_per_s = 4000;
    setup.batch_events = 20;
    assert_int_equal(run_to_error(&setup, &report, &error), TW_STATUS_OK);
    assert_true(report.seconds >= 0.25 && report.seconds < 3);
}

/* Two passes by one run, and by one that stops in each of them. */
static void passes_read_the_log_again(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline_trace once, whole, resumed;
    pipeline_setup setup = setup_of(self, "ftrl", folder);
    setup.passes = 2;
    pipeline_run(&setup, &whole);
    assert_int_equal(whole.report.events, 2 * N_EVENTS);
    setup = setup_of(self, "ftrl", folder);
    setup.passes = 2;
    setup.has_checkpoints = setup.is_resuming = true;
    for (uint64_t until = 700; until < 2 * N_EVENTS; until += 1100) {
        setup.until_events = until;
        pipeline_run(&setup, &once);
        pipeline_trace_free(&once);
    }
    setup.until_events = 0;
    pipeline_run(&setup, &resumed);
    assert_null(
        pipeline_trace_difference(&whole, &resumed, TRACE_ROWS | TRACE_PREDICTIONS | TRACE_DEAD | TRACE_METRICS));
    pipeline_trace_free(&whole);
    pipeline_trace_free(&resumed);
}

typedef struct bad_lines {
    uint64_t line[64];
    size_t n;
} bad_lines;

static void note_bad(void *context, tw_engine_event event, const tw_report *report, const tw_error *error)
{
    bad_lines *self = context;
    (void)report;
    if (event == TW_ENGINE_BAD_RECORD && self->n < 64)
        self->line[self->n++] = error->line;
}

static void errors_name_the_right_line_after_a_resume(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline_trace trace;
    bad_lines whole = {0}, resumed = {0};
    pipeline_setup setup = setup_of(self, "counter", folder);
    setup.listener = note_bad;
    setup.context = &whole;
    pipeline_run(&setup, &trace);
    pipeline_trace_free(&trace);
    setup = setup_of(self, "counter", folder);
    setup.has_checkpoints = setup.is_resuming = true;
    setup.listener = note_bad;
    setup.context = &resumed;
    for (uint64_t until = 300; until <= 900; until += 300) {
        setup.until_events = until;
        setup.n_shards = 2;
        pipeline_run(&setup, NULL);
    }
    setup.until_events = 0;
    pipeline_run(&setup, NULL);
    assert_true(whole.n > 10);
    assert_int_equal(whole.n, resumed.n);
    assert_memory_equal(whole.line, resumed.line, whole.n * sizeof whole.line[0]);
}

static void a_record_beyond_the_limit_is_malformed_and_the_next_one_learned(void **state)
{
    enum { LONG = 10 << 20 };
    static const char head[] = "{\"user\":\"u1\",\"label\":1}\n{\"user\":\"";
    static const char tail[] = "\",\"label\":1}\n{\"user\":\"u2\",\"label\":0}\n{bad}\n";
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    size_t size = sizeof head - 1 + LONG + sizeof tail - 1;
    char *bytes = malloc(size);
    memcpy(bytes, head, sizeof head - 1);
    memset(bytes + sizeof head - 1, 'x', LONG);
    memcpy(bytes + sizeof head - 1 + LONG, tail, sizeof tail - 1);
    write_bytes(self->log, "wb", bytes, size);
    free(bytes);
    pipeline_trace trace;
    bad_lines bad = {0};
    pipeline_setup setup = setup_of(self, "counter", folder);
    setup.max_record_bytes = 1 << 20;
    setup.listener = note_bad;
    setup.context = &bad;
    pipeline_run(&setup, &trace);
    assert_int_equal(trace.report.events, 2);
    assert_int_equal(trace.report.bad_events, 2);
    assert_int_equal(bad.line[0], 2);
    assert_int_equal(bad.line[1], 4);
    pipeline_trace_free(&trace);
}

/* A header is read again from the head of the file when a run goes on in its middle. */
static void a_csv_file_goes_on_in_its_middle(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE], text[8192], *at = text;
    at += sprintf(at, "user,x0,label\n");
    for (int i = 0; i < 200; i++)
        at += i == 150 ? sprintf(at, "u1,oops,1\n") : sprintf(at, "u%d,%d.5,%d\n", i % 9, i % 5, i % 2);
    write_bytes(self->log, "wb", text, (size_t)(at - text));
    pipeline_trace whole, resumed;
    bad_lines bad = {0};
    pipeline_setup setup = setup_of(self, "ftrl", folder);
    setup.format = "csv";
    pipeline_run(&setup, &whole);
    setup = setup_of(self, "ftrl", folder);
    setup.format = "csv";
    setup.has_checkpoints = setup.is_resuming = true;
    setup.until_events = 80;
    pipeline_run(&setup, NULL);
    setup.until_events = 0;
    setup.listener = note_bad;
    setup.context = &bad;
    pipeline_run(&setup, &resumed);
    assert_null(pipeline_trace_difference(&whole, &resumed, TRACE_ALL));
    assert_int_equal(bad.n, 1);
    assert_int_equal(bad.line[0], 152);
    pipeline_trace_free(&whole);
    pipeline_trace_free(&resumed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dead_shards_lose_and_double_no_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_first_malformed_record_ends_a_run_that_stops_at_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_malformed_records_end_the_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_run_ends_after_the_number_of_events_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rate_slows_the_run_down, set_up, tear_down),
        cmocka_unit_test_setup_teardown(passes_read_the_log_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_name_the_right_line_after_a_resume, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_record_beyond_the_limit_is_malformed_and_the_next_one_learned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_csv_file_goes_on_in_its_middle, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
