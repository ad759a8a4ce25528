/* publisher.h: which model answers in a process that trains: the live one; or, where there is a gate, the newest saved
 * version that passed it; or the saved version that an operator went back to. A thread of its own follows the directory
 * and swaps; nothing waits for it. */
#ifndef TW_CMD_PUBLISHER_H
#define TW_CMD_PUBLISHER_H

#include "cmd/follower.h"
#include "serve/served.h"

typedef struct publisher publisher;

/* Chooses once before it returns, so that the first request is answered by the right model; with a gate and nothing
 * that passed it, rows are not scored. directory, live, served: borrowed. */
TW_MUST_USE tw_status publisher_start(
    const char *directory, tw_model *live, bool is_gated, tw_served *served, publisher **out, tw_error *error);

/* NULL-safe. The server must be stopped before: saved models end here. */
void publisher_stop(publisher **self);

#endif
