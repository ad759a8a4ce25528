/* A shard and its standby over a connection that loses, doubles, reorders and breaks: what the standby holds is always
 * the primary after some push, and equal in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/hash.h"
#include "ps/standby.h"

enum { MAX_LETTERS = 4096, N_KEYS = 3000 };

typedef struct letter {
    unsigned char *bytes;
    size_t size;
} letter;

typedef struct queue {
    letter item[MAX_LETTERS];
    size_t n;
} queue;

typedef struct pair {
    tw_shard *primary;
    tw_standby *standby;
    queue to_standby, to_primary;
    tw_frame last; /* answer to the worker; without its body */
    uint32_t n_answers;
    tw_buffer out;
    uint64_t sequence, mark, random, n_pushes;
    int64_t now_us;
    uint32_t loss, doubling, swapping; /* of 256 */
    uint64_t n_faults;
    int connection;
    tw_table_kind kind;
} pair;

static uint64_t draw(pair *self, uint64_t below)
{
    self->random += 0x9e3779b97f4a7c15ull;
    return tw_mix64(self->random) % below;
}

static void queue_put(pair *self, queue *to, const void *bytes, size_t size)
{
    uint32_t n = 1;
    if (draw(self, 256) < self->loss)
        n = 0;
    else if (draw(self, 256) < self->doubling)
        n = 2;
    self->n_faults += n != 1;
    for (uint32_t i = 0; i < n && to->n < MAX_LETTERS; i++) {
        letter *put = &to->item[to->n++];
        put->bytes = malloc(size);
        put->size = size;
        memcpy(put->bytes, bytes, size);
        if (to->n > 1 && draw(self, 256) < self->swapping) {
            letter other = to->item[to->n - 2];
            to->item[to->n - 2] = *put;
            *put = other;
            self->n_faults++;
        }
    }
}

static void queue_clear(queue *self)
{
    for (size_t i = 0; i < self->n; i++)
        free(self->item[i].bytes);
    self->n = 0;
}

static void primary_emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    pair *self = context;
    if (memcmp(peer, "worker", peer_size < 6 ? peer_size : 6) == 0) {
        self->n_answers++;
        assert_int_equal(tw_frame_decode(bytes, size, &self->last, NULL), 0);
        return;
    }
    /* Only the latest connection of the standby is there. */
    char name[16];
    int length = snprintf(name, sizeof name, "standby-%d", self->connection);
    if (peer_size == (size_t)length && memcmp(peer, name, peer_size) == 0)
        queue_put(self, &self->to_standby, bytes, size);
}

static void standby_emit(void *context, const void *bytes, size_t size)
{
    pair *self = context;
    queue_put(self, &self->to_primary, bytes, size);
}

static void make_primary(pair *self, uint64_t incarnation)
{
    tw_shard_options options = {
        .count = 1, .incarnation = incarnation, .emit = primary_emit, .context = self, .max_log_bytes = 1 << 20};
    assert_int_equal(tw_shard_create(&options, &self->primary, NULL), TW_STATUS_OK);
}

static void make_standby(pair *self, bool is_sync)
{
    tw_standby_options options = {.count = 1, .sender = 5, .is_sync = is_sync, .emit = standby_emit, .context = self};
    assert_int_equal(tw_standby_create(&options, &self->standby, NULL), TW_STATUS_OK);
}

static pair *pair_create(uint64_t seed, bool is_sync)
{
    pair *self = calloc(1, sizeof *self);
    self->random = seed;
    self->kind = TW_TABLE_EXACT;
    self->now_us = 1000000;
    make_primary(self, 42 + seed);
    make_standby(self, is_sync);
    return self;
}

static void pair_destroy(pair *self)
{
    tw_shard_destroy(&self->primary);
    tw_standby_destroy(&self->standby);
    queue_clear(&self->to_standby);
    queue_clear(&self->to_primary);
    tw_free(self->out.bytes);
    free(self);
}

static void deliver(pair *self, queue *from, bool is_to_primary)
{
    while (from->n > 0) {
        letter first = from->item[0];
        memmove(from->item, from->item + 1, --from->n * sizeof *from->item);
        char name[16];
        int length = snprintf(name, sizeof name, "standby-%d", self->connection);
        if (is_to_primary)
            tw_shard_receive(self->primary, name, (size_t)length, first.bytes, first.size);
        else
            tw_standby_receive(self->standby, first.bytes, first.size);
        free(first.bytes);
    }
}

static void turn(pair *self, int64_t us)
{
    self->now_us += us;
    tw_shard_tick(self->primary, self->now_us);
    deliver(self, &self->to_standby, false);
    tw_standby_tick(self->standby, self->now_us);
    deliver(self, &self->to_primary, true);
}

static void turns(pair *self, int n)
{
    for (int i = 0; i < n; i++)
        turn(self, 20000);
}

static void model_of(const pair *self, tw_hello *hello)
{
    *hello = (tw_hello){
        .role = TW_ROLE_OWNER, .count = 1, .name = "m", .spec = {.kind = self->kind, .hash_seed = 1, .bits = 14}};
    assert_int_equal(tw_record_add(&hello->spec.schema.row, "n", TW_FIELD_U64, 1, TW_MERGE_ADD, NULL), 0);
    hello->spec.schema.n_blocks = 1;
    tw_block *block = &hello->spec.schema.block[0];
    block->count = 5;
    (void)snprintf(block->name, sizeof block->name, "sums");
    assert_int_equal(tw_record_add(&block->record, "sum", TW_FIELD_U64, 1, TW_MERGE_ADD, NULL), 0);
}

static void say_hello(pair *self, bool is_fresh, uint64_t epoch)
{
    tw_hello *hello = calloc(1, sizeof *hello);
    model_of(self, hello);
    hello->is_fresh = is_fresh;
    tw_frame frame = {
        .type = TW_FRAME_HELLO, .model = tw_hash("m", 1), .sender = 1, .sequence = ++self->sequence, .handle = epoch};
    assert_int_equal(tw_frame_begin(&self->out, &frame, NULL, NULL), 0);
    assert_int_equal(tw_hello_encode(hello, &self->out, NULL), 0);
    tw_frame_finish(&self->out, &frame);
    tw_shard_receive(self->primary, "worker", 6, self->out.bytes, self->out.size);
    free(hello);
}

/* One event that adds 1 to `n` keys and to all block records, in `n_parts` frames. */
static void push(pair *self, uint32_t n, uint32_t n_parts)
{
    static uint64_t key[N_KEYS], values[2 * (N_KEYS + 5)];
    for (uint32_t p = 0; p < n_parts; p++) {
        bool is_last = p + 1 == n_parts;
        uint32_t n_blocks = is_last ? 5 : 0, n_records = n + n_blocks;
        tw_frame frame = {.type = TW_FRAME_PUSH,
            .flags = is_last ? 0 : TW_FRAME_MORE,
            .model = tw_hash("m", 1),
            .sender = 1,
            .incarnation = self->last.incarnation,
            .sequence = ++self->sequence,
            .form = TW_FORM_ADD,
            .n_keys = n,
            .n_blocks = n_blocks,
            .n_learned = is_last,
            .n_marks = is_last};
        frame.mark[0] = (tw_frame_mark){9, self->mark, self->mark + 1};
        uint64_t first = draw(self, N_KEYS);
        for (uint32_t i = 0; i < n; i++)
            key[i] = tw_mix64((first + i) % N_KEYS + 1) | 1;
        memset(values, 0, sizeof values);
        for (uint32_t i = 0; i < n_records; i++)
            values[n_records + i] = 1;
        assert_int_equal(tw_frame_begin(&self->out, &frame, key, NULL), 0);
        assert_int_equal(tw_buffer_append(&self->out, values, (size_t)n_records * 16, NULL), 0);
        tw_frame_finish(&self->out, &frame);
        tw_shard_receive(self->primary, "worker", 6, self->out.bytes, self->out.size);
    }
    self->mark++;
    self->n_pushes++;
}

typedef struct sum {
    uint64_t rows, records, digest;
} sum;

static tw_status sum_visit(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    sum *self = context;
    (void)error;
    self->rows += block < 0;
    uint64_t count = *(const uint64_t *)record;
    self->records += count;
    if (count > 0)
        self->digest += tw_mix64(key * 31 + (uint64_t)block + tw_mix64(count));
    return TW_STATUS_OK;
}

static sum sum_of(tw_table *table)
{
    sum out = {0};
    assert_int_equal(tw_table_scan(table, sum_visit, &out, NULL), 0);
    return out;
}

static bool is_ready(const pair *self)
{
    tw_standby_figures figures;
    tw_standby_figures_get(self->standby, &figures);
    return figures.is_ready;
}

static void assert_equal_copies(pair *self)
{
    tw_table *a = tw_shard_table(self->primary), *b = tw_standby_table(self->standby);
    assert_true(is_ready(self));
    sum one = sum_of(a), two = sum_of(b);
    assert_int_equal(one.records, two.records);
    assert_int_equal(one.digest, two.digest);
    assert_int_equal(tw_table_mark(a, 9), self->mark);
    assert_int_equal(tw_table_mark(b, 9), self->mark);
    assert_int_equal(tw_table_events_learned(a), tw_table_events_learned(b));
}

/* Whatever is lost: with 2 keys and 5 block records a push, the mark says what the records must add up to. */
static void assert_clean_prefix(pair *self)
{
    tw_table *table = tw_standby_table(self->standby);
    if (!is_ready(self))
        return;
    uint64_t mark = tw_table_mark(table, 9);
    assert_true(mark <= self->mark);
    assert_int_equal(sum_of(table).records, mark * 7);
    assert_int_equal(tw_table_events_learned(table), mark);
}

static void a_standby_copies_rows_blocks_and_marks_and_follows(void **state)
{
    for (tw_table_kind kind = TW_TABLE_EXACT; kind <= TW_TABLE_HASHED; kind++) {
        pair *self = pair_create(1, false);
        self->kind = kind;
        (void)state;
        say_hello(self, false, 0);
        for (int i = 0; i < 50; i++)
            push(self, 40, 1);
        turns(self, 10);
        assert_equal_copies(self);
        for (int i = 0; i < 50; i++) {
            push(self, 40, 3);
            turn(self, 1000);
        }
        turns(self, 2);
        assert_equal_copies(self);
        tw_replication seen;
        tw_shard_replication(self->primary, &seen);
        assert_true(seen.is_caught_up);
        assert_int_equal(seen.n_copies, 1);
        assert_int_equal(seen.lag_entries, 0);
        pair_destroy(self);
    }
}

static void a_standby_that_came_before_the_model_gets_it(void **state)
{
    (void)state;
    pair *self = pair_create(2, false);
    turns(self, 20);
    assert_false(is_ready(self));
    say_hello(self, false, 0);
    push(self, 4, 1);
    turns(self, 5);
    assert_equal_copies(self);
    pair_destroy(self);
}

static void a_model_that_starts_afresh_is_copied_anew(void **state)
{
    (void)state;
    pair *self = pair_create(3, false);
    say_hello(self, false, 0);
    push(self, 100, 1);
    turns(self, 5);
    say_hello(self, true, 0);
    self->mark = 0;
    push(self, 3, 1);
    turns(self, 5);
    assert_equal_copies(self);
    assert_int_equal(sum_of(tw_standby_table(self->standby)).rows, 3);
    pair_destroy(self);
}

static void whatever_is_lost_doubled_or_reordered_the_copy_is_a_clean_prefix(void **state)
{
    (void)state;
    uint64_t n_faults = 0, n_copies = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        pair *self = pair_create(seed, seed % 2 == 0);
        self->loss = (uint32_t)draw(self, 60);
        self->doubling = (uint32_t)draw(self, 60);
        self->swapping = (uint32_t)draw(self, 60);
        say_hello(self, false, 0);
        for (int i = 0; i < 400; i++) {
            push(self, 1, 2);
            turn(self, (int64_t)draw(self, 60000));
            assert_clean_prefix(self);
            if (draw(self, 40) == 0) {
                self->connection++;
                queue_clear(&self->to_primary);
                queue_clear(&self->to_standby);
            }
        }
        n_faults += self->n_faults;
        self->loss = self->doubling = self->swapping = 0;
        turns(self, 400);
        assert_equal_copies(self);
        tw_replication seen;
        tw_shard_replication(self->primary, &seen);
        n_copies += seen.n_copies;
        pair_destroy(self);
    }
    assert_true(n_faults > 5000);
    /* Broken connections go on where they were: hardly any needs a copy of its own. */
    assert_true(n_copies < 120);
}

static void a_standby_that_falls_too_far_behind_is_dropped_and_comes_back(void **state)
{
    (void)state;
    pair *self = pair_create(4, false);
    say_hello(self, false, 0);
    push(self, 10, 1);
    turns(self, 5);
    for (int i = 0; i < 200; i++)
        push(self, 1000, 1); /* nobody takes the log away */
    tw_replication seen;
    tw_shard_replication(self->primary, &seen);
    assert_int_equal(seen.n_dropped, 1);
    assert_int_equal(seen.lag_bytes, 0);
    turns(self, 200);
    assert_equal_copies(self);
    pair_destroy(self);
}

static void a_synchronous_shard_acknowledges_when_its_standby_has_the_push(void **state)
{
    (void)state;
    pair *self = pair_create(5, true);
    say_hello(self, false, 0);
    push(self, 10, 1);
    assert_int_equal(self->last.type, TW_FRAME_ACK); /* no copy yet: nobody to wait for */
    turns(self, 5);
    uint32_t n = self->n_answers;
    push(self, 10, 1);
    assert_int_equal(self->n_answers, n);
    turn(self, 1000);
    assert_int_equal(self->n_answers, n + 1);
    assert_int_equal(tw_table_mark(tw_standby_table(self->standby), 9), self->mark);
    pair_destroy(self);
}

static void a_lost_standby_holds_nobody_up_for_long(void **state)
{
    (void)state;
    pair *self = pair_create(6, true);
    say_hello(self, false, 0);
    push(self, 10, 1);
    turns(self, 5);
    uint32_t n = self->n_answers;
    push(self, 10, 1);
    tw_shard_tick(self->primary, self->now_us + 900000);
    assert_int_equal(self->n_answers, n);
    tw_shard_tick(self->primary, self->now_us + 1100000);
    assert_int_equal(self->n_answers, n + 1);
    push(self, 10, 1);
    assert_int_equal(self->n_answers, n + 2);
    tw_replication seen;
    tw_shard_replication(self->primary, &seen);
    assert_int_equal(seen.n_alone, 1);
    assert_true(seen.is_alone);
    self->now_us += 1100000;
    turns(self, 10);
    tw_shard_replication(self->primary, &seen);
    assert_false(seen.is_alone);
    assert_equal_copies(self);
    pair_destroy(self);
}

static void a_copy_that_differs_is_found_and_made_anew(void **state)
{
    (void)state;
    pair *self = pair_create(7, false);
    say_hello(self, false, 0);
    push(self, 500, 1);
    turns(self, 10);
    uint64_t key = tw_mix64(5) | 1;
    void *row = NULL;
    assert_int_equal(tw_table_rows(tw_standby_table(self->standby), &key, 1, TW_ACCESS_WRITE, &row, NULL), 0);
    ++*(uint64_t *)row;
    turns(self, 100);
    tw_standby_figures figures;
    tw_standby_figures_get(self->standby, &figures);
    assert_int_equal(figures.n_mismatches, 1);
    assert_non_null(strstr(figures.why, "differs"));
    assert_true(figures.n_digests > 3);
    assert_equal_copies(self);
    pair_destroy(self);
}

/* An entry whose range does not start at the mark must not be put. */
static void an_entry_that_does_not_begin_at_the_mark_makes_the_standby_begin_anew(void **state)
{
    (void)state;
    pair *self = pair_create(8, false);
    say_hello(self, false, 0);
    push(self, 2, 1);
    turns(self, 5);
    assert_int_equal(tw_table_set_mark(tw_standby_table(self->standby), 9, 7, NULL), 0);
    push(self, 2, 1);
    turns(self, 2);
    tw_standby_figures figures;
    tw_standby_figures_get(self->standby, &figures);
    assert_int_equal(figures.n_broken, 1);
    turns(self, 20);
    assert_equal_copies(self);
    pair_destroy(self);
}

static void send_promote(pair *self, uint64_t epoch)
{
    tw_promotion promotion = {.epoch = epoch};
    assert_int_equal(tw_promote_encode(&self->out, 77, 1, &promotion, NULL), 0);
    tw_shard_receive(self->primary, "worker", 6, self->out.bytes, self->out.size);
}

static void a_promoted_standby_serves_and_its_predecessor_refuses(void **state)
{
    (void)state;
    pair *self = pair_create(9, false);
    say_hello(self, false, 0);
    push(self, 20, 1);
    turns(self, 5);
    tw_shard *old = self->primary;
    tw_shard_options options = {
        .count = 1, .incarnation = 1000, .emit = primary_emit, .context = self, .is_standby = true};
    assert_int_equal(tw_shard_create(&options, &self->primary, NULL), TW_STATUS_OK);
    say_hello(self, false, 0);
    assert_int_equal(self->last.reason, TW_NACK_NOT_PRIMARY);
    tw_promotion wanted;
    assert_false(tw_shard_promotion_wanted(self->primary, &wanted));
    send_promote(self, 0);
    assert_true(tw_shard_promotion_wanted(self->primary, &wanted));
    assert_int_equal(wanted.epoch, 1);
    char name[TW_MODEL_NAME_SIZE];
    tw_table *table = tw_standby_take_table(self->standby, name);
    assert_non_null(table);
    assert_int_equal(tw_shard_take_over(self->primary, table, name, wanted.epoch, NULL), 0);
    tw_shard_promotion_done(self->primary, TW_STATUS_OK, "");
    assert_int_equal(self->last.type, TW_FRAME_PROMOTED);
    assert_int_equal(self->last.handle, 1);
    say_hello(self, false, 0);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    assert_int_equal(self->last.handle, 1);
    push(self, 20, 1);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    assert_int_equal(tw_table_mark(tw_shard_table(self->primary), 9), 2);
    /* Whoever knows of epoch 1 is refused by the old one; told of it, it refuses everybody. */
    tw_shard *new = self->primary;
    self->primary = old;
    say_hello(self, false, 1);
    assert_int_equal(self->last.reason, TW_NACK_NOT_PRIMARY);
    say_hello(self, false, 0);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    unsigned char payload[TW_SUBSCRIBE_SIZE];
    tw_subscription_put(&(tw_subscription){.count = 1}, payload);
    tw_frame frame = {.type = TW_FRAME_PROMOTED, .model = tw_hash("m", 1), .sender = 3, .handle = 1};
    assert_int_equal(tw_frame_begin(&self->out, &frame, NULL, NULL), 0);
    assert_int_equal(tw_buffer_append(&self->out, payload, sizeof payload, NULL), 0);
    tw_frame_finish(&self->out, &frame);
    tw_shard_receive(old, "other", 5, self->out.bytes, self->out.size);
    push(self, 20, 1);
    assert_int_equal(self->last.reason, TW_NACK_NOT_PRIMARY);
    say_hello(self, false, 0);
    assert_int_equal(self->last.reason, TW_NACK_NOT_PRIMARY);
    send_promote(self, 9);
    assert_int_equal(self->last.reason, TW_NACK_STALE_EPOCH);
    tw_shard_destroy(&new);
    pair_destroy(self);
}

static void only_its_roles_may_subscribe_or_promote(void **state)
{
    (void)state;
    pair *self = pair_create(10, false);
    say_hello(self, false, 0);
    turn(self, 300000);
    tw_promotion promotion = {.epoch = 3};
    assert_int_equal(tw_promote_encode(&self->out, 77, 1, &promotion, NULL), 0);
    tw_shard_receive_from(self->primary, 1u << TW_ROLE_OWNER, "worker", 6, self->out.bytes, self->out.size);
    assert_int_equal(self->last.reason, TW_NACK_DENIED);
    unsigned char payload[TW_SUBSCRIBE_SIZE];
    tw_subscription_put(&(tw_subscription){.count = 1}, payload);
    tw_frame frame = {.type = TW_FRAME_SUBSCRIBE, .sender = 3};
    assert_int_equal(tw_frame_begin(&self->out, &frame, NULL, NULL), 0);
    assert_int_equal(tw_buffer_append(&self->out, payload, sizeof payload, NULL), 0);
    tw_frame_finish(&self->out, &frame);
    tw_shard_receive_from(self->primary, 1u << TW_ROLE_READER, "worker", 6, self->out.bytes, self->out.size);
    assert_int_equal(self->last.reason, TW_NACK_DENIED);
    tw_shard_receive(self->primary, "worker", 6, self->out.bytes, self->out.size);
    assert_int_equal(self->last.reason, TW_NACK_OVERLOAD); /* it has a standby */
    pair_destroy(self);
}

/* With every allocation failing once, the copy ends up equal, or is not there. */
static void allocations_that_fail_leave_no_wrong_copy(void **state)
{
    (void)state;
    uint64_t n_fired = 0;
    for (uint64_t nth = 1; nth < 400; nth++) {
        pair *self = pair_create(nth, nth % 2 == 0);
        say_hello(self, false, 0);
        for (int i = 0; i < 20; i++)
            push(self, 1, 2);
        tw_fault_arm(TW_FAULT_ALLOC, nth, 12, false);
        for (int i = 0; i < 30; i++)
            turn(self, 50000);
        n_fired += tw_fault_fired(TW_FAULT_ALLOC);
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_clean_prefix(self);
        for (int i = 0; i < 5; i++)
            push(self, 1, 2);
        turns(self, 60);
        assert_equal_copies(self);
        pair_destroy(self);
    }
    assert_true(n_fired > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_standby_copies_rows_blocks_and_marks_and_follows),
        cmocka_unit_test(a_standby_that_came_before_the_model_gets_it),
        cmocka_unit_test(a_model_that_starts_afresh_is_copied_anew),
        cmocka_unit_test(whatever_is_lost_doubled_or_reordered_the_copy_is_a_clean_prefix),
        cmocka_unit_test(a_standby_that_falls_too_far_behind_is_dropped_and_comes_back),
        cmocka_unit_test(a_synchronous_shard_acknowledges_when_its_standby_has_the_push),
        cmocka_unit_test(a_lost_standby_holds_nobody_up_for_long),
        cmocka_unit_test(a_copy_that_differs_is_found_and_made_anew),
        cmocka_unit_test(an_entry_that_does_not_begin_at_the_mark_makes_the_standby_begin_anew),
        cmocka_unit_test(a_promoted_standby_serves_and_its_predecessor_refuses),
        cmocka_unit_test(only_its_roles_may_subscribe_or_promote),
        cmocka_unit_test(allocations_that_fail_leave_no_wrong_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
