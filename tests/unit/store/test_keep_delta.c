/* Deltas of tables with admission, expiry and eviction: base and deltas give back what a base of the same moment does,
 * onto any number of shards. */
#include "keep_support.h"
#include "store/keep_record.h"
#include "store/segment.h"

enum { MAX_DELTAS = 8, MAX_PARTS = 6, BEGIN = 40000, STEP = 2500, N_STEPS = 6 };

static tw_table_spec full_spec(void)
{
    tw_table_spec spec = test_spec(TW_TABLE_EXACT, 0);
    spec.keep = (tw_keep){.admit_count = 3, .admit_bytes = 768 << 10, .expire_after = 30000, .evicts = true};
    spec.max_bytes = 16 << 20;
    return spec;
}

static const stream full_stream = {20000, 40, 1};

/* --- what is in a table ------------------------------------------------------------------------------------------- */

typedef struct contents {
    uint64_t sum, n_rows, n_counts;
} contents;

static tw_status add_kept(void *context, const tw_keep_record *kept, tw_error *error)
{
    (void)error;
    contents *self = context;
    uint64_t sum = tw_mix64(kept->key + tw_mix64((uint64_t)kept->count << 32 | kept->stamp));
    self->sum += kept->row == NULL ? sum : tw_hash_seeded(kept->row, sizeof(test_row), sum);
    self->n_rows += kept->row != NULL;
    self->n_counts += kept->row == NULL;
    return TW_STATUS_OK;
}

/* Rows, last touches and counts, and the clock; of tables that hold a part of the slots each the sum. */
static contents contents_of(tw_table **part, uint32_t n_parts)
{
    contents out = {0};
    for (uint32_t p = 0; p < n_parts; p++) {
        tw_table_part all = {-1, part[p]->first_slot, part[p]->last_slot + 1};
        if (part[p]->keep.is_on)
            OK(tw_table_scan_kept(part[p], &all, add_kept, &out, NULL));
        assert_int_equal(part[p]->keep.clock, part[0]->keep.clock);
        assert_int_equal(tw_table_mark(part[p], 1), tw_table_mark(part[0], 1));
    }
    out.sum += tw_mix64(part[0]->keep.clock) + tw_mix64(tw_table_mark(part[0], 1) + 5);
    return out;
}

/* What the tracker of evictions goes by. */
static void check_slot_rows(const tw_table *table)
{
    uint32_t n[TW_N_SLOTS] = {0};
    if (table->keep.slot_rows == NULL)
        return;
    for (size_t i = 0; i < table->n_segments; i++) {
        const tw_segment *segment = &table->segment[i];
        for (uint64_t b = 0; b < segment->n_buckets; b++) {
            const uint64_t *words = tw_bucket_words(segment->bytes + b * table->stride);
            for (unsigned j = 0; j < TW_BUCKET_KEYS && words[j] != 0; j++)
                n[tw_key_slot(tw_word_key(segment->base, words[j]))]++;
        }
    }
    assert_memory_equal(n, table->keep.slot_rows, sizeof n);
}

/* --- tables that hold a part of the slots each -------------------------------------------------------------------- */

static uint32_t first_slot(uint32_t index, uint32_t count)
{
    return index * TW_N_SLOTS / count;
}

static void parts_open(tw_table **part, uint32_t n, const tw_table_spec *spec)
{
    for (uint32_t p = 0; p < n; p++)
        part[p] = test_table(spec, first_slot(p, n), first_slot(p + 1, n) - 1);
}

static void parts_close(tw_table **part, uint32_t n)
{
    for (uint32_t p = 0; p < n; p++)
        tw_table_destroy(&part[p]);
}

static uint32_t part_of(uint64_t key, uint32_t n_parts)
{
    uint32_t p = 0;
    while (first_slot(p + 1, n_parts) <= key >> 52)
        p++;
    return p;
}

static void learn_event(tw_table **part, uint32_t n_parts, uint64_t at, double *read)
{
    events batch;
    void *row[PER_EVENT];
    events_fill(&batch, &full_stream, at, 1);
    for (uint32_t p = 0; p < n_parts; p++) {
        uint64_t own[PER_EVENT];
        void *found[PER_EVENT];
        uint32_t place[PER_EVENT], n = 0, start[2] = {0};
        for (uint32_t j = 0; j < PER_EVENT; j++) {
            if (part_of(batch.key[j], n_parts) == p) {
                place[n] = j;
                own[n++] = batch.key[j];
            }
        }
        start[1] = n;
        tw_batch view = {.n_events = 1, .n_entries = n, .key = own, .row_start = start};
        OK(tw_table_learn_rows(part[p], &view, found, NULL));
        for (uint32_t j = 0; j < n; j++)
            row[place[j]] = found[j];
    }
    for (uint32_t j = 0; j < PER_EVENT; j++)
        row_learn(row[j], at, read);
    for (uint32_t p = 0; p < n_parts; p++) {
        tw_table_tick(part[p], 1);
        OK(tw_table_set_mark(part[p], 1, at + 1, NULL));
    }
}

static void learn_in_parts(tw_table **part, uint32_t n_parts, uint64_t first, uint64_t end, double *read)
{
    for (uint64_t at = first; at < end; at++)
        learn_event(part, n_parts, at, read);
}

/* --- snapshots ---------------------------------------------------------------------------------------------------- */

typedef struct shards {
    uint32_t n;
    tw_table *part[MAX_PARTS];
    tw_row_file file[MAX_PARTS];
    char directory[256];
    uint64_t id, at;
    uint32_t n_deltas; /* of one of them */
    double read;
} shards;

/* Cuts all of them, learns `beside` events, and writes what was cut. */
static contents write_all(shards *self, uint32_t beside)
{
    tw_frozen *frozen[MAX_PARTS];
    contents cut = contents_of(self->part, self->n);
    self->id++;
    for (uint32_t p = 0; p < self->n; p++)
        OK(tw_table_freeze_after(self->part[p], self->directory, MAX_DELTAS, 64 << 20, &frozen[p], NULL));
    learn_in_parts(self->part, self->n, self->at, self->at + beside, &self->read);
    self->at += beside;
    self->n_deltas = 0;
    for (uint32_t p = 0; p < self->n; p++) {
        char name[TW_FILE_NAME_SIZE];
        tw_names below = {0};
        tw_row_file_name(self->id, p, self->n, name);
        OK(tw_frozen_write(frozen[p], self->directory, name, &self->file[p], NULL));
        tw_frozen_destroy(&frozen[p]);
        OK(tw_row_file_needs(self->directory, name, &below, NULL));
        self->n_deltas += below.count > 0;
        tw_names_free(&below);
    }
    return cut;
}

static void open_shards(shards *self, uint32_t n, const tw_table_spec *spec)
{
    *self = (shards){.n = n};
    test_directory(self->directory);
    parts_open(self->part, n, spec);
    learn_in_parts(self->part, n, 0, BEGIN, &self->read);
    self->at = BEGIN;
}

static void close_shards(shards *self)
{
    parts_close(self->part, self->n);
    test_remove(self->directory);
}

/* Both ways to load: many sections at once, and file by file after everything was checked. */
static void load(tw_table *table, const shards *from, bool at_once)
{
    tw_error error = {0};
    tw_status status = TW_STATUS_OK;
    if (at_once)
        status = tw_table_load_all(table, from->directory, from->file, from->n, &error);
    for (uint32_t i = 0; i < from->n && !at_once && status == TW_STATUS_OK; i++)
        status = tw_table_load(table, from->directory, &from->file[i], &error);
    if (status != TW_STATUS_OK)
        fail_msg("%s", error.message);
    check_slot_rows(table);
}

static void expect_on_any_number_of_shards(const shards *from, const contents *wanted)
{
    for (uint32_t n = 1; n <= MAX_PARTS; n++) {
        tw_table *part[MAX_PARTS];
        parts_open(part, n, tw_table_spec_of(from->part[0]));
        for (uint32_t p = 0; p < n; p++)
            load(part[p], from, (n + p) % 2 == 0);
        contents found = contents_of(part, n);
        assert_int_equal(found.n_rows, wanted->n_rows);
        assert_int_equal(found.n_counts, wanted->n_counts);
        assert_true(found.sum == wanted->sum);
        parts_close(part, n);
    }
}

static uint64_t evicted(const shards *self)
{
    uint64_t n = 0;
    for (uint32_t p = 0; p < self->n; p++)
        n += self->part[p]->keep.n_evicted;
    return n;
}

static uint64_t expired(const shards *self)
{
    uint64_t n = 0;
    for (uint32_t p = 0; p < self->n; p++)
        n += self->part[p]->keep.n_expired;
    return n;
}

static void rows_come_expire_are_evicted_and_come_again_between_deltas(void **state)
{
    (void)state;
    tw_table_spec spec = full_spec();
    for (uint32_t n = 1; n <= 3; n += 2) {
        shards self;
        open_shards(&self, n, &spec);
        uint64_t was_evicted = 0, was_expired = 0;
        for (uint32_t step = 0; step <= N_STEPS; step++) {
            contents cut = write_all(&self, 300); /* beside the copier rows come, go and move */
            assert_int_equal(self.n_deltas, step == 0 ? 0 : n);
            if (step == 0) {
                was_evicted = evicted(&self);
                was_expired = expired(&self);
            }
            assert_true(cut.n_rows > 4000 && cut.n_counts > 600);
            expect_on_any_number_of_shards(&self, &cut);
            learn_in_parts(self.part, n, self.at, self.at + STEP, &self.read);
            self.at += STEP;
        }
        assert_true(evicted(&self) > was_evicted + 100 && expired(&self) > was_expired + 50);
        close_shards(&self);
    }
}

static void a_delta_is_much_smaller_than_a_base(void **state)
{
    (void)state;
    tw_table_spec spec = full_spec();
    shards self;
    open_shards(&self, 1, &spec);
    (void)write_all(&self, 0);
    tw_row_file base = self.file[0];
    learn_in_parts(self.part, 1, self.at, self.at + 500, &self.read);
    (void)write_all(&self, 0);
    assert_true(self.file[0].rows > 20 && self.file[0].rows < base.rows / 8);
    assert_true(self.file[0].size < base.size / 4);
    close_shards(&self);
}

static void resumed_from_a_chain_shards_go_on_as_if_they_had_never_stopped(void **state)
{
    (void)state;
    tw_table_spec spec = full_spec();
    shards self;
    open_shards(&self, 2, &spec);
    for (int i = 0; i < 3; i++) {
        (void)write_all(&self, 0);
        learn_in_parts(self.part, 2, self.at, self.at + STEP, &self.read);
        self.at += STEP;
    }
    (void)write_all(&self, 0);
    assert_int_equal(self.n_deltas, 2);
    tw_table *part[3];
    parts_open(part, 3, &spec);
    for (uint32_t p = 0; p < 3; p++)
        load(part[p], &self, true);
    double left = 0, right = 0;
    learn_in_parts(self.part, 2, self.at, self.at + 20000, &left);
    learn_in_parts(part, 3, self.at, self.at + 20000, &right);
    assert_true(left == right);
    contents a = contents_of(self.part, 2), b = contents_of(part, 3);
    assert_true(a.sum == b.sum);
    parts_close(part, 3);
    close_shards(&self);
}

/* Everything that a delta stands on may be so long ago that ages of 32 bits have come round. */
static void rows_that_nobody_touched_for_billions_of_events_do_not_come_back(void **state)
{
    (void)state;
    for (int expires = 0; expires < 2; expires++) {
        tw_table_spec spec = full_spec();
        spec.keep.expire_after = expires ? 30000 : 0;
        shards self;
        open_shards(&self, 1, &spec);
        (void)write_all(&self, 0);
        for (uint64_t passed = 0; passed < 5; passed++) {
            for (int i = 0; i < 4; i++)
                tw_table_tick(self.part[0], 1ull << 28);
            learn_in_parts(self.part, 1, self.at, self.at + 10, &self.read);
            self.at += 10;
            contents cut = write_all(&self, 0);
            assert_true(expires ? cut.n_rows < 50 : cut.n_rows > 1000);
            expect_on_any_number_of_shards(&self, &cut);
        }
        close_shards(&self);
    }
}

static void counts_of_a_chain_fit_into_another_number_of_sets(void **state)
{
    (void)state;
    tw_table_spec spec = full_spec(), wider = spec;
    wider.keep.admit_bytes = 3 * spec.keep.admit_bytes + (1 << 20);
    shards self;
    open_shards(&self, 1, &spec);
    for (int i = 0; i < 3; i++) {
        (void)write_all(&self, 0);
        learn_in_parts(self.part, 1, self.at, self.at + STEP, &self.read);
        self.at += STEP;
    }
    contents cut = write_all(&self, 0);
    assert_int_equal(self.n_deltas, 1);
    for (int at_once = 0; at_once < 2; at_once++) {
        tw_table *table = test_table(&wider, 0, TW_N_SLOTS - 1);
        assert_true(table->keep.sets_a_slot > self.part[0]->keep.sets_a_slot * 2);
        load(table, &self, at_once);
        contents found = contents_of(&table, 1);
        assert_true(found.sum == cut.sum);
        tw_table_destroy(&table);
    }
    close_shards(&self);
}

static void a_table_without_rules_takes_the_rows_of_a_chain(void **state)
{
    (void)state;
    tw_table_spec spec = full_spec(), plain = spec;
    plain.keep = (tw_keep){0};
    shards self;
    open_shards(&self, 1, &spec);
    (void)write_all(&self, 0);
    learn_in_parts(self.part, 1, self.at, self.at + 6000, &self.read);
    self.at += 6000;
    (void)write_all(&self, 0);
    assert_int_equal(self.n_deltas, 1);
    for (int at_once = 0; at_once < 2; at_once++) {
        tw_table *table = test_table(&plain, 0, TW_N_SLOTS - 1);
        load(table, &self, at_once);
        assert_true(test_digest(table) == test_digest(self.part[0]));
        tw_table_destroy(&table);
    }
    close_shards(&self);
}

/* As a restart with other options would do it. */
static void a_copy_by_other_rules_is_what_a_file_gives(void **state)
{
    (void)state;
    tw_table_spec rules[4] = {full_spec(), full_spec(), full_spec(), full_spec()};
    rules[1].keep = (tw_keep){0};
    rules[2].keep = (tw_keep){.admit_count = 5, .admit_bytes = 4 << 20};
    rules[3].keep.expire_after = 10000;
    for (int from = 0; from < 4; from++) {
        shards self;
        open_shards(&self, 1, &rules[from]);
        (void)write_all(&self, 0);
        for (int to = 0; to < 4; to++) {
            tw_table *loaded = test_table(&rules[to], 0, TW_N_SLOTS - 1);
            tw_table *copy = test_table(&rules[to], 0, TW_N_SLOTS - 1);
            load(loaded, &self, true);
            OK(tw_table_copy(copy, self.part[0], NULL));
            assert_true(test_digest(copy) == test_digest(loaded));
            if (rules[to].keep.expire_after + rules[to].keep.admit_count > 0)
                assert_true(contents_of(&copy, 1).sum == contents_of(&loaded, 1).sum);
            check_slot_rows(copy);
            double a = 0, b = 0;
            learn_in_parts(&copy, 1, self.at, self.at + 8000, &a);
            learn_in_parts(&loaded, 1, self.at, self.at + 8000, &b);
            assert_true(a == b);
            tw_table_destroy(&loaded);
            tw_table_destroy(&copy);
        }
        close_shards(&self);
    }
}

static void after_more_evictions_than_a_delta_may_tell_comes_a_base(void **state)
{
    (void)state;
    tw_table_spec spec = full_spec();
    spec.keep = (tw_keep){.evicts = true};
    spec.max_bytes = 4 << 20;
    tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
    stream from = {1, 4096, 8}; /* new keys for ever */
    events batch;
    void *row[BATCH_MAX * PER_EVENT];
    char directory[256];
    test_directory(directory);
    uint64_t at = 0, id = 0;
    uint32_t n_deltas = 0, n_bases = 0;
    for (uint32_t step = 0; step < 6; step++) {
        for (uint64_t end = at + (step % 2 == 0 ? 60000 : 1000); at < end; at += 16) {
            events_fill(&batch, &from, at, 16);
            OK(tw_table_learn_rows(table, &batch.view, row, NULL));
            for (uint32_t i = 0; i < batch.view.n_entries; i++)
                ((test_row *)row[i])->count = (uint32_t)at;
            tw_table_tick(table, 16);
        }
        tw_frozen *frozen;
        tw_row_file file;
        char name[TW_FILE_NAME_SIZE];
        tw_names below = {0};
        tw_row_file_name(++id, 0, 1, name);
        OK(tw_table_freeze_after(table, directory, MAX_DELTAS, 64 << 20, &frozen, NULL));
        OK(tw_frozen_write(frozen, directory, name, &file, NULL));
        tw_frozen_destroy(&frozen);
        OK(tw_row_file_needs(directory, name, &below, NULL));
        n_deltas += step > 2 && below.count > 0;
        n_bases += step > 2 && below.count == 0;
        tw_names_free(&below);
        tw_recovered found;
        OK(tw_table_recover(directory, 0, 1, 0, false, &found, NULL));
        assert_int_equal(found.id, id);
        assert_true(contents_of(&found.table, 1).sum == contents_of(&table, 1).sum);
        check_slot_rows(found.table);
        tw_table_destroy(&found.table);
    }
    assert_int_equal(n_bases, 1);
    assert_int_equal(n_deltas, 2);
    tw_table_destroy(&table);
    test_remove(directory);
}

static void where_memory_fails_beside_a_chain_nothing_is_lost(void **state)
{
    (void)state;
    tw_table_spec spec = full_spec();
    shards self;
    open_shards(&self, 1, &spec);
    (void)write_all(&self, 0);
    for (uint64_t nth = 1; nth < 12; nth++) {
        tw_fault_arm(TW_FAULT_ALLOC, 1, nth, false);
        tw_frozen *frozen = NULL;
        tw_status status = tw_table_freeze_after(self.part[0], self.directory, MAX_DELTAS, 64 << 20, &frozen, NULL);
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_true(status == TW_STATUS_OK || status == TW_STATUS_NO_MEMORY);
        tw_frozen_destroy(&frozen); /* cut and never written */
        learn_in_parts(self.part, 1, self.at, self.at + 200, &self.read);
        self.at += 200;
        contents cut = write_all(&self, 0);
        tw_table *table = test_table(&spec, 0, TW_N_SLOTS - 1);
        load(table, &self, true);
        assert_true(contents_of(&table, 1).sum == cut.sum);
        tw_table_destroy(&table);
    }
    close_shards(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_expire_are_evicted_and_come_again_between_deltas),
        cmocka_unit_test(a_delta_is_much_smaller_than_a_base),
        cmocka_unit_test(resumed_from_a_chain_shards_go_on_as_if_they_had_never_stopped),
        cmocka_unit_test(rows_that_nobody_touched_for_billions_of_events_do_not_come_back),
        cmocka_unit_test(counts_of_a_chain_fit_into_another_number_of_sets),
        cmocka_unit_test(a_table_without_rules_takes_the_rows_of_a_chain),
        cmocka_unit_test(a_copy_by_other_rules_is_what_a_file_gives),
        cmocka_unit_test(after_more_evictions_than_a_delta_may_tell_comes_a_base),
        cmocka_unit_test(where_memory_fails_beside_a_chain_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
