/* coordinator_state.h: the state of a coordinator, shared by coordinator.c (members and shares) and coordinator_save.c
 * (named checkpoints). Private. */
#ifndef TW_PS_COORDINATOR_STATE_H
#define TW_PS_COORDINATOR_STATE_H

#include "ps/coordinator/coordinator.h"
#include "ps/wire/lease.h"
#include "ps/wire/refusals.h"

typedef struct member {
    unsigned char peer[TW_PEER_SIZE];
    size_t peer_size;
    uint64_t sender, sequence;
    uint32_t number;
    int64_t heard_us;
    tw_standing standing; /* as last reported */
    tw_grant grant;       /* epoch 0: none */
    bool is_tainted;      /* shards lost rows since the grant: that it is finished does not count */
    bool is_absurd;       /* it named an owner epoch that cannot be */
    bool is_elsewhere;    /* what it finished last did not count: it learns on other shards */
    uint64_t rival;       /* another process of its name, first heard of at rival_us; 0: none */
    int64_t rival_us;
} member;

typedef struct share {
    uint32_t n_passes; /* learned */
    bool is_held;
    uint64_t last_epoch; /* the highest that it was given with */
    uint32_t last_pass;
    bool is_orphan; /* its last owner was given up and may not know it */
} share;

typedef enum save_phase { SAVE_NONE, SAVE_QUIETING, SAVE_CUTTING, SAVE_PUT_OFF, SAVE_WRITING, SAVE_ENDED } save_phase;

typedef struct save {
    save_phase phase;
    uint64_t id; /* of the latest; ascends */
    int64_t deadline_us;
    int64_t again_us, pause_us; /* put off: until then; the next time for so long */
    bool is_wanted;
    char name[TW_SAVE_NAME_SIZE];
    uint64_t sender; /* who asked */
    tw_save_state state;
    uint64_t checkpoint;
    char message[TW_ERROR_MESSAGE_SIZE];
} save;

enum { MAX_SEEN = 64 };

struct tw_coordinator {
    tw_coordinator_options options;
    char (*address)[TW_ADDRESS_SIZE]; /* [n_shards] */
    uint64_t *shard_epoch;
    uint32_t map_version;
    member *member; /* [n_members] */
    size_t n_members, capacity_members;
    share *share; /* [n_shares]; none while there is no job */
    uint32_t n_shares, passes, next_number;
    uint64_t model, job;
    uint64_t next_epoch, born;     /* born: the incarnation at the start */
    uint64_t shards, shard_epochs; /* what is finished counts for these, as of tw_standing; 0: nobody named any */
    uint64_t seen[MAX_SEEN];       /* the latest that workers named */
    uint32_t n_seen;
    int64_t started_us, now_us, looked_us;
    tw_coordinator_figures figures;
    tw_refusals refusals;
    uint64_t refused_connections; /* the edge's to know */
    save save;
    uint64_t saved; /* number of the latest named checkpoint; 0: none */
    int64_t saved_us;
    tw_buffer out;
};

void tw_coordinator_tell(tw_coordinator *self, const char *format, ...) TW_PRINTF(2, 3);
void tw_coordinator_nack(tw_coordinator *self,
    const void *peer,
    size_t peer_size,
    const tw_frame *request,
    tw_nack_reason reason,
    const char *message);
void tw_coordinator_status_answer(tw_coordinator *self, const void *peer, size_t peer_size, const tw_frame *request);
/* New orders to all. */
void tw_coordinator_order_all(tw_coordinator *self);

/* The barrier's id while workers are to stand still, or 0. */
uint64_t tw_coordinator_quiet(const tw_coordinator *self);
void tw_coordinator_save_request(tw_coordinator *self, const void *peer, size_t peer_size, const tw_frame *frame);
/* After every change of a member: is everybody quiet, or is it too late? */
void tw_coordinator_save_check(tw_coordinator *self);
/* A worker was given up. */
void tw_coordinator_save_lost(tw_coordinator *self, const char *name);

#endif
