#include "engine/score_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "data/feature.h"
#include "store/wire.h"

enum { SCORE_FORMAT = 1, HEADER_SIZE = 128, CHUNK = 1024, NAME_MAX_SIZE = 1023 };

typedef struct score_file {
    tw_model *model;
    uint64_t version, events;
    tw_plan *plan;
    uint64_t *key;  /* of all rows, then of those whose weight is not +0 */
    double *weight; /* [n_rows] */
    size_t n_rows, key_capacity, n_weights;
    tw_score_form form;
    float *centre; /* [n_centres x width], copied */
    uint32_t width, n_fields;
    uint32_t *order;
    uint32_t n_order, n_crosses;
    bool is_single;   /* every weight is a float */
    double *constant; /* [n_scaled x 3] of the scaler */
    uint32_t n_scaled;
} score_file;

/* --- rows --------------------------------------------------------------------------------------------------------- */

static tw_status take_key(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    score_file *self = context;
    (void)record;
    if (block >= 0)
        return TW_STATUS_OK;
    tw_status status = tw_grow(&self->key, sizeof *self->key, &self->key_capacity, self->n_rows + 1, error);
    if (status == TW_STATUS_OK)
        self->key[self->n_rows++] = key;
    return status;
}

static int compare_keys(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void copy_constants(const score_file *self, const tw_rows *rows)
{
    const tw_transform_ops *scaler = tw_model_spec_of(self->model)->scaler;
    for (uint32_t i = 0; i < self->n_scaled && self->constant != NULL; i++) {
        double *to = self->constant + 3 * (size_t)i;
        scaler->constants(tw_model_scaler_state(self->model), rows->block, i, &to[0], &to[1], &to[2]);
    }
}

/* What the learner says with the rows of key [n <= CHUNK]; centres and constants are copied while they are held. */
static tw_status ask(score_file *self, const uint64_t *key, uint32_t n, double *weight, tw_error *error)
{
    static const float ones[CHUNK] = {0}, event[1] = {0};
    static const uint16_t fields[CHUNK] = {0};
    static const int64_t times[1] = {INT64_MIN};
    const uint32_t row_start[2] = {0, n};
    tw_params *params = tw_model_params(self->model);
    tw_rows rows;
    tw_batch batch = {.n_events = 1,
        .n_entries = n,
        .row_start = row_start,
        .key = key,
        .value = ones,
        .field = fields,
        .label = event,
        .weight = event,
        .time_us = times};
    tw_status status = params->ops->acquire(params, &batch, TW_ACCESS_READ, &rows, error);
    if (status != TW_STATUS_OK)
        return status < 0 ? status : tw_error_set(error, TW_STATUS_BUSY, "a shard is being restored; try again");
    self->form = (tw_score_form){0};
    tw_model_learner(self->model)->score_form(tw_model_learner_state(self->model), &batch, &rows, &self->form, weight);
    for (uint32_t i = 0; i < self->form.n_centres && self->centre != NULL; i++)
        memcpy(self->centre + (size_t)i * self->width, self->form.centre + i * self->form.centre_stride,
            self->width * sizeof(float));
    self->form.centre = NULL;
    copy_constants(self, &rows);
    return params->ops->release(params, &batch, &rows, 0, error);
}

/* Keys that no row has must weigh nothing: the scorer knows of no initial rows. */
static tw_status check_absent(score_file *self, tw_error *error)
{
    const tw_table_spec *spec = tw_model_table_spec(self->model);
    uint64_t step = spec->kind == TW_TABLE_HASHED ? 1ull << (64 - spec->bits) : 1, absent = step;
    double weight = 0;
    for (size_t i = 0; i < self->n_rows && self->key[i] <= absent; i++)
        absent += self->key[i] == absent ? step : 0;
    if (absent == 0)
        return TW_STATUS_OK;
    tw_status status = ask(self, &absent, 1, &weight, error);
    uint64_t bits;
    memcpy(&bits, &weight, sizeof bits);
    if (status == TW_STATUS_OK && bits != 0)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED,
            "learner %s: a key that was never learned weighs %g, not 0: the score form cannot say that; use --form "
            "json",
            tw_model_learner(self->model)->name, weight);
    return status;
}

static tw_status take_weights(score_file *self, tw_error *error)
{
    tw_status status = tw_model_scan(self->model, take_key, self, error);
    if (status < 0)
        return status;
    if (self->n_rows > 1)
        qsort(self->key, self->n_rows, sizeof *self->key, compare_keys);
    self->weight = tw_alloc((self->n_rows + 1) * sizeof *self->weight);
    if (self->weight == NULL)
        return tw_no_memory(error, (self->n_rows + 1) * sizeof *self->weight);
    status = check_absent(self, error);
    self->is_single = true;
    for (size_t start = 0; start < self->n_rows && status == TW_STATUS_OK; start += CHUNK) {
        size_t n = self->n_rows - start < CHUNK ? self->n_rows - start : CHUNK;
        status = ask(self, self->key + start, (uint32_t)n, self->weight + start, error);
    }
    for (size_t i = 0; i < self->n_rows && status == TW_STATUS_OK; i++) {
        uint64_t bits;
        double weight = self->weight[i];
        memcpy(&bits, &weight, sizeof bits);
        if (bits == 0)
            continue;
        self->is_single = self->is_single && (double)(float)weight == weight;
        self->key[self->n_weights] = self->key[i];
        self->weight[self->n_weights++] = weight;
    }
    return status;
}

static tw_status take_constants(score_file *self, tw_error *error)
{
    const tw_transform_ops *scaler = tw_model_spec_of(self->model)->scaler;
    if (tw_model_scaler_state(self->model) == NULL)
        return TW_STATUS_OK;
    (void)tw_plan_scaled(self->plan, &self->n_scaled);
    if (scaler->constants == NULL)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED,
            "transform %s: has no constants that the score form could hold; use --form json", scaler->name);
    self->constant = tw_alloc_zero(((size_t)self->n_scaled + 1) * 3 * sizeof *self->constant);
    return self->constant != NULL ? TW_STATUS_OK
                                  : tw_no_memory(error, (size_t)self->n_scaled * 3 * sizeof *self->constant);
}

/* The second time with room for what the first time said. */
static tw_status take_centres(score_file *self, tw_error *error)
{
    tw_status status = ask(self, NULL, 0, NULL, error);
    if (status < 0 || self->form.rule != TW_SCORE_NEAREST)
        return status;
    size_t size = (size_t)self->form.n_centres * self->width * sizeof *self->centre;
    self->centre = tw_alloc_zero(size + 1);
    if (self->centre == NULL)
        return tw_no_memory(error, size);
    return ask(self, NULL, 0, NULL, error);
}

/* --- plan --------------------------------------------------------------------------------------------------------- */

static int compare_names(const tw_plan_field *a, const tw_plan_field *b)
{
    int order = memcmp(a->name, b->name, a->size < b->size ? a->size : b->size);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

/* Insertion into the named fields, ascending. */
static void order_field(score_file *self, uint32_t field)
{
    tw_plan_field added = tw_plan_field_at(self->plan, (uint16_t)field);
    uint32_t at = self->n_order++;
    for (; at > 0; at--) {
        tw_plan_field before = tw_plan_field_at(self->plan, (uint16_t)self->order[at - 1]);
        if (compare_names(&before, &added) < 0)
            break;
        self->order[at] = self->order[at - 1];
    }
    self->order[at] = field;
}

static tw_status check_missing_texts(const score_file *self, tw_error *error)
{
    const tw_plan_spec *spec = &tw_model_spec_of(self->model)->plan;
    for (uint32_t i = 0; i < spec->n_missing_text; i++) {
        if (strlen(spec->missing_text[i]) > NAME_MAX_SIZE)
            return tw_error_set(error, TW_STATUS_UNSUPPORTED,
                "missing value %.40s...: a text of %zu bytes; the score form takes %u", spec->missing_text[i],
                strlen(spec->missing_text[i]), (unsigned)NAME_MAX_SIZE);
    }
    return TW_STATUS_OK;
}

static tw_status take_plan(score_file *self, tw_error *error)
{
    tw_status status = tw_model_plan_create(self->model, &self->plan, error);
    if (status < 0)
        return status;
    self->n_fields = tw_plan_n_fields(self->plan);
    self->order = tw_alloc_zero((self->n_fields + 1) * sizeof *self->order);
    if (self->order == NULL)
        return tw_no_memory(error, (self->n_fields + 1) * sizeof *self->order);
    for (uint32_t i = 0; i < self->n_fields; i++) {
        tw_plan_field field = tw_plan_field_at(self->plan, (uint16_t)i);
        self->n_crosses += field.role == TW_PLAN_CROSS;
        if (field.size > NAME_MAX_SIZE)
            return tw_error_set(error, TW_STATUS_UNSUPPORTED,
                "field %.40s...: a name of %u bytes; the score form takes %u", field.name, field.size,
                (unsigned)NAME_MAX_SIZE);
        if (field.role != TW_PLAN_CROSS && field.role != TW_PLAN_SPACE && field.role != TW_PLAN_CONSTANT)
            order_field(self, i);
    }
    return TW_STATUS_OK;
}

/* --- bytes -------------------------------------------------------------------------------------------------------- */

static void put_real(tw_wire_out *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    tw_wire_put(out, bits, 8);
}

static void put_single(tw_wire_out *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    tw_wire_put(out, bits, 4);
}

static void pad(tw_wire_out *out)
{
    while (out->size % 8 != 0)
        tw_wire_put(out, 0, 1);
}

static void put_field(const tw_plan_field *field, uint32_t width, uint32_t offset, tw_wire_out *out)
{
    bool is_dense = field->dense >= 0 && (uint32_t)field->dense < width;
    tw_wire_put(out, offset, 4);
    tw_wire_put(out, field->size, 4);
    tw_wire_put(out, field->role == TW_PLAN_CROSS ? TW_PLAN_UNUSED : field->role, 1);
    tw_wire_put(
        out, (uint64_t)field->is_log1p | (uint64_t)field->is_scaled << 1 | (uint64_t)field->has_missing << 2, 1);
    tw_wire_put(out, (unsigned char)field->separator, 2);
    tw_wire_put(out, is_dense ? (uint32_t)field->dense : UINT32_MAX, 4);
    put_real(out, field->missing);
    tw_wire_put(out, field->key, 8);
    tw_wire_put(out, field->seed, 8);
}

/* Fields and crosses; the names stand in the text one behind the other. Returns its size. */
static uint32_t put_plan(const score_file *self, tw_wire_out *out)
{
    static const double nothing[3] = {0};
    uint32_t offset = 0, n_scaled = 0;
    for (uint32_t i = 0; i < self->n_fields; i++) {
        tw_plan_field field = tw_plan_field_at(self->plan, (uint16_t)i);
        bool is_scaled = field.is_scaled && n_scaled < self->n_scaled;
        const double *constant = is_scaled ? self->constant + 3 * (size_t)n_scaled : nothing;
        put_field(&field, self->width, offset, out);
        for (int j = 0; j < 3; j++)
            put_real(out, constant[j]);
        n_scaled += is_scaled;
        offset += field.size + 1;
    }
    for (uint32_t i = 0; i < self->n_fields; i++) {
        tw_plan_field field = tw_plan_field_at(self->plan, (uint16_t)i);
        if (field.role != TW_PLAN_CROSS)
            continue;
        tw_wire_put(out, field.n_crossed, 4);
        for (int j = 0; j < TW_CROSS_MAX_FIELDS; j++)
            tw_wire_put(out, field.crossed[j], 4);
        tw_wire_put(out, 0, 4);
    }
    return offset;
}

/* Missing texts, order and text. Returns the size of the text. */
static uint32_t put_texts(const score_file *self, uint32_t names_size, tw_wire_out *out)
{
    const tw_plan_spec *spec = &tw_model_spec_of(self->model)->plan;
    uint32_t offset = names_size;
    for (uint32_t i = 0; i < spec->n_missing_text; i++) {
        tw_wire_put(out, offset, 4);
        tw_wire_put(out, strlen(spec->missing_text[i]), 4);
        offset += (uint32_t)strlen(spec->missing_text[i]) + 1;
    }
    for (uint32_t i = 0; i < self->n_order; i++)
        tw_wire_put(out, self->order[i], 4);
    pad(out);
    for (uint32_t i = 0; i < self->n_fields; i++) {
        tw_plan_field field = tw_plan_field_at(self->plan, (uint16_t)i);
        tw_wire_put_bytes(out, field.name, field.size + 1);
    }
    for (uint32_t i = 0; i < spec->n_missing_text; i++)
        tw_wire_put_bytes(out, spec->missing_text[i], strlen(spec->missing_text[i]) + 1);
    pad(out);
    return offset;
}

static void put_numbers(const score_file *self, tw_wire_out *out)
{
    for (size_t i = 0; i < self->n_weights; i++)
        tw_wire_put(out, self->key[i], 8);
    for (size_t i = 0; i < self->n_weights; i++) {
        if (self->is_single)
            put_single(out, (float)self->weight[i]);
        else
            put_real(out, self->weight[i]);
    }
    pad(out);
    for (size_t i = 0; i < (size_t)self->form.n_centres * self->width; i++)
        put_single(out, self->centre[i]);
    pad(out);
}

static uint32_t weight_size(const score_file *self)
{
    return self->form.rule == TW_SCORE_NEAREST ? 0 : self->is_single ? 4 : 8;
}

static void put_header(const score_file *self, uint64_t file_size, uint32_t text_size, tw_wire_out *out)
{
    const tw_table_spec *spec = tw_model_table_spec(self->model);
    tw_wire_put_bytes(out, "THALWSCO", 8);
    tw_wire_put(out, SCORE_FORMAT, 4);
    tw_wire_put(out, 0, 4);
    tw_wire_put(out, file_size, 8);
    tw_wire_put(out, 0, 8); /* the checksum comes last */
    tw_wire_put(out, spec->hash_seed, 8);
    tw_wire_put(out, self->version, 8);
    tw_wire_put(out, self->events, 8);
    put_real(out, self->form.bias);
    put_real(out, self->form.limit);
    tw_wire_put(out, self->form.rule, 4);
    tw_wire_put(out, tw_model_traits(self->model)->link, 4);
    tw_wire_put(out, spec->kind == TW_TABLE_HASHED ? spec->bits : 0, 4);
    tw_wire_put(out, weight_size(self), 4);
    tw_wire_put(out, self->n_weights, 8);
    tw_wire_put(out, self->n_fields, 4);
    tw_wire_put(out, self->n_crosses, 4);
    tw_wire_put(out, tw_model_spec_of(self->model)->plan.n_missing_text, 4);
    tw_wire_put(out, self->n_order, 4);
    tw_wire_put(out, text_size, 4);
    tw_wire_put(out, self->width, 4);
    tw_wire_put(out, self->form.n_centres, 4);
    tw_wire_put(out, (uint64_t)tw_plan_is_automatic(self->plan) | (uint64_t)(self->width > 0) << 1, 4);
}

/* Returns the size of the text. With out->bytes NULL only sizes are counted. */
static uint32_t put_all(const score_file *self, uint64_t file_size, uint32_t text_size, tw_wire_out *out)
{
    put_header(self, file_size, text_size, out);
    text_size = put_texts(self, put_plan(self, out), out);
    put_numbers(self, out);
    return text_size;
}

static tw_status write_all(const score_file *self, tw_text *out, tw_error *error)
{
    tw_wire_out count = {0};
    uint32_t text_size = put_all(self, 0, 0, &count);
    unsigned char *bytes = tw_alloc(count.size + 1);
    if (bytes == NULL)
        return tw_no_memory(error, count.size + 1);
    tw_wire_out wire = {.bytes = bytes};
    (void)put_all(self, count.size, text_size, &wire);
    wire = (tw_wire_out){.bytes = bytes, .size = 24};
    tw_wire_put(&wire, tw_hash(bytes + 32, count.size - 32), 8);
    bytes[count.size] = '\0';
    *out = (tw_text){.bytes = (char *)bytes, .size = count.size, .capacity = count.size + 1};
    return TW_STATUS_OK;
}

static tw_status refuse(const tw_learner_ops *learner, tw_error *error)
{
    return tw_error_set(error, TW_STATUS_UNSUPPORTED,
        "learner %s: its scores are no sum of weights and no nearest centre: it has no score form; use --form json",
        learner->name);
}

static tw_status take_all(score_file *self, tw_error *error)
{
    const tw_learner_ops *learner = tw_model_learner(self->model);
    if (learner->score_form == NULL)
        return refuse(learner, error);
    tw_status status = take_plan(self, error);
    if (status == TW_STATUS_OK)
        status = check_missing_texts(self, error);
    if (status == TW_STATUS_OK)
        status = take_constants(self, error);
    if (status == TW_STATUS_OK)
        status = take_centres(self, error);
    if (status == TW_STATUS_OK && self->form.rule == 0)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED,
            "learner %s: its scores with these options are no sum of weights and no nearest centre of dense rows; use "
            "--form json",
            learner->name);
    return status == TW_STATUS_OK && self->form.rule != TW_SCORE_NEAREST ? take_weights(self, error) : status;
}

tw_status tw_score_file_make(
    tw_model *model, uint64_t version, tw_text *out, tw_score_file_counts *counts, tw_error *error)
{
    tw_model_stamp stamp;
    tw_model_stamp_now(model, &stamp);
    score_file self = {
        .model = model,
        .version = version,
        .events = stamp.events,
        .width = tw_model_traits(model)->dense_width,
    };
    tw_status status = take_all(&self, error);
    if (status == TW_STATUS_OK)
        status = write_all(&self, out, error);
    *counts = (tw_score_file_counts){.rows = self.n_rows,
        .weights = self.n_weights,
        .bytes = out->size,
        .centres = self.form.n_centres,
        .weight_size = weight_size(&self)};
    tw_plan_destroy(&self.plan);
    tw_free(self.constant);
    tw_free(self.order);
    tw_free(self.centre);
    tw_free(self.weight);
    tw_free(self.key);
    return status;
}
