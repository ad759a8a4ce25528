#include "ps/shard/sketch.h"

#include <string.h>

#include "data/key.h"

static size_t next_gap(tw_sketch *self)
{
    self->random = tw_mix64(self->random + 1);
    return 1 + (size_t)(self->random % (2 * TW_SKETCH_GAP - 1));
}

void tw_sketch_init(tw_sketch *self, uint32_t first_slot, uint32_t last_slot)
{
    memset(self, 0, sizeof *self);
    self->first_slot = first_slot;
    self->n_slots = last_slot - first_slot + 1;
    self->n_ranges = self->n_slots < TW_SKETCH_RANGES ? self->n_slots : TW_SKETCH_RANGES;
    self->random = first_slot;
    self->until_next = next_gap(self) - 1;
}

static void halve(tw_sketch *self)
{
    uint32_t n_kept = 0;
    self->n_samples = 0;
    for (uint32_t i = 0; i < self->n_ranges; i++) {
        self->range[i] /= 2;
        self->n_samples += self->range[i];
    }
    for (uint32_t i = 0; i < self->n_counters; i++) {
        if (self->count[i] < 2)
            continue;
        self->key[n_kept] = self->key[i];
        self->count[n_kept] = self->count[i] / 2;
        self->error[n_kept++] = self->error[i] / 2;
    }
    self->n_counters = n_kept;
    self->floor = 0;
}

/* The key's counter, or n_counters. A block is compared as a whole: most keys have no counter. */
static uint32_t counter_find(const tw_sketch *self, uint64_t key)
{
    enum { BLOCK = 16 };
    uint32_t at = 0;
    for (; at + BLOCK <= self->n_counters; at += BLOCK) {
        bool is_here = false;
        for (uint32_t i = 0; i < BLOCK; i++)
            is_here |= self->key[at + i] == key;
        if (is_here)
            break;
    }
    while (at < self->n_counters && self->key[at] != key)
        at++;
    return at;
}

/* One of the smallest counters of a full sketch. Counts only grow between halvings: the search goes on where it stood.
 */
static uint32_t counter_least(tw_sketch *self)
{
    for (;;) {
        for (uint32_t n = 0; n < TW_SKETCH_COUNTERS; n++) {
            uint32_t at = self->cursor;
            self->cursor = (at + 1) % TW_SKETCH_COUNTERS;
            if (self->count[at] <= self->floor)
                return at;
        }
        self->floor = UINT32_MAX;
        for (uint32_t i = 0; i < TW_SKETCH_COUNTERS; i++)
            self->floor = self->count[i] < self->floor ? self->count[i] : self->floor;
    }
}

/* A key without a counter takes over the smallest one, and with it the doubt how much of that count is its own. */
static void sample(tw_sketch *self, uint64_t key)
{
    uint32_t at = counter_find(self, key);
    uint32_t range = (tw_key_slot(key) - self->first_slot) * self->n_ranges / self->n_slots;
    self->range[range]++;
    self->n_samples++;
    if (at < self->n_counters) {
        self->count[at]++;
        return;
    }
    if (self->n_counters < TW_SKETCH_COUNTERS) {
        self->key[at] = key;
        self->count[at] = 1;
        self->error[at] = 0;
        self->n_counters++;
        return;
    }
    uint32_t least = counter_least(self);
    self->key[least] = key;
    self->error[least] = self->count[least]++;
}

void tw_sketch_touch(tw_sketch *self, const uint64_t *key, size_t n)
{
    size_t at = self->until_next;
    self->n_touches += n;
    for (; at < n; at += next_gap(self)) {
        sample(self, key[at]);
        if (self->n_samples >= TW_SKETCH_WINDOW)
            halve(self);
    }
    self->until_next = at - n;
}

uint32_t tw_sketch_top(const tw_sketch *self, tw_sketch_counter out[TW_SKETCH_SHOWN])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < self->n_counters; i++) {
        tw_sketch_counter one = {self->key[i], self->count[i], self->error[i]};
        uint32_t sure = one.count - one.error, at = n < TW_SKETCH_SHOWN ? n : TW_SKETCH_SHOWN;
        if (sure < 2)
            continue;
        while (at > 0 && sure > out[at - 1].count - out[at - 1].error) {
            if (at < TW_SKETCH_SHOWN)
                out[at] = out[at - 1];
            at--;
        }
        if (at == TW_SKETCH_SHOWN)
            continue;
        out[at] = one;
        n += n < TW_SKETCH_SHOWN;
    }
    return n;
}
