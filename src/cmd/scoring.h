/* scoring.h: a saved model over input that it does not learn from: what `predict` and `eval` share. */
#ifndef TW_CMD_SCORING_H
#define TW_CMD_SCORING_H

#include "cmd/assembly.h"
#include "cmd/verbs.h"

typedef struct scoring {
    assembly all;
    bool has_assembly;
    tw_manifest manifest;
    tw_engine *engine;
} scoring;

typedef struct scoring_options {
    const char *directory; /* of checkpoints */
    uint64_t version;      /* 0: the newest */
    const char *format;    /* NULL: the pipeline's own */
    const char *const *input;
    size_t n_inputs;
    bool ignores_labels;
    const tw_sink_spec *sink; /* instead of the pipeline's */
    size_t n_sinks;
    const char *slices, *groups;  /* instead of the pipeline's evaluate.slices (with commas between) and groups; NULL */
    tw_judged_listener on_judged; /* sees every event; NULL: none */
    void *judged_context;
    tw_learner_traits *traits; /* takes those of the model before its first event; NULL: not wanted */
} scoring_options;

/* Loads the model and scores all input. self->engine has the figures. Prints what went wrong; the process's exit code.
 */
int scoring_run(scoring *self, const scoring_options *options);
void scoring_fini(scoring *self);

/* A predictions sink that writes to `path` ("-": standard output). `registry` is filled; destroy the options after use.
 */
TW_MUST_USE tw_status scoring_sink(
    const char *path, tw_registry *registry, tw_sink_spec *out, tw_option_values **options, tw_error *error);

#endif
