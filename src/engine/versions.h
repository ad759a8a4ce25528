/* versions.h: which of the checkpoints in a directory may be served, and which is. A checkpoint is a version; it is
 * published unless a gate refused it. What is served is the newest published one, or an earlier one that an operator
 * went back to: its number stands in the file `pinned` there, written in one step, and holds until it is released.
 * No state of its own: any thread. */
#ifndef TW_ENGINE_VERSIONS_H
#define TW_ENGINE_VERSIONS_H

#include "engine/gate.h"

enum { TW_VERSION_NAME_SIZE = 64 };

typedef enum tw_version_state { TW_VERSION_PUBLISHED, TW_VERSION_REFUSED, TW_VERSION_DAMAGED } tw_version_state;

typedef struct tw_version {
    uint64_t id;
    tw_version_state state; /* by the manifest alone: row files are verified when they are read */
    tw_verdict verdict;     /* zeroed when damaged */
    tw_error damage;        /* of a damaged one */
} tw_version;

/* All versions, ascending; release with tw_free. A missing directory: none. */
TW_MUST_USE tw_status tw_versions_list(const char *directory, tw_version **out, size_t *n, tw_error *error);

/* The pinned version; 0: none. CORRUPT: the file is damaged. */
TW_MUST_USE tw_status tw_versions_pinned(const char *directory, uint64_t *id, tw_error *error);

/* What is to be served: the pinned version, else the newest published one below `below` (0: of all). `skipped` (NULL
 * allowed): the first damaged manifest that was passed over. NOT_FOUND: there is none; the error says why the newest
 * one was refused. */
TW_MUST_USE tw_status tw_versions_choose(
    const char *directory, uint64_t below, uint64_t *id, bool *is_pinned, tw_error *skipped, tw_error *error);

/* Goes back: pins version `to`, or with 0 the published one before that which is served; *from and *id: served so far
 * and from now on. The version is verified with all its rows first. NOT_FOUND: no such version, or none before;
 * INVALID: a gate refused it; CORRUPT: it is damaged; BUSY: another process changes the directory. On an error nothing
 * changes. */
TW_MUST_USE tw_status tw_versions_roll_back(
    const char *directory, uint64_t to, uint64_t *from, uint64_t *id, tw_error *error);

/* Serves the newest published version again. *was_pinned: the version pinned so far; 0: none. */
TW_MUST_USE tw_status tw_versions_release(const char *directory, uint64_t *was_pinned, tw_error *error);

/* The name that a checkpoint was saved by, or "". */
void tw_version_name(const tw_manifest *manifest, char name[TW_VERSION_NAME_SIZE]);

/* The checkpoint of that name; NOT_FOUND: there is none. */
TW_MUST_USE tw_status tw_versions_named(const char *directory, const char *name, uint64_t *id, tw_error *error);

/* Removes checkpoints but the newest `keep`, the newest `keep` published ones, those with a name and the pinned one.
 * While another process goes back, nothing is removed. */
TW_MUST_USE tw_status tw_versions_prune(const char *directory, uint32_t keep, tw_error *error);

#endif
