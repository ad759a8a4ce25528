#include "store/chain.h"

#include <string.h>

#include "base/alloc.h"

enum { CHAIN_FILE_SIZE = TW_FILE_NAME_SIZE + 24 };

tw_status tw_chain_write(tw_section_writer *out, const tw_chain *self, tw_error *error)
{
    tw_section_begin(out, TW_SECTION_CHAIN, 0);
    out->header.count = self->n_files;
    tw_status status = tw_section_room(out, (size_t)self->n_files * CHAIN_FILE_SIZE + sizeof self->replaced, error);
    if (status < 0)
        return status;
    tw_wire_out wire = {.bytes = out->body, .size = out->body_size};
    for (uint32_t i = 0; i < self->n_files; i++) {
        const tw_row_file *file = &self->file[i];
        tw_wire_put_bytes(&wire, file->name, TW_FILE_NAME_SIZE);
        tw_wire_put(&wire, file->size, 8);
        tw_wire_put(&wire, file->checksum, 8);
        tw_wire_put(&wire, file->rows, 8);
    }
    tw_wire_put_bytes(&wire, self->replaced, sizeof self->replaced);
    out->body_size = wire.size;
    return tw_section_end(out, error);
}

static bool name_is_good(const char *name)
{
    return memchr(name, 0, TW_FILE_NAME_SIZE) != NULL && name[0] != '\0' && strchr(name, '/') == NULL;
}

tw_status tw_chain_read(tw_chain *self, const tw_section_view *section, tw_error *error)
{
    uint64_t n = section->count;
    if (n < 1 || n > TW_CHAIN_MAX || section->length != n * CHAIN_FILE_SIZE + sizeof self->replaced)
        return tw_error_set(error, TW_STATUS_CORRUPT, "chain: %llu files in %llu bytes, at most %d are valid",
            (unsigned long long)n, (unsigned long long)section->length, TW_CHAIN_MAX);
    tw_wire_in in = {.bytes = section->payload, .size = (size_t)section->length};
    for (uint32_t i = 0; i < n; i++) {
        tw_row_file *file = &self->file[i];
        memcpy(file->name, tw_wire_get_bytes(&in, TW_FILE_NAME_SIZE), TW_FILE_NAME_SIZE);
        if (!name_is_good(file->name))
            return tw_error_set(error, TW_STATUS_CORRUPT, "chain: the name of file %u is not valid", i);
        file->size = tw_wire_get(&in, 8);
        file->checksum = tw_wire_get(&in, 8);
        file->rows = tw_wire_get(&in, 8);
    }
    memcpy(self->replaced, tw_wire_get_bytes(&in, sizeof self->replaced), sizeof self->replaced);
    self->n_files = (uint32_t)n;
    return TW_STATUS_OK;
}

/* The chain comes before blocks and rows. IDLE: enough was seen. */
static tw_status peek_visit(void *context, const tw_section_view *section, tw_error *error)
{
    tw_chain *self = context;
    if (section->type == TW_SECTION_KEEP && section->length >= 8)
        self->clock = tw_wire_u64(section->payload);
    if (section->type != TW_SECTION_CHAIN && !tw_section_is_body(section->type))
        return TW_STATUS_OK;
    tw_status status = section->type == TW_SECTION_CHAIN ? tw_chain_read(context, section, error) : TW_STATUS_OK;
    return status < 0 ? status : TW_STATUS_IDLE;
}

tw_status tw_chain_peek(const char *directory, const char *name, tw_chain *out, tw_error *error)
{
    char path[TW_STORE_PATH_SIZE];
    tw_row_file found;
    uint64_t schema_hash = 0;
    memset(out, 0, sizeof *out);
    tw_status status = tw_store_path(path, directory, name, error);
    if (status == TW_STATUS_OK)
        status = tw_sections_read(path, TW_STORE_ROWS, &schema_hash, peek_visit, out, &found, error);
    if (status < 0)
        out->n_files = 0;
    return status < 0 ? status : TW_STATUS_OK;
}

/* One that is damaged stands on nothing: nobody can use it. */
tw_status tw_row_file_needs(const char *directory, const char *name, tw_names *needed, tw_error *error)
{
    tw_chain *chain = tw_alloc(sizeof *chain);
    tw_error why = {0};
    if (chain == NULL)
        return tw_no_memory(error, sizeof *chain);
    tw_status status = tw_chain_peek(directory, name, chain, &why);
    if (status == TW_STATUS_CORRUPT || status == TW_STATUS_NOT_FOUND || status == TW_STATUS_UNSUPPORTED)
        status = TW_STATUS_OK;
    else if (status < 0 && error != NULL)
        *error = why;
    for (uint32_t i = 0; i < chain->n_files && status == TW_STATUS_OK; i++) {
        if (!tw_names_has(needed, chain->file[i].name))
            status = tw_names_add(needed, chain->file[i].name, error);
    }
    tw_free(chain);
    return status;
}
