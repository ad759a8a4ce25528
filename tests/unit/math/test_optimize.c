#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "math/line_search.h"
#include "math/optimize.h"
#include "math/pairs.h"
#include "math/trust_region.h"

enum { N = 6 };

static const tw_optimize_options tight = {.memory = 5, .max_iterations = 500, .tolerance = 1e-12};

/* (1 - x)^2 + 100 (y - x^2)^2 in each pair of variables; not convex. */
static double rosenbrock(void *context, const double *x, double *gradient)
{
    double value = 0.0;
    (void)context;
    for (int i = 0; i < N; i += 2) {
        double a = 1.0 - x[i], b = x[i + 1] - x[i] * x[i];
        value += a * a + 100.0 * b * b;
        gradient[i] = -2.0 * a - 400.0 * x[i] * b;
        gradient[i + 1] = 200.0 * b;
    }
    return value;
}

/* sum d_i (x_i - target_i)^2 / 2, its Hessian far from round. */
static double bowl(void *context, const double *x, double *gradient)
{
    const double *target = context;
    double value = 0.0, d = 1.0;
    for (int i = 0; i < N; i++, d *= 10.0) {
        gradient[i] = d * (x[i] - target[i]);
        value += 0.5 * gradient[i] * (x[i] - target[i]);
    }
    return value;
}

static double target[N] = {3.0, -2.0, 0.5, -0.04, 0.0, 1e-5};

static void rosenbrock_is_minimized_from_the_usual_start(void **state)
{
    const tw_function function = {.n = N, .evaluate = rosenbrock};
    double x[N] = {-1.2, 1.0, -1.2, 1.0, 2.0, -3.0};
    tw_optimize_result result;
    (void)state;
    assert_int_equal(tw_lbfgs(&function, &tight, x, &result, NULL), TW_STATUS_OK);
    assert_true(result.is_converged && result.iterations < 100);
    for (int i = 0; i < N; i++)
        assert_true(fabs(x[i] - 1.0) < 1e-9);
}

static void the_stop_rule_is_the_scaled_gradient_against_that_at_0(void **state)
{
    static const double scale[N] = {1.0, 10.0, 100.0, 1e3, 1e4, 1e5};
    const tw_function function = {.n = N, .context = target, .evaluate = bowl};
    tw_optimize_options options = tight;
    tw_optimize_result result;
    double x[N] = {5.0, 5.0, 5.0, 5.0, 5.0, 5.0}, gradient[N], at_0[N], zero[N] = {0};
    (void)state;
    options.scale = scale;
    options.max_iterations = 0;
    assert_int_equal(tw_lbfgs(&function, &options, x, &result, NULL), TW_STATUS_OK);
    double value = bowl(target, x, gradient);
    (void)bowl(target, zero, at_0);
    assert_true(result.objective == value && !result.is_converged && x[0] == 5.0);
    assert_true(fabs(result.measure - tw_scaled_norm(gradient, scale, N) / tw_scaled_norm(at_0, scale, N)) < 1e-12);
    options.max_iterations = 100;
    assert_int_equal(tw_lbfgs(&function, &options, x, &result, NULL), TW_STATUS_OK);
    assert_true(result.is_converged && result.iterations == 1); /* the scale is the Hessian */
}

static void reruns_give_the_same_bits(void **state)
{
    const tw_function function = {.n = N, .evaluate = rosenbrock};
    double x[2][N] = {{0}, {0}};
    tw_optimize_result result[2];
    (void)state;
    for (int k = 0; k < 2; k++)
        assert_int_equal(tw_lbfgs(&function, &tight, x[k], &result[k], NULL), TW_STATUS_OK);
    assert_memory_equal(x[0], x[1], sizeof x[0]);
    assert_int_equal(result[0].iterations, result[1].iterations);
}

/* min d (x - t)^2 / 2 + l1 |x|: x = sign(t) max(0, |t| - l1 / d). The last two variables are not penalized. */
static void owlqn_thresholds_a_bowl(void **state)
{
    const tw_function function = {.n = N, .context = target, .evaluate = bowl};
    tw_optimize_options options = tight;
    tw_optimize_result result;
    double x[N] = {-1.0, -1.0, -1.0, -1.0, -1.0, -1.0}, d = 1.0;
    (void)state;
    options.l1 = 50.0;
    options.n_l1 = 4;
    assert_int_equal(tw_owlqn(&function, &options, x, &result, NULL), TW_STATUS_OK);
    assert_true(result.is_converged);
    for (int i = 0; i < N; i++, d *= 10.0) {
        double least = i < 4 ? fmax(0.0, fabs(target[i]) - 50.0 / d) : fabs(target[i]);
        assert_true(fabs(x[i] - copysign(least, target[i])) < 1e-9);
        assert_true(i >= 4 || least > 0.0 || x[i] == 0.0);
    }
}

static double not_a_number(void *context, const double *x, double *gradient)
{
    (void)context;
    for (int i = 0; i < N; i++)
        gradient[i] = x[i];
    return NAN;
}

static void a_function_that_is_not_finite_is_an_error(void **state)
{
    const tw_function function = {.n = N, .evaluate = not_a_number};
    tw_error error = {0};
    tw_optimize_result result;
    double x[N] = {0};
    (void)state;
    assert_int_equal(tw_lbfgs(&function, &tight, x, &result, &error), TW_STATUS_NUMERIC);
    assert_int_equal(tw_owlqn(&function, &tight, x, &result, &error), TW_STATUS_NUMERIC);
    assert_non_null(strstr(error.message, "nan"));
}

/* e^t - a t, whose first steps are far too long for large a; overflows above 709. */
static double exponential(void *context, double step, double *slope)
{
    double a = *(double *)context;
    *slope = exp(step) - a;
    return exp(step) - a * step;
}

static void a_line_search_ends_where_both_wolfe_conditions_hold(void **state)
{
    static const double starts[] = {1e-6, 1e-2, 1.0, 5.0, 50.0, 700.0, 1e4};
    (void)state;
    for (double a = 1.5; a < 1e9; a *= 30.0) {
        for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
            double step = starts[i], reached = 0.0, slope, value = 1.0, slope_at_0 = 1.0 - a;
            const tw_line line = {&a, exponential};
            assert_true(tw_line_search(&line, value, slope_at_0, &step, &reached));
            assert_true(exponential(&a, step, &slope) == reached);
            assert_true(reached <= value + 1e-4 * step * slope_at_0);
            assert_true(fabs(slope) <= 0.9 * fabs(slope_at_0));
        }
    }
}

/* With as many pairs as variables, from exact line minima, H is the inverse Hessian: direction = target - x. */
static void pairs_know_the_inverse_hessian_of_a_bowl(void **state)
{
    tw_pairs pairs;
    double before[N] = {0}, at[N] = {0}, gradient[N], gradient_before[N], direction[N];
    (void)state;
    assert_int_equal(tw_pairs_init(&pairs, N, N, NULL, NULL), TW_STATUS_OK);
    for (int i = 0; i < N; i++) {
        memcpy(before, at, sizeof at);
        at[i] += 1.0; /* steps along the axes are conjugate */
        (void)bowl(target, before, gradient_before);
        (void)bowl(target, at, gradient);
        tw_pairs_add(&pairs, at, before, gradient, gradient_before);
    }
    tw_pairs_direction(&pairs, gradient, NULL, direction);
    for (int i = 0; i < N; i++)
        assert_true(fabs(direction[i] - (target[i] - at[i])) < 1e-9);
    const bool is_fixed[N] = {[1] = true, [4] = true};
    tw_pairs_direction(&pairs, gradient, is_fixed, direction);
    for (int i = 0; i < N; i++)
        assert_true(fabs(direction[i] - (is_fixed[i] ? 0.0 : target[i] - at[i])) < 1e-9);
    tw_pairs_fini(&pairs);
}

static void a_pair_without_curvature_is_left_out(void **state)
{
    tw_pairs pairs;
    const double from[2] = {0.0, 0.0}, to[2] = {1.0, 1.0}, up[2] = {1.0, 2.0}, down[2] = {-1.0, -1.0};
    (void)state;
    assert_int_equal(tw_pairs_init(&pairs, 2, 2, NULL, NULL), TW_STATUS_OK);
    tw_pairs_add(&pairs, to, from, down, from);
    assert_int_equal(pairs.count, 0);
    tw_pairs_add(&pairs, to, from, up, from);
    tw_pairs_add(&pairs, to, from, up, from);
    assert_int_equal(pairs.count, 2);
    tw_pairs_add(&pairs, to, from, down, from);
    assert_int_equal(pairs.count, 1); /* the slot of the oldest was used */
    tw_pairs_fini(&pairs);
}

static const double hessian[3][3] = {{4.0, 1.0, 0.5}, {1.0, 3.0, -1.0}, {0.5, -1.0, 2.0}};

static void hessian_product(void *context, const double *direction, double *product)
{
    (void)context;
    for (int i = 0; i < 3; i++) {
        product[i] = 0.0;
        for (int j = 0; j < 3; j++)
            product[i] += hessian[i][j] * direction[j];
    }
}

static double model_decrease(const double *gradient, const double *step)
{
    double product[3];
    hessian_product(NULL, step, product);
    return -tw_dot_double(gradient, step, 3) - 0.5 * tw_dot_double(step, product, 3);
}

static void a_trust_region_step_is_newtons_or_ends_at_the_border(void **state)
{
    const double gradient[3] = {1.0, -2.0, 0.7}, diagonal[3] = {4.0, 3.0, 2.0};
    const tw_quadratic model = {3, gradient, diagonal, NULL, hessian_product};
    double step[3], work[12], product[3];
    (void)state;
    tw_trust_step out = tw_trust_solve(&model, 100.0, 1e-12, step, work);
    hessian_product(NULL, step, product);
    for (int i = 0; i < 3; i++)
        assert_true(fabs(product[i] + gradient[i]) < 1e-11);
    assert_true(!out.is_at_border && out.products == 3);
    assert_true(fabs(out.decrease - model_decrease(gradient, step)) < 1e-12);
    double whole = out.length;
    for (double radius = 0.1 * whole; radius < whole; radius += 0.2 * whole) {
        out = tw_trust_solve(&model, radius, 1e-12, step, work);
        assert_true(out.is_at_border && fabs(out.length / radius - 1.0) < 1e-12);
        assert_true(fabs(out.decrease - model_decrease(gradient, step)) < 1e-12);
        assert_true(out.decrease > 0.0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rosenbrock_is_minimized_from_the_usual_start),
        cmocka_unit_test(the_stop_rule_is_the_scaled_gradient_against_that_at_0),
        cmocka_unit_test(reruns_give_the_same_bits),
        cmocka_unit_test(owlqn_thresholds_a_bowl),
        cmocka_unit_test(a_function_that_is_not_finite_is_an_error),
        cmocka_unit_test(a_line_search_ends_where_both_wolfe_conditions_hold),
        cmocka_unit_test(pairs_know_the_inverse_hessian_of_a_bowl),
        cmocka_unit_test(a_pair_without_curvature_is_left_out),
        cmocka_unit_test(a_trust_region_step_is_newtons_or_ends_at_the_border),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
