#include "support/learner_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void *grown(void *memory, size_t size)
{
    void *out = realloc(memory, size);
    assert_non_null(out);
    return out;
}

void event_list_begin(event_list *self, float label, float weight)
{
    if (self->n_events == self->events_capacity) {
        self->events_capacity = self->events_capacity * 2 + 64;
        size_t n = self->events_capacity;
        self->row_start = grown(self->row_start, (n + 1) * sizeof(uint32_t));
        self->label = grown(self->label, n * sizeof(float));
        self->weight = grown(self->weight, n * sizeof(float));
        self->time_us = grown(self->time_us, n * sizeof(int64_t));
        self->dense = grown(self->dense, (n * self->dense_width + 1) * sizeof(float));
    }
    self->row_start[self->n_events] = self->n_entries;
    self->label[self->n_events] = label;
    self->weight[self->n_events] = weight;
    self->time_us[self->n_events] = INT64_MIN;
    self->n_events++;
    self->row_start[self->n_events] = self->n_entries;
}

void event_list_add(event_list *self, uint32_t index, float value)
{
    if (self->n_entries == self->entries_capacity) {
        self->entries_capacity = self->entries_capacity * 2 + 256;
        self->index = grown(self->index, self->entries_capacity * sizeof(uint32_t));
        self->value = grown(self->value, self->entries_capacity * sizeof(float));
    }
    self->index[self->n_entries] = index;
    self->value[self->n_entries] = value;
    self->n_entries++;
    self->row_start[self->n_events] = self->n_entries;
}

void event_list_dense(event_list *self, const float *row)
{
    memcpy(self->dense + (size_t)(self->n_events - 1) * self->dense_width, row, self->dense_width * sizeof(float));
}

void event_list_time(event_list *self, int64_t time_us)
{
    self->time_us[self->n_events - 1] = time_us;
}

void event_list_free(event_list *self)
{
    free(self->time_us);
    free(self->row_start);
    free(self->index);
    free(self->value);
    free(self->label);
    free(self->weight);
    free(self->dense);
    memset(self, 0, sizeof *self);
}

static void set_options(tw_option_values *values, const char *text)
{
    char copy[512], *save = NULL;
    assert_true(strlen(text) < sizeof copy);
    strcpy(copy, text);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *value = strchr(word, '=');
        assert_non_null(value);
        *value = '\0';
        tw_error error;
        assert_int_equal(tw_option_set(values, word, value + 1, &error), TW_STATUS_OK);
    }
}

void learner_fixture_open(
    learner_fixture *self, const tw_learner_ops *ops, const char *options, uint32_t dense_width, uint32_t n_rows)
{
    tw_error error;
    memset(self, 0, sizeof *self);
    self->ops = ops;
    self->n_rows = n_rows;
    self->traits.dense_width = dense_width;
    assert_int_equal(tw_option_values_create(ops->options, &self->options, &error), TW_STATUS_OK);
    set_options(self->options, options);
    size_t size = (ops->state_size(self->options) + 63) / 64 * 64;
    self->self = aligned_alloc(64, size);
    assert_non_null(self->self);
    memset(self->self, 0, size);
    assert_int_equal(ops->open(self->self, self->options, &self->traits, &error), TW_STATUS_OK);
    self->rows = calloc((size_t)n_rows + 1, self->traits.schema.row.size + 1);
    assert_non_null(self->rows);
    for (uint32_t i = 0; i < self->traits.schema.n_blocks; i++) {
        self->block[i] = calloc(self->traits.schema.block[i].count, self->traits.schema.block[i].record.size);
        assert_non_null(self->block[i]);
    }
}

void learner_fixture_close(learner_fixture *self)
{
    for (uint32_t i = 0; i < self->traits.schema.n_blocks; i++) {
        free(self->block[i]);
    }
    free(self->rows);
    free(self->self);
    tw_option_values_destroy(&self->options);
}

void *learner_fixture_row(learner_fixture *self, uint32_t index)
{
    assert_true(index < self->n_rows);
    return self->rows + (size_t)index * self->traits.schema.row.size;
}

void *learner_fixture_block(learner_fixture *self, const char *name)
{
    int index = tw_schema_find_block(&self->traits.schema, name);
    assert_true(index >= 0);
    return self->block[index];
}

typedef struct cut {
    tw_batch batch;
    tw_rows rows;
    uint32_t *row_start;
    uint64_t *key;
    uint16_t *field;
    int64_t *time_us;
    void **row;
} cut;

/* Events [from, to) as a batch whose arrays end where the batch ends, so that a sanitizer sees every read beyond it. */
static void cut_make(cut *self, learner_fixture *learner, const event_list *events, uint32_t from, uint32_t to)
{
    uint32_t first = events->row_start[from], n_entries = events->row_start[to] - first, n_events = to - from;
    self->row_start = grown(NULL, (n_events + 1) * sizeof(uint32_t));
    self->key = grown(NULL, n_entries * sizeof(uint64_t) + 1);
    self->field = grown(NULL, n_entries * sizeof(uint16_t) + 1);
    self->time_us = grown(NULL, n_events * sizeof(int64_t) + 1);
    self->row = grown(NULL, n_entries * sizeof(void *) + 1);
    for (uint32_t i = 0; i <= n_events; i++) {
        self->row_start[i] = events->row_start[from + i] - first;
    }
    for (uint32_t e = 0; e < n_entries; e++) {
        self->key[e] = events->index[first + e] + 1;
        self->field[e] = 0;
        self->row[e] = learner->traits.schema.row.size ? learner_fixture_row(learner, events->index[first + e]) : NULL;
    }
    for (uint32_t i = 0; i < n_events; i++) {
        self->time_us[i] = events->time_us[from + i];
    }
    self->batch = (tw_batch){
        .n_events = n_events,
        .n_entries = n_entries,
        .row_start = self->row_start,
        .key = self->key,
        .value = events->value ? events->value + first : NULL,
        .field = self->field,
        .label = events->label + from,
        .weight = events->weight + from,
        .time_us = self->time_us,
        .dense = events->dense_width ? events->dense + (size_t)from * events->dense_width : NULL,
        .dense_width = events->dense_width,
        .from = from,
        .to = to,
    };
    self->rows = (tw_rows){self->row, learner->block};
}

static void cut_free(cut *self)
{
    free(self->row_start);
    free(self->key);
    free(self->field);
    free(self->time_us);
    free(self->row);
}

tw_status learner_fixture_learn(learner_fixture *self,
    const event_list *events,
    uint32_t from,
    uint32_t to,
    uint32_t batch_size,
    float *scores,
    tw_error *error)
{
    for (uint32_t at = from; at < to; at += batch_size) {
        cut part;
        uint32_t end = to - at < batch_size ? to : at + batch_size;
        cut_make(&part, self, events, at, end);
        float *score = scores + (size_t)at * self->traits.n_outputs;
        tw_status status = self->ops->learn(self->self, &part.batch, &part.rows, score, error);
        cut_free(&part);
        if (status) {
            return status;
        }
    }
    return TW_STATUS_OK;
}

void learner_fixture_predict(learner_fixture *self, const event_list *events, float *scores)
{
    cut all;
    cut_make(&all, self, events, 0, events->n_events);
    self->ops->predict(self->self, &all.batch, &all.rows, scores);
    cut_free(&all);
}

void learner_fixture_explain(learner_fixture *self, const event_list *events, float *contribution)
{
    cut all;
    tw_error error;
    cut_make(&all, self, events, 0, events->n_events);
    assert_int_equal(self->ops->explain(self->self, &all.batch, &all.rows, contribution, &error), TW_STATUS_OK);
    cut_free(&all);
}

tw_status learner_fixture_warm_start(learner_fixture *self, const tw_weights *weights, tw_error *error)
{
    event_list every = {0};
    cut all;
    event_list_begin(&every, 0.0f, 1.0f);
    for (uint32_t i = 0; i < self->n_rows; i++) {
        event_list_add(&every, i, 1.0f);
    }
    cut_make(&all, self, &every, 0, 1);
    tw_status status = self->ops->warm_start(self->self, &all.batch, &all.rows, weights, error);
    cut_free(&all);
    event_list_free(&every);
    return status;
}

bool learner_fixture_hasten(learner_fixture *self, double half_lives)
{
    tw_rows rows = {NULL, self->block};
    return self->ops->hasten(self->self, &rows, half_lives);
}

tw_score_form learner_fixture_score_form(learner_fixture *self, const event_list *events, double *weight)
{
    cut all;
    tw_score_form form = {0};
    cut_make(&all, self, events, 0, events->n_events);
    self->ops->score_form(self->self, &all.batch, &all.rows, &form, weight);
    cut_free(&all);
    return form;
}

bool learner_fixture_equals(const learner_fixture *a, const learner_fixture *b)
{
    if (memcmp(a->rows, b->rows, (size_t)a->n_rows * a->traits.schema.row.size) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < a->traits.schema.n_blocks; i++) {
        const tw_block *block = &a->traits.schema.block[i];
        if (memcmp(a->block[i], b->block[i], (size_t)block->count * block->record.size) != 0) {
            return false;
        }
    }
    return true;
}

uint64_t test_random(uint64_t *state)
{
    uint64_t x = (*state += 0x9e3779b97f4a7c15ull);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

double test_uniform(uint64_t *state)
{
    return (double)(test_random(state) >> 11) * 0x1p-53;
}
