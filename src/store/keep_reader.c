/* What row files say of admission, expiry and eviction, back into tables. */
#include "store/loader.h"
#include "store/spec.h"

enum { SEEN_SIZE = 16, SEEN_SETS_MAX = 1 << 24 };

static tw_status bad(const tw_loader *self, const tw_section_view *section, tw_error *error, const char *what)
{
    return tw_error_set(error, TW_STATUS_CORRUPT, "%s: section %s at byte %llu: %s", self->path,
        tw_section_type_name(section->type), (unsigned long long)section->offset, what);
}

static bool is_of_table(const tw_loader *self, uint64_t key)
{
    uint64_t slot = key >> (64 - TW_SLOT_BITS);
    return slot >= self->table->first_slot && slot <= self->table->last_slot;
}

/* Ages are differences of 32 bits, but the files of a chain may lie further apart. */
bool tw_loader_stamp(const tw_loader *self, uint32_t *stamp)
{
    enum { PASSED_MAX = INT32_MAX };
    if (!self->is_below || self->now <= self->clock)
        return true;
    uint64_t passed = self->now - self->clock;
    int64_t age = (int64_t)(passed < PASSED_MAX ? passed : PASSED_MAX) + (int32_t)((uint32_t)self->clock - *stamp);
    uint64_t after = self->spec.keep.expire_after;
    if (after > 0 && age > (int64_t)after)
        return false;
    if (age > TW_KEEP_MAX_AGE)
        *stamp = (uint32_t)self->now - TW_KEEP_MAX_AGE;
    return true;
}

static tw_status visit_keep(tw_loader *self, const tw_section_view *section, tw_error *error)
{
    if (section->length != TW_KEEP_BYTES)
        return bad(self, section, error, "its length is wrong");
    tw_wire_in in = {.bytes = section->payload, .size = (size_t)section->length};
    uint64_t clock = self->clock = tw_wire_get(&in, 8);
    tw_keep_decode(&self->spec.keep, &in);
    if (self->is_applying)
        self->table->keep.clock = clock > self->table->keep.clock ? clock : self->table->keep.clock;
    return TW_STATUS_OK;
}

static void use_count(tw_loader *self, uint64_t key, uint32_t stamp, uint32_t count)
{
    if (is_of_table(self, key) && tw_loader_stamp(self, &stamp))
        tw_keep_load_seen(self->table, key, stamp, count);
}

static tw_status visit_seen(tw_loader *self, const tw_section_view *section, tw_error *error)
{
    uint64_t sets_a_slot = section->index;
    if (section->length / SEEN_SIZE != section->count || section->length % SEEN_SIZE != 0)
        return bad(self, section, error, "its length does not fit its count");
    if (sets_a_slot > SEEN_SETS_MAX || (sets_a_slot > 0 && self->chain.n_files == 0))
        return bad(self, section, error, "its sets are not valid");
    for (uint64_t i = 0; i < section->count; i++) {
        const unsigned char *at = section->payload + i * SEEN_SIZE;
        uint64_t key = tw_wire_u64(at), slot = key >> (64 - TW_SLOT_BITS), set = key << TW_SLOT_BITS >> TW_SLOT_BITS;
        uint32_t stamp = tw_wire_u32(at + 8), count = tw_wire_u32(at + 12);
        bool is_set = sets_a_slot > 0 && count == 0;
        bool is_good = is_set ? slot >= section->first_slot && slot <= section->last_slot && set < sets_a_slot
                              : tw_loader_has_key(self, section, key);
        if (!is_good)
            return bad(self, section, error, "a key in it is out of range");
        if (self->is_applying && !is_set)
            use_count(self, key, stamp, count);
        else if (self->is_applying && is_of_table(self, key))
            tw_keep_void_seen(self->table, (uint32_t)slot, set, sets_a_slot);
    }
    return TW_STATUS_OK;
}

/* Of slots that this file or a newer one replaces, nothing of the files below is there. */
static tw_status visit_gone(tw_loader *self, const tw_section_view *section, tw_error *error)
{
    if (section->length / 8 != section->count || section->length % 8 != 0)
        return bad(self, section, error, "its length does not fit its count");
    if (self->chain.n_files == 0 || self->spec.kind != TW_TABLE_EXACT)
        return bad(self, section, error, "there are no rows below");
    for (uint64_t i = 0; i < section->count; i++) {
        uint64_t key = tw_wire_u64(section->payload + i * 8);
        if (!tw_loader_has_key(self, section, key))
            return bad(self, section, error, "a key in it is out of range");
        bool is_here = self->is_applying && is_of_table(self, key);
        if (is_here && (self->newest == NULL || self->newest[tw_key_slot(key)] < self->at))
            tw_keep_remove(self->table, key);
    }
    return TW_STATUS_OK;
}

tw_status tw_loader_visit_keep(tw_loader *self, const tw_section_view *section, tw_error *error)
{
    if (section->type == TW_SECTION_KEEP)
        return visit_keep(self, section, error);
    return section->type == TW_SECTION_SEEN ? visit_seen(self, section, error) : visit_gone(self, section, error);
}
