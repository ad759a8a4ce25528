/* options.h: options as data. One table row gives name, type, default, range and help; parsing, checks, --help, the
 * option reference and the pipeline file all come from it.
 *
 * Text forms accepted everywhere (pipeline file, -s, -p):
 *   BOOL      true | false
 *   INT       digits with optional sign, "_" between digits allowed          500_000
 *   REAL      decimal number, finite                                         1e-3
 *   TEXT      as written
 *   CHOICE    one of the words in `choices`
 *   DURATION  number and unit us, ms, s, m, h, d; stored in microseconds     30s
 *   SIZE      number and optional unit KiB, MiB, GiB, kB, MB, GB; bytes      64MiB
 *   RATIO     number in 0..1, or a percentage; stored as a fraction          0.1%
 *   LIST      texts; on a command line separated by commas                   a,b,c */
#ifndef THALWEG_OPTIONS_H
#define THALWEG_OPTIONS_H

#include <stddef.h>

#include "thalweg/status.h"

typedef enum tw_option_type {
    TW_OPTION_BOOL,
    TW_OPTION_INT,
    TW_OPTION_REAL,
    TW_OPTION_TEXT,
    TW_OPTION_CHOICE,
    TW_OPTION_DURATION,
    TW_OPTION_SIZE,
    TW_OPTION_RATIO,
    TW_OPTION_LIST,
} tw_option_type;

/* A table is an array of these that ends with a row whose name is NULL. */
typedef struct tw_option {
    const char *name;
    tw_option_type type;
    const char *fallback; /* default in the text form above; NULL: unset unless given */
    double min, max;      /* inclusive range in base units for numeric types; both 0: no limit */
    const char *choices;  /* CHOICE, and elements of a LIST: "a|b|c"; LIST NULL: any text */
    bool is_required;     /* an error when not given */
    const char *help;     /* one sentence, no full stop; says the unit and the source of the default */
} tw_option;

/* Values for one table. Opaque; created with every default in place. */
typedef struct tw_option_values tw_option_values;

TW_EXPORT TW_MUST_USE tw_status tw_option_values_create(
    const tw_option *table, tw_option_values **out, tw_error *error);
TW_EXPORT void tw_option_values_destroy(tw_option_values **self);

/* Parses `text` for the option `name`. Unknown names fail with the nearest known name as a hint, values out of range
 * with the option's name, the value and the limit. For LIST the text is split at commas. */
TW_EXPORT TW_MUST_USE tw_status tw_option_set(
    tw_option_values *self, const char *name, const char *text, tw_error *error);

/* Appends one element to a LIST, verbatim (commas included); the first call for a name drops the default. */
TW_EXPORT TW_MUST_USE tw_status tw_option_append(
    tw_option_values *self, const char *name, const char *text, tw_error *error);

/* INVALID, naming the first required option that was not given. */
TW_EXPORT TW_MUST_USE tw_status tw_option_check_required(const tw_option_values *self, tw_error *error);

/* Typed reads. `name` must be in the table with that type (asserted). tw_option_has: given, or it has a default. */
TW_EXPORT bool tw_option_has(const tw_option_values *self, const char *name);
TW_EXPORT bool tw_option_is_given(const tw_option_values *self, const char *name);
TW_EXPORT bool tw_option_bool(const tw_option_values *self, const char *name);
TW_EXPORT int64_t tw_option_int(const tw_option_values *self, const char *name);      /* INT, SIZE, DURATION (us) */
TW_EXPORT double tw_option_real(const tw_option_values *self, const char *name);      /* REAL, RATIO */
TW_EXPORT const char *tw_option_text(const tw_option_values *self, const char *name); /* TEXT, CHOICE; NULL if unset */
TW_EXPORT size_t tw_option_count(const tw_option_values *self, const char *name);     /* LIST */
TW_EXPORT const char *tw_option_item(const tw_option_values *self, const char *name, size_t index);

/* The table the values belong to, and the value of one option in canonical text form that parses back to the same value
 * (written to `text`, always terminated; "" when unset). Used for fingerprints, checkpoints and `check --resolved`. */
TW_EXPORT const tw_option *tw_option_table(const tw_option_values *self);
TW_EXPORT TW_MUST_USE tw_status tw_option_format(
    const tw_option_values *self, const char *name, char *text, size_t text_size, tw_error *error);

#endif
