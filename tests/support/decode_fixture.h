/* decode_fixture.h: runs a format over a text and writes down everything that came of it, so that two decodes can be
 * compared as texts. One line an event, `E label weight time | key:value:field ...`, and one a malformed
 * record, `B line:column code offset [bytes] message`, in the order of decoding, and a last line
 * `= offset line status`. */
#ifndef TW_TESTS_DECODE_FIXTURE_H
#define TW_TESTS_DECODE_FIXTURE_H

#include "data/plan.h"

typedef struct decode_fixture {
    const tw_format_ops *ops;
    tw_option_values *options;
    tw_plan *plan;
    tw_builder *builder;
    void *state; /* NULL: not open */
    tw_error error;
} decode_fixture;

/* `options` is "name=value;name=value" or NULL; `columns` "name:kind,..." with kind n (numeric), c (categorical), s
 * (set), l (label, real), or NULL for an automatic plan without label. A negative status: the first that failed; close
 * is due all the same. */
tw_status decode_fixture_open(
    decode_fixture *self, const tw_format_ops *ops, const char *options, const char *columns, uint32_t max_events);
void decode_fixture_close(decode_fixture *self);

/* Decodes `size` bytes in one piece, or, with 0 < cut < size, with only the first `cut` bytes there at first. Every
 * piece stands in memory of exactly its size. The text is to be released with free(); NULL when memory is short.
 * *status is the first error of start or decode, or OK. */
char *decode_fixture_run(decode_fixture *self, const char *bytes, size_t size, size_t cut, tw_status *status);

/* Lines of such a text that begin with `start`, of at most 14 bytes. */
size_t decode_fixture_count(const char *text, const char *start);

#endif
