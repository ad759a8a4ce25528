/* The keeper of a table with tw_keep, set up: its checks, the memory of its counts, how many rows a slot may have and
 * how often it turns. */
#include "base/alloc.h"
#include "store/internal.h"

enum {
    KEEP_ADMIT_BYTES = 12 << 20, /* of counts, where the spec does not say */
    KEEP_TURN_MIN = 16,          /* ticks between two turns */
    KEEP_TURN_MAX = 1 << 16,
    KEEP_MIN_ROOM = 16,   /* rows a slot */
    KEEP_WIDE_PLACE = 128 /* bytes; segments of wider rows are half empty, as segment.c makes them */
};

static tw_status keep_check(const tw_table_spec *spec, tw_error *error)
{
    const tw_keep *keep = &spec->keep;
    if (spec->kind != TW_TABLE_EXACT)
        return tw_error_set(
            error, TW_STATUS_INVALID, "table: admission, expiry and eviction are for exact tables only");
    if (keep->admit_count > TW_ADMIT_COUNT_MAX || !(keep->admit_probability >= 0 && keep->admit_probability <= 1))
        return tw_error_set(error, TW_STATUS_INVALID,
            "table: admission by count %u or probability %g: at most %d, and 0 to 1", keep->admit_count,
            keep->admit_probability, TW_ADMIT_COUNT_MAX);
    if (keep->expire_after > TW_EXPIRE_MAX)
        return tw_error_set(error, TW_STATUS_INVALID, "table: expiry after %llu events: at most %d",
            (unsigned long long)keep->expire_after, TW_EXPIRE_MAX);
    if (keep->evicts && spec->max_bytes == 0)
        return tw_error_set(error, TW_STATUS_INVALID, "table: eviction needs max_bytes");
    return TW_STATUS_OK;
}

static bool spec_counts(const tw_table_spec *spec)
{
    return spec->keep.admit_probability <= 0 && spec->keep.admit_count > 1;
}

static uint32_t spec_sets_a_slot(const tw_table_spec *spec)
{
    uint64_t bytes = spec->keep.admit_bytes != 0 ? spec->keep.admit_bytes : KEEP_ADMIT_BYTES;
    uint64_t sets = bytes / ((uint64_t)TW_N_SLOTS * sizeof(tw_seen_set));
    return sets < 1 ? 1 : sets > 1 << 24 ? 1 << 24 : (uint32_t)sets;
}

/* Sets of the slots that the table holds. */
static tw_status seen_init(tw_table *self, tw_error *error)
{
    tw_keeper *keep = &self->keep;
    keep->sets_a_slot = spec_sets_a_slot(&self->spec);
    keep->n_sets = (size_t)(self->last_slot - self->first_slot + 1) * keep->sets_a_slot;
    keep->set = tw_map_pages(keep->n_sets * sizeof *keep->set);
    if (keep->set == NULL)
        return tw_no_memory(error, keep->n_sets * sizeof *keep->set);
    self->bytes += keep->n_sets * sizeof *keep->set;
    return TW_STATUS_OK;
}

/* Rows that a slot may have, segments being filled as at worst; `least`: max_bytes for KEEP_MIN_ROOM of them. */
static uint32_t spec_room(const tw_table_spec *spec, uint64_t *least)
{
    uint64_t own = spec_counts(spec) ? (uint64_t)spec_sets_a_slot(spec) * TW_N_SLOTS * sizeof(tw_seen_set) : 0;
    for (uint32_t i = 0; i < spec->schema.n_blocks; i++)
        own += (uint64_t)spec->schema.block[i].count * spec->schema.block[i].record.size;
    uint64_t place = TW_BUCKET_KEY_BYTES / TW_BUCKET_KEYS + spec->schema.row.size + sizeof(uint32_t);
    uint64_t left = spec->max_bytes > own ? spec->max_bytes - own : 0, rows = left / place;
    bool is_half_empty = place > KEEP_WIDE_PLACE || rows < (uint64_t)TW_N_SLOTS * KEEP_MIN_ROOM * 4;
    uint64_t room = rows / 100 * (is_half_empty ? 44 : 68) / TW_N_SLOTS;
    *least = own + (place * TW_N_SLOTS * (KEEP_MIN_ROOM + 1) * 100 + 43) / 44;
    return room > UINT32_MAX / 8 ? UINT32_MAX / 8 : (uint32_t)room;
}

static tw_status room_init(tw_table *self, tw_error *error)
{
    uint64_t least;
    self->keep.room = spec_room(&self->spec, &least);
    if (self->keep.room < KEEP_MIN_ROOM)
        return tw_error_set(error, TW_STATUS_INVALID,
            "table: max_bytes %llu is too small to evict rows: at least %llu with these rows, blocks and counts",
            (unsigned long long)self->spec.max_bytes, (unsigned long long)least);
    self->keep.slot_rows = tw_alloc_zero(TW_N_SLOTS * sizeof *self->keep.slot_rows);
    self->keep.slot_swept = tw_alloc_zero(TW_N_SLOTS * sizeof *self->keep.slot_swept);
    bool is_good = self->keep.slot_rows != NULL && self->keep.slot_swept != NULL;
    return is_good ? TW_STATUS_OK : tw_no_memory(error, TW_N_SLOTS * sizeof *self->keep.slot_swept);
}

static uint64_t clamped(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static uint64_t spec_turn(const tw_table_spec *spec, uint32_t room)
{
    uint64_t turn = KEEP_TURN_MAX;
    if (spec->keep.expire_after > 0)
        turn = clamped(spec->keep.expire_after / 4 / TW_TURN_GROUPS, KEEP_TURN_MIN, turn);
    return room > 0 ? clamped(room / 8, KEEP_TURN_MIN, turn) : turn;
}

/* Sizes of the table's rows are known; its segments are not made yet. */
tw_status tw_keeper_init(tw_table *self, tw_error *error)
{
    const tw_keep *spec = &self->spec.keep;
    tw_keeper *keep = &self->keep;
    if (!tw_keep_is_on(&self->spec))
        return TW_STATUS_OK;
    tw_status status = keep_check(&self->spec, error);
    keep->is_on = self->row_size > 0;
    if (status < 0 || !keep->is_on)
        return status;
    keep->expires = spec->expire_after > 0;
    keep->counts = spec_counts(&self->spec);
    self->is_stamped = keep->expires || spec->evicts;
    if (keep->counts)
        status = seen_init(self, error);
    if (status == TW_STATUS_OK && spec->evicts)
        status = room_init(self, error);
    keep->turn = spec_turn(&self->spec, keep->room);
    return status;
}

void tw_keeper_fini(tw_table *self)
{
    if (self->keep.set != NULL)
        tw_unmap_pages(self->keep.set, self->keep.n_sets * sizeof *self->keep.set);
    tw_free(self->keep.slot_rows);
    tw_free(self->keep.slot_swept);
    tw_free(self->keep.old);
}

uint32_t tw_keep_until_turn(const tw_table_spec *spec, uint64_t clock)
{
    uint64_t least, most = spec->keep.expire_after;
    if (spec->keep.evicts && spec->schema.row.size > 0) {
        uint64_t turn = spec_turn(spec, spec_room(spec, &least)), left = turn - clock % turn;
        most = most == 0 || left < most ? left : most;
    }
    return (uint32_t)most;
}
