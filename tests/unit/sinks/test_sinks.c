/* The text sinks: what they write, cutting back on resume, failing calls. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "thalweg/sink.h"

extern const tw_sink_ops tw_sink_predictions, tw_sink_jsonl;

static char path[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(path, "/tmp/tw_sink_XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static tw_status open_sink(
    const tw_sink_ops *ops, void **sink, tw_task task, uint32_t n_outputs, uint64_t position, tw_error *error)
{
    tw_option_values *values = NULL;
    assert_int_equal(tw_option_values_create(ops->options, &values, NULL), TW_STATUS_OK);
    assert_int_equal(tw_option_set(values, "path", path, NULL), TW_STATUS_OK);
    *sink = calloc(1, ops->state_size(values));
    tw_status status = ops->open(*sink, values, task, n_outputs, position, tw_host_default(), error);
    tw_option_values_destroy(&values);
    if (status < 0) {
        free(*sink);
        *sink = NULL;
    }
    return status;
}

static void close_sink(const tw_sink_ops *ops, void *sink)
{
    ops->close(sink);
    free(sink);
}

static void assert_file(const char *expected)
{
    char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(tw_file_load(path, 1 << 26, &bytes, &size, NULL), TW_STATUS_OK);
    assert_string_equal(bytes, expected);
    tw_free(bytes);
}

static const float label[] = {1.0F, NAN, 0.0F};
static const int64_t time_us[] = {1700000000000000, INT64_MIN, -5};
static const tw_batch batch = {
    .n_events = 3, .label = label, .time_us = time_us, .split = 0xc0ffee, .from = 10, .to = 1234};

static void predictions_are_one_score_a_line(void **state)
{
    (void)state;
    void *sink;
    uint64_t position = 0;
    assert_int_equal(open_sink(&tw_sink_predictions, &sink, TW_TASK_BINARY, 1, 0, NULL), TW_STATUS_OK);
    assert_int_equal(
        tw_sink_predictions.write(sink, &batch, (const double[]){0.5, 1.0 / 3.0, 1.25e-7}, NULL), TW_STATUS_OK);
    assert_int_equal(tw_sink_predictions.flush(sink, true, &position, NULL), TW_STATUS_OK);
    close_sink(&tw_sink_predictions, sink);
    assert_file("0.5\n0.333333333\n1.25e-07\n");
    assert_int_equal(position, 25);
}

static void clusters_are_index_and_squared_distance(void **state)
{
    (void)state;
    void *sink;
    uint64_t position = 0;
    const double scores[] = {2.5, 3, 0, 0, 1e-3, 12};
    assert_int_equal(open_sink(&tw_sink_predictions, &sink, TW_TASK_CLUSTERING, 2, 0, NULL), TW_STATUS_OK);
    assert_int_equal(tw_sink_predictions.write(sink, &batch, scores, NULL), TW_STATUS_OK);
    assert_int_equal(tw_sink_predictions.flush(sink, false, &position, NULL), TW_STATUS_OK);
    close_sink(&tw_sink_predictions, sink);
    assert_file("3 2.5\n0 0\n12 0.001\n");
}

static void json_lines_have_null_for_what_is_unknown(void **state)
{
    (void)state;
    void *sink;
    uint64_t position = 0;
    assert_int_equal(open_sink(&tw_sink_jsonl, &sink, TW_TASK_BINARY, 1, 0, NULL), TW_STATUS_OK);
    assert_int_equal(
        tw_sink_jsonl.write(sink, &batch, (const double[]){0.25, (double)INFINITY, 1}, NULL), TW_STATUS_OK);
    assert_int_equal(tw_sink_jsonl.flush(sink, false, &position, NULL), TW_STATUS_OK);
    close_sink(&tw_sink_jsonl, sink);
    assert_file(
        "{\"split\":\"0000000000c0ffee\",\"offset\":1234,\"score\":0.25,\"label\":1,\"time\":1700000000000000}\n"
        "{\"split\":\"0000000000c0ffee\",\"offset\":1234,\"score\":null,\"label\":null,\"time\":null}\n"
        "{\"split\":\"0000000000c0ffee\",\"offset\":1234,\"score\":1,\"label\":0,\"time\":-5}\n");
}

static void resume_cuts_the_file_back_to_the_position(void **state)
{
    (void)state;
    void *sink;
    uint64_t position = 0, later = 0;
    const double scores[] = {0.5, 0.25, 0.125};
    assert_int_equal(open_sink(&tw_sink_predictions, &sink, TW_TASK_BINARY, 1, 0, NULL), TW_STATUS_OK);
    assert_int_equal(tw_sink_predictions.write(sink, &batch, scores, NULL), TW_STATUS_OK);
    assert_int_equal(tw_sink_predictions.flush(sink, true, &position, NULL), TW_STATUS_OK);
    assert_int_equal(tw_sink_predictions.write(sink, &batch, scores, NULL), TW_STATUS_OK);
    assert_int_equal(tw_sink_predictions.flush(sink, true, &later, NULL), TW_STATUS_OK);
    close_sink(&tw_sink_predictions, sink);
    assert_int_equal(open_sink(&tw_sink_predictions, &sink, TW_TASK_BINARY, 1, position, NULL), TW_STATUS_OK);
    assert_int_equal(tw_sink_predictions.write(sink, &batch, (const double[]){1, 0, 1}, NULL), TW_STATUS_OK);
    assert_int_equal(tw_sink_predictions.flush(sink, false, &later, NULL), TW_STATUS_OK);
    close_sink(&tw_sink_predictions, sink);
    assert_file("0.5\n0.25\n0.125\n1\n0\n1\n");
    assert_int_equal(later, position + 6);
}

static void file_shorter_than_the_position_is_a_conflict(void **state)
{
    (void)state;
    void *sink;
    tw_error error = {0};
    assert_int_equal(open_sink(&tw_sink_jsonl, &sink, TW_TASK_BINARY, 1, 100, &error), TW_STATUS_CONFLICT);
    assert_non_null(strstr(error.message, path));
    assert_non_null(strstr(error.message, "100"));
}

static void failing_call_doubles_no_line(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 40; nth++) {
        void *sink;
        uint64_t position = 0;
        tw_status status;
        size_t n_errors = 0, n_lines = 0;
        const double scores[] = {0.5, 0.25, 0.125};
        assert_int_equal(open_sink(&tw_sink_predictions, &sink, TW_TASK_BINARY, 1, 0, NULL), TW_STATUS_OK);
        tw_fault_arm(TW_FAULT_FILE, nth, ENOSPC, false);
        for (int i = 0; i < 40; i++) {
            status = tw_sink_predictions.write(sink, &batch, scores, NULL);
            assert_int_equal(status, TW_STATUS_OK);
            do {
                status = tw_sink_predictions.flush(sink, i % 2 == 0, &position, NULL);
                n_errors += status < 0;
            } while (status < 0);
        }
        tw_fault_disarm(TW_FAULT_FILE);
        close_sink(&tw_sink_predictions, sink);
        assert_int_equal(n_errors, 1);
        char *bytes = NULL;
        size_t size = 0;
        assert_int_equal(tw_file_load(path, 1 << 20, &bytes, &size, NULL), TW_STATUS_OK);
        assert_int_equal(size, position);
        for (size_t i = 0; i < size; i++)
            n_lines += bytes[i] == '\n';
        assert_int_equal(n_lines, 120);
        tw_free(bytes);
    }
}

static void failing_allocation_fails_the_open(void **state)
{
    (void)state;
    tw_option_values *values = NULL;
    assert_int_equal(tw_option_values_create(tw_sink_jsonl.options, &values, NULL), TW_STATUS_OK);
    assert_int_equal(tw_option_set(values, "path", path, NULL), TW_STATUS_OK);
    void *sink = calloc(1, tw_sink_jsonl.state_size(values));
    for (uint64_t nth = 1; nth <= 2; nth++) {
        tw_fault_arm(TW_FAULT_ALLOC, nth, ENOMEM, false);
        tw_status status = tw_sink_jsonl.open(sink, values, TW_TASK_BINARY, 1, 0, tw_host_default(), NULL);
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_int_equal(status, TW_STATUS_NO_MEMORY);
    }
    free(sink);
    tw_option_values_destroy(&values);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(predictions_are_one_score_a_line),
        TEST(clusters_are_index_and_squared_distance),
        TEST(json_lines_have_null_for_what_is_unknown),
        TEST(resume_cuts_the_file_back_to_the_position),
        TEST(file_shorter_than_the_position_is_a_conflict),
        TEST(failing_call_doubles_no_line),
        TEST(failing_allocation_fails_the_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
