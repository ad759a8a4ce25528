#include "support/decode_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { MAX_COLUMNS = 64, TEXT_MAX = 1024 };

static tw_column_kind kind_of(char letter)
{
    return letter == 'n'   ? TW_COLUMN_NUMERIC
           : letter == 's' ? TW_COLUMN_SET
           : letter == 'i' ? TW_COLUMN_IGNORE
                           : TW_COLUMN_CATEGORICAL;
}

static tw_status open_plan(decode_fixture *self, const char *columns)
{
    tw_column_spec column[MAX_COLUMNS];
    tw_plan_spec spec = {.column = column, .hash_seed = 7};
    char text[TEXT_MAX];
    snprintf(text, sizeof text, "%s", columns ? columns : "");
    char *rest = text;
    for (char *name; (name = strtok_r(rest, ",", &rest)) != NULL && spec.n_columns < MAX_COLUMNS;) {
        char *colon = strrchr(name, ':');
        *colon = 0;
        if (colon[1] == 'l') {
            spec.label_kind = TW_LABEL_REAL;
            spec.label_field = name;
        } else {
            column[spec.n_columns++] = (tw_column_spec){.field = name, .kind = kind_of(colon[1])};
        }
    }
    return tw_plan_create(&spec, &self->plan, &self->error);
}

static tw_status open_options(decode_fixture *self, const char *options)
{
    char text[TEXT_MAX];
    tw_status status = tw_option_values_create(self->ops->options, &self->options, &self->error);
    snprintf(text, sizeof text, "%s", options ? options : "");
    char *rest = text;
    for (char *name; status == TW_STATUS_OK && (name = strtok_r(rest, ";", &rest)) != NULL;) {
        char *value = strchr(name, '=');
        *value = 0;
        status = tw_option_set(self->options, name, value + 1, &self->error);
    }
    return status;
}

tw_status decode_fixture_open(
    decode_fixture *self, const tw_format_ops *ops, const char *options, const char *columns, uint32_t max_events)
{
    *self = (decode_fixture){.ops = ops};
    tw_status status = open_options(self, options);
    if (status == TW_STATUS_OK)
        status = open_plan(self, columns);
    if (status == TW_STATUS_OK)
        status = tw_builder_create(max_events, 0, &self->builder, &self->error);
    if (status < 0)
        return status;
    void *state = calloc(1, ops->state_size(self->options));
    status = ops->open(state, self->options, self->plan, tw_host_default(), &self->error);
    if (status == TW_STATUS_OK)
        self->state = state;
    else
        free(state);
    return status;
}

void decode_fixture_close(decode_fixture *self)
{
    if (self->state)
        self->ops->close(self->state);
    free(self->state);
    self->state = NULL;
    tw_builder_destroy(&self->builder);
    tw_plan_destroy(&self->plan);
    tw_option_values_destroy(&self->options);
}

static void write_bad(FILE *out, const tw_builder *builder, uint32_t before, uint32_t *next)
{
    for (; *next < builder->n_bad && builder->bad[*next].before_event <= before; ++*next) {
        const tw_bad_record *bad = &builder->bad[*next];
        fprintf(out, "B %llu:%llu %s %llu [%.*s] %s\n", (unsigned long long)bad->line, (unsigned long long)bad->column,
            bad->code, (unsigned long long)bad->offset, (int)bad->size, bad->bytes, bad->message);
    }
}

static void write_batch(FILE *out, const tw_builder *builder)
{
    tw_batch batch = tw_builder_batch(builder);
    uint32_t next_bad = 0;
    for (uint32_t i = 0; i < batch.n_events; i++) {
        write_bad(out, builder, i, &next_bad);
        fprintf(
            out, "E %.9g %.9g %lld |", (double)batch.label[i], (double)batch.weight[i], (long long)batch.time_us[i]);
        for (uint32_t j = batch.row_start[i]; j < batch.row_start[i + 1]; j++)
            fprintf(out, " %016llx:%.9g:%u", (unsigned long long)batch.key[j], (double)batch.value[j], batch.field[j]);
        fprintf(out, "\n");
    }
    write_bad(out, builder, batch.n_events, &next_bad);
}

/* Decodes what of bytes[offset, size) is complete. */
static tw_status run_piece(
    decode_fixture *self, FILE *out, const char *bytes, size_t size, bool is_final, uint64_t *offset, uint64_t *line)
{
    size_t n = size - (size_t)*offset;
    char *piece = malloc(n ? n : 1);
    memcpy(piece, bytes + *offset, n);
    tw_cursor io = {.at = piece, .end = piece + n, .offset = *offset, .line = *line, .is_final = is_final};
    tw_status status;
    do {
        tw_builder_reset(self->builder, 1, io.offset, io.line - 1);
        status = self->ops->decode(self->state, &io, self->builder, &self->error);
        if (status >= 0)
            write_batch(out, self->builder);
    } while (status == TW_STATUS_OK);
    *offset = io.offset;
    *line = io.line;
    free(piece);
    return status;
}

static tw_status run_start(
    decode_fixture *self, const char *bytes, size_t size, bool is_whole, uint64_t *offset, uint64_t *line)
{
    char *head = malloc(size ? size : 1);
    memcpy(head, bytes, size);
    tw_status status = self->ops->start(self->state, head, size, is_whole, offset, line, &self->error);
    *line += 1;
    free(head);
    return status;
}

char *decode_fixture_run(decode_fixture *self, const char *bytes, size_t size, size_t cut, tw_status *status)
{
    char *text = NULL;
    size_t text_size = 0;
    uint64_t offset = 0, line = 1;
    bool is_cut = cut > 0 && cut < size, has_start = self->ops->start == NULL;
    FILE *out = open_memstream(&text, &text_size);
    *status = TW_STATUS_OK;
    if (!out)
        return NULL;
    for (int piece = is_cut ? 0 : 1; piece < 2 && *status >= 0; piece++) {
        size_t end = piece == 0 ? cut : size;
        if (!has_start) {
            *status = run_start(self, bytes, end, piece == 1, &offset, &line);
            has_start = *status == TW_STATUS_OK;
        }
        if (has_start)
            *status = run_piece(self, out, bytes, end, piece == 1, &offset, &line);
    }
    if (*status == TW_STATUS_IDLE)
        *status = TW_STATUS_OK;
    fprintf(out, "= %llu %llu %s\n", (unsigned long long)offset, (unsigned long long)line, tw_status_name(*status));
    fclose(out);
    return text;
}

size_t decode_fixture_count(const char *text, const char *start)
{
    size_t n = strncmp(text, start, strlen(start)) == 0;
    char pattern[16];
    snprintf(pattern, sizeof pattern, "\n%s", start);
    for (const char *at = text; (at = strstr(at, pattern)) != NULL; at++)
        n++;
    return n;
}
