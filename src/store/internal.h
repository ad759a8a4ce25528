/* internal.h: what the files of this folder share about tables and the objects frozen from them. */
#ifndef TW_STORE_INTERNAL_H
#define TW_STORE_INTERNAL_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/page_pool.h"
#include "data/key.h"
#include "store/chain.h"
#include "store/kept.h"

enum {
    TW_BUCKET_KEYS = 8,
    TW_BUCKET_KEY_BYTES = TW_BUCKET_KEYS * 8, /* the keys of a bucket fill one cache line, its rows follow */
    TW_STALL_MAX_US = 8000,                   /* noting a batch's rows takes time too: together below 20 ms */
};

/* A run of memory as it was when the table was frozen. `owners`: the table has replaced the memory and the copier is
 * finished with it; who comes second releases it. */
enum { TW_AREA_REPLACED = 1, TW_AREA_COPIED = 2 };
typedef enum tw_area_kind { TW_AREA_BLOCK, TW_AREA_EXACT, TW_AREA_HASHED, TW_AREA_SEEN } tw_area_kind;

typedef struct tw_area {
    tw_area_kind kind;
    uint32_t index, first_slot, last_slot; /* block index; slots of a segment */
    uint64_t first_row;                    /* hashed: index of the first row in it; seen: of the first set */
    unsigned char *live;
    size_t size, unit; /* of memory; of what is noted: a row, a bucket of a table with tw_keep, some bytes */
    uint8_t *noted;    /* bits of the units; NULL: rows behind keys, whose words tell which were written to */
    tw_kept_log log;
    atomic_int owners;
    bool is_done;  /* the copier's */
    bool is_clean; /* the bits that were taken are all zero again; copier, then the table's thread */
    tw_frozen *frozen;
    uint8_t
        *taken; /* with tw_keep: the bits that were taken at the cut, in the segment's memory; NULL: there were none */
    const uint8_t
        *touched;      /* of a delta: bits of what is wanted: places (with tw_keep), rows (hashed), sets of counts */
    uint64_t interval; /* of a delta: rows last written to in it are wanted; 0: see touched, where that is NULL all */
    uint32_t n_wanted; /* rows with this interval */
    bool is_whole;     /* of a delta: the segment was rebuilt, its slots are replaced */
} tw_area;

struct tw_frozen {
    tw_table *table;
    tw_table_spec spec; /* at the cut: the table may get another cap meanwhile */
    uint32_t first_slot, last_slot;
    tw_mark *mark; /* [n_marks] */
    size_t n_marks;
    uint64_t events, clock, epoch;
    bool is_own;
    tw_area *area; /* [n_areas] */
    size_t n_areas;
    uint8_t *noted; /* the bits behind the areas */
    tw_kept_pool kept;
    atomic_bool is_failed, is_over; /* given up; because of max_bytes */
    _Atomic(tw_area *) copying;     /* its memory is being read */
    _Atomic uint64_t n_batches;     /* begun since the cut */
    uint64_t n_batches_closed;      /* when the last log was closed */
    int64_t stall_until_us;         /* of the batch at hand; table's thread */
    tw_chain *chain;                /* of a delta; NULL: a base */
    char *directory;                /* that the delta belongs to */
    uint8_t *touched_rows;          /* hashed, and of sets of counts: the bits behind the areas */
    uint64_t *gone;                 /* [n_gone] of a delta: keys whose rows were evicted */
    size_t n_gone;
    uint64_t n_touched_rows;
    bool has_taken;  /* what was touched before the cut */
    bool is_tracked; /* the next snapshot may build on this one */
    atomic_bool is_written;
    tw_row_file written;
};

/* Segment of an exact table: n_buckets x (words of keys, rows), open addressing by bucket with linear overflow; with
 * tw_keep behind them two sets of n_buckets bytes, for `touched` and for the snapshot under way or the next. It has at
 * most TW_SEGMENT_SLOTS slots, so that its keys differ in 60 bits only: segment.h says what the words hold. */
enum { TW_SEGMENT_SLOTS = 256 };
typedef struct tw_segment {
    unsigned char *bytes;
    uint64_t n_buckets, base; /* base: the least key of its slots */
    tw_area *area;            /* NULL: nothing of it is frozen */
    size_t size;              /* of the buckets */
    uint32_t n_new;           /* rows written to since the last snapshot, if that is noted in their words */
    uint32_t swept;           /* the interval at which words were last rid of old ones: touched.c */
    uint8_t *touched;      /* [n_buckets] bit i: place i was written to since the last snapshot; NULL: see is_rebuilt */
    bool is_rebuilt;       /* since the last snapshot: all of it counts as touched. Set it where rows move or go away */
    bool is_other_clean;   /* the other set is zero */
    uint64_t count, limit; /* grows when count reaches limit */
    uint32_t first_slot, last_slot;
} tw_segment;

/* Keys that were touched and have no row yet, counted, in sets by slot. An entry: key << 12 | count, 0: empty. */
enum { TW_SEEN_KEYS = 16, TW_SEEN_COUNT_BITS = 12 };
typedef struct tw_seen_set {
    uint64_t entry[TW_SEEN_KEYS];
    uint32_t stamp[TW_SEEN_KEYS]; /* tick of the last touch */
} tw_seen_set;

/* What keep.c and turn.c know of a table with tw_keep. */
typedef struct tw_keeper {
    bool is_on, counts, expires;
    uint64_t clock;   /* ticks */
    tw_seen_set *set; /* [n_sets]; NULL: keys are not counted */
    size_t n_sets;
    uint32_t sets_a_slot;
    tw_area *area;          /* [of n windows] of the sets; NULL: not frozen */
    uint64_t turn;          /* ticks */
    uint32_t room;          /* rows that a slot has; 0: nothing is evicted */
    uint32_t *slot_rows;    /* [TW_N_SLOTS] where rows are evicted */
    uint64_t *slot_swept;   /* [TW_N_SLOTS] the clock at which a full slot last lost what had expired */
    struct tw_old_row *old; /* scratch of an eviction */
    size_t old_capacity;
    uint64_t n_expired, n_evicted, n_refused;
} tw_keeper;

typedef struct tw_block_state {
    unsigned char *bytes; /* [count x record size] */
    size_t size;
    unsigned char *is_here; /* [count]; NULL: all are */
    uint32_t n_here;
    tw_area *area;
} tw_block_state;

/* What changed since the last snapshot, and which files that one is. */
typedef struct tw_touched {
    uint64_t n_rows;   /* bits of rows that are set */
    uint32_t interval; /* how many cuts there were; of an exact table without tw_keep, whose words tell the interval */
    bool is_noted;     /* rows that are written to get the present one */
    size_t sweep_at, sweep_left; /* segments */
    uint8_t *bits;               /* hashed: a bit a row; of a table with tw_keep: a bit a set of counts */
    uint64_t *gone;              /* [n_gone] keys whose rows were evicted; what expires goes by its stamp */
    size_t n_gone, gone_capacity;
    bool is_lost;    /* not all of them are there: the next snapshot is a base */
    char *directory; /* of the files below; NULL: none */
    tw_chain last;   /* the last snapshot, base first; n_files 0: the next one is a base */
} tw_touched;

struct tw_table {
    tw_table_spec spec;
    uint32_t first_slot, last_slot;
    uint32_t row_size;
    bool has_constant_rows;
    bool is_stamped; /* rows carry the tick of their last touch */
    bool is_loading; /* rows of files, laid out in another way than where they were learned: the cap is not for them */
    tw_keeper keep;
    unsigned char *initial; /* one record, for READ of absent keys */
    uint64_t bytes;         /* of rows, index and blocks */

    tw_page_pool *pages; /* of the segments, which move */
    tw_segment *segment; /* exact */
    size_t n_segments, segment_capacity, stride;
    uint16_t segment_of[TW_N_SLOTS];

    unsigned char *rows; /* hashed */
    size_t rows_size;
    uint64_t first_row, n_rows;
    uint32_t shift;
    tw_area *row_area; /* [of n windows]; NULL: not frozen */
    size_t area_size;

    tw_block_state block[TW_SCHEMA_MAX_BLOCKS];
    tw_mark *mark; /* sorted by split */
    size_t n_marks, mark_capacity;
    uint64_t events, epoch;
    size_t n_loaded; /* row files */
    char loaded[TW_FILE_NAME_SIZE];
    const struct tw_split *expected; /* [n_expected]: tw_table_expect */
    size_t n_expected;
    bool takes_any_cut; /* nobody learns on from its marks */

    unsigned char *scratch; /* READ of absent keys with initial values of their own */
    size_t scratch_size;
    uint32_t *scratch_index;
    size_t scratch_index_size;

    tw_frozen *frozen;
    tw_touched *touched; /* NULL: changes are not tracked */
};

/* segment.c */
TW_MUST_USE tw_status tw_segments_create(tw_table *self, tw_error *error);
bool tw_segments_are_empty(const tw_table *self);
/* Room for `count` rows in an empty table, so that rows in the order of a file find their places at once. */
TW_MUST_USE tw_status tw_segments_reserve(tw_table *self, uint64_t count, tw_error *error);
void tw_segments_destroy(tw_table *self);
/* For a file's rows. `uncover` takes the segments of an empty table away: no row may be looked up before segments cover
 * all slots again. A segment made for `count` rows is filled by one thread, from pairs of key and row of which those of
 * its slots count (false: more of them, or one twice), and then added, by one thread at a time. */
enum { TW_NO_SEGMENT = 0xffff };
void tw_segments_uncover(tw_table *self);
TW_MUST_USE tw_status tw_segment_make(
    tw_table *table, tw_segment *self, uint32_t first_slot, uint32_t last_slot, uint64_t count, tw_error *error);
bool tw_segment_fill(const tw_table *table, tw_segment *self, const unsigned char *pair, size_t pair_size, uint64_t n);
TW_MUST_USE tw_status tw_segments_add(tw_table *self, const tw_segment *segment, tw_error *error);
void tw_segment_drop(tw_table *table, tw_segment *self);

/* exact.c */
TW_MUST_USE tw_status tw_segments_rows(
    tw_table *self, const uint64_t *key, uint32_t n, tw_access access, void **row, tw_error *error);
/* Room for a scratch record for each of `n` entries; then one for every distinct absent key, in row[i] that are NULL.
 */
static inline size_t tw_scratch_places(uint32_t n) /* of the index: a power of two */
{
    size_t places = 16;
    while (places < (size_t)n * 2)
        places *= 2;
    return places;
}
TW_MUST_USE tw_status tw_scratch_begin(tw_table *self, uint32_t n, tw_error *error);
void tw_scratch_fill(tw_table *self, const uint64_t *key, uint32_t n, void **row);

/* keeper.c */
TW_MUST_USE tw_status tw_keeper_init(tw_table *self, tw_error *error);
void tw_keeper_fini(tw_table *self);

/* keep.c: tables with tw_keep */
/* As tw_segments_rows; WRITE admits every key and touches it now. */
TW_MUST_USE tw_status tw_keep_rows(
    tw_table *self, const uint64_t *key, uint32_t n, tw_access access, void **row, tw_error *error);
bool tw_keep_is_expired(const tw_table *self, uint32_t stamp, uint64_t tick);
/* As another table has it: a row, which hardly anything makes room for, or the count of a key. */
TW_MUST_USE tw_status tw_keep_put(tw_table *self, uint64_t key, uint32_t stamp, void **row, tw_error *error);
void tw_keep_load_seen(tw_table *self, uint64_t key, uint32_t stamp, uint32_t count);
/* keep_record.c: no count is left of keys that are in set `index` of a slot where a slot has `sets_a_slot` of them. */
void tw_keep_void_seen(tw_table *self, uint32_t slot, uint64_t index, uint64_t sets_a_slot);
/* Older stamps of rows that do not expire are renewed to this age: ages are differences of 32 bits. */
enum { TW_KEEP_MAX_AGE = 1 << 30 };
/* Ticks since the last touch; rows that do not expire grow no older than TW_KEEP_MAX_AGE. */
static inline int32_t tw_keep_age(const tw_table *self, uint32_t stamp)
{
    int32_t age = (int32_t)((uint32_t)self->keep.clock - stamp);
    return self->keep.expires || age < TW_KEEP_MAX_AGE ? age : TW_KEEP_MAX_AGE;
}
enum { TW_SEEN_WINDOW = 4096 * (int)sizeof(tw_seen_set) };

/* turn.c: the row of a key, if there is one, goes away */
void tw_keep_remove(tw_table *self, uint64_t key);
/* turn.c: what is due between two ticks, and before a row is added to a slot; true: rows have moved. A turn sweeps one
 * group of slots; all have had their turn after TW_TURN_GROUPS. */
enum { TW_TURN_SLOTS = 64, TW_TURN_GROUPS = TW_N_SLOTS / TW_TURN_SLOTS };
void tw_keep_turns(tw_table *self, uint64_t before, uint64_t after);
bool tw_keep_make_room(tw_table *self, uint32_t slot);

/* table.c: a batch begins, with its share of waiting for the copier */
void tw_table_begin(tw_table *self);
/* the initial record of a row; scans of one segment, and of the rows [from, to) of a hashed table */
void tw_table_initial(const tw_table *self, uint64_t key, void *out);
TW_MUST_USE tw_status tw_table_scan_segment(
    tw_table *self, const tw_segment *segment, tw_record_visit visit, void *context, tw_error *error);
TW_MUST_USE tw_status tw_table_scan_rows(
    tw_table *self, uint64_t from, uint64_t to, tw_record_visit visit, void *context, tw_error *error);

/* touched.c: the tracker of a table; begin does nothing where there is one. take moves what was touched into `frozen`,
 * whose areas are listed, and decides whether that is a delta; settle notes what became of it. */
TW_MUST_USE tw_status tw_touched_begin(tw_table *self, tw_error *error);
TW_MUST_USE tw_status tw_touched_take(tw_frozen *frozen, const char *directory, uint32_t max_deltas, tw_error *error);
void tw_touched_settle(tw_frozen *frozen);
void tw_touched_end(tw_table *self);
/* What the words of rows that are written to now get; 0: nothing is noted in words. */
uint64_t tw_touched_interval(const tw_table *self);
/* Before a batch writes to rows of an exact table: rids some segments of old intervals, where that is due. */
void tw_touched_sweep(tw_table *self);
/* The row of a key was evicted. */
void tw_touched_gone(tw_table *self, uint64_t key);

/* Bytes of the bits of a hashed table's rows, or of the sets of counts. */
static inline size_t tw_touched_size(const tw_table *self)
{
    return (self->rows != NULL ? (size_t)self->n_rows : self->keep.n_sets) / 8 + 1;
}

/* Which rows change is told in the words of their keys. */
static inline bool tw_has_intervals(const tw_table *self)
{
    return self->spec.kind == TW_TABLE_EXACT && !self->keep.is_on;
}

/* Bytes of a set of bits, and of a segment with `size` bytes of buckets. */
static inline size_t tw_bits_size(uint64_t n_buckets)
{
    return (size_t)((n_buckets + 63) / 64 * 64);
}

static inline size_t tw_segment_memory(const tw_table *table, size_t size)
{
    return size + (tw_has_intervals(table) ? 0 : 2 * tw_bits_size(size / table->stride));
}

/* Sets a bit and counts it once. */
static inline void tw_touch(tw_touched *self, uint8_t *byte, unsigned bit)
{
    self->n_rows += !(*byte >> bit & 1);
    *byte |= (uint8_t)(1u << bit);
}

#endif
