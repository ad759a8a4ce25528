/* manifest.h: one manifest as a file; checkpoint.c chooses among them. */
#ifndef TW_STORE_MANIFEST_H
#define TW_STORE_MANIFEST_H

#include "store/checkpoint.h"

TW_MUST_USE tw_status tw_manifest_write(
    const char *directory, const char *name, const tw_manifest *self, tw_error *error);

/* Checks the manifest, not the files it names. `out` is zeroed on an error. */
TW_MUST_USE tw_status tw_manifest_read(const char *directory, const char *name, tw_manifest *out, tw_error *error);

#endif
