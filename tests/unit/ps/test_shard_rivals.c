/* Workers that cannot both learn at a shard: of one number, and of two pipelines. */
#include "support/shard_wire.h"

#include "ps/shard/replication.h"
#include "ps/wire/pipeline.h"

static void say_hello_by(wire *self,
    const char *peer,
    uint64_t sender,
    uint64_t sequence,
    tw_round_member who,
    const tw_pipeline_digest *pipeline)
{
    tw_hello body = counter_hello(TW_ROLE_PEER);
    body.worker = who;
    tw_frame frame = {.type = TW_FRAME_HELLO, .model = self->model, .sender = sender, .sequence = sequence};
    tw_pipeline_put(pipeline, &frame);
    assert_int_equal(tw_frame_begin(&self->out, &frame, NULL, NULL), 0);
    assert_int_equal(tw_hello_encode(&body, &self->out, NULL), 0);
    tw_frame_finish(&self->out, &frame);
    tw_shard_receive(self->shard, peer, strlen(peer), self->out.bytes, self->out.size);
}

static void say_hello_as(wire *self, const char *peer, uint64_t sender, uint64_t sequence, tw_round_member who)
{
    static const tw_pipeline_digest unsaid;
    say_hello_by(self, peer, sender, sequence, who, &unsaid);
}

static const tw_round_member first_of_two = {0, 2, TW_STALENESS_UNLIMITED, 1};

static void a_second_process_of_a_live_workers_number_is_refused(void **state)
{
    (void)state;
    wire *self = wire_create();
    tw_shard_tick(self->shard, 1000000);
    say_hello_as(self, "a", 1, 1, first_of_two);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    say_hello_as(self, "b", 2, 1, (tw_round_member){1, 2, TW_STALENESS_UNLIMITED, 1});
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    /* The first goes on pushing while the second knocks. */
    for (uint64_t i = 1; i <= 31; i++) {
        tw_shard_tick(self->shard, 1000000 + (int64_t)i * 100000);
        push_one(self, "a", 1, 1 + i, (i - 1) * 10, i * 10);
        assert_int_equal(self->last.type, TW_FRAME_ACK);
        say_hello_as(self, "c", 3, i, first_of_two);
        assert_int_equal(self->last.type, TW_FRAME_NACK);
        assert_int_equal(self->last.reason, i < 31 ? TW_NACK_OVERLOAD : TW_NACK_DENIED);
    }
    static const char wanted[] = "another process learns as worker 0 of 2";
    assert_true(self->last.payload_size > sizeof wanted);
    assert_memory_equal(self->last.payload, wanted, sizeof wanted - 1);
    /* It dies right after that: the next one is not refused because of what was seen before. */
    say_hello_as(self, "d", 4, 1, first_of_two);
    assert_int_equal(self->last.reason, TW_NACK_OVERLOAD);
    tw_shard_tick(self->shard, 30000000);
    say_hello_as(self, "d", 4, 2, first_of_two);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    wire_destroy(self);
}

static void the_successor_of_a_worker_that_died_is_let_in_when_that_was_silent_for_a_while(void **state)
{
    (void)state;
    wire *self = wire_create();
    tw_shard_tick(self->shard, 1000000);
    say_hello_as(self, "a", 1, 1, first_of_two);
    for (uint64_t i = 1; i < 30; i++) {
        tw_shard_tick(self->shard, 1000000 + (int64_t)i * 100000);
        say_hello_as(self, "c", 3, i, first_of_two);
        assert_int_equal(self->last.reason, TW_NACK_OVERLOAD);
    }
    tw_shard_tick(self->shard, 4000000);
    say_hello_as(self, "c", 3, 30, first_of_two);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    /* Should it live after all, it is told, and cannot come back while the other one works. */
    push_one(self, "a", 1, 2, 0, 10);
    assert_int_equal(self->last.reason, TW_NACK_STALE_INCARNATION);
    say_hello_as(self, "a", 1, 3, first_of_two);
    assert_int_equal(self->last.reason, TW_NACK_OVERLOAD);
    wire_destroy(self);
}

static const tw_round_member second_of_two = {1, 2, TW_STALENESS_UNLIMITED, 1};
static const tw_pipeline_digest first_pipeline = {{1, 2, 3, 4}}, second_pipeline = {{1, 2, 7, 4}};

/* "a" learns by the first pipeline, and `peer` knocks with another until it is told something final. */
static void knock_beside_a_live_worker(wire *self, const char *peer, const tw_pipeline_digest *pipeline)
{
    tw_shard_tick(self->shard, 1000000);
    say_hello_by(self, "a", 1, 1, first_of_two, &first_pipeline);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    for (uint64_t i = 1; i <= 31; i++) {
        tw_shard_tick(self->shard, 1000000 + (int64_t)i * 100000);
        push_one(self, "a", 1, 1 + i, (i - 1) * 10, i * 10);
        assert_int_equal(self->last.type, TW_FRAME_ACK);
        say_hello_by(self, peer, 3, i, second_of_two, pipeline);
        if (self->last.type == TW_FRAME_WELCOME)
            return;
        assert_int_equal(self->last.reason, i < 31 ? TW_NACK_OVERLOAD : TW_NACK_PIPELINE);
    }
}

static void a_worker_of_another_pipeline_is_refused_while_one_of_the_first_lives(void **state)
{
    (void)state;
    wire *self = wire_create();
    knock_beside_a_live_worker(self, "c", &second_pipeline);
    char text[512] = "";
    assert_int_equal(self->last.reason, TW_NACK_PIPELINE);
    assert_true(self->last.payload_size < sizeof text);
    memcpy(text, self->last.payload, self->last.payload_size);
    assert_string_equal(text,
        "the workers that learn here have another pipeline, which differs in model.params or model.loss "
        "(theirs 00000003, this one's 00000007): start all with the same one");
    wire_destroy(self);
}

static void workers_of_one_pipeline_and_those_that_do_not_say_learn_together(void **state)
{
    (void)state;
    static const tw_pipeline_digest unsaid;
    const tw_pipeline_digest *const by[] = {&first_pipeline, &unsaid};
    for (size_t i = 0; i < 2; i++) {
        wire *self = wire_create();
        knock_beside_a_live_worker(self, "c", by[i]);
        assert_int_equal(self->last.type, TW_FRAME_WELCOME);
        wire_destroy(self);
    }
}

static void another_pipeline_is_taken_once_the_workers_of_the_first_are_gone(void **state)
{
    (void)state;
    wire *self = wire_create();
    tw_shard_tick(self->shard, 1000000);
    say_hello_by(self, "a", 1, 1, first_of_two, &first_pipeline);
    tw_shard_tick(self->shard, 4000000);
    say_hello_by(self, "c", 3, 1, second_of_two, &second_pipeline);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    /* Should one of them live after all, it is told, and cannot come back while the other one works. */
    push_one(self, "a", 1, 2, 0, 10);
    assert_int_equal(self->last.reason, TW_NACK_STALE_INCARNATION);
    say_hello_by(self, "a", 1, 3, first_of_two, &first_pipeline);
    assert_int_equal(self->last.reason, TW_NACK_OVERLOAD);
    wire_destroy(self);
}

static void whoever_learned_for_an_owner_before_does_not_decide_the_pipeline(void **state)
{
    (void)state;
    wire *self = wire_create();
    tw_shard_tick(self->shard, 1000000);
    say_hello_by(self, "a", 1, 1, first_of_two, &first_pipeline);
    hello(self, "o", TW_ROLE_OWNER, 2, 1);
    say_hello_by(self, "c", 3, 1, second_of_two, &second_pipeline);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    say_hello_by(self, "a", 1, 2, first_of_two, &first_pipeline);
    assert_int_equal(self->last.reason, TW_NACK_OVERLOAD);
    wire_destroy(self);
}

static void a_worker_that_has_finished_gives_its_number_back_at_once(void **state)
{
    (void)state;
    wire *self = wire_create();
    tw_shard_tick(self->shard, 1000000);
    say_hello_as(self, "a", 1, 1, first_of_two);
    tw_frame farewell = {.type = TW_FRAME_CLOCK,
        .model = self->model,
        .incarnation = self->last.incarnation,
        .sender = 1,
        .epoch = 0,
        .sequence = 2,
        .clock = 1,
        .handle = 1};
    send_frame(self, "a", farewell, NULL, "", 0);
    assert_int_equal(self->last.type, TW_FRAME_ACK);
    say_hello_as(self, "c", 3, 1, first_of_two);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    /* Who has no number cannot give one back. */
    farewell.sequence = 3;
    send_frame(self, "a", farewell, NULL, "", 0);
    assert_int_equal(self->last.reason, TW_NACK_BAD_FRAME);
    wire_destroy(self);
}

static void a_worker_that_comes_back_over_another_connection_is_its_own_successor(void **state)
{
    (void)state;
    wire *self = wire_create();
    tw_shard_tick(self->shard, 1000000);
    say_hello_as(self, "a", 1, 1, first_of_two);
    say_hello_as(self, "again", 1, 2, first_of_two);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
    wire_destroy(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_process_of_a_live_workers_number_is_refused),
        cmocka_unit_test(the_successor_of_a_worker_that_died_is_let_in_when_that_was_silent_for_a_while),
        cmocka_unit_test(a_worker_of_another_pipeline_is_refused_while_one_of_the_first_lives),
        cmocka_unit_test(workers_of_one_pipeline_and_those_that_do_not_say_learn_together),
        cmocka_unit_test(another_pipeline_is_taken_once_the_workers_of_the_first_are_gone),
        cmocka_unit_test(whoever_learned_for_an_owner_before_does_not_decide_the_pipeline),
        cmocka_unit_test(a_worker_that_has_finished_gives_its_number_back_at_once),
        cmocka_unit_test(a_worker_that_comes_back_over_another_connection_is_its_own_successor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
