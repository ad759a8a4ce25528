/* seeding.h: the first centres, fitted to a sample of the stream that lies in memory: greedy k-means++, Lloyd's
 * algorithm, and moves of centres from where they cost least to where they gain most while that lowers the sum of
 * squared distances.
 *
 * D. Arthur, S. Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007 (the greedy form: section 5 of
 * its technical report); S. Lloyd, "Least Squares Quantization in PCM", IEEE Trans. Inf. Theory 28, 1982; splitting and
 * merging: T. Kaukoranta, P. Franti, O. Nevalainen, "Iterative split-and-merge algorithm for VQ codebook generation",
 * Optical Engineering 37, 1998.
 *
 * Deterministic: the same sample and seed give the same bits on every machine. Thread rule: as the memory under it. */
#ifndef TW_MATH_SEEDING_H
#define TW_MATH_SEEDING_H

#include "math/codebook.h"

typedef enum tw_seeding_rule { TW_SEEDING_PLUS_PLUS, TW_SEEDING_RANDOM } tw_seeding_rule;

/* A point of the sample: {u64 tick, f32 weight, f32 point [width]}. */
typedef struct tw_sample {
    unsigned char *point; /* [count x stride] */
    size_t stride;        /* bytes, a multiple of 8 */
    uint32_t count;
} tw_sample;

static inline uint64_t *tw_sample_tick(const tw_sample *self, uint64_t i)
{
    return (uint64_t *)(void *)(self->point + i * self->stride);
}

static inline float *tw_sample_weight(const tw_sample *self, uint64_t i)
{
    return (float *)(void *)(tw_sample_tick(self, i) + 1);
}

static inline float *tw_sample_point(const tw_sample *self, uint64_t i)
{
    return tw_sample_weight(self, i) + 1;
}

/* Memory of one fit for n points and k centres, of the caller. */
typedef struct tw_seeding_scratch {
    double *weight;                       /* [n]  at the tick of the fit */
    float *distance, *candidate, *chosen; /* [n]  to the nearest centre; with a candidate; with the best candidate */
    double *cost, *gain;   /* [k]  of removing a centre, of a second one there; infinite, 0: not allowed */
    uint32_t *cell, *best; /* [n]  the point's centre now, and in the best fit so far */
    uint32_t *partner;     /* [k]  the centre nearest to a centre */
} tw_seeding_scratch;

/* Bytes of the scratch, and its cut into arrays; `memory` is 8-byte aligned. */
size_t tw_seeding_scratch_size(uint32_t n, uint32_t k);
tw_seeding_scratch tw_seeding_scratch_at(void *memory, uint32_t n, uint32_t k);

/* Fits `k` centres to the sample at the tick `now` and leaves in them the weights and sums of their points, in the
 * halves those of a 2-means of each cell. Centres that are in use stay as a start; more are drawn up to k while a point
 * differs from all. The sample has at least one point. */
void tw_seeding_fit(tw_cells *cells,
    const tw_sample *sample,
    uint32_t k,
    tw_seeding_rule rule,
    uint64_t seed,
    uint64_t now,
    const tw_seeding_scratch *scratch);

#endif
