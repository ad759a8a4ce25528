/* layout.h: what a worker and its shards must agree on without a message: which shard holds a slot, and in which order
 * a shard lists the block records that it holds. Values are copied as the host lays records out (little-endian only).
 */
#ifndef TW_PS_LAYOUT_H
#define TW_PS_LAYOUT_H

#include "data/key.h"
#include "ps/wire/frame.h"
#include "ps/wire/round.h"
#include "thalweg/params.h"

enum { TW_MAX_SHARDS = 256 };

/* Shard i of n holds the slots [first(i), first(i + 1)). */
static inline uint32_t tw_shard_first_slot(uint32_t index, uint32_t count)
{
    return index * (uint32_t)TW_N_SLOTS / count;
}

typedef struct tw_block_place {
    uint32_t block, record;
    uint32_t size; /* bytes of the record */
} tw_block_place;

/* All block records whose key lies in the slots [first, last], by block, then record; release with tw_free. */
TW_MUST_USE tw_status tw_block_places(const tw_schema *schema,
    uint32_t first_slot,
    uint32_t last_slot,
    tw_block_place **out,
    uint32_t *n_places,
    tw_error *error);

/* The parts of a HELLO's payload. */
typedef enum tw_role {
    TW_ROLE_OWNER = 1,  /* takes the model over: pushes of older sessions are refused from here on */
    TW_ROLE_PEER = 2,   /* pushes beside the owner */
    TW_ROLE_READER = 3, /* only pulls and scans */
} tw_role;

/* Further bits of what a peer may do, beside 1 << tw_role. */
enum {
    TW_MAY_REPLICATE = 1 << 4, /* SUBSCRIBE, and tell a shard that it was taken over from */
    TW_MAY_PROMOTE = 1 << 5,
};

enum { TW_MODEL_NAME_SIZE = 128 };

typedef struct tw_hello {
    tw_role role;
    bool is_fresh;         /* drop what is there and start empty */
    bool takes_other_keep; /* where all else is the same, rows go on by this spec's tw_keep */
    uint32_t index, count;
    char name[TW_MODEL_NAME_SIZE];
    tw_table_spec spec;
    tw_round_member worker; /* count 0: none */
} tw_hello;

TW_MUST_USE tw_status tw_hello_encode(const tw_hello *self, tw_buffer *out, tw_error *error);
TW_MUST_USE tw_status tw_hello_decode(tw_hello *self, const unsigned char *bytes, size_t size, tw_error *error);

#endif
