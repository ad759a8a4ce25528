/* predict: a saved model over files. Data goes to standard output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/console.h"
#include "cmd/live.h"
#include "cmd/scoring.h"

static tw_status parse_version(const flags *given, uint64_t *out, tw_error *error)
{
    return flags_count(given, "version", 0, INT64_MAX, out, error);
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
    tw_status status = scoring_sink(flags_text(given, "output", "-"), &registry, &sink, &sink_options, &error);
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
