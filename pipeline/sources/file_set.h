/* file_set.h: the splits of one file source, and how a file on disk is recognised as one of them.
 *
 * A split is looked for by device, inode, time of birth, head and probe (identity.h): at the path where it was last
 * seen, then in the folder of that path. Another file passes for a known split only if it lies at the same path or at
 * one that rotation makes of it, its head is whole, head and probe are equal, the probe has all that was consumed or
 * 4096 bytes, it is not shorter than what was consumed, and the original is nowhere in the folder: a copied folder, or
 * a log that was copied and then truncated. An equal header line alone is no proof. Private to this folder; one thread.
 */
#ifndef TW_SOURCES_FILE_SET_H
#define TW_SOURCES_FILE_SET_H

#include "sources/identity.h"
#include "sources/stream.h"
#include "thalweg/source.h"

enum { TW_FILE_TAIL_SIZE = 64 };

typedef struct tw_file_split {
    tw_file_identity identity;
    char path[TW_SPLIT_NAME_SIZE]; /* where it was last seen */
    size_t pattern;                /* index of the path option that it came by */
    tw_stream *stream;             /* NULL: not open */
    uint64_t start, offset;        /* of its first byte to serve, of the next one */
    uint64_t end;                  /* once done: behind its last byte */
    uint64_t seen_size;            /* of the file when it last had no whole line to serve; 0: unknown */
    int64_t modified_us;           /* of its file when it was done; 0: unknown */
    int64_t gone_since_us;         /* monotonic; 0: it is where it was */
    char tail[TW_FILE_TAIL_SIZE];  /* the bytes before `offset`, to notice that they changed */
    size_t tail_size;
    bool is_done;     /* its final chunk was served, or nothing of it is left to serve */
    bool is_gone;     /* its path holds another file now: it ends where it ends */
    bool is_replaced; /* truncated in place: its bytes exist no more */
    bool is_served;   /* a chunk was served since open or seek */
    bool is_mid_line; /* the last byte served is not a newline */
    bool is_paused;
} tw_file_split;

typedef struct tw_file_set {
    tw_file_split *split; /* in order of consumption */
    tw_split *shown;      /* parallel: what users of the source see */
    size_t count, capacity, shown_capacity;
    tw_split *known; /* of the checkpoint, owned copy */
    size_t n_known;
} tw_file_set;

TW_MUST_USE tw_status tw_file_set_init(tw_file_set *self, const tw_split *known, size_t n_known, tw_error *error);
void tw_file_set_fini(tw_file_set *self);

/* The split with this id, or NULL. */
tw_file_split *tw_file_set_find(const tw_file_set *self, uint64_t id);

/* The newest split of this device and inode, or NULL. */
tw_file_split *tw_file_set_by_inode(const tw_file_set *self, uint64_t device, uint64_t inode);

/* Adds the file at `path` unless it is one of the set already. The file's known split, if any, gives its offset. With
 * `needs_head`, a file whose first line is not complete is not a split yet: IDLE. END: it is in the set (`*out` is that
 * split). OK: `*out` is new, with its stream open; valid until the next addition. */
TW_MUST_USE tw_status tw_file_set_adopt(
    tw_file_set *self, const char *path, size_t pattern, bool needs_head, tw_file_split **out, tw_error *error);

/* As tw_file_set_adopt, for a file that is open already; the set takes `*stream` over when it keeps it (NULL then). */
TW_MUST_USE tw_status tw_file_set_adopt_stream(tw_file_set *self,
    tw_stream **stream,
    const char *path,
    size_t pattern,
    bool needs_head,
    tw_file_split **out,
    tw_error *error);

/* Adds the pipe at `path` ("-": standard input), as a split that was never seen before. */
TW_MUST_USE tw_status tw_file_set_add_pipe(tw_file_set *self, const char *path, size_t pattern, tw_error *error);

/* Opens the file of `identity`: at `path`, else wherever the folder of `path` has it, also while files there are being
 * renamed. *out NULL: nowhere. `found` gets its path. */
TW_MUST_USE tw_status tw_file_locate(const tw_file_identity *identity,
    const char *path,
    char found[TW_SPLIT_NAME_SIZE],
    tw_stream **out,
    tw_error *error);

/* Opens a split's file if it is not open and stands at its offset. NOT_FOUND names the split. */
TW_MUST_USE tw_status tw_file_split_open(const tw_file_set *self, tw_file_split *split, tw_error *error);

/* Whether the open file still has the split's bytes before its offset; false after a truncation. */
TW_MUST_USE tw_status tw_file_split_is_intact(const tw_file_split *split, bool *is_intact, tw_error *error);

/* The newest known split that the open file is and that is not in the set yet, or NULL. */
TW_MUST_USE tw_status tw_file_set_find_known(const tw_file_set *self,
    const tw_stream *stream,
    const char *path,
    const tw_file_info *info,
    const tw_split **out,
    tw_error *error);

/* What the split is called in messages. */
const char *tw_file_split_name(const tw_file_set *self, const tw_file_split *split);

/* Splits of the checkpoint first, in its order; the others behind them, in theirs. */
void tw_file_set_sort_by_known(tw_file_set *self);

/* Makes the split at `index` the last one. */
void tw_file_set_move_last(tw_file_set *self, size_t index);

#endif
