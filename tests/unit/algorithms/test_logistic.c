#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/learner_fixture.h"

extern const tw_learner_ops tw_learner_logistic;

enum { N_ROWS = 20, N_EVENTS = 600 };

enum label_kind { BINARY, REAL, COUNT };

/* The update as papers and head of the source give it, dense, in double, with libm; coordinate N_ROWS is the bias. */
typedef struct reference {
    double rate, adapt, beta, l1, l2, half_life; /* of events */
    double w[N_ROWS + 1], g[N_ROWS + 1], largest[N_ROWS + 1], trace[N_ROWS + 1];
    double spread, weight, labels, pace, squares;
    tw_loss loss;
} reference;

static double pull_at(const reference *self, double score, double label)
{
    double t = label > 0.5 ? 1 : -1;
    switch (self->loss.kind) {
    case TW_LOSS_LOGISTIC:
        return label - 1 / (1 + exp(-score));
    case TW_LOSS_HINGE:
        return t * score < 1 ? t : 0;
    case TW_LOSS_QUANTILE:
        return score < label ? self->loss.quantile : score > label ? self->loss.quantile - 1 : 0;
    case TW_LOSS_POISSON:
        return label - exp(score);
    default:
        return label - score;
    }
}

/* The flow of the loss over importance h by tiny Euler steps: what the closed form must give. */
static double flow(const reference *self, double score, double label, double h, double k)
{
    enum { STEPS = 100000 };
    double moved = 0;
    for (int i = 0; i < STEPS; i++)
        moved += h / STEPS * pull_at(self, score + moved * k, label);
    return moved;
}

static double direction(const reference *self, int i)
{
    double size = (sqrt(self->g[i]) + self->beta * self->largest[i]) * self->largest[i];
    return size > 0 ? 1 / size : 0;
}

/* l1 and l2 on every weight at every event, in many small steps. */
static void shrink(reference *self, double reach)
{
    enum { STEPS = 200 };
    for (int i = 0; i < N_ROWS; i++) {
        double a = reach * direction(self, i) / STEPS;
        for (int j = 0; j < STEPS; j++) {
            double down = a * (self->l1 + self->l2 * fabs(self->w[i])), size = fabs(self->w[i]);
            double factor = size > down ? 1 - down / size : 0;
            self->w[i] *= factor;
            self->trace[i] *= factor;
        }
    }
}

static void take_in(reference *self, const double *x, double square, double *change)
{
    for (int i = 0; i <= N_ROWS; i++) {
        if (x[i] == 0)
            continue;
        if (fabs(x[i]) > self->largest[i]) {
            self->w[i] *= self->largest[i] / fabs(x[i]);
            self->trace[i] *= self->largest[i] / fabs(x[i]);
            self->largest[i] = fabs(x[i]);
        }
        self->g[i] += square * x[i] * x[i];
        *change += x[i] * x[i] * direction(self, i);
    }
}

/* Every sum of the past, at every event. */
static void fade(reference *self)
{
    double kept = self->half_life > 0 ? exp2(-1 / self->half_life) : 1;
    for (int i = 0; i <= N_ROWS; i++)
        self->g[i] *= kept;
    self->spread *= kept;
    self->weight *= kept;
    self->labels *= kept;
    self->squares *= kept;
}

static double reference_learn(reference *self, const double *x, double label, double c)
{
    double score = 0, drift = 0, change = 0;
    for (int i = 0; i <= N_ROWS; i++)
        score += self->w[i] * x[i];
    double pull = pull_at(self, score, label);
    fade(self);
    if (pull == 0)
        return score;
    take_in(self, x, c * pull * pull, &change);
    for (int i = 0; i <= N_ROWS; i++)
        drift += self->trace[i] * x[i];
    for (int i = 0; i <= N_ROWS; i++)
        self->spread += x[i] != 0 ? c * pow(x[i] / self->largest[i], 2) : 0;
    self->weight += c;
    self->labels += c * label * label;
    self->squares += c * pow(pull * drift, 2);
    self->pace += drift != 0 ? self->adapt * c * pull * drift / sqrt(self->squares) : 0;
    self->pace = fmax(-log(16), fmin(log(16), self->pace));
    bool is_scaled = self->loss.kind == TW_LOSS_SQUARED || self->loss.kind == TW_LOSS_QUANTILE;
    double m = sqrt(self->weight / self->spread) * (is_scaled ? sqrt(self->labels / self->weight) : 1);
    double h = c * self->rate * exp(self->pace), k = m * change;
    double d = flow(self, score, label, h, k), left = pull_at(self, score + k * d, label);
    double trace = h * left + drift * (left / pull - 1) / k;
    if (self->loss.kind == TW_LOSS_QUANTILE && fabs(score + k * d - label) < 1e-3 * fabs(score - label))
        trace = -drift / k; /* arrived: Euler's steps go to and fro about the label */
    if (self->loss.kind == TW_LOSS_HINGE && fabs(fabs(score + k * d) - 1) < 1e-3)
        trace = -drift / k;
    for (int i = 0; i <= N_ROWS; i++) {
        self->w[i] += x[i] == 0 ? 0 : d * m * x[i] * direction(self, i);
        self->trace[i] += x[i] == 0 ? 0 : trace * m * x[i] * direction(self, i);
    }
    shrink(self, h * m);
    return score;
}

/* Features of very different size; labels of a hidden linear model. */
static void draw_event(uint64_t *state, enum label_kind kind, double x[N_ROWS + 1], double *label)
{
    double margin = 0;
    for (int i = 0; i < N_ROWS; i++) {
        double size = pow(10, i % 5 - 2);
        x[i] = test_uniform(state) < 0.5 ? 0 : (test_uniform(state) * 2 - 1) * size;
        margin += (i % 3 - 1) * x[i] / size;
    }
    x[N_ROWS] = 1;
    double noise = test_uniform(state);
    *label = kind == REAL    ? 30 * (margin + noise * 0.1)
             : kind == COUNT ? floor(exp(margin / 2) + noise)
                             : noise < 1 / (1 + exp(-2 * margin));
}

static event_list make_events(uint32_t n, enum label_kind kind, bool is_weighted)
{
    event_list events = {0};
    uint64_t state = 7;
    for (uint32_t i = 0; i < n; i++) {
        double x[N_ROWS + 1], label = 0;
        draw_event(&state, kind, x, &label);
        event_list_begin(&events, (float)label, is_weighted ? (float)(1 + test_random(&state) % 3) : 1.0f);
        event_list_time(&events, (int64_t)i * 60000000); /* a minute each */
        for (uint32_t j = 0; j < N_ROWS; j++) {
            if (x[j] != 0)
                event_list_add(&events, j, (float)x[j]);
        }
    }
    return events;
}

static void scores_equal_the_reference(const char *options, reference naive, enum label_kind kind, bool is_weighted)
{
    event_list events = make_events(N_EVENTS / 3, kind, is_weighted);
    learner_fixture learner;
    float *scores = malloc(events.n_events * sizeof *scores);
    double size = kind == REAL ? 30 : 1;
    assert_non_null(scores);
    learner_fixture_open(&learner, &tw_learner_logistic, options, 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, events.n_events, 64, scores, NULL), TW_STATUS_OK);
    for (uint32_t i = 0; i < events.n_events; i++) {
        double x[N_ROWS + 1] = {0};
        x[N_ROWS] = 1;
        for (uint32_t e = events.row_start[i]; e < events.row_start[i + 1]; e++)
            x[events.index[e]] = (double)events.value[e];
        double expected = reference_learn(&naive, x, (double)events.label[i], (double)events.weight[i]);
        if (fabs(expected - (double)scores[i]) > 1e-3 * (size + fabs(expected)))
            print_error("%s: event %u: %g, expected %g\n", options, i, (double)scores[i], expected);
        assert_true(fabs(expected - (double)scores[i]) <= 1e-3 * (size + fabs(expected)));
    }
    assert_true(naive.adapt == 0 || fabs(naive.pace) > 0.05);
    learner_fixture_close(&learner);
    event_list_free(&events);
    free(scores);
}

static void logistic_scores_equal_a_slow_reference(void **state)
{
    (void)state;
    reference naive = {.rate = 0.5, .adapt = 0.05, .beta = 0.01, .loss = {TW_LOSS_LOGISTIC, 0}};
    scores_equal_the_reference("", naive, BINARY, false);
    scores_equal_the_reference("", naive, BINARY, true);
}

static void a_fixed_rate_is_the_published_rule(void **state)
{
    (void)state;
    reference naive = {.rate = 0.7, .loss = {TW_LOSS_LOGISTIC, 0}};
    scores_equal_the_reference("rate=0.7 adapt=0 beta=0", naive, BINARY, true);
}

static void squared_scores_equal_a_slow_reference(void **state)
{
    (void)state;
    reference naive = {.rate = 0.5, .adapt = 0.05, .beta = 0.01, .loss = {TW_LOSS_SQUARED, 0}};
    scores_equal_the_reference("loss=squared", naive, REAL, true);
}

static void hinge_scores_equal_a_slow_reference(void **state)
{
    (void)state;
    reference naive = {.rate = 0.5, .beta = 0.01, .loss = {TW_LOSS_HINGE, 0}};
    scores_equal_the_reference("loss=hinge adapt=0", naive, BINARY, true);
}

static void quantile_scores_equal_a_slow_reference(void **state)
{
    (void)state;
    reference naive = {.rate = 0.5, .adapt = 0.1, .beta = 0.01, .loss = {TW_LOSS_QUANTILE, 0.8}};
    scores_equal_the_reference("loss=quantile quantile=0.8 adapt=0.1", naive, REAL, false);
}

static void poisson_scores_equal_a_slow_reference(void **state)
{
    (void)state;
    reference naive = {.rate = 0.5, .adapt = 0.05, .beta = 0.01, .loss = {TW_LOSS_POISSON, 0}};
    scores_equal_the_reference("loss=poisson", naive, COUNT, true);
}

static void lazy_shrinking_equals_shrinking_every_weight_at_every_event(void **state)
{
    (void)state;
    reference naive = {.rate = 0.5, .adapt = 0.05, .beta = 0.01, .loss = {TW_LOSS_LOGISTIC, 0}};
    naive.l1 = 0.01;
    scores_equal_the_reference("l1=0.01", naive, BINARY, true);
    naive.l2 = 0.02;
    scores_equal_the_reference("l1=0.01 l2=0.02", naive, BINARY, true);
    naive.l1 = 0;
    scores_equal_the_reference("l2=0.02", naive, BINARY, true);
}

static void a_lazy_half_life_equals_fading_every_row_at_every_event(void **state)
{
    (void)state;
    reference naive = {.rate = 0.5, .adapt = 0.05, .beta = 0.01, .half_life = 20, .loss = {TW_LOSS_LOGISTIC, 0}};
    scores_equal_the_reference("half_life=20", naive, BINARY, true);
    naive.loss.kind = TW_LOSS_SQUARED;
    scores_equal_the_reference("half_life=20 loss=squared", naive, REAL, true);
    naive.half_life = 7.5;
    scores_equal_the_reference("half_life_time=450s loss=squared", naive, REAL, true);
}

static void the_batch_size_does_not_change_a_bit(void **state)
{
    static const char *const options[] = {"", "l1=0.001 half_life=50", "loss=hinge l2=0.01 half_life_time=1h"};
    event_list events = make_events(N_EVENTS, BINARY, true);
    float *scores = malloc(events.n_events * sizeof *scores);
    (void)state;
    assert_non_null(scores);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        learner_fixture one, many;
        learner_fixture_open(&one, &tw_learner_logistic, options[i], 0, N_ROWS);
        learner_fixture_open(&many, &tw_learner_logistic, options[i], 0, N_ROWS);
        assert_int_equal(learner_fixture_learn(&one, &events, 0, events.n_events, 1, scores, NULL), TW_STATUS_OK);
        assert_int_equal(learner_fixture_learn(&many, &events, 0, events.n_events, 97, scores, NULL), TW_STATUS_OK);
        assert_true(learner_fixture_equals(&one, &many));
        learner_fixture_close(&one);
        learner_fixture_close(&many);
    }
    event_list_free(&events);
    free(scores);
}

static void scaling_a_feature_from_the_start_changes_no_score(void **state)
{
    event_list events = make_events(N_EVENTS, BINARY, false);
    learner_fixture plain, scaled;
    float *before = malloc(events.n_events * sizeof *before), *after = malloc(events.n_events * sizeof *after);
    (void)state;
    assert_non_null(before);
    assert_non_null(after);
    learner_fixture_open(&plain, &tw_learner_logistic, "", 0, N_ROWS);
    learner_fixture_open(&scaled, &tw_learner_logistic, "", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&plain, &events, 0, events.n_events, 50, before, NULL), TW_STATUS_OK);
    for (uint32_t e = 0; e < events.n_entries; e++)
        events.value[e] *= events.index[e] == 3 ? 1024.0f : 1.0f; /* a power of two: exact */
    assert_int_equal(learner_fixture_learn(&scaled, &events, 0, events.n_events, 50, after, NULL), TW_STATUS_OK);
    for (uint32_t i = 0; i < events.n_events; i++)
        assert_true(fabsf(before[i] - after[i]) <= 1e-4f * (1 + fabsf(before[i])));
    learner_fixture_close(&plain);
    learner_fixture_close(&scaled);
    event_list_free(&events);
    free(before);
    free(after);
}

static void an_event_of_any_weight_never_overshoots_its_label(void **state)
{
    event_list events = {0};
    learner_fixture learner;
    float score = 0;
    (void)state;
    event_list_begin(&events, 1.0f, 1e6f);
    event_list_add(&events, 0, 2.0f);
    learner_fixture_open(&learner, &tw_learner_logistic, "loss=squared bias=false", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 1, 1, &score, NULL), TW_STATUS_OK);
    learner_fixture_predict(&learner, &events, &score);
    assert_true(score <= 1.0f);
    assert_true(score > 0.99f);
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static void unlabelled_and_weightless_events_are_scored_and_not_learned(void **state)
{
    event_list events = {0};
    learner_fixture learner, untouched;
    float scores[2] = {1, 1};
    (void)state;
    event_list_begin(&events, NAN, 1.0f);
    event_list_add(&events, 1, 1.0f);
    event_list_begin(&events, 1.0f, 0.0f);
    event_list_add(&events, 1, 1.0f);
    learner_fixture_open(&learner, &tw_learner_logistic, "", 0, N_ROWS);
    learner_fixture_open(&untouched, &tw_learner_logistic, "", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 2, 2, scores, NULL), TW_STATUS_OK);
    assert_true(scores[0] == 0.0f);
    assert_true(scores[1] == 0.0f);
    assert_true(learner_fixture_equals(&learner, &untouched));
    learner_fixture_close(&learner);
    learner_fixture_close(&untouched);
    event_list_free(&events);
}

static void values_beyond_the_range_are_refused_and_leave_the_rows(void **state)
{
    event_list events = {0};
    learner_fixture learner, untouched;
    float score = 0;
    tw_error error = {0};
    (void)state;
    event_list_begin(&events, 1.0f, 1.0f);
    event_list_add(&events, 1, 1e20f);
    learner_fixture_open(&learner, &tw_learner_logistic, "", 0, N_ROWS);
    learner_fixture_open(&untouched, &tw_learner_logistic, "", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 1, 1, &score, &error), TW_STATUS_NUMERIC);
    assert_non_null(strstr(error.message, "1e+20"));
    assert_true(learner_fixture_equals(&learner, &untouched));
    learner_fixture_close(&learner);
    learner_fixture_close(&untouched);
    event_list_free(&events);
}

static void confident_and_wrong_scores_stay_finite(void **state)
{
    event_list events = {0};
    learner_fixture learner;
    float scores[400];
    (void)state;
    for (int i = 0; i < 400; i++) {
        event_list_begin(&events, i < 200 ? 1.0f : 0.0f, 100.0f);
        event_list_add(&events, 0, 1.0f);
    }
    learner_fixture_open(&learner, &tw_learner_logistic, "rate=1000", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 400, 13, scores, NULL), TW_STATUS_OK);
    for (int i = 0; i < 400; i++)
        assert_true(isfinite(scores[i]) && fabsf(scores[i]) <= 50.0f);
    assert_true(scores[200] > 0.0f);
    assert_true(scores[399] < 0.0f);
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static void a_sum_of_squares_that_is_full_is_finite_and_still_moves(void **state)
{
    event_list events = {0};
    learner_fixture learner;
    float scores[1000];
    (void)state;
    for (int i = 0; i < 1000; i++) {
        event_list_begin(&events, i % 2 == 0 ? -9e8f : 9e8f, 1.0f);
        event_list_add(&events, 0, 9e15f);
    }
    learner_fixture_open(&learner, &tw_learner_logistic, "loss=squared bias=false", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 1000, 64, scores, NULL), TW_STATUS_OK);
    const float *row = learner_fixture_row(&learner, 0); /* w, g */
    assert_true(isfinite(row[0]) && isfinite(row[1]));
    assert_true(row[1] > 3e38f);
    assert_true(scores[999] != scores[998]);
    learner_fixture_close(&learner);
    event_list_free(&events);
}

/* The first values of a column of times say nothing yet: the label is that of the other feature. */
static void times_in_microseconds_do_not_hide_what_other_features_say(void **state)
{
    event_list events = {0};
    learner_fixture learner;
    float scores[2000];
    int right = 0;
    (void)state;
    for (int i = 0; i < 2000; i++) {
        int label = (i * 7 / 3) % 2;
        event_list_begin(&events, (float)label, 1.0f);
        event_list_add(&events, 0, 1.7e15f + (float)i * 1e10f);
        event_list_add(&events, 1, label == 0 ? -1.0f : 1.0f);
    }
    learner_fixture_open(&learner, &tw_learner_logistic, "", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 2000, 64, scores, NULL), TW_STATUS_OK);
    for (int i = 1000; i < 2000; i++)
        right += (scores[i] > 0.0f) == (events.label[i] > 0.5f);
    assert_int_equal(right, 1000);
    learner_fixture_close(&learner);
    event_list_free(&events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logistic_scores_equal_a_slow_reference),
        cmocka_unit_test(a_fixed_rate_is_the_published_rule),
        cmocka_unit_test(squared_scores_equal_a_slow_reference),
        cmocka_unit_test(hinge_scores_equal_a_slow_reference),
        cmocka_unit_test(quantile_scores_equal_a_slow_reference),
        cmocka_unit_test(poisson_scores_equal_a_slow_reference),
        cmocka_unit_test(lazy_shrinking_equals_shrinking_every_weight_at_every_event),
        cmocka_unit_test(a_lazy_half_life_equals_fading_every_row_at_every_event),
        cmocka_unit_test(the_batch_size_does_not_change_a_bit),
        cmocka_unit_test(scaling_a_feature_from_the_start_changes_no_score),
        cmocka_unit_test(an_event_of_any_weight_never_overshoots_its_label),
        cmocka_unit_test(unlabelled_and_weightless_events_are_scored_and_not_learned),
        cmocka_unit_test(values_beyond_the_range_are_refused_and_leave_the_rows),
        cmocka_unit_test(confident_and_wrong_scores_stay_finite),
        cmocka_unit_test(a_sum_of_squares_that_is_full_is_finite_and_still_moves),
        cmocka_unit_test(times_in_microseconds_do_not_hide_what_other_features_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
