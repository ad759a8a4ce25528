/* leases.h: who may push under which share of the input. A coordinator gives every share to one worker at a time, each
 * time with a higher owner epoch; ACQUIRE tells a shard, which from then on refuses the pushes of every session that
 * holds the share with a lower one. Marks alone keep the counts right; this ends the fight of two owners. Kept in
 * memory: a shard that starts again learns it from the next ACQUIRE. Private to the shard. */
#ifndef TW_PS_LEASES_H
#define TW_PS_LEASES_H

#include <stdbool.h>
#include <stddef.h>

#include "ps/wire/lease.h"
#include "thalweg/status.h"

enum { TW_LEASE_MAX_SHARES = 4096 }; /* that one shard remembers */

/* Zeroed: empty. */
typedef struct tw_leases {
    tw_lease *lease;  /* [n] */
    uint64_t highest; /* of all epochs */
    size_t n, capacity;
} tw_leases;

void tw_leases_fini(tw_leases *self);

/* The highest epoch of `share` that was told, or 0. */
uint64_t tw_leases_epoch(const tw_leases *self, uint64_t share);

/* Whether a coordinator can have given that epoch, or give one above it. */
bool tw_leases_may_be(const tw_leases *self, uint64_t epoch);

/* OK: `lease` holds from here on. CONFLICT: a higher epoch was told (see tw_leases_epoch); NO_MEMORY; BUSY: too many
 * shares. */
TW_MUST_USE tw_status tw_leases_take(tw_leases *self, tw_lease lease, tw_error *error);

/* Whether somebody else has acquired it since. */
bool tw_leases_is_stale(const tw_leases *self, tw_lease lease);

#endif
