#define _DEFAULT_SOURCE
#include "support/source_reader.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

const tw_source_ops *source_tested = &tw_source_file;

int source_set_up(void **state)
{
    source_fixture *self = calloc(1, sizeof *self);
    strcpy(self->folder, "/tmp/tw_source_XXXXXX");
    self->all.text = malloc(TEXT_SIZE);
    if (self->all.text == NULL || mkdtemp(self->folder) == NULL ||
        getcwd(self->previous, sizeof self->previous) == NULL || chdir(self->folder) != 0)
        return -1;
    *state = self;
    return 0;
}

int source_tear_down(void **state)
{
    source_fixture *self = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", self->folder);
    int result = chdir(self->previous) + system(command);
    free(self->all.text);
    free(self);
    return result;
}

void put_bytes(const char *path, const char *mode, const char *text, size_t size)
{
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void write_file(const char *path, const char *text)
{
    put_bytes(path, "w", text, strlen(text));
}

void append_file(const char *path, const char *text)
{
    put_bytes(path, "a", text, strlen(text));
}

tw_fault_kind source_fault_kind;
uint64_t source_fault_nth;

tw_status source_open(void **source, const char *const *option, const tw_split *known, size_t n_known, tw_error *error)
{
    tw_option_values *values = NULL;
    *source = NULL;
    assert_int_equal(tw_option_values_create(source_tested->options, &values, NULL), 0);
    for (; *option != NULL; option++) {
        char name[32];
        const char *equals = strchr(*option, '=');
        (void)snprintf(name, sizeof name, "%.*s", (int)(equals - *option), *option);
        tw_status set = strcmp(name, "path") == 0 ? tw_option_append(values, name, equals + 1, NULL)
                                                  : tw_option_set(values, name, equals + 1, NULL);
        assert_int_equal(set, 0);
    }
    void *self = calloc(1, source_tested->state_size(values));
    if (source_fault_nth > 0)
        tw_fault_arm(source_fault_kind, source_fault_nth, source_fault_kind == TW_FAULT_FILE ? EIO : ENOMEM, false);
    tw_status status = source_tested->open(self, values, known, n_known, tw_host_default(), error);
    tw_option_values_destroy(&values);
    if (status < 0)
        free(self);
    else
        *source = self;
    return status;
}

void source_close(void *source)
{
    source_tested->close(source);
    free(source);
}

static size_t reading_split(reading *self, uint64_t id)
{
    for (size_t i = 0; i < self->n_splits; i++) {
        if (self->id[i] == id)
            return i;
    }
    assert_true(self->n_splits < MAX_SPLITS);
    self->id[self->n_splits] = id;
    self->offset[self->n_splits] = UINT64_MAX;
    return self->n_splits++;
}

void reading_take(reading *self, const tw_chunk *chunk)
{
    size_t i = reading_split(self, chunk->split);
    if (self->offset[i] == UINT64_MAX) {
        assert_true(chunk->is_first);
        self->offset[i] = chunk->offset;
    }
    assert_int_equal(chunk->offset, self->offset[i]);
    assert_true(chunk->size > 0 || chunk->is_final);
    self->offset[i] += chunk->size;
    self->is_final[i] = chunk->is_final;
    assert_true(self->size + chunk->size < TEXT_SIZE);
    memcpy(self->text + self->size, chunk->data, chunk->size);
    self->size += chunk->size;
    self->text[self->size] = '\0';
}

tw_status reading_to_pause(void *source, reading *all, size_t capacity, int timeout_ms, tw_error *error)
{
    char *data = malloc(capacity);
    tw_status status;
    do {
        tw_chunk chunk = {.data = data, .capacity = capacity};
        status = source_tested->next(source, timeout_ms, &chunk, error);
        if (status == TW_STATUS_OK)
            reading_take(all, &chunk);
    } while (status == TW_STATUS_OK);
    free(data);
    return status;
}

void reading_to_idle(void *source, reading *all)
{
    size_t before;
    do {
        before = all->size;
        assert_int_equal(reading_to_pause(source, all, 4096, 40, NULL), TW_STATUS_IDLE);
    } while (all->size != before);
    assert_int_equal(reading_to_pause(source, all, 4096, 40, NULL), TW_STATUS_IDLE);
}

void assert_reading(const reading *all, const char *expected)
{
    assert_int_equal(all->size, strlen(expected));
    assert_memory_equal(all->text, expected, all->size);
}

size_t reading_checkpoint(void *source, reading *all, tw_split *out)
{
    size_t n = 0;
    const tw_split *shown = source_tested->splits(source, &n);
    for (size_t i = 0; i < n; i++) {
        size_t k = reading_split(all, shown[i].id);
        out[i] = shown[i];
        out[i].offset = all->offset[k] == UINT64_MAX ? 0 : all->offset[k];
        out[i].is_done = all->is_final[k];
    }
    return n;
}
