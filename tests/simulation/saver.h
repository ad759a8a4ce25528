/* saver.h: the owner of the model, as a run of several workers is one: it asks for named checkpoints and has the shards
 * cut, what src/cmd/session_crew.c does. At every cut all shards must stand at the same marks. Its process never dies.
 */
#ifndef TW_TESTS_SIMULATION_SAVER_H
#define TW_TESTS_SIMULATION_SAVER_H

#include "world.h"

/* Its life, on the stack of the life. Ends when it is killed. */
tw_status life_save(life *self, tw_params *params, tw_error *error);

/* What the server's edge does: cuts when the shard wants it, and notes where it stands. */
void node_cut(sim_node *self);

#endif
