/* checks.h: the combinations that a bound pipeline must not have; pipeline.h lists them. */
#ifndef TW_CONFIG_CHECKS_H
#define TW_CONFIG_CHECKS_H

#include "config/bind.h"

/* Adds a problem for each. Also applies `model.loss` to the learner's options. */
TW_MUST_USE tw_status tw_check_pipeline(
    const tw_tree *tree, tw_bound *pipeline, tw_problems *problems, tw_error *error);

/* The part of it about publish and evaluate.drift. */
void tw_check_publish(const tw_tree *tree, const tw_bound *root, tw_problems *problems);

/* A source that never ends: it has an option `follow`, which is true. */
bool tw_check_follows(const tw_bound *source);

/* "50000/s" or "50000": events a second, above 0. */
bool tw_check_rate(const char *text, double *events_per_s);

/* "0", "4", "unlimited" (UINT32_MAX): rounds. */
bool tw_check_staleness(const char *text, uint32_t *rounds);

/* "100_000": events; "1h": a time. One of the two is set, the other is 0; "0": both are. */
bool tw_check_span(const char *text, uint64_t *events, int64_t *duration_us);

#endif
