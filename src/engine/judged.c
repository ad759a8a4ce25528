#include "engine/judged.h"

#include "math/loss.h"

static void judge_logistic(const tw_kernels *kernels, const tw_learner_traits *traits, tw_judged *out)
{
    kernels->logistic(out->score, out->prediction, out->logloss, out->n);
    /* The kernel has the loss of label 1; that of label 0 is the score more. */
    for (uint32_t i = 0; i < out->n; i++)
        out->logloss[i] += (1.0 - (double)out->label[i]) * (double)out->score[i];
    bool is_own = traits->loss.kind == TW_LOSS_LOGISTIC;
    for (uint32_t i = 0; i < out->n; i++)
        out->loss[i] =
            is_own ? out->logloss[i] : tw_loss_value(traits->loss, (double)out->score[i], (double)out->label[i]);
}

void tw_judge(const tw_kernels *kernels,
    const tw_learner_traits *traits,
    const tw_batch *batch,
    const float *scores,
    uint32_t first,
    uint32_t n,
    tw_judged *out)
{
    out->n = n;
    out->label = batch->label + first;
    out->weight = batch->weight + first;
    out->time_us = batch->time_us != NULL ? batch->time_us + first : NULL;
    out->n_facets = batch->n_facets;
    out->facet = batch->n_facets > 0 ? batch->facet + (size_t)first * batch->n_facets : NULL;
    for (uint32_t i = 0; i < n; i++)
        out->score[i] = scores[(size_t)(first + i) * traits->n_outputs];
    if (traits->task == TW_TASK_BINARY && traits->link == TW_LINK_LOGISTIC) {
        judge_logistic(kernels, traits, out);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        out->prediction[i] = tw_link_value(traits->link, (double)out->score[i]);
        out->loss[i] = tw_loss_value(traits->loss, (double)out->score[i], (double)out->label[i]);
    }
}
