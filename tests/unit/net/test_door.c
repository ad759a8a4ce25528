/* The door: how many connections may fail before new ones are dropped, and whose. */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
    assert_int_equal(door.state, TW_DOOR_OPEN);
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

static void hosts_that_were_let_in_come_through_a_door_that_is_shut_to_strangers_but_not_without_limit(void **state)
{
    (void)state;
    tw_door door;
    tw_door_init(&door, 0);
    while (tw_door_tell(&door, TW_DOOR_CAME, 0) == TW_DOOR_OPEN)
        (void)tw_door_tell(&door, TW_DOOR_LEFT, 0);
    (void)tw_door_tell(&door, TW_DOOR_LEFT, 0);
    assert_int_equal(door.state, TW_DOOR_TO_KNOWN);
    for (int i = 0; i < 10000; i++) { /* with good keys as often as they like */
        assert_int_equal(tw_door_tell(&door, TW_DOOR_CAME, 0), TW_DOOR_TO_KNOWN);
        (void)tw_door_tell(&door, TW_DOOR_PASSED, 0);
        (void)tw_door_tell(&door, TW_DOOR_LEFT, 0);
    }
    int n = 0; /* a stranger on a host that is known */
    for (; tw_door_tell(&door, TW_DOOR_CAME, 0) == TW_DOOR_TO_KNOWN; n++)
        (void)tw_door_tell(&door, TW_DOOR_LEFT, 0);
    (void)tw_door_tell(&door, TW_DOOR_LEFT, 0);
    assert_int_equal(n, TW_DOOR_KNOWN - 1);
    assert_int_equal(door.state, TW_DOOR_SHUT);
    assert_int_equal(door.n_shut, 1);
    assert_int_equal(tw_door_tick(&door, SECOND_US), TW_DOOR_OPEN); /* it costs the others no time */
}

static void known_hosts_too_are_bounded_in_what_hangs(void **state)
{
    (void)state;
    tw_door door;
    tw_door_init(&door, 0);
    int n_open = 0;
    for (int64_t now_us = 0; now_us < 60 * (int64_t)SECOND_US; now_us += SECOND_US / 100) {
        if (tw_door_tick(&door, now_us) != TW_DOOR_SHUT) {
            n_open++;
            (void)tw_door_tell(&door, TW_DOOR_CAME, now_us);
        }
    }
    assert_int_equal(n_open, TW_DOOR_MAX_OPEN + TW_DOOR_KNOWN);
}

static void the_table_of_hosts_keeps_the_latest_and_leaves_out_what_names_no_host(void **state)
{
    (void)state;
    static const char *const none[] = {"", "x", "10.1.2", "127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3.4",
        "1234567890123456789012345678901234567890123456789012345678901234567890"};
    tw_hosts hosts = {0};
    char text[TW_HOST_TEXT_SIZE];
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(tw_hosts_admit(&hosts, none[i], strlen(none[i])));
    assert_int_equal(hosts.n, 0);
    assert_true(tw_hosts_admit(&hosts, "10.1.2.3", 8));
    assert_false(tw_hosts_admit(&hosts, "::ffff:10.1.2.3", 15));
    assert_true(tw_hosts_admit(&hosts, "fe80::1%eth0", 12));
    assert_false(tw_hosts_admit(&hosts, "fe80::1", 7));
    assert_int_equal(hosts.n, 2);
    for (int i = 0; i < 2 * TW_HOSTS_MAX; i++) {
        int size = snprintf(text, sizeof text, "10.9.0.%d", i);
        assert_true(tw_hosts_admit(&hosts, text, (size_t)size));
        assert_false(tw_hosts_admit(&hosts, "fe80::1", 7)); /* seen again and again: it stays */
        assert_true(hosts.n <= TW_HOSTS_MAX);
    }
    assert_int_equal(hosts.n, TW_HOSTS_MAX);
    assert_true(tw_hosts_admit(&hosts, "10.1.2.3", 8)); /* it had given way */
}

/* Whether a connection from `source` to the listener at `port` comes about. */
static bool can_connect(const char *source, uint16_t port)
{
    bool is_v6 = strchr(source, ':') != NULL;
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 from6 = {.sin6_family = AF_INET6}, to6 = {.sin6_family = AF_INET6, .sin6_port = port};
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 0;
    socklen_t size = sizeof one;
    assert_true(fd >= 0);
    assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &to.sin_addr), 1);
    to6.sin6_addr = in6addr_loopback;
    if (is_v6)
        assert_int_equal(inet_pton(AF_INET6, source, &from6.sin6_addr), 1);
    else
        assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
    assert_int_equal(
        is_v6 ? bind(fd, (struct sockaddr *)&from6, sizeof from6) : bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    (void)(is_v6 ? connect(fd, (struct sockaddr *)&to6, sizeof to6) : connect(fd, (struct sockaddr *)&to, sizeof to));
    struct pollfd item = {.fd = fd, .events = POLLOUT};
    bool is_connected =
        poll(&item, 1, 300 * TW_SLOWNESS) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &one, &size) == 0 && one == 0;
    (void)close(fd);
    return is_connected;
}

static void know(tw_hosts *hosts, const char *text)
{
    tw_host host;
    assert_true(tw_host_parse(text, strlen(text), &host));
    assert_true(tw_hosts_add(hosts, &host));
}

static void the_kernel_lets_the_known_hosts_in_and_nobody_else(void **state)
{
    (void)state;
    tw_hosts hosts = {0};
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET6, SOCK_STREAM, 0), no = 0;
    if (fd < 0) {
        print_message("SKIPPED: this machine has no IPv6\n");
        skip();
    }
    assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    know(&hosts, "fe80::7");
    know(&hosts, "127.0.0.2");
    know(&hosts, "10.0.0.1");
    assert_true(can_connect("127.0.0.3", at.sin6_port));
    assert_true(tw_door_move(fd, TW_DOOR_TO_KNOWN, &hosts));
    assert_false(can_connect("127.0.0.3", at.sin6_port));
    assert_true(can_connect("127.0.0.2", at.sin6_port));
    assert_false(can_connect("::1", at.sin6_port));
    know(&hosts, "::1");
    assert_true(tw_door_move(fd, TW_DOOR_TO_KNOWN, &hosts));
    assert_true(can_connect("::1", at.sin6_port));
    assert_true(tw_door_move(fd, TW_DOOR_SHUT, &hosts));
    assert_false(can_connect("127.0.0.2", at.sin6_port));
    assert_true(tw_door_move(fd, TW_DOOR_OPEN, &hosts));
    assert_true(can_connect("127.0.0.3", at.sin6_port));
    for (int i = 0; i < TW_HOSTS_MAX; i++) { /* a full table is not too long for the kernel */
        char text[TW_HOST_TEXT_SIZE];
        (void)snprintf(text, sizeof text, "fe80::%x", i + 100);
        know(&hosts, text);
    }
    assert_true(tw_door_move(fd, TW_DOOR_TO_KNOWN, &hosts));
    assert_false(can_connect("127.0.0.2", at.sin6_port));
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_that_pass_never_shut_the_door),
        cmocka_unit_test(a_burst_that_does_not_pass_shuts_it_until_time_has_gone_by),
        cmocka_unit_test(those_that_hang_are_bounded_at_any_pace),
        cmocka_unit_test(a_clock_that_stands_or_goes_back_gives_nothing),
        cmocka_unit_test(hosts_that_were_let_in_come_through_a_door_that_is_shut_to_strangers_but_not_without_limit),
        cmocka_unit_test(known_hosts_too_are_bounded_in_what_hangs),
        cmocka_unit_test(the_table_of_hosts_keeps_the_latest_and_leaves_out_what_names_no_host),
        cmocka_unit_test(the_kernel_lets_the_known_hosts_in_and_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
