#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "ps/wire/frame.h"
#include "ps/wire/layout.h"
#include "ps/wire/pipeline.h"

static const char golden_push[] = TW_SOURCE_DIR "/tests/golden/wire/v1.push";
static const char golden_hello[] = TW_SOURCE_DIR "/tests/golden/wire/v1.hello";
static const char golden_peer[] = TW_SOURCE_DIR "/tests/golden/wire/v1.hello-pipeline"; /* what its pipeline is */

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

static void expect_sample(const void *bytes, size_t size)
{
    tw_frame frame;
    assert_int_equal(tw_frame_decode(bytes, size, &frame, NULL), TW_STATUS_OK);
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
}

static void every_field_survives_encoding_and_decoding(void **state)
{
    (void)state;
    tw_buffer bytes = sample_frame();
    expect_sample(bytes.bytes, bytes.size);
    tw_free(bytes.bytes);
}

static const tw_pipeline_digest sample_pipeline = {{0x11111111, 0x22222222, 0x33333333, 0x44444444}};

static void recorded_frames_of_version_1_are_read_as_they_were_meant(void **state)
{
    (void)state;
    char *bytes;
    size_t size;
    assert_int_equal(tw_file_load(golden_push, 1 << 20, &bytes, &size, NULL), TW_STATUS_OK);
    expect_sample(bytes, size);
    tw_free(bytes);
    assert_int_equal(tw_file_load(golden_hello, 1 << 20, &bytes, &size, NULL), TW_STATUS_OK);
    tw_frame frame;
    tw_hello *hello = malloc(sizeof *hello);
    assert_int_equal(tw_frame_decode(bytes, size, &frame, NULL), TW_STATUS_OK);
    assert_int_equal(frame.type, TW_FRAME_HELLO);
    assert_int_equal(tw_hello_decode(hello, frame.payload, frame.payload_size, NULL), TW_STATUS_OK);
    assert_string_equal(hello->name, "golden");
    assert_int_equal(hello->role, TW_ROLE_OWNER);
    assert_int_equal(hello->index, 1);
    assert_int_equal(hello->count, 3);
    assert_int_equal(hello->spec.kind, TW_TABLE_EXACT);
    assert_int_equal(hello->spec.hash_seed, 99);
    assert_int_equal(hello->spec.schema.row.n_fields, 1);
    assert_string_equal(hello->spec.schema.row.field[0].name, "z");
    tw_pipeline_digest pipeline = tw_pipeline_get(&frame);
    assert_false(tw_pipeline_is_said(&pipeline));
    tw_free(bytes);
    assert_int_equal(tw_file_load(golden_peer, 1 << 20, &bytes, &size, NULL), TW_STATUS_OK);
    assert_int_equal(tw_frame_decode(bytes, size, &frame, NULL), TW_STATUS_OK);
    assert_int_equal(tw_hello_decode(hello, frame.payload, frame.payload_size, NULL), TW_STATUS_OK);
    assert_int_equal(hello->role, TW_ROLE_PEER);
    pipeline = tw_pipeline_get(&frame);
    assert_memory_equal(&pipeline, &sample_pipeline, sizeof pipeline);
    free(hello);
    tw_free(bytes);
}

static void a_frame_of_another_version_is_refused_by_both_numbers(void **state)
{
    (void)state;
    tw_buffer bytes = sample_frame();
    tw_frame frame;
    tw_error error = {0};
    bytes.bytes[4] = TW_FRAME_VERSION + 6;
    tw_put_u64(bytes.bytes + 120, tw_hash(bytes.bytes, 120));
    assert_int_equal(tw_frame_decode(bytes.bytes, bytes.size, &frame, &error), TW_STATUS_PROTOCOL);
    assert_int_equal(frame.reason, TW_NACK_UNKNOWN_TYPE);
    assert_int_equal(frame.sequence, 5);
    assert_non_null(strstr(error.message, "version 7"));
    assert_non_null(strstr(error.message, "speaks version 1"));
    tw_free(bytes.bytes);
}

static tw_buffer sample_hello(tw_role role, const tw_pipeline_digest *pipeline)
{
    tw_buffer out = {0}, payload = {0};
    tw_frame frame = {.type = TW_FRAME_HELLO, .model = 1, .sender = 2};
    tw_hello *hello = calloc(1, sizeof *hello);
    hello->role = role;
    tw_pipeline_put(pipeline, &frame);
    hello->index = 1;
    hello->count = 3;
    hello->spec.kind = TW_TABLE_EXACT;
    hello->spec.hash_seed = 99;
    (void)snprintf(hello->name, sizeof hello->name, "golden");
    assert_int_equal(tw_record_add(&hello->spec.schema.row, "z", TW_FIELD_F32, 2, TW_MERGE_ADD, NULL), TW_STATUS_OK);
    assert_int_equal(tw_hello_encode(hello, &payload, NULL), TW_STATUS_OK);
    assert_int_equal(tw_frame_begin(&out, &frame, NULL, NULL), TW_STATUS_OK);
    assert_int_equal(tw_buffer_append(&out, payload.bytes, payload.size, NULL), TW_STATUS_OK);
    tw_frame_finish(&out, &frame);
    tw_free(payload.bytes);
    free(hello);
    return out;
}

/* "--write-golden": writes the golden files where there are none. */
static int write_golden(void)
{
    const char *const path[] = {golden_push, golden_hello, golden_peer};
    static const tw_pipeline_digest unsaid;
    for (int i = 0; i < 3; i++) {
        tw_buffer bytes = i == 0   ? sample_frame()
                          : i == 1 ? sample_hello(TW_ROLE_OWNER, &unsaid)
                                   : sample_hello(TW_ROLE_PEER, &sample_pipeline);
        tw_file_info info;
        if (tw_file_stat(path[i], &info, NULL) != TW_STATUS_OK)
            assert_int_equal(tw_file_store(path[i], bytes.bytes, bytes.size, NULL), TW_STATUS_OK);
        tw_free(bytes.bytes);
    }
    return 0;
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

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--write-golden") == 0)
        return write_golden();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_survives_encoding_and_decoding),
        cmocka_unit_test(recorded_frames_of_version_1_are_read_as_they_were_meant),
        cmocka_unit_test(a_frame_of_another_version_is_refused_by_both_numbers),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_flipped_bit_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
