/* The source "file" on real files in a temporary folder: read to their end, packed, sought in, failing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/file.h"
#include "support/source_reader.h"

static void files_are_read_in_order_to_the_end(void **state)
{
    source_fixture *self = *state;
    write_file("b", "b1\nb2\n");
    write_file("a", "a1\na2");
    write_file("empty", "");
    for (size_t capacity = 1; capacity < 9; capacity++) {
        void *source;
        memset(&self->all.n_splits, 0, sizeof self->all.n_splits);
        self->all.size = 0;
        OPEN(&source, "path=b", "path=empty", "path=a");
        assert_int_equal(reading_to_pause(source, &self->all, capacity, 0, NULL), TW_STATUS_END);
        assert_reading(&self->all, "b1\nb2\na1\na2");
        assert_int_equal(self->all.n_splits, 3);
        for (int i = 0; i < 3; i++)
            assert_true(self->all.is_final[i]);
        source_close(source);
    }
}

static void pattern_matches_are_read_sorted_and_once(void **state)
{
    source_fixture *self = *state;
    assert_int_equal(mkdir("d1", 0755) + mkdir("d2", 0755), 0);
    write_file("d2/x.log", "3\n");
    write_file("d1/b.log", "2\n");
    write_file("d1/a.log", "1\n");
    write_file("d1/.hidden.log", "no\n");
    write_file("d1/c.txt", "no\n");
    void *source;
    OPEN(&source, "path=d[12]/*.log", "path=d1/a.log");
    assert_int_equal(reading_to_pause(source, &self->all, 100, 0, NULL), TW_STATUS_END);
    assert_reading(&self->all, "1\n2\n3\n");
    source_close(source);
}

static void missing_files_and_folders_are_named(void **state)
{
    (void)state;
    void *source;
    tw_error error = {0};
    assert_int_equal(
        source_open(&source, (const char *const[]){"path=nothere.log", NULL}, NULL, 0, &error), TW_STATUS_NOT_FOUND);
    assert_non_null(strstr(error.message, "nothere.log"));
    assert_int_equal(
        source_open(&source, (const char *const[]){"path=*.nothere", NULL}, NULL, 0, &error), TW_STATUS_NOT_FOUND);
    assert_non_null(strstr(error.message, "*.nothere"));
    assert_int_equal(mkdir("folder", 0755), 0);
    assert_int_equal(source_open(&source, (const char *const[]){"path=folder", NULL}, NULL, 0, &error), TW_STATUS_IO);
    assert_non_null(strstr(error.message, "directory"));
    assert_int_equal(source_open(&source, (const char *const[]){"path=folder", "from=end", NULL}, NULL, 0, &error),
        TW_STATUS_INVALID);
}

static size_t gzip_append(const char *path, const char *mode, const char *text, size_t size)
{
    gzFile file = gzopen(path, mode);
    assert_non_null(file);
    assert_int_equal(gzwrite(file, text, (unsigned)size), (int)size);
    assert_int_equal(gzclose(file), Z_OK);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return (size_t)info.st_size;
}

static size_t zstd_append(const char *path, const char *mode, const char *text, size_t size)
{
    size_t bound = ZSTD_compressBound(size);
    char *packed = malloc(bound);
    size_t n = ZSTD_compress(packed, bound, text, size, 3);
    put_bytes(path, mode, packed, n);
    free(packed);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return (size_t)info.st_size;
}

/* Text that does not compress to nothing. */
static char *make_text(size_t n_lines, size_t *size)
{
    char *text = malloc(n_lines * 40);
    uint64_t random = 42;
    *size = 0;
    for (size_t i = 0; i < n_lines; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        *size += (size_t)sprintf(text + *size, "line %zu value %llx\n", i, (unsigned long long)(random >> 20));
    }
    return text;
}

static void compressed_members_and_frames_are_one_stream(void **state)
{
    source_fixture *self = *state;
    size_t size;
    char *text = make_text(20000, &size);
    gzip_append("a.gz", "wb", text, size / 3);
    gzip_append("a.gz", "ab", text + size / 3, size - size / 3);
    put_bytes("a.gz", "a", "\0\0\0\0", 4); /* padding */
    zstd_append("b", "w", text, size / 2);
    zstd_append("b", "a", text + size / 2, size - size / 2);
    for (int i = 0; i < 2; i++) {
        void *source;
        self->all.size = self->all.n_splits = 0;
        OPEN(&source, i == 0 ? "path=a.gz" : "path=b");
        assert_int_equal(reading_to_pause(source, &self->all, 1000 + 70000 * (size_t)i, 0, NULL), TW_STATUS_END);
        assert_reading(&self->all, text);
        uint64_t id = self->all.id[0];
        self->all.size = 0;
        self->all.offset[0] = size - 12345;
        assert_int_equal(tw_source_file.seek(source, id, size - 12345, NULL), TW_STATUS_OK);
        assert_int_equal(reading_to_pause(source, &self->all, 999, 0, NULL), TW_STATUS_END);
        assert_reading(&self->all, text + size - 12345);
        char head[100];
        size_t n = 0;
        assert_int_equal(tw_source_file.head(source, id, head, sizeof head, &n, NULL), TW_STATUS_OK);
        assert_int_equal(n, sizeof head);
        assert_memory_equal(head, text, n);
        assert_int_equal(tw_source_file.seek(source, id, size + 1, NULL), TW_STATUS_NOT_FOUND);
        source_close(source);
    }
    free(text);
}

static void damaged_and_cut_compressed_files_are_named(void **state)
{
    source_fixture *self = *state;
    size_t size;
    char *text = make_text(3000, &size);
    size_t packed[2] = {gzip_append("a.gz", "wb", text, size), zstd_append("a.zst", "w", text, size)};
    for (int i = 0; i < 20; i++) {
        const char *path = i % 2 == 0 ? "a.gz" : "a.zst";
        char *bytes = NULL;
        size_t n = 0;
        assert_int_equal(tw_file_load(path, 1 << 20, &bytes, &n, NULL), TW_STATUS_OK);
        assert_int_equal(n, packed[i % 2]);
        if (i < 10)
            put_bytes("bad", "w", bytes, n - 1 - (size_t)i * 100);
        else
            put_bytes("bad", "w", bytes, n);
        if (i >= 10) {
            FILE *file = fopen("bad", "r+");
            fseek(file, (long)n - 30 - 200 * i, SEEK_SET);
            fputc(bytes[n - 30 - 200 * (size_t)i] ^ 0x55, file);
            fclose(file);
        }
        tw_free(bytes);
        void *source;
        tw_error error = {0};
        self->all.size = self->all.n_splits = 0;
        OPEN(&source, "path=bad");
        tw_status status = reading_to_pause(source, &self->all, 5000, 0, &error);
        if (status == TW_STATUS_END) /* zstd without a checksum cannot see every flip, but never loses bytes silently */
            assert_true(i >= 10 && i % 2 == 1 && self->all.size == size);
        else
            assert_int_equal(status, TW_STATUS_CORRUPT);
        if (status < 0) {
            assert_non_null(strstr(error.message, "bad"));
            assert_int_equal(reading_to_pause(source, &self->all, 5000, 0, &error), TW_STATUS_CORRUPT);
        }
        source_close(source);
    }
    free(text);
}

static void bounded_resume_skips_done_splits_and_goes_on_at_any_offset(void **state)
{
    source_fixture *self = *state;
    write_file("log.1", "one\ntwo\nthree\n");
    write_file("log.2", "four\nfive\n");
    write_file("log.3", "six\n");
    const char *whole = "one\ntwo\nthree\nfour\nfive\nsix\n";
    for (size_t stop = 0; stop <= strlen(whole); stop++) {
        reading *all = &self->all;
        tw_split known[8];
        void *source;
        all->size = all->n_splits = 0;
        OPEN(&source, "path=log.*");
        while (all->size < stop) {
            char data;
            tw_chunk chunk = {.data = &data, .capacity = 1};
            assert_int_equal(tw_source_file.next(source, 0, &chunk, NULL), TW_STATUS_OK);
            reading_take(all, &chunk);
        }
        size_t n = reading_checkpoint(source, all, known);
        source_close(source);
        /* every name moves on by one */
        if (stop % 2 == 1)
            assert_int_equal(rename("log.3", "log.4") + rename("log.2", "log.3") + rename("log.1", "log.2"), 0);
        for (size_t i = 0; i < all->n_splits; i++)
            all->offset[i] = all->offset[i] == 0 ? UINT64_MAX : all->offset[i];
        reading rest = {.text = all->text};
        OPEN_KNOWN(&source, known, n, "path=log.*");
        assert_int_equal(reading_to_pause(source, &rest, 5, 0, NULL), TW_STATUS_END);
        assert_reading(&rest, whole + stop);
        source_close(source);
        if (stop % 2 == 1)
            assert_int_equal(rename("log.2", "log.1") + rename("log.3", "log.2") + rename("log.4", "log.3"), 0);
    }
}

static void seek_serves_later_splits_again(void **state)
{
    source_fixture *self = *state;
    write_file("a", "a1\na2\n");
    write_file("b", "b1\n");
    void *source;
    OPEN(&source, "path=a", "path=b");
    assert_int_equal(reading_to_pause(source, &self->all, 100, 0, NULL), TW_STATUS_END);
    reading again = {.text = self->all.text};
    assert_int_equal(tw_source_file.seek(source, self->all.id[0], 3, NULL), TW_STATUS_OK);
    assert_int_equal(reading_to_pause(source, &again, 100, 0, NULL), TW_STATUS_END);
    assert_reading(&again, "a2\nb1\n");
    assert_int_equal(tw_source_file.seek(source, self->all.id[0], 7, NULL), TW_STATUS_NOT_FOUND);
    assert_int_equal(tw_source_file.seek(source, 1, 0, NULL), TW_STATUS_NOT_FOUND);
    source_close(source);
}

static void standard_input_is_one_split_and_cannot_go_back(void **state)
{
    source_fixture *self = *state;
    int ends[2], old = dup(0);
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[0], 0) == 0);
    close(ends[0]);
    void *source;
    OPEN(&source, "path=-");
    assert_int_equal(reading_to_pause(source, &self->all, 100, 1, NULL), TW_STATUS_IDLE);
    assert_int_equal(write(ends[1], "one\ntwo\n", 8), 8);
    size_t n_splits = 0, n = 0;
    char head[8];
    uint64_t id = tw_source_file.splits(source, &n_splits)[0].id;
    assert_int_equal(tw_source_file.head(source, id, head, sizeof head, &n, NULL), TW_STATUS_OK);
    assert_int_equal(n, 8);
    assert_int_equal(reading_to_pause(source, &self->all, 3, 1, NULL), TW_STATUS_IDLE);
    assert_int_equal(write(ends[1], "three", 5), 5);
    close(ends[1]);
    assert_int_equal(reading_to_pause(source, &self->all, 3, 1, NULL), TW_STATUS_END);
    assert_reading(&self->all, "one\ntwo\nthree");
    assert_int_equal(self->all.n_splits, 1);
    tw_error error = {0};
    assert_int_equal(tw_source_file.seek(source, id, 4, &error), TW_STATUS_UNSUPPORTED);
    assert_non_null(strstr(error.message, "standard input"));
    source_close(source);
    assert_true(dup2(old, 0) == 0);
    close(old);
}

/* Opens and reads a source to its end, asking again after an error; true when all went well. */
static bool faulty_round(const reading *whole, const char *const *option, bool is_bounded)
{
    void *source;
    char data[512];
    tw_error error = {0};
    tw_status status = source_open(&source, option, NULL, 0, &error);
    if (status < 0) {
        assert_true(error.message[0] != '\0' && error.status == status);
        return false;
    }
    reading all = {.text = malloc(TEXT_SIZE)};
    size_t n_errors = 0;
    do {
        tw_chunk chunk = {.data = data, .capacity = sizeof data};
        status = tw_source_file.next(source, 3, &chunk, &error);
        if (status == TW_STATUS_OK)
            reading_take(&all, &chunk);
        n_errors += status < 0;
    } while (status == TW_STATUS_OK || (status < 0 && n_errors < 3));
    assert_true(n_errors < 3);
    if (is_bounded) {
        assert_int_equal(all.size, whole->size);
        assert_memory_equal(all.text, whole->text, all.size);
    }
    source_close(source);
    free(all.text);
    return n_errors == 0;
}

static void every_failing_call_is_an_error_and_loses_nothing(void **state)
{
    source_fixture *self = *state;
    size_t size;
    char *text = make_text(200, &size);
    write_file("1.log", "one\ntwo\n");
    write_file("2.log", text);
    write_file("log", "x\ny\n");
    gzip_append("a.gz", "wb", text, size);
    zstd_append("b.zst", "w", text, size);
    free(text);
    static const char *const options[2][6] = {
        {"path=*.log", "path=a.gz", "path=b.zst", NULL}, {"path=*.log", "path=log", "follow=true", "poll=1ms", NULL}};
    void *source;
    OPEN(&source, "path=*.log", "path=a.gz", "path=b.zst");
    assert_int_equal(reading_to_pause(source, &self->all, 512, 0, NULL), TW_STATUS_END);
    source_close(source);
    for (int round = 0; round < 4; round++) {
        size_t n_bad = 0;
        source_fault_kind = round % 2 == 0 ? TW_FAULT_FILE : TW_FAULT_ALLOC;
        for (source_fault_nth = 1; source_fault_nth < 2000; source_fault_nth++) {
            n_bad += !faulty_round(&self->all, options[round / 2], round < 2);
            bool is_over = tw_fault_fired(source_fault_kind) == 0;
            tw_fault_disarm(source_fault_kind);
            if (is_over)
                break;
        }
        assert_true(n_bad > 15);
        source_fault_nth = 0;
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, source_set_up, source_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(files_are_read_in_order_to_the_end),
        TEST(pattern_matches_are_read_sorted_and_once),
        TEST(missing_files_and_folders_are_named),
        TEST(compressed_members_and_frames_are_one_stream),
        TEST(damaged_and_cut_compressed_files_are_named),
        TEST(bounded_resume_skips_done_splits_and_goes_on_at_any_offset),
        TEST(seek_serves_later_splits_again),
        TEST(standard_input_is_one_split_and_cannot_go_back),
        TEST(every_failing_call_is_an_error_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
