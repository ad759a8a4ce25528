/* round.h: what workers and shards must agree on about rounds (ps/shard/rounds.h says what a round is) and seats.
 *
 * Payload of WAITING: culprit u32 (number of the worker that is waited for), its clock u32 (0: it has not come), count
 * of workers u32, the round that waits u32. Payload of SEATED where there is no seat: pulls and pushes of workers so
 * far, and of one who has a seat: sender, 1 + its share (0: none), 1 + its number (0: none), u64 each. */
#ifndef TW_PS_ROUND_H
#define TW_PS_ROUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thalweg/status.h"

#define TW_STALENESS_UNLIMITED UINT32_MAX

enum {
    TW_WAITING_SIZE = 16,
    TW_SEATED_SIZE = 32,
    TW_SEAT_US = 250000, /* a seat that was not asked for again for so long is free: ps/worker/seat.h */
};

/* Who a worker is, as its HELLO says. */
typedef struct tw_round_member {
    uint32_t index, count; /* of the workers; count 0: it takes no part */
    uint32_t staleness;
    uint64_t birth; /* grows from a process to its successor at the same place */
} tw_round_member;

#endif
