/* alloc.h: the only place that allocates. Every function returns NULL on failure; errors are the caller's to report. */
#ifndef TW_BASE_ALLOC_H
#define TW_BASE_ALLOC_H

#include <stddef.h>

#include "thalweg/status.h"

void *tw_alloc(size_t size);      /* uninitialised */
void *tw_alloc_zero(size_t size); /* zeroed */
void *tw_realloc(void *memory, size_t size);
void *tw_alloc_aligned(size_t alignment, size_t size); /* zeroed; alignment is a power of two; release by tw_free */
char *tw_strdup(const char *text);
char *tw_strndup(const char *text, size_t size);
void tw_free(void *memory); /* NULL-safe */

/* Zeroed pages from the system, on huge pages where it gives them; for tables. Sizes must match. */
void *tw_map_pages(size_t size);
void tw_unmap_pages(void *memory, size_t size);

/* Grows `*array` of `*capacity` elements to at least `needed`, at least doubling. NO_MEMORY leaves it as it was. */
TW_MUST_USE tw_status tw_grow(void *array, size_t element_size, size_t *capacity, size_t needed, tw_error *error);

/* The NO_MEMORY error with the size that was wanted. */
static inline tw_status tw_no_memory(tw_error *error, size_t size)
{
    (void)tw_error_set(error, TW_STATUS_NO_MEMORY, "out of memory: %zu bytes could not be allocated", size);
    return TW_STATUS_NO_MEMORY;
}

#endif
