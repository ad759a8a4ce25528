#include "cmd/input_layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/splits.h"
#include "sources/glob.h"
#include "sources/identity.h"

enum {
    MAX_MARKS = 1024,
    READ_STRIPES = 4 /* of a file, whose ends are looked for in it; of the others the begin is enough */
};

typedef struct layout {
    tw_model *model;
    uint64_t stripe_bytes;
    bool is_one;
    tw_file_identity identity; /* of the file of the split that is looked at */
    char path[TW_SPLIT_NAME_SIZE];
    uint64_t number; /* of the stripe in it */
    uint64_t marks[MAX_MARKS];
    uint32_t n_marks;
} layout;

static tw_status find_marks(layout *self, uint64_t split, tw_error *error)
{
    self->n_marks = MAX_MARKS;
    return tw_model_marks(self->model, split, self->marks, &self->n_marks, error);
}

static tw_status check_workers(layout *self, tw_error *error)
{
    uint64_t split = self->is_one ? tw_identity_stripe_id(&self->identity, 0) : tw_identity_id(&self->identity);
    tw_status status = find_marks(self, split, error);
    if (status < 0 || self->marks[self->n_marks - 1] == 0)
        return status;
    status = tw_error_set(error, TW_STATUS_CONFLICT,
        "%.300s: these shards have learned it by %s, and it would be learned again: go on with %s, or start over with "
        "other shards",
        self->path, self->is_one ? "several workers" : "one worker", self->is_one ? "several" : "workers: 1");
    tw_error_code(error, "E203");
    return status;
}

static tw_status stripe_range(const layout *self, uint64_t *begin, uint64_t *end, tw_error *error)
{
    tw_stream *stream = NULL;
    *begin = self->number * self->stripe_bytes;
    *end = UINT64_MAX;
    if (self->number >= READ_STRIPES)
        return TW_STATUS_OK;
    tw_status status = tw_stream_open(self->path, &stream, error);
    if (status == TW_STATUS_OK)
        status = tw_stream_line_start(stream, *begin + self->stripe_bytes, end, error);
    tw_stream_close(&stream);
    return status;
}

static tw_status refuse_size(const layout *self, uint64_t at, tw_error *error)
{
    tw_status status = tw_error_set(error, TW_STATUS_CONFLICT,
        "%.300s: these shards have learned its stripe %" PRIu64 " up to offset %" PRIu64 ", and where "
        "parameter_servers.stripe is %" PRIu64 " that is not in it: they learned stripes of another size, or another "
        "file; go on with the same, or start over with other shards",
        self->path, self->number, at, self->stripe_bytes);
    tw_error_code(error, "E203");
    return status;
}

static tw_status check_range(layout *self, uint64_t split, tw_error *error)
{
    uint64_t begin = 0, end = 0;
    tw_status status = find_marks(self, split, error);
    if (status < 0 || self->marks[self->n_marks - 1] == 0 || self->identity.is_packed != 0)
        return status;
    status = stripe_range(self, &begin, &end, error);
    for (uint32_t i = 0; i < self->n_marks && status == TW_STATUS_OK; i++) {
        uint64_t at = tw_position_offset(self->marks[i]);
        if (at == 0 || (at >= begin && at <= end))
            continue;
        status = refuse_size(self, at, error);
    }
    return status;
}

/* Smaller stripes were more of them: the one behind the last of this file has no marks. */
static tw_status check_behind(layout *self, tw_error *error)
{
    self->number++;
    tw_status status = find_marks(self, tw_identity_stripe_id(&self->identity, self->number), error);
    uint64_t at = status == TW_STATUS_OK ? tw_position_offset(self->marks[self->n_marks - 1]) : 0;
    return at > 0 ? refuse_size(self, at, error) : status;
}

static tw_status check_split(layout *self, const tw_split *split, bool is_last, tw_error *error)
{
    if (split->id == tw_identity_stripe_id(&self->identity, 0)) {
        (void)snprintf(self->path, sizeof self->path, "%s", split->name);
        self->number = 0;
    } else {
        self->number++;
    }
    tw_status status = self->number == 0 ? check_workers(self, error) : TW_STATUS_OK;
    if (status == TW_STATUS_OK && !self->is_one)
        status = check_range(self, split->id, error);
    return status == TW_STATUS_OK && !self->is_one && is_last ? check_behind(self, error) : status;
}

static tw_status check_splits(layout *self, const tw_split *split, size_t n, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < n && status == TW_STATUS_OK; i++) {
        tw_file_identity next = {0};
        if (i + 1 < n)
            tw_identity_decode(&next, split[i + 1].identity);
        tw_identity_decode(&self->identity, split[i].identity);
        bool is_last = i + 1 == n || split[i + 1].id == tw_identity_stripe_id(&next, 0);
        status = check_split(self, &split[i], is_last, error);
    }
    return status;
}

static bool has_regular_files_only(const tw_option_values *options)
{
    for (size_t i = 0; i < tw_option_count(options, "path"); i++) {
        tw_file_info info = {0};
        const char *path = tw_option_item(options, "path", i);
        if (!tw_glob_is_pattern(path) && (tw_file_stat(path, &info, NULL) < 0 || !info.is_regular))
            return false;
    }
    return true;
}

static tw_status check_source(
    layout *self, const tw_source_ops *stripes, const tw_option_values *options, tw_error *error)
{
    size_t n = 0;
    tw_status status = TW_STATUS_OK;
    void *source = tw_alloc_aligned(64, stripes->state_size(options) + 64);
    if (source == NULL)
        return tw_no_memory(error, 0);
    /* What cannot be opened is said by whoever reads it. */
    if (stripes->open(source, options, NULL, 0, tw_host_default(), NULL) >= 0) {
        const tw_split *split = stripes->splits(source, &n);
        status = check_splits(self, split, n, error);
        stripes->close(source);
    }
    tw_free(source);
    return status;
}

/* The input as all of its stripes. */
static tw_status check_input(layout *self, const assembly *all, const tw_input *input, tw_error *error)
{
    char size[32];
    const tw_source_ops *stripes = tw_registry_source(&all->registry, "stripes");
    bool is_file = strcmp(input->source->name, "file") == 0 || input->source == stripes;
    if (!is_file || !has_regular_files_only(input->source_options))
        return TW_STATUS_OK;
    tw_option_values *options = NULL;
    tw_status status = tw_option_values_create(stripes->options, &options, error);
    for (size_t i = 0; i < tw_option_count(input->source_options, "path") && status == TW_STATUS_OK; i++)
        status = tw_option_append(options, "path", tw_option_item(input->source_options, "path", i), error);
    (void)snprintf(size, sizeof size, "%" PRIu64, self->stripe_bytes);
    if (status == TW_STATUS_OK)
        status = tw_option_set(options, "size", size, error);
    if (status == TW_STATUS_OK)
        status = check_source(self, stripes, options, error);
    tw_option_values_destroy(&options);
    return status;
}

tw_status input_layout_check(const assembly *all, bool is_one, tw_error *error)
{
    layout *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->model = all->model;
    self->stripe_bytes = all->pipeline->stripe_bytes;
    self->is_one = is_one;
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < all->pipeline->n_sources && status == TW_STATUS_OK; i++)
        status = check_input(self, all, &all->input[i], error);
    tw_free(self);
    return status;
}
