#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/fault.h"

enum { N_PIECES = 5000 };

static void pieces_are_aligned_and_do_not_overlap(void **state)
{
    tw_arena arena = {0};
    unsigned char *piece[N_PIECES];
    (void)state;
    for (size_t i = 0; i < N_PIECES; i++) {
        size_t size = 1 + i * 37 % 400;
        piece[i] = tw_arena_alloc(&arena, size);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % 16, 0);
        memset(piece[i], (int)(i & 0xff), size);
    }
    for (size_t i = 0; i < N_PIECES; i++) {
        size_t size = 1 + i * 37 % 400;
        assert_int_equal(piece[i][0], i & 0xff);
        assert_int_equal(piece[i][size - 1], i & 0xff);
    }
    tw_arena_fini(&arena);
}

static void a_piece_larger_than_a_block_is_given(void **state)
{
    tw_arena arena = {0};
    (void)state;
    unsigned char *large = tw_arena_alloc(&arena, (size_t)5 << 20);
    assert_non_null(large);
    memset(large, 1, (size_t)5 << 20);
    assert_null(tw_arena_alloc(&arena, 0));
    tw_arena_fini(&arena);
}

static void reset_gives_the_same_memory_again(void **state)
{
    tw_arena arena = {0};
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_non_null(tw_arena_alloc(&arena, 10000));
    tw_arena_reset(&arena);
    tw_fault_arm(TW_FAULT_ALLOC, 1, ENOMEM, true);
    assert_non_null(tw_arena_alloc(&arena, 10000));
    tw_fault_disarm(TW_FAULT_ALLOC);
    tw_arena_fini(&arena);
}

static void failed_growth_keeps_what_was_given(void **state)
{
    tw_arena arena = {0};
    (void)state;
    char *kept = tw_arena_alloc(&arena, 100);
    assert_non_null(kept);
    memset(kept, 'k', 100);
    tw_fault_arm(TW_FAULT_ALLOC, 1, ENOMEM, true);
    assert_null(tw_arena_alloc(&arena, (size_t)1 << 20));
    tw_fault_disarm(TW_FAULT_ALLOC);
    assert_int_equal(kept[99], 'k');
    assert_non_null(tw_arena_alloc(&arena, 100));
    tw_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_do_not_overlap),
        cmocka_unit_test(a_piece_larger_than_a_block_is_given),
        cmocka_unit_test(reset_gives_the_same_memory_again),
        cmocka_unit_test(failed_growth_keeps_what_was_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
