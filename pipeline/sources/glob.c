/* glob.c: patterns are matched component by component, so that only folders which can match are listed. */
#include "sources/glob.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { GLOB_PATH_SIZE = 4096 };

bool tw_glob_is_pattern(const char *path)
{
    return strpbrk(path, "*?[") != NULL;
}

/* `*set` stands behind the "["; moves behind the "]". Without a "]" the bracket is an ordinary byte (false, not moved).
 */
static bool glob_set(const char **set, const char *end, unsigned char byte, bool *is_match)
{
    const char *at = *set;
    bool is_negated = at < end && (*at == '!' || *at == '^');
    if (is_negated)
        at++;
    const char *first = at;
    bool is_found = false;
    while (at < end && (*at != ']' || at == first)) {
        unsigned char low = (unsigned char)at[0], high = low;
        if (end - at > 2 && at[1] == '-' && at[2] != ']') {
            high = (unsigned char)at[2];
            at += 2;
        }
        is_found = is_found || (byte >= low && byte <= high);
        at++;
    }
    if (at >= end)
        return false;
    *set = at + 1;
    *is_match = is_found != is_negated;
    return true;
}

/* One step for a pattern byte other than "*". */
static bool glob_step(const char **pattern, const char *end, unsigned char byte)
{
    const char *at = *pattern;
    bool is_match = false;
    if (at == end)
        return false;
    if (*at == '[') {
        const char *set = at + 1;
        if (glob_set(&set, end, byte, &is_match)) {
            *pattern = set;
            return is_match;
        }
    }
    *pattern = at + 1;
    return *at == '?' || (unsigned char)*at == byte;
}

/* One component: linear time up to the restart at the last "*". */
static bool glob_match_name(const char *pattern, const char *end, const char *name, const char *name_end)
{
    if (name < name_end && *name == '.' && pattern < end && *pattern != '.')
        return false;
    const char *star = NULL, *retry = NULL;
    while (name < name_end) {
        if (pattern < end && *pattern == '*') {
            star = ++pattern;
            retry = name;
            continue;
        }
        if (glob_step(&pattern, end, (unsigned char)*name)) {
            name++;
            continue;
        }
        if (star == NULL)
            return false;
        pattern = star;
        name = ++retry;
    }
    while (pattern < end && *pattern == '*')
        pattern++;
    return pattern == end;
}

static const char *component_end(const char *at)
{
    const char *slash = strchr(at, '/');
    return slash != NULL ? slash : at + strlen(at);
}

bool tw_glob_match(const char *pattern, const char *path)
{
    for (;;) {
        const char *pattern_end = component_end(pattern), *path_end = component_end(path);
        if (!glob_match_name(pattern, pattern_end, path, path_end))
            return false;
        if (*pattern_end == '\0' || *path_end == '\0')
            return *pattern_end == *path_end;
        pattern = pattern_end + 1;
        path = path_end + 1;
    }
}

/* Appends folder + name to the next level's list if it exists and fits its place in the pattern. */
static tw_status glob_add(const char *prefix, const char *name, bool is_last, tw_names *out, tw_error *error)
{
    char path[GLOB_PATH_SIZE];
    int n = snprintf(path, sizeof path, "%s%s", prefix, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return TW_STATUS_OK;
    tw_file_info info;
    tw_status status = tw_file_stat(path, &info, error);
    if (status == TW_STATUS_NOT_FOUND)
        return TW_STATUS_OK;
    if (status < 0 || info.is_directory == is_last)
        return status;
    if (!is_last && (size_t)n + 1 < sizeof path) {
        path[n] = '/';
        path[n + 1] = '\0';
    }
    return tw_names_add(out, path, error);
}

/* All matches of one component below `prefix` ("" or ending in "/"). */
static tw_status glob_level(const char *prefix, const char *component, const char *end, tw_names *out, tw_error *error)
{
    bool is_last = *end == '\0';
    char name[GLOB_PATH_SIZE];
    size_t size = (size_t)(end - component);
    if (size >= sizeof name)
        return TW_STATUS_OK;
    memcpy(name, component, size);
    name[size] = '\0';
    if (size == 0 || !tw_glob_is_pattern(name))
        return glob_add(prefix, name, is_last, out, error);
    tw_names found = {0};
    tw_status status = tw_directory_list(prefix[0] == '\0' ? "." : prefix, &found, error);
    if (status == TW_STATUS_NOT_FOUND)
        return TW_STATUS_OK;
    for (size_t i = 0; i < found.count && status == TW_STATUS_OK; i++) {
        const char *candidate = found.name[i];
        if (glob_match_name(component, end, candidate, candidate + strlen(candidate)))
            status = glob_add(prefix, candidate, is_last, out, error);
    }
    tw_names_free(&found);
    return status;
}

static int glob_compare(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

tw_status tw_glob_expand(const char *pattern, tw_names *out, tw_error *error)
{
    tw_names level = {0};
    tw_status status = tw_names_add(&level, pattern[0] == '/' ? "/" : "", error);
    const char *at = pattern[0] == '/' ? pattern + 1 : pattern;
    while (status == TW_STATUS_OK) {
        const char *end = component_end(at);
        tw_names next = {0};
        for (size_t i = 0; i < level.count && status == TW_STATUS_OK; i++)
            status = glob_level(level.name[i], at, end, &next, error);
        tw_names_free(&level);
        level = next;
        if (*end == '\0')
            break;
        at = end + 1;
    }
    if (status == TW_STATUS_OK && level.count > 1)
        qsort(level.name, level.count, sizeof level.name[0], glob_compare);
    for (size_t i = 0; i < level.count && status == TW_STATUS_OK; i++)
        status = tw_names_add(out, level.name[i], error);
    tw_names_free(&level);
    return status < 0 ? status : TW_STATUS_OK;
}

bool tw_path_folder(const char *path, char *folder, size_t size)
{
    const char *slash = strrchr(path, '/');
    int n = slash == NULL ? snprintf(folder, size, ".")
                          : snprintf(folder, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    return n > 0 && (size_t)n < size;
}

const char *tw_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}
