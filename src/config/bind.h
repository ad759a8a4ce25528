/* bind.h: a tree checked against the schema: typed values with the place of each, in the shape of the schema. */
#ifndef TW_CONFIG_BIND_H
#define TW_CONFIG_BIND_H

#include "config/schema.h"
#include "config/tree.h"

typedef struct tw_bound tw_bound;

/* What the file says for one child of a block. */
typedef struct tw_bound_child {
    const tw_config_child *child;
    tw_bound **item; /* one for a map (also when absent: defaults), any number for lists of maps */
    size_t n_items, capacity;
    const tw_node *node;      /* borrowed from the tree; NULL: absent */
    tw_option_values *params; /* PARAMS; NULL when the plug-in is unknown */
    tw_place *params_place;   /* [options of params] */
} tw_bound_child;

struct tw_bound {
    const tw_config_block *block;
    const tw_node *node; /* borrowed; NULL: absent, all values are defaults */
    tw_place place;      /* of the key or list element */
    char *path;          /* "source[1].format" */
    tw_option_values *values;
    tw_place *value_place;    /* [options]; origin 0: default or unset */
    tw_option_values *plugin; /* options of the plug-in that `type` names; NULL: none or unknown */
    tw_place *plugin_place;
    tw_bound_child *child; /* [children], in the order of the schema */
    size_t n_children;
};

/* Binds the whole tree. Problems are added; OK also then, with everything bound that could be. */
TW_MUST_USE tw_status tw_bind(
    const tw_tree *tree, const tw_plugin_catalogue *catalogue, tw_problems *problems, tw_bound **out, tw_error *error);
void tw_bound_destroy(tw_bound **self);

/* The child by name (asserted), its first item, the place of an option's value or, if it was not given, of the block.
 */
tw_bound_child *tw_bound_child_of(const tw_bound *self, const char *name);
tw_bound *tw_bound_map(const tw_bound *self, const char *name);
tw_place tw_bound_place(const tw_bound *self, const char *option);

/* publish.require: there is a figure among its options. */
bool tw_bound_has_requirement(const tw_bound *require);

/* Sets an option of bound values as if the file said so; a bad value is a problem at `place`. `path` is the block's. */
TW_MUST_USE tw_status tw_bound_set(const tw_tree *tree,
    tw_option_values *values,
    tw_place *places,
    const char *path,
    const char *name,
    const tw_node *value,
    tw_problems *problems,
    tw_error *error);

/* Number of rows of a table and index of a name (SIZE_MAX: none). */
size_t tw_option_table_size(const tw_option *table);
size_t tw_option_table_find(const tw_option *table, const char *name);

#endif
