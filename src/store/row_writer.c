/* The copier: walks what was frozen, joins live and kept chunks into an image of each area, and writes its rows. */
#include <sched.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "store/section.h"
#include "store/segment.h"
#include "store/spec.h"

typedef struct copier {
    tw_frozen *frozen;
    tw_section_writer *out;
    unsigned char *image;
    size_t image_capacity;
    unsigned char *initial; /* one row */
    bool has_initial;       /* it is the same for all rows */
} copier;

/* Bytes [start, end) of an area. */
typedef struct chunk_span {
    const unsigned char *live;
    unsigned char *to;
    size_t start, end;
} chunk_span;

static tw_status copy_failed(tw_error *error)
{
    return tw_error_set(error, TW_STATUS_NO_MEMORY,
        "snapshot: out of memory for rows that changed while it was written; it is given up, the rows are untouched");
}

/* The part of [start, start + size) of the area that lies in chunk `self`. */
static void copy_piece(const chunk_span *self, size_t start, size_t size)
{
    size_t first = start > self->start ? start : self->start;
    size_t end = start + size < self->end ? start + size : self->end;
    if (first < end)
        memcpy(self->to + first, self->live + first, end - first);
}

static void copy_places(const copier *self, const tw_area *area, const chunk_span *span)
{
    size_t row_size = self->frozen->spec->schema.row.size;
    size_t stride = TW_BUCKET_KEY_BYTES + TW_BUCKET_KEYS * row_size;
    for (size_t b = span->start / stride; b * stride < span->end; b++) {
        for (unsigned bits = area->touched[b]; bits != 0; bits &= bits - 1) {
            size_t place = (size_t)__builtin_ctz(bits);
            copy_piece(span, b * stride + 8 * place, 8);
            copy_piece(span, b * stride + TW_BUCKET_KEY_BYTES + place * row_size, row_size);
        }
    }
}

static void copy_rows(const copier *self, const tw_area *area, const chunk_span *span)
{
    size_t row_size = self->frozen->spec->schema.row.size;
    for (size_t i = span->start / row_size; i * row_size < span->end; i++) {
        if ((area->touched[i / 8] >> (i % 8) & 1) != 0)
            copy_piece(span, i * row_size, row_size);
    }
}

/* Of a delta's area only what is wanted is read: the table may be writing to the bytes between, which it does not keep.
 */
static void copy_live(const copier *self, const tw_area *area, const chunk_span *span)
{
    if (area->touched == NULL)
        memcpy(span->to + span->start, area->live + span->start, span->end - span->start);
    else if (area->kind == TW_AREA_EXACT)
        copy_places(self, area, span);
    else
        copy_rows(self, area, span);
}

static bool chunk_is_wanted(const copier *self, const tw_area *area, const chunk_span *span)
{
    size_t row_size = self->frozen->spec->schema.row.size; /* 0 where a model has blocks only, which are not tracked */
    if (area->touched == NULL)
        return true;
    size_t unit = area->kind == TW_AREA_EXACT ? TW_BUCKET_KEY_BYTES + TW_BUCKET_KEYS * row_size : row_size * 8;
    for (size_t i = span->start / unit; i * unit < span->end; i++) {
        if (area->touched[i] != 0)
            return true;
    }
    return false;
}

/* Whoever moves a chunk from UNSAVED to SAVING alone may read the live bytes. */
static tw_status copy_chunk(const copier *self, tw_area *area, size_t chunk, tw_error *error)
{
    size_t start = chunk * TW_CHUNK_SIZE;
    size_t size = area->size - start < TW_CHUNK_SIZE ? area->size - start : TW_CHUNK_SIZE;
    chunk_span span = {.live = area->live, .to = self->image, .start = start, .end = start + size};
    if (!chunk_is_wanted(self, area, &span))
        return TW_STATUS_OK;
    uint8_t expected = TW_CHUNK_UNSAVED;
    if (atomic_compare_exchange_strong_explicit(
            &area->state[chunk], &expected, TW_CHUNK_SAVING, memory_order_acquire, memory_order_acquire)) {
        copy_live(self, area, &span);
        atomic_store_explicit(&area->state[chunk], TW_CHUNK_SAVED, memory_order_release);
        return TW_STATUS_OK;
    }
    while (atomic_load_explicit(&area->state[chunk], memory_order_acquire) != TW_CHUNK_SAVED)
        (void)sched_yield();
    if (area->kept[chunk] == NULL)
        return copy_failed(error);
    memcpy(span.to + start, area->kept[chunk], size);
    tw_free(area->kept[chunk]);
    area->kept[chunk] = NULL;
    atomic_fetch_sub(&area->frozen->kept_bytes, size);
    return TW_STATUS_OK;
}

static tw_status copy_area(copier *self, tw_area *area, tw_error *error)
{
    tw_status status = tw_grow(&self->image, 1, &self->image_capacity, area->size, error);
    for (size_t i = 0; i < area->n_chunks && status == TW_STATUS_OK; i++)
        status = copy_chunk(self, area, i, error);
    if (status < 0)
        return status;
    if (atomic_fetch_or(&area->owners, TW_AREA_COPIED) & TW_AREA_REPLACED)
        tw_segment_memory_free(area->live, area->size);
    return TW_STATUS_OK;
}

static void put_pair(tw_section_writer *out, uint64_t key, const void *record, size_t size)
{
    tw_wire_put_u64(out->body + out->body_size, key);
    if (size > 0)
        memcpy(out->body + out->body_size + 8, record, size);
    out->body_size += 8 + size;
    out->header.count++;
}

static unsigned bucket_used(const uint64_t *keys)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < TW_BUCKET_KEYS && keys[i] != 0; i++)
        bits |= 1u << i;
    return bits;
}

static void put_u32(tw_section_writer *out, uint32_t value)
{
    tw_wire_out wire = {.bytes = out->body, .size = out->body_size};
    tw_wire_put(&wire, value, 4);
    out->body_size = wire.size;
}

static tw_status write_exact(copier *self, const tw_area *area, tw_error *error)
{
    const tw_table *table = self->frozen->table; /* what of it never changes */
    size_t row_size = table->row_size, stride = table->stride;
    int32_t after = table->is_stamped && table->keep.expires ? (int32_t)table->spec.keep.expire_after : INT32_MAX;
    tw_status status = tw_section_room(self->out, area->size, error);
    if (status < 0)
        return status;
    for (size_t b = 0; b * stride < area->size; b++) {
        unsigned char *bucket = self->image + b * stride;
        const uint64_t *keys = tw_bucket_keys(bucket);
        unsigned bits = area->touched == NULL ? bucket_used(keys) : area->touched[b];
        for (; bits != 0; bits &= bits - 1) {
            unsigned i = (unsigned)__builtin_ctz(bits);
            uint32_t stamp = table->is_stamped ? *tw_bucket_stamp(bucket, i, table->row_size) : 0;
            if (table->is_stamped && (int32_t)((uint32_t)self->frozen->clock - stamp) > after)
                continue;
            put_pair(self->out, keys[i], tw_bucket_row(bucket, i, table->row_size), row_size);
            if (table->is_stamped)
                put_u32(self->out, stamp);
        }
    }
    return TW_STATUS_OK;
}

static tw_status write_seen(copier *self, const tw_area *area, tw_error *error)
{
    const tw_table *table = self->frozen->table;
    const tw_seen_set *set = (const tw_seen_set *)(const void *)self->image;
    size_t n = area->size / sizeof *set;
    tw_status status = tw_section_room(self->out, n * TW_SEEN_KEYS * 16, error);
    for (size_t i = 0; i < n && status == TW_STATUS_OK; i++) {
        uint64_t slot = table->first_slot + (area->first_row + i) / table->keep.sets_a_slot;
        for (unsigned j = 0; j < TW_SEEN_KEYS; j++) {
            if (set[i].entry[j] == 0)
                continue;
            uint64_t key = slot << (64 - TW_SLOT_BITS) | set[i].entry[j] >> TW_SEEN_COUNT_BITS;
            put_pair(self->out, key, NULL, 0);
            put_u32(self->out, set[i].stamp[j]);
            put_u32(self->out, (uint32_t)(set[i].entry[j] & TW_ADMIT_COUNT_MAX));
        }
    }
    return status;
}

static tw_status write_hashed(copier *self, const tw_area *area, tw_error *error)
{
    const tw_table_spec *spec = self->frozen->spec;
    size_t row_size = spec->schema.row.size;
    size_t n = area->size / row_size;
    tw_status status = tw_section_room(self->out, n * (8 + row_size), error);
    for (size_t i = 0; i < n && status == TW_STATUS_OK; i++) {
        uint64_t key = (area->first_row + i) << (64 - spec->bits);
        if (!self->has_initial && area->touched == NULL)
            tw_record_write_initial(&spec->schema.row, key, spec->hash_seed, self->initial);
        const unsigned char *row = self->image + i * row_size;
        if (area->touched != NULL ? (area->touched[i / 8] >> (i % 8) & 1) != 0
                                  : memcmp(row, self->initial, row_size) != 0)
            put_pair(self->out, key, row, row_size);
    }
    return status;
}

static tw_status write_block(copier *self, const tw_area *area, tw_error *error)
{
    const tw_block *block = &self->frozen->spec->schema.block[area->index];
    size_t size = block->record.size;
    tw_status status = tw_section_room(self->out, block->count * (8 + size), error);
    for (uint32_t i = 0; i < block->count && status == TW_STATUS_OK; i++) {
        uint64_t slot = tw_block_key(block->name, i) >> (64 - TW_SLOT_BITS);
        if (slot >= self->frozen->first_slot && slot <= self->frozen->last_slot)
            put_pair(self->out, i, self->image + i * size, size);
    }
    return status;
}

static tw_section_type section_of(const tw_frozen *self, const tw_area *area)
{
    if (area->kind == TW_AREA_BLOCK)
        return TW_SECTION_BLOCK;
    if (area->kind == TW_AREA_SEEN)
        return TW_SECTION_SEEN;
    return self->table->is_stamped ? TW_SECTION_STAMPED : TW_SECTION_ROWS;
}

static tw_status write_area(copier *self, tw_area *area, tw_error *error)
{
    tw_status status = copy_area(self, area, error);
    if (status < 0)
        return status;
    tw_section_begin(self->out, section_of(self->frozen, area), area->index);
    self->out->header.first_slot = area->first_slot;
    self->out->header.last_slot = area->last_slot;
    if (area->kind == TW_AREA_BLOCK)
        status = write_block(self, area, error);
    else if (area->kind == TW_AREA_EXACT)
        status = write_exact(self, area, error);
    else if (area->kind == TW_AREA_SEEN)
        status = write_seen(self, area, error);
    else
        status = write_hashed(self, area, error);
    if (status < 0 || (area->kind != TW_AREA_BLOCK && self->out->header.count == 0))
        return status;
    return tw_section_end(self->out, error);
}

/* Payload: clock u64, expiry u64, bytes of counts u64, probability f64, count u32, eviction u32. */
static tw_status write_keep(tw_frozen *self, tw_section_writer *out, tw_error *error)
{
    const tw_keep *keep = &self->spec->keep;
    if (!tw_keep_is_on(self->spec))
        return TW_STATUS_OK;
    tw_section_begin(out, TW_SECTION_KEEP, 0);
    tw_status status = tw_section_room(out, TW_KEEP_BYTES, error);
    if (status < 0)
        return status;
    tw_wire_out wire = {.bytes = out->body, .size = out->body_size};
    tw_wire_put(&wire, self->clock, 8);
    tw_keep_encode(keep, &wire);
    out->body_size = wire.size;
    return tw_section_end(out, error);
}

static tw_status write_head(tw_frozen *self, tw_section_writer *out, tw_error *error)
{
    tw_status status = tw_spec_write(out, self->spec, error);
    out->header.first_slot = self->first_slot;
    out->header.last_slot = self->last_slot;
    if (status == TW_STATUS_OK)
        status = tw_section_end(out, error);
    if (status == TW_STATUS_OK)
        status = write_keep(self, out, error);
    tw_section_begin(out, TW_SECTION_MARKS, 0);
    out->header.count = self->n_marks;
    if (status == TW_STATUS_OK)
        status = tw_section_room(out, self->n_marks * 16, error);
    if (status < 0)
        return status;
    tw_wire_out wire = {.bytes = out->body, .size = out->body_size};
    for (size_t i = 0; i < self->n_marks; i++) {
        tw_wire_put(&wire, self->mark[i].split, 8);
        tw_wire_put(&wire, self->mark[i].to, 8);
    }
    out->body_size = wire.size;
    status = tw_section_end(out, error);
    tw_section_begin(out, TW_SECTION_EVENTS, self->epoch);
    out->header.count = self->events;
    out->header.first_slot = self->is_own;
    if (status == TW_STATUS_OK)
        status = tw_section_end(out, error);
    return status < 0 || self->chain == NULL ? status : tw_chain_write(out, self->chain, error);
}

static uint64_t reserve_size(const tw_frozen *self)
{
    uint64_t size = 0;
    for (size_t i = 0; i < self->n_areas; i++)
        size += self->area[i].kind == TW_AREA_HASHED || self->area[i].touched != NULL ? 0 : self->area[i].size;
    return self->chain == NULL ? size : size + self->n_touched_rows * (8 + self->spec->schema.row.size);
}

static tw_status write_all(copier *self, tw_error *error)
{
    tw_frozen *frozen = self->frozen;
    const tw_record *row = &frozen->spec->schema.row;
    self->initial = tw_alloc_aligned(8, row->size + 8);
    if (self->initial == NULL)
        return tw_no_memory(error, row->size + 8);
    self->has_initial = tw_record_has_constant_initial(row);
    tw_record_write_initial(row, 0, frozen->spec->hash_seed, self->initial);
    tw_status status = write_head(frozen, self->out, error);
    for (size_t i = 0; i < frozen->n_areas && status == TW_STATUS_OK; i++)
        status = write_area(self, &frozen->area[i], error);
    return status;
}

/* A delta without the files below it would be worth nothing. */
static tw_status check_chain(tw_frozen *self, const char *directory, tw_error *error)
{
    char path[TW_STORE_PATH_SIZE];
    tw_file_info info = {0};
    tw_status status = TW_STATUS_OK;
    if (self->directory != NULL && strcmp(self->directory, directory) != 0)
        status =
            tw_error_set(error, TW_STATUS_INVALID, "snapshot: was cut for %s, not for %s", self->directory, directory);
    for (uint32_t i = 0; self->chain != NULL && i < self->chain->n_files && status == TW_STATUS_OK; i++) {
        const tw_row_file *file = &self->chain->file[i];
        status = tw_store_path(path, directory, file->name, error);
        if (status == TW_STATUS_OK)
            status = tw_file_stat(path, &info, error);
        if (status == TW_STATUS_OK && info.size != file->size)
            status = tw_error_set(error, TW_STATUS_CORRUPT,
                "%s: has %llu bytes, %llu were written: no delta can stand on it, the next snapshot will be a base",
                path, (unsigned long long)info.size, (unsigned long long)file->size);
    }
    if (status < 0)
        atomic_store(&self->is_failed, true);
    return status;
}

tw_status tw_frozen_write(tw_frozen *self, const char *directory, const char *name, tw_row_file *out, tw_error *error)
{
    memset(out, 0, sizeof *out);
    if (strlen(name) >= TW_FILE_NAME_SIZE)
        return tw_error_set(
            error, TW_STATUS_INVALID, "%s: file name longer than %d bytes", name, TW_FILE_NAME_SIZE - 1);
    tw_status status = check_chain(self, directory, error);
    if (status < 0)
        return status;
    tw_section_writer *writer = tw_alloc_zero(sizeof *writer);
    copier copy = {.frozen = self, .out = writer};
    if (writer == NULL) {
        atomic_store(&self->is_failed, true);
        return tw_no_memory(error, sizeof *writer);
    }
    atomic_store(&self->is_copying, true);
    status = tw_section_writer_open(
        writer, directory, name, TW_STORE_ROWS, tw_schema_hash(&self->spec->schema), reserve_size(self), error);
    if (status == TW_STATUS_OK)
        status = write_all(&copy, error);
    if (status == TW_STATUS_OK)
        status = tw_section_writer_finish(writer, out, error);
    if (status < 0)
        atomic_store(&self->is_failed, true);
    atomic_store(&self->is_copying, false);
    tw_section_writer_close(writer);
    tw_free(writer);
    tw_free(copy.initial);
    tw_free(copy.image);
    memcpy(out->name, name, strlen(name));
    self->written = *out;
    atomic_store(&self->is_written, status == TW_STATUS_OK);
    return status;
}
