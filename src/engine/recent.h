/* recent.h: the scores, labels and weights of the newest learned events, a window that slides event by event: what the
 * gate takes its figures over. Learning thread only. */
#ifndef TW_ENGINE_RECENT_H
#define TW_ENGINE_RECENT_H

#include <stddef.h>

#include "thalweg/learner.h"

enum { TW_RECENT_MAX = 1000000 }; /* events: 12 bytes each, in memory and in every checkpoint */

typedef struct tw_recent tw_recent;

/* capacity: 1 .. TW_RECENT_MAX. */
TW_MUST_USE tw_status tw_recent_create(
    tw_task task, uint32_t n_outputs, uint32_t capacity, tw_recent **out, tw_error *error);
void tw_recent_destroy(tw_recent **self);

/* Takes the learned events of the batch: weight above 0 and, if the task has labels, with one. scores: [n_events x
 * n_outputs], of which output 0 is kept. */
void tw_recent_add(tw_recent *self, const tw_batch *batch, const float *scores);

/* Bytes for the checkpoint, and back; release with tw_free. Of a longer window the newest events are taken over. */
TW_MUST_USE tw_status tw_recent_save(const tw_recent *self, void **bytes, size_t *size, tw_error *error);
TW_MUST_USE tw_status tw_recent_load(tw_recent *self, const void *bytes, size_t size, tw_error *error);

/* Saved bytes as columns: CORRUPT when they are none. Everything is borrowed from `bytes`. */
typedef struct tw_recent_view {
    uint32_t n;
    const float *score, *label, *weight; /* [n], oldest first */
} tw_recent_view;
TW_MUST_USE tw_status tw_recent_read(const void *bytes, size_t size, tw_recent_view *out, tw_error *error);

#endif
