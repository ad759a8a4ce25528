/* The learner's own passes over bounded data: what is learned, what is held out, which pass is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/fit.h"
#include "support/pipeline_fixture.h"

enum { N_HISTORY = 1500 };

typedef struct fixture {
    char folder[PIPELINE_PATH_SIZE], history[PIPELINE_PATH_SIZE + 16], cache[PIPELINE_PATH_SIZE + 16];
    tw_fit_options fit;
} fixture;

static int set_up(void **state)
{
    fixture *self = calloc(1, sizeof *self);
    make_folder(self->folder);
    (void)snprintf(self->history, sizeof self->history, "%s/history", self->folder);
    (void)snprintf(self->cache, sizeof self->cache, "%s/cache", self->folder);
    write_log(self->history, 5, N_HISTORY, 20);
    self->fit = (tw_fit_options){.name = "online",
        .n_inputs = 1,
        .passes = {.passes = 1},
        .seed = 1,
        .cache = self->cache,
        .is_cache_temporary = true};
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    fixture *self = *state;
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

/* The same events by hand: scores of all of them must be equal in bits. */
static void passes_score_as_a_learner_that_got_the_events_by_hand(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline by_hand, run;
    tw_dataset_batch batch = {0};
    self->fit.passes = (tw_pass_options){.passes = 3};
    pipeline_setup setup = setup_of(self, folder);
    assert_int_equal(pipeline_open(&run, &setup, NULL), TW_STATUS_OK);
    assert_int_equal(tw_engine_run(run.engine, NULL), TW_STATUS_OK);
    assert_int_equal(pipeline_open(&by_hand, &setup, NULL), TW_STATUS_OK);
    tw_dataset data = pipeline_dataset(&by_hand, self->cache);
    for (uint64_t n = 0; n < 3 * data.matrix.n_events; n++) {
        uint64_t event = n % data.matrix.n_events;
        float score;
        assert_int_equal(tw_dataset_gather(&data, &event, 1, &batch, NULL), TW_STATUS_OK);
        batch.view.split = 1;
        batch.view.from = n;
        batch.view.to = n + 1;
        assert_int_equal(tw_model_learn_rows(by_hand.model, &batch.view, &score, NULL), TW_STATUS_OK);
    }
    for (uint64_t i = 0; i < data.matrix.n_events; i++) {
        float wanted, score;
        assert_int_equal(tw_dataset_gather(&data, &i, 1, &batch, NULL), TW_STATUS_OK);
        assert_int_equal(tw_model_score_rows(by_hand.model, &batch.view, &wanted, NULL), TW_STATUS_OK);
        assert_int_equal(tw_model_score_rows(run.model, &batch.view, &score, NULL), TW_STATUS_OK);
        assert_memory_equal(&wanted, &score, sizeof score);
    }
    tw_dataset_batch_fini(&batch);
    tw_dataset_close(&data);
    pipeline_close(&run);
    pipeline_close(&by_hand);
}

static void run_passes(fixture *self, const tw_pass_options *passes, uint32_t batch_events, pipeline_trace *out)
{
    char folder[PIPELINE_PATH_SIZE];
    self->fit.passes = *passes;
    pipeline_setup setup = setup_of(self, folder);
    setup.batch_events = batch_events;
    pipeline_run(&setup, out);
}

static void the_same_seed_gives_the_same_model_and_another_one_another(void **state)
{
    fixture *self = *state;
    pipeline_trace first, again, other, ordered;
    tw_pass_options passes = {.passes = 4, .holdout = 0.1, .early_stop = 2, .is_shuffled = true, .shuffle_seed = 3};
    run_passes(self, &passes, 64, &first);
    run_passes(self, &passes, 7, &again);
    passes.shuffle_seed = 4;
    run_passes(self, &passes, 64, &other);
    passes.is_shuffled = false;
    run_passes(self, &passes, 64, &ordered);
    assert_null(pipeline_trace_difference(&first, &again, TRACE_ROWS | TRACE_MARKS));
    assert_non_null(pipeline_trace_difference(&first, &other, TRACE_ROWS));
    assert_non_null(pipeline_trace_difference(&first, &ordered, TRACE_ROWS));
    pipeline_trace_free(&first);
    pipeline_trace_free(&again);
    pipeline_trace_free(&other);
    pipeline_trace_free(&ordered);
}

/* Ids occur once, so passes soon overfit: the best pass is not the last one. */
static void the_pass_with_the_lowest_loss_on_held_out_events_is_kept(void **state)
{
    fixture *self = *state;
    char folder[PIPELINE_PATH_SIZE];
    pipeline run;
    tw_row_image rows = {0};
    tw_pass_result result, shorter;
    pipeline_setup setup = setup_of(self, folder);
    setup.learner_options = "alpha=1";
    assert_int_equal(pipeline_open(&run, &setup, NULL), TW_STATUS_OK);
    tw_dataset data = pipeline_dataset(&run, self->cache);
    tw_pass_options passes = {.passes = 50, .holdout = 0.1, .early_stop = 3};
    assert_int_equal(tw_passes_run(run.model, &data, &passes, &rows, &result, NULL), TW_STATUS_OK);
    assert_true(result.is_stopped_early);
    assert_int_equal(result.passes, result.best + 3);
    size_t size = rows.n_rows * tw_model_table_spec(run.model)->schema.row.size;
    unsigned char *kept = malloc(size);
    memcpy(kept, rows.row, size);
    passes.passes = result.best;
    assert_int_equal(tw_passes_run(run.model, &data, &passes, &rows, &shorter, NULL), TW_STATUS_OK);
    assert_true(shorter.measure == result.measure);
    assert_memory_equal(kept, rows.row, size);
    free(kept);
    tw_row_image_fini(&rows);
    tw_dataset_close(&data);
    pipeline_close(&run);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(passes_score_as_a_learner_that_got_the_events_by_hand),
        TEST(the_same_seed_gives_the_same_model_and_another_one_another),
        TEST(the_pass_with_the_lowest_loss_on_held_out_events_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
