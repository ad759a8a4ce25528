#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/number.h"

static uint64_t random_state = 88172645463325252ull;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void assert_as_strtod(const char *text)
{
    double value = 0, expected = strtod(text, NULL), quick = 0;
    char padded[3000] = "";
    memcpy(padded, text, strlen(text));
    tw_number kind = tw_number_parse(text, strlen(text), &value);
    if (!isfinite(expected)) {
        assert_int_equal(kind, TW_NUMBER_NOT_FINITE);
        return;
    }
    if (kind != TW_NUMBER_FINITE || memcmp(&value, &expected, sizeof value) != 0)
        fail_msg("%s: got %a, strtod gives %a", text, value, expected);
    if (tw_number_parse_short(text, strlen(text), &quick) && memcmp(&quick, &expected, sizeof quick) != 0)
        fail_msg("%s: the short form gives %a, strtod %a", text, quick, expected);
    if (tw_number_parse_8(padded, strlen(text), &quick) && memcmp(&quick, &expected, sizeof quick) != 0)
        fail_msg("%s: the word form gives %a, strtod %a", text, quick, expected);
}

static void random_doubles_of_any_precision_parse_as_strtod_does(void **state)
{
    (void)state;
    for (int i = 0; i < 200000; i++) {
        char text[64];
        uint64_t bits = random_next();
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        snprintf(text, sizeof text, "%.*g", (int)(random_next() % 20) + 1, value);
        assert_as_strtod(text);
    }
}

static void random_decimals_parse_as_strtod_does(void **state)
{
    (void)state;
    for (int i = 0; i < 200000; i++) {
        char text[64];
        unsigned long long whole = random_next() >> (random_next() % 64), part = random_next() >> (random_next() % 64);
        snprintf(text, sizeof text, "%llu.%llue%d", whole, part, (int)(random_next() % 80) - 40);
        assert_as_strtod(text);
        snprintf(text, sizeof text, "-%llu.%03llu", whole % 100000, part % 1000);
        assert_as_strtod(text);
    }
}

static void exact_halfway_cases_round_to_even(void **state)
{
    (void)state;
    static char text[2400];
    for (int i = 0; i < 3000; i++) {
        uint64_t bits = random_next() >> (random_next() % 12);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!(fabs(value) < 1e300))
            continue;
        /* A long double holds the middle of two neighbouring doubles exactly. */
        long double middle = ((long double)value + (long double)nextafter(value, INFINITY)) / 2;
        snprintf(text, sizeof text, "%.1100Le", middle);
        assert_as_strtod(text);
        char *exponent = strchr(text, 'e');
        exponent[-1] = '1';
        assert_as_strtod(text);
    }
}

static void hard_numbers_parse_as_strtod_does(void **state)
{
    (void)state;
    static const char *const texts[] = {"0", "-0", "1e-400", "4.9e-324", "2.4703282292062327e-324",
        "2.4703282292062328e-324", "1.7976931348623157e308", "1.7976931348623159e308", "1e999", "-1e999",
        "9007199254740993", "9007199254740992.5", "2.2250738585072011e-308", "2.2250738585072014e-308", "1e309",
        "0e99999999999999999999", "1e-99999999999999999999", "0.1", "5.", "+.5", "1e23", "8.5e22", "1E5",
        "179769313486231580793728971405301e276", "0.000000000000000000000000000000000000001",
        "100000000000000016777215", "100000000000000016777216", "7.2057594037927933e16", "nan", "-inf", "Infinity"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_as_strtod(texts[i]);
}

static void what_is_not_a_number_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", ".", "-", "+", "1e", "1e+", "0x10", " 1", "1 ", "1.2.3", "e5", "--1", "1_0", "in", "na", "1,5", "1f"};
    double value;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(tw_number_parse(texts[i], strlen(texts[i]), &value), TW_NUMBER_NONE);
        assert_false(tw_number_parse_short(texts[i], strlen(texts[i]), &value));
        char padded[32] = "";
        memcpy(padded, texts[i], strlen(texts[i]));
        assert_false(tw_number_parse_8(padded, strlen(texts[i]), &value));
    }
}

static void integers_are_bounded_by_their_type(void **state)
{
    (void)state;
    uint64_t u;
    int64_t i;
    assert_true(tw_number_parse_u64("18446744073709551615", 20, &u) && u == UINT64_MAX);
    assert_false(tw_number_parse_u64("18446744073709551616", 20, &u));
    assert_false(tw_number_parse_u64("", 0, &u));
    assert_true(tw_number_parse_i64("-9223372036854775808", 20, &i) && i == INT64_MIN);
    assert_false(tw_number_parse_i64("9223372036854775808", 19, &i));
    assert_false(tw_number_parse_i64("-", 1, &i));
    assert_true(tw_number_parse_i64("+7", 2, &i) && i == 7);
}

static void log1p_is_within_two_ulp(void **state)
{
    (void)state;
    for (int i = 0; i < 200000; i++) {
        double x = exp((double)(random_next() % 100000) / 1000 - 50);
        if (i % 2 == 1 && x < 1)
            x = -x * 0.999;
        double expected = log1p(x), ulp = nextafter(fabs(expected), INFINITY) - fabs(expected);
        assert_true(fabs(tw_number_log1p(x) - expected) <= 3 * ulp);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_doubles_of_any_precision_parse_as_strtod_does),
        cmocka_unit_test(random_decimals_parse_as_strtod_does),
        cmocka_unit_test(exact_halfway_cases_round_to_even),
        cmocka_unit_test(hard_numbers_parse_as_strtod_does),
        cmocka_unit_test(what_is_not_a_number_is_refused),
        cmocka_unit_test(integers_are_bounded_by_their_type),
        cmocka_unit_test(log1p_is_within_two_ulp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
