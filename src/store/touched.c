/* Which rows changed since the last snapshot: a bit a place of an exact table, a bit a row of a hashed one. A segment
 * that was rebuilt has none: all of its slots are replaced by the next delta. Of a table with tw_keep also a bit a set
 * of counts, and the keys whose rows were evicted. */
#include <string.h>

#include "base/alloc.h"
#include "store/internal.h"

tw_status tw_touched_begin(tw_table *self, tw_error *error)
{
    if (self->touched != NULL)
        return TW_STATUS_OK;
    tw_touched *touched = tw_alloc_zero(sizeof *touched);
    if (touched == NULL)
        return tw_no_memory(error, sizeof *touched);
    self->touched = touched;
    return TW_STATUS_OK;
}

void tw_touched_end(tw_table *self)
{
    if (self->touched == NULL)
        return;
    tw_unmap_pages(self->touched->bits, tw_touched_size(self));
    tw_free(self->touched->gone);
    tw_free(self->touched->directory);
    tw_free(self->touched);
    self->touched = NULL;
}

static void gone_drop(tw_touched *self)
{
    tw_free(self->gone);
    self->gone = NULL;
    self->n_gone = self->gone_capacity = 0;
}

/* Only where a delta may follow that stands on a file with the row. More than a quarter of all rows are not noted: such
 * a delta would not pay. */
void tw_touched_gone(tw_table *self, uint64_t key)
{
    tw_touched *touched = self->touched;
    if (touched == NULL || touched->is_lost || (touched->last.n_files == 0 && self->frozen == NULL))
        return;
    uint64_t most = (uint64_t)(self->last_slot - self->first_slot + 1) * self->keep.room / 4;
    touched->is_lost = touched->n_gone >= most || tw_grow(&touched->gone, sizeof *touched->gone,
                                                      &touched->gone_capacity, touched->n_gone + 1, NULL) < 0;
    if (touched->is_lost)
        gone_drop(touched);
    else
        touched->gone[touched->n_gone++] = key;
}

/* Rows that a delta would hold, and rows that a base would hold. */
static bool delta_pays(const tw_table *table)
{
    uint64_t touched = table->touched->n_rows + table->touched->n_gone / 2, rows = 0;
    if (table->spec.kind == TW_TABLE_HASHED)
        return touched <= table->touched->last.file[0].rows / 2;
    for (size_t i = 0; i < table->n_segments; i++) {
        const tw_segment *segment = &table->segment[i];
        rows += segment->count;
        touched += segment->is_rebuilt ? segment->count : 0;
    }
    return touched <= rows / 2;
}

static bool is_delta(const tw_table *table, const char *directory, uint32_t max_deltas)
{
    const tw_touched *touched = table->touched;
    uint32_t n = touched->last.n_files;
    return n > 0 && n <= max_deltas && n <= TW_CHAIN_MAX && !touched->is_lost &&
           strcmp(touched->directory, directory) == 0 && delta_pays(table);
}

static tw_status chain_prepare(tw_frozen *frozen, const char *directory, tw_error *error)
{
    frozen->chain = tw_alloc(sizeof *frozen->chain);
    frozen->directory = tw_strdup(directory);
    if (frozen->chain == NULL || frozen->directory == NULL)
        return tw_no_memory(error, sizeof *frozen->chain);
    *frozen->chain = frozen->table->touched->last;
    memset(frozen->chain->replaced, 0, sizeof frozen->chain->replaced);
    return TW_STATUS_OK;
}

/* Fresh bits for the time after the cut. They wait in frozen->touched until all of them are there. */
static tw_status fresh_bits(tw_frozen *frozen, tw_error *error)
{
    tw_table *table = frozen->table;
    if (table->rows != NULL || table->keep.n_sets > 0) {
        frozen->touched_rows = tw_map_pages(tw_touched_size(table));
        if (frozen->touched_rows == NULL)
            return tw_no_memory(error, tw_touched_size(table));
    }
    if (table->rows != NULL)
        return TW_STATUS_OK;
    frozen->touched = tw_alloc_zero((table->n_segments + 1) * sizeof *frozen->touched);
    if (frozen->touched == NULL)
        return tw_no_memory(error, table->n_segments * sizeof *frozen->touched);
    for (; frozen->n_touched < table->n_segments; frozen->n_touched++) {
        size_t n_buckets = (size_t)table->segment[frozen->n_touched].n_buckets;
        tw_segment *segment = &table->segment[frozen->n_touched];
        frozen->touched[frozen->n_touched] =
            segment->spare != NULL ? segment->spare : tw_page_pool_take(table->bit_pages, n_buckets);
        segment->spare = NULL;
        if (frozen->touched[frozen->n_touched] == NULL)
            return tw_no_memory(error, n_buckets);
    }
    return TW_STATUS_OK;
}

static void replace_slots(tw_chain *chain, const tw_area *area)
{
    for (uint32_t slot = area->first_slot; slot <= area->last_slot; slot++)
        chain->replaced[slot / 8] |= (unsigned char)(1u << slot % 8);
}

static void take_segment(tw_frozen *frozen, tw_area *area)
{
    tw_segment *segment = &frozen->table->segment[area->index];
    uint8_t *bits = segment->touched;
    segment->touched = frozen->touched[area->index];
    frozen->touched[area->index] = bits;
    area->touched = segment->is_rebuilt ? NULL : bits;
    area->is_whole = area->touched == NULL;
    segment->is_rebuilt = false;
    if (frozen->chain == NULL)
        area->touched = NULL;
    else if (area->is_whole)
        replace_slots(frozen->chain, area);
}

static void take_bits(tw_frozen *frozen)
{
    tw_table *table = frozen->table;
    uint8_t *bits = table->touched->bits;
    table->touched->bits = frozen->touched_rows;
    frozen->touched_rows = bits;
    for (size_t i = 0; i < frozen->n_areas; i++) {
        tw_area *area = &frozen->area[i];
        if (area->kind == TW_AREA_EXACT)
            take_segment(frozen, area);
        else if (area->kind == TW_AREA_HASHED && frozen->chain != NULL)
            area->touched = bits + (area->first_row - table->first_row) / 8;
        else if (area->kind == TW_AREA_SEEN && frozen->chain != NULL)
            area->touched = bits + area->first_row / 8;
    }
}

static void take_gone(tw_frozen *frozen)
{
    tw_touched *touched = frozen->table->touched;
    if (frozen->chain != NULL) {
        frozen->gone = touched->gone;
        frozen->n_gone = touched->n_gone;
        touched->gone = NULL;
    }
    gone_drop(touched);
    touched->is_lost = false;
}

tw_status tw_touched_take(tw_frozen *frozen, const char *directory, uint32_t max_deltas, tw_error *error)
{
    tw_table *table = frozen->table;
    tw_status status = TW_STATUS_OK;
    bool is_tracked = max_deltas > 0;
    if (is_tracked && is_delta(table, directory, max_deltas))
        status = chain_prepare(frozen, directory, error);
    else if (is_tracked)
        frozen->directory = tw_strdup(directory);
    if (is_tracked && frozen->directory == NULL && status == TW_STATUS_OK)
        status = tw_no_memory(error, strlen(directory) + 1);
    if (status == TW_STATUS_OK)
        status = fresh_bits(frozen, error);
    if (status < 0)
        return status;
    take_bits(frozen);
    take_gone(frozen);
    frozen->n_touched_rows = table->touched->n_rows;
    frozen->is_tracked = is_tracked;
    table->touched->n_rows = 0;
    return TW_STATUS_OK;
}

/* Bits that the copier has cleared serve the next cut, where the segment is still the same. */
static void give_back(tw_frozen *frozen)
{
    for (size_t i = 0; i < frozen->n_areas; i++) {
        tw_area *area = &frozen->area[i];
        if (area->kind != TW_AREA_EXACT || !area->is_clean || area->index >= frozen->n_touched)
            continue;
        tw_segment *segment = &frozen->table->segment[area->index];
        if (segment->area != area || segment->spare != NULL)
            continue;
        segment->spare = frozen->touched[area->index];
        frozen->touched[area->index] = NULL;
    }
}

/* Where no delta follows nothing is noted until the next cut: of a large table a note costs nearly as much as the row.
 */
static void drop_bits(tw_table *table)
{
    for (size_t i = 0; i < table->n_segments; i++) {
        tw_segment *segment = &table->segment[i];
        tw_page_pool_give(table->bit_pages, segment->touched, segment->n_buckets);
        tw_page_pool_give(table->bit_pages, segment->spare, segment->n_buckets);
        segment->touched = segment->spare = NULL;
    }
    table->touched->n_rows = 0;
}

/* After a failure nobody has what was touched before the cut, nor after a cut that is not noted: the next snapshot is a
 * base. */
void tw_touched_settle(tw_frozen *frozen)
{
    tw_touched *touched = frozen->table->touched;
    if (touched == NULL || (!frozen->is_tracked && frozen->touched == NULL))
        return;
    if (frozen->is_tracked)
        give_back(frozen);
    else
        drop_bits(frozen->table);
    if (!frozen->is_tracked || !atomic_load(&frozen->is_written)) {
        touched->last.n_files = 0;
        return;
    }
    if (frozen->chain == NULL) {
        touched->last.n_files = 0;
        tw_free(touched->directory);
        touched->directory = frozen->directory;
        frozen->directory = NULL;
    }
    if (touched->last.n_files < TW_CHAIN_MAX)
        touched->last.file[touched->last.n_files++] = frozen->written;
    else
        touched->last.n_files = 0;
}
