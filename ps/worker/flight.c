#include "ps/worker/admission.h"

#include <string.h>

#include "base/alloc.h"

enum { FLIGHT_MIN_SLOTS = 1024, FLIGHT_AHEAD = 8 };

tw_status tw_partition_init(tw_partition *self, const tw_table_spec *spec, uint32_t n_shards, tw_error *error)
{
    memset(self, 0, sizeof *self);
    self->spec = *spec;
    self->n_shards = n_shards;
    tw_status status = TW_STATUS_OK;
    for (uint32_t s = 0; s < n_shards && status == TW_STATUS_OK; s++) {
        uint32_t first = tw_shard_first_slot(s, n_shards), next = tw_shard_first_slot(s + 1, n_shards);
        for (uint32_t slot = first; slot < next; slot++)
            self->shard_of_slot[slot] = (uint16_t)s;
        status = tw_block_places(&spec->schema, first, next - 1, &self->place[s], &self->n_places[s], error);
    }
    for (uint32_t b = 0; b < spec->schema.n_blocks; b++) {
        self->block_offset[b] = self->block_bytes;
        self->block_bytes += (size_t)spec->schema.block[b].count * spec->schema.block[b].record.size;
    }
    if (status < 0)
        tw_partition_fini(self);
    return status;
}

void tw_partition_fini(tw_partition *self)
{
    for (uint32_t s = 0; s < self->n_shards; s++)
        tw_free(self->place[s]);
    memset(self, 0, sizeof *self);
}

tw_status tw_flight_init(tw_flight *self, const tw_partition *partition, tw_error *error)
{
    memset(self, 0, sizeof *self);
    if (partition->block_bytes == 0)
        return TW_STATUS_OK;
    self->block_before = tw_alloc_zero(partition->block_bytes);
    self->block_after = tw_alloc_zero(partition->block_bytes);
    if (self->block_before == NULL || self->block_after == NULL) {
        tw_flight_fini(self);
        return tw_no_memory(error, partition->block_bytes);
    }
    for (uint32_t b = 0; b < partition->spec.schema.n_blocks; b++)
        self->block[b] = self->block_after + partition->block_offset[b];
    return TW_STATUS_OK;
}

void tw_flight_fini(tw_flight *self)
{
    tw_free(self->key);
    tw_free(self->chunk);
    tw_free(self->before);
    tw_free(self->after);
    tw_free(self->block_before);
    tw_free(self->block_after);
    tw_free(self->row);
    tw_free(self->distinct);
    tw_free(self->place);
    tw_free(self->index);
    tw_free(self->slot);
    tw_admission_fini(self);
    memset(self, 0, sizeof *self);
}

static inline size_t slot_of(const tw_flight *self, uint64_t same)
{
    return (size_t)(same * 0x9e3779b97f4a7c15ull >> 20) & (self->n_slots - 1);
}

/* The key's slot, or the empty one where it belongs. */
static inline tw_flight_slot *slot_find(const tw_flight *self, uint64_t same)
{
    size_t at = slot_of(self, same);
    while (self->slot[at].stamp == self->stamp && self->slot[at].key != same)
        at = (at + 1) & (self->n_slots - 1);
    return &self->slot[at];
}

/* A set of `n_slots` with the distinct keys found so far. The set follows the number of distinct keys, not that of
 * entries: it stays in the cache. */
static tw_status set_resize(tw_flight *self, size_t n_slots, tw_error *error)
{
    tw_flight_slot *slot = tw_alloc_zero(n_slots * sizeof *slot);
    if (slot == NULL)
        return tw_no_memory(error, n_slots * sizeof *slot);
    tw_free(self->slot);
    self->slot = slot;
    self->n_slots = n_slots;
    self->stamp = 1;
    for (uint32_t i = 0; i < self->n_keys; i++) {
        uint64_t same = self->distinct[i] >> self->shift;
        *slot_find(self, same) = (tw_flight_slot){same, i, self->stamp};
    }
    return TW_STATUS_OK;
}

/* Empties the set. */
static tw_status set_begin(tw_flight *self, tw_error *error)
{
    self->n_keys = 0;
    if (self->slot == NULL || ++self->stamp == 0)
        return set_resize(self, self->slot != NULL ? self->n_slots : FLIGHT_MIN_SLOTS, error);
    return TW_STATUS_OK;
}

static tw_status flight_reserve(tw_flight *self, const tw_batch *batch, tw_error *error)
{
    uint32_t n = batch->n_entries;
    tw_status status = set_begin(self, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->row, sizeof *self->row, &self->capacity_row, n, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->index, sizeof *self->index, &self->capacity_index, n, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->distinct, sizeof *self->distinct, &self->capacity_distinct, n, error);
    return status;
}

/* Fills distinct and index, and counts the keys of each shard in key_first[s + 1]. */
static tw_status flight_find_distinct(
    tw_flight *self, const tw_partition *partition, const tw_batch *batch, tw_error *error)
{
    uint32_t n_entries = batch->n_entries;
    for (uint32_t e = 0; e < n_entries; e++) {
        uint64_t key = batch->key[e], same = key >> self->shift;
        if (e + FLIGHT_AHEAD < n_entries)
            __builtin_prefetch(&self->slot[slot_of(self, batch->key[e + FLIGHT_AHEAD] >> self->shift)], 1);
        tw_flight_slot *slot = slot_find(self, same);
        if (slot->stamp != self->stamp) {
            *slot = (tw_flight_slot){same, self->n_keys, self->stamp};
            self->distinct[self->n_keys++] = key;
            self->key_first[partition->shard_of_slot[tw_key_slot(key)] + 1]++;
            self->index[e] = self->n_keys - 1;
            tw_status status =
                self->n_keys * (size_t)2 > self->n_slots ? set_resize(self, self->n_slots * 2, error) : TW_STATUS_OK;
            if (status < 0)
                return status;
        } else {
            self->index[e] = slot->index;
        }
    }
    return TW_STATUS_OK;
}

static void flight_group(tw_flight *self, const tw_partition *partition)
{
    uint32_t next[TW_MAX_SHARDS];
    for (uint32_t s = 0; s < partition->n_shards; s++) {
        next[s] = self->key_first[s];
        self->key_first[s + 1] += self->key_first[s];
    }
    for (uint32_t i = 0; i < self->n_keys; i++) {
        uint32_t at = next[partition->shard_of_slot[tw_key_slot(self->distinct[i])]]++;
        self->place[i] = at;
        self->key[at] = self->distinct[i];
    }
}

static tw_status flight_cut(tw_flight *self, const tw_partition *partition, uint32_t shard, tw_error *error)
{
    uint32_t key = self->key_first[shard], key_end = self->key_first[shard + 1], block = 0;
    uint32_t row_size = partition->spec.schema.row.size;
    size_t n_chunks = self->chunk_first[shard];
    while (key < key_end || block < partition->n_places[shard]) {
        tw_status status = tw_grow(&self->chunk, sizeof *self->chunk, &self->capacity_chunk, n_chunks + 1, error);
        if (status < 0)
            return status;
        tw_flight_chunk *chunk = &self->chunk[n_chunks++];
        *chunk = (tw_flight_chunk){.key_first = key, .block_first = block};
        size_t size = 0;
        for (; key < key_end && (size == 0 || size + row_size <= TW_FRAME_CHUNK); key++)
            size += row_size;
        for (; key == key_end && block < partition->n_places[shard]; block++) {
            size_t record = partition->place[shard][block].size;
            if (size > 0 && size + record > TW_FRAME_CHUNK)
                break;
            size += record;
        }
        chunk->n_keys = key - chunk->key_first;
        chunk->n_blocks = block - chunk->block_first;
    }
    self->chunk_first[shard + 1] = (uint32_t)n_chunks;
    return TW_STATUS_OK;
}

tw_status tw_flight_plan(tw_flight *self, const tw_partition *partition, const tw_batch *batch, tw_error *error)
{
    size_t row_size = partition->spec.schema.row.size;
    tw_batch none = *batch;
    if (row_size == 0)
        none.n_entries = 0;
    self->shift = partition->spec.kind == TW_TABLE_HASHED ? 64 - partition->spec.bits : 0;
    tw_status status = flight_reserve(self, &none, error);
    if (status < 0)
        return status;
    memset(self->key_first, 0, sizeof self->key_first);
    status = flight_find_distinct(self, partition, &none, error);
    size_t n = self->n_keys;
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->key, sizeof *self->key, &self->capacity_key, n, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->place, sizeof *self->place, &self->capacity_place, n, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->before, 1, &self->capacity_before, n * row_size, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&self->after, 1, &self->capacity_after, n * row_size, error);
    if (status == TW_STATUS_OK)
        status = tw_admission_plan(self, partition, &none, error);
    if (status < 0)
        return status;
    flight_group(self, partition);
    for (uint32_t e = 0; e < none.n_entries; e++)
        self->row[e] = self->after + self->place[self->index[e]] * row_size;
    for (uint32_t s = 0; s < partition->n_shards && status == TW_STATUS_OK; s++)
        status = flight_cut(self, partition, s, error);
    return status;
}

size_t tw_flight_chunk_size(const tw_partition *partition, uint32_t shard, const tw_flight_chunk *chunk)
{
    size_t size = (size_t)chunk->n_keys * partition->spec.schema.row.size;
    for (uint32_t i = 0; i < chunk->n_blocks; i++)
        size += partition->place[shard][chunk->block_first + i].size;
    return size;
}

static size_t place_offset(const tw_partition *partition, const tw_block_place *place)
{
    return partition->block_offset[place->block] + (size_t)place->record * place->size;
}

void tw_flight_load(tw_flight *self,
    const tw_partition *partition,
    uint32_t shard,
    const tw_flight_chunk *chunk,
    const unsigned char *payload)
{
    size_t row_size = partition->spec.schema.row.size, size = chunk->n_keys * row_size;
    if (size > 0) {
        memcpy(self->before + chunk->key_first * row_size, payload, size);
        memcpy(self->after + chunk->key_first * row_size, payload, size);
    }
    payload += size;
    for (uint32_t i = 0; i < chunk->n_blocks; i++) {
        const tw_block_place *place = &partition->place[shard][chunk->block_first + i];
        size_t at = place_offset(partition, place);
        memcpy(self->block_before + at, payload, place->size);
        memcpy(self->block_after + at, payload, place->size);
        payload += place->size;
    }
}

void tw_flight_store(const tw_flight *self,
    const tw_partition *partition,
    uint32_t shard,
    const tw_flight_chunk *chunk,
    bool is_before,
    unsigned char *payload)
{
    size_t row_size = partition->spec.schema.row.size, size = chunk->n_keys * row_size;
    const unsigned char *rows = is_before ? self->before : self->after;
    const unsigned char *blocks = is_before ? self->block_before : self->block_after;
    if (size > 0)
        memcpy(payload, rows + chunk->key_first * row_size, size);
    payload += size;
    for (uint32_t i = 0; i < chunk->n_blocks; i++) {
        const tw_block_place *place = &partition->place[shard][chunk->block_first + i];
        memcpy(payload, blocks + place_offset(partition, place), place->size);
        payload += place->size;
    }
}

static void record_overlay(const tw_record *record,
    unsigned char *before,
    unsigned char *after,
    const unsigned char *behind_before,
    const unsigned char *behind_after)
{
    if (memcmp(before, behind_before, record->size) == 0)
        memcpy(before, behind_after, record->size);
    else
        tw_record_merge(record, before, behind_before, behind_after);
    memcpy(after, before, record->size);
}

/* Position of the key in `key`, or UINT32_MAX. */
static inline uint32_t flight_find(const tw_flight *self, uint64_t key)
{
    const tw_flight_slot *slot = slot_find(self, key >> self->shift);
    return slot->stamp == self->stamp ? self->place[slot->index] : UINT32_MAX;
}

void tw_flight_overlay(tw_flight *self,
    const tw_partition *partition,
    uint32_t shard,
    const tw_flight_chunk *chunk,
    const tw_flight *behind)
{
    const tw_schema *schema = &partition->spec.schema;
    size_t size = schema->row.size;
    size_t end = chunk->key_first + (size_t)chunk->n_keys;
    for (size_t i = chunk->key_first; i < end; i++) {
        if (i + FLIGHT_AHEAD < end)
            __builtin_prefetch(&behind->slot[slot_of(behind, self->key[i + FLIGHT_AHEAD] >> self->shift)]);
        size_t at = flight_find(behind, self->key[i]);
        if (at == UINT32_MAX)
            continue;
        record_overlay(&schema->row, self->before + i * size, self->after + i * size, behind->before + at * size,
            behind->after + at * size);
    }
    for (uint32_t i = 0; i < chunk->n_blocks; i++) {
        const tw_block_place *place = &partition->place[shard][chunk->block_first + i];
        size_t at = place_offset(partition, place);
        record_overlay(&schema->block[place->block].record, self->block_before + at, self->block_after + at,
            behind->block_before + at, behind->block_after + at);
    }
}
