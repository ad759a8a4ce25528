/* schema.h: the keys of a pipeline file as one tree of tables. Binding, checks, `check --resolved`, the option
 * reference and the JSON Schema are all made from it. Plug-ins bring their own tables through the catalogue. */
#ifndef TW_CONFIG_SCHEMA_H
#define TW_CONFIG_SCHEMA_H

#include "thalweg/options.h"

typedef enum tw_plugin_kind {
    TW_PLUGIN_NONE = 0,
    TW_PLUGIN_LEARNER,
    TW_PLUGIN_SOURCE,
    TW_PLUGIN_FORMAT,
    TW_PLUGIN_SINK,
    TW_PLUGIN_TRANSFORM,
    TW_PLUGIN_SOLVER,
    TW_PLUGIN_N_KINDS,
} tw_plugin_kind;

/* What plug-ins exist: filled by whoever may see them. All answers are borrowed from the catalogue. */
typedef struct tw_plugin_catalogue {
    void *context;
    /* The option table of a plug-in; NULL when there is none of that name. */
    const tw_option *(*options)(void *context, tw_plugin_kind kind, const char *name);
    /* The name of plug-in `index` of a kind; NULL behind the last. */
    const char *(*name)(void *context, tw_plugin_kind kind, size_t index);
    const char *(*summary)(void *context, tw_plugin_kind kind, const char *name);
} tw_plugin_catalogue;

typedef enum tw_child_kind {
    TW_CHILD_MAP,         /* one map */
    TW_CHILD_MAPS,        /* a list of maps */
    TW_CHILD_MAP_OR_MAPS, /* either */
    TW_CHILD_NAMED_MAP,   /* a map with a key `type`, or just the text of `type` */
    TW_CHILD_PARAMS,      /* a map of the options of the plug-in that `plugin_key` beside it names */
    TW_CHILD_WORD_LISTS,  /* a list of lists of texts */
    TW_CHILD_REFUSED,     /* known, but not supported by this version: an error with `help` as the hint */
} tw_child_kind;

typedef struct tw_config_block tw_config_block;

/* A key whose value is not a plain option. A table of these ends with a row whose name is NULL. */
typedef struct tw_config_child {
    const char *name;
    tw_child_kind kind;
    const tw_config_block *block; /* maps only */
    tw_plugin_kind plugin;        /* PARAMS only */
    const char *help;
    const char *plugin_key; /* PARAMS only: the option that names the plug-in, "type" or "solver" */
} tw_config_child;

struct tw_config_block {
    const char *title;               /* path in the reference: "checkpoint.every" */
    const char *help;                /* one or two sentences */
    const tw_option *options;        /* never NULL */
    const tw_config_child *children; /* never NULL */
    tw_plugin_kind plugin;           /* keys that are neither belong to the plug-in that `type` names */
};

const tw_config_block *tw_config_root(void);

#endif
