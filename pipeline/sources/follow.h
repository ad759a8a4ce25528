/* follow.h: finds the files that a following source reads: rotation, new files of a pattern, files found again on
 * resume.
 *
 * A path: the file behind it is live. When another file with a whole first line lies there, the old one is gone (it is
 * read to its end and finished) and the new one comes behind it. Rotations that happened unseen leave siblings ("log.1"
 * of "log") that were written after the old one and were never read: they come in between, oldest first. A newer file
 * is never taken in before an older one that is unread, whatever is renamed meanwhile (siblings.h). Compressed siblings
 * are left out: they are copies of what was read before. A pattern: every match is live, in the order of modification
 * time, then name. A match that was renamed within the pattern stays the same split; one that vanished is finished once
 * another file took its place or 2 s later. Private to this folder. */
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
    uint64_t n_lost; /* files of the checkpoint that were gone before they were read to their end */
} tw_follow;

/* Whether the file of `info` is the unfinished split's. */
bool tw_file_split_is_live(const tw_file_split *split, const tw_file_info *info);

/* tw_follow_scan of one path that is not a pattern. */
TW_MUST_USE tw_status tw_follow_scan_path(const tw_follow *self, size_t pattern, tw_error *error);

/* Finds the unfinished splits of the checkpoint again (one that is lost is logged and counted), then everything that is
 * there now; with `is_from_end`, the files of an option that has no split in the checkpoint start behind their last
 * whole line. IO: files there are renamed without a pause. */
TW_MUST_USE tw_status tw_follow_start(tw_follow *self, bool is_from_end, tw_error *error);

/* Takes in what changed since. IDLE: files are being renamed, what is new is not certain yet; ask again. */
TW_MUST_USE tw_status tw_follow_scan(const tw_follow *self, tw_error *error);

#endif
