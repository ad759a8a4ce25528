/* stop.h: how a long-running verb is asked to end. The process's signal handlers belong to src/cmd alone. */
#ifndef TW_CMD_STOP_H
#define TW_CMD_STOP_H

#include <stdatomic.h>
#include <stdbool.h>

/* Takes SIGINT and SIGTERM: the first asks for an orderly end by setting the flag that is returned, the second ends at
 * once. A broken pipe or a file above its limit become errors of the write. */
atomic_bool *stop_on_signals(void);

/* Ties this process's life to that of its parent, whose pid `parent` says; the terminal's interrupt is the parent's to
 * handle. False: the parent is gone already. */
bool stop_with_parent(const char *parent);

#endif
