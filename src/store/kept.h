/* kept.h: what rows and other units of frozen memory held at the cut. The table's thread notes a unit before it first
 * changes it; the copier copies an area and lays the noted units over its copy. Neither waits for the other:
 *
 *   table's thread: notes the unit, publishes the count of notes, then changes the unit
 *   copier:         copies the area, whatever it reads there, then reads the count
 *
 * so a change that the copier has read was noted before, and its note is laid over it. The copier then closes the
 * area's log, after which nothing of the area is noted. Blocks of closed logs go back to the pool by the table's thread
 * alone, which cannot be in the middle of a note then. Private to this folder. */
#ifndef TW_STORE_KEPT_H
#define TW_STORE_KEPT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tw_area;
struct tw_frozen;

typedef struct tw_kept_block {
    struct tw_kept_block *next;
    uint64_t word[];
} tw_kept_block;

/* Notes of one area: a word that tells the unit, then what it held. */
typedef struct tw_kept_log {
    tw_kept_block *first, *last;
    uint32_t note_words, block_notes; /* words a note, notes a block */
    uint32_t n_last, n_all;           /* notes in the last block, in all; table's thread */
    _Atomic uint32_t n;               /* notes that the copier may read */
    atomic_bool is_closed;
    struct tw_kept_log *next; /* of the closed ones */
} tw_kept_log;

typedef struct tw_kept_pool {
    uint64_t max_bytes;
    _Atomic uint64_t bytes; /* of slabs, and of memory that the table has replaced and the copier still needs */
    uint64_t peak;          /* table's thread, as all that follows but `closed` */
    size_t block_size, slab_size, slab_used;
    unsigned char **slab;
    size_t n_slabs, slab_capacity;
    tw_kept_block *free;
    _Atomic(tw_kept_log *) closed;
} tw_kept_pool;

/* Of an exact table without tw_keep a unit is a row, numbered by bucket and place, with the `word` of the place before
 * it changes (0: there is no key); elsewhere units of area->unit bytes follow each other. */
void tw_area_note_row(struct tw_area *self, uint64_t bucket, unsigned place, uint64_t word, const void *row);

/* Notes the units that [bytes, bytes + size) touches, each once. Not for areas whose units are rows behind keys. */
void tw_area_keep(struct tw_area *self, const void *bytes, size_t size);

/* The table gives up the memory of `self`: true when the caller must release it, else the copier does. */
bool tw_area_replace(struct tw_area *self);

/* The copier: the area as it was at the cut, of a delta's area at least what is wanted; behind the `size` bytes of an
 * exact one the bits of what is wanted, a byte a bucket. Closes its log. False: the snapshot was given up. */
bool tw_area_copy(struct tw_area *self, unsigned char *image);

/* Notes of all areas fit into `max_bytes`; the sizes of their units are set. */
void tw_kept_open(struct tw_frozen *self, uint64_t max_bytes);
/* While nobody notes or copies. */
void tw_kept_free(struct tw_frozen *self);

#endif
