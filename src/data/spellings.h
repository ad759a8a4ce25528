/* spellings.h: how the values behind the keys of facets are spelled: noted by the thread that decodes, looked up by the
 * one that evaluates. Bounded: the first so many values of each facet, texts cut at TW_SPELLING_MAX bytes (at the
 * beginning of a UTF-8 character). Any thread. */
#ifndef TW_DATA_SPELLINGS_H
#define TW_DATA_SPELLINGS_H

#include <stddef.h>

#include "thalweg/status.h"

enum { TW_SPELLING_MAX = 128 };

typedef struct tw_spellings tw_spellings;

/* limit: values kept of each facet, at least 1. */
TW_MUST_USE tw_status tw_spellings_create(uint32_t n_facets, uint32_t limit, tw_spellings **out, tw_error *error);
void tw_spellings_destroy(tw_spellings **self);

/* Keeps the text of a key that is new; without memory it is not kept. */
void tw_spellings_note(tw_spellings *self, uint32_t facet, uint64_t key, const char *text, size_t size);

/* A copy of the text, to be released with tw_free; NULL: not known, or no memory. */
char *tw_spellings_copy(tw_spellings *self, uint32_t facet, uint64_t key);

#endif
