/* What one table holds into another one of the same slots and records, whose keys get and lose rows by other rules. */
#include <string.h>

#include "store/internal.h"
#include "store/keep_record.h"

static tw_status put_row(tw_table *self, uint64_t key, uint32_t stamp, const void *row, tw_error *error)
{
    void *to = NULL;
    tw_status status = self->keep.is_on ? tw_keep_put(self, key, stamp, &to, error)
                                        : tw_table_rows(self, &key, 1, TW_ACCESS_WRITE, &to, error);
    if (status == TW_STATUS_OK)
        memcpy(to, row, self->row_size);
    return status;
}

static tw_status put_kept(void *context, const tw_keep_record *kept, tw_error *error)
{
    if (kept->row != NULL)
        return put_row(context, kept->key, kept->stamp, kept->row, error);
    tw_keep_load_seen(context, kept->key, kept->stamp, kept->count);
    return TW_STATUS_OK;
}

typedef struct copier {
    tw_table *to;
    bool has_rows; /* of it: those of scan count */
} copier;

static tw_status put_record(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    const copier *self = context;
    if (block < 0)
        return self->has_rows ? put_row(self->to, key, (uint32_t)self->to->keep.clock, record, error) : TW_STATUS_OK;
    void *to = NULL;
    tw_status status = tw_table_block_record(self->to, (uint32_t)block, (uint32_t)key, TW_ACCESS_WRITE, &to, error);
    if (status == TW_STATUS_OK)
        memcpy(to, record, self->to->spec.schema.block[block].record.size);
    return status;
}

tw_status tw_table_copy(tw_table *self, tw_table *from, tw_error *error)
{
    copier copy = {self, !from->keep.is_on};
    uint64_t n_rows = 0;
    for (size_t i = 0; i < from->n_segments; i++)
        n_rows += from->segment[i].count;
    self->keep.clock = from->keep.is_on ? from->keep.clock : self->keep.clock;
    self->events = from->events;
    self->epoch = from->epoch;
    tw_status status = tw_table_reserve(self, n_rows, error);
    if (status == TW_STATUS_OK)
        status = tw_table_scan(from, put_record, &copy, error);
    tw_table_part all = {-1, from->first_slot, (uint64_t)from->last_slot + 1};
    if (status == TW_STATUS_OK && from->keep.is_on)
        status = tw_table_scan_kept(from, &all, put_kept, self, error);
    for (size_t i = 0; i < from->n_marks && status == TW_STATUS_OK; i++)
        status = tw_table_set_mark(self, from->mark[i].split, from->mark[i].to, error);
    return status;
}
