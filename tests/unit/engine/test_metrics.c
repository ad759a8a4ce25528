/* Progressive metrics against slow, obvious sums over the same events. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "engine/metrics.h"

enum { N = 1500 };

typedef struct scored {
    float score[N], label[N], weight[N];
} scored;

static double unit(uint64_t *state)
{
    *state = tw_mix64(*state + 0x9e3779b97f4a7c15ull);
    return (double)(*state >> 11) / 9007199254740992.0;
}

/* Scores with ties, weights 0 .. 2, some labels missing. */
static void make_scored(scored *self, uint64_t seed)
{
    for (int i = 0; i < N; i++) {
        double score = unit(&seed) * 8 - 4;
        self->score[i] = (float)(i % 5 == 0 ? floor(score) : score);
        self->label[i] = unit(&seed) < 1 / (1 + exp(-score)) ? 1 : 0;
        self->weight[i] = (float)(floor(unit(&seed) * 5) / 2);
        if (i % 17 == 0)
            self->label[i] = (float)NAN;
    }
}

static void add(tw_metrics *metrics, const scored *events, uint32_t from, uint32_t to)
{
    tw_batch batch = {.n_events = to - from, .label = events->label + from, .weight = events->weight + from};
    assert_int_equal(tw_metrics_add(metrics, &batch, events->score + from, NULL), TW_STATUS_OK);
}

static tw_metrics *metrics_of(bool is_exact)
{
    tw_metrics *out = NULL;
    assert_int_equal(tw_metrics_create(TW_TASK_BINARY, 1, is_exact, &out, NULL), TW_STATUS_OK);
    return out;
}

static double naive_auc(const scored *events)
{
    double area = 0, pairs = 0;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            if (!(events->label[i] == 1 && events->label[j] == 0))
                continue;
            double weight = (double)events->weight[i] * (double)events->weight[j];
            pairs += weight;
            if (events->score[i] > events->score[j])
                area += weight;
            else if (events->score[i] == events->score[j])
                area += weight / 2;
        }
    }
    return area / pairs;
}

static void exact_auc_equals_the_share_of_ordered_pairs(void **state)
{
    (void)state;
    static scored events;
    tw_report report;
    make_scored(&events, 1);
    tw_metrics *metrics = metrics_of(true);
    add(metrics, &events, 0, N);
    tw_metrics_report(metrics, false, &report);
    assert_true(fabs(report.auc - naive_auc(&events)) < 1e-12);
    assert_true(report.auc_error == 0);
    tw_metrics_destroy(&metrics);
}

static void binned_auc_is_within_the_bound_it_states(void **state)
{
    (void)state;
    static scored events;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        tw_report report;
        make_scored(&events, seed);
        for (int i = 0; i < N && seed == 5; i++)
            events.score[i] /= 200; /* nearly all in few bins: the bound is large and must still hold */
        tw_metrics *metrics = metrics_of(false);
        add(metrics, &events, 0, N);
        tw_metrics_report(metrics, false, &report);
        double error = fabs(report.auc - naive_auc(&events));
        assert_true(report.auc_error > 0 && report.auc_error < 0.5);
        assert_true(error <= report.auc_error + 1e-12);
        tw_metrics_destroy(&metrics);
    }
}

static void logloss_is_the_weighted_mean_over_labelled_events(void **state)
{
    (void)state;
    static scored events;
    tw_report report;
    make_scored(&events, 3);
    tw_metrics *metrics = metrics_of(false);
    add(metrics, &events, 0, N);
    tw_metrics_report(metrics, false, &report);
    double loss = 0, weight = 0, positive = 0, predicted = 0;
    for (int i = 0; i < N; i++) {
        if (isnan(events.label[i]))
            continue;
        double p = 1 / (1 + exp(-(double)events.score[i])), w = (double)events.weight[i];
        loss -= w * log(events.label[i] == 1 ? p : 1 - p);
        weight += w;
        positive += w * (double)events.label[i];
        predicted += w * p;
    }
    double base = positive / weight;
    double entropy = -base * log(base) - (1 - base) * log(1 - base);
    assert_true(fabs(report.logloss - loss / weight) < 1e-9);
    assert_true(fabs(report.best_constant_logloss - entropy) < 1e-12);
    assert_true(fabs(report.normalized_entropy - loss / weight / entropy) < 1e-9);
    assert_true(fabs(report.calibration - predicted / positive) < 1e-9);
    tw_metrics_destroy(&metrics);
}

static void metrics_go_on_bit_for_bit_after_save_and_load(void **state)
{
    (void)state;
    static scored events;
    tw_report whole, resumed;
    void *bytes = NULL;
    size_t size = 0;
    make_scored(&events, 4);
    tw_metrics *first = metrics_of(false), *second = metrics_of(false);
    add(first, &events, 0, 700);
    assert_int_equal(tw_metrics_save(first, &bytes, &size, NULL), TW_STATUS_OK);
    assert_int_equal(tw_metrics_load(second, bytes, size, NULL), TW_STATUS_OK);
    add(first, &events, 700, N);
    for (uint32_t i = 700; i < N; i++)
        add(second, &events, i, i + 1);
    memset(&whole, 0, sizeof whole);
    memset(&resumed, 0, sizeof resumed);
    tw_metrics_report(first, false, &whole);
    tw_metrics_report(second, false, &resumed);
    assert_memory_equal(&whole, &resumed, sizeof whole);
    tw_free(bytes);
    tw_metrics_destroy(&first);
    tw_metrics_destroy(&second);
}

static void damaged_saved_metrics_are_refused(void **state)
{
    (void)state;
    static scored events;
    void *bytes = NULL;
    size_t size = 0;
    make_scored(&events, 4);
    tw_metrics *metrics = metrics_of(false);
    add(metrics, &events, 0, N);
    assert_int_equal(tw_metrics_save(metrics, &bytes, &size, NULL), TW_STATUS_OK);
    for (size_t n = 0; n < size; n += 1 + n / 8)
        assert_int_equal(tw_metrics_load(metrics, bytes, n, NULL), TW_STATUS_CORRUPT);
    ((unsigned char *)bytes)[0] ^= 1;
    assert_int_equal(tw_metrics_load(metrics, bytes, size, NULL), TW_STATUS_CORRUPT);
    tw_free(bytes);
    tw_metrics_destroy(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_auc_equals_the_share_of_ordered_pairs),
        cmocka_unit_test(binned_auc_is_within_the_bound_it_states),
        cmocka_unit_test(logloss_is_the_weighted_mean_over_labelled_events),
        cmocka_unit_test(metrics_go_on_bit_for_bit_after_save_and_load),
        cmocka_unit_test(damaged_saved_metrics_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
