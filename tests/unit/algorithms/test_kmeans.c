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

static void half_life_in_event_time_is_one_in_events_of_equal_steps(void **state)
{
    (void)state;
    event_list events = make_events();
    learner_fixture by_time, by_events;
    static float want[2 * N_EVENTS], got[2 * N_EVENTS];
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        events.time_us[i] = 1000000000000 + (int64_t)i * 1000000;
    }
    learner_fixture_open(&by_time, &tw_learner_kmeans, "k=4 init=first half_life_time=20s", WIDTH, 0);
    learner_fixture_open(&by_events, &tw_learner_kmeans, "k=4 init=first half_life=20", WIDTH, 0);
    assert_int_equal(learner_fixture_learn(&by_time, &events, 0, N_EVENTS, 64, got, NULL), TW_STATUS_OK);
    assert_int_equal(learner_fixture_learn(&by_events, &events, 0, N_EVENTS, 64, want, NULL), TW_STATUS_OK);
    for (uint32_t i = 1; i < N_EVENTS; i++) {
        assert_true(fabsf(got[2 * i] - want[2 * i]) <= 1e-4f * (1 + want[2 * i]) && got[2 * i + 1] == want[2 * i + 1]);
    }
    learner_fixture_close(&by_time);
    learner_fixture_close(&by_events);
    event_list_free(&events);
}

/* Three places; later the first one is never seen again and the third falls apart into two. */
static event_list make_moving_events(void)
{
    static const float place[4] = {0, 10, 20, 30};
    event_list events = {.dense_width = 2};
    uint64_t state = 5;
    for (uint32_t i = 0; i < 4000; i++) {
        uint64_t group = i < 1000 ? test_random(&state) % 3 : 1 + test_random(&state) % 3;
        event_list_begin(&events, NAN, 1.0f);
        event_list_dense(&events, (float[]){place[group] + (float)test_uniform(&state), (float)test_uniform(&state)});
    }
    return events;
}

static double mean_of_last(const char *options, const event_list *events, uint32_t n_last)
{
    learner_fixture learner;
    double sum = 0.0;
    float *scores = calloc(events->n_events, 2 * sizeof *scores);
    assert_non_null(scores);
    learner_fixture_open(&learner, &tw_learner_kmeans, options, events->dense_width, 0);
    assert_int_equal(learner_fixture_learn(&learner, events, 0, events->n_events, 100, scores, NULL), TW_STATUS_OK);
    for (uint32_t i = events->n_events - n_last; i < events->n_events; i++) {
        sum += (double)scores[2 * (size_t)i] / n_last;
    }
    learner_fixture_close(&learner);
    free(scores);
    return sum;
}

static void a_dying_centre_moves_to_where_one_is_missing(void **state)
{
    (void)state;
    event_list events = make_moving_events();
    assert_true(mean_of_last("k=3 half_life=200", &events, 500) < 0.25);
    assert_true(mean_of_last("k=3 half_life=200 move=false", &events, 500) > 5.0);
    event_list_free(&events);
}

static void hastening_makes_the_next_steps_larger(void **state)
{
    (void)state;
    learner_fixture slow, fast, fixed;
    event_list events = make_events();
    static float scores[2 * N_EVENTS];
    learner_fixture_open(&slow, &tw_learner_kmeans, "k=4 half_life=1000", WIDTH, 0);
    learner_fixture_open(&fast, &tw_learner_kmeans, "k=4 half_life=1000", WIDTH, 0);
    learner_fixture_open(&fixed, &tw_learner_kmeans, "k=4", WIDTH, 0);
    assert_int_equal(learner_fixture_learn(&slow, &events, 0, 599, 64, scores, NULL), TW_STATUS_OK);
    assert_int_equal(learner_fixture_learn(&fast, &events, 0, 599, 64, scores, NULL), TW_STATUS_OK);
    assert_true(learner_fixture_hasten(&fast, 10.0));
    assert_false(learner_fixture_hasten(&fixed, 10.0));
    assert_int_equal(learner_fixture_learn(&slow, &events, 599, 600, 1, scores, NULL), TW_STATUS_OK);
    assert_int_equal(learner_fixture_learn(&fast, &events, 599, 600, 1, scores, NULL), TW_STATUS_OK);
    learner_fixture_predict(&slow, &events, scores);
    float before = scores[2 * 599];
    learner_fixture_predict(&fast, &events, scores);
    assert_true(scores[2 * 599] < 0.5f * before);
    learner_fixture_close(&slow);
    learner_fixture_close(&fast);
    learner_fixture_close(&fixed);
    event_list_free(&events);
}

/* --- warm start --------------------------------------------------------------------------------------------------- */

static const double warm_centre[3 * 2] = {0, 0, 10, 0, 0, 10};
static const double warm_weight[3] = {5000, 4000, 1000};

static tw_weights warm_weights(void)
{
    return (tw_weights){.centre = warm_centre, .centre_weight = warm_weight, .n_centres = 3, .events = 10000};
}

static event_list make_far_events(uint32_t n)
{
    event_list events = {.dense_width = 2};
    for (uint32_t i = 0; i < n; i++) {
        event_list_begin(&events, NAN, 1.0f);
        event_list_dense(&events, (float[]){12, 2});
    }
    return events;
}

static void a_warm_start_gives_its_centres_back_and_moves_as_their_weights_say(void **state)
{
    (void)state;
    learner_fixture learner;
    tw_error error;
    tw_weights weights = warm_weights();
    event_list events = make_far_events(100);
    float scores[2 * 100];
    learner_fixture_open(&learner, &tw_learner_kmeans, "k=3", 2, 0);
    assert_int_equal(learner_fixture_warm_start(&learner, &weights, &error), TW_STATUS_OK);
    learner_fixture_predict(&learner, &events, scores);
    assert_true(scores[0] == 8.0f && scores[1] == 1.0f);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 100, 7, scores, NULL), TW_STATUS_OK);
    double part = 4000.0 / 4100.0; /* of the way that is left: centre = (4000 c + 100 x) / 4100 */
    learner_fixture_predict(&learner, &events, scores);
    assert_true(fabs((double)scores[0] - 8.0 * part * part) < 1e-4 && scores[1] == 1.0f);
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static void a_warm_start_forgets_as_a_stream_of_so_many_events_does(void **state)
{
    (void)state;
    learner_fixture learner;
    tw_error error;
    tw_weights weights = warm_weights();
    event_list events = make_far_events(200);
    static float scores[2 * 200];
    learner_fixture_open(&learner, &tw_learner_kmeans, "k=3 half_life=50 move=false", 2, 0);
    assert_int_equal(learner_fixture_warm_start(&learner, &weights, &error), TW_STATUS_OK);
    learner_fixture_predict(&learner, &events, scores);
    assert_true(scores[0] == 8.0f);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 200, 7, scores, NULL), TW_STATUS_OK);
    assert_true(scores[2 * 199] < 0.01f); /* after four half-lives; with all of 4,000 events it would be 7 */
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static void warm_starts_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const double nan_centre[2] = {NAN, 0};
    learner_fixture learner, sparse;
    tw_error error;
    tw_weights weights = warm_weights(), none = {0}, bad = {.centre = nan_centre, .centre_weight = warm_weight};
    bad.n_centres = 1;
    learner_fixture_open(&learner, &tw_learner_kmeans, "k=2", 2, 0);
    learner_fixture_open(&sparse, &tw_learner_kmeans, "k=4 input=sparse", 0, 4);
    assert_int_equal(learner_fixture_warm_start(&learner, &weights, &error), TW_STATUS_INVALID);
    assert_non_null(strstr(error.message, "3 centres"));
    assert_int_equal(learner_fixture_warm_start(&learner, &none, &error), TW_STATUS_INVALID);
    assert_int_equal(learner_fixture_warm_start(&learner, &bad, &error), TW_STATUS_NUMERIC);
    assert_int_equal(learner_fixture_warm_start(&sparse, &weights, &error), TW_STATUS_UNSUPPORTED);
    learner_fixture_close(&learner);
    learner_fixture_close(&sparse);
}

/* --- sparse input ------------------------------------------------------------------------------------------------- */

/* Each number of a dense row that is not 0 as an entry. */
static event_list make_sparse(const event_list *dense)
{
    event_list events = {0};
    for (uint32_t i = 0; i < dense->n_events; i++) {
        event_list_begin(&events, NAN, dense->weight[i]);
        for (uint32_t d = 0; d < dense->dense_width; d++) {
            float x = dense->dense[(size_t)i * dense->dense_width + d];
            if (x != 0.0f) {
                event_list_add(&events, d, x);
            }
        }
    }
    return events;
}

static void assert_sparse_equals_dense(const event_list *dense, const char *options, double tolerance)
{
    event_list sparse = make_sparse(dense);
    learner_fixture a, b;
    char text[128];
    float *want = calloc(dense->n_events, 2 * sizeof *want), *got = calloc(dense->n_events, 2 * sizeof *got);
    assert_true(want && got);
    (void)snprintf(text, sizeof text, "%s init=first move=false", options);
    learner_fixture_open(&a, &tw_learner_kmeans, text, dense->dense_width, 0);
    (void)snprintf(text, sizeof text, "%s init=first input=sparse", options);
    learner_fixture_open(&b, &tw_learner_kmeans, text, 0, dense->dense_width);
    assert_int_equal(learner_fixture_learn(&a, dense, 0, dense->n_events, 50, want, NULL), TW_STATUS_OK);
    assert_int_equal(learner_fixture_learn(&b, &sparse, 0, dense->n_events, 17, got, NULL), TW_STATUS_OK);
    assert_true(isnan(want[0]) && isnan(got[0]) && got[1] == -1.0f);
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = pass == 0; i < dense->n_events; i++) {
            assert_true(want[2 * (size_t)i + 1] == got[2 * (size_t)i + 1]);
            assert_true(fabs((double)(want[2 * (size_t)i] - got[2 * (size_t)i])) <= tolerance);
        }
        learner_fixture_predict(&a, dense, want);
        learner_fixture_predict(&b, &sparse, got);
    }
    free(want);
    free(got);
    learner_fixture_close(&a);
    learner_fixture_close(&b);
    event_list_free(&sparse);
}

static void sparse_and_dense_input_give_the_same_clusters(void **state)
{
    (void)state;
    event_list events = make_events();
    assert_sparse_equals_dense(&events, "k=4", 1e-4);
    assert_sparse_equals_dense(&events, "k=4 half_life=30", 1e-4);
    event_list_free(&events);
}

/* The 1,500 most frequent words would do as well: here the first 1,500 indices that occur in the news stories. */
static void sparse_and_dense_input_agree_on_news(void **state)
{
    (void)state;
    enum { WORDS = 1500 };
    gzFile file = gzopen(TW_SOURCE_DIR "/../shared/data/rcv1_small/rcv1_small.train.vw.gz", "rb");
    if (!file) {
        print_message("SKIPPED: rcv1_small is not beside the source tree\n");
        skip();
    }
    event_list events = {.dense_width = WORDS};
    static char line[65536];
    static uint32_t number[65536];
    uint32_t n_words = 0;
    while (gzgets(file, line, sizeof line)) {
        float row[WORDS] = {0};
        char *at = strchr(line, '|');
        for (at = at ? strchr(at, ' ') : NULL; at; at = strchr(at, ' ')) {
            unsigned long index = strtoul(at, &at, 10);
            if (*at != ':' || index == 0 || index >= 65536) {
                break;
            }
            if (number[index] == 0 && n_words < WORDS) {
                number[index] = ++n_words;
            }
            float value = strtof(at + 1, &at);
            if (number[index] != 0) {
                row[number[index] - 1] = value;
            }
        }
        event_list_begin(&events, NAN, 1.0f);
        event_list_dense(&events, row);
    }
    assert_int_equal(gzclose(file), Z_OK);
    assert_int_equal(n_words, WORDS);
    assert_true(events.n_events >= 1000);
    assert_sparse_equals_dense(&events, "k=10", 1e-4);
    event_list_free(&events);
}

static void sparse_seeds_use_every_centre_and_depend_on_the_seed(void **state)
{
    (void)state;
    static const char *const inits[] = {"kmeans++", "random"};
    event_list dense = make_events(), events = make_sparse(&dense);
    static float scores[2 * N_EVENTS], first[2 * N_EVENTS];
    for (int i = 0; i < 40; i++) {
        learner_fixture learner;
        char options[96];
        (void)snprintf(options, sizeof options, "k=4 input=sparse init=%s init_events=60 seed=%d", inits[i % 2], i / 2);
        learner_fixture_open(&learner, &tw_learner_kmeans, options, 0, WIDTH);
        assert_int_equal(learner_fixture_learn(&learner, &events, 0, N_EVENTS, 64, scores, NULL), TW_STATUS_OK);
        const uint64_t *progress = learner_fixture_block(&learner, "progress");
        assert_int_equal(progress[1], 4);
        if (i == 0) {
            memcpy(first, scores, sizeof scores);
        }
        assert_true(i != 2 || memcmp(first, scores, sizeof scores) != 0);
        learner_fixture_close(&learner);
    }
    event_list_free(&dense);
    event_list_free(&events);
}

static void a_dying_sparse_centre_begins_again_at_the_heaviest(void **state)
{
    (void)state;
    event_list events = {0};
    learner_fixture learner;
    static float scores[2 * 2000];
    for (uint32_t i = 0; i < 2000; i++) { /* feature 0 once; then 1 and 2 by turns */
        event_list_begin(&events, NAN, 1.0f);
        event_list_add(&events, i == 0 ? 0 : 1 + i % 2, 1.0f);
        event_list_add(&events, 3, 5.0f);
    }
    learner_fixture_open(&learner, &tw_learner_kmeans, "k=2 input=sparse init=first half_life=20", 0, 4);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, 300, 64, scores, NULL), TW_STATUS_OK);
    assert_true(scores[2 * 299] > 0.2f);
    assert_int_equal(learner_fixture_learn(&learner, &events, 300, 2000, 64, scores, NULL), TW_STATUS_OK);
    assert_true(scores[2 * 1999] < 0.01f && scores[2 * 1998] < 0.01f && scores[2 * 1999 + 1] != scores[2 * 1998 + 1]);
    learner_fixture_close(&learner);
    event_list_free(&events);
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
        cmocka_unit_test(half_life_in_event_time_is_one_in_events_of_equal_steps),
        cmocka_unit_test(a_dying_centre_moves_to_where_one_is_missing),
        cmocka_unit_test(hastening_makes_the_next_steps_larger),
        cmocka_unit_test(a_warm_start_gives_its_centres_back_and_moves_as_their_weights_say),
        cmocka_unit_test(a_warm_start_forgets_as_a_stream_of_so_many_events_does),
        cmocka_unit_test(warm_starts_that_do_not_fit_are_refused),
        cmocka_unit_test(sparse_and_dense_input_give_the_same_clusters),
        cmocka_unit_test(sparse_and_dense_input_agree_on_news),
        cmocka_unit_test(sparse_seeds_use_every_centre_and_depend_on_the_seed),
        cmocka_unit_test(a_dying_sparse_centre_begins_again_at_the_heaviest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
