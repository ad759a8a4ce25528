/* hash.h: XXH3-64 and a 64-bit mixer with its inverse. */
#ifndef TW_BASE_HASH_H
#define TW_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define TW_HASH_HAS_WORDS 1
#else
#define TW_HASH_HAS_WORDS 0
#endif

static inline uint64_t tw_hash_seeded(const void *bytes, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, size, seed);
}

/* tw_hash_seeded for many short texts with one seed: what depends on the seed alone is computed once, and 1 to 8 bytes
 * need no call. The steps are those of the XXH3 specification for 1 to 3 and for 4 to 8 bytes. */
typedef struct tw_hash_short {
    uint64_t seed, flip_1, flip_4;
} tw_hash_short;

static inline uint64_t tw_hash_secret_word(size_t at)
{
    uint64_t word;
    memcpy(&word, XXH3_kSecret + at, sizeof word);
    return word;
}

static inline tw_hash_short tw_hash_short_start(uint64_t seed)
{
    uint64_t first = tw_hash_secret_word(0), mixed = seed ^ (uint64_t)__builtin_bswap32((uint32_t)seed) << 32;
    return (tw_hash_short){
        .seed = seed,
        .flip_1 = ((uint32_t)first ^ first >> 32) + seed,
        .flip_4 = (tw_hash_secret_word(8) ^ tw_hash_secret_word(16)) - mixed,
    };
}

static inline __attribute__((always_inline)) uint64_t tw_hash_short_text(
    const tw_hash_short *self, const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    if (TW_HASH_HAS_WORDS && size - 4 <= 4) {
        uint32_t first, last;
        memcpy(&first, bytes, sizeof first);
        memcpy(&last, bytes + size - sizeof last, sizeof last);
        uint64_t h = ((uint64_t)first << 32 | last) ^ self->flip_4;
        h ^= (h << 49 | h >> 15) ^ (h << 24 | h >> 40);
        h *= 0x9fb21c651e98df25ull;
        h ^= (h >> 35) + size;
        h *= 0x9fb21c651e98df25ull;
        return h ^ h >> 28;
    }
    if (TW_HASH_HAS_WORDS && size - 1 <= 2) {
        uint32_t joined =
            (uint32_t)bytes[0] << 16 | (uint32_t)bytes[size / 2] << 24 | bytes[size - 1] | (uint32_t)size << 8;
        uint64_t h = joined ^ self->flip_1;
        h = (h ^ h >> 33) * 0xc2b2ae3d27d4eb4full;
        h = (h ^ h >> 29) * 0x165667b19e3779f9ull;
        return h ^ h >> 32;
    }
    return tw_hash_seeded(text, size, self->seed);
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
