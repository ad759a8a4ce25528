/* delay.h: labels that arrive late: an event is scored when it comes and learned only after `n_events` further ones
 * were scored, in the same order. Event i is so scored by a model that has learned exactly the events up to i -
 * n_events - 1, whatever the batch size (River's `delay`, MOA's delayed prequential evaluation).
 *
 * Events that wait are not learned, so the marks of the rows lie before them: a run that resumes reads them again from
 * its sources, hands them in as replayed, and goes on as if it had not stopped. Learning goes event by event.
 * Learning thread only. */
#ifndef TW_ENGINE_DELAY_H
#define TW_ENGINE_DELAY_H

#include "engine/model.h"

typedef struct tw_delay tw_delay;

/* n_events >= 1. `model` is borrowed. */
TW_MUST_USE tw_status tw_delay_create(uint64_t n_events, tw_model *model, tw_delay **out, tw_error *error);
void tw_delay_destroy(tw_delay **self);

/* Takes over the events of the batch and learns those whose labels are due. scores: [n_events x n_outputs], as
 * tw_model_score gives them; not written where the batch is replayed: scored and counted before. */
TW_MUST_USE tw_status tw_delay_learn(
    tw_delay *self, const tw_builder *batch, bool is_replay, float *scores, tw_error *error);

/* The stream is over: all labels arrive. */
TW_MUST_USE tw_status tw_delay_drain(tw_delay *self, tw_error *error);

#endif
