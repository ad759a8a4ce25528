/* figures.h: the figures of an evaluation by name: of a whole run, of a window, of a model on a test set. A figure that
 * cannot be known (another task, no labels, one class only, not selected) is NaN here and null or "-" where it is
 * printed, never 0. docs/en/evaluation.md has the formulas and their sources.
 *
 * Thread rule: values and pure functions. */
#ifndef TW_ENGINE_FIGURES_H
#define TW_ENGINE_FIGURES_H

#include <stddef.h>
#include <string.h>

#include "thalweg/learner.h"

/* Weighted by importance unless said otherwise; p the prediction link(score), y the label, class: score above the
 * margin of the threshold. */
typedef struct tw_figures {
    uint64_t events;              /* scored, with a label or not; not weighted */
    uint64_t labelled;            /* with a label */
    uint64_t positives;           /* with label 1 */
    double loss;                  /* mean of the learner's own loss (thalweg/loss.h) */
    double logloss;               /* binary, p a probability: mean of -y log p - (1 - y) log(1 - p) */
    double best_constant_logloss; /* -b log b - (1 - b) log(1 - b), b the share of positives */
    double normalized_entropy;    /* logloss / best_constant_logloss */
    double auc;                   /* P(score of a positive > score of a negative) + P(equal) / 2 */
    double auc_error;             /* bound on the error of a binned AUC; 0: exact */
    double gauc;        /* mean over groups of their AUC, weighted by the groups' weight; exact over kept events */
    double gauc_events; /* labelled events in groups that have both classes, of those kept */
    double calibration; /* sum of p / sum of y */
    double accuracy, precision, recall, f1;
    double kappa;              /* (a - c) / (1 - c), a the accuracy, c that of guessing with the same class shares */
    double kappa_no_change;    /* the same with c the accuracy of repeating the label before */
    double mse, rmse, mae, r2; /* regression, by p; r2 = 1 - sum (y - p)^2 / sum (y - mean y)^2 */
    double inertia;            /* clustering: mean squared distance to the centre assigned before learning */
} tw_figures;

typedef struct tw_figure_entry {
    const char *name;   /* in reports, window files, evaluate.metrics and conditions */
    const char *metric; /* behind "thalweg_" at the metrics endpoint */
    const char *help;   /* one line, no full stop */
    size_t offset;      /* of a double in tw_figures */
    unsigned tasks;     /* 1 << tw_task of those that have it */
    bool is_rising;     /* a larger value is better */
} tw_figure_entry;

/* The table of all figures that are doubles, in the order in which they are shown. */
const tw_figure_entry *tw_figure_table(size_t *count);
/* NULL: no figure of that name. */
const tw_figure_entry *tw_figure_find(const char *name);

static inline double tw_figure_value(const tw_figures *self, const tw_figure_entry *figure)
{
    double value;
    memcpy(&value, (const char *)self + figure->offset, sizeof value);
    return value;
}

/* A set of figures: bit i stands for entry i of the table. */
typedef uint64_t tw_figure_set;
#define TW_FIGURES_ALL               UINT64_MAX
#define TW_FIGURES_CALIBRATION_TABLE (1ull << 63) /* not in the table: tw_metrics_calibration */

static inline bool tw_figure_is_in(tw_figure_set set, size_t index)
{
    return (set >> index & 1) != 0;
}

/* All NaN, all counts 0. */
void tw_figures_clear(tw_figures *self);
/* Makes what is not in the set unknown. */
void tw_figures_keep(tw_figures *self, tw_figure_set set);

#endif
