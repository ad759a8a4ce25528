/* pipeline.h: what the workers that learn into one model at a time must have in common beside the schema: whoever
 * learns by other features, options or stripes spoils it, and no row would show it.
 *
 * A HELLO says it in two fields of its header that have no other use there: `generation` and `n_learned`. All 0 is not
 * said, as by programs that did not know of it: these are let in without comparison. */
#ifndef TW_PS_PIPELINE_H
#define TW_PS_PIPELINE_H

#include <stdbool.h>

#include "ps/wire/frame.h"

typedef enum tw_pipeline_part {
    TW_PIPELINE_FEATURES, /* and label */
    TW_PIPELINE_MODEL,    /* type, table, rules of keys that come and go */
    TW_PIPELINE_PARAMS,   /* the learner's options and its loss */
    TW_PIPELINE_STRIPE,   /* into which splits the input is cut */
    TW_PIPELINE_N_PARTS,
} tw_pipeline_part;

typedef struct tw_pipeline_digest {
    uint32_t part[TW_PIPELINE_N_PARTS];
} tw_pipeline_digest;

bool tw_pipeline_is_said(const tw_pipeline_digest *self);
void tw_pipeline_put(const tw_pipeline_digest *self, tw_frame *hello);
tw_pipeline_digest tw_pipeline_get(const tw_frame *hello);

/* CONFLICT, with every part that differs and both digests of it; OK where one of the two is not said. */
TW_MUST_USE tw_status tw_pipeline_compare(
    const tw_pipeline_digest *theirs, const tw_pipeline_digest *own, tw_error *error);

#endif
