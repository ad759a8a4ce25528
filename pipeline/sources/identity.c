#include "sources/identity.h"

#include <string.h>

#include "base/hash.h"

tw_status tw_identity_read(const tw_stream *stream, tw_file_identity *out, tw_file_info *info, tw_error *error)
{
    char head[TW_FILE_PROBE_SIZE];
    size_t n_read = 0;
    *out = (tw_file_identity){0};
    tw_status status = tw_stream_info(stream, info, error);
    if (status == TW_STATUS_OK)
        status = tw_stream_peek_raw(stream, 0, head, sizeof head, &n_read, error);
    if (status != TW_STATUS_OK)
        return status;
    size_t n = n_read < TW_FILE_HEAD_SIZE ? n_read : TW_FILE_HEAD_SIZE;
    tw_stream_kind kind = tw_stream_kind_from(head, n);
    const char *newline = NULL;
    if (kind == TW_STREAM_PLAIN)
        newline = memchr(head, '\n', n);
    if (newline != NULL)
        n = (size_t)(newline - head) + 1;
    *out = (tw_file_identity){
        .device = info->device,
        .inode = info->inode,
        .head_hash = tw_hash(head, n),
        .probe_hash = tw_hash(head, n_read),
        .born_us = info->born_us,
        .modified_us = info->modified_us,
        .head_size = (uint32_t)n,
        .probe_size = (uint32_t)n_read,
        .is_whole = newline != NULL || n == TW_FILE_HEAD_SIZE || kind == TW_STREAM_GZIP || kind == TW_STREAM_ZSTD,
        .is_packed = kind == TW_STREAM_GZIP || kind == TW_STREAM_ZSTD,
    };
    return TW_STATUS_OK;
}

bool tw_identity_has_inode(const tw_file_identity *identity, const tw_file_info *info)
{
    bool is_born = identity->born_us == 0 || info->born_us == 0 || identity->born_us == info->born_us;
    return identity->device == info->device && identity->inode == info->inode && is_born;
}

tw_status tw_identity_has_head(
    const tw_file_identity *identity, const tw_stream *stream, bool *has_head, tw_error *error)
{
    char head[TW_FILE_PROBE_SIZE];
    size_t n = 0;
    size_t wanted = identity->probe_size > identity->head_size ? identity->probe_size : identity->head_size;
    *has_head = false;
    if (wanted > sizeof head)
        return TW_STATUS_OK;
    tw_status status = tw_stream_peek_raw(stream, 0, head, wanted, &n, error);
    if (status == TW_STATUS_OK)
        *has_head = n == wanted && tw_hash(head, identity->head_size) == identity->head_hash &&
                    (identity->probe_size == 0 || tw_hash(head, identity->probe_size) == identity->probe_hash);
    return status;
}

static void put_u64(unsigned char *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get_u64(const unsigned char *from)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

uint64_t tw_identity_id(const tw_file_identity *identity)
{
    unsigned char bytes[40];
    put_u64(bytes, identity->head_hash);
    put_u64(bytes + 8, identity->inode);
    put_u64(bytes + 16, identity->device);
    put_u64(bytes + 24, identity->generation);
    put_u64(bytes + 32, (uint64_t)identity->born_us);
    uint64_t id = tw_hash(bytes, sizeof bytes);
    return id != 0 ? id : 1;
}

uint64_t tw_identity_stripe_id(const tw_file_identity *identity, uint64_t number)
{
    uint64_t id = tw_mix64(tw_identity_id(identity) ^ tw_mix64(number + 1));
    return id != 0 ? id : 1;
}

void tw_identity_encode(const tw_file_identity *identity, unsigned char bytes[TW_SPLIT_IDENTITY_SIZE])
{
    memset(bytes, 0, TW_SPLIT_IDENTITY_SIZE);
    put_u64(bytes, identity->device);
    put_u64(bytes + 8, identity->inode);
    put_u64(bytes + 16, identity->head_hash);
    put_u64(bytes + 24, identity->generation);
    put_u64(bytes + 32, identity->head_size);
    put_u64(bytes + 48, (uint64_t)identity->modified_us);
    put_u64(bytes + 56, identity->probe_size);
    put_u64(bytes + 64, identity->probe_hash);
    put_u64(bytes + 72, (uint64_t)identity->born_us);
    bytes[40] = identity->is_whole != 0;
    bytes[41] = identity->is_pipe != 0;
    bytes[42] = identity->is_packed != 0;
}

void tw_identity_decode(tw_file_identity *identity, const unsigned char bytes[TW_SPLIT_IDENTITY_SIZE])
{
    uint64_t head_size = get_u64(bytes + 32), probe_size = get_u64(bytes + 56);
    *identity = (tw_file_identity){
        .device = get_u64(bytes),
        .inode = get_u64(bytes + 8),
        .head_hash = get_u64(bytes + 16),
        .probe_hash = get_u64(bytes + 64),
        .generation = get_u64(bytes + 24),
        .born_us = (int64_t)get_u64(bytes + 72),
        .modified_us = (int64_t)get_u64(bytes + 48),
        .head_size = head_size > UINT32_MAX ? UINT32_MAX : (uint32_t)head_size,
        .probe_size = probe_size > UINT32_MAX ? UINT32_MAX : (uint32_t)probe_size,
        .is_whole = bytes[40],
        .is_pipe = bytes[41],
        .is_packed = bytes[42],
    };
}
