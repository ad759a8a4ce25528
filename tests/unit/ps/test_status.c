/* What a shard says of itself: the sketch of hot keys, the payload, the figures over shards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "data/key.h"
#include "ps/shard/shard.h"
#include "ps/shard/sketch.h"

enum { HOT_KEY = 77 };

/* `n` touches in pushes of `push` distinct keys out of `n_keys`; the hot key is in one of `every` pushes. */
static void touch_flat(tw_sketch *sketch, uint32_t n, uint32_t push, uint32_t n_keys, uint32_t every)
{
    uint64_t key[1024], next = 0;
    for (uint32_t i = 0; i < n; i += push) {
        for (uint32_t k = 0; k < push; k++)
            key[k] = tw_key_of_index(1, 1000 + next++ % n_keys);
        if (every > 0 && i / push % every == 0)
            key[i / push % push] = tw_key_of_index(1, HOT_KEY);
        tw_sketch_touch(sketch, key, push);
    }
}

static double share(const tw_sketch *sketch, const tw_sketch_counter *counter)
{
    return (double)(counter->count - counter->error) / sketch->n_samples;
}

static void test_a_key_with_two_percent_of_the_touches_comes_first_with_its_share(void **state)
{
    (void)state;
    tw_sketch sketch;
    tw_sketch_counter top[TW_SKETCH_SHOWN];
    tw_sketch_init(&sketch, 0, TW_N_SLOTS - 1);
    touch_flat(&sketch, 20000000, 50, 40000, 1);
    assert_int_equal(sketch.n_touches, 20000000);
    assert_true(tw_sketch_top(&sketch, top) > 0);
    assert_int_equal(top[0].key, tw_key_of_index(1, HOT_KEY));
    assert_true(share(&sketch, &top[0]) > 0.012 && share(&sketch, &top[0]) < 0.025);
}

static void test_no_key_of_a_flat_stream_is_hot(void **state)
{
    (void)state;
    tw_sketch sketch;
    tw_sketch_counter top[TW_SKETCH_SHOWN];
    tw_sketch_init(&sketch, 0, TW_N_SLOTS - 1);
    touch_flat(&sketch, 4000000, 1000, 5000, 0);
    uint32_t n = tw_sketch_top(&sketch, top);
    if (n > 0)
        assert_true(share(&sketch, &top[0]) < 0.01);
}

static void test_the_order_of_keys_in_a_push_favours_none(void **state)
{
    (void)state;
    tw_sketch sketch;
    tw_sketch_counter top[TW_SKETCH_SHOWN];
    uint64_t key[TW_SKETCH_SHOWN];
    for (uint32_t i = 0; i < TW_SKETCH_SHOWN; i++)
        key[i] = tw_key_of_index(1, i);
    tw_sketch_init(&sketch, 0, TW_N_SLOTS - 1);
    for (int i = 0; i < 256000; i++)
        tw_sketch_touch(&sketch, key, TW_SKETCH_SHOWN);
    assert_int_equal(tw_sketch_top(&sketch, top), TW_SKETCH_SHOWN);
    /* 250 expected of each */
    assert_true(top[0].count < 320);
    assert_true(top[TW_SKETCH_SHOWN - 1].count - top[TW_SKETCH_SHOWN - 1].error > 180);
}

static void test_what_was_hot_fades(void **state)
{
    (void)state;
    tw_sketch sketch;
    tw_sketch_counter top[TW_SKETCH_SHOWN];
    tw_sketch_init(&sketch, 0, TW_N_SLOTS - 1);
    touch_flat(&sketch, 3000000, 50, 40000, 1);
    for (int i = 0; i < 6; i++)
        touch_flat(&sketch, 8000000, 1000, 40000, 0);
    assert_true(sketch.n_samples < TW_SKETCH_WINDOW);
    uint32_t n = tw_sketch_top(&sketch, top);
    for (uint32_t i = 0; i < n; i++)
        assert_true(share(&sketch, &top[i]) < 0.005);
}

static void test_slot_ranges_show_where_the_touches_fall(void **state)
{
    (void)state;
    tw_sketch sketch;
    uint64_t key[100];
    tw_sketch_init(&sketch, 1024, 2047);
    for (uint32_t i = 0; i < 100; i++) /* the last sixteen slots of the shard */
        key[i] = (uint64_t)(2032 + i % 16) << (64 - TW_SLOT_BITS) | i;
    for (int i = 0; i < 1000; i++)
        tw_sketch_touch(&sketch, key, 100);
    assert_int_equal(sketch.n_ranges, TW_SKETCH_RANGES);
    assert_int_equal(sketch.range[TW_SKETCH_RANGES - 1], sketch.n_samples);
}

/* --- the payload -------------------------------------------------------------------------------------------------- */

static tw_shard_status some_status(void)
{
    tw_shard_status status = {.model = "ctr", .n_hot = 1, .n_ranges = 2, .range = {5, 6}, .n_marks = 2};
    for (uint64_t i = 0; i < TW_STATUS_N_FIGURES; i++)
        status.figure[i] = 100 + i;
    status.nack[TW_NACK_CONFLICT] = 9;
    memcpy(status.copy_failure, "max_bytes", sizeof "max_bytes");
    status.hot[0] = (tw_sketch_counter){7, 3, 1};
    status.mark = tw_alloc(2 * sizeof *status.mark);
    assert_non_null(status.mark);
    status.mark[0] = (tw_mark){20, 200};
    status.mark[1] = (tw_mark){10, 100};
    return status;
}

static void test_a_status_comes_back_as_it_was(void **state)
{
    (void)state;
    tw_shard_status status = some_status(), copy = {0};
    tw_buffer out = {0};
    assert_int_equal(tw_shard_status_encode(&status, &out, NULL), TW_STATUS_OK);
    assert_int_equal(tw_shard_status_decode(&copy, out.bytes, out.size, NULL), TW_STATUS_OK);
    assert_string_equal(copy.model, "ctr");
    assert_string_equal(copy.copy_failure, "max_bytes");
    assert_memory_equal(copy.figure, status.figure, sizeof status.figure);
    assert_memory_equal(copy.nack, status.nack, sizeof status.nack);
    assert_int_equal(copy.n_hot, 1);
    assert_int_equal(copy.hot[0].count, 3);
    assert_int_equal(copy.n_ranges, 2);
    assert_int_equal(copy.range[1], 6);
    assert_int_equal(copy.n_marks, 2);
    assert_int_equal(copy.mark[0].split, 10); /* by split */
    assert_int_equal(copy.mark[1].to, 200);
    tw_shard_status_fini(&status);
    tw_shard_status_fini(&copy);
    tw_free(out.bytes);
}

static void test_parts_and_figures_of_another_version_are_passed_over(void **state)
{
    (void)state;
    tw_shard_status copy = {0};
    unsigned char bytes[64] = {0};
    tw_put_u32(bytes, 999); /* a part that nobody knows */
    tw_put_u32(bytes + 4, 3);
    tw_put_u32(bytes + 11, 1); /* one figure only */
    tw_put_u32(bytes + 15, 8);
    tw_put_u64(bytes + 19, 4);
    assert_int_equal(tw_shard_status_decode(&copy, bytes, 27, NULL), TW_STATUS_OK);
    assert_int_equal(copy.figure[TW_STATUS_SHARD], 4);
    assert_true(copy.figure[TW_STATUS_ROWS] == TW_STATUS_UNKNOWN);
}

static void test_a_status_that_is_cut_anywhere_is_refused_or_whole_up_to_there(void **state)
{
    (void)state;
    tw_shard_status status = some_status();
    tw_buffer out = {0};
    assert_int_equal(tw_shard_status_encode(&status, &out, NULL), TW_STATUS_OK);
    for (size_t size = 0; size < out.size; size++) {
        tw_shard_status copy = {0};
        unsigned char *cut = malloc(size + 1); /* so that a sanitizer sees a read behind it */
        memcpy(cut, out.bytes, size);
        tw_status result = tw_shard_status_decode(&copy, cut, size, NULL);
        assert_true(result == TW_STATUS_OK || result == TW_STATUS_PROTOCOL);
        tw_shard_status_fini(&copy);
        free(cut);
    }
    tw_put_u32(out.bytes + 4, UINT32_MAX);
    tw_shard_status copy = {0};
    assert_int_equal(tw_shard_status_decode(&copy, out.bytes, out.size, NULL), TW_STATUS_PROTOCOL);
    tw_shard_status_fini(&status);
    tw_free(out.bytes);
}

static void test_marks_are_behind_those_of_the_shard_that_is_furthest_ahead(void **state)
{
    (void)state;
    tw_mark behind[] = {{1, 50}}, middle[] = {{1, 60}, {2, 5}}, ahead[] = {{1, 40}, {2, 300}};
    tw_shard_status shard[] = {
        {.mark = behind, .n_marks = 1}, {.mark = middle, .n_marks = 2}, {.mark = ahead, .n_marks = 2}};
    assert_int_equal(tw_status_mark_lag(&shard[0], shard, 3), 300);
    assert_int_equal(tw_status_mark_lag(&shard[1], shard, 3), 295);
    assert_int_equal(tw_status_mark_lag(&shard[2], shard, 3), 20);
}

static void test_skew_is_the_largest_by_the_mean(void **state)
{
    (void)state;
    double amount[] = {3, 1, 0, 0}, none[] = {0, 0};
    assert_true(tw_status_skew(amount, 4) == 3);
    assert_true(tw_status_skew(none, 2) == 0);
}

/* --- the shard ---------------------------------------------------------------------------------------------------- */

typedef struct heard {
    uint32_t n;
    tw_frame_type type;
    uint64_t ack;
    tw_shard_status status;
} heard;

static void hear(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    heard *self = context;
    tw_frame frame;
    (void)peer;
    (void)peer_size;
    assert_int_equal(tw_frame_decode(bytes, size, &frame, NULL), TW_STATUS_OK);
    self->n++;
    self->type = frame.type;
    self->ack = frame.ack;
    if (frame.type == TW_FRAME_STATUS_ARE)
        assert_int_equal(tw_shard_status_decode(&self->status, frame.payload, frame.payload_size, NULL), TW_STATUS_OK);
}

static void test_a_shard_tells_its_status_to_whom_it_does_not_know_and_opens_no_session(void **state)
{
    (void)state;
    heard answer = {0};
    tw_shard *shard = NULL;
    tw_buffer out = {0};
    tw_shard_options options = {.index = 1, .count = 4, .incarnation = 42, .emit = hear, .context = &answer};
    assert_int_equal(tw_shard_create(&options, &shard, NULL), TW_STATUS_OK);
    tw_shard_edge edge = {.uptime_ms = 5, .snapshot = 3, .snapshot_age_ms = TW_STATUS_UNKNOWN};
    tw_shard_tell_edge(shard, &edge);
    tw_frame frame = {.type = TW_FRAME_STATUS, .sender = 8, .sequence = 12};
    for (uint32_t i = 0; i < 2; i++) { /* the same question again has an answer again */
        assert_int_equal(tw_frame_begin(&out, &frame, NULL, NULL), TW_STATUS_OK);
        tw_frame_finish(&out, &frame);
        tw_shard_receive(shard, "p", 1, out.bytes, out.size);
        assert_int_equal(answer.n, i + 1);
    }
    assert_int_equal(answer.type, TW_FRAME_STATUS_ARE);
    assert_int_equal(answer.ack, 12);
    assert_int_equal(answer.status.figure[TW_STATUS_SHARD], 1);
    assert_int_equal(answer.status.figure[TW_STATUS_SHARDS], 4);
    assert_int_equal(answer.status.figure[TW_STATUS_SESSIONS], 0);
    assert_int_equal(answer.status.figure[TW_STATUS_SNAPSHOT], 3);
    assert_true(answer.status.figure[TW_STATUS_SNAPSHOT_AGE_MS] == TW_STATUS_UNKNOWN);
    assert_true(answer.status.figure[TW_STATUS_ROWS] == TW_STATUS_UNKNOWN);
    assert_string_equal(answer.status.model, "");
    tw_shard_destroy(&shard);
    tw_shard_status_fini(&answer.status);
    tw_free(out.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_with_two_percent_of_the_touches_comes_first_with_its_share),
        cmocka_unit_test(test_no_key_of_a_flat_stream_is_hot),
        cmocka_unit_test(test_the_order_of_keys_in_a_push_favours_none),
        cmocka_unit_test(test_what_was_hot_fades),
        cmocka_unit_test(test_slot_ranges_show_where_the_touches_fall),
        cmocka_unit_test(test_a_status_comes_back_as_it_was),
        cmocka_unit_test(test_parts_and_figures_of_another_version_are_passed_over),
        cmocka_unit_test(test_a_status_that_is_cut_anywhere_is_refused_or_whole_up_to_there),
        cmocka_unit_test(test_marks_are_behind_those_of_the_shard_that_is_furthest_ahead),
        cmocka_unit_test(test_skew_is_the_largest_by_the_mean),
        cmocka_unit_test(test_a_shard_tells_its_status_to_whom_it_does_not_know_and_opens_no_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
