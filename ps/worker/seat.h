/* seat.h: the flight rule (learner.h, `flight`) where it has fewer events than there are workers: only as many workers
 * as it has events learn at once, each at a *seat*; the others wait. Who learns alone is exact, whatever is in flight.
 *
 * Without rounds shard 0 keeps the seats: first come, first served; a seat is kept by asking again before every batch,
 * and free when it was not for TW_SEAT_US (round.h), so that nobody is waited for who has nothing to learn, hangs or is
 * gone. With rounds the workers of the smallest numbers that have not finished have the seats, and the others let the
 * round pass: who learns follows from the round alone. Private to the client. */
#ifndef TW_PS_SEAT_H
#define TW_PS_SEAT_H

#include "thalweg/status.h"

struct tw_remote;

/* See `seat` in params.h. `most` >= 1. */
TW_MUST_USE tw_status tw_seat_take(struct tw_remote *self, uint32_t most, tw_error *error);

#endif
