/* lease.h: a share of the input and the owner epoch that a worker pushes under, as ACQUIRE names them. Who gives shares
 * out: ps/coordinator/coordinator.h; who refuses a lower epoch: ps/shard/leases.h. */
#ifndef TW_PS_LEASE_H
#define TW_PS_LEASE_H

#include <stdint.h>

/* Splits whose marks one ACQUIRE asks for, at most. */
enum { TW_LEASE_MAX_SPLITS = 65536 };

/* Coordinators begin at a time in us, which is below this until 2112. Above it a claim is at most TW_LEASE_STEP above
 * the highest one before, so that whatever a broken worker names, the coordinator that hears of it can give a higher
 * epoch, which shards take. */
#define TW_LEASE_MAX_EPOCH ((uint64_t)1 << 52)
#define TW_LEASE_STEP      ((uint64_t)1 << 20)

/* Epoch 0: none. */
typedef struct tw_lease {
    uint64_t share, epoch;
} tw_lease;

#endif
