/* Admission, expiry and eviction over shards: the rows, and all that is read of them, are those of a local table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "ps/edge/loopback.h"
#include "ps/worker/admission.h"
#include "store/spec.h"

enum { EVENTS_MAX = 48, PER_EVENT = 4, ENTRIES = EVENTS_MAX * PER_EVENT };

typedef struct kept_row {
    float sum;
    uint32_t count;
} kept_row;

static tw_table_spec kept_spec(void)
{
    tw_table_spec spec = {.kind = TW_TABLE_EXACT, .hash_seed = 7};
    assert_int_equal(tw_record_add(&spec.schema.row, "sum", TW_FIELD_F32, 1, TW_MERGE_ADD, NULL), 0);
    assert_int_equal(tw_record_add(&spec.schema.row, "count", TW_FIELD_U32, 1, TW_MERGE_ADD, NULL), 0);
    return spec;
}

/* Keys of 40 slots that come often for a while and rest; one entry of 16 brings a key never seen before. */
static uint64_t event_key(uint64_t event, uint32_t entry)
{
    uint64_t r = tw_mix64(event * PER_EVENT + entry + 1);
    uint64_t index = r % 16 == 0 ? 1000000 + event * PER_EVENT + entry : (event / 50 * 7 + (r >> 8) % 40) % 20000;
    return (tw_mix64(index) % 40 * 102 + 3) << 52 | tw_mix64(index + 77) >> 12;
}

typedef struct learned {
    tw_batch view;
    uint32_t start[EVENTS_MAX + 1];
    uint64_t key[ENTRIES];
} learned;

static tw_status learn(tw_params *params, uint64_t split, uint64_t from, uint32_t n, double *read)
{
    learned batch;
    tw_rows rows;
    for (uint32_t i = 0; i <= n; i++)
        batch.start[i] = i * PER_EVENT;
    for (uint32_t i = 0; i < n * PER_EVENT; i++)
        batch.key[i] = event_key(from + i / PER_EVENT, i % PER_EVENT);
    batch.view = (tw_batch){.n_events = n,
        .n_entries = n * PER_EVENT,
        .row_start = batch.start,
        .key = batch.key,
        .split = split,
        .from = from,
        .to = from + n};
    tw_status status = params->ops->acquire(params, &batch.view, TW_ACCESS_WRITE, &rows, NULL);
    for (uint32_t i = 0; i < batch.view.n_entries && status == TW_STATUS_OK; i++) {
        kept_row *row = rows.row[i];
        *read += row->sum + row->count;
        row->sum += (float)((from + i / PER_EVENT) % 13);
        row->count++;
    }
    return status < 0 ? status : params->ops->release(params, &batch.view, &rows, n, NULL);
}

static void learn_all(tw_params *params, uint64_t from, uint64_t to, uint64_t seed, double *read)
{
    while (from < to) {
        seed = tw_mix64(seed + 1);
        uint64_t n = 1 + seed % EVENTS_MAX, until = params->ops->events_until_turn(params);
        n = n > to - from ? to - from : n;
        n = until > 0 && n > until ? until : n;
        assert_int_equal(learn(params, 1, from, (uint32_t)n, read), TW_STATUS_OK);
        from += n;
    }
}

typedef struct digest {
    uint64_t sum, rows;
} digest;

static tw_status digest_visit(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    (void)error;
    digest *self = context;
    assert_int_equal(block, -1);
    self->sum += tw_mix64(tw_hash_seeded(record, sizeof(kept_row), key));
    self->rows++;
    return TW_STATUS_OK;
}

static digest digest_of(tw_params *params)
{
    digest out = {0};
    assert_int_equal(params->ops->scan(params, digest_visit, &out, NULL), TW_STATUS_OK);
    return out;
}

static void check_equals_local(const tw_table_spec *spec, uint64_t n_events, tw_params_stats *stats)
{
    static const uint32_t n_shards[] = {1, 2, 5};
    tw_params *local = NULL;
    double wanted = 0;
    assert_int_equal(tw_local_create(spec, &local, NULL), TW_STATUS_OK);
    learn_all(local, 0, n_events, 1, &wanted);
    digest rows = digest_of(local);
    local->ops->stats(local, stats);
    assert_true(rows.rows > 50 && wanted > 1000);
    for (size_t i = 0; i < 3; i++) {
        tw_params *remote = NULL;
        double read = 0;
        assert_int_equal(tw_loopback_create(spec, n_shards[i], NULL, &remote, NULL, NULL), TW_STATUS_OK);
        learn_all(remote, 0, n_events, 100 + i, &read);
        assert_true(read == wanted);
        digest found = digest_of(remote);
        assert_int_equal(found.rows, rows.rows);
        assert_true(found.sum == rows.sum);
        tw_params_stats there;
        remote->ops->stats(remote, &there);
        assert_int_equal(there.touches_refused, stats->touches_refused);
        assert_int_equal(there.rows_evicted, stats->rows_evicted);
        remote->ops->close(remote);
    }
    local->ops->close(local);
}

static void shards_admit_by_count_as_a_local_table_does(void **state)
{
    (void)state;
    tw_table_spec spec = kept_spec();
    tw_params_stats stats;
    spec.keep.admit_count = 5;
    check_equals_local(&spec, 6000, &stats);
    assert_true(stats.touches_refused > 1000);
}

static void shards_admit_by_the_draw_as_a_local_table_does(void **state)
{
    (void)state;
    tw_table_spec spec = kept_spec();
    tw_params_stats stats;
    spec.keep.admit_probability = 0.2;
    check_equals_local(&spec, 6000, &stats);
    assert_true(stats.touches_refused > 1000);
}

static void rows_expire_on_shards_as_in_a_local_table(void **state)
{
    (void)state;
    tw_table_spec spec = kept_spec();
    tw_params_stats stats;
    spec.keep.expire_after = 300;
    spec.keep.admit_count = 2;
    check_equals_local(&spec, 8000, &stats);
    assert_true(stats.rows_expired > 100);
}

static void all_of_it_together_gives_the_bits_of_a_local_table(void **state)
{
    (void)state;
    tw_table_spec spec = kept_spec();
    tw_params_stats stats;
    spec.keep = (tw_keep){.admit_count = 3, .admit_bytes = 768 << 10, .expire_after = 30000, .evicts = true};
    spec.max_bytes = 16 << 20;
    check_equals_local(&spec, 60000, &stats);
    assert_true(stats.rows_evicted > 100 && stats.rows_expired > 10);
}

static void lost_and_repeated_frames_do_not_count_a_touch_twice(void **state)
{
    (void)state;
    tw_table_spec spec = kept_spec();
    spec.keep = (tw_keep){.admit_count = 4, .expire_after = 500};
    tw_params *local = NULL, *remote = NULL;
    tw_loopback *loopback = NULL;
    double wanted = 0, read = 0;
    assert_int_equal(tw_local_create(&spec, &local, NULL), TW_STATUS_OK);
    learn_all(local, 0, 4000, 1, &wanted);
    assert_int_equal(tw_loopback_create(&spec, 3, NULL, &remote, &loopback, NULL), TW_STATUS_OK);
    tw_loopback_set_faults(loopback, &(tw_loopback_faults){.seed = 3, .drop = 1500, .duplicate = 3000, .damage = 700});
    learn_all(remote, 0, 4000, 2, &read);
    tw_loopback_set_faults(loopback, &(tw_loopback_faults){0});
    assert_int_equal(remote->ops->flush(remote, 10000, NULL), TW_STATUS_OK);
    tw_params_stats stats;
    remote->ops->stats(remote, &stats);
    assert_true(stats.reconnects > 0);
    assert_true(read == wanted);
    assert_true(digest_of(remote).sum == digest_of(local).sum);
    remote->ops->close(remote);
    local->ops->close(local);
}

static void rows_taken_over_are_admitted_at_once(void **state)
{
    (void)state;
    tw_table_spec spec = kept_spec();
    spec.keep = (tw_keep){.admit_count = 100, .expire_after = 1000};
    tw_params *remote = NULL;
    tw_rows rows;
    uint64_t key[2] = {event_key(1, 0), event_key(5000, 2)};
    tw_batch batch = {.n_entries = 2, .key = key, .is_taken_over = true, .split = 1, .from = 0, .to = 1};
    assert_int_equal(tw_loopback_create(&spec, 2, NULL, &remote, NULL, NULL), TW_STATUS_OK);
    assert_int_equal(remote->ops->acquire(remote, &batch, TW_ACCESS_WRITE, &rows, NULL), TW_STATUS_OK);
    for (int i = 0; i < 2; i++)
        *(kept_row *)rows.row[i] = (kept_row){1.5f, 9};
    assert_int_equal(remote->ops->release(remote, &batch, &rows, 0, NULL), TW_STATUS_OK);
    assert_int_equal(remote->ops->acquire(remote, &batch, TW_ACCESS_READ, &rows, NULL), TW_STATUS_OK);
    assert_int_equal(((kept_row *)rows.row[1])->count, 9);
    assert_int_equal(digest_of(remote).rows, 2);
    remote->ops->close(remote);
}

static void hello_says_what_is_kept_and_a_shard_of_another_rule_refuses_it(void **state)
{
    (void)state;
    tw_hello hello = {.role = TW_ROLE_OWNER, .count = 1, .name = "m", .spec = kept_spec()}, back;
    hello.spec.keep = (tw_keep){.admit_probability = 0.25, .expire_after = 12345, .evicts = true};
    hello.spec.max_bytes = 1 << 30;
    tw_buffer bytes = {0};
    assert_int_equal(tw_hello_encode(&hello, &bytes, NULL), TW_STATUS_OK);
    assert_int_equal(tw_hello_decode(&back, bytes.bytes, bytes.size, NULL), TW_STATUS_OK);
    assert_int_equal(tw_keep_compare(&back.spec, &hello.spec, NULL), TW_STATUS_OK);
    back.spec.keep.expire_after++;
    tw_error error = {0};
    assert_int_equal(tw_keep_compare(&back.spec, &hello.spec, &error), TW_STATUS_CONFLICT);
    assert_non_null(strstr(error.message, "12346"));
    assert_int_equal(tw_hello_decode(&back, bytes.bytes, bytes.size - 1, NULL), TW_STATUS_PROTOCOL);
    free(bytes.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_admit_by_count_as_a_local_table_does),
        cmocka_unit_test(shards_admit_by_the_draw_as_a_local_table_does),
        cmocka_unit_test(rows_expire_on_shards_as_in_a_local_table),
        cmocka_unit_test(all_of_it_together_gives_the_bits_of_a_local_table),
        cmocka_unit_test(lost_and_repeated_frames_do_not_count_a_touch_twice),
        cmocka_unit_test(rows_taken_over_are_admitted_at_once),
        cmocka_unit_test(hello_says_what_is_kept_and_a_shard_of_another_rule_refuses_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
