/* remote.h: the parameter store whose rows lie on shards. It is the same state machine over any tw_link; see link.h. */
#ifndef TW_PS_REMOTE_H
#define TW_PS_REMOTE_H

#include <stdatomic.h>

#include "ps/wire/layout.h"
#include "ps/wire/link.h"
#include "ps/wire/pipeline.h"

/* Called about once a second while the client waits for a shard, from the thread that waits. */
typedef void (*tw_remote_progress)(void *context, uint32_t shard, const char *address, int64_t waited_ms);

/* What this worker, of several with limited staleness, waits for. Called as tw_remote_progress. */
typedef struct tw_remote_wait {
    uint32_t shard;
    const char *address;
    uint32_t worker, worker_round; /* who is waited for, and the round that it is in; 0: it has not come */
    uint32_t round;                /* of this worker; 0: it waits for a seat (seat.h) */
    const char *holder;            /* then: who has one */
    int64_t waited_ms;             /* since the other one moved last */
} tw_remote_wait;
typedef void (*tw_remote_waiting)(void *context, const tw_remote_wait *wait);

/* Zeros mean the defaults given behind. */
typedef struct tw_remote_options {
    const char *const *address; /* [n_shards], in the order of the shards' indices, each "A" or "A|B" (see link.h);
                                   borrowed for the call */
    uint32_t n_shards;          /* 1 .. TW_MAX_SHARDS */
    const char *model;          /* name, below TW_MODEL_NAME_SIZE bytes */
    tw_role role;               /* TW_ROLE_OWNER */
    bool is_fresh;              /* shards drop what they have */
    bool takes_other_keep; /* shards whose rows were admitted, expire or are evicted otherwise go on as `spec` says */
    int timeout_ms;        /* 30000: then the call fails and names the shard that did not answer */
    int retry_ms;          /* 1000: silence after which a session is opened anew; doubles up to 8 times that */
    const tw_socket_security *security; /* keys; NULL: plain. Borrowed for the call */
    uint64_t sender;                    /* from clock and process; another one for every client */
    tw_round_member worker;             /* of several with fixed shares; count 0: none. Birth from the clock */
    tw_pipeline_digest pipeline;        /* of one of several; all 0: not said */
    const atomic_bool *stop; /* set: the first wait for all of them is given up (CANCELLED); NULL: it is not. Borrowed
                                for the call */
    tw_remote_progress progress;
    /* Asked as often while a shard is waited for: an error ends the wait, as where nobody will serve it again. */
    tw_status (*check)(void *context, tw_error *error);
    tw_remote_waiting waiting;
    void *context;
} tw_remote_options;

/* Connects, says HELLO to every shard and waits for all. CONFLICT: a shard holds another model (says in what),
 * UNAVAILABLE: a shard did not answer in time. */
TW_MUST_USE tw_status tw_remote_create(
    const tw_table_spec *spec, const tw_remote_options *options, tw_params **out, tw_error *error);

/* The same over a link of one's own, which the store closes (also when this fails). */
TW_MUST_USE tw_status tw_remote_create_over_take(
    tw_link *link, const tw_table_spec *spec, const tw_remote_options *options, tw_params **out, tw_error *error);

/* The shard is served at `address` now, or at the first of several, "A|B", with this epoch (replication.h): the session
 * goes on there, or starts anew; a lower epoch than is known is passed over. For whoever knows the shards' whereabouts;
 * between two calls of the store, or from tw_remote_progress. UNSUPPORTED over links of one address. */
TW_MUST_USE tw_status tw_remote_retarget(
    tw_params *params, uint32_t shard, const char *address, uint64_t epoch, tw_error *error);

#endif
