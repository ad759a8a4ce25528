/* Vowpal Wabbit text, one event a line:
 *
 *   [label [importance]] [tag]|namespace[:scale] feature[:value] ... |namespace ...
 *
 * label       by the plan's label kind; none at all: an unlabelled event
 * importance  weight of the event, at least 0; a third number (the base) is refused
 * tag         a word that begins with ' or touches the first bar; read over
 * namespace   the word that touches its bar; none: the default namespace
 * value       1 when not given; multiplied by the namespace's scale
 * Keys are those of data/plan.h: an all-digit name of the default namespace is an index, other names of the default
 * namespace are numeric features, and a name in a namespace is a text of the field that the namespace is. Blank lines
 * are skipped, CR LF ends a line too, there are no comments. */
#include <math.h>
#include <string.h>

#include "data/feature.h"
#include "data/key.h"
#include "data/number.h"
#include "data/scan.h"
#include "thalweg/learner.h"

enum { VW_CACHE = 32, VW_NAME = 40, VW_MAX_WORDS = 4 };

typedef struct vw_namespace {
    uint64_t seed;
    uint16_t field;
    bool is_set;
    uint8_t size;
    char name[VW_NAME];
} vw_namespace;

typedef struct vw {
    tw_plan *plan;
    bool is_direct;
    uint64_t hash_seed;
    vw_namespace cache[VW_CACHE]; /* namespaces by the sum of size and first and last byte */
    tw_scanner scanner;
} vw;

/* One line on its way. stop: the separator that was read last; place: what an error is about. */
typedef struct vw_record {
    vw *self;
    tw_builder *out;
    tw_event event;
    const char *stop, *limit, *place;
    uint16_t field;
    uint64_t seed;
    double scale;
} vw_record;

static const tw_option vw_options[] = {{.name = NULL}};

static size_t vw_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(vw);
}

static tw_status vw_open(
    void *state, const tw_option_values *options, tw_plan *plan, const tw_host *host, tw_error *error)
{
    (void)options;
    (void)host;
    (void)error;
    vw *self = state;
    memset(self, 0, sizeof *self);
    self->plan = plan;
    self->is_direct = tw_plan_is_direct(plan);
    self->hash_seed = tw_plan_hash_seed(plan);
    tw_scanner_init(&self->scanner, " :|\n\r\t");
    return TW_STATUS_OK;
}

static void vw_close(void *state)
{
    (void)state;
}

static tw_status vw_fail(vw_record *record, const char *place, const char *message, tw_error *error)
{
    record->place = place;
    return tw_data_error(error, "D204", "%s", message);
}

static bool vw_is_blank(const vw_record *record)
{
    return record->stop < record->limit && (*record->stop == ' ' || *record->stop == '\t');
}

static bool vw_is_bar(const vw_record *record)
{
    return record->stop < record->limit && *record->stop == '|';
}

/* At the end of a line: at LF, at a CR before it, or at the end of the text. */
static bool vw_is_end(const vw_record *record)
{
    const char *stop = record->stop;
    if (stop == record->limit || *stop == '\n')
        return true;
    return *stop == '\r' && (stop + 1 == record->limit || stop[1] == '\n');
}

/* What stands before the first bar, as words. A colon belongs to its word. False: the line has no bar. */
static bool vw_read_head(vw_record *record, const char *at, const char **word, size_t *size, uint32_t *n_words)
{
    *n_words = 0;
    for (;;) {
        record->stop = tw_scanner_next(&record->self->scanner);
        if (record->stop < record->limit && *record->stop == ':')
            continue;
        if (record->stop > at) {
            /* Words beyond the last place are counted only as "too many". */
            uint32_t i = *n_words < VW_MAX_WORDS ? (*n_words)++ : VW_MAX_WORDS - 1;
            word[i] = at;
            size[i] = (size_t)(record->stop - at);
        }
        if (!vw_is_blank(record))
            return vw_is_bar(record);
        at = record->stop + 1;
    }
}

static tw_status vw_take_head(
    vw_record *record, const char *const *word, const size_t *size, uint32_t n_words, tw_error *error)
{
    bool has_tag = n_words > 0 && (word[n_words - 1] + size[n_words - 1] == record->stop || *word[n_words - 1] == '\'');
    double number = 0;
    if (has_tag && n_words == 1 && tw_number_parse(word[0], size[0], &number) != TW_NUMBER_NONE && fabs(number) <= 1.0)
        return vw_fail(
            record, word[0], "a number touches the first '|' and would be a tag: put a blank behind a label", error);
    n_words -= has_tag;
    if (n_words > 2)
        return vw_fail(record, word[2], "only a label, an importance and a tag may stand before the first '|'", error);
    if (n_words == 0) {
        record->event.has_label = true;
        return TW_STATUS_OK;
    }
    record->place = word[0];
    tw_status status = tw_event_label(&record->event, word[0], size[0], error);
    if (status == TW_STATUS_OK && n_words == 2) {
        record->place = word[1];
        status = tw_event_weight(&record->event, word[1], size[1], error);
    }
    return status;
}

static tw_status vw_find_namespace(vw_record *record, const char *name, size_t size, tw_error *error)
{
    vw *self = record->self;
    size_t hash = size == 0 ? 0 : size + (unsigned char)name[0] + (unsigned char)name[size - 1] * 7u;
    vw_namespace *cached = &self->cache[hash % VW_CACHE];
    if (!cached->is_set || cached->size != size || memcmp(cached->name, name, size) != 0) {
        tw_status status = tw_plan_namespace(self->plan, name, size, &record->field, &record->seed, error);
        if (status < 0 || size > VW_NAME)
            return status;
        *cached = (vw_namespace){record->seed, record->field, true, (uint8_t)size, {0}};
        memcpy(cached->name, name, size);
    }
    record->field = cached->field;
    record->seed = cached->seed;
    return TW_STATUS_OK;
}

/* Reads the number behind the colon at record->stop. */
static inline tw_status vw_read_value(vw_record *record, double *value, tw_error *error)
{
    const char *number = record->stop + 1;
    record->stop = tw_scanner_next(&record->self->scanner);
    size_t size = (size_t)(record->stop - number);
    if (tw_number_parse_short(number, size, value))
        return TW_STATUS_OK;
    record->place = number;
    tw_number kind = tw_number_parse(number, size, value);
    if (kind == TW_NUMBER_FINITE)
        return TW_STATUS_OK;
    char quoted[64];
    tw_text_quote(quoted, sizeof quoted, number, size);
    if (kind == TW_NUMBER_NOT_FINITE)
        return tw_data_error(error, "D206", "%s is not a finite number", quoted);
    return tw_data_error(error, "D201", "expected a number behind ':', found %s", quoted);
}

static inline tw_status vw_put(vw_record *record, const char *name, size_t size, double value, tw_error *error)
{
    const vw *self = record->self;
    float single = (float)value;
    if (!self->is_direct || !isfinite(single) || record->field == TW_FIELD_NONE) {
        record->place = name;
        return tw_event_feature(&record->event, record->field, record->seed, name, size, value, error);
    }
    if (single == 0.0f)
        return TW_STATUS_OK;
    uint64_t index = 0;
    uint64_t key = record->field == 0 && tw_key_parse_index(name, size, &index)
                       ? tw_key_of_index(self->hash_seed, index)
                       : tw_key_of_text(record->seed, name, size);
    return tw_builder_entry(record->out, key, single, record->field, error);
}

static tw_status vw_read_features(vw_record *record, const char *at, tw_error *error)
{
    for (;;) {
        record->stop = tw_scanner_next(&record->self->scanner);
        size_t size = (size_t)(record->stop - at);
        double value = 1.0;
        tw_status status = TW_STATUS_OK;
        if (record->stop < record->limit && *record->stop == ':') {
            if (size == 0)
                return vw_fail(record, record->stop, "a feature has no name before ':'", error);
            status = vw_read_value(record, &value, error);
        }
        if (status == TW_STATUS_OK && size > 0)
            status = vw_put(record, at, size, value * record->scale, error);
        if (status < 0 || !vw_is_blank(record))
            return status;
        at = record->stop + 1;
    }
}

/* From the bar at record->stop to the next bar or the end of the line. */
static tw_status vw_read_namespace(vw_record *record, tw_error *error)
{
    const char *name = record->stop + 1;
    record->stop = tw_scanner_next(&record->self->scanner);
    record->scale = 1.0;
    record->place = name;
    size_t size = (size_t)(record->stop - name);
    tw_status status = vw_find_namespace(record, name, size, error);
    if (status == TW_STATUS_OK && record->stop < record->limit && *record->stop == ':') {
        if (size == 0)
            return vw_fail(record, record->stop, "a namespace has no name before ':'", error);
        status = vw_read_value(record, &record->scale, error);
    }
    if (status == TW_STATUS_OK && vw_is_blank(record))
        status = vw_read_features(record, record->stop + 1, error);
    return status;
}

static tw_status vw_read_record(vw_record *record, const char *at, bool *is_blank, tw_error *error)
{
    const char *word[VW_MAX_WORDS];
    size_t size[VW_MAX_WORDS];
    uint32_t n_words = 0;
    bool has_bar = vw_read_head(record, at, word, size, &n_words);
    *is_blank = !has_bar && n_words == 0 && vw_is_end(record);
    if (*is_blank)
        return TW_STATUS_OK;
    if (!has_bar)
        return vw_fail(record, at, "the line has no '|' before its features", error);
    tw_status status = vw_take_head(record, word, size, n_words, error);
    while (status == TW_STATUS_OK && vw_is_bar(record))
        status = vw_read_namespace(record, error);
    if (status == TW_STATUS_OK && !vw_is_end(record))
        return vw_fail(record, record->stop, "a ':' or a carriage return stands where a blank must", error);
    return status;
}

/* Moves behind the line end; returns what follows it. */
static const char *vw_finish_line(vw_record *record, const char **line_end)
{
    while (!vw_is_end(record))
        record->stop = tw_scanner_next(&record->self->scanner);
    *line_end = record->stop;
    if (record->stop < record->limit && *record->stop == '\r')
        record->stop = tw_scanner_next(&record->self->scanner);
    return record->stop < record->limit ? record->stop + 1 : record->limit;
}

static tw_status vw_decode_line(vw_record *record, tw_cursor *io, tw_error *error)
{
    bool is_blank = false;
    const char *line_end = NULL;
    tw_error problem;
    tw_event_begin(&record->event, record->self->plan, record->out);
    record->place = NULL;
    tw_status status = vw_read_record(record, io->at, &is_blank, &problem);
    const char *next = vw_finish_line(record, &line_end);
    uint64_t offset = io->offset + (uint64_t)(next - io->at);
    if (status == TW_STATUS_OK && !is_blank) {
        record->place = NULL;
        status = tw_event_end(&record->event, offset, io->line + 1, &problem);
    }
    if (status == TW_STATUS_NO_MEMORY) {
        tw_builder_drop(record->out);
        if (error != NULL)
            *error = problem;
        return status;
    }
    if (status < 0) {
        tw_record_bad(record->out, io, line_end, next, record->place, &problem);
        return TW_STATUS_OK;
    }
    io->at = next;
    io->offset = offset;
    io->line++;
    if (is_blank)
        tw_builder_skip(record->out, offset, io->line);
    return TW_STATUS_OK;
}

static tw_status vw_decode(void *state, tw_cursor *io, tw_builder *out, tw_error *error)
{
    vw *self = state;
    const char *limit = io->end;
    if (!io->is_final) {
        const char *last = tw_scan_last(io->at, io->end, '\n');
        limit = last == NULL ? io->at : last + 1;
    }
    vw_record record = {.self = self, .out = out, .limit = limit};
    tw_scanner_start(&self->scanner, io->at, limit);
    while (!tw_builder_is_full(out)) {
        if (io->at == limit)
            return TW_STATUS_IDLE;
        tw_status status = vw_decode_line(&record, io, error);
        if (status < 0)
            return status;
    }
    return TW_STATUS_OK;
}

const tw_format_ops tw_format_vw = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_format_ops),
    .name = "vw",
    .summary = "Vowpal Wabbit text: labels, importance, tags, namespaces",
    .options = vw_options,
    .state_size = vw_state_size,
    .open = vw_open,
    .decode = vw_decode,
    .close = vw_close,
};
