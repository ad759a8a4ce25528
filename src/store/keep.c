/* Which keys have a row: admission and expiry, event by event. See tw_keep. */
#include <string.h>

#include "base/hash.h"
#include "store/segment.h"

enum { KEEP_AHEAD = 16 };

/* Stamps are at most 2^31 behind (turns see to it), and ahead only where a batch was abandoned. */
static inline int32_t age_of(uint32_t stamp, uint64_t tick)
{
    return (int32_t)((uint32_t)tick - stamp);
}

bool tw_keep_is_expired(const tw_table *self, uint32_t stamp, uint64_t tick)
{
    return self->keep.expires && age_of(stamp, tick) > (int32_t)self->spec.keep.expire_after;
}

bool tw_keep_draw(const tw_table_spec *spec, uint64_t key, uint64_t tick)
{
    uint64_t drawn = tw_mix64(key + tw_mix64(tick + tw_mix64(spec->hash_seed + 0x61646d6974ull)));
    return (double)(drawn >> 11) * 0x1p-53 < spec->keep.admit_probability;
}

/* --- counts of keys without a row --------------------------------------------------------------------------------- */

static inline tw_seen_set *seen_set(const tw_table *self, uint64_t key)
{
    const tw_keeper *keep = &self->keep;
    uint64_t in_slot = tw_scaled(key * 0x9e3779b97f4a7c15ull, keep->sets_a_slot);
    return &keep->set[(size_t)(tw_key_slot(key) - self->first_slot) * keep->sets_a_slot + in_slot];
}

/* Place of the key in its set, TW_SEEN_KEYS: it is not there. */
static inline unsigned seen_find(const tw_seen_set *set, uint64_t key)
{
    unsigned at = 0;
    while (at < TW_SEEN_KEYS &&
           (set->entry[at] == 0 || (set->entry[at] ^ key << TW_SEEN_COUNT_BITS) >> TW_SEEN_COUNT_BITS))
        at++;
    return at;
}

static void seen_keep(tw_table *self, const tw_seen_set *set)
{
    tw_keeper *keep = &self->keep;
    size_t index = (size_t)(set - keep->set);
    if (self->touched != NULL && self->touched->bits != NULL)
        self->touched->bits[index / 8] |= (uint8_t)(1u << index % 8);
    if (keep->area == NULL)
        return;
    tw_area_keep(&keep->area[index * sizeof *set / TW_SEEN_WINDOW], set, sizeof *set);
}

/* A is to go before b: empty, or touched longer ago as of `now`. */
static bool seen_is_older(const tw_seen_set *set, unsigned a, unsigned b, uint32_t now)
{
    if (set->entry[a] == 0 || set->entry[b] == 0)
        return set->entry[a] == 0 && set->entry[b] != 0;
    int32_t age_a = age_of(set->stamp[a], now), age_b = age_of(set->stamp[b], now);
    return age_a != age_b ? age_a > age_b : set->entry[a] >> TW_SEEN_COUNT_BITS < set->entry[b] >> TW_SEEN_COUNT_BITS;
}

/* Writes count and stamp; a key that is not there yet takes the place of the oldest. */
static void seen_put(tw_table *self, tw_seen_set *set, unsigned at, uint64_t key, uint32_t count, uint32_t stamp)
{
    seen_keep(self, set);
    if (at == TW_SEEN_KEYS) {
        uint32_t now = (uint32_t)self->keep.clock;
        at = 0;
        for (unsigned i = 1; i < TW_SEEN_KEYS; i++)
            at = seen_is_older(set, i, at, now) ? i : at;
        if (set->entry[at] != 0 && age_of(set->stamp[at], now) < age_of(stamp, now))
            return;
    }
    set->entry[at] = key << TW_SEEN_COUNT_BITS | (count < TW_ADMIT_COUNT_MAX ? count : TW_ADMIT_COUNT_MAX);
    set->stamp[at] = stamp;
}

static void seen_remove(tw_table *self, uint64_t key)
{
    if (self->keep.set == NULL)
        return;
    tw_seen_set *set = seen_set(self, key);
    unsigned at = seen_find(set, key);
    if (at == TW_SEEN_KEYS)
        return;
    seen_keep(self, set);
    set->entry[at] = 0;
    set->stamp[at] = 0;
}

static inline uint32_t entry_count(const tw_seen_set *set, unsigned at)
{
    return (uint32_t)(set->entry[at] & TW_ADMIT_COUNT_MAX);
}

void tw_keep_load_seen(tw_table *self, uint64_t key, uint32_t stamp, uint32_t count)
{
    if (self->keep.set == NULL || count == 0)
        return;
    tw_seen_set *set = seen_set(self, key);
    seen_put(self, set, seen_find(set, key), key, count, stamp);
}

/* The touch of a key without a row: true when it is admitted by it. */
static bool keep_admits(tw_table *self, uint64_t key, uint64_t tick)
{
    if (self->spec.keep.admit_probability > 0)
        return tw_keep_draw(&self->spec, key, tick);
    if (!self->keep.counts)
        return true;
    tw_seen_set *set = seen_set(self, key);
    unsigned at = seen_find(set, key);
    bool is_known = at < TW_SEEN_KEYS && !tw_keep_is_expired(self, set->stamp[at], tick);
    uint32_t count = is_known ? entry_count(set, at) : 0;
    if (is_known && set->stamp[at] == (uint32_t)tick)
        return false; /* a second time in the same event */
    if (count + 1 >= self->spec.keep.admit_count) {
        seen_remove(self, key);
        return true;
    }
    seen_put(self, set, at, key, count + 1, (uint32_t)tick);
    return false;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

typedef struct kept_row {
    unsigned char *bucket;
    unsigned place;
} kept_row;

/* True: the key has a row at `tick`. A row that has expired may be found all the same. */
static inline bool keep_find(const tw_table *self, uint64_t key, uint64_t tick, kept_row *out, bool *is_there)
{
    *is_there = key != 0 && tw_segment_locate(tw_segment_of(self, key), self->stride, key, &out->bucket, &out->place);
    if (!*is_there || !self->keep.expires)
        return *is_there;
    return !tw_keep_is_expired(self, *tw_bucket_stamp(out->bucket, out->place, self->row_size), tick);
}

/* Before the row or its stamp changes. */
static inline void keep_save(const tw_table *self, uint64_t key, const kept_row *row)
{
    tw_segment *segment = tw_segment_of(self, key);
    if (segment->area != NULL)
        tw_area_keep(segment->area, row->bucket, self->stride);
    if (segment->touched == NULL)
        return;
    uint64_t index = tw_segment_index(segment, key); /* hardly ever does it lie in another bucket */
    if (segment->bytes + index * self->stride != row->bucket)
        index = (uint64_t)(row->bucket - segment->bytes) / self->stride;
    tw_touch(self->touched, &segment->touched[index], row->place);
}

static inline void *keep_stamp(const tw_table *self, const kept_row *row, uint64_t tick)
{
    if (self->is_stamped)
        *tw_bucket_stamp(row->bucket, row->place, self->row_size) = (uint32_t)tick;
    return tw_bucket_row(row->bucket, row->place, self->row_size);
}

/* A row for a key that has none at this tick. */
static tw_status keep_make(tw_table *self, uint64_t key, bool is_there, kept_row *row, bool *has_moved, tw_error *error)
{
    tw_keeper *keep = &self->keep;
    if (is_there) {
        keep->n_expired++;
    } else {
        uint32_t slot = tw_key_slot(key);
        if (keep->room > 0 && tw_keep_make_room(self, slot))
            *has_moved = true;
        tw_status status = tw_segment_insert(self, key, &row->bucket, &row->place, has_moved, error);
        if (status < 0)
            return status;
        if (keep->slot_rows != NULL)
            keep->slot_rows[slot]++;
    }
    keep_save(self, key, row);
    tw_table_initial(self, key, tw_bucket_row(row->bucket, row->place, self->row_size));
    return TW_STATUS_OK;
}

static inline void keep_prefetch(const tw_table *self, uint64_t key)
{
    const tw_segment *segment = tw_segment_of(self, key);
    uint64_t index = tw_segment_index(segment, key);
    const unsigned char *bucket = segment->bytes + index * self->stride;
    if (segment->touched != NULL)
        __builtin_prefetch(&segment->touched[index], 1);
    __builtin_prefetch(bucket, 1);
    __builtin_prefetch(bucket + TW_BUCKET_KEY_BYTES, 1);
    __builtin_prefetch(bucket + self->stride - sizeof(uint32_t), 1);
}

static tw_status key_is_zero(uint32_t i, tw_error *error)
{
    return tw_error_set(error, TW_STATUS_INVALID, "table: key 0 at position %u: keys must not be 0", i);
}

/* Rows that lie elsewhere since they were found; scratch stays where it is. */
static void find_again(const tw_table *self, const uint64_t *key, uint32_t n, void **row)
{
    const unsigned char *scratch = self->scratch;
    for (uint32_t i = 0; i < n; i++) {
        const unsigned char *at = row[i];
        bool is_scratch = at == NULL || (scratch != NULL && at >= scratch && at < scratch + self->scratch_size);
        kept_row found;
        if (!is_scratch &&
            tw_segment_locate(tw_segment_of(self, key[i]), self->stride, key[i], &found.bucket, &found.place))
            row[i] = tw_bucket_row(found.bucket, found.place, self->row_size);
    }
}

static tw_status keep_read(tw_table *self, const uint64_t *key, uint32_t n, void **row, tw_error *error)
{
    uint32_t n_absent = 0;
    void *absent = self->has_constant_rows ? self->initial : NULL;
    for (uint32_t i = 0; i < n + KEEP_AHEAD; i++) {
        if (i < n)
            keep_prefetch(self, key[i]);
        if (i < KEEP_AHEAD)
            continue;
        uint32_t j = i - KEEP_AHEAD;
        kept_row found;
        bool is_there, is_live = keep_find(self, key[j], self->keep.clock, &found, &is_there);
        n_absent += !is_live;
        row[j] = is_live ? tw_bucket_row(found.bucket, found.place, self->row_size) : absent;
    }
    if (n_absent == 0 || absent != NULL)
        return TW_STATUS_OK;
    tw_status status = tw_scratch_begin(self, n, error);
    if (status == TW_STATUS_OK)
        tw_scratch_fill(self, key, n, row);
    return status;
}

tw_status tw_keep_rows(tw_table *self, const uint64_t *key, uint32_t n, tw_access access, void **row, tw_error *error)
{
    if (access == TW_ACCESS_READ)
        return keep_read(self, key, n, row, error);
    bool has_moved = false;
    for (uint32_t i = 0; i < n; i++) {
        if (key[i] == 0)
            return key_is_zero(i, error);
        kept_row found;
        bool is_there;
        if (!keep_find(self, key[i], self->keep.clock, &found, &is_there)) {
            tw_status status = keep_make(self, key[i], is_there, &found, &has_moved, error);
            if (status < 0)
                return status;
            seen_remove(self, key[i]);
        }
        keep_save(self, key[i], &found);
        row[i] = keep_stamp(self, &found, self->keep.clock);
    }
    if (has_moved)
        find_again(self, key, n, row);
    return TW_STATUS_OK;
}

tw_status tw_keep_put(tw_table *self, uint64_t key, uint32_t stamp, void **row, tw_error *error)
{
    kept_row found;
    bool is_there, has_moved = false;
    uint32_t *slot_rows = self->keep.slot_rows != NULL ? &self->keep.slot_rows[tw_key_slot(key)] : NULL;
    (void)keep_find(self, key, self->keep.clock, &found, &is_there);
    if (!is_there) {
        if (slot_rows != NULL && *slot_rows / 2 >= self->keep.room)
            (void)tw_keep_make_room(self, tw_key_slot(key)); /* from a table that has room for more */
        tw_status status = tw_segment_insert(self, key, &found.bucket, &found.place, &has_moved, error);
        if (status < 0)
            return status;
        if (slot_rows != NULL)
            ++*slot_rows;
    }
    keep_save(self, key, &found);
    *row = keep_stamp(self, &found, stamp);
    return TW_STATUS_OK;
}

/* --- a batch in a local table ------------------------------------------------------------------------------------- */

typedef struct batch_learn {
    tw_table *table;
    const tw_batch *batch;
    size_t mask;    /* of the index of scratch */
    bool has_moved; /* rows that were found before */
} batch_learn;

/* Scratch for an entry whose key has no row: one for each key in each event. */
static void *scratch_for(const batch_learn *self, uint32_t entry, uint32_t event)
{
    tw_table *table = self->table;
    const uint64_t *key = self->batch->key;
    size_t at = (size_t)(tw_mix64(key[entry]) & self->mask);
    while (table->scratch_index[at] != 0 && key[table->scratch_index[at] - 1] != key[entry])
        at = (at + 1) & self->mask;
    uint32_t before = table->scratch_index[at];
    if (before == 0 || before - 1 < self->batch->row_start[event]) {
        table->scratch_index[at] = before = entry + 1;
        table->keep.n_refused++;
        tw_table_initial(table, key[entry], table->scratch + (size_t)entry * table->row_size);
    }
    return table->scratch + (size_t)(before - 1) * table->row_size;
}

static tw_status learn_entry(batch_learn *learn, uint32_t entry, uint32_t event, void **row, tw_error *error)
{
    tw_table *self = learn->table;
    uint64_t key = learn->batch->key[entry], tick = self->keep.clock + event;
    kept_row found;
    bool is_there;
    if (key == 0)
        return key_is_zero(entry, error);
    if (!keep_find(self, key, tick, &found, &is_there)) {
        if (!keep_admits(self, key, tick)) {
            *row = scratch_for(learn, entry, event);
            return TW_STATUS_OK;
        }
        tw_status status = keep_make(self, key, is_there, &found, &learn->has_moved, error);
        if (status < 0)
            return status;
    }
    keep_save(self, key, &found);
    *row = keep_stamp(self, &found, tick);
    return TW_STATUS_OK;
}

tw_status tw_table_learn_rows(tw_table *self, const tw_batch *batch, void **row, tw_error *error)
{
    uint32_t n = batch->n_entries, event = 0;
    if (!self->keep.is_on || batch->is_taken_over)
        return tw_table_rows(self, batch->key, n, TW_ACCESS_WRITE, row, error);
    tw_table_begin(self);
    batch_learn learn = {.table = self, .batch = batch, .mask = tw_scratch_places(n) - 1};
    bool admits_all = !self->keep.counts && self->spec.keep.admit_probability == 0;
    tw_status status = admits_all ? TW_STATUS_OK : tw_scratch_begin(self, n, error);
    for (uint32_t i = 0; i < n + KEEP_AHEAD && status == TW_STATUS_OK; i++) {
        if (i < n && batch->key[i] != 0)
            keep_prefetch(self, batch->key[i]);
        if (i < KEEP_AHEAD)
            continue;
        uint32_t j = i - KEEP_AHEAD;
        while (batch->row_start[event + 1] <= j)
            event++;
        status = learn_entry(&learn, j, event, &row[j], error);
    }
    if (status == TW_STATUS_OK && learn.has_moved)
        find_again(self, batch->key, n, row);
    return status;
}

/* --- a shard and its worker --------------------------------------------------------------------------------------- */

static uint32_t ticks_left(const tw_table *self, uint32_t stamp)
{
    if (!self->keep.expires)
        return UINT32_MAX;
    int32_t age = age_of(stamp, self->keep.clock), after = (int32_t)self->spec.keep.expire_after;
    return age > after ? 0 : (uint32_t)(after - (age < 0 ? 0 : age)) + 1;
}

void tw_table_sights(const tw_table *self, const uint64_t *key, uint32_t n, tw_sight *sight)
{
    for (uint32_t i = 0; i < n; i++) {
        kept_row found;
        bool is_there;
        sight[i] = (tw_sight){0, 0};
        if (keep_find(self, key[i], self->keep.clock, &found, &is_there)) {
            uint32_t stamp = self->is_stamped ? *tw_bucket_stamp(found.bucket, found.place, self->row_size) : 0;
            sight[i].left = ticks_left(self, stamp);
            continue;
        }
        const tw_seen_set *set = self->keep.counts ? seen_set(self, key[i]) : NULL;
        unsigned at = set != NULL ? seen_find(set, key[i]) : TW_SEEN_KEYS;
        uint32_t left = at < TW_SEEN_KEYS ? ticks_left(self, set->stamp[at]) : 0;
        if (left > 0)
            sight[i] = (tw_sight){left, entry_count(set, at)};
    }
}

/* Touches of a key that the worker gave no row. */
static void touch_seen(tw_table *self, uint64_t key, const tw_key_touch *touch)
{
    if (!self->keep.counts)
        return;
    tw_seen_set *set = seen_set(self, key);
    unsigned at = seen_find(set, key);
    bool is_known = at < TW_SEEN_KEYS && !tw_keep_is_expired(self, set->stamp[at], self->keep.clock + touch->first);
    uint32_t count = is_known ? entry_count(set, at) : 0;
    seen_put(self, set, at, key, count + touch->count, (uint32_t)(self->keep.clock + touch->last));
}

tw_status tw_table_touch(
    tw_table *self, const uint64_t *key, const tw_key_touch *touch, uint32_t n, void **row, tw_error *error)
{
    bool has_moved = false;
    tw_table_begin(self);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t tick = self->keep.clock + touch[i].first;
        kept_row found;
        bool is_there;
        row[i] = NULL;
        if (key[i] == 0)
            return key_is_zero(i, error);
        bool is_live = keep_find(self, key[i], tick, &found, &is_there);
        if (!is_live && !touch[i].is_admitted)
            continue;
        if (!is_live) {
            tw_status status = keep_make(self, key[i], is_there, &found, &has_moved, error);
            if (status < 0)
                return status;
        }
        keep_save(self, key[i], &found);
        void *there = keep_stamp(self, &found, self->keep.clock + touch[i].last);
        row[i] = touch[i].is_admitted ? there : self->initial;
    }
    for (uint32_t i = 0; i < n; i++) {
        self->keep.n_refused += touch[i].count;
        if (touch[i].is_admitted)
            seen_remove(self, key[i]);
        else if (row[i] == NULL)
            touch_seen(self, key[i], &touch[i]);
        else
            row[i] = NULL; /* another worker's touches have admitted it meanwhile */
    }
    if (has_moved)
        find_again(self, key, n, row);
    return TW_STATUS_OK;
}

void tw_table_tick(tw_table *self, uint64_t n)
{
    uint64_t before = self->keep.clock;
    self->keep.clock += n;
    if (self->is_stamped || self->keep.set != NULL)
        tw_keep_turns(self, before, self->keep.clock);
}

uint64_t tw_table_clock(const tw_table *self)
{
    return self->keep.clock;
}
