/* The remote store over in-process shards: the same rows as a local table, and every event counted exactly once
 * whatever happens to frames and shards. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/hash.h"
#include "ps/edge/loopback.h"
#include "ps/worker/cut.h"
#include "store/spec.h"
#include "store/table.h"

enum { EVENTS = 8, PER_EVENT = 3, ENTRIES = EVENTS * PER_EVENT, N_KEYS = 60 };

typedef struct toy_row {
    uint64_t count;
    float sum, last;
} toy_row;

typedef struct toy_block {
    uint64_t events;
} toy_block;

typedef struct toy_batch {
    tw_batch view;
    uint32_t start[EVENTS + 1];
    uint64_t key[ENTRIES];
    float value[ENTRIES];
} toy_batch;

static tw_table_spec toy_spec(tw_table_kind kind)
{
    tw_table_spec spec = {.kind = kind, .bits = 12, .hash_seed = 7};
    tw_record *row = &spec.schema.row;
    assert_int_equal(tw_record_add(row, "count", TW_FIELD_U64, 1, TW_MERGE_ADD, NULL), 0);
    assert_int_equal(tw_record_add(row, "sum", TW_FIELD_F32, 1, TW_MERGE_ADD, NULL), 0);
    assert_int_equal(tw_record_add(row, "last", TW_FIELD_F32, 1, TW_MERGE_LAST, NULL), 0);
    tw_block *block = tw_schema_add_block(&spec.schema, "totals", 3, NULL);
    assert_non_null(block);
    assert_int_equal(tw_record_add(&block->record, "events", TW_FIELD_U64, 1, TW_MERGE_ADD, NULL), 0);
    return spec;
}

/* The events (from, to] of a split; the same offsets give the same events. */
static void toy_fill(toy_batch *self, uint64_t split, uint64_t from, uint64_t to)
{
    uint32_t n = (uint32_t)(to - from);
    for (uint32_t i = 0; i < n; i++) {
        self->start[i] = i * PER_EVENT;
        for (uint32_t j = 0; j < PER_EVENT; j++) {
            uint64_t r = tw_mix64(split * 1000003 + (from + i) * 17 + j);
            self->key[i * PER_EVENT + j] = tw_key_of_index(7, r % N_KEYS);
            self->value[i * PER_EVENT + j] = (float)(r >> 40) / 1000.0f;
        }
    }
    self->start[n] = n * PER_EVENT;
    self->view = (tw_batch){.n_events = n,
        .n_entries = n * PER_EVENT,
        .row_start = self->start,
        .key = self->key,
        .value = self->value,
        .split = split,
        .from = from,
        .to = to};
}

static tw_status toy_learn(tw_params *params, const tw_batch *batch, tw_error *error)
{
    tw_rows rows;
    tw_status status = params->ops->acquire(params, batch, TW_ACCESS_WRITE, &rows, error);
    if (status != TW_STATUS_OK)
        return status;
    for (uint32_t i = 0; i < batch->n_entries; i++) {
        toy_row *row = rows.row[i];
        row->count++;
        row->sum += batch->value[i];
        row->last = batch->value[i];
    }
    toy_block *totals = rows.block[0];
    for (uint32_t b = 0; b < 3; b++)
        totals[b].events += batch->n_events;
    return params->ops->release(params, batch, &rows, batch->n_events, error);
}

typedef struct toy_table {
    struct {
        int block;
        uint64_t key;
        unsigned char bytes[16];
    } record[8192];
    uint32_t n;
} toy_table;

static tw_status toy_collect(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    static const unsigned char zero[16];
    toy_table *self = context;
    (void)error;
    size_t size = block < 0 ? sizeof(toy_row) : sizeof(toy_block);
    if (memcmp(record, zero, size) == 0)
        return TW_STATUS_OK;
    assert_true(self->n < 8192);
    memset(&self->record[self->n], 0, sizeof self->record[0]);
    self->record[self->n].block = block;
    self->record[self->n].key = key;
    memcpy(self->record[self->n++].bytes, record, size);
    return TW_STATUS_OK;
}

static int toy_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(((toy_table *)NULL)->record[0]));
}

static toy_table *toy_scan(tw_params *params)
{
    toy_table *self = calloc(1, sizeof *self);
    assert_int_equal(params->ops->scan(params, toy_collect, self, NULL), TW_STATUS_OK);
    qsort(self->record, self->n, sizeof self->record[0], toy_compare);
    return self;
}

static void check_same_rows(tw_params *a, tw_params *b)
{
    toy_table *left = toy_scan(a), *right = toy_scan(b);
    assert_true(left->n > 10);
    assert_int_equal(left->n, right->n);
    assert_memory_equal(left->record, right->record, left->n * sizeof left->record[0]);
    free(left);
    free(right);
}

static void learn_all(tw_params *params)
{
    toy_batch batch;
    for (uint64_t split = 1; split <= 3; split++) {
        for (uint64_t from = 0; from < 100; from += 5) {
            toy_fill(&batch, split, from, from + 5);
            assert_int_equal(toy_learn(params, &batch.view, NULL), TW_STATUS_OK);
        }
    }
}

static void check_equals_local(tw_table_kind kind, uint32_t n_shards)
{
    tw_table_spec spec = toy_spec(kind);
    tw_params *local = NULL, *remote = NULL;
    assert_int_equal(tw_local_create(&spec, &local, NULL), TW_STATUS_OK);
    assert_int_equal(tw_loopback_create(&spec, n_shards, NULL, &remote, NULL, NULL), TW_STATUS_OK);
    learn_all(local);
    learn_all(remote);
    check_same_rows(local, remote);
    tw_params_stats stats;
    remote->ops->stats(remote, &stats);
    assert_int_equal(stats.events_learned, 300);
    uint64_t marks[4];
    uint32_t n_marks = 4;
    assert_int_equal(remote->ops->mark(remote, 2, marks, &n_marks, NULL), TW_STATUS_OK);
    assert_int_equal(n_marks, 1);
    assert_int_equal(marks[0], 100);
    local->ops->close(local);
    remote->ops->close(remote);
}

static void one_two_and_five_shards_hold_the_bits_of_a_local_exact_table(void **state)
{
    (void)state;
    check_equals_local(TW_TABLE_EXACT, 1);
    check_equals_local(TW_TABLE_EXACT, 2);
    check_equals_local(TW_TABLE_EXACT, 5);
}

static void shards_hold_the_bits_of_a_local_hashed_table(void **state)
{
    (void)state;
    check_equals_local(TW_TABLE_HASHED, 1);
    check_equals_local(TW_TABLE_HASHED, 3);
}

/* --- audit -------------------------------------------------------------------------------------------------------- */

static uint64_t draw(uint64_t *random)
{
    *random += 0x9e3779b97f4a7c15ull;
    return tw_mix64(*random);
}

/* Learns [0, total) of a split as an engine does: on REWIND and at the start from the lowest mark, cut at each mark. */
static void audit_learn(tw_params *params, tw_loopback *loopback, uint32_t n_shards, uint64_t *random, uint64_t total)
{
    uint64_t at = 0, marks[8], turns = 0;
    uint32_t n_marks = 0;
    toy_batch batch;
    tw_error error = {0};
    for (bool must_seek = true;; turns++) {
        assert_true(turns < 5000);
        if (must_seek) {
            n_marks = 8;
            assert_int_equal(params->ops->mark(params, 1, marks, &n_marks, &error), TW_STATUS_OK);
            at = marks[0];
            must_seek = false;
        }
        if (at >= total) {
            tw_status flushed = params->ops->flush(params, 60000, &error);
            assert_true(flushed == TW_STATUS_OK || flushed == TW_STATUS_REWIND);
            n_marks = 8;
            assert_int_equal(params->ops->mark(params, 1, marks, &n_marks, &error), TW_STATUS_OK);
            at = marks[0];
            if (at >= total)
                return;
        }
        uint64_t to = at + 1 + draw(random) % EVENTS;
        for (uint32_t i = n_marks; i > 0; i--)
            to = marks[i - 1] > at && marks[i - 1] < to ? marks[i - 1] : to;
        to = to > total ? total : to;
        toy_fill(&batch, 1, at, to);
        tw_status status = toy_learn(params, &batch.view, &error);
        if (status == TW_STATUS_REWIND) {
            must_seek = true;
            continue;
        }
        if (status != TW_STATUS_OK)
            fail_msg("learn: %s", error.message);
        at = to;
        uint64_t what = draw(random) % 24;
        uint32_t shard = (uint32_t)(draw(random) % n_shards);
        if (what < 3)
            assert_int_equal(tw_loopback_save(loopback, shard, NULL), TW_STATUS_OK);
        else if (what < 5)
            assert_int_equal(tw_loopback_kill(loopback, shard, NULL), TW_STATUS_OK);
    }
}

static void check_counts(tw_params *params, uint64_t total)
{
    uint64_t wanted[N_KEYS] = {0};
    toy_batch batch;
    for (uint64_t i = 0; i < total; i++) {
        toy_fill(&batch, 1, i, i + 1);
        for (uint32_t j = 0; j < PER_EVENT; j++)
            wanted[tw_key_to_index(7, batch.key[j])]++;
    }
    toy_table *table = toy_scan(params);
    uint32_t n_rows = 0;
    for (uint32_t i = 0; i < table->n; i++) {
        uint64_t count;
        memcpy(&count, table->record[i].bytes, sizeof count);
        if (table->record[i].block >= 0)
            assert_int_equal(count, total);
        else
            assert_int_equal(count, wanted[tw_key_to_index(7, table->record[i].key)]);
        n_rows += table->record[i].block < 0;
    }
    uint32_t n_wanted = 0;
    for (uint32_t i = 0; i < N_KEYS; i++)
        n_wanted += wanted[i] > 0;
    assert_int_equal(n_rows, n_wanted);
    free(table);
}

static void every_event_counts_once_under_lost_doubled_and_damaged_frames_and_killed_shards(void **state)
{
    (void)state;
    tw_table_spec spec = toy_spec(TW_TABLE_EXACT);
    int64_t deadline = tw_clock_monotonic_us() + 5000000;
    uint64_t n_seeds = 0, n_reconnects = 0;
    tw_remote_options options = {.model = "audit", .timeout_ms = 600000, .retry_ms = 50, .sender = 99};
    while (n_seeds < 100 || (n_seeds < 3000 && tw_clock_monotonic_us() < deadline)) {
        uint64_t seed = ++n_seeds;
        uint64_t random = seed, total = 60 + seed % 40;
        uint32_t n_shards = 1 + (uint32_t)(seed % 4);
        tw_params *params = NULL;
        tw_loopback *loopback = NULL;
        assert_int_equal(tw_loopback_create(&spec, n_shards, &options, &params, &loopback, NULL), TW_STATUS_OK);
        tw_loopback_faults faults = {seed, seed % 3 ? 2000 : 0, seed % 5 ? 3000 : 0, seed % 7 ? 1500 : 0};
        tw_loopback_set_faults(loopback, &faults);
        audit_learn(params, loopback, n_shards, &random, total);
        tw_loopback_set_faults(loopback, &(tw_loopback_faults){0});
        check_counts(params, total);
        tw_params_stats stats;
        params->ops->stats(params, &stats);
        n_reconnects += stats.reconnects;
        params->ops->close(params);
    }
    print_message(
        "%llu schedules, %llu sessions lost\n", (unsigned long long)n_seeds, (unsigned long long)n_reconnects);
    assert_true(n_reconnects > n_seeds);
}

static void a_model_of_another_schema_is_refused_with_the_difference(void **state)
{
    (void)state;
    tw_table_spec there = toy_spec(TW_TABLE_EXACT), wanted = toy_spec(TW_TABLE_EXACT);
    tw_error error = {0};
    wanted.hash_seed = 8;
    assert_int_equal(tw_spec_compare(&there, &wanted, &error), TW_STATUS_CONFLICT);
    assert_non_null(strstr(error.message, "seed is 7 there, wanted 8"));
}

static void events_learned_are_those_of_the_shards_latest_answers(void **state)
{
    (void)state;
    tw_table_spec spec = toy_spec(TW_TABLE_EXACT);
    tw_params *params = NULL;
    tw_params_stats stats;
    tw_rows rows;
    toy_batch batch;
    assert_int_equal(tw_loopback_create(&spec, 2, NULL, &params, NULL, NULL), TW_STATUS_OK);
    toy_fill(&batch, 1, 0, 5);
    assert_int_equal(toy_learn(params, &batch.view, NULL), TW_STATUS_OK);
    assert_int_equal(params->ops->flush(params, 1000, NULL), TW_STATUS_OK);
    toy_fill(&batch, 1, 5, 8);
    assert_int_equal(params->ops->acquire(params, &batch.view, TW_ACCESS_WRITE, &rows, NULL), TW_STATUS_OK);
    /* Nothing can be asked of a shard in the middle of a batch. */
    params->ops->stats(params, &stats);
    assert_int_equal(stats.events_learned, 5);
    params->ops->abandon(params, &batch.view, &rows);
    params->ops->close(params);
}

static void a_shard_that_comes_back_as_another_process_is_counted(void **state)
{
    (void)state;
    tw_table_spec spec = toy_spec(TW_TABLE_EXACT);
    tw_params *params = NULL;
    tw_loopback *loopback = NULL;
    tw_params_stats stats;
    assert_int_equal(tw_loopback_create(&spec, 2, NULL, &params, &loopback, NULL), TW_STATUS_OK);
    params->ops->stats(params, &stats);
    assert_int_equal(stats.restarts, 0);
    assert_int_equal(tw_loopback_kill(loopback, 1, NULL), TW_STATUS_OK);
    assert_true(params->ops->flush(params, 60000, NULL) >= 0);
    params->ops->stats(params, &stats);
    assert_int_equal(stats.restarts, 1);
    params->ops->close(params);
}

/* So many keys in one batch that pulls and pushes travel in several frames. */
static void remove_files(const char *directory)
{
    tw_names names = {0};
    char path[512];
    assert_int_equal(tw_directory_list(directory, &names, NULL), TW_STATUS_OK);
    for (size_t i = 0; i < names.count; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, names.name[i]);
        assert_int_equal(remove(path), 0);
    }
    tw_names_free(&names);
    assert_int_equal(rmdir(directory), 0);
}

static void a_batch_of_many_frames_is_learned_whole_and_survives_snapshot_and_restore(void **state)
{
    (void)state;
    enum { N = 300000 };
    tw_table_spec spec = toy_spec(TW_TABLE_EXACT);
    uint64_t *key = malloc(N * sizeof *key), total = 0;
    uint32_t start[2] = {0, N};
    char directory[] = "/tmp/tw-loopback-XXXXXX";
    assert_non_null(mkdtemp(directory));
    for (uint32_t i = 0; i < N; i++)
        key[i] = tw_mix64(i + 1) | 1;
    tw_params *params = NULL;
    tw_rows rows;
    tw_error error = {0};
    tw_row_files *files = calloc(1, sizeof *files);
    assert_int_equal(tw_loopback_create(&spec, 2, NULL, &params, NULL, &error), TW_STATUS_OK);
    for (uint64_t round = 0; round < 3; round++) {
        tw_batch batch = {
            .n_events = 1, .n_entries = N, .row_start = start, .key = key, .split = 1, .from = round, .to = round + 1};
        assert_int_equal(params->ops->acquire(params, &batch, TW_ACCESS_WRITE, &rows, &error), TW_STATUS_OK);
        for (uint32_t i = 0; i < N; i++)
            total += ((toy_row *)rows.row[i])->count++;
        assert_int_equal(params->ops->release(params, &batch, &rows, 1, &error), TW_STATUS_OK);
        if (round != 1)
            continue;
        assert_int_equal(params->ops->snapshot_start(params, directory, 1, &error), TW_STATUS_OK);
        while (params->ops->snapshot_poll(params, 100, files, &error) == TW_STATUS_IDLE) {
        }
    }
    assert_int_equal(total, 3u * N);
    assert_int_equal(files->n_files, 2);
    if (params->ops->restore(params, directory, files, &error) != TW_STATUS_OK)
        fail_msg("%s", error.message);
    tw_batch batch = {.n_entries = N, .row_start = start, .key = key};
    assert_int_equal(params->ops->acquire(params, &batch, TW_ACCESS_READ, &rows, &error), TW_STATUS_OK);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(((toy_row *)rows.row[i])->count, 2);
    assert_int_equal(params->ops->release(params, &batch, &rows, 0, &error), TW_STATUS_OK);
    params->ops->close(params);
    remove_files(directory);
    free(files);
    free(key);
}

/* Shard 1 has lost its rows. Whatever is lost on the way, also what a shard says at the cut when the end of its
 * snapshot is heard: there is no one cut. */
static void shards_that_stand_at_different_marks_have_no_one_cut(void **state)
{
    (void)state;
    char directory[] = "/tmp/tw-cut-XXXXXX";
    assert_non_null(mkdtemp(directory));
    tw_table_spec spec = toy_spec(TW_TABLE_EXACT);
    tw_remote_options options = {.model = "cut", .timeout_ms = 600000, .retry_ms = 50, .sender = 99};
    uint32_t n_named = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        tw_params *params = NULL;
        tw_loopback *loopback = NULL;
        tw_error error = {0};
        toy_batch batch;
        assert_int_equal(tw_loopback_create(&spec, 2, &options, &params, &loopback, NULL), TW_STATUS_OK);
        toy_fill(&batch, 1, 0, EVENTS);
        assert_int_equal(toy_learn(params, &batch.view, NULL), TW_STATUS_OK);
        assert_int_equal(params->ops->flush(params, 60000, NULL), TW_STATUS_OK);
        assert_int_equal(tw_loopback_kill(loopback, 1, NULL), TW_STATUS_OK);
        uint64_t mark[2];
        uint32_t n_marks = 2;
        assert_int_equal(params->ops->mark(params, 1, mark, &n_marks, NULL), TW_STATUS_OK);
        assert_int_equal(n_marks, 2);
        tw_loopback_set_faults(loopback, &(tw_loopback_faults){.seed = seed, .drop = 16000});
        tw_remote_plan_cut(params, false);
        assert_int_not_equal(params->ops->snapshot_start(params, directory, seed, &error), TW_STATUS_OK);
        n_named += strstr(error.message, "different marks") != NULL;
        params->ops->close(params);
    }
    assert_true(n_named > 50);
    remove_files(directory);
}

static void every_failing_allocation_gives_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    tw_table_spec spec = toy_spec(TW_TABLE_EXACT);
    toy_batch batch;
    uint64_t n = 1;
    for (; n < 2000; n++) {
        tw_params *params = NULL;
        tw_error error = {0};
        tw_remote_options options = {.model = "memory", .timeout_ms = 2000, .retry_ms = 20, .sender = 5};
        tw_fault_arm(TW_FAULT_ALLOC, n, 12, false);
        tw_status status = tw_loopback_create(&spec, 2, &options, &params, NULL, &error);
        for (uint64_t from = 0; from < 20 && status == TW_STATUS_OK; from += 5) {
            toy_fill(&batch, 1, from, from + 5);
            status = toy_learn(params, &batch.view, &error);
        }
        if (status == TW_STATUS_OK)
            status = params->ops->flush(params, 2000, &error);
        bool has_fired = tw_fault_fired(TW_FAULT_ALLOC) > 0;
        tw_fault_disarm(TW_FAULT_ALLOC);
        if (status < 0)
            assert_true(error.message[0] != '\0');
        if (params != NULL)
            params->ops->close(params);
        if (!has_fired) {
            assert_int_equal(status, TW_STATUS_OK);
            break;
        }
    }
    assert_true(n > 20 && n < 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_two_and_five_shards_hold_the_bits_of_a_local_exact_table),
        cmocka_unit_test(shards_hold_the_bits_of_a_local_hashed_table),
        cmocka_unit_test(every_event_counts_once_under_lost_doubled_and_damaged_frames_and_killed_shards),
        cmocka_unit_test(a_model_of_another_schema_is_refused_with_the_difference),
        cmocka_unit_test(events_learned_are_those_of_the_shards_latest_answers),
        cmocka_unit_test(a_shard_that_comes_back_as_another_process_is_counted),
        cmocka_unit_test(a_batch_of_many_frames_is_learned_whole_and_survives_snapshot_and_restore),
        cmocka_unit_test(shards_that_stand_at_different_marks_have_no_one_cut),
        cmocka_unit_test(every_failing_allocation_gives_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
