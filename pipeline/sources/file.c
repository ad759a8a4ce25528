/* file.c: the source "file": files, path patterns and standard input, bounded or followed as they grow.
 *
 * Bounded: the files that exist at open, in the order given (matches of a pattern bytewise), each to its end, then END.
 * Followed: see follow.h for what is read next. A followed file is served in whole lines: a half-written last line
 * waits in the file, so that another file may come in between; only lines longer than the caller's space come in parts.
 * When reading goes from one unfinished file to another, one IDLE comes in between. Before bytes are handed out, the 64
 * bytes in front of them are compared with those served before: a file that was truncated and grew again is noticed.
 * Its old split is finished where it stands and a new generation starts at 0.
 * Known splits: `open` skips those that are done and goes on with the others at their offset, also those of an earlier
 * source of a sequence. A done one whose file is followed now and has grown goes on where it ended. */
#include <string.h>

#include "base/alloc.h"
#include "sources/file_source.h"
#include "sources/glob.h"
#include "thalweg/source.h"

extern const tw_source_ops tw_source_file;

static const tw_option file_options[] = {
    {.name = "path",
        .type = TW_OPTION_LIST,
        .is_required = true,
        .help =
            "files or patterns (*, ?, [a-z]) to read in this order; - is standard input; .gz and .zst are unpacked"},
    {.name = "follow",
        .type = TW_OPTION_BOOL,
        .fallback = "false",
        .help = "keep reading as the files grow, through rotation, truncation and files that come later"},
    {.name = "from",
        .type = TW_OPTION_CHOICE,
        .fallback = "start",
        .choices = "start|end",
        .help = "where a followed file without a checkpoint starts: its first byte or behind its last line"},
    {.name = "poll",
        .type = TW_OPTION_DURATION,
        .fallback = "20ms",
        .min = 1000,
        .max = 60000000,
        .help =
            "how often new, moved and truncated files are looked for; new bytes of an open file at least every 1 ms"},
    {.name = NULL},
};

static size_t file_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(tw_file_source);
}

static void file_close(void *state)
{
    tw_file_source *self = state;
    tw_file_set_fini(&self->set);
    tw_names_free(&self->path);
    tw_free(self->kind);
    tw_free(self->pipe_head);
    *self = (tw_file_source){0};
}

/* Plain, pattern or pipe; a plain path of a bounded source must exist. */
static tw_status file_path_kind(const tw_file_source *self, const char *path, tw_path_kind *kind, tw_error *error)
{
    tw_file_info info;
    *kind = TW_PATH_PIPE;
    if (strcmp(path, "-") == 0)
        return TW_STATUS_OK;
    if (strlen(path) == 0 || strlen(path) >= TW_SPLIT_NAME_SIZE)
        return tw_error_set(error, TW_STATUS_INVALID, "option path: \"%.100s\" has %zu bytes; it must have 1 to %d",
            path, strlen(path), TW_SPLIT_NAME_SIZE - 1);
    tw_status status = tw_file_stat(path, &info, error);
    if (status == TW_STATUS_OK && info.is_directory)
        return tw_error_set(
            error, TW_STATUS_IO, "%s: is a directory; give files or a pattern such as %s/*", path, path);
    if (status == TW_STATUS_OK)
        *kind = info.is_regular ? TW_PATH_PLAIN : TW_PATH_PIPE;
    else if (status == TW_STATUS_NOT_FOUND)
        *kind = tw_glob_is_pattern(path) ? TW_PATH_GLOB : TW_PATH_PLAIN;
    if (status == TW_STATUS_NOT_FOUND && (self->is_following || *kind == TW_PATH_GLOB))
        return TW_STATUS_OK;
    return status;
}

static tw_status file_read_options(tw_file_source *self, const tw_option_values *options, tw_error *error)
{
    size_t n = tw_option_count(options, "path");
    self->is_following = tw_option_bool(options, "follow");
    self->poll_us = tw_option_int(options, "poll");
    if (n == 0)
        return tw_error_set(error, TW_STATUS_INVALID, "option path: no file is given");
    if (!self->is_following && strcmp(tw_option_text(options, "from"), "end") == 0)
        return tw_error_set(
            error, TW_STATUS_INVALID, "option from: end needs follow: true; a bounded file has nothing there");
    self->kind = tw_alloc_zero(n * sizeof *self->kind);
    if (self->kind == NULL)
        return tw_no_memory(error, n * sizeof *self->kind);
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < n && status == TW_STATUS_OK; i++) {
        const char *path = tw_option_item(options, "path", i);
        status = file_path_kind(self, path, &self->kind[i], error);
        if (status == TW_STATUS_OK)
            status = tw_names_add(&self->path, path, error);
    }
    return status;
}

static tw_status bounded_add(tw_file_source *self, const char *path, size_t pattern, tw_error *error)
{
    tw_file_split *added = NULL;
    tw_status status = tw_file_set_adopt(&self->set, path, pattern, false, &added, error);
    if (status >= 0 && added != NULL)
        tw_stream_close(&added->stream); /* opened again when its turn comes */
    return status < 0 ? status : TW_STATUS_OK;
}

static tw_status bounded_add_glob(tw_file_source *self, size_t pattern, tw_error *error)
{
    tw_names names = {0};
    tw_status status = tw_glob_expand(self->path.name[pattern], &names, error);
    if (status == TW_STATUS_OK && names.count == 0)
        status = tw_error_set(error, TW_STATUS_NOT_FOUND, "%s: no file matches this pattern", self->path.name[pattern]);
    for (size_t i = 0; i < names.count && status == TW_STATUS_OK; i++)
        status = bounded_add(self, names.name[i], pattern, error);
    tw_names_free(&names);
    return status;
}

/* Unfinished splits of these paths that lie under another name of the same folder now. */
static tw_status bounded_add_moved(tw_file_source *self, size_t pattern, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    const char *path = self->path.name[pattern];
    for (size_t i = 0; i < self->set.n_known && status == TW_STATUS_OK; i++) {
        const tw_split *known = &self->set.known[i];
        bool is_ours =
            self->kind[pattern] == TW_PATH_GLOB ? tw_glob_match(path, known->name) : strcmp(path, known->name) == 0;
        if (known->is_done || known->offset == 0 || !is_ours || tw_file_set_find(&self->set, known->id) != NULL)
            continue;
        tw_file_identity identity;
        tw_identity_decode(&identity, known->identity);
        char found[TW_SPLIT_NAME_SIZE];
        tw_stream *stream = NULL;
        status = tw_file_locate(&identity, known->name, found, &stream, error);
        bool is_there = stream != NULL;
        tw_stream_close(&stream);
        if (status == TW_STATUS_OK && !is_there)
            status = tw_error_set(error, TW_STATUS_NOT_FOUND,
                "%s: the file that the checkpoint read up to byte %llu is in its folder no more; put it back or start "
                "fresh",
                known->name, (unsigned long long)known->offset);
        if (status == TW_STATUS_OK)
            status = bounded_add(self, found, pattern, error);
    }
    return status;
}

static tw_status file_find(tw_file_source *self, bool is_from_end, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < self->path.count && status == TW_STATUS_OK; i++) {
        if (self->kind[i] == TW_PATH_PIPE)
            status = tw_file_set_add_pipe(&self->set, self->path.name[i], i, error);
        else if (!self->is_following && self->kind[i] == TW_PATH_GLOB)
            status = bounded_add_glob(self, i, error);
        else if (!self->is_following)
            status = bounded_add(self, self->path.name[i], i, error);
    }
    if (status == TW_STATUS_OK && self->is_following)
        return tw_follow_start(&self->follow, is_from_end, error);
    for (size_t i = 0; i < self->path.count && status == TW_STATUS_OK; i++) {
        if (self->kind[i] != TW_PATH_PIPE)
            status = bounded_add_moved(self, i, error);
    }
    if (status == TW_STATUS_OK)
        tw_file_set_sort_by_known(&self->set);
    return status;
}

static tw_status file_open(void *state,
    const tw_option_values *options,
    const tw_split *known,
    size_t n_known,
    const tw_host *host,
    tw_error *error)
{
    tw_file_source *self = state;
    *self = (tw_file_source){.current = TW_NO_SPLIT};
    tw_status status = tw_file_set_init(&self->set, known, n_known, error);
    if (status == TW_STATUS_OK)
        status = file_read_options(self, options, error);
    self->follow = (tw_follow){.path = &self->path, .kind = self->kind, .set = &self->set, .host = host};
    if (status == TW_STATUS_OK)
        status = file_find(self, strcmp(tw_option_text(options, "from"), "end") == 0, error);
    if (status < 0)
        file_close(self);
    return status < 0 ? status : TW_STATUS_OK;
}

static uint64_t id_of(const tw_file_source *self, const tw_file_split *split)
{
    return self->set.shown[split - self->set.split].id;
}

static tw_status file_next(void *state, int timeout_ms, tw_chunk *io, tw_error *error)
{
    tw_file_source *self = state;
    io->size = 0;
    io->is_first = io->is_final = false;
    if (io->capacity == 0)
        return tw_error_set(error, TW_STATUS_INVALID, "a chunk needs space; its capacity is 0");
    return self->is_following ? tw_file_next_followed(self, timeout_ms, io, error)
                              : tw_file_next_bounded(self, timeout_ms, io, error);
}

static tw_status file_find_split(const tw_file_source *self, uint64_t id, tw_file_split **out, tw_error *error)
{
    *out = tw_file_set_find(&self->set, id);
    if (*out == NULL)
        return tw_error_set(
            error, TW_STATUS_NOT_FOUND, "split %016llx is none of this source's", (unsigned long long)id);
    return TW_STATUS_OK;
}

static void split_restart(tw_file_split *split, uint64_t offset)
{
    tw_stream_close(&split->stream);
    split->offset = offset;
    split->tail_size = 0;
    split->seen_size = 0;
    split->is_done = split->is_served = split->is_mid_line = false;
}

/* Moves an open split; the bytes in front of the new place are kept for the truncation check. */
static tw_status split_move(const tw_file_source *self, tw_file_split *split, uint64_t offset, tw_error *error)
{
    tw_file_info info;
    if (split->is_replaced && offset == split->end) {
        split_restart(split, offset);
        return TW_STATUS_OK;
    }
    tw_file_split before = *split;
    split->stream = NULL;
    split_restart(split, offset);
    tw_status status = tw_file_split_open(&self->set, split, error);
    if (status == TW_STATUS_OK && split->identity.is_packed == 0) {
        status = tw_stream_info(split->stream, &info, error);
        if (status == TW_STATUS_OK && info.size < offset)
            status = tw_error_set(error, TW_STATUS_NOT_FOUND, "%s: has %llu bytes; byte %llu does not exist",
                tw_file_split_name(&self->set, split), (unsigned long long)info.size, (unsigned long long)offset);
        size_t kept = offset < TW_FILE_TAIL_SIZE ? (size_t)offset : TW_FILE_TAIL_SIZE;
        if (status == TW_STATUS_OK)
            status = tw_stream_peek_raw(split->stream, offset - kept, split->tail, kept, &split->tail_size, error);
    }
    if (status < 0) {
        tw_stream_close(&split->stream);
        *split = before;
        return status;
    }
    tw_stream_close(&before.stream);
    return TW_STATUS_OK;
}

static tw_status file_seek(void *state, uint64_t id, uint64_t offset, tw_error *error)
{
    tw_file_source *self = state;
    tw_file_split *split = NULL;
    tw_status status = file_find_split(self, id, &split, error);
    if (status < 0)
        return status;
    size_t index = (size_t)(split - self->set.split);
    for (size_t i = index; i < self->set.count; i++) {
        const tw_file_split *pipe = &self->set.split[i];
        uint64_t wanted = i == index ? offset : pipe->start;
        if (pipe->identity.is_pipe != 0 && pipe->offset != wanted)
            return tw_error_set(error, TW_STATUS_UNSUPPORTED,
                "%s: stands at byte %llu and cannot go to byte %llu; a pipe is read once, write it to a file to replay "
                "it",
                strcmp(pipe->path, "-") == 0 ? "standard input" : pipe->path, (unsigned long long)pipe->offset,
                (unsigned long long)wanted);
    }
    if (split->identity.is_pipe == 0)
        status = split_move(self, split, offset, error);
    if (status < 0)
        return status;
    split->is_served = false;
    for (size_t i = index + 1; i < self->set.count; i++) {
        if (self->set.split[i].identity.is_pipe == 0)
            split_restart(&self->set.split[i], self->set.split[i].start);
    }
    self->current = (ptrdiff_t)index;
    return TW_STATUS_OK;
}

/* Takes in what a pipe has ready, without waiting, as far as its kept head has room. */
static tw_status pipe_head(tw_file_source *self, tw_file_split *split, size_t wanted, tw_error *error)
{
    if (self->pipe_head == NULL && (self->pipe_head = tw_alloc(TW_PIPE_HEAD_SIZE)) == NULL)
        return tw_no_memory(error, TW_PIPE_HEAD_SIZE);
    if (self->pipe_split != id_of(self, split) && split->offset == 0) {
        self->pipe_split = id_of(self, split);
        self->pipe_head_size = 0;
    }
    tw_status status = tw_file_split_open(&self->set, split, error);
    while (status == TW_STATUS_OK && self->pipe_head_size < wanted && self->pipe_split == id_of(self, split) &&
           split->offset <= self->pipe_head_size) {
        size_t n = 0;
        bool is_ready = false;
        status = tw_stream_wait(split->stream, 0, &is_ready, error);
        if (status < 0 || !is_ready)
            break;
        status = tw_stream_read(
            split->stream, self->pipe_head + self->pipe_head_size, TW_PIPE_HEAD_SIZE - self->pipe_head_size, &n, error);
        self->pipe_head_size += n;
        if (n == 0)
            break;
    }
    return status;
}

static tw_status file_head(void *state, uint64_t id, char *data, size_t capacity, size_t *size, tw_error *error)
{
    tw_file_source *self = state;
    tw_file_split *split = NULL;
    *size = 0;
    tw_status status = file_find_split(self, id, &split, error);
    if (status < 0)
        return status;
    if (split->identity.is_pipe != 0) {
        status = split->is_done
                     ? TW_STATUS_OK
                     : pipe_head(self, split, capacity < TW_PIPE_HEAD_SIZE ? capacity : TW_PIPE_HEAD_SIZE, error);
        if (status == TW_STATUS_OK && self->pipe_split == id) {
            *size = self->pipe_head_size < capacity ? self->pipe_head_size : capacity;
            memcpy(data, self->pipe_head, *size);
        }
        return status;
    }
    tw_file_split other = *split;
    other.stream = NULL;
    char found[TW_SPLIT_NAME_SIZE];
    if (split->stream != NULL && split->identity.is_packed == 0)
        return tw_stream_peek_raw(split->stream, 0, data, capacity, size, error);
    status = tw_file_locate(&other.identity, other.path, found, &other.stream, error);
    if (status == TW_STATUS_OK && other.stream == NULL)
        status = tw_error_set(
            error, TW_STATUS_NOT_FOUND, "%s: the file no longer exists", tw_file_split_name(&self->set, split));
    size_t n = 1;
    while (status == TW_STATUS_OK && *size < capacity && n > 0) {
        status = tw_stream_read(other.stream, data + *size, capacity - *size, &n, error);
        *size += n;
    }
    tw_stream_close(&other.stream);
    return status;
}

static const tw_split *file_splits(const void *state, size_t *n_splits)
{
    const tw_file_source *self = state;
    *n_splits = self->set.count;
    return self->set.shown;
}

static tw_status file_pause(void *state, uint64_t id, bool is_paused, tw_error *error)
{
    tw_file_source *self = state;
    tw_file_split *split = NULL;
    tw_status status = file_find_split(self, id, &split, error);
    if (status == TW_STATUS_OK)
        split->is_paused = is_paused;
    return status;
}

static uint64_t file_backlog(const void *state)
{
    const tw_file_source *self = state;
    uint64_t backlog = 0;
    for (size_t i = 0; i < self->set.count; i++) {
        const tw_file_split *split = &self->set.split[i];
        tw_file_info info;
        if (split->is_done || split->is_replaced || split->identity.is_pipe != 0)
            continue;
        tw_status status =
            split->stream != NULL ? tw_stream_info(split->stream, &info, NULL) : tw_file_stat(split->path, &info, NULL);
        bool is_packed = split->identity.is_packed != 0;
        uint64_t at = is_packed ? (split->stream != NULL ? tw_stream_raw_offset(split->stream) : 0) : split->offset;
        if (status == TW_STATUS_OK && info.size > at)
            backlog += info.size - at;
    }
    return backlog;
}

const tw_source_ops tw_source_file = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_source_ops),
    .name = "file",
    .summary = "files, path patterns and standard input, plain, .gz or .zst, bounded or followed",
    .options = file_options,
    .state_size = file_state_size,
    .open = file_open,
    .next = file_next,
    .seek = file_seek,
    .head = file_head,
    .splits = file_splits,
    .pause = file_pause,
    .backlog = file_backlog,
    .close = file_close,
};
