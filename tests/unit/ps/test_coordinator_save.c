/* Named checkpoints: all stand still, are cut, and go on; or nothing happened and somebody is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/coordinator_world.h"

static tw_frame save_request(world *self, uint64_t sender, uint64_t sequence, const char *name, letter *answer)
{
    tw_frame frame = {.type = TW_FRAME_SAVE, .sender = sender, .sequence = sequence}, out = {0};
    assert_int_equal(tw_frame_begin(&self->out, &frame, NULL, NULL), TW_STATUS_OK);
    assert_int_equal(tw_buffer_append(&self->out, name, strlen(name), NULL), TW_STATUS_OK);
    tw_frame_finish(&self->out, &frame);
    uint32_t before = self->n_queue;
    tw_coordinator_receive(self->coordinator, self->now_us, &sender, sizeof sender, self->out.bytes, self->out.size);
    for (uint32_t i = before; i < self->n_queue; i++) {
        if (self->queue[i].to != sender)
            continue;
        *answer = self->queue[i];
        assert_int_equal(tw_frame_decode(answer->bytes, answer->size, &out, NULL), TW_STATUS_OK);
    }
    return out;
}

static void a_named_checkpoint_waits_until_all_stand_still_and_lets_them_go_on_once_it_is_cut(void **state)
{
    (void)state;
    char name[TW_SAVE_NAME_SIZE];
    letter answer;
    tw_grant orphan[4];
    uint32_t n = 4;
    world *self = world_create(11, 3);
    run_for(self, 50 * MS);
    for (int i = 0; i < 3; i++)
        self->worker[i].busy_until_us = self->now_us + 1000000;
    self->worker[2].silent_until_us = self->now_us + 500 * MS;
    tw_frame said = save_request(self, 900, 1, "tuesday", &answer);
    assert_int_equal(said.type, TW_FRAME_SAVED);
    assert_int_equal(said.generation, TW_SAVE_UNDER_WAY);
    run_for(self, 400 * MS);
    assert_false(tw_coordinator_save_wanted(self->coordinator, name, orphan, &n));
    said = save_request(self, 901, 1, "other", &answer);
    assert_int_equal(said.reason, TW_NACK_OVERLOAD);
    run_for(self, 400 * MS);
    n = 4;
    assert_true(tw_coordinator_save_wanted(self->coordinator, name, orphan, &n));
    assert_string_equal(name, "tuesday");
    assert_int_equal(n, 0);
    run_for(self, 1000 * MS);
    for (int i = 0; i < 3; i++)
        assert_int_equal(self->worker[i].state.standing.hold, TW_HOLD_LEARNS);
    tw_coordinator_save_cut(self->coordinator, TW_STATUS_OK, NULL);
    run_for(self, 300 * MS);
    assert_int_not_equal(self->worker[0].state.orders.grant.epoch, 0);
    tw_coordinator_save_done(self->coordinator, TW_STATUS_OK, 17, NULL);
    said = save_request(self, 900, 2, "tuesday", &answer);
    assert_int_equal(said.generation, TW_SAVE_DONE);
    assert_int_equal(said.handle, 17);
    run_to_end(self);
    world_destroy(self);
}

static void a_checkpoint_that_a_worker_holds_up_is_cancelled_and_names_it(void **state)
{
    (void)state;
    letter answer;
    for (int is_dead = 0; is_dead < 2; is_dead++) {
        world *self = world_create(12, 2);
        run_for(self, 50 * MS);
        worker *slow = &self->worker[1];
        slow->busy_until_us = self->now_us + 60000000;
        (void)save_request(self, 900, 1, "held-up", &answer);
        if (is_dead)
            slow->silent_until_us = self->now_us + 60000000;
        slow->is_stuck = true;
        run_for(self, 31000 * MS);
        tw_frame said = save_request(self, 900, 2, "held-up", &answer);
        assert_int_equal(said.generation, TW_SAVE_FAILED);
        answer.bytes[answer.size] = '\0';
        assert_non_null(strstr((char *)answer.bytes + TW_FRAME_HEADER, "worker w1"));
        slow->busy_until_us = slow->silent_until_us = 0;
        slow->is_stuck = false;
        run_to_end(self);
        world_destroy(self);
    }
}

static void the_shares_of_workers_that_were_given_up_are_fenced_before_the_cut(void **state)
{
    (void)state;
    char name[TW_SAVE_NAME_SIZE];
    letter answer;
    tw_grant orphan[4];
    uint32_t n = 4;
    world *self = world_create(13, 2);
    run_for(self, 50 * MS);
    tw_grant lost = self->worker[1].grant;
    self->worker[0].busy_until_us = self->now_us + 9000000;
    self->worker[1].silent_until_us = self->now_us + 9000000;
    run_for(self, 2500 * MS);
    assert_int_equal(figures(self).evictions, 1);
    (void)save_request(self, 900, 1, "fenced", &answer);
    run_for(self, 100 * MS);
    assert_true(tw_coordinator_save_wanted(self->coordinator, name, orphan, &n));
    assert_int_equal(n, 1);
    assert_int_equal(orphan[0].share, lost.share);
    assert_true(orphan[0].epoch > lost.epoch);
    self->fence[lost.share] = orphan[0].epoch;
    tw_coordinator_save_cut(self->coordinator, TW_STATUS_OK, NULL);
    tw_coordinator_save_done(self->coordinator, TW_STATUS_OK, 3, NULL);
    run_to_end(self);
    world_destroy(self);
}

static void workers_do_not_stand_still_for_ever_for_a_cut_that_nobody_makes(void **state)
{
    (void)state;
    letter answer;
    char name[TW_SAVE_NAME_SIZE];
    tw_grant orphan[4];
    uint32_t n = 4;
    world *self = world_create(16, 2);
    run_for(self, 50 * MS);
    (void)save_request(self, 900, 1, "stuck", &answer);
    run_for(self, 2000 * MS);
    assert_true(tw_coordinator_save_wanted(self->coordinator, name, orphan, &n));
    run_for(self, 40000 * MS);
    assert_int_not_equal(self->worker[0].state.orders.quiet, 0);
    run_for(self, 30000 * MS);
    assert_int_equal(save_request(self, 900, 2, "stuck", &answer).generation, TW_SAVE_FAILED);
    run_to_end(self);
    world_destroy(self);
}

static void a_cut_that_is_not_to_be_had_now_is_tried_again_until_the_time_is_up(void **state)
{
    (void)state;
    char name[TW_SAVE_NAME_SIZE];
    letter answer;
    tw_grant orphan[4];
    uint32_t n_tries = 0;
    for (uint32_t is_lucky = 0; is_lucky < 2; is_lucky++) {
        world *self = world_create(14, 2);
        run_for(self, 50 * MS);
        for (int i = 0; i < 2; i++)
            self->worker[i].busy_until_us = self->now_us + 1000000;
        (void)save_request(self, 900, 1, "late", &answer);
        n_tries = 0;
        for (uint32_t turn = 0; turn < 3300 && n_tries < (is_lucky ? 3 : 1000); turn++) {
            uint32_t n = 4;
            run_for(self, 10 * MS);
            if (!tw_coordinator_save_wanted(self->coordinator, name, orphan, &n))
                continue;
            n_tries++;
            bool is_done = is_lucky && n_tries == 3;
            tw_coordinator_save_cut(self->coordinator, is_done ? TW_STATUS_OK : TW_STATUS_BUSY, "shard 1 was away");
            run_for(self, 50 * MS);
            for (int i = 0; i < 2; i++) /* they go on meanwhile */
                assert_int_equal(self->worker[i].state.orders.quiet, 0);
        }
        if (is_lucky)
            tw_coordinator_save_done(self->coordinator, TW_STATUS_OK, 9, NULL);
        tw_frame said = save_request(self, 900, 2, "late", &answer);
        assert_int_equal(said.generation, is_lucky ? TW_SAVE_DONE : TW_SAVE_FAILED);
        answer.bytes[answer.size] = '\0';
        if (!is_lucky)
            assert_string_equal(
                (char *)answer.bytes + TW_FRAME_HEADER, "no moment was found for one cut: shard 1 was away");
        assert_true(is_lucky ? n_tries == 3 : n_tries > 10 && n_tries < 40);
        run_to_end(self);
        world_destroy(self);
    }
}

static void give(world *self, tw_membership *by, const letter *sent)
{
    tw_coordinator_receive(self->coordinator, self->now_us, &by->sender, sizeof by->sender, sent->bytes, sent->size);
    for (; self->n_queue > 0; self->n_queue--) {
        const letter *got = &self->queue[self->n_queue - 1];
        assert_int_equal(tw_membership_take(by, self->now_us, got->bytes, got->size, NULL), TW_STATUS_OK);
    }
}

static letter report(world *self, tw_membership *by, tw_hold hold, tw_grant grant)
{
    letter sent = {.from = by->sender};
    tw_membership_set(by, hold, grant);
    assert_int_equal(tw_membership_report(by, self->now_us, &self->out, NULL), TW_STATUS_OK);
    sent.size = self->out.size;
    memcpy(sent.bytes, self->out.bytes, sent.size);
    give(self, by, &sent);
    return sent;
}

/* While all stand still nobody gets a share: what was said of one before shards lost its rows would count again. */
static void a_report_that_comes_late_changes_nothing(void **state)
{
    (void)state;
    tw_membership one;
    letter answer;
    world *self = world_create(22, 0);
    tw_membership_init(&one, "w", 77, 50, 1, 1, 200 * MS);
    one.standing.shards = 5;
    (void)report(self, &one, TW_HOLD_NOTHING, (tw_grant){0});
    tw_grant grant = one.orders.grant;
    assert_true(grant.epoch != 0);
    letter learns = report(self, &one, TW_HOLD_LEARNS, grant), finished = report(self, &one, TW_HOLD_FINISHED, grant);
    assert_int_equal(figures(self).n_finished, 1);
    assert_int_equal(save_request(self, 900, 1, "x", &answer).type, TW_FRAME_SAVED);
    self->n_queue = 0;
    one.standing.shards = 9;
    (void)report(self, &one, TW_HOLD_NOTHING, (tw_grant){0});
    assert_int_equal(figures(self).n_finished, 0);
    give(self, &one, &learns);
    give(self, &one, &finished);
    assert_int_equal(figures(self).n_finished, 0);
    assert_int_equal(figures(self).n_granted, 0);
    tw_coordinator_save_cut(self->coordinator, TW_STATUS_OK, NULL);
    self->n_queue = 0;
    (void)report(self, &one, TW_HOLD_NOTHING, (tw_grant){0});
    assert_true(one.orders.grant.epoch > grant.epoch);
    tw_membership_fini(&one);
    world_destroy(self);
}

/* What a coordinator says of itself survives its encoding, and what is cut short is refused. */
static void its_status_names_workers_shares_shards_and_the_latest_checkpoint(void **state)
{
    (void)state;
    world *self = world_create(21, 2);
    run_for(self, 50 * MS);
    tw_coordination said = {0}, heard = {0}, cut = {0};
    tw_buffer out = {0};
    uint64_t stranger = 99;
    tw_coordinator_receive(self->coordinator, self->now_us, &stranger, sizeof stranger, "no frame", 8);
    tw_coordinator_tell_connections(self->coordinator, 5);
    assert_int_equal(tw_coordinator_status(self->coordinator, &said, NULL), TW_STATUS_OK);
    assert_int_equal(tw_coordination_encode(&said, &out, NULL), TW_STATUS_OK);
    assert_int_equal(tw_coordination_decode(&heard, out.bytes, out.size, NULL), TW_STATUS_OK);
    assert_memory_equal(heard.figure, said.figure, sizeof said.figure);
    assert_int_equal(heard.figure[TW_COORDINATION_MEMBERS], 2);
    assert_int_equal(heard.figure[TW_COORDINATION_GRANTED], 2);
    assert_int_equal(heard.figure[TW_COORDINATION_CHECKPOINT], TW_STATUS_UNKNOWN);
    assert_memory_equal(heard.nack, said.nack, sizeof said.nack);
    assert_int_equal(heard.nack[TW_NACK_BAD_FRAME], 1);
    assert_int_equal(heard.figure[TW_COORDINATION_REFUSED_CONNECTIONS], 5);
    assert_int_equal(heard.n_shards, 2);
    assert_string_equal(heard.shard[1].address, "ipc:///b");
    assert_int_equal(heard.shard[1].is_served, TW_STATUS_UNKNOWN);
    assert_int_equal(heard.n_members, 2);
    assert_string_equal(heard.member[0].name, "w0");
    assert_int_equal(heard.member[0].grant.epoch, said.member[0].grant.epoch);
    assert_true(heard.member[0].grant.epoch != 0);
    for (size_t size = 0; size < out.size; size++) {
        (void)!tw_coordination_decode(&cut, out.bytes, size, NULL);
        tw_coordination_fini(&cut);
    }
    assert_int_equal(tw_coordination_decode(&cut, out.bytes, out.size - 1, NULL), TW_STATUS_PROTOCOL);
    tw_coordination_fini(&cut);
    tw_coordination_fini(&said);
    tw_coordination_fini(&heard);
    tw_free(out.bytes);
    world_destroy(self);
}

static void a_name_that_could_be_a_path_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "../x", ".hidden", "-x", "a b", "a/b", "a\n"};
    letter answer;
    world *self = world_create(14, 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(save_request(self, 900 + i, 1, bad[i], &answer).reason, TW_NACK_BAD_FRAME);
    assert_int_equal(save_request(self, 800, 1, "v1.2_final-3", &answer).type, TW_FRAME_SAVED);
    world_destroy(self);
}

static void a_name_that_is_taken_is_refused_before_anybody_stands_still(void **state)
{
    (void)state;
    letter answer;
    world *self = world_create(15, 2);
    run_for(self, 50 * MS);
    self->worker[1].busy_until_us = self->now_us + 1000000;
    tw_frame said = save_request(self, 900, 1, "taken", &answer);
    assert_int_equal(said.type, TW_FRAME_NACK);
    assert_int_equal(said.reason, TW_NACK_CONFLICT);
    answer.bytes[answer.size] = '\0';
    assert_string_equal((char *)answer.bytes + TW_FRAME_HEADER, "checkpoint 7 has the name already");
    run_for(self, 300 * MS);
    assert_int_equal(self->worker[0].state.orders.quiet, 0);
    assert_int_equal(save_request(self, 901, 1, "free", &answer).type, TW_FRAME_SAVED); /* nothing is under way */
    answer.bytes[answer.size] = '\0';
    assert_non_null(strstr((char *)answer.bytes + TW_FRAME_HEADER, "to finish its batch"));
    world_destroy(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_named_checkpoint_waits_until_all_stand_still_and_lets_them_go_on_once_it_is_cut),
        cmocka_unit_test(a_checkpoint_that_a_worker_holds_up_is_cancelled_and_names_it),
        cmocka_unit_test(the_shares_of_workers_that_were_given_up_are_fenced_before_the_cut),
        cmocka_unit_test(a_cut_that_is_not_to_be_had_now_is_tried_again_until_the_time_is_up),
        cmocka_unit_test(workers_do_not_stand_still_for_ever_for_a_cut_that_nobody_makes),
        cmocka_unit_test(a_report_that_comes_late_changes_nothing),
        cmocka_unit_test(its_status_names_workers_shares_shards_and_the_latest_checkpoint),
        cmocka_unit_test(a_name_that_could_be_a_path_is_refused),
        cmocka_unit_test(a_name_that_is_taken_is_refused_before_anybody_stands_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
