/* library.h: shared libraries that are loaded when somebody first needs them. A loaded library stays in the process:
 * its threads may still run when its user is done. Any thread. */
#ifndef TW_BASE_LIBRARY_H
#define TW_BASE_LIBRARY_H

#include "thalweg/status.h"

/* Loads `name` ("libopenblas.so.0"), whose symbols stay its own. *was_there (NULL allowed): the process had it already,
 * so its settings are somebody else's. NOT_FOUND with the loader's reason. */
TW_MUST_USE tw_status tw_library_open(const char *name, void **handle, bool *was_there, tw_error *error);

/* Writes the address of `symbol` to the function pointer at `function`. UNSUPPORTED, naming both, if it has none. */
TW_MUST_USE tw_status tw_library_function(
    void *handle, const char *name, const char *symbol, void *function, tw_error *error);

#endif
