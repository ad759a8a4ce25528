/* Streaming k-means on real sets, against figures of a batch peer. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/learner_fixture.h"
#include "support/points.h"

extern const tw_learner_ops tw_learner_kmeans;

enum { N_SEEDS = 10, N_CLASSES = 15, RBF_WIDTH = 2 + N_CLASSES };

static bool load(const char *set, points *out)
{
    bool is_here = points_load(TW_SOURCE_DIR "/../shared/data", set, out);
    if (!is_here)
        print_message("SKIPPED: %s is not beside the source tree\n", set);
    return is_here;
}

static void learn_points(learner_fixture *self, const points *data)
{
    event_list events = {.dense_width = data->width};
    for (uint32_t i = 0; i < data->n; i++) {
        event_list_begin(&events, NAN, 1.0f);
        event_list_dense(&events, data->x + (size_t)i * data->width);
    }
    float *scores = calloc(data->n, 2 * sizeof *scores);
    assert_non_null(scores);
    assert_int_equal(learner_fixture_learn(self, &events, 0, data->n, 256, scores, NULL), TW_STATUS_OK);
    free(scores);
    event_list_free(&events);
}

static const float *centre_of(learner_fixture *self, uint32_t j)
{
    int block = tw_schema_find_block(&self->traits.schema, "centroids");
    const tw_record *record = &self->traits.schema.block[block].record;
    return (const float *)(const void *)((const unsigned char *)self->block[block] + (size_t)j * record->size +
                                         record->field[record->n_fields - 1].offset);
}

static double one_pass(points *data, uint32_t k, int seed)
{
    learner_fixture learner;
    char options[64];
    double *centre = calloc((size_t)k * data->width, sizeof *centre);
    assert_non_null(centre);
    (void)snprintf(options, sizeof options, "k=%u seed=%d", k, seed);
    points_shuffle(data, (uint64_t)seed);
    learner_fixture_open(&learner, &tw_learner_kmeans, options, data->width, 0);
    learn_points(&learner, data);
    for (uint32_t j = 0; j < k; j++) {
        for (uint32_t d = 0; d < data->width; d++)
            centre[(size_t)j * data->width + d] = (double)centre_of(&learner, j)[d];
    }
    double inertia = points_inertia(data, centre, k);
    learner_fixture_close(&learner);
    free(centre);
    return inertia;
}

static int compare_doubles(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* batch: scikit-learn 1.9.1, KMeans(k, init = "k-means++", n_init = 1), the median of random_state 0 to 9. */
static void one_pass_is_within_three_percent_of_batch(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        uint32_t k;
        double batch;
    } sets[] = {
        {"s1", 15, 8.91765e12}, {"s2", 15, 1.32795e13}, {"birch_rg1", 100, 193260}, {"mnist_t10k", 10, 2.53242e10}};
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        points data;
        double inertia[N_SEEDS];
        if (!load(sets[s].set, &data))
            continue;
        for (int seed = 0; seed < N_SEEDS; seed++)
            inertia[seed] = one_pass(&data, sets[s].k, seed + 1);
        qsort(inertia, N_SEEDS, sizeof *inertia, compare_doubles);
        double median = (inertia[N_SEEDS / 2 - 1] + inertia[N_SEEDS / 2]) / 2;
        print_message("%s, k %u: median %.6g of %.6g to %.6g, batch %.6g, ratio %.4f\n", sets[s].set, sets[s].k, median,
            inertia[0], inertia[N_SEEDS - 1], sets[s].batch, median / sets[s].batch);
        assert_true(median <= 1.03 * sets[s].batch);
        points_free(&data);
    }
}

/* interchanging_rbf: the places of 15 Gaussians stay and the classes on them change places. With the class as columns
 * of 0 and 1 a cluster is a class, and it jumps. */
typedef struct rbf_result {
    double inertia; /* mean progressive squared distance over the second half of the stream */
    double error;   /* mean distance of a class's centre to the class's mean in x, y, at the end of each 3,000 rows */
} rbf_result;

static void rbf_class_means(const points *data, uint32_t first, uint32_t n, double (*mean)[2])
{
    double count[N_CLASSES] = {0};
    memset(mean, 0, N_CLASSES * sizeof *mean);
    for (uint32_t i = first; i < first + n; i++) {
        const float *row = data->x + (size_t)3 * i;
        size_t c = (size_t)row[2];
        for (int d = 0; d < 2; d++)
            mean[c][d] += (double)row[d];
        count[c]++;
    }
    for (int c = 0; c < N_CLASSES; c++) {
        for (int d = 0; d < 2; d++)
            mean[c][d] /= count[c];
    }
}

/* The class of a centre is that of its largest column of 0 and 1. */
static double rbf_error(learner_fixture *learner, double (*mean)[2])
{
    double error = 0.0;
    for (uint32_t j = 0; j < N_CLASSES; j++) {
        const float *centre = centre_of(learner, j);
        int best = 0;
        for (int c = 1; c < N_CLASSES; c++)
            best = centre[2 + c] > centre[2 + best] ? c : best;
        error += hypot((double)centre[0] - mean[best][0], (double)centre[1] - mean[best][1]);
    }
    return error / N_CLASSES;
}

static rbf_result rbf_run(const points *data, const event_list *events, const char *options)
{
    enum { SEGMENT = 3000 };
    rbf_result result = {0};
    learner_fixture learner;
    uint32_t n = data->n / SEGMENT * SEGMENT, n_segments = 0;
    float *scores = calloc(data->n, 2 * sizeof *scores);
    assert_non_null(scores);
    learner_fixture_open(&learner, &tw_learner_kmeans, options, RBF_WIDTH, 0);
    for (uint32_t at = 0; at < n; at += SEGMENT) {
        double mean[N_CLASSES][2];
        assert_int_equal(learner_fixture_learn(&learner, events, at, at + SEGMENT, 256, scores, NULL), TW_STATUS_OK);
        rbf_class_means(data, at, SEGMENT, mean);
        result.error += at >= n / 2 ? rbf_error(&learner, mean) : 0.0;
        n_segments += at >= n / 2;
    }
    for (uint32_t i = n / 2; i < n; i++)
        result.inertia += (double)scores[2 * (size_t)i] / (n - n / 2);
    result.error /= n_segments;
    learner_fixture_close(&learner);
    free(scores);
    return result;
}

static void forgetting_follows_classes_that_change_places(void **state)
{
    (void)state;
    points data;
    if (!load("interchanging_rbf", &data))
        skip();
    event_list events = {.dense_width = RBF_WIDTH};
    for (uint32_t i = 0; i < data.n; i++) {
        const float *from = data.x + (size_t)3 * i;
        float row[RBF_WIDTH] = {from[0], from[1]};
        row[2 + (size_t)from[2]] = 1.0f;
        event_list_begin(&events, NAN, 1.0f);
        event_list_dense(&events, row);
    }
    rbf_result kept = rbf_run(&data, &events, "k=15"), fading = rbf_run(&data, &events, "k=15 half_life=300");
    print_message("interchanging_rbf: squared distance %.4f, centres off by %.4f; half_life=300: %.4f, %.4f\n",
        kept.inertia, kept.error, fading.inertia, fading.error);
    assert_true(fading.inertia < 0.5 * kept.inertia);
    assert_true(fading.error < 0.1 * kept.error);
    event_list_free(&events);
    points_free(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_pass_is_within_three_percent_of_batch),
        cmocka_unit_test(forgetting_follows_classes_that_change_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
