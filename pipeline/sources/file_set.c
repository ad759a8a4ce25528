#include "sources/file_set.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "sources/glob.h"

enum { PATH_BUFFER_SIZE = 4096, MAX_LOOKS = 64 };

tw_status tw_file_set_init(tw_file_set *self, const tw_split *known, size_t n_known, tw_error *error)
{
    *self = (tw_file_set){0};
    if (n_known == 0)
        return TW_STATUS_OK;
    self->known = tw_alloc(n_known * sizeof *known);
    if (self->known == NULL)
        return tw_no_memory(error, n_known * sizeof *known);
    memcpy(self->known, known, n_known * sizeof *known);
    self->n_known = n_known;
    return TW_STATUS_OK;
}

void tw_file_set_fini(tw_file_set *self)
{
    for (size_t i = 0; i < self->count; i++)
        tw_stream_close(&self->split[i].stream);
    tw_free(self->split);
    tw_free(self->shown);
    tw_free(self->known);
    *self = (tw_file_set){0};
}

tw_file_split *tw_file_set_find(const tw_file_set *self, uint64_t id)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->shown[i].id == id)
            return &self->split[i];
    }
    return NULL;
}

tw_file_split *tw_file_set_by_inode(const tw_file_set *self, uint64_t device, uint64_t inode)
{
    for (size_t i = self->count; i-- > 0;) {
        const tw_file_identity *identity = &self->split[i].identity;
        if (identity->device == device && identity->inode == inode && identity->is_pipe == 0)
            return &self->split[i];
    }
    return NULL;
}

const char *tw_file_split_name(const tw_file_set *self, const tw_file_split *split)
{
    return self->shown[split - self->split].name;
}

/* Whether the file at `path` is the one of `identity`; *out is open then, and NULL otherwise. */
static tw_status locate_at(
    const tw_file_identity *identity, const char *path, uint64_t *inode, tw_stream **out, tw_error *error)
{
    *out = NULL;
    *inode = 0;
    tw_file_info info;
    tw_status status = tw_file_stat(path, &info, error);
    if (status == TW_STATUS_NOT_FOUND)
        return TW_STATUS_OK;
    *inode = info.inode;
    if (status < 0 || info.device != identity->device || info.inode != identity->inode)
        return status;
    status = tw_stream_open(path, out, error);
    if (status == TW_STATUS_NOT_FOUND)
        return TW_STATUS_OK;
    bool is_same = false;
    if (status == TW_STATUS_OK)
        status = tw_stream_info(*out, &info, error);
    if (status == TW_STATUS_OK)
        status = tw_identity_has_head(identity, *out, &is_same, error);
    if (status < 0 || !is_same || !tw_identity_has_inode(identity, &info))
        tw_stream_close(out);
    return status;
}

/* Looks through the folder of `path` once. `sum` covers the files seen. */
static tw_status locate_in_folder(const tw_file_identity *identity,
    const char *path,
    char found[TW_SPLIT_NAME_SIZE],
    uint64_t *sum,
    tw_stream **out,
    tw_error *error)
{
    char folder[PATH_BUFFER_SIZE], candidate[PATH_BUFFER_SIZE];
    tw_names names = {0};
    *sum = 0;
    if (!tw_path_folder(path, folder, sizeof folder))
        return TW_STATUS_OK;
    tw_status status = tw_directory_list(folder, &names, error);
    if (status == TW_STATUS_NOT_FOUND)
        return TW_STATUS_OK;
    int prefix = (int)(tw_path_base(path) - path);
    for (size_t i = 0; i < names.count && status == TW_STATUS_OK && *out == NULL; i++) {
        int n = snprintf(candidate, sizeof candidate, "%.*s%s", prefix, path, names.name[i]);
        if (n <= 0 || n >= TW_SPLIT_NAME_SIZE)
            continue;
        uint64_t inode = 0;
        status = locate_at(identity, candidate, &inode, out, error);
        *sum += tw_mix64(tw_hash(candidate, (size_t)n) ^ tw_mix64(inode));
        if (*out != NULL)
            memcpy(found, candidate, (size_t)n + 1);
    }
    tw_names_free(&names);
    return status;
}

tw_status tw_file_locate(const tw_file_identity *identity,
    const char *path,
    char found[TW_SPLIT_NAME_SIZE],
    tw_stream **out,
    tw_error *error)
{
    uint64_t inode, last = 0, sum = 0;
    (void)snprintf(found, TW_SPLIT_NAME_SIZE, "%s", path);
    tw_status status = locate_at(identity, path, &inode, out, error);
    /* A file that is renamed during a look may be missed by it: only two equal looks prove that it is not there. */
    for (int i = 0; i < MAX_LOOKS && status == TW_STATUS_OK && *out == NULL; i++) {
        status = locate_in_folder(identity, path, found, &sum, out, error);
        if (i > 0 && sum == last)
            break;
        last = sum;
    }
    return status;
}

/* Whether `known` lies nowhere in its folder: then a copy may stand for it. */
static tw_status known_is_lost(const tw_file_identity *identity, const char *path, bool *is_lost, tw_error *error)
{
    char found[TW_SPLIT_NAME_SIZE];
    tw_stream *stream = NULL;
    tw_status status = tw_file_locate(identity, path, found, &stream, error);
    *is_lost = stream == NULL;
    tw_stream_close(&stream);
    return status;
}

/* Whether `path` is the path of `known` or one that rotation makes of it, and its probe has all that was consumed, or
 * is as long as probes get. */
static bool may_be_copied(const tw_split *known, const tw_file_identity *identity, const char *path)
{
    size_t size = strlen(known->name);
    bool is_beside = strncmp(known->name, path, size) == 0 && strchr(path + size, '/') == NULL;
    bool is_telling = identity->probe_size == TW_FILE_PROBE_SIZE || known->offset <= identity->probe_size;
    return identity->is_whole != 0 && is_beside && is_telling;
}

static tw_status known_matches(const tw_split *known,
    const tw_stream *stream,
    const char *path,
    const tw_file_info *info,
    bool *is_match,
    tw_error *error)
{
    tw_file_identity identity;
    tw_identity_decode(&identity, known->identity);
    *is_match = false;
    bool is_inode = tw_identity_has_inode(&identity, info);
    bool is_copy = !is_inode && may_be_copied(known, &identity, path);
    bool is_short = identity.is_packed == 0 && known->offset > info->size;
    if (identity.is_pipe != 0 || is_short || (!is_inode && !is_copy))
        return TW_STATUS_OK;
    tw_status status = tw_identity_has_head(&identity, stream, is_match, error);
    if (status == TW_STATUS_OK && *is_match && is_copy)
        status = known_is_lost(&identity, path, is_match, error);
    return status;
}

tw_status tw_file_set_find_known(const tw_file_set *self,
    const tw_stream *stream,
    const char *path,
    const tw_file_info *info,
    const tw_split **out,
    tw_error *error)
{
    *out = NULL;
    tw_status status = TW_STATUS_OK;
    for (size_t i = self->n_known; i-- > 0 && *out == NULL && status == TW_STATUS_OK;) {
        bool is_match = false;
        status = known_matches(&self->known[i], stream, path, info, &is_match, error);
        if (is_match && tw_file_set_find(self, self->known[i].id) == NULL)
            *out = &self->known[i];
    }
    return status;
}

/* The generation that a new split needs so that its id was never used. */
static uint64_t next_generation(const tw_file_set *self, const tw_file_identity *identity)
{
    uint64_t next = 0;
    for (size_t i = 0; i < self->n_known + self->count; i++) {
        tw_file_identity other;
        tw_identity_decode(
            &other, i < self->n_known ? self->known[i].identity : self->shown[i - self->n_known].identity);
        bool is_same = other.device == identity->device && other.inode == identity->inode;
        if (is_same && other.is_pipe == identity->is_pipe && other.generation >= next)
            next = other.generation + 1;
    }
    return next;
}

static tw_status set_add(tw_file_set *self, const tw_file_split *split, const tw_split *known, tw_error *error)
{
    tw_status status = tw_grow(&self->split, sizeof *self->split, &self->capacity, self->count + 1, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->shown, sizeof *self->shown, &self->shown_capacity, self->count + 1, error);
    if (status < 0)
        return status;
    tw_split *shown = &self->shown[self->count];
    *shown = (tw_split){.id = known != NULL ? known->id : tw_identity_id(&split->identity)};
    (void)snprintf(shown->name, sizeof shown->name, "%s", known != NULL ? known->name : split->path);
    tw_identity_encode(&split->identity, shown->identity);
    self->split[self->count++] = *split;
    return TW_STATUS_OK;
}

tw_status tw_file_split_is_intact(const tw_file_split *split, bool *is_intact, tw_error *error)
{
    char tail[TW_FILE_TAIL_SIZE];
    size_t n = 0;
    *is_intact = true;
    if (split->identity.is_packed != 0 || split->identity.is_pipe != 0)
        return TW_STATUS_OK;
    if (split->tail_size == 0)
        return tw_identity_has_head(&split->identity, split->stream, is_intact, error);
    tw_status status =
        tw_stream_peek_raw(split->stream, split->offset - split->tail_size, tail, split->tail_size, &n, error);
    *is_intact = n == split->tail_size && memcmp(tail, split->tail, n) == 0;
    return status;
}

/* Whether the open file is still the split that has its inode; if so the split takes the stream over. */
static tw_status set_rejoin(
    tw_file_split *split, tw_stream **stream, const tw_file_info *info, bool *is_same, tw_error *error)
{
    uint64_t size = info->size;
    *is_same = false;
    bool is_shorter = split->identity.is_packed == 0 && size < split->offset;
    if (split->is_replaced || is_shorter || !tw_identity_has_inode(&split->identity, info))
        return TW_STATUS_OK;
    tw_status status = tw_identity_has_head(&split->identity, *stream, is_same, error);
    if (status < 0 || !*is_same || split->stream != NULL)
        return status;
    split->stream = *stream;
    status = tw_file_split_is_intact(split, is_same, error);
    if (status < 0 || !*is_same) {
        split->stream = NULL;
        return status;
    }
    *stream = NULL;
    if (split->is_done && split->identity.is_packed == 0 && size > split->offset)
        split->is_done = split->is_gone = split->is_served = false;
    if (split->is_done)
        tw_stream_close(&split->stream);
    else
        status = tw_stream_seek(split->stream, split->offset, error);
    return status;
}

static tw_status set_adopt_open(
    tw_file_set *self, tw_stream **stream, tw_file_split *fresh, bool needs_head, tw_file_split **out, tw_error *error)
{
    tw_file_info info;
    const tw_split *known = NULL;
    tw_status status = tw_identity_read(*stream, &fresh->identity, &info, error);
    if (status < 0)
        return status;
    tw_file_split *twin = tw_file_set_by_inode(self, info.device, info.inode);
    bool is_same = false;
    if (twin != NULL)
        status = set_rejoin(twin, stream, &info, &is_same, error);
    if (is_same && status == TW_STATUS_OK) {
        *out = twin;
        return TW_STATUS_END;
    }
    if (status == TW_STATUS_OK)
        status = tw_file_set_find_known(self, *stream, fresh->path, &info, &known, error);
    if (status < 0 || (known == NULL && needs_head && fresh->identity.is_whole == 0))
        return status < 0 ? status : TW_STATUS_IDLE;
    if (known != NULL) {
        tw_file_identity old;
        tw_identity_decode(&old, known->identity);
        old.device = info.device;
        old.inode = info.inode;
        old.born_us = info.born_us;
        fresh->identity = old;
        fresh->offset = fresh->end = known->offset;
        fresh->is_done = known->is_done && (old.is_packed != 0 || info.size <= known->offset);
    } else {
        fresh->identity.generation = next_generation(self, &fresh->identity);
    }
    fresh->stream = *stream;
    status = set_add(self, fresh, known, error);
    if (status == TW_STATUS_OK) {
        *stream = NULL;
        *out = &self->split[self->count - 1];
    }
    return status;
}

tw_status tw_file_set_adopt_stream(tw_file_set *self,
    tw_stream **stream,
    const char *path,
    size_t pattern,
    bool needs_head,
    tw_file_split **out,
    tw_error *error)
{
    *out = NULL;
    tw_file_split fresh = {.pattern = pattern};
    if ((size_t)snprintf(fresh.path, sizeof fresh.path, "%s", path) >= sizeof fresh.path)
        return tw_error_set(error, TW_STATUS_INVALID, "%.200s...: path of %zu bytes; the limit is %d", path,
            strlen(path), TW_SPLIT_NAME_SIZE - 1);
    return set_adopt_open(self, stream, &fresh, needs_head, out, error);
}

tw_status tw_file_set_adopt(
    tw_file_set *self, const char *path, size_t pattern, bool needs_head, tw_file_split **out, tw_error *error)
{
    *out = NULL;
    tw_stream *stream = NULL;
    tw_status status = tw_stream_open(path, &stream, error);
    if (status == TW_STATUS_OK)
        status = tw_file_set_adopt_stream(self, &stream, path, pattern, needs_head, out, error);
    tw_stream_close(&stream);
    return status;
}

tw_status tw_file_set_add_pipe(tw_file_set *self, const char *path, size_t pattern, tw_error *error)
{
    tw_file_split fresh = {.identity = {.is_pipe = 1}, .pattern = pattern};
    (void)snprintf(fresh.path, sizeof fresh.path, "%s", path);
    fresh.identity.head_hash = (uint64_t)strlen(path);
    fresh.identity.generation = next_generation(self, &fresh.identity);
    return set_add(self, &fresh, NULL, error);
}

tw_status tw_file_split_open(const tw_file_set *self, tw_file_split *split, tw_error *error)
{
    if (split->stream != NULL)
        return TW_STATUS_OK;
    tw_status status = TW_STATUS_OK;
    if (split->identity.is_pipe != 0) {
        status = tw_stream_open(split->path, &split->stream, error);
    } else if (!split->is_replaced) {
        char found[TW_SPLIT_NAME_SIZE];
        status = tw_file_locate(&split->identity, split->path, found, &split->stream, error);
        if (status == TW_STATUS_OK && split->stream != NULL)
            memcpy(split->path, found, sizeof found);
    }
    if (status < 0)
        return status;
    if (split->stream == NULL)
        return tw_error_set(error, TW_STATUS_NOT_FOUND,
            "%s: its bytes from %llu on no longer exist; the file was removed, truncated or moved to another folder",
            tw_file_split_name(self, split), (unsigned long long)split->offset);
    status = tw_stream_seek(split->stream, split->offset, error);
    if (status < 0)
        tw_stream_close(&split->stream);
    return status;
}

/* Place of a split's id among the known ones; n_known: none. */
static size_t known_rank(const tw_file_set *self, uint64_t id)
{
    size_t rank = 0;
    while (rank < self->n_known && self->known[rank].id != id)
        rank++;
    return rank;
}

void tw_file_set_sort_by_known(tw_file_set *self)
{
    for (size_t i = 1; i < self->count && self->n_known > 0; i++) {
        tw_file_split split = self->split[i];
        tw_split shown = self->shown[i];
        size_t rank = known_rank(self, shown.id), to = i;
        for (; to > 0 && known_rank(self, self->shown[to - 1].id) > rank; to--) {
            self->split[to] = self->split[to - 1];
            self->shown[to] = self->shown[to - 1];
        }
        self->split[to] = split;
        self->shown[to] = shown;
    }
}

void tw_file_set_move_last(tw_file_set *self, size_t index)
{
    tw_file_split split = self->split[index];
    tw_split shown = self->shown[index];
    size_t n = self->count - index - 1;
    memmove(&self->split[index], &self->split[index + 1], n * sizeof split);
    memmove(&self->shown[index], &self->shown[index + 1], n * sizeof shown);
    self->split[self->count - 1] = split;
    self->shown[self->count - 1] = shown;
}
