#include "ps/wire/promotion.h"

#include <string.h>

void tw_subscription_put(const tw_subscription *self, unsigned char at[TW_SUBSCRIBE_SIZE])
{
    tw_put_u32(at, self->index);
    tw_put_u32(at + 4, self->count);
    tw_put_u32(at + 8, self->is_sync);
}

bool tw_subscription_get(tw_subscription *self, const tw_frame *frame)
{
    if (frame->payload_size != TW_SUBSCRIBE_SIZE || tw_get_u32(frame->payload + 8) > 1)
        return false;
    *self = (tw_subscription){
        tw_get_u32(frame->payload), tw_get_u32(frame->payload + 4), tw_get_u32(frame->payload + 8) != 0};
    return true;
}

tw_status tw_promote_encode(
    tw_buffer *out, uint64_t sender, uint64_t sequence, const tw_promotion *promotion, tw_error *error)
{
    tw_frame frame = {.type = TW_FRAME_PROMOTE, .sender = sender, .sequence = sequence, .handle = promotion->epoch};
    tw_status status = tw_frame_begin(out, &frame, NULL, error);
    if (status == TW_STATUS_OK)
        status = tw_buffer_append(out, promotion->address, strlen(promotion->address), error);
    if (status == TW_STATUS_OK)
        tw_frame_finish(out, &frame);
    return status;
}

tw_status tw_promoted_encode(tw_buffer *out,
    uint64_t sender,
    uint64_t sequence,
    uint64_t model,
    uint64_t epoch,
    const tw_subscription *which,
    tw_error *error)
{
    unsigned char payload[TW_SUBSCRIBE_SIZE];
    tw_frame frame = {
        .type = TW_FRAME_PROMOTED, .model = model, .sender = sender, .sequence = sequence, .handle = epoch};
    tw_subscription_put(which, payload);
    tw_status status = tw_frame_begin(out, &frame, NULL, error);
    if (status == TW_STATUS_OK)
        status = tw_buffer_append(out, payload, sizeof payload, error);
    if (status == TW_STATUS_OK)
        tw_frame_finish(out, &frame);
    return status;
}
