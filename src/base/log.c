#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "thalweg/learner.h"

static struct {
    tw_log_function function;
    void *context;
    tw_log_level lowest;
} log_target;

void tw_log_set(tw_log_function function, void *context, tw_log_level lowest)
{
    log_target.function = function;
    log_target.context = context;
    log_target.lowest = lowest;
}

void tw_log(tw_log_level level, const char *format, ...)
{
    if (log_target.function == NULL || level < log_target.lowest)
        return;
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    log_target.function(log_target.context, level, message);
}

static void host_log(tw_log_level level, const char *message)
{
    tw_log(level, "%s", message);
}

const tw_host *tw_host_default(void)
{
    static const tw_host host = {
        .abi_version = TW_ABI_VERSION,
        .struct_size = sizeof(tw_host),
        .allocate = tw_alloc,
        .reallocate = tw_realloc,
        .release = tw_free,
        .log = host_log,
        .now_us = tw_clock_wall_us,
    };
    return &host;
}
