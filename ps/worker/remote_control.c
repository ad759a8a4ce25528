/* What the store asks of its shards besides rows: marks, snapshots, scan, figures. */
#include <string.h>

#include "ps/worker/ahead.h"
#include "ps/worker/cut.h"
#include "ps/worker/remote_state.h"
#include "ps/worker/turn.h"

tw_status tw_remote_settle(tw_remote *self, int timeout_ms, tw_status failure, tw_error *error)
{
    return tw_turn_until(self, tw_peer_is_settled, timeout_ms, failure, error);
}

tw_status tw_remote_settle_default(tw_remote *self, tw_error *error)
{
    return tw_remote_settle(self, self->options.timeout_ms, TW_STATUS_UNAVAILABLE, error);
}

/* A round trip to every shard: one that restarted unnoticed is greeted again and tells its marks. */
tw_status tw_remote_verify(tw_remote *self, tw_error *error)
{
    tw_status status = tw_remote_settle_default(self, error);
    if (status != TW_STATUS_OK || self->has_snapshot)
        return status;
    for (uint32_t s = 0; s < self->partition.n_shards; s++)
        tw_peer_start_control(&self->peer[s], TW_FRAME_STATS, 0);
    status = tw_remote_settle_default(self, error);
    for (uint32_t s = 0; s < self->partition.n_shards; s++)
        self->peer[s].control = (tw_control){0};
    return status;
}

/* --- snapshots ---------------------------------------------------------------------------------------------------- */

static tw_status control_error(const tw_remote *self, const tw_peer *peer, tw_error *error)
{
    return tw_error_set(error, peer->control.failure, "shard %u of %u at %s: %s", peer->shard, self->partition.n_shards,
        self->link->ops->address(self->link, peer->shard), peer->control.message);
}

tw_status tw_remote_control_status(const tw_remote *self, tw_error *error)
{
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        if (self->peer[s].control.failure < 0)
            return control_error(self, &self->peer[s], error);
    }
    return TW_STATUS_OK;
}

static void remote_end_control(tw_remote *self)
{
    for (uint32_t s = 0; s < self->partition.n_shards; s++)
        self->peer[s].control = (tw_control){0};
}

tw_status tw_remote_snapshot_start(tw_params *params, const char *directory, uint64_t id, tw_error *error)
{
    tw_remote *self = (tw_remote *)params;
    if (self->has_snapshot)
        return tw_error_set(error, TW_STATUS_CONFLICT, "a snapshot is still being written");
    tw_status status = tw_remote_settle_default(self, error);
    if (status != TW_STATUS_OK)
        return status;
    if (self->link->ops->prepare != NULL)
        status = self->link->ops->prepare(self->link, directory, error);
    if (status != TW_STATUS_OK)
        return status;
    status = tw_cut_start(self, id, error);
    self->cut.is_planned = status == TW_STATUS_CONFLICT && self->cut.is_planned; /* another id is tried at once */
    if (status != TW_STATUS_OK)
        remote_end_control(self);
    self->has_snapshot = status == TW_STATUS_OK;
    return status;
}

/* The files of a snapshot that every shard has written. */
static void remote_snapshot_take(tw_remote *self, tw_row_files *out)
{
    out->n_files = self->partition.n_shards;
    for (uint32_t s = 0; s < out->n_files; s++)
        out->file[s] = self->peer[s].control.file;
}

tw_status tw_remote_snapshot_poll(tw_params *params, int timeout_ms, tw_row_files *out, tw_error *error)
{
    tw_remote *self = (tw_remote *)params;
    if (!self->has_snapshot)
        return tw_error_set(error, TW_STATUS_INVALID, "no snapshot was started");
    int64_t deadline = self->link->ops->now_us(self->link) + (int64_t)timeout_ms * 1000;
    for (;;) {
        bool has_progress = false, is_done = true;
        uint32_t culprit = 0;
        tw_status status = tw_turn_once(self, tw_peer_is_settled, &has_progress, &culprit, error);
        if (status == TW_STATUS_OK)
            status = tw_remote_control_status(self, error);
        for (uint32_t s = 0; s < self->partition.n_shards; s++)
            is_done = is_done && self->peer[s].control.is_done;
        if (status != TW_STATUS_OK || is_done) {
            out->n_files = 0;
            if (is_done)
                remote_snapshot_take(self, out);
            remote_end_control(self);
            self->has_snapshot = false;
            return status;
        }
        /* Also a caller that never waits gives the link its turn: shards of this process write in it. */
        int64_t left_us = deadline - self->link->ops->now_us(self->link);
        int wait_ms = left_us / 1000 < TW_TURN_WAIT_MS ? (int)(left_us / 1000) + 1 : TW_TURN_WAIT_MS;
        status = self->link->ops->wait(self->link, left_us > 0 ? wait_ms : 0, error);
        if (status < 0 || left_us <= 0)
            return status < 0 ? status : TW_STATUS_IDLE;
    }
}

tw_status tw_remote_restore(tw_params *params, const char *directory, const tw_row_files *files, tw_error *error)
{
    tw_remote *self = (tw_remote *)params;
    if (self->link->ops->restore == NULL)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED,
            "shards restore themselves: start them with the checkpoint's id and directory");
    tw_ahead_drop(self);
    tw_status status = tw_remote_settle_default(self, error);
    if (status == TW_STATUS_OK)
        status = self->link->ops->restore(self->link, directory, files, error);
    if (status != TW_STATUS_OK)
        return status;
    /* The sessions went with the old rows. What the shards now know replaces what was known of them. */
    for (uint32_t s = 0; s < self->partition.n_shards; s++) {
        tw_peer *peer = &self->peer[s];
        peer->is_connected = peer->is_hello_sent = false;
        peer->n_outstanding = 0;
        peer->n_marks = 0;
        peer->not_before_us = 0;
    }
    return tw_remote_settle_default(self, error);
}

/* --- scan and stats ----------------------------------------------------------------------------------------------- */

static tw_status remote_scan_shard(
    tw_remote *self, tw_peer *peer, tw_record_visit visit, void *context, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    uint64_t at = 0;
    int64_t moved_us = self->link->ops->now_us(self->link);
    for (bool is_finished = false; status == TW_STATUS_OK && !is_finished;) {
        uint64_t incarnation = peer->incarnation;
        tw_peer_start_control(peer, TW_FRAME_SCAN, at);
        peer->control.visit = visit;
        peer->control.context = context;
        status = tw_remote_settle_default(self, error);
        if (status == TW_STATUS_OK)
            status = tw_remote_control_status(self, error);
        int64_t now_us = self->link->ops->now_us(self->link);
        if (peer->control.n_seen > at)
            moved_us = now_us;
        /* A session that was given up too early costs nothing: the same process goes on behind what was seen. */
        bool is_patient = now_us - moved_us < (int64_t)self->options.timeout_ms * 1000;
        if (status < 0 && peer->control.is_cut && peer->incarnation == incarnation && is_patient)
            status = TW_STATUS_OK;
        at = peer->control.n_seen;
        is_finished = peer->control.is_finished;
        peer->control = (tw_control){0};
    }
    return status;
}

tw_status tw_remote_scan(tw_params *params, tw_record_visit visit, void *context, tw_error *error)
{
    tw_remote *self = (tw_remote *)params;
    if (self->is_acquired || self->has_snapshot)
        return tw_error_set(error, TW_STATUS_BUSY, "scan: a batch is being learned or a snapshot written");
    tw_status status = tw_remote_verify(self, error);
    for (uint32_t s = 0; s < self->partition.n_shards && status == TW_STATUS_OK; s++)
        status = remote_scan_shard(self, &self->peer[s], visit, context, error);
    return status;
}

void tw_remote_stats(tw_params *params, tw_params_stats *out)
{
    tw_remote *self = (tw_remote *)params;
    bool has_asked = !self->has_snapshot && !self->is_acquired;
    for (uint32_t s = 0; s < self->partition.n_shards && has_asked; s++)
        tw_peer_start_control(&self->peer[s], TW_FRAME_STATS, 0);
    if (has_asked && tw_remote_settle(self, self->options.retry_ms * 2, TW_STATUS_TIMEOUT, NULL) == TW_STATUS_OK &&
        tw_remote_control_status(self, NULL) == TW_STATUS_OK) {
        self->stats.rows = self->stats.bytes = 0;
        self->stats.rows_expired = self->stats.rows_evicted = self->stats.touches_refused = 0;
        for (uint32_t s = 0; s < self->partition.n_shards; s++) {
            const tw_params_stats *stats = &self->peer[s].control.stats;
            self->stats.rows += stats->rows;
            self->stats.bytes += stats->bytes;
            self->stats.rows_expired += stats->rows_expired;
            self->stats.rows_evicted += stats->rows_evicted;
            self->stats.touches_refused += stats->touches_refused;
        }
    }
    if (has_asked)
        remote_end_control(self);
    self->stats.events_learned = params->ops->events_learned(params);
    *out = self->stats;
}
