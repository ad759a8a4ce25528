#include "ps/shard/replay.h"

#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "ps/shard/shard_state.h"
#include "ps/wire/touches.h"
#include "store/keep_record.h"

enum { KEPT_HEAD = 24, KEPT_ENTRY_BYTES = 256 << 10 };

static tw_status misfit(tw_error *error, const char *what)
{
    return tw_error_set(error, TW_STATUS_PROTOCOL, "%s", what);
}

/* --- the shard ---------------------------------------------------------------------------------------------------- */

/* What is gathered of one ROWS entry. */
typedef struct kept_entry {
    tw_shard *shard;
    uint64_t n_rows;
    tw_buffer stamps, counts;
} kept_entry;

static tw_status entry_end(kept_entry *self, uint64_t complete, tw_error *error)
{
    tw_feed *feed = &self->shard->feed;
    tw_frame frame = {.type = TW_FRAME_ROWS, .flags = TW_FRAME_MORE, .n_keys = (uint32_t)feed->n_keys};
    tw_feed_item *item = tw_feed_item_begin(self->shard, &frame, feed->n_keys > 0 ? feed->key : NULL);
    tw_buffer *out = item != NULL ? &item->frame : NULL;
    unsigned char *at = out != NULL ? tw_buffer_reserve(out, KEPT_HEAD, error) : NULL;
    if (at != NULL) {
        tw_put_u64(at, tw_table_clock(self->shard->table));
        tw_put_u64(at + 8, complete);
        tw_put_u64(at + 16, self->n_rows);
    }
    if (at == NULL || tw_buffer_append(out, feed->values.bytes, feed->values.size, error) < 0 ||
        tw_buffer_append(out, self->stamps.bytes, self->stamps.size, error) < 0 ||
        tw_buffer_append(out, self->counts.bytes, self->counts.size, error) < 0) {
        tw_feed_item_discard(item);
        return tw_no_memory(error, feed->values.size);
    }
    tw_feed_item_end(self->shard, item, &frame);
    feed->n_keys = 0;
    feed->values.size = self->stamps.size = self->counts.size = 0;
    self->n_rows = 0;
    return TW_STATUS_OK;
}

static tw_status put_u32(tw_buffer *out, uint32_t value, tw_error *error)
{
    unsigned char *at = tw_buffer_reserve(out, 4, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    tw_put_u32(at, value);
    return TW_STATUS_OK;
}

static tw_status entry_visit(void *context, const tw_keep_record *kept, tw_error *error)
{
    kept_entry *self = context;
    tw_feed *feed = &self->shard->feed;
    size_t size = tw_table_spec_of(self->shard->table)->schema.row.size;
    tw_status status = TW_STATUS_OK;
    if (feed->n_keys > 0 && feed->n_keys * 16 + feed->values.size + size > KEPT_ENTRY_BYTES)
        status = entry_end(self, feed->part.from, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&feed->key, sizeof *feed->key, &feed->capacity_keys, feed->n_keys + 1, error);
    if (status == TW_STATUS_OK)
        status = put_u32(&self->stamps, kept->stamp, error);
    if (status == TW_STATUS_OK && kept->row != NULL)
        status = tw_buffer_append(&feed->values, kept->row, size, error);
    else if (status == TW_STATUS_OK)
        status = put_u32(&self->counts, kept->count, error);
    if (status < 0)
        return status;
    self->n_rows += kept->row != NULL;
    feed->key[feed->n_keys++] = kept->key;
    return TW_STATUS_OK;
}

tw_status tw_replay_copy(tw_shard *self, tw_error *error)
{
    kept_entry entry = {.shard = self};
    tw_status status = tw_table_scan_kept(self->table, &self->feed.part, entry_visit, &entry, error);
    if (status == TW_STATUS_OK)
        status = entry_end(&entry, self->feed.part.to, error);
    tw_free(entry.stamps.bytes);
    tw_free(entry.counts.bytes);
    return status;
}

tw_status tw_replay_log_head(
    const tw_shard *self, const tw_key_touch *touch, uint32_t n, tw_buffer *out, tw_error *error)
{
    unsigned char *at = tw_buffer_reserve(out, 8 + (size_t)n * TW_TOUCH_SIZE, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    tw_put_u64(at, tw_table_clock(self->table));
    tw_touches_write(touch, n, at + 8);
    return TW_STATUS_OK;
}

tw_status tw_replay_log_tail(const tw_session *session, tw_buffer *out, tw_error *error)
{
    unsigned char *at = tw_buffer_reserve(out, TW_TICKS_SIZE, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    tw_put_u64(at, session->n_ticks);
    return TW_STATUS_OK;
}

/* --- the standby -------------------------------------------------------------------------------------------------- */

void tw_replay_fini(tw_replay_standby *self)
{
    tw_free(self->key);
    tw_free(self->touch);
    tw_free(self->row);
    *self = (tw_replay_standby){0};
}

/* The first entry tells the clock, all later ones must have the same. */
static tw_status check_clock(tw_replay_standby *self, tw_table *table, uint64_t clock, tw_error *error)
{
    if (!self->has_clock)
        tw_table_set_clock(table, clock);
    self->has_clock = true;
    return tw_table_clock(table) == clock ? TW_STATUS_OK : misfit(error, "an entry of another clock");
}

tw_status tw_replay_take_rows(tw_replay_standby *self, tw_table *table, const tw_frame *frame, tw_error *error)
{
    size_t size = tw_table_spec_of(table)->schema.row.size;
    bool has_head = frame->payload_size >= KEPT_HEAD;
    uint64_t complete = has_head ? tw_get_u64(frame->payload + 8) : 0;
    uint64_t n_rows = has_head ? tw_get_u64(frame->payload + 16) : UINT64_MAX;
    if (n_rows > frame->n_keys || complete < self->copied || complete > TW_N_SLOTS ||
        frame->payload_size != KEPT_HEAD + n_rows * size + (uint64_t)frame->n_keys * 4 + (frame->n_keys - n_rows) * 4)
        return misfit(error, "a part of the copy of a wrong length");
    const unsigned char *row = frame->payload + KEPT_HEAD, *stamp = row + n_rows * size;
    const unsigned char *count = stamp + (size_t)frame->n_keys * 4;
    tw_status status = check_clock(self, table, tw_get_u64(frame->payload), error);
    for (uint32_t i = 0; i < frame->n_keys && status == TW_STATUS_OK; i++, stamp += 4) {
        tw_keep_record kept = {.key = tw_get_u64(frame->keys + (size_t)i * 8), .stamp = tw_get_u32(stamp)};
        if (tw_key_slot(kept.key) < self->copied)
            return misfit(error, "a part of the copy that came before");
        kept.row = i < n_rows ? row + i * size : NULL;
        kept.count = i < n_rows ? 0 : tw_get_u32(count + (i - n_rows) * 4);
        status = tw_table_put_kept(table, &kept, error);
    }
    self->copied = complete;
    return status;
}

/* Bit 63 of a touch. */
static uint64_t count_admitted(const unsigned char *touches, uint32_t n)
{
    uint64_t n_admitted = 0;
    for (uint32_t i = 0; i < n; i++)
        n_admitted += touches[i * TW_TOUCH_SIZE + 7] >> 7;
    return n_admitted;
}

tw_status tw_replay_read(
    tw_replay_log *out, const tw_table *table, const tw_frame *frame, size_t blocks_size, tw_error *error)
{
    size_t touches = (size_t)frame->n_keys * TW_TOUCH_SIZE, row_size = tw_table_spec_of(table)->schema.row.size;
    size_t ticks = (frame->flags & TW_FRAME_MORE) == 0 ? TW_TICKS_SIZE : 0;
    if (frame->payload_size < 8 + touches)
        return misfit(error, "an entry without its touches");
    out->clock = tw_get_u64(frame->payload);
    out->touches = frame->payload + 8;
    out->rows = out->touches + touches;
    size_t rows = (size_t)count_admitted(out->touches, frame->n_keys) * row_size;
    if (frame->payload_size != 8 + touches + rows + blocks_size + ticks)
        return misfit(error, "an entry of a wrong length");
    out->blocks = out->rows + rows;
    out->ticks = ticks > 0 ? tw_get_u64(out->blocks + blocks_size) : 0;
    return TW_STATUS_OK;
}

tw_status tw_replay_gather(
    tw_replay_standby *self, tw_table *table, const tw_frame *frame, const tw_replay_log *log, tw_error *error)
{
    size_t n = self->n_keys + frame->n_keys;
    tw_status status = check_clock(self, table, log->clock, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->key, sizeof *self->key, &self->capacity_key, n, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->touch, sizeof *self->touch, &self->capacity_touch, n, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->row, sizeof *self->row, &self->capacity_row, n, error);
    for (uint32_t i = 0; i < frame->n_keys && status == TW_STATUS_OK; i++) {
        uint64_t key = tw_get_u64(frame->keys + (size_t)i * 8);
        if (tw_key_slot(key) >= self->copied)
            continue;
        self->key[self->n_keys] = key;
        tw_touches_read(&self->touch[self->n_keys++], 1, log->touches + (size_t)i * TW_TOUCH_SIZE);
    }
    return status;
}

tw_status tw_replay_touch(tw_replay_standby *self, tw_table *table, tw_error *error)
{
    tw_status status = tw_table_touch(table, self->key, self->touch, (uint32_t)self->n_keys, self->row, error);
    self->n_keys = self->n_used = 0;
    return status;
}

void tw_replay_fill(tw_replay_standby *self, const tw_table *table, const tw_frame *frame, const tw_replay_log *log)
{
    size_t size = tw_table_spec_of(table)->schema.row.size;
    const unsigned char *row = log->rows;
    for (uint32_t i = 0; i < frame->n_keys; i++) {
        bool is_copied = tw_key_slot(tw_get_u64(frame->keys + (size_t)i * 8)) < self->copied;
        bool has_row = log->touches[(size_t)i * TW_TOUCH_SIZE + 7] >> 7 != 0;
        void *into = is_copied ? self->row[self->n_used] : NULL;
        self->n_used += is_copied;
        if (into != NULL && has_row)
            memcpy(into, row, size);
        row += has_row ? size : 0;
    }
}

/* --- both --------------------------------------------------------------------------------------------------------- */

typedef struct digest {
    size_t row_size;
    uint64_t sum, n_records;
} digest;

static tw_status digest_visit(void *context, const tw_keep_record *kept, tw_error *error)
{
    digest *self = context;
    (void)error;
    uint64_t record = kept->row != NULL ? tw_hash(kept->row, self->row_size) : kept->count;
    self->sum += tw_mix64(record ^ tw_mix64(kept->key + tw_mix64(kept->stamp + (kept->row == NULL))));
    self->n_records++;
    return TW_STATUS_OK;
}

tw_status tw_replay_digest(
    const tw_table *table, const tw_table_part *part, uint64_t *sum, uint64_t *n_records, tw_error *error)
{
    digest self = {.row_size = tw_table_spec_of(table)->schema.row.size, .sum = tw_mix64(tw_table_clock(table))};
    tw_status status = tw_table_scan_kept(table, part, digest_visit, &self, error);
    *sum = self.sum;
    *n_records = self.n_records;
    return status;
}
