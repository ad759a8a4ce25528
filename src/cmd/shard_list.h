/* shard_list.h: the file `shards` of a checkpoint directory: where the shards are that a run started for itself, while
 * it lives. Its first line is the run's process id, each other one an address, in the order of the shards' numbers. */
#ifndef TW_CMD_SHARD_LIST_H
#define TW_CMD_SHARD_LIST_H

#include <stdint.h>

#include "thalweg/status.h"

TW_MUST_USE tw_status shard_list_write(const char *directory, const char *const *address, uint32_t n, tw_error *error);
void shard_list_remove(const char *directory);

/* Up to `limit` addresses; they point into *text, which is released with tw_free. NOT_FOUND: there is no list, or the
 * run that wrote it is gone. */
TW_MUST_USE tw_status shard_list_read(
    const char *directory, char **text, const char **address, uint32_t limit, uint32_t *n, tw_error *error);

#endif
