/* assembly.h: a pipeline turned into the objects that run it: model, inputs, sinks. What `run`, `train`, `predict`,
 * `eval` and `serve` share. */
#ifndef TW_CMD_ASSEMBLY_H
#define TW_CMD_ASSEMBLY_H

#include "cmd/builtins.h"
#include "config/pipeline.h"
#include "engine/engine.h"

typedef struct assembly {
    tw_registry registry;
    tw_plugin_catalogue catalogue;
    tw_tree *tree;
    tw_problems problems;
    tw_pipeline *pipeline;
    tw_text canonical; /* the pipeline as it goes into checkpoints */
    tw_column_spec *column;
    tw_cross_spec *cross;
    tw_input *input; /* [pipeline->n_sources] */
    tw_sink_spec *sink;
    tw_option_values *scaler_options;
    bool ignores_labels; /* set before assembly_build: rows are only scored */
    tw_model *model;     /* without rows until one attaches them */
} assembly;

/* An empty tree and the built-in plug-ins. */
TW_MUST_USE tw_status assembly_init(assembly *self, tw_error *error);
void assembly_fini(assembly *self);

/* Checks the tree and makes the pipeline. CONFIG: self->problems says what is wrong. */
TW_MUST_USE tw_status assembly_check(assembly *self, tw_error *error);

/* How the pipeline wants its scores measured. */
tw_evaluation assembly_evaluation(const assembly *self);

/* Makes the model (no rows yet), inputs and sinks from the pipeline. */
TW_MUST_USE tw_status assembly_build(assembly *self, tw_error *error);

/* An assembly with the pipeline that checkpoint `manifest` was made by, neither checked nor built yet. */
TW_MUST_USE tw_status assembly_of_manifest(assembly *self, const tw_manifest *manifest, tw_error *error);

/* The pipeline's gate; what it points to is borrowed from the pipeline. */
tw_gate_options assembly_gate(const assembly *self);

/* Local rows as the manifest (NULL: none) has them, to learn on from. */
TW_MUST_USE tw_status assembly_attach_local(
    assembly *self, const char *directory, const tw_manifest *manifest, tw_error *error);
/* To be read: its parts may be a batch apart. */
TW_MUST_USE tw_status assembly_attach_saved(
    assembly *self, const char *directory, const tw_manifest *manifest, tw_error *error);

#endif
