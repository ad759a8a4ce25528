#include "base/clock.h"

#include <errno.h>

static int64_t clock_read(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t tw_clock_monotonic_us(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

int64_t tw_clock_wall_us(void)
{
    return clock_read(CLOCK_REALTIME);
}

struct timespec tw_clock_deadline(int timeout_ms)
{
    int64_t at_us = tw_clock_monotonic_us() + (timeout_ms > 0 ? (int64_t)timeout_ms * 1000 : 0);
    return (struct timespec){.tv_sec = at_us / 1000000, .tv_nsec = (long)(at_us % 1000000) * 1000};
}

void tw_clock_sleep_us(int64_t duration_us)
{
    if (duration_us <= 0)
        return;
    struct timespec left = {.tv_sec = duration_us / 1000000, .tv_nsec = (long)(duration_us % 1000000) * 1000};
    int result;
    do
        result = nanosleep(&left, &left);
    while (result != 0 && errno == EINTR);
}
