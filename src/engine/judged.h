/* judged.h: some events with their scores, what a user sees for them, and what they cost: computed once and handed to
 * everything that measures. Values; any thread. */
#ifndef TW_ENGINE_JUDGED_H
#define TW_ENGINE_JUDGED_H

#include "math/kernels.h"
#include "thalweg/batch.h"
#include "thalweg/learner.h"

enum { TW_JUDGED_MAX = 64 };

typedef struct tw_judged {
    uint32_t n;
    const float *label, *weight;      /* [n]; label NaN: none */
    const int64_t *time_us;           /* [n] */
    const uint64_t *facet;            /* [n x n_facets]; NULL without facets */
    uint32_t n_facets;                /* batch.h */
    float score[TW_JUDGED_MAX];       /* output 0 */
    double prediction[TW_JUDGED_MAX]; /* link(score) */
    double loss[TW_JUDGED_MAX];       /* the learner's own; of no meaning without label */
    double logloss[TW_JUDGED_MAX];    /* binary learners whose prediction is a probability; else not set */
} tw_judged;

/* Events first .. first + n - 1 (n <= TW_JUDGED_MAX) of the batch; scores [n_events x n_outputs]. The batch is borrowed
 * for the life of `out`. */
void tw_judge(const tw_kernels *kernels,
    const tw_learner_traits *traits,
    const tw_batch *batch,
    const float *scores,
    uint32_t first,
    uint32_t n,
    tw_judged *out);

/* Sees events in order; an error ends what measures them. */
typedef tw_status (*tw_judged_listener)(void *context, const tw_judged *events, tw_error *error);

#endif
