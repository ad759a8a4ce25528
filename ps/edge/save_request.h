/* save_request.h: asks a coordinator for a named checkpoint, and waits for it. */
#ifndef TW_PS_SAVE_REQUEST_H
#define TW_PS_SAVE_REQUEST_H

#include "net/socket.h"

/* *id: of the checkpoint, which is durable. UNAVAILABLE: nobody answers, or it was cancelled, saying by whom; BUSY:
 * another one is under way; CONFLICT: this coordinator saves nothing; INVALID: not a name; TIMEOUT: it may yet come. */
TW_MUST_USE tw_status tw_request_save(const char *address,
    const tw_socket_security *security,
    const char *name,
    int timeout_ms,
    uint64_t *id,
    tw_error *error);

#endif
