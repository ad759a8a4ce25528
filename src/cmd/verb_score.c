/* predict and eval: a saved model over files. Data goes to standard output. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cmd/console.h"
#include "cmd/live.h"
#include "cmd/scoring.h"

static tw_status parse_version(const flags *given, uint64_t *out, tw_error *error)
{
    return flags_count(given, "version", 0, INT64_MAX, out, error);
}

/* A predictions sink that writes to `path` ("-": standard output). Destroy the options after use. */
static tw_status make_sink(
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

/* --- predict ------------------------------------------------------------------------------------------------------ */

static const flag_spec predict_flags[] = {
    {"model", 'm', "DIR|ADDRESS", "directory of checkpoints, or address of a running server (tcp://127.0.0.1:5560)"},
    {"version", 0, "N", "checkpoint to use; the newest by default"},
    {"format", 'f', "F", "how the input is written; by default as when the model was trained"},
    {"output", 'o', "FILE", "where the scores go; - is standard output, the default"},
    {NULL, 0, NULL, NULL},
};

static int predict_saved(const verb *self, const flags *given, const char *directory)
{
    static const char *const standard_input[] = {"-"};
    tw_registry registry;
    tw_sink_spec sink = {0};
    tw_option_values *sink_options = NULL;
    tw_error error = {0};
    scoring_options options = {
        .directory = directory,
        .format = flags_text(given, "format", NULL),
        .input = given->n_arguments > 0 ? given->argument : standard_input,
        .n_inputs = given->n_arguments > 0 ? given->n_arguments : 1,
        .ignores_labels = true,
        .sink = &sink,
        .n_sinks = 1,
    };
    if (parse_version(given, &options.version, &error) < 0)
        return verb_misused(self, "%s", error.message);
    tw_status status = make_sink(flags_text(given, "output", "-"), &registry, &sink, &sink_options, &error);
    int code = tw_status_exit_code(status);
    if (status < 0) {
        console_error(&error);
    } else {
        scoring run;
        code = scoring_run(&run, &options);
        scoring_fini(&run);
    }
    tw_option_values_destroy(&sink_options);
    return code;
}

static int predict_main(const verb *self, int argc, char **argv)
{
    flags given;
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code))
        return code;
    const char *model = flags_text(&given, "model", NULL);
    if (model == NULL)
        return verb_misused(self, "--model is needed: a directory of checkpoints, or the address of a server");
    if (strstr(model, "://") == NULL)
        return predict_saved(self, &given, model);
    if (flags_text(&given, "format", NULL) != NULL && strcmp(flags_text(&given, "format", NULL), "json") != 0)
        return verb_misused(self, "a running server is asked with --format json rows");
    return live_predict(model, given.argument, given.n_arguments);
}

const verb verb_predict = {"predict", "predict --model DIR|ADDRESS [OPTIONS] [INPUT...]",
    "Scores rows, one score a line on standard output. Labels are not needed and not read.", predict_flags,
    predict_main};

/* --- eval --------------------------------------------------------------------------------------------------------- */

static const flag_spec eval_flags[] = {
    {"model", 'm', "DIR", "directory of checkpoints; may be repeated, one result each"},
    {"version", 0, "N", "checkpoint to use; the newest by default"},
    {"format", 'f', "F", "how the input is written; by default as when the model was trained"},
    {"predictions", 0, "FILE", "one score a line"},
    {"json", 0, NULL, "prints one JSON object a model"},
    {"report", 0, "FILE", "writes the figures of the last model as one JSON object"},
    {NULL, 0, NULL, NULL},
};

static void print_figure(const char *name, double value)
{
    if (isnan(value))
        (void)printf("%-22s -\n", name);
    else
        (void)printf("%-22s %.6f\n", name, value);
}

/* Only shown when it was asked for, that is, when it is known. */
static bool is_rare(const tw_figure_entry *figure)
{
    return strncmp(figure->name, "gauc", 4) == 0;
}

static void print_report(const char *directory, const tw_report *report)
{
    (void)printf("%-22s %s, version %06llu\n", "model", directory, (unsigned long long)report->model_version);
    (void)printf("%-22s %llu\n", "events", (unsigned long long)report->events);
    (void)printf("%-22s %llu\n", "bad_events", (unsigned long long)report->bad_events);
    if (report->task == TW_TASK_BINARY)
        (void)printf("%-22s %llu\n", "positives", (unsigned long long)report->figures.positives);
    size_t n_figures = 0;
    const tw_figure_entry *figure = tw_figure_table(&n_figures);
    for (size_t i = 0; i < n_figures; i++) {
        double value = tw_figure_value(&report->figures, &figure[i]);
        if ((figure[i].tasks >> report->task & 1) != 0 && (!isnan(value) || !is_rare(&figure[i])))
            print_figure(figure[i].name, value);
    }
}

static int show_result(const flags *given, const scoring *run, const char *directory)
{
    tw_report report;
    tw_error error = {0};
    tw_engine_report(run->engine, false, &report);
    report_details details;
    tw_status status = report_details_take(&details, run->engine, &error);
    details.learner = run->all.pipeline->learner;
    char *text = status == TW_STATUS_OK ? report_to_json(&report, &details) : NULL;
    report_details_fini(&details);
    if (status == TW_STATUS_OK && text == NULL)
        status = tw_no_memory(&error, 0);
    const char *path = flags_text(given, "report", NULL);
    if (status == TW_STATUS_OK && flags_has(given, "json"))
        (void)printf("%s\n", text);
    else if (status == TW_STATUS_OK)
        print_report(directory, &report);
    if (status == TW_STATUS_OK && path != NULL && text != NULL)
        status = tw_file_store(path, text, strlen(text), &error);
    free(text);
    if (status < 0)
        console_error(&error);
    return tw_status_exit_code(status);
}

static int eval_one(const flags *given, const scoring_options *options)
{
    scoring run;
    int code = scoring_run(&run, options);
    if (code == 0)
        code = show_result(given, &run, options->directory);
    scoring_fini(&run);
    return code;
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
    if (!flags_has(&given, "model") || given.n_arguments == 0)
        return verb_misused(self, "--model and at least one input are needed");
    scoring_options options = {
        .format = flags_text(&given, "format", NULL),
        .input = given.argument,
        .n_inputs = given.n_arguments,
        .sink = &sink,
        .n_sinks = flags_has(&given, "predictions"),
    };
    if (parse_version(&given, &options.version, &error) < 0)
        return verb_misused(self, "%s", error.message);
    if (options.n_sinks > 0 &&
        make_sink(flags_text(&given, "predictions", NULL), &registry, &sink, &sink_options, &error) < 0) {
        console_error(&error);
        return tw_status_exit_code(error.status);
    }
    for (size_t i = 0; i < given.n_values && code == 0; i++) {
        options.directory = given.value[i].text;
        if (strcmp(given.value[i].flag->name, "model") == 0)
            code = eval_one(&given, &options);
    }
    tw_option_values_destroy(&sink_options);
    return code;
}

const verb verb_eval = {"eval", "eval --model DIR [--model DIR] [OPTIONS] INPUT...",
    "Scores labelled data with a saved model and prints the figures.", eval_flags, eval_main};
