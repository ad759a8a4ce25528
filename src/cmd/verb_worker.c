/* worker: one of several workers on one pipeline: its share of the input, learned into shards that all of them use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "cmd/console.h"
#include "cmd/security.h"
#include "cmd/stop.h"
#include "cmd/verbs.h"
#include "ps/remote.h"

enum { MAX_RECORD_BYTES = 8 << 20, WORKER_MAX_COUNT = 1024, WORKER_MAX_MARKS = 4096 };

static const flag_spec worker_flags[] = {
    {"worker", 0, "I/N", "this worker's number, from 0, of how many: it reads every N-th stripe of the files"},
    {"connect", 0, "ADDR", "a shard's address, in the order of their numbers; repeat it (parameter_servers.connect)"},
    {"set", 's', "PATH=VALUE", "overrides a value of the pipeline; may be repeated"},
    {"figures", 0, "FILE", "where its figures go when it finishes"},
    {"child-of", 0, "PID", "ends when that process does"},
    {NULL, 0, NULL, NULL},
};

/* The options of the source `stripes` that stands before an input. */
typedef struct stripe_choice {
    tw_option_values *options;
} stripe_choice;

typedef struct worker_run {
    assembly all;
    uint32_t index, count;
    const char *address[TW_MAX_SHARDS];
    uint32_t n_shards;
    const char *figures_path;
    atomic_bool *stop;
    console console;
    stripe_choice *stripe; /* [n_sources] */
    tw_split *known;
    size_t n_known, known_capacity;
    tw_engine *engine;
} worker_run;

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
static tw_status share_input(worker_run *self, tw_input *input, tw_option_values **out, tw_error *error)
{
    char share[32];
    const tw_source_ops *stripes = tw_registry_source(&self->all.registry, "stripes");
    (void)snprintf(share, sizeof share, "%u/%u", self->index, self->count);
    tw_status status = tw_option_values_create(stripes->options, out, error);
    for (size_t i = 0; i < tw_option_count(input->source_options, "path") && status == TW_STATUS_OK; i++)
        status = tw_option_append(*out, "path", tw_option_item(input->source_options, "path", i), error);
    if (status == TW_STATUS_OK)
        status = tw_option_set(*out, "share", share, error);
    input->source = stripes;
    input->source_options = *out;
    return status;
}

static tw_status share_inputs(worker_run *self, tw_error *error)
{
    uint32_t n = self->all.pipeline->n_sources;
    self->stripe = tw_alloc_zero((n + 1) * sizeof *self->stripe);
    if (self->stripe == NULL)
        return tw_no_memory(error, n * sizeof *self->stripe);
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < n && status == TW_STATUS_OK; i++)
        status = share_input(self, &self->all.input[i], &self->stripe[i].options, error);
    return status;
}

static void tell_waiting(void *context, uint32_t shard, const char *address, int64_t waited_ms)
{
    const worker_run *self = context;
    if (waited_ms >= 3000)
        console_note("worker %u of %u: waiting for shard %u at %s for %lld s", self->index, self->count, shard, address,
            (long long)(waited_ms / 1000));
}

static tw_status attach_shards(worker_run *self, tw_error *error)
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
    if (pipeline->connect.count > 0)
        status = security_of_pipeline(&keys, pipeline, &security, error);
    tw_remote_options remote = {
        .address = self->address,
        .n_shards = self->n_shards,
        .model = pipeline->name,
        .role = TW_ROLE_PEER,
        .timeout_ms = (int)(pipeline->shard_timeout_us / 1000),
        .security = security,
        .progress = tell_waiting,
        .context = self,
    };
    if (status == TW_STATUS_OK)
        status = tw_remote_create(tw_model_table_spec(self->all.model), &remote, &params, error);
    security_fini(&keys);
    if (status < 0)
        return status;
    tw_model_attach(self->all.model, params);
    tw_model_set_workers(self->all.model, self->count);
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

static tw_status know_input(worker_run *self, const tw_input *input, tw_error *error)
{
    void *source = tw_alloc_aligned(64, input->source->state_size(input->source_options) + 64);
    if (source == NULL)
        return tw_no_memory(error, 0);
    tw_status status = input->source->open(source, input->source_options, NULL, 0, tw_host_default(), error);
    if (status >= 0) {
        size_t n = 0;
        const tw_split *split = input->source->splits(source, &n);
        status = know_splits(self, split, n, error);
        input->source->close(source);
    }
    tw_free(source);
    return status < 0 ? status : TW_STATUS_OK;
}

static void on_event(void *context, tw_engine_event event, const tw_report *report, const tw_error *error)
{
    worker_run *self = context;
    console_event(&self->console, event, report, error);
}

static tw_status make_engine(worker_run *self, tw_error *error)
{
    const tw_pipeline *pipeline = self->all.pipeline;
    const tw_pipeline_source *source = &pipeline->source[0];
    uint64_t pass = UINT64_MAX;
    for (size_t i = 0; i < self->n_known; i++)
        pass = self->known[i].offset >> TW_PASS_SHIFT < pass ? self->known[i].offset >> TW_PASS_SHIFT : pass;
    tw_engine_options options = {
        .model = self->all.model,
        .is_learning = true,
        .evaluation = assembly_evaluation(&self->all),
        .input = self->all.input,
        .n_inputs = pipeline->n_sources,
        .batch_events = pipeline->batch_events,
        .max_latency_us = pipeline->max_latency_us,
        .queue_batches = pipeline->queue_batches,
        .passes = pipeline->passes,
        .rate_per_s = source->events_per_s / self->count,
        .max_record_bytes = MAX_RECORD_BYTES,
        .bad = {.is_stopping = source->is_bad_fatal, .limit = source->bad_limit},
        .known = self->known,
        .n_known = self->n_known,
        .known_pass = pass == UINT64_MAX ? 0 : pass,
        .listener = on_event,
        .listener_context = self,
        .stop = self->stop,
    };
    return tw_engine_create(&options, &self->engine, error);
}

/* The report, then the state of the metrics: read by the run that started this worker. */
static tw_status write_figures(worker_run *self, tw_error *error)
{
    tw_report report;
    void *metrics = NULL;
    size_t size = 0;
    if (self->figures_path == NULL)
        return TW_STATUS_OK;
    tw_engine_report(self->engine, false, &report);
    tw_status status = tw_engine_save_metrics(self->engine, &metrics, &size, error);
    unsigned char *bytes = status == TW_STATUS_OK ? tw_alloc(sizeof report + size) : NULL;
    if (status == TW_STATUS_OK && bytes == NULL)
        status = tw_no_memory(error, sizeof report + size);
    if (status == TW_STATUS_OK) {
        memcpy(bytes, &report, sizeof report);
        memcpy(bytes + sizeof report, metrics, size);
        status = tw_file_store(self->figures_path, bytes, sizeof report + size, error);
    }
    tw_free(bytes);
    tw_free(metrics);
    return status;
}

static tw_status worker_learn(worker_run *self, tw_error *error)
{
    tw_status status = assembly_check(&self->all, error);
    if (status == TW_STATUS_OK)
        status = assembly_build(&self->all, error);
    if (status == TW_STATUS_OK)
        status = share_inputs(self, error);
    if (status == TW_STATUS_OK)
        status = attach_shards(self, error);
    for (uint32_t i = 0; status == TW_STATUS_OK && i < self->all.pipeline->n_sources; i++)
        status = know_input(self, &self->all.input[i], error);
    if (status == TW_STATUS_OK)
        status = make_engine(self, error);
    if (status == TW_STATUS_OK)
        status = tw_engine_run(self->engine, error);
    if (status == TW_STATUS_OK)
        status = write_figures(self, error);
    return status;
}

static void worker_fini(worker_run *self)
{
    tw_engine_destroy(&self->engine);
    tw_model_destroy(&self->all.model);
    for (uint32_t i = 0; self->stripe != NULL && i < self->all.pipeline->n_sources; i++)
        tw_option_values_destroy(&self->stripe[i].options);
    tw_free(self->stripe);
    tw_free(self->known);
    assembly_fini(&self->all);
}

static tw_status read_flags(worker_run *self, const flags *given, tw_error *error)
{
    self->figures_path = flags_text(given, "figures", NULL);
    for (size_t i = 0; i < given->n_values; i++) {
        if (strcmp(given->value[i].flag->name, "connect") != 0)
            continue;
        if (self->n_shards == TW_MAX_SHARDS)
            return tw_error_set(error, TW_STATUS_INVALID, "--connect: at most %d shards", TW_MAX_SHARDS);
        self->address[self->n_shards++] = given->value[i].text;
    }
    return parse_share(self, flags_text(given, "worker", ""), error);
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

static int worker_main(const verb *self, int argc, char **argv)
{
    flags given;
    tw_error error = {0};
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code))
        return code;
    if (given.n_arguments != 1 || !flags_has(&given, "worker"))
        return verb_misused(self, "a pipeline file and --worker are needed");
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
        console_error(&error);
    worker_fini(&run);
    /* Ended before its share was read: not finished. */
    if (status == TW_STATUS_OK && atomic_load(run.stop))
        status = TW_STATUS_BUSY;
    return tw_status_exit_code(status);
}

const verb verb_worker = {"worker", "worker FILE --worker I/N [--connect ADDR]...",
    "One of N workers that learn one model together: it reads its share of the files into shards that run already.",
    worker_flags, worker_main};
