/* The real client and the real shards of ps/ over a simulated network, disk and clock: workers, shards and connections
 * die, frames are lost, doubled and damaged, workers sleep past their eviction and wake up beside their successor.
 * Every event has a key of its own in a counter: in the end each key counted exactly as often as it occurs, on every
 * shard. A seed repeats its run exactly.
 *
 * Usage: simulation [seeds [first seed]]      simulation 100000 is the long form; 300 seeds from 1 without arguments */
#define _XOPEN_SOURCE 700
#include "life.h"
#include "nodes.h"
#include "saver.h"
#include "shares.h"

/* --- faults ------------------------------------------------------------------------------------------------------- */

static life *some_life(simulation *self)
{
    life *found = self->life[draw(self, self->n_lives)];
    return found->state == LIFE_RUNS && !found->is_killed ? found : NULL;
}

static wire *some_wire(simulation *self, life *of)
{
    uint32_t shard = (uint32_t)draw(self, self->n_shards), side = (uint32_t)draw(self, self->n_sides);
    if (self->n_sides > 1 && draw(self, 4) == 0)
        return &self->shard[shard].node[side].to_other;
    if (self->has_coordinator && draw(self, 3) == 0)
        return draw(self, 2) == 0 ? &of->to_coordinator : &of->by_coordinator;
    return draw(self, 2) == 0 ? &of->to_shard[shard][side] : &of->to_worker[shard][side];
}

static bool hurt_letter(simulation *self, wire *on, uint64_t how)
{
    if (on->count == 0)
        return false;
    letter *first = &on->queue[on->first];
    if (how == 0)
        free(wire_take(on).bytes);
    else if (how == 1)
        wire_put(on, first->bytes, first->size);
    else
        first->bytes[draw(self, first->size)] ^= (unsigned char)(1 + draw(self, 255));
    return true;
}

static bool cut_connection(simulation *self, life *of)
{
    uint32_t shard = (uint32_t)draw(self, self->n_shards);
    bool has_any = of->inbox[shard].count > 0;
    for (uint32_t side = 0; side < MAX_SIDES; side++) {
        has_any = has_any || of->to_shard[shard][side].count + of->to_worker[shard][side].count > 0;
        wire_clear(&of->to_shard[shard][side]);
        wire_clear(&of->to_worker[shard][side]);
    }
    wire_clear(&of->inbox[shard]);
    return has_any;
}

/* Frames of a killed worker stay on the wire: they may arrive long after its successor began. */
static bool kill_life(simulation *self, life *victim)
{
    victim->is_killed = true;
    if (self->has_coordinator && draw(self, 2) == 0)
        coordinator_forget(self, victim);
    if (!victim->is_replaced)
        life_begin(self, victim->share, false);
    return true;
}

/* It sleeps past its eviction: a successor works while it wakes up and goes on. */
static bool put_to_sleep(simulation *self, life *victim)
{
    if (victim->is_replaced || self->n_lives + 4 > MAX_LIVES)
        return false;
    victim->asleep_until_us = self->now_us + 20000 + (int64_t)draw(self, 200000);
    victim->is_replaced = true;
    life_begin(self, victim->share, true);
    return true;
}

/* The worker's clock, or that of the whole world: a machine that was suspended. */
static bool jump_clock(simulation *self, life *victim)
{
    int64_t by_us = 1000 * (1 + (int64_t)draw(self, draw(self, 2) == 0 ? 100 : 60000));
    *(draw(self, 2) == 0 ? &victim->clock_us : &self->now_us) += by_us;
    return true;
}

static bool do_fault(simulation *self)
{
    uint64_t kind = draw(self, 100);
    if (self->has_rounds && self->n_lives + 8 > MAX_LIVES)
        return false;
    sim_shard *shard = &self->shard[draw(self, self->n_shards)];
    if (kind < 6) {
        node_kill(&shard->node[draw(self, self->n_sides)]);
        return true;
    }
    if (self->n_sides > 1 && kind < 9)
        return kind < 8 ? node_pause(&shard->node[draw(self, 2)]) : shard_usurp(shard);
    if (self->n_sides > 1 && self->coordinator != NULL && kind >= 24 && kind < 28) {
        bool is_usurped = shard_usurp_unheard(shard);
        if (is_usurped)
            coordinator_kill(self);
        return is_usurped;
    }
    if (self->coordinator != NULL && kind < 12) {
        coordinator_kill(self);
        return true;
    }
    life *victim = some_life(self);
    if (victim == NULL || (victim->is_saver && kind < 14))
        return false;
    if (kind < 10)
        return self->n_lives + 4 < MAX_LIVES && kill_life(self, victim);
    if (kind < 14)
        return put_to_sleep(self, victim);
    if (kind < 22)
        return cut_connection(self, victim);
    if (kind < 24)
        return jump_clock(self, victim);
    return hurt_letter(self, some_wire(self, victim), draw(self, 3));
}

/* --- the world ---------------------------------------------------------------------------------------------------- */

static void resume(simulation *self, life *of)
{
    if (swapcontext(&self->scheduler, &of->context) != 0)
        abort();
    if (of->state == LIFE_OVER) {
        if (of->has_finished)
            self->n_lost_at_end = of->n_lost_at_look;
        for (uint32_t s = 0; s < MAX_SHARDS * MAX_SIDES; s++)
            wire_clear(&of->to_worker[s / MAX_SIDES][s % MAX_SIDES]);
        for (uint32_t s = 0; s < MAX_SHARDS; s++)
            wire_clear(&of->inbox[s]);
        wire_clear(&of->by_coordinator);
        wire_clear(&of->from_coordinator);
    }
}

static void deliver_to_shard(simulation *self, life *from, uint32_t shard, uint32_t side)
{
    letter taken = wire_take(&from->to_shard[shard][side]);
    sim_node *node = &self->shard[shard].node[side];
    self->n_pushes++;
    if (node->shard != NULL)
        tw_shard_receive(node->shard, &from->number, sizeof from->number, taken.bytes, taken.size);
    node_cut(node);
    free(taken.bytes);
}

/* What comes from an address that the client has left goes nowhere. */
static void deliver_to_worker(life *to, uint32_t shard, uint32_t side)
{
    letter taken = wire_take(&to->to_worker[shard][side]);
    if (to->side[shard] == side)
        wire_put(&to->inbox[shard], taken.bytes, taken.size);
    free(taken.bytes);
}

/* Mostly one that runs; what dead ones left on the wire arrives late. */
static life *next_life(simulation *self)
{
    uint32_t running[MAX_LIVES], n = 0;
    for (uint32_t i = 0; i < self->n_lives; i++) {
        if (self->life[i]->state == LIFE_RUNS)
            running[n++] = i;
    }
    return self->life[n > 0 && draw(self, 8) != 0 ? running[draw(self, n)] : draw(self, self->n_lives)];
}

static const life *latest_life(const simulation *self, uint32_t share)
{
    const life *latest = NULL;
    for (uint32_t i = 0; i < self->n_lives; i++)
        latest = self->life[i]->share == share ? self->life[i] : latest;
    return latest;
}

/* As a crew does: who gave up waiting is started again; where rounds are kept and one has finished, all begin again
 * after a shard was lost. */
static void follow_rounds(simulation *self)
{
    uint64_t n_lost = self->shard_deaths + self->n_promotions;
    bool has_finished = false;
    for (uint32_t share = 0; share < self->n_shares; share++)
        has_finished = has_finished || latest_life(self, share)->has_finished;
    bool is_again = has_finished && n_lost != self->n_lost_seen;
    for (uint32_t i = 0; is_again && i < self->n_lives; i++)
        self->life[i]->is_killed =
            self->life[i]->is_killed || (self->life[i]->state == LIFE_RUNS && !self->life[i]->is_saver);
    for (uint32_t share = 0; share < self->n_shares; share++) {
        const life *latest = latest_life(self, share);
        bool has_given_up = latest->state == LIFE_OVER && !latest->has_finished && !latest->is_killed;
        if (is_again || (has_given_up && !lives_somebody_of(self, share)))
            life_begin(self, share, false);
    }
    self->n_lost_seen = is_again ? n_lost : self->n_lost_seen;
}

/* Whoever asked for its seat longer ago may have lost it in good order, however late it heard that it has one. */
enum { SURELY_SEATED_US = TW_SEAT_US / 2, CALM_US = 1000000 };

/* Where the flight rule has fewer events than workers, no more than these learn at a time. Between shards and workers
 * that live and die others may for a moment, as beside a shard that was taken over from and does not know it yet. */
static void check_seats(simulation *self)
{
    uint64_t most = 0, n = 0, n_lost = self->shard_deaths + self->n_promotions;
    if (n_lost != self->n_lost_at_calm && self->calm_us != 0)
        self->calm_us = self->now_us;
    self->n_lost_at_calm = n_lost;
    if (!self->has_seats || self->n_sides > 1 || self->has_coordinator || self->has_rounds || self->calm_us == 0 ||
        self->now_us - self->calm_us < CALM_US)
        return;
    for (uint32_t i = 0; i < self->n_shards; i++) {
        tw_table *table = shard_table(&self->shard[i]);
        uint64_t learned = table != NULL ? tw_table_events_learned(table) : UINT64_MAX;
        most = learned > most ? learned : most;
    }
    double flight = life_flight(most);
    for (uint32_t i = 0; i < self->n_lives; i++) {
        const life *one = self->life[i];
        n += one->state == LIFE_RUNS && one->is_seated && self->now_us - one->seat_asked_us < SURELY_SEATED_US;
    }
    self->n_seated += n > 0 && flight < self->n_shares;
    if (flight < self->n_shares && n > (flight < 2 ? 1 : (uint64_t)flight))
        fail(self, "more workers learn than the flight rule has seats for", (long long)n, (long long)flight);
}

static void step(simulation *self)
{
    self->now_us += self->step_us / 10 + (int64_t)draw(self, (uint64_t)self->step_us);
    self->n_steps++;
    life *of = next_life(self);
    uint32_t shard = (uint32_t)draw(self, self->n_shards), side = (uint32_t)draw(self, self->n_sides);
    sim_node *node = &self->shard[shard].node[side];
    uint64_t what = draw(self, 3);
    bool is_awake = of->state == LIFE_RUNS && (of->is_killed || self->now_us >= of->asleep_until_us);
    if (what == 0 && of->to_shard[shard][side].count > 0 && node_is_awake(node))
        deliver_to_shard(self, of, shard, side);
    else if (what == 1 && of->to_worker[shard][side].count > 0)
        deliver_to_worker(of, shard, side);
    else if (is_awake)
        resume(self, of);
    if (self->has_coordinator)
        coordinator_turn(self, of);
    if (self->n_sides > 1)
        shard_turn(&self->shard[shard]);
    else if ((self->has_rounds || self->has_seats) && draw(self, 4) == 0)
        tw_shard_tick(node->shard, self->now_us);
    node_cut(node);
    if (self->has_rounds)
        follow_rounds(self);
    check_seats(self);
    if (!self->has_faults)
        return;
    if (draw(self, 65536) < self->chance)
        self->n_faults += do_fault(self);
    sim_node *saving = &self->shard[draw(self, self->n_shards)].node[draw(self, self->n_sides)];
    if (draw(self, 48) == 0)
        snapshot_begin(saving);
    else if (draw(self, 24) == 0)
        snapshot_end(saving);
}

static bool all_over(const simulation *self)
{
    for (uint32_t i = 0; i < self->n_lives; i++) {
        if (self->life[i]->state == LIFE_RUNS && !self->life[i]->is_saver)
            return false;
    }
    return true;
}

/* --- the audit ---------------------------------------------------------------------------------------------------- */

typedef struct audit {
    simulation *world;
    uint64_t wanted[2 * (MAX_SPLITS * MAX_EVENTS + SHARED_KEYS)][2];
    size_t n;
    bool is_final;
} audit;

static uint64_t *audit_find(audit *self, uint64_t key)
{
    for (size_t i = 0; i < self->n; i++) {
        if (self->wanted[i][0] == key)
            return self->wanted[i];
    }
    return NULL;
}

static tw_status audit_visit(void *context, int block, uint64_t key, const void *record, tw_error *error)
{
    audit *self = context;
    uint64_t count;
    (void)error;
    if (block >= 0)
        return TW_STATUS_OK;
    memcpy(&count, record, sizeof count);
    uint64_t *wanted = audit_find(self, key);
    if (wanted == NULL || count > wanted[1])
        fail(self->world, "a key was counted too often", (long long)count, wanted != NULL ? (long long)wanted[1] : -1);
    else
        wanted[1] -= count;
    return TW_STATUS_OK;
}

static void audit_run(simulation *self)
{
    static audit check;
    uint64_t total = 0;
    check.world = self;
    check.n = 0;
    for (uint32_t s = 0; s < self->n_splits; s++) {
        total += self->n_events[s];
        for (uint32_t e = 0; e < self->n_events[s]; e++) {
            for (uint32_t k = 0; k < EVENT_KEYS; k++) {
                uint64_t key = key_of(s, e, k), *found = audit_find(&check, key);
                if (found == NULL) {
                    found = check.wanted[check.n++];
                    found[0] = key;
                    found[1] = 0;
                }
                found[1]++;
            }
        }
    }
    for (uint32_t i = 0; i < self->n_shards; i++) {
        tw_table *table = shard_table(&self->shard[i]);
        if (table == NULL || tw_table_scan(table, audit_visit, &check, NULL) < 0)
            fail(self, "a shard has no table", i, 0);
        else if (tw_table_events_learned(table) != total)
            fail(self, "a shard counts other events", (long long)tw_table_events_learned(table), (long long)total);
    }
    for (size_t i = 0; i < check.n && !self->is_lossy; i++) {
        if (check.wanted[i][1] != 0)
            fail(self, "a key was counted too rarely", (long long)i, (long long)check.wanted[i][1]);
    }
}

/* --- one seed ----------------------------------------------------------------------------------------------------- */

static void run_steps(simulation *self, uint64_t until)
{
    while (self->failure[0] == '\0' && self->n_steps < until && !all_over(self))
        step(self);
}

/* Frames that dead workers left behind arrive at last: nothing may change any more. */
static void deliver_leftovers(simulation *self)
{
    for (uint32_t i = 0; i < self->n_lives; i++) {
        for (uint32_t s = 0; s < self->n_shards * MAX_SIDES; s++) {
            while (self->life[i]->to_shard[s / MAX_SIDES][s % MAX_SIDES].count > 0)
                deliver_to_shard(self, self->life[i], s / MAX_SIDES, s % MAX_SIDES);
        }
    }
}

/* In every second world rows carry their last touch. Where nothing is late or old enough to be left out the counts are
 * exact; else they are at most those, and the digests of the standbys tell whether they decide alike. */
static void choose_keep(simulation *self, uint64_t seed)
{
    tw_keep *keep = &self->spec.keep;
    if (seed % 2 == 0)
        return;
    self->is_lossy = seed % 4 == 3;
    keep->expire_after = self->is_lossy ? 30 : TW_EXPIRE_MAX;
    keep->admit_count = self->is_lossy ? 2 : 0;
    keep->admit_bytes = 1 << 20;
    keep->evicts = seed % 8 == 5;
    self->spec.max_bytes = keep->evicts ? 16 << 20 : 0;
}

static void world_begin(simulation *self, uint64_t seed)
{
    memset(self, 0, sizeof *self);
    self->random = tw_mix64(seed);
    self->now_us = 10000000;
    self->n_sides = draw(self, 2) == 0 ? 1 : 2;
    self->step_us = 500;
    self->n_shards = 1 + (uint32_t)draw(self, MAX_SHARDS);
    self->n_shares = 1 + (uint32_t)draw(self, MAX_SHARES);
    self->n_splits = 1 + (uint32_t)draw(self, MAX_SPLITS);
    self->n_deltas = (uint32_t)draw(self, 4);
    self->chance = 400 + (uint32_t)draw(self, 2500);
    self->spec = (tw_table_spec){.kind = TW_TABLE_EXACT, .hash_seed = seed};
    if (tw_record_add(&self->spec.schema.row, "count", TW_FIELD_U64, 1, TW_MERGE_ADD, NULL) < 0)
        abort();
    choose_keep(self, seed);
    for (uint32_t s = 0; s < self->n_splits; s++)
        self->n_events[s] = 1 + (uint32_t)draw(self, MAX_EVENTS);
    for (uint32_t i = 0; i < self->n_shards; i++)
        shard_begin(self, i);
    self->has_coordinator = draw(self, 2) == 0;
    self->n_all_shares = self->has_coordinator ? 1 + (uint32_t)draw(self, self->n_splits) : self->n_shares;
    self->has_rounds = !self->has_coordinator && draw(self, 2) == 0;
    self->staleness = (uint32_t)draw(self, 3);
    self->has_seats = draw(self, 2) == 0;
    self->wall_us = 1000000000;
    if (self->has_coordinator)
        coordinator_start(self);
    for (uint32_t i = 0; i < self->n_shares; i++)
        life_begin(self, i, false);
    if ((self->has_coordinator || self->has_rounds) && draw(self, 2) == 0)
        life_begin_saver(self);
}

static void world_end(simulation *self)
{
    for (uint32_t i = 0; i < self->n_lives; i++) {
        life *gone = self->life[i];
        gone->is_killed = true;
        while (gone->state == LIFE_RUNS)
            resume(self, gone);
        for (uint32_t s = 0; s < MAX_SHARDS * MAX_SIDES; s++) {
            wire_clear(&gone->to_shard[s / MAX_SIDES][s % MAX_SIDES]);
            wire_clear(&gone->to_worker[s / MAX_SIDES][s % MAX_SIDES]);
            wire_clear(&gone->inbox[s / MAX_SIDES]);
        }
        wire_clear(&gone->to_coordinator);
        wire_clear(&gone->by_coordinator);
        wire_clear(&gone->from_coordinator);
        free(gone);
    }
    for (uint32_t i = 0; i < self->n_shards; i++)
        shard_end(&self->shard[i]);
    coordinator_stop(self);
    disk_clear();
}

/* Faults for a while; then calm, in which the lives under way end; then one more life for every share, as the run that
 * owns the workers starts when a shard was lost meanwhile. */
static bool run_seed(simulation *self, uint64_t seed)
{
    world_begin(self, seed);
    self->has_faults = true;
    run_steps(self, self->n_sides > 1 ? 2 * FAULT_STEPS : FAULT_STEPS);
    self->has_faults = false;
    self->calm_us = self->now_us;
    for (uint32_t i = 0; i < self->n_shards * MAX_SIDES; i++)
        snapshot_end(&self->shard[i / MAX_SIDES].node[i % MAX_SIDES]);
    run_steps(self, MAX_STEPS);
    if (self->failure[0] == '\0' && !all_over(self))
        fail(self, "the workers do not come to an end", (long long)self->n_steps, self->n_lives);
    shards_settle(self);
    /* A coordinator lets nobody leave before all is learned: whoever left by a look that began after the
     * last loss needs no successor. */
    bool is_done = self->has_coordinator && self->n_lost_at_end == self->shard_deaths + self->n_promotions + 1;
    for (uint32_t i = 0; i < self->n_shares && !is_done && self->failure[0] == '\0'; i++)
        life_begin(self, i, false);
    self->n_final += !is_done;
    run_steps(self, 2 * MAX_STEPS);
    if (self->failure[0] == '\0' && !all_over(self))
        fail(self, "the workers do not come to an end", (long long)self->n_steps, 0);
    deliver_leftovers(self);
    if (self->failure[0] == '\0')
        audit_run(self);
    bool is_good = self->failure[0] == '\0';
    if (!is_good)
        printf("seed %llu: %s; %u shards of %u, coordinator %d, rounds %d, keep %d, %u shares, %u splits, %llu faults, "
               "%llu "
               "steps\n",
            (unsigned long long)seed, self->failure, self->n_shards, self->n_sides, self->has_coordinator,
            self->has_rounds ? (int)self->staleness : -1, (int)(seed % 8), self->n_shares, self->n_splits,
            (unsigned long long)self->n_faults, (unsigned long long)self->n_steps);
    world_end(self);
    return is_good;
}

int main(int argc, char **argv)
{
    static simulation world;
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 300, first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t n_bad = 0, n_faults = 0, n_frames = 0, n_snapshots = 0, n_restored = 0, n_fallbacks = 0, n_promotions = 0,
             n_fenced = 0, n_cuts = 0, n_seated = 0;
    for (uint64_t seed = first; seed < first + n && n_bad < 5; seed++) {
        n_bad += !run_seed(&world, seed);
        n_faults += world.n_faults;
        n_frames += world.n_pushes;
        n_snapshots += world.n_snapshots;
        n_restored += world.n_restored;
        n_fallbacks += world.n_fallbacks;
        n_promotions += world.n_promotions;
        n_fenced += world.n_fenced;
        n_cuts += world.n_cuts;
        n_seated += world.n_seated;
    }
    printf("%llu seeds, %llu faults, %llu frames to shards, %llu snapshots, %llu restored, %llu of them older than the "
           "last, %llu promotions, %llu shares left to others, %llu named checkpoints, %llu violations\n",
        (unsigned long long)n, (unsigned long long)n_faults, (unsigned long long)n_frames,
        (unsigned long long)n_snapshots, (unsigned long long)n_restored, (unsigned long long)n_fallbacks,
        (unsigned long long)n_promotions, (unsigned long long)n_fenced, (unsigned long long)n_cuts,
        (unsigned long long)n_bad);
    if (n >= 100 &&
        (n_faults < 5 * n || n_fallbacks < n / 10 || n_promotions < n / 4 || n_cuts < n / 10 || n_seated < n)) {
        printf("too few faults\n");
        return 1;
    }
    return n_bad > 0;
}
