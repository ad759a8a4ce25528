/* A shard whose owner comes with other rules of admission, expiry or eviction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "ps/shard/shard.h"

typedef struct wire {
    tw_shard *shard;
    tw_buffer out;
    tw_frame last;
    uint64_t model;
} wire;

static void wire_emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    wire *self = context;
    (void)peer;
    (void)peer_size;
    assert_int_equal(tw_frame_decode(bytes, size, &self->last, NULL), TW_STATUS_OK);
}

static wire *wire_create(void)
{
    wire *self = calloc(1, sizeof *self);
    tw_shard_options options = {
        .count = 1, .incarnation = 42, .emit = wire_emit, .context = self, .max_session_bytes = 4 << 20};
    assert_int_equal(tw_shard_create(&options, &self->shard, NULL), TW_STATUS_OK);
    self->model = tw_hash("m", 1);
    return self;
}

static void wire_destroy(wire *self)
{
    tw_shard_destroy(&self->shard);
    tw_free(self->out.bytes);
    free(self);
}

static tw_hello counter_hello(tw_role role)
{
    tw_hello hello = {.role = role, .count = 1, .name = "m", .spec = {.kind = TW_TABLE_EXACT, .hash_seed = 1}};
    assert_int_equal(tw_record_add(&hello.spec.schema.row, "n", TW_FIELD_U64, 1, TW_MERGE_ADD, NULL), 0);
    return hello;
}

static void send_frame(
    wire *self, const char *peer, tw_frame frame, const uint64_t *keys, const void *payload, size_t size)
{
    assert_int_equal(tw_frame_begin(&self->out, &frame, keys, NULL), 0);
    assert_int_equal(tw_buffer_append(&self->out, payload, size, NULL), 0);
    tw_frame_finish(&self->out, &frame);
    tw_shard_receive(self->shard, peer, strlen(peer), self->out.bytes, self->out.size);
}

static tw_frame push_frame(
    const wire *self, uint64_t incarnation, uint64_t sender, uint64_t sequence, uint64_t from, uint64_t to)
{
    return (tw_frame){.type = TW_FRAME_PUSH,
        .model = self->model,
        .sender = sender,
        .incarnation = incarnation,
        .sequence = sequence,
        .form = TW_FORM_ADD,
        .n_keys = 1,
        .n_marks = 1,
        .mark = {{9, from, to}}};
}

static uint64_t count_of_77(wire *self)
{
    uint64_t key = 77;
    void *row = NULL;
    assert_int_equal(tw_table_rows(tw_shard_table(self->shard), &key, 1, TW_ACCESS_READ, &row, NULL), 0);
    return *(uint64_t *)row;
}

static void hello_with_rule(
    wire *self, tw_role role, uint64_t sender, uint64_t sequence, uint32_t after, bool takes_other_keep)
{
    tw_hello body = counter_hello(role);
    body.spec.keep.expire_after = after;
    body.takes_other_keep = takes_other_keep;
    tw_frame frame = {.type = TW_FRAME_HELLO, .model = self->model, .sender = sender, .sequence = sequence};
    assert_int_equal(tw_frame_begin(&self->out, &frame, NULL, NULL), 0);
    assert_int_equal(tw_hello_encode(&body, &self->out, NULL), 0);
    tw_frame_finish(&self->out, &frame);
    tw_shard_receive(self->shard, "a", 1, self->out.bytes, self->out.size);
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
