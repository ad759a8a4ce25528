/* fingerprint.h: may a model that was made by one pipeline be continued by another?
 *
 *   added feature columns and crosses                                go on
 *   learner options (model.params, model.loss)                       need --accept-changes
 *   everything else of features, label, model.type, table, bits      refused
 *   sources, sinks, serving, checkpoints, engine, evaluation, name   always fine
 * Added columns are refused where they change the shape of the state: into an automatic plan, with dense rows, or
 * scaled. */
#ifndef TW_CONFIG_FINGERPRINT_H
#define TW_CONFIG_FINGERPRINT_H

#include "base/text.h"

typedef enum tw_change {
    TW_CHANGE_NONE = 0,         /* nothing that touches the model */
    TW_CHANGE_COMPATIBLE = 1,   /* goes on */
    TW_CHANGE_NEEDS_ACCEPT = 2, /* goes on with --accept-changes */
    TW_CHANGE_REFUSED = 3,
} tw_change;

/* Compares two canonical texts (tw_pipeline_resolved without origins). *change is the gravest one; `diff` gets a line
 * for each, such as "model.params.alpha: 0.1 -> 0.05 (learner option: needs --accept-changes)". CORRUPT when one of the
 * texts is not canonical. */
TW_MUST_USE tw_status tw_fingerprint_compare(
    const char *before, const char *after, tw_change *change, tw_text *diff, tw_error *error);

/* A hash of what touches the model: texts that compare as TW_CHANGE_NONE have equal ones. */
TW_MUST_USE tw_status tw_fingerprint(const char *canonical, uint64_t *out, tw_error *error);

typedef enum tw_fingerprint_part {
    TW_FINGERPRINT_FEATURES, /* and label */
    TW_FINGERPRINT_MODEL,    /* without params */
    TW_FINGERPRINT_PARAMS,
} tw_fingerprint_part;

/* The same of a part of it. */
TW_MUST_USE tw_status tw_fingerprint_of(
    const char *canonical, tw_fingerprint_part part, uint64_t *out, tw_error *error);

/* The value at `path` of a canonical text, in one line; NOT_FOUND: there is none. Release *out with tw_free. */
TW_MUST_USE tw_status tw_canonical_value(const char *canonical, const char *path, char **out, tw_error *error);

/* A hash of what decides the decoded events: sources, features, label, table. */
TW_MUST_USE tw_status tw_fingerprint_data(const char *canonical, uint64_t *out, tw_error *error);

#endif
