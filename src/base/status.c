#define _GNU_SOURCE
#include "thalweg/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct status_row {
    tw_status status;
    int exit_code;
    const char *name;
} status_row;

static const status_row status_table[] = {
    {TW_STATUS_OK, 0, "ok"},
    {TW_STATUS_END, 0, "end"},
    {TW_STATUS_IDLE, 0, "idle"},
    {TW_STATUS_REWIND, 0, "rewind"},
    {TW_STATUS_INVALID, 64, "invalid"},
    {TW_STATUS_NO_MEMORY, 75, "no memory"},
    {TW_STATUS_IO, 74, "input or output error"},
    {TW_STATUS_PROTOCOL, 69, "protocol error"},
    {TW_STATUS_TIMEOUT, 75, "timeout"},
    {TW_STATUS_CORRUPT, 65, "corrupt"},
    {TW_STATUS_UNSUPPORTED, 78, "unsupported"},
    {TW_STATUS_NOT_FOUND, 66, "not found"},
    {TW_STATUS_UNAVAILABLE, 69, "unavailable"},
    {TW_STATUS_CONFIG, 78, "configuration error"},
    {TW_STATUS_DATA, 65, "data error"},
    {TW_STATUS_BUSY, 75, "busy"},
    {TW_STATUS_NUMERIC, 65, "numeric error"},
    {TW_STATUS_CONFLICT, 78, "conflict"},
    {TW_STATUS_CANCELLED, 75, "cancelled"},
    {TW_STATUS_FULL, 78, "full"},
};

static const status_row *status_find(tw_status status)
{
    for (size_t i = 0; i < sizeof status_table / sizeof status_table[0]; i++) {
        if (status_table[i].status == status)
            return &status_table[i];
    }
    return NULL;
}

const char *tw_status_name(tw_status status)
{
    const status_row *row = status_find(status);
    return row != NULL ? row->name : "unknown status";
}

int tw_status_exit_code(tw_status status)
{
    const status_row *row = status_find(status);
    return row != NULL ? row->exit_code : 70;
}

TW_PRINTF(3, 0)
static void error_fill(tw_error *error, tw_status status, const char *format, va_list arguments)
{
    memset(error, 0, sizeof *error);
    error->status = status;
    error->retriable = status == TW_STATUS_BUSY || status == TW_STATUS_TIMEOUT || status == TW_STATUS_NO_MEMORY ||
                       status == TW_STATUS_UNAVAILABLE;
    (void)vsnprintf(error->message, sizeof error->message, format, arguments);
}

tw_status tw_error_set(tw_error *error, tw_status status, const char *format, ...)
{
    if (error == NULL)
        return status;
    va_list arguments;
    va_start(arguments, format);
    error_fill(error, status, format, arguments);
    va_end(arguments);
    return status;
}

static bool errno_is_transient(int errnum)
{
    return errnum == EINTR || errnum == EAGAIN || errnum == ENOMEM || errnum == EBUSY || errnum == ENOSPC ||
           errnum == EDQUOT || errnum == EMFILE || errnum == ENFILE || errnum == EADDRINUSE;
}

tw_status tw_error_errno(tw_error *error, tw_status status, int errnum, const char *format, ...)
{
    if (error == NULL)
        return status;
    va_list arguments;
    va_start(arguments, format);
    error_fill(error, status, format, arguments);
    va_end(arguments);
    size_t used = strlen(error->message);
    char reason[128];
    (void)snprintf(
        error->message + used, sizeof error->message - used, ": %s", strerror_r(errnum, reason, sizeof reason));
    error->retriable = error->retriable || errno_is_transient(errnum);
    return status;
}

void tw_error_at(tw_error *error, const char *file, uint64_t line, uint64_t column)
{
    if (error == NULL)
        return;
    (void)snprintf(error->file, sizeof error->file, "%s", file);
    error->line = line;
    error->column = column;
}

void tw_error_code(tw_error *error, const char *code)
{
    if (error != NULL)
        (void)snprintf(error->code, sizeof error->code, "%s", code);
}
