/* params.h: where rows live. A local table and remote shards are two implementations of this contract; nothing above
 * can tell which. Thread rule: one thread at a time per object. */
#ifndef THALWEG_PARAMS_H
#define THALWEG_PARAMS_H

#include "thalweg/batch.h"
#include "thalweg/learner.h"
#include "thalweg/schema.h"

typedef enum tw_access {
    TW_ACCESS_READ = 1,  /* never inserts: an absent key reads the initial record */
    TW_ACCESS_WRITE = 2, /* rows may be changed until release */
} tw_access;

typedef enum tw_table_kind {
    TW_TABLE_EXACT = 1,  /* one row a key, open addressing */
    TW_TABLE_HASHED = 2, /* 2^bits rows, index = top `bits` bits of the key, no keys kept */
} tw_table_kind;

/* Which keys an exact table gives a row, and how long it keeps it. All zero: every key at its first event, for ever.
 *
 * A *touch* is an event, of a batch acquired for WRITE, that has the key; the table counts its ticks: one an event of
 * such a batch, whether it is learned or not, so that a replay meets the same ticks. Everything below depends on ticks
 * and slots alone, never on time, on how events are cut into batches, or on how slots are spread over shards.
 *
 * - Admission: until its `admit_count`-th touch, or the first one whose draw from (key, seed, tick) is below
 *   `admit_probability`, a key has no row: it reads the initial record and what is learned of it is dropped, event by
 *   event. Keys without a row are counted in `admit_bytes`: 16 in a set; in a full set the one touched longest ago is
 *   forgotten.
 * - Expiry: at a touch more than `expire_after` ticks after the last one, the key is new again: its row (or its count)
 *   is as if it had never been. Until then the row may still take memory; a sweep gives it back.
 * - Eviction: of the rows that `max_bytes` has room for, every slot has a 4096th. At its turn (the slots take turns,
 *   64 at a time, every `turn` ticks) a slot with more than 7/8 of that loses the rows touched longest ago, down to
 *   3/4; equal ones by key. A slot that is full before its turn does so at once, but never loses a row of the batch at
 *   hand. Blocks are never evicted. With shards, `max_bytes` is of all of them together. */
typedef struct tw_keep {
    uint32_t admit_count;     /* 0, 1: at once; at most TW_ADMIT_COUNT_MAX */
    double admit_probability; /* of each touch; 0: by count */
    uint64_t admit_bytes;     /* memory of the counts; 0: 12 MiB. At least 768 KiB */
    uint64_t expire_after;    /* ticks; 0: never; at most TW_EXPIRE_MAX */
    bool evicts;              /* false: reaching max_bytes is an error */
} tw_keep;
enum { TW_ADMIT_COUNT_MAX = 4095, TW_EXPIRE_MAX = 1 << 30 };

/* What defines a model's rows; two stores that hold parts of one model must agree on all of it. */
typedef struct tw_table_spec {
    tw_schema schema;
    tw_table_kind kind;
    uint32_t bits;      /* hashed: 12 .. 31 */
    uint64_t hash_seed; /* seed of feature keys and of initial values */
    uint64_t max_bytes; /* cap on rows' memory; 0: none. Reaching it is a named error unless keep.evicts */
    tw_keep keep;       /* exact only */
} tw_table_spec;

/* How far a split is applied: offsets up to and including `to` are in the rows. */
typedef struct tw_mark {
    uint64_t split, to;
} tw_mark;

typedef struct tw_params tw_params;
struct tw_row_files;
struct tw_split;

/* Receives one record of a finished scan: `block` is -1 for rows (key = feature key; hashed tables: index << (64 -
 * bits)), else the block's index and `key` the record's index. The record is borrowed for the call. */
typedef tw_status (*tw_record_visit)(void *context, int block, uint64_t key, const void *record, tw_error *error);

typedef struct tw_params_stats {
    uint64_t rows;  /* live rows; hashed tables: rows that differ from the initial record are not counted, 2^bits is */
    uint64_t bytes; /* memory of rows and index */
    uint64_t events_learned;                              /* T: events that the model has learned, over all workers */
    uint64_t rows_expired, rows_evicted, touches_refused; /* since it was opened; the last: touches without a row */
    uint64_t pulls, pushes, conflicts, reconnects, bytes_sent, bytes_received; /* remote only */
    uint64_t restarts; /* remote only: shards that came back as another process, which may have lost rows */
} tw_params_stats;

typedef struct tw_params_ops {
    uint32_t abi_version, struct_size;

    /* Resolves a row for every entry and every block into `out`, valid until release. WRITE must be released before the
     * next acquire. A key that is not admitted (tw_keep) gets scratch, a new one in every event. REWIND: a shard lost
     * rows; nothing is acquired, call `mark` and seek. */
    tw_status (*acquire)(tw_params *self, const tw_batch *batch, tw_access access, tw_rows *out, tw_error *error);

    /* Ends the acquisition. WRITE: the change is applied exactly once together with mark (split, from, to], and
     * `events_learned` grows by `n_learned`. */
    tw_status (*release)(tw_params *self, const tw_batch *batch, tw_rows *rows, uint64_t n_learned, tw_error *error);

    /* Ends a WRITE acquisition whose learn failed: nothing is pushed (local rows keep what learn left). */
    void (*abandon)(tw_params *self, const tw_batch *batch, tw_rows *rows);

    /* All marks of `split`, ascending and distinct: one for a local table, up to one a shard. A split that nobody knows
     * has the single mark 0. marks: [*n_marks] in: room, out: filled. Learning resumes at the lowest; batches must be
     * cut at each of them. */
    tw_status (*mark)(tw_params *self, uint64_t split, uint64_t *marks, uint32_t *n_marks, tw_error *error);

    /* Waits until every released change is applied everywhere, at most timeout_ms; names the culprit on TIMEOUT. */
    tw_status (*flush)(tw_params *self, int timeout_ms, tw_error *error);

    /* Takes a consistent cut now (fast, at most 20 ms) and writes it beside learning. `directory` and `id` name the
     * files: see store/checkpoint.h. snapshot_poll: IDLE while it is being written, OK once every file is durable
     * (then the file names are in the manifest given), an error if it failed; at most one snapshot runs at a time. */
    tw_status (*snapshot_start)(tw_params *self, const char *directory, uint64_t id, tw_error *error);
    tw_status (*snapshot_poll)(tw_params *self, int timeout_ms, struct tw_row_files *out, tw_error *error);

    /* Replaces all rows, blocks and marks by those of the files that a manifest names. */
    tw_status (*restore)(tw_params *self, const char *directory, const struct tw_row_files *files, tw_error *error);

    /* Calls `visit` for every block record, then every row, in no given order. Not while a WRITE is acquired. */
    tw_status (*scan)(tw_params *self, tw_record_visit visit, void *context, tw_error *error);

    void (*stats)(tw_params *self, tw_params_stats *out);

    /* T as far as it is known here without asking anybody: never above the true count. Optional. */
    uint64_t (*events_learned)(const tw_params *self);
    void (*close)(tw_params *self);

    /* While a WRITE is acquired: begins to fetch the rows of `batch`, which will be acquired for writing next and must
     * not change until then. A hint: rows then are what they would have been without it. Optional. */
    tw_status (*prefetch)(tw_params *self, const tw_batch *batch, tw_error *error);

    /* Optional; 0: any. How many events the next WRITE may have so that nothing depends on how they are cut. */
    uint32_t (*events_until_turn)(const tw_params *self);

    /* Optional, before a WRITE: OK: this worker may learn now, if at most `most` >= 1 of them may at once. IDLE: not
     * now: others do; a moment, or a round, has passed: ask again. */
    tw_status (*seat)(tw_params *self, uint32_t most, tw_error *error);
} tw_params_ops;

struct tw_params {
    const tw_params_ops *ops; /* implementations put this first and their own state behind */
};

/* The files of one snapshot, as a manifest lists them. Owned by the holder; names are relative to the directory. */
enum { TW_ROW_FILES_MAX = 256, TW_FILE_NAME_SIZE = 96 };
typedef struct tw_row_file {
    char name[TW_FILE_NAME_SIZE];
    uint64_t size, checksum, rows; /* bytes; XXH3-64 of the file; rows in it */
} tw_row_file;
typedef struct tw_row_files {
    uint32_t n_files;
    tw_row_file file[TW_ROW_FILES_MAX];
    const struct tw_split *split; /* [n_splits] of the input they were learned from, for restore; borrowed */
    size_t n_splits;              /* 0: not known */
} tw_row_files;

#endif
