/* A coordinator with its socket and thread, workers with theirs, and a run that speaks to it from its own thread. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ps/edge/coordinator_server.h"
#include "ps/edge/member.h"
#include "ps/edge/save_request.h"

enum { SHARES = 4, PATIENCE_MS = 10000 * TW_SLOWNESS };

typedef struct scene {
    char root[64], address[128];
    tw_coordinator_server *server;
    tw_member *member[2];
    tw_orders orders[2];
} scene;

static scene *scene_create(void)
{
    static const char *const shard[] = {"ipc:///tmp/nobody"};
    scene *self = calloc(1, sizeof *self);
    snprintf(self->root, sizeof self->root, "/tmp/test-coordinator-XXXXXX");
    assert_non_null(mkdtemp(self->root));
    snprintf(self->address, sizeof self->address, "ipc://%s/coordinator", self->root);
    tw_coordinator_server_options options = {
        .address = self->address, .shard = shard, .n_shards = 1, .dead_after_ms = 60000, .can_save = true};
    assert_int_equal(tw_coordinator_server_start(&options, &self->server, NULL), TW_STATUS_OK);
    return self;
}

static void scene_destroy(scene *self)
{
    for (int i = 0; i < 2; i++)
        tw_member_stop(&self->member[i]);
    assert_int_equal(tw_coordinator_server_check(self->server, NULL), TW_STATUS_OK);
    tw_coordinator_server_stop(&self->server);
    snprintf(self->address, sizeof self->address, "%s/coordinator", self->root);
    (void)unlink(self->address);
    assert_int_equal(rmdir(self->root), 0);
    free(self);
}

static void wait_for_orders(scene *self, int i)
{
    int64_t silent_us = 0;
    assert_int_equal(tw_member_wait(self->member[i], PATIENCE_MS, &self->orders[i], &silent_us, NULL), TW_STATUS_OK);
}

static void join(scene *self, int i, const char *name)
{
    tw_member_options options = {.address = self->address, .name = name, .model = "m", .n_shares = SHARES, .passes = 1};
    assert_int_equal(tw_member_start(&options, &self->member[i], NULL), TW_STATUS_OK);
    wait_for_orders(self, i);
    assert_int_not_equal(self->orders[i].grant.epoch, 0);
    tw_member_tell(self->member[i], TW_HOLD_LEARNS, self->orders[i].grant, 0, 0, 0);
}

/* True once nothing keeps it from learning on. */
static bool goes_on(tw_member *member)
{
    int64_t end_us = tw_clock_monotonic_us() + PATIENCE_MS * 1000ll;
    bool is_paused = true;
    while (is_paused && tw_clock_monotonic_us() < end_us) {
        tw_member_go_on(member);
        is_paused = atomic_load(tw_member_pause(member));
        tw_clock_sleep_us(1000);
    }
    return !is_paused;
}

/* True once the pause flag is `is_set`. */
static bool pauses(const tw_member *member, bool is_set)
{
    int64_t end_us = tw_clock_monotonic_us() + PATIENCE_MS * 1000ll;
    while (atomic_load(tw_member_pause(member)) != is_set && tw_clock_monotonic_us() < end_us)
        tw_clock_sleep_us(200);
    return atomic_load(tw_member_pause(member)) == is_set;
}

typedef struct asking {
    pthread_t thread;
    const char *address;
    tw_status status;
    tw_error error;
    uint64_t id;
} asking;

static void *ask(void *context)
{
    asking *self = context;
    tw_save_request wanted = {.address = self->address, .name = "cut", .timeout_ms = PATIENCE_MS};
    self->status = tw_request_save(&wanted, &self->id, &self->error);
    return NULL;
}

static void the_share_of_a_worker_that_is_known_to_be_gone_is_free_at_once(void **state)
{
    (void)state;
    scene *self = scene_create();
    tw_coordinator_figures figures;
    join(self, 0, "a");
    join(self, 1, "b");
    assert_int_not_equal(self->orders[0].grant.share, self->orders[1].grant.share);
    tw_coordinator_server_stats(self->server, &figures);
    assert_int_equal(figures.n_granted, 2);
    tw_coordinator_server_forget(self->server, "a");
    tw_coordinator_server_stats(self->server, &figures);
    assert_int_equal(figures.n_granted, 1);
    assert_int_equal(figures.evictions, 1);
    scene_destroy(self);
}

static void await_wanted(scene *self)
{
    char name[TW_SAVE_NAME_SIZE] = "";
    tw_grant orphan[SHARES];
    uint32_t n = SHARES;
    int64_t end_us = tw_clock_monotonic_us() + PATIENCE_MS * 1000ll;
    while (!tw_coordinator_server_save_wanted(self->server, name, orphan, &n) && tw_clock_monotonic_us() < end_us) {
        tw_clock_sleep_us(500);
        n = SHARES;
    }
    assert_string_equal(name, "cut");
    assert_int_equal(n, 0);
}

static void workers_stand_still_for_a_cut_and_go_on_when_another_thread_says_so(void **state)
{
    (void)state;
    scene *self = scene_create();
    asking asking = {.address = self->address};
    join(self, 0, "a");
    join(self, 1, "b");
    for (int turn = 0; turn < 3; turn++) {
        assert_int_equal(pthread_create(&asking.thread, NULL, ask, &asking), 0);
        for (int i = 0; i < 2; i++) {
            assert_true(pauses(self->member[i], true));
            tw_member_set_quiet(self->member[i]);
        }
        await_wanted(self);
        tw_coordinator_server_save_cut(self->server, TW_STATUS_OK, NULL);
        for (int i = 0; i < 2; i++) {
            do
                wait_for_orders(self, i);
            while (self->orders[i].quiet != 0);
            tw_member_tell(self->member[i], TW_HOLD_LEARNS, self->orders[i].grant, 0, 0, 0);
        }
        tw_coordinator_server_save_done(self->server, TW_STATUS_OK, 7 + (uint64_t)turn, NULL);
        assert_int_equal(pthread_join(asking.thread, NULL), 0);
        assert_int_equal(asking.status, TW_STATUS_OK);
        assert_int_equal(asking.id, 7 + turn);
    }
    scene_destroy(self);
}

/* Worker b ends while a save waits for both. */
static void cancel_a_save(scene *self, asking *asking)
{
    join(self, 0, "a");
    join(self, 1, "b");
    assert_int_equal(pthread_create(&asking->thread, NULL, ask, asking), 0);
    assert_true(pauses(self->member[0], true));
    tw_coordinator_server_forget(self->server, "b");
    assert_int_equal(pthread_join(asking->thread, NULL), 0);
}

/* Who stops because of it must find it set when it asks whether its share is finished, or has to go on. */
static void a_pause_stays_until_the_worker_goes_on_although_there_is_no_reason_any_more(void **state)
{
    (void)state;
    scene *self = scene_create();
    asking asking = {.address = self->address};
    cancel_a_save(self, &asking);
    tw_clock_sleep_us(100000);
    assert_true(atomic_load(tw_member_pause(self->member[0])));
    assert_true(goes_on(self->member[0]));
    scene_destroy(self);
}

static void a_worker_that_ends_during_a_save_cancels_it_and_the_others_go_on(void **state)
{
    (void)state;
    scene *self = scene_create();
    asking asking = {.address = self->address};
    cancel_a_save(self, &asking);
    assert_int_equal(asking.status, TW_STATUS_UNAVAILABLE);
    assert_non_null(strstr(asking.error.message, "worker b"));
    assert_true(goes_on(self->member[0]));
    scene_destroy(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_share_of_a_worker_that_is_known_to_be_gone_is_free_at_once),
        cmocka_unit_test(workers_stand_still_for_a_cut_and_go_on_when_another_thread_says_so),
        cmocka_unit_test(a_pause_stays_until_the_worker_goes_on_although_there_is_no_reason_any_more),
        cmocka_unit_test(a_worker_that_ends_during_a_save_cancels_it_and_the_others_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
