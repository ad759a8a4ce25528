#include "cmd/flags.h"

#include <string.h>

#include "base/text.h"
#include "thalweg/options.h"

static const flag_spec *find_flag(const flag_spec *table, const char *name, size_t size)
{
    for (const flag_spec *flag = table; flag->name != NULL; flag++) {
        if (strlen(flag->name) == size && memcmp(flag->name, name, size) == 0)
            return flag;
    }
    return NULL;
}

static const flag_spec *find_letter(const flag_spec *table, char letter)
{
    for (const flag_spec *flag = table; flag->name != NULL; flag++) {
        if (flag->letter == letter)
            return flag;
    }
    return NULL;
}

static tw_status unknown_flag(const flag_spec *table, const char *text, tw_error *error)
{
    char word[64];
    const char *name = text + strspn(text, "-");
    (void)snprintf(word, sizeof word, "%.*s", (int)strcspn(name, "="), name);
    tw_nearest nearest = {.word = word};
    for (const flag_spec *flag = table; flag->name != NULL; flag++)
        tw_nearest_offer(&nearest, flag->name);
    if (nearest.best != NULL)
        return tw_error_set(error, TW_STATUS_INVALID, "%s: unknown option; did you mean --%s?", text, nearest.best);
    return tw_error_set(error, TW_STATUS_INVALID, "%s: unknown option; --help lists them", text);
}

static tw_status add_value(flags *self, const flag_spec *flag, const char *text, tw_error *error)
{
    if (self->n_values == FLAGS_MAX)
        return tw_error_set(error, TW_STATUS_INVALID, "more than %d options", FLAGS_MAX);
    self->value[self->n_values++] = (flag_value){flag, text};
    return TW_STATUS_OK;
}

/* One argument; *used: how many of argv it took. */
static tw_status parse_one(flags *self, char **argv, int left, int *used, tw_error *error)
{
    const char *text = argv[0];
    const char *equals = strchr(text, '=');
    bool is_long = text[1] == '-';
    *used = 1;
    if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
        self->wants_help = true;
        return TW_STATUS_OK;
    }
    const flag_spec *flag =
        is_long ? find_flag(self->table, text + 2, equals != NULL ? (size_t)(equals - text) - 2 : strlen(text + 2))
                : find_letter(self->table, text[1]);
    if (flag == NULL)
        return unknown_flag(self->table, text, error);
    const char *inside = is_long ? (equals != NULL ? equals + 1 : NULL) : (text[2] != '\0' ? text + 2 : NULL);
    if (flag->value == NULL)
        return inside == NULL ? add_value(self, flag, NULL, error)
                              : tw_error_set(error, TW_STATUS_INVALID, "%s: --%s takes no value", text, flag->name);
    if (inside != NULL)
        return add_value(self, flag, inside, error);
    if (left < 2)
        return tw_error_set(
            error, TW_STATUS_INVALID, "--%s: a value is missing: --%s %s", flag->name, flag->name, flag->value);
    *used = 2;
    return add_value(self, flag, argv[1], error);
}

tw_status flags_parse(flags *self, const flag_spec *table, int argc, char **argv, tw_error *error)
{
    memset(self, 0, sizeof *self);
    self->table = table;
    bool is_literal = false;
    for (int i = 1; i < argc;) {
        int used = 1;
        tw_status status = TW_STATUS_OK;
        if (!is_literal && strcmp(argv[i], "--") == 0)
            is_literal = true;
        else if (!is_literal && argv[i][0] == '-' && argv[i][1] != '\0')
            status = parse_one(self, argv + i, argc - i, &used, error);
        else if (self->n_arguments == FLAGS_MAX)
            status = tw_error_set(error, TW_STATUS_INVALID, "more than %d arguments", FLAGS_MAX);
        else
            self->argument[self->n_arguments++] = argv[i];
        if (status < 0)
            return status;
        i += used;
    }
    return TW_STATUS_OK;
}

const char *flags_text(const flags *self, const char *name, const char *fallback)
{
    for (size_t i = self->n_values; i-- > 0;) {
        if (strcmp(self->value[i].flag->name, name) == 0)
            return self->value[i].text;
    }
    return fallback;
}

bool flags_has(const flags *self, const char *name)
{
    for (size_t i = 0; i < self->n_values; i++) {
        if (strcmp(self->value[i].flag->name, name) == 0)
            return true;
    }
    return false;
}

/* Parses through a one-row option table, so that numbers read the same on the command line and in a pipeline file. */
static tw_status parse_option(
    const char *name, tw_option_type type, double max, const char *text, int64_t *out, tw_error *error)
{
    tw_option table[] = {{.name = name, .type = type, .max = max, .help = ""}, {0}};
    tw_option_values *values = NULL;
    tw_status status = tw_option_values_create(table, &values, error);
    if (status == TW_STATUS_OK)
        status = tw_option_set(values, name, text, error);
    if (status == TW_STATUS_OK)
        *out = tw_option_int(values, name);
    tw_option_values_destroy(&values);
    return status;
}

tw_status flags_count(
    const flags *self, const char *name, uint64_t fallback, uint64_t max, uint64_t *out, tw_error *error)
{
    const char *text = flags_text(self, name, NULL);
    *out = fallback;
    if (text == NULL)
        return TW_STATUS_OK;
    int64_t value = 0;
    tw_status status = parse_option(name, TW_OPTION_INT, (double)max, text, &value, error);
    if (status == TW_STATUS_OK)
        *out = (uint64_t)value;
    return status;
}

tw_status flags_duration(const char *flag, const char *text, int64_t *out_us, tw_error *error)
{
    return parse_option(flag, TW_OPTION_DURATION, 1e17, text, out_us, error);
}

void flags_print(FILE *out, const flag_spec *table)
{
    for (const flag_spec *flag = table; flag->name != NULL; flag++) {
        char left[64];
        int n = flag->letter != 0 ? snprintf(left, sizeof left, "  -%c, --%s", flag->letter, flag->name)
                                  : snprintf(left, sizeof left, "      --%s", flag->name);
        if (flag->value != NULL && n > 0 && (size_t)n < sizeof left)
            (void)snprintf(left + n, sizeof left - (size_t)n, " %s", flag->value);
        (void)fprintf(out, "%-34s %s\n", left, flag->help);
    }
}
