/* The blocks publish, evaluate and train of a pipeline file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/config_bench.h"

#define SMALL "version: 1\nsource: {path: [a], format: json}\nmodel: {type: ftrl}\n"

#define SAVED SMALL "checkpoint: {dir: d}\n"

static void a_gate_takes_figures_with_limits(void **state)
{
    (void)state;
    config_bench self =
        config_bind(SAVED "publish: {require: {auc: \">= 0.70\", logloss: \"<0.45\", over: 100_000}}\n");
    assert_int_equal(self.status, TW_STATUS_OK);
    assert_int_equal(self.pipeline->n_required, 2);
    assert_string_equal(self.pipeline->require[0].figure, "logloss");
    assert_int_equal(self.pipeline->require[0].limit.kind, TW_BELOW);
    assert_string_equal(self.pipeline->require[1].figure, "auc");
    assert_true(self.pipeline->require[1].limit.bound == 0.7);
    assert_int_equal(self.pipeline->require_over, 100000);
    config_bench_fini(&self);
}

static void what_is_no_gate_is_refused(void **state)
{
    (void)state;
    expect_problem(SAVED "publish: x\n", 1, "publish: expected a map");
    expect_problem(SAVED "publish: {require: {}}\n", 1, "error[E133]: publish.require names no figure");
    expect_problem(SAVED "publish: {require: {over: 10}}\n", 1, "names no figure");
    expect_problem(SAVED "publish: {require: {auc: 0.7}}\n", 1, "publish.require.auc: expected >=, <=, > or <");
    expect_problem(SAVED "publish: {require: {auc: \">= high\"}}\n", 1, "found \">= high\"");
    expect_problem(SAVED "publish: {require: {acu: \">= 1\"}}\n", 2, "did you mean \"auc\"?");
    expect_problem(SAVED "publish: {require: {auc: \"> 0.5\", over: 0}}\n", 1, "over");
    expect_problem(SAVED "publish: {require: {auc: \"> 0.5\", over: 1000001}}\n", 1, "over");
    expect_problem(SMALL "publish: {require: {auc: \"> 0.5\"}}\n", 1, "checkpoint.dir is missing");
}

static void a_drift_detector_has_the_defaults_of_its_kind(void **state)
{
    (void)state;
    config_bench self = config_bind(SMALL "evaluate: {drift: {detector: adwin}}\n");
    assert_int_equal(self.status, TW_STATUS_OK);
    assert_int_equal(self.pipeline->drift.detector, TW_PIPELINE_ADWIN);
    assert_true(self.pipeline->drift.delta == 0.002 && !self.pipeline->drift.is_forgetting);
    config_bench_fini(&self);
    self = config_bind(SMALL "evaluate: {drift: {detector: page_hinkley, action: forget, of: error}}\n");
    assert_int_equal(self.status, TW_STATUS_OK);
    assert_true(self.pipeline->drift.delta == 0.005 && self.pipeline->drift.threshold == 50.0);
    assert_true(self.pipeline->drift.is_forgetting && self.pipeline->drift.half_lives == 3.0);
    assert_true(self.pipeline->drift.is_of_error);
    config_bench_fini(&self);
    expect_problem(SMALL "evaluate: {drift: {detector: adwin, delta: 1}}\n", 1, "error[E129]");
    expect_problem(SMALL "evaluate: {drift: {detector: kswin}}\n", 1, "none|adwin|page_hinkley");
}

static void several_workers_have_neither_gate_nor_drift(void **state)
{
    (void)state;
    expect_problem(SAVED "workers: 2\npublish: {require: {auc: \"> 0.5\"}}\n", 1, "error[E120]: publish.require");
    expect_problem(SMALL "workers: 2\nevaluate: {drift: {detector: adwin}}\n", 1, "error[E120]: evaluate.drift");
}

static void batch_training_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    expect_problem(SMALL "train: {solver: newtn}\n", 1, "train.solver: newtn is not installed here");
    expect_problem(SMALL "train: {solver: lbfg}\n", 1, "did you mean \"lbfgs\"?");
    expect_problem(SMALL "train: {solver: lbfgs, params: {tolerence: 1}}\n", 1, "did you mean \"tolerance\"?");
    expect_problem(SMALL "train: {solver: lbfgs, params: {tolerance: 2}}\n", 1, "E104");
    expect_problem(SMALL "train: {mode: online, solver: lbfgs}\n", 1, "train.mode must be batch");
    expect_problem(SMALL "train: {cache: x}\n", 1, "train.cache: only with train.mode: batch");
    expect_problem(SMALL "train: {solver: lbfgs, passes: 2, holdout: 0.1}\n", 2, "for the learner's own passes");
    expect_problem(SMALL "train: {solver: sgd}\n", 1, "this model is of learner ftrl");
    expect_problem(SMALL "train: {mode: batch, holdout: 0.6}\n", 1, "E104");
    expect_problem("version: 1\nsource: {path: [a], format: json, follow: true}\nmodel: {type: ftrl}\n"
                   "train: {mode: batch}\n",
        1, "train.mode: batch needs a bounded part, but source follows");
}

static void the_learner_itself_named_as_solver_means_mode_batch_too(void **state)
{
    (void)state;
    config_bench self = config_bind(SMALL "train: {solver: online, holdout: 20%}\n");
    assert_int_equal(self.status, TW_STATUS_OK);
    assert_true(self.pipeline->is_batch);
    config_bench_fini(&self);
    self = config_bind(SMALL "train: {mode: online, solver: online, passes: 2}\n");
    assert_int_equal(self.status, TW_STATUS_OK);
    assert_false(self.pipeline->is_batch);
    config_bench_fini(&self);
}

static void a_named_solver_means_mode_batch_and_the_resolved_form_says_so(void **state)
{
    (void)state;
    config_bench self = config_bind(SMALL "train: {solver: lbfgs, params: {tolerance: 0.5}, cache: c}\n");
    assert_int_equal(self.status, TW_STATUS_OK);
    assert_true(self.pipeline->is_batch);
    assert_string_equal(self.pipeline->solver, "lbfgs");
    assert_string_equal(self.pipeline->cache, "c");
    assert_true(tw_option_real(self.pipeline->solver_options, "tolerance") == 0.5);
    tw_text text = {0};
    assert_int_equal(tw_pipeline_resolved(self.pipeline, false, &text, NULL), TW_STATUS_OK);
    assert_non_null(strstr(text.bytes, "mode: batch"));
    assert_non_null(strstr(text.bytes, "tolerance: 0.5"));
    tw_text_fini(&text);
    config_bench_fini(&self);
}

static void passes_of_the_learner_itself_are_a_batch_mode_too(void **state)
{
    (void)state;
    config_bench self = config_bind(SMALL "train: {mode: batch, passes: 4, shuffle_seed: 0}\n");
    assert_int_equal(self.status, TW_STATUS_OK);
    assert_true(self.pipeline->is_batch && self.pipeline->is_shuffled);
    assert_int_equal(self.pipeline->passes, 4);
    assert_int_equal(self.pipeline->early_stop, 3);
    assert_true(self.pipeline->holdout == 0.1);
    config_bench_fini(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gate_takes_figures_with_limits),
        cmocka_unit_test(what_is_no_gate_is_refused),
        cmocka_unit_test(a_drift_detector_has_the_defaults_of_its_kind),
        cmocka_unit_test(batch_training_that_does_not_fit_is_refused),
        cmocka_unit_test(the_learner_itself_named_as_solver_means_mode_batch_too),
        cmocka_unit_test(a_named_solver_means_mode_batch_and_the_resolved_form_says_so),
        cmocka_unit_test(passes_of_the_learner_itself_are_a_batch_mode_too),
        cmocka_unit_test(several_workers_have_neither_gate_nor_drift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
