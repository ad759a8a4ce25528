/* shard_watch.h: the shards' status as metrics text, asked for when somebody wants to see it and kept for a second. Any
 * thread. */
#ifndef TW_CMD_SHARD_WATCH_H
#define TW_CMD_SHARD_WATCH_H

#include "cmd/shard_report.h"

typedef struct shard_watch shard_watch;

/* Addresses, keys and the name (a label) are copied. */
TW_MUST_USE tw_status shard_watch_start(const char *const *address,
    uint32_t n,
    const tw_socket_security *security,
    const char *model,
    shard_watch **out,
    tw_error *error);
/* Nobody may be asking. NULL-safe. */
void shard_watch_stop(shard_watch **self);

/* Appends what the shards say; those that do not answer within half a second are shown as down. */
TW_MUST_USE tw_status shard_watch_metrics(shard_watch *self, tw_text *out, tw_error *error);

#endif
