/* key_index.h: the distinct keys of bounded data, and the dense index of each in ascending order of keys. Memory: 12
 * bytes a slot, a quarter to half of the slots are used, and 16 bytes a key while they are sorted. One thread. */
#ifndef TW_ENGINE_KEY_INDEX_H
#define TW_ENGINE_KEY_INDEX_H

#include <stddef.h>

#include "thalweg/status.h"

/* Zeroed is empty. */
typedef struct tw_key_index {
    uint64_t *slot;  /* [capacity] keys, 0: free */
    uint32_t *index; /* [capacity] after tw_key_index_sort */
    uint64_t *key;   /* [count] ascending, after tw_key_index_sort */
    size_t capacity, count;
} tw_key_index;

void tw_key_index_fini(tw_key_index *self);

/* Keys are never 0. UNSUPPORTED: more than 2^32 - 2 distinct keys. */
TW_MUST_USE tw_status tw_key_index_add(tw_key_index *self, uint64_t key, tw_error *error);

/* Numbers the keys; nothing may be added any more. */
TW_MUST_USE tw_status tw_key_index_sort(tw_key_index *self, tw_error *error);

/* The number of a key that was added. */
uint32_t tw_key_index_of(const tw_key_index *self, uint64_t key);

#endif
