/* awake.h: whether a wait for messages starts awake. A processor that went idle needs longer to wake up than an answer
 * to come, so where one message at a time goes to and fro, the next is waited for awake for TW_AWAKE_US; whoever else
 * wants the processor gets it. Where many are under way those that come during a sleep are taken together, which costs
 * less: waits asleep tell which it is, and one in TW_AWAKE_WAITS stays asleep to go on telling. A socket that nothing
 * comes to is never awake. Thread rule: that of its socket. Private to this folder. */
#ifndef TW_NET_AWAKE_H
#define TW_NET_AWAKE_H

#include <stdbool.h>
#include <stdint.h>

/* Microseconds of a wait's awake part, and of a wait asleep that counts as short; such waits in a row, each for one
 * message, before one is awake. */
enum { TW_AWAKE_US = 100, TW_AWAKE_SOON_US = 300, TW_AWAKE_AFTER = 8, TW_AWAKE_WAITS = 32 };

typedef struct tw_awake {
    uint32_t n_single; /* short waits asleep in a row, each for one message */
    uint32_t n_awake;  /* waits awake since the last one asleep */
    bool is_short;     /* the last wait asleep */
} tw_awake;

/* A wait begins, `n_received` messages after the last one began: whether it starts awake. */
static inline bool tw_awake_begin(tw_awake *self, uint32_t n_received)
{
    if (self->n_awake == 0)
        self->n_single = self->is_short && n_received == 1 ? self->n_single + 1 : 0;
    self->n_awake = self->n_single >= TW_AWAKE_AFTER ? (self->n_awake + 1) % TW_AWAKE_WAITS : 0;
    return self->n_awake > 0;
}

/* A wait that slept ends after `waited_us`; `is_over`: nothing came. */
static inline void tw_awake_slept(tw_awake *self, int64_t waited_us, bool is_over)
{
    self->n_awake = 0;
    self->is_short = !is_over && waited_us < TW_AWAKE_SOON_US;
}

#endif
