#include "engine/outputs.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/model.h"

enum { MAX_OUTPUTS = 16 };

struct tw_outputs {
    const tw_sink_spec *sink;
    size_t n_sinks;
    void *state[MAX_OUTPUTS];
    const char *dead_letter;
    int dead_fd;
    uint64_t dead_size;
    const tw_learner_traits *traits;
    double *prediction;
    size_t prediction_capacity;
};

/* The section holds one u64 a sink, then one for the dead-letter file. */
static tw_status read_positions(
    const tw_section *section, size_t n_sinks, uint64_t positions[MAX_OUTPUTS + 1], tw_error *error)
{
    memset(positions, 0, (MAX_OUTPUTS + 1) * sizeof *positions);
    if (section == NULL)
        return TW_STATUS_OK;
    if (section->size != (n_sinks + 1) * sizeof(uint64_t))
        return tw_error_set(error, TW_STATUS_CONFLICT,
            "the checkpoint knows %zu sinks, the pipeline has %zu: put them back, or start over with --fresh",
            section->size / sizeof(uint64_t) - (section->size > 0), n_sinks);
    memcpy(positions, section->bytes, section->size);
    return TW_STATUS_OK;
}

static tw_status open_sink(tw_outputs *self, size_t index, uint64_t position, tw_error *error)
{
    const tw_sink_spec *spec = &self->sink[index];
    size_t size = spec->ops->state_size(spec->options);
    void *state = tw_alloc_aligned(64, size < 64 ? 64 : size);
    if (state == NULL)
        return tw_no_memory(error, size);
    tw_status status = spec->ops->open(
        state, spec->options, self->traits->task, self->traits->n_outputs, position, tw_host_default(), error);
    if (status < 0)
        tw_free(state);
    else
        self->state[index] = state;
    return status;
}

static tw_status open_all(tw_outputs *self, const tw_section *section, tw_error *error)
{
    uint64_t positions[MAX_OUTPUTS + 1];
    tw_status status = read_positions(section, self->n_sinks, positions, error);
    for (size_t i = 0; i < self->n_sinks && status == TW_STATUS_OK; i++)
        status = open_sink(self, i, positions[i], error);
    self->dead_size = positions[self->n_sinks];
    if (status == TW_STATUS_OK && self->dead_letter != NULL)
        status = tw_file_open_growing(self->dead_letter, self->dead_size, &self->dead_fd, error);
    return status;
}

tw_status tw_outputs_open(const tw_sink_spec *sink,
    size_t n_sinks,
    const char *dead_letter,
    const tw_learner_traits *traits,
    const tw_section *positions,
    tw_outputs **out,
    tw_error *error)
{
    *out = NULL;
    if (n_sinks > MAX_OUTPUTS)
        return tw_error_set(error, TW_STATUS_CONFIG, "%zu sinks: at most %d", n_sinks, MAX_OUTPUTS);
    tw_outputs *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->sink = sink;
    self->n_sinks = n_sinks;
    self->dead_letter = dead_letter;
    self->dead_fd = -1;
    self->traits = traits;
    tw_status status = open_all(self, positions, error);
    if (status < 0)
        tw_outputs_close(&self);
    *out = self;
    return status;
}

static tw_status write_bad(tw_outputs *self, const tw_builder *batch, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < batch->n_bad && status == TW_STATUS_OK; i++) {
        const tw_bad_record *bad = &batch->bad[i];
        if (bad->bytes == NULL) /* the builder had no memory for it: a resumed run reads it again */
            return tw_error_set(error, TW_STATUS_NO_MEMORY, "%s: no memory to keep the malformed record of line %llu",
                self->dead_letter, (unsigned long long)bad->line);
        status = tw_file_write(self->dead_fd, self->dead_letter, bad->bytes, bad->size, error);
        if (status == TW_STATUS_OK)
            status = tw_file_write(self->dead_fd, self->dead_letter, "\n", 1, error);
        self->dead_size += bad->size + 1;
    }
    return status;
}

tw_status tw_outputs_write(tw_outputs *self, const tw_builder *builder, const float *scores, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    if (self->dead_fd >= 0 && builder->n_bad > 0)
        status = write_bad(self, builder, error);
    if (status < 0 || self->n_sinks == 0 || builder->n_events == 0)
        return status;
    size_t n = (size_t)builder->n_events * self->traits->n_outputs;
    status = tw_grow(&self->prediction, sizeof *self->prediction, &self->prediction_capacity, n, error);
    if (status < 0)
        return status;
    tw_model_link_all(self->traits, scores, builder->n_events, self->prediction);
    tw_batch batch = tw_builder_batch(builder);
    for (size_t i = 0; i < self->n_sinks && status == TW_STATUS_OK; i++)
        status = self->sink[i].ops->write(self->state[i], &batch, self->prediction, error);
    return status;
}

static tw_status flush_all(tw_outputs *self, bool is_durable, uint64_t *positions, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < self->n_sinks && status == TW_STATUS_OK; i++)
        status = self->sink[i].ops->flush(self->state[i], is_durable, &positions[i], error);
    if (status == TW_STATUS_OK && is_durable && self->dead_fd >= 0)
        status = tw_file_sync(self->dead_fd, self->dead_letter, error);
    positions[self->n_sinks] = self->dead_size;
    return status;
}

tw_status tw_outputs_flush(tw_outputs *self, bool is_durable, tw_error *error)
{
    uint64_t positions[MAX_OUTPUTS + 1];
    return flush_all(self, is_durable, positions, error);
}

tw_status tw_outputs_save(tw_outputs *self, tw_manifest *manifest, tw_error *error)
{
    uint64_t positions[MAX_OUTPUTS + 1];
    tw_status status = flush_all(self, true, positions, error);
    if (status < 0)
        return status;
    return tw_manifest_add(manifest, "outputs", positions, (self->n_sinks + 1) * sizeof *positions, error);
}

void tw_outputs_close(tw_outputs **self)
{
    tw_outputs *outputs = *self;
    if (outputs == NULL)
        return;
    *self = NULL;
    for (size_t i = 0; i < outputs->n_sinks; i++) {
        if (outputs->state[i] != NULL)
            outputs->sink[i].ops->close(outputs->state[i]);
        tw_free(outputs->state[i]);
    }
    (void)tw_file_close(&outputs->dead_fd, outputs->dead_letter, NULL);
    tw_free(outputs->prediction);
    tw_free(outputs);
}
