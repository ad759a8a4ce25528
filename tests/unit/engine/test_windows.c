/* Tumbling windows of an evaluation, and the state that a checkpoint keeps of it. */
#include "support/scored_fixture.h"

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

typedef struct seen {
    tw_window window[64];
    uint32_t count;
} seen;

static tw_status see(void *context, const tw_window *window, tw_error *error)
{
    (void)error;
    seen *self = context;
    self->window[self->count++] = *window;
    return TW_STATUS_OK;
}

static void each_window_has_the_figures_of_its_own_events(void **state)
{
    (void)state;
    static scored events;
    seen windows = {.count = 0};
    make_scored(&events, 12);
    tw_metrics *metrics = metrics_with(
        binary_traits(), (tw_metrics_options){.window = {.events = 70}, .on_window = see, .window_context = &windows});
    for (uint32_t i = 0; i < N; i += 300)
        add(metrics, &events, i, i + 300);
    assert_int_equal(windows.count, N / 70);
    for (uint32_t k = 0; k < windows.count; k++) {
        const tw_window *window = &windows.window[k];
        assert_true(window->number == k + 1 && window->from_event == k * 70 + 1 && window->to_event == (k + 1) * 70);
        tw_metrics *alone = metrics_of(false);
        add(alone, &events, k * 70, (k + 1) * 70);
        tw_figures own = report_of(alone).figures;
        assert_true(window->figures.events == 70 && window->figures.labelled == own.labelled);
        assert_true(window->figures.logloss == own.logloss && window->figures.auc == own.auc);
        assert_true(window->figures.f1 == own.f1);
        tw_metrics_destroy(&alone);
    }
    tw_report report = report_of(metrics);
    assert_true(report.window.number == windows.count);
    assert_true(report.window.figures.logloss == windows.window[windows.count - 1].figures.logloss);
    tw_metrics_destroy(&metrics);
}

static void figures_of_the_run_are_the_same_with_windows(void **state)
{
    (void)state;
    static scored events;
    make_scored(&events, 13);
    tw_metrics *windowed = metrics_with(binary_traits(), (tw_metrics_options){.window = {.events = 64}});
    tw_metrics *whole = metrics_of(false);
    add(windowed, &events, 0, N);
    add(whole, &events, 0, N);
    tw_figures a = report_of(windowed).figures, b = report_of(whole).figures;
    size_t n_figures = 0;
    const tw_figure_entry *figure = tw_figure_table(&n_figures);
    for (size_t i = 0; i < n_figures; i++) {
        double left = tw_figure_value(&a, &figure[i]), right = tw_figure_value(&b, &figure[i]);
        assert_true((isnan(left) && isnan(right)) || is_close(left, right));
    }
    tw_metrics_destroy(&windowed);
    tw_metrics_destroy(&whole);
}

static void windows_of_time_are_cut_at_multiples_and_late_events_stay_in_the_open_one(void **state)
{
    (void)state;
    const float score[] = {1, 2, 3, 4, 5, 6, 7}, label[] = {1, 0, 1, 0, 1, 0, 1}, weight[] = {1, 1, 1, 1, 1, 1, 1};
    const int64_t time_us[] = {-5, 3, INT64_MIN, 9, 35, 29, 40};
    const struct {
        uint64_t from, to;
        int64_t start;
    } expected[] = {{1, 1, -10}, {2, 4, 0}, {5, 6, 30}};
    seen windows = {.count = 0};
    tw_metrics *metrics = metrics_with(
        binary_traits(), (tw_metrics_options){.window = {.us = 10}, .on_window = see, .window_context = &windows});
    tw_batch batch = {.n_events = 7, .label = label, .weight = weight, .time_us = time_us};
    assert_int_equal(tw_metrics_add(metrics, &batch, score, NULL), TW_STATUS_OK);
    assert_int_equal(windows.count, 3);
    for (uint32_t k = 0; k < 3; k++) {
        assert_true(windows.window[k].from_event == expected[k].from && windows.window[k].to_event == expected[k].to);
        assert_true(
            windows.window[k].from_us == expected[k].start && windows.window[k].to_us == expected[k].start + 10);
    }
    tw_metrics_destroy(&metrics);
}

static void windows_go_on_bit_for_bit_after_save_and_load(void **state)
{
    (void)state;
    static scored events;
    make_scored(&events, 14);
    for (uint32_t cut = 1; cut < 300; cut += 71) {
        seen all = {.count = 0}, resumed = {.count = 0};
        void *bytes = NULL;
        size_t size = 0;
        tw_metrics_options options = {.window = {.events = 100}, .on_window = see, .window_context = &all};
        tw_metrics *first = metrics_with(binary_traits(), options);
        options.window_context = &resumed;
        tw_metrics *second = metrics_with(binary_traits(), options);
        add(first, &events, 0, cut);
        uint32_t n_before = all.count;
        assert_int_equal(tw_metrics_save(first, &bytes, &size, NULL), TW_STATUS_OK);
        assert_int_equal(tw_metrics_load(second, bytes, size, NULL), TW_STATUS_OK);
        add(first, &events, cut, N);
        add(second, &events, cut, N);
        assert_int_equal(all.count, n_before + resumed.count);
        assert_memory_equal(all.window + n_before, resumed.window, resumed.count * sizeof(tw_window));
        tw_report left = report_of(first), right = report_of(second);
        assert_memory_equal(&left, &right, sizeof left);
        tw_free(bytes);
        tw_metrics_destroy(&first);
        tw_metrics_destroy(&second);
    }
}

static void state_of_other_windows_counts_and_windows_start_anew(void **state)
{
    (void)state;
    static scored events;
    const uint64_t lengths[][2] = {{0, 100}, {100, 0}, {100, 70}};
    make_scored(&events, 15);
    for (int k = 0; k < 3; k++) {
        void *bytes = NULL;
        size_t size = 0;
        tw_metrics *first = metrics_with(binary_traits(), (tw_metrics_options){.window = {.events = lengths[k][0]}});
        tw_metrics *second = metrics_with(binary_traits(), (tw_metrics_options){.window = {.events = lengths[k][1]}});
        tw_metrics *whole = metrics_of(false);
        add(first, &events, 0, 730);
        assert_int_equal(tw_metrics_save(first, &bytes, &size, NULL), TW_STATUS_OK);
        assert_int_equal(tw_metrics_load(second, bytes, size, NULL), TW_STATUS_OK);
        add(second, &events, 730, N);
        add(whole, &events, 0, N);
        tw_report report = report_of(second);
        assert_true(is_close(report.figures.logloss, report_of(whole).figures.logloss));
        assert_true(is_close(report.figures.kappa_no_change, report_of(whole).figures.kappa_no_change));
        if (lengths[k][1] > 0)
            assert_true(report.window.from_event == 730 + (report.window.number - 1) * lengths[k][1] + 1);
        tw_free(bytes);
        tw_metrics_destroy(&first);
        tw_metrics_destroy(&second);
        tw_metrics_destroy(&whole);
    }
}

static void state_of_an_older_program_is_refused_by_name(void **state)
{
    (void)state;
    uint64_t old[64] = {0x3153434952544d54u, TW_TASK_BINARY};
    tw_error error = {0};
    tw_metrics *metrics = metrics_of(false);
    assert_int_equal(tw_metrics_load(metrics, old, sizeof old, &error), TW_STATUS_CONFLICT);
    assert_non_null(strstr(error.message, "format 1"));
    assert_non_null(strstr(error.message, "--fresh"));
    tw_metrics_destroy(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_go_on_bit_for_bit_after_save_and_load),
        cmocka_unit_test(damaged_saved_metrics_are_refused),
        cmocka_unit_test(each_window_has_the_figures_of_its_own_events),
        cmocka_unit_test(figures_of_the_run_are_the_same_with_windows),
        cmocka_unit_test(windows_of_time_are_cut_at_multiples_and_late_events_stay_in_the_open_one),
        cmocka_unit_test(windows_go_on_bit_for_bit_after_save_and_load),
        cmocka_unit_test(state_of_other_windows_counts_and_windows_start_anew),
        cmocka_unit_test(state_of_an_older_program_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
