/* turn.h: the client at work: rounds of sending and receiving over all shards, until what is waited for is there.
 * Private to the client. */
#ifndef TW_PS_TURN_H
#define TW_PS_TURN_H

#include "ps/worker/remote_state.h"

enum { TW_TURN_WAIT_MS = 5 }; /* at most, for the link to have something */

typedef bool (*tw_peer_test)(const tw_peer *peer);

/* One round: take what has come, send what can be sent, take again: an answer that waits here is not late. `culprit`:
 * the first shard that is not `is_done`, or n_shards. */
TW_MUST_USE tw_status tw_turn_once(
    tw_remote *self, tw_peer_test is_done, bool *has_progress, uint32_t *culprit, tw_error *error);

/* Runs until every peer `is_done`. Any progress of any shard renews the deadline; `failure` with the culprit after it.
 * Time in which the process itself stood still (SIGSTOP, a machine that sleeps) does not count. */
TW_MUST_USE tw_status tw_turn_until(
    tw_remote *self, tw_peer_test is_done, int timeout_ms, tw_status failure, tw_error *error);

#endif
