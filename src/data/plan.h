/* plan.h: the compiled feature plan: which fields of a record become which keys, values, label, weight and time.
 *
 * Keys (the same in every format):
 *   all-digit name, no namespace   tw_key_of_index(seed, number): a bijective mix, so `model show` can print the index
 *   other numeric feature          XXH3(seed, field "", name)          value = the number
 *   categorical                    XXH3(seed, field, value)            value = 1
 *   cross of a, b, ...             keys mixed in order                 value = the product
 *   constant                       XXH3(seed, "", "constant")          value = 1
 * where XXH3(seed, field, text) = XXH3_64(text, seed = XXH3_64(field with its terminating 0, seed)): a field's prefix
 * is hashed once. Key 0 does not occur (it is mapped to 1). Explicit zeros of unscaled numeric features are dropped, so
 * that dense and sparse forms of an event are the same event.
 *
 * A plan without declared columns is *automatic*: numbers become numeric, strings categorical, arrays of strings sets.
 */
#ifndef TW_DATA_PLAN_H
#define TW_DATA_PLAN_H

#include "data/builder.h"
#include "data/spellings.h"
#include "thalweg/format.h"

typedef enum tw_column_kind {
    TW_COLUMN_NUMERIC,
    TW_COLUMN_CATEGORICAL,
    TW_COLUMN_SET,      /* array of strings, or one string split at `separator` */
    TW_COLUMN_CONSTANT, /* no field; one entry with value 1 an event */
    TW_COLUMN_LABEL,
    TW_COLUMN_WEIGHT,
    TW_COLUMN_TIME,
    TW_COLUMN_IGNORE,
} tw_column_kind;

typedef enum tw_label_kind { TW_LABEL_NONE, TW_LABEL_BINARY, TW_LABEL_REAL } tw_label_kind;

typedef enum tw_time_unit { TW_TIME_S, TW_TIME_MS, TW_TIME_US, TW_TIME_ISO8601 } tw_time_unit;

typedef struct tw_column_spec {
    const char *field; /* name in the record */
    tw_column_kind kind;
    bool is_log1p;    /* numeric: log(1 + x), x > -1 */
    bool is_scaled;   /* numeric: scale: standard */
    bool has_missing; /* numeric: absent or blank becomes `missing` */
    double missing;
    char separator; /* set: 0 = arrays only */
} tw_column_spec;

enum { TW_CROSS_MAX_FIELDS = 4, TW_PLAN_MAX_COLUMNS = 4096, TW_PLAN_MAX_CROSSES = 256, TW_LABEL_MAX_POSITIVE = 16 };

typedef struct tw_cross_spec {
    uint32_t n_fields;
    const char *field[TW_CROSS_MAX_FIELDS]; /* categorical or set columns, or namespaces */
} tw_cross_spec;

/* Everything is borrowed for the call of tw_plan_create and copied. */
typedef struct tw_plan_spec {
    uint64_t hash_seed;
    const tw_column_spec *column;
    uint32_t n_columns;
    const tw_cross_spec *cross;
    uint32_t n_crosses;
    tw_label_kind label_kind;
    const char *label_field;     /* NULL: "label" */
    const char *const *positive; /* texts that mean 1 (all others 0); n_positive 0: 1 and -1/0, true and false */
    uint32_t n_positive;
    const char *weight_field; /* NULL: none (vw: its own) */
    const char *time_field;   /* NULL: none */
    tw_time_unit time_unit;
    const char *const *missing_text; /* texts that mean "no value" besides the empty one, e.g. NA */
    uint32_t n_missing_text;
    bool is_dense;        /* numeric columns also go into dense rows, in order of declaration; integer names by index */
    uint32_t dense_width; /* 0 with is_dense: number of declared numeric columns */
} tw_plan_spec;

TW_MUST_USE tw_status tw_plan_create(const tw_plan_spec *spec, tw_plan **out, tw_error *error);
void tw_plan_destroy(tw_plan **self);

/* Width of dense rows; 0: none. */
uint32_t tw_plan_dense_width(const tw_plan *self);

/* Field ids of scaled columns, ascending; borrowed. */
const uint16_t *tw_plan_scaled(const tw_plan *self, uint32_t *n_fields);

/* Number of field ids in use and the name of one ("" for the default namespace; crosses "a*b"); for slices and show. */
uint32_t tw_plan_n_fields(const tw_plan *self);
const char *tw_plan_field_name(const tw_plan *self, uint16_t field);

/* A compiled field by its id, for export. SPACE: the default namespace; a cross has its crossed fields. */
typedef enum tw_plan_role {
    TW_PLAN_NUMERIC,
    TW_PLAN_CATEGORICAL,
    TW_PLAN_SET,
    TW_PLAN_CONSTANT,
    TW_PLAN_UNUSED, /* label, weight, time, ignored */
    TW_PLAN_AUTO,   /* numeric or categorical by each value */
    TW_PLAN_SPACE,
    TW_PLAN_CROSS,
} tw_plan_role;

typedef struct tw_plan_field {
    tw_plan_role role;
    const char *name; /* borrowed */
    uint32_t size;
    bool is_log1p, is_scaled, has_missing;
    char separator;
    int32_t dense; /* column of the dense row; -1: none */
    double missing;
    uint64_t key, seed; /* of the field as a numeric feature; of texts in it */
    uint32_t n_crossed;
    uint16_t crossed[TW_CROSS_MAX_FIELDS];
} tw_plan_field;

/* field < tw_plan_n_fields. */
tw_plan_field tw_plan_field_at(const tw_plan *self, uint16_t field);

/* Declared feature fields, for request forms and metadata: index < tw_plan_n_columns. */
uint32_t tw_plan_n_columns(const tw_plan *self);
const tw_column_spec *tw_plan_column(const tw_plan *self, uint32_t index);

/* Fields whose value in each event evaluation wants to know, feature or not: names[i] is facet i of the batch
 * (batch.h). A field that the plan does not know is known from here on, but is no feature. `spellings` (NULL: none),
 * borrowed for the plan's life, learns how the values of the first `n_spelled` facets are spelled. Before a format
 * opens the plan, at most once. INVALID: the label, weight or time, or more than TW_PLAN_MAX_FACETS. */
enum { TW_PLAN_MAX_FACETS = 16 };
TW_MUST_USE tw_status tw_plan_set_facets(tw_plan *self,
    const char *const *names,
    uint32_t n_facets,
    tw_spellings *spellings,
    uint32_t n_spelled,
    tw_error *error);

/* --- one record ----------------------------------------------------------------------------------------------------
 * tw_event_begin, then any number of tw_event_* in the record's order, then tw_event_end. On an error of one of them
 * the caller drops the event (tw_builder_drop) and reports the record as bad with the error's message. */
typedef struct tw_event {
    tw_plan *plan;
    tw_builder *out;
    float label, weight;
    int64_t time_us;
    uint32_t n_features_seen;
    uint64_t columns_seen[TW_PLAN_MAX_COLUMNS / 64];
    bool has_label, is_request; /* is_request: for prediction; a label is not needed and ignored */
} tw_event;

void tw_event_begin(tw_event *self, tw_plan *plan, tw_builder *out);

/* Where a field of the record goes: resolve once per header or per key, then use the handle. Unknown fields of an
 * automatic plan are added to it (NO_MEMORY or INVALID beyond TW_PLAN_MAX_COLUMNS), otherwise TW_COLUMN_IGNORE's -1. */
TW_MUST_USE tw_status tw_plan_resolve(tw_plan *self, const char *name, size_t size, int *handle, tw_error *error);

/* A value as text, e.g. a CSV cell: numbers are parsed where the column is numeric (or, automatic, where it is one).
 * Empty and missing texts mean absent. */
TW_MUST_USE tw_status tw_event_text(tw_event *self, int handle, const char *text, size_t size, tw_error *error);

/* A value that the format knows to be a number / a string / true or false / an element of an array of strings. `text`
 * is its spelling for categorical use. */
TW_MUST_USE tw_status tw_event_number(
    tw_event *self, int handle, double value, const char *text, size_t size, tw_error *error);
TW_MUST_USE tw_status tw_event_string(tw_event *self, int handle, const char *text, size_t size, tw_error *error);
TW_MUST_USE tw_status tw_event_bool(tw_event *self, int handle, bool value, tw_error *error);
TW_MUST_USE tw_status tw_event_element(tw_event *self, int handle, const char *text, size_t size, tw_error *error);

/* Label by text or number, by the plan's label kind. */
TW_MUST_USE tw_status tw_event_label(tw_event *self, const char *text, size_t size, tw_error *error);

/* Missing values, constant, crosses, dense row; checks that a label is there if the plan needs one; commits. */
TW_MUST_USE tw_status tw_event_end(tw_event *self, uint64_t offset, uint64_t line, tw_error *error);

/* For formats that make keys themselves (vw, libsvm): field id of a namespace, added when new. */
TW_MUST_USE tw_status tw_plan_namespace(
    tw_plan *self, const char *name, size_t size, uint16_t *field, uint64_t *seed, tw_error *error);

#endif
