#include "engine/row_image.h"

#include <string.h>

#include "base/alloc.h"

typedef struct image_scan {
    tw_row_image *image;
    const tw_schema *schema;
} image_scan;

static tw_status take_record(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    const image_scan *scan = context;
    tw_row_image *self = scan->image;
    if (block >= 0) {
        size_t size = scan->schema->block[block].record.size;
        memcpy(self->block[block] + key * size, record, size);
        return TW_STATUS_OK;
    }
    size_t size = scan->schema->row.size;
    tw_status status = tw_grow(&self->key, sizeof *self->key, &self->key_capacity, self->n_rows + 1, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->row, size, &self->row_capacity, self->n_rows + 1, error);
    if (status < 0)
        return status;
    self->key[self->n_rows] = key;
    memcpy(self->row + self->n_rows++ * size, record, size);
    return TW_STATUS_OK;
}

tw_status tw_row_image_take(tw_row_image *self, tw_model *model, tw_error *error)
{
    image_scan scan = {self, &tw_model_table_spec(model)->schema};
    self->n_rows = 0;
    for (uint32_t i = 0; i < scan.schema->n_blocks; i++) {
        size_t size = (size_t)scan.schema->block[i].count * scan.schema->block[i].record.size;
        if (self->block[i] == NULL)
            self->block[i] = tw_alloc_zero(size + 1);
        if (self->block[i] == NULL)
            return tw_no_memory(error, size);
    }
    return tw_model_scan(model, take_record, &scan, error);
}

void tw_row_image_fini(tw_row_image *self)
{
    for (uint32_t i = 0; i < TW_SCHEMA_MAX_BLOCKS; i++)
        tw_free(self->block[i]);
    tw_free(self->key);
    tw_free(self->row);
    *self = (tw_row_image){0};
}
