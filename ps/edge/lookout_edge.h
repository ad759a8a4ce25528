/* lookout_edge.h: a lookout with its sockets. One thread. */
#ifndef TW_PS_LOOKOUT_EDGE_H
#define TW_PS_LOOKOUT_EDGE_H

#include "ps/coordinator/lookout.h"

typedef struct tw_lookout_edge tw_lookout_edge;

typedef struct tw_lookout_edge_options {
    const char *const *address; /* [n_shards] */
    uint32_t n_shards;
    const tw_socket_security *security; /* NULL: plain. Borrowed for the call */
    int64_t silence_us;
    const char *hint;
    tw_lookout_note note;
    void *context;
} tw_lookout_edge_options;

TW_MUST_USE tw_status tw_lookout_edge_create(
    const tw_lookout_edge_options *options, tw_lookout_edge **out, tw_error *error);
void tw_lookout_edge_destroy(tw_lookout_edge **self); /* NULL-safe */

/* Takes what has come and says what is due: every 50 ms at least. Never waits. */
TW_MUST_USE tw_status tw_lookout_edge_turn(tw_lookout_edge *self, int64_t now_us, tw_error *error);

/* Borrowed. */
tw_lookout *tw_lookout_edge_state(tw_lookout_edge *self);

#endif
