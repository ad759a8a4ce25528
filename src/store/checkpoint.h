/* checkpoint.h: the manifest that makes row files a checkpoint. A directory holds, per checkpoint id (never reused):
 *     000012.rows-0-of-2  000012.rows-1-of-2  000012.manifest
 * The manifest is written last. A checkpoint is also the model: predict, serve, eval and `model show` read it.
 * Every file: magic, format version, endianness, kind, schema hash, sections with length and XXH3-64, footer; temporary
 * name, reserve, write, sync, rename, sync of the directory. */
#ifndef TW_STORE_CHECKPOINT_H
#define TW_STORE_CHECKPOINT_H

#include "store/table.h"
#include "thalweg/source.h"

/* Bytes by name: "options", "metrics", "sinks", ...; their meaning is the writer's. */
typedef struct tw_section {
    char name[TW_NAME_SIZE];
    void *bytes;
    size_t size;
} tw_section;

enum { TW_MANIFEST_MAX_SECTIONS = 32 };

typedef struct tw_manifest {
    uint64_t id;
    int64_t created_us;
    uint64_t events; /* learned */
    tw_table_spec spec;
    char learner[TW_NAME_SIZE];
    tw_split *split; /* [n_splits], in order of consumption */
    size_t n_splits;
    tw_row_files files;
    uint32_t n_sections;
    tw_section section[TW_MANIFEST_MAX_SECTIONS];
} tw_manifest;

/* Releases what the manifest holds and zeroes it. */
void tw_manifest_fini(tw_manifest *self);

/* Copies the bytes into the manifest under `name`, replacing what was there. */
TW_MUST_USE tw_status tw_manifest_add(
    tw_manifest *self, const char *name, const void *bytes, size_t size, tw_error *error);
/* NULL if there is none. Borrowed. */
const tw_section *tw_manifest_find(const tw_manifest *self, const char *name);

/* Writes `directory/<id>.manifest` durably. */
TW_MUST_USE tw_status tw_checkpoint_commit(const char *directory, const tw_manifest *manifest, tw_error *error);

/* NOT_FOUND with E201: there is no manifest; where shards saved by themselves it says so. */
TW_MUST_USE tw_status tw_checkpoint_none(const char *directory, tw_error *error);

/* Reads checkpoint `id` (0: the newest) and verifies the manifest and every row file that it names. With id 0 a damaged
 * one is passed over for the one before it: `skipped` (NULL allowed) then says which and why. NOT_FOUND: no checkpoint
 * at all; CORRUPT: none that is whole. */
TW_MUST_USE tw_status tw_checkpoint_read(
    const char *directory, uint64_t id, tw_manifest *out, tw_error *skipped, tw_error *error);

/* Reads the manifest alone and verifies only it, not the row files. */
TW_MUST_USE tw_status tw_checkpoint_peek(const char *directory, uint64_t id, tw_manifest *out, tw_error *error);

/* Ids of manifests in `directory`, ascending (no verification); release with tw_free. A missing directory: none. */
TW_MUST_USE tw_status tw_checkpoint_list(const char *directory, uint64_t **ids, size_t *n_ids, tw_error *error);

/* The smallest id above all files there, whole or not. */
TW_MUST_USE tw_status tw_checkpoint_next_id(const char *directory, uint64_t *id, tw_error *error);

/* Removes all but the newest `keep` checkpoints and those of `spared` [n_spared], temporary files, and row files older
 * than the newest `keep` that belong to none of them. */
TW_MUST_USE tw_status tw_checkpoint_prune(
    const char *directory, uint32_t keep, const uint64_t *spared, size_t n_spared, tw_error *error);

#endif
