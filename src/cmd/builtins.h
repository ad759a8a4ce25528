/* builtins.h: every plug-in that is built in, from the .def lists, and the same as the catalogue that src/config wants.
 */
#ifndef TW_CMD_BUILTINS_H
#define TW_CMD_BUILTINS_H

#include "config/schema.h"
#include "engine/registry.h"

TW_MUST_USE tw_status builtins_add(tw_registry *registry, tw_error *error);

/* The registry seen by kind and name; borrows the registry. */
tw_plugin_catalogue builtins_catalogue(const tw_registry *registry);

#endif
