/* keep_support.h: a stream of keys that come and go, a plain model of tw_keep (one state a key, event by event), and
 * learning of the stream through a parameter store. */
#ifndef KEEP_SUPPORT_H
#define KEEP_SUPPORT_H

#include "store_support.h"

enum { PER_EVENT = 4, BATCH_MAX = 64, MODEL_KEYS = 300000 };

typedef struct stream {
    uint32_t n_old, n_slots; /* keys that come again and again; slots that keys lie in */
    uint32_t new_of_8;       /* entries of 8 that bring a key never seen before */
} stream;

/* Key `i` of the stream; keys are spread over n_slots slots, far apart. */
static inline uint64_t stream_key(const stream *self, uint64_t i)
{
    uint64_t slot = tw_mix64(i) % self->n_slots * (TW_N_SLOTS / self->n_slots) + 3;
    return slot << 52 | (tw_mix64(i + 77) >> 12);
}

static inline uint64_t stream_index(const stream *self, uint64_t event, uint32_t entry)
{
    uint64_t r = tw_mix64(event * PER_EVENT + entry + 1);
    if (r % 8 < self->new_of_8)
        return self->n_old + event * PER_EVENT + entry;
    uint64_t window = event / 50 * 7; /* old keys drift, so that some rest for long */
    return (window + (r >> 8) % 40) % self->n_old;
}

/* --- the model ---------------------------------------------------------------------------------------------------- */

typedef struct model_key {
    uint64_t key;
    bool has_row;
    uint32_t seen;
    uint64_t stamp, refused; /* ticks; + 1 */
    test_row row;
} model_key;

typedef struct model {
    const tw_table_spec *spec;
    uint32_t room;
    uint64_t turn, tick, n_evicted, n_refused;
    model_key *key; /* by index of the stream */
    uint64_t n_keys;
    double read; /* sum of what was read */
} model;

static inline bool model_holds(const model *self, const model_key *key)
{
    uint64_t after = self->spec->keep.expire_after;
    return (key->has_row || key->seen > 0) && (after == 0 || self->tick - key->stamp <= after);
}

static inline bool model_admits(model *self, model_key *key)
{
    const tw_keep *keep = &self->spec->keep;
    if (keep->admit_probability > 0)
        return tw_keep_draw(self->spec, key->key, self->tick);
    if (keep->admit_count < 2)
        return true;
    if (key->seen > 0 && key->stamp == self->tick)
        return false;
    key->stamp = self->tick;
    return ++key->seen >= keep->admit_count;
}

static inline void row_learn(test_row *row, uint64_t event, double *read)
{
    *read += (double)row->count + row->weight;
    row->count++;
    row->weight += (float)(event % 13);
}

static inline void model_touch(model *self, const stream *from, uint64_t index)
{
    assert_true(index < MODEL_KEYS);
    model_key *key = &self->key[index];
    for (; self->n_keys <= index; self->n_keys++)
        self->key[self->n_keys].key = stream_key(from, self->n_keys);
    if (!model_holds(self, key)) {
        key->has_row = false;
        key->seen = 0;
    }
    if (!key->has_row && !model_admits(self, key)) {
        /* What is learned lasts to the end of the event. */
        if (key->refused != self->tick + 1)
            key->row = (test_row){0};
        self->n_refused += key->refused != self->tick + 1;
        key->refused = self->tick + 1;
        row_learn(&key->row, self->tick, &self->read);
        return;
    }
    if (!key->has_row)
        key->row = (test_row){0};
    key->has_row = true;
    key->seen = 0;
    key->stamp = self->tick;
    row_learn(&key->row, self->tick, &self->read);
}

static inline int compare_age(const void *a, const void *b)
{
    const model_key *left = *(const model_key *const *)a, *right = *(const model_key *const *)b;
    if (left->key >> 52 != right->key >> 52)
        return left->key >> 52 < right->key >> 52 ? -1 : 1;
    if (left->stamp != right->stamp)
        return left->stamp < right->stamp ? -1 : 1;
    return left->key < right->key ? -1 : 1;
}

/* Slots of the group whose turn it is lose their oldest rows. */
static inline void model_turn(model *self)
{
    static model_key *row[MODEL_KEYS];
    uint64_t group = self->tick / self->turn % 64;
    size_t n = 0, end;
    for (uint64_t i = 0; i < self->n_keys; i++) {
        model_key *key = &self->key[i];
        if (key->key >> 52 >> 6 == group && key->has_row && model_holds(self, key))
            row[n++] = key;
    }
    qsort(row, n, sizeof *row, compare_age);
    for (size_t first = 0; first < n; first = end) {
        for (end = first; end < n && row[end]->key >> 52 == row[first]->key >> 52;)
            end++;
        assert_true(end - first < self->room); /* else it would not have waited for its turn */
        for (size_t left = end - first, i = first; end - first > self->room * 7 / 8 && left > self->room * 3 / 4;
             left--) {
            row[i++]->has_row = false;
            self->n_evicted++;
        }
    }
}

static inline void model_event(model *self, const stream *from)
{
    for (uint32_t j = 0; j < PER_EVENT; j++)
        model_touch(self, from, stream_index(from, self->tick, j));
    self->tick++;
    if (self->room > 0 && self->tick % self->turn == 0)
        model_turn(self);
}

/* --- learning in tables ------------------------------------------------------------------------------------------- */

typedef struct events {
    tw_batch view;
    uint32_t start[BATCH_MAX + 1];
    uint64_t key[BATCH_MAX * PER_EVENT];
} events;

static inline void events_fill(events *self, const stream *from, uint64_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        self->start[i] = i * PER_EVENT;
        for (uint32_t j = 0; j < PER_EVENT; j++)
            self->key[i * PER_EVENT + j] = stream_key(from, stream_index(from, first + i, j));
    }
    self->start[n] = n * PER_EVENT;
    self->view = (tw_batch){.n_events = n,
        .n_entries = n * PER_EVENT,
        .row_start = self->start,
        .key = self->key,
        .split = 1,
        .from = first,
        .to = first + n};
}

static inline tw_status learn(tw_params *params, const events *batch, double *read)
{
    tw_rows rows;
    tw_status status = params->ops->acquire(params, &batch->view, TW_ACCESS_WRITE, &rows, NULL);
    for (uint32_t i = 0; i < batch->view.n_entries && status == TW_STATUS_OK; i++)
        row_learn(rows.row[i], batch->view.from + i / PER_EVENT, read);
    return status < 0 ? status : params->ops->release(params, &batch->view, &rows, batch->view.n_events, NULL);
}

/* Learns events [first, end) in batches cut at random, never across what the store wants cut. */
static inline void learn_all(
    tw_params *params, const stream *from, uint64_t first, uint64_t end, uint64_t seed, double *read)
{
    events batch;
    while (first < end) {
        seed = tw_mix64(seed + 1);
        uint64_t n = 1 + seed % BATCH_MAX;
        uint32_t until = params->ops->events_until_turn(params);
        n = n > end - first ? end - first : n;
        n = until > 0 && n > until ? until : n;
        events_fill(&batch, from, first, (uint32_t)n);
        OK(learn(params, &batch, read));
        first += n;
    }
}

static inline int compare_keys(const void *a, const void *b)
{
    const model_key *left = *(const model_key *const *)a, *right = *(const model_key *const *)b;
    return left->key < right->key ? -1 : left->key > right->key;
}

typedef struct expected {
    const model_key **key; /* sorted */
    size_t n, n_found;
} expected;

static inline tw_status check_row(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    (void)error;
    expected *self = context;
    if (block >= 0)
        return TW_STATUS_OK;
    model_key wanted = {.key = key};
    const model_key *probe = &wanted, **hit = bsearch(&probe, self->key, self->n, sizeof *self->key, compare_keys);
    assert_non_null(hit);
    assert_memory_equal(&(*hit)->row, record, sizeof(test_row));
    self->n_found++;
    return TW_STATUS_OK;
}

static inline size_t check_rows(const model *self, tw_params *params)
{
    expected all = {.key = malloc(sizeof *all.key * (self->n_keys + 1))};
    for (uint64_t i = 0; i < self->n_keys; i++) {
        if (self->key[i].has_row && model_holds(self, &self->key[i]))
            all.key[all.n++] = &self->key[i];
    }
    qsort(all.key, all.n, sizeof *all.key, compare_keys);
    OK(params->ops->scan(params, check_row, &all, NULL));
    assert_int_equal(all.n_found, all.n);
    free(all.key);
    return all.n;
}

static inline tw_params *local_of_spec(const tw_table_spec *spec)
{
    tw_params *params;
    tw_error error = {0};
    if (tw_local_create(spec, &params, &error) != TW_STATUS_OK)
        fail_msg("%s", error.message);
    return params;
}

static inline tw_params_stats stats_of(tw_params *params)
{
    tw_params_stats stats;
    params->ops->stats(params, &stats);
    return stats;
}

#endif
