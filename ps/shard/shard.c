#include "ps/shard/shard.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "ps/shard/shard_state.h"
#include "store/spec.h"

enum { SHARD_MAX_SESSIONS = 64, SHARD_MAX_BLOCK_RECORDS = 1 << 22, SHARD_MAX_BLOCK_BYTES = 1 << 30 };

tw_status tw_shard_create(const tw_shard_options *options, tw_shard **out, tw_error *error)
{
    if (options->count == 0 || options->count > TW_MAX_SHARDS || options->index >= options->count)
        return tw_error_set(error, TW_STATUS_INVALID, "shard %u of %u: there are 1 to %d shards, counted from 0",
            options->index, options->count, TW_MAX_SHARDS);
    tw_shard *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->options = *options;
    self->options.max_sessions = options->max_sessions ? options->max_sessions : SHARD_MAX_SESSIONS;
    self->options.max_session_bytes = options->max_session_bytes ? options->max_session_bytes : (uint64_t)256 << 20;
    self->options.credit_frames = options->credit_frames ? options->credit_frames : TW_SESSION_KEY_LISTS;
    self->options.credit_bytes = options->credit_bytes ? options->credit_bytes : 32u << 20;
    self->options.max_log_bytes = options->max_log_bytes ? options->max_log_bytes : (uint64_t)64 << 20;
    self->options.sync_timeout_us = options->sync_timeout_us ? options->sync_timeout_us : 1000000;
    tw_feed_init(self);
    self->incarnation = options->incarnation ? options->incarnation : 1;
    self->first_slot = tw_shard_first_slot(options->index, options->count);
    self->last_slot = tw_shard_first_slot(options->index + 1, options->count) - 1;
    tw_sketch_init(&self->sketch, self->first_slot, self->last_slot);
    memset(&self->edge, 0xff, sizeof self->edge);
    self->session = tw_alloc_zero(self->options.max_sessions * sizeof *self->session);
    if (self->session == NULL) {
        tw_status status = tw_no_memory(error, self->options.max_sessions * sizeof *self->session);
        tw_shard_destroy(&self);
        return status;
    }
    *out = self;
    return TW_STATUS_OK;
}

void tw_shard_destroy(tw_shard **self)
{
    tw_shard *shard = *self;
    if (shard == NULL)
        return;
    for (uint32_t i = 0; shard->session != NULL && i < shard->options.max_sessions; i++)
        tw_session_fini(&shard->session[i]);
    tw_feed_fini(shard);
    tw_rounds_fini(&shard->rounds.of);
    tw_free(shard->rounds.frame.bytes);
    tw_free(shard->session);
    tw_leases_fini(&shard->leases);
    tw_free(shard->place);
    tw_free(shard->sight);
    tw_free(shard->touch);
    tw_free(shard->row);
    tw_free(shard->key);
    tw_free(shard->out.bytes);
    tw_table_destroy(&shard->table);
    tw_free(shard);
    *self = NULL;
}

tw_table *tw_shard_table(tw_shard *self)
{
    return self->table;
}

uint64_t tw_shard_session_bytes(const tw_shard *self, uint32_t *n_sessions)
{
    uint64_t bytes = 0;
    *n_sessions = 0;
    for (uint32_t i = 0; i < self->options.max_sessions; i++) {
        *n_sessions += self->session[i].is_open;
        bytes += tw_session_bytes(&self->session[i]);
    }
    return bytes;
}

const tw_refusals *tw_shard_refusals(const tw_shard *self)
{
    return &self->refusals;
}

void tw_shard_formless(tw_shard *self)
{
    self->refusals.n_formless++;
}

tw_frame tw_shard_answer(const tw_shard *self, const tw_session *session, const tw_frame *request, tw_frame_type type)
{
    return (tw_frame){
        .type = type,
        .model = self->model,
        .sender = request->sender,
        .epoch = session != NULL ? session->epoch : self->epoch,
        .incarnation = self->incarnation,
        .ack = request->sequence,
        .credit_bytes = self->options.credit_bytes,
        .credit_frames = self->options.credit_frames,
        .n_learned = self->table != NULL ? tw_table_events_learned(self->table) : 0,
        .generation = self->generation,
    };
}

void tw_shard_send(tw_shard *self, const void *peer, size_t peer_size, const tw_frame *frame)
{
    tw_frame_finish(&self->out, frame);
    if (tw_feed_holds(self, peer, peer_size, self->out.bytes, self->out.size))
        return;
    self->options.emit(self->options.context, peer, peer_size, self->out.bytes, self->out.size);
}

void tw_shard_reply(tw_shard *self, const tw_session *session, const tw_frame *answer)
{
    /* Without memory for it the peer's deadline does its work. */
    if (tw_frame_begin(&self->out, answer, NULL, NULL) == TW_STATUS_OK)
        tw_shard_send(self, session->peer, session->peer_size, answer);
}

void tw_shard_nack(tw_shard *self,
    const void *peer,
    size_t peer_size,
    const tw_frame *request,
    tw_nack_reason reason,
    const tw_frame_mark *mark,
    const char *message)
{
    tw_frame answer = tw_shard_answer(self, NULL, request, TW_FRAME_NACK);
    answer.reason = reason;
    tw_refusals_count(&self->refusals, reason);
    if (mark != NULL)
        answer.mark[answer.n_marks++] = *mark;
    /* Without memory for a NACK the peer's deadline does its work. */
    if (tw_frame_begin(&self->out, &answer, NULL, NULL) == TW_STATUS_OK &&
        tw_buffer_append(&self->out, message, strlen(message), NULL) == TW_STATUS_OK)
        tw_shard_send(self, peer, peer_size, &answer);
}

tw_status tw_shard_append_marks(const tw_shard *self, tw_buffer *out, tw_error *error)
{
    size_t n_marks = 0;
    const tw_mark *mark = tw_table_marks(self->table, &n_marks);
    unsigned char *at = tw_buffer_reserve(out, 16 + n_marks * 16, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    tw_put_u64(at, tw_table_events_learned(self->table));
    tw_put_u64(at + 8, n_marks);
    for (size_t i = 0; i < n_marks; i++) {
        tw_put_u64(at + 16 + i * 16, mark[i].split);
        tw_put_u64(at + 24 + i * 16, mark[i].to);
    }
    return TW_STATUS_OK;
}

/* --- HELLO -------------------------------------------------------------------------------------------------------- */

static tw_status schema_check_size(const tw_schema *schema, tw_error *error)
{
    uint64_t n_records = 0, n_bytes = 0;
    for (uint32_t i = 0; i < schema->n_blocks; i++) {
        n_records += schema->block[i].count;
        n_bytes += (uint64_t)schema->block[i].count * schema->block[i].record.size;
    }
    if (n_records > SHARD_MAX_BLOCK_RECORDS || n_bytes > SHARD_MAX_BLOCK_BYTES)
        return tw_error_set(error, TW_STATUS_INVALID, "blocks of %llu records and %llu bytes, at most %d and %d",
            (unsigned long long)n_records, (unsigned long long)n_bytes, SHARD_MAX_BLOCK_RECORDS, SHARD_MAX_BLOCK_BYTES);
    return TW_STATUS_OK;
}

/* Puts the table in the old one's place; on an error everything is as before. */
static tw_status shard_set_table(tw_shard *self, tw_table *table, tw_error *error)
{
    tw_block_place *place = NULL;
    uint32_t n_places = 0;
    tw_status status =
        tw_block_places(&tw_table_spec_of(table)->schema, self->first_slot, self->last_slot, &place, &n_places, error);
    if (status < 0)
        return status;
    tw_free(self->place);
    tw_table_destroy(&self->table);
    self->place = place;
    self->n_places = n_places;
    self->table = table;
    tw_feed_meet_table(self);
    tw_feed_restart(self);
    return TW_STATUS_OK;
}

tw_status tw_shard_adopt_take(tw_shard *self, tw_table *table, tw_error *error)
{
    return shard_set_table(self, table, error);
}

/* What the model says, or less. */
static uint64_t cap_of(const tw_shard *self, const tw_table_spec *spec)
{
    uint64_t own = self->options.max_bytes;
    if (spec->keep.evicts) /* max_bytes is of all shards then */
        own = own / (self->last_slot - self->first_slot + 1) * TW_N_SLOTS;
    return own != 0 && (spec->max_bytes == 0 || spec->max_bytes > own) ? own : spec->max_bytes;
}

/* The owner's counts. Without one the most that a worker has: those that were not started again know the old one. */
static void take_cap(tw_shard *self, const tw_hello *hello)
{
    uint64_t cap = cap_of(self, &hello->spec), now = tw_table_spec_of(self->table)->max_bytes;
    bool is_more = now != 0 && (cap == 0 || cap > now);
    if (hello->role == TW_ROLE_OWNER || (hello->role == TW_ROLE_PEER && self->owner == 0 && is_more))
        tw_table_set_cap(self->table, cap);
}

/* Empty, or `from` by the rules of the spec. */
static tw_status shard_create_table(tw_shard *self, const tw_hello *hello, tw_table *from, tw_error *error)
{
    tw_table_spec spec = hello->spec;
    tw_table *table = NULL;
    spec.max_bytes = cap_of(self, &spec);
    tw_status status = schema_check_size(&spec.schema, error);
    if (status == TW_STATUS_OK)
        status = tw_table_create(&spec, self->first_slot, self->last_slot, &table, error);
    if (status == TW_STATUS_OK && from != NULL)
        status = tw_table_copy(table, from, error);
    if (status == TW_STATUS_OK)
        status = shard_set_table(self, table, error);
    if (status < 0) {
        tw_table_destroy(&table);
        return status;
    }
    self->generation = 0;
    return TW_STATUS_OK;
}

/* The owner says by which rules keys get and lose rows from now on. */
static bool hello_changes_keep(const tw_shard *self, const tw_hello *hello)
{
    return self->table != NULL && !hello->is_fresh && hello->takes_other_keep && hello->role == TW_ROLE_OWNER &&
           tw_keep_compare(tw_table_spec_of(self->table), &hello->spec, NULL) < 0;
}

static tw_nack_reason check_spec(const tw_shard *self, const tw_hello *hello, tw_error *error)
{
    const tw_table_spec *spec = tw_table_spec_of(self->table);
    if (tw_spec_compare(spec, &hello->spec, error) < 0)
        return TW_NACK_SCHEMA;
    if (!hello_changes_keep(self, hello))
        return tw_keep_compare(spec, &hello->spec, error) < 0 ? TW_NACK_SCHEMA : TW_NACK_NONE;
    if (!self->is_busy && !self->has_barrier)
        return TW_NACK_NONE;
    (void)tw_error_set(error, TW_STATUS_BUSY, "a snapshot is being written");
    return TW_NACK_OVERLOAD;
}

/* OK, or the reason of the NACK with its text. */
static tw_nack_reason hello_check(const tw_shard *self, const tw_frame *frame, const tw_hello *hello, tw_error *error)
{
    if (hello->index != self->options.index || hello->count != self->options.count) {
        (void)tw_error_set(error, TW_STATUS_CONFLICT, "this is shard %u of %u, wanted %u of %u", self->options.index,
            self->options.count, hello->index, hello->count);
        return TW_NACK_SCHEMA;
    }
    if (tw_feed_is_behind(self, frame->handle)) {
        (void)tw_error_set(error, TW_STATUS_CONFLICT, "another shard has taken over from this one");
        return TW_NACK_NOT_PRIMARY;
    }
    if (frame->epoch != 0 && self->owner != 0 && self->owner != frame->sender && hello->role == TW_ROLE_OWNER) {
        (void)tw_error_set(error, TW_STATUS_CONFLICT, "another worker has taken over the model");
        return TW_NACK_STALE_EPOCH;
    }
    if (self->table != NULL && hello->is_fresh && hello->role != TW_ROLE_OWNER) {
        (void)tw_error_set(error, TW_STATUS_CONFLICT, "only the owner of a model may start it afresh");
        return TW_NACK_SCHEMA;
    }
    /* Who may only read decides neither what the rows are nor whose. */
    if (hello->role == TW_ROLE_READER && (self->table == NULL || self->name[0] == '\0')) {
        (void)tw_error_set(error, TW_STATUS_BUSY, "no worker has said yet which model this is");
        return TW_NACK_OVERLOAD;
    }
    if (self->table == NULL || hello->is_fresh) {
        if (self->table != NULL && (self->is_busy || self->has_barrier)) {
            (void)tw_error_set(error, TW_STATUS_BUSY, "a snapshot is being written");
            return TW_NACK_OVERLOAD;
        }
        return TW_NACK_NONE;
    }
    if (self->name[0] != '\0' && strcmp(self->name, hello->name) != 0) {
        (void)tw_error_set(
            error, TW_STATUS_CONFLICT, "this shard holds the model \"%s\", wanted \"%s\"", self->name, hello->name);
        return TW_NACK_SCHEMA;
    }
    return check_spec(self, hello, error);
}

static tw_session *session_find(tw_shard *self, const void *peer, size_t peer_size)
{
    for (uint32_t i = 0; i < self->options.max_sessions; i++) {
        tw_session *session = &self->session[i];
        if (session->is_open && session->peer_size == peer_size && memcmp(session->peer, peer, peer_size) == 0)
            return session;
    }
    return NULL;
}

/* The peer's own session, a free one, or the one that was silent longest. */
static tw_session *session_open(tw_shard *self, const void *peer, size_t peer_size)
{
    tw_session *session = session_find(self, peer, peer_size), *oldest = &self->session[0];
    for (uint32_t i = 0; session == NULL && i < self->options.max_sessions; i++) {
        if (!self->session[i].is_open)
            session = &self->session[i];
        else if (self->session[i].last_used < oldest->last_used)
            oldest = &self->session[i];
    }
    if (session == NULL)
        session = oldest;
    tw_shard_forget(self, session);
    tw_session_fini(session);
    memcpy(session->peer, peer, peer_size);
    session->peer_size = peer_size;
    session->is_open = true;
    return session;
}

static void shard_welcome(tw_shard *self, const tw_session *session, const tw_frame *frame, uint32_t clock)
{
    tw_frame answer = tw_shard_answer(self, session, frame, TW_FRAME_WELCOME);
    answer.handle = self->feed.epoch;
    answer.clock = clock;
    if (tw_frame_begin(&self->out, &answer, NULL, NULL) == TW_STATUS_OK &&
        tw_shard_append_marks(self, &self->out, NULL) == TW_STATUS_OK)
        tw_shard_send(self, session->peer, session->peer_size, &answer);
}

/* A cap stays too small however often one asks; memory of the machine may come back. */
static tw_nack_reason table_nack(const tw_error *error)
{
    return error->status == TW_STATUS_NO_MEMORY ? TW_NACK_OVERLOAD
           : error->status == TW_STATUS_FULL    ? TW_NACK_FULL
                                                : TW_NACK_SCHEMA;
}

static void shard_hello(tw_shard *self, uint32_t roles, const void *peer, size_t peer_size, const tw_frame *frame)
{
    tw_hello hello;
    tw_error error = {0};
    if (tw_hello_decode(&hello, frame->payload, frame->payload_size, &error) < 0) {
        tw_shard_nack(self, peer, peer_size, frame, TW_NACK_BAD_FRAME, NULL, error.message);
        return;
    }
    if ((roles & 1u << hello.role) == 0) {
        tw_shard_nack(
            self, peer, peer_size, frame, TW_NACK_DENIED, NULL, "the key of this peer does not allow this role");
        return;
    }
    tw_feed_hear_of(self, frame->handle);
    tw_nack_reason reason = hello_check(self, frame, &hello, &error);
    uint32_t clock = frame->clock;
    if (reason == TW_NACK_NONE)
        reason = tw_shard_meet_rivals(self, frame, &hello, &error);
    if (reason == TW_NACK_NONE)
        reason = tw_shard_join(self, &hello, frame, &clock, &error);
    bool is_changed = reason == TW_NACK_NONE && hello_changes_keep(self, &hello);
    bool is_new = reason == TW_NACK_NONE && (self->table == NULL || hello.is_fresh || is_changed);
    if (is_new && shard_create_table(self, &hello, is_changed ? self->table : NULL, &error) < 0)
        reason = table_nack(&error);
    if (reason != TW_NACK_NONE) {
        tw_shard_nack(self, peer, peer_size, frame, reason, NULL, error.message);
        return;
    }
    if (is_new) {
        /* Whoever knew the old rows must notice that they are gone. */
        for (uint32_t i = 0; i < self->options.max_sessions; i++)
            tw_session_fini(&self->session[i]);
        self->incarnation = tw_mix64(self->incarnation + 1);
    }
    take_cap(self, &hello);
    memcpy(self->name, hello.name, sizeof self->name);
    self->model = tw_hash(self->name, strlen(self->name));
    if (hello.role == TW_ROLE_OWNER) {
        self->epoch++;
        self->owner = frame->sender;
    }
    const tw_session *before = session_find(self, peer, peer_size);
    /* Rows that it read in the session before may be under way. */
    int64_t seat_until_us = before != NULL && before->sender == frame->sender ? before->seat_until_us : 0;
    tw_session *session = session_open(self, peer, peer_size);
    session->seat_until_us = seat_until_us;
    session->role = hello.role;
    session->sender = frame->sender;
    session->epoch = self->epoch;
    session->sequence = frame->sequence;
    session->last_used = ++self->clock;
    session->used_us = self->rounds.now_us;
    tw_shard_enter_worker(session, frame, &hello);
    tw_shard_enter(self, session, &hello);
    shard_welcome(self, session, frame, clock);
}

/* --- dispatch ----------------------------------------------------------------------------------------------------- */

void tw_shard_dispatch(tw_shard *self, tw_session *session, const tw_frame *frame)
{
    bool is_of_rows = frame->type == TW_FRAME_PULL || frame->type == TW_FRAME_PUSH;
    self->n_row_frames += is_of_rows && session->role != TW_ROLE_READER;
    switch ((int)frame->type) {
    case TW_FRAME_PULL:
        tw_shard_pull(self, session, frame);
        break;
    case TW_FRAME_PUSH:
        tw_shard_push(self, session, frame);
        break;
    case TW_FRAME_CLOCK:
        tw_shard_clock(self, session, frame);
        break;
    case TW_FRAME_SEAT:
        tw_shard_seat(self, session, frame);
        break;
    case TW_FRAME_BARRIER:
        tw_shard_barrier(self, session, frame);
        break;
    case TW_FRAME_ACQUIRE:
        tw_shard_acquire(self, session, frame);
        break;
    case TW_FRAME_SCAN:
        tw_shard_scan(self, session, frame);
        break;
    case TW_FRAME_STATS:
        tw_shard_stats(self, session, frame);
        break;
    case TW_FRAME_PING: {
        tw_frame answer = tw_shard_answer(self, session, frame, TW_FRAME_PONG);
        answer.handle = self->has_barrier ? self->barrier_id : 0;
        tw_shard_reply(self, session, &answer);
        break;
    }
    default:
        tw_shard_nack(self, session->peer, session->peer_size, frame, TW_NACK_UNKNOWN_TYPE, NULL,
            "a shard does not take frames of this type");
        break;
    }
}

void tw_shard_receive(tw_shard *self, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    tw_shard_receive_from(self, UINT32_MAX, peer, peer_size, bytes, size);
}

void tw_shard_receive_from(
    tw_shard *self, uint32_t roles, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    tw_frame frame;
    tw_error error = {0};
    if (peer_size > TW_PEER_SIZE) {
        tw_shard_formless(self);
        return;
    }
    if (tw_frame_decode(bytes, size, &frame, &error) < 0) {
        tw_shard_nack(self, peer, peer_size, &frame, frame.reason, NULL, error.message);
        return;
    }
    if (frame.type == TW_FRAME_STATUS) {
        tw_shard_status_answer(self, peer, peer_size, &frame);
        return;
    }
    if (tw_feed_receive(self, roles, peer, peer_size, &frame))
        return;
    tw_session *session = session_find(self, peer, peer_size);
    /* A frame seen before: its answer went out, and marks alone would not tell parts of a push apart. */
    if (session != NULL && session->sender == frame.sender && frame.sequence <= session->sequence) {
        self->refusals.n_repeated++;
        return;
    }
    if (frame.type == TW_FRAME_HELLO) {
        shard_hello(self, roles, peer, peer_size, &frame);
        tw_shard_release(self);
        return;
    }
    if (session == NULL || session->sender != frame.sender || frame.incarnation != self->incarnation ||
        frame.model != self->model) {
        tw_shard_nack(self, peer, peer_size, &frame, TW_NACK_STALE_INCARNATION, NULL, "no such session here");
        return;
    }
    if (frame.sequence != session->sequence + 1) {
        tw_shard_nack(self, peer, peer_size, &frame, TW_NACK_GAP, NULL, "a frame before this one is missing");
        return;
    }
    session->sequence = frame.sequence;
    session->last_used = ++self->clock;
    session->used_us = self->rounds.now_us;
    if (!tw_shard_holds(self, session, &frame, bytes, size))
        tw_shard_dispatch(self, session, &frame);
    tw_shard_release(self);
}
