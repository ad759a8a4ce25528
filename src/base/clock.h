/* clock.h: monotonic and wall time. Only the edges (cmd, serve, the engine's timers) read it. */
#ifndef TW_BASE_CLOCK_H
#define TW_BASE_CLOCK_H

#include <stdint.h>

int64_t tw_clock_monotonic_us(void);
int64_t tw_clock_wall_us(void); /* microseconds since 1970 */
void tw_clock_sleep_us(int64_t duration_us);

#endif
