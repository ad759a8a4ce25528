/* status.h: what a shard says of itself, for people and monitors: STATUS asks, STATUS_ARE answers. STATUS needs no
 * HELLO: whoever may connect may ask, and learns no rows.
 *
 * Payload of STATUS_ARE: parts, each tag u32, size u32, bytes. Of parts and figures that a reader does not know it
 * passes over; figures that the writer does not know are TW_STATUS_UNKNOWN. Numbers are never used again for something
 * else. `handle` of STATUS: TW_STATUS_BRIEF leaves marks out, which may be many. */
#ifndef TW_PS_STATUS_H
#define TW_PS_STATUS_H

#include "ps/wire/layout.h"

#define TW_STATUS_UNKNOWN UINT64_MAX
#define TW_STATUS_BRIEF   1

/* Indices of the figures. A figure more: one line here, one in the table of status.c, and whoever knows it fills it in
 * tw_shard_status_now or in tw_shard_edge. */
typedef enum tw_status_figure {
    TW_STATUS_SHARD,
    TW_STATUS_SHARDS,
    TW_STATUS_EPOCH,
    TW_STATUS_INCARNATION,
    TW_STATUS_HASH_SEED,
    TW_STATUS_EVENTS,
    TW_STATUS_PUSHES,
    TW_STATUS_ROWS,
    TW_STATUS_BYTES,
    TW_STATUS_SESSIONS,
    TW_STATUS_SESSION_BYTES,
    TW_STATUS_CREDIT_FRAMES,
    TW_STATUS_CREDIT_BYTES,
    TW_STATUS_UNSENT_BYTES,
    TW_STATUS_MARKS,
    TW_STATUS_TOUCHES,
    TW_STATUS_SAMPLES,
    TW_STATUS_REPEATED,
    TW_STATUS_FORMLESS,
    TW_STATUS_REFUSED_CONNECTIONS,
    TW_STATUS_SNAPSHOT,
    TW_STATUS_SNAPSHOT_AGE_MS,
    TW_STATUS_SNAPSHOT_FAILURES,
    TW_STATUS_UPTIME_MS,
    TW_STATUS_TAKEOVERS,
    TW_STATUS_IS_STANDBY,
    TW_STATUS_HAS_STANDBY,
    TW_STATUS_IS_CAUGHT_UP,
    TW_STATUS_LAG_ENTRIES,
    TW_STATUS_LAG_BYTES,
    TW_STATUS_LAG_MS,
    TW_STATUS_ALONE,
    TW_STATUS_IS_DEPOSED,
    TW_STATUS_KNOWN_EPOCH,
    TW_STATUS_SEATS,
    TW_STATUS_ROUND_WORKERS,
    TW_STATUS_ROUND,
    TW_STATUS_ROUND_SPREAD,
    TW_STATUS_ROUND_WAITING,
    TW_STATUS_ROUND_CULPRIT,
    TW_STATUS_ROUND_WAIT_MS,
    TW_STATUS_GIVEN_UP,
    TW_STATUS_FAILED_COPIES,
    TW_STATUS_N_FIGURES,
} tw_status_figure;

/* A worker that keeps rounds, as a shard sees it. */
typedef enum tw_worker_state {
    TW_WORKER_ABSENT = 0, /* it has not come yet */
    TW_WORKER_LEARNS = 1,
    TW_WORKER_WAITS = 2, /* for a slower one */
    TW_WORKER_FINISHED = 3,
} tw_worker_state;

typedef struct tw_status_worker {
    uint32_t round, state;
} tw_status_worker;

enum {
    TW_STATUS_SHOWN_WORKERS = 64,
    TW_SKETCH_SHOWN = 64,  /* hot keys */
    TW_SKETCH_RANGES = 64, /* of slots */
};

/* A key that is touched often, as ps/shard/sketch.h counts it. */
typedef struct tw_sketch_counter {
    uint64_t key;
    uint32_t count, error; /* sampled touches: at least count - error, at most count */
} tw_sketch_counter;

typedef struct tw_status_entry {
    const char *name;   /* of the JSON key */
    const char *metric; /* without "thalweg_shard_"; NULL: none */
    const char *type;   /* gauge or counter */
    double scale;       /* the metric is value times this */
    const char *help;
} tw_status_entry;

/* [TW_STATUS_N_FIGURES] */
const tw_status_entry *tw_status_table(void);

/* All zero is empty; release with tw_shard_status_fini. */
typedef struct tw_shard_status {
    char model[TW_MODEL_NAME_SIZE]; /* "": no worker has said it yet */
    uint64_t figure[TW_STATUS_N_FIGURES];
    uint64_t nack[TW_NACK_N_REASONS];
    tw_sketch_counter hot[TW_SKETCH_SHOWN];
    uint32_t n_hot;
    uint32_t range[TW_SKETCH_RANGES]; /* sampled touches by equal parts of the shard's slots */
    uint32_t n_ranges;
    tw_status_worker worker[TW_STATUS_SHOWN_WORKERS]; /* the first ones, by number */
    uint32_t n_workers;
    char copy_failure[TW_ERROR_MESSAGE_SIZE]; /* why the standby's copy failed last; "" */
    tw_mark *mark; /* [n_marks] by split; fewer than TW_STATUS_MARKS says when there are very many */
    size_t n_marks;
} tw_shard_status;

enum { TW_STATUS_MAX_MARKS = 1 << 17 };

void tw_shard_status_fini(tw_shard_status *self);

/* Appends the payload. */
TW_MUST_USE tw_status tw_shard_status_encode(const tw_shard_status *self, tw_buffer *out, tw_error *error);
/* PROTOCOL: what came is no status. Fills `self`, which is empty before. */
TW_MUST_USE tw_status tw_shard_status_decode(
    tw_shard_status *self, const unsigned char *bytes, size_t size, tw_error *error);

/* How unevenly n amounts are spread: the largest by their mean; 0 when all are 0. */
double tw_status_skew(const double *amount, size_t n);

/* How far the marks of a shard are behind those of the shard that is furthest ahead of it, summed over the splits, in
 * positions of the source. Marks are those of decoded statuses. */
uint64_t tw_status_mark_lag(const tw_shard_status *self, const tw_shard_status *all, size_t n);

#endif
