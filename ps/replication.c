#include "ps/replication.h"

#include <string.h>

#include "base/hash.h"
#include "ps/replay.h"

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

typedef struct digest {
    const tw_schema *schema;
    uint64_t sum, n_records;
} digest;

/* A sum, as the two tables keep their rows in different orders. */
static tw_status digest_visit(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    digest *self = context;
    size_t size = block < 0 ? self->schema->row.size : self->schema->block[block].record.size;
    (void)error;
    self->sum += tw_mix64(tw_hash(record, size) ^ tw_mix64(key + (uint64_t)(block + 1)));
    self->n_records++;
    return TW_STATUS_OK;
}

tw_status tw_part_digest(
    tw_table *table, const tw_table_part *part, uint64_t *sum, uint64_t *n_records, tw_error *error)
{
    if (part->block < 0 && tw_keep_is_on(tw_table_spec_of(table)))
        return tw_replay_digest(table, part, sum, n_records, error);
    digest self = {.schema = &tw_table_spec_of(table)->schema};
    tw_status status = tw_table_scan_part(table, part, digest_visit, &self, error);
    *sum = self.sum;
    *n_records = self.n_records;
    return status;
}
