/* remote_state.h: the client's state: one peer a shard, driven by peer.c, and the store over all of them, remote.c.
 * Private.
 *
 * A peer has at most one push under way, one pull, and one control request, sent in this order within the shard's
 * credit. While a batch is learned, the pull may be that of the next one (ahead.h) and the push that of the one before.
 * Losing the session (silence, restart, a missing frame) sends it back to HELLO; the marks that come with WELCOME
 * decide what is sent again. */
#ifndef TW_PS_REMOTE_STATE_H
#define TW_PS_REMOTE_STATE_H

#include "ps/wire/lease.h"
#include "ps/worker/flight.h"
#include "ps/worker/pace.h"
#include "ps/worker/remote.h"

enum {
    TW_PEER_MAX_OUTSTANDING = 64,
    TW_PEER_PAUSE_US = 10000,  /* before what a shard had no room for is tried again */
    TW_PEER_PROBE_US = 200000, /* silence after which it is asked whether it knows the session still */
};

typedef struct tw_outstanding {
    uint64_t sequence;
    uint32_t size;
} tw_outstanding;

/* As SEATED says; zeros: not known. */
typedef struct tw_seat_holder {
    uint64_t n_row_frames, sender, share, number;
} tw_seat_holder;

/* Without a seat: since when the shard has not seen anybody learn, when that was reported and when a seat was asked for
 * last. */
typedef struct tw_seat_wait {
    int64_t since_us, told_us, asked_us;
    uint64_t n_row_frames;
} tw_seat_wait;

/* SCAN, STATS, BARRIER or SEAT. */
typedef struct tw_control {
    tw_frame_type type; /* 0: none */
    uint64_t handle, sequence;
    bool is_sent, is_acked, is_done;
    bool is_cut;       /* it failed because its session was lost */
    tw_status failure; /* < 0: it failed, with `message` */
    char message[TW_ERROR_MESSAGE_SIZE];
    tw_row_file file;      /* BARRIER */
    tw_params_stats stats; /* STATS */
    bool has_seat;         /* SEAT */
    tw_seat_holder holder; /* SEAT: none was free */
    uint32_t round;        /* STATS: of whoever is furthest; BARRIER: behind which the rows are cut, 0: at once */
    bool has_digest;       /* BARRIER: of the marks at the cut */
    uint64_t digest;
    bool is_finished;      /* SCAN: the shard has no more records */
    uint64_t n_seen;       /* SCAN: records so far */
    tw_record_visit visit; /* SCAN */
    void *context;
} tw_control;

/* The share that is pushed under; lease.epoch 0: none. */
typedef struct tw_claim {
    tw_lease lease;
    uint64_t *split; /* [n_splits] */
    uint32_t n_splits;
    bool is_stale; /* a shard knows a higher owner epoch: `highest` */
    uint64_t highest;
} tw_claim;

typedef struct tw_peer {
    uint32_t shard;
    bool is_connected, is_hello_sent, is_fresh;
    bool has_lost;    /* marks are behind what was released: REWIND is due */
    bool must_resend; /* once nothing is outstanding, push and pull start again */
    uint32_t n_bad;   /* refused as malformed, one after the other */
    uint64_t hello, epoch, incarnation, sequence;
    uint64_t shard_epoch;           /* the highest that this shard was known to have: replication.h */
    uint64_t served_epoch;          /* that it said when the session began */
    bool is_turned_away, is_probed; /* it says that another one serves; a PING went out into the silence */
    uint64_t events_learned;        /* T of this shard, as it last said */
    int64_t heard_us, not_before_us, retry_us;
    int64_t patience_us; /* retry_us of a session that is open: grows while answers come too late for it */
    uint32_t credit_frames;
    uint64_t credit_bytes;
    tw_outstanding outstanding[TW_PEER_MAX_OUTSTANDING];
    uint32_t n_outstanding;
    uint64_t outstanding_bytes;
    tw_mark *mark;
    size_t n_marks, capacity_marks;

    tw_flight *push; /* NULL: none */
    tw_frame_mark range;
    uint64_t n_learned, push_last;
    tw_value_form form;
    uint32_t push_next;
    bool is_push_sent, is_push_repeated;
    bool is_base_doubted; /* the push behind the acquired rows may have been somebody else's: the next one adds */

    tw_flight *pull; /* NULL: none */
    uint32_t pull_next, n_pulled;
    bool is_pull_ahead; /* nobody waits for it yet: lost with the session, whatever has come of it */

    tw_control control;
    bool is_claim_due, is_claim_sent; /* in this session; due until it was granted */
    uint64_t claim_sequence;
    tw_peer_pace pace;
} tw_peer;

/* See ahead.h. */
typedef struct tw_ahead {
    tw_flight *flight;       /* NULL: nothing is pulled ahead */
    const tw_flight *behind; /* acquired when the pull went out: its push follows the pull */
    tw_batch batch;          /* which one; compared, never read through */
} tw_ahead;

/* See cut.h. */
typedef struct tw_cut {
    bool is_planned, has_rounds;
    uint32_t ahead; /* rounds between the furthest worker and the cut: more after each time that was too few */
} tw_cut;

enum { TW_REMOTE_FLIGHTS = 3 }; /* pushed, learned, pulled ahead */

typedef struct tw_remote {
    tw_params params;
    tw_link *link;
    tw_partition partition;
    tw_remote_options options; /* without the borrowed pointers */
    char name[TW_MODEL_NAME_SIZE];
    uint64_t model;
    tw_peer *peer; /* [n_shards] */
    tw_claim claim;
    tw_pace pace;
    tw_cut cut;
    tw_flight flight[TW_REMOTE_FLIGHTS];
    tw_flight *current; /* the flight handed out last */
    tw_ahead ahead;
    uint64_t clock; /* 1 + ticks of the shards as far as known; 0: not known. See tw_keep */
    bool is_acquired, has_snapshot;
    tw_seat_wait seat_wait;
    bool is_seatless; /* the shards are of a version that keeps no seats */
    tw_buffer out;
    void *record; /* aligned copy of one scanned record */
    size_t capacity_record;
    tw_params_stats stats;
} tw_remote;

/* Sends what may be sent now. An error is final. */
TW_MUST_USE tw_status tw_peer_drive(tw_remote *self, tw_peer *peer, tw_error *error);
/* Takes one frame from the shard. */
TW_MUST_USE tw_status tw_peer_take(tw_remote *self, tw_peer *peer, const void *bytes, size_t size, tw_error *error);
/* Nothing is left to be sent or answered, but for the files of a snapshot. */
bool tw_peer_is_settled(const tw_peer *peer);
/* What was asked for has come; a push may be unanswered. */
bool tw_peer_is_pulled(const tw_peer *peer);
/* No push is under way. */
bool tw_peer_is_pushed(const tw_peer *peer);
uint64_t tw_peer_mark(const tw_peer *peer, uint64_t split);
int64_t tw_peer_now(tw_remote *self);
/* The session is lost: HELLO is due. */
void tw_peer_disconnect(tw_remote *self, tw_peer *peer);
/* HELLO goes to the shard's next address. */
TW_MUST_USE tw_status tw_peer_turn(tw_remote *self, tw_peer *peer, tw_error *error);
/* Push and pull start again in the present session. */
void tw_peer_restart(tw_peer *peer);
TW_MUST_USE tw_status tw_peer_set_mark(tw_peer *peer, uint64_t split, uint64_t to, tw_error *error);
/* What a shard answered to a claim or to a push under it. */
TW_MUST_USE tw_status tw_claim_take(tw_remote *self, tw_peer *peer, const tw_frame *frame, tw_error *error);
TW_MUST_USE tw_status tw_claim_take_refusal(
    tw_remote *self, const tw_peer *peer, const tw_frame *frame, tw_error *error);
void tw_claim_fini(tw_claim *self);
/* Starts a frame, and sends the one in self->out: OK; BUSY: later. */
tw_frame tw_peer_frame(const tw_remote *self, const tw_peer *peer, tw_frame_type type);
TW_MUST_USE tw_status tw_peer_send(tw_remote *self, tw_peer *peer, tw_frame *frame, tw_error *error);
/* T as the shard that is furthest has said. */
uint64_t tw_remote_events_learned(const tw_remote *self);
void tw_peer_start_control(tw_peer *peer, tw_frame_type type, uint64_t handle);

/* --- remote_control.c --- */

/* Until nothing is left to be sent or answered; `failure` is the status when that takes too long. */
TW_MUST_USE tw_status tw_remote_settle(tw_remote *self, int timeout_ms, tw_status failure, tw_error *error);
TW_MUST_USE tw_status tw_remote_settle_default(tw_remote *self, tw_error *error);
/* A round trip to every shard: one that restarted unnoticed is greeted again and tells its marks. */
TW_MUST_USE tw_status tw_remote_verify(tw_remote *self, tw_error *error);

/* The first failure among the control requests, or OK. */
TW_MUST_USE tw_status tw_remote_control_status(const tw_remote *self, tw_error *error);

/* As the members of tw_params_ops. */
TW_MUST_USE tw_status tw_remote_snapshot_start(tw_params *params, const char *directory, uint64_t id, tw_error *error);
TW_MUST_USE tw_status tw_remote_snapshot_poll(tw_params *params, int timeout_ms, tw_row_files *out, tw_error *error);
TW_MUST_USE tw_status tw_remote_restore(
    tw_params *params, const char *directory, const tw_row_files *files, tw_error *error);
TW_MUST_USE tw_status tw_remote_scan(tw_params *params, tw_record_visit visit, void *context, tw_error *error);
void tw_remote_stats(tw_params *params, tw_params_stats *out);

#endif
