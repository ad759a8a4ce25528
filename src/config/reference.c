#include "config/reference.h"
#include "base/try.h"

#include <string.h>

typedef struct writer {
    const tw_plugin_catalogue *catalogue;
    tw_text *out;
    tw_error *error;
} writer;

static const char *const kind_titles[TW_PLUGIN_N_KINDS] = {
    "", "Learners", "Sources", "Formats", "Sinks", "Transforms", "Solvers"};
static const char *const type_names[] = {
    "boolean", "integer", "number", "text", "choice", "duration", "size", "ratio", "list"};

/* --- Markdown ----------------------------------------------------------------------------------------------------- */

/* A cell must not end early at a bar or a line end. */
static tw_status add_cell(tw_text *out, const char *text, tw_error *error)
{
    for (; text != NULL && *text != '\0'; text++) {
        const char *safe = *text == '|' ? "\\|" : *text == '\n' ? " " : NULL;
        TRY(safe != NULL ? tw_text_add(out, safe, error) : tw_text_append(out, text, 1, error));
    }
    return TW_STATUS_OK;
}

static tw_status add_range(tw_text *out, const tw_option *option, tw_error *error)
{
    char low[TW_REAL_TEXT_SIZE], high[TW_REAL_TEXT_SIZE];
    if (option->choices != NULL)
        return add_cell(out, option->choices, error);
    if (option->min == 0.0 && option->max == 0.0)
        return TW_STATUS_OK;
    tw_text_from_real(option->min, low);
    tw_text_from_real(option->max, high);
    const char *unit = option->type == TW_OPTION_DURATION ? " us" : option->type == TW_OPTION_SIZE ? " bytes" : "";
    return tw_text_addf(out, error, "%s .. %s%s", low, high, unit);
}

tw_status tw_reference_table(const tw_option *table, tw_text *out, tw_error *error)
{
    if (table == NULL || table->name == NULL)
        return tw_text_add(out, "No options.\n\n", error);
    TRY(tw_text_add(out, "| key | type | default | range | meaning |\n|---|---|---|---|---|\n", error));
    for (; table->name != NULL; table++) {
        TRY(tw_text_addf(out, error, "| `%s` | %s | ", table->name, type_names[table->type]));
        if (table->is_required) {
            TRY(tw_text_add(out, "*required*", error));
        } else if (table->fallback != NULL && table->fallback[0] != '\0') {
            TRY(tw_text_add(out, "`", error));
            TRY(add_cell(out, table->fallback, error));
            TRY(tw_text_add(out, "`", error));
        }
        TRY(tw_text_add(out, " | ", error));
        TRY(add_range(out, table, error));
        TRY(tw_text_add(out, " | ", error));
        TRY(add_cell(out, table->help, error));
        TRY(tw_text_add(out, " |\n", error));
    }
    return tw_text_add(out, "\n", error);
}

static tw_status add_children(writer *self, const tw_config_block *block)
{
    static const char *const forms[] = {
        "a map", "a list of maps", "a map or a list of maps", "a name or a map", "a map", "a list of lists", ""};
    bool has_any = false;
    for (const tw_config_child *child = block->children; child->name != NULL; child++) {
        has_any = true;
        if (child->kind == TW_CHILD_REFUSED)
            TRY(tw_text_addf(
                self->out, self->error, "- `%s`: not supported by this version; %s\n", child->name, child->help));
        else if (child->block != NULL)
            TRY(tw_text_addf(self->out, self->error, "- `%s` (%s): see `%s`\n", child->name, forms[child->kind],
                child->block->title));
        else
            TRY(tw_text_addf(
                self->out, self->error, "- `%s` (%s): %s\n", child->name, forms[child->kind], child->help));
    }
    return has_any ? tw_text_add(self->out, "\n", self->error) : TW_STATUS_OK;
}

static tw_status add_block(writer *self, const tw_config_block *block)
{
    if (block->title[0] != '\0')
        TRY(tw_text_addf(self->out, self->error, "## `%s`\n\n", block->title));
    else
        TRY(tw_text_add(self->out, "## The top of the file\n\n", self->error));
    TRY(tw_text_addf(self->out, self->error, "%s\n\n", block->help));
    TRY(tw_reference_table(block->options, self->out, self->error));
    TRY(add_children(self, block));
    for (const tw_config_child *child = block->children; child->name != NULL; child++) {
        if (child->block != NULL)
            TRY(add_block(self, child->block));
    }
    return TW_STATUS_OK;
}

tw_status tw_reference_markdown(const tw_plugin_catalogue *catalogue, tw_text *out, tw_error *error)
{
    writer self = {catalogue, out, error};
    TRY(tw_text_add(out, "# Option reference\n\nMade from the option tables by `thalweg help pipeline`.\n\n", error));
    TRY(add_block(&self, tw_config_root()));
    for (int kind = TW_PLUGIN_LEARNER; kind < TW_PLUGIN_N_KINDS; kind++) {
        const char *name = catalogue->name(catalogue->context, (tw_plugin_kind)kind, 0);
        if (name == NULL)
            continue;
        TRY(tw_text_addf(out, error, "## %s\n\n", kind_titles[kind]));
        for (size_t i = 0; name != NULL; name = catalogue->name(catalogue->context, (tw_plugin_kind)kind, ++i)) {
            const char *summary = catalogue->summary(catalogue->context, (tw_plugin_kind)kind, name);
            TRY(tw_text_addf(out, error, "### `%s`\n\n%s\n\n", name, summary != NULL ? summary : ""));
            TRY(tw_reference_table(catalogue->options(catalogue->context, (tw_plugin_kind)kind, name), out, error));
        }
    }
    return TW_STATUS_OK;
}

/* --- JSON Schema -------------------------------------------------------------------------------------------------- */

static tw_status add_json_text(writer *self, const char *text, size_t size)
{
    TRY(tw_text_add(self->out, "\"", self->error));
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            TRY(tw_text_addf(self->out, self->error, "\\%c", c));
        else if (c < 0x20)
            TRY(tw_text_addf(self->out, self->error, "\\u%04x", c));
        else
            TRY(tw_text_append(self->out, text + i, 1, self->error));
    }
    return tw_text_add(self->out, "\"", self->error);
}

static tw_status add_member(writer *self, bool *is_first, const char *name)
{
    TRY(tw_text_add(self->out, *is_first ? "" : ",", self->error));
    *is_first = false;
    TRY(add_json_text(self, name, strlen(name)));
    return tw_text_add(self->out, ":", self->error);
}

/* Numbers may be written as texts (500_000, ${N:5}), and texts may look like numbers. */
static tw_status add_type(writer *self, const tw_option *option)
{
    static const char scalar[] = "\"type\":[\"string\",\"number\",\"boolean\"]";
    switch (option->type) {
    case TW_OPTION_BOOL:
        return tw_text_add(self->out, "\"enum\":[true,false,\"true\",\"false\"]", self->error);
    case TW_OPTION_INT:
        return tw_text_add(self->out, "\"type\":[\"integer\",\"string\"]", self->error);
    case TW_OPTION_REAL:
    case TW_OPTION_SIZE:
    case TW_OPTION_RATIO:
    case TW_OPTION_DURATION:
        return tw_text_add(self->out, "\"type\":[\"number\",\"string\"]", self->error);
    case TW_OPTION_LIST:
        return tw_text_addf(
            self->out, self->error, "\"anyOf\":[{%s},{\"type\":\"array\",\"items\":{%s}}]", scalar, scalar);
    case TW_OPTION_TEXT:
        return tw_text_add(self->out, scalar, self->error);
    case TW_OPTION_CHOICE:
        break;
    }
    TRY(tw_text_add(self->out, "\"enum\":[", self->error));
    for (const char *at = option->choices; at != NULL;) {
        size_t size = strcspn(at, "|");
        TRY(add_json_text(self, at, size));
        at = at[size] == '|' ? at + size + 1 : NULL;
        TRY(tw_text_add(self->out, at != NULL ? "," : "]", self->error));
    }
    return TW_STATUS_OK;
}

static tw_status add_limits(writer *self, const tw_option *option)
{
    bool is_number = option->type == TW_OPTION_INT || option->type == TW_OPTION_REAL;
    if (!is_number || (option->min == 0.0 && option->max == 0.0))
        return TW_STATUS_OK;
    char low[TW_REAL_TEXT_SIZE], high[TW_REAL_TEXT_SIZE];
    tw_text_from_real(option->min, low);
    tw_text_from_real(option->max, high);
    return tw_text_addf(self->out, self->error, ",\"minimum\":%s,\"maximum\":%s", low, high);
}

/* The option whose value names the plug-in. */
static bool is_plugin_key(const char *name)
{
    return strcmp(name, "type") == 0 || strcmp(name, "solver") == 0;
}

static tw_status add_properties(writer *self, const tw_option *table, const char *type, bool *is_first)
{
    for (; table != NULL && table->name != NULL; table++) {
        TRY(add_member(self, is_first, table->name));
        TRY(tw_text_add(self->out, "{", self->error));
        if (type != NULL && is_plugin_key(table->name)) {
            TRY(tw_text_add(self->out, "\"const\":", self->error));
            TRY(add_json_text(self, type, strlen(type)));
        } else {
            TRY(add_type(self, table));
            TRY(add_limits(self, table));
        }
        TRY(tw_text_add(self->out, ",\"description\":", self->error));
        TRY(add_json_text(self, table->help, strlen(table->help)));
        if (table->fallback != NULL) {
            TRY(tw_text_add(self->out, ",\"default\":", self->error));
            TRY(add_json_text(self, table->fallback, strlen(table->fallback)));
        }
        TRY(tw_text_add(self->out, "}", self->error));
    }
    return TW_STATUS_OK;
}

static tw_status add_required(writer *self, const tw_option *table, bool *is_first)
{
    for (; table != NULL && table->name != NULL; table++) {
        if (!table->is_required)
            continue;
        TRY(tw_text_add(self->out, *is_first ? "" : ",", self->error));
        *is_first = false;
        TRY(add_json_text(self, table->name, strlen(table->name)));
    }
    return TW_STATUS_OK;
}

static tw_status add_child_schema(writer *self, const tw_config_child *child, const char *type);

/* The object of one block; `type` fixes the plug-in, its options are `plugin`. */
static tw_status add_object(
    writer *self, const tw_config_block *block, const char *type, const tw_option *plugin, const char *needed)
{
    bool is_first = true;
    TRY(tw_text_add(self->out, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{", self->error));
    TRY(add_properties(self, block->options, type, &is_first));
    TRY(add_properties(self, plugin, NULL, &is_first));
    for (const tw_config_child *child = block->children; child->name != NULL; child++) {
        if (child->kind == TW_CHILD_REFUSED)
            continue;
        TRY(add_member(self, &is_first, child->name));
        TRY(add_child_schema(self, child, type));
    }
    TRY(tw_text_add(self->out, "},\"required\":[", self->error));
    is_first = true;
    TRY(add_required(self, block->options, &is_first));
    TRY(add_required(self, plugin, &is_first));
    /* Without the type named, an object would match the alternative of every plug-in. */
    if (needed != NULL)
        TRY(tw_text_addf(self->out, self->error, "%s\"%s\"", is_first ? "" : ",", needed));
    return tw_text_add(self->out, "]}", self->error);
}

static tw_plugin_kind kind_of(const tw_config_block *block)
{
    for (const tw_config_child *child = block->children; child->name != NULL; child++) {
        if (child->kind == TW_CHILD_PARAMS)
            return child->plugin;
    }
    return block->plugin;
}

/* The key that must be there for the alternative of plug-in `name`; NULL: none beyond those that are always required.
 */
static const char *needed_key(const tw_config_block *block, const char *name)
{
    const tw_option *type = block->options;
    while (!is_plugin_key(type->name))
        type++;
    bool is_needed = !type->is_required && (type->fallback == NULL || strcmp(type->fallback, name) != 0);
    return is_needed ? type->name : NULL;
}

/* A block without plug-ins is one object, one with them an alternative for each. */
static tw_status add_block_schema(writer *self, const tw_config_block *block)
{
    const tw_plugin_catalogue *from = self->catalogue;
    tw_plugin_kind kind = kind_of(block);
    if (kind == TW_PLUGIN_NONE)
        return add_object(self, block, NULL, NULL, NULL);
    const char *name;
    TRY(tw_text_add(self->out, "{\"anyOf\":[", self->error));
    for (size_t i = 0; (name = from->name(from->context, kind, i)) != NULL; i++) {
        const tw_option *table = block->plugin != TW_PLUGIN_NONE ? from->options(from->context, kind, name) : NULL;
        TRY(tw_text_add(self->out, i > 0 ? "," : "", self->error));
        TRY(add_object(self, block, name, table, needed_key(block, name)));
    }
    return tw_text_add(self->out, "]}", self->error);
}

static tw_status add_params_schema(writer *self, const tw_config_child *child, const char *type)
{
    bool is_first = true;
    const tw_option *table = self->catalogue->options(self->catalogue->context, child->plugin, type);
    TRY(tw_text_add(self->out, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{", self->error));
    TRY(add_properties(self, table, NULL, &is_first));
    TRY(tw_text_add(self->out, "},\"required\":[", self->error));
    is_first = true;
    TRY(add_required(self, table, &is_first));
    return tw_text_add(self->out, "]}", self->error);
}

static tw_status add_child_schema(writer *self, const tw_config_child *child, const char *type)
{
    static const char words[] = "{\"type\":\"array\",\"items\":{\"type\":\"array\",\"minItems\":2,\"maxItems\":4,"
                                "\"items\":{\"type\":\"string\"}}}";
    switch (child->kind) {
    case TW_CHILD_PARAMS:
        return add_params_schema(self, child, type);
    case TW_CHILD_WORD_LISTS:
        return tw_text_add(self->out, words, self->error);
    case TW_CHILD_REFUSED:
        return tw_text_add(self->out, "false", self->error);
    case TW_CHILD_MAP:
        return add_block_schema(self, child->block);
    case TW_CHILD_MAPS:
        TRY(tw_text_add(self->out, "{\"type\":\"array\",\"items\":", self->error));
        TRY(add_block_schema(self, child->block));
        return tw_text_add(self->out, "}", self->error);
    case TW_CHILD_NAMED_MAP:
        TRY(tw_text_add(self->out, "{\"anyOf\":[{\"type\":\"string\"},", self->error));
        TRY(add_block_schema(self, child->block));
        return tw_text_add(self->out, "]}", self->error);
    case TW_CHILD_MAP_OR_MAPS:
        TRY(tw_text_add(self->out, "{\"anyOf\":[", self->error));
        TRY(add_block_schema(self, child->block));
        TRY(tw_text_add(self->out, ",{\"type\":\"array\",\"items\":", self->error));
        TRY(add_block_schema(self, child->block));
        return tw_text_add(self->out, "}]}", self->error);
    }
    return TW_STATUS_OK;
}

tw_status tw_reference_json_schema(const tw_plugin_catalogue *catalogue, tw_text *out, tw_error *error)
{
    writer self = {catalogue, out, error};
    size_t start = out->size;
    TRY(add_block_schema(&self, tw_config_root()));
    /* The head goes into the root object, behind its brace. */
    static const char head[] =
        "\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"title\":\"Thalweg pipeline\",";
    size_t length = sizeof head - 1;
    TRY(tw_text_add(out, head, error));
    memmove(out->bytes + start + 1 + length, out->bytes + start + 1, out->size - length - start - 1);
    memcpy(out->bytes + start + 1, head, length);
    return tw_text_add(out, "\n", error);
}
