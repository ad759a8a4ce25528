#include "ps/wire/orders.h"

#include <string.h>

#include "base/hash.h"
#include "net/socket.h"

enum { STANDING_SIZE = TW_MEMBER_NAME_SIZE + 64, ORDERS_SIZE = 56, MAP_ENTRY_SIZE = 10 };

static tw_status orders_bad(const char *what, uint64_t value, tw_error *error)
{
    return tw_error_set(error, TW_STATUS_PROTOCOL, "%s (%llu)", what, (unsigned long long)value);
}

static void grant_put(unsigned char *at, tw_grant grant)
{
    tw_put_u32(at, grant.share);
    tw_put_u32(at + 4, grant.pass);
    tw_put_u64(at + 8, grant.epoch);
}

static tw_grant grant_get(const unsigned char *at)
{
    return (tw_grant){tw_get_u32(at), tw_get_u32(at + 4), tw_get_u64(at + 8)};
}

uint64_t tw_process_digest(uint32_t shard, uint64_t incarnation)
{
    return tw_mix64(incarnation ^ tw_mix64(shard + 1));
}

/* name, shares u32, passes u32, hold u32, map version u32, grant, highest u64, shards u64, quiet u64, shard epochs u64
 */
tw_status tw_standing_encode(const tw_standing *self, tw_buffer *out, tw_error *error)
{
    unsigned char *at = tw_buffer_reserve(out, STANDING_SIZE, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    memset(at, 0, STANDING_SIZE);
    memcpy(at, self->name, strnlen(self->name, TW_MEMBER_NAME_SIZE - 1));
    at += TW_MEMBER_NAME_SIZE;
    tw_put_u32(at, self->n_shares);
    tw_put_u32(at + 4, self->passes);
    tw_put_u32(at + 8, self->hold);
    tw_put_u32(at + 12, self->map_version);
    grant_put(at + 16, self->grant);
    tw_put_u64(at + 32, self->highest_epoch);
    tw_put_u64(at + 40, self->shards);
    tw_put_u64(at + 48, self->quiet);
    tw_put_u64(at + 56, self->shard_epochs);
    return TW_STATUS_OK;
}

tw_status tw_standing_decode(tw_standing *self, const unsigned char *bytes, size_t size, tw_error *error)
{
    *self = (tw_standing){0};
    if (size != STANDING_SIZE)
        return orders_bad("REPORT: wrong length", size, error);
    const unsigned char *at = bytes + TW_MEMBER_NAME_SIZE;
    uint32_t hold = tw_get_u32(at + 8);
    if (bytes[0] == '\0' || bytes[TW_MEMBER_NAME_SIZE - 1] != '\0')
        return orders_bad("REPORT: a name without bytes, or without end", bytes[0], error);
    memcpy(self->name, bytes, TW_MEMBER_NAME_SIZE);
    self->n_shares = tw_get_u32(at);
    self->passes = tw_get_u32(at + 4);
    self->hold = (tw_hold)hold;
    self->map_version = tw_get_u32(at + 12);
    self->grant = grant_get(at + 16);
    self->highest_epoch = tw_get_u64(at + 32);
    self->shards = tw_get_u64(at + 40);
    self->quiet = tw_get_u64(at + 48);
    self->shard_epochs = tw_get_u64(at + 56);
    if (self->n_shares == 0 || self->n_shares > TW_MAX_SHARES)
        return orders_bad("REPORT: shares", self->n_shares, error);
    if (self->passes == 0 || self->passes > TW_MAX_PASSES)
        return orders_bad("REPORT: passes", self->passes, error);
    if (hold > TW_HOLD_LEAVES)
        return orders_bad("REPORT: what it holds", hold, error);
    bool has_grant = hold != TW_HOLD_NOTHING && hold != TW_HOLD_LEAVES;
    if (has_grant != (self->grant.epoch != 0) || self->grant.share >= self->n_shares ||
        self->grant.pass >= self->passes)
        return orders_bad("REPORT: a share that is none", self->grant.share, error);
    return TW_STATUS_OK;
}

/* number u32, workers u32, over u32, map version u32, grant, quiet u64, shards u32, zero u32, zero u64, map */
tw_status tw_orders_encode(const tw_orders *self, tw_buffer *out, tw_error *error)
{
    unsigned char *at = tw_buffer_reserve(out, ORDERS_SIZE, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    memset(at, 0, ORDERS_SIZE);
    tw_put_u32(at, self->number);
    tw_put_u32(at + 4, self->n_workers);
    tw_put_u32(at + 8, self->is_over);
    tw_put_u32(at + 12, self->map_version);
    grant_put(at + 16, self->grant);
    tw_put_u64(at + 32, self->quiet);
    tw_put_u32(at + 40, self->n_shards);
    return TW_STATUS_OK;
}

tw_status tw_map_append(tw_buffer *out, const char *address, uint64_t epoch, tw_error *error)
{
    size_t size = strlen(address);
    unsigned char *at = tw_buffer_reserve(out, MAP_ENTRY_SIZE, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    tw_put_u64(at, epoch);
    tw_put_u16(at + 8, (uint32_t)size);
    return tw_buffer_append(out, address, size, error);
}

tw_status tw_orders_decode(tw_orders *self, const unsigned char *bytes, size_t size, tw_error *error)
{
    *self = (tw_orders){0};
    if (size < ORDERS_SIZE)
        return orders_bad("ORDERS: wrong length", size, error);
    self->number = tw_get_u32(bytes);
    self->n_workers = tw_get_u32(bytes + 4);
    self->is_over = tw_get_u32(bytes + 8) == 1;
    self->map_version = tw_get_u32(bytes + 12);
    self->grant = grant_get(bytes + 16);
    self->quiet = tw_get_u64(bytes + 32);
    self->n_shards = tw_get_u32(bytes + 40);
    self->map = bytes + ORDERS_SIZE;
    self->map_size = size - ORDERS_SIZE;
    if (self->n_shards > TW_MAX_SHARDS)
        return orders_bad("ORDERS: shards", self->n_shards, error);
    size_t at = 0;
    for (uint32_t i = 0; i < self->n_shards; i++) {
        size_t left = self->map_size - at;
        size_t wanted = left >= MAP_ENTRY_SIZE ? tw_get_u16(self->map + at + 8) : TW_ADDRESS_SIZE;
        if (wanted == 0 || wanted >= TW_ADDRESS_SIZE || left - MAP_ENTRY_SIZE < wanted)
            return orders_bad("ORDERS: a broken address in the map", i, error);
        at += MAP_ENTRY_SIZE + wanted;
    }
    return at == self->map_size ? TW_STATUS_OK : orders_bad("ORDERS: bytes behind the map", self->map_size - at, error);
}

void tw_map_entry(const tw_orders *self, uint32_t index, char *address, uint64_t *epoch)
{
    const unsigned char *at = self->map;
    for (uint32_t i = 0; i < index; i++)
        at += MAP_ENTRY_SIZE + tw_get_u16(at + 8);
    size_t size = tw_get_u16(at + 8);
    *epoch = tw_get_u64(at);
    memcpy(address, at + MAP_ENTRY_SIZE, size);
    address[size] = '\0';
}
