/* What a server says of what it refused: not often, and not of what honest peers do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ps/edge/refusal_log.h"
#include "ps/wire/status.h"

enum { S = 1000000 };

static void strangers_are_told_of_at_once_and_then_every_ten_seconds_while_there_are_more(void **state)
{
    (void)state;
    tw_refusal_log log = {0};
    tw_refusals refusals = {0};
    char text[TW_REFUSALS_TEXT_SIZE];
    uint32_t n_told = 0;
    for (int64_t at = S; at < 101 * S; at += S / 10) {
        tw_refusals_count(&refusals, TW_NACK_DENIED);
        n_told += tw_refusal_log_is_due(&log, at, &refusals, NULL, false, text);
    }
    assert_int_equal(n_told, 10);
    for (int64_t at = 101 * S; at < 200 * S; at += S / 10)
        n_told += tw_refusal_log_is_due(&log, at, &refusals, NULL, false, text);
    assert_int_equal(n_told, 11);
    assert_string_equal(text, "frames: 0 repeated, 0 formless, 1000 denied");
}

static void what_honest_peers_do_is_not_told_of(void **state)
{
    (void)state;
    tw_refusal_log log = {0};
    tw_refusals refusals = {.n_repeated = 3};
    char text[TW_REFUSALS_TEXT_SIZE];
    tw_refusals_count(&refusals, TW_NACK_OVERLOAD);
    tw_refusals_count(&refusals, TW_NACK_STALE_INCARNATION);
    assert_false(tw_refusal_log_is_due(&log, S, &refusals, NULL, false, text));
    assert_false(tw_refusal_log_is_due(&log, 2 * S, &refusals, NULL, true, text));
    assert_true(tw_refused_connections(NULL) == TW_STATUS_UNKNOWN);
}

static void a_server_that_ends_says_what_there_was(void **state)
{
    (void)state;
    tw_refusal_log log = {0};
    tw_refusals refusals = {.n_formless = 1};
    char text[TW_REFUSALS_TEXT_SIZE];
    assert_true(tw_refusal_log_is_due(&log, S, &refusals, NULL, false, text));
    assert_true(tw_refusal_log_is_due(&log, 2 * S, &refusals, NULL, true, text));
    assert_string_equal(text, "frames: 0 repeated, 1 formless");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_are_told_of_at_once_and_then_every_ten_seconds_while_there_are_more),
        cmocka_unit_test(what_honest_peers_do_is_not_told_of),
        cmocka_unit_test(a_server_that_ends_says_what_there_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
