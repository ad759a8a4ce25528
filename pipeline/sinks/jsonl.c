/* jsonl.c: one JSON object a line:
 *   {"split":"00c0ffee00c0ffee","offset":1234,"score":0.25,"label":1,"time":1700000000000000}
 * `split` is the split's id in 16 hex digits, `offset` the end of the batch that the event came in (the event ends
 * there or before), `time` the event time in microseconds since 1970. Unknown labels and times, and numbers that are
 * not finite, are null. Clustering has "cluster" and "distance" (squared) in place of "score", learners with several
 * outputs "scores":[...]. Numbers have 9 significant digits. */
#include <math.h>
#include <string.h>

#include "sinks/number.h"
#include "sinks/output.h"
#include "thalweg/sink.h"

extern const tw_sink_ops tw_sink_jsonl;

enum { JSONL_FIXED_SIZE = 192 }; /* names and punctuation of a line, and its numbers but the scores */

static void put_text(tw_output *output, const char *text)
{
    size_t n = strlen(text);
    memcpy(tw_output_at(output), text, n);
    tw_output_advance(output, n);
}

static void put_number(tw_output *output, double value)
{
    if (isfinite(value))
        tw_output_advance(output, tw_number_format(value, tw_output_at(output)));
    else
        put_text(output, "null");
}

static void put_split(tw_output *output, uint64_t split)
{
    char *to = tw_output_at(output);
    for (int i = 0; i < 16; i++)
        to[i] = "0123456789abcdef"[(split >> (60 - 4 * i)) & 15];
    tw_output_advance(output, 16);
}

static void put_scores(const tw_output_sink *self, tw_output *output, const double *scores)
{
    if (self->task == TW_TASK_CLUSTERING && self->n_outputs == 2) {
        put_text(output, ",\"cluster\":");
        put_number(output, scores[1]);
        put_text(output, ",\"distance\":");
        put_number(output, scores[0]);
        return;
    }
    put_text(output, self->n_outputs == 1 ? ",\"score\":" : ",\"scores\":[");
    for (uint32_t k = 0; k < self->n_outputs; k++) {
        put_number(output, scores[k]);
        if (k + 1 < self->n_outputs)
            put_text(output, ",");
    }
    if (self->n_outputs != 1)
        put_text(output, "]");
}

static tw_status jsonl_write(void *state, const tw_batch *batch, const double *prediction, tw_error *error)
{
    tw_output_sink *self = state;
    tw_output *output = &self->output;
    size_t size = JSONL_FIXED_SIZE + (size_t)self->n_outputs * TW_NUMBER_SIZE;
    for (uint32_t i = 0; i < batch->n_events; i++) {
        tw_status status = tw_output_reserve(output, size, error);
        if (status < 0)
            return status;
        put_text(output, "{\"split\":\"");
        put_split(output, batch->split);
        put_text(output, "\",\"offset\":");
        tw_output_advance(output, tw_number_format_u64(batch->to, tw_output_at(output)));
        put_scores(self, output, prediction + (size_t)i * self->n_outputs);
        put_text(output, ",\"label\":");
        put_number(output, (double)batch->label[i]);
        put_text(output, ",\"time\":");
        if (batch->time_us[i] == INT64_MIN)
            put_text(output, "null");
        else
            tw_output_advance(output, tw_number_format_i64(batch->time_us[i], tw_output_at(output)));
        put_text(output, "}\n");
    }
    return TW_STATUS_OK;
}

const tw_sink_ops tw_sink_jsonl = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_sink_ops),
    .name = "jsonl",
    .summary = "a file with one JSON object an event: split, offset, score, label, time",
    .options = tw_output_sink_options,
    .state_size = tw_output_sink_state_size,
    .open = tw_output_sink_open,
    .write = jsonl_write,
    .flush = tw_output_sink_flush,
    .close = tw_output_sink_close,
};
