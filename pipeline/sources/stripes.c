/* stripes.c: the source "stripes": one worker's share of bounded files. Every plain file is cut into stripes of `size`
 * bytes, each a split of its own: stripe k holds the lines that begin in its bytes [k size, (k + 1) size). A compressed
 * file is one stripe. Worker `share` = I/N serves the stripes with (k + position of the file) mod N = I, so whose a
 * stripe is does not depend on how long any file is.
 *
 * A line that crosses the border belongs to the stripe in which it begins. Records that hold line ends of their own
 * (quoted CSV cells) must not cross a border: such files are read by one worker. A split's id is made from the file's
 * identity and the number of the stripe; lines are counted from the start of the stripe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "sources/glob.h"
#include "sources/identity.h"

extern const tw_source_ops tw_source_stripes;

enum { STRIPES_MAX_SHARES = 1024 };

typedef struct stripe {
    size_t file;
    uint64_t number;
    uint64_t offset; /* of the next byte to serve; 0: not begun */
    uint64_t known;  /* where it stood when the source was opened */
    bool is_served, is_done;
} stripe;

typedef struct stripe_file {
    char path[TW_SPLIT_NAME_SIZE];
    tw_file_identity identity;
    uint64_t size;
} stripe_file;

typedef struct stripes {
    uint64_t size, share, n_shares;
    stripe_file *file;
    stripe *stripe;  /* of this share, in order */
    tw_split *shown; /* parallel */
    size_t n_files, file_capacity, n_stripes, stripe_capacity, shown_capacity;
    size_t current;
    tw_stream *stream; /* of the current stripe's file; NULL: not open */
    uint64_t end;      /* of the current stripe, once its stream is open */
} stripes;

static const tw_option stripes_options[] = {
    {.name = "path", .type = TW_OPTION_LIST, .is_required = true, .help = "files or patterns (*, ?, [a-z])"},
    {.name = "share",
        .type = TW_OPTION_TEXT,
        .fallback = "0/1",
        .help = "I/N: serves every N-th stripe from the I-th on; set for every worker by workers: N"},
    {.name = "size",
        .type = TW_OPTION_SIZE,
        .fallback = "1MiB",
        .min = 1024,
        .max = 1099511627776.0,
        .help = "bytes of a stripe; part of what a stripe is, so it may not change while a model is trained"},
    {.name = NULL},
};

static size_t stripes_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(stripes);
}

static void stripes_close(void *state)
{
    stripes *self = state;
    tw_stream_close(&self->stream);
    tw_free(self->file);
    tw_free(self->stripe);
    tw_free(self->shown);
    *self = (stripes){0};
}

static tw_status read_share(stripes *self, const char *text, tw_error *error)
{
    char *end = NULL;
    self->share = strtoull(text, &end, 10);
    self->n_shares = end != text && *end == '/' ? strtoull(end + 1, &end, 10) : 0;
    if (*end != '\0' || self->n_shares < 1 || self->n_shares > STRIPES_MAX_SHARES || self->share >= self->n_shares)
        return tw_error_set(error, TW_STATUS_INVALID,
            "option share: \"%.40s\": expected I/N with I from 0 to N - 1 and N from 1 to %d", text,
            STRIPES_MAX_SHARES);
    return TW_STATUS_OK;
}

static tw_status add_stripe(stripes *self, uint64_t number, const tw_split *known, size_t n_known, tw_error *error)
{
    const stripe_file *file = &self->file[self->n_files - 1];
    tw_status status = tw_grow(&self->stripe, sizeof *self->stripe, &self->stripe_capacity, self->n_stripes + 1, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->shown, sizeof *self->shown, &self->shown_capacity, self->n_stripes + 1, error);
    if (status < 0)
        return status;
    stripe *added = &self->stripe[self->n_stripes];
    tw_split *shown = &self->shown[self->n_stripes++];
    *added = (stripe){.file = self->n_files - 1, .number = number};
    *shown = (tw_split){.id = tw_identity_stripe_id(&file->identity, number)};
    if (number == 0)
        (void)snprintf(shown->name, sizeof shown->name, "%s", file->path);
    else
        (void)snprintf(
            shown->name, sizeof shown->name, "%.220s+%llu", file->path, (unsigned long long)number * self->size);
    tw_identity_encode(&file->identity, shown->identity);
    for (size_t i = 0; i < n_known; i++) {
        if (known[i].id == shown->id) {
            added->offset = added->known = known[i].offset;
            added->is_done = known[i].is_done;
        }
    }
    return TW_STATUS_OK;
}

static tw_status add_file(stripes *self, const char *path, const tw_split *known, size_t n_known, tw_error *error)
{
    tw_stream *stream = NULL;
    tw_file_info info;
    if (strcmp(path, "-") == 0 || strlen(path) >= TW_SPLIT_NAME_SIZE)
        return tw_error_set(error, TW_STATUS_INVALID,
            "option path: \"%.100s\": several workers share files, with paths of at most %d bytes; standard input has "
            "one reader",
            path, TW_SPLIT_NAME_SIZE - 1);
    tw_status status = tw_grow(&self->file, sizeof *self->file, &self->file_capacity, self->n_files + 1, error);
    if (status == TW_STATUS_OK)
        status = tw_stream_open(path, &stream, error);
    if (status < 0)
        return status;
    stripe_file *file = &self->file[self->n_files];
    *file = (stripe_file){0};
    (void)snprintf(file->path, sizeof file->path, "%s", path);
    status = tw_identity_read(stream, &file->identity, &info, error);
    if (status == TW_STATUS_OK && !info.is_regular)
        status = tw_error_set(error, TW_STATUS_INVALID, "%s: several workers can share regular files only", path);
    tw_stream_close(&stream);
    if (status < 0)
        return status;
    self->n_files++;
    file->size = info.size;
    uint64_t count = file->identity.is_packed != 0 ? 1 : info.size / self->size + 1;
    for (uint64_t k = 0; k < count && status == TW_STATUS_OK; k++) {
        if ((k + self->n_files - 1) % self->n_shares == self->share)
            status = add_stripe(self, k, known, n_known, error);
    }
    return status;
}

static tw_status add_path(stripes *self, const char *path, const tw_split *known, size_t n_known, tw_error *error)
{
    tw_file_info info = {0};
    tw_names names = {0};
    bool is_input = strcmp(path, "-") == 0;
    tw_status status = is_input ? TW_STATUS_OK : tw_file_stat(path, &info, error);
    if (status == TW_STATUS_OK && info.is_directory)
        return tw_error_set(
            error, TW_STATUS_NOT_FOUND, "%s: is a directory; give files or a pattern such as %s/*", path, path);
    if (status != TW_STATUS_NOT_FOUND || !tw_glob_is_pattern(path))
        return status < 0 ? status : add_file(self, path, known, n_known, error);
    status = tw_glob_expand(path, &names, error);
    if (status == TW_STATUS_OK && names.count == 0)
        status = tw_error_set(error, TW_STATUS_NOT_FOUND, "%s: no file matches this pattern", path);
    for (size_t i = 0; i < names.count && status == TW_STATUS_OK; i++)
        status = add_file(self, names.name[i], known, n_known, error);
    tw_names_free(&names);
    return status;
}

static tw_status stripes_open(void *state,
    const tw_option_values *options,
    const tw_split *known,
    size_t n_known,
    const tw_host *host,
    tw_error *error)
{
    stripes *self = state;
    (void)host;
    *self = (stripes){.size = (uint64_t)tw_option_int(options, "size")};
    tw_status status = read_share(self, tw_option_text(options, "share"), error);
    for (size_t i = 0; i < tw_option_count(options, "path") && status == TW_STATUS_OK; i++)
        status = add_path(self, tw_option_item(options, "path", i), known, n_known, error);
    if (status < 0)
        stripes_close(self);
    return status;
}

static tw_status stripe_open(stripes *self, stripe *current, tw_error *error)
{
    const stripe_file *file = &self->file[current->file];
    uint64_t begin = 0;
    self->end = UINT64_MAX;
    tw_status status = tw_stream_open(file->path, &self->stream, error);
    if (status == TW_STATUS_OK && file->identity.is_packed == 0) {
        status = tw_stream_line_start(self->stream, current->number * self->size, &begin, error);
        if (status == TW_STATUS_OK)
            status = tw_stream_line_start(self->stream, (current->number + 1) * self->size, &self->end, error);
    }
    if (current->offset < begin)
        current->offset = begin;
    if (status == TW_STATUS_OK)
        status = tw_stream_seek(self->stream, current->offset, error);
    if (status < 0)
        tw_stream_close(&self->stream);
    return status;
}

static tw_status stripes_next(void *state, int timeout_ms, tw_chunk *io, tw_error *error)
{
    stripes *self = state;
    (void)timeout_ms;
    io->size = 0;
    io->is_first = io->is_final = false;
    while (self->current < self->n_stripes && self->stripe[self->current].is_done) {
        tw_stream_close(&self->stream);
        self->current++;
    }
    if (self->current == self->n_stripes)
        return TW_STATUS_END;
    stripe *current = &self->stripe[self->current];
    tw_status status = self->stream == NULL ? stripe_open(self, current, error) : TW_STATUS_OK;
    uint64_t left = status == TW_STATUS_OK && self->end > current->offset ? self->end - current->offset : 0;
    size_t wanted = left < io->capacity ? (size_t)left : io->capacity;
    if (status == TW_STATUS_OK && wanted > 0)
        status = tw_stream_read(self->stream, io->data, wanted, &io->size, error);
    if (status == TW_STATUS_OK && wanted > 0 && io->size == 0)
        status = tw_stream_check_end(self->stream, error);
    if (status < 0)
        return status;
    io->split = self->shown[self->current].id;
    io->offset = current->offset;
    io->is_first = !current->is_served;
    current->is_served = true;
    current->offset += io->size;
    io->is_final = io->size == 0 || current->offset >= self->end;
    current->is_done = io->is_final;
    return TW_STATUS_OK;
}

static void stripe_restart(stripe *self, uint64_t offset)
{
    self->offset = offset;
    self->is_served = self->is_done = false;
}

static tw_status stripes_seek(void *state, uint64_t id, uint64_t offset, tw_error *error)
{
    stripes *self = state;
    size_t index = 0;
    while (index < self->n_stripes && self->shown[index].id != id)
        index++;
    if (index == self->n_stripes)
        return tw_error_set(
            error, TW_STATUS_NOT_FOUND, "split %016llx is none of this source's", (unsigned long long)id);
    tw_stream_close(&self->stream);
    stripe_restart(&self->stripe[index], offset);
    for (size_t i = index + 1; i < self->n_stripes; i++)
        stripe_restart(&self->stripe[i], self->stripe[i].known);
    self->current = index;
    return TW_STATUS_OK;
}

static tw_status stripes_head(void *state, uint64_t id, char *data, size_t capacity, size_t *size, tw_error *error)
{
    stripes *self = state;
    tw_stream *stream = NULL;
    *size = 0;
    for (size_t i = 0; i < self->n_stripes; i++) {
        if (self->shown[i].id != id)
            continue;
        tw_status status = tw_stream_open(self->file[self->stripe[i].file].path, &stream, error);
        for (size_t n = 1; status == TW_STATUS_OK && n > 0 && *size < capacity; *size += n)
            status = tw_stream_read(stream, data + *size, capacity - *size, &n, error);
        tw_stream_close(&stream);
        return status;
    }
    return tw_error_set(error, TW_STATUS_NOT_FOUND, "split %016llx is none of this source's", (unsigned long long)id);
}

static const tw_split *stripes_splits(const void *state, size_t *n_splits)
{
    const stripes *self = state;
    *n_splits = self->n_stripes;
    return self->shown;
}

const tw_source_ops tw_source_stripes = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_source_ops),
    .name = "stripes",
    .summary = "one worker's share of bounded files, cut into stripes of whole lines",
    .options = stripes_options,
    .state_size = stripes_state_size,
    .open = stripes_open,
    .next = stripes_next,
    .seek = stripes_seek,
    .head = stripes_head,
    .splits = stripes_splits,
    .close = stripes_close,
};
