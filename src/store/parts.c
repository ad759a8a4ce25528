/* Visiting a table in parts, between which it may change. */
#include "base/alloc.h"
#include "store/internal.h"

tw_status tw_table_reserve(tw_table *self, uint64_t n_rows, tw_error *error)
{
    if (self->spec.kind != TW_TABLE_EXACT || self->row_size == 0)
        return TW_STATUS_OK;
    return tw_segments_reserve(self, n_rows, error);
}

static uint64_t first_place(const tw_table *self)
{
    return self->spec.kind == TW_TABLE_HASHED ? 0 : self->first_slot;
}

static uint64_t end_place(const tw_table *self)
{
    if (self->row_size == 0)
        return first_place(self);
    return self->spec.kind == TW_TABLE_HASHED ? self->n_rows : (uint64_t)self->last_slot + 1;
}

static const tw_segment *segment_at(const tw_table *self, uint64_t slot)
{
    return &self->segment[self->segment_of[slot]];
}

/* Whole segments, so that none is gone through twice. */
static uint64_t exact_end(const tw_table *self, uint64_t from, uint64_t max_bytes)
{
    uint64_t to = from, bytes = 0, end = end_place(self);
    do {
        const tw_segment *segment = segment_at(self, to);
        bytes += segment->size;
        to = (uint64_t)segment->last_slot + 1;
    } while (to < end && bytes + segment_at(self, to)->size <= max_bytes);
    return to;
}

static uint64_t at_least_one(uint64_t n)
{
    return n > 0 ? n : 1;
}

static bool next_rows(const tw_table *self, uint64_t max_bytes, uint64_t from, tw_table_part *part)
{
    uint64_t end = end_place(self);
    *part = (tw_table_part){-1, from, end};
    if (from >= end)
        return false;
    if (self->spec.kind == TW_TABLE_EXACT)
        part->to = exact_end(self, from, max_bytes);
    else if (max_bytes / self->row_size < end - from)
        part->to = from + at_least_one(max_bytes / self->row_size);
    return true;
}

bool tw_table_next_part(const tw_table *self, uint64_t max_bytes, tw_table_part *part)
{
    if (part->block < 0)
        return next_rows(self, max_bytes, part->to, part);
    uint64_t from = part->to;
    for (uint32_t b = (uint32_t)part->block; b < self->spec.schema.n_blocks; b++, from = 0) {
        const tw_block *block = &self->spec.schema.block[b];
        if (block->record.size == 0 || from >= block->count)
            continue;
        uint64_t n = at_least_one(max_bytes / block->record.size);
        *part = (tw_table_part){(int)b, from, n < block->count - from ? from + n : block->count};
        return true;
    }
    return next_rows(self, max_bytes, first_place(self), part);
}

static tw_status scan_records(
    tw_table *self, const tw_table_part *part, tw_record_visit visit, void *context, tw_error *error)
{
    uint32_t block = (uint32_t)part->block, size = self->spec.schema.block[part->block].record.size;
    tw_status status = TW_STATUS_OK;
    for (uint64_t i = part->from; i < part->to && status >= 0; i++) {
        if (tw_table_has_block_record(self, block, (uint32_t)i))
            status = visit(context, part->block, i, self->block[block].bytes + i * size, error);
    }
    return status < 0 ? status : TW_STATUS_OK;
}

typedef struct slot_filter {
    const tw_table_part *part;
    tw_record_visit visit;
    void *context;
} slot_filter;

/* A segment may hold slots on both sides of the part's. */
static tw_status visit_inside(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    const slot_filter *self = context;
    uint32_t slot = tw_key_slot(key);
    bool is_inside = slot >= self->part->from && slot < self->part->to;
    return is_inside ? self->visit(self->context, block, key, record, error) : TW_STATUS_OK;
}

tw_status tw_table_scan_part(
    tw_table *self, const tw_table_part *part, tw_record_visit visit, void *context, tw_error *error)
{
    bool is_block = part->block >= 0;
    if (part->from > part->to || part->block < -1 || (is_block && (uint32_t)part->block >= self->spec.schema.n_blocks))
        return tw_error_set(error, TW_STATUS_INVALID, "table: there is no such part");
    uint64_t end = is_block ? self->spec.schema.block[part->block].count : end_place(self);
    if (part->to > end || (!is_block && part->from < first_place(self)))
        return tw_error_set(error, TW_STATUS_INVALID, "table: a part up to %llu, the table ends at %llu",
            (unsigned long long)part->to, (unsigned long long)end);
    if (is_block)
        return scan_records(self, part, visit, context, error);
    if (self->spec.kind == TW_TABLE_HASHED)
        return tw_table_scan_rows(self, part->from, part->to, visit, context, error);
    slot_filter filter = {part, visit, context};
    tw_status status = TW_STATUS_OK;
    for (uint64_t slot = part->from; slot < part->to && status >= 0;) {
        const tw_segment *segment = segment_at(self, slot);
        status = tw_table_scan_segment(self, segment, visit_inside, &filter, error);
        slot = (uint64_t)segment->last_slot + 1;
    }
    return status;
}
