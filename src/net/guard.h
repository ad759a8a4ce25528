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

/* Handshakes that were let in and refused so far. Any thread. */
void tw_guard_counts(const tw_guard *self, uint64_t *n_accepted, uint64_t *n_refused);

/* Before tw_net_destroy and after the servers are closed. NULL-safe. */
void tw_guard_stop(tw_guard **self);

#endif
