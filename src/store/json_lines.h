/* json_lines.h: a text of lines, each a JSON object, and members of such objects, checked. Errors are CORRUPT and name
 * the line. Private to this folder. */
#ifndef TW_STORE_JSON_LINES_H
#define TW_STORE_JSON_LINES_H

#include <jansson.h>

#include "store/portable.h"

/* Start with tw_json_lines_open. */
typedef struct tw_json_lines {
    tw_portable_input input;
    char name[TW_PORTABLE_NAME_SIZE];
    char *bytes; /* [start, end) is read and not used yet */
    size_t start, end, capacity;
    bool is_at_end;
    uint64_t line; /* of the value at hand, 1-based */
} tw_json_lines;

void tw_json_lines_open(tw_json_lines *self, const tw_portable_input *input);
void tw_json_lines_close(tw_json_lines *self);

/* The next line: END behind the last. *text [*size], with its line end, is borrowed until the next call; the caller
 * releases *out by json_decref. */
TW_MUST_USE tw_status tw_json_lines_next(
    tw_json_lines *self, json_t **out, const char **text, size_t *size, tw_error *error);

/* Sets the error at the line at hand; returns CORRUPT. */
tw_status tw_json_lines_bad(const tw_json_lines *self, tw_error *error, const char *format, ...) TW_PRINTF(3, 4);

/* Decimal digits, or a JSON integer; false beyond `max`. */
bool tw_json_integer(const json_t *value, uint64_t max, uint64_t *out);
/* Lower-case digits, n_digits of them. `text` may be NULL: false. */
bool tw_json_hex(const char *text, size_t n_digits, uint64_t *out);

/* Members that must be there. */
TW_MUST_USE tw_status tw_json_get_integer(
    const tw_json_lines *self, const json_t *object, const char *name, uint64_t max, uint64_t *out, tw_error *error);
/* Borrowed from the object. */
TW_MUST_USE tw_status tw_json_get_text(
    const tw_json_lines *self, const json_t *object, const char *name, const char **out, tw_error *error);
/* The place of the member's word in words [n_words], of which the first is not used. */
TW_MUST_USE tw_status tw_json_get_word(const tw_json_lines *self,
    const json_t *object,
    const char *name,
    const char *const *words,
    int n_words,
    int *out,
    tw_error *error);

#endif
