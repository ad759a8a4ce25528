/* What a copy of a table with tw_keep needs beside rows and marks: last touches, counts of keys without a row, the
 * clock. */
#include "store/keep_record.h"

#include <string.h>

#include "store/segment.h"

typedef struct kept_scan {
    const tw_table *table;
    uint64_t from, to; /* slots */
    tw_keep_visit visit;
    void *context;
} kept_scan;

static bool is_wanted(const kept_scan *self, uint64_t key, uint32_t stamp)
{
    uint32_t slot = tw_key_slot(key);
    return slot >= self->from && slot < self->to && !tw_keep_is_expired(self->table, stamp, self->table->keep.clock);
}

/* As it is with an age that does not grow for ever. */
static uint32_t stamp_of(const tw_table *self, uint32_t stamp)
{
    return (uint32_t)self->keep.clock - (uint32_t)tw_keep_age(self, stamp);
}

static tw_status scan_segment(const kept_scan *self, const tw_segment *segment, tw_error *error)
{
    const tw_table *table = self->table;
    unsigned char *end = segment->bytes + segment->size;
    for (unsigned char *bucket = segment->bytes; bucket < end; bucket += table->stride) {
        const uint64_t *words = tw_bucket_words(bucket);
        for (unsigned i = 0; i < TW_BUCKET_KEYS && words[i] != 0; i++) {
            uint64_t key = tw_word_key(segment->base, words[i]);
            uint32_t now = (uint32_t)table->keep.clock;
            uint32_t stamp = table->is_stamped ? *tw_bucket_stamp(bucket, i, table->row_size) : now;
            if (!is_wanted(self, key, stamp))
                continue;
            tw_keep_record kept = {key, stamp_of(table, stamp), 0, tw_bucket_row(bucket, i, table->row_size)};
            tw_status status = self->visit(self->context, &kept, error);
            if (status < 0)
                return status;
        }
    }
    return TW_STATUS_OK;
}

static tw_status scan_sets(const kept_scan *self, tw_error *error)
{
    const tw_keeper *keep = &self->table->keep;
    if (keep->set == NULL)
        return TW_STATUS_OK;
    size_t first = (size_t)(self->from - self->table->first_slot) * keep->sets_a_slot;
    size_t end = (size_t)(self->to - self->table->first_slot) * keep->sets_a_slot;
    for (size_t i = first; i < end; i++) {
        const tw_seen_set *set = &keep->set[i];
        uint64_t slot = self->table->first_slot + i / keep->sets_a_slot;
        for (unsigned j = 0; j < TW_SEEN_KEYS; j++) {
            uint64_t key = slot << (64 - TW_SLOT_BITS) | set->entry[j] >> TW_SEEN_COUNT_BITS;
            if (set->entry[j] == 0 || !is_wanted(self, key, set->stamp[j]))
                continue;
            tw_keep_record kept = {
                key, stamp_of(self->table, set->stamp[j]), (uint32_t)(set->entry[j] & TW_ADMIT_COUNT_MAX), NULL};
            tw_status status = self->visit(self->context, &kept, error);
            if (status < 0)
                return status;
        }
    }
    return TW_STATUS_OK;
}

tw_status tw_table_scan_kept(
    const tw_table *self, const tw_table_part *part, tw_keep_visit visit, void *context, tw_error *error)
{
    bool is_valid = part->block < 0 && part->from <= part->to && part->from >= self->first_slot &&
                    part->to <= (uint64_t)self->last_slot + 1;
    if (!is_valid || !self->keep.is_on)
        return tw_error_set(error, TW_STATUS_INVALID, "table: there are no such slots with admission or expiry");
    kept_scan scan = {self, part->from, part->to, visit, context};
    tw_status status = TW_STATUS_OK;
    for (uint64_t slot = part->from; slot < part->to && status == TW_STATUS_OK;) {
        const tw_segment *segment = &self->segment[self->segment_of[slot]];
        status = scan_segment(&scan, segment, error);
        slot = (uint64_t)segment->last_slot + 1;
    }
    return status == TW_STATUS_OK ? scan_sets(&scan, error) : status;
}

tw_status tw_table_put_kept(tw_table *self, const tw_keep_record *kept, tw_error *error)
{
    if (kept->row == NULL) {
        tw_keep_load_seen(self, kept->key, kept->stamp, kept->count);
        return TW_STATUS_OK;
    }
    void *row = NULL;
    tw_status status = tw_keep_put(self, kept->key, kept->stamp, &row, error);
    if (status == TW_STATUS_OK)
        memcpy(row, kept->row, self->row_size);
    return status;
}

/* Sets divide a slot's keys by the same hash, whatever their number: those of one lie in sets that follow each other.
 */
void tw_keep_void_seen(tw_table *self, uint32_t slot, uint64_t index, uint64_t sets_a_slot)
{
    const tw_keeper *keep = &self->keep;
    if (keep->set == NULL)
        return;
    tw_seen_set *sets = &keep->set[(size_t)(slot - self->first_slot) * keep->sets_a_slot];
    uint64_t last = ((index + 1) * keep->sets_a_slot - 1) / sets_a_slot;
    for (uint64_t i = index * keep->sets_a_slot / sets_a_slot; i <= last; i++) {
        for (unsigned j = 0; j < TW_SEEN_KEYS; j++) {
            uint64_t key = (uint64_t)slot << (64 - TW_SLOT_BITS) | sets[i].entry[j] >> TW_SEEN_COUNT_BITS;
            if (sets[i].entry[j] == 0 || tw_scaled(key * 0x9e3779b97f4a7c15ull, sets_a_slot) != index)
                continue;
            sets[i].entry[j] = 0;
            sets[i].stamp[j] = 0;
        }
    }
}

void tw_table_set_clock(tw_table *self, uint64_t clock)
{
    self->keep.clock = clock;
}
