/* Admission, expiry and eviction against a plain model: one state a key, event by event. */
#include "keep_support.h"
#include "store/internal.h"

typedef struct outcome {
    size_t n_rows;
    tw_params_stats stats;
} outcome;

static outcome check_against_model(const tw_table_spec *spec, const stream *from, uint64_t n_events)
{
    tw_table *sizes = test_table(spec, 0, TW_N_SLOTS - 1);
    model wanted = {.spec = spec, .room = sizes->keep.room, .turn = sizes->keep.turn};
    tw_table_destroy(&sizes);
    wanted.key = calloc(MODEL_KEYS, sizeof *wanted.key);
    for (uint64_t i = 0; i < n_events; i++)
        model_event(&wanted, from);
    outcome out = {0};
    for (uint64_t seed = 1; seed <= 3; seed++) {
        tw_params *params = local_of_spec(spec);
        double read = 0;
        learn_all(params, from, 0, n_events, seed * 1000, &read);
        out.n_rows = check_rows(&wanted, params);
        assert_true(read == wanted.read);
        out.stats = stats_of(params);
        assert_true(out.stats.touches_refused == wanted.n_refused);
        assert_int_equal(out.stats.rows_evicted, wanted.n_evicted);
        params->ops->close(params);
    }
    free(wanted.key);
    return out;
}

static void a_key_is_admitted_at_its_nth_touch_however_events_are_cut_into_batches(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    spec.keep.admit_count = 4;
    outcome out = check_against_model(&spec, &(stream){900, 64, 1}, 12000);
    assert_true(out.n_rows > 100 && out.n_rows < 1000);
    assert_true(out.stats.touches_refused > 5000);
}

static void a_key_is_admitted_by_the_draw_of_a_touch(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    spec.keep.admit_probability = 0.1;
    outcome out = check_against_model(&spec, &(stream){900, 4096, 2}, 12000);
    assert_true(out.n_rows > 1000 && out.n_rows < 3000);
}

static void a_row_not_touched_for_too_long_is_as_if_it_had_never_been(void **state)
{
    (void)state;
    for (uint32_t count = 0; count <= 3; count += 3) {
        tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
        spec.keep.expire_after = 700;
        spec.keep.admit_count = count;
        outcome out = check_against_model(&spec, &(stream){300, 64, 2}, 14000);
        assert_true(out.n_rows > 40 && out.stats.rows_expired > 100);
    }
}

static void a_full_slot_loses_the_rows_touched_longest_ago(void **state)
{
    (void)state;
    for (uint64_t expire_after = 0; expire_after <= 40000; expire_after += 40000) {
        tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
        spec.keep.evicts = true;
        spec.keep.expire_after = expire_after;
        spec.max_bytes = 6 << 20;
        outcome out = check_against_model(&spec, &(stream){300, 512, 1}, 60000);
        assert_true(out.stats.rows_evicted > 300 && out.stats.bytes <= spec.max_bytes);
        assert_int_equal(out.stats.rows_expired > 0, expire_after > 0);
    }
}

static void a_slot_that_is_full_before_its_turn_makes_room_but_keeps_the_batch_at_hand(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    spec.keep.evicts = true;
    spec.max_bytes = 4 << 20;
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    uint32_t room = table->keep.room, n = room * 3;
    uint64_t *key = malloc(n * sizeof *key);
    uint32_t *start = malloc((n + 1) * sizeof *start);
    void **row = malloc(n * sizeof *row);
    for (uint32_t i = 0; i < n; i++)
        key[i] = 9ull << 52 | (tw_mix64(i) >> 12);
    for (uint32_t i = 0; i <= n; i++)
        start[i] = i;
    for (uint32_t i = 0; i < n; i += room / 2) {
        tw_batch batch = {.n_events = room / 2, .n_entries = room / 2, .key = key + i, .row_start = start};
        OK(tw_table_learn_rows(table, &batch, row, NULL));
        for (uint32_t j = 0; j < room / 2; j++)
            ((test_row *)row[j])->count = i + j + 1;
        tw_table_tick(table, room / 2); /* no turn of this slot comes */
        assert_true(table->keep.slot_rows[9] <= room);
        OK(tw_table_rows(table, key + i, room / 2, TW_ACCESS_READ, row, NULL));
        for (uint32_t j = 0; j < room / 2; j++)
            assert_int_equal(((test_row *)row[j])->count, i + j + 1);
    }
    /* One batch of more rows than the slot has room for keeps all of them. */
    tw_batch all = {.n_events = n, .n_entries = n, .key = key, .row_start = start};
    OK(tw_table_learn_rows(table, &all, row, NULL));
    for (uint32_t i = 0; i < n; i++)
        ((test_row *)row[i])->count = 7000 + i;
    OK(tw_table_rows(table, key, n, TW_ACCESS_READ, row, NULL));
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(((test_row *)row[i])->count, 7000 + i);
    free(row);
    free(start);
    free(key);
    tw_table_destroy(&table);
}

static void a_key_that_comes_twice_in_an_event_is_touched_once(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    spec.keep.admit_count = 3;
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    uint64_t a = test_key(1), key[6] = {a, a, a, a, a, a};
    uint32_t start[4] = {0, 3, 5, 6};
    void *row[6];
    tw_batch batch = {.n_events = 3, .n_entries = 6, .key = key, .row_start = start};
    OK(tw_table_learn_rows(table, &batch, row, NULL));
    assert_ptr_equal(row[0], row[1]);
    assert_ptr_equal(row[0], row[2]);
    assert_ptr_equal(row[3], row[4]);
    assert_ptr_not_equal(row[0], row[3]);
    assert_ptr_not_equal(row[3], row[5]);
    tw_params_stats stats;
    tw_table_stats(table, &stats);
    assert_int_equal(stats.rows, 1);
    assert_int_equal(stats.touches_refused, 2);
    tw_table_destroy(&table);
}

/* --- snapshots ---------------------------------------------------------------------------------------------------- */

static tw_table_spec full_spec(void)
{
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    spec.keep = (tw_keep){.admit_count = 3, .admit_bytes = 768 << 10, .expire_after = 30000, .evicts = true};
    spec.max_bytes = 16 << 20;
    return spec;
}

static const stream full_stream = {20000, 40, 0};

static void resumed_from_a_snapshot_a_table_goes_on_as_if_it_had_never_stopped(void **state)
{
    (void)state;
    tw_table_spec spec = full_spec();
    tw_params *whole = local_of_spec(&spec), *first = local_of_spec(&spec), *second = local_of_spec(&spec);
    double read_whole = 0, read_parts = 0;
    char directory[256];
    test_directory(directory);
    learn_all(whole, &full_stream, 0, 70000, 1, &read_whole);
    learn_all(first, &full_stream, 0, 37777, 2, &read_parts);
    tw_row_files files = {0};
    OK(first->ops->snapshot_start(first, directory, 1, NULL));
    double ignored = 0;
    learn_all(first, &full_stream, 37777, 48000, 3, &ignored); /* beside the copier: rows come, go and move */
    OK(first->ops->snapshot_poll(first, -1, &files, NULL));
    OK(second->ops->restore(second, directory, &files, NULL));
    learn_all(second, &full_stream, 37777, 70000, 4, &read_parts);
    assert_true(read_whole == read_parts);
    tw_params_stats left = stats_of(whole), right = stats_of(second);
    assert_true(left.rows_evicted > 100 && left.rows_expired > 50 && right.rows_expired > 50);
    first->ops->close(first);
    second->ops->close(second);
    whole->ops->close(whole);
    test_remove(directory);
}

/* Learns in tables that hold a part of the slots each, event by event. */
static void learn_in_parts(tw_table **part, uint32_t n_parts, uint64_t first, uint64_t end, double *read)
{
    events batch;
    for (uint64_t at = first; at < end; at++) {
        events_fill(&batch, &full_stream, at, 1);
        void *row[PER_EVENT];
        uint64_t own[PER_EVENT];
        uint32_t place[PER_EVENT];
        for (uint32_t p = 0; p < n_parts; p++) {
            uint32_t n = 0, start[2] = {0};
            for (uint32_t j = 0; j < PER_EVENT; j++) {
                if ((batch.key[j] >> 52) * n_parts / TW_N_SLOTS == p) {
                    place[n] = j;
                    own[n++] = batch.key[j];
                }
            }
            start[1] = n;
            tw_batch view = {.n_events = 1, .n_entries = n, .key = own, .row_start = start};
            void *found[PER_EVENT];
            OK(tw_table_learn_rows(part[p], &view, found, NULL));
            for (uint32_t j = 0; j < n; j++)
                row[place[j]] = found[j];
        }
        for (uint32_t j = 0; j < PER_EVENT; j++)
            row_learn(row[j], at, read);
        for (uint32_t p = 0; p < n_parts; p++)
            tw_table_tick(part[p], 1);
    }
}

static void parts_open(tw_table **part, uint32_t n, const tw_table_spec *spec)
{
    for (uint32_t p = 0; p < n; p++)
        part[p] = test_table(spec, TW_N_SLOTS / n * p, TW_N_SLOTS / n * (p + 1) - 1);
}

static void parts_close(tw_table **part, uint32_t n)
{
    for (uint32_t p = 0; p < n; p++)
        tw_table_destroy(&part[p]);
}

static void a_table_spread_over_other_slots_goes_on_as_before(void **state)
{
    (void)state;
    tw_table_spec spec = full_spec();
    tw_params *whole = local_of_spec(&spec);
    double read_whole = 0, read_parts = 0;
    char directory[256], name[TW_FILE_NAME_SIZE];
    learn_all(whole, &full_stream, 0, 60000, 1, &read_whole);
    test_directory(directory);
    for (uint32_t before = 1; before <= 4; before *= 2) {
        for (uint32_t after = 1; after <= 4; after *= 4) {
            tw_table *old[4], *new[4];
            tw_row_file file[4];
            read_parts = 0;
            parts_open(old, before, &spec);
            learn_in_parts(old, before, 0, 40000, &read_parts);
            for (uint32_t p = 0; p < before; p++) {
                tw_row_file_name(before * 10 + after, p, before, name);
                test_write(old[p], directory, name, &file[p]);
            }
            parts_open(new, after, &spec);
            for (uint32_t p = 0; p < after; p++)
                OK(tw_table_load_all(new[p], directory, file, before, NULL));
            learn_in_parts(new, after, 40000, 60000, &read_parts);
            assert_true(read_parts == read_whole);
            parts_close(old, before);
            parts_close(new, after);
        }
    }
    assert_true(stats_of(whole).rows_evicted > 100);
    whole->ops->close(whole);
    test_remove(directory);
}

static void rows_of_a_file_without_stamps_begin_to_age_when_they_are_loaded(void **state)
{
    (void)state;
    tw_table_spec plain = test_spec(TW_TABLE_EXACT, 0), spec = plain;
    spec.keep.expire_after = 1000;
    tw_table *old = test_table(&plain, 0, TW_N_SLOTS - 1), *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    char directory[256];
    tw_row_file file;
    test_fill(old, 500);
    test_directory(directory);
    test_write(old, directory, "000001.rows-0-of-1", &file);
    OK(tw_table_load(table, directory, &file, NULL));
    assert_true(test_digest(old) == test_digest(table));
    tw_table_tick(table, 1000);
    assert_true(test_digest(old) == test_digest(table));
    tw_table_tick(table, 1);
    assert_true(test_digest(old) != test_digest(table));
    /* and the other way round: stamps are left out */
    test_write(table, directory, "000002.rows-0-of-1", &file);
    tw_table_destroy(&table);
    table = test_table(&plain, 0, TW_N_SLOTS - 1);
    OK(tw_table_load(table, directory, &file, NULL));
    tw_table_destroy(&table);
    tw_table_destroy(&old);
    test_remove(directory);
}

/* --- long runs ---------------------------------------------------------------------------------------------------- */

static void rows_and_memory_stay_flat_while_new_keys_come_for_ever(void **state)
{
    (void)state;
    for (int evicts = 0; evicts < 2; evicts++) {
        tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
        spec.keep.expire_after = evicts ? 0 : 20000;
        spec.keep.evicts = evicts;
        spec.max_bytes = evicts ? 4 << 20 : 0;
        tw_params *params = local_of_spec(&spec);
        stream from = {1, 4096, 8};
        double read = 0;
        learn_all(params, &from, 0, 100000, 1, &read);
        tw_params_stats early = stats_of(params);
        learn_all(params, &from, 100000, 100000 + 300000 / TW_SLOWNESS, 2, &read);
        tw_params_stats late = stats_of(params);
        assert_true(early.rows > 60000 && late.rows < early.rows * 5 / 4);
        assert_true(late.bytes <= early.bytes * 5 / 4);
        assert_true(!evicts || late.bytes <= spec.max_bytes);
        params->ops->close(params);
    }
}

static void the_clock_may_pass_32_bits(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    spec.keep = (tw_keep){.admit_count = 2, .expire_after = 1000};
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    table->keep.clock = 0xffffff00ull;
    uint64_t key[2] = {test_key(1), test_key(1)};
    uint32_t start[3] = {0, 1, 2};
    void *row[2];
    tw_batch batch = {.n_events = 2, .n_entries = 2, .key = key, .row_start = start};
    OK(tw_table_learn_rows(table, &batch, row, NULL));
    ((test_row *)row[1])->count = 5;
    tw_table_tick(table, 1000);
    OK(tw_table_rows(table, key, 1, TW_ACCESS_READ, row, NULL));
    assert_int_equal(((test_row *)row[0])->count, 5);
    tw_table_tick(table, 2);
    OK(tw_table_rows(table, key, 1, TW_ACCESS_READ, row, NULL));
    assert_int_equal(((test_row *)row[0])->count, 0);
    tw_table_destroy(&table);
}

static void impossible_options_are_refused(void **state)
{
    (void)state;
    tw_table_spec spec = test_spec(TW_TABLE_HASHED, 0);
    tw_table *table;
    spec.keep.expire_after = 10;
    assert_int_equal(tw_table_create(&spec, 0, 4095, &table, NULL), TW_STATUS_INVALID);
    spec = test_spec(TW_TABLE_EXACT, 0);
    spec.keep.evicts = true;
    assert_int_equal(tw_table_create(&spec, 0, 4095, &table, NULL), TW_STATUS_INVALID);
    spec.max_bytes = 100000;
    tw_error error = {0};
    assert_int_equal(tw_table_create(&spec, 0, 4095, &table, &error), TW_STATUS_INVALID);
    const char *least = strstr(error.message, "at least ");
    assert_non_null(least);
    spec.max_bytes = strtoull(least + 9, NULL, 10);
    OK(tw_table_create(&spec, 0, 4095, &table, NULL));
    tw_table_destroy(&table);
    spec.keep = (tw_keep){.admit_probability = 1.5};
    assert_int_equal(tw_table_create(&spec, 0, 4095, &table, NULL), TW_STATUS_INVALID);
    spec.keep = (tw_keep){.admit_count = 5000};
    assert_int_equal(tw_table_create(&spec, 0, 4095, &table, NULL), TW_STATUS_INVALID);
}

static void where_memory_fails_the_table_stays_whole(void **state)
{
    (void)state;
    tw_table_spec spec = full_spec();
    for (uint64_t nth = 1; nth < 30; nth++) {
        tw_table *table = NULL;
        tw_fault_arm(TW_FAULT_ALLOC, 1, nth, false);
        tw_status status = tw_table_create(&spec, 0, TW_N_SLOTS - 1, &table, NULL);
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_true(status == TW_STATUS_OK || status == TW_STATUS_NO_MEMORY);
        tw_table_destroy(&table);
    }
    spec.keep.evicts = false;
    spec.keep.admit_count = 0;
    spec.max_bytes = 0;
    stream from = {1000, 4096, 8};
    tw_params *params = local_of_spec(&spec), *undisturbed = local_of_spec(&spec);
    events batch;
    double read = 0, ignored = 0;
    uint32_t n_failed = 0;
    for (uint64_t at = 0; at < 12000; at += BATCH_MAX) {
        events_fill(&batch, &from, at, BATCH_MAX);
        tw_fault_arm(TW_FAULT_ALLOC, 1, 1, true);
        tw_status status = learn(params, &batch, &read);
        tw_fault_disarm(TW_FAULT_ALLOC);
        n_failed += status != TW_STATUS_OK;
        if (status != TW_STATUS_OK)
            OK(learn(params, &batch, &read));
        OK(learn(undisturbed, &batch, &ignored));
    }
    assert_true(n_failed > 2);
    assert_int_equal(stats_of(params).rows, stats_of(undisturbed).rows);
    assert_true(read == ignored);
    params->ops->close(params);
    undisturbed->ops->close(undisturbed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_admitted_at_its_nth_touch_however_events_are_cut_into_batches),
        cmocka_unit_test(a_key_is_admitted_by_the_draw_of_a_touch),
        cmocka_unit_test(a_row_not_touched_for_too_long_is_as_if_it_had_never_been),
        cmocka_unit_test(a_full_slot_loses_the_rows_touched_longest_ago),
        cmocka_unit_test(a_slot_that_is_full_before_its_turn_makes_room_but_keeps_the_batch_at_hand),
        cmocka_unit_test(a_key_that_comes_twice_in_an_event_is_touched_once),
        cmocka_unit_test(resumed_from_a_snapshot_a_table_goes_on_as_if_it_had_never_stopped),
        cmocka_unit_test(a_table_spread_over_other_slots_goes_on_as_before),
        cmocka_unit_test(rows_of_a_file_without_stamps_begin_to_age_when_they_are_loaded),
        cmocka_unit_test(rows_and_memory_stay_flat_while_new_keys_come_for_ever),
        cmocka_unit_test(the_clock_may_pass_32_bits),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(where_memory_fails_the_table_stays_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
