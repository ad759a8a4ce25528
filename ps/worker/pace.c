#include "ps/worker/pace.h"

#include "ps/worker/remote_state.h"
#include "ps/worker/turn.h"

enum { LEAVE_MS = 300 };

static const int64_t report_every_us = 1000000;

uint32_t tw_pace_hello_round(const tw_remote *self, const tw_peer *peer)
{
    if (!self->pace.has_started)
        return 0;
    return peer->push != NULL ? peer->pace.push_round : self->pace.round;
}

void tw_pace_take_welcome(tw_remote *self, tw_peer *peer, uint32_t clock)
{
    peer->pace.is_waiting = peer->pace.is_tick_sent = false;
    peer->pace.clock = clock;
    if (self->pace.member.count == 0)
        return;
    /* A successor goes on where the shard that is furthest has seen its predecessor. */
    if (!self->pace.has_started && clock > self->pace.round)
        self->pace.round = clock;
    if (self->pace.has_finished)
        peer->pace.tick_round = self->pace.round;
}

void tw_pace_begin_push(const tw_remote *self, tw_peer *peer)
{
    peer->pace.push_round = self->pace.round;
    peer->pace.tick_round = 0;
    peer->pace.is_tick_sent = false;
}

void tw_pace_drop_push(tw_peer *peer)
{
    peer->push = NULL;
    peer->pace.tick_round = peer->pace.push_round;
    peer->pace.is_tick_sent = false;
}

tw_status tw_pace_drive(tw_remote *self, tw_peer *peer, tw_error *error)
{
    tw_peer_pace *pace = &peer->pace;
    if (pace->tick_round == 0 || pace->is_tick_sent)
        return TW_STATUS_OK;
    tw_frame frame = tw_peer_frame(self, peer, TW_FRAME_CLOCK);
    frame.clock = pace->tick_round;
    frame.handle = self->pace.has_finished;
    tw_status status = tw_frame_begin(&self->out, &frame, NULL, error);
    if (status == TW_STATUS_OK)
        status = tw_peer_send(self, peer, &frame, error);
    if (status == TW_STATUS_OK) {
        pace->tick_sequence = frame.sequence;
        pace->is_tick_sent = true;
    }
    return status;
}

void tw_pace_take_waiting(const tw_remote *self, tw_peer *peer, const tw_frame *frame)
{
    tw_peer_pace *pace = &peer->pace;
    if (self->pace.member.count == 0 || frame->payload_size != TW_WAITING_SIZE)
        return;
    uint32_t culprit = tw_get_u32(frame->payload), clock = tw_get_u32(frame->payload + 4);
    if (!pace->is_waiting || culprit != pace->culprit || clock != pace->culprit_clock)
        pace->since_us = pace->told_us = self->link->ops->now_us(self->link);
    pace->is_waiting = true;
    pace->culprit = culprit;
    pace->culprit_clock = clock;
    pace->n_workers = tw_get_u32(frame->payload + 8);
    pace->round = tw_get_u32(frame->payload + 12);
}

void tw_pace_take_answer(tw_peer *peer, uint64_t ack)
{
    peer->pace.is_waiting = false;
    if (peer->pace.is_tick_sent && ack == peer->pace.tick_sequence)
        peer->pace.tick_round = 0;
}

/* Shards that have seen less of the predecessor than others are told where this worker goes on: it may have nothing
 * for them for a while, and others wait there. */
void tw_pace_start(tw_remote *self)
{
    for (uint32_t s = 0; !self->pace.has_started && s < self->partition.n_shards; s++) {
        tw_peer_pace *pace = &self->peer[s].pace;
        if (pace->clock != 0 && pace->clock < self->pace.round)
            pace->tick_round = self->pace.round - 1;
    }
    self->pace.has_started = true;
    self->pace.has_finished = false;
}

void tw_pace_acquired(tw_remote *self)
{
    self->pace.learned = tw_remote_events_learned(self);
    self->pace.has_read = true;
}

void tw_pace_finish(tw_remote *self)
{
    if (self->pace.member.count == 0)
        return;
    self->pace.has_finished = true;
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        self->peer[s].pace.tick_round = self->pace.round;
        self->peer[s].pace.is_tick_sent = false;
    }
}

static tw_status pace_timeout(const tw_remote *self, const tw_peer *peer, int64_t waited_us, tw_error *error)
{
    const tw_peer_pace *pace = &peer->pace;
    const char *address = self->link->ops->address(self->link, peer->shard);
    double seconds = (double)waited_us / 1e6;
    tw_status status =
        pace->culprit_clock == 0
            ? tw_error_set(error, TW_STATUS_UNAVAILABLE,
                  "shard %u of %u at %s has waited %.1f s for worker %u of %u, which has not come; this one is in "
                  "round %u, staleness %u: start it, or restart its machine",
                  peer->shard, self->partition.n_shards, address, seconds, pace->culprit, pace->n_workers, pace->round,
                  self->pace.member.staleness)
            : tw_error_set(error, TW_STATUS_UNAVAILABLE,
                  "shard %u of %u at %s has waited %.1f s for worker %u of %u, which is still in round %u; this one is "
                  "in round %u, staleness %u: see whether it hangs, and end it, so that it is started again",
                  peer->shard, self->partition.n_shards, address, seconds, pace->culprit, pace->n_workers,
                  pace->culprit_clock, pace->round, self->pace.member.staleness);
    tw_error_code(error, "E304");
    if (error != NULL)
        error->retriable = true;
    return status;
}

static void pace_report(tw_remote *self, tw_peer *peer, int64_t now_us)
{
    tw_peer_pace *pace = &peer->pace;
    if (self->options.waiting == NULL || now_us - pace->told_us < report_every_us)
        return;
    pace->told_us = now_us;
    tw_remote_wait wait = {
        .shard = peer->shard,
        .address = self->link->ops->address(self->link, peer->shard),
        .worker = pace->culprit,
        .worker_round = pace->culprit_clock,
        .round = pace->round,
        .waited_ms = (now_us - pace->since_us) / 1000,
    };
    self->options.waiting(self->options.context, &wait);
}

tw_status tw_pace_check(tw_remote *self, int64_t stood_still_us, tw_error *error)
{
    int64_t now_us = self->pace.member.count > 0 ? self->link->ops->now_us(self->link) : 0;
    for (uint32_t s = 0; self->pace.member.count > 0 && s < self->partition.n_shards; s++) {
        tw_peer *peer = &self->peer[s];
        if (!peer->pace.is_waiting)
            continue;
        peer->pace.since_us += stood_still_us;
        peer->pace.told_us += stood_still_us;
        int64_t waited_us = now_us - peer->pace.since_us;
        if (waited_us > (int64_t)self->options.timeout_ms * 1000)
            return pace_timeout(self, peer, waited_us, error);
        pace_report(self, peer, now_us);
    }
    return TW_STATUS_OK;
}

/* Shard 0 alone knows of numbers then. */
static bool has_been_told(const tw_peer *peer)
{
    return peer->shard != 0 || !peer->is_connected || peer->pace.tick_round == 0;
}

void tw_pace_leave(tw_remote *self)
{
    bool has_number = self->options.worker.count > 0 && self->pace.member.count == 0;
    if (!has_number || self->peer == NULL || !self->peer[0].is_connected)
        return;
    self->pace.has_finished = true;
    self->peer[0].pace.tick_round = 1;
    self->peer[0].pace.is_tick_sent = false;
    (void)!tw_turn_until(self, has_been_told, LEAVE_MS, TW_STATUS_TIMEOUT, NULL);
}
