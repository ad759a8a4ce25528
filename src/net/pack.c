#include <msgpack.h>
#include <string.h>

#include "base/alloc.h"
#include "net/msgpack.h"

static int packer_write(void *data, const char *bytes, size_t size)
{
    tw_packer *self = data;
    if (self->is_failed || tw_grow(&self->bytes, 1, &self->capacity, self->size + size, NULL) < 0) {
        self->is_failed = true;
        return -1;
    }
    memcpy(self->bytes + self->size, bytes, size);
    self->size += size;
    return 0;
}

static msgpack_packer packer_over(tw_packer *self)
{
    return (msgpack_packer){.data = self, .callback = packer_write};
}

void tw_packer_clear(tw_packer *self)
{
    self->size = 0;
    self->is_failed = false;
}

void tw_packer_fini(tw_packer *self)
{
    tw_free(self->bytes);
    *self = (tw_packer){0};
}

tw_status tw_packer_status(const tw_packer *self, tw_error *error)
{
    return self->is_failed ? tw_no_memory(error, self->capacity * 2) : TW_STATUS_OK;
}

void tw_pack_nil(tw_packer *self)
{
    msgpack_packer packer = packer_over(self);
    (void)msgpack_pack_nil(&packer);
}

void tw_pack_bool(tw_packer *self, bool value)
{
    msgpack_packer packer = packer_over(self);
    (void)(value ? msgpack_pack_true(&packer) : msgpack_pack_false(&packer));
}

void tw_pack_uint(tw_packer *self, uint64_t value)
{
    msgpack_packer packer = packer_over(self);
    (void)msgpack_pack_uint64(&packer, value);
}

void tw_pack_int(tw_packer *self, int64_t value)
{
    msgpack_packer packer = packer_over(self);
    (void)msgpack_pack_int64(&packer, value);
}

void tw_pack_double(tw_packer *self, double value)
{
    msgpack_packer packer = packer_over(self);
    (void)msgpack_pack_double(&packer, value);
}

void tw_pack_text(tw_packer *self, const char *text)
{
    tw_pack_text_sized(self, text, strlen(text));
}

void tw_pack_text_sized(tw_packer *self, const char *text, size_t size)
{
    msgpack_packer packer = packer_over(self);
    (void)msgpack_pack_str(&packer, size);
    if (size > 0)
        (void)msgpack_pack_str_body(&packer, text, size);
}

void tw_pack_bytes(tw_packer *self, const void *bytes, size_t size)
{
    msgpack_packer packer = packer_over(self);
    (void)msgpack_pack_bin(&packer, size);
    if (size > 0)
        (void)msgpack_pack_bin_body(&packer, bytes, size);
}

void tw_pack_array(tw_packer *self, uint32_t n_values)
{
    msgpack_packer packer = packer_over(self);
    (void)msgpack_pack_array(&packer, n_values);
}

void tw_pack_map(tw_packer *self, uint32_t n_pairs)
{
    msgpack_packer packer = packer_over(self);
    (void)msgpack_pack_map(&packer, n_pairs);
}
