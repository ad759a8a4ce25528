/* --init with the model of another learner: its weights, one score each, become a warm start. */
#include <string.h>

#include "base/alloc.h"
#include "cmd/session_state.h"

enum { SCORED_AT_ONCE = 1024 };

typedef struct weight_list {
    uint64_t *key; /* [n] */
    size_t n, capacity;
    double *weight; /* [n] */
    float *largest; /* [n] */
    double bias;
    unsigned char *state; /* of the transforms */
    size_t state_size, transform_at[TW_SCHEMA_MAX_BLOCKS];
    const tw_schema *schema;
    uint32_t n_transform_blocks;
} weight_list;

static tw_status note_record(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    weight_list *self = context;
    if (block >= 0) {
        size_t size = self->schema->block[block].record.size;
        if ((uint32_t)block < self->n_transform_blocks)
            memcpy(self->state + self->transform_at[block] + key * size, record, size);
        return TW_STATUS_OK;
    }
    tw_status status = tw_grow(&self->key, sizeof *self->key, &self->capacity, self->n + 1, error);
    if (status == TW_STATUS_OK)
        self->key[self->n++] = key != 0 ? key : 1; /* hashed tables: the first row */
    return status;
}

/* Keys of all rows and the state of the transforms. */
static tw_status list_keys(weight_list *self, tw_model *from, tw_error *error)
{
    self->schema = &tw_model_table_spec(from)->schema;
    self->n_transform_blocks = tw_model_n_transform_blocks(from);
    for (uint32_t i = 0; i < self->n_transform_blocks; i++) {
        self->transform_at[i] = self->state_size;
        self->state_size += (size_t)self->schema->block[i].count * self->schema->block[i].record.size;
    }
    self->state = tw_alloc_zero(self->state_size + 1);
    if (self->state == NULL)
        return tw_no_memory(error, self->state_size + 1);
    return tw_model_scan(from, note_record, self, error);
}

/* Scores events of one feature with value 1 each, from `first` on; without keys, one event without features. */
static tw_status score_keys(
    const weight_list *self, tw_model *from, size_t first, uint32_t n, float *scores, tw_error *error)
{
    static const uint16_t field[SCORED_AT_ONCE];
    uint32_t row_start[SCORED_AT_ONCE + 1];
    float one[SCORED_AT_ONCE], label[SCORED_AT_ONCE];
    int64_t time_us[SCORED_AT_ONCE];
    for (uint32_t i = 0; i < SCORED_AT_ONCE; i++) {
        row_start[i + 1] = n > 0 ? i + 1 : 0;
        one[i] = 1.0f;
        label[i] = 0.0f;
        time_us[i] = INT64_MIN;
    }
    row_start[0] = 0;
    const tw_batch batch = {
        .n_events = n > 0 ? n : 1,
        .n_entries = n,
        .row_start = row_start,
        .key = n > 0 ? self->key + first : NULL,
        .value = one,
        .field = field,
        .label = label,
        .weight = one,
        .time_us = time_us,
    };
    return tw_model_score_rows(from, &batch, scores, error);
}

static tw_status list_weights(weight_list *self, tw_model *from, tw_error *error)
{
    float scores[SCORED_AT_ONCE] = {0};
    tw_status status = list_keys(self, from, error);
    if (status == TW_STATUS_OK)
        status = score_keys(self, from, 0, 0, scores, error);
    if (status < 0)
        return status;
    self->bias = (double)scores[0];
    self->weight = tw_alloc_zero((self->n + 1) * sizeof *self->weight);
    self->largest = tw_alloc_zero((self->n + 1) * sizeof *self->largest);
    if (self->weight == NULL || self->largest == NULL)
        return tw_no_memory(error, (self->n + 1) * sizeof *self->weight);
    for (size_t at = 0; at < self->n && status == TW_STATUS_OK; at += SCORED_AT_ONCE) {
        uint32_t n = self->n - at < SCORED_AT_ONCE ? (uint32_t)(self->n - at) : SCORED_AT_ONCE;
        status = score_keys(self, from, at, n, scores, error);
        for (uint32_t i = 0; i < n; i++) {
            self->weight[at + i] = (double)scores[i] - self->bias;
            self->largest[at + i] = 1.0f; /* not known: as if features were indicators */
        }
    }
    return status;
}

/* The first `n` blocks, those of the transforms, as a number. */
static uint64_t hash_of_blocks(const tw_schema *schema, uint32_t n)
{
    tw_schema blocks = *schema;
    blocks.row = (tw_record){0};
    blocks.n_blocks = n;
    return tw_schema_hash(&blocks);
}

/* Both must score by weights, of features that mean the same. */
static tw_status check_models(const session *self, tw_model *from, tw_error *error)
{
    tw_model *to = self->assembly->model;
    const tw_table_spec *old = tw_model_table_spec(from), *new = tw_model_table_spec(to);
    const tw_learner_traits *a = tw_model_traits(from), *b = tw_model_traits(to);
    const char *directory = self->options->init_directory, *name = tw_model_learner(to)->name;
    bool is_linear = a->task == TW_TASK_BINARY || a->task == TW_TASK_REGRESSION;
    uint32_t n = tw_model_n_transform_blocks(to);
    bool is_same_state =
        tw_model_n_transform_blocks(from) == n && hash_of_blocks(&old->schema, n) == hash_of_blocks(&new->schema, n);
    if (tw_model_learner(to)->warm_start == NULL || !is_linear || a->task != b->task || a->link != b->link)
        return tw_error_set(error, TW_STATUS_CONFLICT,
            "--init %s: the model there is of learner %s, whose weights learner %s cannot take over", directory,
            self->init.learner, name);
    if (old->hash_seed != new->hash_seed || old->kind != new->kind || old->bits != new->bits || !is_same_state)
        return tw_error_set(error, TW_STATUS_CONFLICT,
            "--init %s: table, hash seed or scaled columns of the model there differ from this one's", directory);
    return TW_STATUS_OK;
}

static tw_status hand_over(session *self, const weight_list *list, double *curvature, tw_error *error)
{
    tw_fit_solution solution = {.weight = list->weight, .bias = list->bias};
    const tw_dataset data = {
        .matrix = {.n_events = self->init.events, .n_columns = (uint32_t)list->n},
        .key = list->key,
        .largest = list->largest,
        .state = list->state,
        .state_size = list->state_size,
        .checksum = self->init.id,
    };
    const tw_fitted fitted = {.solution = &solution, .curvature = curvature};
    if (list->n >= UINT32_MAX)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED, "--init %s: more than %u rows cannot be taken over by weight",
            self->options->init_directory, UINT32_MAX - 1);
    tw_status status = tw_handover(self->assembly->model, &data, &fitted, 0, error);
    return status == TW_STATUS_OK ? tw_model_flush(self->assembly->model, 60000, error) : status;
}

/* The model there as it was made, without rows. Release with assembly_fini, also after an error. */
static tw_status init_open(session *self, assembly *from, tw_error *error)
{
    tw_status status = assembly_of_manifest(from, &self->init, error);
    if (status == TW_STATUS_OK)
        status = assembly_check(from, error);
    return status == TW_STATUS_OK ? assembly_build(from, error) : status;
}

tw_status session_check_init(session *self, tw_error *error)
{
    assembly from;
    tw_status status = init_open(self, &from, error);
    if (status == TW_STATUS_OK) {
        const tw_learner_traits *old = tw_model_traits(from.model), *new = tw_model_traits(self->assembly->model);
        if (old->task != new->task || old->link != new->link || old->loss.kind != new->loss.kind)
            status = tw_error_set(error, TW_STATUS_CONFLICT,
                "--init %s: the model there was learned with another loss: its rows mean something else here",
                self->options->init_directory);
    }
    assembly_fini(&from);
    return status;
}

tw_status session_init_by_weights(session *self, tw_error *error)
{
    assembly from;
    weight_list list = {0};
    double *curvature = NULL;
    tw_status status = init_open(self, &from, error);
    if (status == TW_STATUS_OK)
        status = check_models(self, from.model, error);
    if (status == TW_STATUS_OK)
        status = assembly_attach_saved(&from, self->options->init_directory, &self->init, error);
    if (status == TW_STATUS_OK)
        status = list_weights(&list, from.model, error);
    if (status == TW_STATUS_OK) {
        curvature = tw_alloc_zero((list.n + 1) * sizeof *curvature);
        status = curvature != NULL ? hand_over(self, &list, curvature, error) : tw_no_memory(error, list.n + 1);
    }
    tw_free(curvature);
    tw_free(list.key);
    tw_free(list.weight);
    tw_free(list.largest);
    tw_free(list.state);
    assembly_fini(&from);
    return status;
}
