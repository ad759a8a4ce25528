#include "ps/worker/turn.h"

#include "ps/wire/patience.h"

static const int64_t progress_every_us = 1000000;

static tw_status turn_receive(tw_remote *self, tw_peer *peer, bool *has_progress, tw_error *error)
{
    for (;;) {
        const void *bytes = NULL;
        size_t size = 0;
        tw_status status = self->link->ops->receive(self->link, peer->shard, &bytes, &size, error);
        if (status == TW_STATUS_IDLE)
            return TW_STATUS_OK;
        if (status == TW_STATUS_OK)
            status = tw_peer_take(self, peer, bytes, size, error);
        if (status != TW_STATUS_OK)
            return status;
        *has_progress = true;
    }
}

tw_status tw_turn_once(tw_remote *self, tw_peer_test is_done, bool *has_progress, uint32_t *culprit, tw_error *error)
{
    uint32_t n = self->partition.n_shards;
    *has_progress = false;
    for (uint32_t s = 0; s < n; s++) {
        tw_status status = turn_receive(self, &self->peer[s], has_progress, error);
        if (status != TW_STATUS_OK)
            return status;
    }
    for (uint32_t s = 0; s < n; s++) {
        tw_status status = tw_peer_drive(self, &self->peer[s], error);
        if (status != TW_STATUS_OK)
            return status;
    }
    for (uint32_t s = 0; s < n; s++) {
        tw_status status = turn_receive(self, &self->peer[s], has_progress, error);
        if (status != TW_STATUS_OK)
            return status;
    }
    for (*culprit = 0; *culprit < n && is_done(&self->peer[*culprit]); ++*culprit) {
    }
    return TW_STATUS_OK;
}

static tw_status turn_timeout(
    const tw_remote *self, tw_status failure, uint32_t culprit, int timeout_ms, tw_error *error)
{
    const char *why = self->peer[culprit].is_turned_away
                          ? "does not serve: it is a standby, or another shard has taken over from it; waited"
                          : "has not answered for";
    tw_status status = tw_error_set(error, failure,
        "shard %u of %u at %s %s %g s; check that it runs, that the address is "
        "its, and with keys that its allow-list has this one's",
        culprit, self->partition.n_shards, self->link->ops->address(self->link, culprit), why, timeout_ms / 1000.0);
    tw_error_code(error, "E301");
    if (error != NULL)
        error->retriable = true;
    return status;
}

static tw_status turn_stopped(const tw_remote *self, uint32_t culprit, tw_error *error)
{
    if (self->options.stop == NULL || !atomic_load_explicit(self->options.stop, memory_order_relaxed))
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_CANCELLED, "stopped, while shard %u of %u at %s had not answered yet", culprit,
        self->partition.n_shards, self->link->ops->address(self->link, culprit));
}

static tw_status turn_report(const tw_remote *self, uint32_t culprit, int64_t waited_us, tw_error *error)
{
    const tw_remote_options *options = &self->options;
    tw_status status = options->check != NULL ? options->check(options->context, error) : TW_STATUS_OK;
    if (status >= 0 && options->progress != NULL)
        options->progress(options->context, culprit, self->link->ops->address(self->link, culprit), waited_us / 1000);
    return status;
}

tw_status tw_turn_until(tw_remote *self, tw_peer_test is_done, int timeout_ms, tw_status failure, tw_error *error)
{
    int64_t started = self->link->ops->now_us(self->link), reported = started, looked = started;
    for (;;) {
        bool has_progress = false;
        uint32_t culprit = 0;
        tw_status status = tw_turn_once(self, is_done, &has_progress, &culprit, error);
        if (status != TW_STATUS_OK || culprit == self->partition.n_shards)
            return status;
        int64_t now = self->link->ops->now_us(self->link), stood_still_us = tw_stood_still_us(&looked, now);
        started += stood_still_us;
        reported += stood_still_us;
        status = tw_pace_check(self, stood_still_us, error);
        if (status < 0)
            return status;
        status = turn_stopped(self, culprit, error);
        if (status < 0)
            return status;
        if (has_progress && self->peer[culprit].is_connected)
            started = reported = now;
        if (now - started > (int64_t)timeout_ms * 1000)
            return turn_timeout(self, failure, culprit, timeout_ms, error);
        if (now - reported > progress_every_us) {
            reported = now;
            status = turn_report(self, culprit, now - started, error);
        }
        if (has_progress && status >= 0)
            continue;
        if (status >= 0)
            status = self->link->ops->wait(self->link, TW_TURN_WAIT_MS, error);
        if (status < 0)
            return status;
    }
}
