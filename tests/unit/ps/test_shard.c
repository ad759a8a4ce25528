/* One shard, spoken to frame by frame: the mark rule, ownership, and hostile peers. */
#include "support/shard_wire.h"

#include "ps/shard/leases.h"
#include "ps/shard/replication.h"

static void a_reader_does_not_decide_what_the_rows_are(void **state)
{
    (void)state;
    wire *self = wire_create();
    say_hello(self, "reader", TW_ROLE_READER, 9, 1);
    assert_int_equal(self->last.type, TW_FRAME_NACK);
    assert_int_equal(self->last.reason, TW_NACK_OVERLOAD);
    assert_null(tw_shard_table(self->shard));
    hello(self, "owner", TW_ROLE_OWNER, 1, 1);
    hello(self, "reader", TW_ROLE_READER, 9, 2);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    assert_int_equal(tw_shard_refusals(self->shard)->nack[TW_NACK_OVERLOAD], 1);
    wire_destroy(self);
}

static void only_the_owner_may_drop_or_save_the_rows(void **state)
{
    (void)state;
    wire *self = wire_create();
    hello(self, "owner", TW_ROLE_OWNER, 1, 1);
    push_one(self, "owner", 1, 2, 0, 5);
    for (tw_role role = TW_ROLE_PEER; role <= TW_ROLE_READER; role++) {
        tw_hello body = counter_hello(role);
        body.is_fresh = true;
        tw_frame frame = {.type = TW_FRAME_HELLO, .model = self->model, .sender = 2, .sequence = 1};
        assert_int_equal(tw_frame_begin(&self->out, &frame, NULL, NULL), 0);
        assert_int_equal(tw_hello_encode(&body, &self->out, NULL), 0);
        tw_frame_finish(&self->out, &frame);
        tw_shard_receive(self->shard, "stranger", 8, self->out.bytes, self->out.size);
        assert_int_equal(self->last.reason, TW_NACK_SCHEMA);
    }
    hello(self, "stranger", TW_ROLE_PEER, 2, 1);
    tw_frame barrier = {.type = TW_FRAME_BARRIER,
        .model = self->model,
        .sender = 2,
        .sequence = 2,
        .handle = 7,
        .incarnation = self->last.incarnation};
    uint64_t id = 0;
    send_frame(self, "stranger", barrier, NULL, "", 0);
    assert_int_equal(self->last.reason, TW_NACK_FAILED);
    assert_false(tw_shard_snapshot_wanted(self->shard, &id));
    assert_int_equal(count_of_77(self), 1);
    wire_destroy(self);
}

static void a_push_applies_only_where_its_range_starts_at_the_mark(void **state)
{
    (void)state;
    wire *self = wire_create();
    hello(self, "a", TW_ROLE_OWNER, 1, 1);
    push_one(self, "a", 1, 2, 0, 10);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    assert_int_equal(count_of_77(self), 1);
    push_one(self, "a", 1, 3, 0, 10);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    assert_int_equal(self->last.flags, TW_FRAME_DUPLICATE);
    push_one(self, "a", 1, 4, 5, 15);
    assert_int_equal(self->last.reason, TW_NACK_OVERLAP);
    assert_int_equal(self->last.mark[0].to, 10);
    push_one(self, "a", 1, 5, 11, 15);
    assert_int_equal(self->last.reason, TW_NACK_GAP);
    assert_int_equal(self->last.mark[0].to, 10);
    assert_int_equal(count_of_77(self), 1);
    assert_int_equal(tw_table_mark(tw_shard_table(self->shard), 9), 10);
    wire_destroy(self);
}

static void a_frame_that_comes_twice_is_not_looked_at_again(void **state)
{
    (void)state;
    wire *self = wire_create();
    hello(self, "a", TW_ROLE_OWNER, 1, 1);
    push_one(self, "a", 1, 2, 0, 0);
    uint32_t n_answers = self->n_answers;
    push_one(self, "a", 1, 2, 0, 0);
    assert_int_equal(self->n_answers, n_answers);
    assert_int_equal(count_of_77(self), 1);
    push_one(self, "a", 1, 4, 0, 0);
    assert_int_equal(self->last.reason, TW_NACK_GAP);
    wire_destroy(self);
}

static void a_new_owner_makes_the_old_ones_pushes_stale(void **state)
{
    (void)state;
    wire *self = wire_create();
    hello(self, "a", TW_ROLE_OWNER, 1, 1);
    hello(self, "b", TW_ROLE_OWNER, 2, 1);
    push_one(self, "a", 1, 2, 0, 10);
    assert_int_equal(self->last.reason, TW_NACK_STALE_EPOCH);
    push_one(self, "b", 2, 2, 0, 10);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    wire_destroy(self);
}

static void an_install_after_a_foreign_push_is_a_conflict_and_its_addition_merges(void **state)
{
    (void)state;
    static const uint64_t key = 77, installed = 5;
    wire *self = wire_create();
    hello(self, "a", TW_ROLE_OWNER, 1, 1);
    hello(self, "b", TW_ROLE_PEER, 2, 1);
    uint64_t incarnation = self->last.incarnation, generation = self->last.generation;
    push_one(self, "b", 2, 2, 0, 10);
    tw_frame frame = push_frame(self, incarnation, 1, 2, 10, 20);
    frame.form = TW_FORM_INSTALL;
    frame.generation = generation;
    send_frame(self, "a", frame, &key, &installed, sizeof installed);
    assert_int_equal(self->last.reason, TW_NACK_CONFLICT);
    assert_int_equal(count_of_77(self), 1);
    push_one(self, "a", 1, 3, 10, 20);
    assert_int_equal(count_of_77(self), 2);
    wire_destroy(self);
}

static void a_push_in_parts_applies_with_its_last_part_or_not_at_all(void **state)
{
    (void)state;
    static const uint64_t key = 77, values[2] = {0, 1};
    wire *self = wire_create();
    hello(self, "a", TW_ROLE_OWNER, 1, 1);
    tw_frame frame = push_frame(self, self->last.incarnation, 1, 2, 0, 10);
    frame.flags = TW_FRAME_MORE;
    send_frame(self, "a", frame, &key, values, sizeof values);
    assert_int_equal(count_of_77(self), 0);
    frame.sequence = 3;
    send_frame(self, "a", frame, &key, values, sizeof values - 1);
    assert_int_equal(self->last.reason, TW_NACK_BAD_FRAME);
    frame.sequence = 4;
    frame.flags = 0;
    send_frame(self, "a", frame, &key, values, sizeof values);
    assert_int_equal(self->last.reason, TW_NACK_BAD_FRAME);
    assert_int_equal(count_of_77(self), 0);
    frame.sequence = 5;
    send_frame(self, "a", frame, &key, values, sizeof values);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    assert_int_equal(count_of_77(self), 1);
    wire_destroy(self);
}

/* Pulls some thousand keys; the answer is in self->last. */
static void pull_many(wire *self, const char *peer, uint64_t sender, uint64_t sequence, uint64_t incarnation)
{
    enum { N_KEYS = 4096 };
    static uint64_t key[N_KEYS];
    for (uint64_t i = 0; i < N_KEYS; i++)
        key[i] = i + 1;
    tw_frame frame = {.type = TW_FRAME_PULL,
        .model = self->model,
        .sender = sender,
        .incarnation = incarnation,
        .sequence = sequence,
        .n_keys = N_KEYS};
    send_frame(self, peer, frame, key, "", 0);
}

static void what_peers_that_are_gone_left_behind_does_not_shut_others_out(void **state)
{
    (void)state;
    enum { N_GONE = 2, N_PULLS = 64, N_TRIES = 1000 };
    static const char *const gone[N_GONE] = {"gone", "lost"};
    wire *self = wire_create();
    for (uint64_t p = 0; p < N_GONE; p++) {
        hello(self, gone[p], TW_ROLE_PEER, p + 1, 1);
        uint64_t incarnation = self->last.incarnation;
        for (uint64_t i = 0; i < N_PULLS; i++)
            pull_many(self, gone[p], p + 1, 2 + i, incarnation);
    }
    assert_int_equal(self->last.reason, TW_NACK_OVERLOAD);
    hello(self, "alive", TW_ROLE_PEER, 9, 1);
    uint64_t sequence = 2, incarnation = self->last.incarnation;
    pull_many(self, "alive", 9, sequence++, incarnation);
    assert_int_equal(self->last.reason, TW_NACK_OVERLOAD);
    while (self->last.type != TW_FRAME_PULLED && sequence < N_TRIES)
        pull_many(self, "alive", 9, sequence++, incarnation);
    assert_int_equal(self->last.type, TW_FRAME_PULLED);
    pull_many(self, "gone", 1, 2 + N_PULLS, incarnation);
    assert_int_equal(self->last.reason, TW_NACK_STALE_INCARNATION);
    wire_destroy(self);
}

static uint64_t draw(uint64_t *random)
{
    *random += 0x9e3779b97f4a7c15ull;
    return tw_mix64(*random);
}

/* Inside a valid session, with valid checksums, but counts, handles, marks and lengths that do not belong together. */
static void hostile_in_session(wire *self, uint64_t *random, uint64_t incarnation, uint64_t *sequence)
{
    static const uint64_t keys[8] = {0, 77, 78, UINT64_MAX, 1, 2, 3, 4};
    static const unsigned char payload[256];
    static const tw_frame_type types[] = {TW_FRAME_PUSH, TW_FRAME_PULL, TW_FRAME_PUSH, TW_FRAME_WELCOME, TW_FRAME_NACK};
    uint64_t r = draw(random);
    tw_frame frame = {.type = types[r % 5],
        .model = self->model,
        .sender = 1,
        .incarnation = incarnation,
        .sequence = ++*sequence,
        .form = (tw_value_form)(draw(random) % 3),
        .handle = draw(random) % 100,
        .n_keys = (uint32_t)(draw(random) % 8),
        .n_blocks = (uint32_t)(draw(random) % 3 ? 0 : draw(random)),
        .block_first = (uint32_t)(draw(random) % 2 ? 0 : draw(random)),
        .flags = r & 64 ? TW_FRAME_MORE : 0,
        .n_marks = (uint32_t)(draw(random) % 3),
        .generation = draw(random) % 4,
        .n_learned = draw(random)};
    for (uint32_t i = 0; i < frame.n_marks; i++)
        frame.mark[i] = (tw_frame_mark){9 + draw(random) % 2, 5 + draw(random) % 9, draw(random) % 20};
    /* Never right: a push names mark 5 and above, where every split stands at 0. */
    send_frame(self, "a", frame, r & 128 ? keys + r % 2 : NULL, payload, draw(random) % sizeof payload);
}

static void hostile_frames_change_nothing_and_take_no_memory(void **state)
{
    (void)state;
    wire *self = wire_create();
    uint64_t random = 1, sequence = 1, bytes_early = 0;
    hello(self, "a", TW_ROLE_OWNER, 1, 1);
    uint64_t incarnation = self->last.incarnation;
    for (uint32_t i = 0; i < 100000; i++) {
        if (i % 2) {
            hostile_in_session(self, &random, incarnation, &sequence);
        } else {
            unsigned char noise[300];
            for (size_t j = 0; j < sizeof noise; j++)
                noise[j] = (unsigned char)draw(&random);
            if (i % 4)
                tw_put_u32(noise, TW_FRAME_MAGIC);
            tw_shard_receive(self->shard, noise, draw(&random) % 70, noise, draw(&random) % sizeof noise);
        }
        uint32_t n_sessions;
        if (i == 20000)
            bytes_early = tw_shard_session_bytes(self->shard, &n_sessions);
    }
    uint32_t n_sessions;
    assert_true(tw_shard_session_bytes(self->shard, &n_sessions) <= bytes_early + 65536);
    assert_int_equal(n_sessions, 1);
    tw_params_stats stats;
    tw_table_stats(tw_shard_table(self->shard), &stats);
    assert_int_equal(stats.rows, 0);
    assert_int_equal(stats.events_learned, 0);
    assert_int_equal(tw_table_mark(tw_shard_table(self->shard), 9), 0);
    push_one(self, "a", 1, sequence + 1, 0, 1);
    /* A push in parts may have been left open by the noise; the one after it is whole. */
    self->last.incarnation = incarnation;
    push_one(self, "a", 1, sequence + 2, tw_table_mark(tw_shard_table(self->shard), 9), 2);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    wire_destroy(self);
}

static void acquire(wire *self, const char *peer, uint64_t sender, uint64_t sequence, uint64_t share, uint64_t epoch)
{
    static const uint64_t splits[2] = {9, 10};
    tw_frame frame = {.type = TW_FRAME_ACQUIRE,
        .model = self->model,
        .sender = sender,
        .incarnation = self->last.incarnation,
        .sequence = sequence,
        .handle = share,
        .generation = epoch,
        .n_keys = 2};
    send_frame(self, peer, frame, splits, NULL, 0);
}

static void the_last_owner_of_a_share_is_refused_once_another_has_acquired_it(void **state)
{
    (void)state;
    wire *self = wire_create();
    hello(self, "owner", TW_ROLE_OWNER, 1, 1);
    hello(self, "first", TW_ROLE_PEER, 2, 1);
    hello(self, "second", TW_ROLE_PEER, 3, 1);
    acquire(self, "first", 2, 2, 4, 100);
    assert_int_equal(self->last.type, TW_FRAME_ACQUIRED);
    push_one(self, "first", 2, 3, 0, 5);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    acquire(self, "second", 3, 2, 4, 101);
    assert_int_equal(self->last.type, TW_FRAME_ACQUIRED);
    assert_int_equal(self->last.payload_size, 16);
    assert_int_equal(tw_get_u64(self->last.payload), 5);
    assert_int_equal(tw_get_u64(self->last.payload + 8), 0);
    push_one(self, "first", 2, 4, 5, 7);
    assert_int_equal(self->last.type, TW_FRAME_NACK);
    assert_int_equal(self->last.reason, TW_NACK_STALE_OWNER);
    assert_int_equal(self->last.mark[0].to, 101);
    assert_int_equal(count_of_77(self), 1);
    push_one(self, "second", 3, 3, 5, 7);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    acquire(self, "first", 2, 5, 4, 100);
    assert_int_equal(self->last.reason, TW_NACK_STALE_OWNER);
    acquire(self, "first", 2, 6, 5, 102);
    push_one(self, "first", 2, 7, 7, 9);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    assert_int_equal(count_of_77(self), 3);
    wire_destroy(self);
}

/* What a broken worker names, a coordinator can be above; and what nobody could be above is refused. */
static void an_owner_epoch_out_of_all_order_fences_nobody_for_good(void **state)
{
    (void)state;
    wire *self = wire_create();
    hello(self, "owner", TW_ROLE_OWNER, 1, 1);
    hello(self, "honest", TW_ROLE_PEER, 2, 1);
    hello(self, "broken", TW_ROLE_PEER, 3, 1);
    acquire(self, "honest", 2, 2, 4, 100);
    acquire(self, "broken", 3, 2, 4, TW_LEASE_MAX_EPOCH + 1);
    assert_int_equal(self->last.reason, TW_NACK_BAD_FRAME);
    push_one(self, "honest", 2, 3, 0, 5);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    acquire(self, "broken", 3, 3, 4, TW_LEASE_MAX_EPOCH);
    assert_int_equal(self->last.type, TW_FRAME_ACQUIRED);
    push_one(self, "honest", 2, 4, 5, 7);
    assert_int_equal(self->last.reason, TW_NACK_STALE_OWNER);
    assert_int_equal(self->last.mark[0].to, TW_LEASE_MAX_EPOCH);
    acquire(self, "honest", 2, 5, 4, TW_LEASE_MAX_EPOCH + 1);
    assert_int_equal(self->last.type, TW_FRAME_ACQUIRED);
    push_one(self, "honest", 2, 6, 5, 7);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    wire_destroy(self);
}

static void shares_without_end_and_owners_without_epoch_are_refused(void **state)
{
    (void)state;
    wire *self = wire_create();
    hello(self, "owner", TW_ROLE_OWNER, 1, 1);
    acquire(self, "owner", 1, 2, 0, 0);
    assert_int_equal(self->last.reason, TW_NACK_BAD_FRAME);
    for (uint32_t i = 0; i < TW_LEASE_MAX_SHARES; i++)
        acquire(self, "owner", 1, 3 + i, i, 1);
    assert_int_equal(self->last.type, TW_FRAME_ACQUIRED);
    acquire(self, "owner", 1, 3 + TW_LEASE_MAX_SHARES, TW_LEASE_MAX_SHARES, 1);
    assert_int_equal(self->last.reason, TW_NACK_FAILED);
    acquire(self, "owner", 1, 4 + TW_LEASE_MAX_SHARES, 7, 2);
    assert_int_equal(self->last.type, TW_FRAME_ACQUIRED);
    hello(self, "reader", TW_ROLE_READER, 5, 1);
    acquire(self, "reader", 5, 2, 7, 9);
    assert_int_equal(self->last.reason, TW_NACK_BAD_FRAME);
    wire_destroy(self);
}

static void a_push_of_more_ticks_than_a_batch_has_events_is_refused(void **state)
{
    (void)state;
    static const uint64_t key = 77;
    wire *self = wire_create();
    tw_hello body = counter_hello(TW_ROLE_OWNER);
    body.spec.keep.expire_after = 1000;
    tw_frame greeting = {.type = TW_FRAME_HELLO, .model = self->model, .sender = 1, .sequence = 1};
    assert_int_equal(tw_frame_begin(&self->out, &greeting, NULL, NULL), 0);
    assert_int_equal(tw_hello_encode(&body, &self->out, NULL), 0);
    tw_frame_finish(&self->out, &greeting);
    tw_shard_receive(self->shard, "a", 1, self->out.bytes, self->out.size);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    /* before, after, touch with a row, ticks */
    uint64_t values[4] = {0, 1, 1ull << 63, UINT64_MAX};
    uint64_t incarnation = self->last.incarnation;
    send_frame(self, "a", push_frame(self, incarnation, 1, 2, 0, 5), &key, values, sizeof values);
    assert_int_equal(self->last.type, TW_FRAME_NACK);
    assert_int_equal(self->last.reason, TW_NACK_BAD_FRAME);
    assert_int_equal(tw_table_clock(tw_shard_table(self->shard)), 0);
    values[3] = 5;
    send_frame(self, "a", push_frame(self, incarnation, 1, 3, 0, 5), &key, values, sizeof values);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    assert_int_equal(tw_table_clock(tw_shard_table(self->shard)), 5);
    wire_destroy(self);
}

static void an_epoch_that_nobody_could_follow_is_refused(void **state)
{
    (void)state;
    wire *self = wire_create();
    tw_frame promote = {.type = TW_FRAME_PROMOTE, .sender = 3, .sequence = 1, .handle = UINT64_MAX};
    send_frame(self, "a", promote, NULL, NULL, 0);
    assert_int_equal(self->last.type, TW_FRAME_NACK);
    assert_int_equal(self->last.reason, TW_NACK_BAD_FRAME);
    promote.handle = 4;
    send_frame(self, "a", promote, NULL, NULL, 0);
    assert_int_equal(self->last.type, TW_FRAME_PROMOTED);
    assert_int_equal(self->last.handle, 4);
    wire_destroy(self);
}

/* Pushes of one new key each, until one is refused. */
static uint64_t push_until_refused(wire *self, uint64_t sequence, uint64_t mark)
{
    static const uint64_t values[2] = {0, 1};
    do {
        uint64_t key = (mark + 1) << 50 | 5;
        tw_frame frame = push_frame(self, self->last.incarnation, 1, ++sequence, mark, mark + 1);
        send_frame(self, "owner", frame, &key, values, sizeof values);
        mark++;
    } while (self->last.type == TW_FRAME_ACK && mark < 4000);
    assert_int_equal(self->last.type, TW_FRAME_NACK);
    assert_int_equal(self->last.reason, TW_NACK_FULL);
    return mark - 1;
}

static void rows_above_the_cap_are_refused_as_full_until_the_owner_raises_it(void **state)
{
    (void)state;
    wire *self = wire_create();
    tw_hello owner = counter_hello(TW_ROLE_OWNER), peer = counter_hello(TW_ROLE_PEER);
    owner.spec.max_bytes = 8192;
    send_hello(self, "owner", &owner, 1, 1);
    uint64_t mark = push_until_refused(self, 1, 0);
    assert_in_range(mark, 100, 1000);
    assert_int_equal(tw_table_mark(tw_shard_table(self->shard), 9), mark); /* what was refused left nothing */
    send_hello(self, "peer", &peer, 2, 1);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    assert_int_equal(tw_table_spec_of(tw_shard_table(self->shard))->max_bytes, 8192); /* not for a worker to say */
    owner.spec.max_bytes = 16384;
    send_hello(self, "owner", &owner, 1, 5000);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    assert_true(push_until_refused(self, 5000, mark) > mark + 100);
    wire_destroy(self);
}

static void without_an_owner_the_highest_cap_of_the_workers_holds(void **state)
{
    (void)state;
    wire *self = wire_create();
    tw_hello peer = counter_hello(TW_ROLE_PEER);
    static const uint64_t said[] = {8192, 4096, 16384, 8192, 0, 4096}, held[] = {8192, 8192, 16384, 16384, 0, 0};
    for (uint64_t i = 0; i < 6; i++) {
        peer.spec.max_bytes = said[i];
        send_hello(self, "peer", &peer, 2, 1 + i);
        assert_int_equal(self->last.type, TW_FRAME_WELCOME);
        assert_int_equal(tw_table_spec_of(tw_shard_table(self->shard))->max_bytes, held[i]);
    }
    wire_destroy(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_does_not_decide_what_the_rows_are),
        cmocka_unit_test(only_the_owner_may_drop_or_save_the_rows),
        cmocka_unit_test(a_push_applies_only_where_its_range_starts_at_the_mark),
        cmocka_unit_test(a_frame_that_comes_twice_is_not_looked_at_again),
        cmocka_unit_test(a_new_owner_makes_the_old_ones_pushes_stale),
        cmocka_unit_test(an_install_after_a_foreign_push_is_a_conflict_and_its_addition_merges),
        cmocka_unit_test(a_push_in_parts_applies_with_its_last_part_or_not_at_all),
        cmocka_unit_test(what_peers_that_are_gone_left_behind_does_not_shut_others_out),
        cmocka_unit_test(the_last_owner_of_a_share_is_refused_once_another_has_acquired_it),
        cmocka_unit_test(an_owner_epoch_out_of_all_order_fences_nobody_for_good),
        cmocka_unit_test(shares_without_end_and_owners_without_epoch_are_refused),
        cmocka_unit_test(hostile_frames_change_nothing_and_take_no_memory),
        cmocka_unit_test(a_push_of_more_ticks_than_a_batch_has_events_is_refused),
        cmocka_unit_test(an_epoch_that_nobody_could_follow_is_refused),
        cmocka_unit_test(rows_above_the_cap_are_refused_as_full_until_the_owner_raises_it),
        cmocka_unit_test(without_an_owner_the_highest_cap_of_the_workers_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
