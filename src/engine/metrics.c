#include "engine/metrics.h"

#include <math.h>

#include "base/alloc.h"
#include "engine/kept.h"
#include "engine/sums.h"
#include "math/function.h"

struct tw_metrics {
    const tw_kernels *kernels;
    tw_learner_traits traits;
    tw_metrics_options options;
    tw_sums finished, open; /* of finished windows, and since then; without windows all is in `open` */
    tw_slices *slices;      /* NULL: none */
    bool has_kept;
    tw_kept kept;
    uint64_t window_number;  /* of finished ones */
    int64_t window_start_us; /* time windows: of the open one; INT64_MIN: not known yet */
    tw_window window;        /* the last finished one; number 0: none */
};

static bool has_windows(const tw_metrics *self)
{
    return self->options.window.events > 0 || self->options.window.us > 0;
}

static tw_sums_options sums_of(const tw_metrics *self)
{
    double t = self->options.threshold > 0 ? self->options.threshold : 0.5;
    return (tw_sums_options){
        .task = self->traits.task,
        .has_probability = self->traits.task == TW_TASK_BINARY && self->traits.link == TW_LINK_LOGISTIC,
        .margin = t == 0.5 ? 0.0f : (float)(tw_log(t) - tw_log(1 - t)),
        .n_bins = TW_AUC_BINS,
        .has_calibration = true,
    };
}

static tw_status make_slices(tw_metrics *self, tw_error *error)
{
    const tw_metrics_options *options = &self->options;
    tw_slices_options slices = {
        .name = options->slice,
        .n_fields = options->n_slices,
        .limit = options->slice_limit,
        .spellings = options->spellings,
        .sums = sums_of(self),
    };
    tw_status status = tw_slices_create(&slices, &self->slices, error);
    self->options.slice = NULL;
    return status;
}

tw_status tw_metrics_create(
    const tw_learner_traits *traits, const tw_metrics_options *options, tw_metrics **out, tw_error *error)
{
    *out = NULL;
    tw_metrics *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->kernels = tw_kernels_best();
    self->traits = *traits;
    self->options = *options;
    if (options->figures == 0)
        self->options.figures = TW_FIGURES_ALL;
    bool is_binary = traits->task == TW_TASK_BINARY;
    self->options.is_exact = options->is_exact && is_binary;
    self->options.has_groups = options->has_groups && is_binary;
    self->has_kept = self->options.is_exact || self->options.has_groups;
    self->kept.limit = self->options.is_exact ? 0 : options->group_events;
    self->window_start_us = INT64_MIN;
    tw_sums_options sums = sums_of(self);
    tw_status status = tw_sums_init(&self->open, &sums, error);
    if (status == TW_STATUS_OK && has_windows(self))
        status = tw_sums_init(&self->finished, &sums, error);
    if (status == TW_STATUS_OK && options->n_slices > 0)
        status = make_slices(self, error);
    if (status < 0) {
        tw_metrics_destroy(&self);
        return status;
    }
    *out = self;
    return TW_STATUS_OK;
}

void tw_metrics_destroy(tw_metrics **self)
{
    if (*self == NULL)
        return;
    tw_sums_fini(&(*self)->finished);
    tw_sums_fini(&(*self)->open);
    tw_kept_fini(&(*self)->kept);
    tw_slices_destroy(&(*self)->slices);
    tw_free(*self);
    *self = NULL;
}

static const tw_sums *finished_of(const tw_metrics *self)
{
    return has_windows(self) ? &self->finished : NULL;
}

/* --- windows ------------------------------------------------------------------------------------------------------ */

static tw_status finish_window(tw_metrics *self, tw_error *error)
{
    const uint64_t before = self->finished.value.events;
    tw_window *window = &self->window;
    *window = (tw_window){
        .number = ++self->window_number,
        .from_event = before + 1,
        .to_event = before + self->open.value.events,
        .from_us = self->window_start_us,
        .to_us = self->window_start_us == INT64_MIN ? INT64_MIN : self->window_start_us + self->options.window.us,
    };
    tw_sums_figures(&self->open, NULL, &window->figures);
    tw_figures_keep(&window->figures, self->options.figures);
    tw_sums_merge(&self->finished, &self->open);
    tw_sums_reset(&self->open);
    if (self->options.on_window == NULL)
        return TW_STATUS_OK;
    return self->options.on_window(self->options.window_context, window, error);
}

/* The largest multiple of the window's length that is not after the time. */
static int64_t start_of_window(const tw_metrics *self, int64_t time_us)
{
    int64_t length = self->options.window.us, rest = time_us % length;
    if (rest < 0)
        rest += length;
    return time_us < INT64_MIN + length ? INT64_MIN + 1 : time_us - rest;
}

static bool is_later(const tw_metrics *self, int64_t time_us)
{
    if (time_us == INT64_MIN)
        return false;
    return self->window_start_us == INT64_MIN || time_us - self->options.window.us >= self->window_start_us;
}

/* How many of the events from `first` on belong to the open window; opens a later one if the first does. */
static tw_status take_window(tw_metrics *self, const tw_batch *batch, uint32_t first, uint32_t *n, tw_error *error)
{
    const tw_window_policy *policy = &self->options.window;
    tw_status status = TW_STATUS_OK;
    if (policy->events > 0 && policy->events - self->open.value.events < *n)
        *n = (uint32_t)(policy->events - self->open.value.events);
    if (policy->us == 0 || batch->time_us == NULL)
        return status;
    if (is_later(self, batch->time_us[first])) {
        if (self->window_start_us != INT64_MIN && self->open.value.events > 0)
            status = finish_window(self, error);
        self->window_start_us = start_of_window(self, batch->time_us[first]);
    }
    for (uint32_t i = 1; i < *n; i++) {
        if (is_later(self, batch->time_us[first + i]))
            *n = i;
    }
    return status;
}

/* --- adding ------------------------------------------------------------------------------------------------------- */

tw_status tw_metrics_add(tw_metrics *self, const tw_batch *batch, const float *scores, tw_error *error)
{
    tw_judged judged;
    tw_status status = TW_STATUS_OK;
    uint32_t n = 0;
    for (uint32_t first = 0; first < batch->n_events && status == TW_STATUS_OK; first += n) {
        n = batch->n_events - first < TW_JUDGED_MAX ? batch->n_events - first : TW_JUDGED_MAX;
        status = take_window(self, batch, first, &n, error);
        if (status < 0)
            return status;
        tw_judge(self->kernels, &self->traits, batch, scores, first, n, &judged);
        if (self->has_kept)
            status = tw_kept_add(
                &self->kept, &judged, self->options.has_groups ? self->options.group_facet : UINT32_MAX, error);
        if (status == TW_STATUS_OK && self->slices != NULL)
            status = tw_slices_add(self->slices, &judged, error);
        if (status == TW_STATUS_OK && self->options.on_judged != NULL)
            status = self->options.on_judged(self->options.judged_context, &judged, error);
        tw_sums_add(&self->open, &judged, 0, n);
        if (status == TW_STATUS_OK && self->open.value.events == self->options.window.events)
            status = finish_window(self, error);
    }
    return status;
}

/* --- figures ------------------------------------------------------------------------------------------------------ */

static void report_kept(tw_metrics *self, tw_figures *out)
{
    if (self->options.has_groups && self->kept.count > 0)
        out->gauc = tw_kept_gauc(&self->kept, &out->gauc_events);
    /* Scores of a run that did not keep them are missing: then the bins know more. */
    if (self->options.is_exact && self->kept.count == out->labelled) {
        out->auc = tw_kept_auc(&self->kept);
        out->auc_error = isnan(out->auc) ? (double)NAN : 0;
    }
}

void tw_metrics_report(tw_metrics *self, bool is_last_reset, tw_report *out)
{
    double last = tw_sums_last(&self->open, finished_of(self));
    tw_sums_figures(&self->open, finished_of(self), &out->figures);
    if (self->has_kept)
        report_kept(self, &out->figures);
    tw_figures_keep(&out->figures, self->options.figures);
    out->task = self->traits.task;
    out->has_windows = has_windows(self);
    out->window = self->window;
    if (self->window.number == 0)
        tw_figures_clear(&out->window.figures);
    out->logloss_last = self->open.options.has_probability ? last : (double)NAN;
    out->inertia_last = self->traits.task == TW_TASK_CLUSTERING ? last : (double)NAN;
    if (is_last_reset) {
        tw_sums_reset_last(&self->open);
        tw_sums_reset_last(&self->finished);
    }
}

void tw_metrics_merge(tw_metrics *self, const tw_metrics *other)
{
    tw_sums_merge(&self->open, &other->open);
}

uint32_t tw_metrics_calibration(const tw_metrics *self, tw_calibration_row *out)
{
    if ((self->options.figures & TW_FIGURES_CALIBRATION_TABLE) == 0)
        return 0;
    return tw_sums_calibration(&self->open, finished_of(self), out);
}

tw_status tw_metrics_slices(const tw_metrics *self, tw_slice_report *out, tw_error *error)
{
    return tw_slices_report(self->slices, self->options.figures, out, error);
}

/* --- state -------------------------------------------------------------------------------------------------------- */

/* Layout: magic, task, window policy, number and start, has it a last window, that window; the sums of finished windows
 * (where there is a policy) and the open one; kept events; slices. */
static const uint64_t magic = 0x3253434952544d54u, magic_1 = 0x3153434952544d54u; /* "TMTRICS2", "TMTRICS1" */

static tw_status put_head(const tw_metrics *self, tw_text *out, tw_error *error)
{
    uint64_t head[6] = {magic, (uint64_t)self->traits.task, self->options.window.events,
        (uint64_t)self->options.window.us, self->window_number, (uint64_t)self->window_start_us};
    tw_status status = tw_state_put(out, head, sizeof head, error);
    return status == TW_STATUS_OK ? tw_state_put(out, &self->window, sizeof self->window, error) : status;
}

tw_status tw_metrics_save(const tw_metrics *self, void **bytes, size_t *size, tw_error *error)
{
    tw_text out = {0};
    tw_status status = put_head(self, &out, error);
    if (status == TW_STATUS_OK && has_windows(self))
        status = tw_sums_save(&self->finished, &out, error);
    if (status == TW_STATUS_OK)
        status = tw_sums_save(&self->open, &out, error);
    if (status == TW_STATUS_OK)
        status = tw_kept_save(&self->kept, &out, error);
    if (status == TW_STATUS_OK)
        status = tw_slices_save(self->slices, &out, error);
    if (status < 0)
        tw_text_fini(&out);
    *bytes = out.bytes;
    *size = out.size;
    return status;
}

/* Sums of windows of another length, or of none: they count, and windows start anew. */
static void take_other_windows(tw_metrics *self, tw_state_reader *from, bool has_finished, tw_sums *scratch)
{
    tw_sums *all = has_windows(self) ? &self->finished : &self->open;
    tw_sums_load(all, from);
    if (!has_finished)
        return;
    tw_sums_load(scratch, from);
    tw_sums_merge(all, scratch);
}

static tw_status take_sums(tw_metrics *self, const tw_window_policy *policy, tw_state_reader *from, tw_error *error)
{
    bool has_finished = policy->events > 0 || policy->us > 0;
    if (policy->events == self->options.window.events && policy->us == self->options.window.us) {
        if (has_finished)
            tw_sums_load(&self->finished, from);
        tw_sums_load(&self->open, from);
        return TW_STATUS_OK;
    }
    tw_sums scratch;
    tw_sums_options options = sums_of(self);
    tw_status status = tw_sums_init(&scratch, &options, error);
    if (status < 0)
        return status;
    take_other_windows(self, from, has_finished, &scratch);
    tw_sums_fini(&scratch);
    self->open.label_before = has_windows(self) ? self->finished.label_before : self->open.label_before;
    self->window_number = 0;
    self->window_start_us = INT64_MIN;
    memset(&self->window, 0, sizeof self->window);
    return TW_STATUS_OK;
}

tw_status tw_metrics_load(tw_metrics *self, const void *bytes, size_t size, tw_error *error)
{
    tw_state_reader from = {.at = bytes, .left = size};
    uint64_t head[6];
    tw_state_take(&from, head, sizeof head);
    if (head[0] == magic_1)
        return tw_error_set(error, TW_STATUS_CONFLICT,
            "saved metrics: format 1 of an older program, this one reads format 2: go on with that program, or start "
            "over with --fresh");
    if (from.is_bad || head[0] != magic || head[1] != (uint64_t)self->traits.task)
        return tw_error_set(error, TW_STATUS_CORRUPT, "saved metrics: of another task or version");
    self->window_number = head[4];
    self->window_start_us = (int64_t)head[5];
    tw_state_take(&from, &self->window, sizeof self->window);
    tw_window_policy policy = {head[2], (int64_t)head[3]};
    tw_status status = take_sums(self, &policy, &from, error);
    if (status == TW_STATUS_OK)
        status = tw_kept_load(&self->kept, &from, error);
    tw_sums_options sums = sums_of(self);
    if (status == TW_STATUS_OK && !from.is_bad)
        status = tw_slices_load(self->slices, &sums, &from, error);
    if (status == TW_STATUS_OK && (from.is_bad || from.left > 0))
        status =
            tw_error_set(error, TW_STATUS_CORRUPT, "saved metrics: %zu bytes, which is not what they describe", size);
    if (status == TW_STATUS_OK && !self->has_kept)
        tw_kept_fini(&self->kept);
    return status;
}
