/* cause.h: why a worker ended for good, handed to the run that started it by a file, so that it is said once and by the
 * run. */
#ifndef TW_CMD_CAUSE_H
#define TW_CMD_CAUSE_H

#include <stdbool.h>
#include <stddef.h>

#include "thalweg/status.h"

/* Where a worker that leaves its figures at `figures` leaves its cause. */
void cause_path(const char *figures, char *path, size_t size);

TW_MUST_USE tw_status cause_write(const char *path, const tw_error *cause, tw_error *error);

/* Takes the file away. False: there is none, or it is none of these; *out is then unchanged. */
bool cause_take(const char *path, tw_error *out);

#endif
