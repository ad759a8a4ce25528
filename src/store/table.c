#include "store/table.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "store/segment.h"
#include "store/wire.h"

enum {
    HASHED_MIN_BITS = 12,
    HASHED_MAX_BITS = 31,
    TABLE_SMALL = 64 << 20, /* bytes of segments on small pages */
};

void tw_table_initial(const tw_table *self, uint64_t key, void *out)
{
    if (self->has_constant_rows)
        memcpy(out, self->initial, self->row_size);
    else
        tw_record_write_initial(&self->spec.schema.row, key, self->spec.hash_seed, out);
}

/* A schema that survives its own decoder obeys every rule of schema.h. */
static tw_status spec_check(const tw_table_spec *spec, uint32_t first_slot, uint32_t last_slot, tw_error *error)
{
    if (first_slot > last_slot || last_slot >= TW_N_SLOTS)
        return tw_error_set(error, TW_STATUS_INVALID, "table: slots %u to %u are not within 0 to %d", first_slot,
            last_slot, TW_N_SLOTS - 1);
    if (spec->kind != TW_TABLE_EXACT && spec->kind != TW_TABLE_HASHED)
        return tw_error_set(error, TW_STATUS_INVALID, "table: kind %d is unknown", (int)spec->kind);
    if (spec->kind == TW_TABLE_HASHED && (spec->bits < HASHED_MIN_BITS || spec->bits > HASHED_MAX_BITS))
        return tw_error_set(error, TW_STATUS_INVALID, "table: bits is %u, must be %d to %d", spec->bits,
            HASHED_MIN_BITS, HASHED_MAX_BITS);
    if (spec->schema.n_blocks > TW_SCHEMA_MAX_BLOCKS || spec->schema.row.n_fields > TW_RECORD_MAX_FIELDS)
        return tw_error_set(error, TW_STATUS_INVALID, "table: schema of %u blocks and %u row fields: at most %d and %d",
            spec->schema.n_blocks, spec->schema.row.n_fields, TW_SCHEMA_MAX_BLOCKS, TW_RECORD_MAX_FIELDS);
    size_t size = tw_schema_encode(&spec->schema, NULL, 0);
    unsigned char *bytes = tw_alloc(size);
    tw_schema *decoded = tw_alloc(sizeof *decoded);
    tw_status status = TW_STATUS_OK;
    if (bytes == NULL || decoded == NULL)
        status = tw_no_memory(error, size + sizeof *decoded);
    if (status == TW_STATUS_OK) {
        (void)tw_schema_encode(&spec->schema, bytes, size);
        status = tw_schema_decode(decoded, bytes, size, error);
        if (status < 0 && error != NULL)
            error->status = TW_STATUS_INVALID;
        status = status < 0 ? TW_STATUS_INVALID : TW_STATUS_OK;
    }
    tw_free(decoded);
    tw_free(bytes);
    return status;
}

static bool record_is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static tw_status table_cap(const tw_table *self, uint64_t more, const char *what, tw_error *error)
{
    if (self->spec.max_bytes == 0 || self->bytes + more <= self->spec.max_bytes)
        return TW_STATUS_OK;
    (void)tw_error_set(error, TW_STATUS_FULL,
        "table: %s needs %llu bytes, with the rest above the limit of %llu (max_bytes): raise the limit or use fewer "
        "bits",
        what, (unsigned long long)more, (unsigned long long)self->spec.max_bytes);
    tw_error_code(error, "E205");
    return TW_STATUS_FULL;
}

void tw_table_set_cap(tw_table *self, uint64_t max_bytes)
{
    if (!self->spec.keep.evicts)
        self->spec.max_bytes = max_bytes;
}

static tw_status hashed_create(tw_table *self, tw_error *error)
{
    uint32_t bits = self->spec.bits;
    self->shift = 64 - bits;
    self->first_row = (uint64_t)self->first_slot << (bits - TW_SLOT_BITS);
    self->n_rows = (uint64_t)(self->last_slot - self->first_slot + 1) << (bits - TW_SLOT_BITS);
    self->rows_size = (size_t)(self->n_rows * self->row_size);
    if (self->rows_size == 0)
        return TW_STATUS_OK;
    tw_status status = table_cap(self, self->rows_size, "a hashed table of these bits", error);
    if (status < 0)
        return status;
    self->rows = tw_map_pages(self->rows_size);
    if (self->rows == NULL)
        return tw_no_memory(error, self->rows_size);
    self->bytes += self->rows_size;
    if (self->has_constant_rows && record_is_zero(self->initial, self->row_size))
        return TW_STATUS_OK;
    for (uint64_t i = 0; i < self->n_rows; i++)
        tw_table_initial(self, (self->first_row + i) << self->shift, self->rows + i * self->row_size);
    return TW_STATUS_OK;
}

static tw_status block_create(tw_table *self, uint32_t index, tw_error *error)
{
    const tw_block *block = &self->spec.schema.block[index];
    tw_block_state *state = &self->block[index];
    bool holds_all = self->first_slot == 0 && self->last_slot == TW_N_SLOTS - 1;
    state->size = (size_t)block->count * block->record.size;
    if (state->size == 0)
        return TW_STATUS_OK;
    tw_status status = table_cap(self, state->size, block->name, error);
    if (status < 0)
        return status;
    state->bytes = tw_alloc_aligned(64, state->size);
    if (!holds_all)
        state->is_here = tw_alloc_zero(block->count);
    if (state->bytes == NULL || (!holds_all && state->is_here == NULL))
        return tw_no_memory(error, state->size);
    self->bytes += state->size;
    for (uint32_t i = 0; i < block->count; i++) {
        uint64_t key = tw_block_key(block->name, i);
        uint64_t slot = tw_key_slot(key);
        if (slot < self->first_slot || slot > self->last_slot)
            continue;
        if (state->is_here != NULL)
            state->is_here[i] = 1;
        state->n_here++;
        tw_record_write_initial(
            &block->record, key, self->spec.hash_seed, state->bytes + (size_t)i * block->record.size);
    }
    return TW_STATUS_OK;
}

static tw_status table_fill(tw_table *self, tw_error *error)
{
    self->row_size = self->spec.schema.row.size;
    self->has_constant_rows = tw_record_has_constant_initial(&self->spec.schema.row);
    self->initial = tw_alloc_aligned(64, self->row_size + 8);
    self->pages = tw_page_pool_create(TABLE_SMALL);
    if (self->initial == NULL || self->pages == NULL)
        return tw_no_memory(error, self->row_size + 8);
    tw_record_write_initial(&self->spec.schema.row, 0, self->spec.hash_seed, self->initial);
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < self->spec.schema.n_blocks && status == TW_STATUS_OK; i++)
        status = block_create(self, i, error);
    if (status == TW_STATUS_OK)
        status = tw_keeper_init(self, error);
    if (status == TW_STATUS_OK)
        status = self->spec.kind == TW_TABLE_HASHED ? hashed_create(self, error) : tw_segments_create(self, error);
    return status;
}

tw_status tw_table_create(
    const tw_table_spec *spec, uint32_t first_slot, uint32_t last_slot, tw_table **out, tw_error *error)
{
    *out = NULL;
    tw_status status = spec_check(spec, first_slot, last_slot, error);
    if (status < 0)
        return status;
    tw_table *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->spec = *spec;
    self->first_slot = first_slot;
    self->last_slot = last_slot;
    status = table_fill(self, error);
    if (status < 0)
        tw_table_destroy(&self);
    *out = self;
    return status;
}

void tw_table_destroy(tw_table **self)
{
    tw_table *table = self == NULL ? NULL : *self;
    if (table == NULL)
        return;
    tw_frozen_destroy(&table->frozen);
    tw_touched_end(table);
    tw_segments_destroy(table);
    tw_page_pool_destroy(&table->pages);
    tw_unmap_pages(table->rows, table->rows_size);
    for (uint32_t i = 0; i < TW_SCHEMA_MAX_BLOCKS; i++) {
        tw_free(table->block[i].bytes);
        tw_free(table->block[i].is_here);
    }
    tw_keeper_fini(table);
    tw_free(table->scratch_index);
    tw_free(table->scratch);
    tw_free(table->initial);
    tw_free(table->mark);
    tw_free(table);
    *self = NULL;
}

const tw_table_spec *tw_table_spec_of(const tw_table *self)
{
    return &self->spec;
}

static void hashed_keep(tw_table *self, uint64_t index, const void *row)
{
    tw_area_keep(&self->row_area[index * self->row_size / self->area_size], row, self->row_size);
}

static void hashed_rows(tw_table *self, const uint64_t *key, uint32_t n, tw_access access, void **row)
{
    unsigned char *base = self->rows;
    uint64_t first = self->first_row;
    uint64_t size = self->row_size;
    uint32_t shift = self->shift;
    for (uint32_t i = 0; i < n; i++)
        row[i] = base + ((key[i] >> shift) - first) * size;
    uint8_t *bits = self->touched == NULL ? NULL : self->touched->bits;
    if (access == TW_ACCESS_READ || (self->row_area == NULL && bits == NULL))
        return;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t index = (key[i] >> shift) - first;
        if (self->row_area != NULL)
            hashed_keep(self, index, row[i]);
        if (bits != NULL)
            tw_touch(self->touched, &bits[index / 8], index % 8);
    }
}

void tw_table_begin(tw_table *self)
{
    if (self->frozen == NULL)
        return;
    self->frozen->stall_until_us = tw_clock_monotonic_us() + TW_STALL_MAX_US;
    atomic_fetch_add(&self->frozen->n_batches, 1);
}

tw_status tw_table_rows(tw_table *self, const uint64_t *key, uint32_t n, tw_access access, void **row, tw_error *error)
{
    tw_table_begin(self);
    if (self->row_size == 0) {
        if (n > 0)
            memset(row, 0, n * sizeof *row);
        return TW_STATUS_OK;
    }
    if (self->spec.kind == TW_TABLE_EXACT)
        return tw_segments_rows(self, key, n, access, row, error);
    hashed_rows(self, key, n, access, row);
    return TW_STATUS_OK;
}

bool tw_table_has_block_record(const tw_table *self, uint32_t block, uint32_t record)
{
    if (block >= self->spec.schema.n_blocks || record >= self->spec.schema.block[block].count)
        return false;
    return self->block[block].is_here == NULL || self->block[block].is_here[record] != 0;
}

tw_status tw_table_block(tw_table *self, uint32_t index, tw_access access, void **block, tw_error *error)
{
    *block = NULL;
    if (index >= self->spec.schema.n_blocks)
        return tw_error_set(error, TW_STATUS_INVALID, "table: block %u does not exist, the schema has %u", index,
            self->spec.schema.n_blocks);
    tw_block_state *state = &self->block[index];
    if (state->n_here == 0)
        return TW_STATUS_OK;
    if (state->area != NULL && access == TW_ACCESS_WRITE)
        tw_area_keep(state->area, state->bytes, state->size);
    *block = state->bytes;
    return TW_STATUS_OK;
}

tw_status tw_table_block_record(
    tw_table *self, uint32_t block, uint32_t record, tw_access access, void **out, tw_error *error)
{
    *out = NULL;
    if (block >= self->spec.schema.n_blocks || record >= self->spec.schema.block[block].count)
        return tw_error_set(error, TW_STATUS_INVALID, "table: record %u of block %u does not exist", record, block);
    if (!tw_table_has_block_record(self, block, record))
        return tw_error_set(error, TW_STATUS_NOT_FOUND, "table: record %u of block %s is not in slots %u to %u", record,
            self->spec.schema.block[block].name, self->first_slot, self->last_slot);
    uint32_t size = self->spec.schema.block[block].record.size;
    unsigned char *bytes = self->block[block].bytes + (size_t)record * size;
    if (self->block[block].area != NULL && access == TW_ACCESS_WRITE)
        tw_area_keep(self->block[block].area, bytes, size);
    *out = bytes;
    return TW_STATUS_OK;
}

/* Place of the first mark whose split is not below `split`. */
static size_t mark_place(const tw_table *self, uint64_t split)
{
    size_t low = 0;
    size_t high = self->n_marks;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->mark[middle].split < split)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t tw_table_mark(const tw_table *self, uint64_t split)
{
    size_t at = mark_place(self, split);
    return at < self->n_marks && self->mark[at].split == split ? self->mark[at].to : 0;
}

tw_status tw_table_set_mark(tw_table *self, uint64_t split, uint64_t to, tw_error *error)
{
    size_t at = mark_place(self, split);
    if (at == self->n_marks || self->mark[at].split != split) {
        tw_status status = tw_grow(&self->mark, sizeof(tw_mark), &self->mark_capacity, self->n_marks + 1, error);
        if (status < 0)
            return status;
        memmove(self->mark + at + 1, self->mark + at, (self->n_marks - at) * sizeof(tw_mark));
        self->mark[at].split = split;
        self->n_marks++;
    }
    self->mark[at].to = to;
    return TW_STATUS_OK;
}

void tw_table_forget_marks(tw_table *self)
{
    self->n_marks = 0;
}

const tw_mark *tw_table_marks(const tw_table *self, size_t *n_marks)
{
    *n_marks = self->n_marks;
    return self->mark;
}

uint64_t tw_table_epoch(const tw_table *self)
{
    return self->epoch;
}

void tw_table_set_epoch(tw_table *self, uint64_t epoch)
{
    self->epoch = epoch;
}

uint64_t tw_table_events_learned(const tw_table *self)
{
    return self->events;
}

void tw_table_add_events_learned(tw_table *self, uint64_t n)
{
    self->events += n;
}

static tw_status scan_blocks(tw_table *self, tw_record_visit visit, void *context, tw_error *error)
{
    for (uint32_t i = 0; i < self->spec.schema.n_blocks; i++) {
        const tw_block *block = &self->spec.schema.block[i];
        for (uint32_t j = 0; block->record.size > 0 && j < block->count; j++) {
            if (!tw_table_has_block_record(self, i, j))
                continue;
            const unsigned char *record = self->block[i].bytes + (size_t)j * block->record.size;
            tw_status status = visit(context, (int)i, j, record, error);
            if (status < 0)
                return status;
        }
    }
    return TW_STATUS_OK;
}

tw_status tw_table_scan_segment(
    tw_table *self, const tw_segment *segment, tw_record_visit visit, void *context, tw_error *error)
{
    for (uint64_t i = 0; i < segment->n_buckets; i++) {
        unsigned char *bucket = segment->bytes + i * self->stride;
        const uint64_t *words = tw_bucket_words(bucket);
        for (unsigned j = 0; j < TW_BUCKET_KEYS && words[j] != 0; j++) {
            const void *row = tw_bucket_row(bucket, j, self->row_size);
            if (self->is_stamped &&
                tw_keep_is_expired(self, *tw_bucket_stamp(bucket, j, self->row_size), self->keep.clock))
                continue;
            tw_status status = visit(context, -1, tw_word_key(segment->base, words[j]), row, error);
            if (status < 0)
                return status;
        }
    }
    return TW_STATUS_OK;
}

tw_status tw_table_scan_rows(
    tw_table *self, uint64_t from, uint64_t to, tw_record_visit visit, void *context, tw_error *error)
{
    unsigned char *initial = tw_alloc(self->row_size);
    if (initial == NULL)
        return tw_no_memory(error, self->row_size);
    tw_status status = TW_STATUS_OK;
    for (uint64_t i = from; i < to && status == TW_STATUS_OK; i++) {
        const unsigned char *row = self->rows + i * self->row_size;
        uint64_t key = (self->first_row + i) << self->shift;
        if (i == from || !self->has_constant_rows)
            tw_table_initial(self, key, initial);
        if (memcmp(row, initial, self->row_size) != 0)
            status = visit(context, -1, key, row, error);
    }
    tw_free(initial);
    return status < 0 ? status : TW_STATUS_OK;
}

tw_status tw_table_scan(tw_table *self, tw_record_visit visit, void *context, tw_error *error)
{
    tw_status status = scan_blocks(self, visit, context, error);
    if (status < 0 || self->row_size == 0)
        return status;
    if (self->spec.kind == TW_TABLE_HASHED)
        return tw_table_scan_rows(self, 0, self->n_rows, visit, context, error);
    for (size_t i = 0; i < self->n_segments && status == TW_STATUS_OK; i++)
        status = tw_table_scan_segment(self, &self->segment[i], visit, context, error);
    return status;
}

void tw_table_stats(const tw_table *self, tw_params_stats *out)
{
    *out = (tw_params_stats){.bytes = self->bytes,
        .events_learned = self->events,
        .rows = self->n_rows,
        .rows_expired = self->keep.n_expired,
        .rows_evicted = self->keep.n_evicted,
        .touches_refused = self->keep.n_refused};
    for (size_t i = 0; i < self->n_segments; i++)
        out->rows += self->segment[i].count;
}
