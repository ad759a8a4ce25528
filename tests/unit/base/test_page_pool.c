#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/page_pool.h"

enum { N_RUNS = 2000, N_STEPS = 20000, KIB = 1024 };

typedef struct run {
    unsigned char *bytes;
    size_t size;
    unsigned char tag;
} run;

static uint64_t draw(uint64_t *state)
{
    return tw_mix64(*state += 0x9e3779b97f4a7c15ull);
}

/* The first and last bytes of every page of it. */
static void run_fill(const run *self)
{
    for (size_t i = 0; i < self->size; i += 4096)
        self->bytes[i] = self->tag;
    self->bytes[self->size - 1] = self->tag;
}

static void run_check(const run *self)
{
    for (size_t i = 0; i < self->size; i += 4096)
        assert_int_equal(self->bytes[i], self->tag);
    assert_int_equal(self->bytes[self->size - 1], self->tag);
}

static void take(tw_page_pool *pool, run *self, size_t size, unsigned char tag)
{
    *self = (run){tw_page_pool_take(pool, size), size, tag};
    assert_non_null(self->bytes);
    assert_int_equal((uintptr_t)self->bytes % 64, 0);
    for (size_t i = 0; i < size; i++) {
        if (self->bytes[i] != 0)
            fail_msg("byte %zu of %zu is %u", i, size, self->bytes[i]);
    }
    run_fill(self);
}

static void give(tw_page_pool *pool, run *self)
{
    tw_page_pool_give(pool, self->bytes, self->size);
    *self = (run){0};
}

static size_t some_size(uint64_t *state)
{
    return 1 + draw(state) % (draw(state) % 4 == 0 ? 3000 * KIB : 40 * KIB);
}

static void runs_are_zero_apart_and_keep_what_is_written_to_them(void **state)
{
    tw_page_pool *pool = tw_page_pool_create(64 * KIB * KIB);
    static run out[N_RUNS];
    uint64_t seed = 1;
    (void)state;
    for (int i = 0; i < N_STEPS; i++) {
        run *at = &out[draw(&seed) % N_RUNS];
        if (at->bytes == NULL) {
            take(pool, at, some_size(&seed), (unsigned char)(1 + draw(&seed) % 255));
            continue;
        }
        run_check(at);
        give(pool, at);
    }
    for (int i = 0; i < N_RUNS; i++) {
        if (out[i].bytes != NULL)
            run_check(&out[i]);
        give(pool, &out[i]);
    }
    assert_int_equal(tw_page_pool_mapped(pool), 0);
    tw_page_pool_destroy(&pool);
    assert_null(pool);
}

static void what_is_still_out_ends_with_the_pool(void **state)
{
    tw_page_pool *pool = tw_page_pool_create(64 * KIB * KIB);
    (void)state;
    assert_non_null(tw_page_pool_take(pool, 100 * KIB));
    assert_non_null(tw_page_pool_take(pool, 5000 * KIB));
    assert_true(tw_page_pool_mapped(pool) >= 5100 * KIB);
    tw_page_pool_destroy(&pool);
    tw_page_pool_destroy(&pool);
}

static run *run_at(run *out, const void *bytes)
{
    for (int i = 0; i < N_RUNS; i++) {
        if (out[i].bytes == bytes)
            return &out[i];
    }
    fail_msg("no run begins there");
    return NULL;
}

static void runs_move_together_until_gaps_are_few(void **state)
{
    tw_page_pool *pool = tw_page_pool_create(0);
    static run out[N_RUNS];
    void *from;
    int n_moves = 0;
    (void)state;
    for (int i = 0; i < N_RUNS; i++)
        take(pool, &out[i], 100 * KIB + (size_t)i % 7 * 4096, (unsigned char)(i % 255 + 1));
    assert_false(tw_page_pool_is_scattered(pool, 128 * KIB, &from));
    for (int i = 1; i < N_RUNS; i += 2)
        give(pool, &out[i]);
    uint64_t before = tw_page_pool_mapped(pool);
    while (tw_page_pool_is_scattered(pool, 128 * KIB, &from)) {
        run *at = run_at(out, from);
        at->bytes = tw_page_pool_move(pool, from, at->size);
        assert_true(at->bytes < (unsigned char *)from);
        assert_true(++n_moves < 10 * N_RUNS);
    }
    assert_true(n_moves > 0);
    for (int i = 0; i < N_RUNS; i += 2)
        run_check(&out[i]);
    for (int i = 0; i < N_RUNS; i += 2)
        give(pool, &out[i]);
    assert_true(before > 0);
    assert_int_equal(tw_page_pool_mapped(pool), 0);
    tw_page_pool_destroy(&pool);
}

/* Between being told that it is to move and moving, another thread may give the run before the gap. */
static void a_run_moves_to_where_the_gap_before_it_begins_by_then(void **state)
{
    tw_page_pool *pool = tw_page_pool_create(0);
    static run out[N_RUNS];
    run *before = NULL;
    void *from;
    (void)state;
    for (int i = 0; i < N_RUNS; i++)
        take(pool, &out[i], 100 * KIB, (unsigned char)(i % 255 + 1));
    for (int i = 1; i < N_RUNS; i += 2)
        give(pool, &out[i]);
    assert_true(tw_page_pool_is_scattered(pool, 128 * KIB, &from));
    run *at = run_at(out, from);
    for (int i = 0; i < N_RUNS; i += 2) {
        if (out[i].bytes < at->bytes && (before == NULL || out[i].bytes > before->bytes))
            before = &out[i];
    }
    assert_non_null(before);
    unsigned char *place = before->bytes;
    give(pool, before);
    at->bytes = tw_page_pool_move(pool, from, at->size);
    assert_true(at->bytes <= place);
    assert_ptr_equal(tw_page_pool_move(pool, at->bytes, at->size), at->bytes);
    for (int i = 0; i < N_RUNS; i += 2) {
        if (out[i].bytes != NULL)
            run_check(&out[i]);
        give(pool, &out[i]);
    }
    assert_int_equal(tw_page_pool_mapped(pool), 0);
    tw_page_pool_destroy(&pool);
}

static void a_size_that_cannot_be_had_gives_null(void **state)
{
    tw_page_pool *pool = tw_page_pool_create(64 * KIB * KIB);
    (void)state;
    assert_null(tw_page_pool_take(pool, 0));
    assert_null(tw_page_pool_take(pool, SIZE_MAX));
    assert_null(tw_page_pool_take(pool, SIZE_MAX / 2));
    for (uint64_t nth = 1; nth <= 3; nth++) {
        tw_fault_arm(TW_FAULT_ALLOC, nth, 0, false);
        void *memory = tw_page_pool_take(pool, 3000 * KIB);
        uint64_t fired = tw_fault_fired(TW_FAULT_ALLOC);
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_int_equal(memory == NULL, fired > 0);
        tw_page_pool_give(pool, memory, 3000 * KIB);
    }
    tw_page_pool_destroy(&pool);
}

static void *take_and_give(void *argument)
{
    tw_page_pool *pool = argument;
    uint64_t seed = (uint64_t)(uintptr_t)&seed;
    for (int i = 0; i < N_STEPS / 20; i++) {
        run one = {.size = some_size(&seed), .tag = (unsigned char)(1 + draw(&seed) % 255)};
        one.bytes = tw_page_pool_take(pool, one.size);
        if (one.bytes == NULL)
            return pool;
        run_fill(&one);
        for (size_t j = 0; j < one.size; j += 4096) {
            if (one.bytes[j] != one.tag)
                return pool;
        }
        give(pool, &one);
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    tw_page_pool *pool = tw_page_pool_create(64 * KIB * KIB);
    pthread_t thread[3];
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, take_and_give, pool), 0);
    for (int i = 0; i < 3; i++) {
        void *failed = pool;
        assert_int_equal(pthread_join(thread[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(tw_page_pool_mapped(pool), 0);
    tw_page_pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_zero_apart_and_keep_what_is_written_to_them),
        cmocka_unit_test(what_is_still_out_ends_with_the_pool),
        cmocka_unit_test(runs_move_together_until_gaps_are_few),
        cmocka_unit_test(a_run_moves_to_where_the_gap_before_it_begins_by_then),
        cmocka_unit_test(a_size_that_cannot_be_had_gives_null),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
