/* Two passes: the first reads the inputs, learns the transforms' sums and collects the keys, and puts the raw events
 * into a spill file; the second transforms them, numbers their columns and writes the parts at their places. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "engine/dataset_file.h"
#include "engine/key_index.h"

enum { BATCH_EVENTS = 4096, LATENCY_US = 50000, WAIT_MS = 20, PATH_SIZE = 4096 };

/* One batch in the spill file: this, then the arrays of a builder. */
typedef struct spill_head {
    uint32_t n_events, n_entries;
} spill_head;

typedef struct maker {
    const tw_dataset_options *options;
    char path[PATH_SIZE], spill_path[PATH_SIZE];
    int fd, spill_fd;
    bool is_spill_nameless;
    tw_plan *plan;
    tw_reader *reader;
    tw_builder *builder;
    tw_key_index keys;
    void *block[TW_SCHEMA_MAX_BLOCKS]; /* of the transforms: parts of `state` */
    unsigned char *state;
    uint64_t state_size, spill_size, n_done_events, n_done_entries;
    uint64_t key_mask; /* hashed tables: the bits that choose the row */
    bool needs_label;
    float *scratch; /* values of the transforms that nobody needs; largest |value| a column */
    size_t scratch_capacity;
    uint32_t *column;
    size_t column_capacity;
    uint64_t *row_start;
    dataset_header header;
} maker;

static void maker_close(maker *self)
{
    tw_builder_destroy(&self->builder);
    tw_reader_destroy(&self->reader);
    tw_plan_destroy(&self->plan);
    tw_key_index_fini(&self->keys);
    if (self->spill_fd >= 0 && !self->is_spill_nameless)
        (void)!tw_file_remove(self->spill_path, NULL);
    (void)tw_file_close(&self->spill_fd, self->spill_path, NULL);
    if (self->fd >= 0)
        (void)!tw_file_remove(self->path, NULL);
    (void)tw_file_close(&self->fd, self->path, NULL);
    tw_free(self->state);
    tw_free(self->scratch);
    tw_free(self->column);
    tw_free(self->row_start);
}

/* A new empty file that no other run writes. */
static tw_status open_new(const char *path, int *fd, tw_error *error)
{
    uint64_t owner = 0;
    tw_status status = tw_file_lock(path, fd, &owner, error);
    if (status == TW_STATUS_BUSY)
        return tw_error_set(error, status, "%s: process %llu is writing it", path, (unsigned long long)owner);
    if (status == TW_STATUS_OK)
        status = tw_file_truncate(*fd, path, 0, error);
    if (status == TW_STATUS_NOT_FOUND && error != NULL)
        error->status = TW_STATUS_IO;
    return status == TW_STATUS_NOT_FOUND ? TW_STATUS_IO : status;
}

static tw_status open_files(maker *self, tw_error *error)
{
    const char *path = self->options->path;
    if (snprintf(self->path, PATH_SIZE, "%s.tmp", path) >= PATH_SIZE ||
        snprintf(self->spill_path, PATH_SIZE, "%s.spill", path) >= PATH_SIZE)
        return tw_error_set(error, TW_STATUS_CONFIG, "%.200s...: a path of %zu bytes is too long", path, strlen(path));
    tw_status status = open_new(self->path, &self->fd, error);
    if (status == TW_STATUS_OK)
        status = open_new(self->spill_path, &self->spill_fd, error);
    if (status == TW_STATUS_OK)
        status = tw_file_remove(self->spill_path, error);
    self->is_spill_nameless = status == TW_STATUS_OK;
    return status;
}

static tw_status open_state(maker *self, tw_error *error)
{
    const tw_table_spec *spec = tw_model_table_spec(self->options->model);
    uint64_t at = 0;
    self->state_size = dataset_state_size(self->options->model);
    self->state = tw_alloc_aligned(64, self->state_size + 1);
    if (self->state == NULL)
        return tw_no_memory(error, self->state_size);
    for (uint32_t b = 0; b < tw_model_n_transform_blocks(self->options->model); b++) {
        const tw_block *block = &spec->schema.block[b];
        self->block[b] = self->state + at;
        for (uint32_t i = 0; i < block->count; i++, at += block->record.size)
            tw_record_write_initial(&block->record, tw_block_key(block->name, i), spec->hash_seed, self->state + at);
    }
    return TW_STATUS_OK;
}

static tw_status maker_open(maker *self, tw_error *error)
{
    const tw_dataset_options *options = self->options;
    const tw_table_spec *spec = tw_model_table_spec(options->model);
    tw_task task = tw_model_traits(options->model)->task;
    self->needs_label = task == TW_TASK_BINARY || task == TW_TASK_REGRESSION;
    self->key_mask = spec->kind == TW_TABLE_HASHED ? ~0ull << (64 - spec->bits) : 0;
    self->header.dense_width = tw_model_traits(options->model)->dense_width;
    self->header.has_label = self->needs_label;
    tw_status status = open_files(self, error);
    if (status == TW_STATUS_OK)
        status = open_state(self, error);
    if (status == TW_STATUS_OK)
        status = tw_model_plan_create(options->model, &self->plan, error);
    if (status == TW_STATUS_OK)
        status = tw_model_builder_create(options->model, BATCH_EVENTS, &self->builder, error);
    tw_reader_options reader = {
        .input = options->input,
        .n_inputs = options->n_inputs,
        .passes = 1,
        .max_latency_us = LATENCY_US,
        .max_record_bytes = options->max_record_bytes,
        .plan = self->plan,
    };
    return status == TW_STATUS_OK ? tw_reader_create(&reader, NULL, 0, 0, &self->reader, error) : status;
}

/* --- first pass ------------------------------------------------------------------------------------------------- */

/* Moves event `from` of the builder to `to`, entries to `at`; what it overwrites is no longer needed. */
static uint32_t move_event(tw_builder *batch, uint32_t from, uint32_t to, uint32_t at)
{
    uint32_t first = batch->row_start[from], n = batch->row_start[from + 1] - first, width = batch->dense_width;
    memmove(batch->key + at, batch->key + first, n * sizeof *batch->key);
    memmove(batch->value + at, batch->value + first, n * sizeof *batch->value);
    memmove(batch->field + at, batch->field + first, n * sizeof *batch->field);
    batch->label[to] = batch->label[from];
    batch->weight[to] = batch->weight[from];
    batch->time_us[to] = batch->time_us[from];
    if (width > 0)
        memmove(batch->dense + (size_t)to * width, batch->dense + (size_t)from * width, width * sizeof(float));
    return at + n;
}

/* Keeps the events that a solver may see. */
static void drop_unlearned(const maker *self, tw_builder *batch)
{
    uint32_t kept = 0, at = 0;
    for (uint32_t i = 0; i < batch->n_events; i++) {
        if (!(batch->weight[i] > 0) || (self->needs_label && isnan(batch->label[i])))
            continue;
        at = move_event(batch, i, kept, at); /* reads row_start[i + 1], which lies behind what is written below */
        batch->row_start[++kept] = at;
    }
    batch->n_events = kept;
    batch->n_entries = at;
}

static tw_status index_keys(maker *self, tw_builder *batch, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < batch->n_entries && status == TW_STATUS_OK; i++) {
        if (self->key_mask != 0) /* a row's keys become one; bit 0 chooses no row and keeps it from being 0 */
            batch->key[i] = (batch->key[i] & self->key_mask) | 1;
        status = tw_key_index_add(&self->keys, batch->key[i], error);
    }
    return status;
}

static tw_status spill(maker *self, const tw_builder *batch, tw_error *error)
{
    const spill_head head = {batch->n_events, batch->n_entries};
    const size_t n = batch->n_events, e = batch->n_entries;
    const struct {
        const void *bytes;
        size_t size;
    } parts[] = {{&head, sizeof head}, {batch->row_start, (n + 1) * sizeof *batch->row_start},
        {batch->key, e * sizeof *batch->key}, {batch->value, e * sizeof *batch->value},
        {batch->field, e * sizeof *batch->field}, {batch->label, n * sizeof *batch->label},
        {batch->weight, n * sizeof *batch->weight}, {batch->time_us, n * sizeof *batch->time_us},
        {batch->dense, n * batch->dense_width * sizeof(float)}};
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == TW_STATUS_OK; i++) {
        if (parts[i].size > 0)
            status = tw_file_write_at(
                self->spill_fd, self->spill_path, self->spill_size, parts[i].bytes, parts[i].size, error);
        self->spill_size += parts[i].size;
    }
    self->header.n_events += n;
    self->header.n_entries += e;
    return status;
}

static tw_status take_batch(maker *self, tw_work *work, tw_error *error)
{
    const tw_dataset_options *options = self->options;
    tw_builder *batch = work->builder;
    tw_status status = options->visit != NULL ? options->visit(options->context, work, error) : TW_STATUS_OK;
    if (status == TW_STATUS_OK)
        status =
            tw_grow(&self->scratch, sizeof *self->scratch, &self->scratch_capacity, batch->n_entries + 1ull, error);
    if (status < 0)
        return status;
    self->header.events += batch->n_events;
    self->header.bad_events += batch->n_bad;
    self->header.bytes += batch->to - batch->from;
    tw_batch view = tw_builder_batch(batch);
    tw_model_transform_learn(options->model, &view, self->scratch, self->block);
    drop_unlearned(self, batch);
    if (batch->n_events == 0)
        return TW_STATUS_OK;
    status = index_keys(self, batch, error);
    return status == TW_STATUS_OK ? spill(self, batch, error) : status;
}

static tw_status read_inputs(maker *self, tw_error *error)
{
    const tw_dataset_options *options = self->options;
    tw_work work = {.builder = self->builder};
    for (;;) {
        if (options->stop != NULL && atomic_load(options->stop))
            return tw_error_set(error, TW_STATUS_CANCELLED, "stopped while the events were read");
        tw_status status = tw_reader_next(self->reader, &work, WAIT_MS, error);
        if (status == TW_STATUS_OK)
            status = take_batch(self, &work, error);
        if (status < 0)
            return status;
        if (status == TW_STATUS_END)
            return tw_key_index_sort(&self->keys, error);
    }
}

/* --- second pass ------------------------------------------------------------------------------------------------ */

static tw_status write_part(
    maker *self, dataset_part part, uint64_t at, const void *bytes, uint64_t size, tw_error *error)
{
    if (size == 0)
        return TW_STATUS_OK;
    return tw_file_write_at(self->fd, self->path, self->header.section[part].offset + at, bytes, size, error);
}

static tw_status read_spill(maker *self, uint64_t *at, void *bytes, uint64_t size, tw_error *error)
{
    size_t n = 0;
    tw_status status = tw_file_read_at(self->spill_fd, self->spill_path, *at, bytes, size, &n, error);
    if (status == TW_STATUS_OK && n != size)
        return tw_error_set(error, TW_STATUS_IO, "%s: it became shorter while it was read", self->spill_path);
    *at += size;
    return status;
}

/* The next batch of the spill file, into the builder that it came from. */
static tw_status unspill(maker *self, uint64_t *at, tw_error *error)
{
    tw_builder *batch = self->builder;
    spill_head head;
    tw_status status = read_spill(self, at, &head, sizeof head, error);
    if (status < 0)
        return status;
    tw_builder_reset(batch, 1, 0, 0);
    if (head.n_events > batch->max_events || head.n_entries > batch->capacity_entries)
        return tw_error_set(error, TW_STATUS_IO, "%s: it changed while it was read", self->spill_path);
    const size_t n = head.n_events, e = head.n_entries;
    const struct {
        void *bytes;
        size_t size;
    } parts[] = {{batch->row_start, (n + 1) * sizeof *batch->row_start}, {batch->key, e * sizeof *batch->key},
        {batch->value, e * sizeof *batch->value}, {batch->field, e * sizeof *batch->field},
        {batch->label, n * sizeof *batch->label}, {batch->weight, n * sizeof *batch->weight},
        {batch->time_us, n * sizeof *batch->time_us}, {batch->dense, n * batch->dense_width * sizeof(float)}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == TW_STATUS_OK; i++)
        status = read_spill(self, at, parts[i].bytes, parts[i].size, error);
    batch->n_events = head.n_events;
    batch->n_entries = head.n_entries;
    return status;
}

/* Columns and largest values of the batch, and where its events start in the whole. */
static void number_columns(maker *self, const tw_builder *batch)
{
    for (uint32_t i = 0; i < batch->n_entries; i++) {
        uint32_t column = tw_key_index_of(&self->keys, batch->key[i]);
        float size = fabsf(batch->value[i]);
        self->column[i] = column;
        if (size > self->scratch[column])
            self->scratch[column] = size;
    }
    for (uint32_t i = 0; i <= batch->n_events; i++)
        self->row_start[i] = self->n_done_entries + batch->row_start[i];
}

static tw_status write_batch(maker *self, tw_builder *batch, tw_error *error)
{
    tw_status status =
        tw_grow(&self->column, sizeof *self->column, &self->column_capacity, batch->n_entries + 1ull, error);
    if (status < 0)
        return status;
    tw_model_transform_apply(self->options->model, batch, self->block);
    number_columns(self, batch);
    const uint64_t n = batch->n_events, e = batch->n_entries, first = self->n_done_events, entry = self->n_done_entries;
    const uint64_t width = batch->dense_width * sizeof(float), f = sizeof(float);
    const struct {
        dataset_part part;
        const void *bytes;
        uint64_t element, at, count;
    } parts[] = {{PART_ROW_START, self->row_start, sizeof(uint64_t), first, n + 1},
        {PART_COLUMN, self->column, sizeof(uint32_t), entry, e}, {PART_VALUE, batch->value, f, entry, e},
        {PART_FIELD, batch->field, sizeof(uint16_t), entry, e},
        {PART_LABEL, batch->label, f, first, self->needs_label ? n : 0}, {PART_WEIGHT, batch->weight, f, first, n},
        {PART_TIME, batch->time_us, sizeof(int64_t), first, n}, {PART_DENSE, batch->dense, width, first, n}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == TW_STATUS_OK; i++)
        status = write_part(self, parts[i].part, parts[i].at * parts[i].element, parts[i].bytes,
            parts[i].count * parts[i].element, error);
    self->n_done_events += n;
    self->n_done_entries += e;
    return status;
}

static tw_status write_batches(maker *self, tw_error *error)
{
    uint64_t at = 0;
    tw_free(self->scratch);
    self->scratch = tw_alloc_zero((self->keys.count + 1) * sizeof *self->scratch);
    self->row_start = tw_alloc_zero((BATCH_EVENTS + 1) * sizeof *self->row_start);
    if (self->scratch == NULL || self->row_start == NULL)
        return tw_no_memory(error, (self->keys.count + 1) * sizeof *self->scratch);
    tw_status status = write_part(self, PART_ROW_START, 0, self->row_start, sizeof *self->row_start, error);
    while (at < self->spill_size && status == TW_STATUS_OK) {
        status = unspill(self, &at, error);
        if (status == TW_STATUS_OK)
            status = write_batch(self, self->builder, error);
        if (self->options->stop != NULL && atomic_load(self->options->stop) && status == TW_STATUS_OK)
            status = tw_error_set(error, TW_STATUS_CANCELLED, "stopped while the events were written");
    }
    return status;
}

static tw_status write_rest(maker *self, const tw_splits *splits, tw_error *error)
{
    tw_status status = write_part(self, PART_KEY, 0, self->keys.key, self->keys.count * sizeof *self->keys.key, error);
    if (status == TW_STATUS_OK)
        status = write_part(self, PART_LARGEST, 0, self->scratch, self->keys.count * sizeof *self->scratch, error);
    if (status == TW_STATUS_OK)
        status = write_part(self, PART_SPLIT, 0, splits->split, splits->count * sizeof *splits->split, error);
    return status == TW_STATUS_OK ? write_part(self, PART_STATE, 0, self->state, self->state_size, error) : status;
}

static tw_status write_header(maker *self, uint64_t file_size, tw_error *error)
{
    const void *bytes = NULL;
    dataset_header *header = &self->header;
    tw_status status = tw_file_map(self->fd, self->path, file_size, &bytes, error);
    if (status < 0)
        return status;
    for (int i = 0; i < DATASET_N_PARTS; i++)
        header->section[i].checksum = tw_hash((const char *)bytes + header->section[i].offset, header->section[i].size);
    tw_file_unmap(&bytes, file_size);
    memcpy(header->magic, dataset_magic, sizeof dataset_magic);
    header->order = dataset_order;
    header->version = DATASET_VERSION;
    header->checksum = tw_hash(header, offsetof(dataset_header, checksum));
    return tw_file_write_at(self->fd, self->path, 0, header, sizeof *header, error);
}

static tw_status write_file(maker *self, tw_error *error)
{
    const tw_splits *splits = tw_reader_splits(self->reader);
    self->header.n_columns = self->keys.count;
    self->header.n_splits = splits->count;
    uint64_t size = dataset_lay_out(&self->header, self->state_size);
    tw_status status = tw_file_reserve(self->fd, self->path, size, error);
    if (status == TW_STATUS_OK)
        status = tw_file_truncate(self->fd, self->path, size, error);
    if (status == TW_STATUS_OK)
        status = write_batches(self, error);
    if (status == TW_STATUS_OK)
        status = write_rest(self, splits, error);
    if (status == TW_STATUS_OK)
        status = write_header(self, size, error);
    if (status == TW_STATUS_OK && !self->options->is_temporary)
        status = tw_file_sync(self->fd, self->path, error);
    if (status == TW_STATUS_OK)
        status = tw_file_rename(self->path, self->options->path, error);
    if (status == TW_STATUS_OK)
        status = tw_file_close(&self->fd, self->path, error);
    return status;
}

tw_status dataset_make(const tw_dataset_options *options, uint64_t fingerprint, tw_error *error)
{
    maker self = {.options = options, .fd = -1, .spill_fd = -1};
    self.header.fingerprint = fingerprint;
    tw_status status = maker_open(&self, error);
    if (status == TW_STATUS_OK)
        status = read_inputs(&self, error);
    if (status == TW_STATUS_OK)
        status = write_file(&self, error);
    maker_close(&self);
    return status;
}
