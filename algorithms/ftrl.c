/* ftrl: FTRL-Proximal with adaptive rates per coordinate, for logistic and squared loss.
 * McMahan et al., "Ad Click Prediction: a View from the Trenches", KDD 2013, Algorithm 1.
 *
 * Row         {f32 z, f32 n}; block "bias": one {f64 z, f64 n}, the coordinate of a constant 1; all merged by addition
 * Weight      w = 0 if |z| <= l1, else -(z - sign(z) l1) / ((beta + sqrt n) / alpha + l2)
 * Score       s = sum w x + w_bias, a margin (logistic) or the prediction (squared)
 * Error       e = c (sigmoid(s) - y) (logistic) or c (s - y) (squared), c the importance of the event: weight 2 is one
 *             step on twice the loss, so n grows by four times as much
 * Update      g = e x;  sigma = (sqrt(n + g^2) - sqrt n) / alpha;  z += g - sigma w;  n += g^2
 * Options     alpha, beta: rate alpha / (beta + sqrt n); l1 makes weights exactly 0; l2 shrinks all; bias_shrink: the
 * bias takes l1 and l2 too
 *
 * A key that occurs twice in an event adds both values to the score; the updates follow one another, each from the row
 * as the one before left it, with the error of the event. Events are handled in chunks of entries; the lanes of a sum
 * go on from chunk to chunk, so their size does not show in the result. */
#include <math.h>
#include <stdalign.h>
#include <string.h>

#include "math/function.h"
#include "math/kernels.h"
#include "thalweg/learner.h"

enum { FTRL_CHUNK = 256, FTRL_AHEAD = 8 };

/* Beyond this size the square of a gradient would not be a finite float. */
static const float FTRL_GRADIENT_LIMIT = 1e18f;

typedef struct ftrl_row {
    float z, n;
} ftrl_row;

typedef struct ftrl_bias {
    double z, n;
} ftrl_bias;

typedef struct ftrl_state {
    const tw_kernels *kernels;
    tw_ftrl_rule rule;
    double alpha, beta, bias_l1, bias_l2;
    bool is_logistic, has_bias;
    uint32_t bias_block;
} ftrl_state;

/* Rows of one chunk, copied out of the table; padded with zeros to whole lanes. */
typedef struct ftrl_chunk {
    alignas(64) float zn[2 * FTRL_CHUNK];
    alignas(64) float after[2 * FTRL_CHUNK];
    alignas(64) float x[FTRL_CHUNK];
    alignas(64) float w[FTRL_CHUNK];
    alignas(64) float root[FTRL_CHUNK];
    size_t count, padded;
} ftrl_chunk;

static const tw_option ftrl_options[] = {
    {.name = "alpha",
        .type = TW_OPTION_REAL,
        .fallback = "0.1",
        .min = 1e-6,
        .max = 1e3,
        .help = "learning rate; the step of a weight is alpha / (beta + sqrt n)"},
    {.name = "beta",
        .type = TW_OPTION_REAL,
        .fallback = "1",
        .min = 1e-6,
        .max = 1e6,
        .help = "smooths the first steps of a weight; 1 is usually good (McMahan et al. 2013)"},
    {.name = "l1",
        .type = TW_OPTION_REAL,
        .fallback = "0",
        .min = 0,
        .max = 1e6,
        .help = "weights whose sum of gradients stays below this are exactly 0"},
    {.name = "l2", .type = TW_OPTION_REAL, .fallback = "0", .min = 0, .max = 1e6, .help = "shrinks every weight"},
    {.name = "loss",
        .type = TW_OPTION_CHOICE,
        .fallback = "logistic",
        .choices = "logistic|squared",
        .help = "logistic for labels 0 and 1, squared for real labels"},
    {.name = "bias", .type = TW_OPTION_BOOL, .fallback = "true", .help = "learn a constant term"},
    {.name = "bias_shrink", .type = TW_OPTION_BOOL, .fallback = "false", .help = "let l1 and l2 act on the bias too"},
    {.name = NULL},
};

static size_t ftrl_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(ftrl_state);
}

static tw_status ftrl_add_bias(ftrl_state *self, tw_schema *schema, tw_error *error)
{
    self->bias_block = schema->n_blocks;
    tw_block *block = tw_schema_add_block(schema, "bias", 1, error);
    if (!block) {
        return TW_STATUS_INVALID;
    }
    tw_status status = tw_record_add(&block->record, "z", TW_FIELD_F64, 1, TW_MERGE_ADD, error);
    return status ? status : tw_record_add(&block->record, "n", TW_FIELD_F64, 1, TW_MERGE_ADD, error);
}

static tw_status ftrl_open(void *self_, const tw_option_values *options, tw_learner_traits *traits, tw_error *error)
{
    ftrl_state *self = self_;
    double l1 = tw_option_real(options, "l1"), l2 = tw_option_real(options, "l2");
    bool is_shrunk = tw_option_bool(options, "bias_shrink");
    self->kernels = tw_kernels_best();
    self->alpha = tw_option_real(options, "alpha");
    self->beta = tw_option_real(options, "beta");
    self->rule = (tw_ftrl_rule){(float)(1.0 / self->alpha), (float)self->beta, (float)l1, (float)l2};
    self->bias_l1 = is_shrunk ? l1 : 0.0;
    self->bias_l2 = is_shrunk ? l2 : 0.0;
    self->is_logistic = strcmp(tw_option_text(options, "loss"), "logistic") == 0;
    self->has_bias = tw_option_bool(options, "bias");

    traits->task = self->is_logistic ? TW_TASK_BINARY : TW_TASK_REGRESSION;
    traits->loss.kind = self->is_logistic ? TW_LOSS_LOGISTIC : TW_LOSS_SQUARED;
    traits->link = self->is_logistic ? TW_LINK_LOGISTIC : TW_LINK_IDENTITY;
    traits->has_bias = self->has_bias;
    traits->n_outputs = 1;
    traits->dense_width = 0;
    tw_status status = tw_record_add(&traits->schema.row, "z", TW_FIELD_F32, 1, TW_MERGE_ADD, error);
    if (!status) {
        status = tw_record_add(&traits->schema.row, "n", TW_FIELD_F32, 1, TW_MERGE_ADD, error);
    }
    return !status && self->has_bias ? ftrl_add_bias(self, &traits->schema, error) : status;
}

static double ftrl_bias_weight(const ftrl_state *self, const ftrl_bias *bias)
{
    double l1 = self->bias_l1;
    if (fabs(bias->z) <= l1) {
        return 0.0;
    }
    return (copysign(l1, bias->z) - bias->z) / ((self->beta + sqrt(bias->n)) / self->alpha + self->bias_l2);
}

/* Copies entries [start, start + count) and computes their weights. */
static void ftrl_load(
    const ftrl_state *self, const tw_batch *batch, const tw_rows *rows, size_t start, size_t count, ftrl_chunk *out)
{
    void *const *row = rows->row + start;
    out->count = count;
    out->padded = (count + TW_LANES - 1) / TW_LANES * TW_LANES;
    for (size_t i = 0; i < count; i++) {
        memcpy(out->zn + 2 * i, row[i], sizeof(ftrl_row));
    }
    memcpy(out->x, batch->value + start, count * sizeof(float));
    memset(out->zn + 2 * count, 0, 2 * (out->padded - count) * sizeof(float));
    memset(out->x + count, 0, (out->padded - count) * sizeof(float));
    self->kernels->ftrl_weights(&self->rule, out->zn, out->w, out->root, out->padded);
}

/* Margin of event i without its bias. The last chunk stays in `chunk`. `peak`: largest |x|. */
static float ftrl_sum(
    const ftrl_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i, ftrl_chunk *chunk, float *peak)
{
    alignas(64) float lane[TW_LANES] = {0};
    size_t end = batch->row_start[i + 1];
    *peak = 0.0f;
    chunk->count = chunk->padded = 0;
    for (size_t start = batch->row_start[i]; start < end; start += FTRL_CHUNK) {
        size_t count = end - start < FTRL_CHUNK ? end - start : FTRL_CHUNK;
        ftrl_load(self, batch, rows, start, count, chunk);
        float largest = self->kernels->dot_lanes(lane, chunk->w, chunk->x, chunk->padded);
        *peak = largest > *peak ? largest : *peak;
    }
    return tw_lanes_sum(lane);
}

static void ftrl_prefetch(const tw_batch *batch, const tw_rows *rows, uint32_t i)
{
    if (i < batch->n_events) {
        for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++) {
            __builtin_prefetch(rows->row[e], 1, 3);
        }
    }
}

/* The row of entry `at` was changed by an earlier entry of the chunk: learn from what it is now. */
static void ftrl_update_again(const ftrl_state *self, const ftrl_chunk *chunk, size_t at, float e, void *row)
{
    alignas(64) float zn[2 * TW_LANES] = {0}, after[2 * TW_LANES], x[TW_LANES] = {0}, w[TW_LANES], root[TW_LANES];
    memcpy(zn, row, sizeof(ftrl_row));
    x[0] = chunk->x[at];
    self->kernels->ftrl_weights(&self->rule, zn, w, root, TW_LANES);
    self->kernels->ftrl_update(&self->rule, e, x, w, root, zn, after, TW_LANES);
    memcpy(row, after, sizeof(ftrl_row));
}

/* Writes the chunk's rows back. A row that no longer holds what was loaded was changed by an earlier entry with its
 * key. */
static void ftrl_store(const ftrl_state *self, ftrl_chunk *chunk, float e, void *const *row)
{
    self->kernels->ftrl_update(&self->rule, e, chunk->x, chunk->w, chunk->root, chunk->zn, chunk->after, chunk->padded);
    for (size_t i = 0; i < chunk->count; i++) {
        uint64_t now, loaded;
        memcpy(&now, row[i], sizeof now);
        memcpy(&loaded, chunk->zn + 2 * i, sizeof loaded);
        if (__builtin_expect(now != loaded, 0)) {
            ftrl_update_again(self, chunk, i, e, row[i]);
        } else {
            memcpy(row[i], chunk->after + 2 * i, sizeof(ftrl_row));
        }
    }
}

/* Applies error `e` to the rows of event i; `chunk` holds its only chunk, or is loaded again. */
static void ftrl_update(
    const ftrl_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i, float e, ftrl_chunk *chunk)
{
    size_t start = batch->row_start[i], end = batch->row_start[i + 1];
    if (end - start <= FTRL_CHUNK) {
        if (end > start) {
            ftrl_store(self, chunk, e, rows->row + start);
        }
        return;
    }
    for (; start < end; start += FTRL_CHUNK) {
        size_t count = end - start < FTRL_CHUNK ? end - start : FTRL_CHUNK;
        ftrl_load(self, batch, rows, start, count, chunk);
        ftrl_store(self, chunk, e, rows->row + start);
    }
}

static void ftrl_update_bias(const ftrl_state *self, ftrl_bias *bias, double w, double e)
{
    double square = e * e, n = bias->n + square, roots = sqrt(n) + sqrt(bias->n);
    double step = roots > 0.0 ? square / roots : 0.0;
    bias->z += e - step / self->alpha * w;
    bias->n = n;
}

static void ftrl_predict(const void *self_, const tw_batch *batch, const tw_rows *rows, float *scores)
{
    const ftrl_state *self = self_;
    double bias = self->has_bias ? ftrl_bias_weight(self, rows->block[self->bias_block]) : 0.0;
    ftrl_chunk chunk;
    float peak;
    for (uint32_t i = 0; i < FTRL_AHEAD; i++) {
        ftrl_prefetch(batch, rows, i);
    }
    for (uint32_t i = 0; i < batch->n_events; i++) {
        ftrl_prefetch(batch, rows, i + FTRL_AHEAD);
        scores[i] = (float)((double)ftrl_sum(self, batch, rows, i, &chunk, &peak) + bias);
    }
}

/* The loss's derivative by the score, times importance; 0 where there is nothing to learn. */
static double ftrl_error(const ftrl_state *self, const tw_batch *batch, uint32_t i, float score)
{
    double prediction = self->is_logistic ? tw_sigmoid((double)score) : (double)score;
    if (isnan(batch->label[i]) || batch->weight[i] == 0.0f) {
        return 0.0;
    }
    return (double)batch->weight[i] * (prediction - (double)batch->label[i]);
}

static tw_status ftrl_learn_event(
    const ftrl_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i, float *scores, tw_error *error)
{
    ftrl_bias *bias = self->has_bias ? rows->block[self->bias_block] : NULL;
    double bias_weight = bias ? ftrl_bias_weight(self, bias) : 0.0;
    ftrl_chunk chunk;
    float peak;
    float score = (float)((double)ftrl_sum(self, batch, rows, i, &chunk, &peak) + bias_weight);
    scores[i] = score;
    if (!isfinite(score)) {
        return tw_error_set(error, TW_STATUS_NUMERIC,
            "ftrl: the score of event %u of the batch is not finite; lower alpha (%g) or scale the features", i,
            self->alpha);
    }
    double e = ftrl_error(self, batch, i, score);
    if (e == 0.0) {
        return TW_STATUS_OK;
    }
    double limit = (double)FTRL_GRADIENT_LIMIT;
    if (fabs(e) > limit || fabs(e) * (double)peak > limit) {
        return tw_error_set(error, TW_STATUS_NUMERIC,
            "ftrl: a gradient of event %u of the batch is %g, the limit is %g; scale features and labels", i,
            fabs(e) * (double)peak, limit);
    }
    ftrl_update(self, batch, rows, i, (float)e, &chunk);
    if (bias) {
        ftrl_update_bias(self, bias, bias_weight, e);
    }
    return TW_STATUS_OK;
}

static tw_status ftrl_learn(void *self, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error)
{
    for (uint32_t i = 0; i < FTRL_AHEAD; i++) {
        ftrl_prefetch(batch, rows, i);
    }
    for (uint32_t i = 0; i < batch->n_events; i++) {
        ftrl_prefetch(batch, rows, i + FTRL_AHEAD);
        tw_status status = ftrl_learn_event(self, batch, rows, i, scores, error);
        if (status) {
            return status;
        }
    }
    return TW_STATUS_OK;
}

/* Several workers step from the same rows; up to this many events the steps together stay small against one weight. */
static double ftrl_flight(const void *self_, uint64_t events_learned)
{
    const ftrl_state *self = self_;
    return 0.05 / self->alpha * sqrt((double)events_learned);
}

static tw_status ftrl_explain(
    const void *self_, const tw_batch *batch, const tw_rows *rows, float *contribution, tw_error *error)
{
    const ftrl_state *self = self_;
    ftrl_chunk chunk;
    (void)error;
    for (size_t start = 0; start < batch->n_entries; start += FTRL_CHUNK) {
        size_t left = batch->n_entries - start;
        ftrl_load(self, batch, rows, start, left < FTRL_CHUNK ? left : FTRL_CHUNK, &chunk);
        for (size_t j = 0; j < chunk.count; j++) {
            contribution[start + j] = chunk.w[j] * chunk.x[j];
        }
    }
    return TW_STATUS_OK;
}

static double ftrl_weight(const void *self_, const void *row)
{
    const ftrl_state *self = self_;
    float zn[2 * TW_LANES] = {0}, w[TW_LANES], root[TW_LANES];
    memcpy(zn, row, sizeof(ftrl_row));
    self->kernels->ftrl_weights(&self->rule, zn, w, root, TW_LANES);
    return (double)w[0];
}

static void ftrl_score_form(
    const void *self_, const tw_batch *batch, const tw_rows *rows, tw_score_form *form, double *weight)
{
    const ftrl_state *self = self_;
    ftrl_chunk chunk;
    form->rule = TW_SCORE_LANES;
    form->bias = self->has_bias ? ftrl_bias_weight(self, rows->block[self->bias_block]) : 0.0;
    for (size_t start = 0; start < batch->n_entries; start += FTRL_CHUNK) {
        size_t left = batch->n_entries - start;
        ftrl_load(self, batch, rows, start, left < FTRL_CHUNK ? left : FTRL_CHUNK, &chunk);
        for (size_t j = 0; j < chunk.count; j++) {
            weight[start + j] = (double)chunk.w[j];
        }
    }
}

const tw_learner_ops tw_learner_ftrl = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_learner_ops),
    .name = "ftrl",
    .summary = "FTRL-Proximal: sparse linear model with a learning rate per weight, logistic or squared loss",
    .options = ftrl_options,
    .state_size = ftrl_state_size,
    .open = ftrl_open,
    .predict = ftrl_predict,
    .learn = ftrl_learn,
    .flight = ftrl_flight,
    .explain = ftrl_explain,
    .weight = ftrl_weight,
    .score_form = ftrl_score_form,
};
