/* number.h: text to number without the C library: no locale, no terminating 0, the same bits as a correctly rounded
 * strtod.
 *
 * Grammar of a real: [+-] digits [. digits] [e [+-] digits], with at least one digit before or behind the point.
 * Blanks, hexadecimal forms and anything behind the number are refused. */
#ifndef TW_DATA_NUMBER_H
#define TW_DATA_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum tw_number {
    TW_NUMBER_NONE = 0,       /* not a number */
    TW_NUMBER_FINITE = 1,     /* *value is set */
    TW_NUMBER_NOT_FINITE = 2, /* nan, inf or infinity in any case, with or without sign, or too large for a double */
} tw_number;

/* The nearest double, ties to even; subnormal numbers included. */
tw_number tw_number_parse(const char *text, size_t size, double *value);

/* True when the text is `word`, which is in lower case, in upper, lower or mixed case. */
bool tw_text_is_word(const char *text, size_t size, const char *word);

/* Digits only, with optional sign for i64. False: anything else, or out of range. */
bool tw_number_parse_u64(const char *text, size_t size, uint64_t *value);
bool tw_number_parse_i64(const char *text, size_t size, int64_t *value);

/* ln(1 + x) for x > -1 from IEEE basic operations alone, so that every machine gives the same bits; within 2 ulp. */
double tw_number_log1p(double x);

/* Powers of ten that a double holds exactly. */
extern const double tw_number_power[23];

/* The frequent short form, [-] digits [. digits] with at most 15 digits in all: both the digits and the power of ten
 * are exact doubles, so one division rounds correctly (Clinger 1990). False: ask tw_number_parse. */
static inline bool tw_number_parse_short(const char *text, size_t size, double *value)
{
    if (size == 0 || size > 16)
        return false;
    const char *at = text, *end = text + size, *point = NULL;
    bool is_negative = *at == '-';
    at += is_negative;
    uint64_t digits = 0;
    const char *first = at;
    for (; at < end; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        if (digit <= 9)
            digits = digits * 10 + digit;
        else if (*at == '.' && point == NULL)
            point = at;
        else
            return false;
    }
    size_t n_digits = (size_t)(end - first) - (point != NULL);
    if (n_digits == 0 || n_digits > 15)
        return false;
    double magnitude = (double)digits;
    if (point != NULL)
        magnitude /= tw_number_power[end - point - 1];
    *value = is_negative ? -magnitude : magnitude;
    return true;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define TW_NUMBER_HAS_WORDS 1
#else
#define TW_NUMBER_HAS_WORDS 0
#endif

#define TW_NUMBER_ONES 0x0101010101010101ull

/* The values of `size` (1 to 8) digits at `text`, the last one in the highest byte, zeros before them; 8 bytes must be
 * readable. A byte that is no digit has a value above 9. */
static inline uint64_t tw_number_load_8(const char *text, size_t size)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return (word ^ TW_NUMBER_ONES * '0') << (64 - 8 * size);
}

/* Eight digits of tw_number_load_8, added up in pairs, then fours, then eights. False: one is above 9. */
static inline bool tw_number_digits_8(uint64_t word, uint64_t *value)
{
    if ((((word + TW_NUMBER_ONES * (0x80 - 10)) | word) & TW_NUMBER_ONES * 0x80) != 0)
        return false;
    word = (word * 10 + (word >> 8)) & 0x00ff00ff00ff00ffull;
    word = (word * 100 + (word >> 16)) & 0x0000ffff0000ffffull;
    *value = (word * 10000 + (word >> 32)) & 0xffffffffull;
    return true;
}

/* Digits alone, 1 to 8 of them, without a loop; 8 bytes must be readable at `text`. False: ask tw_number_parse_u64. */
static inline bool tw_number_parse_u64_8(const char *text, size_t size, uint64_t *value)
{
    if (!TW_NUMBER_HAS_WORDS || size - 1 > 7)
        return false;
    return tw_number_digits_8(tw_number_load_8(text, size), value);
}

/* As tw_number_parse_short for unsigned numbers of 1 to 8 bytes, without a loop; 8 bytes must be readable at `text`.
 * Whether a number has a fraction is as good as random in many logs, so there is no branch on it: the digits before the
 * point move up by one place, over it, or else nothing moves. */
static inline bool tw_number_parse_8(const char *text, size_t size, double *value)
{
    if (!TW_NUMBER_HAS_WORDS || size - 1 > 7)
        return false;
    uint64_t word = tw_number_load_8(text, size), digits = 0;
    uint64_t difference = word ^ TW_NUMBER_ONES * ('.' ^ '0');
    uint64_t point = (difference - TW_NUMBER_ONES) & ~difference & TW_NUMBER_ONES * 0x80;
    unsigned place =
        (unsigned)__builtin_ctzll(point | 1ull << 63) / 8; /* of the first point; 7: none, or the last byte */
    uint64_t before = (1ull << (8 * place)) - 1;
    uint64_t moved = (word & ~(before << 8 | 0xff)) | (word & before) << 8;
    word ^= (word ^ moved) & (0 - (uint64_t)(point != 0));
    if (!tw_number_digits_8(word, &digits) || (size == 1 && point != 0))
        return false;
    *value = (double)digits / tw_number_power[7 - place];
    return true;
}

#endif
