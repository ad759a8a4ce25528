/* standby_pair.h: a shard, its standby and one worker, with wires that lose, double and reorder frames. */
#ifndef TW_TESTS_STANDBY_PAIR_H
#define TW_TESTS_STANDBY_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "ps/shard/standby.h"

enum { MAX_LETTERS = 4096, N_KEYS = 3000 };

typedef struct letter {
    unsigned char *bytes;
    size_t size;
} letter;

typedef struct queue {
    letter item[MAX_LETTERS];
    size_t n;
} queue;

typedef struct pair {
    tw_shard *primary;
    tw_standby *standby;
    queue to_standby, to_primary;
    tw_frame last; /* answer to the worker; without its body */
    uint32_t n_answers;
    tw_buffer out;
    uint64_t sequence, mark, random, n_pushes;
    int64_t now_us;
    uint32_t loss, doubling, swapping; /* of 256 */
    uint64_t n_faults;
    int connection;
    tw_table_kind kind;
    tw_keep keep;
    uint64_t max_bytes;
} pair;

static inline uint64_t draw(pair *self, uint64_t below)
{
    self->random += 0x9e3779b97f4a7c15ull;
    return tw_mix64(self->random) % below;
}

static inline void queue_put(pair *self, queue *to, const void *bytes, size_t size)
{
    uint32_t n = 1;
    if (draw(self, 256) < self->loss)
        n = 0;
    else if (draw(self, 256) < self->doubling)
        n = 2;
    self->n_faults += n != 1;
    for (uint32_t i = 0; i < n && to->n < MAX_LETTERS; i++) {
        letter *put = &to->item[to->n++];
        put->bytes = malloc(size);
        put->size = size;
        memcpy(put->bytes, bytes, size);
        if (to->n > 1 && draw(self, 256) < self->swapping) {
            letter other = to->item[to->n - 2];
            to->item[to->n - 2] = *put;
            *put = other;
            self->n_faults++;
        }
    }
}

static inline void queue_clear(queue *self)
{
    for (size_t i = 0; i < self->n; i++)
        free(self->item[i].bytes);
    self->n = 0;
}

static inline void primary_emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    pair *self = context;
    if (memcmp(peer, "worker", peer_size < 6 ? peer_size : 6) == 0) {
        self->n_answers++;
        assert_int_equal(tw_frame_decode(bytes, size, &self->last, NULL), 0);
        return;
    }
    /* Only the latest connection of the standby is there. */
    char name[16];
    int length = snprintf(name, sizeof name, "standby-%d", self->connection);
    if (peer_size == (size_t)length && memcmp(peer, name, peer_size) == 0)
        queue_put(self, &self->to_standby, bytes, size);
}

static inline void standby_emit(void *context, const void *bytes, size_t size)
{
    pair *self = context;
    queue_put(self, &self->to_primary, bytes, size);
}

static inline void make_primary(pair *self, uint64_t incarnation)
{
    tw_shard_options options = {
        .count = 1, .incarnation = incarnation, .emit = primary_emit, .context = self, .max_log_bytes = 1 << 20};
    assert_int_equal(tw_shard_create(&options, &self->primary, NULL), TW_STATUS_OK);
}

static inline void make_standby(pair *self, bool is_sync)
{
    tw_standby_options options = {.count = 1, .sender = 5, .is_sync = is_sync, .emit = standby_emit, .context = self};
    assert_int_equal(tw_standby_create(&options, &self->standby, NULL), TW_STATUS_OK);
}

static inline pair *pair_create(uint64_t seed, bool is_sync)
{
    pair *self = calloc(1, sizeof *self);
    self->random = seed;
    self->kind = TW_TABLE_EXACT;
    self->now_us = 1000000;
    make_primary(self, 42 + seed);
    make_standby(self, is_sync);
    return self;
}

static inline void pair_destroy(pair *self)
{
    tw_shard_destroy(&self->primary);
    tw_standby_destroy(&self->standby);
    queue_clear(&self->to_standby);
    queue_clear(&self->to_primary);
    tw_free(self->out.bytes);
    free(self);
}

static inline void deliver(pair *self, queue *from, bool is_to_primary)
{
    while (from->n > 0) {
        letter first = from->item[0];
        memmove(from->item, from->item + 1, --from->n * sizeof *from->item);
        char name[16];
        int length = snprintf(name, sizeof name, "standby-%d", self->connection);
        if (is_to_primary)
            tw_shard_receive(self->primary, name, (size_t)length, first.bytes, first.size);
        else
            tw_standby_receive(self->standby, first.bytes, first.size);
        free(first.bytes);
    }
}

static inline void turn(pair *self, int64_t us)
{
    self->now_us += us;
    tw_shard_tick(self->primary, self->now_us);
    deliver(self, &self->to_standby, false);
    tw_standby_tick(self->standby, self->now_us);
    deliver(self, &self->to_primary, true);
}

static inline void turns(pair *self, int n)
{
    for (int i = 0; i < n; i++)
        turn(self, 20000);
}

static inline void model_of(const pair *self, tw_hello *hello)
{
    *hello = (tw_hello){
        .role = TW_ROLE_OWNER, .count = 1, .name = "m", .spec = {.kind = self->kind, .hash_seed = 1, .bits = 14}};
    assert_int_equal(tw_record_add(&hello->spec.schema.row, "n", TW_FIELD_U64, 1, TW_MERGE_ADD, NULL), 0);
    hello->spec.keep = self->keep;
    hello->spec.max_bytes = self->max_bytes;
    hello->spec.schema.n_blocks = 1;
    tw_block *block = &hello->spec.schema.block[0];
    block->count = 5;
    (void)snprintf(block->name, sizeof block->name, "sums");
    assert_int_equal(tw_record_add(&block->record, "sum", TW_FIELD_U64, 1, TW_MERGE_ADD, NULL), 0);
}

static inline void say_hello(pair *self, bool is_fresh, uint64_t epoch)
{
    tw_hello *hello = calloc(1, sizeof *hello);
    model_of(self, hello);
    hello->is_fresh = is_fresh;
    tw_frame frame = {
        .type = TW_FRAME_HELLO, .model = tw_hash("m", 1), .sender = 1, .sequence = ++self->sequence, .handle = epoch};
    assert_int_equal(tw_frame_begin(&self->out, &frame, NULL, NULL), 0);
    assert_int_equal(tw_hello_encode(hello, &self->out, NULL), 0);
    tw_frame_finish(&self->out, &frame);
    tw_shard_receive(self->primary, "worker", 6, self->out.bytes, self->out.size);
    free(hello);
}

/* One event that adds 1 to `n` keys and to all block records, in `n_parts` frames. */
static inline void push(pair *self, uint32_t n, uint32_t n_parts)
{
    static uint64_t key[N_KEYS], values[2 * (N_KEYS + 5)];
    for (uint32_t p = 0; p < n_parts; p++) {
        bool is_last = p + 1 == n_parts;
        uint32_t n_blocks = is_last ? 5 : 0, n_records = n + n_blocks;
        tw_frame frame = {.type = TW_FRAME_PUSH,
            .flags = is_last ? 0 : TW_FRAME_MORE,
            .model = tw_hash("m", 1),
            .sender = 1,
            .incarnation = self->last.incarnation,
            .sequence = ++self->sequence,
            .form = TW_FORM_ADD,
            .n_keys = n,
            .n_blocks = n_blocks,
            .n_learned = is_last,
            .n_marks = is_last};
        frame.mark[0] = (tw_frame_mark){9, self->mark, self->mark + 1};
        uint64_t first = draw(self, N_KEYS);
        for (uint32_t i = 0; i < n; i++)
            key[i] = tw_mix64((first + i) % N_KEYS + 1) | 1;
        memset(values, 0, sizeof values);
        for (uint32_t i = 0; i < n_records; i++)
            values[n_records + i] = 1;
        assert_int_equal(tw_frame_begin(&self->out, &frame, key, NULL), 0);
        assert_int_equal(tw_buffer_append(&self->out, values, (size_t)n_records * 16, NULL), 0);
        tw_frame_finish(&self->out, &frame);
        tw_shard_receive(self->primary, "worker", 6, self->out.bytes, self->out.size);
    }
    self->mark++;
    self->n_pushes++;
}

typedef struct sum {
    uint64_t rows, records, digest;
} sum;

static inline tw_status sum_visit(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    sum *self = context;
    (void)error;
    self->rows += block < 0;
    uint64_t count = *(const uint64_t *)record;
    self->records += count;
    if (count > 0)
        self->digest += tw_mix64(key * 31 + (uint64_t)block + tw_mix64(count));
    return TW_STATUS_OK;
}

static inline sum sum_of(tw_table *table)
{
    sum out = {0};
    assert_int_equal(tw_table_scan(table, sum_visit, &out, NULL), 0);
    return out;
}

static inline bool is_ready(const pair *self)
{
    tw_standby_figures figures;
    tw_standby_figures_get(self->standby, &figures);
    return figures.is_ready;
}

static inline void assert_equal_copies(pair *self)
{
    tw_table *a = tw_shard_table(self->primary), *b = tw_standby_table(self->standby);
    assert_true(is_ready(self));
    sum one = sum_of(a), two = sum_of(b);
    assert_int_equal(one.records, two.records);
    assert_int_equal(one.digest, two.digest);
    assert_int_equal(tw_table_mark(a, 9), self->mark);
    assert_int_equal(tw_table_mark(b, 9), self->mark);
    assert_int_equal(tw_table_events_learned(a), tw_table_events_learned(b));
}

/* Whatever is lost: with 2 keys and 5 block records a push, the mark says what the records must add up to. */
static inline void assert_clean_prefix(pair *self)
{
    tw_table *table = tw_standby_table(self->standby);
    if (!is_ready(self))
        return;
    uint64_t mark = tw_table_mark(table, 9);
    assert_true(mark <= self->mark);
    assert_int_equal(sum_of(table).records, mark * 7);
    assert_int_equal(tw_table_events_learned(table), mark);
}

#endif
