#include "ps/own_files.h"

#include <stdio.h>
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

void tw_own_files_add(tw_own_files *self, uint64_t id)
{
    uint32_t keep = self->keep ? self->keep : 2;
    tw_names old = {0}, needed = {0};
    char name[TW_FILE_NAME_SIZE];
    tw_status status = TW_STATUS_OK;
    if (self->n == TW_OWN_FILES_MAX) {
        memmove(self->id, self->id + 1, (TW_OWN_FILES_MAX - 1) * sizeof *self->id);
        self->n--;
    }
    self->id[self->n++] = id;
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
