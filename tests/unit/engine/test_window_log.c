/* The file of finished windows: its lines, its length in the checkpoint, and writes that fail. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/file.h"
#include "engine/window_log.h"

static char folder[64], path[96];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/thalweg-windows-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/windows.jsonl", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static tw_window window_of(uint64_t number)
{
    tw_window window = {.number = number,
        .from_event = number * 10 - 9,
        .to_event = number * 10,
        .from_us = INT64_MIN,
        .to_us = INT64_MIN};
    tw_figures_clear(&window.figures);
    window.figures.events = 10;
    window.figures.labelled = 9;
    window.figures.auc = 0.75;
    return window;
}

static void add(tw_window_log *log, uint64_t number)
{
    tw_window window = window_of(number);
    assert_int_equal(tw_window_log_add(log, &window, NULL), TW_STATUS_OK);
}

static char *file_text(void)
{
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(tw_file_load(path, 1 << 20, &text, &size, NULL), TW_STATUS_OK);
    return text;
}

static uint32_t count_lines(const char *text)
{
    uint32_t n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void a_line_has_every_figure_and_null_for_what_is_unknown(void **state)
{
    (void)state;
    static const char expected[] =
        "{\"window\":1,\"from_event\":1,\"to_event\":10,\"from_time\":null,\"to_time\":null,\"events\":10,"
        "\"labelled\":9,\"positives\":0,\"loss\":null,\"logloss\":null,\"best_constant_logloss\":null,"
        "\"normalized_entropy\":null,\"auc\":0.75,\"auc_error\":null,\"gauc\":null,\"gauc_events\":null,"
        "\"calibration\":null,\"accuracy\":null,\"precision\":null,\"recall\":null,\"f1\":null,\"kappa\":null,"
        "\"kappa_no_change\":null,\"mse\":null,\"rmse\":null,\"mae\":null,\"r2\":null,\"inertia\":null}\n";
    tw_window_log *log = NULL;
    assert_int_equal(tw_window_log_open(path, NULL, &log, NULL), TW_STATUS_OK);
    add(log, 1);
    assert_int_equal(tw_window_log_flush(log, false, NULL), TW_STATUS_OK);
    char *text = file_text();
    assert_string_equal(text, expected);
    tw_free(text);
    tw_window_log_close(&log);
}

static void resume_cuts_the_file_back_to_the_checkpoint(void **state)
{
    (void)state;
    tw_window_log *log = NULL;
    tw_manifest manifest = {.id = 1};
    assert_int_equal(tw_window_log_open(path, NULL, &log, NULL), TW_STATUS_OK);
    add(log, 1);
    add(log, 2);
    assert_int_equal(tw_window_log_save(log, &manifest, NULL), TW_STATUS_OK);
    add(log, 3);
    assert_int_equal(tw_window_log_flush(log, false, NULL), TW_STATUS_OK);
    tw_window_log_close(&log);
    assert_int_equal(tw_window_log_open(path, tw_manifest_find(&manifest, "windows"), &log, NULL), TW_STATUS_OK);
    add(log, 3);
    assert_int_equal(tw_window_log_flush(log, false, NULL), TW_STATUS_OK);
    char *text = file_text();
    assert_int_equal(count_lines(text), 3);
    assert_non_null(strstr(text, "\"window\":3,\"from_event\":21"));
    tw_free(text);
    tw_window_log_close(&log);
    tw_manifest_fini(&manifest);
}

static void a_file_shorter_than_the_checkpoint_says_is_refused(void **state)
{
    (void)state;
    uint64_t length = 100000;
    tw_section saved = {.name = "windows", .bytes = &length, .size = sizeof length};
    tw_window_log *log = NULL;
    tw_error error = {0};
    assert_int_equal(tw_window_log_open(path, &saved, &log, &error), TW_STATUS_CONFLICT);
    assert_null(log);
    assert_non_null(strstr(error.message, "100000"));
    saved.size = 3;
    assert_int_equal(tw_window_log_open(path, &saved, &log, NULL), TW_STATUS_CORRUPT);
}

static uint64_t fail_in_turn(tw_fault_kind kind, int errnum)
{
    uint64_t n_reached = 0;
    bool is_through = false;
    for (uint64_t n = 1; !is_through; n++) {
        tw_window_log *log = NULL;
        tw_window window = window_of(1);
        tw_fault_arm(kind, n, errnum, false);
        tw_status opened = tw_window_log_open(path, NULL, &log, NULL);
        tw_status added = opened == TW_STATUS_OK ? tw_window_log_add(log, &window, NULL) : opened;
        tw_status written = added == TW_STATUS_OK ? tw_window_log_flush(log, true, NULL) : added;
        is_through = tw_fault_fired(kind) == 0;
        n_reached += !is_through;
        tw_fault_disarm(kind);
        if (opened == TW_STATUS_OK) {
            if (added < 0)
                add(log, 1);
            if (written < 0)
                assert_int_equal(tw_window_log_flush(log, true, NULL), TW_STATUS_OK);
            char *text = file_text();
            assert_int_equal(count_lines(text), 1);
            tw_free(text);
        }
        tw_window_log_close(&log);
    }
    return n_reached;
}

/* Every call that can fail does, in turn; what was handed over is in the file once in the end. */
static void lines_survive_failing_writes_and_allocations(void **state)
{
    (void)state;
    assert_true(fail_in_turn(TW_FAULT_ALLOC, ENOMEM) >= 3);
    assert_true(fail_in_turn(TW_FAULT_FILE, ENOSPC) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_every_figure_and_null_for_what_is_unknown),
        cmocka_unit_test(resume_cuts_the_file_back_to_the_checkpoint),
        cmocka_unit_test(a_file_shorter_than_the_checkpoint_says_is_refused),
        cmocka_unit_test(lines_survive_failing_writes_and_allocations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
