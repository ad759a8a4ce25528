/* world.h: the state of one simulated run, its random numbers, and the wires between workers and shards. */
#ifndef TW_TESTS_SIMULATION_WORLD_H
#define TW_TESTS_SIMULATION_WORLD_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "base/hash.h"
#include "disk.h"
#include "ps/coordinator/coordinator.h"
#include "ps/edge/own_files.h"
#include "ps/shard/shard.h"
#include "ps/shard/standby.h"
#include "ps/worker/claim.h"
#include "ps/worker/membership.h"
#include "ps/worker/remote.h"

enum {
    MAX_SHARDS = 3,
    MAX_SIDES = 2, /* processes of a shard: the one that serves and its standby */
    MAX_SHARES = 3,
    MAX_SPLITS = 5,
    MAX_EVENTS = 48,
    MAX_LIVES = 96, /* of workers, over the whole run */
    MAX_QUEUE = 512,
    STACK_SIZE = 192 << 10,
    FAULT_STEPS = 2500,
    MAX_STEPS = 400000,
    SHARED_KEYS = 6,
    EVENT_KEYS = 3,
};

typedef struct letter {
    unsigned char *bytes;
    size_t size;
} letter;

/* One direction of one connection; in order. */
typedef struct wire {
    letter queue[MAX_QUEUE];
    uint32_t first, count;
} wire;

typedef enum life_state { LIFE_NONE, LIFE_RUNS, LIFE_OVER } life_state;

struct simulation;

/* One life of a worker process. */
typedef struct life {
    tw_link link;
    struct simulation *simulation;
    uint32_t number, share;
    life_state state;
    bool is_killed, has_finished, is_replaced;
    bool is_saver;                     /* the owner: saver.h */
    atomic_bool is_paused;             /* as tw_member_pause */
    bool is_seated;                    /* it learns */
    int64_t seat_asked_us;             /* last */
    uint64_t n_lost_at_look;           /* shards lost when its last look at them began, and 1 */
    int64_t asleep_until_us, clock_us; /* its clock is so far ahead */
    uint64_t born_lost;                /* shards that were lost before */
    ucontext_t context;
    unsigned char *given;
    tw_membership member;          /* of the coordinator's, where there is one */
    uint32_t map_version;          /* of its map, as last followed */
    uint64_t n_promotions_at_over; /* when it was told last that all is over */
    wire to_coordinator, by_coordinator, from_coordinator;
    uint32_t side[MAX_SHARDS]; /* the address that it talks to */
    wire to_shard[MAX_SHARDS][MAX_SIDES], to_worker[MAX_SHARDS][MAX_SIDES], inbox[MAX_SHARDS];
} life;

/* One process of a shard. */
/* Where a process of a shard stood when it was cut last. */
typedef struct sim_cut {
    uint64_t id, mark[MAX_SPLITS];
} sim_cut;

typedef struct sim_node {
    struct simulation *simulation;
    uint32_t index, side;
    tw_shard *shard;       /* NULL: dead */
    tw_standby *standby;   /* NULL: it serves, or did */
    uint64_t epoch, model; /* since it took over; 0: it did not */
    int64_t next_tell_us, asleep_until_us;
    wire to_other; /* frames to the other process of its shard */
    /* The snapshot that is being written, as the server's edge does it. */
    char directory[8];
    tw_frozen *frozen;
    uint64_t job_id, last_id;
    tw_own_files own;
    sim_cut cut;
} sim_node;

/* A shard, and what its supervisor knows. */
typedef struct sim_shard {
    sim_node node[MAX_SIDES];
    uint32_t serving;
    uint64_t epoch;
    bool is_promoting; /* the other one was asked, and may have taken over */
} sim_shard;

/* What the coordinator knows of a process of a shard, since its own start. */
typedef struct sim_heard {
    bool is_heard, serves;
    int64_t at_us;
    uint64_t epoch, incarnation;
} sim_heard;

typedef struct simulation {
    uint64_t random;
    int64_t now_us;
    uint32_t n_sides; /* 2: every shard has a standby */
    bool is_sync;
    int64_t step_us;
    uint32_t n_shards, n_shares, n_splits, n_lives;
    uint32_t n_events[MAX_SPLITS];
    bool has_rounds; /* limited staleness */
    bool has_seats;  /* workers keep the flight rule */
    int64_t calm_us; /* since when there are no faults; 0: there are */
    uint64_t n_lost_at_calm;
    uint64_t n_seated; /* times that seats were fewer than workers and counted */
    uint32_t staleness;
    bool has_coordinator;
    tw_coordinator *coordinator; /* NULL: away */
    int64_t coordinator_back_us, wall_us;
    uint32_t n_coordinators, n_all_shares;              /* shares of the input that it gives */
    int64_t coordinator_born_us, coordinator_turned_us; /* since when it listens */
    uint32_t told_side[MAX_SHARDS];                     /* where it believes that shards are, and since which epoch */
    uint64_t told_epoch[MAX_SHARDS], told_incarnation[MAX_SHARDS];
    uint64_t highest[MAX_SHARDS]; /* epoch that it heard of, or had given */
    sim_heard heard[MAX_SHARDS][MAX_SIDES];
    uint64_t n_fenced, n_final, n_lost_seen;
    uint64_t n_lost_at_end; /* of the latest life that ended by itself */
    uint64_t n_cuts;        /* named checkpoints */
    uint32_t n_deltas;      /* snapshots between two that hold every row */
    bool is_lossy;          /* keys are admitted late and expire */
    uint32_t chance;        /* of a fault in a step, of 65536 */
    bool has_faults;
    tw_table_spec spec;
    sim_shard shard[MAX_SHARDS];
    life *life[MAX_LIVES];
    ucontext_t scheduler;
    uint64_t incarnation, shard_deaths;
    uint64_t n_faults, n_steps, n_pushes, n_snapshots, n_restored, n_fallbacks, n_promotions;
    char failure[600];
} simulation;

static inline uint64_t draw(simulation *self, uint64_t below)
{
    self->random += 0x9e3779b97f4a7c15ull;
    return tw_mix64(self->random) % below;
}

static inline void fail(simulation *self, const char *what, long long a, long long b)
{
    if (self->failure[0] == '\0')
        (void)snprintf(self->failure, sizeof self->failure, "%s (%lld, %lld)", what, a, b);
}

/* --- wires -------------------------------------------------------------------------------------------------------- */

static inline void wire_put(wire *self, const void *bytes, size_t size)
{
    if (self->count == MAX_QUEUE)
        return;
    letter *place = &self->queue[(self->first + self->count++) % MAX_QUEUE];
    place->bytes = malloc(size > 0 ? size : 1);
    place->size = size;
    if (place->bytes == NULL)
        abort();
    memcpy(place->bytes, bytes, size);
}

static inline letter wire_take(wire *self)
{
    letter taken = self->queue[self->first];
    self->first = (self->first + 1) % MAX_QUEUE;
    self->count--;
    return taken;
}

static inline void wire_clear(wire *self)
{
    while (self->count > 0)
        free(wire_take(self).bytes);
}

/* Of a process of a shard. */
static inline const char *address_of(uint32_t side)
{
    return side == 0 ? "a" : "b";
}

/* Key `which` of event `event` (from 0) of a split: 0 is its own, the others are shared. */
uint64_t key_of(uint32_t split, uint32_t event, uint32_t which);

/* A new life of the worker of `share`; nothing when there were too many. is_beside: another process than the one
 * before, under a name of its own. */
void life_begin(simulation *self, uint32_t share, bool is_beside);
/* The owner, beside the workers. */
void life_begin_saver(simulation *self);
bool lives_somebody_of(const simulation *self, uint32_t share);

#endif
