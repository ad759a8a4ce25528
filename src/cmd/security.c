#include "cmd/security.h"

#include <string.h>

tw_status security_of_pipeline(
    client_security *self, const tw_pipeline *pipeline, const tw_socket_security **out, tw_error *error)
{
    *out = NULL;
    memset(self, 0, sizeof *self);
    if (pipeline->shard_key == NULL && !pipeline->is_insecure)
        return TW_STATUS_OK;
    tw_status status = TW_STATUS_OK;
    self->view.is_insecure = pipeline->shard_key == NULL;
    if (pipeline->shard_key != NULL) {
        status = tw_key_pair_load(pipeline->shard_key, &self->own, error);
        if (status == TW_STATUS_OK)
            status = tw_public_key_read(pipeline->shard_server_key, self->server_key, error);
        self->view.public_key = self->own.public_key;
        self->view.secret_key = self->own.secret_key;
        self->view.server_key = self->server_key;
    }
    *out = &self->view;
    return status;
}

const char *security_hint(const tw_pipeline *pipeline)
{
    return pipeline->shard_key == NULL ? ""
                                       : "; if it runs, is security.server_key its public key, and is this program's "
                                         "key in its allow-list?";
}

tw_status security_of_client(client_security *self, const flags *given, const tw_socket_security **out, tw_error *error)
{
    const char *key = flags_text(given, "key", NULL), *server = flags_text(given, "server-key", NULL);
    tw_pipeline named = {.shard_key = key, .shard_server_key = server, .is_insecure = flags_has(given, "insecure")};
    *out = NULL;
    if ((key == NULL) != (server == NULL))
        return tw_error_set(error, TW_STATUS_INVALID, "--key and --server-key belong together");
    return security_of_pipeline(self, &named, out, error);
}

void security_fini(client_security *self)
{
    volatile unsigned char *at = (volatile unsigned char *)self;
    for (size_t i = 0; i < sizeof *self; i++)
        at[i] = 0;
}

tw_status security_of_server(
    const flags *given, tw_key_pair *keys, tw_allow_list *allow, bool *is_insecure, tw_error *error)
{
    const char *key = flags_text(given, "key", NULL), *list = flags_text(given, "allow", NULL);
    *is_insecure = flags_has(given, "insecure");
    if ((key == NULL) != (list == NULL))
        return tw_error_set(error, TW_STATUS_INVALID, "--key and --allow belong together");
    if (key == NULL)
        return TW_STATUS_OK;
    if (*is_insecure)
        return tw_error_set(error, TW_STATUS_INVALID, "--key and --insecure exclude each other");
    tw_status status = tw_key_pair_load(key, keys, error);
    return status == TW_STATUS_OK ? tw_allow_list_load(list, allow, error) : status;
}
