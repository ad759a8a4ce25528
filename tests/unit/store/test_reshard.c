/* Row files of M shards loaded into M' shards, for all pairs: the same rows and marks, in tables of a fair size. */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "data/key.h"
#include "store/table.h"
#include "thalweg/source.h"

enum { MAX_SHARDS = 6, N_ROWS = 20000, N_MARKS = 5 };

static const uint64_t max_kept = 1 << 26;

static uint64_t key_of(uint64_t i)
{
    return tw_key_nonzero(tw_mix64(i + 1));
}

static uint32_t first_slot(uint32_t index, uint32_t count)
{
    return index * (uint32_t)TW_N_SLOTS / count;
}

static tw_table *make_table(uint32_t index, uint32_t count)
{
    tw_table_spec spec = {.kind = TW_TABLE_EXACT, .hash_seed = 3};
    tw_table *out = NULL;
    assert_int_equal(tw_record_add(&spec.schema.row, "z", TW_FIELD_F32, 2, TW_MERGE_ADD, NULL), TW_STATUS_OK);
    assert_int_equal(
        tw_table_create(&spec, first_slot(index, count), first_slot(index + 1, count) - 1, &out, NULL), TW_STATUS_OK);
    return out;
}

static void put_row(tw_table *table, uint32_t index, uint32_t count, uint64_t i, uint64_t value)
{
    uint64_t key = key_of(i), slot = key >> (64 - TW_SLOT_BITS), found = 0;
    void *row = NULL;
    if (slot < first_slot(index, count) || slot >= first_slot(index + 1, count))
        return;
    assert_int_equal(tw_table_rows(table, &key, 1, TW_ACCESS_READ, &row, NULL), TW_STATUS_OK);
    memcpy(&found, row, sizeof found);
    if (found == value && value != 0)
        return; /* so that a delta is one */
    assert_int_equal(tw_table_rows(table, &key, 1, TW_ACCESS_WRITE, &row, NULL), TW_STATUS_OK);
    memcpy(row, &value, sizeof value);
}

static void spoil(tw_table *table, uint32_t index, uint32_t count, uint64_t i)
{
    put_row(table, index, count, i, i + 12345);
}

/* Row i holds its number; one table holds those of its slots. */
static void fill(tw_table *table, uint32_t index, uint32_t count, uint64_t n_rows)
{
    for (uint64_t i = 0; i < n_rows; i++)
        put_row(table, index, count, i, i);
    for (uint64_t split = 1; split <= N_MARKS; split++)
        assert_int_equal(tw_table_set_mark(table, split, split * 100, NULL), TW_STATUS_OK);
}

static void write_shards(const char *folder, uint32_t count, uint64_t n_rows, tw_row_file *file)
{
    for (uint32_t i = 0; i < count; i++) {
        tw_table *table = make_table(i, count);
        tw_frozen *frozen = NULL;
        char name[TW_FILE_NAME_SIZE];
        fill(table, i, count, n_rows);
        tw_row_file_name(count, i, count, name);
        assert_int_equal(tw_table_freeze(table, max_kept, &frozen, NULL), TW_STATUS_OK);
        assert_int_equal(tw_frozen_write(frozen, folder, name, &file[i], NULL), TW_STATUS_OK);
        tw_frozen_destroy(&frozen);
        tw_table_destroy(&table);
    }
}

/* As write_shards, but row i holds its number only after two deltas: before the last one some rows were wrong, and some
 * were not there. */
static void write_chains(const char *folder, uint32_t count, uint64_t n_rows, tw_row_file *file)
{
    for (uint32_t i = 0; i < count; i++) {
        tw_table *table = make_table(i, count);
        for (uint64_t step = 1; step <= 3; step++) {
            tw_frozen *frozen = NULL;
            char name[TW_FILE_NAME_SIZE];
            fill(table, i, count, step == 3 ? n_rows : n_rows - n_rows / (200 * step));
            for (uint64_t j = step * 100; step < 3 && j < step * 100 + 300; j++)
                spoil(table, i, count, j);
            tw_row_file_name(count * 10 + step, i, count, name);
            assert_int_equal(tw_table_freeze_after(table, folder, 8, max_kept, &frozen, NULL), TW_STATUS_OK);
            assert_int_equal(tw_frozen_write(frozen, folder, name, &file[i], NULL), TW_STATUS_OK);
            tw_frozen_destroy(&frozen);
        }
        tw_table_destroy(&table);
    }
}

/* Rows of one table must be those of its slots. Returns how many there are. */
static uint64_t check(tw_table *table, uint32_t index, uint32_t count, uint64_t n_rows)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < n_rows; i++) {
        uint64_t key = key_of(i), slot = key >> (64 - TW_SLOT_BITS), found = 0;
        void *row = NULL;
        if (slot < first_slot(index, count) || slot >= first_slot(index + 1, count))
            continue;
        assert_int_equal(tw_table_rows(table, &key, 1, TW_ACCESS_READ, &row, NULL), TW_STATUS_OK);
        memcpy(&found, row, sizeof found);
        assert_int_equal(found, i);
        n++;
    }
    for (uint64_t split = 1; split <= N_MARKS; split++)
        assert_int_equal(tw_table_mark(table, split), split * 100);
    tw_params_stats stats;
    tw_table_stats(table, &stats);
    assert_int_equal(stats.rows, n);
    return n;
}

static int set_up(void **state)
{
    char *folder = strdup("/tmp/tw_reshard_XXXXXX");
    *state = mkdtemp(folder);
    return *state == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    int result = system(command);
    free(*state);
    return result;
}

static void every_number_of_shards_loads_what_every_other_saved(void **state)
{
    tw_row_file file[MAX_SHARDS];
    for (uint32_t from = 1; from <= MAX_SHARDS; from++) {
        write_shards(*state, from, N_ROWS, file);
        for (uint32_t to = 1; to <= MAX_SHARDS; to++) {
            uint64_t n = 0;
            for (uint32_t i = 0; i < to; i++) {
                tw_table *table = make_table(i, to);
                assert_int_equal(tw_table_load_all(table, *state, file, from, NULL), TW_STATUS_OK);
                n += check(table, i, to, N_ROWS);
                tw_table_destroy(&table);
            }
            assert_int_equal(n, N_ROWS);
        }
    }
}

static void every_number_of_shards_loads_base_and_deltas_of_every_other(void **state)
{
    tw_row_file file[MAX_SHARDS];
    for (uint32_t from = 1; from <= MAX_SHARDS; from++) {
        write_chains(*state, from, N_ROWS, file);
        assert_true(file[0].rows < N_ROWS / from / 2);
        for (uint32_t to = 1; to <= MAX_SHARDS; to++) {
            uint64_t n = 0;
            for (uint32_t i = 0; i < to; i++) {
                tw_table *table = make_table(i, to);
                assert_int_equal(tw_table_load_all(table, *state, file, from, NULL), TW_STATUS_OK);
                n += check(table, i, to, N_ROWS);
                tw_table_destroy(&table);
            }
            assert_int_equal(n, N_ROWS);
        }
    }
}

/* Rows come in the order of their places; a table that had to grow under them would search whole segments. */
static void a_load_makes_room_at_once_and_not_too_much(void **state)
{
    enum { MANY = 300000 };
    tw_row_file file[1];
    write_shards(*state, 1, MANY, file);
    tw_table *table = make_table(0, 1);
    int64_t started_us = tw_clock_monotonic_us();
    assert_int_equal(tw_table_load_all(table, *state, file, 1, NULL), TW_STATUS_OK);
    int64_t took_us = tw_clock_monotonic_us() - started_us;
    assert_int_equal(check(table, 0, 1, MANY), MANY);
    tw_params_stats stats;
    tw_table_stats(table, &stats);
    assert_true(stats.bytes <= 24ull * MANY);
    print_message("%d rows in %lld us\n", MANY, (long long)took_us);
    tw_table_destroy(&table);
}

static void a_file_that_claims_too_many_rows_takes_no_memory_for_them(void **state)
{
    tw_row_file file[1];
    write_shards(*state, 1, N_ROWS, file);
    file[0].rows = UINT64_MAX / 2;
    tw_table *table = make_table(0, 1);
    tw_error error;
    tw_status status = tw_table_load_all(table, *state, file, 1, &error);
    tw_params_stats stats;
    tw_table_stats(table, &stats);
    assert_true(status < 0 || stats.bytes < 64ull * N_ROWS);
    tw_table_destroy(&table);
}

static tw_status load(const char *folder, const tw_row_file *file, uint32_t n, const tw_split *split, tw_table **out)
{
    tw_error error = {0};
    *out = make_table(0, 1);
    tw_table_expect(*out, split, split != NULL ? N_MARKS : 0);
    tw_status status = tw_table_load_all(*out, folder, file, n, &error);
    tw_table_expect(*out, NULL, 0);
    assert_true(status == TW_STATUS_OK || strstr(error.message, "not of one cut") != NULL);
    return status;
}

/* Three shards; somebody has pushed a split of its own to one of them, or one of them is ahead with one of the input's.
 */
static void a_split_that_is_none_of_the_input_makes_no_checkpoint_unreadable(void **state)
{
    enum { FOREIGN = 4711, FILES = 3 };
    tw_split split[N_MARKS] = {0};
    for (uint64_t i = 0; i < N_MARKS; i++)
        split[i].id = i + 1;
    for (uint32_t odd = 0; odd < FILES; odd++) {
        for (uint64_t pushed = N_MARKS; pushed <= FOREIGN; pushed += FOREIGN - N_MARKS) {
            tw_row_file file[FILES];
            for (uint32_t i = 0; i < FILES; i++) {
                tw_table *table = make_table(i, FILES), *loaded;
                tw_frozen *frozen = NULL;
                char name[TW_FILE_NAME_SIZE];
                fill(table, i, FILES, 1000);
                assert_int_equal(tw_table_set_mark(table, pushed,
                                     i == odd            ? 9000
                                     : pushed == FOREIGN ? 0
                                                         : 500,
                                     NULL),
                    TW_STATUS_OK);
                tw_row_file_name(7 + 2 * odd + (pushed == FOREIGN), i, FILES, name);
                assert_int_equal(tw_table_freeze(table, max_kept, &frozen, NULL), TW_STATUS_OK);
                assert_int_equal(tw_frozen_write(frozen, *state, name, &file[i], NULL), TW_STATUS_OK);
                tw_frozen_destroy(&frozen);
                tw_table_destroy(&table);
                if (i + 1 < FILES)
                    continue;
                assert_int_equal(load(*state, file, FILES, NULL, &loaded), TW_STATUS_CONFLICT);
                tw_table_destroy(&loaded);
                assert_int_equal(
                    load(*state, file, FILES, split, &loaded), pushed == FOREIGN ? TW_STATUS_OK : TW_STATUS_CONFLICT);
                if (pushed == FOREIGN) {
                    (void)check(loaded, 0, 1, 1000);
                    assert_int_equal(tw_table_mark(loaded, FOREIGN), 0);
                }
                tw_table_destroy(&loaded);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_number_of_shards_loads_what_every_other_saved, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_number_of_shards_loads_base_and_deltas_of_every_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_load_makes_room_at_once_and_not_too_much, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_split_that_is_none_of_the_input_makes_no_checkpoint_unreadable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_claims_too_many_rows_takes_no_memory_for_them, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
