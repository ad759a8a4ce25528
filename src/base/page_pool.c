#define _GNU_SOURCE
#include "base/page_pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size)   ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

#include "base/alloc.h"
#include "base/fault.h"

enum {
    POOL_PAGE = 4096,
    POOL_SMALL = 2048, /* smaller runs are no business of the pool */
    POOL_HUGE_PAGE = 2 << 20,
    POOL_CHUNK = 256 << 20, /* of addresses; pages come with the runs */
    POOL_GAP_MAX = 8 << 20, /* a gap of so many bytes does not keep its pages */
    POOL_POPULATE = 23,     /* MADV_POPULATE_WRITE; where it is unknown, pages come when they are written to */
};

/* [fresh, bytes + size) was never taken: zero, and without pages as yet. On small pages no gap has any. */
typedef struct pool_chunk {
    unsigned char *bytes, *fresh;
    size_t size;
    bool is_huge;
} pool_chunk;

typedef struct pool_gap {
    unsigned char *bytes;
    size_t size;
} pool_gap;

struct tw_page_pool {
    pthread_mutex_t mutex;
    pool_chunk *chunk; /* [n_chunks] */
    size_t n_chunks, chunk_capacity;
    pool_gap *gap; /* [n_gaps] by address; none reaches from one chunk into the next */
    size_t n_gaps, gap_capacity, n_runs;
    uint64_t mapped;
    size_t first; /* of the chunk on small pages */
};

tw_page_pool *tw_page_pool_create(size_t first)
{
    tw_page_pool *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return NULL;
    self->first = first;
    (void)pthread_mutex_init(&self->mutex, NULL);
    return self;
}

static void chunk_unmap(pool_chunk *chunk)
{
    ASAN_UNPOISON_MEMORY_REGION(chunk->bytes, chunk->size);
    tw_unmap_pages(chunk->bytes, chunk->size);
}

void tw_page_pool_destroy(tw_page_pool **self)
{
    if (self == NULL || *self == NULL)
        return;
    tw_page_pool *pool = *self;
    for (size_t i = 0; i < pool->n_chunks; i++)
        chunk_unmap(&pool->chunk[i]);
    (void)pthread_mutex_destroy(&pool->mutex);
    tw_free(pool->chunk);
    tw_free(pool->gap);
    tw_free(pool);
    *self = NULL;
}

static size_t rounded(size_t size, size_t unit)
{
    return (size + unit - 1) / unit * unit;
}

/* --- gaps */

/* Place of the first gap that does not lie before `bytes`. */
static size_t gap_place(const tw_page_pool *self, const unsigned char *bytes)
{
    size_t low = 0, high = self->n_gaps;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->gap[middle].bytes < bytes)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void gap_remove(tw_page_pool *self, size_t at)
{
    self->n_gaps--;
    memmove(self->gap + at, self->gap + at + 1, (self->n_gaps - at) * sizeof *self->gap);
}

/* There is room for it. */
static void gap_insert(tw_page_pool *self, size_t at, unsigned char *bytes, size_t size)
{
    memmove(self->gap + at + 1, self->gap + at, (self->n_gaps - at) * sizeof *self->gap);
    self->gap[at] = (pool_gap){bytes, size};
    self->n_gaps++;
}

/* Index of the chunk that it lies in. */
static size_t chunk_of(const tw_page_pool *self, const unsigned char *bytes)
{
    size_t i = 0;
    while (bytes < self->chunk[i].bytes || bytes >= self->chunk[i].bytes + self->chunk[i].size)
        i++;
    return i;
}

/* Chunks are large, since runs cannot lie across two. */
static bool pool_map(tw_page_pool *self, size_t size)
{
    bool is_huge = self->n_chunks > 0;
    size_t wanted = is_huge ? POOL_CHUNK : self->first;
    wanted = rounded(wanted > size ? wanted : size, POOL_HUGE_PAGE);
    if (tw_grow(&self->chunk, sizeof *self->chunk, &self->chunk_capacity, self->n_chunks + 1, NULL) < 0)
        return false;
    unsigned char *bytes = tw_map_pages(wanted);
    if (bytes == NULL)
        return false;
    if (!is_huge)
        (void)madvise(bytes, wanted, MADV_NOHUGEPAGE);
    ASAN_POISON_MEMORY_REGION(bytes, wanted);
    self->chunk[self->n_chunks++] = (pool_chunk){bytes, bytes, wanted, is_huge};
    self->mapped += wanted;
    gap_insert(self, gap_place(self, bytes), bytes, wanted);
    return true;
}

/* A gap ends at a run or at the end of its chunk, so that there are never more: giving needs no memory. */
static bool reserve_gaps(tw_page_pool *self)
{
    size_t most = self->n_runs + self->n_chunks + 2;
    return tw_grow(&self->gap, sizeof *self->gap, &self->gap_capacity, most, NULL) == TW_STATUS_OK;
}

/* --- take */

/* The lowest one in the oldest chunk: the system maps later ones below those, and what lies in them is not to stay
 * there. n_gaps: none is large enough. */
static size_t gap_for(const tw_page_pool *self, size_t size)
{
    size_t best = self->n_gaps, oldest = self->n_chunks;
    for (size_t i = 0; i < self->n_gaps && oldest > 0; i++) {
        size_t chunk = self->gap[i].size < size ? oldest : chunk_of(self, self->gap[i].bytes);
        best = chunk < oldest ? i : best;
        oldest = chunk < oldest ? chunk : oldest;
    }
    return best;
}

/* The run [bytes, *fresh) has been used before, [*fresh, bytes + size) has not. NULL: no memory. */
static unsigned char *take_run(tw_page_pool *self, size_t size, unsigned char **fresh)
{
    if (!reserve_gaps(self) || (gap_for(self, size) == self->n_gaps && !pool_map(self, size)))
        return NULL;
    size_t at = gap_for(self, size);
    unsigned char *bytes = self->gap[at].bytes;
    self->gap[at].bytes += size;
    self->gap[at].size -= size;
    if (self->gap[at].size == 0)
        gap_remove(self, at);
    self->n_runs++;
    pool_chunk *chunk = &self->chunk[chunk_of(self, bytes)];
    *fresh = chunk->fresh < bytes || !chunk->is_huge ? bytes : chunk->fresh;
    if (*fresh >= bytes + size)
        *fresh = bytes + size;
    else if (chunk->is_huge)
        chunk->fresh = bytes + size;
    return bytes;
}

void *tw_page_pool_take(tw_page_pool *self, size_t size)
{
    if (size < POOL_SMALL || size > SIZE_MAX / 2)
        return size > SIZE_MAX / 2 ? NULL : tw_alloc_aligned(64, size);
    if (tw_fault_hit(TW_FAULT_ALLOC))
        return NULL;
    size_t run = rounded(size, POOL_PAGE);
    unsigned char *fresh = NULL;
    (void)pthread_mutex_lock(&self->mutex);
    unsigned char *bytes = take_run(self, run, &fresh);
    (void)pthread_mutex_unlock(&self->mutex);
    if (bytes == NULL)
        return NULL;
    ASAN_UNPOISON_MEMORY_REGION(bytes, size);
    size_t n_used = (size_t)(fresh - bytes);
    memset(bytes, 0, n_used < size ? n_used : size);
    if (n_used < run)
        (void)madvise(fresh, run - n_used, POOL_POPULATE);
    return bytes;
}

/* --- give */

static bool is_adjacent(const tw_page_pool *self, size_t low, size_t high)
{
    return self->gap[low].bytes + self->gap[low].size == self->gap[high].bytes &&
           chunk_of(self, self->gap[low].bytes) == chunk_of(self, self->gap[high].bytes);
}

/* Joins the gap with its neighbours; its place then. */
static size_t gap_join(tw_page_pool *self, size_t at)
{
    if (at + 1 < self->n_gaps && is_adjacent(self, at, at + 1)) {
        self->gap[at].size += self->gap[at + 1].size;
        gap_remove(self, at + 1);
    }
    if (at == 0 || !is_adjacent(self, at - 1, at))
        return at;
    self->gap[at - 1].size += self->gap[at].size;
    gap_remove(self, at);
    return at - 1;
}

/* The huge pages that lie within a large gap, or the mapping that is one. */
static void gap_release(tw_page_pool *self, size_t at)
{
    pool_gap gap = self->gap[at];
    size_t index = chunk_of(self, gap.bytes);
    pool_chunk *chunk = &self->chunk[index];
    if (gap.size == chunk->size) {
        self->mapped -= chunk->size;
        gap_remove(self, at);
        chunk_unmap(chunk);
        *chunk = self->chunk[--self->n_chunks];
        return;
    }
    size_t ahead = rounded((uintptr_t)gap.bytes, POOL_HUGE_PAGE) - (uintptr_t)gap.bytes;
    if (gap.size >= POOL_GAP_MAX && chunk->is_huge)
        (void)madvise(gap.bytes + ahead, (gap.size - ahead) / POOL_HUGE_PAGE * POOL_HUGE_PAGE, MADV_DONTNEED);
}

void tw_page_pool_give(tw_page_pool *self, void *memory, size_t size)
{
    if (memory == NULL || size < POOL_SMALL) {
        tw_free(memory);
        return;
    }
    size_t run = rounded(size, POOL_PAGE);
    (void)pthread_mutex_lock(&self->mutex);
    ASAN_POISON_MEMORY_REGION(memory, run);
    if (!self->chunk[chunk_of(self, memory)].is_huge)
        (void)madvise(memory, run, MADV_DONTNEED);
    size_t at = gap_place(self, memory);
    gap_insert(self, at, memory, run);
    self->n_runs--;
    gap_release(self, gap_join(self, at));
    (void)pthread_mutex_unlock(&self->mutex);
}

/* --- move */

/* Of the gap, what was taken before; the rest has no pages. */
static size_t gap_used(const tw_page_pool *self, const pool_gap *gap)
{
    const pool_chunk *chunk = &self->chunk[chunk_of(self, gap->bytes)];
    size_t used = chunk->fresh <= gap->bytes ? 0 : (size_t)(chunk->fresh - gap->bytes);
    return used < gap->size ? used : gap->size;
}

/* What closing the gap gains: with one run alone before the next gap, the size of both gaps; 0: nothing lies behind. */
static size_t gain_of(const tw_page_pool *self, size_t at, size_t most)
{
    const pool_gap *gap = &self->gap[at], *next = gap + 1;
    const pool_chunk *chunk = &self->chunk[chunk_of(self, gap->bytes)];
    const unsigned char *end = gap->bytes + gap->size, *last = chunk->bytes + chunk->size;
    if (end == last || !chunk->is_huge)
        return 0;
    bool is_followed = at + 1 < self->n_gaps && next->bytes > end && next->bytes < last;
    return is_followed && (size_t)(next->bytes - end) <= most ? gap->size + next->size : 1;
}

bool tw_page_pool_is_scattered(tw_page_pool *self, size_t most, void **from)
{
    uint64_t gaps = 0, unused = 0;
    size_t best = 0, most_gain = 0;
    (void)pthread_mutex_lock(&self->mutex);
    for (size_t i = 0; i < self->n_gaps; i++) {
        size_t used = gap_used(self, &self->gap[i]), gain = gain_of(self, i, most);
        gaps += used;
        unused += self->gap[i].size - used;
        best = gain > most_gain ? i : best;
        most_gain = gain > most_gain ? gain : most_gain;
    }
    bool is_scattered = most_gain > 0 && gaps > (self->mapped - unused - gaps) / 16;
    if (is_scattered)
        *from = self->gap[best].bytes + self->gap[best].size;
    (void)pthread_mutex_unlock(&self->mutex);
    return is_scattered;
}

/* True: the gap at `at` ends where the run begins. */
static bool is_before(const tw_page_pool *self, size_t at, const unsigned char *run)
{
    const pool_gap *gap = &self->gap[at];
    return gap->bytes + gap->size == run && chunk_of(self, gap->bytes) == chunk_of(self, run);
}

void *tw_page_pool_move(tw_page_pool *self, void *from, size_t size)
{
    size_t run = rounded(size, POOL_PAGE);
    unsigned char *to = from;
    (void)pthread_mutex_lock(&self->mutex);
    size_t behind = gap_place(self, from);
    if (behind > 0 && is_before(self, behind - 1, from)) {
        pool_gap *gap = &self->gap[behind - 1];
        to = gap->bytes;
        ASAN_UNPOISON_MEMORY_REGION(to, gap->size);
        memmove(to, from, size);
        gap->bytes += run;
        ASAN_POISON_MEMORY_REGION(gap->bytes, gap->size);
        gap_release(self, gap_join(self, behind - 1));
    }
    (void)pthread_mutex_unlock(&self->mutex);
    return to;
}

uint64_t tw_page_pool_mapped(tw_page_pool *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    uint64_t mapped = self->mapped;
    (void)pthread_mutex_unlock(&self->mutex);
    return mapped;
}
