/* Rounds of several workers: a shard that keeps them, spoken to frame by frame, and its cuts at a round. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "data/key.h"
#include "ps/shard/replication.h"
#include "ps/shard/shard_rounds.h"

enum { N = 3, SECOND = 1000000 };

/* --- a shard that keeps rounds ------------------------------------------------------------------------------------ */

typedef struct party {
    tw_shard *shard;
    tw_buffer out;
    uint64_t model, sequence[N + 1];
    tw_frame last[N + 1]; /* answers, without their bytes */
    uint32_t n_answers[N + 1], waiting[4];
    float pulled;
    char refusal[512];
} party;

static void party_emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    party *self = context;
    uint32_t worker;
    assert_int_equal(peer_size, sizeof worker);
    memcpy(&worker, peer, sizeof worker);
    tw_frame *last = &self->last[worker];
    assert_int_equal(tw_frame_decode(bytes, size, last, NULL), TW_STATUS_OK);
    self->n_answers[worker]++;
    if (last->type == TW_FRAME_PULLED)
        memcpy(&self->pulled, last->payload, sizeof self->pulled);
    if (last->type == TW_FRAME_NACK) {
        memcpy(self->refusal, last->payload, last->payload_size);
        self->refusal[last->payload_size] = '\0';
    }
    for (size_t i = 0; last->type == TW_FRAME_WAITING && last->payload_size > 0 && i < 4; i++)
        self->waiting[i] = tw_get_u32(last->payload + i * 4);
    last->keys = last->payload = NULL;
}

static void party_send(
    party *self, uint32_t worker, tw_frame frame, const uint64_t *key, const void *payload, size_t size)
{
    frame.sender = 100 + worker;
    frame.model = self->model;
    frame.sequence = ++self->sequence[worker];
    frame.incarnation = self->last[worker].incarnation;
    assert_int_equal(tw_frame_begin(&self->out, &frame, key, NULL), 0);
    assert_int_equal(tw_buffer_append(&self->out, payload, size, NULL), 0);
    tw_frame_finish(&self->out, &frame);
    tw_shard_receive(self->shard, &worker, sizeof worker, self->out.bytes, self->out.size);
}

static void party_hello_as(party *self, uint32_t worker, tw_role role, tw_round_member who, uint32_t clock)
{
    tw_hello hello = {
        .role = role, .count = 1, .name = "m", .spec = {.kind = TW_TABLE_EXACT, .hash_seed = 1}, .worker = who};
    assert_int_equal(tw_record_add(&hello.spec.schema.row, "w", TW_FIELD_F32, 2, TW_MERGE_ADD, NULL), 0);
    tw_buffer body = {0};
    assert_int_equal(tw_hello_encode(&hello, &body, NULL), 0);
    party_send(self, worker, (tw_frame){.type = TW_FRAME_HELLO, .clock = clock}, NULL, body.bytes, body.size);
    tw_free(body.bytes);
}

static void party_hello_of(party *self, uint32_t worker, tw_round_member who, uint32_t clock)
{
    party_hello_as(self, worker, TW_ROLE_PEER, who, clock);
}

static void party_hello(party *self, uint32_t worker, uint32_t staleness, uint64_t birth)
{
    party_hello_of(self, worker, (tw_round_member){worker, N, staleness, birth}, 0);
}

static party *party_create_within(uint32_t staleness, uint64_t max_session_bytes)
{
    party *self = calloc(1, sizeof *self);
    tw_shard_options options = {
        .count = 1, .incarnation = 42, .max_session_bytes = max_session_bytes, .emit = party_emit, .context = self};
    assert_int_equal(tw_shard_create(&options, &self->shard, NULL), TW_STATUS_OK);
    self->model = tw_hash("m", 1);
    tw_shard_tick(self->shard, SECOND);
    for (uint32_t i = 0; i < N; i++) {
        party_hello(self, i, staleness, 10 + i);
        assert_int_equal(self->last[i].type, TW_FRAME_WELCOME);
        assert_int_equal(self->last[i].clock, staleness != TW_STALENESS_UNLIMITED);
    }
    return self;
}

static party *party_create(uint32_t staleness)
{
    return party_create_within(staleness, 0);
}

static void party_destroy(party *self)
{
    tw_shard_destroy(&self->shard);
    tw_free(self->out.bytes);
    free(self);
}

static const uint64_t some_key[1] = {7};

static void push(party *self, uint32_t worker, uint32_t round, float change)
{
    float values[4] = {0, 0, change, change};
    tw_frame frame = {.type = TW_FRAME_PUSH,
        .clock = round,
        .form = TW_FORM_ADD,
        .n_keys = 1,
        .n_learned = 5,
        .n_marks = 1,
        .mark = {{worker + 1, round - 1, round}}};
    party_send(self, worker, frame, some_key, values, sizeof values);
}

static void pull(party *self, uint32_t worker, uint32_t round)
{
    party_send(self, worker, (tw_frame){.type = TW_FRAME_PULL, .clock = round, .n_keys = 1}, some_key, NULL, 0);
}

static void row_of(party *self, float row[2])
{
    void *found = NULL;
    assert_int_equal(tw_table_rows(tw_shard_table(self->shard), some_key, 1, TW_ACCESS_READ, &found, NULL), 0);
    memcpy(row, found, 2 * sizeof *row);
}

/* 1 + 2^-24 + 2^-24 depends on the order of its sums. */
static float change_of(uint32_t worker)
{
    return worker == 0 ? 1.0f : 0x1p-24f;
}

static void a_bulk_round_ends_with_the_same_bits_whatever_the_order_of_arrival(void **state)
{
    (void)state;
    static const uint32_t order[6][N] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    float first[2] = {0}, row[2];
    for (int i = 0; i < 6; i++) {
        party *self = party_create(0);
        for (uint32_t round = 1; round <= 3; round++) {
            for (uint32_t k = 0; k < N; k++)
                push(self, order[(i + (int)round) % 6][k], round, change_of(order[(i + (int)round) % 6][k]));
        }
        row_of(self, row);
        if (i == 0)
            memcpy(first, row, sizeof first);
        assert_memory_equal(row, first, sizeof row);
        assert_int_equal(tw_table_events_learned(tw_shard_table(self->shard)), 45);
        party_destroy(self);
    }
    assert_true(first[0] == 3.0f);
}

static void rows_marks_and_answers_of_a_bulk_round_come_together(void **state)
{
    (void)state;
    party *self = party_create(0);
    push(self, 2, 1, 1);
    push(self, 1, 1, 1);
    assert_int_equal(self->last[2].type, TW_FRAME_WELCOME);
    assert_int_equal(tw_table_mark(tw_shard_table(self->shard), 3), 0);
    pull(self, 2, 2);
    push(self, 0, 1, 1);
    for (uint64_t split = 1; split <= N; split++)
        assert_int_equal(tw_table_mark(tw_shard_table(self->shard), split), 1);
    assert_int_equal(self->last[0].type, TW_FRAME_ACK);
    assert_int_equal(self->last[1].type, TW_FRAME_ACK);
    assert_int_equal(self->last[2].type, TW_FRAME_PULLED);
    assert_true(self->pulled == 3.0f);
    party_destroy(self);
}

static void a_tick_takes_the_place_of_a_push(void **state)
{
    (void)state;
    party *self = party_create(0);
    push(self, 0, 1, 1);
    push(self, 1, 1, 1);
    party_send(self, 2, (tw_frame){.type = TW_FRAME_CLOCK, .clock = 1}, NULL, NULL, 0);
    assert_int_equal(self->last[2].type, TW_FRAME_ACK);
    assert_int_equal(self->last[0].type, TW_FRAME_ACK);
    assert_int_equal(tw_table_mark(tw_shard_table(self->shard), 1), 1);
    party_destroy(self);
}

static void whoever_waits_is_told_for_whom_and_in_which_rounds(void **state)
{
    (void)state;
    party *self = party_create(1);
    push(self, 0, 1, 1);
    push(self, 1, 1, 1);
    push(self, 0, 2, 1);
    pull(self, 0, 3);
    assert_int_equal(self->last[0].type, TW_FRAME_ACK);
    tw_shard_tick(self->shard, SECOND + 150000);
    assert_int_equal(self->last[0].type, TW_FRAME_ACK);
    tw_shard_tick(self->shard, SECOND + 200000);
    assert_int_equal(self->last[0].type, TW_FRAME_WAITING);
    assert_int_equal(self->waiting[0], 2);
    assert_int_equal(self->waiting[1], 1);
    assert_int_equal(self->waiting[2], N);
    assert_int_equal(self->waiting[3], 3);
    push(self, 2, 1, 1);
    assert_int_equal(self->last[0].type, TW_FRAME_PULLED);
    uint32_t n = self->n_answers[0];
    tw_shard_tick(self->shard, 9ll * SECOND);
    assert_int_equal(self->n_answers[0], n);
    party_destroy(self);
}

static void what_a_dead_worker_left_waiting_is_replaced_by_its_successor(void **state)
{
    (void)state;
    party *self = party_create(0);
    float row[2];
    push(self, 2, 1, 64);
    party_hello(self, 2, 0, 99);
    assert_int_equal(self->last[2].clock, 1);
    push(self, 0, 1, 1);
    push(self, 1, 1, 1);
    row_of(self, row);
    assert_true(row[0] == 0.0f);
    push(self, 2, 1, 2);
    row_of(self, row);
    assert_true(row[0] == 4.0f);
    assert_int_equal(tw_table_mark(tw_shard_table(self->shard), 3), 1);
    party_destroy(self);
}

static void pushes_of_a_worker_behind_the_clock_of_its_place_count_at_once(void **state)
{
    (void)state;
    party *self = party_create(0);
    pull(self, 2, 3);
    party_hello_of(self, 2, (tw_round_member){2, N, 0, 99}, 1);
    assert_int_equal(self->last[2].clock, 3);
    for (uint32_t round = 1; round <= 2; round++) {
        push(self, 2, round, 1);
        assert_int_equal(self->last[2].type, TW_FRAME_ACK);
        assert_int_equal(tw_table_mark(tw_shard_table(self->shard), 3), round);
    }
    push(self, 2, 3, 1); /* the others are in round 1 */
    assert_int_equal(tw_table_mark(tw_shard_table(self->shard), 3), 2);
    party_destroy(self);
}

static void a_finished_worker_lets_the_round_of_the_others_go_on(void **state)
{
    (void)state;
    party *self = party_create(0);
    push(self, 0, 1, 1);
    push(self, 1, 1, 1);
    assert_int_equal(self->last[0].type, TW_FRAME_WELCOME);
    party_send(self, 2, (tw_frame){.type = TW_FRAME_CLOCK, .clock = 1, .handle = 1}, NULL, NULL, 0);
    assert_int_equal(self->last[0].type, TW_FRAME_ACK);
    assert_int_equal(self->last[1].type, TW_FRAME_ACK);
    party_destroy(self);
}

static void workers_without_rounds_are_not_held(void **state)
{
    (void)state;
    party *self = party_create(TW_STALENESS_UNLIMITED);
    push(self, 0, 1, 1);
    assert_int_equal(self->last[0].type, TW_FRAME_ACK);
    pull(self, 0, 50);
    assert_int_equal(self->last[0].type, TW_FRAME_PULLED);
    party_destroy(self);
}

static void what_waits_of_a_larger_crew_is_dropped_when_a_smaller_one_comes(void **state)
{
    (void)state;
    party *self = party_create(1);
    pull(self, 2, 5);
    uint32_t n = self->n_answers[2];
    int64_t later_us = (TW_ROUNDS_SILENT_S + 2ll) * SECOND;
    tw_shard_tick(self->shard, later_us);
    assert_int_equal(self->n_answers[2], ++n);
    assert_int_equal(self->last[2].type, TW_FRAME_WAITING);
    for (uint32_t i = 0; i < 2; i++) {
        party_hello_of(self, i, (tw_round_member){i, 2, 1, 20 + i}, 0);
        assert_int_equal(self->last[i].type, TW_FRAME_WELCOME);
    }
    tw_shard_tick(self->shard, later_us + SECOND);
    assert_int_equal(self->n_answers[2], n);
    pull(self, 0, 2);
    assert_int_equal(self->last[0].type, TW_FRAME_PULLED);
    party_destroy(self);
}

static void rounds_that_cannot_be_counted_are_refused(void **state)
{
    (void)state;
    party *self = party_create(0);
    party_hello_of(self, 0, (tw_round_member){0, N, 0, 30}, UINT32_MAX);
    assert_int_equal(self->last[0].type, TW_FRAME_NACK);
    party_hello_of(self, 0, (tw_round_member){0, N, 0, 30}, 0);
    assert_int_equal(self->last[0].type, TW_FRAME_WELCOME);
    for (uint32_t i = 1; i < N; i++)
        party_send(self, i, (tw_frame){.type = TW_FRAME_CLOCK, .clock = 1, .handle = 1}, NULL, NULL, 0);
    push(self, 0, UINT32_MAX, 1);
    assert_int_equal(self->last[0].type, TW_FRAME_NACK);
    assert_int_equal(self->last[0].reason, TW_NACK_BAD_FRAME);
    party_destroy(self);
}

static void the_last_round_that_can_be_counted_ends_too(void **state)
{
    (void)state;
    party *self = party_create(0);
    float row[2];
    for (uint32_t i = 1; i < N; i++)
        party_send(self, i, (tw_frame){.type = TW_FRAME_CLOCK, .clock = 1, .handle = 1}, NULL, NULL, 0);
    for (uint32_t i = 0; i < 2; i++) {
        float values[4] = {0, 0, 1, 1};
        tw_frame frame = {.type = TW_FRAME_PUSH,
            .clock = TW_ROUNDS_LAST,
            .form = TW_FORM_ADD,
            .n_keys = 1,
            .n_marks = 1,
            .mark = {{1, i, i + 1}}};
        party_send(self, 0, frame, some_key, values, sizeof values);
        assert_int_equal(self->last[0].type, TW_FRAME_ACK);
    }
    row_of(self, row);
    assert_float_equal(row[0], 2, 0);
    party_destroy(self);
}

static void push_many(party *self, uint32_t worker, uint32_t n_keys)
{
    static uint64_t key[4096];
    static float values[4 * 4096];
    for (uint32_t i = 0; i < n_keys; i++)
        key[i] = tw_key_of_index(1, i);
    tw_frame frame = {.type = TW_FRAME_PUSH,
        .clock = 1,
        .form = TW_FORM_ADD,
        .n_keys = n_keys,
        .n_learned = 5,
        .n_marks = 1,
        .mark = {{worker + 1, 0, 1}}};
    party_send(self, worker, frame, key, values, n_keys * 4 * sizeof *values);
}

static void a_bulk_round_that_does_not_fit_is_refused_for_good_with_the_limit(void **state)
{
    (void)state;
    party *self = party_create_within(0, 100000);
    push_many(self, 0, 3000);
    push_many(self, 1, 3000);
    assert_int_equal(self->last[1].type, TW_FRAME_NACK);
    assert_int_equal(self->last[1].reason, TW_NACK_TOO_LARGE);
    assert_non_null(strstr(self->refusal, "the pushes of a round of 3 workers"));
    assert_non_null(strstr(self->refusal, "at most 100000: use a smaller engine.batch"));
    party_destroy(self);
}

static void the_status_says_how_far_workers_are_and_who_is_waited_for(void **state)
{
    (void)state;
    party *self = party_create(1);
    tw_shard_status status, copy = {0};
    tw_buffer bytes = {0};
    push(self, 0, 1, 1);
    push(self, 0, 2, 1);
    push(self, 1, 1, 1);
    pull(self, 0, 3);
    party_send(self, 1, (tw_frame){.type = TW_FRAME_CLOCK, .clock = 2, .handle = 1}, NULL, NULL, 0);
    tw_shard_tick(self->shard, 3 * SECOND);
    tw_shard_status_now(self->shard, &status);
    assert_int_equal(tw_shard_status_encode(&status, &bytes, NULL), TW_STATUS_OK);
    assert_int_equal(tw_shard_status_decode(&copy, bytes.bytes, bytes.size, NULL), TW_STATUS_OK);
    assert_int_equal(copy.figure[TW_STATUS_ROUND_WORKERS], N);
    assert_int_equal(copy.figure[TW_STATUS_ROUND], 1);
    assert_int_equal(copy.figure[TW_STATUS_ROUND_SPREAD], 2);
    assert_int_equal(copy.figure[TW_STATUS_ROUND_WAITING], 1);
    assert_int_equal(copy.figure[TW_STATUS_ROUND_CULPRIT], 2);
    assert_int_equal(copy.figure[TW_STATUS_ROUND_WAIT_MS], 2000);
    assert_int_equal(copy.n_workers, N);
    assert_int_equal(copy.worker[0].state, TW_WORKER_WAITS);
    assert_int_equal(copy.worker[1].state, TW_WORKER_FINISHED);
    assert_int_equal(copy.worker[2].state, TW_WORKER_LEARNS);
    assert_int_equal(copy.worker[0].round, 3);
    tw_shard_status_fini(&status);
    tw_shard_status_fini(&copy);
    tw_free(bytes.bytes);
    party_destroy(self);
}

/* --- one cut ------------------------------------------------------------------------------------------------------ */

enum { OWNER = N };

static party *party_create_owned(uint32_t staleness)
{
    party *self = calloc(1, sizeof *self);
    tw_shard_options options = {.count = 1, .incarnation = 42, .emit = party_emit, .context = self};
    assert_int_equal(tw_shard_create(&options, &self->shard, NULL), TW_STATUS_OK);
    self->model = tw_hash("m", 1);
    tw_shard_tick(self->shard, SECOND);
    party_hello_as(self, OWNER, TW_ROLE_OWNER, (tw_round_member){0}, 0);
    for (uint32_t i = 0; i < N; i++)
        party_hello(self, i, staleness, 10 + i);
    return self;
}

static void barrier(party *self, uint32_t round)
{
    party_send(self, OWNER, (tw_frame){.type = TW_FRAME_BARRIER, .handle = 5, .clock = round}, NULL, NULL, 0);
}

static void a_cut_at_a_round_waits_for_all_and_holds_what_comes_behind_it(void **state)
{
    (void)state;
    uint64_t id = 0;
    for (uint32_t staleness = 0; staleness <= 2; staleness += 2) {
        party *self = party_create_owned(staleness);
        push(self, 1, 1, 1);
        barrier(self, 2);
        push(self, 0, 1, 1);
        assert_false(tw_shard_snapshot_wanted(self->shard, &id));
        push(self, 2, 1, 1);
        for (uint32_t i = 0; i < 2; i++)
            push(self, i, 2, 1);
        pull(self, 1, 3);
        push(self, 1, 3, 1); /* another shard may be past its cut already */
        assert_false(tw_shard_snapshot_wanted(self->shard, &id));
        party_send(self, 2, (tw_frame){.type = TW_FRAME_CLOCK, .clock = 2}, NULL, NULL, 0);
        assert_true(tw_shard_snapshot_wanted(self->shard, &id));
        assert_int_equal(id, 5);
        for (uint64_t split = 1; split <= N; split++)
            assert_int_equal(tw_table_mark(tw_shard_table(self->shard), split), split == 3 ? 1 : 2);
        assert_int_equal(self->last[1].type, TW_FRAME_ACK); /* of its push of round 2 */
        tw_shard_snapshot_started(self->shard, TW_STATUS_OK, NULL);
        assert_int_equal(self->last[OWNER].type, TW_FRAME_ACK);
        if (staleness > 0)
            assert_int_equal(tw_table_mark(tw_shard_table(self->shard), 2), 3);
        push(self, 0, 3, 1);
        push(self, 2, 3, 1);
        assert_int_equal(tw_table_mark(tw_shard_table(self->shard), 2), 3);
        party_destroy(self);
    }
}

static void a_cut_behind_the_fastest_worker_is_refused_and_its_round_told(void **state)
{
    (void)state;
    uint64_t id = 0;
    party *self = party_create_owned(4);
    push(self, 1, 1, 1);
    push(self, 1, 2, 1);
    barrier(self, 2);
    assert_int_equal(self->last[OWNER].reason, TW_NACK_OVERLOAD);
    assert_false(tw_shard_snapshot_wanted(self->shard, &id));
    party_send(self, OWNER, (tw_frame){.type = TW_FRAME_STATS}, NULL, NULL, 0);
    assert_int_equal(self->last[OWNER].clock, 3);
    party_destroy(self);
}

static void a_cut_for_which_a_worker_does_not_come_is_given_up_with_its_name_and_the_others_go_on(void **state)
{
    (void)state;
    uint64_t id = 0;
    party *self = party_create_owned(2);
    barrier(self, 1);
    for (uint32_t i = 0; i < 2; i++)
        push(self, i, 1, 1);
    pull(self, 0, 2);
    tw_shard_tick(self->shard, SECOND + SECOND / 2);
    assert_int_equal(self->last[0].type, TW_FRAME_WAITING);
    assert_int_equal(self->waiting[0], 2);
    assert_int_equal(self->last[OWNER].type, TW_FRAME_WAITING);
    tw_shard_tick(self->shard, 5 * SECOND);
    assert_int_equal(self->last[OWNER].reason, TW_NACK_OVERLOAD);
    assert_string_equal(self->refusal, "worker 2 of 3, in round 1, did not come behind round 1 in 3 s");
    assert_int_equal(self->last[0].type, TW_FRAME_PULLED);
    assert_false(tw_shard_snapshot_wanted(self->shard, &id));
    barrier(self, 2);
    for (uint32_t i = 0; i < 2; i++)
        push(self, i, 2, 1);
    push(self, 2, 1, 1);
    assert_false(tw_shard_snapshot_wanted(self->shard, &id));
    push(self, 2, 2, 1);
    assert_true(tw_shard_snapshot_wanted(self->shard, &id));
    party_destroy(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_at_a_round_waits_for_all_and_holds_what_comes_behind_it),
        cmocka_unit_test(a_cut_behind_the_fastest_worker_is_refused_and_its_round_told),
        cmocka_unit_test(a_cut_for_which_a_worker_does_not_come_is_given_up_with_its_name_and_the_others_go_on),
        cmocka_unit_test(a_bulk_round_ends_with_the_same_bits_whatever_the_order_of_arrival),
        cmocka_unit_test(rows_marks_and_answers_of_a_bulk_round_come_together),
        cmocka_unit_test(a_tick_takes_the_place_of_a_push),
        cmocka_unit_test(whoever_waits_is_told_for_whom_and_in_which_rounds),
        cmocka_unit_test(what_a_dead_worker_left_waiting_is_replaced_by_its_successor),
        cmocka_unit_test(pushes_of_a_worker_behind_the_clock_of_its_place_count_at_once),
        cmocka_unit_test(a_finished_worker_lets_the_round_of_the_others_go_on),
        cmocka_unit_test(workers_without_rounds_are_not_held),
        cmocka_unit_test(what_waits_of_a_larger_crew_is_dropped_when_a_smaller_one_comes),
        cmocka_unit_test(rounds_that_cannot_be_counted_are_refused),
        cmocka_unit_test(the_last_round_that_can_be_counted_ends_too),
        cmocka_unit_test(a_bulk_round_that_does_not_fit_is_refused_for_good_with_the_limit),
        cmocka_unit_test(the_status_says_how_far_workers_are_and_who_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
