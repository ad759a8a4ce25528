/* A shard and its standby over a connection that loses, doubles, reorders and breaks: what the standby holds is always
 * the primary after some push, and equal in the end. */
#include "base/fault.h"
#include "ps/shard/feed.h"
#include "support/standby_pair.h"

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

static void what_a_silent_standby_is_sent_fits_into_the_queue_of_its_socket(void **state)
{
    (void)state;
    pair *self = pair_create(4, false);
    say_hello(self, false, 0);
    push(self, 10, 1);
    turns(self, 5);
    for (int i = 0; i < 1000; i++) {
        push(self, 1, 1);
        self->now_us += 20000;
        tw_shard_tick(self->primary, self->now_us);
        assert_in_range(self->to_standby.n, 0, TW_FEED_WINDOW_FRAMES);
    }
    assert_int_equal(self->to_standby.n, TW_FEED_WINDOW_FRAMES);
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

/* With a cap that the rows do not fit into, every copy fails. */
static void a_copy_that_cannot_succeed_is_tried_ever_less_often_and_says_why(void **state)
{
    (void)state;
    pair *self = pair_create(11, true);
    tw_standby_destroy(&self->standby);
    tw_standby_options options = {
        .count = 1, .sender = 5, .is_sync = true, .max_bytes = 4096, .emit = standby_emit, .context = self};
    assert_int_equal(tw_standby_create(&options, &self->standby, NULL), TW_STATUS_OK);
    say_hello(self, false, 0);
    push(self, 1000, 1);
    uint64_t copies_at[2];
    tw_replication seen;
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < 1500; i++) { /* 30 s */
            turn(self, 20000);
            uint32_t n = self->n_answers;
            push(self, 1, 1);
            assert_int_equal(self->n_answers, n + 1); /* nobody waits for such a standby */
        }
        tw_shard_replication(self->primary, &seen);
        copies_at[half] = seen.n_copies;
    }
    assert_in_range(copies_at[0], 6, 14);
    assert_in_range(copies_at[1] - copies_at[0], 3, 6); /* every 6.4 s */
    assert_true(seen.n_given_up > 3);
    assert_int_equal(seen.n_dropped, 0);
    assert_non_null(strstr(seen.why, "max_bytes"));
    assert_true(seen.lag_bytes == 0 || seen.has_standby);
    tw_standby_figures figures;
    tw_standby_figures_get(self->standby, &figures);
    assert_false(figures.is_ready);
    assert_true(figures.n_restarts > 6);
    assert_non_null(strstr(figures.why, "max_bytes"));
    assert_true(figures.pause_us == 0 || figures.pause_us == 6400000);
    pair_destroy(self);
}

/* Whatever the cap, the fullest table that it allows has a copy, with the same cap once it serves. */
static void a_shard_at_its_cap_has_a_standby(void **state)
{
    (void)state;
    for (uint64_t cap = 900000; cap < 2100000; cap += 100000) {
        pair *self = pair_create(15, false);
        char name[TW_MODEL_NAME_SIZE];
        void *row = NULL;
        tw_status status = TW_STATUS_OK;
        self->max_bytes = cap;
        say_hello(self, false, 0);
        push(self, 10, 1);
        for (uint64_t i = 0; status == TW_STATUS_OK; i++) {
            uint64_t key = tw_mix64(i) | 1;
            status = tw_table_rows(tw_shard_table(self->primary), &key, 1, TW_ACCESS_WRITE, &row, NULL);
        }
        assert_int_equal(status, TW_STATUS_FULL);
        turns(self, 300);
        tw_standby_figures figures;
        tw_standby_figures_get(self->standby, &figures);
        if (!figures.is_ready)
            fail_msg("cap %llu: %s", (unsigned long long)cap, figures.why);
        assert_equal_copies(self);
        tw_table *table = tw_standby_take_table(self->standby, name);
        assert_int_equal(tw_table_spec_of(table)->max_bytes, cap);
        tw_table_destroy(&table);
        pair_destroy(self);
    }
}

static void a_standby_that_has_fallen_silent_counts_as_none_until_it_is_back(void **state)
{
    (void)state;
    pair *self = pair_create(14, false);
    say_hello(self, false, 0);
    push(self, 10, 1);
    turns(self, 5);
    tw_shard_status is;
    for (int seconds = 3; seconds <= 5; seconds += 2) {
        tw_shard_tick(self->primary, self->now_us + (int64_t)seconds * 1000000);
        tw_shard_status_now(self->primary, &is);
        assert_int_equal(is.figure[TW_STATUS_HAS_STANDBY], seconds == 3);
        assert_int_equal(is.figure[TW_STATUS_IS_CAUGHT_UP], 1);
        assert_true(is.figure[TW_STATUS_LAG_ENTRIES] != TW_STATUS_UNKNOWN);
        tw_shard_status_fini(&is);
    }
    self->now_us += 5000000;
    turns(self, 20);
    assert_equal_copies(self);
    tw_replication seen;
    tw_shard_replication(self->primary, &seen);
    assert_true(seen.has_standby && !seen.is_silent);
    assert_int_equal(seen.n_copies, 1);
    pair_destroy(self);
}

static void a_stream_that_was_given_up_is_kept_no_longer_even_where_the_word_of_it_is_lost(void **state)
{
    (void)state;
    pair *self = pair_create(12, false);
    say_hello(self, false, 0);
    push(self, 2, 1);
    turns(self, 5);
    for (int i = 0; i < 2; i++) { /* the second failure in a row makes it pause */
        assert_int_equal(tw_table_set_mark(tw_standby_table(self->standby), 9, 70, NULL), 0);
        push(self, 2, 1);
        if (i == 1) {
            self->now_us += 20000;
            tw_shard_tick(self->primary, self->now_us);
            deliver(self, &self->to_standby, false);
            queue_clear(&self->to_primary);
        } else {
            turns(self, 8);
        }
    }
    tw_standby_figures figures;
    tw_standby_figures_get(self->standby, &figures);
    assert_int_equal(figures.n_restarts, 2);
    assert_int_equal(figures.pause_us, 200000);
    tw_replication seen;
    tw_shard_replication(self->primary, &seen);
    assert_true(seen.has_standby);
    assert_int_equal(seen.n_given_up, 0);
    turns(self, 30);
    assert_equal_copies(self);
    tw_standby_figures_get(self->standby, &figures);
    assert_int_equal(figures.pause_us, 0);
    for (int i = 0; i < 600; i++)
        turn(self, 20000);
    tw_standby_figures_get(self->standby, &figures);
    assert_int_equal(figures.n_restarts, 0); /* it holds: the next failure is a first one */
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
        cmocka_unit_test(what_a_silent_standby_is_sent_fits_into_the_queue_of_its_socket),
        cmocka_unit_test(a_synchronous_shard_acknowledges_when_its_standby_has_the_push),
        cmocka_unit_test(a_lost_standby_holds_nobody_up_for_long),
        cmocka_unit_test(a_copy_that_differs_is_found_and_made_anew),
        cmocka_unit_test(an_entry_that_does_not_begin_at_the_mark_makes_the_standby_begin_anew),
        cmocka_unit_test(a_copy_that_cannot_succeed_is_tried_ever_less_often_and_says_why),
        cmocka_unit_test(a_shard_at_its_cap_has_a_standby),
        cmocka_unit_test(a_standby_that_has_fallen_silent_counts_as_none_until_it_is_back),
        cmocka_unit_test(a_stream_that_was_given_up_is_kept_no_longer_even_where_the_word_of_it_is_lost),
        cmocka_unit_test(a_promoted_standby_serves_and_its_predecessor_refuses),
        cmocka_unit_test(only_its_roles_may_subscribe_or_promote),
        cmocka_unit_test(allocations_that_fail_leave_no_wrong_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
