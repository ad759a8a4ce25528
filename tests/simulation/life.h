/* life.h: what both kinds of lives share. */
#ifndef TW_TESTS_SIMULATION_LIFE_H
#define TW_TESTS_SIMULATION_LIFE_H

#include "world.h"

/* Others go on; CANCELLED: killed meanwhile. */
tw_status life_give_way(life *self, tw_error *error);

/* Events that may be in flight after so many were learned, where workers keep seats. */
double life_flight(uint64_t events_learned);

/* Learns a split the way the engine does, from the lowest mark to the end or until the membership is to pause. REWIND:
 * once more. */
tw_status learn_split(life *self, tw_params *params, uint32_t split, tw_error *error);

#endif
