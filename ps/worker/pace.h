/* pace.h: the worker's side of ps/shard/rounds.h: it counts its rounds, says with every frame in which one it is, tells
 * shards that a round has no push for them, and gives up, naming who was waited for, when a shard lets it wait too
 * long. Private to the client. */
#ifndef TW_PS_PACE_H
#define TW_PS_PACE_H

#include "ps/wire/round.h"

struct tw_remote;
struct tw_peer;
struct tw_frame;

typedef struct tw_pace {
    tw_round_member member; /* count 0: no rounds are kept */
    uint32_t round;         /* it is in; 0: no shard has said it yet */
    uint64_t learned;       /* bulk: T when the rows of the round were read */
    bool has_started, has_read, has_finished;
} tw_pace;

/* Of one shard. */
typedef struct tw_peer_pace {
    uint32_t clock;      /* as the shard said in WELCOME */
    uint32_t push_round; /* of the push under way, or of the last one */
    uint32_t tick_round; /* to be told without a push; 0: none */
    bool is_tick_sent;
    uint64_t tick_sequence;
    bool is_waiting; /* the shard said so last */
    uint32_t culprit, culprit_clock, n_workers, round;
    int64_t since_us, told_us; /* since when the culprit has not moved; when that was reported */
} tw_peer_pace;

/* The round that a HELLO to this shard names; 0: none yet. */
uint32_t tw_pace_hello_round(const struct tw_remote *self, const struct tw_peer *peer);
void tw_pace_take_welcome(struct tw_remote *self, struct tw_peer *peer, uint32_t clock);

/* The push of the present round is under way. */
void tw_pace_begin_push(const struct tw_remote *self, struct tw_peer *peer);
/* It is not needed, or was refused for good: the shard is told of the round without it. Rounds or not. */
void tw_pace_drop_push(struct tw_peer *peer);
TW_MUST_USE tw_status tw_pace_drive(struct tw_remote *self, struct tw_peer *peer, tw_error *error);

/* WAITING, and any answer. */
void tw_pace_take_waiting(const struct tw_remote *self, struct tw_peer *peer, const struct tw_frame *frame);
void tw_pace_take_answer(struct tw_peer *peer, uint64_t ack);

/* The first rows, or those behind what was flushed, are about to be read. */
void tw_pace_start(struct tw_remote *self);
/* Rows of the present round are there. */
void tw_pace_acquired(struct tw_remote *self);
/* All shards shall know that this worker has finished; they do once every peer is settled. */
void tw_pace_finish(struct tw_remote *self);

/* UNAVAILABLE (E304): a shard has waited for one worker for longer than the timeout, without the time in which this
 * process stood still: stood_still_us since it was asked last. */
TW_MUST_USE tw_status tw_pace_check(struct tw_remote *self, int64_t stood_still_us, tw_error *error);
/* Without rounds nobody waits for a worker that has finished: its number alone is given back, if the shard can be told
 * at once. */
void tw_pace_leave(struct tw_remote *self);

#endif
