/* door.h: counts the connections of an encrypted server and shuts its door while too many come that do not pass the
 * handshake, or while too many are open. A shut door drops packets that would open a connection, in the kernel; the
 * connections that are there are not touched. Private to src/net.
 *
 * Every connection that comes costs one of TW_DOOR_BURST tokens and gives it back when it passes the handshake;
 * TW_DOOR_A_SECOND tokens come back in every second. So those that never pass cost a bounded share of the processor and
 * of memory, however many come. One thread. */
#ifndef TW_NET_DOOR_H
#define TW_NET_DOOR_H

#include <stdbool.h>
#include <stdint.h>

enum { TW_DOOR_BURST = 256, TW_DOOR_A_SECOND = 64, TW_DOOR_REOPENS = 32, TW_DOOR_MAX_OPEN = 512 };

typedef enum tw_door_event {
    TW_DOOR_CAME = 1, /* accepted, not known yet */
    TW_DOOR_PASSED,   /* the handshake */
    TW_DOOR_BROKE,    /* failed the handshake: another protocol, plain, too slow */
    TW_DOOR_LEFT,     /* closed, whatever it was */
} tw_door_event;

typedef struct tw_door {
    uint64_t n_came, n_passed, n_broke, n_left, n_shut;
    int64_t tokens; /* millionths */
    int64_t last_us;
    bool is_shut;
} tw_door;

void tw_door_init(tw_door *self, int64_t now_us);

/* Follows time and events; true: the door is to be shut from now on, or to stay so. */
bool tw_door_tell(tw_door *self, tw_door_event event, int64_t now_us);
bool tw_door_tick(tw_door *self, int64_t now_us);

/* Shuts or opens the listening socket `fd` for new connections. False: the system cannot. */
bool tw_door_move(int fd, bool is_shut);

#endif
