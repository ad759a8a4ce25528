#include "engine/handover.h"

#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"

enum { CHUNK_KEYS = 4096, CHUNK_BYTES = 1 << 20 };

typedef struct handover {
    tw_model *model;
    const tw_dataset *dataset;
    const tw_fitted *fitted;
    uint64_t split, n_done; /* of the hand-over's batches */
    uint32_t max_keys, n_keys;
    uint64_t *key; /* [max_keys], as all below */
    float *value, *weight, *curvature;
    uint16_t *field;
    size_t first_row; /* of the image */
    tw_weights weights;
} handover;

static void handover_fini(handover *self)
{
    tw_free(self->key);
    tw_free(self->value);
    tw_free(self->weight);
    tw_free(self->curvature);
    tw_free(self->field);
}

/* A hand-over of other numbers must not be taken for one that was done. */
static uint64_t name_of(const tw_dataset *dataset, const tw_fitted *fitted, uint32_t row_size)
{
    uint64_t name = tw_hash_seeded("hand-over", 9, dataset->checksum);
    const tw_fit_solution *solution = fitted->solution;
    if (solution == NULL)
        return tw_hash_seeded(fitted->rows->row, fitted->rows->n_rows * row_size, name) | 1;
    name = tw_hash_seeded(&solution->bias, sizeof solution->bias, name);
    if (solution->centre != NULL)
        name = tw_hash_seeded(solution->centre, sizeof(double) * fitted->n_centres * dataset->matrix.dense_width, name);
    if (solution->weight != NULL)
        name = tw_hash_seeded(solution->weight, sizeof(double) * dataset->matrix.n_columns, name);
    return name | 1;
}

static tw_status handover_open(handover *self, tw_error *error)
{
    uint32_t row_size = tw_model_table_spec(self->model)->schema.row.size;
    size_t n = row_size > CHUNK_BYTES / CHUNK_KEYS ? CHUNK_BYTES / row_size + 1 : CHUNK_KEYS;
    self->max_keys = (uint32_t)n;
    self->split = name_of(self->dataset, self->fitted, row_size);
    self->key = tw_alloc(n * sizeof *self->key);
    self->value = tw_alloc_zero(n * sizeof *self->value);
    self->weight = tw_alloc(n * sizeof *self->weight);
    self->curvature = tw_alloc(n * sizeof *self->curvature);
    self->field = tw_alloc_zero(n * sizeof *self->field);
    bool is_whole = self->key != NULL && self->value != NULL && self->weight != NULL && self->curvature != NULL &&
                    self->field != NULL;
    return is_whole ? TW_STATUS_OK : tw_no_memory(error, n * sizeof *self->key);
}

static void write_state(const handover *self, const tw_rows *rows)
{
    const tw_schema *schema = &tw_model_table_spec(self->model)->schema;
    size_t at = 0;
    for (uint32_t i = 0; i < tw_model_n_transform_blocks(self->model); i++) {
        size_t size = (size_t)schema->block[i].count * schema->block[i].record.size;
        memcpy(rows->block[i], self->dataset->state + at, size);
        at += size;
    }
}

static tw_status fill_weights(void *context, void *learner, const tw_batch *batch, const tw_rows *rows, tw_error *error)
{
    const handover *self = context;
    if (self->n_done == 0)
        write_state(self, rows);
    return tw_model_learner(self->model)->warm_start(learner, batch, rows, &self->weights, error);
}

static tw_status fill_rows(void *context, void *learner, const tw_batch *batch, const tw_rows *rows, tw_error *error)
{
    const handover *self = context;
    const tw_schema *schema = &tw_model_table_spec(self->model)->schema;
    const tw_row_image *image = self->fitted->rows;
    (void)learner;
    (void)error;
    for (uint32_t i = 0; i < schema->n_blocks && self->n_done == 0; i++)
        memcpy(rows->block[i], image->block[i], (size_t)schema->block[i].count * schema->block[i].record.size);
    for (uint32_t i = 0; i < batch->n_entries; i++)
        memcpy(rows->row[i], image->row + (self->first_row + i) * schema->row.size, schema->row.size);
    return TW_STATUS_OK;
}

/* The keys collected so far as one event. */
static tw_status flush_keys(handover *self, tw_model_fill fill, tw_error *error)
{
    const uint32_t row_start[2] = {0, self->n_keys};
    const float label = 0, weight = 1;
    const int64_t time_us = INT64_MIN;
    const tw_batch batch = {
        .n_events = 1,
        .n_entries = self->n_keys,
        .row_start = row_start,
        .key = self->key,
        .value = self->value,
        .field = self->field,
        .label = &label,
        .weight = &weight,
        .time_us = &time_us,
        .split = self->split,
        .from = self->n_done,
        .to = self->n_done + 1,
        .is_taken_over = true,
    };
    tw_status status = tw_model_write(self->model, &batch, 0, fill, self, error);
    self->n_done++;
    self->n_keys = 0;
    self->weights.has_bias = false;
    return status;
}

static tw_status hand_weights(handover *self, tw_error *error)
{
    const tw_fit_solution *solution = self->fitted->solution;
    const tw_matrix *matrix = &self->dataset->matrix;
    bool is_linear = solution->weight != NULL;
    self->weights = (tw_weights){
        .weight = self->weight,
        .curvature = self->curvature,
        .has_bias = is_linear && tw_model_traits(self->model)->has_bias,
        .bias = solution->bias,
        .bias_curvature = self->fitted->bias_curvature,
        .centre = solution->centre,
        .centre_weight = solution->centre_weight,
        .n_centres = self->fitted->n_centres,
        .events = matrix->n_events,
    };
    for (uint32_t c = 0; c < matrix->n_columns && is_linear; c++) {
        float weight = (float)solution->weight[c];
        if (weight == 0.0f)
            continue;
        self->key[self->n_keys] = self->dataset->key[c];
        self->value[self->n_keys] = self->dataset->largest[c];
        self->weight[self->n_keys] = weight;
        self->curvature[self->n_keys++] = (float)self->fitted->curvature[c];
        tw_status status = self->n_keys < self->max_keys ? TW_STATUS_OK : flush_keys(self, fill_weights, error);
        if (status != TW_STATUS_OK)
            return status;
    }
    return self->n_keys > 0 || self->n_done == 0 ? flush_keys(self, fill_weights, error) : TW_STATUS_OK;
}

static tw_status hand_rows(handover *self, tw_error *error)
{
    const tw_row_image *image = self->fitted->rows;
    tw_status status = TW_STATUS_OK;
    do {
        size_t left = image->n_rows - self->first_row;
        self->n_keys = left < self->max_keys ? (uint32_t)left : self->max_keys;
        if (self->n_keys > 0)
            memcpy(self->key, image->key + self->first_row, self->n_keys * sizeof *self->key);
        size_t n = self->n_keys;
        status = flush_keys(self, fill_rows, error);
        self->first_row += n;
    } while (status == TW_STATUS_OK && self->first_row < image->n_rows);
    return status;
}

static tw_status fill_nothing(void *context, void *learner, const tw_batch *batch, const tw_rows *rows, tw_error *error)
{
    (void)context;
    (void)learner;
    (void)batch;
    (void)rows;
    (void)error;
    return TW_STATUS_OK;
}

/* The marks come last: until then the data counts as not applied, and a run that finds them so starts again. */
static tw_status set_marks(tw_model *model, const tw_dataset *dataset, uint64_t n_learned, tw_error *error)
{
    static const uint32_t row_start[1] = {0};
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < dataset->n_splits && status == TW_STATUS_OK; i++) {
        const tw_batch batch = {.row_start = row_start, .split = dataset->split[i].id, .to = dataset->split[i].offset};
        bool is_last = i + 1 == dataset->n_splits;
        status = tw_model_write(model, &batch, is_last ? n_learned : 0, fill_nothing, NULL, error);
    }
    return status;
}

tw_status tw_handover(
    tw_model *model, const tw_dataset *dataset, const tw_fitted *fitted, uint64_t n_learned, tw_error *error)
{
    handover self = {.model = model, .dataset = dataset, .fitted = fitted};
    tw_status status = handover_open(&self, error);
    if (status == TW_STATUS_OK)
        status = fitted->solution != NULL ? hand_weights(&self, error) : hand_rows(&self, error);
    if (status == TW_STATUS_OK)
        status = set_marks(model, dataset, n_learned, error);
    handover_fini(&self);
    return status;
}
