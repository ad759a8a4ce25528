#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "store/json_lines.h"
#include "store/portable.h"
#include "store/portable_names.h"
#include "store/spec.h"

enum { CHUNK_ROWS = 256 };

struct tw_portable_reader {
    tw_json_lines lines;
    XXH3_state_t *hash;
    tw_portable_head head;
};

/* Rows that wait for one acquisition. */
typedef struct portable_chunk {
    tw_params *params;
    uint64_t key[CHUNK_ROWS], last_key;
    unsigned char *row; /* [CHUNK_ROWS x row size] */
    uint32_t count;
    bool has_last;
} portable_chunk;

#define N_WORDS(words) ((int)(sizeof(words) / sizeof *(words)))

/* --- head --------------------------------------------------------------------------------------------------------- */

static tw_status read_field(const tw_portable_reader *self, const json_t *from, tw_record *record, tw_error *error)
{
    const char *name = NULL;
    uint64_t count = 0;
    int type = 0, merge = 0, init = 0;
    tw_status status = tw_json_get_text(&self->lines, from, "name", &name, error);
    if (status == TW_STATUS_OK)
        status = tw_json_get_integer(&self->lines, from, "count", TW_RECORD_MAX_SIZE, &count, error);
    if (status == TW_STATUS_OK)
        status = tw_json_get_word(
            &self->lines, from, "type", tw_portable_type_name, N_WORDS(tw_portable_type_name), &type, error);
    if (status == TW_STATUS_OK)
        status = tw_json_get_word(
            &self->lines, from, "merge", tw_portable_merge_name, N_WORDS(tw_portable_merge_name), &merge, error);
    if (status == TW_STATUS_OK)
        status = tw_json_get_word(
            &self->lines, from, "init", tw_portable_init_name, N_WORDS(tw_portable_init_name), &init, error);
    if (status < 0)
        return status;
    const json_t *value = json_object_get(from, "value");
    if (!json_is_number(value))
        return tw_json_lines_bad(&self->lines, error, "\"value\" of field \"%.40s\" is missing or no number", name);
    tw_error why = {0};
    if (tw_record_add(record, name, (tw_field_type)type, (uint32_t)count, (tw_merge)merge, &why) < 0)
        return tw_json_lines_bad(&self->lines, error, "schema: %.200s", why.message);
    tw_record_init_last(record, (tw_init)init, json_number_value(value));
    return TW_STATUS_OK;
}

static tw_status read_record_shape(
    const tw_portable_reader *self, const json_t *list, tw_record *record, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    if (!json_is_array(list))
        return tw_json_lines_bad(&self->lines, error, "schema: the fields of a record are missing");
    for (size_t i = 0; i < json_array_size(list) && status == TW_STATUS_OK; i++)
        status = read_field(self, json_array_get(list, i), record, error);
    return status;
}

static tw_status read_schema(const tw_portable_reader *self, const json_t *from, tw_schema *schema, tw_error *error)
{
    const json_t *blocks = json_object_get(from, "blocks");
    tw_status status = read_record_shape(self, json_object_get(from, "row"), &schema->row, error);
    if (status == TW_STATUS_OK && !json_is_array(blocks))
        return tw_json_lines_bad(&self->lines, error, "schema: \"blocks\" is missing");
    for (size_t i = 0; status == TW_STATUS_OK && i < json_array_size(blocks); i++) {
        const json_t *block = json_array_get(blocks, i);
        const char *name = NULL;
        uint64_t count = 0;
        tw_error why = {0};
        status = tw_json_get_text(&self->lines, block, "name", &name, error);
        if (status == TW_STATUS_OK)
            status = tw_json_get_integer(&self->lines, block, "count", UINT32_MAX, &count, error);
        if (status < 0)
            return status;
        tw_block *added = tw_schema_add_block(schema, name, (uint32_t)count, &why);
        if (added == NULL)
            return tw_json_lines_bad(&self->lines, error, "schema: %.200s", why.message);
        status = read_record_shape(self, json_object_get(block, "record"), &added->record, error);
    }
    return status;
}

static tw_status read_spec(const tw_portable_reader *self, const json_t *from, tw_table_spec *spec, tw_error *error)
{
    static const char *const kinds[] = {NULL, "exact", "hashed"};
    uint64_t bits = 0;
    int kind = 0;
    tw_status status = tw_json_get_word(&self->lines, from, "table", kinds, N_WORDS(kinds), &kind, error);
    if (status == TW_STATUS_OK)
        status = tw_json_get_integer(&self->lines, from, "bits", 31, &bits, error);
    if (status == TW_STATUS_OK)
        status = tw_json_get_integer(&self->lines, from, "hash_seed", UINT64_MAX, &spec->hash_seed, error);
    spec->kind = (tw_table_kind)kind;
    spec->bits = (uint32_t)bits;
    return status == TW_STATUS_OK ? read_schema(self, json_object_get(from, "schema"), &spec->schema, error) : status;
}

static tw_status read_names(tw_portable_reader *self, const json_t *from, tw_error *error)
{
    const char *learner = NULL;
    const json_t *pipeline = json_object_get(from, "pipeline");
    tw_status status = tw_json_get_text(&self->lines, from, "learner", &learner, error);
    if (status < 0)
        return status;
    if (strlen(learner) >= sizeof self->head.learner)
        return tw_json_lines_bad(&self->lines, error, "\"learner\" is longer than %d bytes", TW_NAME_SIZE - 1);
    memcpy(self->head.learner, learner, strlen(learner) + 1);
    if (!json_is_string(pipeline))
        return tw_json_lines_bad(&self->lines, error, "\"pipeline\" is missing or no text");
    self->head.pipeline_size = json_string_length(pipeline);
    self->head.pipeline = tw_strndup(json_string_value(pipeline), self->head.pipeline_size);
    return self->head.pipeline != NULL ? TW_STATUS_OK : tw_no_memory(error, self->head.pipeline_size);
}

static tw_status read_head(tw_portable_reader *self, const json_t *from, tw_error *error)
{
    uint64_t format = 0, created_us = 0;
    tw_portable_head *head = &self->head;
    if (!tw_json_integer(json_object_get(from, "thalweg_model"), UINT64_MAX, &format))
        return tw_json_lines_bad(
            &self->lines, error, "is no model that `model export` wrote: \"thalweg_model\" is missing");
    if (format != TW_PORTABLE_FORMAT)
        return tw_json_lines_bad(
            &self->lines, error, "is of format %" PRIu64 ", this program reads %d", format, TW_PORTABLE_FORMAT);
    tw_status status = tw_json_get_integer(&self->lines, from, "version", INT64_MAX, &head->version, error);
    if (status == TW_STATUS_OK)
        status = tw_json_get_integer(&self->lines, from, "events", UINT64_MAX, &head->events, error);
    if (status == TW_STATUS_OK)
        status = tw_json_get_integer(&self->lines, from, "created_us", INT64_MAX, &created_us, error);
    if (status == TW_STATUS_OK)
        status = read_spec(self, from, &head->spec, error);
    head->created_us = (int64_t)created_us;
    return status == TW_STATUS_OK ? read_names(self, from, error) : status;
}

tw_status tw_portable_open(const tw_portable_input *input, tw_portable_reader **out, tw_error *error)
{
    const char *text = NULL;
    size_t size = 0;
    json_t *value = NULL;
    *out = NULL;
    tw_portable_reader *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    tw_json_lines_open(&self->lines, input);
    self->hash = tw_alloc_aligned(64, sizeof *self->hash);
    tw_status status = TW_STATUS_OK;
    if (self->hash == NULL)
        status = tw_no_memory(error, sizeof *self->hash);
    else
        (void)XXH3_64bits_reset(self->hash);
    if (status == TW_STATUS_OK)
        status = tw_json_lines_next(&self->lines, &value, &text, &size, error);
    if (status == TW_STATUS_END)
        status = tw_json_lines_bad(&self->lines, error, "the file is empty");
    if (status == TW_STATUS_OK) {
        (void)XXH3_64bits_update(self->hash, text, size);
        status = read_head(self, value, error);
        json_decref(value);
    }
    if (status < 0)
        tw_portable_close(&self);
    *out = self;
    return status;
}

void tw_portable_close(tw_portable_reader **self)
{
    tw_portable_reader *gone = *self;
    if (gone == NULL)
        return;
    tw_free(gone->head.pipeline);
    tw_free(gone->hash);
    tw_json_lines_close(&gone->lines);
    tw_free(gone);
    *self = NULL;
}

const tw_portable_head *tw_portable_head_of(const tw_portable_reader *self)
{
    return &self->head;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static bool to_real(const json_t *value, bool is_single, uint64_t *bits)
{
    const char *text = json_string_value(value);
    double real = json_number_value(value);
    float single = (float)real;
    uint32_t narrow = 0;
    if (text != NULL)
        return strncmp(text, "0x", 2) == 0 && tw_json_hex(text + 2, is_single ? 8 : 16, bits);
    memcpy(&narrow, &single, sizeof narrow);
    memcpy(bits, &real, sizeof real);
    *bits = is_single ? narrow : *bits;
    return json_is_number(value) && (!is_single || isfinite(single));
}

static bool put_element(const json_t *value, tw_field_type type, unsigned char *at)
{
    uint64_t wide = 0;
    bool is_good = type == TW_FIELD_F32 ? to_real(value, true, &wide)
                   : type == TW_FIELD_F64
                       ? to_real(value, false, &wide)
                       : tw_json_integer(value, type == TW_FIELD_U32 ? UINT32_MAX : UINT64_MAX, &wide);
    uint32_t narrow = (uint32_t)wide;
    if (type == TW_FIELD_F32 || type == TW_FIELD_U32)
        memcpy(at, &narrow, sizeof narrow);
    else
        memcpy(at, &wide, sizeof wide);
    return is_good;
}

/* out: [record->size] */
static tw_status read_record(
    const tw_portable_reader *self, const json_t *from, const tw_record *record, unsigned char *out, tw_error *error)
{
    memset(out, 0, record->size);
    if (json_object_size(from) != record->n_fields)
        return tw_json_lines_bad(
            &self->lines, error, "the record has %zu fields, the schema %u", json_object_size(from), record->n_fields);
    for (uint32_t i = 0; i < record->n_fields; i++) {
        const tw_field *field = &record->field[i];
        const json_t *value = json_object_get(from, field->name);
        size_t size = tw_field_type_size(field->type);
        bool is_list = field->count > 1;
        if (value == NULL)
            return tw_json_lines_bad(&self->lines, error, "field \"%s\" of the schema is missing", field->name);
        if (is_list && json_array_size(value) != field->count)
            return tw_json_lines_bad(
                &self->lines, error, "field \"%s\" must be a list of %u numbers", field->name, field->count);
        for (uint32_t j = 0; j < field->count; j++) {
            if (!put_element(is_list ? json_array_get(value, j) : value, field->type, out + field->offset + j * size))
                return tw_json_lines_bad(&self->lines, error, "field \"%s\": element %u is no %s", field->name, j,
                    tw_portable_type_name[field->type]);
        }
    }
    return TW_STATUS_OK;
}

/* --- load --------------------------------------------------------------------------------------------------------- */

static tw_status put_chunk(portable_chunk *self, uint32_t row_size, uint64_t n_learned, tw_error *error)
{
    tw_rows rows;
    tw_batch batch = {.n_entries = self->count, .key = self->key, .is_taken_over = true};
    tw_status status = self->params->ops->acquire(self->params, &batch, TW_ACCESS_WRITE, &rows, error);
    if (status != TW_STATUS_OK)
        return status;
    for (uint32_t i = 0; i < self->count; i++)
        memcpy(rows.row[i], self->row + (size_t)i * row_size, row_size);
    self->count = 0;
    return self->params->ops->release(self->params, &batch, &rows, n_learned, error);
}

static tw_status take_row(tw_portable_reader *self, const json_t *value, portable_chunk *chunk, tw_error *error)
{
    const tw_table_spec *spec = &self->head.spec;
    uint64_t key = 0;
    bool is_good = tw_json_hex(json_string_value(json_object_get(value, "key")), 16, &key);
    if (!is_good || spec->schema.row.size == 0)
        return tw_json_lines_bad(
            &self->lines, error, is_good ? "the learner has no rows" : "\"key\" is no text of 16 hex digits");
    if (spec->kind == TW_TABLE_HASHED ? (key << spec->bits) != 0 : key == 0)
        return tw_json_lines_bad(&self->lines, error, "\"key\" is none of this table");
    if (chunk->has_last && key <= chunk->last_key)
        return tw_json_lines_bad(&self->lines, error, "rows must ascend by key, each once");
    chunk->last_key = key;
    chunk->has_last = true;
    chunk->key[chunk->count] = key;
    unsigned char *row = chunk->row + (size_t)chunk->count * spec->schema.row.size;
    tw_status status = read_record(self, json_object_get(value, "row"), &spec->schema.row, row, error);
    chunk->count++;
    return status == TW_STATUS_OK && chunk->count == CHUNK_ROWS ? put_chunk(chunk, spec->schema.row.size, 0, error)
                                                                : status;
}

/* The next record of the blocks, in order. */
static tw_status take_block(
    tw_portable_reader *self, const json_t *value, uint32_t block, uint32_t index, tw_params *params, tw_error *error)
{
    const tw_block *shape = &self->head.spec.schema.block[block];
    const char *name = json_string_value(json_object_get(value, "block"));
    uint64_t found = 0;
    if (name == NULL || strcmp(name, shape->name) != 0 ||
        !tw_json_integer(json_object_get(value, "index"), UINT32_MAX, &found) || found != index)
        return tw_json_lines_bad(&self->lines, error, "expected record %u of block \"%s\"", index, shape->name);
    tw_rows rows;
    tw_batch batch = {.n_entries = 0};
    tw_status status = params->ops->acquire(params, &batch, TW_ACCESS_WRITE, &rows, error);
    if (status != TW_STATUS_OK)
        return status;
    unsigned char *out = (unsigned char *)rows.block[block] + (size_t)index * shape->record.size;
    status = read_record(self, json_object_get(value, "record"), &shape->record, out, error);
    tw_status released = params->ops->release(params, &batch, &rows, 0, status < 0 ? NULL : error);
    return status < 0 ? status : released;
}

static tw_status read_blocks(tw_portable_reader *self, tw_params *params, tw_portable_counts *counts, tw_error *error)
{
    const tw_schema *schema = &self->head.spec.schema;
    tw_status status = TW_STATUS_OK;
    for (uint32_t b = 0; b < schema->n_blocks; b++) {
        for (uint32_t i = 0; i < schema->block[b].count && status == TW_STATUS_OK; i++) {
            const char *text = NULL;
            size_t size = 0;
            json_t *value = NULL;
            status = tw_json_lines_next(&self->lines, &value, &text, &size, error);
            if (status == TW_STATUS_END)
                return tw_json_lines_bad(
                    &self->lines, error, "the file ends before block \"%s\" is whole", schema->block[b].name);
            if (status < 0)
                return status;
            (void)XXH3_64bits_update(self->hash, text, size);
            status = take_block(self, value, b, i, params, error);
            json_decref(value);
            counts->blocks++;
        }
    }
    return status;
}

static tw_status check_end(
    tw_portable_reader *self, const json_t *value, const tw_portable_counts *counts, tw_error *error)
{
    const json_t *checksum = json_object_get(value, "checksum");
    uint64_t rows = 0, blocks = 0, wanted = 0, found = XXH3_64bits_digest(self->hash);
    tw_status status = tw_json_get_integer(&self->lines, value, "rows", UINT64_MAX, &rows, error);
    if (status == TW_STATUS_OK)
        status = tw_json_get_integer(&self->lines, value, "blocks", UINT64_MAX, &blocks, error);
    if (status < 0)
        return status;
    if (json_object_size(value) != 2 + (size_t)(checksum != NULL))
        return tw_json_lines_bad(&self->lines, error, "a member of the last line is not known");
    if (rows != counts->rows || blocks != counts->blocks)
        return tw_json_lines_bad(&self->lines, error,
            "%" PRIu64 " rows and %" PRIu64 " block records stand above, not %" PRIu64 " and %" PRIu64, counts->rows,
            counts->blocks, rows, blocks);
    if (checksum != NULL && (!tw_json_hex(json_string_value(checksum), 16, &wanted) || wanted != found))
        return tw_json_lines_bad(&self->lines, error,
            "the checksum of the lines above is %016" PRIx64 ": the file is damaged, or was changed (then leave "
            "\"checksum\" out)",
            found);
    const char *text = NULL;
    size_t size = 0;
    json_t *more = NULL;
    status = tw_json_lines_next(&self->lines, &more, &text, &size, error);
    json_decref(more);
    return status == TW_STATUS_END ? TW_STATUS_OK
           : status < 0            ? status
                                   : tw_json_lines_bad(&self->lines, error, "stands behind the end");
}

static tw_status read_rows(tw_portable_reader *self, portable_chunk *chunk, tw_portable_counts *counts, tw_error *error)
{
    for (;;) {
        const char *text = NULL;
        size_t size = 0;
        json_t *value = NULL;
        tw_status status = tw_json_lines_next(&self->lines, &value, &text, &size, error);
        if (status == TW_STATUS_END)
            return tw_json_lines_bad(&self->lines, error, "the file is cut off: its last line is missing");
        if (status < 0)
            return status;
        bool is_row = json_object_get(value, "key") != NULL;
        if (is_row) {
            (void)XXH3_64bits_update(self->hash, text, size);
            status = take_row(self, value, chunk, error);
            counts->rows++;
        } else {
            status = check_end(self, value, counts, error);
        }
        json_decref(value);
        if (status < 0 || !is_row)
            return status;
    }
}

tw_status tw_portable_load(
    tw_portable_reader *self, const tw_table_spec *spec, tw_params *params, tw_portable_counts *counts, tw_error *error)
{
    uint32_t row_size = self->head.spec.schema.row.size;
    portable_chunk chunk = {.params = params};
    *counts = (tw_portable_counts){0};
    tw_status status = tw_spec_compare(&self->head.spec, spec, error);
    if (status < 0) {
        tw_error_at(error, self->lines.name, 1, 0);
        return status;
    }
    chunk.row = tw_alloc((size_t)CHUNK_ROWS * row_size + 1);
    if (chunk.row == NULL)
        return tw_no_memory(error, (size_t)CHUNK_ROWS * row_size);
    status = read_blocks(self, params, counts, error);
    if (status == TW_STATUS_OK)
        status = read_rows(self, &chunk, counts, error);
    if (status == TW_STATUS_OK)
        status = put_chunk(&chunk, row_size, self->head.events, error);
    tw_local_forget_marks(params);
    tw_free(chunk.row);
    return status;
}
