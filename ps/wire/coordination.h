/* coordination.h: what a coordinator says of itself, for people and monitors: STATUS asks it as it asks a shard
 * (status.h), and STATUS_ARE answers with parts of other tags: figures, shards, members, frames refused by reason.
 * Whoever may connect may ask. */
#ifndef TW_PS_COORDINATION_H
#define TW_PS_COORDINATION_H

#include "net/socket.h"
#include "ps/wire/orders.h"
#include "ps/wire/status.h"

typedef enum tw_coordination_figure {
    TW_COORDINATION_UPTIME_MS,
    TW_COORDINATION_INCARNATION,
    TW_COORDINATION_MEMBERS,
    TW_COORDINATION_SHARES,
    TW_COORDINATION_PASSES,
    TW_COORDINATION_GRANTED,
    TW_COORDINATION_FINISHED,
    TW_COORDINATION_GRANTS,
    TW_COORDINATION_EVICTIONS,
    TW_COORDINATION_RESETS,
    TW_COORDINATION_HIGHEST_EPOCH,
    TW_COORDINATION_MAP_VERSION,
    TW_COORDINATION_IS_WATCHING,
    TW_COORDINATION_TAKEOVERS,
    TW_COORDINATION_CHECKPOINT,
    TW_COORDINATION_CHECKPOINT_AGE_MS,
    TW_COORDINATION_REPEATED,
    TW_COORDINATION_FORMLESS,
    TW_COORDINATION_REFUSED_CONNECTIONS,
    TW_COORDINATION_N_FIGURES,
} tw_coordination_figure;

/* [TW_COORDINATION_N_FIGURES]; metric: without "thalweg_coordinator_". */
const tw_status_entry *tw_coordination_table(void);

typedef struct tw_coordination_shard {
    char address[TW_ADDRESS_SIZE]; /* of the one that serves, or that should */
    uint64_t epoch, takeovers;
    uint64_t silent_ms;   /* TW_STATUS_UNKNOWN: never heard of, or nobody watches */
    uint64_t is_served;   /* 0, 1, TW_STATUS_UNKNOWN */
    uint64_t has_standby; /* likewise */
} tw_coordination_shard;

typedef struct tw_coordination_member {
    char name[TW_MEMBER_NAME_SIZE];
    uint64_t number, silent_ms;
    tw_grant grant; /* epoch 0: none */
} tw_coordination_member;

/* All zero is empty; release with tw_coordination_fini. */
typedef struct tw_coordination {
    uint64_t figure[TW_COORDINATION_N_FIGURES];
    uint64_t nack[TW_NACK_N_REASONS];
    tw_coordination_shard *shard; /* [n_shards <= TW_MAX_SHARDS] */
    uint32_t n_shards;
    tw_coordination_member *member; /* [n_members <= TW_MAX_MEMBERS] */
    uint32_t n_members;
} tw_coordination;

void tw_coordination_fini(tw_coordination *self);

/* Appends the payload. */
TW_MUST_USE tw_status tw_coordination_encode(const tw_coordination *self, tw_buffer *out, tw_error *error);
/* PROTOCOL: what came is not what a coordinator says. Fills `self`, which is empty before. */
TW_MUST_USE tw_status tw_coordination_decode(
    tw_coordination *self, const unsigned char *bytes, size_t size, tw_error *error);

/* Asks the coordinator at `address` and waits for its answer. UNAVAILABLE: nobody answers. */
TW_MUST_USE tw_status tw_coordination_ask(
    const char *address, const tw_socket_security *security, int timeout_ms, tw_coordination *out, tw_error *error);

#endif
