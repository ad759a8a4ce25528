/* plan_core.h: the inside of a plan, for plan.c and event.c only. */
#ifndef TW_DATA_PLAN_CORE_H
#define TW_DATA_PLAN_CORE_H

#include "data/plan.h"

/* Kinds that no column_spec has. AUTO: an undeclared field of an automatic plan; HIDDEN: no field of a record leads
 * here (the default namespace, the constant, crosses). */
enum { PLAN_AUTO = 100, PLAN_HIDDEN = 101 };

/* The index of a column is its handle and its field id. */
typedef struct plan_column {
    char *name;
    uint32_t size;
    int kind; /* tw_column_kind, PLAN_AUTO or PLAN_HIDDEN */
    bool is_log1p, is_scaled, has_missing;
    char separator;
    int32_t dense; /* column of the dense row; -1: none */
    int32_t facet; /* index of its facet; -1: none */
    double missing;
    uint64_t key;  /* as a numeric feature */
    uint64_t seed; /* of texts in this field */
} plan_column;

typedef struct plan_cross {
    uint32_t n_fields;
    uint16_t field[TW_CROSS_MAX_FIELDS]; /* crossed columns */
    uint16_t id;                         /* field id of the product */
} plan_cross;

struct tw_plan {
    uint64_t hash_seed, default_seed;
    plan_column *column;
    size_t n_columns, capacity_columns;
    uint32_t *slot; /* name table: column index + 1, 0 free; power of two, at most half full */
    size_t n_slots;
    plan_cross *cross;
    uint32_t n_crosses;
    int constant; /* column of the constant; -1: none */
    bool is_automatic, is_dense;
    uint32_t dense_width;
    tw_label_kind label_kind;
    tw_time_unit time_unit;
    char **positive, **missing_text;
    uint32_t n_positive, n_missing_text;
    tw_column_spec *declared; /* [n_declared] for tw_plan_column */
    uint32_t n_declared;
    uint16_t *scaled;
    uint32_t n_scaled;
    uint32_t *missing_column; /* columns with a missing value */
    uint32_t n_missing_columns;
    uint32_t *scratch; /* entry positions of crossed fields */
    size_t capacity_scratch;
    uint32_t n_facets, n_spelled;
    tw_spellings *spellings;
};

/* The column of that name; false: there is none. Adds nothing. */
bool tw_plan_knows(const tw_plan *self, const char *name, size_t size, int *handle);

#endif
