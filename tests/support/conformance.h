/* conformance.h: one learner in one form, the run it is compared to, and the checks that are long enough for a file of
 * their own. A check returns its outcome and prints what differs; what a check takes for granted is asserted. */
#ifndef TW_TESTS_CONFORMANCE_H
#define TW_TESTS_CONFORMANCE_H

#include "base/fault.h"
#include "support/pipeline_fixture.h"

/* NOT_NEEDED: another form of the learner runs this check. SKIPPED: what it needs is not here. */
typedef enum outcome { RAN, FAILED, SKIPPED, NOT_NEEDED } outcome;

/* One learner in one form, with the run that everything is compared to. */
typedef struct subject {
    const tw_learner_ops *learner;
    bool is_further; /* another line of options than the learner's first */
    char name[96], folder[PIPELINE_PATH_SIZE], log[PIPELINE_PATH_SIZE + 16];
    pipeline_setup setup;
    pipeline_trace baseline;
    char *probe; /* rows that are only predicted */
    size_t probe_size;
} subject;

/* The subject's setup with the empty subfolder `name`, whose path goes to `folder` and must outlive the setup. */
pipeline_setup setup_in(const subject *self, const char *name, char folder[PIPELINE_PATH_SIZE]);
/* FAILED: one of `parts` (TRACE_*) differs from the baseline; `what` says of which run. */
outcome compare(const subject *self, const pipeline_trace *trace, unsigned parts, const char *what);
outcome run_and_compare(const subject *self, const pipeline_setup *setup, unsigned parts, const char *what);
/* FAILED if one of them is, else `a`. */
outcome worst(outcome a, outcome b);
/* The next number of the sequence that `state` stands in. */
uint64_t next_random(uint64_t *state);

/* Changes of every record of the model, merged in all orders, give the same bytes. */
outcome merging_does_not_depend_on_the_order(const subject *self);
/* Small runs, local and on 2 shards, in which the first, second, ... call of the kind fails, until none does: each ends
 * with an error that says what failed or goes on, and a rerun from what it left equals the whole run. `n_points` grows
 * by the calls that failed. */
outcome every_call_fails_in_turn(const subject *self, tw_fault_kind kind, uint64_t *n_points);

#endif
