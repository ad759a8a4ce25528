/* keep_record.h: what a copy of a table with tw_keep needs beside blocks and marks: rows with their last touches,
 * counts of keys without a row, the clock. Two tables of one spec and the same slots in which these are equal decide
 * alike from then on, however their rows lie. Thread rule: that of the table. */
#ifndef TW_STORE_KEEP_RECORD_H
#define TW_STORE_KEEP_RECORD_H

#include "store/table.h"

typedef struct tw_keep_record {
    uint64_t key;
    uint32_t stamp;  /* tick of the last touch, its low 32 bits; of rows that carry none the clock */
    uint32_t count;  /* touches of a key without a row */
    const void *row; /* borrowed; NULL: it has none */
} tw_keep_record;

typedef tw_status (*tw_keep_visit)(void *context, const tw_keep_record *kept, tw_error *error);

/* Everything in the slots of `part` (block -1) that has not expired. */
TW_MUST_USE tw_status tw_table_scan_kept(
    const tw_table *self, const tw_table_part *part, tw_keep_visit visit, void *context, tw_error *error);
/* Puts it into the table, whatever the table's clock is; nothing is admitted, expired or evicted by it. */
TW_MUST_USE tw_status tw_table_put_kept(tw_table *self, const tw_keep_record *kept, tw_error *error);
/* Of a table that nothing was touched in. */
void tw_table_set_clock(tw_table *self, uint64_t clock);

#endif
