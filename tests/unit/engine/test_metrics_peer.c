/* Figures on real scores, with ties and weights, against scikit-learn 1.5.2 on numpy 2.4.6: log_loss, roc_auc_score,
 * accuracy_score, precision_score, recall_score, f1_score, cohen_kappa_score, mean_squared_error, mean_absolute_error
 * and r2_score with sample_weight; gauc: roc_auc_score of each group of both classes, weighted by the group's weight.
 * tests/golden/scores/a9a.txt has score, label, weight and group of each event. */
#include <stdio.h>

#include "support/scored_fixture.h"

enum { N_SCORES = 2000 };

typedef struct peer_figure {
    const char *name;
    double value;
} peer_figure;

static float score[N_SCORES], label[N_SCORES], weight[N_SCORES];
static uint64_t group[N_SCORES];

static int load_scores(void **state)
{
    (void)state;
    char line[128];
    FILE *file = fopen(TW_SOURCE_DIR "/tests/golden/scores/a9a.txt", "r");
    assert_non_null(file);
    int n = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long long key = 0;
        if (line[0] == '#')
            continue;
        assert_true(n < N_SCORES);
        assert_int_equal(sscanf(line, "%f %f %f %llu", &score[n], &label[n], &weight[n], &key), 4);
        group[n++] = key + 1;
    }
    assert_int_equal(n, N_SCORES);
    return fclose(file);
}

static tw_figures figures_of(tw_learner_traits traits, tw_metrics_options options)
{
    tw_metrics *metrics = metrics_with(traits, options);
    tw_batch batch = {.n_events = N_SCORES, .label = label, .weight = weight, .facet = group, .n_facets = 1};
    assert_int_equal(tw_metrics_add(metrics, &batch, score, NULL), TW_STATUS_OK);
    tw_figures out = report_of(metrics).figures;
    tw_metrics_destroy(&metrics);
    return out;
}

static void assert_figures(const tw_figures *own, const peer_figure *peer, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double value = tw_figure_value(own, tw_figure_find(peer[i].name));
        if (!(fabs(value - peer[i].value) <= 1e-12 * (1 + fabs(peer[i].value))))
            fail_msg("%s: %.15g, the peer has %.15g", peer[i].name, value, peer[i].value);
    }
}

static void figures_of_a_classifier_equal_the_peers(void **state)
{
    (void)state;
    static const peer_figure peer[] = {
        {"logloss", 0.337573355534491},
        {"auc", 0.897096715201548},
        {"accuracy", 0.838888888888889},
        {"precision", 0.698275862068966},
        {"recall", 0.592863677950595},
        {"f1", 0.641266699653637},
        {"kappa", 0.538274856168195},
        {"gauc", 0.89612853025062},
        {"gauc_events", 2000},
    };
    tw_figures own = figures_of(binary_traits(), (tw_metrics_options){.is_exact = true, .has_groups = true});
    assert_figures(&own, peer, sizeof peer / sizeof peer[0]);
}

static void the_binned_auc_is_within_its_bound_of_the_peers(void **state)
{
    (void)state;
    tw_figures own = figures_of(binary_traits(), (tw_metrics_options){0});
    assert_true(own.auc_error > 0 && own.auc_error < 0.002);
    assert_true(fabs(own.auc - 0.897096715201548) <= own.auc_error);
}

static void figures_of_a_regression_equal_the_peers(void **state)
{
    (void)state;
    static const peer_figure peer[] = {{"mse", 11.1971121288373}, {"mae", 2.7181297810741}, {"r2", -59.8889884715998}};
    tw_learner_traits traits = {.task = TW_TASK_REGRESSION, .n_outputs = 1, .loss = {.kind = TW_LOSS_SQUARED}};
    tw_figures own = figures_of(traits, (tw_metrics_options){0});
    assert_figures(&own, peer, sizeof peer / sizeof peer[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_of_a_classifier_equal_the_peers),
        cmocka_unit_test(the_binned_auc_is_within_its_bound_of_the_peers),
        cmocka_unit_test(figures_of_a_regression_equal_the_peers),
    };
    return cmocka_run_group_tests(tests, load_scores, NULL);
}
