#include "ps/edge/own_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "store/table.h"

static void remove_file(const tw_own_files *self, const char *name)
{
    char path[4096];
    tw_error error = {0};
    if (snprintf(path, sizeof path, "%s/%s", self->directory, name) < (int)sizeof path &&
        tw_file_remove(path, &error) < 0)
        tw_log(TW_LOG_WARN, "an old snapshot stays: %s", error.message);
}

/* What every row file there stands on, but for its own old ones. */
static tw_status find_needed(const tw_own_files *self, const tw_names *old, tw_names *needed)
{
    tw_names names = {0};
    tw_status status = tw_directory_list(self->directory, &names, NULL);
    for (size_t i = 0; i < names.count && status == TW_STATUS_OK; i++) {
        if (strstr(names.name[i], ".rows-") != NULL && !tw_names_has(old, names.name[i]))
            status = tw_row_file_needs(self->directory, names.name[i], needed, NULL);
    }
    tw_names_free(&names);
    return status;
}

/* In ascending order; where there are too many the oldest are not managed any more. */
static void remember(tw_own_files *self, uint64_t id)
{
    if (self->n == TW_OWN_FILES_MAX) {
        memmove(self->id, self->id + 1, (TW_OWN_FILES_MAX - 1) * sizeof *self->id);
        self->n--;
    }
    uint32_t at = self->n++;
    for (; at > 0 && self->id[at - 1] > id; at--)
        self->id[at] = self->id[at - 1];
    self->id[at] = id;
}

void tw_own_files_begin(tw_own_files *self, uint64_t epoch)
{
    tw_names names = {0};
    if (self->directory == NULL || tw_directory_list(self->directory, &names, NULL) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        uint64_t id;
        tw_row_origin origin;
        bool is_own = tw_row_file_id(names.name[i], self->index, self->count, &id) &&
                      tw_row_file_origin(self->directory, names.name[i], &origin, NULL) == TW_STATUS_OK &&
                      origin.is_own && origin.epoch <= epoch;
        if (is_own)
            remember(self, id);
    }
    tw_names_free(&names);
}

bool tw_own_files_others(const tw_own_files *self, uint32_t *count)
{
    tw_names names = {0};
    bool has_others = false;
    if (self->directory == NULL || tw_directory_list(self->directory, &names, NULL) < 0)
        return false;
    for (size_t i = 0; i < names.count && !has_others; i++) {
        char name[TW_FILE_NAME_SIZE];
        const char *kind = strstr(names.name[i], ".rows-"), *of = kind != NULL ? strstr(kind, "-of-") : NULL;
        if (of == NULL)
            continue;
        uint64_t id = strtoull(names.name[i], NULL, 10);
        *count = (uint32_t)strtoul(of + 4, NULL, 10);
        tw_row_file_name(id, (uint32_t)strtoul(kind + 6, NULL, 10), *count, name);
        has_others = *count != self->count && strcmp(name, names.name[i]) == 0;
    }
    tw_names_free(&names);
    return has_others;
}

/* Of this shard, which writes nothing now: who wrote it died or was taken over from. */
static void remove_unfinished(const tw_own_files *self)
{
    char part[TW_FILE_NAME_SIZE];
    tw_names names = {0};
    (void)snprintf(part, sizeof part, ".rows-%u-of-%u.", self->index, self->count);
    if (tw_directory_list(self->directory, &names, NULL) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        size_t size = strlen(names.name[i]);
        if (size > 4 && strcmp(names.name[i] + size - 4, ".tmp") == 0 && strstr(names.name[i], part) != NULL)
            remove_file(self, names.name[i]);
    }
    tw_names_free(&names);
}

void tw_own_files_add(tw_own_files *self, uint64_t id)
{
    uint32_t keep = self->keep ? self->keep : 2;
    tw_names old = {0}, needed = {0};
    char name[TW_FILE_NAME_SIZE];
    tw_status status = TW_STATUS_OK;
    remember(self, id);
    remove_unfinished(self);
    for (uint32_t i = 0; i + keep < self->n && status == TW_STATUS_OK; i++) {
        tw_row_file_name(self->id[i], self->index, self->count, name);
        status = tw_names_add(&old, name, NULL);
    }
    if (status == TW_STATUS_OK && old.count > 0)
        status = find_needed(self, &old, &needed);
    uint32_t n_left = 0;
    for (uint32_t i = 0; i < self->n && status == TW_STATUS_OK; i++) {
        tw_row_file_name(self->id[i], self->index, self->count, name);
        if (i + keep < self->n && !tw_names_has(&needed, name))
            remove_file(self, name);
        else
            self->id[n_left++] = self->id[i];
    }
    self->n = status == TW_STATUS_OK ? n_left : self->n;
    tw_names_free(&old);
    tw_names_free(&needed);
}
