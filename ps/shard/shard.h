/* shard.h: one shard of a model as a state machine: bytes in, bytes out; no socket, no file, no clock. It owns the rows
 * of its slots and, with them, how far every split is applied: a push (split, from, to] changes rows and mark together,
 * and only if mark == from. Every frame gets an answer; none makes it fail. Thread rule: one thread at a time. */
#ifndef TW_PS_SHARD_H
#define TW_PS_SHARD_H

#include "ps/wire/layout.h"
#include "ps/wire/refusals.h"
#include "ps/wire/status.h"
#include "store/table.h"

typedef struct tw_shard tw_shard;

/* Frames of other sessions after which a silent one is closed where memory is short. */
enum { TW_SHARD_SILENT_FRAMES = 256 };

/* Receives an answer. Peer and bytes are borrowed for the call; it may not call the shard. */
typedef void (*tw_shard_emit)(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size);

/* Zeros mean the defaults given behind. */
typedef struct tw_shard_options {
    uint32_t index, count;      /* of the shards; count >= 1 */
    uint64_t incarnation;       /* differs every time the process starts; not 0 */
    uint64_t max_bytes;         /* cap on this shard's rows; 0: as the model says */
    uint32_t max_sessions;      /* 64; a further HELLO replaces the session that was silent longest */
    uint64_t max_session_bytes; /* 256 MiB: key lists and staged pushes of all sessions together */
    uint32_t credit_frames;     /* 64: requests that a worker may have under way */
    uint32_t credit_bytes;      /* 32 MiB of them */
    bool is_standby;            /* refuses everybody until it was promoted: see replication.h */
    uint64_t epoch;             /* how often the shard was taken over from, as far as known */
    bool is_epoch_certain;      /* else it is at least the one that the rows were saved with */
    uint64_t max_log_bytes;     /* 64 MiB: entries kept for a standby; one that is further behind is given up */
    int64_t sync_timeout_us;    /* 1 s: then acknowledgements do not wait for a standby any longer */
    bool is_restarted;          /* workers may be under way that it does not know */
    int64_t waiting_us;         /* 200 ms: how often a worker is told that it waits for another one */
    int64_t absent_us;          /* 5 s: how long a shard that came back waits for workers that nobody has seen there */
    tw_shard_emit emit;
    void *context;
} tw_shard_options;

TW_MUST_USE tw_status tw_shard_create(const tw_shard_options *options, tw_shard **out, tw_error *error);
void tw_shard_destroy(tw_shard **self);

/* One frame from a peer (its id: at most TW_PEER_SIZE bytes). All-or-nothing: a frame that is refused changed nothing.
 */
void tw_shard_receive(tw_shard *self, const void *peer, size_t peer_size, const void *bytes, size_t size);

/* The same from a peer that may only take roles of `roles`, bits 1 << tw_role: another HELLO is DENIED. */
void tw_shard_receive_from(
    tw_shard *self, uint32_t roles, const void *peer, size_t peer_size, const void *bytes, size_t size);

/* Gives it the rows that were restored, before the first frame (the model's name is taken from the next HELLO). */
TW_MUST_USE tw_status tw_shard_adopt_take(tw_shard *self, tw_table *table, tw_error *error);

/* NULL before the first HELLO or adoption. Borrowed. */
tw_table *tw_shard_table(tw_shard *self);

/* A snapshot that a worker asked for, to be cut before the next frame is received: true hands it over once. The edge
 * then answers with started (the cut is taken), later done. While one is under way a HELLO cannot drop the table. */
bool tw_shard_snapshot_wanted(tw_shard *self, uint64_t *id);
void tw_shard_snapshot_started(tw_shard *self, tw_status status, const char *message);
void tw_shard_snapshot_done(tw_shard *self, tw_status status, const tw_row_file *file, const char *message);
/* The edge takes a snapshot of its own: the table stays as long. */
void tw_shard_set_busy(tw_shard *self, bool is_busy);

/* Memory that sessions hold, and how many there are; for limits and tests. */
uint64_t tw_shard_session_bytes(const tw_shard *self, uint32_t *n_sessions);

/* What only the edge knows and STATUS tells; TW_STATUS_UNKNOWN where it does not. All unknown before the first call. */
typedef struct tw_shard_edge {
    uint64_t uptime_ms, snapshot, snapshot_age_ms, snapshot_failures, unsent_bytes, refused_connections;
} tw_shard_edge;

void tw_shard_tell_edge(tw_shard *self, const tw_shard_edge *edge);

/* What it says of itself now; release with tw_shard_status_fini. The marks are left out where memory is short. */
void tw_shard_status_now(const tw_shard *self, tw_shard_status *out);

/* What it refused so far. Borrowed. */
const tw_refusals *tw_shard_refusals(const tw_shard *self);
/* Counts a message that the edge could not make a frame of. */
void tw_shard_formless(tw_shard *self);

#endif
