/* live.h: asking a running prediction server. */
#ifndef TW_CMD_LIVE_H
#define TW_CMD_LIVE_H

#include <stddef.h>

/* Reads JSON lines from the inputs (none: standard input), prints one score a line. The process's exit code. */
int live_predict(const char *address, const char *const *input, size_t n_inputs);

#endif
