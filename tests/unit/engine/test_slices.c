/* Figures by a field's value against evaluations of the events with that value alone. */
#include <errno.h>

#include "base/fault.h"
#include "engine/slices.h"
#include "support/scored_fixture.h"

enum { N_VALUES = 6, LIMIT = 4 };

/* Value 0: none. In the order in which they come first: 3, 0, 1, 5, 2, 4. */
static uint64_t value_of(int event)
{
    static const uint64_t first[N_VALUES] = {3, 0, 1, 5, 2, 4};
    return event < N_VALUES ? first[event] : tw_mix64((uint64_t)event) % N_VALUES;
}

static uint64_t key_of(int event)
{
    return value_of(event) == 0 ? 0 : 1000 + value_of(event);
}

static uint64_t *facets(void)
{
    static uint64_t facet[N];
    for (int i = 0; i < N; i++)
        facet[i] = key_of(i);
    return facet;
}

static tw_spellings *spell_values(void)
{
    tw_spellings *out = NULL;
    assert_int_equal(tw_spellings_create(1, 8, &out, NULL), TW_STATUS_OK);
    tw_spellings_note(out, 0, 1001, "one", 3);
    tw_spellings_note(out, 0, 1003, "three", 5);
    return out;
}

static tw_metrics *sliced(tw_spellings *spellings)
{
    static const char *const names[] = {"country"};
    return metrics_with(binary_traits(),
        (tw_metrics_options){.slice = names, .n_slices = 1, .slice_limit = LIMIT, .spellings = spellings});
}

static tw_status add_sliced(tw_metrics *metrics, const scored *events, uint32_t from, uint32_t to)
{
    tw_batch batch = {.n_events = to - from,
        .label = events->label + from,
        .weight = events->weight + from,
        .facet = facets() + from,
        .n_facets = 1};
    return tw_metrics_add(metrics, &batch, events->score + from, NULL);
}

static const tw_slice_row *row_of(const tw_slice_report *report, const char *value)
{
    for (uint32_t i = 0; i < report->field[0].n_rows; i++) {
        const tw_slice_row *row = &report->field[0].row[i];
        if (!row->is_other &&
            (value == NULL ? row->value == NULL : row->value != NULL && strcmp(row->value, value) == 0))
            return row;
    }
    return NULL;
}

/* Those of all events whose value is in the set (bit by value), one after the other. */
static tw_figures alone(const scored *events, unsigned values)
{
    tw_metrics *metrics = metrics_of(false);
    for (uint32_t i = 0; i < N; i++) {
        if ((values >> value_of((int)i) & 1) != 0)
            add(metrics, events, i, i + 1);
    }
    tw_figures out = report_of(metrics).figures;
    tw_metrics_destroy(&metrics);
    return out;
}

static void assert_same(const tw_slice_row *row, tw_figures expected)
{
    assert_non_null(row);
    assert_true(row->figures.events == expected.events && row->figures.labelled == expected.labelled);
    assert_true(row->figures.positives == expected.positives);
    assert_true(row->figures.logloss == expected.logloss && row->figures.accuracy == expected.accuracy);
    assert_true(row->figures.calibration == expected.calibration);
    assert_true(fabs(row->figures.auc - expected.auc) <= row->figures.auc_error + expected.auc_error);
    assert_true(row->figures.auc_error < 0.1);
}

static void each_value_has_the_figures_of_its_events_and_the_rest_are_one(void **state)
{
    (void)state;
    static scored events;
    tw_slice_report report;
    make_scored(&events, 30);
    tw_spellings *spellings = spell_values();
    tw_metrics *metrics = sliced(spellings);
    for (uint32_t i = 0; i < N; i += 100)
        assert_int_equal(add_sliced(metrics, &events, i, i + 100), TW_STATUS_OK);
    assert_int_equal(tw_metrics_slices(metrics, &report, NULL), TW_STATUS_OK);
    assert_int_equal(report.n_fields, 1);
    assert_string_equal(report.field[0].name, "country");
    assert_int_equal(report.field[0].n_rows, LIMIT + 1);
    assert_same(row_of(&report, "three"), alone(&events, 1u << 3));
    assert_same(row_of(&report, NULL), alone(&events, 1u << 0));
    assert_same(row_of(&report, "one"), alone(&events, 1u << 1));
    /* 1005 has no spelling: its key stands for it. */
    assert_same(row_of(&report, "00000000000003ed"), alone(&events, 1u << 5));
    const tw_slice_row *other = &report.field[0].row[LIMIT];
    assert_true(other->is_other && other->value == NULL);
    assert_same(other, alone(&events, 1u << 2 | 1u << 4));
    for (uint32_t i = 1; i < LIMIT; i++)
        assert_true(report.field[0].row[i - 1].figures.events >= report.field[0].row[i].figures.events);
    tw_slice_report_fini(&report);
    tw_metrics_destroy(&metrics);
    tw_spellings_destroy(&spellings);
}

static void assert_equal_reports(const tw_slice_report *a, const tw_slice_report *b)
{
    assert_int_equal(a->n_fields, b->n_fields);
    assert_int_equal(a->field[0].n_rows, b->field[0].n_rows);
    for (uint32_t i = 0; i < a->field[0].n_rows; i++) {
        const tw_slice_row *left = &a->field[0].row[i], *right = &b->field[0].row[i];
        assert_int_equal(left->value == NULL, right->value == NULL);
        if (left->value != NULL)
            assert_string_equal(left->value, right->value);
        assert_memory_equal(&left->figures, &right->figures, sizeof left->figures);
    }
}

static void slices_go_on_bit_for_bit_after_save_and_load(void **state)
{
    (void)state;
    static scored events;
    make_scored(&events, 31);
    for (uint32_t cut = 2; cut < N; cut += 401) {
        tw_slice_report whole, resumed;
        void *bytes = NULL;
        size_t size = 0;
        tw_spellings *spellings = spell_values();
        tw_metrics *first = sliced(spellings), *second = sliced(spellings);
        assert_int_equal(add_sliced(first, &events, 0, cut), TW_STATUS_OK);
        assert_int_equal(tw_metrics_save(first, &bytes, &size, NULL), TW_STATUS_OK);
        assert_int_equal(tw_metrics_load(second, bytes, size, NULL), TW_STATUS_OK);
        assert_int_equal(add_sliced(first, &events, cut, N), TW_STATUS_OK);
        assert_int_equal(add_sliced(second, &events, cut, N), TW_STATUS_OK);
        assert_int_equal(tw_metrics_slices(first, &whole, NULL), TW_STATUS_OK);
        assert_int_equal(tw_metrics_slices(second, &resumed, NULL), TW_STATUS_OK);
        assert_equal_reports(&whole, &resumed);
        tw_slice_report_fini(&whole);
        tw_slice_report_fini(&resumed);
        tw_free(bytes);
        tw_metrics_destroy(&first);
        tw_metrics_destroy(&second);
        tw_spellings_destroy(&spellings);
    }
}

static void damaged_slices_are_refused_at_every_length(void **state)
{
    (void)state;
    static scored events;
    void *bytes = NULL;
    size_t size = 0;
    make_scored(&events, 32);
    tw_metrics *metrics = sliced(NULL), *plain = metrics_of(false);
    assert_int_equal(add_sliced(metrics, &events, 0, N), TW_STATUS_OK);
    assert_int_equal(tw_metrics_save(metrics, &bytes, &size, NULL), TW_STATUS_OK);
    for (size_t n = 0; n < size; n += 1 + n / 16)
        assert_int_equal(tw_metrics_load(metrics, bytes, n, NULL), TW_STATUS_CORRUPT);
    /* Slices that nobody asks for any more are passed over. */
    assert_int_equal(tw_metrics_load(plain, bytes, size, NULL), TW_STATUS_OK);
    assert_true(report_of(plain).figures.events == N);
    tw_free(bytes);
    tw_metrics_destroy(&metrics);
    tw_metrics_destroy(&plain);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static scored events;
    static const char *const names[] = {"country"};
    uint64_t n_failed = 0;
    bool is_through = false;
    make_scored(&events, 33);
    for (uint64_t n = 1; !is_through; n++) {
        tw_learner_traits traits = binary_traits();
        tw_metrics_options options = {.slice = names, .n_slices = 1, .slice_limit = LIMIT};
        tw_metrics *metrics = NULL, *second = NULL;
        tw_slice_report report = {0};
        void *bytes = NULL;
        size_t size = 0;
        tw_fault_arm(TW_FAULT_ALLOC, n, ENOMEM, false);
        tw_status status = tw_metrics_create(&traits, &options, &metrics, NULL);
        if (status == TW_STATUS_OK)
            status = add_sliced(metrics, &events, 0, 64);
        if (status == TW_STATUS_OK)
            status = tw_metrics_slices(metrics, &report, NULL);
        if (status == TW_STATUS_OK)
            status = tw_metrics_save(metrics, &bytes, &size, NULL);
        if (status == TW_STATUS_OK)
            status = tw_metrics_create(&traits, &options, &second, NULL);
        if (status == TW_STATUS_OK)
            status = tw_metrics_load(second, bytes, size, NULL);
        is_through = tw_fault_fired(TW_FAULT_ALLOC) == 0;
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_int_equal(status == TW_STATUS_OK, is_through);
        n_failed += !is_through;
        tw_slice_report_fini(&report);
        tw_free(bytes);
        tw_metrics_destroy(&metrics);
        tw_metrics_destroy(&second);
    }
    assert_true(n_failed > 30);
}

static void spellings_keep_the_first_values_and_cut_between_characters(void **state)
{
    (void)state;
    tw_spellings *spellings = NULL;
    char text[TW_SPELLING_MAX + 8];
    assert_int_equal(tw_spellings_create(1, 2, &spellings, NULL), TW_STATUS_OK);
    memset(text, 'a', sizeof text);
    memcpy(text + TW_SPELLING_MAX - 1, "\xe4\xb8\xad", 3);
    tw_spellings_note(spellings, 0, 7, text, sizeof text);
    tw_spellings_note(spellings, 0, 7, "again", 5);
    tw_spellings_note(spellings, 0, 8, "", 0);
    tw_spellings_note(spellings, 0, 9, "too many", 8);
    tw_spellings_note(spellings, 1, 9, "no such facet", 13);
    char *cut = tw_spellings_copy(spellings, 0, 7), *empty = tw_spellings_copy(spellings, 0, 8);
    assert_int_equal(strlen(cut), TW_SPELLING_MAX - 1);
    assert_string_equal(empty, "");
    assert_null(tw_spellings_copy(spellings, 0, 9));
    assert_null(tw_spellings_copy(spellings, 1, 9));
    tw_free(cut);
    tw_free(empty);
    tw_spellings_destroy(&spellings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_has_the_figures_of_its_events_and_the_rest_are_one),
        cmocka_unit_test(slices_go_on_bit_for_bit_after_save_and_load),
        cmocka_unit_test(damaged_slices_are_refused_at_every_length),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(spellings_keep_the_first_values_and_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
