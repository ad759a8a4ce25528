/* metrics.h: progressive evaluation: every event is scored before it is learned, and the figures (figures.h) are made
 * from sums over events in order, so they do not depend on the batch size. With windows, the sums of the run are those
 * of its windows. One thread per object. */
#ifndef TW_ENGINE_METRICS_H
#define TW_ENGINE_METRICS_H

#include "engine/report.h"
#include "engine/slices.h"
#include "thalweg/batch.h"

typedef struct tw_metrics tw_metrics;

/* A window is finished; called while its last event (or, by time, the first one of a later window) is added. An error
 * ends the call of tw_metrics_add with it. */
typedef tw_status (*tw_window_listener)(void *context, const tw_window *window, tw_error *error);

typedef struct tw_metrics_options {
    bool is_exact;           /* keeps 24 bytes an event to give the exact AUC; else 8,192 bins and a stated error */
    double threshold;        /* binary: a prediction above it is class 1; 0: 0.5. Learners without probabilities: the
                                score's sign stands for 0.5, its margin log(t / (1 - t)) for another one */
    tw_figure_set figures;   /* those to give, 0: all */
    tw_window_policy window; /* both 0: none */
    tw_window_listener on_window; /* may be NULL */
    void *window_context;
    tw_judged_listener on_judged; /* sees every event as it is added; may be NULL */
    void *judged_context;
    bool has_groups; /* gauc: this one of the batch's facets is the group ... */
    uint32_t group_facet;
    uint64_t group_events;    /* ... over so many of the newest events; 0: all */
    const char *const *slice; /* [n_slices] fields whose values have figures of their own: facets 0 .. n_slices - 1 */
    uint32_t n_slices, slice_limit; /* slices.h */
    tw_spellings *spellings;        /* borrowed; may be NULL */
} tw_metrics_options;

/* Everything but the spellings is copied. */
TW_MUST_USE tw_status tw_metrics_create(
    const tw_learner_traits *traits, const tw_metrics_options *options, tw_metrics **out, tw_error *error);
void tw_metrics_destroy(tw_metrics **self);

/* scores: [n_events x n_outputs], raw (margins for a binary task). Events without label count but do not enter the
 * loss. */
TW_MUST_USE tw_status tw_metrics_add(tw_metrics *self, const tw_batch *batch, const float *scores, tw_error *error);

/* Fills the quality figures of `out` and leaves the others alone; `is_last_reset`: the "(last)" figures start over. */
void tw_metrics_report(tw_metrics *self, bool is_last_reset, tw_report *out);

/* Adds what `other`, of the same traits and threshold, holds: several workers' figures as one run's. Neither has
 * windows, groups or an exact AUC. */
void tw_metrics_merge(tw_metrics *self, const tw_metrics *other);

/* The calibration table of the whole run; out [TW_CALIBRATION_BINS]. Returns the number of rows. */
uint32_t tw_metrics_calibration(const tw_metrics *self, tw_calibration_row *out);

/* The figures of each slice; release with tw_slice_report_fini. */
TW_MUST_USE tw_status tw_metrics_slices(const tw_metrics *self, tw_slice_report *out, tw_error *error);

/* Little-endian bytes for the checkpoint (sparse: a few KiB), and back. Release with tw_free. State of another window
 * length is taken over, with the windows starting anew. CORRUPT: damaged or of another task; CONFLICT: written by a
 * program whose format this one does not read. */
TW_MUST_USE tw_status tw_metrics_save(const tw_metrics *self, void **bytes, size_t *size, tw_error *error);
TW_MUST_USE tw_status tw_metrics_load(tw_metrics *self, const void *bytes, size_t size, tw_error *error);

#endif
