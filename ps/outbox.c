#include "ps/outbox.h"

#include <string.h>

#include "base/alloc.h"

struct tw_outbox_item {
    struct tw_outbox_item *next;
    size_t peer_size, size;
    unsigned char bytes[]; /* peer, then message */
};

static tw_status outbox_try(tw_outbox *self, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    tw_part part[2] = {{peer, peer_size}, {bytes, size}};
    return tw_socket_send(self->socket, part, 2, NULL);
}

void tw_outbox_send(tw_outbox *self, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    if (self->first == NULL && outbox_try(self, peer, peer_size, bytes, size) != TW_STATUS_BUSY)
        return;
    struct tw_outbox_item *item = NULL;
    if (self->n_bytes + size <= self->max_bytes)
        item = tw_alloc(sizeof *item + peer_size + size);
    if (item == NULL) {
        self->n_dropped++;
        return;
    }
    item->next = NULL;
    item->peer_size = peer_size;
    item->size = size;
    memcpy(item->bytes, peer, peer_size);
    memcpy(item->bytes + peer_size, bytes, size);
    if (self->last != NULL)
        self->last->next = item;
    else
        self->first = item;
    self->last = item;
    self->n_bytes += size;
}

static void outbox_pop(tw_outbox *self)
{
    struct tw_outbox_item *item = self->first;
    self->first = item->next;
    if (self->first == NULL)
        self->last = NULL;
    self->n_bytes -= item->size;
    tw_free(item);
}

void tw_outbox_retry(tw_outbox *self)
{
    while (self->first != NULL) {
        struct tw_outbox_item *item = self->first;
        if (outbox_try(self, item->bytes, item->peer_size, item->bytes + item->peer_size, item->size) == TW_STATUS_BUSY)
            return;
        outbox_pop(self);
    }
}

void tw_outbox_fini(tw_outbox *self)
{
    while (self->first != NULL)
        outbox_pop(self);
}
