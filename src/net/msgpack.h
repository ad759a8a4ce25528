/* msgpack.h: MessagePack for control messages and predictions. Reading trusts nothing: one bounded pass checks depth,
 * counts and lengths against the bytes that are there, a second one builds a flat tree in a single allocation.
 * Thread rule: one thread at a time per object. */
#ifndef TW_NET_MSGPACK_H
#define TW_NET_MSGPACK_H

#include <stddef.h>
#include <stdint.h>

#include "thalweg/status.h"

enum { TW_MSGPACK_MAX_DEPTH = 16, TW_MSGPACK_MAX_OBJECTS = 4096 };

/* --- reading ------------------------------------------------------------------------------------------------------ */
typedef enum tw_value_kind {
    TW_VALUE_NIL = 0,
    TW_VALUE_BOOL = 1,
    TW_VALUE_UINT = 2, /* >= 0 */
    TW_VALUE_INT = 3,  /* < 0 */
    TW_VALUE_FLOAT = 4,
    TW_VALUE_TEXT = 5, /* `size` bytes, not checked for UTF-8, not terminated */
    TW_VALUE_BYTES = 6,
    TW_VALUE_ARRAY = 7, /* `size` values */
    TW_VALUE_MAP = 8,   /* `size` pairs: key, value, key, value ... */
    TW_VALUE_EXT = 9,   /* `size` bytes of an application type */
} tw_value_kind;

typedef struct tw_value {
    tw_value_kind kind;
    uint32_t size;
    uint32_t n_nodes; /* of the subtree, this one included: the next sibling is self + n_nodes */
    union {
        bool is_true;
        uint64_t u;
        int64_t i;
        double f;
        const char *bytes; /* in the message that was unpacked */
    } as;
} tw_value;

typedef struct tw_document {
    tw_value *value; /* [0] is the root */
    uint32_t n_values;
} tw_document;

/* Exactly one object must fill `bytes`. PROTOCOL names what is wrong and at which byte. max_objects 0:
 * TW_MSGPACK_MAX_OBJECTS. `bytes` is borrowed while the document lives. Release with tw_document_fini. */
TW_MUST_USE tw_status tw_unpack(
    const void *bytes, size_t size, uint32_t max_objects, tw_document *out, tw_error *error);
void tw_document_fini(tw_document *self);

/* Walks an array (or the keys and values of a map): for (at = tw_value_first(v), i = 0; i < n; i++, at = next(at)). */
static inline const tw_value *tw_value_first(const tw_value *self)
{
    return self + 1;
}
static inline const tw_value *tw_value_next(const tw_value *self)
{
    return self + self->n_nodes;
}

/* The value of the first pair of a map whose key is the text `key`; NULL: none, or `self` is NULL or no map. */
const tw_value *tw_value_find(const tw_value *self, const char *key);
bool tw_value_is_text(const tw_value *self, const char *text);
/* Any number as a double; false for everything else (and NULL). */
bool tw_value_number(const tw_value *self, double *out);
bool tw_value_unsigned(const tw_value *self, uint64_t *out);

/* --- writing ------------------------------------------------------------------------------------------------------
 * Appends to a growing buffer. A failed allocation is remembered: check once, by tw_packer_status, at the end. */
typedef struct tw_packer {
    char *bytes; /* [size] */
    size_t size, capacity;
    bool is_failed;
} tw_packer;

/* {0} is an empty packer. clear keeps the memory. */
void tw_packer_clear(tw_packer *self);
void tw_packer_fini(tw_packer *self);
TW_MUST_USE tw_status tw_packer_status(const tw_packer *self, tw_error *error);

void tw_pack_nil(tw_packer *self);
void tw_pack_bool(tw_packer *self, bool value);
void tw_pack_uint(tw_packer *self, uint64_t value);
void tw_pack_int(tw_packer *self, int64_t value);
void tw_pack_double(tw_packer *self, double value);
void tw_pack_text(tw_packer *self, const char *text);
void tw_pack_text_sized(tw_packer *self, const char *text, size_t size);
void tw_pack_bytes(tw_packer *self, const void *bytes, size_t size);
void tw_pack_array(tw_packer *self, uint32_t n_values); /* that many values must follow */
void tw_pack_map(tw_packer *self, uint32_t n_pairs);    /* that many keys and values must follow */

#endif
