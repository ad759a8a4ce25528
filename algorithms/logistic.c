/* logistic: a linear model by online gradient descent with steps that are normalized (by the largest value of each
 * feature), adaptive (by the gradients of each feature), invariant to importance weights, and whose learning rate is
 * learned too: it needs no tuning. Losses: logistic, squared, hinge, quantile, poisson.
 * Ross, Mineiro, Langford, "Normalized Online Learning", UAI 2013; Duchi, Hazan, Singer, JMLR 12, 2011;
 * Karampatziakis, Langford, "Online Importance Weight Aware Updates", UAI 2011; the rate: Sutton, "Adapting Bias by
 * Gradient Descent", AAAI 1992, and Mahmood et al., "Tuning-free step-size adaptation", ICASSP 2012, for one rate.
 *
 * Row      {f32 w, g, largest, trace}: weight, sum of squared gradients, largest |x|, derivative of w by log rate.
 *          Block "bias": the same of a constant 1. Block "scale": sums over all events, named below.
 *
 * Score    s = sum w x
 *
 * Pull     p = -l'(s) of loss l; c the importance; nothing is learned from an event with p = 0
 *
 * Entry    largest' = max(largest, |x|), w and trace *= largest / largest' when it grew; g += c p^2 x^2;
 *          r = 1 / ((sqrt g + beta largest') largest'); spread += c (x / largest')^2
 *
 * Pace     H = sum trace x, the derivative of the score by log rate, after the entries are scaled, so that a value of a
 *          new size does not count as one; squares += c (p H)^2; pace += adapt c p H / sqrt(squares), within +-log 16;
 *          h = c rate e^pace
 *
 * Step     weight += c; labels += c y^2; m = sqrt(weight / spread), for squared and quantile loss times the root mean
 *          square of the labels; k = m sum r x^2, the change of the score by a unit step; d and p' by the exact flow of
 *          the loss over importance h: how far, and the pull that is left (math/flow.h)
 *
 * Update   w += d m r x; trace += (h p' + H (p' / p - 1) / k) m r x, the derivative of that
 *
 * Shrink   l1, l2: all the time every weight but the bias follows dw = -(l1 sign w + l2 w) r da, a = sum of h m. A row
 *          makes up for what it missed when it is used: |w| := max(0, (|w| + l1 / l2) e^(-l2 r a) - l1 / l2), or
 *          |w| - l1 r a without l2, with a since its last touch and r as it was left then; trace alike.
 *
 * Fade     half_life, half_life_time: g and the first five sums of "scale" halve in that many events or that long, so
 *          that steps never become small for good; weights stay (algorithms/forgetting.h).
 *
 * A key that occurs twice in an event is walked in entry order by each of the two passes; r is that of the entry's own
 * turn in the first, or as the first left it in events of more than LOGISTIC_CHUNK entries. */
#include <math.h>

#include "algorithms/logistic_row.h"
#include "algorithms/objective.h"
#include "math/flow.h"
#include "math/loss.h"
#include "thalweg/learner.h"

enum { LOGISTIC_AHEAD = 8, LOGISTIC_FADING = 5 };

/* Margins beyond this say nothing more and would overflow e^u later. */
static const double LOGISTIC_MARGIN_LIMIT = 50.0;
/* log 16: the learned rate stays between a sixteenth of `rate` and sixteen times it. */
static const double LOGISTIC_PACE_LIMIT = 2.772588722239781;

typedef struct logistic_scale {
    double spread, weight, labels, labels_weight, squares, pace, shrinkage;
    uint64_t tick; /* with a half-life only: as of which the first five count */
} logistic_scale;

typedef struct logistic_state {
    double rate, adapt;
    logistic_rule rule;
    tw_loss loss;
    bool has_bias, is_label_scaled;
    uint32_t bias_block, scale_block;
    tw_forgetting forgetting;
    logistic_chunk chunk; /* scratch */
} logistic_state;

/* One event on its way through the passes. */
typedef struct logistic_event {
    uint32_t start, end;
    double score, drift; /* s, H */
    double label, weight, pull;
    uint64_t tick;         /* of now; 0 without a half-life */
    double square;         /* c p^2 */
    double spread, change; /* sums of the entry formulas */
    double step, trace_step;
} logistic_event;

static const tw_option logistic_options[] = {
    {.name = "rate",
        .type = TW_OPTION_REAL,
        .fallback = "0.5",
        .min = 1e-6,
        .max = 1e3,
        .help =
            "learning rate at the start; 0.5 is good for most data (Ross et al. 2013), because steps are normalized"},
    {.name = "adapt",
        .type = TW_OPTION_REAL,
        .fallback = "0.05",
        .min = 0,
        .max = 1,
        .help =
            "how fast the learning rate is learned, up to 16 times more or less than rate; 0 keeps it (chosen on 30 "
            "data sets, docs/en/quality.md)"},
    {.name = "beta",
        .type = TW_OPTION_REAL,
        .fallback = "0.01",
        .min = 0,
        .max = 1e6,
        .help = "smooths the first steps of a weight: steps go by 1 / (beta + sqrt g) (McMahan et al. 2013)"},
    {.name = "l1",
        .type = TW_OPTION_REAL,
        .fallback = "0",
        .min = 0,
        .max = 1e6,
        .help = "L1 penalty per event of importance 1; makes weights exactly 0"},
    {.name = "l2",
        .type = TW_OPTION_REAL,
        .fallback = "0",
        .min = 0,
        .max = 1e6,
        .help = "L2 penalty per event of importance 1: l2 / 2 times the sum of squared weights"},
    TW_OBJECTIVE_OPTIONS,
    {.name = "bias", .type = TW_OPTION_BOOL, .fallback = "true", .help = "learn a constant term"},
    TW_FORGETTING_OPTIONS,
    {.name = NULL},
};

static size_t logistic_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(logistic_state);
}

static tw_status logistic_add_blocks(logistic_state *self, tw_schema *schema, tw_error *error)
{
    static const char *const sums[] = {"spread", "weight", "labels", "labels_weight", "squares", "pace", "shrinkage"};
    self->scale_block = schema->n_blocks;
    tw_block *scale = tw_schema_add_block(schema, "scale", 1, error);
    if (scale == NULL)
        return TW_STATUS_INVALID;
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; !status && i < sizeof sums / sizeof *sums; i++)
        status = tw_record_add(
            &scale->record, sums[i], TW_FIELD_F64, 1, i < LOGISTIC_FADING ? TW_MERGE_FADE : TW_MERGE_ADD, error);
    if (!status && self->rule.is_fading)
        status = tw_record_add(&scale->record, "tick", TW_FIELD_U64, 1, TW_MERGE_TICK, error);
    if (status || !self->has_bias)
        return status;
    self->bias_block = schema->n_blocks;
    tw_block *bias = tw_schema_add_block(schema, "bias", 1, error);
    return bias != NULL ? logistic_add_row(&self->rule, &bias->record, error) : TW_STATUS_INVALID;
}

static tw_status logistic_open(void *self_, const tw_option_values *options, tw_learner_traits *traits, tw_error *error)
{
    logistic_state *self = self_;
    self->rate = tw_option_real(options, "rate");
    self->adapt = tw_option_real(options, "adapt");
    self->rule = (logistic_rule){.rate = self->rate,
        .beta = (float)tw_option_real(options, "beta"),
        .l1 = tw_option_real(options, "l1"),
        .l2 = tw_option_real(options, "l2")};
    self->rule.is_shrunk = self->rule.l1 > 0.0 || self->rule.l2 > 0.0;
    self->has_bias = tw_option_bool(options, "bias");
    tw_objective_open(options, traits);
    self->loss = traits->loss;
    self->is_label_scaled = self->loss.kind == TW_LOSS_SQUARED || self->loss.kind == TW_LOSS_QUANTILE;
    traits->has_bias = self->has_bias;
    traits->n_outputs = 1;
    traits->dense_width = 0;
    tw_status status = tw_forgetting_open(&self->forgetting, "logistic", options, &traits->schema, error);
    self->rule.is_fading = tw_forgetting_is_on(&self->forgetting);
    if (!status)
        status = logistic_add_row(&self->rule, &traits->schema.row, error);
    return status ? status : logistic_add_blocks(self, &traits->schema, error);
}

static logistic_row *logistic_bias(const logistic_state *self, const tw_rows *rows)
{
    return self->has_bias ? rows->block[self->bias_block] : NULL;
}

/* Scores stop where e^score is finite and later steps can come back from. */
static double logistic_limit(const logistic_state *self)
{
    return self->loss.kind == TW_LOSS_LOGISTIC  ? LOGISTIC_MARGIN_LIMIT
           : self->loss.kind == TW_LOSS_POISSON ? TW_POISSON_SCORE_LIMIT
                                                : LOGISTIC_SCORE_LIMIT;
}

static double logistic_clip(const logistic_state *self, double sum)
{
    double limit = logistic_limit(self);
    return fabs(sum) > limit ? copysign(limit, sum) : sum;
}

static float logistic_score(const logistic_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i)
{
    const logistic_row *bias = logistic_bias(self, rows);
    const logistic_scale *scale = rows->block[self->scale_block];
    double sum = bias != NULL ? (double)bias->w : 0.0;
    for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++)
        sum += logistic_weight_at(&self->rule, rows->row[e], scale->shrinkage) * (double)batch->value[e];
    return (float)logistic_clip(self, sum);
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
    for (uint32_t i = 0; i < LOGISTIC_AHEAD; i++)
        logistic_prefetch(batch, rows, i);
    for (uint32_t i = 0; i < batch->n_events; i++) {
        logistic_prefetch(batch, rows, i + LOGISTIC_AHEAD);
        scores[i] = logistic_score(self, batch, rows, i);
    }
}

static void logistic_fade_scale(logistic_scale *scale, uint64_t tick)
{
    if (tick != 0) {
        double kept = tw_forgetting_kept(scale->tick, tick);
        scale->spread *= kept;
        scale->weight *= kept;
        scale->labels *= kept;
        scale->labels_weight *= kept;
        scale->squares *= kept;
        scale->tick = tick;
    }
}

/* The score. Returns the largest |x|. */
static float logistic_sum(
    const logistic_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i, logistic_event *out)
{
    const logistic_row *bias = logistic_bias(self, rows);
    const logistic_scale *scale = rows->block[self->scale_block];
    double sum = bias != NULL ? (double)bias->w : 0.0;
    float peak = 0.0f;
    for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++) {
        sum += logistic_weight_at(&self->rule, rows->row[e], scale->shrinkage) * (double)batch->value[e];
        peak = logistic_size(batch->value[e], peak);
    }
    out->score = (double)(float)logistic_clip(self, sum);
    return peak;
}

/* First pass over one coordinate: takes in the size of x and the square of the gradient; adds to the event's spread and
 * drift. */
static void logistic_take_in(logistic_row *row, float x, logistic_event *event)
{
    float size = fabsf(x);
    if (size == 0.0f)
        return;
    if (size > row->largest) {
        row->w *= row->largest / size;
        row->trace *= row->largest / size;
        row->largest = size;
    }
    double share = size == row->largest ? 1.0 : (double)size / (double)row->largest;
    row->g = logistic_limited((double)row->g + event->square * ((double)x * (double)x));
    event->spread += event->weight * (share * share);
    event->drift += (double)row->trace * (double)x;
}

/* First pass over entries [start, end) of at most a chunk. */
static void logistic_take_in_chunk(logistic_state *self,
    const tw_batch *batch,
    const tw_rows *rows,
    uint32_t start,
    uint32_t end,
    logistic_event *event)
{
    const logistic_scale *scale = rows->block[self->scale_block];
    logistic_chunk *chunk = &self->chunk;
    for (uint32_t e = start; e < end; e++) {
        logistic_row *row = rows->row[e];
        logistic_shrink(&self->rule, row, scale->shrinkage); /* by the direction as it was left */
        logistic_fade(&self->rule, row, event->tick);
        logistic_take_in(row, batch->value[e], event);
        chunk->g[e - start] = row->g;
        chunk->largest[e - start] = row->largest;
    }
    logistic_directions(&self->rule, chunk, end - start);
    for (uint32_t e = start; e < end; e++)
        event->change += (double)chunk->direction[e - start] * ((double)batch->value[e] * (double)batch->value[e]);
}

/* Second pass. The chunk of an event that has only one still holds its directions. */
static void logistic_move_chunk(logistic_state *self,
    const tw_batch *batch,
    const tw_rows *rows,
    uint32_t start,
    uint32_t end,
    const logistic_event *event)
{
    logistic_chunk *chunk = &self->chunk;
    if (event->end - event->start > LOGISTIC_CHUNK) {
        for (uint32_t e = start; e < end; e++) {
            chunk->g[e - start] = ((const logistic_row *)rows->row[e])->g;
            chunk->largest[e - start] = ((const logistic_row *)rows->row[e])->largest;
        }
        logistic_directions(&self->rule, chunk, end - start);
    }
    for (uint32_t e = start; e < end; e++)
        logistic_move(rows->row[e], chunk->direction[e - start], batch->value[e], event->step, event->trace_step);
}

static uint32_t logistic_chunk_end(uint32_t start, uint32_t end)
{
    return end - start < LOGISTIC_CHUNK ? end : start + LOGISTIC_CHUNK;
}

/* h of the file's head. */
static double logistic_horizon(const logistic_state *self, logistic_scale *scale, const logistic_event *event)
{
    double slope = event->pull * event->drift;
    if (self->adapt > 0.0 && slope != 0.0 && isfinite(slope * slope)) {
        scale->squares += event->weight * slope * slope;
        double step = scale->squares > 0.0 ? self->adapt * event->weight * slope / sqrt(scale->squares) : 0.0;
        double pace = scale->pace + step;
        scale->pace = fabs(pace) > LOGISTIC_PACE_LIMIT ? copysign(LOGISTIC_PACE_LIMIT, pace) : pace;
    }
    return event->weight * self->rate * tw_exp(scale->pace);
}

/* m of the file's head. */
static double logistic_multiplier(const logistic_state *self, logistic_scale *scale, const logistic_event *event)
{
    scale->spread += event->spread;
    scale->weight += event->weight;
    double multiplier = scale->spread > 0.0 ? sqrt(scale->weight / scale->spread) : 0.0;
    if (!self->is_label_scaled)
        return multiplier;
    scale->labels += event->weight * event->label * event->label;
    scale->labels_weight += event->weight;
    return multiplier * sqrt(scale->labels / scale->labels_weight);
}

static void logistic_learn_event(
    logistic_state *self, const tw_batch *batch, const tw_rows *rows, logistic_event *event)
{
    logistic_row *bias = logistic_bias(self, rows);
    logistic_scale *scale = rows->block[self->scale_block];
    float bias_direction = 0.0f;
    event->square = event->weight * event->pull * event->pull;
    logistic_fade_scale(scale, event->tick);
    for (uint32_t at = event->start; at < event->end; at = logistic_chunk_end(at, event->end))
        logistic_take_in_chunk(self, batch, rows, at, logistic_chunk_end(at, event->end), event);
    if (bias != NULL) {
        logistic_fade(&self->rule, bias, event->tick);
        logistic_take_in(bias, 1.0f, event);
        bias_direction = logistic_direction(&self->rule, bias->g, bias->largest);
        event->change += (double)bias_direction;
    }
    double horizon = logistic_horizon(self, scale, event);
    double multiplier = logistic_multiplier(self, scale, event);
    double change = multiplier * event->change;
    scale->shrinkage += horizon * multiplier;
    if (!(change > 0.0))
        return;
    tw_flow flow = tw_flow_of(self->loss, event->score, event->label, horizon, change);
    event->step = multiplier * flow.distance;
    event->trace_step = multiplier * (horizon * flow.pull + event->drift * (flow.pull / event->pull - 1.0) / change);
    for (uint32_t at = event->start; at < event->end; at = logistic_chunk_end(at, event->end))
        logistic_move_chunk(self, batch, rows, at, logistic_chunk_end(at, event->end), event);
    if (bias != NULL)
        logistic_move(bias, bias_direction, 1.0f, event->step, event->trace_step);
}

/* What would leave the range of the row's floats. */
static tw_status logistic_check(const logistic_state *self,
    const tw_batch *batch,
    uint32_t i,
    const logistic_event *event,
    float peak,
    tw_error *error)
{
    if (!isfinite(event->score) || fabs(event->score) >= LOGISTIC_SCORE_LIMIT)
        return tw_error_set(error, TW_STATUS_NUMERIC,
            "logistic: the score of event %u of the batch is %g; lower the rate or scale the features", i,
            event->score);
    float size = logistic_size(batch->label[i], batch->weight[i]);
    if (peak > LOGISTIC_VALUE_LIMIT || size > LOGISTIC_LABEL_LIMIT)
        return tw_error_set(error, TW_STATUS_NUMERIC,
            "logistic: event %u of the batch holds a value of %g and a label or weight of %g; the limits are %g and %g",
            i, (double)peak, (double)size, (double)LOGISTIC_VALUE_LIMIT, (double)LOGISTIC_LABEL_LIMIT);
    return tw_objective_check(self->loss, "logistic", i, batch->label[i], error);
}

/* p of the file's head; of logistic loss without the cancellation on the side of the label. */
static double logistic_pull(const logistic_state *self, double score, double label)
{
    if (self->loss.kind == TW_LOSS_LOGISTIC)
        return label > 0.5 ? tw_sigmoid(-score) : -tw_sigmoid(score);
    return -tw_loss_slope(self->loss, score, label);
}

/* Learns event i, which is scored. The clock moves with events that have nothing to teach too. */
static tw_status logistic_learn_scored(logistic_state *self,
    const tw_batch *batch,
    const tw_rows *rows,
    uint32_t i,
    logistic_event *event,
    tw_error *error)
{
    event->label = (double)batch->label[i];
    event->weight = (double)batch->weight[i];
    event->pull = logistic_pull(self, event->score, event->label);
    if (self->rule.is_fading) {
        tw_forgetting_clock clock;
        tw_status status = tw_forgetting_advance(&self->forgetting, "logistic", rows, batch, i, &clock, error);
        if (status)
            return status;
        *(tw_forgetting_clock *)rows->block[self->forgetting.block] = clock;
        event->tick = tw_forgetting_tick(&self->forgetting, &clock);
    }
    if (event->pull != 0.0)
        logistic_learn_event(self, batch, rows, event);
    return TW_STATUS_OK;
}

static tw_status logistic_learn(void *self_, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error)
{
    logistic_state *self = self_;
    for (uint32_t i = 0; i < LOGISTIC_AHEAD; i++)
        logistic_prefetch(batch, rows, i);
    for (uint32_t i = 0; i < batch->n_events; i++) {
        logistic_event event = {.start = batch->row_start[i], .end = batch->row_start[i + 1]};
        logistic_prefetch(batch, rows, i + LOGISTIC_AHEAD);
        float peak = logistic_sum(self, batch, rows, i, &event);
        scores[i] = (float)event.score;
        if (isnan(batch->label[i]) || batch->weight[i] == 0.0f)
            continue;
        tw_status status = logistic_check(self, batch, i, &event, peak, error);
        if (!status)
            status = logistic_learn_scored(self, batch, rows, i, &event, error);
        if (status)
            return status;
    }
    return TW_STATUS_OK;
}

static tw_status logistic_explain(
    const void *self_, const tw_batch *batch, const tw_rows *rows, float *contribution, tw_error *error)
{
    const logistic_state *self = self_;
    const logistic_scale *scale = rows->block[self->scale_block];
    (void)error;
    for (uint32_t e = 0; e < batch->n_entries; e++)
        contribution[e] =
            (float)(logistic_weight_at(&self->rule, rows->row[e], scale->shrinkage) * (double)batch->value[e]);
    return TW_STATUS_OK;
}

/* With l1 or l2: as of the row's last touch. */
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
    const logistic_scale *scale = rows->block[self->scale_block];
    form->rule = TW_SCORE_ORDERED;
    form->bias = bias != NULL ? (double)bias->w : 0.0;
    form->limit = logistic_limit(self);
    for (uint32_t e = 0; e < batch->n_entries; e++)
        weight[e] = logistic_weight_at(&self->rule, rows->row[e], scale->shrinkage);
}

static uint64_t logistic_now(const logistic_state *self, const tw_rows *rows)
{
    return self->rule.is_fading ? tw_forgetting_now(&self->forgetting, rows) : 0;
}

static tw_status logistic_start_bias(
    const logistic_state *self, const tw_rows *rows, const tw_weights *weights, tw_error *error)
{
    logistic_scale *scale = rows->block[self->scale_block];
    logistic_row *bias = logistic_bias(self, rows);
    if (bias == NULL)
        return tw_error_set(
            error, TW_STATUS_INVALID, "logistic: the weights have a bias of %g, the model has bias off", weights->bias);
    tw_status status = logistic_check_start(weights->bias, weights->bias_curvature, error);
    if (status)
        return status;
    bias->largest = 1.0f;
    logistic_start_row(
        &self->rule, bias, weights->bias, weights->bias_curvature, scale->shrinkage, logistic_now(self, rows));
    scale->spread += weights->bias_curvature;
    scale->weight += weights->bias_curvature;
    return TW_STATUS_OK;
}

/* The curvatures are sums of gradients as g is. Theirs over all features, each divided by largest^2, against that of
 * the constant is the mean of the spread of an event, weighted by its squared slope: spread / weight. */
static tw_status logistic_warm_start(
    void *self_, const tw_batch *batch, const tw_rows *rows, const tw_weights *weights, tw_error *error)
{
    const logistic_state *self = self_;
    logistic_scale *scale = rows->block[self->scale_block];
    for (uint32_t e = 0; e < batch->n_entries; e++) {
        tw_status status = logistic_check_start((double)weights->weight[e], (double)weights->curvature[e], error);
        if (status)
            return status;
    }
    uint64_t now = logistic_now(self, rows);
    if (self->rule.is_fading)
        scale->tick = now;
    for (uint32_t e = 0; e < batch->n_entries; e++) {
        logistic_row *row = rows->row[e];
        double size = fabs((double)batch->value[e]), curvature = (double)weights->curvature[e];
        row->largest = (float)size;
        logistic_start_row(&self->rule, row, (double)weights->weight[e], curvature, scale->shrinkage, now);
        scale->spread += self->has_bias && size > 0.0 ? curvature / (size * size) : 0.0;
    }
    return weights->has_bias ? logistic_start_bias(self, rows, weights, error) : TW_STATUS_OK;
}

/* As for ftrl, whose alpha is half of this rate's step for features of size 1. A rate that stale rows make too large is
 * lowered by the events themselves. With a half-life the steps do not shrink for good, and T stops there. */
static double logistic_flight(const void *self_, uint64_t events_learned)
{
    const logistic_state *self = self_;
    double events = (double)events_learned, most = 1e4;
    if (self->rule.is_fading) {
        most = self->forgetting.ticks_per_event > 0.0
                   ? TW_TICKS_PER_HALF_LIFE / (0.69314718055994531 * self->forgetting.ticks_per_event)
                   : most;
        events = events < most ? events : most;
    }
    return 0.05 / self->rate * sqrt(events);
}

static bool logistic_hasten(void *self_, const tw_rows *rows, double half_lives)
{
    const logistic_state *self = self_;
    return tw_forgetting_hasten(&self->forgetting, rows, half_lives);
}

const tw_learner_ops tw_learner_logistic = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_learner_ops),
    .name = "logistic",
    .summary = "linear model with normalized, adaptive, importance-invariant steps of a learned rate: needs no tuning",
    .options = logistic_options,
    .state_size = logistic_state_size,
    .open = logistic_open,
    .predict = logistic_predict,
    .learn = logistic_learn,
    .flight = logistic_flight,
    .explain = logistic_explain,
    .warm_start = logistic_warm_start,
    .hasten = logistic_hasten,
    .weight = logistic_weight,
    .score_form = logistic_score_form,
};
