/* splits.h: how far each split of a run's sources has been learned and written to the sinks: what a checkpoint saves
 * and a resume starts from. Offsets here are *positions*: pass << 48 | byte offset, ascending over several passes of
 * one split. One thread per object. */
#ifndef TW_ENGINE_SPLITS_H
#define TW_ENGINE_SPLITS_H

#include <stddef.h>

#include "thalweg/source.h"

enum { TW_PASS_SHIFT = 48 };

static inline uint64_t tw_position(uint64_t pass, uint64_t offset)
{
    return pass << TW_PASS_SHIFT | offset;
}
static inline uint64_t tw_position_pass(uint64_t position)
{
    return position >> TW_PASS_SHIFT;
}
static inline uint64_t tw_position_offset(uint64_t position)
{
    return position & ((1ull << TW_PASS_SHIFT) - 1);
}

/* In order of consumption. A split's `offset` is a position; `line` belongs to it. */
typedef struct tw_splits {
    tw_split *split;
    size_t count, capacity;
} tw_splits;

void tw_splits_fini(tw_splits *self);

/* NULL if unknown. */
tw_split *tw_splits_find(const tw_splits *self, uint64_t id);

/* Adds `split`, or takes over name and identity of a known one. */
TW_MUST_USE tw_status tw_splits_put(tw_splits *self, const tw_split *split, tw_error *error);

TW_MUST_USE tw_status tw_splits_copy(tw_splits *self, const tw_split *split, size_t n, tw_error *error);

#endif
