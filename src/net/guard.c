#include "net/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/door.h"
#include "net/internal.h"

enum { ZAP_FRAMES = 7, ZAP_FRAME_MAX = 256, POLL_MS = 100, SHUT_POLL_MS = 10, CHECK_MS = 2000 };

static const char *const zap_address = "inproc://zeromq.zap.01";
static const char *const door_address = "inproc://thalweg-door";

struct tw_guard {
    tw_net *net;
    void *socket;
    tw_allow_list list;
    pthread_t thread;
    bool has_thread;
    atomic_bool is_stopping;
    _Atomic(void *) monitor; /* of the server that is watched; the thread's own once it is set */
    tw_door door;
    int listener;        /* the thread's own descriptor of the listening socket; -1: not known yet */
    tw_door_state state; /* of the listener */
    tw_hosts hosts;      /* that it lets in when it is shut to strangers */
    bool has_new_host;   /* of which the listener does not know yet */
    _Atomic uint64_t n_known, n_stranger, n_came, n_passed, n_broke, n_left, n_shut;
};

/* One request: version, id, domain, address, identity, mechanism, credentials. */
typedef struct zap_request {
    unsigned char frame[ZAP_FRAMES][ZAP_FRAME_MAX];
    size_t size[ZAP_FRAMES];
    uint32_t n_frames;
} zap_request;

enum { ZAP_VERSION, ZAP_ID, ZAP_DOMAIN, ZAP_ADDRESS, ZAP_IDENTITY, ZAP_MECHANISM, ZAP_CREDENTIALS };

/* False: nothing came in time. Frames that are too long count and are cut: such a request is refused. */
static bool zap_receive(void *socket, zap_request *out)
{
    bool has_more = true;
    memset(out->size, 0, sizeof out->size);
    for (out->n_frames = 0; has_more; out->n_frames++) {
        zmq_msg_t part;
        (void)zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, 0) < 0) {
            (void)zmq_msg_close(&part);
            return false;
        }
        size_t size = zmq_msg_size(&part);
        if (out->n_frames < ZAP_FRAMES) {
            out->size[out->n_frames] = size;
            memcpy(out->frame[out->n_frames], zmq_msg_data(&part), size < ZAP_FRAME_MAX ? size : ZAP_FRAME_MAX);
        }
        has_more = zmq_msg_more(&part) != 0;
        (void)zmq_msg_close(&part);
    }
    return true;
}

static bool frame_is(const zap_request *request, uint32_t index, const char *text)
{
    return request->size[index] == strlen(text) && memcmp(request->frame[index], text, strlen(text)) == 0;
}

static const tw_allowed *zap_decide(const tw_guard *self, const zap_request *request)
{
    char key[TW_KEY_SIZE];
    if (request->n_frames != ZAP_FRAMES || !frame_is(request, ZAP_VERSION, "1.0") ||
        !frame_is(request, ZAP_MECHANISM, "CURVE") || request->size[ZAP_CREDENTIALS] != 32)
        return NULL;
    if (zmq_z85_encode(key, request->frame[ZAP_CREDENTIALS], 32) == NULL)
        return NULL;
    return tw_allow_list_find(&self->list, key);
}

static const char *role_name(tw_peer_role role)
{
    return role == TW_PEER_REPLICA ? "replica" : role == TW_PEER_ADMIN ? "admin" : "worker";
}

static void zap_answer(void *socket, const zap_request *request, const tw_allowed *who)
{
    char user[TW_PEER_NAME_SIZE + 16] = "";
    const char *code = who != NULL ? "200" : "400", *text = who != NULL ? "OK" : "key is not in the allow-list";
    size_t id_size = request->size[ZAP_ID] < ZAP_FRAME_MAX ? request->size[ZAP_ID] : ZAP_FRAME_MAX;
    if (who != NULL)
        (void)snprintf(user, sizeof user, "%s %s", role_name(who->role), who->name);
    (void)zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
    (void)zmq_send(socket, request->frame[ZAP_ID], id_size, ZMQ_SNDMORE);
    (void)zmq_send(socket, code, 3, ZMQ_SNDMORE);
    (void)zmq_send(socket, text, strlen(text), ZMQ_SNDMORE);
    (void)zmq_send(socket, user, strlen(user), ZMQ_SNDMORE);
    (void)zmq_send(socket, "", 0, 0);
}

/* --- the door ----------------------------------------------------------------------------------------------------- */

/* The event of the next monitor message and its value; 0: none came. */
static int next_event(void *monitor, int timeout_ms, int32_t *value)
{
    zmq_msg_t part;
    uint16_t event = 0;
    zmq_pollitem_t item = {.socket = monitor, .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, timeout_ms) <= 0)
        return 0;
    for (bool is_first = true, has_more = true; has_more; is_first = false) {
        (void)zmq_msg_init(&part);
        if (zmq_msg_recv(&part, monitor, 0) < 0)
            return 0;
        if (is_first && zmq_msg_size(&part) >= sizeof event + sizeof *value) {
            memcpy(&event, zmq_msg_data(&part), sizeof event);
            memcpy(value, (const char *)zmq_msg_data(&part) + sizeof event, sizeof *value);
        }
        has_more = zmq_msg_more(&part) != 0;
        (void)zmq_msg_close(&part);
    }
    return event;
}

static void guard_publish(tw_guard *self)
{
    atomic_store(&self->n_came, self->door.n_came);
    atomic_store(&self->n_passed, self->door.n_passed);
    atomic_store(&self->n_broke, self->door.n_broke);
    atomic_store(&self->n_left, self->door.n_left);
    atomic_store(&self->n_shut, self->door.n_shut);
}

/* The listener is duplicated: its number stays ours however long the server lives. */
static void guard_hear(tw_guard *self, int event, int32_t value)
{
    int64_t now_us = tw_clock_monotonic_us();
    if (event == ZMQ_EVENT_LISTENING && self->listener < 0)
        self->listener = fcntl(value, F_DUPFD_CLOEXEC, 0);
    else if (event == ZMQ_EVENT_ACCEPTED)
        (void)tw_door_tell(&self->door, TW_DOOR_CAME, now_us);
    else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
        (void)tw_door_tell(&self->door, TW_DOOR_PASSED, now_us);
    else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL || event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
        (void)tw_door_tell(&self->door, TW_DOOR_BROKE, now_us);
    else if (event == ZMQ_EVENT_DISCONNECTED)
        (void)tw_door_tell(&self->door, TW_DOOR_LEFT, now_us);
}

static void guard_follow_door(tw_guard *self, void *monitor)
{
    int32_t value = 0;
    for (int event; (event = next_event(monitor, 0, &value)) != 0;)
        guard_hear(self, event, value);
    tw_door_state state = tw_door_tick(&self->door, tw_clock_monotonic_us());
    bool is_stale = state != self->state || (state == TW_DOOR_TO_KNOWN && self->has_new_host);
    if (is_stale && self->listener >= 0 && tw_door_move(self->listener, state, &self->hosts)) {
        self->state = state;
        self->has_new_host = false;
    }
    guard_publish(self);
}

static void guard_answer(tw_guard *self)
{
    zap_request request;
    if (!zap_receive(self->socket, &request))
        return;
    const tw_allowed *who = zap_decide(self, &request);
    atomic_fetch_add(who != NULL ? &self->n_known : &self->n_stranger, 1);
    if (who != NULL && request.size[ZAP_ADDRESS] < ZAP_FRAME_MAX &&
        tw_hosts_admit(&self->hosts, (const char *)request.frame[ZAP_ADDRESS], request.size[ZAP_ADDRESS]))
        self->has_new_host = true;
    zap_answer(self->socket, &request, who);
}

static void *guard_main(void *argument)
{
    tw_guard *self = argument;
    while (!atomic_load(&self->is_stopping)) {
        void *monitor = atomic_load(&self->monitor);
        zmq_pollitem_t item[2] = {
            {.socket = self->socket, .events = ZMQ_POLLIN}, {.socket = monitor, .events = ZMQ_POLLIN}};
        if (zmq_poll(item, monitor != NULL ? 2 : 1, self->state != TW_DOOR_OPEN ? SHUT_POLL_MS : POLL_MS) < 0)
            continue;
        if ((item[0].revents & ZMQ_POLLIN) != 0)
            guard_answer(self);
        if (monitor != NULL)
            guard_follow_door(self, monitor);
    }
    return NULL;
}

static tw_status guard_open(tw_guard *self, const tw_allow_list *list, tw_error *error)
{
    int poll_ms = POLL_MS, linger = 0;
    self->list.item = tw_alloc(list->count * sizeof *list->item);
    if (self->list.item == NULL)
        return tw_no_memory(error, list->count * sizeof *list->item);
    memcpy(self->list.item, list->item, list->count * sizeof *list->item);
    self->list.count = list->count;
    self->socket = zmq_socket(self->net->context, ZMQ_REP);
    if (self->socket == NULL || zmq_setsockopt(self->socket, ZMQ_RCVTIMEO, &poll_ms, sizeof poll_ms) != 0 ||
        zmq_setsockopt(self->socket, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        zmq_bind(self->socket, zap_address) != 0)
        return tw_error_set(error, TW_STATUS_IO, "the guard of encrypted connections: %s", zmq_strerror(errno));
    int errnum = pthread_create(&self->thread, NULL, guard_main, self);
    if (errnum != 0)
        return tw_error_errno(error, TW_STATUS_NO_MEMORY, errnum, "the guard's thread cannot be started");
    self->has_thread = true;
    self->net->has_guard = true;
    return TW_STATUS_OK;
}

tw_status tw_guard_start(tw_net *net, const tw_allow_list *list, tw_guard **out, tw_error *error)
{
    *out = NULL;
    tw_guard *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->net = net;
    self->listener = -1;
    tw_door_init(&self->door, tw_clock_monotonic_us());
    tw_status status = guard_open(self, list, error);
    if (status < 0)
        tw_guard_stop(&self);
    *out = self;
    return status;
}

tw_status tw_guard_watch(tw_guard *self, tw_socket *server, tw_error *error)
{
    int no_limit = 0, linger = 0,
        events = ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                 ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL;
    void *monitor = zmq_socket(self->net->context, ZMQ_PAIR);
    /* Without a limit: the library's own threads wait where a monitor's queue is full. */
    if (monitor != NULL && zmq_setsockopt(monitor, ZMQ_RCVHWM, &no_limit, sizeof no_limit) == 0 &&
        zmq_setsockopt(monitor, ZMQ_LINGER, &linger, sizeof linger) == 0 &&
        zmq_socket_monitor(tw_socket_raw(server), door_address, events) == 0 &&
        zmq_connect(monitor, door_address) == 0) {
        atomic_store(&self->monitor, monitor);
        return TW_STATUS_OK;
    }
    tw_status status = tw_error_set(error, TW_STATUS_IO, "the watch of connections: %s", zmq_strerror(errno));
    if (monitor != NULL)
        (void)zmq_close(monitor);
    return status;
}

void tw_guard_stop(tw_guard **self)
{
    tw_guard *guard = *self;
    if (guard == NULL)
        return;
    *self = NULL;
    atomic_store(&guard->is_stopping, true);
    if (guard->has_thread)
        (void)pthread_join(guard->thread, NULL);
    if (guard->socket != NULL)
        (void)zmq_close(guard->socket);
    if (atomic_load(&guard->monitor) != NULL)
        (void)zmq_close(atomic_load(&guard->monitor));
    if (guard->listener >= 0)
        (void)close(guard->listener);
    guard->net->has_guard = false;
    tw_allow_list_fini(&guard->list);
    tw_free(guard);
}

void tw_guard_figures_get(const tw_guard *self, tw_guard_figures *out)
{
    *out = (tw_guard_figures){
        .n_known = atomic_load(&self->n_known),
        .n_stranger = atomic_load(&self->n_stranger),
        .n_left = atomic_load(&self->n_left),
        .n_passed = atomic_load(&self->n_passed),
        .n_broke = atomic_load(&self->n_broke),
        .n_shut = atomic_load(&self->n_shut),
        .n_came = atomic_load(&self->n_came),
    };
}

/* --- the refusal test --------------------------------------------------------------------------------------------- */

static tw_status await_refusal(void *monitor, const char *address, tw_error *error)
{
    int64_t end_us = tw_clock_monotonic_us() + (int64_t)CHECK_MS * 1000;
    int32_t unused;
    for (int64_t now_us; (now_us = tw_clock_monotonic_us()) < end_us;) {
        int event = next_event(monitor, (int)((end_us - now_us) / 1000) + 1, &unused);
        if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
            return TW_STATUS_OK;
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            return tw_error_set(error, TW_STATUS_CONFIG,
                "%s lets a stranger's key in: it is not served until its allow-list works", address);
    }
    return tw_error_set(error, TW_STATUS_CONFIG, "%s did not refuse a stranger's key within %d ms", address, CHECK_MS);
}

/* Where a server that listens everywhere is reached from here. */
static void local_address(const char *address, char *out, size_t size)
{
    static const char *const anywhere[] = {"tcp://0.0.0.0:", "tcp://*:", "tcp://[::]:"};
    (void)snprintf(out, size, "%s", address);
    for (size_t i = 0; i < 3; i++) {
        if (strncmp(address, anywhere[i], strlen(anywhere[i])) == 0)
            (void)snprintf(out, size, "tcp://127.0.0.1:%s", address + strlen(anywhere[i]));
    }
}

tw_status tw_guard_check(tw_guard *self, const char *address, const char *server_key, tw_error *error)
{
    static const char *const monitor_address = "inproc://thalweg-guard-check";
    tw_key_pair stranger;
    char target[TW_ADDRESS_SIZE];
    int linger = 0;
    tw_status status = tw_key_pair_create(&stranger, error);
    if (status < 0)
        return status;
    local_address(address, target, sizeof target);
    void *client = zmq_socket(self->net->context, ZMQ_DEALER), *monitor = zmq_socket(self->net->context, ZMQ_PAIR);
    bool is_ready = client != NULL && monitor != NULL &&
                    zmq_setsockopt(client, ZMQ_LINGER, &linger, sizeof linger) == 0 &&
                    zmq_setsockopt(monitor, ZMQ_LINGER, &linger, sizeof linger) == 0 &&
                    zmq_setsockopt(client, ZMQ_CURVE_SERVERKEY, server_key, TW_KEY_SIZE) == 0 &&
                    zmq_setsockopt(client, ZMQ_CURVE_PUBLICKEY, stranger.public_key, TW_KEY_SIZE) == 0 &&
                    zmq_setsockopt(client, ZMQ_CURVE_SECRETKEY, stranger.secret_key, TW_KEY_SIZE) == 0 &&
                    zmq_socket_monitor(client, monitor_address, ZMQ_EVENT_ALL) == 0 &&
                    zmq_connect(monitor, monitor_address) == 0 && zmq_connect(client, target) == 0;
    status = is_ready ? await_refusal(monitor, address, error)
                      : tw_error_set(error, TW_STATUS_IO, "the test of %s: %s", address, zmq_strerror(errno));
    if (client != NULL) {
        (void)zmq_socket_monitor(client, NULL, 0);
        (void)zmq_close(client);
    }
    if (monitor != NULL)
        (void)zmq_close(monitor);
    return status;
}

tw_status tw_guard_open(tw_net *net, const tw_entrance *entrance, tw_guard **guard, tw_socket **socket, tw_error *error)
{
    const tw_key_pair *keys = entrance->keys;
    tw_socket_security security = {.is_insecure = keys == NULL};
    tw_socket_options options = {.kind = TW_SOCKET_ROUTER, .max_message_bytes = entrance->max_message_bytes};
    tw_status status = TW_STATUS_OK;
    if (keys != NULL) {
        security.public_key = keys->public_key;
        security.secret_key = keys->secret_key;
        status = tw_guard_start(net, entrance->allow, guard, error);
    }
    if (keys != NULL || entrance->is_insecure)
        options.security = &security;
    if (status == TW_STATUS_OK)
        status = tw_socket_create(net, &options, socket, error);
    if (status == TW_STATUS_OK && keys != NULL)
        status = tw_guard_watch(*guard, *socket, error);
    if (status == TW_STATUS_OK)
        status = tw_socket_bind(*socket, entrance->address, error);
    if (status == TW_STATUS_OK && keys != NULL)
        status = tw_guard_check(*guard, tw_socket_address(*socket), keys->public_key, error);
    return status;
}
