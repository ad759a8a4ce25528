#include "cmd/builtins.h"

#include <string.h>

#define TW_LEARNER(name) extern const tw_learner_ops tw_learner_##name;
#include "algorithms/learners.def"
#undef TW_LEARNER
#define TW_SOURCE(name) extern const tw_source_ops tw_source_##name;
#include "sources/sources.def"
#undef TW_SOURCE
#define TW_FORMAT(name) extern const tw_format_ops tw_format_##name;
#include "formats/formats.def"
#undef TW_FORMAT
#define TW_TRANSFORM(name) extern const tw_transform_ops tw_transform_##name;
#include "transforms/transforms.def"
#undef TW_TRANSFORM
#define TW_SINK(name) extern const tw_sink_ops tw_sink_##name;
#include "sinks/sinks.def"
#undef TW_SINK
#define TW_SOLVER(name) extern const tw_solver_ops tw_solver_##name;
#include "solvers/solvers.def"
#undef TW_SOLVER

/* What train.solver may name besides the batch solvers: the learner itself, over the same cache. */
static const tw_option no_options[] = {{.name = NULL}};
static const struct {
    const char *name, *summary;
} own_solvers[] = {
    {"online", "the learner itself: train.passes times over the events, with holdout and early stop"},
    {"ftrl", "as online, for learner ftrl"},
    {"sgd", "as online, for learners that step along the gradient: linear and logistic"},
};
enum { N_OWN_SOLVERS = sizeof own_solvers / sizeof own_solvers[0] };

tw_status builtins_add(tw_registry *registry, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    memset(registry, 0, sizeof *registry);
#define TW_LEARNER(name)                                                                                               \
    if (status == TW_STATUS_OK)                                                                                        \
        status = tw_registry_add_learner(registry, &tw_learner_##name, error);
#include "algorithms/learners.def"
#undef TW_LEARNER
#define TW_SOURCE(name)                                                                                                \
    if (status == TW_STATUS_OK)                                                                                        \
        status = tw_registry_add_source(registry, &tw_source_##name, error);
#include "sources/sources.def"
#undef TW_SOURCE
#define TW_FORMAT(name)                                                                                                \
    if (status == TW_STATUS_OK)                                                                                        \
        status = tw_registry_add_format(registry, &tw_format_##name, error);
#include "formats/formats.def"
#undef TW_FORMAT
#define TW_TRANSFORM(name)                                                                                             \
    if (status == TW_STATUS_OK)                                                                                        \
        status = tw_registry_add_transform(registry, &tw_transform_##name, error);
#include "transforms/transforms.def"
#undef TW_TRANSFORM
#define TW_SINK(name)                                                                                                  \
    if (status == TW_STATUS_OK)                                                                                        \
        status = tw_registry_add_sink(registry, &tw_sink_##name, error);
#include "sinks/sinks.def"
#undef TW_SINK
#define TW_SOLVER(name)                                                                                                \
    if (status == TW_STATUS_OK)                                                                                        \
        status = tw_registry_add_solver(registry, &tw_solver_##name, error);
#include "solvers/solvers.def"
#undef TW_SOLVER
    return status;
}

/* Name, summary and options of plug-in `index` of a kind; false behind the last. */
typedef struct plugin_head {
    const char *name, *summary;
    const tw_option *options;
} plugin_head;

#define HEAD_OF(member, count)                                                                                         \
    if (index < registry->count)                                                                                       \
        *out = (plugin_head){                                                                                          \
            registry->member[index]->name, registry->member[index]->summary, registry->member[index]->options};        \
    return index < registry->count

static bool solver_at(const tw_registry *registry, size_t index, plugin_head *out)
{
    if (index < N_OWN_SOLVERS)
        *out = (plugin_head){own_solvers[index].name, own_solvers[index].summary, no_options};
    else if (index - N_OWN_SOLVERS < registry->n_solvers)
        *out = (plugin_head){registry->solver[index - N_OWN_SOLVERS]->name,
            registry->solver[index - N_OWN_SOLVERS]->summary, registry->solver[index - N_OWN_SOLVERS]->options};
    else
        return false;
    return true;
}

static bool plugin_at(const tw_registry *registry, tw_plugin_kind kind, size_t index, plugin_head *out)
{
    switch (kind) {
    case TW_PLUGIN_LEARNER:
        HEAD_OF(learner, n_learners);
    case TW_PLUGIN_SOURCE:
        HEAD_OF(source, n_sources);
    case TW_PLUGIN_FORMAT:
        HEAD_OF(format, n_formats);
    case TW_PLUGIN_SINK:
        HEAD_OF(sink, n_sinks);
    case TW_PLUGIN_TRANSFORM:
        HEAD_OF(transform, n_transforms);
    case TW_PLUGIN_SOLVER:
        return solver_at(registry, index, out);
    case TW_PLUGIN_NONE:
    case TW_PLUGIN_N_KINDS:
        break;
    }
    return false;
}

static bool plugin_find(const tw_registry *registry, tw_plugin_kind kind, const char *name, plugin_head *out)
{
    for (size_t i = 0; plugin_at(registry, kind, i, out); i++) {
        if (strcmp(out->name, name) == 0)
            return true;
    }
    return false;
}

static const tw_option *catalogue_options(void *context, tw_plugin_kind kind, const char *name)
{
    plugin_head head = {0};
    return plugin_find(context, kind, name, &head) ? head.options : NULL;
}

static const char *catalogue_name(void *context, tw_plugin_kind kind, size_t index)
{
    plugin_head head = {0};
    return plugin_at(context, kind, index, &head) ? head.name : NULL;
}

static const char *catalogue_summary(void *context, tw_plugin_kind kind, const char *name)
{
    plugin_head head = {0};
    return plugin_find(context, kind, name, &head) ? head.summary : NULL;
}

tw_plugin_catalogue builtins_catalogue(const tw_registry *registry)
{
    union {
        const tw_registry *registry;
        void *context; /* only ever read */
    } place = {.registry = registry};
    return (tw_plugin_catalogue){
        .context = place.context, .options = catalogue_options, .name = catalogue_name, .summary = catalogue_summary};
}
