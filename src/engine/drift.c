#include "engine/drift.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "math/adwin.h"
#include "math/loss.h"
#include "math/page_hinkley.h"

/* Weight of an event in the mean of the newest ones that is told with a drift. */
static const double recent_rate = 0.02;

typedef struct drift_state {
    tw_adwin adwin;
    tw_page_hinkley page_hinkley;
    uint64_t n_watched;
    double recent;      /* exponentially weighted mean of the watched values */
    uint64_t is_wanted; /* 1: the forgetting of a drift is still to be done */
    tw_drift_counts counts;
} drift_state;

struct tw_drift {
    tw_drift_options options;
    const tw_learner_ops *ops;
    void *learner;
    const tw_learner_traits *traits;
    drift_state state, before; /* before: the batch at hand */
    uint64_t number;           /* of the last learned event */
    uint32_t *row_start;       /* of the part at hand */
    size_t row_start_capacity;
};

/* --- can it be done --------------------------------------------------------------------------------------------- */

/* Asks the learner by moving the clock of made-up blocks by nothing. */
static tw_status check_forgetting(const tw_drift *self, tw_error *error)
{
    const tw_schema *schema = &self->traits->schema;
    void *block[TW_SCHEMA_MAX_BLOCKS] = {NULL};
    size_t size = 0;
    for (uint32_t i = 0; i < schema->n_blocks; i++)
        size += (size_t)schema->block[i].count * schema->block[i].record.size;
    char *bytes = tw_alloc_zero(size + 1);
    if (bytes == NULL)
        return tw_no_memory(error, size + 1);
    size_t at = 0;
    for (uint32_t i = 0; i < schema->n_blocks; i++) {
        block[i] = bytes + at;
        at += (size_t)schema->block[i].count * schema->block[i].record.size;
    }
    tw_rows rows = {.block = block};
    bool can_forget = self->ops->hasten != NULL && self->ops->hasten(self->learner, &rows, 0.0);
    tw_free(bytes);
    if (can_forget)
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_CONFIG,
        self->ops->hasten == NULL
            ? "evaluate.drift.action: forget: learner %s has no half-life to hasten; use action: report"
            : "evaluate.drift.action: forget: learner %s forgets nothing as it is set; give model.params.half_life, or "
              "use action: report",
        self->ops->name);
}

static tw_status check_signal(const tw_drift *self, tw_error *error)
{
    tw_task task = self->traits->task;
    if (task != TW_TASK_CLUSTERING && self->traits->loss.kind == TW_LOSS_NONE)
        return tw_error_set(
            error, TW_STATUS_CONFIG, "evaluate.drift: learner %s has no loss that could rise", self->ops->name);
    if (self->options.signal == TW_DRIFT_ERROR && task != TW_TASK_BINARY)
        return tw_error_set(error, TW_STATUS_CONFIG,
            "evaluate.drift.of: error is for labels 0 and 1, and learner %s has others here; use loss",
            self->ops->name);
    return self->options.is_forgetting ? check_forgetting(self, error) : TW_STATUS_OK;
}

static void start_over(tw_drift *self)
{
    tw_adwin_init(&self->state.adwin, self->options.delta);
    self->state.page_hinkley = (tw_page_hinkley){
        .delta = self->options.delta,
        .threshold = self->options.threshold,
        .alpha = self->options.alpha,
        .min_events = self->options.min_events,
    };
}

tw_status tw_drift_create(const tw_drift_options *options,
    const tw_learner_ops *ops,
    void *learner,
    const tw_learner_traits *traits,
    tw_drift **out,
    tw_error *error)
{
    *out = NULL;
    tw_drift *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->options = *options;
    self->ops = ops;
    self->learner = learner;
    self->traits = traits;
    start_over(self);
    tw_status status = check_signal(self, error);
    if (status < 0)
        tw_drift_destroy(&self);
    *out = self;
    return status;
}

void tw_drift_destroy(tw_drift **self)
{
    if (*self == NULL)
        return;
    tw_free((*self)->row_start);
    tw_free(*self);
    *self = NULL;
}

/* --- watching --------------------------------------------------------------------------------------------------- */

static bool is_watched(const tw_drift *self, const tw_batch *batch, uint32_t event)
{
    return batch->weight[event] > 0 && (self->traits->task == TW_TASK_CLUSTERING || !isnan(batch->label[event]));
}

static double value_of(const tw_drift *self, const tw_batch *batch, uint32_t event, float score)
{
    if (self->traits->task == TW_TASK_CLUSTERING)
        return (double)score;
    if (self->options.signal == TW_DRIFT_ERROR)
        return (score > 0) != (batch->label[event] > 0.5f);
    return tw_loss_value(self->traits->loss, (double)score, (double)batch->label[event]);
}

/* True: the mean has risen. */
static bool has_risen(drift_state *state, tw_drift_detector detector, double value, double *before, double *after)
{
    if (detector == TW_DRIFT_PAGE_HINKLEY) {
        *before = state->page_hinkley.mean;
        *after = state->recent;
        return tw_page_hinkley_add(&state->page_hinkley, value);
    }
    *before = tw_adwin_mean(&state->adwin);
    bool has_changed = tw_adwin_add(&state->adwin, value);
    *after = tw_adwin_mean(&state->adwin);
    return has_changed && *after > *before;
}

static void watch(tw_drift *self, double value, uint64_t number)
{
    drift_state *state = &self->state;
    double before, after;
    if (!isfinite(value))
        return;
    state->recent += (state->n_watched == 0 ? 1.0 : recent_rate) * (value - state->recent);
    state->n_watched++;
    if (!has_risen(state, self->options.detector, value, &before, &after))
        return;
    state->counts = (tw_drift_counts){state->counts.drifts + 1, number, before, after};
    state->is_wanted = self->options.is_forgetting;
    start_over(self);
}

/* --- learning in parts ------------------------------------------------------------------------------------------ */

/* The event behind the part that starts at `start`: where the count of watched events is a multiple of the step. */
static uint32_t part_end(const tw_drift *self, const tw_batch *batch, uint32_t start)
{
    uint64_t left = TW_DRIFT_STEP - self->state.n_watched % TW_DRIFT_STEP;
    uint32_t end = start;
    while (end < batch->n_events && left > 0)
        left -= is_watched(self, batch, end++);
    return end;
}

/* Events [start, end) as a batch of their own; `rows` likewise. */
static tw_batch part_of(const tw_drift *self, const tw_batch *batch, uint32_t start, uint32_t end, tw_rows *rows)
{
    uint32_t base = batch->row_start[start];
    for (uint32_t i = start; i <= end; i++)
        self->row_start[i - start] = batch->row_start[i] - base;
    tw_batch part = *batch;
    part.n_events = end - start;
    part.n_entries = batch->row_start[end] - base;
    part.row_start = self->row_start;
    part.key += base;
    part.value += base;
    part.field += base;
    part.label += start;
    part.weight += start;
    part.time_us += start;
    if (batch->dense != NULL)
        part.dense = batch->dense + (size_t)start * batch->dense_width;
    if (rows->row != NULL)
        rows->row += base;
    return part;
}

static tw_status learn_part(tw_drift *self, const tw_batch *part, const tw_rows *rows, float *scores, tw_error *error)
{
    tw_status status = self->ops->learn(self->learner, part, rows, scores, error);
    for (uint32_t i = 0; i < part->n_events && status == TW_STATUS_OK; i++) {
        if (!is_watched(self, part, i))
            continue;
        self->number++;
        watch(self, value_of(self, part, i, scores[(size_t)i * self->traits->n_outputs]), self->number);
    }
    return status;
}

static tw_status learn_in_parts(
    tw_drift *self, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error)
{
    tw_status status = tw_grow(
        &self->row_start, sizeof *self->row_start, &self->row_start_capacity, (size_t)batch->n_events + 1, error);
    for (uint32_t start = 0; start < batch->n_events && status == TW_STATUS_OK;) {
        tw_rows part_rows = *rows;
        uint32_t end = part_end(self, batch, start);
        tw_batch part = part_of(self, batch, start, end, &part_rows);
        status = learn_part(self, &part, &part_rows, scores + (size_t)start * self->traits->n_outputs, error);
        if (status == TW_STATUS_OK && self->state.is_wanted && self->state.n_watched % TW_DRIFT_STEP == 0) {
            (void)self->ops->hasten(self->learner, rows, self->options.half_lives);
            self->state.is_wanted = 0;
        }
        start = end;
    }
    return status;
}

void tw_drift_begin(tw_drift *self, uint64_t first_event)
{
    self->before = self->state;
    self->number = first_event;
}

tw_status tw_drift_learn(tw_drift *self, const tw_batch *batch, const tw_rows *rows, float *scores, tw_error *error)
{
    return self->options.is_forgetting ? learn_in_parts(self, batch, rows, scores, error)
                                       : learn_part(self, batch, rows, scores, error);
}

void tw_drift_undo(tw_drift *self)
{
    self->state = self->before;
}

void tw_drift_counts_now(const tw_drift *self, tw_drift_counts *out)
{
    *out = self->state.counts;
}

/* --- saving ----------------------------------------------------------------------------------------------------- */

/* Layout: magic, the figures of the options as f64, state. */
enum { N_FIGURES = 6 };
static const uint64_t drift_magic = 0x3154464952445754u; /* "TWDRIFT1" */

static void figures_of(const tw_drift_options *options, double figure[N_FIGURES])
{
    figure[0] = (double)options->detector;
    figure[1] = (double)options->signal;
    figure[2] = options->delta;
    figure[3] = options->threshold;
    figure[4] = options->alpha;
    figure[5] = (double)options->min_events;
}

tw_status tw_drift_save(const tw_drift *self, void **bytes, size_t *size, tw_error *error)
{
    double figure[N_FIGURES];
    *size = sizeof drift_magic + sizeof figure + sizeof self->state;
    char *at = tw_alloc(*size);
    *bytes = at;
    if (at == NULL)
        return tw_no_memory(error, *size);
    figures_of(&self->options, figure);
    memcpy(at, &drift_magic, sizeof drift_magic);
    memcpy(at + sizeof drift_magic, figure, sizeof figure);
    memcpy(at + sizeof drift_magic + sizeof figure, &self->state, sizeof self->state);
    return TW_STATUS_OK;
}

static bool is_same_watch(const double *a, const double *b)
{
    for (size_t i = 0; i < N_FIGURES; i++) {
        if (a[i] != b[i])
            return false;
    }
    return true;
}

tw_status tw_drift_load(tw_drift *self, const void *bytes, size_t size, tw_error *error)
{
    double own[N_FIGURES], saved[N_FIGURES];
    uint64_t magic = 0;
    const char *at = bytes;
    if (size == sizeof magic + sizeof saved + sizeof self->before)
        memcpy(&magic, at, sizeof magic);
    if (magic != drift_magic)
        return tw_error_set(error, TW_STATUS_CORRUPT, "saved drift monitor: %zu bytes of another version", size);
    memcpy(saved, at + sizeof magic, sizeof saved);
    memcpy(&self->before, at + sizeof magic + sizeof saved, sizeof self->before);
    const drift_state *state = &self->before;
    if (!tw_adwin_is_valid(&state->adwin) || !tw_page_hinkley_is_valid(&state->page_hinkley) ||
        !isfinite(state->recent) || state->is_wanted > 1)
        return tw_error_set(error, TW_STATUS_CORRUPT, "saved drift monitor: its figures do not fit together");
    figures_of(&self->options, own);
    if (is_same_watch(own, saved)) {
        self->state = *state;
        self->state.is_wanted = state->is_wanted && self->options.is_forgetting;
    } else {
        self->state.counts = state->counts;
    }
    return TW_STATUS_OK;
}
