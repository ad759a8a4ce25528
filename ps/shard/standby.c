#include "ps/shard/standby.h"

#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "ps/shard/replay.h"

enum {
    STANDBY_ASK_US = 200000,     /* between two SUBSCRIBE */
    STANDBY_QUIET_US = 250000,   /* without a frame, after which it asks for what may be lost */
    STANDBY_SILENT_US = 2000000, /* after which the connection counts as lost */
    STANDBY_PAUSE_US = 200000,   /* before it begins anew a second time; doubles */
    STANDBY_MAX_DOUBLINGS = 5,
    STANDBY_STEADY_US = 10000000 /* a copy that was complete so long did not fail right away */
};

/* A part of a push whose end has not come. */
typedef struct staged_frame {
    unsigned char *bytes;
    size_t size;
} staged_frame;

struct tw_standby {
    tw_standby_options options;
    bool is_subscribed, is_complete, has_gap;
    uint64_t stream, applied, confirmed, seen;
    int64_t now_us, heard_us, asked_us, completed_us;
    int64_t resume_us; /* it begins anew then; 0: no pause */
    uint64_t failed_stream;
    uint64_t cap; /* of the shard that it stands by */
    tw_table *table;
    tw_block_place *place;
    uint32_t n_places, first_slot, last_slot;
    char name[TW_MODEL_NAME_SIZE];
    staged_frame *staged;
    size_t n_staged, capacity_staged;
    uint64_t *key;
    void **row;
    size_t capacity_key, capacity_row;
    tw_buffer out;
    tw_replay_standby kept;
    tw_standby_figures figures;
};

tw_status tw_standby_create(const tw_standby_options *options, tw_standby **out, tw_error *error)
{
    tw_standby *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->options = *options;
    self->first_slot = tw_shard_first_slot(options->index, options->count);
    self->last_slot = tw_shard_first_slot(options->index + 1, options->count) - 1;
    *out = self;
    return TW_STATUS_OK;
}

static void staged_clear(tw_standby *self)
{
    for (size_t i = 0; i < self->n_staged; i++)
        tw_free(self->staged[i].bytes);
    self->n_staged = 0;
}

/* What it holds is worth nothing any more. */
static void standby_forget(tw_standby *self)
{
    staged_clear(self);
    tw_table_destroy(&self->table);
    tw_free(self->place);
    self->place = NULL;
    self->n_places = 0;
    tw_replay_fini(&self->kept);
    self->is_complete = self->has_gap = false;
    self->stream = self->applied = self->confirmed = 0;
}

void tw_standby_destroy(tw_standby **self)
{
    tw_standby *standby = *self;
    if (standby == NULL)
        return;
    standby_forget(standby);
    tw_free(standby->staged);
    tw_free(standby->key);
    tw_free(standby->row);
    tw_free(standby->out.bytes);
    tw_free(standby);
    *self = NULL;
}

static void standby_send(tw_standby *self, const tw_frame *frame, const void *payload, size_t size)
{
    if (tw_frame_begin(&self->out, frame, NULL, NULL) < 0 || tw_buffer_append(&self->out, payload, size, NULL) < 0)
        return;
    tw_frame_finish(&self->out, frame);
    self->options.emit(self->options.context, self->out.bytes, self->out.size);
}

static void send_subscribe(tw_standby *self)
{
    unsigned char payload[TW_SUBSCRIBE_SIZE];
    tw_subscription_put(&(tw_subscription){self->options.index, self->options.count, self->options.is_sync}, payload);
    self->asked_us = self->now_us;
    standby_send(self,
        &(tw_frame){.type = TW_FRAME_SUBSCRIBE,
            .sender = self->options.sender,
            .epoch = self->figures.epoch > self->options.epoch ? self->figures.epoch : self->options.epoch,
            .sequence = self->applied,
            .handle = self->stream},
        payload, sizeof payload);
}

static void send_ack(tw_standby *self, bool has_missed)
{
    self->confirmed = self->applied;
    if (has_missed)
        self->asked_us = self->now_us;
    standby_send(self,
        &(tw_frame){.type = TW_FRAME_LOG_ACK,
            .flags = has_missed ? TW_FRAME_DUPLICATE : 0,
            .sender = self->options.sender,
            .sequence = self->applied,
            .ack = self->has_gap ? self->seen : 0,
            .handle = self->stream},
        NULL, 0);
}

/* The primary keeps nothing for it any more. Said again when more of the stream comes: this may get lost. */
static void send_give_up(tw_standby *self)
{
    self->asked_us = self->now_us;
    standby_send(self,
        &(tw_frame){.type = TW_FRAME_NACK,
            .reason = TW_NACK_FAILED,
            .sender = self->options.sender,
            .handle = self->failed_stream},
        self->figures.why, strlen(self->figures.why));
}

/* Begins anew, with the reason for whoever looks. What fails again and again costs the primary a copy each time. */
static void standby_restart(tw_standby *self, const char *why)
{
    uint64_t n = self->figures.n_restarts++;
    size_t size = strlen(why);
    size = size < sizeof self->figures.why ? size : sizeof self->figures.why - 1;
    memcpy(self->figures.why, why, size);
    self->figures.why[size] = '\0';
    self->failed_stream = self->stream;
    standby_forget(self);
    self->is_subscribed = false;
    if (n == 0) {
        send_subscribe(self);
        return;
    }
    uint64_t n_doublings = n - 1 < STANDBY_MAX_DOUBLINGS ? n - 1 : STANDBY_MAX_DOUBLINGS;
    self->figures.pause_us = (int64_t)STANDBY_PAUSE_US << n_doublings;
    self->resume_us = self->now_us + self->figures.pause_us;
    send_give_up(self);
}

/* --- entries ------------------------------------------------------------------------------------------------------ */

/* The shard's cap. Its rows are laid out in another way here: where the shard's segments are as full as they may be,
 * its copy's may be half as full, so that twice as much is let through. */
static void take_cap(tw_standby *self, tw_table_spec *spec)
{
    uint64_t own = spec->keep.evicts ? 0 : self->options.max_bytes; /* it decides what is evicted */
    if (own != 0 && (spec->max_bytes == 0 || spec->max_bytes > own))
        spec->max_bytes = own;
    self->cap = spec->max_bytes;
    if (!spec->keep.evicts && spec->max_bytes <= UINT64_MAX / 2)
        spec->max_bytes *= 2;
}

static tw_status take_model(tw_standby *self, const tw_frame *frame, tw_error *error)
{
    tw_hello *hello = tw_alloc(sizeof *hello);
    if (hello == NULL)
        return tw_no_memory(error, sizeof *hello);
    tw_status status = tw_hello_decode(hello, frame->payload, frame->payload_size, error);
    if (status == TW_STATUS_OK && (hello->index != self->options.index || hello->count != self->options.count))
        status = tw_error_set(error, TW_STATUS_CONFLICT, "the stream is of another shard");
    if (status == TW_STATUS_OK) {
        take_cap(self, &hello->spec);
        memcpy(self->name, hello->name, sizeof self->name);
        status = tw_table_create(&hello->spec, self->first_slot, self->last_slot, &self->table, error);
    }
    if (status == TW_STATUS_OK)
        status = tw_table_reserve(self->table, frame->n_learned, error);
    if (status == TW_STATUS_OK)
        status = tw_block_places(
            &hello->spec.schema, self->first_slot, self->last_slot, &self->place, &self->n_places, error);
    tw_free(hello);
    return status;
}

static tw_status misfit(tw_error *error, const char *what)
{
    return tw_error_set(error, TW_STATUS_PROTOCOL, "%s", what);
}

static bool keeps(const tw_standby *self)
{
    return tw_keep_is_on(tw_table_spec_of(self->table));
}

static uint64_t blocks_size(const tw_standby *self, const tw_frame *frame)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < frame->n_blocks; i++)
        size += self->place[frame->block_first + i].size;
    return size;
}

static tw_status check_size(const tw_standby *self, const tw_frame *frame, tw_error *error)
{
    tw_replay_log log;
    if (keeps(self) && frame->type == TW_FRAME_LOG)
        return tw_replay_read(&log, self->table, frame, (size_t)blocks_size(self, frame), error);
    if (keeps(self) && frame->n_blocks == 0)
        return TW_STATUS_OK; /* tw_replay_take_rows looks at it */
    uint64_t rows = (uint64_t)frame->n_keys * tw_table_spec_of(self->table)->schema.row.size;
    if (rows + blocks_size(self, frame) != frame->payload_size)
        return misfit(error, "an entry of a wrong length");
    return TW_STATUS_OK;
}

/* Everything that can be known about an entry's records before they are put. */
static tw_status check_records(tw_standby *self, const tw_frame *frame, tw_error *error)
{
    if (frame->block_first > self->n_places || frame->n_blocks > self->n_places - frame->block_first ||
        (frame->n_keys > 0 && (frame->keys == NULL || tw_table_spec_of(self->table)->schema.row.size == 0)))
        return misfit(error, "an entry names records that this shard has not");
    tw_status status = check_size(self, frame, error);
    if (status < 0)
        return status;
    for (uint32_t i = 0; i < frame->n_keys; i++) {
        uint64_t key = tw_get_u64(frame->keys + (size_t)i * 8);
        uint32_t slot = tw_key_slot(key);
        if (key == 0 || slot < self->first_slot || slot > self->last_slot)
            return misfit(error, "an entry with a key of another shard");
    }
    return TW_STATUS_OK;
}

static tw_status put_blocks(tw_standby *self, const tw_frame *frame, const unsigned char *at, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < frame->n_blocks && status == TW_STATUS_OK; i++) {
        const tw_block_place *place = &self->place[frame->block_first + i];
        void *record = NULL;
        status = tw_table_block_record(self->table, place->block, place->record, TW_ACCESS_WRITE, &record, error);
        if (status == TW_STATUS_OK)
            memcpy(record, at, place->size);
        at += place->size;
    }
    return status;
}

static tw_status put_records(tw_standby *self, const tw_frame *frame, tw_error *error)
{
    size_t size = tw_table_spec_of(self->table)->schema.row.size;
    tw_status status = tw_grow(&self->key, sizeof *self->key, &self->capacity_key, frame->n_keys, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->row, sizeof *self->row, &self->capacity_row, frame->n_keys, error);
    if (status < 0)
        return status;
    for (uint32_t i = 0; i < frame->n_keys; i++)
        self->key[i] = tw_get_u64(frame->keys + (size_t)i * 8);
    if (frame->n_keys > 0)
        status = tw_table_rows(self->table, self->key, frame->n_keys, TW_ACCESS_WRITE, self->row, error);
    const unsigned char *at = frame->payload;
    for (uint32_t i = 0; i < frame->n_keys && status == TW_STATUS_OK; i++, at += size)
        memcpy(self->row[i], at, size);
    return status == TW_STATUS_OK ? put_blocks(self, frame, at, error) : status;
}

static tw_status take_copy_end(tw_standby *self, const tw_frame *frame, tw_error *error)
{
    uint64_t n = frame->payload_size >= 16 ? tw_get_u64(frame->payload + 8) : UINT64_MAX;
    if (self->is_complete || frame->payload_size % 16 != 0 || n != (frame->payload_size - 16) / 16)
        return misfit(error, "an end of the copy that is none");
    tw_status status = TW_STATUS_OK;
    for (uint64_t i = 0; i < n && status == TW_STATUS_OK; i++) {
        const unsigned char *at = frame->payload + 16 + i * 16;
        status = tw_table_set_mark(self->table, tw_get_u64(at), tw_get_u64(at + 8), error);
    }
    if (status < 0)
        return status;
    tw_table_add_events_learned(self->table, tw_get_u64(frame->payload));
    self->is_complete = true;
    self->completed_us = self->now_us;
    self->figures.n_copies++;
    return TW_STATUS_OK;
}

static tw_status take_rows(tw_standby *self, const tw_frame *frame, tw_error *error)
{
    if ((frame->flags & TW_FRAME_MORE) == 0)
        return take_copy_end(self, frame, error);
    tw_status status = check_records(self, frame, error);
    if (status < 0)
        return status;
    if (keeps(self) && frame->n_blocks == 0)
        return tw_replay_take_rows(&self->kept, self->table, frame, error);
    return put_records(self, frame, error);
}

static tw_status stage(tw_standby *self, const void *bytes, size_t size, tw_error *error)
{
    tw_status status = tw_grow(&self->staged, sizeof *self->staged, &self->capacity_staged, self->n_staged + 1, error);
    unsigned char *copy = status == TW_STATUS_OK ? tw_alloc(size) : NULL;
    if (copy == NULL)
        return tw_no_memory(error, size);
    memcpy(copy, bytes, size);
    self->staged[self->n_staged++] = (staged_frame){copy, size};
    return TW_STATUS_OK;
}

/* During the copy the marks of the primary are ahead of the rows here: they come at its end. */
static tw_status check_marks(const tw_standby *self, const tw_frame *frame, tw_error *error)
{
    for (uint32_t i = 0; i < frame->n_marks && self->is_complete; i++) {
        if (tw_table_mark(self->table, frame->mark[i].split) != frame->mark[i].from)
            return misfit(error, "an entry that does not begin at the mark");
    }
    return TW_STATUS_OK;
}

typedef tw_status (*part_visit)(tw_standby *self, const tw_frame *part, tw_error *error);

static tw_status visit_parts(tw_standby *self, const tw_frame *last, part_visit visit, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < self->n_staged && status == TW_STATUS_OK; i++) {
        tw_frame part;
        status = tw_frame_decode(self->staged[i].bytes, self->staged[i].size, &part, error);
        if (status == TW_STATUS_OK)
            status = visit(self, &part, error);
    }
    return status == TW_STATUS_OK ? visit(self, last, error) : status;
}

static tw_status gather_part(tw_standby *self, const tw_frame *part, tw_error *error)
{
    tw_replay_log log;
    tw_status status = tw_replay_read(&log, self->table, part, (size_t)blocks_size(self, part), error);
    return status == TW_STATUS_OK ? tw_replay_gather(&self->kept, self->table, part, &log, error) : status;
}

static tw_status fill_part(tw_standby *self, const tw_frame *part, tw_error *error)
{
    tw_replay_log log;
    tw_status status = tw_replay_read(&log, self->table, part, (size_t)blocks_size(self, part), error);
    if (status < 0)
        return status;
    tw_replay_fill(&self->kept, self->table, part, &log);
    return put_blocks(self, part, log.blocks, error);
}

/* By the primary's touches, in one go as there. */
static tw_status put_touched(tw_standby *self, const tw_frame *last, tw_error *error)
{
    tw_replay_log log;
    tw_status status = visit_parts(self, last, gather_part, error);
    if (status == TW_STATUS_OK)
        status = tw_replay_touch(&self->kept, self->table, error);
    if (status == TW_STATUS_OK)
        status = visit_parts(self, last, fill_part, error);
    if (status == TW_STATUS_OK)
        status = tw_replay_read(&log, self->table, last, (size_t)blocks_size(self, last), error);
    if (status == TW_STATUS_OK)
        tw_table_tick(self->table, log.ticks);
    return status;
}

/* A push as a whole. What fails on the way makes the copy worthless, so that nobody sees half a push. */
static tw_status take_log(tw_standby *self, const tw_frame *frame, const void *bytes, size_t size, tw_error *error)
{
    tw_status status = check_records(self, frame, error);
    if (status == TW_STATUS_OK && (frame->flags & TW_FRAME_MORE) != 0)
        return stage(self, bytes, size, error);
    if (status == TW_STATUS_OK)
        status = check_marks(self, frame, error);
    if (status == TW_STATUS_OK)
        status = keeps(self) ? put_touched(self, frame, error) : visit_parts(self, frame, put_records, error);
    staged_clear(self);
    if (status < 0 || !self->is_complete)
        return status;
    for (uint32_t i = 0; i < frame->n_marks && status == TW_STATUS_OK; i++)
        status = tw_table_set_mark(self->table, frame->mark[i].split, frame->mark[i].to, error);
    tw_table_add_events_learned(self->table, frame->n_learned);
    return status;
}

static tw_status take_digest(tw_standby *self, const tw_frame *frame, tw_error *error)
{
    if (frame->payload_size != 40)
        return misfit(error, "a digest of a wrong length");
    const unsigned char *at = frame->payload;
    tw_table_part part = {(int)tw_get_u32(at), tw_get_u64(at + 8), tw_get_u64(at + 16)};
    uint64_t digest = 0, n_records = 0;
    tw_status status = tw_part_digest(self->table, &part, &digest, &n_records, error);
    if (status < 0)
        return status;
    self->figures.n_digests++;
    if (digest == tw_get_u64(at + 24) && n_records == tw_get_u64(at + 32))
        return TW_STATUS_OK;
    self->figures.n_mismatches++;
    return tw_error_set(error, TW_STATUS_CORRUPT,
        "the copy differs from the primary in %s %d from %llu to %llu: %llu records here, %llu there",
        part.block < 0 ? "rows" : "block", part.block, (unsigned long long)part.from, (unsigned long long)part.to,
        (unsigned long long)n_records, (unsigned long long)tw_get_u64(at + 32));
}

static tw_status take_entry(tw_standby *self, const tw_frame *frame, const void *bytes, size_t size, tw_error *error)
{
    if (frame->type == TW_FRAME_SUBSCRIBE)
        return self->table == NULL ? take_model(self, frame, error) : misfit(error, "a second beginning");
    if (self->table == NULL)
        return misfit(error, "an entry before the beginning");
    if (frame->type == TW_FRAME_ROWS)
        return take_rows(self, frame, error);
    return frame->type == TW_FRAME_LOG ? take_log(self, frame, bytes, size, error) : take_digest(self, frame, error);
}

static void take_numbered(tw_standby *self, const tw_frame *frame, const void *bytes, size_t size)
{
    tw_error error = {0};
    if (frame->handle != self->stream) {
        /* Another stream starts with its first entry; anything else is late. */
        if (frame->type != TW_FRAME_SUBSCRIBE || frame->sequence != 1)
            return;
        standby_forget(self);
        self->stream = frame->handle;
    }
    if (frame->sequence <= self->applied)
        return;
    self->seen = frame->sequence;
    if (frame->sequence != self->applied + 1) {
        if (!self->has_gap) {
            self->has_gap = true;
            self->figures.n_gaps++;
            send_ack(self, true);
        }
        return;
    }
    self->has_gap = false;
    if (take_entry(self, frame, bytes, size, &error) < 0) {
        self->figures.n_broken += error.status != TW_STATUS_CORRUPT;
        standby_restart(self, error.message);
        return;
    }
    self->applied++;
    self->figures.n_entries++;
}

/* --- frames and time ---------------------------------------------------------------------------------------------- */

/* The stream is not kept any more, or cannot be had: it is asked for again, now and then. */
static void take_nack(tw_standby *self, const tw_frame *frame)
{
    size_t size = frame->payload_size < 200 ? frame->payload_size : 200;
    self->is_subscribed = false;
    if (frame->reason == TW_NACK_STALE_INCARNATION)
        return;
    self->figures.n_refused++;
    memcpy(self->figures.why, frame->payload, size);
    self->figures.why[size] = '\0';
}

void tw_standby_receive(tw_standby *self, const void *bytes, size_t size)
{
    tw_frame frame;
    if (tw_frame_decode(bytes, size, &frame, NULL) < 0 || frame.sender != self->options.sender)
        return;
    self->heard_us = self->now_us;
    if (frame.type != TW_FRAME_NACK && frame.epoch > self->figures.epoch)
        self->figures.epoch = frame.epoch;
    if (self->resume_us != 0) {
        bool is_of_stream = frame.type != TW_FRAME_NACK && frame.handle == self->failed_stream;
        if (is_of_stream && self->now_us - self->asked_us >= STANDBY_ASK_US)
            send_give_up(self);
        return;
    }
    switch ((int)frame.type) {
    case TW_FRAME_NACK:
        take_nack(self, &frame);
        break;
    case TW_FRAME_LOG_ACK:
        self->is_subscribed = true;
        break;
    case TW_FRAME_SUBSCRIBE:
    case TW_FRAME_ROWS:
    case TW_FRAME_LOG:
    case TW_FRAME_DIGEST:
        self->is_subscribed = true;
        take_numbered(self, &frame, bytes, size);
        break;
    default:
        break;
    }
}

void tw_standby_tick(tw_standby *self, int64_t now_us)
{
    self->now_us = now_us;
    if (now_us < self->resume_us)
        return;
    if (self->resume_us != 0) {
        self->resume_us = self->figures.pause_us = 0;
        send_subscribe(self);
    }
    if (self->is_complete && now_us - self->completed_us >= STANDBY_STEADY_US)
        self->figures.n_restarts = 0;
    if (now_us - self->heard_us > STANDBY_SILENT_US)
        self->is_subscribed = false;
    if (!self->is_subscribed) {
        if (now_us - self->asked_us >= STANDBY_ASK_US)
            send_subscribe(self);
        return;
    }
    if (self->applied > self->confirmed)
        send_ack(self, false);
    bool may_be_missing = self->has_gap || now_us - self->heard_us >= STANDBY_QUIET_US;
    if (may_be_missing && now_us - self->asked_us >= STANDBY_QUIET_US)
        send_ack(self, true);
}

void tw_standby_figures_get(const tw_standby *self, tw_standby_figures *out)
{
    *out = self->figures;
    out->is_ready = self->is_complete;
    out->is_connected = self->is_subscribed;
}

tw_table *tw_standby_table(tw_standby *self)
{
    return self->table;
}

tw_table *tw_standby_take_table(tw_standby *self, char name[TW_MODEL_NAME_SIZE])
{
    if (!self->is_complete)
        return NULL;
    tw_table *table = self->table;
    memcpy(name, self->name, sizeof self->name);
    tw_table_set_cap(table, self->cap);
    self->table = NULL;
    standby_forget(self);
    return table;
}
