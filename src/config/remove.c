#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/tree.h"

/* One step of a path: a key, or an index in brackets. Moves *at behind it; the entry, or NULL. */
static tw_entry *step(tw_node *node, const char **at)
{
    const char *from = *at;
    if (*from == '[') {
        char *end = NULL;
        size_t index = strtoul(from + 1, &end, 10);
        *at = *end == ']' ? end + 1 : end;
        return node->kind == TW_NODE_LIST && index < node->count ? &node->entry[index] : NULL;
    }
    size_t size = strcspn(from, ".[");
    *at = from + size;
    for (size_t i = 0; node->kind == TW_NODE_MAP && i < node->count; i++) {
        if (strlen(node->entry[i].key) == size && memcmp(node->entry[i].key, from, size) == 0)
            return &node->entry[i];
    }
    return NULL;
}

void tw_tree_remove(tw_tree *self, const char *path)
{
    tw_node *parent = self->root;
    tw_entry *entry = step(parent, &path);
    while (entry != NULL && *path != '\0') {
        path += *path == '.';
        parent = entry->node;
        entry = step(parent, &path);
    }
    if (entry == NULL)
        return;
    tw_free(entry->key);
    tw_node_destroy(entry->node);
    size_t index = (size_t)(entry - parent->entry);
    memmove(entry, entry + 1, (parent->count - index - 1) * sizeof *entry);
    parent->count--;
}
