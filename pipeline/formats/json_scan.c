/* json_scan.c: tokens. Strings go 16 bytes at a time to the next quote, backslash, control character or byte of a
 * multi-byte sequence; numbers are checked against the grammar and converted in the same pass (exact when the digits
 * fit 2^53 and the power of ten 10^22, because both are then exact doubles and one division rounds once: Clinger 1990).
 */
#include "formats/json_scan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/alloc.h"
#include "base/utf8.h"
#include "data/number.h"

void tw_json_scan_fini(tw_json_scan *self)
{
    tw_free(self->scratch);
    self->scratch = NULL;
    self->capacity_scratch = 0;
}

tw_status tw_json_fail(tw_json_scan *self, const char *at, const char *code, const char *format, ...)
{
    char message[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    tw_error_set(self->error, TW_STATUS_DATA, "%s", message);
    tw_error_code(self->error, code);
    self->at = at;
    return TW_STATUS_DATA;
}

tw_status tw_json_expected(tw_json_scan *self, const char *what)
{
    if (self->at >= self->end)
        return tw_json_fail(self, self->at, "D204", "expected %s, found the end of the line", what);
    unsigned char c = (unsigned char)*self->at;
    if (c >= 0x20 && c < 0x7f)
        return tw_json_fail(self, self->at, "D204", "expected %s, found '%c'", what, c);
    return tw_json_fail(self, self->at, "D204", "expected %s, found byte 0x%02x", what, c);
}

static inline bool is_plain(unsigned char c)
{
    return c != '"' && c != '\\' && c >= 0x20 && c < 0x80;
}

/* The first byte from `at` that is not plain, at most `limit`. */
static inline const char *plain_end(const char *at, const char *limit)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');
    while (limit - at >= 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* Signed: bytes from 0x80 on are negative, hence below the space too. */
        __m128i stop = _mm_or_si128(
            _mm_cmplt_epi8(block, space), _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash)));
        unsigned mask = (unsigned)_mm_movemask_epi8(stop);
        if (mask)
            return at + __builtin_ctz(mask);
        at += 16;
    }
#endif
    while (at < limit && is_plain((unsigned char)*at))
        at++;
    return at;
}

/* Moves `at` over plain text and UTF-8 to the next quote or backslash. */
static tw_status string_run(tw_json_scan *self)
{
    for (;;) {
        self->at = plain_end(self->at, self->limit);
        if (self->at >= self->end)
            return tw_json_fail(self, self->end, "D204", "the string has no closing quote");
        unsigned char c = (unsigned char)*self->at;
        if (c == '"' || c == '\\')
            return TW_STATUS_OK;
        if (c < 0x20)
            return tw_json_fail(
                self, self->at, "D204", "control character 0x%02x in a string must be written as an escape", c);
        size_t size = tw_utf8_size(self->at, (size_t)(self->end - self->at));
        if (size == 0)
            return tw_json_fail(self, self->at, "D208", "byte 0x%02x is not valid UTF-8 here", c);
        self->at += size;
    }
}

/* Four hexadecimal digits at `at`; -1: not there. */
static int32_t hex4(const char *at, const char *end)
{
    int32_t value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static size_t utf8_write(char *out, uint32_t point)
{
    unsigned char *bytes = (unsigned char *)out;
    if (point < 0x80) {
        bytes[0] = (unsigned char)point;
        return 1;
    }
    size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, point >>= 6)
        bytes[i] = (unsigned char)(0x80 | (point & 0x3f));
    bytes[0] = (unsigned char)((size == 2 ? 0xc0 : size == 3 ? 0xe0 : 0xf0) | point);
    return size;
}

/* At the backslash of \uXXXX; moves behind it, and behind the second half of a surrogate pair. */
static tw_status escape_unicode(tw_json_scan *self, uint32_t *point)
{
    const char *start = self->at;
    int32_t high = hex4(start + 2, self->end);
    if (high < 0)
        return tw_json_fail(self, start, "D208", "\\u needs four hexadecimal digits");
    self->at = start + 6;
    *point = (uint32_t)high;
    if (high < 0xd800 || high > 0xdfff)
        return TW_STATUS_OK;
    bool has_low = self->end - self->at >= 6 && self->at[0] == '\\' && self->at[1] == 'u';
    int32_t low = has_low ? hex4(self->at + 2, self->end) : -1;
    if (high >= 0xdc00 || low < 0xdc00 || low > 0xdfff)
        return tw_json_fail(self, start, "D208", "\\u%.4s is half of a surrogate pair", start + 2);
    self->at += 6;
    *point = 0x10000u + (((uint32_t)high - 0xd800u) << 10) + ((uint32_t)low - 0xdc00u);
    return TW_STATUS_OK;
}

/* At a backslash; appends what the escape stands for. */
static tw_status escape(tw_json_scan *self, char *out, size_t *size)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (self->end - self->at < 2)
        return tw_json_fail(self, self->end, "D204", "the string has no closing quote");
    char letter = self->at[1];
    if (letter == 'u') {
        uint32_t point = 0;
        tw_status status = escape_unicode(self, &point);
        if (status == TW_STATUS_OK)
            *size += utf8_write(out + *size, point);
        return status;
    }
    const char *found = letter ? strchr(letters, letter) : NULL;
    if (!found)
        return tw_json_fail(self, self->at, "D208", "unknown escape in a string");
    out[(*size)++] = meanings[found - letters];
    self->at += 2;
    return TW_STATUS_OK;
}

/* The rest of a string whose first `start .. at` is plain, from its first backslash on. An escape is never shorter than
 * what it stands for, so the rest of the record bounds the text. */
static tw_status string_decode(tw_json_scan *self, const char *start, const char **text, size_t *size)
{
    size_t wanted = (size_t)(self->end - start), n = (size_t)(self->at - start);
    tw_status status = TW_STATUS_OK;
    if (wanted > self->capacity_scratch)
        status = tw_grow(&self->scratch, 1, &self->capacity_scratch, wanted, self->error);
    if (status < 0)
        return status;
    memcpy(self->scratch, start, n);
    while (*self->at != '"') {
        status = escape(self, self->scratch, &n);
        if (status < 0)
            return status;
        const char *run = self->at;
        status = string_run(self);
        if (status < 0)
            return status;
        memcpy(self->scratch + n, run, (size_t)(self->at - run));
        n += (size_t)(self->at - run);
    }
    self->at++;
    *text = self->scratch;
    *size = n;
    return TW_STATUS_OK;
}

tw_status tw_json_string(tw_json_scan *self, const char **text, size_t *size)
{
    const char *start = ++self->at;
    tw_status status = string_run(self);
    if (status < 0)
        return status;
    if (*self->at == '\\')
        return string_decode(self, start, text, size);
    *text = start;
    *size = (size_t)(self->at - start);
    self->at++;
    return TW_STATUS_OK;
}

static inline const char *read_digits(const char *at, const char *end, uint64_t *mantissa)
{
    uint64_t value = *mantissa;
    for (; at < end && (unsigned char)(*at - '0') <= 9; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    *mantissa = value;
    return at;
}

/* Behind the mantissa: the exponent, if there is one. */
static tw_status number_exponent(tw_json_scan *self)
{
    uint64_t ignored = 0;
    self->at++;
    if (tw_json_is(self, '+') || tw_json_is(self, '-'))
        self->at++;
    const char *end = read_digits(self->at, self->end, &ignored);
    if (end == self->at)
        return tw_json_expected(self, "a digit of the exponent");
    self->at = end;
    return TW_STATUS_OK;
}

tw_status tw_json_number(tw_json_scan *self, double *value, const char **text, size_t *size)
{
    const char *start = self->at;
    bool is_negative = *start == '-', has_exponent = false;
    uint64_t mantissa = 0;
    self->at += is_negative;
    const char *whole = self->at;
    self->at = read_digits(whole, self->end, &mantissa);
    if (self->at == whole)
        return tw_json_expected(self, "a digit");
    if (*whole == '0' && self->at - whole > 1)
        return tw_json_fail(self, whole, "D204", "a number must not start with 0");
    size_t n_digits = (size_t)(self->at - whole), n_fraction = 0;
    if (tw_json_is(self, '.')) {
        const char *fraction = ++self->at;
        self->at = read_digits(fraction, self->end, &mantissa);
        n_fraction = (size_t)(self->at - fraction);
        if (n_fraction == 0)
            return tw_json_expected(self, "a digit behind the decimal point");
    }
    if (tw_json_is(self, 'e') || tw_json_is(self, 'E')) {
        has_exponent = true;
        tw_status status = number_exponent(self);
        if (status < 0)
            return status;
    }
    *text = start;
    *size = (size_t)(self->at - start);
    if (!has_exponent && n_digits + n_fraction <= 18 && mantissa <= 1ull << 53) {
        double magnitude = (double)mantissa;
        if (n_fraction)
            magnitude /= tw_number_power[n_fraction];
        *value = is_negative ? -magnitude : magnitude;
        return TW_STATUS_OK;
    }
    if (tw_number_parse(start, *size, value) != TW_NUMBER_FINITE)
        *value = is_negative ? -(double)INFINITY : (double)INFINITY;
    return TW_STATUS_OK;
}

tw_status tw_json_word(tw_json_scan *self, const char *word, size_t size)
{
    if ((size_t)(self->end - self->at) < size || memcmp(self->at, word, size) != 0)
        return tw_json_expected(self, "a value");
    self->at += size;
    return TW_STATUS_OK;
}
