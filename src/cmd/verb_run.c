/* run FILE and train INPUT...: one pipeline from a file, or the same pipeline made from flags. */
#include <stdio.h>
#include <string.h>

#include "cmd/session.h"
#include "cmd/verbs.h"

#define RUN_FLAGS                                                                                                      \
    {"set", 's', "PATH=VALUE", "overrides a value of the pipeline; may be repeated"},                                  \
        {"fresh", 0, NULL, "starts over, whatever checkpoints there are"},                                             \
        {"resume", 0, NULL, "goes on from the last checkpoint; an error if there is none"},                            \
        {"accept-changes", 0, NULL, "continues a model with other learner options"},                                   \
        {"until", 0, "N|TIME", "ends after so many events in all, or after so long"},                                  \
        {"report", 0, "FILE", "writes the final figures as one JSON object"},                                          \
        {"progress", 0, "table|json|none", "how progress is shown on standard error (table)"},                         \
    {                                                                                                                  \
        "progress-every", 0, "N|Nx|TIME", "when: after N events, each time they grew N-fold, or each TIME (5s)"        \
    }

static const flag_spec run_flags[] = {RUN_FLAGS, {NULL, 0, NULL, NULL}};

static tw_status read_session(const flags *given, session_options *out, tw_error *error)
{
    static const char *const styles[] = {"table", "json", "none"};
    const char *style = flags_text(given, "progress", "table");
    int found = -1;
    for (int i = 0; i < 3; i++)
        found = strcmp(style, styles[i]) == 0 ? i : found;
    if (found < 0)
        return tw_error_set(error, TW_STATUS_INVALID, "--progress %s: expected table, json or none", style);
    if (flags_has(given, "fresh") && flags_has(given, "resume"))
        return tw_error_set(error, TW_STATUS_INVALID, "--fresh and --resume exclude each other");
    *out = (session_options){
        .start = flags_has(given, "fresh")    ? SESSION_FRESH
                 : flags_has(given, "resume") ? SESSION_RESUME
                                              : SESSION_AUTO,
        .accepts_changes = flags_has(given, "accept-changes"),
        .report_path = flags_text(given, "report", NULL),
        .style = (progress_style)found,
        .progress = {.every_seconds = 5},
    };
    tw_status status = TW_STATUS_OK;
    const char *every = flags_text(given, "progress-every", NULL);
    const char *until = flags_text(given, "until", NULL);
    if (every != NULL)
        status = session_parse_every(every, &out->progress, error);
    if (status == TW_STATUS_OK && until != NULL)
        status = session_parse_until(until, out, error);
    return status;
}

/* Values of -s, in order. */
static tw_status set_values(assembly *all, const flags *given, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < given->n_values && status == TW_STATUS_OK; i++) {
        if (strcmp(given->value[i].flag->name, "set") == 0)
            status = tw_tree_assign(all->tree, "-s", given->value[i].text, &all->problems, error);
    }
    return status;
}

/* From a filled tree to the end of the run. */
static int run_tree(assembly *all, const session_options *options, tw_status status, tw_error *error)
{
    if (status == TW_STATUS_OK)
        status = assembly_check(all, error);
    int code = tw_status_exit_code(status);
    if (status == TW_STATUS_OK)
        code = session_run(all, options);
    else if (!console_problems(all))
        console_error(error);
    assembly_fini(all);
    return code;
}

static int run_main(const verb *self, int argc, char **argv)
{
    flags given;
    session_options options;
    tw_error error = {0};
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code))
        return code;
    if (given.n_arguments > 1)
        return verb_misused(self, "one pipeline file is expected, %zu were given", given.n_arguments);
    const char *file = given.n_arguments == 1 ? given.argument[0] : "pipeline.yaml";
    if (read_session(&given, &options, &error) < 0)
        return verb_misused(self, "%s", error.message);
    assembly all;
    tw_status status = assembly_init(&all, &error);
    if (status == TW_STATUS_OK)
        status = tw_tree_load(all.tree, file, &all.problems, &error);
    if (status == TW_STATUS_NOT_FOUND && given.n_arguments == 0)
        console_note("thalweg run: there is no pipeline.yaml here; thalweg init makes a folder with one");
    if (status == TW_STATUS_OK)
        status = set_values(&all, &given, &error);
    return run_tree(&all, &options, status, &error);
}

const verb verb_run = {"run", "run [FILE] [OPTIONS]",
    "Runs a pipeline (pipeline.yaml): source to learner to sinks; serves if the file says so; ends when a bounded "
    "source ends.",
    run_flags, run_main};

/* --- train -------------------------------------------------------------------------------------------------------- */

static const flag_spec train_flags[] = {
    {"format", 'f', "vw|libsvm|csv|json|tsv-criteo", "how the input is written"},
    {"learner", 'l', "NAME", "logistic (the default, which wants no tuning), ftrl, linear, kmeans or counter"},
    {"param", 'p', "NAME=VALUE", "option of the learner; may be repeated"},
    {"name", 0, "NAME", "name of the model (model)"},
    {"label", 0, "FIELD", "field of the label (label)"},
    {"positive", 0, "A,B", "texts that mean 1"},
    {"weight", 0, "FIELD", "field of the importance"},
    {"numeric", 0, "A,B", "numeric fields; without any field named, all are used"},
    {"categorical", 0, "C,D", "categorical fields"},
    {"set-field", 0, "E,F", "fields that hold lists"},
    {"cross", 0, "C:D", "combinations of categorical fields as features; may be repeated"},
    {"scale", 0, "none|standard", "running standardisation of numeric fields"},
    {"bits", 'b', "N", "a hashed table of 2^N rows"},
    {"exact", 0, NULL, "a table with one row a key, the default"},
    {"passes", 0, "N", "times that the input is read"},
    {"solver", 0, "NAME",
        "fits the data as a whole (train.mode batch): lbfgs, owlqn, newton, ridge, lloyd, ftrl or sgd"},
    {"solver-param", 0, "NAME=VALUE", "option of the solver; may be repeated"},
    {"cache", 0, "FILE", "keeps the decoded events for later runs with --solver over the same input"},
    {"shards", 0, "N", "parameter-server shards to start"},
    {"standby", 0, "none|async|sync", "a second process for every shard, which takes over when it dies"},
    {"connect", 0, "ADDR,ADDR", "parameter-server shards that run already"},
    {"workers", 0, "N", "learning processes; with more than one they share the files in stripes"},
    {"staleness", 0, "N|unlimited", "rounds that a worker may be ahead of the slowest; 0: in step, bit-equal reruns"},
    {"init", 0, "DIR", "starts from the rows of a checkpoint"},
    {"model", 'm', "DIR", "where checkpoints, and so the model, are kept"},
    {"checkpoint-every", 0, "N|TIME", "events or time between checkpoints"},
    {"batch", 0, "N", "events of a batch (256); the model does not depend on it"},
    {"predictions", 0, "FILE", "one progressive score a line, in event order"},
    {"dead-letter", 0, "FILE", "copies of malformed records"},
    {"bad-limit", 0, "RATIO", "share of malformed records that ends the run, such as 0.1%"},
    {"rate", 0, "N/s", "replays at this rate"},
    {"follow", 0, NULL, "waits for more, as tail -F does"},
    RUN_FLAGS,
    {NULL, 0, NULL, NULL},
};

/* Flags that are one value of the pipeline. */
static const struct {
    const char *flag, *path;
} simple_paths[] = {
    {"format", "source.format.type"},
    {"learner", "model.type"},
    {"name", "name"},
    {"label", "label.field"},
    {"weight", "label.weight"},
    {"scale", "features.scale"},
    {"bits", "model.bits"},
    {"passes", "train.passes"},
    {"solver", "train.solver"},
    {"cache", "train.cache"},
    {"shards", "parameter_servers.shards"},
    {"standby", "parameter_servers.standby"},
    {"workers", "workers"},
    {"staleness", "parameter_servers.staleness"},
    {"model", "checkpoint.dir"},
    {"batch", "engine.batch"},
    {"dead-letter", "source.bad_records.dead_letter"},
    {"bad-limit", "source.bad_records.limit"},
    {"rate", "source.rate"},
};

typedef struct train_tree {
    assembly *all;
    size_t n_columns, n_crosses;
    tw_error *error;
} train_tree;

static tw_status put(train_tree *self, const char *path, const char *text, const char *flag)
{
    return tw_tree_set(self->all->tree, path, text, flag, &self->all->problems, self->error);
}

/* Calls `each` with every part of a list; at most 255 bytes a part. */
static tw_status split_list(train_tree *self,
    const char *text,
    char separator,
    const char *flag,
    tw_status (*each)(train_tree *self, const char *part, const char *flag, size_t index))
{
    char part[256];
    tw_status status = TW_STATUS_OK;
    size_t index = 0;
    while (status == TW_STATUS_OK) {
        const char *end = strchr(text, separator);
        size_t size = end != NULL ? (size_t)(end - text) : strlen(text);
        if (size >= sizeof part)
            return tw_error_set(
                self->error, TW_STATUS_INVALID, "%s: a name of %zu bytes: at most %zu", flag, size, sizeof part - 1);
        (void)snprintf(part, sizeof part, "%.*s", (int)size, text);
        status = each(self, part, flag, index++);
        if (end == NULL)
            break;
        text = end + 1;
    }
    return status;
}

static tw_status add_column(train_tree *self, const char *field, const char *flag, size_t index)
{
    char path[64];
    const char *kind = strcmp(flag, "--set-field") == 0 ? "set" : flag + 2;
    (void)index;
    (void)snprintf(path, sizeof path, "features.columns[%zu].field", self->n_columns);
    tw_status status = put(self, path, field, flag);
    (void)snprintf(path, sizeof path, "features.columns[%zu].as", self->n_columns++);
    return status == TW_STATUS_OK ? put(self, path, kind, flag) : status;
}

static tw_status add_cross_field(train_tree *self, const char *field, const char *flag, size_t index)
{
    char path[64];
    (void)snprintf(path, sizeof path, "features.crosses[%zu][%zu]", self->n_crosses, index);
    return put(self, path, field, flag);
}

static tw_status add_connect(train_tree *self, const char *address, const char *flag, size_t index)
{
    char path[64];
    (void)snprintf(path, sizeof path, "parameter_servers.connect[%zu]", index);
    return put(self, path, address, flag);
}

static tw_status add_positive(train_tree *self, const char *text, const char *flag, size_t index)
{
    char path[64];
    (void)snprintf(path, sizeof path, "label.positive[%zu]", index);
    return put(self, path, text, flag);
}

static tw_status add_param(train_tree *self, const char *text, const char *block, const char *flag)
{
    char path[160];
    const char *equals = strchr(text, '=');
    if (equals == NULL)
        return tw_error_set(self->error, TW_STATUS_INVALID, "%s %s: expected NAME=VALUE", flag, text);
    (void)snprintf(path, sizeof path, "%s.%.*s", block, (int)(equals - text), text);
    return put(self, path, equals + 1, flag);
}

static tw_status add_period(train_tree *self, const char *text)
{
    int64_t events = 0;
    if (tw_text_to_int(text, &events)) {
        tw_status status = put(self, "checkpoint.every.events", text, "--checkpoint-every");
        return status == TW_STATUS_OK ? put(self, "checkpoint.every.time", "0s", "--checkpoint-every") : status;
    }
    return put(self, "checkpoint.every.time", text, "--checkpoint-every");
}

static tw_status add_flag(train_tree *self, const flag_value *value)
{
    char flag[40];
    const char *name = value->flag->name;
    (void)snprintf(flag, sizeof flag, "--%s", name);
    for (size_t i = 0; i < sizeof simple_paths / sizeof simple_paths[0]; i++) {
        if (strcmp(simple_paths[i].flag, name) == 0)
            return put(self, simple_paths[i].path, value->text, flag);
    }
    if (strcmp(name, "param") == 0)
        return add_param(self, value->text, "model.params", "-p");
    if (strcmp(name, "solver-param") == 0)
        return add_param(self, value->text, "train.params", flag);
    if (strcmp(name, "numeric") == 0 || strcmp(name, "categorical") == 0 || strcmp(name, "set-field") == 0)
        return split_list(self, value->text, ',', flag, add_column);
    if (strcmp(name, "cross") == 0) {
        tw_status status = split_list(self, value->text, ':', flag, add_cross_field);
        self->n_crosses++;
        return status;
    }
    if (strcmp(name, "connect") == 0)
        return split_list(self, value->text, ',', flag, add_connect);
    if (strcmp(name, "positive") == 0)
        return split_list(self, value->text, ',', flag, add_positive);
    if (strcmp(name, "checkpoint-every") == 0)
        return add_period(self, value->text);
    if (strcmp(name, "follow") == 0)
        return put(self, "source.follow", "true", flag);
    return TW_STATUS_OK;
}

static tw_status add_predictions(train_tree *self, const char *path)
{
    tw_status status = put(self, "sinks[0].type", "predictions", "--predictions");
    return status == TW_STATUS_OK ? put(self, "sinks[0].path", path, "--predictions") : status;
}

static tw_status fill_tree(train_tree *self, const flags *given)
{
    char path[40];
    tw_status status = put(self, "version", "1", "train");
    if (status == TW_STATUS_OK && !flags_has(given, "name"))
        status = put(self, "name", "model", "train");
    if (status == TW_STATUS_OK && !flags_has(given, "learner"))
        status = put(self, "model.type", "logistic", "train");
    bool is_hashed = flags_has(given, "bits");
    if (status == TW_STATUS_OK)
        status = put(self, "model.table", is_hashed ? "hashed" : "exact", is_hashed ? "--bits" : "train");
    for (size_t i = 0; i < given->n_values && status == TW_STATUS_OK; i++)
        status = add_flag(self, &given->value[i]);
    const char *predictions = flags_text(given, "predictions", NULL);
    if (status == TW_STATUS_OK && predictions != NULL)
        status = add_predictions(self, predictions);
    for (size_t i = 0; i < given->n_arguments && status == TW_STATUS_OK; i++) {
        (void)snprintf(path, sizeof path, "source.path[%zu]", i);
        status = put(self, path, given->argument[i], "INPUT");
    }
    return status == TW_STATUS_OK ? set_values(self->all, given, self->error) : status;
}

static int train_main(const verb *self, int argc, char **argv)
{
    flags given;
    session_options options;
    tw_error error = {0};
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code))
        return code;
    if (given.n_arguments == 0)
        return verb_misused(self, "no input: name files, or - for standard input");
    if (!flags_has(&given, "format"))
        return verb_misused(self, "--format is needed");
    if (flags_has(&given, "bits") && flags_has(&given, "exact"))
        return verb_misused(self, "--bits and --exact exclude each other");
    if (read_session(&given, &options, &error) < 0)
        return verb_misused(self, "%s", error.message);
    options.init_directory = flags_text(&given, "init", NULL);
    assembly all;
    train_tree tree = {.all = &all, .error = &error};
    tw_status status = assembly_init(&all, &error);
    if (status == TW_STATUS_OK)
        status = fill_tree(&tree, &given);
    return run_tree(&all, &options, status, &error);
}

const verb verb_train = {"train", "train --format F [OPTIONS] INPUT...",
    "Trains on files, without a pipeline file. INPUT may be - and may be compressed (.gz, .zst).", train_flags,
    train_main};
