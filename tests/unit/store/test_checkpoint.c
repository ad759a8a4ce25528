#include "store/section.h"
#include "store_support.h"

static const char *const golden_kinds[] = {"exact", "hashed"};

static tw_manifest *new_manifest(uint64_t id, const tw_table_spec *spec)
{
    tw_manifest *self = calloc(1, sizeof *self);
    *self = (tw_manifest){.id = id, .created_us = 1234567, .events = 77, .spec = *spec, .n_splits = 1};
    snprintf(self->learner, sizeof self->learner, "ftrl");
    self->split = tw_alloc_zero(sizeof(tw_split));
    self->split[0] =
        (tw_split){.id = 11, .name = "a.csv", .identity = {1, 2, 3}, .offset = 100, .line = 9, .is_done = true};
    OK(tw_manifest_add(self, "options", "first", 5, NULL));
    OK(tw_manifest_add(self, "empty", "", 0, NULL));
    OK(tw_manifest_add(self, "options", "alpha: 0.1", 10, NULL));
    return self;
}

static void free_manifest(tw_manifest *self)
{
    tw_manifest_fini(self);
    free(self);
}

/* A checkpoint of 20 rows in one file. */
static void write_checkpoint(const char *directory, uint64_t id, tw_table_kind kind)
{
    tw_table_spec spec = test_spec(kind, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, 20);
    tw_manifest *manifest = new_manifest(id, &spec);
    char name[TW_FILE_NAME_SIZE];
    tw_row_file_name(id, 0, 1, name);
    manifest->files.n_files = 1;
    test_write(table, directory, name, &manifest->files.file[0]);
    OK(tw_checkpoint_commit(directory, manifest, NULL));
    free_manifest(manifest);
    tw_table_destroy(&table);
}

static void check_contents(const char *directory, tw_table_kind kind)
{
    tw_error error = {0};
    tw_manifest *manifest = malloc(sizeof *manifest);
    if (tw_checkpoint_read(directory, 0, manifest, NULL, &error) != TW_STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(manifest->events, 77);
    assert_int_equal(manifest->created_us, 1234567);
    assert_string_equal(manifest->learner, "ftrl");
    assert_int_equal(manifest->n_splits, 1);
    assert_string_equal(manifest->split[0].name, "a.csv");
    assert_int_equal(manifest->split[0].identity[2], 3);
    assert_int_equal(manifest->split[0].offset, 100);
    assert_true(manifest->split[0].is_done);
    assert_int_equal(manifest->n_sections, 2);
    assert_int_equal(tw_manifest_find(manifest, "empty")->size, 0);
    assert_memory_equal(tw_manifest_find(manifest, "options")->bytes, "alpha: 0.1", 10);
    tw_table_spec spec = test_spec(kind, 0);
    assert_true(tw_schema_hash(&manifest->spec.schema) == tw_schema_hash(&spec.schema));
    tw_table *table = test_table(&manifest->spec, 0, TW_N_SLOTS - 1);
    OK(tw_table_load(table, directory, &manifest->files.file[0], &error));
    assert_int_equal(tw_table_mark(table, 11), 100);
    assert_int_equal(tw_table_mark(table, 5), 50);
    assert_int_equal(tw_table_mark(table, 6), 0);
    assert_int_equal(tw_table_events_learned(table), 77);
    for (uint32_t i = 0; i < 20; i++) {
        uint64_t key = test_key(i);
        void *row;
        OK(tw_table_rows(table, &key, 1, TW_ACCESS_READ, &row, NULL));
        assert_true(((test_row *)row)->weight == (float)i / 2 && ((test_row *)row)->count == i + 1);
    }
    void *block;
    OK(tw_table_block(table, 0, TW_ACCESS_READ, &block, NULL));
    assert_true(((double *)block)[0] == 0 && ((double *)block)[1] == 42);
    OK(tw_table_block(table, 1, TW_ACCESS_READ, &block, NULL));
    assert_true(((float *)block)[7] == -3 && ((float *)block)[8] == 1.5f);
    tw_table_destroy(&table);
    free_manifest(manifest);
}

static void a_checkpoint_reads_back_as_it_was_written(void **state)
{
    (void)state;
    for (int kind = TW_TABLE_EXACT; kind <= TW_TABLE_HASHED; kind++) {
        char directory[256];
        test_directory(directory);
        write_checkpoint(directory, 1, (tw_table_kind)kind);
        check_contents(directory, (tw_table_kind)kind);
        test_remove(directory);
    }
}

static void put(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void golden_directory(char path[512], int version, int kind)
{
    snprintf(path, 512, "%s/tests/golden/checkpoint/v%d.%s", TW_SOURCE_DIR, version, golden_kinds[kind - 1]);
}

static void checkpoints_of_every_format_version_are_read_for_ever(void **state)
{
    (void)state;
    for (int version = 1; version <= TW_STORE_FORMAT_VERSION; version++) {
        for (int kind = TW_TABLE_EXACT; kind <= TW_TABLE_HASHED; kind++) {
            char directory[512];
            golden_directory(directory, version, kind);
            check_contents(directory, (tw_table_kind)kind);
        }
    }
}

static void a_file_of_a_later_format_version_is_refused_by_both_numbers(void **state)
{
    (void)state;
    static const char *const files[] = {"000001.manifest", "000001.rows-0-of-1"};
    for (int i = 0; i < 2; i++) {
        char directory[256], path[512], want[64], *bytes;
        size_t size;
        tw_error error = {0};
        test_directory(directory);
        write_checkpoint(directory, 1, TW_TABLE_EXACT);
        snprintf(path, sizeof path, "%s/%s", directory, files[i]);
        OK(tw_file_load(path, 1 << 20, &bytes, &size, NULL));
        bytes[8] = TW_STORE_FORMAT_VERSION + 1;
        uint64_t sum = tw_hash(bytes, TW_STORE_HEADER_SIZE - 8);
        for (int j = 0; j < 8; j++)
            bytes[TW_STORE_HEADER_SIZE - 8 + j] = (char)(sum >> (8 * j));
        put(path, bytes, size);
        tw_free(bytes);
        tw_manifest *manifest = malloc(sizeof *manifest);
        assert_int_equal(tw_checkpoint_read(directory, 0, manifest, NULL, &error), TW_STATUS_UNSUPPORTED);
        snprintf(want, sizeof want, "format version %d, this build reads %d to %d", TW_STORE_FORMAT_VERSION + 1,
            TW_STORE_FORMAT_OLDEST, TW_STORE_FORMAT_VERSION);
        assert_non_null(strstr(error.message, want));
        assert_non_null(strstr(error.message, files[i]));
        free(manifest);
        test_remove(directory);
    }
}

static void expect_named_damage(const char *directory, const char *file, size_t at)
{
    tw_error error = {0};
    tw_manifest *manifest = malloc(sizeof *manifest);
    tw_status status = tw_checkpoint_read(directory, 1, manifest, NULL, &error);
    if (status != TW_STATUS_CORRUPT || strstr(error.message, file) == NULL)
        fail_msg("%s: damage at byte %zu gives status %d, '%s'", file, at, status, error.message);
    free(manifest);
}

static void every_flipped_byte_and_every_truncation_is_detected_and_named(void **state)
{
    (void)state;
    static const char *const files[] = {"000001.manifest", "000001.rows-0-of-1"};
    char directory[256];
    test_directory(directory);
    write_checkpoint(directory, 1, TW_TABLE_EXACT);
    for (int i = 0; i < 2; i++) {
        char path[512];
        char *bytes;
        size_t size;
        snprintf(path, sizeof path, "%s/%s", directory, files[i]);
        OK(tw_file_load(path, 1 << 20, &bytes, &size, NULL));
        for (size_t at = 0; at < size; at++) {
            static const unsigned char flips[] = {0x01, 0x80, 0xff};
            for (int j = 0; j < 3; j++) {
                bytes[at] = (char)(bytes[at] ^ flips[j]);
                put(path, bytes, size);
                expect_named_damage(directory, files[i], at);
                bytes[at] = (char)(bytes[at] ^ flips[j]);
            }
            put(path, bytes, at);
            expect_named_damage(directory, files[i], at);
        }
        bytes[size] = 'x';
        put(path, bytes, size + 1);
        expect_named_damage(directory, files[i], size);
        put(path, bytes, size);
        tw_free(bytes);
    }
    check_contents(directory, TW_TABLE_EXACT);
    test_remove(directory);
}

static void a_damaged_row_file_leaves_the_table_untouched(void **state)
{
    (void)state;
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, 1000);
    tw_row_file file;
    test_write(table, directory, "000001.rows-0-of-1", &file);
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, file.name);
    assert_int_equal(truncate(path, (off_t)file.size - 20), 0);
    tw_table *empty = test_table(&spec, 0, TW_N_SLOTS - 1);
    uint64_t before = test_digest(empty);
    assert_int_equal(tw_table_load(empty, directory, &file, NULL), TW_STATUS_CORRUPT);
    assert_int_equal(test_digest(empty), before);
    tw_table_destroy(&empty);
    tw_table_destroy(&table);
    test_remove(directory);
}

static void a_damaged_newest_checkpoint_is_passed_over_and_reported(void **state)
{
    (void)state;
    char directory[256];
    char path[512];
    test_directory(directory);
    write_checkpoint(directory, 1, TW_TABLE_EXACT);
    write_checkpoint(directory, 2, TW_TABLE_EXACT);
    snprintf(path, sizeof path, "%s/000002.rows-0-of-1", directory);
    assert_int_equal(unlink(path), 0);
    tw_error skipped;
    tw_manifest *manifest = malloc(sizeof *manifest);
    OK(tw_checkpoint_read(directory, 0, manifest, &skipped, NULL));
    assert_int_equal(manifest->id, 1);
    assert_int_equal(skipped.status, TW_STATUS_CORRUPT);
    assert_non_null(strstr(skipped.message, "000002.rows-0-of-1"));
    tw_manifest_fini(manifest);
    uint64_t id;
    OK(tw_checkpoint_next_id(directory, &id, NULL));
    assert_int_equal(id, 3);
    snprintf(path, sizeof path, "%s/000001.manifest", directory);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(tw_checkpoint_read(directory, 0, manifest, NULL, NULL), TW_STATUS_CORRUPT);
    test_remove(directory);
    assert_int_equal(tw_checkpoint_read(directory, 0, manifest, NULL, NULL), TW_STATUS_NOT_FOUND);
    free(manifest);
}

static void pruning_keeps_the_newest_checkpoints_and_what_may_be_in_the_making(void **state)
{
    (void)state;
    char directory[256];
    char path[512];
    test_directory(directory);
    for (uint64_t id = 1; id <= 4; id++)
        write_checkpoint(directory, id, TW_TABLE_EXACT);
    snprintf(path, sizeof path, "%s/000003.rows-0-of-1.tmp", directory);
    put(path, "x", 1);
    snprintf(path, sizeof path, "%s/000005.rows-0-of-1", directory);
    put(path, "x", 1);
    OK(tw_checkpoint_prune(directory, 2, NULL, 0, NULL));
    tw_names names;
    OK(tw_directory_list(directory, &names, NULL));
    assert_int_equal(names.count, 5);
    assert_string_equal(names.name[0], "000003.manifest");
    assert_string_equal(names.name[4], "000005.rows-0-of-1");
    tw_names_free(&names);
    test_remove(directory);
}

static void files_of_m_shards_load_into_any_number_of_shards(void **state)
{
    (void)state;
    char directory[256];
    test_directory(directory);
    for (int kind = TW_TABLE_EXACT; kind <= TW_TABLE_HASHED; kind++) {
        tw_table_spec spec = test_spec((tw_table_kind)kind, 0.1);
        tw_table *whole = test_table(&spec, 0, TW_N_SLOTS - 1);
        test_fill(whole, 2000);
        uint64_t expected = test_digest(whole);
        tw_row_file file[4];
        char name[TW_FILE_NAME_SIZE];
        tw_row_file_name(9 + (uint64_t)kind * 10, 0, 1, name);
        test_write(whole, directory, name, &file[3]);
        for (uint32_t i = 0; i < 3; i++) {
            tw_table *shard = test_table(&spec, i * 1365, i == 2 ? TW_N_SLOTS - 1 : i * 1365 + 1364);
            OK(tw_table_load(shard, directory, &file[3], NULL));
            tw_row_file_name(10 + (uint64_t)kind * 10, i, 3, name);
            test_write(shard, directory, name, &file[i]);
            tw_table_destroy(&shard);
        }
        tw_table *joined = test_table(&spec, 0, TW_N_SLOTS - 1);
        for (int i = 0; i < 3; i++)
            OK(tw_table_load(joined, directory, &file[i], NULL));
        assert_int_equal(test_digest(joined), expected);
        tw_table_destroy(&joined);
        tw_table_destroy(&whole);
    }
    test_remove(directory);
}

/* They are laid out in another way than they were learned, which may take more bytes. */
static void rows_that_were_saved_are_loaded_whatever_the_cap_which_holds_for_new_ones(void **state)
{
    (void)state;
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *whole = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(whole, 20000);
    tw_row_file file;
    test_write(whole, directory, "000001.rows-0-of-1", &file);
    spec.max_bytes = 100000;
    for (int is_bulk = 0; is_bulk < 2; is_bulk++) {
        tw_error error = {0};
        tw_table *loaded = test_table(&spec, 0, TW_N_SLOTS - 1);
        OK(is_bulk ? tw_table_load_all(loaded, directory, &file, 1, &error)
                   : tw_table_load(loaded, directory, &file, &error));
        assert_int_equal(test_digest(loaded), test_digest(whole));
        tw_status status = TW_STATUS_OK;
        uint32_t n = 20000;
        for (; n < 40000 && status == TW_STATUS_OK; n++) {
            uint64_t key = test_key(n);
            void *row;
            status = tw_table_rows(loaded, &key, 1, TW_ACCESS_WRITE, &row, &error);
        }
        assert_int_equal(status, TW_STATUS_FULL);
        tw_table_set_cap(loaded, 0);
        for (; n < 40000; n++) {
            uint64_t key = test_key(n);
            void *row;
            OK(tw_table_rows(loaded, &key, 1, TW_ACCESS_WRITE, &row, &error));
        }
        tw_table_destroy(&loaded);
    }
    tw_table_destroy(&whole);
    test_remove(directory);
}

static void files_of_different_cuts_are_a_conflict_that_names_both(void **state)
{
    (void)state;
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_row_file file[2];
    for (uint32_t i = 0; i < 2; i++) {
        char name[TW_FILE_NAME_SIZE];
        tw_table *shard = test_table(&spec, i * 2048, i * 2048 + 2047);
        OK(tw_table_set_mark(shard, 11, 100 + i, NULL));
        tw_row_file_name(1, i, 2, name);
        test_write(shard, directory, name, &file[i]);
        tw_table_destroy(&shard);
    }
    tw_error error = {0};
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    OK(tw_table_load(table, directory, &file[0], &error));
    assert_int_equal(tw_table_load(table, directory, &file[1], &error), TW_STATUS_CONFLICT);
    assert_non_null(strstr(error.message, file[0].name));
    assert_non_null(strstr(error.message, file[1].name));
    tw_table_destroy(&table);
    table = test_table(&spec, 0, TW_N_SLOTS - 1);
    tw_table_take_any_cut(table); /* whoever only reads them */
    OK(tw_table_load_all(table, directory, file, 2, &error));
    assert_int_equal(tw_table_mark(table, 11), 100);
    tw_table_destroy(&table);
    spec = test_spec(TW_TABLE_EXACT, 0.1);
    table = test_table(&spec, 0, TW_N_SLOTS - 1);
    assert_int_equal(tw_table_load(table, directory, &file[0], &error), TW_STATUS_CONFLICT);
    assert_non_null(strstr(error.message, "weight"));
    tw_table_destroy(&table);
    test_remove(directory);
}

static void the_newest_whole_row_file_of_a_shard_is_found(void **state)
{
    (void)state;
    char directory[256];
    char path[512];
    test_directory(directory);
    tw_row_file file;
    uint64_t id = 0;
    for (uint64_t i = 1; i <= 3; i++)
        write_checkpoint(directory, i, TW_TABLE_EXACT);
    snprintf(path, sizeof path, "%s/000003.rows-0-of-1", directory);
    assert_int_equal(truncate(path, 100), 0);
    OK(tw_row_file_find(directory, 0, 1, &id, &file, NULL));
    assert_int_equal(id, 2);
    OK(tw_row_file_verify(directory, &file, NULL, NULL));
    assert_int_equal(tw_row_file_find(directory, 1, 2, &id, &file, NULL), TW_STATUS_NOT_FOUND);
    test_remove(directory);
}

/* One whole save and load; the manifest's id is 2. */
static tw_status save_and_load(tw_table *table, const char *directory, tw_manifest *manifest)
{
    tw_frozen *frozen = NULL;
    tw_table *loaded = NULL;
    tw_manifest *found = calloc(1, sizeof *found);
    tw_row_file *file = &manifest->files.file[0];
    tw_status status = tw_table_freeze(table, 1 << 20, &frozen, NULL);
    if (status == TW_STATUS_OK)
        status = tw_frozen_write(frozen, directory, "000002.rows-0-of-1", file, NULL);
    tw_frozen_destroy(&frozen);
    manifest->files.n_files = 1;
    if (status == TW_STATUS_OK)
        status = tw_checkpoint_commit(directory, manifest, NULL);
    if (status == TW_STATUS_OK)
        status = tw_checkpoint_read(directory, 2, found, NULL, NULL);
    if (status == TW_STATUS_OK)
        status = tw_table_create(&found->spec, 0, TW_N_SLOTS - 1, &loaded, NULL);
    if (status == TW_STATUS_OK)
        status = tw_table_load(loaded, directory, file, NULL);
    tw_table_destroy(&loaded);
    free_manifest(found);
    return status;
}

static void every_failing_call_of_saving_and_loading_leaves_the_older_checkpoint_whole(void **state)
{
    (void)state;
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0.1);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, 300);
    write_checkpoint(directory, 1, TW_TABLE_EXACT);
    for (int kind = TW_FAULT_ALLOC; kind <= TW_FAULT_FILE; kind++) {
        bool has_failed = true;
        uint64_t nth = 1;
        for (; has_failed; nth++) {
            tw_manifest *manifest = new_manifest(2, &spec);
            tw_fault_arm((tw_fault_kind)kind, nth, kind == TW_FAULT_FILE ? 28 : 12, false);
            tw_status status = save_and_load(table, directory, manifest);
            has_failed = tw_fault_fired((tw_fault_kind)kind) > 0;
            tw_fault_disarm((tw_fault_kind)kind);
            if (!has_failed)
                assert_int_equal(status, TW_STATUS_OK);
            free_manifest(manifest);
            tw_manifest *found = malloc(sizeof *found);
            OK(tw_checkpoint_read(directory, 1, found, NULL, NULL));
            free_manifest(found);
            tw_names names;
            OK(tw_directory_list(directory, &names, NULL));
            for (size_t i = 0; i < names.count; i++) {
                assert_null(strstr(names.name[i], ".tmp"));
                char path[600];
                snprintf(path, sizeof path, "%s/%s", directory, names.name[i]);
                if (names.name[i][5] == '2')
                    unlink(path);
            }
            tw_names_free(&names);
        }
        assert_true(nth > 15);
    }
    tw_table_destroy(&table);
    test_remove(directory);
}

/* Checkpoint 1 is a base in which some rows are wrong, 2 a delta that puts them right. */
static void write_delta(const char *directory, tw_table_kind kind)
{
    tw_table_spec spec = test_spec(kind, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, 20);
    for (uint64_t id = 1; id <= 2; id++) {
        for (uint32_t i = 3; i < 8; i++) {
            uint64_t key = test_key(i);
            void *row;
            OK(tw_table_rows(table, &key, 1, TW_ACCESS_WRITE, &row, NULL));
            *(test_row *)row = id == 1 ? (test_row){-1, 0} : (test_row){(float)i / 2, i + 1};
        }
        tw_manifest *manifest = new_manifest(id, &spec);
        tw_frozen *frozen;
        char name[TW_FILE_NAME_SIZE];
        tw_row_file_name(id, 0, 1, name);
        manifest->files.n_files = 1;
        OK(tw_table_freeze_after(table, directory, 8, 1 << 20, &frozen, NULL));
        OK(tw_frozen_write(frozen, directory, name, &manifest->files.file[0], NULL));
        tw_frozen_destroy(&frozen);
        OK(tw_checkpoint_commit(directory, manifest, NULL));
        free_manifest(manifest);
    }
    tw_table_destroy(&table);
}

/* "--write-golden": writes the golden files where there are none. */
static int write_golden(void)
{
    for (int kind = TW_TABLE_EXACT; kind <= TW_TABLE_HASHED; kind++) {
        char directory[512];
        golden_directory(directory, TW_STORE_FORMAT_VERSION, kind);
        if (access(directory, F_OK) != 0)
            write_delta(directory, (tw_table_kind)kind);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--write-golden") == 0)
        return write_golden();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_reads_back_as_it_was_written),
        cmocka_unit_test(checkpoints_of_every_format_version_are_read_for_ever),
        cmocka_unit_test(a_file_of_a_later_format_version_is_refused_by_both_numbers),
        cmocka_unit_test(every_flipped_byte_and_every_truncation_is_detected_and_named),
        cmocka_unit_test(a_damaged_row_file_leaves_the_table_untouched),
        cmocka_unit_test(a_damaged_newest_checkpoint_is_passed_over_and_reported),
        cmocka_unit_test(pruning_keeps_the_newest_checkpoints_and_what_may_be_in_the_making),
        cmocka_unit_test(files_of_m_shards_load_into_any_number_of_shards),
        cmocka_unit_test(rows_that_were_saved_are_loaded_whatever_the_cap_which_holds_for_new_ones),
        cmocka_unit_test(files_of_different_cuts_are_a_conflict_that_names_both),
        cmocka_unit_test(the_newest_whole_row_file_of_a_shard_is_found),
        cmocka_unit_test(every_failing_call_of_saving_and_loading_leaves_the_older_checkpoint_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
