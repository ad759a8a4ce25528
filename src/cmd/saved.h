/* saved.h: one checkpoint loaded as a model: what `model export` and `model diff` read. */
#ifndef TW_CMD_SAVED_H
#define TW_CMD_SAVED_H

#include "cmd/assembly.h"

typedef struct saved_model {
    assembly all;
    bool has_assembly;
    tw_manifest manifest;
} saved_model;

/* version 0: the newest; a damaged one is passed over with a note on standard error. Close after errors too. */
TW_MUST_USE tw_status saved_open(saved_model *self, const char *directory, uint64_t version, tw_error *error);
void saved_close(saved_model *self);

/* A note on standard error when a gate refused the checkpoint: it can be looked at, and is not served. */
void saved_note_refusal(const tw_manifest *manifest);

#endif
