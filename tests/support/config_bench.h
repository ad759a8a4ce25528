/* config_bench.h: a pipeline file bound with the plug-ins of config_catalogue.h, and what is said of it. */
#ifndef TW_SUPPORT_CONFIG_BENCH_H
#define TW_SUPPORT_CONFIG_BENCH_H

#include "config/pipeline.h"

typedef struct config_bench {
    tw_tree *tree;
    tw_problems problems;
    tw_pipeline *pipeline;
    tw_text text;
    tw_status status;
} config_bench;

/* `text` are the rendered problems, "" without any. Release with config_bench_fini. */
config_bench config_bind(const char *yaml);
void config_bench_fini(config_bench *self);

/* Asserts that `yaml` fails with `n` problems and the text `expected` somewhere in their messages. */
void expect_problem(const char *yaml, size_t n, const char *expected);

#endif
