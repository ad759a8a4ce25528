#include "sources/follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "sources/glob.h"

static const int64_t gone_grace_us = 2000000;
static const int max_listings = 8;

/* A file that may become a split. */
typedef struct candidate {
    char *path;
    tw_stream *stream; /* siblings: open, so that a later rename does not put another file in its place */
    int64_t modified_us;
    uint64_t number; /* at the end of the name: of siblings with equal times the higher one is older */
} candidate;

typedef struct candidates {
    candidate *item;
    size_t count, capacity;
} candidates;

static void candidates_free(candidates *self)
{
    for (size_t i = 0; i < self->count; i++) {
        tw_stream_close(&self->item[i].stream);
        tw_free(self->item[i].path);
    }
    tw_free(self->item);
    *self = (candidates){0};
}

static uint64_t trailing_number(const char *name)
{
    size_t at = strlen(name);
    while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9')
        at--;
    return strtoull(name + at, NULL, 10);
}

static tw_status candidates_add(candidates *self, const char *path, const tw_file_info *info, tw_error *error)
{
    tw_status status = tw_grow(&self->item, sizeof *self->item, &self->capacity, self->count + 1, error);
    if (status < 0)
        return status;
    char *copy = tw_strdup(path);
    if (copy == NULL)
        return tw_no_memory(error, strlen(path) + 1);
    self->item[self->count++] = (candidate){copy, NULL, info->modified_us, trailing_number(path)};
    return TW_STATUS_OK;
}

static int candidate_compare(const void *left, const void *right)
{
    const candidate *a = left, *b = right;
    if (a->modified_us != b->modified_us)
        return a->modified_us < b->modified_us ? -1 : 1;
    return strcmp(a->path, b->path);
}

static int sibling_compare(const void *left, const void *right)
{
    const candidate *a = left, *b = right;
    if (a->modified_us == b->modified_us && a->number != b->number)
        return a->number > b->number ? -1 : 1;
    return candidate_compare(left, right);
}

/* The newest split of an option, or NULL. */
static tw_file_split *newest_of(const tw_follow *self, size_t pattern)
{
    for (size_t i = self->set->count; i-- > 0;) {
        if (self->set->split[i].pattern == pattern)
            return &self->set->split[i];
    }
    return NULL;
}

/* State of a split's file wherever it lies now; of one that is nowhere, what its identity remembers. */
static tw_status info_of(const tw_file_identity *identity, const char *path, tw_file_info *info, tw_error *error)
{
    char found[TW_SPLIT_NAME_SIZE];
    tw_stream *stream = NULL;
    *info = (tw_file_info){.modified_us = identity->modified_us};
    tw_status status = tw_file_locate(identity, path, found, &stream, error);
    if (status == TW_STATUS_OK && stream != NULL)
        status = tw_stream_info(stream, info, error);
    tw_stream_close(&stream);
    return status;
}

static bool is_sibling(const char *path, const char *other)
{
    size_t size = strlen(path);
    return strncmp(path, other, size) == 0 && strchr(other + size, '/') == NULL;
}

/* The file read last before the one that lies at the path now: of this run, else of the checkpoint. */
static tw_status reference_of(const tw_follow *self, size_t pattern, tw_file_info *info, bool *has, tw_error *error)
{
    *has = false;
    const tw_file_split *newest = newest_of(self, pattern);
    if (newest != NULL && newest->stream != NULL) {
        *has = true;
        return tw_stream_info(newest->stream, info, error);
    }
    if (newest != NULL && newest->modified_us != 0) {
        *has = true;
        *info = (tw_file_info){
            .device = newest->identity.device, .inode = newest->identity.inode, .modified_us = newest->modified_us};
        return TW_STATUS_OK;
    }
    if (newest != NULL) {
        *has = true;
        return info_of(&newest->identity, newest->path, info, error);
    }
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < self->set->n_known && status == TW_STATUS_OK; i++) {
        const tw_split *known = &self->set->known[i];
        tw_file_identity identity;
        tw_file_info other;
        tw_identity_decode(&identity, known->identity);
        if (identity.is_pipe != 0 || !is_sibling(self->path->name[pattern], known->name))
            continue;
        status = info_of(&identity, known->name, &other, error);
        if (status == TW_STATUS_OK && (!*has || other.modified_us >= info->modified_us))
            *info = other;
        *has = true;
    }
    return status;
}

/* A name behind `base` that rotation gives: "log.1", "log-20260101". */
static bool is_rotated_name(const char *base, const char *name)
{
    size_t size = strlen(base);
    return strncmp(base, name, size) == 0 && name[size] != '\0' && strchr(".-_0123456789", name[size]) != NULL;
}

/* What lies beside a followed path: an open candidate for each file that may be unread, and a sum over all inodes. */
typedef struct siblings {
    candidates found;
    uint64_t sum;
} siblings;

static tw_status siblings_add(siblings *self, const char *path, const tw_file_info *reference, tw_error *error)
{
    tw_stream *stream = NULL;
    tw_file_info info;
    tw_status status = tw_file_stat(path, &info, error);
    if (status == TW_STATUS_NOT_FOUND || (status == TW_STATUS_OK && !info.is_regular))
        return TW_STATUS_OK;
    if (status == TW_STATUS_OK)
        status = tw_stream_open(path, &stream, error);
    if (status == TW_STATUS_NOT_FOUND)
        return TW_STATUS_OK;
    if (status == TW_STATUS_OK)
        status = tw_stream_info(stream, &info, error);
    bool is_wanted = status == TW_STATUS_OK && info.size > 0 && info.modified_us >= reference->modified_us;
    if (status == TW_STATUS_OK)
        self->sum += tw_mix64(info.inode ^ tw_mix64(info.device));
    if (is_wanted)
        status = candidates_add(&self->found, path, &info, error);
    if (is_wanted && status == TW_STATUS_OK) {
        self->found.item[self->found.count - 1].stream = stream;
        stream = NULL;
    }
    tw_stream_close(&stream);
    return status;
}

static tw_status siblings_list(siblings *self, const char *path, const tw_file_info *reference, tw_error *error)
{
    char folder[TW_SPLIT_NAME_SIZE], sibling[2 * TW_SPLIT_NAME_SIZE];
    tw_names names = {0};
    *self = (siblings){0};
    if (!tw_path_folder(path, folder, sizeof folder))
        return TW_STATUS_OK;
    const char *base = tw_path_base(path);
    tw_status status = tw_directory_list(folder, &names, error);
    for (size_t i = 0; i < names.count && status == TW_STATUS_OK; i++) {
        int n = snprintf(sibling, sizeof sibling, "%.*s%s", (int)(base - path), path, names.name[i]);
        if (is_rotated_name(base, names.name[i]) && n < TW_SPLIT_NAME_SIZE)
            status = siblings_add(self, sibling, reference, error);
    }
    tw_names_free(&names);
    if (status < 0)
        candidates_free(&self->found);
    return status;
}

/* A list taken while files are renamed may miss one of them: only two equal lists in a row are trusted. */
static tw_status siblings_find(const char *path, const tw_file_info *reference, candidates *out, tw_error *error)
{
    siblings last = {0}, next = {0};
    tw_status status = siblings_list(&last, path, reference, error);
    bool is_stable = false;
    for (int i = 0; i < max_listings && !is_stable && status == TW_STATUS_OK; i++) {
        status = siblings_list(&next, path, reference, error);
        is_stable = next.sum == last.sum;
        candidates_free(&last.found);
        last = next;
    }
    *out = last.found;
    return status;
}

/* Adds what rotation moved away unseen. IDLE: the file at the path was moved away meanwhile, nothing is added. */
static tw_status follow_add_siblings(
    const tw_follow *self, size_t pattern, const tw_file_info *reference, const tw_file_info *current, tw_error *error)
{
    const char *path = self->path->name[pattern];
    candidates found = {0};
    tw_file_info now;
    tw_status status = siblings_find(path, reference, &found, error);
    if (status == TW_STATUS_OK)
        status = tw_file_stat(path, &now, error);
    /* While the newest file lies at the path, all siblings are older than it. */
    if (status == TW_STATUS_NOT_FOUND || (status == TW_STATUS_OK && now.inode != current->inode))
        status = TW_STATUS_IDLE;
    if (found.count > 1)
        qsort(found.item, found.count, sizeof found.item[0], sibling_compare);
    for (size_t i = 0; i < found.count && (status == TW_STATUS_OK || status == TW_STATUS_END); i++) {
        tw_file_split *added = NULL;
        candidate *item = &found.item[i];
        status = tw_file_set_adopt_stream(self->set, &item->stream, item->path, pattern, false, &added, error);
        if (status != TW_STATUS_OK)
            continue;
        tw_split *shown = &self->set->shown[self->set->count - 1]; /* a later resume knows it as one of this path's */
        (void)snprintf(shown->name, sizeof shown->name, "%s", path);
        added->is_done = added->is_done || added->identity.is_packed != 0;
        if (added->is_done)
            tw_stream_close(&added->stream);
    }
    candidates_free(&found);
    return status == TW_STATUS_END ? TW_STATUS_OK : status;
}

/* Splits of the option before the newest end where they end; one with the newest's inode was truncated in place. */
static void follow_retire(const tw_follow *self, size_t pattern)
{
    const tw_file_split *newest = newest_of(self, pattern);
    for (size_t i = 0; &self->set->split[i] != newest; i++) {
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

static bool is_live(const tw_file_split *split, const tw_file_info *info)
{
    return split != NULL && !split->is_done && !split->is_replaced && split->identity.device == info->device &&
           split->identity.inode == info->inode;
}

static tw_status follow_scan_path(const tw_follow *self, size_t pattern, tw_error *error)
{
    const char *path = self->path->name[pattern];
    tw_file_info info, reference = {0};
    bool has_reference = false;
    tw_status status = tw_file_stat(path, &info, error);
    if (status == TW_STATUS_NOT_FOUND)
        return TW_STATUS_OK;
    if (status < 0 || is_live(newest_of(self, pattern), &info))
        return status;
    tw_stream *stream = NULL;
    tw_file_identity identity;
    status = tw_stream_open(path, &stream, error);
    if (status == TW_STATUS_OK)
        status = tw_identity_read(stream, &identity, &info, error);
    if (status == TW_STATUS_OK && identity.is_whole != 0)
        status = reference_of(self, pattern, &reference, &has_reference, error);
    bool is_reference = reference.inode == info.inode && reference.device == info.device;
    if (status == TW_STATUS_OK && has_reference && !is_reference)
        status = follow_add_siblings(self, pattern, &reference, &info, error);
    tw_file_split *added = NULL;
    if (status == TW_STATUS_OK)
        status = tw_file_set_adopt_stream(self->set, &stream, path, pattern, true, &added, error);
    tw_stream_close(&stream);
    if (status == TW_STATUS_NOT_FOUND || status == TW_STATUS_IDLE)
        return TW_STATUS_OK;
    if (status < 0 || (status == TW_STATUS_END && (added->is_done || added->pattern != pattern)))
        return status < 0 ? status : TW_STATUS_OK;
    added->is_done = added->is_done && added->identity.is_packed != 0;
    tw_file_set_move_last(self->set, (size_t)(added - self->set->split));
    follow_retire(self, pattern);
    return TW_STATUS_OK;
}

/* Sorts matches into those that are followed already (their path is noted) and candidates. */
static tw_status glob_sort_out(
    const tw_follow *self, const tw_names *names, candidates *out, int64_t now_us, tw_error *error)
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
        if (is_live(split, &info) && strlen(names->name[i]) < sizeof split->path) {
            (void)snprintf(split->path, sizeof split->path, "%s", names->name[i]);
            split->gone_since_us = -now_us;
        } else if (!is_finished) {
            status = candidates_add(out, names->name[i], &info, error);
        }
    }
    return status;
}

static tw_status glob_adopt(
    const tw_follow *self, size_t pattern, const candidates *found, int64_t now_us, tw_error *error)
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
    candidates found = {0};
    int64_t now_us = tw_clock_monotonic_us();
    tw_status status = tw_glob_expand(self->path->name[pattern], &names, error);
    if (status == TW_STATUS_OK)
        status = glob_sort_out(self, &names, &found, now_us, error);
    if (found.count > 1)
        qsort(found.item, found.count, sizeof found.item[0], candidate_compare);
    if (status == TW_STATUS_OK)
        status = glob_adopt(self, pattern, &found, now_us, error);
    if (status == TW_STATUS_OK)
        glob_retire(self, pattern, now_us);
    candidates_free(&found);
    tw_names_free(&names);
    return status;
}

tw_status tw_follow_scan(const tw_follow *self, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < self->path->count && status == TW_STATUS_OK; i++) {
        if (self->kind[i] == TW_PATH_PLAIN)
            status = follow_scan_path(self, i, error);
        else if (self->kind[i] == TW_PATH_GLOB)
            status = follow_scan_glob(self, i, error);
    }
    return status;
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

static void follow_report_lost(const tw_follow *self, const tw_split *known)
{
    char message[TW_ERROR_MESSAGE_SIZE];
    (void)snprintf(message, sizeof message,
        "%s: the file that was read up to byte %llu is in its folder no more; what followed in it is lost", known->name,
        (unsigned long long)known->offset);
    if (self->host != NULL && self->host->log != NULL)
        self->host->log(TW_LOG_WARN, message);
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

tw_status tw_follow_start(const tw_follow *self, bool is_from_end, tw_error *error)
{
    tw_file_set *set = self->set;
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < self->path->count && status == TW_STATUS_OK; i++)
        status = follow_resume(self, i, error);
    if (status == TW_STATUS_OK)
        status = tw_follow_scan(self, error);
    for (size_t i = 0; i < set->n_known && status == TW_STATUS_OK; i++) {
        const tw_split *known = &set->known[i];
        bool is_ours = false;
        for (size_t k = 0; k < self->path->count; k++)
            is_ours = is_ours || is_of_option(self, k, known);
        if (is_ours && !known->is_done && tw_file_set_find(set, known->id) == NULL)
            follow_report_lost(self, known);
    }
    for (size_t i = 0; i < set->count && is_from_end && status == TW_STATUS_OK; i++) {
        bool is_known = false;
        for (size_t k = 0; k < set->n_known; k++)
            is_known = is_known || set->known[k].id == set->shown[i].id;
        if (!is_known && set->split[i].stream != NULL && set->split[i].identity.is_pipe == 0)
            status = follow_to_end(&set->split[i], error);
    }
    if (status == TW_STATUS_OK)
        tw_file_set_sort_by_known(set);
    return status;
}
