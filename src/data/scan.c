#include "data/scan.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

void tw_scan_portable(const char *text, size_t size, const char *set, uint64_t *mask)
{
    bool is_member[256] = {false};
    for (int i = 0; i < TW_SCAN_MAX_BYTES; i++)
        is_member[(unsigned char)set[i]] = true;
    memset(mask, 0, TW_SCAN_WORDS * sizeof *mask);
    for (size_t i = 0; i < size; i++)
        mask[i / 64] |= (uint64_t)is_member[(unsigned char)text[i]] << (i % 64);
}

#if defined(__x86_64__)

/* The last part of a text is copied, so that no byte behind it is read. */
static void scan_copy_tail(const char *text, size_t size, const char *set, char *tail)
{
    memset(tail, (char)(set[0] + 1), 64);
    memcpy(tail, text, size);
}

static uint64_t scan_below(size_t size)
{
    return size >= 64 ? UINT64_MAX : (1ull << size) - 1;
}

static uint64_t scan_64_sse2(const char *text, const __m128i *set)
{
    uint64_t mask = 0;
    for (size_t part = 0; part < 4; part++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + part * 16)), hit = _mm_setzero_si128();
        for (int i = 0; i < TW_SCAN_MAX_BYTES; i++)
            hit = _mm_or_si128(hit, _mm_cmpeq_epi8(bytes, set[i]));
        mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(hit) << (part * 16);
    }
    return mask;
}

static void scan_sse2(const char *text, size_t size, const char *set, uint64_t *mask)
{
    __m128i wanted[TW_SCAN_MAX_BYTES];
    for (int i = 0; i < TW_SCAN_MAX_BYTES; i++)
        wanted[i] = _mm_set1_epi8(set[i]);
    size_t word = 0;
    for (; (word + 1) * 64 <= size; word++)
        mask[word] = scan_64_sse2(text + word * 64, wanted);
    if (word * 64 < size) {
        char tail[64];
        scan_copy_tail(text + word * 64, size - word * 64, set, tail);
        mask[word] = scan_64_sse2(tail, wanted) & scan_below(size - word * 64);
        word++;
    }
    memset(mask + word, 0, (TW_SCAN_WORDS - word) * sizeof *mask);
}

__attribute__((target("avx2"))) static uint64_t scan_64_avx2(const char *text, const __m256i *set)
{
    __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)text);
    __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(text + 32));
    __m256i low_hit = _mm256_setzero_si256(), high_hit = _mm256_setzero_si256();
    for (int i = 0; i < TW_SCAN_MAX_BYTES; i++) {
        low_hit = _mm256_or_si256(low_hit, _mm256_cmpeq_epi8(low, set[i]));
        high_hit = _mm256_or_si256(high_hit, _mm256_cmpeq_epi8(high, set[i]));
    }
    uint64_t upper = (uint32_t)_mm256_movemask_epi8(high_hit);
    return upper << 32 | (uint32_t)_mm256_movemask_epi8(low_hit);
}

__attribute__((target("avx2"))) static void scan_avx2(const char *text, size_t size, const char *set, uint64_t *mask)
{
    __m256i wanted[TW_SCAN_MAX_BYTES];
    for (int i = 0; i < TW_SCAN_MAX_BYTES; i++)
        wanted[i] = _mm256_set1_epi8(set[i]);
    size_t word = 0;
    for (; (word + 1) * 64 <= size; word++)
        mask[word] = scan_64_avx2(text + word * 64, wanted);
    if (word * 64 < size) {
        char tail[64];
        scan_copy_tail(text + word * 64, size - word * 64, set, tail);
        mask[word] = scan_64_avx2(tail, wanted) & scan_below(size - word * 64);
        word++;
    }
    memset(mask + word, 0, (TW_SCAN_WORDS - word) * sizeof *mask);
}

tw_scan_function tw_scan_choose(void)
{
    return __builtin_cpu_supports("avx2") ? scan_avx2 : scan_sse2;
}

const char *tw_scan_last(const char *text, const char *end, char byte)
{
    __m128i wanted = _mm_set1_epi8(byte);
    for (; end - text >= 16; end -= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(end - 16));
        unsigned hit = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, wanted));
        if (hit != 0)
            return end - 16 + (31 - __builtin_clz(hit));
    }
    while (end > text) {
        if (*--end == byte)
            return end;
    }
    return NULL;
}

#else

tw_scan_function tw_scan_choose(void)
{
    return tw_scan_portable;
}

const char *tw_scan_last(const char *text, const char *end, char byte)
{
    while (end > text) {
        if (*--end == byte)
            return end;
    }
    return NULL;
}

#endif

void tw_scanner_init(tw_scanner *self, const char *set)
{
    size_t count = strlen(set);
    for (size_t i = 0; i < TW_SCAN_MAX_BYTES; i++)
        self->set[i] = set[i < count ? i : 0];
    self->scan = tw_scan_choose();
}

static tw_scan_place scanner_load(tw_scanner *self)
{
    size_t left = (size_t)(self->end - self->block);
    self->scan(self->block, left < TW_SCAN_BLOCK ? left : TW_SCAN_BLOCK, self->set, self->mask);
    return (tw_scan_place){self->block, self->mask[0]};
}

void tw_scanner_start(tw_scanner *self, const char *text, const char *end)
{
    self->block = text;
    self->end = end;
    self->place = scanner_load(self);
}

tw_scan_place tw_scanner_refill(tw_scanner *self, tw_scan_place place)
{
    while (place.bits == 0) {
        size_t word = (size_t)(place.base - self->block) / 64 + 1;
        if (place.base == self->end) {
            place.bits = 1;
        } else if (word < TW_SCAN_WORDS && self->end - place.base > 64) {
            place = (tw_scan_place){place.base + 64, self->mask[word]};
        } else if (self->end - self->block > TW_SCAN_BLOCK) {
            self->block += TW_SCAN_BLOCK;
            place = scanner_load(self);
        } else {
            place = (tw_scan_place){self->end, 1};
        }
    }
    return place;
}
