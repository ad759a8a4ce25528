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
#include "formats/lines.h"
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
    lines lines;
    bool is_direct;
    uint64_t hash_seed;
    uint16_t field; /* of the namespace being read, with its seed and scale */
    uint64_t seed;
    double scale;
    vw_namespace cache[VW_CACHE]; /* namespaces by their size, first and last byte */
} vw;

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
    self->is_direct = tw_plan_is_direct(plan);
    self->hash_seed = tw_plan_hash_seed(plan);
    lines_init(&self->lines, plan, " :|\n\r\t");
    return TW_STATUS_OK;
}

static void vw_close(void *state)
{
    (void)state;
}

/* What stands before the first bar, as words. A colon belongs to its word. False: the line has no bar. */
static bool vw_read_head(vw *self, const char *at, const char **word, size_t *size, uint32_t *n_words)
{
    *n_words = 0;
    for (;;) {
        lines_next(&self->lines);
        if (lines_is_at(&self->lines, ':'))
            continue;
        if (self->lines.stop > at) {
            /* Words beyond the last place are counted only as "too many". */
            uint32_t i = *n_words < VW_MAX_WORDS ? (*n_words)++ : VW_MAX_WORDS - 1;
            word[i] = at;
            size[i] = (size_t)(self->lines.stop - at);
        }
        if (!lines_is_space(&self->lines))
            return lines_is_at(&self->lines, '|');
        at = self->lines.stop + 1;
    }
}

static tw_status vw_take_head(vw *self, const char *const *word, const size_t *size, uint32_t n_words, tw_error *error)
{
    bool has_tag =
        n_words > 0 && (word[n_words - 1] + size[n_words - 1] == self->lines.stop || *word[n_words - 1] == '\'');
    double number = 0;
    if (has_tag && n_words == 1 && tw_number_parse(word[0], size[0], &number) != TW_NUMBER_NONE && fabs(number) <= 1.0)
        return lines_fail(&self->lines, word[0],
            "a number touches the first '|' and would be a tag: put a blank behind a label", error);
    n_words -= has_tag;
    if (n_words > 2)
        return lines_fail(
            &self->lines, word[2], "only a label, an importance and a tag may stand before the first '|'", error);
    if (n_words == 0) {
        self->lines.event.has_label = true;
        return TW_STATUS_OK;
    }
    self->lines.place = word[0];
    tw_status status = tw_event_label(&self->lines.event, word[0], size[0], error);
    if (status == TW_STATUS_OK && n_words == 2) {
        self->lines.place = word[1];
        status = tw_event_weight(&self->lines.event, word[1], size[1], error);
    }
    return status;
}

static tw_status vw_find_namespace(vw *self, const char *name, size_t size, tw_error *error)
{
    size_t hash = size == 0 ? 0 : size + (unsigned char)name[0] + (size_t)(unsigned char)name[size - 1] * 7;
    vw_namespace *cached = &self->cache[hash % VW_CACHE];
    bool is_same = cached->is_set && cached->size == size && (size == 0 || cached->name[0] == name[0]);
    if (!is_same || (size > 1 && memcmp(cached->name, name, size) != 0)) {
        tw_status status = tw_plan_namespace(self->lines.plan, name, size, &self->field, &self->seed, error);
        if (status < 0 || size > VW_NAME)
            return status;
        *cached = (vw_namespace){self->seed, self->field, true, (uint8_t)size, {0}};
        memcpy(cached->name, name, size);
    }
    self->field = cached->field;
    self->seed = cached->seed;
    return TW_STATUS_OK;
}

static inline tw_status vw_put(vw *self, const char *name, size_t size, double value, tw_error *error)
{
    float single = (float)value;
    if (!self->is_direct || !isfinite(single) || self->field == TW_FIELD_NONE) {
        self->lines.place = name;
        return tw_event_feature(&self->lines.event, self->field, self->seed, name, size, value, error);
    }
    uint64_t index = 0;
    uint64_t key = self->field == 0 && lines_index(&self->lines, name, size, &index)
                       ? tw_key_of_index(self->hash_seed, index)
                       : tw_key_of_text(self->seed, name, size);
    return lines_put(&self->lines, key, single, self->field, error);
}

static tw_status vw_read_features(vw *self, const char *at, tw_error *error)
{
    for (;;) {
        lines_next(&self->lines);
        size_t size = (size_t)(self->lines.stop - at);
        double value = 1.0;
        tw_status status = TW_STATUS_OK;
        if (lines_is_at(&self->lines, ':')) {
            if (size == 0)
                return lines_fail(&self->lines, self->lines.stop, "a feature has no name before ':'", error);
            status = lines_value(&self->lines, &value, error);
        }
        if (status == TW_STATUS_OK && size > 0)
            status = vw_put(self, at, size, value * self->scale, error);
        if (status < 0 || !lines_is_space(&self->lines))
            return status;
        at = self->lines.stop + 1;
    }
}

/* The short form of a value behind the colon at *stop, which moves to the next separator, times the scale. */
static inline bool vw_read_short(vw *self, tw_scan_place *place, const char **stop, float *value)
{
    const char *text = *stop + 1;
    double number = 0.0;
    *stop = tw_scanner_step(&self->lines.scanner, place);
    bool is_short = self->lines.limit - text >= 8 && tw_number_parse_8(text, (size_t)(*stop - text), &number);
    *value = (float)(number * self->scale);
    return is_short && isfinite(*value);
}

/* The feature whose name is [at, name_end) and whose value, if a colon follows, ends at `stop`: any case. */
static tw_status vw_read_long(vw *self, const char *at, const char *name_end, const char *stop, tw_error *error)
{
    double value = 1.0;
    tw_status status = TW_STATUS_OK;
    self->lines.stop = stop;
    if (stop > name_end && name_end == at)
        return lines_fail(&self->lines, name_end, "a feature has no name before ':'", error);
    if (stop > name_end)
        status = lines_number(&self->lines, name_end + 1, (size_t)(stop - name_end) - 1, &value, error);
    if (status == TW_STATUS_OK && name_end > at)
        status = vw_put(self, at, (size_t)(name_end - at), value * self->scale, error);
    return status;
}

/* Writes entry `at`, for which there is room. */
static inline void vw_write(tw_builder *out, uint32_t at, uint64_t key, float value, uint16_t field)
{
    out->key[at] = key;
    out->value[at] = value;
    out->field[at] = field;
}

/* As vw_read_features in a direct plan, for a namespace whose names are texts and whose scale is a finite float. An
 * entry of value 0 is written, but then overwritten by the next one. */
static tw_status vw_read_texts(vw *self, const char *at, tw_error *error)
{
    lines *text = &self->lines;
    tw_builder *out = text->out;
    const char *const limit = text->limit, *stop;
    const tw_hash_short hash = tw_hash_short_start(self->seed);
    const uint16_t field = self->field;
    const float alone = (float)self->scale;
    const uint32_t is_alone_kept = alone != 0.0f;
    tw_scan_place place = text->scanner.place;
    uint32_t next = out->n_entries + out->n_pending;
    tw_status status = TW_STATUS_OK;
    for (;; at = stop + 1) {
        const char *name_end = stop = tw_scanner_step(&text->scanner, &place);
        char separator = '\n';
        if (stop < limit)
            separator = *stop;
        bool has_room = name_end > at && next < out->capacity_entries;
        float value;
        if (separator != ':' && has_room) {
            uint64_t key = tw_key_nonzero(tw_hash_short_text(&hash, at, (size_t)(name_end - at)));
            vw_write(out, next, key, alone, field);
            next += is_alone_kept;
            if (separator == ' ')
                continue;
        } else if (separator == ':' && vw_read_short(self, &place, &stop, &value) && has_room) {
            uint64_t key = tw_key_nonzero(tw_hash_short_text(&hash, at, (size_t)(name_end - at)));
            vw_write(out, next, key, value, field);
            next += value != 0.0f;
        } else {
            out->n_pending = next - out->n_entries;
            status = vw_read_long(self, at, name_end, stop, error);
            next = out->n_entries + out->n_pending;
        }
        if (status < 0 || stop == limit || (*stop != ' ' && *stop != '\t'))
            break;
    }
    out->n_pending = next - out->n_entries;
    text->scanner.place = place;
    text->stop = stop;
    return status;
}

/* From the bar at self->lines.stop to the next bar or the end of the line. */
static tw_status vw_read_namespace(vw *self, tw_error *error)
{
    const char *name = self->lines.stop + 1;
    lines_next(&self->lines);
    self->scale = 1.0;
    self->lines.place = name;
    size_t size = (size_t)(self->lines.stop - name);
    tw_status status = vw_find_namespace(self, name, size, error);
    if (status == TW_STATUS_OK && lines_is_at(&self->lines, ':')) {
        if (size == 0)
            return lines_fail(&self->lines, self->lines.stop, "a namespace has no name before ':'", error);
        status = lines_value(&self->lines, &self->scale, error);
    }
    if (status < 0 || !lines_is_space(&self->lines))
        return status;
    bool has_texts = self->is_direct && self->field != 0 && self->field != TW_FIELD_NONE;
    if (has_texts && isfinite((float)self->scale))
        return vw_read_texts(self, self->lines.stop + 1, error);
    return vw_read_features(self, self->lines.stop + 1, error);
}

static tw_status vw_read(void *state, const char *at, bool *is_blank, tw_error *error)
{
    vw *self = state;
    const char *word[VW_MAX_WORDS];
    size_t size[VW_MAX_WORDS];
    uint32_t n_words = 0;
    bool has_bar = vw_read_head(self, at, word, size, &n_words);
    *is_blank = !has_bar && n_words == 0 && lines_is_end(&self->lines);
    if (*is_blank)
        return TW_STATUS_OK;
    if (!has_bar)
        return lines_fail(&self->lines, at, "the line has no '|' before its features", error);
    tw_status status = vw_take_head(self, word, size, n_words, error);
    while (status == TW_STATUS_OK && lines_is_at(&self->lines, '|'))
        status = vw_read_namespace(self, error);
    if (status == TW_STATUS_OK && !lines_is_end(&self->lines))
        return lines_fail(
            &self->lines, self->lines.stop, "a ':' or a carriage return stands where a blank must", error);
    return status;
}

static tw_status vw_decode(void *state, tw_cursor *io, tw_builder *out, tw_error *error)
{
    vw *self = state;
    return lines_decode(&self->lines, self, vw_read, io, out, error);
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
