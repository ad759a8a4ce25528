#include "ps/edge/ask.h"

#include "base/alloc.h"
#include "base/clock.h"

struct tw_asker {
    tw_link *link;
    uint32_t n;
    uint64_t sender, sequence;
    tw_buffer out;
};

static const int64_t repeat_us = 500000;

tw_status tw_asker_create(
    const char *const *address, uint32_t n, const tw_socket_security *security, tw_asker **out, tw_error *error)
{
    *out = NULL;
    if (n == 0 || n > TW_MAX_SHARDS)
        return tw_error_set(error, TW_STATUS_INVALID, "%u shards to ask: 1 to %d", n, TW_MAX_SHARDS);
    tw_asker *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->n = n;
    self->sender = tw_link_sender();
    tw_status status = tw_link_zmq_create(address, n, security, &self->link, error);
    if (status < 0)
        tw_asker_destroy(&self);
    *out = self;
    return status;
}

void tw_asker_destroy(tw_asker **self)
{
    if (*self == NULL)
        return;
    if ((*self)->link != NULL)
        (*self)->link->ops->close((*self)->link);
    tw_free((*self)->out.bytes);
    tw_free(*self);
    *self = NULL;
}

void tw_asked_fini(tw_asked *answer, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        tw_shard_status_fini(&answer[i].status);
        answer[i].has_answered = answer[i].is_no_shard = false;
    }
}

static tw_status ask_all(tw_asker *self, const tw_asked *answer, tw_error *error)
{
    tw_frame frame = {.type = TW_FRAME_STATUS, .sender = self->sender, .sequence = ++self->sequence};
    tw_status status = tw_frame_begin(&self->out, &frame, NULL, error);
    if (status < 0)
        return status;
    tw_frame_finish(&self->out, &frame);
    for (uint32_t i = 0; i < self->n; i++) {
        if (answer[i].has_answered)
            continue;
        status = self->link->ops->send(self->link, i, self->out.bytes, self->out.size, error);
        if (status < 0 && status != TW_STATUS_BUSY && status != TW_STATUS_UNAVAILABLE)
            return status;
    }
    return TW_STATUS_OK;
}

/* Answers to earlier questions are passed over, and so is what is none. */
static void take(const tw_asker *self, uint64_t first, const void *bytes, size_t size, tw_asked *answer)
{
    tw_frame frame;
    tw_error error = {0};
    if (tw_frame_decode(bytes, size, &frame, &error) < 0 || frame.type != TW_FRAME_STATUS_ARE ||
        frame.sender != self->sender || frame.ack < first || answer->has_answered)
        return;
    answer->has_answered =
        tw_shard_status_decode(&answer->status, frame.payload, frame.payload_size, &error) == TW_STATUS_OK;
    if (answer->has_answered && answer->status.figure[TW_STATUS_SHARDS] == TW_STATUS_UNKNOWN) {
        answer->has_answered = false;
        answer->is_no_shard = true;
    }
    if (!answer->has_answered)
        tw_shard_status_fini(&answer->status);
}

static tw_status receive_all(tw_asker *self, uint64_t first, tw_asked *answer, uint32_t *n_missing, tw_error *error)
{
    *n_missing = 0;
    for (uint32_t i = 0; i < self->n; i++) {
        const void *bytes = NULL;
        size_t size = 0;
        tw_status status;
        while ((status = self->link->ops->receive(self->link, i, &bytes, &size, error)) == TW_STATUS_OK)
            take(self, first, bytes, size, &answer[i]);
        if (status < 0 && status != TW_STATUS_PROTOCOL)
            return status;
        *n_missing += !answer[i].has_answered && !answer[i].is_no_shard;
    }
    return TW_STATUS_OK;
}

tw_status tw_asker_ask(tw_asker *self, int timeout_ms, tw_asked *answer, tw_error *error)
{
    int64_t now_us = tw_clock_monotonic_us(), end_us = now_us + (int64_t)timeout_ms * 1000, next_us = now_us;
    uint64_t first = self->sequence + 1;
    uint32_t n_missing = self->n;
    tw_asked_fini(answer, self->n);
    for (int64_t pause_us = 5000; n_missing > 0 && now_us < end_us; now_us = tw_clock_monotonic_us()) {
        tw_status status = TW_STATUS_OK;
        if (now_us >= next_us) {
            status = ask_all(self, answer, error);
            /* The first tries find no connection yet. */
            next_us = now_us + pause_us;
            pause_us = pause_us * 2 < repeat_us ? pause_us * 2 : repeat_us;
        }
        if (status == TW_STATUS_OK)
            status = self->link->ops->wait(self->link, (int)((next_us - now_us) / 1000) + 1, error);
        if (status >= 0)
            status = receive_all(self, first, answer, &n_missing, error);
        if (status < 0)
            return status;
    }
    return TW_STATUS_OK;
}
