/* Who serves a shard is found out, a standby takes over from one that is gone, and two never go on serving. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/hash.h"
#include "ps/coordinator/lookout.h"
#include "ps/shard/replication.h"
#include "ps/wire/status.h"

enum { PLACES = 3, STEP_US = 10000, SENDER = 99, QUEUE = 64 };

typedef enum role { SERVES, STANDS_BY, DEPOSED } role;

/* One process, as far as the lookout sees it. */
typedef struct process {
    bool is_alive, is_ready; /* is_ready: its copy is complete */
    bool is_denying;         /* whoever asks may not promote */
    role role;
    uint64_t epoch, known, incarnation;
} process;

typedef struct letter {
    uint32_t place;
    size_t size;
    unsigned char bytes[2048];
} letter;

typedef struct world {
    tw_lookout *lookout;
    process process[PLACES]; /* shard 0 at 0 and 1, shard 1 at 2 */
    letter queue[QUEUE];
    uint32_t n_queue, n_notes, n_orders;
    int64_t now_us;
    uint64_t random;
    uint32_t loss; /* of 256 */
    char note[512], address[2][TW_ADDRESS_SIZE];
    uint64_t epoch[2];
} world;

static uint64_t draw(world *self, uint64_t below)
{
    self->random = tw_mix64(self->random + 1);
    return self->random % below;
}

static void on_emit(void *context, uint32_t place, const void *bytes, size_t size)
{
    world *self = context;
    assert_true(size <= sizeof self->queue[0].bytes && place < PLACES);
    if (self->n_queue == QUEUE || draw(self, 256) < self->loss)
        return;
    letter *one = &self->queue[self->n_queue++];
    one->place = place;
    one->size = size;
    memcpy(one->bytes, bytes, size);
}

static void on_note(void *context, const char *message)
{
    world *self = context;
    self->n_notes++;
    (void)snprintf(self->note, sizeof self->note, "%s", message);
}

static void start(world *self)
{
    static const char *const address[] = {"ipc:///a|ipc:///b", "ipc:///c"};
    tw_lookout_options options = {.address = address,
        .n_shards = 2,
        .sender = SENDER,
        .hint = ", look at its key",
        .emit = on_emit,
        .note = on_note,
        .context = self,
        .note_context = self};
    tw_lookout_destroy(&self->lookout);
    self->n_queue = 0;
    assert_int_equal(tw_lookout_create(&options, self->now_us, &self->lookout, NULL), TW_STATUS_OK);
    (void)snprintf(self->address[0], TW_ADDRESS_SIZE, "%s", address[0]);
    (void)snprintf(self->address[1], TW_ADDRESS_SIZE, "%s", address[1]);
    self->epoch[0] = self->epoch[1] = 0;
}

static world *create(uint64_t seed)
{
    world *self = calloc(1, sizeof *self);
    self->random = seed;
    self->now_us = 5000000;
    self->process[0] = (process){.is_alive = true};
    self->process[1] = (process){.is_alive = true, .is_ready = true, .role = STANDS_BY};
    self->process[2] = (process){.is_alive = true};
    start(self);
    return self;
}

static void destroy(world *self)
{
    tw_lookout_destroy(&self->lookout);
    free(self);
}

static void answer(world *self, uint32_t place, tw_frame *frame, const tw_shard_status *status, const char *text)
{
    tw_buffer out = {0};
    frame->sender = SENDER;
    tw_status made = tw_frame_begin(&out, frame, NULL, NULL);
    if (made == TW_STATUS_OK && status != NULL)
        made = tw_shard_status_encode(status, &out, NULL);
    if (made == TW_STATUS_OK && text != NULL)
        made = tw_buffer_append(&out, text, strlen(text), NULL);
    if (made == TW_STATUS_OK)
        tw_frame_finish(&out, frame);
    if (made == TW_STATUS_OK && draw(self, 256) >= self->loss)
        tw_lookout_receive(self->lookout, self->now_us, place, out.bytes, out.size);
    tw_free(out.bytes);
}

static void answer_status(world *self, uint32_t place, const tw_frame *asked)
{
    const process *one = &self->process[place];
    tw_shard_status status = {.model = "m"};
    memset(status.figure, 0xff, sizeof status.figure);
    status.figure[TW_STATUS_TAKEOVERS] = one->epoch;
    status.figure[TW_STATUS_IS_STANDBY] = one->role == STANDS_BY;
    status.figure[TW_STATUS_IS_DEPOSED] = one->role == DEPOSED;
    status.figure[TW_STATUS_KNOWN_EPOCH] = one->known;
    status.figure[TW_STATUS_INCARNATION] = one->incarnation;
    answer(self, place, &(tw_frame){.type = TW_FRAME_STATUS_ARE, .ack = asked->sequence}, &status, NULL);
}

static void refuse(world *self, uint32_t place, const tw_frame *asked, tw_nack_reason reason)
{
    answer(self, place, &(tw_frame){.type = TW_FRAME_NACK, .ack = asked->sequence, .reason = reason}, NULL, "no");
}

/* As ps/shard/succession.c. */
static void answer_promote(world *self, uint32_t place, const tw_frame *asked)
{
    process *one = &self->process[place];
    self->n_orders++;
    if (one->is_denying) {
        refuse(self, place, asked, TW_NACK_DENIED);
        return;
    }
    if (one->role == DEPOSED || asked->handle < one->epoch) {
        refuse(self, place, asked, TW_NACK_STALE_EPOCH);
        return;
    }
    if (one->role == STANDS_BY && !one->is_ready) {
        refuse(self, place, asked, TW_NACK_NOT_PRIMARY);
        return;
    }
    one->role = SERVES;
    one->epoch = asked->handle;
    answer(
        self, place, &(tw_frame){.type = TW_FRAME_PROMOTED, .ack = asked->sequence, .handle = one->epoch}, NULL, NULL);
}

static void deliver(world *self, const letter *one)
{
    tw_frame frame;
    process *to = &self->process[one->place];
    if (!to->is_alive)
        return;
    assert_int_equal(tw_frame_decode(one->bytes, one->size, &frame, NULL), TW_STATUS_OK);
    if (frame.type == TW_FRAME_STATUS)
        answer_status(self, one->place, &frame);
    else if (frame.type == TW_FRAME_PROMOTE)
        answer_promote(self, one->place, &frame);
    else if (frame.type == TW_FRAME_PROMOTED && to->role == SERVES && frame.handle > to->epoch)
        to->role = DEPOSED;
}

/* What the map says, a worker would hear. */
static void take_moves(world *self)
{
    uint32_t shard = 0;
    uint64_t epoch = 0;
    char address[TW_ADDRESS_SIZE];
    while (tw_lookout_moved(self->lookout, &shard, address, &epoch)) {
        assert_true(shard < 2);
        self->epoch[shard] = epoch;
        memcpy(self->address[shard], address, sizeof address);
    }
}

static void step(world *self)
{
    self->now_us += STEP_US;
    for (uint32_t i = 0; i < self->n_queue; i++)
        deliver(self, &self->queue[i]);
    self->n_queue = 0;
    tw_lookout_tick(self->lookout, self->now_us);
    take_moves(self);
}

static void run_for(world *self, int64_t duration_us)
{
    for (int64_t end = self->now_us + duration_us; self->now_us < end;)
        step(self);
}

static void a_shard_that_answers_is_left_alone(void **state)
{
    (void)state;
    world *self = create(1);
    run_for(self, 10000000);
    assert_int_equal(self->n_orders, 0);
    assert_int_equal(self->n_notes, 0);
    assert_string_equal(self->address[0], "ipc:///a|ipc:///b");
    tw_lookout_shard seen;
    tw_lookout_look(self->lookout, 0, &seen);
    assert_true(seen.is_served && seen.has_standby);
    destroy(self);
}

static void a_standby_takes_over_from_one_that_has_been_silent_for_a_second(void **state)
{
    (void)state;
    world *self = create(2);
    run_for(self, 2000000);
    self->process[0].is_alive = false;
    run_for(self, 700000);
    assert_int_equal(self->n_orders, 0);
    run_for(self, 500000);
    assert_int_equal(self->process[1].role, SERVES);
    assert_int_equal(self->process[1].epoch, 1);
    assert_string_equal(self->address[0], "ipc:///b|ipc:///a");
    assert_int_equal(self->epoch[0], 1);
    assert_non_null(strstr(self->note, "its standby at ipc:///b has taken over"));
    destroy(self);
}

static void a_shard_without_standby_is_waited_for_and_named(void **state)
{
    (void)state;
    world *self = create(3);
    run_for(self, 1000000);
    self->process[2].is_alive = false;
    run_for(self, 3000000);
    assert_int_equal(self->n_orders, 0);
    assert_non_null(strstr(self->note, "shard 1 of 2: nobody serves at ipc:///c"));
    self->process[2].is_alive = true;
    run_for(self, 500000);
    assert_non_null(strstr(self->note, "shard 1 of 2 is served at ipc:///c"));
    destroy(self);
}

static void one_that_comes_back_late_serves_nobody(void **state)
{
    (void)state;
    world *self = create(4);
    run_for(self, 1000000);
    self->process[0].is_alive = false;
    run_for(self, 2000000);
    self->process[0].is_alive = true;
    run_for(self, 1000000);
    assert_int_equal(self->process[0].role, DEPOSED);
    assert_int_equal(self->process[1].role, SERVES);
    assert_string_equal(self->address[0], "ipc:///b|ipc:///a");
    destroy(self);
}

static void of_two_that_serve_with_the_same_epoch_one_is_left(void **state)
{
    (void)state;
    world *self = create(5);
    self->process[1].role = SERVES;
    run_for(self, 3000000);
    assert_int_equal(self->process[0].role, SERVES);
    assert_int_equal(self->process[1].role, DEPOSED);
    assert_int_equal(self->process[0].epoch, 1);
    destroy(self);
}

static void an_incomplete_copy_does_not_take_over_and_the_one_that_comes_back_serves(void **state)
{
    (void)state;
    world *self = create(6);
    self->process[1].is_ready = false;
    run_for(self, 1000000);
    self->process[0].is_alive = false;
    run_for(self, 4000000);
    assert_int_equal(self->process[1].role, STANDS_BY);
    assert_true(self->n_orders > 1);
    self->process[0].is_alive = true;
    run_for(self, 2500000);
    assert_int_equal(self->process[0].role, SERVES);
    assert_string_equal(self->address[0], "ipc:///a|ipc:///b");
    assert_int_equal(self->epoch[0], self->process[0].epoch);
    destroy(self);
}

static void a_lookout_that_was_started_again_finds_who_serves(void **state)
{
    (void)state;
    world *self = create(7);
    self->process[0].is_alive = false;
    self->process[1].role = SERVES;
    self->process[1].epoch = 3;
    start(self);
    run_for(self, 200000);
    assert_string_equal(self->address[0], "ipc:///b|ipc:///a");
    assert_int_equal(self->epoch[0], 3);
    assert_int_equal(self->n_orders, 0);
    destroy(self);
}

static tw_lookout_shard look(const world *self, uint32_t shard)
{
    tw_lookout_shard seen;
    tw_lookout_look(self->lookout, shard, &seen);
    return seen;
}

/* Who serves is certain once everybody was heard of, or had the time to be; and not while another one may. */
static void it_says_which_process_serves_once_it_is_certain(void **state)
{
    (void)state;
    world *self = create(11);
    for (uint64_t i = 0; i < PLACES; i++)
        self->process[i].incarnation = 50 + i;
    self->process[1].is_alive = false;
    start(self);
    run_for(self, 300000);
    assert_false(look(self, 0).is_settled);
    assert_true(look(self, 0).is_heard && look(self, 1).is_settled);
    assert_int_equal(look(self, 1).incarnation, 52);
    run_for(self, 2000000);
    assert_true(look(self, 0).is_settled);
    assert_int_equal(look(self, 0).incarnation, 50);
    self->process[1] = (process){.is_alive = true, .role = SERVES, .epoch = 1, .incarnation = 51};
    run_for(self, 500000);
    assert_int_equal(look(self, 0).incarnation, 51);
    self->process[1].known = 2;
    run_for(self, 500000);
    assert_int_equal(look(self, 0).incarnation, 0); /* somebody was heard to serve with 2 */
    run_for(self, 2000000);
    assert_int_equal(look(self, 0).incarnation, 51);
    destroy(self);
}

static void one_that_may_not_promote_still_follows_the_shard_that_comes_back(void **state)
{
    (void)state;
    world *self = create(13);
    self->process[0].is_denying = self->process[1].is_denying = true;
    self->process[0].incarnation = 50;
    run_for(self, 1000000);
    self->process[0].is_alive = false;
    run_for(self, 4000000);
    assert_true(self->n_orders > 1);
    assert_int_equal(self->process[1].role, STANDS_BY);
    self->process[0].is_alive = true;
    run_for(self, 2000000);
    tw_lookout_shard seen = look(self, 0);
    assert_true(seen.is_served);
    assert_int_equal(seen.incarnation, 50);
    assert_string_equal(self->address[0], "ipc:///a|ipc:///b");
    destroy(self);
}

static void a_shard_that_has_never_answered_is_named_with_the_hint(void **state)
{
    (void)state;
    world *self = create(12);
    self->process[2].is_alive = false;
    start(self);
    run_for(self, 3000000);
    assert_non_null(
        strstr(self->note, "shard 1 of 2: nobody has ever answered at ipc:///c: it is not watched, look at its key"));
    assert_false(look(self, 1).is_heard);
    assert_true(look(self, 1).is_settled);
    destroy(self);
}

static void one_that_stood_still_itself_takes_nobody_for_dead(void **state)
{
    (void)state;
    world *self = create(8);
    run_for(self, 1000000);
    self->now_us += 20000000;
    run_for(self, 3000000);
    assert_int_equal(self->n_orders, 0);
    assert_int_equal(self->n_notes, 0);
    destroy(self);
}

static void one_that_is_behind_what_its_clients_know_is_raised_when_no_better_one_comes(void **state)
{
    (void)state;
    world *self = create(9);
    self->process[1].is_alive = false;
    self->process[0].known = 4;
    run_for(self, 3000000);
    assert_int_equal(self->process[0].epoch, 5);
    assert_int_equal(self->epoch[0], 5);
    destroy(self);
}

static uint32_t n_serving(const world *self)
{
    return (uint32_t)(self->process[0].is_alive && self->process[0].role == SERVES) +
           (uint32_t)(self->process[1].is_alive && self->process[1].role == SERVES);
}

/* A service manager starts what is dead: as the standby of the one that serves, or as what it was. */
static void revive(world *self, uint32_t which)
{
    process *one = &self->process[which], *other = &self->process[1 - which];
    bool is_standby = other->is_alive && other->role == SERVES && draw(self, 2) == 0;
    *one = (process){.is_alive = true, .role = is_standby ? STANDS_BY : SERVES};
}

static void misfortune(world *self)
{
    uint32_t which = (uint32_t)draw(self, 2);
    process *one = &self->process[which], *other = &self->process[1 - which];
    uint64_t what = draw(self, 200);
    if (what == 0)
        one->is_alive = false;
    else if (what == 1 && !one->is_alive)
        revive(self, which);
    else if (what == 2 && one->role == DEPOSED)
        revive(self, which);
    else if (what == 3 && one->role == STANDS_BY && other->is_alive && other->role == SERVES)
        one->is_ready = true;
    else if (what == 4 && draw(self, 10) == 0)
        start(self);
    else if (what == 5)
        self->now_us += (int64_t)draw(self, 3000000);
}

static void whoever_dies_and_whatever_is_lost_one_serves_in_the_end(void **state)
{
    (void)state;
    uint32_t n_takeovers = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        world *self = create(seed * 1000);
        self->loss = seed % 3 == 0 ? 80 : 0;
        for (uint32_t i = 0; i < 6000; i++) {
            misfortune(self);
            step(self);
        }
        self->loss = 0;
        for (uint32_t i = 0; i < 2; i++) {
            if (!self->process[i].is_alive)
                revive(self, i);
        }
        run_for(self, 2000000);
        /* Who was only a standby without a whole copy waits for its primary. */
        for (uint32_t i = 0; i < 2 && n_serving(self) == 0; i++) {
            if (self->process[i].role == DEPOSED || !self->process[i].is_ready)
                self->process[i] = (process){.is_alive = true};
        }
        run_for(self, 6000000);
        assert_int_equal(n_serving(self), 1);
        uint32_t serving = self->process[1].is_alive && self->process[1].role == SERVES;
        assert_int_equal(self->epoch[0], self->process[serving].epoch);
        assert_int_equal(self->address[0][strlen("ipc:///")], serving ? 'b' : 'a');
        n_takeovers += self->n_orders;
        destroy(self);
    }
    assert_true(n_takeovers > 200);
}

static void what_is_damaged_or_not_asked_for_changes_nothing(void **state)
{
    (void)state;
    world *self = create(10);
    run_for(self, 500000);
    tw_buffer out = {0};
    tw_frame frame = {.type = TW_FRAME_PROMOTED, .sender = SENDER, .ack = 1, .handle = 77};
    assert_int_equal(tw_frame_begin(&out, &frame, NULL, NULL), TW_STATUS_OK);
    tw_frame_finish(&out, &frame);
    tw_lookout_receive(self->lookout, self->now_us, 1, out.bytes, out.size);
    tw_lookout_receive(self->lookout, self->now_us, 55, out.bytes, out.size);
    tw_lookout_receive(self->lookout, self->now_us, 1, out.bytes, out.size - 1);
    run_for(self, 500000);
    assert_string_equal(self->address[0], "ipc:///a|ipc:///b");
    assert_int_equal(self->epoch[0], 0);
    tw_free(out.bytes);
    destroy(self);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 60; n++) {
        static const char *const address[] = {"ipc:///a|ipc:///b", "ipc:///c"};
        world *self = create(11);
        self->process[0].is_alive = false;
        tw_fault_arm(TW_FAULT_ALLOC, n, ENOMEM, false);
        run_for(self, 3000000);
        tw_fault_disarm(TW_FAULT_ALLOC);
        run_for(self, 2000000);
        assert_int_equal(self->process[1].role, SERVES);
        tw_lookout_options options = {.address = address, .n_shards = 2, .sender = SENDER, .emit = on_emit};
        tw_lookout *other = NULL;
        tw_fault_arm(TW_FAULT_ALLOC, n, ENOMEM, false);
        tw_status status = tw_lookout_create(&options, 0, &other, NULL);
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_int_equal(status, other != NULL ? TW_STATUS_OK : TW_STATUS_NO_MEMORY);
        tw_lookout_destroy(&other);
        destroy(self);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shard_that_answers_is_left_alone),
        cmocka_unit_test(a_standby_takes_over_from_one_that_has_been_silent_for_a_second),
        cmocka_unit_test(a_shard_without_standby_is_waited_for_and_named),
        cmocka_unit_test(one_that_comes_back_late_serves_nobody),
        cmocka_unit_test(of_two_that_serve_with_the_same_epoch_one_is_left),
        cmocka_unit_test(an_incomplete_copy_does_not_take_over_and_the_one_that_comes_back_serves),
        cmocka_unit_test(a_lookout_that_was_started_again_finds_who_serves),
        cmocka_unit_test(it_says_which_process_serves_once_it_is_certain),
        cmocka_unit_test(one_that_may_not_promote_still_follows_the_shard_that_comes_back),
        cmocka_unit_test(a_shard_that_has_never_answered_is_named_with_the_hint),
        cmocka_unit_test(one_that_stood_still_itself_takes_nobody_for_dead),
        cmocka_unit_test(one_that_is_behind_what_its_clients_know_is_raised_when_no_better_one_comes),
        cmocka_unit_test(whoever_dies_and_whatever_is_lost_one_serves_in_the_end),
        cmocka_unit_test(what_is_damaged_or_not_asked_for_changes_nothing),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
