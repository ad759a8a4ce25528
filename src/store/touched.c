/* Which rows changed since the last snapshot: a bit a place of an exact table, a bit a row of a hashed one. A segment
 * that was rebuilt has none: all of its slots are replaced by the next delta. Of a table with tw_keep also a bit a set
 * of counts, and the keys whose rows were evicted.
 *
 * The bits of a large table lie in no cache, and setting one would cost as much as fetching a line of its row. So a
 * write to an exact table without tw_keep is logged, as bucket x 8 + place: first beside what is read of the segment
 * anyway, then, 16 at a time, in the segment's memory. The bits are set when the log is full, many on each line, or
 * when they are asked for. Only while a snapshot has yet to copy the segment a bit is set at once: it tells whether the
 * row was noted. */
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/alloc.h"
#include "store/internal.h"

enum { LOG_FEW = 64 }; /* writes; more of them need most lines of the bits */

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

static uint64_t set_bits(uint8_t *bits, const uint32_t *write, uint32_t n)
{
    uint64_t n_new = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *bucket = &bits[write[i] / TW_BUCKET_KEYS];
        unsigned place = write[i] % TW_BUCKET_KEYS;
        n_new += !(*bucket >> place & 1);
        *bucket |= (uint8_t)(1u << place);
    }
    return n_new;
}

uint64_t tw_touched_apply(tw_segment *segment)
{
    const uint32_t *log = tw_touched_log(segment);
    uint32_t n_recent = segment->n_log % TW_LOG_RECENT, n = segment->n_log - n_recent;
    for (uint64_t i = 0; n > LOG_FEW && i < segment->n_buckets; i += 64)
        __builtin_prefetch(segment->touched + i, 1);
    for (uint32_t i = 0; i < n; i += TW_LOG_RECENT)
        __builtin_prefetch(log + i);
    segment->n_log = 0;
    return set_bits(segment->touched, log, n) + set_bits(segment->touched, segment->recent, n_recent);
}

/* A line of memory, past the caches where the machine can: nobody reads it soon. */
static void line_store(uint32_t *to, const uint32_t from[TW_LOG_RECENT])
{
#ifdef __SSE2__
    for (unsigned i = 0; i < TW_LOG_RECENT; i += 4)
        _mm_stream_si128((__m128i *)(void *)(to + i), _mm_loadu_si128((const __m128i *)(const void *)(from + i)));
#else
    memcpy(to, from, TW_LOG_RECENT * sizeof *to);
#endif
}

uint64_t tw_touched_log_recent(tw_segment *segment)
{
    line_store(tw_touched_log(segment) + segment->n_log - TW_LOG_RECENT, segment->recent);
    return segment->n_log == tw_log_limit(segment->n_buckets) ? tw_touched_apply(segment) : 0;
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

static void take_segment(tw_frozen *frozen, tw_area *area)
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
    for (size_t i = 0; i < table->n_segments; i++)
        table->touched->n_rows += tw_touched_apply(&table->segment[i]);
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
        tw_segment *segment = area->kind == TW_AREA_EXACT ? &frozen->table->segment[area->index] : NULL;
        if (segment != NULL && segment->area == area)
            segment->is_other_clean = area->is_clean || area->taken == NULL;
    }
}

/* Where no delta follows nothing is noted until the next cut: of a large table a note costs nearly as much as the row.
 */
static void drop_bits(tw_table *table)
{
    for (size_t i = 0; i < table->n_segments; i++) {
        tw_segment *segment = &table->segment[i];
        segment->touched = NULL;
        segment->n_log = 0;
        segment->is_other_clean = false;
    }
    table->touched->n_rows = 0;
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
