#include "ps/edge/save_request.h"

#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "ps/wire/link.h"
#include "ps/wire/orders.h"

/* A coordinator answers each question at once; one that has not done so for so long is not there. */
enum { ASK_EVERY_MS = 100, TURN_MS = 20, SILENCE_MS = 10000 };

typedef struct request {
    tw_link *link;
    const char *address, *name;
    uint64_t sender, sequence;
    bool is_heard;
    tw_buffer out;
} request;

static tw_status request_send(request *self, tw_error *error)
{
    tw_frame frame = {.type = TW_FRAME_SAVE, .sender = self->sender, .sequence = ++self->sequence};
    tw_status status = tw_frame_begin(&self->out, &frame, NULL, error);
    if (status == TW_STATUS_OK)
        status = tw_buffer_append(&self->out, self->name, strlen(self->name), error);
    if (status < 0)
        return status;
    tw_frame_finish(&self->out, &frame);
    status = self->link->ops->send(self->link, 0, self->out.bytes, self->out.size, error);
    return status == TW_STATUS_BUSY || status == TW_STATUS_UNAVAILABLE ? TW_STATUS_OK : status;
}

static tw_status refused(const request *self, const tw_frame *frame, tw_status status, tw_error *error)
{
    return tw_error_set(error, status, "checkpoint %s: %.*s", self->name,
        (int)(frame->payload_size < 300 ? frame->payload_size : 300), (const char *)frame->payload);
}

/* IDLE: not decided yet. */
static tw_status request_take(request *self, const void *bytes, size_t size, uint64_t *id, tw_error *error)
{
    tw_frame frame;
    if (tw_frame_decode(bytes, size, &frame, NULL) < 0 || frame.sender != self->sender)
        return TW_STATUS_IDLE;
    self->is_heard = true;
    if (frame.type == TW_FRAME_NACK && frame.reason == TW_NACK_FAILED) {
        (void)refused(self, &frame, TW_STATUS_CONFLICT, error);
        tw_error_code(error, "E307");
        return TW_STATUS_CONFLICT;
    }
    if (frame.type == TW_FRAME_NACK)
        return refused(self, &frame,
            frame.reason == TW_NACK_OVERLOAD    ? TW_STATUS_BUSY
            : frame.reason == TW_NACK_BAD_FRAME ? TW_STATUS_INVALID
                                                : TW_STATUS_CONFLICT,
            error);
    if (frame.type != TW_FRAME_SAVED || frame.generation == TW_SAVE_UNDER_WAY)
        return TW_STATUS_IDLE;
    if (frame.generation == TW_SAVE_FAILED)
        return refused(self, &frame, TW_STATUS_UNAVAILABLE, error);
    *id = frame.handle;
    return TW_STATUS_OK;
}

static tw_status request_receive(request *self, uint64_t *id, tw_error *error)
{
    const void *bytes = NULL;
    size_t size = 0;
    tw_status status = self->link->ops->receive(self->link, 0, &bytes, &size, error);
    return status == TW_STATUS_OK ? request_take(self, bytes, size, id, error) : status;
}

static tw_status request_run(request *self, int timeout_ms, uint64_t *id, tw_error *error)
{
    int64_t now_us = tw_clock_monotonic_us(), deadline_us = now_us + (int64_t)timeout_ms * 1000, ask_us = 0;
    tw_status status = TW_STATUS_IDLE;
    const int64_t silent_us = now_us + SILENCE_MS * 1000;
    while (status == TW_STATUS_IDLE && now_us < deadline_us && (self->is_heard || now_us < silent_us)) {
        tw_status sent = now_us >= ask_us ? request_send(self, error) : TW_STATUS_OK;
        if (now_us >= ask_us)
            ask_us = now_us + ASK_EVERY_MS * 1000;
        if (sent >= 0)
            sent = self->link->ops->wait(self->link, TURN_MS, error);
        status = sent >= 0 ? request_receive(self, id, error) : sent;
        now_us = tw_clock_monotonic_us();
    }
    if (status != TW_STATUS_IDLE)
        return status;
    if (self->is_heard)
        return tw_error_set(error, TW_STATUS_TIMEOUT, "checkpoint %s: not finished after %g s; it may yet come",
            self->name, timeout_ms / 1000.0);
    status = tw_error_set(error, TW_STATUS_UNAVAILABLE,
        "the coordinator at %s has not answered for %g s: does the run go on, and are its connections plain?",
        self->address, (timeout_ms < SILENCE_MS ? timeout_ms : SILENCE_MS) / 1000.0);
    tw_error_code(error, "E301");
    return status;
}

tw_status tw_request_save(const char *address,
    const tw_socket_security *security,
    const char *name,
    int timeout_ms,
    uint64_t *id,
    tw_error *error)
{
    request self = {.address = address, .name = name};
    self.sender = tw_mix64((uint64_t)tw_clock_wall_us() ^ (uint64_t)getpid() << 40) | 1;
    *id = 0;
    tw_status status = tw_link_zmq_create(&address, 1, security, &self.link, error);
    if (status < 0)
        return status;
    status = request_run(&self, timeout_ms, id, error);
    self.link->ops->close(self.link);
    tw_free(self.out.bytes);
    return status;
}
