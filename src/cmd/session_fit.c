/* Mode batch of a session: which inputs are fitted, by what, and where the decoded events lie. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/session_state.h"
#include "config/fingerprint.h"

uint64_t session_count_clusters(const assembly *self)
{
    const tw_learner_traits *traits = tw_model_traits(self->model);
    int block = tw_schema_find_block(&traits->schema, "centroids");
    return traits->task == TW_TASK_CLUSTERING && block >= 0 ? traits->schema.block[block].count : 0;
}

/* Decoded events without a cache of their own lie beside the checkpoints, else among temporary files. */
static tw_status choose_cache(session *self, tw_error *error)
{
    const tw_pipeline *pipeline = self->assembly->pipeline;
    const char *temporary = getenv("TMPDIR");
    int n = 0;
    if (pipeline->cache != NULL)
        n = snprintf(self->cache, sizeof self->cache, "%s", pipeline->cache);
    else if (pipeline->checkpoint_dir != NULL)
        n = snprintf(self->cache, sizeof self->cache, "%s/events", pipeline->checkpoint_dir);
    else
        n = snprintf(self->cache, sizeof self->cache, "%s/thalweg-events-%ld",
            temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp", (long)getpid());
    if (n < 0 || n >= (int)sizeof self->cache)
        return tw_error_set(error, TW_STATUS_CONFIG, "train.cache: a path of %d bytes is too long", n);
    return TW_STATUS_OK;
}

tw_status session_plan_fit(session *self, tw_error *error)
{
    const assembly *all = self->assembly;
    const tw_pipeline *pipeline = all->pipeline;
    if (!pipeline->is_batch)
        return TW_STATUS_OK;
    self->fit = (tw_fit_options){
        .name = pipeline->solver,
        .solver = tw_registry_solver(&all->registry, pipeline->solver),
        .solver_options = pipeline->solver_options,
        .passes = {.passes = pipeline->passes,
            .holdout = pipeline->holdout,
            .early_stop = pipeline->early_stop,
            .is_shuffled = pipeline->is_shuffled,
            .shuffle_seed = pipeline->shuffle_seed},
        .n_centres = (uint32_t)session_count_clusters(all),
        .seed = pipeline->hash_seed,
        .cache = self->cache,
        .is_cache_temporary = pipeline->cache == NULL,
    };
    while (self->fit.n_inputs < pipeline->n_sources && !pipeline->source[self->fit.n_inputs].is_endless)
        self->fit.n_inputs++;
    tw_status status = choose_cache(self, error);
    return status == TW_STATUS_OK ? tw_fingerprint_data(all->canonical.bytes, &self->fit.fingerprint, error) : status;
}
