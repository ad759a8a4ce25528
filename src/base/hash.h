/* hash.h: XXH3-64 and a 64-bit mixer with its inverse. */
#ifndef TW_BASE_HASH_H
#define TW_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint64_t tw_hash_seeded(const void *bytes, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, size, seed);
}

/* The same hash for a loop over short texts: up to 16 bytes without a call. */
static inline __attribute__((always_inline)) uint64_t tw_hash_seeded_short(const void *bytes, size_t size, uint64_t seed)
{
    if (size > 16)
        return tw_hash_seeded(bytes, size, seed);
    return XXH3_len_0to16_64b(bytes, size, XXH3_kSecret, seed);
}

static inline uint64_t tw_hash(const void *bytes, size_t size)
{
    return XXH3_64bits(bytes, size);
}

/* Stafford's mix 13 (the finaliser of splitmix64): bijective, tw_unmix64(tw_mix64(x)) == x. */
static inline uint64_t tw_mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static inline uint64_t tw_unmix64(uint64_t x)
{
    x = (x ^ (x >> 31) ^ (x >> 62)) * 0x319642b2d24d8ec3ull;
    x = (x ^ (x >> 27) ^ (x >> 54)) * 0x96de1b173f119089ull;
    return x ^ (x >> 30) ^ (x >> 60);
}

#endif
