/* ftrl: losses, half-lives and warm starts, against a dense reference in double that fades every coordinate at every
 * event. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/loss_reference.h"

extern const tw_learner_ops tw_learner_ftrl;

enum { N_ROWS = 24, N_EVENTS = 500, BIAS = N_ROWS };

typedef struct reference {
    tw_loss loss;
    double alpha, beta, l1, l2, half_life, half_life_us, z[N_ROWS + 1], n[N_ROWS + 1];
    int64_t newest_us;
} reference;

static double reference_scale(const reference *self, int i)
{
    return (self->beta + sqrt(self->n[i])) / self->alpha + (i == BIAS ? 0.0 : self->l2);
}

static double reference_weight(const reference *self, int i)
{
    double l1 = i == BIAS ? 0.0 : self->l1;
    return fabs(self->z[i]) <= l1 ? 0.0 : (copysign(l1, self->z[i]) - self->z[i]) / reference_scale(self, i);
}

/* n fades, w stays. */
static void reference_fade(reference *self, double half_lives)
{
    for (int i = 0; i <= N_ROWS; i++) {
        double w = reference_weight(self, i), l1 = i == BIAS ? 0.0 : self->l1;
        self->n[i] *= exp2(-half_lives);
        if (w != 0.0)
            self->z[i] = -w * reference_scale(self, i) - copysign(l1, w);
    }
}

static void reference_tell_time(reference *self, int64_t time_us)
{
    if (self->half_life > 0)
        reference_fade(self, 1 / self->half_life);
    if (self->half_life_us > 0 && time_us != INT64_MIN && time_us > self->newest_us) {
        if (self->newest_us != 0)
            reference_fade(self, (double)(time_us - self->newest_us) / self->half_life_us);
        self->newest_us = time_us;
    }
}

static double reference_learn(reference *self, const event_list *events, uint32_t i)
{
    double w[N_ROWS + 1], x[N_ROWS + 1] = {0}, score = 0.0, y = (double)events->label[i], c = (double)events->weight[i];
    x[BIAS] = 1.0;
    for (uint32_t e = events->row_start[i]; e < events->row_start[i + 1]; e++)
        x[events->index[e]] = (double)events->value[e];
    for (int j = 0; j <= N_ROWS; j++) {
        w[j] = reference_weight(self, j);
        score += w[j] * x[j];
    }
    if (isnan(y) || c == 0.0)
        return score;
    reference_tell_time(self, events->time_us[i]);
    for (int j = 0; j <= N_ROWS; j++) {
        double g = c * reference_slope(self->loss, score, y) * x[j], n = self->n[j] + g * g;
        self->z[j] += g - (sqrt(n) - sqrt(self->n[j])) / self->alpha * w[j];
        self->n[j] = n;
    }
    return score;
}

static void assert_weights_are(learner_fixture *learner, const reference *want)
{
    double worst = 0.0;
    for (int i = 0; i < N_ROWS; i++) {
        double got = learner->ops->weight(learner->self, learner_fixture_row(learner, (uint32_t)i));
        double error = fabs(got - reference_weight(want, i)) / (fabs(reference_weight(want, i)) + 1e-2);
        worst = error > worst ? error : worst;
    }
    if (worst > 2e-5)
        print_error("largest relative error of a weight %.2g\n", worst);
    assert_true(worst <= 2e-5);
}

static void assert_follows(const char *options, reference *want)
{
    learner_fixture learner;
    event_list events = make_loss_events(want->loss.kind, N_ROWS, N_EVENTS);
    float scores[N_EVENTS];
    learner_fixture_open(&learner, &tw_learner_ftrl, options, 0, N_ROWS);
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

static void assert_every_loss_follows(const char *options, reference want)
{
    for (int loss = TW_LOSS_LOGISTIC; loss <= TW_LOSS_QUANTILE; loss++) {
        char text[128];
        reference each = want;
        each.loss = (tw_loss){(tw_loss_kind)loss, 0.3};
        (void)snprintf(text, sizeof text, "%s loss=%s quantile=0.3", options, loss_names[loss]);
        assert_follows(text, &each);
    }
}

static void every_loss_follows_the_reference(void **state)
{
    (void)state;
    assert_every_loss_follows("alpha=0.2 beta=1", (reference){.alpha = 0.2, .beta = 1});
    assert_every_loss_follows(
        "alpha=0.2 beta=1 l1=0.3 l2=0.2", (reference){.alpha = 0.2, .beta = 1, .l1 = 0.3, .l2 = 0.2});
}

static void a_half_life_in_events_equals_fading_every_row_at_every_event(void **state)
{
    (void)state;
    assert_every_loss_follows("alpha=0.2 beta=1 half_life=30", (reference){.alpha = 0.2, .beta = 1, .half_life = 30});
    assert_every_loss_follows("alpha=0.2 beta=0.5 l1=0.3 l2=0.2 half_life=4.5",
        (reference){.alpha = 0.2, .beta = 0.5, .l1 = 0.3, .l2 = 0.2, .half_life = 4.5});
}

static void a_half_life_in_event_time_equals_fading_every_row_as_time_passes(void **state)
{
    (void)state;
    assert_every_loss_follows(
        "alpha=0.2 beta=1 half_life_time=5m", (reference){.alpha = 0.2, .beta = 1, .half_life_us = 300e6});
    assert_every_loss_follows("alpha=0.2 beta=1 l1=0.2 half_life_time=20s",
        (reference){.alpha = 0.2, .beta = 1, .l1 = 0.2, .half_life_us = 20e6});
}

/* With z = n = 0 a step leaves z = g. Row 1 has weight 0.4 and x = -1.3, row 0 weight 0 and x = 0.8. */
static void first_steps_are_the_slope_of_every_loss(void **state)
{
    (void)state;
    for (int loss = TW_LOSS_LOGISTIC; loss <= TW_LOSS_QUANTILE; loss++) {
        char text[96];
        learner_fixture learner;
        event_list event = {0};
        float score;
        const double h = 1e-4, s = 0.4 * -1.3;
        (void)snprintf(text, sizeof text, "alpha=1 beta=1 bias=false loss=%s quantile=0.3", loss_names[loss]);
        learner_fixture_open(&learner, &tw_learner_ftrl, text, 0, 2);
        event_list_begin(&event, 1.0f, 1.0f);
        event_list_add(&event, 0, 0.8f);
        event_list_add(&event, 1, -1.3f);
        float *rows = learner_fixture_row(&learner, 0);
        rows[2] = -0.4f; /* alpha = beta = 1: w = -z */
        assert_int_equal(learner_fixture_learn(&learner, &event, 0, 1, 1, &score, NULL), TW_STATUS_OK);
        tw_loss of = {(tw_loss_kind)loss, 0.3};
        double up = reference_loss(of, s + 0.8 * h, 1), down = reference_loss(of, s - 0.8 * h, 1);
        assert_true(fabs((double)rows[0] - (up - down) / (2 * h)) < 1e-5);
        learner_fixture_close(&learner);
        event_list_free(&event);
    }
}

static void traits_name_loss_link_and_task(void **state)
{
    (void)state;
    const tw_link_kind links[] = {0, TW_LINK_LOGISTIC, TW_LINK_IDENTITY, TW_LINK_LOGISTIC, TW_LINK_EXP, 0};
    for (int loss = TW_LOSS_LOGISTIC; loss <= TW_LOSS_QUANTILE; loss++) {
        char text[64];
        learner_fixture learner;
        (void)snprintf(text, sizeof text, "loss=%s quantile=0.25", loss_names[loss]);
        learner_fixture_open(&learner, &tw_learner_ftrl, text, 0, 1);
        bool is_binary = loss == TW_LOSS_LOGISTIC || loss == TW_LOSS_HINGE;
        assert_int_equal(learner.traits.loss.kind, loss);
        assert_true(learner.traits.loss.quantile == 0.25);
        assert_int_equal(learner.traits.link, links[loss]);
        assert_int_equal(learner.traits.task, is_binary ? TW_TASK_BINARY : TW_TASK_REGRESSION);
        learner_fixture_close(&learner);
    }
}

static void poisson_refuses_a_negative_label_and_keeps_the_rows(void **state)
{
    (void)state;
    learner_fixture learner, before;
    event_list events = make_loss_events(TW_LOSS_POISSON, N_ROWS, N_EVENTS);
    float scores[N_EVENTS];
    tw_error error;
    events.label[20] = -1.0f;
    learner_fixture_open(&learner, &tw_learner_ftrl, "loss=poisson half_life=9", 0, N_ROWS);
    learner_fixture_open(&before, &tw_learner_ftrl, "loss=poisson half_life=9", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 30, 30, scores, &error), TW_STATUS_INVALID);
    assert_non_null(strstr(error.message, "label of event 20"));
    assert_non_null(strstr(error.message, "-1"));
    assert_int_equal(learner_fixture_learn(&before, &events, 0, 20, 20, scores, NULL), TW_STATUS_OK);
    assert_true(learner_fixture_equals(&learner, &before));
    learner_fixture_close(&learner);
    learner_fixture_close(&before);
    event_list_free(&events);
}

static void an_event_that_fails_moves_no_clock(void **state)
{
    (void)state;
    learner_fixture learner, before;
    event_list events = make_loss_events(TW_LOSS_LOGISTIC, N_ROWS, N_EVENTS);
    float scores[N_EVENTS];
    tw_error error;
    events.label[20] = 1.0f;
    events.weight[20] = 1e30f;
    learner_fixture_open(&learner, &tw_learner_ftrl, "half_life=9", 0, N_ROWS);
    learner_fixture_open(&before, &tw_learner_ftrl, "half_life=9", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 30, 30, scores, &error), TW_STATUS_NUMERIC);
    assert_int_equal(learner_fixture_learn(&before, &events, 0, 20, 20, scores, NULL), TW_STATUS_OK);
    assert_true(learner_fixture_equals(&learner, &before));
    learner_fixture_close(&learner);
    learner_fixture_close(&before);
    event_list_free(&events);
}

static void a_half_life_of_time_needs_an_event_with_time(void **state)
{
    (void)state;
    learner_fixture learner;
    event_list events = {0};
    float scores[3];
    tw_error error;
    learner_fixture_open(&learner, &tw_learner_ftrl, "half_life_time=1h", 0, 1);
    for (int i = 0; i < 3; i++) {
        event_list_begin(&events, 1.0f, 1.0f);
        event_list_add(&events, 0, 1.0f);
    }
    events.time_us[1] = 5;
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 1, 1, scores, &error), TW_STATUS_INVALID);
    assert_non_null(strstr(error.message, "half_life_time"));
    assert_int_equal(learner_fixture_learn(&learner, &events, 1, 3, 1, scores, &error), TW_STATUS_OK);
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static void two_kinds_of_half_life_are_refused(void **state)
{
    (void)state;
    tw_option_values *options;
    tw_learner_traits traits = {0};
    tw_error error;
    assert_int_equal(tw_option_values_create(tw_learner_ftrl.options, &options, &error), TW_STATUS_OK);
    assert_int_equal(tw_option_set(options, "half_life", "5", &error), TW_STATUS_OK);
    assert_int_equal(tw_option_set(options, "half_life_time", "5s", &error), TW_STATUS_OK);
    void *self = aligned_alloc(64, (tw_learner_ftrl.state_size(options) + 63) / 64 * 64);
    assert_non_null(self);
    assert_int_equal(tw_learner_ftrl.open(self, options, &traits, &error), TW_STATUS_INVALID);
    assert_non_null(strstr(error.message, "not both"));
    free(self);
    tw_option_values_destroy(&options);
}

static void batch_size_changes_no_bit_with_a_half_life(void **state)
{
    (void)state;
    const char *const options[] = {"half_life=20 l1=0.1", "half_life_time=2m"};
    event_list events = make_loss_events(TW_LOSS_LOGISTIC, N_ROWS, N_EVENTS);
    for (int o = 0; o < 2; o++) {
        float first[N_EVENTS], scores[N_EVENTS];
        learner_fixture want, got;
        learner_fixture_open(&want, &tw_learner_ftrl, options[o], 0, N_ROWS);
        learner_fixture_open(&got, &tw_learner_ftrl, options[o], 0, N_ROWS);
        assert_int_equal(learner_fixture_learn(&want, &events, 0, N_EVENTS, 1, first, NULL), TW_STATUS_OK);
        assert_int_equal(learner_fixture_learn(&got, &events, 0, N_EVENTS, 77, scores, NULL), TW_STATUS_OK);
        assert_true(learner_fixture_equals(&want, &got));
        assert_memory_equal(first, scores, sizeof scores);
        learner_fixture_close(&want);
        learner_fixture_close(&got);
    }
    event_list_free(&events);
}

static void hastening_fades_as_much_and_moves_no_score(void **state)
{
    (void)state;
    learner_fixture learner;
    reference want = {.loss = {.kind = TW_LOSS_LOGISTIC}, .alpha = 0.2, .beta = 1, .l1 = 0.1, .half_life = 100};
    event_list events = make_loss_events(TW_LOSS_LOGISTIC, N_ROWS, N_EVENTS);
    float scores[N_EVENTS], before[N_EVENTS], after[N_EVENTS];
    learner_fixture_open(&learner, &tw_learner_ftrl, "alpha=0.2 beta=1 l1=0.1 half_life=100", 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 250, 50, scores, NULL), TW_STATUS_OK);
    learner_fixture_predict(&learner, &events, before);
    assert_true(learner_fixture_hasten(&learner, 2.5));
    learner_fixture_predict(&learner, &events, after);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(learner_fixture_learn(&learner, &events, 250, N_EVENTS, 50, scores, NULL), TW_STATUS_OK);
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        if (i == 250)
            reference_fade(&want, 2.5);
        assert_true(fabs(reference_learn(&want, &events, i) - (double)scores[i]) <= 3e-5 * (1 + fabs(scores[i])));
    }
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static void without_a_half_life_nothing_is_hastened(void **state)
{
    (void)state;
    learner_fixture learner;
    learner_fixture_open(&learner, &tw_learner_ftrl, "", 0, 1);
    assert_false(learner_fixture_hasten(&learner, 1.0));
    assert_int_equal(learner.traits.schema.row.size, 8);
    learner_fixture_close(&learner);
}

/* A weight of 0.5 after one gradient of this size. */
static double touched(const char *options, double gradient)
{
    learner_fixture learner;
    event_list event = {0};
    const float weight = 0.5f, curvature = 0.0f;
    float score;
    learner_fixture_open(&learner, &tw_learner_ftrl, options, 0, 1);
    assert_int_equal(learner_fixture_warm_start(
                         &learner, &(tw_weights){.weight = &weight, .curvature = &curvature, .events = 100}, NULL),
        TW_STATUS_OK);
    event_list_begin(&event, 0.0f, 1.0f); /* squared: error = score = 0.5 x, gradient 0.5 x^2 */
    event_list_add(&event, 0, (float)sqrt(2 * gradient));
    assert_int_equal(learner_fixture_learn(&learner, &event, 0, 1, 1, &score, NULL), TW_STATUS_OK);
    double after = learner.ops->weight(learner.self, learner_fixture_row(&learner, 0));
    learner_fixture_close(&learner);
    event_list_free(&event);
    return after;
}

static void a_weight_that_was_given_survives_its_first_touch(void **state)
{
    (void)state;
    const char *const options[] = {"alpha=0.1 beta=1 l1=0.1 l2=0.1 bias=false loss=squared",
        "alpha=0.1 beta=1 l1=0.1 l2=0.1 bias=false loss=squared half_life=10"};
    for (int i = 0; i < 2; i++) {
        assert_true(fabs(touched(options[i], 0.01) - 0.499) < 5e-4);
        assert_true(fabs(touched(options[i], 0.25) - 0.480) < 5e-4);
    }
}

static void given_weights_are_predicted_and_their_curvature_holds_them(void **state)
{
    (void)state;
    const char *const options[] = {"l1=0.3 l2=0.2", "l1=0.3 l2=0.2 half_life=50", "half_life_time=1m"};
    const float weight[4] = {0.5f, -1.25f, 0.0f, 3e-4f}, curvature[4] = {0.0f, 1e4f, 7.0f, 2.0f};
    for (int i = 0; i < 3; i++) {
        learner_fixture learner;
        event_list event = {0};
        float score;
        tw_weights weights = {weight, curvature, true, 0.75, 90.0, NULL, NULL, 0, 1000};
        learner_fixture_open(&learner, &tw_learner_ftrl, options[i], 0, 4);
        assert_int_equal(learner_fixture_warm_start(&learner, &weights, NULL), TW_STATUS_OK);
        for (uint32_t r = 0; r < 4; r++) {
            double got = learner.ops->weight(learner.self, learner_fixture_row(&learner, r));
            assert_true(fabs(got - (double)weight[r]) <= 4e-7 * fabs((double)weight[r]) + 1e-10);
        }
        event_list_begin(&event, 1.0f, 1.0f);
        event_list_add(&event, 1, 1.0f);
        event_list_time(&event, 1000000);
        assert_int_equal(learner_fixture_learn(&learner, &event, 0, 1, 1, &score, NULL), TW_STATUS_OK);
        assert_true(fabs((double)score + 0.5) < 1e-6);
        /* alpha / (beta + 100): a thousandth of a fresh weight's step */
        double moved = learner.ops->weight(learner.self, learner_fixture_row(&learner, 1)) + 1.25;
        assert_true(moved > 1e-4 && moved < 1e-3);
        learner_fixture_close(&learner);
        event_list_free(&event);
    }
}

static void weights_that_no_row_can_hold_are_refused(void **state)
{
    (void)state;
    learner_fixture learner;
    tw_error error;
    float weight[2] = {1.0f, INFINITY}, curvature[2] = {0};
    learner_fixture_open(&learner, &tw_learner_ftrl, "bias=false", 0, 2);
    tw_weights weights = {.weight = weight, .curvature = curvature};
    assert_int_equal(learner_fixture_warm_start(&learner, &weights, &error), TW_STATUS_NUMERIC);
    assert_true(learner.ops->weight(learner.self, learner_fixture_row(&learner, 0)) == 0.0);
    weight[1] = 1.0f;
    weights.has_bias = true;
    weights.bias = 0.5;
    assert_int_equal(learner_fixture_warm_start(&learner, &weights, &error), TW_STATUS_INVALID);
    assert_non_null(strstr(error.message, "bias"));
    learner_fixture_close(&learner);
}

/* Noisy labels follow x for a while, then -x: with a half-life the model turns round sooner. */
static void a_half_life_follows_a_change_sooner(void **state)
{
    (void)state;
    const char *const options[] = {"alpha=0.1", "alpha=0.1 half_life=100"};
    double loss[2] = {0};
    for (int o = 0; o < 2; o++) {
        learner_fixture learner;
        event_list events = {0};
        uint64_t random = 4;
        float *scores = calloc(8000, sizeof *scores);
        for (int i = 0; i < 8000; i++) {
            double x = 2 * test_uniform(&random) - 1;
            bool is_noise = test_uniform(&random) < 0.3;
            event_list_begin(&events, ((x > 0) == (i < 7000)) != is_noise, 1.0f);
            event_list_add(&events, 0, (float)x);
        }
        learner_fixture_open(&learner, &tw_learner_ftrl, options[o], 0, 1);
        assert_int_equal(learner_fixture_learn(&learner, &events, 0, 8000, 64, scores, NULL), TW_STATUS_OK);
        for (int i = 7000; i < 8000; i++)
            loss[o] +=
                reference_loss((tw_loss){.kind = TW_LOSS_LOGISTIC}, (double)scores[i], (double)events.label[i]) / 1000;
        learner_fixture_close(&learner);
        event_list_free(&events);
        free(scores);
    }
    print_message("loss after the change %.3f, with a half-life %.3f\n", loss[0], loss[1]);
    assert_true(loss[1] < 0.95 * loss[0]);
}

static void copy_state(learner_fixture *to, const learner_fixture *from)
{
    memcpy(to->rows, from->rows, (size_t)from->n_rows * from->traits.schema.row.size);
    for (uint32_t b = 0; b < from->traits.schema.n_blocks; b++)
        memcpy(to->block[b], from->block[b], from->traits.schema.block[b].record.size);
}

static void merge_state(learner_fixture *into, const learner_fixture *before, const learner_fixture *after)
{
    const tw_schema *schema = &into->traits.schema;
    for (size_t at = 0; at < (size_t)into->n_rows * schema->row.size; at += schema->row.size)
        tw_record_merge(&schema->row, into->rows + at, before->rows + at, after->rows + at);
    for (uint32_t b = 0; b < schema->n_blocks; b++)
        tw_record_merge(&schema->block[b].record, into->block[b], before->block[b], after->block[b]);
}

/* Four workers learn 4 events each from the same rows; rows of rare keys are many half-lives old by then. */
static void workers_that_merge_forget_once(void **state)
{
    (void)state;
    enum { WORKERS = 4, EACH = 4 };
    const char *options = "alpha=0.1 half_life=25 l1=0.01";
    learner_fixture one, shared, before, worker;
    event_list events = make_loss_events(TW_LOSS_LOGISTIC, N_ROWS, N_EVENTS);
    float alone[N_EVENTS], scores[N_EVENTS];
    double losses[2] = {0};
    learner_fixture_open(&one, &tw_learner_ftrl, options, 0, N_ROWS);
    learner_fixture_open(&shared, &tw_learner_ftrl, options, 0, N_ROWS);
    learner_fixture_open(&before, &tw_learner_ftrl, options, 0, N_ROWS);
    learner_fixture_open(&worker, &tw_learner_ftrl, options, 0, N_ROWS);
    assert_int_equal(learner_fixture_learn(&one, &events, 0, N_EVENTS, 4, alone, NULL), TW_STATUS_OK);
    for (uint32_t at = 0; at + WORKERS * EACH <= N_EVENTS; at += WORKERS * EACH) {
        copy_state(&before, &shared);
        for (uint32_t from = at; from < at + WORKERS * EACH; from += EACH) {
            copy_state(&worker, &before);
            assert_int_equal(
                learner_fixture_learn(&worker, &events, from, from + EACH, EACH, scores, NULL), TW_STATUS_OK);
            merge_state(&shared, &before, &worker);
        }
    }
    uint32_t n_scored = N_EVENTS / (WORKERS * EACH) * WORKERS * EACH;
    for (uint32_t i = n_scored / 2; i < n_scored; i++) {
        double y = (double)events.label[i];
        losses[0] += isnan(y) ? 0 : reference_loss((tw_loss){.kind = TW_LOSS_LOGISTIC}, (double)alone[i], y);
        losses[1] += isnan(y) ? 0 : reference_loss((tw_loss){.kind = TW_LOSS_LOGISTIC}, (double)scores[i], y);
    }
    print_message("loss alone %.4f, merged %.4f\n", losses[0] / n_scored * 2, losses[1] / n_scored * 2);
    assert_true(losses[1] < 1.03 * losses[0]);
    for (uint32_t r = 0; r < N_ROWS; r++) {
        const float *a = learner_fixture_row(&one, r), *b = learner_fixture_row(&shared, r);
        assert_true(b[1] >= 0.0f && fabsf(a[1] - b[1]) <= 0.35f * a[1] + 1e-3f);
    }
    learner_fixture *all[] = {&one, &shared, &before, &worker};
    for (int i = 0; i < 4; i++)
        learner_fixture_close(all[i]);
    event_list_free(&events);
}

static void flight_stops_growing_with_a_half_life(void **state)
{
    (void)state;
    learner_fixture learner;
    learner_fixture_open(&learner, &tw_learner_ftrl, "alpha=0.1 half_life=10000", 0, 1);
    assert_true(fabs(learner.ops->flight(learner.self, 100) - 5.0) < 1e-9);
    assert_true(fabs(learner.ops->flight(learner.self, 1000000) - 0.5 * sqrt(10000 / log(2))) < 1e-6);
    learner_fixture_close(&learner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_loss_follows_the_reference),
        cmocka_unit_test(a_half_life_in_events_equals_fading_every_row_at_every_event),
        cmocka_unit_test(a_half_life_in_event_time_equals_fading_every_row_as_time_passes),
        cmocka_unit_test(first_steps_are_the_slope_of_every_loss),
        cmocka_unit_test(traits_name_loss_link_and_task),
        cmocka_unit_test(poisson_refuses_a_negative_label_and_keeps_the_rows),
        cmocka_unit_test(an_event_that_fails_moves_no_clock),
        cmocka_unit_test(a_half_life_of_time_needs_an_event_with_time),
        cmocka_unit_test(two_kinds_of_half_life_are_refused),
        cmocka_unit_test(batch_size_changes_no_bit_with_a_half_life),
        cmocka_unit_test(hastening_fades_as_much_and_moves_no_score),
        cmocka_unit_test(without_a_half_life_nothing_is_hastened),
        cmocka_unit_test(a_weight_that_was_given_survives_its_first_touch),
        cmocka_unit_test(given_weights_are_predicted_and_their_curvature_holds_them),
        cmocka_unit_test(weights_that_no_row_can_hold_are_refused),
        cmocka_unit_test(a_half_life_follows_a_change_sooner),
        cmocka_unit_test(workers_that_merge_forget_once),
        cmocka_unit_test(flight_stops_growing_with_a_half_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
