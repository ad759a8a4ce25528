/* standby.h: the copy of a shard that another process keeps up to date, as a state machine: bytes and time in, bytes
 * out. It subscribes to the primary, puts the entries of its stream (feed.h) into a table of its own in the order of
 * their numbers, and confirms them. Marks count from the end of the copy on, and move with the rows in one step, so
 * what it holds is always the primary's state after some push: to the mark rule an older snapshot. Anything that does
 * not fit (an entry whose mark is not where it begins, a digest that differs) makes it begin anew: at once the first
 * time, then after a pause that doubles from 200 ms to 6.4 s, until a copy has held for 10 s. Meanwhile the primary has
 * no standby: it is told that the stream is given up, and why.
 * Thread rule: one thread at a time. */
#ifndef TW_PS_STANDBY_H
#define TW_PS_STANDBY_H

#include "ps/shard/replication.h"

typedef struct tw_standby tw_standby;

/* To the primary; bytes are borrowed for the call. Frames may get lost. */
typedef void (*tw_standby_emit)(void *context, const void *bytes, size_t size);

typedef struct tw_standby_options {
    uint32_t index, count;
    uint64_t sender; /* of this process; not 0 */
    /* Cap on the shard's rows, 0: the model's, as where rows are evicted. The copy may take twice as much. */
    uint64_t max_bytes;
    uint64_t epoch; /* a primary that is older does not have it */
    bool is_sync;   /* the primary is to wait for it */
    tw_standby_emit emit;
    void *context;
} tw_standby_options;

typedef struct tw_standby_figures {
    bool is_ready;     /* the copy is complete: it may take over */
    bool is_connected; /* the primary was heard of lately */
    uint64_t n_copies, n_gaps, n_broken,
        n_mismatches; /* copies completed; entries missed; misfits; digests that differ */
    uint64_t n_digests, n_entries;
    uint64_t epoch;                  /* the primary's, the highest heard of */
    uint64_t n_refused;              /* times that the primary would not have it */
    uint64_t n_restarts;             /* times that it began anew one after the other; 0: it holds */
    int64_t pause_us;                /* before it begins anew; 0: none now */
    char why[TW_ERROR_MESSAGE_SIZE]; /* it began anew last; "" */
} tw_standby_figures;

TW_MUST_USE tw_status tw_standby_create(const tw_standby_options *options, tw_standby **out, tw_error *error);
void tw_standby_destroy(tw_standby **self);

/* One frame from the primary. */
void tw_standby_receive(tw_standby *self, const void *bytes, size_t size);
/* Time goes on, and what came is confirmed: after every few frames, and every 50 ms at least. */
void tw_standby_tick(tw_standby *self, int64_t now_us);

void tw_standby_figures_get(const tw_standby *self, tw_standby_figures *out);
/* The copy, with which it ends its work: NULL while it is not complete. `name` of the model. */
tw_table *tw_standby_take_table(tw_standby *self, char name[TW_MODEL_NAME_SIZE]);
/* Borrowed; for tests. */
tw_table *tw_standby_table(tw_standby *self);

#endif
