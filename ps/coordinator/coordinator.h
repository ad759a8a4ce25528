/* coordinator.h: who works on what, as a state machine: bytes and time in, bytes out; no socket, no file, no clock.
 *
 * The input of a job is a fixed number of shares, each learned once a pass. Every worker reports a few times a second;
 * it gets a share, and the next one when it says that this one is finished. The share of a worker that leaves or falls
 * silent is given to the next that asks, with a higher owner epoch, by which shards tell the two apart (leases.h).
 *
 * Nothing here has to survive: started again it learns from the reports who holds what; shares that nobody names within
 * the grace are free, and one that is finished already costs its next owner a look at the marks. Owner epochs ascend
 * over restarts: they begin at the incarnation, a time, and above every epoch that a worker or a shard has named.
 *
 * When a worker meets a shard that was started again, every share is open again: marks pass over what is there. Which
 * shards these are their workers say, by digests of the processes and the sum of their epochs: of two sums the higher
 * one counts, of equal ones the one that was met last. Where somebody watches the shards, a share that is finished
 * counts only for the processes that he found to serve: a worker that knows no better than to learn on one that was
 * taken over from is never told that all is over. Before he has found them nothing counts, be it the first moment after
 * a restart.
 *
 * Thread rule: one thread at a time. Times are microseconds of one monotonic clock. */
#ifndef TW_PS_COORDINATOR_H
#define TW_PS_COORDINATOR_H

#include "ps/coordinator/lookout.h"
#include "ps/wire/coordination.h"
#include "ps/wire/refusals.h"

typedef struct tw_coordinator tw_coordinator;

/* Bytes are borrowed for the call; it may not call the coordinator. */
typedef void (*tw_coordinator_emit)(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size);

/* What a person may want to know: who is gone, what was cancelled. May be NULL. */
typedef void (*tw_coordinator_note)(void *context, const char *message);

/* Zeros mean the defaults given behind. */
typedef struct tw_coordinator_options {
    uint64_t incarnation;       /* not 0; above that of every coordinator before: its start, in us of the wall clock */
    const char *const *address; /* [n_shards] copied */
    uint32_t n_shards;          /* 1 .. TW_MAX_SHARDS */
    int64_t dead_after_us;      /* 2 s of silence */
    int64_t grace_us;           /* after its start, in which shares are only claimed, not given; 0: none */
    int64_t save_timeout_us;    /* 30 s for the workers to stand still, else a named checkpoint is cancelled */
    uint32_t max_members;       /* TW_MAX_MEMBERS */
    bool can_save;              /* somebody serves tw_coordinator_save_wanted */
    const char *why_not;        /* else: why there is none, for whoever asks; a constant. NULL: it saves nothing */
    /* Whether a checkpoint may have the name, or why not; asked before anybody stands still. NULL: any. */
    bool (*takes_name)(void *context, const char *name, char why[TW_ERROR_MESSAGE_SIZE]);
    tw_coordinator_emit emit;
    tw_coordinator_note note;
    /* What whoever watches the shards knows of one; NULL: nobody watches them. */
    void (*look)(void *context, uint32_t shard, tw_lookout_shard *out);
    void *context, *note_context; /* the second of note and takes_name */
} tw_coordinator_options;

TW_MUST_USE tw_status tw_coordinator_create(
    const tw_coordinator_options *options, int64_t now_us, tw_coordinator **out, tw_error *error);
void tw_coordinator_destroy(tw_coordinator **self);

/* One frame from a peer (its id: at most 64 bytes). What is malformed is NACKed and changes nothing. */
void tw_coordinator_receive(
    tw_coordinator *self, int64_t now_us, const void *peer, size_t peer_size, const void *bytes, size_t size);

/* The same. is_reader: its key only lets it read: it may ask for the status, and is denied all else. */
void tw_coordinator_receive_from(tw_coordinator *self,
    int64_t now_us,
    bool is_reader,
    const void *peer,
    size_t peer_size,
    const void *bytes,
    size_t size);

/* What it refused so far. Borrowed. */
const tw_refusals *tw_coordinator_refusals(const tw_coordinator *self);
/* Counts a message that the edge could not make a frame of. */
void tw_coordinator_formless(tw_coordinator *self);
/* Says how many connections the edge refused, for the status; TW_STATUS_UNKNOWN before. */
void tw_coordinator_tell_connections(tw_coordinator *self, uint64_t n_refused);

/* What is due by time: call it a few times a second. */
void tw_coordinator_tick(tw_coordinator *self, int64_t now_us);

/* The worker of that name is known to be gone: its share is free at once. */
void tw_coordinator_forget(tw_coordinator *self, int64_t now_us, const char *name);

/* A shard is somewhere else from now on: workers hear of it. */
TW_MUST_USE tw_status tw_coordinator_set_shard(
    tw_coordinator *self, uint32_t shard, const char *address, uint64_t epoch, tw_error *error);

typedef struct tw_coordinator_figures {
    uint32_t n_members, n_granted, n_shares, n_finished; /* finished: in all passes */
    uint64_t grants, evictions, resets;                  /* since the start */
} tw_coordinator_figures;

void tw_coordinator_stats(const tw_coordinator *self, tw_coordinator_figures *out);
/* The same and more, as it answers STATUS. Fills `out`, which is empty before. */
TW_MUST_USE tw_status tw_coordinator_status(const tw_coordinator *self, tw_coordination *out, tw_error *error);

/* --- named checkpoints: one at a time ---
 * SAVE makes all workers finish their batch, settle and stand still. Once they do, wanted is true, once, with the name
 * and the leases [*n <= n_orphans on entry] whose last owners were given up: the edge claims these at the shards, so
 * that none comes back meanwhile, cuts, says `cut` (workers go on, or it failed) and, when it is durable, `done`. A cut
 * that is BUSY is tried again after all went on for a while, until the time is up. A worker that is not quiet in time,
 * or dies meanwhile, cancels it and is named. */
bool tw_coordinator_save_wanted(tw_coordinator *self, char name[TW_SAVE_NAME_SIZE], tw_grant *orphan, uint32_t *n);
void tw_coordinator_save_cut(tw_coordinator *self, tw_status status, const char *message);
void tw_coordinator_save_done(tw_coordinator *self, tw_status status, uint64_t id, const char *message);

#endif
