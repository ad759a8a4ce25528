/* The figures by name, and that a pipeline may ask for each of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/schema.h"
#include "engine/figures.h"

static const char *choices_of_metrics(void)
{
    for (const tw_config_child *child = tw_config_root()->children; child->name != NULL; child++) {
        for (const tw_option *option = strcmp(child->name, "evaluate") == 0 ? child->block->options : NULL;
             option != NULL && option->name != NULL; option++) {
            if (strcmp(option->name, "metrics") == 0)
                return option->choices;
        }
    }
    return NULL;
}

static void the_choices_of_evaluate_metrics_are_the_table_and_the_calibration_table(void **state)
{
    (void)state;
    char expected[1024] = "";
    size_t n_figures = 0;
    const tw_figure_entry *figure = tw_figure_table(&n_figures);
    for (size_t i = 0; i < n_figures; i++) {
        (void)strcat(expected, figure[i].name);
        (void)strcat(expected, "|");
    }
    (void)strcat(expected, "calibration_table");
    assert_string_equal(choices_of_metrics(), expected);
}

static void every_figure_is_found_by_its_name_and_fits_a_set(void **state)
{
    (void)state;
    size_t n_figures = 0;
    const tw_figure_entry *figure = tw_figure_table(&n_figures);
    assert_true(n_figures < 63);
    for (size_t i = 0; i < n_figures; i++) {
        assert_ptr_equal(tw_figure_find(figure[i].name), &figure[i]);
        for (size_t k = 0; k < i; k++)
            assert_true(strcmp(figure[i].metric, figure[k].metric) != 0 && figure[i].offset != figure[k].offset);
    }
    assert_null(tw_figure_find("rank"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_choices_of_evaluate_metrics_are_the_table_and_the_calibration_table),
        cmocka_unit_test(every_figure_is_found_by_its_name_and_fits_a_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
