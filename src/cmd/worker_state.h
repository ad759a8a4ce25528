/* worker_state.h: one worker's process, shared by verb_worker.c (a share of its own) and worker_shares.c (shares from a
 * coordinator). Learning thread only. */
#ifndef TW_CMD_WORKER_STATE_H
#define TW_CMD_WORKER_STATE_H

#include <stdatomic.h>

#include "cmd/assembly.h"
#include "cmd/console.h"
#include "cmd/crew_figures.h"
#include "ps/edge/member.h"
#include "ps/worker/remote.h"

/* How often a worker looks how many it shares the flight rule with. */
#define WORKER_FOLLOW_S 0.2
/* How often it writes its figures for the run that started it. */
#define WORKER_SHOW_S 1.0

/* The options of the source `stripes` that stands before an input. */
typedef struct stripe_choice {
    tw_option_values *options;
} stripe_choice;

typedef struct share_run share_run;

typedef struct worker_run {
    assembly all;
    char name[TW_MEMBER_NAME_SIZE];
    const char *coordinator;     /* NULL: a share of its own, index of count */
    const char *coordinator_key; /* its public key; NULL: that of the shards */
    tw_member *member;           /* with a coordinator */
    share_run *share;            /* likewise */
    uint32_t index, count;       /* count: workers that share the flight rule */
    const char *address[TW_MAX_SHARDS];
    uint32_t n_shards;
    const char *figures_path;
    bool is_child; /* of a run, which speaks for it */
    bool is_told_passes;
    atomic_bool *stop;
    console console;
    stripe_choice *stripe; /* [n_sources] */
    tw_split *known;
    size_t n_known, known_capacity;
    tw_params *params;    /* borrowed from the model */
    tw_engine *engine;    /* while it runs */
    crew_figures figures; /* of the engines that have ended */
    int64_t shown_us;     /* when they were written last; monotonic */
} worker_run;

typedef tw_status (*worker_splits_visit)(worker_run *self, const tw_split *split, size_t n, tw_error *error);

/* Reads share `index` of `count` from here on. */
TW_MUST_USE tw_status worker_take_share(worker_run *self, uint32_t index, uint32_t count, tw_error *error);
/* Connects to the shards, self->address or those of the pipeline. */
TW_MUST_USE tw_status worker_attach(worker_run *self, tw_error *error);
/* The splits of the share, input by input. */
TW_MUST_USE tw_status worker_visit_splits(worker_run *self, worker_splits_visit visit, tw_error *error);
/* Learns the share from where its marks stand, up to the end of the last of `passes` or until `stop`, and adds its
 * figures up. */
TW_MUST_USE tw_status worker_run_engine(worker_run *self, uint64_t passes, const atomic_bool *stop, tw_error *error);

/* Share after share from the coordinator, until all are learned. */
TW_MUST_USE tw_status worker_learn_shares(worker_run *self, tw_error *error);
/* Takes over how many workers there are, and where the shards are. */
void worker_follow_members(worker_run *self);
/* The second of these alone: also while a shard is waited for. */
void worker_follow_map(worker_run *self);

#endif
