#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/section.h"

enum { SECTION_MAGIC = 0x54434553 };

tw_status tw_store_path(char path[TW_STORE_PATH_SIZE], const char *directory, const char *name, tw_error *error)
{
    /* Room is left for the ending of a temporary name. */
    if (snprintf(path, TW_STORE_PATH_SIZE, "%s/%s", directory, name) >= TW_STORE_PATH_SIZE - 24)
        return tw_error_set(
            error, TW_STATUS_INVALID, "%.200s...: path longer than %d bytes", directory, TW_STORE_PATH_SIZE - 24);
    return TW_STATUS_OK;
}

static tw_status writer_put(tw_section_writer *self, const void *bytes, size_t size, tw_error *error)
{
    tw_status status = tw_file_write(self->fd, self->temporary, bytes, size, error);
    if (status < 0)
        return status;
    (void)XXH3_64bits_update(self->hash, bytes, size);
    self->offset += size;
    return TW_STATUS_OK;
}

static tw_status writer_begin(
    tw_section_writer *self, tw_store_kind kind, uint64_t schema_hash, uint64_t reserve, tw_error *error)
{
    tw_status status = tw_file_open(self->temporary, TW_OPEN_WRITE_NEW, &self->fd, error);
    if (status == TW_STATUS_OK && reserve > 0)
        status = tw_file_reserve(self->fd, self->temporary, reserve, error);
    if (status < 0)
        return status;
    unsigned char header[TW_STORE_HEADER_SIZE];
    tw_wire_out out = {.bytes = header};
    tw_wire_put_bytes(&out, "THALWEG\n", 8);
    tw_wire_put(&out, TW_STORE_FORMAT_VERSION, 4);
    tw_wire_put(&out, 0x01020304, 4);
    tw_wire_put(&out, (uint64_t)kind, 4);
    tw_wire_put(&out, 0, 4);
    tw_wire_put(&out, schema_hash, 8);
    tw_wire_put(&out, tw_hash(header, out.size), 8);
    return writer_put(self, header, out.size, error);
}

tw_status tw_section_writer_open(tw_section_writer *self,
    const char *directory,
    const char *name,
    tw_store_kind kind,
    uint64_t schema_hash,
    uint64_t reserve,
    tw_error *error)
{
    memset(self, 0, sizeof *self);
    self->fd = -1;
    tw_status status = tw_store_path(self->path, directory, name, error);
    if (status < 0)
        return status;
    (void)snprintf(self->directory, sizeof self->directory, "%s", directory);
    self->is_new = kind == TW_STORE_ROWS;
    if (self->is_new)
        (void)snprintf(self->temporary, sizeof self->temporary, "%s/%s.%016llx.tmp", directory, name,
            (unsigned long long)tw_file_unique());
    else
        (void)snprintf(self->temporary, sizeof self->temporary, "%s/%s.tmp", directory, name);
    self->hash = tw_alloc_aligned(64, sizeof *self->hash);
    if (self->hash == NULL)
        return tw_no_memory(error, sizeof *self->hash);
    (void)XXH3_64bits_reset(self->hash);
    status = tw_directory_create(directory, error);
    if (status < 0)
        return status;
    return writer_begin(self, kind, schema_hash, reserve, error);
}

void tw_section_begin(tw_section_writer *self, tw_section_type type, uint64_t index)
{
    self->header = (tw_section_view){.type = type, .index = index, .last_slot = 0xffffffffu};
    self->body_size = TW_SECTION_HEADER_SIZE;
}

tw_status tw_section_room(tw_section_writer *self, size_t size, tw_error *error)
{
    return tw_grow(&self->body, 1, &self->body_capacity, self->body_size + size + 8, error);
}

tw_status tw_section_append(tw_section_writer *self, const void *bytes, size_t size, tw_error *error)
{
    tw_status status = tw_section_room(self, size, error);
    if (status < 0 || size == 0)
        return status;
    memcpy(self->body + self->body_size, bytes, size);
    self->body_size += size;
    return TW_STATUS_OK;
}

tw_status tw_section_end(tw_section_writer *self, tw_error *error)
{
    tw_status status = tw_section_room(self, 0, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->section_offset, sizeof(uint64_t), &self->section_capacity, self->n_sections + 1, error);
    if (status < 0)
        return status;
    tw_wire_out out = {.bytes = self->body};
    tw_wire_put(&out, SECTION_MAGIC, 4);
    tw_wire_put(&out, (uint64_t)self->header.type, 4);
    tw_wire_put(&out, self->body_size - TW_SECTION_HEADER_SIZE, 8);
    tw_wire_put(&out, self->header.index, 8);
    tw_wire_put(&out, self->header.count, 8);
    tw_wire_put(&out, self->header.first_slot, 4);
    tw_wire_put(&out, self->header.last_slot, 4);
    out.size = self->body_size;
    tw_wire_put(&out, tw_hash(self->body, self->body_size), 8);
    self->section_offset[self->n_sections++] = self->offset;
    if (tw_section_has_rows(self->header.type))
        self->n_rows += self->header.count;
    return writer_put(self, self->body, out.size, error);
}

static tw_status writer_end(tw_section_writer *self, tw_error *error)
{
    size_t n = self->n_sections;
    tw_section_begin(self, TW_SECTION_END, 0);
    self->header.count = n;
    tw_status status = tw_section_room(self, 8 + n * 8, error);
    if (status < 0)
        return status;
    tw_wire_out out = {.bytes = self->body, .size = self->body_size};
    tw_wire_put(&out, self->n_rows, 8);
    for (size_t i = 0; i < n; i++)
        tw_wire_put(&out, self->section_offset[i], 8);
    self->body_size = out.size;
    return tw_section_end(self, error);
}

tw_status tw_section_writer_finish(tw_section_writer *self, tw_row_file *out, tw_error *error)
{
    tw_status status = writer_end(self, error);
    if (status == TW_STATUS_OK) /* what was reserved and not needed */
        status = tw_file_truncate(self->fd, self->temporary, self->offset, error);
    if (status == TW_STATUS_OK)
        status = tw_file_sync(self->fd, self->temporary, error);
    if (status == TW_STATUS_OK)
        status = tw_file_close(&self->fd, self->temporary, error);
    if (status == TW_STATUS_OK)
        status = self->is_new ? tw_file_rename_new(self->temporary, self->path, error)
                              : tw_file_rename(self->temporary, self->path, error);
    if (status < 0)
        return status;
    self->temporary[0] = '\0';
    status = tw_directory_sync(self->directory, error);
    if (status == TW_STATUS_OK && out != NULL) {
        out->size = self->offset;
        out->checksum = XXH3_64bits_digest(self->hash);
        out->rows = self->n_rows;
    }
    return status;
}

void tw_section_writer_close(tw_section_writer *self)
{
    tw_status status = TW_STATUS_OK;
    if (self->fd >= 0)
        status = tw_file_close(&self->fd, self->temporary, NULL);
    if (self->hash != NULL && self->temporary[0] != '\0')
        status = tw_file_remove(self->temporary, NULL);
    (void)status; /* best effort: the file is abandoned */
    tw_free(self->hash);
    tw_free(self->body);
    tw_free(self->section_offset);
    self->hash = NULL;
    self->body = NULL;
    self->section_offset = NULL;
}

tw_status tw_spec_write(tw_section_writer *out, const tw_table_spec *spec, tw_error *error)
{
    size_t schema_size = tw_schema_encode(&spec->schema, NULL, 0);
    tw_section_begin(out, TW_SECTION_SPEC, 0);
    tw_status status = tw_section_room(out, 24 + schema_size, error);
    if (status < 0)
        return status;
    tw_wire_out wire = {.bytes = out->body, .size = out->body_size};
    tw_wire_put(&wire, (uint64_t)spec->kind, 4);
    tw_wire_put(&wire, spec->bits, 4);
    tw_wire_put(&wire, spec->hash_seed, 8);
    tw_wire_put(&wire, spec->max_bytes, 8);
    (void)tw_schema_encode(&spec->schema, wire.bytes + wire.size, schema_size);
    out->body_size = wire.size + schema_size;
    return TW_STATUS_OK;
}
