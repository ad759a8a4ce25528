/* Facets: the value that each event has in the fields that evaluation asks for, in every format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/log.h"
#include "data/plan.h"
#include "thalweg/learner.h"

#define TW_FORMAT(name) extern const tw_format_ops tw_format_##name;
#include "formats/formats.def"
#undef TW_FORMAT

enum { MAX_EVENTS = 8 };

/* What the events have as facets, each as "first,second;", "-" for none. */
static void decode(const tw_format_ops *ops,
    const tw_column_spec *column,
    uint32_t n_columns,
    const char *const *names,
    const char *text,
    char *out)
{
    tw_plan *plan = NULL;
    tw_builder *builder = NULL;
    tw_spellings *spellings = NULL;
    tw_option_values *options = NULL;
    tw_error error = {0};
    tw_plan_spec spec = {.column = column, .n_columns = n_columns, .label_kind = TW_LABEL_BINARY};
    assert_int_equal(tw_plan_create(&spec, &plan, NULL), TW_STATUS_OK);
    assert_int_equal(tw_spellings_create(2, 16, &spellings, NULL), TW_STATUS_OK);
    assert_int_equal(tw_plan_set_facets(plan, names, 2, spellings, 2, NULL), TW_STATUS_OK);
    assert_int_equal(tw_builder_create(MAX_EVENTS, 0, &builder, NULL), TW_STATUS_OK);
    assert_int_equal(tw_builder_set_facets(builder, 2, NULL), TW_STATUS_OK);
    tw_builder_reset(builder, 1, 0, 0);
    assert_int_equal(tw_option_values_create(ops->options, &options, NULL), TW_STATUS_OK);
    void *state = tw_alloc_aligned(64, ops->state_size(options) + 64);
    assert_int_equal(ops->open(state, options, plan, tw_host_default(), &error), TW_STATUS_OK);
    size_t size = strlen(text);
    uint64_t offset = 0, line = 0;
    if (ops->start != NULL)
        assert_int_equal(ops->start(state, text, size, true, &offset, &line, &error), TW_STATUS_OK);
    tw_cursor cursor = {.at = text + offset, .end = text + size, .offset = offset, .line = line + 1, .is_final = true};
    assert_true(ops->decode(state, &cursor, builder, &error) >= 0);
    tw_batch batch = tw_builder_batch(builder);
    out[0] = '\0';
    for (uint32_t i = 0; i < batch.n_events * 2; i++) {
        char *value = tw_spellings_copy(spellings, i % 2, batch.facet[i]);
        (void)strcat(out, value != NULL ? value : batch.facet[i] == 0 ? "-" : "?");
        (void)strcat(out, i % 2 == 0 ? "," : ";");
        tw_free(value);
    }
    ops->close(state);
    tw_free(state);
    tw_option_values_destroy(&options);
    tw_spellings_destroy(&spellings);
    tw_builder_destroy(&builder);
    tw_plan_destroy(&plan);
}

static const char *const country_hour[] = {"country", "hour"};

static void texts_and_numbers_of_an_automatic_plan_are_facets(void **state)
{
    (void)state;
    char out[400];
    decode(&tw_format_json, NULL, 0, country_hour,
        "{\"label\":1,\"country\":\"de\",\"hour\":7}\n{\"label\":0,\"hour\":true}\n"
        "{\"label\":1,\"country\":[\"fr\",\"us\"],\"hour\":7.5}\n",
        out);
    assert_string_equal(out, "de,7;-,true;fr,7.5;");
    decode(&tw_format_csv, NULL, 0, country_hour, "label,country,hour\n1,de,7\n0,,\n1,\"f,r\",0\n", out);
    assert_string_equal(out, "de,7;-,-;f,r,0;");
}

static void a_field_that_is_no_feature_is_a_facet_and_adds_no_entry(void **state)
{
    (void)state;
    char out[400];
    const tw_column_spec columns[] = {
        {.field = "x", .kind = TW_COLUMN_NUMERIC}, {.field = "hour", .kind = TW_COLUMN_IGNORE}};
    decode(&tw_format_json, columns, 2, country_hour,
        "{\"label\":1,\"x\":2,\"country\":\"de\",\"hour\":7}\n{\"label\":0,\"x\":1}\n", out);
    assert_string_equal(out, "de,7;-,-;");
    decode(&tw_format_csv, columns, 2, country_hour, "label,country,hour,x\n1,de,7,1\n", out);
    assert_string_equal(out, "de,7;");
    decode(&tw_format_vw, columns, 2, country_hour, "1 |country de |hour seven\n", out);
    assert_string_equal(out, "de,seven;");
}

static void declared_columns_are_facets(void **state)
{
    (void)state;
    char out[400];
    const tw_column_spec columns[] = {
        {.field = "hour", .kind = TW_COLUMN_NUMERIC}, {.field = "country", .kind = TW_COLUMN_SET, .separator = ' '}};
    decode(&tw_format_json, columns, 2, country_hour, "{\"label\":1,\"country\":\"de fr\",\"hour\":7}\n", out);
    assert_string_equal(out, "de,7;");
}

static void a_namespace_or_an_index_is_a_facet_where_there_are_no_fields(void **state)
{
    (void)state;
    char out[400];
    const char *const names[] = {"country", "12"};
    decode(&tw_format_vw, NULL, 0, names, "1 |country de fr |x 12 13:2\n0 | 12:2.5\n0 |country a:0\n", out);
    assert_string_equal(out, "de,-;-,2.5;a,-;");
    decode(&tw_format_libsvm, NULL, 0, names, "1 12:3 13:1\n0 13:1\n", out);
    assert_string_equal(out, "-,3;-,-;");
}

static void a_malformed_record_leaves_no_facets_behind(void **state)
{
    (void)state;
    char out[400];
    decode(&tw_format_json, NULL, 0, country_hour,
        "{\"label\":1,\"country\":\"de\",\"hour\":7,}\n{\"label\":0,\"country\":\"fr\"}\n", out);
    assert_string_equal(out, "fr,-;");
}

static void label_weight_and_time_cannot_be_facets(void **state)
{
    (void)state;
    const char *const names[] = {"y"};
    tw_plan *plan = NULL;
    tw_error error = {0};
    tw_plan_spec spec = {.label_field = "y", .label_kind = TW_LABEL_BINARY};
    assert_int_equal(tw_plan_create(&spec, &plan, NULL), TW_STATUS_OK);
    assert_int_equal(tw_plan_set_facets(plan, names, 1, NULL, 0, &error), TW_STATUS_INVALID);
    assert_non_null(strstr(error.message, "\"y\""));
    tw_plan_destroy(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_numbers_of_an_automatic_plan_are_facets),
        cmocka_unit_test(a_field_that_is_no_feature_is_a_facet_and_adds_no_entry),
        cmocka_unit_test(declared_columns_are_facets),
        cmocka_unit_test(a_namespace_or_an_index_is_a_facet_where_there_are_no_fields),
        cmocka_unit_test(a_malformed_record_leaves_no_facets_behind),
        cmocka_unit_test(label_weight_and_time_cannot_be_facets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
