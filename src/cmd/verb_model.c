/* model ls and model show: what is in a directory of checkpoints and which of it is served; the other words have files
 * of their own. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "cmd/console.h"
#include "cmd/model_verbs.h"
#include "cmd/rows_text.h"
#include "cmd/saved.h"
#include "cmd/verbs.h"
#include "engine/versions.h"

static const flag_spec model_flags[] = {
    {"model", 'm', "DIR", "directory of checkpoints"},
    {"version", 0, "N", "checkpoint to show or export; the newest by default"},
    {"format", 0, "text|json", "show: json prints every row, sorted by key; diff: one JSON object (text)"},
    {"files", 0, NULL, "ls: also the row files, which versions need each, and whether it is whole"},
    {"top", 0, "N", "rows of the largest weights, or changes of weights, that are shown (20)"},
    {"form", 0, "json|score", "export: json is the whole model, score is for thalweg_score.c (json)"},
    {"output", 'o', "FILE", "export: where it goes; - is standard output, the default"},
    {"force", 0, NULL, "import: into a directory that holds a model, as its newest version"},
    {"to", 0, "N", "rollback: version to go back to; by default the published one before that which is served"},
    {"release", 0, NULL, "rollback: serves the newest published version again"},
    {NULL, 0, NULL, NULL},
};

static void print_time(int64_t time_us)
{
    time_t seconds = (time_t)(time_us / 1000000);
    struct tm parts;
    char text[32];
    (void)gmtime_r(&seconds, &parts);
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    (void)printf("%-21s", text);
}

/* What there is to say about a version besides its size. */
static void print_state(const tw_version *version, const char *name, uint64_t served, uint64_t pinned)
{
    char reason[TW_GATE_REASON_SIZE];
    tw_verdict_reason(&version->verdict, reason);
    if (version->state == TW_VERSION_REFUSED)
        (void)printf("refused: %s", reason);
    else
        (void)printf("published");
    if (version->id == pinned)
        (void)printf(", served (pinned)");
    else if (version->id == served)
        (void)printf(", served");
    if (name[0] != '\0')
        (void)printf(", named %s", name);
    (void)printf("\n");
}

static tw_status print_version(const char *directory, const tw_version *version, const uint64_t served[2])
{
    tw_manifest manifest = {0};
    tw_error error = {0};
    tw_status status = tw_checkpoint_read(directory, version->id, &manifest, NULL, &error);
    (void)printf("%06" PRIu64 "    ", version->id);
    if (status < 0 || version->state == TW_VERSION_DAMAGED) {
        (void)printf("damaged: %s\n", status < 0 ? error.message : version->damage.message);
        tw_manifest_fini(&manifest);
        return status < 0 ? status : TW_STATUS_CORRUPT;
    }
    uint64_t bytes = 0, rows = 0;
    for (uint32_t f = 0; f < manifest.files.n_files; f++) {
        bytes += manifest.files.file[f].size;
        rows += manifest.files.file[f].rows;
    }
    print_time(manifest.created_us);
    (void)printf(
        "%14" PRIu64 "%12" PRIu64 "%10.2f  %-10s  ", manifest.events, rows, (double)bytes / 1e6, manifest.learner);
    char name[TW_VERSION_NAME_SIZE];
    tw_version_name(&manifest, name);
    print_state(version, name, served[0], served[1]);
    tw_manifest_fini(&manifest);
    return TW_STATUS_OK;
}

static int list_files(const char *directory, int code)
{
    tw_error error = {0};
    tw_status status = model_print_files(directory, &error);
    if (status < 0 && status != TW_STATUS_CORRUPT)
        console_error(&error);
    return status < 0 ? tw_status_exit_code(status) : code;
}

static int list_checkpoints(const char *directory, bool has_files)
{
    tw_version *version = NULL;
    size_t n = 0;
    uint64_t served[2] = {0, 0}; /* served; pinned */
    bool is_pinned = false;
    tw_error error = {0};
    tw_status status = tw_versions_list(directory, &version, &n, &error);
    if (status == TW_STATUS_OK && n == 0)
        status = tw_checkpoint_none(directory, &error);
    if (status < 0) {
        console_error(&error);
        tw_free(version);
        return tw_status_exit_code(status);
    }
    int code = 0;
    status = tw_versions_choose(directory, 0, &served[0], &is_pinned, NULL, &error);
    if (status < 0 && status != TW_STATUS_NOT_FOUND) {
        console_error(&error);
        code = tw_status_exit_code(status);
    }
    served[1] = is_pinned ? served[0] : 0;
    (void)printf("%-8s  %-21s%14s%12s%10s  %-10s  %s\n", "version", "made", "events", "rows", "MB", "learner", "state");
    for (size_t i = 0; i < n; i++) {
        status = print_version(directory, &version[i], served);
        if (status < 0)
            code = tw_status_exit_code(status);
    }
    tw_free(version);
    return has_files ? list_files(directory, code) : code;
}

static tw_status show_loaded(const assembly *all, const tw_manifest *manifest, const flags *given, tw_error *error)
{
    uint64_t top = 20;
    const char *format = flags_text(given, "format", "text");
    tw_status status = flags_count(given, "top", 20, 1000000, &top, error);
    if (status < 0)
        return status;
    if (strcmp(format, "json") == 0)
        return rows_print_json(all, manifest, error);
    if (strcmp(format, "text") == 0)
        return rows_print_top(all, manifest, (size_t)top, error);
    return tw_error_set(error, TW_STATUS_INVALID, "--format %s: expected text or json", format);
}

static int show_checkpoint(const char *directory, uint64_t version, const flags *given)
{
    tw_manifest manifest = {0};
    tw_error error = {0}, skipped = {0};
    assembly all;
    bool has_assembly = false;
    tw_status status = tw_checkpoint_read(directory, version, &manifest, &skipped, &error);
    if (skipped.message[0] != '\0' && status == TW_STATUS_OK)
        console_note("thalweg: warning: %s; the checkpoint before it is shown", skipped.message);
    if (status == TW_STATUS_OK) {
        saved_note_refusal(&manifest);
        status = assembly_of_manifest(&all, &manifest, &error);
        has_assembly = true;
    }
    if (status == TW_STATUS_OK)
        status = assembly_check(&all, &error);
    if (status == TW_STATUS_OK)
        status = assembly_build(&all, &error);
    if (status == TW_STATUS_OK)
        status = assembly_attach_saved(&all, directory, &manifest, &error);
    if (status == TW_STATUS_OK)
        status = show_loaded(&all, &manifest, given, &error);
    if (status < 0)
        console_error(&error);
    if (has_assembly)
        assembly_fini(&all);
    tw_manifest_fini(&manifest);
    return tw_status_exit_code(status);
}

/* The words that take a file or two models beside --model. */
static int model_other(const verb *self, const flags *given, const char *what, uint64_t version)
{
    const char *model = flags_text(given, "model", NULL);
    const char *first = given->n_arguments > 1 ? given->argument[1] : NULL;
    const char *second = given->n_arguments > 2 ? given->argument[2] : NULL;
    if (strcmp(what, "rollback") == 0 && (model != NULL || first != NULL))
        return model_rollback(given, model != NULL ? model : first);
    if (strcmp(what, "diff") == 0 && second != NULL)
        return model_diff(given, first, second);
    if (strcmp(what, "import") == 0 && first != NULL && (model != NULL || second != NULL))
        return model_import(given, first, model != NULL ? model : second);
    if (strcmp(what, "export") == 0 && (model != NULL || first != NULL))
        return model_export(given, model != NULL ? model : first, version);
    return verb_misused(self, "expected: model ls DIR, model show DIR, model rollback DIR, model export --model DIR, "
                              "model import FILE --model DIR, or model diff A B");
}

static int model_main(const verb *self, int argc, char **argv)
{
    flags given;
    uint64_t version = 0;
    tw_error error = {0};
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code))
        return code;
    const char *what = given.n_arguments > 0 ? given.argument[0] : "";
    const char *directory = flags_text(&given, "model", given.n_arguments > 1 ? given.argument[1] : NULL);
    bool is_rollback = strcmp(what, "rollback") == 0, is_released = flags_has(&given, "release");
    if ((is_released || flags_has(&given, "to")) && (!is_rollback || (is_released && flags_has(&given, "to"))))
        return verb_misused(self, "--to and --release, one of them, belong to model rollback");
    if (flags_count(&given, "version", 0, INT64_MAX, &version, &error) < 0)
        return verb_misused(self, "%s", error.message);
    if (directory == NULL || (strcmp(what, "ls") != 0 && strcmp(what, "show") != 0))
        return model_other(self, &given, what, version);
    return strcmp(what, "ls") == 0 ? list_checkpoints(directory, flags_has(&given, "files"))
                                   : show_checkpoint(directory, version, &given);
}

const verb verb_model = {"model", "model ls|show|rollback|export|import|diff [ARGUMENTS] [OPTIONS]",
    "Versions of a model, and which is served; its weights; the whole of it in and out of files; what differs between "
    "two.",
    model_flags, model_main};
