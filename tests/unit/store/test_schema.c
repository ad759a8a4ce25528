#include <math.h>

#include "store_support.h"

static void fields_lie_behind_each_other_at_their_alignment(void **state)
{
    (void)state;
    tw_record record = {0};
    OK(tw_record_add(&record, "a", TW_FIELD_F32, 1, TW_MERGE_ADD, NULL));
    OK(tw_record_add(&record, "b", TW_FIELD_U64, 2, TW_MERGE_MAX, NULL));
    OK(tw_record_add(&record, "c", TW_FIELD_U32, 1, TW_MERGE_MIN, NULL));
    assert_int_equal(record.field[1].offset, 8);
    assert_int_equal(record.field[2].offset, 24);
    assert_int_equal(record.size, 32);
    assert_int_equal(tw_record_add(&record, "a", TW_FIELD_F32, 1, TW_MERGE_ADD, NULL), TW_STATUS_INVALID);
    assert_int_equal(tw_record_add(&record, "d", TW_FIELD_F32, 1 << 30, TW_MERGE_ADD, NULL), TW_STATUS_INVALID);
}

static void an_encoded_schema_decodes_to_itself(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0.25);
    unsigned char bytes[1024];
    size_t size = tw_schema_encode(&spec.schema, bytes, sizeof bytes);
    assert_true(size < sizeof bytes);
    tw_schema *decoded = malloc(sizeof *decoded);
    OK(tw_schema_decode(decoded, bytes, size, NULL));
    assert_memory_equal(decoded, &spec.schema, sizeof *decoded);
    free(decoded);
}

static void no_truncated_or_changed_encoding_crashes_and_no_truncated_one_is_taken(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0.25);
    unsigned char bytes[1024];
    size_t size = tw_schema_encode(&spec.schema, bytes, sizeof bytes);
    tw_schema *decoded = malloc(sizeof *decoded);
    for (size_t n = 0; n < size; n++) {
        unsigned char *exact = malloc(n + 1);
        memcpy(exact, bytes, n);
        assert_int_equal(tw_schema_decode(decoded, exact, n, NULL), TW_STATUS_CORRUPT);
        free(exact);
    }
    for (size_t n = 0; n < size * 255; n++) {
        bytes[n / 255] ^= (unsigned char)(n % 255 + 1);
        tw_status status = tw_schema_decode(decoded, bytes, size, NULL);
        assert_true(status == TW_STATUS_OK || status == TW_STATUS_CORRUPT);
        if (status == TW_STATUS_OK)
            assert_true(tw_schema_hash(decoded) != tw_schema_hash(&spec.schema));
        bytes[n / 255] ^= (unsigned char)(n % 255 + 1);
    }
    free(decoded);
}

static void merging_into_an_unchanged_record_gives_the_new_one(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    test_row into = {0.1f, 7};
    test_row before = into;
    test_row after = {123.456f, 3};
    tw_record_merge(&spec.schema.row, &into, &before, &after);
    assert_memory_equal(&into, &after, sizeof into);
    into = (test_row){1, 10};
    tw_record_merge(&spec.schema.row, &into, &(test_row){2, 4}, &(test_row){5, 9});
    assert_true(into.weight == 4 && into.count == 15);
}

static void each_merge_rule_does_what_it_says(void **state)
{
    (void)state;
    tw_record record = {0};
    OK(tw_record_add(&record, "max", TW_FIELD_U32, 1, TW_MERGE_MAX, NULL));
    OK(tw_record_add(&record, "min", TW_FIELD_U32, 1, TW_MERGE_MIN, NULL));
    OK(tw_record_add(&record, "last", TW_FIELD_U32, 2, TW_MERGE_LAST, NULL));
    uint32_t into[4] = {5, 5, 5, 5};
    uint32_t before[4] = {0, 9, 1, 1};
    uint32_t after[4] = {7, 3, 1, 2};
    tw_record_merge(&record, into, before, after);
    uint32_t expected[4] = {7, 3, 5, 2};
    assert_memory_equal(into, expected, sizeof into);
}

typedef struct fading_row {
    double sum;
    uint64_t tick;
} fading_row;

static tw_record fading_record(void)
{
    tw_record record = {0};
    OK(tw_record_add(&record, "sum", TW_FIELD_F64, 1, TW_MERGE_FADE, NULL));
    OK(tw_record_add(&record, "tick", TW_FIELD_U64, 1, TW_MERGE_TICK, NULL));
    return record;
}

static uint64_t half_lives(double n)
{
    return (uint64_t)(n * TW_TICKS_PER_HALF_LIFE);
}

/* 8 at first. One worker adds 3 after 1 half-life, the other 5 after 2: 8 / 4 + 3 / 2 + 5. */
static void sums_that_fade_are_added_at_the_later_tick_in_any_order(void **state)
{
    (void)state;
    tw_record record = fading_record();
    const fading_row before = {8, half_lives(7)}, early = {8.0 / 2 + 3, half_lives(8)},
                     late = {8.0 / 4 + 5, half_lives(9)};
    for (int order = 0; order < 2; order++) {
        fading_row into = before;
        tw_record_merge(&record, &into, &before, order ? &late : &early);
        tw_record_merge(&record, &into, &before, order ? &early : &late);
        assert_true(into.sum == 8.5);
        assert_int_equal(into.tick, half_lives(9));
    }
}

static void what_two_workers_forget_at_once_is_forgotten_once(void **state)
{
    (void)state;
    tw_record record = fading_record();
    const fading_row before = {100, half_lives(1)};
    fading_row into = before;
    for (int worker = 0; worker < 4; worker++) {
        double kept = exp2(-20.3);
        tw_record_merge(&record, &into, &before, &(fading_row){100 * kept + 1, half_lives(21.3)});
    }
    assert_true(fabs(into.sum - (100 * exp2(-20.3) + 4)) < 1e-6);
    into = before;
    tw_record_merge(&record, &into, &before, &(fading_row){1, UINT64_MAX});
    assert_true(into.sum == 1);
}

static void tick_zero_is_no_time_to_fade_from(void **state)
{
    (void)state;
    tw_record record = fading_record();
    fading_row into = {100, 0};
    tw_record_merge(&record, &into, &(fading_row){100, 0}, &(fading_row){101, half_lives(5)});
    assert_true(into.sum == 101 && into.tick == half_lives(5));
    tw_record_merge(&record, &into, &(fading_row){0, 0}, &(fading_row){2, 0});
    assert_true(into.sum == 103 && into.tick == half_lives(5));
}

static void ticks_and_sums_that_fade_have_their_types(void **state)
{
    (void)state;
    tw_record record = {0};
    assert_int_equal(tw_record_add(&record, "a", TW_FIELD_U32, 1, TW_MERGE_TICK, NULL), TW_STATUS_INVALID);
    assert_int_equal(tw_record_add(&record, "a", TW_FIELD_U64, 2, TW_MERGE_TICK, NULL), TW_STATUS_INVALID);
    assert_int_equal(tw_record_add(&record, "a", TW_FIELD_U64, 1, TW_MERGE_FADE, NULL), TW_STATUS_INVALID);
    assert_int_equal(record.n_fields, 0);
}

static void normal_initial_values_have_the_moments_asked_for(void **state)
{
    (void)state;
    enum { N = 100000 };
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 2);
    double sum = 0;
    double squares = 0;
    int beyond = 0;
    for (uint64_t i = 0; i < N; i++) {
        test_row row;
        tw_record_write_initial(&spec.schema.row, test_key(i), 7, &row);
        sum += (double)row.weight;
        squares += (double)row.weight * (double)row.weight;
        beyond += row.weight > 4 || row.weight < -4;
    }
    assert_true(sum / N > -0.03 && sum / N < 0.03);
    assert_true(squares / N > 3.9 && squares / N < 4.1);
    assert_true(beyond > 4200 && beyond < 4900); /* 4.55 percent beyond two sigma */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_lie_behind_each_other_at_their_alignment),
        cmocka_unit_test(an_encoded_schema_decodes_to_itself),
        cmocka_unit_test(no_truncated_or_changed_encoding_crashes_and_no_truncated_one_is_taken),
        cmocka_unit_test(merging_into_an_unchanged_record_gives_the_new_one),
        cmocka_unit_test(each_merge_rule_does_what_it_says),
        cmocka_unit_test(sums_that_fade_are_added_at_the_later_tick_in_any_order),
        cmocka_unit_test(what_two_workers_forget_at_once_is_forgotten_once),
        cmocka_unit_test(tick_zero_is_no_time_to_fade_from),
        cmocka_unit_test(ticks_and_sums_that_fade_have_their_types),
        cmocka_unit_test(normal_initial_values_have_the_moments_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
