#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "ps/frame.h"

static const uint64_t sample_key[3] = {11, 12, 13};

static tw_buffer sample_frame(void)
{
    tw_buffer out = {0};
    tw_frame frame = {.type = TW_FRAME_PUSH,
        .flags = TW_FRAME_MORE,
        .model = 1,
        .sender = 2,
        .epoch = 3,
        .incarnation = 4,
        .sequence = 5,
        .ack = 6,
        .credit_bytes = 7,
        .credit_frames = 8,
        .form = TW_FORM_ADD,
        .reason = TW_NACK_GAP,
        .block_first = 9,
        .n_blocks = 10,
        .handle = 11,
        .n_learned = 12,
        .generation = 13,
        .n_keys = 3,
        .n_marks = 2,
        .mark = {{20, 21, 22}, {23, 24, 25}}};
    assert_int_equal(tw_frame_begin(&out, &frame, sample_key, NULL), 0);
    assert_int_equal(tw_buffer_append(&out, "payload", 7, NULL), 0);
    tw_frame_finish(&out, &frame);
    return out;
}

static void every_field_survives_encoding_and_decoding(void **state)
{
    (void)state;
    tw_buffer bytes = sample_frame();
    tw_frame frame;
    assert_int_equal(tw_frame_decode(bytes.bytes, bytes.size, &frame, NULL), TW_STATUS_OK);
    assert_int_equal(frame.type, TW_FRAME_PUSH);
    assert_int_equal(frame.flags, TW_FRAME_MORE | TW_FRAME_HAS_KEYS);
    const uint64_t found[] = {frame.model, frame.sender, frame.epoch, frame.incarnation, frame.sequence, frame.ack,
        frame.credit_bytes, frame.credit_frames, frame.block_first, frame.n_blocks, frame.handle, frame.n_learned,
        frame.generation};
    for (size_t i = 0; i < 13; i++)
        assert_int_equal(found[i], i + 1);
    assert_int_equal(frame.form, TW_FORM_ADD);
    assert_int_equal(frame.reason, TW_NACK_GAP);
    assert_int_equal(frame.mark[1].split, 23);
    assert_int_equal(frame.mark[1].to, 25);
    assert_int_equal(tw_get_u64(frame.keys + 16), 13);
    assert_int_equal(frame.payload_size, 7);
    assert_memory_equal(frame.payload, "payload", 7);
    tw_free(bytes.bytes);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    tw_buffer bytes = sample_frame();
    for (size_t size = 0; size < bytes.size; size++) {
        unsigned char *copy = malloc(size + 1);
        memcpy(copy, bytes.bytes, size);
        tw_frame frame;
        assert_int_equal(tw_frame_decode(copy, size, &frame, NULL), TW_STATUS_PROTOCOL);
        assert_int_not_equal(frame.reason, TW_NACK_NONE);
        free(copy);
    }
    tw_free(bytes.bytes);
}

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    tw_buffer bytes = sample_frame();
    for (size_t i = 0; i < bytes.size * 8; i++) {
        tw_frame frame;
        bytes.bytes[i / 8] ^= (unsigned char)(1u << i % 8);
        assert_int_equal(tw_frame_decode(bytes.bytes, bytes.size, &frame, NULL), TW_STATUS_PROTOCOL);
        bytes.bytes[i / 8] ^= (unsigned char)(1u << i % 8);
    }
    tw_free(bytes.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_survives_encoding_and_decoding),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_flipped_bit_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
