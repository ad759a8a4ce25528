/* What a server keeps for peers that do not read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fault.h"
#include "ps/edge/outbox.h"

enum { ID_SIZE = 64, BIG = 256 << 10, PATIENCE_US = 30000000 };

typedef struct scene {
    char root[64], address[128];
    tw_net *net;
    tw_socket *server, *peer[2];
    tw_message *message;
    unsigned char id[2][ID_SIZE];
    size_t id_size[2];
    tw_outbox outbox;
    unsigned char *bytes;
} scene;

/* The next message; the server sends on meanwhile. */
static tw_status receive(scene *self, tw_socket *socket)
{
    int64_t end_us = tw_clock_monotonic_us() + PATIENCE_US;
    tw_status status = TW_STATUS_IDLE;
    while (status == TW_STATUS_IDLE && tw_clock_monotonic_us() < end_us) {
        bool is_readable = false;
        status = tw_socket_wait(&socket, 1, 5, &is_readable, NULL);
        if (status >= 0)
            status = is_readable ? tw_socket_receive(socket, self->message, NULL) : TW_STATUS_IDLE;
        tw_outbox_retry(&self->outbox);
    }
    return status;
}

/* Two peers of whose names the server knows. */
static scene *scene_create(uint64_t max_bytes)
{
    scene *self = calloc(1, sizeof *self);
    tw_socket_options server = {.kind = TW_SOCKET_ROUTER, .max_message_bytes = BIG, .high_water = 2},
                      peer = {.kind = TW_SOCKET_DEALER, .max_message_bytes = BIG, .high_water = 2};
    self->bytes = calloc(1, BIG);
    snprintf(self->root, sizeof self->root, "/tmp/test-outbox-XXXXXX");
    assert_non_null(mkdtemp(self->root));
    snprintf(self->address, sizeof self->address, "ipc://%s/server", self->root);
    assert_int_equal(tw_net_create(1, &self->net, NULL), TW_STATUS_OK);
    assert_int_equal(tw_message_create(&self->message, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_create(self->net, &server, &self->server, NULL), TW_STATUS_OK);
    assert_int_equal(tw_socket_bind(self->server, self->address, NULL), TW_STATUS_OK);
    for (int i = 0; i < 2; i++) {
        tw_part word = {"hello", 5};
        int64_t end_us = tw_clock_monotonic_us() + PATIENCE_US;
        assert_int_equal(tw_socket_create(self->net, &peer, &self->peer[i], NULL), TW_STATUS_OK);
        assert_int_equal(tw_socket_connect(self->peer[i], self->address, NULL), TW_STATUS_OK);
        while (tw_socket_send(self->peer[i], &word, 1, NULL) != TW_STATUS_OK && tw_clock_monotonic_us() < end_us)
            tw_clock_sleep_us(1000);
        assert_int_equal(receive(self, self->server), TW_STATUS_OK);
        tw_part id = tw_message_part(self->message, 0);
        assert_true(id.size <= ID_SIZE);
        memcpy(self->id[i], id.bytes, id.size);
        self->id_size[i] = id.size;
    }
    self->outbox = (tw_outbox){.socket = self->server, .max_bytes = max_bytes};
    return self;
}

static void scene_destroy(scene *self)
{
    tw_outbox_fini(&self->outbox);
    for (int i = 0; i < 2; i++)
        tw_socket_destroy(&self->peer[i]);
    tw_socket_destroy(&self->server);
    tw_message_destroy(&self->message);
    tw_net_destroy(&self->net);
    snprintf(self->address, sizeof self->address, "%s/server", self->root);
    (void)unlink(self->address);
    assert_int_equal(rmdir(self->root), 0);
    free(self->bytes);
    free(self);
}

static void answer(scene *self, int peer, uint32_t number, size_t size)
{
    memcpy(self->bytes, &number, sizeof number);
    tw_outbox_send(&self->outbox, self->id[peer], self->id_size[peer], self->bytes, size);
}

/* More than sockets and queues take of a peer that does not read. Returns how many answers. */
static uint32_t fill(scene *self, int peer)
{
    uint32_t n = 0;
    while (self->outbox.n_bytes < 4u * BIG && n < 1000)
        answer(self, peer, n++, BIG);
    assert_true(n < 1000);
    return n;
}

static void a_peer_that_does_not_read_keeps_nobody_else_waiting(void **state)
{
    (void)state;
    scene *self = scene_create((uint64_t)64 * BIG);
    (void)fill(self, 0);
    answer(self, 1, 77, 100);
    assert_int_equal(receive(self, self->peer[1]), TW_STATUS_OK);
    assert_int_equal(tw_message_part(self->message, 0).size, 100);
    scene_destroy(self);
}

static void what_was_kept_comes_whole_and_in_order(void **state)
{
    (void)state;
    scene *self = scene_create((uint64_t)64 * BIG);
    uint32_t n = fill(self, 0), number;
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(receive(self, self->peer[0]), TW_STATUS_OK);
        tw_part part = tw_message_part(self->message, 0);
        assert_int_equal(part.size, BIG);
        memcpy(&number, part.bytes, sizeof number);
        assert_int_equal(number, i);
    }
    assert_int_equal(self->outbox.n_bytes, 0);
    assert_null(self->outbox.first);
    assert_int_equal(self->outbox.n_dropped, 0);
    scene_destroy(self);
}

static void one_peer_cannot_take_the_room_of_all(void **state)
{
    (void)state;
    scene *self = scene_create((uint64_t)8 * BIG);
    (void)fill(self, 0);
    for (uint32_t i = 0; i < 20; i++)
        answer(self, 0, i, BIG);
    assert_int_equal(self->outbox.n_bytes, 4u * BIG);
    assert_int_equal(self->outbox.n_dropped, 20);
    (void)fill(self, 1);
    scene_destroy(self);
}

static void an_answer_without_memory_is_dropped(void **state)
{
    (void)state;
    scene *self = scene_create((uint64_t)64 * BIG);
    (void)fill(self, 0);
    uint64_t n_bytes = self->outbox.n_bytes;
    tw_fault_arm(TW_FAULT_ALLOC, 1, ENOMEM, false);
    answer(self, 0, 0, BIG);
    tw_fault_disarm(TW_FAULT_ALLOC);
    assert_int_equal(self->outbox.n_bytes, n_bytes);
    assert_int_equal(self->outbox.n_dropped, 1);
    scene_destroy(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_that_does_not_read_keeps_nobody_else_waiting),
        cmocka_unit_test(what_was_kept_comes_whole_and_in_order),
        cmocka_unit_test(one_peer_cannot_take_the_room_of_all),
        cmocka_unit_test(an_answer_without_memory_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
