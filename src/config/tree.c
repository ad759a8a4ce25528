#include "config/tree.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

tw_status tw_tree_add_origin(tw_tree *self,
    tw_origin_kind kind,
    const char *name,
    char *bytes_take,
    size_t size,
    uint32_t *index,
    tw_error *error)
{
    tw_status status = tw_grow(&self->origin, sizeof *self->origin, &self->capacity, self->n_origins + 1, error);
    char *copy = status == TW_STATUS_OK ? tw_strdup(name) : NULL;
    if (copy == NULL) {
        tw_free(bytes_take);
        return status < 0 ? status : tw_no_memory(error, strlen(name) + 1);
    }
    self->origin[self->n_origins] = (tw_origin){.kind = kind, .name = copy, .bytes = bytes_take, .size = size};
    *index = (uint32_t)self->n_origins++;
    return TW_STATUS_OK;
}

tw_status tw_tree_create(tw_tree **out, tw_error *error)
{
    tw_tree *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    uint32_t index;
    tw_status status = tw_tree_add_origin(self, TW_ORIGIN_DEFAULT, "default", NULL, 0, &index, error);
    if (status == TW_STATUS_OK)
        status = tw_node_create(self, TW_NODE_MAP, (tw_place){.span = 1}, NULL, NULL, &self->root, error);
    if (status < 0) {
        tw_tree_destroy(&self);
        return status;
    }
    *out = self;
    return TW_STATUS_OK;
}

void tw_tree_destroy(tw_tree **self)
{
    if (self == NULL || *self == NULL)
        return;
    tw_node_destroy((*self)->root);
    for (size_t i = 0; i < (*self)->n_origins; i++) {
        tw_free((*self)->origin[i].name);
        tw_free((*self)->origin[i].bytes);
    }
    tw_free((*self)->origin);
    tw_free(*self);
    *self = NULL;
}

void tw_node_destroy(tw_node *self)
{
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->count; i++) {
        tw_free(self->entry[i].key);
        tw_node_destroy(self->entry[i].node);
    }
    tw_free(self->entry);
    tw_free(self->text);
    tw_free(self);
}

tw_status tw_node_create(tw_tree *tree,
    tw_node_kind kind,
    tw_place place,
    const char *text,
    tw_problems *problems,
    tw_node **out,
    tw_error *error)
{
    *out = NULL;
    if (tree->n_nodes >= TW_TREE_MAX_NODES) {
        if (problems != NULL)
            (void)tw_problems_add(problems, tree, place, "E108", "more than %d values", (int)TW_TREE_MAX_NODES);
        return TW_STATUS_CONFIG;
    }
    tw_node *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->kind = kind;
    self->place = place;
    if (text != NULL) {
        self->text = tw_strdup(text);
        if (self->text == NULL) {
            tw_free(self);
            return tw_no_memory(error, strlen(text) + 1);
        }
    }
    tree->n_nodes++;
    *out = self;
    return TW_STATUS_OK;
}

tw_status tw_node_add(tw_node *self, const char *key, tw_place key_place, tw_node *child, tw_error *error)
{
    tw_status status = tw_grow(&self->entry, sizeof *self->entry, &self->capacity, self->count + 1, error);
    if (status < 0)
        return status;
    char *copy = NULL;
    if (key != NULL && (copy = tw_strdup(key)) == NULL)
        return tw_no_memory(error, strlen(key) + 1);
    self->entry[self->count++] = (tw_entry){copy, key_place, child};
    return TW_STATUS_OK;
}

static tw_entry *find_entry(const tw_node *map, const char *key, size_t size)
{
    if (map == NULL || map->kind != TW_NODE_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (strncmp(map->entry[i].key, key, size) == 0 && map->entry[i].key[size] == '\0')
            return &map->entry[i];
    }
    return NULL;
}

const tw_entry *tw_node_find(const tw_node *map, const char *key)
{
    return find_entry(map, key, strlen(key));
}

tw_status tw_node_merge_take(tw_node *into, tw_node *from, bool is_winning, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < from->count && status == TW_STATUS_OK; i++) {
        tw_entry *new = &from->entry[i];
        tw_entry *old = find_entry(into, new->key, strlen(new->key));
        if (old == NULL) {
            status = tw_node_add(into, new->key, new->key_place, new->node, error);
            if (status == TW_STATUS_OK)
                new->node = NULL;
        } else if (old->node->kind == TW_NODE_MAP && new->node->kind == TW_NODE_MAP) {
            status = tw_node_merge_take(old->node, new->node, is_winning, error);
            new->node = NULL;
        } else if (is_winning) {
            tw_node_destroy(old->node);
            old->node = new->node;
            old->key_place = new->key_place;
            new->node = NULL;
        }
    }
    tw_node_destroy(from);
    return status;
}

const char *tw_tree_origin_name(const tw_tree *self, uint32_t origin)
{
    return self != NULL && origin < self->n_origins ? self->origin[origin].name : "";
}

const char *tw_tree_line(const tw_tree *self, tw_place place, size_t *size)
{
    if (self == NULL || place.origin >= self->n_origins || place.line == 0)
        return NULL;
    const tw_origin *origin = &self->origin[place.origin];
    if (origin->bytes == NULL)
        return NULL;
    const char *at = origin->bytes, *end = origin->bytes + origin->size;
    for (uint32_t line = 1; line < place.line; line++) {
        at = memchr(at, '\n', (size_t)(end - at));
        if (at == NULL)
            return NULL;
        at++;
    }
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    *size = (size_t)((stop != NULL ? stop : end) - at);
    if (*size > 0 && at[*size - 1] == '\r')
        --*size;
    return at;
}

/* --- files and includes ------------------------------------------------------------------------------------------- */

typedef struct open_file {
    const struct open_file *includer;
    uint32_t origin;
} open_file;

typedef struct reading {
    tw_tree *tree;
    tw_problems *problems;
    tw_error *error;
    tw_status unreadable; /* why the outermost file cannot be read; OK: it can */
} reading;

static tw_status read_document(reading *self, const open_file *file, const char *bytes, size_t size, tw_node **out);

static bool is_open(const tw_tree *tree, const open_file *file, const tw_file_info *info)
{
    for (; file != NULL; file = file->includer) {
        const tw_origin *origin = &tree->origin[file->origin];
        if (origin->inode != 0 && origin->inode == info->inode && origin->device == info->device)
            return true;
    }
    return false;
}

/* Problems that the file system reports stand at `asked_at`: the include entry, or the file itself. */
static tw_status read_file(reading *self, const open_file *includer, const char *path, tw_place asked_at, tw_node **out)
{
    tw_file_info info = {0};
    tw_error cause = {0};
    char *bytes = NULL;
    size_t size = 0;
    *out = NULL;
    tw_status status = tw_file_stat(path, &info, &cause);
    if (status == TW_STATUS_OK && is_open(self->tree, includer, &info)) {
        (void)tw_problems_add(self->problems, self->tree, asked_at, "E109", "include: \"%s\" includes itself", path);
        return TW_STATUS_OK;
    }
    if (status == TW_STATUS_OK && self->tree->n_origins >= TW_TREE_MAX_FILES && includer != NULL) {
        (void)tw_problems_add(
            self->problems, self->tree, asked_at, "E108", "include: more than %d files", (int)TW_TREE_MAX_FILES);
        return TW_STATUS_OK;
    }
    if (status == TW_STATUS_OK)
        status = tw_file_load(path, TW_TREE_MAX_BYTES, &bytes, &size, &cause);
    if (status == TW_STATUS_NO_MEMORY)
        return tw_no_memory(self->error, TW_TREE_MAX_BYTES);
    open_file file = {.includer = includer};
    tw_status added = tw_tree_add_origin(self->tree, TW_ORIGIN_FILE, path, bytes, size, &file.origin, self->error);
    if (added < 0)
        return added;
    if (status < 0) {
        if (includer == NULL)
            self->unreadable = status;
        tw_place place = includer != NULL ? asked_at : (tw_place){.origin = file.origin, .span = 1};
        (void)tw_problems_add(self->problems, self->tree, place, "E100", "%s", cause.message);
        return TW_STATUS_OK;
    }
    self->tree->origin[file.origin].device = info.device;
    self->tree->origin[file.origin].inode = info.inode;
    return read_document(self, &file, bytes, size, out);
}

static char *beside(const char *includer, const char *path)
{
    const char *slash = strrchr(includer, '/');
    if (path[0] == '/' || slash == NULL)
        return tw_strdup(path);
    size_t folder = (size_t)(slash - includer) + 1, length = strlen(path);
    char *joined = tw_alloc(folder + length + 1);
    if (joined != NULL) {
        memcpy(joined, includer, folder);
        memcpy(joined + folder, path, length + 1);
    }
    return joined;
}

static tw_status include_one(reading *self, const open_file *file, const tw_node *name, tw_node *into)
{
    if (name->kind != TW_NODE_SCALAR || name->text[0] == '\0') {
        (void)tw_problems_add(self->problems, self->tree, name->place, "E103", "include: expected the name of a file");
        return TW_STATUS_OK;
    }
    char *path = beside(tw_tree_origin_name(self->tree, file->origin), name->text);
    if (path == NULL)
        return tw_no_memory(self->error, strlen(name->text) + 1);
    tw_node *included = NULL;
    tw_status status = read_file(self, file, path, name->place, &included);
    tw_free(path);
    if (status == TW_STATUS_OK && included != NULL)
        return tw_node_merge_take(into, included, true, self->error);
    return status;
}

static tw_status read_document(reading *self, const open_file *file, const char *bytes, size_t size, tw_node **out)
{
    tw_node *document = NULL, *base = NULL;
    *out = NULL;
    tw_status status = tw_yaml_read(self->tree, file->origin, bytes, size, self->problems, &document, self->error);
    if (status < 0 || document == NULL)
        return status;
    if (document->kind != TW_NODE_MAP) {
        (void)tw_problems_add(
            self->problems, self->tree, document->place, "E103", "expected a map of keys such as \"version: 1\"");
        tw_node_destroy(document);
        return TW_STATUS_OK;
    }
    const tw_entry *include = tw_node_find(document, "include");
    if (include == NULL) {
        *out = document;
        return TW_STATUS_OK;
    }
    status = tw_node_create(self->tree, TW_NODE_MAP, document->place, NULL, self->problems, &base, self->error);
    if (status == TW_STATUS_OK && include->node->kind == TW_NODE_SCALAR)
        status = include_one(self, file, include->node, base);
    for (size_t i = 0; status == TW_STATUS_OK && i < include->node->count; i++)
        status = include_one(self, file, include->node->entry[i].node, base);
    if (status < 0) {
        tw_node_destroy(document);
        tw_node_destroy(base);
        return status;
    }
    status = tw_node_merge_take(base, document, true, self->error);
    if (status < 0)
        tw_node_destroy(base);
    else
        *out = base;
    return status;
}

tw_status tw_tree_load(tw_tree *self, const char *path, tw_problems *problems, tw_error *error)
{
    reading state = {.tree = self, .problems = problems, .error = error};
    tw_node *document = NULL;
    size_t before = problems->count + problems->n_more;
    tw_status status = read_file(&state, NULL, path, (tw_place){.span = 1}, &document);
    if (status == TW_STATUS_OK && document != NULL) {
        self->root->place = document->place;
        return tw_node_merge_take(self->root, document, true, error);
    }
    if (status == TW_STATUS_OK && state.unreadable < 0)
        return state.unreadable;
    return status == TW_STATUS_OK && problems->count + problems->n_more > before ? TW_STATUS_CONFIG : status;
}

tw_status tw_tree_parse(
    tw_tree *self, const char *name, const char *bytes, size_t size, tw_problems *problems, tw_error *error)
{
    reading state = {.tree = self, .problems = problems, .error = error};
    open_file file = {0};
    char *copy = tw_strndup(bytes, size);
    if (copy == NULL)
        return tw_no_memory(error, size + 1);
    tw_status status = tw_tree_add_origin(self, TW_ORIGIN_FILE, name, copy, size, &file.origin, error);
    tw_node *document = NULL;
    size_t before = problems->count + problems->n_more;
    if (status == TW_STATUS_OK)
        status = read_document(&state, &file, copy, size, &document);
    if (status == TW_STATUS_OK && document != NULL) {
        self->root->place = document->place;
        return tw_node_merge_take(self->root, document, true, error);
    }
    return status == TW_STATUS_OK && problems->count + problems->n_more > before ? TW_STATUS_CONFIG : status;
}
