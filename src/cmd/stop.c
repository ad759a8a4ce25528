#define _GNU_SOURCE
#include "cmd/stop.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static atomic_bool is_stop_requested;

static void on_signal(int number)
{
    if (atomic_exchange(&is_stop_requested, true))
        _exit(128 + number);
}

atomic_bool *stop_on_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    return &is_stop_requested;
}

bool stop_with_parent(const char *parent)
{
    (void)signal(SIGINT, SIG_IGN);
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == (pid_t)strtol(parent, NULL, 10);
}
