/* page_pool.h: memory of a table whose runs come and go, carved from few large mappings, so that all of it lies on huge
 * pages where the system gives them: on small ones nearly every access to a large table waits for the address of its
 * page. A run goes to the lowest place that has room. All functions may be called from any thread. */
#ifndef TW_BASE_PAGE_POOL_H
#define TW_BASE_PAGE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tw_page_pool tw_page_pool;

/* The `first` bytes, rounded up, lie on small pages, so that a small table needs no more memory than its runs; where
 * there are more bytes, the rest lies on huge ones. NULL: no memory. */
tw_page_pool *tw_page_pool_create(size_t first);
/* With all of its memory, given back or not; NULL-safe. */
void tw_page_pool_destroy(tw_page_pool **self);

/* Zeroed, aligned to 64 bytes. NULL: size is 0 or there is no memory. */
void *tw_page_pool_take(tw_page_pool *self, size_t size);
/* Of the size it was taken with; NULL-safe. Mappings without a run, and huge pages in a large gap, go back to the
 * system. */
void tw_page_pool_give(tw_page_pool *self, void *memory, size_t size);

/* True: gaps make up more than a sixteenth of what is taken, and the run at `from` lies behind one and is to move
 * there: of all gaps, if any is, one with no more than `most` bytes between it and the next. The caller knows the run
 * and its size. */
bool tw_page_pool_is_scattered(tw_page_pool *self, size_t most, void **from);
/* Moves the run to where the gap before it begins by now: what other threads give may have made it longer. Its new
 * place; `from`: there is no gap. */
void *tw_page_pool_move(tw_page_pool *self, void *from, size_t size);

/* Bytes of the mappings, taken or not. */
uint64_t tw_page_pool_mapped(tw_page_pool *self);

#endif
