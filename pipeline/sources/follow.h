/* follow.h: finds the files that a following source reads: rotation, new files of a pattern, files found again on
 * resume.
 *
 * A path: the file behind it is live. When another file with a whole first line lies there, the old one is gone (it is
 * read to its end and finished) and the new one comes behind it. Rotations that happened unseen leave siblings ("log.1"
 * of "log") that were written after the old one and were never read: they come in between, oldest first. Compressed
 * siblings are left out: they are copies of what was read before.
 * A pattern: every match is live, in the order of modification time, then name. A match that was renamed within the
 * pattern stays the same split; one that vanished is finished once another file took its place or 2 s later.
 * Private to this folder. */
#ifndef TW_SOURCES_FOLLOW_H
#define TW_SOURCES_FOLLOW_H

#include "sources/file_set.h"
#include "thalweg/host.h"

typedef enum tw_path_kind { TW_PATH_PLAIN, TW_PATH_GLOB, TW_PATH_PIPE } tw_path_kind;

/* Everything is borrowed. */
typedef struct tw_follow {
    const tw_names *path;     /* options, in order */
    const tw_path_kind *kind; /* [path->count] */
    tw_file_set *set;
    const tw_host *host;
} tw_follow;

/* Finds the unfinished splits of the checkpoint again (one that is lost is logged), then everything that is there now;
 * with `is_from_end`, files that are not in the checkpoint start behind their last whole line. */
TW_MUST_USE tw_status tw_follow_start(const tw_follow *self, bool is_from_end, tw_error *error);

/* Takes in what changed since. */
TW_MUST_USE tw_status tw_follow_scan(const tw_follow *self, tw_error *error);

#endif
