#include <string.h>

#include "base/alloc.h"
#include "net/msgpack.h"

/* One object's head: what it is, how many bytes of payload and how many child objects follow. */
typedef struct unpack_head {
    tw_value_kind kind;
    uint64_t number; /* of scalars, as they stand in the message */
    uint64_t size;   /* bytes, values or pairs */
    unsigned char tag;
} unpack_head;

typedef struct unpack_reader {
    const unsigned char *bytes;
    size_t size, at;
} unpack_reader;

/* Formats from 0xc0 on: kind, bytes of the number or length behind the tag, extra payload bytes (the type of an ext)
 * or, with width 0, the fixed payload. Format 0xc1 is reserved. */
typedef struct unpack_format {
    tw_value_kind kind;
    unsigned char width, extra;
} unpack_format;

static const unpack_format formats[32] = {
    {TW_VALUE_NIL, 0, 0},
    {TW_VALUE_NIL, 0, 0},
    {TW_VALUE_BOOL, 0, 0},
    {TW_VALUE_BOOL, 0, 0},
    {TW_VALUE_BYTES, 1, 0},
    {TW_VALUE_BYTES, 2, 0},
    {TW_VALUE_BYTES, 4, 0},
    {TW_VALUE_EXT, 1, 1},
    {TW_VALUE_EXT, 2, 1},
    {TW_VALUE_EXT, 4, 1},
    {TW_VALUE_FLOAT, 4, 0},
    {TW_VALUE_FLOAT, 8, 0},
    {TW_VALUE_UINT, 1, 0},
    {TW_VALUE_UINT, 2, 0},
    {TW_VALUE_UINT, 4, 0},
    {TW_VALUE_UINT, 8, 0},
    {TW_VALUE_INT, 1, 0},
    {TW_VALUE_INT, 2, 0},
    {TW_VALUE_INT, 4, 0},
    {TW_VALUE_INT, 8, 0},
    {TW_VALUE_EXT, 0, 2},
    {TW_VALUE_EXT, 0, 3},
    {TW_VALUE_EXT, 0, 5},
    {TW_VALUE_EXT, 0, 9},
    {TW_VALUE_EXT, 0, 17},
    {TW_VALUE_TEXT, 1, 0},
    {TW_VALUE_TEXT, 2, 0},
    {TW_VALUE_TEXT, 4, 0},
    {TW_VALUE_ARRAY, 2, 0},
    {TW_VALUE_ARRAY, 4, 0},
    {TW_VALUE_MAP, 2, 0},
    {TW_VALUE_MAP, 4, 0},
};

static bool kind_has_payload(tw_value_kind kind)
{
    return kind == TW_VALUE_TEXT || kind == TW_VALUE_BYTES || kind == TW_VALUE_EXT;
}

static void head_of_small(unsigned char tag, unpack_head *out)
{
    if (tag < 0x80)
        *out = (unpack_head){TW_VALUE_UINT, tag, 0, tag};
    else if (tag < 0x90)
        *out = (unpack_head){TW_VALUE_MAP, 0, tag & 15u, tag};
    else if (tag < 0xa0)
        *out = (unpack_head){TW_VALUE_ARRAY, 0, tag & 15u, tag};
    else if (tag < 0xc0)
        *out = (unpack_head){TW_VALUE_TEXT, 0, tag & 31u, tag};
    else
        *out = (unpack_head){TW_VALUE_INT, (uint64_t)(int64_t)(tag - 256), 0, tag};
}

/* Reads tag and number, not the payload. False: the message ends too early or the tag is reserved. */
static bool head_read(unpack_reader *self, unpack_head *out)
{
    if (self->at >= self->size)
        return false;
    unsigned char tag = self->bytes[self->at++];
    if (tag < 0xc0 || tag >= 0xe0) {
        head_of_small(tag, out);
        return true;
    }
    const unpack_format *format = &formats[tag - 0xc0];
    if (tag == 0xc1 || self->size - self->at < format->width)
        return false;
    uint64_t number = 0;
    for (uint32_t i = 0; i < format->width; i++)
        number = number << 8 | self->bytes[self->at++];
    *out = (unpack_head){format->kind, number, number + format->extra, tag};
    return true;
}

/* Children of an object: values of arrays, keys and values of maps. */
static uint64_t head_children(const unpack_head *head)
{
    if (head->kind == TW_VALUE_ARRAY)
        return head->size;
    return head->kind == TW_VALUE_MAP ? head->size * 2 : 0;
}

static tw_status scan_error(tw_error *error, const unpack_reader *reader, const char *what, uint64_t limit)
{
    if (limit > 0)
        return tw_error_set(error, TW_STATUS_PROTOCOL, "MessagePack byte %zu of %zu: %s (limit %llu)", reader->at,
            reader->size, what, (unsigned long long)limit);
    return tw_error_set(error, TW_STATUS_PROTOCOL, "MessagePack byte %zu of %zu: %s", reader->at, reader->size, what);
}

/* The pre-scan: walks all objects without allocating; a container may not declare more children than bytes are left. */
static tw_status document_scan(unpack_reader reader, uint32_t max_objects, uint32_t *n_objects, tw_error *error)
{
    uint64_t left[TW_MSGPACK_MAX_DEPTH + 1] = {1};
    uint32_t depth = 0;
    *n_objects = 0;
    for (;;) {
        while (left[depth] == 0) {
            if (depth == 0)
                return reader.at == reader.size ? TW_STATUS_OK
                                                : scan_error(error, &reader, "bytes behind the object", 0);
            depth--;
        }
        unpack_head head;
        if (!head_read(&reader, &head))
            return scan_error(error, &reader, "the message ends inside an object or has a reserved tag", 0);
        if (++*n_objects > max_objects)
            return scan_error(error, &reader, "too many objects", max_objects);
        left[depth]--;
        size_t rest = reader.size - reader.at;
        if (kind_has_payload(head.kind)) {
            if (head.size > rest)
                return scan_error(error, &reader, "a length exceeds the message", 0);
            reader.at += (size_t)head.size;
        }
        uint64_t n_children = head_children(&head);
        if (n_children > rest)
            return scan_error(error, &reader, "a count exceeds the message", 0);
        if (n_children == 0)
            continue;
        if (depth == TW_MSGPACK_MAX_DEPTH)
            return scan_error(error, &reader, "objects nested too deep", TW_MSGPACK_MAX_DEPTH);
        left[++depth] = n_children;
    }
}

static double head_float(const unpack_head *head)
{
    if (head->tag == 0xcb) {
        double wide;
        memcpy(&wide, &head->number, sizeof wide);
        return wide;
    }
    uint32_t bits = (uint32_t)head->number;
    float narrow;
    memcpy(&narrow, &bits, sizeof narrow);
    return (double)narrow;
}

static void value_set_int(tw_value *self, const unpack_head *head)
{
    uint64_t number = head->number;
    if (head->tag >= 0xd0 && head->tag <= 0xd2) {
        uint64_t sign = UINT64_C(1) << ((8u << (head->tag - 0xd0)) - 1);
        number = (number ^ sign) - sign;
    }
    self->as.u = number;
    self->kind = (int64_t)number < 0 ? TW_VALUE_INT : TW_VALUE_UINT;
}

static void value_set(tw_value *self, const unpack_head *head, unpack_reader *reader)
{
    *self = (tw_value){.kind = head->kind, .n_nodes = 1, .as.u = head->number};
    if (head->kind == TW_VALUE_BOOL) {
        self->as.u = 0;
        self->as.is_true = head->tag == 0xc3;
    } else if (head->kind == TW_VALUE_INT) {
        value_set_int(self, head);
    } else if (head->kind == TW_VALUE_FLOAT) {
        self->as.f = head_float(head);
    } else if (kind_has_payload(head->kind)) {
        self->size = (uint32_t)head->size;
        self->as.bytes = (const char *)reader->bytes + reader->at;
        reader->at += (size_t)head->size;
    } else if (head->kind == TW_VALUE_ARRAY || head->kind == TW_VALUE_MAP) {
        self->size = (uint32_t)head->size;
    }
}

/* The message is known to be well formed. */
static void document_build(unpack_reader reader, tw_document *out)
{
    uint64_t left[TW_MSGPACK_MAX_DEPTH + 1] = {1};
    uint32_t parent[TW_MSGPACK_MAX_DEPTH + 1] = {0};
    uint32_t depth = 0;
    for (uint32_t i = 0; i < out->n_values; i++) {
        unpack_head head;
        if (!head_read(&reader, &head))
            return;
        value_set(&out->value[i], &head, &reader);
        left[depth]--;
        uint64_t n_children = head_children(&head);
        if (n_children > 0) {
            left[++depth] = n_children;
            parent[depth] = i;
        }
        while (depth > 0 && left[depth] == 0) {
            out->value[parent[depth]].n_nodes = i + 1 - parent[depth];
            depth--;
        }
    }
}

tw_status tw_unpack(const void *bytes, size_t size, uint32_t max_objects, tw_document *out, tw_error *error)
{
    unpack_reader reader = {bytes, size, 0};
    *out = (tw_document){0};
    if (size > UINT32_MAX / 2)
        return scan_error(error, &reader, "the message is too long", UINT32_MAX / 2);
    uint32_t n_objects = 0;
    tw_status status = document_scan(reader, max_objects ? max_objects : TW_MSGPACK_MAX_OBJECTS, &n_objects, error);
    if (status < 0)
        return status;
    out->value = tw_alloc(n_objects * sizeof *out->value);
    if (out->value == NULL)
        return tw_no_memory(error, n_objects * sizeof *out->value);
    out->n_values = n_objects;
    document_build(reader, out);
    return TW_STATUS_OK;
}

void tw_document_fini(tw_document *self)
{
    tw_free(self->value);
    *self = (tw_document){0};
}

bool tw_value_is_text(const tw_value *self, const char *text)
{
    return self != NULL && self->kind == TW_VALUE_TEXT && self->size == strlen(text) &&
           memcmp(self->as.bytes, text, self->size) == 0;
}

const tw_value *tw_value_find(const tw_value *self, const char *key)
{
    if (self == NULL || self->kind != TW_VALUE_MAP)
        return NULL;
    const tw_value *at = tw_value_first(self);
    for (uint32_t i = 0; i < self->size; i++) {
        const tw_value *value = tw_value_next(at);
        if (tw_value_is_text(at, key))
            return value;
        at = tw_value_next(value);
    }
    return NULL;
}

bool tw_value_number(const tw_value *self, double *out)
{
    if (self == NULL)
        return false;
    if (self->kind == TW_VALUE_UINT)
        *out = (double)self->as.u;
    else if (self->kind == TW_VALUE_INT)
        *out = (double)self->as.i;
    else if (self->kind == TW_VALUE_FLOAT)
        *out = self->as.f;
    else
        return false;
    return true;
}

bool tw_value_unsigned(const tw_value *self, uint64_t *out)
{
    if (self == NULL || self->kind != TW_VALUE_UINT)
        return false;
    *out = self->as.u;
    return true;
}
