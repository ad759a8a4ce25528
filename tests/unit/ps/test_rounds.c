/* Rounds of several workers: the state machine by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "data/key.h"
#include "ps/shard/replication.h"
#include "ps/shard/shard_rounds.h"

enum { N = 3, SECOND = 1000000 };

/* --- the state machine -------------------------------------------------------------------------------------------- */

static uint32_t join(tw_rounds *self, uint32_t index, uint32_t staleness, uint64_t birth, uint32_t clock)
{
    tw_round_member who = {index, N, staleness, birth};
    assert_int_equal(tw_rounds_join(self, &who, 0, SECOND, &clock, NULL), TW_STATUS_OK);
    return clock;
}

static void join_all(tw_rounds *self, uint32_t staleness)
{
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(join(self, i, staleness, 10 + i, 0), 1);
}

static void a_worker_reads_up_to_the_staleness_ahead_of_the_slowest(void **state)
{
    (void)state;
    tw_rounds rounds = {0};
    uint32_t culprit;
    join_all(&rounds, 2);
    assert_true(tw_rounds_may_read(&rounds, 0, 3, &culprit));
    assert_false(tw_rounds_may_read(&rounds, 0, 4, &culprit));
    assert_int_equal(culprit, 1);
    tw_rounds_advance(&rounds, 1, 5);
    assert_false(tw_rounds_may_read(&rounds, 0, 4, &culprit));
    assert_int_equal(culprit, 2);
    tw_rounds_advance(&rounds, 2, 2);
    assert_true(tw_rounds_may_read(&rounds, 0, 4, &culprit));
    tw_rounds_fini(&rounds);
}

static void a_worker_that_has_finished_is_not_waited_for(void **state)
{
    (void)state;
    tw_rounds rounds = {0};
    uint32_t culprit;
    join_all(&rounds, 0);
    tw_rounds_leave(&rounds, 1);
    tw_rounds_leave(&rounds, 2);
    assert_true(tw_rounds_may_read(&rounds, 0, 100, &culprit));
    tw_rounds_fini(&rounds);
}

static void a_worker_that_has_not_come_is_waited_for_and_named(void **state)
{
    (void)state;
    tw_rounds rounds = {0};
    uint32_t culprit, round;
    join(&rounds, 0, 0, 10, 0);
    join(&rounds, 2, 0, 12, 0);
    tw_rounds_stage(&rounds, 0, 1);
    tw_rounds_stage(&rounds, 2, 1);
    assert_false(tw_rounds_is_complete(&rounds, &round, &culprit));
    assert_int_equal(culprit, 1);
    assert_false(tw_rounds_tick(&rounds, 1000ll * SECOND));
    assert_false(tw_rounds_is_complete(&rounds, &round, &culprit));
    tw_rounds_fini(&rounds);
}

static void a_successor_goes_on_at_the_clock_of_its_predecessor(void **state)
{
    (void)state;
    tw_rounds rounds = {0};
    uint32_t culprit;
    join_all(&rounds, 1);
    tw_rounds_advance(&rounds, 1, 7);
    assert_int_equal(join(&rounds, 1, 1, 20, 0), 7);
    assert_false(tw_rounds_holds(&rounds, 1, 11));
    tw_round_member predecessor = {1, N, 1, 11};
    uint32_t clock = 7;
    assert_int_equal(tw_rounds_join(&rounds, &predecessor, 0, SECOND, &clock, NULL), TW_STATUS_CONFLICT);
    assert_true(tw_rounds_may_read(&rounds, 1, 2, &culprit));
    tw_rounds_fini(&rounds);
}

static void a_late_worker_starts_with_the_slowest(void **state)
{
    (void)state;
    tw_rounds rounds = {0};
    join_all(&rounds, 3);
    tw_rounds_leave(&rounds, 2);
    tw_rounds_advance(&rounds, 0, 9);
    tw_rounds_advance(&rounds, 1, 8);
    assert_int_equal(join(&rounds, 2, 3, 30, 0), 8);
    tw_rounds_fini(&rounds);
}

static void long_after_all_have_finished_a_new_go_begins_at_round_one(void **state)
{
    (void)state;
    tw_rounds rounds = {0};
    uint32_t culprit;
    join_all(&rounds, 0);
    for (uint32_t i = 0; i < N; i++) {
        tw_rounds_advance(&rounds, i, 5);
        tw_rounds_leave(&rounds, i);
    }
    assert_int_equal(join(&rounds, 1, 0, 40, 0), 5);
    assert_true(tw_rounds_may_read(&rounds, 1, 6, &culprit));
    tw_rounds_leave(&rounds, 1);
    tw_round_member late = {1, N, 0, 50};
    uint32_t clock = 0;
    int64_t later = (int64_t)(TW_ROUNDS_SILENT_S + 1) * SECOND;
    assert_int_equal(tw_rounds_join(&rounds, &late, later, SECOND, &clock, NULL), TW_STATUS_OK);
    assert_int_equal(clock, 1);
    assert_false(tw_rounds_may_read(&rounds, 1, 2, &culprit));
    tw_rounds_fini(&rounds);
}

static void a_shard_that_came_back_gives_up_only_who_does_not_come(void **state)
{
    (void)state;
    tw_rounds rounds = {0};
    uint32_t culprit;
    assert_int_equal(join(&rounds, 0, 0, 10, 17), 17);
    assert_false(tw_rounds_may_read(&rounds, 0, 17, &culprit));
    assert_int_equal(join(&rounds, 1, 0, 11, 18), 18);
    assert_false(tw_rounds_tick(&rounds, SECOND - 1));
    assert_true(tw_rounds_tick(&rounds, SECOND));
    assert_true(tw_rounds_may_read(&rounds, 0, 17, &culprit));
    assert_int_equal(join(&rounds, 2, 0, 12, 0), 17);
    tw_rounds_fini(&rounds);
}

static void a_shard_that_came_back_is_noticed_also_behind_a_successor_that_knows_no_round(void **state)
{
    (void)state;
    tw_rounds rounds = {0};
    uint32_t culprit;
    assert_int_equal(join(&rounds, 0, 0, 10, 0), 1);
    assert_int_equal(join(&rounds, 1, 0, 11, 18), 18);
    assert_true(tw_rounds_tick(&rounds, SECOND));
    assert_true(tw_rounds_may_read(&rounds, 0, 1, &culprit));
    tw_rounds_fini(&rounds);
}

static void workers_of_another_number_or_staleness_are_refused_while_others_work(void **state)
{
    (void)state;
    tw_rounds rounds = {0};
    tw_error error = {0};
    uint32_t clock = 0;
    tw_round_member other = {0, N + 1, 0, 50}, looser = {0, N, 4, 50};
    join_all(&rounds, 0);
    assert_int_equal(tw_rounds_join(&rounds, &other, SECOND, SECOND, &clock, &error), TW_STATUS_CONFLICT);
    assert_non_null(strstr(error.message, "3 workers with staleness 0"));
    assert_int_equal(tw_rounds_join(&rounds, &looser, SECOND, SECOND, &clock, NULL), TW_STATUS_CONFLICT);
    int64_t later = (int64_t)(TW_ROUNDS_SILENT_S + 1) * SECOND;
    assert_int_equal(tw_rounds_join(&rounds, &looser, later, SECOND, &clock, NULL), TW_STATUS_OK);
    assert_int_equal(rounds.staleness, 4);
    tw_rounds_fini(&rounds);
}

static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    tw_rounds rounds = {0};
    uint32_t clock = 0;
    const tw_round_member bad[] = {{N, N, 0, 1}, {0, TW_ROUNDS_MAX_WORKERS + 1, 0, 1}, {0, N, 0, 0}};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(tw_rounds_join(&rounds, &bad[i], 0, SECOND, &clock, NULL), TW_STATUS_INVALID);
    tw_rounds_fini(&rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_reads_up_to_the_staleness_ahead_of_the_slowest),
        cmocka_unit_test(a_worker_that_has_finished_is_not_waited_for),
        cmocka_unit_test(a_worker_that_has_not_come_is_waited_for_and_named),
        cmocka_unit_test(a_successor_goes_on_at_the_clock_of_its_predecessor),
        cmocka_unit_test(a_late_worker_starts_with_the_slowest),
        cmocka_unit_test(long_after_all_have_finished_a_new_go_begins_at_round_one),
        cmocka_unit_test(a_shard_that_came_back_gives_up_only_who_does_not_come),
        cmocka_unit_test(a_shard_that_came_back_is_noticed_also_behind_a_successor_that_knows_no_round),
        cmocka_unit_test(workers_of_another_number_or_staleness_are_refused_while_others_work),
        cmocka_unit_test(numbers_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
