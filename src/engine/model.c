#include "engine/model.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/share.h"
#include "engine/turnstile.h"
#include "math/loss.h"

struct tw_model {
    tw_model_spec spec;
    char name[128];
    tw_learner_traits traits;
    tw_table_spec table;
    void *learner;
    void *scaler;           /* NULL: nothing is scaled */
    uint32_t n_scaled;      /* scaled numeric columns ... */
    uint16_t *scaled_field; /* [n_scaled] ... their field ids ... */
    uint32_t *scaled_dense; /* [n_scaled] ... and their columns in dense rows */
    tw_drift *drift;        /* NULL: nothing is watched */
    uint32_t n_transform_blocks;
    tw_params *params;
    tw_turnstile turn;
    float *scores; /* scratch of predictions, used inside a turn */
    size_t scores_capacity;
    tw_share share;
    const tw_builder *next; /* learned after the batch to come; NULL: unknown */
    uint32_t *slice_start;  /* row starts of the slice being learned */
    size_t slice_capacity;
    _Atomic uint64_t version, events;
    _Atomic int64_t learned_us, made_us; /* monotonic; wall */
};

static tw_status model_add_scaler(tw_model *self, const uint16_t *fields, uint32_t n, tw_error *error)
{
    const tw_transform_ops *ops = self->spec.scaler;
    size_t size = ops->state_size(self->spec.scaler_options);
    self->scaler = tw_alloc_aligned(64, size < 64 ? 64 : size);
    self->scaled_field = tw_alloc(n * sizeof *self->scaled_field);
    self->scaled_dense = tw_alloc_zero(n * sizeof *self->scaled_dense);
    if (self->scaler == NULL || self->scaled_field == NULL || self->scaled_dense == NULL)
        return tw_no_memory(error, size);
    memcpy(self->scaled_field, fields, n * sizeof *fields);
    self->n_scaled = n;
    return ops->open(self->scaler, self->spec.scaler_options, self->scaled_field, n, &self->traits.schema, error);
}

static tw_status model_open_scaler(tw_model *self, tw_error *error)
{
    tw_plan *plan = NULL;
    tw_status status = tw_plan_create(&self->spec.plan, &plan, error);
    if (status < 0)
        return status;
    uint32_t n = 0;
    const uint16_t *fields = tw_plan_scaled(plan, &n);
    if (n > 0 && self->spec.scaler != NULL)
        status = model_add_scaler(self, fields, n, error);
    self->n_transform_blocks = self->traits.schema.n_blocks;
    tw_plan_destroy(&plan);
    return status;
}

/* Scaled columns in order of declaration have ascending field ids; a dense row has all numeric columns in that order.
 */
static void model_place_scaled(tw_model *self)
{
    uint32_t dense = 0, scaled = 0;
    for (uint32_t i = 0; i < self->spec.plan.n_columns && scaled < self->n_scaled; i++) {
        const tw_column_spec *column = &self->spec.plan.column[i];
        if (column->kind != TW_COLUMN_NUMERIC)
            continue;
        if (column->is_scaled)
            self->scaled_dense[scaled++] = dense;
        dense++;
    }
}

static tw_status model_open_learner(tw_model *self, tw_error *error)
{
    size_t size = self->spec.learner->state_size(self->spec.learner_options);
    self->learner = tw_alloc_aligned(64, size < 64 ? 64 : size);
    if (self->learner == NULL)
        return tw_no_memory(error, size);
    tw_status status = self->spec.learner->open(self->learner, self->spec.learner_options, &self->traits, error);
    if (status < 0)
        return status;
    self->spec.plan.is_dense = self->traits.dense_width > 0;
    self->spec.plan.dense_width = self->traits.dense_width;
    bool needs_label = self->traits.task == TW_TASK_BINARY || self->traits.task == TW_TASK_REGRESSION;
    if (!needs_label || self->spec.ignores_labels)
        self->spec.plan.label_kind = TW_LABEL_NONE;
    else
        self->spec.plan.label_kind = self->traits.task == TW_TASK_BINARY ? TW_LABEL_BINARY : TW_LABEL_REAL;
    self->table = (tw_table_spec){
        .schema = self->traits.schema,
        .kind = self->spec.table_kind,
        .bits = self->spec.table_kind == TW_TABLE_HASHED ? self->spec.bits : 0,
        .hash_seed = self->spec.plan.hash_seed,
        .max_bytes = self->spec.max_bytes,
        .keep = self->spec.keep,
    };
    return TW_STATUS_OK;
}

/* The dense columns that the plan would have: for learners that take their width from the data. */
static uint32_t dense_columns(const tw_plan_spec *plan)
{
    uint32_t n = plan->dense_width;
    for (uint32_t i = 0; i < plan->n_columns && plan->dense_width == 0; i++)
        n += plan->column[i].kind == TW_COLUMN_NUMERIC;
    return n;
}

tw_status tw_model_create(const tw_model_spec *spec, tw_model **out, tw_error *error)
{
    *out = NULL;
    tw_model *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->spec = *spec;
    self->share.n_workers = 1;
    tw_turnstile_init(&self->turn);
    size_t length = strlen(spec->name);
    if (length >= sizeof self->name)
        length = sizeof self->name - 1;
    memcpy(self->name, spec->name, length);
    atomic_store(&self->learned_us, INT64_MIN);
    self->spec.plan.is_dense = false;
    self->traits.dense_width = dense_columns(&spec->plan);
    tw_status status = model_open_scaler(self, error);
    if (status == TW_STATUS_OK)
        status = model_open_learner(self, error);
    if (status == TW_STATUS_OK && spec->drift.detector != TW_DRIFT_NONE)
        status = tw_drift_create(&spec->drift, spec->learner, self->learner, &self->traits, &self->drift, error);
    if (status < 0) {
        tw_model_destroy(&self);
        return status;
    }
    model_place_scaled(self);
    *out = self;
    return TW_STATUS_OK;
}

void tw_model_destroy(tw_model **self)
{
    tw_model *model = *self;
    if (model == NULL)
        return;
    *self = NULL;
    if (model->params != NULL)
        model->params->ops->close(model->params);
    tw_turnstile_fini(&model->turn);
    tw_free(model->slice_start);
    tw_drift_destroy(&model->drift);
    tw_free(model->scores);
    tw_free(model->scaled_dense);
    tw_free(model->scaled_field);
    tw_free(model->scaler);
    tw_free(model->learner);
    tw_free(model);
}

const tw_table_spec *tw_model_table_spec(const tw_model *self)
{
    return &self->table;
}

const tw_learner_traits *tw_model_traits(const tw_model *self)
{
    return &self->traits;
}

const tw_learner_ops *tw_model_learner(const tw_model *self)
{
    return self->spec.learner;
}

const tw_model_spec *tw_model_spec_of(const tw_model *self)
{
    return &self->spec;
}

const char *tw_model_name(const tw_model *self)
{
    return self->name;
}

void tw_model_attach(tw_model *self, tw_params *params)
{
    self->params = params;
    tw_params_stats stats;
    params->ops->stats(params, &stats);
    atomic_store(&self->events, stats.events_learned);
}

void tw_model_set_workers(tw_model *self, uint32_t n_workers)
{
    self->share.n_workers = n_workers;
}

void tw_model_set_stop(tw_model *self, const atomic_bool *stop)
{
    self->share.stop = stop;
}

void tw_model_free_flight(tw_model *self)
{
    self->share.is_flight_free = true;
}

void tw_model_announce(tw_model *self, const tw_builder *next)
{
    self->next = next;
}

tw_params *tw_model_params(tw_model *self)
{
    return self->params;
}

const void *tw_model_learner_state(const tw_model *self)
{
    return self->learner;
}

const void *tw_model_scaler_state(const tw_model *self)
{
    return self->scaler;
}

tw_status tw_model_plan_create(const tw_model *self, tw_plan **out, tw_error *error)
{
    return tw_plan_create(&self->spec.plan, out, error);
}

tw_status tw_model_builder_create(const tw_model *self, uint32_t max_events, tw_builder **out, tw_error *error)
{
    return tw_builder_create(max_events, self->traits.dense_width, out, error);
}

/* value, dense: the batch's own, writable. */
static void model_scale(
    const tw_model *self, const tw_batch *batch, float *value, float *dense, void *const *block, bool is_learning)
{
    if (self->scaler == NULL)
        return;
    self->spec.scaler->apply(self->scaler, batch, value, block, is_learning);
    if (dense == NULL)
        return;
    for (uint32_t event = 0; event < batch->n_events; event++) {
        float *row = dense + (size_t)event * batch->dense_width;
        for (uint32_t i = batch->row_start[event]; i < batch->row_start[event + 1]; i++) {
            for (uint32_t s = 0; s < self->n_scaled; s++) {
                if (self->scaled_field[s] == batch->field[i])
                    row[self->scaled_dense[s]] = value[i];
            }
        }
    }
}

static uint64_t count_learned(tw_task task, const tw_batch *batch)
{
    uint64_t n = 0;
    bool needs_label = task == TW_TASK_BINARY || task == TW_TASK_REGRESSION;
    for (uint32_t i = 0; i < batch->n_events; i++)
        n += batch->weight[i] > 0 && !(needs_label && isnan(batch->label[i]));
    return n;
}

/* Rows of several workers must not be older than the flight rule allows: only one alone may fetch ahead. */
static tw_status model_prefetch(tw_model *self, tw_error *error)
{
    if (self->next == NULL || self->share.n_workers > 1 || self->params->ops->prefetch == NULL)
        return TW_STATUS_OK;
    tw_batch batch = tw_builder_batch(self->next);
    return self->params->ops->prefetch(self->params, &batch, error);
}

/* Events [first, last) of the batch inside its turn. */
static tw_status model_learn_slice(
    tw_model *self, tw_builder *builder, const uint32_t range[2], bool is_watched, float *scores, tw_error *error)
{
    uint32_t first = range[0], last = range[1];
    bool is_whole = first == 0 && last == builder->n_events;
    tw_batch batch = is_whole ? tw_builder_batch(builder) : tw_builder_slice(builder, first, last, self->slice_start);
    tw_rows rows;
    tw_status status = self->params->ops->acquire(self->params, &batch, TW_ACCESS_WRITE, &rows, error);
    if (status != TW_STATUS_OK)
        return status;
    status = is_whole ? model_prefetch(self, error) : TW_STATUS_OK;
    if (status < 0) {
        self->params->ops->abandon(self->params, &batch, &rows);
        return status;
    }
    float *value = builder->value + builder->row_start[first];
    float *dense = builder->dense != NULL ? builder->dense + (size_t)first * builder->dense_width : NULL;
    model_scale(self, &batch, value, dense, rows.block, true);
    float *own = scores + (size_t)first * self->traits.n_outputs;
    status = is_watched ? tw_drift_learn(self->drift, &batch, &rows, own, error)
                        : self->spec.learner->learn(self->learner, &batch, &rows, own, error);
    if (status < 0) {
        self->params->ops->abandon(self->params, &batch, &rows);
        return status;
    }
    return self->params->ops->release(self->params, &batch, &rows, count_learned(self->traits.task, &batch), error);
}

/* One batch inside its turn. */
static tw_status model_learn_turn(tw_model *self, tw_builder *builder, bool is_replay, float *scores, tw_error *error)
{
    uint32_t first = 0, n = builder->n_events;
    bool is_watched = self->drift != NULL && !is_replay;
    tw_share_asking asking = {self->params, self->spec.learner, self->learner};
    if (is_watched)
        tw_drift_begin(self->drift, atomic_load_explicit(&self->events, memory_order_relaxed));
    tw_status status =
        tw_grow(&self->slice_start, sizeof *self->slice_start, &self->slice_capacity, (size_t)n + 1, error);
    while (status == TW_STATUS_OK) {
        uint32_t most = n - first;
        status = tw_share_take(&self->share, &asking, n - first, first > 0, &most, error);
        if (status != TW_STATUS_OK)
            break;
        uint32_t range[2] = {first, first + most};
        status = model_learn_slice(self, builder, range, is_watched, scores, error);
        first = range[1];
        if (first == n)
            break;
    }
    if (status != TW_STATUS_OK && is_watched)
        tw_drift_undo(self->drift);
    if (status == TW_STATUS_OK && n > 0 && !is_replay) {
        tw_batch batch = tw_builder_batch(builder);
        atomic_fetch_add_explicit(&self->events, count_learned(self->traits.task, &batch), memory_order_relaxed);
        atomic_store_explicit(&self->learned_us, tw_clock_monotonic_us(), memory_order_relaxed);
    }
    return status;
}

tw_status tw_model_learn(tw_model *self, tw_builder *batch, bool is_replay, float *scores, tw_error *error)
{
    tw_turnstile_enter(&self->turn);
    tw_status status = model_learn_turn(self, batch, is_replay, scores, error);
    tw_turnstile_leave(&self->turn);
    return status;
}

/* builder: whose values are still to be transformed; NULL: they are. */
static tw_status model_score_turn(
    tw_model *self, tw_builder *builder, const tw_batch *batch, float *scores, tw_error *error)
{
    if (batch->n_events == 0)
        return TW_STATUS_OK;
    tw_rows rows;
    tw_status status = self->params->ops->acquire(self->params, batch, TW_ACCESS_READ, &rows, error);
    if (status == TW_STATUS_REWIND)
        return tw_error_set(error, TW_STATUS_BUSY, "a parameter-server shard is being restored; try again");
    if (status != TW_STATUS_OK)
        return status;
    if (builder != NULL)
        model_scale(self, batch, builder->value, builder->dense, rows.block, false);
    self->spec.learner->predict(self->learner, batch, &rows, scores);
    status = self->params->ops->release(self->params, batch, &rows, 0, error);
    return status < 0 ? status : TW_STATUS_OK;
}

tw_status tw_model_score(tw_model *self, tw_builder *batch, float *scores, tw_error *error)
{
    tw_turnstile_enter(&self->turn);
    tw_batch view = tw_builder_batch(batch);
    tw_status status = model_score_turn(self, batch, &view, scores, error);
    tw_turnstile_leave(&self->turn);
    return status;
}

tw_status tw_model_score_rows(tw_model *self, const tw_batch *batch, float *scores, tw_error *error)
{
    tw_turnstile_enter(&self->turn);
    tw_status status = model_score_turn(self, NULL, batch, scores, error);
    tw_turnstile_leave(&self->turn);
    return status;
}

tw_status tw_model_write(
    tw_model *self, const tw_batch *batch, uint64_t n_learned, tw_model_fill fill, void *context, tw_error *error)
{
    tw_rows rows;
    tw_turnstile_enter(&self->turn);
    tw_status status = self->params->ops->acquire(self->params, batch, TW_ACCESS_WRITE, &rows, error);
    if (status == TW_STATUS_OK) {
        status = fill(context, self->learner, batch, &rows, error);
        if (status < 0)
            self->params->ops->abandon(self->params, batch, &rows);
        else
            status = self->params->ops->release(self->params, batch, &rows, n_learned, error);
    }
    if (status == TW_STATUS_OK) {
        atomic_fetch_add_explicit(&self->events, n_learned, memory_order_relaxed);
        atomic_store_explicit(&self->learned_us, tw_clock_monotonic_us(), memory_order_relaxed);
    }
    tw_turnstile_leave(&self->turn);
    return status;
}

typedef struct learn_call {
    const tw_model *model;
    float *scores;
} learn_call;

static tw_status fill_by_learning(
    void *context, void *learner, const tw_batch *batch, const tw_rows *rows, tw_error *error)
{
    const learn_call *call = context;
    return call->model->spec.learner->learn(learner, batch, rows, call->scores, error);
}

tw_status tw_model_learn_rows(tw_model *self, const tw_batch *batch, float *scores, tw_error *error)
{
    learn_call call = {self, scores};
    return tw_model_write(self, batch, count_learned(self->traits.task, batch), fill_by_learning, &call, error);
}

uint32_t tw_model_n_transform_blocks(const tw_model *self)
{
    return self->n_transform_blocks;
}

void tw_model_transform_learn(const tw_model *self, const tw_batch *batch, float *scratch, void *const *block)
{
    if (self->scaler == NULL || batch->n_entries == 0)
        return;
    memcpy(scratch, batch->value, batch->n_entries * sizeof *scratch);
    self->spec.scaler->apply(self->scaler, batch, scratch, block, true);
}

void tw_model_transform_apply(const tw_model *self, tw_builder *rows, void *const *block)
{
    tw_batch batch = tw_builder_batch(rows);
    model_scale(self, &batch, rows->value, rows->dense, block, false);
}

void tw_model_link_all(const tw_learner_traits *traits, const float *scores, uint32_t n_events, double *prediction)
{
    for (uint32_t i = 0; i < n_events; i++) {
        const float *score = scores + (size_t)i * traits->n_outputs;
        double *out = prediction + (size_t)i * traits->n_outputs;
        out[0] = tw_link_value(traits->link, (double)score[0]);
        for (uint32_t j = 1; j < traits->n_outputs; j++)
            out[j] = (double)score[j];
    }
}

tw_status tw_model_predict(tw_model *self, tw_builder *rows, double *prediction, tw_model_stamp *stamp, tw_error *error)
{
    tw_turnstile_enter(&self->turn);
    tw_batch batch = tw_builder_batch(rows);
    size_t n = (size_t)rows->n_events * self->traits.n_outputs;
    tw_status status = tw_grow(&self->scores, sizeof *self->scores, &self->scores_capacity, n, error);
    if (status == TW_STATUS_OK)
        status = model_score_turn(self, rows, &batch, self->scores, error);
    if (status == TW_STATUS_OK)
        tw_model_link_all(&self->traits, self->scores, rows->n_events, prediction);
    if (stamp != NULL)
        tw_model_stamp_now(self, stamp);
    tw_turnstile_leave(&self->turn);
    return status;
}

tw_drift *tw_model_drift(tw_model *self)
{
    return self->drift;
}

void tw_model_stamp_now(tw_model *self, tw_model_stamp *out)
{
    int64_t learned_us = atomic_load_explicit(&self->learned_us, memory_order_relaxed);
    int64_t made_us = atomic_load_explicit(&self->made_us, memory_order_relaxed);
    out->version = atomic_load_explicit(&self->version, memory_order_relaxed);
    out->events = atomic_load_explicit(&self->events, memory_order_relaxed);
    if (learned_us != INT64_MIN)
        out->age_ms = (tw_clock_monotonic_us() - learned_us) / 1000;
    else
        out->age_ms = made_us != 0 ? (tw_clock_wall_us() - made_us) / 1000 : -1;
}

void tw_model_set_events(tw_model *self, uint64_t events)
{
    atomic_store(&self->events, events);
}

void tw_model_set_version(tw_model *self, uint64_t version, int64_t made_us)
{
    atomic_store(&self->version, version);
    if (made_us != 0)
        atomic_store(&self->made_us, made_us);
}

tw_status tw_model_marks(tw_model *self, uint64_t split, uint64_t *marks, uint32_t *n_marks, tw_error *error)
{
    tw_turnstile_enter(&self->turn);
    tw_status status = self->params->ops->mark(self->params, split, marks, n_marks, error);
    tw_turnstile_leave(&self->turn);
    return status;
}

tw_status tw_model_snapshot_start(tw_model *self, const char *directory, uint64_t id, tw_error *error)
{
    tw_turnstile_enter(&self->turn);
    tw_status status = self->params->ops->snapshot_start(self->params, directory, id, error);
    tw_turnstile_leave(&self->turn);
    return status;
}

tw_status tw_model_snapshot_poll(tw_model *self, int timeout_ms, tw_row_files *out, tw_error *error)
{
    tw_turnstile_enter(&self->turn);
    tw_status status = self->params->ops->snapshot_poll(self->params, timeout_ms, out, error);
    tw_turnstile_leave(&self->turn);
    return status;
}

tw_status tw_model_use(
    tw_model *self, tw_status (*use)(void *context, tw_params *params, tw_error *error), void *context, tw_error *error)
{
    tw_turnstile_enter(&self->turn);
    tw_status status = use(context, self->params, error);
    tw_turnstile_leave(&self->turn);
    return status;
}

tw_status tw_model_flush(tw_model *self, int timeout_ms, tw_error *error)
{
    tw_turnstile_enter(&self->turn);
    tw_status status = self->params->ops->flush(self->params, timeout_ms, error);
    tw_turnstile_leave(&self->turn);
    return status;
}

tw_status tw_model_scan(tw_model *self, tw_record_visit visit, void *context, tw_error *error)
{
    tw_turnstile_enter(&self->turn);
    tw_status status = self->params->ops->scan(self->params, visit, context, error);
    tw_turnstile_leave(&self->turn);
    return status;
}

void tw_model_stats(tw_model *self, tw_params_stats *out)
{
    tw_turnstile_enter(&self->turn);
    self->params->ops->stats(self->params, out);
    tw_turnstile_leave(&self->turn);
}

double tw_model_row_weight(const tw_model *self, const void *row)
{
    return self->spec.learner->weight != NULL ? self->spec.learner->weight(self->learner, row) : 0.0;
}

typedef struct weight_count {
    const tw_model *model;
    uint64_t n;
} weight_count;

static tw_status count_weight(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    weight_count *count = context;
    (void)key;
    (void)error;
    if (block < 0)
        count->n += count->model->spec.learner->weight(count->model->learner, record) != 0.0;
    return TW_STATUS_OK;
}

tw_status tw_model_count_weights(tw_model *self, uint64_t *out, tw_error *error)
{
    *out = UINT64_MAX;
    if (self->spec.learner->weight == NULL || self->traits.schema.row.size == 0)
        return TW_STATUS_OK;
    weight_count count = {.model = self};
    tw_status status = tw_model_scan(self, count_weight, &count, error);
    if (status == TW_STATUS_OK)
        *out = count.n;
    return status;
}
