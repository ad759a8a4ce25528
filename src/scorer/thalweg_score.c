/* The bits of `predict` rest on IEEE single and double operations in a fixed order: nothing may be fused, reordered or
 * kept in wider registers. */
#include "thalweg_score.h"

#include <float.h>
#include <string.h>

#if defined(__FAST_MATH__)
#error "thalweg_score.c: -ffast-math changes results; compile this file without it"
#endif
#if FLT_EVAL_METHOD != 0
#error "thalweg_score.c: float and double must be evaluated as such (on 32-bit x86: -msse2 -mfpmath=sse)"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

/* --- numbers as bytes, little end first --------------------------------------------------------------------------- */

static uint32_t get_32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t get_64(const unsigned char *at)
{
    return (uint64_t)get_32(at) | (uint64_t)get_32(at + 4) << 32;
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double get_double(const unsigned char *at)
{
    return double_of(get_64(at));
}

static float get_float(const unsigned char *at)
{
    uint32_t bits = get_32(at);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int is_finite(double value)
{
    return value >= -DBL_MAX && value <= DBL_MAX;
}

static int is_finite_single(double value)
{
    float single = (float)value;
    return single >= -FLT_MAX && single <= FLT_MAX;
}

/* --- XXH3-64 ------------------------------------------------------------------------------------------------------ */

static const unsigned char secret[192] = {0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7,
    0x21, 0xad, 0x1c, 0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46,
    0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3,
    0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38,
    0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8, 0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7,
    0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73,
    0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb, 0x17, 0x0d,
    0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16, 0xbe, 0x58, 0x7d,
    0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28,
    0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e};

#define P32_1 0x9e3779b1u
#define P32_2 0x85ebca77u
#define P32_3 0xc2b2ae3du
#define P64_1 UINT64_C(0x9e3779b185ebca87)
#define P64_2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define P64_3 UINT64_C(0x165667b19e3779f9)
#define P64_4 UINT64_C(0x85ebca77c2b2ae63)
#define P64_5 UINT64_C(0x27d4eb2f165667c5)
#define MIX_1 UINT64_C(0x165667919e3779f9)
#define MIX_2 UINT64_C(0x9fb21c651e98df25)

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static uint64_t swap_bytes(uint64_t x)
{
    x = (x & UINT64_C(0x00ff00ff00ff00ff)) << 8 | (x >> 8 & UINT64_C(0x00ff00ff00ff00ff));
    x = (x & UINT64_C(0x0000ffff0000ffff)) << 16 | (x >> 16 & UINT64_C(0x0000ffff0000ffff));
    return x << 32 | x >> 32;
}

/* High and low half of the product, xored. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (middle & 0xffffffffu);
    return (a1 * b1 + (middle >> 32) + (other >> 32)) ^ (other << 32 | (low & 0xffffffffu));
}

static uint64_t avalanche(uint64_t h)
{
    h = (h ^ h >> 37) * MIX_1;
    return h ^ h >> 32;
}

static uint64_t avalanche_short(uint64_t h)
{
    h = (h ^ h >> 33) * P64_2;
    h = (h ^ h >> 29) * P64_3;
    return h ^ h >> 32;
}

static uint64_t mix_16(const unsigned char *at, const unsigned char *by, uint64_t seed)
{
    return fold(get_64(at) ^ (get_64(by) + seed), get_64(at + 8) ^ (get_64(by + 8) - seed));
}

static uint64_t hash_to_16(const unsigned char *at, size_t size, uint64_t seed)
{
    uint64_t low, high, h;
    if (size > 8) {
        low = get_64(at) ^ ((get_64(secret + 24) ^ get_64(secret + 32)) + seed);
        high = get_64(at + size - 8) ^ ((get_64(secret + 40) ^ get_64(secret + 48)) - seed);
        return avalanche(size + swap_bytes(low) + high + fold(low, high));
    }
    if (size >= 4) {
        seed ^= swap_bytes(seed & 0xffffffffu);
        h = (get_32(at + size - 4) | (uint64_t)get_32(at) << 32) ^ ((get_64(secret + 8) ^ get_64(secret + 16)) - seed);
        h ^= rotate(h, 49) ^ rotate(h, 24);
        h *= MIX_2;
        h = (h ^ ((h >> 35) + size)) * MIX_2;
        return h ^ h >> 28;
    }
    if (size == 0)
        return avalanche_short(seed ^ (get_64(secret + 56) ^ get_64(secret + 64)));
    h = (uint64_t)at[0] << 16 | (uint64_t)at[size / 2] << 24 | at[size - 1] | (uint64_t)size << 8;
    return avalanche_short(h ^ ((get_32(secret) ^ get_32(secret + 4)) + seed));
}

static uint64_t hash_to_240(const unsigned char *at, size_t size, uint64_t seed)
{
    uint64_t h = size * P64_1;
    size_t i;
    if (size <= 128) {
        for (i = (size - 1) / 32 + 1; i-- > 0;)
            h += mix_16(at + 16 * i, secret + 32 * i, seed) +
                 mix_16(at + size - 16 * (i + 1), secret + 32 * i + 16, seed);
        return avalanche(h);
    }
    for (i = 0; i < 8; i++)
        h += mix_16(at + 16 * i, secret + 16 * i, seed);
    h = avalanche(h);
    for (i = 8; i < size / 16; i++)
        h += mix_16(at + 16 * i, secret + 16 * (i - 8) + 3, seed);
    return avalanche(h + mix_16(at + size - 16, secret + 136 - 17, seed));
}

static void take_stripe(uint64_t *sum, const unsigned char *at, const unsigned char *by)
{
    for (size_t i = 0; i < 8; i++) {
        uint64_t word = get_64(at + 8 * i), key = word ^ get_64(by + 8 * i);
        sum[i ^ 1] += word;
        sum[i] += (key & 0xffffffffu) * (key >> 32);
    }
}

static uint64_t hash_long(const unsigned char *at, size_t size, uint64_t seed)
{
    uint64_t sum[8] = {P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1}, h = size * P64_1;
    unsigned char own[192];
    size_t n_stripes = (size - 1) / 64, i;
    for (i = 0; i < 24; i++) {
        uint64_t word = i % 2 == 0 ? get_64(secret + 8 * i) + seed : get_64(secret + 8 * i) - seed;
        for (int b = 0; b < 8; b++)
            own[8 * i + (size_t)b] = (unsigned char)(word >> 8 * b);
    }
    for (i = 0; i < n_stripes; i++) {
        take_stripe(sum, at + 64 * i, own + 8 * (i % 16));
        for (size_t j = 0; j < 8 && i % 16 == 15; j++)
            sum[j] = (sum[j] ^ sum[j] >> 47 ^ get_64(own + 128 + 8 * j)) * P32_1;
    }
    take_stripe(sum, at + size - 64, own + 121);
    for (i = 0; i < 4; i++)
        h += fold(sum[2 * i] ^ get_64(own + 11 + 16 * i), sum[2 * i + 1] ^ get_64(own + 19 + 16 * i));
    return avalanche(h);
}

uint64_t tws_hash(const void *bytes, size_t size, uint64_t seed)
{
    if (size <= 16)
        return hash_to_16(bytes, size, seed);
    return size <= 240 ? hash_to_240(bytes, size, seed) : hash_long(bytes, size, seed);
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static uint64_t mix_64(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t nonzero(uint64_t key)
{
    return key != 0 ? key : 1;
}

static uint64_t key_of_text(uint64_t seed, const char *text, size_t size)
{
    return nonzero(tws_hash(text, size, seed));
}

static uint64_t key_of_cross(uint64_t a, uint64_t b)
{
    return nonzero(mix_64(rotate(a, 23) + UINT64_C(0x2545f4914f6cdd1d) * b));
}

/* The seed of the texts of a field: hash of its name with the terminating 0. Names are at most TWS_NAME_MAX long. */
static uint64_t seed_of_field(uint64_t seed, const char *name, size_t size)
{
    char terminated[TWS_NAME_MAX + 1];
    memcpy(terminated, name, size);
    terminated[size] = '\0';
    return tws_hash(terminated, size + 1, seed ^ UINT64_C(0x517cc1b727220a95));
}

/* A whole number without superfluous zeros that fits 64 bits. */
static int parse_index(const char *text, size_t size, uint64_t *index)
{
    uint64_t value = 0;
    if (size == 0 || size > 20 || (text[0] == '0' && size > 1))
        return 0;
    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return 0;
        value = value * 10 + digit;
    }
    *index = value;
    return 1;
}

/* Of a feature of the empty name space. */
static uint64_t key_of_name(uint64_t seed, const char *name, size_t size)
{
    uint64_t index;
    if (parse_index(name, size, &index))
        return nonzero(mix_64(index ^ mix_64(seed ^ UINT64_C(0x9e3779b97f4a7c15))));
    return key_of_text(seed_of_field(seed, "", 0), name, size);
}

/* --- functions ---------------------------------------------------------------------------------------------------- */

static double power_of_two(int k)
{
    return double_of((uint64_t)(k + 1023) << 52);
}

/* e^x; see src/math/function.h of the project for the series and its error. */
static double exponential(double x)
{
    if (!(x < 709.782712893384))
        return x == 709.782712893384 ? 1.7976931348622732e308 : x + DBL_MAX + DBL_MAX;
    if (x < -745.1332191019412)
        return 0.0;
    double count = x * 1.4426950408889634;
    int k = (int)(count + (count < 0.0 ? -0.5 : 0.5)), half = k / 2;
    double high = x - (double)k * 6.93147180369123816490e-01, low = (double)k * 1.90821492927058770002e-10;
    double r = high - low, rest = (high - r) - low;
    double r2 = r * r, r4 = r2 * r2, r8 = r4 * r4;
    double a = (1.0 / 2 + r * (1.0 / 6)) + r2 * (1.0 / 24 + r * (1.0 / 120));
    double b = (1.0 / 720 + r * (1.0 / 5040)) + r2 * (1.0 / 40320 + r * (1.0 / 362880));
    double c = (1.0 / 3628800 + r * (1.0 / 39916800)) + r2 * (1.0 / 479001600 + r * (1.0 / 6227020800.0));
    double e = 1.0 + (r + (rest + r2 * (a + r4 * b + r8 * c)));
    return e * power_of_two(half) * power_of_two(k - half);
}

/* log(1 + x) for x > -1; see src/data/number.c of the project. */
static double log_of_1_and(double x)
{
    double u = 1.0 + x;
    if (u == 1.0)
        return x;
    double lost = x >= 1.0 ? 1.0 - (u - x) : x - (u - 1.0), sum = 0.0;
    uint64_t bits;
    memcpy(&bits, &u, sizeof bits);
    int k = (int)(bits >> 52) - 1023;
    double m = double_of((bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x3ff0000000000000));
    if (m > 1.4142135623730951) {
        m *= 0.5;
        k++;
    }
    double s = (m - 1.0) / (m + 1.0), square = s * s;
    for (int i = 23; i >= 3; i -= 2)
        sum = (sum + 1.0 / i) * square;
    double tail = 2.0 * s * sum + lost / u + k * 1.9082149292705877e-10;
    return k * 0.6931471803691238 + (2.0 * s + tail);
}

static double link_of(uint32_t link, double score)
{
    if (link == TWS_LINK_LOGISTIC) {
        double e = exponential(score < 0.0 ? score : -score);
        return score < 0.0 ? e / (1.0 + e) : 1.0 / (1.0 + e);
    }
    if (link == TWS_LINK_EXP)
        return exponential(score < 80.0 ? score : 80.0);
    return score;
}

/* --- the file ----------------------------------------------------------------------------------------------------- */

enum { HEADER_SIZE = 128, COLUMN_SIZE = 64, CROSS_SIZE = 24 };

enum { NUMERIC, CATEGORICAL, SET, CONSTANT, IGNORED, AUTOMATIC, SPACE, N_KINDS };
enum { FLAG_LOG1P = 1, FLAG_SCALED = 2, FLAG_MISSING = 4 };

typedef struct column {
    const char *name;
    uint32_t name_size, index;
    int kind, flags;
    char separator;
    int32_t dense; /* column of the dense row; -1: none */
    double missing, n, sum, root;
    uint64_t key, seed;
} column;

static void get_column(const tws_model *self, uint32_t index, column *out)
{
    const unsigned char *at = self->column + (size_t)index * COLUMN_SIZE;
    out->name = (const char *)self->text + get_32(at);
    out->name_size = get_32(at + 4);
    out->index = index;
    out->kind = at[8];
    out->flags = at[9];
    out->separator = (char)at[10];
    out->dense = get_32(at + 12) == TWS_NO_COLUMN ? -1 : (int32_t)get_32(at + 12);
    out->missing = get_double(at + 16);
    out->key = get_64(at + 24);
    out->seed = get_64(at + 32);
    out->n = get_double(at + 40);
    out->sum = get_double(at + 48);
    out->root = get_double(at + 56);
}

static int text_is_inside(const tws_model *self, uint32_t offset, uint32_t size)
{
    return offset < self->text_size && size < self->text_size - offset && size <= TWS_NAME_MAX &&
           self->text[offset + size] == '\0';
}

static int column_is_good(const tws_model *self, uint32_t index)
{
    const unsigned char *at = self->column + (size_t)index * COLUMN_SIZE;
    column c;
    if (!text_is_inside(self, get_32(at), get_32(at + 4)) || at[8] >= N_KINDS || (at[9] & ~7) != 0 || at[11] != 0)
        return 0;
    get_column(self, index, &c);
    if (get_32(at + 12) != TWS_NO_COLUMN && (!self->is_dense || get_32(at + 12) >= self->width))
        return 0;
    return c.key == key_of_name(self->hash_seed, c.name, c.name_size) &&
           c.seed == seed_of_field(self->hash_seed, c.name, c.name_size) && is_finite(c.missing) && is_finite(c.n) &&
           is_finite(c.sum) && is_finite(c.root) && c.root >= 0.0;
}

static int compare_names(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

/* Named columns ascend by name. */
static int order_is_good(const tws_model *self)
{
    column before, c;
    for (uint32_t i = 0; i < self->n_order; i++) {
        if (get_32(self->order + 4 * (size_t)i) >= self->n_columns)
            return 0;
        get_column(self, get_32(self->order + 4 * (size_t)i), &c);
        if (i > 0 && compare_names(before.name, before.name_size, c.name, c.name_size) >= 0)
            return 0;
        before = c;
    }
    return 1;
}

static int plan_is_good(const tws_model *self)
{
    for (uint32_t i = 0; i < self->n_columns; i++) {
        if (!column_is_good(self, i))
            return 0;
    }
    for (uint32_t i = 0; i < self->n_crosses; i++) {
        const unsigned char *at = self->cross + (size_t)i * CROSS_SIZE;
        uint32_t n = get_32(at);
        if (n < 2 || n > TWS_MAX_CROSS_FIELDS)
            return 0;
        for (uint32_t f = 0; f < n; f++) {
            if (get_32(at + 4 + 4 * (size_t)f) >= self->n_columns)
                return 0;
        }
    }
    for (uint32_t i = 0; i < self->n_missing; i++) {
        if (!text_is_inside(self, get_32(self->missing + 8 * (size_t)i), get_32(self->missing + 8 * (size_t)i + 4)))
            return 0;
    }
    return order_is_good(self);
}

static int keys_are_good(const tws_model *self)
{
    for (uint64_t i = 1; i < self->n_weights; i++) {
        if (get_64(self->key + 8 * i) <= get_64(self->key + 8 * (i - 1)))
            return 0;
    }
    return 1;
}

static void get_header(tws_model *self, const unsigned char *at)
{
    self->is_automatic = (int)(get_32(at + 124) & 1);
    self->is_dense = (int)(get_32(at + 124) >> 1 & 1);
    self->hash_seed = get_64(at + 32);
    self->version = get_64(at + 40);
    self->events = get_64(at + 48);
    self->bias = get_double(at + 56);
    self->limit = get_double(at + 64);
    self->rule = get_32(at + 72);
    self->link = get_32(at + 76);
    self->bits = get_32(at + 80);
    self->weight_size = get_32(at + 84);
    self->n_weights = get_64(at + 88);
    self->n_columns = get_32(at + 96);
    self->n_crosses = get_32(at + 100);
    self->n_missing = get_32(at + 104);
    self->n_order = get_32(at + 108);
    self->text_size = get_32(at + 112);
    self->width = get_32(at + 116);
    self->n_centres = get_32(at + 120);
}

static int header_is_good(const tws_model *self)
{
    int is_sum = self->rule == TWS_RULE_LANES || self->rule == TWS_RULE_ORDERED;
    if (self->link > TWS_LINK_EXP || self->bits > 31 || self->n_columns == 0 || self->n_columns > TWS_MAX_COLUMNS ||
        self->n_order > self->n_columns || !is_finite(self->bias) || !is_finite(self->limit))
        return 0;
    if (is_sum)
        return (self->weight_size == 4 || self->weight_size == 8) && self->n_centres == 0;
    return self->rule == TWS_RULE_NEAREST && self->n_weights == 0 && self->is_dense && self->width > 0;
}

/* A section of n elements behind the one before; sections start at multiples of 8. */
static const unsigned char *section(const unsigned char **at, uint64_t *left, uint64_t n, uint64_t element_size)
{
    const unsigned char *start = *at;
    if (start == NULL || n > *left / element_size) {
        *at = NULL;
        return NULL;
    }
    uint64_t size = n * element_size, padded = size + (8 - size % 8) % 8;
    if (padded > *left) {
        *at = NULL;
        return NULL;
    }
    *at += padded;
    *left -= padded;
    return start;
}

int tws_open(tws_model *self, const void *bytes, size_t size)
{
    static const char magic[8] = {'T', 'H', 'A', 'L', 'W', 'S', 'C', 'O'};
    const unsigned char *start = bytes, *at = start + HEADER_SIZE;
    memset(self, 0, sizeof *self);
    if (size < HEADER_SIZE || memcmp(start, magic, sizeof magic) != 0)
        return TWS_DAMAGED;
    if (get_32(start + 8) != TWS_FORMAT)
        return TWS_VERSION;
    if (get_32(start + 12) != 0 || get_32(start + 124) > 3 || get_64(start + 16) != size ||
        get_64(start + 24) != tws_hash(start + 32, size - 32, 0))
        return TWS_DAMAGED;
    uint64_t left = size - HEADER_SIZE;
    get_header(self, start);
    if (!header_is_good(self))
        return TWS_DAMAGED;
    self->column = section(&at, &left, self->n_columns, COLUMN_SIZE);
    self->cross = section(&at, &left, self->n_crosses, CROSS_SIZE);
    self->missing = section(&at, &left, self->n_missing, 8);
    self->order = section(&at, &left, self->n_order, 4);
    self->text = section(&at, &left, self->text_size, 1);
    self->key = section(&at, &left, self->n_weights, 8);
    self->weight = section(&at, &left, self->n_weights, self->weight_size == 8 ? 8 : 4);
    self->centre = section(&at, &left, self->n_centres, 4 * (uint64_t)(self->width > 0 ? self->width : 1));
    if (at == NULL || left != 0 || !plan_is_good(self) || !keys_are_good(self))
        return TWS_DAMAGED;
    return TWS_OK;
}

const char *tws_message(int status)
{
    static const char *const words[] = {"no error", "the file is damaged", "the file is of a later version",
        "not enough room for the features of the event", "a value is not a finite number that fits 32 bits",
        "a field occurs twice in one event", "a feature has no column in the dense rows"};
    return status <= 0 && status >= TWS_COLUMN ? words[-status] : "unknown status";
}

/* --- decimal numbers ---------------------------------------------------------------------------------------------- */

enum { BIG_WORDS = 124, MAX_DIGITS = 800 };

typedef struct big {
    uint32_t word[BIG_WORDS]; /* little end first */
    int count;
} big;

static void big_multiply_add(big *self, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;
    for (int i = 0; i < self->count; i++) {
        carry += (uint64_t)self->word[i] * factor;
        self->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0)
        self->word[self->count++] = (uint32_t)carry;
}

static int big_is_less(const big *a, const big *b)
{
    int i = a->count - 1;
    if (a->count != b->count)
        return a->count < b->count;
    while (i > 0 && a->word[i] == b->word[i])
        i--;
    return i >= 0 && a->word[i] < b->word[i];
}

static void big_subtract(big *self, const big *other)
{
    uint64_t borrow = 0;
    for (int i = 0; i < self->count; i++) {
        uint64_t less = borrow + (i < other->count ? other->word[i] : 0);
        borrow = self->word[i] < less;
        self->word[i] = (uint32_t)(self->word[i] - less);
    }
    while (self->count > 0 && self->word[self->count - 1] == 0)
        self->count--;
}

/* The nearest double to above / below, ties to even: 64 bits of the quotient by long division, the rest decides. */
static int divide(big *above, big *below, double *value)
{
    uint64_t quotient = 0;
    int top = 0; /* the quotient lies in [2^top, 2^(top + 1)) */
    for (; big_is_less(above, below); top--)
        big_multiply_add(above, 2, 0);
    for (;; top++) {
        big twice = *below;
        big_multiply_add(&twice, 2, 0);
        if (big_is_less(above, &twice))
            break;
        *below = twice;
    }
    for (int i = 0; i < 64; i++) {
        int is_one = !big_is_less(above, below);
        if (is_one)
            big_subtract(above, below);
        quotient = quotient << 1 | (uint64_t)is_one;
        big_multiply_add(above, 2, 0);
    }
    int drop = top >= -1022 ? 11 : 11 - 1022 - top;
    if (top > 1023 || drop > 64) {
        *value = 0.0;
        return top > 1023 ? -1 : 1;
    }
    uint64_t kept = drop == 64 ? 0 : quotient >> drop, half = UINT64_C(1) << (drop - 1);
    uint64_t rest = drop == 64 ? quotient : quotient & ((half << 1) - 1);
    kept += rest > half || (rest == half && (above->count > 0 || (kept & 1) != 0));
    kept += top >= -1022 ? (uint64_t)(top + 1022) << 52 : 0;
    *value = double_of(kept);
    return is_finite(*value) ? 1 : -1;
}

/* digits [n] (a point among them) times 10^exponent; the first is not 0. */
static int decimal_value(const char *digits, const char *end, int64_t exponent, double *value)
{
    big above = {{0}, 0}, below = {{1}, 1};
    int n_taken = 0, has_more = 0;
    for (const char *at = digits; at < end; at++) {
        if (*at == '.')
            continue;
        if (n_taken < MAX_DIGITS) {
            big_multiply_add(&above, 10, (uint32_t)(*at - '0'));
            n_taken++;
        } else {
            has_more |= *at != '0';
            exponent++;
        }
    }
    if (has_more) {
        big_multiply_add(&above, 10, 1);
        exponent--;
        n_taken++;
    }
    *value = 0.0;
    if (exponent + n_taken > 310 || exponent + n_taken < -330)
        return exponent + n_taken > 310 ? -1 : 1;
    for (; exponent > 0; exponent--)
        big_multiply_add(&above, 10, 0);
    for (; exponent < 0; exponent++)
        big_multiply_add(&below, 10, 0);
    return divide(&above, &below, value);
}

static int is_word(const char *text, size_t size, const char *word)
{
    size_t i = 0;
    while (i < size && (text[i] | 0x20) == word[i] && word[i] != '\0')
        i++;
    return i == size && word[i] == '\0';
}

/* e [+-] digits. */
static int parse_exponent(const char *at, const char *end, int64_t *exponent)
{
    int64_t value = 0;
    int is_negative = ++at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return 0;
    for (; at < end && (unsigned char)(*at - '0') <= 9; at++)
        value = value < 1000000000 ? value * 10 + (*at - '0') : value;
    *exponent += is_negative ? -value : value;
    return at == end;
}

/* The digits of a number: the first 19 that count as a whole number, and where they stand. */
typedef struct digit_run {
    const char *first, *point, *end; /* the first that is not 0, the point, the end; NULL: none */
    uint64_t digits, n_digits;
    int has_digit;
} digit_run;

static digit_run parse_digits(const char *at, const char *end)
{
    digit_run run = {0};
    for (; at < end && ((unsigned char)(*at - '0') <= 9 || (*at == '.' && run.point == NULL)); at++) {
        if (*at == '.') {
            run.point = at;
            continue;
        }
        run.has_digit = 1;
        if (run.first == NULL && *at != '0')
            run.first = at;
        if (run.first != NULL && run.n_digits++ < 19)
            run.digits = run.digits * 10 + (uint64_t)(*at - '0');
    }
    run.end = at;
    return run;
}

int tws_parse(const char *text, size_t size, double *value)
{
    static const double power[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
        1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *at = text, *end = text + size;
    int is_negative = size > 0 && *at == '-', kind = 1;
    if (size > 0 && (*at == '-' || *at == '+'))
        at++;
    if (is_word(at, (size_t)(end - at), "nan") || is_word(at, (size_t)(end - at), "inf") ||
        is_word(at, (size_t)(end - at), "infinity"))
        return -1;
    digit_run run = parse_digits(at, end);
    int64_t exponent = run.point == NULL ? 0 : -(int64_t)(run.end - run.point - 1);
    at = run.end;
    if (!run.has_digit || (at < end && ((*at | 0x20) != 'e' || !parse_exponent(at, end, &exponent))))
        return 0;
    if (run.first == NULL)
        *value = 0.0;
    else if (run.n_digits <= 19 && run.digits <= UINT64_C(1) << 53 && exponent >= -22 && exponent <= 22)
        *value = exponent < 0 ? (double)run.digits / power[-exponent] : (double)run.digits * power[exponent];
    else
        kind = decimal_value(run.first, run.end, exponent, value);
    if (is_negative)
        *value = -*value;
    return kind;
}

/* --- the features of an event ------------------------------------------------------------------------------------- */

void tws_begin(tws_event *self, const tws_model *model, tws_entry *entry, uint32_t capacity, float *dense)
{
    self->model = model;
    self->entry = entry;
    self->dense = dense;
    self->n_entries = 0;
    self->capacity = capacity;
    self->status = model->is_dense && dense == NULL ? TWS_ROOM : TWS_OK;
    self->is_finished = 0;
    memset(self->seen, 0, (model->n_columns + 7) / 8);
    if (model->is_dense && dense != NULL)
        memset(dense, 0, model->width * sizeof *dense);
}

static int fail(tws_event *self, int status)
{
    if (self->status == TWS_OK)
        self->status = status;
    return self->status;
}

static int put(tws_event *self, uint64_t key, float value, uint32_t index)
{
    if (self->n_entries == self->capacity)
        return fail(self, TWS_ROOM);
    self->entry[self->n_entries].key = key;
    self->entry[self->n_entries].value = value;
    self->entry[self->n_entries++].column = index;
    return self->status;
}

int tws_key(tws_event *self, uint64_t key, float value)
{
    return put(self, key, value, TWS_NO_COLUMN);
}

/* The declared column `name`, or what an undeclared field is to a model that takes all; 0: not used, or an error. */
static int find_column(tws_event *self, const char *name, size_t size, column *out)
{
    const tws_model *model = self->model;
    uint32_t low = 0, high = model->n_order;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        get_column(model, get_32(model->order + 4 * (size_t)middle), out);
        int order = compare_names(name, size, out->name, out->name_size);
        if (order == 0)
            return out->kind != IGNORED;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    if (model->is_automatic && size > TWS_NAME_MAX)
        (void)fail(self, TWS_ROOM);
    if (!model->is_automatic || size > TWS_NAME_MAX)
        return 0;
    uint64_t index;
    memset(out, 0, sizeof *out);
    out->name = name;
    out->name_size = (uint32_t)size;
    out->index = TWS_NO_COLUMN;
    out->kind = AUTOMATIC;
    out->key = key_of_name(model->hash_seed, name, size);
    out->seed = seed_of_field(model->hash_seed, name, size);
    out->dense = model->is_dense && parse_index(name, size, &index) && index < model->width ? (int32_t)index : -1;
    return 1;
}

/* A declared field may have one value an event. */
static int mark(tws_event *self, const column *c)
{
    if (c->index == TWS_NO_COLUMN)
        return self->status;
    unsigned char *byte = &self->seen[c->index / 8], bit = (unsigned char)(1u << c->index % 8);
    if ((*byte & bit) != 0)
        return fail(self, TWS_TWICE);
    *byte |= bit;
    return self->status;
}

static int put_number(tws_event *self, const column *c, double value)
{
    if ((c->flags & FLAG_LOG1P) != 0) {
        if (!(value > -1.0))
            return fail(self, TWS_NUMBER);
        value = log_of_1_and(value);
    }
    if (!is_finite_single(value))
        return fail(self, TWS_NUMBER);
    if (c->dense >= 0)
        self->dense[c->dense] += (float)value;
    else if (self->model->is_dense && c->kind == AUTOMATIC)
        return fail(self, TWS_COLUMN);
    if ((float)value == 0.0f && (c->flags & FLAG_SCALED) == 0)
        return self->status;
    return put(self, c->key, (float)value, c->index);
}

static int is_missing(const tws_model *model, const char *text, size_t size)
{
    for (uint32_t i = 0; i < model->n_missing; i++) {
        const unsigned char *at = model->missing + 8 * (size_t)i;
        if (get_32(at + 4) == size && memcmp(model->text + get_32(at), text, size) == 0)
            return 1;
    }
    return size == 0;
}

static int put_text(tws_event *self, const column *c, const char *text, size_t size)
{
    return put(self, key_of_text(c->seed, text, size), 1.0f, c->index);
}

static int put_parts(tws_event *self, const column *c, const char *text, size_t size)
{
    const char *end = text + size;
    while (self->status == TWS_OK && text < end) {
        const char *stop = c->separator != '\0' ? memchr(text, c->separator, (size_t)(end - text)) : NULL;
        stop = stop == NULL ? end : stop;
        if (stop > text)
            (void)put_text(self, c, text, (size_t)(stop - text));
        text = stop + 1;
    }
    return self->status;
}

static int take_text(
    tws_event *self, const char *name, size_t name_size, const char *text, size_t size, int is_number_possible)
{
    column c;
    double value = 0;
    if (self->status != TWS_OK || is_missing(self->model, text, size) || !find_column(self, name, name_size, &c))
        return self->status;
    int kind = c.kind == NUMERIC || (c.kind == AUTOMATIC && is_number_possible) ? tws_parse(text, size, &value) : 0;
    if (kind < 0 || (kind == 0 && c.kind == NUMERIC))
        return fail(self, TWS_NUMBER);
    if (mark(self, &c) != TWS_OK)
        return self->status;
    if (kind > 0)
        return put_number(self, &c, value);
    return c.kind == SET ? put_parts(self, &c, text, size) : put_text(self, &c, text, size);
}

int tws_text(tws_event *self, const char *name, size_t name_size, const char *text, size_t size)
{
    return take_text(self, name, name_size, text, size, 1);
}

int tws_string(tws_event *self, const char *name, size_t name_size, const char *text, size_t size)
{
    return take_text(self, name, name_size, text, size, 0);
}

int tws_number(tws_event *self, const char *name, size_t name_size, double value)
{
    column c;
    if (self->status != TWS_OK || !find_column(self, name, name_size, &c))
        return self->status;
    if (c.kind != NUMERIC && c.kind != AUTOMATIC)
        return fail(self, TWS_NUMBER);
    return mark(self, &c) != TWS_OK ? self->status : put_number(self, &c, value);
}

int tws_element(tws_event *self, const char *name, size_t name_size, const char *text, size_t size)
{
    column c;
    if (self->status != TWS_OK || is_missing(self->model, text, size) || !find_column(self, name, name_size, &c))
        return self->status;
    if (c.kind != SET && c.kind != AUTOMATIC)
        return fail(self, TWS_NUMBER);
    return put_text(self, &c, text, size);
}

int tws_feature(tws_event *self, const char *space, size_t space_size, const char *name, size_t name_size, double value)
{
    const tws_model *model = self->model;
    column c;
    float single = (float)value;
    if (self->status != TWS_OK || (space_size > 0 && !find_column(self, space, space_size, &c)))
        return self->status;
    if (!is_finite_single(value))
        return fail(self, TWS_NUMBER);
    if (space_size > 0) {
        if ((c.kind != AUTOMATIC && c.kind != CATEGORICAL && c.kind != SET) || single == 0.0f)
            return self->status;
        return put(self, key_of_text(c.seed, name, name_size), single, c.index);
    }
    if (!model->is_automatic)
        return tws_number(self, name, name_size, (double)single);
    uint64_t index;
    if (model->is_dense) {
        if (!parse_index(name, name_size, &index) || index >= model->width)
            return fail(self, TWS_COLUMN);
        self->dense[index] += single;
    }
    return single == 0.0f ? self->status : put(self, key_of_name(model->hash_seed, name, name_size), single, 0);
}

/* All products of one entry of each crossed column, the last column's running fastest. */
static void put_products(
    tws_event *self, const unsigned char *cross, uint32_t depth, uint32_t n_own, uint64_t key, float value)
{
    if (depth == get_32(cross)) {
        if (!is_finite_single((double)value))
            (void)fail(self, TWS_NUMBER);
        else if (value != 0.0f)
            (void)put(self, key, value, TWS_NO_COLUMN);
        return;
    }
    for (uint32_t i = 0; i < n_own && self->status == TWS_OK; i++) {
        const tws_entry *e = &self->entry[i];
        if (e->column == get_32(cross + 4 + 4 * (size_t)depth))
            put_products(self, cross, depth + 1, n_own, depth == 0 ? e->key : key_of_cross(key, e->key),
                depth == 0 ? e->value : value * e->value);
    }
}

static void finish(tws_event *self)
{
    const tws_model *model = self->model;
    column c;
    for (uint32_t i = 0; i < model->n_columns; i++) {
        if ((model->column[(size_t)i * COLUMN_SIZE + 9] & FLAG_MISSING) == 0 || (self->seen[i / 8] >> i % 8 & 1) != 0)
            continue;
        get_column(model, i, &c);
        (void)put_number(self, &c, c.missing);
    }
    for (uint32_t i = 0; i < model->n_columns; i++) {
        get_column(model, i, &c);
        if (c.kind == CONSTANT)
            (void)put(self, c.key, 1.0f, i);
    }
    uint32_t n_own = self->n_entries;
    for (uint32_t i = 0; i < model->n_crosses; i++)
        put_products(self, model->cross + (size_t)i * CROSS_SIZE, 0, n_own, 0, 1.0f);
}

/* The scaled value of an entry; dense rows take it too. */
static float value_of(tws_event *self, const tws_entry *entry)
{
    column c;
    double value = 0.0;
    if (entry->column == TWS_NO_COLUMN ||
        (self->model->column[(size_t)entry->column * COLUMN_SIZE + 9] & FLAG_SCALED) == 0)
        return entry->value;
    get_column(self->model, entry->column, &c);
    if (c.root > 0.0)
        value = (c.n * (double)entry->value - c.sum) / c.root;
    value = value > (double)FLT_MAX ? (double)FLT_MAX : value;
    value = value < -(double)FLT_MAX ? -(double)FLT_MAX : value;
    if (c.dense >= 0)
        self->dense[c.dense] = (float)value;
    return (float)value;
}

/* --- scores ------------------------------------------------------------------------------------------------------- */

/* The high half of a * b for b below 2^32. */
static uint64_t scaled_guess(uint64_t a, uint64_t b)
{
    return ((a >> 32) * b + ((a & 0xffffffffu) * b >> 32)) >> 32;
}

/* Keys are hashes, so a key's place is near its share of the range: a bracket grows from there. */
static void bracket(const tws_model *self, uint64_t key, uint64_t *low, uint64_t *high)
{
    uint64_t n = self->n_weights, step = 16, at;
    *low = 0;
    *high = n;
    if (n <= 64 || n >> 32 != 0)
        return;
    at = scaled_guess(key, n);
    if (get_64(self->key + 8 * at) <= key) {
        for (; step < n - at && get_64(self->key + 8 * (at + step)) <= key; step *= 2)
            at += step;
        *low = at;
        *high = step < n - at ? at + step : n;
    } else {
        for (; step < at && get_64(self->key + 8 * (at - step)) > key; step *= 2)
            at -= step;
        *low = step < at ? at - step : 0;
        *high = at;
    }
}

static double weight_of(const tws_model *self, uint64_t key)
{
    uint64_t low, high;
    if (self->bits > 0)
        key = key >> (64 - self->bits) << (64 - self->bits);
    bracket(self, key, &low, &high);
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (get_64(self->key + 8 * middle) <= key)
            low = middle;
        else
            high = middle;
    }
    if (low == high || get_64(self->key + 8 * low) != key)
        return 0.0;
    return self->weight_size == 4 ? (double)get_float(self->weight + 4 * low) : get_double(self->weight + 8 * low);
}

static float sum_of_lanes(const float *lane)
{
    float sum[16];
    memcpy(sum, lane, sizeof sum);
    for (int distance = 8; distance > 0; distance /= 2) {
        for (int i = 0; i < distance; i++)
            sum[i] = sum[i] + sum[i + distance];
    }
    return sum[0];
}

static float score_by_lanes(tws_event *self)
{
    float lane[16] = {0};
    for (uint32_t i = 0; i < self->n_entries; i++) {
        float product = (float)weight_of(self->model, self->entry[i].key) * value_of(self, &self->entry[i]);
        lane[i % 16] = lane[i % 16] + product;
    }
    return (float)((double)sum_of_lanes(lane) + self->model->bias);
}

static float score_in_order(tws_event *self)
{
    double sum = self->model->bias, limit = self->model->limit;
    for (uint32_t i = 0; i < self->n_entries; i++) {
        double product = weight_of(self->model, self->entry[i].key) * (double)value_of(self, &self->entry[i]);
        sum = sum + product;
    }
    if (limit > 0.0 && (sum > limit || sum < -limit))
        sum = sum > 0.0 ? limit : -limit;
    return (float)sum;
}

static void score_nearest(tws_event *self, float *score)
{
    const tws_model *model = self->model;
    uint32_t no_number = 0x7fc00000u;
    for (uint32_t i = 0; i < self->n_entries; i++)
        (void)value_of(self, &self->entry[i]);
    memcpy(&score[0], &no_number, sizeof no_number);
    score[1] = -1.0f;
    for (uint32_t k = 0; k < model->n_centres; k++) {
        const unsigned char *centre = model->centre + 4 * (size_t)k * model->width;
        float lane[16] = {0};
        for (uint32_t j = 0; j < model->width; j++) {
            float difference = self->dense[j] - get_float(centre + 4 * (size_t)j), square = difference * difference;
            lane[j % 16] = lane[j % 16] + square;
        }
        float distance = sum_of_lanes(lane);
        if (k == 0 || distance < score[0]) {
            score[0] = distance;
            score[1] = (float)k;
        }
    }
}

int tws_score(tws_event *self, float *score, double *prediction)
{
    if (self->status == TWS_OK && !self->is_finished)
        finish(self);
    self->is_finished = 1;
    if (self->status != TWS_OK)
        return self->status;
    score[1] = 0.0f;
    if (self->model->rule == TWS_RULE_NEAREST)
        score_nearest(self, score);
    else
        score[0] = self->model->rule == TWS_RULE_LANES ? score_by_lanes(self) : score_in_order(self);
    if (prediction != NULL)
        *prediction = link_of(self->model->link, (double)score[0]);
    return TWS_OK;
}
