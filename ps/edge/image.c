#include "ps/edge/image.h"

#include <string.h>

#include "base/alloc.h"

typedef struct image_writer {
    tw_image *image;
    const tw_schema *schema;
} image_writer;

void tw_image_fini(tw_image *self)
{
    tw_free(self->record);
    tw_free(self->bytes);
    tw_free(self->mark);
    memset(self, 0, sizeof *self);
}

static size_t record_size(const tw_schema *schema, int block)
{
    return block < 0 ? schema->row.size : schema->block[block].record.size;
}

static tw_status image_visit(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    image_writer *self = context;
    tw_image *image = self->image;
    size_t size = record_size(self->schema, block);
    tw_status status =
        tw_grow(&image->record, sizeof *image->record, &image->capacity_records, image->n_records + 1, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&image->bytes, 1, &image->capacity_bytes, image->n_bytes + size, error);
    if (status < 0)
        return status;
    image->record[image->n_records++] = (tw_image_record){block, key};
    memcpy(image->bytes + image->n_bytes, record, size);
    image->n_bytes += size;
    return TW_STATUS_OK;
}

tw_status tw_image_save(tw_image *self, tw_table *table, tw_error *error)
{
    self->is_there = false;
    self->n_records = self->n_bytes = self->n_marks = 0;
    if (table == NULL)
        return TW_STATUS_OK;
    image_writer writer = {self, &tw_table_spec_of(table)->schema};
    tw_status status = tw_table_scan(table, image_visit, &writer, error);
    size_t n_marks = 0;
    const tw_mark *mark = tw_table_marks(table, &n_marks);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->mark, sizeof *self->mark, &self->capacity_marks, n_marks, error);
    if (status < 0)
        return status;
    if (n_marks > 0)
        memcpy(self->mark, mark, n_marks * sizeof *mark);
    self->n_marks = n_marks;
    self->events = tw_table_events_learned(table);
    self->is_there = true;
    return TW_STATUS_OK;
}

tw_status tw_image_load(const tw_image *self, tw_table *table, tw_error *error)
{
    const tw_schema *schema = &tw_table_spec_of(table)->schema;
    const unsigned char *at = self->bytes;
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < self->n_records && status == TW_STATUS_OK; i++) {
        const tw_image_record *record = &self->record[i];
        size_t size = record_size(schema, record->block);
        void *into = NULL;
        if (record->block < 0)
            status = tw_table_rows(table, &record->key, 1, TW_ACCESS_WRITE, &into, error);
        else
            status = tw_table_block_record(
                table, (uint32_t)record->block, (uint32_t)record->key, TW_ACCESS_WRITE, &into, error);
        if (status == TW_STATUS_OK)
            memcpy(into, at, size);
        at += size;
    }
    for (size_t i = 0; i < self->n_marks && status == TW_STATUS_OK; i++)
        status = tw_table_set_mark(table, self->mark[i].split, self->mark[i].to, error);
    if (status == TW_STATUS_OK)
        tw_table_add_events_learned(table, self->events);
    return status;
}
