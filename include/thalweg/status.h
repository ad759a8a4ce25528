/* status.h: what every fallible call returns, and the message that goes with it.
 *
 * Zero is success, positive values are information (END, IDLE, ...), negative values are errors. The library never
 * prints, exits or aborts: an error is a value that travels to the caller together with a tw_error that names the
 * place, the value and the limit. */
#ifndef THALWEG_STATUS_H
#define THALWEG_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__GNUC__)
#define TW_MUST_USE                          __attribute__((warn_unused_result))
#define TW_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#define TW_EXPORT                            __attribute__((visibility("default")))
#else
#define TW_MUST_USE
#define TW_PRINTF(format_index, first_index)
#define TW_EXPORT
#endif

typedef enum tw_status {
    TW_STATUS_OK = 0,
    TW_STATUS_END = 1,    /* a bounded source is finished */
    TW_STATUS_IDLE = 2,   /* nothing to read at the moment; ask again */
    TW_STATUS_REWIND = 3, /* rows were lost with a shard: seek to the marks and learn again from there */

    TW_STATUS_INVALID = -1,     /* an argument or option is out of its range */
    TW_STATUS_NO_MEMORY = -2,   /* an allocation failed */
    TW_STATUS_IO = -3,          /* a file or socket call failed */
    TW_STATUS_PROTOCOL = -4,    /* a peer sent something that the protocol forbids */
    TW_STATUS_TIMEOUT = -5,     /* nothing came before the deadline */
    TW_STATUS_CORRUPT = -6,     /* a file fails its checks */
    TW_STATUS_UNSUPPORTED = -7, /* a combination that this build or plug-in cannot do */
    TW_STATUS_NOT_FOUND = -8,   /* a file, key, model or name does not exist */
    TW_STATUS_UNAVAILABLE = -9, /* a shard or server cannot be reached */
    TW_STATUS_CONFIG = -10,     /* the pipeline file or command line is wrong */
    TW_STATUS_DATA = -11,       /* input records are malformed beyond the configured limit */
    TW_STATUS_BUSY = -12,       /* overloaded; try again */
    TW_STATUS_NUMERIC = -13,    /* a learner diverged or met a value that is not finite */
    TW_STATUS_CONFLICT = -14,   /* schema, fingerprint or version does not match */
    TW_STATUS_CANCELLED = -15,  /* a stop was requested */
    TW_STATUS_FULL = -16,       /* a limit that was set is reached, and stays so until it is raised */
} tw_status;

enum { TW_ERROR_MESSAGE_SIZE = 512, TW_ERROR_FILE_SIZE = 256, TW_ERROR_CODE_SIZE = 8 };

/* Caller-owned, always the last parameter, NULL allowed. Set once, where the cause is known; callers above add nothing.
 */
typedef struct tw_error {
    tw_status status;
    bool retriable;                      /* the same call may succeed later */
    char code[TW_ERROR_CODE_SIZE];       /* stable code such as "E102", or "" */
    char file[TW_ERROR_FILE_SIZE];       /* input the error is about, or "" */
    uint64_t line, column;               /* 1-based place in `file`; 0: unknown */
    char message[TW_ERROR_MESSAGE_SIZE]; /* one line, no trailing newline: what, which value, which limit, what to do */
} tw_error;

/* Fills `error` (if not NULL) and returns `status`, so that callers write `return tw_error_set(...)`. */
TW_EXPORT tw_status tw_error_set(tw_error *error, tw_status status, const char *format, ...) TW_PRINTF(3, 4);

/* As tw_error_set, and appends ": " and the text of the errno value `errnum`. Transient errnos mark the error
 * retriable. */
TW_EXPORT tw_status tw_error_errno(tw_error *error, tw_status status, int errnum, const char *format, ...)
    TW_PRINTF(4, 5);

/* Adds the place to an error that is already set. NULL-safe. */
TW_EXPORT void tw_error_at(tw_error *error, const char *file, uint64_t line, uint64_t column);

/* Adds the stable code to an error that is already set. NULL-safe. */
TW_EXPORT void tw_error_code(tw_error *error, const char *code);

/* The name of a status in lower case ("no memory"); never NULL. */
TW_EXPORT const char *tw_status_name(tw_status status);

/* The process exit code (sysexits) that product documentation promises for `status`: 0, 64, 65, 66, 69, 74, 75 or 78.
 */
TW_EXPORT int tw_status_exit_code(tw_status status);

#endif
