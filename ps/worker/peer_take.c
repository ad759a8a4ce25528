/* The client's protocol with one shard: what it does with answers. */
#include <string.h>

#include "base/alloc.h"
#include "ps/worker/admission.h"
#include "ps/worker/remote_state.h"

/* One after the other: more than a line that damages frames brings about. */
enum { PEER_MAX_BAD = 16 };

tw_status tw_peer_set_mark(tw_peer *peer, uint64_t split, uint64_t to, tw_error *error)
{
    for (size_t i = 0; i < peer->n_marks; i++) {
        if (peer->mark[i].split == split) {
            peer->mark[i].to = to;
            return TW_STATUS_OK;
        }
    }
    tw_status status = tw_grow(&peer->mark, sizeof *peer->mark, &peer->capacity_marks, peer->n_marks + 1, error);
    if (status == TW_STATUS_OK)
        peer->mark[peer->n_marks++] = (tw_mark){split, to};
    return status;
}

/* Gives the credit back of everything up to `ack`; false: nothing outstanding has that number. */
static bool outstanding_pop(tw_peer *peer, uint64_t ack)
{
    uint32_t n = 0;
    bool is_known = false;
    while (n < peer->n_outstanding && peer->outstanding[n].sequence <= ack) {
        is_known = is_known || peer->outstanding[n].sequence == ack;
        peer->outstanding_bytes -= peer->outstanding[n++].size;
    }
    peer->n_outstanding -= n;
    memmove(peer->outstanding, peer->outstanding + n, peer->n_outstanding * sizeof *peer->outstanding);
    return is_known;
}

/* The answer to a PING says nothing about the requests before it: shards may hold answers back. */
static void outstanding_remove(tw_peer *peer, uint64_t sequence)
{
    for (uint32_t i = 0; i < peer->n_outstanding; i++) {
        if (peer->outstanding[i].sequence != sequence)
            continue;
        peer->outstanding_bytes -= peer->outstanding[i].size;
        peer->n_outstanding--;
        memmove(
            peer->outstanding + i, peer->outstanding + i + 1, (peer->n_outstanding - i) * sizeof *peer->outstanding);
        return;
    }
}

static tw_status peer_error(
    const tw_remote *self, const tw_peer *peer, tw_status status, const char *what, tw_error *error)
{
    return tw_error_set(error, status, "shard %u of %u at %s: %s", peer->shard, self->partition.n_shards,
        self->link->ops->address(self->link, peer->shard), what);
}

/* Marks of the shard, compared with those known before: a smaller one means that rows were lost. */
static tw_status welcome_take_marks(tw_remote *self, tw_peer *peer, const tw_frame *frame, tw_error *error)
{
    uint64_t n = frame->payload_size >= 16 ? tw_get_u64(frame->payload + 8) : UINT64_MAX;
    if (n != (frame->payload_size - 16) / 16 || frame->payload_size % 16 != 0)
        return peer_error(self, peer, TW_STATUS_PROTOCOL, "WELCOME of a wrong length", error);
    tw_mark *known = peer->mark;
    size_t n_known = peer->n_marks;
    peer->mark = NULL;
    peer->n_marks = peer->capacity_marks = 0;
    tw_status status = tw_grow(&peer->mark, sizeof *peer->mark, &peer->capacity_marks, (size_t)n, error);
    for (uint64_t i = 0; i < n && status == TW_STATUS_OK; i++) {
        const unsigned char *at = frame->payload + 16 + i * 16;
        peer->mark[peer->n_marks++] = (tw_mark){tw_get_u64(at), tw_get_u64(at + 8)};
    }
    for (size_t i = 0; i < n_known && status == TW_STATUS_OK; i++)
        peer->has_lost = peer->has_lost || tw_peer_mark(peer, known[i].split) < known[i].to;
    tw_free(known);
    return status;
}

static tw_status take_welcome(tw_remote *self, tw_peer *peer, const tw_frame *frame, tw_error *error)
{
    tw_status status = welcome_take_marks(self, peer, frame, error);
    if (status < 0)
        return status;
    if (peer->incarnation != 0 && peer->incarnation != frame->incarnation) {
        peer->form = TW_FORM_ADD;
        self->stats.restarts++;
    }
    peer->incarnation = frame->incarnation;
    peer->epoch = frame->epoch;
    peer->served_epoch = frame->handle;
    peer->shard_epoch = frame->handle > peer->shard_epoch ? frame->handle : peer->shard_epoch;
    peer->is_turned_away = peer->is_probed = false;
    peer->events_learned = frame->n_learned;
    peer->credit_bytes = frame->credit_bytes;
    peer->credit_frames = frame->credit_frames;
    peer->is_connected = true;
    peer->is_claim_due = self->claim.lease.epoch != 0;
    peer->is_claim_sent = false;
    peer->is_fresh = false;
    peer->retry_us = peer->patience_us;
    peer->not_before_us = 0;
    tw_pace_take_welcome(self, peer, frame->clock);
    tw_peer_restart(peer);
    tw_control *control = &peer->control;
    if (control->type != 0 && control->is_sent && !control->is_done && control->failure == TW_STATUS_OK) {
        control->failure = TW_STATUS_UNAVAILABLE;
        control->is_cut = true;
        memcpy(control->message, "the connection was lost; try again", sizeof "the connection was lost; try again");
    }
    return TW_STATUS_OK;
}

static tw_status take_pulled(tw_remote *self, tw_peer *peer, const tw_frame *frame, tw_error *error)
{
    uint32_t n_chunks = peer->pull != NULL ? tw_flight_chunk_count(peer->pull, peer->shard) : 0;
    for (uint32_t i = 0; i < n_chunks; i++) {
        tw_flight_chunk *chunk = &peer->pull->chunk[peer->pull->chunk_first[peer->shard] + i];
        if (chunk->handle != frame->ack || chunk->session != peer->hello || chunk->is_pulled)
            continue;
        size_t size = tw_flight_chunk_size(&self->partition, peer->shard, chunk);
        if (frame->payload_size != size + tw_sights_size(&self->partition.spec, chunk->n_keys))
            return peer_error(self, peer, TW_STATUS_PROTOCOL, "PULLED of a wrong length", error);
        tw_flight_load(peer->pull, &self->partition, peer->shard, chunk, frame->payload);
        tw_admission_load(peer->pull, peer->shard, chunk, frame->payload + size);
        chunk->generation = frame->generation;
        chunk->incarnation = frame->incarnation;
        chunk->is_pulled = true;
        peer->n_pulled++;
        peer->n_bad = 0;
        break;
    }
    return TW_STATUS_OK;
}

static tw_status take_ack(tw_peer *peer, const tw_frame *frame, tw_error *error)
{
    if (peer->control.is_sent && frame->ack == peer->control.sequence) {
        peer->control.is_acked = true;
        peer->control.has_digest = frame->payload_size == 8;
        peer->control.digest = peer->control.has_digest ? tw_get_u64(frame->payload) : 0;
    }
    if (peer->push == NULL || !peer->is_push_sent || frame->ack != peer->push_last)
        return TW_STATUS_OK;
    peer->push = NULL;
    /* Somebody else's push of the same events landed: what was pulled ahead may hold them already. */
    if (frame->flags & TW_FRAME_DUPLICATE)
        peer->is_base_doubted = peer->must_resend = true;
    return peer->range.to > tw_peer_mark(peer, peer->range.split)
               ? tw_peer_set_mark(peer, peer->range.split, peer->range.to, error)
               : TW_STATUS_OK;
}

static tw_status take_scanned(tw_remote *self, tw_peer *peer, const tw_frame *frame, tw_error *error)
{
    tw_control *control = &peer->control;
    const tw_schema *schema = &self->partition.spec.schema;
    const unsigned char *at = frame->payload, *end = at + frame->payload_size;
    while (at < end) {
        int block = end - at >= 16 ? (int)tw_get_u32(at) : -2;
        if (block < -1 || block >= (int)schema->n_blocks)
            return peer_error(self, peer, TW_STATUS_PROTOCOL, "SCANNED with a broken record", error);
        size_t size = block < 0 ? schema->row.size : schema->block[block].record.size;
        if (tw_get_u32(at + 4) != size || (size_t)(end - at) - 16 < size)
            return peer_error(self, peer, TW_STATUS_PROTOCOL, "SCANNED with a record of a wrong length", error);
        tw_status status = tw_grow(&self->record, 1, &self->capacity_record, size, error);
        if (status < 0)
            return status;
        memcpy(self->record, at + 16, size);
        status = control->visit(control->context, block, tw_get_u64(at + 8), self->record, error);
        if (status != TW_STATUS_OK)
            return status;
        at += 16 + size;
        control->n_seen++;
    }
    if (control->n_seen != frame->handle)
        return peer_error(self, peer, TW_STATUS_UNAVAILABLE, "a part of the scan was lost; try again", error);
    if ((frame->flags & TW_FRAME_MORE) == 0) {
        control->is_done = true;
        control->is_finished = frame->generation != 0;
        control->handle = frame->handle;
    }
    return TW_STATUS_OK;
}

static tw_status take_control(tw_remote *self, tw_peer *peer, const tw_frame *frame, tw_error *error)
{
    tw_control *control = &peer->control;
    if (!control->is_sent || control->is_done || frame->ack != control->sequence)
        return TW_STATUS_OK;
    if (frame->type == TW_FRAME_SCANNED && control->type == TW_FRAME_SCAN)
        return take_scanned(self, peer, frame, error);
    if (frame->type == TW_FRAME_STATS_ARE && control->type == TW_FRAME_STATS &&
        (frame->payload_size == 24 || frame->payload_size == 48)) {
        control->stats = (tw_params_stats){.rows = tw_get_u64(frame->payload),
            .bytes = tw_get_u64(frame->payload + 8),
            .events_learned = tw_get_u64(frame->payload + 16)};
        if (frame->payload_size == 48) {
            control->stats.rows_expired = tw_get_u64(frame->payload + 24);
            control->stats.rows_evicted = tw_get_u64(frame->payload + 32);
            control->stats.touches_refused = tw_get_u64(frame->payload + 40);
        }
        control->round = frame->clock;
        control->is_done = true;
    }
    if (frame->type == TW_FRAME_SEATED && control->type == TW_FRAME_SEAT) {
        control->has_seat = frame->handle == 1;
        if (frame->payload_size == TW_SEATED_SIZE)
            control->holder = (tw_seat_holder){tw_get_u64(frame->payload), tw_get_u64(frame->payload + 8),
                tw_get_u64(frame->payload + 16), tw_get_u64(frame->payload + 24)};
        control->is_done = true;
    }
    if (frame->type == TW_FRAME_BARRIER_DONE && control->type == TW_FRAME_BARRIER &&
        frame->payload_size == 24 + TW_FILE_NAME_SIZE) {
        control->file = (tw_row_file){.size = tw_get_u64(frame->payload),
            .checksum = tw_get_u64(frame->payload + 8),
            .rows = tw_get_u64(frame->payload + 16)};
        memcpy(control->file.name, frame->payload + 24, TW_FILE_NAME_SIZE);
        control->file.name[TW_FILE_NAME_SIZE - 1] = '\0';
        control->is_done = true;
    }
    return TW_STATUS_OK;
}

static void message_copy(const tw_frame *frame, char message[TW_ERROR_MESSAGE_SIZE])
{
    size_t size = frame->payload_size < 300 ? frame->payload_size : 300;
    memcpy(message, frame->payload, size);
    message[size] = '\0';
}

/* A push that was refused because of its marks cannot land any more: the rows have to be learned again. */
static tw_status nack_take_mark(tw_peer *peer, const tw_frame *frame, tw_error *error)
{
    tw_pace_drop_push(peer);
    peer->has_lost = true;
    peer->is_base_doubted = peer->must_resend = true;
    return tw_peer_set_mark(peer, frame->mark[0].split, frame->mark[0].to, error);
}

static tw_status nack_turn_away(tw_remote *self, tw_peer *peer, tw_error *error)
{
    tw_peer_disconnect(self, peer);
    peer->is_turned_away = true;
    peer->retry_us = (int64_t)self->options.retry_ms * 1000;
    peer->not_before_us = tw_peer_now(self) + TW_PEER_PAUSE_US;
    return tw_peer_turn(self, peer, error);
}

static void nack_forget_handles(tw_peer *peer)
{
    for (uint32_t i = 0; peer->push != NULL && i < tw_flight_chunk_count(peer->push, peer->shard); i++)
        peer->push->chunk[peer->push->chunk_first[peer->shard] + i].session = 0;
    peer->must_resend = true;
}

/* What concerns the session is not the request's; a SEAT is asked again in the next one. */
static bool nack_is_of_control(const tw_peer *peer, const tw_frame *frame)
{
    const tw_control *control = &peer->control;
    if (!control->is_sent || frame->ack != control->sequence)
        return false;
    if (control->type == TW_FRAME_SEAT)
        return frame->reason == TW_NACK_UNKNOWN_TYPE;
    return frame->reason != TW_NACK_STALE_INCARNATION && frame->reason != TW_NACK_GAP &&
           frame->reason != TW_NACK_NOT_PRIMARY;
}

static void control_fail(tw_control *self, tw_nack_reason reason, const char message[TW_ERROR_MESSAGE_SIZE])
{
    self->failure = reason == TW_NACK_CONFLICT       ? TW_STATUS_CONFLICT
                    : reason == TW_NACK_OVERLOAD     ? TW_STATUS_BUSY
                    : reason == TW_NACK_UNKNOWN_TYPE ? TW_STATUS_UNSUPPORTED
                                                     : TW_STATUS_IO;
    memcpy(self->message, message, TW_ERROR_MESSAGE_SIZE);
}

/* Asking again does not help. A push that is above the cap of rows cannot land any more: what else the shard is asked
 * does not wait for it. */
static tw_status nack_fail(
    const tw_remote *self, tw_peer *peer, tw_nack_reason reason, const char *message, tw_error *error)
{
    static const struct {
        tw_nack_reason reason;
        tw_status status;
        const char *code;
    } row[] = {{TW_NACK_SCHEMA, TW_STATUS_CONFLICT, "E302"}, {TW_NACK_PIPELINE, TW_STATUS_CONFLICT, "E310"},
        {TW_NACK_STALE_EPOCH, TW_STATUS_CONFLICT, ""}, {TW_NACK_DENIED, TW_STATUS_CONFLICT, ""},
        {TW_NACK_TOO_LARGE, TW_STATUS_CONFIG, "E308"}, {TW_NACK_FULL, TW_STATUS_FULL, "E205"},
        {TW_NACK_FAILED, TW_STATUS_IO, ""}};
    size_t n = sizeof row / sizeof row[0], i = 0;
    while (i < n && row[i].reason != reason)
        i++;
    if (reason == TW_NACK_FULL && peer->push != NULL)
        tw_pace_drop_push(peer);
    tw_status status = peer_error(self, peer, i < n ? row[i].status : TW_STATUS_PROTOCOL, message, error);
    if (i < n)
        tw_error_code(error, reason == TW_NACK_DENIED && strstr(message, "--worker") != NULL ? "E309" : row[i].code);
    return status;
}

static tw_status take_nack(tw_remote *self, tw_peer *peer, const tw_frame *frame, bool is_known, tw_error *error)
{
    char message[TW_ERROR_MESSAGE_SIZE];
    message_copy(frame, message);
    if (!is_known && peer->control.is_sent && frame->ack == peer->control.sequence && frame->ack != 0)
        is_known = true;
    if (!is_known && frame->ack != 0)
        return TW_STATUS_OK;
    if (nack_is_of_control(peer, frame)) {
        control_fail(&peer->control, frame->reason, message);
        return TW_STATUS_OK;
    }
    /* The owner came back: whoever works beside it greets again. */
    bool is_beside = frame->reason == TW_NACK_STALE_EPOCH && self->options.role == TW_ROLE_PEER;
    switch (is_beside ? TW_NACK_STALE_INCARNATION : (int)frame->reason) {
    case TW_NACK_CONFLICT:
        self->stats.conflicts++;
        /* An empty range leaves no trace in the marks: sent twice, it is taken to have landed the first time. */
        if (peer->is_push_repeated && peer->range.from == peer->range.to)
            tw_pace_drop_push(peer);
        peer->form = TW_FORM_ADD;
        peer->must_resend = true;
        return TW_STATUS_OK;
    case TW_NACK_KEYLIST_GONE:
        nack_forget_handles(peer);
        return TW_STATUS_OK;
    case TW_NACK_OVERLOAD:
        peer->must_resend = peer->is_connected;
        peer->not_before_us = tw_peer_now(self) + TW_PEER_PAUSE_US;
        return TW_STATUS_OK;
    case TW_NACK_GAP:
    case TW_NACK_OVERLAP:
        if (frame->n_marks > 0 && peer->push != NULL)
            return nack_take_mark(peer, frame, error);
        tw_peer_disconnect(self, peer);
        return TW_STATUS_OK;
    case TW_NACK_NOT_PRIMARY:
        return nack_turn_away(self, peer, error);
    case TW_NACK_STALE_INCARNATION:
        tw_peer_disconnect(self, peer);
        return TW_STATUS_OK;
    case TW_NACK_BAD_FRAME:
        tw_peer_disconnect(self, peer);
        return ++peer->n_bad < PEER_MAX_BAD ? TW_STATUS_OK : peer_error(self, peer, TW_STATUS_PROTOCOL, message, error);
    case TW_NACK_STALE_OWNER:
        return tw_claim_take_refusal(self, peer, frame, error);
    default:
        return nack_fail(self, peer, frame->reason, message, error);
    }
}

/* A shard that writes no snapshot any more has said how it ended: that message is lost. */
static void take_pong(tw_peer *peer, const tw_frame *frame)
{
    static const char lost[] = "the answer to the snapshot was lost; try again";
    tw_control *control = &peer->control;
    if (control->type != TW_FRAME_BARRIER || !control->is_acked || control->is_done || frame->handle == control->handle)
        return;
    control->failure = TW_STATUS_UNAVAILABLE;
    memcpy(control->message, lost, sizeof lost);
}

/* Everything was answered: back to the ordinary patience, in small steps. */
static void peer_was_in_time(const tw_remote *self, tw_peer *peer)
{
    peer->patience_us -= (peer->patience_us - (int64_t)self->options.retry_ms * 1000) / 8;
}

tw_status tw_peer_take(tw_remote *self, tw_peer *peer, const void *bytes, size_t size, tw_error *error)
{
    tw_frame frame;
    self->stats.bytes_received += size;
    /* What cannot be read was damaged on its way: the deadline has it sent again. */
    if (tw_frame_decode(bytes, size, &frame, NULL) < 0)
        return TW_STATUS_OK;
    if (frame.sender != self->options.sender && frame.sender != 0)
        return TW_STATUS_OK;
    if (!peer->is_connected) {
        if (frame.type == TW_FRAME_WELCOME && peer->is_hello_sent && frame.ack == peer->hello) {
            (void)outstanding_pop(peer, frame.ack);
            return take_welcome(self, peer, &frame, error);
        }
        bool is_mine = peer->is_hello_sent && frame.ack == peer->hello;
        return frame.type == TW_FRAME_NACK && is_mine ? take_nack(self, peer, &frame, true, error) : TW_STATUS_OK;
    }
    if (frame.type == TW_FRAME_PONG)
        outstanding_remove(peer, frame.ack);
    /* That a shard is there does not mean that a lost answer will come. */
    if (frame.type != TW_FRAME_PONG || peer->n_outstanding == 0) {
        peer->heard_us = tw_peer_now(self);
        peer->is_probed = false;
    }
    if (frame.type == TW_FRAME_WAITING) {
        tw_pace_take_waiting(self, peer, &frame);
        return TW_STATUS_OK;
    }
    if (frame.type != TW_FRAME_PONG)
        tw_pace_take_answer(peer, frame.ack);
    if (frame.incarnation == peer->incarnation)
        peer->events_learned = frame.n_learned;
    bool has_more = frame.type == TW_FRAME_SCANNED && (frame.flags & TW_FRAME_MORE) != 0;
    bool is_known = !has_more && frame.type != TW_FRAME_PONG && outstanding_pop(peer, frame.ack);
    if (is_known && peer->n_outstanding == 0)
        peer_was_in_time(self, peer);
    switch ((int)frame.type) {
    case TW_FRAME_PULLED:
        return take_pulled(self, peer, &frame, error);
    case TW_FRAME_ACK:
        return take_ack(peer, &frame, error);
    case TW_FRAME_NACK:
        return take_nack(self, peer, &frame, is_known, error);
    case TW_FRAME_SCANNED:
    case TW_FRAME_STATS_ARE:
    case TW_FRAME_BARRIER_DONE:
    case TW_FRAME_SEATED:
        return take_control(self, peer, &frame, error);
    case TW_FRAME_ACQUIRED:
        return tw_claim_take(self, peer, &frame, error);
    case TW_FRAME_PONG:
        take_pong(peer, &frame);
        return TW_STATUS_OK;
    default:
        return TW_STATUS_OK;
    }
}
