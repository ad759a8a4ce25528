/* The pipeline as YAML with every default filled in, by a walk over what was bound. */
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "config/bind.h"
#include "config/pipeline.h"

typedef struct writer {
    const tw_tree *tree;
    bool with_origins;
    tw_text *out;
    tw_error *error;
} writer;

static bool is_plain_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '/' || c == '+' || c == '-';
}

static bool is_plain(const char *text)
{
    if (text[0] == '\0' || (text[0] == '-' && !(text[1] >= '0' && text[1] <= '9')))
        return false;
    while (is_plain_byte(*text))
        text++;
    return *text == '\0';
}

/* Code points that YAML does not allow unescaped, beyond ASCII. Returns the bytes of the character, 0: it may stand. */
static size_t must_escape(const unsigned char *at, unsigned *point)
{
    if (at[0] == 0xc2 && at[1] < 0xa0) {
        *point = at[1];
        return 2;
    }
    if ((at[0] & 0xf0) != 0xe0)
        return 0;
    *point = (at[0] & 0xfu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
    bool is_special = *point == 0xfeff || *point >= 0xfffe || *point == 0x2028 || *point == 0x2029;
    return is_special ? 3 : 0;
}

static tw_status write_quoted(writer *self, const char *text)
{
    TRY(tw_text_add(self->out, "\"", self->error));
    for (const unsigned char *at = (const unsigned char *)text; *at != 0;) {
        unsigned point = 0;
        size_t size = must_escape(at, &point);
        if (size > 0)
            TRY(tw_text_addf(self->out, self->error, "\\u%04X", point));
        else if (at[0] == '$' && at[1] == '{')
            TRY(tw_text_add(self->out, "$$", self->error));
        else if (*at == '"' || *at == '\\')
            TRY(tw_text_addf(self->out, self->error, "\\%c", *at));
        else if (*at < 0x20 || *at == 0x7f)
            TRY(tw_text_addf(self->out, self->error, "\\x%02X", *at));
        else
            TRY(tw_text_append(self->out, (const char *)at, 1, self->error));
        at += size > 0 ? size : 1;
    }
    return tw_text_add(self->out, "\"", self->error);
}

static tw_status write_text(writer *self, const char *text)
{
    return is_plain(text) ? tw_text_add(self->out, text, self->error) : write_quoted(self, text);
}

static tw_status write_origin(writer *self, tw_place place)
{
    if (!self->with_origins)
        return tw_text_add(self->out, "\n", self->error);
    if (place.line > 0)
        return tw_text_addf(self->out, self->error, "  # %s:%u:%u\n", tw_tree_origin_name(self->tree, place.origin),
            place.line, place.column);
    /* A flag's text may hold line ends; a comment must not. */
    TRY(tw_text_add(self->out, "  # ", self->error));
    for (const char *at = tw_tree_origin_name(self->tree, place.origin); *at != '\0'; at++)
        TRY(tw_text_append(self->out, (unsigned char)*at < 0x20 || *at == 0x7f ? " " : at, 1, self->error));
    return tw_text_add(self->out, "\n", self->error);
}

static tw_status write_list(writer *self, const tw_option_values *values, const char *name)
{
    TRY(tw_text_add(self->out, "[", self->error));
    for (size_t i = 0; i < tw_option_count(values, name); i++) {
        if (i > 0)
            TRY(tw_text_add(self->out, ", ", self->error));
        TRY(write_text(self, tw_option_item(values, name, i)));
    }
    return tw_text_add(self->out, "]", self->error);
}

static tw_status write_value(writer *self, const tw_option_values *values, const tw_option *option)
{
    char text[64];
    if (option->type == TW_OPTION_LIST)
        return write_list(self, values, option->name);
    if (option->type == TW_OPTION_TEXT || option->type == TW_OPTION_CHOICE)
        return write_text(self, tw_option_text(values, option->name));
    TRY(tw_option_format(values, option->name, text, sizeof text, self->error));
    return write_text(self, text);
}

/* The start of a line: two spaces a level, and "- " in place of the last two for the first line of a list element. */
static tw_status write_key(writer *self, int level, bool *is_first, const char *key)
{
    bool is_dash = is_first != NULL && *is_first;
    if (is_first != NULL)
        *is_first = false;
    return tw_text_addf(
        self->out, self->error, "%*s%s%s:", 2 * level - (is_dash ? 2 : 0), "", is_dash ? "- " : "", key);
}

static tw_status write_options(
    writer *self, const tw_option_values *values, const tw_place *places, int level, bool *is_first, bool is_root)
{
    const tw_option *table = values != NULL ? tw_option_table(values) : NULL;
    for (size_t i = 0; table != NULL && table[i].name != NULL; i++) {
        bool is_folded = is_root && strcmp(table[i].name, "include") == 0;
        if (!tw_option_has(values, table[i].name) || is_folded)
            continue;
        TRY(write_key(self, level, is_first, table[i].name));
        TRY(tw_text_add(self->out, " ", self->error));
        TRY(write_value(self, values, &table[i]));
        TRY(write_origin(self, places[i]));
    }
    return TW_STATUS_OK;
}

static tw_status write_words(writer *self, const char *name, const tw_node *lists, int level, bool *is_first)
{
    TRY(write_key(self, level, is_first, name));
    TRY(tw_text_add(self->out, " [", self->error));
    for (size_t i = 0; i < lists->count; i++) {
        TRY(tw_text_add(self->out, i > 0 ? ", [" : "[", self->error));
        for (size_t k = 0; k < lists->entry[i].node->count; k++) {
            if (k > 0)
                TRY(tw_text_add(self->out, ", ", self->error));
            TRY(write_text(self, lists->entry[i].node->entry[k].node->text));
        }
        TRY(tw_text_add(self->out, "]", self->error));
    }
    TRY(tw_text_add(self->out, "]", self->error));
    return write_origin(self, lists->place);
}

static tw_status write_block(writer *self, const tw_bound *bound, int level, bool *is_first);

/* A block that says nothing: no value; checkpoints without a directory, or a gate without a figure: the rest of either
 * would be an error alone. */
static bool has_content(const tw_bound *bound)
{
    if (strcmp(bound->path, "checkpoint") == 0)
        return tw_option_has(bound->values, "dir");
    if (strcmp(bound->path, "publish") == 0)
        return tw_bound_has_requirement(tw_bound_map(bound, "require"));
    for (const tw_option *option = bound->block->options; option->name != NULL; option++) {
        if (tw_option_has(bound->values, option->name))
            return true;
    }
    for (size_t i = 0; i < bound->n_children; i++) {
        if (bound->child[i].n_items > 0 || bound->child[i].params != NULL || bound->child[i].node != NULL)
            return true;
    }
    return false;
}

static tw_status write_child(writer *self, const tw_bound_child *child, int level, bool *is_first)
{
    const char *name = child->child->name;
    bool is_list = child->node != NULL && child->node->kind == TW_NODE_LIST;
    if (child->child->kind == TW_CHILD_WORD_LISTS)
        return child->node != NULL ? write_words(self, name, child->node, level, is_first) : TW_STATUS_OK;
    if (child->child->kind == TW_CHILD_PARAMS) {
        if (child->params == NULL || tw_option_table_size(tw_option_table(child->params)) == 0)
            return TW_STATUS_OK;
        TRY(write_key(self, level, is_first, name));
        TRY(tw_text_add(self->out, "\n", self->error));
        return write_options(self, child->params, child->params_place, level + 1, NULL, false);
    }
    if (child->n_items == 0 || (!is_list && !has_content(child->item[0])))
        return TW_STATUS_OK;
    TRY(write_key(self, level, is_first, name));
    TRY(tw_text_add(self->out, "\n", self->error));
    for (size_t i = 0; i < child->n_items; i++) {
        bool is_dash = is_list;
        TRY(write_block(self, child->item[i], level + (is_list ? 2 : 1), &is_dash));
    }
    return TW_STATUS_OK;
}

/* In a later source of a sequence what it leaves out is the first one's: it must not appear as a default. */
static bool is_inherited(const tw_bound *bound, const tw_bound_child *child)
{
    return child->node == NULL && strncmp(bound->path, "source[", 7) == 0 && strncmp(bound->path, "source[0]", 9) != 0;
}

static tw_status write_block(writer *self, const tw_bound *bound, int level, bool *is_first)
{
    TRY(write_options(self, bound->values, bound->value_place, level, is_first, bound->path[0] == '\0'));
    TRY(write_options(self, bound->plugin, bound->plugin_place, level, is_first, false));
    for (size_t i = 0; i < bound->n_children; i++) {
        if (bound->child[i].child->kind != TW_CHILD_REFUSED && !is_inherited(bound, &bound->child[i]))
            TRY(write_child(self, &bound->child[i], level, is_first));
    }
    return TW_STATUS_OK;
}

tw_status tw_pipeline_resolved(const tw_pipeline *self, bool with_origins, tw_text *out, tw_error *error)
{
    writer state = {self->tree, with_origins, out, error};
    return write_block(&state, self->bound, 0, NULL);
}
