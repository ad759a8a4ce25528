/* The client's protocol with one shard: what it sends, and when. */
#include <string.h>

#include "ps/worker/admission.h"
#include "ps/worker/remote_state.h"

int64_t tw_peer_now(tw_remote *self)
{
    return self->link->ops->now_us(self->link);
}

uint64_t tw_peer_mark(const tw_peer *peer, uint64_t split)
{
    for (size_t i = 0; i < peer->n_marks; i++) {
        if (peer->mark[i].split == split)
            return peer->mark[i].to;
    }
    return 0;
}

void tw_peer_start_control(tw_peer *peer, tw_frame_type type, uint64_t handle)
{
    peer->control = (tw_control){.type = type, .handle = handle, .n_seen = handle};
}

static bool pull_is_done(const tw_peer *peer)
{
    return peer->pull == NULL || peer->n_pulled == tw_flight_chunk_count(peer->pull, peer->shard);
}

bool tw_peer_is_pulled(const tw_peer *peer)
{
    return peer->is_connected && !peer->must_resend && pull_is_done(peer) && (peer->push == NULL || peer->is_push_sent);
}

bool tw_peer_is_pushed(const tw_peer *peer)
{
    return !peer->must_resend && peer->push == NULL;
}

bool tw_peer_is_settled(const tw_peer *peer)
{
    const tw_control *control = &peer->control;
    bool is_control_done = control->type == 0 || control->is_done || control->failure < 0 ||
                           (control->type == TW_FRAME_BARRIER && control->is_acked);
    return peer->is_connected && !peer->is_claim_due && peer->push == NULL && !peer->must_resend &&
           pull_is_done(peer) && is_control_done && peer->pace.tick_round == 0;
}

void tw_peer_disconnect(tw_remote *self, tw_peer *peer)
{
    if (peer->is_connected)
        self->stats.reconnects++;
    peer->is_connected = peer->is_hello_sent = false;
    peer->must_resend = false;
    peer->n_outstanding = 0;
    peer->outstanding_bytes = 0;
}

tw_status tw_peer_turn(tw_remote *self, tw_peer *peer, tw_error *error)
{
    peer->is_hello_sent = false;
    return self->link->ops->retarget != NULL ? self->link->ops->retarget(self->link, peer->shard, NULL, error)
                                             : TW_STATUS_OK;
}

static bool peer_has_credit(const tw_peer *peer, size_t size)
{
    if (peer->n_outstanding == 0)
        return true;
    return peer->n_outstanding < TW_PEER_MAX_OUTSTANDING && peer->n_outstanding < peer->credit_frames &&
           peer->outstanding_bytes + size <= peer->credit_bytes;
}

tw_frame tw_peer_frame(const tw_remote *self, const tw_peer *peer, tw_frame_type type)
{
    return (tw_frame){
        .type = type,
        .model = self->model,
        .sender = self->options.sender,
        .epoch = peer->epoch,
        .incarnation = peer->incarnation,
        .sequence = peer->sequence + 1,
    };
}

tw_status tw_peer_send(tw_remote *self, tw_peer *peer, tw_frame *frame, tw_error *error)
{
    tw_frame_finish(&self->out, frame);
    if (frame->type != TW_FRAME_HELLO && frame->type != TW_FRAME_PING && !peer_has_credit(peer, self->out.size))
        return TW_STATUS_BUSY;
    tw_status status = self->link->ops->send(self->link, peer->shard, self->out.bytes, self->out.size, error);
    if (status == TW_STATUS_UNAVAILABLE)
        status = TW_STATUS_BUSY;
    if (status != TW_STATUS_OK)
        return status;
    peer->sequence = frame->sequence;
    if (peer->n_outstanding == 0)
        peer->heard_us = tw_peer_now(self);
    if (peer->n_outstanding < TW_PEER_MAX_OUTSTANDING)
        peer->outstanding[peer->n_outstanding++] = (tw_outstanding){frame->sequence, (uint32_t)self->out.size};
    peer->outstanding_bytes += self->out.size;
    self->stats.bytes_sent += self->out.size;
    return TW_STATUS_OK;
}

static tw_status peer_send_hello(tw_remote *self, tw_peer *peer, tw_error *error)
{
    tw_hello hello = {
        .role = self->options.role,
        .is_fresh = peer->is_fresh,
        .takes_other_keep = self->options.takes_other_keep,
        .index = peer->shard,
        .count = self->partition.n_shards,
        .spec = self->partition.spec,
        .worker = self->options.worker,
    };
    hello.worker.birth = self->pace.member.birth;
    if (self->pace.member.count == 0)
        hello.worker.staleness = TW_STALENESS_UNLIMITED;
    memcpy(hello.name, self->name, sizeof hello.name);
    tw_frame frame = tw_peer_frame(self, peer, TW_FRAME_HELLO);
    frame.handle = peer->shard_epoch;
    tw_pipeline_put(&self->options.pipeline, &frame);
    frame.clock = tw_pace_hello_round(self, peer);
    tw_status status = tw_frame_begin(&self->out, &frame, NULL, error);
    if (status == TW_STATUS_OK)
        status = tw_hello_encode(&hello, &self->out, error);
    if (status < 0)
        return status;
    peer->n_outstanding = 0;
    peer->outstanding_bytes = 0;
    if (peer->is_hello_sent) /* the one before was not answered */
        status = tw_peer_turn(self, peer, error);
    if (status == TW_STATUS_OK)
        status = tw_peer_send(self, peer, &frame, error);
    int64_t now = tw_peer_now(self);
    if (status == TW_STATUS_BUSY) {
        peer->not_before_us = now + TW_PEER_PAUSE_US;
        return TW_STATUS_OK;
    }
    peer->hello = frame.sequence;
    peer->is_hello_sent = true;
    peer->not_before_us = now + peer->retry_us;
    if (peer->retry_us < (int64_t)self->options.retry_ms * 8000)
        peer->retry_us *= 2;
    return status;
}

/* Under which share it pushes, in front of every push of a session. */
static tw_status peer_drive_claim(tw_remote *self, tw_peer *peer, tw_error *error)
{
    const tw_claim *claim = &self->claim;
    if (!peer->is_claim_due || peer->is_claim_sent)
        return TW_STATUS_OK;
    tw_frame frame = tw_peer_frame(self, peer, TW_FRAME_ACQUIRE);
    frame.handle = claim->lease.share;
    frame.generation = claim->lease.epoch;
    frame.n_keys = claim->n_splits;
    tw_status status = tw_frame_begin(&self->out, &frame, claim->n_splits > 0 ? claim->split : NULL, error);
    if (status == TW_STATUS_OK)
        status = tw_peer_send(self, peer, &frame, error);
    if (status == TW_STATUS_OK) {
        peer->claim_sequence = frame.sequence;
        peer->is_claim_sent = true;
    }
    return status;
}

/* Whether the push is still needed: decided by the marks, once, before its first frame. */
static bool push_is_needed(const tw_remote *self, tw_peer *peer)
{
    uint64_t mark = tw_peer_mark(peer, peer->range.split);
    if (mark == peer->range.from)
        return true;
    if (mark < peer->range.to)
        peer->has_lost = true;
    if (self->options.role == TW_ROLE_PEER)
        peer->is_base_doubted = true;
    tw_pace_drop_push(peer);
    return false;
}

static tw_status peer_send_push_part(tw_remote *self, tw_peer *peer, uint32_t part, uint32_t n_parts, tw_error *error)
{
    tw_frame frame = tw_peer_frame(self, peer, TW_FRAME_PUSH);
    bool is_last = part + 1 >= n_parts;
    const uint64_t *keys = NULL;
    const tw_flight_chunk *chunk = NULL;
    size_t size = 0;
    frame.flags = is_last ? 0 : TW_FRAME_MORE;
    frame.n_learned = peer->n_learned;
    frame.clock = peer->pace.push_round;
    if (is_last) {
        frame.n_marks = 1;
        frame.mark[0] = peer->range;
    }
    if (n_parts > 0) {
        chunk = &peer->push->chunk[peer->push->chunk_first[peer->shard] + part];
        bool has_handle = chunk->session == peer->hello;
        keys = has_handle || chunk->n_keys == 0 ? NULL : peer->push->key + chunk->key_first;
        frame.handle = chunk->handle;
        frame.form = peer->form;
        /* Generations of another process of the shard mean nothing: this one shall refuse, and gets ADD. */
        frame.generation = chunk->incarnation == peer->incarnation ? chunk->generation : UINT64_MAX;
        frame.n_keys = chunk->n_keys;
        frame.block_first = chunk->block_first;
        frame.n_blocks = chunk->n_blocks;
        size = tw_flight_chunk_size(&self->partition, peer->shard, chunk);
        static const uint64_t no_keys[1];
        if (!has_handle && keys == NULL)
            keys = no_keys;
    }
    tw_status status = tw_frame_begin(&self->out, &frame, keys, error);
    if (status < 0)
        return status;
    size_t touches = tw_touches_size(&self->partition.spec, frame.n_keys, is_last);
    unsigned char *at = tw_buffer_reserve(&self->out, (frame.form == TW_FORM_ADD ? size * 2 : size) + touches, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    if (frame.form == TW_FORM_ADD) {
        tw_flight_store(peer->push, &self->partition, peer->shard, chunk, true, at);
        at += size;
    }
    if (chunk != NULL)
        tw_flight_store(peer->push, &self->partition, peer->shard, chunk, false, at);
    tw_admission_store(peer->push, chunk, is_last, at + size);
    status = tw_peer_send(self, peer, &frame, error);
    if (status == TW_STATUS_OK && is_last)
        peer->push_last = frame.sequence;
    return status;
}

static tw_status peer_drive_push(tw_remote *self, tw_peer *peer, tw_error *error)
{
    if (peer->push == NULL || peer->is_push_sent || (peer->push_next == 0 && !push_is_needed(self, peer)))
        return TW_STATUS_OK;
    uint32_t n_parts = tw_flight_chunk_count(peer->push, peer->shard);
    do {
        tw_status status = peer_send_push_part(self, peer, peer->push_next, n_parts, error);
        if (status != TW_STATUS_OK)
            return status;
        peer->push_next++;
    } while (peer->push_next < n_parts);
    peer->is_push_sent = true;
    self->stats.pushes++;
    return TW_STATUS_OK;
}

static tw_status peer_drive_pull(tw_remote *self, tw_peer *peer, tw_error *error)
{
    uint32_t n_chunks = peer->pull != NULL ? tw_flight_chunk_count(peer->pull, peer->shard) : 0;
    for (; peer->pull_next < n_chunks; peer->pull_next++) {
        tw_flight_chunk *chunk = &peer->pull->chunk[peer->pull->chunk_first[peer->shard] + peer->pull_next];
        if (chunk->is_pulled)
            continue;
        tw_frame frame = tw_peer_frame(self, peer, TW_FRAME_PULL);
        frame.clock = self->pace.round;
        frame.n_keys = chunk->n_keys;
        frame.block_first = chunk->block_first;
        frame.n_blocks = chunk->n_blocks;
        tw_status status =
            tw_frame_begin(&self->out, &frame, chunk->n_keys > 0 ? peer->pull->key + chunk->key_first : NULL, error);
        if (status == TW_STATUS_OK)
            status = tw_peer_send(self, peer, &frame, error);
        if (status != TW_STATUS_OK)
            return status;
        chunk->handle = frame.sequence;
        chunk->session = peer->hello;
        self->stats.pulls++;
    }
    return TW_STATUS_OK;
}

/* A shard that dies while it writes a snapshot is noticed although nothing else is asked of it. */
static tw_status peer_drive_ping(tw_remote *self, tw_peer *peer, tw_error *error)
{
    if (peer->n_outstanding > 0 || tw_peer_now(self) - peer->heard_us < peer->retry_us)
        return TW_STATUS_OK;
    tw_frame frame = tw_peer_frame(self, peer, TW_FRAME_PING);
    tw_status status = tw_frame_begin(&self->out, &frame, NULL, error);
    return status == TW_STATUS_OK ? tw_peer_send(self, peer, &frame, error) : status;
}

/* A shard that came back in the meantime says at once that it does not know the session. Where rounds are kept an idle
 * one is asked too, while this worker waits elsewhere: others may wait there until this worker has come. */
static tw_status peer_probe(tw_remote *self, tw_peer *peer, int64_t now, tw_error *error)
{
    bool is_awaited = peer->n_outstanding > 0 || self->pace.member.count > 0;
    if (peer->is_probed || !is_awaited || now - peer->heard_us < TW_PEER_PROBE_US)
        return TW_STATUS_OK;
    tw_frame frame = tw_peer_frame(self, peer, TW_FRAME_PING);
    tw_status status = tw_frame_begin(&self->out, &frame, NULL, error);
    if (status == TW_STATUS_OK)
        status = tw_peer_send(self, peer, &frame, error);
    peer->is_probed = status == TW_STATUS_OK;
    return status < 0 && status != TW_STATUS_BUSY ? status : TW_STATUS_OK;
}

static tw_status peer_drive_control(tw_remote *self, tw_peer *peer, tw_error *error)
{
    tw_control *control = &peer->control;
    if (control->is_acked && !control->is_done && control->failure == TW_STATUS_OK)
        return peer_drive_ping(self, peer, error);
    if (control->type == 0 || control->is_sent || control->is_done || control->failure < 0)
        return TW_STATUS_OK;
    tw_frame frame = tw_peer_frame(self, peer, control->type);
    frame.handle = control->handle;
    frame.clock = control->type == TW_FRAME_SEAT ? self->pace.round : control->round;
    tw_status status = tw_frame_begin(&self->out, &frame, NULL, error);
    if (status == TW_STATUS_OK)
        status = tw_peer_send(self, peer, &frame, error);
    if (status == TW_STATUS_OK) {
        control->sequence = frame.sequence;
        control->is_sent = true;
    }
    return status;
}

/* After a refusal everything behind it in the line is worthless: it is pulled again. */
void tw_peer_restart(tw_peer *peer)
{
    peer->must_resend = false;
    peer->push_next = 0;
    peer->is_push_repeated = peer->is_push_repeated || peer->push != NULL;
    peer->is_push_sent = false;
    if (peer->pull == NULL || (!peer->is_pull_ahead && peer->push == NULL && pull_is_done(peer)))
        return;
    for (uint32_t i = peer->pull->chunk_first[peer->shard]; i < peer->pull->chunk_first[peer->shard + 1]; i++)
        peer->pull->chunk[i].is_pulled = false;
    peer->n_pulled = peer->pull_next = 0;
}

/* A session in which nothing was heard for too long is given up. Where answers only need longer than that, the next one
 * gets more time: else every session would end before its first answer, for ever. */
static tw_status peer_lose_patience(tw_remote *self, tw_peer *peer, tw_error *error)
{
    if (peer->patience_us < (int64_t)self->options.retry_ms * 8000)
        peer->patience_us *= 2;
    tw_peer_disconnect(self, peer);
    return tw_peer_turn(self, peer, error);
}

tw_status tw_peer_drive(tw_remote *self, tw_peer *peer, tw_error *error)
{
    int64_t now = tw_peer_now(self);
    if (peer->is_connected && peer->n_outstanding > 0 && now - peer->heard_us > peer->retry_us) {
        tw_status turned = peer_lose_patience(self, peer, error);
        if (turned < 0)
            return turned;
    }
    if (!peer->is_connected)
        return now >= peer->not_before_us ? peer_send_hello(self, peer, error) : TW_STATUS_OK;
    if (peer->must_resend) {
        if (peer->n_outstanding > 0 || now < peer->not_before_us)
            return TW_STATUS_OK;
        tw_peer_restart(peer);
    }
    tw_status status = peer_probe(self, peer, now, error);
    if (status == TW_STATUS_OK)
        status = peer_drive_claim(self, peer, error);
    if (status == TW_STATUS_OK)
        status = peer_drive_push(self, peer, error);
    if (status == TW_STATUS_OK)
        status = tw_pace_drive(self, peer, error);
    if (status == TW_STATUS_OK)
        status = peer_drive_pull(self, peer, error);
    if (status == TW_STATUS_OK)
        status = peer_drive_control(self, peer, error);
    /* All is sent, nothing is awaited, and something is unanswered: a later answer passed over one that was lost. */
    if (status == TW_STATUS_OK && peer->n_outstanding == 0 && !tw_peer_is_settled(peer))
        tw_peer_disconnect(self, peer);
    return status == TW_STATUS_BUSY ? TW_STATUS_OK : status;
}
