/* pipeline_fixture.h: whole pipelines of the real library for tests: model, loopback shards or a local table, engine,
 * sinks and checkpoints, run from one setup, and everything that a run leaves behind as bytes to compare. */
#ifndef TW_TESTS_PIPELINE_FIXTURE_H
#define TW_TESTS_PIPELINE_FIXTURE_H

#include "engine/dataset.h"
#include "engine/engine.h"
#include "engine/registry.h"
#include "ps/edge/loopback.h"

enum { PIPELINE_MAX_INPUTS = 4, PIPELINE_PATH_SIZE = 256 };

typedef struct pipeline_setup {
    const char *learner, *learner_options; /* "k=v k=v" */
    bool is_scaled, is_hashed;
    bool is_automatic;                   /* no declared columns: for libsvm */
    const char *format, *format_options; /* NULL: json; none */
    const char *path[PIPELINE_MAX_INPUTS];
    bool is_followed[PIPELINE_MAX_INPUTS];
    size_t n_paths;
    const char *folder; /* of predictions.txt, dead.txt and the checkpoints in model/ */
    uint32_t n_shards;  /* 0: local table */
    uint32_t batch_events;
    uint64_t label_delay;
    uint64_t checkpoint_every, until_events, passes, progress_every;
    bool has_checkpoints, is_resuming, is_stopping_at_bad;
    double bad_limit, rate_per_s;
    size_t max_record_bytes;
    tw_drift_options drift;
    tw_engine_listener listener;
    void *context;
    const atomic_bool *stop;
    const tw_fit_options *fit; /* NULL: all online */
} pipeline_setup;

typedef struct pipeline {
    pipeline_setup setup;
    tw_option_values *learner_options, *scaler_options, *sink_options;
    tw_option_values *source_options[PIPELINE_MAX_INPUTS], *format_options;
    tw_input input[PIPELINE_MAX_INPUTS];
    tw_sink_spec sink;
    char predictions[PIPELINE_PATH_SIZE], dead[PIPELINE_PATH_SIZE], model_dir[PIPELINE_PATH_SIZE];
    tw_manifest manifest;
    tw_model *model;
    tw_loopback *loopback; /* NULL: local */
    tw_engine *engine;
} pipeline;

/* The program's plug-ins, from the .def lists. */
const tw_registry *pipeline_registry(void);

/* Opens everything up to the engine; on an error everything is closed again. Fails only as the library does, so that a
 * test may arm faults around it. */
tw_status pipeline_open(pipeline *self, const pipeline_setup *setup, tw_error *error);
void pipeline_close(pipeline *self);

/* Decodes `n` JSON lines into a builder of the model; release with tw_builder_destroy. */
tw_builder *pipeline_rows(pipeline *self, const char *text, size_t size, uint32_t max_events);
/* Predictions of those rows: [n_events x n_outputs]; release with free. */
double *pipeline_predict(pipeline *self, const char *text, size_t size, uint32_t max_events, size_t *n);

/* The first input as a dataset in a file at `path`, gone when it is closed. Asserts that it can be made. */
tw_dataset pipeline_dataset(pipeline *self, const char *path);

/* What a run leaves behind. */
typedef struct pipeline_trace {
    unsigned char *records; /* sorted (block, key, bytes) */
    size_t records_size, n_records;
    char *predictions, *dead;
    size_t predictions_size, dead_size;
    uint64_t marks; /* hash over the marks of all splits */
    tw_report report;
} pipeline_trace;

/* Asserts that it can be read. */
void pipeline_collect(pipeline *self, pipeline_trace *out);
void pipeline_trace_free(pipeline_trace *self);

enum { TRACE_ROWS = 1, TRACE_PREDICTIONS = 2, TRACE_DEAD = 4, TRACE_METRICS = 8, TRACE_MARKS = 16, TRACE_ALL = 31 };

/* NULL, or the name of the first part of `parts` that differs. */
const char *pipeline_trace_difference(const pipeline_trace *a, const pipeline_trace *b, unsigned parts);

/* Opens, runs, collects (`out` may be NULL) and closes; asserts that all went well. */
void pipeline_run(const pipeline_setup *setup, pipeline_trace *out);

/* A folder of this test's own, removed by remove_folder; on memory-backed storage where there is some. */
void make_folder(char folder[PIPELINE_PATH_SIZE]);
void remove_folder(const char *folder);
/* Empties and creates `folder`/`name`; returns it in `out`. */
void make_subfolder(const char *folder, const char *name, char out[PIPELINE_PATH_SIZE]);

char *read_whole(const char *path, size_t *size); /* free; a missing file: NULL, 0 */
void write_bytes(const char *path, const char *mode, const char *bytes, size_t size);

/* A JSON-lines log: `n` events by seed, among them about `n_bad` malformed lines (never the last), blank lines, missing
 * numbers, importances 0, 0.5, 1 and 2, event times ten seconds apart, some late, some missing. Each event has
 * categorical "id" (unique), "user", "item", numbers x0 .. x3 and a label that depends on them. free. */
char *make_log(uint64_t seed, uint32_t n, uint32_t n_bad, size_t *size);
void write_log(const char *path, uint64_t seed, uint32_t n, uint32_t n_bad); /* the same into a file */

#endif
