/* ask.h: asks shards for their status, over connections that are kept for the next time. One thread at a time. */
#ifndef TW_PS_ASK_H
#define TW_PS_ASK_H

#include "ps/wire/link.h"
#include "ps/wire/status.h"

typedef struct tw_asker tw_asker;

typedef struct tw_asked {
    bool has_answered;
    bool is_no_shard;       /* somebody else answered: a coordinator */
    const char *address;    /* of whoever answered, the asker's; NULL: nobody */
    tw_shard_status status; /* empty unless it has answered */
} tw_asked;

/* `security` NULL: plain. Addresses and keys are copied. Of a shard "A|B" everybody is asked, TW_MAX_SHARDS addresses
 * in all, and its answer is that of the one that serves with the highest epoch; else of a standby; else of one that
 * serves nobody any more. */
TW_MUST_USE tw_status tw_asker_create(
    const char *const *address, uint32_t n, const tw_socket_security *security, tw_asker **out, tw_error *error);
void tw_asker_destroy(tw_asker **self);

/* Fills answer [n], whatever was there before (all zero the first time); those that did not answer within timeout_ms
 * are left unanswered. An error is one of this side. */
TW_MUST_USE tw_status tw_asker_ask(tw_asker *self, int timeout_ms, tw_asked *answer, tw_error *error);

void tw_asked_fini(tw_asked *answer, uint32_t n);

#endif
