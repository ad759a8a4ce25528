#include "sinks/output.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

tw_status tw_output_open(tw_output *self, const char *path, uint64_t position, tw_error *error)
{
    *self = (tw_output){.fd = -1, .is_open = true};
    bool is_standard = strcmp(path, "-") == 0;
    tw_file_info info = {0};
    tw_status status = TW_STATUS_OK;
    self->path = tw_strdup(is_standard ? "standard output" : path);
    self->buffer = tw_alloc(TW_OUTPUT_SIZE);
    if (self->path == NULL || self->buffer == NULL)
        status = tw_no_memory(error, TW_OUTPUT_SIZE);
    self->length = position;
    if (status == TW_STATUS_OK && is_standard) {
        self->fd = 1;
        return TW_STATUS_OK;
    }
    if (status == TW_STATUS_OK)
        status = tw_file_open_growing(path, position, &self->fd, error);
    if (status == TW_STATUS_OK)
        status = tw_file_fstat(self->fd, self->path, &info, error);
    if (status < 0)
        tw_output_close(self);
    else
        self->is_regular = info.is_regular;
    return status;
}

static tw_status output_write(tw_output *self, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    if (self->is_torn && self->is_regular)
        status = tw_file_truncate(self->fd, self->path, self->length, error);
    if (status < 0 || self->used == 0)
        return status;
    self->is_torn = true;
    status = tw_file_write(self->fd, self->path, self->buffer, self->used, error);
    if (status < 0)
        return status;
    self->is_torn = false;
    self->length += self->used;
    self->used = 0;
    return TW_STATUS_OK;
}

tw_status tw_output_reserve(tw_output *self, size_t size, tw_error *error)
{
    if (size > TW_OUTPUT_SIZE)
        return tw_error_set(error, TW_STATUS_INVALID, "%s: a record of up to %zu bytes is larger than the buffer of %d",
            self->path, size, TW_OUTPUT_SIZE);
    return TW_OUTPUT_SIZE - self->used >= size ? TW_STATUS_OK : output_write(self, error);
}

tw_status tw_output_flush(tw_output *self, bool is_durable, uint64_t *position, tw_error *error)
{
    tw_status status = output_write(self, error);
    if (status == TW_STATUS_OK && is_durable && self->is_regular)
        status = tw_file_sync(self->fd, self->path, error);
    *position = self->length;
    return status;
}

void tw_output_close(tw_output *self)
{
    if (!self->is_open)
        return;
    /* Whoever wants to know whether the bytes arrived has flushed; close reports nothing new after fdatasync. */
    tw_status closed = self->fd == 1 ? TW_STATUS_OK : tw_file_close(&self->fd, self->path, NULL);
    (void)closed;
    tw_free(self->buffer);
    tw_free(self->path);
    *self = (tw_output){.fd = -1};
}

const tw_option tw_output_sink_options[] = {
    {.name = "path", .type = TW_OPTION_TEXT, .is_required = true, .help = "file to write; - is standard output"},
    {.name = NULL},
};

size_t tw_output_sink_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(tw_output_sink);
}

tw_status tw_output_sink_open(void *state,
    const tw_option_values *options,
    tw_task task,
    uint32_t n_outputs,
    uint64_t position,
    const tw_host *host,
    tw_error *error)
{
    (void)host;
    tw_output_sink *self = state;
    *self = (tw_output_sink){.task = task, .n_outputs = n_outputs};
    return tw_output_open(&self->output, tw_option_text(options, "path"), position, error);
}

tw_status tw_output_sink_flush(void *state, bool is_durable, uint64_t *position, tw_error *error)
{
    return tw_output_flush(&((tw_output_sink *)state)->output, is_durable, position, error);
}

void tw_output_sink_close(void *state)
{
    tw_output_close(&((tw_output_sink *)state)->output);
}
