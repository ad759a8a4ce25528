/* linear: a linear model by stochastic gradient descent, with momentum, AdaGrad or Adam, for five losses.
 *
 * Score      s = sum w x + w_bias, summed in double in entry order, the bias first
 * Rate       r = rate (constant), rate / sqrt(1 + t / t0) (inverse_sqrt) or rate / (1 + t / t0) (inverse), t the
 *            importance learned so far; l' the loss's slope by s, c the importance of the event, g = c l' x
 * sgd        w += d x, d the loss's flow over r c (math/flow.h): exact in the importance. Row {f32 w}
 * momentum   v = momentum v - r g, w += v at every event, of absent keys too: Sutskever et al., ICML 2013. What k
 *            events without its key do to a row is done when it is next read: w += v momentum (1 - momentum^k) /
 *            (1 - momentum), v *= momentum^k. Row {f32 w, v, u64 step}
 * adagrad    n += c (l' x)^2, w -= r g / (sqrt n + epsilon): Duchi, Hazan, Singer, JMLR 12, 2011. Row {f32 w, n}
 * adam       m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, w -= r M / (sqrt V + epsilon), with
 *            M = m / (1 - beta1^k), V = v / (1 - beta2^k), k the events that changed this row; moments of absent keys
 *            rest. Kingma and Ba, ICLR 2015. Row {f32 w, m, v, u32 touches}
 * Shrinking  After every event all weights but the bias flow along -(l2 w + l1 sign w) for S = r c and stop at 0:
 *            |w| = |w| e^(-l2 S) - (l1 / l2) (1 - e^(-l2 S)), without the optimizer's adaptive factor. A row has
 *            {f64 shrunk}, the sum of S that it has taken, and takes the rest when it is next read. As the flow over
 *            a sum is the flows one after the other, this equals shrinking all rows at every event; with momentum
 *            it comes after the steps that are due.
 * Half-life  fades n (adagrad) and t, never w (forgetting.h); rows of adagrad then have {u64 tick}
 * Blocks     "bias": one row for a constant 1; "steps": {u64 events, f64 weight (t), f64 shrunk (sum of S)} and
 *            {u64 tick} with a half-life, where an option needs it; "clock" with a half-life
 * Workers    w, v, n, m, touches and the blocks add (n and t fade): two workers that bring one row up to date at the
 *            same time shrink it, or let it run on, twice.
 *
 * An event whose slope is 0 changes no row. A key that occurs twice in an event is updated in entry order; k of the
 * flow then counts its entries as different keys. */
#include <math.h>
#include <string.h>

#include "algorithms/linear_row.h"
#include "algorithms/objective.h"
#include "math/flow.h"
#include "thalweg/learner.h"

enum { LINEAR_AHEAD = 8 };

/* Beyond this size the square of a gradient would not be a finite float. */
static const double LINEAR_LIMIT = 1e18;

/* Beyond this score the slope of the logistic loss is that at the limit to 1 in 10^21, and the flow of e^s gives way to
 * it. */
static const double LINEAR_FLOW_LIMIT = 50.0;

static const tw_option linear_options[] = {
    {.name = "optimizer",
        .type = TW_OPTION_CHOICE,
        .fallback = "adagrad",
        .choices = "sgd|momentum|adagrad|adam",
        .help = "how a gradient moves the weights"},
    TW_OBJECTIVE_OPTIONS,
    {.name = "rate",
        .type = TW_OPTION_REAL,
        .min = 1e-9,
        .max = 1e3,
        .help = "learning rate; unset: 0.1 for sgd and adagrad, 0.01 for momentum, 0.001 for adam"},
    {.name = "schedule",
        .type = TW_OPTION_CHOICE,
        .fallback = "constant",
        .choices = "constant|inverse_sqrt|inverse",
        .help = "rate, rate / sqrt(1 + t / t0) or rate / (1 + t / t0) after events of importance t"},
    {.name = "t0",
        .type = TW_OPTION_REAL,
        .fallback = "1000",
        .min = 1e-6,
        .max = 1e15,
        .help = "events after which schedule inverse has halved the rate"},
    {.name = "momentum",
        .type = TW_OPTION_REAL,
        .fallback = "0.9",
        .min = 0,
        .max = 0.9999,
        .help = "with optimizer momentum: what is left of a step at the next event (Sutskever et al. 2013)"},
    {.name = "beta1",
        .type = TW_OPTION_REAL,
        .fallback = "0.9",
        .min = 0,
        .max = 0.9999,
        .help = "with optimizer adam: decay of the mean gradient (Kingma and Ba 2015)"},
    {.name = "beta2",
        .type = TW_OPTION_REAL,
        .fallback = "0.999",
        .min = 0.5,
        .max = 0.999999,
        .help = "with optimizer adam: decay of the mean squared gradient (Kingma and Ba 2015)"},
    {.name = "epsilon",
        .type = TW_OPTION_REAL,
        .fallback = "1e-8",
        .min = 1e-12,
        .max = 1e3,
        .help = "adagrad and adam: added to the root that divides a step (Kingma and Ba 2015)"},
    {.name = "l1",
        .type = TW_OPTION_REAL,
        .fallback = "0",
        .min = 0,
        .max = 1e3,
        .help = "pulls every weight to 0 by rate x l1 an event; weights can become exactly 0"},
    {.name = "l2",
        .type = TW_OPTION_REAL,
        .fallback = "0",
        .min = 0,
        .max = 1e3,
        .help = "shrinks every weight by the factor exp(-rate x l2) an event"},
    {.name = "bias", .type = TW_OPTION_BOOL, .fallback = "true", .help = "learn a constant term, which is not shrunk"},
    TW_FORGETTING_OPTIONS,
    {.name = NULL},
};

static size_t linear_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(linear_state);
}

/* --- options and layout ------------------------------------------------------------------------------------------- */

/* Which of the `n` words the option is: its choices are those words. */
static uint32_t linear_choice(const tw_option_values *options, const char *name, const char *const *words, uint32_t n)
{
    uint32_t i = 0;
    while (i + 1 < n && strcmp(words[i], tw_option_text(options, name)) != 0)
        i++;
    return i;
}

static tw_status linear_read_options(linear_state *self, const tw_option_values *options, tw_error *error)
{
    static const char *const optimizers[] = {"sgd", "momentum", "adagrad", "adam"};
    static const char *const schedules[] = {"constant", "inverse_sqrt", "inverse"};
    static const double rates[] = {0.1, 0.01, 0.1, 0.001};
    self->optimizer = (linear_optimizer)linear_choice(options, "optimizer", optimizers, 4);
    self->schedule = (linear_schedule)linear_choice(options, "schedule", schedules, 3);
    self->rate = tw_option_has(options, "rate") ? tw_option_real(options, "rate") : rates[self->optimizer];
    self->t0 = tw_option_real(options, "t0");
    self->momentum = tw_option_real(options, "momentum");
    self->beta1 = tw_option_real(options, "beta1");
    self->beta2 = tw_option_real(options, "beta2");
    self->epsilon = tw_option_real(options, "epsilon");
    self->l1 = tw_option_real(options, "l1");
    self->l2 = tw_option_real(options, "l2");
    self->has_bias = tw_option_bool(options, "bias");
    self->is_shrinking = self->l1 > 0.0 || self->l2 > 0.0;
    self->has_steps = self->is_shrinking || self->optimizer == LINEAR_MOMENTUM || self->schedule != LINEAR_CONSTANT;
    double tiny = 1e-300;
    self->log_momentum = tw_log(self->momentum > tiny ? self->momentum : tiny);
    self->log_beta1 = tw_log(self->beta1 > tiny ? self->beta1 : tiny);
    self->log_beta2 = tw_log(self->beta2);
    double rest = 1.0 - self->beta1 * self->beta1 / self->beta2;
    if (!(rest > 0.0))
        return tw_error_set(error, TW_STATUS_INVALID,
            "linear: the square of beta1 %g must be below beta2 %g, or steps of adam have no bound", self->beta1,
            self->beta2);
    self->adam_reach = fmax(1.0, (1.0 - self->beta1) / sqrt((1.0 - self->beta2) * rest));
    return TW_STATUS_OK;
}

static tw_status linear_add_field(
    tw_record *record, const char *name, tw_field_type type, tw_merge merge, uint32_t *offset, tw_error *error)
{
    tw_status status = tw_record_add(record, name, type, 1, merge, error);
    if (!status && offset != NULL)
        *offset = record->field[record->n_fields - 1].offset;
    return status;
}

static tw_status linear_add_fields(linear_state *self, tw_record *record, tw_error *error)
{
    static const char *const first[] = {"", "v", "n", "m"};
    bool has_tick = self->optimizer == LINEAR_ADAGRAD && self->is_fading;
    tw_merge merge = has_tick ? TW_MERGE_FADE : TW_MERGE_ADD;
    tw_status status = linear_add_field(record, "w", TW_FIELD_F32, TW_MERGE_ADD, NULL, error);
    if (!status && self->optimizer != LINEAR_SGD)
        status = linear_add_field(record, first[self->optimizer], TW_FIELD_F32, merge, NULL, error);
    if (!status && self->optimizer == LINEAR_ADAM) {
        status = linear_add_field(record, "v", TW_FIELD_F32, TW_MERGE_ADD, NULL, error);
        status = status ? status : linear_add_field(record, "touches", TW_FIELD_U32, TW_MERGE_ADD, NULL, error);
    }
    if (!status && self->optimizer == LINEAR_MOMENTUM)
        status = linear_add_field(record, "step", TW_FIELD_U64, TW_MERGE_MAX, &self->stamp_offset, error);
    if (!status && has_tick)
        status = linear_add_field(record, "tick", TW_FIELD_U64, TW_MERGE_TICK, &self->stamp_offset, error);
    if (!status && self->is_shrinking)
        status = linear_add_field(record, "shrunk", TW_FIELD_F64, TW_MERGE_MAX, &self->shrunk_offset, error);
    return status;
}

static tw_status linear_add_steps(linear_state *self, tw_schema *schema, tw_error *error)
{
    self->steps_block = schema->n_blocks;
    tw_block *block = tw_schema_add_block(schema, "steps", 1, error);
    if (block == NULL)
        return TW_STATUS_INVALID;
    tw_record *record = &block->record;
    tw_merge merge = self->is_fading ? TW_MERGE_FADE : TW_MERGE_ADD;
    tw_status status = linear_add_field(record, "events", TW_FIELD_U64, TW_MERGE_ADD, NULL, error);
    status = status ? status : linear_add_field(record, "weight", TW_FIELD_F64, merge, NULL, error);
    status = status ? status : linear_add_field(record, "shrunk", TW_FIELD_F64, TW_MERGE_ADD, NULL, error);
    if (!status && self->is_fading)
        status = linear_add_field(record, "tick", TW_FIELD_U64, TW_MERGE_TICK, NULL, error);
    return status;
}

static tw_status linear_add_state(linear_state *self, tw_schema *schema, tw_error *error)
{
    tw_status status = linear_add_fields(self, &schema->row, error);
    if (!status && self->has_bias) {
        self->bias_block = schema->n_blocks;
        tw_block *bias = tw_schema_add_block(schema, "bias", 1, error);
        status = bias != NULL ? linear_add_fields(self, &bias->record, error) : TW_STATUS_INVALID;
    }
    return !status && self->has_steps ? linear_add_steps(self, schema, error) : status;
}

static tw_status linear_open(void *self_, const tw_option_values *options, tw_learner_traits *traits, tw_error *error)
{
    linear_state *self = self_;
    tw_status status = linear_read_options(self, options, error);
    status = status ? status : tw_forgetting_open(&self->forgetting, "linear", options, &traits->schema, error);
    self->is_fading = tw_forgetting_is_on(&self->forgetting);
    if (!status && self->is_fading && self->optimizer != LINEAR_ADAGRAD && self->schedule == LINEAR_CONSTANT)
        return tw_error_set(error, TW_STATUS_INVALID,
            "linear: nothing that a half-life could fade: %s at a constant rate follows its stream by itself; use "
            "optimizer adagrad or a schedule",
            tw_option_text(options, "optimizer"));
    tw_objective_open(options, traits);
    self->loss = traits->loss;
    traits->has_bias = self->has_bias;
    traits->n_outputs = 1;
    traits->dense_width = 0;
    return status ? status : linear_add_state(self, &traits->schema, error);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static linear_steps linear_read_steps(const linear_state *self, const tw_rows *rows)
{
    linear_steps steps = {0};
    if (self->has_steps)
        memcpy(&steps, rows->block[self->steps_block], self->is_fading ? sizeof steps : offsetof(linear_steps, tick));
    return steps;
}

static float linear_score(
    const linear_state *self, const tw_batch *batch, const tw_rows *rows, const linear_steps *steps, uint32_t i)
{
    double sum = self->has_bias ? linear_read(self, steps, rows->block[self->bias_block], true) : 0.0;
    for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++)
        sum += linear_read(self, steps, rows->row[e], false) * (double)batch->value[e];
    return (float)sum;
}

static void linear_prefetch(const tw_batch *batch, const tw_rows *rows, uint32_t i)
{
    if (i < batch->n_events) {
        for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++)
            __builtin_prefetch(rows->row[e], 1, 3);
    }
}

static void linear_predict(const void *self_, const tw_batch *batch, const tw_rows *rows, float *scores)
{
    const linear_state *self = self_;
    linear_steps steps = linear_read_steps(self, rows);
    for (uint32_t i = 0; i < batch->n_events; i++) {
        linear_prefetch(batch, rows, i + LINEAR_AHEAD);
        scores[i] = linear_score(self, batch, rows, &steps, i);
    }
}

/* --- learning ----------------------------------------------------------------------------------------------------- */

static tw_status linear_check(
    const linear_state *self, const tw_batch *batch, uint32_t i, float score, const linear_now *now, tw_error *error)
{
    double peak = self->has_bias ? 1.0 : 0.0;
    if (!isfinite(score))
        return tw_error_set(error, TW_STATUS_NUMERIC,
            "linear: the score of event %u of the batch is not finite; lower the rate (%g) or scale the features", i,
            self->rate);
    for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++) {
        double size = fabs((double)batch->value[e]);
        peak = size > peak ? size : peak;
    }
    double slope = fabs(now->slope) * peak, gradient = slope * (now->importance > 1.0 ? now->importance : 1.0);
    if (gradient <= LINEAR_LIMIT && peak <= LINEAR_LIMIT)
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_NUMERIC,
        "linear: a gradient of event %u of the batch is %g with a value of %g, the limit of both is %g; scale features "
        "and labels",
        i, gradient, peak, LINEAR_LIMIT);
}

/* The change of the score for a unit of flow. */
static double linear_length(const linear_state *self, const tw_batch *batch, uint32_t i)
{
    double k = self->has_bias ? 1.0 : 0.0;
    for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++)
        k += (double)batch->value[e] * (double)batch->value[e];
    return k;
}

static void linear_update(
    const linear_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i, linear_now *now, double score)
{
    if (self->optimizer == LINEAR_SGD) {
        double k = linear_length(self, batch, i), limit = LINEAR_FLOW_LIMIT;
        if (self->loss.kind == TW_LOSS_LOGISTIC || self->loss.kind == TW_LOSS_POISSON)
            score = score < limit ? (score > -limit ? score : -limit) : limit;
        now->flow = 0.0;
        if (k > 0.0)
            now->flow = tw_flow_of(self->loss, score, (double)batch->label[i], now->rate * now->importance, k).distance;
    }
    for (uint32_t e = batch->row_start[i]; e < batch->row_start[i + 1]; e++)
        linear_move(self, now, rows->row[e], (double)batch->value[e], false);
    if (self->has_bias)
        linear_move(self, now, rows->block[self->bias_block], 1.0, true);
}

/* The event is learned: what is counted moves on. */
static void linear_count(const linear_state *self, const tw_rows *rows, const linear_now *now)
{
    linear_steps steps = now->steps;
    steps.events++;
    steps.weight += now->importance;
    steps.shrunk += now->rate * now->importance;
    steps.tick = now->tick;
    if (self->has_steps)
        memcpy(rows->block[self->steps_block], &steps, self->is_fading ? sizeof steps : offsetof(linear_steps, tick));
    if (self->is_fading)
        memcpy(rows->block[self->forgetting.block], &now->clock, sizeof now->clock);
}

static tw_status linear_learn_event(
    const linear_state *self, const tw_batch *batch, const tw_rows *rows, uint32_t i, float *scores, tw_error *error)
{
    linear_now now = {.steps = linear_read_steps(self, rows), .importance = (double)batch->weight[i]};
    float label = batch->label[i];
    scores[i] = linear_score(self, batch, rows, &now.steps, i);
    bool is_learned = !isnan(label) && batch->weight[i] > 0.0f;
    now.slope = is_learned ? tw_loss_slope(self->loss, (double)scores[i], (double)label) : 0.0;
    tw_status status = linear_check(self, batch, i, scores[i], &now, error);
    if (status || !is_learned)
        return status;
    status = tw_objective_check(self->loss, "linear", i, label, error);
    if (!status && self->is_fading)
        status = tw_forgetting_advance(&self->forgetting, "linear", rows, batch, i, &now.clock, error);
    if (status)
        return status;
    if (self->is_fading) {
        now.tick = tw_forgetting_tick(&self->forgetting, &now.clock);
        now.steps.weight *= tw_forgetting_kept(now.steps.tick, now.tick);
    }
    now.rate = linear_rate(self, now.steps.weight);
    if (now.slope != 0.0)
        linear_update(self, batch, rows, i, &now, (double)scores[i]);
    linear_count(self, rows, &now);
    return TW_STATUS_OK;
}

static tw_status linear_learn(void *self, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error)
{
    for (uint32_t i = 0; i < batch->n_events; i++) {
        linear_prefetch(batch, rows, i + LINEAR_AHEAD);
        tw_status status = linear_learn_event(self, batch, rows, i, scores, error);
        if (status)
            return status;
    }
    return TW_STATUS_OK;
}

/* --- the rest ----------------------------------------------------------------------------------------------------- */

/* Plain gradients: as many as move a score of features of size 1 by a tenth of the way to the label, times 1 - momentum
 * (a9a, 14 features of 1 an event, 8 workers: within 0.0005 logloss of one worker at rates to 0.02; at 0.1, where one
 * event alone moves a score too far, eight at once cost 0.01, and one after the other nothing). For adagrad as for
 * ftrl. With a half-life of events T stops growing at half_life / log 2; for one of time 10,000 events are taken. */
static double linear_flight(const void *self_, uint64_t events_learned)
{
    const linear_state *self = self_;
    double t = (double)events_learned, most = 1e4;
    if (self->forgetting.ticks_per_event > 0.0)
        most = TW_TICKS_PER_HALF_LIFE / (0.69314718055994531 * self->forgetting.ticks_per_event);
    t = self->is_fading && t > most ? most : t;
    double rate = linear_rate(self, t);
    if (self->optimizer == LINEAR_ADAGRAD)
        return 0.05 / rate * sqrt(t);
    return 0.1 / rate * (self->optimizer == LINEAR_MOMENTUM ? 1.0 - self->momentum : 1.0);
}

static void linear_seed(const linear_state *self, const linear_now *now, double w, double n, void *row)
{
    linear_row *head = row;
    head->w = (float)w;
    if (self->optimizer != LINEAR_SGD)
        head->first = self->optimizer == LINEAR_ADAGRAD ? (float)n : 0.0f;
    if (self->optimizer == LINEAR_ADAM) {
        head->second = 0.0f;
        head->touches = 0;
    }
    uint64_t stamp = self->optimizer == LINEAR_MOMENTUM ? now->steps.events : now->tick;
    if (self->stamp_offset != 0)
        memcpy((char *)row + self->stamp_offset, &stamp, sizeof stamp);
    if (self->is_shrinking)
        memcpy((char *)row + self->shrunk_offset, &now->steps.shrunk, sizeof now->steps.shrunk);
}

static tw_status linear_check_seed(double w, double n, tw_error *error)
{
    if (fabs(w) <= LINEAR_LIMIT && n >= 0.0 && n <= LINEAR_LIMIT * LINEAR_LIMIT)
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_NUMERIC,
        "linear: a weight of %g with curvature %g cannot be started from; the limits are %g and %g", w, n, LINEAR_LIMIT,
        LINEAR_LIMIT * LINEAR_LIMIT);
}

/* Adagrad takes the curvature as n, schedules the number of events as t; momentum and adam start at rest. */
static tw_status linear_warm_start(
    void *self_, const tw_batch *batch, const tw_rows *rows, const tw_weights *weights, tw_error *error)
{
    const linear_state *self = self_;
    linear_now now = {.steps = linear_read_steps(self, rows)};
    tw_status status = TW_STATUS_OK;
    for (uint32_t e = 0; e < batch->n_entries && !status; e++)
        status = linear_check_seed((double)weights->weight[e], (double)weights->curvature[e], error);
    if (!status && weights->has_bias)
        status = linear_check_seed(weights->bias, weights->bias_curvature, error);
    if (!status && weights->has_bias && weights->bias != 0.0 && !self->has_bias)
        status = tw_error_set(error, TW_STATUS_INVALID,
            "linear: the weights have a constant term of %g, the learner has bias=false", weights->bias);
    if (status)
        return status;
    now.steps.tick = now.tick = self->is_fading ? tw_forgetting_now(&self->forgetting, rows) : 0;
    for (uint32_t e = 0; e < batch->n_entries; e++)
        linear_seed(self, &now, (double)weights->weight[e], (double)weights->curvature[e], rows->row[e]);
    if (weights->has_bias && self->has_bias)
        linear_seed(self, &now, weights->bias, weights->bias_curvature, rows->block[self->bias_block]);
    if (self->has_steps && now.steps.weight < (double)weights->events) {
        now.steps.weight = (double)weights->events;
        memcpy(rows->block[self->steps_block], &now.steps,
            self->is_fading ? sizeof now.steps : offsetof(linear_steps, tick));
    }
    return TW_STATUS_OK;
}

static bool linear_hasten(void *self_, const tw_rows *rows, double half_lives)
{
    const linear_state *self = self_;
    return tw_forgetting_hasten(&self->forgetting, rows, half_lives);
}

static tw_status linear_explain(
    const void *self_, const tw_batch *batch, const tw_rows *rows, float *contribution, tw_error *error)
{
    const linear_state *self = self_;
    linear_steps steps = linear_read_steps(self, rows);
    (void)error;
    for (uint32_t e = 0; e < batch->n_entries; e++)
        contribution[e] = (float)(linear_read(self, &steps, rows->row[e], false) * (double)batch->value[e]);
    return TW_STATUS_OK;
}

/* As of the row's last event: what shrinking and momentum did to it since is not in the row. */
static double linear_weight(const void *self, const void *row)
{
    (void)self;
    return (double)((const linear_row *)row)->w;
}

static void linear_score_form(
    const void *self_, const tw_batch *batch, const tw_rows *rows, tw_score_form *form, double *weight)
{
    const linear_state *self = self_;
    linear_steps steps = linear_read_steps(self, rows);
    form->rule = TW_SCORE_ORDERED;
    form->bias = self->has_bias ? linear_read(self, &steps, rows->block[self->bias_block], true) : 0.0;
    form->limit = 0.0;
    for (uint32_t e = 0; e < batch->n_entries; e++)
        weight[e] = linear_read(self, &steps, rows->row[e], false);
}

const tw_learner_ops tw_learner_linear = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_learner_ops),
    .name = "linear",
    .summary = "linear model by gradient descent: sgd, momentum, AdaGrad or Adam, schedules, five losses",
    .options = linear_options,
    .state_size = linear_state_size,
    .open = linear_open,
    .predict = linear_predict,
    .learn = linear_learn,
    .flight = linear_flight,
    .explain = linear_explain,
    .warm_start = linear_warm_start,
    .hasten = linear_hasten,
    .weight = linear_weight,
    .score_form = linear_score_form,
};
