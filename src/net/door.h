/* door.h: counts the connections of an encrypted server and shuts its door while too many come that do not pass the
 * handshake, or while too many are open: first to strangers, then also to hosts that were let in before (hosts.h), so
 * that a flood from elsewhere does not keep a worker out that was started again. A shut door drops packets that would
 * open a connection, in the kernel; the connections that are there are not touched. Private to src/net.
 *
 * Every connection that comes costs one of TW_DOOR_BURST tokens and gives it back when it passes the handshake;
 * TW_DOOR_A_SECOND tokens come back in every second. Those that come while it is shut to strangers, which known hosts
 * do, have TW_DOOR_KNOWN tokens of their own and may be so many more at a time. So those that never pass cost a bounded
 * share of the processor and of memory, however many come and wherever from. One thread. */
#ifndef TW_NET_DOOR_H
#define TW_NET_DOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "net/hosts.h"

enum { TW_DOOR_BURST = 256, TW_DOOR_A_SECOND = 64, TW_DOOR_REOPENS = 32, TW_DOOR_MAX_OPEN = 512, TW_DOOR_KNOWN = 128 };

typedef enum tw_door_event {
    TW_DOOR_CAME = 1, /* accepted, not known yet */
    TW_DOOR_PASSED,   /* the handshake */
    TW_DOOR_BROKE,    /* failed the handshake: another protocol, plain, too slow */
    TW_DOOR_LEFT,     /* closed, whatever it was */
} tw_door_event;

typedef enum tw_door_state { TW_DOOR_OPEN, TW_DOOR_TO_KNOWN, TW_DOOR_SHUT } tw_door_state;

/* One limit: of strangers, of known hosts. */
typedef struct tw_door_limit {
    int64_t tokens; /* millionths */
    uint32_t burst, max_open;
    bool is_shut;
} tw_door_limit;

typedef struct tw_door {
    uint64_t n_came, n_passed, n_broke, n_left, n_shut;
    tw_door_limit limit[2]; /* of whoever comes while it is open; while it is not */
    int64_t last_us;
    tw_door_state state;
} tw_door;

void tw_door_init(tw_door *self, int64_t now_us);

/* Follows time and events; how the door is to stand from now on. */
tw_door_state tw_door_tell(tw_door *self, tw_door_event event, int64_t now_us);
tw_door_state tw_door_tick(tw_door *self, int64_t now_us);

/* Opens or shuts the listening socket `fd` for new connections; TO_KNOWN: but for those of `hosts`. False: the system
 * cannot. */
bool tw_door_move(int fd, tw_door_state state, const tw_hosts *hosts);

#endif
