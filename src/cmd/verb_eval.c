/* eval: saved models over labelled data, one beside the other. Data goes to standard output. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cmd/compare.h"
#include "cmd/console.h"
#include "cmd/scoring.h"

enum { MAX_MODELS = 8 };

static const flag_spec eval_flags[] = {
    {"model", 'm', "DIR", "directory of checkpoints; repeated: the models are compared, each with the first"},
    {"version", 0, "N", "checkpoint to use; the newest by default"},
    {"format", 'f', "F", "how the input is written; by default as when the model was trained"},
    {"slices", 0, "F,...", "fields whose values get figures of their own in the report; else evaluate.slices"},
    {"groups", 0, "F", "field within whose values gauc compares scores; else evaluate.groups"},
    {"predictions", 0, "FILE", "one score a line, of a single model"},
    {"json", 0, NULL, "prints one JSON object; of several models, with one element of `models` each"},
    {"report", 0, "FILE", "writes the same object to a file"},
    {NULL, 0, NULL, NULL},
};

/* One model and what it did. */
typedef struct judged_model {
    const char *directory;
    tw_learner_traits traits;
    tw_report report;
    json_t *json; /* its report */
    event_losses losses;
} judged_model;

typedef struct evaluation {
    judged_model model[MAX_MODELS];
    size_t n_models;
} evaluation;

/* --- one model ---------------------------------------------------------------------------------------------------- */

static tw_status take_report(judged_model *self, const scoring *run, tw_error *error)
{
    report_details details;
    self->report.clusters = 0;
    tw_engine_report(run->engine, false, &self->report);
    tw_status status = report_details_take(&details, run->engine, error);
    details.learner = run->all.pipeline->learner;
    char *text = status == TW_STATUS_OK ? report_to_json(&self->report, &details) : NULL;
    report_details_fini(&details);
    if (text != NULL)
        self->json = json_loads(text, 0, NULL);
    free(text);
    return status == TW_STATUS_OK && self->json == NULL ? tw_no_memory(error, 0) : status;
}

/* The losses are those of the model that is loaded by then. */
static tw_status note_losses(void *context, const tw_judged *events, tw_error *error)
{
    judged_model *self = context;
    self->losses.traits = &self->traits;
    return event_losses_add(&self->losses, events, error);
}

static int judge(judged_model *self, scoring_options *options, bool is_compared)
{
    scoring run;
    tw_error error = {0};
    options->directory = self->directory;
    options->on_judged = is_compared ? note_losses : NULL;
    options->judged_context = self;
    options->traits = &self->traits;
    int code = scoring_run(&run, options);
    if (code == 0) {
        self->losses.traits = &self->traits;
        tw_status status = take_report(self, &run, &error);
        code = tw_status_exit_code(status);
        if (status < 0)
            console_error(&error);
    }
    scoring_fini(&run);
    return code;
}

/* --- text --------------------------------------------------------------------------------------------------------- */

static void print_number(double value, bool has_sign)
{
    if (isnan(value))
        (void)printf(" %12s", "-");
    else
        (void)printf(has_sign ? " %+12.6f" : " %12.6f", value);
}

static bool is_of_task(const tw_figure_entry *figure, tw_task task)
{
    return (figure->tasks >> task & 1) != 0;
}

/* Figures that only some pipelines ask for are shown when they are known. */
static bool is_shown(const evaluation *self, const tw_figure_entry *figure)
{
    bool is_known = false, is_wanted = false;
    for (size_t i = 0; i < self->n_models; i++) {
        is_known = is_known || !isnan(tw_figure_value(&self->model[i].report.figures, figure));
        is_wanted = is_wanted || is_of_task(figure, self->model[i].report.task);
    }
    return is_wanted && (is_known || strncmp(figure->name, "gauc", 4) != 0);
}

static void print_one(const evaluation *self)
{
    const judged_model *model = &self->model[0];
    const tw_report *report = &model->report;
    size_t n_figures = 0;
    const tw_figure_entry *figure = tw_figure_table(&n_figures);
    (void)printf("%-22s %s, version %06llu\n", "model", model->directory, (unsigned long long)report->model_version);
    (void)printf("%-22s %llu\n", "events", (unsigned long long)report->events);
    (void)printf("%-22s %llu\n", "bad_events", (unsigned long long)report->bad_events);
    if (report->task == TW_TASK_BINARY)
        (void)printf("%-22s %llu\n", "positives", (unsigned long long)report->figures.positives);
    for (size_t i = 0; i < n_figures; i++) {
        double value = tw_figure_value(&report->figures, &figure[i]);
        if (!is_shown(self, &figure[i]))
            continue;
        if (isnan(value))
            (void)printf("%-22s -\n", figure[i].name);
        else
            (void)printf("%-22s %.6f\n", figure[i].name, value);
    }
}

static void print_pair(const evaluation *self, size_t index)
{
    const judged_model *first = &self->model[0], *model = &self->model[index];
    paired_loss paired;
    if (!event_losses_compare(&first->losses, &model->losses, &paired)) {
        (void)printf("%zu - 1: the models were not judged on the same events by the same loss\n", index + 1);
        return;
    }
    (void)printf("%zu - 1: %s", index + 1, event_losses_name(&first->traits));
    if (isnan(paired.z))
        (void)printf(" equal or too few pairs to tell");
    else
        (void)printf(
            " %+.6f, standard error %.6f, z %.2f, p %.2g", paired.difference, paired.error, paired.z, paired.p);
    (void)printf(" (%llu pairs)\n", (unsigned long long)paired.n);
}

static void print_row(const evaluation *self, const tw_figure_entry *figure)
{
    double first = tw_figure_value(&self->model[0].report.figures, figure);
    (void)printf("%-22s", figure->name);
    for (size_t i = 0; i < self->n_models; i++)
        print_number(tw_figure_value(&self->model[i].report.figures, figure), false);
    for (size_t i = 1; i < self->n_models; i++)
        print_number(tw_figure_value(&self->model[i].report.figures, figure) - first, true);
    (void)printf("\n");
}

static void print_table(const evaluation *self)
{
    size_t n_figures = 0;
    const tw_figure_entry *figure = tw_figure_table(&n_figures);
    for (size_t i = 0; i < self->n_models; i++)
        (void)printf("%zu: %s, version %06llu, %llu events, %llu malformed\n", i + 1, self->model[i].directory,
            (unsigned long long)self->model[i].report.model_version, (unsigned long long)self->model[i].report.events,
            (unsigned long long)self->model[i].report.bad_events);
    (void)printf("%-22s", "");
    for (size_t i = 0; i < self->n_models; i++)
        (void)printf(" %12zu", i + 1);
    for (size_t i = 1; i < self->n_models; i++)
        (void)printf(" %8zu - 1", i + 1);
    (void)printf("\n");
    for (size_t i = 0; i < n_figures; i++) {
        if (is_shown(self, &figure[i]))
            print_row(self, &figure[i]);
    }
    for (size_t i = 1; i < self->n_models; i++)
        print_pair(self, i);
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static json_t *json_figure(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *json_differences(const judged_model *first, const judged_model *model)
{
    size_t n_figures = 0;
    const tw_figure_entry *figure = tw_figure_table(&n_figures);
    json_t *out = json_object();
    for (size_t i = 0; i < n_figures; i++)
        (void)json_object_set_new(out, figure[i].name,
            json_figure(tw_figure_value(&model->report.figures, &figure[i]) -
                        tw_figure_value(&first->report.figures, &figure[i])));
    return out;
}

static json_t *json_paired(const judged_model *first, const judged_model *model)
{
    paired_loss paired;
    if (!event_losses_compare(&first->losses, &model->losses, &paired))
        return json_null();
    return json_pack("{s:s, s:I, s:o, s:o, s:o, s:o}", "loss", event_losses_name(&first->traits), "n",
        (json_int_t)paired.n, "mean_difference", json_figure(paired.difference), "standard_error",
        json_figure(paired.error), "z", json_figure(paired.z), "p", json_figure(paired.p));
}

static json_t *json_of(const evaluation *self)
{
    const judged_model *first = &self->model[0];
    if (self->n_models == 1)
        return json_incref(first->json);
    json_t *models = json_array();
    for (size_t i = 0; i < self->n_models; i++) {
        const judged_model *model = &self->model[i];
        (void)json_object_set_new(model->json, "model", json_string(model->directory));
        (void)json_object_set_new(model->json, "difference", i > 0 ? json_differences(first, model) : json_null());
        (void)json_object_set_new(model->json, "paired", i > 0 ? json_paired(first, model) : json_null());
        (void)json_array_append(models, model->json);
    }
    return json_pack("{s:o}", "models", models);
}

/* --- the verb ----------------------------------------------------------------------------------------------------- */

static int show(const evaluation *self, const flags *given)
{
    tw_error error = {0};
    const char *path = flags_text(given, "report", NULL);
    json_t *json = json_of(self);
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    tw_status status = text != NULL ? TW_STATUS_OK : tw_no_memory(&error, 0);
    if (text != NULL && flags_has(given, "json"))
        (void)printf("%s\n", text);
    else if (self->n_models == 1)
        print_one(self);
    else
        print_table(self);
    if (text != NULL && path != NULL)
        status = tw_file_store(path, text, strlen(text), &error);
    free(text);
    json_decref(json);
    if (status < 0)
        console_error(&error);
    return tw_status_exit_code(status);
}

static int eval_models(const flags *given, scoring_options *options)
{
    evaluation self = {.n_models = 0};
    int code = 0;
    for (size_t i = 0; i < given->n_values; i++) {
        if (strcmp(given->value[i].flag->name, "model") == 0 && self.n_models < MAX_MODELS)
            self.model[self.n_models++].directory = given->value[i].text;
    }
    for (size_t i = 0; i < self.n_models && code == 0; i++)
        code = judge(&self.model[i], options, self.n_models > 1);
    if (code == 0)
        code = show(&self, given);
    for (size_t i = 0; i < self.n_models; i++) {
        event_losses_fini(&self.model[i].losses);
        json_decref(self.model[i].json);
    }
    return code;
}

static size_t count_models(const flags *given)
{
    size_t n = 0;
    for (size_t i = 0; i < given->n_values; i++)
        n += strcmp(given->value[i].flag->name, "model") == 0;
    return n;
}

static int eval_main(const verb *self, int argc, char **argv)
{
    flags given;
    tw_registry registry;
    tw_sink_spec sink = {0};
    tw_option_values *sink_options = NULL;
    tw_error error = {0};
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code))
        return code;
    size_t n_models = count_models(&given);
    if (n_models == 0 || given.n_arguments == 0)
        return verb_misused(self, "--model and at least one input are needed");
    if (n_models > MAX_MODELS)
        return verb_misused(self, "--model: %zu models, at most %d are compared", n_models, (int)MAX_MODELS);
    if (n_models > 1 && flags_has(&given, "predictions"))
        return verb_misused(self, "--predictions: of a single model only");
    scoring_options options = {
        .format = flags_text(&given, "format", NULL),
        .input = given.argument,
        .n_inputs = given.n_arguments,
        .slices = flags_text(&given, "slices", NULL),
        .groups = flags_text(&given, "groups", NULL),
        .sink = &sink,
        .n_sinks = flags_has(&given, "predictions"),
    };
    if (flags_count(&given, "version", 0, INT64_MAX, &options.version, &error) < 0)
        return verb_misused(self, "%s", error.message);
    tw_status status = TW_STATUS_OK;
    if (options.n_sinks > 0)
        status = scoring_sink(flags_text(&given, "predictions", NULL), &registry, &sink, &sink_options, &error);
    code = tw_status_exit_code(status);
    if (status < 0)
        console_error(&error);
    else
        code = eval_models(&given, &options);
    tw_option_values_destroy(&sink_options);
    return code;
}

const verb verb_eval = {"eval", "eval --model DIR [--model DIR...] [OPTIONS] INPUT...",
    "Scores labelled data with saved models and prints the figures, side by side and paired.", eval_flags, eval_main};
