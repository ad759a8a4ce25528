/* dataset_file.h: the form of a dataset's file, shared by dataset.c (reading) and dataset_make.c. Private.
 * Header, then sections at multiples of 64 bytes; the header is written last. */
#ifndef TW_ENGINE_DATASET_FILE_H
#define TW_ENGINE_DATASET_FILE_H

#include "engine/dataset.h"

enum { DATASET_VERSION = 1, DATASET_HEADER_SIZE = 512, DATASET_ALIGNMENT = 64 };

static const char dataset_magic[8] = {'T', 'W', 'E', 'V', 'E', 'N', 'T', 'S'};
static const uint64_t dataset_order = 0x0102030405060708ull; /* reads back only in the same byte order */

typedef enum dataset_part {
    PART_ROW_START,
    PART_COLUMN,
    PART_VALUE,
    PART_FIELD,
    PART_LABEL,
    PART_WEIGHT,
    PART_TIME,
    PART_DENSE,
    PART_KEY,
    PART_LARGEST,
    PART_SPLIT,
    PART_STATE,
    DATASET_N_PARTS,
} dataset_part;

typedef struct dataset_section {
    uint64_t offset, size, checksum;
} dataset_section;

typedef struct dataset_header {
    char magic[8];
    uint64_t order, version, fingerprint;
    uint64_t n_events, n_entries, n_columns, n_splits, dense_width, has_label;
    uint64_t events, bad_events, bytes;
    dataset_section section[DATASET_N_PARTS];
    uint64_t checksum; /* of the members before it */
} dataset_header;

/* Sets the sections' offsets and sizes by the counts; returns the size of the file. */
uint64_t dataset_lay_out(dataset_header *header, uint64_t state_size);

/* Maps and checks a file; `fingerprint` 0: any. NOT_FOUND; CONFLICT: of another fingerprint; CORRUPT says what. */
TW_MUST_USE tw_status dataset_map(
    const char *path, uint64_t fingerprint, uint64_t state_size, tw_dataset *out, tw_error *error);

/* Makes the file at options->path. */
TW_MUST_USE tw_status dataset_make(const tw_dataset_options *options, uint64_t fingerprint, tw_error *error);

/* Bytes of the transforms' blocks in a dataset. */
uint64_t dataset_state_size(const tw_model *model);

#endif
