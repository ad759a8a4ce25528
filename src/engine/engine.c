#include "engine/engine.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/engine_state.h"

enum { MIN_RECORDS_FOR_LIMIT = 1000 };

void engine_tell(tw_engine *self, tw_engine_event event, const tw_error *error)
{
    if (self->options.listener == NULL)
        return;
    tw_report report;
    tw_engine_report(self, event == TW_ENGINE_PROGRESS, &report);
    self->options.listener(self->options.listener_context, event, &report, error);
}

static tw_status engine_take_splits(tw_engine *self, const tw_split *split, size_t n, tw_error *error)
{
    tw_status status = tw_splits_copy(&self->splits, split, n, error);
    if (status == TW_STATUS_OK && n > 0)
        status = tw_grow(&self->released, sizeof *self->released, &self->released_capacity, n, error);
    for (size_t i = 0; i < self->released_capacity; i++)
        self->released[i] = i < n ? split[i].offset : 0;
    return status;
}

static tw_status restore_verdict(tw_engine *self, const tw_manifest *manifest, tw_error *error)
{
    const tw_section *window = tw_manifest_find(manifest, "window");
    tw_status status = tw_verdict_read(manifest, &self->verdict, error);
    if (self->verdict.is_published)
        self->verdict.published_version = manifest->id;
    if (status == TW_STATUS_OK && self->recent != NULL && window != NULL)
        status = tw_recent_load(self->recent, window->bytes, window->size, error);
    return status;
}

static tw_status engine_restore(tw_engine *self, const tw_manifest *manifest, tw_error *error)
{
    const tw_section *metrics = tw_manifest_find(manifest, "metrics");
    const tw_section *counters = tw_manifest_find(manifest, "counters");
    bool is_imported = tw_manifest_find(manifest, "imported") != NULL; /* figures begin anew */
    bool has_figures = metrics != NULL && counters != NULL && counters->size == sizeof self->counters;
    if (!has_figures && !is_imported)
        return tw_error_set(error, TW_STATUS_CORRUPT,
            "checkpoint %06llu: sections \"metrics\" or \"counters\" are missing", (unsigned long long)manifest->id);
    if (has_figures)
        memcpy(&self->counters, counters->bytes, sizeof self->counters);
    const tw_section *fit = tw_manifest_find(manifest, "fit");
    if (fit != NULL && fit->size != sizeof self->fit)
        return tw_error_set(error, TW_STATUS_CORRUPT, "checkpoint %06llu: section \"fit\" has %zu bytes, not %zu",
            (unsigned long long)manifest->id, fit->size, sizeof self->fit);
    if (fit != NULL)
        memcpy(&self->fit, fit->bytes, sizeof self->fit);
    self->fit.solver[sizeof self->fit.solver - 1] = '\0';
    self->saved_events = manifest->events;
    tw_status status = engine_take_splits(self, manifest->split, manifest->n_splits, error);
    if (status == TW_STATUS_OK && has_figures)
        status = tw_metrics_load(self->metrics, metrics->bytes, metrics->size, error);
    if (status == TW_STATUS_OK)
        status = restore_verdict(self, manifest, error);
    const tw_section *drift = tw_manifest_find(manifest, "drift");
    tw_drift *monitor = tw_model_drift(self->options.model);
    if (status == TW_STATUS_OK && monitor != NULL && drift != NULL) {
        status = tw_drift_load(monitor, drift->bytes, drift->size, error);
        tw_drift_counts_now(monitor, &self->drift);
    }
    return status;
}

static tw_status note_window(void *context, const tw_window *window, tw_error *error)
{
    tw_engine *self = context;
    bool is_wanted = self->window_log != NULL && !self->fit.is_measured;
    return is_wanted ? tw_window_log_add(self->window_log, window, error) : TW_STATUS_OK;
}

static uint32_t group_facet(const tw_engine *self)
{
    const char *group = self->options.evaluation.group;
    uint32_t at = 0;
    while (at < self->n_facets && strcmp(self->facet[at], group) != 0)
        at++;
    return at;
}

/* The group's field may be one of the slices'. */
static tw_status choose_facets(tw_engine *self, tw_error *error)
{
    const tw_evaluation *evaluation = &self->options.evaluation;
    if (evaluation->n_slices + 1 > TW_PLAN_MAX_FACETS)
        return tw_error_set(error, TW_STATUS_CONFIG, "evaluate.slices: %u fields, at most %u are possible",
            evaluation->n_slices, (unsigned)TW_PLAN_MAX_FACETS - 1);
    for (uint32_t i = 0; i < evaluation->n_slices; i++)
        self->facet[self->n_facets++] = evaluation->slice[i];
    if (evaluation->group != NULL && group_facet(self) == self->n_facets)
        self->facet[self->n_facets++] = evaluation->group;
    if (evaluation->n_slices == 0)
        return TW_STATUS_OK;
    /* Values of malformed records are spelled, too. */
    return tw_spellings_create(evaluation->n_slices, 2 * evaluation->slice_limit, &self->spellings, error);
}

static tw_status make_metrics(tw_engine *self, tw_metrics **out, tw_error *error)
{
    const tw_evaluation *evaluation = &self->options.evaluation;
    tw_metrics_options metrics = {
        .is_exact = evaluation->is_auc_exact,
        .threshold = evaluation->threshold,
        .figures = evaluation->figures,
        .window = evaluation->window,
        .on_window = note_window,
        .window_context = self,
        .has_groups = evaluation->group != NULL,
        .group_facet = evaluation->group != NULL ? group_facet(self) : 0,
        .group_events = evaluation->group_events,
        .slice = evaluation->slice,
        .n_slices = evaluation->n_slices,
        .slice_limit = evaluation->slice_limit,
        .spellings = self->spellings,
        .on_judged = evaluation->on_judged,
        .judged_context = evaluation->judged_context,
    };
    return tw_metrics_create(tw_model_traits(self->options.model), &metrics, out, error);
}

static tw_status open_window_log(tw_engine *self, tw_error *error)
{
    const tw_engine_options *options = &self->options;
    if (options->evaluation.window_path == NULL)
        return TW_STATUS_OK;
    const tw_section *saved = options->resume != NULL ? tw_manifest_find(options->resume, "windows") : NULL;
    return tw_window_log_open(options->evaluation.window_path, saved, &self->window_log, error);
}

static tw_status engine_open(tw_engine *self, tw_error *error)
{
    const tw_engine_options *options = &self->options;
    const tw_learner_traits *traits = tw_model_traits(options->model);
    size_t n_scores = (size_t)options->batch_events * traits->n_outputs;
    self->scores = tw_alloc(n_scores * sizeof *self->scores);
    if (self->scores == NULL)
        return tw_no_memory(error, n_scores * sizeof *self->scores);
    tw_status status = choose_facets(self, error);
    if (status == TW_STATUS_OK)
        status = make_metrics(self, &self->metrics, error);
    const tw_gate_options *gate = &options->checkpoint.gate;
    if (status == TW_STATUS_OK && gate->n_required > 0 && options->is_learning)
        status = tw_recent_create(traits->task, traits->n_outputs, gate->over, &self->recent, error);
    if (status == TW_STATUS_OK && options->resume != NULL)
        status = engine_restore(self, options->resume, error);
    if (status == TW_STATUS_OK && options->resume == NULL) {
        status = engine_take_splits(self, options->known, options->n_known, error);
        self->counters.pass = options->known_pass;
    }
    if (options->is_learning)
        tw_model_set_events(options->model, options->resume != NULL ? options->resume->events : 0);
    const tw_section *positions = options->resume != NULL ? tw_manifest_find(options->resume, "outputs") : NULL;
    if (status == TW_STATUS_OK)
        status = tw_outputs_open(
            options->sink, options->n_sinks, options->bad.dead_letter, traits, positions, &self->outputs, error);
    if (status == TW_STATUS_OK)
        status = open_window_log(self, error);
    uint64_t delay = options->is_learning ? options->evaluation.label_delay : 0;
    if (status == TW_STATUS_OK && delay > 0)
        status = tw_delay_create(delay, options->model, &self->delay, error);
    if (status == TW_STATUS_OK)
        status = tw_checkpointer_create(&options->checkpoint, options->model, &self->checkpointer, error);
    if (status == TW_STATUS_OK)
        tw_checkpointer_set_verdict(self->checkpointer, &self->verdict);
    return status;
}

tw_status tw_engine_create(const tw_engine_options *options, tw_engine **out, tw_error *error)
{
    *out = NULL;
    tw_engine *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->options = *options;
    self->newest_event_us = INT64_MIN;
    self->saved_events = UINT64_MAX;
    (void)pthread_mutex_init(&self->mutex, NULL);
    (void)pthread_cond_init(&self->checkpointed, NULL);
    self->run_start_us = tw_clock_monotonic_us();
    tw_model_set_stop(options->model, options->stop);
    tw_status status = engine_open(self, error);
    if (status < 0)
        tw_engine_destroy(&self);
    *out = self;
    return status;
}

void tw_engine_destroy(tw_engine **self)
{
    tw_engine *engine = *self;
    if (engine == NULL)
        return;
    *self = NULL;
    tw_model_set_stop(engine->options.model, NULL);
    tw_checkpointer_destroy(&engine->checkpointer);
    tw_outputs_close(&engine->outputs);
    tw_delay_destroy(&engine->delay);
    tw_window_log_close(&engine->window_log);
    tw_spellings_destroy(&engine->spellings);
    tw_metrics_destroy(&engine->metrics);
    tw_recent_destroy(&engine->recent);
    tw_splits_fini(&engine->splits);
    (void)pthread_cond_destroy(&engine->checkpointed);
    (void)pthread_mutex_destroy(&engine->mutex);
    tw_free(engine->released);
    tw_free(engine->scores);
    tw_free(engine);
}

static void tell_bad_records(tw_engine *self, const tw_work *work)
{
    for (uint32_t i = 0; i < work->builder->n_bad; i++) {
        const tw_bad_record *bad = &work->builder->bad[i];
        tw_error error;
        (void)tw_error_set(&error, TW_STATUS_DATA, "%s", bad->message);
        tw_error_at(&error, work->split.name, bad->line, bad->column);
        tw_error_code(&error, bad->code);
        engine_tell(self, TW_ENGINE_BAD_RECORD, &error);
    }
}

/* The last of the batch's malformed records as the error that ends the run. */
static tw_status refuse_records(const tw_engine *self, const tw_work *work, tw_error *error)
{
    uint64_t n_bad = self->counters.bad_events, n = self->counters.events + n_bad;
    const tw_bad_policy *policy = &self->options.bad;
    if (work->builder->n_bad == 0)
        return TW_STATUS_OK;
    const tw_bad_record *bad = &work->builder->bad[work->builder->n_bad - 1];
    if (policy->is_stopping)
        bad = &work->builder->bad[0];
    else if (n < MIN_RECORDS_FOR_LIMIT || (double)n_bad <= policy->limit * (double)n)
        return TW_STATUS_OK;
    if (policy->is_stopping)
        (void)tw_error_set(error, TW_STATUS_DATA, "%s; bad_records.action is stop", bad->message);
    else
        (void)tw_error_set(error, TW_STATUS_DATA,
            "%llu of %llu records are malformed, more than the limit of %g %% (bad_records.limit); the last one: %s",
            (unsigned long long)n_bad, (unsigned long long)n, policy->limit * 100, bad->message);
    tw_error_at(error, work->split.name, bad->line, bad->column);
    tw_error_code(error, bad->code);
    return TW_STATUS_DATA;
}

static void note_times(tw_engine *self, const tw_builder *builder)
{
    for (uint32_t i = 0; i < builder->n_events; i++) {
        if (builder->time_us[i] > self->newest_event_us)
            self->newest_event_us = builder->time_us[i];
    }
}

tw_status engine_know_split(tw_engine *self, const tw_split *split, size_t *index, tw_error *error)
{
    tw_split fresh = *split;
    fresh.offset = fresh.line = 0;
    fresh.is_done = false;
    tw_status status = tw_splits_put(&self->splits, &fresh, error);
    size_t before = self->released_capacity;
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->released, sizeof *self->released, &self->released_capacity, self->splits.count, error);
    if (status < 0)
        return status;
    for (size_t i = before; i < self->released_capacity; i++)
        self->released[i] = 0;
    *index = (size_t)(tw_splits_find(&self->splits, split->id) - self->splits.split);
    return TW_STATUS_OK;
}

/* Notes how far the split is; *is_replayed: outputs and metrics have this batch already. */
static tw_status note_progress(tw_engine *self, const tw_work *work, bool *is_replayed, tw_error *error)
{
    size_t index = 0;
    tw_status status = engine_know_split(self, &work->split, &index, error);
    if (status < 0)
        return status;
    tw_split *split = &self->splits.split[index];
    const tw_builder *batch = work->builder;
    self->released[index] = batch->to;
    /* An empty batch ends a split; where the split stands already it is no replay, further back it is. */
    *is_replayed = batch->to < split->offset || (batch->to == split->offset && batch->to > batch->from);
    if (*is_replayed)
        return TW_STATUS_OK;
    split->offset = batch->to;
    split->line = batch->line;
    split->is_done = work->is_split_done;
    return TW_STATUS_OK;
}

/* Takes over the monitor's counts; true: there is a new drift. */
static bool note_drift(tw_engine *self)
{
    tw_drift *monitor = tw_model_drift(self->options.model);
    uint64_t before = self->drift.drifts;
    if (monitor != NULL)
        tw_drift_counts_now(monitor, &self->drift);
    return self->drift.drifts > before;
}

void engine_count_records(tw_engine *self, const tw_builder *builder)
{
    uint64_t same_pass = tw_position_pass(builder->from) == tw_position_pass(builder->to);
    uint64_t bytes = same_pass ? builder->to - builder->from : tw_position_offset(builder->to);
    self->counters.events += builder->n_events;
    self->counters.bad_events += builder->n_bad;
    self->counters.bytes += bytes;
    self->run_bytes += bytes;
    self->counters.batches += builder->n_events > 0;
    self->run_events += builder->n_events;
    note_times(self, builder);
}

tw_status engine_report_records(tw_engine *self, const tw_work *work, tw_error *error)
{
    tell_bad_records(self, work);
    return refuse_records(self, work, error);
}

/* Figures of a fitted model on its own data are no progressive ones: they end where learning goes on. The mutex is
 * held.
 */
static tw_status drop_fitted_figures(tw_engine *self, tw_error *error)
{
    tw_metrics *fresh = NULL;
    if (!self->fit.is_measured)
        return TW_STATUS_OK;
    tw_status status = make_metrics(self, &fresh, error);
    if (status < 0)
        return status;
    tw_metrics_destroy(&self->metrics);
    self->metrics = fresh;
    self->fit.is_measured = false;
    return TW_STATUS_OK;
}

static tw_status engine_account(tw_engine *self, tw_work *work, tw_error *error)
{
    tw_builder *builder = work->builder;
    bool is_replayed = false, has_drifted = false;
    (void)pthread_mutex_lock(&self->mutex);
    tw_status status = note_progress(self, work, &is_replayed, error);
    if (status == TW_STATUS_OK && !is_replayed && builder->n_events > 0)
        status = drop_fitted_figures(self, error);
    if (status == TW_STATUS_OK && !is_replayed) {
        tw_batch batch = tw_builder_batch(builder);
        status = tw_metrics_add(self->metrics, &batch, self->scores, error);
        engine_count_records(self, builder);
        if (self->recent != NULL)
            tw_recent_add(self->recent, &batch, self->scores);
        has_drifted = note_drift(self);
    }
    self->is_dirty = true;
    (void)pthread_mutex_unlock(&self->mutex);
    if (status < 0 || is_replayed)
        return status;
    if (has_drifted)
        engine_tell(self, TW_ENGINE_DRIFT, NULL);
    status = tw_outputs_write(self->outputs, builder, self->scores, error);
    if (status == TW_STATUS_OK && self->window_log != NULL)
        status = tw_window_log_flush(self->window_log, false, error);
    if (status == TW_STATUS_OK && builder->n_bad > 0)
        status = engine_report_records(self, work, error);
    return status;
}

tw_status tw_engine_learn(tw_engine *self, tw_work *work, tw_error *error)
{
    const tw_split *split = tw_splits_find(&self->splits, work->split.id);
    bool is_replay = split != NULL && work->builder->to <= split->offset;
    tw_model *model = self->options.model;
    tw_status status = TW_STATUS_OK;
    if (self->delay != NULL)
        status = tw_delay_learn(self->delay, work->builder, is_replay, self->scores, error);
    else if (self->options.is_learning)
        status = tw_model_learn(model, work->builder, is_replay, self->scores, error);
    else
        status = tw_model_score(model, work->builder, self->scores, error);
    if (status != TW_STATUS_OK) {
        if (status < 0 && error != NULL && error->file[0] == '\0')
            tw_error_at(error, work->split.name, work->builder->line, 0);
        return status;
    }
    return engine_account(self, work, error);
}

static double run_seconds(const tw_engine *self)
{
    return (double)(tw_clock_monotonic_us() - self->run_start_us) / 1e6;
}

static void report_machine(tw_report *out)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    out->peak_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
}

void tw_engine_report(tw_engine *self, bool is_last_reset, tw_report *out)
{
    memset(out, 0, sizeof *out);
    tw_params_stats stats;
    tw_model_stats(self->options.model, &stats);
    tw_model_stamp stamp;
    tw_model_stamp_now(self->options.model, &stamp);
    (void)pthread_mutex_lock(&self->mutex);
    tw_metrics_report(self->metrics, is_last_reset, out);
    out->events = self->counters.events;
    out->bad_events = self->counters.bad_events;
    out->bytes = self->counters.bytes;
    out->batches = self->counters.batches;
    out->rewinds = self->counters.rewinds;
    out->seconds = self->counters.seconds + run_seconds(self);
    out->events_per_second = (double)self->run_events / run_seconds(self);
    out->lag_seconds =
        self->newest_event_us == INT64_MIN ? (double)NAN : (double)(tw_clock_wall_us() - self->newest_event_us) / 1e6;
    out->backlog_bytes = self->backlog;
    (void)snprintf(out->solver, sizeof out->solver, "%s", self->fit.solver);
    out->iterations = self->fit.iterations;
    out->objective = self->fit.objective;
    out->measure = self->fit.measure;
    out->is_converged = self->fit.is_converged;
    out->solver_seconds = self->fit.seconds;
    out->checkpoints = self->counters.checkpoints;
    out->checkpoint_failures = self->checkpoint_failures;
    out->checkpoint_seconds = self->last_checkpoint.seconds;
    out->checkpoint_bytes = self->last_checkpoint.bytes;
    out->checkpoint_wall_us = self->last_checkpoint_wall_us;
    out->is_drift_watched = tw_model_drift(self->options.model) != NULL;
    out->drift = self->drift;
    out->is_gated = self->recent != NULL;
    out->published_version = self->verdict.published_version;
    out->refused_versions = self->verdict.refused_versions;
    tw_verdict_reason(&self->verdict, out->refusal);
    (void)pthread_mutex_unlock(&self->mutex);
    out->weights = UINT64_MAX;
    out->model_version = stamp.version;
    tw_report_rows(out, &stats);
    out->conflicts = stats.conflicts;
    out->reconnects = stats.reconnects;
    report_machine(out);
}

bool tw_engine_is_online_manifest(const tw_manifest *manifest)
{
    return manifest->events > 0 && tw_manifest_find(manifest, "fit") == NULL;
}

tw_status tw_engine_slices(tw_engine *self, tw_slice_report *out, tw_error *error)
{
    (void)pthread_mutex_lock(&self->mutex);
    tw_status status = tw_metrics_slices(self->metrics, out, error);
    (void)pthread_mutex_unlock(&self->mutex);
    return status;
}

uint32_t tw_engine_calibration(tw_engine *self, tw_calibration_row *out)
{
    (void)pthread_mutex_lock(&self->mutex);
    uint32_t n = tw_metrics_calibration(self->metrics, out);
    (void)pthread_mutex_unlock(&self->mutex);
    return n;
}

uint64_t tw_engine_run_events(const tw_engine *self)
{
    return self->run_events;
}

static tw_status capture_splits(tw_engine *self, tw_manifest *out, tw_error *error)
{
    size_t n = self->splits.count;
    if (n == 0)
        return TW_STATUS_OK;
    out->split = tw_alloc(n * sizeof *out->split);
    if (out->split == NULL)
        return tw_no_memory(error, n * sizeof *out->split);
    memcpy(out->split, self->splits.split, n * sizeof *out->split);
    out->n_splits = n;
    return TW_STATUS_OK;
}

static tw_status capture_drift(const tw_drift *monitor, tw_manifest *out, tw_error *error)
{
    void *bytes = NULL;
    size_t size = 0;
    tw_status status = tw_drift_save(monitor, &bytes, &size, error);
    if (status == TW_STATUS_OK)
        status = tw_manifest_add(out, "drift", bytes, size, error);
    tw_free(bytes);
    return status;
}

static tw_status capture_window(const tw_recent *recent, tw_manifest *out, tw_error *error)
{
    void *bytes = NULL;
    size_t size = 0;
    tw_status status = tw_recent_save(recent, &bytes, &size, error);
    if (status == TW_STATUS_OK)
        status = tw_manifest_add(out, "window", bytes, size, error);
    tw_free(bytes);
    return status;
}

static tw_status capture_sections(tw_engine *self, tw_manifest *out, tw_error *error)
{
    engine_counters counters = self->counters;
    counters.seconds += run_seconds(self);
    counters.checkpoints++;
    void *metrics = NULL;
    size_t size = 0;
    tw_status status = tw_metrics_save(self->metrics, &metrics, &size, error);
    if (status == TW_STATUS_OK)
        status = tw_manifest_add(out, "metrics", metrics, size, error);
    tw_free(metrics);
    if (status == TW_STATUS_OK)
        status = tw_manifest_add(out, "counters", &counters, sizeof counters, error);
    if (status == TW_STATUS_OK && self->fit.solver[0] != '\0')
        status = tw_manifest_add(out, "fit", &self->fit, sizeof self->fit, error);
    if (status == TW_STATUS_OK && self->options.pipeline_text != NULL)
        status =
            tw_manifest_add(out, "pipeline", self->options.pipeline_text, strlen(self->options.pipeline_text), error);
    if (status == TW_STATUS_OK && self->recent != NULL)
        status = capture_window(self->recent, out, error);
    tw_drift *monitor = tw_model_drift(self->options.model);
    if (status == TW_STATUS_OK && monitor != NULL)
        status = capture_drift(monitor, out, error);
    if (status == TW_STATUS_OK)
        status = tw_outputs_save(self->outputs, out, error);
    if (status == TW_STATUS_OK && self->window_log != NULL)
        status = tw_window_log_save(self->window_log, out, error);
    return status;
}

tw_status engine_capture(tw_engine *self, tw_manifest *out, tw_error *error)
{
    memset(out, 0, sizeof *out);
    tw_model_stamp stamp;
    tw_model_stamp_now(self->options.model, &stamp);
    out->events = stamp.events;
    out->spec = *tw_model_table_spec(self->options.model);
    (void)snprintf(out->learner, sizeof out->learner, "%s", tw_model_learner(self->options.model)->name);
    tw_status status = capture_splits(self, out, error);
    if (status == TW_STATUS_OK)
        status = capture_sections(self, out, error);
    if (status < 0)
        tw_manifest_fini(out);
    return status;
}

tw_status tw_engine_save_metrics(const tw_engine *self, void **bytes, size_t *size, tw_error *error)
{
    return tw_metrics_save(self->metrics, bytes, size, error);
}

static struct timespec wall_deadline(int timeout_ms)
{
    int64_t at_us = tw_clock_wall_us() + (int64_t)timeout_ms * 1000;
    return (struct timespec){.tv_sec = at_us / 1000000, .tv_nsec = (long)(at_us % 1000000) * 1000};
}

tw_status tw_engine_request_checkpoint(tw_engine *self, int timeout_ms, uint64_t *id, tw_error *error)
{
    if (self->options.checkpoint.directory == NULL)
        return tw_error_set(
            error, TW_STATUS_UNSUPPORTED, "no checkpoint directory: set checkpoint.dir in the pipeline");
    struct timespec deadline = wall_deadline(timeout_ms);
    (void)pthread_mutex_lock(&self->mutex);
    uint64_t number = ++self->wanted;
    int errnum = 0;
    while (self->finished < number && errnum != ETIMEDOUT && !self->has_ended)
        errnum = pthread_cond_timedwait(&self->checkpointed, &self->mutex, &deadline);
    tw_status status = self->finished < number ? TW_STATUS_TIMEOUT : self->finished_status;
    *id = self->last_checkpoint.id;
    bool is_late = status == TW_STATUS_TIMEOUT && self->has_ended;
    tw_error failure = self->finished_error;
    (void)pthread_mutex_unlock(&self->mutex);
    if (is_late)
        return tw_error_set(
            error, TW_STATUS_UNAVAILABLE, "the run has ended: its last checkpoint is %llu", (unsigned long long)*id);
    if (status == TW_STATUS_TIMEOUT)
        return tw_error_set(error, status, "the checkpoint is not durable after %d ms; it goes on", timeout_ms);
    if (status < 0 && error != NULL)
        *error = failure;
    return status;
}
