#include "sources/siblings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "sources/glob.h"

enum { MAX_LOOKS = 16 };

/* Numbers from here on are dates or times: the higher one is newer. */
static const uint64_t first_date = 100000;

void tw_siblings_free(tw_siblings *self)
{
    for (size_t i = 0; i < self->count; i++) {
        tw_stream_close(&self->item[i].stream);
        tw_free(self->item[i].path);
    }
    tw_free(self->item);
    *self = (tw_siblings){0};
}

static uint64_t trailing_number(const char *name)
{
    size_t at = strlen(name);
    while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9')
        at--;
    return strtoull(name + at, NULL, 10);
}

tw_status tw_siblings_add(tw_siblings *self, const char *path, const tw_file_info *info, tw_error *error)
{
    tw_status status = tw_grow(&self->item, sizeof *self->item, &self->capacity, self->count + 1, error);
    if (status < 0)
        return status;
    char *copy = tw_strdup(path);
    if (copy == NULL)
        return tw_no_memory(error, strlen(path) + 1);
    self->item[self->count++] = (tw_sibling){.path = copy, .info = *info, .number = trailing_number(path)};
    return TW_STATUS_OK;
}

static int sibling_compare(const void *left, const void *right)
{
    const tw_sibling *a = left, *b = right;
    if (a->info.modified_us != b->info.modified_us)
        return a->info.modified_us < b->info.modified_us ? -1 : 1;
    bool is_dated = a->number >= first_date && b->number >= first_date;
    if (a->number != b->number)
        return (a->number > b->number) != is_dated ? -1 : 1;
    return strcmp(a->path, b->path);
}

void tw_siblings_sort(tw_siblings *self)
{
    if (self->count > 1)
        qsort(self->item, self->count, sizeof self->item[0], sibling_compare);
}

/* A name behind `base` that rotation gives: "log.1", "log-20260101". */
static bool is_rotated_name(const char *base, const char *name)
{
    size_t size = strlen(base);
    return strncmp(base, name, size) == 0 && name[size] != '\0' && strchr(".-_0123456789", name[size]) != NULL;
}

static bool is_resumed_file(const tw_file_set *set, const char *path, const tw_file_info *info)
{
    for (size_t i = 0; set != NULL && i < set->n_known; i++) {
        const tw_split *known = &set->known[i];
        tw_file_identity identity;
        tw_identity_decode(&identity, known->identity);
        bool is_ours = !known->is_done && strcmp(known->name, path) == 0;
        if (is_ours && identity.device == info->device && identity.inode == info->inode)
            return true;
    }
    return false;
}

/* What a look is for, and what it found. */
typedef struct look {
    const char *path, *base;
    int64_t floor_us;
    const tw_file_set *resumed;
    tw_siblings *out; /* NULL: nothing is opened */
    uint64_t sum;     /* over names and files */
} look;

static tw_status look_open(const look *self, const char *path, bool is_live, tw_error *error)
{
    tw_stream *stream = NULL;
    tw_file_info info;
    tw_status status = tw_stream_open(path, &stream, error);
    if (status == TW_STATUS_NOT_FOUND)
        return TW_STATUS_OK;
    if (status == TW_STATUS_OK)
        status = tw_stream_info(stream, &info, error);
    if (status == TW_STATUS_OK)
        status = tw_siblings_add(self->out, path, &info, error);
    if (status < 0) {
        tw_stream_close(&stream);
        return status;
    }
    tw_sibling *item = &self->out->item[self->out->count - 1];
    item->stream = stream;
    item->is_live = is_live;
    return TW_STATUS_OK;
}

static tw_status look_at(look *self, const char *name, tw_error *error)
{
    char path[2 * TW_SPLIT_NAME_SIZE];
    tw_file_info info;
    int n = snprintf(path, sizeof path, "%.*s%s", (int)(self->base - self->path), self->path, name);
    bool is_live = strcmp(name, self->base) == 0, is_rotated = is_rotated_name(self->base, name);
    if (n < 0 || n >= TW_SPLIT_NAME_SIZE || (!is_live && !is_rotated && self->resumed == NULL))
        return TW_STATUS_OK;
    tw_status status = tw_file_stat(path, &info, error);
    if (status == TW_STATUS_NOT_FOUND || (status == TW_STATUS_OK && !info.is_regular))
        return TW_STATUS_OK;
    if (status < 0)
        return status;
    bool is_resumed = is_resumed_file(self->resumed, self->path, &info);
    bool is_unread = is_rotated && info.size > 0 && info.modified_us >= self->floor_us;
    if (is_live || is_rotated || is_resumed)
        self->sum += tw_mix64(tw_hash(path, (size_t)n) ^ tw_mix64(info.inode ^ tw_mix64(info.device)));
    if (self->out == NULL || (!is_live && !is_unread && !is_resumed))
        return TW_STATUS_OK;
    /* Another file may lie at the path by now: then the second look differs, as the first one's file was there before.
     */
    return look_open(self, path, is_live, error);
}

static tw_status look_around(look *self, tw_error *error)
{
    char folder[TW_SPLIT_NAME_SIZE];
    tw_names names = {0};
    self->sum = 0;
    if (!tw_path_folder(self->path, folder, sizeof folder))
        return TW_STATUS_OK;
    tw_status status = tw_directory_list(folder, &names, error);
    for (size_t i = 0; i < names.count && status == TW_STATUS_OK; i++)
        status = look_at(self, names.name[i], error);
    tw_names_free(&names);
    return status == TW_STATUS_NOT_FOUND ? TW_STATUS_OK : status;
}

tw_status tw_siblings_look(
    const char *path, int64_t floor_us, const tw_file_set *resumed, tw_siblings *out, tw_error *error)
{
    *out = (tw_siblings){0};
    for (int i = 0; i < MAX_LOOKS; i++) {
        look first = {path, tw_path_base(path), floor_us, resumed, out, 0}, second = first;
        second.out = NULL;
        tw_siblings_free(out);
        tw_status status = look_around(&first, error);
        if (status == TW_STATUS_OK)
            status = look_around(&second, error);
        if (status < 0 || first.sum == second.sum)
            return status;
    }
    return TW_STATUS_IDLE;
}
