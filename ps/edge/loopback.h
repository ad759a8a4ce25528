/* loopback.h: shards in this process behind the same client and frames as remote ones, with a virtual clock: for
 * `--workers N` without shards, for conformance tests and for deterministic simulation of loss. */
#ifndef TW_PS_LOOPBACK_H
#define TW_PS_LOOPBACK_H

#include "ps/shard/shard.h"
#include "ps/worker/remote.h"

typedef struct tw_loopback tw_loopback;

/* What happens to frames, in either direction; chances of 65536, drawn from `seed`. Zeros: nothing. */
typedef struct tw_loopback_faults {
    uint64_t seed;
    uint32_t drop, duplicate, damage;
} tw_loopback_faults;

/* `loopback` (NULL allowed) gives the handle for the calls below; it lives as long as the store. options: as for
 * tw_remote_create, addresses are not used; NULL: a model named "loopback". */
TW_MUST_USE tw_status tw_loopback_create(const tw_table_spec *spec,
    uint32_t n_shards,
    const tw_remote_options *options,
    tw_params **out,
    tw_loopback **loopback,
    tw_error *error);

void tw_loopback_set_faults(tw_loopback *self, const tw_loopback_faults *faults);

/* Keeps a copy of the shard's rows and marks in memory. */
TW_MUST_USE tw_status tw_loopback_save(tw_loopback *self, uint32_t shard, tw_error *error);
/* The shard dies with all it knew and comes back with the copy last saved, or empty; frames under way are lost. */
TW_MUST_USE tw_status tw_loopback_kill(tw_loopback *self, uint32_t shard, tw_error *error);

#endif
