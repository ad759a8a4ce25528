#include "store_support.h"

#include <pthread.h>
#include <stdatomic.h>

#include "store/checkpoint.h"
#include "store/internal.h"

typedef struct writer {
    tw_frozen *frozen;
    const char *directory;
    tw_row_file file;
    tw_status status;
    atomic_bool is_done;
} writer;

static void *writer_run(void *argument)
{
    writer *self = argument;
    self->status = tw_frozen_write(self->frozen, self->directory, "000001.rows-0-of-1", &self->file, NULL);
    atomic_store(&self->is_done, true);
    return NULL;
}

/* Changes old rows, inserts new ones and changes blocks until the file is written; at least 30 batches. */
static void hammer(tw_table *table, writer *self, uint32_t n)
{
    enum { BATCH = 500 };
    uint64_t key[BATCH];
    void *row[BATCH];
    uint64_t next = 0;
    for (int round = 0; round < 30 || !atomic_load(&self->is_done); round++) {
        for (int i = 0; i < BATCH; i++)
            key[i] = test_key(tw_mix64(next++) % (n * 3));
        OK(tw_table_rows(table, key, BATCH, TW_ACCESS_WRITE, row, NULL));
        for (int i = 0; i < BATCH; i++)
            ((test_row *)row[i])->count += 1000;
        void *block;
        OK(tw_table_block(table, 1, TW_ACCESS_WRITE, &block, NULL));
        ((float *)block)[3] += 1;
        OK(tw_table_set_mark(table, 11, 1000 + next, NULL));
    }
}

static void check_cut(tw_table_kind kind, uint32_t bits, double sigma, uint64_t max_kept)
{
    enum { N = 20000, LARGEST = 2 << 20 }; /* bytes of the largest segment: what comes on top when a cut is given up */
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(kind, sigma);
    spec.bits = bits;
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, N);
    uint64_t expected = test_digest(table);
    writer self = {.directory = directory};
    OK(tw_table_freeze(table, max_kept, &self.frozen, NULL));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, writer_run, &self), 0);
    hammer(table, &self, N);
    pthread_join(thread, NULL);
    bool is_given_up = self.status == TW_STATUS_NO_MEMORY && max_kept < 1 << 20;
    assert_true(self.frozen->kept.peak <= max_kept + (is_given_up ? LARGEST : 0));
    tw_frozen_destroy(&self.frozen);
    assert_int_not_equal(test_digest(table), expected);
    if (is_given_up) {
        tw_table_destroy(&table);
        test_remove(directory);
        return;
    }
    OK(self.status);
    tw_table *loaded = test_table(&spec, 0, TW_N_SLOTS - 1);
    OK(tw_table_load(loaded, directory, &self.file, NULL));
    assert_int_equal(test_digest(loaded), expected);
    tw_table_destroy(&loaded);
    tw_table_destroy(&table);
    test_remove(directory);
}

static void an_exact_table_is_saved_as_it_was_at_the_cut_while_a_learner_changes_and_grows_it(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        check_cut(TW_TABLE_EXACT, 0, 0, i % 2 ? 1 << 14 : 1 << 22);
    check_cut(TW_TABLE_EXACT, 0, 0.1, 1 << 26);
}

static void a_hashed_table_is_saved_as_it_was_at_the_cut(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        check_cut(TW_TABLE_HASHED, 16, i == 2 ? 0.1 : 0, 1 << 26);
}

static void writes_ahead_of_the_copier_do_not_reach_the_file(void **state)
{
    (void)state;
    for (int kind = TW_TABLE_EXACT; kind <= TW_TABLE_HASHED; kind++) {
        char directory[256];
        test_directory(directory);
        tw_table_spec spec = test_spec((tw_table_kind)kind, 0);
        tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
        test_fill(table, 3000);
        uint64_t expected = test_digest(table);
        writer self = {.directory = directory};
        OK(tw_table_freeze(table, 1 << 20, &self.frozen, NULL));
        atomic_store(&self.is_done, true);
        hammer(table, &self, 3000);
        (void)writer_run(&self);
        OK(self.status);
        tw_frozen_destroy(&self.frozen);
        tw_table *loaded = test_table(&spec, 0, TW_N_SLOTS - 1);
        OK(tw_table_load(loaded, directory, &self.file, NULL));
        assert_int_equal(test_digest(loaded), expected);
        tw_table_destroy(&loaded);
        tw_table_destroy(&table);
        test_remove(directory);
    }
}

/* Nobody writes the cut: its memory stays below the limit, and no batch waits for long. */
static void a_cut_that_outgrows_its_memory_is_given_up_and_the_next_one_is_whole(void **state)
{
    enum { N = 50000, CAP = 1 << 18, BATCH = 500 };
    (void)state;
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, N);
    tw_frozen *frozen;
    OK(tw_table_freeze(table, CAP, &frozen, NULL));
    for (uint64_t first = 0; first < N; first += BATCH) {
        uint64_t key[BATCH];
        void *row[BATCH];
        for (uint64_t i = 0; i < BATCH; i++)
            key[i] = test_key(first + i);
        OK(tw_table_rows(table, key, BATCH, TW_ACCESS_WRITE, row, NULL));
        for (int i = 0; i < BATCH; i++)
            ((test_row *)row[i])->count += 1;
    }
    tw_row_file file;
    tw_error error = {0};
    assert_int_equal(tw_frozen_write(frozen, directory, "000001.rows-0-of-1", &file, &error), TW_STATUS_NO_MEMORY);
    assert_non_null(strstr(error.message, "262144 bytes"));
    assert_true(frozen->kept.peak > 0 && frozen->kept.peak <= CAP);
    tw_frozen_destroy(&frozen);
    test_write(table, directory, "000002.rows-0-of-1", &file);
    tw_table *loaded = test_table(&spec, 0, TW_N_SLOTS - 1);
    OK(tw_table_load(loaded, directory, &file, NULL));
    assert_int_equal(test_digest(loaded), test_digest(table));
    tw_table_destroy(&loaded);
    tw_table_destroy(&table);
    test_remove(directory);
}

static void a_cap_that_is_set_beside_a_snapshot_is_none_of_its_own(void **state)
{
    (void)state;
    enum { CAP = 64 << 20 };
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    spec.max_bytes = CAP;
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, 100);
    writer self = {.directory = directory};
    pthread_t thread;
    OK(tw_table_freeze(table, 1 << 20, &self.frozen, NULL));
    tw_table_set_cap(table, 2 * CAP);
    assert_int_equal(pthread_create(&thread, NULL, writer_run, &self), 0);
    tw_table_set_cap(table, 3 * CAP);
    pthread_join(thread, NULL);
    OK(self.status);
    tw_frozen_destroy(&self.frozen);
    tw_recovered found;
    OK(tw_table_recover(directory, 0, 1, 0, false, &found, NULL));
    assert_int_equal(tw_table_spec_of(found.table)->max_bytes, CAP);
    assert_int_equal(tw_table_spec_of(table)->max_bytes, 3 * CAP);
    tw_table_destroy(&found.table);
    tw_table_destroy(&table);
    test_remove(directory);
}

static void one_snapshot_at_a_time(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    tw_frozen *frozen;
    tw_frozen *second;
    OK(tw_table_freeze(table, 1 << 20, &frozen, NULL));
    assert_int_equal(tw_table_freeze(table, 1 << 20, &second, NULL), TW_STATUS_CONFLICT);
    tw_frozen_destroy(&frozen);
    OK(tw_table_freeze(table, 1 << 20, &second, NULL));
    tw_table_destroy(&table);
}

static void a_snapshot_that_runs_out_of_memory_fails_alone_and_learning_goes_on(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, 1000);
    char directory[256];
    test_directory(directory);
    tw_frozen *frozen;
    OK(tw_table_freeze(table, 1 << 20, &frozen, NULL));
    uint64_t key = test_key(1);
    void *row;
    tw_fault_arm(TW_FAULT_ALLOC, 1, 12, true);
    OK(tw_table_rows(table, &key, 1, TW_ACCESS_WRITE, &row, NULL));
    tw_fault_disarm(TW_FAULT_ALLOC);
    tw_row_file file;
    assert_int_equal(tw_frozen_write(frozen, directory, "000001.rows-0-of-1", &file, NULL), TW_STATUS_NO_MEMORY);
    tw_frozen_destroy(&frozen);
    test_remove(directory);
    assert_int_not_equal(access(directory, F_OK), 0);
    tw_table_destroy(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exact_table_is_saved_as_it_was_at_the_cut_while_a_learner_changes_and_grows_it),
        cmocka_unit_test(a_hashed_table_is_saved_as_it_was_at_the_cut),
        cmocka_unit_test(writes_ahead_of_the_copier_do_not_reach_the_file),
        cmocka_unit_test(a_cut_that_outgrows_its_memory_is_given_up_and_the_next_one_is_whole),
        cmocka_unit_test(a_cap_that_is_set_beside_a_snapshot_is_none_of_its_own),
        cmocka_unit_test(one_snapshot_at_a_time),
        cmocka_unit_test(a_snapshot_that_runs_out_of_memory_fails_alone_and_learning_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
