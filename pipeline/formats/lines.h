/* lines.h: what formats with one record a line and fixed separators share: whole lines only, line ends, blank lines,
 * malformed lines. Lines end with LF or CR LF; the last line of a split needs neither. One thread per object. */
#ifndef TW_FORMATS_LINES_H
#define TW_FORMATS_LINES_H

#include "data/feature.h"
#include "data/key.h"
#include "data/number.h"
#include "data/scan.h"

/* The record being read. limit: the end of the whole lines; stop: the separator that was read last; place: the byte
 * that an error is about, NULL for the whole record. */
typedef struct lines {
    tw_plan *plan;
    tw_builder *out;
    const char *stop, *limit, *place;
    tw_event event;
    tw_scanner scanner;
} lines;

/* Reads the record that starts at `at` through lines_next, at most to its line end, and puts its values into the event.
 * *is_blank (false on entry): the line holds no event. On an error the line is skipped and reported. */
typedef tw_status (*lines_read)(void *format, const char *at, bool *is_blank, tw_error *error);

/* `separators`: those of the format, with LF and CR among them. `plan` is borrowed. */
void lines_init(lines *self, tw_plan *plan, const char *separators);

/* The decode function of tw_format_ops; `format` is passed on to `read`. */
tw_status lines_decode(lines *self, void *format, lines_read read, tw_cursor *io, tw_builder *out, tw_error *error);

static inline void lines_next(lines *self)
{
    self->stop = tw_scanner_next(&self->scanner);
}

/* The separator is this byte. */
static inline bool lines_is_at(const lines *self, char byte)
{
    return self->stop < self->limit && *self->stop == byte;
}

static inline bool lines_is_space(const lines *self)
{
    return self->stop < self->limit && (*self->stop == ' ' || *self->stop == '\t');
}

/* At LF, at a CR before it, or at the end of the text. */
static inline bool lines_is_end(const lines *self)
{
    const char *stop = self->stop;
    if (stop == self->limit || *stop == '\n')
        return true;
    return *stop == '\r' && (stop + 1 == self->limit || stop[1] == '\n');
}

/* D204 at `place`. */
static inline tw_status lines_fail(lines *self, const char *place, const char *message, tw_error *error)
{
    self->place = place;
    return tw_data_error(error, "D204", "%s", message);
}

/* The number in [text, text + size): D201 if it is none, D206 if it is not finite. */
tw_status lines_number(lines *self, const char *text, size_t size, double *value, tw_error *error);

/* The number between the colon at `stop` and the next separator, which becomes `stop`. Errors as lines_number. */
static inline tw_status lines_value(lines *self, double *value, tw_error *error)
{
    const char *text = self->stop + 1;
    lines_next(self);
    size_t size = (size_t)(self->stop - text);
    if (self->limit - text >= 8 && tw_number_parse_8(text, size, value))
        return TW_STATUS_OK;
    return lines_number(self, text, size, value, error);
}

/* As tw_key_parse_index, without a loop for up to 8 digits. */
static inline bool lines_index(const lines *self, const char *text, size_t size, uint64_t *index)
{
    if (self->limit - text >= 8 && (*text != '0' || size == 1) && tw_number_parse_u64_8(text, size, index))
        return true;
    return tw_key_parse_index(text, size, index);
}

/* Appends an entry unless its value is 0; without a branch on the value, which is as good as random in many logs. */
static inline tw_status lines_put(lines *self, uint64_t key, float value, uint16_t field, tw_error *error)
{
    tw_builder *out = self->out;
    uint32_t i = out->n_entries + out->n_pending;
    if (i >= out->capacity_entries) {
        tw_status status = tw_builder_reserve(out, 1, error);
        if (status < 0)
            return status;
    }
    out->key[i] = key;
    out->value[i] = value;
    out->field[i] = field;
    out->n_pending += value != 0.0f;
    return TW_STATUS_OK;
}

#endif
