/* source.h: where bytes come from. Bounded and endless alike: END and IDLE are answers, not errors.
 *
 * A source serves *splits* (a file, a partition), each a sequence of bytes with u64 offsets; offsets of compressed
 * files are of the uncompressed bytes. It yields chunks; the format decides on events. Thread rule: one thread per
 * source. */
#ifndef THALWEG_SOURCE_H
#define THALWEG_SOURCE_H

#include <stddef.h>

#include "thalweg/host.h"
#include "thalweg/learner.h"
#include "thalweg/options.h"

enum { TW_SPLIT_NAME_SIZE = 256, TW_SPLIT_IDENTITY_SIZE = 96 };

/* A split as the checkpoint keeps it. `id` is the same after a rename and after a restart. `identity` is private to the
 * source (a file: device, inode, hash of the first line, generation): it lets the source recognise the split again. */
typedef struct tw_split {
    uint64_t id;
    char name[TW_SPLIT_NAME_SIZE]; /* what a user calls it: the path */
    unsigned char identity[TW_SPLIT_IDENTITY_SIZE];
    uint64_t offset; /* bytes of it that are consumed */
    uint64_t line;   /* lines before `offset` */
    bool is_done;    /* it ended and everything in it is consumed */
} tw_split;

/* in: `data` and `capacity`, the caller's space. out: the rest. */
typedef struct tw_chunk {
    char *data;
    size_t capacity;
    size_t size;     /* bytes written to data, > 0 on OK unless is_final */
    uint64_t split;  /* id */
    uint64_t offset; /* of data[0] in the split */
    bool is_first;   /* the split's first chunk since open or seek: a format starts afresh */
    bool is_final;   /* the split ends behind these bytes: an unterminated last record is complete */
} tw_chunk;

typedef struct tw_source_ops {
    uint32_t abi_version, struct_size;
    const char *name, *summary;
    const tw_option *options;
    size_t (*state_size)(const tw_option_values *options);

    /* Checks options and opens what must exist (NOT_FOUND names the path). `known` [n_known] are the splits of a
     * checkpoint, in the order they were consumed: those that are done are skipped, the others start at their offset.
     * Borrowed for the call. */
    tw_status (*open)(void *self,
        const tw_option_values *options,
        const tw_split *known,
        size_t n_known,
        const tw_host *host,
        tw_error *error);

    /* The next bytes, in order, of one split at a time; a split's chunks are contiguous. OK, IDLE (nothing within
     * timeout_ms; 0 = do not wait), END (every split is finished and no more will come), or an error. */
    tw_status (*next)(void *self, int timeout_ms, tw_chunk *io, tw_error *error);

    /* Continues split `id` at `offset`, wherever it was; splits that came after it are served again from their start
     * (or from where later calls of seek put them). NOT_FOUND when the bytes no longer exist, naming the split. */
    tw_status (*seek)(void *self, uint64_t split, uint64_t offset, tw_error *error);

    /* The bytes [0, size) of a split, for formats with a header line; short at the end of the split. */
    tw_status (*head)(void *self, uint64_t split, char *data, size_t capacity, size_t *size, tw_error *error);

    /* All splits known now, in the order of consumption; offsets and lines are the engine's business and 0 here.
     * The pointer is borrowed until the next call on the source. */
    const tw_split *(*splits)(const void *self, size_t *n_splits);

    /* Stops or starts reading of a split; optional. */
    tw_status (*pause)(void *self, uint64_t split, bool is_paused, tw_error *error);

    /* After a durable checkpoint: everything up to `offset` will never be asked for again; optional. */
    void (*committed)(void *self, uint64_t split, uint64_t offset);

    /* Bytes that are there but not read yet, for lag; optional, 0 when unknown. */
    uint64_t (*backlog)(const void *self);

    void (*close)(void *self);
} tw_source_ops;

#endif
