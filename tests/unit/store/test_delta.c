/* Deltas: snapshots that hold only what changed, on top of those below them. */
#include "store_support.h"

#include <pthread.h>
#include <stdatomic.h>

enum { N_KEYS = 6000, MAX_DELTAS = 8 };

static tw_row_file write_after(tw_table *table, const char *directory, uint64_t id, uint32_t max_deltas)
{
    tw_frozen *frozen;
    tw_row_file file;
    char name[TW_FILE_NAME_SIZE];
    tw_row_file_name(id, 0, 1, name);
    OK(tw_table_freeze_after(table, directory, max_deltas, 1 << 20, &frozen, NULL));
    OK(tw_frozen_write(frozen, directory, name, &file, NULL));
    tw_frozen_destroy(&frozen);
    return file;
}

static void change(tw_table *table, uint64_t first, uint64_t n)
{
    for (uint64_t i = first; i < first + n; i++) {
        uint64_t key = test_key(i);
        void *row;
        OK(tw_table_rows(table, &key, 1, TW_ACCESS_WRITE, &row, NULL));
        ((test_row *)row)->count += (uint32_t)i + 7;
    }
    void *block;
    OK(tw_table_block(table, 0, TW_ACCESS_WRITE, &block, NULL));
    ((double *)block)[0] += 1;
    OK(tw_table_set_mark(table, 11, tw_table_mark(table, 11) + n, NULL));
    tw_table_add_events_learned(table, n);
}

/* `makes_room`: at once for all rows, as checkpoints are loaded; else the table grows under them. */
static void expect_loaded(tw_table *table, const char *directory, const tw_row_file *file, bool makes_room)
{
    tw_error error = {0};
    tw_table *loaded = test_table(tw_table_spec_of(table), 0, TW_N_SLOTS - 1);
    tw_status status = makes_room ? tw_table_load_all(loaded, directory, file, 1, &error)
                                  : tw_table_load(loaded, directory, file, &error);
    if (status != TW_STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(test_digest(loaded), test_digest(table));
    tw_table_destroy(&loaded);
}

static void expect_equal(tw_table *table, const char *directory, const tw_row_file *file)
{
    expect_loaded(table, directory, file, false);
    expect_loaded(table, directory, file, true);
}

static void a_delta_holds_what_was_touched_and_loads_as_the_whole(void **state)
{
    (void)state;
    for (int kind = TW_TABLE_EXACT; kind <= TW_TABLE_HASHED; kind++) {
        char directory[256];
        test_directory(directory);
        tw_table_spec spec = test_spec((tw_table_kind)kind, kind == TW_TABLE_HASHED ? 0.1 : 0);
        spec.bits = kind == TW_TABLE_HASHED ? 16 : 0;
        tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
        test_fill(table, N_KEYS);
        tw_row_file base = write_after(table, directory, 1, MAX_DELTAS);
        change(table, 100, 50);
        tw_row_file delta = write_after(table, directory, 2, MAX_DELTAS);
        assert_true(delta.rows <= 50 && delta.rows > 40);
        assert_true(delta.size < base.size / 4);
        expect_equal(table, directory, &delta);
        tw_table_destroy(&table);
        test_remove(directory);
    }
}

static size_t files_below(const char *directory, const tw_row_file *file)
{
    tw_names below = {0};
    OK(tw_row_file_needs(directory, file->name, &below, NULL));
    size_t n = below.count;
    tw_names_free(&below);
    return n;
}

static void a_chain_has_so_many_deltas_and_then_a_base_again(void **state)
{
    (void)state;
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0.1);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, N_KEYS);
    for (uint64_t id = 1; id <= 20; id++) {
        change(table, id * 37, 60);
        tw_row_file file = write_after(table, directory, id, MAX_DELTAS);
        assert_int_equal(files_below(directory, &file), (id - 1) % (MAX_DELTAS + 1));
        expect_equal(table, directory, &file);
    }
    tw_table_destroy(&table);
    test_remove(directory);
}

/* Between the two snapshots without deltas an exact table notes nothing; the bits of a hashed one stay. */
static void after_a_base_that_no_delta_follows_comes_a_base_and_then_deltas(void **state)
{
    (void)state;
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, N_KEYS);
    size_t n_below = 0;
    bool is_noted = false;
    for (uint64_t id = 1; id <= 12; id++) {
        uint32_t max_deltas = id % 6 == 3 || id % 6 == 4 ? 0 : MAX_DELTAS;
        tw_row_file file = write_after(table, directory, id, max_deltas);
        n_below = is_noted && max_deltas > 0 ? n_below + 1 : 0;
        is_noted = max_deltas > 0;
        assert_int_equal(files_below(directory, &file), n_below);
        expect_equal(table, directory, &file);
        change(table, id * 37, 60);
    }
    tw_table_destroy(&table);
    test_remove(directory);
}

enum { BUSY, QUIET, RARE, N_MANNERS };

/* Row i is written to in every (i % 16 + 1)-th interval, BUSY; QUIET only those that are in seven or more; RARE: all of
 * them in every seventh, and nothing at all in between. */
static void write_in_turn(tw_table *table, uint64_t interval, int manner)
{
    for (uint64_t i = 0; i < 640; i++) {
        uint64_t gap = manner == RARE ? 7 : i % 16 + 1;
        if (interval % gap == 0 && (manner == BUSY || gap >= 7))
            change(table, i, 1);
    }
}

static void a_row_is_noted_however_long_ago_it_was_last_written_to(void **state)
{
    (void)state;
    for (int manner = 0; manner < N_MANNERS; manner++) {
        char directory[256], name[TW_FILE_NAME_SIZE];
        test_directory(directory);
        tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
        tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
        test_fill(table, N_KEYS);
        for (uint64_t id = 1; id <= 50; id++) {
            tw_frozen *frozen;
            tw_row_file file;
            tw_row_file_name(id, 0, 1, name);
            uint64_t at_cut = test_digest(table);
            OK(tw_table_freeze_after(table, directory, MAX_DELTAS, 1 << 20, &frozen, NULL));
            write_in_turn(table, id, manner);
            OK(tw_frozen_write(frozen, directory, name, &file, NULL));
            tw_frozen_destroy(&frozen);
            tw_table *loaded = test_table(&spec, 0, TW_N_SLOTS - 1);
            OK(tw_table_load_all(loaded, directory, &file, 1, NULL));
            assert_int_equal(test_digest(loaded), at_cut);
            tw_table_destroy(&loaded);
        }
        tw_table_destroy(&table);
        test_remove(directory);
    }
}

/* Keys whose slots are low, so that their segment is full before the others. */
static void insert_low(tw_table *table, uint64_t first, uint64_t n)
{
    for (uint64_t i = first; i < first + n; i++) {
        uint64_t key = tw_key_nonzero(tw_mix64(i + 77777) >> 3);
        void *row;
        OK(tw_table_rows(table, &key, 1, TW_ACCESS_WRITE, &row, NULL));
        ((test_row *)row)->count += 3;
    }
}

static void segments_that_grow_and_split_between_deltas_are_replaced(void **state)
{
    (void)state;
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, 200000);
    tw_row_file file = write_after(table, directory, 1, MAX_DELTAS);
    for (uint64_t id = 2; id < 9; id++) {
        insert_low(table, id * 4000, 4000);
        change(table, id * 11, 5);
        file = write_after(table, directory, id, MAX_DELTAS);
        expect_loaded(
            table, directory, &file, true); /* segments that grow under so many rows crowd, which takes minutes */
    }
    assert_true(files_below(directory, &file) > 3);
    tw_table_destroy(&table);
    test_remove(directory);
}

static void a_delta_of_more_than_half_of_the_rows_is_a_base(void **state)
{
    (void)state;
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, N_KEYS);
    (void)write_after(table, directory, 1, MAX_DELTAS);
    change(table, 0, N_KEYS / 3 * 2);
    tw_row_file file = write_after(table, directory, 2, MAX_DELTAS);
    assert_int_equal(file.rows, N_KEYS);
    expect_equal(table, directory, &file);
    tw_table_destroy(&table);
    test_remove(directory);
}

static void after_a_snapshot_that_failed_the_next_one_is_a_base(void **state)
{
    (void)state;
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, N_KEYS);
    (void)write_after(table, directory, 1, MAX_DELTAS);
    change(table, 5, 20);
    tw_frozen *frozen;
    tw_row_file file;
    OK(tw_table_freeze_after(table, directory, MAX_DELTAS, 1 << 20, &frozen, NULL));
    tw_fault_arm(TW_FAULT_FILE, 4, 28, false);
    assert_int_not_equal(tw_frozen_write(frozen, directory, "000002.rows-0-of-1", &file, NULL), TW_STATUS_OK);
    tw_fault_disarm(TW_FAULT_FILE);
    tw_frozen_destroy(&frozen);
    change(table, 500, 20);
    file = write_after(table, directory, 3, MAX_DELTAS);
    assert_int_equal(file.rows, N_KEYS);
    expect_equal(table, directory, &file);
    tw_table_destroy(&table);
    test_remove(directory);
}

static void a_delta_is_not_written_when_a_file_below_it_is_gone(void **state)
{
    (void)state;
    char directory[256], path[512];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, N_KEYS);
    tw_row_file file = write_after(table, directory, 1, MAX_DELTAS);
    snprintf(path, sizeof path, "%s/%s", directory, file.name);
    unlink(path);
    change(table, 5, 20);
    tw_frozen *frozen;
    tw_error error = {0};
    OK(tw_table_freeze_after(table, directory, MAX_DELTAS, 1 << 20, &frozen, NULL));
    assert_int_equal(tw_frozen_write(frozen, directory, "000002.rows-0-of-1", &file, &error), TW_STATUS_NOT_FOUND);
    assert_non_null(strstr(error.message, "000001.rows-0-of-1"));
    tw_frozen_destroy(&frozen);
    file = write_after(table, directory, 3, MAX_DELTAS);
    assert_int_equal(file.rows, N_KEYS);
    expect_equal(table, directory, &file);
    tw_table_destroy(&table);
    test_remove(directory);
}

static void another_directory_and_no_deltas_give_bases(void **state)
{
    (void)state;
    char directory[256], other[256];
    test_directory(directory);
    test_directory(other);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, N_KEYS);
    (void)write_after(table, directory, 1, MAX_DELTAS);
    change(table, 0, 10);
    assert_int_equal(write_after(table, other, 2, MAX_DELTAS).rows, N_KEYS);
    change(table, 0, 10);
    assert_int_equal(write_after(table, other, 3, 0).rows, N_KEYS);
    tw_table_destroy(&table);
    test_remove(directory);
    test_remove(other);
}

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
    self->status = tw_frozen_write(self->frozen, self->directory, "000002.rows-0-of-1", &self->file, NULL);
    atomic_store(&self->is_done, true);
    return NULL;
}

/* Touches rows that the delta wants, rows that it does not, and new ones, in batches. */
static void hammer(tw_table *table, writer *self)
{
    enum { BATCH = 400 };
    uint64_t key[BATCH], next = 0;
    void *row[BATCH];
    for (int round = 0; round < 60 || !atomic_load(&self->is_done); round++) {
        for (int i = 0; i < BATCH; i++)
            key[i] = test_key(tw_mix64(next++) % (N_KEYS * 2));
        OK(tw_table_rows(table, key, BATCH, TW_ACCESS_WRITE, row, NULL));
        for (int i = 0; i < BATCH; i++)
            ((test_row *)row[i])->count += 1000;
    }
}

static void check_cut(tw_table_kind kind, uint64_t max_kept, bool is_beside)
{
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(kind, 0);
    spec.bits = kind == TW_TABLE_HASHED ? 15 : 0;
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, N_KEYS);
    (void)write_after(table, directory, 1, MAX_DELTAS);
    change(table, 200, 2500);
    uint64_t expected = test_digest(table);
    writer self = {.directory = directory};
    OK(tw_table_freeze_after(table, directory, MAX_DELTAS, max_kept, &self.frozen, NULL));
    pthread_t thread;
    if (is_beside) {
        assert_int_equal(pthread_create(&thread, NULL, writer_run, &self), 0);
        hammer(table, &self);
        pthread_join(thread, NULL);
    } else {
        atomic_store(&self.is_done, true);
        hammer(table, &self);
        (void)writer_run(&self);
    }
    OK(self.status);
    assert_true(self.file.rows <= 2500);
    tw_frozen_destroy(&self.frozen);
    assert_int_not_equal(test_digest(table), expected);
    tw_table *loaded = test_table(&spec, 0, TW_N_SLOTS - 1);
    OK(tw_table_load(loaded, directory, &self.file, NULL));
    assert_int_equal(test_digest(loaded), expected);
    tw_table_destroy(&loaded);
    tw_row_file last = write_after(table, directory, 3, MAX_DELTAS);
    expect_equal(table, directory, &last);
    tw_table_destroy(&table);
    test_remove(directory);
}

static void a_delta_is_the_cut_while_a_learner_changes_the_table(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++)
        check_cut(i % 2 ? TW_TABLE_HASHED : TW_TABLE_EXACT, i < 2 ? 1 << 21 : 1 << 26, i < 4);
}

static tw_manifest *one_file_manifest(uint64_t id, const tw_table_spec *spec, const tw_row_file *file)
{
    tw_manifest *self = calloc(1, sizeof *self);
    *self = (tw_manifest){.id = id, .events = 77, .spec = *spec};
    snprintf(self->learner, sizeof self->learner, "ftrl");
    self->files.n_files = 1;
    self->files.file[0] = *file;
    return self;
}

/* Checkpoints 1 to n, of which 1 is a base and the rest are deltas. Returns the digest of each. */
static void write_checkpoints(const char *directory, uint64_t n, uint32_t n_rows, uint64_t *digest)
{
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, n_rows);
    for (uint64_t id = 1; id <= n; id++) {
        change(table, id, 3);
        tw_row_file file = write_after(table, directory, id, MAX_DELTAS);
        tw_manifest *manifest = one_file_manifest(id, &spec, &file);
        OK(tw_checkpoint_commit(directory, manifest, NULL));
        tw_manifest_fini(manifest);
        free(manifest);
        digest[id] = test_digest(table);
    }
    tw_table_destroy(&table);
}

static void expect_checkpoint(const char *directory, uint64_t id, uint64_t digest)
{
    tw_error error = {0};
    tw_manifest *manifest = malloc(sizeof *manifest);
    if (tw_checkpoint_read(directory, id, manifest, NULL, &error) != TW_STATUS_OK)
        fail_msg("%s", error.message);
    tw_table *table = test_table(&manifest->spec, 0, TW_N_SLOTS - 1);
    OK(tw_table_load_all(table, directory, manifest->files.file, manifest->files.n_files, &error));
    assert_int_equal(test_digest(table), digest);
    tw_table_destroy(&table);
    tw_manifest_fini(manifest);
    free(manifest);
}

static void pruning_keeps_what_a_kept_delta_stands_on_and_nothing_else(void **state)
{
    (void)state;
    char directory[256];
    uint64_t digest[16];
    test_directory(directory);
    write_checkpoints(directory, 12, 200, digest);
    OK(tw_checkpoint_prune(directory, 1, NULL, 0, NULL));
    tw_names names;
    OK(tw_directory_list(directory, &names, NULL));
    assert_int_equal(names.count, 4);
    assert_string_equal(names.name[0], "000010.rows-0-of-1");
    tw_names_free(&names);
    expect_checkpoint(directory, 12, digest[12]);
    test_remove(directory);
    test_directory(directory);
    write_checkpoints(directory, 8, 200, digest);
    uint64_t spared[] = {3};
    OK(tw_checkpoint_prune(directory, 2, spared, 1, NULL));
    expect_checkpoint(directory, 3, digest[3]);
    expect_checkpoint(directory, 7, digest[7]);
    expect_checkpoint(directory, 8, digest[8]);
    OK(tw_directory_list(directory, &names, NULL));
    assert_int_equal(names.count, 8 + 3);
    tw_names_free(&names);
    test_remove(directory);
}

static void put(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void expect_damage(const char *directory, uint64_t id, const char *file, size_t at)
{
    tw_error error = {0};
    tw_manifest *manifest = malloc(sizeof *manifest);
    tw_status status = tw_checkpoint_read(directory, id, manifest, NULL, &error);
    if (status != TW_STATUS_CORRUPT || strstr(error.message, file) == NULL)
        fail_msg("%s: damage at byte %zu gives status %d, '%s'", file, at, status, error.message);
    free(manifest);
}

static void every_flipped_byte_and_truncation_of_a_chain_is_detected_and_named(void **state)
{
    (void)state;
    static const char *const files[] = {"000001.rows-0-of-1", "000002.rows-0-of-1", "000003.rows-0-of-1"};
    char directory[256], path[512];
    uint64_t digest[16];
    test_directory(directory);
    write_checkpoints(directory, 3, 20, digest);
    for (int i = 0; i < 3; i++) {
        char *bytes;
        size_t size;
        snprintf(path, sizeof path, "%s/%s", directory, files[i]);
        OK(tw_file_load(path, 1 << 20, &bytes, &size, NULL));
        for (size_t at = 0; at < size; at++) {
            bytes[at] = (char)(bytes[at] ^ 0x10);
            put(path, bytes, size);
            expect_damage(directory, 3, files[i], at);
            bytes[at] = (char)(bytes[at] ^ 0x10);
            if (at % 31 != 0)
                continue;
            put(path, bytes, at);
            expect_damage(directory, 3, files[i], at);
        }
        unlink(path);
        expect_damage(directory, 3, files[i], 0);
        put(path, bytes, size);
        tw_free(bytes);
    }
    expect_checkpoint(directory, 3, digest[3]);
    test_remove(directory);
}

static void damage_below_falls_back_to_the_newest_checkpoint_that_is_whole_and_says_so(void **state)
{
    (void)state;
    char directory[256], path[512];
    uint64_t digest[16], id;
    test_directory(directory);
    write_checkpoints(directory, 4, 100, digest);
    snprintf(path, sizeof path, "%s/000003.rows-0-of-1", directory);
    assert_int_equal(truncate(path, 300), 0);
    tw_error skipped = {0};
    tw_manifest *manifest = malloc(sizeof *manifest);
    OK(tw_checkpoint_read(directory, 0, manifest, &skipped, NULL));
    assert_int_equal(manifest->id, 2);
    assert_non_null(strstr(skipped.message, "000003.rows-0-of-1"));
    tw_manifest_fini(manifest);
    free(manifest);
    tw_row_file file;
    OK(tw_row_file_find(directory, 0, 1, &id, &file, NULL));
    assert_int_equal(id, 2);
    expect_checkpoint(directory, 2, digest[2]);
    test_remove(directory);
}

/* One more delta and its manifest, then the newest checkpoint that can be had. */
static tw_status save_once(tw_table *table, const char *directory, uint64_t id)
{
    tw_frozen *frozen = NULL;
    tw_row_file file;
    char name[TW_FILE_NAME_SIZE];
    tw_row_file_name(id, 0, 1, name);
    tw_status status = tw_table_freeze_after(table, directory, MAX_DELTAS, 1 << 20, &frozen, NULL);
    if (status == TW_STATUS_OK)
        status = tw_frozen_write(frozen, directory, name, &file, NULL);
    tw_frozen_destroy(&frozen);
    if (status < 0)
        return status;
    tw_manifest *manifest = one_file_manifest(id, tw_table_spec_of(table), &file);
    status = tw_checkpoint_commit(directory, manifest, NULL);
    tw_manifest_fini(manifest);
    free(manifest);
    return status < 0 ? status : tw_checkpoint_prune(directory, 2, NULL, 0, NULL);
}

static void every_failing_call_of_saving_a_delta_leaves_a_checkpoint_that_loads(void **state)
{
    (void)state;
    char directory[256];
    test_directory(directory);
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    test_fill(table, 300);
    uint64_t id = 1, digest = test_digest(table);
    OK(save_once(table, directory, id));
    for (int kind = TW_FAULT_ALLOC; kind <= TW_FAULT_FILE; kind++) {
        bool has_failed = true;
        uint64_t nth = 1;
        for (; has_failed; nth++) {
            OK(save_once(table, directory, ++id)); /* so that the one that fails is often a delta */
            digest = test_digest(table);
            change(table, nth, 2);
            uint64_t after = test_digest(table);
            tw_fault_arm((tw_fault_kind)kind, nth, kind == TW_FAULT_FILE ? 28 : 12, false);
            tw_status status = save_once(table, directory, ++id);
            has_failed = tw_fault_fired((tw_fault_kind)kind) > 0;
            tw_fault_disarm((tw_fault_kind)kind);
            assert_true(has_failed || status == TW_STATUS_OK);
            tw_manifest *found = malloc(sizeof *found);
            OK(tw_checkpoint_read(directory, 0, found, NULL, NULL));
            tw_table *loaded = test_table(&spec, 0, TW_N_SLOTS - 1);
            OK(tw_table_load_all(loaded, directory, found->files.file, 1, NULL));
            uint64_t is = test_digest(loaded);
            assert_true(is == (found->id == id ? after : digest));
            tw_table_destroy(&loaded);
            tw_manifest_fini(found);
            free(found);
        }
        assert_true(nth > 15);
    }
    tw_table_destroy(&table);
    test_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delta_holds_what_was_touched_and_loads_as_the_whole),
        cmocka_unit_test(a_chain_has_so_many_deltas_and_then_a_base_again),
        cmocka_unit_test(after_a_base_that_no_delta_follows_comes_a_base_and_then_deltas),
        cmocka_unit_test(a_row_is_noted_however_long_ago_it_was_last_written_to),
        cmocka_unit_test(segments_that_grow_and_split_between_deltas_are_replaced),
        cmocka_unit_test(a_delta_of_more_than_half_of_the_rows_is_a_base),
        cmocka_unit_test(after_a_snapshot_that_failed_the_next_one_is_a_base),
        cmocka_unit_test(a_delta_is_not_written_when_a_file_below_it_is_gone),
        cmocka_unit_test(another_directory_and_no_deltas_give_bases),
        cmocka_unit_test(a_delta_is_the_cut_while_a_learner_changes_the_table),
        cmocka_unit_test(pruning_keeps_what_a_kept_delta_stands_on_and_nothing_else),
        cmocka_unit_test(every_flipped_byte_and_truncation_of_a_chain_is_detected_and_named),
        cmocka_unit_test(damage_below_falls_back_to_the_newest_checkpoint_that_is_whole_and_says_so),
        cmocka_unit_test(every_failing_call_of_saving_a_delta_leaves_a_checkpoint_that_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
