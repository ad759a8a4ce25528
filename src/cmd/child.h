/* child.h: one process of this program that another one starts and starts again when it dies: with growing pauses, and
 * not for ever. One thread at a time. */
#ifndef TW_CMD_CHILD_H
#define TW_CMD_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "thalweg/status.h"

enum { CHILD_MAX_ARGUMENTS = 320, CHILD_MAX_QUICK_DEATHS = 8, CHILD_GRACE_S = 10 };

/* All zero: never started. */
typedef struct child {
    pid_t pid; /* 0: not running */
    int64_t started_us, due_us;
    uint32_t n_quick_deaths, n_failed_starts; /* one after the other */
    bool is_given_up;
} child;

/* Starts this program with `argument` ([n], argument[0] the program's name; ends with NULL). UNAVAILABLE names `what`.
 */
TW_MUST_USE tw_status child_spawn(child *self, const char *const *argument, const char *what, tw_error *error);

/* True once after it ended: *how as waitpid gives it. */
bool child_has_ended(child *self, int *how);

/* Whether who ended so ends so again: done in part, wrong use, wrong input, no input, or what does not fit (codes 1,
 * 64, 65, 66, 78). What lies outside, as a disk, memory, or another process, may be different the next time. */
bool child_code_is_final(int code);
bool child_end_is_final(int how);

/* Decides when it is started again: never where the end was final, else after a pause that doubles with every quick
 * death. One that ends by itself right after its start is given up in the end; one that was killed from outside is not:
 * it could work, and is back soon. */
void child_plan_restart(child *self, int how);

/* Not running, not given up, and its pause is over. */
bool child_is_due(const child *self);

/* Asks all of `list` [n] to end, and waits until they have: at most CHILD_GRACE_S together. Whoever lives then, as it
 * is stopped or hangs, is killed and named: `name` writes who list[index] is. Returns how many were killed. */
typedef void (*child_name)(const void *context, uint32_t index, char *text, size_t size);
uint32_t child_end_all(child *const *list, uint32_t n, child_name name, const void *context);

/* "was killed by signal 9" or "ended with code 74". */
void child_describe_end(int how, char *text, size_t size);

#endif
