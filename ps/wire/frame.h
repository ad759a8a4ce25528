/* frame.h: one message between a worker and a shard: a fixed little-endian header and a body. Pure: bytes in, bytes
 * out. Every count is checked against the bytes that came; header and body have their own XXH3-64.
 *
 * Header, TW_FRAME_HEADER bytes, as offset and field:
 *      0 magic u32             4 version u16        6 type u8           7 flags u8        8 body size u32
 *     12 keys u32             16 model u64         24 sender u64       32 sender epoch u64
 *     40 incarnation u64      48 sequence u64      56 acknowledged u64
 *     64 credit bytes u32     68 credit frames u32
 *     72 marks u16            74 value form u8     75 reason u8        76 first block record u32
 *     80 block records u32    84 clock u32         88 handle u64       96 events learned u64
 *    104 generation u64      112 XXH3-64 of the body                  120 XXH3-64 of bytes 0 .. 119
 *
 * Body: marks (split, from, to: 3 u64 each), keys (u64 each, only with TW_FRAME_HAS_KEYS), then the payload. */
#ifndef TW_PS_FRAME_H
#define TW_PS_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "thalweg/status.h"

enum {
    TW_FRAME_MAGIC = 0x53505754, /* "TWPS" */
    TW_FRAME_VERSION = 1, /* raised when old bytes would be read wrongly; then N reads N-1 too. See tests/golden/wire */
    TW_FRAME_HEADER = 128,
    TW_FRAME_MARK = 24,
    TW_FRAME_MAX_MARKS = 16,
    TW_PEER_SIZE = 64,        /* a peer's id at a ROUTER, at most */
    TW_FRAME_CHUNK = 1 << 20, /* bytes of values that one pull asks for, or one scan frame carries */
    TW_FRAME_HAS_KEYS = 1,    /* the body names the keys; without it `handle` names the key list of an earlier pull */
    TW_FRAME_MORE = 2,        /* PUSH: staged until the frame without it; SCANNED: more frames follow */
    TW_FRAME_DUPLICATE = 4,   /* ACK: the range was applied before; LOG_ACK: send again what came after */
};

typedef enum tw_frame_type {
    TW_FRAME_HELLO = 1,
    TW_FRAME_WELCOME = 2,
    TW_FRAME_PULL = 3,
    TW_FRAME_PULLED = 4,
    TW_FRAME_PUSH = 5,
    TW_FRAME_ACK = 6,
    TW_FRAME_NACK = 7,
    TW_FRAME_BARRIER = 8,      /* handle: snapshot id; ACKed once the cut is taken */
    TW_FRAME_BARRIER_DONE = 9, /* sent when the files are durable; acknowledges the BARRIER a second time */
    TW_FRAME_SCAN = 10,        /* handle: records to pass over */
    TW_FRAME_SCANNED = 11,     /* handle: records up to and including this frame; generation 1: the table is finished */
    TW_FRAME_STATS = 12,
    TW_FRAME_STATS_ARE = 13,
    TW_FRAME_PING = 14,
    TW_FRAME_PONG = 15,     /* handle: the snapshot under way, or 0 */
    TW_FRAME_ACQUIRE = 16,  /* handle: share, generation: owner epoch, keys: splits whose marks are wanted */
    TW_FRAME_ACQUIRED = 17, /* the marks; see lease.h */
    /* 20 to 26 between a shard and its standby: see ps/shard/replication.h */
    TW_FRAME_SUBSCRIBE = 20,
    TW_FRAME_ROWS = 21,
    TW_FRAME_LOG = 22,
    TW_FRAME_LOG_ACK = 23,
    TW_FRAME_PROMOTE = 24,
    TW_FRAME_PROMOTED = 25,
    TW_FRAME_DIGEST = 26,
    TW_FRAME_CLOCK = 28,   /* a round without a push here; handle 1: the worker has finished, or gives its number
                            * back where no rounds are kept. Answered by ACK */
    TW_FRAME_WAITING = 29, /* the request `ack` waits for another worker; payload: see round.h */
    TW_FRAME_SEAT = 30,    /* may the worker learn now, if `handle` may at once; see ps/worker/seat.h */
    TW_FRAME_SEATED = 31,  /* handle 1: yes, 0: not now */
    TW_FRAME_REPORT = 32,  /* 32 to 47 between a coordinator and its members; see orders.h */
    TW_FRAME_ORDERS = 33,
    TW_FRAME_SAVE = 34,
    TW_FRAME_SAVED = 35,
    TW_FRAME_STATUS = 48, /* from anybody who may connect, without HELLO */
    TW_FRAME_STATUS_ARE = 49,
    TW_FRAME_N_TYPES,
} tw_frame_type;

typedef enum tw_value_form {
    TW_FORM_NONE = 0,
    TW_FORM_INSTALL = 1, /* records after; refused when another session pushed since `generation` */
    TW_FORM_ADD = 2,     /* all records before, then all records after; merged field by field */
} tw_value_form;

typedef enum tw_nack_reason {
    TW_NACK_NONE = 0,
    TW_NACK_BAD_FRAME,
    TW_NACK_GAP,               /* the mark is behind `from`, or a sequence number is missing */
    TW_NACK_OVERLAP,           /* from < mark < to */
    TW_NACK_STALE_EPOCH,       /* another worker owns the model now */
    TW_NACK_STALE_INCARNATION, /* no such session here (any more): say HELLO */
    TW_NACK_CONFLICT,          /* INSTALL after a foreign push; a snapshot id that was used */
    TW_NACK_OVERLOAD,          /* no room at the moment */
    TW_NACK_SCHEMA,            /* the model here is another one; the body says in what */
    TW_NACK_UNKNOWN_TYPE,
    TW_NACK_KEYLIST_GONE,     /* the handle is not kept any more: send the keys */
    TW_NACK_WRONG_SLOT,       /* a key of another shard */
    TW_NACK_FAILED,           /* the shard could not do it (disk, memory): the body says why */
    TW_NACK_DENIED,           /* the peer's key does not allow this role */
    TW_NACK_STALE_OWNER = 14, /* the share was given to another worker; the mark: which, and the highest owner epoch */
    TW_NACK_NOT_PRIMARY = 15, /* a standby, or a shard that another one has taken over from */
    TW_NACK_TOO_LARGE = 16,   /* the pushes of a round do not fit here, now or later: the body says the limit */
    TW_NACK_FULL = 17,        /* the table's cap of bytes is reached, and stays so: the body says the limit */
    TW_NACK_PIPELINE = 18,    /* the workers that are here learn by another pipeline; the body says in what */
    TW_NACK_N_REASONS,
} tw_nack_reason;

typedef struct tw_frame_mark {
    uint64_t split, from, to;
} tw_frame_mark;

typedef struct tw_frame {
    tw_frame_type type;
    uint32_t flags;
    uint64_t model;       /* XXH3-64 of the model's name */
    uint64_t sender;      /* a worker's random id */
    uint64_t epoch;       /* of ownership, given by WELCOME */
    uint64_t incarnation; /* of the shard's process */
    uint64_t sequence, ack;
    uint32_t credit_bytes, credit_frames;
    tw_value_form form;
    tw_nack_reason reason;
    uint32_t block_first, n_blocks; /* range in the shard's list of block records */
    uint32_t clock;                 /* the round that the worker is in, from 1; 0: no rounds are kept (rounds.h) */
    uint64_t handle;
    uint64_t n_learned;  /* PUSH: events behind the change; answers: T, events that the shard's rows know */
    uint64_t generation; /* pushes that the shard has applied */
    uint32_t n_keys, n_marks;
    tw_frame_mark mark[TW_FRAME_MAX_MARKS];
    const unsigned char *keys;    /* [n_keys] u64, unaligned, or NULL; in the received bytes */
    const unsigned char *payload; /* [payload_size] */
    size_t payload_size;
} tw_frame;

/* A growable buffer. Release `bytes` with tw_free. */
typedef struct tw_buffer {
    unsigned char *bytes;
    size_t size, capacity;
} tw_buffer;

/* Decodes and checks everything that can be checked without knowing the model. On PROTOCOL `out->reason` says which
 * NACK is due; the fields that identify sender and sequence are filled when the header's checksum holds. */
TW_MUST_USE tw_status tw_frame_decode(const void *bytes, size_t size, tw_frame *out, tw_error *error);

/* Starts a frame in `out` (replacing what it held): room for the header, marks and `keys` (NULL: none, flag cleared).
 * The caller appends the payload with tw_buffer_* and ends with tw_frame_finish, which fills the header. */
TW_MUST_USE tw_status tw_frame_begin(tw_buffer *out, const tw_frame *frame, const uint64_t *keys, tw_error *error);
void tw_frame_finish(tw_buffer *out, const tw_frame *frame);

/* Appends; reserve returns the place of `size` bytes to fill, NULL when memory is short. */
TW_MUST_USE tw_status tw_buffer_append(tw_buffer *self, const void *bytes, size_t size, tw_error *error);
unsigned char *tw_buffer_reserve(tw_buffer *self, size_t size, tw_error *error);

const char *tw_nack_name(tw_nack_reason reason);

static inline void tw_put_u16(unsigned char *at, uint32_t value)
{
    at[0] = (unsigned char)value;
    at[1] = (unsigned char)(value >> 8);
}
static inline void tw_put_u32(unsigned char *at, uint32_t value)
{
    tw_put_u16(at, value);
    tw_put_u16(at + 2, value >> 16);
}
static inline void tw_put_u64(unsigned char *at, uint64_t value)
{
    tw_put_u32(at, (uint32_t)value);
    tw_put_u32(at + 4, (uint32_t)(value >> 32));
}
static inline void tw_put_u64s(unsigned char *at, const uint64_t *value, size_t n)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (n > 0)
        memcpy(at, value, n * sizeof *value);
#else
    for (size_t i = 0; i < n; i++)
        tw_put_u64(at + i * 8, value[i]);
#endif
}
static inline uint32_t tw_get_u16(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}
static inline uint32_t tw_get_u32(const unsigned char *at)
{
    return tw_get_u16(at) | tw_get_u16(at + 2) << 16;
}
static inline uint64_t tw_get_u64(const unsigned char *at)
{
    return (uint64_t)tw_get_u32(at) | (uint64_t)tw_get_u32(at + 4) << 32;
}
/* out [n] */
static inline void tw_get_u64s(uint64_t *out, const unsigned char *at, size_t n)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (n > 0)
        memcpy(out, at, n * sizeof *out);
#else
    for (size_t i = 0; i < n; i++)
        out[i] = tw_get_u64(at + i * 8);
#endif
}

#endif
