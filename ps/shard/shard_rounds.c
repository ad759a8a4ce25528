#include "ps/shard/shard_rounds.h"

#include <string.h>

#include "base/alloc.h"
#include "ps/shard/shard_state.h"

enum { WAITING_US = 200000, ABSENT_US = 5000000 };

void tw_pending_fini(tw_pending *self)
{
    tw_free(self->queue.bytes);
    *self = (tw_pending){0};
}

uint64_t tw_pending_bytes(const tw_pending *self)
{
    return self->queue.capacity;
}

static bool hold_has_frames(const tw_pending *self)
{
    return self->first < self->queue.size;
}

/* The oldest frame that waits; the bytes stay where they are until the next change of the queue. */
static const unsigned char *hold_first(const tw_pending *self, size_t *size)
{
    const unsigned char *at = self->queue.bytes + self->first;
    *size = (size_t)tw_get_u64(at);
    return at + sizeof(uint64_t);
}

static void hold_drop_first(tw_pending *self)
{
    size_t size = 0;
    (void)hold_first(self, &size);
    self->first += sizeof(uint64_t) + size;
    if (!hold_has_frames(self))
        self->first = self->queue.size = 0;
}

static bool is_held(const tw_pending *self)
{
    return self->is_staged || hold_has_frames(self);
}

/* --- who takes part ----------------------------------------------------------------------------------------------- */

/* Everybody who kept rounds has to greet again. */
static void rounds_end(tw_shard *self)
{
    for (uint32_t i = 0; i < self->options.max_sessions; i++) {
        if (self->session[i].hold.worker != 0)
            tw_session_fini(&self->session[i]);
    }
    tw_rounds_fini(&self->rounds.of);
    self->rounds.is_resumed = false;
}

/* What the worker's earlier connection, or its predecessor, left waiting is sent again or learned again. What those
 * left who have no place any more, as another crew has come, goes nowhere: their places may not even be there. */
static void drop_waiting(tw_shard *self, uint32_t index)
{
    for (uint32_t i = 0; i < self->options.max_sessions; i++) {
        tw_session *session = &self->session[i];
        tw_pending *hold = &session->hold;
        bool is_other = hold->worker != index + 1 && tw_rounds_holds(&self->rounds.of, hold->worker - 1, hold->birth);
        if (hold->worker == 0 || is_other)
            continue;
        hold->is_staged = false;
        hold->first = hold->queue.size = 0;
        tw_session_unstage(session);
    }
}

tw_nack_reason tw_shard_join(
    tw_shard *self, const tw_hello *hello, const tw_frame *request, uint32_t *clock, tw_error *error)
{
    const tw_round_member *who = &hello->worker;
    uint64_t sender = request->sender;
    if (hello->role == TW_ROLE_OWNER && (hello->is_fresh || (self->owner != 0 && self->owner != sender)))
        rounds_end(self);
    /* An owner that knows an epoch has been here before, and its workers with it. */
    bool is_known = hello->role == TW_ROLE_OWNER && request->epoch != 0 && self->owner == 0;
    self->rounds.is_resumed = self->rounds.is_resumed || self->options.is_restarted || is_known;
    if (who->count == 0 || who->staleness == TW_STALENESS_UNLIMITED || hello->role != TW_ROLE_PEER) {
        *clock = 0;
        return TW_NACK_NONE;
    }
    int64_t grace_us = self->options.absent_us > 0 ? self->options.absent_us : ABSENT_US;
    if (tw_rounds_join(&self->rounds.of, who, self->rounds.now_us, grace_us, clock, error) < 0)
        return error->status == TW_STATUS_NO_MEMORY ? TW_NACK_OVERLOAD : TW_NACK_SCHEMA;
    if (self->rounds.is_resumed)
        tw_rounds_resume(&self->rounds.of, self->rounds.now_us, grace_us);
    drop_waiting(self, who->index);
    return TW_NACK_NONE;
}

void tw_shard_enter(const tw_shard *self, tw_session *session, const tw_hello *hello)
{
    const tw_round_member *who = &hello->worker;
    if (!tw_rounds_holds(&self->rounds.of, who->index, who->birth) || hello->role != TW_ROLE_PEER)
        return;
    session->hold.worker = who->index + 1;
    session->hold.birth = who->birth;
}

void tw_shard_forget(tw_shard *self, const tw_session *session)
{
    const tw_pending *hold = &session->hold;
    if (hold->is_staged && tw_rounds_holds(&self->rounds.of, hold->worker - 1, hold->birth))
        tw_rounds_unstage(&self->rounds.of, hold->worker - 1);
}

/* --- what waits --------------------------------------------------------------------------------------------------- */

/* A pull, or what goes before it, says how far its worker is. A push waits only where the rows are to be cut before. */
static bool must_wait(tw_shard *self, const tw_session *session, const tw_frame *frame, uint32_t *culprit)
{
    uint32_t index = session->hold.worker - 1;
    if (frame->type == TW_FRAME_PUSH && tw_rounds_is_beyond(&self->rounds.of, frame->clock))
        return true;
    if ((frame->type != TW_FRAME_PULL && frame->type != TW_FRAME_SEAT) || frame->clock == 0)
        return false;
    tw_rounds_advance(&self->rounds.of, index, frame->clock);
    return !tw_rounds_may_read(&self->rounds.of, index, frame->clock, culprit);
}

static void hold_frame(tw_shard *self, tw_session *session, const tw_frame *frame, const void *bytes, size_t size)
{
    tw_buffer *queue = &session->hold.queue;
    unsigned char *at = tw_shard_make_room(self, size + sizeof(uint64_t)) && session->is_open
                            ? tw_buffer_reserve(queue, size + sizeof(uint64_t), NULL)
                            : NULL;
    if (at == NULL) {
        tw_shard_nack(self, session->peer, session->peer_size, frame, TW_NACK_OVERLOAD, NULL,
            "the sessions' memory is used up by requests that wait for other workers");
        return;
    }
    tw_put_u64(at, size);
    memcpy(at + sizeof(uint64_t), bytes, size);
    if (session->hold.told_us == 0)
        session->hold.since_us = session->hold.told_us = self->rounds.now_us;
}

bool tw_shard_holds(tw_shard *self, tw_session *session, const tw_frame *frame, const void *bytes, size_t size)
{
    tw_pending *hold = &session->hold;
    uint32_t culprit;
    if (hold->worker == 0 || frame->type == TW_FRAME_PING)
        return false;
    if (!tw_rounds_holds(&self->rounds.of, hold->worker - 1, hold->birth)) {
        tw_shard_nack(self, session->peer, session->peer_size, frame, TW_NACK_STALE_EPOCH, NULL,
            "another process has the place of this worker");
        return true;
    }
    if (frame->clock > TW_ROUNDS_LAST) {
        tw_shard_nack(self, session->peer, session->peer_size, frame, TW_NACK_BAD_FRAME, NULL,
            "a round behind the last one that can be counted");
        return true;
    }
    tw_rounds_hear(&self->rounds.of, hold->worker - 1, self->rounds.now_us);
    if (!is_held(hold) && !must_wait(self, session, frame, &culprit))
        return false;
    hold_frame(self, session, frame, bytes, size);
    return true;
}

/* Its worker began below the clock of its place here, as the shards that it met had forgotten its predecessor. Whoever
 * is in the round of the place may wait elsewhere for this worker to come there. */
static bool is_behind(const tw_shard *self, const tw_pending *hold, const tw_frame *push)
{
    return push->clock != 0 && push->clock < self->rounds.of.place[hold->worker - 1].clock;
}

bool tw_shard_stages(tw_shard *self, tw_session *session, const tw_frame *frame)
{
    tw_pending *hold = &session->hold;
    if (hold->worker == 0 || !tw_rounds_is_bulk(&self->rounds.of) || is_behind(self, hold, frame))
        return false;
    hold->staged = *frame;
    hold->staged.keys = hold->staged.payload = NULL;
    hold->is_staged = true;
    hold->since_us = hold->told_us = self->rounds.now_us;
    tw_rounds_stage(&self->rounds.of, hold->worker - 1, frame->clock);
    return true;
}

void tw_shard_count_round(tw_shard *self, const tw_session *session, const tw_frame *frame)
{
    if (session->hold.worker != 0 && frame->clock != 0)
        tw_rounds_advance(&self->rounds.of, session->hold.worker - 1, frame->clock + 1);
}

void tw_shard_clock(tw_shard *self, tw_session *session, const tw_frame *frame)
{
    bool has_rounds = session->hold.worker != 0, has_number = has_rounds || session->worker.count != 0;
    if (!has_number || frame->clock == 0 || frame->handle > 1) {
        tw_shard_nack(self, session->peer, session->peer_size, frame, TW_NACK_BAD_FRAME, NULL,
            "CLOCK: not of a worker that keeps rounds or has a number here");
        return;
    }
    if (frame->handle == 1) {
        session->worker = (tw_round_member){0};
        session->pipeline = (tw_pipeline_digest){{0}};
    }
    if (has_rounds && frame->handle == 1)
        tw_rounds_leave(&self->rounds.of, session->hold.worker - 1);
    else if (has_rounds)
        tw_rounds_advance(&self->rounds.of, session->hold.worker - 1, frame->clock + 1);
    tw_frame answer = tw_shard_answer(self, session, frame, TW_FRAME_ACK);
    tw_shard_reply(self, session, &answer);
}

/* --- what goes on ------------------------------------------------------------------------------------------------- */

static tw_session *find_staged(tw_shard *self, uint32_t index)
{
    for (uint32_t i = 0; i < self->options.max_sessions; i++) {
        tw_session *session = &self->session[i];
        if (session->is_open && session->hold.is_staged && session->hold.worker == index + 1 &&
            session->hold.birth == self->rounds.of.place[index].birth)
            return session;
    }
    return NULL;
}

/* True: a bulk round was complete and is now in the rows. A push that is refused takes part all the same. */
static bool apply_round(tw_shard *self)
{
    tw_rounds *rounds = &self->rounds.of;
    uint32_t round, culprit;
    if (!tw_rounds_is_bulk(rounds) || !tw_rounds_is_complete(rounds, &round, &culprit))
        return false;
    for (uint32_t i = 0; i < rounds->count; i++) {
        if (!rounds->place[i].is_staged || rounds->place[i].clock != round)
            continue;
        tw_session *session = find_staged(self, i);
        tw_rounds_advance(rounds, i, round + 1);
        tw_rounds_unstage(rounds, i); /* in the last round there is nowhere to advance to */
        if (session == NULL)
            continue;
        session->hold.is_staged = false;
        session->hold.told_us = 0;
        session->last_used = ++self->clock;
        tw_shard_push_apply(self, session, &session->hold.staged);
    }
    return true;
}

/* Carries out the frames of a session that need not wait any more; true: there were some. */
static bool release_session(tw_shard *self, tw_session *session)
{
    tw_pending *hold = &session->hold;
    bool has_moved = false;
    while (session->is_open && !hold->is_staged && hold_has_frames(hold)) {
        tw_frame frame;
        uint32_t culprit;
        size_t size = 0;
        const unsigned char *bytes = hold_first(hold, &size);
        self->rounds.frame.size = 0;
        bool is_good = tw_buffer_append(&self->rounds.frame, bytes, size, NULL) == TW_STATUS_OK &&
                       tw_frame_decode(self->rounds.frame.bytes, size, &frame, NULL) == TW_STATUS_OK;
        if (is_good && must_wait(self, session, &frame, &culprit))
            break;
        hold_drop_first(hold);
        hold->told_us = 0;
        session->last_used = ++self->clock;
        has_moved = true;
        if (is_good)
            tw_shard_dispatch(self, session, &frame);
    }
    return has_moved;
}

void tw_shard_release(tw_shard *self)
{
    bool has_moved = self->rounds.of.count > 0;
    while (has_moved) {
        has_moved = apply_round(self);
        for (uint32_t i = 0; i < self->options.max_sessions; i++)
            has_moved = release_session(self, &self->session[i]) || has_moved;
    }
}

/* --- who is waited for -------------------------------------------------------------------------------------------- */

/* Number of the worker that this session waits for; the count of workers: nobody. `request`: what waits. */
static uint32_t culprit_of(const tw_shard *self, const tw_session *session, tw_frame *request)
{
    const tw_rounds *rounds = &self->rounds.of;
    uint32_t round = 0, culprit = rounds->count;
    *request = session->hold.staged;
    if (session->hold.is_staged) {
        (void)tw_rounds_is_complete(rounds, &round, &culprit);
    } else {
        size_t size = 0;
        const unsigned char *bytes = hold_first(&session->hold, &size);
        if (tw_frame_decode(bytes, size, request, NULL) == TW_STATUS_OK)
            (void)tw_rounds_may_read(rounds, session->hold.worker - 1, request->clock, &culprit);
    }
    return culprit;
}

static void take_waiters(const tw_shard *self, tw_shard_status *out)
{
    int64_t longest_us = -1;
    uint64_t n = 0;
    for (uint32_t i = 0; i < self->options.max_sessions; i++) {
        const tw_session *session = &self->session[i];
        if (!session->is_open || session->hold.worker == 0 || !is_held(&session->hold))
            continue;
        tw_frame request;
        uint32_t culprit = culprit_of(self, session, &request), worker = session->hold.worker - 1;
        n++;
        if (worker < out->n_workers)
            out->worker[worker].state = TW_WORKER_WAITS;
        if (culprit >= self->rounds.of.count || self->rounds.now_us - session->hold.since_us <= longest_us)
            continue;
        longest_us = self->rounds.now_us - session->hold.since_us;
        out->figure[TW_STATUS_ROUND_CULPRIT] = culprit;
        out->figure[TW_STATUS_ROUND_WAIT_MS] = (uint64_t)(longest_us / 1000);
    }
    out->figure[TW_STATUS_ROUND_WAITING] = n;
}

void tw_shard_rounds_status(const tw_shard *self, tw_shard_status *out)
{
    const tw_rounds *rounds = &self->rounds.of;
    uint32_t lowest = UINT32_MAX, highest = 0;
    out->figure[TW_STATUS_ROUND_WORKERS] = rounds->count;
    for (uint32_t i = 0; i < rounds->count; i++) {
        const tw_round_place *place = &rounds->place[i];
        tw_worker_state state = place->is_done      ? TW_WORKER_FINISHED
                                : place->birth == 0 ? TW_WORKER_ABSENT
                                                    : TW_WORKER_LEARNS;
        lowest = !place->is_done && place->clock < lowest ? place->clock : lowest;
        highest = place->clock > highest ? place->clock : highest;
        if (i < TW_STATUS_SHOWN_WORKERS)
            out->worker[out->n_workers++] = (tw_status_worker){place->clock, state};
    }
    if (rounds->count == 0)
        return;
    lowest = lowest == UINT32_MAX ? highest : lowest;
    out->figure[TW_STATUS_ROUND] = lowest;
    out->figure[TW_STATUS_ROUND_SPREAD] = highest - lowest;
    take_waiters(self, out);
}

static void tell_waiting(tw_shard *self, const tw_session *session)
{
    const tw_rounds *rounds = &self->rounds.of;
    tw_frame request;
    uint32_t culprit = culprit_of(self, session, &request);
    tw_frame answer = tw_shard_answer(self, session, &request, TW_FRAME_WAITING);
    if (culprit >= rounds->count || tw_frame_begin(&self->out, &answer, NULL, NULL) < 0)
        return;
    unsigned char *at = tw_buffer_reserve(&self->out, TW_WAITING_SIZE, NULL);
    if (at == NULL)
        return;
    const tw_round_place *place = &rounds->place[culprit];
    tw_put_u32(at, culprit);
    tw_put_u32(at + 4, place->birth != 0 ? place->clock : 0);
    tw_put_u32(at + 8, rounds->count);
    tw_put_u32(at + 12, request.clock);
    tw_shard_send(self, session->peer, session->peer_size, &answer);
}

void tw_shard_rounds_tick(tw_shard *self, int64_t now_us)
{
    int64_t every_us = self->options.waiting_us > 0 ? self->options.waiting_us : WAITING_US;
    self->rounds.now_us = now_us;
    tw_shard_barrier_tick(self, now_us, every_us);
    if (self->rounds.of.count == 0)
        return;
    if (tw_rounds_tick(&self->rounds.of, now_us))
        tw_shard_release(self);
    for (uint32_t i = 0; i < self->options.max_sessions; i++) {
        tw_pending *hold = &self->session[i].hold;
        if (!self->session[i].is_open || !is_held(hold) || now_us - hold->told_us < every_us)
            continue;
        hold->told_us = now_us;
        tell_waiting(self, &self->session[i]);
    }
}
