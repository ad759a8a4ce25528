#include "engine/turnstile.h"

void tw_turnstile_init(tw_turnstile *self)
{
    (void)pthread_mutex_init(&self->mutex, NULL);
    (void)pthread_cond_init(&self->turned, NULL);
    self->next_ticket = 0;
    self->now_serving = 0;
}

void tw_turnstile_fini(tw_turnstile *self)
{
    (void)pthread_cond_destroy(&self->turned);
    (void)pthread_mutex_destroy(&self->mutex);
}

void tw_turnstile_enter(tw_turnstile *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    uint64_t ticket = self->next_ticket++;
    while (self->now_serving != ticket)
        (void)pthread_cond_wait(&self->turned, &self->mutex);
    (void)pthread_mutex_unlock(&self->mutex);
}

void tw_turnstile_leave(tw_turnstile *self)
{
    (void)pthread_mutex_lock(&self->mutex);
    self->now_serving++;
    bool has_waiters = self->now_serving != self->next_ticket;
    if (has_waiters)
        (void)pthread_cond_broadcast(&self->turned);
    (void)pthread_mutex_unlock(&self->mutex);
}
