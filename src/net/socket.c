#include "net/socket.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "net/awake.h"
#include "net/internal.h"
#include "net/keys.h"

struct tw_socket {
    void *socket;
#ifdef __SANITIZE_THREAD__
    unsigned n_uses;
#endif
    tw_socket_kind kind;
    uint32_t n_received; /* messages since the last wait */
    tw_awake awake;      /* of the waits that it is the first socket of */
    bool is_open;        /* keys, or no objection: addresses of other machines are fine */
    char address[TW_ADDRESS_SIZE];
};

struct tw_message {
    uint32_t n_parts;
    zmq_msg_t part[TW_MESSAGE_MAX_PARTS];
};

enum { SOCKET_MAX_WAIT = 256 };

/* The library is not built with the thread sanitizer, and its reports are suppressed: this write shows it two threads
 * that use a socket at once. */
static inline void socket_use(tw_socket *self)
{
#ifdef __SANITIZE_THREAD__
    self->n_uses++;
#else
    (void)self;
#endif
}

static tw_status socket_error(tw_error *error, int errnum, const char *call)
{
    tw_status status = tw_error_set(error, TW_STATUS_IO, "ZeroMQ %s: %s", call, zmq_strerror(errnum));
    if (error != NULL)
        error->retriable = errnum == EAGAIN || errnum == EINTR;
    return status;
}

tw_status tw_net_create(uint32_t n_io_threads, tw_net **out, tw_error *error)
{
    tw_net *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->context = tw_fault_hit(TW_FAULT_SOCKET) ? NULL : zmq_ctx_new();
    if (self->context == NULL || zmq_ctx_set(self->context, ZMQ_IO_THREADS, (int)n_io_threads) != 0) {
        tw_status status = socket_error(error, errno, "context");
        tw_net_destroy(&self);
        return status;
    }
    *out = self;
    return TW_STATUS_OK;
}

void tw_net_destroy(tw_net **self)
{
    if (*self == NULL)
        return;
    if ((*self)->context != NULL) {
        while (zmq_ctx_term((*self)->context) != 0 && errno == EINTR) {
        }
    }
    tw_free(*self);
    *self = NULL;
}

typedef struct socket_default {
    int option, value;
    uint32_t kinds; /* bit 1 << kind */
} socket_default;

enum {
    ON_ROUTER = 1 << TW_SOCKET_ROUTER,
    ON_DEALER = 1 << TW_SOCKET_DEALER,
    ON_ALL = ON_ROUTER | ON_DEALER | 1 << TW_SOCKET_PAIR,
};

/* Milliseconds. LINGER 0: our own drain comes first. Routing ids are left to the library: there is no id to steal. */
static const socket_default defaults[] = {
    {ZMQ_LINGER, 0, ON_ALL},
    {ZMQ_HANDSHAKE_IVL, 5000, ON_ALL},
    {ZMQ_HEARTBEAT_IVL, 1000, ON_ALL},
    {ZMQ_HEARTBEAT_TIMEOUT, 3000, ON_ALL},
    {ZMQ_HEARTBEAT_TTL, 3000, ON_ALL},
    {ZMQ_SNDTIMEO, 1000, ON_ALL},
    {ZMQ_RCVTIMEO, 1000, ON_ALL},
    {ZMQ_RECONNECT_IVL, 50, ON_ALL},
    {ZMQ_RECONNECT_IVL_MAX, 1000, ON_ALL},
    {ZMQ_IMMEDIATE, 1, ON_DEALER},
    {ZMQ_ROUTER_MANDATORY, 1, ON_ROUTER},
    {ZMQ_ROUTER_HANDOVER, 0, ON_ROUTER},
};

static int option_set(void *socket, int option, const void *value, size_t size)
{
    return tw_fault_hit(TW_FAULT_SOCKET) ? -1 : zmq_setsockopt(socket, option, value, size);
}

static tw_status socket_set_defaults(tw_socket *self, const tw_socket_options *options, tw_error *error)
{
    int64_t max_bytes = options->max_message_bytes ? (int64_t)options->max_message_bytes : TW_CONTROL_MAX_BYTES;
    int high_water = options->high_water ? (int)options->high_water : TW_SOCKET_HIGH_WATER;
    if (option_set(self->socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) != 0 ||
        option_set(self->socket, ZMQ_SNDHWM, &high_water, sizeof high_water) != 0 ||
        option_set(self->socket, ZMQ_RCVHWM, &high_water, sizeof high_water) != 0)
        return socket_error(error, errno, "limits");
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        if ((defaults[i].kinds & 1u << options->kind) == 0)
            continue;
        if (option_set(self->socket, defaults[i].option, &defaults[i].value, sizeof(int)) != 0)
            return socket_error(error, errno, "option");
    }
    return TW_STATUS_OK;
}

/* Keys on both sides: the server proves itself by its secret key, the client by one that the server's guard knows. */
static tw_status socket_set_keys(
    tw_socket *self, const tw_net *net, const tw_socket_security *security, tw_error *error)
{
    int is_server = security->server_key == NULL;
    self->is_open = true;
    if (security->is_insecure)
        return TW_STATUS_OK;
    if (is_server && !net->has_guard)
        return tw_error_set(error, TW_STATUS_INVALID,
            "a server with keys needs a guard: without an allow-list CURVE lets every key in");
    if (option_set(self->socket, ZMQ_CURVE_PUBLICKEY, security->public_key, TW_KEY_SIZE) != 0 ||
        option_set(self->socket, ZMQ_CURVE_SECRETKEY, security->secret_key, TW_KEY_SIZE) != 0)
        return tw_error_set(
            error, TW_STATUS_UNSUPPORTED, "keys cannot be used: this libzmq was built without CURVE (libsodium)");
    int result = is_server ? option_set(self->socket, ZMQ_CURVE_SERVER, &is_server, sizeof is_server)
                           : option_set(self->socket, ZMQ_CURVE_SERVERKEY, security->server_key, TW_KEY_SIZE);
    if (result == 0 && is_server)
        result = option_set(self->socket, ZMQ_ZAP_DOMAIN, "thalweg", strlen("thalweg"));
    return result == 0 ? TW_STATUS_OK : socket_error(error, errno, "keys");
}

tw_status tw_socket_create(tw_net *net, const tw_socket_options *options, tw_socket **out, tw_error *error)
{
    static const int types[] = {
        [TW_SOCKET_ROUTER] = ZMQ_ROUTER, [TW_SOCKET_DEALER] = ZMQ_DEALER, [TW_SOCKET_PAIR] = ZMQ_PAIR};
    tw_socket *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->kind = options->kind;
    self->socket = tw_fault_hit(TW_FAULT_SOCKET) ? NULL : zmq_socket(net->context, types[options->kind]);
    tw_status status =
        self->socket != NULL ? socket_set_defaults(self, options, error) : socket_error(error, errno, "socket");
    if (status == TW_STATUS_OK && options->security != NULL)
        status = socket_set_keys(self, net, options->security, error);
    if (status < 0) {
        tw_socket_destroy(&self);
        return status;
    }
    *out = self;
    return TW_STATUS_OK;
}

void tw_socket_destroy(tw_socket **self)
{
    if (*self == NULL)
        return;
    if ((*self)->socket != NULL)
        (void)zmq_close((*self)->socket);
    tw_free(*self);
    *self = NULL;
}

/* Only where it is asked for: with it, addresses of version 4 would come back in a mapped form. */
static int socket_allow_ipv6(tw_socket *self, const char *address)
{
    int yes = 1;
    return strncmp(address, "tcp://[", 7) == 0 ? option_set(self->socket, ZMQ_IPV6, &yes, sizeof yes) : 0;
}

/* ZeroMQ removes a socket file before it binds, so a second process would take over the first one's address. */
static bool ipc_is_alive(const char *address)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *path = address + strlen("ipc://");
    if (strncmp(address, "ipc://", 6) != 0 || *path == '@')
        return false;
    memcpy(name.sun_path, path, strlen(path) + 1);
    int fd = tw_fault_hit(TW_FAULT_SOCKET) ? -1 : socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return false;
    bool is_alive = connect(fd, (const struct sockaddr *)&name, sizeof name) == 0;
    (void)close(fd);
    return is_alive;
}

static tw_status bind_error(tw_error *error, int errnum, const char *address)
{
    const char *remedy = "check the address";
    if (errnum == EADDRINUSE)
        remedy = "another process listens there: stop it or choose another port or path";
    else if (errnum == EACCES || errnum == EPERM)
        remedy = "choose a port above 1023 or a directory that you may write to";
    else if (errnum == ENOENT)
        remedy = "the directory does not exist: create it";
    else if (errnum == ENODEV || errnum == EADDRNOTAVAIL)
        remedy = "this machine has no such address: give one of its own in numbers, as 127.0.0.1, or * for all";
    bool is_taken = errnum == EADDRINUSE;
    tw_status status = tw_error_set(error, is_taken ? TW_STATUS_UNAVAILABLE : TW_STATUS_IO,
        "cannot listen on %s: %s; %s", address, zmq_strerror(errnum), remedy);
    if (is_taken)
        tw_error_code(error, "E401");
    return status;
}

tw_status tw_socket_bind(tw_socket *self, const char *address, tw_error *error)
{
    socket_use(self);
    tw_status status = tw_address_check(address, self->is_open, error);
    if (status < 0)
        return status;
    if (ipc_is_alive(address))
        return bind_error(error, EADDRINUSE, address);
    if (socket_allow_ipv6(self, address) != 0 || tw_fault_hit(TW_FAULT_SOCKET) || zmq_bind(self->socket, address) != 0)
        return bind_error(error, errno, address);
    size_t size = sizeof self->address;
    if (zmq_getsockopt(self->socket, ZMQ_LAST_ENDPOINT, self->address, &size) != 0)
        return bind_error(error, errno, address);
    return TW_STATUS_OK;
}

tw_status tw_socket_connect(tw_socket *self, const char *address, tw_error *error)
{
    socket_use(self);
    tw_status status = tw_address_check(address, self->is_open, error);
    if (status < 0)
        return status;
    if (socket_allow_ipv6(self, address) != 0 || tw_fault_hit(TW_FAULT_SOCKET) ||
        zmq_connect(self->socket, address) != 0)
        return tw_error_set(
            error, TW_STATUS_IO, "cannot connect to %s: %s; check the address", address, zmq_strerror(errno));
    return TW_STATUS_OK;
}

tw_status tw_socket_move(tw_socket *self, const char *from, const char *to, tw_error *error)
{
    socket_use(self);
    (void)zmq_disconnect(self->socket, from);
    return tw_socket_connect(self, to, error);
}

tw_status tw_socket_reconnect(tw_socket *self, const char *address, tw_error *error)
{
    return tw_socket_move(self, address, address, error);
}

void *tw_socket_raw(const tw_socket *self)
{
    return self->socket;
}

const char *tw_socket_address(const tw_socket *self)
{
    return self->address;
}

static tw_status send_error(tw_error *error, int errnum)
{
    if (errnum == EAGAIN)
        return tw_error_set(error, TW_STATUS_BUSY, "the socket's queue is full or nobody is connected");
    if (errnum == EHOSTUNREACH)
        return tw_error_set(error, TW_STATUS_UNAVAILABLE, "the peer is gone");
    return socket_error(error, errnum, "send");
}

tw_status tw_socket_send(tw_socket *self, const tw_part *part, uint32_t n_parts, tw_error *error)
{
    socket_use(self);
    for (uint32_t i = 0; i < n_parts; i++) {
        int flags = ZMQ_DONTWAIT | (i + 1 < n_parts ? ZMQ_SNDMORE : 0);
        int result;
        /* Only the first part can find the queue full; a fault inside a message would leave half of it behind. */
        if (i == 0 && tw_fault_hit(TW_FAULT_SOCKET))
            return send_error(error, errno);
        do {
            result = zmq_send(self->socket, part[i].size > 0 ? part[i].bytes : "", part[i].size, flags);
        } while (result < 0 && errno == EINTR);
        if (result < 0)
            return send_error(error, errno);
    }
    return TW_STATUS_OK;
}

static void message_clear(tw_message *self)
{
    for (uint32_t i = 0; i < self->n_parts; i++)
        (void)zmq_msg_close(&self->part[i]);
    self->n_parts = 0;
}

tw_status tw_socket_receive(tw_socket *self, tw_message *message, tw_error *error)
{
    bool has_more = true, is_too_long = false;
    socket_use(self);
    message_clear(message);
    while (has_more) {
        zmq_msg_t part;
        int result;
        (void)zmq_msg_init(&part);
        do {
            result = tw_fault_hit(TW_FAULT_SOCKET) ? -1 : zmq_msg_recv(&part, self->socket, ZMQ_DONTWAIT);
        } while (result < 0 && errno == EINTR);
        if (result < 0) {
            int errnum = errno;
            (void)zmq_msg_close(&part);
            message_clear(message);
            return errnum == EAGAIN ? TW_STATUS_IDLE : socket_error(error, errnum, "receive");
        }
        has_more = zmq_msg_more(&part) != 0;
        if (message->n_parts < TW_MESSAGE_MAX_PARTS) {
            zmq_msg_t *slot = &message->part[message->n_parts++];
            (void)zmq_msg_init(slot);
            (void)zmq_msg_move(slot, &part);
        } else {
            is_too_long = true;
        }
        (void)zmq_msg_close(&part);
    }
    self->n_received++;
    if (!is_too_long)
        return TW_STATUS_OK;
    message_clear(message);
    return tw_error_set(error, TW_STATUS_PROTOCOL, "message of more than %d parts", TW_MESSAGE_MAX_PARTS);
}

static uint32_t take_received(tw_socket *const *socket, uint32_t n)
{
    uint32_t n_received = 0;
    for (uint32_t i = 0; i < n; i++) {
        n_received += socket[i]->n_received;
        socket[i]->n_received = 0;
    }
    return n_received;
}

static int socket_poll(tw_socket *const *socket, zmq_pollitem_t *item, uint32_t n, int timeout_ms)
{
    tw_awake *awake = &socket[0]->awake;
    if (timeout_ms == 0)
        return zmq_poll(item, (int)n, 0);
    int result = 0;
    int64_t begin_us = tw_clock_monotonic_us();
    bool is_awake = tw_awake_begin(awake, take_received(socket, n));
    while (is_awake && (result = zmq_poll(item, (int)n, 0)) == 0) {
        is_awake = tw_clock_monotonic_us() - begin_us < TW_AWAKE_US;
        (void)sched_yield();
    }
    if (result != 0)
        return result;
    result = zmq_poll(item, (int)n, timeout_ms);
    tw_awake_slept(awake, tw_clock_monotonic_us() - begin_us, result <= 0);
    return result;
}

tw_status tw_socket_wait(tw_socket *const *socket, uint32_t n, int timeout_ms, bool *is_readable, tw_error *error)
{
    zmq_pollitem_t item[SOCKET_MAX_WAIT];
    if (n == 0 || n > SOCKET_MAX_WAIT)
        return tw_error_set(error, TW_STATUS_INVALID, "%u sockets to wait for, 1 to %d", n, SOCKET_MAX_WAIT);
    for (uint32_t i = 0; i < n; i++) {
        socket_use(socket[i]);
        item[i] = (zmq_pollitem_t){.socket = socket[i]->socket, .events = ZMQ_POLLIN};
        is_readable[i] = false;
    }
    int result = tw_fault_hit(TW_FAULT_SOCKET) ? -1 : socket_poll(socket, item, n, timeout_ms);
    if (result < 0)
        return errno == EINTR ? TW_STATUS_IDLE : socket_error(error, errno, "poll");
    for (uint32_t i = 0; i < n; i++)
        socket_use(socket[i]);
    for (uint32_t i = 0; i < n; i++)
        is_readable[i] = (item[i].revents & ZMQ_POLLIN) != 0;
    return result > 0 ? TW_STATUS_OK : TW_STATUS_IDLE;
}

tw_status tw_socket_option(const tw_socket *self, int option, int64_t *value, tw_error *error)
{
    int64_t wide = 0;
    int narrow = 0;
    size_t size = option == ZMQ_MAXMSGSIZE ? sizeof wide : sizeof narrow;
    void *into = option == ZMQ_MAXMSGSIZE ? (void *)&wide : (void *)&narrow;
    if (zmq_getsockopt(self->socket, option, into, &size) != 0)
        return socket_error(error, errno, "getsockopt");
    *value = option == ZMQ_MAXMSGSIZE ? wide : narrow;
    return TW_STATUS_OK;
}

tw_status tw_message_create(tw_message **out, tw_error *error)
{
    *out = tw_alloc_zero(sizeof **out);
    return *out != NULL ? TW_STATUS_OK : tw_no_memory(error, sizeof **out);
}

void tw_message_destroy(tw_message **self)
{
    if (*self == NULL)
        return;
    message_clear(*self);
    tw_free(*self);
    *self = NULL;
}

uint32_t tw_message_n_parts(const tw_message *self)
{
    return self->n_parts;
}

tw_part tw_message_part(const tw_message *self, uint32_t index)
{
    /* The library's accessor takes a pointer that is not const but changes nothing. */
    zmq_msg_t *part = &((union {
        const tw_message *in;
        tw_message *out;
    }){.in = self})
                           .out->part[index];
    return (tw_part){zmq_msg_data(part), zmq_msg_size(part)};
}

const char *tw_message_user(const tw_message *self)
{
    return self->n_parts > 0 ? zmq_msg_gets(&self->part[self->n_parts - 1], "User-Id") : NULL;
}
