#include "thalweg/schema.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "store/wire.h"

enum { SCHEMA_ENCODING = 1, SCHEMA_BLOCK_MAX_BYTES = 1 << 30 };

uint32_t tw_field_type_size(tw_field_type type)
{
    return type == TW_FIELD_F32 || type == TW_FIELD_U32 ? 4u : 8u;
}

static bool field_is_float(const tw_field *field)
{
    return field->type == TW_FIELD_F32 || field->type == TW_FIELD_F64;
}

static uint64_t field_end(const tw_field *field)
{
    return (uint64_t)field->offset + (uint64_t)field->count * tw_field_type_size(field->type);
}

static uint32_t record_size_for(uint64_t end)
{
    return (uint32_t)((end + 7) / 8 * 8);
}

static tw_status name_check(const char *name, const char *what, tw_error *error)
{
    size_t size = name == NULL ? 0 : strnlen(name, TW_NAME_SIZE);
    if (size == 0 || size >= TW_NAME_SIZE)
        return tw_error_set(error, TW_STATUS_INVALID, "%s name '%.40s': must have 1 to %d bytes", what,
            name == NULL ? "" : name, TW_NAME_SIZE - 1);
    return TW_STATUS_OK;
}

/* Everything about a field that does not depend on its neighbours. */
static tw_status field_check(const tw_field *field, tw_error *error)
{
    if (field->type < TW_FIELD_F32 || field->type > TW_FIELD_F64)
        return tw_error_set(error, TW_STATUS_INVALID, "field %s: type %d is unknown", field->name, (int)field->type);
    if (field->merge < TW_MERGE_ADD || field->merge > TW_MERGE_FADE)
        return tw_error_set(
            error, TW_STATUS_INVALID, "field %s: merge rule %d is unknown", field->name, (int)field->merge);
    if ((field->merge == TW_MERGE_TICK && (field->type != TW_FIELD_U64 || field->count != 1)) ||
        (field->merge == TW_MERGE_FADE && !field_is_float(field)))
        return tw_error_set(error, TW_STATUS_INVALID, "field %s: merge rule %d does not fit type %d with %u elements",
            field->name, (int)field->merge, (int)field->type, field->count);
    if (field->count == 0)
        return tw_error_set(error, TW_STATUS_INVALID, "field %s: has 0 elements", field->name);
    if (field->offset % tw_field_type_size(field->type) != 0)
        return tw_error_set(error, TW_STATUS_INVALID, "field %s: offset %u is not a multiple of its size %u",
            field->name, field->offset, tw_field_type_size(field->type));
    if (field->init != TW_INIT_CONSTANT && !(field->init == TW_INIT_NORMAL && field_is_float(field)))
        return tw_error_set(error, TW_STATUS_INVALID, "field %s: initial rule %d does not fit type %d", field->name,
            (int)field->init, (int)field->type);
    static const double limits[] = {0, 3.4028234663852886e38, 4294967295.0, 9007199254740992.0, 1.7976931348623157e308};
    double limit = limits[field->type];
    double value = field->init_value;
    if (!isfinite(value) || fabs(value) > limit || (!field_is_float(field) && value < 0))
        return tw_error_set(
            error, TW_STATUS_INVALID, "field %s: initial value %g is out of range", field->name, field->init_value);
    return TW_STATUS_OK;
}

tw_status tw_record_add(
    tw_record *self, const char *name, tw_field_type type, uint32_t count, tw_merge merge, tw_error *error)
{
    tw_status status = name_check(name, "field", error);
    if (status < 0)
        return status;
    if (self->n_fields >= TW_RECORD_MAX_FIELDS)
        return tw_error_set(
            error, TW_STATUS_INVALID, "field %s: a record has at most %d fields", name, TW_RECORD_MAX_FIELDS);
    uint64_t end = 0;
    for (uint32_t i = 0; i < self->n_fields; i++) {
        if (strcmp(self->field[i].name, name) == 0)
            return tw_error_set(error, TW_STATUS_INVALID, "field %s: the record has one of that name", name);
        end = field_end(&self->field[i]);
    }
    tw_field field = {.type = type, .merge = merge, .init = TW_INIT_CONSTANT, .count = count};
    uint64_t size = tw_field_type_size(type);
    field.offset = (uint32_t)((end + size - 1) / size * size);
    memcpy(field.name, name, strlen(name));
    status = field_check(&field, error);
    if (status < 0)
        return status;
    if (field_end(&field) > TW_RECORD_MAX_SIZE)
        return tw_error_set(error, TW_STATUS_INVALID,
            "field %s: the record would have %llu bytes, above the limit of %d", name,
            (unsigned long long)field_end(&field), TW_RECORD_MAX_SIZE);
    self->field[self->n_fields++] = field;
    self->size = record_size_for(field_end(&field));
    return TW_STATUS_OK;
}

void tw_record_init_last(tw_record *self, tw_init init, double value)
{
    if (self->n_fields == 0)
        return;
    self->field[self->n_fields - 1].init = init;
    self->field[self->n_fields - 1].init_value = value;
}

tw_block *tw_schema_add_block(tw_schema *self, const char *name, uint32_t count, tw_error *error)
{
    if (name_check(name, "block", error) < 0)
        return NULL;
    if (self->n_blocks >= TW_SCHEMA_MAX_BLOCKS) {
        (void)tw_error_set(
            error, TW_STATUS_INVALID, "block %s: a schema has at most %d blocks", name, TW_SCHEMA_MAX_BLOCKS);
        return NULL;
    }
    if (count == 0 || tw_schema_find_block(self, name) >= 0) {
        (void)tw_error_set(error, TW_STATUS_INVALID, "block %s: %s", name,
            count == 0 ? "must have at least 1 record" : "the schema has one of that name");
        return NULL;
    }
    tw_block *block = &self->block[self->n_blocks++];
    *block = (tw_block){.count = count};
    memcpy(block->name, name, strlen(name));
    return block;
}

int tw_schema_find_block(const tw_schema *self, const char *name)
{
    for (uint32_t i = 0; i < self->n_blocks; i++) {
        if (strcmp(self->block[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* --- encoding: u32 version, the row record, u32 n_blocks, per block: name, u32 count, record
 * record: u32 n_fields, u32 size, fields     field: name, u8 type, u8 merge, u8 init, u32 count, u32 offset, f64
 * init_value name: u8 length, bytes */

static void name_put(tw_wire_out *out, const char *name)
{
    size_t size = strnlen(name, TW_NAME_SIZE - 1);
    tw_wire_put(out, size, 1);
    tw_wire_put_bytes(out, name, size);
}

static void record_put(tw_wire_out *out, const tw_record *record)
{
    tw_wire_put(out, record->n_fields, 4);
    tw_wire_put(out, record->size, 4);
    for (uint32_t i = 0; i < record->n_fields; i++) {
        const tw_field *field = &record->field[i];
        uint64_t bits;
        memcpy(&bits, &field->init_value, sizeof bits);
        name_put(out, field->name);
        tw_wire_put(out, (uint64_t)field->type, 1);
        tw_wire_put(out, (uint64_t)field->merge, 1);
        tw_wire_put(out, (uint64_t)field->init, 1);
        tw_wire_put(out, field->count, 4);
        tw_wire_put(out, field->offset, 4);
        tw_wire_put(out, bits, 8);
    }
}

static void schema_put(tw_wire_out *out, const tw_schema *self)
{
    tw_wire_put(out, SCHEMA_ENCODING, 4);
    record_put(out, &self->row);
    tw_wire_put(out, self->n_blocks, 4);
    for (uint32_t i = 0; i < self->n_blocks; i++) {
        name_put(out, self->block[i].name);
        tw_wire_put(out, self->block[i].count, 4);
        record_put(out, &self->block[i].record);
    }
}

size_t tw_schema_encode(const tw_schema *self, void *bytes, size_t size)
{
    tw_wire_out count = {0};
    schema_put(&count, self);
    if (bytes != NULL && size >= count.size) {
        tw_wire_out out = {.bytes = bytes};
        schema_put(&out, self);
    }
    return count.size;
}

static tw_status name_get(tw_wire_in *in, char name[TW_NAME_SIZE], const char *what, tw_error *error)
{
    size_t size = (size_t)tw_wire_get(in, 1);
    const unsigned char *bytes = tw_wire_get_bytes(in, size);
    if (bytes == NULL || size == 0 || size >= TW_NAME_SIZE || memchr(bytes, 0, size) != NULL)
        return tw_error_set(
            error, TW_STATUS_CORRUPT, "schema: %s name of %zu bytes at byte %zu is not valid", what, size, in->at);
    memset(name, 0, TW_NAME_SIZE);
    memcpy(name, bytes, size);
    return TW_STATUS_OK;
}

static tw_status field_get(tw_wire_in *in, tw_field *field, tw_error *error)
{
    tw_status status = name_get(in, field->name, "field", error);
    if (status < 0)
        return status;
    field->type = (tw_field_type)tw_wire_get(in, 1);
    field->merge = (tw_merge)tw_wire_get(in, 1);
    field->init = (tw_init)tw_wire_get(in, 1);
    field->count = (uint32_t)tw_wire_get(in, 4);
    field->offset = (uint32_t)tw_wire_get(in, 4);
    uint64_t bits = tw_wire_get(in, 8);
    memcpy(&field->init_value, &bits, sizeof bits);
    status = field_check(field, error);
    if (status < 0 && error != NULL)
        error->status = TW_STATUS_CORRUPT;
    return status < 0 ? TW_STATUS_CORRUPT : TW_STATUS_OK;
}

static tw_status record_get(tw_wire_in *in, tw_record *record, tw_error *error)
{
    record->n_fields = (uint32_t)tw_wire_get(in, 4);
    record->size = (uint32_t)tw_wire_get(in, 4);
    if (record->n_fields > TW_RECORD_MAX_FIELDS)
        return tw_error_set(error, TW_STATUS_CORRUPT, "schema: record of %u fields, above the limit of %d",
            record->n_fields, TW_RECORD_MAX_FIELDS);
    uint64_t end = 0;
    for (uint32_t i = 0; i < record->n_fields; i++) {
        tw_field *field = &record->field[i];
        tw_status status = field_get(in, field, error);
        if (status < 0)
            return status;
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(record->field[j].name, field->name) == 0)
                return tw_error_set(error, TW_STATUS_CORRUPT, "schema: field %s occurs twice", field->name);
        }
        if (field->offset < end || field_end(field) > TW_RECORD_MAX_SIZE)
            return tw_error_set(error, TW_STATUS_CORRUPT,
                "schema: field %s at offset %u overlaps or passes the limit of %d", field->name, field->offset,
                TW_RECORD_MAX_SIZE);
        end = field_end(field);
    }
    if (record->size % 8 != 0 || record->size < end || record->size > TW_RECORD_MAX_SIZE)
        return tw_error_set(
            error, TW_STATUS_CORRUPT, "schema: record of %u bytes does not fit its fields", record->size);
    return TW_STATUS_OK;
}

static tw_status block_get(tw_wire_in *in, tw_schema *self, tw_error *error)
{
    tw_block *block = &self->block[self->n_blocks];
    char name[TW_NAME_SIZE];
    tw_status status = name_get(in, name, "block", error);
    if (status < 0)
        return status;
    if (tw_schema_find_block(self, name) >= 0)
        return tw_error_set(error, TW_STATUS_CORRUPT, "schema: block %s occurs twice", name);
    memcpy(block->name, name, sizeof name);
    block->count = (uint32_t)tw_wire_get(in, 4);
    status = record_get(in, &block->record, error);
    if (status < 0)
        return status;
    if (block->count == 0 || (uint64_t)block->count * block->record.size > SCHEMA_BLOCK_MAX_BYTES)
        return tw_error_set(error, TW_STATUS_CORRUPT,
            "schema: block %s of %u records of %u bytes: must be 1 record to %d bytes", block->name, block->count,
            block->record.size, SCHEMA_BLOCK_MAX_BYTES);
    self->n_blocks++;
    return TW_STATUS_OK;
}

static tw_status schema_get(tw_wire_in *in, tw_schema *self, tw_error *error)
{
    uint64_t version = tw_wire_get(in, 4);
    if (version != SCHEMA_ENCODING)
        return tw_error_set(error, TW_STATUS_CORRUPT, "schema: encoding %llu is unknown, this build reads %d",
            (unsigned long long)version, SCHEMA_ENCODING);
    tw_status status = record_get(in, &self->row, error);
    uint64_t n_blocks = tw_wire_get(in, 4);
    if (status == TW_STATUS_OK && n_blocks > TW_SCHEMA_MAX_BLOCKS)
        status = tw_error_set(error, TW_STATUS_CORRUPT, "schema: %llu blocks, above the limit of %d",
            (unsigned long long)n_blocks, TW_SCHEMA_MAX_BLOCKS);
    for (uint64_t i = 0; i < n_blocks && status == TW_STATUS_OK; i++)
        status = block_get(in, self, error);
    if (status == TW_STATUS_OK && (in->is_short || in->at != in->size))
        status = tw_error_set(
            error, TW_STATUS_CORRUPT, "schema: %zu bytes given, the encoding ends at %zu", in->size, in->at);
    return status;
}

tw_status tw_schema_decode(tw_schema *self, const void *bytes, size_t size, tw_error *error)
{
    tw_wire_in in = {.bytes = bytes, .size = size};
    memset(self, 0, sizeof *self);
    tw_status status = schema_get(&in, self, error);
    if (status < 0)
        memset(self, 0, sizeof *self);
    return status;
}

uint64_t tw_schema_hash(const tw_schema *self)
{
    /* An encoded field has at most 54 bytes, a record 8 + 16 fields, a block 36 more: the schema fits this buffer. */
    unsigned char bytes[(TW_SCHEMA_MAX_BLOCKS + 1) * (TW_RECORD_MAX_FIELDS * 56 + 48) + 8];
    size_t size = tw_schema_encode(self, bytes, sizeof bytes);
    return size <= sizeof bytes ? tw_hash(bytes, size) : 0;
}
