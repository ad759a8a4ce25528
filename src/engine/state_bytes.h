/* state_bytes.h: evaluation state as bytes for a checkpoint: 64-bit little-endian words and whole structs of such
 * words, one behind the other. Written with tw_text_append. One thread per object. */
#ifndef TW_ENGINE_STATE_BYTES_H
#define TW_ENGINE_STATE_BYTES_H

#include <string.h>

#include "base/text.h"

typedef struct tw_state_reader {
    const char *at;
    size_t left;
    bool is_bad; /* something was asked for that is not there, or that cannot be */
} tw_state_reader;

static inline TW_MUST_USE tw_status tw_state_put(tw_text *out, const void *bytes, size_t size, tw_error *error)
{
    return tw_text_append(out, bytes, size, error);
}

static inline TW_MUST_USE tw_status tw_state_put_u64(tw_text *out, uint64_t value, tw_error *error)
{
    return tw_text_append(out, (const char *)&value, sizeof value, error);
}

/* Zeroes `bytes` where the state is too short. */
static inline void tw_state_take(tw_state_reader *self, void *bytes, size_t size)
{
    if (size > self->left) {
        self->is_bad = true;
        memset(bytes, 0, size);
        return;
    }
    memcpy(bytes, self->at, size);
    self->at += size;
    self->left -= size;
}

static inline uint64_t tw_state_take_u64(tw_state_reader *self)
{
    uint64_t value = 0;
    tw_state_take(self, &value, sizeof value);
    return value;
}

/* A count of things of `size` bytes each, which must all still follow; otherwise bad and 0. */
static inline uint64_t tw_state_take_count(tw_state_reader *self, size_t size)
{
    uint64_t count = tw_state_take_u64(self);
    if (count > self->left / size) {
        self->is_bad = true;
        return 0;
    }
    return count;
}

#endif
