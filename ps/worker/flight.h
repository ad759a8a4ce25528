/* flight.h: the rows of one batch on the worker: its distinct keys grouped by shard, their records as pulled and as the
 * learner left them, and the chunks in which they travel. Buffers are kept from batch to batch. Private to the client.
 */
#ifndef TW_PS_FLIGHT_H
#define TW_PS_FLIGHT_H

#include "ps/wire/layout.h"
#include "thalweg/params.h"

/* What the client knows of the shards without asking. */
typedef struct tw_partition {
    tw_table_spec spec;
    uint32_t n_shards;
    uint16_t shard_of_slot[TW_N_SLOTS];
    tw_block_place *place[TW_MAX_SHARDS]; /* [n_places[s]] */
    uint32_t n_places[TW_MAX_SHARDS];
    size_t block_offset[TW_SCHEMA_MAX_BLOCKS]; /* of each block's first record in a flight's block image */
    size_t block_bytes;
} tw_partition;

TW_MUST_USE tw_status tw_partition_init(
    tw_partition *self, const tw_table_spec *spec, uint32_t n_shards, tw_error *error);
void tw_partition_fini(tw_partition *self);

/* Part of one shard's records: keys [key_first, key_first + n_keys) of the flight, block records of the shard's list.
 */
typedef struct tw_flight_chunk {
    uint32_t key_first, n_keys, block_first, n_blocks;
    uint64_t handle, generation, incarnation;
    uint64_t session; /* HELLO under which the pull went out: the handle holds only in that session */
    bool is_pulled;
} tw_flight_chunk;

/* A place of the hash set of keys; it is taken where the stamp is the flight's. */
typedef struct tw_flight_slot {
    uint64_t key;
    uint32_t index, stamp;
} tw_flight_slot;

/* Of a table with tw_keep: see admission.h. */
typedef struct tw_admission {
    bool is_on, has_clock;
    struct tw_sight *sight;     /* [n_keys] as pulled */
    struct tw_key_touch *touch; /* [n_keys] */
    uint32_t *scratch_of;       /* [n_keys] entry whose scratch the key has now; UINT32_MAX: none */
    unsigned char *scratch;     /* [n_entries x row size] */
    uint64_t n_ticks, newest;   /* of the batch; the clock that was pulled last */
    uint64_t clock[TW_MAX_SHARDS];
    size_t capacity_sight, capacity_touch, capacity_scratch_of, capacity_scratch;
} tw_admission;

typedef struct tw_flight {
    uint32_t n_keys;
    tw_admission admission;
    uint64_t *key;                         /* [n_keys], shard after shard */
    uint32_t key_first[TW_MAX_SHARDS + 1]; /* shard s owns keys key_first[s] .. key_first[s + 1] - 1 */
    tw_flight_chunk *chunk;                /* chunks of all shards, shard after shard */
    uint32_t chunk_first[TW_MAX_SHARDS + 1];
    unsigned char *before, *after;             /* [n_keys x row size] */
    unsigned char *block_before, *block_after; /* block images */
    void **row;                                /* [n_entries] */
    void *block[TW_SCHEMA_MAX_BLOCKS];
    uint64_t *distinct;      /* [n_keys] in order of first appearance */
    uint32_t *place, *index; /* distinct -> position in key; entry -> distinct */
    tw_flight_slot *slot;    /* [n_slots], at least twice the distinct keys */
    size_t n_slots;
    uint32_t stamp; /* a new one for every batch saves clearing the set */
    uint32_t shift; /* of keys that are the same row (hashed tables) */
    size_t capacity_key, capacity_chunk, capacity_before, capacity_after, capacity_row, capacity_distinct,
        capacity_place, capacity_index;
} tw_flight;

TW_MUST_USE tw_status tw_flight_init(tw_flight *self, const tw_partition *partition, tw_error *error);
void tw_flight_fini(tw_flight *self);

/* Finds the distinct keys of the batch (hashed tables: distinct indices), groups and cuts them; points every entry and
 * block at its place in `after`. */
TW_MUST_USE tw_status tw_flight_plan(
    tw_flight *self, const tw_partition *partition, const tw_batch *batch, tw_error *error);

static inline uint32_t tw_flight_chunk_count(const tw_flight *self, uint32_t shard)
{
    return self->chunk_first[shard + 1] - self->chunk_first[shard];
}

/* Bytes of a chunk's records. */
size_t tw_flight_chunk_size(const tw_partition *partition, uint32_t shard, const tw_flight_chunk *chunk);
/* Copies the records of a chunk between a frame's payload and the images; `load` fills before and after. */
void tw_flight_load(tw_flight *self,
    const tw_partition *partition,
    uint32_t shard,
    const tw_flight_chunk *chunk,
    const unsigned char *payload);
void tw_flight_store(const tw_flight *self,
    const tw_partition *partition,
    uint32_t shard,
    const tw_flight_chunk *chunk,
    bool is_before,
    unsigned char *payload);

/* Makes before and after of the chunk's records what they are once the changes of `behind`, which were pulled no later,
 * are applied: exactly its `after` where the record came as its `before`, else merged. */
void tw_flight_overlay(tw_flight *self,
    const tw_partition *partition,
    uint32_t shard,
    const tw_flight_chunk *chunk,
    const tw_flight *behind);

#endif
