/* metrics.h: progressive evaluation: every event is scored before it is learned, and the figures are sums over events
 * in order, so they do not depend on the batch size. Sums are weighted by importance unless said otherwise.
 *
 * logloss             mean of log(1 + exp(-m)) + (1 - y) m, m the margin, natural logarithm
 * best constant       H(b) = -b log b - (1 - b) log(1 - b), b = weighted share of positives
 * normalized entropy  logloss / H(b) (He et al. 2014, "Practical lessons from predicting clicks on ads")
 * AUC                 P(score of a positive > score of a negative) + P(equal) / 2. Streaming: from 8,192 bins over
 * margins -16 .. 16; its error is at most half the share of pairs that fall into one bin. Exact on request. calibration
 * sum of predictions / sum of labels mse, mae, r2        r2 = 1 - sum (y - p)^2 / sum (y - mean y)^2 inertia mean
 * squared distance to the nearest centre before the event moves it */
#ifndef TW_ENGINE_METRICS_H
#define TW_ENGINE_METRICS_H

#include "engine/report.h"
#include "thalweg/batch.h"

typedef struct tw_metrics tw_metrics;

/* `is_exact`: keeps 12 bytes an event to give the exact AUC (evaluation of bounded data). */
TW_MUST_USE tw_status tw_metrics_create(
    tw_task task, uint32_t n_outputs, bool is_exact, tw_metrics **out, tw_error *error);
void tw_metrics_destroy(tw_metrics **self);

/* scores: [n_events x n_outputs], raw (margins for a binary task). Events without label count but do not enter the
 * loss. */
TW_MUST_USE tw_status tw_metrics_add(tw_metrics *self, const tw_batch *batch, const float *scores, tw_error *error);

/* Fills the quality figures of `out` and leaves the others alone; `is_last_reset`: the "(last)" figures start over. */
void tw_metrics_report(tw_metrics *self, bool is_last_reset, tw_report *out);

/* Little-endian bytes for the checkpoint (sparse: a few KiB), and back. Release with tw_free. */
TW_MUST_USE tw_status tw_metrics_save(const tw_metrics *self, void **bytes, size_t *size, tw_error *error);
TW_MUST_USE tw_status tw_metrics_load(tw_metrics *self, const void *bytes, size_t size, tw_error *error);

#endif
