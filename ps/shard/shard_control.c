/* A shard's control requests: scan, figures, snapshots. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "ps/shard/shard_state.h"

enum {
    SHARD_SCAN_FRAMES = 32,    /* that answer one SCAN */
    BARRIER_WAIT_US = 3000000, /* for workers to come to the round of a cut */
};

typedef struct shard_scan {
    tw_shard *shard;
    const tw_session *session;
    tw_frame answer;
    uint64_t n_skip, n_seen;
    uint32_t n_frames;
} shard_scan;

static tw_status scan_begin(shard_scan *self, tw_error *error)
{
    return tw_frame_begin(&self->shard->out, &self->answer, NULL, error);
}

static void scan_send(shard_scan *self, bool has_more, bool is_finished)
{
    self->answer.flags = has_more ? TW_FRAME_MORE : 0;
    self->answer.handle = self->n_seen;
    self->answer.generation = is_finished;
    self->n_frames++;
    tw_shard_send(self->shard, self->session->peer, self->session->peer_size, &self->answer);
}

/* Payload per record: block i32, size u32, key u64, bytes. */
static tw_status scan_visit(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    shard_scan *self = context;
    tw_shard *shard = self->shard;
    if (self->n_seen < self->n_skip) {
        self->n_seen++;
        return TW_STATUS_OK;
    }
    const tw_schema *schema = &tw_table_spec_of(shard->table)->schema;
    uint32_t size = block < 0 ? schema->row.size : schema->block[block].record.size;
    if (shard->out.size > TW_FRAME_HEADER && shard->out.size + size > TW_FRAME_CHUNK) {
        if (self->n_frames + 1 == SHARD_SCAN_FRAMES)
            return TW_STATUS_CANCELLED;
        scan_send(self, true, false);
        if (scan_begin(self, error) < 0)
            return TW_STATUS_NO_MEMORY;
    }
    unsigned char *at = tw_buffer_reserve(&shard->out, 16 + (size_t)size, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    tw_put_u32(at, (uint32_t)block);
    tw_put_u32(at + 4, size);
    tw_put_u64(at + 8, key);
    memcpy(at + 16, record, size);
    self->n_seen++;
    return TW_STATUS_OK;
}

void tw_shard_scan(tw_shard *self, const tw_session *session, const tw_frame *frame)
{
    shard_scan scan = {.shard = self, .session = session, .n_skip = frame->handle};
    tw_error error = {0};
    scan.answer = tw_shard_answer(self, session, frame, TW_FRAME_SCANNED);
    tw_status status = scan_begin(&scan, &error);
    if (status == TW_STATUS_OK)
        status = tw_table_scan(self->table, scan_visit, &scan, &error);
    if (status == TW_STATUS_OK || status == TW_STATUS_CANCELLED)
        scan_send(&scan, false, status == TW_STATUS_OK);
    else
        tw_shard_nack(self, session->peer, session->peer_size, frame, TW_NACK_FAILED, NULL, error.message);
}

/* Payload: rows, bytes, events learned, u64 each; with tw_keep also rows expired, rows evicted, touches refused. */
void tw_shard_stats(tw_shard *self, const tw_session *session, const tw_frame *frame)
{
    tw_params_stats stats = {0};
    tw_table_stats(self->table, &stats);
    tw_frame answer = tw_shard_answer(self, session, frame, TW_FRAME_STATS_ARE);
    answer.clock = tw_rounds_highest(&self->rounds.of);
    if (tw_frame_begin(&self->out, &answer, NULL, NULL) < 0)
        return;
    bool keeps = tw_keep_is_on(tw_table_spec_of(self->table));
    unsigned char *at = tw_buffer_reserve(&self->out, keeps ? 48 : 24, NULL);
    if (at == NULL)
        return;
    tw_put_u64(at, stats.rows);
    tw_put_u64(at + 8, stats.bytes);
    tw_put_u64(at + 16, tw_table_events_learned(self->table));
    if (keeps) {
        tw_put_u64(at + 24, stats.rows_expired);
        tw_put_u64(at + 32, stats.rows_evicted);
        tw_put_u64(at + 40, stats.touches_refused);
    }
    tw_shard_send(self, session->peer, session->peer_size, &answer);
}

/* Of a cut at a round: NULL, or why there is none. */
static const char *barrier_obstacle(const tw_shard *self, const tw_frame *frame)
{
    if (self->rounds.of.count == 0)
        return "no worker that keeps rounds has come";
    if (self->is_busy)
        return "a snapshot of its own is being written";
    return tw_rounds_highest(&self->rounds.of) > frame->clock ? "the workers were too fast" : NULL;
}

void tw_shard_barrier(tw_shard *self, const tw_session *session, const tw_frame *frame)
{
    if (session->role != TW_ROLE_OWNER) {
        tw_shard_nack(self, session->peer, session->peer_size, frame, TW_NACK_FAILED, NULL,
            "only the owner of a model may save it");
        return;
    }
    if (self->has_barrier) {
        tw_shard_nack(self, session->peer, session->peer_size, frame, TW_NACK_OVERLOAD, NULL,
            "a snapshot is still being written");
        return;
    }
    const char *obstacle = frame->clock != 0 ? barrier_obstacle(self, frame) : NULL;
    if (obstacle != NULL) {
        tw_shard_nack(self, session->peer, session->peer_size, frame, TW_NACK_OVERLOAD, NULL, obstacle);
        return;
    }
    self->has_barrier = true;
    self->is_barrier_cut = false;
    self->barrier_round = self->rounds.of.barrier = frame->clock;
    self->barrier_told_us = self->rounds.now_us;
    self->barrier_until_us = self->rounds.now_us + BARRIER_WAIT_US;
    self->barrier_id = frame->handle;
    self->barrier_sequence = frame->sequence;
    self->barrier_peer_size = session->peer_size;
    memcpy(self->barrier_peer, session->peer, session->peer_size);
}

bool tw_shard_snapshot_wanted(tw_shard *self, uint64_t *id)
{
    uint32_t culprit;
    if (!self->has_barrier || self->is_barrier_cut || self->is_busy)
        return false;
    if (self->barrier_round != 0 &&
        (self->rounds.of.barrier != self->barrier_round || !tw_rounds_is_past(&self->rounds.of, &culprit)))
        return false;
    self->is_barrier_cut = true;
    *id = self->barrier_id;
    return true;
}

static void barrier_answer(tw_shard *self, tw_frame_type type, const unsigned char *payload, size_t size)
{
    tw_frame request = {.sequence = self->barrier_sequence};
    tw_frame answer = tw_shard_answer(self, NULL, &request, type);
    answer.handle = self->barrier_id;
    if (tw_frame_begin(&self->out, &answer, NULL, NULL) == TW_STATUS_OK &&
        tw_buffer_append(&self->out, payload, size, NULL) == TW_STATUS_OK)
        tw_shard_send(self, self->barrier_peer, self->barrier_peer_size, &answer);
}

/* Whoever waited for the cut goes on. */
static void barrier_lift(tw_shard *self)
{
    bool was_set = self->rounds.of.barrier != 0;
    self->barrier_round = self->rounds.of.barrier = 0;
    if (was_set)
        tw_shard_release(self);
}

static void barrier_fail(tw_shard *self, tw_status status, const char *message)
{
    tw_frame request = {.sequence = self->barrier_sequence};
    tw_nack_reason reason = status == TW_STATUS_CONFLICT ? TW_NACK_CONFLICT
                            : status == TW_STATUS_BUSY   ? TW_NACK_OVERLOAD
                                                         : TW_NACK_FAILED;
    self->has_barrier = false;
    tw_shard_nack(self, self->barrier_peer, self->barrier_peer_size, &request, reason, NULL, message);
    barrier_lift(self);
}

/* The same on every shard where the marks are, in whatever order they came. */
static uint64_t marks_digest(const tw_table *table)
{
    size_t n = 0;
    uint64_t sum = 0;
    const tw_mark *mark = tw_table_marks(table, &n);
    for (size_t i = 0; i < n; i++)
        sum += mark[i].to != 0 ? tw_mix64(mark[i].split ^ tw_mix64(mark[i].to)) : 0;
    return sum;
}

void tw_shard_snapshot_started(tw_shard *self, tw_status status, const char *message)
{
    unsigned char payload[8];
    if (status < 0) {
        barrier_fail(self, status, message);
        return;
    }
    tw_put_u64(payload, marks_digest(self->table));
    barrier_answer(self, TW_FRAME_ACK, payload, sizeof payload);
    barrier_lift(self);
}

static void barrier_give_up(tw_shard *self)
{
    char why[TW_ERROR_MESSAGE_SIZE];
    uint32_t culprit;
    const tw_rounds *rounds = &self->rounds.of;
    if (rounds->barrier == self->barrier_round && !tw_rounds_is_past(rounds, &culprit))
        (void)snprintf(why, sizeof why, "worker %u of %u, in round %u, did not come behind round %u in %d s", culprit,
            rounds->count, rounds->place[culprit].clock, self->barrier_round, BARRIER_WAIT_US / 1000000);
    else
        (void)snprintf(why, sizeof why, "other workers have come meanwhile, or a snapshot took too long");
    barrier_fail(self, TW_STATUS_BUSY, why);
}

void tw_shard_barrier_tick(tw_shard *self, int64_t now_us, int64_t every_us)
{
    if (!self->has_barrier || self->is_barrier_cut || self->barrier_round == 0)
        return;
    if (now_us > self->barrier_until_us) {
        barrier_give_up(self);
    } else if (now_us - self->barrier_told_us >= every_us) {
        self->barrier_told_us = now_us;
        barrier_answer(self, TW_FRAME_WAITING, NULL, 0);
    }
}

/* Payload of BARRIER_DONE: size, checksum, rows, u64 each; name, TW_FILE_NAME_SIZE bytes. */
void tw_shard_snapshot_done(tw_shard *self, tw_status status, const tw_row_file *file, const char *message)
{
    if (!self->has_barrier)
        return;
    if (status < 0) {
        barrier_fail(self, status, message);
        return;
    }
    unsigned char payload[24 + TW_FILE_NAME_SIZE];
    tw_put_u64(payload, file->size);
    tw_put_u64(payload + 8, file->checksum);
    tw_put_u64(payload + 16, file->rows);
    memcpy(payload + 24, file->name, TW_FILE_NAME_SIZE);
    barrier_answer(self, TW_FRAME_BARRIER_DONE, payload, sizeof payload);
    self->has_barrier = false;
}

void tw_shard_set_busy(tw_shard *self, bool is_busy)
{
    self->is_busy = is_busy;
}
