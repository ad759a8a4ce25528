/* The copy-on-write half of a snapshot: which chunks of the table still hold the state of the cut. */
#include <sched.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "store/internal.h"

enum { FROZEN_WINDOW = 1 << 20, FROZEN_POLL_US = 200 };

static void frozen_wait_for_room(tw_frozen *self)
{
    while (atomic_load(&self->kept_bytes) + TW_CHUNK_SIZE > self->max_kept_bytes) {
        if (!atomic_load(&self->is_copying) || atomic_load(&self->is_failed) ||
            tw_clock_monotonic_us() >= self->stall_until_us) {
            self->n_over++;
            return;
        }
        tw_clock_sleep_us(FROZEN_POLL_US);
    }
}

static void chunk_save(tw_area *self, size_t chunk)
{
    tw_frozen *frozen = self->frozen;
    uint8_t expected = TW_CHUNK_UNSAVED;
    frozen_wait_for_room(frozen);
    if (!atomic_compare_exchange_strong_explicit(
            &self->state[chunk], &expected, TW_CHUNK_SAVING, memory_order_acquire, memory_order_acquire)) {
        while (atomic_load_explicit(&self->state[chunk], memory_order_acquire) != TW_CHUNK_SAVED)
            (void)sched_yield();
        return;
    }
    size_t start = chunk * TW_CHUNK_SIZE;
    size_t size = self->size - start < TW_CHUNK_SIZE ? self->size - start : TW_CHUNK_SIZE;
    if (!atomic_load(&frozen->is_failed)) {
        self->kept[chunk] = tw_alloc(size);
        if (self->kept[chunk] == NULL)
            atomic_store(&frozen->is_failed, true); /* the snapshot is lost, learning goes on */
        else
            memcpy(self->kept[chunk], self->live + start, size);
    }
    if (self->kept[chunk] != NULL) {
        uint64_t kept = atomic_fetch_add(&frozen->kept_bytes, size) + size;
        frozen->peak = kept > frozen->peak ? kept : frozen->peak;
    }
    atomic_store_explicit(&self->state[chunk], TW_CHUNK_SAVED, memory_order_release);
}

void tw_area_keep(tw_area *self, const void *bytes, size_t size)
{
    size_t offset = (size_t)((const unsigned char *)bytes - self->live);
    size_t last = (offset + size - 1) / TW_CHUNK_SIZE;
    for (size_t chunk = offset / TW_CHUNK_SIZE; chunk <= last; chunk++) {
        if (atomic_load_explicit(&self->state[chunk], memory_order_acquire) != TW_CHUNK_SAVED)
            chunk_save(self, chunk);
    }
}

bool tw_area_replace(tw_area *self)
{
    if (atomic_fetch_or(&self->owners, TW_AREA_REPLACED) & TW_AREA_COPIED)
        return true;
    return false;
}

static size_t hashed_window(const tw_table *self)
{
    /* Whole chunks and whole rows: row_size is a multiple of 8, so 512 rows fill whole chunks. */
    size_t unit = (size_t)self->row_size * 512;
    return unit * (unit >= FROZEN_WINDOW ? 1 : FROZEN_WINDOW / unit);
}

static size_t seen_size(const tw_table *self)
{
    return self->keep.n_sets * sizeof(tw_seen_set);
}

static size_t count_areas(const tw_table *self)
{
    size_t n = self->n_segments;
    for (uint32_t i = 0; i < self->spec.schema.n_blocks; i++)
        n += self->block[i].n_here > 0;
    if (self->rows != NULL)
        n += (self->rows_size + hashed_window(self) - 1) / hashed_window(self);
    return n + (seen_size(self) + TW_SEEN_WINDOW - 1) / TW_SEEN_WINDOW;
}

static tw_area *add_area(tw_frozen *self, tw_area_kind kind, unsigned char *live, size_t size)
{
    tw_area *area = &self->area[self->n_areas++];
    *area = (tw_area){.kind = kind, .live = live, .size = size, .frozen = self};
    area->n_chunks = (size + TW_CHUNK_SIZE - 1) / TW_CHUNK_SIZE;
    area->first_slot = self->first_slot;
    area->last_slot = self->last_slot;
    return area;
}

static void list_areas(tw_frozen *self)
{
    tw_table *table = self->table;
    for (uint32_t i = 0; i < table->spec.schema.n_blocks; i++) {
        if (table->block[i].n_here > 0)
            add_area(self, TW_AREA_BLOCK, table->block[i].bytes, table->block[i].size)->index = i;
    }
    for (size_t i = 0; i < table->n_segments; i++) {
        tw_segment *segment = &table->segment[i];
        tw_area *area = add_area(self, TW_AREA_EXACT, segment->bytes, segment->size);
        area->index = (uint32_t)i;
        area->first_slot = segment->first_slot;
        area->last_slot = segment->last_slot;
    }
    size_t window = table->rows == NULL ? 0 : hashed_window(table);
    for (size_t at = 0; at < table->rows_size; at += window) {
        size_t size = table->rows_size - at < window ? table->rows_size - at : window;
        tw_area *area = add_area(self, TW_AREA_HASHED, table->rows + at, size);
        area->first_row = table->first_row + at / table->row_size;
    }
    for (size_t at = 0; at < seen_size(table); at += TW_SEEN_WINDOW) {
        size_t size = seen_size(table) - at < TW_SEEN_WINDOW ? seen_size(table) - at : TW_SEEN_WINDOW;
        tw_area *area = add_area(self, TW_AREA_SEEN, (unsigned char *)table->keep.set + at, size);
        area->first_row = at / sizeof(tw_seen_set);
    }
}

/* Chunk states of all areas are one allocation, large ones being zero pages of the system: a freeze stays short. */
static tw_status allocate_chunks(tw_frozen *self, tw_error *error)
{
    size_t n = 0;
    for (size_t i = 0; i < self->n_areas; i++)
        n += self->area[i].n_chunks;
    self->states = tw_alloc_zero((n + 1) * sizeof *self->states);
    self->kepts = tw_alloc_zero((n + 1) * sizeof *self->kepts);
    if (self->states == NULL || self->kepts == NULL)
        return tw_no_memory(error, n * (sizeof *self->states + sizeof *self->kepts));
    n = 0;
    for (size_t i = 0; i < self->n_areas; i++) {
        self->area[i].state = self->states + n;
        self->area[i].kept = self->kepts + n;
        n += self->area[i].n_chunks;
    }
    return TW_STATUS_OK;
}

static void attach(tw_frozen *self, bool is_attached)
{
    tw_table *table = self->table;
    table->frozen = is_attached ? self : NULL;
    table->row_area = NULL;
    table->keep.area = NULL;
    for (size_t i = 0; i < table->n_segments; i++)
        table->segment[i].area = NULL;
    for (uint32_t i = 0; i < TW_SCHEMA_MAX_BLOCKS; i++)
        table->block[i].area = NULL;
    for (size_t i = 0; is_attached && i < self->n_areas; i++) {
        tw_area *area = &self->area[i];
        if (area->kind == TW_AREA_BLOCK)
            table->block[area->index].area = area;
        else if (area->kind == TW_AREA_EXACT)
            table->segment[area->index].area = area;
        else if (area->kind == TW_AREA_SEEN)
            table->keep.area = table->keep.area == NULL ? area : table->keep.area;
        else if (table->row_area == NULL)
            table->row_area = area;
    }
    if (table->row_area != NULL)
        table->area_size = hashed_window(table);
}

static tw_status frozen_fill(tw_frozen *self, tw_error *error)
{
    tw_table *table = self->table;
    size_t n_areas = count_areas(table);
    self->area = tw_alloc_zero((n_areas + 1) * sizeof *self->area);
    self->mark = tw_alloc_zero((table->n_marks + 1) * sizeof *self->mark);
    if (self->area == NULL || self->mark == NULL)
        return tw_no_memory(error, n_areas * sizeof *self->area);
    if (table->n_marks > 0)
        memcpy(self->mark, table->mark, table->n_marks * sizeof *self->mark);
    self->n_marks = table->n_marks;
    self->events = table->events;
    self->epoch = table->epoch;
    self->clock = table->keep.clock;
    list_areas(self);
    return allocate_chunks(self, error);
}

static void frozen_free(tw_frozen *self)
{
    for (size_t i = 0; i < self->n_touched; i++)
        tw_free(self->touched[i]);
    tw_free(self->touched);
    tw_free(self->touched_rows);
    tw_free(self->chain);
    tw_free(self->directory);
    for (size_t i = 0; i < self->n_areas; i++) {
        tw_area *area = &self->area[i];
        for (size_t j = 0; self->kepts != NULL && atomic_load(&self->kept_bytes) > 0 && j < area->n_chunks; j++)
            tw_free(area->kept[j]);
        if (atomic_load(&area->owners) == TW_AREA_REPLACED)
            tw_segment_memory_free(area->live, area->size);
    }
    tw_free(self->kepts);
    tw_free(self->states);
    tw_free(self->mark);
    tw_free(self->area);
    tw_free(self);
}

tw_status tw_table_freeze(tw_table *self, uint64_t max_kept_bytes, tw_frozen **out, tw_error *error)
{
    return tw_table_freeze_after(self, NULL, 0, max_kept_bytes, out, error);
}

tw_status tw_table_freeze_after(tw_table *self,
    const char *directory,
    uint32_t max_deltas,
    uint64_t max_kept_bytes,
    tw_frozen **out,
    tw_error *error)
{
    *out = NULL;
    if (self->frozen != NULL)
        return tw_error_set(error, TW_STATUS_CONFLICT, "table: a snapshot is being written; one at a time");
    max_deltas = self->keep.is_on ? 0 : max_deltas; /* stamps and counts change with every touch, and rows move */
    tw_frozen *frozen = tw_alloc_zero(sizeof *frozen);
    if (frozen == NULL)
        return tw_no_memory(error, sizeof *frozen);
    frozen->table = self;
    frozen->spec = &self->spec;
    frozen->first_slot = self->first_slot;
    frozen->last_slot = self->last_slot;
    frozen->max_kept_bytes = max_kept_bytes;
    tw_status status = frozen_fill(frozen, error);
    if (status == TW_STATUS_OK && max_deltas > 0)
        status = tw_touched_begin(self, error);
    if (status == TW_STATUS_OK && max_deltas > 0)
        status = tw_touched_take(frozen, directory, max_deltas, error);
    if (status < 0) {
        frozen_free(frozen);
        return status;
    }
    attach(frozen, true);
    *out = frozen;
    return TW_STATUS_OK;
}

void tw_frozen_set_own(tw_frozen *self)
{
    self->is_own = true;
}

void tw_frozen_destroy(tw_frozen **self)
{
    if (self == NULL || *self == NULL)
        return;
    tw_frozen *frozen = *self;
    attach(frozen, false);
    tw_touched_settle(frozen);
    frozen_free(frozen);
    *self = NULL;
}
