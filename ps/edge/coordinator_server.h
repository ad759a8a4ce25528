/* coordinator_server.h: a coordinator with its socket, clock and thread around it: what `thalweg coordinator` and a run
 * with several workers hold. All calls from any thread. */
#ifndef TW_PS_COORDINATOR_SERVER_H
#define TW_PS_COORDINATOR_SERVER_H

#include "net/keys.h"
#include "net/socket.h"
#include "ps/coordinator/coordinator.h"

typedef struct tw_coordinator_server tw_coordinator_server;

typedef struct tw_coordinator_server_options {
    const char *address;        /* as of tw_shard_server_options */
    const tw_key_pair *keys;    /* NULL: plain; copied */
    const tw_allow_list *allow; /* with keys */
    bool is_insecure;
    const char *const *shard; /* [n_shards] addresses */
    uint32_t n_shards;
    uint32_t dead_after_ms; /* 0: 2000 */
    uint32_t grace_ms;      /* 0: none */
    uint32_t save_timeout_ms;
    bool can_save;
    const char *why_not;                      /* as of tw_coordinator_options */
    bool is_watching;                         /* the shards: finds those that died and has their standbys take over */
    const tw_socket_security *shard_security; /* then: towards them; NULL: plain. Borrowed for the call */
    uint32_t takeover_after_ms;               /* then: their silence; 0: 1000 */
    const char *shard_hint;                   /* then: as of tw_lookout_options */
    bool (*takes_name)(void *context, const char *name, char why[TW_ERROR_MESSAGE_SIZE]); /* from the server's thread */
    tw_coordinator_note note; /* from the server's thread; may be NULL */
    void *context;
} tw_coordinator_server_options;

/* Binds and starts the thread. */
TW_MUST_USE tw_status tw_coordinator_server_start(
    const tw_coordinator_server_options *options, tw_coordinator_server **out, tw_error *error);
void tw_coordinator_server_stop(tw_coordinator_server **self); /* NULL-safe */

/* The address with its real port. Borrowed. */
const char *tw_coordinator_server_address(const tw_coordinator_server *self);

/* OK while it serves; else the error that ended it. */
TW_MUST_USE tw_status tw_coordinator_server_check(tw_coordinator_server *self, tw_error *error);

/* As the calls of coordinator.h. */
void tw_coordinator_server_forget(tw_coordinator_server *self, const char *name);
void tw_coordinator_server_stats(tw_coordinator_server *self, tw_coordinator_figures *out);
TW_MUST_USE tw_status tw_coordinator_server_status(tw_coordinator_server *self, tw_coordination *out, tw_error *error);
bool tw_coordinator_server_save_wanted(
    tw_coordinator_server *self, char name[TW_SAVE_NAME_SIZE], tw_grant *orphan, uint32_t *n);
void tw_coordinator_server_save_cut(tw_coordinator_server *self, tw_status status, const char *message);
void tw_coordinator_server_save_done(tw_coordinator_server *self, tw_status status, uint64_t id, const char *message);

#endif
