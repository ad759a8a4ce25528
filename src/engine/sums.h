/* sums.h: what the figures of a range of events are made from: sums over the events in order, so that they do not
 * depend on the batch size, and that add: the sums of a run are those of its windows. One thread per object. */
#ifndef TW_ENGINE_SUMS_H
#define TW_ENGINE_SUMS_H

#include "engine/figures.h"
#include "engine/judged.h"
#include "engine/state_bytes.h"

/* Bins of AUC and calibration lie over scores -16 .. 16, the outermost ones reach to infinity. */
enum {
    TW_AUC_BINS = 8192,       /* of a run or a window */
    TW_AUC_COARSE_BINS = 256, /* of a slice */
    TW_CALIBRATION_BINS = 64, /* half a unit of the score each */
    TW_SUMS_SCORE_LIMIT = 16,
};

typedef struct tw_sums_options {
    tw_task task;
    bool has_probability; /* binary: the prediction is one */
    float margin;         /* binary: a score above it predicts class 1 */
    uint32_t n_bins;      /* binary: bins of the AUC, a power of two and a multiple of TW_CALIBRATION_BINS; 0: none */
    bool has_calibration; /* binary: keeps a calibration table */
} tw_sums_options;

typedef struct tw_sum_values {
    uint64_t events, labelled, positives, scored; /* scored: clustering */
    double weight, label, label_squared, prediction;
    double loss, logloss, squared_error, absolute_error, distance;
    double cell[4];   /* weight by 2 * predicted class + label */
    double no_change; /* weight of events whose label is that of the labelled event before; before the first: 0 */
    double last_weight, last_loss; /* logloss, squared error or distance since tw_sums_reset_last */
} tw_sum_values;

typedef struct tw_calibration_sums {
    double n, prediction; /* events, not weighted; weighted sum of predictions */
} tw_calibration_sums;

/* Zeroed is not usable. Members are private but for `value`. */
typedef struct tw_sums {
    tw_sums_options options;
    tw_sum_values value;
    float label_before;
    double *bin;                      /* [n_bins][2]: weight of negatives and positives; NULL: none */
    tw_calibration_sums *calibration; /* [TW_CALIBRATION_BINS]; NULL: none */
} tw_sums;

/* A row of the calibration table: events whose prediction lies in from .. to. */
typedef struct tw_calibration_row {
    double from, to;
    double n, weight;         /* events; their weight */
    double prediction, label; /* weighted means */
} tw_calibration_row;

TW_MUST_USE tw_status tw_sums_init(tw_sums *self, const tw_sums_options *options, tw_error *error);
void tw_sums_fini(tw_sums *self);

/* Adds events first .. first + n - 1. */
void tw_sums_add(tw_sums *self, const tw_judged *events, uint32_t first, uint32_t n);
/* Adds what `other`, of equal options and later events, holds. */
void tw_sums_merge(tw_sums *self, const tw_sums *other);
/* As after init, but for the label before. */
void tw_sums_reset(tw_sums *self);
void tw_sums_reset_last(tw_sums *self);

/* Figures of `self` and, unless NULL, `other` together. All of them; gauc stays unknown. */
void tw_sums_figures(const tw_sums *self, const tw_sums *other, tw_figures *out);
/* Mean logloss, squared error or distance since the last reset_last, of both; NaN: nothing since. */
double tw_sums_last(const tw_sums *self, const tw_sums *other);

/* Rows with events, ascending, of both; out [TW_CALIBRATION_BINS]. Returns their number, 0 without a table. */
uint32_t tw_sums_calibration(const tw_sums *self, const tw_sums *other, tw_calibration_row *out);

TW_MUST_USE tw_status tw_sums_save(const tw_sums *self, tw_text *out, tw_error *error);
/* Into initialised sums; options of task and bins must be those of the save, else the reader turns bad. */
void tw_sums_load(tw_sums *self, tw_state_reader *from);

#endif
