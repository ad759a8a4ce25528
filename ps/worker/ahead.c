#include "ps/worker/ahead.h"

#include <string.h>

bool tw_ahead_is_for(const tw_ahead *self, const tw_batch *batch)
{
    const tw_batch *known = &self->batch;
    return self->flight != NULL && known->split == batch->split && known->from == batch->from &&
           known->to == batch->to && known->n_events == batch->n_events && known->n_entries == batch->n_entries &&
           known->key == batch->key;
}

void tw_ahead_drop(tw_remote *self)
{
    for (uint32_t s = 0; self->ahead.flight != NULL && s < self->partition.n_shards; s++) {
        self->peer[s].pull = NULL;
        self->peer[s].is_pull_ahead = false;
    }
    self->ahead = (tw_ahead){0};
}

tw_flight *tw_remote_free_flight(tw_remote *self)
{
    for (uint32_t i = 0;; i++) {
        tw_flight *flight = &self->flight[i];
        bool is_used = flight == self->ahead.flight || flight == self->ahead.behind ||
                       (self->is_acquired && flight == self->current);
        for (uint32_t s = 0; s < self->partition.n_shards; s++)
            is_used = is_used || flight == self->peer[s].push;
        /* What is pushed, learned and pulled ahead are at most three, and one of them is the caller's to come. */
        if (!is_used || i + 1 == TW_REMOTE_FLIGHTS)
            return flight;
    }
}

tw_status tw_ahead_start(tw_remote *self, const tw_batch *batch, tw_error *error)
{
    tw_ahead_drop(self);
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        if (!self->peer[s].is_connected || self->peer[s].must_resend)
            return TW_STATUS_OK;
    }
    tw_flight *flight = tw_remote_free_flight(self);
    tw_status status = tw_flight_plan(flight, &self->partition, batch, error);
    if (status < 0)
        return status;
    self->ahead = (tw_ahead){.flight = flight, .behind = self->current, .batch = *batch};
    for (uint32_t s = 0; s < self->partition.n_shards && status == TW_STATUS_OK; s++) {
        tw_peer *peer = &self->peer[s];
        peer->pull = flight;
        peer->pull_next = peer->n_pulled = 0;
        peer->is_pull_ahead = true;
        status = tw_peer_drive(self, peer, error);
    }
    return status;
}

/* Whether the push of the flight behind came, or will come, to the shard after this pull. */
static bool chunk_lacks_push(const tw_ahead *self, const tw_peer *peer, const tw_flight_chunk *chunk)
{
    bool is_unsent = peer->push == self->behind && !peer->is_push_sent;
    return is_unsent || chunk->handle < peer->push_last;
}

void tw_ahead_overlay(tw_remote *self)
{
    tw_flight *flight = self->ahead.flight;
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        for (uint32_t i = flight->chunk_first[s]; i < flight->chunk_first[s + 1]; i++) {
            tw_flight_chunk *chunk = &flight->chunk[i];
            if (!chunk_lacks_push(&self->ahead, &self->peer[s], chunk))
                continue;
            tw_flight_overlay(flight, &self->partition, s, chunk, self->ahead.behind);
            chunk->generation++;
        }
    }
}

static bool chunks_are_held(const tw_flight *flight, const tw_peer *peer)
{
    for (uint32_t i = flight->chunk_first[peer->shard]; i < flight->chunk_first[peer->shard + 1]; i++) {
        if (!flight->chunk[i].is_pulled || flight->chunk[i].session != peer->hello)
            return false;
    }
    return true;
}

void tw_ahead_resume(tw_remote *self)
{
    tw_flight *flight = self->ahead.flight;
    bool is_held = true;
    for (uint32_t s = 0; flight != NULL && s < self->partition.n_shards; s++) {
        tw_peer *peer = &self->peer[s];
        peer->pull = flight;
        peer->is_pull_ahead = true;
        peer->pull_next = peer->n_pulled = tw_flight_chunk_count(flight, s);
        is_held = is_held && chunks_are_held(flight, peer);
    }
    if (!is_held)
        tw_ahead_drop(self);
}
