/* Which rows changed since the last snapshot.
 *
 * An exact table without tw_keep has it in the word of each place (segment.h), which is read with the key anyway: the
 * interval between two cuts in which the row was last written to, a number from 1 to 7 that goes round. So a write
 * costs memory only where it is the first one to the row in its interval. The present interval and the one that the
 * last cut ended are told from each other; what is older must be gone before its number comes again, so words are rid
 * of it segment by segment, each after three intervals, a few at a time between batches.
 *
 * Of a table with tw_keep there is a bit a place, of a hashed one a bit a row. A segment that was rebuilt has none: all
 * of its slots are replaced by the next delta. Of a table with tw_keep also a bit a set of counts, and the keys whose
 * rows were evicted. */
#include <string.h>

#include "base/alloc.h"
#include "store/segment.h"

enum {
    INTERVALS = 7,
    SWEEP_AFTER = 3, /* intervals; at the cut that would make it INTERVALS - 1 what is left is swept at once */
    SWEEPS = 2,      /* a batch; of a full segment each takes about a tenth of a millisecond */
    SWEEP_LOOKS = 64 /* segments of which a batch asks whether they are due */
};

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

static uint64_t interval_bits(uint32_t interval)
{
    return (uint64_t)(interval % INTERVALS + 1) << 61;
}

uint64_t tw_touched_interval(const tw_table *self)
{
    return self->touched != NULL && self->touched->is_noted ? interval_bits(self->touched->interval) : 0;
}

/* Leaves the present interval and the one before. */
static void segment_sweep(const tw_table *table, tw_segment *self, uint32_t interval)
{
    uint64_t now = interval_bits(interval), before = interval_bits(interval - 1);
    unsigned char *end = self->bytes + self->size;
    for (unsigned char *bucket = self->bytes; bucket < end; bucket += table->stride) {
        uint64_t *words = tw_bucket_words(bucket);
        for (unsigned i = 0; i < TW_BUCKET_KEYS; i++) {
            uint64_t at = words[i] & TW_WORD_INTERVAL;
            if (at != 0 && at != now && at != before)
                words[i] &= ~TW_WORD_INTERVAL;
        }
    }
    self->swept = interval;
}

void tw_touched_sweep(tw_table *self)
{
    tw_touched *touched = self->touched;
    uint32_t n_swept = 0;
    for (uint32_t i = 0; touched != NULL && touched->sweep_left > 0 && i < SWEEP_LOOKS && n_swept < SWEEPS; i++) {
        tw_segment *segment = &self->segment[touched->sweep_at++ % self->n_segments];
        touched->sweep_left--;
        if (segment->swept + SWEEP_AFTER > touched->interval)
            continue;
        segment_sweep(self, segment, touched->interval);
        n_swept++;
    }
}

/* Before a cut: no word may have the interval that begins. */
static void sweep_overdue(tw_table *self)
{
    uint32_t interval = self->touched->interval;
    for (size_t i = 0; i < self->n_segments; i++) {
        if (self->segment[i].swept + INTERVALS - 2 <= interval)
            segment_sweep(self, &self->segment[i], interval);
    }
    self->touched->sweep_left = self->n_segments;
}

static uint64_t touched_rows(const tw_table *self)
{
    uint64_t n = self->touched->n_rows;
    for (size_t i = 0; i < self->n_segments; i++)
        n += self->segment[i].n_new;
    return n;
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
    uint64_t touched = touched_rows(table) + table->touched->n_gone / 2, rows = 0;
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

/* For the time after the cut; of a segment's bits there are two sets. */
static tw_status fresh_bits(tw_frozen *frozen, tw_error *error)
{
    const tw_table *table = frozen->table;
    if (table->rows == NULL && table->keep.n_sets == 0)
        return TW_STATUS_OK;
    frozen->touched_rows = tw_map_pages(tw_touched_size(table));
    return frozen->touched_rows == NULL ? tw_no_memory(error, tw_touched_size(table)) : TW_STATUS_OK;
}

static void replace_slots(tw_chain *chain, const tw_area *area)
{
    for (uint32_t slot = area->first_slot; slot <= area->last_slot; slot++)
        chain->replaced[slot / 8] |= (unsigned char)(1u << slot % 8);
}

/* `ended`: the interval before the cut; 0: nothing was noted in it. */
static void take_interval(tw_frozen *frozen, tw_area *area, uint64_t ended)
{
    tw_segment *segment = &frozen->table->segment[area->index];
    area->is_whole = segment->is_rebuilt || ended == 0;
    area->interval = frozen->chain == NULL || area->is_whole ? 0 : ended;
    area->n_wanted = segment->n_new;
    if (frozen->chain != NULL && area->is_whole)
        replace_slots(frozen->chain, area);
    segment->is_rebuilt = false;
    segment->n_new = 0;
}

static void take_places(tw_frozen *frozen, tw_area *area)
{
    tw_segment *segment = &frozen->table->segment[area->index];
    uint8_t *first = segment->bytes + segment->size;
    area->taken = segment->touched;
    segment->touched = area->taken == first ? first + tw_bits_size(segment->n_buckets) : first;
    if (!segment->is_other_clean)
        memset(segment->touched, 0, tw_bits_size(segment->n_buckets) * (area->taken == NULL ? 2 : 1));
    segment->is_other_clean = false;
    area->is_whole = segment->is_rebuilt || area->taken == NULL;
    segment->is_rebuilt = false;
    area->touched = frozen->chain == NULL || area->is_whole ? NULL : area->taken;
    if (frozen->chain != NULL && area->is_whole)
        replace_slots(frozen->chain, area);
}

static void take_areas(tw_frozen *frozen)
{
    tw_table *table = frozen->table;
    uint8_t *bits = table->touched->bits;
    uint64_t ended = tw_touched_interval(table);
    table->touched->bits = frozen->touched_rows;
    frozen->touched_rows = bits;
    for (size_t i = 0; i < frozen->n_areas; i++) {
        tw_area *area = &frozen->area[i];
        if (area->kind == TW_AREA_EXACT && tw_has_intervals(table))
            take_interval(frozen, area, ended);
        else if (area->kind == TW_AREA_EXACT)
            take_places(frozen, area);
        else if (area->kind == TW_AREA_HASHED && frozen->chain != NULL)
            area->touched = bits + (area->first_row - table->first_row) / 8;
        else if (area->kind == TW_AREA_SEEN && frozen->chain != NULL)
            area->touched = bits + area->first_row / 8;
    }
    table->touched->is_noted = tw_has_intervals(table);
    table->touched->interval++;
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
    if (tw_has_intervals(table))
        sweep_overdue(table);
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
    frozen->n_touched_rows = touched_rows(table);
    take_areas(frozen);
    take_gone(frozen);
    frozen->has_taken = true;
    frozen->is_tracked = is_tracked;
    table->touched->n_rows = 0;
    return TW_STATUS_OK;
}

/* Bits that the copier has cleared serve the next cut, where the segment is still the same. */
static void give_back(tw_frozen *frozen)
{
    for (size_t i = 0; i < frozen->n_areas; i++) {
        const tw_area *area = &frozen->area[i];
        bool has_bits = area->kind == TW_AREA_EXACT && !tw_has_intervals(frozen->table);
        tw_segment *segment = has_bits ? &frozen->table->segment[area->index] : NULL;
        if (segment != NULL && segment->area == area)
            segment->is_other_clean = area->is_clean || area->taken == NULL;
    }
}

/* Where no delta follows nothing is noted until the next cut. */
static void drop_notes(tw_table *table)
{
    for (size_t i = 0; i < table->n_segments; i++) {
        tw_segment *segment = &table->segment[i];
        segment->touched = NULL;
        segment->n_new = 0;
        segment->is_other_clean = false;
    }
    table->touched->n_rows = 0;
    table->touched->is_noted = false;
}

/* After a failure nobody has what was touched before the cut, nor after a cut that is not noted: the next snapshot is a
 * base. */
void tw_touched_settle(tw_frozen *frozen)
{
    tw_touched *touched = frozen->table->touched;
    if (touched == NULL || !frozen->has_taken)
        return;
    if (frozen->is_tracked)
        give_back(frozen);
    else
        drop_notes(frozen->table);
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
