#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "data/builder.h"

static tw_builder *make(uint32_t max_events)
{
    tw_builder *out = NULL;
    tw_error error;
    assert_int_equal(tw_builder_create(max_events, 0, &out, &error), TW_STATUS_OK);
    tw_builder_reset(out, 9, 100, 5);
    return out;
}

static void committed_entries_are_in_the_view_and_dropped_ones_are_not(void **state)
{
    (void)state;
    tw_builder *out = make(2);
    assert_int_equal(tw_builder_entry(out, 11, 1.0f, 1, NULL), TW_STATUS_OK);
    tw_builder_drop(out);
    assert_int_equal(tw_builder_entry(out, 22, 2.0f, 2, NULL), TW_STATUS_OK);
    assert_int_equal(tw_builder_entry(out, 33, 3.0f, 3, NULL), TW_STATUS_OK);
    tw_builder_commit(out, 1.0f, 0.5f, 77, 140, 6);
    tw_batch batch = tw_builder_batch(out);
    assert_int_equal(batch.n_events, 1);
    assert_int_equal(batch.n_entries, 2);
    assert_true(batch.key[0] == 22 && batch.value[1] == 3.0f && batch.field[1] == 3);
    assert_true(batch.row_start[0] == 0 && batch.row_start[1] == 2);
    assert_true(batch.label[0] == 1.0f && batch.weight[0] == 0.5f && batch.time_us[0] == 77);
    assert_true(batch.split == 9 && batch.from == 100 && batch.to == 140 && out->n_bytes == 40);
    assert_false(tw_builder_is_full(out));
    tw_builder_commit(out, 0.0f, 1.0f, 0, 150, 7);
    assert_true(tw_builder_is_full(out));
    tw_builder_destroy(&out);
    assert_null(out);
}

static void slices_follow_one_another_without_a_gap(void **state)
{
    (void)state;
    tw_builder *out = make(3);
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t e = 0; e <= i; e++)
            assert_int_equal(tw_builder_entry(out, 10 * i + e + 1, (float)e, (uint16_t)i, NULL), TW_STATUS_OK);
        tw_builder_commit(out, (float)i, 1.0f, (int64_t)i, 110 + 10 * i, 6 + i);
    }
    tw_builder_skip(out, 150, 9);
    uint32_t row_start[4];
    tw_batch first = tw_builder_slice(out, 0, 1, row_start);
    assert_true(first.from == 100 && first.to == 110 && first.n_events == 1 && first.n_entries == 1);
    tw_batch rest = tw_builder_slice(out, 1, 3, row_start);
    assert_true(rest.from == 110 && rest.to == 150 && rest.n_events == 2 && rest.n_entries == 5);
    assert_true(row_start[0] == 0 && row_start[1] == 2 && row_start[2] == 5);
    assert_true(rest.key[0] == 11 && rest.key[2] == 21 && rest.field[4] == 2 && rest.value[1] == 1.0f);
    assert_true(rest.label[1] == 2.0f && rest.time_us[0] == 1 && rest.split == 9);
    tw_builder_destroy(&out);
}

static void entries_survive_growth(void **state)
{
    (void)state;
    tw_builder *out = make(1);
    for (uint32_t i = 0; i < 5000; i++)
        assert_int_equal(tw_builder_entry(out, i + 1, (float)i, (uint16_t)i, NULL), TW_STATUS_OK);
    tw_builder_commit(out, 0, 1, 0, 1, 1);
    for (uint32_t i = 0; i < 5000; i++)
        assert_true(out->key[i] == i + 1 && out->value[i] == (float)i && out->field[i] == (uint16_t)i);
    tw_builder_destroy(&out);
}

static void an_event_of_too_many_entries_is_refused(void **state)
{
    (void)state;
    tw_builder *out = make(1);
    tw_error error = {0};
    assert_int_equal(tw_builder_reserve(out, TW_EVENT_MAX_ENTRIES, &error), TW_STATUS_OK);
    assert_int_equal(tw_builder_reserve(out, TW_EVENT_MAX_ENTRIES + 1, &error), TW_STATUS_INVALID);
    assert_string_equal(error.code, "D207");
    tw_builder_destroy(&out);
}

static void failed_growth_keeps_what_was_there(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 3; nth++) {
        tw_builder *out = make(1);
        tw_error error = {0};
        while (out->n_pending < out->capacity_entries)
            tw_builder_put(out, out->n_pending + 1, 1.0f, 0);
        uint32_t n = out->n_pending;
        tw_fault_arm(TW_FAULT_ALLOC, nth, ENOMEM, false);
        assert_int_equal(tw_builder_entry(out, 1, 1.0f, 0, &error), TW_STATUS_NO_MEMORY);
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_int_equal(out->n_pending, n);
        assert_int_equal(tw_builder_entry(out, 4711, 1.0f, 0, &error), TW_STATUS_OK);
        assert_true(out->key[n - 1] == n && out->key[n] == 4711);
        tw_builder_destroy(&out);
    }
}

static void bad_records_keep_their_bytes_through_growth_up_to_the_limit(void **state)
{
    (void)state;
    tw_builder *out = make(1);
    static char bytes[TW_BAD_RECORD_MAX + 100];
    memset(bytes, 'b', sizeof bytes);
    for (uint32_t i = 0; i < TW_BATCH_MAX_BAD; i++) {
        assert_false(tw_builder_is_full(out));
        bytes[0] = (char)('a' + i % 26);
        tw_bad_record bad = {.bytes = bytes, .size = i == 3 ? sizeof bytes : i % 40, .line = i, .code = "D204"};
        tw_builder_bad(out, &bad, 101 + i, i);
    }
    assert_true(tw_builder_is_full(out));
    assert_int_equal(out->bad[3].size, TW_BAD_RECORD_MAX);
    for (uint32_t i = 0; i < TW_BATCH_MAX_BAD; i++) {
        assert_int_equal(out->bad[i].line, i);
        assert_true(i == 3 || out->bad[i].size == i % 40);
        if (out->bad[i].size > 0)
            assert_int_equal(out->bad[i].bytes[0], 'a' + i % 26);
        assert_int_equal(out->bad[i].bytes[out->bad[i].size], 0);
    }
    assert_true(out->to == 100 + TW_BATCH_MAX_BAD);
    tw_builder_destroy(&out);
}

static void a_bad_record_without_memory_says_so(void **state)
{
    (void)state;
    tw_builder *out = make(1);
    tw_bad_record bad = {.bytes = "abc", .size = 3, .message = "no"};
    tw_fault_arm(TW_FAULT_ALLOC, 1, ENOMEM, true);
    tw_builder_bad(out, &bad, 104, 6);
    tw_fault_disarm(TW_FAULT_ALLOC);
    tw_builder_bad(out, &bad, 108, 7);
    assert_int_equal(out->n_bad, 2);
    assert_null(out->bad[0].bytes);
    assert_non_null(strstr(out->bad[0].message, "out of memory"));
    assert_string_equal(out->bad[1].bytes, "abc");
    assert_true(out->to == 108 && out->line == 7);
    tw_builder_destroy(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(committed_entries_are_in_the_view_and_dropped_ones_are_not),
        cmocka_unit_test(slices_follow_one_another_without_a_gap),
        cmocka_unit_test(entries_survive_growth),
        cmocka_unit_test(an_event_of_too_many_entries_is_refused),
        cmocka_unit_test(failed_growth_keeps_what_was_there),
        cmocka_unit_test(bad_records_keep_their_bytes_through_growth_up_to_the_limit),
        cmocka_unit_test(a_bad_record_without_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
