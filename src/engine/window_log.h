/* window_log.h: the file of finished windows, one JSON object a line:
 *   {"window":1,"from_event":1,"to_event":1000,"from_time":null,"to_time":null,"events":1000,"labelled":1000,
 *    "positives":250,"loss":0.5,...}
 * with every figure of figures.h in the table's order; times in microseconds since 1970 (time windows), what is not
 * known is null. Its length goes into the checkpoint and it is cut back to it on resume, so that no line is doubled or
 * missing. Learning thread only. */
#ifndef TW_ENGINE_WINDOW_LOG_H
#define TW_ENGINE_WINDOW_LOG_H

#include "engine/window.h"
#include "store/checkpoint.h"

typedef struct tw_window_log tw_window_log;

/* `saved`: the manifest's section "windows"; NULL: the file is written anew. CONFLICT: the file is shorter or gone. */
TW_MUST_USE tw_status tw_window_log_open(
    const char *path, const tw_section *saved, tw_window_log **out, tw_error *error);
void tw_window_log_close(tw_window_log **self); /* does not flush */

/* A line into memory. */
TW_MUST_USE tw_status tw_window_log_add(tw_window_log *self, const tw_window *window, tw_error *error);

/* Writes the lines out. */
TW_MUST_USE tw_status tw_window_log_flush(tw_window_log *self, bool is_durable, tw_error *error);

/* Flushes durably and adds the section. */
TW_MUST_USE tw_status tw_window_log_save(tw_window_log *self, tw_manifest *manifest, tw_error *error);

#endif
