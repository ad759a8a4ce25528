/* Segments of an exact table, by slot range: how they are made, grow, are filled from files, and lose keys. A full one
 * is rebuilt larger by itself, or split by slots once it is large, so that one step stays short. Segments aim at
 * different loads, so that they do not all grow in the same batch. */
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "store/segment.h"
#include "store/wire.h"

enum {
    SEGMENT_MAX_SIZE = 1 << 20, /* bytes; above it a segment is split, if it has more than one slot */
    SEGMENT_MOVE_MAX = 3 << 19, /* bytes; a larger one would hold the batch up */
    SEGMENT_MOVES = 2,          /* after a growth, at most */
    SEGMENT_LOAD_MAX = 92,      /* percent of the places of a segment */
    SEGMENT_SMALL = 1 << 12,    /* rows; below, growth doubles */
};

/* Before a key comes to an empty place. */
static void keep_empty(const tw_segment *self, size_t stride, unsigned char *bucket, unsigned place)
{
    if (self->area->noted != NULL)
        tw_area_keep(self->area, bucket, stride);
    else
        tw_area_note_row(self->area, (uint64_t)(bucket - self->bytes) / stride, place, 0, bucket);
}

/* Takes the first empty place for a key that is absent; its row and stamp are not yet set. */
static unsigned char *segment_place(tw_segment *self, size_t stride, uint64_t key, unsigned *place)
{
    unsigned char *bucket = tw_segment_bucket(self, stride, key);
    unsigned mask;
    while ((mask = tw_bucket_find(bucket, 0)) == 0)
        bucket = tw_segment_next(self, stride, bucket);
    *place = tw_first_bit(mask);
    if (self->area != NULL)
        keep_empty(self, stride, bucket, *place);
    tw_bucket_words(bucket)[*place] = tw_word_of(self, key);
    self->count++;
    return bucket;
}

/* Places for `count` rows: between 70 and 82 percent full, by a rule that differs from segment to segment. */
static uint64_t buckets_for(uint64_t count, uint32_t first_slot)
{
    uint64_t percent = count < SEGMENT_SMALL ? 46 : 70 + tw_mix64(first_slot * 1000003ull + count / 256) % 13;
    uint64_t n = (count * 100 / percent + TW_BUCKET_KEYS) / TW_BUCKET_KEYS;
    return n < 2 ? 2 : n;
}

static tw_status segment_init(tw_table *table, tw_segment *self, uint64_t count, tw_error *error)
{
    self->touched = NULL;
    self->n_new = self->swept = 0;
    self->is_other_clean = true;
    self->base = tw_slot_base(self->first_slot);
    self->is_rebuilt = table->touched != NULL;
    self->n_buckets = buckets_for(count, self->first_slot);
    self->size = (size_t)self->n_buckets * table->stride;
    self->limit = self->n_buckets * TW_BUCKET_KEYS * SEGMENT_LOAD_MAX / 100;
    self->count = 0;
    self->area = NULL;
    self->bytes = tw_page_pool_take(table->pages, tw_segment_memory(table, self->size));
    return self->bytes == NULL ? tw_no_memory(error, self->size) : TW_STATUS_OK;
}

static void segment_move(tw_table *table, const tw_segment *from, tw_segment *low, tw_segment *high)
{
    low->swept = high->swept = from->swept;
    for (uint64_t i = 0; i < from->n_buckets; i++) {
        unsigned char *bucket = from->bytes + i * table->stride;
        const uint64_t *words = tw_bucket_words(bucket);
        for (unsigned j = 0; j < TW_BUCKET_KEYS && words[j] != 0; j++) {
            uint64_t key = tw_word_key(from->base, words[j]);
            tw_segment *to = tw_key_slot(key) > low->last_slot ? high : low;
            unsigned place;
            unsigned char *into = segment_place(to, table->stride, key, &place);
            tw_bucket_words(into)[place] |= words[j] & TW_WORD_INTERVAL;
            tw_bucket_copy(table, into, place, bucket, j);
        }
    }
}

static uint64_t segment_count_above(const tw_table *table, const tw_segment *self, uint32_t slot)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < self->n_buckets; i++) {
        const uint64_t *words = tw_bucket_words(self->bytes + i * table->stride);
        for (unsigned j = 0; j < TW_BUCKET_KEYS && words[j] != 0; j++)
            n += tw_key_slot(tw_word_key(self->base, words[j])) > slot;
    }
    return n;
}

static tw_status table_room(const tw_table *self, uint64_t more, uint64_t less, tw_error *error)
{
    uint64_t bytes = self->bytes + more - less;
    bool is_free = self->spec.max_bytes == 0 || self->spec.keep.evicts || self->is_loading;
    if (is_free || bytes <= self->spec.max_bytes)
        return TW_STATUS_OK;
    (void)tw_error_set(error, TW_STATUS_FULL,
        "table: rows would need %llu bytes, above the limit of %llu (max_bytes): raise the limit, let rows give way "
        "(evict: oldest), use fewer features, or a table of type hashed",
        (unsigned long long)bytes, (unsigned long long)self->spec.max_bytes);
    tw_error_code(error, "E205");
    return TW_STATUS_FULL;
}

static void segment_release(tw_table *table, tw_segment *self)
{
    self->touched = NULL;
    if (self->bytes != NULL && (self->area == NULL || tw_area_replace(self->area)))
        tw_page_pool_give(table->pages, self->bytes, tw_segment_memory(table, self->size));
}

static tw_status segment_split(tw_table *table, size_t index, tw_error *error)
{
    tw_status status =
        tw_grow(&table->segment, sizeof(tw_segment), &table->segment_capacity, table->n_segments + 1, error);
    if (status < 0)
        return status;
    tw_segment *old = &table->segment[index];
    uint32_t middle = (old->first_slot + old->last_slot) / 2;
    uint64_t above = segment_count_above(table, old, middle);
    tw_segment low = {.first_slot = old->first_slot, .last_slot = middle};
    tw_segment high = {.first_slot = middle + 1, .last_slot = old->last_slot};
    status = segment_init(table, &low, old->count - above + 1, error);
    if (status == TW_STATUS_OK)
        status = segment_init(table, &high, above + 1, error);
    if (status == TW_STATUS_OK)
        status = table_room(table, low.size + high.size, old->size, error);
    if (status < 0) {
        segment_release(table, &low);
        segment_release(table, &high);
        return status;
    }
    segment_move(table, old, &low, &high);
    table->bytes += low.size + high.size - old->size;
    segment_release(table, old);
    *old = low;
    table->segment[table->n_segments] = high;
    for (uint32_t slot = high.first_slot; slot <= high.last_slot; slot++)
        table->segment_of[slot] = (uint16_t)table->n_segments;
    table->n_segments++;
    return TW_STATUS_OK;
}

/* After a segment went away another one moves into a gap, where there are many. False: none did. */
static bool segments_close_up(tw_table *table)
{
    void *from = NULL;
    if (!tw_page_pool_is_scattered(table->pages, SEGMENT_MOVE_MAX, &from))
        return false;
    size_t i = 0;
    while (i < table->n_segments && table->segment[i].bytes != from)
        i++;
    tw_segment *segment = &table->segment[i];
    if (i == table->n_segments || segment->area != NULL || segment->size > SEGMENT_MOVE_MAX)
        return false; /* frozen: what is copied stays where it is */
    segment->bytes = tw_page_pool_move(table->pages, from, tw_segment_memory(table, segment->size));
    if (segment->touched != NULL)
        segment->touched += segment->bytes - (unsigned char *)from;
    return true;
}

static tw_status segment_rebuild(tw_table *table, size_t index, tw_error *error)
{
    tw_segment *old = &table->segment[index];
    tw_segment new = {.first_slot = old->first_slot, .last_slot = old->last_slot};
    tw_status status = segment_init(table, &new, old->count + 1, error);
    if (status == TW_STATUS_OK)
        status = table_room(table, new.size, old->size, error);
    if (status < 0) {
        segment_release(table, &new);
        return status;
    }
    segment_move(table, old, &new, &new);
    table->bytes += new.size - old->size;
    segment_release(table, old);
    *old = new;
    return TW_STATUS_OK;
}

static tw_status segment_grow(tw_table *table, size_t index, tw_error *error)
{
    const tw_segment *old = &table->segment[index];
    bool is_large = old->size >= SEGMENT_MAX_SIZE && old->first_slot < old->last_slot;
    tw_status status = is_large ? segment_split(table, index, error) : segment_rebuild(table, index, error);
    for (int i = 0; i < SEGMENT_MOVES && status == TW_STATUS_OK && segments_close_up(table); i++)
        ;
    return status;
}

/* Segments of equal slot ranges. */
static tw_status segments_divide(tw_table *self, tw_segment *into, size_t n, uint64_t count, tw_error *error)
{
    uint64_t n_slots = self->last_slot - self->first_slot + 1, size = 0, old = 0;
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < n && status == TW_STATUS_OK; i++) {
        uint32_t first = self->first_slot + (uint32_t)(n_slots * i / n);
        into[i] =
            (tw_segment){.first_slot = first, .last_slot = self->first_slot + (uint32_t)(n_slots * (i + 1) / n) - 1};
        status = segment_init(self, &into[i], count * (into[i].last_slot - first + 1) / n_slots + 1, error);
        size += into[i].size;
    }
    for (size_t i = 0; i < self->n_segments; i++)
        old += self->segment[i].size;
    if (status == TW_STATUS_OK)
        status = table_room(self, size, old, error);
    if (status == TW_STATUS_OK)
        self->bytes += size - old;
    return status;
}

/* In place of those that there are, which are empty. */
static tw_status segments_lay_out(tw_table *self, size_t n, uint64_t count, tw_error *error)
{
    tw_segment *into = tw_alloc_zero(n * sizeof *into);
    if (into == NULL)
        return tw_no_memory(error, n * sizeof *into);
    tw_status status = segments_divide(self, into, n, count, error);
    if (status < 0) {
        for (size_t i = 0; i < n; i++)
            segment_release(self, &into[i]);
        tw_free(into);
        return status;
    }
    tw_segments_destroy(self);
    self->segment = into;
    self->n_segments = self->segment_capacity = n;
    for (size_t i = 0; i < n; i++) {
        for (uint32_t slot = into[i].first_slot; slot <= into[i].last_slot; slot++)
            self->segment_of[slot] = (uint16_t)i;
    }
    return TW_STATUS_OK;
}

static size_t segments_least(const tw_table *self)
{
    return (self->last_slot - self->first_slot) / TW_SEGMENT_SLOTS + 1;
}

tw_status tw_segments_create(tw_table *self, tw_error *error)
{
    self->stride =
        TW_BUCKET_KEY_BYTES + (size_t)TW_BUCKET_KEYS * (self->row_size + (self->is_stamped ? sizeof(uint32_t) : 0));
    return segments_lay_out(self, segments_least(self), 0, error);
}

bool tw_segments_are_empty(const tw_table *self)
{
    uint64_t count = 0;
    for (size_t i = 0; i < self->n_segments; i++)
        count += self->segment[i].count;
    return count == 0;
}

/* Rows of a file come in the order of their places. Put so into segments that have yet to grow they would crowd at one
 * end, where every search passes over all of them. */
tw_status tw_segments_reserve(tw_table *self, uint64_t count, tw_error *error)
{
    uint64_t n_slots = self->last_slot - self->first_slot + 1;
    uint64_t n = buckets_for(count, self->first_slot) * self->stride / ((uint64_t)SEGMENT_MAX_SIZE / 4 * 3) + 1;
    if (!tw_segments_are_empty(self) || count < SEGMENT_SMALL)
        return TW_STATUS_OK;
    n = n < n_slots ? n : n_slots;
    return segments_lay_out(self, n > segments_least(self) ? (size_t)n : segments_least(self), count, error);
}

void tw_segments_destroy(tw_table *self)
{
    for (size_t i = 0; i < self->n_segments; i++)
        segment_release(self, &self->segment[i]);
    tw_free(self->segment);
}

/* --- whole segments from files */

void tw_segments_uncover(tw_table *self)
{
    for (size_t i = 0; i < self->n_segments; i++)
        self->bytes -= self->segment[i].size;
    tw_segments_destroy(self);
    self->segment = NULL;
    self->n_segments = self->segment_capacity = 0;
    memset(self->segment_of, 0xff, sizeof self->segment_of);
}

tw_status tw_segment_make(
    tw_table *table, tw_segment *self, uint32_t first_slot, uint32_t last_slot, uint64_t count, tw_error *error)
{
    *self = (tw_segment){.first_slot = first_slot, .last_slot = last_slot};
    return segment_init(table, self, count + 1, error);
}

void tw_segment_drop(tw_table *table, tw_segment *self)
{
    segment_release(table, self);
    *self = (tw_segment){0};
}

static inline void copy_words(unsigned char *to, const unsigned char *from, uint32_t size)
{
    for (uint32_t i = 0; i < size; i += 8)
        memcpy(to + i, from + i, 8);
}

/* Pairs come about in the order of their places, so that one bucket after the other is filled. Those without a stamp
 * get the present tick. */
bool tw_segment_fill(const tw_table *table, tw_segment *self, const unsigned char *pair, size_t pair_size, uint64_t n)
{
    uint32_t row_size = table->row_size, now = (uint32_t)table->keep.clock;
    size_t stride = table->stride;
    bool has_stamps = pair_size > 8 + (size_t)row_size, is_stamped = table->is_stamped;
    for (uint64_t i = 0; i < n; i++, pair += pair_size) {
        uint64_t key = tw_wire_u64(pair), slot = tw_key_slot(key);
        if (slot < self->first_slot || slot > self->last_slot)
            continue;
        unsigned char *bucket = tw_segment_bucket(self, stride, key);
        uint64_t word = tw_word_of(self, key);
        unsigned empty = tw_bucket_find(bucket, 0), same = tw_bucket_find(bucket, word);
        while (empty == 0 && same == 0) {
            bucket = tw_segment_next(self, stride, bucket);
            empty = tw_bucket_find(bucket, 0);
            same = tw_bucket_find(bucket, word);
        }
        if (same != 0 || self->count >= self->limit)
            return false;
        tw_bucket_words(bucket)[tw_first_bit(empty)] = word;
        copy_words(tw_bucket_row(bucket, tw_first_bit(empty), row_size), pair + 8, row_size);
        if (is_stamped)
            *tw_bucket_stamp(bucket, tw_first_bit(empty), row_size) =
                has_stamps ? tw_wire_u32(pair + 8 + row_size) : now;
        self->count++;
    }
    return true;
}

tw_status tw_segments_add(tw_table *self, const tw_segment *segment, tw_error *error)
{
    tw_status status = table_room(self, segment->size, 0, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->segment, sizeof(tw_segment), &self->segment_capacity, self->n_segments + 1, error);
    if (status < 0)
        return status;
    for (uint32_t slot = segment->first_slot; slot <= segment->last_slot; slot++) {
        if (self->segment_of[slot] != TW_NO_SEGMENT)
            return tw_error_set(error, TW_STATUS_CORRUPT, "slot %u occurs in two sections", slot);
    }
    for (uint32_t slot = segment->first_slot; slot <= segment->last_slot; slot++)
        self->segment_of[slot] = (uint16_t)self->n_segments;
    self->segment[self->n_segments++] = *segment;
    self->bytes += segment->size;
    return TW_STATUS_OK;
}

tw_status tw_segment_insert(
    tw_table *table, uint64_t key, unsigned char **bucket, unsigned *place, bool *has_moved, tw_error *error)
{
    tw_segment *segment = tw_segment_of(table, key);
    if (segment->count >= segment->limit) {
        tw_status status = segment_grow(table, (size_t)(segment - table->segment), error);
        if (status < 0)
            return status;
        *has_moved = true;
        segment = tw_segment_of(table, key);
    }
    *bucket = segment_place(segment, table->stride, key, place);
    return TW_STATUS_OK;
}
