/* lookout.h: which process serves a shard, as a state machine: bytes and time in, bytes out; no socket, no clock. Every
 * shard has one address or several, "A|B"; each is asked a few times a second what it is (STATUS). The one that serves
 * with the highest epoch is the shard's place. When nobody has served for too long, a standby that answers is told to
 * take over (PROMOTE, see replication.h).
 *
 * Nothing here has to survive: started again it asks. No two processes serve for long: every order to take over has an
 * epoch above all that were heard of or given before, whatever became of those; where two serve, the one with the
 * lower epoch is told so (PROMOTED) and serves nobody any more, and of two with the same epoch one is raised first. One
 * that serves with less than its clients know of (it came back late) is raised when no better one shows up.
 *
 * Thread rule: one thread at a time. Times are microseconds of one monotonic clock. */
#ifndef TW_PS_LOOKOUT_H
#define TW_PS_LOOKOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/socket.h"

typedef struct tw_lookout tw_lookout;

/* To place `place`; bytes are borrowed for the call, which may not call the lookout. Frames may get lost. */
typedef void (*tw_lookout_emit)(void *context, uint32_t place, const void *bytes, size_t size);
/* What a person may want to know. May be NULL. */
typedef void (*tw_lookout_note)(void *context, const char *message);

/* Zeros mean the defaults given behind. */
typedef struct tw_lookout_options {
    const char *const *address; /* [n_shards] each "A" or "A|B"; copied */
    uint32_t n_shards;          /* at most TW_MAX_SHARDS addresses in all */
    int64_t silence_us;         /* 1 s without an answer: it is gone */
    const char *hint;           /* behind the note that nobody has ever answered; a constant. NULL: none */
    uint64_t sender;            /* random, not 0 */
    tw_lookout_emit emit;
    tw_lookout_note note;
    void *context, *note_context;
} tw_lookout_options;

TW_MUST_USE tw_status tw_lookout_create(
    const tw_lookout_options *options, int64_t now_us, tw_lookout **out, tw_error *error);
void tw_lookout_destroy(tw_lookout **self);

/* The addresses of all shards, one after the other. Borrowed. */
uint32_t tw_lookout_n_places(const tw_lookout *self);
const char *tw_lookout_address(const tw_lookout *self, uint32_t at);

/* One frame from a place: what is damaged or not asked for is passed over. */
void tw_lookout_receive(tw_lookout *self, int64_t now_us, uint32_t at, const void *bytes, size_t size);
/* What is due by time: call it every 50 ms at least, after what has come. */
void tw_lookout_tick(tw_lookout *self, int64_t now_us);

/* A shard whose place or epoch changed since this was asked last: true hands it over once. `address`: all of its
 * addresses, the one that serves first. */
bool tw_lookout_moved(tw_lookout *self, uint32_t *shard, char address[TW_ADDRESS_SIZE], uint64_t *epoch);

typedef struct tw_lookout_shard {
    const char *address; /* of the one that serves, or served last; borrowed */
    bool is_served;      /* it answers */
    bool has_standby;    /* another address answers as a standby */
    bool is_heard;       /* some address has answered since the start */
    /* Every address has been heard of since the start, or has had its time: none is there that might know better. */
    bool is_settled;
    uint64_t incarnation; /* of the process that serves, or served last; 0: none was found, or another one may */
    uint64_t epoch, takeovers;
    int64_t silent_us; /* since it was heard of; -1: never */
} tw_lookout_shard;

void tw_lookout_look(const tw_lookout *self, uint32_t shard, tw_lookout_shard *out);

#endif
