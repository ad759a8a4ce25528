/* gen and init: made event streams, and project folders that run at once. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cmd/console.h"
#include "cmd/verbs.h"
#include "generators/generator.h"
#include "generators/templates.h"

static const flag_spec gen_flags[] = {
    {"events", 'n', "N", "lines to write (20000)"},
    {"seed", 0, "N", "another seed gives another planted model (1)"},
    {"drift", 0, "N", "a tenth of the planted weights changes every N events (0: never)"},
    {"first", 0, "N", "index of the first event (0)"},
    {"output", 'o', "FILE", "- is standard output, the default"},
    {NULL, 0, NULL, NULL},
};

static tw_status write_lines(tw_generator *generator, uint64_t n_lines, FILE *file, tw_error *error)
{
    char line[TW_GENERATOR_LINE_SIZE];
    size_t size = 0;
    tw_status status = TW_STATUS_OK;
    for (uint64_t i = 0; i < n_lines && status == TW_STATUS_OK; i++) {
        status = tw_generator_next(generator, line, sizeof line, &size, error);
        if (status == TW_STATUS_OK && fwrite(line, 1, size, file) != size)
            status = tw_error_set(
                error, TW_STATUS_IO, "the output cannot be written: is the disk full, or the reader gone?");
    }
    if (status == TW_STATUS_OK && fflush(file) != 0)
        status =
            tw_error_set(error, TW_STATUS_IO, "the output cannot be written: is the disk full, or the reader gone?");
    return status;
}

static tw_status generate(
    const char *kind, const tw_generator_settings *settings, uint64_t n_events, const char *path, tw_error *error)
{
    tw_generator *generator = NULL;
    FILE *file = stdout;
    tw_status status = tw_generator_open(kind, settings, &generator, error);
    if (status == TW_STATUS_OK && strcmp(path, "-") != 0) {
        file = fopen(path, "w");
        if (file == NULL)
            status = tw_error_set(error, TW_STATUS_IO, "%s: cannot be opened for writing", path);
    }
    bool has_header = strcmp(kind, "csv") == 0;
    if (status == TW_STATUS_OK)
        status = write_lines(generator, n_events + has_header, file, error);
    if (file != NULL && file != stdout && fclose(file) != 0 && status == TW_STATUS_OK)
        status = tw_error_set(error, TW_STATUS_IO, "%s: cannot be written", path);
    tw_generator_close(&generator);
    return status;
}

static void list_kinds(void)
{
    (void)printf("\nkinds:\n");
    for (size_t i = 0; tw_generator_kind_at(i) != NULL; i++)
        (void)printf("  %-10s %s\n", tw_generator_kind_at(i)->name, tw_generator_kind_at(i)->summary);
}

static int gen_main(const verb *self, int argc, char **argv)
{
    flags given;
    tw_error error = {0};
    tw_generator_settings settings = tw_generator_defaults();
    uint64_t n_events = 0;
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code)) {
        if (code == 0)
            list_kinds();
        return code;
    }
    if (given.n_arguments != 1)
        return verb_misused(self, "one kind is expected: clicks, sensors, csv or vw");
    tw_status status = flags_count(&given, "events", 20000, 1ull << 50, &n_events, &error);
    if (status == TW_STATUS_OK)
        status = flags_count(&given, "seed", settings.seed, INT64_MAX, &settings.seed, &error);
    if (status == TW_STATUS_OK)
        status = flags_count(&given, "drift", 0, INT64_MAX, &settings.drift_every, &error);
    if (status == TW_STATUS_OK)
        status = flags_count(&given, "first", 0, INT64_MAX, &settings.first, &error);
    if (status < 0)
        return verb_misused(self, "%s", error.message);
    status = generate(given.argument[0], &settings, n_events, flags_text(&given, "output", "-"), &error);
    if (status < 0)
        console_error(&error);
    return tw_status_exit_code(status == TW_STATUS_NOT_FOUND ? TW_STATUS_INVALID : status);
}

const verb verb_gen = {"gen", "gen KIND [OPTIONS]",
    "Writes a made event stream with a planted model; the same seed, the same bytes.", gen_flags, gen_main};

/* --- init --------------------------------------------------------------------------------------------------------- */

static const flag_spec init_flags[] = {
    {"template", 't', "NAME", "the template, if not given as the first argument"},
    {"force", 0, NULL, "replaces files that are there"},
    {NULL, 0, NULL, NULL},
};

static tw_status refuse_existing(const char *path, bool is_forced, tw_error *error)
{
    tw_file_info info;
    if (is_forced || tw_file_stat(path, &info, NULL) != TW_STATUS_OK)
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_INVALID, "%s: exists already; --force replaces it", path);
}

static tw_status write_project(const tw_template *template, const char *directory, bool is_forced, tw_error *error)
{
    char path[4096];
    tw_status status = tw_directory_create(directory, error);
    for (size_t i = 0; i < template->n_files && status == TW_STATUS_OK; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, template->files[i].name);
        status = refuse_existing(path, is_forced, error);
    }
    for (size_t i = 0; i < template->n_files && status == TW_STATUS_OK; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, template->files[i].name);
        status = tw_file_store(path, template->files[i].bytes, template->files[i].size, error);
    }
    if (status < 0)
        return status;
    tw_generator_settings settings = tw_generator_defaults();
    (void)snprintf(path, sizeof path, "%s/%s", directory, template->data_file);
    status = refuse_existing(path, is_forced, error);
    return status == TW_STATUS_OK ? generate(template->generator, &settings, template->n_events, path, error) : status;
}

static void list_templates(void)
{
    (void)printf("\ntemplates:\n");
    for (size_t i = 0; tw_template_at(i) != NULL; i++)
        (void)printf("  %-10s %s\n", tw_template_at(i)->name, tw_template_at(i)->summary);
}

static int init_main(const verb *self, int argc, char **argv)
{
    flags given;
    tw_error error = {0};
    int code = 0;
    if (!verb_parse(self, argc, argv, &given, &code)) {
        if (code == 0)
            list_templates();
        return code;
    }
    const char *name = flags_text(&given, "template", NULL);
    size_t next = 0;
    if (name == NULL)
        name = given.n_arguments > 0 ? given.argument[next++] : tw_template_at(0)->name;
    const tw_template *template = tw_template_find(name);
    if (template == NULL || given.n_arguments > next + 1)
        return verb_misused(self, "%s: no such template; there are ctr, cluster, csv, sensors and vw", name);
    const char *directory = given.n_arguments > next ? given.argument[next] : template->name;
    tw_status status = write_project(template, directory, flags_has(&given, "force"), &error);
    if (status < 0) {
        console_error(&error);
        return tw_status_exit_code(status);
    }
    (void)printf("%s: %zu files and %u generated events. Next:\n  cd %s\n  thalweg run\n", directory, template->n_files,
        template->n_events, directory);
    return 0;
}

const verb verb_init = {"init", "init [TEMPLATE] [DIR]",
    "A folder with a pipeline file and 20,000 generated events that runs at once.", init_flags, init_main};
