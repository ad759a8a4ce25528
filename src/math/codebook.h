/* codebook.h: centres that are running means of the points that came to them, old ones forgotten; and the arithmetic of
 * merging and splitting them. Records lie in a learner's blocks: a codebook is a view of them and owns nothing.
 *
 * A record: {u64 tick, f64 weight, f64 sum [width], f32 centre [width]}, centre = sum / weight. Weight and sum count as
 * of the tick; at a later one, `now`, tw_codebook_kept of them is left. Sums run in one order, so the bits are the same
 * everywhere. Thread rule: as the memory under it. */
#ifndef TW_MATH_CODEBOOK_H
#define TW_MATH_CODEBOOK_H

#include <stdbool.h>

#include "math/kernels.h"
#include "thalweg/schema.h"

typedef struct tw_codeword {
    uint64_t tick;
    double weight;
} tw_codeword;

typedef struct tw_codebook {
    const tw_kernels *kernels;
    unsigned char *record; /* [n records x stride] */
    size_t stride;         /* bytes, a multiple of 8 */
    uint32_t width;
} tw_codebook;

/* Bytes of a record of this width, and where its centre begins. */
static inline size_t tw_codebook_centre_offset(uint32_t width)
{
    return sizeof(tw_codeword) + width * sizeof(double);
}

static inline tw_codeword *tw_codebook_word(const tw_codebook *self, uint64_t j)
{
    return (tw_codeword *)(void *)(self->record + j * self->stride);
}

static inline double *tw_codebook_sum(const tw_codebook *self, uint64_t j)
{
    return (double *)(void *)(tw_codebook_word(self, j) + 1);
}

static inline float *tw_codebook_centre(const tw_codebook *self, uint64_t j)
{
    return (float *)(void *)(self->record + j * self->stride + tw_codebook_centre_offset(self->width));
}

/* What is left at `now` of what stands at `tick`: 2^-((now - tick) / TW_TICKS_PER_HALF_LIFE); all of it from tick 0, as
 * TW_MERGE_FADE has it. */
double tw_codebook_kept(uint64_t tick, uint64_t now);

/* Weight of record j at `now`. */
double tw_codebook_weight(const tw_codebook *self, uint64_t j, uint64_t now);

/* The nearest of the records [first, first + count), as an index from `first`; the first of equals. */
uint32_t tw_codebook_nearest(const tw_codebook *self, uint64_t first, uint32_t count, const float *x, float *distance);

/* Forgets up to `now`, then adds `weight` > 0 times x; the centre follows. */
void tw_codebook_add(const tw_codebook *self, uint64_t j, const float *x, double weight, uint64_t now);

/* Record j := a mean of that weight at `now`. */
void tw_codebook_set(const tw_codebook *self, uint64_t j, const double *mean, double weight, uint64_t now);

/* Brings record j to `now` and its weight to `weight`, its centre where it is. */
void tw_codebook_rescale(const tw_codebook *self, uint64_t j, double weight, uint64_t now);

/* Record `to` of `self` := record `from` of `other`; the widths are equal. */
void tw_codebook_copy(const tw_codebook *self, uint64_t to, const tw_codebook *other, uint64_t from);

/* Adds record `from` to record `into`; both have the same tick. */
void tw_codebook_absorb(const tw_codebook *self, uint64_t into, uint64_t from);

/* Weight and sum 0; the centre stays where it was. */
void tw_codebook_empty(const tw_codebook *self, uint64_t j, uint64_t now);

/* centre = sum / weight; stays while the weight is 0. */
void tw_codebook_refresh(const tw_codebook *self, uint64_t j);

/* What the sum of squared distances grows by when the points of weights a and b around two means become one group:
 * a b / (a + b) |mean a - mean b|^2; the square is `distance`. Ward, J. Am. Stat. Assoc. 58, 1963. */
double tw_ward(double a, double b, double distance);

/* --- cells: a centre and its two halves --------------------------------------------------------------------------- */

/* Centre j and its halves 2 j and 2 j + 1: a running 2-means of the points that came to j. They say what a second
 * centre there would gain; the distance to the nearest other centre says what j's own removal would cost. Moving a
 * centre from where it costs least to where it gains most is the step that Lloyd's algorithm lacks. */
typedef struct tw_cells {
    tw_codebook centre, half;
    uint32_t live; /* centres in use, the first ones */
} tw_cells;

/* Adds a point that came to centre j to one of its halves: the nearer one, an empty one for the first two places. */
void tw_cells_halve(const tw_cells *self, uint64_t j, const float *x, double weight, uint64_t now);

/* The sum of squares that splitting cell j would save, in weights at `now`; 0 while a half weighs less than
 * `least`. */
double tw_cells_gain(const tw_cells *self, uint64_t j, double least, uint64_t now);

/* What removing centre i would cost when its points go to the nearest other centre, `partner`; infinite if it is the
 * only one. */
double tw_cells_cost(const tw_cells *self, uint64_t i, uint64_t now, uint32_t *partner);

/* Merges i into `partner` and splits j: its halves become the centres j and i with the weight that j had. `partner`
 * gets the merged centres as its halves; those of i and j start anew. All three are different. */
void tw_cells_move(const tw_cells *self, uint64_t i, uint64_t partner, uint64_t j, uint64_t now);

#endif
