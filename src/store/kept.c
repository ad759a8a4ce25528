#include "store/kept.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "store/internal.h"
#include "store/segment.h"

enum { KEPT_BLOCK = 4096, KEPT_SLAB = 1 << 20, KEPT_POLL_US = 200 };

static const uint64_t kept_absent = (uint64_t)1 << 63;

/* --- memory */

void tw_kept_open(tw_frozen *self, uint64_t max_bytes)
{
    tw_kept_pool *pool = &self->kept;
    size_t block = KEPT_BLOCK;
    for (size_t i = 0; i < self->n_areas; i++) {
        tw_area *area = &self->area[i];
        area->log.note_words = (uint32_t)(1 + (area->unit + 7) / 8);
        size_t least = sizeof(tw_kept_block) + (size_t)area->log.note_words * 8;
        block = least > block ? least : block;
    }
    for (size_t i = 0; i < self->n_areas; i++) {
        tw_kept_log *log = &self->area[i].log;
        log->block_notes = (uint32_t)((block - sizeof(tw_kept_block)) / 8 / log->note_words);
        log->n_last = log->block_notes;
    }
    pool->max_bytes = max_bytes;
    pool->block_size = (block + 7) / 8 * 8;
    pool->slab_size = max_bytes / 16 < KEPT_SLAB ? (size_t)(max_bytes / 16) : KEPT_SLAB;
    pool->slab_size = pool->slab_size > pool->block_size ? pool->slab_size : pool->block_size;
    pool->slab_used = pool->slab_size;
}

void tw_kept_free(tw_frozen *self)
{
    tw_kept_pool *pool = &self->kept;
    for (size_t i = 0; i < pool->n_slabs; i++)
        tw_unmap_pages(pool->slab[i], pool->slab_size);
    atomic_fetch_sub(&pool->bytes, pool->n_slabs * pool->slab_size);
    tw_free(pool->slab);
    pool->slab = NULL;
    pool->free = NULL;
    pool->n_slabs = pool->slab_capacity = 0;
    pool->slab_used = pool->slab_size;
}

static void pool_take_closed(tw_kept_pool *self)
{
    tw_kept_log *log = atomic_exchange_explicit(&self->closed, NULL, memory_order_acquire);
    for (; log != NULL; log = log->next) {
        if (log->first == NULL)
            continue;
        log->last->next = self->free;
        self->free = log->first;
        log->first = log->last = NULL;
    }
}

static void pool_charge(tw_kept_pool *self, uint64_t bytes)
{
    uint64_t all = atomic_fetch_add(&self->bytes, bytes) + bytes;
    self->peak = all > self->peak ? all : self->peak;
}

/* False: no more time is left in this batch, the snapshot is given up. */
static bool wait_for_room(tw_frozen *self)
{
    if (tw_clock_monotonic_us() < self->stall_until_us) {
        tw_clock_sleep_us(KEPT_POLL_US);
        return true;
    }
    atomic_store(&self->is_over, true);
    atomic_store(&self->is_failed, true);
    return false;
}

static bool has_room(const tw_kept_pool *self, uint64_t bytes)
{
    return atomic_load(&self->bytes) + bytes <= self->max_bytes;
}

static bool pool_grow(tw_frozen *frozen)
{
    tw_kept_pool *self = &frozen->kept;
    tw_status status = tw_grow(&self->slab, sizeof *self->slab, &self->slab_capacity, self->n_slabs + 1, NULL);
    unsigned char *slab = status < 0 ? NULL : tw_map_pages(self->slab_size);
    if (slab == NULL) {
        atomic_store(&frozen->is_failed, true); /* the snapshot is lost, learning goes on */
        return false;
    }
    pool_charge(self, self->slab_size);
    self->slab[self->n_slabs++] = slab;
    self->slab_used = 0;
    return true;
}

/* NULL: the snapshot is given up, or the copier has closed `log` meanwhile. */
static tw_kept_block *pool_take(tw_frozen *frozen, tw_kept_log *log)
{
    tw_kept_pool *self = &frozen->kept;
    for (;;) {
        if (self->free == NULL)
            pool_take_closed(self);
        if (atomic_load(&frozen->is_failed) || atomic_load_explicit(&log->is_closed, memory_order_acquire))
            return NULL;
        if (self->free != NULL) {
            tw_kept_block *block = self->free;
            self->free = block->next;
            return block;
        }
        if (self->slab_used + self->block_size <= self->slab_size) {
            tw_kept_block *block = (tw_kept_block *)(void *)(self->slab[self->n_slabs - 1] + self->slab_used);
            self->slab_used += self->block_size;
            return block;
        }
        if (has_room(self, self->slab_size) ? !pool_grow(frozen) : !wait_for_room(frozen))
            return NULL;
    }
}

/* --- notes */

static bool log_extend(tw_area *area)
{
    tw_kept_log *self = &area->log;
    tw_kept_block *block = pool_take(area->frozen, self);
    if (block == NULL)
        return false;
    block->next = NULL;
    if (self->first == NULL)
        self->first = block;
    else
        self->last->next = block;
    self->last = block;
    self->n_last = 0;
    return true;
}

static inline bool is_closed(const tw_area *self)
{
    return atomic_load_explicit(&self->log.is_closed, memory_order_acquire);
}

static inline void area_note(tw_area *area, uint64_t unit, const void *bytes, size_t size)
{
    tw_kept_log *self = &area->log;
    if (self->n_last == self->block_notes && !log_extend(area))
        return;
    uint64_t *note = self->last->word + (size_t)self->n_last++ * self->note_words;
    note[0] = unit;
    memcpy(note + 1, bytes, size);
    atomic_store_explicit(&self->n, ++self->n_all, memory_order_release);
    atomic_thread_fence(memory_order_release); /* the change comes after the count */
}

void tw_area_note_row(tw_area *self, uint64_t bucket, unsigned place, uint64_t word, const void *row)
{
    bool is_wanted = self->interval == 0 || (word & TW_WORD_INTERVAL) == self->interval;
    if (is_wanted && !is_closed(self))
        area_note(self, (bucket * TW_BUCKET_KEYS + place) | (word == 0 ? kept_absent : 0), row, self->unit);
}

/* In a delta's area: true where the unit belongs to it, or of a bucket one of its places. */
static bool unit_is_wanted(const tw_area *self, size_t unit)
{
    if (self->touched == NULL)
        return true;
    if (self->kind == TW_AREA_EXACT) /* beside the copier, which clears the bits of an area that it has closed */
        return __atomic_load_n(&self->touched[unit], __ATOMIC_RELAXED) != 0;
    return (self->touched[unit / 8] >> unit % 8 & 1) != 0;
}

void tw_area_keep(tw_area *self, const void *bytes, size_t size)
{
    if (is_closed(self))
        return;
    size_t offset = (size_t)((const unsigned char *)bytes - self->live);
    size_t last = (offset + size - 1) / self->unit;
    for (size_t unit = offset / self->unit; unit <= last; unit++) {
        uint8_t *noted = &self->noted[unit / 8];
        if ((*noted >> unit % 8 & 1) != 0 || !unit_is_wanted(self, unit))
            continue;
        *noted |= (uint8_t)(1u << unit % 8);
        size_t start = unit * self->unit, left = self->size - start;
        area_note(self, unit, self->live + start, left < self->unit ? left : self->unit);
    }
}

static bool is_copied(tw_area *self)
{
    return (atomic_load(&self->owners) & TW_AREA_COPIED) != 0;
}

/* Whoever reads the memory has told so before it looked whether the snapshot is given up. */
static bool is_abandoned(const tw_area *self)
{
    return atomic_load(&self->frozen->is_failed) && atomic_load(&self->frozen->copying) != self;
}

bool tw_area_replace(tw_area *self)
{
    tw_frozen *frozen = self->frozen;
    while (!is_copied(self) && !has_room(&frozen->kept, self->size) && !atomic_load(&frozen->is_failed)) {
        if (!wait_for_room(frozen))
            break;
    }
    if (is_copied(self) || is_abandoned(self)) {
        atomic_store(&self->owners, TW_AREA_REPLACED | TW_AREA_COPIED);
        return true;
    }
    pool_charge(&frozen->kept, self->size);
    if ((atomic_fetch_or(&self->owners, TW_AREA_REPLACED) & TW_AREA_COPIED) == 0)
        return false;
    atomic_fetch_sub(&frozen->kept.bytes, self->size);
    return true;
}

/* --- the copier */

/* The table's thread may write to these words meanwhile: what is read of them then is laid over with a note. */
__attribute__((no_sanitize("thread"))) static void copy_words(
    unsigned char *restrict to, const unsigned char *restrict from, size_t size)
{
    typedef uint64_t __attribute__((may_alias)) word;
    for (size_t i = 0; i < size; i += sizeof(word))
        *(word *)(void *)(to + i) = __atomic_load_n((const word *)(const void *)(from + i), __ATOMIC_RELAXED);
}

/* Of a delta's area only buckets, or eights of rows, with something wanted. */
static void copy_wanted(const tw_area *self, unsigned char *image)
{
    size_t step = self->kind == TW_AREA_EXACT ? self->frozen->table->stride : self->unit * 8;
    for (size_t i = 0, start = 0; start < self->size; i++, start += step) {
        if (self->touched[i] != 0)
            copy_words(image + start, self->live + start, self->size - start < step ? self->size - start : step);
    }
}

/* Bit i: the row at place i was last written to in the area's interval. */
static unsigned places_of_interval(const tw_area *self, unsigned char *bucket)
{
    const uint64_t *words = tw_bucket_words(bucket);
    unsigned bits = 0;
    for (unsigned i = 0; i < TW_BUCKET_KEYS; i++)
        bits |= (unsigned)((words[i] & TW_WORD_INTERVAL) == self->interval) << i;
    return bits;
}

/* Of a delta's area all words, and rows of buckets of which some are wanted. */
static void copy_interval(const tw_area *self, unsigned char *image)
{
    size_t stride = self->frozen->table->stride;
    for (size_t start = 0; start < self->size && self->n_wanted > 0; start += stride) {
        copy_words(image + start, self->live + start, TW_BUCKET_KEY_BYTES);
        if (places_of_interval(self, image + start) != 0)
            copy_words(image + start + TW_BUCKET_KEY_BYTES, self->live + start + TW_BUCKET_KEY_BYTES,
                stride - TW_BUCKET_KEY_BYTES);
    }
}

/* Bits of the places with that interval, behind the image. */
static void list_interval(const tw_area *self, unsigned char *image)
{
    size_t stride = self->frozen->table->stride, n = self->size / stride;
    for (size_t b = 0; b < n; b++)
        image[self->size + b] =
            self->n_wanted > 0 ? (unsigned char)places_of_interval(self, image + b * stride) : (unsigned char)0;
}

static void lay_over(const tw_area *self, unsigned char *image, const uint64_t *note)
{
    uint64_t unit = note[0] & ~kept_absent;
    if (self->noted != NULL) {
        size_t start = unit * self->unit, left = self->size - start;
        memcpy(image + start, note + 1, left < self->unit ? left : self->unit);
        return;
    }
    unsigned char *bucket = image + unit / TW_BUCKET_KEYS * self->frozen->table->stride;
    unsigned place = (unsigned)(unit % TW_BUCKET_KEYS);
    uint64_t *word = &tw_bucket_words(bucket)[place];
    *word = (note[0] & kept_absent) != 0 ? 0 : (*word & ~TW_WORD_INTERVAL) | self->interval;
    memcpy(tw_bucket_row(bucket, place, (uint32_t)self->unit), note + 1, self->unit);
}

static void lay_notes_over(tw_area *self, unsigned char *image)
{
    const tw_kept_log *log = &self->log;
    uint32_t left = atomic_load_explicit(&log->n, memory_order_acquire);
    const tw_kept_block *block = left > 0 ? log->first : NULL;
    while (left > 0) {
        uint32_t n = left < log->block_notes ? left : log->block_notes;
        for (uint32_t i = 0; i < n; i++)
            lay_over(self, image, block->word + (size_t)i * log->note_words);
        left -= n;
        block = left > 0 ? block->next : NULL;
    }
}

static void log_close(tw_kept_pool *pool, tw_kept_log *log)
{
    atomic_store(&log->is_closed, true);
    log->next = atomic_load(&pool->closed);
    while (!atomic_compare_exchange_weak(&pool->closed, &log->next, log))
        ;
}

/* They lie in memory that the table may get back now. It may still look at them for a note, which nobody reads any
 * more. */
static void take_bits(tw_area *self, unsigned char *image)
{
    size_t n = self->taken == NULL ? 0 : self->size / self->frozen->table->stride;
    if (self->touched != NULL && n > 0)
        memcpy(image + self->size, self->taken, n);
    for (size_t b = 0; b < n; b++)
        __atomic_store_n(&self->taken[b], 0, __ATOMIC_RELAXED);
    self->is_clean = n > 0;
}

bool tw_area_copy(tw_area *self, unsigned char *image)
{
    tw_frozen *frozen = self->frozen;
    atomic_store(&frozen->copying, self);
    if (atomic_load(&frozen->is_failed))
        return false;
    if (self->interval != 0)
        copy_interval(self, image);
    else if (self->touched != NULL)
        copy_wanted(self, image);
    else
        copy_words(image, self->live, self->size);
    atomic_thread_fence(memory_order_acquire); /* the count comes after the copy */
    lay_notes_over(self, image);
    atomic_store(&frozen->copying, NULL);
    if (atomic_load(&frozen->is_failed))
        return false;
    if (self->interval != 0)
        list_interval(self, image);
    else if (self->kind == TW_AREA_EXACT)
        take_bits(self, image);
    log_close(&frozen->kept, &self->log);
    if (atomic_fetch_or(&self->owners, TW_AREA_COPIED) & TW_AREA_REPLACED) {
        tw_page_pool_give(frozen->table->pages, self->live, tw_segment_memory(frozen->table, self->size));
        atomic_fetch_sub(&frozen->kept.bytes, self->size);
    }
    return true;
}
