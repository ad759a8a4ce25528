/* standard: x becomes (x - mean) / deviation, by the mean and the standard deviation of the field's values so far.
 *
 * Block   standard [n_fields] {u64 count, f64 sum, f64 sum_low, f64 squares, f64 squares_low}, all merged by addition;
 *         a sum and its low part are one number of about 106 bits (Knuth's two-sum collects the rounding errors)
 * Value   mean = sum / count, variance = (count squares - sum^2) / count^2 (of the population);
 *         0 while count < 2 or the variance is 0; results beyond float stop at the largest float
 * Learn   count += 1, sum += x, squares += x^2, after the value was computed: importance and label play no part
 *
 * Where count squares and sum^2 nearly cancel (clock times, years), the difference is computed in the 106 bits. */
#include <float.h>
#include <math.h>

#include "thalweg/learner.h"
#include "thalweg/transform.h"

typedef struct standard_record {
    uint64_t count;
    double sum, sum_low, squares, squares_low;
} standard_record;

typedef struct standard_state {
    uint32_t block;
    uint16_t index[UINT16_MAX + 1]; /* of field: 1 + its record, 0 for fields that stay as they are */
} standard_state;

/* An unevaluated sum of two doubles. */
typedef struct standard_pair {
    double high, low;
} standard_pair;

static const tw_option standard_options[] = {{.name = NULL}};

static size_t standard_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(standard_state);
}

static tw_status standard_open(void *self_,
    const tw_option_values *options,
    const uint16_t *fields,
    uint32_t n_fields,
    tw_schema *schema,
    tw_error *error)
{
    static const char *const name[] = {"sum", "sum_low", "squares", "squares_low"};
    standard_state *self = self_;
    (void)options;
    if (n_fields > UINT16_MAX) {
        return tw_error_set(error, TW_STATUS_INVALID, "standard: %u fields, the limit is %d", n_fields, UINT16_MAX);
    }
    self->block = schema->n_blocks;
    tw_block *block = tw_schema_add_block(schema, "standard", n_fields, error);
    if (!block) {
        return TW_STATUS_INVALID;
    }
    tw_status status = tw_record_add(&block->record, "count", TW_FIELD_U64, 1, TW_MERGE_ADD, error);
    for (size_t i = 0; i < sizeof name / sizeof *name && !status; i++) {
        status = tw_record_add(&block->record, name[i], TW_FIELD_F64, 1, TW_MERGE_ADD, error);
    }
    for (uint32_t i = 0; i < n_fields; i++) {
        self->index[fields[i]] = (uint16_t)(i + 1);
    }
    return status;
}

/* a + b exactly (Knuth). */
static inline standard_pair standard_two_sum(double a, double b)
{
    double sum = a + b, part = sum - a;
    return (standard_pair){sum, (a - (sum - part)) + (b - part)};
}

/* a b exactly (Dekker, with Veltkamp's split); |a|, |b| far below 1e150. */
static inline standard_pair standard_two_product(double a, double b)
{
    double split_a = a * 134217729.0, split_b = b * 134217729.0;
    double a1 = split_a - (split_a - a), b1 = split_b - (split_b - b);
    double a2 = a - a1, b2 = b - b1, product = a * b;
    return (standard_pair){product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2};
}

/* (a.high + a.low) (b.high + b.low) to about 104 bits. */
static standard_pair standard_multiply(standard_pair a, standard_pair b)
{
    standard_pair product = standard_two_product(a.high, b.high);
    return standard_two_sum(product.high, product.low + (a.high * b.low + a.low * b.high));
}

/* count^2 times the variance, where plain doubles cancel; below 2^-90 of sum^2 it is rounding and counts as 0. */
static double standard_spread(const standard_record *record)
{
    standard_pair n = {(double)record->count, 0.0};
    standard_pair sum = standard_two_sum(record->sum, record->sum_low);
    standard_pair squares = standard_two_sum(record->squares, record->squares_low);
    standard_pair a = standard_multiply(n, squares), b = standard_multiply(sum, sum);
    standard_pair difference = standard_two_sum(a.high, -b.high);
    double spread = difference.high + (difference.low + (a.low - b.low));
    return spread > b.high * 0x1p-90 ? spread : 0.0;
}

/* Root 0: the value is 0. */
static void standard_fit(const standard_record *record, double *n, double *sum, double *root)
{
    *n = (double)record->count;
    *sum = record->sum + record->sum_low;
    *root = 0.0;
    if (record->count < 2) {
        return;
    }
    double scaled = *n * (record->squares + record->squares_low), spread = scaled - *sum * *sum;
    if (!(spread > scaled * 1e-4)) {
        spread = standard_spread(record);
    }
    *root = spread > 0.0 ? sqrt(spread) : 0.0;
}

static float standard_value(const standard_record *record, float x)
{
    double n, sum, root;
    standard_fit(record, &n, &sum, &root);
    if (!(root > 0.0)) {
        return 0.0f;
    }
    double value = (n * (double)x - sum) / root;
    value = value > (double)FLT_MAX ? (double)FLT_MAX : value;
    return (float)(value < -(double)FLT_MAX ? -(double)FLT_MAX : value);
}

static void standard_learn(standard_record *record, float x)
{
    standard_pair sum = standard_two_sum(record->sum, (double)x);
    standard_pair squares = standard_two_sum(record->squares, (double)x * (double)x);
    record->count++;
    record->sum = sum.high;
    record->sum_low += sum.low;
    record->squares = squares.high;
    record->squares_low += squares.low;
}

static void standard_apply(void *self_, const tw_batch *batch, float *value, void *const *block, bool is_learning)
{
    const standard_state *self = self_;
    standard_record *records = block[self->block];
    for (uint32_t e = 0; e < batch->n_entries; e++) {
        uint32_t index = self->index[batch->field[e]];
        if (index == 0) {
            continue;
        }
        float x = value[e];
        value[e] = standard_value(&records[index - 1], x);
        if (is_learning) {
            standard_learn(&records[index - 1], x);
        }
    }
}

static void standard_constants(
    const void *self_, void *const *block, uint32_t index, double *n, double *sum, double *root)
{
    const standard_state *self = self_;
    const standard_record *records = block[self->block];
    standard_fit(&records[index], n, sum, root);
}

const tw_transform_ops tw_transform_standard = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_transform_ops),
    .name = "standard",
    .summary = "subtracts the mean so far and divides by the standard deviation so far",
    .options = standard_options,
    .state_size = standard_state_size,
    .open = standard_open,
    .apply = standard_apply,
    .constants = standard_constants,
};
