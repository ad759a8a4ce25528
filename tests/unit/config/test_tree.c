#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "config/tree.h"

static const char *lookup(void *context, const char *name)
{
    (void)context;
    return strcmp(name, "HOST") == 0 ? "example" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static tw_tree *parse(const char *yaml, tw_problems *problems)
{
    tw_tree *tree = NULL;
    assert_int_equal(tw_tree_create(&tree, NULL), TW_STATUS_OK);
    tree->lookup = lookup;
    tw_status status = tw_tree_parse(tree, "p.yaml", yaml, strlen(yaml), problems, NULL);
    assert_true(status == TW_STATUS_OK || problems->count > 0);
    return tree;
}

static void expect_text(const char *yaml, const char *path, const char *value)
{
    tw_problems problems = {0};
    tw_tree *tree = parse(yaml, &problems);
    assert_int_equal(problems.count, 0);
    const tw_node *node = tw_tree_find(tree, path);
    assert_non_null(node);
    assert_string_equal(node->text, value);
    tw_tree_destroy(&tree);
}

static void expect_problem(const char *yaml, uint64_t line, uint64_t column, const char *code, const char *message)
{
    tw_problems problems = {0};
    tw_tree *tree = parse(yaml, &problems);
    assert_true(problems.count > 0);
    const tw_error *error = &problems.item[0].error;
    if (strstr(error->message, message) == NULL || error->line != line || error->column != column)
        print_message(
            "got %llu:%llu %s\n", (unsigned long long)error->line, (unsigned long long)error->column, error->message);
    assert_non_null(strstr(error->message, message));
    assert_string_equal(error->code, code);
    assert_int_equal(error->line, line);
    assert_int_equal(error->column, column);
    tw_problems_fini(&problems);
    tw_tree_destroy(&tree);
}

static void variables_are_replaced_inside_scalars(void **state)
{
    (void)state;
    expect_text("a: tcp://${HOST}:80\n", "a", "tcp://example:80");
    expect_text("a: '${NONE:5}x${EMPTY:y}'\n", "a", "5x");
    expect_text("a: ${NONE:}\n", "a", "");
    expect_text("a: $${HOST} $5\n", "a", "${HOST} $5");
    expect_problem("b: 1\na: ${NONE}\n", 2, 4, "E111", "NONE is not set");
    expect_problem("a: ${HOST\n", 1, 4, "E111", "is not a variable");
    expect_problem("a: ${1X}\n", 1, 4, "E111", "is not a variable");
}

static void yaml_features_that_hide_meaning_are_refused(void **state)
{
    (void)state;
    expect_problem("a: &x 1\n", 1, 4, "E106", "anchors");
    expect_problem("a: *x\n", 1, 4, "E106", "aliases");
    expect_problem("a: !!int 1\n", 1, 4, "E106", "tags");
    expect_problem("a: !t {b: 1}\n", 1, 4, "E106", "tags");
    expect_problem("a: {<<: {b: 1}}\n", 1, 5, "E106", "merge keys");
    expect_problem("a: 1\n---\nb: 1\n", 2, 1, "E101", "second document");
    expect_problem("? [a]\n: 1\n", 1, 3, "E101", "key must be");
    expect_problem("- a\n", 1, 1, "E103", "expected a map");
}

static void broken_yaml_names_its_place(void **state)
{
    (void)state;
    expect_problem("a: 1\nb: [1, 2\nc: 3\n", 3, 2, "E101", "not YAML");
    expect_problem("a: \"x\n", 2, 1, "E101", "not YAML");
    expect_problem("a:\n\tb: 1\n", 2, 1, "E101", "not YAML");
    expect_problem("a: \"x\\0y\"\n", 1, 4, "E101", "zero byte");
}

static void duplicate_keys_are_errors(void **state)
{
    (void)state;
    expect_problem("a: 1\nb: 2\na: 3\n", 3, 1, "E112", "\"a\" is given twice");
    expect_problem("a: {b: 1, b: 2}\n", 1, 11, "E112", "\"b\" is given twice");
}

static void depth_size_and_count_are_bounded(void **state)
{
    (void)state;
    char deep[256] = "a: ";
    for (size_t i = 0; i < 40; i++)
        strcat(deep, "[");
    expect_problem(deep, 1, 35, "E108", "nested deeper than 32 levels");
    size_t size = TW_TREE_MAX_BYTES + 2;
    char *big = malloc(size);
    memset(big, '#', size);
    big[size - 1] = '\0';
    expect_problem(big, 0, 0, "E108", "more than the limit 1048576");
    size_t n = (size_t)sprintf(big, "a: [");
    while (n < 2 * (TW_TREE_MAX_NODES + 10))
        n += (size_t)sprintf(big + n, "1,");
    big[n++] = ']';
    big[n] = '\0';
    tw_problems problems = {0};
    tw_tree *tree = parse(big, &problems);
    assert_string_equal(problems.item[0].error.code, "E108");
    tw_problems_fini(&problems);
    tw_tree_destroy(&tree);
    free(big);
}

static void store(const char *name, const char *text)
{
    char path[256];
    assert_int_equal(tw_directory_create("tree_test/sub", NULL), TW_STATUS_OK);
    (void)snprintf(path, sizeof path, "tree_test/%s", name);
    assert_int_equal(tw_file_store(path, text, strlen(text), NULL), TW_STATUS_OK);
}

static void included_files_lose_against_the_including_one(void **state)
{
    (void)state;
    store("sub/low.yaml", "a: low\nb: low\nm: {x: low, y: low}\n");
    store("sub/mid.yaml", "include: low.yaml\nb: mid\nc: mid\n");
    store("top.yaml", "include: [sub/mid.yaml]\nc: top\nm: {y: top}\n");
    tw_tree *tree = NULL;
    tw_problems problems = {0};
    assert_int_equal(tw_tree_create(&tree, NULL), TW_STATUS_OK);
    assert_int_equal(tw_tree_load(tree, "tree_test/top.yaml", &problems, NULL), TW_STATUS_OK);
    assert_int_equal(problems.count, 0);
    assert_string_equal(tw_tree_find(tree, "a")->text, "low");
    assert_string_equal(tw_tree_find(tree, "b")->text, "mid");
    assert_string_equal(tw_tree_find(tree, "c")->text, "top");
    assert_string_equal(tw_tree_find(tree, "m.x")->text, "low");
    assert_string_equal(tw_tree_find(tree, "m.y")->text, "top");
    tw_place place = tw_tree_find(tree, "b")->place;
    assert_string_equal(tw_tree_origin_name(tree, place.origin), "tree_test/sub/mid.yaml");
    assert_int_equal(place.line, 2);
    tw_tree_destroy(&tree);
}

static void circles_and_missing_files_are_named_where_they_are_included(void **state)
{
    (void)state;
    store("c1.yaml", "a: 1\ninclude: [c2.yaml, nowhere.yaml]\n");
    store("c2.yaml", "include: [c1.yaml]\n");
    tw_tree *tree = NULL;
    tw_problems problems = {0};
    assert_int_equal(tw_tree_create(&tree, NULL), TW_STATUS_OK);
    assert_int_equal(tw_tree_load(tree, "tree_test/c1.yaml", &problems, NULL), TW_STATUS_OK);
    assert_int_equal(problems.count, 2);
    assert_string_equal(problems.item[0].error.code, "E109");
    assert_string_equal(problems.item[0].error.file, "tree_test/c2.yaml");
    assert_string_equal(problems.item[1].error.code, "E100");
    assert_string_equal(problems.item[1].error.file, "tree_test/c1.yaml");
    assert_int_equal(problems.item[1].error.column, 20);
    tw_problems_fini(&problems);
    assert_int_equal(tw_tree_load(tree, "tree_test/absent.yaml", &problems, NULL), TW_STATUS_NOT_FOUND);
    assert_non_null(strstr(problems.item[0].error.message, "absent.yaml"));
    tw_problems_fini(&problems);
    tw_tree_destroy(&tree);
}

static void flags_that_are_not_utf8_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe4\xb8"};
    for (size_t i = 0; i < 5; i++) {
        tw_problems problems = {0};
        tw_tree *tree = parse("a: 1\n", &problems);
        assert_int_equal(tw_tree_set(tree, "b", bad[i], "--x", &problems, NULL), TW_STATUS_OK);
        assert_int_equal(problems.count, 1);
        assert_int_equal(tw_tree_set(tree, "b", "\xe4\xb8\xad", "--x", &problems, NULL), TW_STATUS_OK);
        assert_int_equal(problems.count, 1);
        tw_problems_fini(&problems);
        tw_tree_destroy(&tree);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_replaced_inside_scalars),
        cmocka_unit_test(yaml_features_that_hide_meaning_are_refused),
        cmocka_unit_test(broken_yaml_names_its_place),
        cmocka_unit_test(duplicate_keys_are_errors),
        cmocka_unit_test(depth_size_and_count_are_bounded),
        cmocka_unit_test(included_files_lose_against_the_including_one),
        cmocka_unit_test(circles_and_missing_files_are_named_where_they_are_included),
        cmocka_unit_test(flags_that_are_not_utf8_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
