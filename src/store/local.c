/* The local parameter store: one table, used in place. */
#include <string.h>

#include "base/alloc.h"
#include "store/internal.h"
#include "store/snapshot.h"

typedef struct local {
    tw_params params;
    tw_table *table;
    tw_snapshot *snapshot; /* NULL: none is being written */
    void **row;
    size_t row_capacity;
    void *block[TW_SCHEMA_MAX_BLOCKS];
    bool is_writing;
    bool takes_any_cut;
    uint32_t max_deltas;
} local;

static local *local_of(tw_params *params)
{
    return (local *)(void *)params;
}

static tw_status local_check(const local *self, const tw_batch *batch, tw_access access, tw_error *error)
{
    if (self->is_writing)
        return tw_error_set(error, TW_STATUS_INVALID, "store: the batch acquired for writing was not released");
    uint64_t mark = tw_table_mark(self->table, batch->split);
    if (access == TW_ACCESS_WRITE && batch->from < mark)
        return tw_error_set(error, TW_STATUS_CONFLICT,
            "store: batch of split %llx starts at offset %llu, but %llu is learned already",
            (unsigned long long)batch->split, (unsigned long long)batch->from, (unsigned long long)mark);
    return TW_STATUS_OK;
}

static tw_status local_acquire(
    tw_params *params, const tw_batch *batch, tw_access access, tw_rows *out, tw_error *error)
{
    local *self = local_of(params);
    *out = (tw_rows){0};
    tw_status status = local_check(self, batch, access, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->row, sizeof(void *), &self->row_capacity, batch->n_entries, error);
    if (status == TW_STATUS_OK)
        status = access == TW_ACCESS_WRITE
                     ? tw_table_learn_rows(self->table, batch, self->row, error)
                     : tw_table_rows(self->table, batch->key, batch->n_entries, access, self->row, error);
    uint32_t n_blocks = self->table->spec.schema.n_blocks;
    for (uint32_t i = 0; i < n_blocks && status == TW_STATUS_OK; i++)
        status = tw_table_block(self->table, i, access, &self->block[i], error);
    if (status < 0)
        return status;
    out->row = self->table->row_size == 0 ? NULL : self->row;
    out->block = self->block;
    self->is_writing = access == TW_ACCESS_WRITE;
    return TW_STATUS_OK;
}

static tw_status local_release(
    tw_params *params, const tw_batch *batch, tw_rows *rows, uint64_t n_learned, tw_error *error)
{
    local *self = local_of(params);
    *rows = (tw_rows){0};
    if (!self->is_writing)
        return TW_STATUS_OK;
    self->is_writing = false;
    tw_status status = tw_table_set_mark(self->table, batch->split, batch->to, error);
    if (status < 0)
        return status;
    tw_table_add_events_learned(self->table, n_learned);
    if (!batch->is_taken_over)
        tw_table_tick(self->table, batch->n_events);
    return TW_STATUS_OK;
}

static void local_abandon(tw_params *params, const tw_batch *batch, tw_rows *rows)
{
    (void)batch;
    local_of(params)->is_writing = false;
    *rows = (tw_rows){0};
}

static tw_status local_mark(tw_params *params, uint64_t split, uint64_t *marks, uint32_t *n_marks, tw_error *error)
{
    if (*n_marks < 1)
        return tw_error_set(error, TW_STATUS_INVALID, "store: room for 0 marks given, 1 is needed");
    marks[0] = tw_table_mark(local_of(params)->table, split);
    *n_marks = 1;
    return TW_STATUS_OK;
}

static tw_status local_flush(tw_params *params, int timeout_ms, tw_error *error)
{
    (void)params;
    (void)timeout_ms;
    (void)error;
    return TW_STATUS_OK;
}

static tw_status local_snapshot_start(tw_params *params, const char *directory, uint64_t id, tw_error *error)
{
    local *self = local_of(params);
    if (self->is_writing)
        return tw_error_set(error, TW_STATUS_INVALID, "store: a snapshot starts between batches");
    if (self->snapshot != NULL)
        return tw_error_set(error, TW_STATUS_BUSY, "store: a snapshot is being written; one at a time");
    return tw_snapshot_start(self->table, directory, id, self->max_deltas, &self->snapshot, error);
}

static tw_status local_snapshot_poll(tw_params *params, int timeout_ms, struct tw_row_files *out, tw_error *error)
{
    local *self = local_of(params);
    if (self->snapshot == NULL)
        return tw_error_set(error, TW_STATUS_INVALID, "store: no snapshot was started");
    out->n_files = 0;
    tw_status status = tw_snapshot_wait(self->snapshot, timeout_ms, &out->file[0], error);
    if (status == TW_STATUS_IDLE)
        return status;
    tw_snapshot_destroy(&self->snapshot);
    out->n_files = status == TW_STATUS_OK ? 1 : 0;
    return status;
}

static tw_status local_restore(
    tw_params *params, const char *directory, const struct tw_row_files *files, tw_error *error)
{
    local *self = local_of(params);
    if (self->is_writing || self->snapshot != NULL)
        return tw_error_set(
            error, TW_STATUS_BUSY, "store: a batch or a snapshot is in progress, nothing can be restored");
    tw_table *table = NULL;
    tw_status status = tw_table_create(&self->table->spec, 0, TW_N_SLOTS - 1, &table, error);
    uint32_t n_files = files->n_files < TW_ROW_FILES_MAX ? files->n_files : TW_ROW_FILES_MAX;
    if (status == TW_STATUS_OK) {
        tw_table_expect(table, files->split, files->n_splits);
        if (self->takes_any_cut)
            tw_table_take_any_cut(table);
        status = tw_table_load_all(table, directory, files->file, n_files, error);
        tw_table_expect(table, NULL, 0);
    }
    if (status < 0) {
        tw_table_destroy(&table);
        return status;
    }
    tw_table_destroy(&self->table);
    self->table = table;
    return TW_STATUS_OK;
}

static tw_status local_scan(tw_params *params, tw_record_visit visit, void *context, tw_error *error)
{
    return tw_table_scan(local_of(params)->table, visit, context, error);
}

static void local_stats(tw_params *params, tw_params_stats *out)
{
    tw_table_stats(local_of(params)->table, out);
}

static uint64_t local_events_learned(const tw_params *params)
{
    return tw_table_events_learned(((const local *)(const void *)params)->table);
}

static uint32_t local_events_until_turn(const tw_params *params)
{
    const tw_table *table = ((const local *)(const void *)params)->table;
    return tw_keep_until_turn(tw_table_spec_of(table), tw_table_clock(table));
}

static void local_close(tw_params *params)
{
    local *self = local_of(params);
    if (self == NULL)
        return;
    tw_snapshot_destroy(&self->snapshot);
    tw_table_destroy(&self->table);
    tw_free(self->row);
    tw_free(self);
}

static const tw_params_ops local_ops = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_params_ops),
    .acquire = local_acquire,
    .release = local_release,
    .abandon = local_abandon,
    .mark = local_mark,
    .flush = local_flush,
    .snapshot_start = local_snapshot_start,
    .snapshot_poll = local_snapshot_poll,
    .restore = local_restore,
    .scan = local_scan,
    .stats = local_stats,
    .events_learned = local_events_learned,
    .close = local_close,
    .events_until_turn = local_events_until_turn,
};

tw_status tw_local_create(const tw_table_spec *spec, tw_params **out, tw_error *error)
{
    *out = NULL;
    local *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->params.ops = &local_ops;
    self->max_deltas = TW_DELTAS_DEFAULT;
    tw_status status = tw_table_create(spec, 0, TW_N_SLOTS - 1, &self->table, error);
    if (status < 0) {
        tw_free(self);
        return status;
    }
    *out = &self->params;
    return TW_STATUS_OK;
}

void tw_local_take_any_cut(tw_params *params)
{
    local_of(params)->takes_any_cut = true;
}

void tw_local_set_deltas(tw_params *params, uint32_t max_deltas)
{
    local_of(params)->max_deltas = max_deltas;
}

void tw_local_forget_marks(tw_params *params)
{
    tw_table_forget_marks(local_of(params)->table);
}
