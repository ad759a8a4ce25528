/* standby_edge.h: a standby's socket and clock: what `thalweg ps --standby-of` runs beside its shard until that is
 * promoted, and how it tells the shard that it took over from afterwards. One thread. */
#ifndef TW_PS_STANDBY_EDGE_H
#define TW_PS_STANDBY_EDGE_H

#include "net/socket.h"
#include "ps/shard/standby.h"

typedef struct tw_standby_edge tw_standby_edge;

typedef struct tw_standby_edge_options {
    const char *primary; /* its address */
    const tw_socket_security *security;
    uint32_t index, count;
    uint64_t max_bytes;
    uint64_t epoch; /* a primary that is older is not copied */
    bool is_sync;
} tw_standby_edge_options;

/* Strings and security are borrowed for the call. */
TW_MUST_USE tw_status tw_standby_edge_create(
    tw_net *net, const tw_standby_edge_options *options, tw_standby_edge **out, tw_error *error);
void tw_standby_edge_destroy(tw_standby_edge **self);

/* To wait on. Borrowed. */
tw_socket *tw_standby_edge_socket(const tw_standby_edge *self);

/* False: it has taken over, and there is no copy any more. */
bool tw_standby_edge_figures(const tw_standby_edge *self, tw_standby_figures *out);

/* Takes what has come, confirms it; carries out a promotion that `shard` was asked for, with `router` as the socket
 * that it is served at. To be called whenever the socket can be received from, and every 50 ms at least. */
TW_MUST_USE tw_status tw_standby_edge_turn(tw_standby_edge *self, tw_shard *shard, tw_socket *router, tw_error *error);

/* Asks the shard at `address` to take over (PROMOTE) and waits for the answer. *epoch (NULL allowed): its epoch then.
 * UNAVAILABLE: its copy is not complete, or it refused; TIMEOUT: it did not answer, and may yet take over. */
TW_MUST_USE tw_status tw_shard_promote(const char *address,
    const tw_socket_security *security,
    const tw_promotion *promotion,
    int timeout_ms,
    uint64_t *epoch,
    tw_error *error);

#endif
