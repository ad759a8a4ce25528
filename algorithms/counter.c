/* counter: how often each key occurred; the audit of exactly-once tests, and the shortest learner to start from.
 *
 * Row    {u64 count}, merged by addition
 * Learn  count += 1 for every entry, whatever the value, label and weight of the event
 * Score  number of entries of the event */
#include "thalweg/learner.h"

static const tw_option counter_options[] = {{.name = NULL}};

static size_t counter_state_size(const tw_option_values *options)
{
    (void)options;
    return 64;
}

static tw_status counter_open(void *self, const tw_option_values *options, tw_learner_traits *traits, tw_error *error)
{
    (void)self;
    (void)options;
    traits->task = TW_TASK_COUNTING;
    traits->n_outputs = 1;
    traits->dense_width = 0;
    return tw_record_add(&traits->schema.row, "count", TW_FIELD_U64, 1, TW_MERGE_ADD, error);
}

static void counter_predict(const void *self, const tw_batch *batch, const tw_rows *rows, float *scores)
{
    (void)self;
    (void)rows;
    for (uint32_t i = 0; i < batch->n_events; i++) {
        scores[i] = (float)(batch->row_start[i + 1] - batch->row_start[i]);
    }
}

static tw_status counter_learn(void *self, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error)
{
    (void)error;
    counter_predict(self, batch, rows, scores);
    for (uint32_t e = 0; e < batch->n_entries; e++) {
        uint64_t *count = rows->row[e];
        ++*count;
    }
    return TW_STATUS_OK;
}

static double counter_weight(const void *self, const void *row)
{
    const uint64_t *count = row;
    (void)self;
    return (double)*count;
}

const tw_learner_ops tw_learner_counter = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_learner_ops),
    .name = "counter",
    .summary = "counts every key once per occurrence: the audit of exactly-once runs",
    .options = counter_options,
    .state_size = counter_state_size,
    .open = counter_open,
    .predict = counter_predict,
    .learn = counter_learn,
    .weight = counter_weight,
};
