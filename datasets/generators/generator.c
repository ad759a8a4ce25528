#include "generators/generator.h"

#include <string.h>

#include "base/alloc.h"
#include "generators/kinds.h"

static const tw_generator_ops *const KINDS[] = {
    &tw_generator_clicks, &tw_generator_sensors, &tw_generator_csv, &tw_generator_vw};
enum { N_KINDS = sizeof KINDS / sizeof KINDS[0] };

struct tw_generator {
    const tw_generator_ops *ops;
    tw_generator_settings settings;
    uint64_t index;
    bool is_header_due;
};

tw_generator_settings tw_generator_defaults(void)
{
    return (tw_generator_settings){.seed = 1, .start_ms = 1704067200000, .step_ms = 5000};
}

const tw_generator_kind *tw_generator_kind_at(size_t index)
{
    return index < N_KINDS ? &KINDS[index]->kind : NULL;
}

static tw_status generator_find(const char *name, const tw_generator_ops **out, tw_error *error)
{
    char names[128] = "";
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strcmp(KINDS[i]->kind.name, name) == 0) {
            *out = KINDS[i];
            return TW_STATUS_OK;
        }
        size_t used = strlen(names);
        tw_line list = {names + used, sizeof names - used - 1, 0};
        tw_line_add(&list, i ? ", " : "");
        tw_line_add(&list, KINDS[i]->kind.name);
        names[used + (list.size <= list.capacity ? list.size : 0)] = '\0';
    }
    return tw_error_set(error, TW_STATUS_NOT_FOUND, "generator \"%.64s\" does not exist; there are: %s", name, names);
}

tw_status tw_generator_open(
    const char *name, const tw_generator_settings *settings, tw_generator **out, tw_error *error)
{
    const tw_generator_ops *ops = NULL;
    *out = NULL;
    tw_status status = generator_find(name, &ops, error);
    if (status != TW_STATUS_OK) {
        return status;
    }
    if (settings->step_ms == 0) {
        return tw_error_set(error, TW_STATUS_INVALID, "generator step: 0 ms is below 1 ms");
    }
    tw_generator *self = tw_alloc_zero(sizeof *self);
    if (!self) {
        return tw_no_memory(error, sizeof *self);
    }
    self->ops = ops;
    self->settings = *settings;
    self->index = settings->first;
    self->is_header_due = ops->header && settings->first == 0;
    *out = self;
    return TW_STATUS_OK;
}

tw_status tw_generator_next(tw_generator *self, char *line, size_t capacity, size_t *size, tw_error *error)
{
    if (capacity < TW_GENERATOR_LINE_SIZE) {
        return tw_error_set(error, TW_STATUS_INVALID,
            "generator line: %zu bytes of room are below the %d that a line needs", capacity, TW_GENERATOR_LINE_SIZE);
    }
    tw_line text = {line, capacity, 0};
    if (self->is_header_due) {
        self->is_header_due = false;
        tw_line_add(&text, self->ops->header);
    } else {
        self->ops->write(&self->settings, self->index++, &text);
    }
    *size = text.size;
    return TW_STATUS_OK;
}

void tw_generator_close(tw_generator **self)
{
    tw_free(*self);
    *self = NULL;
}
