#define _GNU_SOURCE
#include "cmd/child.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/console.h"

enum { MAX_BACKOFF_SHIFT = 8, MAX_KILLED_SHIFT = 3, END_POLL_US = 2000, DONE_IN_PART = 1 };

static const int64_t quick_us = 2000000; /* a life shorter than this counts as a failed start */
static const int64_t first_backoff_us = 20000;

tw_status child_spawn(child *self, const char *const *argument, const char *what, tw_error *error)
{
    char *argv[CHILD_MAX_ARGUMENTS];
    size_t n = 0;
    while (argument[n] != NULL && n + 1 < CHILD_MAX_ARGUMENTS)
        n++;
    memcpy(argv, argument, n * sizeof *argv);
    argv[n] = NULL;
    self->started_us = tw_clock_monotonic_us();
    int errnum = posix_spawn(&self->pid, "/proc/self/exe", NULL, NULL, argv, environ);
    if (errnum == 0)
        return TW_STATUS_OK;
    self->pid = 0;
    return tw_error_errno(error, TW_STATUS_UNAVAILABLE, errnum, "%s cannot be started", what);
}

bool child_has_ended(child *self, int *how)
{
    if (self->pid == 0 || waitpid(self->pid, how, WNOHANG) != self->pid)
        return false;
    self->pid = 0;
    return true;
}

bool child_code_is_final(int code)
{
    static const tw_status final[] = {
        TW_STATUS_INVALID, TW_STATUS_DATA, TW_STATUS_NOT_FOUND, TW_STATUS_CONFIG, TW_STATUS_FULL};
    bool is_final = code == DONE_IN_PART;
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++)
        is_final = is_final || code == tw_status_exit_code(final[i]);
    return is_final;
}

bool child_end_is_final(int how)
{
    return WIFEXITED(how) && child_code_is_final(WEXITSTATUS(how));
}

void child_plan_restart(child *self, int how)
{
    bool was_killed = WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL;
    int64_t now_us = tw_clock_monotonic_us();
    bool is_quick = now_us - self->started_us < quick_us;
    self->n_quick_deaths = is_quick ? self->n_quick_deaths + 1 : 0;
    self->n_failed_starts = !is_quick ? 0 : self->n_failed_starts + !was_killed;
    uint32_t most = was_killed ? MAX_KILLED_SHIFT : MAX_BACKOFF_SHIFT;
    self->due_us = now_us + (first_backoff_us << (self->n_quick_deaths < most ? self->n_quick_deaths : most));
    self->is_given_up = child_end_is_final(how) || self->n_failed_starts >= CHILD_MAX_QUICK_DEATHS;
}

bool child_is_due(const child *self)
{
    return self->pid == 0 && !self->is_given_up && tw_clock_monotonic_us() >= self->due_us;
}

void child_describe_end(int how, char *text, size_t size)
{
    if (WIFSIGNALED(how))
        (void)snprintf(text, size, "was killed by signal %d", WTERMSIG(how));
    else
        (void)snprintf(text, size, "ended with code %d", WEXITSTATUS(how));
}

/* True once none of them is left. */
static bool have_ended(child *const *list, uint32_t n)
{
    bool is_over = true;
    int how = 0;
    for (uint32_t i = 0; i < n; i++) {
        (void)child_has_ended(list[i], &how);
        is_over = is_over && list[i]->pid == 0;
    }
    return is_over;
}

uint32_t child_end_all(child *const *list, uint32_t n, child_name name, const void *context)
{
    uint32_t n_killed = 0;
    int64_t deadline_us = tw_clock_monotonic_us() + (int64_t)CHILD_GRACE_S * 1000000;
    for (uint32_t i = 0; i < n; i++) {
        if (list[i]->pid != 0)
            (void)kill(list[i]->pid, SIGTERM);
    }
    while (!have_ended(list, n) && tw_clock_monotonic_us() < deadline_us)
        tw_clock_sleep_us(END_POLL_US);
    for (uint32_t i = 0; i < n; i++) {
        char who[64];
        if (list[i]->pid == 0)
            continue;
        name(context, i, who, sizeof who);
        console_note("thalweg: warning: %s has not ended within %d s of SIGTERM, as it is stopped or hangs: killed",
            who, CHILD_GRACE_S);
        (void)kill(list[i]->pid, SIGKILL);
        (void)waitpid(list[i]->pid, NULL, 0);
        list[i]->pid = 0;
        n_killed++;
    }
    return n_killed;
}
