/* Numbers as text: equal to printf("%.9g") of the C locale. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sinks/number.h"

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void assert_as_printf(double value)
{
    char expected[64], text[TW_NUMBER_SIZE + 1];
    (void)snprintf(expected, sizeof expected, "%.9g", value);
    text[tw_number_format(value, text)] = '\0';
    assert_string_equal(text, expected);
}

static void special_values_are_written_as_printf_does(void **state)
{
    (void)state;
    static const double values[] = {0.0, -0.0, 1.0, -1.0, 0.5, 0.1, 1e-4, 9.9999999949e-5, 9.9999999951e-5,
        0.99999999949, 0.9999999995, 0.99999999951, 1e8, 99999999.95, 999999998.5, 999999999.0, 999999999.4,
        999999999.5, 1e9, 1e-13, 1e-14, 9.99999999999e-14, 1e300, 5e-324, 123456789.5, 123456788.5, 12345678.25,
        1.0 / 0.0, -1.0 / 0.0};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_as_printf(values[i]);
}

static void ties_go_to_the_even_digit(void **state)
{
    (void)state;
    /* n + 1/2 for nine-digit n, and its binary fractions, are exact ties. */
    for (uint32_t n = 100000000; n < 100000400; n++) {
        assert_as_printf(n + 0.5);
        assert_as_printf((10.0 * n + 5) / 1024);
    }
    assert_as_printf(0.0000152587890625); /* 2^-16: its tenth digit starts a 5 */
    assert_as_printf(0.5000000005);
}

static void random_probabilities_are_written_as_printf_does(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 1000000; i++)
        assert_as_printf((double)(random_next(&random) >> 11) * 0x1p-53);
}

static void random_bit_patterns_are_written_as_printf_does(void **state)
{
    (void)state;
    uint64_t random = 1181783497276652981u;
    for (int i = 0; i < 1000000; i++) {
        uint64_t bits = random_next(&random);
        if (i % 2 == 0) /* exponents around 1, where the fast path is */
            bits = (bits & 0x800fffffffffffffu) | ((uint64_t)(1023 - 50 + bits % 90) << 52);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (value == value)
            assert_as_printf(value);
    }
}

static void integers_are_written_in_full(void **state)
{
    (void)state;
    char text[TW_NUMBER_SIZE + 1];
    text[tw_number_format_u64(UINT64_MAX, text)] = '\0';
    assert_string_equal(text, "18446744073709551615");
    text[tw_number_format_i64(INT64_MIN, text)] = '\0';
    assert_string_equal(text, "-9223372036854775808");
    text[tw_number_format_i64(0, text)] = '\0';
    assert_string_equal(text, "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(special_values_are_written_as_printf_does),
        cmocka_unit_test(ties_go_to_the_even_digit),
        cmocka_unit_test(random_probabilities_are_written_as_printf_does),
        cmocka_unit_test(random_bit_patterns_are_written_as_printf_does),
        cmocka_unit_test(integers_are_written_in_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
