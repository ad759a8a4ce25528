/* nodes.h: the processes of the shards: restore, snapshots, standbys, and the supervisor that starts them again and
 * promotes. Their edges do what ps/edge/server.c and ps/edge/standby_edge.c do around sockets and files. */
#ifndef TW_TESTS_SIMULATION_NODES_H
#define TW_TESTS_SIMULATION_NODES_H

#include "world.h"

void shard_begin(simulation *self, uint32_t index);
void shard_end(sim_shard *self);

/* The table that counts: of the process that serves. NULL: none. */
tw_table *shard_table(sim_shard *self);

bool node_is_awake(const sim_node *self);
/* The process dies, now and then while it writes, now and then with its machine. Without a standby it is started again
 * at once; else by the supervisor. */
void node_kill(sim_node *self);
/* It stands still for up to some seconds. False: it is dead. */
bool node_pause(sim_node *self);
/* The supervisor takes the one that serves for dead, wrongly. False: there is nobody to take over. */
bool shard_usurp(sim_shard *self);
/* The same, and whoever takes over is cut off right after: for a while nobody hears of it, its predecessor neither. */
bool shard_usurp_unheard(sim_shard *self);

/* One of its processes or its supervisor goes on. */
void shard_turn(sim_shard *self);
/* Calm: until every shard has one process that serves and no other that believes to. */
void shards_settle(simulation *self);

/* The cut is taken now and written some steps later: pushes go on in between. */
void snapshot_begin(sim_node *self);
void snapshot_end(sim_node *self);

#endif
