/* glob.h: path patterns. `*` any bytes, `?` one byte, `[a-c]`, `[!a-c]` one byte of a set; none of them matches `/`,
 * nor a leading `.` of a name. Bytes, not locales. A path that exists as written is not a pattern, whatever it
 * contains. */
#ifndef TW_SOURCES_GLOB_H
#define TW_SOURCES_GLOB_H

#include "base/file.h"

bool tw_glob_is_pattern(const char *path);

/* Whole path against whole pattern. */
bool tw_glob_match(const char *pattern, const char *path);

/* Appends every existing match, sorted bytewise; directories among the last components are left out. Folders that do
 * not exist give no match; folders that cannot be read are errors. `out` stays the caller's, also after an error. */
TW_MUST_USE tw_status tw_glob_expand(const char *pattern, tw_names *out, tw_error *error);

/* The folder that `path` lies in ("." without a slash), into `folder`; false when it does not fit. */
bool tw_path_folder(const char *path, char *folder, size_t size);
const char *tw_path_base(const char *path); /* behind the last slash */

#endif
