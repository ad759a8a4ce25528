/* internal.h: what the files of this folder share. */
#ifndef TW_NET_INTERNAL_H
#define TW_NET_INTERNAL_H

#include <stdbool.h>

#include "net/socket.h"

struct tw_net {
    void *context;
    bool has_guard; /* encrypted servers may be bound */
};

/* The library's own handle. */
void *tw_socket_raw(const tw_socket *self);

#endif
