#include "ps/edge/question.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

enum { TURN_MS = 20 };

static const int64_t repeat_us = 100000, tell_us = 1000000;

typedef struct asking {
    tw_question *question;
    tw_link *link;
    uint64_t sender, sequence;
    tw_buffer out;
} asking;

static tw_status asking_send(asking *self, tw_error *error)
{
    const char *payload = self->question->payload;
    tw_frame frame = {.type = self->question->type, .sender = self->sender, .sequence = ++self->sequence};
    tw_status status = tw_frame_begin(&self->out, &frame, NULL, error);
    if (status == TW_STATUS_OK)
        status = tw_buffer_append(&self->out, payload, strlen(payload), error);
    if (status < 0)
        return status;
    tw_frame_finish(&self->out, &frame);
    status = self->link->ops->send(self->link, 0, self->out.bytes, self->out.size, error);
    return status == TW_STATUS_BUSY || status == TW_STATUS_UNAVAILABLE ? TW_STATUS_OK : status;
}

static tw_status asking_receive(asking *self, tw_error *error)
{
    const void *bytes = NULL;
    size_t size = 0;
    tw_frame frame;
    tw_status status = self->link->ops->receive(self->link, 0, &bytes, &size, error);
    if (status != TW_STATUS_OK)
        return status;
    if (tw_frame_decode(bytes, size, &frame, NULL) < 0 || frame.sender != self->sender)
        return TW_STATUS_IDLE;
    self->question->is_heard = true;
    return self->question->take(self->question->context, &frame, error);
}

static tw_status asking_run(asking *self, tw_error *error)
{
    const tw_question *question = self->question;
    int64_t now_us = tw_clock_monotonic_us(), ask_us = now_us, end_us = now_us + (int64_t)question->timeout_ms * 1000;
    int64_t silent_us = question->silence_ms > 0 ? now_us + (int64_t)question->silence_ms * 1000 : end_us;
    int64_t begun_us = now_us, told_us = now_us;
    tw_status status = TW_STATUS_IDLE;
    while (status == TW_STATUS_IDLE && now_us < end_us && (question->is_heard || now_us < silent_us)) {
        tw_status turn = TW_STATUS_OK;
        if (now_us >= ask_us) {
            turn = asking_send(self, error);
            ask_us = now_us + repeat_us;
        }
        if (turn >= 0)
            turn = self->link->ops->wait(self->link, TURN_MS, error);
        status = turn >= 0 ? asking_receive(self, error) : turn;
        now_us = tw_clock_monotonic_us();
        if (status == TW_STATUS_IDLE && question->waiting != NULL && now_us - told_us >= tell_us) {
            told_us = now_us;
            question->waiting(question->context, (now_us - begun_us) / 1000);
        }
    }
    return status;
}

tw_status tw_question_ask(tw_question *self, const char *address, const tw_socket_security *security, tw_error *error)
{
    asking one = {.question = self, .sender = tw_link_sender()};
    self->is_heard = false;
    tw_status status = tw_link_zmq_create(&address, 1, security, &one.link, error);
    if (status < 0)
        return status;
    status = asking_run(&one, error);
    one.link->ops->close(one.link);
    tw_free(one.out.bytes);
    return status;
}
