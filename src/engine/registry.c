#include "engine/registry.h"

#include <string.h>

static tw_status check_head(
    const char *kind, const char *name, uint32_t abi_version, bool is_complete, size_t n, tw_error *error)
{
    if (name == NULL || name[0] == '\0')
        return tw_error_set(error, TW_STATUS_INVALID, "a %s plug-in has no name", kind);
    if (abi_version != TW_ABI_VERSION)
        return tw_error_set(error, TW_STATUS_INVALID, "%s %s: made for ABI version %u, this program has %d", kind, name,
            abi_version, TW_ABI_VERSION);
    if (!is_complete)
        return tw_error_set(error, TW_STATUS_INVALID, "%s %s: a required member of its table is missing", kind, name);
    if (n >= TW_REGISTRY_MAX)
        return tw_error_set(
            error, TW_STATUS_INVALID, "%s %s: more than %d plug-ins of that kind", kind, name, TW_REGISTRY_MAX);
    return TW_STATUS_OK;
}

/* One family of functions a kind: the tables differ in type, so the lines that touch them do too. */
#define REGISTRY_KIND(kind, member, count, is_complete)                                                                \
    const tw_##kind##_ops *tw_registry_##kind(const tw_registry *self, const char *name)                               \
    {                                                                                                                  \
        for (size_t i = 0; i < self->count; i++) {                                                                     \
            if (strcmp(self->member[i]->name, name) == 0)                                                              \
                return self->member[i];                                                                                \
        }                                                                                                              \
        return NULL;                                                                                                   \
    }                                                                                                                  \
    tw_status tw_registry_add_##kind(tw_registry *self, const tw_##kind##_ops *ops, tw_error *error)                   \
    {                                                                                                                  \
        bool is_whole = ops->struct_size == sizeof *ops && ops->options != NULL && (is_complete);                      \
        tw_status status = check_head(#kind, ops->name, ops->abi_version, is_whole, self->count, error);               \
        if (status < 0)                                                                                                \
            return status;                                                                                             \
        if (tw_registry_##kind(self, ops->name) != NULL)                                                               \
            return tw_error_set(error, TW_STATUS_INVALID, #kind " %s: the name is taken", ops->name);                  \
        self->member[self->count++] = ops;                                                                             \
        return TW_STATUS_OK;                                                                                           \
    }

#define HAS_STATE (ops->state_size != NULL && ops->open != NULL)

REGISTRY_KIND(learner, learner, n_learners, HAS_STATE && ops->learn != NULL && ops->predict != NULL)
REGISTRY_KIND(source,
    source,
    n_sources,
    HAS_STATE && ops->next != NULL && ops->seek != NULL && ops->head != NULL && ops->splits != NULL &&
        ops->close != NULL)
REGISTRY_KIND(format, format, n_formats, HAS_STATE && ops->decode != NULL && ops->close != NULL)
REGISTRY_KIND(transform, transform, n_transforms, HAS_STATE && ops->apply != NULL)
REGISTRY_KIND(sink, sink, n_sinks, HAS_STATE && ops->write != NULL && ops->flush != NULL && ops->close != NULL)
REGISTRY_KIND(solver, solver, n_solvers, ops->solve != NULL)
