/* flags.h: command-line flags as data: one table per verb gives parsing, --help, the command reference and completions.
 */
#ifndef TW_CMD_FLAGS_H
#define TW_CMD_FLAGS_H

#include <stddef.h>
#include <stdio.h>

#include "thalweg/status.h"

/* A table ends with a row whose name is NULL. Every flag may be repeated; the verb decides what that means. */
typedef struct flag_spec {
    const char *name;  /* "checkpoint-every", given as --checkpoint-every VALUE or --checkpoint-every=VALUE */
    char letter;       /* 'm' for -m; 0: none */
    const char *value; /* "N|TIME": what stands for the value in help; NULL: the flag takes none */
    const char *help;
} flag_spec;

typedef struct flag_value {
    const flag_spec *flag;
    const char *text; /* NULL for flags without value */
} flag_value;

enum { FLAGS_MAX = 256 };

typedef struct flags {
    const flag_spec *table;
    flag_value value[FLAGS_MAX];
    size_t n_values;
    const char *argument[FLAGS_MAX]; /* what is not a flag; "-" is an argument; all behind "--" */
    size_t n_arguments;
    bool wants_help;
} flags;

/* INVALID with the nearest flag as a hint. argv[0] is skipped. Texts are borrowed from argv. */
TW_MUST_USE tw_status flags_parse(flags *self, const flag_spec *table, int argc, char **argv, tw_error *error);

/* The last value given, or `fallback`. */
const char *flags_text(const flags *self, const char *name, const char *fallback);
bool flags_has(const flags *self, const char *name);

/* Whole numbers with "_" allowed; INVALID names flag, value and range. Absent: `fallback`. */
TW_MUST_USE tw_status flags_count(
    const flags *self, const char *name, uint64_t fallback, uint64_t max, uint64_t *out, tw_error *error);
/* A time with unit (us ms s m h d), in microseconds. */
TW_MUST_USE tw_status flags_duration(const char *flag, const char *text, int64_t *out_us, tw_error *error);

void flags_print(FILE *out, const flag_spec *table);

#endif
