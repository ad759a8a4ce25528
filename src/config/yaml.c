/* libyaml events to nodes. */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/alloc.h"
#include "config/tree.h"

typedef struct reader {
    yaml_parser_t parser;
    tw_tree *tree;
    tw_problems *problems;
    tw_error *error;
    uint32_t origin;
    int depth;
} reader;

static tw_place place_of(const reader *self, yaml_mark_t start, yaml_mark_t end)
{
    size_t span = end.line == start.line && end.column > start.column ? end.column - start.column : 1;
    bool is_file = self->tree->origin[self->origin].kind == TW_ORIGIN_FILE;
    return (tw_place){self->origin, is_file ? (uint32_t)start.line + 1 : 0, is_file ? (uint32_t)start.column + 1 : 0,
        (uint32_t)(span < 1000 ? span : 1000)};
}

static tw_status next_event(reader *self, yaml_event_t *event)
{
    if (yaml_parser_parse(&self->parser, event))
        return TW_STATUS_OK;
    const yaml_parser_t *parser = &self->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return tw_no_memory(self->error, 1);
    yaml_mark_t at = parser->error == YAML_READER_ERROR ? parser->mark : parser->problem_mark;
    tw_problem *problem = tw_problems_add(self->problems, self->tree, place_of(self, at, at), "E101", "not YAML: %s",
        parser->problem != NULL ? parser->problem : "syntax error");
    if (parser->context != NULL)
        tw_problem_hint(problem, "%s that starts in line %zu", parser->context, parser->context_mark.line + 1);
    return TW_STATUS_CONFIG;
}

static void refuse(reader *self, const yaml_event_t *event, const char *what)
{
    tw_problem *problem = tw_problems_add(self->problems, self->tree,
        place_of(self, event->start_mark, event->end_mark), "E106", "%s are not allowed in pipeline files", what);
    tw_problem_hint(problem, "write the value out, or put what is shared into a file named under \"include\"");
}

static void check_decoration(reader *self, const yaml_event_t *event, const yaml_char_t *anchor, bool has_tag)
{
    if (anchor != NULL)
        refuse(self, event, "anchors (&name)");
    if (has_tag)
        refuse(self, event, "tags (!name)");
}

static bool is_name_byte(char c, bool is_first)
{
    return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (!is_first && c >= '0' && c <= '9');
}

static const char *look_up(const tw_tree *tree, const char *name)
{
    return tree->lookup != NULL ? tree->lookup(tree->lookup_context, name) : getenv(name);
}

/* Replaces the "${NAME}" or "${NAME:default}" at *at and moves behind it. */
static tw_status expand_one(reader *self, const char **at, tw_place place, tw_text *out)
{
    const char *name = *at + 2, *end = name;
    while (is_name_byte(*end, end == name))
        end++;
    const char *fallback = *end == ':' ? end + 1 : NULL;
    const char *close = fallback != NULL ? strchr(fallback, '}') : end;
    if (end == name || close == NULL || *close != '}') {
        (void)tw_problems_add(self->problems, self->tree, place, "E111",
            "\"%.60s\" is not a variable such as ${NAME} or ${NAME:default}", *at);
        *at += 2;
        return TW_STATUS_OK;
    }
    char *copy = tw_strndup(name, (size_t)(end - name));
    if (copy == NULL)
        return tw_no_memory(self->error, (size_t)(end - name) + 1);
    const char *value = look_up(self->tree, copy);
    tw_status status = TW_STATUS_OK;
    if (value != NULL) {
        status = tw_text_add(out, value, self->error);
    } else if (fallback != NULL) {
        status = tw_text_append(out, fallback, (size_t)(close - fallback), self->error);
    } else {
        tw_problem *problem =
            tw_problems_add(self->problems, self->tree, place, "E111", "the environment variable %s is not set", copy);
        tw_problem_hint(problem, "set it, or give a default: ${%s:default}", copy);
    }
    tw_free(copy);
    *at = close + 1;
    return status;
}

static tw_status expand(reader *self, const char *text, tw_place place, tw_text *out)
{
    tw_status status = tw_text_add(out, "", self->error);
    while (status == TW_STATUS_OK && *text != '\0') {
        if (strncmp(text, "$${", 3) == 0) {
            status = tw_text_add(out, "${", self->error);
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            status = expand_one(self, &text, place, out);
        } else {
            status = tw_text_append(out, text++, 1, self->error);
        }
    }
    return status;
}

static tw_status read_scalar(reader *self, const yaml_event_t *event, tw_node **out)
{
    const char *value = (const char *)event->data.scalar.value;
    tw_place place = place_of(self, event->start_mark, event->end_mark);
    check_decoration(self, event, event->data.scalar.anchor, event->data.scalar.tag != NULL);
    if (strlen(value) != event->data.scalar.length)
        (void)tw_problems_add(self->problems, self->tree, place, "E101", "a value holds a zero byte");
    tw_text text = {0};
    tw_status status = expand(self, value, place, &text);
    if (status == TW_STATUS_OK)
        status = tw_node_create(self->tree, TW_NODE_SCALAR, place, text.bytes, self->problems, out, self->error);
    if (status == TW_STATUS_OK)
        (*out)->is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    tw_text_fini(&text);
    return status;
}

static tw_status read_node(reader *self, const yaml_event_t *event, tw_node **out);

static tw_status read_next(reader *self, tw_node **out)
{
    yaml_event_t event;
    *out = NULL;
    tw_status status = next_event(self, &event);
    if (status < 0)
        return status;
    status = read_node(self, &event, out);
    yaml_event_delete(&event);
    return status;
}

static tw_status read_list(reader *self, tw_node *list)
{
    for (;;) {
        yaml_event_t event;
        tw_node *child = NULL;
        tw_status status = next_event(self, &event);
        if (status < 0)
            return status;
        bool is_end = event.type == YAML_SEQUENCE_END_EVENT;
        if (!is_end)
            status = read_node(self, &event, &child);
        yaml_event_delete(&event);
        if (is_end || status < 0)
            return status;
        if (child == NULL)
            continue;
        status = tw_node_add(list, NULL, child->place, child, self->error);
        if (status < 0) {
            tw_node_destroy(child);
            return status;
        }
    }
}

/* Adds the value behind a key; a duplicate is a problem and is dropped. */
static tw_status read_entry(reader *self, tw_node *map, const yaml_event_t *key_event)
{
    const char *key = (const char *)key_event->data.scalar.value;
    tw_place place = place_of(self, key_event->start_mark, key_event->end_mark);
    check_decoration(self, key_event, key_event->data.scalar.anchor, key_event->data.scalar.tag != NULL);
    if (strcmp(key, "<<") == 0)
        refuse(self, key_event, "merge keys (<<)");
    if (map->count >= TW_TREE_MAX_KEYS) {
        (void)tw_problems_add(
            self->problems, self->tree, place, "E108", "more than %d keys in one map", (int)TW_TREE_MAX_KEYS);
        return TW_STATUS_CONFIG;
    }
    tw_node *value = NULL;
    tw_status status = read_next(self, &value);
    if (status < 0 || value == NULL)
        return status;
    const tw_entry *first = tw_node_find(map, key);
    if (first != NULL) {
        tw_problem *problem =
            tw_problems_add(self->problems, self->tree, place, "E112", "\"%.100s\" is given twice", key);
        if (first->key_place.line > 0)
            tw_problem_label(problem, "first given in line %u", first->key_place.line);
        tw_node_destroy(value);
        return TW_STATUS_OK;
    }
    status = tw_node_add(map, key, place, value, self->error);
    if (status < 0)
        tw_node_destroy(value);
    return status;
}

static tw_status read_map(reader *self, tw_node *map)
{
    for (;;) {
        yaml_event_t event;
        tw_status status = next_event(self, &event);
        if (status < 0)
            return status;
        bool is_end = event.type == YAML_MAPPING_END_EVENT;
        if (!is_end && event.type == YAML_SCALAR_EVENT) {
            status = read_entry(self, map, &event);
        } else if (!is_end) {
            (void)tw_problems_add(self->problems, self->tree, place_of(self, event.start_mark, event.end_mark), "E101",
                "a key must be a plain word");
            status = TW_STATUS_CONFIG;
        }
        yaml_event_delete(&event);
        if (is_end || status < 0)
            return status;
    }
}

static tw_status read_container(reader *self, const yaml_event_t *event, bool is_map, tw_node **out)
{
    tw_place place = place_of(self, event->start_mark, event->end_mark);
    if (self->depth >= TW_TREE_MAX_DEPTH) {
        (void)tw_problems_add(
            self->problems, self->tree, place, "E108", "nested deeper than %d levels", (int)TW_TREE_MAX_DEPTH);
        return TW_STATUS_CONFIG;
    }
    tw_node *node = NULL;
    tw_status status = tw_node_create(
        self->tree, is_map ? TW_NODE_MAP : TW_NODE_LIST, place, NULL, self->problems, &node, self->error);
    if (status < 0)
        return status;
    self->depth++;
    status = is_map ? read_map(self, node) : read_list(self, node);
    self->depth--;
    if (status < 0)
        tw_node_destroy(node);
    else
        *out = node;
    return status;
}

/* *out stays NULL for an alias, which is a problem. */
static tw_status read_node(reader *self, const yaml_event_t *event, tw_node **out)
{
    if (event->type == YAML_SCALAR_EVENT)
        return read_scalar(self, event, out);
    if (event->type == YAML_MAPPING_START_EVENT) {
        check_decoration(self, event, event->data.mapping_start.anchor, event->data.mapping_start.tag != NULL);
        return read_container(self, event, true, out);
    }
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        check_decoration(self, event, event->data.sequence_start.anchor, event->data.sequence_start.tag != NULL);
        return read_container(self, event, false, out);
    }
    refuse(self, event, "aliases (*name)");
    return TW_STATUS_OK;
}

/* Only one document, and nothing behind it. */
static tw_status read_stream(reader *self, tw_node **out)
{
    for (int n_documents = 0;;) {
        yaml_event_t event;
        tw_status status = next_event(self, &event);
        if (status < 0)
            return status;
        yaml_event_type_t type = event.type;
        tw_place place = place_of(self, event.start_mark, event.end_mark);
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT)
            return TW_STATUS_OK;
        if (type != YAML_DOCUMENT_START_EVENT)
            continue;
        if (n_documents++ > 0) {
            (void)tw_problems_add(
                self->problems, self->tree, place, "E101", "a second document: a pipeline file holds one");
            return TW_STATUS_CONFIG;
        }
        status = read_next(self, out);
        if (status < 0)
            return status;
    }
}

tw_status tw_yaml_read(tw_tree *tree,
    uint32_t origin,
    const char *bytes,
    size_t size,
    tw_problems *problems,
    tw_node **out,
    tw_error *error)
{
    *out = NULL;
    reader self = {.tree = tree, .problems = problems, .error = error, .origin = origin};
    if (size > TW_TREE_MAX_BYTES) {
        (void)tw_problems_add(problems, tree, (tw_place){.origin = origin, .span = 1}, "E108",
            "%zu bytes are more than the limit %d", size, (int)TW_TREE_MAX_BYTES);
        return TW_STATUS_OK;
    }
    if (!yaml_parser_initialize(&self.parser))
        return tw_no_memory(error, sizeof self.parser);
    yaml_parser_set_encoding(&self.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&self.parser, (const unsigned char *)bytes, size);
    tw_status status = read_stream(&self, out);
    yaml_parser_delete(&self.parser);
    if (status < 0) {
        tw_node_destroy(*out);
        *out = NULL;
    }
    /* CONFIG is in the problems. */
    return status == TW_STATUS_CONFIG ? TW_STATUS_OK : status;
}
