/* key.h: canonical feature keys. See plan.h for the rules. */
#ifndef TW_DATA_KEY_H
#define TW_DATA_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

enum { TW_SLOT_BITS = 12, TW_N_SLOTS = 1 << TW_SLOT_BITS };

static inline uint64_t tw_key_nonzero(uint64_t key)
{
    return key ? key : 1;
}

/* Bijective for a fixed seed, but for the one number that would give 0. */
static inline uint64_t tw_key_of_index(uint64_t seed, uint64_t index)
{
    return tw_key_nonzero(tw_mix64(index ^ tw_mix64(seed ^ 0x9e3779b97f4a7c15ull)));
}

static inline uint64_t tw_key_to_index(uint64_t seed, uint64_t key)
{
    return tw_unmix64(key) ^ tw_mix64(seed ^ 0x9e3779b97f4a7c15ull);
}

/* Seed of a field's texts: hash once per field. */
static inline uint64_t tw_key_field_seed(uint64_t seed, const char *field, size_t size)
{
    return tw_hash_seeded(field, size, seed ^ 0x517cc1b727220a95ull);
}

static inline uint64_t tw_key_of_text(uint64_t field_seed, const char *text, size_t size)
{
    return tw_key_nonzero(tw_hash_seeded(text, size, field_seed));
}

/* Order matters: cross(a, b) != cross(b, a). Associative use: cross(cross(a, b), c). */
static inline uint64_t tw_key_cross(uint64_t a, uint64_t b)
{
    return tw_key_nonzero(tw_mix64((a << 23 | a >> 41) + 0x2545f4914f6cdd1dull * b));
}

/* An all-digit name without superfluous zeros that fits u64 names an index. */
bool tw_key_parse_index(const char *text, size_t size, uint64_t *index);

static inline uint32_t tw_key_slot(uint64_t key)
{
    return (uint32_t)(key >> (64 - TW_SLOT_BITS));
}

#endif
