#include "engine/delay.h"

#include <string.h>

#include "base/alloc.h"

/* One event, or the end of a batch without any; its keys, values, dense row and fields follow it, in whole words. */
typedef struct waiting {
    uint64_t size; /* with what follows */
    uint64_t split, from, to, line;
    int64_t time_us;
    float label, weight;
    uint32_t n_entries, is_event;
} waiting;

struct tw_delay {
    uint64_t n_events;
    tw_model *model;
    uint32_t n_outputs, dense_width;
    tw_builder *one; /* the event that is scored or learned */
    float *scratch;  /* [n_outputs] scores of learning, which nobody wants */
    char *bytes;     /* [begin, end): the oldest event first */
    size_t begin, end, capacity;
    uint64_t n_waiting;
};

tw_status tw_delay_create(uint64_t n_events, tw_model *model, tw_delay **out, tw_error *error)
{
    const tw_learner_traits *traits = tw_model_traits(model);
    *out = NULL;
    tw_delay *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->n_events = n_events;
    self->model = model;
    self->n_outputs = traits->n_outputs;
    self->dense_width = traits->dense_width;
    self->scratch = tw_alloc(traits->n_outputs * sizeof *self->scratch);
    tw_status status = self->scratch != NULL ? TW_STATUS_OK : tw_no_memory(error, traits->n_outputs);
    if (status == TW_STATUS_OK)
        status = tw_model_builder_create(model, 1, &self->one, error);
    if (status < 0)
        tw_delay_destroy(&self);
    *out = self;
    return status;
}

void tw_delay_destroy(tw_delay **self)
{
    if (*self == NULL)
        return;
    tw_builder_destroy(&(*self)->one);
    tw_free((*self)->scratch);
    tw_free((*self)->bytes);
    tw_free(*self);
    *self = NULL;
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

static tw_status reserve(tw_delay *self, size_t size, tw_error *error)
{
    if (self->begin > 0 && self->begin >= self->end - self->begin) {
        memmove(self->bytes, self->bytes + self->begin, self->end - self->begin);
        self->end -= self->begin;
        self->begin = 0;
    }
    return tw_grow(&self->bytes, 1, &self->capacity, self->end + size, error);
}

static size_t size_of(const tw_delay *self, uint32_t n_entries)
{
    size_t size = sizeof(waiting) + (size_t)n_entries * (sizeof(uint64_t) + sizeof(float) + sizeof(uint16_t)) +
                  (size_t)self->dense_width * sizeof(float);
    return (size + 7) / 8 * 8;
}

static void append(char **at, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(*at, bytes, size);
    *at += size;
}

/* Event `i` of the batch; i == n_events: the batch has none. */
static tw_status push(tw_delay *self, const tw_builder *batch, uint32_t i, tw_error *error)
{
    const bool is_event = i < batch->n_events, is_last = i + 1 >= batch->n_events;
    uint32_t first = is_event ? batch->row_start[i] : 0, n = is_event ? batch->row_start[i + 1] - first : 0;
    size_t size = size_of(self, n);
    tw_status status = reserve(self, size, error);
    if (status < 0)
        return status;
    waiting head = {
        .size = size,
        .split = batch->split,
        .from = is_event && i > 0 ? batch->end[i - 1] : batch->from,
        .to = is_last ? batch->to : batch->end[i],
        .line = batch->line,
        .time_us = is_event ? batch->time_us[i] : 0,
        .label = is_event ? batch->label[i] : 0,
        .weight = is_event ? batch->weight[i] : 0,
        .n_entries = n,
        .is_event = is_event,
    };
    char *at = self->bytes + self->end;
    append(&at, &head, sizeof head);
    append(&at, batch->key + first, n * sizeof *batch->key);
    append(&at, batch->value + first, n * sizeof *batch->value);
    if (is_event && self->dense_width > 0)
        append(&at, batch->dense + (size_t)i * self->dense_width, self->dense_width * sizeof *batch->dense);
    else
        at += self->dense_width * sizeof(float);
    append(&at, batch->field + first, n * sizeof *batch->field);
    self->end += size;
    self->n_waiting += is_event;
    return TW_STATUS_OK;
}

/* Makes `one` the event at `at` of the queue. */
static tw_status take(tw_delay *self, size_t at, tw_error *error)
{
    waiting head;
    const char *from = self->bytes + at;
    tw_builder *one = self->one;
    memcpy(&head, from, sizeof head);
    from += sizeof head;
    tw_builder_reset(one, head.split, head.from, head.line);
    if (!head.is_event) {
        tw_builder_skip(one, head.to, head.line);
        return TW_STATUS_OK;
    }
    tw_status status = tw_builder_reserve(one, head.n_entries, error);
    if (status < 0)
        return status;
    size_t n = head.n_entries;
    memcpy(one->key, from, n * sizeof *one->key);
    memcpy(one->value, from += n * sizeof *one->key, n * sizeof *one->value);
    from += n * sizeof *one->value;
    if (self->dense_width > 0)
        memcpy(one->dense, from, self->dense_width * sizeof *one->dense);
    memcpy(one->field, from + self->dense_width * sizeof(float), n * sizeof *one->field);
    one->n_pending = head.n_entries;
    tw_builder_commit(one, head.label, head.weight, head.time_us, head.to, head.line);
    return TW_STATUS_OK;
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static tw_status learn_oldest(tw_delay *self, tw_error *error)
{
    waiting head;
    memcpy(&head, self->bytes + self->begin, sizeof head);
    tw_status status = take(self, self->begin, error);
    if (status == TW_STATUS_OK)
        status = tw_model_learn(self->model, self->one, false, self->scratch, error);
    if (status != TW_STATUS_OK)
        return status;
    self->begin += head.size;
    self->n_waiting -= head.is_event;
    return TW_STATUS_OK;
}

/* Learns what is due; with it what stands between events and the next one that waits. */
static tw_status learn_due(tw_delay *self, uint64_t n_events, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    while (status == TW_STATUS_OK && self->begin < self->end) {
        waiting head;
        memcpy(&head, self->bytes + self->begin, sizeof head);
        if (head.is_event && self->n_waiting <= n_events)
            break;
        status = learn_oldest(self, error);
    }
    return status;
}

static tw_status score_newest(tw_delay *self, size_t at, float *scores, tw_error *error)
{
    tw_status status = take(self, at, error);
    return status == TW_STATUS_OK ? tw_model_score(self->model, self->one, scores, error) : status;
}

tw_status tw_delay_learn(tw_delay *self, const tw_builder *batch, bool is_replay, float *scores, tw_error *error)
{
    tw_status status = batch->n_events == 0 ? push(self, batch, 0, error) : TW_STATUS_OK;
    for (uint32_t i = 0; i < batch->n_events && status == TW_STATUS_OK; i++) {
        status = push(self, batch, i, error);
        size_t newest =
            status == TW_STATUS_OK ? self->end - size_of(self, batch->row_start[i + 1] - batch->row_start[i]) : 0;
        if (status == TW_STATUS_OK && !is_replay)
            status = score_newest(self, newest, scores + (size_t)i * self->n_outputs, error);
        if (status == TW_STATUS_OK)
            status = learn_due(self, self->n_events, error);
    }
    return status == TW_STATUS_OK ? learn_due(self, self->n_events, error) : status;
}

tw_status tw_delay_drain(tw_delay *self, tw_error *error)
{
    return learn_due(self, 0, error);
}
