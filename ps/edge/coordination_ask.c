/* Asks a coordinator what it says of itself. */
#include "ps/edge/question.h"
#include "ps/wire/coordination.h"

static tw_status take_answer(void *context, const tw_frame *frame, tw_error *error)
{
    if (frame->type != TW_FRAME_STATUS_ARE)
        return TW_STATUS_IDLE;
    return tw_coordination_decode(context, frame->payload, frame->payload_size, error);
}

tw_status tw_coordination_ask(
    const char *address, const tw_socket_security *security, int timeout_ms, tw_coordination *out, tw_error *error)
{
    tw_question question = {
        .type = TW_FRAME_STATUS, .payload = "", .timeout_ms = timeout_ms, .take = take_answer, .context = out};
    tw_status status = tw_question_ask(&question, address, security, error);
    if (status == TW_STATUS_PROTOCOL)
        status = tw_error_set(
            error, TW_STATUS_INVALID, "%s answers, and is no coordinator: ask shards by --connect", address);
    if (status == TW_STATUS_IDLE) {
        status = tw_error_set(error, TW_STATUS_UNAVAILABLE, "the coordinator at %s has not answered for %g s", address,
            timeout_ms / 1000.0);
        tw_error_code(error, "E301");
    }
    if (status < 0)
        tw_coordination_fini(out);
    return status;
}
