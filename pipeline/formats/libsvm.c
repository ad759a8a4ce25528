/* libsvm text, one event a line:
 *
 *   label index:value ... [# comment]
 *
 * label   a number, by the plan's label kind
 * index   a whole number from 0 on, in any order; its key is that of data/plan.h for an all-digit name
 * Blank lines and lines that hold only a comment are skipped; CR LF ends a line too; qid:n is refused. */
#include <math.h>
#include <string.h>

#include "data/key.h"
#include "data/number.h"
#include "formats/lines.h"
#include "thalweg/learner.h"

typedef struct libsvm {
    lines lines;
    bool is_direct;
    uint64_t hash_seed;
} libsvm;

static const tw_option libsvm_options[] = {{.name = NULL}};

static size_t libsvm_state_size(const tw_option_values *options)
{
    (void)options;
    return sizeof(libsvm);
}

static tw_status libsvm_open(
    void *state, const tw_option_values *options, tw_plan *plan, const tw_host *host, tw_error *error)
{
    (void)options;
    (void)host;
    (void)error;
    libsvm *self = state;
    memset(self, 0, sizeof *self);
    self->is_direct = tw_plan_is_direct(plan);
    self->hash_seed = tw_plan_hash_seed(plan);
    lines_init(&self->lines, plan, " :#\n\r\t");
    return TW_STATUS_OK;
}

static void libsvm_close(void *state)
{
    (void)state;
}

/* The last word of the record is read: at the line end or at a comment, which is read over by the caller. */
static bool libsvm_is_end(const libsvm *self)
{
    return lines_is_end(&self->lines) || lines_is_at(&self->lines, '#');
}

static tw_status libsvm_put(libsvm *self, const char *name, size_t size, uint64_t index, double value, tw_error *error)
{
    float single = (float)value;
    if (!self->is_direct || !isfinite(single)) {
        self->lines.place = name;
        return tw_event_feature(&self->lines.event, 0, 0, name, size, value, error);
    }
    return lines_put(&self->lines, tw_key_of_index(self->hash_seed, index), single, 0, error);
}

/* From the colon at lines.stop on; `name` is the text before it. */
static tw_status libsvm_read_feature(libsvm *self, const char *name, tw_error *error)
{
    size_t size = (size_t)(self->lines.stop - name);
    uint64_t index = 0;
    double value = 0;
    if (!lines_index(&self->lines, name, size, &index)) {
        char quoted[48];
        tw_text_quote(quoted, sizeof quoted, name, size);
        self->lines.place = name;
        if (size == 3 && memcmp(name, "qid", 3) == 0)
            return tw_data_error(error, "D204", "qid is not supported: ranking groups have no place in this format");
        return tw_data_error(
            error, "D204", "feature index %s is not a whole number from 0 on without leading zeros", quoted);
    }
    tw_status status = lines_value(&self->lines, &value, error);
    if (status < 0)
        return status;
    return libsvm_put(self, name, size, index, value, error);
}

static tw_status libsvm_read_label(libsvm *self, const char *text, tw_error *error)
{
    size_t size = (size_t)(self->lines.stop - text);
    double value = 0;
    self->lines.place = text;
    if (lines_is_at(&self->lines, ':'))
        return tw_data_error(error, "D205", "the record has no label before its first feature");
    if (tw_number_parse(text, size, &value) != TW_NUMBER_NONE)
        return tw_event_label(&self->lines.event, text, size, error);
    char quoted[48];
    tw_text_quote(quoted, sizeof quoted, text, size);
    return tw_data_error(error, "D202", "label: expected one number, found %s", quoted);
}

static tw_status libsvm_read(void *state, const char *at, bool *is_blank, tw_error *error)
{
    libsvm *self = state;
    lines_next(&self->lines);
    while (self->lines.stop == at && lines_is_space(&self->lines)) {
        at = self->lines.stop + 1;
        lines_next(&self->lines);
    }
    *is_blank = self->lines.stop == at && libsvm_is_end(self);
    if (*is_blank)
        return TW_STATUS_OK;
    tw_status status = libsvm_read_label(self, at, error);
    while (status == TW_STATUS_OK && lines_is_space(&self->lines)) {
        const char *name = self->lines.stop + 1;
        lines_next(&self->lines);
        if (lines_is_at(&self->lines, ':'))
            status = libsvm_read_feature(self, name, error);
        else if (self->lines.stop > name)
            return lines_fail(&self->lines, name, "a feature has no ':' behind its index", error);
    }
    if (status == TW_STATUS_OK && !libsvm_is_end(self))
        return lines_fail(&self->lines, self->lines.stop, "a blank or the line end must stand here", error);
    return status;
}

static tw_status libsvm_decode(void *state, tw_cursor *io, tw_builder *out, tw_error *error)
{
    libsvm *self = state;
    return lines_decode(&self->lines, self, libsvm_read, io, out, error);
}

const tw_format_ops tw_format_libsvm = {
    .abi_version = TW_ABI_VERSION,
    .struct_size = sizeof(tw_format_ops),
    .name = "libsvm",
    .summary = "libsvm text: label index:value ...",
    .options = libsvm_options,
    .state_size = libsvm_state_size,
    .open = libsvm_open,
    .decode = libsvm_decode,
    .close = libsvm_close,
};
