/* promotion.h: frames by which a shard is copied and taken over from. What they mean for a shard:
 * ps/shard/replication.h.
 *
 * SUBSCRIBE: a standby wants the entries behind `sequence` of the stream `handle` (0: from the beginning). Its epoch is
 *     the latest that it knows of; a shard that is behind it answers NOT_PRIMARY.
 * LOG_ACK: it has the entries up to `sequence`; with DUPLICATE it misses something: the next ones again, at once when
 *     `ack` names a later one that came. Answered by LOG_ACK: number of the last entry.
 * NACK from a standby: it gives up the stream `handle` for the reason in the payload, and comes back later.
 * PROMOTE: handle: epoch, 0: one above the shard's own or, of a standby, its primary's; payload: an address to serve
 *     at too, or nothing. A shard that is no standby and not behind only takes the epoch. Answered by PROMOTED (handle:
 *     its epoch) or NACK: NOT_PRIMARY when its copy is not complete, STALE_EPOCH, DENIED, FAILED.
 * PROMOTED as a message to the shard that was taken over from: handle: the successor's epoch. */
#ifndef TW_PS_PROMOTION_H
#define TW_PS_PROMOTION_H

#include "ps/wire/frame.h"

enum { TW_PROMOTION_ADDRESS_SIZE = 256 };

typedef struct tw_promotion {
    uint64_t epoch;
    char address[TW_PROMOTION_ADDRESS_SIZE]; /* "": no further one */
} tw_promotion;

/* Appends a PROMOTE frame. */
TW_MUST_USE tw_status tw_promote_encode(
    tw_buffer *out, uint64_t sender, uint64_t sequence, const tw_promotion *promotion, tw_error *error);

/* Payload of PROMOTED to a predecessor and of SUBSCRIBE to a primary: which shard is meant. */
enum { TW_SUBSCRIBE_SIZE = 12 };
typedef struct tw_subscription {
    uint32_t index, count;
    bool is_sync;
} tw_subscription;
void tw_subscription_put(const tw_subscription *self, unsigned char at[TW_SUBSCRIBE_SIZE]);
bool tw_subscription_get(tw_subscription *self, const tw_frame *frame);

/* A PROMOTED frame to a shard that was taken over from with `epoch`; model 0: not known. */
TW_MUST_USE tw_status tw_promoted_encode(tw_buffer *out,
    uint64_t sender,
    uint64_t sequence,
    uint64_t model,
    uint64_t epoch,
    const tw_subscription *which,
    tw_error *error);

#endif
