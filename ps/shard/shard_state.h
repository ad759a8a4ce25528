/* shard_state.h: the state of a shard, shared by shard.c (sessions), shard_rows.c (pull and push) and shard_control.c
 * (scan, figures, snapshots) and shard_status.c (status). Private. */
#ifndef TW_PS_SHARD_STATE_H
#define TW_PS_SHARD_STATE_H

#include "ps/shard/feed.h"
#include "ps/shard/session.h"
#include "ps/shard/sketch.h"
#include "ps/wire/refusals.h"

struct tw_shard {
    tw_shard_options options;
    uint32_t first_slot, last_slot;
    tw_table *table;
    char name[TW_MODEL_NAME_SIZE]; /* "": not known yet */
    uint64_t model;                /* hash of it */
    uint64_t epoch, owner, generation, clock;
    uint64_t incarnation;
    tw_leases leases;
    tw_block_place *place; /* [n_places] block records that lie here */
    uint32_t n_places;
    tw_session *session; /* [options.max_sessions] */
    bool is_busy, has_barrier, is_barrier_cut;
    uint64_t n_row_frames; /* pulls and pushes of workers: somebody learns */
    uint64_t barrier_id, barrier_sequence;
    uint32_t barrier_round; /* the cut waits until all have left it behind; 0: it waits for nobody */
    int64_t barrier_until_us, barrier_told_us;
    unsigned char barrier_peer[TW_PEER_SIZE];
    size_t barrier_peer_size;
    void **row;
    uint64_t *key;
    tw_sight *sight;     /* of a pull, with tw_keep */
    tw_key_touch *touch; /* of a push */
    size_t capacity_rows, capacity_keys, capacity_sight, capacity_touch;
    tw_buffer out;
    tw_refusals refusals;
    tw_feed feed; /* to its standby */
    tw_sketch sketch;
    tw_shard_edge edge;
    tw_shard_rounds rounds;
};

/* The head of an answer to `request`; session NULL: outside of sessions. */
tw_frame tw_shard_answer(const tw_shard *self, const tw_session *session, const tw_frame *request, tw_frame_type type);
/* Sends what was begun in self->out; at once, or once the standby has it. */
void tw_shard_send(tw_shard *self, const void *peer, size_t peer_size, const tw_frame *frame);
/* An answer without payload. */
void tw_shard_reply(tw_shard *self, const tw_session *session, const tw_frame *answer);
/* `mark` may be NULL. */
void tw_shard_nack(tw_shard *self,
    const void *peer,
    size_t peer_size,
    const tw_frame *request,
    tw_nack_reason reason,
    const tw_frame_mark *mark,
    const char *message);

/* Payload of WELCOME, and at the end of a standby's copy: events learned u64, number of marks u64, (split, mark) each.
 */
TW_MUST_USE tw_status tw_shard_append_marks(const tw_shard *self, tw_buffer *out, tw_error *error);

void tw_shard_pull(tw_shard *self, tw_session *session, const tw_frame *frame);
void tw_shard_push(tw_shard *self, tw_session *session, const tw_frame *frame);

void tw_shard_acquire(tw_shard *self, tw_session *session, const tw_frame *frame);
/* NACK STALE_OWNER with the highest owner epoch of the share. */
void tw_shard_refuse_stale(
    tw_shard *self, const tw_session *session, const tw_frame *frame, uint64_t share, const char *message);
/* Applies the push that is staged in the session and answers it. `frame`: its last part. */
void tw_shard_push_apply(tw_shard *self, tw_session *session, const tw_frame *frame);

/* Whether a worker that says HELLO may learn beside those that are here, or in the place of one that died
 * (shard_rivals.c). */
tw_nack_reason tw_shard_meet_rivals(tw_shard *self, const tw_frame *frame, const tw_hello *hello, tw_error *error);
void tw_shard_enter_worker(tw_session *session, const tw_frame *frame, const tw_hello *hello);

/* --- rounds (shard_rounds.c) --- */

/* Takes the worker's place, or says why not. *clock: in: as its HELLO says; out: as it is here. */
tw_nack_reason tw_shard_join(
    tw_shard *self, const tw_hello *hello, const tw_frame *request, uint32_t *clock, tw_error *error);
/* The session of a worker that has taken its place. */
void tw_shard_enter(const tw_shard *self, tw_session *session, const tw_hello *hello);
/* The session is about to end: what waited in it is lost. */
void tw_shard_forget(tw_shard *self, const tw_session *session);
/* True: the frame waits, or was refused. `bytes` [size]: the same, not decoded. */
bool tw_shard_holds(tw_shard *self, tw_session *session, const tw_frame *frame, const void *bytes, size_t size);
/* True: the push, which is complete and valid, waits for its round. */
bool tw_shard_stages(tw_shard *self, tw_session *session, const tw_frame *frame);
/* A push was applied. */
void tw_shard_count_round(tw_shard *self, const tw_session *session, const tw_frame *frame);
void tw_shard_clock(tw_shard *self, tw_session *session, const tw_frame *frame);
/* SEAT: whether the worker may learn now (shard_seats.c). */
void tw_shard_seat(tw_shard *self, tw_session *session, const tw_frame *frame);
/* Lets go on what need not wait any more. After every frame. */
void tw_shard_release(tw_shard *self);
/* Its figures in a status. */
void tw_shard_rounds_status(const tw_shard *self, tw_shard_status *out);
/* Sessions that have a seat. */
uint32_t tw_shard_seats_taken(const tw_shard *self);
/* Time goes on: tells those who wait whom they wait for. */
void tw_shard_rounds_tick(tw_shard *self, int64_t now_us);

/* A frame of a session, in its turn (shard.c). */
void tw_shard_dispatch(tw_shard *self, tw_session *session, const tw_frame *frame);
bool tw_shard_make_room(tw_shard *self, uint64_t more); /* for sessions (shard_rows.c) */

void tw_shard_scan(tw_shard *self, const tw_session *session, const tw_frame *frame);
void tw_shard_stats(tw_shard *self, const tw_session *session, const tw_frame *frame);
void tw_shard_status_answer(tw_shard *self, const void *peer, size_t peer_size, const tw_frame *frame);
/* BARRIER of a round r (clock; 0: at once): pushes of later rounds wait, and the rows are cut when all those up to r
 * count. OVERLOAD: somebody is behind r already, or did not come there in 3 s. ACK carries a digest of the marks, u64.
 */
void tw_shard_barrier(tw_shard *self, const tw_session *session, const tw_frame *frame);
/* Tells the owner that it is waited for, or gives it up with who did not come. */
void tw_shard_barrier_tick(tw_shard *self, int64_t now_us, int64_t every_us);

#endif
