/* children.h: the shards that a run starts for itself: processes of this program that live as long as it does,
 * restarted when they die, or replaced by their standbys. A shard that keeps ending by itself at once is given up after
 * a number of tries and named, one whose end is final at once; one that is killed from outside is started again however
 * often. */
#ifndef TW_CMD_CHILDREN_H
#define TW_CMD_CHILDREN_H

#include <stddef.h>

#include "thalweg/status.h"

typedef struct children children;

/* A second process for every shard, which holds a copy of it and takes over when it dies; a new one then stands by. */
typedef enum children_standby { STANDBY_NONE, STANDBY_ASYNC, STANDBY_SYNC } children_standby;

typedef struct children_options {
    uint32_t n_shards;
    const char *const *bind; /* [n_bind] addresses; n_bind 0: ipc in a directory of their own */
    uint32_t n_bind;
    const char *directory;      /* of checkpoints; NULL: none */
    uint64_t restore_id;        /* first start: rows of this checkpoint; 0: none */
    const char *init_directory; /* rows of checkpoint init_id there are what a shard starts from; NULL: none */
    uint64_t init_id;
    uint64_t newer_than; /* restarts: only row files above this id count */
    uint32_t keep, deltas;
    children_standby standby;
} children_options;

/* Starts all and the thread that watches them. The options are copied. */
TW_MUST_USE tw_status children_start(const children_options *options, children **out, tw_error *error);

/* [n_shards], for tw_remote_options; borrowed. */
const char *const *children_addresses(const children *self);

/* How many there are. */
uint32_t children_count(const children *self);

/* Times that a shard died and was started again, or its standby took over: it may have lost rows. Any thread. */
uint32_t children_restarts(const children *self);

/* OK while every shard runs or is being restarted; an error once one was given up: UNAVAILABLE, or that of
 * its exit code where this was final (child_end_is_final). Any thread. */
TW_MUST_USE tw_status children_check(children *self, tw_error *error);

/* Ends them and waits (child_end_all); removes the sockets. NULL-safe. */
void children_stop(children **self);

#endif
