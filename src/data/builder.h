/* builder.h: the writable side of a batch. The decoder appends entries and commits events; the engine takes the view.
 *
 * Usage by a format, per record:
 *     tw_builder_entry(out, key, value, field) ...      entries of the event under construction
 *     tw_builder_commit(out, label, weight, time_us, offset, line)   or   tw_builder_drop(out) and tw_builder_bad(...)
 * `offset` and `line` are those behind the record: they become the batch's `to` and the place to go on from. */
#ifndef TW_DATA_BUILDER_H
#define TW_DATA_BUILDER_H

#include <stddef.h>

#include "thalweg/batch.h"
#include "thalweg/format.h"

/* A malformed record. `bytes` lies in the builder and lives until the next reset. */
typedef struct tw_bad_record {
    const char *bytes; /* the record without its line end; cut to TW_BAD_RECORD_MAX bytes */
    size_t size;
    uint64_t offset, line, column; /* of the record in its split; column 1-based, 0: whole record */
    uint32_t before_event;         /* it stood before this event of the batch */
    char code[TW_ERROR_CODE_SIZE];
    char message[200];
} tw_bad_record;

enum {
    TW_BAD_RECORD_MAX = 1 << 16,    /* bytes of a bad record that are kept */
    TW_EVENT_MAX_ENTRIES = 1 << 20, /* entries of one event */
    TW_BATCH_MAX_BAD = 1024,        /* a batch closes when it holds so many bad records */
    TW_BATCH_MAX_ENTRIES = 1 << 21, /* a batch closes when it holds so many entries */
};

struct tw_builder {
    uint32_t max_events;                     /* the batch is full at this many events */
    uint32_t n_events, n_entries, n_pending; /* n_entries: committed ones; pending ones follow them */
    uint32_t capacity_entries, dense_width;
    uint32_t *row_start;
    uint64_t *key;
    float *value;
    uint16_t *field;
    float *label, *weight;
    int64_t *time_us;
    uint64_t *end; /* [n_events] offset behind each event */
    float *dense;
    uint32_t n_facets; /* 0 until tw_builder_set_facets */
    uint64_t *facet;   /* [max_events x n_facets] */
    uint64_t split, from, to;
    uint64_t line; /* lines before `to` */
    uint32_t n_bad, capacity_bad;
    tw_bad_record *bad;
    char *bad_bytes;
    size_t n_bad_bytes, capacity_bad_bytes;
    uint64_t n_bytes; /* input bytes that the batch covers */
};

TW_MUST_USE tw_status tw_builder_create(uint32_t max_events, uint32_t dense_width, tw_builder **out, tw_error *error);
void tw_builder_destroy(tw_builder **self);

/* Makes room for facets (batch.h); before the first event. */
TW_MUST_USE tw_status tw_builder_set_facets(tw_builder *self, uint32_t n_facets, tw_error *error);

/* Empties the batch and says which split it will cover and from where. */
void tw_builder_reset(tw_builder *self, uint64_t split, uint64_t from, uint64_t line);

/* No more events fit: decode stops. */
static inline bool tw_builder_is_full(const tw_builder *self)
{
    return self->n_events >= self->max_events || self->n_entries >= TW_BATCH_MAX_ENTRIES ||
           self->n_bad >= TW_BATCH_MAX_BAD;
}

/* Room for `n` more pending entries; after OK that many tw_builder_put may follow without check. INVALID: the event
 * would exceed TW_EVENT_MAX_ENTRIES. */
TW_MUST_USE tw_status tw_builder_reserve(tw_builder *self, uint32_t n, tw_error *error);

/* Unchecked append after tw_builder_reserve. */
static inline void tw_builder_put(tw_builder *self, uint64_t key, float value, uint16_t field)
{
    uint32_t i = self->n_entries + self->n_pending++;
    self->key[i] = key;
    self->value[i] = value;
    self->field[i] = field;
}

/* Checked append. */
static inline TW_MUST_USE tw_status tw_builder_entry(
    tw_builder *self, uint64_t key, float value, uint16_t field, tw_error *error)
{
    if (self->n_entries + self->n_pending >= self->capacity_entries) {
        tw_status status = tw_builder_reserve(self, 1, error);
        if (status < 0)
            return status;
    }
    tw_builder_put(self, key, value, field);
    return TW_STATUS_OK;
}

/* The pending entries become an event. label NaN: none. */
void tw_builder_commit(tw_builder *self, float label, float weight, int64_t time_us, uint64_t offset, uint64_t line);

/* Forgets the pending entries. */
void tw_builder_drop(tw_builder *self);

/* Records a malformed record that ends at `next_offset`, and moves `to` and `line` behind it. Never fails: when memory
 * is short the bytes are left out and the message says so. */
void tw_builder_bad(tw_builder *self, const tw_bad_record *record, uint64_t next_offset, uint64_t next_line);

/* Moves `to` and `line` behind bytes that hold no event (blank lines, comments, headers). */
static inline void tw_builder_skip(tw_builder *self, uint64_t offset, uint64_t line)
{
    self->to = offset;
    self->line = line;
    self->n_bytes = offset - self->from;
}

/* The view; valid until the builder changes. */
tw_batch tw_builder_batch(const tw_builder *self);

/* The view of events [first, last) alone. It covers the offsets behind event first - 1 (or `from`) up to behind event
 * last - 1 (or `to`), so the slices of a batch follow one another without a gap. row_start: [last - first + 1], filled
 * here, as long-lived as the view. */
tw_batch tw_builder_slice(const tw_builder *self, uint32_t first, uint32_t last, uint32_t *row_start);

#endif
