#include "formats/lines.h"

#include <string.h>

void lines_init(lines *self, tw_plan *plan, const char *separators)
{
    memset(self, 0, sizeof *self);
    self->plan = plan;
    tw_scanner_init(&self->scanner, separators);
}

/* Moves behind the line end; returns what follows it. */
static const char *lines_finish(lines *self, const char **line_end)
{
    while (!lines_is_end(self))
        lines_next(self);
    *line_end = self->stop;
    if (lines_is_at(self, '\r'))
        lines_next(self);
    return self->stop < self->limit ? self->stop + 1 : self->limit;
}

static tw_status lines_decode_one(lines *self, void *format, lines_read read, tw_cursor *io, tw_error *error)
{
    bool is_blank = false;
    const char *line_end = NULL;
    tw_error problem;
    tw_event_begin(&self->event, self->plan, self->out);
    self->place = NULL;
    self->stop = io->at;
    tw_status status = read(format, io->at, &is_blank, &problem);
    const char *next = lines_finish(self, &line_end);
    uint64_t offset = io->offset + (uint64_t)(next - io->at);
    if (status == TW_STATUS_OK && !is_blank) {
        self->place = NULL;
        status = tw_event_end(&self->event, offset, io->line + 1, &problem);
    }
    if (status == TW_STATUS_NO_MEMORY) {
        tw_builder_drop(self->out);
        if (error != NULL)
            *error = problem;
        return status;
    }
    if (status < 0) {
        tw_record_bad(self->out, io, line_end, next, self->place, &problem);
        return TW_STATUS_OK;
    }
    io->at = next;
    io->offset = offset;
    io->line++;
    if (is_blank)
        tw_builder_skip(self->out, offset, io->line);
    return TW_STATUS_OK;
}

tw_status lines_decode(lines *self, void *format, lines_read read, tw_cursor *io, tw_builder *out, tw_error *error)
{
    self->out = out;
    self->limit = io->end;
    if (!io->is_final) {
        const char *last = tw_scan_last(io->at, io->end, '\n');
        self->limit = last == NULL ? io->at : last + 1;
    }
    tw_scanner_start(&self->scanner, io->at, self->limit);
    while (!tw_builder_is_full(out)) {
        if (io->at == self->limit)
            return TW_STATUS_IDLE;
        tw_status status = lines_decode_one(self, format, read, io, error);
        if (status < 0)
            return status;
    }
    return TW_STATUS_OK;
}

tw_status lines_number(lines *self, const char *text, size_t size, double *value, tw_error *error)
{
    if (tw_number_parse_short(text, size, value))
        return TW_STATUS_OK;
    tw_number kind = tw_number_parse(text, size, value);
    if (kind == TW_NUMBER_FINITE)
        return TW_STATUS_OK;
    char quoted[64];
    tw_text_quote(quoted, sizeof quoted, text, size);
    self->place = text;
    if (kind == TW_NUMBER_NOT_FINITE)
        return tw_data_error(error, "D206", "%s is not a finite number", quoted);
    return tw_data_error(error, "D201", "expected a number, found %s", quoted);
}
