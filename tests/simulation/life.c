/* One life of a worker as a coroutine: the real client learns the splits of its share the way the engine does, and
 * gives way whenever it would wait. */
#define _XOPEN_SOURCE 700
#include "life.h"

#include <math.h>

#include "engine/share.h"
#include "saver.h"
#include "shares.h"

/* Kept from seed to seed; number n is used by life n. */
static unsigned char stacks[MAX_LIVES][STACK_SIZE];

static void give_way(life *self)
{
    if (swapcontext(&self->context, &self->simulation->scheduler) != 0)
        abort();
}

static tw_status life_check(const life *self, tw_error *error)
{
    return self->is_killed ? tw_error_set(error, TW_STATUS_CANCELLED, "killed") : TW_STATUS_OK;
}

tw_status life_give_way(life *self, tw_error *error)
{
    give_way(self);
    if (self->simulation->has_coordinator && !self->is_killed && !self->is_saver)
        life_report(self);
    return life_check(self, error);
}

static tw_status link_send(tw_link *link, uint32_t shard, const void *bytes, size_t size, tw_error *error)
{
    life *self = (life *)link;
    tw_frame frame;
    tw_status status = life_check(self, error);
    if (status != TW_STATUS_OK)
        return status;
    if (tw_frame_decode(bytes, size, &frame, NULL) == TW_STATUS_OK && frame.type == TW_FRAME_SEAT)
        self->seat_asked_us = self->simulation->now_us;
    wire_put(&self->to_shard[shard][self->side[shard]], bytes, size);
    return TW_STATUS_OK;
}

static tw_status link_receive(tw_link *link, uint32_t shard, const void **bytes, size_t *size, tw_error *error)
{
    life *self = (life *)link;
    tw_status status = life_check(self, error);
    if (status < 0)
        return status;
    free(self->given);
    self->given = NULL;
    if (self->inbox[shard].count == 0)
        return TW_STATUS_IDLE;
    letter taken = wire_take(&self->inbox[shard]);
    self->given = taken.bytes;
    *bytes = taken.bytes;
    *size = taken.size;
    return TW_STATUS_OK;
}

static tw_status link_wait(tw_link *link, int timeout_ms, tw_error *error)
{
    life *self = (life *)link;
    (void)timeout_ms;
    return life_give_way(self, error);
}

static int64_t link_now(tw_link *link)
{
    const life *self = (const life *)link;
    return self->simulation->now_us + self->clock_us;
}

static const char *link_address(const tw_link *link, uint32_t shard)
{
    return address_of(((const life *)link)->side[shard]);
}

/* What is under way stays so; what has come from there is dropped. */
static tw_status link_retarget(tw_link *link, uint32_t shard, const char *address, tw_error *error)
{
    life *self = (life *)link;
    (void)error;
    uint32_t next = (self->side[shard] + 1) % self->simulation->n_sides;
    if (address == NULL || strcmp(address, address_of(self->side[shard])) != 0)
        self->side[shard] = next;
    wire_clear(&self->inbox[shard]);
    return TW_STATUS_OK;
}

static void link_close(tw_link *link)
{
    life *self = (life *)link;
    free(self->given);
    self->given = NULL;
}

static const tw_link_ops link_ops = {
    .send = link_send,
    .receive = link_receive,
    .wait = link_wait,
    .now_us = link_now,
    .address = link_address,
    .retarget = link_retarget,
    .close = link_close,
};

uint64_t key_of(uint32_t split, uint32_t event, uint32_t which)
{
    uint64_t number =
        which == 0 ? 1000 + split * MAX_EVENTS + event : tw_mix64(split * 977 + event * 31 + which) % SHARED_KEYS;
    return tw_mix64(number + 1) | 1;
}

typedef struct life_batch {
    tw_batch view;
    uint64_t key[MAX_EVENTS * EVENT_KEYS];
    uint32_t row_start[MAX_EVENTS + 1];
} life_batch;

static void fill_batch(life_batch *self, uint32_t split, uint64_t from, uint64_t to)
{
    uint64_t *key = self->key;
    uint32_t *row_start = self->row_start, n = (uint32_t)(to - from);
    for (uint32_t i = 0; i < n; i++) {
        row_start[i] = i * EVENT_KEYS;
        for (uint32_t k = 0; k < EVENT_KEYS; k++)
            key[i * EVENT_KEYS + k] = key_of(split, (uint32_t)from + i, k);
    }
    row_start[n] = n * EVENT_KEYS;
    self->view = (tw_batch){.n_events = n,
        .n_entries = n * EVENT_KEYS,
        .row_start = row_start,
        .key = key,
        .split = split + 1,
        .from = from,
        .to = to};
}

/* `next` may be NULL: not fetched ahead. */
static tw_status learn_batch(
    life *self, tw_params *params, const tw_batch *batch, const tw_batch *next, tw_error *error)
{
    tw_rows rows;
    tw_status status = params->ops->acquire(params, batch, TW_ACCESS_WRITE, &rows, error);
    if (status != TW_STATUS_OK)
        return status;
    if (next != NULL)
        status = params->ops->prefetch(params, next, error);
    if (status != TW_STATUS_OK)
        return status;
    for (uint32_t i = 0; i < batch->n_entries; i++)
        ++*(uint64_t *)rows.row[i];
    if (draw(self->simulation, 4) == 0)
        give_way(self); /* others get between the pull and the push */
    return params->ops->release(params, batch, &rows, batch->n_events, error);
}

/* Cut at the split's end and at every mark. */
static void next_batch(
    life *self, life_batch *into, uint32_t split, const uint64_t *marks, uint32_t n_marks, uint64_t at)
{
    uint64_t end = self->simulation->n_events[split], to = at + 1 + draw(self->simulation, 6);
    to = to < end ? to : end;
    for (uint32_t i = 0; i < n_marks; i++)
        to = marks[i] > at && marks[i] < to ? marks[i] : to;
    fill_batch(into, split, at, to);
}

/* What a learner with this rule lets be in flight. */
static double flight_of(const void *state, uint64_t events_learned)
{
    (void)state;
    return 0.3 * sqrt((double)events_learned);
}

static const tw_learner_ops learner = {.flight = flight_of};

double life_flight(uint64_t events_learned)
{
    return flight_of(NULL, events_learned);
}

/* The split in slices of what the flight rule allows. */
static tw_status learn_seated(
    life *self, tw_params *params, uint32_t split, const uint64_t *marks, uint32_t n_marks, tw_error *error)
{
    const simulation *world = self->simulation;
    const tw_share share = {.n_workers = world->has_coordinator ? self->member.orders.n_workers : world->n_shares,
        .stop = &self->is_paused};
    const tw_share_asking asking = {.params = params, .learner = &learner};
    tw_status status = TW_STATUS_OK;
    life_batch batch;
    for (uint64_t at = marks[0]; status == TW_STATUS_OK && at < world->n_events[split] && !self->is_paused;) {
        uint32_t most = 6;
        status = tw_share_take(&share, &asking, most, false, &most, error);
        if (status == TW_STATUS_IDLE)
            return TW_STATUS_OK;
        if (status != TW_STATUS_OK)
            break;
        next_batch(self, &batch, split, marks, n_marks, at);
        if (batch.view.to > at + most)
            fill_batch(&batch, split, at, at + most);
        at = batch.view.to;
        self->is_seated = true;
        status = learn_batch(self, params, &batch.view, NULL, error);
        self->is_seated = false;
    }
    return status;
}

/* With batches cut at every mark. */
tw_status learn_split(life *self, tw_params *params, uint32_t split, tw_error *error)
{
    uint64_t marks[MAX_SHARDS], end = self->simulation->n_events[split];
    uint32_t n_marks = MAX_SHARDS;
    life_batch batch[2];
    tw_status status = params->ops->mark(params, split + 1, marks, &n_marks, error);
    if (status == TW_STATUS_OK && self->simulation->has_seats)
        return learn_seated(self, params, split, marks, n_marks, error);
    if (status == TW_STATUS_OK && marks[0] < end)
        next_batch(self, &batch[0], split, marks, n_marks, marks[0]);
    uint64_t at = marks[0];
    for (uint32_t turn = 0; status == TW_STATUS_OK && at < end && !self->is_paused; turn = 1 - turn) {
        at = batch[turn].view.to;
        if (at < end)
            next_batch(self, &batch[1 - turn], split, marks, n_marks, at);
        bool is_ahead = at < end && draw(self->simulation, 4) != 0;
        status = learn_batch(self, params, &batch[turn].view, is_ahead ? &batch[1 - turn].view : NULL, error);
    }
    return status;
}

static tw_status life_learn(life *self, tw_params *params, tw_error *error)
{
    for (;;) {
        tw_status status = TW_STATUS_OK;
        for (uint32_t s = self->share; s < self->simulation->n_splits && status >= 0;) {
            status = learn_split(self, params, s, error);
            s += status == TW_STATUS_REWIND ? 0 : self->simulation->n_shares;
        }
        if (status >= 0)
            status = params->ops->flush(params, 100000000, error);
        if (status != TW_STATUS_REWIND)
            return status;
    }
}

static void life_main(unsigned low, unsigned high)
{
    life *self = (life *)(((uintptr_t)high << 32) | low);
    simulation *world = self->simulation;
    tw_remote_options options = {.n_shards = world->n_shards,
        .model = "simulated",
        .role = self->is_saver ? TW_ROLE_OWNER : TW_ROLE_PEER,
        .timeout_ms = 100000000,
        .retry_ms = world->n_sides > 1 ? 60 : 20,
        .sender = self->number + 1};
    if (world->has_rounds && !self->is_saver)
        options.worker = (tw_round_member){
            .index = self->share, .count = world->n_shares, .staleness = world->staleness, .birth = self->number + 1};
    tw_error error = {0};
    tw_params *params = NULL;
    tw_status status = tw_remote_create_over_take(&self->link, &world->spec, &options, &params, &error);
    if (status == TW_STATUS_OK) {
        status = self->is_saver           ? life_save(self, params, &error)
                 : world->has_coordinator ? life_learn_shares(self, params, &error)
                                          : life_learn(self, params, &error);
        params->ops->close(params);
    }
    bool is_displaced = world->has_rounds && status == TW_STATUS_CONFLICT;
    if (status < 0 && status != TW_STATUS_CANCELLED && !is_displaced)
        fail(world, error.message, self->number, status);
    tw_membership_fini(&self->member);
    self->has_finished = status == TW_STATUS_OK;
    self->state = LIFE_OVER;
    for (;;)
        give_way(self);
}

bool lives_somebody_of(const simulation *self, uint32_t share)
{
    for (uint32_t i = 0; i < self->n_lives; i++) {
        const life *one = self->life[i];
        if (one != NULL && one->share == share && one->state == LIFE_RUNS && !one->is_killed)
            return true;
    }
    return false;
}

static life *life_create(simulation *self, uint32_t share, bool is_beside)
{
    if (self->n_lives == MAX_LIVES)
        return NULL;
    uint32_t number = self->n_lives++;
    life *volatile born = calloc(1, sizeof *born);
    if (born == NULL || getcontext(&born->context) != 0)
        abort();
    born->link.ops = &link_ops;
    born->simulation = self;
    born->number = number;
    born->share = share;
    born->state = LIFE_RUNS;
    born->context.uc_stack.ss_sp = stacks[number];
    born->context.uc_stack.ss_size = STACK_SIZE;
    char name[TW_MEMBER_NAME_SIZE];
    (void)snprintf(name, sizeof name, "w%u", is_beside || lives_somebody_of(self, share) ? 1000 + number : share);
    tw_membership_init(&born->member, name, 1, number + 1, self->n_all_shares, 1, 15000);
    uintptr_t at = (uintptr_t)born;
    makecontext(&born->context, (void (*)(void))life_main, 2, (unsigned)at, (unsigned)(at >> 32));
    self->life[number] = born;
    return born;
}

void life_begin(simulation *self, uint32_t share, bool is_beside)
{
    (void)life_create(self, share, is_beside);
}

void life_begin_saver(simulation *self)
{
    life_create(self, UINT32_MAX, false)->is_saver = true;
}
