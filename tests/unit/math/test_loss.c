#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "math/loss.h"
#include "support/learner_fixture.h"

enum { N_POINTS = 20000 };

static const tw_loss losses[] = {
    {.kind = TW_LOSS_LOGISTIC},
    {.kind = TW_LOSS_SQUARED},
    {.kind = TW_LOSS_HINGE},
    {.kind = TW_LOSS_POISSON},
    {.kind = TW_LOSS_QUANTILE, .quantile = 0.3},
};
enum { N_LOSSES = sizeof losses / sizeof *losses };

/* The definitions of thalweg/loss.h as they stand there, by libm in long double. */
static long double reference_value(tw_loss loss, long double s, long double y)
{
    long double t = 2 * y - 1, r = y - s;
    switch (loss.kind) {
    case TW_LOSS_LOGISTIC:
        return (s > 0 ? s : 0) + log1pl(expl(-fabsl(s))) - y * s;
    case TW_LOSS_SQUARED:
        return r * r / 2;
    case TW_LOSS_HINGE:
        return fmaxl(0, 1 - t * s);
    case TW_LOSS_POISSON:
        return expl(s) - y * s;
    case TW_LOSS_QUANTILE:
        return r >= 0 ? (long double)loss.quantile * r : ((long double)loss.quantile - 1) * r;
    case TW_LOSS_NONE:
        break;
    }
    return 0;
}

/* A label that the loss takes. */
static double draw_label(tw_loss loss, uint64_t *state)
{
    switch (loss.kind) {
    case TW_LOSS_LOGISTIC:
    case TW_LOSS_HINGE:
        return (double)(test_random(state) % 2);
    case TW_LOSS_POISSON:
        return (double)(test_random(state) % 20);
    case TW_LOSS_SQUARED:
    case TW_LOSS_QUANTILE:
    case TW_LOSS_NONE:
        break;
    }
    return 10.0 * test_uniform(state) - 5.0;
}

static double draw_score(uint64_t *state, double reach)
{
    return reach * (2.0 * test_uniform(state) - 1.0);
}

static bool is_near_a_corner(tw_loss loss, double s, double y, double h)
{
    return (loss.kind == TW_LOSS_HINGE && fabs((2 * y - 1) * s - 1) <= 2 * h) ||
           (loss.kind == TW_LOSS_QUANTILE && fabs(s - y) <= 2 * h);
}

static void values_are_those_of_libm(void **state)
{
    (void)state;
    for (size_t l = 0; l < N_LOSSES; l++) {
        uint64_t random = 3;
        double worst = 0.0;
        for (int i = 0; i < N_POINTS; i++) {
            double y = draw_label(losses[l], &random), s = draw_score(&random, i % 2 ? 40.0 : 2.0);
            long double want = reference_value(losses[l], (long double)s, (long double)y);
            /* e^s and y s may cancel: the error is one of the terms', not of their difference. */
            long double scale = fabsl(want) + fabsl((long double)y * (long double)s);
            double error = (double)(fabsl((long double)tw_loss_value(losses[l], s, y) - want) / (scale + 1e-300L));
            worst = error > worst ? error : worst;
        }
        print_message("loss %d: largest relative error of a value %.2g\n", losses[l].kind, worst);
        assert_true(worst <= 8 * 0x1p-53);
    }
}

static void slopes_are_finite_differences_of_values(void **state)
{
    (void)state;
    const double h = 1e-5;
    for (size_t l = 0; l < N_LOSSES; l++) {
        uint64_t random = 5;
        for (int i = 0; i < N_POINTS; i++) {
            double y = draw_label(losses[l], &random), s = draw_score(&random, 8.0);
            if (is_near_a_corner(losses[l], s, y, h))
                continue;
            double up = tw_loss_value(losses[l], s + h, y), down = tw_loss_value(losses[l], s - h, y);
            double slope = tw_loss_slope(losses[l], s, y);
            assert_true(fabs(slope - (up - down) / (2 * h)) <= 1e-7 * (1 + fabs(slope)));
        }
    }
}

static void curvatures_are_finite_differences_of_slopes(void **state)
{
    (void)state;
    const double h = 1e-5;
    for (size_t l = 0; l < N_LOSSES; l++) {
        uint64_t random = 7;
        for (int i = 0; i < N_POINTS; i++) {
            double y = draw_label(losses[l], &random), s = draw_score(&random, 8.0);
            if (is_near_a_corner(losses[l], s, y, h))
                continue;
            double up = tw_loss_slope(losses[l], s + h, y), down = tw_loss_slope(losses[l], s - h, y);
            double curvature = tw_loss_curvature(losses[l], s);
            assert_true(fabs(curvature - (up - down) / (2 * h)) <= 1e-7 * (1 + fabs(curvature)));
        }
    }
}

static void corners_take_the_slope_of_the_flat_or_lower_side(void **state)
{
    (void)state;
    tw_loss hinge = {.kind = TW_LOSS_HINGE}, quantile = {.kind = TW_LOSS_QUANTILE, .quantile = 0.3};
    assert_true(tw_loss_slope(hinge, 1.0, 1.0) == 0.0 && tw_loss_slope(hinge, -1.0, 0.0) == 0.0);
    assert_true(tw_loss_slope(hinge, 0.999, 1.0) == -1.0 && tw_loss_slope(hinge, -0.999, 0.0) == 1.0);
    assert_true(tw_loss_slope(quantile, 2.0, 2.0) == 0.0);
    assert_true(tw_loss_slope(quantile, 1.9, 2.0) == -0.3 && tw_loss_slope(quantile, 2.1, 2.0) == 0.7);
}

static void quantile_loss_is_least_at_the_quantile(void **state)
{
    (void)state;
    tw_loss loss = {.kind = TW_LOSS_QUANTILE, .quantile = 0.9};
    double best = 0.0, least = INFINITY;
    for (double s = 0.0; s <= 1.0; s += 0.005) {
        double sum = 0.0;
        for (int i = 0; i < 1000; i++)
            sum += tw_loss_value(loss, s, (i + 0.5) / 1000);
        best = sum < least ? s : best;
        least = sum < least ? sum : least;
    }
    assert_true(fabs(best - 0.9) < 0.01);
}

static void large_scores_give_finite_numbers(void **state)
{
    (void)state;
    for (size_t l = 0; l < N_LOSSES; l++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            double s = sign * 1e9;
            assert_true(isfinite(tw_loss_value(losses[l], s, 1.0)) && isfinite(tw_loss_slope(losses[l], s, 1.0)));
            assert_true(isfinite(tw_loss_curvature(losses[l], s)));
        }
    }
    assert_true(isfinite((float)tw_link_value(TW_LINK_EXP, 1e9)));
}

static void links_turn_scores_into_predictions(void **state)
{
    (void)state;
    for (double s = -30.0; s <= 30.0; s += 0.37) {
        assert_true(tw_link_value(TW_LINK_IDENTITY, s) == s);
        assert_true(fabs(tw_link_value(TW_LINK_LOGISTIC, s) * (1 + exp(-s)) - 1) < 1e-14);
        assert_true(fabs(tw_link_value(TW_LINK_EXP, s) / exp(s) - 1) < 1e-14);
    }
}

static void without_a_loss_everything_is_zero(void **state)
{
    (void)state;
    tw_loss none = {.kind = TW_LOSS_NONE};
    assert_true(tw_loss_value(none, 3.0, 1.0) == 0.0 && tw_loss_slope(none, 3.0, 1.0) == 0.0);
    assert_true(tw_loss_curvature(none, 3.0) == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_libm),
        cmocka_unit_test(slopes_are_finite_differences_of_values),
        cmocka_unit_test(curvatures_are_finite_differences_of_slopes),
        cmocka_unit_test(corners_take_the_slope_of_the_flat_or_lower_side),
        cmocka_unit_test(quantile_loss_is_least_at_the_quantile),
        cmocka_unit_test(large_scores_give_finite_numbers),
        cmocka_unit_test(links_turn_scores_into_predictions),
        cmocka_unit_test(without_a_loss_everything_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
