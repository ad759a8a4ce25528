/* ahead.h: the rows of the next batch, pulled while the present one is learned. Private to the client.
 *
 * The pull of batch i + 1 goes out before the push of batch i, so its rows lack what batch i changes. Once batch i is
 * released, its changes are laid over them: a record that came as batch i had found it becomes what batch i left,
 * another one (somebody else pushed in between) is merged by its fields' rules. One worker alone so learns from the
 * same bits as if it had waited. */
#ifndef TW_PS_AHEAD_H
#define TW_PS_AHEAD_H

#include "ps/worker/remote_state.h"

/* A flight that is neither acquired nor pushed nor pulled ahead. */
tw_flight *tw_remote_free_flight(tw_remote *self);

/* The rows that were pulled ahead are this batch's. */
bool tw_ahead_is_for(const tw_ahead *self, const tw_batch *batch);

/* Sends the pulls of `batch` while the current flight is acquired. Does nothing where a shard is not reachable at the
 * moment. */
TW_MUST_USE tw_status tw_ahead_start(tw_remote *self, const tw_batch *batch, tw_error *error);

/* Lays the changes of the flight behind over what was pulled. Every pull is answered and every push sent. */
void tw_ahead_overlay(tw_remote *self);

/* Puts the pulls ahead back as the peers' present ones after another flight was pulled beside them; drops them where a
 * session was lost meanwhile. */
void tw_ahead_resume(tw_remote *self);

/* Forgets what was pulled ahead; answers that still come are ignored. */
void tw_ahead_drop(tw_remote *self);

#endif
