/* console.h: what a person sees on standard error: errors, the progress table, the final block. Data goes to standard
 * output; nothing here does. */
#ifndef TW_CMD_CONSOLE_H
#define TW_CMD_CONSOLE_H

#include "cmd/assembly.h"
#include "cmd/report_json.h"

typedef enum progress_style { PROGRESS_TABLE, PROGRESS_JSON, PROGRESS_NONE } progress_style;

/* "thalweg: file:line:column: error[code]: message". */
void console_error(const tw_error *error);
void console_note(const char *format, ...) TW_PRINTF(1, 2);

/* Of shards that are joined as "A|B" without a coordinator: that nobody here has a standby take over. */
void console_note_standbys(const char *const *address, uint32_t n);

/* Whether somebody who has waited so long, and asks about once a second, says so again: after 3, 5, 10, 20 and 30 s,
 * then every 30 s. */
bool console_is_due(int64_t waited_ms);

/* Prints the problems of an assembly, all at once; true if there were any. */
bool console_problems(const assembly *self);

/* One run's output. Learning thread only. */
typedef struct console {
    progress_style style;
    const assembly *assembly;
    bool has_header;
    uint64_t n_shown_bad; /* data warnings printed */
    bool is_quiet;
    bool has_checkpoints;
} console;

void console_start(const console *self, const char *resumed, uint64_t events);
void console_progress(console *self, const tw_report *report);
void console_event(console *self, tw_engine_event event, const tw_report *report, const tw_error *error);
void console_final(console *self, const tw_report *report);

/* Sets the log function of the program: warnings and errors to standard error. */
void console_take_log(void);

#endif
