/* A standby of a shard whose keys are admitted late, expire and are evicted: it has the same rows, counts, last touches
 * and clock, and decides alike once it is promoted. */
#include "base/fault.h"
#include "ps/worker/admission.h"
#include "support/standby_pair.h"

enum { PUSH_KEYS = 24, PUSH_EVENTS = 20, N_SLOTS_USED = 6 };

typedef struct kept_push {
    uint64_t key[PUSH_KEYS];
    tw_key_touch touch[PUSH_KEYS];
    uint32_t n_keys, n_ticks, n_parts;
} kept_push;

static pair *kept_pair(uint64_t seed, uint32_t admit_count, uint64_t expire_after, bool evicts)
{
    pair *self = pair_create(seed, false);
    self->keep =
        (tw_keep){.admit_count = admit_count, .admit_bytes = 1 << 20, .expire_after = expire_after, .evicts = evicts};
    self->max_bytes = evicts ? 8 << 20 : 0;
    return self;
}

/* What a worker would say of a key after looking at the table: some come again and again, some once. */
static tw_key_touch touch_of(pair *self, const tw_table *table, uint64_t key, uint32_t n_events)
{
    tw_sight sight;
    tw_table_sights(table, &key, 1, &sight);
    tw_key_touch touch = {.first = (uint32_t)draw(self, n_events)};
    touch.last = touch.first + (uint32_t)draw(self, n_events - touch.first);
    bool holds = sight.left > touch.first;
    uint32_t n = 1 + (touch.last > touch.first), seen = holds ? sight.seen : 0;
    uint32_t least = self->keep.admit_count > 1 ? self->keep.admit_count : 1;
    touch.is_admitted = (holds && sight.seen == 0) || seen + n >= least;
    touch.count = holds && sight.seen == 0 ? 0 : touch.is_admitted ? least - seen - 1 : n;
    return touch;
}

static void plan_push(pair *self, const tw_table *table, kept_push *out)
{
    uint64_t base = draw(self, 40);
    out->n_keys = 1 + (uint32_t)draw(self, PUSH_KEYS);
    out->n_ticks = 1 + (uint32_t)draw(self, PUSH_EVENTS);
    out->n_parts = 1 + (uint32_t)draw(self, out->n_keys < 3 ? out->n_keys : 3);
    for (uint32_t i = 0; i < out->n_keys; i++) {
        uint64_t index = draw(self, 3) == 0 ? 1000000 + self->n_pushes * PUSH_KEYS + i : base * 7 + i;
        uint64_t hash = tw_mix64(index);
        out->key[i] = (hash % N_SLOTS_USED * 600 + 3) << 52 | hash >> 12 | 1;
        for (uint32_t j = 0; j < i; j++) {
            if (out->key[j] == out->key[i])
                out->key[i] += 2 + i;
        }
        out->touch[i] = touch_of(self, table, out->key[i], out->n_ticks);
    }
}

static void send_part(
    pair *self, tw_shard *to, uint64_t incarnation, uint64_t sequence, const kept_push *push, uint32_t p)
{
    uint32_t first = push->n_keys * p / push->n_parts, end = push->n_keys * (p + 1) / push->n_parts, n = end - first;
    bool is_last = p + 1 == push->n_parts;
    uint32_t n_blocks = is_last ? 5 : 0;
    uint64_t values[2 * (PUSH_KEYS + 5)] = {0};
    tw_frame frame = {.type = TW_FRAME_PUSH,
        .flags = is_last ? 0 : TW_FRAME_MORE,
        .model = tw_hash("m", 1),
        .sender = 1,
        .incarnation = incarnation,
        .sequence = sequence,
        .form = TW_FORM_ADD,
        .n_keys = n,
        .n_blocks = n_blocks,
        .n_learned = is_last ? push->n_ticks : 0,
        .n_marks = is_last};
    frame.mark[0] = (tw_frame_mark){9, self->mark, self->mark + 1};
    for (uint32_t i = 0; i < n + n_blocks; i++)
        values[n + n_blocks + i] = 1;
    assert_int_equal(tw_frame_begin(&self->out, &frame, push->key + first, NULL), 0);
    assert_int_equal(tw_buffer_append(&self->out, values, (size_t)(n + n_blocks) * 16, NULL), 0);
    unsigned char *at = tw_buffer_reserve(&self->out, (size_t)n * TW_TOUCH_SIZE + (is_last ? TW_TICKS_SIZE : 0), NULL);
    assert_non_null(at);
    tw_touches_write(push->touch + first, n, at);
    if (is_last)
        tw_put_u64(at + (size_t)n * TW_TOUCH_SIZE, push->n_ticks);
    tw_frame_finish(&self->out, &frame);
    tw_shard_receive(to, "worker", 6, self->out.bytes, self->out.size);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
}

static void push_kept(pair *self)
{
    kept_push push;
    plan_push(self, tw_shard_table(self->primary), &push);
    uint64_t incarnation = self->last.incarnation;
    for (uint32_t p = 0; p < push.n_parts; p++)
        send_part(self, self->primary, incarnation, ++self->sequence, &push, p);
    self->mark++;
    self->n_pushes++;
}

static void assert_alike(tw_table *a, tw_table *b)
{
    tw_table_part part = {-1, 0, TW_N_SLOTS};
    uint64_t one, two, n_one, n_two;
    assert_int_equal(tw_part_digest(a, &part, &one, &n_one, NULL), 0);
    assert_int_equal(tw_part_digest(b, &part, &two, &n_two, NULL), 0);
    assert_int_equal(n_one, n_two);
    assert_true(one == two);
    assert_true(n_one > 0);
    assert_int_equal(tw_table_clock(a), tw_table_clock(b));
    assert_int_equal(tw_table_mark(a, 9), tw_table_mark(b, 9));
}

static tw_keep kind_of(int i)
{
    i += i > 2; /* one of the eight keeps everything for ever */
    return (tw_keep){.admit_count = i % 2 == 0 ? 3 : 0, .expire_after = i / 2 % 2 == 0 ? 700 : 0, .evicts = i >= 4};
}

/* Pushes come before, during and after the copy. */
static void a_standby_admits_expires_and_evicts_as_its_primary_does(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++) {
        tw_keep kind = kind_of(i);
        pair *self = kept_pair(20 + (uint64_t)i, kind.admit_count, kind.expire_after, kind.evicts);
        say_hello(self, false, 0);
        for (int j = 0; j < 300; j++)
            push_kept(self);
        for (int j = 0; j < 900; j++) {
            push_kept(self);
            if (j % 3 == 0)
                turn(self, 30000);
        }
        turns(self, 200);
        assert_true(is_ready(self));
        assert_alike(tw_shard_table(self->primary), tw_standby_table(self->standby));
        tw_standby_figures figures;
        tw_standby_figures_get(self->standby, &figures);
        assert_int_equal(figures.n_mismatches, 0);
        assert_int_equal(figures.n_broken, 0);
        assert_int_equal(figures.n_copies, 1);
        assert_true(figures.n_digests > 20);
        tw_params_stats stats = {0};
        tw_table_stats(tw_shard_table(self->primary), &stats);
        assert_true(stats.rows > 50);
        assert_true((stats.rows_expired > 5) == (kind.expire_after > 0));
        assert_true(i < 6 || stats.rows_evicted > 100);
        assert_true((stats.touches_refused > 5) == (kind.admit_count > 1));
        pair_destroy(self);
    }
}

static void a_promoted_standby_decides_as_its_primary_would_have(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++) {
        tw_keep kind = kind_of(i);
        pair *self = kept_pair(40 + (uint64_t)i, kind.admit_count, kind.expire_after, kind.evicts);
        say_hello(self, false, 0);
        for (int j = 0; j < 500; j++) {
            push_kept(self);
            turn(self, 30000);
        }
        turns(self, 5);
        char name[TW_MODEL_NAME_SIZE];
        tw_table *table = tw_standby_take_table(self->standby, name);
        assert_non_null(table);
        tw_shard *old = self->primary;
        uint64_t old_incarnation = self->last.incarnation, old_sequence = self->sequence;
        tw_shard_options options = {
            .count = 1, .incarnation = 1000, .emit = primary_emit, .context = self, .is_standby = true};
        assert_int_equal(tw_shard_create(&options, &self->primary, NULL), TW_STATUS_OK);
        assert_int_equal(tw_shard_take_over(self->primary, table, name, 1, NULL), 0);
        self->sequence = 0;
        say_hello(self, false, 1);
        assert_int_equal(self->last.type, TW_FRAME_WELCOME);
        uint64_t incarnation = self->last.incarnation;
        for (int j = 0; j < 500; j++) {
            kept_push push;
            plan_push(self, tw_shard_table(old), &push);
            for (uint32_t p = 0; p < push.n_parts; p++) {
                send_part(self, old, old_incarnation, ++old_sequence, &push, p);
                send_part(self, self->primary, incarnation, ++self->sequence, &push, p);
            }
            self->mark++;
            self->n_pushes++;
        }
        assert_alike(tw_shard_table(old), tw_shard_table(self->primary));
        tw_shard_destroy(&old);
        pair_destroy(self);
    }
}

static void a_copy_with_another_last_touch_is_found_and_made_anew(void **state)
{
    (void)state;
    pair *self = kept_pair(60, 0, 100000, false);
    say_hello(self, false, 0);
    for (int j = 0; j < 50; j++)
        push_kept(self);
    turns(self, 20);
    kept_push push;
    void *row[PUSH_KEYS];
    tw_table *copy = tw_standby_table(self->standby);
    plan_push(self, copy, &push);
    assert_int_equal(tw_table_touch(copy, push.key, push.touch, push.n_keys, row, NULL), 0);
    turns(self, 200);
    tw_standby_figures figures;
    tw_standby_figures_get(self->standby, &figures);
    assert_int_equal(figures.n_mismatches, 1);
    assert_alike(tw_shard_table(self->primary), tw_standby_table(self->standby));
    pair_destroy(self);
}

static void under_lost_and_doubled_frames_it_never_decides_otherwise(void **state)
{
    (void)state;
    uint64_t n_faults = 0;
    for (uint64_t seed = 100; seed < 140; seed++) {
        tw_keep kind = kind_of((int)seed % 7);
        pair *self = kept_pair(seed, kind.admit_count, kind.expire_after, kind.evicts);
        self->loss = (uint32_t)draw(self, 60);
        self->doubling = (uint32_t)draw(self, 60);
        self->swapping = (uint32_t)draw(self, 60);
        say_hello(self, false, 0);
        for (int i = 0; i < 200; i++) {
            push_kept(self);
            turn(self, (int64_t)draw(self, 60000));
            if (draw(self, 40) == 0) {
                self->connection++;
                queue_clear(&self->to_primary);
                queue_clear(&self->to_standby);
            }
        }
        n_faults += self->n_faults;
        self->loss = self->doubling = self->swapping = 0;
        turns(self, 400);
        assert_alike(tw_shard_table(self->primary), tw_standby_table(self->standby));
        tw_standby_figures figures;
        tw_standby_figures_get(self->standby, &figures);
        assert_int_equal(figures.n_mismatches, 0);
        pair_destroy(self);
    }
    assert_true(n_faults > 500);
}

static void where_memory_fails_there_is_no_wrong_copy(void **state)
{
    (void)state;
    uint64_t n_fired = 0;
    for (uint64_t nth = 1; nth < 300; nth++) {
        pair *self = kept_pair(nth, 2, 300, false);
        say_hello(self, false, 0);
        for (int i = 0; i < 20; i++)
            push_kept(self);
        tw_fault_arm(TW_FAULT_ALLOC, nth, 12, false);
        for (int i = 0; i < 30; i++)
            turn(self, 50000);
        n_fired += tw_fault_fired(TW_FAULT_ALLOC);
        tw_fault_disarm(TW_FAULT_ALLOC);
        for (int i = 0; i < 5; i++)
            push_kept(self);
        turns(self, 60);
        assert_true(is_ready(self));
        assert_alike(tw_shard_table(self->primary), tw_standby_table(self->standby));
        pair_destroy(self);
    }
    assert_true(n_fired > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_standby_admits_expires_and_evicts_as_its_primary_does),
        cmocka_unit_test(a_promoted_standby_decides_as_its_primary_would_have),
        cmocka_unit_test(a_copy_with_another_last_touch_is_found_and_made_anew),
        cmocka_unit_test(under_lost_and_doubled_frames_it_never_decides_otherwise),
        cmocka_unit_test(where_memory_fails_there_is_no_wrong_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
