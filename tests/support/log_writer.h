/* log_writer.h: a thread that writes numbered lines in pieces to a log, through every kind of rotation: renaming,
 * cutting to nothing, deleting. */
#ifndef TW_TESTS_LOG_WRITER_H
#define TW_TESTS_LOG_WRITER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_WRITER_SIZE = 1 << 20 };

typedef struct log_writer {
    const char *folder;
    uint64_t random;
    uint64_t n_lines, n_kept; /* log.1 to log.<n_kept> */
    uint64_t rotations;       /* in 60 lines */
    bool has_header, is_deleting;
    _Atomic uint64_t written, read; /* bytes */
    pthread_mutex_t lock;           /* initialized by the owner; over `text` while the thread runs */
    char *text;                     /* [LOG_WRITER_SIZE], zeroed: all that was written, in order */
    atomic_bool is_over, is_stopped;
} log_writer;

/* The thread: `context` is a log_writer. It waits for `read` where a reader could lose bytes, and ends early once
 * is_stopped. */
void *log_writer_run(void *context);

/* Whether these bytes stand at `at` of all that was written; while the thread runs, too. */
bool log_writer_wrote(log_writer *self, size_t at, const char *bytes, size_t size);

#endif
