/* cut.h: one cut through all shards: a snapshot for which every shard stands at the same marks, so that it can be
 * restored onto another number of them. Workers stand still meanwhile, as a coordinator had them do, or keep rounds:
 * then every shard is cut behind the same round, which holds up nobody for longer than the others need to come there.
 * Marks differ all the same while a push of a worker that died is on some shards only, or a shard has lost rows: the
 * shards say so, and there is no such snapshot until somebody has learned what is missing. */
#ifndef TW_PS_CUT_H
#define TW_PS_CUT_H

#include "thalweg/params.h"

/* The next snapshot_start on `params` (tw_remote_create, the owner's) makes one cut, or fails with BUSY, which says why
 * not now. has_rounds: the workers keep rounds. */
void tw_remote_plan_cut(tw_params *params, bool has_rounds);

struct tw_remote;

/* BARRIER to every shard, as planned, and their answers. Private to the client. */
TW_MUST_USE tw_status tw_cut_start(struct tw_remote *self, uint64_t id, tw_error *error);

#endif
