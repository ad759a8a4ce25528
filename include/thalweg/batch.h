/* batch.h: the one currency between decoding and learning. Borrowed and read-only for everyone but the decoder that
 * fills it. All events of a batch come from one split and cover its offsets (from, to]. */
#ifndef THALWEG_BATCH_H
#define THALWEG_BATCH_H

#include "thalweg/status.h"

typedef struct tw_batch {
    uint32_t n_events, n_entries;
    const uint32_t *row_start; /* [n_events + 1]  event i owns entries row_start[i] .. row_start[i + 1] - 1 */
    const uint64_t *key;       /* [n_entries]     canonical key of the feature; never 0 */
    const float *value;        /* [n_entries]     finite */
    const uint16_t *field;     /* [n_entries]     column of the feature plan it came from */
    const float *label;        /* [n_events]      NaN: no label yet; binary tasks: 0 or 1 */
    const float *weight;       /* [n_events]      importance, finite, >= 0 */
    const int64_t *time_us;    /* [n_events]      event time, microseconds since 1970; INT64_MIN: unknown */
    const float *dense;        /* [n_events x dense_width] row-major; NULL unless the learner asked for a width */
    uint32_t dense_width;      /* elements in a dense row, also its stride; 0: none */
    const uint64_t *facet; /* [n_events x n_facets] key of the event's value in each field that evaluation asked for;
                              0: none */
    uint32_t n_facets;
    uint64_t split;     /* stable identity of the split */
    uint64_t from, to;  /* offsets (from, to] of the split that the batch covers, malformed records included */
    bool is_taken_over; /* no events but rows from elsewhere (import, warm start): every key is admitted, no tick */
} tw_batch;

#endif
