/* generator.h: seeded event streams with a planted model, written as lines of text into the caller's memory.
 *
 * The same kind, seed and settings give the same bytes on every machine: random numbers are integers, real arithmetic
 * uses only operations that IEEE 754 rounds exactly. Line i depends on the settings and i alone, so a stream can start
 * anywhere, and several processes can each write a part of it.
 *
 * Thread rule: one thread at a time per generator; generators share nothing. */
#ifndef TW_GENERATORS_GENERATOR_H
#define TW_GENERATORS_GENERATOR_H

#include <stddef.h>

#include "thalweg/status.h"

/* A line and its newline fit into this many bytes, whatever the kind and settings. */
enum { TW_GENERATOR_LINE_SIZE = 512 };

typedef struct tw_generator tw_generator;

typedef struct tw_generator_settings {
    uint64_t seed;
    uint64_t first;       /* index of the first event */
    uint64_t drift_every; /* a tenth of the planted weights is drawn anew after so many events; 0: never */
    int64_t start_ms;     /* time of event 0, milliseconds since 1970 */
    uint32_t step_ms;     /* mean time between two events, at least 1 */
} tw_generator_settings;

/* Seed 1, from event 0, no drift, from 2024-01-01T00:00:00Z, 5 s between events. */
tw_generator_settings tw_generator_defaults(void);

typedef struct tw_generator_kind {
    const char *name, *summary;
    const char *format; /* name of the format that reads the lines */
} tw_generator_kind;

/* The kinds, in the order in which help shows them; NULL at `index` behind the last. */
const tw_generator_kind *tw_generator_kind_at(size_t index);

/* Opens the kind `name`. NOT_FOUND for an unknown name, with the names that exist; INVALID for a step of 0. */
TW_MUST_USE tw_status tw_generator_open(
    const char *name, const tw_generator_settings *settings, tw_generator **out, tw_error *error);

/* Writes the next line, newline included and without a terminating 0, and its size. A kind with a header gives it
 * first. INVALID when `capacity` is below TW_GENERATOR_LINE_SIZE. A stream never ends. */
TW_MUST_USE tw_status tw_generator_next(tw_generator *self, char *line, size_t capacity, size_t *size, tw_error *error);

/* NULL-safe, nulls. */
void tw_generator_close(tw_generator **self);

#endif
