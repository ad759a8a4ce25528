/* queue.h: a bounded queue of pointers between two threads (one producer, one consumer). It blocks, and never drops. */
#ifndef TW_BASE_QUEUE_H
#define TW_BASE_QUEUE_H

#include <stddef.h>

#include "thalweg/status.h"

typedef struct tw_queue tw_queue;

TW_MUST_USE tw_status tw_queue_create(size_t capacity, tw_queue **out, tw_error *error);
void tw_queue_destroy(tw_queue **self);

/* OK; TIMEOUT after timeout_ms (< 0: wait for ever, 0: do not wait); CANCELLED once the queue is closed. */
TW_MUST_USE tw_status tw_queue_push(tw_queue *self, void *item, int timeout_ms);
/* As push, but the item is the next that pop gives: what was used last is used first, while it is in the cache. */
TW_MUST_USE tw_status tw_queue_push_first(tw_queue *self, void *item, int timeout_ms);
/* As push. A closed queue still hands out what is in it, then says CANCELLED. */
TW_MUST_USE tw_status tw_queue_pop(tw_queue *self, void **item, int timeout_ms);

void tw_queue_close(tw_queue *self);   /* wakes both sides; any thread */
size_t tw_queue_count(tw_queue *self); /* any thread */

#endif
