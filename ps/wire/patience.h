/* patience.h: what waits count. Time in which the waiting process itself stood still (SIGSTOP, a machine that sleeps)
 * is nobody's silence: whoever waits adds it to the moment that the wait began at. Pure. */
#ifndef TW_PS_PATIENCE_H
#define TW_PS_PATIENCE_H

#include <stdint.h>

enum { TW_LOOK_US = 1000000 }; /* between two looks at the clock at most, for a process that is let run */

/* How long the process stood still since the look before, at *looked_us: all of that time, or none. */
static inline int64_t tw_stood_still_us(int64_t *looked_us, int64_t now_us)
{
    int64_t us = now_us - *looked_us;
    /* One thread may have read the clock before another one looked. */
    if (us > 0)
        *looked_us = now_us;
    return us > TW_LOOK_US ? us : 0;
}

#endif
