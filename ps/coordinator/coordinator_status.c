/* What a coordinator says of itself. */
#include <string.h>

#include "base/alloc.h"
#include "ps/coordinator/coordinator_state.h"

const tw_refusals *tw_coordinator_refusals(const tw_coordinator *self)
{
    return &self->refusals;
}

void tw_coordinator_formless(tw_coordinator *self)
{
    self->refusals.n_formless++;
}

void tw_coordinator_tell_connections(tw_coordinator *self, uint64_t n_refused)
{
    self->refused_connections = n_refused;
}

static uint64_t ms_since(const tw_coordinator *self, int64_t at_us)
{
    return self->now_us > at_us ? (uint64_t)(self->now_us - at_us) / 1000 : 0;
}

static void look_at_shard(const tw_coordinator *self, uint32_t shard, tw_coordination_shard *out)
{
    tw_lookout_shard seen = {.silent_us = -1};
    *out = (tw_coordination_shard){.epoch = self->shard_epoch[shard],
        .silent_ms = TW_STATUS_UNKNOWN,
        .takeovers = TW_STATUS_UNKNOWN,
        .is_served = TW_STATUS_UNKNOWN,
        .has_standby = TW_STATUS_UNKNOWN};
    const char *address = self->address[shard];
    if (self->options.look != NULL) {
        self->options.look(self->options.context, shard, &seen);
        address = seen.address;
        out->silent_ms = seen.silent_us >= 0 ? (uint64_t)seen.silent_us / 1000 : TW_STATUS_UNKNOWN;
        out->takeovers = seen.takeovers;
        out->is_served = seen.is_served;
        out->has_standby = seen.has_standby;
    }
    memcpy(out->address, address, strcspn(address, "|"));
}

static void take_figures(const tw_coordinator *self, tw_coordination *out)
{
    tw_coordinator_figures now;
    tw_coordinator_stats(self, &now);
    const uint64_t figure[TW_COORDINATION_N_FIGURES] = {
        [TW_COORDINATION_UPTIME_MS] = ms_since(self, self->started_us),
        [TW_COORDINATION_INCARNATION] = self->options.incarnation,
        [TW_COORDINATION_MEMBERS] = now.n_members,
        [TW_COORDINATION_SHARES] = now.n_shares,
        [TW_COORDINATION_PASSES] = self->passes,
        [TW_COORDINATION_GRANTED] = now.n_granted,
        [TW_COORDINATION_FINISHED] = now.n_finished,
        [TW_COORDINATION_GRANTS] = now.grants,
        [TW_COORDINATION_EVICTIONS] = now.evictions,
        [TW_COORDINATION_RESETS] = now.resets,
        [TW_COORDINATION_HIGHEST_EPOCH] = self->next_epoch,
        [TW_COORDINATION_MAP_VERSION] = self->map_version,
        [TW_COORDINATION_REPEATED] = self->refusals.n_repeated,
        [TW_COORDINATION_FORMLESS] = self->refusals.n_formless,
        [TW_COORDINATION_REFUSED_CONNECTIONS] = self->refused_connections,
        [TW_COORDINATION_IS_WATCHING] = self->options.look != NULL,
        [TW_COORDINATION_CHECKPOINT] = self->saved != 0 ? self->saved : TW_STATUS_UNKNOWN,
        [TW_COORDINATION_CHECKPOINT_AGE_MS] = self->saved != 0 ? ms_since(self, self->saved_us) : TW_STATUS_UNKNOWN,
    };
    memcpy(out->figure, figure, sizeof figure);
    memcpy(out->nack, self->refusals.nack, sizeof out->nack);
}

tw_status tw_coordinator_status(const tw_coordinator *self, tw_coordination *out, tw_error *error)
{
    take_figures(self, out);
    out->shard = tw_alloc_zero(self->options.n_shards * sizeof *out->shard);
    out->member = tw_alloc_zero((self->n_members + 1) * sizeof *out->member);
    if (out->shard == NULL || out->member == NULL) {
        tw_coordination_fini(out);
        return tw_no_memory(error, self->n_members * sizeof *out->member);
    }
    out->n_shards = self->options.n_shards;
    out->n_members = (uint32_t)self->n_members;
    uint64_t *takeovers = &out->figure[TW_COORDINATION_TAKEOVERS];
    for (uint32_t i = 0; i < out->n_shards; i++) {
        look_at_shard(self, i, &out->shard[i]);
        *takeovers += out->shard[i].takeovers != TW_STATUS_UNKNOWN ? out->shard[i].takeovers : 0;
    }
    for (uint32_t i = 0; i < out->n_members; i++) {
        const member *one = &self->member[i];
        out->member[i] = (tw_coordination_member){
            .number = one->number, .silent_ms = ms_since(self, one->heard_us), .grant = one->grant};
        memcpy(out->member[i].name, one->standing.name, sizeof out->member[i].name);
    }
    return TW_STATUS_OK;
}

void tw_coordinator_status_answer(tw_coordinator *self, const void *peer, size_t peer_size, const tw_frame *request)
{
    tw_coordination now = {0};
    tw_frame answer = {.type = TW_FRAME_STATUS_ARE,
        .model = self->model,
        .sender = request->sender,
        .incarnation = self->options.incarnation,
        .ack = request->sequence};
    /* Without memory the asker's deadline does its work. */
    if (tw_coordinator_status(self, &now, NULL) == TW_STATUS_OK &&
        tw_frame_begin(&self->out, &answer, NULL, NULL) == TW_STATUS_OK &&
        tw_coordination_encode(&now, &self->out, NULL) == TW_STATUS_OK) {
        tw_frame_finish(&self->out, &answer);
        self->options.emit(self->options.context, peer, peer_size, self->out.bytes, self->out.size);
    }
    tw_coordination_fini(&now);
}
