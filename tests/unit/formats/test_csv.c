#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "support/decode_fixture.h"

extern const tw_format_ops tw_format_csv;

static char *decode_cut(
    const char *options, const char *columns, const char *bytes, size_t size, size_t cut, tw_status *status)
{
    decode_fixture fixture;
    assert_int_equal(decode_fixture_open(&fixture, &tw_format_csv, options, columns, 256), TW_STATUS_OK);
    char *text = decode_fixture_run(&fixture, bytes, size, cut, status);
    decode_fixture_close(&fixture);
    return text;
}

static char *decode(const char *options, const char *columns, const char *text)
{
    tw_status status;
    char *out = decode_cut(options, columns, text, strlen(text), 0, &status);
    assert_int_equal(status, TW_STATUS_OK);
    return out;
}

static void assert_same_events(const char *options, const char *one, const char *other_options, const char *other)
{
    char *a = decode(options, "a:c,b:c,c:n", one), *b = decode(other_options, "a:c,b:c,c:n", other);
    assert_non_null(strstr(a, "E "));
    *strstr(a, "= ") = 0;
    *strstr(b, "= ") = 0;
    assert_string_equal(a, b);
    free(a);
    free(b);
}

static void assert_bad(const char *options, const char *text, const char *expected)
{
    char *out = decode(options, "a:c,b:c,c:n", text), *bad = strstr(out, "B ");
    if (!bad || strncmp(bad + 2, expected, strlen(expected)) != 0)
        fail_msg("%s: wanted %s, got %s", text, expected, out);
    assert_null(strstr(bad + 1, "\nB "));
    free(out);
}

static void assert_start_fails(const char *options, const char *text, uint64_t line, uint64_t column, const char *code)
{
    decode_fixture fixture;
    tw_status status;
    assert_int_equal(decode_fixture_open(&fixture, &tw_format_csv, options, "a:c", 256), TW_STATUS_OK);
    free(decode_fixture_run(&fixture, text, strlen(text), 0, &status));
    assert_int_equal(status, TW_STATUS_DATA);
    assert_string_equal(fixture.error.code, code);
    assert_int_equal(fixture.error.line, line);
    assert_int_equal(fixture.error.column, column);
    decode_fixture_close(&fixture);
}

static void quoted_cells_equal_plain_ones(void **state)
{
    (void)state;
    assert_same_events(NULL, "a,b,c\n\"x\",\"y\",\"1.5\"\n", NULL, "a,b,c\nx,y,1.5\n");
    assert_same_events(NULL, "\"a\",\"b\",\"c\"\r\n\"x\",y,\"2\"\r\n", NULL, "a,b,c\nx,y,2");
}

static void doubled_quotes_delimiters_and_line_ends_stand_in_quotes(void **state)
{
    (void)state;
    assert_same_events(NULL, "a,b,c\n\"p\"\"q\",\"x,y\",1\n", "delimiter=|;quote=none", "a|b|c\np\"q|x,y|1\n");
    assert_same_events(NULL, "a,b,c\n\"\"\"\",\"\"\"\"\"\",1\n", "delimiter=|;quote=none", "a|b|c\n\"|\"\"|1\n");
    char *out = decode(NULL, "a:c,b:c,c:n", "a,b,c\n\"p\nq\r\nr\",y,1\nx,y,z\n");
    assert_int_equal(decode_fixture_count(out, "E "), 1);
    assert_non_null(strstr(out, "B 5:5 D201 "));
    free(out);
}

static void line_ends_may_be_of_either_kind_or_missing(void **state)
{
    (void)state;
    assert_same_events(NULL, "a,b,c\r\nx,y,1\r\nx,y,2", NULL, "a,b,c\nx,y,1\nx,y,2\n");
    assert_same_events(NULL, "a,b,c\nx,y,\"1\"\r\n\r\n\nx,y,\"2\"\r", NULL, "a,b,c\nx,y,1\nx,y,2\n");
}

static void byte_order_mark_is_skipped(void **state)
{
    (void)state;
    assert_same_events(NULL,
        "\xef\xbb\xbf"
        "a,b,c\nx,y,1\n",
        NULL, "a,b,c\nx,y,1\n");
    assert_same_events("header=false;columns=a,b,c", "\xef\xbb\xbfx,y,1\n", NULL, "a,b,c\nx,y,1\n");
}

static void delimiter_and_quote_are_options(void **state)
{
    (void)state;
    assert_same_events("delimiter=tab", "a\tb\tc\nx,\ty\t1\n", NULL, "a,b,c\n\"x,\",y,1\n");
    assert_same_events("quote='", "a,b,c\n'x,''',y,1\n", NULL, "a,b,c\n\"x,'\",y,1\n");
}

static void options_that_contradict_are_refused(void **state)
{
    static const char *const cases[] = {
        "delimiter=ab", "quote=ab", "delimiter=\"", "delimiter=\n", "columns=a,b,a", "columns=a,,b"};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        decode_fixture fixture;
        assert_int_equal(decode_fixture_open(&fixture, &tw_format_csv, cases[i], "a:c", 256), TW_STATUS_CONFIG);
        assert_non_null(strstr(fixture.error.message, "option"));
        decode_fixture_close(&fixture);
    }
}

static void columns_are_named_by_option_or_number_without_header(void **state)
{
    (void)state;
    assert_same_events("header=false;columns=a,b,c", "x,y,1\n", NULL, "a,b,c\nx,y,1\n");
    assert_same_events("columns=a,b,c", "u,v,w\nx,y,1\n", NULL, "a,b,c\nx,y,1\n");
    char *out = decode("header=false", "c1:n,c3:n", "1,2,3\n4,5,6\n");
    assert_int_equal(decode_fixture_count(out, "E "), 2);
    char *other = decode(NULL, "c1:n,c3:n", "c1,c2,c3\n1,2,3\n4,5,6\n");
    *strstr(out, "= ") = 0;
    *strstr(other, "= ") = 0;
    assert_string_equal(out, other);
    free(out);
    free(other);
}

static void headers_that_cannot_be_used_are_refused_with_their_place(void **state)
{
    (void)state;
    assert_start_fails(NULL, "a,b,a\n", 1, 5, "D209");
    assert_start_fails(NULL, "a,b,\"a\"\n", 1, 5, "D209");
    assert_start_fails(NULL, "a,,b\n", 1, 3, "D209");
    assert_start_fails(NULL, "\na,\"\"\n", 2, 3, "D209");
    assert_start_fails(NULL,
        "\x7f"
        "ELF\x01,x\n",
        1, 1, "D209");
    assert_start_fails(NULL, "", 1, 1, "D209");
    assert_start_fails(NULL, "\n\n", 1, 1, "D209");
    assert_start_fails(NULL, "a,b\"x\n", 1, 4, "D204");
    assert_start_fails("header=false;columns=a,b", "1,2,3\n", 1, 1, "D209");
}

static void header_waits_for_its_line_end(void **state)
{
    (void)state;
    decode_fixture fixture;
    const char text[] = "\xef\xbb\xbf"
                        "a,\"b\nb\",c\nx";
    uint64_t offset = 0, line = 0;
    assert_int_equal(decode_fixture_open(&fixture, &tw_format_csv, NULL, "a:c", 256), TW_STATUS_OK);
    for (size_t size = 0; size < 13; size++)
        assert_int_equal(fixture.ops->start(fixture.state, text, size, false, &offset, &line, NULL), TW_STATUS_IDLE);
    assert_int_equal(fixture.ops->start(fixture.state, text, 13, false, &offset, &line, NULL), TW_STATUS_OK);
    assert_int_equal(offset, 13);
    assert_int_equal(line, 2);
    decode_fixture_close(&fixture);
}

static void wide_headers_are_read_whole(void **state)
{
    (void)state;
    char text[8192], *at = text;
    for (int i = 0; i < 500; i++)
        at += sprintf(at, "%sh%d", i ? "," : "", i);
    at += sprintf(at, "\n");
    for (int i = 0; i < 500; i++)
        at += sprintf(at, "%s%d", i ? "," : "", i);
    char *out = decode(NULL, "h499:n", text);
    assert_int_equal(decode_fixture_count(out, "E "), 1);
    assert_non_null(strstr(out, ":499:"));
    free(out);
}

static void column_count_must_match(void **state)
{
    (void)state;
    assert_bad(NULL, "a,b,c\nx,y\nx,y,1\n", "2:4 D203 6 [x,y] expected 3 columns, found 2");
    assert_bad(NULL, "a,b,c\nx,y,1,\nx,y,1\n", "2:7 D203 6 [x,y,1,] expected 3 columns, found 4");
}

static void malformed_quotes_end_with_their_line(void **state)
{
    (void)state;
    assert_bad(NULL, "a,b,c\nx,y\"z,1\nx,y,1\n", "2:4 D204 6 [x,y\"z,1] a quote stands inside");
    assert_bad(NULL, "a,b,c\nx,\"y\"z,1\nx,y,1\n", "2:6 D204 6 [x,\"y\"z,1] expected a delimiter");
    assert_bad(NULL, "a,b,c\nx,\"y\n\"z,1\nx,y,1\n", "3:2 D204 ");
    assert_bad(NULL, "a,b,c\nx,\"y\"\rz,1\nx,y,1\n", "2:6 D204 ");
    assert_bad(NULL, "a,b,c\nx,\"y\"\r\"z,1\nx,y,1\n", "2:6 D204 ");
    assert_bad(NULL, "a,b,c\nx,y,1\nx,\"y,1\nx,y,1\n", "3:3 D204 12 [x,\"y,1\nx,y,1\n] the cell's opening quote");
    char *out = decode(NULL, "a:c", "a,b,c\nx,y\"z,1\nx,y,1\n");
    assert_int_equal(decode_fixture_count(out, "E "), 1);
    free(out);
}

static void wrong_values_are_placed_at_their_cell(void **state)
{
    (void)state;
    assert_bad(NULL, "a,b,c\nx,y,1\nx,\"y\ny\",\"12,5\"\n", "4:4 D201 12 [x,\"y\ny\",\"12,5\"] c: expected a number");
}

static void empty_cells_are_absent(void **state)
{
    (void)state;
    assert_same_events(NULL, "a,b,c\nx,,\n", NULL, "a\nx\n");
    assert_same_events(NULL, "a,b,c\nx,\"\",\"\"\n", NULL, "a\nx\n");
}

static void json_and_csv_give_the_same_keys(void **state)
{
    extern const tw_format_ops tw_format_json;
    (void)state;
    decode_fixture fixture;
    tw_status status;
    const char json[] = "{\"a\":\"x\",\"b\":\"p\\\"q\",\"c\":1.25}\n";
    assert_int_equal(decode_fixture_open(&fixture, &tw_format_json, NULL, "a:c,b:c,c:n", 256), TW_STATUS_OK);
    char *one = decode_fixture_run(&fixture, json, sizeof json - 1, 0, &status);
    decode_fixture_close(&fixture);
    char *other = decode(NULL, "a:c,b:c,c:n", "a,b,c\nx,\"p\"\"q\",1.25\n");
    *strstr(one, "= ") = 0;
    *strstr(other, "= ") = 0;
    assert_string_equal(one, other);
    free(one);
    free(other);
}

static const char mixed[] =
    "\xef\xbb\xbf"
    "a,\"b\",c\r\nx,y,1\r\n\"p\nq\",\"r\"\"s\",-2.5e3\n\nx,y\nx,y,bad\n\"u\"v,1,2\n"
    "a long cell that fills more than one block of the scanner,\"and, quoted, one more \"\"here\"\" \n\n too\",17\r\n"
    "x,\"\",3\nz,\"no end\n,";

static void cut_at_every_byte_equals_the_whole(void **state)
{
    (void)state;
    tw_status status;
    char *whole = decode_cut(NULL, "a:c,b:c,c:n", mixed, sizeof mixed - 1, 0, &status);
    assert_int_equal(decode_fixture_count(whole, "E "), 4);
    assert_int_equal(decode_fixture_count(whole, "B "), 4);
    for (size_t cut = 1; cut < sizeof mixed - 1; cut++) {
        char *pieces = decode_cut(NULL, "a:c,b:c,c:n", mixed, sizeof mixed - 1, cut, &status);
        assert_string_equal(pieces, whole);
        free(pieces);
    }
    free(whole);
}

static void full_batch_stops_and_the_next_goes_on(void **state)
{
    (void)state;
    decode_fixture fixture;
    tw_status status;
    assert_int_equal(decode_fixture_open(&fixture, &tw_format_csv, NULL, "a:c,b:c,c:n", 1), TW_STATUS_OK);
    char *small = decode_fixture_run(&fixture, mixed, sizeof mixed - 1, 0, &status);
    decode_fixture_close(&fixture);
    char *large = decode(NULL, "a:c,b:c,c:n", mixed);
    assert_string_equal(small, large);
    free(small);
    free(large);
}

static void allocations_failing_in_turn_leave_errors_and_no_leak(void **state)
{
    (void)state;
    bool is_done = false;
    for (uint64_t n = 1; !is_done && n < 500; n++) {
        decode_fixture fixture;
        tw_status status;
        tw_fault_arm(TW_FAULT_ALLOC, n, ENOMEM, false);
        status = decode_fixture_open(&fixture, &tw_format_csv, "columns=a,b,c", "a:c,b:c,c:n", 4);
        char *text = status < 0 ? NULL : decode_fixture_run(&fixture, mixed, sizeof mixed - 1, 0, &status);
        is_done = tw_fault_fired(TW_FAULT_ALLOC) == 0;
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_true(is_done ? status == TW_STATUS_OK : status == TW_STATUS_OK || status == TW_STATUS_NO_MEMORY);
        free(text);
        decode_fixture_close(&fixture);
    }
    assert_true(is_done);
}

/* --- a second, slow reading of the same rules: records as texts of cells ------------------------------------------ */

/* One well-formed record of random cells, quoted at random where they need not be; `plain` gets the cells separated by
 * the byte 1, which no cell holds. */
static size_t write_record(char *out, char *plain, uint64_t *seed)
{
    static const char bytes[] = "ab ,\"\n\r\xc3\xa9x";
    char *at = out, *p = plain;
    for (int cell = 0; cell < 3; cell++) {
        char text[96];
        uint64_t r = tw_mix64(++*seed);
        size_t n = 1 + r % (r % 7 == 0 ? 90 : 6);
        bool needs_quotes = false;
        for (size_t i = 0; i < n; i++) {
            text[i] = bytes[tw_mix64(++*seed) % (sizeof bytes - 1)];
            needs_quotes |= strchr(",\"\n\r", text[i]) != NULL;
        }
        memcpy(p, text, n);
        p += n;
        *p++ = cell < 2 ? 1 : '\n';
        bool is_quoted = needs_quotes || (r >> 20) % 2;
        *at = '"';
        at += is_quoted;
        for (size_t i = 0; i < n; i++) {
            *at = '"';
            at += is_quoted && text[i] == '"';
            *at++ = text[i];
        }
        *at = '"';
        at += is_quoted;
        *at++ = cell < 2 ? ',' : '\n';
    }
    *p = 0;
    return (size_t)(at - out);
}

static void cells_equal_what_was_written(void **state)
{
    (void)state;
    uint64_t seed = 3;
    for (int i = 0; i < 3000; i++) {
        char record[1024] = "a,b,c\n", plain[512], *cell[3];
        tw_status status;
        size_t size = 6 + write_record(record + 6, plain, &seed);
        cell[0] = plain;
        cell[1] = strchr(cell[0], 1) + 1;
        cell[2] = strchr(cell[1], 1) + 1;
        cell[1][-1] = cell[2][-1] = cell[2][strlen(cell[2]) - 1] = 0;
        char *found = decode_cut(NULL, "a:c,b:c,c:c", record, size, 0, &status);
        assert_int_equal(decode_fixture_count(found, "E "), 1);
        for (int j = 0; j < 3; j++) {
            /* The cell's key from the plan itself. */
            decode_fixture fixture;
            char key[32];
            assert_int_equal(decode_fixture_open(&fixture, &tw_format_csv, NULL, "a:c,b:c,c:c", 1), TW_STATUS_OK);
            int handle;
            char name[2] = {(char)('a' + j), 0};
            assert_int_equal(tw_plan_resolve(fixture.plan, name, 1, &handle, NULL), TW_STATUS_OK);
            tw_event event;
            tw_builder_reset(fixture.builder, 1, 0, 0);
            tw_event_begin(&event, fixture.plan, fixture.builder);
            assert_int_equal(tw_event_text(&event, handle, cell[j], strlen(cell[j]), NULL), TW_STATUS_OK);
            assert_int_equal(tw_event_end(&event, 1, 1, NULL), TW_STATUS_OK);
            snprintf(key, sizeof key, " %016llx:", (unsigned long long)fixture.builder->key[0]);
            if (!strstr(found, key))
                fail_msg("cell %d of %s is not %s", j, record, cell[j]);
            decode_fixture_close(&fixture);
        }
        free(found);
    }
}

static void random_bytes_never_break_the_decoder(void **state)
{
    static const char bytes[] = "\",\n\r\"a1.\xef\x01";
    (void)state;
    uint64_t seed = 9;
    int64_t until = tw_clock_monotonic_us() + 2000000;
    for (int i = 0; i < 30000 && tw_clock_monotonic_us() < until; i++) {
        char text[sizeof mixed];
        tw_status one, other;
        memcpy(text, mixed, sizeof mixed);
        for (int j = 0; j < 1 + i % 3; j++) {
            uint64_t r = tw_mix64(++seed);
            text[(r >> 8) % (sizeof mixed - 1)] = bytes[(r >> 40) % (sizeof bytes - 1)];
        }
        size_t size = 1 + tw_mix64(++seed) % (sizeof mixed - 1), cut = tw_mix64(++seed) % size;
        char *whole = decode_cut(NULL, i % 2 ? NULL : "a:c,c:n", text, size, 0, &one);
        char *pieces = decode_cut(NULL, i % 2 ? NULL : "a:c,c:n", text, size, cut, &other);
        assert_string_equal(whole, pieces);
        assert_int_equal(one, other);
        free(whole);
        free(pieces);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoted_cells_equal_plain_ones),
        cmocka_unit_test(doubled_quotes_delimiters_and_line_ends_stand_in_quotes),
        cmocka_unit_test(line_ends_may_be_of_either_kind_or_missing),
        cmocka_unit_test(byte_order_mark_is_skipped),
        cmocka_unit_test(delimiter_and_quote_are_options),
        cmocka_unit_test(options_that_contradict_are_refused),
        cmocka_unit_test(columns_are_named_by_option_or_number_without_header),
        cmocka_unit_test(headers_that_cannot_be_used_are_refused_with_their_place),
        cmocka_unit_test(header_waits_for_its_line_end),
        cmocka_unit_test(wide_headers_are_read_whole),
        cmocka_unit_test(column_count_must_match),
        cmocka_unit_test(malformed_quotes_end_with_their_line),
        cmocka_unit_test(wrong_values_are_placed_at_their_cell),
        cmocka_unit_test(empty_cells_are_absent),
        cmocka_unit_test(json_and_csv_give_the_same_keys),
        cmocka_unit_test(cut_at_every_byte_equals_the_whole),
        cmocka_unit_test(full_batch_stops_and_the_next_goes_on),
        cmocka_unit_test(allocations_failing_in_turn_leave_errors_and_no_leak),
        cmocka_unit_test(cells_equal_what_was_written),
        cmocka_unit_test(random_bytes_never_break_the_decoder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
