#include "cmd/shard_list.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"

enum { LIST_MAX = 1 << 20 };

static tw_status list_path(const char *directory, char path[PATH_MAX], tw_error *error)
{
    if (snprintf(path, PATH_MAX, "%s/shards", directory) >= PATH_MAX)
        return tw_error_set(
            error, TW_STATUS_INVALID, "checkpoint.dir: a path of %zu bytes is too long", strlen(directory));
    return TW_STATUS_OK;
}

tw_status shard_list_write(const char *directory, const char *const *address, uint32_t n, tw_error *error)
{
    char path[PATH_MAX];
    tw_text text = {0};
    tw_status status = list_path(directory, path, error);
    if (status == TW_STATUS_OK)
        status = tw_text_addf(&text, error, "%ld\n", (long)getpid());
    for (uint32_t i = 0; i < n && status == TW_STATUS_OK; i++)
        status = tw_text_addf(&text, error, "%s\n", address[i]);
    if (status == TW_STATUS_OK)
        status = tw_file_replace(path, text.bytes, text.size, error);
    tw_text_fini(&text);
    return status;
}

void shard_list_remove(const char *directory)
{
    char path[PATH_MAX];
    if (list_path(directory, path, NULL) == TW_STATUS_OK)
        (void)!tw_file_remove(path, NULL);
}

static tw_status no_run(const char *directory, tw_error *error)
{
    return tw_error_set(
        error, TW_STATUS_NOT_FOUND, "%s: no run with shards of its own saves here at the moment", directory);
}

tw_status shard_list_read(
    const char *directory, char **text, const char **address, uint32_t limit, uint32_t *n, tw_error *error)
{
    char path[PATH_MAX];
    size_t size = 0;
    *text = NULL;
    *n = 0;
    tw_status status = list_path(directory, path, error);
    if (status == TW_STATUS_OK)
        status = tw_file_load(path, LIST_MAX, text, &size, error);
    if (status == TW_STATUS_NOT_FOUND)
        return no_run(directory, error);
    if (status != TW_STATUS_OK)
        return status;
    char *at = *text, *end = strchr(at, '\n');
    long pid = strtol(at, NULL, 10);
    if (end == NULL || pid <= 0 || (kill((pid_t)pid, 0) != 0 && errno == ESRCH))
        return no_run(directory, error);
    for (at = end + 1; *n < limit && (end = strchr(at, '\n')) != NULL; at = end + 1) {
        *end = '\0';
        address[(*n)++] = at;
    }
    return *n > 0 ? TW_STATUS_OK : no_run(directory, error);
}
