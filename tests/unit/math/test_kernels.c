#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "math/function.h"
#include "math/kernels.h"
#include "support/learner_fixture.h"

enum { SIZE = 512 };

typedef struct vectors {
    float a[SIZE], b[SIZE], zn[2 * SIZE], w[SIZE], root[SIZE], after[2 * SIZE];
} vectors;

static void fill(vectors *v, double scale)
{
    uint64_t state = 11;
    for (int i = 0; i < SIZE; i++) {
        v->a[i] = (float)(scale * (test_uniform(&state) - 0.5));
        v->b[i] = (float)(3 * (test_uniform(&state) - 0.5));
        v->zn[2 * i] = i % 7 == 0 ? 0.0f : (float)(20 * (test_uniform(&state) - 0.5));
        v->zn[2 * i + 1] = i % 7 == 0 ? 0.0f : (float)(30 * test_uniform(&state));
    }
}

/* Runs `check` for every table of this processor but the portable one. */
static void for_each_table(void (*check)(const tw_kernels *portable, const tw_kernels *other))
{
    int n_tables = 0;
    for (int level = TW_KERNELS_PORTABLE + 1; level < TW_KERNELS_N; level++) {
        const tw_kernels *table = tw_kernels_at((tw_kernel_level)level);
        if (table) {
            check(tw_kernels_at(TW_KERNELS_PORTABLE), table);
            n_tables++;
        }
    }
    if (n_tables == 0) {
        skip();
    }
}

static void check_dot(const tw_kernels *portable, const tw_kernels *other)
{
    vectors v;
    fill(&v, 1.0);
    for (size_t n = 0; n <= 100; n++) {
        float p = portable->dot(v.a + n % 3, v.b + 1, n), q = other->dot(v.a + n % 3, v.b + 1, n);
        assert_memory_equal(&p, &q, sizeof p);
    }
}

static void check_nearest(const tw_kernels *portable, const tw_kernels *other)
{
    vectors v;
    fill(&v, 1.0);
    for (size_t width = 1; width <= 40; width++) {
        float p, q;
        uint32_t i = portable->nearest(v.a, v.b, width + width % 2, 12, width, &p);
        assert_int_equal(other->nearest(v.a, v.b, width + width % 2, 12, width, &q), i);
        assert_memory_equal(&p, &q, sizeof p);
    }
}

/* A single centre takes another path than many do. */
static void nearest_of_many_has_the_bits_of_each_alone(void **state)
{
    (void)state;
    vectors v;
    fill(&v, 1.0);
    for (int level = TW_KERNELS_PORTABLE; level < TW_KERNELS_N; level++) {
        const tw_kernels *table = tw_kernels_at((tw_kernel_level)level);
        for (size_t width = 1; table && width <= 40; width++) {
            uint32_t best = 0;
            float least = INFINITY, one, all;
            for (uint32_t i = 0; i < 12; i++) {
                (void)table->nearest(v.a, v.b + i * width, width, 1, width, &one);
                best = one < least ? i : best;
                least = one < least ? one : least;
            }
            assert_int_equal(table->nearest(v.a, v.b, width, 12, width, &all), best);
            assert_memory_equal(&least, &all, sizeof all);
        }
    }
}

static void check_ftrl(const tw_kernels *portable, const tw_kernels *other)
{
    const tw_ftrl_rule rules[] = {{10.0f, 1.0f, 0.0f, 0.0f}, {2.0f, 0.5f, 1.5f, 0.25f}, {1000.0f, 1e-6f, 0.1f, 0.0f}};
    const float errors[] = {0.0f, 0.3f, -0.9999f, 1e-30f, 1e17f};
    for (size_t r = 0; r < 3; r++) {
        for (size_t e = 0; e < 5; e++) {
            vectors p, q;
            float lane_p[TW_LANES] = {0}, lane_q[TW_LANES] = {0};
            fill(&p, 4.0);
            fill(&q, 4.0);
            portable->ftrl_weights(&rules[r], p.zn, p.w, p.root, SIZE);
            other->ftrl_weights(&rules[r], q.zn, q.w, q.root, SIZE);
            assert_memory_equal(p.w, q.w, sizeof p.w);
            assert_memory_equal(p.root, q.root, sizeof p.root);
            float peak = portable->dot_lanes(lane_p, p.w, p.a, SIZE);
            assert_true(peak == other->dot_lanes(lane_q, q.w, q.a, SIZE));
            assert_memory_equal(lane_p, lane_q, sizeof lane_p);
            portable->ftrl_update(&rules[r], errors[e], p.a, p.w, p.root, p.zn, p.after, SIZE);
            other->ftrl_update(&rules[r], errors[e], q.a, q.w, q.root, q.zn, q.after, SIZE);
            assert_memory_equal(p.after, q.after, sizeof p.after);
        }
    }
}

static void dot_products_have_equal_bits_in_every_table(void **state)
{
    (void)state;
    for_each_table(check_dot);
}

static void nearest_centres_have_equal_bits_in_every_table(void **state)
{
    (void)state;
    for_each_table(check_nearest);
}

static void ftrl_has_equal_bits_in_every_table(void **state)
{
    (void)state;
    for_each_table(check_ftrl);
}

static void dot_products_are_close_to_double_sums(void **state)
{
    (void)state;
    vectors v;
    fill(&v, 1.0);
    for (size_t n = 0; n <= SIZE - 1; n += 13) {
        double sum = 0.0, size = 0.0;
        for (size_t i = 0; i < n; i++) {
            sum += (double)v.a[i] * (double)v.b[i];
            size += fabs((double)v.a[i] * (double)v.b[i]);
        }
        assert_true(fabs((double)tw_kernels_best()->dot(v.a, v.b, n) - sum) <= 1e-6 * size);
    }
}

static void lanes_sum_the_same_however_a_vector_is_cut(void **state)
{
    (void)state;
    vectors v;
    float whole[TW_LANES] = {0}, parts[TW_LANES] = {0};
    fill(&v, 1.0);
    tw_kernels_best()->dot_lanes(whole, v.a, v.b, 96);
    tw_kernels_best()->dot_lanes(parts, v.a, v.b, 32);
    tw_kernels_best()->dot_lanes(parts, v.a + 32, v.b + 32, 64);
    assert_memory_equal(whole, parts, sizeof whole);
    float sum = tw_lanes_sum(whole), dot = tw_kernels_best()->dot(v.a, v.b, 96);
    assert_memory_equal(&sum, &dot, sizeof sum);
}

static void nearest_is_the_first_of_equals(void **state)
{
    (void)state;
    const float x[2] = {0, 0}, centres[8] = {3, 4, 1, 1, -1, 1, 1, -1};
    float distance;
    assert_int_equal(tw_kernels_best()->nearest(x, centres, 2, 4, 2, &distance), 1);
    assert_true(distance == 2.0f);
}

static void updates_stop_at_the_largest_float(void **state)
{
    (void)state;
    const tw_ftrl_rule rule = {10.0f, 1.0f, 0.0f, 0.0f};
    vectors v;
    fill(&v, 1.0);
    for (int i = 0; i < SIZE; i++) {
        v.zn[2 * i] = i % 2 ? FLT_MAX : -FLT_MAX;
        v.zn[2 * i + 1] = FLT_MAX;
        v.a[i] = 1.0f;
    }
    tw_kernels_best()->ftrl_weights(&rule, v.zn, v.w, v.root, SIZE);
    tw_kernels_best()->ftrl_update(&rule, 1e18f, v.a, v.w, v.root, v.zn, v.after, SIZE);
    for (int i = 0; i < 2 * SIZE; i++) {
        assert_true(isfinite(v.after[i]));
    }
}

static void every_table_has_the_logistic_functions_bit_by_bit(void **state)
{
    (void)state;
    enum { N = 4096 };
    static float margin[N] = {
        0.0f, -0.0f, INFINITY, -INFINITY, NAN, FLT_MAX, -FLT_MAX, 745.13f, -745.14f, 37.0f, -0x1p-149f};
    static double probability[N], loss[N];
    for (int i = 11; i < N; i++) {
        margin[i] = (float)((i - N / 2) * (i % 3 == 0 ? 0.4 : 0.005));
    }
    for (int level = TW_KERNELS_PORTABLE; level < TW_KERNELS_N; level++) {
        const tw_kernels *table = tw_kernels_at((tw_kernel_level)level);
        for (int n = N; table && n > N - 40; n--) {
            table->logistic(margin + N - n, probability + N - n, loss + N - n, (size_t)n);
            for (int i = N - n; i < N; i++) {
                double m = (double)margin[i], sigmoid = tw_sigmoid(m), log1pexp = tw_log1pexp(-m);
                assert_true(isnan(m) ? isnan(probability[i]) : memcmp(&sigmoid, &probability[i], sizeof sigmoid) == 0);
                assert_true(isnan(m) ? isnan(loss[i]) : memcmp(&log1pexp, &loss[i], sizeof log1pexp) == 0);
            }
        }
    }
}

static void every_table_has_the_logistic_functions_of_doubles_bit_by_bit(void **state)
{
    (void)state;
    enum { N = 4096 };
    static double margin[N] = {0.0, -0.0, INFINITY, -INFINITY, NAN, DBL_MAX, -DBL_MAX, 745.133, -745.14, 37.0, -1e-320};
    static double probability[N], loss[N];
    for (int i = 11; i < N; i++)
        margin[i] = (i - N / 2) * (i % 3 == 0 ? 0.4 : 0.005) / 3.0;
    for (int level = TW_KERNELS_PORTABLE; level < TW_KERNELS_N; level++) {
        const tw_kernels *table = tw_kernels_at((tw_kernel_level)level);
        for (int n = N; table && n > N - 40; n--) {
            table->logistic_double(margin + N - n, probability + N - n, loss + N - n, (size_t)n);
            for (int i = N - n; i < N; i++) {
                double m = margin[i], sigmoid = tw_sigmoid(m), log1pexp = tw_log1pexp(-m);
                assert_true(isnan(m) ? isnan(probability[i]) : memcmp(&sigmoid, &probability[i], sizeof sigmoid) == 0);
                assert_true(isnan(m) ? isnan(loss[i]) : memcmp(&log1pexp, &loss[i], sizeof log1pexp) == 0);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_has_the_logistic_functions_bit_by_bit),
        cmocka_unit_test(every_table_has_the_logistic_functions_of_doubles_bit_by_bit),
        cmocka_unit_test(dot_products_have_equal_bits_in_every_table),
        cmocka_unit_test(nearest_centres_have_equal_bits_in_every_table),
        cmocka_unit_test(ftrl_has_equal_bits_in_every_table),
        cmocka_unit_test(dot_products_are_close_to_double_sums),
        cmocka_unit_test(lanes_sum_the_same_however_a_vector_is_cut),
        cmocka_unit_test(nearest_is_the_first_of_equals),
        cmocka_unit_test(nearest_of_many_has_the_bits_of_each_alone),
        cmocka_unit_test(updates_stop_at_the_largest_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
