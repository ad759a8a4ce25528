/* replication.h: what a shard's surroundings see of its standby: its pace, its figures, and who takes over from whom.
 * The standby's own side is standby.h.
 *
 * A shard has an epoch: how often it was taken over from, as far as it knows. HELLO names the highest epoch that a
 * client was told of (in `handle`, as WELCOME tells it), and a shard that is behind it answers NOT_PRIMARY, as do a
 * standby and a shard that was told of a successor: one that comes back late serves nobody who knows better.
 *
 * It is saved with the rows. A shard that has it from its files only (`is_epoch_certain` false) is not sure of it:
 * where two are of the same epoch, it is the other one that serves. */
#ifndef TW_PS_REPLICATION_H
#define TW_PS_REPLICATION_H

#include "ps/shard/shard.h"
#include "ps/wire/promotion.h"

typedef struct tw_replication {
    bool has_standby, is_caught_up, is_sync;
    bool is_silent; /* nothing was heard of the standby for longer than another one needs to take its place */
    bool is_alone;  /* sync, but the standby has not answered in time: acknowledgements do not wait for it */
    uint64_t lag_entries, lag_bytes;
    int64_t lag_us;                        /* age of the oldest entry that the standby has not confirmed */
    uint64_t n_copies, n_dropped, n_alone; /* copies begun; standbys given up; times that it went on alone */
    uint64_t n_given_up;                   /* times that the standby gave its copy up */
    uint64_t n_failed_copies;              /* of a standby: its own copies that failed */
    const char *why;                       /* a copy failed last; "". Borrowed */
    uint64_t epoch, known_epoch;           /* known: the highest that a client named, if it came near */
    bool is_standby, is_deposed;
} tw_replication;

/* Time goes on; copies a part of the table to a standby that is behind, and sends what is due. To be called at least
 * every 50 ms, and after every few frames while tw_shard_is_feeding. */
void tw_shard_tick(tw_shard *self, int64_t now_us);
bool tw_shard_is_feeding(const tw_shard *self);
void tw_shard_replication(const tw_shard *self, tw_replication *out);

/* A standby was asked to take over: true hands it over once. The edge binds the address, gives the copy by
 * tw_shard_take_over, and says how it went. */
bool tw_shard_promotion_wanted(tw_shard *self, tw_promotion *out);
void tw_shard_promotion_done(tw_shard *self, tw_status status, const char *message);
/* From now on this shard serves `table` as the model `name`. Takes the table also when it fails. */
TW_MUST_USE tw_status tw_shard_take_over(
    tw_shard *self, tw_table *table, const char *name, uint64_t epoch, tw_error *error);

/* The primary of this standby is of that epoch: it will be promoted to a later one. */
void tw_shard_know_epoch(tw_shard *self, uint64_t epoch);

/* How often the copy of this standby has failed, and why last, for whoever asks what it is. */
void tw_shard_know_copies(tw_shard *self, uint64_t n_failed, const char *why);

/* Digest of the records of a part, whatever order they lie in. */
TW_MUST_USE tw_status tw_part_digest(
    tw_table *table, const tw_table_part *part, uint64_t *digest, uint64_t *n_records, tw_error *error);

#endif
