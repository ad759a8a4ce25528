#include "data/number.h"

#include <string.h>

/* A double is assembled in three tiers, each exact: Clinger's products of exact doubles; one 128-bit product or
 * quotient by a power of five that fits 64 bits; long division of big integers. */

__extension__ typedef unsigned __int128 number_u128;

enum {
    MAX_DIGITS = 800,     /* a halfway case has at most 767 significant digits; one more marks what was cut off */
    MAX_POWER_OF_5 = 27,  /* the largest that fits 64 bits */
    MAX_EXPONENT = 20000, /* beyond it any accepted digits overflow or vanish */
    BIG_WORDS = 224,      /* 800 digits and a power of ten of 1145 digits, aligned: below 6700 bits */
};

const double tw_number_power[23] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
    1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* value = digits * 10^exponent; digits holds the first 19 significant digits, text those behind leading zeros. */
typedef struct decimal {
    const char *first, *end; /* significant digits in the text, a point among them */
    uint64_t digits;
    size_t n_digits;  /* significant, without leading zeros */
    int64_t exponent; /* of the last digit in the text */
    bool is_negative;
} decimal;

typedef struct big {
    uint32_t word[BIG_WORDS]; /* little end first */
    size_t count;
} big;

static double number_from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* round((mantissa + fraction) * 2^exponent), fraction in (0, 1) if has_more, else 0. Mantissa at least 2^55 or exact.
 */
static tw_number number_round(uint64_t mantissa, int exponent, bool has_more, double *value)
{
    int lead = __builtin_clzll(mantissa);
    mantissa <<= lead;
    exponent -= lead;
    int top = exponent + 63; /* value in [2^top, 2^(top + 1)) */
    if (top > 1023)
        return TW_NUMBER_NOT_FINITE;
    int drop = top >= -1022 ? 11 : 11 + (-1022 - top);
    if (drop > 64) {
        *value = 0.0;
        return TW_NUMBER_FINITE;
    }
    uint64_t kept = drop == 64 ? 0 : mantissa >> drop;
    uint64_t half = 1ull << (drop - 1), rest = drop == 64 ? mantissa : mantissa & ((half << 1) - 1);
    bool is_up = rest > half || (rest == half && (has_more || (kept & 1) != 0));
    kept += is_up;
    /* A carry into the next power of two moves on to the exponent by itself. */
    uint64_t biased = top >= -1022 ? (uint64_t)(top + 1022) : 0;
    uint64_t bits = (biased << 52) + kept;
    if (bits >= 0x7ff0000000000000ull)
        return TW_NUMBER_NOT_FINITE;
    *value = number_from_bits(bits);
    return TW_NUMBER_FINITE;
}

static uint64_t power_of_5(int64_t exponent)
{
    uint64_t power = 1;
    for (int64_t i = 0; i < exponent; i++)
        power *= 5;
    return power;
}

/* Exact for |exponent| <= 27 and digits > 0: 10^e = 5^e 2^e, and 5^e is an integer of 64 bits. */
static tw_number number_medium(uint64_t digits, int64_t exponent, double *value)
{
    uint64_t five = power_of_5(exponent < 0 ? -exponent : exponent);
    int lead = __builtin_clzll(digits);
    if (exponent >= 0) {
        number_u128 product = (number_u128)(digits << lead) * five;
        uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
        if (high == 0)
            return number_round(low, (int)exponent - lead, false, value);
        int shift = __builtin_clzll(high);
        uint64_t mantissa = shift == 0 ? high : high << shift | low >> (64 - shift);
        return number_round(mantissa, (int)exponent - lead + 64 - shift, low << shift != 0, value);
    }
    int five_lead = __builtin_clzll(five);
    five <<= five_lead;
    number_u128 scaled = (number_u128)(digits << lead) << 63;
    uint64_t quotient = (uint64_t)(scaled / five);
    bool has_more = scaled % five != 0;
    return number_round(quotient, (int)exponent - lead - 63 + five_lead, has_more, value);
}

static void big_multiply_add(big *self, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;
    for (size_t i = 0; i < self->count; i++) {
        carry += (uint64_t)self->word[i] * factor;
        self->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0)
        self->word[self->count++] = (uint32_t)carry;
}

static void big_times_power_of_10(big *self, int64_t exponent)
{
    for (; exponent >= 9; exponent -= 9)
        big_multiply_add(self, 1000000000u, 0);
    for (; exponent > 0; exponent--)
        big_multiply_add(self, 10, 0);
}

static size_t big_bits(const big *self)
{
    return self->count * 32 - (size_t)__builtin_clz(self->word[self->count - 1]);
}

static void big_shift_left(big *self, size_t shift)
{
    size_t words = shift / 32, bits = shift % 32;
    if (bits > 0)
        big_multiply_add(self, 1u << bits, 0);
    memmove(self->word + words, self->word, self->count * sizeof *self->word);
    memset(self->word, 0, words * sizeof *self->word);
    self->count += words;
}

static void big_trim(big *self)
{
    while (self->count > 0 && self->word[self->count - 1] == 0)
        self->count--;
}

static int big_compare(const big *a, const big *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (size_t i = a->count; i-- > 0;) {
        if (a->word[i] != b->word[i])
            return a->word[i] < b->word[i] ? -1 : 1;
    }
    return 0;
}

static void big_subtract(big *self, const big *other)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < self->count; i++) {
        uint64_t less = borrow + (i < other->count ? other->word[i] : 0);
        borrow = self->word[i] < less;
        self->word[i] = (uint32_t)(self->word[i] - less);
    }
    big_trim(self);
}

/* 64 bits of numerator / denominator by restoring division; the rest decides ties. */
static tw_number number_divide(big *numerator, big *denominator, double *value)
{
    size_t top = big_bits(numerator), bottom = big_bits(denominator);
    int exponent = 0;
    if (bottom < top + 1) {
        exponent = (int)(top + 1 - bottom);
        big_shift_left(denominator, top + 1 - bottom);
    } else if (bottom > top + 1) {
        exponent = -(int)(bottom - top - 1);
        big_shift_left(numerator, bottom - top - 1);
    }
    uint64_t quotient = 0;
    for (int i = 0; i < 64; i++) {
        quotient <<= 1;
        if (numerator->count > 0)
            big_multiply_add(numerator, 2, 0);
        if (big_compare(numerator, denominator) >= 0) {
            big_subtract(numerator, denominator);
            quotient |= 1;
        }
    }
    return number_round(quotient, exponent - 64, numerator->count > 0, value);
}

static tw_number number_slow(const decimal *self, double *value)
{
    int64_t magnitude = self->exponent + (int64_t)self->n_digits; /* value in [10^(magnitude - 1), 10^magnitude) */
    if (magnitude > 310)
        return TW_NUMBER_NOT_FINITE;
    if (magnitude < -330) {
        *value = 0.0;
        return TW_NUMBER_FINITE;
    }
    big numerator = {.count = 0}, denominator = {.word = {1}, .count = 1};
    size_t taken = 0;
    bool has_more = false;
    for (const char *at = self->first; at < self->end; at++) {
        if (*at == '.')
            continue;
        if (taken < MAX_DIGITS) {
            big_multiply_add(&numerator, 10, (uint32_t)(*at - '0'));
            taken++;
        } else {
            has_more = has_more || *at != '0';
        }
    }
    int64_t exponent = self->exponent + (int64_t)(self->n_digits - taken);
    if (has_more) {
        big_multiply_add(&numerator, 10, 1);
        exponent--;
    }
    if (exponent >= 0)
        big_times_power_of_10(&numerator, exponent);
    else
        big_times_power_of_10(&denominator, -exponent);
    return number_divide(&numerator, &denominator, value);
}

/* Digits and point; fills everything but the sign. False: no digit. */
static bool decimal_read(decimal *self, const char **io, const char *end)
{
    const char *at = *io, *point = NULL;
    bool has_digit = false;
    self->first = NULL;
    self->digits = 0;
    self->n_digits = 0;
    for (; at < end; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        if (*at == '.' && point == NULL) {
            point = at;
            continue;
        }
        if (digit > 9)
            break;
        has_digit = true;
        if (self->first == NULL && digit != 0)
            self->first = at;
        if (self->first == NULL)
            continue;
        if (self->n_digits++ < 19)
            self->digits = self->digits * 10 + digit;
    }
    self->end = at;
    self->exponent = point == NULL ? 0 : -(int64_t)(at - point - 1);
    *io = at;
    return has_digit;
}

static bool exponent_read(const char **io, const char *end, int64_t *exponent)
{
    const char *at = *io + 1;
    bool is_negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return false;
    int64_t value = 0;
    for (; at < end && (unsigned char)(*at - '0') <= 9; at++) {
        if (value < MAX_EXPONENT * (int64_t)1000000)
            value = value * 10 + (*at - '0');
    }
    *exponent = is_negative ? -value : value;
    *io = at;
    return true;
}

bool tw_text_is_word(const char *text, size_t size, const char *word)
{
    if (size != strlen(word))
        return false;
    for (size_t i = 0; i < size; i++) {
        if ((text[i] | 0x20) != word[i])
            return false;
    }
    return true;
}

static tw_number number_assemble(const decimal *self, double *value)
{
    bool is_whole = self->n_digits <= 19;
    if (self->n_digits == 0) {
        *value = 0.0;
        return TW_NUMBER_FINITE;
    }
    if (self->digits <= 1ull << 53 && is_whole && self->exponent >= -22 && self->exponent <= 22) {
        double exact = (double)self->digits;
        *value =
            self->exponent < 0 ? exact / tw_number_power[-self->exponent] : exact * tw_number_power[self->exponent];
        return TW_NUMBER_FINITE;
    }
    if (is_whole && self->exponent >= -MAX_POWER_OF_5 && self->exponent <= MAX_POWER_OF_5)
        return number_medium(self->digits, self->exponent, value);
    return number_slow(self, value);
}

tw_number tw_number_parse(const char *text, size_t size, double *value)
{
    const char *at = text, *end = text + size;
    decimal number = {.is_negative = size > 0 && *at == '-'};
    if (size > 0 && (*at == '-' || *at == '+'))
        at++;
    size_t left = (size_t)(end - at);
    if (tw_text_is_word(at, left, "nan") || tw_text_is_word(at, left, "inf") || tw_text_is_word(at, left, "infinity"))
        return TW_NUMBER_NOT_FINITE;
    int64_t exponent = 0;
    if (!decimal_read(&number, &at, end))
        return TW_NUMBER_NONE;
    if (at < end && (*at | 0x20) == 'e' && !exponent_read(&at, end, &exponent))
        return TW_NUMBER_NONE;
    if (at != end)
        return TW_NUMBER_NONE;
    number.exponent += exponent;
    tw_number kind = number_assemble(&number, value);
    if (kind == TW_NUMBER_FINITE && number.is_negative)
        *value = -*value;
    return kind;
}

bool tw_number_parse_u64(const char *text, size_t size, uint64_t *value)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9 || sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return size > 0;
}

bool tw_number_parse_i64(const char *text, size_t size, int64_t *value)
{
    bool is_negative = size > 0 && *text == '-';
    size_t sign = is_negative || (size > 0 && *text == '+');
    uint64_t magnitude = 0;
    if (!tw_number_parse_u64(text + sign, size - sign, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + is_negative)
        return false;
    *value = is_negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

/* u = 1 + x rounded, c its error; ln(1 + x) = ln(u) + c / u. With u = 2^k m, m in [sqrt(1/2), sqrt(2)), s = (m - 1) /
 * (m + 1): ln(m) = 2 (s + s^3 / 3 + s^5 / 5 + ...), whose terms beyond s^23 are below 2^-60. */
double tw_number_log1p(double x)
{
    double u = 1.0 + x;
    if (u == 1.0)
        return x;
    double lost = x >= 1.0 ? 1.0 - (u - x) : x - (u - 1.0);
    uint64_t bits;
    memcpy(&bits, &u, sizeof bits);
    int k = (int)(bits >> 52) - 1023;
    double m = number_from_bits((bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        k++;
    }
    double s = (m - 1.0) / (m + 1.0), square = s * s, sum = 0.0;
    for (int i = 23; i >= 3; i -= 2)
        sum = (sum + 1.0 / i) * square;
    double tail = 2.0 * s * sum + lost / u + k * 1.9082149292705877e-10;
    return k * 0.6931471803691238 + (2.0 * s + tail);
}
