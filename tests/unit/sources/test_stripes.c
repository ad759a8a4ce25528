/* The source "stripes": the shares of all workers together are the file, line by line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/hash.h"
#include "support/source_reader.h"

extern const tw_source_ops tw_source_stripes;

enum { N_LINES = 2000 };

/* Lines of 1 to 40 bytes that say their number, "i" and i dots; the last one without its end. */
static void write_lines(const char *path, uint64_t seed)
{
    static char text[N_LINES * 64];
    size_t size = 0;
    for (unsigned i = 0; i < N_LINES; i++) {
        size += (size_t)sprintf(text + size, "%u", i);
        for (uint64_t dots = tw_mix64(seed + i) % 36; dots > 0; dots--)
            text[size++] = '.';
        if (i + 1 < N_LINES)
            text[size++] = '\n';
    }
    put_bytes(path, "w", text, size);
}

/* Counts the lines of a reading into seen [N_LINES]; every line must be whole. */
static void count_lines(const reading *all, unsigned *seen)
{
    const char *at = all->text, *end = all->text + all->size;
    while (at < end) {
        char *after = NULL;
        unsigned long number = strtoul(at, &after, 10);
        assert_true(after != at && number < N_LINES);
        seen[number]++;
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        for (const char *c = after; c < (newline != NULL ? newline : end); c++)
            assert_int_equal(*c, '.');
        at = newline != NULL ? newline + 1 : end;
    }
}

static void assert_each_once(const unsigned *seen)
{
    for (unsigned i = 0; i < N_LINES; i++)
        assert_int_equal(seen[i], 1);
}

static void the_shares_together_are_the_file(void **state)
{
    source_fixture *self = *state;
    static const char *const sizes[] = {"size=1024", "size=1025", "size=4096", "size=1MiB"};
    write_lines("lines", 1);
    for (size_t s = 0; s < 4; s++) {
        for (unsigned n = 1; n <= 5; n += 2) {
            unsigned seen[N_LINES] = {0};
            for (unsigned i = 0; i < n; i++) {
                char share[32];
                void *source;
                (void)sprintf(share, "share=%u/%u", i, n);
                memset(&self->all.n_splits, 0, sizeof self->all.n_splits);
                self->all.size = 0;
                OPEN(&source, "path=lines", share, sizes[s]);
                assert_int_equal(reading_to_pause(source, &self->all, 777, 0, NULL), TW_STATUS_END);
                source_close(source);
                count_lines(&self->all, seen);
            }
            assert_each_once(seen);
        }
    }
}

static void a_border_at_a_line_end_starts_the_next_stripe_there(void **state)
{
    source_fixture *self = *state;
    char text[2049];
    memset(text, 'x', sizeof text);
    text[1023] = text[2047] = '\n';
    put_bytes("even", "w", text, 2048);
    void *source;
    OPEN(&source, "path=even", "share=1/3", "size=1024");
    assert_int_equal(reading_to_pause(source, &self->all, 5000, 0, NULL), TW_STATUS_END);
    assert_int_equal(self->all.size, 1024);
    assert_int_equal(self->all.offset[0], 2048);
    assert_true(self->all.is_final[0]);
    source_close(source);
}

static void a_stripe_without_a_line_start_is_empty_and_final(void **state)
{
    source_fixture *self = *state;
    char text[5000];
    memset(text, 'x', sizeof text);
    put_bytes("long", "w", text, sizeof text);
    void *source;
    OPEN(&source, "path=long", "share=2/5", "size=1024");
    assert_int_equal(reading_to_pause(source, &self->all, 5000, 0, NULL), TW_STATUS_END);
    assert_int_equal(self->all.size, 0);
    assert_true(self->all.n_splits == 1 && self->all.is_final[0]);
    source_close(source);
}

static void a_compressed_file_is_one_stripe(void **state)
{
    source_fixture *self = *state;
    gzFile file = gzopen("packed.gz", "w");
    for (int i = 0; i < 3000; i++)
        assert_true(gzprintf(file, "line %d\n", i) > 0);
    assert_int_equal(gzclose(file), Z_OK);
    void *source;
    OPEN(&source, "path=packed.gz", "share=0/2", "size=1024");
    assert_int_equal(reading_to_pause(source, &self->all, 999, 0, NULL), TW_STATUS_END);
    assert_int_equal(self->all.n_splits, 1);
    assert_int_equal(strncmp(self->all.text + self->all.size - 10, "line 2999\n", 10), 0);
    source_close(source);
    self->all.size = self->all.n_splits = 0;
    OPEN(&source, "path=packed.gz", "share=1/2", "size=1024");
    assert_int_equal(reading_to_pause(source, &self->all, 999, 0, NULL), TW_STATUS_END);
    assert_int_equal(self->all.size, 0);
    source_close(source);
}

static void a_share_goes_on_where_a_checkpoint_left_it(void **state)
{
    source_fixture *self = *state;
    unsigned seen[N_LINES] = {0};
    tw_split known[64];
    write_lines("lines", 2);
    void *source;
    OPEN(&source, "path=lines", "share=0/1", "size=8192");
    char data[100];
    for (int i = 0; i < 150; i++) {
        tw_chunk chunk = {.data = data, .capacity = sizeof data};
        assert_int_equal(source_tested->next(source, 0, &chunk, NULL), TW_STATUS_OK);
        reading_take(&self->all, &chunk);
    }
    size_t n_known = reading_checkpoint(source, &self->all, known);
    source_close(source);
    OPEN_KNOWN(&source, known, n_known, "path=lines", "share=0/1", "size=8192");
    assert_int_equal(reading_to_pause(source, &self->all, 100, 0, NULL), TW_STATUS_END);
    count_lines(&self->all, seen);
    assert_each_once(seen);
    source_close(source);
}

static void seeking_serves_a_stripe_and_those_behind_it_again(void **state)
{
    source_fixture *self = *state;
    write_lines("lines", 3);
    void *source;
    OPEN(&source, "path=lines", "size=4096");
    assert_int_equal(reading_to_pause(source, &self->all, 300, 0, NULL), TW_STATUS_END);
    size_t n = 0, whole = self->all.size, n_splits = self->all.n_splits;
    const tw_split *split = source_tested->splits(source, &n);
    assert_true(n == n_splits && n > 3);
    uint64_t second_begins = 0;
    for (const char *at = self->all.text + 4095; *at != '\n'; at++)
        second_begins = (uint64_t)(at - self->all.text) + 2;
    second_begins = second_begins == 0 ? 4096 : second_begins;
    assert_int_equal(source_tested->seek(source, split[1].id, 0, NULL), TW_STATUS_OK);
    self->all.size = self->all.n_splits = 0;
    assert_int_equal(reading_to_pause(source, &self->all, 300, 0, NULL), TW_STATUS_END);
    assert_int_equal(self->all.size, whole - second_begins);
    assert_int_equal(source_tested->seek(source, 12345, 0, NULL), TW_STATUS_NOT_FOUND);
    source_close(source);
}

static void bad_shares_and_paths_are_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"share=2/2", "share=x", "share=0/0", "share=1/2000", "share=1"};
    void *source;
    tw_error error;
    write_file("a", "1\n");
    for (size_t i = 0; i < 5; i++) {
        const char *const options[] = {"path=a", bad[i], NULL};
        assert_int_equal(source_open(&source, options, NULL, 0, &error), TW_STATUS_INVALID);
        assert_non_null(strstr(error.message, "share"));
    }
    assert_int_equal(source_open(&source, (const char *const[]){"path=-", NULL}, NULL, 0, &error), TW_STATUS_INVALID);
    assert_int_equal(
        source_open(&source, (const char *const[]){"path=gone", NULL}, NULL, 0, &error), TW_STATUS_NOT_FOUND);
    assert_non_null(strstr(error.message, "gone"));
    assert_int_equal(
        source_open(&source, (const char *const[]){"path=no*", NULL}, NULL, 0, &error), TW_STATUS_NOT_FOUND);
}

static void every_failing_call_is_an_error_and_nothing_leaks(void **state)
{
    source_fixture *self = *state;
    write_lines("lines", 4);
    size_t n_reached = 0;
    for (int kind = 0; kind < 2; kind++) {
        source_fault_kind = kind == 0 ? TW_FAULT_ALLOC : TW_FAULT_FILE;
        for (source_fault_nth = 1;; source_fault_nth++) {
            void *source = NULL;
            self->all.size = self->all.n_splits = 0;
            tw_status status =
                source_open(&source, (const char *const[]){"path=lines", "size=8192", NULL}, NULL, 0, NULL);
            if (status >= 0)
                status = reading_to_pause(source, &self->all, 4096, 0, NULL);
            bool has_fired = tw_fault_fired(source_fault_kind) > 0;
            tw_fault_disarm(source_fault_kind);
            if (source != NULL)
                source_close(source);
            if (!has_fired)
                break;
            /* Only a close may fail unnoticed: everything was read then. */
            unsigned seen[N_LINES] = {0};
            if (status == TW_STATUS_END) {
                count_lines(&self->all, seen);
                assert_each_once(seen);
            }
            n_reached += status < 0;
        }
    }
    source_fault_nth = 0;
    assert_true(n_reached > 20);
}

int main(void)
{
    source_tested = &tw_source_stripes;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_shares_together_are_the_file, source_set_up, source_tear_down),
        cmocka_unit_test_setup_teardown(
            a_border_at_a_line_end_starts_the_next_stripe_there, source_set_up, source_tear_down),
        cmocka_unit_test_setup_teardown(
            a_stripe_without_a_line_start_is_empty_and_final, source_set_up, source_tear_down),
        cmocka_unit_test_setup_teardown(a_compressed_file_is_one_stripe, source_set_up, source_tear_down),
        cmocka_unit_test_setup_teardown(a_share_goes_on_where_a_checkpoint_left_it, source_set_up, source_tear_down),
        cmocka_unit_test_setup_teardown(
            seeking_serves_a_stripe_and_those_behind_it_again, source_set_up, source_tear_down),
        cmocka_unit_test_setup_teardown(bad_shares_and_paths_are_named, source_set_up, source_tear_down),
        cmocka_unit_test_setup_teardown(
            every_failing_call_is_an_error_and_nothing_leaks, source_set_up, source_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
