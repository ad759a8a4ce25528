#include "support/decode_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"

static void decoded_append(decoded *out, const tw_builder *builder)
{
    tw_batch batch = tw_builder_batch(builder);
    for (uint32_t i = 0; i < batch.n_events && out->n_events < DECODED_MAX_EVENTS; i++) {
        uint32_t first = batch.row_start[i], count = batch.row_start[i + 1] - first;
        if (out->n_entries + count > DECODED_MAX_ENTRIES)
            break;
        memcpy(out->key + out->n_entries, batch.key + first, count * sizeof *out->key);
        memcpy(out->value + out->n_entries, batch.value + first, count * sizeof *out->value);
        memcpy(out->field + out->n_entries, batch.field + first, count * sizeof *out->field);
        uint32_t e = out->n_events++;
        out->label[e] = batch.label[i];
        out->weight[e] = batch.weight[i];
        out->time_us[e] = batch.time_us[i];
        if (batch.dense_width > 0)
            memcpy(out->dense + e * 8, batch.dense + i * batch.dense_width,
                (batch.dense_width < 8 ? batch.dense_width : 8) * sizeof(float));
        out->n_entries += count;
        out->row_start[e + 1] = out->n_entries;
    }
    for (uint32_t i = 0; i < builder->n_bad && out->n_bad < DECODED_MAX_BAD; i++) {
        out->bad[out->n_bad] = builder->bad[i];
        out->bad[out->n_bad].bytes = NULL;
        out->bad[out->n_bad++].before_event = 0;
    }
    out->to = builder->to;
    out->line = builder->line;
    out->n_batches++;
}

/* Decodes what lies in [from, size) of the split; returns the offset reached. */
static uint64_t decode_part(const tw_format_ops *format,
    void *state,
    tw_builder *builder,
    const char *text,
    size_t size,
    tw_cursor at,
    decoded *out)
{
    char *block = malloc(size - at.offset + (size == at.offset));
    memcpy(block, text + at.offset, size - at.offset);
    tw_cursor io = {block, block + (size - at.offset), at.offset, at.line, at.is_final};
    out->status = TW_STATUS_OK;
    while (out->status == TW_STATUS_OK) {
        tw_builder_reset(builder, 7, io.offset, io.line);
        out->status = format->decode(state, &io, builder, &out->error);
        decoded_append(out, builder);
    }
    out->line = io.line;
    free(block);
    return io.offset;
}

static tw_status decode_open(const tw_format_ops *format,
    const tw_plan_spec *spec,
    uint32_t max_events,
    tw_plan **plan,
    tw_builder **builder,
    tw_option_values **options,
    void **state,
    tw_error *error)
{
    tw_status status = tw_plan_create(spec, plan, error);
    if (status == TW_STATUS_OK)
        status = tw_builder_create(max_events, tw_plan_dense_width(*plan), builder, error);
    if (status == TW_STATUS_OK)
        status = tw_option_values_create(format->options, options, error);
    if (status == TW_STATUS_OK && (*state = tw_alloc_aligned(64, format->state_size(*options))) == NULL)
        status = tw_no_memory(error, 0);
    return status == TW_STATUS_OK ? format->open(*state, *options, *plan, tw_host_default(), error) : status;
}

void decode_text(const tw_format_ops *format,
    const tw_plan_spec *spec,
    const char *text,
    size_t size,
    size_t cut,
    uint32_t max_events,
    decoded *out)
{
    tw_plan *plan = NULL;
    tw_builder *builder = NULL;
    tw_option_values *options = NULL;
    void *state = NULL;
    memset(out, 0, sizeof *out);
    out->status = decode_open(format, spec, max_events, &plan, &builder, &options, &state, &out->error);
    if (out->status == TW_STATUS_OK) {
        tw_cursor at = {.line = 1};
        if (format->start != NULL) {
            out->status = format->start(state, text, size, true, &at.offset, &at.line, &out->error);
            at.line++;
        }
        if (out->status == TW_STATUS_OK && cut < size && cut >= at.offset) {
            at.offset = decode_part(format, state, builder, text, cut, at, out);
            at.line = out->line;
        }
        if (out->status >= 0) {
            at.is_final = true;
            out->to = decode_part(format, state, builder, text, size, at, out);
        }
        format->close(state);
    }
    tw_free(state);
    tw_option_values_destroy(&options);
    tw_builder_destroy(&builder);
    tw_plan_destroy(&plan);
}

bool decoded_equal(const decoded *a, const decoded *b)
{
    if (a->status != b->status || a->n_events != b->n_events || a->n_entries != b->n_entries || a->n_bad != b->n_bad ||
        a->to != b->to || a->line != b->line)
        return false;
    for (uint32_t i = 0; i < a->n_bad; i++) {
        if (a->bad[i].line != b->bad[i].line || a->bad[i].column != b->bad[i].column ||
            a->bad[i].offset != b->bad[i].offset || strcmp(a->bad[i].code, b->bad[i].code) != 0)
            return false;
    }
    return memcmp(a->row_start, b->row_start, sizeof a->row_start) == 0 && memcmp(a->key, b->key, sizeof a->key) == 0 &&
           memcmp(a->value, b->value, sizeof a->value) == 0 && memcmp(a->label, b->label, sizeof a->label) == 0 &&
           memcmp(a->weight, b->weight, sizeof a->weight) == 0 && memcmp(a->field, b->field, sizeof a->field) == 0 &&
           memcmp(a->time_us, b->time_us, sizeof a->time_us) == 0 && memcmp(a->dense, b->dense, sizeof a->dense) == 0;
}
