#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/learner_fixture.h"
#include "thalweg/transform.h"

extern const tw_transform_ops tw_transform_standard;

enum { N_VALUES = 500, RECORD_SIZE = 40 };

typedef struct scaler {
    tw_option_values *options;
    void *self;
    tw_schema schema;
    void *block[TW_SCHEMA_MAX_BLOCKS];
} scaler;

/* Scales fields 3 and 700; a foreign block comes first in the schema. */
static int scaler_setup(void **state)
{
    static const uint16_t fields[] = {3, 700};
    scaler *self = calloc(1, sizeof *self);
    tw_error error;
    assert_non_null(tw_schema_add_block(&self->schema, "other", 1, &error));
    assert_int_equal(tw_option_values_create(tw_transform_standard.options, &self->options, &error), TW_STATUS_OK);
    self->self = calloc(1, tw_transform_standard.state_size(self->options));
    assert_int_equal(
        tw_transform_standard.open(self->self, self->options, fields, 2, &self->schema, &error), TW_STATUS_OK);
    assert_int_equal(self->schema.block[1].record.size, RECORD_SIZE);
    self->block[1] = calloc(self->schema.block[1].count, RECORD_SIZE);
    *state = self;
    return 0;
}

static int scaler_teardown(void **state)
{
    scaler *self = *state;
    tw_option_values_destroy(&self->options);
    free(self->self);
    free(self->block[1]);
    free(self);
    return 0;
}

static void scale(scaler *self, const uint16_t *field, float *value, uint32_t n_entries, bool is_learning)
{
    uint32_t row_start[N_VALUES + 1];
    assert_true(n_entries <= N_VALUES);
    for (uint32_t i = 0; i <= n_entries; i++) {
        row_start[i] = i;
    }
    tw_batch batch = {
        .n_events = n_entries, .n_entries = n_entries, .row_start = row_start, .value = value, .field = field};
    tw_transform_standard.apply(self->self, &batch, value, self->block, is_learning);
}

/* Two passes in long double over the values before `at`. */
static double naive(const float *x, uint32_t at)
{
    long double mean = 0, variance = 0;
    for (uint32_t i = 0; i < at; i++) {
        mean += (long double)x[i] / at;
    }
    for (uint32_t i = 0; i < at; i++) {
        variance += ((long double)x[i] - mean) * ((long double)x[i] - mean) / at;
    }
    return at < 2 || variance <= 0 ? 0.0 : (double)(((long double)x[at] - mean) / sqrtl(variance));
}

static void assert_follows_naive(scaler *self, double mean, double deviation)
{
    static float x[N_VALUES], got[N_VALUES];
    static uint16_t field[N_VALUES];
    uint64_t state = 21;
    for (uint32_t i = 0; i < N_VALUES; i++) {
        field[i] = 700;
        got[i] = x[i] = (float)(mean + deviation * (test_uniform(&state) - 0.3));
    }
    scale(self, field, got, N_VALUES, true);
    for (uint32_t i = 0; i < N_VALUES; i++) {
        double want = naive(x, i);
        assert_true(fabs((double)got[i] - want) <= 1e-6 * (1 + fabs(want)));
    }
}

static void values_are_scaled_by_the_state_before_them(void **state)
{
    assert_follows_naive(*state, 1.0, 4.0);
}

static void years_keep_their_digits(void **state)
{
    assert_follows_naive(*state, 2013.0, 2.0);
}

static void clock_times_far_from_zero_keep_their_digits(void **state)
{
    assert_follows_naive(*state, 1.7e9, 3000.0);
}

static void huge_values_stay_finite(void **state)
{
    float value[] = {1.0f, 1.0000001f, FLT_MAX, -FLT_MAX, 3e38f, 1e-38f};
    const uint16_t field[] = {3, 3, 3, 3, 3, 3};
    scale(*state, field, value, 6, true);
    for (int i = 0; i < 6; i++) {
        assert_true(isfinite(value[i]));
    }
    assert_true(value[2] == FLT_MAX || value[2] > 1e30f);
}

static void a_constant_field_becomes_zero(void **state)
{
    float value[N_VALUES];
    uint16_t field[N_VALUES];
    for (int i = 0; i < N_VALUES; i++) {
        field[i] = 3;
        value[i] = 0.1f;
    }
    scale(*state, field, value, N_VALUES, true);
    for (int i = 0; i < N_VALUES; i++) {
        assert_true(value[i] == 0.0f);
    }
}

static void other_fields_stay_as_they_are(void **state)
{
    float value[] = {5, 6, 7, 8};
    const uint16_t field[] = {0, 4, 701, UINT16_MAX};
    scale(*state, field, value, 4, true);
    assert_true(value[0] == 5.0f && value[1] == 6.0f && value[2] == 7.0f && value[3] == 8.0f);
}

static void prediction_changes_no_state(void **state)
{
    scaler *self = *state;
    float value[] = {1, 2, 4}, other[] = {3, 5}, again[] = {3, 5};
    const uint16_t field[] = {3, 3, 3};
    unsigned char before[2 * RECORD_SIZE];
    scale(self, field, value, 3, true);
    memcpy(before, self->block[1], sizeof before);
    scale(self, field, other, 2, false);
    scale(self, field, again, 2, false);
    assert_memory_equal(before, self->block[1], sizeof before);
    assert_memory_equal(other, again, sizeof other);
    assert_true(fabs((double)other[0] - (3 - 7.0 / 3) / sqrt(14.0 / 9)) < 1e-6);
}

static void each_field_has_its_own_state(void **state)
{
    float mixed[] = {1, 100, 2, 300, 3, 200}, alone[] = {1, 2, 3};
    const uint16_t fields[] = {3, 700, 3, 700, 3, 700}, same[] = {3, 3, 3};
    scaler *self = *state;
    scale(self, fields, mixed, 6, true);
    memset(self->block[1], 0, 2 * RECORD_SIZE);
    scale(self, same, alone, 3, true);
    assert_true(mixed[0] == alone[0] && mixed[2] == alone[1] && mixed[4] == alone[2] && mixed[5] == 0.0f);
    assert_true(mixed[4] == 3.0f);
}

static void batch_size_changes_no_bit(void **state)
{
    scaler *self = *state;
    float whole[N_VALUES], parts[N_VALUES];
    uint16_t field[N_VALUES];
    unsigned char want[2 * RECORD_SIZE];
    uint64_t random = 2;
    for (int i = 0; i < N_VALUES; i++) {
        field[i] = test_random(&random) % 2 ? 3 : 700;
        whole[i] = parts[i] = (float)(test_uniform(&random) * 1e6);
    }
    scale(self, field, whole, N_VALUES, true);
    memcpy(want, self->block[1], sizeof want);
    memset(self->block[1], 0, sizeof want);
    for (uint32_t i = 0; i < N_VALUES; i += 25) {
        scale(self, field + i, parts + i, 25, true);
    }
    assert_memory_equal(whole, parts, sizeof whole);
    assert_memory_equal(want, self->block[1], sizeof want);
}

#define SCALER_TEST(test) cmocka_unit_test_setup_teardown(test, scaler_setup, scaler_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCALER_TEST(values_are_scaled_by_the_state_before_them),
        SCALER_TEST(years_keep_their_digits),
        SCALER_TEST(clock_times_far_from_zero_keep_their_digits),
        SCALER_TEST(huge_values_stay_finite),
        SCALER_TEST(a_constant_field_becomes_zero),
        SCALER_TEST(other_fields_stay_as_they_are),
        SCALER_TEST(prediction_changes_no_state),
        SCALER_TEST(each_field_has_its_own_state),
        SCALER_TEST(batch_size_changes_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
