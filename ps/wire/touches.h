/* touches.h: what travels where keys come and go (tables with tw_keep): what a shard says of the keys of a pull, and
 * what a worker did with them before its push.
 *
 * PULLED ends with u32 left, u32 seen of every key (tw_sight), then the shard's clock u64. PUSH ends with a touch u64
 * of every key: first event (bits 0 to 23), last event (24 to 47), touches without a row (48 to 62), whether it has a
 * row now (63); behind them, in the last part, u64: the ticks of the batch. */
#ifndef TW_PS_TOUCHES_H
#define TW_PS_TOUCHES_H

#include "ps/wire/frame.h"
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

/* What the table knows of keys [n], in tw_sights_size bytes; scratch [n]. */
void tw_sights_write(const tw_table *table, const uint64_t *key, uint32_t n, tw_sight *scratch, unsigned char *at);
/* [n] without the ticks. */
void tw_touches_read(tw_key_touch *touch, uint32_t n, const unsigned char *at);
void tw_touches_write(const tw_key_touch *touch, uint32_t n, unsigned char *at);

#endif
