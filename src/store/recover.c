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

static tw_status read_spec(const char *directory, const char *name, tw_table_spec *spec, tw_error *error)
{
    char path[TW_STORE_PATH_SIZE];
    tw_row_file found;
    uint64_t schema_hash = 0;
    tw_status status = tw_store_path(path, directory, name, error);
    if (status < 0)
        return status;
    tw_loader *load = tw_alloc_zero(sizeof *load);
    if (load == NULL)
        return tw_no_memory(error, sizeof *load);
    load->path = path;
    load->name = name;
    status = tw_sections_read(path, TW_STORE_ROWS, &schema_hash, visit_head, load, &found, error);
    if (status >= 0 && !load->has_spec)
        status = tw_error_set(error, TW_STATUS_CORRUPT, "%s: has no spec", path);
    *spec = load->spec;
    tw_loader_free(load);
    return status < 0 ? status : TW_STATUS_OK;
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

/* The largest id below `below`; 0: none. */
static uint64_t next_id(const tw_names *names, uint32_t index, uint32_t count, uint64_t below)
{
    uint64_t best = 0;
    for (size_t i = 0; i < names->count; i++) {
        uint64_t found;
        if (tw_row_file_id(names->name[i], index, count, &found) && found < below && found > best)
            best = found;
    }
    return best;
}

static bool is_damage(tw_status status)
{
    return status == TW_STATUS_CORRUPT || status == TW_STATUS_IO || status == TW_STATUS_NOT_FOUND;
}

tw_status tw_table_recover(
    const char *directory, uint32_t index, uint32_t count, uint64_t newer_than, tw_recovered *out, tw_error *error)
{
    tw_names names;
    uint32_t slots[2] = {
        (uint32_t)((uint64_t)index * TW_N_SLOTS / count), (uint32_t)((uint64_t)(index + 1) * TW_N_SLOTS / count - 1)};
    *out = (tw_recovered){0};
    tw_status status = tw_directory_list(directory, &names, error);
    if (status < 0)
        return status;
    out->newest_id = next_id(&names, index, count, UINT64_MAX);
    for (uint64_t at = out->newest_id; at != 0 && at > newer_than; at = next_id(&names, index, count, at)) {
        char name[TW_FILE_NAME_SIZE];
        tw_error why = {0};
        tw_row_file_name(at, index, count, name);
        status = load_named(directory, name, slots, &out->table, &why);
        if (status == TW_STATUS_OK || !is_damage(status)) {
            if (status < 0 && error != NULL)
                *error = why;
            out->id = status < 0 ? 0 : at;
            break;
        }
        tw_log(TW_LOG_WARN, "passed over a damaged snapshot: %s", why.message);
        status = TW_STATUS_OK;
    }
    tw_names_free(&names);
    return status;
}
