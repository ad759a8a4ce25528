/* own_files.h: the row files that a shard writes by itself, and which of the old ones may go: those beyond the newest
 * `keep` that nothing else in the directory stands on. One thread. */
#ifndef TW_PS_OWN_FILES_H
#define TW_PS_OWN_FILES_H

#include <stdint.h>

#include "thalweg/status.h"

enum { TW_OWN_FILES_MAX = 1024 + 64 };

typedef struct tw_own_files {
    const char *directory;
    uint32_t index, count, keep; /* of the shard; keep 0: 2 */
    uint64_t id[TW_OWN_FILES_MAX];
    uint32_t n;
} tw_own_files;

/* Remembers the file `id`, which is durable, and removes what may go. What cannot be decided now is decided after the
 * next one. */
void tw_own_files_add(tw_own_files *self, uint64_t id);

#endif
