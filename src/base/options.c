#define _GNU_SOURCE
#include "thalweg/options.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"

typedef struct slot {
    bool has, is_given;
    bool is_default_list; /* the items come from the table: the first append drops them */
    int64_t integer;      /* BOOL, INT, SIZE, DURATION */
    double real;          /* REAL, RATIO */
    char *text;           /* TEXT, CHOICE */
    char **item;          /* LIST */
    size_t n_items, capacity;
} slot;

struct tw_option_values {
    const tw_option *table;
    size_t n_slots;
    slot slot[];
};

typedef struct unit {
    const char *name;
    double scale;
} unit;

/* Largest first: formatting takes the first that divides the value. */
static const unit duration_units[] = {
    {"d", 86400e6}, {"h", 3600e6}, {"m", 60e6}, {"s", 1e6}, {"ms", 1e3}, {"us", 1.0}, {NULL, 0.0}};
static const unit size_units[] = {{"GiB", 1073741824.0}, {"MiB", 1048576.0}, {"KiB", 1024.0}, {"GB", 1e9}, {"MB", 1e6},
    {"kB", 1e3}, {"B", 1.0}, {"", 1.0}, {NULL, 0.0}};

static void slot_drop_items(slot *self)
{
    for (size_t i = 0; i < self->n_items; i++)
        tw_free(self->item[i]);
    self->n_items = 0;
}

static tw_status bad_value(const tw_option *option, const char *text, const char *expected, tw_error *error)
{
    tw_status status =
        tw_error_set(error, TW_STATUS_INVALID, "option %s: expected %s, found \"%.80s\"", option->name, expected, text);
    tw_error_code(error, "E103");
    return status;
}

/* The largest unit in which a limit is a whole number. */
static const unit *limit_unit(tw_option_type type, double value)
{
    static const unit plain = {"", 1.0};
    const unit *units = type == TW_OPTION_DURATION ? duration_units : type == TW_OPTION_SIZE ? size_units : NULL;
    for (; units != NULL && value != 0.0 && units->name != NULL; units++) {
        if (fmod(value, units->scale) == 0.0)
            return units;
    }
    return &plain;
}

static tw_status check_range(const tw_option *option, const char *text, double value, tw_error *error)
{
    if (option->min == 0.0 && option->max == 0.0)
        return TW_STATUS_OK;
    bool is_low = value < option->min;
    if (!is_low && value <= option->max)
        return TW_STATUS_OK;
    char limit[TW_REAL_TEXT_SIZE];
    double bound = is_low ? option->min : option->max;
    const unit *scale = limit_unit(option->type, bound);
    tw_text_from_real(bound / scale->scale, limit);
    tw_status status = tw_error_set(error, TW_STATUS_INVALID, "option %s: %.80s is %s the limit %s%s", option->name,
        text, is_low ? "below" : "above", limit, scale->name);
    tw_error_code(error, "E104");
    return status;
}

/* A number followed by one of `units`, in units of the smallest. */
static bool parse_with_unit(const char *text, const unit *units, double *out)
{
    char number[64];
    size_t length = strlen(text), split = length;
    while (split > 0 &&
           ((text[split - 1] >= 'a' && text[split - 1] <= 'z') || (text[split - 1] >= 'A' && text[split - 1] <= 'Z')))
        split--;
    size_t digits = split;
    while (digits > 0 && text[digits - 1] == ' ')
        digits--;
    if (digits == 0 || digits >= sizeof number)
        return false;
    memcpy(number, text, digits);
    number[digits] = '\0';
    if (!tw_text_to_real(number, out))
        return false;
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, text + split) == 0) {
            *out *= units->scale;
            return true;
        }
    }
    return *out == 0.0 && split == length;
}

static tw_status parse_scaled(slot *self, const tw_option *option, const char *text, tw_error *error)
{
    bool is_duration = option->type == TW_OPTION_DURATION;
    double value;
    if (!parse_with_unit(text, is_duration ? duration_units : size_units, &value))
        return bad_value(option, text,
            is_duration ? "a duration such as 30s, 5m or 250ms" : "a size such as 64MiB or 1_000_000", error);
    if (value < 0.0 || value >= 9.2e18 || value != floor(value))
        return bad_value(
            option, text, is_duration ? "a whole number of microseconds" : "a whole number of bytes", error);
    tw_status status = check_range(option, text, value, error);
    if (status == TW_STATUS_OK)
        self->integer = (int64_t)value;
    return status;
}

static tw_status parse_real(slot *self, const tw_option *option, const char *text, tw_error *error)
{
    double value;
    if (!tw_text_to_real(text, &value))
        return bad_value(option, text, "a number", error);
    tw_status status = check_range(option, text, value, error);
    if (status == TW_STATUS_OK)
        self->real = value;
    return status;
}

static tw_status parse_ratio(slot *self, const tw_option *option, const char *text, tw_error *error)
{
    static const char expected[] = "a ratio such as 0.001 or 0.1%";
    char number[64];
    size_t length = strlen(text);
    bool is_percent = length > 0 && text[length - 1] == '%';
    if (is_percent)
        length--;
    while (length > 0 && text[length - 1] == ' ')
        length--;
    if (length == 0 || length >= sizeof number)
        return bad_value(option, text, expected, error);
    memcpy(number, text, length);
    number[length] = '\0';
    double value;
    if (!tw_text_to_real(number, &value))
        return bad_value(option, text, expected, error);
    if (is_percent)
        value /= 100.0;
    if (value < 0.0 || value > 1.0)
        return bad_value(option, text, "a ratio in 0..1 or 0%..100%", error);
    tw_status status = check_range(option, text, value, error);
    if (status == TW_STATUS_OK)
        self->real = value;
    return status;
}

static tw_status parse_int(slot *self, const tw_option *option, const char *text, tw_error *error)
{
    int64_t value;
    if (!tw_text_to_int(text, &value))
        return bad_value(option, text, "an integer", error);
    tw_status status = check_range(option, text, (double)value, error);
    if (status == TW_STATUS_OK)
        self->integer = value;
    return status;
}

static tw_status parse_bool(slot *self, const tw_option *option, const char *text, tw_error *error)
{
    bool is_true = strcmp(text, "true") == 0;
    if (!is_true && strcmp(text, "false") != 0)
        return bad_value(option, text, "true or false", error);
    self->integer = is_true ? 1 : 0;
    return TW_STATUS_OK;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (const char *at = choices; at != NULL; at = strchr(at, '|') != NULL ? strchr(at, '|') + 1 : NULL) {
        size_t word = strcspn(at, "|");
        if (word == length && memcmp(at, text, word) == 0)
            return true;
    }
    return false;
}

/* Elements of a list with choices. */
static tw_status check_element(const tw_option *option, const char *text, tw_error *error)
{
    if (option->choices == NULL || is_choice(option->choices, text))
        return TW_STATUS_OK;
    tw_status status = tw_error_set(
        error, TW_STATUS_INVALID, "option %s: \"%.80s\" is not one of %s", option->name, text, option->choices);
    tw_error_code(error, "E103");
    return status;
}

static tw_status parse_text(slot *self, const tw_option *option, const char *text, tw_error *error)
{
    if (option->type == TW_OPTION_CHOICE && !is_choice(option->choices, text)) {
        char expected[200];
        (void)snprintf(expected, sizeof expected, "one of %s", option->choices != NULL ? option->choices : "");
        return bad_value(option, text, expected, error);
    }
    char *copy = tw_strdup(text);
    if (copy == NULL)
        return tw_no_memory(error, strlen(text) + 1);
    tw_free(self->text);
    self->text = copy;
    return TW_STATUS_OK;
}

static tw_status list_push(slot *self, const char *text, size_t size, tw_error *error)
{
    tw_status status = tw_grow(&self->item, sizeof *self->item, &self->capacity, self->n_items + 1, error);
    if (status < 0)
        return status;
    char *copy = tw_strndup(text, size);
    if (copy == NULL)
        return tw_no_memory(error, size + 1);
    self->item[self->n_items++] = copy;
    return TW_STATUS_OK;
}

/* Splits at commas; "\," is a comma and "\\" a backslash inside an element. */
static tw_status parse_list(slot *self, const tw_option *option, const char *text, tw_error *error)
{
    slot fresh = {0};
    char *element = tw_alloc(strlen(text) + 1);
    if (element == NULL)
        return tw_no_memory(error, strlen(text) + 1);
    tw_status status = TW_STATUS_OK;
    size_t size = 0;
    for (const char *at = text; status == TW_STATUS_OK && *text != '\0'; at++) {
        if (*at == '\\' && (at[1] == ',' || at[1] == '\\')) {
            element[size++] = *++at;
        } else if (*at == ',' || *at == '\0') {
            element[size] = '\0';
            status = check_element(option, element, error);
            if (status == TW_STATUS_OK)
                status = list_push(&fresh, element, size, error);
            size = 0;
            if (*at == '\0')
                break;
        } else {
            element[size++] = *at;
        }
    }
    tw_free(element);
    slot *old = status == TW_STATUS_OK ? self : &fresh;
    slot_drop_items(old);
    tw_free(old->item);
    if (status == TW_STATUS_OK) {
        self->item = fresh.item;
        self->n_items = fresh.n_items;
        self->capacity = fresh.capacity;
    }
    return status;
}

static tw_status slot_parse(slot *self, const tw_option *option, const char *text, tw_error *error)
{
    switch (option->type) {
    case TW_OPTION_BOOL:
        return parse_bool(self, option, text, error);
    case TW_OPTION_INT:
        return parse_int(self, option, text, error);
    case TW_OPTION_REAL:
        return parse_real(self, option, text, error);
    case TW_OPTION_TEXT:
    case TW_OPTION_CHOICE:
        return parse_text(self, option, text, error);
    case TW_OPTION_DURATION:
    case TW_OPTION_SIZE:
        return parse_scaled(self, option, text, error);
    case TW_OPTION_RATIO:
        return parse_ratio(self, option, text, error);
    case TW_OPTION_LIST:
        return parse_list(self, option, text, error);
    }
    return tw_error_set(error, TW_STATUS_INVALID, "option %s: unknown type %d", option->name, (int)option->type);
}

tw_status tw_option_values_create(const tw_option *table, tw_option_values **out, tw_error *error)
{
    size_t n_slots = 0;
    while (table != NULL && table[n_slots].name != NULL)
        n_slots++;
    size_t size = sizeof(tw_option_values) + n_slots * sizeof(slot);
    tw_option_values *self = tw_alloc_zero(size);
    if (self == NULL)
        return tw_no_memory(error, size);
    self->table = table;
    self->n_slots = n_slots;
    for (size_t i = 0; i < n_slots; i++) {
        if (table[i].fallback == NULL)
            continue;
        tw_status status = slot_parse(&self->slot[i], &table[i], table[i].fallback, error);
        if (status < 0) {
            tw_option_values_destroy(&self);
            return status;
        }
        self->slot[i].has = true;
        self->slot[i].is_default_list = true;
    }
    *out = self;
    return TW_STATUS_OK;
}

void tw_option_values_destroy(tw_option_values **self)
{
    if (self == NULL || *self == NULL)
        return;
    for (size_t i = 0; i < (*self)->n_slots; i++) {
        slot *each = &(*self)->slot[i];
        slot_drop_items(each);
        tw_free(each->item);
        tw_free(each->text);
    }
    tw_free(*self);
    *self = NULL;
}

static int find_index(const tw_option_values *self, const char *name)
{
    for (size_t i = 0; i < self->n_slots; i++) {
        if (strcmp(self->table[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

static tw_status unknown_name(const tw_option_values *self, const char *name, tw_error *error)
{
    tw_nearest nearest = {.word = name};
    char known[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < self->n_slots; i++) {
        tw_nearest_offer(&nearest, self->table[i].name);
        int more = snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", self->table[i].name);
        used = more > 0 && used + (size_t)more < sizeof known ? used + (size_t)more : sizeof known - 1;
    }
    tw_status status =
        nearest.best != NULL
            ? tw_error_set(error, TW_STATUS_INVALID, "option \"%.80s\" is unknown; did you mean \"%s\"? known: %s",
                  name, nearest.best, known)
            : tw_error_set(error, TW_STATUS_INVALID, "option \"%.80s\" is unknown; known: %s", name,
                  known[0] != '\0' ? known : "none");
    tw_error_code(error, "E102");
    return status;
}

tw_status tw_option_set(tw_option_values *self, const char *name, const char *text, tw_error *error)
{
    int index = find_index(self, name);
    if (index < 0)
        return unknown_name(self, name, error);
    slot *target = &self->slot[index];
    tw_status status = slot_parse(target, &self->table[index], text, error);
    if (status < 0)
        return status;
    target->has = true;
    target->is_given = true;
    target->is_default_list = false;
    return TW_STATUS_OK;
}

tw_status tw_option_append(tw_option_values *self, const char *name, const char *text, tw_error *error)
{
    int index = find_index(self, name);
    if (index < 0)
        return unknown_name(self, name, error);
    if (self->table[index].type != TW_OPTION_LIST)
        return bad_value(&self->table[index], text, "one value, not a list", error);
    slot *target = &self->slot[index];
    tw_status status = check_element(&self->table[index], text, error);
    if (status < 0)
        return status;
    if (target->is_default_list)
        slot_drop_items(target);
    target->is_default_list = false;
    status = list_push(target, text, strlen(text), error);
    if (status < 0)
        return status;
    target->has = true;
    target->is_given = true;
    return TW_STATUS_OK;
}

tw_status tw_option_check_required(const tw_option_values *self, tw_error *error)
{
    for (size_t i = 0; i < self->n_slots; i++) {
        if (self->table[i].is_required && !self->slot[i].is_given) {
            tw_status status = tw_error_set(error, TW_STATUS_INVALID, "option %s is required: %s", self->table[i].name,
                self->table[i].help != NULL ? self->table[i].help : "no default");
            tw_error_code(error, "E105");
            return status;
        }
    }
    return TW_STATUS_OK;
}

static const slot *typed_slot(const tw_option_values *self, const char *name, unsigned allowed)
{
    int index = find_index(self, name);
    assert(index >= 0 && "option is not in the table");
    assert((allowed >> self->table[index].type & 1U) != 0 && "option has another type");
    (void)allowed;
    return &self->slot[index];
}

enum {
    ANY_TYPE = 0xffff,
    INTEGERS = 1 << TW_OPTION_INT | 1 << TW_OPTION_SIZE | 1 << TW_OPTION_DURATION,
    REALS = 1 << TW_OPTION_REAL | 1 << TW_OPTION_RATIO,
    TEXTS = 1 << TW_OPTION_TEXT | 1 << TW_OPTION_CHOICE,
};

bool tw_option_has(const tw_option_values *self, const char *name)
{
    return typed_slot(self, name, ANY_TYPE)->has;
}

bool tw_option_is_given(const tw_option_values *self, const char *name)
{
    return typed_slot(self, name, ANY_TYPE)->is_given;
}

bool tw_option_bool(const tw_option_values *self, const char *name)
{
    return typed_slot(self, name, 1U << TW_OPTION_BOOL)->integer != 0;
}

int64_t tw_option_int(const tw_option_values *self, const char *name)
{
    return typed_slot(self, name, INTEGERS)->integer;
}

double tw_option_real(const tw_option_values *self, const char *name)
{
    return typed_slot(self, name, REALS)->real;
}

const char *tw_option_text(const tw_option_values *self, const char *name)
{
    return typed_slot(self, name, TEXTS)->text;
}

size_t tw_option_count(const tw_option_values *self, const char *name)
{
    return typed_slot(self, name, 1U << TW_OPTION_LIST)->n_items;
}

const char *tw_option_item(const tw_option_values *self, const char *name, size_t index)
{
    const slot *list = typed_slot(self, name, 1U << TW_OPTION_LIST);
    return index < list->n_items ? list->item[index] : NULL;
}

const tw_option *tw_option_table(const tw_option_values *self)
{
    return self->table;
}

static tw_status format_list(const slot *list, tw_text *out, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < list->n_items && status == TW_STATUS_OK; i++) {
        if (i > 0)
            status = tw_text_append(out, ",", 1, error);
        for (const char *at = list->item[i]; *at != '\0' && status == TW_STATUS_OK; at++) {
            if (*at == ',' || *at == '\\')
                status = tw_text_append(out, "\\", 1, error);
            if (status == TW_STATUS_OK)
                status = tw_text_append(out, at, 1, error);
        }
    }
    return status;
}

static tw_status format_scaled(int64_t value, const unit *units, const char *plain_unit, tw_text *out, tw_error *error)
{
    for (; value != 0 && units->name != NULL; units++) {
        /* Decimal size units would be ambiguous to a reader beside binary ones. */
        if (units->name[0] != '\0' && units->name[1] == 'B')
            continue;
        int64_t scale = (int64_t)units->scale;
        if (scale > 1 && value % scale == 0)
            return tw_text_addf(out, error, "%lld%s", (long long)(value / scale), units->name);
    }
    return tw_text_addf(out, error, "%lld%s", (long long)value, value != 0 ? plain_unit : "");
}

static tw_status slot_format(const slot *self, tw_option_type type, tw_text *out, tw_error *error)
{
    char number[TW_REAL_TEXT_SIZE];
    switch (type) {
    case TW_OPTION_BOOL:
        return tw_text_add(out, self->integer != 0 ? "true" : "false", error);
    case TW_OPTION_INT:
        return tw_text_addf(out, error, "%lld", (long long)self->integer);
    case TW_OPTION_DURATION:
        return format_scaled(self->integer, duration_units, "us", out, error);
    case TW_OPTION_SIZE:
        return format_scaled(self->integer, size_units, "", out, error);
    case TW_OPTION_REAL:
    case TW_OPTION_RATIO:
        tw_text_from_real(self->real, number);
        return tw_text_add(out, number, error);
    case TW_OPTION_TEXT:
    case TW_OPTION_CHOICE:
        return tw_text_add(out, self->text, error);
    case TW_OPTION_LIST:
        return format_list(self, out, error);
    }
    return TW_STATUS_OK;
}

tw_status tw_option_format(
    const tw_option_values *self, const char *name, char *text, size_t text_size, tw_error *error)
{
    if (text_size == 0)
        return tw_error_set(error, TW_STATUS_INVALID, "option %s: no space to format it", name);
    text[0] = '\0';
    int index = find_index(self, name);
    if (index < 0)
        return unknown_name(self, name, error);
    if (!self->slot[index].has)
        return TW_STATUS_OK;
    tw_text out = {0};
    tw_status status = slot_format(&self->slot[index], self->table[index].type, &out, error);
    if (status == TW_STATUS_OK && out.size >= text_size)
        status = tw_error_set(
            error, TW_STATUS_INVALID, "option %s: its %zu bytes do not fit into %zu", name, out.size, text_size - 1);
    if (status == TW_STATUS_OK && out.size > 0)
        memcpy(text, out.bytes, out.size + 1);
    tw_text_fini(&out);
    return status;
}
