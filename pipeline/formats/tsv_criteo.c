/* The Criteo click logs, one event a line, 40 columns with tabs between them: label, 13 integers, 26 categories; a
 * blank column is a missing value.
 *
 * Fields I1 .. I13: numeric. Without declared columns the value is log(1 + x) for x >= 0 and -log(1 - x) for x < 0 (the
 * logs hold a few negative counts); a plan that declares the column gets the integer itself.
 * Fields C1 .. C26: categorical. The label goes by the plan's label kind. */
#include <stdio.h>
#include <string.h>

#include "data/number.h"
#include "formats/lines.h"
#include "thalweg/learner.h"

enum { N_INTEGERS = 13, N_CATEGORIES = 26, N_COLUMNS = 1 + N_INTEGERS + N_CATEGORIES, N_LOGS = 1024 };

typedef struct criteo {
    lines lines;
    bool is_automatic;
    int handle[N_COLUMNS]; /* [0] is not used: the label has no field */
    double log1p[N_LOGS];
} criteo;

static const tw_option criteo_options[] = {{.name = NULL}};

static size_t criteo_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(criteo);
}

static tw_status criteo_open(
    void *state, const tw_option_values *options, tw_plan *plan, const tw_host *host, tw_error *error)
{
    (void)options;
    (void)host;
    criteo *self = state;
    memset(self, 0, sizeof *self);
    self->is_automatic = tw_plan_is_automatic(plan);
    lines_init(&self->lines, plan, "\t\n\r");
    for (int i = 1; i < N_COLUMNS; i++) {
        char name[16];
        int size = i <= N_INTEGERS ? snprintf(name, sizeof name, "I%d", i)
                                   : snprintf(name, sizeof name, "C%d", i - N_INTEGERS);
        tw_status status = tw_plan_resolve(plan, name, (size_t)size, &self->handle[i], error);
        if (status < 0)
            return status;
    }
    for (int i = 0; i < N_LOGS; i++)
        self->log1p[i] = tw_number_log1p(i);
    return TW_STATUS_OK;
}

static void criteo_close(void *state)
{
    (void)state;
}

static double criteo_log(const criteo *self, int64_t count)
{
    if (count >= 0 && count < N_LOGS)
        return self->log1p[count];
    return count >= 0 ? tw_number_log1p((double)count) : -tw_number_log1p(-(double)count);
}

static tw_status criteo_put_integer(criteo *self, int column, const char *text, size_t size, tw_error *error)
{
    int64_t count = 0;
    if (size == 0)
        return TW_STATUS_OK;
    if (!tw_number_parse_i64(text, size, &count)) {
        char quoted[48];
        tw_text_quote(quoted, sizeof quoted, text, size);
        return tw_data_error(error, "D201", "I%d: expected an integer, found %s", column, quoted);
    }
    if (!self->is_automatic)
        return tw_event_text(&self->lines.event, self->handle[column], text, size, error);
    return tw_event_number(&self->lines.event, self->handle[column], criteo_log(self, count), NULL, 0, error);
}

static tw_status criteo_put(criteo *self, int column, const char *text, tw_error *error)
{
    size_t size = (size_t)(self->lines.stop - text);
    self->lines.place = text;
    if (column == 0)
        return tw_event_label(&self->lines.event, text, size, error);
    if (column <= N_INTEGERS)
        return criteo_put_integer(self, column, text, size, error);
    return tw_event_string(&self->lines.event, self->handle[column], text, size, error);
}

static tw_status criteo_read(void *state, const char *at, bool *is_blank, tw_error *error)
{
    criteo *self = state;
    for (int column = 0;; column++) {
        do
            lines_next(&self->lines);
        while (!lines_is_end(&self->lines) && !lines_is_at(&self->lines, '\t'));
        bool is_end = lines_is_end(&self->lines);
        *is_blank = column == 0 && is_end && self->lines.stop == at;
        if (*is_blank)
            return TW_STATUS_OK;
        if (is_end != (column == N_COLUMNS - 1)) {
            self->lines.place = self->lines.stop;
            return tw_data_error(
                error, "D203", "%s%d columns: a record has %d", is_end ? "" : "more than ", column + 1, (int)N_COLUMNS);
        }
        tw_status status = criteo_put(self, column, at, error);
        if (status < 0 || is_end)
            return status;
        at = self->lines.stop + 1;
    }
}

static tw_status criteo_decode(void *state, tw_cursor *io, tw_builder *out, tw_error *error)
{
    criteo *self = state;
    return lines_decode(&self->lines, self, criteo_read, io, out, error);
}

const tw_format_ops tw_format_tsv_criteo = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_format_ops),
    .name = "tsv-criteo",
    .summary = "Criteo click logs: label, 13 integers, 26 categories, with tabs between",
    .options = criteo_options,
    .state_size = criteo_state_size,
    .open = criteo_open,
    .decode = criteo_decode,
    .close = criteo_close,
};
