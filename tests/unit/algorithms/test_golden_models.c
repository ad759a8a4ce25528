#define _POSIX_C_SOURCE 200809L
/* Models after a small fixed stream, to the bit, as files in tests/golden/learners: whoever changes how a learner
 * rounds sees it here. `test_golden_models --write-golden` writes files that are missing; to accept new bits remove the
 * old. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/loss_reference.h"

extern const tw_learner_ops tw_learner_ftrl, tw_learner_linear, tw_learner_kmeans;

enum { N_ROWS = 12, N_EVENTS = 200, TEXT_SIZE = 1 << 16 };

static const struct {
    const char *file;
    const tw_learner_ops *ops;
    const char *options;
    tw_loss_kind loss;
    uint32_t dense_width;
} models[] = {
    {"ftrl_logistic", &tw_learner_ftrl, "l1=0.1 l2=0.2", TW_LOSS_LOGISTIC, 0},
    {"ftrl_squared", &tw_learner_ftrl, "loss=squared alpha=0.3 bias_shrink=true l1=0.01", TW_LOSS_SQUARED, 0},
    {"ftrl_hinge", &tw_learner_ftrl, "loss=hinge", TW_LOSS_HINGE, 0},
    {"ftrl_poisson", &tw_learner_ftrl, "loss=poisson", TW_LOSS_POISSON, 0},
    {"ftrl_quantile", &tw_learner_ftrl, "loss=quantile quantile=0.3", TW_LOSS_QUANTILE, 0},
    {"ftrl_half_life", &tw_learner_ftrl, "l1=0.1 l2=0.2 half_life=30", TW_LOSS_LOGISTIC, 0},
    {"ftrl_half_life_time", &tw_learner_ftrl, "half_life_time=5m", TW_LOSS_LOGISTIC, 0},
    {"linear_sgd", &tw_learner_linear, "optimizer=sgd l1=0.01 l2=0.02 schedule=inverse_sqrt t0=50", TW_LOSS_LOGISTIC,
        0},
    {"linear_sgd_poisson", &tw_learner_linear, "optimizer=sgd loss=poisson", TW_LOSS_POISSON, 0},
    {"linear_momentum", &tw_learner_linear, "optimizer=momentum loss=squared l2=0.01", TW_LOSS_SQUARED, 0},
    {"linear_adagrad", &tw_learner_linear, "optimizer=adagrad loss=quantile quantile=0.3", TW_LOSS_QUANTILE, 0},
    {"linear_adagrad_half_life", &tw_learner_linear, "half_life=30 l1=0.001", TW_LOSS_LOGISTIC, 0},
    {"linear_adam", &tw_learner_linear, "optimizer=adam loss=hinge schedule=inverse t0=100", TW_LOSS_HINGE, 0},
    {"kmeans", &tw_learner_kmeans, "k=3 init_events=40 half_life=60 seed=3", TW_LOSS_NONE, 3},
    {"kmeans_first", &tw_learner_kmeans, "k=4 init=first decay=0.99", TW_LOSS_NONE, 5},
    {"kmeans_sparse", &tw_learner_kmeans, "k=3 input=sparse half_life=60", TW_LOSS_SQUARED, 0},
};

static void print_element(const tw_field *field, const unsigned char *record, uint32_t element, FILE *out)
{
    float f32;
    uint32_t u32;
    double f64;
    uint64_t u64;
    switch (field->type) {
    case TW_FIELD_F32:
        memcpy(&f32, record + field->offset + element * sizeof f32, sizeof f32);
        (void)fprintf(out, " %s %a", field->name, (double)f32);
        break;
    case TW_FIELD_U32:
        memcpy(&u32, record + field->offset + element * sizeof u32, sizeof u32);
        (void)fprintf(out, " %s %lu", field->name, (unsigned long)u32);
        break;
    case TW_FIELD_F64:
        memcpy(&f64, record + field->offset + element * sizeof f64, sizeof f64);
        (void)fprintf(out, " %s %a", field->name, f64);
        break;
    case TW_FIELD_U64:
        memcpy(&u64, record + field->offset + element * sizeof u64, sizeof u64);
        (void)fprintf(out, " %s %llu", field->name, (unsigned long long)u64);
        break;
    }
}

static void print_record(const char *name, uint32_t index, const tw_record *shape, const void *record, FILE *out)
{
    (void)fprintf(out, "%s %u", name, index);
    for (uint32_t f = 0; f < shape->n_fields; f++) {
        for (uint32_t e = 0; e < shape->field[f].count; e++)
            print_element(&shape->field[f], record, e, out);
    }
    (void)fprintf(out, "\n");
}

static event_list make_dense_events(uint32_t width)
{
    event_list events = {.dense_width = width};
    uint64_t random = 21;
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        float row[8];
        uint64_t group = test_random(&random) % 4;
        for (uint64_t d = 0; d < width; d++)
            row[d] = (float)((group == d ? 2 : 0) + test_uniform(&random));
        event_list_begin(&events, 0.0f, (float)(1 + i % 2));
        event_list_dense(&events, row);
    }
    return events;
}

/* Every record of the model after the stream, a line each. */
static void print_model(size_t i, char text[TEXT_SIZE])
{
    learner_fixture learner;
    uint32_t width = models[i].dense_width;
    event_list events = width > 0 ? make_dense_events(width) : make_loss_events(models[i].loss, N_ROWS, N_EVENTS);
    float scores[2 * N_EVENTS];
    FILE *out = fmemopen(text, TEXT_SIZE, "w");
    assert_non_null(out);
    learner_fixture_open(&learner, models[i].ops, models[i].options, width, N_ROWS);
    assert_int_equal(learner_fixture_learn(&learner, &events, 0, N_EVENTS, 64, scores, NULL), TW_STATUS_OK);
    const tw_schema *schema = &learner.traits.schema;
    for (uint32_t b = 0; b < schema->n_blocks; b++)
        for (uint32_t r = 0; r < schema->block[b].count; r++)
            print_record(schema->block[b].name, r, &schema->block[b].record,
                (const unsigned char *)learner.block[b] + (size_t)r * schema->block[b].record.size, out);
    for (uint32_t r = 0; r < N_ROWS && schema->row.size > 0; r++)
        print_record("row", r, &schema->row, learner_fixture_row(&learner, r), out);
    assert_int_equal(fclose(out), 0);
    learner_fixture_close(&learner);
    event_list_free(&events);
}

static void golden_path(size_t i, char path[512])
{
    (void)snprintf(path, 512, "%s/tests/golden/learners/%s.txt", TW_SOURCE_DIR, models[i].file);
}

static size_t read_golden(size_t i, char text[TEXT_SIZE])
{
    char path[512];
    golden_path(i, path);
    FILE *file = fopen(path, "rb");
    size_t size = file != NULL ? fread(text, 1, TEXT_SIZE - 1, file) : 0;
    if (file != NULL)
        (void)fclose(file);
    text[size] = '\0';
    return size;
}

static void models_have_the_bits_of_the_golden_files(void **state)
{
    (void)state;
    static char want[TEXT_SIZE], got[TEXT_SIZE];
    bool is_same = true;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        memset(got, 0, sizeof got);
        print_model(i, got);
        size_t size = read_golden(i, want);
        if (size == 0 || strcmp(got, want) != 0)
            print_error("%s.txt: %s; now:\n%s", models[i].file, size == 0 ? "missing" : "other bits", got);
        is_same = is_same && size > 0 && strcmp(got, want) == 0;
    }
    assert_true(is_same);
}

static int write_missing(void)
{
    static char text[TEXT_SIZE];
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char path[512];
        if (read_golden(i, text) > 0)
            continue;
        memset(text, 0, sizeof text);
        print_model(i, text);
        golden_path(i, path);
        FILE *file = fopen(path, "wb");
        if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(models_have_the_bits_of_the_golden_files)};
    if (argc > 1 && strcmp(argv[1], "--write-golden") == 0)
        return write_missing();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
