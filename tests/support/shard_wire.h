/* shard_wire.h: one shard that counts in rows of one u64, spoken to frame by frame. */
#ifndef TW_TESTS_SHARD_WIRE_H
#define TW_TESTS_SHARD_WIRE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "ps/shard/shard.h"

typedef struct wire {
    tw_shard *shard;
    tw_buffer out;
    unsigned char answer[1 << 16];
    size_t answer_size;
    uint32_t n_answers;
    tw_frame last;
    uint64_t model;
} wire;

static inline void wire_emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    wire *self = context;
    (void)peer;
    (void)peer_size;
    assert_true(size <= sizeof self->answer);
    memcpy(self->answer, bytes, size);
    self->answer_size = size;
    self->n_answers++;
    assert_int_equal(tw_frame_decode(self->answer, size, &self->last, NULL), TW_STATUS_OK);
}

static inline wire *wire_create(void)
{
    wire *self = calloc(1, sizeof *self);
    tw_shard_options options = {
        .count = 1, .incarnation = 42, .emit = wire_emit, .context = self, .max_session_bytes = 4 << 20};
    assert_int_equal(tw_shard_create(&options, &self->shard, NULL), TW_STATUS_OK);
    self->model = tw_hash("m", 1);
    return self;
}

static inline void wire_destroy(wire *self)
{
    tw_shard_destroy(&self->shard);
    tw_free(self->out.bytes);
    free(self);
}

static inline tw_hello counter_hello(tw_role role)
{
    tw_hello hello = {.role = role, .count = 1, .name = "m", .spec = {.kind = TW_TABLE_EXACT, .hash_seed = 1}};
    assert_int_equal(tw_record_add(&hello.spec.schema.row, "n", TW_FIELD_U64, 1, TW_MERGE_ADD, NULL), 0);
    return hello;
}

/* As peer `peer`; the answer is in `last`. */
static inline void send_hello(wire *self, const char *peer, const tw_hello *body, uint64_t sender, uint64_t sequence)
{
    tw_frame frame = {.type = TW_FRAME_HELLO, .model = self->model, .sender = sender, .sequence = sequence};
    assert_int_equal(tw_frame_begin(&self->out, &frame, NULL, NULL), 0);
    assert_int_equal(tw_hello_encode(body, &self->out, NULL), 0);
    tw_frame_finish(&self->out, &frame);
    tw_shard_receive(self->shard, peer, strlen(peer), self->out.bytes, self->out.size);
}

static inline void send_frame(
    wire *self, const char *peer, tw_frame frame, const uint64_t *keys, const void *payload, size_t size)
{
    assert_int_equal(tw_frame_begin(&self->out, &frame, keys, NULL), 0);
    assert_int_equal(tw_buffer_append(&self->out, payload, size, NULL), 0);
    tw_frame_finish(&self->out, &frame);
    tw_shard_receive(self->shard, peer, strlen(peer), self->out.bytes, self->out.size);
}

static inline tw_frame push_frame(
    const wire *self, uint64_t incarnation, uint64_t sender, uint64_t sequence, uint64_t from, uint64_t to)
{
    return (tw_frame){.type = TW_FRAME_PUSH,
        .model = self->model,
        .sender = sender,
        .incarnation = incarnation,
        .sequence = sequence,
        .form = TW_FORM_ADD,
        .n_keys = 1,
        .n_marks = 1,
        .mark = {{9, from, to}}};
}

static inline void say_hello(wire *self, const char *peer, tw_role role, uint64_t sender, uint64_t sequence)
{
    tw_hello body = counter_hello(role);
    send_hello(self, peer, &body, sender, sequence);
}

static inline void hello(wire *self, const char *peer, tw_role role, uint64_t sender, uint64_t sequence)
{
    say_hello(self, peer, role, sender, sequence);
    assert_int_equal(self->last.type, TW_FRAME_WELCOME);
}

static inline void push_one(
    wire *self, const char *peer, uint64_t sender, uint64_t sequence, uint64_t from, uint64_t to)
{
    static const uint64_t key = 77, values[2] = {0, 1};
    send_frame(
        self, peer, push_frame(self, self->last.incarnation, sender, sequence, from, to), &key, values, sizeof values);
}

static inline uint64_t count_of_77(wire *self)
{
    uint64_t key = 77;
    void *row = NULL;
    assert_int_equal(tw_table_rows(tw_shard_table(self->shard), &key, 1, TW_ACCESS_READ, &row, NULL), 0);
    return *(uint64_t *)row;
}

#endif
