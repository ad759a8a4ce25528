#include "engine/figures.h"

#include <math.h>
#include <string.h>

enum {
    BINARY = 1u << TW_TASK_BINARY,
    REGRESSION = 1u << TW_TASK_REGRESSION,
    CLUSTERING = 1u << TW_TASK_CLUSTERING,
    LABELLED = BINARY | REGRESSION,
};

#define FIGURE(name, metric, tasks, is_rising, help)                                                                   \
    {                                                                                                                  \
#name, metric, help, offsetof(tw_figures, name), tasks, is_rising                                              \
    }

static const tw_figure_entry table[] = {
    FIGURE(loss, "progressive_loss", LABELLED, false, "Mean of the loss that the learner lowers"),
    FIGURE(logloss, "progressive_logloss", BINARY, false, "Mean logloss, each event scored before it is learned"),
    FIGURE(best_constant_logloss, "best_constant_logloss", BINARY, false, "Logloss of the best constant"),
    FIGURE(normalized_entropy, "normalized_entropy_ratio", BINARY, false, "Logloss over that of the best constant"),
    FIGURE(auc, "progressive_auc", BINARY, true, "Progressive AUC"),
    FIGURE(auc_error, "progressive_auc_error", BINARY, false, "Bound on the error of the AUC"),
    FIGURE(gauc, "progressive_gauc", BINARY, true, "AUC within groups"),
    FIGURE(gauc_events, "progressive_gauc_events", BINARY, true, "Events that the AUC within groups covers"),
    FIGURE(calibration, "calibration_ratio", LABELLED, true, "Sum of predictions over sum of labels"),
    FIGURE(accuracy, "progressive_accuracy", BINARY, true, "Share of events whose class is predicted"),
    FIGURE(precision, "progressive_precision", BINARY, true, "Share of positives among predicted positives"),
    FIGURE(recall, "progressive_recall", BINARY, true, "Share of positives that are predicted"),
    FIGURE(f1, "progressive_f1", BINARY, true, "Harmonic mean of precision and recall"),
    FIGURE(kappa, "progressive_kappa", BINARY, true, "Accuracy above that of guessing"),
    FIGURE(kappa_no_change, "progressive_kappa_no_change", BINARY, true, "Accuracy above that of the label before"),
    FIGURE(mse, "progressive_mse", REGRESSION, false, "Mean squared error"),
    FIGURE(rmse, "progressive_rmse", REGRESSION, false, "Root of the mean squared error"),
    FIGURE(mae, "progressive_mae", REGRESSION, false, "Mean absolute error"),
    FIGURE(r2, "progressive_r2", REGRESSION, true, "Share of the labels' variance that is predicted"),
    FIGURE(inertia, "inertia", CLUSTERING, false, "Mean squared distance to the nearest centre"),
};

enum { N_FIGURES = sizeof table / sizeof table[0] };

const tw_figure_entry *tw_figure_table(size_t *count)
{
    *count = N_FIGURES;
    return table;
}

const tw_figure_entry *tw_figure_find(const char *name)
{
    for (size_t i = 0; i < N_FIGURES; i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

static void forget(tw_figures *self, size_t index)
{
    const double unknown = (double)NAN;
    memcpy((char *)self + table[index].offset, &unknown, sizeof unknown);
}

void tw_figures_clear(tw_figures *self)
{
    memset(self, 0, sizeof *self);
    for (size_t i = 0; i < N_FIGURES; i++)
        forget(self, i);
}

void tw_figures_keep(tw_figures *self, tw_figure_set set)
{
    for (size_t i = 0; i < N_FIGURES; i++) {
        if (!tw_figure_is_in(set, i))
            forget(self, i);
    }
}
