/* shard_page.h: the metrics of one shard over HTTP (`thalweg ps --metrics`). */
#ifndef TW_CMD_SHARD_PAGE_H
#define TW_CMD_SHARD_PAGE_H

#include "ps/wire/status.h"

typedef struct shard_page shard_page;

/* Answers from here on; before the first status that nothing is known. */
TW_MUST_USE tw_status shard_page_start(const char *address, shard_page **out, tw_error *error);
const char *shard_page_address(const shard_page *self);
/* Shows this from now on. Any thread. */
void shard_page_show(shard_page *self, const tw_shard_status *status);
void shard_page_stop(shard_page **self); /* NULL-safe */

#endif
