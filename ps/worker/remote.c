#include "ps/worker/remote.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "ps/worker/admission.h"
#include "ps/worker/ahead.h"
#include "ps/worker/seat.h"
#include "ps/worker/turn.h"

enum { REMOTE_TIMEOUT_MS = 30000, REMOTE_RETRY_MS = 1000 };

/* --- acquire and release ------------------------------------------------------------------------------------------ */

/* WRITE needs every shard to be at `from`, or to have the whole range already (a replay for others). Otherwise REWIND,
 * with the shard that is behind, or that stands inside the range, in the message. */
static tw_status remote_check_marks(tw_remote *self, const tw_batch *batch, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        tw_peer *peer = &self->peer[s];
        uint64_t mark = tw_peer_mark(peer, batch->split);
        /* A push that is not answered yet counts as landed; where it is refused, so is the next one. */
        if (peer->push != NULL && peer->range.split == batch->split && peer->range.from == mark)
            mark = peer->range.to;
        bool is_behind = peer->has_lost || mark < batch->from;
        peer->has_lost = false;
        if (is_behind || (mark > batch->from && mark < batch->to))
            status = tw_error_set(error, TW_STATUS_REWIND, "shard %u of %u at %s stands at offset %llu, %s %llu", s,
                self->partition.n_shards, self->link->ops->address(self->link, s),
                (unsigned long long)(mark & ((1ull << 48) - 1)), is_behind ? "the run at" : "inside a batch from",
                (unsigned long long)(batch->from & ((1ull << 48) - 1)));
    }
    return status;
}

static void remote_hand_out(tw_remote *self, tw_flight *flight, tw_access access, tw_rows *out)
{
    self->current = flight;
    self->is_acquired = access == TW_ACCESS_WRITE;
    if (self->is_acquired)
        tw_pace_acquired(self);
    for (uint32_t s = 0; s < self->partition.n_shards; s++)
        self->peer[s].is_base_doubted = false;
    *out = (tw_rows){self->partition.spec.schema.row.size > 0 ? flight->row : NULL, flight->block};
    if (flight->admission.has_clock)
        self->clock = flight->admission.newest + 1;
}

/* Rows that were pulled ahead: the push of the batch before may be on its way. */
static tw_status remote_acquire_ahead(tw_remote *self, const tw_batch *batch, tw_rows *out, tw_error *error)
{
    tw_status status = tw_turn_until(self, tw_peer_is_pulled, self->options.timeout_ms, TW_STATUS_UNAVAILABLE, error);
    if (status == TW_STATUS_OK)
        status = remote_check_marks(self, batch, error);
    if (status == TW_STATUS_OK) {
        tw_ahead_overlay(self);
        remote_hand_out(self, self->ahead.flight, TW_ACCESS_WRITE, out);
    }
    tw_ahead_drop(self);
    return status;
}

static tw_status remote_pull(tw_remote *self, tw_flight *flight, const tw_batch *batch, tw_error *error)
{
    tw_status status = tw_flight_plan(flight, &self->partition, batch, error);
    for (uint32_t s = 0; s < self->partition.n_shards && status == TW_STATUS_OK; s++) {
        self->peer[s].pull = flight;
        self->peer[s].pull_next = self->peer[s].n_pulled = 0;
        self->peer[s].is_pull_ahead = false;
    }
    if (status == TW_STATUS_OK)
        status = tw_remote_settle_default(self, error);
    for (uint32_t s = 0; s < self->partition.n_shards; s++)
        self->peer[s].pull = NULL;
    return status;
}

static tw_status remote_acquire(
    tw_params *params, const tw_batch *batch, tw_access access, tw_rows *out, tw_error *error)
{
    tw_remote *self = (tw_remote *)params;
    if (self->is_acquired)
        return tw_error_set(error, TW_STATUS_INVALID, "acquire: the last WRITE acquisition was not released");
    bool is_write = access == TW_ACCESS_WRITE;
    if (is_write)
        tw_pace_start(self);
    if (is_write && tw_ahead_is_for(&self->ahead, batch))
        return remote_acquire_ahead(self, batch, out, error);
    if (is_write)
        tw_ahead_drop(self);
    tw_status status = self->ahead.flight != NULL ? tw_remote_settle_default(self, error) : TW_STATUS_OK;
    tw_flight *flight = tw_remote_free_flight(self);
    if (status == TW_STATUS_OK)
        status = remote_pull(self, flight, batch, error);
    tw_ahead_resume(self);
    if (status == TW_STATUS_OK && is_write)
        status = remote_check_marks(self, batch, error);
    if (status == TW_STATUS_OK && is_write)
        tw_admission_resolve(flight, &self->partition, batch);
    if (status == TW_STATUS_OK)
        remote_hand_out(self, flight, access, out);
    return status;
}

/* Until a shard has told its clock, single events are safe. */
static uint32_t remote_events_until_turn(const tw_params *params)
{
    const tw_remote *self = (const tw_remote *)params;
    uint32_t until = tw_keep_until_turn(&self->partition.spec, self->clock > 0 ? self->clock - 1 : 0);
    return until > 0 && self->clock == 0 ? 1 : until;
}

static tw_status remote_seat(tw_params *params, uint32_t most, tw_error *error)
{
    return tw_seat_take((tw_remote *)params, most, error);
}

static tw_status remote_prefetch(tw_params *params, const tw_batch *batch, tw_error *error)
{
    tw_remote *self = (tw_remote *)params;
    /* Rounds begin with what all others left: nothing is pulled before. Nor where what is learned now decides which
     * keys of the next batch have rows. */
    bool has_rounds = self->pace.member.count > 0;
    return self->is_acquired && !has_rounds && !tw_keep_is_on(&self->partition.spec)
               ? tw_ahead_start(self, batch, error)
               : TW_STATUS_OK;
}

static tw_status remote_release(
    tw_params *params, const tw_batch *batch, tw_rows *rows, uint64_t n_learned, tw_error *error)
{
    tw_remote *self = (tw_remote *)params;
    *rows = (tw_rows){0};
    if (!self->is_acquired)
        return TW_STATUS_OK;
    /* Of two pushes the second needs the first one's mark: at most one is under way. */
    tw_status status = tw_turn_until(self, tw_peer_is_pushed, self->options.timeout_ms, TW_STATUS_UNAVAILABLE, error);
    self->is_acquired = false;
    if (status != TW_STATUS_OK)
        return status;
    self->clock += self->clock > 0 ? self->current->admission.n_ticks : 0;
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        tw_peer *peer = &self->peer[s];
        peer->push = self->current;
        peer->range = (tw_frame_mark){batch->split, batch->from, batch->to};
        peer->n_learned = n_learned;
        /* Where rounds are kept, somebody else has always pushed. */
        bool must_add = peer->is_base_doubted || self->pace.member.count > 0;
        peer->form = must_add ? TW_FORM_ADD : TW_FORM_INSTALL;
        peer->push_next = 0;
        peer->is_push_sent = peer->is_push_repeated = false;
        tw_pace_begin_push(self, peer);
    }
    self->pace.round += self->pace.member.count > 0;
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        status = tw_peer_drive(self, &self->peer[s], error);
        if (status != TW_STATUS_OK)
            return status;
    }
    return TW_STATUS_OK;
}

static void remote_abandon(tw_params *params, const tw_batch *batch, tw_rows *rows)
{
    (void)batch;
    *rows = (tw_rows){0};
    tw_ahead_drop((tw_remote *)params);
    ((tw_remote *)params)->is_acquired = false;
}

static tw_status remote_mark(tw_params *params, uint64_t split, uint64_t *marks, uint32_t *n_marks, tw_error *error)
{
    tw_remote *self = (tw_remote *)params;
    uint32_t room = *n_marks, n = 0;
    tw_ahead_drop(self);
    tw_status status = tw_remote_verify(self, error);
    if (status != TW_STATUS_OK)
        return status;
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        uint64_t mark = tw_peer_mark(&self->peer[s], split);
        uint32_t at = 0;
        while (at < n && marks[at] < mark)
            at++;
        if (at < n && marks[at] == mark)
            continue;
        if (n == room)
            return tw_error_set(
                error, TW_STATUS_INVALID, "split %llu has more than %u marks", (unsigned long long)split, room);
        memmove(marks + at + 1, marks + at, (n - at) * sizeof *marks);
        marks[at] = mark;
        n++;
    }
    *n_marks = n;
    return TW_STATUS_OK;
}

static tw_status remote_flush(tw_params *params, int timeout_ms, tw_error *error)
{
    tw_remote *self = (tw_remote *)params;
    tw_status status = tw_remote_settle(self, timeout_ms, TW_STATUS_TIMEOUT, error);
    if (status == TW_STATUS_OK)
        status = tw_remote_verify(self, error);
    for (uint32_t s = 0; s < self->partition.n_shards && status >= 0; s++) {
        if (self->peer[s].has_lost)
            status = TW_STATUS_REWIND;
        self->peer[s].has_lost = false;
    }
    if (status != TW_STATUS_OK || self->pace.member.count == 0)
        return status;
    tw_pace_finish(self);
    return tw_remote_settle(self, timeout_ms, TW_STATUS_TIMEOUT, error);
}

/* Every push tells every shard how many events it was learned from: the shard that is furthest knows most. Every answer
 * of a shard says it. */
uint64_t tw_remote_events_learned(const tw_remote *self)
{
    uint64_t most = 0;
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        if (self->peer[s].events_learned > most)
            most = self->peer[s].events_learned;
    }
    return most;
}

/* Of a bulk round all must think the same, whatever came meanwhile. */
static uint64_t remote_events_learned(const tw_params *params)
{
    const tw_remote *self = (const tw_remote *)params;
    bool is_bulk = self->pace.member.count > 0 && self->pace.member.staleness == 0 && self->pace.has_read;
    return is_bulk ? self->pace.learned : tw_remote_events_learned(self);
}

tw_status tw_remote_retarget(tw_params *params, uint32_t shard, const char *address, uint64_t epoch, tw_error *error)
{
    tw_remote *self = (tw_remote *)params;
    if (self->link->ops->retarget == NULL)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED, "the shards of this store have one address for good");
    if (shard >= self->partition.n_shards)
        return tw_error_set(error, TW_STATUS_INVALID, "shard %u of %u", shard, self->partition.n_shards);
    tw_peer *peer = &self->peer[shard];
    if (epoch < peer->shard_epoch)
        return TW_STATUS_OK;
    const char *now = self->link->ops->address(self->link, shard);
    size_t size = strcspn(address, "|");
    bool is_new = epoch > peer->shard_epoch || strlen(now) != size || memcmp(now, address, size) != 0;
    peer->shard_epoch = epoch;
    if (!is_new)
        return TW_STATUS_OK;
    tw_peer_disconnect(self, peer);
    peer->not_before_us = 0;
    return self->link->ops->retarget(self->link, shard, address, error);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void remote_close(tw_params *params)
{
    tw_remote *self = (tw_remote *)params;
    tw_pace_leave(self);
    for (uint32_t s = 0; self->peer != NULL && s < self->partition.n_shards; s++)
        tw_free(self->peer[s].mark);
    for (uint32_t i = 0; i < TW_REMOTE_FLIGHTS; i++)
        tw_flight_fini(&self->flight[i]);
    tw_claim_fini(&self->claim);
    tw_partition_fini(&self->partition);
    tw_free(self->peer);
    tw_free(self->out.bytes);
    tw_free(self->record);
    if (self->link != NULL)
        self->link->ops->close(self->link);
    tw_free(self);
}

static const tw_params_ops remote_ops = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_params_ops),
    .acquire = remote_acquire,
    .release = remote_release,
    .abandon = remote_abandon,
    .mark = remote_mark,
    .flush = remote_flush,
    .snapshot_start = tw_remote_snapshot_start,
    .snapshot_poll = tw_remote_snapshot_poll,
    .restore = tw_remote_restore,
    .scan = tw_remote_scan,
    .stats = tw_remote_stats,
    .events_learned = remote_events_learned,
    .prefetch = remote_prefetch,
    .events_until_turn = remote_events_until_turn,
    .seat = remote_seat,
    .close = remote_close,
};

static tw_status remote_init(
    tw_remote *self, const tw_table_spec *spec, const tw_remote_options *options, tw_error *error)
{
    self->options = *options;
    self->options.address = NULL;
    self->options.security = NULL;
    self->options.role = options->role ? options->role : TW_ROLE_OWNER;
    self->options.timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : REMOTE_TIMEOUT_MS;
    self->options.retry_ms = options->retry_ms > 0 ? options->retry_ms : REMOTE_RETRY_MS;
    memcpy(self->name, options->model, strlen(options->model) + 1);
    self->model = tw_hash(self->name, strlen(self->name));
    if (options->sender == 0)
        self->options.sender = tw_link_sender();
    if (options->worker.count > 1 && options->worker.staleness != TW_STALENESS_UNLIMITED)
        self->pace.member = options->worker;
    if (self->pace.member.birth == 0)
        self->pace.member.birth = (uint64_t)tw_clock_wall_us();
    tw_status status = tw_partition_init(&self->partition, spec, options->n_shards, error);
    for (uint32_t i = 0; i < TW_REMOTE_FLIGHTS && status == TW_STATUS_OK; i++)
        status = tw_flight_init(&self->flight[i], &self->partition, error);
    if (status < 0)
        return status;
    self->peer = tw_alloc_zero(options->n_shards * sizeof *self->peer);
    if (self->peer == NULL)
        return tw_no_memory(error, options->n_shards * sizeof *self->peer);
    for (uint32_t s = 0; s < options->n_shards; s++) {
        self->peer[s].shard = s;
        self->peer[s].is_fresh = options->is_fresh;
        self->peer[s].retry_us = self->peer[s].patience_us = (int64_t)self->options.retry_ms * 1000;
    }
    return TW_STATUS_OK;
}

static tw_status options_check(const tw_remote_options *options, tw_error *error)
{
    if (options->n_shards == 0 || options->n_shards > TW_MAX_SHARDS)
        return tw_error_set(
            error, TW_STATUS_INVALID, "%u shards: there can be 1 to %d", options->n_shards, TW_MAX_SHARDS);
    if (options->model == NULL || options->model[0] == '\0' || strlen(options->model) >= TW_MODEL_NAME_SIZE)
        return tw_error_set(
            error, TW_STATUS_INVALID, "the model's name must have 1 to %d bytes", TW_MODEL_NAME_SIZE - 1);
    return TW_STATUS_OK;
}

tw_status tw_remote_create_over_take(
    tw_link *link, const tw_table_spec *spec, const tw_remote_options *options, tw_params **out, tw_error *error)
{
    tw_status status = options_check(options, error);
    tw_remote *self = status == TW_STATUS_OK ? tw_alloc_zero(sizeof *self) : NULL;
    if (self == NULL) {
        link->ops->close(link);
        return status < 0 ? status : tw_no_memory(error, sizeof *self);
    }
    self->params.ops = &remote_ops;
    self->link = link;
    status = remote_init(self, spec, options, error);
    if (status == TW_STATUS_OK)
        status = tw_remote_settle_default(self, error);
    self->options.stop = NULL;
    if (status < 0) {
        remote_close(&self->params);
        return status;
    }
    *out = &self->params;
    return TW_STATUS_OK;
}

tw_status tw_remote_create(
    const tw_table_spec *spec, const tw_remote_options *options, tw_params **out, tw_error *error)
{
    tw_link *link = NULL;
    tw_status status = options_check(options, error);
    if (status == TW_STATUS_OK)
        status = tw_link_zmq_create(options->address, options->n_shards, options->security, &link, error);
    return status != TW_STATUS_OK ? status : tw_remote_create_over_take(link, spec, options, out, error);
}
