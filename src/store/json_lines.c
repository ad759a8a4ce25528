#include "store/json_lines.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

enum { READ_BYTES = 1 << 16 };

void tw_json_lines_open(tw_json_lines *self, const tw_portable_input *input)
{
    *self = (tw_json_lines){.input = *input};
    (void)snprintf(self->name, sizeof self->name, "%s", input->name);
}

void tw_json_lines_close(tw_json_lines *self)
{
    tw_free(self->bytes);
    self->bytes = NULL;
}

tw_status tw_json_lines_bad(const tw_json_lines *self, tw_error *error, const char *format, ...)
{
    char message[TW_ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    (void)tw_error_set(error, TW_STATUS_CORRUPT, "%s", message);
    tw_error_at(error, self->name, self->line, 0);
    return TW_STATUS_CORRUPT;
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

static tw_status read_more(tw_json_lines *self, tw_error *error)
{
    size_t n = 0;
    if (self->start > 0) {
        memmove(self->bytes, self->bytes + self->start, self->end - self->start);
        self->end -= self->start;
        self->start = 0;
    }
    if (self->end > TW_PORTABLE_MAX_LINE)
        return tw_json_lines_bad(self, error, "the line is longer than %d MiB", TW_PORTABLE_MAX_LINE >> 20);
    tw_status status = tw_grow(&self->bytes, 1, &self->capacity, self->end + READ_BYTES, error);
    if (status == TW_STATUS_OK)
        status = self->input.read(self->input.context, self->bytes + self->end, READ_BYTES, &n, error);
    self->end += n;
    self->is_at_end = n == 0;
    return status;
}

tw_status tw_json_lines_next(tw_json_lines *self, json_t **out, const char **text, size_t *size, tw_error *error)
{
    size_t looked = 0;
    const char *feed = NULL;
    *out = NULL;
    self->line++;
    while (feed == NULL && !self->is_at_end) {
        if (self->end > self->start + looked)
            feed = memchr(self->bytes + self->start + looked, '\n', self->end - self->start - looked);
        looked = self->end - self->start;
        tw_status status = feed == NULL ? read_more(self, error) : TW_STATUS_OK;
        if (status < 0)
            return status;
    }
    if (self->start == self->end)
        return TW_STATUS_END;
    if (feed == NULL)
        return tw_json_lines_bad(self, error, "the line is cut off: it has no line end");
    json_error_t why;
    *text = self->bytes + self->start;
    *size = (size_t)(feed - *text) + 1;
    self->start += *size;
    *out = json_loadb(*text, *size, JSON_REJECT_DUPLICATES, &why);
    if (*out == NULL && json_error_code(&why) == json_error_out_of_memory)
        return tw_no_memory(error, *size);
    if (*out == NULL)
        return tw_json_lines_bad(self, error, "column %d: %.120s", why.column, why.text);
    if (json_is_object(*out))
        return TW_STATUS_OK;
    json_decref(*out);
    return tw_json_lines_bad(self, error, "expected an object in braces");
}

/* --- members ------------------------------------------------------------------------------------------------------ */

bool tw_json_integer(const json_t *value, uint64_t max, uint64_t *out)
{
    if (json_is_integer(value)) {
        json_int_t number = json_integer_value(value);
        *out = (uint64_t)number;
        return number >= 0 && *out <= max;
    }
    const char *text = json_string_value(value);
    *out = 0;
    if (text == NULL || *text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (*text < '0' || *text > '9' || *out > (max - digit) / 10)
            return false;
        *out = *out * 10 + digit;
    }
    return true;
}

bool tw_json_hex(const char *text, size_t n_digits, uint64_t *out)
{
    static const char digits[] = "0123456789abcdef";
    *out = 0;
    if (text == NULL || strlen(text) != n_digits)
        return false;
    for (; *text != '\0'; text++) {
        const char *digit = strchr(digits, *text);
        if (digit == NULL)
            return false;
        *out = *out << 4 | (uint64_t)(digit - digits);
    }
    return true;
}

tw_status tw_json_get_integer(
    const tw_json_lines *self, const json_t *object, const char *name, uint64_t max, uint64_t *out, tw_error *error)
{
    if (tw_json_integer(json_object_get(object, name), max, out))
        return TW_STATUS_OK;
    return tw_json_lines_bad(self, error, "\"%s\" is missing or no whole number from 0 to %" PRIu64, name, max);
}

tw_status tw_json_get_text(
    const tw_json_lines *self, const json_t *object, const char *name, const char **out, tw_error *error)
{
    *out = json_string_value(json_object_get(object, name));
    return *out != NULL ? TW_STATUS_OK : tw_json_lines_bad(self, error, "\"%s\" is missing or no text", name);
}

tw_status tw_json_get_word(const tw_json_lines *self,
    const json_t *object,
    const char *name,
    const char *const *words,
    int n_words,
    int *out,
    tw_error *error)
{
    const char *text = NULL;
    tw_status status = tw_json_get_text(self, object, name, &text, error);
    for (*out = 1; status == TW_STATUS_OK && *out < n_words; ++*out) {
        if (strcmp(words[*out], text) == 0)
            return status;
    }
    return status < 0 ? status : tw_json_lines_bad(self, error, "\"%s\": \"%.40s\" is not known", name, text);
}
