/* identity.h: what makes a file the same file after a rename, a restart or a copy.
 *
 * A file is known by its device, its inode and the time it was made, by XXH3 of its head: the first line with its
 * newline, at most 256 bytes (of a compressed file the first 256 bytes as stored), and by XXH3 of its probe: the first
 * 4096 bytes, or as many as there were when it was first seen. Logs with a header line have equal heads; their probes
 * differ. The generation tells apart files that share all of these one after the other: a log truncated in place, or an
 * inode used again. */
#ifndef TW_SOURCES_IDENTITY_H
#define TW_SOURCES_IDENTITY_H

#include "sources/stream.h"
#include "thalweg/source.h"

enum { TW_FILE_HEAD_SIZE = 256, TW_FILE_PROBE_SIZE = 4096 };

typedef struct tw_file_identity {
    uint64_t device, inode, head_hash, probe_hash, generation;
    int64_t born_us;     /* 0: unknown. Tells apart files that had one inode after the other */
    int64_t modified_us; /* when it was first seen; unread rotated files were written later */
    uint32_t head_size;  /* bytes hashed; 0: the file was empty */
    uint32_t probe_size; /* bytes hashed; 0: unknown */
    uint32_t is_whole;   /* the head is a whole line or 256 bytes: it will not grow */
    uint32_t is_pipe;    /* standard input or a pipe: never the same again */
    uint32_t is_packed;  /* compressed */
} tw_file_identity;

/* Identity of the open file with generation 0, and its size now. */
TW_MUST_USE tw_status tw_identity_read(
    const tw_stream *stream, tw_file_identity *out, tw_file_info *info, tw_error *error);

/* Whether `info`, of an open file, has this device, inode and time of birth. */
bool tw_identity_has_inode(const tw_file_identity *identity, const tw_file_info *info);

/* Whether the file behind `stream` starts with the head and the probe that `identity` was made from. */
TW_MUST_USE tw_status tw_identity_has_head(
    const tw_file_identity *identity, const tw_stream *stream, bool *has_head, tw_error *error);

/* XXH3 of head hash, inode, device, generation and time of birth; never 0. */
uint64_t tw_identity_id(const tw_file_identity *identity);
/* Of a stripe of it; never 0. */
uint64_t tw_identity_stripe_id(const tw_file_identity *identity, uint64_t number);

/* To and from the bytes of a checkpoint (little-endian). */
void tw_identity_encode(const tw_file_identity *identity, unsigned char bytes[TW_SPLIT_IDENTITY_SIZE]);
void tw_identity_decode(tw_file_identity *identity, const unsigned char bytes[TW_SPLIT_IDENTITY_SIZE]);

#endif
