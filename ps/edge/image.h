/* image.h: a copy of a table's rows, blocks, marks and count of events in memory: what a shard comes back with when the
 * tests let it die. Release with tw_image_fini; all zero is an empty image. */
#ifndef TW_PS_IMAGE_H
#define TW_PS_IMAGE_H

#include "store/table.h"

typedef struct tw_image_record {
    int block; /* -1: a row */
    uint64_t key;
} tw_image_record;

typedef struct tw_image {
    bool is_there;
    tw_image_record *record;
    size_t n_records, capacity_records;
    unsigned char *bytes; /* the records, one after the other */
    size_t n_bytes, capacity_bytes;
    tw_mark *mark;
    size_t n_marks, capacity_marks;
    uint64_t events;
} tw_image;

void tw_image_fini(tw_image *self);

/* Replaces the image by the table as it is now; a NULL table leaves none. */
TW_MUST_USE tw_status tw_image_save(tw_image *self, tw_table *table, tw_error *error);

/* Puts the image into a new, empty table of the same spec and slots. */
TW_MUST_USE tw_status tw_image_load(const tw_image *self, tw_table *table, tw_error *error);

#endif
