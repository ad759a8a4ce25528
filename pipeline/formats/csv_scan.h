/* csv_scan.h: where the records and cells of a CSV text end (RFC 4180).
 *
 * 64 bytes at a time become a bit mask of delimiters, quotes and line feeds; the ends of the cells are taken from its
 * bits. Nothing is copied, and a record is either complete or untouched. Thread rule: one thread per object. */
#ifndef TW_FORMATS_CSV_SCAN_H
#define TW_FORMATS_CSV_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TW_CSV_DOUBLED (1u << 31) /* flag of a cell's end: the cell has doubled quotes */

enum { TW_CSV_RECORD_MAX = 1 << 30 }; /* bytes of a record; ends of cells are kept in 31 bits */

typedef struct tw_csv_layout {
    char delimiter, quote; /* quote 0: none */
    uint32_t n_columns;    /* cells to store; a record may have more or fewer */
    uint32_t *cell_end; /* [n_columns] offset behind each cell in the record, perhaps with TW_CSV_DOUBLED; owned by the
                           user of the layout */
} tw_csv_layout;

/* Structural bytes of the input from `base` on. */
typedef struct tw_csv_scan {
    const char *base, *limit;
    uint64_t mask; /* bit i: base[i] is a delimiter, quote or line feed not yet taken */
    char delimiter, quote;
} tw_csv_scan;

/* A record located in the input. */
typedef struct tw_csv_record {
    const char *start, *end; /* without the line end */
    const char *next;        /* behind the line end */
    uint64_t n_lines;        /* lines it takes */
    uint32_t n_cells;
    const char *fault;   /* NULL: well-formed */
    const char *problem; /* what is wrong at `fault`; static */
} tw_csv_record;

/* A scan of [at, limit), at < limit. */
tw_csv_scan tw_csv_scan_begin(const tw_csv_layout *layout, const char *at, const char *limit);

/* Locates the record at `start`, where the scan must stand, and moves the scan behind it; stores the ends of its first
 * n_columns cells. False: it is not complete, and more bytes may follow (not is_final). A faulty record ends with the
 * line of its fault; a quote that is never closed takes all bytes. */
bool tw_csv_locate(
    const tw_csv_layout *layout, tw_csv_scan *scan, const char *start, bool is_final, tw_csv_record *record);

#endif
