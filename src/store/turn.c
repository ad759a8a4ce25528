/* What tables with tw_keep do between batches: sweep what has expired, evict what was touched longest ago. Slots take
 * turns by ticks, so that every table that has seen the same events has the same rows. */
#include "base/alloc.h"
#include "store/segment.h"

typedef struct tw_old_row {
    uint64_t key;
    int32_t age;
} tw_old_row;

static inline int32_t age_of(const tw_table *self, uint32_t stamp)
{
    return (int32_t)((uint32_t)self->keep.clock - stamp);
}

/* --- sweep -------------------------------------------------------------------------------------------------------- */

static void row_remove(tw_table *self, tw_segment *segment, unsigned char *bucket, unsigned place)
{
    uint32_t slot = tw_key_slot(tw_word_key(segment->base, tw_bucket_words(bucket)[place]));
    tw_segment_remove(self, segment, bucket, place);
    if (self->keep.slot_rows != NULL)
        self->keep.slot_rows[slot]--;
}

static void sweep_segment(tw_table *self, tw_segment *segment)
{
    int32_t after = self->keep.expires ? (int32_t)self->spec.keep.expire_after : TW_KEEP_MAX_AGE;
    unsigned char *end = segment->bytes + segment->size;
    for (unsigned char *bucket = segment->bytes; bucket < end; bucket += self->stride) {
        const uint64_t *words = tw_bucket_words(bucket);
        for (unsigned i = 0; i < TW_BUCKET_KEYS && words[i] != 0;) {
            uint32_t *stamp = tw_bucket_stamp(bucket, i, self->row_size);
            if (age_of(self, *stamp) <= after) {
                i++;
                continue;
            }
            if (self->keep.expires) {
                row_remove(self, segment, bucket, i); /* another row may take the place: looked at next */
                self->keep.n_expired++;
                continue;
            }
            if (segment->area != NULL)
                tw_area_keep(segment->area, bucket, self->stride);
            *stamp = (uint32_t)self->keep.clock - TW_KEEP_MAX_AGE;
            i++;
        }
    }
}

static void sweep_sets(tw_table *self, uint32_t first, uint32_t last)
{
    tw_keeper *keep = &self->keep;
    int32_t after = keep->expires ? (int32_t)self->spec.keep.expire_after : TW_KEEP_MAX_AGE;
    tw_seen_set *end = keep->set + (size_t)(last + 1 - self->first_slot) * keep->sets_a_slot;
    for (tw_seen_set *set = keep->set + (size_t)(first - self->first_slot) * keep->sets_a_slot; set < end; set++) {
        for (unsigned i = 0; i < TW_SEEN_KEYS; i++) {
            if (set->entry[i] == 0 || age_of(self, set->stamp[i]) <= after)
                continue;
            size_t offset = (size_t)((unsigned char *)set - (unsigned char *)keep->set);
            if (keep->area != NULL)
                tw_area_keep(&keep->area[offset / TW_SEEN_WINDOW], set, sizeof *set);
            set->entry[i] = keep->expires ? 0 : set->entry[i];
            set->stamp[i] = keep->expires ? 0 : (uint32_t)keep->clock - TW_KEEP_MAX_AGE;
        }
    }
}

/* --- eviction ----------------------------------------------------------------------------------------------------- */

/* A goes before b. */
static inline bool is_older(const tw_old_row *a, const tw_old_row *b)
{
    return a->age != b->age ? a->age > b->age : a->key < b->key;
}

static inline void swap(tw_old_row *a, tw_old_row *b)
{
    tw_old_row c = *a;
    *a = *b;
    *b = c;
}

/* The `n` oldest of [count] come first. */
static void select_oldest(tw_old_row *row, uint32_t count, uint32_t n)
{
    uint32_t low = 0, high = count;
    while (low < n && n < high) {
        tw_old_row pivot = row[low + (high - low - 1) / 2]; /* never the last: both parts are shorter */
        uint32_t i = low, j = high - 1;
        for (;;) {
            while (is_older(&row[i], &pivot))
                i++;
            while (is_older(&pivot, &row[j]))
                j--;
            if (i >= j)
                break;
            swap(&row[i++], &row[j--]);
        }
        /* [low, j] are not younger than [j + 1, high). */
        if (n <= j + 1)
            high = j + 1;
        else
            low = j + 1;
    }
}

void tw_keep_remove(tw_table *self, uint64_t key)
{
    unsigned char *bucket;
    unsigned place;
    if (self->segment_of[tw_key_slot(key)] == TW_NO_SEGMENT)
        return;
    tw_segment *segment = tw_segment_of(self, key);
    if (tw_segment_locate(segment, self->stride, key, &bucket, &place))
        row_remove(self, segment, bucket, place);
}

typedef struct turn_slot {
    uint32_t first, count, n_live, n_old; /* of the slot's rows in keep.old; first == UINT32_MAX: not looked at */
} turn_slot;

/* Rows of the slots at hand, slot by slot, without those of the batch at hand. */
static void gather(tw_table *self, const tw_segment *segment, uint32_t first, uint32_t last, turn_slot *slot)
{
    int32_t after = (int32_t)self->spec.keep.expire_after;
    unsigned char *end = segment->bytes + segment->size;
    for (unsigned char *bucket = segment->bytes; bucket < end; bucket += self->stride) {
        const uint64_t *words = tw_bucket_words(bucket);
        for (unsigned i = 0; i < TW_BUCKET_KEYS && words[i] != 0; i++) {
            uint64_t key = tw_word_key(segment->base, words[i]);
            uint32_t at = tw_key_slot(key);
            if (at < first || at > last || slot[at - first].first == UINT32_MAX)
                continue;
            turn_slot *own = &slot[at - first];
            int32_t age = tw_keep_age(self, *tw_bucket_stamp(bucket, i, self->row_size));
            bool is_expired = self->keep.expires && age > after;
            own->n_live += !is_expired;
            if (age > 0)
                self->keep.old[own->first + own->count++] = (tw_old_row){key, age};
        }
    }
}

/* Evicts in the slots [first, last], at most TW_TURN_SLOTS, that have more than `most` rows, down to `rest`. True: rows
 * have moved. Without memory for it nothing is evicted now. */
static bool evict(tw_table *self, uint32_t first, uint32_t last, uint32_t most, uint32_t rest)
{
    tw_keeper *keep = &self->keep;
    turn_slot slot[TW_TURN_SLOTS];
    size_t n = 0;
    for (uint32_t i = first; i <= last; i++) {
        bool is_full = keep->slot_rows[i] > most;
        slot[i - first] = (turn_slot){.first = is_full ? (uint32_t)n : UINT32_MAX};
        n += is_full ? keep->slot_rows[i] : 0;
    }
    if (n == 0 || tw_grow(&keep->old, sizeof *keep->old, &keep->old_capacity, n, NULL) < 0)
        return false;
    for (uint32_t i = first; i <= last; i = self->segment[self->segment_of[i]].last_slot + 1)
        gather(self, &self->segment[self->segment_of[i]], first, last, slot);
    bool has_moved = false;
    for (uint32_t i = first; i <= last; i++) {
        turn_slot *own = &slot[i - first];
        if (own->first == UINT32_MAX)
            continue;
        /* The expired ones are the oldest of all and go in any case. */
        uint32_t n_expired = keep->slot_rows[i] - own->n_live;
        uint32_t n_old = n_expired + (own->n_live > most && own->n_live > rest ? own->n_live - rest : 0);
        n_old = n_old < own->count ? n_old : own->count;
        tw_old_row *row = keep->old + own->first;
        select_oldest(row, own->count, n_old);
        for (uint32_t j = 0; j < n_old; j++) {
            tw_segment *segment = &self->segment[self->segment_of[i]];
            unsigned char *bucket;
            unsigned place;
            if (!tw_segment_locate(segment, self->stride, row[j].key, &bucket, &place))
                continue;
            row_remove(self, segment, bucket, place);
            if (!segment->is_rebuilt)
                tw_touched_gone(self, row[j].key);
        }
        keep->n_expired += n_expired;
        keep->n_evicted += n_old - n_expired;
        has_moved = has_moved || n_old > 0;
    }
    return has_moved;
}

/* What has expired does not count, wherever sweeps have come: two tables with the same live rows evict at the same
 * moment. Where the batch at hand alone fills the slot nothing can go, and it is tried now and then. */
bool tw_keep_make_room(tw_table *self, uint32_t slot)
{
    tw_keeper *keep = &self->keep;
    bool has_moved = false;
    if (keep->slot_rows[slot] < keep->room)
        return false;
    if (keep->expires && keep->slot_swept[slot] != keep->clock) {
        keep->slot_swept[slot] = keep->clock;
        has_moved = evict(self, slot, slot, 0, UINT32_MAX);
        if (keep->slot_rows[slot] < keep->room)
            return has_moved;
    }
    if ((keep->slot_rows[slot] - keep->room) % (keep->room / 8 + 2) != 0)
        return has_moved;
    uint32_t rest = keep->room * 3 / 4;
    return evict(self, slot, slot, rest, rest) || has_moved;
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static void turn_group(tw_table *self, uint32_t group)
{
    uint32_t first = group * TW_TURN_SLOTS, last = first + TW_TURN_SLOTS - 1;
    first = first < self->first_slot ? self->first_slot : first;
    last = last > self->last_slot ? self->last_slot : last;
    if (first > last)
        return;
    if (self->keep.set != NULL)
        sweep_sets(self, first, last);
    if (!self->is_stamped)
        return;
    for (size_t i = self->segment_of[first]; i < self->n_segments;
         i = self->segment_of[self->segment[i].last_slot + 1]) {
        tw_segment *segment = &self->segment[i];
        if (segment->first_slot >= first && segment->count > 0)
            sweep_segment(self, segment);
        if (segment->last_slot >= last)
            break;
    }
    if (self->keep.room > 0)
        (void)evict(self, first, last, self->keep.room * 7 / 8, self->keep.room * 3 / 4);
}

void tw_keep_turns(tw_table *self, uint64_t before, uint64_t after)
{
    uint64_t turn = self->keep.turn, n = after / turn - before / turn;
    for (uint64_t i = n < TW_TURN_GROUPS ? n : TW_TURN_GROUPS; i > 0; i--)
        turn_group(self, (uint32_t)((after / turn - i + 1) % TW_TURN_GROUPS));
}
