/* rounds.h: how far the workers of one model may be apart, as every shard keeps it for itself. A round of a worker is
 * one batch or slice: pulled, learned, pushed. Rounds count from 1; a worker's clock is the round that it is in, and
 * grows by one when its push of that round counts. Pure: numbers and time in, answers out.
 *
 * With staleness s a pull of round r waits until the clock of every other worker is at least r - s (stale synchronous
 * parallel). With s = 0 (bulk synchronous) the shard moreover keeps the pushes of a round and applies them in the order
 * of the workers' numbers when all are there, so that everybody starts a round from the same rows and two runs end with
 * the same bits. A push of a round below the clock of its place is not kept but counts at once: a successor may begin
 * so, when the shards that it met first had forgotten its predecessor. Unlimited: no clocks are kept.
 *
 * A worker has a place by its number. When all have finished and nobody was heard of for TW_ROUNDS_SILENT_S, the next
 * to come begins a new go of all of them. Nobody's place is given up because of time, but in a shard that came back
 * among workers which were under way: who had finished before will not come. A worker that died is waited for until its
 * successor takes the place, at the same clock; one that has finished leaves. */
#ifndef TW_PS_ROUNDS_H
#define TW_PS_ROUNDS_H

#include "ps/wire/round.h"

#define TW_ROUNDS_LAST (UINT32_MAX - 1) /* no worker may say that it is further: the next is still a number */
enum { TW_ROUNDS_MAX_WORKERS = 1024, TW_ROUNDS_SILENT_S = 60 };

typedef struct tw_round_place {
    uint64_t birth; /* of the process that holds it; 0: nobody has come yet */
    int64_t heard_us;
    uint32_t clock;
    bool is_done;   /* finished, or given up */
    bool is_staged; /* its push of the round waits for the others' */
} tw_round_place;

typedef struct tw_rounds {
    uint32_t count, staleness; /* count 0: nobody keeps rounds */
    tw_round_place *place;     /* [count] */
    bool is_resumed;           /* workers came who were under way: this shard was started again */
    int64_t given_up_us;       /* resumed: when places that nobody took are given up */
    uint32_t barrier;          /* what belongs to a round behind it waits until the rows are cut; 0: none */
} tw_rounds;

void tw_rounds_fini(tw_rounds *self); /* also: everybody begins anew */

/* A worker comes (again). clock: the round that it is in, 0: it has not read a row yet. Returns its clock here in
 * *clock. CONFLICT: another number of workers or staleness than those who work here (and were heard of in the last
 * TW_ROUNDS_SILENT_S), or a younger process has its place. */
TW_MUST_USE tw_status tw_rounds_join(
    tw_rounds *self, const tw_round_member *who, int64_t now_us, int64_t grace_us, uint32_t *clock, tw_error *error);

static inline bool tw_rounds_is_bulk(const tw_rounds *self)
{
    return self->count > 0 && self->staleness == 0;
}

/* The process of this birth still holds its place. */
bool tw_rounds_holds(const tw_rounds *self, uint32_t index, uint64_t birth);

void tw_rounds_hear(tw_rounds *self, uint32_t index, int64_t now_us);

/* The worker is in round `clock`, or further already. */
void tw_rounds_advance(tw_rounds *self, uint32_t index, uint32_t clock);
/* It has finished, or is given up. */
void tw_rounds_leave(tw_rounds *self, uint32_t index);

/* Whether the worker may read rows in round `clock`; if not, *culprit is who is waited for. */
bool tw_rounds_may_read(const tw_rounds *self, uint32_t index, uint32_t clock, uint32_t *culprit);

/* The round of whoever is furthest of those who have not finished; 0: nobody keeps rounds. */
uint32_t tw_rounds_highest(const tw_rounds *self);
/* A barrier: rows are cut where the pushes of all rounds up to it count, and none behind it. */
bool tw_rounds_is_beyond(const tw_rounds *self, uint32_t clock);
/* Whether nobody who is waited for has a push up to the barrier to come; if not, *culprit is the slowest who has. */
bool tw_rounds_is_past(const tw_rounds *self, uint32_t *culprit);

/* How many with a smaller number learn in round `clock`, whether they have come or not: who leaves in that round still
 * counts, so that in a bulk round all shards answer alike. */
uint32_t tw_rounds_rank(const tw_rounds *self, uint32_t index, uint32_t clock);

/* Bulk: its push of round `clock` is there. The push is lost with its session. */
void tw_rounds_stage(tw_rounds *self, uint32_t index, uint32_t clock);
void tw_rounds_unstage(tw_rounds *self, uint32_t index);
/* Whether the round that the last workers are in is complete: the staged pushes of *round are to be applied, in the
 * order of the places, each followed by tw_rounds_advance to *round + 1. If not, *culprit is who is waited for. */
bool tw_rounds_is_complete(const tw_rounds *self, uint32_t *round, uint32_t *culprit);

/* Workers may be under way: who does not come is given up after a while. */
void tw_rounds_resume(tw_rounds *self, int64_t now_us, int64_t grace_us);

/* Gives up places that are due; true: there were some. */
bool tw_rounds_tick(tw_rounds *self, int64_t now_us);

#endif
