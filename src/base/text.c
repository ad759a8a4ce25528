#define _GNU_SOURCE
#include "base/text.h"

#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { DISTANCE_MAX_LENGTH = 63, NUMBER_MAX_LENGTH = 400 };

tw_status tw_text_append(tw_text *self, const char *bytes, size_t size, tw_error *error)
{
    if (size > SIZE_MAX - self->size - 1)
        return tw_no_memory(error, size);
    tw_status status = tw_grow(&self->bytes, 1, &self->capacity, self->size + size + 1, error);
    if (status < 0)
        return status;
    if (size > 0)
        memcpy(self->bytes + self->size, bytes, size);
    self->size += size;
    self->bytes[self->size] = '\0';
    return TW_STATUS_OK;
}

tw_status tw_text_add(tw_text *self, const char *text, tw_error *error)
{
    return tw_text_append(self, text, strlen(text), error);
}

tw_status tw_text_addf(tw_text *self, tw_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return tw_error_set(error, TW_STATUS_INVALID, "text cannot be formatted");
    size_t size = (size_t)length;
    tw_status status = tw_grow(&self->bytes, 1, &self->capacity, self->size + size + 1, error);
    if (status < 0)
        return status;
    va_start(arguments, format);
    (void)vsnprintf(self->bytes + self->size, size + 1, format, arguments);
    va_end(arguments);
    self->size += size;
    return TW_STATUS_OK;
}

void tw_text_fini(tw_text *self)
{
    tw_free(self->bytes);
    *self = (tw_text){0};
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment; rows i - 2, i - 1 and i of the table are kept. */
size_t tw_text_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > DISTANCE_MAX_LENGTH || m > DISTANCE_MAX_LENGTH)
        return strcmp(a, b) == 0 ? 0 : SIZE_MAX;
    size_t rows[3][DISTANCE_MAX_LENGTH + 1];
    size_t *older = rows[0], *old = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++)
        old[j] = j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = old[j - 1] + (a[i - 1] != b[j - 1] ? 1 : 0);
            best = least(best, least(old[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = least(best, older[j - 2] + 1);
            now[j] = best;
        }
        size_t *free_row = older;
        older = old;
        old = now;
        now = free_row;
    }
    return old[m];
}

void tw_nearest_offer(tw_nearest *self, const char *candidate)
{
    size_t length = strlen(self->word), other = strlen(candidate);
    size_t limit = length / 3 > 1 ? length / 3 : 1;
    size_t distance = tw_text_distance(self->word, candidate);
    size_t common = least(length, other);
    bool is_start = common >= 3 && strncmp(self->word, candidate, common) == 0;
    if (distance > limit && !is_start)
        return;
    if (self->best == NULL || distance < self->distance) {
        self->best = candidate;
        self->distance = distance;
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Copies digits, passing over "_" that stands between two of them. False when there is no digit or a stray "_". */
static bool copy_digits(const char **at, char **out, const char *out_end)
{
    const char *text = *at;
    if (!is_digit(*text))
        return false;
    while (is_digit(*text) || (*text == '_' && is_digit(text[-1]) && is_digit(text[1]))) {
        if (*out >= out_end)
            return false;
        if (*text != '_')
            *(*out)++ = *text;
        text++;
    }
    *at = text;
    return true;
}

/* The plain spelling of a number for strtod and strtoll; false when `text` is not a decimal number. */
static bool number_spelling(const char *text, bool is_real, char out[NUMBER_MAX_LENGTH])
{
    char *to = out;
    const char *end = out + NUMBER_MAX_LENGTH - 4;
    if (*text == '+' || *text == '-')
        *to++ = *text++;
    bool has_whole = copy_digits(&text, &to, end);
    if (!has_whole && !(is_real && *text == '.'))
        return false;
    if (is_real && *text == '.') {
        *to++ = *text++;
        if (is_digit(*text) ? !copy_digits(&text, &to, end) : !has_whole)
            return false;
    }
    if (is_real && (*text == 'e' || *text == 'E')) {
        *to++ = *text++;
        if (*text == '+' || *text == '-')
            *to++ = *text++;
        if (!copy_digits(&text, &to, end + 2))
            return false;
    }
    *to = '\0';
    return *text == '\0';
}

bool tw_text_to_real(const char *text, double *out)
{
    char plain[NUMBER_MAX_LENGTH] = "";
    if (!number_spelling(text, true, plain))
        return false;
    locale_t neutral = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (neutral == (locale_t)0)
        return false;
    double value = strtod_l(plain, NULL, neutral);
    freelocale(neutral);
    if (!isfinite(value))
        return false;
    *out = value;
    return true;
}

bool tw_text_to_int(const char *text, int64_t *out)
{
    char plain[NUMBER_MAX_LENGTH] = "";
    if (!number_spelling(text, false, plain))
        return false;
    bool is_negative = plain[0] == '-';
    uint64_t limit = is_negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX, value = 0;
    for (const char *at = plain + (is_digit(plain[0]) ? 0 : 1); *at != '\0'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (is_negative)
        *out = value == 0 ? 0 : -(int64_t)(value - 1) - 1;
    else
        *out = (int64_t)value;
    return true;
}

void tw_text_from_real(double value, char text[TW_REAL_TEXT_SIZE])
{
    locale_t neutral = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = neutral != (locale_t)0 ? uselocale(neutral) : (locale_t)0;
    bool is_whole = fabs(value) < 1e15 && value == floor(value);
    if (is_whole)
        (void)snprintf(text, TW_REAL_TEXT_SIZE, "%.0f", value);
    for (int digits = 1; digits <= 17 && !is_whole; digits++) {
        (void)snprintf(text, TW_REAL_TEXT_SIZE, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    if (neutral != (locale_t)0) {
        (void)uselocale(before);
        freelocale(neutral);
    }
}

/* How many parts of the texts are these bytes. */
static size_t count_parts(const char *const *text, size_t n, const char *part, size_t size)
{
    size_t n_found = 0;
    for (size_t i = 0; i < n; i++) {
        for (const char *at = text[i]; at != NULL; at = strchr(at, '|'), at += at != NULL)
            n_found += strcspn(at, "|") == size && memcmp(at, part, size) == 0;
    }
    return n_found;
}

const char *tw_text_find_twice(const char *const *text, size_t n, size_t *size)
{
    for (size_t i = 0; i < n; i++) {
        for (const char *at = text[i]; at != NULL; at = strchr(at, '|'), at += at != NULL) {
            *size = strcspn(at, "|");
            if (count_parts(text, n, at, *size) > 1)
                return at;
        }
    }
    return NULL;
}
