/* segment.h: how a key finds its place in a segment of an exact table. Private to this folder.
 *
 * A bucket is 8 words, 8 rows and, in a stamped table, 8 stamps of u32. Its places are filled from the first on; a
 * search goes on to the next bucket only past a full one.
 *
 * The word of a place, 0 where it is empty: 3 bits of the interval between two snapshots in which the row was last
 * written to (touched.c; 0: long ago, or not noted), a bit that is set, and 60 bits of what the key is above the
 * segment's base. */
#ifndef TW_STORE_SEGMENT_H
#define TW_STORE_SEGMENT_H

#include <string.h>

#ifdef __SSE4_1__
#include <smmintrin.h>
#endif

#include "store/internal.h"

#define TW_WORD_INTERVAL (7ull << 61)
#define TW_WORD_TAKEN    (1ull << 60)

/* The least key of a slot. */
static inline uint64_t tw_slot_base(uint32_t slot)
{
    return (uint64_t)slot << (64 - TW_SLOT_BITS);
}

/* Without an interval. */
static inline uint64_t tw_word_of(const tw_segment *self, uint64_t key)
{
    return TW_WORD_TAKEN | (key - self->base);
}

static inline uint64_t tw_word_key(uint64_t base, uint64_t word)
{
    return base + (word & (TW_WORD_TAKEN - 1));
}

static inline uint64_t tw_scaled(uint64_t hash, uint64_t n)
{
    __extension__ typedef unsigned __int128 u128;
    return (uint64_t)(((u128)hash * n) >> 64);
}

/* The multiplication spreads keys that differ in few bits and takes the slot bits out of play. */
static inline uint64_t tw_segment_index(const tw_segment *self, uint64_t key)
{
    return tw_scaled(key * 0x9e3779b97f4a7c15ull, self->n_buckets);
}

static inline unsigned char *tw_segment_bucket(const tw_segment *self, size_t stride, uint64_t key)
{
    return self->bytes + tw_segment_index(self, key) * stride;
}

static inline tw_segment *tw_segment_of(const tw_table *self, uint64_t key)
{
    return &self->segment[self->segment_of[tw_key_slot(key)]];
}

/* Bit i: place i of the bucket holds `word` where `mask` is set. */
static inline unsigned tw_bucket_match(const unsigned char *bucket, uint64_t word, uint64_t mask)
{
    unsigned bits = 0;
#ifdef __SSE4_1__
    __m128i wanted = _mm_set1_epi64x((long long)word), looked = _mm_set1_epi64x((long long)mask);
    for (unsigned i = 0; i < TW_BUCKET_KEYS; i += 2) {
        __m128i pair = _mm_loadu_si128((const __m128i *)(const void *)(bucket + 8 * (size_t)i));
        __m128i is_equal = _mm_cmpeq_epi64(_mm_and_si128(pair, looked), wanted);
        bits |= (unsigned)_mm_movemask_pd(_mm_castsi128_pd(is_equal)) << i;
    }
#else
    const uint64_t *words = (const uint64_t *)(const void *)bucket;
    for (unsigned i = 0; i < TW_BUCKET_KEYS; i++)
        bits |= (unsigned)((words[i] & mask) == word) << i;
#endif
    return bits;
}

/* Bit i: place i of the bucket holds `word`, whatever its interval. */
static inline unsigned tw_bucket_find(const unsigned char *bucket, uint64_t word)
{
    return tw_bucket_match(bucket, word, ~TW_WORD_INTERVAL);
}

static inline unsigned char *tw_segment_next(const tw_segment *self, size_t stride, unsigned char *bucket)
{
    bucket += stride;
    return bucket == self->bytes + self->n_buckets * stride ? self->bytes : bucket;
}

static inline unsigned char *tw_bucket_row(unsigned char *bucket, unsigned place, uint32_t row_size)
{
    return bucket + TW_BUCKET_KEY_BYTES + (size_t)place * row_size;
}

static inline unsigned tw_first_bit(unsigned mask)
{
    return (unsigned)__builtin_ctz(mask);
}

/* NULL: absent. A segment is never full, so that every search meets an empty place. */
static inline unsigned char *tw_segment_find(
    const tw_segment *self, size_t stride, uint32_t row_size, unsigned char *bucket, uint64_t key)
{
    for (uint64_t word = tw_word_of(self, key);;) {
        unsigned mask = tw_bucket_find(bucket, word);
        if (mask != 0)
            return tw_bucket_row(bucket, tw_first_bit(mask), row_size);
        if (((const uint64_t *)(const void *)bucket)[TW_BUCKET_KEYS - 1] == 0)
            return NULL;
        bucket = tw_segment_next(self, stride, bucket);
    }
}

static inline uint64_t *tw_bucket_words(unsigned char *bucket)
{
    return (uint64_t *)(void *)bucket;
}

/* Of a stamped table only. */
static inline uint32_t *tw_bucket_stamp(unsigned char *bucket, unsigned place, uint32_t row_size)
{
    return (uint32_t *)(void *)(bucket + TW_BUCKET_KEY_BYTES + (size_t)TW_BUCKET_KEYS * row_size) + place;
}

/* Row and stamp, not the key. */
static inline void tw_bucket_copy(
    const tw_table *table, unsigned char *into, unsigned place, unsigned char *from, unsigned from_place)
{
    uint32_t size = table->row_size;
    memcpy(tw_bucket_row(into, place, size), tw_bucket_row(from, from_place, size), size);
    if (table->is_stamped)
        *tw_bucket_stamp(into, place, size) = *tw_bucket_stamp(from, from_place, size);
}

/* The bucket and place of a key; false: absent. */
static inline bool tw_segment_locate(
    const tw_segment *self, size_t stride, uint64_t key, unsigned char **bucket, unsigned *place)
{
    for (unsigned char *at = tw_segment_bucket(self, stride, key);; at = tw_segment_next(self, stride, at)) {
        unsigned mask = tw_bucket_find(at, tw_word_of(self, key));
        *bucket = at;
        *place = mask != 0 ? tw_first_bit(mask) : 0;
        if (mask != 0)
            return true;
        if (tw_bucket_words(at)[TW_BUCKET_KEYS - 1] == 0)
            return false;
    }
}

/* segment.c: a place for a key that is absent, its row and stamp not yet set. Grows the segment where it must:
 * *has_moved is then set, rows of the table found before may lie elsewhere. */
TW_MUST_USE tw_status tw_segment_insert(
    tw_table *table, uint64_t key, unsigned char **bucket, unsigned *place, bool *has_moved, tw_error *error);

/* removal.c: takes the key at a place out and closes the gap; rows behind it may move into it. */
void tw_segment_remove(tw_table *table, tw_segment *self, unsigned char *bucket, unsigned place);

#endif
