/* ADWIN and Page-Hinkley against slow references, and how often and how late they speak. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "math/adwin.h"
#include "math/page_hinkley.h"
#include "support/learner_fixture.h"

enum { MAX_VALUES = 20000 };

/* The window as a plain list of values, and the sizes of its buckets, oldest first. */
typedef struct slow_window {
    double value[MAX_VALUES];
    size_t n, n_seen;
    size_t size[512];
    size_t n_sizes;
    bool tries_all; /* every cut, not only the borders of buckets */
} slow_window;

static void slow_sizes(slow_window *self)
{
    self->size[self->n_sizes++] = 1;
    for (size_t size = 1;; size *= 2) {
        size_t count = 0, first = 0;
        for (size_t i = self->n_sizes; i-- > 0;) {
            if (self->size[i] == size) {
                count++;
                first = i;
            }
        }
        if (count <= TW_ADWIN_PER_LEVEL)
            return;
        self->size[first] = 2 * size;
        memmove(self->size + first + 1, self->size + first + 2, (self->n_sizes - first - 2) * sizeof *self->size);
        self->n_sizes--;
    }
}

static double slow_mean(const double *value, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += value[i];
    return sum / (double)n;
}

static bool slow_is_cut(const slow_window *self, size_t n0, double delta)
{
    size_t n = self->n, n1 = n - n0;
    if (n0 < 5 || n1 < 5)
        return false;
    double mean = slow_mean(self->value, n), variance = 0, low = self->value[0], high = self->value[0];
    for (size_t i = 0; i < n; i++) {
        variance += (self->value[i] - mean) * (self->value[i] - mean) / (double)n;
        low = fmin(low, self->value[i]);
        high = fmax(high, self->value[i]);
    }
    double m = 1.0 / ((double)n0 - 4) + 1.0 / ((double)n1 - 4), d = log(2 * log((double)n) / delta);
    double bound = sqrt(2 * m * variance * d) + 2.0 / 3 * d * m * (high - low);
    return fabs(slow_mean(self->value, n0) - slow_mean(self->value + n0, n1)) > bound;
}

static bool slow_has_cut(const slow_window *self, double delta)
{
    size_t n0 = 0;
    for (size_t i = 1; self->tries_all && i < self->n; i++) {
        if (slow_is_cut(self, i, delta))
            return true;
    }
    for (size_t i = 0; i < self->n_sizes; i++) {
        n0 += self->size[i];
        if (slow_is_cut(self, n0, delta))
            return true;
    }
    return false;
}

static bool slow_add(slow_window *self, double value, double delta)
{
    bool has_changed = false;
    self->value[self->n++] = value;
    self->n_seen++;
    slow_sizes(self);
    while (self->n_seen % 32 == 0 && self->n > 10 && slow_has_cut(self, delta)) {
        self->n -= self->size[0];
        memmove(self->value, self->value + self->size[0], self->n * sizeof(double));
        memmove(self->size, self->size + 1, --self->n_sizes * sizeof *self->size);
        has_changed = true;
    }
    return has_changed;
}

static double normal(uint64_t *random)
{
    double u = 1 - test_uniform(random), v = test_uniform(random);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static void every_answer_is_that_of_a_window_kept_value_by_value(void **state)
{
    (void)state;
    slow_window *slow = calloc(1, sizeof *slow);
    unsigned n_changes = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        tw_adwin fast;
        uint64_t random = seed;
        memset(slow, 0, sizeof *slow);
        tw_adwin_init(&fast, seed % 2 ? 0.002 : 0.3);
        for (size_t i = 0; i < 1200; i++) {
            double level = i < 500 ? 0.0 : i < 900 ? 1.5 : 0.3;
            double value = seed % 3 == 0 ? (test_uniform(&random) < 0.2 + level / 3) : level + normal(&random) * 0.7;
            bool is_change = tw_adwin_add(&fast, value);
            assert_int_equal(is_change, slow_add(slow, value, fast.delta));
            assert_int_equal(fast.n, slow->n);
            assert_true(fabs(tw_adwin_mean(&fast) - slow_mean(slow->value, slow->n)) < 1e-12);
            n_changes += is_change;
        }
        assert_true(tw_adwin_is_valid(&fast));
    }
    assert_true(n_changes >= 24);
    free(slow);
}

/* The cuts between buckets are a part of all cuts, and dense near the newest values. */
static void buckets_find_a_change_at_most_two_tests_after_all_cuts_would(void **state)
{
    (void)state;
    slow_window *slow = calloc(1, sizeof *slow);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        tw_adwin fast;
        uint64_t random = seed;
        size_t first_fast = 0, first_slow = 0;
        memset(slow, 0, sizeof *slow);
        slow->tries_all = true;
        tw_adwin_init(&fast, 0.002);
        for (size_t i = 1; i <= 960 && (first_fast == 0 || first_slow == 0); i++) {
            double value = test_uniform(&random) < (i <= 500 ? 0.2 : 0.6);
            if (tw_adwin_add(&fast, value) && first_fast == 0)
                first_fast = i;
            if (first_slow == 0 && slow_add(slow, value, 0.002))
                first_slow = i;
        }
        assert_true(first_slow > 0 && first_fast >= first_slow);
        assert_true(first_fast <= first_slow + 2 * TW_ADWIN_CLOCK);
    }
    free(slow);
}

static void a_stream_that_does_not_change_is_hardly_ever_cut(void **state)
{
    (void)state;
    enum { N_STREAMS = 400, N_EVENTS = 5000 };
    unsigned n_streams_cut = 0, n_binary_cut = 0;
    for (uint64_t seed = 1; seed <= N_STREAMS; seed++) {
        tw_adwin heavy, binary;
        uint64_t random = seed;
        bool is_heavy_cut = false, is_binary_cut = false;
        tw_adwin_init(&heavy, 0.002);
        tw_adwin_init(&binary, 0.002);
        for (size_t i = 0; i < N_EVENTS; i++) {
            is_heavy_cut |=
                tw_adwin_add(&heavy, -log(1 - test_uniform(&random)) * 1e6); /* a heavy tail, a large scale */
            is_binary_cut |= tw_adwin_add(&binary, test_uniform(&random) < 0.1);
        }
        n_streams_cut += is_heavy_cut;
        n_binary_cut += is_binary_cut;
    }
    printf("false alarms of ADWIN in %d streams of %d: %u exponential, %u binary\n", N_STREAMS, N_EVENTS, n_streams_cut,
        n_binary_cut);
    assert_true(n_streams_cut <= N_STREAMS / 50);
    assert_true(n_binary_cut <= N_STREAMS / 50);
}

static void an_abrupt_change_is_found_within_a_few_hundred_events_whatever_the_scale(void **state)
{
    (void)state;
    double sum = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        tw_adwin self[2];
        uint64_t random = seed;
        size_t found[2] = {0, 0};
        tw_adwin_init(&self[0], 0.002);
        tw_adwin_init(&self[1], 0.002);
        for (size_t i = 1; i <= 4000; i++) {
            double value = -log(1 - test_uniform(&random)) * (i <= 3000 ? 0.3 : 0.6);
            for (int k = 0; k < 2; k++) {
                double scale = k == 0 ? 1.0 : 1048576.0;
                if (tw_adwin_add(&self[k], value * scale) && i > 3000 && found[k] == 0)
                    found[k] = i;
            }
        }
        assert_true(found[0] > 3000 && found[0] <= 3640);
        assert_int_equal(found[0], found[1]);
        sum += (double)found[0] - 3000;
    }
    printf("delay of ADWIN when a mean loss of 0.3 becomes 0.6: %.0f events\n", sum / 100);
}

static void a_long_window_is_cut_back_to_the_values_after_the_change(void **state)
{
    (void)state;
    tw_adwin self;
    uint64_t random = 5;
    tw_adwin_init(&self, 0.002);
    for (size_t i = 0; i < 20000; i++)
        (void)tw_adwin_add(&self, test_uniform(&random) < 0.1);
    assert_true(self.n > 19000);
    for (size_t i = 0; i < 4000; i++)
        (void)tw_adwin_add(&self, test_uniform(&random) < 0.5);
    assert_true(self.n <= 4500);
    assert_true(fabs(tw_adwin_mean(&self) - 0.5) < 0.05);
}

static void a_window_longer_than_its_buckets_can_hold_drops_its_oldest(void **state)
{
    (void)state;
    tw_adwin self;
    tw_adwin_init(&self, 0.002);
    self.n_levels = TW_ADWIN_LEVELS;
    for (uint32_t level = 0; level < TW_ADWIN_LEVELS; level++) {
        self.n_buckets[level] = TW_ADWIN_PER_LEVEL;
        for (uint32_t i = 0; i < TW_ADWIN_PER_LEVEL; i++)
            self.bucket[level][i] = (tw_adwin_bucket){.total = ldexp(0.5, (int)level), .low = 0, .high = 1};
        self.n += (uint64_t)TW_ADWIN_PER_LEVEL << level;
    }
    self.total = (double)self.n / 2;
    self.n_seen = self.n;
    assert_true(tw_adwin_is_valid(&self));
    (void)tw_adwin_add(&self, 0.5);
    assert_true(tw_adwin_is_valid(&self));
    assert_int_equal(self.n_levels, TW_ADWIN_LEVELS);
}

static void a_state_that_does_not_fit_together_is_known(void **state)
{
    (void)state;
    tw_adwin self, broken;
    tw_adwin_init(&self, 0.002);
    for (int i = 0; i < 100; i++)
        (void)tw_adwin_add(&self, i % 2);
    assert_true(tw_adwin_is_valid(&self));
    broken = self;
    broken.n_levels = 1000;
    assert_false(tw_adwin_is_valid(&broken));
    broken = self;
    broken.n_buckets[0] = 6;
    assert_false(tw_adwin_is_valid(&broken));
    broken = self;
    broken.n++;
    assert_false(tw_adwin_is_valid(&broken));
    broken = self;
    broken.bucket[0][0].total = (double)NAN;
    assert_false(tw_adwin_is_valid(&broken));
}

/* The sums written out from the beginning for every value. */
static bool slow_page_hinkley(const double *value, size_t n, double delta, double threshold, double alpha)
{
    double sum = 0, low = INFINITY;
    for (size_t i = 0; i < n; i++) {
        sum = alpha * sum + value[i] - slow_mean(value, i + 1) - delta;
        low = fmin(low, sum);
    }
    return n >= 30 && sum - low > threshold;
}

static void page_hinkley_speaks_when_its_sum_has_risen_by_the_threshold(void **state)
{
    (void)state;
    static double value[700];
    for (uint64_t seed = 1; seed <= 10; seed++) {
        tw_page_hinkley self = {.delta = 0.005, .threshold = 20, .alpha = 0.9999, .min_events = 30};
        uint64_t random = seed;
        bool is_found = false;
        for (size_t i = 0; i < 700 && !is_found; i++) {
            value[i] = (i < 400 ? 0.3 : 0.8) + 0.2 * normal(&random);
            is_found = tw_page_hinkley_add(&self, value[i]);
            assert_int_equal(is_found, slow_page_hinkley(value, i + 1, 0.005, 20, 0.9999));
            assert_true(!is_found || i > 400);
        }
        assert_true(is_found);
    }
}

static void page_hinkley_does_not_speak_of_a_fall(void **state)
{
    (void)state;
    tw_page_hinkley self = {.delta = 0.005, .threshold = 20, .alpha = 0.9999, .min_events = 30};
    uint64_t random = 3;
    for (size_t i = 0; i < 5000; i++)
        assert_false(tw_page_hinkley_add(&self, (i < 1000 ? 0.9 : 0.2) + 0.1 * normal(&random)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_is_that_of_a_window_kept_value_by_value),
        cmocka_unit_test(buckets_find_a_change_at_most_two_tests_after_all_cuts_would),
        cmocka_unit_test(a_stream_that_does_not_change_is_hardly_ever_cut),
        cmocka_unit_test(an_abrupt_change_is_found_within_a_few_hundred_events_whatever_the_scale),
        cmocka_unit_test(a_long_window_is_cut_back_to_the_values_after_the_change),
        cmocka_unit_test(a_window_longer_than_its_buckets_can_hold_drops_its_oldest),
        cmocka_unit_test(a_state_that_does_not_fit_together_is_known),
        cmocka_unit_test(page_hinkley_speaks_when_its_sum_has_risen_by_the_threshold),
        cmocka_unit_test(page_hinkley_does_not_speak_of_a_fall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
