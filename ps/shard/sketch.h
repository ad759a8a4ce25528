/* sketch.h: which rows of a shard are touched most, and how evenly its slots are. Every TW_SKETCH_GAP-th touch (at
 * random gaps, so that the order of keys in a push favours none) goes into a space-saving sketch (Metwally, Agrawal,
 * El Abbadi, ICDT 2005) and into a count by slot range. What it knows fades: at TW_SKETCH_WINDOW samples all is halved.
 * One thread. No clock: the same touches give the same sketch. */
#ifndef TW_PS_SKETCH_H
#define TW_PS_SKETCH_H

#include <stddef.h>
#include <stdint.h>

#include "ps/wire/status.h"

enum {
    TW_SKETCH_GAP = 1024, /* mean distance of samples: the sketch costs below 1 % of a shard's work */
    TW_SKETCH_COUNTERS = 128,
    TW_SKETCH_WINDOW = 1 << 15,
};

/* Start with tw_sketch_init. */
typedef struct tw_sketch {
    uint64_t n_touches; /* all, not only the sampled */
    uint64_t random;
    size_t until_next; /* touches until the next sample */
    uint32_t n_samples, n_counters;
    uint32_t first_slot, n_slots, n_ranges;
    uint32_t range[TW_SKETCH_RANGES];
    uint64_t key[TW_SKETCH_COUNTERS];
    uint32_t count[TW_SKETCH_COUNTERS], error[TW_SKETCH_COUNTERS];
    uint32_t floor, cursor; /* no count of a full sketch is below floor; where the search for one stands */
} tw_sketch;

void tw_sketch_init(tw_sketch *self, uint32_t first_slot, uint32_t last_slot);
void tw_sketch_touch(tw_sketch *self, const uint64_t *key, size_t n);

/* The keys that were sampled most for certain (count - error at least 2), in falling order; returns how many. */
uint32_t tw_sketch_top(const tw_sketch *self, tw_sketch_counter out[TW_SKETCH_SHOWN]);

#endif
