/* json.c: JSON lines, one object a line, decoded without a tree: every value goes straight to the feature plan.
 *
 * Objects in objects are flattened to dotted names ("user.id"); an array of texts and numbers is a set; null is absent.
 * Fields that the plan ignores are checked all the same (strict RFC 8259, valid UTF-8), so whether a record is accepted
 * never depends on the plan's choice of fields. A line is a record, because no JSON token may hold a raw line feed;
 * hence also one object without line end, with `is_final` set, is decoded alone (a prediction request). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "data/plan.h"
#include "formats/json_keys.h"
#include "formats/json_scan.h"
#include "thalweg/learner.h"

enum { MAX_DEPTH = 32 };

typedef struct json {
    tw_json_scan scan;
    tw_json_keys keys;
    tw_event event;
    uint64_t serial;   /* of the object opened last */
    uint64_t record;   /* serial of this record's outermost object */
    uint64_t *used_in; /* [n_used_in] per handle: record that carried it last */
    size_t n_used_in;
    bool is_automatic; /* the plan declares no columns */
    tw_error error;
} json;

static tw_status json_value(json *self, uint32_t key, unsigned depth, bool is_used);

static size_t json_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(json);
}

static void json_close(void *state)
{
    json *self = state;
    tw_json_scan_fini(&self->scan);
    tw_json_keys_fini(&self->keys);
    tw_free(self->used_in);
    self->used_in = NULL;
}

static tw_status json_open(
    void *state, const tw_option_values *options, tw_plan *plan, const tw_host *host, tw_error *error)
{
    json *self = state;
    (void)options;
    (void)host;
    memset(self, 0, sizeof *self);
    self->is_automatic = tw_plan_n_columns(plan) == 0;
    tw_status status = tw_json_keys_init(&self->keys, plan, error);
    if (status < 0)
        json_close(self);
    return status;
}

/* --- fields ------------------------------------------------------------------------------------------------------ */

static tw_status json_duplicate(json *self, uint32_t key, const char *at)
{
    char name[80];
    tw_json_keys_name(&self->keys, key, name, sizeof name);
    return tw_json_fail(&self->scan, at, "D204", "%s: the field occurs twice", name);
}

static tw_status json_track_handle(json *self, int handle)
{
    size_t old = self->n_used_in;
    tw_status status =
        tw_grow(&self->used_in, sizeof *self->used_in, &self->n_used_in, (size_t)handle + 1, &self->error);
    if (status == TW_STATUS_OK)
        memset(self->used_in + old, 0, (self->n_used_in - old) * sizeof *self->used_in);
    return status;
}

/* The key's handle, -1 when ignored. A field may be spelled "a.b" or {"a": {"b": ..}}, but not both in one record. */
static tw_status json_handle(json *self, uint32_t key, bool is_used, const char *at, int *handle)
{
    *handle = -1;
    if (!is_used)
        return TW_STATUS_OK;
    tw_status status = tw_json_keys_handle(&self->keys, key, handle, &self->error);
    if (status < 0 || *handle < 0) {
        self->scan.at = status < 0 ? at : self->scan.at;
        return status;
    }
    if ((size_t)*handle >= self->n_used_in) {
        status = json_track_handle(self, *handle);
        if (status < 0)
            return status;
    }
    if (self->used_in[*handle] == self->record)
        return json_duplicate(self, key, at);
    self->used_in[*handle] = self->record;
    return TW_STATUS_OK;
}

/* --- values ------------------------------------------------------------------------------------------------------ */

/* A text ('"'), number ('0'), true ('t'), false ('f') or null ('n'). */
typedef struct json_token {
    char kind;
    const char *start, *text;
    size_t size;
    double value;
} json_token;

static tw_status json_token_read(json *self, json_token *out)
{
    tw_json_scan *scan = &self->scan;
    char c = 0;
    if (scan->at < scan->end)
        c = *scan->at;
    *out = (json_token){.kind = c, .start = scan->at};
    switch (c) {
    case '"':
        return tw_json_string(scan, &out->text, &out->size);
    case 't':
        out->text = "true";
        out->size = 4;
        return tw_json_word(scan, "true", 4);
    case 'f':
        out->text = "false";
        out->size = 5;
        return tw_json_word(scan, "false", 5);
    case 'n':
        return tw_json_word(scan, "null", 4);
    default:
        if (c != '-' && (c < '0' || c > '9'))
            return tw_json_expected(scan, "a value");
        out->kind = '0';
        return tw_json_number(scan, &out->value, &out->text, &out->size);
    }
}

static tw_status json_check_finite(json *self, uint32_t key, const json_token *token)
{
    if (token->kind != '0' || isfinite(token->value))
        return TW_STATUS_OK;
    char name[80];
    tw_json_keys_name(&self->keys, key, name, sizeof name);
    int shown = (int)(token->size < 40 ? token->size : 40);
    return tw_json_fail(
        &self->scan, token->start, "D206", "%s: the number %.*s is too large", name, shown, token->start);
}

/* An error of the plan belongs to the value's first byte. */
static tw_status json_at(json *self, const char *start, tw_status status)
{
    if (status < 0)
        self->scan.at = start;
    return status;
}

static tw_status json_scalar(json *self, uint32_t key, bool is_used)
{
    json_token token;
    int handle = -1;
    tw_status status = json_token_read(self, &token);
    if (status < 0 || token.kind == 'n')
        return status;
    status = json_handle(self, key, is_used, token.start, &handle);
    if (status < 0 || handle < 0)
        return status;
    status = json_check_finite(self, key, &token);
    if (status < 0)
        return status;
    if (token.kind == '"')
        status = tw_event_string(&self->event, handle, token.text, token.size, &self->error);
    else if (token.kind == '0')
        status = tw_event_number(&self->event, handle, token.value, token.text, token.size, &self->error);
    else
        status = tw_event_bool(&self->event, handle, token.kind == 't', &self->error);
    return json_at(self, token.start, status);
}

/* --- arrays ------------------------------------------------------------------------------------------------------ */

typedef struct json_array {
    uint32_t key;
    unsigned depth;
    bool is_used, is_known; /* is_known: `handle` was asked for */
    int handle;
} json_array;

/* The array's handle, asked for at its first element, so that an empty array does not add a field to the plan. */
static tw_status json_array_handle(json *self, json_array *array, const char *at)
{
    if (array->is_known)
        return TW_STATUS_OK;
    array->is_known = true;
    return json_handle(self, array->key, array->is_used, at, &array->handle);
}

static tw_status json_element(json *self, json_array *array)
{
    json_token token;
    tw_status status = json_token_read(self, &token);
    if (status < 0 || token.kind == 'n')
        return status;
    status = json_array_handle(self, array, token.start);
    if (status < 0 || array->handle < 0)
        return status;
    status = json_check_finite(self, array->key, &token);
    if (status < 0)
        return status;
    status = tw_event_element(&self->event, array->handle, token.text, token.size, &self->error);
    return json_at(self, token.start, status);
}

/* An object or array in an array: no feature can be made of it. An automatic plan leaves such fields alone. */
static tw_status json_inner(json *self, json_array *array)
{
    const char *start = self->scan.at;
    uint32_t element = 0;
    if (!self->is_automatic || array->is_known) {
        tw_status status = json_array_handle(self, array, start);
        if (status < 0)
            return status;
    }
    if (array->handle >= 0) {
        char name[80];
        tw_json_keys_name(&self->keys, array->key, name, sizeof name);
        return tw_json_fail(&self->scan, start, "D201", "%s: expected texts or numbers in the array, found an %s", name,
            *start == '{' ? "object" : "array");
    }
    array->is_used = false;
    tw_status status = tw_json_keys_find(&self->keys, array->key, TW_JSON_ELEMENT, 1, &element, &self->error);
    return status < 0 ? status : json_value(self, element, array->depth, false);
}

static tw_status json_array_read(json *self, uint32_t key, unsigned depth, bool is_used)
{
    json_array array = {.key = key, .depth = depth, .is_used = is_used, .handle = -1};
    tw_json_scan *scan = &self->scan;
    scan->at++;
    tw_json_space(scan);
    if (tw_json_is(scan, ']')) {
        scan->at++;
        return TW_STATUS_OK;
    }
    for (;;) {
        bool is_inner = tw_json_is(scan, '{') || tw_json_is(scan, '[');
        tw_status status = is_inner ? json_inner(self, &array) : json_element(self, &array);
        if (status < 0)
            return status;
        tw_json_space(scan);
        if (tw_json_is(scan, ']')) {
            scan->at++;
            return TW_STATUS_OK;
        }
        if (!tw_json_is(scan, ','))
            return tw_json_expected(scan, "',' or ']'");
        scan->at++;
        tw_json_space(scan);
    }
}

/* --- objects ----------------------------------------------------------------------------------------------------- */

/* At a key's opening quote; moves behind the key. */
static tw_status json_key(json *self, uint32_t parent, uint64_t serial, uint32_t *out)
{
    tw_json_scan *scan = &self->scan;
    tw_json_keys *keys = &self->keys;
    const char *start = scan->at;
    if (!tw_json_is(scan, '"'))
        return tw_json_expected(scan, "a field name in quotes");
    uint32_t key = tw_json_keys_guess(keys, parent, start + 1, scan->end, scan->limit);
    if (key != 0) {
        keys->last = key;
        scan->at = start + 1 + keys->key[key].raw_size;
    } else {
        const char *text = NULL;
        size_t size = 0;
        tw_status status = tw_json_string(scan, &text, &size);
        if (status == TW_STATUS_OK)
            status = tw_json_keys_find(keys, parent, text, size, &key, &self->error);
        if (status < 0)
            return status;
    }
    if (keys->key[key].seen == serial)
        return json_duplicate(self, key, start);
    keys->key[key].seen = serial;
    *out = key;
    return TW_STATUS_OK;
}

static tw_status json_member(json *self, uint32_t parent, uint64_t serial, unsigned depth, bool is_used)
{
    tw_json_scan *scan = &self->scan;
    uint32_t key = 0;
    tw_status status = json_key(self, parent, serial, &key);
    if (status < 0)
        return status;
    tw_json_space(scan);
    if (!tw_json_is(scan, ':'))
        return tw_json_expected(scan, "':'");
    scan->at++;
    tw_json_space(scan);
    return json_value(self, key, depth, is_used);
}

static tw_status json_object(json *self, uint32_t parent, unsigned depth, bool is_used)
{
    tw_json_scan *scan = &self->scan;
    uint64_t serial = ++self->serial;
    scan->at++;
    tw_json_space(scan);
    if (tw_json_is(scan, '}')) {
        scan->at++;
        return TW_STATUS_OK;
    }
    for (;;) {
        tw_status status = json_member(self, parent, serial, depth, is_used);
        if (status < 0)
            return status;
        tw_json_space(scan);
        if (tw_json_is(scan, '}')) {
            scan->at++;
            return TW_STATUS_OK;
        }
        if (!tw_json_is(scan, ','))
            return tw_json_expected(scan, "',' or '}'");
        scan->at++;
        tw_json_space(scan);
    }
}

/* `depth` counts the objects and arrays around the value. */
static tw_status json_value(json *self, uint32_t key, unsigned depth, bool is_used)
{
    bool is_object = tw_json_is(&self->scan, '{');
    if (!is_object && !tw_json_is(&self->scan, '['))
        return json_scalar(self, key, is_used);
    if (depth >= MAX_DEPTH)
        return tw_json_fail(
            &self->scan, self->scan.at, "D204", "objects and arrays are nested deeper than %d", MAX_DEPTH);
    return is_object ? json_object(self, key, depth + 1, is_used) : json_array_read(self, key, depth + 1, is_used);
}

/* --- records ----------------------------------------------------------------------------------------------------- */

/* The record between scan.at and scan.end. OK: committed; IDLE: a blank line; anything else: `error` is set. */
static tw_status json_record(json *self, tw_builder *out, uint64_t next_offset, uint64_t next_line)
{
    tw_json_scan *scan = &self->scan;
    tw_json_space(scan);
    if (scan->at == scan->end)
        return TW_STATUS_IDLE;
    if (*scan->at != '{')
        return tw_json_expected(scan, "'{'");
    tw_event_begin(&self->event, self->keys.plan, out);
    tw_json_keys_begin(&self->keys);
    self->record = self->serial + 1;
    tw_status status = json_object(self, TW_JSON_ROOT, 1, true);
    if (status < 0)
        return status;
    tw_json_space(scan);
    if (scan->at != scan->end)
        return tw_json_expected(scan, "the end of the line");
    status = tw_event_end(&self->event, next_offset, next_line, &self->error);
    if (status < 0)
        scan->at = NULL;
    return status;
}

static void json_bad(json *self, const tw_cursor *io, const char *end, uint64_t next_offset, tw_builder *out)
{
    size_t size = (size_t)(end - io->at);
    tw_bad_record bad = {
        .bytes = io->at,
        .size = size > 0 && end[-1] == '\r' ? size - 1 : size,
        .offset = io->offset,
        .line = io->line,
        .column = self->scan.at ? (uint64_t)(self->scan.at - io->at) + 1 : 0,
        .before_event = out->n_events,
    };
    snprintf(bad.code, sizeof bad.code, "%s", self->error.code[0] ? self->error.code : "D201");
    snprintf(bad.message, sizeof bad.message, "%.*s", (int)sizeof bad.message - 1, self->error.message);
    tw_builder_drop(out);
    tw_builder_bad(out, &bad, next_offset, io->line);
}

/* One line of [io->at, end); `next` stands behind its line feed. `line` of the builder counts lines before `to`, which
 * is the number of the line that ends here. */
static tw_status json_line(
    json *self, tw_cursor *io, const char *end, const char *next, tw_builder *out, tw_error *error)
{
    uint64_t next_offset = io->offset + (uint64_t)(next - io->at);
    self->scan.at = io->at;
    self->scan.end = end;
    self->scan.limit = io->end;
    self->scan.error = &self->error;
    self->error.code[0] = 0;
    if (io->offset == 0 && end - io->at >= 3 && memcmp(io->at, "\xef\xbb\xbf", 3) == 0)
        self->scan.at += 3;
    tw_status status = json_record(self, out, next_offset, io->line);
    if (status == TW_STATUS_NO_MEMORY) {
        tw_builder_drop(out);
        if (error)
            *error = self->error;
        return status;
    }
    if (status == TW_STATUS_IDLE)
        tw_builder_skip(out, next_offset, io->line);
    else if (status < 0)
        json_bad(self, io, end, next_offset, out);
    io->at = next;
    io->offset = next_offset;
    io->line++;
    return TW_STATUS_OK;
}

static tw_status json_decode(void *state, tw_cursor *io, tw_builder *out, tw_error *error)
{
    json *self = state;
    while (!tw_builder_is_full(out)) {
        size_t available = (size_t)(io->end - io->at);
        const char *end = available ? memchr(io->at, '\n', available) : NULL;
        if (!end && (!io->is_final || available == 0))
            return TW_STATUS_IDLE;
        tw_status status = json_line(self, io, end ? end : io->end, end ? end + 1 : io->end, out, error);
        if (status < 0)
            return status;
    }
    return TW_STATUS_OK;
}

static const tw_option json_options[] = {{.name = NULL}};

const tw_format_ops tw_format_json = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_format_ops),
    .name = "json",
    .summary = "JSON lines: one object a line, nested objects by dotted names",
    .options = json_options,
    .state_size = json_state_size,
    .open = json_open,
    .decode = json_decode,
    .close = json_close,
};
