/* slices.h: the figures of the events that share a value of a field, such as a country or a device. A field has at most
 * `limit` values of its own, in the order in which they come; the events of further ones are counted together. About
 * 5 KiB a value. One thread per object. */
#ifndef TW_ENGINE_SLICES_H
#define TW_ENGINE_SLICES_H

#include "data/spellings.h"
#include "engine/sums.h"

typedef struct tw_slices tw_slices;

/* Facets 0 .. n_fields - 1 of the events (batch.h) are the fields. */
typedef struct tw_slices_options {
    const char *const *name; /* [n_fields]; copied */
    uint32_t n_fields;
    uint32_t limit;          /* values of a field, at least 1 */
    tw_spellings *spellings; /* borrowed; NULL: values are shown by their keys */
    tw_sums_options sums;    /* task, probability, margin; the AUC has TW_AUC_COARSE_BINS */
} tw_slices_options;

TW_MUST_USE tw_status tw_slices_create(const tw_slices_options *options, tw_slices **out, tw_error *error);
void tw_slices_destroy(tw_slices **self);

/* Events without the facets are passed over. */
TW_MUST_USE tw_status tw_slices_add(tw_slices *self, const tw_judged *events, tw_error *error);

/* One value: its text (its key in 16 hex digits where the text is not known), NULL for events without a value and for
 * the others beyond the limit. */
typedef struct tw_slice_row {
    char *value;
    bool is_other;
    tw_figures figures;
} tw_slice_row;

typedef struct tw_slice_field {
    char *name;
    tw_slice_row *row; /* most events first, the others last */
    uint32_t n_rows;
} tw_slice_field;

typedef struct tw_slice_report {
    tw_slice_field *field;
    uint32_t n_fields;
} tw_slice_report;

/* A copy of all figures; release with tw_slice_report_fini. Without slices (self NULL) it is empty. */
TW_MUST_USE tw_status tw_slices_report(
    const tw_slices *self, tw_figure_set figures, tw_slice_report *out, tw_error *error);
void tw_slice_report_fini(tw_slice_report *self);

TW_MUST_USE tw_status tw_slices_save(const tw_slices *self, tw_text *out, tw_error *error);
/* Fields that are not among the saved ones start empty; saved ones that are not wanted any more are passed over (all of
 * them with self NULL). `sums`: as the saved ones were made. */
TW_MUST_USE tw_status tw_slices_load(
    tw_slices *self, const tw_sums_options *sums, tw_state_reader *from, tw_error *error);

#endif
