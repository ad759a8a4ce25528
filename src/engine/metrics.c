#include "engine/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "math/kernels.h"

enum { N_BINS = 8192, BINS_PER_UNIT = 256, N_TOGETHER = 64 };
static const size_t bin_bytes = sizeof(double[N_BINS][2]);

/* What is saved, in this order, as f64 and u64. */
typedef struct metric_sums {
    uint64_t events, labelled, positives, scored;
    double weight, label, label_squared, prediction;
    double loss; /* logloss, or squared error */
    double absolute_error;
    double distance;
    double last_weight, last_loss; /* since the last report that reset them */
} metric_sums;

typedef struct scored_event {
    float score, weight;
    uint32_t is_positive;
} scored_event;

struct tw_metrics {
    const tw_kernels *kernels;
    tw_task task;
    uint32_t n_outputs;
    bool is_exact;
    metric_sums sum;
    scored_event *event; /* exact AUC: every labelled event */
    size_t n_events, capacity;
    double *bin; /* [N_BINS][2]: weight of negatives and positives */
};

tw_status tw_metrics_create(tw_task task, uint32_t n_outputs, bool is_exact, tw_metrics **out, tw_error *error)
{
    *out = NULL;
    tw_metrics *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->kernels = tw_kernels_best();
    self->task = task;
    self->n_outputs = n_outputs;
    self->is_exact = is_exact && task == TW_TASK_BINARY;
    if (task == TW_TASK_BINARY) {
        self->bin = tw_alloc_zero(bin_bytes);
        if (self->bin == NULL) {
            tw_free(self);
            return tw_no_memory(error, bin_bytes);
        }
    }
    *out = self;
    return TW_STATUS_OK;
}

void tw_metrics_destroy(tw_metrics **self)
{
    if (*self == NULL)
        return;
    tw_free((*self)->bin);
    tw_free((*self)->event);
    tw_free(*self);
    *self = NULL;
}

static size_t bin_of(float margin)
{
    float at = (margin + (float)N_BINS / (2 * BINS_PER_UNIT)) * BINS_PER_UNIT;
    if (!(at > 0))
        return 0;
    return at < (float)(N_BINS - 1) ? (size_t)at : N_BINS - 1;
}

/* loss_if_positive: the loss that the event has with label 1. */
static void add_binary(
    metric_sums *sum, double *bin, float label, float weight, float margin, double probability, double loss_if_positive)
{
    double w = (double)weight;
    double loss = w * (loss_if_positive + (1.0 - (double)label) * (double)margin);
    sum->labelled++;
    sum->weight += w;
    sum->label += w * (double)label;
    sum->prediction += w * probability;
    sum->loss += loss;
    sum->last_weight += w;
    sum->last_loss += loss;
    sum->positives += label > 0.5f;
    bin[bin_of(margin) * 2 + (label > 0.5f)] += w;
}

static void add_binary_batch(tw_metrics *self, const tw_batch *batch, const float *scores)
{
    float margin[N_TOGETHER];
    double probability[N_TOGETHER], loss[N_TOGETHER];
    metric_sums sum = self->sum;
    for (uint32_t start = 0; start < batch->n_events; start += N_TOGETHER) {
        uint32_t left = batch->n_events - start, n = left < N_TOGETHER ? left : N_TOGETHER;
        for (uint32_t i = 0; i < n; i++)
            margin[i] = scores[(size_t)(start + i) * self->n_outputs];
        self->kernels->logistic(margin, probability, loss, n);
        for (uint32_t i = 0; i < n; i++) {
            float label = batch->label[start + i];
            if (!isnan(label))
                add_binary(&sum, self->bin, label, batch->weight[start + i], margin[i], probability[i], loss[i]);
        }
    }
    self->sum = sum;
}

static void add_regression(tw_metrics *self, float label, float weight, float score)
{
    metric_sums *sum = &self->sum;
    double w = (double)weight;
    double y = (double)label;
    double residual = y - (double)score;
    sum->weight += w;
    sum->label += w * y;
    sum->label_squared += w * y * y;
    sum->prediction += w * (double)score;
    sum->loss += w * residual * residual;
    sum->absolute_error += w * fabs(residual);
    sum->last_weight += w;
    sum->last_loss += w * residual * residual;
}

static void add_distance(tw_metrics *self, float weight, float distance)
{
    if (isnan(distance))
        return;
    self->sum.scored++;
    self->sum.weight += (double)weight;
    self->sum.distance += (double)weight * (double)distance;
    self->sum.last_weight += (double)weight;
    self->sum.last_loss += (double)weight * (double)distance;
}

static tw_status keep_exact(tw_metrics *self, const tw_batch *batch, const float *scores, tw_error *error)
{
    tw_status status =
        tw_grow(&self->event, sizeof *self->event, &self->capacity, self->n_events + batch->n_events, error);
    for (uint32_t i = 0; i < batch->n_events && status == TW_STATUS_OK; i++) {
        if (!isnan(batch->label[i]))
            self->event[self->n_events++] = (scored_event){
                .score = scores[(size_t)i * self->n_outputs],
                .weight = batch->weight[i],
                .is_positive = batch->label[i] > 0.5f,
            };
    }
    return status;
}

tw_status tw_metrics_add(tw_metrics *self, const tw_batch *batch, const float *scores, tw_error *error)
{
    if (self->is_exact) {
        tw_status status = keep_exact(self, batch, scores, error);
        if (status < 0)
            return status;
    }
    self->sum.events += batch->n_events;
    if (self->task == TW_TASK_BINARY) {
        add_binary_batch(self, batch, scores);
        return TW_STATUS_OK;
    }
    for (uint32_t i = 0; i < batch->n_events; i++) {
        float score = scores[(size_t)i * self->n_outputs];
        if (self->task == TW_TASK_CLUSTERING) {
            add_distance(self, batch->weight[i], score);
            continue;
        }
        if (self->task == TW_TASK_COUNTING || isnan(batch->label[i]))
            continue;
        self->sum.labelled++;
        add_regression(self, batch->label[i], batch->weight[i], score);
    }
    return TW_STATUS_OK;
}

/* Area by the trapezoid over bins: a pair in one bin counts a half, so `error` is half the share of such pairs. */
static double auc_binned(const tw_metrics *self, double *error)
{
    double negatives = 0, positives = 0, area = 0, tied = 0;
    for (size_t i = 0; i < N_BINS; i++) {
        double n = self->bin[i * 2], p = self->bin[i * 2 + 1];
        area += p * (negatives + n / 2);
        tied += p * n;
        negatives += n;
        positives += p;
    }
    *error = tied / 2 / (negatives * positives);
    return area / (negatives * positives);
}

static int event_compare(const void *left, const void *right)
{
    float a = ((const scored_event *)left)->score, b = ((const scored_event *)right)->score;
    return (a > b) - (a < b);
}

static double auc_exact(tw_metrics *self)
{
    if (self->n_events == 0)
        return (double)NAN;
    qsort(self->event, self->n_events, sizeof *self->event, event_compare);
    double sum[2] = {0, 0}, area = 0;
    for (size_t i = 0; i < self->n_events;) {
        double tied[2] = {0, 0};
        float score = self->event[i].score;
        for (; i < self->n_events && self->event[i].score == score; i++)
            tied[self->event[i].is_positive] += (double)self->event[i].weight;
        area += tied[1] * (sum[0] + tied[0] / 2);
        sum[0] += tied[0];
        sum[1] += tied[1];
    }
    return area / (sum[0] * sum[1]);
}

static double entropy(double share)
{
    if (!(share > 0 && share < 1))
        return share == 0 || share == 1 ? 0.0 : (double)NAN;
    return -share * log(share) - (1 - share) * log1p(-share);
}

static double ratio(double numerator, double denominator)
{
    return denominator != 0 ? numerator / denominator : (double)NAN;
}

static void report_nothing(tw_report *out)
{
    double none = (double)NAN;
    out->logloss = out->logloss_last = out->best_constant_logloss = out->normalized_entropy = none;
    out->auc = out->calibration = out->mse = out->mae = out->r2 = out->inertia = out->inertia_last = none;
    out->auc_error = 0;
}

void tw_metrics_report(tw_metrics *self, bool is_last_reset, tw_report *out)
{
    metric_sums *sum = &self->sum;
    report_nothing(out);
    out->task = self->task;
    out->events = sum->events;
    out->positives = sum->positives;
    double last = ratio(sum->last_loss, sum->last_weight);
    if (self->task == TW_TASK_BINARY) {
        out->logloss = ratio(sum->loss, sum->weight);
        out->logloss_last = last;
        out->best_constant_logloss = entropy(ratio(sum->label, sum->weight));
        out->normalized_entropy = ratio(out->logloss, out->best_constant_logloss);
        out->calibration = ratio(sum->prediction, sum->label);
        out->auc = self->is_exact ? auc_exact(self) : auc_binned(self, &out->auc_error);
    } else if (self->task == TW_TASK_REGRESSION) {
        double variance = ratio(sum->label_squared, sum->weight) - pow(ratio(sum->label, sum->weight), 2);
        out->mse = ratio(sum->loss, sum->weight);
        out->mae = ratio(sum->absolute_error, sum->weight);
        out->r2 = variance > 0 ? 1 - out->mse / variance : (double)NAN;
        out->calibration = ratio(sum->prediction, sum->label);
    } else if (self->task == TW_TASK_CLUSTERING) {
        out->inertia = ratio(sum->distance, sum->weight);
        out->inertia_last = last;
    }
    if (is_last_reset)
        sum->last_loss = sum->last_weight = 0;
}

/* Layout: magic u64, task u64, sums, number of bins in use u64, then (index u64, negatives f64, positives f64) each. */
static const uint64_t metrics_magic = 0x3153434952544d54u; /* "TMTRICS1" */

typedef struct saved_bin {
    uint64_t index;
    double weight[2];
} saved_bin;

tw_status tw_metrics_save(const tw_metrics *self, void **bytes, size_t *size, tw_error *error)
{
    uint64_t n_bins = 0;
    for (size_t i = 0; self->bin != NULL && i < N_BINS; i++)
        n_bins += self->bin[i * 2] != 0 || self->bin[i * 2 + 1] != 0;
    uint64_t head[2] = {metrics_magic, (uint64_t)self->task};
    *size = sizeof head + sizeof self->sum + sizeof n_bins + n_bins * sizeof(saved_bin);
    char *at = tw_alloc(*size);
    *bytes = at;
    if (at == NULL)
        return tw_no_memory(error, *size);
    memcpy(at, head, sizeof head);
    memcpy(at += sizeof head, &self->sum, sizeof self->sum);
    memcpy(at += sizeof self->sum, &n_bins, sizeof n_bins);
    at += sizeof n_bins;
    for (size_t i = 0; self->bin != NULL && i < N_BINS; i++) {
        saved_bin bin = {i, {self->bin[i * 2], self->bin[i * 2 + 1]}};
        if (bin.weight[0] == 0 && bin.weight[1] == 0)
            continue;
        memcpy(at, &bin, sizeof bin);
        at += sizeof bin;
    }
    return TW_STATUS_OK;
}

tw_status tw_metrics_load(tw_metrics *self, const void *bytes, size_t size, tw_error *error)
{
    uint64_t head[2], n_bins;
    const char *at = bytes;
    size_t fixed = sizeof head + sizeof self->sum + sizeof n_bins;
    if (size < fixed)
        return tw_error_set(error, TW_STATUS_CORRUPT, "saved metrics: %zu bytes, at least %zu needed", size, fixed);
    memcpy(head, at, sizeof head);
    memcpy(&n_bins, at + sizeof head + sizeof self->sum, sizeof n_bins);
    if (head[0] != metrics_magic || head[1] != (uint64_t)self->task || n_bins > N_BINS ||
        size != fixed + n_bins * sizeof(saved_bin) || (n_bins > 0 && self->bin == NULL))
        return tw_error_set(error, TW_STATUS_CORRUPT, "saved metrics: of another task or version");
    memcpy(&self->sum, at + sizeof head, sizeof self->sum);
    for (uint64_t i = 0; i < n_bins; i++) {
        saved_bin bin;
        memcpy(&bin, at + fixed + i * sizeof bin, sizeof bin);
        if (bin.index >= N_BINS)
            return tw_error_set(
                error, TW_STATUS_CORRUPT, "saved metrics: bin %llu of %d", (unsigned long long)bin.index, N_BINS);
        memcpy(&self->bin[bin.index * 2], bin.weight, sizeof bin.weight);
    }
    return TW_STATUS_OK;
}
