#include "engine/slices.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

enum { MAX_TEXT = 4096 };

typedef struct slice {
    uint64_t key; /* 0: events without a value */
    char *text;   /* NULL for key 0 */
    tw_sums sums;
} slice;

typedef struct slice_field {
    char *name;
    slice *item;
    size_t count, capacity;
    uint32_t *slot; /* item + 1 by key, 0 free; power of two, at most half full */
    size_t n_slots;
    slice other;
} slice_field;

struct tw_slices {
    tw_slices_options options;
    slice_field *field;
    uint32_t n_fields;
};

static tw_sums_options coarse(const tw_sums_options *from)
{
    tw_sums_options out = *from;
    out.n_bins = TW_AUC_COARSE_BINS;
    out.has_calibration = false;
    return out;
}

/* --- fields ------------------------------------------------------------------------------------------------------- */

static void slice_fini(slice *self)
{
    tw_sums_fini(&self->sums);
    tw_free(self->text);
    self->text = NULL;
}

static void field_fini(slice_field *self)
{
    for (size_t i = 0; i < self->count; i++)
        slice_fini(&self->item[i]);
    slice_fini(&self->other);
    tw_free(self->item);
    tw_free(self->slot);
    tw_free(self->name);
    memset(self, 0, sizeof *self);
}

static tw_status field_init(slice_field *self, const char *name, const tw_sums_options *sums, tw_error *error)
{
    memset(self, 0, sizeof *self);
    self->n_slots = 64;
    self->name = tw_strdup(name);
    self->slot = tw_alloc_zero(self->n_slots * sizeof *self->slot);
    tw_status status = self->name != NULL && self->slot != NULL ? TW_STATUS_OK : tw_no_memory(error, strlen(name) + 1);
    if (status == TW_STATUS_OK)
        status = tw_sums_init(&self->other.sums, sums, error);
    if (status < 0)
        field_fini(self);
    return status;
}

static size_t find_slot(const slice_field *self, uint64_t key)
{
    size_t mask = self->n_slots - 1, i = (size_t)key & mask;
    while (self->slot[i] != 0 && self->item[self->slot[i] - 1].key != key)
        i = (i + 1) & mask;
    return i;
}

static tw_status reserve(slice_field *self, tw_error *error)
{
    tw_status status = tw_grow(&self->item, sizeof *self->item, &self->capacity, self->count + 1, error);
    if (status < 0 || (self->count + 1) * 2 <= self->n_slots)
        return status;
    size_t n_slots = self->n_slots * 2;
    uint32_t *slot = tw_alloc_zero(n_slots * sizeof *slot);
    if (slot == NULL)
        return tw_no_memory(error, n_slots * sizeof *slot);
    tw_free(self->slot);
    self->slot = slot;
    self->n_slots = n_slots;
    for (size_t i = 0; i < self->count; i++)
        self->slot[find_slot(self, self->item[i].key)] = (uint32_t)i + 1;
    return TW_STATUS_OK;
}

/* Takes over `text` (NULL only for key 0), also on failure. */
static tw_status field_add(
    slice_field *self, uint64_t key, char *text, const tw_sums_options *sums, slice **out, tw_error *error)
{
    slice fresh = {.key = key, .text = text};
    tw_status status = text != NULL || key == 0 ? reserve(self, error) : tw_no_memory(error, TW_SPELLING_MAX);
    if (status == TW_STATUS_OK)
        status = tw_sums_init(&fresh.sums, sums, error);
    if (status < 0) {
        tw_free(text);
        return status;
    }
    self->item[self->count++] = fresh;
    self->slot[find_slot(self, key)] = (uint32_t)self->count;
    *out = &self->item[self->count - 1];
    return status;
}

/* --- events ------------------------------------------------------------------------------------------------------- */

tw_status tw_slices_create(const tw_slices_options *options, tw_slices **out, tw_error *error)
{
    *out = NULL;
    tw_slices *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->options = *options;
    self->options.sums = coarse(&options->sums);
    self->options.name = NULL;
    self->field = tw_alloc_zero((options->n_fields + 1) * sizeof *self->field);
    tw_status status = self->field != NULL ? TW_STATUS_OK : tw_no_memory(error, sizeof *self->field);
    for (uint32_t i = 0; i < options->n_fields && status == TW_STATUS_OK; i++) {
        status = field_init(&self->field[i], options->name[i], &self->options.sums, error);
        self->n_fields += status == TW_STATUS_OK;
    }
    if (status < 0)
        tw_slices_destroy(&self);
    *out = self;
    return status;
}

void tw_slices_destroy(tw_slices **self)
{
    if (*self == NULL)
        return;
    for (uint32_t i = 0; i < (*self)->n_fields; i++)
        field_fini(&(*self)->field[i]);
    tw_free((*self)->field);
    tw_free(*self);
    *self = NULL;
}

static char *spell(const tw_slices *self, uint32_t facet, uint64_t key)
{
    char hex[20];
    char *text = self->options.spellings != NULL ? tw_spellings_copy(self->options.spellings, facet, key) : NULL;
    if (text != NULL || key == 0)
        return text;
    (void)snprintf(hex, sizeof hex, "%016llx", (unsigned long long)key);
    return tw_strdup(hex);
}

static tw_status find_slice(tw_slices *self, uint32_t facet, uint64_t key, slice **out, tw_error *error)
{
    slice_field *field = &self->field[facet];
    size_t at = find_slot(field, key);
    if (field->slot[at] != 0) {
        *out = &field->item[field->slot[at] - 1];
        return TW_STATUS_OK;
    }
    if (field->count < self->options.limit)
        return field_add(field, key, spell(self, facet, key), &self->options.sums, out, error);
    *out = &field->other;
    return TW_STATUS_OK;
}

tw_status tw_slices_add(tw_slices *self, const tw_judged *events, tw_error *error)
{
    if (events->n_facets < self->n_fields)
        return TW_STATUS_OK;
    for (uint32_t i = 0; i < events->n; i++) {
        for (uint32_t k = 0; k < self->n_fields; k++) {
            slice *found = NULL;
            tw_status status = find_slice(self, k, events->facet[(size_t)i * events->n_facets + k], &found, error);
            if (status < 0)
                return status;
            tw_sums_add(&found->sums, events, i, 1);
        }
    }
    return TW_STATUS_OK;
}

/* --- report ------------------------------------------------------------------------------------------------------- */

static int compare_rows(const void *left, const void *right)
{
    const tw_slice_row *a = left, *b = right;
    if (a->is_other != b->is_other)
        return a->is_other - b->is_other;
    if (a->figures.events != b->figures.events)
        return a->figures.events < b->figures.events ? 1 : -1;
    if (a->value == NULL || b->value == NULL)
        return (a->value == NULL) - (b->value == NULL);
    return strcmp(a->value, b->value);
}

static tw_status report_row(const slice *from, bool is_other, tw_figure_set set, tw_slice_row *out, tw_error *error)
{
    *out = (tw_slice_row){.is_other = is_other};
    tw_sums_figures(&from->sums, NULL, &out->figures);
    tw_figures_keep(&out->figures, set);
    if (from->text == NULL)
        return TW_STATUS_OK;
    out->value = tw_strdup(from->text);
    return out->value != NULL ? TW_STATUS_OK : tw_no_memory(error, strlen(from->text) + 1);
}

static tw_status report_field(const slice_field *from, tw_figure_set set, tw_slice_field *out, tw_error *error)
{
    size_t n_rows = from->count + 1;
    out->name = tw_strdup(from->name);
    out->row = tw_alloc_zero(n_rows * sizeof *out->row);
    if (out->name == NULL || out->row == NULL)
        return tw_no_memory(error, n_rows * sizeof *out->row);
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < from->count && status == TW_STATUS_OK; i++)
        status = report_row(&from->item[i], false, set, &out->row[out->n_rows++], error);
    if (status == TW_STATUS_OK && from->other.sums.value.events > 0)
        status = report_row(&from->other, true, set, &out->row[out->n_rows++], error);
    qsort(out->row, out->n_rows, sizeof *out->row, compare_rows);
    return status;
}

tw_status tw_slices_report(const tw_slices *self, tw_figure_set figures, tw_slice_report *out, tw_error *error)
{
    *out = (tw_slice_report){0};
    if (self == NULL)
        return TW_STATUS_OK;
    out->field = tw_alloc_zero((self->n_fields + 1) * sizeof *out->field);
    tw_status status = out->field != NULL ? TW_STATUS_OK : tw_no_memory(error, sizeof *out->field);
    for (uint32_t i = 0; i < self->n_fields && status == TW_STATUS_OK; i++)
        status = report_field(&self->field[i], figures, &out->field[out->n_fields++], error);
    if (status < 0)
        tw_slice_report_fini(out);
    return status;
}

void tw_slice_report_fini(tw_slice_report *self)
{
    for (uint32_t i = 0; self->field != NULL && i < self->n_fields; i++) {
        for (uint32_t k = 0; k < self->field[i].n_rows; k++)
            tw_free(self->field[i].row[k].value);
        tw_free(self->field[i].row);
        tw_free(self->field[i].name);
    }
    tw_free(self->field);
    *self = (tw_slice_report){0};
}

/* --- state -------------------------------------------------------------------------------------------------------- */

/* A text is its length and its bytes, filled up to whole words. */
static tw_status put_text(tw_text *out, const char *text, tw_error *error)
{
    static const char nothing[8];
    size_t size = text != NULL ? strlen(text) : 0;
    tw_status status = tw_state_put_u64(out, size, error);
    if (status == TW_STATUS_OK && size > 0)
        status = tw_state_put(out, text, size, error);
    if (status == TW_STATUS_OK && size % 8 != 0)
        status = tw_state_put(out, nothing, 8 - size % 8, error);
    return status;
}

/* NULL: bad, or no memory. */
static char *take_text(tw_state_reader *from)
{
    uint64_t size = tw_state_take_count(from, 1), filled = (size + 7) / 8 * 8;
    if (from->is_bad || size > MAX_TEXT || filled > from->left) {
        from->is_bad = true;
        return NULL;
    }
    char *text = tw_strndup(from->at, (size_t)size);
    from->at += filled;
    from->left -= (size_t)filled;
    return text;
}

static tw_status save_field(const slice_field *self, tw_text *out, tw_error *error)
{
    tw_status status = put_text(out, self->name, error);
    if (status == TW_STATUS_OK)
        status = tw_sums_save(&self->other.sums, out, error);
    if (status == TW_STATUS_OK)
        status = tw_state_put_u64(out, self->count, error);
    for (size_t i = 0; i < self->count && status == TW_STATUS_OK; i++) {
        status = tw_state_put_u64(out, self->item[i].key, error);
        if (status == TW_STATUS_OK)
            status = put_text(out, self->item[i].text, error);
        if (status == TW_STATUS_OK)
            status = tw_sums_save(&self->item[i].sums, out, error);
    }
    return status;
}

tw_status tw_slices_save(const tw_slices *self, tw_text *out, tw_error *error)
{
    tw_status status = tw_state_put_u64(out, self != NULL ? self->n_fields : 0, error);
    for (uint32_t i = 0; self != NULL && i < self->n_fields && status == TW_STATUS_OK; i++)
        status = save_field(&self->field[i], out, error);
    return status;
}

static tw_status load_item(slice_field *self, const tw_sums_options *sums, tw_state_reader *from, tw_error *error)
{
    uint64_t key = tw_state_take_u64(from);
    char *text = take_text(from);
    slice *item = NULL;
    if (from->is_bad || self->slot[find_slot(self, key)] != 0) {
        from->is_bad = true;
        tw_free(text);
        return TW_STATUS_OK;
    }
    if (text == NULL)
        return tw_no_memory(error, MAX_TEXT);
    if (key == 0) {
        tw_free(text);
        text = NULL;
    }
    tw_status status = field_add(self, key, text, sums, &item, error);
    if (status == TW_STATUS_OK)
        tw_sums_load(&item->sums, from);
    return status;
}

static tw_status load_field(slice_field *self, const tw_sums_options *sums, tw_state_reader *from, tw_error *error)
{
    tw_sums_load(&self->other.sums, from);
    uint64_t count = tw_state_take_count(from, 2 * sizeof(uint64_t));
    tw_status status = TW_STATUS_OK;
    for (uint64_t i = 0; i < count && status == TW_STATUS_OK && !from->is_bad; i++)
        status = load_item(self, sums, from, error);
    return status;
}

/* The field of that name takes the place of the empty one of `self`. */
static void hand_over(tw_slices *self, slice_field *loaded)
{
    for (uint32_t i = 0; self != NULL && i < self->n_fields; i++) {
        if (strcmp(self->field[i].name, loaded->name) != 0)
            continue;
        slice_field empty = self->field[i];
        self->field[i] = *loaded;
        *loaded = empty;
        break;
    }
    field_fini(loaded);
}

tw_status tw_slices_load(tw_slices *self, const tw_sums_options *sums, tw_state_reader *from, tw_error *error)
{
    tw_sums_options options = coarse(sums);
    uint64_t n_fields = tw_state_take_count(from, sizeof(uint64_t));
    tw_status status = TW_STATUS_OK;
    for (uint64_t i = 0; i < n_fields && status == TW_STATUS_OK && !from->is_bad; i++) {
        char *name = take_text(from);
        slice_field loaded;
        if (name == NULL)
            return from->is_bad ? TW_STATUS_OK : tw_no_memory(error, MAX_TEXT);
        status = field_init(&loaded, name, &options, error);
        tw_free(name);
        if (status < 0)
            return status;
        status = load_field(&loaded, &options, from, error);
        hand_over(self, &loaded);
    }
    return status;
}
