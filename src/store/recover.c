/* The newest row file of a shard that is whole, into a new table. */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "store/loader.h"

/* The head of a row file, for its spec. IDLE: enough was seen. */
static tw_status visit_head(void *context, const tw_section_view *section, tw_error *error)
{
    return tw_section_is_body(section->type) ? TW_STATUS_IDLE : tw_loader_visit(context, section, error);
}

static tw_status read_head(const char *directory, const char *name, tw_loader *load, tw_error *error)
{
    char path[TW_STORE_PATH_SIZE];
    tw_row_file found;
    uint64_t schema_hash = 0;
    tw_status status = tw_store_path(path, directory, name, error);
    if (status < 0)
        return status;
    load->path = path;
    load->name = name;
    status = tw_sections_read(path, TW_STORE_ROWS, &schema_hash, visit_head, load, &found, error);
    if (status >= 0 && !load->has_spec)
        status = tw_error_set(error, TW_STATUS_CORRUPT, "%s: has no spec", path);
    load->path = NULL;
    return status < 0 ? status : TW_STATUS_OK;
}

static tw_status read_spec(const char *directory, const char *name, tw_table_spec *spec, tw_error *error)
{
    tw_loader *load = tw_alloc_zero(sizeof *load);
    if (load == NULL)
        return tw_no_memory(error, sizeof *load);
    tw_status status = read_head(directory, name, load, error);
    *spec = load->spec;
    tw_loader_free(load);
    return status;
}

static tw_status load_named(
    const char *directory, const char *name, const uint32_t slots[2], tw_table **out, tw_error *error)
{
    tw_table_spec *spec = tw_alloc_zero(sizeof *spec);
    if (spec == NULL)
        return tw_no_memory(error, sizeof *spec);
    tw_status status = read_spec(directory, name, spec, error);
    if (status == TW_STATUS_OK)
        status = tw_table_create(spec, slots[0], slots[1], out, error);
    if (status == TW_STATUS_OK && tw_bulk_is_possible(*out)) {
        status = tw_bulk_load_any(*out, directory, name, error);
    } else if (status == TW_STATUS_OK) {
        tw_row_file file = {0};
        status = tw_row_file_sum(directory, name, &file, error);
        if (status == TW_STATUS_OK)
            status = tw_table_load_all(*out, directory, &file, 1, error);
    }
    if (status < 0)
        tw_table_destroy(out);
    tw_free(spec);
    return status;
}

tw_status tw_row_file_keep(const char *directory, const char *name, tw_keep *out, tw_error *error)
{
    tw_table_spec *spec = tw_alloc_zero(sizeof *spec);
    if (spec == NULL)
        return tw_no_memory(error, sizeof *spec);
    tw_status status = read_spec(directory, name, spec, error);
    *out = spec->keep;
    tw_free(spec);
    return status;
}

tw_status tw_row_file_origin(const char *directory, const char *name, tw_row_origin *out, tw_error *error)
{
    tw_error why = {0};
    *out = (tw_row_origin){0};
    tw_loader *load = tw_alloc_zero(sizeof *load);
    if (load == NULL)
        return tw_no_memory(error, sizeof *load);
    tw_status status = read_head(directory, name, load, &why);
    if (status == TW_STATUS_OK)
        *out = load->origin;
    else if (status == TW_STATUS_NO_MEMORY && error != NULL)
        *error = why;
    tw_loader_free(load);
    return status == TW_STATUS_NO_MEMORY ? status : TW_STATUS_OK;
}

/* A row file of the shard, and how it ranks. */
typedef struct candidate {
    uint64_t id, epoch;
} candidate;

typedef struct candidates {
    candidate *file; /* [n] the newest first */
    size_t n, capacity;
} candidates;

static bool is_newer(const candidate *a, const candidate *b)
{
    return a->epoch != b->epoch ? a->epoch > b->epoch : a->id > b->id;
}

static tw_status candidates_find(
    candidates *self, const char *directory, uint32_t index, uint32_t count, bool by_epoch, tw_error *error)
{
    tw_names names;
    tw_status status = tw_directory_list(directory, &names, error);
    if (status < 0)
        return status;
    for (size_t i = 0; i < names.count && status == TW_STATUS_OK; i++) {
        candidate found = {0};
        tw_row_origin origin = {0};
        if (!tw_row_file_id(names.name[i], index, count, &found.id) || found.id == 0)
            continue;
        if (by_epoch)
            status = tw_row_file_origin(directory, names.name[i], &origin, error);
        if (status == TW_STATUS_OK)
            status = tw_grow(&self->file, sizeof *self->file, &self->capacity, self->n + 1, error);
        if (status < 0)
            break;
        found.epoch = origin.epoch;
        size_t at = self->n++;
        for (; at > 0 && is_newer(&found, &self->file[at - 1]); at--)
            self->file[at] = self->file[at - 1];
        self->file[at] = found;
    }
    tw_names_free(&names);
    return status;
}

tw_status tw_row_files_epoch(const char *directory, uint32_t index, uint32_t count, uint64_t *epoch, tw_error *error)
{
    candidates found = {0};
    tw_error why = {0};
    tw_status status = candidates_find(&found, directory, index, count, true, &why);
    *epoch = status == TW_STATUS_OK && found.n > 0 ? found.file[0].epoch : 0;
    tw_free(found.file);
    if (status < 0 && status != TW_STATUS_NOT_FOUND && error != NULL)
        *error = why;
    return status == TW_STATUS_NOT_FOUND ? TW_STATUS_OK : status;
}

static bool is_damage(tw_status status)
{
    return status == TW_STATUS_CORRUPT || status == TW_STATUS_IO || status == TW_STATUS_NOT_FOUND;
}

static tw_status load_newest(const candidates *from,
    const char *directory,
    const uint32_t part[2],
    uint64_t newer_than,
    tw_recovered *out,
    tw_error *error)
{
    uint32_t slots[2] = {(uint32_t)((uint64_t)part[0] * TW_N_SLOTS / part[1]),
        (uint32_t)((uint64_t)(part[0] + 1) * TW_N_SLOTS / part[1] - 1)};
    for (size_t i = 0; i < from->n; i++) {
        char name[TW_FILE_NAME_SIZE];
        tw_error why = {0};
        uint64_t id = from->file[i].id;
        if (id <= newer_than)
            continue;
        tw_row_file_name(id, part[0], part[1], name);
        tw_status status = load_named(directory, name, slots, &out->table, &why);
        if (status == TW_STATUS_OK || !is_damage(status)) {
            if (status < 0 && error != NULL)
                *error = why;
            out->id = status < 0 ? 0 : id;
            return status;
        }
        tw_log(TW_LOG_WARN, "passed over a damaged snapshot: %s", why.message);
    }
    return TW_STATUS_OK;
}

tw_status tw_table_recover(const char *directory,
    uint32_t index,
    uint32_t count,
    uint64_t newer_than,
    bool by_epoch,
    tw_recovered *out,
    tw_error *error)
{
    candidates found = {0};
    *out = (tw_recovered){0};
    tw_status status = candidates_find(&found, directory, index, count, by_epoch, error);
    for (size_t i = 0; i < found.n; i++)
        out->newest_id = found.file[i].id > out->newest_id ? found.file[i].id : out->newest_id;
    if (status == TW_STATUS_OK)
        status = load_newest(&found, directory, (uint32_t[]){index, count}, newer_than, out, error);
    tw_free(found.file);
    return status;
}
