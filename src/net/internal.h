/* internal.h: what the files of this folder share. */
#ifndef TW_NET_INTERNAL_H
#define TW_NET_INTERNAL_H

#include <stdbool.h>

struct tw_net {
    void *context;
    bool has_guard; /* encrypted servers may be bound */
};

#endif
