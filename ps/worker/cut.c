#include "ps/worker/cut.h"

#include "ps/worker/remote_state.h"

enum { CUT_AHEAD = 1, CUT_MAX_AHEAD = 64 };

void tw_remote_plan_cut(tw_params *params, bool has_rounds)
{
    tw_remote *self = (tw_remote *)params;
    self->cut.is_planned = true;
    self->cut.has_rounds = has_rounds;
}

/* A round that nobody has left behind when the BARRIER arrives, where workers are not too fast. */
static tw_status cut_round(tw_remote *self, uint32_t *round, tw_error *error)
{
    for (uint32_t s = 0; s < self->partition.n_shards; s++)
        tw_peer_start_control(&self->peer[s], TW_FRAME_STATS, 0);
    tw_status status = tw_remote_settle_default(self, error);
    if (status == TW_STATUS_OK)
        status = tw_remote_control_status(self, error);
    *round = 0;
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        const tw_control *control = &self->peer[s].control;
        *round = control->round > *round ? control->round : *round;
        if (status == TW_STATUS_OK && control->round == 0)
            status = tw_error_set(error, TW_STATUS_BUSY, "shard %u of %u: no worker that keeps rounds has come", s,
                self->partition.n_shards);
    }
    *round += *round < UINT32_MAX - self->cut.ahead ? self->cut.ahead : 0;
    return status;
}

/* A shard may have told the end of its snapshot when what it said at the cut is lost. */
static tw_status cut_compare(const tw_remote *self, tw_error *error)
{
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        if (!self->peer[s].control.is_acked)
            return tw_error_set(error, TW_STATUS_BUSY, "where shard %u of %u stands at the cut was lost on its way", s,
                self->partition.n_shards);
    }
    for (uint32_t s = 1; s < self->partition.n_shards; s++) {
        const tw_control *first = &self->peer[0].control, *control = &self->peer[s].control;
        if (first->has_digest && control->has_digest && first->digest != control->digest)
            return tw_error_set(error, TW_STATUS_BUSY,
                "shards 0 and %u stand at different marks, as a worker or shard died: what is missing is learned first",
                s);
    }
    return TW_STATUS_OK;
}

tw_status tw_cut_start(tw_remote *self, uint64_t id, tw_error *error)
{
    uint32_t round = 0;
    bool is_one = self->cut.is_planned, has_rounds = is_one && self->cut.has_rounds;
    tw_status status = TW_STATUS_OK;
    if (has_rounds) {
        self->cut.ahead = self->cut.ahead == 0 ? CUT_AHEAD : self->cut.ahead * 2;
        status = cut_round(self, &round, error);
    }
    if (status != TW_STATUS_OK)
        return status;
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        tw_peer_start_control(&self->peer[s], TW_FRAME_BARRIER, id);
        self->peer[s].control.round = round;
    }
    /* Nothing is pushed before every shard has cut, so that all cut at the same batch. */
    status = tw_remote_settle_default(self, error);
    if (status == TW_STATUS_OK)
        status = tw_remote_control_status(self, error);
    if (status == TW_STATUS_OK && is_one)
        status = cut_compare(self, error);
    if (status == TW_STATUS_OK || self->cut.ahead >= CUT_MAX_AHEAD)
        self->cut.ahead = 0;
    return status;
}
