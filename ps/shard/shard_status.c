/* What a shard says of itself. */
#include <string.h>

#include "base/alloc.h"
#include "ps/shard/replication.h"
#include "ps/shard/shard_state.h"

void tw_shard_tell_edge(tw_shard *self, const tw_shard_edge *edge)
{
    self->edge = *edge;
}

static void take_table(const tw_shard *self, tw_shard_status *out)
{
    tw_params_stats stats = {0};
    size_t n_marks = 0;
    if (self->table == NULL)
        return;
    const tw_mark *mark = tw_table_marks(self->table, &n_marks);
    tw_table_stats(self->table, &stats);
    out->figure[TW_STATUS_HASH_SEED] = tw_table_spec_of(self->table)->hash_seed;
    out->figure[TW_STATUS_EVENTS] = tw_table_events_learned(self->table);
    out->figure[TW_STATUS_ROWS] = stats.rows;
    out->figure[TW_STATUS_BYTES] = stats.bytes;
    out->figure[TW_STATUS_MARKS] = n_marks;
    if (n_marks > TW_STATUS_MAX_MARKS)
        n_marks = TW_STATUS_MAX_MARKS;
    out->mark = n_marks > 0 ? tw_alloc(n_marks * sizeof *mark) : NULL;
    if (out->mark == NULL)
        return;
    memcpy(out->mark, mark, n_marks * sizeof *mark);
    out->n_marks = n_marks;
}

static void take_edge(const tw_shard *self, tw_shard_status *out)
{
    out->figure[TW_STATUS_UPTIME_MS] = self->edge.uptime_ms;
    out->figure[TW_STATUS_SNAPSHOT] = self->edge.snapshot;
    out->figure[TW_STATUS_SNAPSHOT_AGE_MS] = self->edge.snapshot_age_ms;
    out->figure[TW_STATUS_SNAPSHOT_FAILURES] = self->edge.snapshot_failures;
    out->figure[TW_STATUS_UNSENT_BYTES] = self->edge.unsent_bytes;
    out->figure[TW_STATUS_REFUSED_CONNECTIONS] = self->edge.refused_connections;
}

static void take_replication(const tw_shard *self, tw_shard_status *out)
{
    tw_replication is = {0};
    tw_shard_replication(self, &is);
    out->figure[TW_STATUS_TAKEOVERS] = is.epoch;
    out->figure[TW_STATUS_IS_STANDBY] = is.is_standby;
    out->figure[TW_STATUS_HAS_STANDBY] = is.has_standby && !is.is_silent;
    out->figure[TW_STATUS_ALONE] = is.n_alone;
    out->figure[TW_STATUS_IS_DEPOSED] = is.is_deposed;
    out->figure[TW_STATUS_KNOWN_EPOCH] = is.known_epoch;
    out->figure[TW_STATUS_GIVEN_UP] = is.n_given_up;
    out->figure[TW_STATUS_FAILED_COPIES] = is.n_failed_copies;
    memcpy(out->copy_failure, is.why, strlen(is.why) + 1);
    if (!is.has_standby)
        return;
    out->figure[TW_STATUS_IS_CAUGHT_UP] = is.is_caught_up;
    out->figure[TW_STATUS_LAG_ENTRIES] = is.lag_entries;
    out->figure[TW_STATUS_LAG_BYTES] = is.lag_bytes;
    out->figure[TW_STATUS_LAG_MS] = (uint64_t)(is.lag_us > 0 ? is.lag_us / 1000 : 0);
}

void tw_shard_status_now(const tw_shard *self, tw_shard_status *out)
{
    uint32_t n_sessions = 0;
    memset(out, 0, sizeof *out);
    memset(out->figure, 0xff, sizeof out->figure);
    memcpy(out->model, self->name, sizeof out->model);
    out->figure[TW_STATUS_SHARD] = self->options.index;
    out->figure[TW_STATUS_SHARDS] = self->options.count;
    out->figure[TW_STATUS_EPOCH] = self->epoch;
    out->figure[TW_STATUS_INCARNATION] = self->incarnation;
    out->figure[TW_STATUS_PUSHES] = self->generation;
    out->figure[TW_STATUS_SESSION_BYTES] = tw_shard_session_bytes(self, &n_sessions);
    out->figure[TW_STATUS_SESSIONS] = n_sessions;
    out->figure[TW_STATUS_CREDIT_FRAMES] = (uint64_t)n_sessions * self->options.credit_frames;
    out->figure[TW_STATUS_CREDIT_BYTES] = (uint64_t)n_sessions * self->options.credit_bytes;
    out->figure[TW_STATUS_TOUCHES] = self->sketch.n_touches;
    out->figure[TW_STATUS_SAMPLES] = self->sketch.n_samples;
    out->figure[TW_STATUS_REPEATED] = self->refusals.n_repeated;
    out->figure[TW_STATUS_FORMLESS] = self->refusals.n_formless;
    memcpy(out->nack, self->refusals.nack, sizeof out->nack);
    out->n_hot = tw_sketch_top(&self->sketch, out->hot);
    out->n_ranges = self->sketch.n_ranges;
    memcpy(out->range, self->sketch.range, sizeof out->range);
    take_table(self, out);
    take_edge(self, out);
    take_replication(self, out);
    out->figure[TW_STATUS_SEATS] = tw_shard_seats_taken(self);
    tw_shard_rounds_status(self, out);
}

void tw_shard_status_answer(tw_shard *self, const void *peer, size_t peer_size, const tw_frame *frame)
{
    tw_shard_status status;
    tw_frame answer = tw_shard_answer(self, NULL, frame, TW_FRAME_STATUS_ARE);
    tw_shard_status_now(self, &status);
    if (frame->handle == TW_STATUS_BRIEF)
        status.n_marks = 0;
    /* Without memory the asker's deadline does its work. */
    if (tw_frame_begin(&self->out, &answer, NULL, NULL) == TW_STATUS_OK &&
        tw_shard_status_encode(&status, &self->out, NULL) == TW_STATUS_OK)
        tw_shard_send(self, peer, peer_size, &answer);
    tw_shard_status_fini(&status);
}
