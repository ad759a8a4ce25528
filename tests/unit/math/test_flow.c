#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "math/flow.h"
#include "math/loss.h"
#include "support/learner_fixture.h"

enum { N_POINTS = 3000 };

static const tw_loss losses[] = {
    {.kind = TW_LOSS_LOGISTIC},
    {.kind = TW_LOSS_SQUARED},
    {.kind = TW_LOSS_HINGE},
    {.kind = TW_LOSS_POISSON},
    {.kind = TW_LOSS_QUANTILE, .quantile = 0.3},
};
enum { N_LOSSES = sizeof losses / sizeof *losses };

typedef struct point {
    double score, label, h, k;
} point;

/* Scores on both sides of the label, h k from 1e-8 to 1e4. */
static point draw_point(tw_loss loss, uint64_t *state)
{
    point at = {.score = 8 * test_uniform(state) - 4, .k = pow(10, 4 * test_uniform(state) - 2)};
    at.h = pow(10, 12 * test_uniform(state) - 8) / at.k;
    switch (loss.kind) {
    case TW_LOSS_LOGISTIC:
    case TW_LOSS_HINGE:
        at.label = (double)(test_random(state) % 2);
        break;
    case TW_LOSS_POISSON:
        at.label = (double)(test_random(state) % 5);
        break;
    default:
        at.label = 6 * test_uniform(state) - 3;
    }
    return at;
}

static tw_flow flow_at(tw_loss loss, const point *at)
{
    return tw_flow_of(loss, at->score, at->label, at->h, at->k);
}

/* The score after Runge and Kutta's steps of fourth order, which shrink where the slope is steep. */
static double followed(tw_loss loss, point at)
{
    double score = at.score, left = at.h;
    while (left > 0) {
        double speed = fabs(tw_loss_slope(loss, score, at.label)) + tw_loss_curvature(loss, score);
        double step = fmin(left, 0.02 / (at.k * speed));
        double a = -at.k * tw_loss_slope(loss, score, at.label);
        double b = -at.k * tw_loss_slope(loss, score + step / 2 * a, at.label);
        double c = -at.k * tw_loss_slope(loss, score + step / 2 * b, at.label);
        double d = -at.k * tw_loss_slope(loss, score + step * c, at.label);
        double next = score + step / 6 * (a + 2 * b + 2 * c + d);
        if (fabs(next - score) < 1e-14)
            break; /* arrived */
        score = next;
        left -= step;
    }
    return score;
}

static void smooth_losses_are_followed_as_small_steps_would(void **state)
{
    static const tw_loss_kind smooth[] = {TW_LOSS_LOGISTIC, TW_LOSS_SQUARED, TW_LOSS_POISSON};
    uint64_t random = 5;
    (void)state;
    for (size_t l = 0; l < 3; l++) {
        for (int i = 0; i < 300; i++) {
            tw_loss loss = {.kind = smooth[l]};
            point at = draw_point(loss, &random);
            double expected = followed(loss, at), moved = at.score + at.k * flow_at(loss, &at).distance;
            assert_true(fabs(moved - expected) <= 1e-6 * (1 + fabs(expected)));
        }
    }
}

static void the_pull_that_is_left_is_the_slope_at_the_end(void **state)
{
    uint64_t random = 6;
    (void)state;
    for (size_t l = 0; l < N_LOSSES; l++) {
        for (int i = 0; i < N_POINTS; i++) {
            point at = draw_point(losses[l], &random);
            tw_flow flow = flow_at(losses[l], &at);
            double end = at.score + at.k * flow.distance, expected = -tw_loss_slope(losses[l], end, at.label);
            bool has_corner = losses[l].kind == TW_LOSS_HINGE || losses[l].kind == TW_LOSS_QUANTILE;
            if (has_corner && flow.pull == 0.0)
                continue; /* at the corner, or beyond it from the start */
            assert_true(fabs(flow.pull - expected) <= 2e-6 * (1 + fabs(expected)));
        }
    }
}

static void the_derivatives_by_importance_and_score_are_those_of_the_pull(void **state)
{
    uint64_t random = 7;
    (void)state;
    for (size_t l = 0; l < N_LOSSES; l++) {
        for (int i = 0; i < N_POINTS; i++) {
            point at = draw_point(losses[l], &random), more = at, less = at, above = at, below = at;
            double dh = 1e-4 * at.h, ds = 1e-5, pull = -tw_loss_slope(losses[l], at.score, at.label);
            tw_flow flow = flow_at(losses[l], &at);
            more.h += dh;
            less.h -= dh;
            above.score += ds;
            below.score -= ds;
            tw_flow up = flow_at(losses[l], &above), down = flow_at(losses[l], &below);
            if (at.h * at.k < 1e-4 || pull == 0.0 || (up.pull == 0.0) != (down.pull == 0.0) ||
                (flow_at(losses[l], &more).pull == 0.0) != (flow_at(losses[l], &less).pull == 0.0))
                continue; /* lost in rounding, or on both sides of a corner */
            double by_h = (flow_at(losses[l], &more).distance - flow_at(losses[l], &less).distance) / (2 * dh);
            double by_score = (2 * ds + at.k * (up.distance - down.distance)) / (2 * ds);
            double scale = fabs(pull) + fabs(flow.pull);
            assert_true(fabs(by_h - flow.pull) <= 1e-3 * scale);
            assert_true(fabs(by_score - flow.pull / pull) <= 1e-3);
        }
    }
}

static void twice_the_importance_is_the_event_twice(void **state)
{
    uint64_t random = 8;
    (void)state;
    for (size_t l = 0; l < N_LOSSES; l++) {
        for (int i = 0; i < N_POINTS; i++) {
            point once = draw_point(losses[l], &random), twice = once;
            tw_flow first = flow_at(losses[l], &once);
            once.score += once.k * first.distance;
            tw_flow second = flow_at(losses[l], &once);
            twice.h *= 2;
            tw_flow both = flow_at(losses[l], &twice);
            double sum = first.distance + second.distance;
            assert_true(fabs(both.distance - sum) <= 3e-6 * (fabs(sum) + 1e-9 / once.k));
        }
    }
}

/* Scores from -40 to 40, importance from 1e-9 to 1e12. */
static void no_importance_passes_the_lowest_loss(void **state)
{
    enum { N_SCORES = 217, N_SIZES = 15 };
    (void)state;
    for (int i = 0; i < N_SCORES * N_SIZES * 2; i++) {
        int place = i / 2 / N_SIZES, size = i / 2 % N_SIZES;
        double score = -40 + 80.0 * place / (N_SCORES - 1), label = i % 2, h = 1e-9 * pow(31, size);
        for (size_t l = 0; l < N_LOSSES; l++) {
            double pull = -tw_loss_slope(losses[l], score, label);
            tw_flow flow = tw_flow_of(losses[l], score, label, h, 3.0);
            assert_true(isfinite(flow.distance) && isfinite(flow.pull));
            assert_true(flow.distance * pull >= 0.0 && flow.pull * pull >= -1e-12);
            assert_true(fabs(flow.pull) <= fabs(pull) * (1 + 1e-12) + 1e-15);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smooth_losses_are_followed_as_small_steps_would),
        cmocka_unit_test(the_pull_that_is_left_is_the_slope_at_the_end),
        cmocka_unit_test(the_derivatives_by_importance_and_score_are_those_of_the_pull),
        cmocka_unit_test(twice_the_importance_is_the_event_twice),
        cmocka_unit_test(no_importance_passes_the_lowest_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
