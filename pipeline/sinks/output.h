/* output.h: the buffered file that text sinks write. Its position counts the bytes handed to it; a resume cuts the file
 * back to a position. A write that fails halfway is taken back before the next one, so that no byte doubles. */
#ifndef TW_SINKS_OUTPUT_H
#define TW_SINKS_OUTPUT_H

#include <stddef.h>

#include "thalweg/sink.h"

typedef struct tw_output {
    char *path;
    char *buffer;
    size_t used;
    uint64_t length; /* bytes of the file that are known to be written */
    int fd;
    bool is_open, is_regular, is_torn; /* is_torn: the file may hold a part of the buffer behind `length` */
} tw_output;

enum { TW_OUTPUT_SIZE = 128 * 1024 };

/* "-" is standard output, which is never cut back. `position` 0 starts a new file; > 0 cuts an existing one to that
 * length: CONFLICT when it is shorter or not there. */
TW_MUST_USE tw_status tw_output_open(tw_output *self, const char *path, uint64_t position, tw_error *error);

/* Space for `size` bytes (at most TW_OUTPUT_SIZE), writing out what is buffered if need be. */
TW_MUST_USE tw_status tw_output_reserve(tw_output *self, size_t size, tw_error *error);

/* Into reserved space. */
static inline char *tw_output_at(tw_output *self)
{
    return self->buffer + self->used;
}
static inline void tw_output_advance(tw_output *self, size_t size)
{
    self->used += size;
}

TW_MUST_USE tw_status tw_output_flush(tw_output *self, bool is_durable, uint64_t *position, tw_error *error);
void tw_output_close(tw_output *self); /* does not flush */

/* What the sinks over one output share: their state and all members of their ops table but write. */
typedef struct tw_output_sink {
    tw_output output;
    tw_task task;
    uint32_t n_outputs;
} tw_output_sink;

extern const tw_option tw_output_sink_options[]; /* path */
size_t tw_output_sink_state_size(const tw_option_values *options);
TW_MUST_USE tw_status tw_output_sink_open(void *state,
    const tw_option_values *options,
    tw_task task,
    uint32_t n_outputs,
    uint64_t position,
    const tw_host *host,
    tw_error *error);
TW_MUST_USE tw_status tw_output_sink_flush(void *state, bool is_durable, uint64_t *position, tw_error *error);
void tw_output_sink_close(void *state);

#endif
