/* outbox.h: answers that the socket would not take yet, a queue a peer, up to a number of bytes for one and for all. A
 * peer that does not read keeps nobody else waiting. Private to the server. */
#ifndef TW_PS_OUTBOX_H
#define TW_PS_OUTBOX_H

#include "net/socket.h"

typedef struct tw_outbox {
    tw_socket *socket;
    struct tw_outbox_peer *first; /* who waits; NULL: nobody */
    uint64_t n_bytes, max_bytes;  /* of all; one peer may have half of them */
    uint64_t n_dropped;
} tw_outbox;

/* Sends, or keeps, or drops (peer gone, too much kept: the peer's deadline has it ask again). Messages to one peer stay
 * in order. */
void tw_outbox_send(tw_outbox *self, const void *peer, size_t peer_size, const void *bytes, size_t size);
/* Sends what it can of what is kept. */
void tw_outbox_retry(tw_outbox *self);
void tw_outbox_fini(tw_outbox *self);

#endif
