/* orders.h: what a coordinator and its workers tell each other, as frames (frame.h). A worker's REPORT says all of
 * where it stands, the coordinator's ORDERS all of what it is to do: every message stands for itself, so that a lost or
 * repeated one does no harm. `sequence` of a REPORT comes back as `ack`; `incarnation` of ORDERS is the coordinator's.
 * SAVE asks for a named checkpoint and is repeated until SAVED says how it ended. Pure: bytes in, bytes out. */
#ifndef TW_PS_ORDERS_H
#define TW_PS_ORDERS_H

#include "ps/wire/layout.h"

enum {
    TW_MEMBER_NAME_SIZE = 64,
    TW_MAX_MEMBERS = 1024,
    TW_MAX_SHARES = 4096,
    TW_MAX_PASSES = 65535,
    TW_SAVE_NAME_SIZE = 64,
};

/* One pass over one share of the input, given to one worker. */
typedef struct tw_grant {
    uint32_t share, pass;
    uint64_t epoch; /* of ownership; ascends over all grants; 0: none */
} tw_grant;

typedef enum tw_hold {
    TW_HOLD_NOTHING = 0,  /* and wants work */
    TW_HOLD_LEARNS = 1,   /* `grant` */
    TW_HOLD_FINISHED = 2, /* `grant` is learned to its end and flushed */
    TW_HOLD_RETURNED = 3, /* `grant` is given back unfinished */
    TW_HOLD_LEAVES = 4,   /* the worker ends; it holds nothing */
} tw_hold;

typedef struct tw_standing {
    char name[TW_MEMBER_NAME_SIZE]; /* a second worker of a name takes its place once the first is silent */
    uint32_t n_shares, passes;      /* of the job; the same for all of its workers */
    tw_hold hold;
    tw_grant grant;
    uint64_t highest_epoch; /* that a shard refused it with, or 0 */
    uint64_t shards;        /* of the shards that it talks to: changes when one starts again; 0: none yet */
    uint64_t shard_epochs;  /* the sum of the epochs that these serve with, as they said */
    uint64_t quiet;         /* the checkpoint for which it stands still, or 0 */
    uint32_t map_version;   /* of the shard map that it has; 0: none */
    uint64_t job;           /* a hash of what is learned and how the input is cut, 0: not said; `handle` of the frame */
} tw_standing;

/* `shards` of a standing is the sum of this over them, with the lowest bit set; incarnation: of the process that serves
 * the shard. */
uint64_t tw_process_digest(uint32_t shard, uint64_t incarnation);

typedef struct tw_orders {
    uint32_t number;    /* of the member */
    uint32_t n_workers; /* that share the flight rule */
    bool is_over;       /* every share is learned: leave */
    tw_grant grant;     /* what it holds from the coordinator's view */
    uint64_t quiet;     /* stand still for this checkpoint; 0: go on */
    uint32_t map_version;
    uint32_t n_shards;        /* of the map that follows; 0: it has this version */
    const unsigned char *map; /* [map_size] per shard: epoch u64, length u16, address */
    size_t map_size;
} tw_orders;

typedef enum tw_save_state { TW_SAVE_UNDER_WAY = 0, TW_SAVE_DONE = 1, TW_SAVE_FAILED = 2 } tw_save_state;

/* Payloads. Decoding checks every number against its range: PROTOCOL names it. */
TW_MUST_USE tw_status tw_standing_encode(const tw_standing *self, tw_buffer *out, tw_error *error);
TW_MUST_USE tw_status tw_standing_decode(tw_standing *self, const unsigned char *bytes, size_t size, tw_error *error);
/* Without the map, which the caller appends. */
TW_MUST_USE tw_status tw_orders_encode(const tw_orders *self, tw_buffer *out, tw_error *error);
/* The map is borrowed from `bytes` and checked whole. */
TW_MUST_USE tw_status tw_orders_decode(tw_orders *self, const unsigned char *bytes, size_t size, tw_error *error);
TW_MUST_USE tw_status tw_map_append(tw_buffer *out, const char *address, uint64_t epoch, tw_error *error);
/* Shard `index` < n_shards of a map that was checked; address: TW_ADDRESS_SIZE bytes. */
void tw_map_entry(const tw_orders *self, uint32_t index, char *address, uint64_t *epoch);

#endif
