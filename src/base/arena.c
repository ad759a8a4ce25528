#include "base/arena.h"

#include <stdint.h>

#include "base/alloc.h"

enum { ARENA_ALIGNMENT = 16 };

static const size_t first_block = (size_t)16 << 10, largest_block = (size_t)1 << 20;

struct tw_arena_block {
    tw_arena_block *before;
    size_t size, used; /* bytes behind the head */
    _Alignas(ARENA_ALIGNMENT) unsigned char bytes[];
};

/* A block with room for `size` bytes, twice as large as the last one up to the largest step. */
static tw_arena_block *arena_grow(tw_arena *self, size_t size)
{
    size_t wanted = self->last == NULL ? first_block : self->last->size * 2;
    wanted = wanted > largest_block ? largest_block : wanted;
    wanted = wanted < size ? size : wanted;
    tw_arena_block *block = tw_alloc_aligned(ARENA_ALIGNMENT, sizeof *block + wanted);
    if (block == NULL)
        return NULL;
    block->before = self->last;
    block->size = wanted;
    block->used = 0;
    self->last = block;
    return block;
}

void *tw_arena_alloc(tw_arena *self, size_t size)
{
    if (size == 0 || size > SIZE_MAX / 2)
        return NULL;
    size_t rounded = (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    tw_arena_block *block = self->last;
    if (block == NULL || block->size - block->used < rounded)
        block = arena_grow(self, rounded);
    if (block == NULL)
        return NULL;
    void *memory = block->bytes + block->used;
    block->used += rounded;
    return memory;
}

void tw_arena_reset(tw_arena *self)
{
    tw_arena_block *kept = NULL;
    for (tw_arena_block *block = self->last; block != NULL;) {
        tw_arena_block *before = block->before;
        tw_arena_block *smaller = kept != NULL && kept->size >= block->size ? block : kept;
        kept = smaller == block ? kept : block;
        tw_free(smaller);
        block = before;
    }
    self->last = kept;
    if (kept != NULL) {
        kept->before = NULL;
        kept->used = 0;
    }
}

void tw_arena_fini(tw_arena *self)
{
    for (tw_arena_block *block = self->last; block != NULL;) {
        tw_arena_block *before = block->before;
        tw_free(block);
        block = before;
    }
    self->last = NULL;
}
