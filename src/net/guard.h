/* guard.h: decides who may connect to the encrypted servers of a context (ZeroMQ's ZAP 1.0): only public keys of the
 * allow-list pass the CURVE handshake. Without a guard CURVE lets every key in, so a server socket with keys is refused
 * until its context has one. */
#ifndef TW_NET_GUARD_H
#define TW_NET_GUARD_H

#include <stdint.h>

#include "net/keys.h"
#include "net/socket.h"

typedef struct tw_guard tw_guard;

/* Starts the guard's thread. Before any server of the context is bound; the list is copied. */
TW_MUST_USE tw_status tw_guard_start(tw_net *net, const tw_allow_list *list, tw_guard **out, tw_error *error);

/* Connects to `address`, a server of this process with public key `server_key`, by a key that is in no list: OK when it
 * is refused, CONFIG when it is let in or nobody refuses it within two seconds. */
TW_MUST_USE tw_status tw_guard_check(tw_guard *self, const char *address, const char *server_key, tw_error *error);

/* Where a server listens, and to whom. */
typedef struct tw_entrance {
    const char *address;        /* see tw_address_check */
    const tw_key_pair *keys;    /* NULL: plain, only on this machine */
    const tw_allow_list *allow; /* with keys */
    bool is_insecure;           /* plain, also on addresses of other machines */
    uint64_t max_message_bytes; /* as of tw_socket_options */
} tw_entrance;

/* A ROUTER bound at the entrance: with keys behind a guard of its own that watches it, and only after a stranger was
 * seen to be refused. Whatever was made before an error is in *socket and *guard, which are NULL before: to be released
 * by the caller, the socket first. */
TW_MUST_USE tw_status tw_guard_open(
    tw_net *net, const tw_entrance *entrance, tw_guard **guard, tw_socket **socket, tw_error *error);

/* Watches who comes to `server`, of the guard's context, from before it is bound: counts, and takes no new connections
 * for a while when too many come that do not pass the handshake or too many are open (net/door.h); those of hosts that
 * were let in before have a limit of their own. At most one server.
 * Its thread's call. */
TW_MUST_USE tw_status tw_guard_watch(tw_guard *self, tw_socket *server, tw_error *error);

/* Since the start. The last five are of the watched server; those that came, did not pass and left were silent, slow,
 * plain, of another protocol or of a stranger's key. */
typedef struct tw_guard_figures {
    uint64_t n_known, n_stranger; /* handshakes with a key that is, that is not in the allow-list */
    uint64_t n_came, n_left;      /* connections; the difference is open now */
    uint64_t n_passed;            /* handshakes that ended well */
    uint64_t n_broke;             /* that failed, but for strangers' keys */
    uint64_t n_shut;              /* times that no new connections of strangers were taken */
} tw_guard_figures;

/* Any thread. */
void tw_guard_figures_get(const tw_guard *self, tw_guard_figures *out);

/* Before tw_net_destroy and after the servers are closed. NULL-safe. */
void tw_guard_stop(tw_guard **self);

#endif
