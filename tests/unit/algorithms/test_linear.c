/* linear: every optimizer against a dense reference in double that moves, fades and shrinks every weight at every
 * event. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/loss_reference.h"

extern const tw_learner_ops tw_learner_linear;

enum { N_ROWS = 24, N_EVENTS = 500, BIAS = N_ROWS, SMALL_STEPS = 400 };

typedef enum optimizer { SGD, MOMENTUM, ADAGRAD, ADAM } optimizer;

/* power: of 1 + t / t0 that divides the rate. */
typedef struct reference {
    optimizer optimizer;
    tw_loss loss;
    double rate, power, t0, momentum, beta1, beta2, epsilon, l1, l2, half_life;
    double w[N_ROWS + 1], first[N_ROWS + 1], second[N_ROWS + 1], touches[N_ROWS + 1], t;
} reference;

/* Where the score goes when importance comes in many small pieces. */
static double follow_flow(const reference *self, double s, double y, double h, double k)
{
    if (self->loss.kind == TW_LOSS_HINGE || self->loss.kind == TW_LOSS_QUANTILE) {
        double corner = self->loss.kind == TW_LOSS_HINGE ? 2 * y - 1 : y,
               way = -h * k * reference_slope(self->loss, s, y);
        return fabs(way) < fabs(corner - s) ? s + way : way == 0 ? s : corner;
    }
    for (int i = 0; i < SMALL_STEPS; i++) { /* Runge and Kutta's classical method */
        double dh = h / SMALL_STEPS, a = -k * reference_slope(self->loss, s, y);
        double b = -k * reference_slope(self->loss, s + dh / 2 * a, y);
        double c = -k * reference_slope(self->loss, s + dh / 2 * b, y);
        s += dh / 6 * (a + 2 * b + 2 * c - k * reference_slope(self->loss, s + dh * c, y));
    }
    return s;
}

static void reference_shrink(reference *self, double s)
{
    for (int i = 0; i < N_ROWS; i++) {
        double w = fabs(self->w[i]), step = s / SMALL_STEPS;
        for (int j = 0; j < SMALL_STEPS && w > 0; j++)
            w -= step * (self->l2 * (w - step / 2 * (self->l2 * w + self->l1)) + self->l1);
        self->w[i] = copysign(fmax(w, 0), self->w[i]);
    }
}

static void reference_move(reference *self, int i, double x, double c, double slope, double rate)
{
    double g = c * slope * x;
    switch (self->optimizer) {
    case SGD:
    case MOMENTUM:
        break;
    case ADAGRAD:
        self->first[i] += c * slope * x * slope * x;
        self->w[i] -= rate * g / (sqrt(self->first[i]) + self->epsilon);
        break;
    case ADAM:
        self->touches[i]++;
        self->first[i] = self->beta1 * self->first[i] + (1 - self->beta1) * g;
        self->second[i] = self->beta2 * self->second[i] + (1 - self->beta2) * g * g;
        self->w[i] -= rate * (self->first[i] / (1 - pow(self->beta1, self->touches[i]))) /
                      (sqrt(self->second[i] / (1 - pow(self->beta2, self->touches[i]))) + self->epsilon);
        break;
    }
}

static void reference_update(reference *self, const double *x, double score, double y, double c, double rate)
{
    double slope = reference_slope(self->loss, score, y), k = 0.0;
    for (int i = 0; i <= N_ROWS; i++)
        k += x[i] * x[i];
    double d = self->optimizer == SGD ? (follow_flow(self, score, y, rate * c, k) - score) / k : 0.0;
    for (int i = 0; i <= N_ROWS; i++) {
        self->w[i] += d * x[i];
        if (self->optimizer == MOMENTUM) {
            self->first[i] = self->momentum * self->first[i] - rate * c * slope * x[i];
            self->w[i] += self->first[i];
        }
        if (x[i] != 0 && slope != 0)
            reference_move(self, i, x[i], c, slope, rate);
    }
}

static void reference_fade(reference *self, double half_lives)
{
    for (int i = 0; i <= N_ROWS; i++)
        self->first[i] *= self->optimizer == ADAGRAD ? exp2(-half_lives) : 1;
    self->t *= exp2(-half_lives);
}

static double reference_learn(reference *self, const event_list *events, uint32_t i)
{
    double x[N_ROWS + 1] = {0}, score = 0.0, y = (double)events->label[i], c = (double)events->weight[i];
    x[BIAS] = 1.0;
    for (uint32_t e = events->row_start[i]; e < events->row_start[i + 1]; e++)
        x[events->index[e]] += (double)events->value[e];
    for (int j = 0; j <= N_ROWS; j++)
        score += self->w[j] * x[j];
    if (isnan(y) || c == 0.0)
        return score;
    if (self->half_life > 0)
        reference_fade(self, 1 / self->half_life);
    double rate = self->rate / pow(1 + self->t / self->t0, self->power);
    reference_update(self, x, score, y, c, rate);
    if (self->l1 > 0 || self->l2 > 0)
        reference_shrink(self, rate * c);
    self->t += c;
    return score;
}

/* Weights as of now: scores of events with one key, without the bias. */
static void assert_weights_are(learner_fixture *learner, const reference *want)
{
    event_list probe = {0};
    float scores[N_ROWS + 1];
    for (uint32_t i = 0; i <= N_ROWS; i++) {
        event_list_begin(&probe, NAN, 1.0f);
        if (i < N_ROWS)
            event_list_add(&probe, i, 1.0f);
    }
    learner_fixture_predict(learner, &probe, scores);
    for (int i = 0; i <= N_ROWS; i++) {
        double expected = want->w[BIAS] + (i < N_ROWS ? want->w[i] : 0.0);
        if (!(fabs((double)scores[i] - expected) <= 2e-5 * (1 + fabs(expected))))
            print_error("weight %d with the bias is %g, the reference has %g\n", i, (double)scores[i], expected);
        assert_true(fabs((double)scores[i] - expected) <= 2e-5 * (1 + fabs(expected)));
    }
    event_list_free(&probe);
}

static void assert_follows(const char *options, reference *want)
{
    learner_fixture learner;
    event_list events = make_loss_events(want->loss.kind, N_ROWS, N_EVENTS);
    float scores[N_EVENTS];
    learner_fixture_open(&learner, &tw_learner_linear, options, 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, N_EVENTS, 32, scores, NULL), TW_STATUS_OK);
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        double score = reference_learn(want, &events, i);
        if (!(fabs(score - (double)scores[i]) <= 3e-5 * (1 + fabs(score))))
            print_error("%s: event %u: score %g, the reference has %g\n", options, i, (double)scores[i], score);
        assert_true(fabs(score - (double)scores[i]) <= 3e-5 * (1 + fabs(score)));
    }
    assert_weights_are(&learner, want);
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static const char *const optimizer_names[] = {"sgd", "momentum", "adagrad", "adam"};

static reference reference_of(optimizer optimizer, double rate)
{
    return (reference){.optimizer = optimizer,
        .rate = rate,
        .t0 = 1000,
        .momentum = 0.9,
        .beta1 = 0.9,
        .beta2 = 0.999,
        .epsilon = 1e-8};
}

/* `want` by every loss; `options` are the same in words. */
static void assert_every_loss_follows(const char *options, reference want)
{
    for (int loss = TW_LOSS_LOGISTIC; loss <= TW_LOSS_QUANTILE; loss++) {
        char text[256];
        reference each = want;
        each.loss = (tw_loss){(tw_loss_kind)loss, 0.3};
        (void)snprintf(text, sizeof text, "optimizer=%s rate=%g loss=%s quantile=0.3 %s",
            optimizer_names[want.optimizer], want.rate, loss_names[loss], options);
        assert_follows(text, &each);
    }
}

static void sgd_follows_the_flow_of_every_loss(void **state)
{
    (void)state;
    assert_every_loss_follows("", reference_of(SGD, 0.1));
    assert_every_loss_follows("", reference_of(SGD, 2.0));
}

static void momentum_moves_every_weight_at_every_event(void **state)
{
    (void)state;
    reference want = reference_of(MOMENTUM, 0.01);
    assert_every_loss_follows("", want);
    want.rate = 0.002;
    want.momentum = 0.99;
    want.power = 0.5;
    want.t0 = 50;
    assert_every_loss_follows("momentum=0.99 schedule=inverse_sqrt t0=50", want);
    want.momentum = 0;
    assert_every_loss_follows("momentum=0 schedule=inverse_sqrt t0=50", want);
}

static void adagrad_follows_every_loss(void **state)
{
    (void)state;
    assert_every_loss_follows("", reference_of(ADAGRAD, 0.2));
}

static void adam_follows_every_loss(void **state)
{
    (void)state;
    reference want = reference_of(ADAM, 0.01);
    assert_every_loss_follows("", want);
    want.beta1 = 0.5;
    want.beta2 = 0.9;
    want.epsilon = 0.1;
    assert_every_loss_follows("beta1=0.5 beta2=0.9 epsilon=0.1", want);
}

static void schedules_lower_the_rate_with_the_importance_learned(void **state)
{
    (void)state;
    for (int o = SGD; o <= ADAM; o++) {
        reference want = reference_of((optimizer)o, o == MOMENTUM ? 0.02 : 0.2);
        want.t0 = 20;
        want.power = 0.5;
        assert_every_loss_follows("schedule=inverse_sqrt t0=20", want);
        want.power = 1;
        assert_every_loss_follows("schedule=inverse t0=20", want);
    }
}

static void lazy_shrinking_equals_shrinking_every_weight_at_every_event(void **state)
{
    (void)state;
    const optimizer optimizers[] = {SGD, ADAGRAD, ADAM};
    for (int o = 0; o < 3; o++) {
        reference want = reference_of(optimizers[o], 0.05);
        want.l2 = 0.05;
        assert_every_loss_follows("l2=0.05", want);
        want.l1 = 0.02;
        assert_every_loss_follows("l1=0.02 l2=0.05", want);
        want.l2 = 0;
        want.power = 1;
        want.t0 = 100;
        assert_every_loss_follows("l1=0.02 schedule=inverse t0=100", want);
    }
}

static void l1_makes_weights_zero(void **state)
{
    (void)state;
    learner_fixture learner;
    event_list events = make_loss_events(TW_LOSS_LOGISTIC, N_ROWS, N_EVENTS);
    float scores[N_EVENTS];
    learner_fixture_open(&learner, &tw_learner_linear, "optimizer=sgd rate=0.05 l1=0.3 bias=false", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, N_EVENTS, 32, scores, NULL), TW_STATUS_OK);
    event_list_free(&events);
    for (uint32_t i = 0; i < N_ROWS; i++) {
        event_list_begin(&events, NAN, 1.0f);
        event_list_add(&events, i, 1.0f);
    }
    learner_fixture_predict(&learner, &events, scores);
    uint32_t n_zero = 0;
    for (uint32_t i = 0; i < N_ROWS; i++)
        n_zero += scores[i] == 0.0f;
    assert_true(n_zero > N_ROWS / 4 && n_zero < N_ROWS);
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static void a_half_life_equals_fading_every_row_and_the_schedule_at_every_event(void **state)
{
    (void)state;
    reference want = reference_of(ADAGRAD, 0.2);
    want.half_life = 15;
    assert_every_loss_follows("half_life=15", want);
    want.power = 0.5;
    want.t0 = 10;
    want.l2 = 0.01;
    assert_every_loss_follows("half_life=15 schedule=inverse_sqrt t0=10 l2=0.01", want);
    want = reference_of(SGD, 0.2);
    want.half_life = 30;
    want.power = 1;
    want.t0 = 10;
    assert_every_loss_follows("half_life=30 schedule=inverse t0=10", want);
}

static void hastening_fades_as_much(void **state)
{
    (void)state;
    learner_fixture learner;
    reference want = reference_of(ADAGRAD, 0.2);
    want.loss.kind = TW_LOSS_LOGISTIC;
    want.half_life = 100;
    event_list events = make_loss_events(TW_LOSS_LOGISTIC, N_ROWS, N_EVENTS);
    float scores[N_EVENTS];
    learner_fixture_open(&learner, &tw_learner_linear, "rate=0.2 half_life=100", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 250, 50, scores, NULL), TW_STATUS_OK);
    assert_true(learner_fixture_hasten(&learner, 2.5));
    assert_int_equal(learner_fixture_learn(&learner, &events, 250, N_EVENTS, 50, scores, NULL), TW_STATUS_OK);
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        if (i == 250)
            reference_fade(&want, 2.5);
        assert_true(fabs(reference_learn(&want, &events, i) - (double)scores[i]) <= 3e-5 * (1 + fabs(scores[i])));
    }
    learner_fixture_close(&learner);
    event_list_free(&events);
}

/* One event of weight `weight`, `times` times, after 100 others; its scores go to `out`. */
static void learn_repeated(const char *options, tw_loss_kind loss, float weight, int times, float *out)
{
    learner_fixture learner;
    event_list events = make_loss_events(loss, N_ROWS, 100);
    float scores[128];
    for (int i = 0; i < times; i++) {
        event_list_begin(&events, 1.0f, weight);
        for (uint32_t index = 0; index < N_ROWS; index += 3)
            event_list_add(&events, index, 0.3f * (float)(index % 5) - 0.5f);
    }
    learner_fixture_open(&learner, &tw_learner_linear, options, 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, events.n_events, 9, scores, NULL), TW_STATUS_OK);
    learner_fixture_predict(&learner, &events, out);
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static void for_sgd_an_event_of_weight_two_is_the_event_twice(void **state)
{
    (void)state;
    for (int loss = TW_LOSS_LOGISTIC; loss <= TW_LOSS_QUANTILE; loss++) {
        char options[96];
        float once[128], twice[128], often[128];
        (void)snprintf(options, sizeof options, "optimizer=sgd rate=0.5 quantile=0.3 loss=%s", loss_names[loss]);
        learn_repeated(options, (tw_loss_kind)loss, 2.0f, 1, once);
        learn_repeated(options, (tw_loss_kind)loss, 1.0f, 2, twice);
        learn_repeated(options, (tw_loss_kind)loss, 0.125f, 16, often);
        for (int i = 0; i < 101; i++) {
            assert_true(fabsf(once[i] - twice[i]) <= 2e-6f * (1 + fabsf(once[i])));
            assert_true(fabsf(once[i] - often[i]) <= 4e-6f * (1 + fabsf(once[i])));
        }
    }
}

/* The weight of the only key after one event of importance c. */
static double first_weight(const char *options, float c)
{
    learner_fixture learner;
    event_list event = {0};
    float score;
    learner_fixture_open(&learner, &tw_learner_linear, options, 0, 1);
    event_list_begin(&event, 3.0f, c);
    event_list_add(&event, 0, 1.5f);
    assert_int_equal(learner_fixture_learn(&learner, &event, 0, 1, 1, &score, NULL), TW_STATUS_OK);
    double w = learner.ops->weight(learner.self, learner_fixture_row(&learner, 0));
    learner_fixture_close(&learner);
    event_list_free(&event);
    return w;
}

static void importance_multiplies_the_gradient_of_the_other_optimizers(void **state)
{
    (void)state;
    const char *momentum = "optimizer=momentum loss=squared bias=false rate=0.01";
    const char *adagrad = "optimizer=adagrad loss=squared bias=false rate=0.01";
    const char *adam = "optimizer=adam loss=squared bias=false rate=0.01";
    assert_true(fabs(first_weight(momentum, 4.0f) / first_weight(momentum, 1.0f) - 4.0) < 1e-6);
    assert_true(fabs(first_weight(adagrad, 4.0f) / first_weight(adagrad, 1.0f) - 2.0) < 1e-6); /* 4 / sqrt 4 */
    assert_true(fabs(first_weight(adam, 4.0f) / first_weight(adam, 1.0f) - 1.0) < 1e-6);
}

/* With a tiny rate a step of sgd is the slope, whose value the loss's differences give. */
static void gradients_are_the_slope_of_every_loss(void **state)
{
    (void)state;
    for (int loss = TW_LOSS_LOGISTIC; loss <= TW_LOSS_QUANTILE; loss++) {
        char text[96];
        tw_loss of = {(tw_loss_kind)loss, 0.3};
        const double h = 1e-4;
        (void)snprintf(text, sizeof text, "optimizer=sgd rate=1e-6 bias=false quantile=0.3 loss=%s", loss_names[loss]);
        double label = loss == TW_LOSS_LOGISTIC || loss == TW_LOSS_HINGE ? 1.0 : 3.0;
        learner_fixture learner;
        event_list event = {0};
        float score;
        learner_fixture_open(&learner, &tw_learner_linear, text, 0, 1);
        event_list_begin(&event, (float)label, 1.0f);
        event_list_add(&event, 0, 1.5f);
        assert_int_equal(learner_fixture_learn(&learner, &event, 0, 1, 1, &score, NULL), TW_STATUS_OK);
        double w = learner.ops->weight(learner.self, learner_fixture_row(&learner, 0));
        double slope = (reference_loss(of, 1.5 * h, label) - reference_loss(of, -1.5 * h, label)) / (2 * h);
        assert_true(fabs(w / -1e-6 - slope) < 1e-4);
        learner_fixture_close(&learner);
        event_list_free(&event);
    }
}

static const char *const forms[] = {"optimizer=sgd l1=0.01", "optimizer=momentum l2=0.1", "optimizer=adagrad",
    "optimizer=adagrad half_life=20 l1=0.01 schedule=inverse", "optimizer=adam", "optimizer=sgd"};
enum { N_FORMS = sizeof forms / sizeof *forms };

static void a_key_twice_in_an_event_adds_both_values_with_momentum(void **state)
{
    (void)state;
    learner_fixture learner;
    reference want = reference_of(MOMENTUM, 0.05);
    want.loss.kind = TW_LOSS_SQUARED;
    event_list events = {0};
    float scores[20];
    for (int i = 0; i < 20; i++) {
        event_list_begin(&events, 1.0f, 1.0f);
        event_list_add(&events, 3, 0.5f);
        event_list_add(&events, i % 2 ? 3 : 5, -0.25f);
        event_list_add(&events, 3, 0.125f);
    }
    learner_fixture_open(&learner, &tw_learner_linear, "optimizer=momentum rate=0.05 loss=squared", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 20, 6, scores, NULL), TW_STATUS_OK);
    for (uint32_t i = 0; i < 20; i++)
        assert_true(fabs(reference_learn(&want, &events, i) - (double)scores[i]) < 1e-6);
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static void batch_size_changes_no_bit(void **state)
{
    (void)state;
    event_list events = make_loss_events(TW_LOSS_LOGISTIC, N_ROWS, N_EVENTS);
    for (int f = 0; f < N_FORMS; f++) {
        float first[N_EVENTS], scores[N_EVENTS];
        learner_fixture want, got;
        learner_fixture_open(&want, &tw_learner_linear, forms[f], 0, N_ROWS);
        learner_fixture_open(&got, &tw_learner_linear, forms[f], 0, N_ROWS);
        assert_int_equal(learner_fixture_learn(&want, &events, 0, N_EVENTS, 1, first, NULL), TW_STATUS_OK);
        assert_int_equal(learner_fixture_learn(&got, &events, 0, N_EVENTS, 77, scores, NULL), TW_STATUS_OK);
        assert_true(learner_fixture_equals(&want, &got));
        assert_memory_equal(first, scores, sizeof scores);
        learner_fixture_close(&want);
        learner_fixture_close(&got);
    }
    event_list_free(&events);
}

/* Event 20 of 30 fails with `status`; the model is as after the 20 before it. */
static void assert_fails_at_20(const char *options, event_list *events, tw_status status, const char *word)
{
    learner_fixture learner, before;
    float scores[N_EVENTS];
    tw_error error;
    learner_fixture_open(&learner, &tw_learner_linear, options, 0, N_ROWS);
    learner_fixture_open(&before, &tw_learner_linear, options, 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, events, 0, 30, 30, scores, &error), status);
    assert_non_null(strstr(error.message, "event 20"));
    assert_non_null(strstr(error.message, word));
    assert_int_equal(learner_fixture_learn(&before, events, 0, 20, 20, scores, NULL), TW_STATUS_OK);
    assert_true(learner_fixture_equals(&learner, &before));
    learner_fixture_close(&learner);
    learner_fixture_close(&before);
}

static void an_event_that_fails_leaves_the_model_as_before_it(void **state)
{
    (void)state;
    event_list events = make_loss_events(TW_LOSS_POISSON, N_ROWS, N_EVENTS);
    events.label[20] = -2.0f;
    events.weight[20] = 1.0f;
    assert_fails_at_20("loss=poisson half_life=9 l1=0.1", &events, TW_STATUS_INVALID, "-2");
    for (int f = 0; f < N_FORMS; f++) {
        events.label[20] = 1.0f;
        events.value[events.row_start[20]] = 1e30f;
        assert_fails_at_20(forms[f], &events, TW_STATUS_NUMERIC, "1e+30");
    }
    event_list_free(&events);
}

static void extreme_values_leave_finite_rows(void **state)
{
    (void)state;
    const float values[] = {1e-38f, 1e10f, 1e18f, FLT_MAX, -FLT_MAX};
    for (size_t v = 0; v < 5 * N_FORMS; v++) {
        learner_fixture learner;
        event_list events = {0};
        float scores[64];
        tw_error error;
        learner_fixture_open(&learner, &tw_learner_linear, forms[v / 5], 0, 2);
        for (int i = 0; i < 64; i++) {
            event_list_begin(&events, (float)(i % 2), i % 5 ? 1.0f : 1e6f);
            event_list_add(&events, 0, i % 3 ? values[v % 5] : 1.0f);
            event_list_add(&events, 1, 1.0f);
        }
        tw_status status = learner_fixture_learn(&learner, &events, 0, 64, 64, scores, &error);
        assert_true(status == TW_STATUS_OK || status == TW_STATUS_NUMERIC);
        for (uint32_t i = 0; i < 2; i++)
            assert_true(isfinite(*(float *)learner_fixture_row(&learner, i)));
        learner_fixture_close(&learner);
        event_list_free(&events);
    }
}

static void rows_have_only_the_fields_that_options_need(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        uint32_t size, n_blocks;
    } wants[] = {{"optimizer=sgd", 8, 1}, {"optimizer=sgd bias=false", 8, 0}, {"optimizer=sgd l2=1", 16, 2},
        {"optimizer=sgd schedule=inverse half_life=9", 8, 3}, {"optimizer=adagrad", 8, 1},
        {"optimizer=adagrad half_life=9", 16, 2}, {"optimizer=momentum", 16, 2}, {"optimizer=adam", 16, 1},
        {"optimizer=adam l1=1", 24, 2}};
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
        learner_fixture learner;
        learner_fixture_open(&learner, &tw_learner_linear, wants[i].options, 0, 1);
        assert_int_equal(learner.traits.schema.row.size, wants[i].size);
        assert_int_equal(learner.traits.schema.n_blocks, wants[i].n_blocks);
        assert_true(learner.ops->flight(learner.self, 10000) > 0.0);
        learner_fixture_close(&learner);
    }
}

static void given_weights_are_predicted_and_their_evidence_slows_the_steps(void **state)
{
    (void)state;
    const float weight[3] = {0.5f, -1.25f, 0.0f}, curvature[3] = {0.0f, 1e4f, 7.0f};
    for (int f = 0; f < N_FORMS; f++) {
        learner_fixture learner;
        event_list event = {0};
        float score;
        tw_weights weights = {weight, curvature, true, 0.75, 90.0, NULL, NULL, 0, 100000};
        learner_fixture_open(&learner, &tw_learner_linear, forms[f], 0, 3);
        assert_int_equal(learner_fixture_warm_start(&learner, &weights, NULL), TW_STATUS_OK);
        event_list_begin(&event, 1.0f, 1.0f);
        event_list_add(&event, 1, 1.0f);
        learner_fixture_predict(&learner, &event, &score);
        assert_true(score == -0.5f);
        assert_int_equal(learner_fixture_learn(&learner, &event, 0, 1, 1, &score, NULL), TW_STATUS_OK);
        double moved = learner.ops->weight(learner.self, learner_fixture_row(&learner, 1)) + 1.25;
        assert_true(moved > 0.0 && moved < 0.1);
        if (strncmp(forms[f], "optimizer=adagrad", 17) == 0)
            assert_true(moved < 0.1 * 0.63 / 100 + 1e-6);
        if (strstr(forms[f], "inverse") != NULL)
            assert_true(moved < 1e-4);
        learner_fixture_close(&learner);
        event_list_free(&event);
    }
}

static tw_status open_with(const char *name, const char *value, tw_error *error)
{
    tw_option_values *options;
    tw_learner_traits traits = {0};
    assert_int_equal(tw_option_values_create(tw_learner_linear.options, &options, error), TW_STATUS_OK);
    assert_int_equal(tw_option_set(options, "optimizer", "adam", error), TW_STATUS_OK);
    assert_int_equal(tw_option_set(options, name, value, error), TW_STATUS_OK);
    void *self = aligned_alloc(64, (tw_learner_linear.state_size(options) + 63) / 64 * 64);
    assert_non_null(self);
    tw_status status = tw_learner_linear.open(self, options, &traits, error);
    free(self);
    tw_option_values_destroy(&options);
    return status;
}

static void options_that_do_not_go_together_are_refused(void **state)
{
    (void)state;
    tw_error error;
    assert_int_equal(open_with("half_life", "100", &error), TW_STATUS_INVALID);
    assert_non_null(strstr(error.message, "nothing that a half-life could fade"));
    assert_int_equal(open_with("beta2", "0.8", &error), TW_STATUS_INVALID);
    assert_non_null(strstr(error.message, "beta1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_follows_the_flow_of_every_loss),
        cmocka_unit_test(momentum_moves_every_weight_at_every_event),
        cmocka_unit_test(adagrad_follows_every_loss),
        cmocka_unit_test(adam_follows_every_loss),
        cmocka_unit_test(schedules_lower_the_rate_with_the_importance_learned),
        cmocka_unit_test(lazy_shrinking_equals_shrinking_every_weight_at_every_event),
        cmocka_unit_test(l1_makes_weights_zero),
        cmocka_unit_test(a_half_life_equals_fading_every_row_and_the_schedule_at_every_event),
        cmocka_unit_test(hastening_fades_as_much),
        cmocka_unit_test(for_sgd_an_event_of_weight_two_is_the_event_twice),
        cmocka_unit_test(importance_multiplies_the_gradient_of_the_other_optimizers),
        cmocka_unit_test(gradients_are_the_slope_of_every_loss),
        cmocka_unit_test(a_key_twice_in_an_event_adds_both_values_with_momentum),
        cmocka_unit_test(batch_size_changes_no_bit),
        cmocka_unit_test(an_event_that_fails_leaves_the_model_as_before_it),
        cmocka_unit_test(extreme_values_leave_finite_rows),
        cmocka_unit_test(rows_have_only_the_fields_that_options_need),
        cmocka_unit_test(given_weights_are_predicted_and_their_evidence_slows_the_steps),
        cmocka_unit_test(options_that_do_not_go_together_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
