#include "engine/passes.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "math/loss.h"
#include "store/table.h"

enum { PASS_BATCH = 512 };

typedef struct pass_run {
    const tw_dataset *dataset;
    const tw_pass_options *options;
    tw_model *model; /* of this run only */
    const tw_learner_traits *traits;
    uint64_t every;  /* each such event is held out; 0: none */
    uint64_t *order; /* [n_train] shuffled: events to learn; NULL: by position */
    uint64_t n_train, n_batches;
    tw_dataset_batch batch;
    uint64_t *event; /* [PASS_BATCH] */
    float *scores;   /* [PASS_BATCH x n_outputs] */
} pass_run;

typedef struct mean_loss {
    double sum, weight;
} mean_loss;

static double mean_of(const mean_loss *self)
{
    return self->weight > 0 ? self->sum / self->weight : (double)NAN;
}

static bool is_held_out(const pass_run *self, uint64_t event)
{
    return self->every > 0 && event % self->every == self->every - 1;
}

static tw_status write_state(void *context, void *learner, const tw_batch *batch, const tw_rows *rows, tw_error *error)
{
    const pass_run *self = context;
    const tw_schema *schema = &tw_model_table_spec(self->model)->schema;
    size_t at = 0;
    (void)learner;
    (void)batch;
    (void)error;
    for (uint32_t i = 0; i < tw_model_n_transform_blocks(self->model); i++) {
        size_t size = (size_t)schema->block[i].count * schema->block[i].record.size;
        memcpy(rows->block[i], self->dataset->state + at, size);
        at += size;
    }
    return TW_STATUS_OK;
}

static tw_status open_model(pass_run *self, const tw_model *like, tw_error *error)
{
    static const uint32_t row_start[1] = {0};
    tw_params *params = NULL;
    tw_status status = tw_model_create(tw_model_spec_of(like), &self->model, error);
    if (status == TW_STATUS_OK)
        status = tw_local_create(tw_model_table_spec(self->model), &params, error);
    if (status < 0)
        return status;
    tw_model_attach(self->model, params);
    self->traits = tw_model_traits(self->model);
    const tw_batch batch = {.row_start = row_start, .split = 1, .to = 1};
    self->n_batches = 1;
    return tw_model_write(self->model, &batch, 0, write_state, self, error);
}

static tw_status pass_open(pass_run *self, const tw_model *like, tw_error *error)
{
    const uint64_t n = self->dataset->matrix.n_events;
    if (self->options->holdout > 0)
        self->every = (uint64_t)fmax(2.0, floor(1.0 / self->options->holdout + 0.5));
    self->n_train = n - (self->every > 0 ? n / self->every : 0);
    tw_status status = open_model(self, like, error);
    if (status < 0)
        return status;
    size_t n_scores = (size_t)PASS_BATCH * self->traits->n_outputs;
    self->event = tw_alloc(PASS_BATCH * sizeof *self->event);
    self->scores = tw_alloc(n_scores * sizeof *self->scores);
    if (self->options->is_shuffled)
        self->order = tw_alloc((self->n_train + 1) * sizeof *self->order);
    if (self->event == NULL || self->scores == NULL || (self->options->is_shuffled && self->order == NULL))
        return tw_no_memory(error, (self->n_train + 1) * sizeof *self->order);
    return TW_STATUS_OK;
}

static void pass_close(pass_run *self)
{
    tw_model_destroy(&self->model);
    tw_dataset_batch_fini(&self->batch);
    tw_free(self->order);
    tw_free(self->event);
    tw_free(self->scores);
}

/* Fisher and Yates, from the order of the input. */
static void shuffle(pass_run *self, uint64_t pass)
{
    uint64_t n = 0, state = tw_mix64(self->options->shuffle_seed + tw_mix64(pass));
    for (uint64_t i = 0; i < self->dataset->matrix.n_events; i++) {
        if (!is_held_out(self, i))
            self->order[n++] = i;
    }
    for (uint64_t i = n; i > 1; i--) {
        state += 0x9e3779b97f4a7c15ull;
        uint64_t other = tw_mix64(state) % i, swapped = self->order[i - 1];
        self->order[i - 1] = self->order[other];
        self->order[other] = swapped;
    }
}

static void add_losses(const pass_run *self, uint32_t n, mean_loss *out)
{
    const tw_batch *batch = &self->batch.view;
    for (uint32_t i = 0; i < n; i++) {
        double score = (double)self->scores[(size_t)i * self->traits->n_outputs], weight = (double)batch->weight[i];
        bool has_label = self->traits->loss.kind != TW_LOSS_NONE;
        double loss = has_label ? tw_loss_value(self->traits->loss, score, (double)batch->label[i]) : score;
        out->sum += weight * loss;
        out->weight += weight;
    }
}

/* Learns or scores the `n` events that are collected. */
static tw_status do_batch(pass_run *self, uint32_t n, bool is_learning, mean_loss *loss, tw_error *error)
{
    if (n == 0)
        return TW_STATUS_OK;
    tw_status status = tw_dataset_gather(self->dataset, self->event, n, &self->batch, error);
    if (status < 0)
        return status;
    tw_batch *view = &self->batch.view;
    view->split = 1;
    view->from = self->n_batches;
    view->to = self->n_batches + 1;
    status = is_learning ? tw_model_learn_rows(self->model, view, self->scores, error)
                         : tw_model_score_rows(self->model, view, self->scores, error);
    self->n_batches += is_learning;
    if (status == TW_STATUS_OK)
        add_losses(self, n, loss);
    return status;
}

static tw_status learn_all(pass_run *self, double *objective, tw_error *error)
{
    mean_loss loss = {0};
    uint32_t n = 0;
    tw_status status = TW_STATUS_OK;
    uint64_t count = self->order != NULL ? self->n_train : self->dataset->matrix.n_events;
    for (uint64_t i = 0; i < count && status == TW_STATUS_OK; i++) {
        uint64_t event = self->order != NULL ? self->order[i] : i;
        if (is_held_out(self, event))
            continue;
        self->event[n++] = event;
        if (n == PASS_BATCH) {
            status = do_batch(self, n, true, &loss, error);
            n = 0;
        }
    }
    if (status == TW_STATUS_OK)
        status = do_batch(self, n, true, &loss, error);
    *objective = mean_of(&loss);
    return status;
}

static tw_status score_held_out(pass_run *self, double *measure, tw_error *error)
{
    mean_loss loss = {0};
    uint32_t n = 0;
    tw_status status = TW_STATUS_OK;
    for (uint64_t i = self->every - 1; self->every > 0 && i < self->dataset->matrix.n_events && status == TW_STATUS_OK;
         i += self->every) {
        self->event[n++] = i;
        if (n == PASS_BATCH) {
            status = do_batch(self, n, false, &loss, error);
            n = 0;
        }
    }
    if (status == TW_STATUS_OK)
        status = do_batch(self, n, false, &loss, error);
    *measure = mean_of(&loss);
    return status;
}

/* One pass; *is_over: it was the last one. */
static tw_status one_pass(pass_run *self, tw_row_image *out, tw_pass_result *result, bool *is_over, tw_error *error)
{
    const tw_pass_options *options = self->options;
    double objective = 0, measure = 0;
    if (self->order != NULL)
        shuffle(self, result->passes);
    tw_status status = learn_all(self, &objective, error);
    if (status == TW_STATUS_OK)
        status = score_held_out(self, &measure, error);
    if (status != TW_STATUS_OK)
        return status;
    uint32_t pass = ++result->passes;
    *is_over = pass >= options->passes;
    /* Without events to compare on, the last pass is the best one. */
    bool is_best = result->best == 0 || !(measure >= result->measure);
    if (is_best) {
        result->best = pass;
        result->objective = objective;
        result->measure = measure;
    } else if (options->early_stop > 0 && pass - result->best >= options->early_stop) {
        result->is_stopped_early = *is_over = true;
    }
    if (options->progress != NULL && options->progress(options->context, pass, objective, measure))
        *is_over = true;
    bool is_kept = is_best && (!isnan(measure) || *is_over);
    return is_kept ? tw_row_image_take(out, self->model, error) : TW_STATUS_OK;
}

tw_status tw_passes_run(const tw_model *model,
    const tw_dataset *dataset,
    const tw_pass_options *options,
    tw_row_image *out,
    tw_pass_result *result,
    tw_error *error)
{
    pass_run self = {.dataset = dataset, .options = options};
    bool is_over = false;
    *result = (tw_pass_result){.measure = (double)NAN};
    tw_status status = pass_open(&self, model, error);
    while (status == TW_STATUS_OK && !is_over)
        status = one_pass(&self, out, result, &is_over, error);
    pass_close(&self);
    return status;
}
