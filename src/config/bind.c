#include "config/bind.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

/* The maps around the one that is being bound, for keys at the wrong indent. */
typedef struct frame {
    const struct frame *parent;
    const tw_config_block *block;
    const tw_option *plugin; /* NULL: none */
    uint32_t column;         /* where this map's keys stand; 0: unknown */
} frame;

typedef struct binder {
    const tw_tree *tree;
    const tw_plugin_catalogue *catalogue;
    tw_problems *problems;
    tw_error *error;
} binder;

static const char *const plugin_words[TW_PLUGIN_N_KINDS] = {
    "plug-in", "learner", "source", "format", "sink", "transform", "solver"};

size_t tw_option_table_size(const tw_option *table)
{
    size_t n = 0;
    while (table != NULL && table[n].name != NULL)
        n++;
    return n;
}

size_t tw_option_table_find(const tw_option *table, const char *name)
{
    for (size_t i = 0; table != NULL && table[i].name != NULL; i++) {
        if (strcmp(table[i].name, name) == 0)
            return i;
    }
    return SIZE_MAX;
}

static const tw_config_child *find_child(const tw_config_block *block, const char *name)
{
    for (const tw_config_child *child = block->children; child->name != NULL; child++) {
        if (strcmp(child->name, name) == 0)
            return child;
    }
    return NULL;
}

static void free_values(tw_option_values **values, tw_place **places)
{
    tw_option_values_destroy(values);
    tw_free(*places);
    *places = NULL;
}

void tw_bound_destroy(tw_bound **self)
{
    if (self == NULL || *self == NULL)
        return;
    tw_bound *bound = *self;
    for (size_t i = 0; i < bound->n_children; i++) {
        tw_bound_child *child = &bound->child[i];
        for (size_t k = 0; k < child->n_items; k++)
            tw_bound_destroy(&child->item[k]);
        tw_free(child->item);
        free_values(&child->params, &child->params_place);
    }
    tw_free(bound->child);
    free_values(&bound->values, &bound->value_place);
    free_values(&bound->plugin, &bound->plugin_place);
    tw_free(bound->path);
    tw_free(bound);
    *self = NULL;
}

tw_bound_child *tw_bound_child_of(const tw_bound *self, const char *name)
{
    for (size_t i = 0; i < self->n_children; i++) {
        if (strcmp(self->child[i].child->name, name) == 0)
            return &self->child[i];
    }
    assert(false && "child is not in the schema");
    return NULL;
}

tw_bound *tw_bound_map(const tw_bound *self, const char *name)
{
    return tw_bound_child_of(self, name)->item[0];
}

tw_place tw_bound_place(const tw_bound *self, const char *option)
{
    size_t index = tw_option_table_find(self->block->options, option);
    if (index != SIZE_MAX && self->value_place[index].origin != 0)
        return self->value_place[index];
    index = self->plugin != NULL ? tw_option_table_find(tw_option_table(self->plugin), option) : SIZE_MAX;
    return index != SIZE_MAX && self->plugin_place[index].origin != 0 ? self->plugin_place[index] : self->place;
}

static tw_status make_values(const tw_option *table, tw_option_values **values, tw_place **places, tw_error *error)
{
    size_t size = (tw_option_table_size(table) + 1) * sizeof(tw_place);
    *places = tw_alloc_zero(size);
    if (*places == NULL)
        return tw_no_memory(error, size);
    return tw_option_values_create(table, values, error);
}

/* "features.columns[2]" + "as"; the root's path is empty. */
static const char *dot(const char *path)
{
    return path[0] != '\0' ? "." : "";
}

static tw_status set_list(tw_option_values *values, const char *name, const tw_node *list, tw_error *error)
{
    tw_status status = list->count == 0 ? tw_option_set(values, name, "", error) : TW_STATUS_OK;
    for (size_t i = 0; i < list->count && status == TW_STATUS_OK; i++) {
        if (list->entry[i].node->kind != TW_NODE_SCALAR)
            return tw_error_set(error, TW_STATUS_INVALID, "option %s: expected a list of texts", name);
        status = tw_option_append(values, name, list->entry[i].node->text, error);
    }
    return status;
}

static tw_status set_value(tw_option_values *values, const tw_option *option, const tw_node *value, tw_error *error)
{
    if (value->kind == TW_NODE_LIST && option->type == TW_OPTION_LIST)
        return set_list(values, option->name, value, error);
    if (value->kind != TW_NODE_SCALAR)
        return tw_error_set(error, TW_STATUS_INVALID, "option %s: expected %s, found a %s", option->name,
            option->type == TW_OPTION_LIST ? "a list of texts" : "a single value",
            value->kind == TW_NODE_LIST ? "list" : "map");
    if (value->text[0] == '\0' && value->is_plain)
        return tw_error_set(error, TW_STATUS_INVALID, "option %s: no value is given", option->name);
    if (option->type == TW_OPTION_LIST)
        return tw_option_append(values, option->name, value->text, error);
    return tw_option_set(values, option->name, value->text, error);
}

/* "option NAME: text" to "text": the path says the name already. */
static const char *without_name(const char *message, const char *name)
{
    size_t length = strlen(name);
    bool is_named = strncmp(message, "option ", 7) == 0 && strncmp(message + 7, name, length) == 0 &&
                    strncmp(message + 7 + length, ": ", 2) == 0;
    return is_named ? message + 7 + length + 2 : message;
}

tw_status tw_bound_set(const tw_tree *tree,
    tw_option_values *values,
    tw_place *places,
    const char *path,
    const char *name,
    const tw_node *value,
    tw_problems *problems,
    tw_error *error)
{
    size_t index = tw_option_table_find(tw_option_table(values), name);
    assert(index != SIZE_MAX);
    const tw_option *option = &tw_option_table(values)[index];
    tw_error cause = {0};
    tw_status status = set_value(values, option, value, &cause);
    if (status == TW_STATUS_NO_MEMORY)
        return tw_no_memory(error, 1);
    places[index] = value->place;
    if (status < 0) {
        tw_problem *problem = tw_problems_add(problems, tree, value->place, cause.code[0] != '\0' ? cause.code : "E103",
            "%s%s%s: %s", path, dot(path), name, without_name(cause.message, name));
        if (option->type == TW_OPTION_CHOICE && value->kind == TW_NODE_SCALAR) {
            tw_nearest nearest = {.word = value->text};
            char word[64];
            for (const char *at = option->choices; at != NULL; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
                (void)snprintf(word, sizeof word, "%.*s", (int)strcspn(at, "|"), at);
                tw_nearest_offer(&nearest, word);
                if (nearest.best == word)
                    tw_problem_label(problem, "did you mean \"%s\"?", word);
                nearest.best = NULL;
            }
        }
    }
    return TW_STATUS_OK;
}

/* --- keys that are not known -------------------------------------------------------------------------------------- */

static bool knows_key(const tw_config_block *block, const tw_option *plugin, const char *key)
{
    return tw_option_table_find(block->options, key) != SIZE_MAX || find_child(block, key) != NULL ||
           tw_option_table_find(plugin, key) != SIZE_MAX;
}

static void list_append(char *list, size_t size, const char *word)
{
    size_t used = strlen(list);
    (void)snprintf(list + used, size - used, "%s%s", used > 0 ? ", " : "", word);
}

static void offer_table(const tw_option *table, tw_nearest *nearest, char *known, size_t known_size)
{
    for (; table != NULL && table->name != NULL; table++) {
        tw_nearest_offer(nearest, table->name);
        list_append(known, known_size, table->name);
    }
}

static void suggest(tw_problem *problem, const char *key, const char *owner, const frame *at, const tw_option *params)
{
    tw_nearest nearest = {.word = key};
    char known[TW_PROBLEM_LABEL_SIZE] = "";
    if (at == NULL) {
        offer_table(params, &nearest, known, sizeof known);
    } else {
        offer_table(at->block->options, &nearest, known, sizeof known);
        for (const tw_config_child *child = at->block->children; child->name != NULL; child++) {
            if (child->kind == TW_CHILD_REFUSED)
                continue;
            tw_nearest_offer(&nearest, child->name);
            list_append(known, sizeof known, child->name);
        }
        offer_table(at->plugin, &nearest, known, sizeof known);
    }
    const char *takes = known[0] != '\0' ? known : "no options";
    if (nearest.best != NULL)
        tw_problem_label(problem, "did you mean \"%s\"? %s takes %s", nearest.best, owner, takes);
    else
        tw_problem_label(problem, "%s takes %s", owner, takes);
}

static bool add_wrong_indent(binder *self, const char *path, const tw_entry *entry, const frame *at)
{
    int levels = 1;
    for (const frame *outer = at->parent; outer != NULL; outer = outer->parent, levels++) {
        if (!knows_key(outer->block, outer->plugin, entry->key))
            continue;
        const char *up = levels == 1 ? "one level" : levels == 2 ? "two levels" : "three levels";
        char column[32] = "";
        if (outer->column > 0)
            (void)snprintf(column, sizeof column, " (column %u)", outer->column);
        (void)tw_problems_add(self->problems, self->tree, entry->key_place, "E110", "%s: \"%s\" belongs %s up%s", path,
            entry->key, up, column);
        return true;
    }
    return false;
}

/* The child block that knows the key, for keys that are one level too high. */
static const char *inner_owner(const binder *self, const tw_bound *bound, const char *key)
{
    for (const tw_config_child *child = bound->block->children; child->name != NULL; child++) {
        if (child->block != NULL && child->kind != TW_CHILD_MAPS && knows_key(child->block, NULL, key))
            return child->name;
        const tw_entry *type = child->kind == TW_CHILD_PARAMS ? tw_node_find(bound->node, child->plugin_key) : NULL;
        if (type == NULL || type->node->kind != TW_NODE_SCALAR)
            continue;
        const tw_option *table = self->catalogue->options(self->catalogue->context, child->plugin, type->node->text);
        if (tw_option_table_find(table, key) != SIZE_MAX)
            return child->name;
    }
    return NULL;
}

static void add_unknown_key(binder *self, const tw_bound *bound, const tw_entry *entry, const frame *at)
{
    if (at->parent != NULL && add_wrong_indent(self, bound->path, entry, at))
        return;
    tw_problem *problem = tw_problems_add(self->problems, self->tree, entry->key_place, "E102", "%s%s%s: unknown key",
        bound->path, dot(bound->path), entry->key);
    const char *inner = inner_owner(self, bound, entry->key);
    if (inner != NULL) {
        tw_problem_label(problem, "it belongs into \"%s\"", inner);
        return;
    }
    const char *owner = bound->plugin != NULL ? tw_option_text(bound->values, "type") : bound->path;
    suggest(problem, entry->key, owner[0] != '\0' ? owner : "a pipeline", at, NULL);
}

static void add_unknown_plugin(binder *self, tw_place place, const char *path, tw_plugin_kind kind, const char *name)
{
    const char *key = kind == TW_PLUGIN_SOLVER ? "solver" : "type";
    tw_nearest nearest = {.word = name};
    char known[TW_PROBLEM_HINT_SIZE - 32] = "";
    const char *each;
    for (size_t i = 0; (each = self->catalogue->name(self->catalogue->context, kind, i)) != NULL; i++) {
        tw_nearest_offer(&nearest, each);
        list_append(known, sizeof known, each);
    }
    tw_problem *problem = nearest.best != NULL
                              ? tw_problems_add(self->problems, self->tree, place, "E131", "%s%s%s: unknown %s \"%s\"",
                                    path, dot(path), key, plugin_words[kind], name)
                              : tw_problems_add(self->problems, self->tree, place, "E131",
                                    "%s%s%s: %.100s is not installed here", path, dot(path), key, name);
    if (nearest.best != NULL)
        tw_problem_label(problem, "did you mean \"%s\"?", nearest.best);
    tw_problem_hint(problem, "available now: %s", known[0] != '\0' ? known : "none");
}

/* --- maps --------------------------------------------------------------------------------------------------------- */

static tw_status bind_map(binder *self,
    const tw_config_block *block,
    const tw_node *node,
    tw_place place,
    const char *path,
    const frame *outer,
    tw_bound **out);

static void expect(binder *self, const tw_node *node, const char *path, const char *expected)
{
    static const char *const found[] = {"a single value", "a list", "a map"};
    bool is_empty = node->kind == TW_NODE_SCALAR && node->is_plain && node->text[0] == '\0';
    (void)tw_problems_add(self->problems, self->tree, node->place, "E103", "%s: expected %s, found %s", path, expected,
        is_empty ? "nothing" : found[node->kind]);
}

static tw_status push_item(
    binder *self, tw_bound_child *child, const tw_node *node, tw_place place, const char *path, const frame *outer)
{
    tw_status status = tw_grow(&child->item, sizeof(tw_bound *), &child->capacity, child->n_items + 1, self->error);
    if (status < 0)
        return status;
    tw_bound *item = NULL;
    status = bind_map(self, child->child->block, node, place, path, outer, &item);
    if (status == TW_STATUS_OK)
        child->item[child->n_items++] = item;
    return status;
}

static tw_status bind_items(binder *self, tw_bound_child *child, const char *path, const frame *outer)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < child->node->count && status == TW_STATUS_OK; i++) {
        const tw_node *node = child->node->entry[i].node;
        tw_text item_path = {0};
        status = tw_text_addf(&item_path, self->error, "%s[%zu]", path, i);
        if (status == TW_STATUS_OK && node->kind != TW_NODE_MAP) {
            expect(self, node, item_path.bytes,
                strcmp(child->child->name, "columns") == 0 ? "a map such as {field: price, as: numeric}"
                                                           : "a map of keys");
        } else if (status == TW_STATUS_OK) {
            status = push_item(self, child, node, node->place, item_path.bytes, outer);
        }
        tw_text_fini(&item_path);
    }
    return status;
}

static void check_word_lists(binder *self, const tw_bound_child *child, const char *path)
{
    const tw_node *lists = child->node;
    if (lists->kind != TW_NODE_LIST) {
        expect(self, lists, path, "a list of lists such as [[site, ad], [user, category]]");
        return;
    }
    for (size_t i = 0; i < lists->count; i++) {
        const tw_node *words = lists->entry[i].node;
        bool is_good = words->kind == TW_NODE_LIST;
        for (size_t k = 0; is_good && k < words->count; k++)
            is_good = words->entry[k].node->kind == TW_NODE_SCALAR && words->entry[k].node->text[0] != '\0';
        if (!is_good)
            (void)tw_problems_add(self->problems, self->tree, words->place, "E103",
                "%s[%zu]: expected a list of fields such as [site, ad]", path, i);
    }
}

/* A value that was refused has its place and is reported already. */
static void check_required(
    binder *self, const char *path, tw_place at, const tw_option_values *values, const tw_place *places)
{
    const tw_option *table = values != NULL ? tw_option_table(values) : NULL;
    for (size_t i = 0; table != NULL && table[i].name != NULL; i++) {
        if (!table[i].is_required || places[i].origin != 0)
            continue;
        tw_problem *problem = tw_problems_add(
            self->problems, self->tree, at, "E105", "%s%s%s is missing", path, dot(path), table[i].name);
        tw_problem_hint(problem, "%s: %s", table[i].name, table[i].help);
    }
}

static tw_status bind_params(binder *self, tw_bound *bound, tw_bound_child *child, const char *path, const frame *at)
{
    const char *type = tw_option_text(bound->values, child->child->plugin_key);
    const tw_option *table =
        type != NULL ? self->catalogue->options(self->catalogue->context, child->child->plugin, type) : NULL;
    if (type != NULL && table == NULL)
        add_unknown_plugin(
            self, tw_bound_place(bound, child->child->plugin_key), bound->path, child->child->plugin, type);
    if (child->node != NULL && child->node->kind != TW_NODE_MAP)
        expect(self, child->node, path, "a map of options");
    if (table == NULL)
        return TW_STATUS_OK;
    tw_status status = make_values(table, &child->params, &child->params_place, self->error);
    bool is_map = child->node != NULL && child->node->kind == TW_NODE_MAP;
    for (size_t i = 0; is_map && i < child->node->count && status == TW_STATUS_OK; i++) {
        const tw_entry *entry = &child->node->entry[i];
        if (tw_option_table_find(table, entry->key) != SIZE_MAX) {
            status = tw_bound_set(self->tree, child->params, child->params_place, path, entry->key, entry->node,
                self->problems, self->error);
        } else if (!add_wrong_indent(self, path, entry, &(frame){.parent = at, .block = bound->block})) {
            suggest(tw_problems_add(
                        self->problems, self->tree, entry->key_place, "E102", "%s.%s: unknown key", path, entry->key),
                entry->key, type, NULL, table);
        }
    }
    if (status == TW_STATUS_OK)
        check_required(
            self, path, child->node != NULL ? child->node->place : bound->place, child->params, child->params_place);
    return status;
}

static tw_status bind_child(binder *self, tw_bound *bound, tw_bound_child *child, const char *path, const frame *at)
{
    const tw_node *node = child->node;
    bool is_map = node == NULL || node->kind == TW_NODE_MAP;
    tw_place place = node != NULL ? node->place : bound->place;
    switch (child->child->kind) {
    case TW_CHILD_REFUSED:
        return TW_STATUS_OK;
    case TW_CHILD_PARAMS:
        return bind_params(self, bound, child, path, at);
    case TW_CHILD_WORD_LISTS:
        if (node != NULL)
            check_word_lists(self, child, path);
        return TW_STATUS_OK;
    case TW_CHILD_NAMED_MAP:
        is_map = is_map || (node->kind == TW_NODE_SCALAR && node->text[0] != '\0');
        if (!is_map)
            expect(self, node, path, "a name such as json, or a map with a key \"type\"");
        return push_item(self, child, is_map ? node : NULL, place, path, at);
    case TW_CHILD_MAPS:
    case TW_CHILD_MAP_OR_MAPS:
        if (node != NULL && node->kind == TW_NODE_LIST)
            return bind_items(self, child, path, at);
        if (child->child->kind == TW_CHILD_MAPS) {
            if (node != NULL)
                expect(self, node, path, "a list of maps");
            return TW_STATUS_OK;
        }
        break;
    case TW_CHILD_MAP:
        break;
    }
    if (!is_map)
        expect(self, node, path, "a map of keys");
    /* An absent source must not be reported as one without a format. */
    if (child->child->kind == TW_CHILD_MAP_OR_MAPS && (node == NULL || !is_map))
        return TW_STATUS_OK;
    return push_item(self, child, is_map ? node : NULL, place, path, at);
}

static tw_status bind_children(binder *self, tw_bound *bound, const frame *at)
{
    size_t n = 0;
    while (bound->block->children[n].name != NULL)
        n++;
    bound->child = tw_alloc_zero((n + 1) * sizeof *bound->child);
    if (bound->child == NULL)
        return tw_no_memory(self->error, (n + 1) * sizeof *bound->child);
    tw_status status = TW_STATUS_OK;
    for (; bound->n_children < n && status == TW_STATUS_OK;) {
        tw_bound_child *child = &bound->child[bound->n_children++];
        child->child = &bound->block->children[bound->n_children - 1];
        const tw_entry *entry = tw_node_find(bound->node, child->child->name);
        child->node = entry != NULL ? entry->node : NULL;
        tw_text path = {0};
        status = tw_text_addf(&path, self->error, "%s%s%s", bound->path, dot(bound->path), child->child->name);
        if (status == TW_STATUS_OK && entry != NULL && child->child->kind == TW_CHILD_REFUSED) {
            tw_problem *problem = tw_problems_add(
                self->problems, self->tree, entry->key_place, "E120", "%s: not supported by this version", path.bytes);
            tw_problem_hint(problem, "%s", child->child->help);
        }
        if (status == TW_STATUS_OK)
            status = bind_child(self, bound, child, path.bytes, at);
        tw_text_fini(&path);
    }
    return status;
}

/* Sets the block's own options and creates the plug-in's values. A scalar stands for {type: scalar}. */
static tw_status bind_options(binder *self, tw_bound *bound, const tw_option **plugin_table)
{
    tw_status status = make_values(bound->block->options, &bound->values, &bound->value_place, self->error);
    const tw_node *node = bound->node;
    if (status == TW_STATUS_OK && node != NULL && node->kind == TW_NODE_SCALAR)
        status = tw_bound_set(
            self->tree, bound->values, bound->value_place, bound->path, "type", node, self->problems, self->error);
    for (size_t i = 0; node != NULL && i < node->count && status == TW_STATUS_OK; i++) {
        const tw_entry *entry = &node->entry[i];
        if (tw_option_table_find(bound->block->options, entry->key) != SIZE_MAX)
            status = tw_bound_set(self->tree, bound->values, bound->value_place, bound->path, entry->key, entry->node,
                self->problems, self->error);
    }
    *plugin_table = NULL;
    if (status < 0 || bound->block->plugin == TW_PLUGIN_NONE || !tw_option_has(bound->values, "type"))
        return status;
    const char *type = tw_option_text(bound->values, "type");
    *plugin_table = self->catalogue->options(self->catalogue->context, bound->block->plugin, type);
    if (*plugin_table == NULL) {
        add_unknown_plugin(self, tw_bound_place(bound, "type"), bound->path, bound->block->plugin, type);
        return TW_STATUS_OK;
    }
    return make_values(*plugin_table, &bound->plugin, &bound->plugin_place, self->error);
}

static tw_status bind_other_keys(binder *self, tw_bound *bound, const frame *at)
{
    bool is_open_ended = bound->block->plugin != TW_PLUGIN_NONE && bound->plugin == NULL;
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; bound->node != NULL && i < bound->node->count && status == TW_STATUS_OK; i++) {
        const tw_entry *entry = &bound->node->entry[i];
        if (tw_option_table_find(bound->block->options, entry->key) != SIZE_MAX ||
            find_child(bound->block, entry->key) != NULL)
            continue;
        if (tw_option_table_find(at->plugin, entry->key) != SIZE_MAX)
            status = tw_bound_set(self->tree, bound->plugin, bound->plugin_place, bound->path, entry->key, entry->node,
                self->problems, self->error);
        else if (!is_open_ended)
            add_unknown_key(self, bound, entry, at);
    }
    return status;
}

static tw_status bind_map(binder *self,
    const tw_config_block *block,
    const tw_node *node,
    tw_place place,
    const char *path,
    const frame *outer,
    tw_bound **out)
{
    tw_bound *bound = tw_alloc_zero(sizeof *bound);
    if (bound == NULL)
        return tw_no_memory(self->error, sizeof *bound);
    bound->block = block;
    bound->node = node;
    bound->place = place;
    bound->path = tw_strdup(path);
    tw_status status = bound->path != NULL ? TW_STATUS_OK : tw_no_memory(self->error, strlen(path) + 1);
    frame at = {.parent = outer, .block = block};
    if (node != NULL && node->kind == TW_NODE_MAP && node->count > 0)
        at.column = node->entry[0].key_place.column;
    if (status == TW_STATUS_OK)
        status = bind_options(self, bound, &at.plugin);
    if (status == TW_STATUS_OK)
        status = bind_children(self, bound, &at);
    if (status == TW_STATUS_OK)
        status = bind_other_keys(self, bound, &at);
    if (status < 0) {
        tw_bound_destroy(&bound);
        return status;
    }
    check_required(self, bound->path, bound->place, bound->values, bound->value_place);
    check_required(self, bound->path, bound->place, bound->plugin, bound->plugin_place);
    *out = bound;
    return TW_STATUS_OK;
}

tw_status tw_bind(
    const tw_tree *tree, const tw_plugin_catalogue *catalogue, tw_problems *problems, tw_bound **out, tw_error *error)
{
    binder self = {tree, catalogue, problems, error};
    return bind_map(&self, tw_config_root(), tree->root, tree->root->place, "", NULL, out);
}
