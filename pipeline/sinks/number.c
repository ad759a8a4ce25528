/* number.c: value = m * 2^e exactly, with m < 2^53. Its nine digits are q = round(m * 10^(8 - x) * 2^e), where x is the
 * decimal exponent. For 1e-14 <= value < 1e9 the product fits 128 bits and e <= 0, so q is exact, ties to even, as
 * printf rounds. Everything else goes through snprintf. */
#include "sinks/number.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

__extension__ typedef unsigned __int128 uint128;

static const uint64_t billion = 1000000000u;

static uint128 power_of_ten(int exponent)
{
    static const uint64_t power[] = {1u, 10u, 100u, 1000u, 10000u, 100000u, 1000000u, 10000000u, 100000000u,
        1000000000u, 10000000000u, 100000000000u};
    return exponent < 12 ? (uint128)power[exponent] : (uint128)power[11] * power[exponent - 11];
}

static size_t put_digits(uint64_t value, size_t n, char *text)
{
    for (size_t i = n; i-- > 0; value /= 10)
        text[i] = (char)('0' + value % 10);
    return n;
}

/* q has nine digits of which the last ones may be zeros. */
static size_t put_nine(uint32_t q, int exponent, char *text)
{
    char digit[9];
    (void)put_digits(q, sizeof digit, digit);
    size_t n = sizeof digit, size = 0;
    while (n > 1 && digit[n - 1] == '0')
        n--;
    bool is_scientific = exponent < -4;
    size_t whole = is_scientific ? 1 : exponent >= 0 ? (size_t)exponent + 1 : 0;
    if (whole == 0) {
        static const char zeros[] = "0.000";
        size = (size_t)(1 - exponent);
        memcpy(text, zeros, size);
    } else {
        memcpy(text, digit, whole);
        size = whole;
        if (n > whole)
            text[size++] = '.';
    }
    if (n > whole) {
        memcpy(text + size, digit + whole, n - whole);
        size += n - whole;
    }
    if (is_scientific) {
        text[size++] = 'e';
        text[size++] = '-';
        size += put_digits((uint64_t)-exponent, 2, text + size);
    }
    return size;
}

/* Nine digits for a positive value in [1e-14, 1e9). */
static uint32_t nine_digits(uint64_t bits, int *exponent)
{
    int binary = (int)(bits >> 52) - 1023;
    uint64_t m = (bits & 0xfffffffffffffu) | 0x10000000000000u;
    int shift = 52 - binary;
    /* floor(binary * log10(2)), at most one too low or too high */
    int x = binary >= 0 ? binary * 1233 / 4096 : -((-binary * 1233 + 4095) / 4096);
    for (;;) {
        if (x > 8)
            x = 8;
        uint128 product = (uint128)m * power_of_ten(8 - x);
        uint64_t q = (uint64_t)(product >> shift);
        uint128 rest = product - ((uint128)q << shift), half = (uint128)1 << (shift - 1);
        if (q >= billion || q < billion / 10) {
            x += q >= billion ? 1 : -1;
            continue;
        }
        q += rest > half || (rest == half && (q & 1) != 0);
        *exponent = q == billion ? x + 1 : x;
        return (uint32_t)(q == billion ? billion / 10 : q);
    }
}

static size_t format_slow(double value, char *text)
{
    int n = snprintf(text, TW_NUMBER_SIZE, "%.9g", value);
    size_t size = n > 0 && n < TW_NUMBER_SIZE ? (size_t)n : 0;
    /* The one thing a locale changes here is the point. */
    for (size_t i = 0; i < size; i++) {
        if (text[i] == ',')
            text[i] = '.';
    }
    return size;
}

size_t tw_number_format(double value, char text[TW_NUMBER_SIZE])
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    size_t sign = bits >> 63;
    double magnitude = sign != 0 ? -value : value;
    if (magnitude == 0.0) {
        text[0] = '-';
        text[sign] = '0';
        return 1 + sign;
    }
    /* 999999999.5 rounds to ten digits; it is left to the slow path with all that is near. */
    if (!(magnitude >= 1e-13 && magnitude < 999999999.0))
        return format_slow(value, text);
    text[0] = '-';
    int exponent = 0;
    uint32_t q = nine_digits(bits & ~((uint64_t)1 << 63), &exponent);
    return sign + put_nine(q, exponent, text + sign);
}

size_t tw_number_format_u64(uint64_t value, char *text)
{
    size_t n = 1;
    for (uint64_t rest = value / 10; rest > 0; rest /= 10)
        n++;
    return put_digits(value, n, text);
}

size_t tw_number_format_i64(int64_t value, char *text)
{
    if (value >= 0)
        return tw_number_format_u64((uint64_t)value, text);
    text[0] = '-';
    return 1 + tw_number_format_u64((uint64_t)0 - (uint64_t)value, text + 1);
}
