/* format.h: bytes to events. A format gets a compiled feature plan at open and writes keys straight into the batch: no
 * second pass, no record object. Zero-copy and locale-free. Thread rule: one thread per object. */
#ifndef THALWEG_FORMAT_H
#define THALWEG_FORMAT_H

#include "thalweg/host.h"
#include "thalweg/options.h"

/* Both are defined by data/plan.h and data/builder.h; formats include those. */
typedef struct tw_plan tw_plan;
typedef struct tw_builder tw_builder;

/* The unread bytes of a split. decode moves `at`, `offset` and `line` past every whole record that it consumed. */
typedef struct tw_cursor {
    const char *at, *end;
    uint64_t offset; /* of `at` in the split */
    uint64_t line;   /* 1-based number of the line that starts at `at` */
    bool is_final;   /* no bytes follow `end`: an unterminated last record is complete */
} tw_cursor;

typedef struct tw_format_ops {
    uint32_t abi_version, struct_size;
    const char *name, *summary;
    const tw_option *options;
    size_t (*state_size)(const tw_option_values *options);

    /* `plan` is borrowed until close. */
    tw_status (*open)(void *self, const tw_option_values *options, tw_plan *plan, const tw_host *host, tw_error *error);

    /* Called before the first record of a split is decoded, whether at offset 0 or in the middle. `head` are the first
     * bytes of the split; a format with a header reads its columns from them (DATA: header missing or unusable; IDLE:
     * the header is not complete yet, ask again with more bytes) and sets *body_offset behind the header and *body_line
     * to the lines in it. Optional: without it a split has no header. */
    tw_status (*start)(void *self,
        const char *head,
        size_t size,
        bool is_whole,
        uint64_t *body_offset,
        uint64_t *body_line,
        tw_error *error);

    /* Decodes whole records into `out` until it is full (OK), or until no whole record is left before `end` (IDLE).
     * A malformed record is consumed, adds nothing to the events, and is reported by tw_builder_bad with its place.
     * Errors are only those that no later byte can mend (NO_MEMORY). */
    tw_status (*decode)(void *self, tw_cursor *io, tw_builder *out, tw_error *error);

    void (*close)(void *self);
} tw_format_ops;

#endif
