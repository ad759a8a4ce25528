/* schema.h: the shape of a learner's state. A shard, a checkpoint and a serving replica know schemas and merge rules
 * and never an algorithm.
 *
 * A *record* is a C struct described by its fields. The *row* record is what each feature key owns; a *block* is
 * `count` records of dense state (a bias, centroids, global sums, a scaler's sums) that is acquired with every batch.
 * Counters are integers, never floats. f64 is for sums that grow with the number of events: an f32 sum of ones stops
 * at 2^24. Every record is a multiple of 8 bytes long and 8-byte aligned. */
#ifndef THALWEG_SCHEMA_H
#define THALWEG_SCHEMA_H

#include <stddef.h>

#include "thalweg/status.h"

typedef enum tw_field_type { TW_FIELD_F32 = 1, TW_FIELD_U32 = 2, TW_FIELD_U64 = 3, TW_FIELD_F64 = 4 } tw_field_type;

/* How a change from several workers is merged: by difference (after - before is added), or by comparing `after`.
 *
 * TICK and FADE are for records that forget lazily. A tick is a time, TW_TICKS_PER_HALF_LIFE to the half-life; the
 * later one wins, as with MAX. What stands in a FADE field counts as of the record's TICK field: at a later tick it is
 * x 2^-(ticks between / TW_TICKS_PER_HALF_LIFE); from tick 0, which is no time, nothing fades. A change is what `after`
 * is more than the faded `before`; change and record are faded to the later of their ticks and added, so that no
 * worker's forgetting counts twice. Without a TICK field FADE is ADD. */
typedef enum tw_merge {
    TW_MERGE_ADD = 1,
    TW_MERGE_MAX = 2,
    TW_MERGE_MIN = 3,
    TW_MERGE_LAST = 4,
    TW_MERGE_TICK = 5, /* u64 only, at most one a record, one element */
    TW_MERGE_FADE = 6, /* f32 and f64 only */
} tw_merge;

typedef enum tw_init {
    TW_INIT_CONSTANT = 1, /* every element is `init_value` */
    TW_INIT_NORMAL = 2,   /* normal(0, init_value) from (key, table seed, element index); f32 and f64 only */
} tw_init;

enum {
    TW_NAME_SIZE = 32,
    TW_RECORD_MAX_FIELDS = 16,
    TW_SCHEMA_MAX_BLOCKS = 16,
    TW_RECORD_MAX_SIZE = 1 << 20, /* bytes of one record */
    TW_TICK_BITS = 24,
    TW_TICKS_PER_HALF_LIFE = 1 << TW_TICK_BITS,
};

typedef struct tw_field {
    char name[TW_NAME_SIZE];
    tw_field_type type;
    tw_merge merge;
    tw_init init;
    uint32_t count;  /* elements of the array; 1 for a scalar */
    uint32_t offset; /* bytes from the start of the record */
    double init_value;
} tw_field;

typedef struct tw_record {
    uint32_t n_fields;
    uint32_t size; /* bytes, a multiple of 8; 0: the learner has no per-key rows */
    tw_field field[TW_RECORD_MAX_FIELDS];
} tw_record;

typedef struct tw_block {
    char name[TW_NAME_SIZE];
    uint32_t count; /* records */
    tw_record record;
} tw_block;

typedef struct tw_schema {
    tw_record row;
    uint32_t n_blocks;
    tw_block block[TW_SCHEMA_MAX_BLOCKS];
} tw_schema;

/* Appends a field behind the last one at its natural alignment; the record's size is rounded up to 8. */
TW_EXPORT TW_MUST_USE tw_status tw_record_add(
    tw_record *self, const char *name, tw_field_type type, uint32_t count, tw_merge merge, tw_error *error);

/* Sets how the field added last starts; without it a field starts at 0. */
TW_EXPORT void tw_record_init_last(tw_record *self, tw_init init, double value);

/* Appends a block of `count` records; the returned pointer (borrowed, valid until the schema dies) takes tw_record_add.
 * NULL with `error` set when the schema is full, the name is taken or too long, or `count` is 0. */
TW_EXPORT tw_block *tw_schema_add_block(tw_schema *self, const char *name, uint32_t count, tw_error *error);

/* The index of the block `name`, or -1. */
TW_EXPORT int tw_schema_find_block(const tw_schema *self, const char *name);

/* XXH3-64 over a canonical encoding: equal schemas have equal hashes on every machine. */
TW_EXPORT uint64_t tw_schema_hash(const tw_schema *self);

/* Canonical little-endian encoding, for manifests and for HELLO. encode returns the bytes needed (writes nothing if
 * `size` is smaller); decode trusts nothing: lengths, types, offsets and sizes are checked. */
TW_EXPORT size_t tw_schema_encode(const tw_schema *self, void *bytes, size_t size);
TW_EXPORT TW_MUST_USE tw_status tw_schema_decode(tw_schema *self, const void *bytes, size_t size, tw_error *error);

/* Writes the initial record for `key`: [record->size] bytes. Same key and seed, same bytes, everywhere. */
TW_EXPORT void tw_record_write_initial(const tw_record *record, uint64_t key, uint64_t seed, void *out);

/* True when every record starts the same, whatever its key. */
TW_EXPORT bool tw_record_has_constant_initial(const tw_record *record);

/* into := merge(into, before -> after), field by field by each field's rule. ADD on integers wraps. */
TW_EXPORT void tw_record_merge(const tw_record *record, void *into, const void *before, const void *after);

/* The key under which record `index` of block `name` lives in a slot: a hash in the same space as feature keys. */
TW_EXPORT uint64_t tw_block_key(const char *name, uint32_t index);

#endif
