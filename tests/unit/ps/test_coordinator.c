/* What workers are given, what becomes of the shares of those that die, how a coordinator that was started again finds
 * its way. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/fault.h"
#include "ps/wire/lease.h"
#include "support/coordinator_world.h"

static void every_share_is_given_once_a_pass_and_the_workers_leave(void **state)
{
    (void)state;
    world *self = world_create(1, 3);
    run_to_end(self);
    assert_int_equal(self->n_grants, SHARES * PASSES);
    assert_int_equal(figures(self).evictions, 0);
    assert_int_equal(self->n_fenced, 0);
    world_destroy(self);
}

static void the_share_of_a_worker_that_falls_silent_goes_to_another_with_a_higher_epoch(void **state)
{
    (void)state;
    world *self = world_create(2, 2);
    while (self->worker[0].state.standing.hold != TW_HOLD_LEARNS)
        step(self);
    tw_grant lost = self->worker[0].grant;
    self->worker[0].silent_until_us = self->now_us + 6000000;
    run_for(self, 5900000);
    assert_int_equal(figures(self).evictions, 1);
    assert_non_null(strstr(self->note, "worker w0 has fallen silent"));
    assert_true(self->fence[lost.share] > lost.epoch);
    run_to_end(self);
    assert_true(self->n_fenced > 0 || self->worker[0].grant.epoch != lost.epoch);
    world_destroy(self);
}

static void a_worker_that_is_started_again_takes_its_own_place(void **state)
{
    (void)state;
    world *self = world_create(3, 2);
    run_for(self, 100 * MS);
    assert_int_equal(figures(self).n_members, 2);
    start_worker(self, 0);
    run_for(self, 50 * MS);
    assert_int_equal(figures(self).n_members, 2);
    assert_int_equal(figures(self).evictions, 0);
    assert_string_not_equal(self->worker[0].state.delay, "");
    run_for(self, 900 * MS);
    assert_int_equal(figures(self).n_members, 2);
    assert_int_equal(figures(self).evictions, 1);
    assert_string_equal(self->worker[0].state.delay, "");
    run_to_end(self);
    world_destroy(self);
}

static void of_two_live_workers_of_a_name_the_second_is_refused(void **state)
{
    (void)state;
    world *self = world_create(13, 2);
    run_for(self, 100 * MS);
    start_worker(self, 2);
    self->n_workers = 3;
    memcpy(self->worker[2].state.standing.name, "w0", 3);
    self->worker[0].is_stuck = self->worker[1].is_stuck = true;
    run_for(self, 1500 * MS);
    assert_string_equal(self->worker[2].state.refusal, "");
    assert_string_not_equal(self->worker[2].state.delay, "");
    run_for(self, 1500 * MS);
    assert_non_null(strstr(self->worker[2].state.refusal, "w0"));
    assert_int_equal(figures(self).evictions, 0);
    assert_int_equal(figures(self).n_members, 2);
    self->worker[2].is_alive = self->worker[0].is_stuck = self->worker[1].is_stuck = false;
    run_to_end(self);
    world_destroy(self);
}

/* Whatever a member says, the epochs of the others' grants stay near the time. */
static void an_owner_epoch_that_nobody_gave_does_not_drive_those_of_others(void **state)
{
    (void)state;
    world *self = world_create(14, 3);
    run_for(self, 100 * MS);
    self->worker[2].state.standing.highest_epoch = (uint64_t)1 << 61;
    self->worker[1].state.incarnation = (uint64_t)1 << 61;
    run_for(self, 1000 * MS);
    assert_non_null(strstr(self->note, "worker w2 names owner epoch 2305843009213693952"));
    for (int i = 0; i < 3; i++)
        assert_true(self->worker[i].grant.epoch < self->incarnation + 1000);
    tw_coordinator_forget(self->coordinator, self->now_us, "w1");
    start_worker(self, 1);
    run_to_end(self);
    assert_int_equal(self->n_fenced, 0);
    world_destroy(self);
}

static void above_every_owner_epoch_that_a_shard_takes_there_is_a_next_one(void **state)
{
    (void)state;
    world *self = world_create(15, 2);
    run_for(self, 100 * MS);
    self->worker[1].state.standing.highest_epoch = TW_LEASE_MAX_EPOCH;
    run_for(self, 1500 * MS);
    tw_coordinator_forget(self->coordinator, self->now_us, "w0");
    start_worker(self, 0);
    run_for(self, 1000 * MS);
    assert_true(self->worker[0].grant.epoch > TW_LEASE_MAX_EPOCH);
    assert_true(self->worker[0].grant.epoch < TW_LEASE_MAX_EPOCH + TW_LEASE_STEP);
    run_to_end(self);
    world_destroy(self);
}

static void when_another_process_serves_a_shard_workers_hear_where_and_every_share_is_looked_at_again(void **state)
{
    (void)state;
    world *self = world_create(15, 2);
    run_for(self, 700 * MS);
    uint32_t version = self->worker[0].state.standing.map_version;
    assert_int_equal(self->worker[0].state.shard_epoch[1], 0);
    assert_true(figures(self).n_finished == 0 && figures(self).grants > 2);
    assert_int_equal(tw_coordinator_set_shard(self->coordinator, 1, "ipc:///c|ipc:///b", 3, NULL), TW_STATUS_OK);
    run_for(self, 20 * MS);
    for (int i = 0; i < 2; i++) {
        assert_int_not_equal(self->worker[i].state.standing.map_version, version);
        assert_string_equal(self->worker[i].state.address[1], "ipc:///c|ipc:///b");
        assert_int_equal(self->worker[i].state.shard_epoch[1], 3);
    }
    assert_int_equal(figures(self).resets, 1);
    assert_non_null(strstr(self->note, "another process serves a shard"));
    run_to_end(self);
    world_destroy(self);
}

static void a_worker_that_is_known_to_be_gone_loses_its_share_at_once(void **state)
{
    (void)state;
    world *self = world_create(4, 1);
    run_for(self, 50 * MS);
    assert_int_equal(figures(self).n_granted, 1);
    tw_coordinator_forget(self->coordinator, self->now_us, "w0");
    assert_int_equal(figures(self).n_members, 0);
    assert_int_equal(figures(self).n_granted, 0);
    tw_coordinator_forget(self->coordinator, self->now_us, "nobody");
    world_destroy(self);
}

static void a_coordinator_that_was_started_again_leaves_every_share_to_its_holder(void **state)
{
    (void)state;
    world *self = world_create(5, 3);
    run_for(self, 150 * MS);
    tw_grant held[3];
    for (int i = 0; i < 3; i++) {
        self->worker[i].busy_until_us = self->now_us + 10000000;
        held[i] = self->worker[i].grant;
    }
    run_for(self, 50 * MS);
    self->incarnation += 1000000;
    start_coordinator(self, 2000000);
    run_for(self, 1000000);
    assert_int_equal(figures(self).n_granted, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(self->worker[i].grant.epoch, held[i].epoch);
        assert_int_equal(self->worker[i].state.standing.hold, TW_HOLD_LEARNS);
        self->worker[i].busy_until_us = 0;
    }
    run_to_end(self);
    assert_int_equal(self->n_fenced, 0);
    world_destroy(self);
}

/* Its clock was set back: nevertheless its orders count and its epochs ascend. */
static void a_coordinator_of_an_earlier_time_is_heard_and_numbers_upwards(void **state)
{
    (void)state;
    world *self = world_create(6, 2);
    run_for(self, 300 * MS);
    self->incarnation -= 500000;
    start_coordinator(self, 0);
    run_to_end(self);
    world_destroy(self);
}

static void while_the_coordinator_is_away_workers_keep_what_they_hold(void **state)
{
    (void)state;
    world *self = world_create(7, 2);
    run_for(self, 50 * MS);
    tw_coordinator_destroy(&self->coordinator);
    run_for(self, 5000000);
    for (int i = 0; i < 2; i++)
        assert_int_equal(self->worker[i].state.standing.hold, TW_HOLD_FINISHED);
    self->incarnation++;
    start_coordinator(self, 100 * MS);
    run_to_end(self);
    world_destroy(self);
}

static void after_a_shard_was_started_again_every_share_is_looked_at_again(void **state)
{
    (void)state;
    world *self = world_create(8, 2);
    while (figures(self).n_finished < SHARES / 2)
        step(self);
    memset(self->is_learned, 0, sizeof self->is_learned);
    self->shards = 9;
    run_to_end(self);
    assert_int_equal(figures(self).resets, 1);
    world_destroy(self);
}

/* The standby of shard 1 has taken over, and the coordinator was started again since: a worker that has not heard of it
 * goes on with the one before. */
static void a_worker_on_a_shard_that_was_taken_over_from_is_not_told_that_all_is_over(void **state)
{
    (void)state;
    world *self = world_create(16, 2);
    self->is_watching = self->is_heard = true;
    self->worker[0].shards = shards_of(5, 6);
    self->worker[1].is_alive = false;
    self->incarnation += 1000000;
    start_coordinator(self, 0);
    run_for(self, 10000 * MS);
    assert_int_equal(figures(self).n_finished, 0); /* nobody knows who serves */
    self->found[0] = 5;
    self->found[1] = 7;
    self->is_settled = true;
    run_for(self, 10000 * MS);
    assert_int_equal(figures(self).n_finished, 0);
    assert_true(self->worker[0].is_alive && figures(self).grants > SHARES * PASSES);
    assert_non_null(strstr(self->note, "worker w0 has finished a share on shards that are not those which serve"));
    uint32_t n_notes = self->n_notes;
    run_for(self, 3000 * MS);
    assert_int_equal(self->n_notes, n_notes);
    memset(self->is_learned, 0, sizeof self->is_learned);
    self->worker[0].shards = shards_of(5, 7);
    self->worker[0].epochs = 1;
    run_to_end(self);
    assert_int_equal(figures(self).n_finished, SHARES);
    world_destroy(self);
}

/* It cannot judge: what workers say counts, as if nobody watched. */
static void shards_that_the_coordinator_never_heard_of_are_taken_from_the_workers(void **state)
{
    (void)state;
    world *self = world_create(17, 2);
    self->is_watching = self->is_settled = true;
    start_coordinator(self, 0);
    run_to_end(self);
    world_destroy(self);
}

/* Whoever has shards of a later epoch knows better, also where these were named first. */
static void of_workers_on_different_shards_those_of_the_later_epoch_count(void **state)
{
    (void)state;
    world *self = world_create(18, 2);
    self->worker[0].shards = 21;
    self->worker[0].epochs = 1;
    self->worker[1].shards = 23;
    while (self->worker[0].state.standing.hold != TW_HOLD_LEARNS)
        step(self);
    self->worker[0].is_stuck = true;
    run_for(self, 50 * MS);
    run_for(self, 20000 * MS);
    assert_int_equal(figures(self).n_finished, 0);
    assert_true(self->worker[1].is_alive);
    memset(self->is_learned, 0, sizeof self->is_learned);
    self->worker[0].is_stuck = false;
    self->worker[1].shards = 21;
    self->worker[1].epochs = 1;
    run_to_end(self);
    assert_int_equal(figures(self).n_finished, SHARES);
    world_destroy(self);
}

static void a_return_to_shards_that_were_named_before_opens_every_share_again(void **state)
{
    (void)state;
    world *self = world_create(19, 1);
    const uint64_t shards[] = {31, 33, 31};
    for (uint32_t i = 0; i < 3; i++) {
        self->shards = shards[i];
        uint64_t grants = figures(self).grants;
        while (figures(self).grants < grants + SHARES / 2)
            step(self);
        memset(self->is_learned, 0, sizeof self->is_learned);
    }
    assert_int_equal(figures(self).resets, 2);
    self->shards = 33;
    run_to_end(self);
    assert_int_equal(figures(self).resets, 3);
    world_destroy(self);
}

static void a_coordinator_that_stood_still_itself_takes_nobody_for_dead(void **state)
{
    (void)state;
    world *self = world_create(12, 3);
    run_for(self, 500 * MS);
    self->now_us += 20000 * MS;
    /* It wakes up, and what came meanwhile has not reached it yet. */
    tw_coordinator_tick(self->coordinator, self->now_us);
    assert_int_equal(self->n_notes, 0);
    for (uint32_t i = 0; i < self->n_workers; i++)
        self->worker[i].is_alive = false;
    for (uint32_t i = 0; i < 19; i++)
        tw_coordinator_tick(self->coordinator, self->now_us += 100 * MS);
    assert_int_equal(figures(self).n_members, 3);
    for (uint32_t i = 0; i < 5; i++)
        tw_coordinator_tick(self->coordinator, self->now_us += 100 * MS);
    assert_int_equal(figures(self).n_members, 0);
    world_destroy(self);
}

static void a_worker_of_another_job_is_refused(void **state)
{
    (void)state;
    world *self = world_create(9, 2);
    self->worker[1].state.standing.passes = 1;
    run_for(self, 300 * MS);
    assert_string_equal(self->worker[0].state.refusal, "");
    assert_non_null(strstr(self->worker[1].state.refusal, "passes"));
    assert_int_equal(figures(self).n_members, 1);
    world_destroy(self);
}

static void a_worker_of_another_pipeline_is_refused_and_one_that_does_not_say_is_not(void **state)
{
    (void)state;
    world *self = world_create(3, 3);
    self->worker[0].state.standing.job = 11;
    self->worker[1].state.standing.job = 12;
    run_for(self, 300 * MS);
    assert_non_null(strstr(self->worker[1].state.refusal, "another pipeline"));
    assert_string_equal(self->worker[0].state.refusal, "");
    assert_string_equal(self->worker[2].state.refusal, "");
    assert_true(self->worker[2].state.n_shards > 0);
    world_destroy(self);
}

static void lost_repeated_and_late_messages_deaths_and_restarts_lose_no_share(void **state)
{
    (void)state;
    uint32_t n_fenced = 0, n_evictions = 0;
    for (uint64_t seed = 100; seed < 1100; seed++) {
        world *self = world_create(seed, 1 + seed % MAX_WORKERS);
        self->drop = 40;
        self->duplicate = 40;
        for (uint32_t i = 0; i < 600; i++) {
            worker *one = &self->worker[draw(self) % self->n_workers];
            uint64_t what = draw(self) % 400;
            if (what < 4 && one->is_alive)
                one->silent_until_us = self->now_us + (int64_t)(draw(self) % 5000) * MS;
            else if (what < 8)
                start_worker(self, (uint32_t)(one - self->worker));
            else if (what == 8) {
                self->incarnation += draw(self) % 3 ? 100000 : (uint64_t)-50000;
                start_coordinator(self, (int64_t)(draw(self) % 2) * 2000 * MS);
            } else if (what == 9 && is_anybody_working(self)) {
                uint64_t lost = draw(self) % SHARES;
                self->is_learned[lost][0] = self->is_learned[lost][1] = false;
                self->fence[lost] = 0;
                self->shards++;
            }
            step(self);
        }
        run_to_end(self);
        n_fenced += self->n_fenced;
        n_evictions += (uint32_t)figures(self).evictions;
        world_destroy(self);
    }
    assert_true(n_fenced > 10);
    assert_true(n_evictions > 100);
}

static void what_is_malformed_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    world *self = world_create(10, 1);
    unsigned char bytes[1024];
    uint64_t peer = 99;
    run_for(self, 50 * MS);
    assert_int_equal(tw_membership_report(&self->worker[0].state, self->now_us, &self->out, NULL), TW_STATUS_OK);
    size_t size = self->out.size;
    for (uint32_t i = 0; i < 20000; i++) {
        memcpy(bytes, self->out.bytes, size);
        size_t cut = draw(self) % 4 == 0 ? draw(self) % size : size;
        bytes[draw(self) % size] ^= (unsigned char)(1 + draw(self) % 255);
        if (cut == size && draw(self) % 2 == 0) {
            /* A frame that is whole, of a worker that means harm. */
            tw_frame frame = {.type = TW_FRAME_REPORT, .model = 77, .sender = 5000 + i, .sequence = 1};
            assert_int_equal(tw_frame_begin(&self->out, &frame, NULL, NULL), TW_STATUS_OK);
            assert_int_equal(tw_buffer_append(&self->out, bytes + TW_FRAME_HEADER, size - TW_FRAME_HEADER, NULL), 0);
            tw_frame_finish(&self->out, &frame);
            memcpy(bytes, self->out.bytes, size);
        }
        tw_coordinator_receive(self->coordinator, self->now_us, &peer, sizeof peer, bytes, cut);
        self->n_queue = 0;
        assert_int_equal(tw_membership_take(&self->worker[0].state, self->now_us, bytes, cut, NULL), TW_STATUS_OK);
    }
    assert_true(figures(self).n_members <= TW_MAX_MEMBERS);
    world_destroy(self);
}

/* A REPORT of a worker of its own, in self->out. */
static void make_report(world *self, tw_membership *by)
{
    tw_membership_init(by, "reader", 77, 4711, SHARES, PASSES, 200 * MS);
    assert_int_equal(tw_membership_report(by, self->now_us, &self->out, NULL), TW_STATUS_OK);
}

static void take_from_reader(world *self, tw_frame_type type)
{
    uint64_t peer = 4711;
    tw_frame frame = {.type = type, .model = 77, .sender = peer, .sequence = 1};
    if (type != TW_FRAME_REPORT) {
        assert_int_equal(tw_frame_begin(&self->out, &frame, NULL, NULL), TW_STATUS_OK);
        tw_frame_finish(&self->out, &frame);
    }
    self->n_queue = 0;
    tw_coordinator_receive_from(
        self->coordinator, self->now_us, true, &peer, sizeof peer, self->out.bytes, self->out.size);
}

static void a_key_that_may_only_read_may_ask_for_the_status_and_is_told_that_it_may_not_work(void **state)
{
    (void)state;
    world *self = world_create(13, 1);
    tw_membership reader;
    const tw_refusals *refusals = tw_coordinator_refusals(self->coordinator);
    run_for(self, 50 * MS);
    make_report(self, &reader);
    take_from_reader(self, TW_FRAME_REPORT);
    assert_int_equal(figures(self).n_members, 1);
    assert_int_equal(self->n_queue, 1);
    assert_int_equal(
        tw_membership_take(&reader, self->now_us, self->queue[0].bytes, self->queue[0].size, NULL), TW_STATUS_OK);
    assert_non_null(strstr(reader.refusal, "does not allow this role"));
    take_from_reader(self, TW_FRAME_SAVE);
    assert_int_equal(refusals->nack[TW_NACK_DENIED], 2);
    take_from_reader(self, TW_FRAME_STATUS);
    assert_int_equal(self->n_queue, 1);
    assert_int_equal(refusals->nack[TW_NACK_DENIED], 2);
    assert_int_equal(tw_refusals_hostile(refusals), 2);
    tw_membership_fini(&reader);
    world_destroy(self);
}

static void what_is_refused_is_counted_by_its_reason_and_shown(void **state)
{
    (void)state;
    world *self = world_create(14, 1);
    const tw_refusals *refusals = tw_coordinator_refusals(self->coordinator);
    unsigned char peer[TW_PEER_SIZE + 1] = {9};
    run_for(self, 50 * MS);
    assert_int_equal(tw_refusals_hostile(refusals), 0);
    tw_coordinator_receive(self->coordinator, self->now_us, peer, 8, "no frame", 8);
    assert_int_equal(refusals->nack[TW_NACK_BAD_FRAME], 1);
    tw_frame frame = {.type = TW_FRAME_PULL, .model = 77, .sender = 3, .sequence = 1};
    assert_int_equal(tw_frame_begin(&self->out, &frame, NULL, NULL), TW_STATUS_OK);
    tw_frame_finish(&self->out, &frame);
    tw_coordinator_receive(self->coordinator, self->now_us, peer, 8, self->out.bytes, self->out.size);
    assert_int_equal(refusals->nack[TW_NACK_UNKNOWN_TYPE], 1);
    tw_coordinator_receive(self->coordinator, self->now_us, peer, sizeof peer, self->out.bytes, self->out.size);
    assert_int_equal(refusals->n_formless, 1);
    assert_int_equal(tw_membership_report(&self->worker[0].state, self->now_us, &self->out, NULL), TW_STATUS_OK);
    for (int i = 0; i < 3; i++)
        tw_coordinator_receive(self->coordinator, self->now_us, peer, 8, self->out.bytes, self->out.size);
    assert_int_equal(refusals->n_repeated, 2);
    assert_int_equal(tw_refusals_hostile(refusals), 3);
    tw_coordination said = {0};
    assert_int_equal(tw_coordinator_status(self->coordinator, &said, NULL), TW_STATUS_OK);
    assert_memory_equal(said.nack, refusals->nack, sizeof said.nack);
    assert_int_equal(said.figure[TW_COORDINATION_FORMLESS], 1);
    assert_int_equal(said.figure[TW_COORDINATION_REPEATED], 2);
    assert_int_equal(said.figure[TW_COORDINATION_REFUSED_CONNECTIONS], TW_STATUS_UNKNOWN);
    tw_coordination_fini(&said);
    world_destroy(self);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 60; n++) {
        static const char *const address[1] = {"ipc:///a"};
        world self = {.random = n, .queue = calloc(QUEUE, sizeof(letter)), .n_workers = 1};
        tw_coordinator_options options = {
            .incarnation = 5, .address = address, .n_shards = 1, .emit = world_emit, .context = &self};
        start_worker(&self, 0);
        tw_fault_arm(TW_FAULT_ALLOC, n, ENOMEM, false);
        tw_status status = tw_coordinator_create(&options, 0, &self.coordinator, NULL);
        assert_true(status == TW_STATUS_OK || status == TW_STATUS_NO_MEMORY);
        tw_buffer out = {0};
        for (int i = 0; i < 4 && self.coordinator != NULL; i++) {
            uint64_t peer = 1;
            if (tw_membership_report(&self.worker[0].state, i * 300 * MS, &out, NULL) == TW_STATUS_OK)
                tw_coordinator_receive(self.coordinator, i * 300 * MS, &peer, sizeof peer, out.bytes, out.size);
            for (; self.n_queue > 0; self.n_queue--)
                (void)!tw_membership_take(&self.worker[0].state, 0, self.queue[self.n_queue - 1].bytes,
                    self.queue[self.n_queue - 1].size, NULL);
        }
        tw_fault_disarm(TW_FAULT_ALLOC);
        if (self.coordinator != NULL)
            assert_true(figures(&self).n_members <= 1);
        tw_free(out.bytes);
        tw_coordinator_destroy(&self.coordinator);
        tw_membership_fini(&self.worker[0].state);
        free(self.queue);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_share_is_given_once_a_pass_and_the_workers_leave),
        cmocka_unit_test(the_share_of_a_worker_that_falls_silent_goes_to_another_with_a_higher_epoch),
        cmocka_unit_test(a_worker_that_is_started_again_takes_its_own_place),
        cmocka_unit_test(of_two_live_workers_of_a_name_the_second_is_refused),
        cmocka_unit_test(an_owner_epoch_that_nobody_gave_does_not_drive_those_of_others),
        cmocka_unit_test(above_every_owner_epoch_that_a_shard_takes_there_is_a_next_one),
        cmocka_unit_test(when_another_process_serves_a_shard_workers_hear_where_and_every_share_is_looked_at_again),
        cmocka_unit_test(a_worker_that_is_known_to_be_gone_loses_its_share_at_once),
        cmocka_unit_test(a_coordinator_that_was_started_again_leaves_every_share_to_its_holder),
        cmocka_unit_test(a_coordinator_of_an_earlier_time_is_heard_and_numbers_upwards),
        cmocka_unit_test(while_the_coordinator_is_away_workers_keep_what_they_hold),
        cmocka_unit_test(after_a_shard_was_started_again_every_share_is_looked_at_again),
        cmocka_unit_test(a_worker_on_a_shard_that_was_taken_over_from_is_not_told_that_all_is_over),
        cmocka_unit_test(shards_that_the_coordinator_never_heard_of_are_taken_from_the_workers),
        cmocka_unit_test(of_workers_on_different_shards_those_of_the_later_epoch_count),
        cmocka_unit_test(a_return_to_shards_that_were_named_before_opens_every_share_again),
        cmocka_unit_test(a_coordinator_that_stood_still_itself_takes_nobody_for_dead),
        cmocka_unit_test(a_worker_of_another_job_is_refused),
        cmocka_unit_test(a_worker_of_another_pipeline_is_refused_and_one_that_does_not_say_is_not),
        cmocka_unit_test(lost_repeated_and_late_messages_deaths_and_restarts_lose_no_share),
        cmocka_unit_test(what_is_malformed_is_refused_and_changes_nothing),
        cmocka_unit_test(a_key_that_may_only_read_may_ask_for_the_status_and_is_told_that_it_may_not_work),
        cmocka_unit_test(what_is_refused_is_counted_by_its_reason_and_shown),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
