/* checks.h: the combinations that a bound pipeline must not have; pipeline.h lists them. */
#ifndef TW_CONFIG_CHECKS_H
#define TW_CONFIG_CHECKS_H

#include "config/bind.h"

/* Adds a problem for each. Also applies `model.loss` to the learner's options. */
TW_MUST_USE tw_status tw_check_pipeline(
    const tw_tree *tree, tw_bound *pipeline, tw_problems *problems, tw_error *error);

/* A source that never ends: it has an option `follow`, which is true. */
bool tw_check_follows(const tw_bound *source);

/* "50000/s" or "50000": events a second, above 0. */
bool tw_check_rate(const char *text, double *events_per_s);

#endif
