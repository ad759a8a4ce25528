#include "engine/reader.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

enum { INITIAL_BUFFER = 1 << 18, HEAD_SIZE = 1 << 16 };

/* A split of a checkpoint that no input has served yet in this run. */
#define INPUT_UNKNOWN SIZE_MAX

typedef struct open_input {
    void *source; /* state; NULL: not open */
    void *format;
} open_input;

struct tw_reader {
    tw_reader_options options;
    tw_input *input;
    open_input *open;
    tw_splits splits; /* what was read; input_of is parallel */
    size_t *input_of; /* [splits.capacity] */
    size_t input_of_capacity;
    uint64_t pass;
    size_t active; /* input being read */
    tw_cut *cut;
    size_t n_cuts;

    char *buffer;
    size_t capacity, begin, end;             /* unread bytes: buffer[begin .. end) */
    uint64_t split;                          /* being read; 0: none */
    tw_cursor cursor;                        /* at/end are set per call; offset is a position */
    bool is_final, needs_start, is_skipping; /* is_skipping: inside a record that is too long */
    uint64_t n_events;                       /* handed out, while there is a limit */
};

static tw_status input_open_format(tw_reader *self, size_t index, tw_error *error)
{
    open_input *open = &self->open[index];
    const tw_input *input = &self->input[index];
    size_t size = input->format->state_size(input->format_options);
    open->format = tw_alloc_aligned(64, size < 64 ? 64 : size);
    if (open->format == NULL)
        return tw_no_memory(error, size);
    tw_status status =
        input->format->open(open->format, input->format_options, self->options.plan, tw_host_default(), error);
    if (status < 0) {
        tw_free(open->format);
        open->format = NULL;
    }
    return status;
}

/* Splits as a source wants them: byte offsets of this pass. */
static tw_status known_of_pass(const tw_reader *self, tw_splits *out, tw_error *error)
{
    tw_status status = tw_splits_copy(out, self->splits.split, self->splits.count, error);
    for (size_t i = 0; i < out->count && status == TW_STATUS_OK; i++) {
        bool is_of_pass = tw_position_pass(out->split[i].offset) == self->pass;
        out->split[i].offset = is_of_pass ? tw_position_offset(out->split[i].offset) : 0;
        out->split[i].is_done = is_of_pass && out->split[i].is_done;
    }
    return status;
}

static tw_status input_open_source(tw_reader *self, size_t index, tw_error *error)
{
    open_input *open = &self->open[index];
    const tw_input *input = &self->input[index];
    size_t size = input->source->state_size(input->source_options);
    tw_splits known = {0};
    tw_status status = known_of_pass(self, &known, error);
    if (status == TW_STATUS_OK) {
        open->source = tw_alloc_aligned(64, size < 64 ? 64 : size);
        status = open->source != NULL ? TW_STATUS_OK : tw_no_memory(error, size);
    }
    if (status == TW_STATUS_OK) {
        status = input->source->open(
            open->source, input->source_options, known.split, known.count, tw_host_default(), error);
        if (status < 0) {
            tw_free(open->source);
            open->source = NULL;
        }
    }
    tw_splits_fini(&known);
    return status < 0 ? status : TW_STATUS_OK;
}

static void input_close_source(tw_reader *self, size_t index)
{
    open_input *open = &self->open[index];
    if (open->source != NULL)
        self->input[index].source->close(open->source);
    tw_free(open->source);
    open->source = NULL;
}

/* Opens the sources from `active` on until one is open. */
static tw_status reader_activate(tw_reader *self, size_t index, tw_error *error)
{
    self->active = index;
    self->split = 0;
    self->begin = self->end = 0;
    self->is_final = self->is_skipping = false;
    if (self->open[index].source != NULL)
        return TW_STATUS_OK;
    return input_open_source(self, index, error);
}

static tw_status reader_open(
    tw_reader *self, const tw_reader_options *options, const tw_split *known, size_t n_known, tw_error *error)
{
    self->capacity = INITIAL_BUFFER;
    self->buffer = tw_alloc(self->capacity);
    self->input = tw_alloc(options->n_inputs * sizeof *self->input);
    self->open = tw_alloc_zero(options->n_inputs * sizeof *self->open);
    if (self->buffer == NULL || self->input == NULL || self->open == NULL)
        return tw_no_memory(error, self->capacity);
    memcpy(self->input, options->input, options->n_inputs * sizeof *self->input);
    tw_status status = tw_splits_copy(&self->splits, known, n_known, error);
    for (size_t i = 0; i < options->n_inputs && status == TW_STATUS_OK; i++)
        status = input_open_format(self, i, error);
    return status == TW_STATUS_OK ? reader_activate(self, 0, error) : status;
}

tw_status tw_reader_create(const tw_reader_options *options,
    const tw_split *known,
    size_t n_known,
    uint64_t pass,
    tw_reader **out,
    tw_error *error)
{
    *out = NULL;
    tw_reader *self = tw_alloc_zero(sizeof *self);
    if (self == NULL)
        return tw_no_memory(error, sizeof *self);
    self->options = *options;
    self->pass = pass;
    tw_status status = reader_open(self, options, known, n_known, error);
    if (status < 0)
        tw_reader_destroy(&self);
    *out = self;
    return status;
}

void tw_reader_destroy(tw_reader **self)
{
    tw_reader *reader = *self;
    if (reader == NULL)
        return;
    *self = NULL;
    for (size_t i = 0; reader->open != NULL && reader->input != NULL && i < reader->options.n_inputs; i++) {
        input_close_source(reader, i);
        if (reader->open[i].format != NULL)
            reader->input[i].format->close(reader->open[i].format);
        tw_free(reader->open[i].format);
    }
    tw_splits_fini(&reader->splits);
    tw_free(reader->input_of);
    tw_free(reader->cut);
    tw_free(reader->open);
    tw_free(reader->input);
    tw_free(reader->buffer);
    tw_free(reader);
}

/* The lowest cut of the current split above `position`; UINT64_MAX: none. */
static uint64_t next_cut(const tw_reader *self, uint64_t split, uint64_t position)
{
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < self->n_cuts; i++) {
        if (self->cut[i].split == split && self->cut[i].position > position && self->cut[i].position < lowest)
            lowest = self->cut[i].position;
    }
    return lowest;
}

/* Where the first batch of a split starts: what was read of it before, or the lowest mark that is not ahead of
 * `position`. A split that nobody has read starts at 0, wherever its first bytes lie. */
static uint64_t start_of(const tw_reader *self, const tw_split *split, uint64_t position)
{
    if (split->offset > 0 && split->offset <= position)
        return split->offset;
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < self->n_cuts; i++) {
        if (self->cut[i].split == split->id && self->cut[i].position < lowest)
            lowest = self->cut[i].position;
    }
    if (lowest == UINT64_MAX && split->offset == 0)
        return 0;
    return lowest <= position ? lowest : position;
}

static tw_status remember_input(tw_reader *self, uint64_t id, tw_error *error)
{
    size_t before = self->input_of_capacity;
    tw_status status =
        tw_grow(&self->input_of, sizeof *self->input_of, &self->input_of_capacity, self->splits.count, error);
    for (size_t i = before; i < self->input_of_capacity && status == TW_STATUS_OK; i++)
        self->input_of[i] = INPUT_UNKNOWN;
    for (size_t i = 0; i < self->splits.count && status == TW_STATUS_OK; i++) {
        if (self->splits.split[i].id == id)
            self->input_of[i] = self->active;
    }
    return status;
}

/* Takes the split of a first chunk as the current one. */
static tw_status reader_begin_split(tw_reader *self, const tw_chunk *chunk, tw_error *error)
{
    size_t n = 0;
    const tw_split *all = self->input[self->active].source->splits(self->open[self->active].source, &n);
    tw_split found = {.id = chunk->split};
    for (size_t i = 0; i < n; i++) {
        if (all[i].id == chunk->split)
            found = all[i];
    }
    found.offset = 0;
    found.line = 0;
    found.is_done = false;
    tw_status status = tw_splits_put(&self->splits, &found, error);
    if (status == TW_STATUS_OK)
        status = remember_input(self, chunk->split, error);
    if (status < 0)
        return status;
    tw_split *known = tw_splits_find(&self->splits, chunk->split);
    uint64_t position = tw_position(self->pass, chunk->offset);
    bool is_continued = known->offset == position && chunk->offset > 0;
    known->offset = start_of(self, known, position);
    self->split = chunk->split;
    self->cursor.offset = position;
    self->cursor.line = is_continued ? known->line + 1 : 1;
    self->needs_start = self->input[self->active].format->start != NULL;
    return TW_STATUS_OK;
}

static void place_error(const tw_reader *self, tw_error *error)
{
    const tw_split *split = tw_splits_find(&self->splits, self->split);
    if (error != NULL && split != NULL && error->file[0] == '\0')
        tw_error_at(error, split->name, error->line != 0 ? error->line : self->cursor.line, error->column);
}

/* Lets the format read the head of the split. IDLE: more bytes are needed first. */
static tw_status reader_start_format(tw_reader *self, tw_error *error)
{
    const tw_input *input = &self->input[self->active];
    const char *head = self->buffer + self->begin;
    size_t size = self->end - self->begin;
    bool is_at_start = tw_position_offset(self->cursor.offset) == 0;
    bool is_whole = self->is_final;
    char *fetched = NULL;
    tw_status status = TW_STATUS_OK;
    if (!is_at_start) {
        fetched = tw_alloc(HEAD_SIZE);
        if (fetched == NULL)
            return tw_no_memory(error, HEAD_SIZE);
        status = input->source->head(self->open[self->active].source, self->split, fetched, HEAD_SIZE, &size, error);
        head = fetched;
        is_whole = size < HEAD_SIZE;
    }
    uint64_t body_offset = 0, body_line = 0;
    if (status == TW_STATUS_OK)
        status = input->format->start(
            self->open[self->active].format, head, size, is_whole, &body_offset, &body_line, error);
    if (status == TW_STATUS_OK && is_at_start) {
        self->begin += (size_t)body_offset;
        self->cursor.offset += body_offset;
        self->cursor.line += body_line;
    }
    tw_free(fetched);
    if (status == TW_STATUS_OK)
        self->needs_start = false;
    if (status < 0)
        place_error(self, error);
    return status;
}

static void report_too_long(tw_reader *self, tw_builder *out)
{
    tw_bad_record bad = {
        .bytes = self->buffer + self->begin,
        .size = self->end - self->begin < TW_BAD_RECORD_MAX ? self->end - self->begin : TW_BAD_RECORD_MAX,
        .offset = self->cursor.offset,
        .line = self->cursor.line,
        .column = 1,
        .before_event = out->n_events,
        .code = "D212",
    };
    (void)snprintf(bad.message, sizeof bad.message, "the record is longer than the limit of %zu bytes",
        self->options.max_record_bytes);
    tw_builder_bad(out, &bad, self->cursor.offset, self->cursor.line - 1);
}

/* Drops bytes up to the end of the line that is too long. */
static void reader_skip_line(tw_reader *self, tw_builder *out)
{
    char *newline = memchr(self->buffer + self->begin, '\n', self->end - self->begin);
    size_t n = newline != NULL ? (size_t)(newline - (self->buffer + self->begin)) + 1 : self->end - self->begin;
    self->begin += n;
    self->cursor.offset += n;
    self->is_skipping = newline == NULL;
    self->cursor.line += newline != NULL;
    tw_builder_skip(out, self->cursor.offset, self->cursor.line - 1);
}

/* Decodes what is in the buffer, up to the next cut. OK: the batch is full or reached the cut; IDLE: more bytes needed.
 */
static tw_status reader_decode(tw_reader *self, tw_builder *out, tw_error *error)
{
    if (self->is_skipping)
        reader_skip_line(self, out);
    if (self->is_skipping)
        return TW_STATUS_IDLE;
    uint64_t cut = next_cut(self, self->split, self->cursor.offset);
    size_t size = self->end - self->begin;
    bool is_cut = cut - self->cursor.offset <= size;
    self->cursor.at = self->buffer + self->begin;
    self->cursor.end = self->cursor.at + (is_cut ? (size_t)(cut - self->cursor.offset) : size);
    self->cursor.is_final = self->is_final && (!is_cut || cut - self->cursor.offset == size);
    tw_status status =
        self->input[self->active].format->decode(self->open[self->active].format, &self->cursor, out, error);
    self->begin = (size_t)(self->cursor.at - self->buffer);
    if (status < 0) {
        place_error(self, error);
        return status;
    }
    if (is_cut && self->cursor.offset == cut)
        return TW_STATUS_OK;
    return status;
}

/* Makes room behind the unread bytes; a record that does not fit the largest buffer is reported and skipped. */
static tw_status reader_make_room(tw_reader *self, tw_builder *out, tw_error *error)
{
    size_t tail = self->end - self->begin;
    if (self->begin > 0)
        memmove(self->buffer, self->buffer + self->begin, tail);
    self->begin = 0;
    self->end = tail;
    if (tail < self->capacity / 2)
        return TW_STATUS_OK;
    if (tail >= self->options.max_record_bytes) {
        report_too_long(self, out);
        self->is_skipping = true;
        reader_skip_line(self, out);
        memmove(self->buffer, self->buffer + self->begin, self->end - self->begin);
        self->end -= self->begin;
        self->begin = 0;
        return TW_STATUS_OK;
    }
    return tw_grow(&self->buffer, 1, &self->capacity, self->capacity * 2, error);
}

/* Gets more bytes. OK: there are, or the split is over; IDLE, END as the source. */
static tw_status reader_fill(tw_reader *self, tw_builder *out, int timeout_ms, tw_error *error)
{
    tw_status status = reader_make_room(self, out, error);
    if (status < 0)
        return status;
    tw_chunk chunk = {.data = self->buffer + self->end, .capacity = self->capacity - self->end};
    status = self->input[self->active].source->next(self->open[self->active].source, timeout_ms, &chunk, error);
    if (status != TW_STATUS_OK)
        return status;
    if (chunk.is_first || chunk.split != self->split) {
        memmove(self->buffer, chunk.data, chunk.size);
        self->begin = self->end = 0;
        self->is_skipping = false;
        status = reader_begin_split(self, &chunk, error);
        if (status < 0)
            return status;
    }
    self->end += chunk.size;
    self->is_final = chunk.is_final;
    return TW_STATUS_OK;
}

/* The next input, or the next pass. END when there is none. */
static tw_status reader_advance(tw_reader *self, tw_error *error)
{
    if (self->active + 1 < self->options.n_inputs)
        return reader_activate(self, self->active + 1, error);
    if (self->pass + 1 >= self->options.passes)
        return TW_STATUS_END;
    self->pass++;
    for (size_t i = 0; i < self->options.n_inputs; i++)
        input_close_source(self, i);
    return reader_activate(self, 0, error);
}

/* Everything of the split is decoded: note it and let the source go on. */
static void reader_finish_split(tw_reader *self, tw_work *work)
{
    tw_split *split = tw_splits_find(&self->splits, self->split);
    split->is_done = true;
    work->is_split_done = true;
    self->split = 0;
    self->is_final = false;
    self->begin = self->end = 0;
}

static void reader_close_batch(tw_reader *self, uint64_t split_id, tw_work *work)
{
    tw_split *split = tw_splits_find(&self->splits, split_id);
    split->offset = work->builder->to;
    split->line = work->builder->line;
    work->split = *split;
}

/* Prepares the batch for the current split. */
static void reader_aim(tw_reader *self, tw_work *work)
{
    tw_split *split = tw_splits_find(&self->splits, self->split);
    split->is_done = false;
    /* A rewind may start at a line that nobody remembers; where the outputs are, the line is known again. */
    for (size_t i = 0; i < self->n_cuts; i++) {
        const tw_cut *cut = &self->cut[i];
        if (cut->line > 0 && cut->split == self->split && cut->position == self->cursor.offset)
            self->cursor.line = cut->line + 1;
    }
    tw_builder_reset(work->builder, self->split, split->offset, self->cursor.line - 1);
    tw_builder_skip(work->builder, self->cursor.offset, self->cursor.line - 1);
}

/* One step; *is_closed: the batch is to be handed on. */
static tw_status reader_step(tw_reader *self, tw_work *work, int timeout_ms, bool *is_closed, tw_error *error)
{
    tw_status status = TW_STATUS_IDLE;
    if (self->split != 0) {
        if (work->builder->split != self->split)
            reader_aim(self, work);
        if (self->needs_start) {
            status = reader_start_format(self, error);
            tw_builder_skip(work->builder, self->cursor.offset, self->cursor.line - 1);
        }
        if (!self->needs_start)
            status = reader_decode(self, work->builder, error);
        if (status < 0)
            return status;
        *is_closed = status == TW_STATUS_OK;
        if (self->is_final && status == TW_STATUS_IDLE) {
            *is_closed = true;
            reader_finish_split(self, work);
        }
        if (*is_closed)
            return TW_STATUS_OK;
    }
    /* Events that are decoded already do not wait for bytes that may never come. */
    status = reader_fill(self, work->builder, work->builder->n_events > 0 ? 0 : timeout_ms, error);
    if (status == TW_STATUS_END)
        status = reader_advance(self, error);
    return status;
}

static bool holds_something(const tw_builder *builder)
{
    return builder->split != 0 && (builder->to > builder->from || builder->n_bad > 0);
}

static tw_status fill_batch(tw_reader *self, tw_work *work, int timeout_ms, tw_error *error)
{
    tw_builder *builder = work->builder;
    tw_builder_reset(builder, 0, 0, 0);
    work->is_split_done = false;
    int64_t first_us = 0;
    bool is_closed = false;
    while (!is_closed) {
        bool is_waiting = builder->n_events == 0;
        tw_status status = reader_step(self, work, is_waiting ? timeout_ms : 0, &is_closed, error);
        if (status < 0 || status == TW_STATUS_END)
            return status;
        if (status == TW_STATUS_IDLE) {
            if (!holds_something(builder))
                return TW_STATUS_IDLE;
            break;
        }
        if (builder->n_events > 0 && !is_closed) {
            int64_t now_us = tw_clock_monotonic_us();
            first_us = first_us == 0 ? now_us : first_us;
            is_closed = now_us - first_us >= self->options.max_latency_us;
        }
    }
    reader_close_batch(self, builder->split, work);
    return TW_STATUS_OK;
}

tw_status tw_reader_next(tw_reader *self, tw_work *work, int timeout_ms, tw_error *error)
{
    tw_builder *builder = work->builder;
    const uint64_t limit = self->options.limit_events;
    const uint32_t capacity = builder->max_events;
    if (limit == 0)
        return fill_batch(self, work, timeout_ms, error);
    if (self->n_events >= limit)
        return TW_STATUS_END;
    if (limit - self->n_events < capacity)
        builder->max_events = (uint32_t)(limit - self->n_events);
    tw_status status = fill_batch(self, work, timeout_ms, error);
    builder->max_events = capacity;
    if (status == TW_STATUS_OK)
        self->n_events += builder->n_events;
    return status;
}

/* Asks input `index` to go on at `position`; NOT_FOUND: the split is not one of its splits. */
static tw_status seek_in_input(tw_reader *self, size_t index, uint64_t split, uint64_t position, tw_error *error)
{
    tw_status status = reader_activate(self, index, error);
    if (status < 0)
        return status;
    return self->input[index].source->seek(self->open[index].source, split, tw_position_offset(position), error);
}

static tw_status seek_in_inputs(tw_reader *self, size_t known_input, uint64_t split, uint64_t position, tw_error *error)
{
    if (known_input != INPUT_UNKNOWN)
        return seek_in_input(self, known_input, split, position, error);
    tw_status status = TW_STATUS_NOT_FOUND;
    for (size_t i = 0; i < self->options.n_inputs && status == TW_STATUS_NOT_FOUND; i++)
        status = seek_in_input(self, i, split, position, error);
    return status;
}

tw_status tw_reader_seek(tw_reader *self, uint64_t split, uint64_t position, uint64_t line, tw_error *error)
{
    size_t index = 0;
    while (index < self->splits.count && self->splits.split[index].id != split)
        index++;
    if (index == self->splits.count)
        return tw_error_set(
            error, TW_STATUS_NOT_FOUND, "the split to read again is not part of this pipeline's sources");
    self->options.limit_events = 0; /* some events come twice from here on */
    self->pass = tw_position_pass(position);
    size_t input = index < self->input_of_capacity ? self->input_of[index] : INPUT_UNKNOWN;
    for (size_t i = input == INPUT_UNKNOWN ? 0 : input + 1; i < self->options.n_inputs; i++)
        input_close_source(self, i);
    self->splits.split[index].offset = position;
    self->splits.split[index].line = line > 0 ? line - 1 : 0;
    self->splits.split[index].is_done = false;
    /* What lies behind `position` is read again: later splits, and earlier ones where they were read in a later pass.
     */
    for (size_t i = 0; i < self->splits.count; i++) {
        tw_split *other = &self->splits.split[i];
        if (i < index ? tw_position_pass(other->offset) <= self->pass : i == index)
            continue;
        other->offset = other->line = 0;
        other->is_done = false;
    }
    return seek_in_inputs(self, input, split, position, error);
}

tw_status tw_reader_set_cuts(tw_reader *self, const tw_cut *cut, size_t n_cuts, tw_error *error)
{
    tw_cut *copy = NULL;
    if (n_cuts > 0) {
        copy = tw_alloc(n_cuts * sizeof *copy);
        if (copy == NULL)
            return tw_no_memory(error, n_cuts * sizeof *copy);
        memcpy(copy, cut, n_cuts * sizeof *copy);
    }
    tw_free(self->cut);
    self->cut = copy;
    self->n_cuts = n_cuts;
    return TW_STATUS_OK;
}

const tw_splits *tw_reader_splits(const tw_reader *self)
{
    return &self->splits;
}

uint64_t tw_reader_pass(const tw_reader *self)
{
    return self->pass;
}

uint64_t tw_reader_backlog(const tw_reader *self)
{
    const tw_input *input = &self->input[self->active];
    void *source = self->open[self->active].source;
    return source != NULL && input->source->backlog != NULL ? input->source->backlog(source) : 0;
}

void tw_reader_committed(tw_reader *self, const tw_split *split, size_t n_splits)
{
    const tw_input *input = &self->input[self->active];
    void *source = self->open[self->active].source;
    if (source == NULL || input->source->committed == NULL)
        return;
    for (size_t i = 0; i < n_splits; i++)
        input->source->committed(source, split[i].id, tw_position_offset(split[i].offset));
}
