#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <zmq.h>

#include "base/clock.h"
#include "base/fault.h"
#include "net/awake.h"
#include "net/socket.h"

static void only_addresses_of_this_machine_are_allowed(void **state)
{
    (void)state;
    static const char *const good[] = {"tcp://127.0.0.1:7101", "tcp://127.9.8.7:*", "tcp://localhost:1",
        "tcp://[::1]:0", "ipc:///tmp/x", "ipc://@abstract", "inproc://a"};
    static const char *const open[] = {"tcp://0.0.0.0:7101", "tcp://*:7101", "tcp://eth0:1", "tcp://10.0.0.1:5",
        "tcp://127.0.0.1.example.org:5", "tcp://[::]:5", "tcp://128.0.0.1:5"};
    static const char *const bad[] = {"", "tcp://127.0.0.1", "tcp://127.0.0.1:70000", "tcp://:5", "udp://127.0.0.1:5",
        "ipc://", "127.0.0.1:5", "tcp://127.0.0.1:5x"};
    tw_error error;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(tw_address_check(good[i], false, NULL), TW_STATUS_OK);
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        assert_int_equal(tw_address_check(open[i], false, &error), TW_STATUS_UNSUPPORTED);
        assert_int_equal(tw_address_check(open[i], true, NULL), TW_STATUS_OK);
        assert_non_null(strstr(error.message, "neither encrypted nor authenticated"));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(tw_address_check(bad[i], true, NULL), TW_STATUS_INVALID);
}

static void check_option(const tw_socket *socket, int option, int64_t wanted)
{
    int64_t value = -1;
    assert_int_equal(tw_socket_option(socket, option, &value, NULL), TW_STATUS_OK);
    assert_int_equal(value, wanted);
}

static void every_socket_has_the_safe_defaults(void **state)
{
    (void)state;
    tw_net *net = NULL;
    assert_int_equal(tw_net_create(1, &net, NULL), TW_STATUS_OK);
    for (int kind = TW_SOCKET_ROUTER; kind <= TW_SOCKET_PAIR; kind++) {
        tw_socket *socket = NULL;
        tw_socket_options options = {.kind = (tw_socket_kind)kind};
        assert_int_equal(tw_socket_create(net, &options, &socket, NULL), TW_STATUS_OK);
        check_option(socket, ZMQ_MAXMSGSIZE, 65536);
        check_option(socket, ZMQ_LINGER, 0);
        check_option(socket, ZMQ_HANDSHAKE_IVL, 5000);
        check_option(socket, ZMQ_HEARTBEAT_IVL, 1000);
        check_option(socket, ZMQ_HEARTBEAT_TIMEOUT, 3000);
        check_option(socket, ZMQ_SNDTIMEO, 1000);
        check_option(socket, ZMQ_SNDHWM, TW_SOCKET_HIGH_WATER);
        check_option(socket, ZMQ_RCVHWM, TW_SOCKET_HIGH_WATER);
        check_option(socket, ZMQ_IMMEDIATE, kind == TW_SOCKET_DEALER);
        tw_socket_destroy(&socket);
    }
    tw_net_destroy(&net);
}

static void an_address_in_use_is_named_with_the_remedy(void **state)
{
    (void)state;
    char address[64];
    tw_net *net = NULL;
    tw_socket *first = NULL, *second = NULL;
    tw_socket_options options = {.kind = TW_SOCKET_ROUTER};
    tw_error error;
    assert_int_equal(tw_net_create(1, &net, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_create(net, &options, &first, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_create(net, &options, &second, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_bind(first, "tcp://127.0.0.1:*", NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_bind(second, tw_socket_address(first), &error), TW_STATUS_UNAVAILABLE);
    assert_non_null(strstr(error.message, tw_socket_address(first)));
    assert_non_null(strstr(error.message, "another process listens there"));
    snprintf(address, sizeof address, "ipc:///tmp/tw-net-%p", (void *)net);
    assert_int_equal(tw_socket_bind(first, address, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_bind(second, address, &error), TW_STATUS_UNAVAILABLE);
    tw_socket_destroy(&first);
    tw_socket_destroy(&second);
    tw_net_destroy(&net);
}

/* ZeroMQ takes a name to listen on for that of a network interface. */
static void a_name_to_listen_on_that_this_machine_has_not_is_named_with_the_remedy(void **state)
{
    (void)state;
    tw_net *net = NULL;
    tw_socket *socket = NULL;
    tw_socket_options options = {.kind = TW_SOCKET_ROUTER};
    tw_error error = {0};
    assert_int_equal(tw_net_create(1, &net, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_create(net, &options, &socket, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_bind(socket, "tcp://localhost:*", &error), TW_STATUS_IO);
    assert_non_null(strstr(error.message, "tcp://localhost:*"));
    assert_non_null(strstr(error.message, "as 127.0.0.1"));
    tw_socket_destroy(&socket);
    tw_net_destroy(&net);
}

static void a_message_goes_there_and_its_answer_back(void **state)
{
    (void)state;
    tw_net *net = NULL;
    tw_socket *router = NULL, *dealer = NULL;
    tw_message *message = NULL;
    bool is_readable;
    assert_int_equal(tw_net_create(1, &net, NULL), TW_STATUS_OK);
    assert_int_equal(tw_message_create(&message, NULL), TW_STATUS_OK);
    assert_int_equal(
        tw_socket_create(net, &(tw_socket_options){.kind = TW_SOCKET_ROUTER}, &router, NULL), TW_STATUS_OK);
    assert_int_equal(
        tw_socket_create(net, &(tw_socket_options){.kind = TW_SOCKET_DEALER}, &dealer, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_bind(router, "inproc://echo", NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_connect(dealer, "inproc://echo", NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_receive(router, message, NULL), TW_STATUS_IDLE);
    assert_int_equal(tw_socket_send(dealer, &(tw_part){"hello", 5}, 1, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_wait(&router, 1, 1000, &is_readable, NULL), TW_STATUS_OK);
    assert_true(is_readable);
    assert_int_equal(tw_socket_receive(router, message, NULL), TW_STATUS_OK);
    assert_int_equal(tw_message_n_parts(message), 2);
    tw_part peer = tw_message_part(message, 0), body = tw_message_part(message, 1);
    assert_memory_equal(body.bytes, "hello", 5);
    assert_int_equal(tw_socket_send(router, (tw_part[]){peer, body}, 2, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_send(router, (tw_part[]){{"nobody", 6}, body}, 2, NULL), TW_STATUS_UNAVAILABLE);
    tw_fault_arm(TW_FAULT_SOCKET, 1, 5, false);
    assert_int_equal(tw_socket_send(router, (tw_part[]){peer, body}, 2, NULL), TW_STATUS_IO);
    tw_fault_disarm(TW_FAULT_SOCKET);
    tw_message_destroy(&message);
    tw_socket_destroy(&router);
    tw_socket_destroy(&dealer);
    tw_net_destroy(&net);
}

/* Short waits asleep, `n_messages` at each of them. */
static bool wakes_after(tw_awake *awake, uint32_t n_waits, uint32_t n_messages)
{
    bool is_awake = false;
    for (uint32_t i = 0; i < n_waits && !is_awake; i++) {
        tw_awake_slept(awake, TW_AWAKE_SOON_US - 1, false);
        is_awake = tw_awake_begin(awake, n_messages);
    }
    return is_awake;
}

static void only_single_messages_that_come_soon_are_waited_for_awake(void **state)
{
    (void)state;
    tw_awake awake = {0};
    assert_false(wakes_after(&awake, 100, 2));
    assert_false(wakes_after(&awake, TW_AWAKE_AFTER - 1, 1));
    assert_true(wakes_after(&awake, 1, 1));
    tw_awake_slept(&awake, TW_AWAKE_SOON_US, false);
    assert_false(tw_awake_begin(&awake, 1));
    assert_true(wakes_after(&awake, TW_AWAKE_AFTER, 1));
    tw_awake_slept(&awake, 0, true);
    assert_false(tw_awake_begin(&awake, 1));
}

/* What came while it was awake says nothing: only sleep lets messages gather. */
static void one_wait_of_many_stays_asleep_and_tells_whether_more_are_under_way(void **state)
{
    (void)state;
    tw_awake awake = {0};
    assert_true(wakes_after(&awake, TW_AWAKE_AFTER, 1));
    uint32_t n_awake = 1;
    while (tw_awake_begin(&awake, 5))
        n_awake++;
    assert_int_equal(n_awake, TW_AWAKE_WAITS - 1);
    tw_awake_slept(&awake, 10, false);
    assert_true(tw_awake_begin(&awake, 1));
    while (tw_awake_begin(&awake, 1))
        ;
    tw_awake_slept(&awake, 10, false);
    assert_false(tw_awake_begin(&awake, 2));
}

typedef struct echo {
    tw_socket *socket;
    uint32_t n; /* messages to answer */
} echo;

static void *echo_run(void *context)
{
    echo *self = context;
    tw_message *message = NULL;
    bool is_readable;
    if (tw_message_create(&message, NULL) < 0)
        return NULL;
    for (uint32_t n = 0; n < self->n;) {
        if (tw_socket_receive(self->socket, message, NULL) != TW_STATUS_OK) {
            (void)!tw_socket_wait(&self->socket, 1, 1000, &is_readable, NULL);
            continue;
        }
        tw_part part[2] = {tw_message_part(message, 0), tw_message_part(message, 1)};
        (void)!tw_socket_send(self->socket, part, 2, NULL);
        n++;
    }
    tw_message_destroy(&message);
    return NULL;
}

static double thread_seconds(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void after_a_conversation_a_silent_socket_costs_no_processor_time_and_its_wait_ends_in_time(void **state)
{
    (void)state;
    tw_net *net = NULL;
    tw_socket *dealer = NULL;
    tw_message *message = NULL;
    bool is_readable;
    echo other = {.n = 500};
    pthread_t thread;
    assert_int_equal(tw_net_create(1, &net, NULL), TW_STATUS_OK);
    assert_int_equal(tw_message_create(&message, NULL), TW_STATUS_OK);
    assert_int_equal(
        tw_socket_create(net, &(tw_socket_options){.kind = TW_SOCKET_ROUTER}, &other.socket, NULL), TW_STATUS_OK);
    assert_int_equal(
        tw_socket_create(net, &(tw_socket_options){.kind = TW_SOCKET_DEALER}, &dealer, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_bind(other.socket, "tcp://127.0.0.1:*", NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_connect(dealer, tw_socket_address(other.socket), NULL), TW_STATUS_OK);
    assert_int_equal(pthread_create(&thread, NULL, echo_run, &other), 0);
    for (uint32_t i = 0; i < other.n; i++) {
        while (tw_socket_send(dealer, &(tw_part){&i, sizeof i}, 1, NULL) == TW_STATUS_BUSY)
            tw_clock_sleep_us(1000);
        while (tw_socket_receive(dealer, message, NULL) == TW_STATUS_IDLE)
            (void)!tw_socket_wait(&dealer, 1, 1000, &is_readable, NULL);
        assert_memory_equal(tw_message_part(message, 0).bytes, &i, sizeof i);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    double seconds = thread_seconds();
    int64_t begin_us = tw_clock_monotonic_us();
    for (int i = 0; i < 10; i++)
        assert_int_equal(tw_socket_wait(&dealer, 1, 20, &is_readable, NULL), TW_STATUS_IDLE);
    assert_true(tw_clock_monotonic_us() - begin_us >= 190000);
    assert_true(thread_seconds() - seconds < 0.02);
    tw_message_destroy(&message);
    tw_socket_destroy(&other.socket);
    tw_socket_destroy(&dealer);
    tw_net_destroy(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_addresses_of_this_machine_are_allowed),
        cmocka_unit_test(every_socket_has_the_safe_defaults),
        cmocka_unit_test(an_address_in_use_is_named_with_the_remedy),
        cmocka_unit_test(a_name_to_listen_on_that_this_machine_has_not_is_named_with_the_remedy),
        cmocka_unit_test(a_message_goes_there_and_its_answer_back),
        cmocka_unit_test(only_single_messages_that_come_soon_are_waited_for_awake),
        cmocka_unit_test(one_wait_of_many_stays_asleep_and_tells_whether_more_are_under_way),
        cmocka_unit_test(after_a_conversation_a_silent_socket_costs_no_processor_time_and_its_wait_ends_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
