/* claim.h: the worker's side of ps/shard/leases.h: it says to every shard under which share and owner epoch it pushes,
 * and learns where the splits of the share stand there. A claim is repeated in every new session, in front of what is
 * pushed. */
#ifndef TW_PS_CLAIM_H
#define TW_PS_CLAIM_H

#include "ps/wire/lease.h"
#include "ps/worker/remote.h"

/* Settles what is under way, then claims the share at every shard: the marks of `split` [n <= TW_LEASE_MAX_SPLITS] are
 * known afterwards. What a claim that was refused left behind is dropped. CONFLICT: another worker has the share with a
 * higher owner epoch. `params` is of tw_remote_create; thread rule as for it. */
TW_MUST_USE tw_status tw_remote_claim(
    tw_params *params, tw_lease lease, const uint64_t *split, size_t n, tw_error *error);

/* Holds no share any more; what a claim that was refused left behind is dropped. */
void tw_remote_unclaim(tw_params *params);

/* True when a shard has refused the claim or a push under it since tw_remote_claim: every call on `params` that meets
 * it fails with CONFLICT. *highest: the owner epoch that the shard knows. */
bool tw_remote_is_fenced(const tw_params *params, uint64_t *highest);

/* Claims the leases [n] one after the other and gives them up again, so that whoever held these shares before is
 * refused. One that a shard knows a higher owner epoch of is refused already. */
TW_MUST_USE tw_status tw_remote_fence(tw_params *params, const tw_lease *lease, uint32_t n, tw_error *error);

/* `shards` and `shard_epochs` (NULL allowed) of orders.h: the first changes when another process serves a shard; 0: not
 * all were heard of. Sends nothing. */
uint64_t tw_remote_shards(const tw_params *params, uint64_t *epochs);

#endif
