/* session.h: what a shard remembers of one peer: ownership epoch, last sequence number, the key lists of its latest
 * pulls and the frames of a push that is not complete yet. Private to the shard. */
#ifndef TW_PS_SESSION_H
#define TW_PS_SESSION_H

#include "ps/shard/leases.h"
#include "ps/shard/shard.h"
#include "ps/shard/shard_rounds.h"
#include "ps/wire/pipeline.h"

enum { TW_SESSION_KEY_LISTS = 64 };

/* What one pull asked for, and what a push by its handle changes. */
typedef struct tw_key_list {
    uint64_t handle; /* sequence of the pull; 0: empty */
    uint64_t *key;
    size_t n_keys, capacity;
    uint32_t block_first, n_blocks;
} tw_key_list;

/* One part of a push: a key list of its own and its values in `values`. */
typedef struct tw_staged_part {
    uint32_t n_keys, block_first, n_blocks;
    tw_value_form form;
    uint64_t generation;
    size_t key_at, value_at; /* indices into the session's staged keys and values */
} tw_staged_part;

typedef struct tw_session {
    unsigned char peer[TW_PEER_SIZE];
    size_t peer_size;
    bool is_open;
    tw_role role;
    uint64_t sender, epoch, sequence, last_used;
    tw_lease lease;  /* under which it pushes; epoch 0: none */
    bool is_refused; /* a part of the push under way was refused: so are the rest of them */
    uint32_t next_list;
    uint64_t list_bytes; /* memory of all lists */
    tw_key_list list[TW_SESSION_KEY_LISTS];
    tw_staged_part *part;
    size_t n_parts, capacity_parts;
    uint64_t *key;
    size_t n_keys, capacity_keys;
    uint64_t n_ticks; /* of the push whose last part has come: tw_keep */
    tw_buffer values;
    tw_pending hold;
    tw_round_member worker;      /* of several with fixed shares and without rounds; count 0: no such */
    tw_pipeline_digest pipeline; /* of a worker that learns */
    int64_t used_us;
    int64_t rival_us, knocked_us; /* another process wants to be this worker: since when, and when it last said so */
    int64_t seat_until_us;        /* it may learn until then: seat.h; 0: it has no seat */
} tw_session;

void tw_session_fini(tw_session *self);
/* Forgets key lists and staged parts and gives their memory back. */
void tw_session_reset(tw_session *self);
void tw_session_unstage(tw_session *self); /* keeps the memory */
uint64_t tw_session_bytes(const tw_session *self);
const tw_key_list *tw_session_find_list(const tw_session *self, uint64_t handle);
/* Keeps the keys of a pull in place of the oldest list. */
TW_MUST_USE tw_status tw_session_keep_list(tw_session *self, const tw_frame *pull, tw_error *error);

#endif
