/* membership.h: a worker's side of orders.h, as a state machine: bytes and time in, bytes out. What it holds is set by
 * the worker; what it is to do comes from the newest orders that answer the newest change. One thread. */
#ifndef TW_PS_MEMBERSHIP_H
#define TW_PS_MEMBERSHIP_H

#include "net/socket.h"
#include "ps/wire/orders.h"

typedef struct tw_membership {
    tw_standing standing; /* change it by tw_membership_set */
    tw_orders orders;     /* without the map */
    uint64_t model, sender, incarnation, sequence,
        needed; /* needed: sequence of the REPORT that told the last change */
    int64_t heartbeat_us, due_us;
    int64_t looked_us, heard_us;      /* heard_us: of the coordinator; it moves on by what the process stood still */
    int64_t delayed_us;               /* since when there is no place for it; likewise */
    bool has_orders;                  /* that answer the last change */
    char (*address)[TW_ADDRESS_SIZE]; /* [n_shards] of the map */
    uint64_t *shard_epoch;
    uint32_t n_shards;
    char refusal[TW_ERROR_MESSAGE_SIZE]; /* "": not refused */
    char delay[TW_ERROR_MESSAGE_SIZE];   /* why there is no place for it yet; "": there is */
} tw_membership;

/* `name` below TW_MEMBER_NAME_SIZE bytes; sender: random, not 0. */
void tw_membership_init(tw_membership *self,
    const char *name,
    uint64_t model,
    uint64_t sender,
    uint32_t n_shares,
    uint32_t passes,
    int64_t heartbeat_us);
/* From here on the coordinator is waited for. */
void tw_membership_begin(tw_membership *self, int64_t now_us);
void tw_membership_fini(tw_membership *self);

/* Something to tell at once: earlier orders do not count any more. */
void tw_membership_set(tw_membership *self, tw_hold hold, tw_grant grant);

/* Whether a REPORT is due; and the REPORT, in `out`. */
bool tw_membership_is_due(const tw_membership *self, int64_t now_us);
TW_MUST_USE tw_status tw_membership_report(tw_membership *self, int64_t now_us, tw_buffer *out, tw_error *error);

/* One frame from the coordinator. What is damaged, old or somebody else's is passed over. NO_MEMORY is the only error.
 */
TW_MUST_USE tw_status tw_membership_take(
    tw_membership *self, int64_t now_us, const void *bytes, size_t size, tw_error *error);

/* How long nothing was heard of the coordinator, and how long it has had no place for the worker, 0: it has. Without
 * time in which the process stood still, if one of these, or tw_membership_look, is called several times a second. */
int64_t tw_membership_silent_us(tw_membership *self, int64_t now_us);
int64_t tw_membership_delayed_us(tw_membership *self, int64_t now_us);
void tw_membership_look(tw_membership *self, int64_t now_us);

/* True while the grant that is learned has to be left: it is somebody else's by now, or all are to stand still. */
bool tw_membership_must_pause(const tw_membership *self);

#endif
