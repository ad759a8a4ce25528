#include "engine/sums.h"

#include <math.h>

#include "base/alloc.h"
#include "math/function.h"

static size_t bin_bytes(const tw_sums *self)
{
    return (size_t)self->options.n_bins * sizeof(double[2]);
}

static const size_t calibration_bytes = TW_CALIBRATION_BINS * sizeof(tw_calibration_sums);

tw_status tw_sums_init(tw_sums *self, const tw_sums_options *options, tw_error *error)
{
    memset(self, 0, sizeof *self);
    self->options = *options;
    if (options->task != TW_TASK_BINARY)
        self->options.n_bins = 0;
    self->options.has_calibration = options->has_calibration && options->has_probability && self->options.n_bins > 0;
    if (self->options.n_bins > 0) {
        self->bin = tw_alloc_zero(bin_bytes(self));
        if (self->bin == NULL)
            return tw_no_memory(error, bin_bytes(self));
    }
    if (self->options.has_calibration) {
        self->calibration = tw_alloc_zero(calibration_bytes);
        if (self->calibration == NULL) {
            tw_sums_fini(self);
            return tw_no_memory(error, calibration_bytes);
        }
    }
    return TW_STATUS_OK;
}

void tw_sums_fini(tw_sums *self)
{
    tw_free(self->bin);
    tw_free(self->calibration);
    self->bin = NULL;
    self->calibration = NULL;
}

/* --- adding ------------------------------------------------------------------------------------------------------- */

static size_t bin_of(float score, float per_unit, uint32_t n_bins)
{
    float at = (score + (float)TW_SUMS_SCORE_LIMIT) * per_unit;
    if (!(at > 0))
        return 0;
    return at < (float)(n_bins - 1) ? (size_t)at : n_bins - 1;
}

static void add_bins(tw_sums *self, const tw_judged *events, uint32_t first, uint32_t end)
{
    const uint32_t n_bins = self->options.n_bins, per_row = n_bins / TW_CALIBRATION_BINS;
    const float per_unit = (float)n_bins / (2 * TW_SUMS_SCORE_LIMIT);
    for (uint32_t i = first; i < end; i++) {
        if (isnan(events->label[i]))
            continue;
        double w = (double)events->weight[i];
        size_t bin = bin_of(events->score[i], per_unit, n_bins);
        self->bin[bin * 2 + (events->label[i] > 0.5f)] += w;
        if (self->calibration == NULL)
            continue;
        self->calibration[bin / per_row].n += 1;
        self->calibration[bin / per_row].prediction += w * events->prediction[i];
    }
}

static void add_binary(tw_sums *self, const tw_judged *events, uint32_t first, uint32_t end)
{
    tw_sum_values sum = self->value;
    float before = self->label_before;
    const bool has_probability = self->options.has_probability;
    for (uint32_t i = first; i < end; i++) {
        float label = events->label[i];
        if (isnan(label))
            continue;
        double w = (double)events->weight[i];
        double cost = w * (has_probability ? events->logloss[i] : events->loss[i]);
        bool is_positive = label > 0.5f;
        sum.labelled++;
        sum.positives += is_positive;
        sum.weight += w;
        sum.label += w * (double)label;
        sum.prediction += w * events->prediction[i];
        sum.loss += w * events->loss[i];
        sum.logloss += cost;
        sum.last_loss += cost;
        sum.last_weight += w;
        sum.cell[(events->score[i] > self->options.margin) * 2 + is_positive] += w;
        sum.no_change += label == before ? w : 0;
        before = label;
    }
    self->value = sum;
    self->label_before = before;
    if (self->bin != NULL)
        add_bins(self, events, first, end);
}

static void add_regression(tw_sum_values *sum, const tw_judged *events, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        if (isnan(events->label[i]))
            continue;
        double w = (double)events->weight[i], y = (double)events->label[i];
        double residual = y - events->prediction[i];
        sum->labelled++;
        sum->weight += w;
        sum->label += w * y;
        sum->label_squared += w * y * y;
        sum->prediction += w * events->prediction[i];
        sum->loss += w * events->loss[i];
        sum->squared_error += w * residual * residual;
        sum->absolute_error += w * fabs(residual);
        sum->last_weight += w;
        sum->last_loss += w * residual * residual;
    }
}

static void add_distances(tw_sum_values *sum, const tw_judged *events, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        if (isnan(events->score[i]))
            continue;
        double w = (double)events->weight[i], distance = w * (double)events->score[i];
        sum->scored++;
        sum->weight += w;
        sum->distance += distance;
        sum->last_weight += w;
        sum->last_loss += distance;
    }
}

void tw_sums_add(tw_sums *self, const tw_judged *events, uint32_t first, uint32_t n)
{
    const uint32_t end = first + n;
    self->value.events += n;
    if (self->options.task == TW_TASK_BINARY)
        add_binary(self, events, first, end);
    else if (self->options.task == TW_TASK_REGRESSION)
        add_regression(&self->value, events, first, end);
    else if (self->options.task == TW_TASK_CLUSTERING)
        add_distances(&self->value, events, first, end);
}

static void add_values(tw_sum_values *to, const tw_sum_values *from)
{
    to->events += from->events;
    to->labelled += from->labelled;
    to->positives += from->positives;
    to->scored += from->scored;
    to->weight += from->weight;
    to->label += from->label;
    to->label_squared += from->label_squared;
    to->prediction += from->prediction;
    to->loss += from->loss;
    to->logloss += from->logloss;
    to->squared_error += from->squared_error;
    to->absolute_error += from->absolute_error;
    to->distance += from->distance;
    for (int i = 0; i < 4; i++)
        to->cell[i] += from->cell[i];
    to->no_change += from->no_change;
    to->last_weight += from->last_weight;
    to->last_loss += from->last_loss;
}

void tw_sums_merge(tw_sums *self, const tw_sums *other)
{
    add_values(&self->value, &other->value);
    self->label_before = other->label_before;
    for (size_t i = 0; self->bin != NULL && i < (size_t)self->options.n_bins * 2; i++)
        self->bin[i] += other->bin[i];
    for (size_t i = 0; self->calibration != NULL && i < TW_CALIBRATION_BINS; i++) {
        self->calibration[i].n += other->calibration[i].n;
        self->calibration[i].prediction += other->calibration[i].prediction;
    }
}

void tw_sums_reset(tw_sums *self)
{
    memset(&self->value, 0, sizeof self->value);
    if (self->bin != NULL)
        memset(self->bin, 0, bin_bytes(self));
    if (self->calibration != NULL)
        memset(self->calibration, 0, calibration_bytes);
}

void tw_sums_reset_last(tw_sums *self)
{
    self->value.last_weight = self->value.last_loss = 0;
}

/* --- figures ------------------------------------------------------------------------------------------------------ */

static double ratio(double numerator, double denominator)
{
    return denominator != 0 ? numerator / denominator : (double)NAN;
}

static double entropy(double share)
{
    if (!(share > 0 && share < 1))
        return share == 0 || share == 1 ? 0.0 : (double)NAN;
    return -share * tw_log(share) - (1 - share) * tw_log(1 - share);
}

/* Area by the trapezoid over bins: a pair in one bin counts a half, so the error is at most half the share of such
 * pairs. */
static void report_auc(const tw_sums *self, const tw_sums *other, tw_figures *out)
{
    double negatives = 0, positives = 0, area = 0, tied = 0;
    for (size_t i = 0; i < self->options.n_bins; i++) {
        double n = self->bin[i * 2], p = self->bin[i * 2 + 1];
        if (other != NULL) {
            n += other->bin[i * 2];
            p += other->bin[i * 2 + 1];
        }
        area += p * (negatives + n / 2);
        tied += p * n;
        negatives += n;
        positives += p;
    }
    out->auc = ratio(area, negatives * positives);
    out->auc_error = ratio(tied / 2, negatives * positives);
}

/* Accuracy above that of a classifier that is right by chance `c`; unknown where chance is always right. */
static double kappa(double accuracy, double c)
{
    return ratio(accuracy - c, 1 - c);
}

static void report_classes(const tw_sum_values *sum, tw_figures *out)
{
    double all = sum->weight;
    double right_negative = sum->cell[0], missed = sum->cell[1], false_alarm = sum->cell[2], hit = sum->cell[3];
    double predicted = false_alarm + hit, actual = missed + hit;
    out->accuracy = ratio(right_negative + hit, all);
    out->precision = ratio(hit, predicted);
    out->recall = ratio(hit, actual);
    out->f1 = ratio(2 * hit, predicted + actual);
    double chance = ratio(predicted * actual + (all - predicted) * (all - actual), all * all);
    out->kappa = kappa(out->accuracy, chance);
    out->kappa_no_change = kappa(out->accuracy, ratio(sum->no_change, all));
}

static void report_regression(const tw_sum_values *sum, tw_figures *out)
{
    double mean = ratio(sum->label, sum->weight);
    double variance = ratio(sum->label_squared, sum->weight) - mean * mean;
    out->mse = ratio(sum->squared_error, sum->weight);
    out->rmse = sqrt(out->mse);
    out->mae = ratio(sum->absolute_error, sum->weight);
    out->r2 = variance > 0 ? 1 - out->mse / variance : (double)NAN;
    out->calibration = ratio(sum->prediction, sum->label);
}

static tw_sum_values values_of(const tw_sums *self, const tw_sums *other)
{
    tw_sum_values sum = self->value;
    if (other != NULL)
        add_values(&sum, &other->value);
    return sum;
}

void tw_sums_figures(const tw_sums *self, const tw_sums *other, tw_figures *out)
{
    tw_sum_values sum = values_of(self, other);
    tw_figures_clear(out);
    out->events = sum.events;
    out->labelled = sum.labelled;
    out->positives = sum.positives;
    switch (self->options.task) {
    case TW_TASK_BINARY:
        out->loss = ratio(sum.loss, sum.weight);
        if (self->options.has_probability) {
            out->logloss = ratio(sum.logloss, sum.weight);
            out->best_constant_logloss = entropy(ratio(sum.label, sum.weight));
            out->normalized_entropy = ratio(out->logloss, out->best_constant_logloss);
            out->calibration = ratio(sum.prediction, sum.label);
        }
        report_classes(&sum, out);
        if (self->bin != NULL)
            report_auc(self, other, out);
        break;
    case TW_TASK_REGRESSION:
        out->loss = ratio(sum.loss, sum.weight);
        report_regression(&sum, out);
        break;
    case TW_TASK_CLUSTERING:
        out->inertia = ratio(sum.distance, sum.weight);
        break;
    case TW_TASK_COUNTING:
        break;
    }
}

double tw_sums_last(const tw_sums *self, const tw_sums *other)
{
    tw_sum_values sum = values_of(self, other);
    return ratio(sum.last_loss, sum.last_weight);
}

/* Where row `index` begins, as a probability. */
static double calibration_edge(uint32_t index)
{
    if (index == 0 || index == TW_CALIBRATION_BINS)
        return index == 0 ? 0.0 : 1.0;
    return tw_sigmoid((double)index * (2.0 * TW_SUMS_SCORE_LIMIT / TW_CALIBRATION_BINS) - TW_SUMS_SCORE_LIMIT);
}

uint32_t tw_sums_calibration(const tw_sums *self, const tw_sums *other, tw_calibration_row *out)
{
    uint32_t n_rows = 0;
    const size_t per_row = self->options.n_bins / TW_CALIBRATION_BINS;
    for (uint32_t i = 0; self->calibration != NULL && i < TW_CALIBRATION_BINS; i++) {
        tw_calibration_sums sum = self->calibration[i];
        double negatives = 0, positives = 0;
        for (size_t bin = i * per_row; bin < (i + 1) * per_row; bin++) {
            negatives += self->bin[bin * 2] + (other != NULL ? other->bin[bin * 2] : 0);
            positives += self->bin[bin * 2 + 1] + (other != NULL ? other->bin[bin * 2 + 1] : 0);
        }
        if (other != NULL) {
            sum.n += other->calibration[i].n;
            sum.prediction += other->calibration[i].prediction;
        }
        if (sum.n == 0)
            continue;
        double weight = negatives + positives;
        out[n_rows++] = (tw_calibration_row){calibration_edge(i), calibration_edge(i + 1), sum.n, weight,
            ratio(sum.prediction, weight), ratio(positives, weight)};
    }
    return n_rows;
}

/* --- state -------------------------------------------------------------------------------------------------------- */

typedef struct saved_bin {
    uint64_t index;
    double weight[2];
} saved_bin;

tw_status tw_sums_save(const tw_sums *self, tw_text *out, tw_error *error)
{
    const uint64_t n_bins = self->options.n_bins, has_calibration = self->calibration != NULL;
    uint64_t n_used = 0;
    for (size_t i = 0; i < n_bins; i++)
        n_used += self->bin[i * 2] != 0 || self->bin[i * 2 + 1] != 0;
    double before = (double)self->label_before;
    tw_status status = tw_state_put(out, &self->value, sizeof self->value, error);
    if (status == TW_STATUS_OK)
        status = tw_state_put(out, &before, sizeof before, error);
    if (status == TW_STATUS_OK)
        status = tw_state_put_u64(out, n_bins * 2 + has_calibration, error);
    if (status == TW_STATUS_OK)
        status = tw_state_put_u64(out, n_used, error);
    for (size_t i = 0; i < n_bins && status == TW_STATUS_OK; i++) {
        saved_bin bin = {i, {self->bin[i * 2], self->bin[i * 2 + 1]}};
        if (bin.weight[0] != 0 || bin.weight[1] != 0)
            status = tw_state_put(out, &bin, sizeof bin, error);
    }
    if (status == TW_STATUS_OK && has_calibration)
        status = tw_state_put(out, self->calibration, calibration_bytes, error);
    return status;
}

void tw_sums_load(tw_sums *self, tw_state_reader *from)
{
    double before = 0;
    const uint64_t shape = (uint64_t)self->options.n_bins * 2 + (self->calibration != NULL);
    tw_sums_reset(self);
    tw_state_take(from, &self->value, sizeof self->value);
    tw_state_take(from, &before, sizeof before);
    self->label_before = (float)before;
    if (tw_state_take_u64(from) != shape)
        from->is_bad = true;
    uint64_t n_used = tw_state_take_count(from, sizeof(saved_bin));
    for (uint64_t i = 0; i < n_used && !from->is_bad; i++) {
        saved_bin bin;
        tw_state_take(from, &bin, sizeof bin);
        if (bin.index < self->options.n_bins)
            memcpy(&self->bin[bin.index * 2], bin.weight, sizeof bin.weight);
        else
            from->is_bad = true;
    }
    if (self->calibration != NULL)
        tw_state_take(from, self->calibration, calibration_bytes);
}
