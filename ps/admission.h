/* admission.h: tables with tw_keep over the wire: what a shard says of the keys of a pull, what a worker says in its
 * push that it did with them, and which row each entry of a batch has meanwhile. By the same rule as a local table.
 *
 * PULLED ends with u32 left, u32 seen of every key (tw_sight), then the shard's clock u64. PUSH ends with a touch u64
 * of every key: first event (bits 0 to 23), last event (24 to 47), touches without a row (48 to 62), whether it has a
 * row now (63); behind them, in the last part, u64: the ticks of the batch. */
#ifndef TW_PS_ADMISSION_H
#define TW_PS_ADMISSION_H

#include "ps/flight.h"
#include "store/table.h"

enum { TW_SIGHT_SIZE = 8, TW_TOUCH_SIZE = 8, TW_TICKS_SIZE = 8, TW_TOUCH_EVENTS = 1 << 24 };

/* Bytes behind the records of a pull's answer, and of a push's part. */
static inline size_t tw_sights_size(const tw_table_spec *spec, uint32_t n_keys)
{
    return tw_keep_is_on(spec) ? (size_t)n_keys * TW_SIGHT_SIZE + 8 : 0;
}
static inline size_t tw_touches_size(const tw_table_spec *spec, uint32_t n_keys, bool is_last)
{
    return tw_keep_is_on(spec) ? (size_t)n_keys * TW_TOUCH_SIZE + (is_last ? TW_TICKS_SIZE : 0) : 0;
}

/* Shard: `at` has tw_sights_size bytes. */
void tw_sights_write(const tw_table *table, const uint64_t *key, uint32_t n, tw_sight *scratch, unsigned char *at);
void tw_touches_read(tw_key_touch *touch, uint32_t n, const unsigned char *at);
void tw_touches_write(const tw_key_touch *touch, uint32_t n, unsigned char *at);

/* Worker. `load` and `store` as tw_flight_load and tw_flight_store, for what follows the records. */
TW_MUST_USE tw_status tw_admission_plan(
    tw_flight *self, const tw_partition *partition, const tw_batch *batch, tw_error *error);
void tw_admission_fini(tw_flight *self);
void tw_admission_load(tw_flight *self, uint32_t shard, const tw_flight_chunk *chunk, const unsigned char *at);
void tw_admission_store(const tw_flight *self, const tw_flight_chunk *chunk, bool is_last, unsigned char *at);
/* Gives every entry of the batch, acquired for writing, its row: once all is pulled. */
void tw_admission_resolve(tw_flight *self, const tw_partition *partition, const tw_batch *batch);

#endif
