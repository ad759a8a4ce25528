/* The generators: same settings same bytes, any starting point, well-formed lines, and a planted model that shows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/hash.h"
#include "generators/click.h"
#include "generators/generator.h"
#include "generators/line.h"
#include "generators/random.h"
#include "generators/templates.h"

static tw_generator *open_kind(const char *kind, const tw_generator_settings *settings)
{
    tw_generator *generator = NULL;
    tw_error error;
    assert_int_equal(tw_generator_open(kind, settings, &generator, &error), TW_STATUS_OK);
    return generator;
}

static size_t next_line(tw_generator *generator, char *line)
{
    size_t size = 0;
    assert_int_equal(tw_generator_next(generator, line, TW_GENERATOR_LINE_SIZE, &size, NULL), TW_STATUS_OK);
    assert_true(size > 0 && size < TW_GENERATOR_LINE_SIZE);
    assert_int_equal(line[size - 1], '\n');
    line[size - 1] = '\0';
    return size - 1;
}

static uint64_t hash_of_stream(const char *kind, const tw_generator_settings *settings, unsigned n_lines)
{
    char line[TW_GENERATOR_LINE_SIZE];
    uint64_t hash = 0;
    tw_generator *generator = open_kind(kind, settings);
    for (unsigned i = 0; i < n_lines; i++) {
        size_t size = next_line(generator, line);
        hash = tw_hash_seeded(line, size, hash);
    }
    tw_generator_close(&generator);
    assert_null(generator);
    return hash;
}

static void every_kind_gives_the_bytes_that_its_seed_always_gave(void **state)
{
    static const uint64_t EXPECTED[] = {0x6b6790c88cce4285, 0x4aaa9b380d88249a, 0xdb6654dfb9e4f10f, 0x0a799aee29fbc3f2};
    (void)state;
    tw_generator_settings settings = tw_generator_defaults();
    for (size_t i = 0; tw_generator_kind_at(i); i++) {
        assert_true(i < sizeof EXPECTED / sizeof *EXPECTED);
        const char *name = tw_generator_kind_at(i)->name;
        uint64_t hash = hash_of_stream(name, &settings, 2000);
        if (hash != EXPECTED[i]) {
            fail_msg("%s: 2000 lines hash to 0x%016llx", name, (unsigned long long)hash);
        }
    }
}

static void another_seed_gives_another_stream(void **state)
{
    (void)state;
    tw_generator_settings one = tw_generator_defaults(), other = one;
    other.seed = 2;
    for (size_t i = 0; tw_generator_kind_at(i); i++) {
        const char *name = tw_generator_kind_at(i)->name;
        assert_true(hash_of_stream(name, &one, 20) != hash_of_stream(name, &other, 20));
    }
}

static void a_stream_started_in_the_middle_goes_on_as_the_whole_one(void **state)
{
    (void)state;
    char whole[TW_GENERATOR_LINE_SIZE], part[TW_GENERATOR_LINE_SIZE];
    tw_generator_settings from_start = tw_generator_defaults(), from_middle = from_start;
    from_middle.first = 100;
    tw_generator *one = open_kind("clicks", &from_start), *other = open_kind("clicks", &from_middle);
    for (unsigned i = 0; i < 100; i++) {
        next_line(one, whole);
    }
    for (unsigned i = 0; i < 10; i++) {
        next_line(one, whole);
        next_line(other, part);
        assert_string_equal(whole, part);
    }
    tw_generator_close(&one);
    tw_generator_close(&other);
}

static void drift_changes_nothing_before_its_first_epoch_and_labels_after_it(void **state)
{
    (void)state;
    tw_generator_settings calm = tw_generator_defaults(), drifting = calm;
    drifting.drift_every = 500;
    unsigned n_different[2] = {0, 0};
    for (uint64_t i = 0; i < 1000; i++) {
        tw_click one, other;
        tw_click_draw(&calm, i, &one);
        tw_click_draw(&drifting, i, &other);
        n_different[i / 500] += one.probability != other.probability;
    }
    assert_int_equal(n_different[0], 0);
    assert_true(n_different[1] > 100);
}

static void clicks_come_as_often_as_the_planted_model_says(void **state)
{
    (void)state;
    tw_generator_settings settings = tw_generator_defaults();
    double expected = 0, variance = 0, clicks = 0, logloss = 0;
    enum { N = 20000 };
    for (uint64_t i = 0; i < N; i++) {
        tw_click click;
        tw_click_draw(&settings, i, &click);
        double p = click.probability;
        expected += p;
        variance += p * (1 - p);
        clicks += click.is_clicked;
        logloss -= log(click.is_clicked ? p : 1 - p);
    }
    assert_true(fabs(clicks - expected) < 4 * sqrt(variance));
    double base = clicks / N, entropy = -(base * log(base) + (1 - base) * log(1 - base));
    assert_true(base > 0.1 && base < 0.4);
    assert_true(logloss / N < 0.85 * entropy);
}

static void the_header_of_the_table_comes_once(void **state)
{
    (void)state;
    char line[TW_GENERATOR_LINE_SIZE];
    tw_generator_settings settings = tw_generator_defaults();
    tw_generator *generator = open_kind("csv", &settings);
    next_line(generator, line);
    assert_string_equal(line, "customer,age,income,tenure,calls,plan,region,channel,left");
    for (unsigned i = 0; i < 50; i++) {
        next_line(generator, line);
        assert_int_equal(line[0], 'c');
        assert_true(line[1] >= '1' && line[1] <= '9');
    }
    tw_generator_close(&generator);
}

static void an_unknown_kind_is_refused_with_the_names_that_exist(void **state)
{
    (void)state;
    tw_generator_settings settings = tw_generator_defaults();
    tw_generator *generator = NULL;
    tw_error error = {0};
    assert_int_equal(tw_generator_open("klicks", &settings, &generator, &error), TW_STATUS_NOT_FOUND);
    assert_null(generator);
    assert_non_null(strstr(error.message, "klicks"));
    assert_non_null(strstr(error.message, "clicks, sensors, csv, vw"));
}

static void a_step_of_zero_and_a_short_buffer_are_refused(void **state)
{
    (void)state;
    tw_generator_settings settings = tw_generator_defaults();
    tw_generator *generator = NULL;
    tw_error error = {0};
    settings.step_ms = 0;
    assert_int_equal(tw_generator_open("clicks", &settings, &generator, &error), TW_STATUS_INVALID);
    generator = open_kind("clicks", &(tw_generator_settings){.step_ms = 1});
    char line[TW_GENERATOR_LINE_SIZE];
    size_t size = 0;
    assert_int_equal(tw_generator_next(generator, line, TW_GENERATOR_LINE_SIZE - 1, &size, &error), TW_STATUS_INVALID);
    tw_generator_close(&generator);
}

static void the_exponential_agrees_with_the_system_one(void **state)
{
    (void)state;
    for (double x = -30; x < 30; x += 0.37) {
        assert_true(fabs(tw_generator_exp(x) / exp(x) - 1) < 4e-15);
    }
    assert_true(tw_generator_sigmoid(-1e9) >= 0 && tw_generator_sigmoid(1e9) <= 1);
    assert_true(tw_generator_sigmoid(0) == 0.5);
}

static void bell_shaped_numbers_have_mean_zero_and_variance_one(void **state)
{
    (void)state;
    tw_random random = tw_random_of(7, 0, 0);
    double sum = 0, squares = 0;
    enum { N = 40000 };
    for (unsigned i = 0; i < N; i++) {
        double x = tw_random_bell(&random);
        assert_true(fabs(x) < 5);
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / N) < 0.02);
    assert_true(fabs(squares / N - 1) < 0.03);
}

static void fixed_decimals_are_written_with_sign_and_leading_zero(void **state)
{
    static const struct {
        int64_t scaled;
        unsigned decimals;
        const char *text;
    } CASES[] = {{0, 0, "0"}, {0, 2, "0.00"}, {5, 2, "0.05"}, {-5, 2, "-0.05"}, {1234, 2, "12.34"}, {-1234, 0, "-1234"},
        {INT64_MIN, 0, "-9223372036854775808"}};
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char bytes[32];
        tw_line text = {bytes, sizeof bytes, 0};
        tw_line_add_fixed(&text, CASES[i].scaled, CASES[i].decimals);
        bytes[text.size] = '\0';
        assert_string_equal(bytes, CASES[i].text);
    }
}

static void text_that_does_not_fit_is_counted_but_not_written(void **state)
{
    (void)state;
    char bytes[4] = {'x', 'x', 'x', 'x'};
    tw_line text = {bytes, 3, 0};
    tw_line_add(&text, "abcd");
    assert_int_equal(text.size, 4);
    assert_memory_equal(bytes, "xxxx", 4);
}

static void every_template_has_a_pipeline_a_readme_and_a_known_generator(void **state)
{
    (void)state;
    size_t n_templates = 0;
    for (; tw_template_at(n_templates); n_templates++) {
        const tw_template *template = tw_template_at(n_templates);
        tw_generator_settings settings = tw_generator_defaults();
        tw_generator *generator = open_kind(template->generator, &settings);
        tw_generator_close(&generator);
        bool has_pipeline = false, has_readme = false;
        for (size_t i = 0; i < template->n_files; i++) {
            const tw_template_file *file = &template->files[i];
            assert_true(file->size > 0);
            assert_int_equal(file->bytes[file->size - 1], '\n');
            has_pipeline = has_pipeline || strcmp(file->name, "pipeline.yaml") == 0;
            has_readme = has_readme || strcmp(file->name, "README.md") == 0;
        }
        assert_true(has_pipeline && has_readme);
    }
    assert_int_equal(n_templates, 5);
    assert_null(tw_template_find("unknown"));
    assert_string_equal(tw_template_find("sensors")->name, "sensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_gives_the_bytes_that_its_seed_always_gave),
        cmocka_unit_test(another_seed_gives_another_stream),
        cmocka_unit_test(a_stream_started_in_the_middle_goes_on_as_the_whole_one),
        cmocka_unit_test(drift_changes_nothing_before_its_first_epoch_and_labels_after_it),
        cmocka_unit_test(clicks_come_as_often_as_the_planted_model_says),
        cmocka_unit_test(the_header_of_the_table_comes_once),
        cmocka_unit_test(an_unknown_kind_is_refused_with_the_names_that_exist),
        cmocka_unit_test(a_step_of_zero_and_a_short_buffer_are_refused),
        cmocka_unit_test(the_exponential_agrees_with_the_system_one),
        cmocka_unit_test(bell_shaped_numbers_have_mean_zero_and_variance_one),
        cmocka_unit_test(fixed_decimals_are_written_with_sign_and_leading_zero),
        cmocka_unit_test(text_that_does_not_fit_is_counted_but_not_written),
        cmocka_unit_test(every_template_has_a_pipeline_a_readme_and_a_known_generator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
