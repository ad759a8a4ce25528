/* The source "file" on real files in a temporary folder. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
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
#include "base/log.h"
#include "thalweg/source.h"

extern const tw_source_ops tw_source_file;

enum { MAX_SPLITS = 4096, TEXT_SIZE = 1 << 22 };

/* What was read: all bytes in order, and per split how far. */
typedef struct reading {
    char *text;
    size_t size;
    uint64_t id[MAX_SPLITS], offset[MAX_SPLITS];
    bool is_final[MAX_SPLITS];
    size_t n_splits, n_idle;
} reading;

typedef struct fixture {
    char folder[64], previous[512];
    reading all;
} fixture;

static int set_up(void **state)
{
    fixture *self = calloc(1, sizeof *self);
    strcpy(self->folder, "/tmp/tw_source_XXXXXX");
    self->all.text = malloc(TEXT_SIZE);
    if (self->all.text == NULL || mkdtemp(self->folder) == NULL ||
        getcwd(self->previous, sizeof self->previous) == NULL || chdir(self->folder) != 0)
        return -1;
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    fixture *self = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", self->folder);
    int result = chdir(self->previous) + system(command);
    free(self->all.text);
    free(self);
    return result;
}

static void put(const char *path, const char *mode, const char *text, size_t size)
{
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_file(const char *path, const char *text)
{
    put(path, "w", text, strlen(text));
}

static void append_file(const char *path, const char *text)
{
    put(path, "a", text, strlen(text));
}

/* options: "path=a", "path=b", "follow=true", ..., NULL-terminated. */
static tw_fault_kind pending_kind;
static uint64_t pending_nth; /* > 0: armed just before the source is opened */

static tw_status open_known(
    void **source, const char *const *option, const tw_split *known, size_t n_known, tw_error *error)
{
    tw_option_values *values = NULL;
    *source = NULL;
    assert_int_equal(tw_option_values_create(tw_source_file.options, &values, NULL), 0);
    for (; *option != NULL; option++) {
        char name[32];
        const char *equals = strchr(*option, '=');
        (void)snprintf(name, sizeof name, "%.*s", (int)(equals - *option), *option);
        tw_status set = strcmp(name, "path") == 0 ? tw_option_append(values, name, equals + 1, NULL)
                                                  : tw_option_set(values, name, equals + 1, NULL);
        assert_int_equal(set, 0);
    }
    void *self = calloc(1, tw_source_file.state_size(values));
    if (pending_nth > 0)
        tw_fault_arm(pending_kind, pending_nth, pending_kind == TW_FAULT_FILE ? EIO : ENOMEM, false);
    tw_status status = tw_source_file.open(self, values, known, n_known, tw_host_default(), error);
    tw_option_values_destroy(&values);
    if (status < 0)
        free(self);
    else
        *source = self;
    return status;
}

#define OPEN(source, ...)                                                                                              \
    assert_int_equal(open_known(source, (const char *const[]){__VA_ARGS__, NULL}, NULL, 0, NULL), TW_STATUS_OK)
#define OPEN_KNOWN(source, known, n, ...)                                                                              \
    assert_int_equal(open_known(source, (const char *const[]){__VA_ARGS__, NULL}, known, n, NULL), TW_STATUS_OK)

static void close_source(void *source)
{
    tw_source_file.close(source);
    free(source);
}

static size_t reading_split(reading *self, uint64_t id)
{
    for (size_t i = 0; i < self->n_splits; i++) {
        if (self->id[i] == id)
            return i;
    }
    assert_true(self->n_splits < MAX_SPLITS);
    self->id[self->n_splits] = id;
    self->offset[self->n_splits] = UINT64_MAX;
    return self->n_splits++;
}

/* Takes a chunk and checks that the split goes on where it was. */
static void take(reading *self, const tw_chunk *chunk)
{
    size_t i = reading_split(self, chunk->split);
    if (self->offset[i] == UINT64_MAX) {
        assert_true(chunk->is_first);
        self->offset[i] = chunk->offset;
    }
    assert_int_equal(chunk->offset, self->offset[i]);
    assert_true(chunk->size > 0 || chunk->is_final);
    self->offset[i] += chunk->size;
    self->is_final[i] = chunk->is_final;
    assert_true(self->size + chunk->size < TEXT_SIZE);
    memcpy(self->text + self->size, chunk->data, chunk->size);
    self->size += chunk->size;
    self->text[self->size] = '\0';
}

/* Reads until the answer is not OK. */
static tw_status read_with(void *source, reading *all, size_t capacity, int timeout_ms, tw_error *error)
{
    char *data = malloc(capacity);
    tw_status status;
    do {
        tw_chunk chunk = {.data = data, .capacity = capacity};
        status = tw_source_file.next(source, timeout_ms, &chunk, error);
        if (status == TW_STATUS_OK)
            take(all, &chunk);
    } while (status == TW_STATUS_OK);
    free(data);
    return status;
}

/* Reads a followed source until it answers IDLE twice: a single IDLE may only announce another file. */
static void read_idle(void *source, reading *all)
{
    size_t before;
    do {
        before = all->size;
        assert_int_equal(read_with(source, all, 4096, 40, NULL), TW_STATUS_IDLE);
    } while (all->size != before);
    assert_int_equal(read_with(source, all, 4096, 40, NULL), TW_STATUS_IDLE);
}

static void assert_text(const reading *all, const char *expected)
{
    assert_int_equal(all->size, strlen(expected));
    assert_memory_equal(all->text, expected, all->size);
}

/* The source's splits with the positions of the reading, as a checkpoint keeps them. */
static size_t checkpoint(void *source, reading *all, tw_split *out)
{
    size_t n = 0;
    const tw_split *shown = tw_source_file.splits(source, &n);
    for (size_t i = 0; i < n; i++) {
        size_t k = reading_split(all, shown[i].id);
        out[i] = shown[i];
        out[i].offset = all->offset[k] == UINT64_MAX ? 0 : all->offset[k];
        out[i].is_done = all->is_final[k];
    }
    return n;
}

static void files_are_read_in_order_to_the_end(void **state)
{
    fixture *self = *state;
    write_file("b", "b1\nb2\n");
    write_file("a", "a1\na2");
    write_file("empty", "");
    for (size_t capacity = 1; capacity < 9; capacity++) {
        void *source;
        memset(&self->all.n_splits, 0, sizeof self->all.n_splits);
        self->all.size = 0;
        OPEN(&source, "path=b", "path=empty", "path=a");
        assert_int_equal(read_with(source, &self->all, capacity, 0, NULL), TW_STATUS_END);
        assert_text(&self->all, "b1\nb2\na1\na2");
        assert_int_equal(self->all.n_splits, 3);
        for (int i = 0; i < 3; i++)
            assert_true(self->all.is_final[i]);
        close_source(source);
    }
}

static void pattern_matches_are_read_sorted_and_once(void **state)
{
    fixture *self = *state;
    assert_int_equal(mkdir("d1", 0755) + mkdir("d2", 0755), 0);
    write_file("d2/x.log", "3\n");
    write_file("d1/b.log", "2\n");
    write_file("d1/a.log", "1\n");
    write_file("d1/.hidden.log", "no\n");
    write_file("d1/c.txt", "no\n");
    void *source;
    OPEN(&source, "path=d[12]/*.log", "path=d1/a.log");
    assert_int_equal(read_with(source, &self->all, 100, 0, NULL), TW_STATUS_END);
    assert_text(&self->all, "1\n2\n3\n");
    close_source(source);
}

static void missing_files_and_folders_are_named(void **state)
{
    (void)state;
    void *source;
    tw_error error = {0};
    assert_int_equal(
        open_known(&source, (const char *const[]){"path=nothere.log", NULL}, NULL, 0, &error), TW_STATUS_NOT_FOUND);
    assert_non_null(strstr(error.message, "nothere.log"));
    assert_int_equal(
        open_known(&source, (const char *const[]){"path=*.nothere", NULL}, NULL, 0, &error), TW_STATUS_NOT_FOUND);
    assert_non_null(strstr(error.message, "*.nothere"));
    assert_int_equal(mkdir("folder", 0755), 0);
    assert_int_equal(open_known(&source, (const char *const[]){"path=folder", NULL}, NULL, 0, &error), TW_STATUS_IO);
    assert_non_null(strstr(error.message, "directory"));
    assert_int_equal(open_known(&source, (const char *const[]){"path=folder", "from=end", NULL}, NULL, 0, &error),
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
    put(path, mode, packed, n);
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
    fixture *self = *state;
    size_t size;
    char *text = make_text(20000, &size);
    gzip_append("a.gz", "wb", text, size / 3);
    gzip_append("a.gz", "ab", text + size / 3, size - size / 3);
    put("a.gz", "a", "\0\0\0\0", 4); /* padding */
    zstd_append("b", "w", text, size / 2);
    zstd_append("b", "a", text + size / 2, size - size / 2);
    for (int i = 0; i < 2; i++) {
        void *source;
        self->all.size = self->all.n_splits = 0;
        OPEN(&source, i == 0 ? "path=a.gz" : "path=b");
        assert_int_equal(read_with(source, &self->all, 1000 + 70000 * (size_t)i, 0, NULL), TW_STATUS_END);
        assert_text(&self->all, text);
        uint64_t id = self->all.id[0];
        self->all.size = 0;
        self->all.offset[0] = size - 12345;
        assert_int_equal(tw_source_file.seek(source, id, size - 12345, NULL), TW_STATUS_OK);
        assert_int_equal(read_with(source, &self->all, 999, 0, NULL), TW_STATUS_END);
        assert_text(&self->all, text + size - 12345);
        char head[100];
        size_t n = 0;
        assert_int_equal(tw_source_file.head(source, id, head, sizeof head, &n, NULL), TW_STATUS_OK);
        assert_int_equal(n, sizeof head);
        assert_memory_equal(head, text, n);
        assert_int_equal(tw_source_file.seek(source, id, size + 1, NULL), TW_STATUS_NOT_FOUND);
        close_source(source);
    }
    free(text);
}

static void damaged_and_cut_compressed_files_are_named(void **state)
{
    fixture *self = *state;
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
            put("bad", "w", bytes, n - 1 - (size_t)i * 100);
        else
            put("bad", "w", bytes, n);
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
        tw_status status = read_with(source, &self->all, 5000, 0, &error);
        if (status == TW_STATUS_END) /* zstd without a checksum cannot see every flip, but never loses bytes silently */
            assert_true(i >= 10 && i % 2 == 1 && self->all.size == size);
        else
            assert_int_equal(status, TW_STATUS_CORRUPT);
        if (status < 0) {
            assert_non_null(strstr(error.message, "bad"));
            assert_int_equal(read_with(source, &self->all, 5000, 0, &error), TW_STATUS_CORRUPT);
        }
        close_source(source);
    }
    free(text);
}

static void bounded_resume_skips_done_splits_and_goes_on_at_any_offset(void **state)
{
    fixture *self = *state;
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
            take(all, &chunk);
        }
        size_t n = checkpoint(source, all, known);
        close_source(source);
        /* every name moves on by one */
        if (stop % 2 == 1)
            assert_int_equal(rename("log.3", "log.4") + rename("log.2", "log.3") + rename("log.1", "log.2"), 0);
        for (size_t i = 0; i < all->n_splits; i++)
            all->offset[i] = all->offset[i] == 0 ? UINT64_MAX : all->offset[i];
        reading rest = {.text = all->text};
        OPEN_KNOWN(&source, known, n, "path=log.*");
        assert_int_equal(read_with(source, &rest, 5, 0, NULL), TW_STATUS_END);
        assert_text(&rest, whole + stop);
        close_source(source);
        if (stop % 2 == 1)
            assert_int_equal(rename("log.2", "log.1") + rename("log.3", "log.2") + rename("log.4", "log.3"), 0);
    }
}

static void seek_serves_later_splits_again(void **state)
{
    fixture *self = *state;
    write_file("a", "a1\na2\n");
    write_file("b", "b1\n");
    void *source;
    OPEN(&source, "path=a", "path=b");
    assert_int_equal(read_with(source, &self->all, 100, 0, NULL), TW_STATUS_END);
    reading again = {.text = self->all.text};
    assert_int_equal(tw_source_file.seek(source, self->all.id[0], 3, NULL), TW_STATUS_OK);
    assert_int_equal(read_with(source, &again, 100, 0, NULL), TW_STATUS_END);
    assert_text(&again, "a2\nb1\n");
    assert_int_equal(tw_source_file.seek(source, self->all.id[0], 7, NULL), TW_STATUS_NOT_FOUND);
    assert_int_equal(tw_source_file.seek(source, 1, 0, NULL), TW_STATUS_NOT_FOUND);
    close_source(source);
}

static void copied_folder_continues_at_its_offset(void **state)
{
    fixture *self = *state;
    write_file("log", "first\nsecond\n");
    void *source;
    OPEN(&source, "path=log", "follow=true");
    read_idle(source, &self->all);
    tw_split known[2];
    size_t n = checkpoint(source, &self->all, known);
    close_source(source);
    write_file("copy", "first\nsecond\nthird\n");
    assert_int_equal(unlink("log") + rename("copy", "log"), 0);
    reading rest = {.text = self->all.text};
    OPEN_KNOWN(&source, known, n, "path=log", "follow=true");
    read_idle(source, &rest);
    assert_text(&rest, "third\n");
    assert_int_equal(rest.id[0], self->all.id[0]);
    close_source(source);
}

static void followed_file_may_come_later_and_grow_in_pieces(void **state)
{
    fixture *self = *state;
    void *source;
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    read_idle(source, &self->all);
    write_file("log", "hal");
    read_idle(source, &self->all);
    assert_int_equal(self->all.n_splits, 0);
    append_file("log", "f\nmore\npar");
    read_idle(source, &self->all);
    assert_text(&self->all, "half\nmore\n");
    append_file("log", "tial\n");
    read_idle(source, &self->all);
    assert_text(&self->all, "half\nmore\npartial\n");
    assert_int_equal(self->all.n_splits, 1);
    close_source(source);
}

static void rotated_file_is_finished_before_the_new_one(void **state)
{
    fixture *self = *state;
    void *source;
    write_file("log", "1\n");
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    read_idle(source, &self->all);
    append_file("log", "2\nhalf");
    assert_int_equal(rename("log", "log.1"), 0);
    write_file("log", "3\n");
    append_file("log.1", "!");
    read_idle(source, &self->all);
    assert_text(&self->all, "1\n2\nhalf!3\n");
    assert_true(self->all.is_final[0]);
    assert_false(self->all.is_final[1]);
    close_source(source);
}

static void several_unseen_rotations_lose_nothing(void **state)
{
    fixture *self = *state;
    void *source;
    write_file("log.1", "old, not asked for\n");
    usleep(20000);
    write_file("log", "1\n");
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    read_idle(source, &self->all);
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
    read_idle(source, &self->all);
    assert_text(&self->all, "1\n2\n3\n4\n5\n6\n");
    close_source(source);
}

static void resume_after_unseen_rotations_loses_nothing(void **state)
{
    fixture *self = *state;
    void *source;
    tw_split known[4];
    write_file("log", "1\n");
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    read_idle(source, &self->all);
    size_t n = checkpoint(source, &self->all, known);
    close_source(source);
    append_file("log", "2\n");
    assert_int_equal(rename("log", "log.1"), 0);
    usleep(20000);
    write_file("log", "3\n");
    assert_int_equal(rename("log.1", "log.2") + rename("log", "log.1"), 0);
    write_file("log", "4\n");
    reading rest = {.text = self->all.text};
    OPEN_KNOWN(&source, known, n, "path=log", "follow=true", "poll=1ms");
    read_idle(source, &rest);
    assert_text(&rest, "2\n3\n4\n");
    close_source(source);
}

static void truncated_file_becomes_a_new_generation(void **state)
{
    fixture *self = *state;
    void *source;
    write_file("log", "same head\nsecond\n");
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    read_idle(source, &self->all);
    put("log", "r+", "", 0);
    assert_int_equal(truncate("log", 0), 0);
    read_idle(source, &self->all);
    append_file("log", "same head\nthird\n");
    read_idle(source, &self->all);
    /* cut and longer than before at once */
    assert_int_equal(truncate("log", 0), 0);
    append_file("log", "same head\nfourth\nfifth and sixth\n");
    read_idle(source, &self->all);
    assert_text(&self->all, "same head\nsecond\nsame head\nthird\nsame head\nfourth\nfifth and sixth\n");
    assert_int_equal(self->all.n_splits, 3);
    assert_true(self->all.is_final[0] && self->all.is_final[1] && !self->all.is_final[2]);
    assert_int_equal(tw_source_file.seek(source, self->all.id[0], 0, NULL), TW_STATUS_NOT_FOUND);
    close_source(source);
}

static void deleted_and_recreated_file_is_read_from_its_start(void **state)
{
    fixture *self = *state;
    void *source;
    write_file("log", "1\n");
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    read_idle(source, &self->all);
    append_file("log", "2\n");
    assert_int_equal(unlink("log"), 0);
    read_idle(source, &self->all);
    write_file("log", "1\n");
    read_idle(source, &self->all);
    assert_text(&self->all, "1\n2\n1\n");
    close_source(source);
}

static void followed_pattern_takes_in_new_files_and_switches_at_line_ends(void **state)
{
    fixture *self = *state;
    void *source;
    write_file("a.log", "a1\n");
    OPEN(&source, "path=*.log", "follow=true", "poll=1ms");
    read_idle(source, &self->all);
    append_file("a.log", "half");
    write_file("b.log", "b1\n");
    read_idle(source, &self->all);
    append_file("a.log", " whole\n");
    read_idle(source, &self->all);
    append_file("b.log", "b2\n");
    assert_int_equal(rename("b.log", "c.log"), 0);
    read_idle(source, &self->all);
    assert_text(&self->all, "a1\nb1\nhalf whole\nb2\n");
    assert_int_equal(self->all.n_splits, 2);
    close_source(source);
}

static void follow_from_end_starts_behind_the_last_line(void **state)
{
    fixture *self = *state;
    void *source;
    write_file("log", "1\n2\npar");
    OPEN(&source, "path=log", "follow=true", "from=end", "poll=1ms");
    read_idle(source, &self->all);
    append_file("log", "tial\n");
    read_idle(source, &self->all);
    assert_text(&self->all, "partial\n");
    close_source(source);
}

static void history_then_live_has_no_gap_and_no_overlap(void **state)
{
    fixture *self = *state;
    void *source;
    tw_split known[8];
    write_file("log.2", "1\n");
    usleep(20000);
    write_file("log.1", "2\n");
    usleep(20000);
    write_file("log", "3\n");
    OPEN(&source, "path=log.2", "path=log.1", "path=log");
    assert_int_equal(read_with(source, &self->all, 100, 0, NULL), TW_STATUS_END);
    size_t n = checkpoint(source, &self->all, known);
    close_source(source);
    append_file("log", "4\n");
    assert_int_equal(rename("log.2", "log.3") + rename("log.1", "log.2") + rename("log", "log.1"), 0);
    usleep(20000);
    write_file("log", "5\n");
    reading rest = {.text = self->all.text};
    OPEN_KNOWN(&source, known, n, "path=log", "follow=true", "poll=1ms");
    read_idle(source, &rest);
    assert_text(&rest, "4\n5\n");
    close_source(source);
}

static void standard_input_is_one_split_and_cannot_go_back(void **state)
{
    fixture *self = *state;
    int ends[2], old = dup(0);
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[0], 0) == 0);
    close(ends[0]);
    void *source;
    OPEN(&source, "path=-");
    assert_int_equal(read_with(source, &self->all, 100, 1, NULL), TW_STATUS_IDLE);
    assert_int_equal(write(ends[1], "one\ntwo\n", 8), 8);
    size_t n_splits = 0, n = 0;
    char head[8];
    uint64_t id = tw_source_file.splits(source, &n_splits)[0].id;
    assert_int_equal(tw_source_file.head(source, id, head, sizeof head, &n, NULL), TW_STATUS_OK);
    assert_int_equal(n, 8);
    assert_int_equal(read_with(source, &self->all, 3, 1, NULL), TW_STATUS_IDLE);
    assert_int_equal(write(ends[1], "three", 5), 5);
    close(ends[1]);
    assert_int_equal(read_with(source, &self->all, 3, 1, NULL), TW_STATUS_END);
    assert_text(&self->all, "one\ntwo\nthree");
    assert_int_equal(self->all.n_splits, 1);
    tw_error error = {0};
    assert_int_equal(tw_source_file.seek(source, id, 4, &error), TW_STATUS_UNSUPPORTED);
    assert_non_null(strstr(error.message, "standard input"));
    close_source(source);
    assert_true(dup2(old, 0) == 0);
    close(old);
}

/* The writer of the randomized tests: numbered lines in pieces, through every kind of rotation. */
typedef struct writer {
    const char *folder;
    uint64_t random;
    uint64_t n_lines, n_kept; /* log.1 to log.<n_kept> */
    uint64_t rotations;       /* in 60 lines */
    bool has_header, is_deleting;
    _Atomic uint64_t written, read; /* bytes */
    char *text;                     /* all that was written, in order */
    atomic_bool is_over, is_stopped;
} writer;

static uint64_t writer_random(writer *self, uint64_t below)
{
    self->random = self->random * 6364136223846793005u + 1442695040888963407u;
    return (self->random >> 33) % below;
}

/* "log" for 0, "log.1", ...; complete, as the working folder is another one when a test has failed. */
static const char *writer_path(const writer *self, uint64_t rank, char path[128])
{
    int n = snprintf(path, 128, "%s/log", self->folder);
    if (rank > 0)
        (void)snprintf(path + n, 128 - (size_t)n, ".%llu", (unsigned long long)rank);
    return path;
}

static void writer_wait(writer *self)
{
    while (atomic_load(&self->read) < atomic_load(&self->written) && !atomic_load(&self->is_stopped))
        usleep(200);
}

static void writer_put(writer *self, const char *bytes, size_t size)
{
    char path[128];
    FILE *file = fopen(writer_path(self, 0, path), "a");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        abort();
}

static void writer_line(writer *self, uint64_t number)
{
    char line[128], path[128];
    struct stat info;
    int n = 0;
    if (self->has_header && (stat(writer_path(self, 0, path), &info) != 0 || info.st_size == 0))
        n = sprintf(line, "number,text\n");
    n += snprintf(line + n, 100, "%llu %.*s\n", (unsigned long long)number, (int)writer_random(self, 60),
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
    memcpy(self->text + atomic_load(&self->written), line, (size_t)n);
    for (int at = 0; at < n;) {
        int piece = 1 + (int)writer_random(self, (uint64_t)n);
        piece = piece < n - at ? piece : n - at;
        writer_put(self, line + at, (size_t)piece);
        at += piece;
        if (writer_random(self, 4) == 0)
            usleep(300);
    }
    atomic_fetch_add(&self->written, (uint64_t)n);
}

static void writer_rotate(writer *self)
{
    char from[128], to[128];
    for (uint64_t rank = self->n_kept; rank-- > 0;)
        (void)rename(writer_path(self, rank, from), writer_path(self, rank + 1, to));
}

static void *writer_run(void *context)
{
    writer *self = context;
    char path[128];
    uint64_t n_rotations = 0;
    for (uint64_t number = 0; number < self->n_lines && !atomic_load(&self->is_stopped); number++) {
        writer_line(self, number);
        uint64_t dice = writer_random(self, 60);
        if (number == 0)
            writer_wait(self); /* what was rotated before the first look is not asked for */
        if (dice < self->rotations) {
            if (++n_rotations % self->n_kept == 0)
                writer_wait(self); /* replacing the oldest must not delete what is unread */
            writer_rotate(self);
        } else if (dice == 58 && self->is_deleting) {
            writer_wait(self);
            (void)truncate(writer_path(self, 0, path), 0);
        } else if (dice == 59 && self->is_deleting) {
            writer_wait(self);
            (void)unlink(writer_path(self, 0, path));
        }
        if (number % 3 == 0 && atomic_load(&self->written) > atomic_load(&self->read) + 2000)
            writer_wait(self);
    }
    atomic_store(&self->is_over, true);
    return NULL;
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
    n = checkpoint(*source, all, now);
    for (size_t i = 0; i < n; i++) {
        if (now[i].offset > 0)
            history_put(known, &now[i]);
    }
    close_source(*source);
    usleep(wait_us);
    for (size_t i = 0; i < all->n_splits; i++)
        all->offset[i] = all->offset[i] == 0 ? UINT64_MAX : all->offset[i];
    OPEN_KNOWN(source, known->split, known->count, "path=log", "follow=true", "poll=1ms");
}

/* Reads what `writer` writes and compares; with resume_every > 0 the source is opened again after as many chunks. */
static void follow_random(fixture *self, writer *writer, size_t resume_every)
{
    writer->folder = self->folder;
    writer->text = calloc(1, 1 << 20);
    history *known = calloc(1, sizeof *known);
    pthread_t thread;
    void *source;
    char data[64];
    reading *all = &self->all;
    bool is_equal = true;
    OPEN(&source, "path=log", "follow=true", "poll=1ms");
    assert_int_equal(pthread_create(&thread, NULL, writer_run, writer), 0);
    size_t n_chunks = 0;
    for (int patience = 0; patience < 400 && is_equal; patience++) {
        tw_chunk chunk = {.data = data, .capacity = sizeof data};
        tw_status status = tw_source_file.next(source, 5, &chunk, NULL);
        is_equal = status >= 0 && status != TW_STATUS_END;
        if (status == TW_STATUS_OK) {
            take(all, &chunk);
            size_t at = all->size - chunk.size;
            is_equal = all->size <= atomic_load(&writer->written) + 128 &&
                       memcmp(all->text + at, writer->text + at, chunk.size) == 0;
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
    close_source(source);
    if (!is_equal || all->size != writer->written) {
        size_t from = all->size > 200 ? all->size - 200 : 0;
        print_error(
            "read %zu of %llu bytes, up to ...%s|\n", all->size, (unsigned long long)writer->written, all->text + from);
        print_error("but these were written: ...%.300s|\n", writer->text + from);
    }
    bool is_all = is_equal && all->size == writer->written;
    free(writer->text);
    free(known);
    assert_true(is_all);
}

static void random_writer_is_followed_byte_for_byte(void **state)
{
    for (uint64_t seed = 1; seed < 78; seed += 76) {
        fixture *self = *state;
        self->all.size = self->all.n_splits = 0;
        follow_random(
            self, &(writer){.random = seed, .n_lines = 2000, .n_kept = 3, .rotations = 4, .is_deleting = true}, 0);
        (void)system("rm -f log*");
    }
}

static void random_writer_is_followed_across_resumes(void **state)
{
    follow_random(
        *state, &(writer){.random = 5, .n_lines = 3000, .n_kept = 3, .rotations = 4, .is_deleting = true}, 97);
}

static void rotations_without_pause_are_followed(void **state)
{
    follow_random(*state, &(writer){.random = 3, .n_lines = 800, .n_kept = 12, .rotations = 60}, 0);
}

static void rotations_without_pause_are_followed_across_resumes(void **state)
{
    follow_random(*state, &(writer){.random = 4, .n_lines = 400, .n_kept = 12, .rotations = 60}, 1);
}

static void rotated_files_that_start_alike_are_followed_across_resumes(void **state)
{
    follow_random(*state, &(writer){.random = 9, .n_lines = 500, .n_kept = 5, .rotations = 30, .has_header = true}, 3);
}

/* Opens and reads a source to its end, asking again after an error; true when all went well. */
static bool faulty_round(const reading *whole, const char *const *option, bool is_bounded)
{
    void *source;
    char data[512];
    tw_error error = {0};
    tw_status status = open_known(&source, option, NULL, 0, &error);
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
            take(&all, &chunk);
        n_errors += status < 0;
    } while (status == TW_STATUS_OK || (status < 0 && n_errors < 3));
    assert_true(n_errors < 3);
    if (is_bounded) {
        assert_int_equal(all.size, whole->size);
        assert_memory_equal(all.text, whole->text, all.size);
    }
    close_source(source);
    free(all.text);
    return n_errors == 0;
}

static void every_failing_call_is_an_error_and_loses_nothing(void **state)
{
    fixture *self = *state;
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
    assert_int_equal(read_with(source, &self->all, 512, 0, NULL), TW_STATUS_END);
    close_source(source);
    for (int round = 0; round < 4; round++) {
        size_t n_bad = 0;
        pending_kind = round % 2 == 0 ? TW_FAULT_FILE : TW_FAULT_ALLOC;
        for (pending_nth = 1; pending_nth < 2000; pending_nth++) {
            n_bad += !faulty_round(&self->all, options[round / 2], round < 2);
            bool is_over = tw_fault_fired(pending_kind) == 0;
            tw_fault_disarm(pending_kind);
            if (is_over)
                break;
        }
        assert_true(n_bad > 15);
        pending_nth = 0;
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(files_are_read_in_order_to_the_end),
        TEST(pattern_matches_are_read_sorted_and_once),
        TEST(missing_files_and_folders_are_named),
        TEST(compressed_members_and_frames_are_one_stream),
        TEST(damaged_and_cut_compressed_files_are_named),
        TEST(bounded_resume_skips_done_splits_and_goes_on_at_any_offset),
        TEST(seek_serves_later_splits_again),
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
        TEST(standard_input_is_one_split_and_cannot_go_back),
        TEST(random_writer_is_followed_byte_for_byte),
        TEST(random_writer_is_followed_across_resumes),
        TEST(rotations_without_pause_are_followed),
        TEST(rotations_without_pause_are_followed_across_resumes),
        TEST(rotated_files_that_start_alike_are_followed_across_resumes),
        TEST(every_failing_call_is_an_error_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
