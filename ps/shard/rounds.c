#include "ps/shard/rounds.h"

#include "base/alloc.h"

void tw_rounds_fini(tw_rounds *self)
{
    tw_free(self->place);
    *self = (tw_rounds){0};
}

static bool is_waited_for(const tw_round_place *place)
{
    return !place->is_done;
}

/* A place that nobody has taken is still waited for: its worker is late, not one of a new go. */
static bool have_all_finished(const tw_rounds *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        if (!self->place[i].is_done)
            return false;
    }
    return true;
}

/* The lowest clock of those who are here; 1 if nobody is. */
static uint32_t lowest_clock(const tw_rounds *self)
{
    uint32_t lowest = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        const tw_round_place *place = &self->place[i];
        if (place->birth != 0 && !place->is_done && (lowest == 0 || place->clock < lowest))
            lowest = place->clock;
    }
    return lowest > 0 ? lowest : 1;
}

static tw_status rounds_begin(tw_rounds *self, uint32_t count, uint32_t staleness, tw_error *error)
{
    tw_round_place *place = tw_alloc_zero(count * sizeof *place);
    if (place == NULL)
        return tw_no_memory(error, count * sizeof *place);
    for (uint32_t i = 0; i < count; i++)
        place[i].clock = 1;
    tw_rounds_fini(self);
    *self = (tw_rounds){.count = count, .staleness = staleness, .place = place};
    return TW_STATUS_OK;
}

static bool has_heard_anybody(const tw_rounds *self, bool with_finished, int64_t now_us)
{
    for (uint32_t i = 0; i < self->count; i++) {
        const tw_round_place *place = &self->place[i];
        bool is_recent = now_us - place->heard_us < (int64_t)TW_ROUNDS_SILENT_S * 1000000;
        if (place->birth != 0 && is_recent && (with_finished || !place->is_done))
            return true;
    }
    return false;
}

static tw_status join_check(const tw_rounds *self, const tw_round_member *who, int64_t now_us, tw_error *error)
{
    if (who->count > TW_ROUNDS_MAX_WORKERS || who->index >= who->count || who->birth == 0)
        return tw_error_set(error, TW_STATUS_INVALID, "worker %u of %u: there can be %d, counted from 0", who->index,
            who->count, TW_ROUNDS_MAX_WORKERS);
    bool is_other = self->count != who->count || self->staleness != who->staleness;
    if (is_other && has_heard_anybody(self, false, now_us))
        return tw_error_set(error, TW_STATUS_CONFLICT,
            "%u workers with staleness %u learn here, this one is of %u with staleness %u", self->count,
            self->staleness, who->count, who->staleness);
    if (!is_other && self->place[who->index].birth > who->birth)
        return tw_error_set(
            error, TW_STATUS_CONFLICT, "a younger process has the place of worker %u of %u", who->index, who->count);
    return TW_STATUS_OK;
}

void tw_rounds_resume(tw_rounds *self, int64_t now_us, int64_t grace_us)
{
    if (!self->is_resumed)
        self->given_up_us = now_us + grace_us;
    self->is_resumed = true;
}

tw_status tw_rounds_join(
    tw_rounds *self, const tw_round_member *who, int64_t now_us, int64_t grace_us, uint32_t *clock, tw_error *error)
{
    tw_status status = join_check(self, who, now_us, error);
    if (status == TW_STATUS_OK && *clock > TW_ROUNDS_LAST)
        status = tw_error_set(error, TW_STATUS_INVALID, "worker %u of %u is in round %u, at most %u can be counted",
            who->index, who->count, *clock, TW_ROUNDS_LAST);
    if (status < 0)
        return status;
    bool is_other = self->count != who->count || self->staleness != who->staleness;
    bool is_successor = !is_other && self->place[who->index].birth != who->birth;
    /* All had finished long ago: a new go of all of them begins. */
    bool is_old = have_all_finished(self) && !has_heard_anybody(self, true, now_us);
    if (is_other || (is_successor && is_old))
        status = rounds_begin(self, who->count, who->staleness, error);
    if (status < 0)
        return status;
    tw_round_place *place = &self->place[who->index];
    if (*clock != 0 && place->birth == 0)
        tw_rounds_resume(self, now_us, grace_us);
    bool is_late = place->is_done || (place->birth == 0 && self->is_resumed);
    if (is_successor && is_late && *clock == 0 && lowest_clock(self) > place->clock)
        place->clock = lowest_clock(self);
    place->is_done = place->is_done && !is_successor;
    place->is_staged = false;
    place->birth = who->birth;
    place->heard_us = now_us;
    if (*clock > place->clock)
        place->clock = *clock;
    *clock = place->clock;
    return TW_STATUS_OK;
}

bool tw_rounds_holds(const tw_rounds *self, uint32_t index, uint64_t birth)
{
    return index < self->count && self->place[index].birth == birth;
}

void tw_rounds_hear(tw_rounds *self, uint32_t index, int64_t now_us)
{
    self->place[index].heard_us = now_us;
}

void tw_rounds_advance(tw_rounds *self, uint32_t index, uint32_t clock)
{
    tw_round_place *place = &self->place[index];
    place->is_done = false;
    place->is_staged = place->is_staged && clock <= place->clock;
    if (clock > place->clock)
        place->clock = clock;
}

void tw_rounds_leave(tw_rounds *self, uint32_t index)
{
    self->place[index].is_done = true;
    self->place[index].is_staged = false;
}

uint32_t tw_rounds_highest(const tw_rounds *self)
{
    uint32_t highest = self->count > 0;
    for (uint32_t i = 0; i < self->count; i++) {
        if (!self->place[i].is_done && self->place[i].clock > highest)
            highest = self->place[i].clock;
    }
    return highest;
}

bool tw_rounds_is_beyond(const tw_rounds *self, uint32_t clock)
{
    return self->barrier != 0 && clock > self->barrier;
}

bool tw_rounds_is_past(const tw_rounds *self, uint32_t *culprit)
{
    uint32_t lowest = self->barrier;
    *culprit = self->count;
    for (uint32_t i = 0; i < self->count; i++) {
        const tw_round_place *place = &self->place[i];
        if (!is_waited_for(place) || place->clock > lowest)
            continue;
        if (*culprit == self->count || place->clock < lowest)
            *culprit = i;
        lowest = place->clock;
    }
    return *culprit == self->count;
}

bool tw_rounds_may_read(const tw_rounds *self, uint32_t index, uint32_t clock, uint32_t *culprit)
{
    bool is_free = true;
    uint64_t lowest = UINT64_MAX;
    if (tw_rounds_is_beyond(self, clock)) {
        (void)tw_rounds_is_past(self, culprit);
        return false;
    }
    *culprit = self->count;
    for (uint32_t i = 0; i < self->count; i++) {
        const tw_round_place *place = &self->place[i];
        bool is_unknown = place->birth == 0 && self->is_resumed;
        uint64_t reached = is_unknown ? 0 : place->clock;
        if (i == index || !is_waited_for(place) || (!is_unknown && reached + self->staleness >= clock))
            continue;
        if (reached < lowest) {
            lowest = reached;
            *culprit = i;
        }
        is_free = false;
    }
    return is_free;
}

uint32_t tw_rounds_rank(const tw_rounds *self, uint32_t index, uint32_t clock)
{
    uint32_t rank = 0;
    for (uint32_t i = 0; i < index; i++)
        rank += !self->place[i].is_done || self->place[i].clock >= clock;
    return rank;
}

void tw_rounds_stage(tw_rounds *self, uint32_t index, uint32_t clock)
{
    tw_rounds_advance(self, index, clock);
    self->place[index].is_staged = true;
}

void tw_rounds_unstage(tw_rounds *self, uint32_t index)
{
    if (index < self->count)
        self->place[index].is_staged = false;
}

bool tw_rounds_is_complete(const tw_rounds *self, uint32_t *round, uint32_t *culprit)
{
    bool is_complete = false;
    *round = lowest_clock(self);
    *culprit = self->count;
    for (uint32_t i = 0; i < self->count; i++) {
        const tw_round_place *place = &self->place[i];
        bool is_absent = place->birth == 0;
        if (!is_waited_for(place) || (!is_absent && place->clock > *round))
            continue;
        if (is_absent || !place->is_staged) {
            *culprit = i;
            return false;
        }
        is_complete = true;
    }
    return is_complete;
}

bool tw_rounds_tick(tw_rounds *self, int64_t now_us)
{
    bool has_given_up = false;
    if (!self->is_resumed || now_us < self->given_up_us)
        return false;
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->place[i].birth != 0 || self->place[i].is_done)
            continue;
        tw_rounds_leave(self, i);
        has_given_up = true;
    }
    return has_given_up;
}
