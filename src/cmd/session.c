#include "cmd/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cmd/child.h"
#include "cmd/children.h"
#include "cmd/flags.h"
#include "cmd/input_layout.h"
#include "cmd/security.h"
#include "cmd/session_state.h"
#include "cmd/shard_list.h"
#include "cmd/stop.h"
#include "config/fingerprint.h"
#include "ps/worker/remote.h"
#include "store/spec.h"

enum { EXIT_PARTIAL = 1, MAX_RECORD_BYTES = 8 << 20 };

/* --- resume ----------------------------------------------------------------------------------------------------- */

static tw_status check_changes(session *self, tw_error *error)
{
    const tw_section *before = tw_manifest_find(&self->manifest, "pipeline");
    tw_text diff = {0};
    tw_change change = TW_CHANGE_NONE;
    if (before == NULL)
        return tw_error_set(
            error, TW_STATUS_CORRUPT, "%s: the checkpoint holds no pipeline", self->assembly->pipeline->checkpoint_dir);
    char *text = tw_strndup(before->bytes, before->size);
    if (text == NULL)
        return tw_no_memory(error, before->size);
    tw_status status = tw_fingerprint_compare(text, self->assembly->canonical.bytes, &change, &diff, error);
    tw_free(text);
    bool is_refused =
        change == TW_CHANGE_REFUSED || (change == TW_CHANGE_NEEDS_ACCEPT && !self->options->accepts_changes);
    if (status == TW_STATUS_OK && change != TW_CHANGE_NONE && diff.bytes != NULL)
        console_note("the pipeline differs from the one that made the checkpoint:\n%s", diff.bytes);
    tw_text_fini(&diff);
    if (status == TW_STATUS_OK && is_refused) {
        status = tw_error_set(error, TW_STATUS_CONFLICT,
            change == TW_CHANGE_REFUSED ? "the model in %s cannot be continued with this pipeline: undo the changes, "
                                          "start over with --fresh, or use another checkpoint.dir"
                                        : "the model in %s was made with other learner options: --accept-changes "
                                          "continues it with the new ones, --fresh starts over",
            self->assembly->pipeline->checkpoint_dir);
        tw_error_code(error, "E203");
    }
    return status;
}

/* Several workers read stripes of files, one reads files: neither knows what the other has read. */
static tw_status check_crew(const session *self, tw_status status, tw_error *error)
{
    bool was_crew = tw_manifest_find(&self->manifest, "crew") != NULL;
    if (status >= 0 && was_crew && self->assembly->pipeline->workers > 1)
        return session_check_stripe(self, error);
    if (status < 0 || was_crew == (self->assembly->pipeline->workers > 1))
        return status;
    status = tw_error_set(error, TW_STATUS_CONFLICT,
        "the model in %s was learned by %s: continue it so, start over with --fresh, or take its rows over with --init",
        self->assembly->pipeline->checkpoint_dir, was_crew ? "several workers" : "one worker");
    tw_error_code(error, "E203");
    return status;
}

/* One run at a time learns into a directory: two would prune each other's checkpoints. */
static tw_status lock_directory(session *self, tw_error *error)
{
    char path[4096];
    uint64_t owner = 0;
    tw_file_info info;
    const char *directory = self->assembly->pipeline->checkpoint_dir;
    if (directory == NULL || (self->options->start == SESSION_RESUME && tw_file_stat(directory, &info, NULL) < 0))
        return TW_STATUS_OK;
    if (snprintf(path, sizeof path, "%s/lock", directory) >= (int)sizeof path)
        return tw_error_set(
            error, TW_STATUS_CONFIG, "checkpoint.dir: a path of %zu bytes is too long", strlen(directory));
    tw_status status = tw_directory_create(directory, error);
    if (status == TW_STATUS_OK)
        status = tw_file_lock(path, &self->lock, &owner, error);
    if (status == TW_STATUS_BUSY)
        return tw_error_set(error, status,
            "%s: process %llu learns into this directory; stop it, or use another checkpoint.dir (--model)", directory,
            (unsigned long long)owner);
    if (status < 0) {
        if (error != NULL && error->status == TW_STATUS_NOT_FOUND)
            error->status = TW_STATUS_IO;
        tw_error_code(error, "E204");
        return TW_STATUS_IO;
    }
    return TW_STATUS_OK;
}

static tw_status find_checkpoint(session *self, tw_error *error)
{
    const char *directory = self->assembly->pipeline->checkpoint_dir;
    tw_error skipped = {0}, missing = {0};
    if (directory == NULL && self->options->start == SESSION_RESUME)
        return tw_error_set(error, TW_STATUS_CONFIG, "--resume: the pipeline has no checkpoint.dir");
    if (directory == NULL)
        return TW_STATUS_OK;
    uint64_t next_id = 1;
    tw_status status = tw_checkpoint_next_id(directory, &next_id, &missing);
    self->newest_id = status == TW_STATUS_OK ? next_id - 1 : 0;
    if (self->options->start == SESSION_FRESH)
        return TW_STATUS_OK;
    status = tw_checkpoint_read(directory, 0, &self->manifest, &skipped, &missing);
    if (skipped.message[0] != '\0' && status == TW_STATUS_OK)
        console_note("thalweg: warning: %s; the checkpoint before it is used (%06llu)", skipped.message,
            (unsigned long long)self->manifest.id);
    if (status == TW_STATUS_NOT_FOUND && self->options->start == SESSION_AUTO)
        return TW_STATUS_OK;
    if (status == TW_STATUS_CORRUPT)
        return tw_error_set(
            error, status, "%.400s; put back a copy of the directory, or start over with --fresh", missing.message);
    if (status < 0) {
        if (error != NULL)
            *error = missing;
        return status;
    }
    if (self->assembly->pipeline->is_batch && tw_engine_is_online_manifest(&self->manifest)) {
        status = tw_error_set(error, TW_STATUS_CONFLICT,
            "the model in %s learned online; train.mode: batch fits a model from nothing: --fresh starts over, "
            "train.mode: online goes on",
            directory);
        tw_error_code(error, "E203");
        return status;
    }
    return check_crew(self, check_changes(self, error), error);
}

/* --- rows ------------------------------------------------------------------------------------------------------- */

static void tell_waiting(void *context, uint32_t shard, const char *address, int64_t waited_ms)
{
    const tw_pipeline *pipeline = ((const session *)context)->assembly->pipeline;
    if (console_is_due(waited_ms))
        console_note("waiting for shard %u at %s for %lld of %lld s%s", shard, address, (long long)(waited_ms / 1000),
            (long long)(pipeline->shard_timeout_us / 1000000), security_hint(pipeline));
}

/* A shard of the run's own that was given up does not come back. */
static tw_status check_children(void *context, tw_error *error)
{
    const session *self = context;
    return self->children != NULL ? children_check(self->children, error) : TW_STATUS_OK;
}

static tw_status attach_remote(session *self, const char *const *address, uint32_t n_shards, tw_error *error)
{
    tw_params *params = NULL;
    client_security keys;
    const tw_socket_security *security = NULL;
    tw_status status = TW_STATUS_OK;
    if (self->children == NULL)
        status = security_of_pipeline(&keys, self->assembly->pipeline, &security, error);
    tw_remote_options remote = {
        .address = address,
        .n_shards = n_shards,
        .model = self->assembly->pipeline->name,
        .is_fresh = self->options->start == SESSION_FRESH && self->children == NULL,
        .takes_other_keep = self->options->accepts_changes,
        .timeout_ms = (int)(self->assembly->pipeline->shard_timeout_us / 1000),
        .security = security,
        .stop = self->stop,
        .progress = tell_waiting,
        .check = check_children,
        .context = self,
    };
    if (status == TW_STATUS_OK)
        status = tw_remote_create(tw_model_table_spec(self->assembly->model), &remote, &params, error);
    security_fini(&keys);
    if (status < 0)
        return status;
    tw_model_attach(self->assembly->model, params);
    if (self->manifest.id != 0)
        tw_model_set_version(self->assembly->model, self->manifest.id, self->manifest.created_us);
    return TW_STATUS_OK;
}

/* Several workers need a place to meet: one shard at least. */
static uint32_t shards_to_start(const tw_pipeline *pipeline)
{
    bool needs_one = pipeline->workers > 1 && pipeline->shards == 0 && pipeline->connect.count == 0;
    return needs_one ? 1 : pipeline->shards;
}

static tw_status start_children(session *self, tw_error *error)
{
    const tw_pipeline *pipeline = self->assembly->pipeline;
    bool has_init_rows = self->init.id != 0 && !self->is_init_by_weights;
    children_options options = {
        .n_shards = shards_to_start(pipeline),
        .bind = pipeline->bind.item,
        .n_bind = pipeline->bind.count,
        .directory = pipeline->checkpoint_dir,
        .restore_id = self->manifest.id,
        .init_directory = has_init_rows ? self->options->init_directory : NULL,
        .init_id = has_init_rows ? self->init.id : 0,
        .newer_than = self->manifest.id != 0 ? self->manifest.id - 1 : self->newest_id,
        .keep = pipeline->checkpoint_keep,
        .deltas = pipeline->checkpoint_deltas,
        .standby = (children_standby)pipeline->standby,
    };
    tw_status status = children_start(&options, &self->children, error);
    if (status < 0)
        return status;
    status = attach_remote(self, children_addresses(self->children), options.n_shards, error);
    tw_error lost = {0};
    if (status < 0 && children_check(self->children, &lost) < 0 && error != NULL)
        *error = lost;
    if (status == TW_STATUS_OK && pipeline->checkpoint_dir != NULL)
        status =
            shard_list_write(pipeline->checkpoint_dir, children_addresses(self->children), options.n_shards, error);
    return status;
}

/* Of the same learner, and laid out alike where scores are sums of weights: those can be taken over without the rest.
 */
static bool has_same_rows(const session *self)
{
    const tw_model *model = self->assembly->model;
    tw_task task = tw_model_traits(model)->task;
    bool has_weights = task == TW_TASK_BINARY || task == TW_TASK_REGRESSION;
    return strcmp(self->init.learner, self->assembly->pipeline->learner) == 0 &&
           (!has_weights || tw_spec_compare(&self->init.spec, tw_model_table_spec(model), NULL) == TW_STATUS_OK);
}

/* The checkpoint that a new model starts from. One that resumes has its own. */
static tw_status find_init(session *self, tw_error *error)
{
    const char *directory = self->options->init_directory;
    const tw_pipeline *pipeline = self->assembly->pipeline;
    if (directory == NULL || self->manifest.id != 0)
        return TW_STATUS_OK;
    if (pipeline->is_batch)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED,
            "--init %s: train.mode: batch fits a model from the data alone; leave it out", directory);
    if (pipeline->connect.count > 0)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED,
            "--init %s: shards that run already keep their rows; start them with thalweg ps --init %s", directory,
            directory);
    tw_status status = tw_checkpoint_read(directory, 0, &self->init, NULL, error);
    self->is_init_by_weights = status == TW_STATUS_OK && !has_same_rows(self);
    if (status == TW_STATUS_OK && !self->is_init_by_weights)
        status = session_check_init(self, error);
    return status;
}

/* Rows as the checkpoint has them, and nothing of what they were learned from. */
static tw_status attach_init(session *self, tw_error *error)
{
    tw_params *params = NULL;
    tw_status status = tw_local_create(tw_model_table_spec(self->assembly->model), &params, error);
    if (status == TW_STATUS_OK) {
        tw_local_take_any_cut(params);
        status = params->ops->restore(params, self->options->init_directory, &self->init.files, error);
    }
    if (status < 0) {
        if (params != NULL)
            params->ops->close(params);
        return status;
    }
    tw_local_forget_marks(params);
    tw_local_set_deltas(params, self->assembly->pipeline->checkpoint_deltas);
    tw_model_attach(self->assembly->model, params);
    return TW_STATUS_OK;
}

static tw_status attach_empty_or_saved(session *self, tw_error *error)
{
    const tw_pipeline *pipeline = self->assembly->pipeline;
    if (shards_to_start(pipeline) > 0)
        return start_children(self, error);
    if (pipeline->connect.count > 0)
        console_note_standbys((const char *const *)pipeline->connect.item, (uint32_t)pipeline->connect.count);
    if (pipeline->connect.count > 0) {
        tw_status status = attach_remote(self, pipeline->connect.item, pipeline->connect.count, error);
        bool is_one = pipeline->workers == 1 && !pipeline->is_batch;
        return status == TW_STATUS_OK && is_one ? input_layout_check(self->assembly, true, error) : status;
    }
    if (self->init.id != 0 && !self->is_init_by_weights)
        return attach_init(self, error);
    const tw_manifest *manifest = self->manifest.id != 0 ? &self->manifest : NULL;
    return assembly_attach_local(self->assembly, pipeline->checkpoint_dir, manifest, error);
}

/* Options such as a half-life or another optimizer change what a row holds: the rows that are there do not fit. */
static tw_status check_rows(const session *self, tw_error *error)
{
    tw_error why = {0};
    if (tw_spec_compare(&self->manifest.spec, tw_model_table_spec(self->assembly->model), &why) == TW_STATUS_OK)
        return TW_STATUS_OK;
    const char *directory = self->assembly->pipeline->checkpoint_dir;
    (void)tw_error_set(error, TW_STATUS_CONFLICT,
        "the model in %s has rows of another form than these options (%s): make a new model in another directory and "
        "start it with --init %s",
        directory, why.message, directory);
    tw_error_code(error, "E203");
    return TW_STATUS_CONFLICT;
}

static tw_status attach_rows(session *self, tw_error *error)
{
    bool is_changed = self->manifest.id != 0 && self->options->accepts_changes;
    tw_status status = is_changed ? check_rows(self, error) : TW_STATUS_OK;
    if (status == TW_STATUS_OK)
        status = find_init(self, error);
    if (status == TW_STATUS_OK)
        status = attach_empty_or_saved(self, error);
    return status == TW_STATUS_OK && self->is_init_by_weights ? session_init_by_weights(self, error) : status;
}

/* --- engine and server ------------------------------------------------------------------------------------------ */

static void on_engine_event(void *context, tw_engine_event event, const tw_report *report, const tw_error *error)
{
    session *self = context;
    console_event(&self->console, event, report, error);
}

static tw_status make_engine(session *self, tw_error *error)
{
    const assembly *all = self->assembly;
    const tw_pipeline *pipeline = all->pipeline;
    const tw_pipeline_source *source = &pipeline->source[0];
    tw_engine_options options = {
        .model = all->model,
        .is_learning = true,
        .evaluation = assembly_evaluation(all),
        .input = all->input,
        .n_inputs = pipeline->n_sources,
        .sink = all->sink,
        .n_sinks = pipeline->n_sinks,
        .batch_events = pipeline->batch_events,
        .max_latency_us = pipeline->max_latency_us,
        .queue_batches = pipeline->queue_batches,
        .passes = pipeline->is_batch ? 1 : pipeline->passes,
        .rate_per_s = source->events_per_s,
        .max_record_bytes = MAX_RECORD_BYTES,
        .bad = {.is_stopping = source->is_bad_fatal, .limit = source->bad_limit, .dead_letter = source->dead_letter},
        .checkpoint = {.directory = pipeline->checkpoint_dir,
            .every_events = pipeline->checkpoint_events,
            .every_us = pipeline->checkpoint_us,
            .keep = pipeline->checkpoint_keep,
            .gate = assembly_gate(all)},
        .pipeline_text = all->canonical.bytes,
        .resume = self->manifest.id != 0 ? &self->manifest : NULL,
        .has_first_checkpoint = self->manifest.id == 0 && self->newest_id > 0,
        .fit = pipeline->is_batch ? &self->fit : NULL,
        .until_events = self->options->until_events,
        .until_us = self->options->until_us,
        .progress = self->options->progress,
        .listener = on_engine_event,
        .listener_context = self,
        .stop = self->stop,
    };
    return tw_engine_create(&options, &self->engine, error);
}

static tw_status hook_checkpoint(void *context, int timeout_ms, uint64_t *id, tw_error *error)
{
    session *self = context;
    return tw_engine_request_checkpoint(self->engine, timeout_ms, id, error);
}

static void hook_report(void *context, tw_report *out)
{
    session *self = context;
    if (self->engine != NULL) {
        tw_engine_report(self->engine, false, out);
        return;
    }
    (void)pthread_mutex_lock(&self->report_mutex);
    *out = self->shown;
    (void)pthread_mutex_unlock(&self->report_mutex);
}

void session_show_report(session *self, const tw_report *report)
{
    (void)pthread_mutex_lock(&self->report_mutex);
    self->shown = *report;
    (void)pthread_mutex_unlock(&self->report_mutex);
}

static tw_status start_server(session *self, tw_error *error)
{
    const tw_pipeline *pipeline = self->assembly->pipeline;
    if (pipeline->serve_zmq == NULL && pipeline->serve_http == NULL)
        return TW_STATUS_OK;
    tw_report none;
    if (self->engine == NULL) {
        session_begin_report(self, &none);
        session_show_report(self, &none);
    }
    tw_status status = tw_served_create(self->assembly->model, false, &self->served, error);
    tw_server_options options = {
        .served = self->served,
        .zmq_address = pipeline->serve_zmq,
        .http_address = pipeline->serve_http,
        .max_bytes = pipeline->serve_max_body,
        .max_connections = pipeline->serve_max_connections,
        .hooks = {.context = self,
            .checkpoint = self->engine != NULL ? hook_checkpoint : NULL,
            .report = hook_report,
            .metrics = session_watch_metrics},
    };
    if (status == TW_STATUS_OK && pipeline->checkpoint_dir != NULL)
        status = publisher_start(pipeline->checkpoint_dir, self->assembly->model, pipeline->n_required > 0,
            self->served, &self->publisher, error);
    if (status == TW_STATUS_OK && pipeline->serve_http != NULL)
        status = session_watch_start(self, error);
    if (status == TW_STATUS_OK)
        status = tw_server_start(&options, &self->server, error);
    if (status == TW_STATUS_OK && self->console.style == PROGRESS_TABLE) {
        if (pipeline->serve_http != NULL)
            console_note("serving http://%s/v1/models/%s:predict, /healthz, /metrics",
                tw_server_http_address(self->server), pipeline->name);
        if (pipeline->serve_zmq != NULL)
            console_note("serving %s (ZeroMQ, MessagePack)", tw_server_zmq_address(self->server));
    }
    return status;
}

/* --- report ----------------------------------------------------------------------------------------------------- */

static tw_status write_report(session *self, const tw_report *report, tw_error *error)
{
    const tw_pipeline *pipeline = self->assembly->pipeline;
    char checkpoint[4200];
    (void)snprintf(checkpoint, sizeof checkpoint, "%s/%06llu.manifest",
        pipeline->checkpoint_dir != NULL ? pipeline->checkpoint_dir : "", (unsigned long long)report->model_version);
    bool is_saved = pipeline->checkpoint_dir != NULL && report->model_version > 0;
    report_details details;
    tw_status status = report_details_take(&details, self->engine, error);
    if (status < 0)
        return status;
    details.learner = pipeline->learner;
    details.checkpoint = is_saved ? checkpoint : NULL;
    details.clusters = session_count_clusters(self->assembly);
    char *text = report_to_json(report, &details);
    report_details_fini(&details);
    if (text == NULL)
        return tw_no_memory(error, 0);
    status = tw_file_store(self->options->report_path, text, strlen(text), error);
    free(text);
    return status;
}

static tw_status finish(session *self, tw_report *report, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    if (self->children == NULL || children_check(self->children, NULL) == TW_STATUS_OK)
        status = tw_model_count_weights(self->assembly->model, &report->weights, error);
    report->clusters = session_count_clusters(self->assembly);
    bool is_idle =
        self->engine != NULL ? tw_engine_run_events(self->engine) == 0 : report->events == self->manifest.events;
    if (is_idle && self->manifest.id != 0 && !atomic_load(self->stop))
        console_note("nothing new: everything in the source was learned before (--fresh starts over)");
    else if (report->events == 0 && report->bad_events == 0 && !atomic_load(self->stop))
        console_note("no events: the input is empty");
    if (self->console.style == PROGRESS_TABLE)
        console_progress(&self->console, report);
    console_final(&self->console, report);
    if (self->options->report_path != NULL) {
        tw_status written = write_report(self, report, error);
        status = status < 0 ? status : written;
    }
    return status;
}

static int exit_code_of(const session *self, tw_status status)
{
    bool is_of_input = status == TW_STATUS_DATA || status == TW_STATUS_CORRUPT;
    if (is_of_input && self->engine != NULL && tw_engine_run_events(self->engine) > 0)
        return EXIT_PARTIAL;
    return tw_status_exit_code(status);
}

static tw_status session_open(session *self, tw_error *error)
{
    tw_status status = lock_directory(self, error);
    if (status == TW_STATUS_OK)
        status = find_checkpoint(self, error);
    if (status == TW_STATUS_OK)
        status = assembly_build(self->assembly, error);
    if (status == TW_STATUS_OK)
        status = attach_rows(self, error);
    if (status == TW_STATUS_OK)
        status = session_plan_fit(self, error);
    if (status == TW_STATUS_OK && self->assembly->pipeline->workers == 1)
        status = make_engine(self, error);
    if (status == TW_STATUS_OK)
        status = start_server(self, error);
    return status;
}

int session_run(assembly *all, const session_options *options)
{
    session self = {.assembly = all,
        .options = options,
        .lock = -1,
        .report_mutex = PTHREAD_MUTEX_INITIALIZER,
        .stop = stop_on_signals(),
        .console = {.style = options->style, .assembly = all}};
    tw_error error = {0};
    char resumed[64];
    tw_report report;
    int crew_code = 0;
    tw_status status = session_open(&self, &error);
    bool is_open = status == TW_STATUS_OK;
    if (is_open) {
        (void)snprintf(resumed, sizeof resumed, "checkpoint %06llu", (unsigned long long)self.manifest.id);
        console_start(&self.console, self.manifest.id != 0 ? resumed : NULL, self.manifest.events);
        if (self.engine != NULL)
            status = tw_engine_run(self.engine, &error);
        else
            status = session_run_crew(&self, &report, &crew_code, &error);
    }
    tw_status ran = status;
    bool is_sound = status == TW_STATUS_OK || status == TW_STATUS_DATA || status == TW_STATUS_CORRUPT ||
                    status == TW_STATUS_FULL || child_code_is_final(crew_code);
    if (is_open && is_sound && (self.engine != NULL || status == TW_STATUS_OK || report.events > 0)) {
        tw_error late = {0};
        if (self.engine != NULL)
            tw_engine_report(self.engine, false, &report);
        tw_status finished = finish(&self, &report, &late);
        if (status == TW_STATUS_OK && finished < 0) {
            ran = finished;
            error = late;
        }
    }
    int code = ran < 0 && crew_code != 0 ? crew_code : exit_code_of(&self, ran);
    tw_server_stop(&self.server);
    publisher_stop(&self.publisher);
    shard_watch_stop(&self.watch);
    tw_served_destroy(&self.served);
    tw_engine_destroy(&self.engine);
    tw_model_destroy(&all->model);
    if (self.children != NULL && all->pipeline->checkpoint_dir != NULL)
        shard_list_remove(all->pipeline->checkpoint_dir);
    children_stop(&self.children);
    tw_manifest_fini(&self.manifest);
    tw_manifest_fini(&self.init);
    (void)tw_file_close(&self.lock, "lock", NULL);
    if (ran < 0)
        console_error(&error);
    return code;
}

tw_status session_parse_every(const char *text, tw_progress_policy *out, tw_error *error)
{
    int64_t duration_us = 0, events = 0;
    char number[32];
    size_t size = strlen(text);
    *out = (tw_progress_policy){0};
    if (size > 1 && size < sizeof number && text[size - 1] == 'x') {
        (void)snprintf(number, sizeof number, "%.*s", (int)size - 1, text);
        if (tw_text_to_real(number, &out->every_factor) && out->every_factor > 1)
            return TW_STATUS_OK;
    } else if (tw_text_to_int(text, &events) && events > 0) {
        out->every_events = (uint64_t)events;
        return TW_STATUS_OK;
    } else if (flags_duration("progress-every", text, &duration_us, NULL) == TW_STATUS_OK && duration_us > 0) {
        out->every_seconds = (double)duration_us / 1e6;
        return TW_STATUS_OK;
    }
    return tw_error_set(error, TW_STATUS_INVALID,
        "--progress-every %s: expected a number of events (10000), a factor above 1 (2x) or a time (5s)", text);
}

tw_status session_parse_until(const char *text, session_options *out, tw_error *error)
{
    int64_t events = 0;
    if (tw_text_to_int(text, &events) && events > 0) {
        out->until_events = (uint64_t)events;
        return TW_STATUS_OK;
    }
    if (flags_duration("until", text, &out->until_us, NULL) == TW_STATUS_OK && out->until_us > 0)
        return TW_STATUS_OK;
    return tw_error_set(
        error, TW_STATUS_INVALID, "--until %s: expected a number of events (10000) or a time (30s)", text);
}
