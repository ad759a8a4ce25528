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
        cmocka_unit_test(normal_initial_values_have_the_moments_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
