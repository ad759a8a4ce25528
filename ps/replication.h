/* replication.h: what a shard's surroundings see of its standby: its pace, its figures, and who takes over from whom.
 * The standby's own side is standby.h.
 *
 * A shard has an epoch: how often it was taken over from, as far as it knows. HELLO names the highest epoch that a
 * client was told of (in `handle`, as WELCOME tells it), and a shard that is behind it answers NOT_PRIMARY, as do a
 * standby and a shard that was told of a successor: one that comes back late serves nobody who knows better.
 *
 * It is saved with the rows. A shard that has it from its files only (`is_epoch_certain` false) is not sure of it:
 * where two are of the same epoch, it is the other one that serves.
 *
 *   SUBSCRIBE   a standby wants the entries behind `sequence` of the stream `handle` (0: from the beginning). Its
 * epoch: the latest that it knows of; a shard that is behind it answers NOT_PRIMARY LOG_ACK     it has the entries up
 * to `sequence`; with DUPLICATE it misses something: the next ones again, at once when `ack` names a later one that
 * came. Answered by LOG_ACK: number of the last entry. NACK        from a standby: it gives up the stream `handle` for
 * the reason in the payload, and comes back later. PROMOTE     handle: epoch, 0: one above the shard's own or, of a
 * standby, its primary's; payload: an address to serve at too, or nothing. A shard that is no standby and not behind
 * only takes the epoch. Answered by PROMOTED (handle: its epoch) or NACK: NOT_PRIMARY when its copy is not complete,
 * STALE_EPOCH, DENIED, FAILED. PROMOTED    as a message to the shard that was taken over from: handle: the successor's
 * epoch. */
#ifndef TW_PS_REPLICATION_H
#define TW_PS_REPLICATION_H

#include "ps/shard.h"

typedef struct tw_replication {
    bool has_standby, is_caught_up, is_sync;
    bool is_alone; /* sync, but the standby has not answered in time: acknowledgements do not wait for it */
    uint64_t lag_entries, lag_bytes;
    int64_t lag_us;                        /* age of the oldest entry that the standby has not confirmed */
    uint64_t n_copies, n_dropped, n_alone; /* copies begun; standbys given up; times that it went on alone */
    uint64_t n_given_up;                   /* times that the standby gave its copy up */
    const char *why;                       /* it did so last; "". Borrowed */
    uint64_t epoch, known_epoch;           /* known: the highest that a client named, if it came near */
    bool is_standby, is_deposed;
} tw_replication;

/* Time goes on; copies a part of the table to a standby that is behind, and sends what is due. To be called at least
 * every 50 ms, and after every few frames while tw_shard_is_feeding. */
void tw_shard_tick(tw_shard *self, int64_t now_us);
bool tw_shard_is_feeding(const tw_shard *self);
void tw_shard_replication(const tw_shard *self, tw_replication *out);

enum { TW_PROMOTION_ADDRESS_SIZE = 256 };

typedef struct tw_promotion {
    uint64_t epoch;
    char address[TW_PROMOTION_ADDRESS_SIZE]; /* "": no further one */
} tw_promotion;

/* A standby was asked to take over: true hands it over once. The edge binds the address, gives the copy by
 * tw_shard_take_over, and says how it went. */
bool tw_shard_promotion_wanted(tw_shard *self, tw_promotion *out);
void tw_shard_promotion_done(tw_shard *self, tw_status status, const char *message);
/* From now on this shard serves `table` as the model `name`. Takes the table also when it fails. */
TW_MUST_USE tw_status tw_shard_take_over(
    tw_shard *self, tw_table *table, const char *name, uint64_t epoch, tw_error *error);

/* The primary of this standby is of that epoch: it will be promoted to a later one. */
void tw_shard_know_epoch(tw_shard *self, uint64_t epoch);

/* Appends a PROMOTE frame, for whoever sends it over a socket of its own (promote.h does). */
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

/* Digest of the records of a part, whatever order they lie in. */
TW_MUST_USE tw_status tw_part_digest(
    tw_table *table, const tw_table_part *part, uint64_t *digest, uint64_t *n_records, tw_error *error);

#endif
