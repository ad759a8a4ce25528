#include "nodes.h"

#include "base/alloc.h"
#include "store/checkpoint.h"

/* Who a frame is from, beside the numbers of the lives. */
enum { PEER_OTHER = 1 << 20, PEER_SUPERVISOR = 1 << 21 };

enum { TELL_US = 300000, SETTLE_STEPS = 40000, LONGEST_PAUSE_US = 1500000, WAITING_US = 20000, ABSENT_US = 300000 };

static sim_shard *shard_of(sim_node *self)
{
    return &self->simulation->shard[self->index];
}

static sim_node *other_of(sim_node *self)
{
    return &shard_of(self)->node[1 - self->side];
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

/* The supervisor's view: whoever says PROMOTED serves; whoever cannot is left a standby. */
static void supervisor_take(sim_node *from, const void *bytes, size_t size)
{
    sim_shard *shard = shard_of(from);
    tw_frame frame;
    if (tw_frame_decode(bytes, size, &frame, NULL) < 0 || draw(from->simulation, 8) == 0)
        return; /* lost */
    if (frame.type == TW_FRAME_PROMOTED && frame.handle > shard->epoch) {
        shard->serving = from->side;
        shard->epoch = frame.handle;
        shard->is_promoting = false;
        from->simulation->n_promotions++;
        /* Whoever leads the shards was the one that asked. */
        if (from->simulation->coordinator != NULL)
            from->simulation->highest[from->index] = frame.handle;
    } else if (frame.type == TW_FRAME_NACK && frame.reason == TW_NACK_NOT_PRIMARY) {
        shard->is_promoting = false;
    }
}

static void shard_emit(void *context, const void *peer, size_t peer_size, const void *bytes, size_t size)
{
    sim_node *self = context;
    uint32_t number;
    if (peer_size != sizeof number)
        return;
    memcpy(&number, peer, sizeof number);
    if (number == PEER_SUPERVISOR) {
        supervisor_take(self, bytes, size);
        return;
    }
    if (number == PEER_OTHER) {
        wire_put(&self->to_other, bytes, size);
        return;
    }
    life *to = self->simulation->life[number];
    if (to->state == LIFE_RUNS && !to->is_killed)
        wire_put(&to->to_worker[self->index][self->side], bytes, size);
}

static void standby_emit(void *context, const void *bytes, size_t size)
{
    wire_put(&((sim_node *)context)->to_other, bytes, size);
}

/* --- processes ---------------------------------------------------------------------------------------------------- */

/* As the server does it: the newest whole row file of its own directory. */
static tw_table *node_restore(sim_node *self)
{
    simulation *world = self->simulation;
    tw_recovered found;
    tw_status status = tw_table_recover(self->directory, self->index, world->n_shards, 0, true, &found, NULL);
    if (status < 0 && status != TW_STATUS_NOT_FOUND)
        fail(world, "row files cannot be restored", self->index, status);
    if (found.table == NULL)
        return NULL;
    world->n_restored++;
    world->n_fallbacks += found.id < self->last_id;
    self->last_id = found.newest_id;
    return found.table;
}

/* As the server does it: what a standby knows from its own files. */
static uint64_t node_epoch(const sim_node *self, uint64_t epoch)
{
    uint64_t saved = 0;
    if (tw_row_files_epoch(self->directory, self->index, self->simulation->n_shards, &saved, NULL) < 0)
        abort();
    return saved > epoch ? saved : epoch;
}

static void node_start(sim_node *self, bool is_standby, uint64_t epoch)
{
    simulation *world = self->simulation;
    bool is_restarted = world->incarnation >= (uint64_t)world->n_shards * world->n_sides;
    tw_shard_options options = {.index = self->index,
        .count = world->n_shards,
        .incarnation = ++world->incarnation,
        .is_standby = is_standby,
        .epoch = is_standby ? node_epoch(self, epoch) : epoch,
        .is_restarted = is_restarted,
        .waiting_us = WAITING_US,
        .absent_us = ABSENT_US,
        .emit = shard_emit,
        .context = self};
    tw_standby_options standby = {.index = self->index,
        .count = world->n_shards,
        .sender = world->incarnation + (1 << 22),
        .epoch = options.epoch,
        .is_sync = world->is_sync,
        .emit = standby_emit,
        .context = self};
    tw_status status = tw_shard_create(&options, &self->shard, NULL);
    tw_table *table = status == TW_STATUS_OK && !is_standby ? node_restore(self) : NULL;
    if (table != NULL)
        status = tw_shard_adopt_take(self->shard, table, NULL);
    if (status == TW_STATUS_OK && is_standby)
        status = tw_standby_create(&standby, &self->standby, NULL);
    if (status < 0)
        abort();
    self->epoch = 0;
    self->asleep_until_us = 0;
    self->own = (tw_own_files){
        .directory = self->directory, .index = self->index, .count = world->n_shards, .keep = 1 + world->n_shards % 2};
    tw_replication now;
    tw_shard_replication(self->shard, &now);
    tw_own_files_begin(&self->own, now.epoch);
}

static uint64_t disk_random(void *context, uint64_t below)
{
    return draw(context, below);
}

static tw_status snapshot_write(sim_node *self)
{
    char name[TW_FILE_NAME_SIZE];
    tw_row_file file;
    tw_row_file_name(self->job_id, self->index, self->simulation->n_shards, name);
    return tw_frozen_write(self->frozen, self->directory, name, &file, NULL);
}

static void node_stop(sim_node *self)
{
    tw_frozen_destroy(&self->frozen);
    tw_standby_destroy(&self->standby);
    tw_shard_destroy(&self->shard);
}

void node_kill(sim_node *self)
{
    simulation *world = self->simulation;
    if (self->frozen != NULL) {
        disk_set_limit(DISK_DEAD, draw(world, 2000));
        (void)!snapshot_write(self);
        disk_set_limit(DISK_NO_LIMIT, 0);
    }
    node_stop(self);
    if (draw(world, 4) == 0)
        world->n_faults += disk_power_cut(self->directory, disk_random, world);
    if (draw(world, 16) == 0)
        world->n_faults += disk_damage(self->directory, disk_random, world);
    world->shard_deaths++;
    wire_clear(&self->to_other);
    wire_clear(&other_of(self)->to_other);
    for (uint32_t i = 0; i < world->n_lives; i++) {
        wire_clear(&world->life[i]->to_shard[self->index][self->side]);
        wire_clear(&world->life[i]->to_worker[self->index][self->side]);
    }
    if (world->n_sides == 1)
        node_start(self, false, 0);
}

bool node_is_awake(const sim_node *self)
{
    return self->shard != NULL && self->simulation->now_us >= self->asleep_until_us;
}

bool node_pause(sim_node *self)
{
    if (!node_is_awake(self))
        return false;
    self->asleep_until_us = self->simulation->now_us + (int64_t)draw(self->simulation, LONGEST_PAUSE_US);
    return true;
}

void shard_begin(simulation *self, uint32_t index)
{
    sim_shard *shard = &self->shard[index];
    *shard = (sim_shard){.serving = 0};
    for (uint32_t side = 0; side < self->n_sides; side++) {
        sim_node *node = &shard->node[side];
        node->simulation = self;
        node->index = index;
        node->side = side;
        (void)snprintf(node->directory, sizeof node->directory, "/s%u%c", index, (char)('a' + side));
        node_start(node, side > 0, 0);
    }
}

void shard_end(sim_shard *self)
{
    for (uint32_t side = 0; side < MAX_SIDES; side++) {
        node_stop(&self->node[side]);
        wire_clear(&self->node[side].to_other);
    }
}

tw_table *shard_table(sim_shard *self)
{
    sim_node *node = &self->node[self->serving];
    return node->shard != NULL ? tw_shard_table(node->shard) : NULL;
}

/* --- standbys: what ps/edge/standby_edge.c does
 * -------------------------------------------------------------------------
 */

static void node_take_over(sim_node *self, const tw_promotion *wanted)
{
    tw_standby_figures figures;
    char name[TW_MODEL_NAME_SIZE];
    tw_standby_figures_get(self->standby, &figures);
    if (!figures.is_ready) {
        tw_shard_promotion_done(self->shard, TW_STATUS_UNAVAILABLE, "the copy is not complete");
        return;
    }
    tw_table *table = tw_standby_take_table(self->standby, name);
    if (tw_shard_take_over(self->shard, table, name, wanted->epoch, NULL) < 0)
        abort();
    tw_standby_destroy(&self->standby);
    self->epoch = wanted->epoch;
    self->model = tw_hash(name, strlen(name));
    self->next_tell_us = 0;
    tw_shard_promotion_done(self->shard, TW_STATUS_OK, NULL);
}

static void node_tell_predecessor(sim_node *self)
{
    simulation *world = self->simulation;
    if (self->epoch == 0 || world->now_us < self->next_tell_us)
        return;
    self->next_tell_us = world->now_us + TELL_US;
    tw_replication now;
    tw_shard_replication(self->shard, &now);
    tw_buffer out = {0};
    unsigned char payload[TW_SUBSCRIBE_SIZE];
    tw_subscription_put(&(tw_subscription){self->index, world->n_shards, false}, payload);
    tw_frame frame = {.type = TW_FRAME_PROMOTED, .model = self->model, .sender = 1, .handle = now.epoch};
    if (tw_frame_begin(&out, &frame, NULL, NULL) < 0 || tw_buffer_append(&out, payload, sizeof payload, NULL) < 0)
        abort();
    tw_frame_finish(&out, &frame);
    wire_put(&self->to_other, out.bytes, out.size);
    tw_free(out.bytes);
}

static void node_receive(sim_node *self)
{
    wire *from = &other_of(self)->to_other;
    uint32_t peer = PEER_OTHER;
    if (from->count == 0)
        return;
    letter taken = wire_take(from);
    if (self->standby != NULL)
        tw_standby_receive(self->standby, taken.bytes, taken.size);
    else
        tw_shard_receive(self->shard, &peer, sizeof peer, taken.bytes, taken.size);
    free(taken.bytes);
}

static void node_turn(sim_node *self)
{
    simulation *world = self->simulation;
    tw_promotion wanted;
    tw_standby_figures figures;
    if (!node_is_awake(self))
        return;
    node_receive(self);
    tw_shard_tick(self->shard, world->now_us);
    if (self->standby != NULL) {
        tw_standby_tick(self->standby, world->now_us);
        tw_standby_figures_get(self->standby, &figures);
        if (figures.n_mismatches > 0)
            fail(world, figures.why, self->index, (long long)figures.n_mismatches);
        tw_shard_know_epoch(self->shard, figures.epoch);
        if (tw_shard_promotion_wanted(self->shard, &wanted))
            node_take_over(self, &wanted);
        return;
    }
    node_tell_predecessor(self);
}

/* --- the supervisor ----------------------------------------------------------------------------------------------- */

static void send_promote(const sim_shard *self, sim_node *to)
{
    uint32_t peer = PEER_SUPERVISOR;
    tw_promotion promotion = {.epoch = self->epoch + (to != &self->node[self->serving])};
    tw_buffer out = {0};
    if (tw_promote_encode(&out, 1, 1, &promotion, NULL) < 0)
        abort();
    tw_shard_receive(to->shard, &peer, sizeof peer, out.bytes, out.size);
    tw_free(out.bytes);
}

static void ask_to_take_over(sim_shard *self, sim_node *standby)
{
    self->is_promoting = true;
    if (node_is_awake(standby) && draw(standby->simulation, 8) != 0) /* else it is lost */
        send_promote(self, standby);
}

static bool is_deposed(const sim_node *self)
{
    tw_replication now;
    tw_shard_replication(self->shard, &now);
    return now.is_deposed;
}

bool shard_usurp(sim_shard *self)
{
    sim_node *standby = &self->node[1 - self->serving];
    if (standby->standby == NULL || self->is_promoting)
        return false;
    ask_to_take_over(self, standby);
    return true;
}

bool shard_usurp_unheard(sim_shard *self)
{
    sim_node *standby = &self->node[1 - self->serving];
    tw_promotion wanted;
    if (standby->standby == NULL || self->is_promoting || !node_is_awake(standby) ||
        !node_is_awake(&self->node[self->serving]))
        return false;
    self->is_promoting = true;
    send_promote(self, standby);
    if (tw_shard_promotion_wanted(standby->shard, &wanted))
        node_take_over(standby, &wanted);
    if (standby->standby != NULL)
        return false;
    standby->asleep_until_us =
        standby->simulation->now_us + LONGEST_PAUSE_US / 2 + (int64_t)draw(standby->simulation, LONGEST_PAUSE_US / 2);
    return true;
}

/* The one that was asked has died, and may have taken over before: clients may know of its epoch. */
static void give_up_promotion(sim_shard *self, sim_node *serving)
{
    self->is_promoting = false;
    self->epoch += 2; /* above the one that it may have taken */
    if (serving->shard == NULL)
        return;
    if (node_is_awake(serving) && !is_deposed(serving))
        send_promote(self, serving);
    else
        node_kill(serving);
}

/* A promotion that was begun is asked for until somebody answers: whoever was asked may have taken over. Whoever was
 * taken over from is left to its successor, which tells it, and started anew later. Dead processes come back as
 * standbys of the one that serves; now and then one that was taken over from comes back as what it was before. */
static void supervisor_turn(sim_shard *self)
{
    sim_node *serving = &self->node[self->serving], *other = &self->node[1 - self->serving];
    simulation *world = serving->simulation;
    if (self->is_promoting && other->shard == NULL)
        give_up_promotion(self, serving);
    else if (self->is_promoting)
        ask_to_take_over(self, other);
    else if (serving->shard == NULL && other->standby != NULL && draw(world, 4) != 0)
        ask_to_take_over(self, other);
    else if (serving->shard == NULL)
        node_start(serving, false, self->epoch);
    else if (other->shard == NULL)
        node_start(other, !world->has_faults || serving->epoch == 0 || draw(world, 4) != 0, 0);
    else if (other->standby == NULL && (serving->epoch == 0 || is_deposed(other)) && draw(world, 64) == 0)
        node_kill(other);
}

void shard_turn(sim_shard *self)
{
    simulation *world = self->node[0].simulation;
    if (draw(world, 16) == 0)
        supervisor_turn(self);
    else
        node_turn(&self->node[draw(world, 2)]);
}

static bool shard_is_settled(const sim_shard *self)
{
    tw_replication serving, other;
    if (self->is_promoting || self->node[0].shard == NULL || self->node[1].shard == NULL)
        return false;
    tw_shard_replication(self->node[self->serving].shard, &serving);
    tw_shard_replication(self->node[1 - self->serving].shard, &other);
    return !serving.is_standby && !serving.is_deposed && (other.is_standby || other.is_deposed);
}

void shards_settle(simulation *self)
{
    for (uint32_t i = 0; i < self->n_shards && self->n_sides > 1; i++) {
        uint32_t n = 0;
        for (; n < SETTLE_STEPS && !shard_is_settled(&self->shard[i]); n++) {
            self->now_us += self->step_us;
            shard_turn(&self->shard[i]);
        }
        if (n == SETTLE_STEPS)
            fail(self, "two processes of a shard serve, or none", i, self->shard[i].serving);
    }
}

/* --- snapshots ---------------------------------------------------------------------------------------------------- */

void snapshot_begin(sim_node *self)
{
    tw_table *table = self->shard != NULL ? tw_shard_table(self->shard) : NULL;
    uint64_t next = 0;
    if (table == NULL || self->frozen != NULL)
        return;
    if (tw_checkpoint_next_id(self->directory, &next, NULL) < 0 || next <= self->last_id)
        next = self->last_id + 1;
    if (tw_table_freeze_after(table, self->directory, self->simulation->n_deltas, 1 << 30, &self->frozen, NULL) < 0)
        return;
    tw_frozen_set_own(self->frozen);
    self->job_id = self->last_id = next;
    tw_shard_set_busy(self->shard, true);
}

void snapshot_end(sim_node *self)
{
    simulation *world = self->simulation;
    if (self->frozen == NULL)
        return;
    bool is_full = world->has_faults && draw(world, 8) == 0;
    disk_set_limit(is_full ? DISK_FULL : DISK_NO_LIMIT, draw(world, 2000));
    tw_status status = snapshot_write(self);
    world->n_faults += disk_limit_was_hit();
    if (status < 0 && !disk_limit_was_hit())
        fail(world, "a snapshot failed for no reason", self->index, status);
    disk_set_limit(DISK_NO_LIMIT, 0);
    tw_frozen_destroy(&self->frozen);
    tw_shard_set_busy(self->shard, false);
    if (status == TW_STATUS_OK) {
        world->n_snapshots++;
        tw_own_files_add(&self->own, self->job_id);
    }
}
