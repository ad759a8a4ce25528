#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "math/function.h"
#include "support/learner_fixture.h"

enum { N_POINTS = 200000 };

/* Distance in units in the last place of the long double reference. */
static double ulps(double got, long double want)
{
    double rounded = (double)want;
    double unit = nextafter(fabs(rounded), INFINITY) - fabs(rounded);
    return (double)(fabsl((long double)got - want) / (long double)unit);
}

static double worst(double (*function)(double), long double (*reference)(long double), double low, double high)
{
    uint64_t state = 7;
    double most = 0.0;
    for (int i = 0; i < N_POINTS; i++) {
        double x = low + (high - low) * test_uniform(&state);
        double error = ulps(function(x), reference((long double)x));
        most = error > most ? error : most;
    }
    return most;
}

static long double sigmoid_reference(long double x)
{
    return 1.0L / (1.0L + expl(-x));
}

static long double log1pexp_reference(long double x)
{
    return (x > 0 ? x : 0) + log1pl(expl(x > 0 ? -x : x));
}

static void assert_within(double (*function)(double), long double (*reference)(long double), double reach, double bound)
{
    double most = fmax(worst(function, reference, -reach, reach), worst(function, reference, -1.0, 1.0));
    print_message("largest error %.3f ulp\n", most);
    assert_true(most <= bound);
}

static void exp_is_within_one_ulp(void **state)
{
    (void)state;
    assert_within(tw_exp, expl, 708.0, 1.0);
}

static void log_is_within_one_ulp(void **state)
{
    (void)state;
    double most = fmax(worst(tw_log, logl, 1e-9, 2.0), worst(tw_log, logl, 0.9, 1.1));
    most = fmax(most, worst(tw_log, logl, 1e-300, 1e300));
    print_message("largest error %.3f ulp\n", most);
    assert_true(most <= 1.0);
}

static void log1p_of_positive_values_is_within_three_ulps(void **state)
{
    (void)state;
    double most = fmax(worst(tw_log1p, log1pl, 0.0, 1.0), worst(tw_log1p, log1pl, 0.0, 1e-12));
    print_message("largest error %.3f ulp\n", most);
    assert_true(most <= 3.0);
}

static void sigmoid_is_within_three_ulps(void **state)
{
    (void)state;
    assert_within(tw_sigmoid, sigmoid_reference, 700.0, 3.0);
}

static void log1pexp_is_within_three_ulps(void **state)
{
    (void)state;
    assert_within(tw_log1pexp, log1pexp_reference, 700.0, 3.0);
}

static void ends_of_the_range_are_exact(void **state)
{
    (void)state;
    assert_true(tw_exp(0.0) == 1.0);
    assert_true(isinf(tw_exp(710.0)) && isinf(tw_exp(INFINITY)));
    assert_true(tw_exp(-746.0) == 0.0 && tw_exp(-INFINITY) == 0.0);
    assert_true(tw_exp(709.782712893384) > 1.79769e308 && isfinite(tw_exp(709.782712893384)));
    assert_true(isnan(tw_exp(NAN)) && isnan(tw_log(NAN)) && isnan(tw_log(-1.0)) && isnan(tw_sigmoid(NAN)));
    assert_true(tw_log(1.0) == 0.0 && tw_log(0.0) == -INFINITY && tw_log(INFINITY) == INFINITY);
    assert_true(tw_sigmoid(0.0) == 0.5 && tw_sigmoid(1e300) == 1.0 && tw_sigmoid(-1e300) == 0.0);
    assert_true(tw_log1pexp(-1e300) == 0.0 && tw_log1pexp(1e300) == 1e300 && tw_log1p(0.0) == 0.0);
}

static void subnormal_arguments_and_results_are_close(void **state)
{
    (void)state;
    assert_true(fabs(tw_log(5e-324) - log(5e-324)) < 1e-12);
    for (double x = -745.0; x < -708.0; x += 0.37) {
        assert_true(fabs(tw_exp(x) - exp(x)) <= 2 * 4.95e-324 + exp(x) * 3e-16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_one_ulp),
        cmocka_unit_test(log_is_within_one_ulp),
        cmocka_unit_test(log1p_of_positive_values_is_within_three_ulps),
        cmocka_unit_test(sigmoid_is_within_three_ulps),
        cmocka_unit_test(log1pexp_is_within_three_ulps),
        cmocka_unit_test(ends_of_the_range_are_exact),
        cmocka_unit_test(subnormal_arguments_and_results_are_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
