/* model export and model import. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "cmd/console.h"
#include "cmd/model_verbs.h"
#include "cmd/saved.h"
#include "engine/score_file.h"
#include "store/portable.h"

enum { PATH_SIZE = 4096, STANDARD_INPUT = 0, STANDARD_OUTPUT = 1 };

/* --- export ------------------------------------------------------------------------------------------------------- */

/* A file that takes its name when it is whole; standard output has none. */
typedef struct out_file {
    const saved_model *model;
    char path[PATH_SIZE], temporary[PATH_SIZE];
    int fd;
    bool is_standard;
} out_file;

static tw_status out_open(out_file *self, const saved_model *model, const char *path, tw_error *error)
{
    *self = (out_file){.model = model, .fd = STANDARD_OUTPUT, .is_standard = strcmp(path, "-") == 0};
    if (self->is_standard) {
        memcpy(self->temporary, "standard output", sizeof "standard output");
        return TW_STATUS_OK;
    }
    self->fd = -1;
    if (snprintf(self->path, sizeof self->path, "%s", path) >= PATH_SIZE - 8)
        return tw_error_set(error, TW_STATUS_INVALID, "--output: a path of %zu bytes is too long", strlen(path));
    (void)snprintf(self->temporary, sizeof self->temporary, "%.*s.tmp", PATH_SIZE - 8, path);
    return tw_file_open(self->temporary, TW_OPEN_WRITE_NEW, &self->fd, error);
}

static tw_status out_write(void *context, const char *bytes, size_t size, tw_error *error)
{
    out_file *self = context;
    return tw_file_write(self->fd, self->temporary, bytes, size, error);
}

/* After an error nothing is left. */
static tw_status out_close(out_file *self, tw_status status, tw_error *error)
{
    if (self->is_standard || self->fd < 0)
        return status;
    if (status == TW_STATUS_OK)
        status = tw_file_sync(self->fd, self->temporary, error);
    tw_status closed = tw_file_close(&self->fd, self->temporary, status < 0 ? NULL : error);
    status = status < 0 ? status : closed;
    if (status == TW_STATUS_OK)
        status = tw_file_rename(self->temporary, self->path, error);
    if (status < 0)
        (void)!tw_file_remove(self->temporary, NULL);
    return status;
}

static double row_weight(const void *context, const void *row)
{
    const out_file *self = context;
    return tw_model_row_weight(self->model->all.model, row);
}

static tw_status export_json(saved_model *model, out_file *out, tw_error *error)
{
    tw_portable_counts counts;
    bool has_weights = tw_model_learner(model->all.model)->weight != NULL;
    tw_portable_output output = {.write = out_write, .weight = has_weights ? row_weight : NULL, .context = out};
    tw_status status = tw_portable_write(tw_model_params(model->all.model), &model->manifest, &output, &counts, error);
    if (status == TW_STATUS_OK)
        console_note("version %06" PRIu64 ": %" PRIu64 " rows, %" PRIu64 " block records, %" PRIu64 " bytes",
            model->manifest.id, counts.rows, counts.blocks, counts.bytes);
    return status;
}

static tw_status export_score(saved_model *model, out_file *out, tw_error *error)
{
    tw_text bytes = {0};
    tw_score_file_counts counts;
    tw_status status = tw_score_file_make(model->all.model, model->manifest.id, &bytes, &counts, error);
    if (status == TW_STATUS_OK)
        status = out_write(out, bytes.bytes, bytes.size, error);
    if (status == TW_STATUS_OK && counts.weight_size > 0)
        console_note("version %06" PRIu64 ": %" PRIu64 " weights of %u bytes beside their keys of 8, %" PRIu64
                     " bytes; %" PRIu64 " rows weigh 0",
            model->manifest.id, counts.weights, counts.weight_size, counts.bytes, counts.rows - counts.weights);
    else if (status == TW_STATUS_OK)
        console_note(
            "version %06" PRIu64 ": %u centres, %" PRIu64 " bytes", model->manifest.id, counts.centres, counts.bytes);
    tw_text_fini(&bytes);
    return status;
}

int model_export(const flags *given, const char *directory, uint64_t version)
{
    const char *form = flags_text(given, "form", "json");
    saved_model model = {0};
    out_file out = {.fd = -1};
    tw_error error = {0};
    tw_status status = TW_STATUS_OK;
    bool is_json = strcmp(form, "json") == 0;
    if (!is_json && strcmp(form, "score") != 0)
        status = tw_error_set(&error, TW_STATUS_INVALID, "--form %s: expected json or score", form);
    if (status == TW_STATUS_OK)
        status = saved_open(&model, directory, version, &error);
    if (status == TW_STATUS_OK)
        status = out_open(&out, &model, flags_text(given, "output", "-"), &error);
    if (status == TW_STATUS_OK) {
        status = is_json ? export_json(&model, &out, &error) : export_score(&model, &out, &error);
        status = out_close(&out, status, &error);
    }
    if (status < 0)
        console_error(&error);
    saved_close(&model);
    return tw_status_exit_code(status);
}

/* --- import ------------------------------------------------------------------------------------------------------- */

typedef struct in_file {
    const char *name;
    int fd;
} in_file;

static tw_status in_read(void *context, char *bytes, size_t size, size_t *n_read, tw_error *error)
{
    in_file *self = context;
    return tw_file_read(self->fd, self->name, bytes, size, n_read, error);
}

static tw_status check_directory(const char *directory, bool is_forced, uint64_t *id, tw_error *error)
{
    tw_status status = tw_checkpoint_next_id(directory, id, error);
    if (status == TW_STATUS_OK && *id > 1 && !is_forced)
        return tw_error_set(error, TW_STATUS_CONFLICT,
            "%s: holds a model already; --force makes the import its newest version, %06" PRIu64, directory, *id);
    return status;
}

/* An empty model of the pipeline that the file names. */
static tw_status make_model(assembly *all, const tw_portable_head *head, const char *name, tw_error *error)
{
    tw_params *params = NULL;
    char place[TW_ERROR_FILE_SIZE];
    (void)snprintf(place, sizeof place, "%.200s, its pipeline", name);
    tw_status status = tw_tree_parse(all->tree, place, head->pipeline, head->pipeline_size, &all->problems, error);
    all->ignores_labels = true;
    if (status == TW_STATUS_OK)
        status = assembly_check(all, error);
    if (status == TW_STATUS_OK && strcmp(all->pipeline->learner, head->learner) != 0)
        return tw_error_set(error, TW_STATUS_CONFLICT, "%s: is of learner %s, but its pipeline of %s", name,
            head->learner, all->pipeline->learner);
    if (status == TW_STATUS_OK)
        status = assembly_build(all, error);
    if (status == TW_STATUS_OK)
        status = tw_local_create(tw_model_table_spec(all->model), &params, error);
    if (status == TW_STATUS_OK)
        tw_model_attach(all->model, params);
    return status;
}

static tw_status save(assembly *all, const tw_portable_head *head, const char *directory, uint64_t id, tw_error *error)
{
    tw_manifest manifest = {
        .id = id, .created_us = tw_clock_wall_us(), .events = head->events, .spec = *tw_model_table_spec(all->model)};
    memcpy(manifest.learner, head->learner, sizeof manifest.learner);
    tw_status status = tw_manifest_add(&manifest, "pipeline", all->canonical.bytes, all->canonical.size, error);
    if (status == TW_STATUS_OK)
        status = tw_manifest_add(&manifest, "imported", &head->version, sizeof head->version, error);
    if (status == TW_STATUS_OK)
        status = tw_model_snapshot_start(all->model, directory, id, error);
    if (status == TW_STATUS_OK)
        status = tw_model_snapshot_poll(all->model, -1, &manifest.files, error);
    if (status == TW_STATUS_OK)
        status = tw_checkpoint_commit(directory, &manifest, error);
    tw_manifest_fini(&manifest);
    return status;
}

/* Another run or import in the directory would take the same number. */
static tw_status lock_directory(const char *directory, int *lock, tw_error *error)
{
    char path[PATH_SIZE];
    uint64_t owner = 0;
    if (snprintf(path, sizeof path, "%s/lock", directory) >= PATH_SIZE)
        return tw_error_set(error, TW_STATUS_INVALID, "--model: a path of %zu bytes is too long", strlen(directory));
    tw_status status = tw_directory_create(directory, error);
    if (status == TW_STATUS_OK)
        status = tw_file_lock(path, lock, &owner, error);
    if (status == TW_STATUS_BUSY)
        return tw_error_set(
            error, status, "%s: process %" PRIu64 " learns into this directory; stop it first", directory, owner);
    return status;
}

static tw_status import_into(const in_file *file,
    tw_portable_reader *reader,
    assembly *all,
    const char *directory,
    bool is_forced,
    tw_error *error)
{
    const tw_portable_head *head = tw_portable_head_of(reader);
    tw_portable_counts counts;
    uint64_t id = 0;
    int lock = -1;
    tw_status status = make_model(all, head, file->name, error);
    if (status == TW_STATUS_OK)
        status = tw_portable_load(reader, tw_model_table_spec(all->model), tw_model_params(all->model), &counts, error);
    if (status == TW_STATUS_OK)
        status = lock_directory(directory, &lock, error);
    if (status == TW_STATUS_OK)
        status = check_directory(directory, is_forced, &id, error);
    if (status == TW_STATUS_OK)
        status = save(all, head, directory, id, error);
    if (status == TW_STATUS_OK)
        console_note("%s: version %06" PRIu64 ", %" PRIu64 " events, %" PRIu64 " rows, %" PRIu64 " block records",
            directory, id, head->events, counts.rows, counts.blocks);
    (void)tw_file_close(&lock, "lock", NULL);
    return status;
}

int model_import(const flags *given, const char *file, const char *directory)
{
    bool is_standard = strcmp(file, "-") == 0, has_assembly = false, is_forced = flags_has(given, "force");
    in_file in = {.name = is_standard ? "standard input" : file, .fd = is_standard ? STANDARD_INPUT : -1};
    tw_portable_input input = {.read = in_read, .context = &in, .name = in.name};
    tw_portable_reader *reader = NULL;
    assembly all = {0};
    uint64_t id = 0;
    tw_error error = {0};
    tw_status status = check_directory(directory, is_forced, &id, &error);
    if (status == TW_STATUS_OK && !is_standard)
        status = tw_file_open(file, TW_OPEN_READ, &in.fd, &error);
    if (status == TW_STATUS_OK)
        status = tw_portable_open(&input, &reader, &error);
    if (status == TW_STATUS_OK) {
        has_assembly = true;
        status = assembly_init(&all, &error);
    }
    if (status == TW_STATUS_OK)
        status = import_into(&in, reader, &all, directory, is_forced, &error);
    if (status < 0 && !(has_assembly && console_problems(&all)))
        console_error(&error);
    if (has_assembly)
        assembly_fini(&all);
    tw_portable_close(&reader);
    if (!is_standard)
        (void)tw_file_close(&in.fd, in.name, NULL);
    return tw_status_exit_code(status);
}
