/* checkpointer.h: drives one checkpoint at a time: cut at a batch boundary, rows written beside learning, the manifest
 * committed on a thread of its own, old checkpoints pruned. Learning thread only. */
#ifndef TW_ENGINE_CHECKPOINTER_H
#define TW_ENGINE_CHECKPOINTER_H

#include "engine/gate.h"
#include "engine/model.h"
#include "store/checkpoint.h"

typedef struct tw_checkpoint_policy {
    const char *directory; /* NULL: no checkpoints */
    uint64_t every_events; /* 0: not by events */
    int64_t every_us;      /* 0: not by time */
    uint32_t keep;         /* >= 1 */
    tw_gate_options gate;  /* n_required 0: every checkpoint is published */
} tw_checkpoint_policy;

typedef struct tw_checkpointer tw_checkpointer;

/* What finished: of tw_checkpointer_poll. */
typedef struct tw_checkpoint_result {
    uint64_t id, events, bytes;
    double seconds;
    tw_verdict verdict; /* with a gate */
} tw_checkpoint_result;

TW_MUST_USE tw_status tw_checkpointer_create(
    const tw_checkpoint_policy *policy, tw_model *model, tw_checkpointer **out, tw_error *error);
void tw_checkpointer_destroy(tw_checkpointer **self); /* waits for a commit under way */

bool tw_checkpointer_is_running(const tw_checkpointer *self);
bool tw_checkpointer_is_due(const tw_checkpointer *self, uint64_t events);

/* The verdict of the checkpoint that the run resumes from. */
void tw_checkpointer_set_verdict(tw_checkpointer *self, const tw_verdict *verdict);

/* Cuts now. `manifest` holds everything but id, files, verdict and creation time, and is taken over (also on failure).
 */
TW_MUST_USE tw_status tw_checkpointer_start(tw_checkpointer *self, tw_manifest *manifest, tw_error *error);

/* OK: a checkpoint became durable, see `result`; IDLE: none is running or it is not finished; error: it failed, the
 * checkpoints before it are untouched and the next one may be started. Never waits. */
TW_MUST_USE tw_status tw_checkpointer_poll(tw_checkpointer *self, tw_checkpoint_result *result, tw_error *error);

#endif
