/* snapshot.h: a frozen table written by a thread of its own. Used on the table's thread. */
#ifndef TW_STORE_SNAPSHOT_H
#define TW_STORE_SNAPSHOT_H

#include "store/table.h"

typedef struct tw_snapshot tw_snapshot;

/* Freezes the table and starts writing `directory/<id>.rows-0-of-1`; max_deltas as for tw_table_freeze_after. */
TW_MUST_USE tw_status tw_snapshot_start(
    tw_table *table, const char *directory, uint64_t id, uint32_t max_deltas, tw_snapshot **out, tw_error *error);

/* IDLE while it is being written; OK fills `out`; else what failed. timeout_ms < 0: waits for the end. */
TW_MUST_USE tw_status tw_snapshot_wait(tw_snapshot *self, int timeout_ms, tw_row_file *out, tw_error *error);

/* Waits for the writer and thaws the table. NULL-safe. */
void tw_snapshot_destroy(tw_snapshot **self);

#endif
