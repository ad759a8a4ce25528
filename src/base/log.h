/* log.h: log lines go to a function that the program sets; without one they go nowhere (the library never prints).
 * Any thread. Set the function before threads start. */
#ifndef TW_BASE_LOG_H
#define TW_BASE_LOG_H

#include "thalweg/host.h"

typedef void (*tw_log_function)(void *context, tw_log_level level, const char *message);

void tw_log_set(tw_log_function function, void *context, tw_log_level lowest);
void tw_log(tw_log_level level, const char *format, ...) TW_PRINTF(2, 3);

/* The services handed to plug-ins: tw_alloc and friends, tw_log, tw_clock_wall_us. Static, never NULL. */
const tw_host *tw_host_default(void);

#endif
