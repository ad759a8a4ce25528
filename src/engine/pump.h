/* pump.h: the decode thread and the bounded queue of batches between it and the learning thread: back-pressure, never a
 * drop. All functions belong to the learning thread. */
#ifndef TW_ENGINE_PUMP_H
#define TW_ENGINE_PUMP_H

#include "engine/reader.h"

typedef struct tw_pump tw_pump;

/* Starts decoding. The reader belongs to the pump's thread until the pump is destroyed. rate_per_s 0: no limit. */
TW_MUST_USE tw_status tw_pump_start(tw_reader *reader,
    tw_builder *const *builder,
    uint32_t n_builders,
    double rate_per_s,
    tw_pump **out,
    tw_error *error);

/* The next batch. OK: *work is lent until tw_pump_return; IDLE: nothing within timeout_ms; END: everything was handed
 * out (a seek may follow); an error of the reader. Batches from before a seek are dropped inside. */
TW_MUST_USE tw_status tw_pump_next(tw_pump *self, tw_work **work, int timeout_ms, tw_error *error);
void tw_pump_return(tw_pump *self, tw_work *work);

/* Reads again from `position` of `split`, with these cuts (copied). Takes effect for all following tw_pump_next. */
TW_MUST_USE tw_status tw_pump_seek(
    tw_pump *self, uint64_t split, uint64_t position, uint64_t line, const tw_cut *cut, size_t n_cuts, tw_error *error);

/* The batch that the next tw_pump_next will hand out, if it is there already; else NULL. Lent until then. */
const tw_work *tw_pump_peek(tw_pump *self);

uint64_t tw_pump_pass(const tw_pump *self);
uint64_t tw_pump_backlog(const tw_pump *self);

/* Stops the thread and frees the pump; the reader and the builders are the caller's again. NULL-safe. */
void tw_pump_stop(tw_pump **self);

#endif
