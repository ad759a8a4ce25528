/* text.h: a growable text, spelling distance for "did you mean", and numbers as text without regard to the locale.
 * Thread rule: one thread per object; the functions have no state. */
#ifndef TW_BASE_TEXT_H
#define TW_BASE_TEXT_H

#include <stddef.h>

#include "thalweg/status.h"

/* Zeroed is empty. `bytes` is terminated whenever it is not NULL; `size` does not count the terminator. A failed append
 * leaves the text as it was. */
typedef struct tw_text {
    char *bytes;
    size_t size, capacity;
} tw_text;

TW_MUST_USE tw_status tw_text_append(tw_text *self, const char *bytes, size_t size, tw_error *error);
TW_MUST_USE tw_status tw_text_add(tw_text *self, const char *text, tw_error *error);
TW_MUST_USE tw_status tw_text_addf(tw_text *self, tw_error *error, const char *format, ...) TW_PRINTF(3, 4);
void tw_text_fini(tw_text *self); /* releases and empties */

/* Number of insertions, deletions, changes and swaps of neighbours that turn `a` into `b`; texts beyond 63 bytes are
 * SIZE_MAX apart unless equal. */
size_t tw_text_distance(const char *a, const char *b);

/* The best candidate for a misspelt word so far; init with {.word = ...}. A candidate counts when it is at most a third
 * of the word's length away (at least 1), or when one is the beginning of the other (3 bytes or more). */
typedef struct tw_nearest {
    const char *word;
    const char *best; /* NULL: nothing near; borrowed from the offers */
    size_t distance;
} tw_nearest;

void tw_nearest_offer(tw_nearest *self, const char *candidate);

enum { TW_REAL_TEXT_SIZE = 32 };

/* The whole of `text` as a finite decimal number: sign, digits, point, exponent; "_" between digits is allowed. */
bool tw_text_to_real(const char *text, double *out);
/* The same for integers; false beyond int64. */
bool tw_text_to_int(const char *text, int64_t *out);
/* The shortest decimal form that reads back equal; whole numbers below 1e15 without an exponent. */
void tw_text_from_real(double value, char text[TW_REAL_TEXT_SIZE]);

/* The first part of a text, "A" or "A|B", that is a part of the n texts twice, as bytes of one of them; NULL: all are
 * distinct. */
const char *tw_text_find_twice(const char *const *text, size_t n, size_t *size);

#endif
