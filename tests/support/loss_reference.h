/* loss_reference.h: losses by libm, and events for them, for the slow references of linear learners. */
#ifndef TEST_LOSS_REFERENCE_H
#define TEST_LOSS_REFERENCE_H

#include "support/learner_fixture.h"

/* Words of the option `loss`, by tw_loss_kind. */
extern const char *const loss_names[TW_LOSS_QUANTILE + 1];

/* Value and slope as thalweg/loss.h words them. */
double reference_loss(tw_loss loss, double s, double y);
double reference_slope(tw_loss loss, double s, double y);

/* Sparse events on rows 0 .. n_rows - 1 with labels that the loss takes and importances 0.5 to 2, about ten seconds
 * apart; some late, some without a time, a label or weight. */
event_list make_loss_events(tw_loss_kind loss, uint32_t n_rows, uint32_t n_events);

/* Reads a LIBSVM file, compressed or not; label 1 above 0, else 0. False: it cannot be read. */
bool load_libsvm(const char *path, event_list *out);

/* Mean of log(1 + e^s) - y s. scores: [n_events] */
double mean_logistic_loss(const event_list *events, const float *scores);

#endif
