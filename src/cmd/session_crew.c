/* A run whose workers are processes of their own: this one owns the model's shards, saves checkpoints and serves. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "cmd/child.h"
#include "cmd/crew.h"
#include "cmd/crew_figures.h"
#include "cmd/session_state.h"
#include "config/fingerprint.h"
#include "ps/worker/claim.h"
#include "ps/worker/cut.h"

enum { POLL_US = 10000, STATS_US = 250000, FIGURES_US = 1000000 };

enum { MAX_ORPHANS = 128 };

/* A named checkpoint that the coordinator has made all workers stand still for. */
typedef struct named_save {
    bool is_wanted, is_running;
    char name[TW_SAVE_NAME_SIZE];
    tw_lease orphan[MAX_ORPHANS]; /* whose last owners are to be refused first */
    uint32_t n_orphans;
} named_save;

typedef struct crew_run {
    session *session;
    named_save named;
    crew *crew;
    tw_checkpointer *checkpointer;
    crew_figures ended; /* of workers that are gone */
    tw_report *report;
    int64_t started_us, next_stats_us, next_figures_us, next_progress_us;
    uint64_t started_events; /* T at the start */
    uint64_t next_progress_events;
    uint32_t n_restarts;     /* of workers, of crews before this one */
    uint32_t n_failed_saves; /* at the end */
    uint64_t shard_restarts; /* when the workers were started */
} crew_run;

/* What the shards hold by now. */
static void take_stats(crew_run *self)
{
    tw_report *report = self->report;
    tw_params_stats stats = {0};
    tw_model_stats(self->session->assembly->model, &stats);
    tw_model_set_events(self->session->assembly->model, stats.events_learned);
    double before = report->seconds;
    uint64_t learned = stats.events_learned - (self->started_events < stats.events_learned ? self->started_events : 0);
    report->events = stats.events_learned;
    tw_report_rows(report, &stats);
    report->seconds = (double)(tw_clock_monotonic_us() - self->started_us) / 1e6;
    report->events_per_second = report->seconds > 0 ? (double)learned / report->seconds : before;
    session_show_report(self->session, report);
}

/* --- figures ------------------------------------------------------------------------------------------------------ */

static void add_file(crew_figures *to, const char *path)
{
    tw_error error = {0};
    tw_status status = crew_figures_add_file(to, path, &error);
    if (status < 0 && status != TW_STATUS_NOT_FOUND)
        console_note("thalweg: warning: %s", error.message);
}

/* What a worker wrote last before it died. */
static void on_lost_worker(void *context, const char *path)
{
    crew_run *self = context;
    add_file(&self->ended, path);
}

/* The figures of those that are gone and of those that learn add up to those of the run. is_over: all are gone. */
static void take_figures(crew_run *self, bool is_over)
{
    crew_figures sum;
    char path[512];
    tw_status status = crew_figures_init(&sum, self->session->assembly, NULL);
    if (status == TW_STATUS_OK) {
        crew_figures_add(&sum, &self->ended);
        for (uint32_t i = 0; i < self->session->assembly->pipeline->workers; i++) {
            crew_figures_path(self->crew, i, path, sizeof path);
            add_file(&sum, path);
        }
        crew_figures_report(&sum, self->report);
    }
    if (status == TW_STATUS_OK && is_over) {
        crew_figures_fini(&self->ended);
        self->ended = sum;
        return;
    }
    crew_figures_fini(&sum);
}

static void plan_progress(crew_run *self)
{
    const tw_progress_policy *policy = &self->session->options->progress;
    uint64_t events = self->report->events;
    self->next_progress_us =
        policy->every_seconds > 0 ? tw_clock_monotonic_us() + (int64_t)(policy->every_seconds * 1e6) : INT64_MAX;
    self->next_progress_events = UINT64_MAX;
    if (policy->every_events > 0)
        self->next_progress_events = (events / policy->every_events + 1) * policy->every_events;
    else if (policy->every_factor > 1)
        self->next_progress_events = events == 0 ? 1 : (uint64_t)ceil((double)events * policy->every_factor);
}

static void serve_progress(crew_run *self)
{
    int64_t now_us = tw_clock_monotonic_us();
    bool is_due = now_us >= self->next_progress_us;
    bool is_seen = self->session->console.style != PROGRESS_NONE || self->session->server != NULL;
    if (is_seen && now_us >= self->next_figures_us) {
        take_figures(self, false);
        self->next_figures_us = now_us + FIGURES_US;
    }
    if (is_due || now_us >= self->next_stats_us) {
        take_stats(self);
        self->next_stats_us = now_us + STATS_US;
    }
    if (!is_due && self->report->events < self->next_progress_events)
        return;
    plan_progress(self);
    if (self->session->console.style != PROGRESS_NONE)
        console_event(&self->session->console, TW_ENGINE_PROGRESS, self->report, NULL);
}

/* --- checkpoints -------------------------------------------------------------------------------------------------- */

/* The shards' own marks say what is in their rows: a manifest names no splits. */
static tw_status capture(crew_run *self, tw_manifest *out, tw_error *error)
{
    const assembly *all = self->session->assembly;
    char workers[16];
    *out = (tw_manifest){.events = self->report->events, .spec = *tw_model_table_spec(all->model)};
    (void)snprintf(out->learner, sizeof out->learner, "%s", tw_model_learner(all->model)->name);
    (void)snprintf(workers, sizeof workers, "%u", all->pipeline->workers);
    tw_status status = tw_manifest_add(out, "pipeline", all->canonical.bytes, strlen(all->canonical.bytes), error);
    if (status == TW_STATUS_OK)
        status = tw_manifest_add(out, "crew", workers, strlen(workers), error);
    if (status < 0)
        tw_manifest_fini(out);
    return status;
}

static void tell_failure(crew_run *self, tw_error *error)
{
    self->report->checkpoint_failures++;
    tw_error_code(error, "E204");
    console_event(&self->session->console, TW_ENGINE_FAILED_CHECKPOINT, self->report, error);
}

static tw_status start_checkpoint(crew_run *self, tw_error *error)
{
    tw_manifest manifest;
    take_stats(self);
    tw_status status = capture(self, &manifest, error);
    return status == TW_STATUS_OK ? tw_checkpointer_start(self->checkpointer, &manifest, error) : status;
}

/* --- named checkpoints --- */

static void look_for_named(crew_run *self)
{
    tw_grant orphan[MAX_ORPHANS];
    named_save *named = &self->named;
    uint32_t n = MAX_ORPHANS;
    if (named->is_wanted || named->is_running ||
        !tw_coordinator_server_save_wanted(crew_coordinator(self->crew), named->name, orphan, &n))
        return;
    for (uint32_t i = 0; i < n; i++)
        named->orphan[i] = (tw_lease){orphan[i].share, orphan[i].epoch};
    named->n_orphans = n;
    named->is_wanted = true;
}

static tw_status fence_orphans(void *context, tw_params *params, tw_error *error)
{
    const named_save *named = context;
    return tw_remote_fence(params, named->orphan, named->n_orphans, error);
}

static tw_status plan_cut(void *context, tw_params *params, tw_error *error)
{
    const crew_run *self = context;
    (void)error;
    tw_remote_plan_cut(params, self->session->assembly->pipeline->staleness != TW_STALENESS_UNLIMITED);
    return TW_STATUS_OK;
}

/* Everybody stands still, or keeps rounds: all shards are cut at the same marks. BUSY: not now. */
static tw_status start_named(crew_run *self, tw_error *error)
{
    named_save *named = &self->named;
    tw_manifest manifest;
    named->is_wanted = false;
    tw_status status = tw_model_use(self->session->assembly->model, fence_orphans, named, error);
    take_stats(self);
    if (status == TW_STATUS_OK)
        status = capture(self, &manifest, error);
    if (status == TW_STATUS_OK) {
        status = tw_manifest_add(&manifest, "name", named->name, strlen(named->name), error);
        if (status < 0)
            tw_manifest_fini(&manifest);
    }
    if (status == TW_STATUS_OK)
        status = tw_model_use(self->session->assembly->model, plan_cut, self, error);
    if (status == TW_STATUS_OK)
        status = tw_checkpointer_start(self->checkpointer, &manifest, error);
    named->is_running = status == TW_STATUS_OK;
    tw_coordinator_server_save_cut(crew_coordinator(self->crew), status, error->message);
    return status == TW_STATUS_BUSY ? TW_STATUS_OK : status; /* it is tried again */
}

static void end_named(crew_run *self, tw_status status, uint64_t id, const tw_error *error)
{
    if (self->named.is_running && self->crew != NULL)
        tw_coordinator_server_save_done(
            crew_coordinator(self->crew), status, id, status < 0 && error != NULL ? error->message : "");
    self->named.is_running = false;
}

/* IDLE: it is being written. */
static tw_status poll_checkpoint(crew_run *self, tw_error *error)
{
    tw_checkpoint_result result = {0};
    tw_status status = tw_checkpointer_poll(self->checkpointer, &result, error);
    if (status == TW_STATUS_IDLE)
        return status;
    end_named(self, status, result.id, error);
    if (status != TW_STATUS_OK)
        return status;
    tw_report *report = self->report;
    report->checkpoints++;
    report->model_version = result.id;
    report->published_version = result.id;
    report->checkpoint_bytes = result.bytes;
    report->checkpoint_seconds = result.seconds;
    report->checkpoint_wall_us = tw_clock_wall_us();
    console_event(&self->session->console, TW_ENGINE_CHECKPOINT, report, NULL);
    return TW_STATUS_OK;
}

static void serve_checkpoints(crew_run *self)
{
    tw_error error = {0};
    tw_status status = TW_STATUS_OK;
    look_for_named(self);
    if (tw_checkpointer_is_running(self->checkpointer))
        status = poll_checkpoint(self, &error);
    else if (self->named.is_wanted)
        status = start_named(self, &error);
    else if (tw_checkpointer_is_due(self->checkpointer, self->report->events))
        status = start_checkpoint(self, &error);
    if (status < 0)
        tell_failure(self, &error);
}

/* A round trip to every shard: what they hold, and which of them were started again, is known. */
static void hear_from_shards(crew_run *self)
{
    int timeout_ms = (int)(self->session->assembly->pipeline->shard_timeout_us / 1000);
    (void)!tw_model_flush(self->session->assembly->model, timeout_ms, NULL);
}

static tw_status start_last(crew_run *self, tw_error *error)
{
    hear_from_shards(self);
    return start_checkpoint(self, error);
}

/* Waits for the one under way, then saves what came after it. */
static tw_status save_last(crew_run *self, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    if (self->session->assembly->pipeline->checkpoint_dir == NULL) {
        hear_from_shards(self);
        return TW_STATUS_OK;
    }
    for (int round = 0; round < 2 && status >= 0; round++) {
        while (
            tw_checkpointer_is_running(self->checkpointer) && (status = poll_checkpoint(self, error)) == TW_STATUS_IDLE)
            tw_clock_sleep_us(1000);
        if (round == 0 && status >= 0)
            status = start_last(self, error);
    }
    if (status < 0)
        self->report->checkpoint_failures++;
    return status < 0 ? status : TW_STATUS_OK;
}

/* --- the workers -------------------------------------------------------------------------------------------------- */

/* Of the shards, whether the run started them or joined them. */
static uint64_t count_restarts(const crew_run *self)
{
    tw_params_stats stats = {0};
    if (self->session->children != NULL)
        return children_restarts(self->session->children);
    tw_model_stats(self->session->assembly->model, &stats);
    return stats.restarts;
}

static tw_status start_workers(crew_run *self, tw_error *error)
{
    const tw_pipeline *pipeline = self->session->assembly->pipeline;
    bool has_own = self->session->children != NULL;
    crew_options options = {
        .n_workers = pipeline->workers,
        .is_static = pipeline->staleness != TW_STALENESS_UNLIMITED,
        .pipeline = self->session->assembly->canonical.bytes,
        .shard = has_own ? children_addresses(self->session->children) : pipeline->connect.item,
        .n_shards = has_own ? (pipeline->shards > 0 ? pipeline->shards : 1) : pipeline->connect.count,
        .can_save = pipeline->checkpoint_dir != NULL,
        .directory = pipeline->checkpoint_dir,
        .lost = on_lost_worker,
        .context = self,
    };
    self->shard_restarts = count_restarts(self);
    return crew_start(&options, &self->crew, error);
}

static bool has_lost_shards(const crew_run *self)
{
    return count_restarts(self) != self->shard_restarts;
}

/* Workers that keep rounds wait for one another, and a shard that came back does not know who had finished: then all
 * of them begin again. */
static bool must_begin_again(const crew_run *self)
{
    const tw_pipeline *pipeline = self->session->assembly->pipeline;
    bool has_finished = false;
    for (uint32_t i = 0; i < pipeline->workers; i++)
        has_finished = has_finished || crew_is_finished(self->crew, i);
    return has_finished && pipeline->staleness != TW_STALENESS_UNLIMITED && has_lost_shards(self);
}

static tw_status check_shards(const crew_run *self, int *code, tw_error *error)
{
    tw_status status = children_check(self->session->children, error);
    if (status < 0)
        *code = tw_status_exit_code(status);
    return status;
}

static tw_status watch_workers(crew_run *self, int *code, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    while (status == TW_STATUS_OK && !atomic_load(self->session->stop)) {
        status = crew_poll(self->crew, code, error);
        atomic_store(&self->session->n_worker_restarts, self->n_restarts + crew_restarts(self->crew));
        if (status == TW_STATUS_OK && self->session->children != NULL)
            status = check_shards(self, code, error);
        if (status != TW_STATUS_OK || must_begin_again(self))
            break;
        serve_progress(self);
        serve_checkpoints(self);
        tw_clock_sleep_us(POLL_US);
    }
    return status;
}

/* A shard that dies meanwhile makes the last checkpoint fail, and may not be known to have died yet: so it is tried
 * once more. What fails then fails for another reason, such as a full disk. */
static bool must_look_again(crew_run *self, tw_status saved, tw_error *error)
{
    if (self->session->children != NULL && children_check(self->session->children, NULL) < 0)
        return false;
    if (has_lost_shards(self)) {
        console_note("thalweg: warning: a shard was started again; the workers look for what it lost");
        return true;
    }
    if (saved >= 0)
        return false;
    tw_error_code(error, "E204");
    if (self->n_failed_saves++ > 0)
        return false;
    console_note("thalweg: warning: E204: the last checkpoint failed and is tried once more: %s",
        error != NULL ? error->message : "");
    return true;
}

/* What the shards hold is kept also where a worker ended for good; why it did is what the run ends with. */
static void keep_learned(crew_run *self)
{
    tw_error late = {0};
    take_stats(self);
    bool has_shards = self->session->children == NULL || children_check(self->session->children, NULL) == TW_STATUS_OK;
    if (!has_shards || self->report->events <= self->started_events || save_last(self, &late) >= 0)
        return;
    console_note("thalweg: warning: E204: the last checkpoint failed: %s", late.message);
}

static void end_workers(crew_run *self)
{
    uint32_t n_killed = crew_end(self->crew);
    if (n_killed > 0)
        console_note("thalweg: warning: the figures of %u of %u workers are the last that they had left; what "
                     "they had not pushed is read by the next run",
            n_killed, self->session->assembly->pipeline->workers);
    take_figures(self, true);
}

/* Until all have finished and what they learned is saved. A shard that lost rows meanwhile makes them go through their
 * shares again: what the marks cover is passed over. */
static tw_status run_workers(crew_run *self, int *code, tw_error *error)
{
    for (;;) {
        tw_status status = start_workers(self, error);
        if (status == TW_STATUS_OK)
            status = watch_workers(self, code, error);
        bool is_final = status < 0 && self->crew != NULL && child_code_is_final(*code);
        if (status >= 0 || is_final)
            end_workers(self);
        self->n_restarts += self->crew != NULL ? crew_restarts(self->crew) : 0;
        crew_stop(&self->crew);
        tw_status saved = status >= 0 ? save_last(self, error) : TW_STATUS_OK;
        if (is_final)
            keep_learned(self);
        if (status < 0 || atomic_load(self->session->stop) || !must_look_again(self, saved, error)) {
            if (saved < 0)
                *code = tw_status_exit_code(saved);
            return status < 0 ? status : saved;
        }
    }
}

static tw_status stripe_of(const tw_section *pipeline, int64_t *out, tw_error *error)
{
    tw_option table[] = {{.name = "stripe", .type = TW_OPTION_SIZE, .max = 9e18, .help = ""}, {0}};
    tw_option_values *values = NULL;
    char *value = NULL, *text = tw_strndup(pipeline->bytes, pipeline->size);
    if (text == NULL)
        return tw_no_memory(error, pipeline->size);
    tw_status status = tw_canonical_value(text, "parameter_servers.stripe", &value, error);
    if (status == TW_STATUS_OK)
        status = tw_option_values_create(table, &values, error);
    if (status == TW_STATUS_OK)
        status = tw_option_set(values, "stripe", value, error);
    if (status == TW_STATUS_OK)
        *out = tw_option_int(values, "stripe");
    tw_option_values_destroy(&values);
    tw_free(value);
    tw_free(text);
    return status;
}

tw_status session_check_stripe(const session *self, tw_error *error)
{
    const tw_pipeline *pipeline = self->assembly->pipeline;
    const tw_section *before = tw_manifest_find(&self->manifest, "pipeline");
    int64_t was = (int64_t)pipeline->stripe_bytes;
    tw_status status = before != NULL ? stripe_of(before, &was, error) : TW_STATUS_OK;
    if (status == TW_STATUS_NOT_FOUND || (status == TW_STATUS_OK && was == (int64_t)pipeline->stripe_bytes))
        return TW_STATUS_OK;
    if (status < 0)
        return status;
    status = tw_error_set(error, TW_STATUS_CONFLICT,
        "the model in %s was learned in stripes of %lld bytes, and parameter_servers.stripe is %llu: the workers would "
        "learn all of the input again; continue it with the same, start over with --fresh, or take its rows over with "
        "--init",
        pipeline->checkpoint_dir, (long long)was, (unsigned long long)pipeline->stripe_bytes);
    tw_error_code(error, "E203");
    return status;
}

void session_begin_report(const session *self, tw_report *out)
{
    *out = (tw_report){
        .task = tw_model_traits(self->assembly->model)->task, .weights = UINT64_MAX, .backlog_bytes = UINT64_MAX};
    tw_figures_clear(&out->figures);
    tw_figures_clear(&out->window.figures);
    out->logloss_last = out->inertia_last = out->lag_seconds = (double)NAN;
    out->events = self->manifest.events;
    out->model_version = out->published_version = self->manifest.id;
}

static void report_start(crew_run *self)
{
    tw_report *report = self->report;
    session_begin_report(self->session, report);
    self->started_us = tw_clock_monotonic_us();
    take_stats(self);
    self->started_events = report->events;
    plan_progress(self);
}

tw_status session_run_crew(session *self, tw_report *report, int *code, tw_error *error)
{
    const tw_pipeline *pipeline = self->assembly->pipeline;
    crew_run run = {.session = self, .report = report};
    tw_checkpoint_policy policy = {.directory = pipeline->checkpoint_dir,
        .every_events = pipeline->checkpoint_events,
        .every_us = pipeline->checkpoint_us,
        .keep = pipeline->checkpoint_keep};
    tw_status status = crew_figures_init(&run.ended, self->assembly, error);
    if (status < 0)
        return status;
    report_start(&run);
    status = tw_checkpointer_create(&policy, self->assembly->model, &run.checkpointer, error);
    *code = status < 0 ? tw_status_exit_code(status) : 0;
    if (status == TW_STATUS_OK)
        status = run_workers(&run, code, error);
    take_stats(&run);
    tw_checkpointer_destroy(&run.checkpointer);
    crew_figures_fini(&run.ended);
    return status < 0 ? status : TW_STATUS_OK;
}
