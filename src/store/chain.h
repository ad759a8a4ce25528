/* chain.h: what a delta stands on. A delta is a row file that holds only the rows that changed since the snapshot
 * before it; its section "chain" names every file below it, the base first, with size and checksum, and the slots whose
 * rows it replaces as a whole: there, what the files below hold is void. Marks, events and blocks are those of the
 * newest file alone. */
#ifndef TW_STORE_CHAIN_H
#define TW_STORE_CHAIN_H

#include "base/file.h"
#include "data/key.h"
#include "store/section.h"

enum { TW_CHAIN_MAX = TW_DELTAS_MAX }; /* files below a delta */

typedef struct tw_chain {
    uint32_t n_files; /* 0: a base */
    tw_row_file file[TW_CHAIN_MAX];
    unsigned char replaced[TW_N_SLOTS / 8]; /* a bit a slot */
    uint64_t clock;                         /* of the file itself, if it was peeked at; no part of the section */
} tw_chain;

static inline bool tw_chain_replaces(const tw_chain *self, uint64_t slot)
{
    return (self->replaced[slot / 8] >> (slot % 8) & 1) != 0;
}

TW_MUST_USE tw_status tw_chain_write(tw_section_writer *out, const tw_chain *self, tw_error *error);
TW_MUST_USE tw_status tw_chain_read(tw_chain *self, const tw_section_view *section, tw_error *error);

/* Reads the head of a row file, up to its chain; what follows is not verified. */
TW_MUST_USE tw_status tw_chain_peek(const char *directory, const char *name, tw_chain *out, tw_error *error);

#endif
