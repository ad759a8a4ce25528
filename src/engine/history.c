/* The bounded inputs of a run with train.mode batch: decoded once, fitted, handed over, measured and saved. Nothing is
 * saved before the marks say that all of it is in the rows, so a run that is killed earlier starts again. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/engine_state.h"

enum { MEASURE_BATCH = 1024, MAX_HANDOVERS = 10, FLUSH_TIMEOUT_MS = 60000, RETRY_US = 100000 };

typedef struct history {
    tw_engine *engine;
    const tw_fit_options *options;
    tw_dataset data;
    tw_fit fit;
} history;

static bool is_stop_wanted(const tw_engine *self)
{
    return self->options.stop != NULL && atomic_load(self->options.stop);
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

/* Sinks are for what is learned online; malformed records are kept and told of as always. */
static tw_status visit_batch(void *context, const tw_work *work, tw_error *error)
{
    history *self = context;
    (void)pthread_mutex_lock(&self->engine->mutex);
    engine_count_records(self->engine, work->builder);
    (void)pthread_mutex_unlock(&self->engine->mutex);
    if (work->builder->n_bad == 0)
        return TW_STATUS_OK;
    tw_builder bad_only = *work->builder;
    bad_only.n_events = 0;
    tw_status status = tw_outputs_write(self->engine->outputs, &bad_only, NULL, error);
    return status == TW_STATUS_OK ? engine_report_records(self->engine, work, error) : status;
}

static tw_status read_data(history *self, tw_error *error)
{
    tw_engine *engine = self->engine;
    const tw_engine_options *options = &engine->options;
    const tw_dataset_options dataset = {
        .model = options->model,
        .input = options->input,
        .n_inputs = self->options->n_inputs,
        .max_record_bytes = options->max_record_bytes,
        .fingerprint = self->options->fingerprint,
        .path = self->options->cache,
        .is_temporary = self->options->is_cache_temporary,
        /* The dead-letter file of this run is still empty. */
        .wants_bad_records = options->bad.dead_letter != NULL,
        .visit = visit_batch,
        .context = self,
        .stop = options->stop,
    };
    tw_status status = tw_dataset_open(&dataset, &self->data, error);
    if (status < 0 || !self->data.is_reused)
        return status;
    (void)pthread_mutex_lock(&engine->mutex);
    engine->counters.events += self->data.events;
    engine->counters.bad_events += self->data.bad_events;
    engine->counters.bytes += self->data.bytes;
    engine->run_events += self->data.events;
    engine->run_bytes += self->data.bytes;
    (void)pthread_mutex_unlock(&engine->mutex);
    return TW_STATUS_OK;
}

/* --- fitting ---------------------------------------------------------------------------------------------------- */

static bool tell_iteration(void *context, uint32_t iteration, double objective, double measure)
{
    history *self = context;
    tw_engine *engine = self->engine;
    (void)pthread_mutex_lock(&engine->mutex);
    engine->fit.iterations = iteration;
    engine->fit.objective = objective;
    engine->fit.measure = measure;
    (void)pthread_mutex_unlock(&engine->mutex);
    engine_tell(engine, TW_ENGINE_FITTING, NULL);
    return is_stop_wanted(engine);
}

static tw_status fit_data(history *self, tw_error *error)
{
    tw_engine *engine = self->engine;
    if (self->data.matrix.n_events == 0)
        return tw_error_set(error, TW_STATUS_DATA, "train.mode: batch: the bounded inputs hold no event to learn from");
    tw_status status =
        tw_fit_run(&self->fit, engine->options.model, &self->data, self->options, tell_iteration, self, error);
    if (status == TW_STATUS_OK && is_stop_wanted(engine))
        return tw_error_set(error, TW_STATUS_CANCELLED, "stopped while the solver was at work");
    return status;
}

/* --- what becomes of it ----------------------------------------------------------------------------------------- */

/* A shard that loses rows meanwhile gets all of them again. */
static tw_status hand_over(history *self, tw_error *error)
{
    tw_model *model = self->engine->options.model;
    tw_status status = TW_STATUS_REWIND;
    for (int i = 0; i < MAX_HANDOVERS && status == TW_STATUS_REWIND; i++) {
        if (i > 0)
            tw_clock_sleep_us(RETRY_US);
        status = tw_handover(model, &self->data, &self->fit.fitted, self->data.matrix.n_events, error);
        if (status == TW_STATUS_OK)
            status = tw_model_flush(model, FLUSH_TIMEOUT_MS, error);
    }
    if (status == TW_STATUS_REWIND || status == TW_STATUS_CONFLICT) {
        tw_error why = error != NULL ? *error : (tw_error){0};
        return tw_error_set(error, TW_STATUS_CONFLICT,
            "the rows hold a part of the history already, so it cannot be fitted as a whole: start over with --fresh "
            "(%.300s)",
            why.message);
    }
    if (status == TW_STATUS_OK)
        tw_model_set_events(model, self->data.matrix.n_events);
    return status;
}

/* The run stands behind the data, as if it had been learned event by event. */
static tw_status note_splits(history *self, tw_error *error)
{
    tw_engine *engine = self->engine;
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < self->data.n_splits && status == TW_STATUS_OK; i++) {
        size_t index = 0;
        status = engine_know_split(engine, &self->data.split[i], &index, error);
        if (status < 0)
            return status;
        engine->splits.split[index] = self->data.split[i];
        engine->released[index] = self->data.split[i].offset;
    }
    engine->is_dirty = true;
    return status;
}

/* The figures of the fitted model, by the rows that it has become, on the data that it was fitted to. */
static tw_status measure(history *self, tw_error *error)
{
    tw_engine *engine = self->engine;
    tw_model *model = engine->options.model;
    tw_dataset_batch batch = {0};
    uint64_t event[MEASURE_BATCH], n_events = self->data.matrix.n_events;
    uint32_t room = engine->options.batch_events < MEASURE_BATCH ? engine->options.batch_events : MEASURE_BATCH;
    tw_status status = TW_STATUS_OK;
    engine->fit.is_measured = true; /* from here on: no windows either */
    for (uint64_t at = 0; at < n_events && status == TW_STATUS_OK && !is_stop_wanted(engine); at += room) {
        uint32_t n = n_events - at < room ? (uint32_t)(n_events - at) : room;
        for (uint32_t i = 0; i < n; i++)
            event[i] = at + i;
        status = tw_dataset_gather(&self->data, event, n, &batch, error);
        if (status == TW_STATUS_OK)
            status = tw_model_score_rows(model, &batch.view, engine->scores, error);
        if (status != TW_STATUS_OK)
            break;
        (void)pthread_mutex_lock(&engine->mutex);
        status = tw_metrics_add(engine->metrics, &batch.view, engine->scores, error);
        (void)pthread_mutex_unlock(&engine->mutex);
    }
    tw_dataset_batch_fini(&batch);
    return status;
}

/* Saves; REWIND: a shard lost rows before they were saved. A checkpoint that fails is told of, and the next one is
 * tried in its time. */
static tw_status save(history *self, bool is_again, tw_error *error)
{
    tw_error ignored = {0};
    tw_status status = is_again ? hand_over(self, error) : TW_STATUS_OK;
    if (status == TW_STATUS_OK)
        status = note_splits(self, error);
    if (status != TW_STATUS_OK)
        return status;
    (void)!engine_save(self->engine, &ignored);
    return tw_model_flush(self->engine->options.model, FLUSH_TIMEOUT_MS, error);
}

static tw_status take_over(history *self, tw_error *error)
{
    tw_engine *engine = self->engine;
    tw_status status = hand_over(self, error);
    if (status == TW_STATUS_OK)
        status = measure(self, error);
    if (status != TW_STATUS_OK)
        return status;
    (void)pthread_mutex_lock(&engine->mutex);
    engine->fit = self->fit.figures;
    engine->fit.is_measured = true;
    (void)pthread_mutex_unlock(&engine->mutex);
    engine_tell(engine, TW_ENGINE_FITTED, NULL);
    status = TW_STATUS_REWIND;
    for (int i = 0; i < MAX_HANDOVERS && status == TW_STATUS_REWIND; i++)
        status = save(self, i > 0, error);
    return status == TW_STATUS_REWIND ? TW_STATUS_OK : status; /* the run learns again what a shard has lost */
}

tw_status engine_fit_history(tw_engine *self, tw_error *error)
{
    history run = {.engine = self, .options = self->options.fit};
    tw_error ignored = {0};
    /* Checkpoints of another run must not be resumed by one that starts after this one was killed. */
    if (self->options.has_first_checkpoint) {
        self->is_dirty = true;
        (void)!engine_save(self, &ignored);
    }
    tw_status status = read_data(&run, error);
    if (status == TW_STATUS_OK)
        status = fit_data(&run, error);
    if (status == TW_STATUS_OK)
        status = take_over(&run, error);
    tw_fit_fini(&run.fit);
    tw_dataset_close(&run.data);
    return status;
}
