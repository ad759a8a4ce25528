/* arena.h: many small allocations that end together. Memory is 16-byte aligned and uninitialised. One thread at a time.
 */
#ifndef TW_BASE_ARENA_H
#define TW_BASE_ARENA_H

#include <stddef.h>

typedef struct tw_arena_block tw_arena_block;

/* Zeroed is empty. */
typedef struct tw_arena {
    tw_arena_block *last; /* the block that is being filled; blocks before it hang on it */
} tw_arena;

/* NULL when memory is short, or for size 0; what was given before stays. */
void *tw_arena_alloc(tw_arena *self, size_t size);

/* Ends all allocations but keeps the largest block for the next ones. */
void tw_arena_reset(tw_arena *self);

void tw_arena_fini(tw_arena *self);

#endif
