/* worker: one of several workers on one pipeline: its share of the input, learned into shards that all of them use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "cmd/cause.h"
#include "cmd/child.h"
#include "cmd/console.h"
#include "cmd/input_layout.h"
#include "cmd/security.h"
#include "cmd/stop.h"
#include "cmd/verbs.h"
#include "cmd/worker_state.h"
#include "config/fingerprint.h"

enum { MAX_RECORD_BYTES = 8 << 20, WORKER_MAX_COUNT = 1024, WORKER_MAX_MARKS = 4096 };

static const flag_spec worker_flags[] = {
    {"worker", 0, "I/N", "this worker's number, from 0, of how many: it reads every N-th stripe of the files"},
    {"connect", 0, "ADDR", "a shard's address, in the order of their numbers; repeat it (parameter_servers.connect)"},
    {"coordinator", 0, "ADDR", "instead of both, A or A|B: gives it shares of the input and says where the shards are"},
    {"coordinator-key", 0, "KEY",
        "public key of the coordinator, as text or as a file (parameter_servers.security.server_key)"},
    {"name", 0, "NAME", "of this worker; no two may live at a time (the process id)"},
    {"set", 's', "PATH=VALUE", "overrides a value of the pipeline; may be repeated"},
    {"figures", 0, "FILE", "where its figures go, each second and when it finishes"},
    {"child-of", 0, "PID", "ends when that process does"},
    {NULL, 0, NULL, NULL},
};

static tw_status parse_share(worker_run *self, const char *text, tw_error *error)
{
    char *end = NULL;
    unsigned long i = strtoul(text, &end, 10);
    unsigned long n = *end == '/' && end != text ? strtoul(end + 1, &end, 10) : 0;
    if (*end != '\0' || n < 1 || n > WORKER_MAX_COUNT || i >= n)
        return tw_error_set(error, TW_STATUS_INVALID,
            "--worker %s: expected I/N with I from 0 to N - 1 and N from 1 to %d", text, WORKER_MAX_COUNT);
    self->index = (uint32_t)i;
    self->count = (uint32_t)n;
    return TW_STATUS_OK;
}

/* Files as stripes, of which this worker reads its share. */
static tw_status share_input(
    worker_run *self, tw_input *input, const char *share, tw_option_values **out, tw_error *error)
{
    char size[32];
    const tw_source_ops *stripes = tw_registry_source(&self->all.registry, "stripes");
    tw_option_values *options = NULL;
    tw_status status = tw_option_values_create(stripes->options, &options, error);
    for (size_t i = 0; i < tw_option_count(input->source_options, "path") && status == TW_STATUS_OK; i++)
        status = tw_option_append(options, "path", tw_option_item(input->source_options, "path", i), error);
    if (status == TW_STATUS_OK)
        status = tw_option_set(options, "share", share, error);
    (void)snprintf(size, sizeof size, "%llu", (unsigned long long)self->all.pipeline->stripe_bytes);
    if (status == TW_STATUS_OK)
        status = tw_option_set(options, "size", size, error);
    tw_option_values_destroy(out);
    *out = options;
    input->source = stripes;
    input->source_options = options;
    return status;
}

tw_status worker_take_share(worker_run *self, uint32_t index, uint32_t count, tw_error *error)
{
    char share[32];
    uint32_t n = self->all.pipeline->n_sources;
    if (self->stripe == NULL)
        self->stripe = tw_alloc_zero((n + 1) * sizeof *self->stripe);
    if (self->stripe == NULL)
        return tw_no_memory(error, n * sizeof *self->stripe);
    (void)snprintf(share, sizeof share, "%u/%u", index, count);
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < n && status == TW_STATUS_OK; i++)
        status = share_input(self, &self->all.input[i], share, &self->stripe[i].options, error);
    return status;
}

static void tell_waiting(void *context, uint32_t shard, const char *address, int64_t waited_ms)
{
    worker_run *self = context;
    if (self->member != NULL)
        worker_follow_map(self);
    const tw_pipeline *pipeline = self->all.pipeline;
    if (console_is_due(waited_ms))
        console_note("worker %s: waiting for shard %u at %s for %lld of %lld s%s", self->name, shard, address,
            (long long)(waited_ms / 1000), (long long)(pipeline->shard_timeout_us / 1000000), security_hint(pipeline));
}

static void tell_waiting_for_worker(void *context, const tw_remote_wait *wait)
{
    const worker_run *self = context;
    if (wait->waited_ms < 3000)
        return;
    if (wait->round == 0) {
        console_note("worker %s: waiting for a seat at shard %u at %s for %lld s, in which nobody learned; %s has one",
            self->name, wait->shard, wait->address, (long long)(wait->waited_ms / 1000), wait->holder);
        return;
    }
    if (wait->worker_round == 0)
        console_note("worker %u of %u: in round %u, waiting for worker %u to come to shard %u at %s for %lld s",
            self->index, self->count, wait->round, wait->worker, wait->shard, wait->address,
            (long long)(wait->waited_ms / 1000));
    else
        console_note("worker %u of %u: in round %u, waiting for worker %u, in round %u, at shard %u at %s for %lld s",
            self->index, self->count, wait->round, wait->worker, wait->worker_round, wait->shard, wait->address,
            (long long)(wait->waited_ms / 1000));
}

/* All bits of a digest of 64 in 32. */
static uint32_t fold(uint64_t digest)
{
    return (uint32_t)(digest ^ digest >> 32);
}

static tw_status pipeline_digest(const worker_run *self, tw_pipeline_digest *out, tw_error *error)
{
    static const tw_fingerprint_part part[] = {
        [TW_PIPELINE_FEATURES] = TW_FINGERPRINT_FEATURES,
        [TW_PIPELINE_MODEL] = TW_FINGERPRINT_MODEL,
        [TW_PIPELINE_PARAMS] = TW_FINGERPRINT_PARAMS,
    };
    tw_status status = TW_STATUS_OK;
    for (int i = 0; i < TW_PIPELINE_STRIPE && status == TW_STATUS_OK; i++) {
        uint64_t digest = 0;
        status = tw_fingerprint_of(self->all.canonical.bytes, part[i], &digest, error);
        out->part[i] = fold(tw_mix64(digest));
    }
    out->part[TW_PIPELINE_STRIPE] = fold(tw_mix64(self->all.pipeline->stripe_bytes));
    return status;
}

tw_status worker_attach(worker_run *self, tw_error *error)
{
    const tw_pipeline *pipeline = self->all.pipeline;
    for (uint32_t i = 0; self->n_shards == 0 && i < pipeline->connect.count && i < TW_MAX_SHARDS; i++)
        self->address[i] = pipeline->connect.item[i];
    if (self->n_shards == 0)
        self->n_shards = pipeline->connect.count;
    if (self->n_shards == 0)
        return tw_error_set(error, TW_STATUS_CONFIG,
            "a worker learns into shards that run already: name them by --connect or parameter_servers.connect");
    tw_params *params = NULL;
    client_security keys;
    const tw_socket_security *security = NULL;
    tw_status status = TW_STATUS_OK;
    bool is_far = self->coordinator != NULL && strncmp(self->coordinator, "ipc://", strlen("ipc://")) != 0;
    if (pipeline->connect.count > 0 || is_far)
        status = security_of_pipeline(&keys, pipeline, &security, error);
    tw_remote_options remote = {
        .address = self->address,
        .n_shards = self->n_shards,
        .model = pipeline->name,
        .role = TW_ROLE_PEER,
        .timeout_ms = (int)(pipeline->shard_timeout_us / 1000),
        .security = security,
        .worker = {.index = self->index,
            .count = self->coordinator == NULL ? self->count : 0, /* it has no number of its own there */
            .staleness = pipeline->staleness},
        .stop = self->stop,
        .progress = tell_waiting,
        .waiting = tell_waiting_for_worker,
        .context = self,
    };
    if (status == TW_STATUS_OK)
        status = pipeline_digest(self, &remote.pipeline, error);
    if (status == TW_STATUS_OK)
        status = tw_remote_create(tw_model_table_spec(self->all.model), &remote, &params, error);
    security_fini(&keys);
    if (status < 0)
        return status;
    self->params = params;
    tw_model_attach(self->all.model, params);
    if (!self->is_child)
        console_note("worker %s: learns %s on %u shard%s", self->name, pipeline->name, self->n_shards,
            self->n_shards == 1 ? "" : "s");
    tw_model_set_workers(self->all.model, self->count);
    if (pipeline->is_flight_free)
        tw_model_free_flight(self->all.model);
    return TW_STATUS_OK;
}

/* What the shards know of the splits of one input: where each goes on. */
static tw_status know_splits(worker_run *self, const tw_split *split, size_t n, tw_error *error)
{
    uint64_t *marks = tw_alloc(WORKER_MAX_MARKS * sizeof *marks);
    tw_status status = marks != NULL ? TW_STATUS_OK : tw_no_memory(error, WORKER_MAX_MARKS * sizeof *marks);
    for (size_t i = 0; i < n && status == TW_STATUS_OK; i++) {
        uint32_t n_marks = WORKER_MAX_MARKS;
        status = tw_model_marks(self->all.model, split[i].id, marks, &n_marks, error);
        if (status == TW_STATUS_OK)
            status = tw_grow(&self->known, sizeof *self->known, &self->known_capacity, self->n_known + 1, error);
        if (status < 0 || marks[n_marks - 1] == 0)
            continue;
        self->known[self->n_known] = split[i];
        self->known[self->n_known++].offset = marks[0];
    }
    tw_free(marks);
    return status;
}

static tw_status visit_input(worker_run *self, const tw_input *input, worker_splits_visit visit, tw_error *error)
{
    void *source = tw_alloc_aligned(64, input->source->state_size(input->source_options) + 64);
    if (source == NULL)
        return tw_no_memory(error, 0);
    tw_status status = input->source->open(source, input->source_options, NULL, 0, tw_host_default(), error);
    if (status >= 0) {
        size_t n = 0;
        const tw_split *split = input->source->splits(source, &n);
        status = visit(self, split, n, error);
        input->source->close(source);
    }
    tw_free(source);
    return status < 0 ? status : TW_STATUS_OK;
}

tw_status worker_visit_splits(worker_run *self, worker_splits_visit visit, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; status == TW_STATUS_OK && i < self->all.pipeline->n_sources; i++)
        status = visit_input(self, &self->all.input[i], visit, error);
    return status;
}

/* For the run that started this worker, at most each second: what ended engines and the one that runs add up to. One
 * that cannot be written is not missed: the last one counts. */
static void show_figures(worker_run *self, tw_engine *engine)
{
    crew_figures sum;
    int64_t now_us = tw_clock_monotonic_us();
    if (self->figures_path == NULL || now_us - self->shown_us < (int64_t)(WORKER_SHOW_S * 1e6))
        return;
    self->shown_us = now_us;
    tw_status status = crew_figures_init(&sum, &self->all, NULL);
    if (status == TW_STATUS_OK)
        crew_figures_add(&sum, &self->figures);
    if (status == TW_STATUS_OK && engine != NULL)
        status = crew_figures_add_engine(&sum, engine, NULL);
    if (status == TW_STATUS_OK)
        (void)!crew_figures_write(&sum, self->figures_path, NULL);
    crew_figures_fini(&sum);
}

static void on_event(void *context, tw_engine_event event, const tw_report *report, const tw_error *error)
{
    worker_run *self = context;
    if (self->member != NULL && event == TW_ENGINE_PROGRESS)
        worker_follow_members(self);
    if (event == TW_ENGINE_PROGRESS)
        show_figures(self, self->engine);
    console_event(&self->console, event, report, error);
}

/* Once: where a stripe of an earlier pass ends and what has grown since begins, its mark does not say. */
static void tell_passes(worker_run *self, uint64_t passes, uint64_t pass)
{
    if (pass < passes || self->is_told_passes)
        return;
    self->is_told_passes = true;
    console_note("thalweg: warning: worker %s: train.passes is %llu and the model is in pass %llu: no further pass is "
                 "begun, but the stripes of this one are learned to their ends",
        self->name, (unsigned long long)passes, (unsigned long long)pass + 1);
}

static tw_status make_engine(worker_run *self, uint64_t passes, const atomic_bool *stop, tw_error *error)
{
    const tw_pipeline *pipeline = self->all.pipeline;
    const tw_pipeline_source *source = &pipeline->source[0];
    uint64_t pass = UINT64_MAX;
    for (size_t i = 0; i < self->n_known; i++)
        pass = self->known[i].offset >> TW_PASS_SHIFT < pass ? self->known[i].offset >> TW_PASS_SHIFT : pass;
    pass = pass == UINT64_MAX ? 0 : pass;
    tell_passes(self, self->all.pipeline->passes, pass);
    tw_engine_options options = {
        .model = self->all.model,
        .is_learning = true,
        .evaluation = assembly_evaluation(&self->all),
        .input = self->all.input,
        .n_inputs = pipeline->n_sources,
        .batch_events = pipeline->batch_events,
        /* Where reruns are to be equal, time decides nothing. */
        .max_latency_us = pipeline->staleness == 0 && self->count > 1 ? INT64_MAX : pipeline->max_latency_us,
        .queue_batches = pipeline->queue_batches,
        .passes = passes,
        .rate_per_s = source->events_per_s / self->count,
        .max_record_bytes = MAX_RECORD_BYTES,
        .bad = {.is_stopping = source->is_bad_fatal, .limit = source->bad_limit},
        .known = self->known,
        .n_known = self->n_known,
        .known_pass = pass,
        .progress = {.every_seconds = self->member != NULL ? WORKER_FOLLOW_S : WORKER_SHOW_S},
        .listener = on_event,
        .listener_context = self,
        .stop = stop,
    };
    return tw_engine_create(&options, &self->engine, error);
}

tw_status worker_run_engine(worker_run *self, uint64_t passes, const atomic_bool *stop, tw_error *error)
{
    self->n_known = 0;
    tw_status status = worker_visit_splits(self, know_splits, error);
    if (status == TW_STATUS_OK)
        status = make_engine(self, passes, stop, error);
    if (status == TW_STATUS_OK)
        status = tw_engine_run(self->engine, error);
    if (status == TW_STATUS_OK)
        status = crew_figures_add_engine(&self->figures, self->engine, error);
    tw_engine_destroy(&self->engine);
    if (status == TW_STATUS_OK)
        show_figures(self, NULL);
    return status;
}

static tw_status learn_own_share(worker_run *self, tw_error *error)
{
    tw_status status = worker_take_share(self, self->index, self->count, error);
    if (status == TW_STATUS_OK)
        status = worker_attach(self, error);
    if (status == TW_STATUS_OK && !self->is_child)
        console_note_standbys(self->address, self->n_shards);
    if (status == TW_STATUS_OK)
        status = input_layout_check(&self->all, false, error);
    if (status == TW_STATUS_OK)
        status = worker_run_engine(self, self->all.pipeline->passes, self->stop, error);
    return status;
}

/* Of a worker that was started by hand. */
static void tell_end(worker_run *self)
{
    tw_report learned = {0};
    crew_figures_report(&self->figures, &learned);
    if (!self->is_child)
        console_note("worker %s: %s: learned %llu events, %llu malformed", self->name,
            atomic_load(self->stop) ? "stopped" : "finished", (unsigned long long)learned.figures.events,
            (unsigned long long)learned.bad_events);
}

static tw_status worker_learn(worker_run *self, tw_error *error)
{
    tw_status status = assembly_check(&self->all, error);
    if (status == TW_STATUS_OK)
        status = assembly_build(&self->all, error);
    if (status == TW_STATUS_OK)
        status = crew_figures_init(&self->figures, &self->all, error);
    if (status == TW_STATUS_OK && self->coordinator != NULL &&
        self->all.pipeline->staleness != TW_STALENESS_UNLIMITED) {
        status = tw_error_set(error, TW_STATUS_CONFIG,
            "parameter_servers.staleness: workers keep rounds with fixed shares only; start it with --worker I/N");
        tw_error_code(error, "E125");
    }
    if (status == TW_STATUS_OK)
        status = self->coordinator != NULL ? worker_learn_shares(self, error) : learn_own_share(self, error);
    if (status == TW_STATUS_CANCELLED && atomic_load(self->stop))
        status = TW_STATUS_OK;
    if (status == TW_STATUS_OK && self->figures_path != NULL)
        status = crew_figures_write(&self->figures, self->figures_path, error);
    if (status == TW_STATUS_OK)
        tell_end(self);
    return status;
}

static void worker_fini(worker_run *self)
{
    tw_member_stop(&self->member);
    crew_figures_fini(&self->figures);
    tw_model_destroy(&self->all.model);
    for (uint32_t i = 0; self->stripe != NULL && i < self->all.pipeline->n_sources; i++)
        tw_option_values_destroy(&self->stripe[i].options);
    tw_free(self->stripe);
    tw_free(self->known);
    assembly_fini(&self->all);
}

static tw_status read_flags(worker_run *self, const flags *given, tw_error *error)
{
    self->is_child = flags_has(given, "child-of");
    self->figures_path = flags_text(given, "figures", NULL);
    self->coordinator = flags_text(given, "coordinator", NULL);
    self->coordinator_key = flags_text(given, "coordinator-key", NULL);
    const char *name = flags_text(given, "name", NULL);
    if (name != NULL && (name[0] == '\0' || strlen(name) >= sizeof self->name))
        return tw_error_set(
            error, TW_STATUS_INVALID, "--name \"%.70s\": 1 to %zu bytes are expected", name, sizeof self->name - 1);
    for (size_t i = 0; i < given->n_values; i++) {
        if (strcmp(given->value[i].flag->name, "connect") != 0)
            continue;
        if (self->n_shards == TW_MAX_SHARDS)
            return tw_error_set(error, TW_STATUS_INVALID, "--connect: at most %d shards", TW_MAX_SHARDS);
        self->address[self->n_shards++] = given->value[i].text;
    }
    if (self->coordinator != NULL && (self->n_shards > 0 || flags_has(given, "worker")))
        return tw_error_set(error, TW_STATUS_INVALID, "--coordinator stands instead of --worker and --connect");
    self->count = 1;
    tw_status status =
        self->coordinator != NULL ? TW_STATUS_OK : parse_share(self, flags_text(given, "worker", ""), error);
    if (name != NULL)
        (void)snprintf(self->name, sizeof self->name, "%s", name);
    else if (self->coordinator != NULL)
        (void)snprintf(self->name, sizeof self->name, "%ld", (long)getpid());
    else
        (void)snprintf(self->name, sizeof self->name, "%u of %u", self->index, self->count);
    return status;
}

static tw_status read_pipeline(worker_run *self, const flags *given, tw_error *error)
{
    tw_status status = assembly_init(&self->all, error);
    if (status == TW_STATUS_OK)
        status = tw_tree_load(self->all.tree, given->argument[0], &self->all.problems, error);
    for (size_t i = 0; i < given->n_values && status == TW_STATUS_OK; i++) {
        if (strcmp(given->value[i].flag->name, "set") == 0)
            status = tw_tree_assign(self->all.tree, "-s", given->value[i].text, &self->all.problems, error);
    }
    return status;
}

/* Who is not started again leaves it to the run to say why. */
static void tell_failure(const worker_run *self, tw_status status, const tw_error *error)
{
    char path[4096];
    bool is_for_the_run = self->is_child && self->figures_path != NULL && error->status == status &&
                          child_code_is_final(tw_status_exit_code(status));
    if (is_for_the_run) {
        cause_path(self->figures_path, path, sizeof path);
        is_for_the_run = cause_write(path, error, NULL) == TW_STATUS_OK;
    }
    if (!is_for_the_run)
        console_error(error);
}

static int worker_main(const verb *self, int argc, char **argv)
{
    flags given;
    tw_error error = {0};
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code))
        return code;
    if (given.n_arguments != 1 || (!flags_has(&given, "worker") && !flags_has(&given, "coordinator")))
        return verb_misused(self, "a pipeline file and --worker or --coordinator are needed");
    worker_run run = {.stop = stop_on_signals()};
    run.console = (console){.style = PROGRESS_NONE, .assembly = &run.all};
    if (read_flags(&run, &given, &error) < 0)
        return verb_misused(self, "%s", error.message);
    const char *parent = flags_text(&given, "child-of", NULL);
    if (parent != NULL && !stop_with_parent(parent))
        return tw_status_exit_code(TW_STATUS_UNAVAILABLE);
    tw_status status = read_pipeline(&run, &given, &error);
    if (status == TW_STATUS_OK)
        status = worker_learn(&run, &error);
    if (status < 0 && !console_problems(&run.all))
        tell_failure(&run, status, &error);
    worker_fini(&run);
    /* Ended before its share was read: not finished. With a coordinator somebody else takes it. */
    if (status == TW_STATUS_OK && atomic_load(run.stop) && (run.coordinator == NULL || parent != NULL))
        status = TW_STATUS_BUSY;
    return tw_status_exit_code(status);
}

const verb verb_worker = {"worker", "worker FILE --coordinator ADDR | worker FILE --worker I/N [--connect ADDR]...",
    "One of several workers that learn one model together, into shards that run already.", worker_flags, worker_main};
