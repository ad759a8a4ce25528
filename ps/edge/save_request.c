#include "ps/edge/save_request.h"

#include "ps/edge/question.h"
#include "ps/wire/orders.h"

/* A coordinator answers each question at once; one that has not done so for so long is not there. */
enum { SILENCE_MS = 10000 };

typedef struct request {
    const char *address, *name;
    uint64_t *id;
} request;

static tw_status refused(const request *self, const tw_frame *frame, tw_status status, tw_error *error)
{
    return tw_error_set(error, status, "checkpoint %s: %.*s", self->name,
        (int)(frame->payload_size < 300 ? frame->payload_size : 300), (const char *)frame->payload);
}

static tw_status request_take(void *context, const tw_frame *frame, tw_error *error)
{
    const request *self = context;
    if (frame->type == TW_FRAME_NACK && frame->reason == TW_NACK_FAILED) {
        (void)refused(self, frame, TW_STATUS_CONFLICT, error);
        tw_error_code(error, "E307");
        return TW_STATUS_CONFLICT;
    }
    if (frame->type == TW_FRAME_NACK && frame->reason == TW_NACK_STALE_INCARNATION)
        return tw_error_set(error, TW_STATUS_INVALID, "checkpoint %s: a shard answers at %s, and no coordinator",
            self->name, self->address);
    if (frame->type == TW_FRAME_NACK)
        return refused(self, frame,
            frame->reason == TW_NACK_OVERLOAD    ? TW_STATUS_BUSY
            : frame->reason == TW_NACK_BAD_FRAME ? TW_STATUS_INVALID
                                                 : TW_STATUS_CONFLICT,
            error);
    if (frame->type != TW_FRAME_SAVED || frame->generation == TW_SAVE_UNDER_WAY)
        return TW_STATUS_IDLE;
    if (frame->generation == TW_SAVE_FAILED)
        return refused(self, frame, TW_STATUS_UNAVAILABLE, error);
    *self->id = frame->handle;
    return TW_STATUS_OK;
}

tw_status tw_request_save(const char *address,
    const tw_socket_security *security,
    const char *name,
    int timeout_ms,
    uint64_t *id,
    tw_error *error)
{
    request wanted = {.address = address, .name = name, .id = id};
    tw_question question = {.type = TW_FRAME_SAVE,
        .payload = name,
        .timeout_ms = timeout_ms,
        .silence_ms = SILENCE_MS,
        .take = request_take,
        .context = &wanted};
    *id = 0;
    tw_status status = tw_question_ask(&question, address, security, error);
    if (status != TW_STATUS_IDLE)
        return status;
    if (question.is_heard)
        return tw_error_set(error, TW_STATUS_TIMEOUT, "checkpoint %s: not finished after %g s; it may yet come", name,
            timeout_ms / 1000.0);
    status = tw_error_set(error, TW_STATUS_UNAVAILABLE,
        "the coordinator at %s has not answered for %g s: does the run go on, and are its connections plain?", address,
        (timeout_ms < SILENCE_MS ? timeout_ms : SILENCE_MS) / 1000.0);
    tw_error_code(error, "E301");
    return status;
}
