/* Rows of an exact table by key: those of a batch, whose lines of memory are fetched some keys ahead. */
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "store/segment.h"

enum { ROWS_AHEAD = 16 };

/* --- scratch for absent keys */

tw_status tw_scratch_begin(tw_table *self, uint32_t n, tw_error *error)
{
    size_t n_index = tw_scratch_places(n);
    size_t index_capacity = self->scratch_index_size;
    tw_status status = tw_grow(&self->scratch, 1, &self->scratch_size, (size_t)n * self->row_size, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->scratch_index, sizeof(uint32_t), &index_capacity, n_index, error);
    if (status < 0)
        return status;
    self->scratch_index_size = index_capacity;
    memset(self->scratch_index, 0, n_index * sizeof(uint32_t));
    return TW_STATUS_OK;
}

/* One scratch record per distinct absent key: the index holds 1 + the place of the key's first occurrence. */
void tw_scratch_fill(tw_table *self, const uint64_t *key, uint32_t n, void **row)
{
    size_t mask = tw_scratch_places(n) - 1;
    for (uint32_t i = 0; i < n; i++) {
        if (row[i] != NULL)
            continue;
        size_t at = (size_t)(tw_mix64(key[i]) & mask);
        while (self->scratch_index[at] != 0 && key[self->scratch_index[at] - 1] != key[i])
            at = (at + 1) & mask;
        if (self->scratch_index[at] == 0) {
            self->scratch_index[at] = i + 1;
            tw_table_initial(self, key[i], self->scratch + (size_t)i * self->row_size);
        }
        row[i] = self->scratch + (size_t)(self->scratch_index[at] - 1) * self->row_size;
    }
}

/* --- lookup */

static inline void bucket_prefetch(const unsigned char *bucket)
{
    __builtin_prefetch(bucket, 1);
    __builtin_prefetch(bucket + TW_BUCKET_KEY_BYTES, 1);
}

/* A snapshot under way has yet to copy the segment. */
static inline bool is_to_be_copied(const tw_segment *self)
{
    return self->area != NULL && !atomic_load_explicit(&self->area->log.is_closed, memory_order_acquire);
}

/* A row will be written to for the first time in this interval: a snapshot under way needs what it holds. */
static void segment_touch(tw_segment *self, size_t stride, unsigned char *bucket, unsigned place, uint64_t interval)
{
    uint64_t *word = &tw_bucket_words(bucket)[place];
    if (is_to_be_copied(self))
        tw_area_note_row(self->area, (uint64_t)(bucket - self->bytes) / stride, place, *word,
            tw_bucket_row(bucket, place, (uint32_t)self->area->unit));
    *word = (*word & ~TW_WORD_INTERVAL) | interval;
    self->n_new++;
}

/* NULL: absent. What it finds gets the interval. */
static unsigned char *segment_find_touch(
    tw_segment *self, size_t stride, uint32_t row_size, uint64_t key, uint64_t interval)
{
    unsigned char *bucket;
    unsigned place;
    if (!tw_segment_locate(self, stride, key, &bucket, &place))
        return NULL;
    if ((tw_bucket_words(bucket)[place] & TW_WORD_INTERVAL) != interval)
        segment_touch(self, stride, bucket, place, interval);
    return tw_bucket_row(bucket, place, row_size);
}

/* Every key's bucket waits in row[i] while its lines come. Most rows were written to in this interval, and lie where
 * they belong. Absent keys get `absent`; returns how many there were. */
static uint32_t segments_find(
    const tw_table *self, const uint64_t *key, uint32_t n, tw_access access, void *absent, void **row)
{
    uint32_t n_absent = 0, row_size = self->row_size;
    size_t stride = self->stride;
    uint64_t interval = tw_touched_interval(self);
    bool is_noted = access == TW_ACCESS_WRITE && interval != 0;
    for (uint32_t i = 0; i < n + ROWS_AHEAD; i++) {
        if (i < n) {
            const tw_segment *segment = tw_segment_of(self, key[i]);
            row[i] = tw_segment_bucket(segment, stride, key[i]);
            bucket_prefetch(row[i]);
        }
        if (i < ROWS_AHEAD)
            continue;
        uint32_t j = i - ROWS_AHEAD;
        unsigned char *found = NULL;
        tw_segment *segment = tw_segment_of(self, key[j]);
        unsigned mask = tw_bucket_match(row[j], tw_word_of(segment, key[j]) | interval, UINT64_MAX);
        if (mask != 0 && key[j] != 0)
            found = tw_bucket_row(row[j], tw_first_bit(mask), row_size);
        else if (key[j] != 0)
            found = is_noted ? segment_find_touch(segment, stride, row_size, key[j], interval)
                             : tw_segment_find(segment, stride, row_size, row[j], key[j]);
        n_absent += found == NULL;
        row[j] = found == NULL ? absent : found;
    }
    return n_absent;
}

/* Inserts the keys whose row is NULL; *has_grown: rows found before may have moved. */
static tw_status segments_insert(
    tw_table *self, const uint64_t *key, uint32_t n, void **row, bool *has_grown, tw_error *error)
{
    uint64_t interval = tw_touched_interval(self);
    for (uint32_t i = 0; i < n; i++) {
        if (row[i] != NULL)
            continue;
        if (key[i] == 0)
            return tw_error_set(error, TW_STATUS_INVALID, "table: key 0 at position %u: keys must not be 0", i);
        tw_segment *segment = tw_segment_of(self, key[i]);
        unsigned char *bucket = tw_segment_bucket(segment, self->stride, key[i]);
        row[i] = tw_segment_find(segment, self->stride, self->row_size, bucket, key[i]);
        if (row[i] != NULL)
            continue;
        unsigned place;
        tw_status status = tw_segment_insert(self, key[i], &bucket, &place, has_grown, error);
        if (status < 0)
            return status;
        row[i] = tw_bucket_row(bucket, place, self->row_size);
        tw_bucket_words(bucket)[place] |= interval;
        tw_segment_of(self, key[i])->n_new += interval != 0;
        if (self->has_constant_rows)
            memcpy(row[i], self->initial, self->row_size);
        else
            tw_table_initial(self, key[i], row[i]);
    }
    return TW_STATUS_OK;
}

tw_status tw_segments_rows(
    tw_table *self, const uint64_t *key, uint32_t n, tw_access access, void **row, tw_error *error)
{
    if (self->keep.is_on)
        return tw_keep_rows(self, key, n, access, row, error);
    tw_status status = TW_STATUS_OK;
    if (access == TW_ACCESS_WRITE)
        tw_touched_sweep(self);
    void *absent = access == TW_ACCESS_READ && self->has_constant_rows ? self->initial : NULL;
    uint32_t n_absent = segments_find(self, key, n, access, absent, row);
    if (n_absent > 0 && access == TW_ACCESS_WRITE) {
        bool has_grown = false;
        status = segments_insert(self, key, n, row, &has_grown, error);
        if (status == TW_STATUS_OK && has_grown)
            (void)segments_find(self, key, n, access, NULL, row);
    } else if (n_absent > 0 && absent == NULL) {
        status = tw_scratch_begin(self, n, error);
        if (status == TW_STATUS_OK)
            tw_scratch_fill(self, key, n, row);
    }
    return status;
}
