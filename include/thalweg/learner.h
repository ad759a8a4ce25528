/* learner.h: the contract of an algorithm. A learner sees a batch and its rows; no store, no socket, no thread, no
 * clock, no allocation. Everything it must remember lives in rows and blocks that its schema declares, so that it gets
 * shards, checkpoints, resume, serving and export without a line of its own. Start from algorithms/counter.c.
 *
 * Thread rule: one thread at a time per learner object. `predict` may run on another thread than `learn`, never at the
 * same time. The state block `self` is `state_size` bytes, zeroed and 64-byte aligned, owned by the caller; it may hold
 * options and scratch, never anything that must survive. */
#ifndef THALWEG_LEARNER_H
#define THALWEG_LEARNER_H

#include "thalweg/batch.h"
#include "thalweg/loss.h"
#include "thalweg/options.h"
#include "thalweg/schema.h"

enum { TW_ABI_VERSION = 1 };

/* Where the state of a batch lies. Entries with equal keys share one row (a key that is not admitted: one an event);
 * rows of different keys never overlap. */
typedef struct tw_rows {
    void *const *row;   /* [n_entries]        the learner's row struct of each entry; NULL if the schema has no row */
    void *const *block; /* [schema n_blocks]  first record of each block; records are contiguous */
} tw_rows;

typedef enum tw_task {
    TW_TASK_BINARY = 1,     /* labels 0 or 1; the score is a margin, sigmoid(score) is the probability of 1 */
    TW_TASK_REGRESSION = 2, /* real labels; the prediction is link(score) */
    TW_TASK_CLUSTERING = 3, /* no labels; scores are [squared distance to the nearest centre, its index] */
    TW_TASK_COUNTING = 4,   /* no labels; the score is the number of keys counted */
} tw_task;

/* What `open` says about the learner: set by `open`, constant afterwards. The schema arrives with the caller's blocks
 * possibly already in it (transform state): a learner appends its own and finds them by the index that it was given. */
typedef struct tw_learner_traits {
    tw_task task;
    uint32_t n_outputs;   /* floats per event in `scores`, >= 1 */
    uint32_t dense_width; /* > 0: batches must carry dense rows of this width */
    tw_loss loss;         /* what learning lowers; kind NONE without labels */
    tw_link_kind link;    /* score 0 to prediction */
    bool has_bias;        /* an event without entries is scored by a constant term */
    tw_schema schema;
} tw_learner_traits;

/* Weights found elsewhere (a batch solver, another model) for one call of `warm_start`. */
typedef struct tw_weights {
    const float *weight;    /* [n_entries]  of the key of each entry of the batch */
    const float *curvature; /* [n_entries]  sum over the data of importance x slope^2 x value^2, the loss's slope by the
                               score at the optimum, or the share of it that is trusted; 0: unknown */
    bool has_bias;
    double bias, bias_curvature; /* of the constant term, once a call that has has_bias */
    const double *centre;        /* [n_centres x dense_width] clustering: all centres in one call; else NULL */
    const double *centre_weight; /* [n_centres] */
    uint32_t n_centres;
    uint64_t events; /* events that the weights were learned from */
} tw_weights;

/* How `predict` comes to a score, for scorers outside of the program that give the same bits. x is the value of an
 * entry, w what `score_form` gives as its weight, i the entry's place in its event, counted from 0. */
typedef enum tw_score_rule {
    TW_SCORE_LANES = 1,   /* in float: lane[i mod 16] += w x from lanes of 0; a lane is added to the one 8 further, then
                             4, 2, 1 further; s = float(double(sum) + bias) */
    TW_SCORE_ORDERED = 2, /* in double: (bias + w x) + w x + ... in entry order, stopped at +-limit; s = float(sum) */
    TW_SCORE_NEAREST = 3, /* dense rows: [squared distance, index] of the nearest centre, the first of equals; the
                             distance in float: lane[j mod 16] += (x_j - c_j)^2, lanes added as above; [NaN, -1] without
                             a centre */
} tw_score_rule;

typedef struct tw_score_form {
    tw_score_rule rule;
    double bias;
    double limit;        /* 0: none */
    const float *centre; /* NEAREST: [n_centres] rows of dense_width, `centre_stride` floats apart; lies in a block */
    size_t centre_stride;
    uint32_t n_centres;
} tw_score_form;

typedef struct tw_learner_ops {
    uint32_t abi_version, struct_size; /* TW_ABI_VERSION, sizeof(tw_learner_ops) */
    const char *name, *summary;        /* "ftrl", one line */
    const tw_option *options;          /* ends with a {NULL} row */

    /* Bytes of the state block for these options. Pure. */
    size_t (*state_size)(const tw_option_values *options);

    /* Checks combinations, fills the traits. May not block. `traits->dense_width` holds, on entry, the number of dense
     * columns that the feature plan has (0: unknown), for learners whose width comes from the data. */
    tw_status (*open)(void *self, const tw_option_values *options, tw_learner_traits *traits, tw_error *error);

    /* scores: [n_events x n_outputs]. Changes nothing. Rows of unknown keys hold the initial record. */
    void (*predict)(const void *self, const tw_batch *batch, const tw_rows *rows, float *scores);

    /* Walks events in order; writes scores[i] before it learns event i; changes rows in place. A key that occurs twice
     * in an event is updated in entry order. Events with a NaN label are scored and not learned (tasks with labels);
     * weight 0 likewise. NUMERIC when a result is not finite: rows then are as after the last good event. */
    tw_status (*learn)(void *self, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error);

    /* Optional. How many events may be in flight over all workers once `events_learned` events are learned, without
     * harm to the model; absent: no bound. Below the number of workers only so many of them learn at once. Constant
     * merge order is not assumed. */
    double (*flight)(const void *self, uint64_t events_learned);

    /* Optional. Contribution of each entry to score 0: contribution [n_entries]. */
    tw_status (*explain)(
        const void *self, const tw_batch *batch, const tw_rows *rows, float *contribution, tw_error *error);

    /* Optional. Makes the rows of `batch` (every key once; an entry's value is the largest |x| that its key had, its
     * event is of no meaning) hold the given weights, so that `predict` gives them back within float rounding, and
     * later events move them as they would move a model that learned so much: the first touch forgets nothing. */
    tw_status (*warm_start)(
        void *self, const tw_batch *batch, const tw_rows *rows, const tw_weights *weights, tw_error *error);

    /* Optional, for learners that forget. Moves the forgetting clock, which lies in a block of `rows`, on by
     * `half_lives`: what was learned so far weighs less, so the next steps are larger. Called between events. Returns
     * false where the options say that nothing is forgotten. */
    bool (*hasten)(void *self, const tw_rows *rows, double half_lives);

    /* Optional. The value that a user would call the weight of a row, for `model show` and weight counts. */
    double (*weight)(const void *self, const void *row);

    /* Optional, for export: how `predict` comes to output 0 with these rows, as of now where the learner forgets.
     * weight: [n_entries], of each entry of the batch, exactly what `predict` multiplies by the entry's value; not
     * written for NEAREST. A rule left at 0: there is no form with these options. A learner whose `predict` looks at
     * more of an event than keys, values and dense row leaves this out. */
    void (*score_form)(
        const void *self, const tw_batch *batch, const tw_rows *rows, tw_score_form *form, double *weight);
} tw_learner_ops;

#endif
