/* json_keys.c: see json_keys.h. The hash of a key is XXH3 of its text, seeded with its parent. */
#include "formats/json_keys.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/alloc.h"
#include "base/hash.h"
#include "data/plan.h"

enum { FIRST_SLOTS = 256, MAX_DEPTH = 80 };

static void keys_clear(tw_json_keys *self)
{
    memset(self->slot, 0, self->n_slots * sizeof *self->slot);
    self->key[TW_JSON_ROOT] = (tw_json_key){.handle = -1};
    self->n_keys = 1;
    self->n_text = 0;
    self->last = TW_JSON_ROOT;
}

tw_status tw_json_keys_init(tw_json_keys *self, tw_plan *plan, tw_error *error)
{
    *self = (tw_json_keys){.plan = plan};
    tw_status status = tw_grow(&self->key, sizeof *self->key, &self->capacity_keys, 64, error);
    if (status < 0)
        return status;
    size_t size = FIRST_SLOTS * sizeof *self->slot;
    self->slot = tw_alloc_zero(size);
    if (!self->slot)
        return tw_no_memory(error, size);
    self->n_slots = FIRST_SLOTS;
    keys_clear(self);
    return TW_STATUS_OK;
}

void tw_json_keys_fini(tw_json_keys *self)
{
    tw_free(self->key);
    tw_free(self->text);
    tw_free(self->slot);
    *self = (tw_json_keys){0};
}

void tw_json_keys_begin(tw_json_keys *self)
{
    if (self->n_keys > TW_JSON_KEYS_MAX || self->n_text > TW_JSON_KEYS_TEXT)
        keys_clear(self);
    self->last = TW_JSON_ROOT;
}

static inline bool same_bytes(const char *stored, const char *at, size_t size, const char *limit)
{
#if defined(__SSE2__)
    if (size <= 16 && limit - at >= 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)stored);
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)at);
        unsigned different = ~(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(a, b));
        return (different & ((1u << size) - 1)) == 0;
    }
#else
    (void)limit;
#endif
    return memcmp(stored, at, size) == 0;
}

uint32_t tw_json_keys_guess(
    const tw_json_keys *self, uint32_t parent, const char *at, const char *end, const char *limit)
{
    uint32_t index = self->key[self->last].next;
    const tw_json_key *key = &self->key[index];
    if (index == 0 || key->parent != parent || key->raw_size == 0 || (size_t)(end - at) < key->raw_size)
        return 0;
    return same_bytes(self->text + key->text_at, at, key->raw_size, limit) ? index : 0;
}

static uint64_t key_hash(uint32_t parent, const char *text, size_t size)
{
    return tw_hash_seeded(text, size, parent);
}

/* The slot that holds the key, or the empty one where it belongs. */
static uint32_t *key_slot(const tw_json_keys *self, uint32_t parent, const char *text, size_t size)
{
    size_t mask = self->n_slots - 1;
    for (size_t i = (size_t)key_hash(parent, text, size) & mask;; i = (i + 1) & mask) {
        const tw_json_key *key = &self->key[self->slot[i]];
        if (self->slot[i] == 0)
            return &self->slot[i];
        if (key->parent == parent && key->size == size && memcmp(self->text + key->text_at, text, size) == 0)
            return &self->slot[i];
    }
}

static tw_status slots_double(tw_json_keys *self, tw_error *error)
{
    size_t n_slots = self->n_slots * 2, size = n_slots * sizeof *self->slot;
    uint32_t *slot = tw_alloc_zero(size);
    if (!slot)
        return tw_no_memory(error, size);
    tw_free(self->slot);
    self->slot = slot;
    self->n_slots = n_slots;
    for (uint32_t i = 1; i < self->n_keys; i++) {
        const tw_json_key *key = &self->key[i];
        *key_slot(self, key->parent, self->text + key->text_at, key->size) = i;
    }
    return TW_STATUS_OK;
}

/* Whether a record can only show these bytes of a key as they are: no escape is needed for them. */
static bool is_raw(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"' || text[i] == '\\' || (unsigned char)text[i] < 0x20 || text[i] == TW_JSON_ELEMENT[0])
            return false;
    }
    return true;
}

static tw_status key_add(tw_json_keys *self, uint32_t parent, const char *text, size_t size, tw_error *error)
{
    if (self->n_text + size + 1 + TW_JSON_PAD > UINT32_MAX)
        return tw_error_set(error, TW_STATUS_INVALID, "the names of a record exceed %u bytes", UINT32_MAX);
    if (self->n_text + size + 1 + TW_JSON_PAD > self->capacity_text) {
        size_t wanted = self->n_text + size + 1 + TW_JSON_PAD;
        tw_status status = tw_grow(&self->text, 1, &self->capacity_text, wanted < 4096 ? 4096 : wanted, error);
        if (status < 0)
            return status;
    }
    if (self->n_keys == self->capacity_keys) {
        tw_status status = tw_grow(&self->key, sizeof *self->key, &self->capacity_keys, self->n_keys + 1, error);
        if (status < 0)
            return status;
    }
    char *copy = self->text + self->n_text;
    if (size)
        memcpy(copy, text, size);
    memset(copy + size, 0, 1 + TW_JSON_PAD);
    copy[size] = '"';
    self->key[self->n_keys++] = (tw_json_key){
        .parent = parent,
        .text_at = (uint32_t)self->n_text,
        .size = (uint32_t)size,
        .raw_size = is_raw(text, size) ? (uint32_t)size + 1 : 0,
        .handle = TW_JSON_UNRESOLVED,
    };
    self->n_text += size + 1;
    return TW_STATUS_OK;
}

tw_status tw_json_keys_find(
    tw_json_keys *self, uint32_t parent, const char *text, size_t size, uint32_t *key, tw_error *error)
{
    uint32_t *slot = key_slot(self, parent, text, size);
    if (*slot == 0) {
        tw_status status = self->n_keys * 2 > self->n_slots ? slots_double(self, error) : TW_STATUS_OK;
        if (status == TW_STATUS_OK)
            status = key_add(self, parent, text, size, error);
        if (status < 0)
            return status;
        slot = key_slot(self, parent, text, size);
        *slot = (uint32_t)self->n_keys - 1;
    }
    *key = *slot;
    self->key[self->last].next = *key;
    self->last = *key;
    return TW_STATUS_OK;
}

/* The keys from the outermost to `key` itself; their number. */
static size_t key_chain(const tw_json_keys *self, uint32_t key, uint32_t *chain)
{
    size_t n = 0, count = 0;
    for (uint32_t i = key; i != TW_JSON_ROOT && n < MAX_DEPTH; i = self->key[i].parent)
        n++;
    for (uint32_t i = key; count < n; i = self->key[i].parent)
        chain[n - ++count] = i;
    return n;
}

/* The dotted name cut to `capacity`; its whole size. */
static size_t key_name(const tw_json_keys *self, uint32_t key, char *name, size_t capacity)
{
    uint32_t chain[MAX_DEPTH];
    size_t n = key_chain(self, key, chain), size = 0;
    for (size_t i = 0; i < n; i++) {
        const tw_json_key *part = &self->key[chain[i]];
        size_t room = size < capacity ? capacity - size : 0;
        if (i > 0 && room > 0) {
            name[size] = '.';
            room--;
        }
        size += i > 0;
        memcpy(name + (room ? size : 0), self->text + part->text_at, part->size < room ? part->size : room);
        size += part->size;
    }
    return size;
}

tw_status tw_json_keys_handle(tw_json_keys *self, uint32_t key, int *handle, tw_error *error)
{
    *handle = self->key[key].handle;
    if (*handle != TW_JSON_UNRESOLVED)
        return TW_STATUS_OK;
    char name[TW_JSON_NAME_MAX];
    size_t size = key_name(self, key, name, sizeof name);
    if (size > sizeof name)
        return tw_error_set(
            error, TW_STATUS_INVALID, "field name of %zu bytes: the limit is %d", size, TW_JSON_NAME_MAX);
    tw_status status = tw_plan_resolve(self->plan, name, size, handle, error);
    if (status == TW_STATUS_OK)
        self->key[key].handle = *handle;
    return status;
}

void tw_json_keys_name(const tw_json_keys *self, uint32_t key, char *name, size_t capacity)
{
    size_t size = key_name(self, key, name, capacity - 1);
    name[size < capacity ? size : capacity - 1] = 0;
}
