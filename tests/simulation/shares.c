#include "shares.h"

#include "base/alloc.h"
#include "life.h"
#include "nodes.h"
#include "ps/wire/status.h"

enum { HEARTBEAT_US = 15000, DEAD_AFTER_US = 400000, GRACE_US = 60000, AWAY_US = 300000, SAVE_TIMEOUT_US = 900000 };
enum { SILENCE_US = 400000, SETTLE_US = 2000000 }; /* longer than processes stand still */

/* --- the worker's side -------------------------------------------------------------------------------------------- */

void life_report(life *self)
{
    int64_t now_us = self->simulation->now_us + self->clock_us;
    while (self->from_coordinator.count > 0) {
        letter taken = wire_take(&self->from_coordinator);
        if (tw_membership_take(&self->member, now_us, taken.bytes, taken.size, NULL) < 0)
            abort();
        free(taken.bytes);
    }
    self->is_paused = self->is_paused || tw_membership_must_pause(&self->member);
    if (!tw_membership_is_due(&self->member, now_us))
        return;
    tw_buffer out = {0};
    if (tw_membership_report(&self->member, now_us, &out, NULL) < 0)
        abort();
    wire_put(&self->to_coordinator, out.bytes, out.size);
    tw_free(out.bytes);
}

typedef struct share_run {
    life *life;
    tw_params *params;
    tw_grant grant;
    uint64_t told_shards;
} share_run;

static void tell(share_run *run, tw_hold hold)
{
    tw_membership *member = &run->life->member;
    uint64_t highest = 0, epochs = 0;
    (void)tw_remote_is_fenced(run->params, &highest);
    run->told_shards = tw_remote_shards(run->params, &epochs);
    tw_membership_set(member, hold, run->grant);
    run->life->is_paused = false;
    if (highest > member->standing.highest_epoch)
        member->standing.highest_epoch = highest;
    if (run->told_shards != 0) {
        member->standing.shards = run->told_shards;
        member->standing.shard_epochs = epochs;
    }
}

/* Whoever took over from a shard is talked to from here on. */
static tw_status follow_map(share_run *run, tw_error *error)
{
    life *self = run->life;
    tw_status status = TW_STATUS_OK;
    if (self->map_version == self->member.standing.map_version)
        return TW_STATUS_OK;
    self->map_version = self->member.standing.map_version;
    for (uint32_t i = 0; i < self->member.n_shards && status == TW_STATUS_OK; i++)
        status = tw_remote_retarget(run->params, i, self->member.address[i], self->member.shard_epoch[i], error);
    return status;
}

static tw_status await_orders(share_run *run, tw_orders *out, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    do {
        status = life_give_way(run->life, error);
    } while (status == TW_STATUS_OK && !run->life->member.has_orders);
    *out = run->life->member.orders;
    return status == TW_STATUS_OK ? follow_map(run, error) : status;
}

/* OK: go on with the grant; CANCELLED: leave it. */
static tw_status heed(share_run *run, tw_error *error)
{
    tw_membership *member = &run->life->member;
    tw_orders orders;
    for (;;) {
        tw_status status = await_orders(run, &orders, error);
        if (status != TW_STATUS_OK)
            return status;
        if (orders.grant.epoch != run->grant.epoch)
            return TW_STATUS_CANCELLED;
        if (orders.quiet == 0) {
            run->life->is_paused = tw_membership_must_pause(member);
            return TW_STATUS_OK;
        }
        if (member->standing.quiet != orders.quiet) {
            member->standing.quiet = orders.quiet;
            tw_membership_set(member, member->standing.hold, member->standing.grant);
        }
    }
}

/* OK: to its end; CANCELLED: it was to be left. */
static tw_status learn_share(share_run *run, tw_error *error)
{
    const simulation *world = run->life->simulation;
    for (;;) {
        tw_status status = TW_STATUS_OK;
        for (uint32_t s = run->grant.share; s < world->n_splits && status == TW_STATUS_OK; s += world->n_all_shares) {
            status = follow_map(run, error);
            if (status == TW_STATUS_OK)
                status = learn_split(run->life, run->params, s, error);
        }
        bool was_paused = run->life->is_paused;
        if (status == TW_STATUS_OK)
            status = run->params->ops->flush(run->params, 100000000, error);
        if (status == TW_STATUS_OK && !was_paused)
            return TW_STATUS_OK;
        if (status == TW_STATUS_OK)
            status = heed(run, error);
        if (status != TW_STATUS_OK && status != TW_STATUS_REWIND)
            return status;
    }
}

static tw_status serve_grant(share_run *run, tw_error *error)
{
    const simulation *world = run->life->simulation;
    uint64_t split[MAX_SPLITS], highest = 0;
    size_t n = 0;
    for (uint32_t s = run->grant.share; s < world->n_splits; s += world->n_all_shares)
        split[n++] = s + 1;
    tell(run, TW_HOLD_LEARNS);
    tw_status status = tw_remote_claim(run->params, (tw_lease){run->grant.share, run->grant.epoch}, split, n, error);
    if (status == TW_STATUS_OK)
        status = learn_share(run, error);
    if (run->life->is_killed)
        return TW_STATUS_CANCELLED;
    if (status < 0 && tw_remote_is_fenced(run->params, &highest))
        status = TW_STATUS_CANCELLED;
    run->life->simulation->n_fenced += status == TW_STATUS_CANCELLED;
    if (status == TW_STATUS_OK)
        tell(run, TW_HOLD_FINISHED);
    else if (status == TW_STATUS_CANCELLED)
        tell(run, TW_HOLD_RETURNED);
    tw_remote_unclaim(run->params);
    return status == TW_STATUS_CANCELLED ? TW_STATUS_OK : status;
}

/* END: nothing is left to do. */
static tw_status confirm_end(share_run *run, tw_error *error)
{
    const simulation *world = run->life->simulation;
    run->life->n_lost_at_look = world->shard_deaths + world->n_promotions + 1;
    tw_status status = run->params->ops->flush(run->params, 100000000, error);
    if (status < 0 || tw_remote_shards(run->params, NULL) == run->told_shards)
        return status < 0 ? status : TW_STATUS_END;
    tell(run, TW_HOLD_NOTHING);
    return TW_STATUS_OK;
}

/* Else it looks at a shard that was taken over from after it was told that all is over, and does not know it yet. */
static bool talks_to_those_that_serve(const life *self)
{
    const simulation *world = self->simulation;
    if (self->n_promotions_at_over == world->n_promotions)
        return true;
    for (uint32_t s = 0; s < world->n_shards; s++) {
        if (self->side[s] != world->shard[s].serving)
            return false;
    }
    return true;
}

tw_status life_learn_shares(life *self, tw_params *params, tw_error *error)
{
    share_run run = {.life = self, .params = params};
    tw_orders orders;
    tw_status status = TW_STATUS_OK;
    while (status >= 0 && status != TW_STATUS_END) {
        status = await_orders(&run, &orders, error);
        if (status == TW_STATUS_OK && orders.grant.epoch != 0) {
            run.grant = orders.grant;
            status = serve_grant(&run, error);
        } else if (status == TW_STATUS_OK && orders.is_over) {
            status = confirm_end(&run, error);
        }
    }
    if (status == TW_STATUS_END) {
        self->n_lost_at_look = talks_to_those_that_serve(self) ? self->n_lost_at_look : 0;
        tell(&run, TW_HOLD_LEAVES);
        life_report(self);
    }
    return status == TW_STATUS_END ? TW_STATUS_OK : status;
}

/* --- the coordinator's side --------------------------------------------------------------------------------------- */

static void emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    simulation *self = context;
    uint32_t number;
    if (peer_size != sizeof number)
        return;
    memcpy(&number, peer, sizeof number);
    life *to = self->life[number];
    tw_frame frame;
    tw_orders orders;
    if (tw_frame_decode(bytes, size, &frame, NULL) == TW_STATUS_OK && frame.type == TW_FRAME_ORDERS &&
        tw_orders_decode(&orders, frame.payload, frame.payload_size, NULL) == TW_STATUS_OK && orders.is_over)
        to->n_promotions_at_over = self->n_promotions;
    if (to->state == LIFE_RUNS && !to->is_killed)
        wire_put(&to->by_coordinator, bytes, size);
}

static bool is_heard(const simulation *self, uint32_t index, bool everybody)
{
    uint32_t n = 0;
    for (uint32_t side = 0; side < self->n_sides; side++)
        n += self->heard[index][side].is_heard;
    return everybody ? n == self->n_sides : n > 0;
}

/* As ps/coordinator/lookout.c tells it. */
static void look(void *context, uint32_t index, tw_lookout_shard *out)
{
    const simulation *self = context;
    bool is_sure = self->told_epoch[index] >= self->highest[index] && !self->shard[index].is_promoting;
    bool had_time = self->now_us - self->coordinator_born_us > SETTLE_US;
    *out = (tw_lookout_shard){.is_heard = is_heard(self, index, false),
        .is_settled = is_heard(self, index, true) || had_time,
        .incarnation = is_sure ? self->told_incarnation[index] : 0,
        .epoch = self->told_epoch[index],
        .silent_us = -1};
}

void coordinator_start(simulation *self)
{
    const char *const address[MAX_SHARDS] = {address_of(0), address_of(0), address_of(0)};
    tw_coordinator_options options = {
        .incarnation = (uint64_t)(self->now_us + self->wall_us),
        .address = address,
        .n_shards = self->n_shards,
        .dead_after_us = DEAD_AFTER_US,
        .grace_us = self->n_coordinators++ > 0 ? GRACE_US : 0,
        .save_timeout_us = SAVE_TIMEOUT_US,
        .can_save = true,
        .emit = emit,
        .look = look,
        .context = self,
    };
    if (tw_coordinator_create(&options, self->now_us, &self->coordinator, NULL) < 0)
        abort();
    memset(self->told_side, 0, sizeof self->told_side);
    memset(self->told_epoch, 0, sizeof self->told_epoch);
    memset(self->told_incarnation, 0, sizeof self->told_incarnation);
    memset(self->highest, 0, sizeof self->highest);
    memset(self->heard, 0, sizeof self->heard);
    self->coordinator_born_us = self->coordinator_turned_us = self->now_us;
}

void coordinator_stop(simulation *self)
{
    tw_coordinator_destroy(&self->coordinator);
}

void coordinator_kill(simulation *self)
{
    tw_coordinator_destroy(&self->coordinator);
    self->coordinator_back_us = self->now_us + (int64_t)draw(self, AWAY_US);
    if (draw(self, 8) == 0)
        self->wall_us -= (int64_t)draw(self, 3000000);
}

void coordinator_forget(simulation *self, const life *gone)
{
    if (self->coordinator != NULL)
        tw_coordinator_forget(self->coordinator, self->now_us, gone->member.standing.name);
}

/* What a process answers when it is asked what it is. */
static void hear(simulation *self, uint32_t index, uint32_t side)
{
    const sim_node *node = &self->shard[index].node[side];
    tw_replication now;
    tw_shard_status said;
    if (!node_is_awake(node))
        return;
    tw_shard_replication(node->shard, &now);
    tw_shard_status_now(node->shard, &said);
    self->heard[index][side] = (sim_heard){.is_heard = true,
        .serves = !now.is_standby && !now.is_deposed,
        .at_us = self->now_us,
        .epoch = now.epoch,
        .incarnation = said.figure[TW_STATUS_INCARNATION]};
    uint64_t *highest = &self->highest[index];
    *highest = now.epoch > *highest ? now.epoch : *highest;
    *highest = now.known_epoch > *highest ? now.known_epoch : *highest;
    tw_shard_status_fini(&said);
}

/* As ps/coordinator/lookout.c finds it: the process that answers and serves with the highest epoch that anybody heard
 * of. */
static void watch_shard(simulation *self, uint32_t index)
{
    uint32_t best = MAX_SIDES;
    hear(self, index, (uint32_t)draw(self, self->n_sides));
    for (uint32_t side = 0; side < self->n_sides; side++) {
        const sim_heard *one = &self->heard[index][side];
        bool is_candidate = one->is_heard && one->serves && self->now_us - one->at_us <= SILENCE_US;
        bool is_better = best == MAX_SIDES || one->epoch > self->heard[index][best].epoch;
        bool is_equal = best != MAX_SIDES && one->epoch == self->heard[index][best].epoch;
        if (is_candidate && (is_better || (is_equal && side == self->told_side[index])))
            best = side;
    }
    if (best == MAX_SIDES || self->heard[index][best].epoch < self->highest[index])
        return;
    const sim_heard *found = &self->heard[index][best];
    bool is_known = self->told_side[index] == best && self->told_epoch[index] == found->epoch;
    self->told_side[index] = best;
    self->told_epoch[index] = found->epoch;
    self->told_incarnation[index] = found->incarnation;
    if (!is_known && tw_coordinator_set_shard(self->coordinator, index, address_of(best), found->epoch, NULL) < 0)
        abort();
}

void coordinator_turn(simulation *self, life *with)
{
    if (self->coordinator == NULL) {
        if (self->now_us >= self->coordinator_back_us)
            coordinator_start(self);
        return;
    }
    if (self->now_us - self->coordinator_turned_us > SILENCE_US / 2)
        self->coordinator_born_us = self->now_us; /* it was not listening */
    self->coordinator_turned_us = self->now_us;
    uint64_t what = draw(self, 4);
    if (what < 2 && with->to_coordinator.count > 0) {
        letter taken = wire_take(&with->to_coordinator);
        tw_coordinator_receive(
            self->coordinator, self->now_us, &with->number, sizeof with->number, taken.bytes, taken.size);
        free(taken.bytes);
    } else if (what < 3 && with->by_coordinator.count > 0) {
        letter taken = wire_take(&with->by_coordinator);
        wire_put(&with->from_coordinator, taken.bytes, taken.size);
        free(taken.bytes);
    } else if (what == 3) {
        tw_coordinator_tick(self->coordinator, self->now_us);
        watch_shard(self, (uint32_t)draw(self, self->n_shards));
    }
}
