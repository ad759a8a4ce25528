/* registry.h: the plug-ins of one engine, by kind and name. Built-in ones come from the .def lists
 * (src/cmd/builtins.c); every table is checked when it is added. Not shared between threads while it is filled;
 * read-only afterwards. */
#ifndef TW_ENGINE_REGISTRY_H
#define TW_ENGINE_REGISTRY_H

#include "thalweg/thalweg.h"

enum { TW_REGISTRY_MAX = 64 };

typedef struct tw_registry {
    const tw_learner_ops *learner[TW_REGISTRY_MAX];
    const tw_source_ops *source[TW_REGISTRY_MAX];
    const tw_format_ops *format[TW_REGISTRY_MAX];
    const tw_transform_ops *transform[TW_REGISTRY_MAX];
    const tw_sink_ops *sink[TW_REGISTRY_MAX];
    const tw_solver_ops *solver[TW_REGISTRY_MAX];
    size_t n_learners, n_sources, n_formats, n_transforms, n_sinks, n_solvers;
} tw_registry;

/* INVALID: a required member is missing, another ABI version, a name that is taken. The table is borrowed. */
TW_MUST_USE tw_status tw_registry_add_learner(tw_registry *self, const tw_learner_ops *ops, tw_error *error);
TW_MUST_USE tw_status tw_registry_add_source(tw_registry *self, const tw_source_ops *ops, tw_error *error);
TW_MUST_USE tw_status tw_registry_add_format(tw_registry *self, const tw_format_ops *ops, tw_error *error);
TW_MUST_USE tw_status tw_registry_add_transform(tw_registry *self, const tw_transform_ops *ops, tw_error *error);
TW_MUST_USE tw_status tw_registry_add_sink(tw_registry *self, const tw_sink_ops *ops, tw_error *error);
TW_MUST_USE tw_status tw_registry_add_solver(tw_registry *self, const tw_solver_ops *ops, tw_error *error);

/* NULL if there is none of that name. */
const tw_learner_ops *tw_registry_learner(const tw_registry *self, const char *name);
const tw_source_ops *tw_registry_source(const tw_registry *self, const char *name);
const tw_format_ops *tw_registry_format(const tw_registry *self, const char *name);
const tw_transform_ops *tw_registry_transform(const tw_registry *self, const char *name);
const tw_sink_ops *tw_registry_sink(const tw_registry *self, const char *name);
const tw_solver_ops *tw_registry_solver(const tw_registry *self, const char *name);

#endif
