/* engine_state.h: the engine's members, shared by engine.c (steps) and run.c (the loop). */
#ifndef TW_ENGINE_ENGINE_STATE_H
#define TW_ENGINE_ENGINE_STATE_H

#include <pthread.h>

#include "engine/delay.h"
#include "engine/engine.h"
#include "engine/pump.h"
#include "engine/window_log.h"

/* Saved in the manifest's section "counters". */
typedef struct engine_counters {
    uint64_t events, bad_events, bytes, batches, rewinds, checkpoints, pass;
    double seconds; /* of earlier runs too */
} engine_counters;

struct tw_engine {
    tw_engine_options options;
    tw_metrics *metrics;
    tw_outputs *outputs;
    tw_delay *delay;                       /* NULL: labels come with their events */
    tw_window_log *window_log;             /* NULL: none */
    const char *facet[TW_PLAN_MAX_FACETS]; /* fields that evaluation asks for: slices, then the group */
    uint32_t n_facets;
    tw_spellings *spellings; /* of the slices; NULL: none */
    tw_checkpointer *checkpointer;
    float *scores;
    tw_splits splits;   /* how far outputs and metrics are */
    uint64_t *released; /* [splits.capacity] how far rows are released to the parameter store */
    size_t released_capacity;
    engine_counters counters;
    uint64_t run_events, run_bytes;
    tw_drift_counts drift;
    tw_recent *recent;  /* NULL: no gate */
    tw_verdict verdict; /* of the last checkpoint */
    int64_t run_start_us;
    int64_t newest_event_us;
    tw_fit_figures fit;
    uint64_t checkpoint_failures, backlog;
    tw_checkpoint_result last_checkpoint;
    int64_t last_checkpoint_wall_us;
    uint64_t saved_events; /* learned when the last checkpoint was cut; UINT64_MAX: none yet */
    bool is_dirty;         /* something was read since then */
    pthread_mutex_t mutex; /* guards the figures that tw_engine_report reads, and the request below */
    pthread_cond_t checkpointed;
    uint64_t wanted, started, finished; /* numbers of checkpoint requests */
    bool has_ended;                     /* the run is over: nothing will be saved any more */
    tw_status finished_status;
    tw_error finished_error;
};

/* Makes the run know a split, from its start if it is new; *index: where it stands in `splits` and `released`. */
tw_status engine_know_split(tw_engine *self, const tw_split *split, size_t *index, tw_error *error);

/* Fills a manifest with everything but id, files and time. */
tw_status engine_capture(tw_engine *self, tw_manifest *out, tw_error *error);

/* Counts what was read: records, bytes, times. The mutex is held. */
void engine_count_records(tw_engine *self, const tw_builder *builder);
/* Tells of the malformed records of the batch; DATA: they are more than the pipeline allows. */
tw_status engine_report_records(tw_engine *self, const tw_work *work, tw_error *error);

/* Saves a checkpoint, if anything was learned since the last one, and waits for it. OK without a directory. */
tw_status engine_save(tw_engine *self, tw_error *error);

/* Fits the bounded inputs and hands over; the run then stands behind them. CANCELLED: `stop` came first, nothing was
 * learned. */
tw_status engine_fit_history(tw_engine *self, tw_error *error);

void engine_tell(tw_engine *self, tw_engine_event event, const tw_error *error);

#endif
