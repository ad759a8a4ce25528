/* siblings.h: the files beside a followed path that rotation may have made of it, seen all at one moment.
 *
 * A file that is renamed while a folder is listed may be missed or met twice. So the folder is looked at twice: if
 * every name has the same file both times, this was its state between the two looks. The files of interest are open
 * from the first look on; later renames do not matter to them. Private to this folder. */
#ifndef TW_SOURCES_SIBLINGS_H
#define TW_SOURCES_SIBLINGS_H

#include "sources/file_set.h"

typedef struct tw_sibling {
    char *path;
    tw_stream *stream; /* NULL: not open */
    tw_file_info info;
    uint64_t number; /* at the end of the name: of siblings with equal times the higher one is older */
    bool is_live;    /* it lies at the followed path */
    bool is_wanted;  /* the caller's */
} tw_sibling;

typedef struct tw_siblings {
    tw_sibling *item;
    size_t count, capacity;
} tw_siblings;

/* The file at `path` and those under names such as "log.1" that are not empty and were written at `floor_us` or later.
 * With `resumed` (NULL: without) also the files of the unfinished known splits that came by `path`, whatever their
 * names are now. OK: all of them are open. IDLE: files were renamed all the time; ask again. Release with
 * tw_siblings_free, also after an error. */
TW_MUST_USE tw_status tw_siblings_look(
    const char *path, int64_t floor_us, const tw_file_set *resumed, tw_siblings *out, tw_error *error);

/* Appends a file that is not open. */
TW_MUST_USE tw_status tw_siblings_add(tw_siblings *self, const char *path, const tw_file_info *info, tw_error *error);

/* Oldest first: by modification time, then by number, then by name. */
void tw_siblings_sort(tw_siblings *self);

void tw_siblings_free(tw_siblings *self);

#endif
