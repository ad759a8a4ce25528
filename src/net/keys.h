/* keys.h: who may talk to whom: CurveZMQ key pairs (Curve25519, text in Z85) in files, and the allow-list of a server:
 * which public key may do what. Files are small text files, one item a line; a line that begins with `#` is a comment.
 *
 *   secret key file   two lines, "public KEY" and "secret KEY"; refused when others may read it
 *   public key file   one line, "public KEY"
 *   allow-list        lines "ROLE KEY NAME": ROLE worker, replica or admin; NAME is what messages call the peer
 *
 * One thread per object; tw_key_pair_store sets the process's file mask for a moment, so no other thread makes files
 * meanwhile. */
#ifndef TW_NET_KEYS_H
#define TW_NET_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thalweg/status.h"

enum { TW_KEY_SIZE = 41, TW_PEER_NAME_SIZE = 64, TW_ALLOW_MAX = 10000 };

typedef struct tw_key_pair {
    char public_key[TW_KEY_SIZE], secret_key[TW_KEY_SIZE];
} tw_key_pair;

/* What a peer may do. */
typedef enum tw_peer_role {
    TW_PEER_WORKER = 1,  /* everything that learning needs: own a model, push, pull, save */
    TW_PEER_REPLICA = 2, /* pull, scan, stand by */
    TW_PEER_ADMIN = 3,   /* as worker */
} tw_peer_role;

typedef struct tw_allowed {
    char public_key[TW_KEY_SIZE], name[TW_PEER_NAME_SIZE];
    tw_peer_role role;
} tw_allowed;

typedef struct tw_allow_list {
    tw_allowed *item;
    size_t count, capacity;
} tw_allow_list;

/* UNSUPPORTED where libzmq was built without CURVE. */
TW_MUST_USE tw_status tw_key_pair_create(tw_key_pair *out, tw_error *error);

/* Writes PATH (mode 0600) and PATH.pub. CONFLICT when PATH exists: a key is never overwritten. */
TW_MUST_USE tw_status tw_key_pair_store(const tw_key_pair *self, const char *path, tw_error *error);

/* Reads a secret key file. CONFIG when group or others may read it; CORRUPT names file and line; the public key must
 * belong to the secret one. */
TW_MUST_USE tw_status tw_key_pair_load(const char *path, tw_key_pair *out, tw_error *error);

/* `text`: 40 characters of Z85, or the path of a public or secret key file. */
TW_MUST_USE tw_status tw_public_key_read(const char *text, char out[TW_KEY_SIZE], tw_error *error);

/* Reads an allow-list; at most TW_ALLOW_MAX lines. An empty list is refused: it would let nobody in. */
TW_MUST_USE tw_status tw_allow_list_load(const char *path, tw_allow_list *out, tw_error *error);
void tw_allow_list_fini(tw_allow_list *self);

/* NULL: not in the list. */
const tw_allowed *tw_allow_list_find(const tw_allow_list *self, const char *public_key);

#endif
