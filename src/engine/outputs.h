/* outputs.h: all that a run writes once per event: its sinks and the dead-letter file. Their lengths go into the
 * checkpoint and they are cut back to them on resume, so that no line is doubled or missing. Learning thread only. */
#ifndef TW_ENGINE_OUTPUTS_H
#define TW_ENGINE_OUTPUTS_H

#include "data/builder.h"
#include "store/checkpoint.h"
#include "thalweg/sink.h"

typedef struct tw_sink_spec {
    const tw_sink_ops *ops;
    const tw_option_values *options;
} tw_sink_spec;

typedef struct tw_outputs tw_outputs;

/* `positions`: the "outputs" section of the manifest to resume from; NULL starts every file anew. dead_letter: path or
 * NULL. Everything is borrowed for the object's life. */
TW_MUST_USE tw_status tw_outputs_open(const tw_sink_spec *sink,
    size_t n_sinks,
    const char *dead_letter,
    const tw_learner_traits *traits,
    const tw_section *positions,
    tw_outputs **out,
    tw_error *error);

/* Appends the batch's scores to every sink and its malformed records to the dead-letter file. */
TW_MUST_USE tw_status tw_outputs_write(tw_outputs *self, const tw_builder *batch, const float *scores, tw_error *error);

TW_MUST_USE tw_status tw_outputs_flush(tw_outputs *self, bool is_durable, tw_error *error);

/* Flushes durably and adds the lengths to the manifest as section "outputs". */
TW_MUST_USE tw_status tw_outputs_save(tw_outputs *self, tw_manifest *manifest, tw_error *error);

void tw_outputs_close(tw_outputs **self);

#endif
