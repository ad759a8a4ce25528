#include "data/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "data/feature.h"
#include "data/key.h"
#include "data/plan_core.h"

static size_t plan_find_slot(const tw_plan *self, const char *name, size_t size)
{
    size_t mask = self->n_slots - 1, i = (size_t)tw_hash(name, size) & mask;
    for (; self->slot[i] != 0; i = (i + 1) & mask) {
        const plan_column *column = &self->column[self->slot[i] - 1];
        if (column->size == size && memcmp(column->name, name, size) == 0)
            break;
    }
    return i;
}

static int plan_find(const tw_plan *self, const char *name, size_t size)
{
    return (int)self->slot[plan_find_slot(self, name, size)] - 1;
}

/* Doubles the name table when it is half full. */
static tw_status plan_grow_slots(tw_plan *self, tw_error *error)
{
    if ((self->n_columns + 1) * 2 <= self->n_slots)
        return TW_STATUS_OK;
    size_t grown = self->n_slots == 0 ? 64 : self->n_slots * 2;
    uint32_t *slot = tw_alloc_zero(grown * sizeof *slot);
    if (slot == NULL)
        return tw_no_memory(error, grown * sizeof *slot);
    tw_free(self->slot);
    self->slot = slot;
    self->n_slots = grown;
    for (size_t i = 0; i < self->n_columns; i++) {
        if (self->column[i].kind != PLAN_HIDDEN)
            slot[plan_find_slot(self, self->column[i].name, self->column[i].size)] = (uint32_t)i + 1;
    }
    return TW_STATUS_OK;
}

/* Room for one more column and its name in the table. */
static tw_status plan_reserve_column(tw_plan *self, const char *name, size_t size, tw_error *error)
{
    if (self->n_columns >= TW_PLAN_MAX_COLUMNS) {
        char quoted[64];
        tw_text_quote(quoted, sizeof quoted, name, size);
        tw_status status = tw_error_set(error, TW_STATUS_INVALID,
            "field %s is one more than the %u fields that a feature plan can hold: declare the features that matter",
            quoted, (unsigned)TW_PLAN_MAX_COLUMNS);
        tw_error_code(error, "D207");
        return status;
    }
    tw_status status =
        tw_grow(&self->column, sizeof *self->column, &self->capacity_columns, self->n_columns + 1, error);
    return status < 0 ? status : plan_grow_slots(self, error);
}

static tw_status plan_add(tw_plan *self, const char *name, size_t size, int kind, int *handle, tw_error *error)
{
    tw_status status = plan_reserve_column(self, name, size, error);
    if (status < 0)
        return status;
    char *copy = tw_strndup(name, size);
    if (copy == NULL)
        return tw_no_memory(error, size + 1);
    uint64_t index = 0;
    bool is_index = tw_key_parse_index(name, size, &index);
    self->column[self->n_columns] = (plan_column){
        .name = copy,
        .size = (uint32_t)size,
        .kind = kind,
        .dense = -1,
        .facet = -1,
        .key = is_index ? tw_key_of_index(self->hash_seed, index) : tw_key_of_text(self->default_seed, name, size),
        .seed = tw_key_field_seed(self->hash_seed, copy, size + 1),
    };
    if (self->is_dense && is_index && kind == PLAN_AUTO)
        self->column[self->n_columns].dense = index < self->dense_width ? (int32_t)index : INT32_MAX;
    if (kind != PLAN_HIDDEN)
        self->slot[plan_find_slot(self, copy, size)] = (uint32_t)self->n_columns + 1;
    *handle = (int)self->n_columns++;
    return TW_STATUS_OK;
}

static bool kind_is_feature(tw_column_kind kind)
{
    return kind == TW_COLUMN_NUMERIC || kind == TW_COLUMN_CATEGORICAL || kind == TW_COLUMN_SET;
}

static tw_status plan_add_declared(tw_plan *self, const tw_column_spec *spec, tw_error *error)
{
    int handle = -1;
    if (spec->kind == TW_COLUMN_CONSTANT) {
        if (self->constant >= 0)
            return tw_error_set(error, TW_STATUS_INVALID, "the constant is declared twice");
        return plan_add(self, "constant", strlen("constant"), PLAN_HIDDEN, &self->constant, error);
    }
    size_t size = strlen(spec->field);
    if (plan_find(self, spec->field, size) >= 0)
        return tw_error_set(error, TW_STATUS_INVALID, "field \"%s\" is declared twice", spec->field);
    tw_status status = plan_add(self, spec->field, size, (int)spec->kind, &handle, error);
    if (status < 0)
        return status;
    plan_column *column = &self->column[handle];
    column->is_log1p = spec->is_log1p;
    column->is_scaled = spec->is_scaled;
    column->has_missing = spec->kind == TW_COLUMN_NUMERIC && spec->has_missing;
    column->missing = spec->missing;
    column->separator = spec->separator;
    if (!kind_is_feature(spec->kind))
        return TW_STATUS_OK;
    self->declared[self->n_declared] = *spec;
    self->declared[self->n_declared++].field = column->name;
    if (spec->kind == TW_COLUMN_NUMERIC && spec->is_scaled)
        self->scaled[self->n_scaled++] = (uint16_t)handle;
    if (column->has_missing)
        self->missing_column[self->n_missing_columns++] = (uint32_t)handle;
    return TW_STATUS_OK;
}

/* Label, weight and time fields; the same declaration twice is one. */
static tw_status plan_add_role(tw_plan *self, const char *name, tw_column_kind kind, tw_error *error)
{
    if (name == NULL)
        return TW_STATUS_OK;
    int handle = plan_find(self, name, strlen(name));
    if (handle >= 0 && self->column[handle].kind == (int)kind)
        return TW_STATUS_OK;
    if (handle >= 0)
        return tw_error_set(error, TW_STATUS_INVALID,
            "field \"%s\" is declared twice: it cannot be a feature and a label, weight or time", name);
    return plan_add(self, name, strlen(name), (int)kind, &handle, error);
}

static tw_status plan_copy_columns(tw_plan *self, const tw_plan_spec *spec, tw_error *error)
{
    self->is_automatic = true;
    for (uint32_t i = 0; i < spec->n_columns; i++) {
        if (kind_is_feature(spec->column[i].kind))
            self->is_automatic = false;
    }
    size_t n = spec->n_columns;
    self->declared = tw_alloc_zero((n + 1) * sizeof *self->declared);
    self->scaled = tw_alloc_zero((n + 1) * sizeof *self->scaled);
    self->missing_column = tw_alloc_zero((n + 1) * sizeof *self->missing_column);
    if (self->declared == NULL || self->scaled == NULL || self->missing_column == NULL)
        return tw_no_memory(error, (n + 1) * sizeof *self->declared);
    int default_namespace = -1;
    tw_status status = plan_add(self, "", 0, PLAN_HIDDEN, &default_namespace, error);
    for (uint32_t i = 0; i < spec->n_columns && status == TW_STATUS_OK; i++)
        status = plan_add_declared(self, &spec->column[i], error);
    /* A default that names a declared feature would be a surprise only where a label is asked for. */
    const char *label = spec->label_field != NULL ? spec->label_field : "label";
    bool is_default_taken = spec->label_field == NULL && spec->label_kind == TW_LABEL_NONE && status == TW_STATUS_OK &&
                            plan_find(self, label, strlen(label)) >= 0;
    if (status == TW_STATUS_OK && !is_default_taken)
        status = plan_add_role(self, label, TW_COLUMN_LABEL, error);
    if (status == TW_STATUS_OK)
        status = plan_add_role(self, spec->weight_field, TW_COLUMN_WEIGHT, error);
    return status == TW_STATUS_OK ? plan_add_role(self, spec->time_field, TW_COLUMN_TIME, error) : status;
}

static tw_status plan_cross_field(tw_plan *self, const char *name, uint16_t *field, tw_error *error)
{
    size_t size = strlen(name);
    int handle = size == 0 ? 0 : plan_find(self, name, size);
    if (handle < 0) {
        if (!self->is_automatic)
            return tw_error_set(
                error, TW_STATUS_INVALID, "a cross names \"%s\", which is not a declared feature", name);
        tw_status status = plan_add(self, name, size, PLAN_AUTO, &handle, error);
        if (status < 0)
            return status;
    }
    int kind = self->column[handle].kind;
    if (kind == TW_COLUMN_LABEL || kind == TW_COLUMN_WEIGHT || kind == TW_COLUMN_TIME || kind == TW_COLUMN_IGNORE)
        return tw_error_set(error, TW_STATUS_INVALID, "a cross names \"%s\", which is not a feature", name);
    *field = (uint16_t)handle;
    return TW_STATUS_OK;
}

static tw_status plan_add_cross(tw_plan *self, const tw_cross_spec *spec, tw_error *error)
{
    plan_cross *cross = &self->cross[self->n_crosses];
    char name[512] = "";
    size_t used = 0;
    if (spec->n_fields < 2 || spec->n_fields > TW_CROSS_MAX_FIELDS)
        return tw_error_set(error, TW_STATUS_INVALID, "a cross of %u fields: must be 2 to %u", spec->n_fields,
            (unsigned)TW_CROSS_MAX_FIELDS);
    for (uint32_t i = 0; i < spec->n_fields; i++) {
        tw_status status = plan_cross_field(self, spec->field[i], &cross->field[i], error);
        if (status < 0)
            return status;
        int written = snprintf(name + used, sizeof name - used, "%s%s", i == 0 ? "" : "*", spec->field[i]);
        used += (size_t)written;
        if (used >= sizeof name)
            return tw_error_set(error, TW_STATUS_INVALID, "the field names of cross \"%.40s...\" are too long", name);
    }
    cross->n_fields = spec->n_fields;
    int handle = -1;
    tw_status status = plan_add(self, name, used, PLAN_HIDDEN, &handle, error);
    if (status < 0)
        return status;
    cross->id = (uint16_t)handle;
    self->n_crosses++;
    return TW_STATUS_OK;
}

static tw_status plan_copy_crosses(tw_plan *self, const tw_plan_spec *spec, tw_error *error)
{
    if (spec->n_crosses > TW_PLAN_MAX_CROSSES)
        return tw_error_set(error, TW_STATUS_INVALID, "%u crosses: at most %u are possible", spec->n_crosses,
            (unsigned)TW_PLAN_MAX_CROSSES);
    if (spec->n_crosses == 0)
        return TW_STATUS_OK;
    self->cross = tw_alloc_zero(spec->n_crosses * sizeof *self->cross);
    if (self->cross == NULL)
        return tw_no_memory(error, spec->n_crosses * sizeof *self->cross);
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < spec->n_crosses && status == TW_STATUS_OK; i++)
        status = plan_add_cross(self, &spec->cross[i], error);
    return status;
}

static tw_status plan_copy_texts(
    char ***out, uint32_t *count, const char *const *text, uint32_t n_texts, tw_error *error)
{
    if (n_texts == 0)
        return TW_STATUS_OK;
    *out = tw_alloc_zero(n_texts * sizeof **out);
    if (*out == NULL)
        return tw_no_memory(error, n_texts * sizeof **out);
    for (uint32_t i = 0; i < n_texts; i++) {
        (*out)[i] = tw_strdup(text[i]);
        if ((*out)[i] == NULL)
            return tw_no_memory(error, strlen(text[i]) + 1);
        *count = i + 1;
    }
    return TW_STATUS_OK;
}

/* Declared numeric columns lie in order of declaration. */
static tw_status plan_lay_dense(tw_plan *self, const tw_plan_spec *spec, tw_error *error)
{
    enum { MAX_WIDTH = 1 << 24 };
    if (!spec->is_dense)
        return TW_STATUS_OK;
    if (spec->dense_width > MAX_WIDTH)
        return tw_error_set(error, TW_STATUS_INVALID, "dense rows of width %u: at most %u is possible",
            spec->dense_width, (unsigned)MAX_WIDTH);
    uint32_t n_numeric = 0;
    for (size_t i = 0; i < self->n_columns; i++) {
        if (self->column[i].kind == TW_COLUMN_NUMERIC)
            self->column[i].dense = (int32_t)n_numeric++;
    }
    if (spec->dense_width == 0 && n_numeric == 0)
        return tw_error_set(error, TW_STATUS_INVALID,
            "dense rows need a width: declare numeric columns, or give the width for integer feature names");
    if (spec->dense_width != 0 && spec->dense_width < n_numeric)
        return tw_error_set(error, TW_STATUS_INVALID, "dense rows of width %u cannot hold %u numeric columns",
            spec->dense_width, n_numeric);
    self->dense_width = spec->dense_width != 0 ? spec->dense_width : n_numeric;
    return TW_STATUS_OK;
}

static tw_status plan_fill(tw_plan *self, const tw_plan_spec *spec, tw_error *error)
{
    self->hash_seed = spec->hash_seed;
    self->default_seed = tw_key_field_seed(spec->hash_seed, "", 1);
    self->constant = -1;
    self->label_kind = spec->label_kind;
    self->time_unit = spec->time_unit;
    self->is_dense = spec->is_dense;
    self->dense_width = spec->dense_width;
    tw_status status = plan_grow_slots(self, error);
    if (status == TW_STATUS_OK)
        status = plan_copy_columns(self, spec, error);
    if (status == TW_STATUS_OK)
        status = plan_lay_dense(self, spec, error);
    if (status == TW_STATUS_OK)
        status = plan_copy_crosses(self, spec, error);
    if (status == TW_STATUS_OK)
        status = plan_copy_texts(&self->positive, &self->n_positive, spec->positive, spec->n_positive, error);
    if (status == TW_STATUS_OK)
        status = plan_copy_texts(
            &self->missing_text, &self->n_missing_text, spec->missing_text, spec->n_missing_text, error);
    return status;
}

tw_status tw_plan_create(const tw_plan_spec *spec, tw_plan **out, tw_error *error)
{
    *out = NULL;
    tw_plan *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    tw_status status = plan_fill(self, spec, error);
    if (status < 0) {
        tw_plan_destroy(&self);
        return status;
    }
    *out = self;
    return TW_STATUS_OK;
}

static void texts_free(char **text, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        tw_free(text[i]);
    tw_free(text);
}

void tw_plan_destroy(tw_plan **self)
{
    tw_plan *gone = *self;
    if (gone == NULL)
        return;
    for (size_t i = 0; i < gone->n_columns; i++)
        tw_free(gone->column[i].name);
    texts_free(gone->positive, gone->n_positive);
    texts_free(gone->missing_text, gone->n_missing_text);
    tw_free(gone->scratch);
    tw_free(gone->missing_column);
    tw_free(gone->scaled);
    tw_free(gone->declared);
    tw_free(gone->cross);
    tw_free(gone->slot);
    tw_free(gone->column);
    tw_free(gone);
    *self = NULL;
}

static tw_status plan_set_facet(tw_plan *self, const char *name, uint32_t facet, tw_error *error)
{
    size_t size = strlen(name);
    int handle = plan_find(self, name, size);
    if (handle < 0) {
        int kind = self->is_automatic ? (int)PLAN_AUTO : (int)TW_COLUMN_IGNORE;
        tw_status status = plan_add(self, name, size, kind, &handle, error);
        if (status < 0)
            return status;
    }
    int kind = self->column[handle].kind;
    if (kind == TW_COLUMN_LABEL || kind == TW_COLUMN_WEIGHT || kind == TW_COLUMN_TIME)
        return tw_error_set(
            error, TW_STATUS_INVALID, "\"%s\" is the label, weight or time: events cannot be told apart by it", name);
    self->column[handle].facet = (int32_t)facet;
    return TW_STATUS_OK;
}

tw_status tw_plan_set_facets(tw_plan *self,
    const char *const *names,
    uint32_t n_facets,
    tw_spellings *spellings,
    uint32_t n_spelled,
    tw_error *error)
{
    if (n_facets > TW_PLAN_MAX_FACETS)
        return tw_error_set(error, TW_STATUS_INVALID, "%u fields to tell events apart by: at most %u are possible",
            n_facets, (unsigned)TW_PLAN_MAX_FACETS);
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < n_facets && status == TW_STATUS_OK; i++)
        status = plan_set_facet(self, names[i], i, error);
    self->n_facets = n_facets;
    self->spellings = spellings;
    self->n_spelled = spellings != NULL ? n_spelled : 0;
    return status;
}

uint32_t tw_plan_dense_width(const tw_plan *self)
{
    return self->dense_width;
}

const uint16_t *tw_plan_scaled(const tw_plan *self, uint32_t *n_fields)
{
    *n_fields = self->n_scaled;
    return self->scaled;
}

uint32_t tw_plan_n_fields(const tw_plan *self)
{
    return (uint32_t)self->n_columns;
}

const char *tw_plan_field_name(const tw_plan *self, uint16_t field)
{
    return field < self->n_columns ? self->column[field].name : "";
}

static tw_plan_role plan_role(const tw_plan *self, uint32_t field)
{
    static const tw_plan_role roles[] = {
        [TW_COLUMN_NUMERIC] = TW_PLAN_NUMERIC,
        [TW_COLUMN_CATEGORICAL] = TW_PLAN_CATEGORICAL,
        [TW_COLUMN_SET] = TW_PLAN_SET,
        [TW_COLUMN_CONSTANT] = TW_PLAN_UNUSED,
        [TW_COLUMN_LABEL] = TW_PLAN_UNUSED,
        [TW_COLUMN_WEIGHT] = TW_PLAN_UNUSED,
        [TW_COLUMN_TIME] = TW_PLAN_UNUSED,
        [TW_COLUMN_IGNORE] = TW_PLAN_UNUSED,
    };
    int kind = self->column[field].kind;
    if (kind == PLAN_AUTO)
        return TW_PLAN_AUTO;
    if (kind != PLAN_HIDDEN)
        return roles[kind];
    if ((int)field == self->constant)
        return TW_PLAN_CONSTANT;
    return field == 0 ? TW_PLAN_SPACE : TW_PLAN_CROSS;
}

tw_plan_field tw_plan_field_at(const tw_plan *self, uint16_t field)
{
    const plan_column *column = &self->column[field];
    tw_plan_field out = {
        .role = plan_role(self, field),
        .name = column->name,
        .size = column->size,
        .is_log1p = column->is_log1p,
        .is_scaled = column->is_scaled,
        .has_missing = column->has_missing,
        .separator = column->separator,
        .dense = column->dense,
        .missing = column->missing,
        .key = column->key,
        .seed = column->seed,
    };
    for (uint32_t i = 0; i < self->n_crosses && out.role == TW_PLAN_CROSS; i++) {
        if (self->cross[i].id != field)
            continue;
        out.n_crossed = self->cross[i].n_fields;
        memcpy(out.crossed, self->cross[i].field, sizeof out.crossed);
    }
    return out;
}

uint32_t tw_plan_n_columns(const tw_plan *self)
{
    return self->n_declared;
}

const tw_column_spec *tw_plan_column(const tw_plan *self, uint32_t index)
{
    return index < self->n_declared ? &self->declared[index] : NULL;
}

bool tw_plan_is_automatic(const tw_plan *self)
{
    return self->is_automatic;
}

bool tw_plan_is_direct(const tw_plan *self)
{
    return self->is_automatic && !self->is_dense && self->n_facets == 0;
}

uint64_t tw_plan_hash_seed(const tw_plan *self)
{
    return self->hash_seed;
}

bool tw_plan_knows(const tw_plan *self, const char *name, size_t size, int *handle)
{
    *handle = plan_find(self, name, size);
    return *handle >= 0;
}

tw_status tw_plan_resolve(tw_plan *self, const char *name, size_t size, int *handle, tw_error *error)
{
    *handle = plan_find(self, name, size);
    if (*handle >= 0 || !self->is_automatic)
        return TW_STATUS_OK;
    return plan_add(self, name, size, PLAN_AUTO, handle, error);
}

tw_status tw_plan_namespace(
    tw_plan *self, const char *name, size_t size, uint16_t *field, uint64_t *seed, tw_error *error)
{
    int handle = 0;
    if (size > 0) {
        tw_status status = tw_plan_resolve(self, name, size, &handle, error);
        if (status < 0)
            return status;
        int kind = handle < 0 ? (int)TW_COLUMN_IGNORE : self->column[handle].kind;
        bool is_facet = kind == TW_COLUMN_IGNORE && handle >= 0 && self->column[handle].facet >= 0;
        if (kind != PLAN_AUTO && kind != TW_COLUMN_CATEGORICAL && kind != TW_COLUMN_SET && !is_facet)
            handle = -1;
    }
    *field = handle < 0 ? (uint16_t)TW_FIELD_NONE : (uint16_t)handle;
    *seed = handle < 0 ? 0 : self->column[handle].seed;
    return TW_STATUS_OK;
}
