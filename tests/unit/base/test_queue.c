#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/queue.h"

enum { N_ITEMS = 200000 };

static void *produce(void *argument)
{
    tw_queue *queue = argument;
    for (uintptr_t i = 1; i <= N_ITEMS; i++) {
        if (tw_queue_push(queue, (void *)i, -1) != TW_STATUS_OK)
            return NULL;
    }
    tw_queue_close(queue);
    return NULL;
}

static void everything_arrives_once_and_in_order(void **state)
{
    tw_queue *queue = NULL;
    pthread_t producer;
    void *item = NULL;
    (void)state;
    assert_int_equal(tw_queue_create(4, &queue, NULL), TW_STATUS_OK);
    assert_int_equal(pthread_create(&producer, NULL, produce, queue), 0);
    for (uintptr_t i = 1; i <= N_ITEMS; i++) {
        assert_int_equal(tw_queue_pop(queue, &item, -1), TW_STATUS_OK);
        assert_int_equal((uintptr_t)item, i);
    }
    assert_int_equal(tw_queue_pop(queue, &item, -1), TW_STATUS_CANCELLED);
    assert_int_equal(pthread_join(producer, NULL), 0);
    tw_queue_destroy(&queue);
    assert_null(queue);
}

static void a_full_queue_makes_the_producer_wait_and_drops_nothing(void **state)
{
    tw_queue *queue = NULL;
    void *item = NULL;
    int a = 1, b = 2, c = 3;
    (void)state;
    assert_int_equal(tw_queue_create(2, &queue, NULL), TW_STATUS_OK);
    assert_int_equal(tw_queue_push(queue, &a, 0), TW_STATUS_OK);
    assert_int_equal(tw_queue_push(queue, &b, 0), TW_STATUS_OK);
    assert_int_equal(tw_queue_push(queue, &c, 0), TW_STATUS_TIMEOUT);
    assert_int_equal(tw_queue_push(queue, &c, 20), TW_STATUS_TIMEOUT);
    assert_int_equal(tw_queue_count(queue), 2);
    assert_int_equal(tw_queue_pop(queue, &item, 0), TW_STATUS_OK);
    assert_ptr_equal(item, &a);
    assert_int_equal(tw_queue_push(queue, &c, 0), TW_STATUS_OK);
    tw_queue_destroy(&queue);
}

static void an_empty_queue_waits_no_longer_than_asked(void **state)
{
    tw_queue *queue = NULL;
    void *item = NULL;
    (void)state;
    assert_int_equal(tw_queue_create(2, &queue, NULL), TW_STATUS_OK);
    int64_t start_us = tw_clock_monotonic_us();
    assert_int_equal(tw_queue_pop(queue, &item, 50), TW_STATUS_TIMEOUT);
    int64_t waited_us = tw_clock_monotonic_us() - start_us;
    assert_true(waited_us >= 49000);
    assert_true(waited_us < 5000000);
    tw_queue_destroy(&queue);
}

static void a_closed_queue_hands_out_what_is_left(void **state)
{
    tw_queue *queue = NULL;
    void *item = NULL;
    int a = 1;
    (void)state;
    assert_int_equal(tw_queue_create(2, &queue, NULL), TW_STATUS_OK);
    assert_int_equal(tw_queue_push(queue, &a, 0), TW_STATUS_OK);
    tw_queue_close(queue);
    assert_int_equal(tw_queue_push(queue, &a, -1), TW_STATUS_CANCELLED);
    assert_int_equal(tw_queue_pop(queue, &item, -1), TW_STATUS_OK);
    assert_ptr_equal(item, &a);
    assert_int_equal(tw_queue_pop(queue, &item, -1), TW_STATUS_CANCELLED);
    tw_queue_destroy(&queue);
}

static void what_is_pushed_first_is_popped_next(void **state)
{
    tw_queue *queue = NULL;
    void *item = NULL;
    int values[3] = {0};
    (void)state;
    assert_int_equal(tw_queue_create(3, &queue, NULL), TW_STATUS_OK);
    for (int round = 0; round < 5; round++) {
        assert_int_equal(tw_queue_push(queue, &values[1], 0), TW_STATUS_OK);
        assert_int_equal(tw_queue_push_first(queue, &values[0], 0), TW_STATUS_OK);
        assert_int_equal(tw_queue_push(queue, &values[2], 0), TW_STATUS_OK);
        assert_int_equal(tw_queue_push_first(queue, &values[2], 0), TW_STATUS_TIMEOUT);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(tw_queue_pop(queue, &item, 0), TW_STATUS_OK);
            assert_ptr_equal(item, &values[i]);
        }
    }
    tw_queue_destroy(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives_once_and_in_order),
        cmocka_unit_test(a_full_queue_makes_the_producer_wait_and_drops_nothing),
        cmocka_unit_test(an_empty_queue_waits_no_longer_than_asked),
        cmocka_unit_test(a_closed_queue_hands_out_what_is_left),
        cmocka_unit_test(what_is_pushed_first_is_popped_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
