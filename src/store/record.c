/* Initial values and merge rules of records. Formulas use only + - * / and sqrt, so that they give the same bits
 * everywhere. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "store/wire.h"

/* log of a finite x > 0: x = m 2^e with m in [sqrt(1/2), sqrt(2)), log m = 2 atanh((m - 1) / (m + 1)) as its series. */
static double record_log(double x)
{
    int exponent;
    double m = frexp(x, &exponent);
    if (m < 0.70710678118654752) {
        m *= 2;
        exponent--;
    }
    double s = (m - 1) / (m + 1);
    double square = s * s;
    double sum = 0;
    for (int k = 25; k >= 1; k -= 2)
        sum = sum * square + 1.0 / k;
    return 2 * s * sum + exponent * 0.69314718055994531;
}

/* uniform in (-1, 1), never an end point */
static double record_uniform(uint64_t bits)
{
    return ((double)(bits >> 11) + 0.5) * (2.0 / 9007199254740992.0) - 1.0;
}

/* The polar method of Marsaglia and Bray (SIAM Review 6, 1964) on a counter-based stream. */
static double record_normal(uint64_t key, uint64_t seed, uint64_t element)
{
    uint64_t stream =
        tw_mix64(key ^ tw_mix64(seed + 0x9e3779b97f4a7c15ull)) ^ tw_mix64(element + 0x632be59bd9b4e019ull);
    for (;;) {
        stream += 0x9e3779b97f4a7c15ull;
        double u = record_uniform(tw_mix64(stream));
        stream += 0x9e3779b97f4a7c15ull;
        double v = record_uniform(tw_mix64(stream));
        double square = u * u + v * v;
        if (square < 1 && square > 0)
            return u * sqrt(-2 * record_log(square) / square);
    }
}

static void element_put(tw_field_type type, double value, unsigned char *out)
{
    uint32_t u32;
    uint64_t u64;
    switch (type) {
    case TW_FIELD_F32: {
        float f32 = (float)value;
        memcpy(out, &f32, sizeof f32);
        break;
    }
    case TW_FIELD_U32:
        u32 = (uint32_t)value;
        memcpy(out, &u32, sizeof u32);
        break;
    case TW_FIELD_U64:
        u64 = (uint64_t)value;
        memcpy(out, &u64, sizeof u64);
        break;
    case TW_FIELD_F64:
        memcpy(out, &value, sizeof value);
        break;
    }
}

void tw_record_write_initial(const tw_record *record, uint64_t key, uint64_t seed, void *out)
{
    unsigned char *bytes = out;
    memset(bytes, 0, record->size);
    for (uint32_t i = 0; i < record->n_fields; i++) {
        const tw_field *field = &record->field[i];
        uint32_t size = tw_field_type_size(field->type);
        bool is_normal = field->init == TW_INIT_NORMAL;
        if (!is_normal && field->init_value == 0 && !signbit(field->init_value))
            continue;
        for (uint32_t j = 0; j < field->count; j++) {
            uint32_t offset = field->offset + j * size;
            double value = is_normal ? field->init_value * record_normal(key, seed, offset) : field->init_value;
            element_put(field->type, value, bytes + offset);
        }
    }
}

bool tw_record_has_constant_initial(const tw_record *record)
{
    for (uint32_t i = 0; i < record->n_fields; i++) {
        if (record->field[i].init != TW_INIT_CONSTANT)
            return false;
    }
    return true;
}

/* LAST takes `after` only from one who changed it: an untouched copy must not undo another's change. */
#define MERGE_FIELD(type, add)                                                                                         \
    static void merge_##type(                                                                                          \
        tw_merge merge, uint32_t n, unsigned char *into, const unsigned char *before, const unsigned char *after)      \
    {                                                                                                                  \
        for (size_t i = 0; i < n * sizeof(type); i += sizeof(type)) {                                                  \
            type a, b, c;                                                                                              \
            memcpy(&a, into + i, sizeof a);                                                                            \
            memcpy(&b, before + i, sizeof b);                                                                          \
            memcpy(&c, after + i, sizeof c);                                                                           \
            if (merge == TW_MERGE_ADD || merge == TW_MERGE_FADE)                                                       \
                a = add;                                                                                               \
            else if (merge == TW_MERGE_MAX || merge == TW_MERGE_TICK)                                                  \
                a = c > a ? c : a;                                                                                     \
            else if (merge == TW_MERGE_MIN)                                                                            \
                a = c < a ? c : a;                                                                                     \
            else if (memcmp(before + i, after + i, sizeof b) != 0)                                                     \
                a = c;                                                                                                 \
            memcpy(into + i, &a, sizeof a);                                                                            \
        }                                                                                                              \
    }

/* In double, so that merging into a row nobody else changed gives `after` to the bit. */
MERGE_FIELD(float, (float)((double)a + ((double)c - (double)b)))
MERGE_FIELD(double, a + (c - b))
MERGE_FIELD(uint32_t, a + (c - b))
MERGE_FIELD(uint64_t, a + (c - b))

/* 2^-((to - from) / TW_TICKS_PER_HALF_LIFE): the root of 1/2 is drawn for each bit of the fraction. */
static double record_kept(uint64_t from, uint64_t to)
{
    uint64_t ticks = from != 0 && to > from ? to - from : 0;
    uint64_t whole = ticks >> TW_TICK_BITS;
    double kept = 1.0, root = 0.5;
    for (int bit = TW_TICK_BITS - 1; bit >= 0; bit--) {
        root = sqrt(root);
        if (ticks >> bit & 1)
            kept *= root;
    }
    return whole < 1100 ? ldexp(kept, -(int)whole) : 0.0;
}

/* How much is left of a record's old value, of `before`, and of the change, at the tick each is brought to. */
typedef struct record_fading {
    double into, before, change;
} record_fading;

static record_fading record_fade(
    const tw_field *tick, const unsigned char *into, const unsigned char *before, const unsigned char *after)
{
    uint64_t a, b, c;
    memcpy(&a, into + tick->offset, sizeof a);
    memcpy(&b, before + tick->offset, sizeof b);
    memcpy(&c, after + tick->offset, sizeof c);
    return (record_fading){record_kept(a, c), record_kept(b, c), record_kept(c, a)};
}

static double float_get(tw_field_type type, const unsigned char *bytes)
{
    float f32;
    double f64;
    if (type == TW_FIELD_F32) {
        memcpy(&f32, bytes, sizeof f32);
        return (double)f32;
    }
    memcpy(&f64, bytes, sizeof f64);
    return f64;
}

static void merge_faded(const tw_field *field,
    const record_fading *fading,
    unsigned char *into,
    const unsigned char *before,
    const unsigned char *after)
{
    uint32_t size = tw_field_type_size(field->type);
    for (uint32_t i = 0, at = field->offset; i < field->count; i++, at += size) {
        double change = float_get(field->type, after + at) - float_get(field->type, before + at) * fading->before;
        double value = float_get(field->type, into + at) * fading->into + change * fading->change;
        element_put(field->type, value, into + at);
    }
}

static const tw_field *record_tick(const tw_record *record)
{
    const tw_field *tick = NULL;
    bool has_fading = false;
    for (uint32_t i = 0; i < record->n_fields; i++) {
        tick = record->field[i].merge == TW_MERGE_TICK ? &record->field[i] : tick;
        has_fading |= record->field[i].merge == TW_MERGE_FADE;
    }
    return has_fading ? tick : NULL;
}

void tw_record_merge(const tw_record *record, void *into, const void *before, const void *after)
{
    const tw_field *tick = record_tick(record);
    record_fading fading = {0};
    if (tick != NULL)
        fading = record_fade(tick, into, before, after);
    for (uint32_t i = 0; i < record->n_fields; i++) {
        const tw_field *field = &record->field[i];
        if (tick != NULL && field->merge == TW_MERGE_FADE) {
            merge_faded(field, &fading, into, before, after);
            continue;
        }
        unsigned char *a = (unsigned char *)into + field->offset;
        const unsigned char *b = (const unsigned char *)before + field->offset;
        const unsigned char *c = (const unsigned char *)after + field->offset;
        switch (field->type) {
        case TW_FIELD_F32:
            merge_float(field->merge, field->count, a, b, c);
            break;
        case TW_FIELD_U32:
            merge_uint32_t(field->merge, field->count, a, b, c);
            break;
        case TW_FIELD_U64:
            merge_uint64_t(field->merge, field->count, a, b, c);
            break;
        case TW_FIELD_F64:
            merge_double(field->merge, field->count, a, b, c);
            break;
        }
    }
}

uint64_t tw_block_key(const char *name, uint32_t index)
{
    uint64_t key = tw_hash_seeded(name, strlen(name), tw_mix64((uint64_t)index + 1));
    return key == 0 ? 1 : key;
}
