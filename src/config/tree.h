/* tree.h: a pipeline as nodes that know where they were written: YAML files with their includes, values set by path
 * from
 * `-s` or from a flag. Nothing is typed here.
 *
 * YAML is read without anchors, aliases, tags and merge keys; duplicate keys are errors; `${VAR}` and `${VAR:default}`
 * are replaced inside scalars ("$${" is a literal "${"). Limits: TW_TREE_MAX_* below. `include: [file.yaml]` at the top
 * is relative to the including file. Maps are merged key by key, the including file wins over the included, a later
 * include over an earlier one. Paths: keys joined by ".", list elements as "[0]"; an index equal to the list's length
 * appends. Thread rule: one thread per tree. Functions that report problems return OK, also when they did; CONFIG only
 * where the input could not be read at all (a problem is there then too), NO_MEMORY otherwise. */
#ifndef TW_CONFIG_TREE_H
#define TW_CONFIG_TREE_H

#include "config/problems.h"

enum {
    TW_TREE_MAX_BYTES = 1 << 20,
    TW_TREE_MAX_DEPTH = 32,
    TW_TREE_MAX_NODES = 100000,
    TW_TREE_MAX_FILES = 64,
    TW_TREE_MAX_KEYS = 1000, /* of one map */
};

typedef enum tw_node_kind { TW_NODE_SCALAR, TW_NODE_LIST, TW_NODE_MAP } tw_node_kind;

typedef struct tw_node tw_node;

typedef struct tw_entry {
    char *key; /* NULL in lists */
    tw_place key_place;
    tw_node *node;
} tw_entry;

struct tw_node {
    tw_node_kind kind;
    bool is_plain; /* scalar without quotes */
    tw_place place;
    char *text; /* scalar: after replacement of variables */
    tw_entry *entry;
    size_t count, capacity;
};

typedef enum tw_origin_kind { TW_ORIGIN_DEFAULT, TW_ORIGIN_FILE, TW_ORIGIN_FLAG } tw_origin_kind;

typedef struct tw_origin {
    tw_origin_kind kind;
    char *name;  /* path, or the flag as the user wrote it */
    char *bytes; /* of a file; NULL otherwise */
    size_t size;
    uint64_t device, inode; /* of a file, to find cycles of includes */
} tw_origin;

/* Looks up an environment variable: NULL if unset. */
typedef const char *(*tw_variable_lookup)(void *context, const char *name);

typedef struct tw_tree {
    tw_node *root; /* a map */
    tw_origin *origin;
    size_t n_origins, capacity;
    size_t n_nodes;
    tw_variable_lookup lookup; /* NULL: the environment of the process */
    void *lookup_context;
} tw_tree;

/* An empty tree. */
TW_MUST_USE tw_status tw_tree_create(tw_tree **out, tw_error *error);
void tw_tree_destroy(tw_tree **self);

/* Reads a file with its includes; what the tree already has loses against it. CONFIG: see `problems`, which also has
 * why the file itself cannot be read: NOT_FOUND or IO. */
TW_MUST_USE tw_status tw_tree_load(tw_tree *self, const char *path, tw_problems *problems, tw_error *error);
/* The same for text in memory; includes are relative to the working directory. `name` stands in messages. */
TW_MUST_USE tw_status tw_tree_parse(
    tw_tree *self, const char *name, const char *bytes, size_t size, tw_problems *problems, tw_error *error);

/* Sets what `assignment` = "path=value" says, its value read as YAML (a scalar or a flow list or map). `flag` ("-s")
 * stands before it in messages. */
TW_MUST_USE tw_status tw_tree_assign(
    tw_tree *self, const char *flag, const char *assignment, tw_problems *problems, tw_error *error);
/* Sets a scalar, verbatim. `origin` is the flag as the user wrote it ("--learner"). */
TW_MUST_USE tw_status tw_tree_set(
    tw_tree *self, const char *path, const char *text, const char *origin, tw_problems *problems, tw_error *error);

/* Takes the value at `path` out; nothing happens when there is none. */
void tw_tree_remove(tw_tree *self, const char *path);

/* The node at `path`, or NULL. */
const tw_node *tw_tree_find(const tw_tree *self, const char *path);
/* The entry of a map, or NULL (also when `map` is NULL or not a map). */
const tw_entry *tw_node_find(const tw_node *map, const char *key);

const char *tw_tree_origin_name(const tw_tree *self, uint32_t origin); /* never NULL */
/* The line of a place without its end, for carets; NULL when the origin has no lines. Not terminated. */
const char *tw_tree_line(const tw_tree *self, tw_place place, size_t *size);

/* --- for the YAML reader of this folder --- */
void tw_node_destroy(tw_node *self);
/* A node of its own, counted against the limit (problem E108 and NULL *out beyond it). */
TW_MUST_USE tw_status tw_node_create(tw_tree *tree,
    tw_node_kind kind,
    tw_place place,
    const char *text,
    tw_problems *problems,
    tw_node **out,
    tw_error *error);
/* Appends; takes `child` on success only. `key` NULL in lists; copied. */
TW_MUST_USE tw_status tw_node_add(tw_node *self, const char *key, tw_place key_place, tw_node *child, tw_error *error);
/* Moves every entry of `from` into `into`; maps are merged, and `from` wins where `is_winning`. Destroys `from`. */
TW_MUST_USE tw_status tw_node_merge_take(tw_node *into, tw_node *from, bool is_winning, tw_error *error);
TW_MUST_USE tw_status tw_tree_add_origin(tw_tree *self,
    tw_origin_kind kind,
    const char *name,
    char *bytes_take,
    size_t size,
    uint32_t *index,
    tw_error *error);
/* Parses one document into *out (NULL when a problem made it unusable or it is empty). */
TW_MUST_USE tw_status tw_yaml_read(tw_tree *tree,
    uint32_t origin,
    const char *bytes,
    size_t size,
    tw_problems *problems,
    tw_node **out,
    tw_error *error);

#endif
