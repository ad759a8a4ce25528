/* Who may learn while the flight rule has fewer events than there are workers. */
#include "ps/shard/shard_state.h"

static uint64_t seats_taken(const tw_shard *self, const tw_session *but)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < self->options.max_sessions; i++) {
        const tw_session *session = &self->session[i];
        n += session != but && session->is_open && session->seat_until_us > self->rounds.now_us;
    }
    return n;
}

uint32_t tw_shard_seats_taken(const tw_shard *self)
{
    return (uint32_t)seats_taken(self, NULL);
}

static const tw_session *some_holder(const tw_shard *self, const tw_session *but)
{
    for (uint32_t i = 0; i < self->options.max_sessions; i++) {
        const tw_session *session = &self->session[i];
        if (session != but && session->is_open && session->seat_until_us > self->rounds.now_us)
            return session;
    }
    return NULL;
}

/* For whoever got none: who has one, and whether anybody learns. */
static void put_holder(const tw_shard *self, const tw_session *asking, unsigned char payload[TW_SEATED_SIZE])
{
    const tw_session *holder = some_holder(self, asking);
    tw_put_u64(payload, self->n_row_frames);
    tw_put_u64(payload + 8, holder != NULL ? holder->sender : 0);
    tw_put_u64(payload + 16, holder != NULL && holder->lease.epoch != 0 ? holder->lease.share + 1 : 0);
    tw_put_u64(payload + 24, holder != NULL && holder->worker.count > 0 ? holder->worker.index + 1 : 0);
}

void tw_shard_seat(tw_shard *self, tw_session *session, const tw_frame *frame)
{
    unsigned char payload[TW_SEATED_SIZE];
    if (session->role == TW_ROLE_READER || frame->handle == 0) {
        tw_shard_nack(self, session->peer, session->peer_size, frame, TW_NACK_BAD_FRAME, NULL,
            "SEAT: not of a worker, or nobody may learn");
        return;
    }
    bool has_rounds = session->hold.worker != 0 && frame->clock != 0;
    uint64_t before = has_rounds ? tw_rounds_rank(&self->rounds.of, session->hold.worker - 1, frame->clock)
                                 : seats_taken(self, session);
    bool has_seat = before < frame->handle;
    session->seat_until_us = has_seat && !has_rounds ? self->rounds.now_us + TW_SEAT_US : 0;
    tw_frame answer = tw_shard_answer(self, session, frame, TW_FRAME_SEATED);
    answer.handle = has_seat;
    put_holder(self, session, payload);
    if (tw_frame_begin(&self->out, &answer, NULL, NULL) == TW_STATUS_OK &&
        tw_buffer_append(&self->out, payload, has_seat ? 0 : sizeof payload, NULL) == TW_STATUS_OK)
        tw_shard_send(self, session->peer, session->peer_size, &answer);
}
