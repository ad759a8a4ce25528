/* crew.h: the workers that a run starts for itself, one process each: they get shares of the input from a coordinator
 * in this process, learn into the same shards, and are started again when they die; the shards' marks say where each
 * goes on. A worker that keeps ending by itself at once is given up and named. One thread. */
#ifndef TW_CMD_CREW_H
#define TW_CMD_CREW_H

#include <stdbool.h>
#include <stddef.h>

#include "ps/edge/coordinator_server.h"

enum { CREW_MAX_WORKERS = 64 };

typedef struct crew crew;

typedef struct crew_options {
    uint32_t n_workers;       /* 2 .. CREW_MAX_WORKERS */
    const char *pipeline;     /* canonical text */
    const char *const *shard; /* [n_shards] addresses */
    uint32_t n_shards;
    bool is_static;        /* worker I reads share I of N for good, without the coordinator: rounds are kept */
    bool can_save;         /* somebody serves the coordinator's named checkpoints */
    const char *directory; /* of checkpoints: the coordinator's address stands in its file `coordinator`; NULL: none */
    void (*lost)(void *context, const char *figures_path); /* a worker is started again, and its figures begin anew */
    void *context;
} crew_options;

/* Writes the pipeline file and starts all. The options are copied but for the addresses, which are borrowed. */
TW_MUST_USE tw_status crew_start(const crew_options *options, crew **out, tw_error *error);

/* OK: some still work; END: all have finished; an error: one was given up, or ended for good (child_end_is_final): its
 * cause and its exit code then are the run's. Never waits. */
TW_MUST_USE tw_status crew_poll(crew *self, int *code, tw_error *error);

/* Gives the workers their shares. Borrowed. */
tw_coordinator_server *crew_coordinator(const crew *self);

bool crew_is_finished(const crew *self, uint32_t index);

/* Asks all to end and waits (child_end_all); what they leave stays until crew_stop. Returns how many had to be killed:
 * their figures are the last that they left, and what they had not pushed is not learned. */
uint32_t crew_end(crew *self);

/* Where worker `index` leaves its figures, while it learns and when it finishes (crew_figures.h). */
void crew_figures_path(const crew *self, uint32_t index, char *path, size_t size);

/* Times that a worker was started again. */
uint32_t crew_restarts(const crew *self);

/* Asks them to end, waits, removes the files. NULL-safe. */
void crew_stop(crew **self);

#endif
