#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Rules of the line formats vw, libsvm and tsv-criteo, and what holds for all three. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "data/key.h"
#include "data/number.h"
#include "support/decode_text.h"

extern const tw_format_ops tw_format_vw, tw_format_libsvm, tw_format_tsv_criteo, tw_format_json, tw_format_csv;

static decoded got, whole;

static const tw_plan_spec binary = {.label_kind = TW_LABEL_BINARY};

static void decode(const tw_format_ops *format, const tw_plan_spec *spec, const char *text)
{
    decode_text(format, spec, text, strlen(text), strlen(text), 256, &got);
    assert_int_equal(got.status, TW_STATUS_IDLE);
    assert_true(got.to == strlen(text));
}

static uint64_t text_key(const char *field, const char *name)
{
    return tw_key_of_text(tw_key_field_seed(0, field, strlen(field) + 1), name, strlen(name));
}

static void assert_entry(uint32_t i, uint64_t key, float value)
{
    assert_true(i < got.n_entries);
    assert_true(got.key[i] == key);
    assert_true(got.value[i] == value);
}

/* The line is malformed at `column`; the good lines around it are events. */
static void assert_bad(
    const tw_format_ops *format, const char *good, const char *line, const char *code, uint64_t column)
{
    static char text[4096];
    snprintf(text, sizeof text, "%s\n%s\n%s\n", good, line, good);
    decode(format, &binary, text);
    if (got.n_bad != 1 || got.n_events != 2)
        fail_msg("\"%s\": %u bad, %u events", line, got.n_bad, got.n_events);
    if (strcmp(got.bad[0].code, code) != 0 || got.bad[0].column != column)
        fail_msg("\"%s\": %s at %d: %s", line, got.bad[0].code, (int)got.bad[0].column, got.bad[0].message);
    assert_int_equal(got.bad[0].line, 2);
    assert_int_equal(got.bad[0].size, strlen(line));
    assert_true(got.bad[0].message[0] != '\0');
}

static void vw_reads_labels_importance_tags_and_namespaces(void **state)
{
    (void)state;
    decode(&tw_format_vw, &binary,
        "1 2.5 'tag|a x:0.5 y |b:2 z:3 w |  7 name:4\r\n"
        "\n"
        "-1 |a x:0\n"
        "tag|a q\n"
        "  0\t1e1\t|a");
    assert_int_equal(got.n_bad, 0);
    assert_int_equal(got.n_events, 4);
    assert_true(got.label[0] == 1 && got.label[1] == 0 && isnan(got.label[2]) && got.label[3] == 0);
    assert_true(got.weight[0] == 2.5f && got.weight[1] == 1.0f && got.weight[3] == 10.0f);
    assert_int_equal(got.row_start[1], 6);
    assert_entry(0, text_key("a", "x"), 0.5f);
    assert_entry(1, text_key("a", "y"), 1.0f);
    assert_entry(2, text_key("b", "z"), 6.0f);
    assert_entry(3, text_key("b", "w"), 2.0f);
    assert_entry(4, tw_key_of_index(0, 7), 1.0f);
    assert_entry(5, text_key("", "name"), 4.0f);
    assert_int_equal(got.row_start[2], 6);
    assert_entry(6, text_key("a", "q"), 1.0f);
    assert_true(got.field[0] == got.field[1] && got.field[0] != got.field[2] && got.field[4] == 0);
    assert_int_equal(got.line, 6);
}

static void vw_reads_many_names_of_all_lengths_with_short_long_and_zero_values(void **state)
{
    (void)state;
    enum { N = 1500 };
    static const char *const values[] = {"", ":0", ":0.5", ":1234567.25", ":-3e-2", ":7", ":00000000"};
    static const float numbers[] = {2.0f, 0.0f, 1.0f, 2469134.5f, -0.06f, 14.0f, 0.0f};
    static char text[64 * N], name[N][32];
    size_t size = (size_t)sprintf(text, "1 |wide:2 ");
    for (int i = 0; i < N; i++) {
        sprintf(name[i], "%.*s%d", i % 20, "abcdefghijklmnopqrst", i % 7);
        size += (size_t)sprintf(text + size, "%s%s%s", name[i], values[i % 7], i % 11 == 0 ? "\t  " : " ");
    }
    sprintf(text + size, "|wide last");
    decode(&tw_format_vw, &binary, text);
    assert_int_equal(got.n_bad, 0);
    uint32_t n = 0;
    for (int i = 0; i < N; i++) {
        if (numbers[i % 7] != 0.0f)
            assert_entry(n++, text_key("wide", name[i]), numbers[i % 7]);
    }
    assert_entry(n++, text_key("wide", "last"), 1.0f);
    assert_int_equal(got.n_entries, n);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(got.field[i], got.field[0]);
}

static void vw_names_the_place_of_what_it_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *line, *code;
        uint64_t column;
    } cases[] = {{"1 x y", "D204", 1}, {"2 | a", "D202", 1}, {"1 -1 | a", "D210", 3}, {"1 1 0.5 | a", "D204", 5},
        {"1 | a:b", "D201", 7}, {"1 | a:", "D201", 7}, {"1 | a:nan", "D206", 7}, {"1 | a:1e999", "D206", 7},
        {"1 | a:1e39", "D206", 5}, {"1 | a:1:2", "D204", 8}, {"1 | :1", "D204", 5}, {"1 |n b a:c", "D201", 10},
        {"1 |n b :1 c", "D204", 8}, {"1 |n b a:1:2 c", "D204", 11}, {"1 |n a:1e39", "D206", 6}, {"1 |n a:.", "D201", 8},
        {"1 |:2 a", "D204", 4}, {"1| a", "D204", 1}, {"1 |a:x b", "D201", 6}, {"1 | a\rb", "D204", 6}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_bad(&tw_format_vw, "1 | a", cases[i].line, cases[i].code, cases[i].column);
}

static void vw_namespaces_cross(void **state)
{
    (void)state;
    const tw_cross_spec cross = {2, {"a", "b"}};
    const tw_plan_spec spec = {.label_kind = TW_LABEL_BINARY, .cross = &cross, .n_crosses = 1};
    decode(&tw_format_vw, &spec, "1 |b y:3 |a x:2\n");
    assert_int_equal(got.n_entries, 3);
    assert_entry(2, tw_key_cross(text_key("a", "x"), text_key("b", "y")), 6.0f);
}

static void vw_takes_default_features_as_declared_columns(void **state)
{
    (void)state;
    const tw_column_spec columns[] = {
        {.field = "5", .kind = TW_COLUMN_NUMERIC, .is_scaled = true}, {.field = "c", .kind = TW_COLUMN_CATEGORICAL}};
    const tw_plan_spec spec = {.label_kind = TW_LABEL_BINARY, .column = columns, .n_columns = 2};
    decode(&tw_format_vw, &spec, "1 | 5:0 6:1 |c red |d blue\n");
    assert_int_equal(got.n_bad, 0);
    assert_int_equal(got.n_entries, 2);
    assert_entry(0, tw_key_of_index(0, 5), 0.0f);
    assert_entry(1, text_key("c", "red"), 1.0f);
}

static void dense_rows_go_by_index_in_vw_and_libsvm(void **state)
{
    (void)state;
    const tw_plan_spec spec = {.is_dense = true, .dense_width = 3};
    decode(&tw_format_vw, &spec, "| 0:1 2:2\n| 3:1\n| 1:4\n");
    assert_int_equal(got.n_events, 2);
    assert_string_equal(got.bad[0].code, "D209");
    assert_true(got.dense[0] == 1 && got.dense[1] == 0 && got.dense[2] == 2 && got.dense[8] == 0 && got.dense[9] == 4);
    decode(&tw_format_libsvm, &spec, "1 0:1 2:2\n0 3:1\n0 1:4\n");
    assert_int_equal(got.n_events, 2);
    assert_string_equal(got.bad[0].code, "D209");
    assert_true(got.dense[0] == 1 && got.dense[1] == 0 && got.dense[2] == 2 && got.dense[8] == 0 && got.dense[9] == 4);
}

static void libsvm_reads_unsorted_indexes_comments_and_blank_lines(void **state)
{
    (void)state;
    decode(&tw_format_libsvm, &binary, "# head\n+1 7:0.5 0:2 5:0  # note 9:1\n\n-1\r\n0 4294967296:1e0#x");
    assert_int_equal(got.n_bad, 0);
    assert_int_equal(got.n_events, 3);
    assert_true(got.label[0] == 1 && got.label[1] == 0 && got.label[2] == 0);
    assert_int_equal(got.n_entries, 3);
    assert_entry(0, tw_key_of_index(0, 7), 0.5f);
    assert_entry(1, tw_key_of_index(0, 0), 2.0f);
    assert_entry(2, tw_key_of_index(0, 4294967296u), 1.0f);
}

static void libsvm_names_the_place_of_what_it_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *line, *code;
        uint64_t column;
    } cases[] = {{"1 qid:3 1:1", "D204", 3}, {"1,2 1:1", "D202", 1}, {"3 1:1", "D202", 1}, {"1:1 2:1", "D205", 1},
        {"1 a:1", "D204", 3}, {"1 01:1", "D204", 3}, {"1 -1:1", "D204", 3}, {"1 1:x", "D201", 5},
        {"1 1:inf", "D206", 5}, {"1 1:2:3", "D204", 6}, {"1 5", "D204", 3}, {"1 1:", "D201", 5},
        {"nan 1:1", "D206", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_bad(&tw_format_libsvm, "1 1:1", cases[i].line, cases[i].code, cases[i].column);
}

static void vw_and_libsvm_of_the_same_events_are_the_same_batches(void **state)
{
    (void)state;
    decode(&tw_format_vw, &binary, "1 | 5:1 7:0.5\n-1 | 3:0 4:2.25\n0 | 9\n");
    whole = got;
    decode(&tw_format_libsvm, &binary, "1 5:1 7:0.5\n-1 3:0 4:2.25\n0 9:1\n");
    whole.to = got.to;
    assert_true(decoded_equal(&whole, &got));
}

/* Labels, entry counts, keys and values; field ids may differ between formats. */
static void assert_same_as_whole(void)
{
    assert_int_equal(got.n_bad, 0);
    assert_int_equal(got.n_events, whole.n_events);
    assert_memory_equal(got.row_start, whole.row_start, sizeof got.row_start);
    assert_memory_equal(got.key, whole.key, sizeof got.key);
    assert_memory_equal(got.value, whole.value, sizeof got.value);
    assert_memory_equal(got.label, whole.label, sizeof got.label);
    assert_memory_equal(got.weight, whole.weight, sizeof got.weight);
}

static void json_and_csv_of_the_same_events_have_the_same_keys_and_values(void **state)
{
    (void)state;
    decode(&tw_format_vw, &binary, "1 | 5:1 7:0.30000000000000004\n0 | 7:-2.5e-3\n");
    whole = got;
    decode(&tw_format_json, &binary,
        "{\"5\":1,\"7\":0.30000000000000004,\"label\":1}\n{\"label\":0,\"5\":0,\"7\":-2.5e-3}\n");
    assert_same_as_whole();
    decode(&tw_format_csv, &binary, "label,5,7\n1,1,0.30000000000000004\n0,,-2.5e-3\n");
    assert_same_as_whole();
    decode(&tw_format_libsvm, &binary, "1 5:1 7:0.30000000000000004\n0 5:0 7:-2.5e-3\n");
    assert_same_as_whole();
}

static const char *criteo_line(const char *label, const char *i1, const char *i2, const char *c1)
{
    static char text[256];
    snprintf(text, sizeof text, "%s\t%s\t%s%s%s%s", label, i1, i2, "\t\t\t\t\t\t\t\t\t\t\t\t", c1,
        "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t");
    return text;
}

static void criteo_takes_signed_logs_of_counts_and_hashes_categories(void **state)
{
    (void)state;
    decode(&tw_format_tsv_criteo, &binary, criteo_line("1", "2000", "-2", "68fd1e64"));
    assert_int_equal(got.n_bad, 0);
    assert_int_equal(got.n_entries, 3);
    assert_entry(0, text_key("", "I1"), (float)log(2001.0));
    assert_entry(1, text_key("", "I2"), (float)-log(3.0));
    assert_entry(2, text_key("C1", "68fd1e64"), 1.0f);
}

static void criteo_gives_declared_columns_the_integer_itself(void **state)
{
    (void)state;
    const tw_column_spec columns[] = {{.field = "I2", .kind = TW_COLUMN_NUMERIC}};
    const tw_plan_spec spec = {.label_kind = TW_LABEL_BINARY, .column = columns, .n_columns = 1};
    decode(&tw_format_tsv_criteo, &spec, criteo_line("0", "5", "-2", "aa"));
    assert_int_equal(got.n_entries, 1);
    assert_entry(0, text_key("", "I2"), -2.0f);
}

static void criteo_names_the_place_of_what_it_refuses(void **state)
{
    (void)state;
    char good[256], line[300];
    snprintf(good, sizeof good, "%s", criteo_line("1", "1", "", "a"));
    assert_bad(&tw_format_tsv_criteo, good, "1\t2\t3", "D203", 6);
    snprintf(line, sizeof line, "%s\tx", good);
    assert_bad(&tw_format_tsv_criteo, good, line, "D203", strlen(good) + 1);
    snprintf(line, sizeof line, "%s", criteo_line("1", "x", "", ""));
    assert_bad(&tw_format_tsv_criteo, good, line, "D201", 3);
    snprintf(line, sizeof line, "%s", criteo_line("7", "", "", ""));
    assert_bad(&tw_format_tsv_criteo, good, line, "D202", 1);
    snprintf(line, sizeof line, "%s", criteo_line("", "", "", ""));
    assert_bad(&tw_format_tsv_criteo, good, line, "D205", 0);
}

typedef struct sample {
    const tw_format_ops *format;
    const char *text;
} sample;

static const char vw_sample[] =
    "1 2 'a|ns x:0.5 y |b:2 z\r\n\n2 | bad\n-1 |ns x:1e-3 |long_namespace_name_of_more_than_"
    "forty_characters_in_all f:1\n| 12:3 q\n1 | a:b\n0 |c 68fd1e64 80e26c9b\n1 |x last:7";
static const char svm_sample[] = "# c\n1 1:0.5 7:2 # x\r\n\n0 3:1e5\nbad 1:1\n1 2\n-1 9:12.25 10:1\n0 4:4";
static const char tsv_sample[] =
    "1\t2\t\t\t\t\t\t\t\t\t\t\t\t\ta\tb\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\r\n1\t2\n\n"
    "0\t-2\t5\t\t\t\t\t\t\t\t\t\t\t\ta\tb\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\tzz";

static const sample samples[] = {
    {&tw_format_vw, vw_sample}, {&tw_format_libsvm, svm_sample}, {&tw_format_tsv_criteo, tsv_sample}};

static void a_split_cut_at_any_byte_decodes_as_the_whole(void **state)
{
    (void)state;
    for (size_t s = 0; s < 3; s++) {
        size_t size = strlen(samples[s].text);
        decode_text(samples[s].format, &binary, samples[s].text, size, size, 256, &whole);
        assert_true(whole.n_events > 1 && whole.n_bad > 0);
        for (size_t cut = 0; cut < size; cut++) {
            decode_text(samples[s].format, &binary, samples[s].text, size, cut, 256, &got);
            if (!decoded_equal(&whole, &got))
                fail_msg("%s differs when cut at %zu", samples[s].format->name, cut);
        }
    }
}

static void the_batch_size_does_not_change_the_events(void **state)
{
    (void)state;
    for (size_t s = 0; s < 3; s++) {
        size_t size = strlen(samples[s].text);
        decode_text(samples[s].format, &binary, samples[s].text, size, size, 256, &whole);
        for (uint32_t max_events = 1; max_events < whole.n_events; max_events++) {
            decode_text(samples[s].format, &binary, samples[s].text, size, size, max_events, &got);
            assert_true(decoded_equal(&whole, &got));
            assert_true(got.n_batches > whole.n_batches);
        }
    }
}

static void an_unterminated_line_waits_until_the_end(void **state)
{
    (void)state;
    tw_plan *plan = NULL;
    tw_builder *out = NULL;
    void *memory = calloc(1, tw_format_vw.state_size(NULL));
    assert_int_equal(tw_plan_create(&binary, &plan, NULL), TW_STATUS_OK);
    assert_int_equal(tw_builder_create(4, 0, &out, NULL), TW_STATUS_OK);
    assert_int_equal(tw_format_vw.open(memory, NULL, plan, NULL, NULL), TW_STATUS_OK);
    const char text[] = "1 | a\n1 | b";
    tw_cursor io = {text, text + strlen(text), 0, 1, false};
    assert_int_equal(tw_format_vw.decode(memory, &io, out, NULL), TW_STATUS_IDLE);
    assert_true(io.offset == 6 && io.line == 2 && out->n_events == 1 && out->n_pending == 0);
    io.is_final = true;
    assert_int_equal(tw_format_vw.decode(memory, &io, out, NULL), TW_STATUS_IDLE);
    assert_true(io.offset == strlen(text) && out->n_events == 2);
    tw_format_vw.close(memory);
    free(memory);
    tw_builder_destroy(&out);
    tw_plan_destroy(&plan);
}

static void mutated_text_never_crashes_and_is_wholly_consumed(void **state)
{
    (void)state;
    srand(7);
    int64_t stop = tw_clock_monotonic_us() + 2000000;
    while (tw_clock_monotonic_us() < stop) {
        const sample *s = &samples[rand() % 3];
        char text[1024];
        size_t size = strlen(s->text);
        memcpy(text, s->text, size);
        for (int i = rand() % 12; i >= 0; i--) {
            size_t at = (size_t)rand() % size;
            text[at] = (char)(rand() % 2 == 0 ? "\0\n\r\t :|#.-e'"[rand() % 12] : rand());
        }
        if (rand() % 2 == 0)
            size = (size_t)rand() % size + 1;
        decode_text(s->format, &binary, text, size, (size_t)rand() % (size + 1), 1 + (uint32_t)rand() % 4, &got);
        assert_int_equal(got.status, TW_STATUS_IDLE);
        assert_true(got.to == size);
        for (uint32_t i = 0; i < got.n_entries; i++)
            assert_true(got.key[i] != 0 && isfinite(got.value[i]));
    }
}

static void every_failing_allocation_is_an_error_value(void **state)
{
    (void)state;
    for (size_t s = 0; s < 3; s++) {
        size_t size = strlen(samples[s].text);
        for (uint64_t nth = 1;; nth++) {
            tw_fault_arm(TW_FAULT_ALLOC, nth, ENOMEM, true);
            decode_text(samples[s].format, &binary, samples[s].text, size, size, 4, &got);
            bool has_fired = tw_fault_fired(TW_FAULT_ALLOC) > 0;
            tw_fault_disarm(TW_FAULT_ALLOC);
            if (!has_fired)
                break;
            /* Bytes of malformed records may be left out without an error. */
            assert_true(got.status == TW_STATUS_NO_MEMORY || got.n_bad > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vw_reads_labels_importance_tags_and_namespaces),
        cmocka_unit_test(vw_reads_many_names_of_all_lengths_with_short_long_and_zero_values),
        cmocka_unit_test(vw_names_the_place_of_what_it_refuses),
        cmocka_unit_test(vw_namespaces_cross),
        cmocka_unit_test(vw_takes_default_features_as_declared_columns),
        cmocka_unit_test(dense_rows_go_by_index_in_vw_and_libsvm),
        cmocka_unit_test(libsvm_reads_unsorted_indexes_comments_and_blank_lines),
        cmocka_unit_test(libsvm_names_the_place_of_what_it_refuses),
        cmocka_unit_test(vw_and_libsvm_of_the_same_events_are_the_same_batches),
        cmocka_unit_test(json_and_csv_of_the_same_events_have_the_same_keys_and_values),
        cmocka_unit_test(criteo_takes_signed_logs_of_counts_and_hashes_categories),
        cmocka_unit_test(criteo_gives_declared_columns_the_integer_itself),
        cmocka_unit_test(criteo_names_the_place_of_what_it_refuses),
        cmocka_unit_test(a_split_cut_at_any_byte_decodes_as_the_whole),
        cmocka_unit_test(the_batch_size_does_not_change_the_events),
        cmocka_unit_test(an_unterminated_line_waits_until_the_end),
        cmocka_unit_test(mutated_text_never_crashes_and_is_wholly_consumed),
        cmocka_unit_test(every_failing_allocation_is_an_error_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
