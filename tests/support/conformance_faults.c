/* Failing calls: runs in which each allocation or file call fails once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/conformance.h"

enum { SMALL_EVENTS = 80, MAX_FAULTS = 20000 };

static void tell(void *context, tw_engine_event event, const tw_report *report, const tw_error *error)
{
    (void)report;
    if (event == TW_ENGINE_FAILED_CHECKPOINT && getenv("TW_CONFORMANCE_VERBOSE") != NULL)
        print_message("%s: %s\n", (const char *)context, error->message);
}

/* One run under whatever faults are armed. A failure must say what failed. */
static tw_status run_faulty(const subject *self, const pipeline_setup *setup, const char *what)
{
    pipeline run;
    tw_error error = {0};
    tw_status status = pipeline_open(&run, setup, &error);
    if (status == TW_STATUS_OK) {
        status = tw_engine_run(run.engine, &error);
        pipeline_close(&run);
    }
    tw_fault_disarm(TW_FAULT_ALLOC);
    tw_fault_disarm(TW_FAULT_FILE);
    if (status < 0 && (error.message[0] == '\0' || error.status != status))
        print_error("%s: %s: status %s with message \"%s\" of status %s\n", self->name, what, tw_status_name(status),
            error.message, tw_status_name(error.status));
    assert_true(status >= 0 || (error.message[0] != '\0' && error.status == status));
    return status;
}

static outcome fault_of_call(const subject *self,
    tw_fault_kind kind,
    uint64_t nth,
    uint32_t n_shards,
    const pipeline_trace *whole,
    bool *has_fired)
{
    char folder[PIPELINE_PATH_SIZE], what[64];
    pipeline_setup setup = setup_in(self, "fault", folder);
    setup.n_shards = n_shards;
    setup.has_checkpoints = setup.is_resuming = true;
    setup.checkpoint_every = 20;
    setup.batch_events = 10;
    (void)snprintf(what, sizeof what, "%s %llu fails, %u shards", kind == TW_FAULT_ALLOC ? "allocation" : "file call",
        (unsigned long long)nth, n_shards);
    setup.listener = tell;
    setup.context = what;
    tw_fault_arm(kind, nth, kind == TW_FAULT_ALLOC ? ENOMEM : EIO, false);
    (void)run_faulty(self, &setup, what);
    *has_fired = tw_fault_fired(kind) > 0;
    pipeline_trace trace;
    pipeline_run(&setup, &trace); /* from the last checkpoint, if there is one */
    const char *difference =
        pipeline_trace_difference(whole, &trace, TRACE_ROWS | TRACE_PREDICTIONS | TRACE_DEAD | TRACE_METRICS);
    if (difference != NULL)
        print_error("%s: %s: after the rerun the %s differ\n", self->name, what, difference);
    pipeline_trace_free(&trace);
    return difference == NULL ? RAN : FAILED;
}

outcome every_call_fails_in_turn(const subject *self, tw_fault_kind kind, uint64_t *n_points)
{
    outcome result = RAN;
    char folder[PIPELINE_PATH_SIZE], log[PIPELINE_PATH_SIZE + 16];
    size_t size = 0;
    char *bytes = make_log(99, SMALL_EVENTS, 6, &size);
    (void)snprintf(log, sizeof log, "%s/small", self->folder);
    write_bytes(log, "wb", bytes, size);
    free(bytes);
    subject small = *self;
    small.setup.path[0] = log;
    for (uint32_t n_shards = 0; n_shards <= 2; n_shards += 2) {
        pipeline_setup setup = setup_in(&small, "small_run", folder);
        pipeline_trace whole;
        setup.n_shards = n_shards;
        pipeline_run(&setup, &whole);
        bool has_fired = true;
        for (uint64_t nth = 1; has_fired && nth < MAX_FAULTS && result == RAN; nth++) {
            result = worst(result, fault_of_call(&small, kind, nth, n_shards, &whole, &has_fired));
            *n_points += has_fired;
        }
        pipeline_trace_free(&whole);
    }
    return result;
}
