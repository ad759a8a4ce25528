/* loader.h: one row file on its way into a table, section by section (row_reader.c), and many sections at once
 * (bulk.c).
 */
#ifndef TW_STORE_LOADER_H
#define TW_STORE_LOADER_H

#include "store/internal.h"
#include "store/section.h"

typedef struct tw_loader {
    const char *path, *name;
    tw_table *table; /* NULL: only verify */
    bool is_applying, has_spec;
    bool is_below; /* it is a file that a delta stands on: its marks and events are void */
    tw_chain chain;
    uint8_t at;            /* its place in the chain */
    const uint8_t *newest; /* [TW_N_SLOTS] the last place in the chain that replaces the slot; NULL: no chain */
    tw_table_spec spec;
    uint32_t first_slot, last_slot;
    uint64_t events;
    uint64_t clock; /* ticks, of a file with tw_keep */
    uint64_t now;   /* is_below: the clock of the file that stands on it */
    tw_row_origin origin;
    tw_mark *mark; /* [n_marks], of the file */
    size_t n_marks;
} tw_loader;

static inline bool tw_loader_has_key(const tw_loader *self, const tw_section_view *section, uint64_t key)
{
    uint64_t slot = key >> (64 - TW_SLOT_BITS);
    if (slot < section->first_slot || slot > section->last_slot)
        return false;
    return self->spec.kind == TW_TABLE_HASHED ? (key << self->spec.bits) == 0 : key != 0;
}

/* keep_reader.c: sections that only tables with tw_keep have, as tw_loader_visit. */
TW_MUST_USE tw_status tw_loader_visit_keep(tw_loader *self, const tw_section_view *section, tw_error *error);
/* keep_reader.c: a stamp of a file that a delta stands on, at the delta's clock. False: it has expired until then, and
 * the delta does not say so. */
bool tw_loader_stamp(const tw_loader *self, uint32_t *stamp);

/* Checks a section, and with is_applying puts what it holds into the table. */
TW_MUST_USE tw_status tw_loader_visit(void *loader, const tw_section_view *section, tw_error *error);
/* After the last section: the file is of its schema, and the one that `file` (NULL: any) tells of. */
TW_MUST_USE tw_status tw_loader_check(
    const tw_loader *self, uint64_t schema_hash, const tw_row_file *file, const tw_row_file *found, tw_error *error);
/* The marks of the file against those that the table has of the files before it (cut.c): CONFLICT names a split. */
TW_MUST_USE tw_status tw_loader_check_marks(const tw_loader *self, tw_error *error);
TW_MUST_USE tw_status tw_loader_take_marks(tw_loader *self, tw_error *error);
/* The table takes marks and events. */
TW_MUST_USE tw_status tw_loader_finish(tw_loader *self, tw_error *error);
void tw_loader_free(tw_loader *self); /* NULL-safe; the struct itself too */

/* Verifies a file of which only the name is known; `out` tells of it. */
TW_MUST_USE tw_status tw_row_file_sum(const char *directory, const char *name, tw_row_file *out, tw_error *error);

/* Loads files into an empty exact table, each read once, rows laid out segment by segment on several threads. After an
 * error the table is of no use any more. */
bool tw_bulk_is_possible(const tw_table *table);
TW_MUST_USE tw_status tw_bulk_load(
    tw_table *table, const char *directory, const tw_row_file *file, uint32_t n_files, tw_error *error);
/* The same of one file, of which nothing is known but its name. */
TW_MUST_USE tw_status tw_bulk_load_any(tw_table *table, const char *directory, const char *name, tw_error *error);

#endif
