/* kmeans.h: what the two forms of the learner kmeans share: dense rows (kmeans.c) and sparse events
 * (kmeans_sparse.c). Thread rule: as a learner. */
#ifndef TW_ALGORITHMS_KMEANS_H
#define TW_ALGORITHMS_KMEANS_H

#include "algorithms/forgetting.h"
#include "math/seeding.h"
#include "math/sparse_codebook.h"
#include "thalweg/learner.h"

enum { KMEANS_TICK = 32 }; /* events between two looks for a better place: adds 1 / 32 to the distances of an event */

/* The record of the block "progress". */
typedef struct kmeans_progress {
    uint64_t events, live; /* events learned; centres in use, always the first ones */
    uint64_t fitted;       /* events of the reservoir that the centres were fitted to last */
    uint64_t fits;         /* fits made */
    uint64_t cursor;       /* centres looked at so far, over all rounds */
    double weight;         /* sum of importance, nothing forgotten */
    double cost, gain;     /* the best of this round, and whose; sparse: cost sums the distances of the seeding */
    uint64_t from, to;
} kmeans_progress;

typedef struct kmeans_state {
    const tw_kernels *kernels;
    tw_forgetting forgetting;
    uint64_t seed;
    uint32_t k, width, n_reservoir; /* n_reservoir 0: init first */
    uint32_t centroids, halves, progress, reservoir;
    bool is_moving, is_sparse;
    tw_seeding_rule rule;
    size_t record_size, point_size;
    double scratch[]; /* of the seeding; sparse: dots [k] */
} kmeans_state;

/* Fields of kmeans_progress. */
TW_MUST_USE tw_status tw_kmeans_add_progress(kmeans_state *self, tw_schema *schema, tw_error *error);

/* Moves the clock on by event i of the batch; `now` is its tick, 0 where nothing is forgotten. */
TW_MUST_USE tw_status tw_kmeans_forget(
    const kmeans_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i, uint64_t *now, tw_error *error);

/* NUMERIC for a point of that squared length if its distances would be no finite floats. */
TW_MUST_USE tw_status tw_kmeans_check_length(double length, uint32_t event, tw_error *error);

/* Row and blocks of the sparse form; tw_learner_ops.predict and learn for it. */
TW_MUST_USE tw_status tw_kmeans_sparse_open(kmeans_state *self, tw_schema *schema, tw_error *error);
void tw_kmeans_sparse_predict(kmeans_state *self, const tw_batch *batch, const tw_rows *rows, float *scores);
TW_MUST_USE tw_status tw_kmeans_sparse_learn(
    kmeans_state *self, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error);

#endif
