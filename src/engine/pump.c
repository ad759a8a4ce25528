#include "engine/pump.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/queue.h"

enum { POLL_MS = 20 };
static const int64_t poll_us = 20000;

typedef enum work_kind { WORK_BATCH, WORK_END, WORK_ERROR } work_kind;

typedef struct pump_work {
    tw_work work; /* first: handed out as tw_work */
    work_kind kind;
    tw_error error;
} pump_work;

typedef struct seek_request {
    uint64_t split, position, line;
    tw_cut *cut;
    size_t n_cuts;
} seek_request;

struct tw_pump {
    tw_reader *reader;
    pump_work *work; /* [n_works]; the last one carries END and errors */
    uint32_t n_works;
    double rate_per_s;
    tw_queue *idle, *full;
    pump_work *ahead; /* taken from `full` by a peek; NULL: none */
    pthread_t thread;
    bool is_started;
    atomic_bool is_stopping;
    _Atomic uint64_t pass, backlog;
    pthread_mutex_t mutex; /* guards request */
    seek_request request;
    _Atomic uint64_t wanted_generation;
    uint64_t generation; /* decode thread: the seek that was carried out last */
    int64_t rate_start_us;
    uint64_t rate_events;
};

/* Carries out a pending seek. */
static tw_status pump_follow_request(tw_pump *self, tw_error *error)
{
    uint64_t wanted = atomic_load(&self->wanted_generation);
    if (wanted == self->generation)
        return TW_STATUS_OK;
    (void)pthread_mutex_lock(&self->mutex);
    seek_request request = self->request;
    self->request.cut = NULL;
    self->generation = atomic_load(&self->wanted_generation);
    (void)pthread_mutex_unlock(&self->mutex);
    tw_status status = tw_reader_set_cuts(self->reader, request.cut, request.n_cuts, error);
    if (status == TW_STATUS_OK)
        status = tw_reader_seek(self->reader, request.split, request.position, request.line, error);
    tw_free(request.cut);
    return status;
}

/* Sleeps until `n_events` more are due at the configured rate. */
static void pump_keep_rate(tw_pump *self, uint32_t n_events)
{
    if (self->rate_per_s <= 0)
        return;
    if (self->rate_start_us == 0)
        self->rate_start_us = tw_clock_monotonic_us();
    self->rate_events += n_events;
    int64_t due_us = self->rate_start_us + (int64_t)((double)self->rate_events * 1e6 / self->rate_per_s);
    for (int64_t left = due_us - tw_clock_monotonic_us(); left > 0 && !atomic_load(&self->is_stopping);
         left = due_us - tw_clock_monotonic_us())
        tw_clock_sleep_us(left < poll_us ? left : poll_us);
}

static void pump_hand_on(tw_pump *self, pump_work *work, work_kind kind)
{
    work->kind = kind;
    work->work.generation = self->generation;
    atomic_store(&self->pass, tw_reader_pass(self->reader));
    atomic_store(&self->backlog, tw_reader_backlog(self->reader));
    if (tw_queue_push(self->full, work, -1) != TW_STATUS_OK)
        atomic_store(&self->is_stopping, true);
}

/* After END or an error nothing is read until a seek or the stop. */
static void pump_wait_for_request(tw_pump *self)
{
    while (!atomic_load(&self->is_stopping) && atomic_load(&self->wanted_generation) == self->generation)
        tw_clock_sleep_us(1000);
}

/* One batch into `work`; false: nothing came, `work` is still free. */
static bool pump_decode(tw_pump *self, pump_work *work)
{
    work->error = (tw_error){0};
    tw_status status = pump_follow_request(self, &work->error);
    if (status == TW_STATUS_OK)
        status = tw_reader_next(self->reader, &work->work, POLL_MS, &work->error);
    if (status == TW_STATUS_IDLE) {
        atomic_store(&self->backlog, tw_reader_backlog(self->reader));
        return false;
    }
    if (status == TW_STATUS_OK) {
        pump_keep_rate(self, work->work.builder->n_events);
        pump_hand_on(self, work, WORK_BATCH);
        return true;
    }
    work->error.status = status;
    pump_hand_on(self, work, status == TW_STATUS_END ? WORK_END : WORK_ERROR);
    pump_wait_for_request(self);
    return true;
}

static void *pump_main(void *argument)
{
    tw_pump *self = argument;
    void *item = NULL;
    while (!atomic_load(&self->is_stopping)) {
        if (item == NULL && tw_queue_pop(self->idle, &item, POLL_MS) != TW_STATUS_OK) {
            item = NULL;
            continue;
        }
        if (pump_decode(self, item))
            item = NULL;
    }
    return NULL;
}

static tw_status pump_open(tw_pump *self, tw_builder *const *builder, tw_error *error)
{
    self->work = tw_alloc_zero(self->n_works * sizeof *self->work);
    if (self->work == NULL)
        return tw_no_memory(error, self->n_works * sizeof *self->work);
    tw_status status = tw_queue_create(self->n_works, &self->idle, error);
    if (status == TW_STATUS_OK)
        status = tw_queue_create(self->n_works, &self->full, error);
    for (uint32_t i = 0; i < self->n_works && status == TW_STATUS_OK; i++) {
        self->work[i].work.builder = builder[i];
        status = tw_queue_push(self->idle, &self->work[i], 0);
    }
    if (status < 0)
        return status;
    int errnum = pthread_create(&self->thread, NULL, pump_main, self);
    if (errnum != 0)
        return tw_error_errno(error, TW_STATUS_NO_MEMORY, errnum, "the decode thread cannot be started");
    self->is_started = true;
    return TW_STATUS_OK;
}

tw_status tw_pump_start(tw_reader *reader,
    tw_builder *const *builder,
    uint32_t n_builders,
    double rate_per_s,
    tw_pump **out,
    tw_error *error)
{
    *out = NULL;
    tw_pump *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->reader = reader;
    self->n_works = n_builders;
    self->rate_per_s = rate_per_s;
    (void)pthread_mutex_init(&self->mutex, NULL);
    tw_status status = pump_open(self, builder, error);
    if (status < 0)
        tw_pump_stop(&self);
    *out = self;
    return status;
}

static tw_status pump_answer(tw_pump *self, pump_work *work, tw_work **out, tw_error *error)
{
    if (work->kind == WORK_BATCH) {
        *out = &work->work;
        return TW_STATUS_OK;
    }
    tw_status status = work->error.status;
    if (error != NULL)
        *error = work->error;
    tw_pump_return(self, &work->work);
    return status;
}

tw_status tw_pump_next(tw_pump *self, tw_work **work, int timeout_ms, tw_error *error)
{
    *work = NULL;
    for (;;) {
        void *item = NULL;
        if (self->ahead == NULL && tw_queue_pop(self->full, &item, timeout_ms) != TW_STATUS_OK)
            return TW_STATUS_IDLE;
        pump_work *next = self->ahead != NULL ? self->ahead : item;
        self->ahead = NULL;
        if (next->work.generation == atomic_load(&self->wanted_generation))
            return pump_answer(self, next, work, error);
        tw_pump_return(self, &next->work);
    }
}

const tw_work *tw_pump_peek(tw_pump *self)
{
    void *item = NULL;
    if (self->ahead == NULL && tw_queue_pop(self->full, &item, 0) == TW_STATUS_OK)
        self->ahead = item;
    bool is_next = self->ahead != NULL && self->ahead->kind == WORK_BATCH &&
                   self->ahead->work.generation == atomic_load(&self->wanted_generation);
    return is_next ? &self->ahead->work : NULL;
}

void tw_pump_return(tw_pump *self, tw_work *work)
{
    /* The queue has room for every work there is. */
    if (tw_queue_push_first(self->idle, work, 0) != TW_STATUS_OK)
        atomic_store(&self->is_stopping, true);
}

tw_status tw_pump_seek(
    tw_pump *self, uint64_t split, uint64_t position, uint64_t line, const tw_cut *cut, size_t n_cuts, tw_error *error)
{
    tw_cut *copy = NULL;
    if (n_cuts > 0) {
        copy = tw_alloc(n_cuts * sizeof *copy);
        if (copy == NULL)
            return tw_no_memory(error, n_cuts * sizeof *copy);
        memcpy(copy, cut, n_cuts * sizeof *copy);
    }
    (void)pthread_mutex_lock(&self->mutex);
    tw_free(self->request.cut);
    self->request = (seek_request){split, position, line, copy, n_cuts};
    (void)atomic_fetch_add(&self->wanted_generation, 1);
    (void)pthread_mutex_unlock(&self->mutex);
    return TW_STATUS_OK;
}

uint64_t tw_pump_pass(const tw_pump *self)
{
    return atomic_load(&self->pass);
}

uint64_t tw_pump_backlog(const tw_pump *self)
{
    return atomic_load(&self->backlog);
}

void tw_pump_stop(tw_pump **self)
{
    tw_pump *pump = *self;
    if (pump == NULL)
        return;
    *self = NULL;
    atomic_store(&pump->is_stopping, true);
    if (pump->full != NULL)
        tw_queue_close(pump->full);
    if (pump->idle != NULL)
        tw_queue_close(pump->idle);
    if (pump->is_started)
        (void)pthread_join(pump->thread, NULL);
    tw_queue_destroy(&pump->full);
    tw_queue_destroy(&pump->idle);
    (void)pthread_mutex_destroy(&pump->mutex);
    tw_free(pump->request.cut);
    tw_free(pump->work);
    tw_free(pump);
}
