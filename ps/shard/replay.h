/* replay.h: the entries of a shard's stream to its standby (feed.h) for tables with tw_keep. What is admitted, expires
 * or is evicted follows from touches and ticks alone, slot by slot, so the standby is told those and decides as the
 * primary did; it leaves slots alone that the copy has not come to.
 *
 * ROWS (a part of rows): u64 clock, u64 slots that are complete now, u64 rows; the records of the first `rows` keys,
 *     u32 last touch of every key, u32 count of every key behind the first ones, which has no row
 * LOG: u64 clock, u64 touch of every key (admission.h), the records of the keys that have a row, block records; in the
 *     last one of a push u64: its ticks */
#ifndef TW_PS_REPLAY_H
#define TW_PS_REPLAY_H

#include "ps/shard/feed.h"

/* Shard: the entries of feed->part, and what a LOG entry has before and behind its records. */
TW_MUST_USE tw_status tw_replay_copy(tw_shard *self, tw_error *error);
TW_MUST_USE tw_status tw_replay_log_head(
    const tw_shard *self, const tw_key_touch *touch, uint32_t n, tw_buffer *out, tw_error *error);
TW_MUST_USE tw_status tw_replay_log_tail(const tw_session *session, tw_buffer *out, tw_error *error);

/* Standby: what it must know from one entry to the next. All zero at the beginning of a stream. */
typedef struct tw_replay_standby {
    bool has_clock;
    uint64_t copied; /* slots below it */
    size_t n_keys, n_used;
    uint64_t *key;
    tw_key_touch *touch;
    void **row;
    size_t capacity_key, capacity_touch, capacity_row;
} tw_replay_standby;

void tw_replay_fini(tw_replay_standby *self); /* and back to the beginning */

TW_MUST_USE tw_status tw_replay_take_rows(
    tw_replay_standby *self, tw_table *table, const tw_frame *frame, tw_error *error);

/* A LOG entry with block records of `blocks_size`: PROTOCOL where it does not fit. */
typedef struct tw_replay_log {
    uint64_t clock, ticks;
    const unsigned char *touches, *rows, *blocks; /* in the frame */
} tw_replay_log;
TW_MUST_USE tw_status tw_replay_read(
    tw_replay_log *out, const tw_table *table, const tw_frame *frame, size_t blocks_size, tw_error *error);

/* A push, part by part: first all are gathered, then the keys are touched, then all are filled, in the same order. */
TW_MUST_USE tw_status tw_replay_gather(
    tw_replay_standby *self, tw_table *table, const tw_frame *frame, const tw_replay_log *log, tw_error *error);
TW_MUST_USE tw_status tw_replay_touch(tw_replay_standby *self, tw_table *table, tw_error *error);
void tw_replay_fill(tw_replay_standby *self, const tw_table *table, const tw_frame *frame, const tw_replay_log *log);

/* As tw_part_digest, of a part of rows: with last touches, counts and clock. */
TW_MUST_USE tw_status tw_replay_digest(
    const tw_table *table, const tw_table_part *part, uint64_t *digest, uint64_t *n_records, tw_error *error);

#endif
