/* Rows that go away: the gap is closed by a row behind it, and the tracker's bits go where the rows go. */
#include "store/segment.h"

static uint64_t bucket_index(const tw_segment *self, size_t stride, const unsigned char *bucket)
{
    return (uint64_t)(bucket - self->bytes) / stride;
}

/* A key behind the gap whose own search would pass the bucket of the gap, which was full: it may lie there as well. */
static bool find_to_move(
    const tw_table *table, const tw_segment *self, unsigned char *gap, unsigned char **bucket, unsigned *place)
{
    size_t stride = table->stride;
    uint64_t n = self->n_buckets, gap_index = bucket_index(self, stride, gap), distance = 0;
    for (unsigned char *at = tw_segment_next(self, stride, gap); at != gap; at = tw_segment_next(self, stride, at)) {
        distance++;
        const uint64_t *words = tw_bucket_words(at);
        for (unsigned j = 0; j < TW_BUCKET_KEYS && words[j] != 0; j++) {
            uint64_t home = tw_segment_index(self, tw_word_key(self->base, words[j]));
            uint64_t at_index = gap_index + distance;
            if ((at_index - home + n) % n >= distance) {
                *bucket = at;
                *place = j;
                return true;
            }
        }
        if (words[TW_BUCKET_KEYS - 1] == 0)
            return false;
    }
    return false;
}

static uint8_t *touched_at(const tw_table *table, const tw_segment *self, const unsigned char *bucket)
{
    return &self->touched[bucket_index(self, table->stride, bucket)];
}

static bool touched_clear(const tw_table *table, const tw_segment *self, const unsigned char *bucket, unsigned place)
{
    uint8_t *bits = self->touched == NULL ? NULL : touched_at(table, self, bucket);
    bool is_set = bits != NULL && (*bits >> place & 1) != 0;
    if (is_set)
        *bits &= (uint8_t) ~(1u << place);
    return is_set;
}

void tw_segment_remove(tw_table *table, tw_segment *self, unsigned char *bucket, unsigned place)
{
    size_t stride = table->stride;
    self->count--;
    if (touched_clear(table, self, bucket, place))
        table->touched->n_rows--;
    for (;;) {
        uint64_t *words = tw_bucket_words(bucket);
        if (self->area != NULL)
            tw_area_keep(self->area, bucket, stride);
        bool was_full = words[TW_BUCKET_KEYS - 1] != 0;
        unsigned char *from = bucket;
        unsigned from_place = TW_BUCKET_KEYS - 1;
        if (!was_full || !find_to_move(table, self, bucket, &from, &from_place)) {
            while (words[from_place] == 0)
                from_place--;
            from = bucket;
        }
        uint64_t word = tw_bucket_words(from)[from_place];
        if (from != bucket || from_place != place) {
            tw_bucket_copy(table, bucket, place, from, from_place);
            if (touched_clear(table, self, from, from_place))
                *touched_at(table, self, bucket) |= (uint8_t)(1u << place);
        }
        words[place] = word;
        if (from == bucket) {
            words[from_place] = 0;
            return;
        }
        bucket = from;
        place = from_place;
    }
}
