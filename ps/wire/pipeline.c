#include "ps/wire/pipeline.h"

#include <stdio.h>

bool tw_pipeline_is_said(const tw_pipeline_digest *self)
{
    return (self->part[0] | self->part[1] | self->part[2] | self->part[3]) != 0;
}

void tw_pipeline_put(const tw_pipeline_digest *self, tw_frame *hello)
{
    hello->generation = self->part[0] | (uint64_t)self->part[1] << 32;
    hello->n_learned = self->part[2] | (uint64_t)self->part[3] << 32;
}

tw_pipeline_digest tw_pipeline_get(const tw_frame *hello)
{
    return (tw_pipeline_digest){{(uint32_t)hello->generation, (uint32_t)(hello->generation >> 32),
        (uint32_t)hello->n_learned, (uint32_t)(hello->n_learned >> 32)}};
}

tw_status tw_pipeline_compare(const tw_pipeline_digest *theirs, const tw_pipeline_digest *own, tw_error *error)
{
    static const char *const name[TW_PIPELINE_N_PARTS] = {
        [TW_PIPELINE_FEATURES] = "features or label",
        [TW_PIPELINE_MODEL] = "model",
        [TW_PIPELINE_PARAMS] = "model.params or model.loss",
        [TW_PIPELINE_STRIPE] = "parameter_servers.stripe",
    };
    char text[TW_PIPELINE_N_PARTS * 80] = "";
    size_t size = 0;
    if (!tw_pipeline_is_said(theirs) || !tw_pipeline_is_said(own))
        return TW_STATUS_OK;
    for (int i = 0; i < TW_PIPELINE_N_PARTS; i++) {
        if (theirs->part[i] != own->part[i])
            size += (size_t)snprintf(text + size, sizeof text - size, "%s%s (theirs %08x, this one's %08x)",
                size > 0 ? ", " : "", name[i], theirs->part[i], own->part[i]);
    }
    if (size == 0)
        return TW_STATUS_OK;
    return tw_error_set(error, TW_STATUS_CONFLICT,
        "the workers that learn here have another pipeline, which differs in %s: start all with the same one", text);
}
