/* link.h: how the client reaches its shards: over ZeroMQ, or straight into shards of the same process. */
#ifndef TW_PS_LINK_H
#define TW_PS_LINK_H

#include <stddef.h>

#include "net/socket.h"
#include "thalweg/params.h"

typedef struct tw_link {
    const struct tw_link_ops *ops;
} tw_link;

typedef struct tw_link_ops {
    /* OK, BUSY (nothing was sent: try again), or an error. */
    tw_status (*send)(tw_link *self, uint32_t shard, const void *bytes, size_t size, tw_error *error);
    /* OK with bytes borrowed until the next call, IDLE, or an error. */
    tw_status (*receive)(tw_link *self, uint32_t shard, const void **bytes, size_t *size, tw_error *error);
    /* Until something came from anyone, at most timeout_ms. */
    tw_status (*wait)(tw_link *self, int timeout_ms, tw_error *error);
    int64_t (*now_us)(tw_link *self);
    const char *(*address)(const tw_link *self, uint32_t shard);
    /* Says where the next snapshot's files go; NULL: every shard has its own directory. */
    tw_status (*prepare)(tw_link *self, const char *directory, tw_error *error);
    /* NULL: shards restore themselves. */
    tw_status (*restore)(tw_link *self, const char *directory, const tw_row_files *files, tw_error *error);
    /* Frames of the shard go to the first of the alternatives in `address` from now on, NULL: to its next address.
     * NULL: every shard has one for good. */
    tw_status (*retarget)(tw_link *self, uint32_t shard, const char *address, tw_error *error);
    void (*close)(tw_link *self);
} tw_link_ops;

enum { TW_LINK_ALTERNATIVES = 4 };

/* DEALER sockets to addresses [n], each one address or several alternatives, "A|B", which are tried in turn where
 * nobody answers or the shard says that it is not the one that serves; security NULL: plain, only on this machine. */
TW_MUST_USE tw_status tw_link_zmq_create(
    const char *const *address, uint32_t n, const tw_socket_security *security, tw_link **out, tw_error *error);

/* A `sender` (frame.h) for whoever speaks from here: another one for every process and moment; not 0. */
uint64_t tw_link_sender(void);

#endif
