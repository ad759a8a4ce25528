/* turnstile.h: a fair lock: threads get their turn in the order in which they came, so that a learner which takes it
 * batch after batch cannot starve a prediction, nor the other way round. Any thread. */
#ifndef TW_ENGINE_TURNSTILE_H
#define TW_ENGINE_TURNSTILE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct tw_turnstile {
    pthread_mutex_t mutex;
    pthread_cond_t turned;
    uint64_t next_ticket, now_serving;
} tw_turnstile;

void tw_turnstile_init(tw_turnstile *self);
void tw_turnstile_fini(tw_turnstile *self);
void tw_turnstile_enter(tw_turnstile *self);
void tw_turnstile_leave(tw_turnstile *self);

#endif
