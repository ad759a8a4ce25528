/* Values set by path: `-s a.b[0].c=value` and flags. */
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "config/tree.h"

enum { MAX_INDEX_DIGITS = 6 };

/* One step of a path: a key, or an element of a list. */
typedef struct step {
    const char *key; /* NULL: an index */
    size_t size, index;
} step;

/* Reads the step at *at and moves behind it; false at a malformed path. */
static bool next_step(const char **at, bool is_first, step *out)
{
    const char *text = *at;
    if (*text == '[') {
        size_t index = 0, digits = 0;
        for (text++; *text >= '0' && *text <= '9' && digits <= MAX_INDEX_DIGITS; text++, digits++)
            index = index * 10 + (size_t)(*text - '0');
        if (digits == 0 || digits > MAX_INDEX_DIGITS || *text != ']' || is_first)
            return false;
        *out = (step){NULL, 0, index};
        *at = text + 1;
        return true;
    }
    if (!is_first) {
        if (*text != '.')
            return false;
        text++;
    }
    size_t size = strcspn(text, ".[]=");
    *out = (step){text, size, 0};
    *at = text + size;
    return size > 0;
}

static tw_entry *step_find(const tw_node *node, const step *to)
{
    if (to->key == NULL)
        return node->kind == TW_NODE_LIST && to->index < node->count ? &node->entry[to->index] : NULL;
    for (size_t i = 0; node->kind == TW_NODE_MAP && i < node->count; i++) {
        if (strncmp(node->entry[i].key, to->key, to->size) == 0 && node->entry[i].key[to->size] == '\0')
            return &node->entry[i];
    }
    return NULL;
}

const tw_node *tw_tree_find(const tw_tree *self, const char *path)
{
    const tw_node *node = self->root;
    for (const char *at = path; *at != '\0' && node != NULL;) {
        step to;
        if (!next_step(&at, at == path, &to))
            return NULL;
        const tw_entry *entry = step_find(node, &to);
        node = entry != NULL ? entry->node : NULL;
    }
    return node;
}

typedef struct setting {
    tw_tree *tree;
    const char *path, *end; /* [path, end) */
    tw_place place;
    tw_problems *problems;
    tw_error *error;
} setting;

static int prefix_size(const setting *self, const char *at)
{
    return (int)(at - self->path);
}

/* A missing value becomes what the next step needs; a key with nothing behind it counts as missing. */
static tw_status make_container(setting *self, tw_entry *entry, bool is_list)
{
    bool is_empty = entry->node == NULL ||
                    (entry->node->kind == TW_NODE_SCALAR && entry->node->is_plain && entry->node->text[0] == '\0');
    if (!is_empty)
        return TW_STATUS_OK;
    tw_node *made = NULL;
    tw_status status = tw_node_create(
        self->tree, is_list ? TW_NODE_LIST : TW_NODE_MAP, self->place, NULL, self->problems, &made, self->error);
    if (status < 0)
        return status;
    tw_node_destroy(entry->node);
    entry->node = made;
    return TW_STATUS_OK;
}

static tw_status add_step(setting *self, tw_node *node, const step *to, const char *at, tw_entry **out)
{
    *out = NULL;
    if (to->key == NULL && to->index > node->count) {
        (void)tw_problems_add(self->problems, self->tree, self->place, "E107",
            "%.*s: the list has %zu elements; the next index is %zu", prefix_size(self, at), self->path, node->count,
            node->count);
        return TW_STATUS_OK;
    }
    char *key = to->key != NULL ? tw_strndup(to->key, to->size) : NULL;
    if (to->key != NULL && key == NULL)
        return tw_no_memory(self->error, to->size + 1);
    /* An empty scalar first, so that the tree is whole should a later step fail. */
    tw_node *empty = NULL;
    tw_status status = tw_node_create(self->tree, TW_NODE_SCALAR, self->place, "", self->problems, &empty, self->error);
    if (status == TW_STATUS_OK) {
        empty->is_plain = true;
        status = tw_node_add(node, key, self->place, empty, self->error);
        if (status < 0)
            tw_node_destroy(empty);
        else
            *out = &node->entry[node->count - 1];
    }
    tw_free(key);
    return status;
}

/* Walks to the entry that `path` names, making what is missing. *out NULL: a problem was added. */
static tw_status walk(setting *self, tw_entry **out)
{
    tw_entry root = {.node = self->tree->root}, *entry = &root;
    *out = NULL;
    int depth = 0;
    for (const char *at = self->path; at < self->end; depth++) {
        const char *start = at;
        step to;
        if (!next_step(&at, start == self->path, &to) || at > self->end || depth >= TW_TREE_MAX_DEPTH) {
            (void)tw_problems_add(self->problems, self->tree, self->place, "E107",
                "\"%.*s\" is not a path such as model.params.alpha or sinks[0].path", (int)(self->end - self->path),
                self->path);
            return TW_STATUS_OK;
        }
        tw_status status = make_container(self, entry, to.key == NULL);
        if (status < 0)
            return status;
        tw_node *node = entry->node;
        if (node->kind != (to.key == NULL ? TW_NODE_LIST : TW_NODE_MAP)) {
            static const char *const names[] = {"a single value", "a list", "a map"};
            (void)tw_problems_add(self->problems, self->tree, self->place, "E107", "%.*s: is %s, and %.*s needs %s",
                prefix_size(self, start), self->path, names[node->kind], (int)(self->end - self->path), self->path,
                to.key == NULL ? "a list" : "a map");
            return TW_STATUS_OK;
        }
        entry = step_find(node, &to);
        if (entry == NULL) {
            status = add_step(self, node, &to, start, &entry);
            if (status < 0 || entry == NULL)
                return status;
        }
    }
    *out = entry != &root ? entry : NULL;
    if (entry == &root)
        (void)tw_problems_add(self->problems, self->tree, self->place, "E107", "expected path=value");
    return TW_STATUS_OK;
}

static tw_status put(setting *self, tw_node *value_take)
{
    tw_entry *entry = NULL;
    tw_status status = walk(self, &entry);
    if (status < 0 || entry == NULL) {
        tw_node_destroy(value_take);
        return status;
    }
    tw_node_destroy(entry->node);
    entry->node = value_take;
    entry->key_place = self->place;
    return TW_STATUS_OK;
}

/* Places inside a flag's value mean nothing to a user: the flag itself is the place. */
static void replace_places(tw_node *node, tw_place place)
{
    node->place = place;
    for (size_t i = 0; i < node->count; i++) {
        node->entry[i].key_place = place;
        replace_places(node->entry[i].node, place);
    }
}

tw_status tw_tree_assign(
    tw_tree *self, const char *flag, const char *assignment, tw_problems *problems, tw_error *error)
{
    tw_text name = {0};
    tw_status status = tw_text_addf(&name, error, "%s %s", flag, assignment);
    setting state = {self, assignment, assignment + strcspn(assignment, "="), {.span = 1}, problems, error};
    if (status == TW_STATUS_OK)
        status = tw_tree_add_origin(self, TW_ORIGIN_FLAG, name.bytes, NULL, 0, &state.place.origin, error);
    tw_text_fini(&name);
    if (status < 0)
        return status;
    if (*state.end != '=' || state.end == assignment) {
        (void)tw_problems_add(problems, self, state.place, "E107", "expected path=value");
        return TW_STATUS_OK;
    }
    const char *text = state.end + 1;
    size_t before = problems->count + problems->n_more;
    tw_node *value = NULL;
    status = tw_yaml_read(self, state.place.origin, text, strlen(text), problems, &value, error);
    if (status < 0)
        return status;
    if (value == NULL && problems->count + problems->n_more > before)
        return TW_STATUS_OK;
    if (value == NULL) {
        status = tw_node_create(self, TW_NODE_SCALAR, state.place, "", problems, &value, error);
        if (status < 0)
            return status;
    }
    replace_places(value, state.place);
    return put(&state, value);
}

tw_status tw_tree_set(
    tw_tree *self, const char *path, const char *text, const char *origin, tw_problems *problems, tw_error *error)
{
    setting state = {self, path, path + strlen(path), {.span = 1}, problems, error};
    tw_status status = tw_tree_add_origin(self, TW_ORIGIN_FLAG, origin, NULL, 0, &state.place.origin, error);
    if (status < 0)
        return status;
    if (!tw_utf8_is_valid(text, strlen(text))) {
        (void)tw_problems_add(problems, self, state.place, "E101", "%s: the value is not UTF-8", path);
        return TW_STATUS_OK;
    }
    tw_node *value = NULL;
    status = tw_node_create(self, TW_NODE_SCALAR, state.place, text, problems, &value, error);
    return status < 0 ? status : put(&state, value);
}
