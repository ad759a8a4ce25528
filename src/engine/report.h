/* report.h: the figures of a run, as the final report, the progress table, `status` and /metrics show them. A figure
 * that cannot be known is NaN here and null or "-" where it is printed, never 0. Values. */
#ifndef TW_ENGINE_REPORT_H
#define TW_ENGINE_REPORT_H

#include <stddef.h>

#include "engine/drift.h"
#include "engine/window.h"
#include "thalweg/params.h"

typedef struct tw_report {
    tw_task task;
    uint64_t events, bad_events; /* learned or scored; malformed records */
    uint64_t bytes;              /* uncompressed input */
    uint64_t batches;
    uint64_t rewinds; /* times that a lost shard made the run read again */
    double seconds, events_per_second;
    tw_figures figures;                /* progressive, of the whole run: each event is scored before it is learned */
    double logloss_last, inertia_last; /* since the last call of tw_engine_report with `is_last_reset` */
    bool has_windows;                  /* the pipeline asks for windows */
    tw_window window;                  /* the last finished one; number 0: none yet, its figures are unknown */
    uint64_t clusters;
    uint64_t weights; /* rows with a non-zero weight; UINT64_MAX: not known */
    uint64_t model_version;
    uint64_t published_version; /* newest checkpoint that may be served; 0: none */
    uint64_t refused_versions;  /* by the gate */
    bool is_gated;
    char refusal[256];      /* why the last checkpoint was refused; "": it was not */
    double lag_seconds;     /* now - newest event time; NaN without event times */
    uint64_t backlog_bytes; /* read by nobody yet; UINT64_MAX: not known */
    /* Batch training; solver "": none. */
    char solver[32];
    uint64_t iterations;
    double objective, measure; /* of the result, or of the last iteration, as the solver states them */
    bool is_converged;
    double solver_seconds;
    uint64_t checkpoints, checkpoint_failures;
    double checkpoint_seconds; /* of the last one */
    uint64_t checkpoint_bytes;
    int64_t checkpoint_wall_us; /* when the last one became durable; 0: none */
    uint64_t rows, table_bytes;
    uint64_t rows_expired, rows_evicted, touches_refused; /* since the run began: tw_keep */
    uint64_t conflicts, reconnects;
    bool is_drift_watched;
    tw_drift_counts drift; /* zeroed unless it is watched */
    uint64_t peak_rss_bytes;
} tw_report;

static inline void tw_report_rows(tw_report *self, const tw_params_stats *stats)
{
    self->rows = stats->rows;
    self->table_bytes = stats->bytes;
    self->rows_expired = stats->rows_expired;
    self->rows_evicted = stats->rows_evicted;
    self->touches_refused = stats->touches_refused;
}

#endif
