#include "ps/wire/frame.h"

#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"

enum { HEADER_SUMMED = 120 };

tw_status tw_buffer_append(tw_buffer *self, const void *bytes, size_t size, tw_error *error)
{
    unsigned char *at = tw_buffer_reserve(self, size, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    if (size > 0)
        memcpy(at, bytes, size);
    return TW_STATUS_OK;
}

unsigned char *tw_buffer_reserve(tw_buffer *self, size_t size, tw_error *error)
{
    size_t needed = self->size + size > 0 ? self->size + size : 1;
    if (tw_grow(&self->bytes, 1, &self->capacity, needed, error) < 0)
        return NULL;
    unsigned char *at = self->bytes + self->size;
    self->size += size;
    return at;
}

const char *tw_nack_name(tw_nack_reason reason)
{
    static const char *const names[TW_NACK_N_REASONS] = {"none", "bad frame", "gap", "overlap", "stale epoch",
        "stale incarnation", "conflict", "overload", "schema", "unknown type", "key list gone", "wrong slot", "failed",
        "denied", "stale owner", [TW_NACK_NOT_PRIMARY] = "not primary", "too large",
        "table full", [TW_NACK_PIPELINE] = "other pipeline"};
    bool is_named = (unsigned)reason < TW_NACK_N_REASONS && names[reason] != NULL;
    return is_named ? names[reason] : "unknown reason";
}

static tw_status frame_bad(tw_frame *out, tw_nack_reason reason, tw_error *error, const char *what, uint64_t value)
{
    out->reason = reason;
    return tw_error_set(error, TW_STATUS_PROTOCOL, "frame: %s (%llu)", what, (unsigned long long)value);
}

static void header_read(const unsigned char *at, tw_frame *out)
{
    out->type = (tw_frame_type)at[6];
    out->flags = at[7];
    out->n_keys = tw_get_u32(at + 12);
    out->model = tw_get_u64(at + 16);
    out->sender = tw_get_u64(at + 24);
    out->epoch = tw_get_u64(at + 32);
    out->incarnation = tw_get_u64(at + 40);
    out->sequence = tw_get_u64(at + 48);
    out->ack = tw_get_u64(at + 56);
    out->credit_bytes = tw_get_u32(at + 64);
    out->credit_frames = tw_get_u32(at + 68);
    out->n_marks = tw_get_u16(at + 72);
    out->form = (tw_value_form)at[74];
    out->reason = (tw_nack_reason)at[75];
    out->block_first = tw_get_u32(at + 76);
    out->n_blocks = tw_get_u32(at + 80);
    out->clock = tw_get_u32(at + 84);
    out->handle = tw_get_u64(at + 88);
    out->n_learned = tw_get_u64(at + 96);
    out->generation = tw_get_u64(at + 104);
}

/* Marks and keys lie in front of the payload; their lengths are known to fit. */
static void body_read(const unsigned char *body, size_t size, tw_frame *out)
{
    for (uint32_t i = 0; i < out->n_marks; i++, body += TW_FRAME_MARK)
        out->mark[i] = (tw_frame_mark){tw_get_u64(body), tw_get_u64(body + 8), tw_get_u64(body + 16)};
    size -= (size_t)out->n_marks * TW_FRAME_MARK;
    if (out->flags & TW_FRAME_HAS_KEYS) {
        out->keys = body;
        body += (size_t)out->n_keys * 8;
        size -= (size_t)out->n_keys * 8;
    }
    out->payload = body;
    out->payload_size = size;
}

tw_status tw_frame_decode(const void *bytes, size_t size, tw_frame *out, tw_error *error)
{
    const unsigned char *at = bytes;
    memset(out, 0, sizeof *out);
    if (size < TW_FRAME_HEADER)
        return frame_bad(out, TW_NACK_BAD_FRAME, error, "shorter than a header", size);
    if (tw_get_u32(at) != TW_FRAME_MAGIC)
        return frame_bad(out, TW_NACK_BAD_FRAME, error, "wrong magic", tw_get_u32(at));
    if (tw_hash(at, HEADER_SUMMED) != tw_get_u64(at + HEADER_SUMMED))
        return frame_bad(out, TW_NACK_BAD_FRAME, error, "header checksum does not match", 0);
    header_read(at, out);
    uint32_t version = tw_get_u16(at + 4), flags = out->flags, form = (uint32_t)out->form;
    uint32_t reason = (uint32_t)out->reason, type = (uint32_t)out->type;
    if (version != TW_FRAME_VERSION) {
        out->reason = TW_NACK_UNKNOWN_TYPE;
        return tw_error_set(error, TW_STATUS_PROTOCOL, "frame: is of wire version %u, this build speaks version %d",
            version, TW_FRAME_VERSION);
    }
    if (type == 0 || type >= TW_FRAME_N_TYPES)
        return frame_bad(out, TW_NACK_UNKNOWN_TYPE, error, "unknown type", type);
    if (flags > 7 || form > TW_FORM_ADD || reason >= TW_NACK_N_REASONS)
        return frame_bad(out, TW_NACK_BAD_FRAME, error, "unknown flag, form or reason", flags);
    uint64_t body_size = tw_get_u32(at + 8);
    if (body_size != size - TW_FRAME_HEADER)
        return frame_bad(out, TW_NACK_BAD_FRAME, error, "body size is not what came", body_size);
    if (out->n_marks > TW_FRAME_MAX_MARKS)
        return frame_bad(out, TW_NACK_BAD_FRAME, error, "too many marks", out->n_marks);
    uint64_t fixed = (uint64_t)out->n_marks * TW_FRAME_MARK;
    if (flags & TW_FRAME_HAS_KEYS)
        fixed += (uint64_t)out->n_keys * 8;
    if (fixed > body_size)
        return frame_bad(out, TW_NACK_BAD_FRAME, error, "marks and keys exceed the body", fixed);
    if (tw_hash(at + TW_FRAME_HEADER, (size_t)body_size) != tw_get_u64(at + 112))
        return frame_bad(out, TW_NACK_BAD_FRAME, error, "body checksum does not match", 0);
    body_read(at + TW_FRAME_HEADER, (size_t)body_size, out);
    return TW_STATUS_OK;
}

tw_status tw_frame_begin(tw_buffer *out, const tw_frame *frame, const uint64_t *keys, tw_error *error)
{
    out->size = 0;
    size_t n_keys = keys != NULL ? frame->n_keys : 0;
    size_t size = TW_FRAME_HEADER + (size_t)frame->n_marks * TW_FRAME_MARK + n_keys * 8;
    unsigned char *at = tw_buffer_reserve(out, size, error);
    if (at == NULL)
        return TW_STATUS_NO_MEMORY;
    memset(at, 0, TW_FRAME_HEADER);
    at[7] = keys != NULL ? TW_FRAME_HAS_KEYS : 0;
    at += TW_FRAME_HEADER;
    for (uint32_t i = 0; i < frame->n_marks; i++, at += TW_FRAME_MARK) {
        tw_put_u64(at, frame->mark[i].split);
        tw_put_u64(at + 8, frame->mark[i].from);
        tw_put_u64(at + 16, frame->mark[i].to);
    }
    tw_put_u64s(at, keys, n_keys);
    return TW_STATUS_OK;
}

void tw_frame_finish(tw_buffer *out, const tw_frame *frame)
{
    unsigned char *at = out->bytes;
    size_t body_size = out->size - TW_FRAME_HEADER;
    uint32_t has_keys = at[7];
    tw_put_u32(at, TW_FRAME_MAGIC);
    tw_put_u16(at + 4, TW_FRAME_VERSION);
    at[6] = (unsigned char)frame->type;
    at[7] = (unsigned char)((frame->flags & ~(uint32_t)TW_FRAME_HAS_KEYS) | has_keys);
    tw_put_u32(at + 8, (uint32_t)body_size);
    tw_put_u32(at + 12, frame->n_keys);
    tw_put_u64(at + 16, frame->model);
    tw_put_u64(at + 24, frame->sender);
    tw_put_u64(at + 32, frame->epoch);
    tw_put_u64(at + 40, frame->incarnation);
    tw_put_u64(at + 48, frame->sequence);
    tw_put_u64(at + 56, frame->ack);
    tw_put_u32(at + 64, frame->credit_bytes);
    tw_put_u32(at + 68, frame->credit_frames);
    tw_put_u16(at + 72, frame->n_marks);
    at[74] = (unsigned char)frame->form;
    at[75] = (unsigned char)frame->reason;
    tw_put_u32(at + 76, frame->block_first);
    tw_put_u32(at + 80, frame->n_blocks);
    tw_put_u32(at + 84, frame->clock);
    tw_put_u64(at + 88, frame->handle);
    tw_put_u64(at + 96, frame->n_learned);
    tw_put_u64(at + 104, frame->generation);
    tw_put_u64(at + 112, tw_hash(at + TW_FRAME_HEADER, body_size));
    tw_put_u64(at + HEADER_SUMMED, tw_hash(at, HEADER_SUMMED));
}
