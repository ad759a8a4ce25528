#include "ps/worker/admission.h"

#include <string.h>

#include "base/alloc.h"

tw_status tw_admission_plan(tw_flight *self, const tw_partition *partition, const tw_batch *batch, tw_error *error)
{
    tw_admission *own = &self->admission;
    size_t row_size = partition->spec.schema.row.size;
    own->is_on = tw_keep_is_on(&partition->spec);
    own->n_ticks = batch->is_taken_over ? 0 : batch->n_events;
    if (!own->is_on)
        return TW_STATUS_OK;
    if (batch->n_events >= TW_TOUCH_EVENTS)
        return tw_error_set(error, TW_STATUS_INVALID,
            "acquire: a batch of %u events; with admission, expiry or eviction at most %d", batch->n_events,
            TW_TOUCH_EVENTS - 1);
    tw_status status = tw_grow(&own->sight, sizeof *own->sight, &own->capacity_sight, self->n_keys, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&own->touch, sizeof *own->touch, &own->capacity_touch, self->n_keys, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&own->scratch_of, sizeof *own->scratch_of, &own->capacity_scratch_of, self->n_keys, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(&own->scratch, 1, &own->capacity_scratch, batch->n_entries * row_size, error);
    return status;
}

void tw_admission_fini(tw_flight *self)
{
    tw_free(self->admission.sight);
    tw_free(self->admission.touch);
    tw_free(self->admission.scratch_of);
    tw_free(self->admission.scratch);
}

void tw_admission_load(tw_flight *self, uint32_t shard, const tw_flight_chunk *chunk, const unsigned char *at)
{
    tw_admission *own = &self->admission;
    if (!own->is_on)
        return;
    for (uint32_t i = 0; i < chunk->n_keys; i++, at += TW_SIGHT_SIZE)
        own->sight[chunk->key_first + i] = (tw_sight){.left = tw_get_u32(at), .seen = tw_get_u32(at + 4)};
    own->clock[shard] = tw_get_u64(at);
    own->has_clock = true;
    own->newest = own->clock[shard];
}

void tw_admission_store(const tw_flight *self, const tw_flight_chunk *chunk, bool is_last, unsigned char *at)
{
    const tw_admission *own = &self->admission;
    if (!own->is_on)
        return;
    uint32_t n = chunk != NULL ? chunk->n_keys : 0;
    if (n > 0)
        tw_touches_write(own->touch + chunk->key_first, n, at);
    if (is_last)
        tw_put_u64(at + (size_t)n * TW_TOUCH_SIZE, own->n_ticks);
}

/* The first event of the batch that has the key. */
static void touch_begin(tw_flight *self, const tw_partition *partition, uint32_t at, uint32_t event)
{
    tw_admission *own = &self->admission;
    tw_sight *sight = &own->sight[at];
    bool holds = event < sight->left || sight->left == UINT32_MAX;
    own->touch[at] = (tw_key_touch){.first = event, .is_admitted = holds && sight->seen == 0};
    own->scratch_of[at] = UINT32_MAX;
    sight->seen = holds ? sight->seen : 0;
    if (own->touch[at].is_admitted)
        return;
    const tw_record *row = &partition->spec.schema.row;
    unsigned char *before = self->before + (size_t)at * row->size;
    tw_record_write_initial(row, self->key[at], partition->spec.hash_seed, before);
    memcpy(self->after + (size_t)at * row->size, before, row->size);
}

static bool touch_admits(const tw_flight *self, const tw_partition *partition, uint32_t at, uint32_t event)
{
    const tw_admission *own = &self->admission;
    const tw_keep *keep = &partition->spec.keep;
    uint64_t key = self->key[at];
    if (keep->admit_probability > 0)
        return tw_keep_draw(&partition->spec, key, own->clock[partition->shard_of_slot[tw_key_slot(key)]] + event);
    return own->sight[at].seen + own->touch[at].count + 1 >= keep->admit_count;
}

static void *entry_row(tw_flight *self, const tw_partition *partition, uint32_t at, uint32_t entry, uint32_t event)
{
    tw_admission *own = &self->admission;
    size_t size = partition->spec.schema.row.size;
    tw_key_touch *touch = &own->touch[at];
    bool is_again = own->scratch_of[at] != UINT32_MAX && touch->last == event;
    touch->last = event;
    if (!touch->is_admitted && !is_again)
        touch->is_admitted = touch_admits(self, partition, at, event);
    if (touch->is_admitted)
        return self->after + at * size;
    unsigned char *scratch = own->scratch + entry * size;
    if (is_again)
        return own->scratch + own->scratch_of[at] * size;
    own->scratch_of[at] = entry;
    touch->count++;
    tw_record_write_initial(&partition->spec.schema.row, self->key[at], partition->spec.hash_seed, scratch);
    return scratch;
}

void tw_admission_resolve(tw_flight *self, const tw_partition *partition, const tw_batch *batch)
{
    tw_admission *own = &self->admission;
    if (!own->is_on || partition->spec.schema.row.size == 0)
        return;
    if (batch->is_taken_over) {
        for (uint32_t i = 0; i < self->n_keys; i++)
            own->touch[i] = (tw_key_touch){.is_admitted = true};
        return;
    }
    for (uint32_t i = 0; i < self->n_keys; i++)
        own->touch[i].first = UINT32_MAX;
    for (uint32_t event = 0; event < batch->n_events; event++) {
        for (uint32_t e = batch->row_start[event]; e < batch->row_start[event + 1]; e++) {
            uint32_t at = self->place[self->index[e]];
            if (own->touch[at].first == UINT32_MAX)
                touch_begin(self, partition, at, event);
            self->row[e] = entry_row(self, partition, at, e, event);
        }
    }
}
