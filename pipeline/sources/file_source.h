/* file_source.h: the state of the source "file", shared by its two halves: file.c opens, seeks and answers, file_read.c
 * reads. Private to this folder. */
#ifndef TW_SOURCES_FILE_SOURCE_H
#define TW_SOURCES_FILE_SOURCE_H

#include <stddef.h>

#include "sources/file_set.h"
#include "sources/follow.h"
#include "thalweg/source.h"

enum { TW_PIPE_HEAD_SIZE = 64 * 1024, TW_NO_SPLIT = -1 };

typedef struct tw_file_source {
    tw_names path;
    tw_path_kind *kind; /* [path.count] */
    tw_file_set set;
    tw_follow follow;
    bool is_following, needs_scan;
    int64_t poll_us, next_scan_us;
    ptrdiff_t current; /* split being read, or TW_NO_SPLIT */
    char *pipe_head;   /* the first bytes of the pipe `pipe_split`: they can be asked for again */
    size_t pipe_head_size;
    uint64_t pipe_split;
} tw_file_source;

/* tw_source_ops.next for a bounded and for a followed source; io->capacity > 0. */
TW_MUST_USE tw_status tw_file_next_bounded(tw_file_source *self, int timeout_ms, tw_chunk *io, tw_error *error);
TW_MUST_USE tw_status tw_file_next_followed(tw_file_source *self, int timeout_ms, tw_chunk *io, tw_error *error);

#endif
