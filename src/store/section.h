/* section.h: the file form of row files and manifests, little-endian. Format version 2; version 1, which has no deltas,
 * is read as well.
 *
 * file:     header (40 bytes), sections, the last one of type END, nothing behind it
 * header:   "THALWEG\n", u32 format version, u32 0x01020304, u32 kind, u32 0, u64 schema hash,
 *           u64 XXH3-64 of these 32 bytes
 * section:  u32 0x54434553, u32 type, u64 payload bytes, u64 index, u64 count, u32 first slot, u32 last slot,
 *           payload, u64 XXH3-64 of all of it
 * END:      count = number of sections before it; payload: u64 total of rows, u64 offset of each section */
#ifndef TW_STORE_SECTION_H
#define TW_STORE_SECTION_H

#include "base/hash.h"
#include "store/table.h"
#include "store/wire.h"

enum {
    TW_STORE_FORMAT_VERSION = 2,
    TW_STORE_FORMAT_OLDEST = 1, /* that is read */
    TW_SECTION_HEADER_SIZE = 40,
    TW_STORE_HEADER_SIZE = 40,
    TW_STORE_PATH_SIZE = 4096
};

typedef enum tw_store_kind { TW_STORE_ROWS = 1, TW_STORE_MANIFEST = 2 } tw_store_kind;

typedef enum tw_section_type {
    TW_SECTION_END = 1,
    TW_SECTION_SPEC = 2,
    TW_SECTION_MARKS = 3,
    TW_SECTION_EVENTS = 4, /* count: events; of a row file also index: epoch, first slot 1: it is of no checkpoint */
    TW_SECTION_BLOCK = 5,  /* index: block; pairs of u64 record index, record */
    TW_SECTION_ROWS = 6,   /* pairs of u64 key, row */
    TW_SECTION_INFO = 7,
    TW_SECTION_SPLITS = 8,
    TW_SECTION_FILES = 9,
    TW_SECTION_USER = 10,
    TW_SECTION_CHAIN = 11,   /* of a delta: see chain.h */
    TW_SECTION_STAMPED = 12, /* rows with their last touch: u64 key, row, u32 stamp */
    TW_SECTION_KEEP = 13,    /* tw_keep and the clock, of a table that has them */
    /* Keys without a row: u64 key, u32 stamp, u32 count. Of a delta index: sets that a slot has; count 0: what follows
     * replaces set `key & 2^52 - 1` of the slot `key >> 52`. */
    TW_SECTION_SEEN = 14,
    TW_SECTION_GONE = 15, /* of a delta: u64 keys whose rows in the files below are void; before all rows */
} tw_section_type;

typedef struct tw_section_view {
    tw_section_type type;
    uint64_t offset, length, index, count;
    uint32_t first_slot, last_slot;
    const unsigned char *payload; /* [length], borrowed for the call */
} tw_section_view;

/* Writes `path` under a temporary name until finish. A row file has one of its own and replaces nothing (CONFLICT): a
 * process that was taken over from may be writing here too. Fill `body` by tw_section_begin, tw_section_room and
 * tw_section_end. */
typedef struct tw_section_writer {
    int fd;
    bool is_new;
    char path[TW_STORE_PATH_SIZE], temporary[TW_STORE_PATH_SIZE], directory[TW_STORE_PATH_SIZE];
    unsigned char *body;
    size_t body_size, body_capacity;
    tw_section_view header; /* of the section at hand */
    uint64_t offset, n_rows;
    uint64_t *section_offset;
    size_t n_sections, section_capacity;
    XXH3_state_t *hash;
} tw_section_writer;

/* `reserve`: bytes to reserve on the disk first; 0: none. */
TW_MUST_USE tw_status tw_section_writer_open(tw_section_writer *self,
    const char *directory,
    const char *name,
    tw_store_kind kind,
    uint64_t schema_hash,
    uint64_t reserve,
    tw_error *error);
void tw_section_begin(tw_section_writer *self, tw_section_type type, uint64_t index);
/* Room for `size` more payload bytes in out->bytes at out->size; put what you write, then set body_size. */
TW_MUST_USE tw_status tw_section_append(tw_section_writer *self, const void *bytes, size_t size, tw_error *error);
TW_MUST_USE tw_status tw_section_room(tw_section_writer *self, size_t size, tw_error *error);
TW_MUST_USE tw_status tw_section_end(tw_section_writer *self, tw_error *error);
/* Ends, syncs and renames the file; `out` (NULL allowed) gets size, checksum and rows, not the name. */
TW_MUST_USE tw_status tw_section_writer_finish(tw_section_writer *self, tw_row_file *out, tw_error *error);
/* Releases everything; an unfinished file is removed. */
void tw_section_writer_close(tw_section_writer *self);

/* Reads a file section by section, as bytes: `next` may be called by several threads in turn, each with a buffer of its
 * own, and `check` by all of them at once. Zero it first; release with close. */
typedef struct tw_section_reader {
    int fd;
    const char *path; /* borrowed */
    uint64_t size, offset, n_rows, schema_hash;
    uint64_t *section_offset;
    size_t n_sections, section_capacity;
    XXH3_state_t *hash;
} tw_section_reader;

typedef struct tw_section_buffer {
    unsigned char *bytes;
    size_t capacity;
} tw_section_buffer;

TW_MUST_USE tw_status tw_section_reader_open(
    tw_section_reader *self, const char *path, tw_store_kind kind, tw_error *error);
/* END: that was the last one, the index at the end is right and nothing follows. */
TW_MUST_USE tw_status tw_section_reader_next(
    tw_section_reader *self, tw_section_buffer *buffer, tw_section_view *out, tw_error *error);
/* CORRUPT: the section's checksum does not match. */
TW_MUST_USE tw_status tw_section_check(const tw_section_reader *self, const tw_section_view *section, tw_error *error);
/* After END: size, checksum and rows of the file. */
void tw_section_reader_sum(const tw_section_reader *self, tw_row_file *out);
void tw_section_reader_close(tw_section_reader *self);

typedef tw_status (*tw_section_visit)(void *context, const tw_section_view *section, tw_error *error);

/* Reads all sections, each checked before it is visited; CORRUPT names file, section and offset. `out` gets size,
 * checksum and rows; only when the call is OK is the file whole. A visitor that returns IDLE ends the reading there. */
TW_MUST_USE tw_status tw_sections_read(const char *path,
    tw_store_kind kind,
    uint64_t *schema_hash,
    tw_section_visit visit,
    void *context,
    tw_row_file *out,
    tw_error *error);

/* Not of the head of a row file: blocks, rows and what else may be many. */
bool tw_section_is_body(tw_section_type type);
const char *tw_section_type_name(tw_section_type type);

/* "directory/name"; INVALID when too long. */
TW_MUST_USE tw_status tw_store_path(
    char path[TW_STORE_PATH_SIZE], const char *directory, const char *name, tw_error *error);

/* What counts as rows in the totals of a file. */
static inline bool tw_section_has_rows(tw_section_type type)
{
    return type == TW_SECTION_ROWS || type == TW_SECTION_STAMPED;
}

/* The spec as the payload of a SPEC section; tw_keep is none of it. */
TW_MUST_USE tw_status tw_spec_write(tw_section_writer *out, const tw_table_spec *spec, tw_error *error);
TW_MUST_USE tw_status tw_spec_read(tw_table_spec *spec, const tw_section_view *section, tw_error *error);

#endif
