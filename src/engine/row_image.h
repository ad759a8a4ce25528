/* row_image.h: all rows and blocks of a model as bytes, to be put into another model of the same table. One thread. */
#ifndef TW_ENGINE_ROW_IMAGE_H
#define TW_ENGINE_ROW_IMAGE_H

#include "engine/model.h"

/* Zeroed is empty. */
typedef struct tw_row_image {
    size_t n_rows, key_capacity, row_capacity;
    uint64_t *key;                              /* [n_rows] */
    unsigned char *row;                         /* [n_rows x row size] */
    unsigned char *block[TW_SCHEMA_MAX_BLOCKS]; /* [count x record size] each; NULL: none */
} tw_row_image;

/* Replaces what the image holds. */
TW_MUST_USE tw_status tw_row_image_take(tw_row_image *self, tw_model *model, tw_error *error);
void tw_row_image_fini(tw_row_image *self);

#endif
