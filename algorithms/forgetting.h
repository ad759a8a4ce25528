/* forgetting.h: a half-life that learners apply lazily, row by row. What must fade stands in fields with the merge rule
 * TW_MERGE_FADE beside a field "tick"; a block "clock" says how late it is. A learner brings a record to the present
 * before it changes it and never touches the others.
 *
 *   value at tick t = value x 2^-((t - tick) / TW_TICKS_PER_HALF_LIFE)
 *   tick of event i = events learned so far, i included, over `half_life`; or the newest event time over
 *                     `half_life_time`; plus what `hasten` added; in units of 1 / TW_TICKS_PER_HALF_LIFE
 *
 * Tick 0, of new records and of those that are written before any event time is known, is no time: nothing fades from
 * it. Time never runs backwards: an event older than the newest one is learned as of the newest. So is an event without
 * a time; while no event had one, it is refused. Several workers: events learned add up, the newest time is the
 * largest. Ticks end after 2^37 half-lives; then nothing more is forgotten. Pure; any thread. */
#ifndef TW_ALGORITHMS_FORGETTING_H
#define TW_ALGORITHMS_FORGETTING_H

#include "math/function.h"
#include "thalweg/learner.h"

#define TW_FORGETTING_OPTIONS                                                                                          \
    {.name = "half_life",                                                                                              \
        .type = TW_OPTION_REAL,                                                                                        \
        .fallback = "0",                                                                                               \
        .min = 0,                                                                                                      \
        .max = 1e15,                                                                                                   \
        .help = "events after which what was learned counts half; 0 forgets nothing"},                                 \
    {                                                                                                                  \
        .name = "half_life_time", .type = TW_OPTION_DURATION, .fallback = "0s", .min = 0, .max = 1e18,                 \
        .help = "event time after which what was learned counts half; 0s forgets nothing"                              \
    }

typedef struct tw_forgetting {
    double ticks_per_event, ticks_per_us; /* at most one of them is not 0 */
    uint32_t block;
} tw_forgetting;

/* The record of the block "clock". newest: time in microseconds + 2^63, 0 before any. */
typedef struct tw_forgetting_clock {
    uint64_t events, newest, hastened;
} tw_forgetting_clock;

static inline bool tw_forgetting_is_on(const tw_forgetting *self)
{
    return self->ticks_per_event > 0.0 || self->ticks_per_us > 0.0;
}

static inline tw_status tw_forgetting_add_clock(tw_schema *schema, tw_error *error)
{
    tw_block *clock = tw_schema_add_block(schema, "clock", 1, error);
    tw_status status = clock != NULL ? TW_STATUS_OK : TW_STATUS_INVALID;
    status = status ? status : tw_record_add(&clock->record, "events", TW_FIELD_U64, 1, TW_MERGE_ADD, error);
    status = status ? status : tw_record_add(&clock->record, "newest", TW_FIELD_U64, 1, TW_MERGE_MAX, error);
    return status ? status : tw_record_add(&clock->record, "hastened", TW_FIELD_U64, 1, TW_MERGE_ADD, error);
}

/* Reads the options and, if they ask for forgetting, adds the block "clock". `name` is the learner's. */
static inline tw_status tw_forgetting_open(
    tw_forgetting *self, const char *name, const tw_option_values *options, tw_schema *schema, tw_error *error)
{
    double half_life = tw_option_real(options, "half_life"), time = (double)tw_option_int(options, "half_life_time");
    *self = (tw_forgetting){.block = schema->n_blocks};
    if (half_life > 0.0 && time > 0.0)
        return tw_error_set(error, TW_STATUS_INVALID, "%s: give half_life or half_life_time, not both", name);
    if ((half_life > 0.0 && half_life < 1.0) || (time > 0.0 && time < 100000.0))
        return tw_error_set(error, TW_STATUS_INVALID, "%s: %s %g is below the limit of %s", name,
            time > 0.0 ? "half_life_time in us" : "half_life", time > 0.0 ? time : half_life,
            time > 0.0 ? "100000 (100ms)" : "1 event");
    self->ticks_per_event = half_life > 0.0 ? TW_TICKS_PER_HALF_LIFE / half_life : 0.0;
    self->ticks_per_us = time > 0.0 ? TW_TICKS_PER_HALF_LIFE / time : 0.0;
    if (!tw_forgetting_is_on(self))
        return TW_STATUS_OK;
    return tw_forgetting_add_clock(schema, error);
}

/* The clock after event i of the batch was learned; the one of `rows` is left alone, so that a failed event does not
 * count. INVALID for an event without time where only time would move the clock and no event had one. */
static inline tw_status tw_forgetting_advance(const tw_forgetting *self,
    const char *name,
    const tw_rows *rows,
    const tw_batch *batch,
    uint32_t i,
    tw_forgetting_clock *out,
    tw_error *error)
{
    *out = *(const tw_forgetting_clock *)rows->block[self->block];
    out->events++;
    uint64_t time = (uint64_t)batch->time_us[i] + ((uint64_t)1 << 63);
    out->newest = time > out->newest ? time : out->newest;
    if (self->ticks_per_us > 0.0 && out->newest == 0)
        return tw_error_set(error, TW_STATUS_INVALID,
            "%s: event %u of the batch has no event time, nor had one before it; half_life_time needs a time column",
            name, i);
    return TW_STATUS_OK;
}

static inline uint64_t tw_forgetting_tick(const tw_forgetting *self, const tw_forgetting_clock *clock)
{
    const double limit = 0x1p61;
    double ticks = (double)clock->events * self->ticks_per_event;
    if (self->ticks_per_us > 0.0)
        ticks = (double)(int64_t)(clock->newest - ((uint64_t)1 << 63)) * self->ticks_per_us;
    if (self->ticks_per_us > 0.0 && clock->newest == 0)
        return 0;
    ticks = ticks < limit ? ticks : limit;
    ticks = ticks > -limit ? ticks : -limit;
    return ((uint64_t)1 << 62) + (uint64_t)(int64_t)ticks + clock->hastened;
}

/* The tick of now, for records that are written outside `learn`. */
static inline uint64_t tw_forgetting_now(const tw_forgetting *self, const tw_rows *rows)
{
    return tw_forgetting_tick(self, rows->block[self->block]);
}

/* How much of a record's fading fields is left at `now`. */
static inline double tw_forgetting_kept(uint64_t tick, uint64_t now)
{
    if (now <= tick || tick == 0)
        return 1.0;
    return tw_exp((double)(now - tick) * (-0.69314718055994531 / TW_TICKS_PER_HALF_LIFE));
}

/* tw_learner_ops.hasten. */
static inline bool tw_forgetting_hasten(const tw_forgetting *self, const tw_rows *rows, double half_lives)
{
    if (!tw_forgetting_is_on(self))
        return false;
    tw_forgetting_clock *clock = rows->block[self->block];
    double ticks = half_lives * TW_TICKS_PER_HALF_LIFE;
    clock->hastened += ticks > 0.0 ? (uint64_t)(ticks < 0x1p60 ? ticks : 0x1p60) : 0;
    return true;
}

#endif
