/* sparse_codebook.h: centres of sparse points, as running means whose old points are forgotten. A centre's sum is
 * spread over the rows of the features that it has met; what belongs to no feature is in a record of its own.
 *
 *   row of a feature f   {u64 tick, u64 step, f64 sum [k]}: sum of c x_f over the points of each centre j
 *   record of centre j   {u64 tick, u64 born, f64 weight, f64 length}: sum of c, |sum over all features|, and the step
 *                        at which it began: what a row says of j from before that step counts as 0
 *   distance             |x|^2 - 2 x sum_j / weight_j + (length_j / weight_j)^2, not below 0, all in double: its error
 * is about 1e-15 of |x|^2 + |centre|^2
 *
 * All values of a record count as of its tick, see codebook.h. A feature that occurs twice in a point has the sum of
 * its values as its value; |x|^2 then lacks the products of them, for every centre the same. Thread rule: as the
 * memory. */
#ifndef TW_MATH_SPARSE_CODEBOOK_H
#define TW_MATH_SPARSE_CODEBOOK_H

#include <stdint.h>

#include "thalweg/schema.h"

typedef struct tw_sparse_row {
    uint64_t tick, step;
    double sum[]; /* [k] */
} tw_sparse_row;

typedef struct tw_sparse_centre {
    uint64_t tick, born;
    double weight, length;
} tw_sparse_centre;

typedef struct tw_sparse_codebook {
    tw_sparse_centre *centre; /* [k] */
    double *dot;              /* [k] scratch: x sum_j at `now` */
    uint32_t k, live;
} tw_sparse_codebook;

typedef struct tw_sparse_point {
    void *const *row; /* [n] tw_sparse_row of each entry; equal keys share one */
    const float *value;
    uint32_t n;
} tw_sparse_point;

typedef struct tw_sparse_nearest {
    uint32_t index;
    double distance, length; /* squared: to the centre, of the point; distance infinite without a centre */
} tw_sparse_nearest;

/* The fields of the row of a feature and of the record of a centre. */
TW_MUST_USE tw_status tw_sparse_row_fields(tw_record *record, uint32_t k, tw_error *error);
TW_MUST_USE tw_status tw_sparse_centre_fields(tw_record *record, tw_error *error);

/* The nearest centre, the first of equals. Leaves the dots for tw_sparse_add. */
tw_sparse_nearest tw_sparse_find(const tw_sparse_codebook *self, const tw_sparse_point *point, uint64_t now);

/* Adds `weight` > 0 times the point to centre j as the learned event `step`; brings the point's rows to `now`. */
void tw_sparse_add(const tw_sparse_codebook *self,
    const tw_sparse_point *point,
    uint32_t j,
    double weight,
    uint64_t step,
    uint64_t now);

/* Makes centre j one without points from the event `step` on. */
void tw_sparse_begin(const tw_sparse_codebook *self, uint32_t j, uint64_t step, uint64_t now);

/* Weight of centre j at `now`. */
double tw_sparse_weight(const tw_sparse_codebook *self, uint32_t j, uint64_t now);

#endif
