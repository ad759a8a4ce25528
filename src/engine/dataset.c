#include "engine/dataset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "engine/dataset_file.h"

_Static_assert(sizeof(dataset_header) <= DATASET_HEADER_SIZE, "the header must fit");

uint64_t dataset_state_size(const tw_model *model)
{
    const tw_schema *schema = &tw_model_table_spec(model)->schema;
    uint64_t size = 0;
    for (uint32_t i = 0; i < tw_model_n_transform_blocks(model); i++)
        size += (uint64_t)schema->block[i].count * schema->block[i].record.size;
    return size;
}

uint64_t dataset_lay_out(dataset_header *header, uint64_t state_size)
{
    const uint64_t n = header->n_events, e = header->n_entries, c = header->n_columns;
    const uint64_t size[DATASET_N_PARTS] = {
        [PART_ROW_START] = (n + 1) * sizeof(uint64_t),
        [PART_COLUMN] = e * sizeof(uint32_t),
        [PART_VALUE] = e * sizeof(float),
        [PART_FIELD] = e * sizeof(uint16_t),
        [PART_LABEL] = header->has_label ? n * sizeof(float) : 0,
        [PART_WEIGHT] = n * sizeof(float),
        [PART_TIME] = n * sizeof(int64_t),
        [PART_DENSE] = n * header->dense_width * sizeof(float),
        [PART_KEY] = c * sizeof(uint64_t),
        [PART_LARGEST] = c * sizeof(float),
        [PART_SPLIT] = header->n_splits * sizeof(tw_split),
        [PART_STATE] = state_size,
    };
    uint64_t offset = DATASET_HEADER_SIZE;
    for (int i = 0; i < DATASET_N_PARTS; i++) {
        header->section[i].offset = offset;
        header->section[i].size = size[i];
        offset += (size[i] + DATASET_ALIGNMENT - 1) / DATASET_ALIGNMENT * DATASET_ALIGNMENT;
    }
    return offset;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static tw_status corrupt(const char *path, const char *what, tw_error *error)
{
    return tw_error_set(error, TW_STATUS_CORRUPT, "%s: %s", path, what);
}

/* Counts that no file of this size can have would make the sums of lay_out wrap. */
static bool has_sane_counts(const dataset_header *header, uint64_t file_size)
{
    return header->n_events <= file_size && header->n_entries <= file_size && header->n_columns <= file_size &&
           header->n_columns < UINT32_MAX && header->n_splits <= file_size / sizeof(tw_split) &&
           header->dense_width <= UINT16_MAX + 1u && header->has_label <= 1;
}

static tw_status check_header(
    const char *path, const dataset_header *header, uint64_t file_size, uint64_t state_size, tw_error *error)
{
    dataset_header wanted = *header;
    if (memcmp(header->magic, dataset_magic, sizeof dataset_magic) != 0)
        return corrupt(path, "it is not a file of decoded events", error);
    if (header->order != dataset_order || header->version != DATASET_VERSION)
        return tw_error_set(error, TW_STATUS_CONFLICT, "%s: it was made by another version or machine", path);
    if (tw_hash(header, offsetof(dataset_header, checksum)) != header->checksum)
        return corrupt(path, "the checksum of its header is wrong", error);
    if (!has_sane_counts(header, file_size) || dataset_lay_out(&wanted, state_size) != file_size)
        return corrupt(path, "its size does not fit its header", error);
    for (int i = 0; i < DATASET_N_PARTS; i++) {
        if (wanted.section[i].offset != header->section[i].offset || wanted.section[i].size != header->section[i].size)
            return corrupt(path, "its parts do not fit its header", error);
    }
    return TW_STATUS_OK;
}

static tw_status check_parts(const char *path, const dataset_header *header, const char *bytes, tw_error *error)
{
    for (int i = 0; i < DATASET_N_PARTS; i++) {
        const dataset_section *section = &header->section[i];
        if (tw_hash(bytes + section->offset, section->size) != section->checksum)
            return tw_error_set(error, TW_STATUS_CORRUPT, "%s: part %d at offset %llu fails its checksum", path, i,
                (unsigned long long)section->offset);
    }
    return TW_STATUS_OK;
}

/* What a reader would run out of bounds by, whatever the checksums say. */
static tw_status check_content(const char *path, const tw_dataset *self, tw_error *error)
{
    const tw_matrix *m = &self->matrix;
    bool is_good = m->row_start[0] == 0 && m->row_start[m->n_events] == m->n_entries;
    for (uint64_t i = 0; i < m->n_events && is_good; i++)
        is_good = m->row_start[i] <= m->row_start[i + 1] && m->row_start[i + 1] - m->row_start[i] <= UINT32_MAX;
    for (uint64_t i = 0; i < m->n_entries && is_good; i++)
        is_good = m->column[i] < m->n_columns;
    for (uint32_t i = 0; i < m->n_columns && is_good; i++)
        is_good = self->key[i] != 0 && (i == 0 || self->key[i - 1] < self->key[i]);
    for (size_t i = 0; i < self->n_splits && is_good; i++)
        is_good = memchr(self->split[i].name, '\0', sizeof self->split[i].name) != NULL;
    return is_good ? TW_STATUS_OK : corrupt(path, "its content does not hold together", error);
}

static void take_parts(const dataset_header *header, const char *bytes, tw_dataset *out)
{
    const void *part[DATASET_N_PARTS];
    for (int i = 0; i < DATASET_N_PARTS; i++)
        part[i] = bytes + header->section[i].offset;
    out->matrix = (tw_matrix){
        .n_events = header->n_events,
        .n_entries = header->n_entries,
        .n_columns = (uint32_t)header->n_columns,
        .row_start = part[PART_ROW_START],
        .column = part[PART_COLUMN],
        .value = part[PART_VALUE],
        .label = header->has_label ? part[PART_LABEL] : NULL,
        .weight = part[PART_WEIGHT],
        .dense = header->dense_width > 0 ? part[PART_DENSE] : NULL,
        .dense_width = (uint32_t)header->dense_width,
    };
    out->key = part[PART_KEY];
    out->largest = part[PART_LARGEST];
    out->field = part[PART_FIELD];
    out->time_us = part[PART_TIME];
    out->split = part[PART_SPLIT];
    out->n_splits = header->n_splits;
    out->state = part[PART_STATE];
    out->state_size = header->section[PART_STATE].size;
    out->events = header->events;
    out->bad_events = header->bad_events;
    out->bytes = header->bytes;
    out->checksum = header->checksum;
}

static tw_status map_open_file(int fd, const char *path, uint64_t state_size, tw_dataset *out, tw_error *error)
{
    tw_file_info info;
    tw_status status = tw_file_fstat(fd, path, &info, error);
    if (status == TW_STATUS_OK && info.size < DATASET_HEADER_SIZE)
        status = corrupt(path, "it is too short", error);
    if (status == TW_STATUS_OK)
        status = tw_file_map(fd, path, info.size, &out->map, error);
    if (status < 0)
        return status;
    out->map_size = info.size;
    dataset_header header;
    memcpy(&header, out->map, sizeof header);
    status = check_header(path, &header, info.size, state_size, error);
    if (status == TW_STATUS_OK)
        status = check_parts(path, &header, out->map, error);
    if (status < 0)
        return status;
    take_parts(&header, out->map, out);
    return check_content(path, out, error);
}

tw_status dataset_map(const char *path, uint64_t fingerprint, uint64_t state_size, tw_dataset *out, tw_error *error)
{
    int fd = -1;
    memset(out, 0, sizeof *out);
    tw_status status = tw_file_open(path, TW_OPEN_READ, &fd, error);
    if (status < 0)
        return status;
    status = map_open_file(fd, path, state_size, out, error);
    (void)tw_file_close(&fd, path, NULL);
    if (status == TW_STATUS_OK && ((const dataset_header *)out->map)->fingerprint != fingerprint)
        status = tw_error_set(
            error, TW_STATUS_CONFLICT, "%s: it was made from other inputs, features or a changed file", path);
    if (status < 0)
        tw_dataset_close(out);
    return status;
}

/* --- which inputs ----------------------------------------------------------------------------------------------- */

/* Name, size and time of change of every file; false: something that is not a file, which cannot be recognised. */
static bool hash_splits(const tw_split *split, size_t n, uint64_t *hash)
{
    for (size_t i = 0; i < n; i++) {
        tw_file_info info;
        if (tw_file_stat(split[i].name, &info, NULL) < 0 || !info.is_regular)
            return false;
        const uint64_t facts[] = {*hash, split[i].id, info.size, (uint64_t)info.modified_us, info.inode};
        *hash = tw_hash_seeded(split[i].name, strlen(split[i].name), tw_hash(facts, sizeof facts));
    }
    return true;
}

static tw_status hash_input(const tw_input *input, uint64_t *hash, bool *is_known, tw_error *error)
{
    size_t size = input->source->state_size(input->source_options), n = 0;
    void *source = tw_alloc_aligned(64, size < 64 ? 64 : size);
    if (source == NULL)
        return tw_no_memory(error, size);
    tw_status status = input->source->open(source, input->source_options, NULL, 0, tw_host_default(), error);
    if (status >= 0) {
        const tw_split *split = input->source->splits(source, &n);
        *is_known = *is_known && hash_splits(split, n, hash);
        input->source->close(source);
        status = TW_STATUS_OK;
    }
    tw_free(source);
    return status;
}

/* Takes inputs, pipeline and schema together; *is_known false: inputs that cannot be recognised again. */
static tw_status fingerprint_of(const tw_dataset_options *options, uint64_t *out, bool *is_known, tw_error *error)
{
    const tw_table_spec *spec = tw_model_table_spec(options->model);
    const uint64_t facts[] = {DATASET_VERSION, options->fingerprint, tw_schema_hash(&spec->schema), spec->kind,
        spec->bits, spec->hash_seed, tw_model_traits(options->model)->dense_width};
    *out = tw_hash(facts, sizeof facts);
    *is_known = true;
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < options->n_inputs && status == TW_STATUS_OK; i++)
        status = hash_input(&options->input[i], out, is_known, error);
    return status;
}

/* Decoded events, whole, cut or with a damaged byte. */
static bool is_ours(const dataset_header *start, size_t n)
{
    bool has_order = n >= offsetof(dataset_header, order) + sizeof start->order && start->order == dataset_order;
    return has_order || memcmp(start, dataset_magic, n < sizeof dataset_magic ? n : sizeof dataset_magic) == 0;
}

/* CONFLICT when `path` holds anything but decoded events: such a file is not ours to replace. */
static tw_status check_replaceable(const char *path, tw_error *error)
{
    dataset_header start;
    size_t n = 0;
    int fd = -1;
    tw_error why = {0};
    tw_status status = tw_file_open(path, TW_OPEN_READ, &fd, &why);
    if (status == TW_STATUS_NOT_FOUND)
        return TW_STATUS_OK;
    if (status == TW_STATUS_OK)
        status = tw_file_read(fd, path, &start, sizeof start, &n, &why);
    tw_status closed = tw_file_close(&fd, path, status < 0 ? NULL : &why);
    status = status < 0 ? status : closed;
    if (status < 0)
        return tw_error_set(error, status, "%s", why.message);
    if (is_ours(&start, n))
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_CONFLICT,
        "%s: it is not a file of decoded events and is left as it is; name another cache", path);
}

tw_status tw_dataset_open(const tw_dataset_options *options, tw_dataset *out, tw_error *error)
{
    uint64_t fingerprint = 0, state_size = dataset_state_size(options->model);
    bool is_known = false;
    tw_error why = {0};
    char note[TW_ERROR_MESSAGE_SIZE + 32];
    memset(out, 0, sizeof *out);
    tw_status status = TW_STATUS_OK;
    if (!options->is_temporary)
        status = check_replaceable(options->path, error);
    if (status == TW_STATUS_OK && !options->is_temporary)
        status = fingerprint_of(options, &fingerprint, &is_known, error);
    if (status < 0)
        return status;
    if (is_known) {
        status = dataset_map(options->path, fingerprint, state_size, out, &why);
        out->is_reused = status == TW_STATUS_OK && !(options->wants_bad_records && out->bad_events > 0);
        if (out->is_reused)
            return status;
        tw_dataset_close(out);
        (void)snprintf(note, sizeof note, "%s; it is made again", why.message);
        if (status == TW_STATUS_CORRUPT || status == TW_STATUS_CONFLICT)
            tw_log(TW_LOG_WARN, "%s", note);
    }
    status = dataset_make(options, fingerprint, error);
    if (status == TW_STATUS_OK)
        status = dataset_map(options->path, fingerprint, state_size, out, error);
    if (status == TW_STATUS_OK && options->is_temporary)
        status = tw_file_remove(options->path, error);
    if (status < 0)
        tw_dataset_close(out);
    return status;
}

void tw_dataset_close(tw_dataset *self)
{
    tw_file_unmap(&self->map, self->map_size);
    *self = (tw_dataset){0};
}

/* --- batches ---------------------------------------------------------------------------------------------------- */

static tw_status batch_grow_events(tw_dataset_batch *self, uint32_t n, uint32_t dense_width, tw_error *error)
{
    size_t capacity = 0;
    if (n + 1 <= self->event_capacity)
        return TW_STATUS_OK;
    tw_status status = tw_grow(&self->row_start, sizeof *self->row_start, &capacity, n + 1, error);
    struct {
        void *array;
        size_t size;
    } parts[] = {{&self->label, sizeof(float)}, {&self->weight, sizeof(float)}, {&self->time_us, sizeof(int64_t)},
        {&self->dense, dense_width * sizeof(float)}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == TW_STATUS_OK; i++) {
        size_t own = 0;
        if (parts[i].size > 0)
            status = tw_grow(parts[i].array, parts[i].size, &own, capacity, error);
    }
    if (status == TW_STATUS_OK)
        self->event_capacity = capacity;
    return status;
}

static tw_status batch_grow_entries(tw_dataset_batch *self, uint64_t n, tw_error *error)
{
    size_t key = 0, value = 0, field = 0;
    if (n > UINT32_MAX)
        return tw_error_set(
            error, TW_STATUS_UNSUPPORTED, "a batch of %llu entries: at most %u", (unsigned long long)n, UINT32_MAX);
    if (n <= self->entry_capacity)
        return TW_STATUS_OK;
    size_t room = n + n / 4;
    tw_status status = tw_grow(&self->key, sizeof *self->key, &key, room, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->value, sizeof *self->value, &value, room, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->field, sizeof *self->field, &field, room, error);
    if (status == TW_STATUS_OK)
        self->entry_capacity = room;
    return status;
}

static void batch_copy_event(const tw_dataset *self, uint64_t event, uint32_t at, tw_dataset_batch *out)
{
    const tw_matrix *m = &self->matrix;
    uint64_t first = m->row_start[event], n = m->row_start[event + 1] - first;
    uint32_t to = out->row_start[at];
    for (uint64_t i = 0; i < n; i++)
        out->key[to + i] = self->key[m->column[first + i]];
    if (n > 0) {
        memcpy(out->value + to, m->value + first, n * sizeof *m->value);
        memcpy(out->field + to, self->field + first, n * sizeof *self->field);
    }
    out->row_start[at + 1] = to + (uint32_t)n;
    out->label[at] = m->label != NULL ? m->label[event] : NAN;
    out->weight[at] = m->weight[event];
    out->time_us[at] = self->time_us[event];
    if (m->dense_width > 0)
        memcpy(out->dense + (size_t)at * m->dense_width, m->dense + event * m->dense_width,
            m->dense_width * sizeof(float));
}

tw_status tw_dataset_gather(
    const tw_dataset *self, const uint64_t *event, uint32_t n, tw_dataset_batch *out, tw_error *error)
{
    const tw_matrix *m = &self->matrix;
    uint64_t n_entries = 0;
    for (uint32_t i = 0; i < n; i++)
        n_entries += m->row_start[event[i] + 1] - m->row_start[event[i]];
    tw_status status = batch_grow_events(out, n, m->dense_width, error);
    if (status == TW_STATUS_OK)
        status = batch_grow_entries(out, n_entries, error);
    if (status < 0)
        return status;
    out->row_start[0] = 0;
    for (uint32_t i = 0; i < n; i++)
        batch_copy_event(self, event[i], i, out);
    out->view = (tw_batch){
        .n_events = n,
        .n_entries = (uint32_t)n_entries,
        .row_start = out->row_start,
        .key = out->key,
        .value = out->value,
        .field = out->field,
        .label = out->label,
        .weight = out->weight,
        .time_us = out->time_us,
        .dense = m->dense_width > 0 ? out->dense : NULL,
        .dense_width = m->dense_width,
    };
    return TW_STATUS_OK;
}

void tw_dataset_batch_fini(tw_dataset_batch *self)
{
    tw_free(self->row_start);
    tw_free(self->key);
    tw_free(self->value);
    tw_free(self->field);
    tw_free(self->label);
    tw_free(self->weight);
    tw_free(self->time_us);
    tw_free(self->dense);
    *self = (tw_dataset_batch){0};
}
