/* sink.h: where scores go. A sink is written on the learning thread, in event order, once per event, also across a
 * resume: its position is in the checkpoint and it is cut back to it. */
#ifndef THALWEG_SINK_H
#define THALWEG_SINK_H

#include "thalweg/batch.h"
#include "thalweg/host.h"
#include "thalweg/learner.h"
#include "thalweg/options.h"

typedef struct tw_sink_ops {
    uint32_t abi_version, struct_size;
    const char *name, *summary;
    const tw_option *options;
    size_t (*state_size)(const tw_option_values *options);

    /* `position`: 0 starts a new file (an existing one is replaced), > 0 cuts the existing file to that length and
     * appends (CONFLICT when it is shorter). */
    tw_status (*open)(void *self,
        const tw_option_values *options,
        tw_task task,
        uint32_t n_outputs,
        uint64_t position,
        const tw_host *host,
        tw_error *error);

    /* prediction: [n_events x n_outputs]; for a binary task output 0 is the probability, in double so that 9 digits of
     * it are meaningful. May buffer. */
    tw_status (*write)(void *self, const tw_batch *batch, const double *prediction, tw_error *error);

    /* Everything written so far reaches the file system (and with `is_durable` the disk); `position` is the length. */
    tw_status (*flush)(void *self, bool is_durable, uint64_t *position, tw_error *error);

    void (*close)(void *self); /* does not flush */
} tw_sink_ops;

#endif
