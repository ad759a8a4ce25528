#include "ps/worker/seat.h"

#include "ps/worker/turn.h"

enum { ASK_AGAIN_MS = 2 };

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
    tw_status answer = take_answers(self, n_asked, &has_seat);
    if (status != TW_STATUS_OK || answer != TW_STATUS_OK || has_seat)
        return status != TW_STATUS_OK ? status : answer;
    if (has_rounds)
        return pass_round(self, error);
    status = self->link->ops->wait(self->link, ASK_AGAIN_MS, error);
    return status < 0 ? status : TW_STATUS_IDLE;
}
