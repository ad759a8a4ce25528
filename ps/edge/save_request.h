/* save_request.h: asks a coordinator for a named checkpoint, and waits for it. */
#ifndef TW_PS_SAVE_REQUEST_H
#define TW_PS_SAVE_REQUEST_H

#include "net/socket.h"

typedef struct tw_save_request {
    const char *address;
    const tw_socket_security *security; /* NULL: plain */
    const char *name;
    int timeout_ms;
    /* About once a second: for what it waits, such as "worker 3 to finish its batch". May be NULL. */
    void (*waiting)(void *context, int64_t waited_ms, const char *what);
    void *context;
} tw_save_request;

/* *id: of the checkpoint, which is durable. UNAVAILABLE: nobody answers, or it was cancelled, saying by whom; BUSY:
 * another one is under way; CONFLICT: this coordinator saves nothing, or the name is taken; INVALID: not a name;
 * TIMEOUT: it may yet come. */
TW_MUST_USE tw_status tw_request_save(const tw_save_request *wanted, uint64_t *id, tw_error *error);

#endif
