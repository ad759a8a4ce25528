#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

enum { FIRST = 0x80, LAST = 0x10ffff };

/* The encoding of a code point, by the definition, whether it may be encoded or not. */
static size_t write_point(char *out, uint32_t point)
{
    size_t size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char head[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (size_t i = size; i-- > 1; point >>= 6)
        out[i] = (char)(unsigned char)(0x80 | (point & 0x3f));
    out[0] = (char)(unsigned char)(head[size] | point);
    return size;
}

static void every_character_has_its_size_and_surrogates_have_none(void **state)
{
    char text[4];
    (void)state;
    for (uint32_t point = 0; point <= LAST; point++) {
        size_t size = write_point(text, point);
        assert_int_equal(tw_utf8_size(text, size), point >= 0xd800 && point < 0xe000 ? 0 : size);
    }
}

static void a_character_that_is_cut_off_is_malformed(void **state)
{
    char text[4];
    (void)state;
    for (uint32_t point = FIRST; point <= LAST; point += 97) {
        size_t size = write_point(text, point);
        assert_int_equal(tw_utf8_size(text, size - 1), 0);
    }
}

static void overlong_and_impossible_bytes_are_malformed(void **state)
{
    static const char *const bad[] = {"\x80\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf",
        "\xf0\x80\x80\xaf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x28\xa1",
        "\xe2\x82\x28", "\xf0\x9f\x98\x28"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(tw_utf8_size(bad[i], strlen(bad[i])), 0);
}

static void a_text_is_valid_when_all_its_characters_are(void **state)
{
    (void)state;
    assert_true(tw_utf8_is_valid("", 0));
    assert_true(tw_utf8_is_valid("a\xc3\xa9\xe6\xb2\xb3\xf0\x9f\x8c\x8a.", 11));
    assert_false(tw_utf8_is_valid("river \xe6\xb2", 8));
    assert_false(tw_utf8_is_valid("\xed\xa0\x80", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_has_its_size_and_surrogates_have_none),
        cmocka_unit_test(a_character_that_is_cut_off_is_malformed),
        cmocka_unit_test(overlong_and_impossible_bytes_are_malformed),
        cmocka_unit_test(a_text_is_valid_when_all_its_characters_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
