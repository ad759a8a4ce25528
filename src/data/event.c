/* The values of one record on their way into the batch. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "data/feature.h"
#include "data/key.h"
#include "data/number.h"
#include "data/plan_core.h"

enum { QUOTE_SIZE = 64 };

void tw_event_begin(tw_event *self, tw_plan *plan, tw_builder *out)
{
    self->plan = plan;
    self->out = out;
    self->label = NAN;
    self->weight = 1.0f;
    self->time_us = INT64_MIN;
    self->n_features_seen = 0;
    self->has_label = false;
    self->is_request = false;
    /* An automatic plan may grow within the event. */
    size_t n_words = plan->is_automatic ? TW_PLAN_MAX_COLUMNS / 64 : (plan->n_columns + 63) / 64;
    memset(self->columns_seen, 0, n_words * sizeof *self->columns_seen);
    if (out->dense_width > 0 && out->n_events < out->max_events)
        memset(out->dense + (size_t)out->n_events * out->dense_width, 0, out->dense_width * sizeof *out->dense);
    if (out->n_facets > 0 && out->n_events < out->max_events)
        memset(out->facet + (size_t)out->n_events * out->n_facets, 0, out->n_facets * sizeof *out->facet);
}

/* Facets: the first value that the field has in the event. */
static void event_note_facet(tw_event *self, const plan_column *column, const char *text, size_t size)
{
    tw_builder *out = self->out;
    const uint32_t facet = (uint32_t)column->facet;
    if (facet >= out->n_facets || out->n_events >= out->max_events)
        return;
    uint64_t *key = &out->facet[(size_t)out->n_events * out->n_facets + facet];
    if (*key != 0)
        return;
    *key = tw_key_of_text(column->seed, text, size);
    if (facet < self->plan->n_spelled)
        tw_spellings_note(self->plan->spellings, facet, *key, text, size);
}

static void event_note_number(tw_event *self, const plan_column *column, double value)
{
    char text[TW_REAL_TEXT_SIZE];
    tw_text_from_real(value, text);
    event_note_facet(self, column, text, strlen(text));
}

/* A field may have one value an event. */
static tw_status event_mark(tw_event *self, int handle, tw_error *error)
{
    uint64_t *word = &self->columns_seen[handle / 64], bit = 1ull << (handle % 64);
    if ((*word & bit) != 0)
        return tw_data_error(
            error, "D204", "%s: the field occurs twice in one record", self->plan->column[handle].name);
    *word |= bit;
    self->n_features_seen++;
    return TW_STATUS_OK;
}

static bool event_has(const tw_event *self, uint32_t handle)
{
    return (self->columns_seen[handle / 64] >> (handle % 64) & 1) != 0;
}

static bool text_is_missing(const tw_plan *plan, const char *text, size_t size)
{
    if (size == 0)
        return true;
    for (uint32_t i = 0; i < plan->n_missing_text; i++) {
        const char *missing = plan->missing_text[i];
        if (missing[0] == text[0] && strlen(missing) == size && memcmp(missing, text, size) == 0)
            return true;
    }
    return false;
}

static tw_status event_not_finite(const char *name, double value, tw_error *error)
{
    return tw_data_error(error, "D206", "%s: %g is not a finite number that fits 32 bits", name, value);
}

static tw_status event_text_not_finite(const char *name, const char *text, size_t size, tw_error *error)
{
    char quoted[QUOTE_SIZE];
    tw_text_quote(quoted, sizeof quoted, text, size);
    return tw_data_error(error, "D206", "%s: %s is not a finite number that fits 32 bits", name, quoted);
}

static tw_status event_dense(tw_event *self, const char *name, uint64_t index, float value, tw_error *error)
{
    tw_builder *out = self->out;
    if (index >= self->plan->dense_width || index >= out->dense_width)
        return tw_data_error(
            error, "D209", "%s: no column of that number in dense rows of width %u", name, self->plan->dense_width);
    out->dense[(size_t)out->n_events * out->dense_width + index] += value;
    return TW_STATUS_OK;
}

static tw_status event_put_numeric(tw_event *self, int handle, double value, tw_error *error)
{
    const plan_column *column = &self->plan->column[handle];
    if (column->is_log1p) {
        if (!(value > -1.0))
            return tw_data_error(error, "D206", "%s: log1p needs values above -1", column->name);
        value = tw_number_log1p(value);
    }
    float single = (float)value;
    if (!isfinite(single))
        return event_not_finite(column->name, value, error);
    if (column->dense >= 0) {
        tw_status status = event_dense(self, column->name, (uint64_t)column->dense, single, error);
        if (status < 0)
            return status;
    } else if (self->plan->is_dense && column->kind == PLAN_AUTO) {
        return tw_data_error(error, "D209", "%s: no column in the dense rows: declare it as numeric", column->name);
    }
    if (single == 0.0f && !column->is_scaled)
        return TW_STATUS_OK;
    return tw_builder_entry(self->out, column->key, single, (uint16_t)handle, error);
}

static tw_status event_put_text(tw_event *self, int handle, const char *text, size_t size, tw_error *error)
{
    const plan_column *column = &self->plan->column[handle];
    uint64_t key = tw_key_of_text(column->seed, text, size);
    if (column->facet >= 0)
        event_note_facet(self, column, text, size);
    return tw_builder_entry(self->out, key, 1.0f, (uint16_t)handle, error);
}

static tw_status event_not_a_number(const char *name, const char *text, size_t size, tw_error *error)
{
    char quoted[QUOTE_SIZE];
    tw_text_quote(quoted, sizeof quoted, text, size);
    return tw_data_error(error, "D201", "%s: expected a number, found %s", name, quoted);
}

static tw_status event_take_label(tw_event *self, float label, tw_error *error)
{
    if (self->has_label)
        return tw_data_error(error, "D204", "the label occurs twice in one record");
    self->label = label;
    self->has_label = true;
    return TW_STATUS_OK;
}

static tw_status event_real_label(tw_event *self, double value, tw_error *error)
{
    float single = (float)value;
    return isfinite(single) ? event_take_label(self, single, error) : event_not_finite("label", value, error);
}

static tw_status event_binary_label(tw_event *self, const char *text, size_t size, tw_error *error)
{
    const tw_plan *plan = self->plan;
    double value = 0;
    if (plan->n_positive > 0) {
        for (uint32_t i = 0; i < plan->n_positive && value == 0.0; i++)
            value = strlen(plan->positive[i]) == size && memcmp(plan->positive[i], text, size) == 0 ? 1.0 : 0.0;
        return event_take_label(self, (float)value, error);
    }
    bool is_short = tw_number_parse_short(text, size, &value);
    tw_number kind = is_short ? TW_NUMBER_FINITE : tw_number_parse(text, size, &value);
    if (kind == TW_NUMBER_NOT_FINITE)
        return event_text_not_finite("label", text, size, error);
    if ((kind == TW_NUMBER_FINITE && value == 1.0) || tw_text_is_word(text, size, "true"))
        return event_take_label(self, 1.0f, error);
    if ((kind == TW_NUMBER_FINITE && (value == 0.0 || value == -1.0)) || tw_text_is_word(text, size, "false"))
        return event_take_label(self, 0.0f, error);
    char quoted[QUOTE_SIZE];
    tw_text_quote(quoted, sizeof quoted, text, size);
    return tw_data_error(error, "D202",
        "label: %s is not one of 1, 0, -1, true and false; other texts that mean 1 are named by `positive`", quoted);
}

tw_status tw_event_label(tw_event *self, const char *text, size_t size, tw_error *error)
{
    if (self->is_request || text_is_missing(self->plan, text, size))
        return TW_STATUS_OK;
    if (self->plan->label_kind == TW_LABEL_NONE)
        return TW_STATUS_OK;
    if (self->plan->label_kind == TW_LABEL_BINARY)
        return event_binary_label(self, text, size, error);
    double value = 0;
    tw_number kind = tw_number_parse(text, size, &value);
    if (kind == TW_NUMBER_FINITE)
        return event_real_label(self, value, error);
    if (kind == TW_NUMBER_NOT_FINITE)
        return event_text_not_finite("label", text, size, error);
    char quoted[QUOTE_SIZE];
    tw_text_quote(quoted, sizeof quoted, text, size);
    return tw_data_error(error, "D202", "label: expected a number, found %s", quoted);
}

static tw_status event_number_label(tw_event *self, double value, const char *text, size_t size, tw_error *error)
{
    const tw_plan *plan = self->plan;
    if (self->is_request || plan->label_kind == TW_LABEL_NONE)
        return TW_STATUS_OK;
    if (plan->label_kind == TW_LABEL_REAL)
        return event_real_label(self, value, error);
    if (plan->n_positive == 0 && (value == 1.0 || value == 0.0 || value == -1.0))
        return event_take_label(self, value == 1.0 ? 1.0f : 0.0f, error);
    return event_binary_label(self, text, size, error);
}

static tw_status event_take_weight(tw_event *self, double value, const char *text, size_t size, tw_error *error)
{
    float single = (float)value;
    if (isfinite(single) && single >= 0.0f) {
        self->weight = single == 0.0f ? 0.0f : single; /* -0 is 0 */
        return TW_STATUS_OK;
    }
    char quoted[QUOTE_SIZE];
    tw_text_quote(quoted, sizeof quoted, text, size);
    return tw_data_error(error, "D210", "weight: %s is not a finite number of at least 0", quoted);
}

tw_status tw_event_weight(tw_event *self, const char *text, size_t size, tw_error *error)
{
    if (self->is_request || text_is_missing(self->plan, text, size))
        return TW_STATUS_OK;
    double value = 0;
    if (tw_number_parse(text, size, &value) != TW_NUMBER_FINITE)
        value = -1.0;
    return event_take_weight(self, value, text, size, error);
}

static tw_status event_bad_time(const char *name, const char *text, size_t size, tw_error *error)
{
    char quoted[QUOTE_SIZE];
    tw_text_quote(quoted, sizeof quoted, text, size);
    return tw_data_error(error, "D211", "%s: %s is not an event time of the declared unit", name, quoted);
}

static tw_status event_text_time(tw_event *self, int handle, const char *text, size_t size, tw_error *error)
{
    if (self->is_request || text_is_missing(self->plan, text, size))
        return TW_STATUS_OK;
    if (tw_time_parse(text, size, self->plan->time_unit, &self->time_us))
        return TW_STATUS_OK;
    return event_bad_time(self->plan->column[handle].name, text, size, error);
}

static tw_status event_text_numeric(tw_event *self, int handle, const char *text, size_t size, tw_error *error)
{
    double value = 0;
    tw_number kind = TW_NUMBER_FINITE;
    if (!tw_number_parse_short(text, size, &value))
        kind = tw_number_parse(text, size, &value);
    const char *name = self->plan->column[handle].name;
    if (kind == TW_NUMBER_NOT_FINITE)
        return event_text_not_finite(name, text, size, error);
    if (kind == TW_NUMBER_NONE)
        return event_not_a_number(name, text, size, error);
    tw_status status = event_mark(self, handle, error);
    if (self->plan->column[handle].facet >= 0)
        event_note_facet(self, &self->plan->column[handle], text, size);
    return status < 0 ? status : event_put_numeric(self, handle, value, error);
}

static tw_status event_text_category(tw_event *self, int handle, const char *text, size_t size, tw_error *error)
{
    tw_status status = event_mark(self, handle, error);
    return status < 0 ? status : event_put_text(self, handle, text, size, error);
}

static tw_status event_text_set(tw_event *self, int handle, const char *text, size_t size, tw_error *error)
{
    tw_status status = event_mark(self, handle, error);
    char separator = self->plan->column[handle].separator;
    const char *end = text + size;
    while (status == TW_STATUS_OK && text < end) {
        const char *stop = separator != '\0' ? memchr(text, separator, (size_t)(end - text)) : NULL;
        stop = stop == NULL ? end : stop;
        if (stop > text)
            status = event_put_text(self, handle, text, (size_t)(stop - text), error);
        text = stop + 1;
    }
    return status;
}

static tw_status event_text_auto(tw_event *self, int handle, const char *text, size_t size, tw_error *error)
{
    double value = 0;
    if (!tw_number_parse_short(text, size, &value) && tw_number_parse(text, size, &value) == TW_NUMBER_NONE)
        return event_text_category(self, handle, text, size, error);
    return event_text_numeric(self, handle, text, size, error);
}

tw_status tw_event_text(tw_event *self, int handle, const char *text, size_t size, tw_error *error)
{
    if (handle < 0 || text_is_missing(self->plan, text, size))
        return TW_STATUS_OK;
    switch (self->plan->column[handle].kind) {
    case TW_COLUMN_NUMERIC:
        return event_text_numeric(self, handle, text, size, error);
    case TW_COLUMN_CATEGORICAL:
        return event_text_category(self, handle, text, size, error);
    case TW_COLUMN_SET:
        return event_text_set(self, handle, text, size, error);
    case TW_COLUMN_LABEL:
        return tw_event_label(self, text, size, error);
    case TW_COLUMN_WEIGHT:
        return tw_event_weight(self, text, size, error);
    case TW_COLUMN_TIME:
        return event_text_time(self, handle, text, size, error);
    case PLAN_AUTO:
        return event_text_auto(self, handle, text, size, error);
    default:
        if (self->plan->column[handle].facet >= 0)
            event_note_facet(self, &self->plan->column[handle], text, size);
        return TW_STATUS_OK;
    }
}

tw_status tw_event_string(tw_event *self, int handle, const char *text, size_t size, tw_error *error)
{
    if (handle >= 0 && self->plan->column[handle].kind == PLAN_AUTO)
        return text_is_missing(self->plan, text, size) ? TW_STATUS_OK
                                                       : event_text_category(self, handle, text, size, error);
    return tw_event_text(self, handle, text, size, error);
}

static tw_status event_number_time(
    tw_event *self, int handle, double value, const char *text, size_t size, tw_error *error)
{
    if (self->is_request || tw_time_from_number(value, self->plan->time_unit, &self->time_us))
        return TW_STATUS_OK;
    return event_bad_time(self->plan->column[handle].name, text, size, error);
}

tw_status tw_event_number(tw_event *self, int handle, double value, const char *text, size_t size, tw_error *error)
{
    if (handle < 0)
        return TW_STATUS_OK;
    const plan_column *column = &self->plan->column[handle];
    tw_status status = TW_STATUS_OK;
    if (column->facet >= 0 && text != NULL && size > 0)
        event_note_facet(self, column, text, size);
    else if (column->facet >= 0)
        event_note_number(self, column, value);
    switch (column->kind) {
    case TW_COLUMN_NUMERIC:
    case PLAN_AUTO:
        status = event_mark(self, handle, error);
        return status < 0 ? status : event_put_numeric(self, handle, value, error);
    case TW_COLUMN_LABEL:
        return event_number_label(self, value, text, size, error);
    case TW_COLUMN_WEIGHT:
        return self->is_request ? TW_STATUS_OK : event_take_weight(self, value, text, size, error);
    case TW_COLUMN_TIME:
        return event_number_time(self, handle, value, text, size, error);
    case TW_COLUMN_CATEGORICAL:
    case TW_COLUMN_SET:
        if (size == 0)
            return tw_data_error(error, "D201", "%s: expected a text, found a number", column->name);
        return event_text_category(self, handle, text, size, error);
    default:
        return TW_STATUS_OK;
    }
}

tw_status tw_event_bool(tw_event *self, int handle, bool value, tw_error *error)
{
    if (handle < 0)
        return TW_STATUS_OK;
    const plan_column *column = &self->plan->column[handle];
    const char *text = value ? "true" : "false";
    if (column->kind == TW_COLUMN_TIME || column->kind == TW_COLUMN_WEIGHT)
        return self->is_request ? TW_STATUS_OK : event_not_a_number(column->name, text, strlen(text), error);
    if (column->kind == TW_COLUMN_SET || column->kind == TW_COLUMN_CATEGORICAL)
        return event_text_category(self, handle, text, strlen(text), error);
    return tw_event_number(self, handle, value ? 1.0 : 0.0, text, strlen(text), error);
}

tw_status tw_event_element(tw_event *self, int handle, const char *text, size_t size, tw_error *error)
{
    if (handle < 0)
        return TW_STATUS_OK;
    const plan_column *column = &self->plan->column[handle];
    if (column->kind == TW_COLUMN_IGNORE || self->plan->column[handle].kind == PLAN_HIDDEN)
        return TW_STATUS_OK;
    if (column->kind != TW_COLUMN_SET && column->kind != PLAN_AUTO) {
        if (self->is_request && column->kind >= TW_COLUMN_LABEL && column->kind <= TW_COLUMN_TIME)
            return TW_STATUS_OK;
        return tw_data_error(error, "D201", "%s: expected one value, found an array", column->name);
    }
    if (text_is_missing(self->plan, text, size))
        return TW_STATUS_OK;
    self->n_features_seen++;
    return event_put_text(self, handle, text, size, error);
}

/* A feature of the default namespace has a name but no column, unless it is a facet. */
static void event_named_facet(tw_event *self, const char *name, size_t size, double value)
{
    int handle = -1;
    if (!tw_plan_knows(self->plan, name, size, &handle) || self->plan->column[handle].facet < 0)
        return;
    event_note_number(self, &self->plan->column[handle], value);
}

/* Default namespace: the plan's column of that name, or the key that the name stands for. */
static tw_status event_default_feature(tw_event *self, const char *name, size_t size, double value, tw_error *error)
{
    tw_plan *plan = self->plan;
    if (plan->is_automatic && plan->n_facets > 0)
        event_named_facet(self, name, size, value);
    if (!plan->is_automatic) {
        int handle = -1;
        tw_status status = tw_plan_resolve(plan, name, size, &handle, error);
        return status < 0 ? status : tw_event_number(self, handle, value, "", 0, error);
    }
    char quoted[QUOTE_SIZE];
    tw_text_quote(quoted, sizeof quoted, name, size);
    uint64_t index = 0;
    bool is_index = tw_key_parse_index(name, size, &index);
    if (plan->is_dense) {
        tw_status status = event_dense(self, quoted, is_index ? index : UINT64_MAX, (float)value, error);
        if (status < 0)
            return status;
    }
    uint64_t key = is_index ? tw_key_of_index(plan->hash_seed, index) : tw_key_of_text(plan->default_seed, name, size);
    return value == 0.0 ? TW_STATUS_OK : tw_builder_entry(self->out, key, (float)value, 0, error);
}

tw_status tw_event_feature(
    tw_event *self, uint16_t field, uint64_t seed, const char *name, size_t size, double value, tw_error *error)
{
    float single = (float)value;
    if (field == TW_FIELD_NONE)
        return TW_STATUS_OK;
    if (!isfinite(single)) {
        char quoted[QUOTE_SIZE];
        tw_text_quote(quoted, sizeof quoted, name, size);
        return event_not_finite(quoted, value, error);
    }
    self->n_features_seen++;
    if (field == 0)
        return event_default_feature(self, name, size, (double)single, error);
    if (self->plan->column[field].facet >= 0)
        event_note_facet(self, &self->plan->column[field], name, size);
    if (self->plan->column[field].kind == TW_COLUMN_IGNORE)
        return TW_STATUS_OK;
    if (single == 0.0f)
        return TW_STATUS_OK;
    return tw_builder_entry(self->out, tw_key_of_text(seed, name, size), single, field, error);
}

/* Positions of the pending entries of each crossed field, one list behind the other. False: one list is empty. */
static bool cross_collect(const tw_event *self, const plan_cross *cross, uint32_t n_own, uint32_t *start)
{
    const tw_builder *out = self->out;
    const uint16_t *field = out->field + out->n_entries;
    uint32_t *list = self->plan->scratch, count = 0;
    for (uint32_t f = 0; f < cross->n_fields; f++) {
        start[f] = count;
        for (uint32_t i = 0; i < n_own; i++) {
            list[count] = i;
            count += field[i] == cross->field[f];
        }
        if (count == start[f])
            return false;
    }
    start[cross->n_fields] = count;
    return true;
}

static tw_status event_cross(tw_event *self, const plan_cross *cross, uint32_t n_own, tw_error *error)
{
    uint32_t start[TW_CROSS_MAX_FIELDS + 1], at[TW_CROSS_MAX_FIELDS];
    if (!cross_collect(self, cross, n_own, start))
        return TW_STATUS_OK;
    uint64_t n_products = 1;
    for (uint32_t f = 0; f < cross->n_fields && n_products <= TW_EVENT_MAX_ENTRIES; f++)
        n_products *= start[f + 1] - start[f];
    tw_builder *out = self->out;
    tw_status status = tw_builder_reserve(
        out, n_products > TW_EVENT_MAX_ENTRIES ? TW_EVENT_MAX_ENTRIES + 1u : (uint32_t)n_products, error);
    if (status < 0)
        return status;
    memcpy(at, start, sizeof at);
    const uint32_t *list = self->plan->scratch;
    for (uint64_t n = 0; n < n_products; n++) {
        uint32_t first = out->n_entries + list[at[0]];
        uint64_t key = out->key[first];
        float value = out->value[first];
        for (uint32_t f = 1; f < cross->n_fields; f++) {
            key = tw_key_cross(key, out->key[out->n_entries + list[at[f]]]);
            value *= out->value[out->n_entries + list[at[f]]];
        }
        if (!isfinite(value))
            return event_not_finite(self->plan->column[cross->id].name, (double)value, error);
        if (value != 0.0f)
            tw_builder_put(out, key, value, cross->id);
        for (uint32_t f = cross->n_fields; f-- > 0 && ++at[f] == start[f + 1];)
            at[f] = start[f];
    }
    return TW_STATUS_OK;
}

static tw_status event_crosses(tw_event *self, tw_error *error)
{
    tw_plan *plan = self->plan;
    uint32_t n_own = self->out->n_pending;
    tw_status status = tw_grow(
        &plan->scratch, sizeof *plan->scratch, &plan->capacity_scratch, (size_t)n_own * TW_CROSS_MAX_FIELDS + 1, error);
    for (uint32_t i = 0; i < plan->n_crosses && status == TW_STATUS_OK; i++)
        status = event_cross(self, &plan->cross[i], n_own, error);
    return status;
}

static tw_status event_add_missing(tw_event *self, tw_error *error)
{
    const tw_plan *plan = self->plan;
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < plan->n_missing_columns && status == TW_STATUS_OK; i++) {
        uint32_t handle = plan->missing_column[i];
        if (!event_has(self, handle))
            status = event_put_numeric(self, (int)handle, plan->column[handle].missing, error);
    }
    return status;
}

tw_status tw_event_end(tw_event *self, uint64_t offset, uint64_t line, tw_error *error)
{
    const tw_plan *plan = self->plan;
    tw_builder *out = self->out;
    if (plan->label_kind != TW_LABEL_NONE && !self->has_label && !self->is_request)
        return tw_data_error(error, "D205", "the record has no label");
    tw_status status = event_add_missing(self, error);
    if (status == TW_STATUS_OK && plan->constant >= 0)
        status = tw_builder_entry(out, plan->column[plan->constant].key, 1.0f, (uint16_t)plan->constant, error);
    if (status == TW_STATUS_OK && plan->n_crosses > 0)
        status = event_crosses(self, error);
    if (status == TW_STATUS_OK && out->n_pending > TW_EVENT_MAX_ENTRIES)
        status = tw_builder_reserve(out, 1, error);
    if (status == TW_STATUS_OK)
        tw_builder_commit(out, self->label, self->weight, self->time_us, offset, line);
    return status;
}
