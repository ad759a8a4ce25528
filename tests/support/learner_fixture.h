/* learner_fixture.h: a learner with plain arrays as its rows and blocks, and a list of events to cut into batches. */
#ifndef TEST_LEARNER_FIXTURE_H
#define TEST_LEARNER_FIXTURE_H

#include <stddef.h>

#include "thalweg/learner.h"

/* Events kept as one growing batch; entry `index` belongs to row `index` of the fixture. */
typedef struct event_list {
    uint32_t n_events, n_entries, events_capacity, entries_capacity, dense_width;
    uint32_t *row_start, *index;
    float *value, *label, *weight, *dense;
    int64_t *time_us; /* INT64_MIN unless set for the event begun last */
} event_list;

typedef struct learner_fixture {
    const tw_learner_ops *ops;
    tw_option_values *options;
    void *self;
    tw_learner_traits traits;
    void *block[TW_SCHEMA_MAX_BLOCKS];
    unsigned char *rows;
    uint32_t n_rows;
} learner_fixture;

void event_list_begin(event_list *self, float label, float weight);
void event_list_add(event_list *self, uint32_t index, float value);
void event_list_dense(event_list *self, const float *row); /* [dense_width], for the event begun last */
void event_list_time(event_list *self, int64_t time_us);   /* of the event begun last */
void event_list_free(event_list *self);

/* options: "alpha=0.1 l1=1"; fails the test when the learner does not open. */
void learner_fixture_open(
    learner_fixture *self, const tw_learner_ops *ops, const char *options, uint32_t dense_width, uint32_t n_rows);
void learner_fixture_close(learner_fixture *self);
void *learner_fixture_row(learner_fixture *self, uint32_t index);
void *learner_fixture_block(learner_fixture *self, const char *name);

/* Learns or predicts events [from, to) in batches of `batch_size`; scores: [n_events of the list x n_outputs]. */
tw_status learner_fixture_learn(learner_fixture *self,
    const event_list *events,
    uint32_t from,
    uint32_t to,
    uint32_t batch_size,
    float *scores,
    tw_error *error);
void learner_fixture_predict(learner_fixture *self, const event_list *events, float *scores);
void learner_fixture_explain(learner_fixture *self, const event_list *events, float *contribution);
/* weight: [n_entries of the list] */
tw_score_form learner_fixture_score_form(learner_fixture *self, const event_list *events, double *weight);

/* One call of warm_start for rows 0 .. n_rows - 1 with these weights; the largest |x| of each is 1. */
tw_status learner_fixture_warm_start(learner_fixture *self, const tw_weights *weights, tw_error *error);
bool learner_fixture_hasten(learner_fixture *self, double half_lives);

/* True when rows and blocks of both hold the same bytes. */
bool learner_fixture_equals(const learner_fixture *a, const learner_fixture *b);

/* Deterministic numbers for tests. */
uint64_t test_random(uint64_t *state);
double test_uniform(uint64_t *state); /* [0, 1) */

#endif
