#include "ps/edge/outbox.h"

#include <string.h>

#include "base/alloc.h"

typedef struct outbox_item {
    struct outbox_item *next;
    size_t size;
    unsigned char bytes[];
} outbox_item;

typedef struct tw_outbox_peer {
    struct tw_outbox_peer *next;
    outbox_item *first, *last;
    uint64_t n_bytes;
    size_t id_size;
    unsigned char id[];
} outbox_peer;

static bool is_taken(tw_outbox *self, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    tw_part part[2] = {{peer, peer_size}, {bytes, size}};
    return tw_socket_send(self->socket, part, 2, NULL) != TW_STATUS_BUSY;
}

static outbox_peer *peer_find(const tw_outbox *self, const void *id, size_t size)
{
    outbox_peer *at = self->first;
    while (at != NULL && (at->id_size != size || memcmp(at->id, id, size) != 0))
        at = at->next;
    return at;
}

/* Whoever waits is put in front. */
static outbox_peer *peer_add(tw_outbox *self, const void *id, size_t size)
{
    outbox_peer *peer = tw_alloc(sizeof *peer + size);
    if (peer == NULL)
        return NULL;
    *peer = (outbox_peer){.next = self->first, .id_size = size};
    memcpy(peer->id, id, size);
    self->first = peer;
    return peer;
}

static bool has_room(const tw_outbox *self, const outbox_peer *peer, size_t size)
{
    uint64_t own = peer != NULL ? peer->n_bytes : 0;
    return self->n_bytes + size <= self->max_bytes && own + size <= self->max_bytes / 2;
}

void tw_outbox_send(tw_outbox *self, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    outbox_peer *to = peer_find(self, peer, peer_size);
    if (to == NULL && is_taken(self, peer, peer_size, bytes, size))
        return;
    outbox_item *item = has_room(self, to, size) ? tw_alloc(sizeof *item + size) : NULL;
    if (item != NULL && to == NULL)
        to = peer_add(self, peer, peer_size);
    if (item == NULL || to == NULL) {
        tw_free(item);
        self->n_dropped++;
        return;
    }
    item->next = NULL;
    item->size = size;
    memcpy(item->bytes, bytes, size);
    if (to->last != NULL)
        to->last->next = item;
    else
        to->first = item;
    to->last = item;
    to->n_bytes += size;
    self->n_bytes += size;
}

static void peer_pop(tw_outbox *self, outbox_peer *peer)
{
    outbox_item *item = peer->first;
    peer->first = item->next;
    peer->n_bytes -= item->size;
    self->n_bytes -= item->size;
    tw_free(item);
}

void tw_outbox_retry(tw_outbox *self)
{
    outbox_peer **link = &self->first;
    while (*link != NULL) {
        outbox_peer *peer = *link;
        while (peer->first != NULL && is_taken(self, peer->id, peer->id_size, peer->first->bytes, peer->first->size))
            peer_pop(self, peer);
        if (peer->first != NULL) {
            link = &peer->next;
            continue;
        }
        *link = peer->next;
        tw_free(peer);
    }
}

void tw_outbox_fini(tw_outbox *self)
{
    while (self->first != NULL) {
        outbox_peer *peer = self->first;
        self->first = peer->next;
        while (peer->first != NULL)
            peer_pop(self, peer);
        tw_free(peer);
    }
}
