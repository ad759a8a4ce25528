/* The door: how many connections may fail before new ones are dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/door.h"

enum { SECOND_US = 1000000 };

static void connections_that_pass_never_shut_the_door(void **state)
{
    (void)state;
    tw_door door;
    tw_door_init(&door, 0);
    for (int i = 0; i < 10000; i++) {
        assert_false(tw_door_tell(&door, TW_DOOR_CAME, 0));
        assert_false(tw_door_tell(&door, TW_DOOR_PASSED, 0));
        assert_false(tw_door_tell(&door, TW_DOOR_LEFT, 0));
    }
    assert_int_equal(door.n_came, 10000);
    assert_int_equal(door.n_passed, 10000);
    assert_int_equal(door.n_shut, 0);
}

static void a_burst_that_does_not_pass_shuts_it_until_time_has_gone_by(void **state)
{
    (void)state;
    tw_door door;
    int n = 0;
    tw_door_init(&door, 0);
    for (; !tw_door_tell(&door, TW_DOOR_CAME, 0); n++)
        (void)tw_door_tell(&door, TW_DOOR_LEFT, 0);
    (void)tw_door_tell(&door, TW_DOOR_LEFT, 0);
    assert_int_equal(n, TW_DOOR_BURST - 1);
    assert_true(tw_door_tick(&door, SECOND_US / 10));
    assert_false(tw_door_tick(&door, SECOND_US));
    assert_int_equal(door.n_shut, 1);
}

static void those_that_hang_are_bounded_at_any_pace(void **state)
{
    (void)state;
    tw_door door;
    tw_door_init(&door, 0);
    int n_open = 0;
    for (int64_t now_us = 0; now_us < 60 * (int64_t)SECOND_US; now_us += SECOND_US / 100) {
        if (!tw_door_tick(&door, now_us)) {
            n_open++;
            (void)tw_door_tell(&door, TW_DOOR_CAME, now_us);
        }
    }
    assert_int_equal(n_open, TW_DOOR_MAX_OPEN);
    for (int i = 0; i <= TW_DOOR_REOPENS; i++)
        (void)tw_door_tell(&door, TW_DOOR_LEFT, 60 * (int64_t)SECOND_US);
    assert_false(door.is_shut);
}

static void a_clock_that_stands_or_goes_back_gives_nothing(void **state)
{
    (void)state;
    tw_door door;
    tw_door_init(&door, 10 * (int64_t)SECOND_US);
    while (!tw_door_tell(&door, TW_DOOR_CAME, 10 * (int64_t)SECOND_US))
        (void)tw_door_tell(&door, TW_DOOR_LEFT, 10 * (int64_t)SECOND_US);
    assert_true(tw_door_tick(&door, 0));
    assert_true(tw_door_tick(&door, 10 * (int64_t)SECOND_US));
    assert_false(tw_door_tick(&door, INT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_that_pass_never_shut_the_door),
        cmocka_unit_test(a_burst_that_does_not_pass_shuts_it_until_time_has_gone_by),
        cmocka_unit_test(those_that_hang_are_bounded_at_any_pace),
        cmocka_unit_test(a_clock_that_stands_or_goes_back_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
