/* share.h: what one of several workers may learn now: its share of the events that its learner lets be in flight
 * (learner.h, `flight`). Where there are fewer of them than workers, only so many workers learn at once (params.h,
 * `seat`). One thread. */
#ifndef TW_ENGINE_SHARE_H
#define TW_ENGINE_SHARE_H

#include <stdatomic.h>

#include "thalweg/params.h"

typedef struct tw_share {
    uint32_t n_workers;      /* that learn the model together */
    bool is_flight_free;     /* whole batches, whatever the learner says */
    const atomic_bool *stop; /* set: waiting for others to learn ends; NULL: never */
} tw_share;

/* Borrowed. */
typedef struct tw_share_asking {
    tw_params *params;
    const tw_learner_ops *learner;
    const void *state;
} tw_share_asking;

/* Waits until this worker may learn; *most of the n >= 1 events of its batch then. IDLE: it is to stop; not when
 * is_middle, where the batch is learned to its end all the same. */
TW_MUST_USE tw_status tw_share_take(
    const tw_share *self, const tw_share_asking *asking, uint32_t n, bool is_middle, uint32_t *most, tw_error *error);

#endif
