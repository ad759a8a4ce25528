/* socket.h: the project's only way to ZeroMQ. Every socket gets the same defaults (sizes, timeouts, heartbeats), no
 * call blocks but tw_socket_wait, and every call can be made to fail by base/fault.h (TW_FAULT_SOCKET). Thread rule: a
 * tw_net may be shared by threads; a tw_socket and a tw_message belong to one thread at a time. */
#ifndef TW_NET_SOCKET_H
#define TW_NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thalweg/status.h"

typedef struct tw_net tw_net;
typedef struct tw_socket tw_socket;
typedef struct tw_message tw_message;

typedef enum tw_socket_kind {
    TW_SOCKET_ROUTER =
        1, /* answers many peers; the first part of a message is the peer's identity, chosen by the library */
    TW_SOCKET_DEALER = 2, /* talks to one peer, in order */
    TW_SOCKET_PAIR = 3,   /* two threads of one process over inproc:// */
} tw_socket_kind;

enum {
    TW_CONTROL_MAX_BYTES = 64 << 10, /* largest message of control and prediction sockets unless configured */
    TW_DATA_MAX_BYTES = 8 << 20,     /* largest message of parameter sockets */
    TW_SOCKET_HIGH_WATER = 256,      /* messages a peer and direction unless configured */
    TW_ADDRESS_SIZE = 256,
    TW_MESSAGE_MAX_PARTS = 8,
};

/* How a socket proves who it is; keys are texts of Z85 (net/keys.h), copied by the library. */
typedef struct tw_socket_security {
    const char *public_key, *secret_key; /* its own */
    const char *server_key;              /* of the server that it connects to; NULL: it is the server */
    bool is_insecure;                    /* no keys, and no objection to addresses of other machines */
} tw_socket_security;

/* Zeros mean the defaults given behind. */
typedef struct tw_socket_options {
    tw_socket_kind kind;
    const tw_socket_security *security; /* NULL: plain, and only on this machine */
    uint64_t max_message_bytes; /* TW_CONTROL_MAX_BYTES; a peer that sends more is disconnected by the library */
    uint32_t high_water;        /* TW_SOCKET_HIGH_WATER: a memory backstop, never flow control */
} tw_socket_options;

typedef struct tw_part {
    const void *bytes;
    size_t size;
} tw_part;

/* A context with its I/O threads. Destroy after all its sockets; it then never blocks (nothing lingers). */
TW_MUST_USE tw_status tw_net_create(uint32_t n_io_threads, tw_net **out, tw_error *error);
void tw_net_destroy(tw_net **self);

TW_MUST_USE tw_status tw_socket_create(tw_net *net, const tw_socket_options *options, tw_socket **out, tw_error *error);
void tw_socket_destroy(tw_socket **self); /* unsent messages are dropped */

/* Both check the address by tw_address_check first. bind: IO names the address and the remedy when it is in use (also
 * for ipc, where another live process would otherwise lose its socket silently). connect returns at once; nothing tells
 * whether anybody is there. */
TW_MUST_USE tw_status tw_socket_bind(tw_socket *self, const char *address, tw_error *error);
TW_MUST_USE tw_status tw_socket_connect(tw_socket *self, const char *address, tw_error *error);

/* Drops the connection to an address that was connected to, and what is queued for it, and connects anew: the library
 * goes on trying after every failure but one, an answer that breaks its protocol. */
TW_MUST_USE tw_status tw_socket_reconnect(tw_socket *self, const char *address, tw_error *error);

/* Leaves `from` and what is queued for it, and connects to `to`. */
TW_MUST_USE tw_status tw_socket_move(tw_socket *self, const char *from, const char *to, tw_error *error);

/* The address bound last with its real port ("tcp://127.0.0.1:*" lets the system choose); "" before. Borrowed. */
const char *tw_socket_address(const tw_socket *self);

/* Sends all parts as one message, copied, without waiting. BUSY: the queue is full or nobody is connected, nothing was
 * sent, try later. UNAVAILABLE (router): that peer is gone, nothing was sent. */
TW_MUST_USE tw_status tw_socket_send(tw_socket *self, const tw_part *part, uint32_t n_parts, tw_error *error);

/* Takes the next message without waiting, replacing what `message` held. IDLE: there is none. PROTOCOL: it had more
 * than TW_MESSAGE_MAX_PARTS parts and is gone. */
TW_MUST_USE tw_status tw_socket_receive(tw_socket *self, tw_message *message, tw_error *error);

/* Waits until one of the sockets [1 <= n <= 256] can be received from; is_readable [n] is filled. IDLE after timeout_ms
 * (< 0: for ever) or when a signal came. Where one message at a time goes to and fro the next is waited for awake for
 * up to a tenth of a millisecond (awake.h), which halves its way. */
TW_MUST_USE tw_status tw_socket_wait(
    tw_socket *const *socket, uint32_t n, int timeout_ms, bool *is_readable, tw_error *error);

/* The value of a socket option as the library has it, by the library's own number; for tests of the defaults. */
TW_MUST_USE tw_status tw_socket_option(const tw_socket *self, int option, int64_t *value, tw_error *error);

TW_MUST_USE tw_status tw_message_create(tw_message **out, tw_error *error);
void tw_message_destroy(tw_message **self);
uint32_t tw_message_n_parts(const tw_message *self);
/* Part `index` < n_parts; borrowed until the message is received into again or destroyed. Not aligned. */
tw_part tw_message_part(const tw_message *self, uint32_t index);
/* Who sent it, as the guard of an encrypted server knows the peer: "ROLE NAME"; NULL on plain sockets. Borrowed. */
const char *tw_message_user(const tw_message *self);

/* What may be bound or connected to without keys: ipc://, inproc://, tcp:// on the loopback; everything else is
 * UNSUPPORTED. `is_open`: other machines too, for sockets with keys. INVALID for what is no address. */
TW_MUST_USE tw_status tw_address_check(const char *address, bool is_open, tw_error *error);

#endif
