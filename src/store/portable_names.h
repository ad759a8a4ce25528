/* portable_names.h: the words of the portable form for the enums of schema.h; NULL where a number has no word. */
#ifndef TW_STORE_PORTABLE_NAMES_H
#define TW_STORE_PORTABLE_NAMES_H

#include "store/wire.h"

static const char *const tw_portable_type_name[] = {NULL, "f32", "u32", "u64", "f64"};
static const char *const tw_portable_merge_name[] = {NULL, "add", "max", "min", "last", "tick", "fade"};
static const char *const tw_portable_init_name[] = {NULL, "constant", "normal"};

#endif
