#include "sources/follow.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "sources/glob.h"
#include "sources/siblings.h"

static const int64_t gone_grace_us = 2000000, start_pause_us = 2000;
static const int start_tries = 500;

bool tw_file_split_is_live(const tw_file_split *split, const tw_file_info *info)
{
    return split != NULL && !split->is_done && !split->is_replaced && split->identity.device == info->device &&
           split->identity.inode == info->inode;
}

/* Sorts matches into those that are followed already (their path is noted) and candidates. */
static tw_status glob_sort_out(
    const tw_follow *self, const tw_names *names, tw_siblings *out, int64_t now_us, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < names->count && status == TW_STATUS_OK; i++) {
        tw_file_info info;
        status = tw_file_stat(names->name[i], &info, error);
        if (status == TW_STATUS_NOT_FOUND) {
            status = TW_STATUS_OK;
            continue;
        }
        if (status < 0 || !info.is_regular)
            continue;
        tw_file_split *split = tw_file_set_by_inode(self->set, info.device, info.inode);
        bool is_finished = split != NULL && split->is_done && !split->is_replaced && info.size == split->end;
        if (tw_file_split_is_live(split, &info) && strlen(names->name[i]) < sizeof split->path) {
            (void)snprintf(split->path, sizeof split->path, "%s", names->name[i]);
            split->gone_since_us = -now_us;
        } else if (!is_finished) {
            status = tw_siblings_add(out, names->name[i], &info, error);
        }
    }
    return status;
}

static tw_status glob_adopt(
    const tw_follow *self, size_t pattern, const tw_siblings *found, int64_t now_us, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < found->count && status >= 0; i++) {
        tw_file_split *added = NULL;
        status = tw_file_set_adopt(self->set, found->item[i].path, pattern, true, &added, error);
        if (status == TW_STATUS_NOT_FOUND)
            status = TW_STATUS_OK;
        if (status < 0 || added == NULL)
            continue;
        added->gone_since_us = -now_us;
        added->is_done = added->is_done && (added->identity.is_packed != 0 || status == TW_STATUS_END);
        for (size_t k = 0; status == TW_STATUS_OK && k + 1 < self->set->count; k++) {
            tw_file_split *old = &self->set->split[k];
            bool is_same = old->identity.inode == added->identity.inode &&
                           old->identity.device == added->identity.device && old->identity.is_pipe == 0;
            if (is_same && !old->is_done) {
                old->is_replaced = old->is_gone = true;
                old->end = old->offset;
            }
        }
    }
    return status < 0 ? status : TW_STATUS_OK;
}

/* Whether another file of the set lies where the split was. */
static bool glob_is_succeeded(const tw_follow *self, const tw_file_split *split)
{
    tw_file_info info;
    if (tw_file_stat(split->path, &info, NULL) < 0)
        return false;
    const tw_file_split *successor = tw_file_set_by_inode(self->set, info.device, info.inode);
    return successor != NULL && successor != split;
}

/* Seen in this scan: gone_since_us is -now_us. */
static void glob_retire(const tw_follow *self, size_t pattern, int64_t now_us)
{
    for (size_t i = 0; i < self->set->count; i++) {
        tw_file_split *split = &self->set->split[i];
        if (split->pattern != pattern || split->is_done)
            continue;
        if (split->gone_since_us == -now_us) {
            split->gone_since_us = 0;
            split->is_gone = split->is_replaced;
            continue;
        }
        if (split->gone_since_us <= 0)
            split->gone_since_us = now_us;
        if (glob_is_succeeded(self, split) || now_us - split->gone_since_us >= gone_grace_us)
            split->is_gone = true;
    }
}

static tw_status follow_scan_glob(const tw_follow *self, size_t pattern, tw_error *error)
{
    tw_names names = {0};
    tw_siblings found = {0};
    int64_t now_us = tw_clock_monotonic_us();
    tw_status status = tw_glob_expand(self->path->name[pattern], &names, error);
    if (status == TW_STATUS_OK)
        status = glob_sort_out(self, &names, &found, now_us, error);
    tw_siblings_sort(&found);
    if (status == TW_STATUS_OK)
        status = glob_adopt(self, pattern, &found, now_us, error);
    if (status == TW_STATUS_OK)
        glob_retire(self, pattern, now_us);
    tw_siblings_free(&found);
    tw_names_free(&names);
    return status;
}

tw_status tw_follow_scan(const tw_follow *self, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    bool is_unsure = false;
    for (size_t i = 0; i < self->path->count && status == TW_STATUS_OK; i++) {
        if (self->kind[i] == TW_PATH_PLAIN) {
            status = tw_follow_scan_path(self, i, error);
            is_unsure = is_unsure || status == TW_STATUS_IDLE;
            status = status == TW_STATUS_IDLE ? TW_STATUS_OK : status;
        }
        if (self->kind[i] == TW_PATH_GLOB)
            status = follow_scan_glob(self, i, error);
    }
    return status == TW_STATUS_OK && is_unsure ? TW_STATUS_IDLE : status;
}

static bool is_of_option(const tw_follow *self, size_t pattern, const tw_split *known)
{
    const char *path = self->path->name[pattern];
    return self->kind[pattern] == TW_PATH_PLAIN
               ? strcmp(path, known->name) == 0
               : self->kind[pattern] == TW_PATH_GLOB && tw_glob_match(path, known->name);
}

/* Finds one split of the checkpoint that was moved away from its path. One that was done goes on if it grew since. */
static tw_status follow_resume_split(const tw_follow *self, size_t pattern, const tw_split *known, tw_error *error)
{
    tw_file_identity identity;
    tw_identity_decode(&identity, known->identity);
    char found[TW_SPLIT_NAME_SIZE];
    tw_stream *stream = NULL;
    tw_file_info info = {0};
    tw_status status = tw_file_locate(&identity, known->name, found, &stream, error);
    bool is_moved = stream != NULL && strcmp(found, known->name) != 0;
    if (status == TW_STATUS_OK && is_moved)
        status = tw_stream_info(stream, &info, error);
    bool is_finished = known->is_done && (identity.is_packed != 0 || info.size <= known->offset);
    tw_file_split *added = NULL;
    if (status == TW_STATUS_OK && is_moved && !is_finished)
        status = tw_file_set_adopt_stream(self->set, &stream, found, pattern, false, &added, error);
    if (status == TW_STATUS_OK && added != NULL)
        added->is_done = false;
    tw_stream_close(&stream);
    return status < 0 ? status : TW_STATUS_OK;
}

/* The unfinished ones, and the last one even if it is done. */
static tw_status follow_resume(const tw_follow *self, size_t pattern, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    size_t last = self->set->n_known;
    for (size_t i = 0; i < self->set->n_known; i++)
        last = is_of_option(self, pattern, &self->set->known[i]) ? i : last;
    for (size_t i = 0; i < self->set->n_known && status == TW_STATUS_OK; i++) {
        const tw_split *known = &self->set->known[i];
        if ((i == last || !known->is_done) && is_of_option(self, pattern, known))
            status = follow_resume_split(self, pattern, known, error);
    }
    return status;
}

static void follow_report_lost(tw_follow *self, const tw_split *known)
{
    char message[TW_ERROR_MESSAGE_SIZE];
    (void)snprintf(message, sizeof message,
        "%s: the file that the checkpoint read up to byte %llu is in its folder no more; its events from there on are "
        "lost",
        known->name, (unsigned long long)known->offset);
    self->n_lost++;
    if (self->host != NULL && self->host->log != NULL)
        self->host->log(TW_LOG_ERROR, message);
}

/* Moves a new split behind the last newline that its file has now. */
static tw_status follow_to_end(tw_file_split *split, tw_error *error)
{
    char block[4096];
    tw_file_info info;
    if (split->identity.is_packed != 0)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED,
            "%s: option from: end does not go with compressed files; use from: start", split->path);
    tw_status status = tw_stream_info(split->stream, &info, error);
    uint64_t end = info.size;
    size_t n = 0;
    while (status == TW_STATUS_OK && end > 0) {
        size_t size = end < sizeof block ? (size_t)end : sizeof block;
        status = tw_stream_peek_raw(split->stream, end - size, block, size, &n, error);
        while (n > 0 && block[n - 1] != '\n')
            n--;
        end -= size;
        if (n > 0 || status < 0)
            break;
    }
    if (status == TW_STATUS_OK) {
        split->start = split->offset = end + n;
        status = tw_stream_seek(split->stream, split->offset, error);
    }
    return status;
}

/* Whether the checkpoint has a split of the option. */
static bool has_known(const tw_follow *self, size_t pattern)
{
    bool has = false;
    for (size_t i = 0; i < self->set->n_known; i++)
        has = has || is_of_option(self, pattern, &self->set->known[i]);
    return has;
}

/* What of the checkpoint was to be read on and is in the set no more. */
static void follow_find_lost(tw_follow *self)
{
    for (size_t i = 0; i < self->set->n_known; i++) {
        const tw_split *known = &self->set->known[i];
        bool is_ours = false;
        for (size_t k = 0; k < self->path->count; k++)
            is_ours = is_ours || is_of_option(self, k, known);
        if (is_ours && !known->is_done && tw_file_set_find(self->set, known->id) == NULL)
            follow_report_lost(self, known);
    }
}

tw_status tw_follow_start(tw_follow *self, bool is_from_end, tw_error *error)
{
    tw_file_set *set = self->set;
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < self->path->count && status == TW_STATUS_OK; i++) {
        if (self->kind[i] == TW_PATH_GLOB)
            status = follow_resume(self, i, error);
    }
    if (status == TW_STATUS_OK)
        status = tw_follow_scan(self, error);
    for (int i = 0; i < start_tries && status == TW_STATUS_IDLE; i++) {
        tw_clock_sleep_us(start_pause_us);
        status = tw_follow_scan(self, error);
    }
    if (status == TW_STATUS_IDLE)
        return tw_error_set(error, TW_STATUS_IO, "%s: files beside it are renamed without a pause; tried for %lld ms",
            self->path->name[0], (long long)(start_tries * start_pause_us / 1000));
    if (status == TW_STATUS_OK)
        follow_find_lost(self);
    for (size_t i = 0; i < set->count && is_from_end && status == TW_STATUS_OK; i++) {
        const tw_file_split *split = &set->split[i];
        if (!has_known(self, split->pattern) && split->stream != NULL && split->identity.is_pipe == 0)
            status = follow_to_end(&set->split[i], error);
    }
    if (status == TW_STATUS_OK)
        tw_file_set_sort_by_known(set);
    return status;
}
