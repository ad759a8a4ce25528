/* model.h: a learner with its transforms, schema and rows: what learns, predicts, is saved and is served.
 *
 * Thread rule: every function may be called from any thread; calls take turns by a fair lock (a batch is a turn), so
 * one prediction never sees half a batch and never mixes two models. */
#ifndef TW_ENGINE_MODEL_H
#define TW_ENGINE_MODEL_H

#include <stdatomic.h>

#include "data/builder.h"
#include "data/plan.h"
#include "engine/drift.h"
#include "store/checkpoint.h"
#include "thalweg/learner.h"
#include "thalweg/params.h"
#include "thalweg/transform.h"

typedef struct tw_model tw_model;

/* What a prediction was made by. */
typedef struct tw_model_stamp {
    uint64_t version; /* id of the last checkpoint written or loaded; 0: none yet */
    uint64_t events;  /* events learned up to this prediction */
    int64_t
        age_ms; /* since the last event was learned (or, in a model that only serves, since its checkpoint was made) */
} tw_model_stamp;

typedef struct tw_model_spec {
    const char *name; /* of the pipeline; copied */
    const tw_learner_ops *learner;
    const tw_option_values *learner_options; /* borrowed for the model's life */
    const tw_transform_ops *scaler;          /* NULL when no column is scaled */
    const tw_option_values *scaler_options;
    tw_plan_spec plan; /* borrowed for the model's life, with all it points to */
    tw_table_kind table_kind;
    uint32_t bits;
    uint64_t max_bytes;
    tw_keep keep;           /* of the table; zeroed: none */
    bool ignores_labels;    /* rows are only scored: a label is not needed and not read */
    tw_drift_options drift; /* zeroed: nothing is watched */
} tw_model_spec;

/* Opens the learner and builds schema and table spec; rows come with tw_model_attach. CONFIG: the learner cannot do
 * what spec->drift asks for. */
TW_MUST_USE tw_status tw_model_create(const tw_model_spec *spec, tw_model **out, tw_error *error);
void tw_model_destroy(tw_model **self); /* closes the params too */

const tw_table_spec *tw_model_table_spec(const tw_model *self);
const tw_learner_traits *tw_model_traits(const tw_model *self);
const tw_learner_ops *tw_model_learner(const tw_model *self);
const tw_model_spec *tw_model_spec_of(const tw_model *self);
const char *tw_model_name(const tw_model *self);

/* Gives the model its rows, local or remote; owned by the model from here on. */
void tw_model_attach(tw_model *self, tw_params *params);
/* Calls `use` with the rows while nobody else uses them; any thread. Returns what it returns. */
TW_MUST_USE tw_status tw_model_use(tw_model *self,
    tw_status (*use)(void *context, tw_params *params, tw_error *error),
    void *context,
    tw_error *error);
tw_params *tw_model_params(tw_model *self); /* for the engine's thread only */

/* How many workers learn this model together (1 at first). With more than one, each keeps at most its share of the
 * learner's `flight` between a pull and its push: batches are learned in slices. Before the first batch. */
void tw_model_set_workers(tw_model *self, uint32_t n_workers);
/* Once it is set, tw_model_learn does not wait any more for others to learn first: IDLE, nothing was learned. Borrowed
 * until it is replaced; NULL: none. */
void tw_model_set_stop(tw_model *self, const atomic_bool *stop);
/* They learn whole batches, whatever `flight` says: to measure what it is good for. */
void tw_model_free_flight(tw_model *self);

/* State blocks of the learner and of the scaler (NULL: nothing is scaled), for export. Engine's thread only. */
const void *tw_model_learner_state(const tw_model *self);
const void *tw_model_scaler_state(const tw_model *self);

/* A plan of its own for a thread that decodes rows for this model (plans are not shared between threads). */
TW_MUST_USE tw_status tw_model_plan_create(const tw_model *self, tw_plan **out, tw_error *error);
/* A batch builder that fits the model (dense width). */
TW_MUST_USE tw_status tw_model_builder_create(
    const tw_model *self, uint32_t max_events, tw_builder **out, tw_error *error);

/* Learns the batch: transforms (the builder's values change), scores, learns, releases with the batch's mark.
 * scores: [n_events x n_outputs], raw as the learner gives them. REWIND: see params.h; nothing was learned.
 * is_replay: the events were counted before, a shard that lost them gets them again; they are not counted twice. */
TW_MUST_USE tw_status tw_model_learn(tw_model *self, tw_builder *batch, bool is_replay, float *scores, tw_error *error);

/* Says which batch will be learned after the next one that is learned, so that its rows can be fetched meanwhile; NULL:
 * unknown. Borrowed, and unchanged until it is learned or another one is announced. Learning thread only. */
void tw_model_announce(tw_model *self, const tw_builder *next);

/* Raw scores of a batch, changing nothing but the builder's values: evaluation without learning. */
TW_MUST_USE tw_status tw_model_score(tw_model *self, tw_builder *batch, float *scores, tw_error *error);

/* As tw_model_learn and tw_model_score, for values that are transformed already. The batch's split and offsets hold
 * as there. */
TW_MUST_USE tw_status tw_model_learn_rows(tw_model *self, const tw_batch *batch, float *scores, tw_error *error);
TW_MUST_USE tw_status tw_model_score_rows(tw_model *self, const tw_batch *batch, float *scores, tw_error *error);

/* Lets `fill` write the rows and blocks of the batch's keys; they are released with the batch's mark, and `n_learned`
 * events count as learned. What `fill` returns below 0 is returned, and nothing is released. REWIND as tw_model_learn.
 */
typedef tw_status (*tw_model_fill)(
    void *context, void *learner, const tw_batch *batch, const tw_rows *rows, tw_error *error);
TW_MUST_USE tw_status tw_model_write(
    tw_model *self, const tw_batch *batch, uint64_t n_learned, tw_model_fill fill, void *context, tw_error *error);

/* The first blocks of the schema are the state of the transforms; the number of them. */
uint32_t tw_model_n_transform_blocks(const tw_model *self);

/* The transforms over state of the caller's: block [schema n_blocks], of which the transforms' are there. `learn` adds
 * the batch to the state and writes nothing else but `scratch` [n_entries]; `apply` changes the values of `rows` by the
 * state. Any thread. */
void tw_model_transform_learn(const tw_model *self, const tw_batch *batch, float *scratch, void *const *block);
void tw_model_transform_apply(const tw_model *self, tw_builder *rows, void *const *block);

/* Scores the rows; changes nothing but the builder's values. prediction: [n_events x n_outputs] as users see it
 * (binary: output 0 is the probability). */
TW_MUST_USE tw_status tw_model_predict(
    tw_model *self, tw_builder *rows, double *prediction, tw_model_stamp *stamp, tw_error *error);

/* Raw scores to what users see: the learner's link for output 0 of each event; further outputs are copied.
 * Both [n_events x n_outputs]. */
void tw_model_link_all(const tw_learner_traits *traits, const float *scores, uint32_t n_events, double *prediction);

/* The monitor of the events that tw_model_learn learns, for saving and restoring on the learning thread; NULL: none. */
tw_drift *tw_model_drift(tw_model *self);

void tw_model_stamp_now(tw_model *self, tw_model_stamp *out);

/* Sets the count of learned events that stamps show: a run counts from its checkpoint, whatever the shards have by
 * then. */
void tw_model_set_events(tw_model *self, uint64_t events);

/* Names the checkpoint that the model was loaded from or just saved as. made_us: when it was made, for the age of
 * models that only serve; 0: keep. */
void tw_model_set_version(tw_model *self, uint64_t version, int64_t made_us);

/* The members of tw_params_ops of the same names, taken in turn with predictions. */
TW_MUST_USE tw_status tw_model_marks(
    tw_model *self, uint64_t split, uint64_t *marks, uint32_t *n_marks, tw_error *error);
TW_MUST_USE tw_status tw_model_snapshot_start(tw_model *self, const char *directory, uint64_t id, tw_error *error);
TW_MUST_USE tw_status tw_model_snapshot_poll(tw_model *self, int timeout_ms, tw_row_files *out, tw_error *error);
TW_MUST_USE tw_status tw_model_flush(tw_model *self, int timeout_ms, tw_error *error);
TW_MUST_USE tw_status tw_model_scan(tw_model *self, tw_record_visit visit, void *context, tw_error *error);
void tw_model_stats(tw_model *self, tw_params_stats *out);

/* What the learner calls the weight of a row; 0 when it has none. */
double tw_model_row_weight(const tw_model *self, const void *row);

/* Rows whose weight is not zero (a scan); UINT64_MAX when the learner has no weights. */
TW_MUST_USE tw_status tw_model_count_weights(tw_model *self, uint64_t *out, tw_error *error);

#endif
