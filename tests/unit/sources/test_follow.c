/* The source "file" following real files in a temporary folder: growing, rotated, cut, deleted, resumed. */
#define _DEFAULT_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/log_writer.h"
#include "support/source_reader.h"

static void copied_folder_continues_at_its_offset(void **state)
{
    source_fixture *self = *state;
    write_file("log", "first\nsecond\n");
    void *source;
    OPEN(&source, "path=log", "follow=true");
    reading_to_idle(source, &self->all);
    tw_split known[2];
    size_t n = reading_checkpoint(source, &self->all, known);
    source_close(source);
    write_file("copy", "first\nsecond\nthird\n");
    assert_int_equal(unlink("log") + rename("copy", "log"), 0);
    reading rest = {.text = self->all.text};
    OPEN_KNOWN(&source, known, n, "path=log", "follow=true");
    reading_to_idle(source, &rest);
    assert_reading(&rest, "third\n");
    assert_int_equal(rest.id[0], self->all.id[0]);
    source_close(source);
}

static void followed_file_may_come_later_and_grow_in_pieces(void **state)
{
    source_fixture *self = *state;
    void *source;
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    reading_to_idle(source, &self->all);
    write_file("log", "hal");
    reading_to_idle(source, &self->all);
    assert_int_equal(self->all.n_splits, 0);
    append_file("log", "f\nmore\npar");
    reading_to_idle(source, &self->all);
    assert_reading(&self->all, "half\nmore\n");
    append_file("log", "tial\n");
    reading_to_idle(source, &self->all);
    assert_reading(&self->all, "half\nmore\npartial\n");
    assert_int_equal(self->all.n_splits, 1);
    source_close(source);
}

static void rotated_file_is_finished_before_the_new_one(void **state)
{
    source_fixture *self = *state;
    void *source;
    write_file("log", "1\n");
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    reading_to_idle(source, &self->all);
    append_file("log", "2\nhalf");
    assert_int_equal(rename("log", "log.1"), 0);
    write_file("log", "3\n");
    append_file("log.1", "!");
    reading_to_idle(source, &self->all);
    assert_reading(&self->all, "1\n2\nhalf!3\n");
    assert_true(self->all.is_final[0]);
    assert_false(self->all.is_final[1]);
    source_close(source);
}

static void several_unseen_rotations_lose_nothing(void **state)
{
    source_fixture *self = *state;
    void *source;
    write_file("log.1", "old, not asked for\n");
    usleep(20000);
    write_file("log", "1\n");
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    reading_to_idle(source, &self->all);
    append_file("log", "2\n");
    for (int i = 3; i < 7; i++) {
        char line[16];
        (void)snprintf(line, sizeof line, "%d\n", i);
        for (int k = 6; k > 0; k--) {
            char from[16], to[16];
            (void)snprintf(from, sizeof from, "log.%d", k);
            (void)snprintf(to, sizeof to, "log.%d", k + 1);
            (void)rename(from, to);
        }
        assert_int_equal(rename("log", "log.1"), 0);
        write_file("log", line);
    }
    reading_to_idle(source, &self->all);
    assert_reading(&self->all, "1\n2\n3\n4\n5\n6\n");
    source_close(source);
}

static void resume_after_unseen_rotations_loses_nothing(void **state)
{
    source_fixture *self = *state;
    void *source;
    tw_split known[4];
    write_file("log", "1\n");
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    reading_to_idle(source, &self->all);
    size_t n = reading_checkpoint(source, &self->all, known);
    source_close(source);
    append_file("log", "2\n");
    assert_int_equal(rename("log", "log.1"), 0);
    usleep(20000);
    write_file("log", "3\n");
    assert_int_equal(rename("log.1", "log.2") + rename("log", "log.1"), 0);
    write_file("log", "4\n");
    reading rest = {.text = self->all.text};
    OPEN_KNOWN(&source, known, n, "path=log", "follow=true", "poll=1ms");
    reading_to_idle(source, &rest);
    assert_reading(&rest, "2\n3\n4\n");
    source_close(source);
}

static void truncated_file_becomes_a_new_generation(void **state)
{
    source_fixture *self = *state;
    void *source;
    write_file("log", "same head\nsecond\n");
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    reading_to_idle(source, &self->all);
    put_bytes("log", "r+", "", 0);
    assert_int_equal(truncate("log", 0), 0);
    reading_to_idle(source, &self->all);
    append_file("log", "same head\nthird\n");
    reading_to_idle(source, &self->all);
    /* cut and longer than before at once */
    assert_int_equal(truncate("log", 0), 0);
    append_file("log", "same head\nfourth\nfifth and sixth\n");
    reading_to_idle(source, &self->all);
    assert_reading(&self->all, "same head\nsecond\nsame head\nthird\nsame head\nfourth\nfifth and sixth\n");
    assert_int_equal(self->all.n_splits, 3);
    assert_true(self->all.is_final[0] && self->all.is_final[1] && !self->all.is_final[2]);
    assert_int_equal(tw_source_file.seek(source, self->all.id[0], 0, NULL), TW_STATUS_NOT_FOUND);
    source_close(source);
}

static void deleted_and_recreated_file_is_read_from_its_start(void **state)
{
    source_fixture *self = *state;
    void *source;
    write_file("log", "1\n");
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    reading_to_idle(source, &self->all);
    append_file("log", "2\n");
    assert_int_equal(unlink("log"), 0);
    reading_to_idle(source, &self->all);
    write_file("log", "1\n");
    reading_to_idle(source, &self->all);
    assert_reading(&self->all, "1\n2\n1\n");
    source_close(source);
}

static void followed_pattern_takes_in_new_files_and_switches_at_line_ends(void **state)
{
    source_fixture *self = *state;
    void *source;
    write_file("a.log", "a1\n");
    OPEN(&source, "path=*.log", "follow=true", "poll=1ms");
    reading_to_idle(source, &self->all);
    append_file("a.log", "half");
    write_file("b.log", "b1\n");
    reading_to_idle(source, &self->all);
    append_file("a.log", " whole\n");
    reading_to_idle(source, &self->all);
    append_file("b.log", "b2\n");
    assert_int_equal(rename("b.log", "c.log"), 0);
    reading_to_idle(source, &self->all);
    assert_reading(&self->all, "a1\nb1\nhalf whole\nb2\n");
    assert_int_equal(self->all.n_splits, 2);
    source_close(source);
}

static void follow_from_end_starts_behind_the_last_line(void **state)
{
    source_fixture *self = *state;
    void *source;
    write_file("log", "1\n2\npar");
    OPEN(&source, "path=log", "follow=true", "from=end", "poll=1ms");
    reading_to_idle(source, &self->all);
    append_file("log", "tial\n");
    reading_to_idle(source, &self->all);
    assert_reading(&self->all, "partial\n");
    source_close(source);
}

static void history_then_live_has_no_gap_and_no_overlap(void **state)
{
    source_fixture *self = *state;
    void *source;
    tw_split known[8];
    write_file("log.2", "1\n");
    usleep(20000);
    write_file("log.1", "2\n");
    usleep(20000);
    write_file("log", "3\n");
    OPEN(&source, "path=log.2", "path=log.1", "path=log");
    assert_int_equal(reading_to_pause(source, &self->all, 100, 0, NULL), TW_STATUS_END);
    size_t n = reading_checkpoint(source, &self->all, known);
    source_close(source);
    append_file("log", "4\n");
    assert_int_equal(rename("log.2", "log.3") + rename("log.1", "log.2") + rename("log", "log.1"), 0);
    usleep(20000);
    write_file("log", "5\n");
    reading rest = {.text = self->all.text};
    OPEN_KNOWN(&source, known, n, "path=log", "follow=true", "poll=1ms");
    reading_to_idle(source, &rest);
    assert_reading(&rest, "4\n5\n");
    source_close(source);
}

/* The splits of all runs that were read, in order, as the engine keeps them. */
typedef struct history {
    tw_split split[MAX_SPLITS];
    size_t count;
} history;

static void history_put(history *self, const tw_split *split)
{
    size_t i = 0;
    while (i < self->count && self->split[i].id != split->id)
        i++;
    assert_true(i < MAX_SPLITS);
    self->split[i] = *split;
    self->count += i == self->count;
}

/* Closes the source, waits a little or not, and opens it again with what was read so far. */
static void reopen(void **source, reading *all, history *known, unsigned wait_us)
{
    tw_split now[64];
    size_t n = 0;
    (void)tw_source_file.splits(*source, &n);
    assert_true(n <= 64);
    n = reading_checkpoint(*source, all, now);
    for (size_t i = 0; i < n; i++) {
        if (now[i].offset > 0)
            history_put(known, &now[i]);
    }
    source_close(*source);
    usleep(wait_us);
    for (size_t i = 0; i < all->n_splits; i++)
        all->offset[i] = all->offset[i] == 0 ? UINT64_MAX : all->offset[i];
    OPEN_KNOWN(source, known->split, known->count, "path=log", "follow=true", "poll=1ms");
}

/* Reads what `writer` writes and compares; with resume_every > 0 the source is opened again after as many chunks. */
static void follow_random(source_fixture *self, log_writer *writer, size_t resume_every)
{
    writer->folder = self->folder;
    writer->text = calloc(1, LOG_WRITER_SIZE);
    pthread_mutex_init(&writer->lock, NULL);
    history *known = calloc(1, sizeof *known);
    pthread_t thread;
    void *source;
    char data[64];
    reading *all = &self->all;
    bool is_equal = true;
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    assert_int_equal(pthread_create(&thread, NULL, log_writer_run, writer), 0);
    size_t n_chunks = 0;
    for (int patience = 0; patience < 400 && is_equal; patience++) {
        tw_chunk chunk = {.data = data, .capacity = sizeof data};
        tw_status status = tw_source_file.next(source, 5, &chunk, NULL);
        is_equal = status >= 0 && status != TW_STATUS_END;
        if (status == TW_STATUS_OK) {
            reading_take(all, &chunk);
            size_t at = all->size - chunk.size;
            is_equal = all->size <= atomic_load(&writer->written) + 128 &&
                       log_writer_wrote(writer, at, all->text + at, chunk.size);
            patience = 0;
            n_chunks++;
        }
        atomic_store(&writer->read, all->size);
        if (atomic_load(&writer->is_over) && all->size == atomic_load(&writer->written))
            break;
        if (resume_every > 0 && status == TW_STATUS_OK && n_chunks % resume_every == 0)
            reopen(&source, all, known, n_chunks % 2 == 0 ? 3000 : 0);
    }
    atomic_store(&writer->is_stopped, true);
    pthread_join(thread, NULL);
    source_close(source);
    if (!is_equal || all->size != writer->written) {
        size_t from = all->size > 200 ? all->size - 200 : 0;
        print_error(
            "read %zu of %llu bytes, up to ...%s|\n", all->size, (unsigned long long)writer->written, all->text + from);
        print_error("but these were written: ...%.300s|\n", writer->text + from);
    }
    bool is_all = is_equal && all->size == writer->written;
    pthread_mutex_destroy(&writer->lock);
    free(writer->text);
    free(known);
    assert_true(is_all);
}

static void random_writer_is_followed_byte_for_byte(void **state)
{
    for (uint64_t seed = 1; seed < 78; seed += 76) {
        source_fixture *self = *state;
        self->all.size = self->all.n_splits = 0;
        follow_random(
            self, &(log_writer){.random = seed, .n_lines = 2000, .n_kept = 3, .rotations = 4, .is_deleting = true}, 0);
        (void)system("rm -f log*");
    }
}

static void random_writer_is_followed_across_resumes(void **state)
{
    follow_random(
        *state, &(log_writer){.random = 5, .n_lines = 3000, .n_kept = 3, .rotations = 4, .is_deleting = true}, 97);
}

static void rotations_without_pause_are_followed(void **state)
{
    follow_random(*state, &(log_writer){.random = 3, .n_lines = 800, .n_kept = 12, .rotations = 60}, 0);
}

static void rotations_without_pause_are_followed_across_resumes(void **state)
{
    follow_random(*state, &(log_writer){.random = 4, .n_lines = 400, .n_kept = 12, .rotations = 60}, 1);
}

static void rotated_files_that_start_alike_are_followed_across_resumes(void **state)
{
    follow_random(
        *state, &(log_writer){.random = 9, .n_lines = 500, .n_kept = 5, .rotations = 30, .has_header = true}, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, source_set_up, source_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(copied_folder_continues_at_its_offset),
        TEST(followed_file_may_come_later_and_grow_in_pieces),
        TEST(rotated_file_is_finished_before_the_new_one),
        TEST(several_unseen_rotations_lose_nothing),
        TEST(resume_after_unseen_rotations_loses_nothing),
        TEST(truncated_file_becomes_a_new_generation),
        TEST(deleted_and_recreated_file_is_read_from_its_start),
        TEST(followed_pattern_takes_in_new_files_and_switches_at_line_ends),
        TEST(follow_from_end_starts_behind_the_last_line),
        TEST(history_then_live_has_no_gap_and_no_overlap),
        TEST(random_writer_is_followed_byte_for_byte),
        TEST(random_writer_is_followed_across_resumes),
        TEST(rotations_without_pause_are_followed),
        TEST(rotations_without_pause_are_followed_across_resumes),
        TEST(rotated_files_that_start_alike_are_followed_across_resumes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
