#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"
#include "support/config_bench.h"
#include "support/config_catalogue.h"

static const char good[] = "version: 1\n"
                           "name: ctr\n"
                           "source:\n"
                           "  type: file\n"
                           "  path: [clicks.jsonl, \"more, clicks.jsonl\"]\n"
                           "  follow: true\n"
                           "  format: json\n"
                           "  rate: 50_000/s\n"
                           "  time: {field: ts, unit: ms}\n"
                           "  bad_records: {action: skip, limit: 0.1%, dead_letter: bad.jsonl}\n"
                           "features:\n"
                           "  hash: {seed: 7}\n"
                           "  columns:\n"
                           "    - {field: user, as: categorical}\n"
                           "    - {field: site, as: categorical}\n"
                           "    - {field: cat, as: set, separator: \"|\"}\n"
                           "    - {field: price, as: numeric, transform: log1p, scale: standard, missing: 0}\n"
                           "    - {as: constant}\n"
                           "  crosses: [[user, cat], [site, user, cat]]\n"
                           "label: {field: click, positive: [1, \"true\"], weight: w}\n"
                           "model:\n"
                           "  type: ftrl\n"
                           "  params: {alpha: 0.05, l1: 1}\n"
                           "parameter_servers: {shards: 2, bind: [\"tcp://127.0.0.1:7101\", \"ipc://s2\"]}\n"
                           "checkpoint: {dir: ckpt/ctr, every: {events: 500_000, time: 60s}, keep: 5}\n"
                           "sinks: [{type: predictions, path: out.txt}]\n"
                           "serve: {zmq: \"tcp://127.0.0.1:5560\", http: \"127.0.0.1:8080\"}\n"
                           "publish: {require: {auc: \">= 0.7\"}}\nevaluate: {drift: {detector: adwin}}\n"
                           "engine: {batch: 64, max_latency: 2ms}\n";

#define SMALL "version: 1\nsource: {path: [a], format: json}\nmodel: {type: ftrl}\n"

static void a_full_pipeline_becomes_typed_values(void **state)
{
    (void)state;
    config_bench self = config_bind(good);
    if (self.status != TW_STATUS_OK)
        print_message("%s\n", self.text.bytes);
    assert_int_equal(self.status, TW_STATUS_OK);
    const tw_pipeline *p = self.pipeline;
    assert_string_equal(p->name, "ctr");
    assert_int_equal(p->n_sources, 1);
    assert_string_equal(p->source[0].type, "file");
    assert_int_equal(tw_option_count(p->source[0].options, "path"), 2);
    assert_string_equal(tw_option_item(p->source[0].options, "path", 1), "more, clicks.jsonl");
    assert_true(tw_option_bool(p->source[0].options, "follow"));
    assert_string_equal(p->source[0].format, "json");
    assert_true(p->source[0].events_per_s == 50000.0);
    assert_string_equal(p->source[0].time_field, "ts");
    assert_int_equal(p->source[0].time_unit, TW_PIPELINE_TIME_MS);
    assert_true(p->source[0].bad_limit == 0.001);
    assert_string_equal(p->source[0].dead_letter, "bad.jsonl");
    assert_int_equal(p->hash_seed, 7);
    assert_int_equal(p->n_columns, 5);
    assert_int_equal(p->column[2].separator, '|');
    assert_true(p->column[3].is_log1p && p->column[3].is_scaled && p->column[3].has_missing);
    assert_int_equal(p->column[4].kind, TW_PIPELINE_CONSTANT);
    assert_int_equal(p->n_crosses, 2);
    assert_string_equal(p->cross[1].field[2], "cat");
    assert_int_equal(p->positive.count, 2);
    assert_string_equal(p->positive.item[0], "1");
    assert_string_equal(p->weight_field, "w");
    assert_true(tw_option_real(p->learner_options, "alpha") == 0.05);
    assert_true(tw_option_real(p->learner_options, "beta") == 1.0);
    assert_false(p->is_hashed);
    assert_int_equal(p->shards, 2);
    assert_string_equal(p->bind.item[1], "ipc://s2");
    assert_int_equal(p->checkpoint_events, 500000);
    assert_int_equal(p->checkpoint_us, 60000000);
    assert_int_equal(p->checkpoint_keep, 5);
    assert_string_equal(tw_option_text(p->sink[0].options, "path"), "out.txt");
    assert_int_equal(p->batch_events, 64);
    assert_int_equal(p->max_latency_us, 2000);
    assert_int_equal(p->passes, 1);
    config_bench_fini(&self);
}

static void texts_are_never_guessed_to_be_something_else(void **state)
{
    (void)state;
    config_bench self =
        config_bind("version: 1\nname: no\nsource: {path: [007, 1e3], format: json}\nmodel: {type: ftrl}\n"
                    "label: {field: y, positive: [yes, 0x1F]}\n");
    assert_int_equal(self.status, TW_STATUS_OK);
    assert_string_equal(self.pipeline->name, "no");
    assert_string_equal(tw_option_item(self.pipeline->source[0].options, "path", 0), "007");
    assert_string_equal(tw_option_item(self.pipeline->source[0].options, "path", 1), "1e3");
    assert_string_equal(self.pipeline->positive.item[1], "0x1F");
    config_bench_fini(&self);
}

static void booleans_accept_only_true_and_false(void **state)
{
    (void)state;
    expect_problem("version: 1\nsource: {path: [a], format: json, follow: yes}\nmodel: {type: ftrl}\n", 1,
        "source.follow: expected true or false, found \"yes\"");
}

static void errors_are_shown_all_at_once_with_line_caret_and_hint(void **state)
{
    (void)state;
    config_bench self = config_bind("version: 1\n"
                                    "source:\n"
                                    "  type: kafka\n"
                                    "  format: json\n"
                                    "  features:\n"
                                    "    columns: []\n"
                                    "model:\n"
                                    "  type: ftrl\n"
                                    "  params: {alhpa: 0.1, beta: 1.0}\n");
    assert_string_equal(self.text.bytes,
        "pipeline.yaml:3:9: error[E131]: source.type: kafka is not installed here\n"
        "    3 |   type: kafka\n"
        "      |         ^~~~~\n"
        "      = hint: available now: file, stdin\n"
        "pipeline.yaml:9:12: error[E102]: model.params.alhpa: unknown key\n"
        "    9 |   params: {alhpa: 0.1, beta: 1.0}\n"
        "      |            ^~~~~ did you mean \"alpha\"? ftrl takes alpha, beta, l1, l2\n"
        "2 errors. Nothing was started.\n");
    config_bench_fini(&self);
}

static void a_key_at_the_wrong_indent_is_told_where_it_belongs(void **state)
{
    (void)state;
    expect_problem(
        "version: 1\nsource:\n  path: [a]\n  format: json\n  features:\n    dense: true\nmodel: {type: ftrl}\n", 1,
        "pipeline.yaml:5:3: error[E110]: source: \"features\" belongs one level up (column 1)\n");
    expect_problem(
        "version: 1\nsource: {path: [a], format: json}\nmodel:\n  type: ftrl\n  params:\n    table: hashed\n", 1,
        "model.params: \"table\" belongs one level up (column 3)");
    expect_problem("version: 1\nsource: {path: [a], format: json}\nmodel: {type: ftrl, alpha: 1}\n", 1,
        "model.alpha: unknown key");
    expect_problem("version: 1\nsource: {path: [a], format: json}\nmodel: {type: ftrl, alpha: 1}\n", 1,
        "it belongs into \"params\"");
}

static void wrong_values_name_value_and_limit(void **state)
{
    (void)state;
    expect_problem("version: 2\nsource: {path: [a], format: json}\nmodel: {type: ftrl}\n", 1,
        "error[E104]: version: 2 is above the limit 1");
    expect_problem("version: 1\nsource: {path: [a], format: json}\nmodel: {type: ftrl, params: {alpha: fast}}\n", 1,
        "error[E103]: model.params.alpha: expected a number, found \"fast\"");
    expect_problem("version: 1\nsource: {path: [a], format: json}\nmodel: {type: ftrl, params: {l1: -1}}\n", 1,
        "error[E104]: model.params.l1: -1 is below the limit 0");
    expect_problem(SMALL "checkpoint: 5\n", 1, "checkpoint: expected a map of keys, found a single value");
    expect_problem(SMALL "checkpoint: {dir: }\n", 2, "checkpoint.dir: no value is given");
    expect_problem(SMALL "sinks: {type: predictions}\n", 1, "sinks: expected a list of maps, found a map");
    expect_problem(SMALL "features: {columns: [price]}\n", 1,
        "features.columns[0]: expected a map such as {field: price, as: numeric}");
    expect_problem(SMALL "features: {columns: [{field: a, as: numerik}]}\n", 1, "did you mean \"numeric\"?");
    expect_problem(SMALL "features: {crosses: [a, b]}\n", 2, "features.crosses[0]: expected a list of fields");
    expect_problem(SMALL "evaluate: {metrics: [logloss, rank]}\n", 1, "evaluate.metrics: \"rank\" is not one of loss|");
    expect_problem(SMALL "evaluate: {window: soon}\n", 1, "evaluate.window: expected events such as 100_000");
    expect_problem(SMALL "evaluate: {window: -1}\n", 1, "evaluate.window: expected events such as 100_000");
    expect_problem(SMALL "evaluate: {window: 1h}\n", 1, "error[E132]: evaluate.window: windows of 1h need event times");
    expect_problem(SMALL "evaluate: {windows: w.jsonl}\n", 1, "error[E132]: evaluate.windows");
    expect_problem(SMALL "evaluate: {threshold: 1}\n", 1, "error[E104]: evaluate.threshold");
    expect_problem(
        "version: 1\nsource: {path: [a], format: json, rate: fast}\nmodel: {type: ftrl}\n", 1, "events a second");
}

static void missing_keys_are_named(void **state)
{
    (void)state;
    expect_problem("name: x\n", 3, "error[E105]: version is missing");
    expect_problem("name: x\n", 3, "error[E105]: source is missing");
    expect_problem("name: x\n", 3, "error[E105]: model.type is missing");
    expect_problem("version: 1\nsource: {path: [a]}\nmodel: {type: ftrl}\n", 1, "source.format is missing");
    expect_problem("version: 1\nsource: {format: json}\nmodel: {type: ftrl}\n", 1, "source.path is missing");
    expect_problem(
        "version: 1\nsource: {path: [a], format: json}\nmodel: {type: kmeans}\n", 1, "model.params.k is missing");
    expect_problem(SMALL "sinks: [{path: x}]\n", 1, "sinks[0].type is missing");
    expect_problem(SMALL "features: {columns: [{field: x}]}\n", 1, "features.columns[0].as is missing");
    expect_problem(SMALL "features: {columns: [{as: set}]}\n", 1, "features.columns[0].field is missing");
}

static void what_this_version_cannot_do_is_refused_not_ignored(void **state)
{
    (void)state;
    expect_problem(SMALL "alerts: [{name: x}]\n", 1, "error[E120]: alerts: not supported by this version");
    expect_problem(SMALL "tests: []\n", 1, "tests: not supported by this version");
    expect_problem(SMALL "features: {scale: standard}\n", 1, "scales declared columns, and none are");
    expect_problem(SMALL "workers: 2\nsinks: [{type: predictions, path: p}]\n", 1, "sinks are not written");
    expect_problem(SMALL "workers: 2\nevaluate: {slices: [c]}\n", 1, "slices and groups are not joined");
    expect_problem(SMALL "workers: 2\nevaluate: {groups: c}\n", 1, "slices and groups are not joined");
    expect_problem(SMALL "parameter_servers: {consistency: {mode: bounded}}\n", 1, "consistency: not supported");
}

static void impossible_combinations_are_refused(void **state)
{
    (void)state;
    expect_problem(SMALL "features: {hash: {bits: 20}}\nmodel2: 1\n", 1, "did you mean \"model\"?");
    expect_problem("version: 1\nsource: {path: [a], format: json}\nmodel: {type: ftrl, table: exact}\n"
                   "features: {hash: {bits: 20}}\n",
        1, "E121");
    expect_problem("version: 1\nsource: {path: [a], format: json}\nmodel: {type: ftrl, bits: 18}\n"
                   "features: {hash: {bits: 20}}\n",
        1, "features.hash.bits: 20, but model.bits is 18");
    expect_problem("version: 1\nsource: [{path: [a], format: json, follow: true}, {path: [b]}]\nmodel: {type: ftrl}\n",
        1, "source[0].follow: a source that follows never ends");
    expect_problem("version: 1\nsource: [{path: [a], format: json}, {path: [b], format: csv}]\nmodel: {type: ftrl}\n",
        1, "same format");
    expect_problem("version: 1\nsource: {path: [a], format: json, follow: true}\nmodel: {type: ftrl}\n"
                   "train: {passes: 2}\n",
        1, "train.passes");
    expect_problem(SMALL "checkpoint: {keep: 2}\n", 1, "checkpoint.dir is missing");
    expect_problem(SMALL "checkpoint: {dir: d, every: {events: 0, time: 0}}\n", 1, "both 0");
    expect_problem(SMALL "parameter_servers: {shards: 2, connect: [\"tcp://127.0.0.1:1\"]}\n", 1, "not both");
    expect_problem(SMALL "parameter_servers: {shards: 2, bind: [\"tcp://127.0.0.1:1\"]}\n", 1, "1 addresses for 2");
    expect_problem(SMALL "parameter_servers: {connect: [\"tcp://10.0.0.1:7000\"]}\n", 1, "not a loopback address");
    expect_problem(SMALL "serve: {http: \"0.0.0.0:80\"}\n", 1, "serve.http: \"0.0.0.0:80\" is not a loopback");
    expect_problem(SMALL "serve: {http: \"127.0.0.1\"}\n", 1, "expected host:port");
    expect_problem(SMALL "serve: {zmq: \"tcp://127.0.0.1:99999\"}\n", 1, "expected tcp://host:port");
    expect_problem(SMALL "serve: {http: \"127.evil.org:80\"}\n", 1, "not a loopback");
    expect_problem(SMALL "features: {columns: [{field: a, as: set, missing: 1}]}\n", 1, "only for as: numeric");
    expect_problem(SMALL "features: {columns: [{field: a, as: numeric, separator: x}]}\n", 1, "only for as: set");
    expect_problem(SMALL "features: {columns: [{field: a, as: set, separator: xy}]}\n", 1, "one ASCII character");
    expect_problem(SMALL "features: {columns: [{field: a, as: set}, {field: a, as: set}]}\n", 1, "there already");
    expect_problem(SMALL "features: {crosses: [[a]]}\n", 1, "2 to 4 fields, found 1");
    expect_problem(SMALL "features: {columns: [{field: ad, as: set}, {field: b, as: numeric}], crosses: [[a, b]]}\n", 2,
        "\"b\" is numeric");
    expect_problem(SMALL "label: {field: y}\nfeatures: {columns: [{field: y, as: numeric}]}\n", 1, "is the label");
    expect_problem("version: 1\nsource: {path: [a], format: json}\nmodel: {type: ftrl, loss: logistic}\n", 1,
        "ftrl has no choice of loss");
    expect_problem("version: 1\nsource: {path: [a], format: json}\n"
                   "model: {type: linear, loss: logistic, params: {loss: squared}}\n",
        1, "model.params.loss is squared");
    expect_problem("version: 1\nsource: {path: [a], format: json}\nmodel: {type: linear, loss: hinge}\n", 1,
        "model.loss: expected one of logistic|squared");
}

static void model_loss_is_short_for_params_loss(void **state)
{
    (void)state;
    config_bench self =
        config_bind("version: 1\nsource: {path: [a], format: json}\nmodel: {type: linear, loss: squared, bits: 20}\n");
    assert_int_equal(self.status, TW_STATUS_OK);
    assert_string_equal(tw_option_text(self.pipeline->learner_options, "loss"), "squared");
    assert_true(self.pipeline->is_hashed);
    assert_int_equal(self.pipeline->bits, 20);
    config_bench_fini(&self);
}

static void later_sources_take_over_what_they_leave_out(void **state)
{
    (void)state;
    config_bench self = config_bind("version: 1\nsource:\n- {path: h.jsonl, format: csv, time: {field: t}}\n"
                                    "- {path: live.jsonl, follow: true}\nmodel: {type: ftrl}\n");
    assert_int_equal(self.status, TW_STATUS_OK);
    assert_int_equal(self.pipeline->n_sources, 2);
    assert_string_equal(self.pipeline->source[1].format, "csv");
    assert_ptr_equal(self.pipeline->source[1].format_options, self.pipeline->source[0].format_options);
    assert_string_equal(self.pipeline->source[1].time_field, "t");
    config_bench_fini(&self);
}

static void settings_by_path_override_and_name_their_flag(void **state)
{
    (void)state;
    tw_tree *tree = NULL;
    tw_problems problems = {0};
    tw_pipeline *pipeline = NULL;
    tw_text text = {0};
    assert_int_equal(tw_tree_create(&tree, NULL), TW_STATUS_OK);
    assert_int_equal(tw_tree_parse(tree, "p.yaml", good, strlen(good), &problems, NULL), TW_STATUS_OK);
    assert_int_equal(tw_tree_assign(tree, "-s", "model.params.alpha=0.5", &problems, NULL), TW_STATUS_OK);
    assert_int_equal(tw_tree_assign(tree, "-s", "sinks[0].path=x", &problems, NULL), TW_STATUS_OK);
    assert_int_equal(
        tw_tree_assign(tree, "-s", "sinks[1]={type: predictions, path: y}", &problems, NULL), TW_STATUS_OK);
    assert_int_equal(tw_tree_assign(tree, "-s", "features.crosses=[[user, site]]", &problems, NULL), TW_STATUS_OK);
    assert_int_equal(tw_pipeline_create(tree, &test_catalogue, &problems, &pipeline, NULL), TW_STATUS_OK);
    assert_true(tw_option_real(pipeline->learner_options, "alpha") == 0.5);
    assert_int_equal(pipeline->n_sinks, 2);
    assert_int_equal(pipeline->n_crosses, 1);
    tw_pipeline_destroy(&pipeline);
    assert_int_equal(tw_tree_assign(tree, "-s", "model.params.alhpa=1", &problems, NULL), TW_STATUS_OK);
    assert_int_equal(tw_tree_assign(tree, "-s", "sinks[5].path=1", &problems, NULL), TW_STATUS_OK);
    assert_int_equal(tw_tree_assign(tree, "-s", "name", &problems, NULL), TW_STATUS_OK);
    assert_int_equal(tw_tree_assign(tree, "-s", "name.x=1", &problems, NULL), TW_STATUS_OK);
    assert_int_equal(tw_pipeline_create(tree, &test_catalogue, &problems, &pipeline, NULL), TW_STATUS_CONFIG);
    assert_int_equal(tw_problems_render(&problems, tree, &text, NULL), TW_STATUS_OK);
    assert_string_equal(text.bytes,
        "-s sinks[5].path=1: error[E107]: sinks: the list has 2 elements; the next index is 2\n"
        "-s name: error[E107]: expected path=value\n"
        "-s name.x=1: error[E107]: name: is a single value, and name.x needs a map\n"
        "-s model.params.alhpa=1: error[E102]: model.params.alhpa: unknown key\n"
        "      = did you mean \"alpha\"? ftrl takes alpha, beta, l1, l2\n"
        "4 errors. Nothing was started.\n");
    tw_text_fini(&text);
    tw_problems_fini(&problems);
    tw_tree_destroy(&tree);
}

static void a_pipeline_can_be_made_from_flags_alone(void **state)
{
    (void)state;
    static const char *const flags[][3] = {{"version", "1", "train"}, {"source.path[0]", "a: b #c.csv", "INPUT"},
        {"source.format.type", "csv", "--format"}, {"model.type", "frtl", "--learner"}};
    tw_tree *tree = NULL;
    tw_problems problems = {0};
    tw_pipeline *pipeline = NULL;
    tw_text text = {0};
    assert_int_equal(tw_tree_create(&tree, NULL), TW_STATUS_OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(tw_tree_set(tree, flags[i][0], flags[i][1], flags[i][2], &problems, NULL), TW_STATUS_OK);
    assert_int_equal(tw_pipeline_create(tree, &test_catalogue, &problems, &pipeline, NULL), TW_STATUS_CONFIG);
    assert_int_equal(tw_problems_render(&problems, tree, &text, NULL), TW_STATUS_OK);
    assert_string_equal(text.bytes, "--learner: error[E131]: model.type: unknown learner \"frtl\"\n"
                                    "      = did you mean \"ftrl\"?\n"
                                    "      = hint: available now: ftrl, linear, kmeans\n"
                                    "1 error. Nothing was started.\n");
    tw_problems_fini(&problems);
    assert_int_equal(tw_tree_set(tree, "model.type", "ftrl", "--learner", &problems, NULL), TW_STATUS_OK);
    assert_int_equal(tw_pipeline_create(tree, &test_catalogue, &problems, &pipeline, NULL), TW_STATUS_OK);
    assert_string_equal(tw_option_item(pipeline->source[0].options, "path", 0), "a: b #c.csv");
    tw_pipeline_destroy(&pipeline);
    tw_text_fini(&text);
    tw_tree_destroy(&tree);
}

static void no_more_than_a_hundred_problems_are_kept(void **state)
{
    (void)state;
    char yaml[4096] = SMALL;
    for (int i = 0; i < 130; i++)
        (void)snprintf(yaml + strlen(yaml), sizeof yaml - strlen(yaml), "unknown%d: 1\n", i);
    expect_problem(yaml, TW_PROBLEMS_LIMIT, "30 more errors are not shown.\n130 errors. Nothing was started.\n");
}

static void every_failing_allocation_while_reporting_problems_is_survived(void **state)
{
    (void)state;
    static const char bad[] = "version: x\nname: [a]\nsource: {typ: file}\nmodel: {type: ftl}\nfoo: ${X_UNSET_}\n";
    bool has_passed = false;
    for (uint64_t nth = 1; nth < 2000 && !has_passed; nth++) {
        tw_tree *tree = NULL;
        tw_problems problems = {0};
        tw_pipeline *pipeline = NULL;
        tw_fault_arm(TW_FAULT_ALLOC, nth, ENOMEM, false);
        tw_status status = tw_tree_create(&tree, NULL);
        if (status == TW_STATUS_OK)
            status = tw_tree_parse(tree, "p", bad, strlen(bad), &problems, NULL);
        if (status == TW_STATUS_OK)
            status = tw_pipeline_create(tree, &test_catalogue, &problems, &pipeline, NULL);
        has_passed = tw_fault_fired(TW_FAULT_ALLOC) == 0;
        tw_fault_disarm(TW_FAULT_ALLOC);
        assert_int_equal(status, has_passed ? TW_STATUS_CONFIG : TW_STATUS_NO_MEMORY);
        tw_problems_fini(&problems);
        tw_tree_destroy(&tree);
    }
    assert_true(has_passed);
}

static char *resolved(const char *yaml, bool with_origins)
{
    config_bench self = config_bind(yaml);
    if (self.status != TW_STATUS_OK)
        print_message("%s\n%s\n", yaml, self.text.bytes);
    assert_int_equal(self.status, TW_STATUS_OK);
    tw_text out = {0};
    assert_int_equal(tw_pipeline_resolved(self.pipeline, with_origins, &out, NULL), TW_STATUS_OK);
    config_bench_fini(&self);
    return out.bytes;
}

static void the_resolved_form_reads_back_to_itself(void **state)
{
    (void)state;
    static const char *const yamls[] = {good, SMALL,
        "version: 1\nsource:\n- {path: h.jsonl, format: {type: csv, delimiter: \"\\t\"}}\n- {path: [\"a$${X} "
        "\\u4e2d\\u0085\", \"\"], "
        "follow: true}\nmodel: {type: linear, loss: squared}\nfeatures: {hash: {bits: 20}, missing_values: [NA, "
        "\"\"]}\n"};
    for (size_t i = 0; i < 3; i++) {
        char *once = resolved(yamls[i], false), *twice = resolved(once, false), *with = resolved(yamls[i], true);
        char *back = resolved(with, false);
        assert_string_equal(once, twice);
        assert_string_equal(once, back);
        free(once);
        free(twice);
        free(with);
        free(back);
    }
}

static void the_resolved_form_names_the_origin_of_every_value(void **state)
{
    (void)state;
    char *text = resolved(good, true);
    assert_non_null(strstr(text, "    alpha: 0.05  # pipeline.yaml:23:19\n"));
    assert_non_null(strstr(text, "    beta: 1  # default\n"));
    assert_non_null(strstr(text, "  path: [clicks.jsonl, \"more, clicks.jsonl\"]  # pipeline.yaml:5:9\n"));
    free(text);
}

static void every_failing_allocation_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    bool has_passed = false;
    for (uint64_t nth = 1; nth < 5000 && !has_passed; nth++) {
        tw_tree *tree = NULL;
        tw_problems problems = {0};
        tw_pipeline *pipeline = NULL;
        tw_text out = {0};
        tw_error error = {0};
        tw_fault_arm(TW_FAULT_ALLOC, nth, ENOMEM, false);
        tw_status status = tw_tree_create(&tree, &error);
        if (status == TW_STATUS_OK)
            status = tw_tree_parse(tree, "p", good, strlen(good), &problems, &error);
        if (status == TW_STATUS_OK)
            status = tw_tree_assign(tree, "-s", "model.params.l2=3", &problems, &error);
        if (status == TW_STATUS_OK)
            status = tw_pipeline_create(tree, &test_catalogue, &problems, &pipeline, &error);
        if (status == TW_STATUS_OK)
            status = tw_pipeline_resolved(pipeline, false, &out, &error);
        has_passed = tw_fault_fired(TW_FAULT_ALLOC) == 0;
        tw_fault_disarm(TW_FAULT_ALLOC);
        if (has_passed)
            assert_int_equal(status, TW_STATUS_OK);
        else
            assert_int_equal(status, TW_STATUS_NO_MEMORY);
        tw_text_fini(&out);
        tw_pipeline_destroy(&pipeline);
        tw_problems_fini(&problems);
        tw_tree_destroy(&tree);
    }
    assert_true(has_passed);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void mutated_files_never_do_harm(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252ull;
    static const char spice[] = "{}[]:,-\"'#&*!|>%@`\n\t $<0\x80\xff";
    clock_t stop = clock() + 2 * CLOCKS_PER_SEC;
    for (int round = 0; round < 20000 && clock() < stop; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        size_t size = sizeof good - 1;
        for (uint64_t n = 1 + next_random(&seed) % 6; n > 0; n--) {
            size_t at = next_random(&seed) % size;
            text[at] = round % 3 == 0 ? (char)next_random(&seed) : spice[next_random(&seed) % (sizeof spice - 1)];
        }
        if (round % 7 == 0)
            size = next_random(&seed) % size;
        tw_tree *tree = NULL;
        tw_problems problems = {0};
        tw_pipeline *pipeline = NULL;
        tw_text out = {0};
        assert_int_equal(tw_tree_create(&tree, NULL), TW_STATUS_OK);
        tw_status status = tw_tree_parse(tree, "p", text, size, &problems, NULL);
        if (status == TW_STATUS_OK)
            status = tw_pipeline_create(tree, &test_catalogue, &problems, &pipeline, NULL);
        assert_true(status == TW_STATUS_OK || status == TW_STATUS_CONFIG);
        assert_true((status == TW_STATUS_OK) == (problems.count == 0));
        assert_int_equal(tw_problems_render(&problems, tree, &out, NULL), TW_STATUS_OK);
        tw_text_fini(&out);
        tw_pipeline_destroy(&pipeline);
        tw_problems_fini(&problems);
        tw_tree_destroy(&tree);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_pipeline_becomes_typed_values),
        cmocka_unit_test(texts_are_never_guessed_to_be_something_else),
        cmocka_unit_test(booleans_accept_only_true_and_false),
        cmocka_unit_test(errors_are_shown_all_at_once_with_line_caret_and_hint),
        cmocka_unit_test(a_key_at_the_wrong_indent_is_told_where_it_belongs),
        cmocka_unit_test(wrong_values_name_value_and_limit),
        cmocka_unit_test(missing_keys_are_named),
        cmocka_unit_test(what_this_version_cannot_do_is_refused_not_ignored),
        cmocka_unit_test(impossible_combinations_are_refused),
        cmocka_unit_test(model_loss_is_short_for_params_loss),
        cmocka_unit_test(later_sources_take_over_what_they_leave_out),
        cmocka_unit_test(settings_by_path_override_and_name_their_flag),
        cmocka_unit_test(a_pipeline_can_be_made_from_flags_alone),
        cmocka_unit_test(no_more_than_a_hundred_problems_are_kept),
        cmocka_unit_test(every_failing_allocation_while_reporting_problems_is_survived),
        cmocka_unit_test(the_resolved_form_reads_back_to_itself),
        cmocka_unit_test(the_resolved_form_names_the_origin_of_every_value),
        cmocka_unit_test(every_failing_allocation_is_an_error_and_leaks_nothing),
        cmocka_unit_test(mutated_files_never_do_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
