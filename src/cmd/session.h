/* session.h: one run of a pipeline from start to report: what the verbs `run` and `train` share. */
#ifndef TW_CMD_SESSION_H
#define TW_CMD_SESSION_H

#include "cmd/assembly.h"
#include "cmd/console.h"

typedef enum session_start { SESSION_AUTO, SESSION_FRESH, SESSION_RESUME } session_start;

typedef struct session_options {
    session_start start;
    bool accepts_changes;
    const char *init_directory; /* warm start: rows of the newest checkpoint there; NULL: none */
    const char *report_path;    /* JSON report; NULL: none */
    progress_style style;
    tw_progress_policy progress;
    uint64_t until_events;
    int64_t until_us;
} session_options;

/* Runs the checked pipeline of `all` and prints. Returns the process's exit code. */
int session_run(assembly *all, const session_options *options);

/* "--progress-every": N events, Nx (factor) or a time such as 5s. */
TW_MUST_USE tw_status session_parse_every(const char *text, tw_progress_policy *out, tw_error *error);
/* "--until": N events or a time. */
TW_MUST_USE tw_status session_parse_until(const char *text, session_options *out, tw_error *error);

#endif
