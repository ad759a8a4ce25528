/* Pulls that run beside learning: what goes out when, and that rows fetched ahead are those of a batch that waited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "ps/edge/loopback.h"
#include "store/table.h"

enum { EVENTS = 8, PER_EVENT = 3, ENTRIES = EVENTS * PER_EVENT, N_KEYS = 60, MAX_FRAMES = 4096 };

typedef struct toy_row {
    float sum, squares;
} toy_row;

typedef struct toy_batch {
    tw_batch view;
    uint32_t start[EVENTS + 1];
    uint64_t key[ENTRIES];
    float value[ENTRIES];
} toy_batch;

static tw_table_spec toy_spec(tw_table_kind kind)
{
    tw_table_spec spec = {.kind = kind, .bits = 12, .hash_seed = 7};
    assert_int_equal(tw_record_add(&spec.schema.row, "sum", TW_FIELD_F32, 1, TW_MERGE_ADD, NULL), 0);
    assert_int_equal(tw_record_add(&spec.schema.row, "squares", TW_FIELD_F32, 1, TW_MERGE_ADD, NULL), 0);
    tw_block *block = tw_schema_add_block(&spec.schema, "totals", 3, NULL);
    assert_non_null(block);
    assert_int_equal(tw_record_add(&block->record, "sum", TW_FIELD_F32, 2, TW_MERGE_ADD, NULL), 0);
    return spec;
}

static void toy_fill(toy_batch *self, uint64_t from, uint64_t to)
{
    uint32_t n = (uint32_t)(to - from);
    for (uint32_t i = 0; i < n; i++) {
        self->start[i] = i * PER_EVENT;
        for (uint32_t j = 0; j < PER_EVENT; j++) {
            uint64_t r = tw_mix64((from + i) * 17 + j + 1);
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
        .split = 1,
        .from = from,
        .to = to};
}

/* What a row becomes depends on every bit that it had. */
static void toy_change(const tw_batch *batch, const tw_rows *rows)
{
    float *totals = rows->block[0];
    for (uint32_t i = 0; i < batch->n_entries; i++) {
        toy_row *row = rows->row[i];
        row->squares = row->squares * 0.75f + batch->value[i] * batch->value[i] / 3.0f;
        row->sum += batch->value[i] / (1.0f + row->squares);
        totals[i % 6] = totals[i % 6] * 0.9f + row->sum;
    }
}

static tw_status toy_learn(tw_params *params, const tw_batch *batch, const tw_batch *next)
{
    tw_rows rows;
    tw_status status = params->ops->acquire(params, batch, TW_ACCESS_WRITE, &rows, NULL);
    if (status == TW_STATUS_OK && next != NULL && params->ops->prefetch != NULL)
        status = params->ops->prefetch(params, next, NULL);
    if (status != TW_STATUS_OK)
        return status;
    toy_change(batch, &rows);
    return params->ops->release(params, batch, &rows, batch->n_events, NULL);
}

/* --- bits --------------------------------------------------------------------------------------------------------- */

typedef struct toy_table {
    struct {
        int block;
        uint64_t key;
        unsigned char bytes[8];
    } record[8192];
    uint32_t n;
} toy_table;

static tw_status toy_collect(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    static const unsigned char zero[8];
    toy_table *self = context;
    (void)error;
    if (memcmp(record, zero, sizeof zero) == 0)
        return TW_STATUS_OK;
    assert_true(self->n < 8192);
    memset(&self->record[self->n], 0, sizeof self->record[0]);
    self->record[self->n].block = block;
    self->record[self->n].key = key;
    memcpy(self->record[self->n++].bytes, record, sizeof zero);
    return TW_STATUS_OK;
}

static int toy_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(((toy_table *)NULL)->record[0]));
}

static void check_same_rows(tw_params *a, tw_params *b)
{
    toy_table *table[2];
    for (int i = 0; i < 2; i++) {
        tw_params *params = i == 0 ? a : b;
        table[i] = calloc(1, sizeof *table[i]);
        assert_int_equal(params->ops->scan(params, toy_collect, table[i], NULL), TW_STATUS_OK);
        qsort(table[i]->record, table[i]->n, sizeof table[i]->record[0], toy_compare);
    }
    assert_true(table[0]->n > 40);
    assert_int_equal(table[0]->n, table[1]->n);
    assert_memory_equal(table[0]->record, table[1]->record, table[0]->n * sizeof table[0]->record[0]);
    free(table[0]);
    free(table[1]);
}

static void toy_read(tw_params *params, const tw_batch *batch)
{
    tw_rows rows;
    assert_int_equal(params->ops->acquire(params, batch, TW_ACCESS_READ, &rows, NULL), TW_STATUS_OK);
    assert_int_equal(params->ops->release(params, batch, &rows, 0, NULL), TW_STATUS_OK);
}

/* Batches of 5 events; some are not announced, some announced ones are not the next, and some are read in between. */
static void learn_all(tw_params *params)
{
    toy_batch batch[2], other;
    toy_fill(&batch[0], 0, 5);
    for (uint64_t i = 0; i < 60; i++) {
        toy_fill(&batch[(i + 1) % 2], (i + 1) * 5, (i + 2) * 5);
        toy_fill(&other, 1000 + i, 1003 + i);
        const tw_batch *next = i % 7 == 3 ? NULL : i % 11 == 5 ? &other.view : &batch[(i + 1) % 2].view;
        assert_int_equal(toy_learn(params, &batch[i % 2].view, next), TW_STATUS_OK);
        if (i % 5 == 2)
            toy_read(params, &other.view);
        if (i % 13 == 4) {
            assert_int_equal(params->ops->flush(params, 1000, NULL), TW_STATUS_OK);
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
    assert_int_equal(stats.conflicts, 0);
    local->ops->close(local);
    remote->ops->close(remote);
}

static void rows_fetched_ahead_hold_the_bits_that_waiting_would_have_given(void **state)
{
    (void)state;
    check_equals_local(TW_TABLE_EXACT, 1);
    check_equals_local(TW_TABLE_EXACT, 3);
    check_equals_local(TW_TABLE_HASHED, 1);
    check_equals_local(TW_TABLE_HASHED, 2);
}

static void lost_doubled_and_damaged_frames_leave_the_bits_as_they_are(void **state)
{
    (void)state;
    tw_table_spec spec = toy_spec(TW_TABLE_EXACT);
    uint64_t n_reconnects = 0;
    tw_params *local = NULL;
    assert_int_equal(tw_local_create(&spec, &local, NULL), TW_STATUS_OK);
    learn_all(local);
    for (uint64_t seed = 1; seed <= 100; seed++) {
        tw_remote_options options = {.model = "ahead", .timeout_ms = 600000, .retry_ms = 50, .sender = 99};
        tw_params *remote = NULL;
        tw_loopback *loopback = NULL;
        assert_int_equal(tw_loopback_create(&spec, 2, &options, &remote, &loopback, NULL), TW_STATUS_OK);
        tw_loopback_set_faults(loopback, &(tw_loopback_faults){seed, 1500, 1500, 1500});
        learn_all(remote);
        tw_loopback_set_faults(loopback, &(tw_loopback_faults){0});
        check_same_rows(local, remote);
        tw_params_stats stats;
        remote->ops->stats(remote, &stats);
        n_reconnects += stats.reconnects;
        remote->ops->close(remote);
    }
    assert_true(n_reconnects > 100);
    local->ops->close(local);
}

/* --- what is sent when -------------------------------------------------------------------------------------------- */

/* A link to one shard that notes what is sent and can hold answers back. */
typedef struct slow_link {
    tw_link link;
    tw_shard *shard;
    int64_t now_us;
    tw_frame_type sent[MAX_FRAMES];
    uint32_t n_sent;
    struct {
        unsigned char *bytes;
        size_t size;
        tw_frame_type type;
    } answer[MAX_FRAMES];
    uint32_t n_answers, n_taken;
    tw_frame_type held;      /* answers of this type stay here */
    uint32_t n_open, n_peak; /* requests without an answer taken */
} slow_link;

static void slow_emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    slow_link *self = context;
    tw_frame frame;
    (void)peer;
    (void)peer_size;
    assert_int_equal(tw_frame_decode(bytes, size, &frame, NULL), TW_STATUS_OK);
    assert_true(self->n_answers < MAX_FRAMES);
    self->answer[self->n_answers].bytes = malloc(size);
    self->answer[self->n_answers].size = size;
    self->answer[self->n_answers].type = frame.type;
    memcpy(self->answer[self->n_answers++].bytes, bytes, size);
}

static tw_status slow_send(tw_link *link, uint32_t shard, const void *bytes, size_t size, tw_error *error)
{
    slow_link *self = (slow_link *)link;
    tw_frame frame;
    (void)shard;
    (void)error;
    assert_int_equal(tw_frame_decode(bytes, size, &frame, NULL), TW_STATUS_OK);
    assert_true(self->n_sent < MAX_FRAMES);
    self->sent[self->n_sent++] = frame.type;
    self->n_open++;
    self->n_peak = self->n_open > self->n_peak ? self->n_open : self->n_peak;
    tw_shard_receive(self->shard, "worker", 6, bytes, size);
    return TW_STATUS_OK;
}

static tw_status slow_receive(tw_link *link, uint32_t shard, const void **bytes, size_t *size, tw_error *error)
{
    slow_link *self = (slow_link *)link;
    (void)shard;
    (void)error;
    if (self->n_taken == self->n_answers || self->answer[self->n_taken].type == self->held)
        return TW_STATUS_IDLE;
    *bytes = self->answer[self->n_taken].bytes;
    *size = self->answer[self->n_taken++].size;
    self->n_open--;
    return TW_STATUS_OK;
}

static tw_status slow_wait(tw_link *link, int timeout_ms, tw_error *error)
{
    (void)error;
    ((slow_link *)link)->now_us += (int64_t)timeout_ms * 1000;
    return TW_STATUS_OK;
}

static int64_t slow_now(tw_link *link)
{
    return ((slow_link *)link)->now_us;
}

static const char *slow_address(const tw_link *link, uint32_t shard)
{
    (void)link;
    (void)shard;
    return "slow shard";
}

static void slow_close(tw_link *link)
{
    slow_link *self = (slow_link *)link;
    for (uint32_t i = 0; i < self->n_answers; i++)
        free(self->answer[i].bytes);
    tw_shard_destroy(&self->shard);
}

static const tw_link_ops slow_ops = {
    .send = slow_send,
    .receive = slow_receive,
    .wait = slow_wait,
    .now_us = slow_now,
    .address = slow_address,
    .close = slow_close,
};

static tw_params *slow_open(slow_link *self, const tw_table_spec *spec, uint32_t credit_frames, uint32_t credit_bytes)
{
    tw_shard_options shard = {.count = 1,
        .incarnation = 1,
        .credit_frames = credit_frames,
        .credit_bytes = credit_bytes,
        .emit = slow_emit,
        .context = self};
    tw_remote_options options = {.n_shards = 1, .model = "slow", .sender = 5};
    tw_params *params = NULL;
    memset(self, 0, sizeof *self);
    self->link.ops = &slow_ops;
    assert_int_equal(tw_shard_create(&shard, &self->shard, NULL), TW_STATUS_OK);
    assert_int_equal(tw_remote_create_over_take(&self->link, spec, &options, &params, NULL), TW_STATUS_OK);
    return params;
}

static uint32_t count_sent(const slow_link *self, tw_frame_type type)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < self->n_sent; i++)
        n += self->sent[i] == type;
    return n;
}

static slow_link slow;

static void the_next_pull_is_under_way_while_a_batch_is_learned(void **state)
{
    (void)state;
    tw_table_spec spec = toy_spec(TW_TABLE_EXACT);
    tw_params *params = slow_open(&slow, &spec, 0, 0);
    toy_batch first, second;
    tw_rows rows;
    toy_fill(&first, 0, 5);
    toy_fill(&second, 5, 10);
    assert_int_equal(params->ops->acquire(params, &first.view, TW_ACCESS_WRITE, &rows, NULL), TW_STATUS_OK);
    assert_int_equal(params->ops->prefetch(params, &second.view, NULL), TW_STATUS_OK);
    assert_int_equal(count_sent(&slow, TW_FRAME_PULL), 2);
    assert_int_equal(count_sent(&slow, TW_FRAME_PUSH), 0);
    assert_int_equal(params->ops->release(params, &first.view, &rows, 5, NULL), TW_STATUS_OK);
    assert_int_equal(params->ops->acquire(params, &second.view, TW_ACCESS_WRITE, &rows, NULL), TW_STATUS_OK);
    assert_int_equal(count_sent(&slow, TW_FRAME_PULL), 2);
    params->ops->abandon(params, &second.view, &rows);
    params->ops->close(params);
}

static void learning_goes_on_before_the_push_is_acknowledged(void **state)
{
    (void)state;
    tw_table_spec spec = toy_spec(TW_TABLE_EXACT);
    tw_params *params = slow_open(&slow, &spec, 0, 0), *local = NULL;
    assert_int_equal(tw_local_create(&spec, &local, NULL), TW_STATUS_OK);
    toy_batch batch[20];
    for (uint64_t i = 0; i < 20; i++)
        toy_fill(&batch[i], i * 5, i * 5 + 5);
    for (uint32_t i = 0; i < 18; i++) {
        tw_rows rows;
        slow.held = TW_FRAME_ACK;
        assert_int_equal(params->ops->acquire(params, &batch[i].view, TW_ACCESS_WRITE, &rows, NULL), TW_STATUS_OK);
        assert_int_equal(params->ops->prefetch(params, &batch[i + 1].view, NULL), TW_STATUS_OK);
        toy_change(&batch[i].view, &rows);
        assert_int_equal(toy_learn(local, &batch[i].view, NULL), TW_STATUS_OK);
        slow.held = 0;
        assert_int_equal(params->ops->release(params, &batch[i].view, &rows, 5, NULL), TW_STATUS_OK);
    }
    assert_int_equal(params->ops->flush(params, 1000, NULL), TW_STATUS_OK);
    assert_int_equal(count_sent(&slow, TW_FRAME_PULL), 19);
    assert_int_equal(count_sent(&slow, TW_FRAME_HELLO), 1);
    check_same_rows(params, local);
    params->ops->close(params);
    local->ops->close(local);
}

/* Without an acknowledgement the pull behind the push may be sent all the same. */
static void a_pull_does_not_wait_for_the_acknowledgement_of_the_push_before(void **state)
{
    (void)state;
    tw_table_spec spec = toy_spec(TW_TABLE_EXACT);
    tw_params *params = slow_open(&slow, &spec, 0, 0);
    toy_batch first, second;
    toy_fill(&first, 0, 5);
    toy_fill(&second, 5, 10);
    slow.held = TW_FRAME_ACK;
    assert_int_equal(toy_learn(params, &first.view, NULL), TW_STATUS_OK);
    tw_rows rows;
    slow.held = TW_FRAME_ACK;
    tw_status status = params->ops->acquire(params, &second.view, TW_ACCESS_READ, &rows, NULL);
    assert_int_equal(status, TW_STATUS_UNAVAILABLE); /* the answers behind the one held back do not come either */
    assert_int_equal(slow.sent[1], TW_FRAME_PULL);
    assert_int_equal(slow.sent[2], TW_FRAME_PUSH);
    assert_int_equal(slow.sent[3], TW_FRAME_PULL);
    slow.held = 0;
    params->ops->close(params);
}

/* --- credit ------------------------------------------------------------------------------------------------------- */

/* Rows of 4 KiB: 256 of them fill a chunk of 1 MiB. */
static uint32_t peak_of_wide_pulls(uint32_t credit_frames, uint32_t credit_bytes)
{
    enum { WIDE_KEYS = 256 * 6 };
    static uint64_t key[WIDE_KEYS];
    tw_table_spec spec = {.kind = TW_TABLE_EXACT, .hash_seed = 7};
    assert_int_equal(tw_record_add(&spec.schema.row, "wide", TW_FIELD_F32, 1024, TW_MERGE_ADD, NULL), 0);
    tw_params *params = slow_open(&slow, &spec, credit_frames, credit_bytes);
    uint32_t start[2] = {0, WIDE_KEYS};
    for (uint32_t i = 0; i < WIDE_KEYS; i++)
        key[i] = tw_key_of_index(7, i);
    tw_batch batch = {
        .n_events = 1, .n_entries = WIDE_KEYS, .row_start = start, .key = key, .split = 1, .from = 0, .to = 1};
    tw_rows rows;
    slow.n_peak = 0;
    assert_int_equal(params->ops->acquire(params, &batch, TW_ACCESS_WRITE, &rows, NULL), TW_STATUS_OK);
    assert_int_equal(count_sent(&slow, TW_FRAME_PULL), 6);
    assert_int_equal(params->ops->release(params, &batch, &rows, 1, NULL), TW_STATUS_OK);
    assert_int_equal(params->ops->flush(params, 1000, NULL), TW_STATUS_OK);
    assert_int_equal(count_sent(&slow, TW_FRAME_PUSH), 6);
    params->ops->close(params);
    return slow.n_peak;
}

static void a_worker_keeps_to_the_credit_in_frames_and_in_bytes(void **state)
{
    (void)state;
    assert_int_equal(peak_of_wide_pulls(0, 0), 6);
    assert_int_equal(peak_of_wide_pulls(2, 0), 2);
    /* Parts of a push have a megabyte each, pulls about two kilobytes. */
    assert_int_equal(peak_of_wide_pulls(0, (3 << 20) + 4096), 6);
    assert_int_equal(peak_of_wide_pulls(0, 5000), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_fetched_ahead_hold_the_bits_that_waiting_would_have_given),
        cmocka_unit_test(lost_doubled_and_damaged_frames_leave_the_bits_as_they_are),
        cmocka_unit_test(the_next_pull_is_under_way_while_a_batch_is_learned),
        cmocka_unit_test(learning_goes_on_before_the_push_is_acknowledged),
        cmocka_unit_test(a_pull_does_not_wait_for_the_acknowledgement_of_the_push_before),
        cmocka_unit_test(a_worker_keeps_to_the_credit_in_frames_and_in_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
