/* Asks a coordinator what it says of itself. */
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "ps/wire/coordination.h"
#include "ps/wire/link.h"

enum { ASK_EVERY_MS = 100, TURN_MS = 20 };

typedef struct question {
    tw_link *link;
    uint64_t sender, sequence;
    tw_buffer out;
} question;

static tw_status question_send(question *self, tw_error *error)
{
    tw_frame frame = {.type = TW_FRAME_STATUS, .sender = self->sender, .sequence = ++self->sequence};
    tw_status status = tw_frame_begin(&self->out, &frame, NULL, error);
    if (status < 0)
        return status;
    tw_frame_finish(&self->out, &frame);
    status = self->link->ops->send(self->link, 0, self->out.bytes, self->out.size, error);
    return status == TW_STATUS_BUSY || status == TW_STATUS_UNAVAILABLE ? TW_STATUS_OK : status;
}

/* IDLE: nothing has come that answers it. */
static tw_status question_receive(question *self, tw_coordination *out, tw_error *error)
{
    const void *bytes = NULL;
    size_t size = 0;
    tw_frame frame;
    tw_status status = self->link->ops->receive(self->link, 0, &bytes, &size, error);
    if (status != TW_STATUS_OK)
        return status;
    if (tw_frame_decode(bytes, size, &frame, NULL) < 0 || frame.sender != self->sender ||
        frame.type != TW_FRAME_STATUS_ARE)
        return TW_STATUS_IDLE;
    return tw_coordination_decode(out, frame.payload, frame.payload_size, error);
}

static tw_status question_run(question *self, int timeout_ms, tw_coordination *out, tw_error *error)
{
    int64_t now_us = tw_clock_monotonic_us(), deadline_us = now_us + (int64_t)timeout_ms * 1000, ask_us = 0;
    tw_status status = TW_STATUS_IDLE;
    for (; status == TW_STATUS_IDLE && now_us < deadline_us; now_us = tw_clock_monotonic_us()) {
        tw_status sent = now_us >= ask_us ? question_send(self, error) : TW_STATUS_OK;
        ask_us = now_us >= ask_us ? now_us + ASK_EVERY_MS * 1000 : ask_us;
        if (sent >= 0)
            sent = self->link->ops->wait(self->link, TURN_MS, error);
        status = sent >= 0 ? question_receive(self, out, error) : sent;
    }
    return status;
}

tw_status tw_coordination_ask(
    const char *address, const tw_socket_security *security, int timeout_ms, tw_coordination *out, tw_error *error)
{
    question self = {.sender = tw_mix64((uint64_t)tw_clock_wall_us() ^ (uint64_t)getpid() << 40) | 1};
    tw_status status = tw_link_zmq_create(&address, 1, security, &self.link, error);
    if (status < 0)
        return status;
    status = question_run(&self, timeout_ms, out, error);
    self.link->ops->close(self.link);
    tw_free(self.out.bytes);
    if (status == TW_STATUS_IDLE) {
        status = tw_error_set(error, TW_STATUS_UNAVAILABLE, "the coordinator at %s has not answered for %g s", address,
            timeout_ms / 1000.0);
        tw_error_code(error, "E301");
    }
    if (status < 0)
        tw_coordination_fini(out);
    return status;
}
