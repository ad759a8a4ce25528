/* dataset.h: the decoded events of bounded inputs as one matrix in a mapped file: what batch solvers fit and what the
 * learner's own passes read. Made once through the reader, the feature plan and the transforms of online learning; the
 * sums of a transform are learned first, over all events, and the values are transformed by the final sums.
 *
 * Memory while it is made: at most 64 bytes a distinct key and buffers of fixed size; events go through a spill file
 * without a name. The file is named once it is whole, and its parts carry checksums. It is a cache of one machine
 * (native byte order and structures), not for exchange. One thread at a time. */
#ifndef TW_ENGINE_DATASET_H
#define TW_ENGINE_DATASET_H

#include <stdatomic.h>

#include "engine/model.h"
#include "engine/reader.h"
#include "thalweg/solver.h"

/* Called for every decoded batch, before anything is changed in it: for counts and malformed records. */
typedef tw_status (*tw_dataset_visit)(void *context, const tw_work *work, tw_error *error);

typedef struct tw_dataset_options {
    const tw_model *model; /* its plan, transforms and table; rows are not touched */
    const tw_input *input; /* [n_inputs] bounded ones */
    size_t n_inputs;
    size_t max_record_bytes;
    uint64_t fingerprint; /* of the pipeline as far as it decides the events */
    const char *path;
    bool is_temporary;      /* the file has no name any more once it is mapped; nothing is reused */
    bool wants_bad_records; /* a file whose inputs held malformed records is made again, so that `visit` sees them */
    tw_dataset_visit visit; /* may be NULL; not called for a file that is reused */
    void *context;
    const atomic_bool *stop; /* set: CANCELLED; may be NULL */
} tw_dataset_options;

typedef struct tw_dataset {
    tw_matrix matrix;       /* columns are keys in ascending order */
    const uint64_t *key;    /* [n_columns] hashed tables: keys of one row are one column, made of the row's index */
    const float *largest;   /* [n_columns] largest |value| of the column */
    const uint16_t *field;  /* [n_entries] */
    const int64_t *time_us; /* [n_events] */
    const tw_split *split;  /* [n_splits] as far as they were read; offsets are positions of pass 0 */
    size_t n_splits;
    const unsigned char *state; /* records of the transforms' blocks, one block after the other */
    size_t state_size;
    uint64_t events, bad_events, bytes; /* decoded; those without label or with weight 0 are not in the matrix */
    uint64_t checksum;                  /* of the whole content */
    bool is_reused;
    const void *map;
    size_t map_size;
} tw_dataset;

/* Opens the file if it was made from the same inputs (files by name, size and time of change) and fingerprint, else
 * makes it anew; a file that cannot be used is named in a warning to the log. CANCELLED, errors of the reader, BUSY:
 * another run is making it, CONFLICT: `path` is a file of something else, which is left as it is. */
TW_MUST_USE tw_status tw_dataset_open(const tw_dataset_options *options, tw_dataset *out, tw_error *error);
void tw_dataset_close(tw_dataset *self); /* safe on a zeroed one */

/* Some events as a batch. Zeroed is empty; release with tw_dataset_batch_fini. */
typedef struct tw_dataset_batch {
    tw_batch view; /* split, from and to are the caller's business */
    uint32_t *row_start;
    uint64_t *key;
    float *value, *label, *weight, *dense;
    uint16_t *field;
    int64_t *time_us;
    size_t event_capacity, entry_capacity;
} tw_dataset_batch;

/* Copies events event[0 .. n) of the matrix, in that order. Events without labels get NaN. */
TW_MUST_USE tw_status tw_dataset_gather(
    const tw_dataset *self, const uint64_t *event, uint32_t n, tw_dataset_batch *out, tw_error *error);
void tw_dataset_batch_fini(tw_dataset_batch *self);

#endif
