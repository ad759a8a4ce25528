/* feed.h: a shard's log to its standby: what it keeps until the standby has confirmed it, and the answers that wait for
 * that. Private to the shard.
 *
 * One stream of numbered entries: SUBSCRIBE (the model; `n_learned`: how many rows), ROWS (parts of the table as they
 * are when the entry is made), ROWS without MORE (end of the copy: marks and events), LOG (what one push made of its
 * rows, with its marks; in parts), DIGEST; where keys are admitted or expire, as replay.h says. As rows travel as what
 * they became, entries put one after the other in the order of their numbers give the table as it was when the last one
 * was made. Entries are kept until confirmed, so that a connection that breaks goes on where it was. */
#ifndef TW_PS_FEED_H
#define TW_PS_FEED_H

#include "net/socket.h"
#include "ps/shard/replication.h"
#include "ps/shard/session.h"

/* Entries sent and not confirmed: far below the queues of the sockets. A queue that is full stops a socket's input and
 * its heartbeats with it, and libzmq 4.3.4 aborts when the peer dies meanwhile. */
enum { TW_FEED_WINDOW_FRAMES = 96 };
_Static_assert(2 * TW_FEED_WINDOW_FRAMES <= TW_SOCKET_HIGH_WATER, "a standby's queue must not fill up");
_Static_assert(2 * TW_SESSION_KEY_LISTS <= TW_SOCKET_HIGH_WATER, "a worker's queue must not fill up");

typedef struct tw_feed_item {
    struct tw_feed_item *next;
    uint64_t index;
    int64_t at_us;
    tw_buffer frame;
} tw_feed_item;

/* An answer that goes out once the standby has confirmed the entry `index`. */
typedef struct tw_held {
    struct tw_held *next;
    uint64_t index;
    int64_t since_us;
    size_t peer_size, size;
    unsigned char peer[TW_PEER_SIZE];
    unsigned char bytes[];
} tw_held;

typedef struct tw_feed {
    bool has_peer, is_copying, is_caught_up, is_sync, is_alone;
    unsigned char peer[TW_PEER_SIZE];
    size_t peer_size;
    uint64_t sender, stream; /* stream 0: there is no model yet */
    uint64_t n_streams;
    uint64_t last, acked, copy_end; /* entries made, confirmed; the last one of the copy */
    int64_t now_us, heard_us, sent_us, next_digest_us;
    tw_feed_item *first, *newest, *unsent;
    uint64_t bytes, bytes_sent; /* of the items kept; of those of them that were sent */
    uint32_t n_sent;
    tw_table_part part, digested;
    uint64_t *key; /* of the ROWS entry under way */
    size_t n_keys, capacity_keys;
    uint32_t block_first, n_blocks;
    tw_buffer values;
    tw_held *held, *held_last;
    uint64_t held_bytes;
    uint64_t n_copies, n_dropped, n_alone, n_given_up;
    uint64_t n_failed_copies;        /* of a standby: its own */
    char why[TW_ERROR_MESSAGE_SIZE]; /* the standby gave the stream up last, or failed itself; "" */

    uint64_t epoch, known_epoch;
    bool is_epoch_certain, is_standby, is_deposed, has_promotion;
    tw_promotion promotion;
    unsigned char promoter[TW_PEER_SIZE];
    size_t promoter_size;
    uint64_t promoter_sender, promoter_sequence;
} tw_feed;

void tw_feed_init(tw_shard *self);
void tw_feed_fini(tw_shard *self);
/* The table is another one: the standby begins anew. */
void tw_feed_restart(tw_shard *self);
/* A push was applied: its rows are in self->row, its parts in the session. */
void tw_feed_log(tw_shard *self, const tw_session *session, const tw_frame *push);
/* True: the answer waits for the standby, and goes out later. */
bool tw_feed_holds(tw_shard *self, const void *peer, size_t peer_size, const void *bytes, size_t size);

/* One entry: fill item->frame behind what begin wrote, then end or discard it. NULL: no memory. */
tw_feed_item *tw_feed_item_begin(tw_shard *self, tw_frame *frame, const uint64_t *keys);
void tw_feed_item_end(tw_shard *self, tw_feed_item *item, const tw_frame *frame);
void tw_feed_item_discard(tw_feed_item *item); /* NULL-safe */

/* Until a standby subscribes again nothing is kept and nobody waits: as it fell too far behind. */
void tw_feed_drop(tw_shard *self);
/* The standby has every entry up to `index`. */
void tw_feed_confirm(tw_shard *self, uint64_t index);
/* Everything behind what is confirmed goes out once more. */
void tw_feed_go_back(tw_feed *self);
void tw_feed_pump(tw_shard *self);

/* succession.c: frames outside of sessions; false: it is none of these. */
bool tw_feed_receive(tw_shard *self, uint32_t roles, const void *peer, size_t peer_size, const tw_frame *frame);
/* The shard has another table. */
void tw_feed_meet_table(tw_shard *self);
/* Whether a HELLO that knows of `epoch` is to be turned away. */
bool tw_feed_is_behind(const tw_shard *self, uint64_t epoch);
/* A client named this epoch: whoever watches over shards may ask what the highest was. */
void tw_feed_hear_of(tw_shard *self, uint64_t epoch);

#endif
