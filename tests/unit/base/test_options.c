#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/fault.h"
#include "base/text.h"
#include "thalweg/options.h"

static const tw_option table[] = {
    {"flag", TW_OPTION_BOOL, "true", 0, 0, NULL, false, "a switch"},
    {"count", TW_OPTION_INT, "5", -10, 1e6, NULL, false, "a count"},
    {"rate", TW_OPTION_REAL, "0.5", 0, 10, NULL, false, "a rate"},
    {"name", TW_OPTION_TEXT, NULL, 0, 0, NULL, true, "a name"},
    {"kind", TW_OPTION_CHOICE, "red", 0, 0, "red|green|dark-blue", false, "a colour"},
    {"wait", TW_OPTION_DURATION, "30s", 0, 3600e6, NULL, false, "a time"},
    {"memory", TW_OPTION_SIZE, "64MiB", 0, 0, NULL, false, "a size"},
    {"share", TW_OPTION_RATIO, "0.1%", 0, 0, NULL, false, "a share"},
    {"paths", TW_OPTION_LIST, "a,b", 0, 0, NULL, false, "paths"},
    {.name = NULL},
};

static int make(void **state)
{
    tw_option_values *values = NULL;
    assert_int_equal(tw_option_values_create(table, &values, NULL), TW_STATUS_OK);
    *state = values;
    return 0;
}

static int unmake(void **state)
{
    tw_option_values *values = *state;
    tw_option_values_destroy(&values);
    tw_option_values_destroy(&values);
    return 0;
}

static void expect_error(tw_option_values *values, const char *name, const char *text, const char *message)
{
    tw_error error = {0};
    assert_int_equal(tw_option_set(values, name, text, &error), TW_STATUS_INVALID);
    if (strstr(error.message, message) == NULL)
        print_message("wanted: %s\ngot: %s\n", message, error.message);
    assert_non_null(strstr(error.message, message));
}

static void new_values_hold_every_default(void **state)
{
    assert_true(tw_option_bool(*state, "flag"));
    assert_int_equal(tw_option_int(*state, "count"), 5);
    assert_true(tw_option_real(*state, "rate") == 0.5);
    assert_null(tw_option_text(*state, "name"));
    assert_false(tw_option_has(*state, "name"));
    assert_string_equal(tw_option_text(*state, "kind"), "red");
    assert_int_equal(tw_option_int(*state, "wait"), 30000000);
    assert_int_equal(tw_option_int(*state, "memory"), 67108864);
    assert_true(tw_option_real(*state, "share") == 0.001);
    assert_int_equal(tw_option_count(*state, "paths"), 2);
    assert_true(tw_option_has(*state, "paths"));
    assert_false(tw_option_is_given(*state, "paths"));
}

static void numbers_take_underscores_signs_and_exponents(void **state)
{
    assert_int_equal(tw_option_set(*state, "count", "500_000", NULL), TW_STATUS_OK);
    assert_int_equal(tw_option_int(*state, "count"), 500000);
    assert_int_equal(tw_option_set(*state, "count", "-7", NULL), TW_STATUS_OK);
    assert_int_equal(tw_option_int(*state, "count"), -7);
    assert_int_equal(tw_option_set(*state, "rate", "+1e-3", NULL), TW_STATUS_OK);
    assert_true(tw_option_real(*state, "rate") == 1e-3);
    assert_int_equal(tw_option_set(*state, "rate", ".5", NULL), TW_STATUS_OK);
}

static void malformed_values_are_refused_with_the_value(void **state)
{
    static const char *const not_reals[] = {
        "", "nan", "inf", "1e999", "0x10", "1,5", "1__0", "_1", "1_", "1e", ".", "1 "};
    for (size_t i = 0; i < sizeof not_reals / sizeof not_reals[0]; i++)
        expect_error(*state, "rate", not_reals[i], "option rate: expected a number");
    expect_error(*state, "count", "1.5", "option count: expected an integer, found \"1.5\"");
    expect_error(*state, "count", "9223372036854775808", "expected an integer");
    expect_error(*state, "flag", "yes", "expected true or false, found \"yes\"");
    expect_error(*state, "kind", "blue", "expected one of red|green|dark-blue");
    expect_error(*state, "kind", "red|green", "expected one of");
    expect_error(*state, "wait", "30", "expected a duration");
    expect_error(*state, "wait", "5 parsecs", "expected a duration");
    expect_error(*state, "wait", "0.1us", "a whole number of microseconds");
    expect_error(*state, "memory", "-1", "a whole number of bytes");
    expect_error(*state, "memory", "9EiB", "expected a size");
    expect_error(*state, "share", "101%", "expected a ratio in 0..1");
    assert_true(tw_option_real(*state, "rate") == 0.5);
}

static void values_out_of_range_name_option_value_and_limit(void **state)
{
    expect_error(*state, "rate", "-0.5", "option rate: -0.5 is below the limit 0");
    expect_error(*state, "count", "1000001", "option count: 1000001 is above the limit 1000000");
    expect_error(*state, "wait", "2h", "option wait: 2h is above the limit 1h");
}

static void unknown_names_get_the_nearest_known_one(void **state)
{
    expect_error(*state, "cuont", "1", "did you mean \"count\"?");
    expect_error(*state, "zzzzzz", "1", "known: flag, count, rate");
}

static void sizes_and_durations_have_units(void **state)
{
    static const struct {
        const char *name, *text;
        int64_t value;
    } cases[] = {{"memory", "1_000", 1000}, {"memory", "1.5KiB", 1536}, {"memory", "2GB", 2000000000},
        {"wait", "5ms", 5000}, {"wait", "250us", 250}, {"wait", "0.5m", 30000000}, {"wait", "0", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(tw_option_set(*state, cases[i].name, cases[i].text, NULL), TW_STATUS_OK);
        assert_int_equal(tw_option_int(*state, cases[i].name), cases[i].value);
    }
}

static void lists_split_at_commas_and_append_verbatim(void **state)
{
    assert_int_equal(tw_option_append(*state, "paths", "x,y", NULL), TW_STATUS_OK);
    assert_int_equal(tw_option_append(*state, "paths", "z", NULL), TW_STATUS_OK);
    assert_int_equal(tw_option_count(*state, "paths"), 2);
    assert_string_equal(tw_option_item(*state, "paths", 0), "x,y");
    assert_int_equal(tw_option_set(*state, "paths", "p,,q\\,r", NULL), TW_STATUS_OK);
    assert_int_equal(tw_option_count(*state, "paths"), 3);
    assert_string_equal(tw_option_item(*state, "paths", 1), "");
    assert_string_equal(tw_option_item(*state, "paths", 2), "q,r");
    assert_null(tw_option_item(*state, "paths", 3));
    assert_int_equal(tw_option_append(*state, "rate", "1", NULL), TW_STATUS_INVALID);
}

static void required_options_are_checked(void **state)
{
    tw_error error = {0};
    assert_int_equal(tw_option_check_required(*state, &error), TW_STATUS_INVALID);
    assert_non_null(strstr(error.message, "option name is required"));
    assert_int_equal(tw_option_set(*state, "name", "x", NULL), TW_STATUS_OK);
    assert_int_equal(tw_option_check_required(*state, &error), TW_STATUS_OK);
}

static void every_value_formats_to_text_that_parses_back(void **state)
{
    static const char *const sets[][3] = {{"flag", "false", "false"}, {"count", "1_000", "1000"},
        {"rate", "0.1", "0.1"}, {"rate", "0.30000000000000004", "0.30000000000000004"}, {"wait", "90s", "90s"},
        {"wait", "1h", "1h"}, {"wait", "1500us", "1500us"}, {"memory", "1024", "1KiB"}, {"memory", "1000", "1000"},
        {"share", "5%", "0.05"}, {"kind", "dark-blue", "dark-blue"}, {"paths", "a\\\\,b\\,c", "a\\\\,b\\,c"},
        {"name", "", ""}};
    char text[64];
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        assert_int_equal(tw_option_set(*state, sets[i][0], sets[i][1], NULL), TW_STATUS_OK);
        assert_int_equal(tw_option_format(*state, sets[i][0], text, sizeof text, NULL), TW_STATUS_OK);
        assert_string_equal(text, sets[i][2]);
        assert_int_equal(tw_option_set(*state, sets[i][0], text, NULL), TW_STATUS_OK);
    }
    assert_int_equal(tw_option_format(*state, "paths", text, 3, NULL), TW_STATUS_INVALID);
    assert_string_equal(text, "");
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    bool has_passed = false;
    for (uint64_t nth = 1; nth < 100 && !has_passed; nth++) {
        tw_option_values *values = NULL;
        tw_fault_arm(TW_FAULT_ALLOC, nth, ENOMEM, false);
        tw_status status = tw_option_values_create(table, &values, NULL);
        if (status == TW_STATUS_OK)
            status = tw_option_set(values, "paths", "a,b,c", NULL);
        if (status == TW_STATUS_OK)
            status = tw_option_append(values, "paths", "d", NULL);
        has_passed = tw_fault_fired(TW_FAULT_ALLOC) == 0;
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_int_equal(status, has_passed ? TW_STATUS_OK : TW_STATUS_NO_MEMORY);
        tw_option_values_destroy(&values);
    }
    assert_true(has_passed);
}

static void spelling_distance_counts_single_steps(void **state)
{
    (void)state;
    assert_int_equal(tw_text_distance("alpha", "alhpa"), 1);
    assert_int_equal(tw_text_distance("", "abc"), 3);
    assert_int_equal(tw_text_distance("kitten", "sitting"), 3);
    tw_nearest nearest = {.word = "l3"};
    tw_nearest_offer(&nearest, "beta");
    assert_null(nearest.best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(new_values_hold_every_default, make, unmake),
        cmocka_unit_test_setup_teardown(numbers_take_underscores_signs_and_exponents, make, unmake),
        cmocka_unit_test_setup_teardown(malformed_values_are_refused_with_the_value, make, unmake),
        cmocka_unit_test_setup_teardown(values_out_of_range_name_option_value_and_limit, make, unmake),
        cmocka_unit_test_setup_teardown(unknown_names_get_the_nearest_known_one, make, unmake),
        cmocka_unit_test_setup_teardown(sizes_and_durations_have_units, make, unmake),
        cmocka_unit_test_setup_teardown(lists_split_at_commas_and_append_verbatim, make, unmake),
        cmocka_unit_test_setup_teardown(required_options_are_checked, make, unmake),
        cmocka_unit_test_setup_teardown(every_value_formats_to_text_that_parses_back, make, unmake),
        cmocka_unit_test(every_failing_allocation_is_reported),
        cmocka_unit_test(spelling_distance_counts_single_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
