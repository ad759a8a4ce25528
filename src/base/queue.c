#include "base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/clock.h"

/* A turn of waiting takes some ten nanoseconds. */
enum { MIN_TURNS = 4, MAX_TURNS = 1024 };

struct tw_queue {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty, not_full;
    size_t capacity, head;
    _Atomic size_t count; /* changed with the mutex held, watched without */
    bool is_closed;
    atomic_uint turns; /* that a side waits awake before it sleeps */
    void *item[];
};

static void queue_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

tw_status tw_queue_create(size_t capacity, tw_queue **out, tw_error *error)
{
    size_t size = sizeof(tw_queue) + capacity * sizeof(void *);
    tw_queue *self = tw_alloc_zero(size);
    *out = self;
    if (self == NULL)
        return tw_no_memory(error, size);
    self->capacity = capacity;
    atomic_init(&self->turns, MAX_TURNS);
    (void)pthread_mutex_init(&self->mutex, NULL);
    queue_condition_init(&self->not_empty);
    queue_condition_init(&self->not_full);
    return TW_STATUS_OK;
}

void tw_queue_destroy(tw_queue **self)
{
    if (*self == NULL)
        return;
    (void)pthread_cond_destroy(&(*self)->not_full);
    (void)pthread_cond_destroy(&(*self)->not_empty);
    (void)pthread_mutex_destroy(&(*self)->mutex);
    tw_free(*self);
    *self = NULL;
}

static void queue_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Waits awake for a moment: putting a thread to sleep and waking it costs both sides more than a short wait. As long as
 * that does not help (one processor, or a slow other side) the moment shrinks to almost nothing. */
static void queue_wait_awake(tw_queue *self, size_t blocking_count, int timeout_ms)
{
    if (timeout_ms == 0 || atomic_load(&self->count) != blocking_count)
        return;
    unsigned turns = atomic_load_explicit(&self->turns, memory_order_relaxed), left = turns;
    while (left > 0 && atomic_load_explicit(&self->count, memory_order_relaxed) == blocking_count) {
        queue_pause();
        left--;
    }
    unsigned next = left > 0 ? turns * 2 : turns / 2;
    next = next < MIN_TURNS ? MIN_TURNS : next;
    atomic_store_explicit(&self->turns, next > MAX_TURNS ? MAX_TURNS : next, memory_order_relaxed);
}

/* Waits on `condition` until *blocked_at differs from the count or the queue closes; false: the time is over. */
static bool queue_wait(tw_queue *self, pthread_cond_t *condition, size_t blocking_count, int timeout_ms)
{
    struct timespec deadline = tw_clock_deadline(timeout_ms);
    while (self->count == blocking_count && !self->is_closed) {
        if (timeout_ms < 0)
            (void)pthread_cond_wait(condition, &self->mutex);
        else if (timeout_ms == 0 || pthread_cond_timedwait(condition, &self->mutex, &deadline) == ETIMEDOUT)
            return self->count != blocking_count || self->is_closed;
    }
    return true;
}

static tw_status queue_insert(tw_queue *self, void *item, bool is_first, int timeout_ms)
{
    tw_status status = TW_STATUS_OK;
    queue_wait_awake(self, self->capacity, timeout_ms);
    (void)pthread_mutex_lock(&self->mutex);
    if (!queue_wait(self, &self->not_full, self->capacity, timeout_ms)) {
        status = TW_STATUS_TIMEOUT;
    } else if (self->is_closed) {
        status = TW_STATUS_CANCELLED;
    } else {
        if (is_first)
            self->head = (self->head + self->capacity - 1) % self->capacity;
        self->item[is_first ? self->head : (self->head + self->count) % self->capacity] = item;
        self->count++;
        (void)pthread_cond_signal(&self->not_empty);
    }
    (void)pthread_mutex_unlock(&self->mutex);
    return status;
}

tw_status tw_queue_push(tw_queue *self, void *item, int timeout_ms)
{
    return queue_insert(self, item, false, timeout_ms);
}

tw_status tw_queue_push_first(tw_queue *self, void *item, int timeout_ms)
{
    return queue_insert(self, item, true, timeout_ms);
}

tw_status tw_queue_pop(tw_queue *self, void **item, int timeout_ms)
{
    tw_status status = TW_STATUS_OK;
    *item = NULL;
    queue_wait_awake(self, 0, timeout_ms);
    (void)pthread_mutex_lock(&self->mutex);
    if (!queue_wait(self, &self->not_empty, 0, timeout_ms)) {
        status = TW_STATUS_TIMEOUT;
    } else if (self->count == 0) {
        status = TW_STATUS_CANCELLED;
    } else {
        *item = self->item[self->head];
        self->head = (self->head + 1) % self->capacity;
        self->count--;
        (void)pthread_cond_signal(&self->not_full);
    }
    (void)pthread_mutex_unlock(&self->mutex);
    return status;
}

void tw_queue_close(tw_queue *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    self->is_closed = true;
    (void)pthread_cond_broadcast(&self->not_empty);
    (void)pthread_cond_broadcast(&self->not_full);
    (void)pthread_mutex_unlock(&self->mutex);
}

size_t tw_queue_count(tw_queue *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    size_t count = self->count;
    (void)pthread_mutex_unlock(&self->mutex);
    return count;
}
