/* engine.h: the loop. A pipeline that is *pulled* (tw_engine_run: inputs, learner, sinks, metrics, checkpoints), and
 * the same steps for a host that *pushes* batches (tw_engine_learn). One function serves bounded and endless inputs: a
 * bounded one ends.
 *
 * Thread rule: create, learn, run and destroy on one thread; tw_engine_report and tw_engine_request_checkpoint from
 * any. */
#ifndef TW_ENGINE_ENGINE_H
#define TW_ENGINE_ENGINE_H

#include <stdatomic.h>

#include "engine/checkpointer.h"
#include "engine/fit.h"
#include "engine/metrics.h"
#include "engine/model.h"
#include "engine/outputs.h"
#include "engine/reader.h"
#include "engine/report.h"

typedef enum tw_engine_event {
    TW_ENGINE_STARTED,           /* inputs are open */
    TW_ENGINE_PROGRESS,          /* a progress line is due */
    TW_ENGINE_CHECKPOINT,        /* a checkpoint became durable; see report.model_version, checkpoint_* */
    TW_ENGINE_FAILED_CHECKPOINT, /* it failed; learning goes on; `error` says why */
    TW_ENGINE_REWOUND,           /* rows were lost with a shard and are learned again; `error` names it */
    TW_ENGINE_FITTING,           /* an iteration of a solver is done: report.iterations, objective, measure */
    TW_ENGINE_FITTED,            /* the bounded inputs are in the rows; the figures are those of the fitted model */
    TW_ENGINE_BAD_RECORD,        /* `error` has file, line, column, code */
    TW_ENGINE_DRIFT,             /* the loss has risen; see report.drift */
} tw_engine_event;

/* What the program is told, on the learning thread; must not block long. `error` may be NULL. */
typedef void (*tw_engine_listener)(
    void *context, tw_engine_event event, const tw_report *report, const tw_error *error);

/* When progress lines are due: after n events, every n seconds, or when the count of events has grown n-fold. */
typedef struct tw_progress_policy {
    uint64_t every_events;
    double every_seconds, every_factor; /* 0: not by this */
} tw_progress_policy;

typedef struct tw_bad_policy {
    bool is_stopping;        /* the first malformed record ends the run */
    double limit;            /* share of malformed records that ends it, looked at from 1,000 records on; 1: none */
    const char *dead_letter; /* copies of malformed records; NULL: none */
} tw_bad_policy;

/* How the scores are measured. */
typedef struct tw_evaluation {
    bool is_auc_exact;        /* keep every score */
    double threshold;         /* metrics.h */
    tw_figure_set figures;    /* 0: all */
    tw_window_policy window;  /* both 0: none */
    const char *window_path;  /* file of finished windows (window_log.h); NULL: none */
    const char *const *slice; /* [n_slices] fields whose values have figures of their own (slices.h) */
    uint32_t n_slices, slice_limit;
    const char *group;            /* field by whose values gauc groups events; NULL: no gauc */
    uint64_t group_events;        /* the newest so many; 0: all */
    uint64_t label_delay;         /* events that are scored before a label arrives (delay.h); local rows only */
    tw_judged_listener on_judged; /* sees every event; may be NULL */
    void *judged_context;
} tw_evaluation;

typedef struct tw_engine_options {
    tw_model *model;  /* borrowed; rows attached */
    bool is_learning; /* false: score only */
    tw_evaluation evaluation;
    const tw_input *input;
    size_t n_inputs;
    const tw_sink_spec *sink;
    size_t n_sinks;
    uint32_t batch_events;  /* a batch closes at so many events */
    int64_t max_latency_us; /* or after so long */
    uint32_t queue_batches; /* decoded batches that may wait */
    uint64_t passes;
    double rate_per_s; /* replay at this rate; 0: as fast as possible */
    size_t max_record_bytes;
    tw_bad_policy bad;
    tw_checkpoint_policy checkpoint;
    const char *pipeline_text; /* canonical pipeline, saved as section "pipeline"; may be NULL */
    const tw_manifest *resume; /* NULL: from the start */
    const tw_split *known;     /* without `resume`: splits that the rows know of, with positions [n_known]; borrowed for
                                  the call of create */
    size_t n_known;
    uint64_t known_pass;       /* in which they stand */
    bool has_first_checkpoint; /* save one before the first event: older ones of another run must not be resumed */
    const tw_fit_options *fit; /* fit the bounded inputs first, unless `resume` is behind that; NULL: all online */
    uint64_t until_events;     /* end after so many events in all; 0: no limit */
    int64_t until_us;          /* end after so long; 0: no limit */
    tw_progress_policy progress;
    tw_engine_listener listener; /* may be NULL */
    void *listener_context;
    const atomic_bool *stop; /* set: drain, save and end; may be NULL */
} tw_engine_options;

typedef struct tw_engine tw_engine;

/* Opens metrics and outputs, restores them from `resume`. `options` is copied, what it points to is borrowed. */
TW_MUST_USE tw_status tw_engine_create(const tw_engine_options *options, tw_engine **out, tw_error *error);
void tw_engine_destroy(tw_engine **self);

/* Learns (or scores) one batch: model, outputs, metrics, counters. REWIND as tw_model_learn. */
TW_MUST_USE tw_status tw_engine_learn(tw_engine *self, tw_work *work, tw_error *error);

/* True when the model resumed from holds events that were not fitted as a whole; it cannot go on with a fit. */
bool tw_engine_is_online_manifest(const tw_manifest *manifest);

/* Runs until the inputs end, `stop` is set or a limit is reached, then saves a last checkpoint. OK also for a stop.
 * DATA: too many malformed records, or nothing but malformed ones. */
TW_MUST_USE tw_status tw_engine_run(tw_engine *self, tw_error *error);

/* The calibration table of the whole run (sums.h); out [TW_CALIBRATION_BINS]. Returns the number of rows. */
uint32_t tw_engine_calibration(tw_engine *self, tw_calibration_row *out);

/* The figures of each slice; release with tw_slice_report_fini. */
TW_MUST_USE tw_status tw_engine_slices(tw_engine *self, tw_slice_report *out, tw_error *error);

/* All figures now. is_last_reset: "(last)" figures start over. */
void tw_engine_report(tw_engine *self, bool is_last_reset, tw_report *out);

/* The state of the run's metrics (tw_metrics_load), for whoever adds up several workers. Release with tw_free. */
TW_MUST_USE tw_status tw_engine_save_metrics(const tw_engine *self, void **bytes, size_t *size, tw_error *error);

/* Waits until a checkpoint that was cut after this call is durable. UNSUPPORTED without a directory, TIMEOUT,
 * UNAVAILABLE when the run ends first. */
TW_MUST_USE tw_status tw_engine_request_checkpoint(tw_engine *self, int timeout_ms, uint64_t *id, tw_error *error);

/* Events learned in this run (not before it), and how it ended. */
uint64_t tw_engine_run_events(const tw_engine *self);

#endif
