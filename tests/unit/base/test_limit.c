#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limit.h"

static void a_limit_reads_back_as_it_was_written(void **state)
{
    (void)state;
    static const char *const texts[] = {">= 0.7", "<= 0.45", "> 0", "< 0.001", ">= -2"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        tw_limit limit;
        char text[TW_LIMIT_TEXT_SIZE];
        assert_true(tw_limit_parse(texts[i], &limit));
        tw_limit_format(&limit, text);
        assert_string_equal(text, texts[i]);
    }
}

static void blanks_and_forms_of_numbers_do_not_matter(void **state)
{
    (void)state;
    tw_limit limit;
    assert_true(tw_limit_parse("  >=0.70", &limit));
    assert_int_equal(limit.kind, TW_AT_LEAST);
    assert_true(limit.bound == 0.7);
    assert_true(tw_limit_parse("<\t1e-3", &limit));
    assert_int_equal(limit.kind, TW_BELOW);
    assert_true(limit.bound == 1e-3);
}

static void other_texts_are_no_limits_and_change_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "0.7", ">=", "=> 0.7", "== 1", "! 1", ">= high", ">= 0.7 %", "> 1 2", ">= nan", "< inf", "> = 1", ">> 1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        tw_limit limit = {TW_BELOW, 42.0};
        assert_false(tw_limit_parse(texts[i], &limit));
        assert_true(limit.kind == TW_BELOW && limit.bound == 42.0);
    }
}

static void a_figure_at_the_bound_keeps_only_limits_that_include_it(void **state)
{
    (void)state;
    static const struct {
        uint32_t kind;
        bool below, at, above;
    } rows[] = {{TW_AT_LEAST, false, true, true}, {TW_AT_MOST, true, true, false}, {TW_ABOVE, false, false, true},
        {TW_BELOW, true, false, false}};
    for (size_t i = 0; i < 4; i++) {
        tw_limit limit = {rows[i].kind, 0.5};
        assert_int_equal(tw_limit_holds(&limit, 0.4), rows[i].below);
        assert_int_equal(tw_limit_holds(&limit, 0.5), rows[i].at);
        assert_int_equal(tw_limit_holds(&limit, 0.6), rows[i].above);
    }
}

static void a_figure_that_is_not_known_keeps_no_limit(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < TW_N_LIMIT_KINDS; kind++) {
        tw_limit limit = {kind, 0.0};
        assert_false(tw_limit_holds(&limit, (double)NAN));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_reads_back_as_it_was_written),
        cmocka_unit_test(blanks_and_forms_of_numbers_do_not_matter),
        cmocka_unit_test(other_texts_are_no_limits_and_change_nothing),
        cmocka_unit_test(a_figure_at_the_bound_keeps_only_limits_that_include_it),
        cmocka_unit_test(a_figure_that_is_not_known_keeps_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
