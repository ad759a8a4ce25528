/* What a learner says about its scores, evaluated as the contract in learner.h words it, gives the bits of `predict`.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/learner_fixture.h"

extern const tw_learner_ops tw_learner_ftrl, tw_learner_linear, tw_learner_logistic, tw_learner_kmeans,
    tw_learner_counter;

enum { N_ROWS = 200, N_EVENTS = 600, WIDTH = 37 };

static float sum_of_lanes(const float *lane)
{
    float sum[16];
    memcpy(sum, lane, sizeof sum);
    for (int distance = 8; distance > 0; distance /= 2) {
        for (int i = 0; i < distance; i++)
            sum[i] += sum[i + distance];
    }
    return sum[0];
}

static float by_lanes(const tw_score_form *form, const float *x, const double *w, size_t n)
{
    float lane[16] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % 16] += (float)w[i] * x[i];
    return (float)((double)sum_of_lanes(lane) + form->bias);
}

static float in_order(const tw_score_form *form, const float *x, const double *w, size_t n)
{
    double sum = form->bias;
    for (size_t i = 0; i < n; i++)
        sum += w[i] * (double)x[i];
    if (form->limit > 0 && fabs(sum) > form->limit)
        sum = copysign(form->limit, sum);
    return (float)sum;
}

static void nearest(const tw_score_form *form, const float *x, float *score)
{
    score[0] = NAN;
    score[1] = -1.0f;
    for (uint32_t c = 0; c < form->n_centres; c++) {
        float lane[16] = {0};
        for (size_t j = 0; j < WIDTH; j++) {
            float difference = x[j] - form->centre[c * form->centre_stride + j];
            lane[j % 16] += difference * difference;
        }
        float distance = sum_of_lanes(lane);
        if (c == 0 || distance < score[0]) {
            score[0] = distance;
            score[1] = (float)c;
        }
    }
}

/* Events of 0 to 60 entries, one of 700; some keys twice. */
static event_list make_events(bool is_real)
{
    event_list events = {.dense_width = WIDTH};
    uint64_t state = 11;
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        float row[WIDTH];
        uint32_t n = i == 17 ? 700 : (uint32_t)(test_random(&state) % 61);
        double margin = 0.3;
        event_list_begin(&events, 0.0f, (float)(test_random(&state) % 3));
        for (uint32_t e = 0; e < n; e++) {
            uint32_t index = (uint32_t)(test_random(&state) % N_ROWS);
            float value = (float)(test_uniform(&state) * 2.0 - 0.7);
            margin += ((double)(index % 7) - 3.0) * (double)value / (double)n;
            event_list_add(&events, index, value);
        }
        events.label[i] = is_real ? (float)margin : test_uniform(&state) < 1.0 / (1.0 + exp(-margin)) ? 1.0f : 0.0f;
        for (int j = 0; j < WIDTH; j++)
            row[j] = (float)(test_uniform(&state) + (double)(i % 3));
        event_list_dense(&events, row);
    }
    return events;
}

static void scores_equal_predict(const tw_learner_ops *ops, const char *options, bool is_real)
{
    event_list events = make_events(is_real);
    learner_fixture learner;
    tw_error error = {0};
    learner_fixture_open(&learner, ops, options, ops == &tw_learner_kmeans ? WIDTH : 0, N_ROWS);
    uint32_t n_outputs = learner.traits.n_outputs;
    float *scores = calloc((size_t)N_EVENTS * n_outputs, sizeof(float));
    double *weight = calloc(events.n_entries + 1, sizeof(double));
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, N_EVENTS, 64, scores, &error), TW_STATUS_OK);
    learner_fixture_predict(&learner, &events, scores);
    tw_score_form form = learner_fixture_score_form(&learner, &events, weight);
    size_t n_other = 0;
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        float mine[2] = {0};
        uint32_t first = events.row_start[i], n = events.row_start[i + 1] - first;
        if (form.rule == TW_SCORE_LANES)
            mine[0] = by_lanes(&form, events.value + first, weight + first, n);
        else if (form.rule == TW_SCORE_ORDERED)
            mine[0] = in_order(&form, events.value + first, weight + first, n);
        else
            nearest(&form, events.dense + (size_t)i * WIDTH, mine);
        n_other += memcmp(mine, scores + (size_t)i * n_outputs, n_outputs * sizeof(float)) != 0;
    }
    assert_int_equal(n_other, 0);
    free(weight);
    free(scores);
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static void the_form_of_ftrl_gives_the_scores_of_predict(void **state)
{
    (void)state;
    scores_equal_predict(&tw_learner_ftrl, "", false);
    scores_equal_predict(&tw_learner_ftrl, "l1=0.5 l2=1 alpha=0.3", false);
    scores_equal_predict(&tw_learner_ftrl, "loss=squared bias=false", true);
    scores_equal_predict(&tw_learner_ftrl, "l1=0.5 half_life=50", false);
}

static void the_form_of_linear_gives_the_scores_of_predict(void **state)
{
    (void)state;
    scores_equal_predict(&tw_learner_linear, "", false);
    scores_equal_predict(&tw_learner_linear, "optimizer=sgd l1=0.01 l2=0.02", false);
    scores_equal_predict(&tw_learner_linear, "optimizer=momentum loss=squared bias=false rate=0.0001 l2=0.1", true);
}

static void the_form_of_logistic_gives_the_scores_of_predict(void **state)
{
    (void)state;
    scores_equal_predict(&tw_learner_logistic, "", false);
    scores_equal_predict(&tw_learner_logistic, "rate=20", false);
    scores_equal_predict(&tw_learner_logistic, "loss=squared bias=false", true);
}

static void the_form_of_kmeans_gives_the_scores_of_predict(void **state)
{
    (void)state;
    scores_equal_predict(&tw_learner_kmeans, "k=9 init_events=40", false);
    scores_equal_predict(&tw_learner_kmeans, "k=3 init=first", false);
    scores_equal_predict(&tw_learner_kmeans, "k=3 init_events=5000", false);
}

static void a_learner_whose_score_is_no_such_sum_gives_no_form(void **state)
{
    (void)state;
    assert_null(tw_learner_counter.score_form);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_form_of_ftrl_gives_the_scores_of_predict),
        cmocka_unit_test(the_form_of_linear_gives_the_scores_of_predict),
        cmocka_unit_test(the_form_of_logistic_gives_the_scores_of_predict),
        cmocka_unit_test(the_form_of_kmeans_gives_the_scores_of_predict),
        cmocka_unit_test(a_learner_whose_score_is_no_such_sum_gives_no_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
