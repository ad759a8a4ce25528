#include "engine/kept.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"

void tw_kept_fini(tw_kept *self)
{
    tw_free(self->event);
    *self = (tw_kept){.limit = self->limit};
}

static tw_status reserve(tw_kept *self, size_t n, tw_error *error)
{
    size_t wanted = self->count + n;
    if (self->limit > 0 && wanted > self->limit)
        wanted = (size_t)self->limit;
    return tw_grow(&self->event, sizeof *self->event, &self->capacity, wanted, error);
}

static void put(tw_kept *self, const tw_kept_event *event)
{
    if (self->limit == 0 || self->count < self->limit) {
        self->event[self->count++] = *event;
        return;
    }
    self->event[self->oldest++] = *event;
    if (self->oldest == self->limit)
        self->oldest = 0;
}

tw_status tw_kept_add(tw_kept *self, const tw_judged *events, uint32_t facet, tw_error *error)
{
    tw_status status = reserve(self, events->n, error);
    if (status < 0)
        return status;
    const bool has_group = facet < events->n_facets;
    for (uint32_t i = 0; i < events->n; i++) {
        if (isnan(events->label[i]))
            continue;
        tw_kept_event event = {
            .group = has_group ? events->facet[(size_t)i * events->n_facets + facet] : 0,
            .score = events->score[i],
            .weight = events->weight[i],
            .is_positive = events->label[i] > 0.5f,
        };
        put(self, &event);
    }
    return TW_STATUS_OK;
}

/* --- figures ------------------------------------------------------------------------------------------------------ */

/* Equal scores are told apart by label and weight, so that sums do not depend on the order that events came in. */
static int compare_scores(const void *left, const void *right)
{
    const tw_kept_event *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? 1 : -1;
    if (a->is_positive != b->is_positive)
        return a->is_positive > b->is_positive ? 1 : -1;
    return (a->weight > b->weight) - (a->weight < b->weight);
}

static int compare_groups(const void *left, const void *right)
{
    const tw_kept_event *a = left, *b = right;
    if (a->group != b->group)
        return a->group > b->group ? 1 : -1;
    return compare_scores(left, right);
}

/* AUC of events in ascending order; *weight: all of them. */
static double sorted_auc(const tw_kept_event *event, size_t n, double *weight)
{
    double sum[2] = {0, 0}, area = 0;
    for (size_t i = 0; i < n;) {
        double tied[2] = {0, 0};
        float score = event[i].score;
        for (; i < n && event[i].score == score; i++)
            tied[event[i].is_positive] += (double)event[i].weight;
        area += tied[1] * (sum[0] + tied[0] / 2);
        sum[0] += tied[0];
        sum[1] += tied[1];
    }
    *weight = sum[0] + sum[1];
    return sum[0] * sum[1] > 0 ? area / (sum[0] * sum[1]) : (double)NAN;
}

double tw_kept_auc(tw_kept *self)
{
    double weight = 0;
    if (self->count == 0)
        return (double)NAN;
    qsort(self->event, self->count, sizeof *self->event, compare_scores);
    return sorted_auc(self->event, self->count, &weight);
}

static double gauc_of(const tw_kept_event *event, size_t n, double *n_events)
{
    double sum = 0, all = 0;
    for (size_t start = 0, end = 0; start < n; start = end) {
        while (end < n && event[end].group == event[start].group)
            end++;
        double weight = 0, auc = sorted_auc(event + start, end - start, &weight);
        if (event[start].group == 0 || isnan(auc))
            continue;
        sum += weight * auc;
        all += weight;
        *n_events += (double)(end - start);
    }
    return all > 0 ? sum / all : (double)NAN;
}

double tw_kept_gauc(tw_kept *self, double *n_events)
{
    *n_events = 0;
    if (self->count == 0)
        return (double)NAN;
    /* The ring's order is its age: sort a copy. */
    tw_kept_event *sorted = tw_alloc(self->count * sizeof *sorted);
    if (sorted == NULL)
        return (double)NAN;
    memcpy(sorted, self->event, self->count * sizeof *sorted);
    qsort(sorted, self->count, sizeof *sorted, compare_groups);
    double gauc = gauc_of(sorted, self->count, n_events);
    tw_free(sorted);
    return gauc;
}

/* --- state -------------------------------------------------------------------------------------------------------- */

tw_status tw_kept_save(const tw_kept *self, tw_text *out, tw_error *error)
{
    tw_status status = tw_state_put_u64(out, self->count, error);
    size_t newer = self->count - self->oldest;
    if (status == TW_STATUS_OK && newer > 0)
        status = tw_state_put(out, self->event + self->oldest, newer * sizeof *self->event, error);
    if (status == TW_STATUS_OK && self->oldest > 0)
        status = tw_state_put(out, self->event, self->oldest * sizeof *self->event, error);
    return status;
}

tw_status tw_kept_load(tw_kept *self, tw_state_reader *from, tw_error *error)
{
    uint64_t count = tw_state_take_count(from, sizeof(tw_kept_event));
    self->count = self->oldest = 0;
    tw_status status = reserve(self, (size_t)count, error);
    for (uint64_t i = 0; i < count && status == TW_STATUS_OK; i++) {
        tw_kept_event event;
        tw_state_take(from, &event, sizeof event);
        if (event.is_positive > 1)
            from->is_bad = true;
        else
            put(self, &event);
    }
    return status;
}
