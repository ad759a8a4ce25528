#include "saver.h"

#include "base/alloc.h"
#include "life.h"
#include "ps/worker/cut.h"

enum { PAUSES = 80 };

static void ask_by_name(life *self, uint64_t sequence)
{
    simulation *world = self->simulation;
    tw_frame frame = {.type = TW_FRAME_SAVE, .sender = 5000 + sequence, .sequence = 1};
    tw_buffer out = {0};
    if (tw_frame_begin(&out, &frame, NULL, NULL) < 0 || tw_buffer_append(&out, "a", 1, NULL) < 0)
        abort();
    tw_frame_finish(&out, &frame);
    if (world->coordinator != NULL)
        tw_coordinator_receive(
            world->coordinator, world->now_us, &self->number, sizeof self->number, out.bytes, out.size);
    tw_free(out.bytes);
}

/* Of those that it talks to: one that was taken over from may hear of a checkpoint later. */
static void check_cut(const life *self, uint64_t id)
{
    simulation *world = self->simulation;
    const sim_cut *first = &world->shard[0].node[self->side[0]].cut;
    for (uint32_t s = 0; s < world->n_shards; s++) {
        const sim_cut *cut = &world->shard[s].node[self->side[s]].cut;
        if (cut->id != id || memcmp(cut->mark, first->mark, sizeof cut->mark) != 0)
            fail(world, "the shards of a named checkpoint stand at different marks", s, (long long)cut->id);
    }
    world->n_cuts++;
}

/* OK: there is a cut; BUSY, or an answer was lost: not now. */
static tw_status cut_once(life *self, tw_params *params, uint64_t id, tw_error *error)
{
    tw_row_files files;
    tw_remote_plan_cut(params, self->simulation->has_rounds);
    tw_status status = params->ops->snapshot_start(params, "", id, error);
    while (status == TW_STATUS_OK || status == TW_STATUS_IDLE) {
        status = params->ops->snapshot_poll(params, 1, &files, error);
        if (status == TW_STATUS_OK) {
            check_cut(self, id);
            return status;
        }
        if (status == TW_STATUS_IDLE && life_give_way(self, error) < 0)
            return TW_STATUS_CANCELLED;
    }
    return self->is_killed ? TW_STATUS_CANCELLED : TW_STATUS_BUSY;
}

static tw_status cut_as_asked(life *self, tw_params *params, uint64_t id, tw_error *error)
{
    simulation *world = self->simulation;
    char name[TW_SAVE_NAME_SIZE];
    tw_grant orphan[MAX_SPLITS];
    tw_lease lease[MAX_SPLITS];
    uint32_t n = MAX_SPLITS;
    if (world->coordinator == NULL || !tw_coordinator_save_wanted(world->coordinator, name, orphan, &n))
        return TW_STATUS_OK;
    for (uint32_t i = 0; i < n; i++)
        lease[i] = (tw_lease){orphan[i].share, orphan[i].epoch};
    tw_status status = tw_remote_fence(params, lease, n, error);
    if (status == TW_STATUS_OK)
        status = cut_once(self, params, id, error);
    if (status == TW_STATUS_CANCELLED || world->coordinator == NULL)
        return status == TW_STATUS_CANCELLED ? status : TW_STATUS_OK;
    tw_coordinator_save_cut(world->coordinator, status, "not now");
    if (status == TW_STATUS_OK)
        tw_coordinator_save_done(world->coordinator, TW_STATUS_OK, id, NULL);
    return TW_STATUS_OK;
}

tw_status life_save(life *self, tw_params *params, tw_error *error)
{
    simulation *world = self->simulation;
    tw_status status = TW_STATUS_OK;
    for (uint64_t turn = 1; status >= 0; turn++) {
        status = life_give_way(self, error);
        bool is_due = status >= 0 && world->has_faults && draw(world, PAUSES) == 0;
        if (is_due && world->has_coordinator)
            ask_by_name(self, turn);
        if (status >= 0 && world->has_coordinator)
            status = cut_as_asked(self, params, turn, error);
        else if (is_due && cut_once(self, params, turn, error) == TW_STATUS_CANCELLED)
            status = TW_STATUS_CANCELLED;
    }
    return status;
}

void node_cut(sim_node *self)
{
    simulation *world = self->simulation;
    sim_cut *cut = &self->cut;
    uint64_t id;
    tw_row_file file = {.name = "rows"};
    if (self->shard == NULL || !tw_shard_snapshot_wanted(self->shard, &id))
        return;
    *cut = (sim_cut){.id = id};
    for (uint32_t s = 0; s < world->n_splits; s++)
        cut->mark[s] = tw_table_mark(tw_shard_table(self->shard), s + 1);
    tw_shard_snapshot_started(self->shard, TW_STATUS_OK, NULL);
    tw_shard_snapshot_done(self->shard, TW_STATUS_OK, &file, NULL);
}
