#include "cmd/cause.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

enum { FIXED_SIZE = 96, CAUSE_SIZE = FIXED_SIZE + TW_ERROR_FILE_SIZE + TW_ERROR_MESSAGE_SIZE };

void cause_path(const char *figures, char *path, size_t size)
{
    (void)snprintf(path, size, "%s.cause", figures);
}

/* "STATUS LINE COLUMN", code, file and message, a zero byte behind each. */
tw_status cause_write(const char *path, const tw_error *cause, tw_error *error)
{
    char text[CAUSE_SIZE];
    int n = snprintf(text, sizeof text, "%d %" PRIu64 " %" PRIu64 "%c%s%c%s%c%s", (int)cause->status, cause->line,
        cause->column, 0, cause->code, 0, cause->file, 0, cause->message);
    return tw_file_store(path, text, (size_t)n + 1, error);
}

/* The text at *at, which then stands behind it; NULL: it has no end, or is too long. */
static const char *take_text(const char **at, const char *end, size_t limit)
{
    const char *text = *at, *zero = memchr(text, 0, (size_t)(end - text));
    if (zero == NULL || (size_t)(zero - text) >= limit)
        return NULL;
    *at = zero + 1;
    return text;
}

static bool cause_read(const char *bytes, size_t size, tw_error *out)
{
    const char *at = bytes, *end = bytes + size;
    const char *head = take_text(&at, end, FIXED_SIZE);
    const char *code = head != NULL ? take_text(&at, end, sizeof out->code) : NULL;
    const char *file = code != NULL ? take_text(&at, end, sizeof out->file) : NULL;
    const char *message = file != NULL ? take_text(&at, end, sizeof out->message) : NULL;
    if (message == NULL)
        return false;
    char *rest;
    long status = strtol(head, &rest, 10);
    uint64_t line = strtoull(rest, &rest, 10), column = strtoull(rest, &rest, 10);
    if (status >= 0 || status < INT_MIN || *rest != '\0')
        return false;
    (void)tw_error_set(out, (tw_status)status, "%s", message);
    tw_error_at(out, file, line, column);
    tw_error_code(out, code);
    return true;
}

bool cause_take(const char *path, tw_error *out)
{
    char *bytes = NULL;
    size_t size = 0;
    if (tw_file_load(path, CAUSE_SIZE, &bytes, &size, NULL) < 0)
        return false;
    bool is_cause = cause_read(bytes, size, out);
    tw_free(bytes);
    (void)unlink(path);
    return is_cause;
}
