/* refusals.h: what a shard, or a coordinator, refused since it started, and how it is told. A stale, repeated or
 * conflicting frame is part of the protocol when connections break; what no honest peer sends is hostile. */
#ifndef TW_PS_REFUSALS_H
#define TW_PS_REFUSALS_H

#include "net/guard.h"
#include "ps/wire/frame.h"

typedef struct tw_refusals {
    uint64_t nack[TW_NACK_N_REASONS]; /* frames refused, by reason */
    uint64_t n_repeated;              /* frames of a session seen before, passed over without an answer */
    uint64_t n_formless;              /* messages that are no frame of one part, or of a peer without an id */
} tw_refusals;

enum { TW_REFUSALS_TEXT_SIZE = 1024 };

static inline void tw_refusals_count(tw_refusals *self, tw_nack_reason reason)
{
    self->nack[reason < TW_NACK_N_REASONS ? reason : TW_NACK_NONE]++;
}

/* How many of them no honest peer causes: damaged or misplaced frames, other models, roles that the key has not. */
uint64_t tw_refusals_hostile(const tw_refusals *self);

/* "connections: 31 came, 2 passed, 12 of strangers' keys, ...; frames: 7 DENIED, 40 repeated". `guard` may be NULL. */
void tw_refusals_text(const tw_refusals *self, const tw_guard_figures *guard, char out[TW_REFUSALS_TEXT_SIZE]);

#endif
