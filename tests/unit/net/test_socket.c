#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include "base/fault.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_addresses_of_this_machine_are_allowed),
        cmocka_unit_test(every_socket_has_the_safe_defaults),
        cmocka_unit_test(an_address_in_use_is_named_with_the_remedy),
        cmocka_unit_test(a_message_goes_there_and_its_answer_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
