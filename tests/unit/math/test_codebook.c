#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "math/seeding.h"
#include "support/learner_fixture.h"

enum { WIDTH = 3, K = 4, MAX_POINTS = 400 };

typedef struct fixture {
    tw_cells cells;
    tw_sample sample;
    tw_seeding_scratch scratch;
    void *scratch_memory;
} fixture;

static void fixture_open(fixture *self, const tw_kernels *kernels, uint32_t width)
{
    size_t stride = tw_codebook_centre_offset(width) + (width + width % 2) * sizeof(float);
    memset(self, 0, sizeof *self);
    self->cells.centre = (tw_codebook){kernels, calloc(K, stride), stride, width};
    self->cells.half = (tw_codebook){kernels, calloc(2 * K, stride), stride, width};
    self->sample.stride = (sizeof(uint64_t) + (1 + width) * sizeof(float) + 7) / 8 * 8;
    self->sample.point = calloc(MAX_POINTS, self->sample.stride);
    self->scratch_memory = calloc(1, tw_seeding_scratch_size(MAX_POINTS, K));
    self->scratch = tw_seeding_scratch_at(self->scratch_memory, MAX_POINTS, K);
    assert_true(self->cells.centre.record && self->cells.half.record && self->sample.point && self->scratch_memory);
}

static void fixture_close(fixture *self)
{
    free(self->cells.centre.record);
    free(self->cells.half.record);
    free(self->sample.point);
    free(self->scratch_memory);
}

static void fixture_add(fixture *self, const float *point, float weight, uint64_t tick)
{
    uint32_t i = self->sample.count++;
    *tw_sample_tick(&self->sample, i) = tick;
    *tw_sample_weight(&self->sample, i) = weight;
    memcpy(tw_sample_point(&self->sample, i), point, self->cells.centre.width * sizeof(float));
}

static void fixture_fill(fixture *self, uint32_t n)
{
    uint64_t state = 11;
    for (uint32_t i = 0; i < n; i++) {
        float point[WIDTH];
        uint64_t group = test_random(&state) % K;
        for (uint64_t d = 0; d < WIDTH; d++) {
            point[d] = (float)((group == d ? 3 : 0) + test_uniform(&state));
        }
        fixture_add(self, point, (float)(1 + i % 3), 0);
    }
}

static void ward_is_what_one_mean_costs_more_than_two(void **state)
{
    (void)state;
    const double x[] = {1, 2, 4, 9, 11}, mean_a = 7.0 / 3, mean_b = 10, mean = 27.0 / 5;
    double two = 0.0, one = 0.0;
    for (int i = 0; i < 5; i++) {
        two += pow(x[i] - (i < 3 ? mean_a : mean_b), 2);
        one += pow(x[i] - mean, 2);
    }
    assert_true(fabs(tw_ward(3, 2, pow(mean_a - mean_b, 2)) - (one - two)) < 1e-12);
    assert_true(tw_ward(0, 2, 5) == 0.0);
}

static void what_is_added_counts_half_after_a_half_life(void **state)
{
    (void)state;
    fixture f;
    const uint64_t tick = 1000, later = tick + TW_TICKS_PER_HALF_LIFE;
    fixture_open(&f, tw_kernels_best(), WIDTH);
    tw_codebook_add(&f.cells.centre, 1, (float[]){4, 0, 0}, 2.0, tick);
    assert_true(fabs(tw_codebook_weight(&f.cells.centre, 1, later) - 1.0) < 1e-15);
    tw_codebook_add(&f.cells.centre, 1, (float[]){0, 8, 0}, 3.0, later);
    const float *centre = tw_codebook_centre(&f.cells.centre, 1);
    assert_true(fabsf(centre[0] - 1.0f) < 1e-6f && fabsf(centre[1] - 6.0f) < 1e-6f && centre[2] == 0.0f);
    fixture_close(&f);
}

static double total_of(const fixture *f, int what)
{
    double total = 0.0;
    for (uint64_t j = 0; j < K; j++) {
        total += what < 0 ? tw_codebook_word(&f->cells.centre, j)->weight : tw_codebook_sum(&f->cells.centre, j)[what];
    }
    return total;
}

static void a_move_keeps_the_weight_and_the_halves_of_the_merged(void **state)
{
    (void)state;
    fixture f;
    uint64_t random = 2;
    fixture_open(&f, tw_kernels_best(), WIDTH);
    f.cells.live = K;
    for (int i = 0; i < 400; i++) {
        float point[WIDTH];
        uint64_t j = test_random(&random) % K;
        for (uint64_t d = 0; d < WIDTH; d++) {
            point[d] = (float)(j == 3 && i % 8 < 4 ? 50 : (double)j) + (float)test_uniform(&random);
        }
        tw_codebook_add(&f.cells.centre, j, point, 1.0, 0);
        tw_cells_halve(&f.cells, j, point, 1.0, 0);
    }
    uint32_t partner = 9;
    double weight = total_of(&f, -1), sum = total_of(&f, 0);
    double cost = tw_cells_cost(&f.cells, 0, 0, &partner), gain = tw_cells_gain(&f.cells, 3, 1, 0);
    assert_int_equal(partner, 1);
    assert_true(gain > 100 * cost);
    tw_cells_move(&f.cells, 0, 1, 3, 0);
    assert_true(fabs(total_of(&f, -1) - weight) < 1e-9 && fabs(total_of(&f, 0) - sum) < 0.02 * fabs(sum));
    assert_true(fabs(tw_cells_gain(&f.cells, 1, 1, 0) - cost) < 1e-3 * cost);
    assert_true(tw_cells_gain(&f.cells, 3, 0, 0) == 0.0);
    double apart =
        (double)tw_codebook_centre(&f.cells.centre, 0)[0] - (double)tw_codebook_centre(&f.cells.centre, 3)[0];
    assert_true(fabs(apart) > 40);
    fixture_close(&f);
}

/* The least sum of squares of points on a line in k parts, by trying all cuts. */
static double best_of_line(const float *x, uint32_t n, uint32_t k)
{
    double mean = 0.0, sum = 0.0, least = INFINITY;
    for (uint32_t i = 0; i < n; i++) {
        mean += (double)x[i] / n;
    }
    for (uint32_t i = 0; i < n; i++) {
        sum += pow((double)x[i] - mean, 2);
    }
    for (uint32_t first = 1; k > 1 && first < n; first++) {
        double cut = best_of_line(x, first, 1) + best_of_line(x + first, n - first, k - 1);
        least = cut < least ? cut : least;
    }
    return k > 1 ? least : sum;
}

static double fitted_sum(const fixture *f)
{
    double total = 0.0;
    for (uint32_t i = 0; i < f->sample.count; i++) {
        float distance;
        (void)tw_codebook_nearest(&f->cells.centre, 0, f->cells.live, tw_sample_point(&f->sample, i), &distance);
        total += (double)distance;
    }
    return total;
}

static void most_fits_of_a_line_are_the_best_of_all_cuts(void **state)
{
    (void)state;
    uint64_t random = 8;
    int n_best = 0;
    for (uint64_t trial = 0; trial < 20; trial++) {
        fixture f;
        float x[24];
        fixture_open(&f, tw_kernels_best(), 1);
        for (int i = 0; i < 24; i++) {
            x[i] = (float)((i > 0 ? (double)x[i - 1] : 0.0) + pow(test_uniform(&random), 6));
            fixture_add(&f, &x[i], 1.0f, 0);
        }
        tw_seeding_fit(&f.cells, &f.sample, K, TW_SEEDING_PLUS_PLUS, trial, 0, &f.scratch);
        double best = best_of_line(x, 24, K);
        double ratio = fitted_sum(&f) / best;
        assert_int_equal(f.cells.live, K);
        assert_true(ratio > 0.999 && ratio < 1.25);
        n_best += ratio < 1.0001;
        fixture_close(&f);
    }
    assert_true(n_best >= 12);
}

static void a_fit_has_the_same_bits_with_every_table_of_kernels(void **state)
{
    (void)state;
    fixture want, got;
    fixture_open(&want, tw_kernels_at(TW_KERNELS_PORTABLE), WIDTH);
    fixture_fill(&want, MAX_POINTS);
    tw_seeding_fit(&want.cells, &want.sample, K, TW_SEEDING_PLUS_PLUS, 7, 0, &want.scratch);
    for (int level = TW_KERNELS_PORTABLE; level < TW_KERNELS_N; level++) {
        const tw_kernels *kernels = tw_kernels_at((tw_kernel_level)level);
        if (!kernels) {
            print_message("SKIPPED: this processor has no table %d\n", level);
            continue;
        }
        fixture_open(&got, kernels, WIDTH);
        fixture_fill(&got, MAX_POINTS);
        tw_seeding_fit(&got.cells, &got.sample, K, TW_SEEDING_PLUS_PLUS, 7, 0, &got.scratch);
        assert_memory_equal(want.cells.centre.record, got.cells.centre.record, K * want.cells.centre.stride);
        assert_memory_equal(want.cells.half.record, got.cells.half.record, 2 * K * want.cells.half.stride);
        fixture_close(&got);
    }
    fixture_close(&want);
}

static void a_fit_weighs_old_points_less(void **state)
{
    (void)state;
    fixture f;
    const uint64_t old = 1, now = old + 3 * (uint64_t)TW_TICKS_PER_HALF_LIFE;
    fixture_open(&f, tw_kernels_best(), 1);
    fixture_add(&f, (float[]){0}, 8.0f, old);
    fixture_add(&f, (float[]){6}, 2.0f, now);
    tw_seeding_fit(&f.cells, &f.sample, 1, TW_SEEDING_PLUS_PLUS, 1, now, &f.scratch);
    assert_true(fabsf(tw_codebook_centre(&f.cells.centre, 0)[0] - 4.0f) < 1e-6f);
    assert_true(fabs(tw_codebook_word(&f.cells.centre, 0)->weight - 3.0) < 1e-12);
    fixture_close(&f);
}

static void equal_points_give_one_centre(void **state)
{
    (void)state;
    static const tw_seeding_rule rules[] = {TW_SEEDING_PLUS_PLUS, TW_SEEDING_RANDOM};
    for (int r = 0; r < 2; r++) {
        fixture f;
        fixture_open(&f, tw_kernels_best(), WIDTH);
        for (int i = 0; i < 10; i++) {
            fixture_add(&f, (float[]){1, 2, 3}, 1.0f, 0);
        }
        tw_seeding_fit(&f.cells, &f.sample, K, rules[r], 1, 0, &f.scratch);
        assert_int_equal(f.cells.live, 1);
        assert_true(tw_codebook_word(&f.cells.centre, 0)->weight == 10.0);
        fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ward_is_what_one_mean_costs_more_than_two),
        cmocka_unit_test(what_is_added_counts_half_after_a_half_life),
        cmocka_unit_test(a_move_keeps_the_weight_and_the_halves_of_the_merged),
        cmocka_unit_test(most_fits_of_a_line_are_the_best_of_all_cuts),
        cmocka_unit_test(a_fit_has_the_same_bits_with_every_table_of_kernels),
        cmocka_unit_test(a_fit_weighs_old_points_less),
        cmocka_unit_test(equal_points_give_one_centre),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
