/* History as a whole, then live: fits, hand-overs, the learner's own passes, and what a run makes of them. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "engine/fit.h"
#include "support/pipeline_fixture.h"

enum { N_HISTORY = 1500, N_LIVE = 400 };

typedef struct fixture {
    char folder[PIPELINE_PATH_SIZE], history[PIPELINE_PATH_SIZE + 16], live[PIPELINE_PATH_SIZE + 16];
    char cache[PIPELINE_PATH_SIZE + 16];
    tw_option_values *solver_options;
    tw_fit_options fit;
} fixture;

/* Fits by the named solver; NULL: by passes. */
static void choose_solver(fixture *self, const char *name)
{
    const tw_solver_ops *solver = name != NULL ? tw_registry_solver(pipeline_registry(), name) : NULL;
    assert_true(name == NULL || solver != NULL);
    tw_option_values_destroy(&self->solver_options);
    if (solver != NULL)
        assert_int_equal(tw_option_values_create(solver->options, &self->solver_options, NULL), TW_STATUS_OK);
    self->fit.name = name != NULL ? name : "online";
    self->fit.solver = solver;
    self->fit.solver_options = self->solver_options;
}

static int set_up(void **state)
{
    fixture *self = calloc(1, sizeof *self);
    make_folder(self->folder);
    (void)snprintf(self->history, sizeof self->history, "%s/history", self->folder);
    (void)snprintf(self->live, sizeof self->live, "%s/live", self->folder);
    (void)snprintf(self->cache, sizeof self->cache, "%s/cache", self->folder);
    write_log(self->history, 5, N_HISTORY, 20);
    write_log(self->live, 6, N_LIVE, 5);
    self->fit = (tw_fit_options){
        .n_inputs = 1, .passes = {.passes = 1}, .seed = 1, .cache = self->cache, .is_cache_temporary = true};
    choose_solver(self, "lbfgs");
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    fixture *self = *state;
    tw_option_values_destroy(&self->solver_options);
    remove_folder(self->folder);
    free(self);
    return 0;
}

static pipeline_setup setup_of(fixture *self, char folder[PIPELINE_PATH_SIZE])
{
    make_subfolder(self->folder, "run", folder);
    return (pipeline_setup){
        .learner = "ftrl", .path = {self->history}, .n_paths = 1, .folder = folder, .fit = &self->fit};
}

/* --- solvers ---------------------------------------------------------------------------------------------------- */

static double score_of(const tw_matrix *m, const tw_fit_solution *solution, uint64_t event)
{
    double score = solution->bias;
    for (uint64_t e = m->row_start[event]; e < m->row_start[event + 1]; e++)
        score += solution->weight[m->column[e]] * (double)m->value[e];
    return score;
}

static void the_rows_score_every_event_as_the_solution_does(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline run;
    tw_fit fit = {0};
    tw_dataset_batch batch = {0};
    pipeline_setup setup = setup_of(self, folder);
    setup.is_scaled = true;
    assert_int_equal(pipeline_open(&run, &setup, NULL), TW_STATUS_OK);
    tw_dataset data = pipeline_dataset(&run, self->cache);
    assert_int_equal(tw_fit_run(&fit, run.model, &data, &self->fit, NULL, NULL, NULL), TW_STATUS_OK);
    assert_int_equal(tw_engine_run(run.engine, NULL), TW_STATUS_OK);
    for (uint64_t i = 0; i < data.matrix.n_events; i++) {
        float score = 0;
        assert_int_equal(tw_dataset_gather(&data, &i, 1, &batch, NULL), TW_STATUS_OK);
        assert_int_equal(tw_model_score_rows(run.model, &batch.view, &score, NULL), TW_STATUS_OK);
        double wanted = score_of(&data.matrix, &fit.solution, i);
        assert_true(fabs((double)score - wanted) <= 1e-4 * (1 + fabs(wanted)));
    }
    tw_dataset_batch_fini(&batch);
    tw_dataset_close(&data);
    tw_fit_fini(&fit);
    pipeline_close(&run);
}

static void curvature_is_half_the_weighted_sum_of_squared_gradients_at_the_solution(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline run;
    tw_fit fit = {0};
    pipeline_setup setup = setup_of(self, folder);
    assert_int_equal(pipeline_open(&run, &setup, NULL), TW_STATUS_OK);
    tw_dataset data = pipeline_dataset(&run, self->cache);
    assert_int_equal(tw_fit_run(&fit, run.model, &data, &self->fit, NULL, NULL, NULL), TW_STATUS_OK);
    const tw_matrix *m = &data.matrix;
    double bias = 0, *sum = calloc(m->n_columns, sizeof *sum);
    for (uint64_t i = 0; i < m->n_events; i++) {
        double p = 1 / (1 + exp(-score_of(m, &fit.solution, i))), slope = p - (double)m->label[i];
        bias += (double)m->weight[i] * slope * slope;
        for (uint64_t e = m->row_start[i]; e < m->row_start[i + 1]; e++)
            sum[m->column[e]] += (double)m->weight[i] * slope * slope * (double)m->value[e] * (double)m->value[e];
    }
    assert_true(fabs(fit.fitted.bias_curvature - bias / 2) < 1e-9 * bias);
    for (uint32_t c = 0; c < m->n_columns; c++)
        assert_true(fabs(fit.curvature[c] - sum[c] / 2) <= 1e-9 * sum[c]);
    free(sum);
    tw_fit_fini(&fit);
    tw_dataset_close(&data);
    pipeline_close(&run);
}

static void shards_hold_the_rows_of_a_local_table_after_a_fit(void **state)
{
    static const char *const solvers[] = {"lbfgs", NULL};
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    for (size_t i = 0; i < 2; i++) {
        pipeline_trace local, sharded;
        choose_solver(self, solvers[i]);
        pipeline_setup setup = setup_of(self, folder);
        setup.path[1] = self->live;
        setup.n_paths = 2;
        setup.is_scaled = true;
        pipeline_run(&setup, &local);
        setup = setup_of(self, folder);
        setup.path[1] = self->live;
        setup.n_paths = 2;
        setup.is_scaled = true;
        setup.n_shards = 3;
        pipeline_run(&setup, &sharded);
        assert_null(pipeline_trace_difference(&local, &sharded, TRACE_ALL));
        assert_int_equal(local.report.events, N_HISTORY + N_LIVE);
        assert_true(local.dead_size > 0);
        pipeline_trace_free(&local);
        pipeline_trace_free(&sharded);
    }
}

/* As after a crash behind the first one, with shards that live on. */
static void a_hand_over_to_shards_that_is_repeated_changes_nothing(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline run;
    pipeline_trace once, twice;
    tw_fit fit = {0};
    pipeline_setup setup = setup_of(self, folder);
    setup.n_shards = 3;
    assert_int_equal(pipeline_open(&run, &setup, NULL), TW_STATUS_OK);
    tw_dataset data = pipeline_dataset(&run, self->cache);
    assert_int_equal(tw_fit_run(&fit, run.model, &data, &self->fit, NULL, NULL, NULL), TW_STATUS_OK);
    assert_int_equal(tw_handover(run.model, &data, &fit.fitted, data.matrix.n_events, NULL), TW_STATUS_OK);
    assert_int_equal(tw_model_flush(run.model, 1000, NULL), TW_STATUS_OK);
    pipeline_collect(&run, &once);
    assert_int_equal(tw_handover(run.model, &data, &fit.fitted, data.matrix.n_events, NULL), TW_STATUS_OK);
    assert_int_equal(tw_model_flush(run.model, 1000, NULL), TW_STATUS_OK);
    pipeline_collect(&run, &twice);
    assert_true(once.n_records > 1);
    assert_null(pipeline_trace_difference(&once, &twice, TRACE_ROWS | TRACE_MARKS));
    pipeline_trace_free(&once);
    pipeline_trace_free(&twice);
    tw_fit_fini(&fit);
    tw_dataset_close(&data);
    pipeline_close(&run);
}

static void weights_of_zero_make_no_rows(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline_trace trace;
    pipeline run;
    tw_fit fit = {0};
    uint64_t n_weights = 0;
    choose_solver(self, "owlqn");
    pipeline_setup setup = setup_of(self, folder);
    pipeline_run(&setup, &trace);
    assert_int_equal(pipeline_open(&run, &setup, NULL), TW_STATUS_OK);
    tw_dataset data = pipeline_dataset(&run, self->cache);
    assert_int_equal(tw_fit_run(&fit, run.model, &data, &self->fit, NULL, NULL, NULL), TW_STATUS_OK);
    for (uint32_t c = 0; c < data.matrix.n_columns; c++)
        n_weights += (float)fit.solution.weight[c] != 0;
    assert_true(n_weights < data.matrix.n_columns);
    assert_int_equal(trace.report.rows, n_weights);
    tw_fit_fini(&fit);
    tw_dataset_close(&data);
    pipeline_close(&run);
    pipeline_trace_free(&trace);
}

static void a_solver_that_does_not_fit_the_learner_is_refused_by_name(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    static const struct {
        const char *learner, *options, *word;
    } cases[] = {{"counter", NULL, "counter counts"}, {"kmeans", "k=3 init=first", "lbfgs fits linear models"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pipeline run;
        tw_error error = {0};
        pipeline_setup setup = setup_of(self, folder);
        setup.learner = cases[i].learner;
        setup.learner_options = cases[i].options;
        assert_int_equal(pipeline_open(&run, &setup, NULL), TW_STATUS_OK);
        assert_int_equal(tw_engine_run(run.engine, &error), TW_STATUS_CONFIG);
        assert_string_equal(error.code, "E130");
        assert_non_null(strstr(error.message, cases[i].word));
        pipeline_close(&run);
    }
}

static void a_learner_without_warm_start_is_refused_by_name(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline run;
    tw_model *model = NULL;
    tw_error error = {0};
    pipeline_setup setup = setup_of(self, folder);
    assert_int_equal(pipeline_open(&run, &setup, NULL), TW_STATUS_OK);
    tw_model_spec spec = *tw_model_spec_of(run.model);
    tw_learner_ops bare = *spec.learner;
    bare.warm_start = NULL;
    spec.learner = &bare;
    assert_int_equal(tw_model_create(&spec, &model, NULL), TW_STATUS_OK);
    assert_int_equal(tw_fit_check(model, self->fit.solver, &error), TW_STATUS_CONFIG);
    assert_non_null(strstr(error.message, "learner ftrl cannot take over the weights of lbfgs"));
    assert_int_equal(tw_fit_check(model, NULL, &error), TW_STATUS_OK);
    tw_model_destroy(&model);
    pipeline_close(&run);
}

static void history_without_an_event_is_an_error(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline run;
    tw_error error = {0};
    write_bytes(self->history, "wb", "\n", 1);
    pipeline_setup setup = setup_of(self, folder);
    assert_int_equal(pipeline_open(&run, &setup, NULL), TW_STATUS_OK);
    assert_int_equal(tw_engine_run(run.engine, &error), TW_STATUS_DATA);
    assert_non_null(strstr(error.message, "no event"));
    pipeline_close(&run);
}

/* --- history, then live ----------------------------------------------------------------------------------------- */

static void a_run_that_goes_on_after_the_fit_gives_the_bytes_of_one_that_never_stopped(void **state)
{
    static const char *const solvers[] = {"lbfgs", NULL};
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    for (size_t i = 0; i < 2; i++) {
        pipeline_trace whole, resumed;
        choose_solver(self, solvers[i]);
        pipeline_setup setup = setup_of(self, folder);
        setup.path[1] = self->live;
        setup.n_paths = 2;
        pipeline_run(&setup, &whole);
        setup = setup_of(self, folder);
        setup.has_checkpoints = setup.is_resuming = true;
        pipeline_run(&setup, NULL);
        setup.path[1] = self->live;
        setup.n_paths = 2;
        setup.until_events = N_HISTORY + 150;
        pipeline_run(&setup, NULL);
        setup.until_events = 0;
        pipeline_run(&setup, &resumed);
        assert_null(pipeline_trace_difference(&whole, &resumed, TRACE_ALL));
        assert_string_equal(resumed.report.solver, self->fit.name);
        assert_true(resumed.report.objective == whole.report.objective);
        pipeline_trace_free(&whole);
        pipeline_trace_free(&resumed);
    }
}

static void a_fitted_model_that_resumes_is_not_fitted_again(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline_trace first, again;
    pipeline_setup setup = setup_of(self, folder);
    setup.has_checkpoints = setup.is_resuming = true;
    pipeline_run(&setup, &first);
    pipeline_run(&setup, &again);
    assert_null(pipeline_trace_difference(&first, &again, TRACE_ALL));
    assert_int_equal(again.report.events, N_HISTORY);
    assert_int_equal(again.report.iterations, first.report.iterations);
    pipeline_trace_free(&first);
    pipeline_trace_free(&again);
}

typedef struct stopper {
    atomic_bool stop;
    uint32_t n_fitting, n_fitted, stop_at;
} stopper;

static void stop_at(void *context, tw_engine_event event, const tw_report *report, const tw_error *error)
{
    stopper *self = context;
    (void)report;
    (void)error;
    self->n_fitted += event == TW_ENGINE_FITTED;
    if (event == TW_ENGINE_FITTING && ++self->n_fitting == self->stop_at)
        atomic_store(&self->stop, true);
}

static void a_stop_while_the_solver_works_leaves_nothing_and_the_next_run_starts_again(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline_trace whole, stopped, again;
    pipeline_setup setup = setup_of(self, folder);
    pipeline_run(&setup, &whole);
    setup = setup_of(self, folder);
    setup.has_checkpoints = setup.is_resuming = true;
    stopper stopper = {.stop_at = 3};
    setup.listener = stop_at;
    setup.context = &stopper;
    setup.stop = &stopper.stop;
    pipeline_run(&setup, &stopped);
    assert_int_equal(stopper.n_fitting, 3);
    assert_int_equal(stopper.n_fitted, 0);
    assert_int_equal(stopped.n_records, 1); /* the bias block */
    assert_int_equal(stopped.report.model_version, 0);
    atomic_store(&stopper.stop, false);
    pipeline_run(&setup, &again);
    assert_int_equal(stopper.n_fitted, 1);
    assert_null(pipeline_trace_difference(&whole, &again, TRACE_ALL));
    pipeline_trace_free(&whole);
    pipeline_trace_free(&stopped);
    pipeline_trace_free(&again);
}

/* Kills every shard once, at an iteration of the solver. */
typedef struct shard_killer {
    pipeline *run;
    uint32_t n_shards, n_killed;
    tw_engine_event at;
} shard_killer;

static void kill_shards(void *context, tw_engine_event event, const tw_report *report, const tw_error *error)
{
    shard_killer *self = context;
    (void)report;
    (void)error;
    if (event == self->at && self->n_killed < self->n_shards)
        assert_int_equal(tw_loopback_kill(self->run->loopback, self->n_killed++, NULL), TW_STATUS_OK);
}

static void shards_that_die_while_the_solver_works_get_all_rows(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline run;
    pipeline_trace whole, killed;
    tw_error error = {0};
    pipeline_setup setup = setup_of(self, folder);
    pipeline_run(&setup, &whole);
    setup = setup_of(self, folder);
    setup.n_shards = 3;
    shard_killer killer = {.run = &run, .n_shards = 3, .at = TW_ENGINE_FITTING};
    setup.listener = kill_shards;
    setup.context = &killer;
    assert_int_equal(pipeline_open(&run, &setup, &error), TW_STATUS_OK);
    if (tw_engine_run(run.engine, &error) != TW_STATUS_OK)
        fail_msg("%s", error.message);
    pipeline_collect(&run, &killed);
    assert_int_equal(killer.n_killed, 3);
    assert_null(pipeline_trace_difference(&whole, &killed, TRACE_ALL));
    pipeline_trace_free(&whole);
    pipeline_trace_free(&killed);
    pipeline_close(&run);
}

/* Nothing was saved yet: the shard gets its rows again. */
static void a_shard_that_dies_right_behind_the_hand_over_gets_its_rows_again(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline run;
    pipeline_trace whole, killed;
    tw_error error = {0};
    pipeline_setup setup = setup_of(self, folder);
    pipeline_run(&setup, &whole);
    setup = setup_of(self, folder);
    setup.n_shards = 3;
    setup.has_checkpoints = true;
    shard_killer killer = {.run = &run, .n_shards = 1, .at = TW_ENGINE_FITTED};
    setup.listener = kill_shards;
    setup.context = &killer;
    assert_int_equal(pipeline_open(&run, &setup, &error), TW_STATUS_OK);
    if (tw_engine_run(run.engine, &error) != TW_STATUS_OK)
        fail_msg("%s", error.message);
    pipeline_collect(&run, &killed);
    assert_int_equal(killer.n_killed, 1);
    const char *difference = pipeline_trace_difference(&whole, &killed, TRACE_ALL);
    if (difference != NULL)
        fail_msg("%s differ", difference);
    assert_int_equal(killed.report.events, N_HISTORY);
    assert_int_equal(killed.report.rewinds, 0);
    pipeline_trace_free(&whole);
    pipeline_trace_free(&killed);
    pipeline_close(&run);
}

static void figures_are_the_fitted_models_until_a_live_event_comes(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline_trace fitted, live, online;
    pipeline_setup setup = setup_of(self, folder);
    pipeline_run(&setup, &fitted);
    setup.fit = NULL;
    pipeline_run(&setup, &online);
    assert_true(fitted.report.figures.logloss < online.report.figures.logloss);
    assert_int_equal(fitted.report.bad_events, online.report.bad_events);
    assert_int_equal(fitted.report.bytes, online.report.bytes);
    setup.fit = &self->fit;
    setup.path[1] = self->live;
    setup.n_paths = 2;
    pipeline_run(&setup, &live);
    assert_true(live.report.figures.positives < N_LIVE);
    assert_int_equal(live.report.events, N_HISTORY + N_LIVE);
    pipeline_trace_free(&fitted);
    pipeline_trace_free(&live);
    pipeline_trace_free(&online);
}

/* --- failures --------------------------------------------------------------------------------------------------- */

static void every_failing_call_of_a_fit_is_reported(void **state)
{
    static const char *const solvers[] = {"lbfgs", NULL};
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    write_log(self->history, 5, 60, 2);
    for (int turn = 0; turn < 4; turn++) {
        tw_fault_kind kind = turn % 2 == 0 ? TW_FAULT_ALLOC : TW_FAULT_FILE;
        uint64_t n_fired = 0;
        bool has_failed = true;
        choose_solver(self, solvers[turn / 2]);
        self->fit.passes = (tw_pass_options){.passes = 2, .holdout = 0.1, .is_shuffled = true};
        for (uint64_t nth = 1; has_failed; nth++) {
            pipeline run;
            tw_error error = {0};
            pipeline_setup setup = setup_of(self, folder);
            setup.is_scaled = true;
            setup.has_checkpoints = true;
            assert_int_equal(pipeline_open(&run, &setup, NULL), TW_STATUS_OK);
            tw_fault_arm(kind, nth, kind == TW_FAULT_FILE ? ENOSPC : ENOMEM, false);
            tw_status status = tw_engine_run(run.engine, &error);
            has_failed = tw_fault_fired(kind) > 0;
            tw_fault_disarm(kind);
            n_fired += has_failed;
            assert_true(has_failed || status == TW_STATUS_OK);
            assert_true(status >= 0 || error.message[0] != '\0');
            pipeline_close(&run);
        }
        printf("%llu failure points of kind %d\n", (unsigned long long)n_fired, (int)kind);
        assert_true(n_fired > 40);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_rows_score_every_event_as_the_solution_does),
        TEST(curvature_is_half_the_weighted_sum_of_squared_gradients_at_the_solution),
        TEST(shards_hold_the_rows_of_a_local_table_after_a_fit),
        TEST(a_hand_over_to_shards_that_is_repeated_changes_nothing),
        TEST(a_learner_without_warm_start_is_refused_by_name),
        TEST(weights_of_zero_make_no_rows),
        TEST(a_solver_that_does_not_fit_the_learner_is_refused_by_name),
        TEST(history_without_an_event_is_an_error),
        TEST(a_run_that_goes_on_after_the_fit_gives_the_bytes_of_one_that_never_stopped),
        TEST(a_fitted_model_that_resumes_is_not_fitted_again),
        TEST(a_stop_while_the_solver_works_leaves_nothing_and_the_next_run_starts_again),
        TEST(shards_that_die_while_the_solver_works_get_all_rows),
        TEST(a_shard_that_dies_right_behind_the_hand_over_gets_its_rows_again),
        TEST(figures_are_the_fitted_models_until_a_live_event_comes),
        TEST(every_failing_call_of_a_fit_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
