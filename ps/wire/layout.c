#include "ps/wire/layout.h"

#include <string.h>

#include "base/alloc.h"
#include "ps/wire/frame.h"
#include "store/spec.h"
#include "store/table.h"

enum { HELLO_FIXED = 48, HELLO_WORKER = 24, HELLO_FRESH = 1, HELLO_OTHER_KEEP = 2 };

tw_status tw_block_places(const tw_schema *schema,
    uint32_t first_slot,
    uint32_t last_slot,
    tw_block_place **out,
    uint32_t *n_places,
    tw_error *error)
{
    size_t capacity = 0, n = 0;
    *out = NULL;
    *n_places = 0;
    for (uint32_t b = 0; b < schema->n_blocks; b++) {
        const tw_block *block = &schema->block[b];
        for (uint32_t r = 0; r < block->count; r++) {
            uint32_t slot = tw_key_slot(tw_block_key(block->name, r));
            if (slot < first_slot || slot > last_slot)
                continue;
            tw_status status = tw_grow(out, sizeof **out, &capacity, n + 1, error);
            if (status < 0) {
                tw_free(*out);
                *out = NULL;
                return status;
            }
            (*out)[n++] = (tw_block_place){b, r, block->record.size};
        }
    }
    *n_places = (uint32_t)n;
    return TW_STATUS_OK;
}

static void hello_put_worker(const tw_round_member *self, unsigned char *at)
{
    tw_put_u32(at, self->index);
    tw_put_u32(at + 4, self->count);
    tw_put_u32(at + 8, self->staleness);
    tw_put_u32(at + 12, 0);
    tw_put_u64(at + 16, self->birth);
}

/* Fixed part: role u32, flags u32 (1 fresh, 2 other tw_keep), index u32, count u32, kind u32, bits u32, seed u64,
 * max_bytes u64, name size u32, schema size u32; then name and schema; then, from one of several workers, index u32,
 * count u32, staleness u32, zero u32, birth u64; then tw_keep where it is on. */
tw_status tw_hello_encode(const tw_hello *self, tw_buffer *out, tw_error *error)
{
    size_t name_size = strlen(self->name), schema_size = tw_schema_encode(&self->spec.schema, NULL, 0);
    size_t worker_size = self->worker.count > 0 ? HELLO_WORKER : 0;
    size_t keep_size = tw_keep_is_on(&self->spec) ? TW_KEEP_SIZE : 0;
    unsigned char *at = tw_buffer_reserve(out, HELLO_FIXED + name_size + schema_size + worker_size + keep_size, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    tw_put_u32(at, (uint32_t)self->role);
    tw_put_u32(at + 4, (self->is_fresh ? HELLO_FRESH : 0u) | (self->takes_other_keep ? HELLO_OTHER_KEEP : 0u));
    tw_put_u32(at + 8, self->index);
    tw_put_u32(at + 12, self->count);
    tw_put_u32(at + 16, (uint32_t)self->spec.kind);
    tw_put_u32(at + 20, self->spec.bits);
    tw_put_u64(at + 24, self->spec.hash_seed);
    tw_put_u64(at + 32, self->spec.max_bytes);
    tw_put_u32(at + 40, (uint32_t)name_size);
    tw_put_u32(at + 44, (uint32_t)schema_size);
    memcpy(at + HELLO_FIXED, self->name, name_size);
    at += HELLO_FIXED + name_size;
    (void)tw_schema_encode(&self->spec.schema, at, schema_size);
    if (worker_size > 0)
        hello_put_worker(&self->worker, at + schema_size);
    tw_wire_out keep = {.bytes = at + schema_size + worker_size};
    if (keep_size > 0)
        tw_keep_encode(&self->spec.keep, &keep);
    return TW_STATUS_OK;
}

tw_status tw_hello_decode(tw_hello *self, const unsigned char *bytes, size_t size, tw_error *error)
{
    memset(self, 0, sizeof *self);
    if (size < HELLO_FIXED)
        return tw_error_set(error, TW_STATUS_PROTOCOL, "HELLO of %zu bytes is shorter than %d", size, HELLO_FIXED);
    uint32_t role = tw_get_u32(bytes), kind = tw_get_u32(bytes + 16);
    uint64_t name_size = tw_get_u32(bytes + 40), schema_size = tw_get_u32(bytes + 44);
    if (role < TW_ROLE_OWNER || role > TW_ROLE_READER || tw_get_u32(bytes + 4) > (HELLO_FRESH | HELLO_OTHER_KEEP))
        return tw_error_set(error, TW_STATUS_PROTOCOL, "HELLO with unknown role %u", role);
    uint64_t known_size = HELLO_FIXED + name_size + schema_size, tail_size = size - known_size;
    bool has_worker = tail_size == HELLO_WORKER || tail_size == HELLO_WORKER + TW_KEEP_SIZE;
    bool has_keep = tail_size == TW_KEEP_SIZE || tail_size == HELLO_WORKER + TW_KEEP_SIZE;
    if (name_size == 0 || name_size >= sizeof self->name || size < known_size ||
        (tail_size != 0 && !has_worker && !has_keep))
        return tw_error_set(error, TW_STATUS_PROTOCOL, "HELLO whose name or schema does not fit its %zu bytes", size);
    self->role = (tw_role)role;
    self->is_fresh = (tw_get_u32(bytes + 4) & HELLO_FRESH) != 0;
    self->takes_other_keep = (tw_get_u32(bytes + 4) & HELLO_OTHER_KEEP) != 0;
    self->index = tw_get_u32(bytes + 8);
    self->count = tw_get_u32(bytes + 12);
    self->spec.bits = tw_get_u32(bytes + 20);
    self->spec.hash_seed = tw_get_u64(bytes + 24);
    self->spec.max_bytes = tw_get_u64(bytes + 32);
    memcpy(self->name, bytes + HELLO_FIXED, (size_t)name_size);
    if (has_worker) {
        const unsigned char *at = bytes + known_size;
        self->worker = (tw_round_member){tw_get_u32(at), tw_get_u32(at + 4), tw_get_u32(at + 8), tw_get_u64(at + 16)};
    }
    if (kind != TW_TABLE_EXACT && kind != TW_TABLE_HASHED)
        return tw_error_set(error, TW_STATUS_PROTOCOL, "HELLO with unknown table kind %u", kind);
    self->spec.kind = (tw_table_kind)kind;
    if (kind == TW_TABLE_HASHED && (self->spec.bits < TW_SLOT_BITS || self->spec.bits > 31))
        return tw_error_set(error, TW_STATUS_PROTOCOL, "HELLO with %u table bits", self->spec.bits);
    tw_wire_in keep = {.bytes = bytes + size - TW_KEEP_SIZE, .size = TW_KEEP_SIZE};
    if (has_keep)
        tw_keep_decode(&self->spec.keep, &keep);
    return tw_schema_decode(&self->spec.schema, bytes + HELLO_FIXED + name_size, (size_t)schema_size, error);
}
