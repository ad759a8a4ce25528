#include "support/config_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "support/config_catalogue.h"

config_bench config_bind(const char *yaml)
{
    config_bench self = {0};
    tw_error error = {0};
    assert_int_equal(tw_tree_create(&self.tree, &error), TW_STATUS_OK);
    self.status = tw_tree_parse(self.tree, "pipeline.yaml", yaml, strlen(yaml), &self.problems, &error);
    if (self.status == TW_STATUS_OK)
        self.status = tw_pipeline_create(self.tree, &test_catalogue, &self.problems, &self.pipeline, &error);
    assert_int_equal(tw_problems_render(&self.problems, self.tree, &self.text, &error), TW_STATUS_OK);
    if (self.text.bytes == NULL)
        assert_int_equal(tw_text_add(&self.text, "", &error), TW_STATUS_OK);
    return self;
}

void config_bench_fini(config_bench *self)
{
    tw_pipeline_destroy(&self->pipeline);
    tw_problems_fini(&self->problems);
    tw_tree_destroy(&self->tree);
    tw_text_fini(&self->text);
}

void expect_problem(const char *yaml, size_t n, const char *expected)
{
    config_bench self = config_bind(yaml);
    if (self.status != TW_STATUS_CONFIG || self.problems.count != n || strstr(self.text.bytes, expected) == NULL)
        print_message("for:\n%s\nwanted %zu with: %s\ngot:\n%s\n", yaml, n, expected, self.text.bytes);
    assert_int_equal(self.status, TW_STATUS_CONFIG);
    assert_int_equal(self.problems.count, n);
    assert_non_null(strstr(self.text.bytes, expected));
    assert_null(self.pipeline);
    config_bench_fini(&self);
}
