/* wire.h: little-endian integers into and out of byte strings, for schemas, row files and manifests. */
#ifndef TW_STORE_WIRE_H
#define TW_STORE_WIRE_H

#include <stddef.h>
#include <string.h>

#include "thalweg/schema.h"

/* bytes NULL: only counts. The caller gives room enough. */
typedef struct tw_wire_out {
    unsigned char *bytes;
    size_t size;
} tw_wire_out;

/* Reading past the end gives zeros and sets is_short; check it once, at the end. */
typedef struct tw_wire_in {
    const unsigned char *bytes;
    size_t size, at;
    bool is_short;
} tw_wire_in;

/* Bytes of one element. */
uint32_t tw_field_type_size(tw_field_type type);

static inline void tw_wire_put(tw_wire_out *out, uint64_t value, unsigned n_bytes)
{
    for (unsigned i = 0; out->bytes != NULL && i < n_bytes; i++)
        out->bytes[out->size + i] = (unsigned char)(value >> (8 * i));
    out->size += n_bytes;
}

static inline void tw_wire_put_bytes(tw_wire_out *out, const void *bytes, size_t size)
{
    if (out->bytes != NULL && size > 0)
        memcpy(out->bytes + out->size, bytes, size);
    out->size += size;
}

/* NULL when fewer than `size` bytes are left. */
static inline const unsigned char *tw_wire_get_bytes(tw_wire_in *in, size_t size)
{
    if (in->is_short || size > in->size - in->at) {
        in->is_short = true;
        return NULL;
    }
    const unsigned char *bytes = in->bytes + in->at;
    in->at += size;
    return bytes;
}

static inline void tw_wire_put_u64(unsigned char *bytes, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
}

static inline uint64_t tw_wire_u64(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static inline uint32_t tw_wire_u32(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline uint64_t tw_wire_get(tw_wire_in *in, unsigned n_bytes)
{
    const unsigned char *bytes = tw_wire_get_bytes(in, n_bytes);
    uint64_t value = 0;
    for (unsigned i = 0; bytes != NULL && i < n_bytes; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

#endif
