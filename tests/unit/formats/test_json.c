#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "formats/json_scan.h"
#include "support/decode_fixture.h"

extern const tw_format_ops tw_format_json;

static char *decode_cut(const char *columns, const char *bytes, size_t size, size_t cut)
{
    decode_fixture fixture;
    tw_status status;
    assert_int_equal(decode_fixture_open(&fixture, &tw_format_json, NULL, columns, 256), TW_STATUS_OK);
    char *text = decode_fixture_run(&fixture, bytes, size, cut, &status);
    assert_int_equal(status, TW_STATUS_OK);
    decode_fixture_close(&fixture);
    return text;
}

static char *decode(const char *columns, const char *text)
{
    return decode_cut(columns, text, strlen(text), 0);
}

static void assert_same(const char *columns, const char *one, const char *other)
{
    char *a = decode(columns, one), *b = decode(columns, other);
    assert_non_null(strstr(a, "E "));
    *strstr(a, "= ") = 0;
    *strstr(b, "= ") = 0;
    assert_string_equal(a, b);
    free(a);
    free(b);
}

/* One line `text` without its end: one malformed record that begins with `expected`, "column code", and says `message`.
 */
static void assert_bad(const char *columns, const char *text, const char *expected, const char *message)
{
    char line[8192], start[64];
    snprintf(line, sizeof line, "{}\n%s\n{}\n", text);
    char *out = decode(columns, line), *bad = strstr(out, "B ");
    snprintf(start, sizeof start, "B 2:%s ", expected);
    if (!bad || strncmp(bad, start, strlen(start)) != 0 || !strstr(bad, message))
        fail_msg("%s: wanted %s %s, got %s", text, start, message, out);
    assert_null(strstr(bad + 1, "\nB "));
    free(out);
}

static void every_escape_is_decoded(void **state)
{
    (void)state;
    assert_same(
        "a:c", "{\"a\":\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"}", "{\"a\":\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}");
    assert_same("a:c", "{\"a\":\"x\\/y\\u002Fz\"}", "{\"a\":\"x/y/z\"}");
    assert_same(
        "a:c", "{\"a\":\"\\\"\\\\\\b\\f\\n\\r\\t\"}", "{\"a\":\"\\u0022\\u005c\\u0008\\u000C\\u000a\\u000D\\u0009\"}");
    assert_same("a:c", "{\"\\u0061\":\"x\"}", "{\"a\":\"x\"}");
}

static void nested_objects_are_dotted_names(void **state)
{
    (void)state;
    assert_same("user.id:c,user.geo.city:c,z:n", "{\"user\":{\"id\":\"u1\",\"geo\":{\"city\":\"x\"}},\"z\":2}",
        "{\"user.id\":\"u1\",\"user.geo.city\":\"x\",\"z\":2}");
}

static void arrays_are_sets_and_empty_ones_are_nothing(void **state)
{
    (void)state;
    char *out = decode("a:s", "{\"a\":[\"x\",\"y\",3,null]}\n{\"a\":[]}\n{\"a\":[ ]}\n");
    assert_int_equal(decode_fixture_count(out, "E "), 3);
    char *line = strtok(out, "\n");
    int n = 0;
    for (const char *at = line; (at = strchr(at, ':')) != NULL; at++)
        n++;
    assert_int_equal(n, 6);
    assert_string_equal(strtok(NULL, "\n"), "E nan 1 -9223372036854775808 |");
    free(out);
}

static void null_is_an_absent_field(void **state)
{
    (void)state;
    assert_same("a:n,b:c", "{\"a\":null,\"b\":\"x\"}", "{\"b\":\"x\"}");
}

static void order_and_blanks_between_tokens_do_not_matter_to_values(void **state)
{
    (void)state;
    assert_same("a:n", " \t{ \"a\" :\t1.5 , \"q\" : [ 1 , { } ] } \r\n", "{\"a\":1.5,\"q\":[1,{}]}\n");
}

static void blank_lines_and_carriage_returns_hold_no_event(void **state)
{
    (void)state;
    char *out = decode("a:n", "\n  \r\n{\"a\":1}\r\n\n{\"a\":2}");
    assert_int_equal(decode_fixture_count(out, "E "), 2);
    assert_int_equal(decode_fixture_count(out, "B "), 0);
    assert_non_null(strstr(out, "= 22 6 "));
    free(out);
}

static void byte_order_mark_is_skipped_at_the_start_only(void **state)
{
    (void)state;
    char *out = decode("a:n", "\xef\xbb\xbf{\"a\":1}\n\xef\xbb\xbf{\"a\":1}\n");
    assert_int_equal(decode_fixture_count(out, "E "), 1);
    assert_non_null(strstr(out, "B 2:1 D204"));
    free(out);
}

static void wrong_type_names_field_and_column(void **state)
{
    (void)state;
    assert_bad("price:n", "{\"x\":1, \"price\":\"12,5\"}", "17 D201", "price: expected a number, found \"12,5\"");
    assert_bad("price:n", "{\"price\": 1e999}", "11 D206", "price: the number 1e999 is too large");
    assert_bad("a:s", "{\"a\":[\"x\", {\"b\":1}]}", "12 D201", "found an object");
    assert_bad("a:s", "{\"a\":[[1]]}", "7 D201", "found an array");
}

static void syntax_errors_are_placed_at_the_offending_byte(void **state)
{
    static const struct {
        const char *text, *expected, *message;
    } cases[] = {
        {"[1]", "1 D204", "expected '{', found '['"},
        {"{\"a\" 1}", "6 D204", "expected ':', found '1'"},
        {"{\"a\":1 \"b\":2}", "8 D204", "expected ',' or '}'"},
        {"{\"a\":1,}", "8 D204", "expected a field name in quotes, found '}'"},
        {"{\"a\":1", "7 D204", "found the end of the line"},
        {"{\"a\":", "6 D204", "expected a value, found the end of the line"},
        {"{\"a\":tru}", "6 D204", "expected a value, found 't'"},
        {"{\"a\":nul", "6 D204", "expected a value"},
        {"{\"a\":truex}", "10 D204", "expected ',' or '}', found 'x'"},
        {"{\"a\":01}", "6 D204", "must not start with 0"},
        {"{\"a\":-}", "7 D204", "expected a digit, found '}'"},
        {"{\"a\":-01}", "7 D204", "must not start with 0"},
        {"{\"a\":+1}", "6 D204", "expected a value, found '+'"},
        {"{\"a\":.5}", "6 D204", "expected a value, found '.'"},
        {"{\"a\":1.}", "8 D204", "expected a digit behind the decimal point"},
        {"{\"a\":1.e3}", "8 D204", "expected a digit behind the decimal point"},
        {"{\"a\":1e}", "8 D204", "expected a digit of the exponent"},
        {"{\"a\":1e+}", "9 D204", "expected a digit of the exponent"},
        {"{\"a\":NaN}", "6 D204", "expected a value, found 'N'"},
        {"{\"a\":0x10}", "7 D204", "found 'x'"},
        {"{\"a\":[1,]}", "9 D204", "expected a value, found ']'"},
        {"{\"a\":[1 2]}", "9 D204", "expected ',' or ']'"},
        {"{\"a\":\"x}", "9 D204", "no closing quote"},
        {"{\"a\":\"x\\", "9 D204", "no closing quote"},
        {"{\"a\":\"x\ty\"}", "8 D204", "control character 0x09"},
        {"{\"a\":1}x", "8 D204", "expected the end of the line, found 'x'"},
        {"{\"a\":1}{}", "8 D204", "expected the end of the line, found '{'"},
        {"{'a':1}", "2 D204", "expected a field name in quotes"},
        {"{\"a\":\x01}", "6 D204", "byte 0x01"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_bad("q:n", cases[i].text, cases[i].expected, cases[i].message);
        assert_bad(NULL, cases[i].text, cases[i].expected, cases[i].message);
    }
}

static void bad_escapes_and_bytes_are_d208(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"{\"a\":\"x\\q\"}", "8 D208"},
        {"{\"a\":\"\\u12g4\"}", "7 D208"},
        {"{\"a\":\"\\u12\"}", "7 D208"},
        {"{\"a\":\"ab\\ud800\"}", "9 D208"},
        {"{\"a\":\"\\ud800\\u0041\"}", "7 D208"},
        {"{\"a\":\"\\udc00\\ud800\"}", "7 D208"},
        {"{\"a\":\"ab\x80\"}", "9 D208"},
        {"{\"a\":\"\xc0\xaf\"}", "7 D208"},
        {"{\"a\":\"\xed\xa0\x80\"}", "7 D208"},
        {"{\"a\":\"\xf4\x90\x80\x80\"}", "7 D208"},
        {"{\"a\":\"\xe2\x82\"}", "7 D208"},
        {"{\"a\":\"\xf0\x8f\xbf\xbf\"}", "7 D208"},
        {"{\"a\":\"\xe0\x9f\xbf\"}", "7 D208"},
        {"{\"\xff\":1}", "3 D208"},
        {"{\"0123456789abcdef0123456789abcdef\xff\":1}", "35 D208"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_bad("q:n", cases[i].text, cases[i].expected, "");
}

static void duplicate_fields_are_refused_also_among_ignored_ones(void **state)
{
    (void)state;
    assert_bad("a:n", "{\"a\":1,\"a\":1}", "8 D204", "a: the field occurs twice");
    assert_bad("q:n", "{\"a\":1,\"b\":2,\"\\u0061\":3}", "14 D204", "a: the field occurs twice");
    assert_bad("q:n", "{\"o\":{\"a\":1,\"a\":1}}", "13 D204", "o.a: the field occurs twice");
    assert_bad("q:n", "{\"l\":[{\"a\":1,\"a\":1}]}", "14 D204", "the field occurs twice");
    assert_bad("o.a:n", "{\"o\":{\"a\":1},\"o.a\":1}", "20 D204", "o.a: the field occurs twice");
    assert_bad("o.a:s", "{\"o\":{\"a\":[1]},\"o.a\":[2]}", "23 D204", "o.a: the field occurs twice");
}

static void the_same_name_in_different_objects_is_no_duplicate(void **state)
{
    (void)state;
    char *out = decode("q:n", "{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}\n");
    assert_int_equal(decode_fixture_count(out, "E "), 1);
    free(out);
}

static void nesting_is_limited_to_32(void **state)
{
    (void)state;
    char text[256] = "", *at = text;
    for (int i = 0; i < 31; i++)
        at += sprintf(at, "{\"a\":");
    char *inner = at;
    strcpy(at, "{}");
    at += 2;
    memset(at, '}', 31);
    at[31] = 0;
    char *out = decode("q:n", text);
    assert_int_equal(decode_fixture_count(out, "E "), 1);
    free(out);
    strcpy(inner, "{\"a\":[");
    assert_bad("q:n", text, "161 D204", "nested deeper than 32");
}

static void ignored_fields_are_checked_as_strictly(void **state)
{
    (void)state;
    assert_bad("q:n", "{\"b\":{\"c\":[1,{\"d\":tru}]}}", "19 D204", "expected a value");
}

static void automatic_plan_skips_arrays_of_objects(void **state)
{
    (void)state;
    assert_same(NULL, "{\"a\":1,\"b\":[{\"c\":1},2]}", "{\"a\":1}");
}

static void malformed_records_do_not_disturb_their_neighbours(void **state)
{
    (void)state;
    char *out = decode("a:n", "{\"a\":1}\n{\"a\":2,\"b\"\n{\"a\":3}\n");
    assert_int_equal(decode_fixture_count(out, "E "), 2);
    assert_non_null(strstr(out, "\nB 2:11 D204 8 [{\"a\":2,\"b\"] "));
    assert_non_null(strstr(out, "= 27 4 "));
    free(out);
}

static void last_line_without_end_waits_unless_it_is_final(void **state)
{
    (void)state;
    decode_fixture fixture;
    assert_int_equal(decode_fixture_open(&fixture, &tw_format_json, NULL, "a:n", 256), TW_STATUS_OK);
    const char text[] = "{\"a\":1}";
    tw_cursor io = {.at = text, .end = text + 7, .line = 1};
    tw_builder_reset(fixture.builder, 1, 0, 0);
    assert_int_equal(fixture.ops->decode(fixture.state, &io, fixture.builder, NULL), TW_STATUS_IDLE);
    assert_ptr_equal(io.at, text);
    assert_int_equal(fixture.builder->n_events, 0);
    io.is_final = true;
    assert_int_equal(fixture.ops->decode(fixture.state, &io, fixture.builder, NULL), TW_STATUS_IDLE);
    assert_int_equal(io.offset, 7);
    assert_int_equal(fixture.builder->n_events, 1);
    assert_int_equal(fixture.builder->line, 1);
    decode_fixture_close(&fixture);
}

static void full_batch_stops_and_the_next_goes_on(void **state)
{
    (void)state;
    decode_fixture fixture;
    tw_status status;
    const char text[] = "{\"a\":1}\n{\"a\":2}\nx\n{\"a\":3}\n{\"a\":4}\n{\"a\":5}\n";
    assert_int_equal(decode_fixture_open(&fixture, &tw_format_json, NULL, "a:n", 2), TW_STATUS_OK);
    char *small = decode_fixture_run(&fixture, text, sizeof text - 1, 0, &status);
    decode_fixture_close(&fixture);
    char *large = decode("a:n", text);
    assert_string_equal(small, large);
    free(small);
    free(large);
}

static const char mixed[] = "{\"a\":1,\"b\":\"x\",\"s\":[\"p\",\"q\\n\"]}\r\n"
                            "\n{\"b\":\"\\ud83d\\ude00\xe2\x82\xac\",\"a\":-2.5e3}\n"
                            "{\"a\":\"bad\"}\n{\"a\":1,\"b\":\"\xff\"}\n{\"o\":{\"n\":7},\"a\":0.1}\n {\"a\":3";

static void cut_at_every_byte_equals_the_whole(void **state)
{
    (void)state;
    const char *columns = "a:n,b:c,s:s,o.n:n";
    char *whole = decode_cut(columns, mixed, sizeof mixed - 1, 0);
    assert_int_equal(decode_fixture_count(whole, "E "), 3);
    assert_int_equal(decode_fixture_count(whole, "B "), 3);
    for (size_t cut = 1; cut < sizeof mixed - 1; cut++) {
        char *pieces = decode_cut(columns, mixed, sizeof mixed - 1, cut);
        assert_string_equal(pieces, whole);
        free(pieces);
    }
    free(whole);
}

static void allocations_failing_in_turn_leave_errors_and_no_leak(void **state)
{
    (void)state;
    bool is_done = false;
    for (uint64_t n = 1; !is_done && n < 500; n++) {
        decode_fixture fixture;
        tw_status status;
        tw_fault_arm(TW_FAULT_ALLOC, n, ENOMEM, false);
        status = decode_fixture_open(&fixture, &tw_format_json, NULL, "a:n,b:c,s:s,o.n:n", 4);
        char *text = status < 0 ? NULL : decode_fixture_run(&fixture, mixed, sizeof mixed - 1, 0, &status);
        is_done = tw_fault_fired(TW_FAULT_ALLOC) == 0;
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_true(is_done ? status == TW_STATUS_OK : status == TW_STATUS_OK || status == TW_STATUS_NO_MEMORY);
        free(text);
        decode_fixture_close(&fixture);
    }
    assert_true(is_done);
}

static uint64_t next_random(uint64_t *seed)
{
    return tw_mix64(*seed += 0x9e3779b97f4a7c15ull);
}

static void numbers_equal_strtod(void **state)
{
    (void)state;
    uint64_t seed = 11;
    for (int i = 0; i < 200000; i++) {
        char text[64];
        uint64_t r = next_random(&seed);
        double wanted, value = 0, random;
        memcpy(&random, &r, sizeof random);
        if (i % 4 == 0 && isfinite(random))
            snprintf(text, sizeof text, "%.17g", random);
        else if (i % 4 == 1)
            snprintf(text, sizeof text, "%.*f", (int)(r % 12), (double)(int64_t)r / 1e12);
        else if (i % 4 == 2)
            snprintf(text, sizeof text, "%lld.%03llue%d", (long long)r >> (r % 60), (unsigned long long)(r % 1000),
                (int)(r % 600) - 300);
        else
            snprintf(text, sizeof text, "%lld", (long long)r >> (r % 64));
        if (text[0] == 'n')
            continue;
        tw_error error;
        tw_json_scan scan = {.at = text, .end = text + strlen(text), .limit = text + strlen(text), .error = &error};
        const char *spelling;
        size_t size;
        assert_int_equal(tw_json_number(&scan, &value, &spelling, &size), TW_STATUS_OK);
        wanted = strtod(text, NULL);
        if (memcmp(&wanted, &value, sizeof value) != 0)
            fail_msg("%s: %.17g, strtod gives %.17g", text, value, wanted);
        assert_int_equal(size, strlen(text));
    }
}

/* Changes up to three bytes of `text` to ones that JSON gives a meaning, or copies or drops some. */
static size_t mutate(char *text, size_t size, uint64_t *seed)
{
    static const char bytes[] = "{}[]\",:\\u0123456789abcdeEntrfls+-. \t\r\x01\x80\xc3\xe2\xed\xf0\xff";
    for (uint64_t n = 1 + next_random(seed) % 3; n > 0; n--) {
        uint64_t r = next_random(seed);
        size_t at = (size_t)(r >> 8) % size;
        if (r % 8 == 0 && size > 2) {
            memmove(text + at, text + at + 1, size - at - 1);
            size--;
        } else if (r % 8 == 1) {
            memmove(text + at + 1, text + at, size - at);
            size++;
        } else {
            text[at] = bytes[(r >> 40) % (sizeof bytes - 1)];
        }
    }
    return size;
}

/* jansson's word on a text; it also refuses a NUL in a string and numbers beyond a double, which JSON's grammar allows.
 */
static int jansson_accepts(const char *text, size_t size)
{
    json_error_t error;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    bool is_object = json_is_object(root);
    json_decref(root);
    if (root)
        return is_object;
    enum json_error_code code = json_error_code(&error);
    return code == json_error_numeric_overflow || code == json_error_null_character ||
                   code == json_error_null_byte_in_key
               ? -1
               : 0;
}

static void acceptance_agrees_with_jansson_on_mutations(void **state)
{
    static const char *const seeds[] = {
        "{\"a\":1,\"b\":\"x\\u00e9y\",\"c\":[1,2.5e-3,\"z\"],\"d\":{\"e\":null,\"f\":true}}",
        "{\"user\":\"u\xc3\xa9\xe2\x82\xac\",\"k\":[{\"a\":1},{\"a\":[]}],\"t\":false,\"n\":-0.0}",
        "{\"x\":\"\\ud83d\\ude00\\n\\\"\",\"y\":\"\xf0\x9f\x98\x80\",\"z\":{}}",
        "{\"a\":{\"b\":1,\"c\":2},\"aa\":{\"b\":1E+2,\"c\":[[],[{}]]}}",
    };
    (void)state;
    uint64_t seed = 5, accepted = 0, refused = 0;
    decode_fixture fixture;
    assert_int_equal(decode_fixture_open(&fixture, &tw_format_json, NULL, "unused:n", 1), TW_STATUS_OK);
    int64_t until = tw_clock_monotonic_us() + 3000000;
    for (int i = 0; i < 300000 && tw_clock_monotonic_us() < until; i++) {
        char text[256];
        const char *from = seeds[i % 4];
        size_t size = strlen(from);
        memcpy(text, from, size);
        size = mutate(text, size, &seed);
        int wanted = jansson_accepts(text, size);
        tw_cursor io = {.at = text, .end = text + size, .line = 1, .is_final = true};
        tw_builder_reset(fixture.builder, 1, 0, 0);
        assert_true(fixture.ops->decode(fixture.state, &io, fixture.builder, NULL) >= 0);
        if (wanted >= 0 && wanted != (int)fixture.builder->n_events)
            fail_msg("%.*s: jansson says %d, we say %d (%s)", (int)size, text, wanted, (int)fixture.builder->n_events,
                fixture.builder->n_bad ? fixture.builder->bad[0].message : "");
        accepted += wanted == 1;
        refused += wanted == 0;
    }
    assert_true(accepted > 1000 && refused > 1000);
    decode_fixture_close(&fixture);
}

static void random_bytes_never_break_the_decoder(void **state)
{
    (void)state;
    uint64_t seed = 9;
    int64_t until = tw_clock_monotonic_us() + 1000000;
    for (int i = 0; i < 20000 && tw_clock_monotonic_us() < until; i++) {
        char text[2 * sizeof mixed];
        memcpy(text, mixed, sizeof mixed);
        size_t size = mutate(text, sizeof mixed - 1, &seed);
        char *whole = decode_cut(i % 2 ? NULL : "a:n,b:c,s:s", text, size, 0);
        char *pieces = decode_cut(i % 2 ? NULL : "a:n,b:c,s:s", text, size, (size_t)next_random(&seed) % size);
        assert_string_equal(whole, pieces);
        free(whole);
        free(pieces);
    }
}

static void very_many_ignored_names_are_forgotten_again(void **state)
{
    (void)state;
    decode_fixture fixture;
    assert_int_equal(decode_fixture_open(&fixture, &tw_format_json, NULL, "a:n", 256), TW_STATUS_OK);
    char *first = NULL;
    for (int i = 0; i < 40000; i++) {
        char text[64];
        tw_status status;
        int size = snprintf(text, sizeof text, "{\"k%d\":1,\"a\":2,\"m%d\":1}", i, i);
        char *out = decode_fixture_run(&fixture, text, (size_t)size, 0, &status);
        if (!first)
            first = strdup(out);
        assert_int_equal(strncmp(out, first, strcspn(first, "=")), 0);
        free(out);
    }
    free(first);
    decode_fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_escape_is_decoded),
        cmocka_unit_test(nested_objects_are_dotted_names),
        cmocka_unit_test(arrays_are_sets_and_empty_ones_are_nothing),
        cmocka_unit_test(null_is_an_absent_field),
        cmocka_unit_test(order_and_blanks_between_tokens_do_not_matter_to_values),
        cmocka_unit_test(blank_lines_and_carriage_returns_hold_no_event),
        cmocka_unit_test(byte_order_mark_is_skipped_at_the_start_only),
        cmocka_unit_test(wrong_type_names_field_and_column),
        cmocka_unit_test(syntax_errors_are_placed_at_the_offending_byte),
        cmocka_unit_test(bad_escapes_and_bytes_are_d208),
        cmocka_unit_test(duplicate_fields_are_refused_also_among_ignored_ones),
        cmocka_unit_test(the_same_name_in_different_objects_is_no_duplicate),
        cmocka_unit_test(nesting_is_limited_to_32),
        cmocka_unit_test(ignored_fields_are_checked_as_strictly),
        cmocka_unit_test(automatic_plan_skips_arrays_of_objects),
        cmocka_unit_test(malformed_records_do_not_disturb_their_neighbours),
        cmocka_unit_test(last_line_without_end_waits_unless_it_is_final),
        cmocka_unit_test(full_batch_stops_and_the_next_goes_on),
        cmocka_unit_test(cut_at_every_byte_equals_the_whole),
        cmocka_unit_test(allocations_failing_in_turn_leave_errors_and_no_leak),
        cmocka_unit_test(numbers_equal_strtod),
        cmocka_unit_test(acceptance_agrees_with_jansson_on_mutations),
        cmocka_unit_test(random_bytes_never_break_the_decoder),
        cmocka_unit_test(very_many_ignored_names_are_forgotten_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
