/* What a run's /metrics say of its shards and of the processes that it started again. */
#include "cmd/security.h"
#include "cmd/session_state.h"

static const char restarts_head[] = "# HELP thalweg_ps_restarts_total Processes of this run that were started again.\n"
                                    "# TYPE thalweg_ps_restarts_total counter\n";

tw_status session_watch_start(session *self, tw_error *error)
{
    const tw_pipeline *pipeline = self->assembly->pipeline;
    bool has_own = self->children != NULL;
    uint32_t n = has_own ? children_count(self->children) : pipeline->connect.count;
    client_security keys;
    const tw_socket_security *security = NULL;
    if (n == 0)
        return TW_STATUS_OK;
    tw_status status = has_own ? TW_STATUS_OK : security_of_pipeline(&keys, pipeline, &security, error);
    if (status == TW_STATUS_OK)
        status = shard_watch_start(has_own ? children_addresses(self->children) : pipeline->connect.item, n, security,
            pipeline->name, &self->watch, error);
    if (!has_own)
        security_fini(&keys);
    return status;
}

tw_status session_watch_metrics(void *context, tw_text *out, tw_error *error)
{
    session *self = context;
    tw_status status = TW_STATUS_OK;
    if (self->watch == NULL)
        return TW_STATUS_OK;
    uint32_t n_shards = self->children != NULL ? children_restarts(self->children) : 0;
    status = tw_text_addf(out, error,
        "%sthalweg_ps_restarts_total{role=\"shard\"} %u\nthalweg_ps_restarts_total{role=\"worker\"} %u\n",
        restarts_head, n_shards, atomic_load(&self->n_worker_restarts));
    return status == TW_STATUS_OK ? shard_watch_metrics(self->watch, out, error) : status;
}
