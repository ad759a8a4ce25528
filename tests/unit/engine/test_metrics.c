/* Progressive metrics against slow, obvious sums over the same events. */
#include "support/scored_fixture.h"

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
    assert_true(fabs(report.figures.auc - naive_auc(&events)) < 1e-12);
    assert_true(report.figures.auc_error == 0);
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
        double error = fabs(report.figures.auc - naive_auc(&events));
        assert_true(report.figures.auc_error > 0 && report.figures.auc_error < 0.5);
        assert_true(error <= report.figures.auc_error + 1e-12);
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
    assert_true(fabs(report.figures.logloss - loss / weight) < 1e-9);
    assert_true(fabs(report.figures.best_constant_logloss - entropy) < 1e-12);
    assert_true(fabs(report.figures.normalized_entropy - loss / weight / entropy) < 1e-9);
    assert_true(fabs(report.figures.calibration - predicted / positive) < 1e-9);
    tw_metrics_destroy(&metrics);
}

static double kappa_of(double accuracy, double chance)
{
    return (accuracy - chance) / (1 - chance);
}

/* Sums by predicted class and label in the plainest way. */
static void classes_and_kappas_follow_the_table_of_predicted_and_true_classes(void **state)
{
    (void)state;
    static scored events;
    for (int t = 0; t < 2; t++) {
        double threshold = t == 0 ? 0.5 : 0.3, cell[2][2] = {{0}}, same = 0, all = 0;
        int before = 0;
        make_scored(&events, 7);
        tw_metrics *metrics = metrics_with(binary_traits(), (tw_metrics_options){.threshold = threshold});
        add(metrics, &events, 0, N);
        for (int i = 0; i < N; i++) {
            if (isnan(events.label[i]))
                continue;
            double p = 1 / (1 + exp(-(double)events.score[i])), w = (double)events.weight[i];
            int label = (int)events.label[i];
            cell[p > threshold][label] += w;
            same += label == before ? w : 0;
            all += w;
            before = label;
        }
        double accuracy = (cell[0][0] + cell[1][1]) / all;
        double precision = cell[1][1] / (cell[1][0] + cell[1][1]), recall = cell[1][1] / (cell[0][1] + cell[1][1]);
        double chance = ((cell[1][0] + cell[1][1]) * (cell[0][1] + cell[1][1]) +
                            (cell[0][0] + cell[0][1]) * (cell[0][0] + cell[1][0])) /
                        (all * all);
        tw_figures figures = report_of(metrics).figures;
        assert_true(is_close(figures.accuracy, accuracy));
        assert_true(is_close(figures.precision, precision));
        assert_true(is_close(figures.recall, recall));
        assert_true(is_close(figures.f1, 2 * precision * recall / (precision + recall)));
        assert_true(is_close(figures.kappa, kappa_of(accuracy, chance)));
        assert_true(is_close(figures.kappa_no_change, kappa_of(accuracy, same / all)));
        tw_metrics_destroy(&metrics);
    }
}

static void figures_of_one_class_are_unknown_where_they_need_two(void **state)
{
    (void)state;
    static scored events;
    make_scored(&events, 8);
    for (int i = 0; i < N; i++) {
        if (!isnan(events.label[i]))
            events.label[i] = 0;
    }
    tw_metrics *exact = metrics_of(true), *binned = metrics_of(false);
    add(exact, &events, 0, N);
    add(binned, &events, 0, N);
    tw_figures figures = report_of(binned).figures;
    assert_true(isnan(report_of(exact).figures.auc) && isnan(figures.auc) && isnan(figures.auc_error));
    assert_true(isnan(figures.recall) && isnan(figures.calibration) && isnan(figures.kappa_no_change));
    assert_true(isnan(figures.normalized_entropy));
    assert_true(figures.logloss > 0 && figures.accuracy > 0 && figures.best_constant_logloss == 0);
    tw_metrics_destroy(&exact);
    tw_metrics_destroy(&binned);
}

static void without_events_every_figure_is_unknown(void **state)
{
    (void)state;
    size_t n_figures = 0;
    const tw_figure_entry *figure = tw_figure_table(&n_figures);
    tw_metrics *metrics = metrics_of(true);
    tw_figures figures = report_of(metrics).figures;
    for (size_t i = 0; i < n_figures; i++)
        assert_true(isnan(tw_figure_value(&figures, &figure[i])));
    tw_metrics_destroy(&metrics);
}

static void a_learner_without_probabilities_has_classes_and_auc_but_no_logloss(void **state)
{
    (void)state;
    static scored events;
    make_scored(&events, 9);
    tw_learner_traits traits = binary_traits();
    traits.loss.kind = TW_LOSS_HINGE;
    traits.link = TW_LINK_IDENTITY;
    tw_metrics *metrics = metrics_with(traits, (tw_metrics_options){0});
    tw_metrics *logistic = metrics_of(false);
    add(metrics, &events, 0, N);
    add(logistic, &events, 0, N);
    double loss = 0, weight = 0;
    for (int i = 0; i < N; i++) {
        if (isnan(events.label[i]))
            continue;
        double margin = (double)((2 * events.label[i] - 1) * events.score[i]);
        loss += (double)events.weight[i] * (margin < 1 ? 1 - margin : 0);
        weight += (double)events.weight[i];
    }
    tw_figures hinge = report_of(metrics).figures, other = report_of(logistic).figures;
    assert_true(is_close(hinge.loss, loss / weight));
    assert_true(isnan(hinge.logloss) && isnan(hinge.calibration) && isnan(hinge.normalized_entropy));
    assert_true(hinge.auc == other.auc && hinge.accuracy == other.accuracy);
    assert_true(other.loss == other.logloss);
    tw_metrics_destroy(&metrics);
    tw_metrics_destroy(&logistic);
}

static void regression_is_measured_on_predictions_not_on_scores(void **state)
{
    (void)state;
    static scored events;
    make_scored(&events, 10);
    tw_learner_traits traits = {
        .task = TW_TASK_REGRESSION, .n_outputs = 1, .loss = {.kind = TW_LOSS_POISSON}, .link = TW_LINK_EXP};
    tw_metrics *metrics = metrics_with(traits, (tw_metrics_options){0});
    double weight = 0, loss = 0, squared = 0, absolute = 0, label = 0, predicted = 0, spread = 0;
    for (int i = 0; i < N; i++) {
        if (!isnan(events.label[i]))
            events.label[i] = (float)(i % 4);
        if (isnan(events.label[i]))
            continue;
        double y = (double)events.label[i], w = (double)events.weight[i], p = exp((double)events.score[i]);
        weight += w;
        label += w * y;
        predicted += w * p;
        loss += w * (p - y * (double)events.score[i]);
        squared += w * (p - y) * (p - y);
        absolute += w * fabs(p - y);
    }
    for (int i = 0; i < N; i++) {
        if (!isnan(events.label[i]))
            spread += (double)events.weight[i] * pow((double)events.label[i] - label / weight, 2);
    }
    add(metrics, &events, 0, N);
    tw_figures figures = report_of(metrics).figures;
    assert_true(is_close(figures.loss, loss / weight));
    assert_true(is_close(figures.mse, squared / weight) && is_close(figures.rmse, sqrt(squared / weight)));
    assert_true(is_close(figures.mae, absolute / weight));
    assert_true(is_close(figures.r2, 1 - squared / spread));
    assert_true(is_close(figures.calibration, predicted / label));
    tw_metrics_destroy(&metrics);
}

static void the_calibration_table_has_every_event_in_the_row_of_its_prediction(void **state)
{
    (void)state;
    static scored events;
    tw_calibration_row row[TW_CALIBRATION_BINS];
    make_scored(&events, 11);
    tw_metrics *metrics = metrics_with(binary_traits(), (tw_metrics_options){.window = {.events = 400}});
    add(metrics, &events, 0, N);
    uint32_t n_rows = tw_metrics_calibration(metrics, row);
    assert_true(n_rows > 10);
    for (uint32_t k = 0; k < n_rows; k++) {
        double n = 0, weight = 0, predicted = 0, label = 0;
        for (int i = 0; i < N; i++) {
            double p = 1 / (1 + exp(-(double)events.score[i])), w = (double)events.weight[i];
            /* A score on an edge belongs to the row above it. */
            if (isnan(events.label[i]) || p < row[k].from - 1e-12 || p >= row[k].to - 1e-12)
                continue;
            n += 1;
            weight += w;
            predicted += w * p;
            label += w * (double)events.label[i];
        }
        assert_true(row[k].n == n && row[k].weight == weight);
        assert_true(weight == 0 || is_close(row[k].prediction, predicted / weight));
        assert_true(weight == 0 || is_close(row[k].label, label / weight));
    }
    tw_metrics_destroy(&metrics);
}

static void only_selected_figures_are_given(void **state)
{
    (void)state;
    static scored events;
    make_scored(&events, 16);
    size_t n_figures = 0;
    const tw_figure_entry *figure = tw_figure_table(&n_figures);
    tw_figure_set set = (tw_figure_set)1 << (tw_figure_find("auc") - figure);
    tw_metrics *metrics = metrics_with(binary_traits(), (tw_metrics_options){.figures = set});
    tw_calibration_row row[TW_CALIBRATION_BINS];
    add(metrics, &events, 0, N);
    tw_figures figures = report_of(metrics).figures;
    for (size_t i = 0; i < n_figures; i++)
        assert_int_equal(!isnan(tw_figure_value(&figures, &figure[i])), strcmp(figure[i].name, "auc") == 0);
    assert_int_equal(tw_metrics_calibration(metrics, row), 0);
    tw_metrics_destroy(&metrics);
}

static void exact_auc_goes_on_after_save_and_load(void **state)
{
    (void)state;
    static scored events;
    void *bytes = NULL;
    size_t size = 0;
    make_scored(&events, 17);
    tw_metrics *first = metrics_of(true), *second = metrics_of(true);
    add(first, &events, 0, 800);
    assert_int_equal(tw_metrics_save(first, &bytes, &size, NULL), TW_STATUS_OK);
    assert_int_equal(tw_metrics_load(second, bytes, size, NULL), TW_STATUS_OK);
    add(second, &events, 800, N);
    assert_true(fabs(report_of(second).figures.auc - naive_auc(&events)) < 1e-12);
    tw_free(bytes);
    tw_metrics_destroy(&first);
    tw_metrics_destroy(&second);
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

static uint64_t group_of(int event)
{
    return event % 13 == 0 ? 0 : (uint64_t)(event % 7 == 6 ? 100 + event : event % 7) + 1;
}

/* Pairs inside one group, over the labelled events from `first` on. */
static double naive_gauc(const scored *events, int first, double *n_events)
{
    double sum = 0, all = 0;
    *n_events = 0;
    for (uint64_t group = 1; group < 2 * N; group++) {
        double area = 0, pairs = 0, weight = 0, n = 0;
        for (int i = first; i < N; i++) {
            if (group_of(i) != group || isnan(events->label[i]))
                continue;
            weight += (double)events->weight[i];
            n += 1;
            for (int j = first; j < N; j++) {
                if (group_of(j) != group || !(events->label[i] == 1 && events->label[j] == 0))
                    continue;
                double both = (double)events->weight[i] * (double)events->weight[j];
                pairs += both;
                area += events->score[i] > events->score[j]    ? both
                        : events->score[i] == events->score[j] ? both / 2
                                                               : 0;
            }
        }
        if (pairs == 0)
            continue;
        sum += weight * area / pairs;
        all += weight;
        *n_events += n;
    }
    return sum / all;
}

static void add_grouped(tw_metrics *metrics, const scored *events, uint32_t from, uint32_t to)
{
    static uint64_t facet[N][2];
    for (int i = 0; i < N; i++) {
        facet[i][0] = 999; /* of something else: the group is the second facet */
        facet[i][1] = group_of(i);
    }
    tw_batch batch = {.n_events = to - from,
        .label = events->label + from,
        .weight = events->weight + from,
        .facet = facet[from],
        .n_facets = 2};
    assert_int_equal(tw_metrics_add(metrics, &batch, events->score + from, NULL), TW_STATUS_OK);
}

static void grouped_auc_compares_pairs_inside_groups_of_both_classes(void **state)
{
    (void)state;
    static scored events;
    make_scored(&events, 18);
    double n_events = 0, expected = naive_gauc(&events, 0, &n_events);
    tw_metrics *metrics = metrics_with(binary_traits(), (tw_metrics_options){.has_groups = true, .group_facet = 1});
    add_grouped(metrics, &events, 0, N);
    tw_figures figures = report_of(metrics).figures;
    assert_true(fabs(figures.gauc - expected) < 1e-12);
    assert_true(figures.gauc_events == n_events && n_events > 1000);
    tw_metrics_destroy(&metrics);
}

static void grouped_auc_of_a_limited_number_is_that_of_the_newest_events(void **state)
{
    (void)state;
    static scored events;
    void *bytes = NULL;
    size_t size = 0;
    make_scored(&events, 19);
    int first = N, kept = 0;
    while (kept < 500)
        kept += !isnan(events.label[--first]);
    double n_events = 0, expected = naive_gauc(&events, first, &n_events);
    tw_metrics_options options = {.has_groups = true, .group_facet = 1, .group_events = 500};
    tw_metrics *metrics = metrics_with(binary_traits(), options), *resumed = metrics_with(binary_traits(), options);
    add_grouped(metrics, &events, 0, 1200);
    assert_int_equal(tw_metrics_save(metrics, &bytes, &size, NULL), TW_STATUS_OK);
    assert_int_equal(tw_metrics_load(resumed, bytes, size, NULL), TW_STATUS_OK);
    add_grouped(metrics, &events, 1200, N);
    add_grouped(resumed, &events, 1200, N);
    assert_true(fabs(report_of(metrics).figures.gauc - expected) < 1e-12);
    assert_true(report_of(metrics).figures.gauc_events == n_events);
    assert_true(report_of(resumed).figures.gauc == report_of(metrics).figures.gauc);
    tw_free(bytes);
    tw_metrics_destroy(&metrics);
    tw_metrics_destroy(&resumed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_auc_equals_the_share_of_ordered_pairs),
        cmocka_unit_test(binned_auc_is_within_the_bound_it_states),
        cmocka_unit_test(logloss_is_the_weighted_mean_over_labelled_events),
        cmocka_unit_test(classes_and_kappas_follow_the_table_of_predicted_and_true_classes),
        cmocka_unit_test(figures_of_one_class_are_unknown_where_they_need_two),
        cmocka_unit_test(without_events_every_figure_is_unknown),
        cmocka_unit_test(a_learner_without_probabilities_has_classes_and_auc_but_no_logloss),
        cmocka_unit_test(regression_is_measured_on_predictions_not_on_scores),
        cmocka_unit_test(the_calibration_table_has_every_event_in_the_row_of_its_prediction),
        cmocka_unit_test(only_selected_figures_are_given),
        cmocka_unit_test(exact_auc_goes_on_after_save_and_load),
        cmocka_unit_test(grouped_auc_compares_pairs_inside_groups_of_both_classes),
        cmocka_unit_test(grouped_auc_of_a_limited_number_is_that_of_the_newest_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
