#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "data/feature.h"
#include "data/key.h"

enum { SEED = 5 };

typedef struct fixture {
    tw_plan *plan;
    tw_builder *out;
    tw_event event;
    tw_error error;
} fixture;

static void open_plan(fixture *f, tw_plan_spec spec)
{
    spec.hash_seed = SEED;
    assert_int_equal(tw_plan_create(&spec, &f->plan, &f->error), TW_STATUS_OK);
    assert_int_equal(tw_builder_create(4, tw_plan_dense_width(f->plan), &f->out, &f->error), TW_STATUS_OK);
    tw_event_begin(&f->event, f->plan, f->out);
}

static void close_plan(fixture *f)
{
    tw_builder_destroy(&f->out);
    tw_plan_destroy(&f->plan);
}

static int handle_of(fixture *f, const char *name)
{
    int handle = -2;
    assert_int_equal(tw_plan_resolve(f->plan, name, strlen(name), &handle, &f->error), TW_STATUS_OK);
    return handle;
}

static tw_status text(fixture *f, const char *name, const char *value)
{
    return tw_event_text(&f->event, handle_of(f, name), value, strlen(value), &f->error);
}

static tw_status number(fixture *f, const char *name, double value)
{
    char spelled[32];
    int size = snprintf(spelled, sizeof spelled, "%g", value);
    return tw_event_number(&f->event, handle_of(f, name), value, spelled, (size_t)size, &f->error);
}

static tw_status end(fixture *f)
{
    return tw_event_end(&f->event, 1, 1, &f->error);
}

static void assert_entry(fixture *f, uint32_t i, uint64_t key, float value)
{
    assert_true(i < f->out->n_entries + f->out->n_pending);
    assert_true(f->out->key[i] == key);
    assert_true(f->out->value[i] == value);
}

static uint64_t text_key(const char *field, const char *value)
{
    return tw_key_of_text(tw_key_field_seed(SEED, field, strlen(field) + 1), value, strlen(value));
}

static void assert_refused(tw_status status, fixture *f, const char *code)
{
    assert_true(status < 0);
    assert_string_equal(f->error.code, code);
    assert_true(f->error.message[0] != '\0');
}

static void automatic_numbers_are_numeric_and_strings_categorical(void **state)
{
    (void)state;
    fixture f;
    open_plan(&f, (tw_plan_spec){0});
    assert_int_equal(text(&f, "12", "0.5"), TW_STATUS_OK);
    assert_int_equal(text(&f, "price", "3"), TW_STATUS_OK);
    assert_int_equal(text(&f, "color", "red"), TW_STATUS_OK);
    assert_int_equal(tw_event_string(&f.event, handle_of(&f, "zip"), "123", 3, &f.error), TW_STATUS_OK);
    assert_int_equal(tw_event_element(&f.event, handle_of(&f, "tags"), "a", 1, &f.error), TW_STATUS_OK);
    assert_int_equal(tw_event_element(&f.event, handle_of(&f, "tags"), "b", 1, &f.error), TW_STATUS_OK);
    assert_int_equal(tw_event_bool(&f.event, handle_of(&f, "new"), true, &f.error), TW_STATUS_OK);
    assert_int_equal(end(&f), TW_STATUS_OK);
    assert_int_equal(f.out->n_entries, 7);
    assert_entry(&f, 0, tw_key_of_index(SEED, 12), 0.5f);
    assert_entry(&f, 1, text_key("", "price"), 3.0f);
    assert_entry(&f, 2, text_key("color", "red"), 1.0f);
    assert_entry(&f, 3, text_key("zip", "123"), 1.0f);
    assert_entry(&f, 4, text_key("tags", "a"), 1.0f);
    assert_entry(&f, 5, text_key("tags", "b"), 1.0f);
    assert_entry(&f, 6, text_key("", "new"), 1.0f);
    assert_string_equal(tw_plan_field_name(f.plan, f.out->field[2]), "color");
    close_plan(&f);
}

static void explicit_zeros_and_blanks_leave_no_entry(void **state)
{
    (void)state;
    fixture f;
    const char *missing[] = {"NA"};
    open_plan(&f, (tw_plan_spec){.missing_text = missing, .n_missing_text = 1});
    assert_int_equal(text(&f, "a", "0.0"), TW_STATUS_OK);
    assert_int_equal(text(&f, "b", "NA"), TW_STATUS_OK);
    assert_int_equal(text(&f, "c", ""), TW_STATUS_OK);
    assert_int_equal(end(&f), TW_STATUS_OK);
    assert_int_equal(f.out->n_events, 1);
    assert_int_equal(f.out->n_entries, 0);
    close_plan(&f);
}

static void declared_columns_take_missing_values_log1p_and_zeros_of_scaled_ones(void **state)
{
    (void)state;
    fixture f;
    const tw_column_spec columns[] = {
        {.field = "x", .kind = TW_COLUMN_NUMERIC, .is_log1p = true, .has_missing = true, .missing = 1.0},
        {.field = "y", .kind = TW_COLUMN_NUMERIC, .is_scaled = true},
        {.field = "s", .kind = TW_COLUMN_SET, .separator = ';'},
        {.kind = TW_COLUMN_CONSTANT},
    };
    open_plan(&f, (tw_plan_spec){.column = columns, .n_columns = 4});
    assert_int_equal(text(&f, "y", "0"), TW_STATUS_OK);
    assert_int_equal(text(&f, "s", "p;;q"), TW_STATUS_OK);
    assert_int_equal(text(&f, "unknown", "oops"), TW_STATUS_OK);
    assert_int_equal(end(&f), TW_STATUS_OK);
    assert_int_equal(f.out->n_entries, 5);
    assert_entry(&f, 0, text_key("", "y"), 0.0f);
    assert_entry(&f, 1, text_key("s", "p"), 1.0f);
    assert_entry(&f, 2, text_key("s", "q"), 1.0f);
    assert_entry(&f, 3, text_key("", "x"), (float)log(2.0));
    assert_entry(&f, 4, text_key("", "constant"), 1.0f);
    uint32_t n_scaled = 0;
    const uint16_t *scaled = tw_plan_scaled(f.plan, &n_scaled);
    assert_int_equal(n_scaled, 1);
    assert_int_equal(scaled[0], handle_of(&f, "y"));
    assert_int_equal(tw_plan_n_columns(f.plan), 3);
    assert_string_equal(tw_plan_column(f.plan, 2)->field, "s");
    close_plan(&f);
}

static void crosses_are_products_in_declared_order(void **state)
{
    (void)state;
    fixture f;
    const tw_cross_spec crosses[] = {{2, {"a", "b"}}, {3, {"b", "a", "n"}}};
    open_plan(&f, (tw_plan_spec){.cross = crosses, .n_crosses = 2});
    assert_int_equal(tw_event_element(&f.event, handle_of(&f, "a"), "1", 1, &f.error), TW_STATUS_OK);
    assert_int_equal(tw_event_element(&f.event, handle_of(&f, "a"), "2", 1, &f.error), TW_STATUS_OK);
    assert_int_equal(tw_event_element(&f.event, handle_of(&f, "b"), "x", 1, &f.error), TW_STATUS_OK);
    assert_int_equal(tw_event_element(&f.event, handle_of(&f, "b"), "y", 1, &f.error), TW_STATUS_OK);
    assert_int_equal(number(&f, "n", 0.5), TW_STATUS_OK);
    assert_int_equal(end(&f), TW_STATUS_OK);
    assert_int_equal(f.out->n_entries, 5 + 4 + 4);
    uint64_t a1 = text_key("a", "1"), a2 = text_key("a", "2"), bx = text_key("b", "x"), by = text_key("b", "y");
    assert_entry(&f, 5, tw_key_cross(a1, bx), 1.0f);
    assert_entry(&f, 6, tw_key_cross(a1, by), 1.0f);
    assert_entry(&f, 7, tw_key_cross(a2, bx), 1.0f);
    assert_entry(&f, 8, tw_key_cross(a2, by), 1.0f);
    assert_entry(&f, 9, tw_key_cross(tw_key_cross(bx, a1), text_key("", "n")), 0.5f);
    assert_entry(&f, 12, tw_key_cross(tw_key_cross(by, a2), text_key("", "n")), 0.5f);
    assert_string_equal(tw_plan_field_name(f.plan, f.out->field[5]), "a*b");
    close_plan(&f);
}

static void a_cross_without_one_of_its_fields_adds_nothing(void **state)
{
    (void)state;
    fixture f;
    const tw_cross_spec cross = {2, {"a", "b"}};
    open_plan(&f, (tw_plan_spec){.cross = &cross, .n_crosses = 1});
    assert_int_equal(text(&f, "a", "q"), TW_STATUS_OK);
    assert_int_equal(end(&f), TW_STATUS_OK);
    assert_int_equal(f.out->n_entries, 1);
    close_plan(&f);
}

static void a_product_of_too_many_entries_is_refused(void **state)
{
    (void)state;
    fixture f;
    const tw_cross_spec cross = {2, {"a", "b"}};
    open_plan(&f, (tw_plan_spec){.cross = &cross, .n_crosses = 1});
    for (int i = 0; i < 2000; i++) {
        char word[16];
        size_t size = (size_t)snprintf(word, sizeof word, "%d", i);
        assert_int_equal(tw_event_element(&f.event, handle_of(&f, "a"), word, size, &f.error), TW_STATUS_OK);
        assert_int_equal(tw_event_element(&f.event, handle_of(&f, "b"), word, size, &f.error), TW_STATUS_OK);
    }
    assert_refused(end(&f), &f, "D207");
    close_plan(&f);
}

static float label_of(const char *value, tw_plan_spec spec, tw_status *status, tw_error *error)
{
    fixture f;
    open_plan(&f, spec);
    *status = tw_event_label(&f.event, value, strlen(value), &f.error);
    *error = f.error;
    float label = f.event.label;
    close_plan(&f);
    return label;
}

static void binary_labels_are_one_zero_minus_one_true_and_false(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        float label;
    } good[] = {{"1", 1}, {"+1", 1}, {"1.0", 1}, {"true", 1}, {"0", 0}, {"-1", 0}, {"False", 0}};
    static const char *const bad[] = {"2", "yes", "0.5", "1 ", "-"};
    tw_plan_spec spec = {.label_kind = TW_LABEL_BINARY};
    tw_status status;
    fixture f;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(label_of(good[i].text, spec, &status, &f.error) == good[i].label);
        assert_int_equal(status, TW_STATUS_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)label_of(bad[i], spec, &status, &f.error);
        assert_refused(status, &f, "D202");
        assert_non_null(strstr(f.error.message, bad[i]));
    }
    (void)label_of("nan", spec, &status, &f.error);
    assert_refused(status, &f, "D206");
}

static void named_positive_texts_mean_one_and_all_others_zero(void **state)
{
    (void)state;
    const char *positive[] = {"spam", "2"};
    tw_plan_spec spec = {.label_kind = TW_LABEL_BINARY, .positive = positive, .n_positive = 2};
    tw_status status;
    tw_error error;
    assert_true(label_of("spam", spec, &status, &error) == 1.0f);
    assert_true(label_of("2", spec, &status, &error) == 1.0f);
    assert_true(label_of("ham", spec, &status, &error) == 0.0f);
    assert_int_equal(status, TW_STATUS_OK);
}

static void real_labels_are_finite_numbers(void **state)
{
    (void)state;
    fixture f;
    tw_status status;
    tw_plan_spec spec = {.label_kind = TW_LABEL_REAL};
    assert_true(label_of("-2.5", spec, &status, &f.error) == -2.5f);
    (void)label_of("abc", spec, &status, &f.error);
    assert_refused(status, &f, "D202");
    (void)label_of("1e999", spec, &status, &f.error);
    assert_refused(status, &f, "D206");
    (void)label_of("1e39", spec, &status, &f.error);
    assert_refused(status, &f, "D206");
}

static void an_event_needs_its_label_unless_it_is_a_request(void **state)
{
    (void)state;
    fixture f;
    open_plan(&f, (tw_plan_spec){.label_kind = TW_LABEL_BINARY, .weight_field = "w", .time_field = "t"});
    assert_refused(end(&f), &f, "D205");
    tw_event_begin(&f.event, f.plan, f.out);
    f.event.is_request = true;
    assert_int_equal(text(&f, "label", "nonsense"), TW_STATUS_OK);
    assert_int_equal(text(&f, "w", "-1"), TW_STATUS_OK);
    assert_int_equal(text(&f, "t", "never"), TW_STATUS_OK);
    assert_int_equal(end(&f), TW_STATUS_OK);
    assert_true(isnan(f.out->label[0]) && f.out->weight[0] == 1.0f && f.out->time_us[0] == INT64_MIN);
    close_plan(&f);
}

static void weights_are_finite_and_not_negative(void **state)
{
    (void)state;
    fixture f;
    open_plan(&f, (tw_plan_spec){.weight_field = "w"});
    assert_int_equal(text(&f, "w", "2.5"), TW_STATUS_OK);
    assert_true(f.event.weight == 2.5f);
    assert_refused(text(&f, "w", "-0.1"), &f, "D210");
    assert_refused(text(&f, "w", "inf"), &f, "D210");
    assert_refused(text(&f, "w", "x"), &f, "D210");
    assert_refused(number(&f, "w", -3), &f, "D210");
    close_plan(&f);
}

static void values_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    fixture f;
    const tw_column_spec columns[] = {
        {.field = "x", .kind = TW_COLUMN_NUMERIC}, {.field = "l", .kind = TW_COLUMN_NUMERIC, .is_log1p = true}};
    open_plan(&f, (tw_plan_spec){.column = columns, .n_columns = 2});
    assert_refused(text(&f, "x", "NaN"), &f, "D206");
    assert_refused(text(&f, "x", "1e999"), &f, "D206");
    assert_refused(text(&f, "x", "12,5"), &f, "D201");
    assert_string_equal(f.error.message, "x: expected a number, found \"12,5\"");
    assert_refused(number(&f, "x", 1e39), &f, "D206");
    assert_refused(number(&f, "l", -1), &f, "D206");
    assert_refused(tw_event_element(&f.event, handle_of(&f, "x"), "a", 1, &f.error), &f, "D201");
    close_plan(&f);
}

static void a_field_that_occurs_twice_is_refused(void **state)
{
    (void)state;
    fixture f;
    open_plan(&f, (tw_plan_spec){0});
    assert_int_equal(text(&f, "x", "1"), TW_STATUS_OK);
    assert_refused(text(&f, "x", "1"), &f, "D204");
    close_plan(&f);
}

static void dense_rows_are_zero_filled_and_laid_by_declaration_or_index(void **state)
{
    (void)state;
    fixture f;
    const tw_column_spec columns[] = {{.field = "b", .kind = TW_COLUMN_NUMERIC},
        {.field = "c", .kind = TW_COLUMN_CATEGORICAL}, {.field = "a", .kind = TW_COLUMN_NUMERIC}};
    open_plan(&f, (tw_plan_spec){.column = columns, .n_columns = 3, .is_dense = true});
    assert_int_equal(tw_plan_dense_width(f.plan), 2);
    assert_int_equal(text(&f, "a", "7"), TW_STATUS_OK);
    assert_int_equal(end(&f), TW_STATUS_OK);
    tw_event_begin(&f.event, f.plan, f.out);
    assert_int_equal(text(&f, "b", "3"), TW_STATUS_OK);
    assert_int_equal(end(&f), TW_STATUS_OK);
    const float expected[] = {0, 7, 3, 0};
    assert_memory_equal(f.out->dense, expected, sizeof expected);
    close_plan(&f);
    open_plan(&f, (tw_plan_spec){.is_dense = true, .dense_width = 3});
    assert_int_equal(text(&f, "2", "5"), TW_STATUS_OK);
    assert_refused(text(&f, "3", "5"), &f, "D209");
    assert_refused(text(&f, "name", "5"), &f, "D209");
    assert_true(f.out->dense[2] == 5.0f);
    close_plan(&f);
}

static void an_automatic_plan_has_a_bound_on_its_columns(void **state)
{
    (void)state;
    fixture f;
    open_plan(&f, (tw_plan_spec){0});
    tw_status status = TW_STATUS_OK;
    int handle, n = 0;
    for (; n < 2 * TW_PLAN_MAX_COLUMNS && status == TW_STATUS_OK; n++) {
        char name[16];
        size_t size = (size_t)snprintf(name, sizeof name, "f%d", n);
        status = tw_plan_resolve(f.plan, name, size, &handle, &f.error);
    }
    assert_refused(status, &f, "D207");
    assert_true(tw_plan_n_fields(f.plan) == TW_PLAN_MAX_COLUMNS);
    assert_int_equal(tw_plan_resolve(f.plan, "f17", 3, &handle, &f.error), TW_STATUS_OK);
    assert_string_equal(tw_plan_field_name(f.plan, (uint16_t)handle), "f17");
    close_plan(&f);
}

static void contradictory_plans_are_refused(void **state)
{
    (void)state;
    const tw_column_spec twice[] = {
        {.field = "x", .kind = TW_COLUMN_NUMERIC}, {.field = "x", .kind = TW_COLUMN_CATEGORICAL}};
    const tw_cross_spec one = {1, {"x"}}, unknown = {2, {"x", "z"}}, label = {2, {"x", "label"}};
    const tw_plan_spec specs[] = {
        {.column = twice, .n_columns = 2},
        {.column = twice, .n_columns = 1, .label_field = "x", .label_kind = TW_LABEL_REAL},
        {.cross = &one, .n_crosses = 1},
        {.column = twice, .n_columns = 1, .cross = &unknown, .n_crosses = 1},
        {.column = twice, .n_columns = 1, .cross = &label, .n_crosses = 1},
        {.is_dense = true},
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        tw_plan *plan = NULL;
        tw_error error = {0};
        assert_int_equal(tw_plan_create(&specs[i], &plan, &error), TW_STATUS_INVALID);
        assert_null(plan);
        assert_true(error.message[0] != '\0');
    }
}

static void event_times_are_read_in_every_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        tw_time_unit unit;
        int64_t time_us;
    } good[] = {{"1", TW_TIME_S, 1000000}, {"1.5", TW_TIME_S, 1500000}, {"1357035600123", TW_TIME_MS, 1357035600123000},
        {"-7", TW_TIME_US, -7}, {"1970-01-01", TW_TIME_ISO8601, 0},
        {"2013-01-01T10:20:30.25Z", TW_TIME_ISO8601, 1357035630250000},
        {"2013-01-01 10:20", TW_TIME_ISO8601, 1357035600000000},
        {"2013-01-01T12:20+02:00", TW_TIME_ISO8601, 1357035600000000},
        {"2000-02-29T00:00:00Z", TW_TIME_ISO8601, 951782400000000}};
    static const struct {
        const char *text;
        tw_time_unit unit;
    } bad[] = {{"", TW_TIME_S}, {"1e30", TW_TIME_S}, {"9223372036854775807", TW_TIME_S},
        {"2013-02-29", TW_TIME_ISO8601}, {"2013-1-1", TW_TIME_ISO8601}, {"2013-01-01T25:00", TW_TIME_ISO8601},
        {"2013-01-01x", TW_TIME_ISO8601}, {"2013-01-01T10:20:30.", TW_TIME_ISO8601}, {"12", TW_TIME_ISO8601}};
    int64_t time_us = 0;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(tw_time_parse(good[i].text, strlen(good[i].text), good[i].unit, &time_us));
        assert_true(time_us == good[i].time_us);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(tw_time_parse(bad[i].text, strlen(bad[i].text), bad[i].unit, &time_us));
    fixture f;
    open_plan(&f, (tw_plan_spec){.time_field = "t", .time_unit = TW_TIME_MS});
    assert_int_equal(number(&f, "t", 2), TW_STATUS_OK);
    assert_true(f.event.time_us == 2000);
    assert_refused(text(&f, "t", "soon"), &f, "D211");
    close_plan(&f);
}

static void a_failing_allocation_leaves_a_named_error_and_no_leak(void **state)
{
    (void)state;
    const tw_column_spec columns[] = {
        {.field = "x", .kind = TW_COLUMN_NUMERIC, .has_missing = true}, {.field = "c", .kind = TW_COLUMN_SET}};
    const tw_cross_spec cross = {2, {"x", "c"}};
    const char *texts[] = {"NA", "null"};
    const tw_plan_spec spec = {.column = columns,
        .n_columns = 2,
        .cross = &cross,
        .n_crosses = 1,
        .positive = texts,
        .n_positive = 2,
        .missing_text = texts,
        .n_missing_text = 2};
    for (uint64_t nth = 1;; nth++) {
        tw_plan *plan = NULL;
        tw_builder *out = NULL;
        tw_error error = {0};
        tw_fault_arm(TW_FAULT_ALLOC, nth, ENOMEM, false);
        tw_status status = tw_plan_create(&spec, &plan, &error);
        if (status == TW_STATUS_OK)
            status = tw_builder_create(8, 2, &out, &error);
        bool has_fired = tw_fault_fired(TW_FAULT_ALLOC) > 0;
        tw_fault_disarm(TW_FAULT_ALLOC);
        tw_builder_destroy(&out);
        tw_plan_destroy(&plan);
        if (!has_fired)
            break;
        assert_int_equal(status, TW_STATUS_NO_MEMORY);
        assert_true(error.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(automatic_numbers_are_numeric_and_strings_categorical),
        cmocka_unit_test(explicit_zeros_and_blanks_leave_no_entry),
        cmocka_unit_test(declared_columns_take_missing_values_log1p_and_zeros_of_scaled_ones),
        cmocka_unit_test(crosses_are_products_in_declared_order),
        cmocka_unit_test(a_cross_without_one_of_its_fields_adds_nothing),
        cmocka_unit_test(a_product_of_too_many_entries_is_refused),
        cmocka_unit_test(binary_labels_are_one_zero_minus_one_true_and_false),
        cmocka_unit_test(named_positive_texts_mean_one_and_all_others_zero),
        cmocka_unit_test(real_labels_are_finite_numbers),
        cmocka_unit_test(an_event_needs_its_label_unless_it_is_a_request),
        cmocka_unit_test(weights_are_finite_and_not_negative),
        cmocka_unit_test(values_that_are_not_finite_are_refused),
        cmocka_unit_test(a_field_that_occurs_twice_is_refused),
        cmocka_unit_test(dense_rows_are_zero_filled_and_laid_by_declaration_or_index),
        cmocka_unit_test(an_automatic_plan_has_a_bound_on_its_columns),
        cmocka_unit_test(contradictory_plans_are_refused),
        cmocka_unit_test(event_times_are_read_in_every_unit),
        cmocka_unit_test(a_failing_allocation_leaves_a_named_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
