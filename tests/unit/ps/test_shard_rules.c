/* A shard whose owner comes with other rules of admission, expiry or eviction. */
#include "support/shard_wire.h"

static void hello_with_rule(
    wire *self, tw_role role, uint64_t sender, uint64_t sequence, uint32_t after, bool takes_other_keep)
{
    tw_hello body = counter_hello(role);
    body.spec.keep.expire_after = after;
    body.takes_other_keep = takes_other_keep;
    send_hello(self, "a", &body, sender, sequence);
}

static uint64_t rule_of(const wire *self)
{
    return tw_table_spec_of(tw_shard_table(self->shard))->keep.expire_after;
}

static void an_owner_may_change_how_long_rows_are_kept(void **state)
{
    (void)state;
    static const uint64_t key = 77, values[4] = {0, 1, 1ull << 63, 5};
    wire *self = wire_create();
    hello_with_rule(self, TW_ROLE_OWNER, 1, 1, 1000, false);
    uint64_t incarnation = self->last.incarnation;
    send_frame(self, "a", push_frame(self, incarnation, 1, 2, 0, 5), &key, values, sizeof values);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    hello_with_rule(self, TW_ROLE_OWNER, 2, 1, 2000, false);
    assert_int_equal(self->last.reason, TW_NACK_SCHEMA);
    for (tw_role role = TW_ROLE_PEER; role <= TW_ROLE_READER; role++) {
        hello_with_rule(self, role, 2, 2, 2000, true);
        assert_int_equal(self->last.reason, TW_NACK_SCHEMA);
    }
    tw_shard_set_busy(self->shard, true);
    hello_with_rule(self, TW_ROLE_OWNER, 2, 4, 2000, true);
    assert_int_equal(self->last.reason, TW_NACK_OVERLOAD);
    tw_shard_set_busy(self->shard, false);
    assert_int_equal(rule_of(self), 1000);
    hello_with_rule(self, TW_ROLE_OWNER, 2, 5, 2000, true);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    assert_true(self->last.incarnation != incarnation);
    assert_int_equal(rule_of(self), 2000);
    assert_int_equal(count_of_77(self), 1);
    assert_int_equal(tw_table_mark(tw_shard_table(self->shard), 9), 5);
    assert_int_equal(tw_table_clock(tw_shard_table(self->shard)), 5);
    /* Said again, nothing is laid out anew. */
    incarnation = self->last.incarnation;
    hello_with_rule(self, TW_ROLE_OWNER, 2, 6, 2000, true);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    assert_true(self->last.incarnation == incarnation);
    hello_with_rule(self, TW_ROLE_OWNER, 2, 7, 0, true);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    assert_int_equal(rule_of(self), 0);
    assert_int_equal(count_of_77(self), 1);
    wire_destroy(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_owner_may_change_how_long_rows_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
