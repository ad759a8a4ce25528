/* ftrl: FTRL-Proximal with adaptive rates per coordinate, for five losses, with a half-life if asked for.
 * McMahan et al., "Ad Click Prediction: a View from the Trenches", KDD 2013, Algorithm 1.
 *
 * Row         {f32 z, n}; block "bias": one {f64 z, n}, the coordinate of a constant 1; all merged by addition
 * Weight      w = 0 if |z| <= l1, else -(z - sign(z) l1) / ((beta + sqrt n) / alpha + l2)
 * Score       s = sum w x + w_bias
 * Error       e = c loss'(s, y), c the importance of the event: weight 2 is one step on twice the loss, so n grows by
 *             four times as much
 * Update      g = e x;  sigma = (sqrt(n + g^2) - sqrt n) / alpha;  z += g - sigma w;  n += g^2
 * Options     alpha, beta: rate alpha / (beta + sqrt n); l1 makes weights exactly 0; l2 shrinks all; bias_shrink: the
 *             bias takes l1 and l2 too
 *
 * Half-life   Row {f32 v, n, u64 tick}, bias {f64 v, n, u64 tick}: v = w + sign(w) ZONE, and within the zone
 *             v = -ZONE z / l1, w = 0; ZONE is 0 without l1. Before an event changes a row, n fades to the present
 *             (forgetting.h) and z becomes what gives the same w with it: z = -w ((beta + sqrt n) / alpha + l2) -
 *             sign(w) l1. So the steps grow again while weights stay until events move them; scores need no clock.
 *             v adds and n fades when workers merge; z would not, as its change depends on how long w was kept.
 *
 * A key that occurs twice in an event adds both values to the score; the updates follow one another, each from the row
 * as the one before left it, with the error of the event. Events are handled in chunks of entries; the lanes of a sum
 * go on from chunk to chunk, so their size does not show in the result. */
#include <float.h>
#include <math.h>
#include <stdalign.h>
#include <string.h>

#include "algorithms/forgetting.h"
#include "algorithms/objective.h"
#include "math/kernels.h"
#include "math/loss.h"
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

/* The same with a half-life. */
typedef struct ftrl_fading_row {
    float v, n;
    uint64_t tick;
} ftrl_fading_row;

typedef struct ftrl_fading_bias {
    double v, n;
    uint64_t tick;
} ftrl_fading_bias;

/* Beside it f32 keeps about 10 more bits of a small weight than beside 1. */
static const double FTRL_ZONE = 0x1p-10;

typedef struct ftrl_state {
    const tw_kernels *kernels;
    tw_ftrl_rule rule;
    tw_loss loss;
    double alpha, inverse_alpha, beta, l1, l2, bias_l1, bias_l2;
    tw_forgetting forgetting;
    bool has_bias, is_fading;
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
    TW_OBJECTIVE_OPTIONS,
    {.name = "bias", .type = TW_OPTION_BOOL, .fallback = "true", .help = "learn a constant term"},
    {.name = "bias_shrink", .type = TW_OPTION_BOOL, .fallback = "false", .help = "let l1 and l2 act on the bias too"},
    TW_FORGETTING_OPTIONS,
    {.name = NULL},
};

static size_t ftrl_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(ftrl_state);
}

static tw_status ftrl_add_fields(const ftrl_state *self, tw_record *record, tw_field_type type, tw_error *error)
{
    if (!self->is_fading) {
        tw_status status = tw_record_add(record, "z", type, 1, TW_MERGE_ADD, error);
        return status ? status : tw_record_add(record, "n", type, 1, TW_MERGE_ADD, error);
    }
    tw_status status = tw_record_add(record, "v", type, 1, TW_MERGE_ADD, error);
    status = status ? status : tw_record_add(record, "n", type, 1, TW_MERGE_FADE, error);
    return status ? status : tw_record_add(record, "tick", TW_FIELD_U64, 1, TW_MERGE_TICK, error);
}

static tw_status ftrl_add_state(ftrl_state *self, tw_schema *schema, tw_error *error)
{
    tw_status status = ftrl_add_fields(self, &schema->row, TW_FIELD_F32, error);
    if (status || !self->has_bias) {
        return status;
    }
    self->bias_block = schema->n_blocks;
    tw_block *block = tw_schema_add_block(schema, "bias", 1, error);
    return block ? ftrl_add_fields(self, &block->record, TW_FIELD_F64, error) : TW_STATUS_INVALID;
}

static tw_status ftrl_open(void *self_, const tw_option_values *options, tw_learner_traits *traits, tw_error *error)
{
    ftrl_state *self = self_;
    bool is_shrunk = tw_option_bool(options, "bias_shrink");
    self->kernels = tw_kernels_best();
    self->alpha = tw_option_real(options, "alpha");
    self->beta = tw_option_real(options, "beta");
    self->l1 = tw_option_real(options, "l1");
    self->l2 = tw_option_real(options, "l2");
    self->inverse_alpha = 1.0 / self->alpha;
    self->rule = (tw_ftrl_rule){(float)self->inverse_alpha, (float)self->beta, (float)self->l1, (float)self->l2};
    self->bias_l1 = is_shrunk ? self->l1 : 0.0;
    self->bias_l2 = is_shrunk ? self->l2 : 0.0;
    self->has_bias = tw_option_bool(options, "bias");
    tw_objective_open(options, traits);
    self->loss = traits->loss;
    traits->has_bias = self->has_bias;
    traits->n_outputs = 1;
    traits->dense_width = 0;
    tw_status status = tw_forgetting_open(&self->forgetting, "ftrl", options, &traits->schema, error);
    self->is_fading = tw_forgetting_is_on(&self->forgetting);
    return status ? status : ftrl_add_state(self, &traits->schema, error);
}

/* z that gives w by the formula of the file's head. */
static double ftrl_sum_of_weight(const ftrl_state *self, double w, double n, double l1, double l2)
{
    return w != 0.0 ? -w * ((self->beta + sqrt(n)) / self->alpha + l2) - copysign(l1, w) : 0.0;
}

static double ftrl_weight_of_sum(const ftrl_state *self, double z, double n, double l1, double l2)
{
    return fabs(z) <= l1 ? 0.0 : (copysign(l1, z) - z) / ((self->beta + sqrt(n)) / self->alpha + l2);
}

/* v of the file's head to w and back. */
static double ftrl_leave_zone(double v, double l1)
{
    double zone = l1 > 0.0 ? FTRL_ZONE : 0.0;
    return fabs(v) <= zone ? 0.0 : v - copysign(zone, v);
}

static double ftrl_enter_zone(double w, double z, double l1)
{
    if (w != 0.0) {
        return w + copysign(l1 > 0.0 ? FTRL_ZONE : 0.0, w);
    }
    return l1 > 0.0 ? -FTRL_ZONE * (z / l1) : 0.0;
}

static double ftrl_limited(double value)
{
    value = value > (double)FLT_MAX ? (double)FLT_MAX : value;
    return value < -(double)FLT_MAX ? -(double)FLT_MAX : value;
}

/* One coordinate of gradient g, of whose n the part `kept` is left. */
static void ftrl_fading_step(const ftrl_state *self, double *v, double *n, double kept, double g, double l1, double l2)
{
    double w = ftrl_leave_zone(*v, l1), n_before = *n * kept, n_after = ftrl_limited(n_before + g * g);
    double before = sqrt(n_before), after = sqrt(n_after), roots = before + after, inverse = self->inverse_alpha;
    double z = -w * ((self->beta + before) * inverse + l2) - copysign(l1, w);
    z = w == 0.0 ? (l1 > 0.0 ? -l1 * (*v / FTRL_ZONE) : 0.0) : z;
    z = ftrl_limited(z + g - (roots > 0.0 ? g * g / roots : 0.0) * inverse * w);
    w = fabs(z) <= l1 ? 0.0 : (copysign(l1, z) - z) / ((self->beta + after) * inverse + l2);
    *v = ftrl_limited(ftrl_enter_zone(w, z, l1));
    *n = n_after;
}

/* Applies error `e` at tick `now` to the rows and the bias of event i. */
static void ftrl_fading_update(
    const ftrl_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i, double e, uint64_t now)
{
    for (uint32_t at = batch->row_start[i]; at < batch->row_start[i + 1]; at++) {
        ftrl_fading_row *row = rows->row[at];
        double v = (double)row->v, n = (double)row->n, kept = tw_forgetting_kept(row->tick, now);
        ftrl_fading_step(self, &v, &n, kept, e * (double)batch->value[at], self->l1, self->l2);
        *row = (ftrl_fading_row){(float)v, (float)n, now};
    }
    if (self->has_bias) {
        ftrl_fading_bias *bias = rows->block[self->bias_block];
        double kept = tw_forgetting_kept(bias->tick, now);
        ftrl_fading_step(self, &bias->v, &bias->n, kept, e, self->bias_l1, self->bias_l2);
        bias->tick = now;
    }
}

static double ftrl_bias_weight(const ftrl_state *self, const tw_rows *rows)
{
    if (!self->has_bias) {
        return 0.0;
    }
    if (self->is_fading) {
        return ftrl_leave_zone(((const ftrl_fading_bias *)rows->block[self->bias_block])->v, self->bias_l1);
    }
    const ftrl_bias *bias = rows->block[self->bias_block];
    return ftrl_weight_of_sum(self, bias->z, bias->n, self->bias_l1, self->bias_l2);
}

/* Weights of the chunk's rows with a half-life; lanes behind them are 0. */
static void ftrl_load_fading(const ftrl_state *self, void *const *row, ftrl_chunk *out)
{
    for (size_t i = 0; i < out->padded; i++) {
        out->w[i] = i < out->count ? (float)ftrl_leave_zone((double)((ftrl_fading_row *)row[i])->v, self->l1) : 0.0f;
    }
}

/* Copies entries [start, start + count) and computes their weights. */
static void ftrl_load(
    const ftrl_state *self, const tw_batch *batch, const tw_rows *rows, size_t start, size_t count, ftrl_chunk *out)
{
    void *const *row = rows->row + start;
    out->count = count;
    out->padded = (count + TW_LANES - 1) / TW_LANES * TW_LANES;
    for (size_t i = 0; i < count && !self->is_fading; i++) {
        memcpy(out->zn + 2 * i, row[i], sizeof(ftrl_row));
    }
    memcpy(out->x, batch->value + start, count * sizeof(float));
    memset(out->zn + 2 * count, 0, 2 * (out->padded - count) * sizeof(float));
    memset(out->x + count, 0, (out->padded - count) * sizeof(float));
    if (self->is_fading) {
        ftrl_load_fading(self, row, out);
    } else {
        self->kernels->ftrl_weights(&self->rule, out->zn, out->w, out->root, out->padded);
    }
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

static void ftrl_update_bias(const ftrl_state *self, const tw_rows *rows, double w, double e)
{
    if (!self->has_bias) {
        return;
    }
    ftrl_bias *bias = rows->block[self->bias_block];
    double square = e * e, n = bias->n + square, roots = sqrt(n) + sqrt(bias->n);
    double step = roots > 0.0 ? square / roots : 0.0;
    bias->z += e - step / self->alpha * w;
    bias->n = n;
}

static void ftrl_predict(const void *self_, const tw_batch *batch, const tw_rows *rows, float *scores)
{
    const ftrl_state *self = self_;
    double bias = ftrl_bias_weight(self, rows);
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

/* NUMERIC where score or gradient left the range of the rows' floats; `peak` is the largest |x|. */
static tw_status ftrl_check(const ftrl_state *self, uint32_t i, float score, double e, float peak, tw_error *error)
{
    double limit = (double)FTRL_GRADIENT_LIMIT;
    if (!isfinite(score)) {
        return tw_error_set(error, TW_STATUS_NUMERIC,
            "ftrl: the score of event %u of the batch is not finite; lower alpha (%g) or scale the features", i,
            self->alpha);
    }
    if (!(fabs(e) <= limit && fabs(e) * (double)peak <= limit)) {
        return tw_error_set(error, TW_STATUS_NUMERIC,
            "ftrl: a gradient of event %u of the batch is %g, the limit is %g; scale features and labels", i,
            fabs(e) * (double)peak, limit);
    }
    return TW_STATUS_OK;
}

/* The usual loss without a jump through a table. */
static double ftrl_slope(const ftrl_state *self, float score, float label)
{
    if (self->loss.kind == TW_LOSS_LOGISTIC) {
        return tw_sigmoid((double)score) - (double)label;
    }
    return tw_loss_slope(self->loss, (double)score, (double)label);
}

/* The event with a half-life, on whose clock it counts whether it changes rows or not. */
static tw_status ftrl_learn_fading(
    const ftrl_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i, double e, tw_error *error)
{
    tw_forgetting_clock clock;
    tw_status status = tw_forgetting_advance(&self->forgetting, "ftrl", rows, batch, i, &clock, error);
    if (status) {
        return status;
    }
    if (e != 0.0) {
        ftrl_fading_update(self, batch, rows, i, e, tw_forgetting_tick(&self->forgetting, &clock));
    }
    memcpy(rows->block[self->forgetting.block], &clock, sizeof clock);
    return TW_STATUS_OK;
}

static tw_status ftrl_learn_event(
    const ftrl_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i, float *scores, tw_error *error)
{
    double bias_weight = ftrl_bias_weight(self, rows);
    float peak, score, label = batch->label[i], weight = batch->weight[i];
    ftrl_chunk chunk;
    scores[i] = score = (float)((double)ftrl_sum(self, batch, rows, i, &chunk, &peak) + bias_weight);
    bool is_learned = !isnan(label) && weight > 0.0f;
    double e = is_learned ? (double)weight * ftrl_slope(self, score, label) : 0.0;
    tw_status status = ftrl_check(self, i, score, e, peak, error);
    if (status || !is_learned) {
        return status;
    }
    status = tw_objective_check(self->loss, "ftrl", i, label, error);
    if (status || self->is_fading) {
        return status ? status : ftrl_learn_fading(self, batch, rows, i, e, error);
    }
    if (e != 0.0) {
        ftrl_update(self, batch, rows, i, (float)e, &chunk);
        ftrl_update_bias(self, rows, bias_weight, e);
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

/* Several workers step from the same rows; up to this many events the steps together stay small against one weight.
 * With a half-life n stops growing at about that of half_life / log 2 events; for one of time, whose number of events
 * is not known, 10,000 is taken. */
static double ftrl_flight(const void *self_, uint64_t events_learned)
{
    const ftrl_state *self = self_;
    double events = (double)events_learned, most = 1e4;
    if (self->is_fading) {
        most = self->forgetting.ticks_per_event > 0.0
                   ? TW_TICKS_PER_HALF_LIFE / (0.69314718055994531 * self->forgetting.ticks_per_event)
                   : most;
        events = events < most ? events : most;
    }
    return 0.05 / self->alpha * sqrt(events);
}

/* z, or v with a half-life, of a coordinate that is to have weight w and the sum of squares n. */
static double ftrl_seed(const ftrl_state *self, double w, double n, double l1, double l2)
{
    return self->is_fading ? ftrl_enter_zone(w, 0.0, l1) : ftrl_sum_of_weight(self, w, n, l1, l2);
}

static tw_status ftrl_check_seed(double w, double n, tw_error *error)
{
    double limit = (double)FTRL_GRADIENT_LIMIT;
    if (fabs(w) <= limit && n >= 0.0 && n <= limit * limit) {
        return TW_STATUS_OK;
    }
    return tw_error_set(error, TW_STATUS_NUMERIC,
        "ftrl: a weight of %g with curvature %g cannot be started from; the limits are %g and %g", w, n, limit,
        limit * limit);
}

static tw_status ftrl_seed_bias(const ftrl_state *self, const tw_rows *rows, const tw_weights *weights, tw_error *error)
{
    double w = weights->bias, n = weights->bias_curvature;
    if (!self->has_bias) {
        return w == 0.0 ? TW_STATUS_OK
                        : tw_error_set(error, TW_STATUS_INVALID,
                              "ftrl: the weights have a constant term of %g, the learner has bias=false", w);
    }
    tw_status status = ftrl_check_seed(w, n, error);
    if (status) {
        return status;
    }
    ftrl_fading_bias *bias = rows->block[self->bias_block]; /* v is where z is */
    bias->v = ftrl_seed(self, w, n, self->bias_l1, self->bias_l2);
    bias->n = n;
    if (self->is_fading) {
        bias->tick = tw_forgetting_now(&self->forgetting, rows);
    }
    return TW_STATUS_OK;
}

static tw_status ftrl_warm_start(
    void *self_, const tw_batch *batch, const tw_rows *rows, const tw_weights *weights, tw_error *error)
{
    const ftrl_state *self = self_;
    uint64_t now = self->is_fading ? tw_forgetting_now(&self->forgetting, rows) : 0;
    for (uint32_t e = 0; e < batch->n_entries; e++) {
        tw_status status = ftrl_check_seed((double)weights->weight[e], (double)weights->curvature[e], error);
        if (status) {
            return status;
        }
    }
    for (uint32_t e = 0; e < batch->n_entries; e++) {
        double w = (double)weights->weight[e], n = (double)weights->curvature[e];
        ftrl_row row = {(float)ftrl_limited(ftrl_seed(self, w, n, self->l1, self->l2)), (float)n};
        memcpy(rows->row[e], &row, sizeof row);
        if (self->is_fading) {
            ((ftrl_fading_row *)rows->row[e])->tick = now;
        }
    }
    return weights->has_bias ? ftrl_seed_bias(self, rows, weights, error) : TW_STATUS_OK;
}

static bool ftrl_hasten(void *self_, const tw_rows *rows, double half_lives)
{
    const ftrl_state *self = self_;
    return tw_forgetting_hasten(&self->forgetting, rows, half_lives);
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
    if (self->is_fading) {
        return ftrl_leave_zone((double)((const ftrl_fading_row *)row)->v, self->l1);
    }
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
    form->bias = ftrl_bias_weight(self, rows);
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
    .summary = "FTRL-Proximal: sparse linear model with a learning rate per weight, five losses, half-life",
    .options = ftrl_options,
    .state_size = ftrl_state_size,
    .open = ftrl_open,
    .predict = ftrl_predict,
    .learn = ftrl_learn,
    .flight = ftrl_flight,
    .explain = ftrl_explain,
    .warm_start = ftrl_warm_start,
    .hasten = ftrl_hasten,
    .weight = ftrl_weight,
    .score_form = ftrl_score_form,
};
