#include "cmd/scoring.h"

#include <stdio.h>
#include <string.h>

#include "cmd/console.h"
#include "cmd/saved.h"

enum { SCORING_BATCH = 1024, SCORING_LATENCY_US = 50000, SCORING_QUEUE = 4, MAX_RECORD_BYTES = 8 << 20 };

/* The saved pipeline with this input in place of its source; format, label and time stay. */
static tw_status replace_source(scoring *self, const scoring_options *options, tw_error *error)
{
    static const char *const own_keys[] = {"type", "path", "follow", "poll", "from", "rate", "bad_records"};
    tw_tree *tree = self->all.tree;
    const tw_node *source = tw_tree_find(tree, "source");
    bool is_list = source != NULL && source->kind == TW_NODE_LIST;
    const char *prefix = is_list ? "source[0]" : "source";
    char path[64];
    while (is_list && tw_tree_find(tree, "source[1]") != NULL)
        tw_tree_remove(tree, "source[1]");
    for (size_t i = 0; i < sizeof own_keys / sizeof own_keys[0]; i++) {
        (void)snprintf(path, sizeof path, "%s.%s", prefix, own_keys[i]);
        tw_tree_remove(tree, path);
    }
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < options->n_inputs && status == TW_STATUS_OK; i++) {
        (void)snprintf(path, sizeof path, "%s.path[%zu]", prefix, i);
        status = tw_tree_set(tree, path, options->input[i], "INPUT", &self->all.problems, error);
    }
    if (status < 0 || options->format == NULL)
        return status;
    (void)snprintf(path, sizeof path, "%s.format", prefix);
    tw_tree_remove(tree, path);
    (void)snprintf(path, sizeof path, "%s.format.type", prefix);
    return tw_tree_set(tree, path, options->format, "--format", &self->all.problems, error);
}

/* `text` has commas between its fields. */
static tw_status replace_slices(scoring *self, const char *text, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    tw_tree_remove(self->all.tree, "evaluate.slices");
    for (size_t i = 0; status == TW_STATUS_OK && *text != '\0'; i++) {
        char path[40], field[256];
        size_t size = strcspn(text, ",");
        if (size >= sizeof field)
            return tw_error_set(error, TW_STATUS_CONFIG, "--slices: a field's name of %zu bytes is too long", size);
        (void)snprintf(path, sizeof path, "evaluate.slices[%zu]", i);
        (void)snprintf(field, sizeof field, "%.*s", (int)size, text);
        status = tw_tree_set(self->all.tree, path, field, "--slices", &self->all.problems, error);
        text += size + (text[size] == ',');
    }
    return status;
}

static tw_status replace_evaluation(scoring *self, const scoring_options *options, tw_error *error)
{
    tw_status status = options->slices != NULL ? replace_slices(self, options->slices, error) : TW_STATUS_OK;
    if (status < 0 || options->groups == NULL)
        return status;
    tw_tree_remove(self->all.tree, "evaluate.groups");
    return tw_tree_set(self->all.tree, "evaluate.groups", options->groups, "--groups", &self->all.problems, error);
}

static void on_event(void *context, tw_engine_event event, const tw_report *report, const tw_error *error)
{
    console_event(context, event, report, error);
}

/* All data is at hand and bounded: the whole of it, exactly. */
static tw_evaluation evaluation_of_scores(const assembly *all, const scoring_options *options)
{
    tw_evaluation out = assembly_evaluation(all);
    out.is_auc_exact = true;
    out.window = (tw_window_policy){0};
    out.window_path = NULL;
    out.on_judged = options->on_judged;
    out.judged_context = options->judged_context;
    return out;
}

static tw_status score(scoring *self, const scoring_options *options, tw_error *error)
{
    console messages = {.style = PROGRESS_NONE, .assembly = &self->all};
    const tw_pipeline *pipeline = self->all.pipeline;
    tw_engine_options engine = {
        .model = self->all.model,
        .evaluation = evaluation_of_scores(&self->all, options),
        .input = self->all.input,
        .n_inputs = pipeline->n_sources,
        .sink = options->sink,
        .n_sinks = options->n_sinks,
        .batch_events = SCORING_BATCH,
        .max_latency_us = SCORING_LATENCY_US,
        .queue_batches = SCORING_QUEUE,
        .passes = 1,
        .max_record_bytes = MAX_RECORD_BYTES,
        .bad = {.limit = 1},
        .listener = on_event,
        .listener_context = &messages,
    };
    tw_status status = tw_engine_create(&engine, &self->engine, error);
    return status == TW_STATUS_OK ? tw_engine_run(self->engine, error) : status;
}

static tw_status open_model(scoring *self, const scoring_options *options, tw_error *error)
{
    tw_error skipped = {0};
    tw_status status = tw_checkpoint_read(options->directory, options->version, &self->manifest, &skipped, error);
    if (skipped.message[0] != '\0' && status == TW_STATUS_OK)
        console_note("thalweg: warning: %s; the checkpoint before it is used", skipped.message);
    if (status < 0)
        return status;
    saved_note_refusal(&self->manifest);
    status = assembly_of_manifest(&self->all, &self->manifest, error);
    self->has_assembly = true;
    self->all.ignores_labels = options->ignores_labels;
    if (status == TW_STATUS_OK)
        status = replace_source(self, options, error);
    if (status == TW_STATUS_OK)
        status = replace_evaluation(self, options, error);
    if (status == TW_STATUS_OK)
        status = assembly_check(&self->all, error);
    if (status == TW_STATUS_OK)
        status = assembly_build(&self->all, error);
    if (status == TW_STATUS_OK)
        status = assembly_attach_saved(&self->all, options->directory, &self->manifest, error);
    if (status == TW_STATUS_OK && options->traits != NULL)
        *options->traits = *tw_model_traits(self->all.model);
    return status;
}

int scoring_run(scoring *self, const scoring_options *options)
{
    tw_error error = {0};
    memset(self, 0, sizeof *self);
    tw_status status = open_model(self, options, &error);
    if (status == TW_STATUS_OK)
        status = score(self, options, &error);
    if (status < 0 && !(self->has_assembly && console_problems(&self->all)))
        console_error(&error);
    return tw_status_exit_code(status);
}

void scoring_fini(scoring *self)
{
    tw_engine_destroy(&self->engine);
    if (self->has_assembly)
        assembly_fini(&self->all);
    tw_manifest_fini(&self->manifest);
}

tw_status scoring_sink(
    const char *path, tw_registry *registry, tw_sink_spec *out, tw_option_values **options, tw_error *error)
{
    tw_status status = builtins_add(registry, error);
    if (status < 0)
        return status;
    out->ops = tw_registry_sink(registry, "predictions");
    status = tw_option_values_create(out->ops->options, options, error);
    if (status == TW_STATUS_OK)
        status = tw_option_set(*options, "path", path, error);
    out->options = *options;
    return status;
}
