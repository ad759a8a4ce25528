#include "ps/edge/coordinator_server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/guard.h"
#include "ps/coordinator/coordinator_state.h"
#include "ps/edge/lookout_edge.h"
#include "ps/edge/refusal_log.h"

enum { TURN_MS = 20, TURN_FRAMES = 256, MAX_MESSAGE_BYTES = 256 << 10 };

struct tw_coordinator_server {
    tw_net *net;
    tw_guard *guard; /* NULL: plain */
    tw_socket *socket;
    tw_message *message;
    tw_refusal_log refusal_log;
    tw_lookout_edge *lookout; /* the thread's; NULL: it does not watch the shards */
    pthread_t thread;
    bool is_started;
    atomic_bool stop;
    pthread_mutex_t mutex; /* guards what follows */
    tw_coordinator *coordinator;
    bool is_elsewhere; /* a thread that is not the server's calls the coordinator */
    bool has_orders;   /* it had something to say */
    tw_status failure;
    tw_error error;
};

/* What cannot be sent now is asked for again. The socket is the server's thread's: what others cause it sends in its
 * next turn. */
static void server_emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    tw_coordinator_server *self = context;
    if (self->is_elsewhere) {
        self->has_orders = true;
        return;
    }
    tw_part part[2] = {{peer, peer_size}, {bytes, size}};
    (void)!tw_socket_send(self->socket, part, 2, NULL);
}

/* With the mutex held. The guard has written the peer's role in front of its name. */
static void server_take(tw_coordinator_server *self)
{
    tw_part peer = tw_message_part(self->message, 0), frame = tw_message_part(self->message, 1);
    const char *user = tw_message_user(self->message);
    bool is_replica = user != NULL && strncmp(user, "replica ", strlen("replica ")) == 0;
    tw_coordinator_receive_from(
        self->coordinator, tw_clock_monotonic_us(), is_replica, peer.bytes, peer.size, frame.bytes, frame.size);
}

/* With the mutex held. */
static void server_tell_refusals(tw_coordinator_server *self, bool is_last)
{
    char text[TW_REFUSALS_TEXT_SIZE];
    tw_coordinator_tell_connections(self->coordinator, tw_refused_connections(self->guard));
    if (tw_refusal_log_is_due(&self->refusal_log, tw_clock_monotonic_us(), tw_coordinator_refusals(self->coordinator),
            self->guard, is_last, text))
        tw_log(TW_LOG_WARN, "the coordinator at %s: refused so far: %s", tw_socket_address(self->socket), text);
}

static tw_status server_receive(tw_coordinator_server *self, tw_error *error)
{
    for (uint32_t i = 0; i < TURN_FRAMES; i++) {
        tw_status status = tw_socket_receive(self->socket, self->message, error);
        if (status == TW_STATUS_IDLE)
            return TW_STATUS_OK;
        if (status < 0 && status != TW_STATUS_PROTOCOL)
            return status;
        (void)pthread_mutex_lock(&self->mutex);
        if (status == TW_STATUS_PROTOCOL || tw_message_n_parts(self->message) != 2)
            tw_coordinator_formless(self->coordinator);
        else
            server_take(self);
        (void)pthread_mutex_unlock(&self->mutex);
    }
    return TW_STATUS_OK;
}

static void server_look(void *context, uint32_t shard, tw_lookout_shard *out)
{
    tw_coordinator_server *self = context;
    tw_lookout_look(tw_lookout_edge_state(self->lookout), shard, out);
}

/* With the mutex held: what was found out about shards goes to the workers. */
static tw_status server_watch(tw_coordinator_server *self, tw_error *error)
{
    char address[TW_ADDRESS_SIZE];
    uint32_t shard = 0;
    uint64_t epoch = 0;
    if (self->lookout == NULL)
        return TW_STATUS_OK;
    tw_status status = tw_lookout_edge_turn(self->lookout, tw_clock_monotonic_us(), error);
    while (status == TW_STATUS_OK && tw_lookout_moved(tw_lookout_edge_state(self->lookout), &shard, address, &epoch))
        status = tw_coordinator_set_shard(self->coordinator, shard, address, epoch, error);
    return status;
}

static void *server_main(void *argument)
{
    tw_coordinator_server *self = argument;
    tw_error error = {0};
    tw_status status = TW_STATUS_OK;
    while (status >= 0 && !atomic_load(&self->stop)) {
        bool is_readable = false;
        status = tw_socket_wait(&self->socket, 1, TURN_MS, &is_readable, &error);
        if (status >= 0 && is_readable)
            status = server_receive(self, &error);
        (void)pthread_mutex_lock(&self->mutex);
        if (status >= 0)
            status = server_watch(self, &error);
        tw_coordinator_tick(self->coordinator, tw_clock_monotonic_us());
        if (self->has_orders)
            tw_coordinator_order_all(self->coordinator);
        self->has_orders = false;
        if (status < 0) {
            self->failure = status;
            self->error = error;
        }
        server_tell_refusals(self, false);
        (void)pthread_mutex_unlock(&self->mutex);
    }
    return NULL;
}

static tw_status server_bind(tw_coordinator_server *self, const tw_coordinator_server_options *options, tw_error *error)
{
    tw_entrance entrance = {.address = options->address,
        .keys = options->keys,
        .allow = options->allow,
        .is_insecure = options->is_insecure,
        .max_message_bytes = MAX_MESSAGE_BYTES};
    return tw_guard_open(self->net, &entrance, &self->guard, &self->socket, error);
}

static tw_status server_open_lookout(
    tw_coordinator_server *self, const tw_coordinator_server_options *options, tw_error *error)
{
    tw_lookout_edge_options lookout = {
        .address = options->shard,
        .n_shards = options->n_shards,
        .security = options->shard_security,
        .silence_us = (int64_t)options->takeover_after_ms * 1000,
        .hint = options->shard_hint,
        .note = options->note,
        .context = options->context,
    };
    return options->is_watching ? tw_lookout_edge_create(&lookout, &self->lookout, error) : TW_STATUS_OK;
}

static tw_status server_open(tw_coordinator_server *self, const tw_coordinator_server_options *options, tw_error *error)
{
    tw_coordinator_options coordinator = {
        .incarnation = (uint64_t)tw_clock_wall_us(),
        .address = options->shard,
        .n_shards = options->n_shards,
        .dead_after_us = (int64_t)options->dead_after_ms * 1000,
        .grace_us = (int64_t)options->grace_ms * 1000,
        .save_timeout_us = (int64_t)options->save_timeout_ms * 1000,
        .can_save = options->can_save,
        .why_not = options->why_not,
        .takes_name = options->takes_name,
        .emit = server_emit,
        .note = options->note,
        .look = options->is_watching ? server_look : NULL,
        .context = self,
        .note_context = options->context,
    };
    tw_status status = tw_coordinator_create(&coordinator, tw_clock_monotonic_us(), &self->coordinator, error);
    if (status == TW_STATUS_OK)
        status = tw_net_create(1, &self->net, error);
    if (status == TW_STATUS_OK)
        status = tw_message_create(&self->message, error);
    if (status == TW_STATUS_OK)
        status = server_bind(self, options, error);
    if (status == TW_STATUS_OK)
        status = server_open_lookout(self, options, error);
    return status;
}

tw_status tw_coordinator_server_start(
    const tw_coordinator_server_options *options, tw_coordinator_server **out, tw_error *error)
{
    *out = NULL;
    tw_coordinator_server *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    (void)pthread_mutex_init(&self->mutex, NULL);
    tw_status status = server_open(self, options, error);
    if (status == TW_STATUS_OK) {
        int errnum = pthread_create(&self->thread, NULL, server_main, self);
        self->is_started = errnum == 0;
        if (errnum != 0)
            status = tw_error_errno(error, TW_STATUS_NO_MEMORY, errnum, "the coordinator's thread cannot be started");
    }
    if (status < 0)
        tw_coordinator_server_stop(&self);
    *out = self;
    return status;
}

void tw_coordinator_server_stop(tw_coordinator_server **self)
{
    tw_coordinator_server *server = *self;
    if (server == NULL)
        return;
    *self = NULL;
    atomic_store(&server->stop, true);
    if (server->is_started) {
        (void)pthread_join(server->thread, NULL);
        server_tell_refusals(server, true);
    }
    tw_lookout_edge_destroy(&server->lookout);
    tw_coordinator_destroy(&server->coordinator);
    tw_message_destroy(&server->message);
    tw_socket_destroy(&server->socket);
    tw_guard_stop(&server->guard);
    tw_net_destroy(&server->net);
    (void)pthread_mutex_destroy(&server->mutex);
    tw_free(server);
}

const char *tw_coordinator_server_address(const tw_coordinator_server *self)
{
    return tw_socket_address(self->socket);
}

static tw_coordinator *enter(tw_coordinator_server *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    self->is_elsewhere = true;
    return self->coordinator;
}

static void leave(tw_coordinator_server *self)
{
    self->is_elsewhere = false;
    (void)pthread_mutex_unlock(&self->mutex);
}

tw_status tw_coordinator_server_check(tw_coordinator_server *self, tw_error *error)
{
    (void)pthread_mutex_lock(&self->mutex);
    tw_status status = self->failure;
    if (status < 0 && error != NULL)
        *error = self->error;
    (void)pthread_mutex_unlock(&self->mutex);
    return status;
}

void tw_coordinator_server_stats(tw_coordinator_server *self, tw_coordinator_figures *out)
{
    tw_coordinator_stats(enter(self), out);
    leave(self);
}

tw_status tw_coordinator_server_status(tw_coordinator_server *self, tw_coordination *out, tw_error *error)
{
    (void)pthread_mutex_lock(&self->mutex);
    tw_status status = tw_coordinator_status(self->coordinator, out, error);
    (void)pthread_mutex_unlock(&self->mutex);
    return status;
}

void tw_coordinator_server_forget(tw_coordinator_server *self, const char *name)
{
    tw_coordinator_forget(enter(self), tw_clock_monotonic_us(), name);
    leave(self);
}

void tw_coordinator_server_save_cut(tw_coordinator_server *self, tw_status status, const char *message)
{
    tw_coordinator_save_cut(enter(self), status, message);
    leave(self);
}

void tw_coordinator_server_save_done(tw_coordinator_server *self, tw_status status, uint64_t id, const char *message)
{
    tw_coordinator_save_done(enter(self), status, id, message);
    leave(self);
}

bool tw_coordinator_server_save_wanted(
    tw_coordinator_server *self, char name[TW_SAVE_NAME_SIZE], tw_grant *orphan, uint32_t *n)
{
    bool is_wanted = tw_coordinator_save_wanted(enter(self), name, orphan, n);
    leave(self);
    return is_wanted;
}
