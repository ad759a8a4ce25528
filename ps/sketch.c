#include "ps/sketch.h"

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
}

/* A key without a counter takes over the smallest one, and with it the doubt how much of that count is its own. */
static void sample(tw_sketch *self, uint64_t key)
{
    uint32_t at = 0, least = 0;
    uint32_t range = (tw_key_slot(key) - self->first_slot) * self->n_ranges / self->n_slots;
    self->range[range]++;
    self->n_samples++;
    while (at < self->n_counters && self->key[at] != key)
        at++;
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
    for (uint32_t i = 1; i < TW_SKETCH_COUNTERS; i++)
        least = self->count[i] < self->count[least] ? i : least;
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
