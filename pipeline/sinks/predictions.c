/* predictions.c: one line an event: the probability or value with 9 significant digits, as printf("%.9g") writes them.
 * Clustering: the index of the nearest centre, a space, its squared distance. Other learners with several outputs: all
 * of them, separated by spaces. */
#include "sinks/number.h"
#include "sinks/output.h"
#include "thalweg/sink.h"

extern const tw_sink_ops tw_sink_predictions;

static void predictions_put(tw_output *output, double value, char separator)
{
    size_t n = tw_number_format(value, tw_output_at(output));
    tw_output_at(output)[n] = separator;
    tw_output_advance(output, n + 1);
}

static tw_status predictions_write(void *state, const tw_batch *batch, const double *prediction, tw_error *error)
{
    tw_output_sink *self = state;
    bool is_cluster = self->task == TW_TASK_CLUSTERING && self->n_outputs == 2;
    uint32_t n_outputs = self->n_outputs;
    for (uint32_t i = 0; i < batch->n_events; i++) {
        const double *scores = prediction + (size_t)i * n_outputs;
        tw_status status = tw_output_reserve(&self->output, (size_t)n_outputs * TW_NUMBER_SIZE, error);
        if (status < 0)
            return status;
        if (is_cluster) {
            predictions_put(&self->output, scores[1], ' ');
            predictions_put(&self->output, scores[0], '\n');
            continue;
        }
        for (uint32_t k = 0; k < n_outputs; k++)
            predictions_put(&self->output, scores[k], k + 1 < n_outputs ? ' ' : '\n');
    }
    return TW_STATUS_OK;
}

const tw_sink_ops tw_sink_predictions = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_sink_ops),
    .name = "predictions",
    .summary = "a text file with one progressive score a line",
    .options = tw_output_sink_options,
    .state_size = tw_output_sink_state_size,
    .open = tw_output_sink_open,
    .write = predictions_write,
    .flush = tw_output_sink_flush,
    .close = tw_output_sink_close,
};
