#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "math/blas.h"

static bool is_openblas_loaded(void)
{
    char line[512];
    bool is_found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        is_found = is_found || strstr(line, "openblas") != NULL;
    (void)fclose(maps);
    return is_found;
}

/* The first test of the program: nothing has asked for BLAS yet. */
static void a_program_that_does_not_ask_has_no_blas(void **state)
{
    (void)state;
    assert_false(is_openblas_loaded());
}

static void a_missing_library_is_a_named_error(void **state)
{
    static const char *const names[] = {"libopenblas", "liblapacke"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        tw_blas blas;
        tw_error error = {0};
        tw_fault_arm(TW_FAULT_FILE, i + 1, ENOENT, true);
        tw_status status = tw_blas_open(&blas, &error);
        tw_fault_disarm(TW_FAULT_FILE);
        assert_int_equal(status, TW_STATUS_NOT_FOUND);
        assert_non_null(strstr(error.message, names[i]));
        assert_non_null(strstr(error.message, "install"));
    }
}

static void a_product_and_a_solve_are_right(void **state)
{
    tw_blas blas;
    tw_error error = {0};
    double a[9] = {2, 1, 0, 1, 3, 1, 0, 1, 4}, b[3] = {4, 10, 14}, c[9];
    (void)state;
    if (tw_blas_open(&blas, &error) != TW_STATUS_OK) {
        print_message("SKIPPED: %s\n", error.message);
        skip();
    }
    blas.dgemm(CblasColMajor, CblasNoTrans, CblasTrans, 3, 3, 3, 1.0, a, 3, a, 3, 0.0, c, 3);
    assert_true(c[0] == 5.0 && c[1] == 5.0 && c[4] == 11.0);
    assert_int_equal(blas.dpotrf(LAPACK_COL_MAJOR, 'L', 3, a, 3), 0);
    assert_int_equal(blas.dpotrs(LAPACK_COL_MAJOR, 'L', 3, 1, a, 3, b, 3), 0);
    for (int i = 0; i < 3; i++)
        assert_true(fabs(b[i] - (i + 1)) < 1e-14);
}

static void an_indefinite_matrix_becomes_a_status(void **state)
{
    tw_blas blas;
    tw_error error = {0};
    double a[4] = {1, 2, 2, 1};
    (void)state;
    if (tw_blas_open(&blas, &error) != TW_STATUS_OK) {
        print_message("SKIPPED: %s\n", error.message);
        skip();
    }
    lapack_int result = blas.dpotrf(LAPACK_COL_MAJOR, 'L', 2, a, 2);
    assert_int_equal(result, 2);
    assert_int_equal(tw_blas_error(result, "Cholesky", &error), TW_STATUS_NUMERIC);
    assert_int_equal(tw_blas_error(LAPACK_WORK_MEMORY_ERROR, "Cholesky", &error), TW_STATUS_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_that_does_not_ask_has_no_blas),
        cmocka_unit_test(a_missing_library_is_a_named_error),
        cmocka_unit_test(a_product_and_a_solve_are_right),
        cmocka_unit_test(an_indefinite_matrix_becomes_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
