#include <errno.h>
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
#include "base/hash.h"

typedef struct folder {
    char path[64];
} folder;

static folder make_folder(void)
{
    folder made = {"/tmp/thalweg-test-XXXXXX"};
    assert_non_null(mkdtemp(made.path));
    return made;
}

static void remove_folder(const folder *self, const char *const *names)
{
    char path[160];
    for (; *names != NULL; names++) {
        (void)snprintf(path, sizeof path, "%s/%s", self->path, *names);
        (void)unlink(path);
        (void)rmdir(path);
    }
    assert_int_equal(rmdir(self->path), 0);
}

static void a_missing_file_is_not_found_and_named(void **state)
{
    tw_error error = {0};
    int fd = -1;
    (void)state;
    assert_int_equal(tw_file_open("/nowhere/x", TW_OPEN_READ, &fd, &error), TW_STATUS_NOT_FOUND);
    assert_non_null(strstr(error.message, "/nowhere/x"));
    assert_int_equal(fd, -1);
}

static void a_directory_is_not_a_file(void **state)
{
    tw_error error = {0};
    int fd = -1;
    (void)state;
    assert_int_equal(tw_file_open("/tmp", TW_OPEN_READ, &fd, &error), TW_STATUS_IO);
    assert_non_null(strstr(error.message, "directory"));
    assert_int_equal(fd, -1);
}

typedef tw_status (*write_whole)(const char *path, const void *bytes, size_t size, tw_error *error);

static void expect_whole_or_not_at_all(write_whole write, uint64_t least_calls)
{
    folder in = make_folder();
    char path[160], *text = NULL;
    size_t size = 0;
    tw_error error = {0};
    (void)snprintf(path, sizeof path, "%s/f", in.path);
    assert_int_equal(write(path, "old", 3, &error), TW_STATUS_OK);
    uint64_t nth = 1;
    tw_status status = TW_STATUS_IO;
    for (; status < 0; nth++) {
        tw_names names = {0};
        assert_true(nth < 50);
        tw_fault_arm(TW_FAULT_FILE, nth, ENOSPC, false);
        status = write(path, "newer", 5, &error);
        tw_fault_disarm(TW_FAULT_FILE);
        assert_int_equal(tw_file_load(path, 100, &text, &size, &error), TW_STATUS_OK);
        /* The rename may have happened before the directory's sync failed. */
        assert_true(strcmp(text, "old") == 0 || strcmp(text, "newer") == 0);
        tw_free(text);
        assert_int_equal(tw_directory_list(in.path, &names, &error), TW_STATUS_OK);
        assert_int_equal(names.count, 1);
        tw_names_free(&names);
    }
    assert_true(nth > least_calls);
    assert_int_equal(tw_file_load(path, 100, &text, &size, &error), TW_STATUS_OK);
    assert_string_equal(text, "newer");
    tw_free(text);
    remove_folder(&in, (const char *const[]){"f", NULL});
}

static void store_replaces_a_file_whole_or_not_at_all(void **state)
{
    (void)state;
    expect_whole_or_not_at_all(tw_file_store, 4);
}

static void replace_does_so_without_syncing(void **state)
{
    (void)state;
    expect_whole_or_not_at_all(tw_file_replace, 2);
}

static void a_growing_file_is_cut_back_and_written_at_its_end(void **state)
{
    folder made = make_folder();
    char path[160], *text = NULL;
    size_t size = 0;
    int fd = -1;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/a", made.path);
    for (uint64_t kept = 0; kept <= 2; kept += 2) {
        assert_int_equal(tw_file_open_growing(path, kept, &fd, NULL), TW_STATUS_OK);
        assert_int_equal(tw_file_write(fd, path, "abcd", 4, NULL), TW_STATUS_OK);
        assert_int_equal(tw_file_truncate(fd, path, 3, NULL), TW_STATUS_OK);
        assert_int_equal(tw_file_write(fd, path, "e", 1, NULL), TW_STATUS_OK);
        assert_int_equal(tw_file_close(&fd, path, NULL), TW_STATUS_OK);
        assert_int_equal(tw_file_load(path, 100, &text, &size, NULL), TW_STATUS_OK);
        assert_string_equal(text, kept == 0 ? "abce" : "abae");
        tw_free(text);
    }
    remove_folder(&made, (const char *const[]){"a", NULL});
}

static void a_growing_file_that_lost_bytes_or_is_gone_is_refused_and_not_made(void **state)
{
    folder made = make_folder();
    char path[160];
    int fd = -1;
    tw_error error = {0};
    (void)state;
    (void)snprintf(path, sizeof path, "%s/a", made.path);
    assert_int_equal(tw_file_open_growing(path, 5, &fd, &error), TW_STATUS_CONFLICT);
    assert_non_null(strstr(error.message, "0 bytes, but the checkpoint was made when it had 5"));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(tw_file_store(path, "abcd", 4, NULL), TW_STATUS_OK);
    assert_int_equal(tw_file_open_growing(path, 5, &fd, &error), TW_STATUS_CONFLICT);
    assert_non_null(strstr(error.message, "4 bytes, but"));
    assert_int_equal(fd, -1);
    assert_int_equal(tw_file_open_growing("/dev/null", 5, &fd, NULL), TW_STATUS_OK);
    assert_int_equal(tw_file_close(&fd, "/dev/null", NULL), TW_STATUS_OK);
    remove_folder(&made, (const char *const[]){"a", NULL});
}

static void load_refuses_what_is_larger_than_the_limit(void **state)
{
    folder in = make_folder();
    char path[160], *text = NULL;
    size_t size = 0;
    tw_error error = {0};
    (void)state;
    (void)snprintf(path, sizeof path, "%s/f", in.path);
    assert_int_equal(tw_file_store(path, "0123456789", 10, &error), TW_STATUS_OK);
    assert_int_equal(tw_file_load(path, 9, &text, &size, &error), TW_STATUS_INVALID);
    assert_null(text);
    assert_int_equal(tw_file_load(path, 10, &text, &size, &error), TW_STATUS_OK);
    assert_int_equal(size, 10);
    tw_free(text);
    remove_folder(&in, (const char *const[]){"f", NULL});
}

static void directories_are_made_with_their_parents(void **state)
{
    folder in = make_folder();
    char path[160];
    tw_error error = {0};
    tw_file_info info;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/a/b", in.path);
    assert_int_equal(tw_directory_create(path, &error), TW_STATUS_OK);
    assert_int_equal(tw_directory_create(path, &error), TW_STATUS_OK);
    assert_int_equal(tw_file_stat(path, &info, &error), TW_STATUS_OK);
    assert_true(info.is_directory);
    (void)snprintf(path, sizeof path, "%s/f", in.path);
    assert_int_equal(tw_file_store(path, "x", 1, &error), TW_STATUS_OK);
    assert_int_equal(tw_directory_create(path, &error), TW_STATUS_IO);
    assert_non_null(strstr(error.message, "is a file"));
    remove_folder(&in, (const char *const[]){"a/b", "a", "f", NULL});
}

static void the_mixer_has_an_inverse(void **state)
{
    uint64_t x = 0;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        assert_true(tw_unmix64(tw_mix64(x)) == x);
        assert_true(tw_mix64(tw_unmix64(x)) == x);
        x = x * 6364136223846793005ull + 1442695040888963407ull;
    }
}

static void statuses_have_names_and_documented_exit_codes(void **state)
{
    (void)state;
    assert_int_equal(tw_status_exit_code(TW_STATUS_OK), 0);
    assert_int_equal(tw_status_exit_code(TW_STATUS_INVALID), 64);
    assert_int_equal(tw_status_exit_code(TW_STATUS_DATA), 65);
    assert_int_equal(tw_status_exit_code(TW_STATUS_NOT_FOUND), 66);
    assert_int_equal(tw_status_exit_code(TW_STATUS_UNAVAILABLE), 69);
    assert_int_equal(tw_status_exit_code(TW_STATUS_IO), 74);
    assert_int_equal(tw_status_exit_code(TW_STATUS_BUSY), 75);
    assert_int_equal(tw_status_exit_code(TW_STATUS_CONFIG), 78);
    assert_string_equal(tw_status_name(TW_STATUS_CORRUPT), "corrupt");
}

static void an_error_says_whether_trying_again_helps(void **state)
{
    tw_error error = {0};
    (void)state;
    (void)tw_error_errno(&error, TW_STATUS_IO, ENOSPC, "%s: cannot write", "f");
    assert_true(error.retriable);
    assert_string_equal(error.message, "f: cannot write: No space left on device");
    (void)tw_error_set(&error, TW_STATUS_INVALID, "option rate: -0.5 is below 0");
    assert_false(error.retriable);
    assert_int_equal(tw_error_set(NULL, TW_STATUS_INVALID, "x"), TW_STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_file_is_not_found_and_named),
        cmocka_unit_test(a_directory_is_not_a_file),
        cmocka_unit_test(store_replaces_a_file_whole_or_not_at_all),
        cmocka_unit_test(replace_does_so_without_syncing),
        cmocka_unit_test(a_growing_file_is_cut_back_and_written_at_its_end),
        cmocka_unit_test(a_growing_file_that_lost_bytes_or_is_gone_is_refused_and_not_made),
        cmocka_unit_test(load_refuses_what_is_larger_than_the_limit),
        cmocka_unit_test(directories_are_made_with_their_parents),
        cmocka_unit_test(the_mixer_has_an_inverse),
        cmocka_unit_test(statuses_have_names_and_documented_exit_codes),
        cmocka_unit_test(an_error_says_whether_trying_again_helps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
