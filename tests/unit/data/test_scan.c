#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "data/key.h"
#include "data/scan.h"

static void index_keys_lead_back_to_their_index(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        for (uint64_t i = 0; i < 100000; i++) {
            uint64_t index = i < 50000 ? i : i * 0x9e3779b97f4a7c15ull;
            assert_true(tw_key_to_index(seed, tw_key_of_index(seed, index)) == index);
        }
    }
}

static void only_plain_digits_name_an_index(void **state)
{
    (void)state;
    uint64_t index = 0;
    assert_true(tw_key_parse_index("0", 1, &index) && index == 0);
    assert_true(tw_key_parse_index("18446744073709551615", 20, &index) && index == UINT64_MAX);
    assert_false(tw_key_parse_index("18446744073709551616", 20, &index));
    assert_false(tw_key_parse_index("007", 3, &index));
    assert_false(tw_key_parse_index("", 0, &index));
    assert_false(tw_key_parse_index("-1", 2, &index));
    assert_false(tw_key_parse_index("1a", 2, &index));
}

static void short_texts_have_the_hash_of_all_texts(void **state)
{
    (void)state;
    char text[64];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 37 + 200);
    for (uint64_t i = 0; i < 100; i++) {
        tw_hash_short hash = tw_hash_short_start(tw_mix64(i));
        for (size_t size = 0; size <= sizeof text; size++)
            assert_true(tw_hash_short_text(&hash, text, size) == tw_hash_seeded(text, size, tw_mix64(i)));
    }
}

static void crosses_depend_on_order(void **state)
{
    (void)state;
    assert_true(tw_key_cross(1, 2) != tw_key_cross(2, 1));
}

static void every_scanner_finds_what_the_portable_one_finds(void **state)
{
    (void)state;
    tw_scan_function scan = tw_scan_choose();
    srand(1);
    for (int round = 0; round < 3000; round++) {
        size_t size = (size_t)rand() % (TW_SCAN_BLOCK + 1);
        char *text = malloc(size + (size == 0));
        for (size_t i = 0; i < size; i++)
            text[i] = (char)(rand() % 3 == 0 ? " :|\n\r\t\0\xff"[rand() % 8] : rand());
        uint64_t expected[TW_SCAN_WORDS], got[TW_SCAN_WORDS];
        tw_scan_portable(text, size, " :|\n\r\t  ", expected);
        scan(text, size, " :|\n\r\t  ", got);
        assert_memory_equal(expected, got, sizeof got);
        free(text);
    }
}

static void a_scanner_walks_over_every_separator_once(void **state)
{
    (void)state;
    enum { SIZE = 3 * TW_SCAN_BLOCK + 77 };
    char *text = malloc(SIZE);
    memset(text, 'x', SIZE);
    for (int i = 0; i < SIZE; i += 61)
        text[i] = '|';
    tw_scanner scanner;
    tw_scanner_init(&scanner, "|:");
    tw_scanner_start(&scanner, text, text + SIZE);
    for (int i = 0; i < SIZE; i += 61)
        assert_ptr_equal(tw_scanner_next(&scanner), text + i);
    assert_ptr_equal(tw_scanner_next(&scanner), text + SIZE);
    assert_ptr_equal(tw_scanner_next(&scanner), text + SIZE);
    free(text);
}

static void the_last_byte_is_found_anywhere(void **state)
{
    (void)state;
    char text[100];
    for (size_t size = 0; size <= sizeof text; size++) {
        memset(text, 'x', sizeof text);
        assert_null(tw_scan_last(text, text + size, '\n'));
        for (size_t i = 0; i < size; i++) {
            text[i] = '\n';
            assert_ptr_equal(tw_scan_last(text, text + size, '\n'), text + i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_keys_lead_back_to_their_index),
        cmocka_unit_test(only_plain_digits_name_an_index),
        cmocka_unit_test(short_texts_have_the_hash_of_all_texts),
        cmocka_unit_test(crosses_depend_on_order),
        cmocka_unit_test(every_scanner_finds_what_the_portable_one_finds),
        cmocka_unit_test(a_scanner_walks_over_every_separator_once),
        cmocka_unit_test(the_last_byte_is_found_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
