#include "ps/edge/member.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "ps/wire/link.h"

enum { HEARTBEAT_MS = 200, LEAVE_MS = 200, BUSY_MS = 20, TURN_MS = 10, PATIENCE_US = 2000000 };

struct tw_member {
    tw_link *link; /* the thread's */
    tw_buffer out;
    pthread_t thread;
    bool is_started;
    const atomic_bool *stop;
    atomic_bool pause;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t told, heard;
    tw_membership state;
    int64_t looked_us; /* since when it is asked at its present address */
    tw_status failure;
    tw_error error;
    bool has_left;
};

static tw_status member_send(tw_member *self, int64_t now_us, tw_error *error)
{
    if (!tw_membership_is_due(&self->state, now_us))
        return TW_STATUS_OK;
    tw_status status = tw_membership_report(&self->state, now_us, &self->out, error);
    if (status == TW_STATUS_OK)
        status = self->link->ops->send(self->link, 0, self->out.bytes, self->out.size, error);
    if (status == TW_STATUS_OK && self->state.standing.hold == TW_HOLD_LEAVES)
        self->has_left = true;
    if (status != TW_STATUS_BUSY && status != TW_STATUS_UNAVAILABLE)
        return status;
    self->state.due_us = now_us + (int64_t)BUSY_MS * 1000;
    return TW_STATUS_OK;
}

static tw_status member_receive(tw_member *self, int64_t now_us, tw_error *error)
{
    for (;;) {
        const void *bytes = NULL;
        size_t size = 0;
        tw_status status = self->link->ops->receive(self->link, 0, &bytes, &size, error);
        if (status == TW_STATUS_IDLE)
            return TW_STATUS_OK;
        if (status == TW_STATUS_OK)
            status = tw_membership_take(&self->state, now_us, bytes, size, error);
        if (status < 0)
            return status;
    }
}

/* One that stands still is looked for at the next address, too. */
static tw_status member_look_elsewhere(tw_member *self, int64_t now_us, tw_error *error)
{
    if (tw_membership_silent_us(&self->state, now_us) < PATIENCE_US || now_us - self->looked_us < PATIENCE_US)
        return TW_STATUS_OK;
    self->looked_us = now_us;
    return self->link->ops->retarget(self->link, 0, NULL, error);
}

static bool must_pause(const tw_member *self)
{
    return tw_membership_must_pause(&self->state) || (self->stop != NULL && atomic_load(self->stop));
}

/* One exchange, with the mutex held. */
static void member_turn(tw_member *self)
{
    int64_t now_us = tw_clock_monotonic_us();
    tw_error error = {0};
    tw_membership_look(&self->state, now_us);
    tw_status status = member_send(self, now_us, &error);
    if (status >= 0)
        status = member_receive(self, now_us, &error);
    if (status >= 0)
        status = member_look_elsewhere(self, now_us, &error);
    if (status < 0) {
        self->failure = status;
        self->error = error;
    }
    /* It stays: who stops because of it must find it when it asks why, although all may go on by then. */
    if (must_pause(self))
        atomic_store(&self->pause, true);
    (void)pthread_cond_broadcast(&self->heard);
}

static void *member_main(void *argument)
{
    tw_member *self = argument;
    (void)pthread_mutex_lock(&self->mutex);
    while (self->failure >= 0 && !self->has_left) {
        member_turn(self);
        /* Whoever has work says when it is done; otherwise the next word is the coordinator's. */
        bool is_learning = self->state.has_orders && self->state.orders.grant.epoch != 0;
        if (is_learning || tw_membership_is_due(&self->state, tw_clock_monotonic_us())) {
            struct timespec at = tw_clock_deadline(is_learning ? TURN_MS * 2 : 1);
            (void)pthread_cond_timedwait(&self->told, &self->mutex, &at);
            continue;
        }
        (void)pthread_mutex_unlock(&self->mutex);
        tw_status status = self->link->ops->wait(self->link, TURN_MS, NULL);
        (void)pthread_mutex_lock(&self->mutex);
        if (status < 0)
            self->failure = status;
    }
    self->has_left = true;
    (void)pthread_cond_broadcast(&self->heard);
    (void)pthread_mutex_unlock(&self->mutex);
    return NULL;
}

static void member_init(tw_member *self, const tw_member_options *options)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->told, &attributes);
    (void)pthread_cond_init(&self->heard, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&self->mutex, NULL);
    uint32_t heartbeat_ms = options->heartbeat_ms ? options->heartbeat_ms : HEARTBEAT_MS;
    tw_membership_init(&self->state, options->name, tw_hash(options->model, strlen(options->model)), tw_link_sender(),
        options->n_shares, options->passes, (int64_t)heartbeat_ms * 1000);
    self->state.standing.job = options->job;
    self->stop = options->stop;
    tw_membership_begin(&self->state, tw_clock_monotonic_us());
}

tw_status tw_member_start(const tw_member_options *options, tw_member **out, tw_error *error)
{
    *out = NULL;
    size_t size = strlen(options->name);
    if (size == 0 || size >= TW_MEMBER_NAME_SIZE || options->n_shares == 0 || options->n_shares > TW_MAX_SHARES ||
        options->passes == 0 || options->passes > TW_MAX_PASSES)
        return tw_error_set(error, TW_STATUS_INVALID,
            "worker \"%.70s\" of %u shares in %u passes: a name of 1 to %d bytes, at most %d shares and %d passes",
            options->name, options->n_shares, options->passes, TW_MEMBER_NAME_SIZE - 1, TW_MAX_SHARES, TW_MAX_PASSES);
    tw_member *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    member_init(self, options);
    tw_status status = tw_link_zmq_create(&options->address, 1, options->security, &self->link, error);
    if (status == TW_STATUS_OK) {
        int errnum = pthread_create(&self->thread, NULL, member_main, self);
        self->is_started = errnum == 0;
        if (errnum != 0)
            status =
                tw_error_errno(error, TW_STATUS_NO_MEMORY, errnum, "the thread of the membership cannot be started");
    }
    if (status < 0)
        tw_member_stop(&self);
    *out = self;
    return status;
}

void tw_member_stop(tw_member **self)
{
    tw_member *member = *self;
    if (member == NULL)
        return;
    *self = NULL;
    if (member->is_started) {
        struct timespec at = tw_clock_deadline(LEAVE_MS);
        tw_member_tell(member, TW_HOLD_LEAVES, (tw_grant){0}, 0, 0, 0);
        (void)pthread_mutex_lock(&member->mutex);
        while (!member->has_left && pthread_cond_timedwait(&member->heard, &member->mutex, &at) == 0) {
        }
        member->has_left = true;
        (void)pthread_cond_signal(&member->told);
        (void)pthread_mutex_unlock(&member->mutex);
        (void)pthread_join(member->thread, NULL);
        /* What was sent goes out before the socket closes. */
        tw_clock_sleep_us(2000);
    }
    if (member->link != NULL)
        member->link->ops->close(member->link);
    tw_membership_fini(&member->state);
    tw_free(member->out.bytes);
    (void)pthread_cond_destroy(&member->told);
    (void)pthread_cond_destroy(&member->heard);
    (void)pthread_mutex_destroy(&member->mutex);
    tw_free(member);
}

void tw_member_tell(
    tw_member *self, tw_hold hold, tw_grant grant, uint64_t highest_epoch, uint64_t shards, uint64_t shard_epochs)
{
    (void)pthread_mutex_lock(&self->mutex);
    tw_membership_set(&self->state, hold, grant);
    if (highest_epoch > self->state.standing.highest_epoch)
        self->state.standing.highest_epoch = highest_epoch;
    if (shards != 0) {
        self->state.standing.shards = shards;
        self->state.standing.shard_epochs = shard_epochs;
    }
    atomic_store(&self->pause, self->stop != NULL && atomic_load(self->stop));
    (void)pthread_cond_signal(&self->told);
    (void)pthread_mutex_unlock(&self->mutex);
}

void tw_member_set_quiet(tw_member *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    self->state.standing.quiet = self->state.orders.quiet;
    tw_membership_set(&self->state, self->state.standing.hold, self->state.standing.grant);
    (void)pthread_cond_signal(&self->told);
    (void)pthread_mutex_unlock(&self->mutex);
}

void tw_member_go_on(tw_member *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    atomic_store(&self->pause, must_pause(self));
    (void)pthread_mutex_unlock(&self->mutex);
}

tw_status tw_member_wait(tw_member *self, int timeout_ms, tw_orders *out, int64_t *silent_us, tw_error *error)
{
    struct timespec at = tw_clock_deadline(timeout_ms);
    int errnum = 0;
    (void)pthread_mutex_lock(&self->mutex);
    const tw_membership *state = &self->state;
    while (self->failure >= 0 && !state->has_orders && state->refusal[0] == '\0' && errnum == 0)
        errnum = pthread_cond_timedwait(&self->heard, &self->mutex, &at);
    tw_status status = state->has_orders ? TW_STATUS_OK : TW_STATUS_IDLE;
    if (state->refusal[0] != '\0') {
        status = tw_error_set(error, TW_STATUS_CONFLICT, "the coordinator refuses this worker: %.200s", state->refusal);
        tw_error_code(error, "E306");
    }
    if (self->failure < 0) {
        status = self->failure;
        if (error != NULL)
            *error = self->error;
    }
    *out = state->orders;
    *silent_us = tw_membership_silent_us(&self->state, tw_clock_monotonic_us());
    (void)pthread_mutex_unlock(&self->mutex);
    return status;
}

const atomic_bool *tw_member_pause(const tw_member *self)
{
    return &self->pause;
}

uint32_t tw_member_map(tw_member *self, uint32_t *version, char (*address)[TW_ADDRESS_SIZE], uint64_t *epoch)
{
    (void)pthread_mutex_lock(&self->mutex);
    const tw_membership *state = &self->state;
    uint32_t n = state->standing.map_version != *version ? state->n_shards : 0;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(address[i], state->address[i], TW_ADDRESS_SIZE);
        epoch[i] = state->shard_epoch[i];
    }
    *version = state->standing.map_version;
    (void)pthread_mutex_unlock(&self->mutex);
    return n;
}

int64_t tw_member_delay(tw_member *self, char text[TW_ERROR_MESSAGE_SIZE])
{
    (void)pthread_mutex_lock(&self->mutex);
    memcpy(text, self->state.delay, TW_ERROR_MESSAGE_SIZE);
    int64_t us = tw_membership_delayed_us(&self->state, tw_clock_monotonic_us());
    (void)pthread_mutex_unlock(&self->mutex);
    return us;
}
