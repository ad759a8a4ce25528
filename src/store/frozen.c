/* The cut: what memory the table consists of, and what becomes of it in a snapshot. */
#include <string.h>

#include "base/alloc.h"
#include "store/internal.h"

enum { FROZEN_WINDOW = 1 << 20, FROZEN_UNIT = 512 };

static size_t hashed_window(const tw_table *self)
{
    size_t unit = (size_t)self->row_size * 512;
    return unit > FROZEN_WINDOW ? unit : FROZEN_WINDOW - FROZEN_WINDOW % (unit > 0 ? unit : 1);
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
    area->unit = FROZEN_UNIT;
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
        area->unit = table->keep.is_on ? table->stride : table->row_size;
        area->first_slot = segment->first_slot;
        area->last_slot = segment->last_slot;
    }
    size_t window = table->rows == NULL ? 0 : hashed_window(table);
    for (size_t at = 0; at < table->rows_size; at += window) {
        size_t size = table->rows_size - at < window ? table->rows_size - at : window;
        tw_area *area = add_area(self, TW_AREA_HASHED, table->rows + at, size);
        area->first_row = table->first_row + at / table->row_size;
        area->unit = table->row_size;
    }
    for (size_t at = 0; at < seen_size(table); at += TW_SEEN_WINDOW) {
        size_t size = seen_size(table) - at < TW_SEEN_WINDOW ? seen_size(table) - at : TW_SEEN_WINDOW;
        tw_area *area = add_area(self, TW_AREA_SEEN, (unsigned char *)table->keep.set + at, size);
        area->first_row = at / sizeof(tw_seen_set);
        area->unit = sizeof(tw_seen_set);
    }
}

static size_t noted_size(const tw_area *self)
{
    if (self->kind == TW_AREA_EXACT && tw_has_intervals(self->frozen->table))
        return 0;
    return (self->size + self->unit - 1) / self->unit / 8 + 1;
}

/* One allocation for all areas, large ones being zero pages of the system: a freeze stays short. */
static tw_status allocate_bits(tw_frozen *self, tw_error *error)
{
    size_t n = 0;
    for (size_t i = 0; i < self->n_areas; i++)
        n += noted_size(&self->area[i]);
    self->noted = tw_alloc_zero(n + 1);
    if (self->noted == NULL)
        return tw_no_memory(error, n + 1);
    n = 0;
    for (size_t i = 0; i < self->n_areas; i++) {
        size_t size = noted_size(&self->area[i]);
        self->area[i].noted = size > 0 ? self->noted + n : NULL;
        n += size;
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
    return allocate_bits(self, error);
}

static void frozen_free(tw_frozen *self)
{
    tw_unmap_pages(self->touched_rows, tw_touched_size(self->table));
    tw_free(self->gone);
    tw_free(self->chain);
    tw_free(self->directory);
    for (size_t i = 0; i < self->n_areas; i++) {
        tw_area *area = &self->area[i];
        if (atomic_load(&area->owners) == TW_AREA_REPLACED)
            tw_page_pool_give(self->table->pages, area->live, tw_segment_memory(self->table, area->size));
    }
    tw_kept_free(self);
    tw_free(self->noted);
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
    bool is_tracked = max_deltas > 0 || (tw_has_intervals(self) && self->row_size > 0);
    tw_frozen *frozen = tw_alloc_zero(sizeof *frozen);
    if (frozen == NULL)
        return tw_no_memory(error, sizeof *frozen);
    frozen->table = self;
    frozen->spec = self->spec;
    frozen->first_slot = self->first_slot;
    frozen->last_slot = self->last_slot;
    tw_status status = frozen_fill(frozen, error);
    if (status == TW_STATUS_OK && is_tracked)
        status = tw_touched_begin(self, error);
    if (status == TW_STATUS_OK && is_tracked)
        status = tw_touched_take(frozen, directory, max_deltas, error);
    if (status < 0) {
        frozen_free(frozen);
        return status;
    }
    tw_kept_open(frozen, max_kept_bytes);
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
    tw_touched_settle(frozen);
    attach(frozen, false);
    frozen_free(frozen);
    *self = NULL;
}
