#include "ps/worker/seat.h"

#include <stdio.h>

#include "ps/worker/turn.h"

enum { ASK_AGAIN_MS = 2, REPORT_US = 1000000, APART_US = 1000000 };

/* OK: `*has_seat` is the answer; IDLE: a connection was lost meanwhile. */
static tw_status take_answers(tw_remote *self, uint32_t n_asked, bool *has_seat)
{
    tw_status status = TW_STATUS_OK;
    *has_seat = true;
    for (uint32_t s = 0; s < n_asked; s++) {
        tw_control *control = &self->peer[s].control;
        if (control->failure == TW_STATUS_UNSUPPORTED)
            self->is_seatless = true;
        else if (control->failure < 0)
            status = TW_STATUS_IDLE;
        else
            *has_seat = *has_seat && control->has_seat;
        *control = (tw_control){0};
    }
    return status;
}

/* The round goes by without this worker. */
static tw_status pass_round(tw_remote *self, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    tw_pace_acquired(self);
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        self->peer[s].pace.tick_round = self->pace.round;
        self->peer[s].pace.is_tick_sent = false;
    }
    self->pace.round++;
    for (uint32_t s = 0; s < self->partition.n_shards && status == TW_STATUS_OK; s++)
        status = tw_peer_drive(self, &self->peer[s], error);
    return status < 0 ? status : TW_STATUS_IDLE;
}

static void name_holder(const tw_seat_holder *holder, char text[64])
{
    if (holder->number != 0)
        (void)snprintf(text, 64, "worker %llu", (unsigned long long)holder->number - 1);
    else if (holder->share != 0)
        (void)snprintf(text, 64, "the worker of share %llu", (unsigned long long)holder->share - 1);
    else
        (void)snprintf(text, 64, "the worker of session %llx", (unsigned long long)holder->sender);
}

/* One who learns may keep its seat for long. UNAVAILABLE: they are kept, and nobody learns. */
static tw_status check_wait(tw_remote *self, const tw_seat_holder *holder, tw_error *error)
{
    char who[64];
    tw_seat_wait *wait = &self->seat_wait;
    const char *address = self->link->ops->address(self->link, 0);
    int64_t now_us = tw_peer_now(self);
    if (now_us - wait->asked_us > APART_US || holder->n_row_frames != wait->n_row_frames || holder->sender == 0)
        wait->since_us = wait->told_us = now_us;
    wait->asked_us = now_us;
    wait->n_row_frames = holder->n_row_frames;
    name_holder(holder, who);
    if (self->options.waiting != NULL && now_us - wait->told_us > REPORT_US) {
        wait->told_us = now_us;
        tw_remote_wait said = {.address = address, .holder = who, .waited_ms = (now_us - wait->since_us) / 1000};
        self->options.waiting(self->options.context, &said);
    }
    if (now_us - wait->since_us <= (int64_t)self->options.timeout_ms * 1000)
        return TW_STATUS_OK;
    tw_status status = tw_error_set(error, TW_STATUS_UNAVAILABLE,
        "shard 0 of %u at %s has given this worker no seat for %.1f s, in which nobody learned; %s has one: see "
        "whether "
        "it hangs, and end it",
        self->partition.n_shards, address, (double)(now_us - wait->since_us) / 1e6, who);
    tw_error_code(error, "E304");
    if (error != NULL)
        error->retriable = true;
    return status;
}

tw_status tw_seat_take(tw_remote *self, uint32_t most, tw_error *error)
{
    bool has_rounds = self->pace.member.count > 0, has_seat = false;
    uint32_t n_asked = has_rounds ? self->partition.n_shards : 1;
    if (self->is_seatless || self->has_snapshot || self->is_acquired)
        return TW_STATUS_OK;
    tw_pace_start(self);
    for (uint32_t s = 0; s < n_asked; s++)
        tw_peer_start_control(&self->peer[s], TW_FRAME_SEAT, most);
    tw_status status = tw_turn_until(self, tw_peer_is_settled, self->options.timeout_ms, TW_STATUS_UNAVAILABLE, error);
    tw_seat_holder holder = self->peer[0].control.holder;
    tw_status answer = take_answers(self, n_asked, &has_seat);
    if (status != TW_STATUS_OK || answer != TW_STATUS_OK || has_seat)
        return status != TW_STATUS_OK ? status : answer;
    if (has_rounds)
        return pass_round(self, error);
    status = check_wait(self, &holder, error);
    if (status < 0)
        return status;
    status = self->link->ops->wait(self->link, ASK_AGAIN_MS, error);
    return status < 0 ? status : TW_STATUS_IDLE;
}
