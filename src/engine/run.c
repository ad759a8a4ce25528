/* The loop: batches from the pump, a learning step each, and between them what is due: checkpoints, progress, requests.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine_state.h"

enum {
    WAIT_MS = 20,
    WAIT_BUSY_MS = 2,
    MAX_MARKS = 4096,
    FLUSH_TIMEOUT_MS = 60000,
    LAST_TRIES_US = 5000000,
    RETRY_US = 50000
};

typedef struct run_state {
    tw_engine *engine;
    tw_plan *plan;
    tw_reader *reader;
    tw_builder **builder; /* [n_builders] */
    uint32_t n_builders;
    tw_pump *pump;
    int64_t next_progress_us;
    uint64_t next_progress_events;
    int64_t deadline_us;  /* 0: none */
    bool is_input_broken; /* the error that ends the run is the input's */
} run_state;

/* --- positions: where rows are, where outputs are --------------------------------------------------------------- */

/* Appends the marks of a split and its output position as cuts; *lowest: the lowest mark. */
static tw_status add_cuts(
    tw_engine *self, const tw_split *split, tw_cut **cut, size_t *n, uint64_t *lowest, tw_error *error)
{
    size_t capacity = *n; /* grown in steps that double */
    uint32_t n_marks = MAX_MARKS;
    uint64_t *marks = tw_alloc(MAX_MARKS * sizeof *marks);
    if (marks == NULL)
        return tw_no_memory(error, MAX_MARKS * sizeof *marks);
    tw_status status = tw_model_marks(self->options.model, split->id, marks, &n_marks, error);
    if (status == TW_STATUS_OK)
        status = tw_grow(cut, sizeof **cut, &capacity, *n + n_marks + 1, error);
    for (uint32_t i = 0; i < n_marks && status == TW_STATUS_OK; i++)
        (*cut)[(*n)++] = (tw_cut){split->id, marks[i], 0};
    if (status == TW_STATUS_OK) {
        (*cut)[(*n)++] = (tw_cut){split->id, split->offset, split->line};
        *lowest = marks[0];
    }
    tw_free(marks);
    return status;
}

/* What must be read again: the first split (in order of consumption) whose rows are behind `reached`, and all cuts. */
typedef struct replay_plan {
    tw_cut *cut;
    size_t n_cuts;
    bool is_needed;
    uint64_t split, position, line;
} replay_plan;

static tw_status plan_replay(tw_engine *self, const uint64_t *reached, replay_plan *out, tw_error *error)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < self->splits.count; i++) {
        const tw_split *split = &self->splits.split[i];
        uint64_t lowest = 0;
        tw_status status = add_cuts(self, split, &out->cut, &out->n_cuts, &lowest, error);
        if (status < 0) {
            tw_free(out->cut);
            return status;
        }
        uint64_t reached_here = reached != NULL ? reached[i] : split->offset;
        if (!out->is_needed && lowest < reached_here) {
            out->is_needed = true;
            out->split = split->id;
            out->position = lowest;
            out->line = lowest == split->offset ? split->line + 1 : 0;
        }
    }
    return TW_STATUS_OK;
}

/* Rows were lost, or a batch straddled a mark: reads again from the lowest mark, at the latest from the batch that
 * failed. */
static tw_status run_rewind(run_state *run, const tw_work *failed, const tw_error *why, tw_error *error)
{
    tw_engine *self = run->engine;
    size_t index = 0;
    tw_status status = engine_know_split(self, &failed->split, &index, error);
    if (status < 0)
        return status;
    if (self->released[index] < failed->builder->from)
        self->released[index] = failed->builder->from;
    replay_plan plan;
    status = plan_replay(self, self->released, &plan, error);
    if (status < 0)
        return status;
    if (!plan.is_needed) {
        plan.split = failed->split.id;
        plan.position = failed->builder->from;
    }
    (void)pthread_mutex_lock(&self->mutex);
    self->counters.rewinds++;
    (void)pthread_mutex_unlock(&self->mutex);
    engine_tell(self, TW_ENGINE_REWOUND, why);
    status = tw_pump_seek(run->pump, plan.split, plan.position, plan.line, plan.cut, plan.n_cuts, error);
    tw_free(plan.cut);
    return status;
}

/* --- checkpoints ------------------------------------------------------------------------------------------------ */

static void finish_request(tw_engine *self, tw_status status, const tw_error *error)
{
    (void)pthread_mutex_lock(&self->mutex);
    self->finished = self->started;
    self->finished_status = status;
    if (status < 0 && error != NULL)
        self->finished_error = *error;
    (void)pthread_cond_broadcast(&self->checkpointed);
    (void)pthread_mutex_unlock(&self->mutex);
}

static void checkpoint_failed(tw_engine *self, tw_error *error)
{
    (void)pthread_mutex_lock(&self->mutex);
    self->checkpoint_failures++;
    (void)pthread_mutex_unlock(&self->mutex);
    self->is_dirty = true;
    tw_error_code(error, "E204");
    finish_request(self, error->status, error);
    engine_tell(self, TW_ENGINE_FAILED_CHECKPOINT, error);
}

static void start_checkpoint(tw_engine *self)
{
    tw_error error = {0};
    tw_manifest manifest;
    (void)pthread_mutex_lock(&self->mutex);
    self->started = self->wanted;
    (void)pthread_mutex_unlock(&self->mutex);
    self->is_dirty = false;
    tw_status status = engine_capture(self, &manifest, &error);
    if (status == TW_STATUS_OK)
        status = tw_checkpointer_start(self->checkpointer, &manifest, &error);
    if (status < 0)
        checkpoint_failed(self, &error);
}

static tw_status poll_checkpoint(tw_engine *self, tw_error *error)
{
    tw_checkpoint_result result;
    tw_status status = tw_checkpointer_poll(self->checkpointer, &result, error);
    if (status < 0)
        checkpoint_failed(self, error);
    if (status != TW_STATUS_OK)
        return status;
    (void)pthread_mutex_lock(&self->mutex);
    self->last_checkpoint = result;
    self->last_checkpoint_wall_us = tw_clock_wall_us();
    self->counters.checkpoints++;
    self->saved_events = result.events;
    self->verdict = result.verdict;
    (void)pthread_mutex_unlock(&self->mutex);
    finish_request(self, TW_STATUS_OK, NULL);
    engine_tell(self, TW_ENGINE_CHECKPOINT, NULL);
    return TW_STATUS_OK;
}

static void serve_checkpoints(tw_engine *self)
{
    tw_error error = {0};
    if (!self->options.is_learning)
        return;
    if (tw_checkpointer_is_running(self->checkpointer))
        (void)poll_checkpoint(self, &error);
    if (tw_checkpointer_is_running(self->checkpointer) || self->options.checkpoint.directory == NULL)
        return;
    (void)pthread_mutex_lock(&self->mutex);
    bool is_wanted = self->wanted > self->started;
    (void)pthread_mutex_unlock(&self->mutex);
    tw_model_stamp stamp;
    tw_model_stamp_now(self->options.model, &stamp);
    if (is_wanted || tw_checkpointer_is_due(self->checkpointer, stamp.events))
        start_checkpoint(self);
}

/* Waits for the checkpoint under way, if there is one; then saves what came after it. */
static tw_status save_once(tw_engine *self, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (int round = 0; round < 2; round++) {
        while (tw_checkpointer_is_running(self->checkpointer)) {
            status = poll_checkpoint(self, error);
            if (status == TW_STATUS_IDLE)
                tw_clock_sleep_us(500);
        }
        if (round == 1 || !self->is_dirty)
            break;
        uint64_t failures = self->checkpoint_failures;
        start_checkpoint(self);
        if (self->checkpoint_failures > failures) {
            if (error != NULL)
                *error = self->finished_error;
            return self->finished_status;
        }
    }
    return status < 0 ? status : TW_STATUS_OK;
}

/* A shard that is just coming back, or still writing, gets some time. */
tw_status engine_save(tw_engine *self, tw_error *error)
{
    if (!self->options.is_learning || self->options.checkpoint.directory == NULL)
        return TW_STATUS_OK;
    int64_t last_try_us = tw_clock_monotonic_us() + LAST_TRIES_US;
    for (;;) {
        tw_status status = save_once(self, error);
        bool is_passing = status == TW_STATUS_UNAVAILABLE || status == TW_STATUS_BUSY;
        if (!is_passing || tw_clock_monotonic_us() > last_try_us)
            return status;
        tw_clock_sleep_us(RETRY_US);
    }
}

/* --- progress --------------------------------------------------------------------------------------------------- */

static void plan_progress(run_state *run)
{
    const tw_progress_policy *policy = &run->engine->options.progress;
    uint64_t events = run->engine->counters.events;
    run->next_progress_us =
        policy->every_seconds > 0 ? tw_clock_monotonic_us() + (int64_t)(policy->every_seconds * 1e6) : INT64_MAX;
    run->next_progress_events = UINT64_MAX;
    if (policy->every_events > 0)
        run->next_progress_events = (events / policy->every_events + 1) * policy->every_events;
    else if (policy->every_factor > 1)
        run->next_progress_events = events == 0 ? 1 : (uint64_t)ceil((double)events * policy->every_factor);
}

static void serve_progress(run_state *run)
{
    bool is_due = run->engine->counters.events >= run->next_progress_events ||
                  (run->next_progress_us != INT64_MAX && tw_clock_monotonic_us() >= run->next_progress_us);
    if (!is_due)
        return;
    engine_tell(run->engine, TW_ENGINE_PROGRESS, NULL);
    plan_progress(run);
}

static bool is_over(const run_state *run)
{
    const tw_engine_options *options = &run->engine->options;
    if (options->stop != NULL && atomic_load(options->stop))
        return true;
    if (options->until_events > 0 && run->engine->counters.events >= options->until_events)
        return true;
    return run->deadline_us != 0 && tw_clock_monotonic_us() >= run->deadline_us;
}

/* --- the loop --------------------------------------------------------------------------------------------------- */

static tw_status learn_work(run_state *run, tw_work *work, tw_error *error)
{
    const tw_work *next = run->engine->delay == NULL ? tw_pump_peek(run->pump) : NULL;
    tw_model_announce(run->engine->options.model, next != NULL ? next->builder : NULL);
    tw_status status = tw_engine_learn(run->engine, work, error);
    if (status == TW_STATUS_REWIND) {
        tw_error why = error != NULL ? *error : (tw_error){0};
        status = run_rewind(run, work, &why, error);
    }
    tw_pump_return(run->pump, work);
    return status;
}

/* Everything was read: done once the rows are applied everywhere. */
static tw_status finish_reading(run_state *run, bool *is_finished, tw_error *error)
{
    *is_finished = true;
    if (!run->engine->options.is_learning)
        return TW_STATUS_OK;
    tw_status status = TW_STATUS_OK;
    if (run->engine->delay != NULL) {
        status = tw_delay_drain(run->engine->delay, error);
        run->engine->is_dirty = true;
    }
    if (status == TW_STATUS_OK)
        status = tw_model_flush(run->engine->options.model, FLUSH_TIMEOUT_MS, error);
    if (status != TW_STATUS_REWIND)
        return status;
    *is_finished = false;
    tw_error why = error != NULL ? *error : (tw_error){0};
    if (run->engine->splits.count == 0)
        return tw_error_set(
            error, TW_STATUS_PROTOCOL, "a shard asks for events to be learned again, but none were read");
    size_t last = run->engine->splits.count - 1;
    tw_builder at_end = {.from = run->engine->splits.split[last].offset};
    tw_work nothing = {.builder = &at_end, .split = run->engine->splits.split[last]};
    return run_rewind(run, &nothing, &why, error);
}

static tw_status run_loop(run_state *run, bool *is_finished, tw_error *error)
{
    tw_engine *self = run->engine;
    while (!*is_finished && !is_over(run)) {
        tw_work *work = NULL;
        bool is_busy = tw_checkpointer_is_running(self->checkpointer);
        tw_status status = tw_pump_next(run->pump, &work, is_busy ? WAIT_BUSY_MS : WAIT_MS, error);
        run->is_input_broken = status < 0;
        if (status == TW_STATUS_OK)
            status = learn_work(run, work, error);
        else if (status == TW_STATUS_IDLE)
            status = tw_outputs_flush(self->outputs, false, error);
        else if (status == TW_STATUS_END)
            status = finish_reading(run, is_finished, error);
        if (status < 0)
            return status;
        (void)pthread_mutex_lock(&self->mutex);
        self->backlog = tw_pump_backlog(run->pump);
        self->counters.pass = tw_pump_pass(run->pump);
        (void)pthread_mutex_unlock(&self->mutex);
        serve_checkpoints(self);
        serve_progress(run);
    }
    return TW_STATUS_OK;
}

static tw_status run_open(run_state *run, tw_error *error)
{
    tw_engine *self = run->engine;
    const tw_engine_options *options = &self->options;
    tw_status status = tw_model_plan_create(options->model, &run->plan, error);
    tw_reader_options reader = {
        .input = options->input,
        .n_inputs = options->n_inputs,
        .passes = options->passes,
        .max_latency_us = options->max_latency_us,
        .max_record_bytes = options->max_record_bytes,
        .plan = run->plan,
        .limit_events =
            options->until_events > self->counters.events ? options->until_events - self->counters.events : 0,
    };
    if (status == TW_STATUS_OK && self->n_facets > 0)
        status = tw_plan_set_facets(
            run->plan, self->facet, self->n_facets, self->spellings, options->evaluation.n_slices, error);
    if (status == TW_STATUS_OK)
        status =
            tw_reader_create(&reader, self->splits.split, self->splits.count, self->counters.pass, &run->reader, error);
    replay_plan plan = {0};
    if (status == TW_STATUS_OK && options->is_learning)
        status = plan_replay(self, NULL, &plan, error);
    if (status == TW_STATUS_OK)
        status = tw_reader_set_cuts(run->reader, plan.cut, plan.n_cuts, error);
    if (status == TW_STATUS_OK && plan.is_needed)
        status = tw_reader_seek(run->reader, plan.split, plan.position, plan.line, error);
    tw_free(plan.cut);
    return status;
}

static tw_status make_builder(const tw_engine *self, tw_builder **out, tw_error *error)
{
    tw_status status = tw_model_builder_create(self->options.model, self->options.batch_events, out, error);
    return status == TW_STATUS_OK ? tw_builder_set_facets(*out, self->n_facets, error) : status;
}

static tw_status run_start_pump(run_state *run, tw_error *error)
{
    const tw_engine_options *options = &run->engine->options;
    run->n_builders = options->queue_batches + 2;
    run->builder = tw_alloc_zero(run->n_builders * sizeof(tw_builder *));
    if (run->builder == NULL)
        return tw_no_memory(error, run->n_builders * sizeof(tw_builder *));
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < run->n_builders && status == TW_STATUS_OK; i++)
        status = make_builder(run->engine, &run->builder[i], error);
    if (status == TW_STATUS_OK)
        status = tw_pump_start(run->reader, run->builder, run->n_builders, options->rate_per_s, &run->pump, error);
    return status;
}

static void run_close(run_state *run)
{
    tw_pump_stop(&run->pump);
    for (uint32_t i = 0; run->builder != NULL && i < run->n_builders; i++)
        tw_builder_destroy(&run->builder[i]);
    tw_free(run->builder);
    tw_reader_destroy(&run->reader);
    tw_plan_destroy(&run->plan);
}

/* Too few records for the limit to be looked at, but hardly one of them was good. */
static tw_status nothing_but_bad(const tw_engine *self, tw_error *error)
{
    uint64_t events = self->counters.events, bad = self->counters.bad_events, all = events + bad;
    if (bad == 0 || (events > 0 && (bad < 10 || bad / 10 <= events || !self->options.is_learning)))
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_DATA,
        "%llu of %llu records are malformed: is this the right format? see the messages above", (unsigned long long)bad,
        (unsigned long long)all);
}

/* What was learned before an error in the input, or before the table was full, is kept. Of pushes that are under way to
 * several shards each may be refused. */
static bool is_worth_saving(const run_state *run, tw_status status)
{
    tw_status left = status;
    while (left == TW_STATUS_FULL)
        left = tw_model_flush(run->engine->options.model, FLUSH_TIMEOUT_MS, NULL);
    return status >= 0 || status == TW_STATUS_DATA || status == TW_STATUS_FULL || run->is_input_broken;
}

/* Learns to the end and saves. A shard that lost rows meanwhile makes the run go on, until what is saved is whole. */
static tw_status run_and_save(run_state *run, tw_status *saved, tw_error *last_error, tw_error *error)
{
    for (;;) {
        bool is_finished = false;
        tw_status status = run_loop(run, &is_finished, error);
        *saved = is_worth_saving(run, status) ? engine_save(run->engine, last_error) : TW_STATUS_OK;
        if (status < 0 || *saved < 0 || !is_finished)
            return status;
        status = finish_reading(run, &is_finished, error);
        if (status < 0 || is_finished)
            return status;
    }
}

/* Once a run is over, nobody may go on waiting for a checkpoint. */
static void set_ended(tw_engine *self, bool has_ended)
{
    (void)pthread_mutex_lock(&self->mutex);
    self->has_ended = has_ended;
    (void)pthread_cond_broadcast(&self->checkpointed);
    (void)pthread_mutex_unlock(&self->mutex);
}

/* Whoever reports may be there before. */
static void run_begin(tw_engine *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    self->run_start_us = tw_clock_monotonic_us();
    (void)pthread_mutex_unlock(&self->mutex);
    set_ended(self, false);
}

tw_status tw_engine_run(tw_engine *self, tw_error *error)
{
    run_state run = {.engine = self};
    tw_status saved = TW_STATUS_OK;
    tw_error last_error = {0};
    run_begin(self);
    bool is_fitted = self->options.fit == NULL || self->fit.solver[0] != '\0';
    tw_status status = is_fitted ? TW_STATUS_OK : engine_fit_history(self, error);
    if (status == TW_STATUS_CANCELLED) {
        set_ended(self, true);
        tw_log(TW_LOG_WARN, "%s: nothing was learned", error != NULL ? error->message : "stopped");
        return TW_STATUS_OK;
    }
    if (status == TW_STATUS_OK)
        status = run_open(&run, error);
    if (status == TW_STATUS_OK)
        status = run_start_pump(&run, error);
    if (status == TW_STATUS_OK) {
        engine_tell(self, TW_ENGINE_STARTED, NULL);
        plan_progress(&run);
        if (self->options.until_us > 0)
            run.deadline_us = tw_clock_monotonic_us() + self->options.until_us;
        if (is_fitted && self->options.has_first_checkpoint && self->options.checkpoint.directory != NULL)
            start_checkpoint(self);
        status = run_and_save(&run, &saved, &last_error, error);
    }
    run_close(&run);
    set_ended(self, true);
    tw_status flushed = tw_outputs_flush(self->outputs, false, &last_error);
    if (status >= 0 && (saved < 0 || flushed < 0)) {
        if (error != NULL)
            *error = last_error;
        return saved < 0 ? saved : flushed;
    }
    return status < 0 ? status : nothing_but_bad(self, error);
}
