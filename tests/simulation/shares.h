/* shares.h: the coordinator, and workers that get their shares of the input from it: what src/cmd/worker_shares.c,
 * ps/edge/member.c and ps/edge/coordinator_server.c do around the state machines. */
#ifndef TW_TESTS_SIMULATION_SHARES_H
#define TW_TESTS_SIMULATION_SHARES_H

#include "world.h"

/* A worker's life from its first REPORT to its leaving, on the stack of the life. */
tw_status life_learn_shares(life *self, tw_params *params, tw_error *error);

/* What has come is taken and what is due is said, as the thread of the membership does. */
void life_report(life *self);

void coordinator_start(simulation *self);
void coordinator_stop(simulation *self);
/* It dies; a new one comes some time later, whose clock may have gone back. */
void coordinator_kill(simulation *self);
/* Somebody saw that this worker died. */
void coordinator_forget(simulation *self, const life *gone);
/* One letter between it and `with`, or its clock. */
void coordinator_turn(simulation *self, life *with);

#endif
