#include "ps/wire/coordination.h"

#include <string.h>

#include "base/alloc.h"

enum {
    PART_COORDINATION = 16, /* tags of status.c are below */
    PART_SHARDS,
    PART_MEMBERS,
    PART_REFUSED,
    PART_HEAD = 8,
    SHARD_SIZE = 40 + TW_ADDRESS_SIZE,
    MEMBER_SIZE = 32 + TW_MEMBER_NAME_SIZE,
};

static const char gauge[] = "gauge", counter[] = "counter";

const tw_status_entry *tw_coordination_table(void)
{
    static const tw_status_entry table[TW_COORDINATION_N_FIGURES] = {
        [TW_COORDINATION_UPTIME_MS] = {"uptime_ms", "uptime_seconds", gauge, 1e-3, "Time since its start."},
        [TW_COORDINATION_INCARNATION] = {"incarnation", NULL, gauge, 1, "Differs after every start."},
        [TW_COORDINATION_MEMBERS] = {"workers", "workers", gauge, 1, "Workers that report."},
        [TW_COORDINATION_SHARES] = {"shares", "shares", gauge, 1, "Shares of the input."},
        [TW_COORDINATION_PASSES] = {"passes", NULL, gauge, 1, "Times that each is learned."},
        [TW_COORDINATION_GRANTED] = {"shares_given", "shares_given", gauge, 1, "Shares that a worker holds."},
        [TW_COORDINATION_FINISHED] = {"shares_finished", "shares_finished", gauge, 1, "Shares learned in all passes."},
        [TW_COORDINATION_GRANTS] = {"grants", "grants_total", counter, 1, "Times that a share was given."},
        [TW_COORDINATION_EVICTIONS] = {"evictions", "evictions_total", counter, 1, "Workers that were given up."},
        [TW_COORDINATION_RESETS] = {"resets", "resets_total", counter, 1,
            "Times that all shares were given out again because of a shard."},
        [TW_COORDINATION_HIGHEST_EPOCH] = {"highest_epoch", NULL, gauge, 1, "Owner epoch of the latest grant."},
        [TW_COORDINATION_MAP_VERSION] = {"map_version", NULL, gauge, 1, "Of the list of shards."},
        [TW_COORDINATION_IS_WATCHING] = {"is_watching", "is_watching", gauge, 1,
            "1: it asks the shards, and has standbys take over."},
        [TW_COORDINATION_TAKEOVERS] = {"takeovers", "takeovers_total", counter, 1, "Standbys that it had take over."},
        [TW_COORDINATION_CHECKPOINT] = {"checkpoint", NULL, gauge, 1, "Number of the latest named checkpoint."},
        [TW_COORDINATION_CHECKPOINT_AGE_MS] = {"checkpoint_age_ms", NULL, gauge, 1, "Time since it was durable."},
        [TW_COORDINATION_REPEATED] = {"repeated", "repeated_frames_total", counter, 1, "Frames that came before."},
        [TW_COORDINATION_FORMLESS] = {"formless", "formless_messages_total", counter, 1,
            "Messages that are no frames."},
        [TW_COORDINATION_REFUSED_CONNECTIONS] = {"refused_connections", "refused_connections_total", counter, 1,
            "Connections of strangers, or with broken handshakes."},
    };
    return table;
}

void tw_coordination_fini(tw_coordination *self)
{
    tw_free(self->shard);
    tw_free(self->member);
    memset(self, 0, sizeof *self);
}

/* --- encoding ----------------------------------------------------------------------------------------------------- */

static unsigned char *part_reserve(tw_buffer *out, uint32_t tag, size_t size, tw_error *error)
{
    unsigned char *at = tw_buffer_reserve(out, PART_HEAD + size, error);
    if (at == NULL)
        return NULL;
    memset(at, 0, PART_HEAD + size);
    tw_put_u32(at, tag);
    tw_put_u32(at + 4, (uint32_t)size);
    return at + PART_HEAD;
}

static void put_shard(unsigned char *at, const tw_coordination_shard *one)
{
    const uint64_t value[] = {one->epoch, one->takeovers, one->silent_ms, one->is_served, one->has_standby};
    tw_put_u64s(at, value, 5);
    memcpy(at + 40, one->address, strnlen(one->address, TW_ADDRESS_SIZE - 1));
}

static void get_shard(tw_coordination_shard *one, const unsigned char *at)
{
    uint64_t value[5];
    tw_get_u64s(value, at, 5);
    *one = (tw_coordination_shard){.epoch = value[0],
        .takeovers = value[1],
        .silent_ms = value[2],
        .is_served = value[3],
        .has_standby = value[4]};
    memcpy(one->address, at + 40, TW_ADDRESS_SIZE - 1);
}

static void put_member(unsigned char *at, const tw_coordination_member *one)
{
    tw_put_u64(at, one->number);
    tw_put_u64(at + 8, one->silent_ms);
    tw_put_u32(at + 16, one->grant.share);
    tw_put_u32(at + 20, one->grant.pass);
    tw_put_u64(at + 24, one->grant.epoch);
    memcpy(at + 32, one->name, strnlen(one->name, TW_MEMBER_NAME_SIZE - 1));
}

static void get_member(tw_coordination_member *one, const unsigned char *at)
{
    *one = (tw_coordination_member){.number = tw_get_u64(at),
        .silent_ms = tw_get_u64(at + 8),
        .grant = {tw_get_u32(at + 16), tw_get_u32(at + 20), tw_get_u64(at + 24)}};
    memcpy(one->name, at + 32, TW_MEMBER_NAME_SIZE - 1);
}

tw_status tw_coordination_encode(const tw_coordination *self, tw_buffer *out, tw_error *error)
{
    unsigned char *at = part_reserve(out, PART_COORDINATION, sizeof self->figure, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    tw_put_u64s(at, self->figure, TW_COORDINATION_N_FIGURES);
    at = part_reserve(out, PART_SHARDS, (size_t)self->n_shards * SHARD_SIZE, error);
    for (uint32_t i = 0; at != NULL && i < self->n_shards; i++)
        put_shard(at + (size_t)i * SHARD_SIZE, &self->shard[i]);
    if (at != NULL)
        at = part_reserve(out, PART_MEMBERS, (size_t)self->n_members * MEMBER_SIZE, error);
    for (uint32_t i = 0; at != NULL && i < self->n_members; i++)
        put_member(at + (size_t)i * MEMBER_SIZE, &self->member[i]);
    if (at != NULL)
        at = part_reserve(out, PART_REFUSED, sizeof self->nack, error);
    if (at != NULL)
        tw_put_u64s(at, self->nack, TW_NACK_N_REASONS);
    return at != NULL ? TW_STATUS_OK : TW_STATUS_NO_MEMORY;
}

/* --- decoding ----------------------------------------------------------------------------------------------------- */

static tw_status take_shards(tw_coordination *self, const unsigned char *at, size_t size, tw_error *error)
{
    size_t n = size / SHARD_SIZE;
    if (self->shard != NULL || n == 0 || n > TW_MAX_SHARDS)
        return TW_STATUS_OK;
    self->shard = tw_alloc(n * sizeof *self->shard);
    if (self->shard == NULL)
        return tw_no_memory(error, n * sizeof *self->shard);
    for (size_t i = 0; i < n; i++)
        get_shard(&self->shard[i], at + i * SHARD_SIZE);
    self->n_shards = (uint32_t)n;
    return TW_STATUS_OK;
}

static tw_status take_members(tw_coordination *self, const unsigned char *at, size_t size, tw_error *error)
{
    size_t n = size / MEMBER_SIZE;
    if (self->member != NULL || n == 0 || n > TW_MAX_MEMBERS)
        return TW_STATUS_OK;
    self->member = tw_alloc(n * sizeof *self->member);
    if (self->member == NULL)
        return tw_no_memory(error, n * sizeof *self->member);
    for (size_t i = 0; i < n; i++)
        get_member(&self->member[i], at + i * MEMBER_SIZE);
    self->n_members = (uint32_t)n;
    return TW_STATUS_OK;
}

tw_status tw_coordination_decode(tw_coordination *self, const unsigned char *bytes, size_t size, tw_error *error)
{
    size_t at = 0;
    bool has_figures = false;
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < TW_COORDINATION_N_FIGURES; i++)
        self->figure[i] = TW_STATUS_UNKNOWN;
    while (at < size && status == TW_STATUS_OK) {
        size_t part = size - at >= PART_HEAD ? tw_get_u32(bytes + at + 4) : SIZE_MAX;
        if (size - at < PART_HEAD || part > size - at - PART_HEAD)
            return tw_error_set(error, TW_STATUS_PROTOCOL, "a status whose part at byte %zu exceeds its %zu", at, size);
        uint32_t tag = tw_get_u32(bytes + at);
        const unsigned char *from = bytes + at + PART_HEAD;
        size_t n = part / 8 < TW_COORDINATION_N_FIGURES ? part / 8 : TW_COORDINATION_N_FIGURES;
        if (tag == PART_COORDINATION)
            tw_get_u64s(self->figure, from, n);
        else if (tag == PART_SHARDS)
            status = take_shards(self, from, part, error);
        else if (tag == PART_MEMBERS)
            status = take_members(self, from, part, error);
        else if (tag == PART_REFUSED)
            tw_get_u64s(self->nack, from, part / 8 < TW_NACK_N_REASONS ? part / 8 : TW_NACK_N_REASONS);
        has_figures = has_figures || tag == PART_COORDINATION;
        at += PART_HEAD + part;
    }
    if (status == TW_STATUS_OK && !has_figures)
        status = tw_error_set(error, TW_STATUS_PROTOCOL, "who answers is no coordinator");
    return status;
}
