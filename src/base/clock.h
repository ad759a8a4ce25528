/* clock.h: monotonic and wall time. Only the edges (cmd, serve, the engine's timers) read it. */
#ifndef TW_BASE_CLOCK_H
#define TW_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

int64_t tw_clock_monotonic_us(void);
int64_t tw_clock_wall_us(void); /* microseconds since 1970 */
/* For waits on conditions of CLOCK_MONOTONIC; timeout_ms below 0 counts as 0. */
struct timespec tw_clock_deadline(int timeout_ms);
void tw_clock_sleep_us(int64_t duration_us);

#endif
