/* Labels that come late: stops, crashes and failing calls leave what a run without them leaves. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "support/pipeline_fixture.h"

enum { N_EVENTS = 60, DELAY = 13, PARTS = TRACE_ROWS | TRACE_PREDICTIONS | TRACE_DEAD | TRACE_METRICS };

static char home[64], log_path[96];

static int make_home(void **state)
{
    (void)state;
    (void)snprintf(home, sizeof home, "/tmp/thalweg-delay-XXXXXX");
    assert_non_null(mkdtemp(home));
    (void)snprintf(log_path, sizeof log_path, "%s/log", home);
    write_log(log_path, 7, N_EVENTS, 4);
    return 0;
}

static int remove_home(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command);
}

static pipeline_setup setup_in(const char *name, char folder[PIPELINE_PATH_SIZE])
{
    make_subfolder(home, name, folder);
    return (pipeline_setup){.learner = "ftrl",
        .learner_options = "alpha=0.2",
        .is_scaled = true,
        .path = {log_path},
        .n_paths = 1,
        .folder = folder,
        .batch_events = 10,
        .label_delay = DELAY,
        .has_checkpoints = true,
        .checkpoint_every = 9,
        .bad_limit = 1};
}

static void assert_as_whole(const pipeline_trace *whole, const pipeline_setup *setup, const char *what)
{
    pipeline_trace trace;
    pipeline_run(setup, &trace);
    const char *difference = pipeline_trace_difference(whole, &trace, PARTS);
    if (difference != NULL)
        fail_msg("%s: the %s differ", what, difference);
    pipeline_trace_free(&trace);
}

static pipeline_trace whole_run(void)
{
    char folder[PIPELINE_PATH_SIZE];
    pipeline_trace out;
    pipeline_setup setup = setup_in("whole", folder);
    pipeline_run(&setup, &out);
    return out;
}

static void stops_leave_what_a_run_without_them_leaves(void **state)
{
    (void)state;
    pipeline_trace whole = whole_run();
    for (uint64_t stop = 1; stop < N_EVENTS - 8; stop += 6) {
        char folder[PIPELINE_PATH_SIZE], what[64];
        pipeline_setup setup = setup_in("stopped", folder);
        setup.until_events = stop;
        pipeline_run(&setup, NULL); /* its rows are behind what it wrote */
        setup.is_resuming = true;
        setup.until_events = 0;
        (void)snprintf(what, sizeof what, "stop at %llu", (unsigned long long)stop);
        assert_as_whole(&whole, &setup, what);
    }
    pipeline_trace_free(&whole);
}

static uint64_t fail_in_turn(const pipeline_trace *whole, tw_fault_kind kind, int errnum, uint64_t step)
{
    uint64_t n_points = 0;
    bool has_fired = true;
    for (uint64_t nth = 1; has_fired; nth += step) {
        char folder[PIPELINE_PATH_SIZE], what[64];
        pipeline_setup setup = setup_in("faulty", folder);
        pipeline self;
        tw_error error = {0};
        setup.is_resuming = true;
        tw_fault_arm(kind, nth, errnum, false);
        if (pipeline_open(&self, &setup, &error) == TW_STATUS_OK) {
            (void)!tw_engine_run(self.engine, &error);
            pipeline_close(&self);
        }
        has_fired = tw_fault_fired(kind) > 0;
        tw_fault_disarm(kind);
        n_points += has_fired;
        (void)snprintf(what, sizeof what, "call %llu of kind %d fails", (unsigned long long)nth, (int)kind);
        assert_as_whole(whole, &setup, what);
    }
    return n_points;
}

static void a_call_that_fails_loses_no_event_and_doubles_none(void **state)
{
    (void)state;
    pipeline_trace whole = whole_run();
    uint64_t n_allocations = fail_in_turn(&whole, TW_FAULT_ALLOC, ENOMEM, 7);
    uint64_t n_files = fail_in_turn(&whole, TW_FAULT_FILE, EIO, 5);
    print_message("failure points: %llu allocations, %llu file calls\n", (unsigned long long)n_allocations,
        (unsigned long long)n_files);
    assert_true(n_allocations > 20 && n_files > 10);
    pipeline_trace_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_leave_what_a_run_without_them_leaves),
        cmocka_unit_test(a_call_that_fails_loses_no_event_and_doubles_none),
    };
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
