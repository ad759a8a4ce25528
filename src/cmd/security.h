/* security.h: the keys that verbs take from files. */
#ifndef TW_CMD_SECURITY_H
#define TW_CMD_SECURITY_H

#include "cmd/flags.h"
#include "config/pipeline.h"
#include "net/keys.h"
#include "net/socket.h"

/* A client's keys, and the view of them that sockets take. Holds a secret: forget it by security_fini. */
typedef struct client_security {
    tw_key_pair own;
    char server_key[TW_KEY_SIZE];
    tw_socket_security view;
} client_security;

/* *out: NULL when the pipeline asks for plain connections on this machine; else self->view. */
TW_MUST_USE tw_status security_of_pipeline(
    client_security *self, const tw_pipeline *pipeline, const tw_socket_security **out, tw_error *error);
void security_fini(client_security *self);
/* The same of a client's flags --key, --server-key and --insecure. */
TW_MUST_USE tw_status security_of_client(
    client_security *self, const flags *given, const tw_socket_security **out, tw_error *error);

/* What to add to "is not answered", where keys may be the reason; else "". */
const char *security_hint(const tw_pipeline *pipeline);

/* Of a server's flags --key, --allow and --insecure; keys and list are filled where --key is given. Release the list by
 * tw_allow_list_fini. */
TW_MUST_USE tw_status security_of_server(
    const flags *given, tw_key_pair *keys, tw_allow_list *allow, bool *is_insecure, tw_error *error);

#endif
