/* member.h: a worker's membership with its socket, clock and thread around it. The worker's own thread says what it
 * holds and asks what to do; the other one keeps the coordinator informed meanwhile. While the coordinator is away,
 * what is held is learned on. */
#ifndef TW_PS_MEMBER_H
#define TW_PS_MEMBER_H

#include <stdatomic.h>

#include "ps/worker/membership.h"

typedef struct tw_member tw_member;

typedef struct tw_member_options {
    const char *address;                /* of the coordinator, or "A|B": where it may be (link.h) */
    const tw_socket_security *security; /* NULL: plain. Borrowed for the call */
    const char *name;                   /* of this worker, below TW_MEMBER_NAME_SIZE bytes */
    const char *model;
    uint64_t job; /* as in tw_standing */
    uint32_t n_shares, passes;
    uint32_t heartbeat_ms;   /* 0: 200 */
    const atomic_bool *stop; /* of the process: also sets the pause flag; borrowed */
} tw_member_options;

TW_MUST_USE tw_status tw_member_start(const tw_member_options *options, tw_member **out, tw_error *error);
/* Leaves, if the coordinator hears it within a moment. NULL-safe. */
void tw_member_stop(tw_member **self);

/* What it holds; the last three as in tw_standing. */
void tw_member_tell(
    tw_member *self, tw_hold hold, tw_grant grant, uint64_t highest_epoch, uint64_t shards, uint64_t shard_epochs);
/* It stands still for the checkpoint that the newest orders name. */
void tw_member_set_quiet(tw_member *self);

/* Waits for orders that answer what was told last. IDLE after timeout_ms; CONFLICT: refused. *silent_us: how long
 * nothing was heard, without time in which the process stood still. The map of `out` is NULL: see tw_member_map. */
TW_MUST_USE tw_status tw_member_wait(
    tw_member *self, int timeout_ms, tw_orders *out, int64_t *silent_us, tw_error *error);

/* Set when the grant that is learned has to be left for a while or for good, and once the process is to stop. It stays
 * set until tw_member_tell or tw_member_go_on. */
const atomic_bool *tw_member_pause(const tw_member *self);
/* After a pause: the grant is learned on. */
void tw_member_go_on(tw_member *self);

/* Copies the newest shard map unless *version is that already: address and epoch [TW_MAX_SHARDS]. Returns its number of
 * shards; 0: nothing new. */
uint32_t tw_member_map(tw_member *self, uint32_t *version, char (*address)[TW_ADDRESS_SIZE], uint64_t *epoch);

/* Why the coordinator has no place for it yet; "": it has. Returns for how long, counted as *silent_us. */
int64_t tw_member_delay(tw_member *self, char text[TW_ERROR_MESSAGE_SIZE]);

#endif
