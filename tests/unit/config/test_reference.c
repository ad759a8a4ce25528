#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/fault.h"
#include "config/codes.h"
#include "config/reference.h"
#include "support/config_catalogue.h"

static void codes_are_ascending_and_complete(void **state)
{
    (void)state;
    size_t count;
    const tw_code *codes = tw_codes(&count);
    assert_true(count > 30);
    for (size_t i = 0; i < count; i++) {
        assert_true(codes[i].title[0] != '\0' && codes[i].text[0] != '\0');
        assert_true(codes[i].title_zh[0] != '\0' && codes[i].text_zh[0] != '\0');
        if (i > 0)
            assert_true(strcmp(codes[i - 1].code, codes[i].code) < 0);
    }
    assert_string_equal(tw_code_find("e102")->title, "unknown key");
    assert_null(tw_code_find("E999"));
    assert_null(tw_code_find(""));
}

static void the_reference_names_every_block_and_plugin(void **state)
{
    (void)state;
    static const char *const wanted[] = {"## `checkpoint.every`", "| `keep` | integer | `3` | 1 .. 10000 |",
        "## `features.columns[]`", "### `ftrl`", "| `alpha` | number | `0.1` |", "numeric\\|categorical",
        "| `k` | integer | *required* |"};
    tw_text out = {0};
    assert_int_equal(tw_reference_markdown(&test_catalogue, &out, NULL), TW_STATUS_OK);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (strstr(out.bytes, wanted[i]) == NULL)
            print_message("missing: %s\n", wanted[i]);
        assert_non_null(strstr(out.bytes, wanted[i]));
    }
    tw_text_fini(&out);
}

static void the_schema_is_json_and_knows_every_learner(void **state)
{
    (void)state;
    tw_text out = {0};
    assert_int_equal(tw_reference_json_schema(&test_catalogue, &out, NULL), TW_STATUS_OK);
    json_error_t error;
    json_t *schema = json_loads(out.bytes, JSON_REJECT_DUPLICATES, &error);
    if (schema == NULL)
        print_message("%s at %d\n", error.text, error.position);
    assert_non_null(schema);
    json_t *properties = json_object_get(schema, "properties");
    json_t *learners = json_object_get(json_object_get(properties, "model"), "anyOf");
    assert_int_equal(json_array_size(learners), 3);
    json_t *model = json_object_get(json_array_get(learners, 0), "properties");
    assert_string_equal(json_string_value(json_object_get(json_object_get(model, "type"), "const")), "ftrl");
    json_t *params = json_object_get(json_object_get(model, "params"), "properties");
    assert_non_null(json_object_get(params, "alpha"));
    assert_string_equal(json_string_value(json_array_get(json_object_get(schema, "required"), 0)), "version");
    json_decref(schema);
    tw_text_fini(&out);
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    bool has_passed = false;
    for (uint64_t nth = 1; nth < 200 && !has_passed; nth++) {
        tw_text out = {0};
        tw_fault_arm(TW_FAULT_ALLOC, nth, ENOMEM, false);
        tw_status status = tw_reference_markdown(&test_catalogue, &out, NULL);
        if (status == TW_STATUS_OK)
            status = tw_reference_json_schema(&test_catalogue, &out, NULL);
        has_passed = tw_fault_fired(TW_FAULT_ALLOC) == 0;
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_int_equal(status, has_passed ? TW_STATUS_OK : TW_STATUS_NO_MEMORY);
        tw_text_fini(&out);
    }
    assert_true(has_passed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_ascending_and_complete),
        cmocka_unit_test(the_reference_names_every_block_and_plugin),
        cmocka_unit_test(the_schema_is_json_and_knows_every_learner),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
