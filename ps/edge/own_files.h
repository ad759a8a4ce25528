/* own_files.h: the row files that a shard writes by itself, in this life or an earlier one, and which of the old ones
 * may go: those beyond the newest `keep` that nothing else in the directory stands on. What was asked for, a checkpoint
 * may name; it is left alone, as is what an older version of this program wrote before the start. One thread. */
#ifndef TW_PS_OWN_FILES_H
#define TW_PS_OWN_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "thalweg/status.h"

enum { TW_OWN_FILES_MAX = 1024 + 64 };

typedef struct tw_own_files {
    const char *directory;
    uint32_t index, count, keep; /* of the shard; keep 0: 2 */
    uint64_t id[TW_OWN_FILES_MAX];
    uint32_t n;
} tw_own_files;

/* What earlier lives left in the directory, of this epoch or before: a successor's files are its own. */
void tw_own_files_begin(tw_own_files *self, uint64_t epoch);
/* Whether the directory has row files of other numbers of shards; *count: one of these numbers. */
bool tw_own_files_others(const tw_own_files *self, uint32_t *count);
/* Remembers the file `id`, which is durable, and removes what may go, and what dead writers left unfinished. What
 * cannot be decided now is decided after the next one. */
void tw_own_files_add(tw_own_files *self, uint64_t id);

#endif
