#include "config/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "config/tree.h"

enum { SHOWN_WIDTH = 100 };

tw_problem *tw_problems_add(
    tw_problems *self, const struct tw_tree *tree, tw_place place, const char *code, const char *format, ...)
{
    tw_problem *problem = &self->overflow;
    if (self->count >= TW_PROBLEMS_LIMIT) {
        self->n_more++;
    } else if (tw_grow(&self->item, sizeof *self->item, &self->capacity, self->count + 1, NULL) < 0) {
        self->is_out_of_memory = true;
    } else {
        problem = &self->item[self->count++];
    }
    *problem = (tw_problem){.place = place};
    char message[TW_ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    (void)tw_error_set(&problem->error, TW_STATUS_CONFIG, "%s", message);
    tw_error_code(&problem->error, code);
    /* Origin 0 has no place that a user could go to. */
    if (place.origin != 0)
        tw_error_at(&problem->error, tw_tree_origin_name(tree, place.origin), place.line, place.column);
    return problem;
}

void tw_problem_label(tw_problem *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(self->label, sizeof self->label, format, arguments);
    va_end(arguments);
}

void tw_problem_hint(tw_problem *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(self->hint, sizeof self->hint, format, arguments);
    va_end(arguments);
}

void tw_problems_fini(tw_problems *self)
{
    tw_free(self->item);
    *self = (tw_problems){0};
}

tw_status tw_problems_status(const tw_problems *self, tw_error *error)
{
    if (self->is_out_of_memory)
        return tw_no_memory(error, sizeof(tw_problem));
    if (self->count == 0)
        return TW_STATUS_OK;
    if (error != NULL)
        *error = self->item[0].error;
    return TW_STATUS_CONFIG;
}

static size_t character_size(const char *at, const char *end)
{
    size_t size = 1;
    while (at + size < end && ((unsigned char)at[size] & 0xc0) == 0x80)
        size++;
    return size;
}

/* The line, cut at SHOWN_WIDTH characters around the column, and a caret under it. */
static tw_status render_line(const tw_problem *problem, const char *line, size_t size, tw_text *out, tw_error *error)
{
    uint32_t skip = problem->place.column > SHOWN_WIDTH ? problem->place.column - SHOWN_WIDTH / 2 : 0;
    const char *at = line, *end = line + size;
    for (uint32_t i = 0; i < skip && at < end; i++)
        at += character_size(at, end);
    tw_status status = tw_text_addf(out, error, "%5llu | ", (unsigned long long)problem->error.line);
    uint32_t shown = 0;
    for (; at < end && shown < SHOWN_WIDTH + SHOWN_WIDTH / 2 && status == TW_STATUS_OK; shown++) {
        size_t bytes = character_size(at, end);
        unsigned char first = (unsigned char)*at;
        status = first < 0x20 || first == 0x7f ? tw_text_add(out, " ", error) : tw_text_append(out, at, bytes, error);
        at += bytes;
    }
    uint32_t column = problem->place.column - skip;
    if (status == TW_STATUS_OK)
        status = tw_text_addf(out, error, "\n      | %*s^", (int)(column > 0 ? column - 1 : 0), "");
    uint32_t room = shown >= column ? shown - column : 0;
    for (uint32_t i = 1; i < problem->place.span && i <= room && status == TW_STATUS_OK; i++)
        status = tw_text_add(out, "~", error);
    if (status == TW_STATUS_OK && problem->label[0] != '\0')
        status = tw_text_addf(out, error, " %s", problem->label);
    return status == TW_STATUS_OK ? tw_text_add(out, "\n", error) : status;
}

static tw_status render_one(const tw_problem *problem, const tw_tree *tree, tw_text *out, tw_error *error)
{
    const tw_error *what = &problem->error;
    bool has_place = what->line > 0;
    tw_status status =
        has_place ? tw_text_addf(out, error, "%s:%llu:%llu: error[%s]: %s\n", what->file,
                        (unsigned long long)what->line, (unsigned long long)what->column, what->code, what->message)
                  : tw_text_addf(out, error, "%s%serror[%s]: %s\n", what->file, what->file[0] != '\0' ? ": " : "",
                        what->code, what->message);
    if (status < 0)
        return status;
    size_t size = 0;
    const char *line = tw_tree_line(tree, problem->place, &size);
    if (line != NULL)
        status = render_line(problem, line, size, out, error);
    else if (problem->label[0] != '\0')
        status = tw_text_addf(out, error, "      = %s\n", problem->label);
    if (status == TW_STATUS_OK && problem->hint[0] != '\0')
        status = tw_text_addf(out, error, "      = hint: %s\n", problem->hint);
    return status;
}

tw_status tw_problems_render(const tw_problems *self, const struct tw_tree *tree, tw_text *out, tw_error *error)
{
    tw_status status = TW_STATUS_OK;
    for (size_t i = 0; i < self->count && status == TW_STATUS_OK; i++)
        status = render_one(&self->item[i], tree, out, error);
    if (status < 0 || self->count == 0)
        return status;
    size_t total = self->count + self->n_more;
    if (self->n_more > 0)
        status = tw_text_addf(out, error, "%zu more errors are not shown.\n", self->n_more);
    if (status < 0)
        return status;
    return tw_text_addf(out, error, "%zu error%s. Nothing was started.\n", total, total == 1 ? "" : "s");
}
