#include "store_support.h"

#include "thalweg/params.h"

static void equal_keys_get_equal_rows_and_keep_their_values_while_the_table_grows(void **state)
{
    (void)state;
    enum { N = 200000, BATCH = 9000 };
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    uint64_t *key = malloc(BATCH * sizeof *key);
    void **row = malloc(BATCH * sizeof *row);
    uint64_t next = 0;
    for (int round = 0; round < 60; round++) {
        for (uint32_t i = 0; i < BATCH; i++)
            key[i] = test_key(tw_mix64(next++) % N);
        OK(tw_table_rows(table, key, BATCH, TW_ACCESS_WRITE, row, NULL));
        for (uint32_t i = 0; i < BATCH; i++)
            ((test_row *)row[i])->count++;
    }
    uint32_t *expected = calloc(N, sizeof *expected);
    for (uint64_t i = 0; i < next; i++)
        expected[tw_mix64(i) % N]++;
    uint64_t n_live = 0;
    for (uint32_t i = 0; i < N; i++) {
        uint64_t one = test_key(i);
        OK(tw_table_rows(table, &one, 1, TW_ACCESS_READ, row, NULL));
        assert_int_equal(((test_row *)row[0])->count, expected[i]);
        n_live += expected[i] > 0;
    }
    tw_params_stats stats;
    tw_table_stats(table, &stats);
    assert_int_equal(stats.rows, n_live);
    assert_true(stats.bytes / n_live <= 22);
    free(expected);
    free(row);
    free(key);
    tw_table_destroy(&table);
}

static tw_status note_key(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    (void)error;
    if (block < 0) {
        assert_int_equal(((const test_row *)record)->count, (uint32_t)tw_mix64(key));
        ++*(uint64_t *)context;
    }
    return TW_STATUS_OK;
}

/* Segments keep of a key what it is above their first: the least and greatest keys of slots, as tables of any part of
 * the slots have them, with others beside them that differ in one bit. */
static void keys_at_the_ends_of_slots_are_told_apart(void **state)
{
    (void)state;
    static const uint32_t range[][2] = {{0, TW_N_SLOTS - 1}, {0, 0}, {1365, 2729}, {4095, 4095}, {255, 768}};
    for (size_t r = 0; r < sizeof range / sizeof range[0]; r++) {
        tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
        tw_table *table = test_table(&spec, range[r][0], range[r][1]);
        uint64_t n = 0, n_seen = 0;
        for (uint64_t slot = range[r][0]; slot <= range[r][1]; slot++) {
            for (int i = 0; i < 106; i++) {
                uint64_t end = slot << 52 | (i < 53 ? 0 : UINT64_MAX >> 12);
                uint64_t key = i % 53 < 52 ? end ^ 1ull << i % 53 : end;
                void *row;
                if (key == 0)
                    continue;
                OK(tw_table_rows(table, &key, 1, TW_ACCESS_WRITE, &row, NULL));
                assert_int_equal(((test_row *)row)->count, 0);
                ((test_row *)row)->count = (uint32_t)tw_mix64(key);
                n++;
            }
        }
        OK(tw_table_scan(table, note_key, &n_seen, NULL));
        assert_int_equal(n_seen, n);
        tw_table_destroy(&table);
    }
}

static void reading_an_absent_key_gives_the_initial_record_and_inserts_nothing(void **state)
{
    (void)state;
    for (int normal = 0; normal < 2; normal++) {
        tw_table_spec spec = test_spec(TW_TABLE_EXACT, normal ? 0.1 : 0);
        tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
        uint64_t key[3] = {test_key(1), test_key(2), test_key(1)};
        void *row[3];
        test_row expected;
        OK(tw_table_rows(table, key, 3, TW_ACCESS_READ, row, NULL));
        for (int i = 0; i < 3; i++) {
            tw_record_write_initial(&spec.schema.row, key[i], spec.hash_seed, &expected);
            assert_memory_equal(row[i], &expected, sizeof expected);
        }
        assert_ptr_equal(row[0], row[2]);
        assert_int_equal(normal, ((test_row *)row[0])->weight != ((test_row *)row[1])->weight);
        tw_params_stats stats;
        tw_table_stats(table, &stats);
        assert_int_equal(stats.rows, 0);
        OK(tw_table_rows(table, key, 3, TW_ACCESS_WRITE, row, NULL));
        tw_record_write_initial(&spec.schema.row, key[1], spec.hash_seed, &expected);
        assert_memory_equal(row[1], &expected, sizeof expected);
        tw_table_destroy(&table);
    }
}

static void key_0_is_refused_for_writing_and_absent_for_reading(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    uint64_t key = 0;
    void *row;
    assert_int_equal(tw_table_rows(table, &key, 1, TW_ACCESS_WRITE, &row, NULL), TW_STATUS_INVALID);
    OK(tw_table_rows(table, &key, 1, TW_ACCESS_READ, &row, NULL));
    assert_int_equal(((test_row *)row)->count, 0);
    tw_table_destroy(&table);
}

static void a_shard_holds_the_rows_of_the_hashed_table_in_its_slots_only(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_HASHED, 0.5);
    spec.bits = 14;
    tw_table *table = test_table(&spec, 100, 199);
    tw_params_stats stats;
    tw_table_stats(table, &stats);
    assert_int_equal(stats.rows, 400);
    uint64_t key[2] = {(uint64_t)100 << 52 | 5, (uint64_t)199 << 52 | 3ull << 50};
    void *row[2];
    OK(tw_table_rows(table, key, 2, TW_ACCESS_WRITE, row, NULL));
    assert_int_equal((char *)row[1] - (char *)row[0], 399 * 8);
    test_row expected;
    tw_record_write_initial(&spec.schema.row, key[1], spec.hash_seed, &expected);
    assert_memory_equal(row[1], &expected, 8);
    tw_table_destroy(&table);
}

static void the_byte_limit_is_a_named_error_and_loses_nothing(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    spec.max_bytes = 100000;
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    tw_error error = {0};
    tw_status status = TW_STATUS_OK;
    uint32_t n = 0;
    for (; n < 20000 && status == TW_STATUS_OK; n++) {
        uint64_t key = test_key(n);
        void *row;
        status = tw_table_rows(table, &key, 1, TW_ACCESS_WRITE, &row, &error);
        if (status == TW_STATUS_OK)
            ((test_row *)row)->count = n + 1;
    }
    assert_int_equal(status, TW_STATUS_FULL);
    assert_int_equal(tw_status_exit_code(status), 78);
    assert_false(error.retriable);
    assert_string_equal(error.code, "E205");
    assert_non_null(strstr(error.message, "100000"));
    tw_params_stats stats;
    tw_table_stats(table, &stats);
    assert_true(stats.bytes <= 100000 && stats.rows == n - 1);
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint64_t key = test_key(i);
        void *row;
        OK(tw_table_rows(table, &key, 1, TW_ACCESS_READ, &row, NULL));
        assert_int_equal(((test_row *)row)->count, i + 1);
    }
    tw_table_destroy(&table);
}

static void block_records_live_in_the_shard_of_their_slot(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *half[2] = {test_table(&spec, 0, 2047), test_table(&spec, 2048, TW_N_SLOTS - 1)};
    for (uint32_t i = 0; i < 3; i++) {
        size_t owner = tw_block_key("centre", i) >> 63;
        void *record;
        OK(tw_table_block_record(half[owner], 1, i, TW_ACCESS_WRITE, &record, NULL));
        assert_true(((float *)record)[4] == 1.5f);
        assert_int_equal(
            tw_table_block_record(half[1 - owner], 1, i, TW_ACCESS_READ, &record, NULL), TW_STATUS_NOT_FOUND);
    }
    tw_table_destroy(&half[0]);
    tw_table_destroy(&half[1]);
}

static void every_failing_allocation_of_creation_and_growth_is_survived(void **state)
{
    (void)state;
    for (int kind = TW_TABLE_EXACT; kind <= TW_TABLE_HASHED; kind++) {
        tw_table_spec spec = test_spec((tw_table_kind)kind, 0.1);
        bool has_failed = true;
        for (uint64_t nth = 1; has_failed; nth++) {
            tw_fault_arm(TW_FAULT_ALLOC, nth, 12, false);
            tw_table *table;
            tw_status status = tw_table_create(&spec, 0, TW_N_SLOTS - 1, &table, NULL);
            for (uint32_t i = 0; i < 3000 && status == TW_STATUS_OK; i++) {
                uint64_t key = test_key(i);
                void *row;
                status = tw_table_rows(table, &key, 1, i % 3 == 0 ? TW_ACCESS_READ : TW_ACCESS_WRITE, &row, NULL);
            }
            if (status == TW_STATUS_OK)
                status = tw_table_set_mark(table, 1, 2, NULL);
            has_failed = tw_fault_fired(TW_FAULT_ALLOC) > 0;
            tw_fault_disarm(TW_FAULT_ALLOC);
            assert_int_equal(status, has_failed ? TW_STATUS_NO_MEMORY : TW_STATUS_OK);
            tw_table_destroy(&table);
        }
    }
}

static void the_local_store_applies_a_batch_once_and_moves_its_mark(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_params *params;
    OK(tw_local_create(&spec, &params, NULL));
    uint64_t key[2] = {test_key(1), test_key(1)};
    tw_batch batch = {.n_events = 1, .n_entries = 2, .key = key, .split = 9, .from = 0, .to = 10};
    tw_rows rows;
    OK(params->ops->acquire(params, &batch, TW_ACCESS_WRITE, &rows, NULL));
    assert_ptr_equal(rows.row[0], rows.row[1]);
    ((test_row *)rows.row[0])->count = 5;
    OK(params->ops->release(params, &batch, &rows, 1, NULL));
    uint64_t mark;
    uint32_t n_marks = 1;
    OK(params->ops->mark(params, 9, &mark, &n_marks, NULL));
    assert_int_equal(mark, 10);
    assert_int_equal(params->ops->acquire(params, &batch, TW_ACCESS_WRITE, &rows, NULL), TW_STATUS_CONFLICT);
    OK(params->ops->acquire(params, &batch, TW_ACCESS_READ, &rows, NULL));
    assert_int_equal(((test_row *)rows.row[0])->count, 5);
    params->ops->close(params);
}

static void the_local_store_restores_what_its_snapshot_wrote(void **state)
{
    (void)state;
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_params *params;
    OK(tw_local_create(&spec, &params, NULL));
    uint64_t key[1] = {test_key(1)};
    tw_batch batch = {.n_events = 1, .n_entries = 1, .key = key, .split = 9, .to = 10};
    tw_rows rows;
    OK(params->ops->acquire(params, &batch, TW_ACCESS_WRITE, &rows, NULL));
    ((test_row *)rows.row[0])->count = 5;
    OK(params->ops->release(params, &batch, &rows, 1, NULL));
    OK(params->ops->snapshot_start(params, directory, 3, NULL));
    batch.from = 10;
    batch.to = 20;
    OK(params->ops->acquire(params, &batch, TW_ACCESS_WRITE, &rows, NULL));
    ((test_row *)rows.row[0])->count = 6;
    OK(params->ops->release(params, &batch, &rows, 1, NULL));
    tw_row_files *files = calloc(1, sizeof *files);
    OK(params->ops->snapshot_poll(params, -1, files, NULL));
    OK(params->ops->restore(params, directory, files, NULL));
    OK(params->ops->acquire(params, &batch, TW_ACCESS_READ, &rows, NULL));
    assert_int_equal(((test_row *)rows.row[0])->count, 5);
    tw_params_stats stats;
    params->ops->stats(params, &stats);
    assert_int_equal(stats.events_learned, 1);
    free(files);
    params->ops->close(params);
    test_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_keys_get_equal_rows_and_keep_their_values_while_the_table_grows),
        cmocka_unit_test(keys_at_the_ends_of_slots_are_told_apart),
        cmocka_unit_test(reading_an_absent_key_gives_the_initial_record_and_inserts_nothing),
        cmocka_unit_test(key_0_is_refused_for_writing_and_absent_for_reading),
        cmocka_unit_test(a_shard_holds_the_rows_of_the_hashed_table_in_its_slots_only),
        cmocka_unit_test(the_byte_limit_is_a_named_error_and_loses_nothing),
        cmocka_unit_test(block_records_live_in_the_shard_of_their_slot),
        cmocka_unit_test(every_failing_allocation_of_creation_and_growth_is_survived),
        cmocka_unit_test(the_local_store_applies_a_batch_once_and_moves_its_mark),
        cmocka_unit_test(the_local_store_restores_what_its_snapshot_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
