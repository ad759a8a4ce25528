/* admission.h: tables with tw_keep on the worker: which row each entry of a batch has, by the same rule as a local
 * table, from what the shards said of its keys; and what it did with them, for its push (ps/wire/touches.h). Private to
 * the client. */
#ifndef TW_PS_ADMISSION_H
#define TW_PS_ADMISSION_H

#include "ps/wire/touches.h"
#include "ps/worker/flight.h"

/* Buffers for the batch that was planned. `load` and `store` as tw_flight_load and tw_flight_store, for what follows
 * the records. */
TW_MUST_USE tw_status tw_admission_plan(
    tw_flight *self, const tw_partition *partition, const tw_batch *batch, tw_error *error);
void tw_admission_fini(tw_flight *self);
void tw_admission_load(tw_flight *self, uint32_t shard, const tw_flight_chunk *chunk, const unsigned char *at);
void tw_admission_store(const tw_flight *self, const tw_flight_chunk *chunk, bool is_last, unsigned char *at);
/* Gives every entry of the batch, acquired for writing, its row: once all is pulled. */
void tw_admission_resolve(tw_flight *self, const tw_partition *partition, const tw_batch *batch);

#endif
