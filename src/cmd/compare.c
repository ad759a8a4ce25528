#include "cmd/compare.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"

static bool has_probability(const tw_learner_traits *traits)
{
    return traits->task == TW_TASK_BINARY && traits->link == TW_LINK_LOGISTIC;
}

const char *event_losses_name(const tw_learner_traits *traits)
{
    if (has_probability(traits))
        return "logloss";
    if (traits->task == TW_TASK_REGRESSION)
        return "squared_error";
    return traits->task == TW_TASK_CLUSTERING ? "distance" : "loss";
}

static double loss_of(const tw_learner_traits *traits, const tw_judged *events, uint32_t i)
{
    if (has_probability(traits))
        return events->logloss[i];
    if (traits->task == TW_TASK_CLUSTERING)
        return (double)events->score[i];
    double rest = (double)events->label[i] - events->prediction[i];
    return traits->task == TW_TASK_REGRESSION ? rest * rest : events->loss[i];
}

static void note_identity(event_losses *self, float label, float weight)
{
    uint32_t bits[2];
    memcpy(&bits[0], &label, sizeof label);
    memcpy(&bits[1], &weight, sizeof weight);
    self->identity = tw_mix64(self->identity + 0x9e3779b97f4a7c15ull + ((uint64_t)bits[0] << 32 | bits[1]));
}

tw_status event_losses_add(void *context, const tw_judged *events, tw_error *error)
{
    event_losses *self = context;
    const bool needs_label = self->traits->task != TW_TASK_CLUSTERING;
    tw_status status = tw_grow(&self->loss, sizeof *self->loss, &self->loss_capacity, self->n + events->n, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->weight, sizeof *self->weight, &self->weight_capacity, self->n + events->n, error);
    for (uint32_t i = 0; i < events->n && status == TW_STATUS_OK; i++) {
        if (needs_label && isnan(events->label[i]))
            continue;
        self->loss[self->n] = loss_of(self->traits, events, i);
        self->weight[self->n++] = events->weight[i];
        note_identity(self, needs_label ? events->label[i] : 0, events->weight[i]);
    }
    return status;
}

void event_losses_fini(event_losses *self)
{
    tw_free(self->loss);
    tw_free(self->weight);
    *self = (event_losses){0};
}

bool event_losses_compare(const event_losses *first, const event_losses *second, paired_loss *out)
{
    const double none = (double)NAN;
    *out = (paired_loss){0, none, none, none, none};
    if (first->n != second->n || first->identity != second->identity ||
        strcmp(event_losses_name(first->traits), event_losses_name(second->traits)) != 0)
        return false;
    double sum = 0, weight = 0, spread = 0, n = (double)first->n;
    out->n = first->n;
    for (size_t i = 0; i < first->n; i++) {
        sum += (double)first->weight[i] * (second->loss[i] - first->loss[i]);
        weight += (double)first->weight[i];
    }
    if (weight <= 0)
        return true;
    out->difference = sum / weight;
    for (size_t i = 0; i < first->n; i++) {
        double rest = (double)first->weight[i] * (second->loss[i] - first->loss[i] - out->difference);
        spread += rest * rest;
    }
    if (first->n < 2)
        return true;
    out->error = sqrt(n / (n - 1) * spread) / weight;
    if (out->error > 0) {
        out->z = out->difference / out->error;
        out->p = erfc(fabs(out->z) / sqrt(2.0));
    }
    return true;
}
