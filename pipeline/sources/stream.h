/* stream.h: the bytes of one file, decompressed on the way if its first bytes are those of gzip or zstd.
 *
 * Offsets are of uncompressed bytes. Concatenated gzip members and several zstd frames are one stream. Memory is
 * bounded whatever the file says: decoding is piecewise, zstd windows above 128 MiB are refused. Regular files are read
 * by position, so the same file may grow while it is open. Thread rule: one thread per object. */
#ifndef TW_SOURCES_STREAM_H
#define TW_SOURCES_STREAM_H

#include <stddef.h>

#include "base/file.h"
#include "thalweg/status.h"

typedef enum tw_stream_kind { TW_STREAM_UNKNOWN, TW_STREAM_PLAIN, TW_STREAM_GZIP, TW_STREAM_ZSTD } tw_stream_kind;

typedef struct tw_stream tw_stream;

/* "-" is standard input, which is never closed. NOT_FOUND, IO (a directory, no permission), NO_MEMORY. */
TW_MUST_USE tw_status tw_stream_open(const char *path, tw_stream **out, tw_error *error);
void tw_stream_close(tw_stream **self); /* NULL-safe */

/* Up to `size` bytes from the current offset, at least one unless the end is reached. 0: no more bytes now; a regular
 * file may have more later. CORRUPT names the file, the byte in it and the uncompressed byte. */
TW_MUST_USE tw_status tw_stream_read(tw_stream *self, void *bytes, size_t size, size_t *n_read, tw_error *error);

/* Regular files only (UNSUPPORTED otherwise). Backwards in a compressed file decodes again from its start. NOT_FOUND
 * when a compressed file ends before `offset`; a plain file is not asked for its size. */
TW_MUST_USE tw_status tw_stream_seek(tw_stream *self, uint64_t offset, tw_error *error);

/* After a read of 0 bytes: CORRUPT when the file ends inside a compressed member or frame. */
TW_MUST_USE tw_status tw_stream_check_end(const tw_stream *self, tw_error *error);

/* Bytes as they are in the file, without moving. Regular files only. */
TW_MUST_USE tw_status tw_stream_peek_raw(
    const tw_stream *self, uint64_t offset, void *bytes, size_t size, size_t *n_read, tw_error *error);

/* Offset of the first line that begins at or behind `at`; the file's size if none does. Regular plain files only. */
TW_MUST_USE tw_status tw_stream_line_start(const tw_stream *self, uint64_t at, uint64_t *out, tw_error *error);

/* Size, device and inode of the open file. */
TW_MUST_USE tw_status tw_stream_info(const tw_stream *self, tw_file_info *info, tw_error *error);

/* Whether a read would not block; always true for regular files. */
TW_MUST_USE tw_status tw_stream_wait(tw_stream *self, int timeout_ms, bool *is_ready, tw_error *error);

uint64_t tw_stream_raw_offset(const tw_stream *self); /* bytes of the file consumed so far */

/* The kind that the first bytes of a file tell; UNKNOWN when `size` bytes are too few to decide. */
tw_stream_kind tw_stream_kind_from(const void *bytes, size_t size);

#endif
