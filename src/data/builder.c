#include "data/builder.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

static tw_status builder_grow_entries(tw_builder *self, uint32_t needed, tw_error *error)
{
    size_t capacity = self->capacity_entries, grown = capacity;
    while (grown < needed)
        grown *= 2;
    uint64_t *key = tw_realloc(self->key, grown * sizeof *key);
    if (key == NULL)
        return tw_no_memory(error, grown * sizeof *key);
    self->key = key;
    float *value = tw_realloc(self->value, grown * sizeof *value);
    if (value == NULL)
        return tw_no_memory(error, grown * sizeof *value);
    self->value = value;
    uint16_t *field = tw_realloc(self->field, grown * sizeof *field);
    if (field == NULL)
        return tw_no_memory(error, grown * sizeof *field);
    self->field = field;
    self->capacity_entries = (uint32_t)grown;
    return TW_STATUS_OK;
}

static bool builder_allocate(tw_builder *self)
{
    size_t n = self->max_events, entries = self->capacity_entries;
    self->row_start = tw_alloc((n + 1) * sizeof *self->row_start);
    self->key = tw_alloc(entries * sizeof *self->key);
    self->value = tw_alloc(entries * sizeof *self->value);
    self->field = tw_alloc(entries * sizeof *self->field);
    self->label = tw_alloc(n * sizeof *self->label);
    self->weight = tw_alloc(n * sizeof *self->weight);
    self->time_us = tw_alloc(n * sizeof *self->time_us);
    self->end = tw_alloc(n * sizeof *self->end);
    self->bad = tw_alloc(self->capacity_bad * sizeof *self->bad);
    if (self->dense_width > 0)
        self->dense = tw_alloc_zero(n * self->dense_width * sizeof *self->dense);
    return self->row_start != NULL && self->key != NULL && self->value != NULL && self->field != NULL &&
           self->label != NULL && self->weight != NULL && self->time_us != NULL && self->end != NULL &&
           self->bad != NULL && (self->dense != NULL || self->dense_width == 0);
}

tw_status tw_builder_create(uint32_t max_events, uint32_t dense_width, tw_builder **out, tw_error *error)
{
    enum { MAX_EVENTS = 1 << 24, ENTRIES_PER_EVENT = 64, MIN_ENTRIES = 1 << 8, MAX_FIRST_ENTRIES = 1 << 17 };
    *out = NULL;
    if (max_events == 0 || max_events > MAX_EVENTS)
        return tw_error_set(
            error, TW_STATUS_INVALID, "a batch of %u events: must be 1 to %u", max_events, (unsigned)MAX_EVENTS);
    tw_builder *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    uint64_t entries = (uint64_t)max_events * ENTRIES_PER_EVENT;
    entries = entries < MIN_ENTRIES ? MIN_ENTRIES : entries;
    entries = entries > MAX_FIRST_ENTRIES ? MAX_FIRST_ENTRIES : entries;
    self->max_events = max_events;
    self->dense_width = dense_width;
    self->capacity_entries = (uint32_t)entries;
    self->capacity_bad = TW_BATCH_MAX_BAD;
    if (!builder_allocate(self)) {
        tw_builder_destroy(&self);
        return tw_error_set(error, TW_STATUS_NO_MEMORY, "out of memory for a batch of %u events", max_events);
    }
    tw_builder_reset(self, 0, 0, 0);
    *out = self;
    return TW_STATUS_OK;
}

tw_status tw_builder_set_facets(tw_builder *self, uint32_t n_facets, tw_error *error)
{
    size_t size = (size_t)self->max_events * n_facets * sizeof *self->facet;
    if (n_facets == 0)
        return TW_STATUS_OK;
    self->facet = tw_alloc_zero(size);
    if (self->facet == NULL)
        return tw_no_memory(error, size);
    self->n_facets = n_facets;
    return TW_STATUS_OK;
}

void tw_builder_destroy(tw_builder **self)
{
    tw_builder *gone = *self;
    if (gone == NULL)
        return;
    tw_free(gone->facet);
    tw_free(gone->bad_bytes);
    tw_free(gone->bad);
    tw_free(gone->dense);
    tw_free(gone->end);
    tw_free(gone->time_us);
    tw_free(gone->weight);
    tw_free(gone->label);
    tw_free(gone->field);
    tw_free(gone->value);
    tw_free(gone->key);
    tw_free(gone->row_start);
    tw_free(gone);
    *self = NULL;
}

void tw_builder_reset(tw_builder *self, uint64_t split, uint64_t from, uint64_t line)
{
    self->n_events = self->n_entries = self->n_pending = 0;
    self->row_start[0] = 0;
    self->split = split;
    self->from = self->to = from;
    self->line = line;
    self->n_bad = 0;
    self->n_bad_bytes = 0;
    self->n_bytes = 0;
}

tw_status tw_builder_reserve(tw_builder *self, uint32_t n, tw_error *error)
{
    if (n > TW_EVENT_MAX_ENTRIES || self->n_pending > TW_EVENT_MAX_ENTRIES - n) {
        tw_status status = tw_error_set(
            error, TW_STATUS_INVALID, "an event has more than %u features", (unsigned)TW_EVENT_MAX_ENTRIES);
        tw_error_code(error, "D207");
        return status;
    }
    uint32_t needed = self->n_entries + self->n_pending + n;
    return needed <= self->capacity_entries ? TW_STATUS_OK : builder_grow_entries(self, needed, error);
}

void tw_builder_commit(tw_builder *self, float label, float weight, int64_t time_us, uint64_t offset, uint64_t line)
{
    uint32_t i = self->n_events++;
    self->n_entries += self->n_pending;
    self->n_pending = 0;
    self->row_start[i + 1] = self->n_entries;
    self->label[i] = label;
    self->weight[i] = weight;
    self->time_us[i] = time_us;
    self->end[i] = offset;
    tw_builder_skip(self, offset, line);
}

void tw_builder_drop(tw_builder *self)
{
    self->n_pending = 0;
}

/* Room for `size` more bytes; the records that are already there keep pointing at theirs. */
static bool builder_grow_bytes(tw_builder *self, size_t size)
{
    char *old = self->bad_bytes;
    if (tw_grow(&self->bad_bytes, 1, &self->capacity_bad_bytes, self->n_bad_bytes + size, NULL) < 0)
        return false;
    size_t at = 0;
    for (uint32_t i = 0; i < self->n_bad && old != self->bad_bytes; i++) {
        if (self->bad[i].bytes == NULL)
            continue;
        self->bad[i].bytes = self->bad_bytes + at;
        at += self->bad[i].size + 1;
    }
    return true;
}

void tw_builder_bad(tw_builder *self, const tw_bad_record *record, uint64_t next_offset, uint64_t next_line)
{
    tw_builder_skip(self, next_offset, next_line);
    if (self->n_bad >= self->capacity_bad)
        return;
    tw_bad_record copy = *record;
    copy.before_event = self->n_events;
    copy.size = copy.bytes == NULL ? 0 : copy.size;
    copy.size = copy.size > TW_BAD_RECORD_MAX ? TW_BAD_RECORD_MAX : copy.size;
    copy.code[sizeof copy.code - 1] = '\0';
    copy.message[sizeof copy.message - 1] = '\0';
    if (copy.bytes != NULL && builder_grow_bytes(self, copy.size + 1)) {
        char *bytes = self->bad_bytes + self->n_bad_bytes;
        memcpy(bytes, record->bytes, copy.size);
        bytes[copy.size] = '\0';
        self->n_bad_bytes += copy.size + 1;
        copy.bytes = bytes;
    } else if (copy.bytes != NULL) {
        static const char note[] = " (out of memory: bytes not kept)";
        size_t used = strlen(copy.message), room = sizeof copy.message - sizeof note;
        memcpy(copy.message + (used < room ? used : room), note, sizeof note);
        copy.bytes = NULL;
        copy.size = 0;
    }
    self->bad[self->n_bad++] = copy;
}

tw_batch tw_builder_batch(const tw_builder *self)
{
    return (tw_batch){
        .n_events = self->n_events,
        .n_entries = self->n_entries,
        .row_start = self->row_start,
        .key = self->key,
        .value = self->value,
        .field = self->field,
        .label = self->label,
        .weight = self->weight,
        .time_us = self->time_us,
        .facet = self->facet,
        .n_facets = self->n_facets,
        .dense = self->dense,
        .dense_width = self->dense_width,
        .split = self->split,
        .from = self->from,
        .to = self->to,
    };
}

tw_batch tw_builder_slice(const tw_builder *self, uint32_t first, uint32_t last, uint32_t *row_start)
{
    tw_batch slice = tw_builder_batch(self);
    uint32_t base = self->row_start[first], n = last - first;
    for (uint32_t i = 0; i <= n; i++)
        row_start[i] = self->row_start[first + i] - base;
    slice.n_events = n;
    slice.n_entries = row_start[n];
    slice.row_start = row_start;
    slice.key += base;
    slice.value += base;
    slice.field += base;
    slice.label += first;
    slice.weight += first;
    slice.time_us += first;
    if (slice.dense != NULL)
        slice.dense += (size_t)first * self->dense_width;
    if (slice.facet != NULL)
        slice.facet += (size_t)first * self->n_facets;
    slice.from = first > 0 ? self->end[first - 1] : self->from;
    slice.to = last < self->n_events ? self->end[last - 1] : self->to;
    return slice;
}
