/* A shard's log to its standby: entries, window, answers held back. */
#include "ps/shard/feed.h"

#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "ps/shard/replay.h"
#include "ps/shard/shard_state.h"

enum {
    FEED_ROWS_BYTES = 256 << 10, /* of one ROWS entry */
    FEED_PART_BYTES = 512 << 10, /* of the table, copied in one turn */
    FEED_DIGEST_BYTES = 256 << 10,
    FEED_DIGEST_US = 100000,
    FEED_WINDOW = 4 << 20,    /* bytes sent and not confirmed */
    FEED_SILENT_US = 4000000, /* above FEED_ABANDONED_US and what a standby needs to say SUBSCRIBE again */
};

static const uint64_t feed_max_held_bytes = (uint64_t)64 << 20;

/* --- answers held back -------------------------------------------------------------------------------------------- */

static void held_release(tw_shard *self, uint64_t up_to)
{
    tw_feed *feed = &self->feed;
    while (feed->held != NULL && feed->held->index <= up_to) {
        tw_held *first = feed->held;
        feed->held = first->next;
        feed->held_bytes -= first->size;
        self->options.emit(self->options.context, first->peer, first->peer_size, first->bytes, first->size);
        tw_free(first);
    }
    if (feed->held == NULL)
        feed->held_last = NULL;
}

/* Goes on without waiting until the standby has nearly everything again. */
static void feed_go_alone(tw_shard *self)
{
    tw_feed *feed = &self->feed;
    feed->n_alone += !feed->is_alone;
    feed->is_alone = true;
    held_release(self, UINT64_MAX);
}

bool tw_feed_holds(tw_shard *self, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    tw_feed *feed = &self->feed;
    bool is_waiting = feed->is_sync && feed->is_caught_up && !feed->is_alone;
    if (!is_waiting || (feed->acked == feed->last && feed->held == NULL))
        return false;
    tw_held *held = feed->held_bytes + size <= feed_max_held_bytes ? tw_alloc(sizeof *held + size) : NULL;
    if (held == NULL) {
        feed_go_alone(self);
        return false;
    }
    *held = (tw_held){.index = feed->last, .since_us = feed->now_us, .peer_size = peer_size, .size = size};
    memcpy(held->peer, peer, peer_size);
    memcpy(held->bytes, bytes, size);
    if (feed->held_last != NULL)
        feed->held_last->next = held;
    else
        feed->held = held;
    feed->held_last = held;
    feed->held_bytes += size;
    return true;
}

/* --- entries ------------------------------------------------------------------------------------------------------ */

static void items_clear(tw_feed *self)
{
    while (self->first != NULL) {
        tw_feed_item *item = self->first;
        self->first = item->next;
        tw_free(item->frame.bytes);
        tw_free(item);
    }
    self->newest = self->unsent = NULL;
    self->bytes = self->bytes_sent = 0;
    self->n_sent = 0;
}

/* Until a standby subscribes again nothing is kept and nobody waits. */
void tw_feed_drop(tw_shard *self)
{
    tw_feed *feed = &self->feed;
    feed->n_dropped += feed->has_peer;
    items_clear(feed);
    feed->has_peer = feed->is_copying = feed->is_caught_up = feed->is_alone = false;
    feed->stream = 0;
    feed->last = feed->acked = 0;
    held_release(self, UINT64_MAX);
}

void tw_feed_init(tw_shard *self)
{
    self->feed.is_standby = self->options.is_standby;
    self->feed.epoch = self->options.epoch;
    self->feed.is_epoch_certain = true;
}

void tw_feed_fini(tw_shard *self)
{
    tw_feed *feed = &self->feed;
    items_clear(feed);
    while (feed->held != NULL) {
        tw_held *first = feed->held;
        feed->held = first->next;
        tw_free(first);
    }
    tw_free(feed->key);
    tw_free(feed->values.bytes);
}

static void feed_send_item(tw_shard *self, tw_feed_item *item)
{
    tw_feed *feed = &self->feed;
    feed->unsent = item->next;
    feed->bytes_sent += item->frame.size;
    feed->n_sent++;
    feed->sent_us = feed->now_us;
    self->options.emit(self->options.context, feed->peer, feed->peer_size, item->frame.bytes, item->frame.size);
}

void tw_feed_pump(tw_shard *self)
{
    tw_feed *feed = &self->feed;
    while (feed->unsent != NULL && feed->n_sent < TW_FEED_WINDOW_FRAMES &&
           (feed->bytes_sent == 0 || feed->bytes_sent + feed->unsent->frame.size <= FEED_WINDOW))
        feed_send_item(self, feed->unsent);
}

tw_feed_item *tw_feed_item_begin(tw_shard *self, tw_frame *frame, const uint64_t *keys)
{
    tw_feed_item *item = tw_alloc_zero(sizeof *item);
    frame->model = self->model;
    frame->sender = self->feed.sender;
    frame->incarnation = self->incarnation;
    frame->handle = self->feed.stream;
    frame->sequence = self->feed.last + 1;
    frame->generation = self->generation;
    frame->epoch = self->feed.epoch;
    if (item == NULL || tw_frame_begin(&item->frame, frame, keys, NULL) == TW_STATUS_OK)
        return item;
    tw_free(item->frame.bytes);
    tw_free(item);
    return NULL;
}

void tw_feed_item_discard(tw_feed_item *item)
{
    if (item != NULL)
        tw_free(item->frame.bytes);
    tw_free(item);
}

void tw_feed_item_end(tw_shard *self, tw_feed_item *item, const tw_frame *frame)
{
    tw_feed *feed = &self->feed;
    tw_frame_finish(&item->frame, frame);
    item->index = ++feed->last;
    item->at_us = feed->now_us;
    feed->bytes += item->frame.size;
    if (feed->newest != NULL)
        feed->newest->next = item;
    else
        feed->first = item;
    feed->newest = item;
    if (feed->unsent == NULL)
        feed->unsent = item;
}

/* --- the copy ----------------------------------------------------------------------------------------------------- */

/* The entry of the records gathered so far. */
static tw_status rows_end(tw_shard *self, tw_error *error)
{
    tw_feed *feed = &self->feed;
    if (feed->n_keys == 0 && feed->n_blocks == 0)
        return TW_STATUS_OK;
    tw_frame frame = {.type = TW_FRAME_ROWS,
        .flags = TW_FRAME_MORE,
        .n_keys = (uint32_t)feed->n_keys,
        .block_first = feed->block_first,
        .n_blocks = feed->n_blocks};
    tw_feed_item *item = tw_feed_item_begin(self, &frame, feed->n_keys > 0 ? feed->key : NULL);
    if (item == NULL || tw_buffer_append(&item->frame, feed->values.bytes, feed->values.size, error) < 0) {
        tw_feed_item_discard(item);
        return tw_no_memory(error, feed->values.size);
    }
    tw_feed_item_end(self, item, &frame);
    feed->n_keys = feed->n_blocks = 0;
    feed->values.size = 0;
    return TW_STATUS_OK;
}

/* Block records lie in the order of the list of places. */
static uint32_t place_of(const tw_shard *self, int block, uint64_t record)
{
    uint32_t low = 0, high = self->n_places;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const tw_block_place *place = &self->place[middle];
        bool is_below = place->block < (uint32_t)block || (place->block == (uint32_t)block && place->record < record);
        low = is_below ? middle + 1 : low;
        high = is_below ? high : middle;
    }
    return low;
}

static tw_status rows_visit(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    tw_shard *self = context;
    tw_feed *feed = &self->feed;
    const tw_schema *schema = &tw_table_spec_of(self->table)->schema;
    size_t size = block < 0 ? schema->row.size : schema->block[block].record.size;
    if (feed->values.size > 0 && feed->values.size + size > FEED_ROWS_BYTES && rows_end(self, error) < 0)
        return TW_STATUS_NO_MEMORY;
    if (block >= 0) {
        uint32_t place = place_of(self, block, key);
        if (feed->n_blocks == 0)
            feed->block_first = place;
        feed->n_blocks++;
    } else {
        if (tw_grow(&feed->key, sizeof *feed->key, &feed->capacity_keys, feed->n_keys + 1, error) < 0)
            return TW_STATUS_NO_MEMORY;
        /* 0 is no key; in hashed tables any key of the first row will do. */
        feed->key[feed->n_keys++] = key != 0 ? key : 1;
    }
    return tw_buffer_append(&feed->values, record, size, error);
}

static tw_status copy_end(tw_shard *self, tw_error *error)
{
    tw_frame frame = {.type = TW_FRAME_ROWS};
    tw_feed_item *item = tw_feed_item_begin(self, &frame, NULL);
    if (item == NULL || tw_shard_append_marks(self, &item->frame, error) < 0) {
        tw_feed_item_discard(item);
        return TW_STATUS_NO_MEMORY;
    }
    tw_feed_item_end(self, item, &frame);
    self->feed.copy_end = self->feed.last;
    self->feed.is_copying = false;
    self->feed.digested = (tw_table_part){0};
    return TW_STATUS_OK;
}

static bool keeps(const tw_shard *self)
{
    return tw_keep_is_on(tw_table_spec_of(self->table));
}

static void feed_copy(tw_shard *self)
{
    tw_feed *feed = &self->feed;
    if (!feed->is_copying || feed->unsent != NULL || feed->bytes >= FEED_WINDOW)
        return;
    tw_error error = {0};
    bool has_more = tw_table_next_part(self->table, FEED_PART_BYTES, &feed->part);
    tw_status status = TW_STATUS_OK;
    if (has_more && feed->part.block < 0 && keeps(self))
        status = tw_replay_copy(self, &error);
    else if (has_more)
        status = tw_table_scan_part(self->table, &feed->part, rows_visit, self, &error);
    if (status == TW_STATUS_OK && has_more)
        status = rows_end(self, &error);
    if (status == TW_STATUS_OK && !has_more)
        status = copy_end(self, &error);
    if (status < 0)
        tw_feed_drop(self);
}

/* Payload: block i32, zero u32, from, to, digest, records u64. */
static void feed_digest(tw_shard *self)
{
    tw_feed *feed = &self->feed;
    if (!feed->is_caught_up || feed->now_us < feed->next_digest_us || feed->unsent != NULL)
        return;
    feed->next_digest_us = feed->now_us + FEED_DIGEST_US;
    if (!tw_table_next_part(self->table, FEED_DIGEST_BYTES, &feed->digested)) {
        feed->digested = (tw_table_part){0};
        return;
    }
    uint64_t digest = 0, n_records = 0;
    tw_frame frame = {.type = TW_FRAME_DIGEST};
    if (tw_part_digest(self->table, &feed->digested, &digest, &n_records, NULL) < 0)
        return;
    tw_feed_item *item = tw_feed_item_begin(self, &frame, NULL);
    unsigned char *at = item != NULL ? tw_buffer_reserve(&item->frame, 40, NULL) : NULL;
    if (at == NULL) {
        tw_feed_item_discard(item);
        return;
    }
    tw_put_u32(at, (uint32_t)feed->digested.block);
    tw_put_u32(at + 4, 0);
    tw_put_u64(at + 8, feed->digested.from);
    tw_put_u64(at + 16, feed->digested.to);
    tw_put_u64(at + 24, digest);
    tw_put_u64(at + 32, n_records);
    tw_feed_item_end(self, item, &frame);
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

static tw_status log_values(
    const tw_shard *self, const tw_staged_part *part, void *const *block_record, tw_buffer *out, tw_error *error)
{
    size_t row_size = tw_table_spec_of(self->table)->schema.row.size, size = 0;
    for (uint32_t i = 0; i < part->n_keys; i++)
        size += self->row[part->key_at + i] != NULL ? row_size : 0;
    for (uint32_t i = 0; i < part->n_blocks; i++)
        size += self->place[part->block_first + i].size;
    unsigned char *at = tw_buffer_reserve(out, size, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < part->n_keys; i++) {
        if (self->row[part->key_at + i] == NULL)
            continue;
        memcpy(at, self->row[part->key_at + i], row_size);
        at += row_size;
    }
    for (uint32_t i = 0; i < part->n_blocks; i++) {
        const tw_block_place *place = &self->place[part->block_first + i];
        memcpy(at, block_record[i], place->size);
        at += place->size;
    }
    return TW_STATUS_OK;
}

static bool log_part(tw_shard *self,
    const tw_session *session,
    const tw_staged_part *part,
    void *const *block_record,
    const tw_frame *push)
{
    tw_frame frame = {.type = TW_FRAME_LOG, .flags = TW_FRAME_MORE};
    const uint64_t *keys = NULL;
    const tw_key_touch *touches = NULL;
    if (part != NULL && part->n_keys > 0) {
        keys = session->key + part->key_at;
        touches = keeps(self) ? self->touch + part->key_at : NULL;
    }
    if (part != NULL) {
        frame.n_keys = part->n_keys;
        frame.block_first = part->block_first;
        frame.n_blocks = part->n_blocks;
    }
    if (push != NULL) {
        frame.flags = 0;
        frame.n_learned = push->n_learned;
        frame.n_marks = push->n_marks;
        memcpy(frame.mark, push->mark, sizeof frame.mark);
    }
    tw_feed_item *item = tw_feed_item_begin(self, &frame, keys);
    tw_status status = item != NULL ? TW_STATUS_OK : TW_STATUS_NO_MEMORY;
    if (status == TW_STATUS_OK && keeps(self))
        status = tw_replay_log_head(self, touches, frame.n_keys, &item->frame, NULL);
    if (status == TW_STATUS_OK && part != NULL)
        status = log_values(self, part, block_record, &item->frame, NULL);
    if (status == TW_STATUS_OK && push != NULL && keeps(self))
        status = tw_replay_log_tail(session, &item->frame, NULL);
    if (status < 0) {
        tw_feed_item_discard(item);
        return false;
    }
    tw_feed_item_end(self, item, &frame);
    return true;
}

void tw_feed_log(tw_shard *self, const tw_session *session, const tw_frame *push)
{
    tw_feed *feed = &self->feed;
    if (!feed->has_peer || feed->stream == 0)
        return;
    bool is_good = true;
    size_t block_at = session->n_keys;
    for (size_t p = 0; p < session->n_parts && is_good; p++) {
        const tw_staged_part *part = &session->part[p];
        is_good = log_part(self, session, part, self->row + block_at, p + 1 == session->n_parts ? push : NULL);
        block_at += part->n_blocks;
    }
    if (session->n_parts == 0)
        is_good = log_part(self, session, NULL, NULL, push);
    if (!is_good || feed->bytes > self->options.max_log_bytes)
        tw_feed_drop(self);
    else
        tw_feed_pump(self);
}

/* --- the stream --------------------------------------------------------------------------------------------------- */

static tw_status stream_begin(tw_shard *self, tw_error *error)
{
    tw_feed *feed = &self->feed;
    tw_hello hello = {.role = TW_ROLE_OWNER, .index = self->options.index, .count = self->options.count};
    memcpy(hello.name, self->name, sizeof hello.name);
    hello.spec = *tw_table_spec_of(self->table);
    items_clear(feed);
    feed->stream = tw_mix64(self->incarnation ^ ++feed->n_streams << 32) | 1;
    feed->last = feed->acked = 0;
    feed->n_keys = feed->n_blocks = 0;
    feed->values.size = 0;
    feed->part = (tw_table_part){0};
    feed->is_copying = true;
    feed->is_caught_up = feed->is_alone = false;
    feed->n_copies++;
    held_release(self, UINT64_MAX);
    tw_params_stats stats = {0};
    tw_table_stats(self->table, &stats);
    tw_frame frame = {.type = TW_FRAME_SUBSCRIBE, .n_learned = stats.rows};
    tw_feed_item *item = tw_feed_item_begin(self, &frame, NULL);
    if (item == NULL || tw_hello_encode(&hello, &item->frame, error) < 0) {
        tw_feed_item_discard(item);
        return TW_STATUS_NO_MEMORY;
    }
    tw_feed_item_end(self, item, &frame);
    return TW_STATUS_OK;
}

void tw_feed_restart(tw_shard *self)
{
    tw_feed *feed = &self->feed;
    items_clear(feed);
    held_release(self, UINT64_MAX);
    feed->stream = 0;
    feed->last = feed->acked = 0;
    feed->is_copying = feed->is_caught_up = false;
}

/* Everything behind what is confirmed goes out once more. */
void tw_feed_go_back(tw_feed *self)
{
    self->unsent = self->first;
    self->bytes_sent = 0;
    self->n_sent = 0;
}

void tw_feed_confirm(tw_shard *self, uint64_t index)
{
    tw_feed *feed = &self->feed;
    if (index > feed->last || index <= feed->acked)
        return;
    while (feed->first != NULL && feed->first->index <= index) {
        tw_feed_item *item = feed->first;
        bool is_sent = feed->unsent != item;
        if (!is_sent)
            feed->unsent = item->next;
        feed->n_sent -= is_sent;
        feed->bytes_sent -= is_sent ? item->frame.size : 0;
        feed->bytes -= item->frame.size;
        feed->first = item->next;
        tw_feed_item_discard(item);
    }
    if (feed->first == NULL)
        feed->newest = NULL;
    feed->acked = index;
    if (!feed->is_copying && !feed->is_caught_up && index >= feed->copy_end)
        feed->is_caught_up = true;
    if (feed->bytes <= FEED_WINDOW / 2)
        feed->is_alone = false;
    held_release(self, index);
}

void tw_shard_tick(tw_shard *self, int64_t now_us)
{
    tw_feed *feed = &self->feed;
    feed->now_us = now_us;
    tw_shard_rounds_tick(self, now_us);
    if (!feed->has_peer)
        return;
    /* The name comes with the first HELLO: without it nobody knows what the rows are. */
    bool has_model = self->table != NULL && self->name[0] != '\0';
    if (feed->stream == 0 && has_model && stream_begin(self, NULL) < 0)
        tw_feed_drop(self);
    if (feed->stream == 0)
        return;
    if (feed->held != NULL && now_us - feed->held->since_us > self->options.sync_timeout_us)
        feed_go_alone(self);
    feed_copy(self);
    feed_digest(self);
    tw_feed_pump(self);
}

bool tw_shard_is_feeding(const tw_shard *self)
{
    const tw_feed *feed = &self->feed;
    return feed->has_peer && (feed->is_copying || feed->held != NULL);
}

void tw_shard_replication(const tw_shard *self, tw_replication *out)
{
    const tw_feed *feed = &self->feed;
    *out = (tw_replication){
        .has_standby = feed->has_peer,
        .is_caught_up = feed->is_caught_up,
        .is_sync = feed->is_sync,
        .is_silent = feed->has_peer && feed->now_us - feed->heard_us > FEED_SILENT_US,
        .is_alone = feed->is_alone,
        .lag_entries = feed->last - feed->acked,
        .lag_bytes = feed->bytes,
        .lag_us = feed->first != NULL ? feed->now_us - feed->first->at_us : 0,
        .n_copies = feed->n_copies,
        .n_dropped = feed->n_dropped,
        .n_alone = feed->n_alone,
        .n_given_up = feed->n_given_up,
        .n_failed_copies = feed->n_failed_copies,
        .why = feed->why,
        .epoch = feed->epoch,
        .is_standby = feed->is_standby,
        .is_deposed = feed->is_deposed,
        .known_epoch = feed->known_epoch,
    };
}
