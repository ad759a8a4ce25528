/* Manifests to and from files. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/manifest.h"
#include "store/section.h"

enum {
    SPLIT_FIXED_SIZE = 8 + TW_SPLIT_NAME_SIZE + TW_SPLIT_IDENTITY_SIZE + 8 + 8 + 1,
    FILE_FIXED_SIZE = TW_FILE_NAME_SIZE + 24
};

void tw_manifest_fini(tw_manifest *self)
{
    for (uint32_t i = 0; i < self->n_sections && i < TW_MANIFEST_MAX_SECTIONS; i++)
        tw_free(self->section[i].bytes);
    tw_free(self->split);
    memset(self, 0, sizeof *self);
}

/* n_sections: there is none of this name. */
static uint32_t manifest_index(const tw_manifest *self, const char *name)
{
    uint32_t i = 0;
    while (i < self->n_sections && strcmp(self->section[i].name, name) != 0)
        i++;
    return i;
}

const tw_section *tw_manifest_find(const tw_manifest *self, const char *name)
{
    uint32_t at = manifest_index(self, name);
    return at < self->n_sections ? &self->section[at] : NULL;
}

tw_status tw_manifest_add(tw_manifest *self, const char *name, const void *bytes, size_t size, tw_error *error)
{
    size_t name_size = strnlen(name, TW_NAME_SIZE);
    uint32_t at = manifest_index(self, name);
    if (name_size == 0 || name_size >= TW_NAME_SIZE)
        return tw_error_set(
            error, TW_STATUS_INVALID, "manifest: section name '%.40s' must have 1 to %d bytes", name, TW_NAME_SIZE - 1);
    if (at == TW_MANIFEST_MAX_SECTIONS)
        return tw_error_set(error, TW_STATUS_INVALID, "manifest: section %s would be one above the limit of %d", name,
            TW_MANIFEST_MAX_SECTIONS);
    void *copy = tw_alloc(size + 1);
    if (copy == NULL)
        return tw_no_memory(error, size + 1);
    if (size > 0)
        memcpy(copy, bytes, size);
    tw_section *section = &self->section[at];
    if (at == self->n_sections) {
        memset(section, 0, sizeof *section);
        memcpy(section->name, name, name_size);
        self->n_sections++;
    }
    tw_free(section->bytes);
    section->bytes = copy;
    section->size = size;
    return TW_STATUS_OK;
}

/* --- writing */

static void put_name(tw_section_writer *out, const char *name, size_t room)
{
    size_t size = strnlen(name, room - 1);
    memcpy(out->body + out->body_size, name, size);
    memset(out->body + out->body_size + size, 0, room - size);
    out->body_size += room;
}

static void put_u64(tw_section_writer *out, uint64_t value, unsigned n_bytes)
{
    tw_wire_out wire = {.bytes = out->body, .size = out->body_size};
    tw_wire_put(&wire, value, n_bytes);
    out->body_size = wire.size;
}

static tw_status write_info(tw_section_writer *out, const tw_manifest *self, tw_error *error)
{
    tw_section_begin(out, TW_SECTION_INFO, self->id);
    tw_status status = tw_section_room(out, 16 + TW_NAME_SIZE, error);
    if (status < 0)
        return status;
    put_u64(out, (uint64_t)self->created_us, 8);
    put_u64(out, self->events, 8);
    put_name(out, self->learner, TW_NAME_SIZE);
    return tw_section_end(out, error);
}

static tw_status write_splits(tw_section_writer *out, const tw_manifest *self, tw_error *error)
{
    tw_section_begin(out, TW_SECTION_SPLITS, 0);
    out->header.count = self->n_splits;
    tw_status status = tw_section_room(out, self->n_splits * SPLIT_FIXED_SIZE, error);
    if (status < 0)
        return status;
    for (size_t i = 0; i < self->n_splits; i++) {
        const tw_split *split = &self->split[i];
        put_u64(out, split->id, 8);
        put_name(out, split->name, TW_SPLIT_NAME_SIZE);
        memcpy(out->body + out->body_size, split->identity, TW_SPLIT_IDENTITY_SIZE);
        out->body_size += TW_SPLIT_IDENTITY_SIZE;
        put_u64(out, split->offset, 8);
        put_u64(out, split->line, 8);
        put_u64(out, split->is_done, 1);
    }
    return tw_section_end(out, error);
}

static tw_status write_files(tw_section_writer *out, const tw_manifest *self, tw_error *error)
{
    tw_section_begin(out, TW_SECTION_FILES, 0);
    out->header.count = self->files.n_files;
    tw_status status = tw_section_room(out, (size_t)self->files.n_files * FILE_FIXED_SIZE, error);
    if (status < 0)
        return status;
    for (uint32_t i = 0; i < self->files.n_files; i++) {
        const tw_row_file *file = &self->files.file[i];
        put_name(out, file->name, TW_FILE_NAME_SIZE);
        put_u64(out, file->size, 8);
        put_u64(out, file->checksum, 8);
        put_u64(out, file->rows, 8);
    }
    return tw_section_end(out, error);
}

static tw_status write_user(tw_section_writer *out, const tw_section *section, uint32_t index, tw_error *error)
{
    tw_section_begin(out, TW_SECTION_USER, index);
    tw_status status = tw_section_room(out, TW_NAME_SIZE, error);
    if (status < 0)
        return status;
    put_name(out, section->name, TW_NAME_SIZE);
    status = tw_section_append(out, section->bytes, section->size, error);
    return status < 0 ? status : tw_section_end(out, error);
}

static tw_status write_manifest(tw_section_writer *out, const tw_manifest *self, tw_error *error)
{
    tw_status status = tw_spec_write(out, &self->spec, error);
    if (status == TW_STATUS_OK)
        status = tw_section_end(out, error);
    if (status == TW_STATUS_OK)
        status = write_info(out, self, error);
    if (status == TW_STATUS_OK)
        status = write_splits(out, self, error);
    if (status == TW_STATUS_OK)
        status = write_files(out, self, error);
    for (uint32_t i = 0; i < self->n_sections && status == TW_STATUS_OK; i++)
        status = write_user(out, &self->section[i], i, error);
    return status;
}

tw_status tw_manifest_write(const char *directory, const char *name, const tw_manifest *self, tw_error *error)
{
    if (self->files.n_files > TW_ROW_FILES_MAX || self->n_sections > TW_MANIFEST_MAX_SECTIONS)
        return tw_error_set(error, TW_STATUS_INVALID,
            "manifest: %u row files and %u sections, the limits are %d and %d", self->files.n_files, self->n_sections,
            TW_ROW_FILES_MAX, TW_MANIFEST_MAX_SECTIONS);
    tw_section_writer *out = tw_alloc_zero(sizeof *out);
    if (out == NULL)
        return tw_no_memory(error, sizeof *out);
    tw_status status =
        tw_section_writer_open(out, directory, name, TW_STORE_MANIFEST, tw_schema_hash(&self->spec.schema), 0, error);
    if (status == TW_STATUS_OK)
        status = write_manifest(out, self, error);
    if (status == TW_STATUS_OK)
        status = tw_section_writer_finish(out, NULL, error);
    tw_section_writer_close(out);
    tw_free(out);
    return status;
}

/* --- reading */

typedef struct loader {
    const char *path;
    tw_manifest *out;
    uint32_t seen; /* bit per section type */
} loader;

static tw_status bad(const loader *self, const tw_section_view *section, tw_error *error, const char *what)
{
    return tw_error_set(error, TW_STATUS_CORRUPT, "%s: section %s at byte %llu: %s", self->path,
        tw_section_type_name(section->type), (unsigned long long)section->offset, what);
}

static bool get_name(tw_wire_in *in, char *name, size_t room)
{
    const unsigned char *bytes = tw_wire_get_bytes(in, room);
    if (bytes == NULL || memchr(bytes, 0, room) == NULL)
        return false;
    memcpy(name, bytes, room);
    return true;
}

static tw_status read_info(loader *self, const tw_section_view *section, tw_error *error)
{
    tw_wire_in in = {.bytes = section->payload, .size = (size_t)section->length};
    self->out->id = section->index;
    self->out->created_us = (int64_t)tw_wire_get(&in, 8);
    self->out->events = tw_wire_get(&in, 8);
    if (!get_name(&in, self->out->learner, TW_NAME_SIZE) || in.at != in.size)
        return bad(self, section, error, "its contents are not valid");
    return TW_STATUS_OK;
}

static tw_status read_splits(loader *self, const tw_section_view *section, tw_error *error)
{
    if (section->length % SPLIT_FIXED_SIZE != 0 || section->length / SPLIT_FIXED_SIZE != section->count)
        return bad(self, section, error, "its length does not fit its count");
    size_t n = (size_t)section->count;
    self->out->split = tw_alloc_zero((n + 1) * sizeof(tw_split));
    if (self->out->split == NULL)
        return tw_no_memory(error, n * sizeof(tw_split));
    tw_wire_in in = {.bytes = section->payload, .size = (size_t)section->length};
    for (size_t i = 0; i < n; i++) {
        tw_split *split = &self->out->split[i];
        split->id = tw_wire_get(&in, 8);
        if (!get_name(&in, split->name, TW_SPLIT_NAME_SIZE))
            return bad(self, section, error, "a split's name is not valid");
        memcpy(split->identity, tw_wire_get_bytes(&in, TW_SPLIT_IDENTITY_SIZE), TW_SPLIT_IDENTITY_SIZE);
        split->offset = tw_wire_get(&in, 8);
        split->line = tw_wire_get(&in, 8);
        split->is_done = tw_wire_get(&in, 1) != 0;
    }
    self->out->n_splits = n;
    return TW_STATUS_OK;
}

static tw_status read_files(loader *self, const tw_section_view *section, tw_error *error)
{
    if (section->length % FILE_FIXED_SIZE != 0 || section->length / FILE_FIXED_SIZE != section->count ||
        section->count > TW_ROW_FILES_MAX)
        return bad(self, section, error, "its length does not fit its count");
    tw_wire_in in = {.bytes = section->payload, .size = (size_t)section->length};
    for (uint32_t i = 0; i < section->count; i++) {
        tw_row_file *file = &self->out->files.file[i];
        if (!get_name(&in, file->name, TW_FILE_NAME_SIZE) || file->name[0] == '\0' || strchr(file->name, '/') != NULL)
            return bad(self, section, error, "a file's name is not valid");
        file->size = tw_wire_get(&in, 8);
        file->checksum = tw_wire_get(&in, 8);
        file->rows = tw_wire_get(&in, 8);
    }
    self->out->files.n_files = (uint32_t)section->count;
    return TW_STATUS_OK;
}

static tw_status read_user(loader *self, const tw_section_view *section, tw_error *error)
{
    char name[TW_NAME_SIZE];
    tw_wire_in in = {.bytes = section->payload, .size = (size_t)section->length};
    if (!get_name(&in, name, sizeof name) || name[0] == '\0' || tw_manifest_find(self->out, name) != NULL ||
        self->out->n_sections >= TW_MANIFEST_MAX_SECTIONS)
        return bad(self, section, error, "its name is not valid, or there are too many");
    return tw_manifest_add(self->out, name, in.bytes + in.at, in.size - in.at, error);
}

static tw_status visit_manifest_section(void *context, const tw_section_view *section, tw_error *error)
{
    loader *self = context;
    uint32_t bit = section->type <= TW_SECTION_GONE ? 1u << section->type : 0;
    if (section->type != TW_SECTION_USER && (self->seen & bit) != 0)
        return bad(self, section, error, "occurs twice");
    self->seen |= bit;
    switch (section->type) {
    case TW_SECTION_SPEC:
        return tw_spec_read(&self->out->spec, section, error);
    case TW_SECTION_INFO:
        return read_info(self, section, error);
    case TW_SECTION_SPLITS:
        return read_splits(self, section, error);
    case TW_SECTION_FILES:
        return read_files(self, section, error);
    case TW_SECTION_USER:
        return read_user(self, section, error);
    case TW_SECTION_END:
    case TW_SECTION_MARKS:
    case TW_SECTION_EVENTS:
    case TW_SECTION_BLOCK:
    case TW_SECTION_ROWS:
    case TW_SECTION_CHAIN:
    case TW_SECTION_STAMPED:
    case TW_SECTION_KEEP:
    case TW_SECTION_SEEN:
    case TW_SECTION_GONE:
        break;
    }
    return bad(self, section, error, "does not belong into a manifest");
}

tw_status tw_manifest_read(const char *directory, const char *name, tw_manifest *out, tw_error *error)
{
    static const uint32_t needed =
        1u << TW_SECTION_SPEC | 1u << TW_SECTION_INFO | 1u << TW_SECTION_SPLITS | 1u << TW_SECTION_FILES;
    char path[TW_STORE_PATH_SIZE];
    tw_row_file found;
    uint64_t schema_hash = 0;
    memset(out, 0, sizeof *out);
    tw_status status = tw_store_path(path, directory, name, error);
    if (status < 0)
        return status;
    loader self = {.path = path, .out = out};
    status = tw_sections_read(path, TW_STORE_MANIFEST, &schema_hash, visit_manifest_section, &self, &found, error);
    if (status == TW_STATUS_OK && ((self.seen & needed) != needed || schema_hash != tw_schema_hash(&out->spec.schema)))
        status = tw_error_set(error, TW_STATUS_CORRUPT, "%s: a section is missing or not of this schema", path);
    out->files.split = out->split;
    out->files.n_splits = out->n_splits;
    if (status < 0)
        tw_manifest_fini(out);
    return status;
}
