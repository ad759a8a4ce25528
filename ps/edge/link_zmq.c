#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "net/socket.h"
#include "ps/wire/layout.h"
#include "ps/wire/link.h"

static const int64_t first_patience_us = 1000000, max_patience_us = 8000000, turn_patience_us = 200000;

typedef struct zmq_link {
    tw_link link;
    uint32_t n_shards;
    bool is_open; /* to other machines */
    tw_net *net;
    tw_message *message;
    tw_socket *socket[TW_MAX_SHARDS];
    char (*alternative)[TW_LINK_ALTERNATIVES][TW_ADDRESS_SIZE]; /* [n_shards] */
    uint32_t n_alternatives[TW_MAX_SHARDS], current[TW_MAX_SHARDS];
    int64_t stuck_us[TW_MAX_SHARDS];    /* since when nothing could be sent; 0: the last frame went out */
    int64_t patience_us[TW_MAX_SHARDS]; /* after which the connection is made anew */
} zmq_link;

/* One damaged byte can make the library give a connection up for good: whoever cannot send for long connects anew. The
 * growing patience leaves a slow handshake its time. */
static const char *zmq_link_at(const zmq_link *self, uint32_t shard)
{
    return self->alternative[shard][self->current[shard]];
}

/* "A|B" as its parts, every one of them an address; what was there stays when it is none. */
static tw_status zmq_link_split(zmq_link *self, uint32_t shard, const char *text, tw_error *error)
{
    char part[TW_LINK_ALTERNATIVES][TW_ADDRESS_SIZE] = {{0}};
    uint32_t n = 0;
    for (const char *at = text;; at++) {
        size_t size = strcspn(at, "|");
        if (n == TW_LINK_ALTERNATIVES || size >= TW_ADDRESS_SIZE)
            return tw_error_set(error, TW_STATUS_INVALID, "%s: at most %d addresses of %d bytes for one shard", text,
                TW_LINK_ALTERNATIVES, TW_ADDRESS_SIZE - 1);
        memcpy(part[n], at, size);
        tw_status status = tw_address_check(part[n++], self->is_open, error);
        at += size;
        if (status < 0)
            return status;
        if (*at == '\0')
            break;
    }
    memcpy(self->alternative[shard], part, sizeof part);
    self->n_alternatives[shard] = n;
    self->current[shard] = 0;
    return TW_STATUS_OK;
}

static tw_status zmq_link_retarget(tw_link *link, uint32_t shard, const char *address, tw_error *error)
{
    zmq_link *self = (zmq_link *)link;
    char from[TW_ADDRESS_SIZE];
    memcpy(from, zmq_link_at(self, shard), sizeof from);
    if (address == NULL && self->n_alternatives[shard] == 1)
        return TW_STATUS_OK;
    if (address == NULL) {
        self->current[shard] = (self->current[shard] + 1) % self->n_alternatives[shard];
    } else {
        tw_status status = zmq_link_split(self, shard, address, error);
        if (status < 0 || strcmp(zmq_link_at(self, shard), from) == 0)
            return status;
    }
    self->stuck_us[shard] = 0;
    return tw_socket_move(self->socket[shard], from, zmq_link_at(self, shard), error);
}

static tw_status zmq_link_unstick(zmq_link *self, uint32_t shard, tw_error *error)
{
    int64_t now = tw_clock_monotonic_us();
    if (self->stuck_us[shard] == 0)
        self->stuck_us[shard] = now;
    if (self->n_alternatives[shard] > 1 && now - self->stuck_us[shard] >= turn_patience_us) {
        tw_status turned = zmq_link_retarget(&self->link, shard, NULL, error);
        return turned == TW_STATUS_OK ? TW_STATUS_BUSY : turned;
    }
    if (now - self->stuck_us[shard] < self->patience_us[shard])
        return TW_STATUS_BUSY;
    self->stuck_us[shard] = now;
    if (self->patience_us[shard] < max_patience_us)
        self->patience_us[shard] *= 2;
    tw_status status = tw_socket_reconnect(self->socket[shard], zmq_link_at(self, shard), error);
    return status == TW_STATUS_OK ? TW_STATUS_BUSY : status;
}

static tw_status zmq_link_send(tw_link *link, uint32_t shard, const void *bytes, size_t size, tw_error *error)
{
    zmq_link *self = (zmq_link *)link;
    tw_part part = {bytes, size};
    tw_status status = tw_socket_send(self->socket[shard], &part, 1, error);
    if (status == TW_STATUS_BUSY)
        return zmq_link_unstick(self, shard, error);
    if (status == TW_STATUS_OK) {
        self->stuck_us[shard] = 0;
        self->patience_us[shard] = first_patience_us;
    }
    return status;
}

static tw_status zmq_link_receive(tw_link *link, uint32_t shard, const void **bytes, size_t *size, tw_error *error)
{
    zmq_link *self = (zmq_link *)link;
    tw_status status = tw_socket_receive(self->socket[shard], self->message, error);
    if (status != TW_STATUS_OK)
        return status;
    tw_part part = tw_message_part(self->message, 0);
    *bytes = part.bytes;
    *size = tw_message_n_parts(self->message) == 1 ? part.size : 0;
    return TW_STATUS_OK;
}

static tw_status zmq_link_wait(tw_link *link, int timeout_ms, tw_error *error)
{
    zmq_link *self = (zmq_link *)link;
    bool is_readable[TW_MAX_SHARDS];
    return tw_socket_wait(self->socket, self->n_shards, timeout_ms, is_readable, error);
}

static int64_t zmq_link_now(tw_link *link)
{
    (void)link;
    return tw_clock_monotonic_us();
}

static const char *zmq_link_address(const tw_link *link, uint32_t shard)
{
    return zmq_link_at((const zmq_link *)link, shard);
}

static void zmq_link_close(tw_link *link)
{
    zmq_link *self = (zmq_link *)link;
    for (uint32_t s = 0; s < self->n_shards; s++)
        tw_socket_destroy(&self->socket[s]);
    tw_message_destroy(&self->message);
    tw_net_destroy(&self->net);
    tw_free(self->alternative);
    tw_free(self);
}

static const tw_link_ops zmq_link_ops = {
    .send = zmq_link_send,
    .receive = zmq_link_receive,
    .wait = zmq_link_wait,
    .now_us = zmq_link_now,
    .address = zmq_link_address,
    .retarget = zmq_link_retarget,
    .close = zmq_link_close,
};

tw_status tw_link_zmq_create(
    const char *const *address, uint32_t n, const tw_socket_security *security, tw_link **out, tw_error *error)
{
    tw_socket_options options = {
        .kind = TW_SOCKET_DEALER, .max_message_bytes = TW_DATA_MAX_BYTES, .security = security};
    zmq_link *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->link.ops = &zmq_link_ops;
    self->is_open = security != NULL;
    self->alternative = tw_alloc_zero(n * sizeof *self->alternative);
    tw_status status = self->alternative != NULL ? TW_STATUS_OK : tw_no_memory(error, n * sizeof *self->alternative);
    for (uint32_t s = 0; s < n && status == TW_STATUS_OK; s++)
        status = zmq_link_split(self, s, address[s], error);
    self->n_shards = status == TW_STATUS_OK ? n : 0;
    if (status == TW_STATUS_OK)
        status = tw_net_create(1, &self->net, error);
    if (status == TW_STATUS_OK)
        status = tw_message_create(&self->message, error);
    for (uint32_t s = 0; s < n && status == TW_STATUS_OK; s++) {
        self->patience_us[s] = first_patience_us;
        status = tw_socket_create(self->net, &options, &self->socket[s], error);
        if (status == TW_STATUS_OK)
            status = tw_socket_connect(self->socket[s], zmq_link_at(self, s), error);
    }
    if (status < 0) {
        zmq_link_close(&self->link);
        return status;
    }
    *out = &self->link;
    return TW_STATUS_OK;
}

uint64_t tw_link_sender(void)
{
    uint64_t now = (uint64_t)tw_clock_monotonic_us() ^ tw_mix64((uint64_t)tw_clock_wall_us());
    return tw_mix64(now ^ (uint64_t)getpid() << 40) | 1;
}
