#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/text.h"
#include "data/key.h"
#include "data/number.h"
#include "store/portable.h"
#include "store/portable_names.h"

enum { CHUNK_ROWS = 256, FLUSH_BYTES = 1 << 16 };

static const uint64_t largest_exact = 1ull << 53; /* of the integers that every reader of JSON keeps */
static const uint64_t index_limit = 1ull << 40;   /* an index below this is taken for one: see rows_text.h */

typedef struct portable_writer {
    tw_params *params;
    const tw_manifest *manifest;
    const tw_portable_output *output;
    tw_portable_counts *counts;
    tw_text line;
    XXH3_state_t *hash;
    uint64_t *key;
    size_t n_keys, key_capacity;
} portable_writer;

static tw_status flush(portable_writer *self, tw_error *error)
{
    (void)XXH3_64bits_update(self->hash, self->line.bytes, self->line.size);
    self->counts->bytes += self->line.size;
    tw_status status = self->output->write(self->output->context, self->line.bytes, self->line.size, error);
    self->line.size = 0;
    return status;
}

static tw_status end_line(portable_writer *self, const char *end, tw_error *error)
{
    tw_status status = tw_text_add(&self->line, end, error);
    return status == TW_STATUS_OK && self->line.size >= FLUSH_BYTES ? flush(self, error) : status;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

/* A short form that reads back equal, also by a reader that makes a double first; -0 keeps its sign. */
static void real_text(double value, bool is_single, char text[TW_REAL_TEXT_SIZE])
{
    bool is_small = fabs(value) < (is_single ? (double)FLT_MIN : DBL_MIN);
    int most = is_single ? 9 : 17, least = is_small ? 1 : most - 3 + is_single;
    if (value == 0.0) {
        (void)snprintf(text, TW_REAL_TEXT_SIZE, "%s", signbit(value) ? "-0.0" : "0");
        return;
    }
    for (int digits = least; digits <= most; digits++) {
        (void)snprintf(text, TW_REAL_TEXT_SIZE, "%.*g", digits, value);
        double back = 0;
        if (tw_number_parse(text, strlen(text), &back) != TW_NUMBER_FINITE)
            continue;
        if (is_single ? (float)back == (float)value : back == value)
            break;
    }
}

static tw_status add_real(tw_text *out, double value, bool is_single, uint64_t bits, tw_error *error)
{
    char text[TW_REAL_TEXT_SIZE];
    if (!isfinite(value))
        return tw_text_addf(out, error, "\"0x%0*" PRIx64 "\"", is_single ? 8 : 16, bits);
    real_text(value, is_single, text);
    return tw_text_add(out, text, error);
}

static tw_status add_element(tw_text *out, tw_field_type type, const unsigned char *at, tw_error *error)
{
    uint32_t narrow = 0;
    uint64_t wide = 0;
    float single;
    double real;
    if (type == TW_FIELD_F32 || type == TW_FIELD_U32)
        memcpy(&narrow, at, sizeof narrow);
    else
        memcpy(&wide, at, sizeof wide);
    memcpy(&single, &narrow, sizeof single);
    memcpy(&real, &wide, sizeof real);
    if (type == TW_FIELD_F32)
        return add_real(out, (double)single, true, narrow, error);
    if (type == TW_FIELD_F64)
        return add_real(out, real, false, wide, error);
    wide = type == TW_FIELD_U32 ? narrow : wide;
    return tw_text_addf(out, error, wide > largest_exact ? "\"%" PRIu64 "\"" : "%" PRIu64, wide);
}

static tw_status add_record(tw_text *out, const tw_record *record, const unsigned char *bytes, tw_error *error)
{
    tw_status status = tw_text_add(out, "{", error);
    for (uint32_t i = 0; i < record->n_fields && status == TW_STATUS_OK; i++) {
        const tw_field *field = &record->field[i];
        size_t size = tw_field_type_size(field->type);
        status = tw_text_addf(out, error, "%s\"%s\":%s", i > 0 ? "," : "", field->name, field->count > 1 ? "[" : "");
        for (uint32_t j = 0; j < field->count && status == TW_STATUS_OK; j++) {
            if (j > 0)
                status = tw_text_append(out, ",", 1, error);
            if (status == TW_STATUS_OK)
                status = add_element(out, field->type, bytes + field->offset + j * size, error);
        }
        if (status == TW_STATUS_OK && field->count > 1)
            status = tw_text_append(out, "]", 1, error);
    }
    return status == TW_STATUS_OK ? tw_text_append(out, "}", 1, error) : status;
}

/* --- head --------------------------------------------------------------------------------------------------------- */

static tw_status add_string(tw_text *out, const char *text, size_t size, tw_error *error)
{
    tw_status status = tw_text_append(out, "\"", 1, error);
    for (size_t i = 0; i < size && status == TW_STATUS_OK; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            status = tw_text_addf(out, error, "\\%c", c);
        else if (c == '\n')
            status = tw_text_add(out, "\\n", error);
        else if (c < 0x20)
            status = tw_text_addf(out, error, "\\u%04x", c);
        else
            status = tw_text_append(out, text + i, 1, error);
    }
    return status == TW_STATUS_OK ? tw_text_append(out, "\"", 1, error) : status;
}

static tw_status add_fields(tw_text *out, const tw_record *record, tw_error *error)
{
    char value[TW_REAL_TEXT_SIZE];
    tw_status status = tw_text_append(out, "[", 1, error);
    for (uint32_t i = 0; i < record->n_fields && status == TW_STATUS_OK; i++) {
        const tw_field *field = &record->field[i];
        real_text(field->init_value, false, value);
        status = tw_text_addf(out, error,
            "%s{\"name\":\"%s\",\"type\":\"%s\",\"count\":%u,\"merge\":\"%s\",\"init\":\"%s\",\"value\":%s}",
            i > 0 ? "," : "", field->name, tw_portable_type_name[field->type], field->count,
            tw_portable_merge_name[field->merge], tw_portable_init_name[field->init], value);
    }
    return status == TW_STATUS_OK ? tw_text_append(out, "]", 1, error) : status;
}

static tw_status add_schema(tw_text *out, const tw_schema *schema, tw_error *error)
{
    tw_status status = tw_text_add(out, "{\"row\":", error);
    if (status == TW_STATUS_OK)
        status = add_fields(out, &schema->row, error);
    if (status == TW_STATUS_OK)
        status = tw_text_add(out, ",\"blocks\":[", error);
    for (uint32_t i = 0; i < schema->n_blocks && status == TW_STATUS_OK; i++) {
        const tw_block *block = &schema->block[i];
        status = tw_text_addf(
            out, error, "%s{\"name\":\"%s\",\"count\":%u,\"record\":", i > 0 ? "," : "", block->name, block->count);
        if (status == TW_STATUS_OK)
            status = add_fields(out, &block->record, error);
        if (status == TW_STATUS_OK)
            status = tw_text_append(out, "}", 1, error);
    }
    return status == TW_STATUS_OK ? tw_text_add(out, "]}", error) : status;
}

static tw_status write_head(portable_writer *self, tw_error *error)
{
    const tw_manifest *manifest = self->manifest;
    const tw_table_spec *spec = &manifest->spec;
    const tw_section *pipeline = tw_manifest_find(manifest, "pipeline");
    if (pipeline == NULL)
        return tw_error_set(error, TW_STATUS_CORRUPT, "checkpoint %06" PRIu64 " holds no pipeline", manifest->id);
    tw_status status = tw_text_addf(&self->line, error,
        "{\"thalweg_model\":%d,\"learner\":\"%s\",\"version\":%" PRIu64 ",\"events\":%" PRIu64
        ",\"created_us\":%" PRId64 ",\"table\":\"%s\",\"bits\":%u,\"hash_seed\":\"%" PRIu64 "\",\"schema\":",
        TW_PORTABLE_FORMAT, manifest->learner, manifest->id, manifest->events, manifest->created_us,
        spec->kind == TW_TABLE_HASHED ? "hashed" : "exact", spec->bits, spec->hash_seed);
    if (status == TW_STATUS_OK)
        status = add_schema(&self->line, &spec->schema, error);
    if (status == TW_STATUS_OK)
        status = tw_text_add(&self->line, ",\"pipeline\":", error);
    if (status == TW_STATUS_OK)
        status = add_string(&self->line, pipeline->bytes, pipeline->size, error);
    return status == TW_STATUS_OK ? end_line(self, "}\n", error) : status;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

static tw_status take_key(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    portable_writer *self = context;
    (void)record;
    if (block >= 0)
        return TW_STATUS_OK;
    tw_status status = tw_grow(&self->key, sizeof *self->key, &self->key_capacity, self->n_keys + 1, error);
    if (status == TW_STATUS_OK)
        self->key[self->n_keys++] = key;
    return status;
}

static int compare_keys(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static tw_status write_row(portable_writer *self, uint64_t key, const void *row, tw_error *error)
{
    const tw_table_spec *spec = &self->manifest->spec;
    uint64_t index = tw_key_to_index(spec->hash_seed, key);
    double weight = self->output->weight != NULL ? self->output->weight(self->output->context, row) : (double)NAN;
    tw_status status = tw_text_addf(&self->line, error, "{\"key\":\"%016" PRIx64 "\"", key);
    if (status == TW_STATUS_OK && spec->kind == TW_TABLE_EXACT && index < index_limit)
        status = tw_text_addf(&self->line, error, ",\"index\":%" PRIu64, index);
    if (status == TW_STATUS_OK && isfinite(weight)) {
        char text[TW_REAL_TEXT_SIZE];
        real_text(weight, (double)(float)weight == weight, text);
        status = tw_text_addf(&self->line, error, ",\"weight\":%s", text);
    }
    if (status == TW_STATUS_OK)
        status = tw_text_add(&self->line, ",\"row\":", error);
    if (status == TW_STATUS_OK)
        status = add_record(&self->line, &spec->schema.row, row, error);
    self->counts->rows++;
    return status == TW_STATUS_OK ? end_line(self, "}\n", error) : status;
}

static tw_status write_blocks(portable_writer *self, const tw_rows *rows, tw_error *error)
{
    const tw_schema *schema = &self->manifest->spec.schema;
    tw_status status = TW_STATUS_OK;
    for (uint32_t b = 0; b < schema->n_blocks; b++) {
        const tw_block *block = &schema->block[b];
        for (uint32_t i = 0; i < block->count && status == TW_STATUS_OK; i++) {
            const unsigned char *record = rows->block[b];
            status = tw_text_addf(&self->line, error, "{\"block\":\"%s\",\"index\":%u,\"record\":", block->name, i);
            if (status == TW_STATUS_OK)
                status = add_record(&self->line, &block->record, record + (size_t)i * block->record.size, error);
            if (status == TW_STATUS_OK)
                status = end_line(self, "}\n", error);
            self->counts->blocks++;
        }
    }
    return status;
}

/* The rows of key [n]; n 0: the blocks. */
static tw_status write_chunk(portable_writer *self, const uint64_t *key, uint32_t n, tw_error *error)
{
    tw_rows rows;
    tw_batch batch = {.n_entries = n, .key = key};
    tw_status status = self->params->ops->acquire(self->params, &batch, TW_ACCESS_READ, &rows, error);
    if (status != TW_STATUS_OK)
        return status < 0 ? status : tw_error_set(error, TW_STATUS_BUSY, "a shard is being restored; try again");
    if (n == 0)
        status = write_blocks(self, &rows, error);
    for (uint32_t i = 0; i < n && status == TW_STATUS_OK; i++)
        status = write_row(self, key[i], rows.row[i], error);
    tw_status released = self->params->ops->release(self->params, &batch, &rows, 0, status < 0 ? NULL : error);
    return status < 0 ? status : released;
}

static tw_status write_all(portable_writer *self, tw_error *error)
{
    tw_status status = write_head(self, error);
    if (status == TW_STATUS_OK)
        status = write_chunk(self, NULL, 0, error);
    if (status == TW_STATUS_OK && self->manifest->spec.schema.row.size > 0)
        status = self->params->ops->scan(self->params, take_key, self, error);
    if (self->n_keys > 1)
        qsort(self->key, self->n_keys, sizeof *self->key, compare_keys);
    for (size_t at = 0; at < self->n_keys && status == TW_STATUS_OK; at += CHUNK_ROWS) {
        size_t n = self->n_keys - at < CHUNK_ROWS ? self->n_keys - at : CHUNK_ROWS;
        status = write_chunk(self, self->key + at, (uint32_t)n, error);
    }
    if (status == TW_STATUS_OK)
        status = flush(self, error);
    uint64_t checksum = XXH3_64bits_digest(self->hash);
    if (status == TW_STATUS_OK)
        status = tw_text_addf(&self->line, error,
            "{\"rows\":%" PRIu64 ",\"blocks\":%" PRIu64 ",\"checksum\":\"%016" PRIx64 "\"}\n", self->counts->rows,
            self->counts->blocks, checksum);
    return status == TW_STATUS_OK ? flush(self, error) : status;
}

tw_status tw_portable_write(tw_params *params,
    const tw_manifest *manifest,
    const tw_portable_output *output,
    tw_portable_counts *counts,
    tw_error *error)
{
    portable_writer self = {.params = params, .manifest = manifest, .output = output, .counts = counts};
    *counts = (tw_portable_counts){0};
    self.hash = tw_alloc_aligned(64, sizeof *self.hash);
    if (self.hash == NULL)
        return tw_no_memory(error, sizeof *self.hash);
    (void)XXH3_64bits_reset(self.hash);
    locale_t neutral = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    tw_status status = TW_STATUS_OK;
    if (neutral == (locale_t)0) {
        status = tw_no_memory(error, 0);
    } else {
        locale_t before = uselocale(neutral);
        status = write_all(&self, error);
        (void)uselocale(before);
        freelocale(neutral);
    }
    tw_free(self.key);
    tw_free(self.hash);
    tw_text_fini(&self.line);
    return status;
}
