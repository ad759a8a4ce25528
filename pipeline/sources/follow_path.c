/* follow_path.c: a followed path, through rotation and resume. Everything is decided from one look at the folder
 * (siblings.h), so no rename can bring a newer file in before an older one that is unread. */
#include <stdio.h>
#include <string.h>

#include "sources/follow.h"
#include "sources/siblings.h"

/* The newest split of an option, or NULL. */
static tw_file_split *newest_of(const tw_follow *self, size_t pattern)
{
    for (size_t i = self->set->count; i-- > 0;) {
        if (self->set->split[i].pattern == pattern)
            return &self->set->split[i];
    }
    return NULL;
}

/* Whether `other` is `path` or lies beside it under a longer name. */
static bool is_sibling(const char *path, const char *other)
{
    size_t size = strlen(path);
    return strncmp(path, other, size) == 0 && strchr(other + size, '/') == NULL;
}

/* When the file read last was written, as far as it is known without a look at the folder: unread files are not older.
 * INT64_MAX: nothing was read before, so nothing that was rotated is asked for. */
static int64_t floor_of(const tw_follow *self, size_t pattern)
{
    tw_file_info info;
    const tw_file_split *newest = newest_of(self, pattern);
    if (newest != NULL && newest->stream != NULL && tw_stream_info(newest->stream, &info, NULL) == TW_STATUS_OK)
        return info.modified_us;
    if (newest != NULL)
        return newest->modified_us != 0 ? newest->modified_us : newest->identity.modified_us;
    bool has_known = false;
    int64_t floor_us = INT64_MIN;
    for (size_t i = 0; i < self->set->n_known; i++) {
        tw_file_identity identity;
        tw_identity_decode(&identity, self->set->known[i].identity);
        if (identity.is_pipe != 0 || !is_sibling(self->path->name[pattern], self->set->known[i].name))
            continue;
        has_known = true;
        floor_us = identity.modified_us > floor_us ? identity.modified_us : floor_us;
    }
    return has_known ? floor_us : INT64_MAX;
}

/* Whether the file was read before, in this run or in an earlier one; if so *is_unfinished tells what is left of it. */
static tw_status was_read(
    const tw_follow *self, size_t pattern, const tw_sibling *item, bool *was, bool *is_unfinished, tw_error *error)
{
    const tw_split *known = NULL;
    const tw_file_split *twin = tw_file_set_by_inode(self->set, item->info.device, item->info.inode);
    tw_status status = TW_STATUS_OK;
    *was = *is_unfinished = false;
    if (twin != NULL && tw_identity_has_inode(&twin->identity, &item->info))
        status = tw_identity_has_head(&twin->identity, item->stream, was, error);
    if (status == TW_STATUS_OK && !*was)
        status = tw_file_set_find_known(self->set, item->stream, item->path, &item->info, &known, error);
    if (known != NULL) {
        *was = true;
        *is_unfinished = !known->is_done && strcmp(known->name, self->path->name[pattern]) == 0;
    }
    return status;
}

/* Leaves what is to be read: unfinished files, and those not older than the newest one that was read. */
static tw_status drop_read(const tw_follow *self, size_t pattern, tw_siblings *found, int64_t floor_us, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < found->count && status == TW_STATUS_OK; i++) {
        tw_sibling *item = &found->item[i];
        bool was = false, is_unfinished = false;
        status = was_read(self, pattern, item, &was, &is_unfinished, error);
        if (was && item->info.modified_us > floor_us)
            floor_us = item->info.modified_us;
        item->is_wanted = is_unfinished;
    }
    for (size_t i = 0; i < found->count; i++)
        found->item[i].is_wanted = found->item[i].is_wanted || found->item[i].info.modified_us >= floor_us;
    return status;
}

/* Takes in one file that was moved away. A done one goes on if it grew since; a compressed one is a copy. */
static tw_status adopt_moved(const tw_follow *self, size_t pattern, tw_sibling *item, tw_error *error)
{
    tw_file_split *added = NULL;
    tw_status status = tw_file_set_adopt_stream(self->set, &item->stream, item->path, pattern, false, &added, error);
    if (status != TW_STATUS_OK)
        return status == TW_STATUS_END ? TW_STATUS_OK : status;
    tw_split *shown = &self->set->shown[self->set->count - 1]; /* a later resume knows it as one of this path's */
    (void)snprintf(shown->name, sizeof shown->name, "%s", self->path->name[pattern]);
    if (added->identity.is_packed != 0)
        added->is_done = added->is_done || added->offset == 0;
    else
        added->is_done = added->is_done && item->info.size <= added->offset;
    if (added->is_done)
        tw_stream_close(&added->stream);
    return TW_STATUS_OK;
}

/* Splits of the option before the newest end where they end; one with the newest's inode was truncated in place. */
static void follow_retire(const tw_follow *self, size_t pattern)
{
    const tw_file_split *newest = newest_of(self, pattern);
    for (size_t i = 0; newest != NULL && &self->set->split[i] != newest; i++) {
        tw_file_split *split = &self->set->split[i];
        if (split->pattern != pattern || split->is_done)
            continue;
        split->is_gone = true;
        bool is_same =
            split->identity.device == newest->identity.device && split->identity.inode == newest->identity.inode;
        if (is_same && !split->is_replaced) {
            split->is_replaced = true;
            split->end = split->offset;
        }
    }
}

/* Takes in the file at the path, behind all others. */
static tw_status adopt_live(const tw_follow *self, size_t pattern, tw_sibling *item, tw_error *error)
{
    tw_file_split *added = NULL;
    tw_status status = tw_file_set_adopt_stream(self->set, &item->stream, item->path, pattern, true, &added, error);
    if (status < 0 || status == TW_STATUS_IDLE ||
        (status == TW_STATUS_END && (added->is_done || added->pattern != pattern)))
        return status < 0 ? status : TW_STATUS_OK;
    added->is_done = added->is_done && added->identity.is_packed != 0;
    tw_file_set_move_last(self->set, (size_t)(added - self->set->split));
    return TW_STATUS_OK;
}

/* Whether there is nothing to look for: the newest split's file still lies at the path, or what lies there is too young
 * to tell. With nothing at the path, files may have been rotated away unread. */
static tw_status follow_is_settled(const tw_follow *self, size_t pattern, bool *is_settled, tw_error *error)
{
    tw_stream *stream = NULL;
    tw_file_identity identity = {0};
    tw_file_info info;
    const tw_file_split *newest = newest_of(self, pattern);
    *is_settled = false;
    if (newest == NULL)
        return TW_STATUS_OK;
    tw_status status = tw_file_stat(self->path->name[pattern], &info, error);
    if (status == TW_STATUS_OK && tw_file_split_is_live(newest, &info)) {
        *is_settled = true;
        return TW_STATUS_OK;
    }
    if (status == TW_STATUS_OK)
        status = tw_stream_open(self->path->name[pattern], &stream, error);
    if (status == TW_STATUS_OK)
        status = tw_identity_read(stream, &identity, &info, error);
    tw_stream_close(&stream);
    *is_settled = status == TW_STATUS_OK && identity.is_whole == 0;
    return status == TW_STATUS_NOT_FOUND ? TW_STATUS_OK : status;
}

tw_status tw_follow_scan_path(const tw_follow *self, size_t pattern, tw_error *error)
{
    bool is_settled = false;
    tw_status status = follow_is_settled(self, pattern, &is_settled, error);
    if (status < 0 || is_settled)
        return status;
    tw_siblings found = {0};
    bool is_resuming = newest_of(self, pattern) == NULL;
    int64_t floor_us = floor_of(self, pattern);
    status = tw_siblings_look(self->path->name[pattern], floor_us, is_resuming ? self->set : NULL, &found, error);
    if (status == TW_STATUS_OK)
        status = drop_read(self, pattern, &found, floor_us, error);
    tw_siblings_sort(&found);
    for (size_t i = 0; i < found.count && status == TW_STATUS_OK; i++) {
        if (found.item[i].is_wanted && !found.item[i].is_live)
            status = adopt_moved(self, pattern, &found.item[i], error);
    }
    for (size_t i = 0; i < found.count && status == TW_STATUS_OK; i++) {
        if (found.item[i].is_live)
            status = adopt_live(self, pattern, &found.item[i], error);
    }
    tw_siblings_free(&found);
    if (status == TW_STATUS_OK)
        follow_retire(self, pattern);
    return status;
}
