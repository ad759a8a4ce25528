#include "config/fingerprint.h"

#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "config/tree.h"

/* A canonical text as lines "path: value", columns and crosses by their content instead of their index. */
typedef struct fact {
    char *path, *value;
} fact;

typedef struct facts {
    fact *item;
    size_t count, capacity;
} facts;

static void facts_fini(facts *self)
{
    for (size_t i = 0; i < self->count; i++) {
        tw_free(self->item[i].path);
        tw_free(self->item[i].value);
    }
    tw_free(self->item);
    *self = (facts){0};
}

static const fact *facts_find(const facts *self, const char *path)
{
    for (size_t i = 0; i < self->count; i++) {
        if (strcmp(self->item[i].path, path) == 0)
            return &self->item[i];
    }
    return NULL;
}

static tw_status facts_add(facts *self, const char *path, const tw_text *value, tw_error *error)
{
    tw_status status = tw_grow(&self->item, sizeof *self->item, &self->capacity, self->count + 1, error);
    if (status < 0)
        return status;
    fact made = {tw_strdup(path), tw_strdup(value->bytes != NULL ? value->bytes : "")};
    if (made.path == NULL || made.value == NULL) {
        tw_free(made.path);
        tw_free(made.value);
        return tw_no_memory(error, strlen(path) + value->size + 2);
    }
    self->item[self->count++] = made;
    return TW_STATUS_OK;
}

/* The value in one line; `skip` is a key that is left out. */
static tw_status flatten_value(const tw_node *node, const char *skip, tw_text *out, tw_error *error)
{
    if (node->kind == TW_NODE_SCALAR)
        return tw_text_add(out, node->text, error);
    bool is_list = node->kind == TW_NODE_LIST, is_first = true;
    tw_status status = tw_text_add(out, is_list ? "[" : "{", error);
    for (size_t i = 0; i < node->count && status == TW_STATUS_OK; i++) {
        const tw_entry *entry = &node->entry[i];
        if (skip != NULL && entry->key != NULL && strcmp(entry->key, skip) == 0)
            continue;
        status =
            tw_text_addf(out, error, "%s%s%s", is_first ? "" : ", ", is_list ? "" : entry->key, is_list ? "" : ": ");
        if (status == TW_STATUS_OK)
            status = flatten_value(entry->node, NULL, out, error);
        is_first = false;
    }
    return status == TW_STATUS_OK ? tw_text_add(out, is_list ? "]" : "}", error) : status;
}

static tw_status flatten_columns(const tw_node *columns, facts *out, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < columns->count && status == TW_STATUS_OK; i++) {
        const tw_node *column = columns->entry[i].node;
        const tw_entry *field = tw_node_find(column, "field"), *as = tw_node_find(column, "as");
        tw_text path = {0}, value = {0};
        status = tw_text_addf(&path, error, "features.columns[%s as %s]", field != NULL ? field->node->text : "",
            as != NULL && as->node->kind == TW_NODE_SCALAR ? as->node->text : "?");
        if (status == TW_STATUS_OK)
            status = flatten_value(column, NULL, &value, error);
        if (status == TW_STATUS_OK)
            status = facts_add(out, path.bytes, &value, error);
        tw_text_fini(&path);
        tw_text_fini(&value);
    }
    return status;
}

static tw_status flatten_crosses(const tw_node *crosses, facts *out, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < crosses->count && status == TW_STATUS_OK; i++) {
        tw_text path = {0}, value = {0};
        status = tw_text_add(&path, "features.crosses", error);
        if (status == TW_STATUS_OK)
            status = flatten_value(crosses->entry[i].node, NULL, &path, error);
        if (status == TW_STATUS_OK)
            status = tw_text_add(&value, "cross", error);
        if (status == TW_STATUS_OK)
            status = facts_add(out, path.bytes, &value, error);
        tw_text_fini(&path);
        tw_text_fini(&value);
    }
    return status;
}

static tw_status flatten(const tw_node *node, const char *path, facts *out, tw_error *error)
{
    if (strcmp(path, "features.columns") == 0)
        return flatten_columns(node, out, error);
    if (strcmp(path, "features.crosses") == 0)
        return flatten_crosses(node, out, error);
    tw_text text = {0};
    tw_status status = TW_STATUS_OK;
    if (node->kind != TW_NODE_MAP) {
        status = flatten_value(node, NULL, &text, error);
        if (status == TW_STATUS_OK)
            status = facts_add(out, path, &text, error);
        tw_text_fini(&text);
        return status;
    }
    for (size_t i = 0; i < node->count && status == TW_STATUS_OK; i++) {
        text.size = 0;
        status = tw_text_addf(&text, error, "%s%s%s", path, path[0] != '\0' ? "." : "", node->entry[i].key);
        if (status == TW_STATUS_OK)
            status = flatten(node->entry[i].node, text.bytes, out, error);
    }
    tw_text_fini(&text);
    return status;
}

static tw_status read_facts(const char *canonical, facts *out, tw_error *error)
{
    tw_tree *tree = NULL;
    tw_problems problems = {0};
    tw_status status = tw_tree_create(&tree, error);
    if (status == TW_STATUS_OK)
        status = tw_tree_parse(tree, "checkpoint", canonical, strlen(canonical), &problems, error);
    if (status == TW_STATUS_CONFIG || (status == TW_STATUS_OK && problems.count > 0))
        status = tw_error_set(error, TW_STATUS_CORRUPT, "the saved pipeline cannot be read: %.300s",
            problems.count > 0 ? problems.item[0].error.message : "");
    if (status == TW_STATUS_OK)
        status = flatten(tree->root, "", out, error);
    if (status < 0)
        facts_fini(out);
    tw_problems_fini(&problems);
    tw_tree_destroy(&tree);
    return status;
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* What it means that the fact at `path` is another one (or is there only once). */
static tw_change class_of(const char *path)
{
    if (starts_with(path, "model.params."))
        return TW_CHANGE_NEEDS_ACCEPT;
    /* The loss is in model.params and the bits in model.bits, too. */
    if (strcmp(path, "model.max_bytes") == 0 || strcmp(path, "model.loss") == 0 ||
        strcmp(path, "features.hash.bits") == 0)
        return TW_CHANGE_NONE;
    if (starts_with(path, "model.admission.") || starts_with(path, "model.expiry.") || strcmp(path, "model.evict") == 0)
        return TW_CHANGE_NEEDS_ACCEPT;
    bool is_model = starts_with(path, "features.") || starts_with(path, "label.") || starts_with(path, "model.");
    return is_model ? TW_CHANGE_REFUSED : TW_CHANGE_NONE;
}

static bool has_columns(const facts *self)
{
    for (size_t i = 0; i < self->count; i++) {
        if (starts_with(self->item[i].path, "features.columns["))
            return true;
    }
    return false;
}

static bool is_value(const facts *self, const char *path, const char *value)
{
    const fact *found = facts_find(self, path);
    return found != NULL && strcmp(found->value, value) == 0;
}

static tw_change class_of_added(const facts *before, const facts *after, const fact *added)
{
    if (starts_with(added->path, "features.crosses["))
        return TW_CHANGE_COMPATIBLE;
    if (!starts_with(added->path, "features.columns["))
        return class_of(added->path);
    bool is_scaled = strstr(added->value, "scale: standard") != NULL ||
                     (strstr(added->path, " as numeric]") != NULL && is_value(after, "features.scale", "standard") &&
                         strstr(added->value, "scale: none") == NULL);
    bool is_reshaping = !has_columns(before) || is_value(after, "features.dense", "true") || is_scaled;
    return is_reshaping ? TW_CHANGE_REFUSED : TW_CHANGE_COMPATIBLE;
}

static tw_status note(
    const fact *before, const fact *after, tw_change what, tw_change *worst, tw_text *diff, tw_error *error)
{
    static const char *const words[] = {
        "", "added feature: compatible", "learner option: needs --accept-changes", "refused: it changes the model"};
    if (what > *worst)
        *worst = what;
    if (what == TW_CHANGE_NONE)
        return TW_STATUS_OK;
    return tw_text_addf(diff, error, "%s: %s -> %s (%s)\n", before != NULL ? before->path : after->path,
        before != NULL ? before->value : "absent", after != NULL ? after->value : "absent", words[what]);
}

static tw_status compare(const facts *before, const facts *after, tw_change *worst, tw_text *diff, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < before->count && status == TW_STATUS_OK; i++) {
        const fact *old = &before->item[i], *new = facts_find(after, old->path);
        if (new == NULL || strcmp(old->value, new->value) != 0)
            status = note(old, new, class_of(old->path), worst, diff, error);
    }
    for (size_t i = 0; i < after->count && status == TW_STATUS_OK; i++) {
        const fact *new = &after->item[i];
        if (facts_find(before, new->path) == NULL)
            status = note(NULL, new, class_of_added(before, after, new), worst, diff, error);
    }
    return status;
}

tw_status tw_fingerprint_compare(
    const char *before, const char *after, tw_change *change, tw_text *diff, tw_error *error)
{
    facts old = {0}, new = {0};
    *change = TW_CHANGE_NONE;
    tw_status status = read_facts(before, &old, error);
    if (status == TW_STATUS_OK)
        status = read_facts(after, &new, error);
    if (status == TW_STATUS_OK)
        status = compare(&old, &new, change, diff, error);
    facts_fini(&old);
    facts_fini(&new);
    return status;
}

static bool is_of_model(const char *path)
{
    return class_of(path) != TW_CHANGE_NONE;
}

static bool is_of_data(const char *path)
{
    return starts_with(path, "source") || (is_of_model(path) && !starts_with(path, "model.params."));
}

static tw_status fingerprint(const char *canonical, bool (*counts)(const char *path), uint64_t *out, tw_error *error)
{
    facts all = {0};
    tw_status status = read_facts(canonical, &all, error);
    if (status < 0)
        return status;
    /* A sum, for the order of columns is not part of the model's identity. */
    uint64_t sum = 0;
    for (size_t i = 0; i < all.count; i++) {
        const fact *each = &all.item[i];
        if (counts(each->path))
            sum += tw_hash_seeded(each->value, strlen(each->value), tw_hash(each->path, strlen(each->path)));
    }
    *out = sum;
    facts_fini(&all);
    return TW_STATUS_OK;
}

tw_status tw_fingerprint(const char *canonical, uint64_t *out, tw_error *error)
{
    return fingerprint(canonical, is_of_model, out, error);
}

static bool is_of_params(const char *path)
{
    return is_of_model(path) && starts_with(path, "model.params.");
}

static bool is_of_model_itself(const char *path)
{
    return is_of_model(path) && starts_with(path, "model.") && !is_of_params(path);
}

static bool is_of_features(const char *path)
{
    return is_of_model(path) && !starts_with(path, "model.");
}

tw_status tw_fingerprint_of(const char *canonical, tw_fingerprint_part part, uint64_t *out, tw_error *error)
{
    bool (*const counts[])(const char *path) = {
        [TW_FINGERPRINT_FEATURES] = is_of_features,
        [TW_FINGERPRINT_MODEL] = is_of_model_itself,
        [TW_FINGERPRINT_PARAMS] = is_of_params,
    };
    return fingerprint(canonical, counts[part], out, error);
}

tw_status tw_fingerprint_data(const char *canonical, uint64_t *out, tw_error *error)
{
    return fingerprint(canonical, is_of_data, out, error);
}

tw_status tw_canonical_value(const char *canonical, const char *path, char **out, tw_error *error)
{
    facts all = {0};
    *out = NULL;
    tw_status status = read_facts(canonical, &all, error);
    if (status < 0)
        return status;
    const fact *found = facts_find(&all, path);
    if (found == NULL) {
        status = tw_error_set(error, TW_STATUS_NOT_FOUND, "%s: the pipeline has no such value", path);
    } else {
        *out = tw_strdup(found->value);
        status = *out != NULL ? TW_STATUS_OK : tw_no_memory(error, strlen(found->value) + 1);
    }
    facts_fini(&all);
    return status;
}
