#include "ps/shard/replication.h"

#include "base/hash.h"
#include "ps/shard/replay.h"

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
