/* objective.h: the options by which a linear learner is told its loss, and what they make of its traits. Pure; any
 * thread. */
#ifndef TW_ALGORITHMS_OBJECTIVE_H
#define TW_ALGORITHMS_OBJECTIVE_H

#include <string.h>

#include "thalweg/learner.h"

#define TW_OBJECTIVE_OPTIONS                                                                                           \
    {.name = "loss",                                                                                                   \
        .type = TW_OPTION_CHOICE,                                                                                      \
        .fallback = "logistic",                                                                                        \
        .choices = "logistic|squared|hinge|poisson|quantile",                                                          \
        .help = "logistic or hinge for labels 0 and 1, squared or quantile for real labels, poisson for counts"},      \
    {                                                                                                                  \
        .name = "quantile", .type = TW_OPTION_REAL, .fallback = "0.5", .min = 1e-6, .max = 0.999999,                   \
        .help = "with loss quantile: the share of labels below the prediction; 0.5 is the median"                      \
    }

/* Sets task, loss and link. Hinge is a binary task with the logistic link: sigmoid(score) rises with the margin but is
 * not calibrated. Poisson is a regression whose prediction is e^score. */
static inline void tw_objective_open(const tw_option_values *options, tw_learner_traits *traits)
{
    static const struct {
        const char *name;
        tw_loss_kind loss;
        tw_link_kind link;
        tw_task task;
    } choices[] = {
        {"logistic", TW_LOSS_LOGISTIC, TW_LINK_LOGISTIC, TW_TASK_BINARY},
        {"squared", TW_LOSS_SQUARED, TW_LINK_IDENTITY, TW_TASK_REGRESSION},
        {"hinge", TW_LOSS_HINGE, TW_LINK_LOGISTIC, TW_TASK_BINARY},
        {"poisson", TW_LOSS_POISSON, TW_LINK_EXP, TW_TASK_REGRESSION},
        {"quantile", TW_LOSS_QUANTILE, TW_LINK_IDENTITY, TW_TASK_REGRESSION},
    };
    const char *name = tw_option_text(options, "loss");
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        if (strcmp(choices[i].name, name) != 0)
            continue;
        traits->loss = (tw_loss){choices[i].loss, tw_option_real(options, "quantile")};
        traits->link = choices[i].link;
        traits->task = choices[i].task;
    }
}

/* INVALID for a label that the loss does not take. `name` is the learner's, `i` the event's place in its batch. */
static inline tw_status tw_objective_check(tw_loss loss, const char *name, uint32_t i, float label, tw_error *error)
{
    if (loss.kind != TW_LOSS_POISSON || label >= 0.0f)
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_INVALID,
        "%s: the label of event %u of the batch is %g; loss poisson takes labels of 0 or more", name, i, (double)label);
}

#endif
