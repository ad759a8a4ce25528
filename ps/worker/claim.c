#include "ps/worker/claim.h"

#include <string.h>

#include "base/alloc.h"
#include "ps/wire/orders.h"
#include "ps/worker/ahead.h"
#include "ps/worker/turn.h"

static tw_status claim_settle(tw_remote *self, tw_error *error)
{
    return tw_turn_until(self, tw_peer_is_settled, self->options.timeout_ms, TW_STATUS_UNAVAILABLE, error);
}

static void claim_reset(tw_remote *self)
{
    tw_free(self->claim.split);
    self->claim = (tw_claim){0};
    self->is_acquired = false;
    tw_ahead_drop(self);
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        tw_peer *peer = &self->peer[s];
        peer->push = NULL;
        peer->pull = NULL;
        peer->is_claim_due = peer->is_claim_sent = false;
    }
}

tw_status tw_remote_claim(tw_params *params, tw_lease lease, const uint64_t *split, size_t n, tw_error *error)
{
    tw_remote *self = (tw_remote *)params;
    tw_status status = self->claim.is_stale ? TW_STATUS_OK : claim_settle(self, error);
    if (status != TW_STATUS_OK)
        return status;
    claim_reset(self);
    if (lease.epoch == 0 || n > TW_LEASE_MAX_SPLITS)
        return tw_error_set(
            error, TW_STATUS_INVALID, "a share of %zu splits: at most %d, with an owner epoch", n, TW_LEASE_MAX_SPLITS);
    self->claim.split = tw_alloc((n > 0 ? n : 1) * sizeof *split);
    if (self->claim.split == NULL)
        return tw_no_memory(error, n * sizeof *split);
    if (n > 0)
        memcpy(self->claim.split, split, n * sizeof *split);
    self->claim.n_splits = (uint32_t)n;
    self->claim.lease = lease;
    for (uint32_t s = 0; s < self->partition.n_shards; s++)
        self->peer[s].is_claim_due = true;
    return claim_settle(self, error);
}

void tw_remote_unclaim(tw_params *params)
{
    tw_remote *self = (tw_remote *)params;
    if (self->claim.lease.epoch != 0)
        claim_reset(self);
}

tw_status tw_remote_fence(tw_params *params, const tw_lease *lease, uint32_t n, tw_error *error)
{
    uint64_t highest = 0;
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < n && status >= 0; i++) {
        status = tw_remote_claim(params, lease[i], NULL, 0, error);
        if (status < 0 && tw_remote_is_fenced(params, &highest))
            status = TW_STATUS_OK;
        tw_remote_unclaim(params);
    }
    return status;
}

bool tw_remote_is_fenced(const tw_params *params, uint64_t *highest)
{
    const tw_remote *self = (const tw_remote *)params;
    *highest = self->claim.highest;
    return self->claim.is_stale;
}

uint64_t tw_remote_shards(const tw_params *params, uint64_t *epochs)
{
    const tw_remote *self = (const tw_remote *)params;
    uint64_t sum = 0, sum_of_epochs = 0;
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        if (self->peer[s].incarnation == 0)
            return 0;
        sum += tw_process_digest(s, self->peer[s].incarnation);
        sum_of_epochs += self->peer[s].served_epoch;
    }
    if (epochs != NULL)
        *epochs = sum_of_epochs;
    return sum | 1;
}

void tw_claim_fini(tw_claim *self)
{
    tw_free(self->split);
    *self = (tw_claim){0};
}

tw_status tw_claim_take(tw_remote *self, tw_peer *peer, const tw_frame *frame, tw_error *error)
{
    const tw_claim *claim = &self->claim;
    if (!peer->is_claim_due || !peer->is_claim_sent || frame->ack != peer->claim_sequence)
        return TW_STATUS_OK;
    if (frame->handle != claim->lease.share || frame->payload_size != (size_t)claim->n_splits * 8)
        return tw_error_set(error, TW_STATUS_PROTOCOL, "shard %u: ACQUIRED of a wrong share or length", peer->shard);
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < claim->n_splits && status == TW_STATUS_OK; i++) {
        uint64_t mark = tw_get_u64(frame->payload + (size_t)i * 8);
        if (mark != tw_peer_mark(peer, claim->split[i]))
            status = tw_peer_set_mark(peer, claim->split[i], mark, error);
    }
    peer->is_claim_due = status != TW_STATUS_OK;
    return status;
}

tw_status tw_claim_take_refusal(tw_remote *self, const tw_peer *peer, const tw_frame *frame, tw_error *error)
{
    tw_claim *claim = &self->claim;
    /* A late answer to what was pushed under a claim before this one. */
    if (claim->lease.epoch == 0 || frame->n_marks == 0 || frame->mark[0].split != claim->lease.share ||
        frame->mark[0].to <= claim->lease.epoch)
        return TW_STATUS_OK;
    claim->is_stale = true;
    if (frame->mark[0].to > claim->highest)
        claim->highest = frame->mark[0].to;
    tw_status status = tw_error_set(error, TW_STATUS_CONFLICT, "shard %u of %u: share %llu was given to another worker",
        peer->shard, self->partition.n_shards, (unsigned long long)self->claim.lease.share);
    tw_error_code(error, "E305");
    return status;
}
