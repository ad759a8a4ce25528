/* table.h: rows and blocks of one model (or of one shard's slots of it), with their marks. The local parameter store
 * and the shard server are both thin layers over this. Thread rule: one thread at a time, except tw_frozen_*, which run
 * beside it.
 *
 * exact:  segments by slot range, each bucketed open addressing; a segment grows by itself, never the whole.
 * hashed: 2^bits rows on huge pages, index = top bits of the key; a shard maps only its slots' range. */
#ifndef TW_STORE_TABLE_H
#define TW_STORE_TABLE_H

#include "thalweg/params.h"

struct tw_names;
typedef struct tw_table tw_table;
typedef struct tw_frozen tw_frozen;

enum {
    TW_DELTAS_DEFAULT = 8,
    TW_DELTAS_MAX = 32,
    TW_SNAPSHOT_MEMORY = 256 << 20 /* bytes that a snapshot may take beside the table */
};

/* [first_slot, last_slot] is what this table holds; 0 and TW_N_SLOTS - 1 for a local one. */
TW_MUST_USE tw_status tw_table_create(
    const tw_table_spec *spec, uint32_t first_slot, uint32_t last_slot, tw_table **out, tw_error *error);
void tw_table_destroy(tw_table **self);
const tw_table_spec *tw_table_spec_of(const tw_table *self);
/* The cap of bytes (0: none) from now on, for rows that are new; those that are there stay. Where rows are evicted
 * their places go by the cap that the table was made with: nothing changes. */
void tw_table_set_cap(tw_table *self, uint64_t max_bytes);

/* Rows for keys [n], all of this table's slots: row[i] is valid until the next call that may insert. Equal keys get
 * equal pointers. WRITE inserts absent keys with their initial record and, while a snapshot is being written, keeps
 * what it needs of them first. READ gives absent keys a record holding the initial value, shared or from internal
 * scratch. */
TW_MUST_USE tw_status tw_table_rows(
    tw_table *self, const uint64_t *key, uint32_t n, tw_access access, void **row, tw_error *error);

/* --- tables with tw_keep: the same for a local table and for a shard behind a worker ------------------------------ */

/* As tw_table_rows WRITE for the batch's entries; keys that are not admitted get scratch. Ends with tw_table_tick. */
TW_MUST_USE tw_status tw_table_learn_rows(tw_table *self, const tw_batch *batch, void **row, tw_error *error);

/* What a worker must know of a key, at the table's clock. */
typedef struct tw_sight {
    uint32_t left; /* ticks for which the row, or the count, still holds; UINT32_MAX: for ever */
    uint32_t seen; /* touches that are counted; 0: the key has a row if left > 0 */
} tw_sight;
/* With tw_table_rows READ the whole answer to a pull. */
void tw_table_sights(const tw_table *self, const uint64_t *key, uint32_t n, tw_sight *sight);

/* What a worker did with a key: events of the batch, counted from 0, of the first and the last touch; touches without a
 * row; whether it has a row now. */
typedef struct tw_key_touch {
    uint32_t first, last, count;
    bool is_admitted;
} tw_key_touch;
/* Touches the keys [n], distinct ones; row[i] is NULL where the key has no row. Ends with tw_table_tick. */
TW_MUST_USE tw_status tw_table_touch(
    tw_table *self, const uint64_t *key, const tw_key_touch *touch, uint32_t n, void **row, tw_error *error);

/* `n` events have passed: sweeps and evicts what is due. Rows may move. */
void tw_table_tick(tw_table *self, uint64_t n);
uint64_t tw_table_clock(const tw_table *self);
/* Events until something is due, at tick `clock`, that a batch should not reach across; 0: any number. */
uint32_t tw_keep_until_turn(const tw_table_spec *spec, uint64_t clock);

/* True where the draw of a touch admits the key: the rule of tw_keep.admit_probability. */
bool tw_keep_draw(const tw_table_spec *spec, uint64_t key, uint64_t tick);
static inline bool tw_keep_is_on(const tw_table_spec *spec)
{
    return spec->keep.admit_count > 1 || spec->keep.admit_probability > 0 || spec->keep.expire_after > 0 ||
           spec->keep.evicts;
}

/* First record of block `index`; NULL where this table holds none of its records (see tw_table_has_block_record).
 * WRITE as above. Records are contiguous only where the table holds all slots. */
TW_MUST_USE tw_status tw_table_block(tw_table *self, uint32_t index, tw_access access, void **block, tw_error *error);
TW_MUST_USE tw_status tw_table_block_record(
    tw_table *self, uint32_t block, uint32_t record, tw_access access, void **out, tw_error *error);

/* Room for `n_rows` in an empty exact table, for rows that come in the order of another table: without it they would
 * crowd at one end of segments that have yet to grow. */
TW_MUST_USE tw_status tw_table_reserve(tw_table *self, uint64_t n_rows, tw_error *error);

/* Into an empty table of the same slots, rows and blocks, but maybe another tw_keep: all that `from` holds, marks too,
 * as if it had been loaded from a file. */
TW_MUST_USE tw_status tw_table_copy(tw_table *self, tw_table *from, tw_error *error);

bool tw_table_has_block_record(const tw_table *self, uint32_t block, uint32_t record);

/* For whoever does not learn on from its marks: the files that are loaded from now on may be of different cuts, as
 * those of several workers are, whose pushes come to every shard in their own time. */
void tw_table_take_any_cut(tw_table *self);

/* Marks and the count of learned events; saved with the rows. An unknown split has mark 0. */
uint64_t tw_table_mark(const tw_table *self, uint64_t split);
TW_MUST_USE tw_status tw_table_set_mark(tw_table *self, uint64_t split, uint64_t to, tw_error *error);
/* No split is learned: rows taken over for other input. */
void tw_table_forget_marks(tw_table *self);
const tw_mark *tw_table_marks(const tw_table *self, size_t *n_marks);
/* How often the shard that these rows are of was taken over from (ps/shard/replication.h); saved with them. */
uint64_t tw_table_epoch(const tw_table *self);
void tw_table_set_epoch(tw_table *self, uint64_t epoch);
uint64_t tw_table_events_learned(const tw_table *self);
void tw_table_add_events_learned(tw_table *self, uint64_t n);

/* As the member of tw_params_ops. Rows equal to their initial record are visited too, but not in hashed tables. */
TW_MUST_USE tw_status tw_table_scan(tw_table *self, tw_record_visit visit, void *context, tw_error *error);
void tw_table_stats(const tw_table *self, tw_params_stats *out);

/* A part of the table that is small enough to be visited between two other calls: records [from, to) of a block, or,
 * block -1, the rows of the slots [from, to), in hashed tables the rows with these numbers. Two tables of one spec and
 * the same slots have the same records in the same part. */
typedef struct tw_table_part {
    int block;
    uint64_t from, to;
} tw_table_part;

/* Moves *part on to the part behind it, of about max_bytes (one slot at least); all zero stands before the first.
 * False: there is none. The table may change between the calls: whatever is there all the time is visited once. */
bool tw_table_next_part(const tw_table *self, uint64_t max_bytes, tw_table_part *part);
/* As tw_table_scan. INVALID: the part is not one of this table. */
TW_MUST_USE tw_status tw_table_scan_part(
    tw_table *self, const tw_table_part *part, tw_record_visit visit, void *context, tw_error *error);

/* --- snapshot: cut now, write beside learning ----------------------------------------------------------------------
 * freeze takes the cut (marks and events included) without copying rows; until the frozen object is destroyed, what a
 * row held is noted before the first write to it. tw_frozen_write may run on another thread: writes, syncs and renames
 * the row file `directory/name`, and fills `out`; beside a learner it works a part of the time. Destroy on the table's
 * own thread. One at a time per table (CONFLICT). Notes, and memory of segments that grow meanwhile, take at most
 * `max_kept_bytes`: where they would pass it a batch waits for the copier, 8 ms in all, and then the cut is given up:
 * tw_frozen_write ends with NO_MEMORY, the table goes on.
 * tw_table_freeze cuts a base, which holds every row. tw_table_freeze_after with max_deltas > 0 cuts a delta on top of
 * the last snapshot that this table wrote to `directory` with max_deltas > 0, if that one was whole, has fewer than
 * max_deltas deltas below it and at most half of the rows changed since; else a base. An exact table without tw_keep
 * notes nothing behind a snapshot with max_deltas 0, so that a base comes next. */
TW_MUST_USE tw_status tw_table_freeze(tw_table *self, uint64_t max_kept_bytes, tw_frozen **out, tw_error *error);
TW_MUST_USE tw_status tw_table_freeze_after(tw_table *self,
    const char *directory,
    uint32_t max_deltas,
    uint64_t max_kept_bytes,
    tw_frozen **out,
    tw_error *error);
TW_MUST_USE tw_status tw_frozen_write(
    tw_frozen *self, const char *directory, const char *name, tw_row_file *out, tw_error *error);
/* Before it is written: nobody asked for this snapshot, it is part of no checkpoint. */
void tw_frozen_set_own(tw_frozen *self);
void tw_frozen_destroy(tw_frozen **self);

/* Adds what a row file holds of this table's slots: rows, blocks, marks (of a file that covers other slots too: its
 * marks as well), events. The schema must match (CONFLICT names the difference); every checksum is verified before the
 * table is touched. For tables that are still empty. A row file of a hashed table can be loaded into a table of the
 * same `bits`. Rows that were saved are loaded whatever the cap: it is for new ones. */
TW_MUST_USE tw_status tw_table_load(tw_table *self, const char *directory, const tw_row_file *file, tw_error *error);

/* Names the splits [n] of the input, borrowed while files are loaded. Files that disagree on the mark of one of them
 * are refused (CONFLICT names it), those that disagree on another's are not: the lowest mark holds, and a line in the
 * log says so. Without them (n 0) every split counts as the input's. */
void tw_table_expect(tw_table *self, const struct tw_split *split, size_t n);

/* The same for all files [n_files] of one snapshot, after making room for the rows that they say they hold. */
TW_MUST_USE tw_status tw_table_load_all(
    tw_table *self, const char *directory, const tw_row_file *file, uint32_t n_files, tw_error *error);

/* Verifies a row file without loading it: CORRUPT names the section and offset. */
TW_MUST_USE tw_status tw_row_file_verify(
    const char *directory, const tw_row_file *file, tw_table_spec *spec, tw_error *error);

/* Verifies a row file alone, not those that it stands on; `file` NULL: whatever the file is. */
TW_MUST_USE tw_status tw_row_file_check(
    const char *directory, const char *name, const tw_row_file *file, tw_row_file *found, tw_error *error);

/* Finds the newest row file of shard `index` of `count` in a directory that verifies, e.g. after a crash without a
 * manifest. NOT_FOUND: none. Names: "<id, 6+ digits>.rows-<index>-of-<count>". */
TW_MUST_USE tw_status tw_row_file_find(
    const char *directory, uint32_t index, uint32_t count, uint64_t *id, tw_row_file *out, tw_error *error);
/* Adds to `needed` the names of the files that row file `name` stands on, if it is a delta and not damaged. */
TW_MUST_USE tw_status tw_row_file_needs(
    const char *directory, const char *name, struct tw_names *needed, tw_error *error);
/* What the head of a row file says; the rest is not verified. A file that is damaged there, or of a version that did
 * not say it, says nothing: all zero. */
typedef struct tw_row_origin {
    uint64_t epoch; /* as tw_table_epoch */
    bool is_own;    /* as tw_frozen_set_own */
} tw_row_origin;
TW_MUST_USE tw_status tw_row_file_origin(const char *directory, const char *name, tw_row_origin *out, tw_error *error);
/* How keys get and lose rows, which manifests do not say; as the file's head does. */
TW_MUST_USE tw_status tw_row_file_keep(const char *directory, const char *name, tw_keep *out, tw_error *error);
/* A new table with the rows of the newest of a shard's row files that is whole, if its id is above `newer_than`. A
 * damaged one is passed over, with a line in the log. Each file is read once. by_epoch: those of a later epoch count as
 * newer, whatever their ids: one that was taken over from may have written on for a while. */
typedef struct tw_recovered {
    tw_table *table;        /* NULL: there is no such file */
    uint64_t id, newest_id; /* of the file; the highest there, whole or not; 0: none */
} tw_recovered;
TW_MUST_USE tw_status tw_table_recover(const char *directory,
    uint32_t index,
    uint32_t count,
    uint64_t newer_than,
    bool by_epoch,
    tw_recovered *out,
    tw_error *error);
/* The latest epoch that the shard's row files are of; 0: there are none. */
TW_MUST_USE tw_status tw_row_files_epoch(
    const char *directory, uint32_t index, uint32_t count, uint64_t *epoch, tw_error *error);
/* The id in a row file's name; false: it is not one of shard `index` of `count`. */
bool tw_row_file_id(const char *name, uint32_t index, uint32_t count, uint64_t *id);
void tw_row_file_name(uint64_t id, uint32_t index, uint32_t count, char name[TW_FILE_NAME_SIZE]);

/* --- the local parameter store: one table that holds all slots -------------------------------------------------- */
TW_MUST_USE tw_status tw_local_create(const tw_table_spec *spec, tw_params **out, tw_error *error);

/* Snapshots between two that hold every row; 0: every one does. See tw_table_freeze_after. */
void tw_local_set_deltas(tw_params *params, uint32_t max_deltas);

/* As tw_table_forget_marks; `params` is of tw_local_create, between batches. */
void tw_local_forget_marks(tw_params *params);
/* As tw_table_take_any_cut, for what is restored from now on. */
void tw_local_take_any_cut(tw_params *params);

#endif
