/* host.h: what the engine gives to plug-ins: allocation that tests can make fail, logging, the clock. */
#ifndef THALWEG_HOST_H
#define THALWEG_HOST_H

#include <stddef.h>

#include "thalweg/status.h"

typedef enum tw_log_level { TW_LOG_DEBUG = 0, TW_LOG_INFO = 1, TW_LOG_WARN = 2, TW_LOG_ERROR = 3 } tw_log_level;

typedef struct tw_host {
    uint32_t abi_version, struct_size;
    void *(*allocate)(size_t size);                       /* uninitialised; NULL on failure; size 0 gives NULL */
    void *(*reallocate)(void *memory, size_t size);       /* as realloc */
    void (*release)(void *memory);                        /* NULL-safe */
    void (*log)(tw_log_level level, const char *message); /* one line, no newline; any thread */
    int64_t (*now_us)(void);                              /* wall clock, microseconds since 1970 */
} tw_host;

#endif
