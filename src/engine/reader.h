/* reader.h: turns the inputs of a pipeline, one after the other, into batches: reads chunks from a source, lets its
 * format decode them, closes a batch when it is full, when its split ends, at a cut, or when nothing more comes for
 * now. Thread rule: one thread; no reference to the model's rows. */
#ifndef TW_ENGINE_READER_H
#define TW_ENGINE_READER_H

#include "data/builder.h"
#include "data/plan.h"
#include "engine/splits.h"
#include "thalweg/format.h"
#include "thalweg/source.h"

/* One source with its format; everything is borrowed. */
typedef struct tw_input {
    const tw_source_ops *source;
    const tw_option_values *source_options;
    const tw_format_ops *format;
    const tw_option_values *format_options;
} tw_input;

typedef struct tw_reader_options {
    const tw_input *input; /* [n_inputs], read in sequence as one stream of splits */
    size_t n_inputs;
    uint64_t passes;         /* >= 1 */
    int64_t max_latency_us;  /* a batch with events waits at most this long for more */
    size_t max_record_bytes; /* a longer record is malformed */
    tw_plan *plan;           /* borrowed; this reader's own */
    uint64_t limit_events;   /* ends after so many events; 0: no limit; a seek lifts it */
} tw_reader_options;

/* A batch on its way, with what the learning side must know of its split. */
typedef struct tw_work {
    tw_builder *builder;
    uint64_t generation; /* of the seek that it was read under */
    bool is_split_done;  /* the split ends with this batch (in this pass) */
    tw_split split;      /* name and identity of the batch's split */
} tw_work;

/* A position at which a batch of `split` must end: a shard's mark, or where the sinks are. */
typedef struct tw_cut {
    uint64_t split, position;
    uint64_t line; /* lines before it; 0: unknown */
} tw_cut;

typedef struct tw_reader tw_reader;

/* `known` [n_known]: splits of a checkpoint with positions (splits.h); `pass`: the pass that they stand in. Opens the
 * first input. Copied. */
TW_MUST_USE tw_status tw_reader_create(const tw_reader_options *options,
    const tw_split *known,
    size_t n_known,
    uint64_t pass,
    tw_reader **out,
    tw_error *error);
void tw_reader_destroy(tw_reader **self);

/* Fills work->builder. OK: it holds something (events, malformed records or at least consumed bytes); IDLE: nothing
 * came within timeout_ms; END: all passes over all inputs are over. */
TW_MUST_USE tw_status tw_reader_next(tw_reader *self, tw_work *work, int timeout_ms, tw_error *error);

/* Goes on at `position` of `split` (line number `line`, 0: unknown); later splits follow from their start. */
TW_MUST_USE tw_status tw_reader_seek(
    tw_reader *self, uint64_t split, uint64_t position, uint64_t line, tw_error *error);

/* Replaces the cuts; copied. The lowest cut of a split that has not been read yet is where its first batch starts. */
TW_MUST_USE tw_status tw_reader_set_cuts(tw_reader *self, const tw_cut *cut, size_t n_cuts, tw_error *error);

/* Splits that the inputs know so far, with what was read of them (positions); borrowed. */
const tw_splits *tw_reader_splits(const tw_reader *self);
uint64_t tw_reader_pass(const tw_reader *self);
uint64_t tw_reader_backlog(const tw_reader *self); /* bytes that are there and unread; 0 if unknown */

/* After a durable checkpoint. */
void tw_reader_committed(tw_reader *self, const tw_split *split, size_t n_splits);

#endif
