/* logistic: a linear model by online gradient descent with steps that are normalized (by the largest value of each
 * feature), adaptive (by the gradients of each feature) and invariant to importance weights: it needs no tuning for
 * features of different size. Logistic loss, or squared loss for real labels.
 * Ross, Mineiro, Langford, "Normalized Online Learning", UAI 2013; Duchi, Hazan, Singer, JMLR 12, 2011;
 * Karampatziakis, Langford, "Online Importance Weight Aware Updates", UAI 2011.
 *
 * Row      {f32 w, g, largest}: weight, sum of squared gradients, largest |x|; block "bias" has the same of a constant
 * 1; block "scale" has {f64 spread, weight}: S and T below Score    s = sum w x, a margin (logistic) or the prediction
 * (squared) Squares  q = c l'(s)^2, c the importance, l' the loss's derivative by the score Event    for each entry:
 * largest' = max(largest, |x|), w *= largest / largest' when it grew; g += q x^2; r = 1 / (sqrt(g) largest'); S += c (x
 * / largest')^2; then T += c; m = sqrt(T / S) Step     k = m sum r x^2, the change of the score for a unit step; h =
 * rate c; logistic, y = +-1: d from the exact flow of the loss over importance h (below); squared: y - s shrinks by 1 -
 * exp(-2 h k): d = (y - s)(1 - exp(-2 h k)) / k Update   w += d m r x Logistic flow: u = y s; W solves W + log W = h k
 * + u + e^u; d = -y (u - log W) / k. For h k below 1e-6 the flow is one gradient step, d = y h / (1 + e^u).
 *
 * A key that occurs twice in an event is walked in entry order by each of the two passes. */
#include <math.h>
#include <string.h>

#include "math/function.h"
#include "thalweg/learner.h"

enum { LOGISTIC_AHEAD = 8, LOGISTIC_NEWTON_STEPS = 5 };

/* Margins beyond this say nothing more and would overflow e^u later. */
static const double LOGISTIC_MARGIN_LIMIT = 50.0;
static const double LOGISTIC_SMALL_STEP = 1e-6;
static const float LOGISTIC_VALUE_LIMIT = 1e18f;

typedef struct logistic_row {
    float w, g, largest, unused;
} logistic_row;

typedef struct logistic_scale {
    double spread, weight;
} logistic_scale;

typedef struct logistic_state {
    double rate;
    bool is_logistic, has_bias;
    uint32_t bias_block, scale_block;
} logistic_state;

static const tw_option logistic_options[] = {
    {.name = "rate",
        .type = TW_OPTION_REAL,
        .fallback = "0.5",
        .min = 1e-6,
        .max = 1e3,
        .help = "learning rate; the same value is good for most data, because steps are normalized"},
    {.name = "loss",
        .type = TW_OPTION_CHOICE,
        .fallback = "logistic",
        .choices = "logistic|squared",
        .help = "logistic for labels 0 and 1, squared for real labels"},
    {.name = "bias", .type = TW_OPTION_BOOL, .fallback = "true", .help = "learn a constant term"},
    {.name = NULL},
};

static size_t logistic_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(logistic_state);
}

static tw_status logistic_add_row(tw_record *record, tw_error *error)
{
    tw_status status = tw_record_add(record, "w", TW_FIELD_F32, 1, TW_MERGE_ADD, error);
    if (!status)
        status = tw_record_add(record, "g", TW_FIELD_F32, 1, TW_MERGE_ADD, error);
    if (!status)
        status = tw_record_add(record, "largest", TW_FIELD_F32, 1, TW_MERGE_MAX, error);
    return status;
}

static tw_status logistic_add_blocks(logistic_state *self, tw_schema *schema, tw_error *error)
{
    self->scale_block = schema->n_blocks;
    tw_block *scale = tw_schema_add_block(schema, "scale", 1, error);
    if (scale == NULL)
        return TW_STATUS_INVALID;
    tw_status status = tw_record_add(&scale->record, "spread", TW_FIELD_F64, 1, TW_MERGE_ADD, error);
    if (!status)
        status = tw_record_add(&scale->record, "weight", TW_FIELD_F64, 1, TW_MERGE_ADD, error);
    if (status || !self->has_bias)
        return status;
    self->bias_block = schema->n_blocks;
    tw_block *bias = tw_schema_add_block(schema, "bias", 1, error);
    return bias != NULL ? logistic_add_row(&bias->record, error) : TW_STATUS_INVALID;
}

static tw_status logistic_open(void *self_, const tw_option_values *options, tw_learner_traits *traits, tw_error *error)
{
    logistic_state *self = self_;
    self->rate = tw_option_real(options, "rate");
    self->is_logistic = strcmp(tw_option_text(options, "loss"), "logistic") == 0;
    self->has_bias = tw_option_bool(options, "bias");
    traits->task = self->is_logistic ? TW_TASK_BINARY : TW_TASK_REGRESSION;
    traits->loss.kind = self->is_logistic ? TW_LOSS_LOGISTIC : TW_LOSS_SQUARED;
    traits->link = self->is_logistic ? TW_LINK_LOGISTIC : TW_LINK_IDENTITY;
    traits->has_bias = self->has_bias;
    traits->n_outputs = 1;
    traits->dense_width = 0;
    tw_status status = logistic_add_row(&traits->schema.row, error);
    return status ? status : logistic_add_blocks(self, &traits->schema, error);
}

static logistic_row *logistic_bias(const logistic_state *self, const tw_rows *rows)
{
    return self->has_bias ? rows->block[self->bias_block] : NULL;
}

static float logistic_score(const logistic_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i)
{
    const logistic_row *bias = logistic_bias(self, rows);
    double sum = bias != NULL ? (double)bias->w : 0.0;
    for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++)
        sum += (double)((const logistic_row *)rows->row[e])->w * (double)batch->value[e];
    if (self->is_logistic && fabs(sum) > LOGISTIC_MARGIN_LIMIT)
        sum = copysign(LOGISTIC_MARGIN_LIMIT, sum);
    return (float)sum;
}

static void logistic_prefetch(const tw_batch *batch, const tw_rows *rows, uint32_t i)
{
    if (i < batch->n_events) {
        for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++)
            __builtin_prefetch(rows->row[e], 1, 3);
    }
}

static void logistic_predict(const void *self, const tw_batch *batch, const tw_rows *rows, float *scores)
{
    for (uint32_t i = 0; i < batch->n_events; i++) {
        logistic_prefetch(batch, rows, i + LOGISTIC_AHEAD);
        scores[i] = logistic_score(self, batch, rows, i);
    }
}

/* log W where W + log W = x: Newton's iteration on W, which converges from one side for any start above 0. */
static double logistic_log_w(double x)
{
    double w = x > 1.0 ? x - tw_log(x) : tw_exp(x < -700.0 ? -700.0 : x);
    if (x <= 1.0)
        w = w / (1.0 + w);
    for (int i = 0; i < LOGISTIC_NEWTON_STEPS; i++)
        w = w * (1.0 + x - tw_log(w)) / (1.0 + w);
    return tw_log(w);
}

/* The loss's derivative by the score, without importance. */
static double logistic_derivative(const logistic_state *self, double score, double label)
{
    return self->is_logistic ? tw_sigmoid(score) - label : 2.0 * (score - label);
}

/* d of the file's head: how far to go along the normalized direction. */
static double logistic_step(const logistic_state *self, double score, double label, double h, double k)
{
    if (!self->is_logistic) {
        double reach = h * k < LOGISTIC_SMALL_STEP ? 2.0 * h : (1.0 - tw_exp(-2.0 * h * k)) / k;
        return (label - score) * reach;
    }
    double y = label > 0.5 ? 1.0 : -1.0, u = y * score, e = tw_exp(u);
    if (h * k < LOGISTIC_SMALL_STEP)
        return y * h / (1.0 + e);
    return -y * (u - logistic_log_w(h * k + u + e)) / k;
}

/* First pass over one coordinate: takes in the size of x and the square of the gradient; adds to S and to the change of
 * the score per unit step. */
static void logistic_take_in(logistic_row *row, float x, double square, double weight, double *spread, double *change)
{
    float size = fabsf(x);
    if (size == 0.0f)
        return;
    if (size > row->largest) {
        if (row->largest > 0.0f)
            row->w *= row->largest / size;
        row->largest = size;
    }
    double x2 = (double)x * (double)x, largest = (double)row->largest;
    row->g = (float)((double)row->g + square * x2);
    *spread += weight * (x2 / (largest * largest));
    if (row->g > 0.0f)
        *change += x2 / (sqrt((double)row->g) * largest);
}

static void logistic_move(logistic_row *row, float x, double step)
{
    if (row->g > 0.0f && x != 0.0f)
        row->w = (float)((double)row->w + step * (double)x / (sqrt((double)row->g) * (double)row->largest));
}

static void logistic_learn_event(
    const logistic_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i, double score)
{
    logistic_row *bias = logistic_bias(self, rows);
    logistic_scale *scale = rows->block[self->scale_block];
    double label = (double)batch->label[i], weight = (double)batch->weight[i];
    double derivative = logistic_derivative(self, score, label), square = weight * derivative * derivative;
    double spread = 0.0, change = 0.0;
    if (square == 0.0)
        return;
    for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++)
        logistic_take_in(rows->row[e], batch->value[e], square, weight, &spread, &change);
    if (bias != NULL)
        logistic_take_in(bias, 1.0f, square, weight, &spread, &change);
    scale->spread += spread;
    scale->weight += weight;
    if (!(change > 0.0))
        return;
    double multiplier = sqrt(scale->weight / scale->spread);
    double step = multiplier * logistic_step(self, score, label, self->rate * weight, multiplier * change);
    for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++)
        logistic_move(rows->row[e], batch->value[e], step);
    if (bias != NULL)
        logistic_move(bias, 1.0f, step);
}

/* What would leave the range of the row's floats. */
static tw_status logistic_check(const tw_batch *batch, uint32_t i, float score, tw_error *error)
{
    if (!isfinite(score) || fabsf(score) > LOGISTIC_VALUE_LIMIT)
        return tw_error_set(error, TW_STATUS_NUMERIC,
            "logistic: the score of event %u of the batch is %g; lower the rate or scale the features", i,
            (double)score);
    float label = fabsf(batch->label[i]), largest = label > batch->weight[i] ? label : batch->weight[i];
    for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++) {
        float size = fabsf(batch->value[e]);
        largest = size > largest ? size : largest;
    }
    if (largest > 1e9f)
        return tw_error_set(error, TW_STATUS_NUMERIC,
            "logistic: event %u of the batch holds %g; values, labels and weights may be at most 1e9", i,
            (double)largest);
    return TW_STATUS_OK;
}

static tw_status logistic_learn(void *self, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error)
{
    for (uint32_t i = 0; i < batch->n_events; i++) {
        logistic_prefetch(batch, rows, i + LOGISTIC_AHEAD);
        scores[i] = logistic_score(self, batch, rows, i);
        if (isnan(batch->label[i]) || batch->weight[i] == 0.0f)
            continue;
        tw_status status = logistic_check(batch, i, scores[i], error);
        if (status)
            return status;
        logistic_learn_event(self, batch, rows, i, (double)scores[i]);
    }
    return TW_STATUS_OK;
}

static tw_status logistic_explain(
    const void *self, const tw_batch *batch, const tw_rows *rows, float *contribution, tw_error *error)
{
    (void)self;
    (void)error;
    for (uint32_t e = 0; e < batch->n_entries; e++)
        contribution[e] = ((const logistic_row *)rows->row[e])->w * batch->value[e];
    return TW_STATUS_OK;
}

static double logistic_weight(const void *self, const void *row)
{
    (void)self;
    return (double)((const logistic_row *)row)->w;
}

static void logistic_score_form(
    const void *self_, const tw_batch *batch, const tw_rows *rows, tw_score_form *form, double *weight)
{
    const logistic_state *self = self_;
    const logistic_row *bias = logistic_bias(self, rows);
    form->rule = TW_SCORE_ORDERED;
    form->bias = bias != NULL ? (double)bias->w : 0.0;
    form->limit = self->is_logistic ? LOGISTIC_MARGIN_LIMIT : 0.0;
    for (uint32_t e = 0; e < batch->n_entries; e++)
        weight[e] = (double)((const logistic_row *)rows->row[e])->w;
}

/* As for ftrl, whose alpha is half of this rate's step for features of size 1. Not measured yet. */
static double logistic_flight(const void *self_, uint64_t events_learned)
{
    const logistic_state *self = self_;
    return 0.05 / self->rate * sqrt((double)events_learned);
}

const tw_learner_ops tw_learner_logistic = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_learner_ops),
    .name = "logistic",
    .summary = "linear model with normalized, adaptive, importance-invariant steps: good without tuning",
    .options = logistic_options,
    .state_size = logistic_state_size,
    .open = logistic_open,
    .predict = logistic_predict,
    .learn = logistic_learn,
    .flight = logistic_flight,
    .explain = logistic_explain,
    .weight = logistic_weight,
    .score_form = logistic_score_form,
};
