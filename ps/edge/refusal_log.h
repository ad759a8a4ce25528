/* refusal_log.h: a server says what it refused, at most every 10 s, and only when there is more of what nobody honest
 * does. Private to the servers. */
#ifndef TW_PS_REFUSAL_LOG_H
#define TW_PS_REFUSAL_LOG_H

#include <stdbool.h>

#include "ps/wire/refusals.h"

typedef struct tw_refusal_log {
    int64_t next_us;
    uint64_t n_told; /* hostile frames and connections at the last telling */
} tw_refusal_log;

/* Call it often. `guard` NULL: plain. `is_last`: the server ends, and says what there was if it was anything. True: it
 * is due, and `out` says what there is. */
bool tw_refusal_log_is_due(tw_refusal_log *self,
    int64_t now_us,
    const tw_refusals *refusals,
    const tw_guard *guard,
    bool is_last,
    char out[TW_REFUSALS_TEXT_SIZE]);

/* Connections that were refused; TW_STATUS_UNKNOWN: they are plain. */
uint64_t tw_refused_connections(const tw_guard *guard);

#endif
