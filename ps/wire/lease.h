/* lease.h: a share of the input and the owner epoch that a worker pushes under, as ACQUIRE names them. Who gives shares
 * out: ps/coordinator/coordinator.h; who refuses a lower epoch: ps/shard/leases.h. */
#ifndef TW_PS_LEASE_H
#define TW_PS_LEASE_H

#include <stdint.h>

/* Splits whose marks one ACQUIRE asks for, at most. */
enum { TW_LEASE_MAX_SPLITS = 65536 };

/* Above every time in us: coordinators give none above. */
#define TW_LEASE_MAX_EPOCH ((uint64_t)1 << 62)

/* Epoch 0: none. */
typedef struct tw_lease {
    uint64_t share, epoch;
} tw_lease;

#endif
