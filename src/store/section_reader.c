#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/section.h"

enum { SECTION_MAGIC = 0x54434553 };

typedef tw_section_reader reader;

bool tw_section_is_body(tw_section_type type)
{
    return type == TW_SECTION_BLOCK || type == TW_SECTION_SEEN || type == TW_SECTION_GONE || tw_section_has_rows(type);
}

const char *tw_section_type_name(tw_section_type type)
{
    static const char *const name[] = {"?", "end", "spec", "marks", "events", "block", "rows", "info", "splits",
        "files", "user", "chain", "stamped rows", "keep", "seen", "gone"};
    return type >= TW_SECTION_END && type <= TW_SECTION_GONE ? name[type] : name[0];
}

static tw_status corrupt(const reader *self, tw_error *error, const char *section, uint64_t offset, const char *what)
{
    return tw_error_set(
        error, TW_STATUS_CORRUPT, "%s: %s at byte %llu: %s", self->path, section, (unsigned long long)offset, what);
}

static tw_status reader_get(reader *self, void *bytes, size_t size, const char *section, tw_error *error)
{
    if (size > self->size - self->offset)
        return corrupt(self, error, section, self->offset, "the file ends before the section does");
    for (size_t done = 0; done < size;) {
        size_t n = 0;
        tw_status status = tw_file_read(self->fd, self->path, (unsigned char *)bytes + done, size - done, &n, error);
        if (status < 0)
            return status;
        if (n == 0)
            return corrupt(self, error, section, self->offset + done, "the file shrinks while it is read");
        done += n;
    }
    (void)XXH3_64bits_update(self->hash, bytes, size);
    self->offset += size;
    return TW_STATUS_OK;
}

static tw_status read_header(reader *self, tw_store_kind kind, uint64_t *schema_hash, tw_error *error)
{
    unsigned char header[TW_STORE_HEADER_SIZE];
    tw_status status = reader_get(self, header, sizeof header, "header", error);
    if (status < 0)
        return status;
    tw_wire_in in = {.bytes = header, .size = sizeof header, .at = 8};
    if (memcmp(header, "THALWEG\n", 8) != 0)
        return corrupt(self, error, "header", 0, "is not a file of this program");
    uint64_t version = tw_wire_get(&in, 4);
    uint64_t endianness = tw_wire_get(&in, 4);
    uint64_t found = tw_wire_get(&in, 4);
    uint64_t zero = tw_wire_get(&in, 4);
    *schema_hash = tw_wire_get(&in, 8);
    if (tw_wire_get(&in, 8) != tw_hash(header, TW_STORE_HEADER_SIZE - 8))
        return corrupt(self, error, "header", 0, "the checksum does not match");
    if (version < TW_STORE_FORMAT_OLDEST || version > TW_STORE_FORMAT_VERSION)
        return tw_error_set(error, TW_STATUS_UNSUPPORTED, "%s: format version %llu, this build reads %d to %d",
            self->path, (unsigned long long)version, TW_STORE_FORMAT_OLDEST, TW_STORE_FORMAT_VERSION);
    if (endianness != 0x01020304 || found != (uint64_t)kind || zero != 0)
        return corrupt(self, error, "header", 0, "is not a file of the kind that is wanted here");
    return TW_STATUS_OK;
}

static tw_status read_section(reader *self, tw_section_buffer *buffer, tw_section_view *out, tw_error *error)
{
    uint64_t start = self->offset;
    tw_status status = tw_grow(&buffer->bytes, 1, &buffer->capacity, TW_SECTION_HEADER_SIZE, error);
    if (status == TW_STATUS_OK)
        status = reader_get(self, buffer->bytes, TW_SECTION_HEADER_SIZE, "section header", error);
    if (status < 0)
        return status;
    tw_wire_in in = {.bytes = buffer->bytes, .size = TW_SECTION_HEADER_SIZE};
    uint64_t magic = tw_wire_get(&in, 4);
    out->type = (tw_section_type)tw_wire_get(&in, 4);
    out->offset = start;
    out->length = tw_wire_get(&in, 8);
    out->index = tw_wire_get(&in, 8);
    out->count = tw_wire_get(&in, 8);
    out->first_slot = (uint32_t)tw_wire_get(&in, 4);
    out->last_slot = (uint32_t)tw_wire_get(&in, 4);
    uint64_t left = self->size - self->offset;
    if (magic != SECTION_MAGIC || left < 8 || out->length > left - 8)
        return corrupt(self, error, "section header", start, "it is damaged, or the file ends before the section does");
    size_t rest = (size_t)out->length + 8;
    status = tw_grow(&buffer->bytes, 1, &buffer->capacity, TW_SECTION_HEADER_SIZE + rest, error);
    if (status == TW_STATUS_OK)
        status = reader_get(self, buffer->bytes + TW_SECTION_HEADER_SIZE, rest, tw_section_type_name(out->type), error);
    out->payload = buffer->bytes + TW_SECTION_HEADER_SIZE;
    return status;
}

tw_status tw_section_check(const reader *self, const tw_section_view *section, tw_error *error)
{
    const unsigned char *bytes = section->payload - TW_SECTION_HEADER_SIZE;
    size_t hashed = TW_SECTION_HEADER_SIZE + (size_t)section->length;
    tw_wire_in sum = {.bytes = bytes, .size = hashed + 8, .at = hashed};
    if (tw_wire_get(&sum, 8) != tw_hash(bytes, hashed))
        return corrupt(
            self, error, tw_section_type_name(section->type), section->offset, "the section's checksum does not match");
    return TW_STATUS_OK;
}

static tw_status check_end(reader *self, const tw_section_view *section, tw_error *error)
{
    tw_wire_in in = {.bytes = section->payload, .size = (size_t)section->length};
    bool is_good = section->count == self->n_sections && section->length == 8 + 8 * (uint64_t)self->n_sections;
    is_good = is_good && tw_wire_get(&in, 8) == self->n_rows;
    for (size_t i = 0; is_good && i < self->n_sections; i++)
        is_good = tw_wire_get(&in, 8) == self->section_offset[i];
    if (!is_good)
        return corrupt(self, error, "end", section->offset, "its index does not match the sections");
    if (self->offset != self->size)
        return corrupt(self, error, "end", self->offset, "more bytes follow the last section");
    return TW_STATUS_OK;
}

tw_status tw_section_reader_next(reader *self, tw_section_buffer *buffer, tw_section_view *out, tw_error *error)
{
    *out = (tw_section_view){0};
    tw_status status = read_section(self, buffer, out, error);
    if (status < 0)
        return status;
    if (out->type == TW_SECTION_END) {
        status = tw_section_check(self, out, error);
        if (status == TW_STATUS_OK)
            status = check_end(self, out, error);
        return status < 0 ? status : TW_STATUS_END;
    }
    status = tw_grow(&self->section_offset, sizeof(uint64_t), &self->section_capacity, self->n_sections + 1, error);
    if (status < 0)
        return status;
    self->section_offset[self->n_sections++] = out->offset;
    if (tw_section_has_rows(out->type))
        self->n_rows += out->count;
    return TW_STATUS_OK;
}

tw_status tw_section_reader_open(reader *self, const char *path, tw_store_kind kind, tw_error *error)
{
    tw_file_info info;
    self->fd = -1;
    self->path = path;
    tw_status status = tw_file_open(path, TW_OPEN_READ, &self->fd, error);
    if (status == TW_STATUS_OK)
        status = tw_file_fstat(self->fd, path, &info, error);
    if (status != TW_STATUS_OK)
        return status;
    self->size = info.size;
    self->hash = tw_alloc_aligned(64, sizeof *self->hash);
    if (self->hash == NULL)
        return tw_no_memory(error, sizeof *self->hash);
    (void)XXH3_64bits_reset(self->hash);
    return read_header(self, kind, &self->schema_hash, error);
}

void tw_section_reader_sum(const reader *self, tw_row_file *out)
{
    out->size = self->size;
    out->checksum = XXH3_64bits_digest(self->hash);
    out->rows = self->n_rows;
}

void tw_section_reader_close(reader *self)
{
    tw_status closed = tw_file_close(&self->fd, self->path, NULL);
    (void)closed; /* nothing was written */
    tw_free(self->hash);
    tw_free(self->section_offset);
    self->hash = NULL;
    self->section_offset = NULL;
}

tw_status tw_sections_read(const char *path,
    tw_store_kind kind,
    uint64_t *schema_hash,
    tw_section_visit visit,
    void *context,
    tw_row_file *out,
    tw_error *error)
{
    reader self = {0};
    tw_section_buffer buffer = {0};
    tw_status status = tw_section_reader_open(&self, path, kind, error);
    *schema_hash = self.schema_hash;
    while (status == TW_STATUS_OK) {
        tw_section_view section;
        status = tw_section_reader_next(&self, &buffer, &section, error);
        if (status == TW_STATUS_OK)
            status = tw_section_check(&self, &section, error);
        if (status == TW_STATUS_OK)
            status = visit(context, &section, error);
    }
    if (status == TW_STATUS_END) {
        tw_section_reader_sum(&self, out);
        status = TW_STATUS_OK;
    }
    tw_section_reader_close(&self);
    tw_free(buffer.bytes);
    return status;
}

tw_status tw_spec_read(tw_table_spec *spec, const tw_section_view *section, tw_error *error)
{
    tw_wire_in in = {.bytes = section->payload, .size = (size_t)section->length};
    spec->kind = (tw_table_kind)tw_wire_get(&in, 4);
    spec->bits = (uint32_t)tw_wire_get(&in, 4);
    spec->hash_seed = tw_wire_get(&in, 8);
    spec->max_bytes = tw_wire_get(&in, 8);
    if (in.is_short || (spec->kind != TW_TABLE_EXACT && spec->kind != TW_TABLE_HASHED) || spec->bits > 63 ||
        (spec->kind == TW_TABLE_HASHED && spec->bits < 12))
        return tw_error_set(
            error, TW_STATUS_CORRUPT, "spec: table kind %d with %u bits is not valid", (int)spec->kind, spec->bits);
    return tw_schema_decode(&spec->schema, in.bytes + in.at, in.size - in.at, error);
}
