/* scan.h: finds separator bytes, 64 bytes at a time. Every function has a portable twin; on x86-64 the vector forms are
 * SSE2 (always there) and AVX2 (chosen when the scanner is set up). All give the same answers. */
#ifndef TW_DATA_SCAN_H
#define TW_DATA_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TW_SCAN_BLOCK = 512, TW_SCAN_WORDS = TW_SCAN_BLOCK / 64, TW_SCAN_MAX_BYTES = 8 };

/* Bit i of mask[w] says that text[64 w + i] is one of the set; bits at and behind `size` are 0. size <= TW_SCAN_BLOCK.
 */
typedef void (*tw_scan_function)(const char *text, size_t size, const char *set, uint64_t *mask);

/* `set`: TW_SCAN_MAX_BYTES bytes, unused ones repeat a used one. */
void tw_scan_portable(const char *text, size_t size, const char *set, uint64_t *mask);

/* The fastest of this machine. */
tw_scan_function tw_scan_choose(void);

/* The last `byte` in [text, end); NULL: none. */
const char *tw_scan_last(const char *text, const char *end, char byte);

/* A place among the separators of a text: those of base[0 .. 64) that are still to come. Small enough for registers:
 * a loop over a text keeps its own copy and puts it back into the scanner when it is done. */
typedef struct tw_scan_place {
    const char *base;
    uint64_t bits;
} tw_scan_place;

/* Walks over the separators of a text from left to right. Borrowed text; one thread. */
typedef struct tw_scanner {
    tw_scan_place place;
    const char *block, *end; /* block: the text that mask stands for */
    char set[TW_SCAN_MAX_BYTES];
    tw_scan_function scan;
    uint64_t mask[TW_SCAN_WORDS];
} tw_scanner;

/* `set`: up to TW_SCAN_MAX_BYTES different bytes, not empty. */
void tw_scanner_init(tw_scanner *self, const char *set);

/* From `text` on; end stands for a last separator. */
void tw_scanner_start(tw_scanner *self, const char *text, const char *end);

/* The next place behind `place`, which is used up, that has a separator. */
tw_scan_place tw_scanner_refill(tw_scanner *self, tw_scan_place place);

/* The separator at `place`, which moves on; `end` when there is none. */
static inline const char *tw_scanner_step(tw_scanner *self, tw_scan_place *place)
{
    if (place->bits == 0)
        *place = tw_scanner_refill(self, *place);
    const char *found = place->base + (unsigned)__builtin_ctzll(place->bits);
    place->bits &= place->bits - 1;
    return found;
}

static inline const char *tw_scanner_next(tw_scanner *self)
{
    return tw_scanner_step(self, &self->place);
}

#endif
