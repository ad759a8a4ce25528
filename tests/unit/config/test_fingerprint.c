#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "config/fingerprint.h"
#include "config/pipeline.h"
#include "support/config_catalogue.h"

static const char base[] = "version: 1\nname: a\nsource: {path: [a], format: csv}\n"
                           "features: {columns: [{field: u, as: categorical}, {field: v, as: categorical}]}\n"
                           "model: {type: ftrl}\ncheckpoint: {dir: d}\n";

static void canonical(const char *yaml, const char *setting, tw_text *out)
{
    tw_tree *tree = NULL;
    tw_problems problems = {0};
    tw_pipeline *pipeline = NULL;
    tw_error error = {0};
    assert_int_equal(tw_tree_create(&tree, NULL), TW_STATUS_OK);
    assert_int_equal(tw_tree_parse(tree, "p", yaml, strlen(yaml), &problems, NULL), TW_STATUS_OK);
    if (setting != NULL)
        assert_int_equal(tw_tree_assign(tree, "-s", setting, &problems, NULL), TW_STATUS_OK);
    if (tw_pipeline_create(tree, &test_catalogue, &problems, &pipeline, &error) != TW_STATUS_OK)
        print_message("%s: %s\n", setting, error.message);
    assert_non_null(pipeline);
    assert_int_equal(tw_pipeline_resolved(pipeline, false, out, NULL), TW_STATUS_OK);
    tw_pipeline_destroy(&pipeline);
    tw_tree_destroy(&tree);
}

static void expect_change(const char *setting, tw_change expected, const char *line)
{
    tw_text before = {0}, after = {0}, diff = {0};
    uint64_t old_print, new_print;
    tw_change change;
    canonical(base, NULL, &before);
    canonical(base, setting, &after);
    assert_int_equal(tw_fingerprint_compare(before.bytes, after.bytes, &change, &diff, NULL), TW_STATUS_OK);
    if (change != expected)
        print_message("%s: %d\n%s\n", setting, (int)change, diff.bytes);
    assert_int_equal(change, expected);
    assert_int_equal(tw_fingerprint(before.bytes, &old_print, NULL), TW_STATUS_OK);
    assert_int_equal(tw_fingerprint(after.bytes, &new_print, NULL), TW_STATUS_OK);
    assert_true((old_print == new_print) == (expected == TW_CHANGE_NONE));
    if (line != NULL)
        assert_string_equal(diff.bytes, line);
    else
        assert_int_equal(diff.size, 0);
    tw_text_fini(&before);
    tw_text_fini(&after);
    tw_text_fini(&diff);
}

static void what_does_not_touch_the_model_may_change(void **state)
{
    (void)state;
    static const char *const settings[] = {NULL, "name=b", "source.path=[x, y]", "source.format=json",
        "source.bad_records.dead_letter=x", "sinks=[{type: predictions, path: o}]", "serve.http=127.0.0.1:80",
        "checkpoint.every.events=7", "engine.batch=9", "publish.require={auc: \"> 0.7\"}",
        "evaluate.drift.detector=adwin", "train.passes=3", "parameter_servers.shards=2", "model.max_bytes=1GiB",
        "features.columns=[{field: v, as: categorical}, {field: u, as: categorical}]"};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        expect_change(settings[i], TW_CHANGE_NONE, NULL);
}

static void added_features_go_on(void **state)
{
    (void)state;
    expect_change("features.columns[2]={field: w, as: set}", TW_CHANGE_COMPATIBLE,
        "features.columns[w as set]: absent -> {field: w, as: set} (added feature: compatible)\n");
    expect_change("features.crosses=[[u, v]]", TW_CHANGE_COMPATIBLE,
        "features.crosses[u, v]: absent -> cross (added feature: compatible)\n");
}

static void changed_learner_options_need_consent(void **state)
{
    (void)state;
    expect_change("model.params.alpha=0.05", TW_CHANGE_NEEDS_ACCEPT,
        "model.params.alpha: 0.1 -> 0.05 (learner option: needs --accept-changes)\n");
}

static void other_changes_of_the_model_are_refused(void **state)
{
    (void)state;
    expect_change(
        "features.hash.seed=1", TW_CHANGE_REFUSED, "features.hash.seed: 0 -> 1 (refused: it changes the model)\n");
    expect_change("label.field=y", TW_CHANGE_REFUSED, "label.field: label -> y (refused: it changes the model)\n");
    expect_change("features.columns=[{field: u, as: categorical}]", TW_CHANGE_REFUSED,
        "features.columns[v as categorical]: {field: v, as: categorical} -> absent (refused: it changes the model)\n");
    expect_change("features.columns[2]={field: w, as: numeric, scale: standard}", TW_CHANGE_REFUSED,
        "features.columns[w as numeric]: absent -> {field: w, as: numeric, scale: standard} (refused: it changes the "
        "model)\n");
    expect_change("model.bits=20", TW_CHANGE_REFUSED,
        "model.table: exact -> hashed (refused: it changes the model)\n"
        "model.bits: absent -> 20 (refused: it changes the model)\n");
}

static void texts_that_are_not_canonical_are_corrupt(void **state)
{
    (void)state;
    tw_change change;
    tw_text diff = {0};
    assert_int_equal(tw_fingerprint_compare("a: [", "a: 1\n", &change, &diff, NULL), TW_STATUS_CORRUPT);
    assert_int_equal(tw_fingerprint_compare("", "- 1\n", &change, &diff, NULL), TW_STATUS_CORRUPT);
    tw_text_fini(&diff);
}

/* Bits 1 features, 2 model, 4 params: which parts differ from those of the base. */
static int parts_that_differ(const char *setting)
{
    tw_text before = {0}, after = {0};
    int differ = 0;
    canonical(base, NULL, &before);
    canonical(base, setting, &after);
    for (int i = TW_FINGERPRINT_FEATURES; i <= TW_FINGERPRINT_PARAMS; i++) {
        uint64_t old_print, new_print;
        assert_int_equal(tw_fingerprint_of(before.bytes, (tw_fingerprint_part)i, &old_print, NULL), TW_STATUS_OK);
        assert_int_equal(tw_fingerprint_of(after.bytes, (tw_fingerprint_part)i, &new_print, NULL), TW_STATUS_OK);
        differ |= (old_print != new_print) << i;
    }
    tw_text_fini(&before);
    tw_text_fini(&after);
    return differ;
}

static void what_differs_is_found_in_its_part(void **state)
{
    (void)state;
    assert_int_equal(parts_that_differ("checkpoint.dir=e"), 0);
    assert_int_equal(parts_that_differ("source.path=b"), 0);
    assert_int_equal(parts_that_differ("features.hash.seed=1"), 1);
    assert_int_equal(parts_that_differ("model.bits=20"), 2);
    assert_int_equal(parts_that_differ("model.params.alpha=0.2"), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_touch_the_model_may_change),
        cmocka_unit_test(added_features_go_on),
        cmocka_unit_test(changed_learner_options_need_consent),
        cmocka_unit_test(other_changes_of_the_model_are_refused),
        cmocka_unit_test(what_differs_is_found_in_its_part),
        cmocka_unit_test(texts_that_are_not_canonical_are_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
