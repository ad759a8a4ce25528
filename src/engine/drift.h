/* drift.h: watches the loss of each learned event, in order, for a rise of its mean, and on request makes the learner
 * forget faster: a stream whose rules have changed is then learned anew with larger steps.
 *
 * What is watched, of events with a label (if the task has labels) and a weight above 0, each counted once:
 *   LOSS    the learner's own loss of the score that the event had before it was learned; clustering: the squared
 *           distance to the nearest centre
 *   ERROR   binary tasks: 1 when the sign of the score is wrong, else 0
 * A fall of the mean is no drift: the model got better. After a drift the detector starts over.
 *
 * Forgetting must act at a point that does not depend on where batches end: behind the first event at or after the
 * drift whose number, counted over the watched events, is a multiple of TW_DRIFT_STEP. The batch is therefore learned
 * in parts that end there. When a lost shard makes events be learned again, a drift among them is not repeated.
 *
 * Thread rule: one thread at a time. */
#ifndef TW_ENGINE_DRIFT_H
#define TW_ENGINE_DRIFT_H

#include <stddef.h>

#include "thalweg/learner.h"

enum { TW_DRIFT_STEP = 32 };

typedef enum tw_drift_detector { TW_DRIFT_NONE = 0, TW_DRIFT_ADWIN = 1, TW_DRIFT_PAGE_HINKLEY = 2 } tw_drift_detector;
typedef enum tw_drift_signal { TW_DRIFT_LOSS = 0, TW_DRIFT_ERROR = 1 } tw_drift_signal;

/* See math/adwin.h and math/page_hinkley.h. */
typedef struct tw_drift_options {
    tw_drift_detector detector;
    tw_drift_signal signal;
    double delta;
    double threshold, alpha; /* Page-Hinkley */
    uint64_t min_events;     /* Page-Hinkley */
    bool is_forgetting;
    double half_lives; /* by which a drift moves the forgetting clock on */
} tw_drift_options;

typedef struct tw_drift_counts {
    uint64_t drifts;
    uint64_t last_event;  /* number of the learned event at which the last drift was found, from 1; 0: none */
    double before, after; /* mean of the watched values before the last drift, and since it */
} tw_drift_counts;

typedef struct tw_drift tw_drift;

/* CONFIG: the learner has no loss, or forgets nothing that could be hastened. `learner`, an opened state block of
 * `ops`, and `traits` are borrowed. */
TW_MUST_USE tw_status tw_drift_create(const tw_drift_options *options,
    const tw_learner_ops *ops,
    void *learner,
    const tw_learner_traits *traits,
    tw_drift **out,
    tw_error *error);
void tw_drift_destroy(tw_drift **self);

/* Before each batch. first_event: events learned before it. */
void tw_drift_begin(tw_drift *self, uint64_t first_event);

/* Learns the batch, or a part of it, by the learner and watches. */
TW_MUST_USE tw_status tw_drift_learn(
    tw_drift *self, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error);

/* The batch was not learned after all: as at tw_drift_begin. */
void tw_drift_undo(tw_drift *self);

void tw_drift_counts_now(const tw_drift *self, tw_drift_counts *out);

/* Bytes for the checkpoint, and back; release with tw_free. Saved by a detector of another kind or with other figures,
 * only the counts are taken over. */
TW_MUST_USE tw_status tw_drift_save(const tw_drift *self, void **bytes, size_t *size, tw_error *error);
TW_MUST_USE tw_status tw_drift_load(tw_drift *self, const void *bytes, size_t size, tw_error *error);

#endif
