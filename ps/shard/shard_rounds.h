/* shard_rounds.h: a shard keeps rounds.h: pulls that come too early and pushes of a bulk round wait inside it, with
 * every later frame of their session. The worker is told of it, every 200 ms, by WAITING, and who is waited for.
 * Private to the shard. */
#ifndef TW_PS_SHARD_ROUNDS_H
#define TW_PS_SHARD_ROUNDS_H

#include "ps/shard/rounds.h"
#include "ps/wire/frame.h"

/* Of a session: what waits. */
typedef struct tw_pending {
    uint32_t worker; /* 1 + its number; 0: its peer takes no part in rounds */
    uint64_t birth;
    bool is_staged;  /* a complete push waits for its round */
    tw_frame staged; /* its last frame, without the borrowed parts */
    tw_buffer queue; /* whole frames, each behind its size as u64; those before `first` are gone */
    size_t first;
    int64_t since_us, told_us; /* since when it waits; when its worker was told of it last */
} tw_pending;

typedef struct tw_shard_rounds {
    tw_rounds of;
    int64_t now_us;
    bool is_resumed; /* this shard came back: workers may be under way */
    tw_buffer frame; /* taken out of a queue */
} tw_shard_rounds;

struct tw_session;

void tw_pending_fini(tw_pending *self);
uint64_t tw_pending_bytes(const tw_pending *self);

#endif
