/* portable.h: a whole model as text, for other programs and for `model import`: one JSON value a line.
 *
 *   head    {"thalweg_model": 1, "learner", "version", "events", "created_us", "table": "exact"|"hashed", "bits",
 *           "hash_seed", "schema": {"row": [FIELD...], "blocks": [{"name", "count", "record": [FIELD...]}...]},
 *           "pipeline": the canonical text}; FIELD is {"name", "type", "count", "merge", "init", "value"}
 *   blocks  {"block", "index", "record": {FIELD: VALUE...}}, every record of every block in order
 *   rows    {"key": 16 hex digits, "index" (of an integer feature), "weight" (for people, not read), "row": {...}},
 *           ascending by key
 *   end     {"rows", "blocks", "checksum": XXH3-64 of all bytes before this line, in hex}; without "checksum" a file
 *           that was changed by hand is read too
 * VALUE: a number that reads back equal, an array of `count` of them; integers above 2^53 and floats that are not
 * finite are texts: decimal digits, or 0x and the bits in hex. */
#ifndef TW_STORE_PORTABLE_H
#define TW_STORE_PORTABLE_H

#include "store/checkpoint.h"

enum { TW_PORTABLE_FORMAT = 1, TW_PORTABLE_MAX_LINE = 64 << 20, TW_PORTABLE_NAME_SIZE = 256 };

typedef struct tw_portable_counts {
    uint64_t rows, blocks, bytes;
} tw_portable_counts;

typedef struct tw_portable_output {
    tw_status (*write)(void *context, const char *bytes, size_t size, tw_error *error);
    double (*weight)(const void *context, const void *row); /* NULL: none */
    void *context;                                          /* of both */
} tw_portable_output;

/* Writes the rows of `params` with learner, id, events, time and pipeline of `manifest`. Memory: 8 bytes a row beside
 * the rows. Between batches, on the thread of `params`. */
TW_MUST_USE tw_status tw_portable_write(tw_params *params,
    const tw_manifest *manifest,
    const tw_portable_output *output,
    tw_portable_counts *counts,
    tw_error *error);

typedef struct tw_portable_input {
    /* Up to `size` bytes; *n_read 0 at the end. */
    tw_status (*read)(void *context, char *bytes, size_t size, size_t *n_read, tw_error *error);
    void *context;
    const char *name; /* for errors; copied */
} tw_portable_input;

typedef struct tw_portable_reader tw_portable_reader;

typedef struct tw_portable_head {
    char learner[TW_NAME_SIZE];
    uint64_t version, events;
    int64_t created_us;
    tw_table_spec spec;
    char *pipeline; /* terminated */
    size_t pipeline_size;
} tw_portable_head;

/* Reads the head. CORRUPT names the line and the reason, as does every error of the file. */
TW_MUST_USE tw_status tw_portable_open(const tw_portable_input *input, tw_portable_reader **out, tw_error *error);
void tw_portable_close(tw_portable_reader **self);
const tw_portable_head *tw_portable_head_of(const tw_portable_reader *self);

/* Puts all blocks and rows into `params`, a local store made by `spec` and still empty, and the events learned.
 * CONFLICT names what differs between `spec` and the head. After an error `params` is to be thrown away. */
TW_MUST_USE tw_status tw_portable_load(tw_portable_reader *self,
    const tw_table_spec *spec,
    tw_params *params,
    tw_portable_counts *counts,
    tw_error *error);

#endif
