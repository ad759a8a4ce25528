#include "engine/key_index.h"

#include <string.h>

#include "base/alloc.h"

enum { FIRST_CAPACITY = 1 << 12, RADIX = 256 };

void tw_key_index_fini(tw_key_index *self)
{
    tw_free(self->slot);
    tw_free(self->index);
    tw_free(self->key);
    *self = (tw_key_index){0};
}

/* Keys of hashed tables differ in their top bits only. */
static size_t place_of(const uint64_t *slot, size_t capacity, uint64_t key)
{
    size_t at = (size_t)((key ^ key >> 32) * 0x9e3779b97f4a7c15ull >> 20) & (capacity - 1);
    while (slot[at] != 0 && slot[at] != key)
        at = (at + 1) & (capacity - 1);
    return at;
}

static tw_status key_index_grow(tw_key_index *self, tw_error *error)
{
    size_t capacity = self->capacity == 0 ? FIRST_CAPACITY : 2 * self->capacity;
    uint64_t *slot = tw_alloc_zero(capacity * sizeof *slot);
    if (slot == NULL)
        return tw_no_memory(error, capacity * sizeof *slot);
    for (size_t i = 0; i < self->capacity; i++) {
        if (self->slot[i] != 0)
            slot[place_of(slot, capacity, self->slot[i])] = self->slot[i];
    }
    tw_free(self->slot);
    self->slot = slot;
    self->capacity = capacity;
    return TW_STATUS_OK;
}

tw_status tw_key_index_add(tw_key_index *self, uint64_t key, tw_error *error)
{
    if (2 * self->count >= self->capacity) {
        tw_status status = key_index_grow(self, error);
        if (status < 0)
            return status;
    }
    size_t at = place_of(self->slot, self->capacity, key);
    if (self->slot[at] == key)
        return TW_STATUS_OK;
    if (self->count >= UINT32_MAX - 1)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED, "more than %u distinct features: too many for a batch solver",
            UINT32_MAX - 1);
    self->slot[at] = key;
    self->count++;
    return TW_STATUS_OK;
}

/* Least significant byte first; eight passes end where they began. */
static void sort_keys(uint64_t *key, uint64_t *other, size_t n)
{
    for (uint32_t shift = 0; shift < 64; shift += 8) {
        size_t start[RADIX + 1] = {0};
        for (size_t i = 0; i < n; i++)
            start[(key[i] >> shift & (RADIX - 1)) + 1]++;
        for (size_t d = 0; d < RADIX; d++)
            start[d + 1] += start[d];
        for (size_t i = 0; i < n; i++)
            other[start[key[i] >> shift & (RADIX - 1)]++] = key[i];
        uint64_t *sorted = other;
        other = key;
        key = sorted;
    }
}

tw_status tw_key_index_sort(tw_key_index *self, tw_error *error)
{
    size_t room = self->count + 1;
    uint64_t *other = tw_alloc(room * sizeof *other);
    self->key = tw_alloc(room * sizeof *self->key);
    self->index = tw_alloc((self->capacity + 1) * sizeof *self->index);
    if (other == NULL || self->key == NULL || self->index == NULL) {
        tw_free(other);
        return tw_no_memory(error, room * sizeof *other);
    }
    size_t n = 0;
    for (size_t i = 0; i < self->capacity; i++) {
        if (self->slot[i] != 0)
            self->key[n++] = self->slot[i];
    }
    sort_keys(self->key, other, n);
    tw_free(other);
    for (size_t i = 0; i < n; i++)
        self->index[place_of(self->slot, self->capacity, self->key[i])] = (uint32_t)i;
    return TW_STATUS_OK;
}

uint32_t tw_key_index_of(const tw_key_index *self, uint64_t key)
{
    return self->index[place_of(self->slot, self->capacity, key)];
}
