/* The scorer in one C file against the library: every part that it computes a second time, and whole models. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/fault.h"
#include "base/hash.h"
#include "data/number.h"
#include "engine/score_file.h"
#include "scorer/thalweg_score.h"
#include "support/learner_fixture.h"
#include "support/pipeline_fixture.h"

enum { MAX_ENTRIES = 512, N_LEARNED = 1500, N_SCORED = 800 };

static void hashes_equal_xxh3_at_every_length(void **state)
{
    unsigned char bytes[3000];
    uint64_t random = 1;
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)test_random(&random);
    for (size_t size = 0; size <= 1000; size++) {
        uint64_t seed = size % 5 == 0 ? 0 : test_random(&random);
        assert_int_equal(tws_hash(bytes + size % 7, size, seed), tw_hash_seeded(bytes + size % 7, size, seed));
    }
    for (size_t size = 1001; size < sizeof bytes; size += 13)
        assert_int_equal(tws_hash(bytes, size, size), tw_hash_seeded(bytes, size, size));
}

static void check_number(const char *text, size_t size)
{
    double mine = -7, wanted = -7;
    tw_number kind = tw_number_parse(text, size, &wanted);
    int found = tws_parse(text, size, &mine);
    if (found != (kind == TW_NUMBER_FINITE ? 1 : kind == TW_NUMBER_NONE ? 0 : -1))
        print_error("%.*s: %d\n", (int)size, text, found);
    assert_int_equal(found, kind == TW_NUMBER_FINITE ? 1 : kind == TW_NUMBER_NONE ? 0 : -1);
    if (kind == TW_NUMBER_FINITE && memcmp(&mine, &wanted, sizeof mine) != 0)
        print_error("%.*s: %.17g, not %.17g\n", (int)size, text, mine, wanted);
    if (kind == TW_NUMBER_FINITE)
        assert_memory_equal(&mine, &wanted, sizeof mine);
}

static void numbers_are_read_as_the_library_reads_them(void **state)
{
    static const char *const texts[] = {"", "-", "+", ".", "5.", ".5", "-.5e1", "1e", "1e+", "1e5x", "0x1p3", " 1",
        "1 ", "1_0", "nan", "-NaN", "inf", "Infinity", "infinit", "1e400", "-1e400", "1e-400", "4.9e-324",
        "2.4703282292062327e-324", "2.4703282292062328e-324", "1.7976931348623157e308", "1.7976931348623159e308",
        "9007199254740993", "9007199254740992.99999999999999999999999999999999", "0000000000000000000000000000001",
        "0e999999999999", "1e-999999999999999999999", "123456789012345678901234567890e-29", "2.2250738585072011e-308",
        "-0", "0.1", "1..2"};
    uint64_t random = 3;
    char text[1200];
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_number(texts[i], strlen(texts[i]));
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = test_random(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        check_number(text, (size_t)snprintf(text, sizeof text, "%.*e", (int)(test_random(&random) % 25), value));
        check_number(
            text, (size_t)snprintf(text, sizeof text, "%.*f", (int)(i % 12), ldexp((double)(bits >> 30), -20)));
    }
    for (int i = 0; i < 200; i++) {
        size_t size = 0;
        for (size_t n = 1 + test_random(&random) % 1000; size < n; size++)
            text[size] = size == n / 3 ? '.' : (char)('0' + test_random(&random) % 10);
        check_number(text, size);
    }
}

/* --- whole models ----------------------------------------------------------------------------------------------- */

static tw_text make_file(tw_model *model, tw_score_file_counts *counts)
{
    tw_text file = {0};
    tw_error error = {0};
    tw_status status = tw_score_file_make(model, 12, &file, counts, &error);
    if (status < 0)
        print_error("%s\n", error.message);
    assert_int_equal(status, TW_STATUS_OK);
    return file;
}

/* One JSON object as an event. */
static void feed(tws_event *event, const char *line, size_t size)
{
    json_error_t error;
    json_t *object = json_loadb(line, size, 0, &error), *value;
    const char *name;
    assert_non_null(object);
    json_object_foreach(object, name, value)
    {
        if (json_is_string(value))
            (void)tws_string(event, name, strlen(name), json_string_value(value), json_string_length(value));
        else
            (void)tws_number(event, name, strlen(name), json_number_value(value));
    }
    json_decref(object);
}

typedef struct comparison {
    size_t n_events, n_other;
} comparison;

static comparison compare_rows(pipeline *self, const tws_model *model, const char *rows, size_t size)
{
    tws_entry entry[MAX_ENTRIES];
    comparison out = {0};
    tw_error error = {0};
    uint32_t n_outputs = tw_model_traits(self->model)->n_outputs;
    tw_builder *batch = pipeline_rows(self, rows, size, N_SCORED);
    float *wanted = calloc((size_t)N_SCORED * n_outputs, sizeof *wanted);
    float *dense = model->is_dense ? calloc(model->width, sizeof *dense) : NULL;
    assert_int_equal(tw_model_score(self->model, batch, wanted, &error), TW_STATUS_OK);
    for (const char *at = rows, *end = rows + size, *feed_at; at < end; at = feed_at + 1) {
        tws_event event;
        float score[2];
        double prediction, linked[2];
        feed_at = memchr(at, '\n', (size_t)(end - at));
        if (feed_at == at)
            continue;
        tws_begin(&event, model, entry, MAX_ENTRIES, dense);
        feed(&event, at, (size_t)(feed_at - at));
        assert_int_equal(tws_score(&event, score, &prediction), TWS_OK);
        const float *right = wanted + out.n_events * n_outputs;
        tw_model_link_all(tw_model_traits(self->model), right, 1, linked);
        out.n_other += memcmp(score, right, n_outputs * sizeof *score) != 0 ||
                       memcmp(&prediction, &linked[0], sizeof prediction) != 0;
        out.n_events++;
    }
    assert_int_equal(out.n_events, batch->n_events);
    tw_builder_destroy(&batch);
    free(dense);
    free(wanted);
    return out;
}

/* --- damage ----------------------------------------------------------------------------------------------------- */

/* A learned model of its own in `folder`. */
static void open_learned(pipeline *self, const char *learner, const char *options, char folder[PIPELINE_PATH_SIZE])
{
    char path[PIPELINE_PATH_SIZE + 8];
    size_t size = 0;
    char *log = make_log(5, 200, 0, &size);
    tw_error error = {0};
    make_folder(folder);
    (void)snprintf(path, sizeof path, "%s/log", folder);
    write_bytes(path, "wb", log, size);
    free(log);
    pipeline_setup setup = {.learner = learner,
        .learner_options = options,
        .is_scaled = true,
        .path = {path},
        .n_paths = 1,
        .folder = folder};
    assert_int_equal(pipeline_open(self, &setup, &error), TW_STATUS_OK);
    assert_int_equal(tw_engine_run(self->engine, &error), TW_STATUS_OK);
}

static void close_learned(pipeline *self, const char *folder)
{
    pipeline_close(self);
    remove_folder(folder);
}

static void put_u64(char *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (char)(value >> 8 * i);
}

/* Opens what may be damaged; a model that opens must score without a fault of memory. */
static int use(const char *bytes, size_t size)
{
    static float dense[1 << 12];
    tws_entry entry[64];
    tws_model model;
    tws_event event;
    float score[2];
    double prediction;
    int status = tws_open(&model, bytes, size);
    if (status != TWS_OK || model.width > sizeof dense / sizeof *dense)
        return status;
    tws_begin(&event, &model, entry, 64, model.is_dense ? dense : NULL);
    (void)tws_text(&event, "user", 4, "u7", 2);
    (void)tws_text(&event, "x0", 2, "0.25", 4);
    (void)tws_number(&event, "x3", 2, 17);
    (void)tws_feature(&event, "item", 4, "i4", 2, 1);
    (void)tws_element(&event, "id", 2, "e", 1);
    (void)tws_score(&event, score, &prediction);
    tws_begin(&event, &model, entry, 64, model.is_dense ? dense : NULL);
    (void)tws_feature(&event, "", 0, "3", 1, 0.5);
    return tws_score(&event, score, NULL) != TWS_OK ? TWS_OK : status;
}

static void damage_everywhere(const char *learner, const char *options)
{
    char folder[PIPELINE_PATH_SIZE];
    pipeline self;
    tw_score_file_counts counts;
    uint64_t random = 9;
    open_learned(&self, learner, options, folder);
    tw_text file = make_file(self.model, &counts);
    assert_int_equal(use(file.bytes, file.size), TWS_OK);
    for (size_t size = 0; size < file.size; size += size < 1200 ? 1 : 97) {
        char *part = malloc(size + 1); /* ends where the file ends, so that a sanitizer sees every read beyond it */
        memcpy(part, file.bytes, size);
        assert_int_equal(use(part, size), TWS_DAMAGED);
        if (size >= 128) { /* cut off, and then signed again */
            put_u64(part + 16, size);
            put_u64(part + 24, tw_hash(part + 32, size - 32));
            assert_int_equal(use(part, size), TWS_DAMAGED);
        }
        free(part);
    }
    for (size_t at = 0; at < file.size; at += at < 1200 ? 1 : 97) {
        char before = file.bytes[at];
        for (int i = 0; i < 4; i++) {
            file.bytes[at] = (char)(before ^ (char)(i == 3 ? test_random(&random) | 1 : 1u << (3 * i)));
            assert_int_not_equal(use(file.bytes, file.size), TWS_OK);
            put_u64(file.bytes + 24, tw_hash(file.bytes + 32, file.size - 32));
            (void)use(file.bytes, file.size);
            file.bytes[at] = before;
            put_u64(file.bytes + 24, tw_hash(file.bytes + 32, file.size - 32));
        }
    }
    tw_text_fini(&file);
    close_learned(&self, folder);
}

static void a_damaged_file_is_refused_and_one_that_lies_does_no_harm(void **state)
{
    (void)state;
    damage_everywhere("ftrl", "");
    damage_everywhere("kmeans", "k=4 init_events=20");
}

static void a_file_of_a_later_format_is_refused_as_such(void **state)
{
    char folder[PIPELINE_PATH_SIZE];
    pipeline self;
    tw_score_file_counts counts;
    (void)state;
    open_learned(&self, "ftrl", "", folder);
    tw_text file = make_file(self.model, &counts);
    file.bytes[8] = 2;
    assert_int_equal(use(file.bytes, file.size), TWS_VERSION);
    tw_text_fini(&file);
    close_learned(&self, folder);
}

static void a_learner_without_a_form_is_refused_with_its_name(void **state)
{
    char folder[PIPELINE_PATH_SIZE];
    pipeline self;
    tw_score_file_counts counts;
    tw_text file = {0};
    tw_error error = {0};
    (void)state;
    open_learned(&self, "counter", "", folder);
    assert_int_equal(tw_score_file_make(self.model, 1, &file, &counts, &error), TW_STATUS_UNSUPPORTED);
    assert_non_null(strstr(error.message, "counter"));
    assert_non_null(strstr(error.message, "--form json"));
    close_learned(&self, folder);
    open_learned(&self, "kmeans", "k=3 init_events=20 input=sparse", folder);
    assert_int_equal(tw_score_file_make(self.model, 1, &file, &counts, &error), TW_STATUS_UNSUPPORTED);
    assert_non_null(strstr(error.message, "kmeans"));
    close_learned(&self, folder);
}

static void every_failing_allocation_of_the_writer_is_an_error(void **state)
{
    char folder[PIPELINE_PATH_SIZE];
    pipeline self;
    tw_score_file_counts counts;
    tw_status status = TW_STATUS_NO_MEMORY;
    uint64_t n = 0;
    (void)state;
    open_learned(&self, "ftrl", "", folder);
    while (status != TW_STATUS_OK && n < 10000) {
        tw_text file = {0};
        tw_error error = {0};
        tw_fault_arm(TW_FAULT_ALLOC, ++n, 0, false);
        status = tw_score_file_make(self.model, 1, &file, &counts, &error);
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_true(status == TW_STATUS_OK || status == TW_STATUS_NO_MEMORY);
        assert_true(status == TW_STATUS_OK || file.bytes == NULL);
        tw_text_fini(&file);
    }
    assert_true(n > 20);
    close_learned(&self, folder);
}

static void errors_of_an_event_stay_and_say_what_is_wrong(void **state)
{
    char folder[PIPELINE_PATH_SIZE];
    pipeline self;
    tw_score_file_counts counts;
    tws_model model;
    tws_event event;
    tws_entry entry[4];
    float score[2];
    (void)state;
    open_learned(&self, "ftrl", "", folder);
    tw_text file = make_file(self.model, &counts);
    assert_int_equal(tws_open(&model, file.bytes, file.size), TWS_OK);
    tws_begin(&event, &model, entry, 4, NULL);
    assert_int_equal(tws_text(&event, "x0", 2, "abc", 3), TWS_NUMBER);
    assert_int_equal(tws_text(&event, "user", 4, "u1", 2), TWS_NUMBER);
    assert_int_equal(tws_score(&event, score, NULL), TWS_NUMBER);
    tws_begin(&event, &model, entry, 4, NULL);
    assert_int_equal(tws_text(&event, "user", 4, "u1", 2), TWS_OK);
    assert_int_equal(tws_text(&event, "user", 4, "u2", 2), TWS_TWICE);
    tws_begin(&event, &model, entry, 1, NULL);
    assert_int_equal(tws_text(&event, "user", 4, "u1", 2), TWS_OK);
    assert_int_equal(tws_text(&event, "item", 4, "i1", 2), TWS_ROOM);
    tws_begin(&event, &model, entry, 4, NULL);
    assert_int_equal(tws_text(&event, "nobody", 6, "u1", 2), TWS_OK);
    assert_int_equal(event.n_entries, 0);
    assert_int_equal(tws_number(&event, "x0", 2, INFINITY), TWS_NUMBER);
    assert_string_equal(tws_message(TWS_TWICE), "a field occurs twice in one event");
    tw_text_fini(&file);
    close_learned(&self, folder);
}

/* --- bits ------------------------------------------------------------------------------------------------------- */

static void scores_equal(const char *learner, const char *options, bool is_scaled, bool is_hashed, bool is_automatic)
{
    char folder[PIPELINE_PATH_SIZE], path[PIPELINE_PATH_SIZE + 8];
    size_t size = 0, rows_size = 0;
    char *log = make_log(5, N_LEARNED, 0, &size), *rows = make_log(6, N_SCORED, 0, &rows_size);
    make_folder(folder);
    (void)snprintf(path, sizeof path, "%s/log", folder);
    write_bytes(path, "wb", log, size);
    pipeline_setup setup = {.learner = learner,
        .learner_options = options,
        .is_scaled = is_scaled,
        .is_hashed = is_hashed,
        .is_automatic = is_automatic,
        .path = {path},
        .n_paths = 1,
        .folder = folder};
    pipeline self;
    tw_error error = {0};
    assert_int_equal(pipeline_open(&self, &setup, &error), TW_STATUS_OK);
    tw_status status = tw_engine_run(self.engine, &error);
    if (status < 0)
        print_error("%s %s: %s\n", learner, options, error.message);
    assert_int_equal(status, TW_STATUS_OK);
    tw_score_file_counts counts;
    tw_text file = make_file(self.model, &counts);
    tws_model model;
    assert_int_equal(tws_open(&model, file.bytes, file.size), TWS_OK);
    assert_int_equal(model.version, 12);
    assert_int_equal(model.n_weights, counts.weights);
    comparison found = compare_rows(&self, &model, rows, rows_size);
    if (found.n_other > 0)
        print_error("%s %s%s%s%s: %zu of %zu scores differ\n", learner, options, is_scaled ? ", scaled" : "",
            is_hashed ? ", hashed" : "", is_automatic ? ", automatic" : "", found.n_other, found.n_events);
    assert_int_equal(found.n_other, 0);
    assert_int_equal(found.n_events, N_SCORED);
    tw_text_fini(&file);
    pipeline_close(&self);
    remove_folder(folder);
    free(rows);
    free(log);
}

static void the_scorer_gives_the_bits_of_every_learner_with_a_form(void **state)
{
    static const char *const options[][2] = {{"ftrl", ""}, {"ftrl", "l1=2 alpha=0.5"}, {"ftrl", "half_life=300"},
        {"ftrl", "loss=poisson alpha=0.01"}, {"logistic", ""}, {"logistic", "l1=0.001 l2=0.01"},
        {"logistic", "half_life=300"}, {"linear", ""}, {"linear", "optimizer=adagrad l1=0.0001 l2=0.001 rate=0.01"},
        {"linear", "optimizer=adam rate=0.001"}, {"linear", "optimizer=momentum rate=0.0001"},
        {"kmeans", "k=5 init_events=60 half_life=200"}};
    (void)state;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        bool needs_scale = strstr(options[i][1], "poisson") != NULL; /* e^1000 is no rate */
        for (int form = needs_scale; form < 4; form += 1 + needs_scale)
            scores_equal(options[i][0], options[i][1], form & 1, form & 2, false);
        if (strcmp(options[i][0], "ftrl") == 0 && !needs_scale) /* the others refuse a clock time as a feature */
            scores_equal(options[i][0], options[i][1], false, false, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_equal_xxh3_at_every_length),
        cmocka_unit_test(numbers_are_read_as_the_library_reads_them),
        cmocka_unit_test(a_damaged_file_is_refused_and_one_that_lies_does_no_harm),
        cmocka_unit_test(a_file_of_a_later_format_is_refused_as_such),
        cmocka_unit_test(a_learner_without_a_form_is_refused_with_its_name),
        cmocka_unit_test(every_failing_allocation_of_the_writer_is_an_error),
        cmocka_unit_test(errors_of_an_event_stay_and_say_what_is_wrong),
        cmocka_unit_test(the_scorer_gives_the_bits_of_every_learner_with_a_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
