/* json_scan.h: the tokens of one JSON text (RFC 8259, strict), without a tree and without copies.
 *
 * A scan covers one record, which ends at `end`: either at a line feed or at the end of the readable bytes. Neither a
 * line feed nor any other control character may stand inside a token, so a loop that stops at one needs no other bound.
 * Every function starts at `at`; on OK `at` stands behind the token, on an error it stands at the offending byte and
 * `error` says why: DATA with code D204 (syntax) or D208 (escapes, UTF-8), or NO_MEMORY. Thread rule: one thread. */
#ifndef TW_FORMATS_JSON_SCAN_H
#define TW_FORMATS_JSON_SCAN_H

#include <stddef.h>

#include "thalweg/status.h"

typedef struct tw_json_scan {
    const char *at, *end;
    const char *limit; /* bytes may be read up to here; end <= limit, and *end is a line feed if end < limit */
    char *scratch;     /* decoded text of the last string with escapes; owned */
    size_t capacity_scratch;
    tw_error *error; /* borrowed, never NULL */
} tw_json_scan;

/* Releases the scratch buffer. */
void tw_json_scan_fini(tw_json_scan *self);

/* Sets the error with the code and moves `at` to the offending byte; returns `DATA`. */
tw_status tw_json_fail(tw_json_scan *self, const char *at, const char *code, const char *format, ...) TW_PRINTF(4, 5);

/* D204 "expected <what>, found <what is at `at`>". */
tw_status tw_json_expected(tw_json_scan *self, const char *what);

static inline void tw_json_space(tw_json_scan *self)
{
    while (self->at < self->end && (*self->at == ' ' || *self->at == '\t' || *self->at == '\r'))
        self->at++;
}

static inline bool tw_json_is(const tw_json_scan *self, char c)
{
    return self->at < self->end && *self->at == c;
}

/* At the opening quote. *text points into the record, or into the scratch buffer if the string has escapes, and lives
 * until the next string. */
TW_MUST_USE tw_status tw_json_string(tw_json_scan *self, const char **text, size_t *size);

/* At the first byte of a number. *text is its spelling. The value is correctly rounded; beyond the range: infinite. */
TW_MUST_USE tw_status tw_json_number(tw_json_scan *self, double *value, const char **text, size_t *size);

/* At the first letter of `word` (true, false or null). */
TW_MUST_USE tw_status tw_json_word(tw_json_scan *self, const char *word, size_t size);

#endif
