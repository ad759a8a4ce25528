/* csv.c: RFC 4180 with options for delimiter, quote and header.
 *
 * A record is read in two steps. First its cells are located: 64 bytes at a time become a bit mask of delimiters,
 * quotes and line feeds, and the ends of the cells are taken from the mask's bits. Then only the cells whose columns
 * the plan uses are handed on, in the order of the columns: unquoted text and quoted text without doubled quotes in
 * place, other text through a scratch buffer. An incomplete record has touched nothing, so it can be read again with
 * more bytes. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "data/plan.h"
#include "formats/csv_scan.h"
#include "thalweg/learner.h"

enum {
    FIRST_CELLS = 64,
    NAME_SHOWN = 60,
};

/* A column that the plan uses. */
typedef struct csv_column {
    uint32_t cell;
    int handle;
} csv_column;

typedef struct csv {
    tw_plan *plan;
    tw_csv_layout layout;
    bool has_header;
    char *names; /* option `columns`: each with its terminating 0; NULL: none */
    uint32_t n_names;
    csv_column *column; /* [n_used] */
    size_t n_used, capacity_column;
    size_t capacity_cells;
    char *scratch;
    size_t capacity_scratch;
    tw_event event;
    tw_error error;
} csv;

static inline bool record_is_blank(const tw_csv_record *record)
{
    return record->end == record->start;
}

/* --- cells ------------------------------------------------------------------------------------------------------- */

static inline const char *cell_start(const csv *self, const tw_csv_record *record, uint32_t cell)
{
    return cell == 0 ? record->start : record->start + (self->layout.cell_end[cell - 1] & ~TW_CSV_DOUBLED) + 1;
}

/* Copies a quoted text with its doubled quotes made single. */
static tw_status unquote(csv *self, const char **text, size_t *size)
{
    size_t n = 0;
    if (*size > self->capacity_scratch) {
        tw_status status = tw_grow(&self->scratch, 1, &self->capacity_scratch, *size, &self->error);
        if (status < 0)
            return status;
    }
    for (size_t i = 0; i < *size; i++) {
        self->scratch[n++] = (*text)[i];
        i += (*text)[i] == self->layout.quote;
    }
    *text = self->scratch;
    *size = n;
    return TW_STATUS_OK;
}

/* The cell's text, valid until the next call. NO_MEMORY. */
static inline tw_status csv_cell(csv *self, const tw_csv_record *record, uint32_t cell, const char **text, size_t *size)
{
    const char *start = cell_start(self, record, cell);
    uint32_t end = self->layout.cell_end[cell];
    *text = start;
    *size = (size_t)(record->start + (end & ~TW_CSV_DOUBLED) - start);
    if (*size < 2 || *start != self->layout.quote || !self->layout.quote)
        return TW_STATUS_OK;
    *text = start + 1;
    *size -= 2;
    return (end & TW_CSV_DOUBLED) != 0 ? unquote(self, text, size) : TW_STATUS_OK;
}

/* Line and column of a byte of a record that may run over several lines. */
static void csv_place(const char *start, const char *at, uint64_t *line, uint64_t *column)
{
    const char *begin = start;
    for (const char *feed = start; (feed = memchr(feed, '\n', (size_t)(at - feed))) != NULL; begin = ++feed)
        ++*line;
    *column = (uint64_t)(at - begin) + 1;
}

/* --- decode ------------------------------------------------------------------------------------------------------ */

/* Hands the used cells to the plan and commits the event. On an error *at is the byte it is about, NULL: the record. */
static tw_status csv_event(
    csv *self, const tw_csv_record *record, uint64_t offset, uint64_t line, tw_builder *out, const char **at)
{
    tw_event_begin(&self->event, self->plan, out);
    for (size_t i = 0; i < self->n_used; i++) {
        const char *text;
        size_t size;
        tw_status status = csv_cell(self, record, self->column[i].cell, &text, &size);
        if (status == TW_STATUS_OK && size > 0)
            status = tw_event_text(&self->event, self->column[i].handle, text, size, &self->error);
        if (status < 0) {
            *at = cell_start(self, record, self->column[i].cell);
            return status;
        }
    }
    *at = NULL;
    return tw_event_end(&self->event, offset, line, &self->error);
}

static tw_status csv_shape(csv *self, const tw_csv_record *record, const char **at)
{
    if (record->fault) {
        tw_error_set(&self->error, TW_STATUS_DATA, "%s", record->problem);
        tw_error_code(&self->error, "D204");
        *at = record->fault;
        return TW_STATUS_DATA;
    }
    if (record->n_cells == self->layout.n_columns)
        return TW_STATUS_OK;
    tw_error_set(
        &self->error, TW_STATUS_DATA, "expected %u columns, found %u", self->layout.n_columns, record->n_cells);
    tw_error_code(&self->error, "D203");
    *at = record->n_cells < self->layout.n_columns ? record->end
          : self->layout.n_columns == 0
              ? record->start
              : record->start + (self->layout.cell_end[self->layout.n_columns - 1] & ~TW_CSV_DOUBLED) + 1;
    return TW_STATUS_DATA;
}

static void csv_bad(
    csv *self, const tw_cursor *io, const tw_csv_record *record, const char *at, uint64_t offset, tw_builder *out)
{
    tw_bad_record bad = {
        .bytes = record->start,
        .size = (size_t)(record->end - record->start),
        .offset = io->offset,
        .line = io->line,
        .before_event = out->n_events,
    };
    if (at)
        csv_place(record->start, at, &bad.line, &bad.column);
    snprintf(bad.code, sizeof bad.code, "%s", self->error.code[0] ? self->error.code : "D201");
    snprintf(bad.message, sizeof bad.message, "%.*s", (int)sizeof bad.message - 1, self->error.message);
    tw_builder_drop(out);
    tw_builder_bad(out, &bad, offset, io->line + record->n_lines - 1);
}

static tw_status csv_take(csv *self, tw_cursor *io, const tw_csv_record *record, tw_builder *out, tw_error *error)
{
    uint64_t offset = io->offset + (uint64_t)(record->next - record->start);
    uint64_t line = io->line + record->n_lines - 1; /* lines before `to` */
    const char *at = NULL;
    if (record_is_blank(record)) {
        tw_builder_skip(out, offset, line);
    } else {
        self->error.code[0] = 0;
        tw_status status = csv_shape(self, record, &at);
        if (status == TW_STATUS_OK)
            status = csv_event(self, record, offset, line, out, &at);
        if (status == TW_STATUS_NO_MEMORY) {
            tw_builder_drop(out);
            if (error)
                *error = self->error;
            return status;
        }
        if (status < 0)
            csv_bad(self, io, record, at, offset, out);
    }
    io->at = record->next;
    io->offset = offset;
    io->line += record->n_lines;
    return TW_STATUS_OK;
}

static tw_status csv_decode(void *state, tw_cursor *io, tw_builder *out, tw_error *error)
{
    csv *self = state;
    if (io->at == io->end)
        return tw_builder_is_full(out) ? TW_STATUS_OK : TW_STATUS_IDLE;
    tw_csv_scan scan = tw_csv_scan_begin(&self->layout, io->at, io->end);
    while (!tw_builder_is_full(out)) {
        tw_csv_record record;
        if (io->at == io->end || !tw_csv_locate(&self->layout, &scan, io->at, io->is_final, &record))
            return TW_STATUS_IDLE;
        tw_status status = csv_take(self, io, &record, out, error);
        if (status < 0)
            return status;
    }
    return TW_STATUS_OK;
}

/* --- header ------------------------------------------------------------------------------------------------------ */

static tw_status header_fail(const char *head, const char *at, tw_error *error, const char *format, ...)
    TW_PRINTF(4, 5);

/* DATA with code D209 and the place of `at`. */
static tw_status header_fail(const char *head, const char *at, tw_error *error, const char *format, ...)
{
    char message[160];
    uint64_t line = 1, column = 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    csv_place(head, at, &line, &column);
    tw_error_set(error, TW_STATUS_DATA, "%s", message);
    tw_error_at(error, "", line, column);
    tw_error_code(error, "D209");
    return TW_STATUS_DATA;
}

/* A set of the hashes of the names so far; a name that is in it occurs twice. */
typedef struct name_set {
    uint64_t *hash; /* [n_slots], power of two, at least twice the names; 0: empty */
    size_t n_slots;
} name_set;

static bool name_set_add(name_set *self, const char *name, size_t size)
{
    uint64_t hash = tw_hash(name, size);
    hash += hash == 0;
    for (size_t i = (size_t)hash & (self->n_slots - 1);; i = (i + 1) & (self->n_slots - 1)) {
        if (self->hash[i] == hash)
            return false;
        if (self->hash[i] == 0) {
            self->hash[i] = hash;
            return true;
        }
    }
}

/* DATA with the plan's reason if it cannot take the column. */
static tw_status csv_use(csv *self, uint32_t cell, const char *name, size_t size, tw_error *error)
{
    int handle = -1;
    tw_status status = tw_plan_resolve(self->plan, name, size, &handle, error);
    if (status < 0 && status != TW_STATUS_NO_MEMORY && error)
        error->status = TW_STATUS_DATA;
    if (status < 0)
        return status == TW_STATUS_NO_MEMORY ? status : TW_STATUS_DATA;
    if (handle < 0)
        return TW_STATUS_OK;
    status = tw_grow(&self->column, sizeof *self->column, &self->capacity_column, self->n_used + 1, error);
    if (status == TW_STATUS_OK)
        self->column[self->n_used++] = (csv_column){.cell = cell, .handle = handle};
    return status;
}

/* Control characters other than tabs and line ends: the sign of a file that is not text. */
static bool has_control(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < 0x20 && text[i] != '\t' && text[i] != '\n' && text[i] != '\r')
            return true;
    }
    return false;
}

/* One name of the header at `at`. */
static tw_status header_name(
    csv *self, const char *head, const tw_csv_record *record, uint32_t cell, name_set *names, tw_error *error)
{
    const char *name = NULL, *at = cell_start(self, record, cell);
    size_t size = 0;
    tw_status status = csv_cell(self, record, cell, &name, &size);
    if (status < 0) {
        if (error)
            *error = self->error;
        return status;
    }
    int shown = (int)(size < NAME_SHOWN ? size : NAME_SHOWN);
    if (size == 0)
        return header_fail(head, at, error, "column %u of the header has no name", cell + 1);
    if (has_control(name, size))
        return header_fail(head, at, error, "column %u: a control character stands in its name", cell + 1);
    if (!name_set_add(names, name, size))
        return header_fail(head, at, error, "%.*s: two columns have this name", shown, name);
    return csv_use(self, cell, name, size, error);
}

static tw_status header_names(csv *self, const char *head, const tw_csv_record *record, tw_error *error)
{
    name_set names = {.n_slots = 64};
    while (names.n_slots < (size_t)record->n_cells * 2)
        names.n_slots *= 2;
    names.hash = tw_alloc_zero(names.n_slots * sizeof *names.hash);
    if (!names.hash)
        return tw_no_memory(error, names.n_slots * sizeof *names.hash);
    tw_status status = TW_STATUS_OK;
    for (uint32_t i = 0; i < record->n_cells && status == TW_STATUS_OK; i++)
        status = header_name(self, head, record, i, &names, error);
    tw_free(names.hash);
    return status;
}

/* Columns by option or, without one, by position. */
static tw_status given_names(csv *self, const char *head, uint32_t n_cells, tw_error *error)
{
    const char *name = self->names;
    if (name != NULL && n_cells != self->n_names)
        return header_fail(head, head, error, "option columns: %u names for %u columns", self->n_names, n_cells);
    for (uint32_t i = 0; i < n_cells; i++) {
        char number[16];
        if (name == NULL)
            snprintf(number, sizeof number, "c%u", i + 1);
        const char *text = name != NULL ? name : number;
        tw_status status = csv_use(self, i, text, strlen(text), error);
        if (status < 0)
            return status;
        if (name != NULL)
            name += strlen(name) + 1;
    }
    return TW_STATUS_OK;
}

/* The first record that is not blank, with room for all its cells. IDLE: not complete yet; END: there is none. */
static tw_status first_record(
    csv *self, const char *at, const char *end, bool is_whole, tw_csv_record *record, tw_error *error)
{
    for (; at < end; at = record->next) {
        self->layout.n_columns = (uint32_t)self->capacity_cells;
        tw_csv_scan scan = tw_csv_scan_begin(&self->layout, at, end);
        if (!tw_csv_locate(&self->layout, &scan, at, is_whole, record))
            return TW_STATUS_IDLE;
        if (record_is_blank(record))
            continue;
        if (record->n_cells <= self->capacity_cells)
            return TW_STATUS_OK;
        tw_status status = tw_grow(
            &self->layout.cell_end, sizeof *self->layout.cell_end, &self->capacity_cells, record->n_cells, error);
        if (status < 0)
            return status;
        record->next = at;
    }
    return is_whole ? TW_STATUS_END : TW_STATUS_IDLE;
}

static tw_status csv_columns(csv *self, const char *head, const tw_csv_record *record, tw_error *error)
{
    tw_status status;
    if (record->fault) {
        status = header_fail(head, record->fault, error, "%s", record->problem);
        tw_error_code(error, "D204");
        return status;
    }
    self->n_used = 0;
    if (self->has_header && !self->names)
        status = header_names(self, head, record, error);
    else
        status = given_names(self, head, record->n_cells, error);
    self->layout.n_columns = status == TW_STATUS_OK ? record->n_cells : 0;
    return status;
}

static tw_status csv_start(void *state,
    const char *head,
    size_t size,
    bool is_whole,
    uint64_t *body_offset,
    uint64_t *body_line,
    tw_error *error)
{
    static const char mark[] = "\xef\xbb\xbf";
    csv *self = state;
    tw_csv_record record = {0};
    if (!is_whole && size < 3 && (size == 0 || memcmp(head, mark, size) == 0))
        return TW_STATUS_IDLE;
    const char *body = head + (size >= 3 && memcmp(head, mark, 3) == 0 ? 3 : 0);
    tw_status status = first_record(self, body, head + size, is_whole, &record, error);
    self->layout.n_columns = 0;
    *body_offset = (uint64_t)(body - head);
    *body_line = 0;
    if (status == TW_STATUS_END && !self->has_header)
        return TW_STATUS_OK;
    if (status == TW_STATUS_END)
        return header_fail(head, head, error, "there is no header line");
    if (status != TW_STATUS_OK)
        return status;
    status = csv_columns(self, head, &record, error);
    if (status == TW_STATUS_OK && self->has_header) {
        uint64_t line = 1, column = 0;
        csv_place(head, record.start, &line, &column);
        *body_offset = (uint64_t)(record.next - head);
        *body_line = line - 1 + record.n_lines;
    }
    return status;
}

/* --- open and close ---------------------------------------------------------------------------------------------- */

static size_t csv_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(csv);
}

static void csv_close(void *state)
{
    csv *self = state;
    tw_free(self->names);
    tw_free(self->column);
    tw_free(self->layout.cell_end);
    tw_free(self->scratch);
    *self = (csv){0};
}

/* One byte, or a word for it. */
static tw_status byte_option(
    const tw_option_values *options, const char *name, const char *word, char meaning, char *out, tw_error *error)
{
    const char *text = tw_option_text(options, name);
    if (!text)
        text = "";
    if (strcmp(text, word) == 0) {
        *out = meaning;
        return TW_STATUS_OK;
    }
    *out = text[0];
    if (strlen(text) == 1 && text[0] != '\n' && text[0] != '\r')
        return TW_STATUS_OK;
    return tw_error_set(
        error, TW_STATUS_CONFIG, "option %s: \"%s\" must be one byte, no line end, or the word %s", name, text, word);
}

static tw_status check_names(const tw_option_values *options, size_t count, tw_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = tw_option_item(options, "columns", i);
        if (name[0] == 0)
            return tw_error_set(error, TW_STATUS_CONFIG, "option columns: name %zu is empty", i + 1);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(name, tw_option_item(options, "columns", j)) == 0)
                return tw_error_set(error, TW_STATUS_CONFIG, "option columns: \"%s\" stands in it twice", name);
        }
    }
    return TW_STATUS_OK;
}

static tw_status copy_names(csv *self, const tw_option_values *options, tw_error *error)
{
    size_t count = tw_option_count(options, "columns"), size = 0;
    tw_status status = check_names(options, count, error);
    if (status < 0 || count == 0)
        return status;
    for (size_t i = 0; i < count; i++)
        size += strlen(tw_option_item(options, "columns", i)) + 1;
    self->names = tw_alloc(size);
    if (!self->names)
        return tw_no_memory(error, size);
    self->n_names = (uint32_t)count;
    char *at = self->names;
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(tw_option_item(options, "columns", i)) + 1;
        memcpy(at, tw_option_item(options, "columns", i), n);
        at += n;
    }
    return TW_STATUS_OK;
}

static tw_status csv_open(
    void *state, const tw_option_values *options, tw_plan *plan, const tw_host *host, tw_error *error)
{
    csv *self = state;
    (void)host;
    *self = (csv){.plan = plan, .has_header = tw_option_bool(options, "header")};
    tw_status status = byte_option(options, "delimiter", "tab", '\t', &self->layout.delimiter, error);
    if (status == TW_STATUS_OK)
        status = byte_option(options, "quote", "none", 0, &self->layout.quote, error);
    if (status == TW_STATUS_OK && self->layout.delimiter == self->layout.quote)
        status = tw_error_set(error, TW_STATUS_CONFIG, "options delimiter and quote: both are '%c', they must differ",
            self->layout.quote);
    if (status == TW_STATUS_OK)
        status =
            tw_grow(&self->layout.cell_end, sizeof *self->layout.cell_end, &self->capacity_cells, FIRST_CELLS, error);
    if (status == TW_STATUS_OK)
        status = copy_names(self, options, error);
    if (status < 0)
        csv_close(self);
    return status;
}

static const tw_option csv_options[] = {
    {.name = "header", .type = TW_OPTION_BOOL, .fallback = "true", .help = "the first line names the columns"},
    {.name = "delimiter", .type = TW_OPTION_TEXT, .fallback = ",", .help = "the byte between cells, or the word tab"},
    {.name = "quote",
        .type = TW_OPTION_TEXT,
        .fallback = "\"",
        .help = "the byte around cells that hold delimiters, quotes or line ends, or the word none"},
    {.name = "columns",
        .type = TW_OPTION_LIST,
        .help = "names of the columns, in place of the header's; without both they are c1, c2, ..."},
    {.name = NULL},
};

const tw_format_ops tw_format_csv = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_format_ops),
    .name = "csv",
    .summary = "CSV by RFC 4180, with a header line or named columns",
    .options = csv_options,
    .state_size = csv_state_size,
    .open = csv_open,
    .start = csv_start,
    .decode = csv_decode,
    .close = csv_close,
};
