#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "support/learner_fixture.h"

extern const tw_learner_ops tw_learner_kmeans;

enum { WIDTH = 5, N_GROUPS = 4, N_EVENTS = 600 };

static event_list make_events(void)
{
    event_list events = {.dense_width = WIDTH};
    uint64_t state = 9;
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        float row[WIDTH];
        uint64_t group = test_random(&state) % N_GROUPS;
        for (uint64_t d = 0; d < WIDTH; d++) {
            row[d] = (float)((group == d ? 8 : 0) + test_uniform(&state));
        }
        event_list_begin(&events, NAN, (float)(1 + i % 2));
        event_list_dense(&events, row);
    }
    return events;
}

/* Decays every centre at every event, in double; the first k events become the centres. */
typedef struct reference {
    double weight[N_GROUPS], sum[N_GROUPS][WIDTH];
    int live;
} reference;

static void reference_learn(reference *self, const float *x, double weight, double decay, double *score)
{
    double least = INFINITY;
    int best = -1;
    for (int j = 0; j < self->live; j++) {
        double distance = 0.0;
        for (int d = 0; d < WIDTH; d++) {
            double difference = (double)x[d] - self->sum[j][d] / self->weight[j];
            distance += difference * difference;
        }
        best = distance < least ? j : best;
        least = distance < least ? distance : least;
    }
    score[0] = least;
    score[1] = best;
    best = self->live < N_GROUPS ? self->live++ : best;
    for (int j = 0; j < self->live; j++) {
        self->weight[j] = self->weight[j] * decay + (j == best ? weight : 0.0);
        for (int d = 0; d < WIDTH; d++) {
            self->sum[j][d] = self->sum[j][d] * decay + (j == best ? weight * (double)x[d] : 0.0);
        }
    }
}

static void assert_follows_reference(const char *options, double decay)
{
    learner_fixture learner;
    reference want = {0};
    event_list events = make_events();
    static float scores[2 * N_EVENTS];
    learner_fixture_open(&learner, &tw_learner_kmeans, options, WIDTH, 0);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, N_EVENTS, 32, scores, NULL), TW_STATUS_OK);
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        double score[2];
        reference_learn(&want, events.dense + i * WIDTH, (double)events.weight[i], decay, score);
        assert_true((double)scores[2 * i + 1] == score[1]);
        assert_true(i == 0 ? isnan(scores[0]) : fabs((double)scores[2 * i] - score[0]) <= 1e-4 * (1 + score[0]));
    }
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static void running_means_follow_the_reference(void **state)
{
    (void)state;
    assert_follows_reference("k=4 init=first", 1.0);
}

static void late_decay_equals_decay_of_all_centres_every_event(void **state)
{
    (void)state;
    assert_follows_reference("k=4 init=first decay=0.95", 0.95);
}

static void half_life_is_a_decay(void **state)
{
    (void)state;
    assert_follows_reference("k=4 init=first half_life=20", exp2(-1.0 / 20));
}

static void batch_size_changes_no_bit(void **state)
{
    (void)state;
    const uint32_t sizes[] = {1, 7, 79, 600};
    const char *options = "k=4 decay=0.99 init_events=80";
    event_list events = make_events();
    learner_fixture want, got;
    static float first[2 * N_EVENTS], scores[2 * N_EVENTS];
    learner_fixture_open(&want, &tw_learner_kmeans, options, WIDTH, 0);
    assert_int_equal(learner_fixture_learn(&want, &events, 0, N_EVENTS, 50, first, NULL), TW_STATUS_OK);
    for (size_t i = 0; i < 4; i++) {
        learner_fixture_open(&got, &tw_learner_kmeans, options, WIDTH, 0);
        assert_int_equal(learner_fixture_learn(&got, &events, 0, N_EVENTS, sizes[i], scores, NULL), TW_STATUS_OK);
        assert_true(learner_fixture_equals(&want, &got));
        assert_memory_equal(first, scores, sizeof scores);
        learner_fixture_close(&got);
    }
    learner_fixture_close(&want);
    event_list_free(&events);
}

static void seeding_finds_well_separated_groups(void **state)
{
    (void)state;
    event_list events = make_events();
    static float scores[2 * N_EVENTS];
    for (int seed = 1; seed <= 20; seed++) {
        learner_fixture learner;
        char options[64];
        snprintf(options, sizeof options, "k=4 seed=%d", seed);
        learner_fixture_open(&learner, &tw_learner_kmeans, options, WIDTH, 0);
        assert_int_equal(learner_fixture_learn(&learner, &events, 0, N_EVENTS, 64, scores, NULL), TW_STATUS_OK);
        assert_true(isnan(scores[0]) && scores[1] == -1.0f);
        assert_true(isnan(scores[2 * 19]) && !isnan(scores[2 * 20]));
        learner_fixture_predict(&learner, &events, scores);
        for (uint32_t i = 0; i < N_EVENTS; i++) {
            assert_true(scores[2 * i] < (float)WIDTH);
        }
        learner_fixture_close(&learner);
    }
    event_list_free(&events);
}

static void a_seed_gives_the_same_centres_again_and_another_seed_others(void **state)
{
    (void)state;
    const char *options[] = {"k=3 seed=1", "k=3 seed=1", "k=3 seed=2"};
    event_list events = make_events();
    learner_fixture learner[3];
    static float scores[2 * N_EVENTS];
    for (int i = 0; i < 3; i++) {
        learner_fixture_open(&learner[i], &tw_learner_kmeans, options[i], WIDTH, 0);
        assert_int_equal(learner_fixture_learn(&learner[i], &events, 0, 60, 60, scores, NULL), TW_STATUS_OK);
    }
    assert_true(learner_fixture_equals(&learner[0], &learner[1]));
    assert_false(learner_fixture_equals(&learner[0], &learner[2]));
    for (int i = 0; i < 3; i++) {
        learner_fixture_close(&learner[i]);
    }
    event_list_free(&events);
}

static void equal_points_make_one_centre_until_others_come(void **state)
{
    (void)state;
    learner_fixture learner;
    event_list events = {.dense_width = 1};
    float scores[2 * 12];
    for (int i = 0; i < 12; i++) {
        event_list_begin(&events, NAN, 1.0f);
        event_list_dense(&events, (float[]){i < 8 ? 1.0f : (float)i});
    }
    learner_fixture_open(&learner, &tw_learner_kmeans, "k=3 init_events=6", 1, 0);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 12, 5, scores, NULL), TW_STATUS_OK);
    const uint64_t *progress = learner_fixture_block(&learner, "progress");
    assert_int_equal(progress[0], 12);
    assert_int_equal(progress[1], 3);
    for (int i = 0; i < 2 * 12; i++) {
        assert_true(i < 12 || isfinite(scores[i]));
    }
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static void events_without_weight_are_scored_and_not_learned(void **state)
{
    (void)state;
    learner_fixture learner, before;
    event_list events = make_events();
    static float scores[2 * N_EVENTS];
    for (uint32_t i = 300; i < N_EVENTS; i++) {
        events.weight[i] = 0.0f;
    }
    learner_fixture_open(&learner, &tw_learner_kmeans, "k=4", WIDTH, 0);
    learner_fixture_open(&before, &tw_learner_kmeans, "k=4", WIDTH, 0);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, N_EVENTS, 64, scores, NULL), TW_STATUS_OK);
    assert_true(isfinite(scores[2 * (N_EVENTS - 1)]));
    assert_int_equal(learner_fixture_learn(&before, &events, 0, 300, 64, scores, NULL), TW_STATUS_OK);
    assert_true(learner_fixture_equals(&learner, &before));
    learner_fixture_close(&learner);
    learner_fixture_close(&before);
    event_list_free(&events);
}

static void points_too_far_away_are_an_error(void **state)
{
    (void)state;
    learner_fixture learner;
    event_list events = {.dense_width = 2};
    float scores[4];
    tw_error error;
    event_list_begin(&events, NAN, 1.0f);
    event_list_dense(&events, (float[]){1, 2});
    event_list_begin(&events, NAN, 1.0f);
    event_list_dense(&events, (float[]){FLT_MAX, 0});
    learner_fixture_open(&learner, &tw_learner_kmeans, "k=2", 2, 0);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 2, 2, scores, &error), TW_STATUS_NUMERIC);
    assert_non_null(strstr(error.message, "event 1"));
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static tw_status open_status(const char *name, const char *text, uint32_t dense_width)
{
    tw_option_values *options;
    tw_learner_traits traits = {.dense_width = dense_width};
    tw_error error;
    assert_int_equal(tw_option_values_create(tw_learner_kmeans.options, &options, &error), TW_STATUS_OK);
    assert_int_equal(tw_option_set(options, name, text, &error), TW_STATUS_OK);
    void *self = calloc(1, tw_learner_kmeans.state_size(options));
    tw_status status = tw_learner_kmeans.open(self, options, &traits, &error);
    free(self);
    tw_option_values_destroy(&options);
    return status;
}

static void options_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    assert_int_equal(open_status("k", "4", 0), TW_STATUS_INVALID);
    assert_int_equal(open_status("dims", "3", 0), TW_STATUS_OK);
    assert_int_equal(open_status("init_events", "7", 3), TW_STATUS_INVALID);
}

/* The file is sorted by groups: a fixed shuffle makes a stream of it. */
static void shuffle(event_list *events)
{
    uint64_t state = 4;
    for (uint32_t i = events->n_events - 1; i > 0; i--) {
        uint64_t j = test_random(&state) % (i + 1);
        for (uint64_t d = 0; d < 2; d++) {
            float value = events->dense[2 * i + d];
            events->dense[2 * i + d] = events->dense[2 * j + d];
            events->dense[2 * j + d] = value;
        }
    }
}

/* Mean squared distance to the nearest centre after one pass; < 0 when the data is not here. */
static double birch_inertia(int seed)
{
    gzFile file = gzopen(TW_SOURCE_DIR "/../shared/data/birch_rg1/birch-rg1.csv.gz", "rb");
    event_list events = {.dense_width = 2};
    char line[256], options[64];
    while (file && gzgets(file, line, sizeof line)) {
        char *at = line, *end;
        float row[2] = {strtof(at, &end), 0};
        if (end != at) {
            row[1] = strtof(end + 1, NULL);
            event_list_begin(&events, NAN, 1.0f);
            event_list_dense(&events, row);
        }
    }
    if (!file || gzclose(file) != Z_OK || events.n_events == 0) {
        return -1.0;
    }
    shuffle(&events);
    learner_fixture learner;
    float *scores = calloc(events.n_events, 2 * sizeof *scores);
    double sum = 0.0;
    snprintf(options, sizeof options, "k=100 seed=%d", seed);
    learner_fixture_open(&learner, &tw_learner_kmeans, options, 2, 0);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, events.n_events, 256, scores, NULL), TW_STATUS_OK);
    learner_fixture_predict(&learner, &events, scores);
    for (uint32_t i = 0; i < events.n_events; i++) {
        sum += (double)scores[2 * (size_t)i];
    }
    sum /= events.n_events;
    learner_fixture_close(&learner);
    event_list_free(&events);
    free(scores);
    return sum;
}

static void one_pass_over_birch_comes_near_its_hundred_clusters(void **state)
{
    (void)state;
    double mean = 0.0;
    for (int seed = 1; seed <= 3; seed++) {
        double inertia = birch_inertia(seed);
        if (inertia < 0.0) {
            print_message("birch_rg1 is not here\n");
            skip();
        }
        print_message("birch_rg1: seed %d, mean squared distance %.6g\n", seed, inertia);
        mean += inertia / 3;
    }
    assert_true(mean < 2.4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_means_follow_the_reference),
        cmocka_unit_test(late_decay_equals_decay_of_all_centres_every_event),
        cmocka_unit_test(half_life_is_a_decay),
        cmocka_unit_test(batch_size_changes_no_bit),
        cmocka_unit_test(seeding_finds_well_separated_groups),
        cmocka_unit_test(a_seed_gives_the_same_centres_again_and_another_seed_others),
        cmocka_unit_test(equal_points_make_one_centre_until_others_come),
        cmocka_unit_test(events_without_weight_are_scored_and_not_learned),
        cmocka_unit_test(points_too_far_away_are_an_error),
        cmocka_unit_test(options_that_do_not_fit_are_refused),
        cmocka_unit_test(one_pass_over_birch_comes_near_its_hundred_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
