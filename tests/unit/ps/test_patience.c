/* A client whose shard answers late: its session comes up all the same, and a shard that answers fast again is missed
 * as early as before. And what waits for a shard, or for a coordinator, count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "ps/shard/replication.h"
#include "ps/wire/link.h"
#include "ps/worker/membership.h"
#include "ps/worker/remote.h"

enum { MAX_FRAMES = 256, MS = 1000, RETRY_MS = 1000 };

typedef struct late_frame {
    unsigned char *bytes;
    size_t size;
    int64_t due_us;
} late_frame;

typedef struct late_queue {
    late_frame frame[MAX_FRAMES];
    uint32_t n;
} late_queue;

typedef struct late_link {
    tw_link link;
    tw_shard *shard;
    late_queue there, back;
    int64_t now_us, way_us;  /* way: of a frame in one direction */
    int64_t helloed_us;      /* the first time; 0: not yet */
    int64_t stands_still_us; /* the process, in its next wait */
    uint64_t incarnation;
    uint32_t n_hellos;
    bool is_deaf;    /* what comes back is lost */
    uint32_t n_lost; /* so many scans from here on are not answered */
    unsigned char *given;
} late_link;

static void queue_put(late_queue *self, const void *bytes, size_t size, int64_t due_us)
{
    assert_true(self->n < MAX_FRAMES);
    self->frame[self->n] = (late_frame){malloc(size), size, due_us};
    memcpy(self->frame[self->n++].bytes, bytes, size);
}

static late_frame queue_take(late_queue *self)
{
    late_frame first = self->frame[0];
    memmove(self->frame, self->frame + 1, --self->n * sizeof *self->frame);
    return first;
}

static void late_emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    late_link *self = context;
    (void)peer;
    (void)peer_size;
    if (!self->is_deaf)
        queue_put(&self->back, bytes, size, self->now_us + self->way_us);
}

/* The shard takes what has arrived there. */
static void late_deliver(late_link *self)
{
    while (self->there.n > 0 && self->there.frame[0].due_us <= self->now_us) {
        late_frame frame = queue_take(&self->there);
        tw_shard_receive(self->shard, "worker", 6, frame.bytes, frame.size);
        free(frame.bytes);
    }
}

static tw_status late_send(tw_link *link, uint32_t shard, const void *bytes, size_t size, tw_error *error)
{
    late_link *self = (late_link *)link;
    tw_frame frame;
    (void)shard;
    assert_int_equal(tw_frame_decode(bytes, size, &frame, error), TW_STATUS_OK);
    if (frame.type == TW_FRAME_SCAN && self->n_lost > 0) {
        self->n_lost--;
        return TW_STATUS_OK;
    }
    if (frame.type == TW_FRAME_HELLO) {
        self->n_hellos++;
        if (self->helloed_us == 0)
            self->helloed_us = self->now_us;
    }
    queue_put(&self->there, bytes, size, self->now_us + self->way_us);
    late_deliver(self);
    return TW_STATUS_OK;
}

static tw_status late_receive(tw_link *link, uint32_t shard, const void **bytes, size_t *size, tw_error *error)
{
    late_link *self = (late_link *)link;
    (void)shard;
    (void)error;
    free(self->given);
    self->given = NULL;
    if (self->back.n == 0 || self->back.frame[0].due_us > self->now_us)
        return TW_STATUS_IDLE;
    late_frame frame = queue_take(&self->back);
    *bytes = self->given = frame.bytes;
    *size = frame.size;
    return TW_STATUS_OK;
}

/* In small steps, whatever was asked for: a link wakes up when something comes. */
static tw_status late_wait(tw_link *link, int timeout_ms, tw_error *error)
{
    late_link *self = (late_link *)link;
    (void)error;
    self->now_us += (int64_t)(timeout_ms > 10 ? 10 : timeout_ms > 0 ? timeout_ms : 1) * MS + self->stands_still_us;
    self->stands_still_us = 0;
    assert_true(self->now_us < (int64_t)1000000 * MS); /* sessions that begin and end for ever */
    tw_shard_tick(self->shard, self->now_us);
    late_deliver(self);
    return TW_STATUS_OK;
}

static int64_t late_now(tw_link *link)
{
    return ((late_link *)link)->now_us;
}

static const char *late_address(const tw_link *link, uint32_t shard)
{
    (void)link;
    (void)shard;
    return "a shard far away";
}

static void queue_clear(late_queue *self)
{
    while (self->n > 0)
        free(queue_take(self).bytes);
}

static void late_close(tw_link *link)
{
    late_link *self = (late_link *)link;
    queue_clear(&self->there);
    queue_clear(&self->back);
    free(self->given);
    tw_shard_destroy(&self->shard);
}

static const tw_link_ops late_ops = {
    .send = late_send,
    .receive = late_receive,
    .wait = late_wait,
    .now_us = late_now,
    .address = late_address,
    .close = late_close,
};

static void start_shard(late_link *self)
{
    tw_shard_options options = {.count = 1, .incarnation = ++self->incarnation, .emit = late_emit, .context = self};
    assert_int_equal(tw_shard_create(&options, &self->shard, NULL), TW_STATUS_OK);
    tw_shard_tick(self->shard, self->now_us);
}

static tw_params *late_create(late_link *self, int64_t way_us)
{
    tw_table_spec spec = {.kind = TW_TABLE_EXACT, .hash_seed = 1};
    assert_int_equal(tw_record_add(&spec.schema.row, "n", TW_FIELD_U64, 1, TW_MERGE_ADD, NULL), 0);
    *self = (late_link){.link.ops = &late_ops, .now_us = 1000 * MS, .way_us = way_us};
    start_shard(self);
    tw_remote_options options = {
        .n_shards = 1, .model = "late", .timeout_ms = 60000, .retry_ms = RETRY_MS, .sender = 3};
    tw_params *params = NULL;
    tw_error error = {0};
    if (tw_remote_create_over_take(&self->link, &spec, &options, &params, &error) != TW_STATUS_OK)
        fail_msg("%s", error.message);
    return params;
}

typedef struct one_event {
    tw_batch batch;
    uint32_t start[2];
    uint64_t key;
    float value;
} one_event;

static const tw_batch *event_at(one_event *self, uint64_t at)
{
    *self = (one_event){.start = {0, 1}, .key = 77, .value = 1};
    self->batch = (tw_batch){.n_events = 1,
        .n_entries = 1,
        .row_start = self->start,
        .key = &self->key,
        .value = &self->value,
        .split = 1,
        .from = at,
        .to = at + 1};
    return &self->batch;
}

static tw_status learn_one(tw_params *params, uint64_t at, tw_error *error)
{
    one_event event;
    tw_rows rows;
    const tw_batch *batch = event_at(&event, at);
    tw_status status = params->ops->acquire(params, batch, TW_ACCESS_WRITE, &rows, error);
    if (status != TW_STATUS_OK)
        return status;
    ++*(uint64_t *)rows.row[0];
    status = params->ops->release(params, batch, &rows, 1, error);
    return status == TW_STATUS_OK ? params->ops->flush(params, 60000, error) : status;
}

static void learn_some(tw_params *params, uint64_t from, uint64_t to)
{
    tw_error error = {0};
    for (uint64_t at = from; at < to; at++) {
        if (learn_one(params, at, &error) != TW_STATUS_OK)
            fail_msg("event %llu: %s", (unsigned long long)at, error.message);
    }
}

static void a_session_whose_answers_need_longer_than_the_retry_time_comes_up_and_stays(void **state)
{
    (void)state;
    late_link link;
    tw_params *params = late_create(&link, 750 * MS);
    learn_some(params, 0, 2);
    uint32_t n_hellos = link.n_hellos;
    assert_in_range(n_hellos, 2, 8);
    learn_some(params, 2, 20);
    assert_in_range(link.n_hellos, n_hellos, n_hellos + 3);
    uint64_t key = 77;
    void *row = NULL;
    assert_int_equal(tw_table_rows(tw_shard_table(link.shard), &key, 1, TW_ACCESS_READ, &row, NULL), TW_STATUS_OK);
    assert_int_equal(*(uint64_t *)row, 20);
    params->ops->close(params);
}

/* Another process in the shard's place: the client learns of it at once, and opens a session there. */
static void late_restart(late_link *self, tw_params *params)
{
    tw_error error = {0};
    tw_shard_destroy(&self->shard);
    start_shard(self);
    while (learn_one(params, 0, &error) == TW_STATUS_REWIND) {
    }
    assert_int_equal(tw_table_mark(tw_shard_table(self->shard), 1), 1);
}

/* How long after a request that is never answered the client greets anew, in a session that began after `n_fast` fast
 * answers, which followed some that took two ways of `first_way_us`. */
static int64_t time_to_notice(int64_t first_way_us, uint64_t n_fast)
{
    late_link link;
    one_event event;
    tw_rows rows;
    tw_params *params = late_create(&link, first_way_us);
    learn_some(params, 0, 5);
    link.way_us = 5 * MS;
    learn_some(params, 5, 5 + n_fast);
    late_restart(&link, params);
    int64_t asked_us = link.now_us;
    link.is_deaf = true;
    link.helloed_us = 0;
    assert_int_equal(
        params->ops->acquire(params, event_at(&event, 1), TW_ACCESS_WRITE, &rows, NULL), TW_STATUS_UNAVAILABLE);
    int64_t us = link.helloed_us - asked_us;
    params->ops->close(params);
    return us;
}

static void patience_shrinks_again_when_answers_are_fast(void **state)
{
    (void)state;
    assert_in_range(time_to_notice(5 * MS, 3), 1000 * MS, 1050 * MS);
    assert_in_range(time_to_notice(750 * MS, 0), 1200 * MS, 8050 * MS); /* it has learned to wait */
    assert_in_range(time_to_notice(750 * MS, 40), 1000 * MS, 1050 * MS);
}

/* How long a request to a shard that never answers waits by the wall, when the process stands still at its first wait.
 */
static int64_t time_to_give_up(int64_t stands_still_us)
{
    late_link link;
    one_event event;
    tw_rows rows;
    tw_params *params = late_create(&link, 5 * MS);
    learn_some(params, 0, 5);
    link.is_deaf = true;
    link.stands_still_us = stands_still_us;
    int64_t asked_us = link.now_us;
    assert_int_equal(
        params->ops->acquire(params, event_at(&event, 5), TW_ACCESS_WRITE, &rows, NULL), TW_STATUS_UNAVAILABLE);
    int64_t us = link.now_us - asked_us;
    params->ops->close(params);
    return us;
}

static void time_in_which_the_process_stood_still_does_not_count_as_waiting(void **state)
{
    (void)state;
    assert_in_range(time_to_give_up(0), 60000 * MS, 60100 * MS);
    assert_in_range(time_to_give_up(500 * MS), 60000 * MS, 60100 * MS); /* a slow turn is no stop */
    assert_in_range(time_to_give_up(40000 * MS), 100000 * MS, 100100 * MS);
    assert_in_range(time_to_give_up(400000 * MS), 460000 * MS, 460100 * MS);
}

static tw_status count_row(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    uint32_t *n = context;
    (void)key;
    (void)record;
    (void)error;
    *n += block < 0;
    return TW_STATUS_OK;
}

static void a_scan_whose_session_was_given_up_too_early_goes_on_in_the_next_one(void **state)
{
    (void)state;
    late_link link;
    uint32_t n_rows = 0;
    tw_error error = {0};
    tw_params *params = late_create(&link, 5 * MS);
    learn_some(params, 0, 5);
    uint32_t n_hellos = link.n_hellos;
    link.n_lost = 3;
    if (params->ops->scan(params, count_row, &n_rows, &error) != TW_STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(n_rows, 1);
    assert_int_equal(link.n_hellos, n_hellos + 3);
    /* Not for ever. */
    int64_t asked_us = link.now_us;
    link.n_lost = 1000000;
    assert_int_equal(params->ops->scan(params, count_row, &n_rows, &error), TW_STATUS_UNAVAILABLE);
    assert_in_range(link.now_us - asked_us, 60000 * MS, 90000 * MS);
    params->ops->close(params);
}

static void hear(tw_membership *self, int64_t now_us, tw_frame_type type, tw_nack_reason reason)
{
    tw_buffer out = {0};
    tw_frame frame = {.type = type, .sender = self->sender, .incarnation = 1, .ack = self->sequence, .reason = reason};
    tw_orders orders = {.number = 1, .n_workers = 1};
    assert_int_equal(tw_frame_begin(&out, &frame, NULL, NULL), TW_STATUS_OK);
    if (type == TW_FRAME_ORDERS)
        assert_int_equal(tw_orders_encode(&orders, &out, NULL), TW_STATUS_OK);
    else
        assert_int_equal(tw_buffer_append(&out, "full", 4, NULL), TW_STATUS_OK);
    tw_frame_finish(&out, &frame);
    assert_int_equal(tw_membership_take(self, now_us, out.bytes, out.size, NULL), TW_STATUS_OK);
    tw_free(out.bytes);
}

/* How long, by the wall, until a coordinator that says nothing, or nothing but that there is no place, has been waited
 * for for 30 s by a process that looks ten times a second and stands still after the third second. */
static int64_t time_to_give_the_coordinator_up(bool is_full, int64_t stands_still_us)
{
    tw_membership self;
    int64_t now_us = 1000 * MS, begun_us = now_us, waited_us = 0;
    tw_membership_init(&self, "w", 1, 2, 1, 1, 200 * MS);
    tw_membership_begin(&self, now_us);
    while (waited_us <= 30000 * MS) {
        if (is_full)
            hear(&self, now_us, TW_FRAME_NACK, TW_NACK_OVERLOAD);
        waited_us = is_full ? tw_membership_delayed_us(&self, now_us) : tw_membership_silent_us(&self, now_us);
        now_us += 100 * MS + (now_us - begun_us == 3000 * MS ? stands_still_us : 0);
    }
    tw_membership_fini(&self);
    return now_us - begun_us;
}

static void time_in_which_a_worker_stood_still_does_not_count_as_waiting_for_its_coordinator(void **state)
{
    (void)state;
    for (int is_full = 0; is_full < 2; is_full++) {
        assert_in_range(time_to_give_the_coordinator_up(is_full, 0), 30000 * MS, 30300 * MS);
        assert_in_range(time_to_give_the_coordinator_up(is_full, 500 * MS), 30000 * MS, 30300 * MS);
        assert_in_range(time_to_give_the_coordinator_up(is_full, 25000 * MS), 55000 * MS, 55300 * MS);
        assert_in_range(time_to_give_the_coordinator_up(is_full, 400000 * MS), 430000 * MS, 430300 * MS);
    }
}

static void a_wait_for_a_place_that_was_given_does_not_count_for_the_next_one(void **state)
{
    (void)state;
    tw_membership self;
    tw_membership_init(&self, "w", 1, 2, 1, 1, 200 * MS);
    tw_membership_begin(&self, 1000 * MS);
    hear(&self, 1000 * MS, TW_FRAME_NACK, TW_NACK_OVERLOAD);
    hear(&self, 1900 * MS, TW_FRAME_NACK, TW_NACK_OVERLOAD);
    assert_int_equal(tw_membership_delayed_us(&self, 1900 * MS), 900 * MS);
    hear(&self, 2000 * MS, TW_FRAME_ORDERS, TW_NACK_NONE);
    assert_int_equal(tw_membership_delayed_us(&self, 2900 * MS), 0);
    hear(&self, 2900 * MS, TW_FRAME_NACK, TW_NACK_OVERLOAD);
    assert_int_equal(tw_membership_delayed_us(&self, 3000 * MS), 100 * MS);
    tw_membership_fini(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_whose_answers_need_longer_than_the_retry_time_comes_up_and_stays),
        cmocka_unit_test(patience_shrinks_again_when_answers_are_fast),
        cmocka_unit_test(time_in_which_the_process_stood_still_does_not_count_as_waiting),
        cmocka_unit_test(a_scan_whose_session_was_given_up_too_early_goes_on_in_the_next_one),
        cmocka_unit_test(time_in_which_a_worker_stood_still_does_not_count_as_waiting_for_its_coordinator),
        cmocka_unit_test(a_wait_for_a_place_that_was_given_does_not_count_for_the_next_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
