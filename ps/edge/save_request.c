#include "ps/edge/save_request.h"

#include <stdio.h>

#include "ps/edge/question.h"
#include "ps/wire/orders.h"

/* A coordinator answers each question at once; one that has not done so for so long is not there. */
enum { SILENCE_MS = 10000 };

typedef struct request {
    const tw_save_request *wanted;
    uint64_t *id;
    char what[TW_ERROR_MESSAGE_SIZE]; /* it waits for */
} request;

static tw_status refused(const request *self, const tw_frame *frame, tw_status status, tw_error *error)
{
    return tw_error_set(error, status, "checkpoint %s: %.*s", self->wanted->name,
        (int)(frame->payload_size < 300 ? frame->payload_size : 300), (const char *)frame->payload);
}

static tw_status request_take(void *context, const tw_frame *frame, tw_error *error)
{
    request *self = context;
    if (frame->type == TW_FRAME_NACK && frame->reason == TW_NACK_FAILED) {
        (void)refused(self, frame, TW_STATUS_CONFLICT, error);
        tw_error_code(error, "E307");
        return TW_STATUS_CONFLICT;
    }
    if (frame->type == TW_FRAME_NACK && frame->reason == TW_NACK_STALE_INCARNATION)
        return tw_error_set(error, TW_STATUS_INVALID, "checkpoint %s: a shard answers at %s, and no coordinator",
            self->wanted->name, self->wanted->address);
    if (frame->type == TW_FRAME_NACK)
        return refused(self, frame,
            frame->reason == TW_NACK_OVERLOAD    ? TW_STATUS_BUSY
            : frame->reason == TW_NACK_BAD_FRAME ? TW_STATUS_INVALID
                                                 : TW_STATUS_CONFLICT,
            error);
    if (frame->type == TW_FRAME_SAVED && frame->generation == TW_SAVE_UNDER_WAY && frame->payload_size > 0)
        (void)snprintf(self->what, sizeof self->what, "%.*s",
            (int)(frame->payload_size < 300 ? frame->payload_size : 300), (const char *)frame->payload);
    if (frame->type != TW_FRAME_SAVED || frame->generation == TW_SAVE_UNDER_WAY)
        return TW_STATUS_IDLE;
    if (frame->generation == TW_SAVE_FAILED)
        return refused(self, frame, TW_STATUS_UNAVAILABLE, error);
    *self->id = frame->handle;
    return TW_STATUS_OK;
}

static void tell_waiting(void *context, int64_t waited_ms)
{
    const request *self = context;
    self->wanted->waiting(self->wanted->context, waited_ms, self->what);
}

tw_status tw_request_save(const tw_save_request *wanted, uint64_t *id, tw_error *error)
{
    request asked = {.wanted = wanted, .id = id};
    tw_question question = {.type = TW_FRAME_SAVE,
        .payload = wanted->name,
        .timeout_ms = wanted->timeout_ms,
        .silence_ms = SILENCE_MS,
        .take = request_take,
        .waiting = wanted->waiting != NULL ? tell_waiting : NULL,
        .context = &asked};
    *id = 0;
    (void)snprintf(asked.what, sizeof asked.what, "the coordinator at %.300s to answer", wanted->address);
    tw_status status = tw_question_ask(&question, wanted->address, wanted->security, error);
    if (status != TW_STATUS_IDLE)
        return status;
    if (question.is_heard)
        return tw_error_set(error, TW_STATUS_TIMEOUT,
            "checkpoint %s: not finished after %g s, waiting for %.300s; it may yet come", wanted->name,
            wanted->timeout_ms / 1000.0, asked.what);
    status = tw_error_set(error, TW_STATUS_UNAVAILABLE,
        "the coordinator at %s has not answered for %g s: does the run go on, and are its connections plain?",
        wanted->address, (wanted->timeout_ms < SILENCE_MS ? wanted->timeout_ms : SILENCE_MS) / 1000.0);
    tw_error_code(error, "E301");
    return status;
}
