/* Several workers on the same shards: what one sees of its own changes, who may learn while few may, and who notices a
 * shard that came back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "ps/edge/loopback.h"
#include "ps/shard/replication.h"
#include "ps/worker/seat.h"

enum { N_SHARDS = 2, N_WORKERS = 3, N_KEYS = 40, MAX_FRAMES = 64, MS = 1000 };

typedef struct town_frame {
    unsigned char *bytes;
    size_t size;
} town_frame;

struct town;

typedef struct town_link {
    tw_link link;
    struct town *town;
    unsigned char number;
    town_frame queue[N_SHARDS][MAX_FRAMES];
    uint32_t n_queued[N_SHARDS], n_sent[N_SHARDS][TW_FRAME_N_TYPES];
    unsigned char *given;
    bool is_deaf;                 /* answers stay where they are */
    bool loses_push;              /* its next push to shard 0 is lost on the way */
    bool has_no_seats;            /* the shards know no SEAT */
    int64_t helloed_us[N_SHARDS]; /* when it greeted last */
} town_link;

typedef struct town {
    struct {
        struct town *town;
        tw_shard *shard;
    } at[N_SHARDS];
    int64_t now_us, restart_us; /* when shard 1 dies and comes back; 0: never */
    uint64_t incarnation;
    town_link link[N_WORKERS];
    tw_params *worker[N_WORKERS];
} town;

static void town_emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    town *self = *(town **)context;
    uint32_t shard = context == &self->at[0] ? 0 : 1;
    assert_int_equal(peer_size, 1);
    town_link *to = &self->link[*(const unsigned char *)peer];
    uint32_t *n = &to->n_queued[shard];
    assert_true(*n < MAX_FRAMES);
    to->queue[shard][*n] = (town_frame){malloc(size), size};
    memcpy(to->queue[shard][(*n)++].bytes, bytes, size);
}

static void start_shard(town *self, uint32_t s)
{
    tw_shard_options options = {.index = s,
        .count = N_SHARDS,
        .incarnation = ++self->incarnation,
        .is_restarted = self->now_us > 0,
        .emit = town_emit,
        .context = &self->at[s]};
    tw_shard_destroy(&self->at[s].shard);
    self->at[s].town = self;
    assert_int_equal(tw_shard_create(&options, &self->at[s].shard, NULL), TW_STATUS_OK);
    tw_shard_tick(self->at[s].shard, self->now_us);
}

static tw_status town_send(tw_link *link, uint32_t shard, const void *bytes, size_t size, tw_error *error)
{
    town_link *self = (town_link *)link;
    tw_frame frame;
    tw_buffer copy = {0};
    assert_int_equal(tw_frame_decode(bytes, size, &frame, error), TW_STATUS_OK);
    self->n_sent[shard][frame.type]++;
    if (frame.type == TW_FRAME_HELLO)
        self->helloed_us[shard] = self->town->now_us;
    if (frame.type == TW_FRAME_PUSH && shard == 0 && self->loses_push) {
        self->loses_push = false;
        return TW_STATUS_OK;
    }
    if (frame.type == TW_FRAME_SEAT && self->has_no_seats) {
        frame.type = (tw_frame_type)(TW_FRAME_N_TYPES - 3);
        assert_int_equal(tw_frame_begin(&copy, &frame, NULL, NULL), TW_STATUS_OK);
        tw_frame_finish(&copy, &frame);
        bytes = copy.bytes;
        size = copy.size;
    }
    tw_shard_receive(self->town->at[shard].shard, &self->number, 1, bytes, size);
    tw_free(copy.bytes);
    return TW_STATUS_OK;
}

static tw_status town_receive(tw_link *link, uint32_t shard, const void **bytes, size_t *size, tw_error *error)
{
    town_link *self = (town_link *)link;
    (void)error;
    free(self->given);
    self->given = NULL;
    if (self->n_queued[shard] == 0 || self->is_deaf)
        return TW_STATUS_IDLE;
    *bytes = self->given = self->queue[shard][0].bytes;
    *size = self->queue[shard][0].size;
    memmove(self->queue[shard], self->queue[shard] + 1, --self->n_queued[shard] * sizeof(town_frame));
    return TW_STATUS_OK;
}

static void town_pass(town *self, int64_t us)
{
    self->now_us += us;
    if (self->restart_us != 0 && self->now_us >= self->restart_us) {
        self->restart_us = 0;
        start_shard(self, 1);
    }
    for (uint32_t s = 0; s < N_SHARDS; s++)
        tw_shard_tick(self->at[s].shard, self->now_us);
}

static tw_status town_wait(tw_link *link, int timeout_ms, tw_error *error)
{
    (void)error;
    town_pass(((town_link *)link)->town, (int64_t)(timeout_ms > 0 ? timeout_ms : 1) * MS);
    return TW_STATUS_OK;
}

static int64_t town_now(tw_link *link)
{
    return ((town_link *)link)->town->now_us;
}

static const char *town_address(const tw_link *link, uint32_t shard)
{
    (void)link;
    return shard == 0 ? "shard zero" : "shard one";
}

static void town_close(tw_link *link)
{
    town_link *self = (town_link *)link;
    for (uint32_t s = 0; s < N_SHARDS; s++) {
        for (uint32_t i = 0; i < self->n_queued[s]; i++)
            free(self->queue[s][i].bytes);
    }
    free(self->given);
}

static const tw_link_ops town_ops = {
    .send = town_send,
    .receive = town_receive,
    .wait = town_wait,
    .now_us = town_now,
    .address = town_address,
    .close = town_close,
};

/* count [N_WORKERS]: each worker changes its own, so that what others do cannot hide what it did. */
static tw_table_spec town_spec(void)
{
    tw_table_spec spec = {.kind = TW_TABLE_EXACT, .hash_seed = 7};
    assert_int_equal(
        tw_record_add(&spec.schema.row, "count", TW_FIELD_U64, N_WORKERS, TW_MERGE_ADD, NULL), TW_STATUS_OK);
    return spec;
}

static town *town_create(uint32_t staleness)
{
    town *self = calloc(1, sizeof *self);
    tw_table_spec spec = town_spec();
    for (uint32_t s = 0; s < N_SHARDS; s++)
        start_shard(self, s);
    self->now_us = 1;
    for (unsigned char i = 0; i < N_WORKERS; i++) {
        tw_remote_options options = {.n_shards = N_SHARDS,
            .model = "town",
            .role = TW_ROLE_PEER,
            .timeout_ms = 2000,
            .sender = 100 + i,
            .worker = {.index = i, .count = N_WORKERS, .staleness = staleness, .birth = 1}};
        self->link[i] = (town_link){.link.ops = &town_ops, .town = self, .number = i};
        assert_int_equal(
            tw_remote_create_over_take(&self->link[i].link, &spec, &options, &self->worker[i], NULL), TW_STATUS_OK);
    }
    return self;
}

static void town_destroy(town *self)
{
    for (uint32_t i = 0; i < N_WORKERS; i++)
        self->worker[i]->ops->close(self->worker[i]);
    for (uint32_t s = 0; s < N_SHARDS; s++)
        tw_shard_destroy(&self->at[s].shard);
    free(self);
}

typedef struct town_batch {
    tw_batch view;
    uint32_t start[2];
    uint64_t key[N_KEYS];
} town_batch;

static void fill(town_batch *self, uint32_t worker, uint64_t number)
{
    for (uint32_t i = 0; i < N_KEYS; i++)
        self->key[i] = tw_key_of_index(7, i);
    self->start[0] = 0;
    self->start[1] = N_KEYS;
    self->view = (tw_batch){.n_events = 1,
        .n_entries = N_KEYS,
        .row_start = self->start,
        .key = self->key,
        .split = worker + 1,
        .from = number,
        .to = number + 1};
}

/* Every row must hold exactly what this worker has learned so far. */
static void learn(town *self, uint32_t worker, uint64_t number, town_batch *next)
{
    static town_batch batch;
    tw_params *params = self->worker[worker];
    tw_rows rows;
    fill(&batch, worker, number);
    town_batch *at = next != NULL ? &next[number % 2] : &batch;
    assert_int_equal(params->ops->acquire(params, &at->view, TW_ACCESS_WRITE, &rows, NULL), TW_STATUS_OK);
    if (next != NULL) {
        fill(&next[(number + 1) % 2], worker, number + 1);
        assert_int_equal(params->ops->prefetch(params, &next[(number + 1) % 2].view, NULL), TW_STATUS_OK);
    }
    for (uint32_t i = 0; i < N_KEYS; i++) {
        uint64_t *count = rows.row[i];
        assert_int_equal(count[worker], number);
        count[worker]++;
    }
    assert_int_equal(params->ops->release(params, &at->view, &rows, 1, NULL), TW_STATUS_OK);
}

/* --- read your writes --------------------------------------------------------------------------------------------- */

static void check_own_writes(bool is_ahead)
{
    town *self = town_create(TW_STALENESS_UNLIMITED);
    town_batch next[N_WORKERS][2];
    for (uint32_t i = 0; i < N_WORKERS; i++)
        fill(&next[i][0], i, 0);
    uint64_t n[N_WORKERS] = {0};
    for (uint64_t step = 0; step < 200; step++) {
        uint32_t worker = (uint32_t)(tw_mix64(step) % N_WORKERS);
        learn(self, worker, n[worker]++, is_ahead ? next[worker] : NULL);
    }
    tw_params *params = self->worker[0];
    for (uint32_t i = 0; i < N_WORKERS; i++)
        assert_int_equal(self->worker[i]->ops->flush(self->worker[i], 1000, NULL), TW_STATUS_OK);
    town_batch batch;
    tw_rows rows;
    fill(&batch, 0, n[0]);
    assert_int_equal(params->ops->acquire(params, &batch.view, TW_ACCESS_READ, &rows, NULL), TW_STATUS_OK);
    for (uint32_t i = 0; i < N_WORKERS; i++) {
        assert_true(n[i] > 40);
        assert_int_equal(((uint64_t *)rows.row[7])[i], n[i]);
    }
    assert_int_equal(params->ops->release(params, &batch.view, &rows, 0, NULL), TW_STATUS_OK);
    town_destroy(self);
}

static void a_worker_reads_its_own_pushes_that_others_have_not_seen_yet(void **state)
{
    (void)state;
    check_own_writes(false);
}

static void rows_pulled_before_the_own_push_landed_hold_it_all_the_same(void **state)
{
    (void)state;
    check_own_writes(true);
}

/* --- seats -------------------------------------------------------------------------------------------------------- */

static tw_status seat(town *self, uint32_t worker, uint32_t most)
{
    return self->worker[worker]->ops->seat(self->worker[worker], most, NULL);
}

static void only_as_many_workers_learn_at_once_as_may(void **state)
{
    (void)state;
    town *self = town_create(TW_STALENESS_UNLIMITED);
    assert_int_equal(seat(self, 1, 1), TW_STATUS_OK);
    assert_int_equal(seat(self, 0, 1), TW_STATUS_IDLE);
    assert_int_equal(seat(self, 2, 1), TW_STATUS_IDLE);
    assert_int_equal(seat(self, 2, 2), TW_STATUS_OK);
    assert_int_equal(seat(self, 0, 2), TW_STATUS_IDLE);
    assert_int_equal(seat(self, 1, 2), TW_STATUS_OK);
    town_destroy(self);
}

static void a_seat_that_is_not_asked_for_again_is_free_after_a_while(void **state)
{
    (void)state;
    town *self = town_create(TW_STALENESS_UNLIMITED);
    assert_int_equal(seat(self, 1, 1), TW_STATUS_OK);
    town_pass(self, TW_SEAT_US - 10 * MS);
    assert_int_equal(seat(self, 1, 1), TW_STATUS_OK);
    town_pass(self, TW_SEAT_US - 10 * MS);
    assert_int_equal(seat(self, 0, 1), TW_STATUS_IDLE);
    town_pass(self, 10 * MS);
    assert_int_equal(seat(self, 0, 1), TW_STATUS_OK);
    assert_int_equal(seat(self, 1, 1), TW_STATUS_IDLE);
    town_destroy(self);
}

static void a_worker_that_opens_its_session_anew_keeps_its_seat(void **state)
{
    (void)state;
    town *self = town_create(TW_STALENESS_UNLIMITED);
    assert_int_equal(seat(self, 1, 1), TW_STATUS_OK);
    int64_t seated_us = self->now_us;
    uint32_t n_hellos = self->link[1].n_sent[0][TW_FRAME_HELLO];
    self->link[1].loses_push = true;
    learn(self, 1, 0, NULL);
    learn(self, 1, 1, NULL);
    assert_false(self->link[1].loses_push);
    assert_true(self->link[1].n_sent[0][TW_FRAME_HELLO] > n_hellos);
    assert_true(self->now_us - seated_us < TW_SEAT_US - 10 * MS);
    assert_int_equal(seat(self, 0, 1), TW_STATUS_IDLE);
    assert_int_equal(seat(self, 1, 1), TW_STATUS_OK);
    town_pass(self, TW_SEAT_US + 10 * MS);
    assert_int_equal(seat(self, 0, 1), TW_STATUS_OK);
    town_destroy(self);
}

static void a_wait_for_a_seat_that_nobody_learns_on_ends_with_the_name_of_its_holder(void **state)
{
    (void)state;
    town *self = town_create(TW_STALENESS_UNLIMITED);
    tw_error error = {0};
    tw_status status = TW_STATUS_IDLE;
    for (uint64_t n = 0; n < 20; n++) { /* 6 s, with a timeout of 2 s: the one with the seat learns */
        assert_int_equal(seat(self, 1, 1), TW_STATUS_OK);
        learn(self, 1, n, NULL);
        for (int64_t until_us = self->now_us + 150 * MS; self->now_us < until_us;)
            assert_int_equal(seat(self, 2, 1), TW_STATUS_IDLE);
    }
    int64_t began_us = self->now_us;
    while (status == TW_STATUS_IDLE && self->now_us < began_us + 10000 * MS) {
        assert_int_equal(seat(self, 1, 1), TW_STATUS_OK);
        status = self->worker[2]->ops->seat(self->worker[2], 1, &error);
    }
    assert_int_equal(status, TW_STATUS_UNAVAILABLE);
    assert_string_equal(error.code, "E304");
    assert_non_null(strstr(error.message, "in which nobody learned; worker 1 has one"));
    assert_true(self->now_us - began_us > 1800 * MS && self->now_us - began_us < 2500 * MS);
    town_destroy(self);
}

static void shards_that_know_no_seats_let_everybody_learn(void **state)
{
    (void)state;
    town *self = town_create(TW_STALENESS_UNLIMITED);
    self->link[0].has_no_seats = self->link[1].has_no_seats = true;
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(seat(self, i, 1), TW_STATUS_OK);
        learn(self, i, 0, NULL);
        assert_int_equal(seat(self, i, 1), TW_STATUS_OK);
        assert_int_equal(self->link[i].n_sent[0][TW_FRAME_SEAT], 1);
    }
    town_destroy(self);
}

static void the_round_passes_without_those_who_have_no_seat(void **state)
{
    (void)state;
    town *self = town_create(0);
    for (uint64_t round = 0; round < 5; round++) {
        assert_int_equal(seat(self, 2, 1), TW_STATUS_IDLE);
        assert_int_equal(seat(self, 0, 1), TW_STATUS_OK);
        assert_int_equal(seat(self, 1, 1), TW_STATUS_IDLE);
        learn(self, 0, round, NULL);
    }
    assert_int_equal(seat(self, 1, 2), TW_STATUS_OK);
    assert_int_equal(self->link[1].n_sent[1][TW_FRAME_CLOCK], 5);
    town_destroy(self);
}

static void who_has_finished_leaves_its_seat_to_the_next(void **state)
{
    (void)state;
    town *self = town_create(0);
    assert_int_equal(seat(self, 0, 1), TW_STATUS_OK);
    assert_int_equal(seat(self, 1, 1), TW_STATUS_IDLE);
    assert_int_equal(seat(self, 2, 1), TW_STATUS_IDLE);
    learn(self, 0, 0, NULL);
    assert_int_equal(self->worker[0]->ops->flush(self->worker[0], 1000, NULL), TW_STATUS_OK);
    /* It left in the second round, in which it still counts. */
    assert_int_equal(seat(self, 1, 1), TW_STATUS_IDLE);
    assert_int_equal(seat(self, 2, 1), TW_STATUS_IDLE);
    assert_int_equal(seat(self, 1, 1), TW_STATUS_OK);
    assert_int_equal(seat(self, 2, 1), TW_STATUS_IDLE);
    town_destroy(self);
}

/* --- shards that come back ---------------------------------------------------------------------------------------- */

static void a_worker_that_waits_elsewhere_soon_greets_a_shard_that_came_back(void **state)
{
    (void)state;
    town *self = town_create(1);
    tw_error error = {0};
    tw_rows rows;
    town_batch batch;
    learn(self, 0, 0, NULL);
    learn(self, 0, 1, NULL);
    self->restart_us = self->now_us + 500 * MS;
    int64_t restart_us = self->restart_us;
    fill(&batch, 0, 2);
    /* Nobody else moves: it waits at shard 0 until the timeout, which names the one that has not moved. */
    tw_status status = self->worker[0]->ops->acquire(self->worker[0], &batch.view, TW_ACCESS_WRITE, &rows, &error);
    assert_int_equal(status, TW_STATUS_UNAVAILABLE);
    assert_string_equal(error.code, "E304");
    assert_true(self->link[0].helloed_us[1] > restart_us);
    assert_true(self->link[0].helloed_us[1] < restart_us + 500 * MS);
    town_destroy(self);
}

static void an_idle_shard_is_asked_beside_one_that_lets_a_worker_wait(void **state)
{
    (void)state;
    town *self = town_create(1);
    tw_rows rows;
    town_batch batch;
    learn(self, 0, 0, NULL);
    learn(self, 0, 1, NULL);
    fill(&batch, 0, 2);
    batch.view.n_entries = 0; /* no row of any shard: both wait for nothing but the round */
    batch.start[1] = 0;
    assert_int_equal(
        self->worker[0]->ops->acquire(self->worker[0], &batch.view, TW_ACCESS_WRITE, &rows, NULL), TW_STATUS_OK);
    self->worker[0]->ops->abandon(self->worker[0], &batch.view, &rows);
    uint32_t n = self->link[0].n_sent[1][TW_FRAME_PING];
    for (uint32_t i = 0; i < N_KEYS; i++)
        batch.key[i] = tw_key_of_index(7, 3);
    uint32_t shard = tw_key_slot(batch.key[0]) < TW_N_SLOTS / 2 ? 0 : 1;
    batch.view.n_entries = batch.start[1] = 1;
    (void)self->worker[0]->ops->acquire(self->worker[0], &batch.view, TW_ACCESS_WRITE, &rows, NULL);
    n = shard == 0 ? self->link[0].n_sent[1][TW_FRAME_PING] - n : self->link[0].n_sent[0][TW_FRAME_PING];
    assert_true(n >= 3);
    town_destroy(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_reads_its_own_pushes_that_others_have_not_seen_yet),
        cmocka_unit_test(rows_pulled_before_the_own_push_landed_hold_it_all_the_same),
        cmocka_unit_test(only_as_many_workers_learn_at_once_as_may),
        cmocka_unit_test(a_seat_that_is_not_asked_for_again_is_free_after_a_while),
        cmocka_unit_test(a_worker_that_opens_its_session_anew_keeps_its_seat),
        cmocka_unit_test(a_wait_for_a_seat_that_nobody_learns_on_ends_with_the_name_of_its_holder),
        cmocka_unit_test(shards_that_know_no_seats_let_everybody_learn),
        cmocka_unit_test(the_round_passes_without_those_who_have_no_seat),
        cmocka_unit_test(who_has_finished_leaves_its_seat_to_the_next),
        cmocka_unit_test(a_worker_that_waits_elsewhere_soon_greets_a_shard_that_came_back),
        cmocka_unit_test(an_idle_shard_is_asked_beside_one_that_lets_a_worker_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
