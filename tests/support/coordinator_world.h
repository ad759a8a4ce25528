/* coordinator_world.h: a coordinator and its members over a virtual clock and a network that loses, repeats and delays,
 * with as much of shards as owner epochs and lost rows need. Workers learn for a random time; run_to_end checks that
 * nothing was left out. */
#ifndef TW_TESTS_COORDINATOR_WORLD_H
#define TW_TESTS_COORDINATOR_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "ps/coordinator/coordinator.h"
#include "ps/worker/membership.h"

enum { MAX_WORKERS = 6, SHARES = 12, PASSES = 2, QUEUE = 512, STEP_US = 10000, MS = 1000 };

typedef struct letter {
    int64_t due_us;
    uint64_t to; /* sender's number; 0: the coordinator */
    uint64_t from;
    size_t size;
    unsigned char bytes[2048];
} letter;

typedef struct worker {
    tw_membership state;
    bool is_alive;
    int64_t silent_until_us, busy_until_us;
    tw_grant grant; /* being learned */
    uint64_t told_shards;
    bool has_left, is_stuck; /* is_stuck: reports, but comes to no end */
    uint64_t shards, epochs; /* that it talks to; 0: those of the world */
} worker;

typedef struct world {
    uint64_t random;
    int64_t now_us;
    tw_coordinator *coordinator;
    uint64_t incarnation;
    letter *queue; /* [QUEUE] */
    uint32_t n_queue;
    uint32_t drop, duplicate; /* of 256 */
    worker worker[MAX_WORKERS];
    uint32_t n_workers, n_started;
    /* What the shards know. */
    uint64_t shards, epochs, fence[SHARES];
    bool is_watching; /* whoever watches the shards knows what follows of them */
    bool is_heard, is_settled;
    uint64_t found[2]; /* incarnations */
    bool is_learned[SHARES][PASSES];
    /* What happened. */
    uint32_t n_grants, n_fenced, n_notes;
    uint64_t last_epoch[SHARES];
    char note[256];
    tw_buffer out;
} world;

static inline uint64_t draw(world *self)
{
    return self->random = tw_mix64(self->random + 1);
}

static inline void post(world *self, uint64_t from, uint64_t to, const void *bytes, size_t size)
{
    assert_true(size <= sizeof self->queue[0].bytes);
    uint32_t copies = draw(self) % 256 < self->drop ? 0 : 1 + (draw(self) % 256 < self->duplicate);
    for (uint32_t i = 0; i < copies && self->n_queue < QUEUE; i++) {
        letter *one = &self->queue[self->n_queue++];
        one->due_us = self->now_us + (int64_t)(draw(self) % (self->duplicate ? 40 * MS : 1));
        one->from = from;
        one->to = to;
        one->size = size;
        memcpy(one->bytes, bytes, size);
    }
}

static inline void world_emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    uint64_t to = 0;
    assert_int_equal(peer_size, sizeof to);
    memcpy(&to, peer, sizeof to);
    post(context, 0, to, bytes, size);
}

static inline void world_note(void *context, const char *message)
{
    world *self = context;
    self->n_notes++;
    (void)snprintf(self->note, sizeof self->note, "%s", message);
}

static inline void world_look(void *context, uint32_t shard, tw_lookout_shard *out)
{
    const world *self = context;
    *out = (tw_lookout_shard){.address = "ipc:///a",
        .is_heard = self->is_heard,
        .is_settled = self->is_settled,
        .incarnation = self->found[shard],
        .silent_us = -1};
}

/* As its workers name the shards of these processes. */
static inline uint64_t shards_of(uint64_t first, uint64_t second)
{
    return (tw_process_digest(0, first) + tw_process_digest(1, second)) | 1;
}

/* All names but one are free. */
static inline bool world_takes_name(void *context, const char *name, char why[TW_ERROR_MESSAGE_SIZE])
{
    (void)context;
    (void)snprintf(why, TW_ERROR_MESSAGE_SIZE, "checkpoint 7 has the name already");
    return strcmp(name, "taken") != 0;
}

static inline void start_coordinator(world *self, int64_t grace_us)
{
    static const char *const address[2] = {"ipc:///a", "ipc:///b"};
    tw_coordinator_options options = {.incarnation = self->incarnation,
        .address = address,
        .n_shards = 2,
        .grace_us = grace_us,
        .can_save = true,
        .emit = world_emit,
        .note = world_note,
        .takes_name = world_takes_name,
        .look = self->is_watching ? world_look : NULL,
        .context = self,
        .note_context = self};
    tw_coordinator_destroy(&self->coordinator);
    assert_int_equal(tw_coordinator_create(&options, self->now_us, &self->coordinator, NULL), TW_STATUS_OK);
}

static inline void start_worker(world *self, uint32_t index)
{
    char name[16];
    worker *one = &self->worker[index];
    tw_membership_fini(&one->state);
    *one = (worker){.is_alive = true};
    (void)snprintf(name, sizeof name, "w%u", index);
    tw_membership_init(&one->state, name, 77, ++self->n_started, SHARES, PASSES, 200 * MS);
}

static inline world *world_create(uint64_t seed, uint32_t n_workers)
{
    world *self = calloc(1, sizeof *self);
    self->queue = calloc(QUEUE, sizeof *self->queue);
    self->random = seed;
    self->incarnation = 1000000;
    self->shards = 5;
    self->n_workers = n_workers;
    start_coordinator(self, 0);
    for (uint32_t i = 0; i < n_workers; i++)
        start_worker(self, i);
    return self;
}

static inline void world_destroy(world *self)
{
    tw_coordinator_destroy(&self->coordinator);
    for (uint32_t i = 0; i < MAX_WORKERS; i++)
        tw_membership_fini(&self->worker[i].state);
    tw_free(self->out.bytes);
    free(self->queue);
    free(self);
}

static inline worker *worker_of(world *self, uint64_t sender)
{
    for (uint32_t i = 0; i < self->n_workers; i++) {
        if (self->worker[i].is_alive && self->worker[i].state.sender == sender)
            return &self->worker[i];
    }
    return NULL;
}

static inline void deliver(world *self, const letter *one)
{
    worker *to = worker_of(self, one->to);
    if (one->to == 0 && self->coordinator != NULL)
        tw_coordinator_receive(self->coordinator, self->now_us, &one->from, sizeof one->from, one->bytes, one->size);
    else if (to != NULL)
        assert_int_equal(tw_membership_take(&to->state, self->now_us, one->bytes, one->size, NULL), TW_STATUS_OK);
}

static inline void deliver_due(world *self)
{
    for (uint32_t i = 0; i < self->n_queue;) {
        if (self->queue[i].due_us > self->now_us) {
            i++;
            continue;
        }
        letter one = self->queue[i];
        self->queue[i] = self->queue[--self->n_queue];
        deliver(self, &one);
        i = 0;
    }
}

static inline void tell(world *self, worker *by, tw_hold hold)
{
    by->told_shards = by->state.standing.shards = by->shards != 0 ? by->shards : self->shards;
    by->state.standing.shard_epochs = by->shards != 0 ? by->epochs : self->epochs;
    tw_membership_set(&by->state, hold, by->grant);
}

/* As a shard does: a claim or push of a lower owner epoch is refused. */
static inline bool is_fenced(world *self, const worker *by)
{
    uint64_t *fence = &self->fence[by->grant.share];
    if (*fence > by->grant.epoch) {
        self->n_fenced++;
        return true;
    }
    *fence = by->grant.epoch;
    return false;
}

static inline void take_grant(world *self, worker *by)
{
    tw_grant grant = by->state.orders.grant;
    by->grant = grant;
    if (grant.epoch != self->last_epoch[grant.share]) {
        assert_true(grant.epoch > self->last_epoch[grant.share] || self->drop > 0);
        if (grant.epoch > self->last_epoch[grant.share])
            self->last_epoch[grant.share] = grant.epoch;
        self->n_grants++;
    }
    if (is_fenced(self, by)) {
        by->state.standing.highest_epoch = self->fence[grant.share];
        tell(self, by, TW_HOLD_RETURNED);
        return;
    }
    tell(self, by, TW_HOLD_LEARNS);
    by->busy_until_us = self->now_us + (int64_t)(draw(self) % 300) * MS;
}

static inline void finish_grant(world *self, worker *by)
{
    if (is_fenced(self, by)) {
        by->state.standing.highest_epoch = self->fence[by->grant.share];
        tell(self, by, TW_HOLD_RETURNED);
        return;
    }
    for (uint32_t p = 0; p <= by->grant.pass; p++)
        self->is_learned[by->grant.share][p] = true;
    tell(self, by, TW_HOLD_FINISHED);
}

static inline void worker_act(world *self, worker *by)
{
    tw_membership *state = &by->state;
    if (state->standing.hold == TW_HOLD_LEARNS) {
        if (tw_membership_must_pause(state) && state->orders.grant.epoch != by->grant.epoch)
            tell(self, by, TW_HOLD_RETURNED);
        else if (tw_membership_must_pause(state)) {
            state->standing.quiet = state->orders.quiet;
            tell(self, by, TW_HOLD_LEARNS);
        } else if (self->now_us >= by->busy_until_us && state->orders.quiet == 0)
            finish_grant(self, by);
    } else if (state->has_orders && state->orders.grant.epoch != 0) {
        take_grant(self, by);
    } else if (state->has_orders && state->orders.is_over) {
        if (by->told_shards != (by->shards != 0 ? by->shards : self->shards))
            tell(self, by, TW_HOLD_NOTHING);
        else {
            tell(self, by, TW_HOLD_LEAVES);
            by->has_left = true;
        }
    }
}

static inline void worker_turn(world *self, worker *by)
{
    if (!by->is_alive || self->now_us < by->silent_until_us)
        return;
    if (!by->has_left && !by->is_stuck)
        worker_act(self, by);
    if (!tw_membership_is_due(&by->state, self->now_us))
        return;
    assert_int_equal(tw_membership_report(&by->state, self->now_us, &self->out, NULL), TW_STATUS_OK);
    post(self, by->state.sender, 0, self->out.bytes, self->out.size);
    if (by->has_left)
        by->is_alive = false;
}

static inline void step(world *self)
{
    self->now_us += STEP_US;
    deliver_due(self);
    for (uint32_t i = 0; i < self->n_workers; i++)
        worker_turn(self, &self->worker[i]);
    deliver_due(self);
    if (self->coordinator != NULL)
        tw_coordinator_tick(self->coordinator, self->now_us);
}

static inline void run_for(world *self, int64_t duration_us)
{
    for (int64_t end = self->now_us + duration_us; self->now_us < end;)
        step(self);
}

static inline bool has_ended(const world *self)
{
    for (uint32_t i = 0; i < self->n_workers; i++) {
        if (self->worker[i].is_alive)
            return false;
    }
    return true;
}

/* What is lost once all have left is not theirs to find. */
static inline bool is_anybody_working(const world *self)
{
    for (uint32_t i = 0; i < self->n_workers; i++) {
        if (self->worker[i].is_alive && !self->worker[i].has_left)
            return true;
    }
    return false;
}

static inline void run_to_end(world *self)
{
    for (uint32_t i = 0; i < 100000 && !has_ended(self); i++)
        step(self);
    assert_true(has_ended(self));
    for (uint32_t s = 0; s < SHARES; s++) {
        for (uint32_t p = 0; p < PASSES; p++)
            assert_true(self->is_learned[s][p]);
    }
}

static inline tw_coordinator_figures figures(world *self)
{
    tw_coordinator_figures out;
    tw_coordinator_stats(self->coordinator, &out);
    return out;
}

#endif
