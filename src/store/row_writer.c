/* The copier: walks what was frozen, makes an image of each area as it was at the cut, and writes its rows. */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "store/section.h"
#include "store/segment.h"
#include "store/spec.h"

enum { REST_PER_WORK = 6, REST_PER_WORK_DELTA = 16, REST_STEP_US = 5000, REST_IDLE_US = 50000 };

typedef struct copier {
    tw_frozen *frozen;
    tw_section_writer *out;
    unsigned char *image;
    size_t image_capacity;
    unsigned char *initial; /* one row */
    bool has_initial;       /* it is the same for all rows */
} copier;

static tw_status copy_failed(const tw_frozen *self, tw_error *error)
{
    if (atomic_load(&self->is_over))
        return tw_error_set(error, TW_STATUS_NO_MEMORY,
            "snapshot: more than %llu bytes changed or grew before they were written; it is given up, the rows are "
            "untouched",
            (unsigned long long)self->kept.max_bytes);
    return tw_error_set(error, TW_STATUS_NO_MEMORY,
        "snapshot: out of memory for rows that changed while it was written; it is given up, the rows are untouched");
}

/* Not all of it is wanted. */
static bool is_part(const tw_area *self)
{
    return self->touched != NULL || self->interval != 0;
}

static tw_status copy_area(copier *self, tw_area *area, tw_error *error)
{
    size_t bits = is_part(area) && area->kind == TW_AREA_EXACT ? area->size / self->frozen->table->stride : 0;
    tw_status status = tw_grow(&self->image, 1, &self->image_capacity, area->size + bits, error);
    if (status == TW_STATUS_OK && !tw_area_copy(area, self->image))
        status = copy_failed(self->frozen, error);
    return status;
}

static void put_pair(tw_section_writer *out, uint64_t key, const void *record, size_t size)
{
    tw_wire_put_u64(out->body + out->body_size, key);
    if (size > 0)
        memcpy(out->body + out->body_size + 8, record, size);
    out->body_size += 8 + size;
    out->header.count++;
}

static unsigned bucket_used(const uint64_t *words)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < TW_BUCKET_KEYS && words[i] != 0; i++)
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
    const unsigned char *wanted = self->image + area->size; /* by bucket */
    uint64_t base = tw_slot_base(area->first_slot);
    tw_status status = tw_section_room(self->out, area->size, error);
    if (status < 0)
        return status;
    for (size_t b = 0; b * stride < area->size; b++) {
        unsigned char *bucket = self->image + b * stride;
        const uint64_t *words = tw_bucket_words(bucket);
        unsigned bits = is_part(area) ? wanted[b] : bucket_used(words);
        for (; bits != 0; bits &= bits - 1) {
            unsigned i = (unsigned)__builtin_ctz(bits);
            uint32_t stamp = table->is_stamped ? *tw_bucket_stamp(bucket, i, table->row_size) : 0;
            if (table->is_stamped && (int32_t)((uint32_t)self->frozen->clock - stamp) > after)
                continue;
            put_pair(self->out, tw_word_key(base, words[i]), tw_bucket_row(bucket, i, table->row_size), row_size);
            if (table->is_stamped)
                put_u32(self->out, stamp);
        }
    }
    return TW_STATUS_OK;
}

static void put_set(tw_section_writer *out, uint64_t set)
{
    put_pair(out, set, NULL, 0);
    put_u32(out, 0);
    put_u32(out, 0);
}

static tw_status write_seen(copier *self, const tw_area *area, tw_error *error)
{
    const tw_table *table = self->frozen->table;
    const tw_seen_set *set = (const tw_seen_set *)(const void *)self->image;
    size_t n = area->size / sizeof *set;
    tw_status status = tw_section_room(self->out, n * (TW_SEEN_KEYS + 1) * 16, error);
    if (area->touched != NULL)
        self->out->header.index = table->keep.sets_a_slot;
    for (size_t i = 0; i < n && status == TW_STATUS_OK; i++) {
        uint64_t slot = table->first_slot + (area->first_row + i) / table->keep.sets_a_slot;
        if (area->touched != NULL && (area->touched[i / 8] >> (i % 8) & 1) == 0)
            continue;
        if (area->touched != NULL)
            put_set(self->out, slot << (64 - TW_SLOT_BITS) | (area->first_row + i) % table->keep.sets_a_slot);
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
    const tw_table_spec *spec = &self->frozen->spec;
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
    const tw_block *block = &self->frozen->spec.schema.block[area->index];
    size_t size = block->record.size;
    tw_status status = tw_section_room(self->out, block->count * (8 + size), error);
    for (uint32_t i = 0; i < block->count && status == TW_STATUS_OK; i++) {
        uint64_t slot = tw_key_slot(tw_block_key(block->name, i));
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

/* Memory kept aside for the area. */
static uint64_t area_weight(const tw_area *self)
{
    uint64_t noted = (uint64_t)atomic_load_explicit(&self->log.n, memory_order_relaxed) * self->log.note_words * 8;
    return noted + (atomic_load(&self->owners) & TW_AREA_REPLACED ? self->size : 0);
}

static bool is_pressed(const tw_frozen *self)
{
    return atomic_load(&self->kept.bytes) > self->kept.max_bytes / 2;
}

/* One after the other; where memory runs short, first what frees most. */
static tw_area *next_area(tw_frozen *self)
{
    tw_area *best = NULL;
    for (size_t i = 0; i < self->n_areas; i++) {
        tw_area *area = &self->area[i];
        if (area->is_done)
            continue;
        if (best == NULL || area_weight(area) > area_weight(best))
            best = area;
        if (!is_pressed(self))
            break;
    }
    return best;
}

/* Beside a learner the copier works for a share of the time only: both use the same memory and disk. It rests no longer
 * when no batch comes any more, or memory runs short. A delta is less work, but costs a batch as much in its first
 * moments: it takes longer, so that this is spread. */
static void rest(tw_frozen *self, int64_t worked_us)
{
    uint64_t n_batches = atomic_load(&self->n_batches);
    int64_t last_us = tw_clock_monotonic_us(),
            end_us = last_us + worked_us * (self->chain == NULL ? REST_PER_WORK : REST_PER_WORK_DELTA);
    for (int64_t now = last_us; now < end_us && !is_pressed(self); now = tw_clock_monotonic_us()) {
        if (atomic_load(&self->n_batches) != n_batches) {
            n_batches = atomic_load(&self->n_batches);
            last_us = now;
        } else if (now - last_us > REST_IDLE_US) {
            return;
        }
        int64_t left = end_us - now;
        tw_clock_sleep_us(left < REST_STEP_US ? left : REST_STEP_US);
    }
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
    area->is_done = true;
    if (status < 0 || (area->kind != TW_AREA_BLOCK && self->out->header.count == 0))
        return status;
    return tw_section_end(self->out, error);
}

/* Payload: clock u64, expiry u64, bytes of counts u64, probability f64, count u32, eviction u32. */
static tw_status write_keep(tw_frozen *self, tw_section_writer *out, tw_error *error)
{
    const tw_keep *keep = &self->spec.keep;
    if (!tw_keep_is_on(&self->spec))
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
    tw_status status = tw_spec_write(out, &self->spec, error);
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

static tw_status write_gone(const tw_frozen *self, tw_section_writer *out, tw_error *error)
{
    if (self->n_gone == 0)
        return TW_STATUS_OK;
    tw_section_begin(out, TW_SECTION_GONE, 0);
    out->header.first_slot = self->first_slot;
    out->header.last_slot = self->last_slot;
    tw_status status = tw_section_room(out, self->n_gone * 8, error);
    for (size_t i = 0; i < self->n_gone && status == TW_STATUS_OK; i++)
        put_pair(out, self->gone[i], NULL, 0);
    return status < 0 ? status : tw_section_end(out, error);
}

/* A batch that began after the last log was closed shows that the table's thread is in no note any more. */
static void free_notes(tw_frozen *self)
{
    if (!atomic_load(&self->is_failed) && atomic_load(&self->n_batches) > self->n_batches_closed)
        tw_kept_free(self);
}

static uint64_t reserve_size(const tw_frozen *self)
{
    uint64_t size = 0;
    for (size_t i = 0; i < self->n_areas; i++)
        size += self->area[i].kind == TW_AREA_HASHED || is_part(&self->area[i]) ? 0 : self->area[i].size;
    return self->chain == NULL ? size : size + self->n_touched_rows * (8 + self->spec.schema.row.size);
}

static tw_status write_all(copier *self, tw_error *error)
{
    tw_frozen *frozen = self->frozen;
    const tw_record *row = &frozen->spec.schema.row;
    self->initial = tw_alloc_aligned(8, row->size + 8);
    if (self->initial == NULL)
        return tw_no_memory(error, row->size + 8);
    self->has_initial = tw_record_has_constant_initial(row);
    tw_record_write_initial(row, 0, frozen->spec.hash_seed, self->initial);
    tw_status status = write_head(frozen, self->out, error);
    if (status == TW_STATUS_OK)
        status = write_gone(frozen, self->out, error);
    for (size_t i = 0; i < frozen->n_areas && status == TW_STATUS_OK; i++) {
        int64_t start = tw_clock_monotonic_us();
        uint64_t n_batches = atomic_load(&frozen->n_batches);
        status = write_area(self, next_area(frozen), error);
        if (atomic_load(&frozen->n_batches) != n_batches)
            rest(frozen, tw_clock_monotonic_us() - start);
    }
    frozen->n_batches_closed = atomic_load(&frozen->n_batches);
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
    status = tw_section_writer_open(
        writer, directory, name, TW_STORE_ROWS, tw_schema_hash(&self->spec.schema), reserve_size(self), error);
    if (status == TW_STATUS_OK)
        status = write_all(&copy, error);
    if (status == TW_STATUS_OK)
        status = tw_section_writer_finish(writer, out, error);
    if (status < 0)
        atomic_store(&self->is_failed, true);
    tw_section_writer_close(writer);
    tw_free(writer);
    tw_free(copy.initial);
    tw_free(copy.image);
    if (status == TW_STATUS_OK)
        free_notes(self);
    memcpy(out->name, name, strlen(name));
    self->written = *out;
    atomic_store(&self->is_written, status == TW_STATUS_OK);
    return status;
}
